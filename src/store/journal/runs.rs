//! Runs and their conversations in the journal.

use chrono::{DateTime, Utc};
use rusqlite::{Row, Transaction, params, types::Type};
use serde_json::Value;

use super::{Bounds, Error, Journal, id_as_it_is, maybe_time, millis, time};
use crate::call::RunId;

const COLUMNS: &str = "id, started_at, profile, model, title, ended_at, status, exit_code, used_at, bounds";

/// The states of an approval that something can still follow, in SQL.
const OPEN_STATES: &str = "'planned', 'requested', 'redeeming', 'approved', 'executing'";
const PENDING_APPROVAL: &str = "SELECT 1 FROM approvals WHERE run = runs.id
         AND state IN ('planned', 'requested', 'redeeming', 'approved', 'executing')";
const WAITING: &str = "WHERE ended_at IS NULL OR EXISTS (SELECT 1 FROM calls WHERE run = runs.id AND closed_at IS NULL)
     ORDER BY used_at DESC, id DESC";
const UNENDED: &str = "SELECT 1 FROM executions WHERE run = runs.id AND ended_at IS NULL";
/// That neither a run nor anything of it was touched since `?1`, and that no request of it could be answered since.
const UNTOUCHED: &str = "coalesce(ended_at, started_at) < ?1
     AND NOT EXISTS (SELECT 1 FROM approvals WHERE run = runs.id AND max(created_at, coalesce(requested_at, 0),
         coalesce(answered_at, 0), coalesce(polled_at, 0), coalesce(expires_at, 0)) >= ?1)
     AND NOT EXISTS (SELECT 1 FROM executions WHERE run = runs.id AND max(started_at, coalesce(ended_at, 0)) >= ?1)
     AND NOT EXISTS (SELECT 1 FROM calls WHERE run = runs.id AND max(started_at, coalesce(closed_at, 0)) >= ?1)";

/// A run as it began.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Under which profile.
    pub profile: String,
    /// With which model; empty for a single call, which has none and no conversation.
    pub model: String,
    /// A few words to know it by.
    pub title: String,
    /// What it keeps to.
    pub bounds: Bounds,
}

impl RunRow {
    /// Whether it is one call without a model.
    #[must_use]
    pub fn is_single_call(&self) -> bool {
        self.model.is_empty()
    }
}

/// A run as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedRun {
    /// How it began.
    pub row: RunRow,
    /// When it ended; none while it goes on, and none if it was killed.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended: `run.completed`, `run.refused`, `run.pending`, `run.failed`.
    pub status: Option<String>,
    /// With which exit code.
    pub exit_code: Option<i32>,
    /// When it began, went on or ended, whichever was last.
    pub used_at: DateTime<Utc>,
}

/// What the model was asked for the task that a run is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often.
    pub turns: u32,
    /// How many tokens it read and wrote.
    pub tokens: u64,
}

