//! Executions in the journal: each action is begun once, and its end is written down once.

use chrono::{DateTime, Utc};
use rusqlite::{Row, Transaction, params};

use super::{ApprovalChange, ApprovalState, Error, Journal, maybe_time, millis, time};
use crate::call::{ActionId, ApprovalId, RunId};

/// An execution as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionRow {
    /// Its action.
    pub action: ActionId,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// Which tool.
    pub tool: String,
    /// The digest of what was carried out.
    pub digest: String,
    /// What the server knows a repeat by.
    pub idempotency_key: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; none if that was never learnt.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended (a word of `call::Outcome`).
    pub outcome: Option<String>,
    /// The last HTTP status.
    pub http_status: Option<u16>,
    /// What it brought, as JSON; for a process that takes the run up after a crash.
    pub output: Option<String>,
}

/// An execution that begins.
#[derive(Clone, Copy, Debug)]
pub struct Execution<'a> {
    /// Its action.
    pub action: &'a ActionId,
    /// The run it belongs to.
    pub run: &'a RunId,
    /// Which tool.
    pub tool: &'a str,
    /// The digest of what is carried out.
    pub digest: &'a str,
}

/// How an execution ended.
#[derive(Clone, Copy, Debug)]
pub struct ExecutionEnd<'a> {
    /// A word of `call::Outcome`.
    pub outcome: &'a str,
    /// The last HTTP status.
    pub http_status: Option<u16>,
    /// What it brought, as JSON.
    pub output: &'a str,
}

/// An action that the journal knows, and whose request stands in the audit log: it was written there first.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// Which action.
    pub action: ActionId,
    /// Which tool.
    pub tool: String,
    /// When its approval was planned or its execution began.
    pub at: DateTime<Utc>,
}

