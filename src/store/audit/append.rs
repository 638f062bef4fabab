//! Appending: under a lock, after the last line, with one write that is on the disk before it counts.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read, Seek, SeekFrom, Write as _},
    path::PathBuf,
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{
    Audit, Entry, Error, FORMAT, Kind,
    chain::{self, Link, hex, sha256, sha256_twice},
    checkpoint::{Checkpoint, Head, HeadFile, LogKey, Start},
    id,
    lines::Stood,
    rotate::{First, name_in, named_in, open_to_read, still_there},
};
use crate::{call::ActionId, files};

/// The log is read backwards; the first piece has this size, and each one more is twice as large as the one before.
const PIECE: u64 = 8 * 1024;

/// The files of one append, kept open for the next.
#[derive(Debug)]
pub(super) struct Opened {
    lock: File,
    file: File,
    first: First,
}

/// What the lock file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    /// This log.
    This,
    /// Nothing yet, or a log that this one says is missing: it is to name this one from now on.
    Due,
    /// Another log, and this one says nothing of it: somebody put it here. The name stays, and so says so.
    Other,
}

/// The end of the log, locked, and what is about to be written there.
pub(super) struct Writer<'a> {
    audit: &'a Audit,
    lock: File,
    /// What the lock file says.
    named: Named,
    path: PathBuf,
    pub(super) file: File,
    /// How long the file is.
    len: u64,
    /// The file, or its name, is new.
    new: bool,
    first: First,
    last_kind: Option<Kind>,
    next_seq: u64,
    prev: [u8; 32],
    text: Vec<u8>,
    head: Option<(Head, LogKey)>,
    /// There is no head file yet.
    headless: bool,
}

impl<'a> Writer<'a> {
    /// Takes the lock and finds the end. A log that is new, or whose file has grown large, gets a new file.
    pub(super) fn open(audit: &'a Audit, at: DateTime<Utc>) -> Result<Self, Error> {
        let path = audit.path();
        let failed = |source| files::Error::new("read", &path, source);
        let (lock, opened) = match audit.opened.take() {
            Some(Opened { lock, file, first }) => (audit.lock(Some(lock))?, Some((file, first))),
            None => (audit.lock(None)?, None),
        };
        // Only now that nobody else may rename it.
        let opened = opened.and_then(|(file, first)| still_there(&file, &path).map(|found| (file, found.len(), first)));
        let (mut file, mut len, mut first) = match opened {
            Some((file, len @ 1.., first)) => (file, len, Some(first)),
            _ => {
                let file = open_to_append(&path)?;
                let len = file.metadata().map_err(failed)?.len();
                let first = if len == 0 { None } else { First::read(&file, &path)? };
                (file, len, first)
            }
        };
        let mut tail = Tail::read(&mut file).map_err(failed)?;
        let mut new = len == 0;
        if let Some(old) = first.as_ref().filter(|_| len >= audit.file_size && tail.is_clean()) {
            let old = audit.old_path(old.seq);
            if old.try_exists().map_err(failed)? {
                return Err(Error::Taken(old));
            }
            drop(file);
            fs::rename(&path, &old).map_err(|source| files::Error::new("renamed", &path, source))?;
            file = open_to_append(&path)?;
            (len, new) = (0, true);
        }
        if new {
            tail = Tail::default();
        }
        // Also when a crash came between the steps above, or in the middle of a first line.
        let nothing = tail.last.is_none();
        let begins = nothing || first.is_none();
        let mut after = None;
        if begins {
            first = None;
            if let Some((_, old)) = audit.old_files()?.pop()
                && let Some(mut file) = open_to_read(&old)?
            {
                first = First::read(&file, &old)?;
                if nothing {
                    tail.last = Tail::read(&mut file).map_err(failed)?.last;
                }
                after = old.file_name().and_then(|name| name.to_str()).map(str::to_owned);
            }
        }
        let last = tail.last.as_ref().map(|(_, _, line)| line.as_slice());
        let mut writer = Self {
            audit,
            lock,
            named: Named::This,
            path,
            file,
            len,
            new,
            first: First { seq: 1, log: String::new(), missing: None },
            last_kind: tail.last.as_ref().map(|(_, kind, _)| *kind),
            next_seq: tail.last.as_ref().map_or(0, |(seq, _, _)| *seq).saturating_add(1),
            prev: chain::after(last),
            text: Vec::new(),
            head: None,
            headless: false,
        };
        if tail.open {
            writer.text.push(b'\n');
        }
        let first_seq = writer.next_seq;
        // Which log it is has to be known before anything is written, as its key is that of this log alone.
        let mut missing = None;
        let known = first.is_some();
        writer.first = match first {
            Some(first) if begins => First { seq: first_seq, missing: None, ..first },
            Some(first) => first,
            None => {
                let (log, other) = writer.new_id()?;
                missing = other;
                First { seq: first_seq, log, missing: missing.clone() }
            }
        };
        writer.named = writer.named(known)?;
        if let Some(torn) = &tail.torn {
            writer.prev = chain::after_torn(last, torn);
            let mut body = json!({ "torn_bytes": torn.len() });
            // A crash leaves a line without an end. One that has an end was written by somebody else.
            if !tail.open || !chain::left_by_crashes(torn, first_seq) {
                body["foreign"] = true.into();
            }
            writer.push(Kind::Recovered, None, at, body)?;
        }
        let new = tail.last.is_none();
        // A crash may have torn the line before the first.
        let only_begun = tail.last.as_ref().is_some_and(|(seq, kind, _)| *kind == Kind::Begin && *seq <= 2);
        if begins {
            let mut body = json!({ "format": FORMAT, "log": writer.first.log });
            if let Some(after) = after {
                body["after"] = after.into();
            }
            if let Some(missing) = missing {
                body["missing"] = missing.as_str().into();
                audit.trouble.misses(missing);
            }
            writer.push(Kind::Begin, None, at, body)?;
        }
        if new || only_begun && !begins {
            writer.seal_beginning(new, at)?;
        }
        Ok(writer)
    }

