//! What proves that a row of the journal was written by whoever has the key: each row carries an HMAC over the whole of it,
//! as each entry of the audit log does.
//!
//! The key lies in the credential store, which is asked when something needs it, so a journal is open before it has the
//! key. Rows that are written until then prove nothing, like those of a person who never logged in. The MACs are kept by
//! triggers of this connection, so that no statement can forget one; a row that was changed without the key gets none again,
//! which would hide it.
//!
//! What was proven once may be changed before it is read, so a journal remembers what it has proven or written itself, and
//! whatever it reads of that must carry its MAC in the very step that reads it.
//!
//! Two things a MAC of a row cannot show: that a row was taken away, and that an older one was put back.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
};

use aws_lc_rs::hmac;
use rusqlite::{Row, functions::Context, functions::FunctionFlags, params_from_iter, types::ValueRef};

use super::{Error, Journal};
use crate::{
    call::{ActionId, RunId},
    store::seal::DataKey,
};

/// A table whose rows say what was allowed and done.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// What names a row of it.
    names: &'static [&'static str],
    /// What says to which run and which action a row belongs.
    pub(super) of: [&'static str; 2],
    /// What a MAC is made of. Never what the file calls its columns: those names are somebody's words.
    pub(super) columns: &'static [&'static str],
}

#[rustfmt::skip]
pub(super) const TABLES: [Table; 5] = [
    Table {
        name: "runs", names: &["id"], of: ["id", "NULL"],
        columns: &["id", "started_at", "profile", "model", "title", "ended_at", "status", "exit_code", "used_at", "bounds",
            "task_turns", "task_tokens"],
    },
    Table { name: "messages", names: &["run", "seq"], of: ["run", "NULL"], columns: &["run", "seq", "body"] },
    Table {
        name: "calls", names: &["action"], of: ["run", "action"],
        columns: &["action", "run", "call", "tool", "arguments", "plan", "digest", "started_at", "closed_at", "stops"],
    },
    Table {
        name: "approvals", names: &["id"], of: ["run", "action"],
        columns: &["id", "action", "run", "issuer", "subject", "client_id", "tool", "plan", "digest", "binding_message",
            "code", "created_at", "state", "requested_at", "answered_at", "expires_at", "interval_s", "sealed_auth_req_id",
            "sealed_token", "error", "terms", "polled_at", "evidence", "login", "auth_req_id_sha256", "id_token_sha256",
            "access_token_sha256"],
    },
    Table {
        name: "executions", names: &["action"], of: ["run", "action"],
        columns: &["action", "run", "tool", "digest", "idempotency_key", "started_at", "ended_at", "outcome",
            "http_status", "output"],
    },
];