impl Journal {
    /// The actions that were asked about or carried out, in no order.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn logged_actions(&self) -> Result<Vec<Logged>, Error> {
        let sql = "SELECT action, tool, started_at FROM executions
                   UNION ALL SELECT action, tool, created_at FROM approvals
                       WHERE action NOT IN (SELECT action FROM executions)";
        self.list(sql, [], |row| {
            Ok(Logged { action: ActionId::from_text(row.get::<_, String>(0)?), tool: row.get(1)?, at: time(row, 2)? })
        })
    }

    /// Writes down that an action is about to be carried out, and in the same step that its approval is being used: what is
    /// found executing without this was never begun. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`Error::Exists`] if it was begun before; [`Error::Stale`] if the approval is not to be used any more; if the journal
    /// cannot be written. In all cases nothing may be sent.
    pub fn begin_execution(
        &self,
        approval: Option<&ApprovalId>,
        execution: Execution<'_>,
        idempotency_key: &str,
        at: DateTime<Utc>,
    ) -> Result<(), Error> {
        let Execution { action, run, tool, digest } = execution;
        let insert = |tx: &Transaction<'_>| {
            let sql = "INSERT INTO executions (action, run, tool, digest, idempotency_key, started_at)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let values = params![action.as_str(), run.as_str(), tool, digest, idempotency_key, millis(at)];
            tx.execute(sql, values).map(drop)
        };
        let result = match approval {
            None => self.step("execution_started", insert),
            Some(approval) => {
                use ApprovalState::{Approved, Executing};
                self.passes("before:execution_started");
                let moved = self.move_approval_and(approval, Approved, Executing, &ApprovalChange::at(at), insert);
                self.passes("after:execution_started");
                moved
            }
        };
        match result {
            Err(Error::Exists(_)) => Err(Error::Exists(action.to_string())),
            Ok(()) => {
                self.rely_on("executions", action.as_str());
                Ok(())
            }
            other => other,
        }
    }

    /// Writes down how an action ended.
    ///
    /// # Errors
    /// If it was never begun or has ended already, or the journal cannot be written.
    pub fn end_execution(&self, action: &ActionId, at: DateTime<Utc>, end: ExecutionEnd<'_>) -> Result<(), Error> {
        let ExecutionEnd { outcome, http_status, output } = end;
        let changed = self.step("execution_ended", |tx| {
            let sql = "UPDATE executions SET ended_at = ?2, outcome = ?3, http_status = ?4, output = ?5
                       WHERE action = ?1 AND ended_at IS NULL";
            tx.execute(sql, params![action.as_str(), millis(at), outcome, http_status, output])
        })?;
        match (changed, self.execution(action)?) {
            (1, _) => Ok(()),
            (_, Some(_)) => Err(Error::Exists(action.to_string())),
            (_, None) => Err(Error::Missing(action.to_string())),
        }
    }

    /// Whether this very call was begun in this run before, and nobody learnt how it ended.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn unclear_in_run(&self, run: &RunId, tool: &str, digest: &str) -> Result<bool, Error> {
        // What somebody has edited may have been one.
        let unclear = format!("outcome IS NULL OR outcome = 'unknown' OR {}", self.unproven("executions"));
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM executions WHERE run = ?1 AND tool = ?2 AND digest = ?3 AND ({unclear}))"
        );
        Ok(self.find(&sql, params![run.as_str(), tool, digest], |row| row.get(0))?.unwrap_or(false))
    }

    /// An execution, if it is there.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn execution(&self, action: &ActionId) -> Result<Option<ExecutionRow>, Error> {
        let columns = "run, tool, digest, idempotency_key, started_at, ended_at, outcome, http_status, output";
        let read = |row: &Row<'_>| {
            Ok(ExecutionRow {
                action: action.clone(),
                run: row.get::<_, Option<String>>(0)?.map(RunId::from_text),
                tool: row.get(1)?,
                digest: row.get(2)?,
                idempotency_key: row.get(3)?,
                started_at: time(row, 4)?,
                ended_at: maybe_time(row, 5)?,
                outcome: row.get(6)?,
                http_status: row.get(7)?,
                output: row.get(8)?,
            })
        };
        Ok(self.read("executions", columns, "WHERE action = ?1", &[action.as_str()], read)?.pop())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::at, *};
    use crate::files::tests::TempDir;

    #[test]
    fn an_action_begins_and_ends_once() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let action = ActionId::mint();
        let end = |outcome, http_status| ExecutionEnd { outcome, http_status, output: "{}" };
        assert!(matches!(journal.end_execution(&action, at(1), end("done", None)), Err(Error::Missing(_))));
        let run = RunId::mint();
        let execution = Execution { action: &action, run: &run, tool: "buy_product", digest: "sha-256:x" };
        let start = || journal.begin_execution(None, execution, "key", at(0));
        start().unwrap();
        assert!(matches!(start(), Err(Error::Exists(_))));
        assert_eq!(journal.execution(&action).unwrap().unwrap().ended_at, None);
        journal.end_execution(&action, at(1), end("done", Some(201))).unwrap();
        assert!(matches!(journal.end_execution(&action, at(2), end("failed", None)), Err(Error::Exists(_))));
        let row = journal.execution(&action).unwrap().unwrap();
        assert_eq!((row.outcome.as_deref(), row.http_status, row.ended_at), (Some("done"), Some(201), Some(at(1))));
        assert_eq!(journal.execution(&ActionId::mint()).unwrap(), None);
    }

    #[test]
    fn what_ended_without_anybody_knowing_how_is_remembered_for_its_run() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let run = RunId::mint();
        for (digest, outcome, unclear) in
            [("a", None, true), ("b", Some("unknown"), true), ("c", Some("done"), false), ("d", Some("failed"), false)]
        {
            let action = ActionId::mint();
            let execution = Execution { action: &action, run: &run, tool: "buy_product", digest };
            journal.begin_execution(None, execution, "key", at(0)).unwrap();
            if let Some(outcome) = outcome {
                let end = ExecutionEnd { outcome, http_status: None, output: "{}" };
                journal.end_execution(&action, at(1), end).unwrap();
            }
            assert_eq!(journal.unclear_in_run(&run, "buy_product", digest).unwrap(), unclear, "{digest}");
        }
        assert!(!journal.unclear_in_run(&RunId::mint(), "buy_product", "a").unwrap());
        assert!(!journal.unclear_in_run(&run, "search_products", "a").unwrap());
    }
}
