//! `agentctl audit export`: the log for other programs, and receipts for other people.

use std::collections::{HashMap, HashSet, VecDeque};

use clap::{Args as ClapArgs, ValueEnum};

use super::{
    NOBODYS, Pair, Shown, csv, entries_of, opened,
    select::{Filters, Select},
};
use crate::{
    call::ActionId,
    cli::{
        app::App,
        failure::{Failure, Kind},
        ui::json_safe,
    },
    proof::{self, Problem, Receipt},
    store::{
        audit::{Audit, Cursor, Entry, Kind as EntryKind},
        seal::DataKey,
    },
};

/// Output is written in pieces of this size.
const PIECE: usize = 64 * 1024;

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl audit export --format csv > log.csv
  agentctl audit export --receipt act_0198c0ffee > receipt.json")]
pub(super) struct Args {
    #[command(flatten)]
    filters: Filters,
    /// JSON with every entry, or CSV with one row for each action
    #[arg(long, value_enum, default_value_t = Format::Json, conflicts_with = "receipt")]
    format: Format,
    /// One action, in a form that somebody else can check with `audit verify --receipt`
    #[arg(long, value_name = "ACTION", conflicts_with_all = ["run", "tool", "outcome", "since", "until", "action", "limit"])]
    receipt: Option<String>,
    /// Put the issuer's signed tokens into the receipt, once they have expired: they name the person
    #[arg(long, requires = "receipt")]
    tokens: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Csv,
}

pub(super) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let (audit, key) = opened(app).await?;
    if let Some(action) = &args.receipt {
        return receipt(app, &audit, key, action, args.tokens);
    }
    let mut select = Select::new(&args.filters, app.clock.now());
    match (args.format, args.filters.limit) {
        (Format::Json, limit) => {
            let mut out = Out { app, text: "{\"schema_version\":1,\"ok\":true,\"entries\":[".to_owned() };
            let mut first = true;
            entries(&audit, &mut select, limit, |entry| {
                if let Ok(text) = serde_json::to_string(&Shown::of(&entry)) {
                    out.write(if std::mem::take(&mut first) { "\n" } else { ",\n" });
                    out.write(&json_safe(text));
                }
            })?;
            out.write("\n]}\n");
            out.flush();
        }
        (Format::Csv, limit) => {
            let mut out = Out { app, text: csv::head() };
            let mut rows = Newest::new(limit);
            let mut open: HashMap<ActionId, Pair> = HashMap::new();
            let mut known: HashSet<ActionId> = HashSet::new();
            entries(&audit, &mut select, None, |entry| {
                let Some(action) = entry.action.clone() else { return };
                match (entry.kind, open.get_mut(&action)) {
                    // One row for each action: a second request is not from here, and `verify` says so.
                    (EntryKind::Request, None) if known.insert(action.clone()) => {
                        open.insert(action, Pair::new(entry));
                    }
                    (EntryKind::Request, Some(pair)) => {
                        pair.began(entry);
                    }
                    (EntryKind::Sent, Some(pair)) => pair.sent(entry),
                    (EntryKind::Response, Some(pair)) => {
                        let ends = pair.ended_by(entry);
                        // One that is nobody's is no end, if there is another.
                        if ends && pair.proven() != Some(false) {
                            rows.push(csv::of(pair), |row| out.write(&row));
                            open.remove(&action);
                        }
                    }
                    _ => {}
                }
            })?;
            // What has no end, or nobody's, comes last, in its own order.
            let mut left: Vec<Pair> = open.into_values().collect();
            left.sort_by_key(|pair| pair.request.seq);
            for pair in left {
                rows.push(csv::of(&pair), |row| out.write(&row));
            }
            rows.kept.into_iter().for_each(|row| out.write(&row));
            out.flush();
        }
    }
    Ok(())
}

/// Every wanted entry; with a limit the newest ones.
fn entries(
    audit: &Audit,
    select: &mut Select<'_>,
    limit: Option<usize>,
    mut each: impl FnMut(Entry),
) -> Result<(), Failure> {
    let mut newest = Newest::new(limit);
    audit.read_on(&mut Cursor::default(), |entry, _| {
        select.entry(entry, |entry| newest.push(entry, &mut each));
        true
    })?;
    newest.kept.into_iter().for_each(each);
    Ok(())
}

/// Lets everything through, or keeps the newest.
struct Newest<T> {
    limit: Option<usize>,
    kept: VecDeque<T>,
}

impl<T> Newest<T> {
    fn new(limit: Option<usize>) -> Self {
        Self { limit, kept: VecDeque::new() }
    }

    fn push(&mut self, value: T, mut through: impl FnMut(T)) {
        let Some(limit) = self.limit else { return through(value) };
        self.kept.push_back(value);
        if self.kept.len() > limit {
            self.kept.pop_front();
        }
    }
}

/// Standard output, in pieces.
struct Out<'a> {
    app: &'a App,
    text: String,
}

impl Out<'_> {
    fn write(&mut self, text: &str) {
        self.text.push_str(text);
        if self.text.len() >= PIECE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.app.ui.bytes(std::mem::take(&mut self.text).as_bytes());
    }
}

fn receipt(app: &App, audit: &Audit, key: Option<&DataKey>, action: &str, tokens: bool) -> Result<(), Failure> {
    let (pair, entries) = entries_of(audit, action)?;
    for entry in pair.entries().filter(|entry| entry.proven == Some(false)) {
        app.ui.warn(&format!("entry {}: {NOBODYS}", entry.seq));
    }
    let failed = |why: &str| Failure::new(Kind::Failed, format!("there is no receipt for {}: {why}", pair.action()));
    let grade = match key {
        Some(key) => proof::grade_of(audit, key, &entries).map_err(|why| failed(&why))?,
        None => None,
    };
    let receipt = Receipt::new(pair.action(), entries, key, tokens, grade, app.clock.now()).map_err(|problem| {
        let failure = failed(&problem.to_string());
        match problem {
            Problem::StillGood { .. } => failure.hint("wait until then, or leave out --tokens"),
            Problem::NoKey => failure.hint("use the credential store that it was written with (AGENTCTL_STORE)"),
            Problem::Wrong(_) => failure.hint("`agentctl audit verify` looks at the whole log"),
        }
    })?;
    app.ui.data(&receipt);
    Ok(())
}
