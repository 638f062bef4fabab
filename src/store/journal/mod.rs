//! The journal: runs and their messages, approvals, executions, in one SQLite file of the state folder.
//!
//! What decides about an effect (approvals, executions) is on the disk before a call returns; messages are not waited for.
//! Several processes use the file at once.

mod approvals;
mod bounds;
mod calls;
mod executions;
mod given;
mod proof;
mod runs;
mod spending;
mod state;

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    time::Duration,
};

pub use self::{
    approvals::{ApprovalChange, ApprovalFilter, ApprovalRow, NewApproval},
    bounds::{Bounds, NamedModel},
    calls::{CallRow, Then},
    executions::{Execution, ExecutionEnd, ExecutionRow, Logged},
    given::Given,
    proof::About,
    runs::{RunRow, SavedRun, Tally},
    spending::{Purse, Sums},
    state::ApprovalState,
};
use super::lock::{self, GrantLock};
use crate::files;
use chrono::{DateTime, Utc};
use rusqlite::{
    Connection, ErrorCode, OptionalExtension as _, Row, Transaction, TransactionBehavior, config::DbConfig,
};

/// How long another process may hold the file.
const BUSY: Duration = Duration::from_secs(5);

/// Each entry leads from one version of the schema to the next; `user_version` counts them.
const MIGRATIONS: &[&str] = &[
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

/// Why something could not be written down or found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder, file or disk.
    #[error(transparent)]
    File(#[from] files::Error),
    /// No other process let go of it in time.
    #[error("another process holds the journal")]
    Busy,
    /// The same, while the file was being made.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// It is no journal, or a damaged one.
    #[error("the journal {} is damaged: {why}", path.display())]
    Corrupt {
        /// Its file.
        path: PathBuf,
        /// What does not hold.
        why: String,
    },
    /// A later agentctl wrote it.
    #[error("the journal {} has version {found}, and this agentctl knows {known}", path.display())]
    Newer {
        /// Its file.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// The version known here.
        known: usize,
    },
    /// The life of an approval has no such step.
    #[error("an approval that is {from} cannot become {to}")]
    NoSuchStep {
        /// From where.
        from: ApprovalState,
        /// To where.
        to: ApprovalState,
    },
    /// Somebody else was faster: the approval is in another state by now.
    #[error("the approval is {found} by now, not {expected}")]
    Stale {
        /// What it should have been.
        expected: ApprovalState,
        /// What it is.
        found: ApprovalState,
    },
    /// Nothing of that name is in the journal.
    #[error("{0} is not in the journal")]
    Missing(String),
    /// The same thing was written down before.
    #[error("{0} is in the journal already")]
    Exists(String),
    /// What a server gives to one approval alone came before, for another one.
    #[error("the authorization server's answer was given to another approval before")]
    Given,
    /// A row of it does not carry the MAC of what it says.
    #[error("the journal's row {row} of {table} was changed, or written without the journal's key or with another")]
    Unproven {
        /// Which table.
        table: &'static str,
        /// Which row.
        row: String,
    },
    /// Nothing can be proven without the key.
    #[error("the journal's key is not at hand, so what it says cannot be proven")]
    Locked,
    /// Anything else that SQLite says.
    #[error("the journal refused: {0}")]
    Sqlite(rusqlite::Error),
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
    path: PathBuf,
    /// Whether a commit waits for the disk, as the connection is set now.
    waits: Cell<bool>,
    /// Whether what is written carries MACs.
    unlocked: Cell<bool>,
    #[cfg(feature = "test-clock")]
    deadly: Option<String>,
}

impl Journal {
    /// Whether there is a journal in a state folder.
    #[must_use]
    pub fn lies_in(folder: &Path) -> bool {
        folder.join("journal.db").exists()
    }

    /// Opens the journal in a state folder; makes both if they are missing.
    ///
    /// # Errors
    /// If it cannot be written to, is damaged, or was written by a later agentctl.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        files::private_dir(folder)?;
        let path = folder.join("journal.db");
        // SQLite gives its two side files the permissions of the first one.
        files::ensure(&path)?;
        for side in ["-wal", "-shm"] {
            files::check(&files::beside(&path, side))?;
        }
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(&path)?;
            connection.busy_timeout(BUSY)?;
            // The last process to leave would otherwise copy the log into the file and wait for the disk twice.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
            Ok(connection)
        };
        let connection = open().map_err(|error| translate(&path, error))?;
        let journal = Self {
            connection,
            path,
            waits: Cell::new(true),
            unlocked: Cell::default(),
            #[cfg(feature = "test-clock")]
            deadly: None,
        };
        if journal.version()? != MIGRATIONS.len() {
            journal.migrate()?;
        }
        Ok(journal)
    }

    /// The process dies at this step: `before:NAME` or `after:NAME` of a durable write. How a process test kills it at a
    /// place that it could not hit from outside. Compiled in only with the feature `test-clock`.
    #[cfg(feature = "test-clock")]
    #[must_use]
    pub fn dying_at(mut self, step: Option<&str>) -> Self {
        self.deadly = step.map(str::to_owned);
        self
    }

    /// The place before or after a step that is written elsewhere, such as in the audit log.
    pub fn passes(&self, place: &str) {
        #[cfg(feature = "test-clock")]
        if self.deadly.as_deref() == Some(place) {
            std::process::abort();
        }
        #[cfg(not(feature = "test-clock"))]
        let _ = place;
    }

    fn version(&self) -> Result<usize, Error> {
        let version: i64 = self.found(self.connection.query_row("PRAGMA user_version", [], |row| row.get(0)))?;
        let (found, known) = (usize::try_from(version).unwrap_or(usize::MAX), MIGRATIONS.len());
        if found > known { Err(Error::Newer { path: self.path.clone(), found, known }) } else { Ok(found) }
    }

    fn migrate(&self) -> Result<(), Error> {
        // SQLite does not wait its turn when it switches to a write-ahead log, so the first processes are lined up here.
        let _lock = GrantLock::take_blocking(&files::beside(&self.path, ".lock"), BUSY)?;
        self.found(self.connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())))?;
        for (index, step) in MIGRATIONS.iter().enumerate().skip(self.version()?) {
            self.write(true, |tx| tx.execute_batch(&format!("{step} PRAGMA user_version = {};", index + 1)))?;
        }
        files::sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        Ok(())
    }

    /// One transaction that no other writer comes between. With `wait`, it is on the disk when this returns.
    fn write<T>(&self, wait: bool, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, Error> {
        let write = || {
            if self.waits.replace(wait) != wait {
                let level = if wait { "FULL" } else { "NORMAL" };
                self.connection.execute_batch(&format!("PRAGMA synchronous = {level};"))?;
            }
            let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        self.found(write())
    }

    /// A write that the next act outside depends on: it is on the disk when this returns.
    fn step<T>(&self, name: &str, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, Error> {
        self.passes(&format!("before:{name}"));
        let result = self.write(true, work)?;
        self.passes(&format!("after:{name}"));
        Ok(result)
    }

    fn list<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let list = || self.connection.prepare(sql)?.query_map(params, read)?.collect();
        self.found(list())
    }

    fn find<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        self.found(self.connection.query_row(sql, params, read).optional())
    }

    fn found<T>(&self, result: rusqlite::Result<T>) -> Result<T, Error> {
        result.map_err(|error| translate(&self.path, error))
    }

    fn corrupt(&self, why: &str) -> Error {
        Error::Corrupt { path: self.path.clone(), why: why.into() }
    }
}

