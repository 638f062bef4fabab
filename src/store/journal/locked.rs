//! What a journal does not do without its key: change what carries a MAC, or add to a run that does. Whoever has the key could
//! not believe such a run any more, and would never go on with it. That an approval was given up is the one thing that may
//! be written all the same: it is the safe reading, and needs no proof.
//!
//! Kept by triggers of this connection, as the MACs are, so that no statement can forget it.

use super::{Error, Journal, proof};

impl Journal {
    /// Before the first write: refuses what must not be written without the key, as [`Error::Locked`].
    pub(super) fn lock(&self) -> Result<(), Error> {
        if self.is_unlocked() || self.locked.get() {
            return Ok(());
        }
        let lock = || proof::tables().try_for_each(|(table, run)| self.connection.execute_batch(&triggers(table, run)));
        self.found(lock())?;
        self.locked.set(true);
        Ok(())
    }

    /// The key is at hand.
    pub(super) fn release(&self) -> rusqlite::Result<()> {
        if self.locked.replace(false) {
            proof::tables().try_for_each(|(table, _)| {
                self.connection.execute_batch(&format!(
                    "DROP TRIGGER temp.{table}_kept; DROP TRIGGER IF EXISTS temp.{table}_closed;"
                ))
            })?;
        }
        Ok(())
    }
}

/// Those of a table whose rows belong to the run that its column `run` names.
fn triggers(table: &str, run: &str) -> String {
    let but = if table == "approvals" { "AND NEW.state IS NOT 'abandoned'" } else { "" };
    let kept = format!(
        "CREATE TEMP TRIGGER {table}_kept BEFORE UPDATE ON {table} WHEN OLD.mac IS NOT NULL {but}
         BEGIN SELECT RAISE(ABORT, 'locked'); END;"
    );
    // A run itself cannot be added to.
    if run == "id" {
        return kept;
    }
    format!(
        "{kept} CREATE TEMP TRIGGER {table}_closed BEFORE INSERT ON {table}
         WHEN EXISTS (SELECT 1 FROM runs WHERE id = NEW.{run} AND mac IS NOT NULL)
         BEGIN SELECT RAISE(ABORT, 'locked'); END;"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{
        ApprovalState, Error, ExecutionEnd, Journal, Then,
        proof::{
            About,
            tests::{filled, journal, key},
        },
        tests::at,
    };
    use crate::{call::RunId, files::tests::TempDir};

    #[test]
    fn who_has_not_the_key_writes_over_nothing_that_carries_a_mac() {
        let dir = TempDir::new();
        let (run, action) = filled(&journal(&dir));
        let locked = Journal::open(&dir.0).unwrap();
        let end = || ExecutionEnd { outcome: "done", http_status: None, output: "{}" };
        let added = (&action, Some((0, &json!(2))));
        for refused in [
            locked.reopen_run(&run, at(2)),
            locked.end_run(&run, at(2), "run.failed", 1),
            locked.append_message(&run, &json!("more")),
            locked.append_result(&run, Some(&action), &json!("more"), at(2)),
            locked.replace_results(&run, &[added], Then::Nothing, at(2)),
            locked.close_call(&action, at(2)),
            locked.end_execution(&action, at(2), end()),
        ] {
            assert!(matches!(refused, Err(Error::Locked)), "{refused:?}");
        }
        journal(&dir).prove(About::Run(&run)).unwrap();
        // What it gives up goes through, and what it began itself carries no MAC.
        let id = locked.approval_of(&action).unwrap().unwrap().asked.id;
        assert!(locked.abandon(&id, at(2)).unwrap());
        assert_eq!(locked.approval(&id).unwrap().unwrap().state, ApprovalState::Abandoned);
        let (own, call) = filled(&locked);
        locked.end_execution(&call, at(2), end()).unwrap();
        locked.end_run(&own, at(2), "run.completed", 0).unwrap();
        journal(&dir).prove_but_given_up(About::Run(&run)).unwrap();
        // With the key it does.
        locked.unlock(&key(7)).unwrap();
        locked.prove_but_given_up(About::Run(&run)).unwrap();
        locked.end_execution(&action, at(3), end()).unwrap();
        locked.append_result(&run, Some(&action), &json!("more"), at(3)).unwrap();
        locked.prove_but_given_up(About::Run(&run)).unwrap();
        assert!(matches!(locked.prove(About::Run(&own)), Err(Error::Unproven { .. })));
        assert!(matches!(locked.end_run(&RunId::mint(), at(3), "x", 0), Err(Error::Missing(_))));
    }
}
