//! The JSON Schema of `run --json`, generated from one table: `agentctl generate events-schema`. A test holds the table
//! against the events themselves.

use serde_json::{Map, Value, json};

use super::failure::Kind;
use crate::call::Outcome;

/// The members of an event: name and kind. A `?` behind the name says that it may be missing.
type Members = &'static [(&'static str, &'static str)];

/// Every event: its type, what it says, its members beside those that all have.
const EVENTS: &[(&str, &str, Members)] = &[
    ("run.started", "The run began.", &[("run", "run_id"), ("model", "text")]),
    ("text.delta", "A piece of the answer, unescaped.", &[("text", "text")]),
    ("text.done", "The answer of one turn is complete, unescaped.", &[("text", "text")]),
    ("model.retry", "The model is asked again.", &[("reason", "text"), ("wait_s", "seconds")]),
    (
        "model.usage",
        "What the model's server counted in one request.",
        &[("prompt_tokens", "count"), ("completion_tokens", "count")],
    ),
    (
        "tool.planned",
        "A call was understood and is about to go its way.",
        &[("action", "action_id"), ("tool", "text"), ("effect", "effect"), ("arguments", "arguments")],
    ),
    (
        "tool.foreseen",
        "What would become of a call; only with --dry-run.",
        &[
            ("tool", "text"),
            ("arguments", "arguments"),
            ("would_run", "truth"),
            ("would_ask", "truth"),
            ("outcome", "outcome"),
            ("message", "text"),
        ],
    ),
    (
        "tool.completed",
        "A call ended, whichever way.",
        &[("action?", "action_id"), ("tool", "text"), ("outcome", "outcome"), ("message", "text"), ("data?", "any")],
    ),
    (
        "approval.queued",
        "A request is sent when the wait for another one is over.",
        &[("action", "action_id"), ("behind?", "approval_id"), ("at_most_s", "count")],
    ),
    (
        "approval.requested",
        "The person's device rings, or a request that rang before is waited for again.",
        &[
            ("approval", "approval_id"),
            ("action", "action_id"),
            ("tool", "text"),
            ("binding_message", "text"),
            ("code", "text"),
            ("origin", "text"),
            ("agent", "text"),
            ("spend?", "text"),
            ("permission", "text"),
            ("binding", "binding"),
            ("details", "text"),
            ("arguments", "arguments"),
            ("expires_in", "count"),
            ("expires_at", "time"),
            ("again?", "truth"),
        ],
    ),
    (
        "approval.waiting",
        "Something happened to a wait that goes on.",
        &[("approval", "approval_id"), ("news", "news"), ("interval_s?", "count"), ("error?", "text")],
    ),
    (
        "approval.answered",
        "An approval ended.",
        &[
            ("approval", "approval_id"),
            ("answer", "answer"),
            ("by?", "text"),
            ("binding?", "binding"),
            ("details?", "text"),
            ("after_s", "seconds"),
        ],
    ),
];

/// The last line: its type, what it says, and the ends that have it.
const TERMINAL: &[(&str, &str, &[Kind])] = &[
    ("run.completed", "Done.", &[]),
    (
        "run.refused",
        "Something that was wanted was refused.",
        &[Kind::ConnectionNeeded, Kind::Denied, Kind::Expired, Kind::NotPermitted, Kind::Limit],
    ),
    ("run.pending", "A person has not answered yet; `agentctl resume` goes on.", &[Kind::Pending]),
    (
        "run.failed",
        "It failed, or was stopped.",
        &[
            Kind::Failed,
            Kind::Usage,
            Kind::LoginNeeded,
            Kind::Model,
            Kind::Tool,
            Kind::Timeout,
            Kind::HungUp,
            Kind::Interrupted,
            Kind::Terminated,
        ],
    ),
];

/// What every terminal event may have beside `ok`, `exit_code` and, if it is no success, the error.
const AT_THE_END: Members = &[
    ("run", "run_or_none"),
    ("text", "text"),
    ("usage?", "usage"),
    ("next?", "texts"),
    ("approvals?", "approval_ids"),
    ("dry_run?", "truth"),
];

/// The whole schema, of one line.
pub(crate) fn events() -> Value {
    let mut lines: Vec<Value> = EVENTS.iter().map(|(name, says, members)| event(name, says, members)).collect();
    lines.extend(TERMINAL.iter().map(|(name, says, kinds)| terminal(name, says, kinds)));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line of `agentctl run --json`",
        "description": "The last line has one of the types run.completed, run.refused, run.pending, run.failed.",
        "oneOf": lines,
        "$defs": kinds(),
    })
}

