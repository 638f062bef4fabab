//! `agentctl audit list`.

use std::{collections::VecDeque, time::Duration};

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::{
    NOBODYS, NOT_LOOKED, Shown, opened,
    select::{Filters, Select},
};
use crate::{
    cli::{
        app::App,
        failure::{Failure, Kind},
        ui::{Line, Ui},
    },
    store::audit::{Audit, Cursor, Entry, Kind as EntryKind},
};

/// How often `--follow` looks for new entries.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl audit list --tool buy_product --since 7d
  agentctl audit list --follow --json | jq .")]
pub(super) struct Args {
    #[command(flatten)]
    filters: Filters,
    /// Go on printing entries as they are written, until ^C; with --json one object a line
    #[arg(long, short)]
    follow: bool,
}

pub(super) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let (audit, key) = opened(app).await?;
    let (ui, limit) = (&app.ui, args.filters.limit.unwrap_or(usize::MAX));
    let mut select = Select::new(&args.filters, app.clock.now());
    let mut cursor = Cursor::default();
    let mut newest: VecDeque<Entry> = VecDeque::new();
    let mut empty = true;
    audit.read_on(&mut cursor, |entry, _| {
        empty = false;
        select.entry(entry, |entry| {
            newest.push_back(entry);
            if newest.len() > limit {
                newest.pop_front();
            }
        });
        true
    })?;
    if key.is_none() && !empty {
        ui.status(NOT_LOOKED);
    }
    if !args.follow {
        list(ui, newest.make_contiguous(), empty);
        return Ok(());
    }
    newest.iter().for_each(|entry| show(ui, entry));
    let mut stop = app.stop(None)?;
    let failure = tokio::select! {
        biased;
        failure = stop.next() => failure,
        ended = follow(app, &audit, &mut select, &mut cursor) => return ended,
    };
    // Stopping is how one ends it.
    if failure.kind == Kind::Interrupted { Ok(()) } else { Err(failure) }
}

/// Prints what is new, until nobody reads it any more.
async fn follow(app: &App, audit: &Audit, select: &mut Select<'_>, cursor: &mut Cursor) -> Result<(), Failure> {
    while !app.ui.is_closed() {
        audit.read_on(cursor, |entry, _| {
            select.entry(entry, |entry| show(&app.ui, &entry));
            !app.ui.is_closed()
        })?;
        if cursor.begun_anew() {
            app.ui.warn("the log that was followed is gone: another one was begun in its place");
        }
        app.clock.sleep(LOOK).await;
    }
    Ok(())
}

fn show(ui: &Ui, entry: &Entry) {
    if ui.json() {
        ui.data(&Shown::of(entry));
    } else {
        ui.answer_line(&line(entry));
    }
}

fn list(ui: &Ui, entries: &[Entry], empty: bool) {
    if ui.json() {
        return ui.data(
            &json!({ "schema_version": 1, "ok": true, "entries": entries.iter().map(Shown::of).collect::<Vec<_>>() }),
        );
    }
    for entry in entries {
        ui.answer_line(&line(entry));
    }
    if entries.is_empty() {
        ui.status(if empty { "There is nothing in the log." } else { "Nothing in the log is what was asked for." });
    }
}

/// One entry on one line, and whether it is nobody's.
fn line(entry: &Entry) -> Line {
    let line = told(entry);
    if entry.proven == Some(false) { line.plain("  ").bad("! ").said(NOBODYS) } else { line }
}

/// When, which action, and what it says.
fn told(entry: &Entry) -> Line {
    let text = |name: &str| entry.body.get(name).and_then(Value::as_str).unwrap_or_default();
    let action = entry.action.as_ref().map_or("-", |action| action.as_str());
    let start = Line::new().dim_field(&format!("{:>5} {}  ", entry.seq, entry.time));
    match entry.kind {
        EntryKind::Request => {
            let arguments = entry.body.get("arguments").map(Value::to_string).unwrap_or_default();
            start.plain("request   ").dim_whole(action).plain("  ").bold(text("tool")).plain(" ").field(&arguments)
        }
        EntryKind::Response => {
            let outcome = text("outcome");
            let start = start.plain("response  ").dim_whole(action).plain("  ");
            start.verdict(outcome == "done", outcome).plain("  ").words(text("message"))
        }
        EntryKind::Sent => start.plain("sent      ").dim_whole(action),
        EntryKind::Recovered if entry.body["foreign"] == true => {
            start.bad("recovered: what stands before this entry was put in by somebody else")
        }
        EntryKind::Recovered => start.warn("recovered: half a line of a crash stands before this entry"),
        EntryKind::Begin => match text("after") {
            "" => start.dim("begin     of the log"),
            after => start.dim("begin     of a new file, after ").dim_field(after),
        },
        EntryKind::Checkpoint => start.dim("sealed"),
        EntryKind::Pruned => {
            let number = |name: &str| entry.body.get(name).map(Value::to_string).unwrap_or_default();
            let (from, to) = (number("from"), number("to"));
            start.dim("pruned    ").dim_field(&format!("entries {from} to {to}, from before {}", text("before")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::ActionId;

    fn entry(kind: EntryKind, body: Value) -> Entry {
        let action = Some(ActionId::from_text("act_1"));
        Entry {
            seq: 7,
            time: "2026-01-01T00:00:00Z".into(),
            prev: String::new(),
            kind,
            action,
            body,
            mac: None,
            proven: None,
        }
    }

    #[test]
    fn entries_are_lines() {
        let ui = Ui::test();
        list(
            &ui,
            &[
                entry(EntryKind::Begin, json!({"after": "audit-000000000001.jsonl"})),
                entry(EntryKind::Request, json!({"tool": "buy_product", "arguments": {"product": "a\u{1b}b"}})),
                entry(EntryKind::Sent, json!({"idempotency_key": null})),
                Entry { proven: Some(false), ..entry(EntryKind::Sent, json!({})) },
                entry(EntryKind::Response, json!({"outcome": "denied", "message": "the user \u{202e}denied it"})),
                entry(EntryKind::Checkpoint, json!({"mac": ""})),
                entry(EntryKind::Recovered, json!({"torn_bytes": 3})),
                entry(EntryKind::Recovered, json!({"torn_bytes": 3, "foreign": true})),
            ],
            false,
        );
        assert_eq!(
            ui.take().0,
            "    7 2026-01-01T00:00:00Z  begin     of a new file, after audit-000000000001.jsonl\n    \
             7 2026-01-01T00:00:00Z  request   act_1  buy_product {\"product\":\"a\\u001bb\"}\n    \
             7 2026-01-01T00:00:00Z  sent      act_1\n    \
             7 2026-01-01T00:00:00Z  sent      act_1  ! nothing proves who wrote this entry\n    \
             7 2026-01-01T00:00:00Z  response  act_1  denied  the user <U+202E>denied it\n    \
             7 2026-01-01T00:00:00Z  sealed\n    \
             7 2026-01-01T00:00:00Z  recovered: half a line of a crash stands before this entry\n    \
             7 2026-01-01T00:00:00Z  recovered: what stands before this entry was put in by somebody else\n"
        );
    }
}
