//! Tool calls in the journal: what was planned, before anything of it happens, so that another process can end it.

use chrono::{DateTime, Utc};
use rusqlite::{Row, Transaction, params};
use serde_json::{Value, json};

use super::{
    Error, Journal, millis,
    runs::{append, number},
    time,
};
use crate::{
    call::{ActionId, RunId},
    store::stop::Seen,
};

/// A tool call that was planned.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRow {
    /// Its action.
    pub action: ActionId,
    /// The run it belongs to.
    pub run: RunId,
    /// The model's name for it.
    pub call: String,
    /// Which tool.
    pub tool: String,
    /// The validated arguments, as JSON.
    pub arguments: String,
    /// The plan, as JSON: origin, arguments, request.
    pub plan: String,
    /// The digest of what would be done.
    pub digest: String,
    /// When it was planned.
    pub started_at: DateTime<Utc>,
    /// The stops that its process knew of when it began; none if an earlier version wrote it down.
    pub stops: Option<Seen>,
}

/// What becomes of a conversation when late results are put into it.
#[derive(Clone, Copy, Debug)]
pub enum Then<'a> {
    /// Nothing more.
    Nothing,
    /// The messages from this place on are taken away.
    Cut(usize),
    /// This message is added.
    Add(&'a Value),
}

const COLUMNS: &str = "action, run, call, tool, arguments, plan, digest, started_at, stops";

impl Journal {
    /// Writes down a call before anything of it happens.
    ///
    /// # Errors
    /// If the journal cannot be written. Then nothing may be done.
    pub fn open_call(&self, call: &CallRow) -> Result<(), Error> {
        self.passes("before:call_opened");
        // Not waited for: what follows is, and the journal never keeps a later write without an earlier one.
        self.write(false, |tx| {
            let sql = "INSERT INTO calls (action, run, call, tool, arguments, plan, digest, started_at, stops)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            let CallRow { action, run, call, tool, arguments, plan, digest, started_at, stops } = call;
            let (action, run, at) = (action.as_str(), run.as_str(), millis(*started_at));
            let stops = stops.as_ref().map(|stops| json!(stops).to_string());
            tx.execute(sql, params![action, run, call, tool, arguments, plan, digest, at, stops]).map(drop)
        })?;
        self.rely_on("calls", call.action.as_str());
        self.passes("after:call_opened");
        Ok(())
    }

    /// Writes down that everything about a call is written: nothing is left for another process.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn close_call(&self, action: &ActionId, at: DateTime<Utc>) -> Result<(), Error> {
        self.write(false, |tx| close(tx, action.as_str(), at))?;
        self.passes("after:call_closed");
        Ok(())
    }

    /// Adds what a call brought to its run's conversation, and closes its action: with the answer in the conversation nothing
    /// is left for another process. A call that was not planned has no action, and closes nothing.
    ///
    /// # Errors
    /// If there is no such run, or the journal cannot be written.
    pub fn append_result(
        &self,
        run: &RunId,
        action: Option<&ActionId>,
        message: &Value,
        at: DateTime<Utc>,
    ) -> Result<(), Error> {
        self.passes("before:call_closed");
        self.write(false, |tx| {
            append(tx, run, message)?;
            action.map_or(Ok(()), |action| close(tx, action.as_str(), at))
        })?;
        self.passes("after:call_closed");
        Ok(())
    }

    /// Closes calls whose results come late: each is put in the place of the message that said it was pending, if its place
    /// is known. What the conversation says about them in other words goes away, or is added, in the same step: nothing is
    /// left for another process then, so none would do it.
    ///
    /// # Errors
    /// If there is no such run, or the journal cannot be written.
    pub fn replace_results(
        &self,
        run: &RunId,
        results: &[(&ActionId, Option<(usize, &Value)>)],
        then: Then<'_>,
        at: DateTime<Utc>,
    ) -> Result<(), Error> {
        self.passes("before:call_closed");
        self.write(false, |tx| {
            for (action, result) in results {
                if let Some((place, message)) = result {
                    let sql = "UPDATE messages SET body = ?3 WHERE run = ?1 AND seq = ?2";
                    tx.execute(sql, params![run.as_str(), number(*place), message.to_string()])?;
                }
                close(tx, action.as_str(), at)?;
            }
            match then {
                Then::Nothing => Ok(()),
                Then::Cut(from) => {
                    let sql = "DELETE FROM messages WHERE run = ?1 AND seq >= ?2";
                    tx.execute(sql, params![run.as_str(), number(from)]).map(drop)
                }
                Then::Add(message) => append(tx, run, message),
            }
        })?;
        self.passes("after:call_closed");
        Ok(())
    }

    /// The calls of a run that are not over, the oldest first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn open_calls(&self, run: &RunId) -> Result<Vec<CallRow>, Error> {
        let open = "WHERE run = ?1 AND closed_at IS NULL ORDER BY started_at, action";
        self.read("calls", COLUMNS, open, &[run.as_str()], call_row)
    }

    /// The calls of a run that the model gave this name, over or not, the oldest first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn calls_named(&self, run: &RunId, call: &str) -> Result<Vec<CallRow>, Error> {
        let named = "WHERE run = ?1 AND call = ?2 ORDER BY started_at, action";
        self.read("calls", COLUMNS, named, &[run.as_str(), call], call_row)
    }

    /// A call, if it is there.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn call(&self, action: &ActionId) -> Result<Option<CallRow>, Error> {
        Ok(self.read("calls", COLUMNS, "WHERE action = ?1", &[action.as_str()], call_row)?.pop())
    }
}

