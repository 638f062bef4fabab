//! The files of a log: `audit.jsonl`, which is written to, and those it was before, each named after its first entry.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    Audit, BUSY, Entry, Error, Kind,
    chain::hash_of,
    checkpoint::{Head, HeadFile, Start},
};
use crate::{files, store::lock};

/// A first line is no longer than this, unless it is no beginning.
pub(super) const FIRST_LINE: u64 = 4 * 1024;

/// The name of the file that is written to.
pub(super) const CURRENT: &str = "audit.jsonl";

/// What the first line of a file says.
#[derive(Clone, Debug)]
pub(super) struct First {
    /// Its number.
    pub(super) seq: u64,
    /// The id of the log.
    pub(super) log: String,
    /// The id of another log that it says was here before.
    pub(super) missing: Option<String>,
}

/// One file of the log as it is now. It is open: by the time it is read it may have another name.
#[derive(Debug)]
pub(super) struct LogFile {
    /// The file itself.
    pub(super) file: File,
    /// Where it lies.
    pub(super) path: PathBuf,
    /// The number of its first entry, as its name or its first line says; 0 if it says nothing.
    pub(super) first: u64,
    /// How long it is.
    pub(super) len: u64,
}

impl LogFile {
    /// Whether it is not written to any more.
    pub(super) fn is_old(&self) -> bool {
        self.name() != CURRENT
    }

    /// The name of the file in its folder.
    pub(super) fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }
}

/// The whole log at one moment. What is appended later stands behind it.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Oldest first.
    pub(super) files: Vec<LogFile>,
    /// The head file.
    pub(super) head: HeadFile,
    /// The log that the lock file names; nothing if there is none.
    pub(super) named: String,
}

impl Audit {
    pub(super) fn lock_path(&self) -> PathBuf {
        self.folder.join("audit.lock")
    }

    pub(super) fn head_path(&self) -> PathBuf {
        self.folder.join("audit.head")
    }

    /// The file that begins with this entry, once it is not written to any more.
    pub(super) fn old_path(&self, first: u64) -> PathBuf {
        self.folder.join(old_name(first))
    }

    /// Keeps every other process from appending, until the file is closed or unlocked. The lock is a file of its own: the
    /// log's is renamed under whoever waits. An opened one is used again if it is still the one that lies there.
    pub(super) fn lock(&self, opened: Option<File>) -> Result<File, Error> {
        let path = self.lock_path();
        if let Some(file) = opened {
            held(&path, || file.try_lock())?;
            if still_there(&file, &path).is_some() {
                return Ok(file);
            }
        }
        let file = lock::open(&path)?;
        held(&path, || file.try_lock())?;
        Ok(file)
    }

    /// The old files, oldest first.
    pub(super) fn old_files(&self) -> Result<Vec<(u64, PathBuf)>, Error> {
        let failed = |source| files::Error::new("read", &self.folder, source);
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error).into()),
        };
        let mut old = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let first = name.strip_prefix("audit-").and_then(|name| name.strip_suffix(".jsonl"));
            if let Some(first) = first.and_then(|first| first.parse().ok()) {
                old.push((first, path));
            }
        }
        old.sort();
        Ok(old)
    }

    /// The id of the log, if there is one.
    pub(super) fn log_id(&self) -> Result<Option<String>, Error> {
        let (files, head) = (self.files()?, Head::read(&self.head_path())?);
        let Some(first) = kept(&files, head.start()).first() else { return Ok(None) };
        Ok(First::read(&first.file, &first.path)?.map(|first| first.log))
    }

    /// The log as it is at one moment between two entries.
    pub(super) fn snapshot(&self) -> Result<Snapshot, Error> {
        // Without its lock file nothing was ever appended here: it may be a copy, on a disk that cannot be written.
        let lock = match files::open(&self.lock_path(), OpenOptions::new().read(true)) {
            Ok(file) => Some(file),
            Err(files::Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(file) = &lock {
            held(&self.lock_path(), || file.try_lock_shared())?;
        }
        let named = lock.as_ref().map(named_in).unwrap_or_default();
        Ok(Snapshot { files: self.files()?, head: Head::read(&self.head_path())?, named })
    }

    /// The files as they are; while the lock is held they stay so.
    pub(super) fn files(&self) -> Result<Vec<LogFile>, Error> {
        let mut files = Vec::new();
        for (first, path) in self.old_files()? {
            if let Some(file) = open_to_read(&path)? {
                files.push(LogFile { len: length(&file, &path)?, file, first, path });
            }
        }
        let path = self.path();
        if let Some(file) = open_to_read(&path)? {
            let len = length(&file, &path)?;
            let first = First::read(&file, &path)?.map_or(0, |first| first.seq);
            files.push(LogFile { file, path, first, len });
        }
        Ok(files)
    }
}

/// The files from there on. Those before it were to be removed, and somebody was killed.
pub(super) fn kept<'a>(files: &'a [LogFile], start: Option<&Start>) -> &'a [LogFile] {
    let left = start.map_or(0, |start| files.partition_point(|file| file.first > 0 && file.first < start.seq));
    &files[left..]
}

