//! Scripted turns: what the model answers in a test, written down beforehand as JSON.
//!
//! The form is committed as a JSON Schema in docs/dev-tenant/script.schema.json; a test holds the two against each other.

use std::{collections::VecDeque, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use super::{
    Answer, Call, Cut, CutKind, Refusal, Reply,
    text::{in_pieces, in_words, message_text},
};

/// A whole script, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    /// Editors like to have it; it means nothing here.
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    turns: VecDeque<Turn>,
}

/// One answer of the model.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Turn {
    expect: Option<Expect>,
    text: Option<Text>,
    tool_calls: Vec<ScriptedCall>,
    interleave: bool,
    finish_reason: Option<String>,
    omit: Vec<Omit>,
    first_delay_ms: u64,
    delay_ms: u64,
    cut: Option<ScriptedCut>,
    error: Option<ScriptedError>,
    repeat: Option<usize>,
}

/// Text that is streamed word by word, or in exactly these pieces.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Text {
    Words(String),
    Pieces(Vec<String>),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptedCall {
    id: Option<String>,
    name: String,
    arguments: Arguments,
    /// Into how many chunks the arguments are cut.
    pieces: Option<usize>,
}

/// Arguments as an object; or as text, which may be broken JSON; or as exactly these pieces of text.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Arguments {
    Text(String),
    Pieces(Vec<String>),
    Object(serde_json::Map<String, Value>),
}

/// What a careless server leaves out.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Omit {
    Ids,
    Usage,
    FinishReason,
    Done,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptedCut {
    after: usize,
    #[serde(default)]
    how: CutKind,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptedError {
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<Value>,
}

/// What must be true of the last message before this turn is played.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Expect {
    role: Option<String>,
    contains: Vec<String>,
    absent: Vec<String>,
}

/// A script that is being played.
pub(super) struct Player {
    turns: VecDeque<Turn>,
    played: usize,
}

impl Player {
    /// Reads a script and refuses what it does not understand.
    pub(super) fn new(script: Value) -> Result<Self, String> {
        let script: Script =
            serde_json::from_value(script).map_err(|error| format!("the script is not valid: {error}"))?;
        for (at, turn) in script.turns.iter().enumerate() {
            turn.check().map_err(|why| format!("the script is not valid: turn {}: {why}", at + 1))?;
        }
        Ok(Self { turns: script.turns, played: 0 })
    }

    /// The next answer. A turn whose expectation is not met stays where it is, so that a repeated request fails again.
    pub(super) fn next(&mut self, messages: &[Value]) -> Answer {
        let number = self.played + 1;
        let Some(turn) = self.turns.front_mut() else {
            let why = format!("the script ended: it has {} turns and this is request {number}", self.played);
            return Answer::Refused(Refusal::server("script_ended", &why));
        };
        if let Some(why) = turn.expect.as_ref().and_then(|expect| expect.unmet(messages)) {
            return Answer::Refused(Refusal::server(
                "script_expectation",
                &format!("the script's turn {number}: {why}"),
            ));
        }
        let answer = turn.answer();
        match &mut turn.repeat {
            Some(left) if *left > 1 => *left -= 1,
            _ => {
                self.turns.pop_front();
            }
        }
        self.played = number;
        answer
    }
}

