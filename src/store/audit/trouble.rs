//! What went wrong with a log while it was written to, for the one who tells the person when the command ends.

use std::{cell::RefCell, rc::Rc};

use chrono::{DateTime, Utc};

use super::{Audit, Error};

/// Shared by all who write to the log in one process.
#[derive(Debug, Default)]
pub struct Trouble {
    missing: RefCell<Option<String>>,
    unsealed: RefCell<Option<String>>,
}

impl Trouble {
    /// The id of the log that should have been here when a new one was begun.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        self.missing.borrow().clone()
    }

    /// Why the log is not sealed.
    #[must_use]
    pub fn unsealed(&self) -> Option<String> {
        self.unsealed.borrow().clone()
    }

    pub(super) fn misses(&self, log: String) {
        self.missing.replace(Some(log));
    }

    /// Notes what writing or sealing came to.
    pub fn note(&self, result: Result<(), Error>) {
        let why = match result {
            Ok(()) => return,
            Err(Error::NotSealed(why)) => why,
            Err(error) => error.to_string(),
        };
        self.unsealed.replace(Some(why));
    }
}

impl Audit {
    /// The same log, which notes its trouble here.
    #[must_use]
    pub fn troubling(self, trouble: Rc<Trouble>) -> Self {
        Self { trouble, ..self }
    }

    /// What went wrong so far.
    #[must_use]
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Seals the log where a command ends. If that fails, what was written stands all the same, and the next command seals it,
    /// or the person is told why that cannot be.
    pub fn seal_at_end(&self, at: DateTime<Utc>) {
        self.trouble.note(self.seal(at));
    }
}
