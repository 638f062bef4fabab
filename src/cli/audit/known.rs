//! What the journal knows to stand in the log. Who takes the log away, or puts an older copy in its place, would have to do the
//! same to the journal at the same time.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::{
    cli::{app::App, failure::Failure, show::rfc3339},
    store::{
        audit::{Bad, Flaw, Kind, Link, Place, Verdict},
        journal::{Journal, Logged},
    },
};

/// Actions whose request was written into the log before anything of them was written into the journal.
#[derive(Debug, Default)]
pub(super) struct Known {
    actions: HashMap<String, Logged>,
    runs: HashSet<String>,
    /// When the log that is here began.
    began: Option<DateTime<Utc>>,
}

impl Known {
    /// Asks the journal, before the log is read: what it knows by then stands in the log. Without a journal nothing is known.
    pub(super) fn read(app: &App) -> Result<Self, Failure> {
        let state = &app.config()?.dirs.state;
        if !Journal::lies_in(state) {
            return Ok(Self::default());
        }
        let actions = match app.journal().and_then(|journal| Ok(journal.logged_actions()?)) {
            Ok(actions) => actions,
            Err(failure) => {
                app.ui.warn(&format!("the log is not compared with the journal: {}", failure.message));
                Vec::new()
            }
        };
        let actions = actions.into_iter().map(|known| (known.action.as_str().to_owned(), known)).collect();
        let runs = app.journal().and_then(|journal| Ok(journal.runs()?)).unwrap_or_default();
        let runs = runs.into_iter().map(|run| run.row.id.as_str().to_owned()).collect();
        Ok(Self { actions, runs, began: None })
    }

    /// Whether a run can be gone on with.
    pub(super) fn has_run(&self, run: &str) -> bool {
        self.runs.contains(run)
    }

    /// Looks at one entry of the log.
    pub(super) fn entry(&mut self, link: &Link<'_>, line: &[u8]) {
        if self.began.is_none() {
            self.began = time_of(line);
        }
        if let Some(action) = link.action.filter(|_| link.kind == Kind::Request) {
            self.actions.remove(action);
        }
    }

    /// Adds what is missing to a verdict. Returns how many actions are older than the log.
    pub(super) fn judge(self, verdict: &mut Verdict, end: Place) -> usize {
        // Behind a flaw of the chain the log was not read.
        if verdict.bad.iter().any(|bad| bad.flaw != Flaw::Evidence) {
            return 0;
        }
        let (mut missing, older): (Vec<Logged>, Vec<Logged>) =
            self.actions.into_values().partition(|known| self.began.is_none_or(|began| known.at >= began));
        missing.sort_by_key(|known| known.at);
        let Some(first) = missing.first() else { return older.len() };
        let what = format!("{} ({}, {})", first.action, first.tool, rfc3339(first.at));
        let more = match missing.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let why = match verdict.read() {
            0 => format!("there is no log, and the journal knows {what}{more}: it was taken away"),
            _ => format!(
                "{what}{more} is in the journal and not in the log: its end was cut off, or an older copy put back"
            ),
        };
        verdict.say(Bad { flaw: Flaw::Missing, place: end, why });
        older.len()
    }
}

fn time_of(line: &[u8]) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Line {
        time: DateTime<Utc>,
    }
    serde_json::from_slice::<Line>(line).ok().map(|line| line.time)
}
