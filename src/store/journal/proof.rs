//! What proves that a row of the journal was written by whoever has the key: each row carries an HMAC over the whole of it,
//! as each entry of the audit log does.
//!
//! The key lies in the credential store, which is asked when something needs it, so a journal is open before it has the
//! key. Rows that are written until then prove nothing, like those of a person who never logged in. The MACs are kept by
//! triggers of this connection, so that no statement can forget one; a row that was changed without the key gets none again,
//! which would hide it.
//!
//! Two things a MAC of a row cannot show: that a row was taken away, and that an older one was put back.

use aws_lc_rs::hmac;
use rusqlite::{functions::Context, functions::FunctionFlags, types::ValueRef};

use super::{Error, Journal};
use crate::{
    call::{ActionId, RunId},
    store::seal::DataKey,
};

/// The tables whose rows say what was allowed and done, and what names a row of them.
const TABLES: &[(&str, &[&str])] = &[
    ("runs", &["id"]),
    ("messages", &["run", "seq"]),
    ("calls", &["action"]),
    ("approvals", &["id"]),
    ("executions", &["action"]),
];

/// What was written down about something.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// A run: how it began, what it keeps to, its conversation, its calls and what became of them.
    Run(&'a RunId),
    /// One call: its plan, its approvals, its execution.
    Action(&'a ActionId),
}

impl Journal {
    /// Gives the journal the key from which its own is derived. What is written from now on carries a MAC. Says whether it
    /// had none before.
    ///
    /// # Errors
    /// If SQLite refuses.
    pub fn unlock(&self, key: &DataKey) -> Result<bool, Error> {
        if self.unlocked.replace(true) {
            return Ok(false);
        }
        let key = key.root().derive("rows of the journal", "").map_err(|_| self.corrupt("no key can be derived"))?;
        let register = || {
            let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
            self.connection.create_scalar_function("row_mac", -1, flags, move |row| mac(&key, row))?;
            for (table, names) in TABLES {
                self.connection.execute_batch(&self.triggers(table, names)?)?;
            }
            Ok(true)
        };
        self.found(register())
    }

    /// Changes it with its key, as nobody can who has none. How a process test comes past the MACs to what lies behind.
    /// Compiled in only with the feature `test-clock`.
    ///
    /// # Errors
    /// If SQLite refuses.
    #[cfg(feature = "test-clock")]
    pub fn change(&self, sql: &str) -> Result<(), Error> {
        self.write(true, |tx| tx.execute_batch(sql))
    }

    /// Whether it has the key.
    #[must_use]
    pub fn is_unlocked(&self) -> bool {
        self.unlocked.get()
    }

    fn triggers(&self, table: &str, names: &[&str]) -> rusqlite::Result<String> {
        let columns = self.columns(table)?;
        let of = |row: &str| call(table, row, &columns);
        let (row, listed) = (named("NEW", names), columns.join(", "));
        Ok(format!(
            "CREATE TEMP TRIGGER {table}_new AFTER INSERT ON {table}
             BEGIN UPDATE {table} SET mac = {new} WHERE {row}; END;
              CREATE TEMP TRIGGER {table}_changed AFTER UPDATE OF {listed} ON {table}
             BEGIN UPDATE {table} SET mac = CASE WHEN OLD.mac IS {old} THEN {new} END WHERE {row}; END;",
            new = of("NEW."),
            old = of("OLD."),
        ))
    }

    /// The columns of a table that a MAC is made of.
    fn columns(&self, table: &str) -> rusqlite::Result<Vec<String>> {
        let mut list = self.connection.prepare("SELECT name FROM pragma_table_info(?1) WHERE name <> 'mac'")?;
        list.query_map([table], |row| row.get(0))?.collect()
    }

    /// That everything which the journal says about something was written with its key.
    ///
    /// # Errors
    /// [`Error::Unproven`] if a row of it was not, or was changed since. [`Error::Locked`] without the key.
    pub fn prove(&self, about: About<'_>) -> Result<(), Error> {
        if !self.is_unlocked() {
            return Err(Error::Locked);
        }
        for (table, names) in TABLES {
            let (column, name) = match about {
                About::Run(run) if *table == "runs" => ("id", run.as_str()),
                About::Run(run) => ("run", run.as_str()),
                About::Action(_) if matches!(*table, "runs" | "messages") => continue,
                About::Action(action) => ("action", action.as_str()),
            };
            let columns = self.found(self.columns(table))?;
            let mac = call(table, "", &columns);
            let sql = format!(
                "SELECT {} FROM {table} WHERE {column} = ?1 AND mac IS NOT {mac} LIMIT 1",
                names.join(" || ' ' || ")
            );
            if let Some(row) = self.find(&sql, [name], |row| row.get::<_, String>(0))? {
                return Err(Error::Unproven { table, row });
            }
        }
        Ok(())
    }
}

/// The MAC of a row in SQL: the table, then each column by name and value.
fn call(table: &str, row: &str, columns: &[String]) -> String {
    let values: String = columns.iter().map(|column| format!(", '{column}', {row}{column}")).collect();
    format!("row_mac('{table}'{values})")
}

fn named(row: &str, names: &[&str]) -> String {
    names.iter().map(|name| format!("{name} = {row}.{name}")).collect::<Vec<_>>().join(" AND ")
}

/// Each part with its kind and length before it, so that no two rows read alike. A column without a value is left out: one
/// that a later version adds changes no older row.
fn mac(key: &hmac::Key, row: &Context<'_>) -> rusqlite::Result<Vec<u8>> {
    let mut mac = hmac::Context::with_key(key);
    let mut part = |kind: u8, bytes: &[u8]| {
        mac.update(&[kind]);
        mac.update(&(bytes.len() as u64).to_be_bytes());
        mac.update(bytes);
    };
    part(b'n', row.get_raw(0).as_bytes().unwrap_or_default());
    for column in (1..row.len()).step_by(2) {
        let (name, value) = (row.get_raw(column), row.get_raw(column + 1));
        if value == ValueRef::Null {
            continue;
        }
        part(b'n', name.as_bytes().unwrap_or_default());
        match value {
            ValueRef::Null => {}
            ValueRef::Integer(number) => part(b'i', &number.to_be_bytes()),
            ValueRef::Real(number) => part(b'r', &number.to_be_bytes()),
            ValueRef::Text(bytes) => part(b't', bytes),
            ValueRef::Blob(bytes) => part(b'b', bytes),
        }
    }
    Ok(mac.sign().as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::tests::at, *};
    use crate::{
        files::tests::TempDir,
        store::journal::{Bounds, CallRow, Execution, RunRow},
    };

    fn key(byte: u8) -> DataKey {
        DataKey::from_bytes(&[byte; 32]).unwrap()
    }

    fn journal(dir: &TempDir) -> Journal {
        let journal = Journal::open(&dir.0).unwrap();
        journal.unlock(&key(7)).unwrap();
        journal
    }

    /// A run with a message and a call that is carried out.
    fn filled(journal: &Journal) -> (RunId, ActionId) {
        let (run, action) = (RunId::mint(), ActionId::mint());
        let text = || "x".to_owned();
        let bounds = Bounds { max_spend: Some("10 EUR".into()), ..Bounds::default() };
        let row = RunRow { id: run.clone(), started_at: at(0), profile: text(), model: text(), title: text(), bounds };
        journal.start_run(&row).unwrap();
        journal.append_message(&run, &json!("buy it")).unwrap();
        let call = CallRow {
            action: action.clone(),
            run: run.clone(),
            call: text(),
            tool: text(),
            arguments: text(),
            plan: text(),
            digest: text(),
            started_at: at(0),
            stops: None,
        };
        journal.open_call(&call).unwrap();
        let execution = Execution { action: &action, run: &run, tool: "x", digest: "x" };
        journal.begin_execution(None, execution, "key", at(1)).unwrap();
        (run, action)
    }

    #[test]
    fn what_is_changed_without_the_key_proves_nothing_and_cannot_be_covered_up() {
        let changes = [
            "UPDATE runs SET bounds = '{}'",
            "UPDATE messages SET body = '1'",
            "INSERT INTO messages (run, seq, body) SELECT id, 1, '1' FROM runs",
            "UPDATE calls SET started_at = started_at + 1",
            "UPDATE executions SET outcome = 'done', ended_at = 1, output = '{}'",
            "UPDATE executions SET mac = NULL",
            "UPDATE calls SET mac = x'00'",
        ];
        for change in changes {
            let dir = TempDir::new();
            let (run, action) = filled(&journal(&dir));
            let good = journal(&dir);
            good.prove(About::Run(&run)).unwrap();
            good.prove(About::Action(&action)).unwrap();
            rusqlite::Connection::open(dir.path("journal.db")).unwrap().execute_batch(change).unwrap();
            let journal = journal(&dir);
            assert!(matches!(journal.prove(About::Run(&run)), Err(Error::Unproven { .. })), "{change}");
            let of_the_call = !(change.contains("runs") || change.contains("messages"));
            assert_eq!(journal.prove(About::Action(&action)).is_err(), of_the_call, "{change}");
            // Whatever is written over it does not make it good.
            let _ = journal.end_run(&run, at(2), "completed", 0);
            let _ = journal.replace_message(&run, 0, &json!(2));
            let _ = journal.close_call(&action, at(2));
            let end = crate::store::journal::ExecutionEnd { outcome: "failed", http_status: None, output: "{}" };
            let _ = journal.end_execution(&action, at(2), end);
            assert!(matches!(journal.prove(About::Run(&run)), Err(Error::Unproven { .. })), "{change}");
        }
    }

    #[test]
    fn another_key_proves_nothing_and_without_one_nothing_is_proven() {
        let dir = TempDir::new();
        let (run, action) = filled(&journal(&dir));
        let other = Journal::open(&dir.0).unwrap();
        assert!(matches!(other.prove(About::Run(&run)), Err(Error::Locked)));
        other.unlock(&key(8)).unwrap();
        assert!(other.prove(About::Run(&run)).is_err() && other.prove(About::Action(&action)).is_err());
    }

    #[test]
    fn what_is_written_without_the_key_stays_so() {
        let dir = TempDir::new();
        let keyless = Journal::open(&dir.0).unwrap();
        let (run, action) = filled(&keyless);
        keyless.unlock(&key(7)).unwrap();
        keyless.end_run(&run, at(2), "completed", 0).unwrap();
        keyless.append_message(&run, &json!("more")).unwrap();
        assert!(keyless.prove(About::Run(&run)).is_err() && keyless.prove(About::Action(&action)).is_err());
        let (run, action) = filled(&keyless);
        keyless.end_run(&run, at(2), "completed", 0).unwrap();
        keyless.prove(About::Run(&run)).unwrap();
        // The same without the key, by another process.
        Journal::open(&dir.0).unwrap().close_call(&action, at(3)).unwrap();
        assert!(matches!(keyless.prove(About::Action(&action)), Err(Error::Unproven { table: "calls", .. })));
        keyless.close_call(&action, at(4)).unwrap();
    }
}
