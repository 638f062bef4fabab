//! Reading the log entry by entry, from its beginning or from where an earlier reading ended.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};

use super::{
    Audit, Entry, Error, Kind,
    chain::{Link, sha256, sha256_twice},
    checkpoint::LogKey,
    lines::Stood,
    rotate::{First, LogFile},
};
use crate::{call::ActionId, files};

/// How far a reader has come.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    /// The log's id: another one counts from 1 again.
    log: Option<String>,
    /// Another log has been found in the place of the one that was read.
    anew: bool,
    /// The file, by the number of its first entry, and how much of it has been read.
    place: Option<(u64, u64)>,
}

impl Cursor {
    /// Whether the log has begun anew since this was asked last.
    pub fn begun_anew(&mut self) -> bool {
        std::mem::take(&mut self.anew)
    }

    fn is_in(&mut self, log: String) {
        if self.log.as_ref().is_some_and(|known| *known != log) {
            self.place = None;
            self.anew = true;
        }
        self.log = Some(log);
    }
}

impl Audit {
    /// Every entry in order. Lines that are none are left out; [`Audit::verify`] names them.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        self.read_on(&mut Cursor::default(), |entry, _| {
            entries.push(entry);
            true
        })?;
        Ok(entries)
    }

    /// What tells the entries of a file that were written with the key; none without a key that outlives this process. Each file
    /// names its log, so another one that was put beside it takes nothing from the others.
    fn prover(&self, file: &LogFile) -> Result<Option<Prover>, Error> {
        let Some(root) = self.lasting_root() else { return Ok(None) };
        let Some(First { log, .. }) = First::read(&file.file, &file.path)? else { return Ok(Some(Prover(None))) };
        let mut known = self.key.borrow_mut();
        match &*known {
            Some(key) if key.log == log => {}
            _ => *known = Some(LogKey::new(root, &log)?),
        }
        Ok(Some(Prover(known.clone())))
    }

    /// The entries of one action. Of the others nothing is read but that they are others. Where its request stands is kept in
    /// mind for [`Audit::sent`].
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn entries_of(&self, action: &ActionId) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        for file in self.snapshot()?.files {
            let prover = self.prover(&file)?;
            each_line(&file, 0, |line, end| {
                if !str::from_utf8(line).is_ok_and(|line| line.contains(action.as_str())) {
                    return true;
                }
                let Some(entry) = read(line, prover.as_ref()) else { return true };
                if entry.action.as_ref() != Some(action) {
                    return true;
                }
                if entry.kind == Kind::Request && entry.proven != Some(false) {
                    let len = line.len() as u64;
                    let stood = Stood { file: file.first, start: end - len - 1, len, hash: sha256(line) };
                    self.requests.borrow_mut().insert(action.clone(), stood);
                }
                entries.push(entry);
                true
            })?;
        }
        Ok(entries)
    }

    /// Calls `each` with every whole entry behind the cursor, and its line, until it returns false; the cursor moves along.
    /// A log that is not there has no entries. What is written meanwhile is for the next call, wherever it stands then.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn read_on(&self, cursor: &mut Cursor, mut each: impl FnMut(Entry, &[u8]) -> bool) -> Result<(), Error> {
        let files = self.snapshot()?.files;
        if let Some(first) = files.first().map(|file| First::read(&file.file, &file.path)).transpose()?.flatten() {
            cursor.is_in(first.log);
        }
        for file in files {
            let from = match cursor.place {
                Some((first, _)) if file.first < first => continue,
                Some((first, read)) if file.first == first => read,
                _ => 0,
            };
            cursor.place = Some((file.first, from));
            let prover = if from < file.len { self.prover(&file)? } else { None };
            let went_on = each_line(&file, from, |line, end| {
                cursor.place = Some((file.first, end));
                read(line, prover.as_ref()).is_none_or(|entry| each(entry, line))
            })?;
            if !went_on {
                break;
            }
        }
        Ok(())
    }

    /// Whether there is a checkpoint anywhere.
    pub(super) fn was_sealed(&self) -> Result<bool, Error> {
        for file in self.files()? {
            let none =
                each_line(&file, 0, |line, _| Link::read(line).is_none_or(|link| link.kind != Kind::Checkpoint))?;
            if !none {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Tells what was written with the key of a log from what was not. A file that names no log holds nothing that was.
struct Prover(Option<LogKey>);

/// Reads a line, and whether it carries the log's MAC: the one look at its bytes.
fn read(line: &[u8], prover: Option<&Prover>) -> Option<Entry> {
    let mut entry = Entry::read(line)?;
    entry.proven = prover.map(|Prover(key)| {
        key.as_ref().is_some_and(|key| key.signed_entry(line, &sha256_twice(line).0) || key.sealed_line(line))
    });
    Some(entry)
}

/// Calls `work` with each line and with where it ends, until it returns false; then it returns false itself. A last line
/// without an end is not there yet.
fn each_line(file: &LogFile, from: u64, mut work: impl FnMut(&[u8], u64) -> bool) -> Result<bool, Error> {
    let failed = |source| files::Error::new("read", &file.path, source);
    let mut opened = &file.file;
    opened.seek(SeekFrom::Start(from)).map_err(failed)?;
    let mut reader = BufReader::with_capacity(64 * 1024, opened.take(file.len.saturating_sub(from)));
    let (mut line, mut read) = (Vec::new(), from);
    loop {
        line.clear();
        read += reader.read_until(b'\n', &mut line).map_err(failed)? as u64;
        let Some(line) = line.strip_suffix(b"\n") else { return Ok(true) };
        if !work(line, read) {
            return Ok(false);
        }
    }
}
