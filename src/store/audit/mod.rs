//! The audit log: JSON Lines, each holding the SHA-256 of the line before, so that a changed, missing or moved line shows.
//!
//! Each action has two entries, a request before it and a response after, and one with an effect a third between them, right
//! before it is sent. An entry is on the disk before its call returns,
//! and several processes append at once. No line is ever taken away: when a crash left half a line, the log goes on behind
//! it with an entry of kind `recovered`, whose `prev` covers the half line together with the last whole one. Whole lines that are no entries were written by
//! somebody else; that entry says so, and the log does not verify any more. When a file has
//! grown large, the log goes on in a new one, whose first line follows from the last of the old.
//! Only whole files go, the oldest, when a limit is set ([`Audit::prune`]).
//!
//! A chain alone can be written anew by whoever can write to the folder. So checkpoints in it carry a MAC under a key that
//! lies in the credential store, and a head file beside it says up to where there was one: without the key nothing before
//! a checkpoint can be changed, and nothing up to the newest one be cut off, unseen. The id of a log says whether it was begun
//! with the key; one that was is sealed from its first line on, so that taking every seal out shows as well. Each entry carries
//! a MAC of its own, too: what somebody without the key put behind the last seal stays known as nobody's, whoever seals it
//! later. Whoever has this person's account and key is not defended against.

mod append;
mod chain;
mod checkpoint;
mod id;
mod lines;
mod pairs;
mod prune;
mod read;
mod rotate;
mod signed;
mod tampering;
mod trouble;
mod verify;

#[cfg(test)]
mod prune_tests;
#[cfg(test)]
mod tampering_tests;
#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::{
    append::{Opened, Writer},
    checkpoint::LogKey,
    lines::Stood,
};
pub use self::{
    chain::{Link, hash_of},
    read::Cursor,
    signed::{Signed, Token},
    trouble::Trouble,
    verify::{Bad, Flaw, Place, Seal, Verdict},
};
use super::{
    lock,
    seal::{self, DataKey, Root},
};
use crate::{call::ActionId, files, json};

/// How long other processes may take to append: a hundred at once wait for one disk.
const BUSY: Duration = Duration::from_secs(20);
/// A file that is larger than this is not written to any more; the log goes on in a new one.
const FILE_SIZE: u64 = 64 * 1024 * 1024;
/// The first line of a file says how it is written. Before 2 nothing said of an effect that it was sent.
const FORMAT: u64 = 2;
/// A process that works for long seals the log whenever the number of an entry is a multiple of this.
const CHECKPOINT_EVERY: u64 = 64;

/// Why an entry could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder, file or disk.
    #[error(transparent)]
    File(#[from] files::Error),
    /// Another process keeps it locked.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// The entry has no JSON form, or none that can be read back.
    #[error("the entry cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Its keys could not be derived.
    #[error("the log's keys cannot be derived: {0}")]
    Key(#[from] seal::Error),
    /// A value is to be hidden before there is a key for it.
    #[error("there is no key under which a sensitive value could be hashed")]
    NoKey,
    /// What was sealed before is not there any more, so a new seal would cover the change up.
    #[error("the log is not sealed: {0}")]
    NotSealed(String),
    /// It does not verify, so no file of it is removed.
    #[error("nothing is removed from a log that does not verify: {0}")]
    NotWhole(String),
    /// What is about to leave was not asked for in this log.
    #[error("the request of {0} does not stand in it any more: it was emptied, cut off, taken away or replaced")]
    NoRequest(ActionId),
    /// Where an old file should go, there is one already.
    #[error("{} is there already, so the log cannot go on in a new file", .0.display())]
    Taken(PathBuf),
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The first of a file.
    Begin,
    /// Written before an action.
    Request,
    /// Written right before the request of an action with an effect leaves: from then on it may have happened.
    Sent,
    /// Written after it.
    Response,
    /// Written behind half a line that a crash left, and behind lines that are no entries.
    Recovered,
    /// Seals what stands before it.
    Checkpoint,
    /// Says which files were removed because they had become old.
    Pruned,
}

/// One line of the log. The order of the members is the order in the file. It is read in one way only: a line in which a
/// name stands twice, or whose time is none, is no entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Line")]
pub struct Entry {
    /// Counts from 1 without a gap.
    pub seq: u64,
    /// When it was written (RFC 3339, UTC).
    pub time: String,
    /// SHA-256 of the line before, in hexadecimal.
    pub prev: String,
    /// What it is.
    pub kind: Kind,
    /// The action it belongs to, if it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionId>,
    /// What happened.
    pub body: Value,
    /// HMAC over all that stands before it in the line, of whoever has the log's key; none in a checkpoint, whose MAC is part
    /// of its body, and of whoever wrote without the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Whether that MAC is one of the log's key, as far as the reader has the key; no member of the line.
    #[serde(skip)]
    pub proven: Option<bool>,
}

impl Entry {
    /// Reads a line; none if it is no entry.
    #[must_use]
    pub fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_str(str::from_utf8(line).ok()?).ok()
    }

    /// Whether it stands in the place of an earlier entry of its kind and action, or is the first: what carries the log's MAC
    /// takes the place of what does not.
    #[must_use]
    pub fn takes_over(&self, before: Option<&Self>) -> bool {
        before.is_none_or(|before| before.proven == Some(false) && self.proven == Some(true))
    }
}