impl First {
    /// Reads it from the beginning of a file; none if no entry stands there. A log that does not begin with its id goes by
    /// the hash of its first line.
    pub(super) fn read(mut file: &File, path: &Path) -> Result<Option<Self>, Error> {
        let failed = |source| files::Error::new("read", path, source);
        file.rewind().map_err(failed)?;
        let mut start = Vec::new();
        let mut piece = FIRST_LINE;
        loop {
            let before = start.len();
            Read::by_ref(&mut file).take(piece).read_to_end(&mut start).map_err(failed)?;
            let found = Self::find(&start);
            if found.is_some() || start.len() == before {
                return Ok(found);
            }
            piece *= 4;
        }
    }

    /// The first entry; and behind half a line of a crash the beginning that follows its recovery. A recovery behind which
    /// nothing stands yet is no beginning: a crash came once more.
    fn find(start: &[u8]) -> Option<Self> {
        let mut lines = start.split(|byte| *byte == b'\n');
        let mut recovered = None;
        for line in lines.clone() {
            let Some(entry) = Entry::read(line) else { continue };
            let seq = recovered.unwrap_or(entry.seq);
            match entry.kind {
                Kind::Begin => {
                    return begin_of(line).map(|begin| Self { seq, log: begin.log, missing: begin.missing });
                }
                Kind::Recovered => recovered = Some(seq),
                _ => return Some(Self { seq, log: hash_of(lines.next().unwrap_or_default()), missing: None }),
            }
        }
        None
    }
}

/// What the first line of a file says.
#[derive(Deserialize)]
pub(super) struct Begin {
    /// The id of the log.
    pub(super) log: String,
    /// The name of the file before.
    pub(super) after: Option<String>,
    /// The id of a log that should have been there.
    pub(super) missing: Option<String>,
}

/// Waits for the log's lock. The thread stands still meanwhile.
fn held(path: &Path, attempt: impl FnMut() -> Result<(), TryLockError>) -> Result<(), lock::Error> {
    let _waiting = lock::WAITS.enter();
    lock::within(BUSY, path, attempt)
}

/// The log that the lock file names: the one that was written to last. What cannot be read names nothing.
pub(super) fn named_in(mut lock: &File) -> String {
    /// An id has 32 letters.
    const LONGEST: u64 = 64;
    let mut name = String::new();
    let read = lock.rewind().and_then(|()| lock.take(LONGEST).read_to_string(&mut name));
    if read.is_ok() { name } else { String::new() }
}

/// Lets the lock file name the log, so that one which is taken away without it is missed.
pub(super) fn name_in(mut lock: &File, log: &str) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(log.as_bytes())
}

/// Reads a line of kind `begin`.
pub(super) fn begin_of(line: &[u8]) -> Option<Begin> {
    #[derive(Deserialize)]
    struct Line {
        body: Begin,
    }
    serde_json::from_slice::<Line>(line).ok().map(|line| line.body)
}

/// The name of the file that begins with this entry, once it is not written to any more.
pub(super) fn old_name(first: u64) -> String {
    format!("audit-{first:012}.jsonl")
}

/// What the system says of a file that is open, if it is still the one that lies at this path.
#[cfg(unix)]
pub(super) fn still_there(file: &File, path: &Path) -> Option<fs::Metadata> {
    use std::os::unix::fs::MetadataExt as _;
    let (opened, there) = (file.metadata().ok()?, fs::symlink_metadata(path).ok()?);
    ((opened.dev(), opened.ino()) == (there.dev(), there.ino())).then_some(opened)
}

/// Elsewhere files have no number to know them by, so each is opened anew.
#[cfg(not(unix))]
pub(super) fn still_there(_file: &File, _path: &Path) -> Option<fs::Metadata> {
    None
}

/// Opens a file of the log; none if it is not there.
pub(super) fn open_to_read(path: &Path) -> Result<Option<File>, Error> {
    match files::open(path, OpenOptions::new().read(true)) {
        Ok(file) => Ok(Some(file)),
        Err(files::Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn length(file: &File, path: &Path) -> Result<u64, Error> {
    Ok(file.metadata().map_err(|source| files::Error::new("read", path, source))?.len())
}
