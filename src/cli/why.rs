//! `agentctl why`: the path of a decision, as the audit log has it.

use anstyle::Style;
use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::{
    app::App,
    audit::{NOBODYS, all_proven, opened},
    failure::{Failure, Kind},
    ids,
    path::{self, text},
    show::call_line,
    ui::{Line, Ui},
};
use crate::{
    call::ActionId,
    store::audit::{Entry, Kind as EntryKind},
};

/// Say how a past call was decided: policy, permission, approval, token, outcome
#[derive(Debug, ClapArgs)]
#[command(after_help = "The id of an action stands in `agentctl audit list`, and in every event of
`agentctl run --json`. The beginning of an id is enough if no other begins so.

Examples:
  agentctl why --last
  agentctl why act_019af2
  agentctl why act_019af2 --json | jq .response.permission")]
pub(crate) struct Args {
    /// Which action
    #[arg(required_unless_present = "last")]
    action: Option<String>,
    /// The one that was asked for last
    #[arg(long, conflicts_with = "action")]
    last: bool,
}

/// Does it. The log is read where it lies; no tenant is needed.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let (audit, key) = opened(app).await?;
    let mut entries = Vec::new();
    // Without a name: the last one so far.
    let mut wanted = args.action.clone().unwrap_or_default();
    let verdict = audit.verify(|link, line| {
        let Some(action) = link.action else { return Ok(()) };
        if args.last && link.kind == EntryKind::Request {
            action.clone_into(&mut wanted);
            entries.clear();
        }
        if !wanted.is_empty() && action.starts_with(&wanted) {
            entries.extend(Entry::read(line).map(|entry| Entry { proven: link.proven, ..entry }));
        }
        Ok(())
    })?;
    let whole = verdict.bad.is_empty();
    if !whole {
        // What stands in a log that was changed may be anybody's words, and behind the change nothing was looked at.
        entries = audit.list()?;
        if let Some(last) = entries.iter().rfind(|entry| args.last && entry.kind == EntryKind::Request) {
            wanted = last.action.as_ref().map(ToString::to_string).unwrap_or_default();
        }
        app.ui
            .warn("the audit log does not hold, so this may not be what happened: `agentctl audit verify` says where");
    }
    if args.last && wanted.is_empty() {
        return Err(Failure::new(Kind::Failed, "nothing was done yet: the audit log names no call"));
    }
    let action = find(&entries, &wanted)?;
    // What carries the log's MAC, if there is such an entry.
    let of = |kind: EntryKind| {
        let all = || entries.iter().filter(|entry| entry.kind == kind && entry.action.as_ref() == Some(&action));
        all().find(|entry| entry.proven != Some(false)).or_else(|| all().next())
    };
    let Some(request) = of(EntryKind::Request) else {
        return Err(Failure::new(Kind::Failed, format!("the log has no request for {action}"))
            .hint("`agentctl audit verify` says whether the log is whole"));
    };
    let path = Path { request, sent: of(EntryKind::Sent), response: of(EntryKind::Response) };
    if app.ui.json() {
        let body = |entry: Option<&Entry>| entry.map(|entry| (entry.time.clone(), entry.body.clone())).unzip();
        let (asked_at, request) = body(Some(request));
        let (sent_at, sent) = body(path.sent);
        let (ended_at, response) = body(path.response);
        // A chain alone can be written anew by anybody.
        let holds = if whole { key.and(path.proven()) } else { Some(false) };
        app.ui.data(&json!({
            "schema_version": 1, "ok": true, "action": action, "log_holds": holds,
            "requested_at": asked_at, "request": request, "sent_at": sent_at, "sent": sent,
            "ended_at": ended_at, "response": response,
        }));
    } else {
        tell(&app.ui, &path);
    }
    Ok(())
}

/// The entries of one action.
struct Path<'a> {
    request: &'a Entry,
    sent: Option<&'a Entry>,
    response: Option<&'a Entry>,
}

impl<'a> Path<'a> {
    fn entries(&self) -> impl Iterator<Item = &'a Entry> {
        std::iter::once(self.request).chain(self.sent).chain(self.response)
    }

    /// Whether all of them carry the log's MAC; none without the key.
    fn proven(&self) -> Option<bool> {
        all_proven(self.entries())
    }
}

/// The action that the text names or begins.
fn find(entries: &[Entry], name: &str) -> Result<ActionId, Failure> {
    let ids = entries.iter().filter_map(|entry| entry.action.as_ref()).map(ActionId::as_str);
    ids::find("action", name, ids, "agentctl audit list").map(ActionId::from_text)
}

fn tell(ui: &Ui, path: &Path<'_>) {
    decided(ui, path);
    if path.proven().is_none() {
        let line = Line::new().warn("- ").plain("not proven: that needs the key in the credential store");
        path::row(ui, "log", line);
    }
    for entry in path.entries().filter(|entry| entry.proven == Some(false)) {
        path::row(ui, "log", Line::new().bad("✗ ").said(&format!("entry {}: {NOBODYS}", entry.seq)));
    }
}

