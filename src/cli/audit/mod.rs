//! `agentctl audit`: what was done, who allowed it, and whether the log of it is whole.

mod csv;
mod export;
mod known;
mod list;
mod select;
mod show;
mod verify;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::Value;

use crate::{
    cli::{
        app::App,
        failure::{Failure, Kind},
    },
    proof::Entries,
    store::audit::{Audit, Cursor, Entry, Kind as EntryKind},
};

/// Read, verify and export the log of everything that was done
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl audit list --tool buy_product --since 7d
  agentctl audit list --follow --json | jq .
  agentctl audit show act_0198c0ffee
  agentctl audit verify
  agentctl audit export --format csv > log.csv
  agentctl audit export --receipt act_0198c0ffee > receipt.json")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the entries, oldest first
    List(list::Args),
    /// Show one action: what was asked, who allowed it, how it ended
    Show(show::Args),
    /// Check the chain, the seals and the issuer's signatures; exit code 1 if something does not hold
    Verify(verify::Args),
    /// Write the log, or the receipt of one action, to standard output
    Export(export::Args),
}

/// Does it. The log is read where it lies; nothing else is needed, so it can be read without a tenant.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::List(args) => list::run(app, args).await,
        What::Show(args) => show::run(app, args).await,
        What::Verify(args) => verify::run(app, args).await,
        What::Export(args) => export::run(app, args).await,
    }
}

/// The two entries of one action, by its id or the unmistakable beginning of it.
fn entries_of(audit: &Audit, name: &str) -> Result<(Pair, Entries), Failure> {
    let mut found: Option<(Pair, Entries)> = None;
    let mut other = None;
    audit.read_on(&mut Cursor::default(), |entry, line| {
        let Some(action) = entry.action.as_ref().map(|action| action.as_str().to_owned()) else { return true };
        if name.is_empty() || !action.starts_with(name) {
            return true;
        }
        let line = String::from_utf8_lossy(line).into_owned();
        match (&mut found, entry.kind) {
            (None, EntryKind::Request) => {
                found = Some((Pair { request: entry, response: None }, Entries { request: line, response: None }));
            }
            // How it ended is said once: what stands behind that is not from here, and `verify` says so.
            (Some((pair, entries)), EntryKind::Response) if pair.action() == action && pair.response.is_none() => {
                pair.response = Some(entry);
                entries.response = Some(line);
            }
            (Some((pair, _)), _) if pair.action() != action => other = Some(action),
            _ => {}
        }
        other.is_none()
    })?;
    match (found, other) {
        (Some((pair, _)), Some(other)) => {
            let message = format!("more than one action begins with {name}: {}, {other}, ...", pair.action());
            Err(Failure::new(Kind::Usage, message).hint("write more of its id"))
        }
        (Some(found), None) => Ok(found),
        (None, _) => Err(Failure::new(Kind::Usage, format!("the log knows no action {name}"))
            .hint("`agentctl audit list` shows every action's id (act_...)")),
    }
}

/// One action.
#[derive(Debug)]
struct Pair {
    request: Entry,
    response: Option<Entry>,
}

impl Pair {
    fn action(&self) -> &str {
        self.request.action.as_ref().map_or("", |action| action.as_str())
    }

    /// A member of the request.
    fn asked(&self, path: &str) -> &Value {
        self.request.body.pointer(path).unwrap_or(&Value::Null)
    }

    /// A member of the response.
    fn ended(&self, path: &str) -> &Value {
        self.response.as_ref().and_then(|entry| entry.body.pointer(path)).unwrap_or(&Value::Null)
    }
}

/// A value as a person reads it: a text without its quotes, nothing for null.
fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
