//! The stop: a mark in the state folder that keeps every process of this person from carrying anything out.
//!
//! It is a file of its own and not a row of the journal: it must hold also when the journal is locked or damaged. Each stop
//! raises a number. A process remembers the number it began with and stops for good when it changes, also if a new login
//! has lifted the stop meanwhile.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::files;

/// Why nothing is carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was stopped.
    #[error("everything was stopped with `agentctl panic` at {at}{}", what_ends_it(*this, *lifted))]
    Stopped {
        /// When.
        at: String,
        /// This very process was there, and stays stopped whatever happens.
        this: bool,
        /// A new login has ended the stop for whoever begins now.
        lifted: bool,
    },
    /// The mark cannot be read, so nobody knows.
    #[error("nobody knows whether everything was stopped, so nothing is done: {0}")]
    Unknown(String),
    /// The mark cannot be written.
    #[error(transparent)]
    File(#[from] files::Error),
}

/// A process that was stopped is never set going again from outside: what it had in hand is not what the person logs in for.
fn what_ends_it(this: bool, lifted: bool) -> &'static str {
    match (this, lifted) {
        (false, _) => "; `agentctl login` ends that",
        (true, false) => ", this process too; run `agentctl login`, then start it again",
        (true, true) => ", this process too; start it again",
    }
}

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    generation: u64,
    /// Until the next login.
    stopped: bool,
    at: String,
}

/// The mark, as this process sees it.
#[derive(Clone, Debug)]
pub struct Stop {
    path: PathBuf,
    /// The number that this process began with.
    began: Cell<Option<u64>>,
}

impl Stop {
    /// The mark of a state folder. The first check remembers how things stood.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        let stop = Self { path: folder.join("stop.json"), began: Cell::default() };
        stop.began.set(stop.read().ok().map(|mark| mark.generation));
        stop
    }

    /// Whether this process may carry something out.
    ///
    /// # Errors
    /// If it was stopped, or that cannot be found out.
    pub fn check(&self) -> Result<(), Error> {
        let mark = self.read()?;
        let began = self.began.get().unwrap_or(mark.generation);
        self.began.set(Some(began));
        let (this, lifted) = (mark.generation != began, !mark.stopped);
        if this || !lifted { Err(Error::Stopped { at: mark.at, this, lifted }) } else { Ok(()) }
    }

    /// Stops everything, in every process. Returns the number of this stop.
    ///
    /// # Errors
    /// If the mark cannot be written.
    pub fn raise(&self, at: DateTime<Utc>) -> Result<u64, Error> {
        // A mark that cannot be read is replaced: its number is not worth more than the stop.
        let generation = self.read().unwrap_or_default().generation + 1;
        let at = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        self.write(&Mark { generation, stopped: true, at })?;
        Ok(generation)
    }

    /// Ends a stop. Processes that were stopped stay so. Whether there was one.
    ///
    /// # Errors
    /// If the mark cannot be read or written.
    pub fn lift(&self) -> Result<bool, Error> {
        let mark = self.read()?;
        if !mark.stopped {
            return Ok(false);
        }
        self.write(&Mark { stopped: false, ..mark })?;
        Ok(true)
    }

    fn read(&self) -> Result<Mark, Error> {
        match files::read(&self.path) {
            Ok(Some(bytes)) => serde_json::from_slice(&bytes).map_err(|error| Error::Unknown(error.to_string())),
            Ok(None) => Ok(Mark::default()),
            Err(error) => Err(Error::Unknown(error.to_string())),
        }
    }

    fn write(&self, mark: &Mark) -> Result<(), Error> {
        let text = serde_json::to_vec(mark).map_err(|error| Error::Unknown(error.to_string()))?;
        if let Some(folder) = self.path.parent() {
            files::private_dir(folder)?;
        }
        Ok(files::write(&self.path, &text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::TempDir;

    #[test]
    fn a_stop_holds_until_a_login_and_for_whoever_was_there() {
        let dir = TempDir::new();
        let before = Stop::open(&dir.0);
        before.check().unwrap();
        assert!(!before.lift().unwrap());
        assert_eq!(Stop::open(&dir.0).raise(DateTime::UNIX_EPOCH).unwrap(), 1);
        let said = |stop: &Stop| stop.check().unwrap_err().to_string();
        assert!(said(&before).ends_with("then start it again"), "{}", said(&before));
        let during = Stop::open(&dir.0);
        assert!(said(&during).ends_with("`agentctl login` ends that"), "{}", said(&during));
        assert!(during.lift().unwrap());
        assert!(said(&before).ends_with("this process too; start it again"), "the login is not for what was stopped");
        Stop::open(&dir.0).check().unwrap();
        assert_eq!(during.raise(DateTime::UNIX_EPOCH).unwrap(), 2);
    }

    #[test]
    fn what_cannot_be_read_stops_too() {
        let dir = TempDir::new();
        std::fs::write(dir.path("stop.json"), "x").unwrap();
        let stop = Stop::open(&dir.0);
        assert!(matches!(stop.check(), Err(Error::Unknown(_))));
        stop.raise(DateTime::UNIX_EPOCH).unwrap();
        assert!(matches!(stop.check(), Err(Error::Stopped { .. })));
    }
}