/// An entry before it is known to have one reading.
#[derive(Deserialize)]
struct Line {
    seq: u64,
    time: String,
    prev: String,
    kind: Kind,
    #[serde(default)]
    action: Option<ActionId>,
    body: json::Read,
    #[serde(default)]
    mac: Option<String>,
}

impl TryFrom<Line> for Entry {
    type Error = String;

    fn try_from(line: Line) -> Result<Self, String> {
        let Line { seq, time, prev, kind, action, body, mac } = line;
        if let Some(at) = body.twice {
            return Err(format!("the name {at} stands twice in its body"));
        }
        DateTime::parse_from_rfc3339(&time).map_err(|_| "its time is none")?;
        Ok(Self { seq, time, prev, kind, action, body: body.value, mac, proven: None })
    }
}

/// The log of one state folder.
#[derive(Debug)]
pub struct Audit {
    folder: PathBuf,
    file_size: u64,
    checkpoint_every: u64,
    /// What the log's keys are derived from, and whether it outlives this process.
    root: OnceCell<(Root, bool)>,
    key: RefCell<Option<LogKey>>,
    /// What the last append had open.
    opened: RefCell<Option<Opened>>,
    /// Where the requests stand that this process has written or looked up.
    requests: RefCell<HashMap<ActionId, Stood>>,
    /// This process has written something that no checkpoint covers yet.
    unsealed: Cell<bool>,
    trouble: Rc<Trouble>,
}