/// What a journal has proven or written itself: everything of a run or an action, or rows of one table that it names.
#[derive(Debug, Default)]
pub(super) struct Relied {
    on: RefCell<HashSet<(&'static str, String)>>,
    /// A run was taken up without a key.
    unproven: Cell<bool>,
}

impl Relied {
    fn holds(&self, table: &'static str, name: &str) -> bool {
        let on = self.on.borrow();
        ["", table].into_iter().any(|table| on.contains(&(table, name.to_owned())))
    }
}

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
    /// If SQLite refuses; [`Error::LateKey`], each time, if a run was taken up without it: what was read then may have been
    /// put back since.
    pub fn unlock(&self, key: &DataKey) -> Result<bool, Error> {
        if self.is_unlocked() {
            return Ok(false);
        }
        if self.relied.unproven.get() {
            return Err(Error::LateKey);
        }
        let key = key.root().derive("rows of the journal", "").map_err(|_| self.corrupt("no key can be derived"))?;
        let register = || {
            let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
            self.connection.create_scalar_function("row_mac", -1, flags, move |row| mac(&key, row))?;
            TABLES.iter().try_for_each(|table| self.connection.execute_batch(&triggers(table)))?;
            self.keep(&others_with_a_key())
        };
        self.found(register())?;
        self.unlocked.set(true);
        Ok(true)
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

    /// That everything which the journal says about something was written with its key. From then on it is relied on.
    ///
    /// # Errors
    /// [`Error::Unproven`] if a row of it was not, or was changed since. [`Error::Locked`] without the key.
    pub fn prove(&self, about: About<'_>) -> Result<(), Error> {
        self.prove_but(about, false)
    }

    /// The same, but for approvals that stand there as given up: whoever gives up has not always the key. That nothing comes
    /// of such an approval is the safe reading, and the only thing that is believed of it from then on.
    ///
    /// # Errors
    /// As [`Journal::prove`].
    pub fn prove_but_given_up(&self, about: About<'_>) -> Result<(), Error> {
        self.prove_but(about, true)
    }

    fn prove_but(&self, about: About<'_>, given_up: bool) -> Result<(), Error> {
        if !self.is_unlocked() {
            return Err(Error::Locked);
        }
        self.recognise()?;
        for table in &TABLES {
            let [run, action] = table.of;
            let (column, name) = match about {
                About::Run(name) => (run, name.as_str()),
                About::Action(_) if action == "NULL" => continue,
                About::Action(name) => (action, name.as_str()),
            };
            let (row, mac) = (table.names.join(" || ' ' || "), mac_of(table, ""));
            let but = if given_up && table.name == "approvals" { "AND state IS NOT 'abandoned'" } else { "" };
            let sql =
                format!("SELECT {row} FROM {} WHERE {column} = ?1 AND mac IS NOT {mac} {but} LIMIT 1", table.name);
            if let Some(row) = self.find(&sql, [name], |row| row.get::<_, String>(0))? {
                return Err(Error::Unproven { table: table.name, row });
            }
        }
        self.rely_on(
            "",
            match about {
                About::Run(run) => run.as_str(),
                About::Action(action) => action.as_str(),
            },
        );
        Ok(())
    }

    /// A run is taken as the journal has it, because there is no key. A process that finds one later does not go on.
    pub fn take_unproven(&self) {
        self.relied.unproven.set(true);
    }

    /// In SQL, that a row of a table does not carry the MAC of what it says. Never without the key.
    pub(super) fn unproven(&self, table: &str) -> String {
        let table = TABLES.iter().find(|known| known.name == table && self.is_unlocked());
        table.map_or_else(|| "FALSE".to_owned(), |table| format!("mac IS NOT {}", mac_of(table, "")))
    }

    /// From now on what is read of this must be proven, if it is written with the key: rows of a table, or all of them.
    pub(super) fn rely_on(&self, table: &'static str, name: &str) {
        if self.is_unlocked() {
            self.relied.on.borrow_mut().insert((table, name.to_owned()));
        }
    }

    /// Whether everything of a run has been proven, or written by this process.
    pub(super) fn relies_on(&self, run: &RunId) -> bool {
        self.relied.holds("", run.as_str())
    }

    /// Reads rows of a table with MACs; the first parameter names what they belong to.
    ///
    /// # Errors
    /// [`Error::Unproven`] if one of them is relied on and does not carry its MAC, or is another one than was looked for: an
    /// index is no part of a MAC.
    pub(super) fn read<T>(
        &self,
        table: &str,
        columns: &str,
        which: &str,
        params: &[&str],
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        self.read_or(table, columns, which, params, read, |_| None)
    }

    /// The same, where something is left of a row that does not carry its MAC: what `left` makes of it.
    ///
    /// # Errors
    /// As [`Journal::read`], if nothing is.
    pub(super) fn read_or<T>(
        &self,
        table: &str,
        columns: &str,
        which: &str,
        params: &[&str],
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
        left: impl Fn(T) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let Some(table) = TABLES.iter().find(|known| known.name == table) else {
            return Err(self.corrupt("it has no such table"));
        };
        let [run, action] = table.of;
        let row = table.names.join(" || ' ' || ");
        let proven = if self.is_unlocked() { format!("mac IS {}", mac_of(table, "")) } else { "TRUE".to_owned() };
        let sql = format!("SELECT {columns}, {proven}, {row}, {run}, {action} FROM {} {which}", table.name);
        let mut rows = Vec::new();
        for (proven, belongs, mut row) in self.list(&sql, params_from_iter(params), |row| {
            let at = row.as_ref().column_count() - 4;
            let belongs: [Option<String>; 3] = [row.get(at + 1)?, row.get(at + 2)?, row.get(at + 3)?];
            Ok((row.get::<_, bool>(at)?, belongs, read(row)?))
        })? {
            let [name, ..] = &belongs;
            let mut of = belongs.iter().flatten().map(String::as_str).chain(params.first().copied());
            if of.any(|name| self.relied.holds(table.name, name)) {
                let unproven = || Error::Unproven { table: table.name, row: name.clone().unwrap_or_default() };
                if !belongs.iter().flatten().any(|name| params.first() == Some(&name.as_str())) {
                    return Err(unproven());
                }
                if !proven {
                    row = left(row).ok_or_else(unproven)?;
                }
                belongs[2].iter().for_each(|action| self.rely_on("", action));
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

/// In SQL, that a run was written with another key than this one. A run that somebody has changed is none of them: what else
/// there is of it carries the MACs of this key.
pub(super) fn others_with_a_key() -> String {
    let [runs, messages, calls, ..] = &TABLES;
    let other = |table: &Table| {
        let (name, of, mac) = (table.name, table.of[0], mac_of(table, "own."));
        format!("NOT EXISTS (SELECT 1 FROM {name} AS own WHERE own.{of} = runs.id AND own.mac IS {mac})")
    };
    let (run, messages, calls) = (mac_of(runs, "runs."), other(messages), other(calls));
    format!("runs.mac IS NOT NULL AND runs.mac IS NOT {run} AND {messages} AND {calls}")
}

fn triggers(table: &Table) -> String {
    let Table { name, names, columns, .. } = table;
    let row = names.iter().map(|column| format!("{column} = NEW.{column}")).collect::<Vec<_>>().join(" AND ");
    format!(
        "CREATE TEMP TRIGGER IF NOT EXISTS {name}_new AFTER INSERT ON {name}
         BEGIN UPDATE {name} SET mac = {new} WHERE {row}; END;
         CREATE TEMP TRIGGER IF NOT EXISTS {name}_changed AFTER UPDATE OF {listed} ON {name}
         BEGIN UPDATE {name} SET mac = CASE WHEN OLD.mac IS {old} THEN {new} END WHERE {row}; END;",
        new = mac_of(table, "NEW."),
        old = mac_of(table, "OLD."),
        listed = columns.join(", "),
    )
}

/// The MAC of a row in SQL: the table, then each column by name and value.
fn mac_of(table: &Table, row: &str) -> String {
    let values: String = table.columns.iter().map(|column| format!(", '{column}', {row}{column}")).collect();
    format!("row_mac('{}'{values})", table.name)
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
pub(super) mod tests {
    use serde_json::json;

    use super::{
        super::{approvals::tests::new, tests::at},
        *,
    };
    use crate::{
        files::tests::TempDir,
        store::journal::{ApprovalState, Bounds, CallRow, Execution, NewApproval, RunRow},
    };

    pub(in super::super) fn key(byte: u8) -> DataKey {
        DataKey::from_bytes(&[byte; 32]).unwrap()
    }

    pub(in super::super) fn journal(dir: &TempDir) -> Journal {
        let journal = Journal::open(&dir.0).unwrap();
        journal.unlock(&key(7)).unwrap();
        journal
    }

    /// A run with a message and a call that is carried out.
    pub(in super::super) fn filled(journal: &Journal) -> (RunId, ActionId) {
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
        let asked = NewApproval { action: action.clone(), run: Some(run.clone()), ..new(None) };
        journal.insert_approval(&asked).unwrap();
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
        // The same without the key, by somebody else.
        let other = rusqlite::Connection::open(dir.path("journal.db")).unwrap();
        other.execute("UPDATE calls SET closed_at = 1", []).unwrap();
        assert!(matches!(keyless.prove(About::Action(&action)), Err(Error::Unproven { table: "calls", .. })));
        keyless.close_call(&action, at(4)).unwrap();
    }

    #[test]
    fn what_was_proven_is_not_read_after_a_change() {
        let changes = [
            "UPDATE runs SET bounds = '{}'",
            "UPDATE approvals SET requested_at = 1",
            "UPDATE messages SET body = '1'",
            "INSERT INTO messages (run, seq, body) SELECT id, 1, '1' FROM runs",
            "UPDATE messages SET seq = 1",
            "UPDATE calls SET tool = 'search_products'",
            "INSERT INTO calls SELECT 'act_2', run, call, tool, arguments, plan, digest, started_at, closed_at, stops, mac
             FROM calls",
            "UPDATE executions SET outcome = 'done', ended_at = 1, output = '{}'",
        ];
        let reads = |journal: &Journal, run: &RunId, action: &ActionId| {
            let errors = [
                journal.run(run).err(),
                journal.tally(run).err(),
                journal.messages(run).err(),
                journal.open_calls(run).err(),
                journal.calls_named(run, "x").err(),
                journal.call(action).err(),
                journal.execution(action).err(),
                journal.approval_of(action).err(),
            ];
            errors.iter().flatten().filter(|error| matches!(error, Error::Unproven { .. })).count()
        };
        for change in changes {
            for began in [true, false] {
                let dir = TempDir::new();
                let first = journal(&dir);
                let (run, action) = filled(&first);
                // Either it began the run itself, or proved it.
                let relying = if began { first } else { journal(&dir) };
                if !began {
                    assert_eq!(reads(&relying, &run, &action), 0);
                    relying.prove(About::Run(&run)).unwrap();
                }
                assert_eq!(reads(&relying, &run, &action), 0, "{change}");
                rusqlite::Connection::open(dir.path("journal.db")).unwrap().execute_batch(change).unwrap();
                assert!(reads(&relying, &run, &action) > 0, "{change}");
                // Who only shows it is told what stands there.
                assert_eq!(reads(&Journal::open(&dir.0).unwrap(), &run, &action), 0, "{change}");
            }
        }
    }

    #[test]
    fn who_took_a_run_without_the_key_does_not_go_on_with_it() {
        let dir = TempDir::new();
        let (run, _) = filled(&journal(&dir));
        let taken = Journal::open(&dir.0).unwrap();
        taken.run(&run).unwrap();
        taken.take_unproven();
        for _ in 0..2 {
            assert!(matches!(taken.unlock(&key(7)), Err(Error::LateKey)));
        }
    }

    #[test]
    fn what_somebody_edited_counts_as_the_worse_case() {
        let dir = TempDir::new();
        let journal = journal(&dir);
        let (run, action) = filled(&journal);
        let end = crate::store::journal::ExecutionEnd { outcome: "unknown", http_status: None, output: "{}" };
        journal.end_execution(&action, at(2), end).unwrap();
        let counts = |journal: &Journal| {
            let denials = journal.denials_in_run(&run, "buy_product").unwrap();
            (journal.unclear_in_run(&run, "x", "x").unwrap(), denials)
        };
        assert_eq!(counts(&journal), (true, (0, 0)));
        let edit = "UPDATE executions SET outcome = 'failed'; UPDATE approvals SET state = 'failed'";
        rusqlite::Connection::open(dir.path("journal.db")).unwrap().execute_batch(edit).unwrap();
        assert_eq!(counts(&journal), (true, (0, 1)));
        assert_eq!(counts(&Journal::open(&dir.0).unwrap()), (false, (0, 0)), "who has no key cannot tell");
    }

    /// Whoever gives up without the key takes something away, and says nothing else.
    #[test]
    fn of_what_is_given_up_without_the_key_only_that_is_believed() {
        let dir = TempDir::new();
        let good = journal(&dir);
        let (run, action) = filled(&good);
        let id = good.approval_of(&action).unwrap().unwrap().asked.id;
        assert!(Journal::open(&dir.0).unwrap().abandon(&id, at(2)).unwrap());
        let edit = "UPDATE approvals SET error = 'e', evidence = '{}', sealed_token = x'01', tool = 'search_products'";
        let other = rusqlite::Connection::open(dir.path("journal.db")).unwrap();
        other.execute_batch(edit).unwrap();
        for (journal, about) in [(good, About::Run(&run)), (journal(&dir), About::Action(&action))] {
            assert!(matches!(journal.prove(about), Err(Error::Unproven { table: "approvals", .. })));
            journal.prove_but_given_up(about).unwrap();
            let row = journal.approval_of(&action).unwrap().unwrap();
            assert_eq!((row.asked.id.clone(), row.state), (id.clone(), ApprovalState::Abandoned));
            assert_eq!((row.error.clone(), row.evidence.clone(), row.sealed_token.clone()), (None, None, None));
            assert!(row.asked.tool.is_empty() && row.asked.plan.is_empty(), "{row:?}");
            assert_eq!(journal.approval(&id).unwrap(), Some(row));
            for tool in ["search_products", "buy_product"] {
                assert_eq!(journal.denials_in_run(&run, tool).unwrap(), (0, 1), "it may have been one of {tool}");
            }
        }
        // Any other state that is written there is none, nor is another row of the run.
        for (to, table) in
            ApprovalState::ALL.map(|state| (state.word(), "approvals")).into_iter().chain([("", "calls")])
        {
            other.execute("UPDATE approvals SET state = ?1", [if to.is_empty() { "abandoned" } else { to }]).unwrap();
            other.execute("UPDATE calls SET started_at = started_at + ?1", [i64::from(to.is_empty())]).unwrap();
            let journal = journal(&dir);
            let proven = journal.prove_but_given_up(About::Run(&run));
            assert_eq!(proven.is_ok(), to == "abandoned", "{to}");
            assert!(proven.is_ok() || matches!(proven, Err(Error::Unproven { table: of, .. }) if of == table), "{to}");
        }
    }

    /// As a file whose index was turned round would find it: the row of another run, with its good MAC.
    #[test]
    fn a_row_that_was_not_looked_for_is_none() {
        let dir = TempDir::new();
        let journal = journal(&dir);
        let (run, _) = filled(&journal);
        filled(&journal);
        let found = |which: &str| journal.read("runs", "id", which, &[run.as_str()], |row| row.get::<_, String>(0));
        assert_eq!(found("WHERE id = ?1").unwrap(), [run.as_str()]);
        assert!(matches!(found("WHERE id <> ?1"), Err(Error::Unproven { .. })));
    }

    #[test]
    fn a_mac_is_made_of_every_column() {
        let dir = TempDir::new();
        let journal = journal(&dir);
        for table in &TABLES {
            let sql = "SELECT name FROM pragma_table_xinfo(?1) WHERE name <> 'mac'";
            let columns: Vec<String> = journal.list(sql, [table.name], |row| row.get(0)).unwrap();
            assert_eq!(columns, table.columns, "{}", table.name);
        }
    }
}
