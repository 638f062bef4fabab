//! `agentctl audit`: what was done, and whether the log of it is whole.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::{
    app::App,
    failure::{Failure, Kind},
    ui::{Line, Ui},
};
use crate::store::audit::{Audit, Entry, Kind as EntryKind, Verdict};

/// Read and verify the log of everything that was done
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl audit list
  agentctl audit list --json | jq .
  agentctl audit verify")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the entries, oldest first
    List {
        /// Only the last N
        #[arg(long, value_name = "N")]
        last: Option<usize>,
    },
    /// Check the chain of hashes; exit code 1 if it is broken
    Verify,
}

/// Does it. The log is read where it lies; nothing else is needed, so it can be read without a tenant.
pub(crate) fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let audit = Audit::open(&app.config()?.dirs.state);
    match args.what {
        What::List { last } => {
            let entries = audit.list()?;
            let skipped = last.map_or(0, |last| entries.len().saturating_sub(last));
            list(&app.ui, &entries[skipped..]);
            Ok(())
        }
        What::Verify => verdict(&app.ui, &audit.verify()?),
    }
}

fn list(ui: &Ui, entries: &[Entry]) {
    if ui.json() {
        return ui.data(&json!({ "schema_version": 1, "ok": true, "entries": entries }));
    }
    for entry in entries {
        ui.answer_line(&line(entry));
    }
    if entries.is_empty() {
        ui.status("Nothing has been done yet.");
    }
}

/// One entry on one line: when, which action, and what it says.
fn line(entry: &Entry) -> Line {
    let text = |name: &str| entry.body.get(name).and_then(Value::as_str).unwrap_or_default();
    let action = entry.action.as_ref().map_or("-", |action| action.as_str());
    let start = Line::new().dim_field(&format!("{:>5} {}  ", entry.seq, entry.time));
    match entry.kind {
        EntryKind::Request => {
            let arguments = entry.body.get("arguments").map(Value::to_string).unwrap_or_default();
            start.plain("request   ").dim_field(action).plain("  ").bold(text("tool")).plain(" ").field(&arguments)
        }
        EntryKind::Response => {
            let outcome = text("outcome");
            let start = start.plain("response  ").dim_field(action).plain("  ");
            let start = if outcome == "done" { start.good(outcome) } else { start.warn(outcome) };
            start.plain("  ").field(text("message"))
        }
        EntryKind::Recovered => start.warn("recovered: half a line of a crash stands before this entry"),
    }
}

fn verdict(ui: &Ui, verdict: &Verdict) -> Result<(), Failure> {
    let Verdict { entries, recovered, unfinished, first_bad } = verdict;
    if let Some((line, why)) = first_bad {
        return Err(Failure::new(Kind::Failed, format!("the audit log is broken at line {line}: {why}")).hint(
            format!("the {entries} entries before it hold; keep the file as it is for whoever looks into this"),
        ));
    }
    if ui.json() {
        ui.data(&json!({
            "schema_version": 1, "ok": true, "entries": entries, "recovered": recovered, "unfinished": unfinished,
        }));
        return Ok(());
    }
    ui.answer_line(&Line::new().good("✓ ").plain(&format!("{entries} entries; every one follows from the one before")));
    for line in recovered.iter().chain(unfinished) {
        ui.warn(&format!("line {line} is half a line, as a crash leaves it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::ActionId;

    fn entry(kind: EntryKind, body: Value) -> Entry {
        let action = Some(ActionId::from_text("act_1"));
        Entry { seq: 7, time: "2026-01-01T00:00:00Z".into(), prev: String::new(), kind, action, body }
    }

    #[test]
    fn entries_are_lines() {
        let ui = Ui::test();
        list(
            &ui,
            &[
                entry(EntryKind::Request, json!({"tool": "buy_product", "arguments": {"product": "a\u{1b}b"}})),
                entry(EntryKind::Response, json!({"outcome": "denied", "message": "the user denied it"})),
            ],
        );
        assert_eq!(
            ui.take().0,
            "    7 2026-01-01T00:00:00Z  request   act_1  buy_product {\"product\":\"a\\u001bb\"}\n    \
             7 2026-01-01T00:00:00Z  response  act_1  denied  the user denied it\n"
        );
    }

    #[test]
    fn a_broken_chain_is_a_failure() {
        let broken = Verdict { entries: 3, first_bad: Some((4, "its hash differs".into())), ..Verdict::default() };
        let failure = verdict(&Ui::test(), &broken).unwrap_err();
        assert_eq!(failure.kind.exit_code(), 1);
        assert!(failure.message.contains("line 4"), "{}", failure.message);
    }
}