impl Audit {
    /// The log in a state folder; made by its first entry.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            file_size: FILE_SIZE,
            checkpoint_every: CHECKPOINT_EVERY,
            root: OnceCell::new(),
            key: RefCell::default(),
            opened: RefCell::default(),
            requests: RefCell::default(),
            unsealed: Cell::new(false),
            trouble: Rc::default(),
        }
    }

    /// The same log with another size at which it goes on in a new file.
    #[must_use]
    pub fn with_file_size(self, bytes: u64) -> Self {
        Self { file_size: bytes, ..self }
    }

    /// The file that is written to.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join(rotate::CURRENT)
    }

    /// Whether [`Audit::unlock`] was called.
    #[must_use]
    pub fn is_unlocked(&self) -> bool {
        self.root.get().is_some()
    }

    /// Gives the log the key from which its own are derived. Only a key that `lasts` longer than this process seals the log:
    /// nobody could check the others. One log has one key: where the head file is sealed under another, nothing is sealed.
    pub fn unlock(&self, key: &DataKey, lasts: bool) {
        // The first one stays: within one process there is only one.
        let _ = self.root.set((key.root().clone(), lasts));
    }

    /// Writes down what is about to be done.
    ///
    /// # Errors
    /// If it cannot be made durable. Then it must not be done.
    pub fn request(&self, action: &ActionId, at: DateTime<Utc>, body: Value) -> Result<(), Error> {
        self.append(Kind::Request, action, at, body)
    }

    /// Writes down that its request is about to leave. The log must hold the request entry of the action, which this process
    /// has written or looked up: a log that lies there instead says nothing of what was asked.
    ///
    /// # Errors
    /// If the request is not there any more, or this cannot be made durable. Then it must not leave.
    pub fn sent(&self, action: &ActionId, at: DateTime<Utc>, body: Value) -> Result<(), Error> {
        self.append(Kind::Sent, action, at, body)
    }

    /// Writes down how it ended.
    ///
    /// # Errors
    /// If it cannot be made durable.
    pub fn response(&self, action: &ActionId, at: DateTime<Utc>, body: Value) -> Result<(), Error> {
        self.append(Kind::Response, action, at, body)
    }

    /// What stands in the log in the place of a sensitive value: an HMAC under a key of this log alone, so that equal values
    /// of one name can be told, and no value can be guessed by whoever has only the log.
    ///
    /// # Errors
    /// If there is no key, or the log cannot be begun.
    pub fn hide(&self, at: DateTime<Utc>, name: &str, value: &Value) -> Result<String, Error> {
        let known = self.key.borrow().as_ref().map(|key| key.hide(name, value));
        if let Some(hidden) = known {
            return Ok(hidden?);
        }
        let writer = Writer::open(self, at)?;
        let key = writer.key()?.ok_or(Error::NoKey)?;
        // The keys are those of this very log, so it has to be there first.
        writer.write()?;
        Ok(key.hide(name, value)?)
    }

    /// Whether `hidden` is what [`Audit::hide`] makes of this value. Writes nothing; no key is a no.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn hides(&self, hidden: &str, name: &str, value: &Value) -> Result<bool, Error> {
        if self.key.borrow().is_none()
            && let (Some((root, _)), Some(log)) = (self.root.get(), self.log_id()?)
        {
            *self.key.borrow_mut() = Some(LogKey::new(root, &log)?);
        }
        let made = self.key.borrow().as_ref().map(|key| key.hide(name, value)).transpose()?;
        Ok(made.is_some_and(|made| made == hidden))
    }

    /// Seals the log with a checkpoint, if this process has written to it since the last one: at the end of a run.
    ///
    /// # Errors
    /// If it cannot be written, or what was sealed before is not there any more.
    pub fn seal(&self, at: DateTime<Utc>) -> Result<(), Error> {
        if !self.unsealed.get() || self.lasting_root().is_none() {
            return Ok(());
        }
        let mut writer = Writer::open(self, at)?;
        if let Some(key) = writer.key()?
            && writer.last_kind() != Some(Kind::Checkpoint)
        {
            let start = writer.may_seal(&key)?;
            writer.push_checkpoint(&key, at, start)?;
            writer.write()?;
        }
        self.unsealed.set(false);
        Ok(())
    }

    /// What the keys are derived from, if it outlives this process.
    fn lasting_root(&self) -> Option<&Root> {
        self.root.get().filter(|(_, lasts)| *lasts).map(|(root, _)| root)
    }

    fn append(&self, kind: Kind, action: &ActionId, at: DateTime<Utc>, body: Value) -> Result<(), Error> {
        let mut writer = Writer::open(self, at)?;
        if kind == Kind::Sent {
            let request = self.requests.borrow().get(action).copied();
            if !request.map_or(Ok(false), |request| writer.holds(request))? {
                return Err(Error::NoRequest(action.clone()));
            }
        }
        let start = writer.end();
        let seq = writer.push(kind, Some(action), at, body)?;
        let stood = writer.added(start);
        let key = writer.lasting_key()?;
        let mut sealed = false;
        if let Some(key) = key.filter(|_| seq.is_multiple_of(self.checkpoint_every)) {
            // The entry counts, sealed or not; the end of the run says why it was not.
            match writer.may_seal(&key) {
                Ok(start) => {
                    writer.push_checkpoint(&key, at, start)?;
                    sealed = true;
                }
                Err(Error::NotSealed(_)) => {}
                Err(error) => return Err(error),
            }
        }
        writer.write()?;
        match kind {
            Kind::Request => drop(self.requests.borrow_mut().insert(action.clone(), stood)),
            Kind::Response => drop(self.requests.borrow_mut().remove(action)),
            _ => {}
        }
        self.unsealed.set(!sealed);
        Ok(())
    }
}