impl Turn {
    fn check(&self) -> Result<(), &'static str> {
        let speaks = self.text.is_some() || !self.tool_calls.is_empty();
        match &self.error {
            None if !speaks => Err("it needs `text`, `tool_calls` or `error`"),
            Some(_) if speaks => Err("`error` stands alone"),
            Some(error) if !(400..=599).contains(&error.status) => Err("`error.status` lies between 400 and 599"),
            _ if self.repeat == Some(0) => Err("`repeat` is at least 1"),
            _ if self.tool_calls.iter().any(|call| call.pieces == Some(0)) => Err("`pieces` is at least 1"),
            _ => Ok(()),
        }
    }

    fn answer(&self) -> Answer {
        if let Some(error) = &self.error {
            return Answer::Refused(Refusal {
                status: error.status,
                headers: error.headers.clone(),
                body: match &error.body {
                    None => Refusal::server("scripted", "the script says so").body,
                    Some(Value::String(text)) => text.clone(),
                    Some(body) => body.to_string(),
                },
            });
        }
        let omits = |what| self.omit.contains(&what);
        let usual = if self.tool_calls.is_empty() { "stop" } else { "tool_calls" };
        Answer::Reply(Reply {
            text: match &self.text {
                None => Vec::new(),
                Some(Text::Words(text)) => in_words(text),
                Some(Text::Pieces(pieces)) => pieces.clone(),
            },
            calls: self.tool_calls.iter().map(ScriptedCall::call).collect(),
            interleave: self.interleave,
            finish_reason: (!omits(Omit::FinishReason))
                .then(|| self.finish_reason.clone().unwrap_or_else(|| usual.to_owned())),
            with_ids: !omits(Omit::Ids),
            with_usage: !omits(Omit::Usage),
            with_done: !omits(Omit::Done),
            first_delay: Duration::from_millis(self.first_delay_ms),
            delay: Duration::from_millis(self.delay_ms),
            cut: self.cut.as_ref().map(|cut| Cut { after: cut.after, how: cut.how }),
        })
    }
}

impl ScriptedCall {
    fn call(&self) -> Call {
        let whole = |text: String| in_pieces(&text, self.pieces.unwrap_or(1));
        Call {
            id: self.id.clone(),
            name: self.name.clone(),
            arguments: match &self.arguments {
                Arguments::Text(text) => whole(text.clone()),
                Arguments::Pieces(pieces) => pieces.clone(),
                Arguments::Object(object) => whole(Value::Object(object.clone()).to_string()),
            },
        }
    }
}