fn event(name: &str, says: &str, members: Members) -> Value {
    let mut properties = Map::new();
    let mut required: Vec<&str> = vec!["schema_version", "time", "type"];
    properties.insert("schema_version".to_owned(), json!({ "const": 1 }));
    properties.insert("time".to_owned(), json!({ "$ref": "#/$defs/time" }));
    properties.insert("type".to_owned(), json!({ "const": name }));
    for (member, kind) in members {
        let member = match member.strip_suffix('?') {
            Some(member) => member,
            None => {
                required.push(member);
                member
            }
        };
        properties.insert(member.to_owned(), json!({ "$ref": format!("#/$defs/{kind}") }));
    }
    json!({
        "title": name, "description": says, "type": "object",
        "properties": properties, "required": required, "additionalProperties": false,
    })
}

fn terminal(name: &str, says: &str, kinds: &[Kind]) -> Value {
    let mut event = event(name, says, AT_THE_END);
    let codes: Vec<u8> = kinds.iter().map(|kind| kind.exit_code()).collect();
    let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
    let mut add = |member: &str, shape: Value| {
        event["properties"][member] = shape;
        if let Some(required) = event["required"].as_array_mut() {
            required.push(json!(member));
        }
    };
    add("ok", json!({ "const": kinds.is_empty() }));
    if kinds.is_empty() {
        add("exit_code", json!({ "const": 0 }));
    } else {
        add("exit_code", json!({ "enum": codes }));
        add("error", json!({ "enum": words }));
        add("message", json!({ "$ref": "#/$defs/text" }));
        add("hints", json!({ "$ref": "#/$defs/texts" }));
    }
    event
}

