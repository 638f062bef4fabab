//! Pieces become an answer.
//!
//! The types are lenient: nothing is required, no word is an enumeration, and words and numbers may stand for each other,
//! because servers that are compatible in name differ in every member, and a strict type would lose the piece of text that
//! stands beside it. Strict is only the end: an answer counts if the server said that it was over.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{
    error::{Error, Received},
    key::Key,
    refusal::Said,
    whole::Whole,
};
use crate::{
    call::ToolCall,
    escape,
    event::{Event, Tell},
};

/// What is repeated to a person of a tool's name, and of what ended an answer.
const LONGEST_NAME: usize = 80;
const LONGEST_WHY: usize = 400;

/// How many calls one answer may hold.
const MAX_CALLS: usize = 128;

/// Reasons that mean that the answer reached the token limit.
const FULL: &[&str] = &["length", "max_tokens", "max_output_tokens", "model_length"];
/// Reasons that mean that somebody stopped the answer: what arrived is not the whole.
const STOPPED: &[&str] = &[
    "abort",
    "aborted",
    "blocklist",
    "cancelled",
    "content_filter",
    "error",
    "insufficient_system_resource",
    "malformed_function_call",
    "network_error",
    "prohibited_content",
    "recitation",
    "safety",
    "spii",
];

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// The text.
    pub text: String,
    /// The calls it asks for.
    pub tool_calls: Vec<ToolCall>,
    /// Whether it ended because of `max_tokens`.
    pub truncated: bool,
}

/// One event of a stream, or the whole answer of a server that does not stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    error: Option<Value>,
    /// `error`, from servers that put the members of an error beside each other.
    object: Value,
    message: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    index: Value,
    delta: Option<Delta>,
    message: Option<Delta>,
    finish_reason: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Option<Content>,
    /// Why the model will not do it, in place of the text.
    refusal: Value,
    tool_calls: Option<Vec<CallPiece>>,
    /// The form that calls had before `tool_calls`.
    function_call: Option<FunctionPiece>,
}

/// Text, or the same in a list of parts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
    Other(IgnoredAny),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    #[serde(rename = "type")]
    kind: Value,
    text: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CallPiece {
    index: Value,
    id: Value,
    function: Option<FunctionPiece>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FunctionPiece {
    name: Value,
    arguments: Value,
}

/// A call that may still grow.
#[derive(Debug, Default)]
struct Growing {
    index: Option<u64>,
    call: ToolCall,
    arguments: Whole,
}

/// An answer that may still grow.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    text: String,
    /// How much of the text was told.
    told: usize,
    /// How much at its end may be the beginning of the key.
    held: usize,
    key: Key,
    calls: Vec<Growing>,
    finish_reason: Option<String>,
    usage: Option<Value>,
    /// The server said that the answer is over, in whichever way.
    over: bool,
    /// It said so with its last event.
    done: bool,
}

impl Assembly {
    /// The answer to a request that carried this key.
    pub(super) fn new(key: Key) -> Self {
        Self { key, ..Self::default() }
    }

    /// Takes the data of one event: one JSON object, or several where a server forgot what parts them.
    pub(super) fn add(&mut self, data: &[u8]) -> Result<(), Error> {
        let text = String::from_utf8_lossy(data);
        if text.trim_ascii() == "[DONE]" {
            (self.over, self.done) = (true, true);
            return Ok(());
        }
        for chunk in serde_json::Deserializer::from_str(&text).into_iter::<Chunk>() {
            // The error would hold what the server sent; its place is enough.
            let chunk = chunk.map_err(|error| match error.is_eof() {
                true => self.cut("an event is incomplete"),
                false => {
                    let what = if error.is_data() { "a member of another form" } else { "no JSON" };
                    self.broken(format!("{what} at line {} column {}", error.line(), error.column()))
                }
            })?;
            self.add_chunk(chunk)?;
        }
        Ok(())
    }

