//! The journal: runs and their messages, approvals, executions, in one SQLite file of the state folder.
//!
//! What decides about an effect (approvals, executions) is on the disk before a call returns; messages are not waited for.
//! Several processes use the file at once.

mod approvals;
mod bounds;
mod calls;
mod executions;
mod given;
mod given_up;
mod locked;
mod proof;
mod runs;
mod schema;
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
use super::lock;
use crate::files;
use chrono::{DateTime, Utc};
use rusqlite::{
    Connection, ErrorCode, OptionalExtension as _, Row, Transaction, TransactionBehavior, config::DbConfig,
};

/// How long another process may hold the file.
const BUSY: Duration = Duration::from_secs(5);

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
    /// Its tables are not ours alone.
    #[error("the journal {} has tables, indices or triggers that agentctl did not make", .0.display())]
    Foreign(PathBuf),
    /// A run was gone on with before the key was at hand.
    #[error("this run was taken up before the key of the journal was at hand, so it was not proven")]
    LateKey,
    /// Nothing can be proven without the key, or with another, and nothing is changed that somebody else proves.
    #[error("the key that this was written with is not at hand, so it can be neither proven nor changed")]
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
    /// Whether what must not be written without the key is refused by now.
    locked: Cell<bool>,
    /// What is read of this must be proven.
    relied: proof::Relied,
    /// The count of changes to its tables when they were looked at last. None: not yet.
    tables: Cell<Option<i64>>,
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
            schema::distrust(&connection)?;
            Ok(connection)
        };
        let connection = open().map_err(|error| translate(&path, error))?;
        let journal = Self {
            connection,
            path,
            waits: Cell::new(true),
            unlocked: Cell::default(),
            locked: Cell::default(),
            relied: proof::Relied::default(),
            tables: Cell::default(),
            #[cfg(feature = "test-clock")]
            deadly: None,
        };
        journal.migrate()?;
        journal.recognise()?;
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

    /// One transaction that no other writer comes between. With `wait`, it is on the disk when this returns.
    fn write<T>(&self, wait: bool, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, Error> {
        let begin = || {
            if self.waits.replace(wait) != wait {
                let level = if wait { "FULL" } else { "NORMAL" };
                self.connection.execute_batch(&format!("PRAGMA synchronous = {level};"))?;
            }
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)
        };
        // Not while the tables are being made.
        let is_made = self.tables.get().is_some();
        if is_made {
            self.lock()?;
        }
        let transaction = self.found(begin())?;
        if is_made {
            self.recognise()?;
        }
        let write = || {
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
            _ if code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_TRIGGER => Error::Locked,
            ErrorCode::ConstraintViolation => Error::Exists(text.clone().unwrap_or_default()),
            _ => Error::Sqlite(error),
        },
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => Error::Corrupt { path: path.to_owned(), why: error.to_string() },
        _ => Error::Sqlite(error),
    }
}

/// Times are kept as milliseconds since 1970: they compare and subtract in SQL.
fn millis(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

/// The id in the first column, also one that is no text.
fn id_as_it_is(row: &Row<'_>) -> rusqlite::Result<String> {
    let bytes = row.get_ref(0)?.as_bytes_or_null()?.unwrap_or_default();
    Ok(String::from_utf8_lossy(bytes).into_owned())
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

    pub(super) fn run_row() -> RunRow {
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