fn kinds() -> Value {
    let id = |prefix: &str| json!({ "type": "string", "pattern": format!("^{prefix}_[0-9a-f]{{32}}$") });
    let outcomes = [
        Outcome::Done,
        Outcome::Invalid,
        Outcome::NotPermitted,
        Outcome::Denied,
        Outcome::Expired,
        Outcome::Pending,
        Outcome::Limit,
        Outcome::ConnectionNeeded,
        Outcome::LoginNeeded,
        Outcome::Failed,
        Outcome::Unknown,
        Outcome::Cancelled,
        Outcome::Rehearsed,
    ];
    json!({
        "text": { "type": "string" },
        "texts": { "type": "array", "items": { "type": "string" } },
        "time": { "type": "string", "pattern": "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z$" },
        "count": { "type": "integer", "minimum": 0 },
        "seconds": { "type": "number", "minimum": 0 },
        "truth": { "type": "boolean" },
        "any": {},
        "arguments": { "type": ["object", "null"] },
        "run_id": id("run"),
        "run_or_none": { "anyOf": [{ "$ref": "#/$defs/run_id" }, { "type": "null" }] },
        "action_id": id("act"),
        "approval_id": id("apr"),
        "approval_ids": { "type": "array", "items": { "$ref": "#/$defs/approval_id" } },
        "effect": { "enum": ["read", "reversible", "irreversible"] },
        "binding": { "enum": ["details", "message", "code"] },
        "answer": { "enum": ["approved", "denied", "expired", "failed", "abandoned"] },
        "news": { "enum": ["slow_down", "offline", "online"] },
        "outcome": { "enum": outcomes.map(Outcome::word) },
        "usage": {
            "type": "object",
            "description": "What the model's server counted in the whole run; null if it counts nothing.",
            "properties": {
                "prompt_tokens": { "$ref": "#/$defs/count" },
                "completion_tokens": { "$ref": "#/$defs/count" },
                "cost": { "description": "`unpriced`, or a decimal number and its currency." , "anyOf": [
                    { "const": "unpriced" },
                    {
                        "type": "object",
                        "properties": { "amount": { "type": "string", "pattern": "^\\d+(\\.\\d+)?$" },
                            "currency": { "type": "string" } },
                        "required": ["amount", "currency"],
                        "additionalProperties": false,
                    },
                ] },
            },
            "required": ["prompt_tokens", "completion_tokens", "cost"],
            "additionalProperties": false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        call::{ActionId, ApprovalId, RunId},
        cli::{finish, show, verdict},
        event::{ApprovalShown, Event, WaitNews},
    };

    fn samples() -> Vec<Event> {
        let (action, approval) = (ActionId::mint(), ApprovalId::mint());
        let text = |text: &str| text.to_owned();
        let waiting = |news| Event::ApprovalWaiting { approval: approval.clone(), news };
        vec![
            Event::RunStarted { run: RunId::mint(), model: text("m") },
            Event::Text { text: text("a") },
            Event::TextDone { text: text("a") },
            Event::ModelRetry { reason: text("busy"), wait_s: 0.5 },
            Event::Usage { prompt_tokens: 1, completion_tokens: 2 },
            Event::ToolPlanned {
                action: action.clone(),
                tool: text("t"),
                effect: text("read"),
                arguments: json!({ "q": 1 }),
            },
            Event::ToolForeseen {
                tool: text("t"),
                arguments: Value::Null,
                would_run: false,
                would_ask: false,
                outcome: Outcome::Invalid,
                message: text("m"),
            },
            Event::ToolCompleted {
                action: Some(action.clone()),
                tool: text("t"),
                outcome: Outcome::Done,
                message: text("m"),
                data: Some(json!([1])),
            },
            Event::ApprovalQueued { action: action.clone(), behind: Some(approval.clone()), at_most_s: 600 },
            Event::ApprovalRequested(Box::new(ApprovalShown {
                approval: approval.clone(),
                action,
                tool: text("t"),
                binding_message: text("m"),
                code: text("c"),
                origin: text("o"),
                agent: text("a"),
                spend: Some(text("any price")),
                permission: text("fga"),
                binding: text("details"),
                details: text("requested"),
                arguments: json!({}),
                expires_in: 300,
                expires_at: text("2026-01-01T00:05:00Z"),
                again: true,
            })),
            waiting(WaitNews::SlowDown { interval_s: 10 }),
            waiting(WaitNews::Offline { error: text("no route") }),
            waiting(WaitNews::Online),
            Event::ApprovalAnswered {
                approval: approval.clone(),
                answer: text("approved"),
                by: Some(text("Ada")),
                binding: Some(text("code")),
                details: Some(text("granted")),
                after_s: 1.0,
            },
        ]
    }

    /// `agentctl generate events-schema > docs/events.schema.json` mends a difference.
    #[test]
    fn the_committed_schema_is_what_is_generated() {
        let kept: Value = serde_json::from_str(include_str!("../../docs/events.schema.json")).unwrap();
        assert!(kept == events(), "docs/events.schema.json is not what is generated");
    }

    #[test]
    fn every_event_fits_the_schema_and_nothing_in_it_is_without_an_event() {
        let schema = jsonschema::validator_for(&events()).unwrap();
        let mut seen = std::collections::BTreeMap::<String, Map<String, Value>>::new();
        for event in samples() {
            let mut line = json!({ "schema_version": 1, "time": "2026-01-01T00:00:00.000Z" });
            line.as_object_mut().unwrap().extend(json!(event).as_object().unwrap().clone());
            let wrong: Vec<String> = schema.iter_errors(&line).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{wrong:?} in {line}");
            let mut more = line.clone();
            more["more"] = json!(1);
            assert!(!schema.is_valid(&more), "a member more is let through: {more}");
            let name = line["type"].as_str().unwrap().to_owned();
            seen.entry(name).or_default().extend(line.as_object().unwrap().clone());
        }
        for (name, _, members) in EVENTS {
            let known = seen.remove(*name).unwrap_or_default();
            for (member, _) in *members {
                assert!(known.contains_key(member.trim_end_matches('?')), "{name} has no {member}");
            }
        }
        assert!(seen.is_empty(), "{:?} are in no schema", seen.keys());
    }

    #[test]
    fn every_way_to_end_fits_the_schema() {
        let schema = jsonschema::validator_for(&events()).unwrap();
        let now = chrono::DateTime::UNIX_EPOCH;
        assert_eq!(show::rfc3339(now), "1970-01-01T00:00:00.000Z");
        let mut names = Vec::new();
        for (name, _, kinds) in TERMINAL {
            names.push(*name);
            let ends = kinds.iter().map(|kind| Some(*kind)).chain(kinds.is_empty().then_some(None));
            for kind in ends {
                assert_eq!(verdict::event_name(kind), *name);
                let failure = kind.map(|kind| crate::cli::failure::Failure::new(kind, "no").hint("do"));
                let run = RunId::mint();
                for run in [None, Some(&run)] {
                    let line = finish::terminal(now, run, "", failure.as_ref());
                    let wrong: Vec<String> = schema.iter_errors(&line).map(|error| error.to_string()).collect();
                    assert!(wrong.is_empty(), "{wrong:?} in {line}");
                }
            }
        }
        assert_eq!(names.len(), 4);
    }
}
