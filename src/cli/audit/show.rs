//! `agentctl audit show`: one action in words.

use anstyle::Style;
use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::{NOBODYS, Pair, Shown, entries_of, opened, words};
use crate::{
    cli::{
        app::App,
        failure::Failure,
        path,
        ui::{Line, Ui},
        words::count,
    },
    proof::{self, Grade},
};

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  agentctl audit show act_0198c0ffee")]
pub(super) struct Args {
    /// Which action (act_...), or the beginning of its id
    action: String,
}

pub(super) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let (audit, key) = opened(app).await?;
    let (pair, entries) = entries_of(&audit, &args.action)?;
    let grade = key.map_or(Ok(None), |key| proof::grade_of(&audit, key, &entries));
    if app.ui.json() {
        app.ui.data(&json!({
            "schema_version": 1,
            "ok": true,
            "action": pair.action(),
            "proven": pair.proven(),
            "request": Shown::of(&pair.request),
            "sent": pair.sent.as_ref().map(Shown::of),
            "response": pair.response.as_ref().map(Shown::of),
            "grade": grade.as_ref().ok().copied().flatten(),
            "problem": grade.as_ref().err(),
        }));
        return Ok(());
    }
    show(&app.ui, &pair, &grade);
    Ok(())
}

fn show(ui: &Ui, pair: &Pair, grade: &Result<Option<Grade>, String>) {
    let asked = |path: &str| words(pair.asked(path));
    let ended = |path: &str| words(pair.ended(path));
    let row = |name: &str, value: &str| {
        if !value.is_empty() {
            path::row(ui, name, Line::new().field(value));
        }
    };
    let title = Line::new().bold(&asked("/tool")).plain("  ").field(&asked("/effect"));
    ui.answer_line(&title.dim("  ").dim_whole(pair.action()));
    if let Value::Object(arguments) = pair.asked("/arguments") {
        for (name, value) in arguments {
            ui.answer_line(&Line::new().plain("    ").label(name).field(&value.to_string()));
        }
    }
    row("asked", &format!("{} (entry {})", pair.request.time, pair.request.seq));
    row("by", &join(&[("", asked("/actor/sub")), ("at ", asked("/actor/iss")), ("profile ", asked("/actor/profile"))]));
    row("run", &asked("/run"));
    row("goes to", &asked("/origin"));
    row("may spend", &asked("/spend"));
    row("digest", &asked("/digest"));
    row("permission", &ended("/permission/answer"));
    if pair.ended("/approval").is_object() {
        let of = |name: &str| ended(&format!("/approval/{name}"));
        row("approved", &join(&[("", of("approved_at")), ("asked ", of("requested_at")), ("", of("approval"))]));
        row("approved by", &join(&[("", of("subject")), ("at ", of("issuer")), ("through ", of("client"))]));
        let amr = pair.ended("/approval/amr").as_array().into_iter().flatten().map(words).collect::<Vec<_>>();
        row("by means of", &join(&[("acr ", of("acr")), ("amr ", amr.join(" "))]));
        let saw = Line::new().message(Style::new(), &of("binding_message"));
        let bound = of("binding");
        // Older entries do not say it.
        path::row(ui, "they saw", if bound.is_empty() { saw } else { saw.plain(", bound by ").field(&bound) });
        let proof = match grade {
            Ok(Some(grade)) => format!("{grade}: {}", meaning(*grade)),
            Ok(None) => "not checked".to_owned(),
            Err(why) => format!("does not hold: {why}"),
        };
        row("proof", &proof);
    }
    let scopes = pair.ended("/token/scopes").as_array().into_iter().flatten().map(words).collect::<Vec<_>>();
    if let Some(entry) = &pair.sent {
        row("sent", &format!("{} (entry {})", entry.time, entry.seq));
    }
    row("token", &join(&[("for ", ended("/token/audience")), ("", scopes.join(" "))]));
    match &pair.response {
        None => row("ended", "nobody knows: its end was never written"),
        Some(entry) => {
            let status = ended("/http_status");
            let status = if status.is_empty() { status } else { format!("HTTP {status}") };
            row("ended", &format!("{} (entry {})", entry.time, entry.seq));
            row("outcome", &join(&[("", ended("/outcome")), ("", status), ("", ended("/message"))]));
        }
    }
    vouch(ui, pair);
}