fn translate(path: &Path, error: rusqlite::Error) -> Error {
    let denied = |kind| files::Error::new("written", path, std::io::Error::new(kind, error.to_string())).into();
    match &error {
        rusqlite::Error::SqliteFailure(code, text) => match code.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Busy,
            ErrorCode::DiskFull => files::Error::Full(path.to_owned()).into(),
            ErrorCode::ReadOnly => denied(std::io::ErrorKind::ReadOnlyFilesystem),
            ErrorCode::CannotOpen | ErrorCode::PermissionDenied => denied(std::io::ErrorKind::PermissionDenied),
            ErrorCode::SystemIoFailure => denied(std::io::ErrorKind::Other),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                Error::Corrupt { path: path.to_owned(), why: code.to_string() }
            }
            ErrorCode::ConstraintViolation => Error::Exists(text.clone().unwrap_or_default()),
            _ => Error::Sqlite(error),
        },
        rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => {
            Error::Corrupt { path: path.to_owned(), why: error.to_string() }
        }
        _ => Error::Sqlite(error),
    }
}

/// Times are kept as milliseconds since 1970: they compare and subtract in SQL.
fn millis(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<DateTime<Utc>> {
    let millis: i64 = row.get(column)?;
    DateTime::from_timestamp_millis(millis).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, millis))
}