impl Expect {
    fn unmet(&self, messages: &[Value]) -> Option<String> {
        let last = messages.last()?;
        let text = message_text(last);
        let role = last["role"].as_str().unwrap_or_default();
        if let Some(wanted) = self.role.as_deref().filter(|wanted| *wanted != role) {
            return Some(format!("expected a last message of role {wanted}, got {role}"));
        }
        if let Some(missing) = self.contains.iter().find(|wanted| !text.contains(wanted.as_str())) {
            return Some(format!("expected the last message to contain {missing:?}, got {text:?}"));
        }
        let present = self.absent.iter().find(|unwanted| text.contains(unwanted.as_str()))?;
        Some(format!("expected the last message not to contain {present:?}, got {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use serde_json::json;

    use super::*;

    fn reply(player: &mut Player, messages: &[Value]) -> Reply {
        match player.next(messages) {
            Answer::Reply(reply) => reply,
            Answer::Refused(refusal) => panic!("{}", refusal.body),
        }
    }

    fn refusal(player: &mut Player, messages: &[Value]) -> Refusal {
        match player.next(messages) {
            Answer::Refused(refusal) => refusal,
            Answer::Reply(_) => panic!("a reply where a refusal was expected"),
        }
    }

    fn schema() -> jsonschema::Validator {
        let text = include_str!("../../../docs/dev-tenant/script.schema.json");
        jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn turns_are_played_in_order_and_then_the_script_says_that_it_ended() {
        let mut player = Player::new(json!({ "turns": [
            { "tool_calls": [{ "name": "buy_product", "arguments": { "qty": 2 }, "pieces": 3 }] },
            { "text": ["Do", "ne."], "repeat": 2 },
        ]}))
        .unwrap();
        let user = [json!({ "role": "user", "content": "buy" })];
        let first = reply(&mut player, &user);
        assert_eq!(first.calls[0].arguments, [r#"{"q"#, r#"ty""#, r#":2}"#]);
        assert_eq!(first.finish_reason.as_deref(), Some("tool_calls"));
        assert_eq!(reply(&mut player, &user).text, ["Do", "ne."]);
        assert_eq!(reply(&mut player, &user).text, ["Do", "ne."]);
        let end = refusal(&mut player, &user);
        assert_eq!(end.status, 500);
        assert!(end.body.contains("the script ended: it has 3 turns and this is request 4"), "{}", end.body);
    }

    #[test]
    fn an_unmet_expectation_is_said_and_the_turn_waits() {
        let mut player = Player::new(json!({ "turns": [
            { "expect": { "role": "tool", "contains": ["\"done\""], "absent": ["eyJ"] }, "text": "Fine." },
        ]}))
        .unwrap();
        let wrong = refusal(&mut player, &[json!({ "role": "user", "content": "buy" })]);
        assert!(wrong.body.contains("expected a last message of role tool, got user"), "{}", wrong.body);
        let wrong = refusal(&mut player, &[json!({ "role": "tool", "content": "{\"outcome\":\"denied\"}" })]);
        assert!(wrong.body.contains("to contain"), "{}", wrong.body);
        let wrong =
            refusal(&mut player, &[json!({ "role": "tool", "content": "{\"outcome\":\"done\",\"t\":\"eyJh\"}" })]);
        assert!(wrong.body.contains("not to contain"), "{}", wrong.body);
        let right = reply(&mut player, &[json!({ "role": "tool", "content": "{\"outcome\":\"done\"}" })]);
        assert_eq!(right.text, ["Fine."]);
    }

    #[test]
    fn errors_go_out_as_they_are_written() {
        let mut player = Player::new(json!({ "turns": [
            { "error": { "status": 429, "headers": [["retry-after", "2"]], "body": { "error": "slow" } } },
            { "error": { "status": 502, "body": "<html>bad gateway</html>" } },
        ]}))
        .unwrap();
        let first = refusal(&mut player, &[]);
        assert_eq!((first.status, first.body.as_str()), (429, r#"{"error":"slow"}"#));
        assert_eq!(first.headers, [("retry-after".to_owned(), "2".to_owned())]);
        assert_eq!(refusal(&mut player, &[]).body, "<html>bad gateway</html>");
    }

    #[test]
    fn the_schema_and_the_code_refuse_the_same_scripts() {
        let schema = schema();
        for bad in [
            json!([]),
            json!({}),
            json!({ "turns": [{}] }),
            json!({ "turns": [{ "txt": "a" }] }),
            json!({ "turns": [{ "text": "a", "colour": "red" }] }),
            json!({ "turns": [{ "text": 5 }] }),
            json!({ "turns": [], "more": 1 }),
            json!({ "turns": [{ "text": "a", "error": { "status": 500 } }] }),
            json!({ "turns": [{ "error": { "status": 200 } }] }),
            json!({ "turns": [{ "error": { "status": 500, "text": "x" } }] }),
            json!({ "turns": [{ "text": "a", "omit": ["everything"] }] }),
            json!({ "turns": [{ "text": "a", "repeat": 0 }] }),
            json!({ "turns": [{ "text": "a", "delay_ms": -1 }] }),
            json!({ "turns": [{ "text": "a", "cut": { "after": 1, "how": "loudly" } }] }),
            json!({ "turns": [{ "text": "a", "cut": { "at": 1 } }] }),
            json!({ "turns": [{ "text": "a", "expect": { "has": ["b"] } }] }),
            json!({ "turns": [{ "tool_calls": [{ "name": "x" }] }] }),
            json!({ "turns": [{ "tool_calls": [{ "name": "x", "arguments": 3 }] }] }),
            json!({ "turns": [{ "tool_calls": [{ "name": "x", "arguments": {}, "pieces": 0 }] }] }),
            json!({ "turns": [{ "tool_calls": [{ "name": "x", "arguments": {}, "args": {} }] }] }),
        ] {
            assert!(Player::new(bad.clone()).is_err(), "the code takes {bad}");
            assert!(!schema.is_valid(&bad), "the schema takes {bad}");
        }
    }

    #[test]
    fn every_example_fits_the_schema_and_can_be_played() {
        let schema = schema();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut seen = 0;
        for folder in ["docs/dev-tenant/examples", "tests/hostile"] {
            let Ok(entries) = fs::read_dir(root.join(folder)) else { continue };
            let is_script = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "json");
            for path in entries.map(|entry| entry.unwrap().path()).filter(is_script) {
                let script: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
                if let Err(error) = schema.validate(&script) {
                    panic!("{}: {error}", path.display());
                }
                Player::new(script).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
                seen += 1;
            }
        }
        assert!(seen >= 13, "only {seen} examples were found");
    }
}