    fn add_chunk(&mut self, chunk: Chunk) -> Result<(), Error> {
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(self.reported(error));
        }
        if chunk.object == "error" {
            return Err(self.reported(chunk.message.unwrap_or_default()));
        }
        if chunk.usage.as_ref().is_some_and(Value::is_object) {
            self.usage = chunk.usage;
        }
        for choice in chunk.choices.into_iter().flatten().filter(|choice| number(&choice.index).unwrap_or(0) == 0) {
            let delta = match (choice.delta, choice.message) {
                (Some(delta), _) => Some(delta),
                // Some servers send the whole once more behind its pieces.
                (None, Some(message)) => {
                    self.over = true;
                    self.is_empty().then_some(message)
                }
                (None, None) => None,
            };
            if let Some(delta) = delta {
                self.add_delta(delta)?;
            }
            let reason = word(choice.finish_reason);
            if !reason.is_empty() {
                self.finish_reason = Some(reason);
            }
        }
        Ok(())
    }

    fn add_delta(&mut self, delta: Delta) -> Result<(), Error> {
        match delta.content {
            Some(Content::Text(text)) => self.add_text(&text),
            // A part that is no text is the model's thinking, or something that cannot be shown.
            Some(Content::Parts(parts)) => {
                let texts = parts.iter().filter(|part| part.kind == "text");
                texts.filter_map(|part| part.text.as_str()).for_each(|text| self.add_text(text));
            }
            Some(Content::Other(_)) | None => {}
        }
        if let Value::String(refusal) = &delta.refusal {
            self.add_text(refusal);
        }
        for piece in delta.tool_calls.into_iter().flatten() {
            self.add_call(piece)?;
        }
        match delta.function_call {
            Some(function) => self.add_call(CallPiece { index: 0.into(), id: Value::Null, function: Some(function) }),
            None => Ok(()),
        }
    }

    fn add_text(&mut self, piece: &str) {
        let from = self.text.len() - self.held;
        self.text.push_str(piece);
        self.held = self.key.out_of_answer(&mut self.text, from);
    }

    fn add_call(&mut self, piece: CallPiece) -> Result<(), Error> {
        let (index, id) = (number(&piece.index), word(piece.id));
        let function = piece.function.unwrap_or_default();
        let name = word(function.name);
        let at = match self.place(index, &id, &name) {
            Some(at) => at,
            None if self.calls.len() >= MAX_CALLS => {
                return Err(Error::Protocol(format!("more than {MAX_CALLS} tool calls in one answer")));
            }
            None => {
                self.calls.push(Growing { index, ..Growing::default() });
                self.calls.len() - 1
            }
        };
        let Growing { call, arguments, .. } = &mut self.calls[at];
        if !id.is_empty() {
            call.id = id;
        }
        // The name comes once; servers that repeat it in every piece repeat it whole.
        if !name.is_empty() {
            call.name = name;
        }
        let more = match function.arguments {
            Value::String(text) => text,
            Value::Null => return Ok(()),
            value => value.to_string(),
        };
        arguments.take(&more);
        call.arguments.push_str(&more);
        Ok(())
    }

    /// Which call a piece belongs to; none if it begins another.
    fn place(&self, index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        let last = self.calls.len().checked_sub(1)?;
        let Some(index) = index else {
            // Without an index, a name begins the next call; a server that repeats it does so under the same id.
            let same = self.calls.iter().rposition(|growing| !id.is_empty() && growing.call.id == id);
            return match same {
                Some(at) if name.is_empty() || !self.calls[at].arguments.is_whole() => Some(at),
                _ if name.is_empty() => Some(last),
                _ => None,
            };
        };
        let at = self.calls.iter().rposition(|growing| growing.index == Some(index))?;
        let call = &self.calls[at].call;
        // Some servers give every call of an answer the same index; then the ids tell them apart.
        let another = !name.is_empty() && !id.is_empty() && !call.id.is_empty() && call.id != id;
        (!another).then_some(at)
    }

    /// Tells the text that has come since the last time.
    pub(super) fn tell_text(&mut self, tell: Tell<'_>) {
        let end = self.text.len() - self.held;
        if self.told < end {
            tell(Event::Text { text: self.text[self.told..end].to_owned() });
            self.told = end;
        }
    }

    /// Tells the end of the text: nothing more comes that would make it the key.
    pub(super) fn tell_rest(&mut self, tell: Tell<'_>) {
        self.held = 0;
        self.tell_text(tell);
    }

    /// Tells what the server counted. Some repeat it in every event, and the last is the sum.
    pub(super) fn tell_usage(&mut self, tell: Tell<'_>) {
        if let Some(usage) = self.usage.take() {
            let count = |name: &str| usage[name].as_u64().unwrap_or(0);
            tell(Event::Usage { prompt_tokens: count("prompt_tokens"), completion_tokens: count("completion_tokens") });
        }
    }

    /// Whether nothing follows that counts, even if the connection stays open.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.calls.is_empty()
    }

    /// The answer ends here, too early.
    pub(super) fn cut(&self, why: &str) -> Error {
        let call = self.calls.last().map(|growing| growing.call.name.clone()).filter(|name| !self.key.is_in(name));
        let why = escape::field(&escape::shortened(why, LONGEST_WHY)).into_owned();
        let call = call.map(|name| escape::field(&escape::shortened(&name, LONGEST_NAME)).into_owned());
        Error::Cut { why, received: Received { characters: self.text.chars().count(), call } }
    }

    /// It is no answer; or no longer one, if it began as one.
    pub(super) fn broken(&self, why: String) -> Error {
        if self.is_empty() { Error::Protocol(why) } else { self.cut(&why) }
    }

    fn reported(&self, error: Value) -> Error {
        let said = Said::of(error, &self.key);
        match said.is_overflow() {
            true => Error::ContextOverflow { message: said.message },
            false if self.is_empty() => Error::Reported(said.message),
            false => self.cut(&format!("the server reported an error: {}", said.message)),
        }
    }

    /// An answer counts only if the server said that it was over: half a tool call must never look like a whole one.
    pub(super) fn finish(self) -> Result<Completion, Error> {
        let reason = self.finish_reason.as_deref().unwrap_or_default().to_ascii_lowercase();
        if reason.is_empty() && !self.over {
            return Err(self.cut("the stream ended, and nothing said that the answer was over"));
        }
        if STOPPED.contains(&&*reason) {
            return Err(self.cut(&format!("the server stopped it ({reason})")));
        }
        let truncated = FULL.contains(&&*reason);
        if truncated && !self.calls.is_empty() {
            return Err(self.cut("the limit of tokens was reached"));
        }
        if self.is_empty() && matches!(&*reason, "tool_calls" | "function_call") {
            return Err(Error::Protocol("it announced tool calls, and there are none".to_owned()));
        }
        if self.calls.iter().any(|growing| growing.call.name.is_empty()) {
            return Err(Error::Protocol("a tool call without a name".to_owned()));
        }
        let of_call = |call: &ToolCall| [&call.id, &call.name, &call.arguments].map(|part| self.key.is_in(part));
        if self.calls.iter().any(|growing| of_call(&growing.call).contains(&true)) {
            return Err(Error::Protocol("a tool call that holds the API key".to_owned()));
        }
        let mut tool_calls: Vec<ToolCall> = self.calls.into_iter().map(|growing| growing.call).collect();
        for at in 0..tool_calls.len() {
            let (earlier, later) = tool_calls.split_at_mut(at);
            let call = &mut later[0];
            // An answer is sent back under its id, so each call needs one of its own.
            if call.id.is_empty() || earlier.iter().any(|other| other.id == call.id) {
                call.id = format!("call_{}", uuid::Uuid::new_v4().simple());
            }
            // For a tool without parameters; sent back, an empty text would be refused as no JSON.
            if call.arguments.trim_ascii().is_empty() {
                "{}".clone_into(&mut call.arguments);
            }
        }
        Ok(Completion { text: self.text, tool_calls, truncated })
    }
}

/// A word, or a number that stands for one.
fn word(value: Value) -> String {
    match value {
        Value::String(word) => word,
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// A place in a list, also one that stands in quotes.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
