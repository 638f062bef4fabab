//! The steps of a decision as lines, for what would be (`can`) and for what was (`why`). Both come as the JSON of the
//! guard's records: that is also how they lie in the audit log, perhaps written by another version.

use serde_json::Value;

use super::ui::{Line, Ui};

/// How permission stands where nobody came to ask.
const NOT_ASKED: &str = "not asked";

/// Writes one step under its name.
pub(crate) fn row(ui: &Ui, name: &str, line: Line) {
    ui.answer_line(&Line::new().dim_said(&format!("  {name:<12}")).append(line));
}

/// The rules and limits that speak about the call.
pub(crate) fn policy(ui: &Ui, applied: &Value) {
    let rules = applied.as_array().map(Vec::as_slice).unwrap_or_default();
    for rule in rules {
        let denies = rule["decision"] == "deny";
        let mark = if denies { Line::new().bad("✗ ") } else { Line::new().warn("! ") };
        let author = if rule["author"] == "flag" { "this command's limit" } else { text(rule, "author") };
        let line = mark.field(author).plain(" policy ").bold(text(rule, "rule"));
        let line = line.plain(if denies { " denies it" } else { " wants you to be asked" });
        let reason = text(rule, "reason");
        row(ui, "policy", if reason.is_empty() { line } else { line.plain(": ").words(reason) });
    }
    if rules.is_empty() {
        row(ui, "policy", Line::new().good("✓ ").plain("nothing speaks against it"));
    }
}

/// Whether the call ended before a rule or a permission was looked at.
pub(crate) fn is_undecided(record: &Value) -> bool {
    record["permission"]["answer"] == NOT_ASKED && record["policy"].as_array().is_none_or(Vec::is_empty)
}

/// What the permission server was asked, one line a question.
pub(crate) fn permission(ui: &Ui, record: &Value) {
    // Older entries hold the answer alone.
    let answer = record.as_str().unwrap_or_else(|| text(record, "answer"));
    let checks = record["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
    for check in checks {
        let (mark, words) = match check["allowed"].as_bool() {
            Some(true) => (Line::new().good("✓ "), "yes"),
            Some(false) => (Line::new().bad("✗ "), "no"),
            None => (Line::new().bad("✗ "), "no answer"),
        };
        let question = format!("{} {} {}", text(check, "user"), text(check, "relation"), text(check, "object"));
        row(ui, "permission", mark.words(&question).plain(": ").plain(words));
    }
    if checks.is_empty() {
        let mark = match answer {
            "not required" | "none (by profile)" | "allowed" => Line::new().good("✓ "),
            NOT_ASKED => Line::new(),
            _ => Line::new().bad("✗ "),
        };
        row(ui, "permission", mark.words(answer));
    }
    let why = text(record, "why");
    if checks.iter().any(|check| check["allowed"].is_null()) && !why.is_empty() {
        row(ui, "", Line::new().dim_words(why));
    }
}

/// Which token the call carries.
pub(crate) fn token(ui: &Ui, token: &Value) {
    let whose = match text(token, "source") {
        "approval" => "the approval's own",
        "connection" => "of the connected account",
        "user" => "yours",
        // Older entries do not say it.
        _ => "one",
    };
    let mut line = Line::new().plain(whose);
    for (word, name) in [(" ", "connection"), (" for ", "audience"), (" at ", "resource")] {
        if let Some(value) = token[name].as_str() {
            line = line.plain(word).field(value);
        }
    }
    let scopes: Vec<&str> = token["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    row(ui, "token", if scopes.is_empty() { line } else { line.plain(" with ").words(&scopes.join(" ")) });
}

/// A text member, empty if it is not there.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