impl Journal {
    /// Writes down that a run began.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn start_run(&self, run: &RunRow) -> Result<(), Error> {
        let RunRow { id, started_at, profile, model, title, bounds } = run;
        let bounds = self.kept(bounds)?;
        self.write(false, |tx| {
            let sql = "INSERT INTO runs (id, started_at, profile, model, title, used_at, bounds)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?2, ?6)";
            tx.execute(sql, params![id.as_str(), millis(*started_at), profile, model, title, bounds]).map(drop)
        })?;
        self.rely_on("", id.as_str());
        Ok(())
    }

    /// Writes down what a run keeps to from now on.
    ///
    /// # Errors
    /// If there is no such run, or the journal cannot be written.
    pub fn bind_run(&self, run: &RunId, bounds: &Bounds) -> Result<(), Error> {
        let bounds = self.kept(bounds)?;
        let changed = self
            .write(true, |tx| tx.execute("UPDATE runs SET bounds = ?2 WHERE id = ?1", params![run.as_str(), bounds]))?;
        if changed == 0 { Err(Error::Missing(run.to_string())) } else { Ok(()) }
    }

    /// Writes down how far the task of a run has come: it may be gone on with.
    ///
    /// # Errors
    /// If there is no such run, or the journal cannot be written.
    pub fn count(&self, run: &RunId, tally: Tally) -> Result<(), Error> {
        let tokens = i64::try_from(tally.tokens).unwrap_or(i64::MAX);
        let changed = self.write(false, |tx| {
            let sql = "UPDATE runs SET task_turns = ?2, task_tokens = ?3 WHERE id = ?1";
            tx.execute(sql, params![run.as_str(), tally.turns, tokens])
        })?;
        if changed == 0 { Err(Error::Missing(run.to_string())) } else { Ok(()) }
    }

    /// How far the task of a run had come.
    ///
    /// # Errors
    /// If there is no such run, or the journal cannot be read.
    pub fn tally(&self, run: &RunId) -> Result<Tally, Error> {
        let columns = "coalesce(task_turns, 0), coalesce(task_tokens, 0)";
        let read = |row: &Row<'_>| {
            let tokens: i64 = row.get(1)?;
            Ok(Tally { turns: row.get(0)?, tokens: u64::try_from(tokens).unwrap_or(u64::MAX) })
        };
        let tally = self.read("runs", columns, "WHERE id = ?1", &[run.as_str()], read)?.pop();
        tally.ok_or_else(|| Error::Missing(run.to_string()))
    }

    fn kept(&self, bounds: &Bounds) -> Result<String, Error> {
        serde_json::to_string(bounds).map_err(|_| self.corrupt("the bounds of a run cannot be written"))
    }

    /// Writes down that a run ended.
    ///
    /// # Errors
    /// If there is no such run, or the journal cannot be written.
    pub fn end_run(&self, run: &RunId, at: DateTime<Utc>, status: &str, exit_code: i32) -> Result<(), Error> {
        let changed = self.write(false, |tx| {
            let sql = "UPDATE runs SET ended_at = ?2, used_at = ?2, status = ?3, exit_code = ?4 WHERE id = ?1";
            tx.execute(sql, params![run.as_str(), millis(at), status, exit_code])
        })?;
        if changed == 0 { Err(Error::Missing(run.to_string())) } else { Ok(()) }
    }

    /// Adds a message to a run's conversation.
    ///
    /// # Errors
    /// If there is no such run, or the journal cannot be written.
    pub fn append_message(&self, run: &RunId, message: &Value) -> Result<(), Error> {
        match self.write(false, |tx| append(tx, run, message)) {
            Err(Error::Exists(_)) => Err(Error::Missing(run.to_string())), // the constraint was the run's foreign key
            other => other,
        }
    }

    /// A run's conversation, in order.
    ///
    /// # Errors
    /// If the journal cannot be read; [`Error::Unproven`] if one is missing of a conversation that is relied on.
    pub fn messages(&self, run: &RunId) -> Result<Vec<Value>, Error> {
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
        let all = self.read("messages", "seq, body", "WHERE run = ?1 ORDER BY seq", &[run.as_str()], read)?;
        let message = |(place, (seq, text)): (usize, (i64, String))| match serde_json::from_str(&text) {
            _ if seq != number(place) && self.relies_on(run) => {
                Err(Error::Unproven { table: "messages", row: format!("{run} {place}") })
            }
            message => message.map_err(|_| self.corrupt("a message is not JSON")),
        };
        all.into_iter().enumerate().map(message).collect()
    }

    /// Puts a message in the place of another.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn replace_message(&self, run: &RunId, place: usize, message: &Value) -> Result<(), Error> {
        self.write(false, |tx| {
            let sql = "UPDATE messages SET body = ?3 WHERE run = ?1 AND seq = ?2";
            tx.execute(sql, params![run.as_str(), number(place), message.to_string()]).map(drop)
        })
    }

    /// Writes down that an ended run goes on.
    ///
    /// # Errors
    /// If there is no such run, or the journal cannot be written.
    pub fn reopen_run(&self, run: &RunId, at: DateTime<Utc>) -> Result<(), Error> {
        let changed = self.write(false, |tx| {
            let sql = "UPDATE runs SET ended_at = NULL, used_at = ?2, status = NULL, exit_code = NULL WHERE id = ?1";
            tx.execute(sql, params![run.as_str(), millis(at)])
        })?;
        if changed == 0 { Err(Error::Missing(run.to_string())) } else { Ok(()) }
    }

    /// A run, if it is there.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn run(&self, run: &RunId) -> Result<Option<SavedRun>, Error> {
        Ok(self.read("runs", COLUMNS, "WHERE id = ?1", &[run.as_str()], run_row)?.pop())
    }

    /// Every run, the last begun first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn runs(&self) -> Result<Vec<SavedRun>, Error> {
        self.list(&format!("SELECT {COLUMNS} FROM runs ORDER BY started_at DESC, id DESC"), [], run_row)
    }

    /// The runs that wait or were cut off, the last used first: they did not end, or a call of theirs did not.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn waiting_runs(&self) -> Result<Vec<SavedRun>, Error> {
        self.list(&format!("SELECT {COLUMNS} FROM runs {WAITING}"), [], run_row)
    }

    /// The ids of the same, also of those whose row cannot be read.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn waiting_run_ids(&self) -> Result<Vec<RunId>, Error> {
        self.list(&format!("SELECT id FROM runs {WAITING}"), [], |row| Ok(RunId::from_text(id_as_it_is(row)?)))
    }

    /// Whether something of a run is not over: an approval that can still be followed, or an effect that nobody knows about.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn has_pending(&self, run: &RunId) -> Result<bool, Error> {
        let sql = format!("SELECT EXISTS ({PENDING_APPROVAL}) OR EXISTS ({UNENDED}) FROM (SELECT ?1 AS id) AS runs");
        Ok(self.find(&sql, [run.as_str()], |row| row.get(0))?.unwrap_or(false))
    }

    /// Removes a run and everything that belongs to it. The audit log is another file and stays whole.
    ///
    /// # Errors
    /// If there is no such run, or the journal cannot be written.
    pub fn delete_run(&self, run: &RunId) -> Result<(), Error> {
        let deleted = self.write(true, |tx| remove_run(tx, run.as_str()))?;
        if deleted { Ok(()) } else { Err(Error::Missing(run.to_string())) }
    }

    /// The runs that nothing happened to since `before`, the oldest first. What waits in such a run is waited for no longer:
    /// its requests have expired, and what may have been done was done before. A run without an end may still go on; its
    /// lease says so.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn outlived_runs(&self, before: DateTime<Utc>) -> Result<Vec<RunId>, Error> {
        let sql = format!("SELECT id FROM runs WHERE {UNTOUCHED} ORDER BY started_at, id");
        self.list(&sql, [millis(before)], |row| Ok(RunId::from_text(row.get::<_, String>(0)?)))
    }

    /// Whether a run is still one of [`Journal::outlived_runs`].
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn is_outlived(&self, run: &RunId, before: DateTime<Utc>) -> Result<bool, Error> {
        let sql = format!("SELECT 1 FROM runs WHERE id = ?2 AND {UNTOUCHED}");
        Ok(self.find(&sql, params![millis(before), run.as_str()], |_| Ok(()))?.is_some())
    }

    /// Removes what is older than `before`, over, and belongs to no run.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn prune_single_calls(&self, before: DateTime<Utc>) -> Result<(), Error> {
        self.write(false, |tx| {
            let ended = format!("run IS NULL AND created_at < ?1 AND state NOT IN ({OPEN_STATES})");
            tx.execute(&format!("DELETE FROM approvals WHERE {ended}"), [millis(before)])?;
            tx.execute(
                "DELETE FROM executions WHERE run IS NULL AND ended_at IS NOT NULL AND started_at < ?1",
                [millis(before)],
            )?;
            let closed = "DELETE FROM calls WHERE run IS NULL AND closed_at IS NOT NULL AND started_at < ?1";
            tx.execute(closed, [millis(before)]).map(drop)
        })
    }

    /// Whether a chore is due that is done at most once in `every`; if so it counts as done.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn chore_is_due(&self, name: &str, at: DateTime<Utc>, every: chrono::Duration) -> Result<bool, Error> {
        self.write(false, |tx| {
            let sql = "INSERT INTO chores (name, at) VALUES (?1, ?2)
                       ON CONFLICT (name) DO UPDATE SET at = ?2 WHERE at <= ?3 OR at > ?2";
            Ok(tx.execute(sql, params![name, millis(at), millis(at - every)])? == 1)
        })
    }
}