fn decided(ui: &Ui, Path { request, sent, response }: &Path<'_>) {
    let asked = &request.body;
    ui.answer_line(&call_line(text(asked, "tool"), &asked["arguments"]));
    let actor = &asked["actor"];
    path::row(ui, "when", Line::new().field(&request.time));
    let who = Line::new().field(text(actor, "sub")).plain(" at ").field(text(actor, "iss"));
    path::row(ui, "who", who.plain(", profile ").field(text(actor, "profile")));
    path::row(ui, "origin", Line::new().field(text(asked, "origin")));
    if let Some(spend) = asked["spend"].as_str() {
        path::row(ui, "spend", Line::new().field(spend));
    }
    let when_sent = || {
        if let Some(sent) = sent {
            path::row(ui, "sent", Line::new().field(&sent.time));
        }
    };
    let Some(response) = response else {
        when_sent();
        let line = Line::new().bad("unknown").plain(": the log has no answer to this request; it may have happened");
        return path::row(ui, "outcome", line);
    };
    let ended = &response.body;
    // Connecting an account is written down too, and nobody decides about it but the person.
    if !ended["policy"].is_null() && !path::is_undecided(ended) {
        path::policy(ui, &ended["policy"]);
    }
    let denied = ended["policy"].as_array().into_iter().flatten().any(|rule| rule["decision"] == "deny");
    if !denied && !ended["permission"].is_null() {
        path::permission(ui, &ended["permission"]);
    }
    approval(ui, &ended["approval"], response.proven);
    if !ended["asked"].is_null() {
        let (client, message) = (text(&ended["asked"], "client"), text(&ended["asked"], "binding_message"));
        let mut line = Line::new().verdict(false, text(&ended["asked"], "state"));
        // Of what was given up without the key nothing else is known.
        if !client.is_empty() {
            line = line.plain(": client ").field(client).plain(", message ").message(Style::new(), message);
        }
        path::row(ui, "approval", line);
    }
    if !ended["token"].is_null() {
        path::token(ui, &ended["token"]);
    }
    when_sent();
    let outcome = text(ended, "outcome");
    let line = Line::new().verdict(outcome == "done", outcome);
    path::row(ui, "outcome", line.plain(": ").words(text(ended, "message")));
    let status = ended["http_status"].as_u64().map(|status| format!(", HTTP {status}")).unwrap_or_default();
    path::row(ui, "ended", Line::new().field(&response.time).said(&status));
}

/// Who said yes, and how that is known.
fn approval(ui: &Ui, evidence: &Value, proven: Option<bool>) {
    if evidence.is_null() {
        return;
    }
    let mark = match proven {
        Some(true) => Line::new().good("✓ "),
        None => Line::new().warn("- "),
        Some(false) => Line::new().bad("✗ ").plain("not proven: "),
    };
    let line = mark.plain("by ").field(text(evidence, "subject"));
    let line = line.plain(" at ").field(text(evidence, "approved_at"));
    path::row(ui, "approval", line.plain(", bound by ").field(text(evidence, "binding")));
    let line = Line::new().dim("message ").message(Style::new().dimmed(), text(evidence, "binding_message"));
    path::row(ui, "", line.dim(", client ").dim_field(text(evidence, "client")));
    let key = evidence["kid"].as_str().unwrap_or("without a name");
    path::row(
        ui,
        "",
        Line::new().dim("ID token ").dim_field(text(evidence, "id_token_sha256")).dim(", key ").dim_field(key),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(action: &str, kind: EntryKind, body: Value) -> Entry {
        let action = Some(ActionId::from_text(action));
        Entry {
            seq: 1,
            time: "2026-01-01T00:00:00Z".into(),
            prev: String::new(),
            kind,
            action,
            body,
            mac: None,
            proven: Some(true),
        }
    }

    #[test]
    fn an_action_is_found_by_the_beginning_of_its_id() {
        let entries: Vec<Entry> = ["act_a", "act_ab", "act_b"]
            .into_iter()
            .flat_map(|action| [EntryKind::Request, EntryKind::Response].map(|kind| entry(action, kind, json!({}))))
            .collect();
        assert_eq!(find(&entries, "act_b").unwrap().as_str(), "act_b");
        assert_eq!(find(&entries, "act_ab").unwrap().as_str(), "act_ab");
        assert_eq!(find(&entries, "act_a").unwrap().as_str(), "act_a", "the whole id is not a beginning");
        for name in ["act_", "", "act_c", "b"] {
            assert_eq!(find(&entries, name).unwrap_err().kind, Kind::Usage, "{name}");
        }
    }

    #[test]
    fn what_was_decided_is_told_in_order_and_escaped() {
        let ui = Ui::test();
        let request = json!({
            "tool": "reset_password", "arguments": {"user": "bob\u{1b}[2J"}, "origin": "https://okta.example",
            "actor": {"sub": "auth0|1", "iss": "https://a.example/", "profile": "default"},
        });
        let response = json!({
            "policy": [{"author": "admin", "rule": "night", "decision": "require_approval"}],
            "permission": {"answer": "allowed", "checks": [
                {"user": "user:1", "relation": "manage_okta", "object": "okta:main", "allowed": true},
            ]},
            "approval": {"subject": "auth0|1", "binding": "details", "binding_message": "RESET-bob.X",
                         "approved_at": "2026-01-01T00:00:09Z", "id_token_sha256": "ab12", "kid": "k1"},
            "token": {"source": "connection", "connection": "okta", "scopes": ["okta.users.manage"]},
            "outcome": "done", "message": "done", "http_status": 200,
        });
        let (request, response) =
            (entry("act_1", EntryKind::Request, request), entry("act_1", EntryKind::Response, response));
        tell(&ui, &Path { request: &request, sent: None, response: Some(&response) });
        let text = ui.take().0;
        assert!(!text.contains('\u{1b}'), "{text}");
        for expected in [
            "● reset_password   user: \"bob",
            "  policy      ! admin policy night wants you to be asked",
            "  permission  ✓ user:1 manage_okta okta:main: yes",
            "  approval    ✓ by auth0|1 at 2026-01-01T00:00:09Z, bound by details",
            "  token       of the connected account okta with okta.users.manage",
            "  outcome     done: done",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        tell(&ui, &Path { request: &request, sent: None, response: None });
        assert!(ui.take().0.contains("it may have happened"));
    }
}
