//! What a journal does not do without the key that a run was written with: change what belongs to the run, or add to it.
//! Whoever has the key could not believe such a run any more, and would never go on with it. That an approval was given up
//! is the one thing that may be written all the same: it is the safe reading, and needs no proof. And a run may be forgotten.
//!
//! Kept by triggers of this connection, as the MACs are, so that no statement can forget it.

use super::{
    Error, Journal,
    proof::{TABLES, Table, others_with_a_key},
};
use crate::call::RunId;

/// In SQL, that a run was written with a key, which is never this journal's as long as it has none.
const OTHERS_WITHOUT_A_KEY: &str = "runs.mac IS NOT NULL";

impl Journal {
    /// Before the first write without a key: what carries a MAC is not written over. Refused as [`Error::Locked`].
    pub(super) fn lock(&self) -> Result<(), Error> {
        if !self.is_unlocked() && !self.locked.get() {
            self.found(self.keep(OTHERS_WITHOUT_A_KEY))?;
            self.locked.set(true);
        }
        Ok(())
    }

    /// Whether a run was written with a key that this journal has not: nothing is written of it here that its own key proves.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn is_of_another_key(&self, run: &RunId) -> Result<bool, Error> {
        let others = if self.is_unlocked() { others_with_a_key() } else { OTHERS_WITHOUT_A_KEY.to_owned() };
        let sql = format!("SELECT 1 FROM runs WHERE id = ?1 AND {others}");
        Ok(self.find(&sql, [run.as_str()], |_| Ok(()))?.is_some())
    }

    /// The same for runs of which this is true. It takes the place of what was kept before.
    pub(super) fn keep(&self, others: &str) -> rusqlite::Result<()> {
        TABLES.iter().try_for_each(|table| self.connection.execute_batch(&triggers(table, others)))
    }
}

fn triggers(table: &Table, others: &str) -> String {
    let Table { name, of: [run, _], columns, .. } = table;
    let of_others = |row: &str| format!("EXISTS (SELECT 1 FROM runs WHERE id = {row}.{run} AND {others})");
    let (before, but) = (of_others("OLD"), if *name == "approvals" { "AND NEW.state IS NOT 'abandoned'" } else { "" });
    let (added, columns) = (of_others("NEW"), columns.join(", "));
    format!(
        "DROP TRIGGER IF EXISTS temp.{name}_kept; DROP TRIGGER IF EXISTS temp.{name}_closed;
         CREATE TEMP TRIGGER {name}_kept BEFORE UPDATE OF {columns} ON {name} WHEN {before} {but}
         BEGIN SELECT RAISE(ABORT, 'locked'); END;
         CREATE TEMP TRIGGER {name}_closed BEFORE INSERT ON {name} WHEN {added}
         BEGIN SELECT RAISE(ABORT, 'locked'); END;"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{
        ApprovalChange, ApprovalState, CallRow, Error, Execution, ExecutionEnd, Journal, NewApproval, Then,
        approvals::tests::new,
        proof::{
            About,
            tests::{filled, journal, key},
        },
        tests::at,
    };
    use crate::{
        call::{ActionId, RunId},
        files::tests::TempDir,
    };

    const END: ExecutionEnd<'static> = ExecutionEnd { outcome: "done", http_status: None, output: "{}" };

    /// Nothing is written over, and nothing added.
    fn refuses(journal: &Journal, run: &RunId, action: &ActionId) {
        let added = (action, Some((0, &json!(2))));
        let asked = journal.approval_of(action).unwrap().unwrap().asked;
        let more = NewApproval { action: action.clone(), run: Some(run.clone()), ..new(None) };
        let call = CallRow { action: ActionId::mint(), ..journal.open_calls(run).unwrap().remove(0) };
        let execution = Execution { action: &call.action, run, tool: "x", digest: "x" };
        let requested = ApprovalChange::at(at(2));
        for (at, refused) in [
            journal.reopen_run(run, at(2)),
            journal.end_run(run, at(2), "run.failed", 1),
            journal.append_message(run, &json!("more")),
            journal.replace_message(run, 0, &json!("other")),
            journal.append_result(run, Some(action), &json!("more"), at(2)),
            journal.replace_results(run, &[added], Then::Nothing, at(2)),
            journal.open_call(&call),
            journal.close_call(action, at(2)),
            journal.insert_approval(&more),
            journal.move_approval(&asked.id, ApprovalState::Planned, ApprovalState::Requested, &requested),
            journal.begin_execution(None, execution, "key", at(2)).map(drop),
            journal.end_execution(action, at(2), END),
        ]
        .into_iter()
        .enumerate()
        {
            assert!(matches!(refused, Err(Error::Locked)), "{at}: {refused:?}");
        }
    }

    #[test]
    fn who_has_not_the_key_writes_over_nothing_that_carries_a_mac() {
        let dir = TempDir::new();
        let (run, action) = filled(&journal(&dir));
        let locked = Journal::open(&dir.0).unwrap();
        refuses(&locked, &run, &action);
        let other = Journal::open(&dir.0).unwrap();
        other.unlock(&key(8)).unwrap();
        refuses(&other, &run, &action);
        journal(&dir).prove(About::Run(&run)).unwrap();
        // What it gives up goes through, and what it began itself carries no MAC.
        let id = locked.approval_of(&action).unwrap().unwrap().asked.id;
        assert!(locked.abandon(&id, at(2)).unwrap());
        assert_eq!(locked.approval(&id).unwrap().unwrap().state, ApprovalState::Abandoned);
        let (own, call) = filled(&locked);
        locked.end_execution(&call, at(2), END).unwrap();
        locked.end_run(&own, at(2), "run.completed", 0).unwrap();
        journal(&dir).prove_but_given_up(About::Run(&run)).unwrap();
        // With the key it does.
        locked.unlock(&key(7)).unwrap();
        locked.prove_but_given_up(About::Run(&run)).unwrap();
        locked.end_execution(&action, at(3), END).unwrap();
        locked.append_result(&run, Some(&action), &json!("more"), at(3)).unwrap();
        locked.prove_but_given_up(About::Run(&run)).unwrap();
        assert!(matches!(locked.prove(About::Run(&own)), Err(Error::Unproven { .. })));
        // A run that another key was for is forgotten all the same.
        other.delete_run(&run).unwrap();
    }
}