/// Whether what is shown carries the log's MAC.
fn vouch(ui: &Ui, pair: &Pair) {
    let line = match pair.proven() {
        Some(true) if pair.passed_over == 0 => Line::new().good("✓ ").plain("every entry carries the log's MAC"),
        Some(true) => {
            let others = count(pair.passed_over, "more entry does", "more entries do");
            let line = Line::new().good("✓ ").plain("what is shown carries the log's MAC; ").said(&others);
            line.plain(" not, and nothing of that is believed")
        }
        None => Line::new().warn("- ").plain("not checked: that needs the key in the credential store"),
        Some(false) => {
            for entry in pair.entries().filter(|entry| entry.proven == Some(false)) {
                let line = Line::new().bad("✗ ").said(&format!("entry {}: {NOBODYS}", entry.seq));
                path::row(ui, "written by", line);
            }
            return;
        }
    };
    path::row(ui, "written by", line);
}

/// What a grade says, in a few words.
pub(super) fn meaning(grade: Grade) -> &'static str {
    match grade {
        Grade::A => "the issuer signed that this person approved this very call",
        Grade::B => "the issuer signed who approved and when; it answered with the details of this call, unsigned",
        Grade::C => "the issuer signed who approved and when; that it was this call is our own word",
    }
}

fn join(parts: &[(&str, String)]) -> String {
    let parts = parts.iter().filter(|(_, value)| !value.is_empty());
    parts.map(|(before, value)| format!("{before}{value}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        call::ActionId,
        store::audit::{Entry, Kind},
    };

    #[test]
    fn an_action_in_words() {
        let entry = |seq, kind, body| Entry {
            seq,
            time: "2026-01-01T00:00:00.000Z".into(),
            prev: String::new(),
            kind,
            action: Some(ActionId::from_text("act_1")),
            body,
            mac: None,
            proven: Some(true),
        };
        let request = json!({
            "actor": {"iss": "https://issuer.example", "sub": "ada", "client": "c", "profile": "default"}, "run": null,
            "tool": "buy_product", "effect": "irreversible", "arguments": {"product": "a\u{1b}", "qty": 2},
            "origin": "https://shop.example", "digest": "sha-256:x", "spend": "any price",
        });
        let response = json!({
            "outcome": "done", "message": "order ord_81 created", "http_status": 201, "permission": {"answer": "not_required"},
            "approval": {"approval": "apr_1", "binding": "details", "issuer": "https://issuer.example", "client": "c",
                "subject": "ada", "acr": null, "amr": ["push"], "binding_message": "BUY.7F",
                "requested_at": "t1", "approved_at": "t2"},
            "token": {"audience": "shop", "scopes": ["openid", "product:buy"]},
        });
        let ui = Ui::test();
        let pair = Pair {
            request: entry(5, Kind::Request, request),
            sent: Some(entry(6, Kind::Sent, json!({}))),
            response: Some(entry(7, Kind::Response, response)),
            passed_over: 0,
        };
        show(&ui, &pair, &Ok(Some(Grade::A)));
        assert_eq!(
            ui.take().0,
            "buy_product  irreversible  act_1\n    product: \"a\\u001b\"\n    qty: 2\n  \
             asked       2026-01-01T00:00:00.000Z (entry 5)\n  \
             by          ada, at https://issuer.example, profile default\n  \
             goes to     https://shop.example\n  may spend   any price\n  digest      sha-256:x\n  \
             permission  not_required\n  approved    t2, asked t1, apr_1\n  \
             approved by ada, at https://issuer.example, through c\n  by means of amr push\n  \
             they saw    BUY.7F, bound by details\n  \
             proof       A: the issuer signed that this person approved this very call\n  \
             sent        2026-01-01T00:00:00.000Z (entry 6)\n  \
             token       for shop, openid product:buy\n  \
             ended       2026-01-01T00:00:00.000Z (entry 7)\n  outcome     done, HTTP 201, order ord_81 created\n  \
             written by  ✓ every entry carries the log's MAC\n"
        );
        let sent = Some(Entry { proven: Some(false), ..pair.request.clone() });
        show(&ui, &Pair { response: None, sent, ..pair }, &Ok(None));
        let text = ui.take().0;
        assert!(text.contains("ended       nobody knows: its end was never written\n"), "{text}");
        assert!(text.ends_with("written by  ✗ entry 5: nothing proves who wrote this entry\n"), "{text}");
    }
}