    /// The id of a log that begins now: with the key one that says so, and the one that the head file names if a crash came
    /// before the first line. And the id of another that should be there.
    fn new_id(&self) -> Result<(String, Option<String>), Error> {
        let id = match self.audit.lasting_root() {
            None => uuid::Uuid::new_v4().simple().to_string(),
            Some(root) => match Head::read(&self.audit.head_path())? {
                HeadFile::There(head, _) if head.seq == 0 && id::is_ours(root, &head.log)? => head.log,
                _ => id::mint(root)?,
            },
        };
        let named = named_in(&self.lock);
        let missing = (!named.is_empty() && named != id).then_some(named);
        Ok((id, missing))
    }

    /// What the lock file says of this log, which was `known` before if any file of it was there. A crash may have come between
    /// the first line, which names the log that was there before, and the new name.
    fn named(&self, known: bool) -> Result<Named, Error> {
        let named = named_in(&self.lock);
        Ok(match named {
            _ if named == self.first.log => Named::This,
            _ if named.is_empty() || !known || self.first.missing.as_ref() == Some(&named) => Named::Due,
            _ => {
                self.audit.trouble.misses(named);
                Named::Other
            }
        })
    }

    /// Seals a log that has nothing but its first line, so that of one that was begun with the key no entry is ever without a
    /// seal before it. If a head file says that there was more, the next seal tells.
    fn seal_beginning(&mut self, new: bool, at: DateTime<Utc>) -> Result<(), Error> {
        let Some(key) = self.lasting_key()? else { return Ok(()) };
        if !self.is_ours()? || self.named == Named::Other {
            return Ok(());
        }
        let start = match Head::read(&self.audit.head_path())? {
            HeadFile::Missing if new => {
                self.headless = true;
                None
            }
            HeadFile::There(head, text) if head.seq == 0 && head.log == key.log && Head::is_sealed(&text, &key) => {
                head.start
            }
            _ => return Ok(()),
        };
        self.push_checkpoint(&key, at, start)
    }

