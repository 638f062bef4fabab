//! `agentctl audit`: what was done, who allowed it, and whether the log of it is whole.

mod csv;
mod export;
mod known;
mod list;
mod select;
mod show;
mod verify;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use serde_json::Value;

use crate::{
    cli::{
        app::App,
        failure::{Failure, Kind},
    },
    proof::Entries,
    store::{
        audit::{Audit, Cursor, Entry, Kind as EntryKind},
        seal::DataKey,
    },
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

/// The log as one reads it: with its key, if the credential store gives that without asking the person for anything new. Only
/// then is it known which entries were written with it.
pub(super) async fn opened(app: &App) -> Result<(Audit, Option<&DataKey>), Failure> {
    let key = app.log_key().await?;
    let audit = app.audit()?;
    if let Some(key) = key {
        audit.unlock(key, app.store()?.lasts());
    }
    Ok((audit, key))
}

/// What stands behind an entry that carries no MAC of the log.
pub(super) const NOBODYS: &str = "nothing proves who wrote this entry";
/// Why that is not known of any.
const NOT_LOOKED: &str =
    "which of them carry the log's MAC was not checked: that needs the key in the credential store";

/// An entry as others read it.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    /// Whether it carries the log's MAC; null without the key.
    proven: Option<bool>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(entry: &'a Entry) -> Self {
        Self { entry, proven: entry.proven }
    }
}

/// Whether all of them carry the log's MAC; none without the key.
pub(super) fn all_proven<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Option<bool> {
    entries.into_iter().try_fold(true, |all, entry| Some(all && entry.proven?))
}

/// The entries of one action, by its id or the unmistakable beginning of it.
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
            (None, EntryKind::Request) => found = Some((Pair::new(entry), Entries { request: line, response: None })),
            (Some((pair, _)), _) if pair.action() != action => other = Some(action),
            (Some((pair, entries)), EntryKind::Request) => {
                let begins = pair.began(entry);
                if begins {
                    entries.request = line;
                }
            }
            (Some((pair, _)), EntryKind::Sent) => pair.sent(entry),
            (Some((pair, entries)), EntryKind::Response) => {
                let ends = pair.ended_by(entry);
                if ends {
                    entries.response = Some(line);
                }
            }
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

/// One action. Whose first entries carry no MAC of the log, those stand that do.
#[derive(Debug)]
struct Pair {
    request: Entry,
    sent: Option<Entry>,
    response: Option<Entry>,
    /// How many entries that carry no MAC of the log stand beside these.
    passed_over: u64,
}

impl Pair {
    fn new(request: Entry) -> Self {
        Self { request, sent: None, response: None, passed_over: 0 }
    }

    /// It was asked for once more. Says whether this is what began it.
    fn began(&mut self, entry: Entry) -> bool {
        let begins = entry.takes_over(Some(&self.request));
        self.passed_over += Self::passes_over(Some(&self.request), &entry, begins);
        if begins {
            self.request = entry;
        }
        begins
    }

    /// It was sent, perhaps once more.
    fn sent(&mut self, entry: Entry) {
        let counts = entry.takes_over(self.sent.as_ref());
        self.passed_over += Self::passes_over(self.sent.as_ref(), &entry, counts);
        if counts {
            self.sent = Some(entry);
        }
    }

    /// How it ended is said once: what stands behind that is not from here, and `verify` says so. Says whether it was this.
    fn ended_by(&mut self, entry: Entry) -> bool {
        let ends = entry.takes_over(self.response.as_ref());
        self.passed_over += Self::passes_over(self.response.as_ref(), &entry, ends);
        if ends {
            self.response = Some(entry);
        }
        ends
    }

    /// How many of two entries are shown no longer, or never, because they carry no MAC.
    fn passes_over(before: Option<&Entry>, entry: &Entry, counts: bool) -> u64 {
        u64::from(if counts { before.is_some() } else { entry.proven == Some(false) })
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        std::iter::once(&self.request).chain(&self.sent).chain(&self.response)
    }

    /// Whether all that is shown of it carries the log's MAC; none without the key.
    fn proven(&self) -> Option<bool> {
        all_proven(self.entries())
    }

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