/// The next message of a conversation.
pub(super) fn append(tx: &Transaction<'_>, run: &RunId, message: &Value) -> rusqlite::Result<()> {
    let sql = "INSERT INTO messages (run, seq, body)
               SELECT ?1, coalesce(max(seq) + 1, 0), ?2 FROM messages WHERE run = ?1";
    tx.execute(sql, params![run.as_str(), message.to_string()]).map(drop)
}

fn remove_run(tx: &Transaction<'_>, run: &str) -> rusqlite::Result<bool> {
    for table in ["approvals", "executions", "calls"] {
        tx.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run])?;
    }
    Ok(tx.execute("DELETE FROM runs WHERE id = ?1", [run])? == 1)
}

pub(super) fn number(at: usize) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

/// What cannot be read narrows the run in a way that nobody knows, so it is an error.
fn bounds(row: &Row<'_>, column: usize) -> rusqlite::Result<Bounds> {
    let text: String = row.get(column)?;
    let error = |error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error));
    serde_json::from_str(&text).map_err(error)
}

fn run_row(row: &Row<'_>) -> rusqlite::Result<SavedRun> {
    Ok(SavedRun {
        row: RunRow {
            id: RunId::from_text(row.get::<_, String>(0)?),
            started_at: time(row, 1)?,
            profile: row.get(2)?,
            model: row.get(3)?,
            title: row.get(4)?,
            bounds: bounds(row, 9)?,
        },
        ended_at: maybe_time(row, 5)?,
        status: row.get(6)?,
        exit_code: row.get(7)?,
        used_at: time(row, 8)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::{
            ApprovalChange, ApprovalState, CallRow, Execution, NamedModel, Then, approvals, schema::MIGRATIONS,
            tests::at,
        },
        *,
    };
    use crate::{call::ActionId, files::tests::TempDir};

    fn run(second: i64) -> RunRow {
        RunRow {
            id: RunId::mint(),
            started_at: at(second),
            profile: "p".into(),
            model: "m".into(),
            title: "t".into(),
            bounds: Bounds::default(),
        }
    }

    fn call(run: &RunId) -> CallRow {
        let text = String::new;
        CallRow {
            action: ActionId::mint(),
            run: run.clone(),
            call: text(),
            tool: text(),
            arguments: text(),
            plan: text(),
            digest: text(),
            started_at: at(0),
            stops: None,
        }
    }

    #[test]
    fn messages_are_cut() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let run = run(0);
        journal.start_run(&run).unwrap();
        for number in 0..4 {
            journal.append_message(&run.id, &json!(number)).unwrap();
        }
        journal.replace_results(&run.id, &[], Then::Cut(2), at(5)).unwrap();
        journal.replace_results(&run.id, &[], Then::Add(&json!("two")), at(5)).unwrap();
        assert_eq!(journal.messages(&run.id).unwrap(), [json!(0), json!(1), json!("two")]);
    }

    #[test]
    fn what_a_run_keeps_to_is_kept_and_what_nobody_understands_is_an_error() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let model = NamedModel { asked: "mine".into(), name: "llama".into(), base_url: "http://localhost/v1".into() };
        let all = Bounds {
            tools: Some(vec!["search".into()]),
            max_spend: Some("10.00 EUR".into()),
            model: Some(model),
            max_turns: Some(3),
            max_tokens_total: Some(1000),
            deny_approvals: Some(true),
        };
        let (free, bound) = (run(0), RunRow { bounds: all.clone(), ..run(1) });
        for row in [&free, &bound] {
            journal.start_run(row).unwrap();
        }
        let kept = |run: &RunRow| Journal::open(&dir.0).unwrap().run(&run.id).unwrap().unwrap().row.bounds;
        assert_eq!((kept(&free), kept(&bound)), (Bounds::default(), all.clone()));
        let none = Bounds { tools: Some(Vec::new()), ..Bounds::default() };
        journal.bind_run(&bound.id, &none).unwrap();
        assert_eq!(kept(&bound), none);
        assert!(matches!(journal.bind_run(&RunId::mint(), &all), Err(Error::Missing(_))));
        for damaged in ["", "[]", r#"{"tools": "all"}"#, r#"{"only_on_sundays": true}"#] {
            journal.write(true, |tx| tx.execute("UPDATE runs SET bounds = ?1", [damaged])).unwrap();
            assert!(matches!(journal.run(&bound.id), Err(Error::Corrupt { .. })), "{damaged}");
        }
    }

    #[test]
    fn a_run_of_an_older_journal_keeps_to_nothing() {
        let dir = TempDir::new();
        let run = run(0);
        let older = rusqlite::Connection::open(dir.path("journal.db")).unwrap();
        older.execute_batch(&MIGRATIONS[..4].concat()).unwrap();
        older.execute_batch("PRAGMA user_version = 4;").unwrap();
        let sql = "INSERT INTO runs (id, started_at, profile, model, title) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = params![run.id.as_str(), millis(run.started_at), run.profile, run.model, run.title];
        older.execute(sql, row).unwrap();
        drop(older);
        let journal = Journal::open(&dir.0).unwrap();
        assert_eq!(journal.run(&run.id).unwrap().unwrap().row, run);
        assert_eq!(journal.tally(&run.id).unwrap(), Tally::default());
        let far = Tally { turns: 3, tokens: u64::MAX };
        journal.count(&run.id, far).unwrap();
        assert_eq!(journal.tally(&run.id).unwrap(), Tally { tokens: i64::MAX as u64, ..far });
        assert!(matches!(journal.count(&RunId::mint(), far), Err(Error::Missing(_))));
    }

    #[test]
    fn a_run_that_goes_on_is_the_last_one_used() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let (old, new) = (run(0), run(1));
        for row in [&old, &new] {
            journal.start_run(row).unwrap();
        }
        let ids = |runs: Vec<SavedRun>| runs.into_iter().map(|run| run.row.id).collect::<Vec<_>>();
        assert_eq!(ids(journal.waiting_runs().unwrap()), [new.id.clone(), old.id.clone()]);
        journal.reopen_run(&old.id, at(2)).unwrap();
        assert_eq!(ids(journal.waiting_runs().unwrap()), [old.id.clone(), new.id.clone()]);
        assert_eq!(ids(journal.runs().unwrap()), [new.id.clone(), old.id.clone()], "by when they began");
        journal.end_run(&new.id, at(3), "run.pending", 10).unwrap();
        assert_eq!(journal.run(&new.id).unwrap().unwrap().used_at, at(3));
    }

    fn begins<'a>(action: &'a ActionId, run: &'a RunId) -> Execution<'a> {
        Execution { action, run, tool: "t", digest: "d" }
    }

    #[test]
    fn what_nothing_happened_to_for_long_is_outlived() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let (old, waiting, touched, asked, new) = (run(0), run(1), run(2), run(3), run(100));
        for row in [&old, &waiting, &touched, &asked, &new] {
            journal.start_run(row).unwrap();
            journal.append_message(&row.id, &json!(1)).unwrap();
            let call = call(&row.id);
            journal.open_call(&call).unwrap();
            if row.id == waiting.id {
                journal.begin_execution(None, begins(&call.action, &row.id), "k", at(1)).unwrap();
            } else if row.id == touched.id {
                journal.begin_execution(None, begins(&call.action, &row.id), "k", at(60)).unwrap();
            } else if row.id == asked.id {
                let approval = approvals::tests::new(Some(row.id.clone()));
                journal.insert_approval(&approval).unwrap();
                let change = ApprovalChange { expires_at: Some(at(70)), ..ApprovalChange::at(at(4)) };
                journal.move_approval(&approval.id, ApprovalState::Planned, ApprovalState::Requested, &change).unwrap();
            } else {
                journal.close_call(&call.action, at(2)).unwrap();
            }
            journal.end_run(&row.id, row.started_at, "run.completed", 0).unwrap();
        }
        assert!(journal.has_pending(&waiting.id).unwrap() && !journal.has_pending(&old.id).unwrap());
        let waits: Vec<RunId> = journal.waiting_runs().unwrap().into_iter().map(|run| run.row.id).collect();
        assert_eq!(waits, [asked.id.clone(), touched.id.clone(), waiting.id.clone()]);

        let outlived = |second| journal.outlived_runs(at(second)).unwrap();
        assert_eq!(outlived(50), [old.id.clone(), waiting.id.clone()]);
        assert_eq!(outlived(61), [old.id.clone(), waiting.id.clone(), touched.id.clone()]);
        assert_eq!(outlived(71).len(), 4);
        assert!(journal.is_outlived(&asked.id, at(71)).unwrap() && !journal.is_outlived(&asked.id, at(70)).unwrap());
        journal.reopen_run(&new.id, at(100)).unwrap();
        assert_eq!(outlived(101).last(), Some(&new.id), "cut off");

        journal.delete_run(&waiting.id).unwrap();
        assert!(journal.messages(&waiting.id).unwrap().is_empty());
        assert!(journal.open_calls(&waiting.id).unwrap().is_empty());
        assert!(!journal.is_outlived(&waiting.id, at(71)).unwrap());
        assert!(matches!(journal.delete_run(&waiting.id), Err(Error::Missing(_))));
    }

    #[test]
    fn a_chore_is_done_once_a_day_whatever_the_clock_does() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let day = chrono::Duration::days(1);
        let due = |second| journal.chore_is_due("prune", at(second), day).unwrap();
        assert!(due(0));
        assert!(!due(10));
        assert!(due(86_400));
        // The clock was set back: it is not waited for until it has caught up.
        assert!(due(5));
    }
}