    /// Whether the log was begun with the key.
    fn is_ours(&self) -> Result<bool, Error> {
        self.audit.lasting_root().map_or(Ok(false), |root| id::is_ours(root, &self.first.log))
    }

    /// The kind of the last entry.
    pub(super) fn last_kind(&self) -> Option<Kind> {
        self.last_kind
    }

    /// The keys of this log, if there is what they are derived from.
    pub(super) fn key(&self) -> Result<Option<LogKey>, Error> {
        let Some((root, _)) = self.audit.root.get() else { return Ok(None) };
        let mut known = self.audit.key.borrow_mut();
        match &*known {
            Some(key) if key.log == self.first.log => {}
            _ => *known = Some(LogKey::new(root, &self.first.log)?),
        }
        Ok(known.clone())
    }

    /// The same, if they outlive this process: nobody could check what the others seal.
    pub(super) fn lasting_key(&self) -> Result<Option<LogKey>, Error> {
        if self.audit.lasting_root().is_some() { self.key() } else { Ok(None) }
    }

    /// The file that begins with this entry.
    fn file_of(&self, first: u64) -> PathBuf {
        if first == self.first.seq { self.path.clone() } else { self.audit.old_path(first) }
    }

    /// Whether a request still stands in this log, where it was seen, and carries its MAC. One line is read, however long the
    /// log is.
    pub(super) fn holds(&self, request: Stood) -> Result<bool, Error> {
        let Some(line) = request.read(&self.file_of(request.file))? else { return Ok(false) };
        Ok(self.lasting_key()?.is_none_or(|key| key.signed_entry(&line, &sha256_twice(&line).0)))
    }

    /// The last line that was added, which began there.
    pub(super) fn added(&self, start: u64) -> Stood {
        Stood { file: self.first.seq, start, len: self.end() - start - 1, hash: self.prev }
    }

    /// Where the next line begins in its file.
    pub(super) fn end(&self) -> u64 {
        self.len + self.text.len() as u64
    }

    /// Adds an entry, with a MAC if there is a key that lasts; returns its number. What could not be read back is not written:
    /// it would pass for somebody else's.
    pub(super) fn push(
        &mut self,
        kind: Kind,
        action: Option<&ActionId>,
        at: DateTime<Utc>,
        body: Value,
    ) -> Result<u64, Error> {
        let seq = self.next_seq;
        let mut entry = self.entry(kind, action, at, body);
        let line = match self.lasting_key()? {
            None => serde_json::to_vec(&entry)?,
            Some(key) => {
                entry.mac = Some(String::new());
                key.sign_entry(serde_json::to_vec(&entry)?)
            }
        };
        serde_json::from_slice::<Entry>(&line)?;
        self.add(kind, &line);
        Ok(seq)
    }

    /// Whether what was sealed last is still there: if it is not, a new seal would cover that up. Returns where the log begins
    /// if files were removed, which the new seal is to say as well.
    pub(super) fn may_seal(&mut self, key: &LogKey) -> Result<Option<Start>, Error> {
        let no = |why: &str| Err(Error::NotSealed(why.to_owned()));
        if self.named == Named::Other {
            return no("another log was here before this one, as the lock file says");
        }
        let (head, text) = match Head::read(&self.audit.head_path())? {
            HeadFile::There(head, text) => (head, text),
            HeadFile::Damaged => return no("its head file is damaged"),
            HeadFile::Missing if self.is_ours()? || self.audit.was_sealed()? => return no("its head file is missing"),
            // A log that was begun without the key. What stands in it carries no MAC, and so stays unproven.
            HeadFile::Missing => {
                self.headless = true;
                return Ok(None);
            }
        };
        if head.log != self.first.log {
            return no("what was sealed before is not there any more");
        }
        if head.key != key.id {
            return no("it was sealed with another key, and one log has one key");
        }
        if !Head::is_sealed(&text, key) {
            return no("its head file was changed");
        }
        let path = self.file_of(head.file);
        let stands = head.seq == 0 || head.stands_in(&path)?;
        if !stands {
            return no("what was sealed before is not where it was");
        }
        let (newer, newest) = if head.file == self.first.seq { self.seals_behind(&head, key)? } else { (0, None) };
        match newest {
            // A crash leaves the head one seal behind. Then it has to catch up, or the next crash leaves it two behind.
            Some(newest) if newer == 1 => newest.write(&self.audit.head_path(), key)?,
            Some(_) => return no("its head file is an older copy"),
            None if head.seq > 0 => {}
            None if self.is_ours()? => return no("its first seal is not there any more"),
            None => {}
        }
        Ok(head.start)
    }