fn close(tx: &Transaction<'_>, action: &str, at: DateTime<Utc>) -> rusqlite::Result<()> {
    tx.execute("UPDATE calls SET closed_at = ?2 WHERE action = ?1", params![action, millis(at)]).map(drop)
}

fn call_row(row: &Row<'_>) -> rusqlite::Result<CallRow> {
    Ok(CallRow {
        action: ActionId::from_text(row.get::<_, String>(0)?),
        run: RunId::from_text(row.get::<_, String>(1)?),
        call: row.get(2)?,
        tool: row.get(3)?,
        arguments: row.get(4)?,
        plan: row.get(5)?,
        digest: row.get(6)?,
        started_at: time(row, 7)?,
        stops: row.get::<_, Option<String>>(8)?.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::tests::at, *};
    use crate::files::tests::TempDir;

    #[test]
    fn a_call_is_open_until_everything_about_it_is_written() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let (run, other) = (RunId::mint(), RunId::mint());
        let call = |run: &RunId, second| CallRow {
            action: ActionId::mint(),
            run: run.clone(),
            call: "call_1".into(),
            tool: "buy_product".into(),
            arguments: r#"{"qty":2}"#.into(),
            plan: "{}".into(),
            digest: "sha-256:x".into(),
            started_at: at(second),
            stops: (second == 0).then(|| Seen::from([("/a".into(), 1)])),
        };
        let (first, second, elsewhere) = (call(&run, 0), call(&run, 1), call(&other, 2));
        for call in [&second, &first, &elsewhere] {
            journal.open_call(call).unwrap();
        }
        assert!(matches!(journal.open_call(&first), Err(Error::Exists(_))));
        assert_eq!(journal.open_calls(&run).unwrap(), [first.clone(), second.clone()]);
        assert_eq!(journal.open_calls(&other).unwrap(), std::slice::from_ref(&elsewhere));
        journal.close_call(&first.action, at(3)).unwrap();
        assert_eq!(journal.open_calls(&run).unwrap(), [second]);
        assert_eq!(journal.call(&first.action).unwrap(), Some(first));
        journal.close_call(&elsewhere.action, at(4)).unwrap();
        assert!(journal.open_calls(&other).unwrap().is_empty());
    }

    #[test]
    fn a_result_closes_its_own_call_whatever_the_others_are_named() {
        use crate::store::journal::{Bounds, RunRow};
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let run = RunId::mint();
        let text = String::new;
        journal
            .start_run(&RunRow {
                id: run.clone(),
                started_at: at(0),
                profile: text(),
                model: text(),
                title: text(),
                bounds: Bounds::default(),
            })
            .unwrap();
        let open = |second| {
            let action = ActionId::mint();
            let row = CallRow {
                action: action.clone(),
                run: run.clone(),
                call: "call_0".into(),
                tool: text(),
                arguments: text(),
                plan: text(),
                digest: text(),
                started_at: at(second),
                stops: None,
            };
            journal.open_call(&row).unwrap();
            action
        };
        let (pending, newer) = (open(0), open(1));
        journal.append_message(&run, &"pending".into()).unwrap();
        journal.append_result(&run, None, &"not understood".into(), at(2)).unwrap();
        assert_eq!(journal.open_calls(&run).unwrap().len(), 2);
        journal.append_result(&run, Some(&newer), &"newer".into(), at(2)).unwrap();
        let left = |journal: &Journal| -> Vec<ActionId> {
            journal.open_calls(&run).unwrap().into_iter().map(|call| call.action).collect()
        };
        assert_eq!(left(&journal), std::slice::from_ref(&pending));
        let named = |name| journal.calls_named(&run, name).unwrap().len();
        assert_eq!((named("call_0"), named("call_1")), (2, 0));
        let older = [(&pending, Some((0, &"older".into())))];
        // As a whole or not at all.
        let nobodys = journal.replace_results(&RunId::mint(), &older, Then::Add(&"more".into()), at(3));
        assert!(nobodys.is_err() && left(&journal) == std::slice::from_ref(&pending));
        journal.replace_results(&run, &older, Then::Nothing, at(3)).unwrap();
        assert!(left(&journal).is_empty());
        assert_eq!(journal.messages(&run).unwrap(), ["older", "not understood", "newer"]);
    }
}
