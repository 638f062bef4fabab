//! One process at a time: a lock that the system releases when its holder ends, however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{ErrorKind, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    clock::Clock,
    files::{self, Error as FileError},
    still::Place,
};

/// A note is an id.
const MOST_NOTED: u64 = 100;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// How often a lock is tried again that somebody only looks at, a millisecond apart.
const LOOKS: u32 = 1000;

/// Why a lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process did not let go of it.
    #[error("another agentctl process has held {} for {} s", path.display(), limit.as_secs())]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// How long was waited.
        limit: Duration,
    },
    /// Its file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

/// An exclusive hold on a lock file, until it is dropped. The file itself stays: removing it would let a second process
/// lock a new file of the same name while the first still holds the old one.
#[derive(Debug)]
pub struct GrantLock {
    file: File,
}

impl GrantLock {
    /// Takes the lock, waiting at most `limit`.
    ///
    /// # Errors
    /// If somebody else keeps it, or the file cannot be made.
    pub async fn take(path: &Path, clock: &dyn Clock, limit: Duration) -> Result<Self, Error> {
        let file = open(path)?;
        let until = clock.elapsed() + limit;
        while !had(file.try_lock(), path)? {
            if clock.elapsed() >= until {
                return Err(Error::Busy { path: path.to_owned(), limit });
            }
            clock.sleep(PAUSE).await;
        }
        Ok(Self { file })
    }

    /// Takes the lock if nobody has it. Who only looks whether it is taken shares it for that moment, and is waited for.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn try_take(path: &Path) -> Result<Option<Self>, Error> {
        let file = open(path)?;
        for _ in 0..LOOKS {
            if had(file.try_lock(), path)? {
                return Ok(Some(Self { file }));
            }
            if !had(file.try_lock_shared(), path)? {
                return Ok(None);
            }
            file.unlock().map_err(|source| FileError::new("unlocked", path, source))?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(None)
    }

    /// Writes into the lock file what it is held for, for those who wait. It is only told: whether it can be written or read
    /// changes nothing.
    pub fn note(&self, what: &str) {
        let mut file = &self.file;
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(what.as_bytes()));
    }

    /// What the holder of a lock has noted. Where a locked file cannot be read, nothing.
    #[must_use]
    pub fn noted(path: &Path) -> Option<String> {
        let file = files::open(path, OpenOptions::new().read(true)).ok()?;
        let mut what = String::new();
        file.take(MOST_NOTED).read_to_string(&mut what).ok()?;
        Some(what)
    }

    /// Whether somebody has it. Makes no file.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn is_taken(path: &Path) -> Result<bool, Error> {
        match files::open(path, OpenOptions::new().read(true)) {
            // Not alone: two who look are not told of each other.
            Ok(file) => Ok(!had(file.try_lock_shared(), path)?),
            Err(FileError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The same on a thread that may block.
    pub(super) fn take_blocking(path: &Path, limit: Duration) -> Result<Self, Error> {
        let file = open(path)?;
        within(limit, path, || file.try_lock())?;
        Ok(Self { file })
    }
}

/// The waits for the audit log's lock: the thread that blocks in one is the one that looks at signals and the time.
pub static WAITS: Place = Place::new();

/// Tries to take a lock until it is had or `limit` is over; blocks the thread meanwhile.
pub(super) fn within(
    limit: Duration,
    path: &Path,
    mut attempt: impl FnMut() -> Result<(), TryLockError>,
) -> Result<(), Error> {
    // A holder that only appends a line is done within a millisecond, so the first pauses are short.
    let (mut waited, mut pause) = (Duration::ZERO, Duration::from_micros(200));
    while !had(attempt(), path)? {
        if waited >= limit {
            return Err(Error::Busy { path: path.to_owned(), limit });
        }
        std::thread::sleep(pause);
        waited += pause;
        pause = PAUSE.min(pause * 2);
    }
    Ok(())
}

pub(super) fn open(path: &Path) -> Result<File, FileError> {
    if let Some(folder) = path.parent() {
        files::private_dir(folder)?;
    }
    files::open(path, OpenOptions::new().read(true).write(true).create(true).truncate(false))
}

fn had(attempt: Result<(), TryLockError>, path: &Path) -> Result<bool, FileError> {
    match attempt {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(FileError::new("locked", path, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, files::tests::TempDir};

    #[tokio::test]
    async fn the_second_waits_until_the_first_lets_go() {
        let dir = TempDir::new();
        let clock = ManualClock::new(chrono::DateTime::UNIX_EPOCH);
        let path = dir.path("locks/grant.lock");
        let limit = Duration::from_secs(1);
        let first = GrantLock::take(&path, &clock, limit).await.unwrap();
        assert!(matches!(GrantLock::take(&path, &clock, limit).await, Err(Error::Busy { .. })));
        assert_eq!(clock.elapsed(), limit);
        assert!(GrantLock::try_take(&path).unwrap().is_none());
        for what in ["apr_a_longer_one", "apr_1"] {
            first.note(what);
            // A locked file can be read by others where the system has no locks that forbid it.
            assert!(!cfg!(unix) || GrantLock::noted(&path).as_deref() == Some(what));
        }
        assert!(GrantLock::is_taken(&path).unwrap());
        drop(first);
        assert!(!GrantLock::is_taken(&path).unwrap());
        assert!(GrantLock::try_take(&path).unwrap().is_some());
        GrantLock::take(&path, &clock, limit).await.unwrap();
        GrantLock::take_blocking(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn who_only_looks_keeps_nobody_from_taking_it() {
        let dir = TempDir::new();
        let path = dir.path("lease.lock");
        assert!(!GrantLock::is_taken(&path).unwrap(), "no file is made for it");
        // What `is_taken` does, only longer.
        let looking = open(&path).unwrap();
        looking.lock_shared().unwrap();
        assert!(!GrantLock::is_taken(&path).unwrap(), "one who looks is not one who has it");
        let let_go = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(looking);
        });
        let taken = GrantLock::try_take(&path).unwrap();
        assert!(taken.is_some() && GrantLock::is_taken(&path).unwrap());
        assert!(GrantLock::try_take(&path).unwrap().is_none());
        let_go.join().unwrap();
    }
}