fn maybe_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let millis: Option<i64> = row.get(column)?;
    millis.map(|_| time(row, column)).transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{call::RunId, files::tests::TempDir};

    pub(super) fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    fn run_row() -> RunRow {
        RunRow {
            id: RunId::mint(),
            started_at: at(0),
            profile: "default".into(),
            model: "m".into(),
            title: "buy 2 phones".into(),
            bounds: Bounds::default(),
        }
    }

    #[test]
    fn a_run_and_its_messages_come_back_in_another_process() {
        let dir = TempDir::new();
        let run = run_row();
        let journal = Journal::open(&dir.path("state")).unwrap();
        journal.start_run(&run).unwrap();
        for number in 0..3 {
            journal.append_message(&run.id, &json!({"role": "user", "content": number})).unwrap();
        }
        let other = Journal::open(&dir.path("state")).unwrap();
        assert_eq!(other.messages(&run.id).unwrap()[2]["content"], 2);
        let saved = other.run(&run.id).unwrap().unwrap();
        assert_eq!((saved.row, saved.ended_at), (run.clone(), None));
        other.end_run(&run.id, at(9), "completed", 0).unwrap();
        let saved = journal.run(&run.id).unwrap().unwrap();
        assert_eq!(
            (saved.ended_at, saved.status.as_deref(), saved.exit_code),
            (Some(at(9)), Some("completed"), Some(0))
        );
    }

    #[test]
    fn what_is_not_there_is_said_to_be_missing() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let nobody = RunId::mint();
        assert_eq!(journal.run(&nobody).unwrap(), None);
        assert!(matches!(journal.append_message(&nobody, &json!(1)), Err(Error::Missing(_))));
        assert!(matches!(journal.end_run(&nobody, at(0), "failed", 1), Err(Error::Missing(_))));
        let run = run_row();
        journal.start_run(&run).unwrap();
        assert!(matches!(journal.start_run(&run), Err(Error::Exists(_))));
    }

    #[test]
    fn processes_that_start_together_make_one_journal() {
        let dir = TempDir::new();
        let run = run_row();
        let folder = dir.path("state");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (folder, id) = (&folder, &run.id);
                scope.spawn(move || {
                    let journal = Journal::open(folder).unwrap();
                    let own = RunRow { id: RunId::mint(), ..run_row() };
                    journal.start_run(&own).unwrap();
                    for _ in 0..10 {
                        journal.append_message(&own.id, &json!(number)).unwrap();
                    }
                    assert_eq!(journal.messages(&own.id).unwrap().len(), 10);
                    assert!(journal.run(id).unwrap().is_none());
                });
            }
        });
    }

    #[cfg(unix)]
    #[test]
    fn others_cannot_read_it_and_links_are_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = TempDir::new();
        let journal = Journal::open(&dir.path("state")).unwrap();
        journal.start_run(&run_row()).unwrap();
        for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
            let mode = std::fs::metadata(dir.path("state").join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        std::fs::create_dir(dir.path("other")).unwrap();
        std::os::unix::fs::symlink(dir.path("state/journal.db"), dir.path("other/journal.db")).unwrap();
        assert!(matches!(Journal::open(&dir.path("other")), Err(Error::File(files::Error::Symlink(_)))));
    }

    #[test]
    fn a_damaged_or_later_journal_is_named() {
        let dir = TempDir::new();
        std::fs::write(dir.path("journal.db"), vec![b'x'; 4096]).unwrap();
        assert!(matches!(Journal::open(&dir.0), Err(Error::Corrupt { .. })));
        std::fs::remove_file(dir.path("journal.db")).unwrap();
        Journal::open(&dir.0).unwrap().connection.execute_batch("PRAGMA user_version = 99").unwrap();
        assert!(matches!(Journal::open(&dir.0), Err(Error::Newer { found: 99, .. })));
    }
}