    /// How many seals of this file stand behind the one that the head names, and a head that names the last of them.
    fn seals_behind(&self, head: &Head, key: &LogKey) -> Result<(usize, Option<Head>), Error> {
        let failed = |source| files::Error::new("read", &self.path, source);
        let mut at = head.at + head.len;
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        let mut lines = BufReader::new(file.take(self.len.saturating_sub(at)));
        let (mut count, mut newest, mut text) = (0, None, Vec::new());
        loop {
            text.clear();
            let read = lines.read_until(b'\n', &mut text).map_err(failed)? as u64;
            if read == 0 {
                return Ok((count, newest));
            }
            let line = text.strip_suffix(b"\n").unwrap_or(&text);
            let sealed = Link::read(line).filter(|link| link.kind == Kind::Checkpoint && key.sealed_line(line));
            if let Some(link) = sealed {
                let (hash, len) = (chain::hash_of(line), line.len() as u64);
                count += 1;
                newest = Some(Head { seq: link.seq, hash, at, len, ..head.clone() });
            }
            at += read;
        }
    }

    /// Adds a checkpoint of a log that begins there.
    pub(super) fn push_checkpoint(
        &mut self,
        key: &LogKey,
        at: DateTime<Utc>,
        start: Option<Start>,
    ) -> Result<(), Error> {
        let body = serde_json::to_value(Checkpoint { key: key.id.clone(), mac: String::new() })?;
        let line = key.seal_line(serde_json::to_vec(&self.entry(Kind::Checkpoint, None, at, body))?);
        let head = Head {
            log: key.log.clone(),
            seq: self.next_seq,
            hash: chain::hash_of(&line),
            file: self.first.seq,
            at: self.end(),
            len: line.len() as u64,
            start,
            key: key.id.clone(),
            mac: String::new(),
        };
        self.add(Kind::Checkpoint, &line);
        self.head = Some((head, key.clone()));
        Ok(())
    }

    /// A crash leaves the head file one seal behind. For that it must be there before the first one is written.
    fn prepare_head(&self) -> Result<(), Error> {
        match &self.head {
            Some((head, key)) if self.headless => head.before_all().write(&self.audit.head_path(), key),
            _ => Ok(()),
        }
    }

    /// Writes what was added, and lets go of the lock.
    pub(super) fn write(mut self) -> Result<(), Error> {
        self.prepare_head()?;
        if !self.text.is_empty() {
            // One write, so that a crash leaves a beginning of it and never a gap.
            self.file
                .write_all(&self.text)
                .and_then(|()| self.file.sync_data())
                .map_err(|source| files::Error::new("written", &self.path, source))?;
        }
        if self.new {
            files::sync_dir(&self.audit.folder)?;
        }
        if let Some((head, key)) = self.head {
            head.write(&self.audit.head_path(), &key)?;
        }
        if self.named == Named::Due {
            let path = self.audit.lock_path();
            name_in(&self.lock, &self.first.log).map_err(|source| files::Error::new("written", &path, source))?;
        }
        let Self { audit, lock, file, first, .. } = self;
        // A file that cannot be unlocked is closed, which unlocks it.
        if lock.unlock().is_ok() {
            audit.opened.replace(Some(Opened { lock, file, first }));
        }
        Ok(())
    }

