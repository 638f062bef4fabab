//! The tables of the journal, and that they are these and no others.
//!
//! A row is proven by its MAC, but SQLite also keeps programs in a file: a trigger, a view, an expression or a rule between
//! two tables that somebody else put there would be run by the process that has the key, and what it writes would carry
//! good MACs. So nothing in the file is run, and a file whose tables are not these is none of ours.

use std::path::Path;

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rusqlite::{Connection, Row, config::DbConfig};
use serde_json::json;

use super::{BUSY, Error, Journal};
use crate::{files, store::lock::GrantLock};

/// Each entry leads from one version of the schema to the next; `user_version` counts them.
pub(super) const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, started_at INTEGER NOT NULL, profile TEXT NOT NULL, model TEXT NOT NULL,
        title TEXT NOT NULL, ended_at INTEGER, status TEXT, exit_code INTEGER
    ) STRICT;
    CREATE TABLE messages (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, seq INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (run, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE approvals (
        id TEXT PRIMARY KEY, action TEXT NOT NULL, run TEXT, issuer TEXT NOT NULL, subject TEXT NOT NULL,
        client_id TEXT NOT NULL, tool TEXT NOT NULL, plan TEXT NOT NULL, digest TEXT NOT NULL,
        binding_message TEXT NOT NULL, code TEXT NOT NULL, created_at INTEGER NOT NULL, state TEXT NOT NULL,
        requested_at INTEGER, answered_at INTEGER, expires_at INTEGER, interval_s INTEGER,
        sealed_auth_req_id BLOB, sealed_token BLOB, error TEXT
    ) STRICT;
    CREATE INDEX approvals_by_run ON approvals (run, tool);
    CREATE INDEX approvals_by_state ON approvals (state);
    CREATE TABLE pushes (issuer TEXT NOT NULL, subject TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
    CREATE INDEX pushes_by_person ON pushes (issuer, subject, at);
    CREATE TABLE executions (
        action TEXT PRIMARY KEY, run TEXT, tool TEXT NOT NULL, digest TEXT NOT NULL, idempotency_key TEXT NOT NULL,
        started_at INTEGER NOT NULL, ended_at INTEGER, outcome TEXT, http_status INTEGER
    ) STRICT;
",
    "
    CREATE TABLE spending (
        action TEXT PRIMARY KEY, run TEXT, issuer TEXT NOT NULL, subject TEXT NOT NULL, currency TEXT NOT NULL,
        amount TEXT NOT NULL, at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX spending_by_person ON spending (issuer, subject, currency, at);
",
    "
    ALTER TABLE approvals ADD COLUMN terms TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE approvals ADD COLUMN polled_at INTEGER;
    ALTER TABLE approvals ADD COLUMN evidence TEXT;
    CREATE INDEX approvals_by_action ON approvals (action);
    ALTER TABLE executions ADD COLUMN output TEXT;
    CREATE TABLE calls (
        action TEXT PRIMARY KEY, run TEXT, call TEXT NOT NULL, tool TEXT NOT NULL, arguments TEXT NOT NULL,
        plan TEXT NOT NULL, digest TEXT NOT NULL, started_at INTEGER NOT NULL, closed_at INTEGER
    ) STRICT;
    CREATE INDEX open_calls ON calls (run) WHERE closed_at IS NULL;
    CREATE TABLE chores (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;
",
    "
    ALTER TABLE runs ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
    UPDATE runs SET used_at = coalesce(ended_at, started_at);
",
    "
    ALTER TABLE runs ADD COLUMN bounds TEXT NOT NULL DEFAULT '{}';
",
    "
    ALTER TABLE approvals ADD COLUMN login TEXT;
    ALTER TABLE calls ADD COLUMN stops TEXT;
",
    // Columns that come later have no value by default: a row from before has its MAC without them.
    "
    ALTER TABLE runs ADD COLUMN mac BLOB;
    ALTER TABLE messages ADD COLUMN mac BLOB;
    ALTER TABLE calls ADD COLUMN mac BLOB;
    ALTER TABLE approvals ADD COLUMN mac BLOB;
    ALTER TABLE executions ADD COLUMN mac BLOB;
",
    "
    ALTER TABLE runs ADD COLUMN task_turns INTEGER;
    ALTER TABLE runs ADD COLUMN task_tokens INTEGER;
",
    "
    ALTER TABLE approvals ADD COLUMN auth_req_id_sha256 TEXT;
    ALTER TABLE approvals ADD COLUMN id_token_sha256 TEXT;
    ALTER TABLE approvals ADD COLUMN access_token_sha256 TEXT;
    CREATE UNIQUE INDEX given_auth_req_id ON approvals (auth_req_id_sha256);
    CREATE UNIQUE INDEX given_id_token ON approvals (id_token_sha256);
    CREATE UNIQUE INDEX given_access_token ON approvals (access_token_sha256);
",
];

/// SHA-256 of the tables and indices that come of it.
const TABLES: &str = "UCNwLUxBcfHjb3Ru65-uJtfUhhwP2rEfVu4vVzuC7z0";

/// Nothing that lies in the file is run. The triggers of this connection are its own and go on.
pub(super) fn distrust(connection: &Connection) -> rusqlite::Result<()> {
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    ] {
        connection.set_db_config(setting, on)?;
    }
    Ok(())
}

impl Journal {
    /// That its tables are ours; looked at again when anybody has changed them since.
    pub(super) fn recognise(&self) -> Result<(), Error> {
        let changes = self.found(self.connection.query_row("PRAGMA schema_version", [], |row| row.get(0)))?;
        if self.tables.get() == Some(changes) {
            return Ok(());
        }
        self.version()?;
        if self.found(tables(&self.connection))? != TABLES {
            return Err(Error::Foreign(self.path.clone()));
        }
        self.tables.set(Some(changes));
        Ok(())
    }

    pub(super) fn version(&self) -> Result<usize, Error> {
        let version: i64 = self.found(self.connection.query_row("PRAGMA user_version", [], |row| row.get(0)))?;
        let (found, known) = (usize::try_from(version).unwrap_or(usize::MAX), MIGRATIONS.len());
        if found > known { Err(Error::Newer { path: self.path.clone(), found, known }) } else { Ok(found) }
    }

    pub(super) fn migrate(&self) -> Result<(), Error> {
        if self.version()? == MIGRATIONS.len() {
            return Ok(());
        }
        // SQLite does not wait its turn when it switches to a write-ahead log, so the first processes are lined up here.
        let _lock = GrantLock::take_blocking(&files::beside(&self.path, ".lock"), BUSY)?;
        self.found(self.connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())))?;
        for (index, step) in MIGRATIONS.iter().enumerate().skip(self.version()?) {
            self.write(true, |tx| tx.execute_batch(&format!("{step} PRAGMA user_version = {};", index + 1)))?;
        }
        files::sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        Ok(())
    }
}

fn tables(connection: &Connection) -> rusqlite::Result<String> {
    let mut list = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name, sql")?;
    let entry = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let list = list.query_map([], entry)?.collect::<rusqlite::Result<Vec<(String, Option<String>)>>>()?;
    let hash = digest::digest(&digest::SHA256, json!(list).to_string().as_bytes());
    Ok(BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::run_row, *};
    use crate::{
        files::tests::TempDir,
        store::{
            journal::{About, Bounds, RunRow},
            seal::DataKey,
        },
    };

    #[test]
    fn the_tables_are_what_the_migrations_make() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&MIGRATIONS.concat()).unwrap();
        assert_eq!(tables(&connection).unwrap(), TABLES);
    }

    /// What SQLite would run or write by itself as soon as the one with the key writes.
    const PLANTED: &[&str] = &[
        "CREATE TRIGGER planted AFTER INSERT ON messages BEGIN UPDATE runs SET bounds = '{}'; END",
        "CREATE TABLE more (id TEXT PRIMARY KEY) STRICT",
        "CREATE INDEX more ON runs (row_mac('runs', 'bounds', bounds))",
        "ALTER TABLE runs RENAME TO more; CREATE VIEW runs AS SELECT * FROM more",
        "ALTER TABLE runs ADD COLUMN more TEXT DEFAULT 'x'",
        "DROP INDEX given_id_token",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'REFERENCES runs (id) ON DELETE CASCADE',
         'REFERENCES runs (id) ON UPDATE CASCADE') WHERE name = 'messages'",
    ];

    fn plant(dir: &TempDir, sql: &str) {
        let attacker = Connection::open(dir.path("journal.db")).unwrap();
        let flags = rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC;
        attacker.create_scalar_function("row_mac", -1, flags, |_| Ok(0)).unwrap();
        attacker.execute_batch(sql).unwrap();
    }

    #[test]
    fn a_file_with_other_tables_is_none_of_ours() {
        for sql in PLANTED {
            let dir = TempDir::new();
            drop(Journal::open(&dir.0).unwrap());
            plant(&dir, sql);
            assert!(matches!(Journal::open(&dir.0), Err(Error::Foreign(_) | Error::Corrupt { .. })), "{sql}");
        }
    }

    #[test]
    fn tables_that_change_meanwhile_are_written_to_no_more() {
        for sql in PLANTED {
            let dir = TempDir::new();
            let journal = Journal::open(&dir.0).unwrap();
            journal.unlock(&DataKey::from_bytes(&[7; 32]).unwrap()).unwrap();
            let run = run_row();
            journal.start_run(&run).unwrap();
            plant(&dir, &format!("{sql}; PRAGMA schema_version = 999"));
            let written = journal.append_message(&run.id, &json!("x"));
            assert!(matches!(written, Err(Error::Foreign(_) | Error::Corrupt { .. })), "{sql}: {written:?}");
            assert!(
                matches!(journal.prove(About::Run(&run.id)), Err(Error::Foreign(_) | Error::Corrupt { .. })),
                "{sql}"
            );
        }
    }

    #[test]
    fn what_lies_in_the_file_is_not_run() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        journal.unlock(&DataKey::from_bytes(&[7; 32]).unwrap()).unwrap();
        let bounds = Bounds { max_spend: Some("1 EUR".into()), ..Bounds::default() };
        let run = RunRow { bounds, ..run_row() };
        journal.start_run(&run).unwrap();
        plant(&dir, PLANTED[0]);
        // Even if nobody looked at the tables.
        let insert = "INSERT INTO messages (run, seq, body) SELECT id, 0, '1' FROM runs";
        journal.connection.execute_batch(insert).unwrap();
        let bounds: String = journal.connection.query_row("SELECT bounds FROM runs", [], |row| row.get(0)).unwrap();
        assert_eq!(bounds, serde_json::to_string(&run.bounds).unwrap());
        assert!(journal.connection.query_row("SELECT mac FROM messages", [], |row| row.get::<_, Vec<u8>>(0)).is_ok());
    }
}