    fn entry(&self, kind: Kind, action: Option<&ActionId>, at: DateTime<Utc>, body: Value) -> Entry {
        let time = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        Entry {
            seq: self.next_seq,
            time,
            prev: hex(&self.prev),
            kind,
            action: action.cloned(),
            body,
            mac: None,
            proven: None,
        }
    }

    fn add(&mut self, kind: Kind, line: &[u8]) {
        self.next_seq = self.next_seq.saturating_add(1);
        self.prev = sha256(line);
        self.last_kind = Some(kind);
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
    }
}

fn open_to_append(path: &std::path::Path) -> Result<File, Error> {
    Ok(files::open(path, OpenOptions::new().read(true).append(true).create(true))?)
}

/// The end of a file as the next entry needs it.
#[derive(Default)]
struct Tail {
    /// The last line that is an entry: its number, its kind and its bytes.
    last: Option<(u64, Kind, Vec<u8>)>,
    /// What stands behind it, without the last line end.
    torn: Option<Vec<u8>>,
    /// Whether the file ends in the middle of a line.
    open: bool,
}

impl Tail {
    /// Whether it ends with a whole line.
    fn is_clean(&self) -> bool {
        self.torn.is_none() && !self.open
    }

    /// Reads backwards until a line is found that is an entry: normally the last one.
    fn read(file: &mut (impl Read + Seek)) -> io::Result<Self> {
        let mut start = file.seek(SeekFrom::End(0))?;
        let mut bytes = Vec::new(); // the file from `start` on
        let mut known_torn = usize::MAX; // `bytes[known_torn..]` holds no entry
        let mut size = PIECE;
        loop {
            // A line of many megabytes is looked through a few times, not once for each piece.
            let from = start.saturating_sub(size);
            size = size.saturating_mul(2);
            let mut piece = vec![0; usize::try_from(start - from).unwrap_or(0)];
            file.seek(SeekFrom::Start(from))?;
            file.read_exact(&mut piece)?;
            known_torn = known_torn.saturating_add(piece.len());
            piece.append(&mut bytes);
            (bytes, start) = (piece, from);
            let open = bytes.last().is_some_and(|byte| *byte != b'\n');
            let mut end = (bytes.len() - usize::from(!open && !bytes.is_empty())).min(known_torn);
            loop {
                let begin = bytes[..end].iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
                // A line whose beginning has not been read yet can only be judged with the next piece.
                let Some(begin) = begin.or((start == 0).then_some(0)) else {
                    known_torn = end;
                    break;
                };
                if let Some(entry) = Entry::read(&bytes[begin..end]) {
                    let torn = torn(bytes.get(end + 1..).unwrap_or_default());
                    let last = Some((entry.seq, entry.kind, bytes[begin..end].to_vec()));
                    return Ok(Self { last, torn, open });
                }
                if begin == 0 {
                    return Ok(Self { last: None, torn: torn(&bytes), open });
                }
                end = begin - 1;
            }
        }
    }
}

fn torn(bytes: &[u8]) -> Option<Vec<u8>> {
    (!bytes.is_empty()).then(|| bytes.strip_suffix(b"\n").unwrap_or(bytes).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was read, and in how many pieces.
    struct Counted(io::Cursor<Vec<u8>>, usize);

    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            self.0.read(buffer)
        }
    }

    impl Seek for Counted {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    /// Each piece more is copied together with those before it, and looked through again.
    #[test]
    fn a_line_of_many_megabytes_is_read_in_few_pieces() {
        let entry = br#"{"seq":7,"time":"2026-01-01T00:00:00.000Z","prev":"","kind":"begin","body":{}}"#;
        let long = vec![b'x'; 10_000_000];
        let mut file = Counted(io::Cursor::new([entry.as_slice(), b"\n", &long, b"\n"].concat()), 0);
        let tail = Tail::read(&mut file).unwrap();
        assert_eq!((tail.last.map(|(seq, ..)| seq), tail.torn.map(|torn| torn.len())), (Some(7), Some(long.len())));
        assert!(file.1 < 20, "{} pieces", file.1);
    }
}
