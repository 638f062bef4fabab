//! The audit log: JSON Lines, each holding the SHA-256 of the line before, so that a changed, missing or moved line shows.
//!
//! Each action has two entries, a request before it and a response after. An entry is on the disk before its call returns,
//! and several processes append at once. Nothing is ever taken away: when a crash left half a line, the log goes on behind
//! it with an entry of kind `recovered`, whose `prev` covers the half line together with the last whole one. Verifying names
//! such places; it does not call the log untouched. Whoever can write to the folder can also write the whole chain anew.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::lock;
use crate::{
    call::{ActionId, Digest},
    files,
};

/// The `prev` of the first entry.
const NOTHING_BEFORE: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// How long another process may take to append.
const BUSY: Duration = Duration::from_secs(5);
/// The log is read backwards in pieces of this size.
const PIECE: u64 = 8 * 1024;

/// Why an entry could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder, file or disk.
    #[error(transparent)]
    File(#[from] files::Error),
    /// Another process keeps it locked.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// The entry has no JSON form.
    #[error("the entry cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Written before an action.
    Request,
    /// Written after it.
    Response,
    /// Written behind half a line that a crash left.
    Recovered,
}

/// One line of the log. The order of the members is the order in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1 without a gap.
    pub seq: u64,
    /// When it was written (RFC 3339, UTC).
    pub time: String,
    /// SHA-256 of the line before, in hexadecimal.
    pub prev: String,
    /// What it is.
    pub kind: Kind,
    /// The action it belongs to; a `recovered` entry has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionId>,
    /// What happened.
    pub body: Value,
}

/// What became of checking the chain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// How many entries were read and hold.
    pub entries: u64,
    /// Lines of `recovered` entries: what stands before them is half a line of a crash, or was made to look like it.
    pub recovered: Vec<u64>,
    /// Half a line at the end, behind which nothing was written yet.
    pub unfinished: Option<u64>,
    /// The first line that does not hold, and why.
    pub first_bad: Option<(u64, String)>,
}

impl Verdict {
    /// Whether every line follows from the one before, without a crash in between.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.first_bad.is_none() && self.recovered.is_empty() && self.unfinished.is_none()
    }
}

/// The log of one state folder.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
}

/// The end of the log as the next entry needs it.
struct Tail {
    /// The last line that is an entry: its number and its bytes.
    last: Option<(u64, Vec<u8>)>,
    /// What stands behind it.
    torn: Vec<u8>,
    /// Whether the log ends in the middle of a line.
    open: bool,
}

impl Audit {
    /// The log in a state folder; made by its first entry.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        Self { path: folder.join("audit.jsonl") }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes down what is about to be done.
    ///
    /// # Errors
    /// If it cannot be made durable. Then it must not be done.
    pub fn request(&self, action: &ActionId, at: DateTime<Utc>, body: Value) -> Result<(), Error> {
        self.append(Kind::Request, action, at, body)
    }

    /// Writes down how it ended.
    ///
    /// # Errors
    /// If it cannot be made durable.
    pub fn response(&self, action: &ActionId, at: DateTime<Utc>, body: Value) -> Result<(), Error> {
        self.append(Kind::Response, action, at, body)
    }

    /// Every entry in order. Lines that are none are left out; [`Audit::verify`] names them.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        self.each_line(|_, line| {
            entries.extend(serde_json::from_slice::<Entry>(line));
            true
        })?;
        Ok(entries)
    }

    /// Checks the chain from its first line to its last.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn verify(&self) -> Result<Verdict, Error> {
        let mut verdict = Verdict::default();
        let mut last: Option<Vec<u8>> = None;
        let mut torn: Option<(u64, Vec<u8>)> = None;
        self.each_line(|number, line| {
            let Ok(link) = serde_json::from_slice::<Link<'_>>(line) else {
                match &mut torn {
                    None => torn = Some((number, line.to_vec())),
                    Some((_, bytes)) => bytes.extend_from_slice(&[b"\n", line].concat()),
                }
                return true;
            };
            let expected = match &torn {
                None => after(last.as_deref()),
                Some((_, torn)) => after_torn(last.as_deref(), torn),
            };
            let seq = verdict.entries + 1;
            let why = match (&torn, link.kind) {
                (Some((bad, _)), kind) if kind != Kind::Recovered => Some((*bad, "it is no entry".to_owned())),
                (None, Kind::Recovered) => {
                    Some((number, "it recovers from a crash, and nothing is torn before it".to_owned()))
                }
                _ if link.seq != seq => Some((number, format!("it is number {} and should be {seq}", link.seq))),
                _ if link.prev != expected => {
                    Some((number, "the line before it is not the one it was written after".to_owned()))
                }
                _ => None,
            };
            if why.is_some() {
                verdict.first_bad = why;
                return false;
            }
            verdict.entries = seq;
            if torn.take().is_some() {
                verdict.recovered.push(number);
            }
            last = Some(line.to_vec());
            true
        })?;
        if verdict.first_bad.is_none() {
            verdict.unfinished = torn.map(|(number, _)| number);
        }
        Ok(verdict)
    }

    fn append(&self, kind: Kind, action: &ActionId, at: DateTime<Utc>, body: Value) -> Result<(), Error> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        files::private_dir(folder)?;
        let mut file = files::open(&self.path, OpenOptions::new().read(true).append(true).create(true))?;
        lock::within(BUSY, &self.path, || file.try_lock())?;
        let tail = Tail::read(&mut file).map_err(|source| files::Error::new("read", &self.path, source))?;
        let time = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut seq = tail.last.as_ref().map_or(0, |(seq, _)| *seq).saturating_add(1);
        let last = tail.last.as_ref().map(|(_, line)| line.as_slice());
        let mut prev = after(last);
        let mut text = Vec::new();
        if tail.open {
            text.push(b'\n');
        }
        if !tail.torn.is_empty() {
            let body = json!({ "torn_bytes": tail.torn.len() });
            let prev_torn = after_torn(last, &tail.torn);
            let entry = Entry { seq, time: time.clone(), prev: prev_torn, kind: Kind::Recovered, action: None, body };
            let line = serde_json::to_vec(&entry)?;
            prev = after(Some(&line));
            seq = seq.saturating_add(1);
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        let entry = Entry { seq, time, prev, kind, action: Some(action.clone()), body };
        serde_json::to_writer(&mut text, &entry)?;
        text.push(b'\n');
        // One write, so that a crash leaves a beginning of it and never a gap.
        file.write_all(&text)
            .and_then(|()| file.sync_data())
            .map_err(|source| files::Error::new("written", &self.path, source))?;
        if seq == 1 {
            files::sync_dir(folder)?;
        }
        Ok(())
    }

    /// Calls `work` with each line and its number until it returns false. A log that is not there has no lines.
    fn each_line(&self, mut work: impl FnMut(u64, &[u8]) -> bool) -> Result<(), Error> {
        files::check(&self.path)?;
        let failed = |source| files::Error::new("read", &self.path, source);
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error).into()),
        };
        lock::within(BUSY, &self.path, || file.try_lock_shared())?;
        let mut reader = BufReader::with_capacity(64 * 1024, file);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
                break;
            }
            if !work(number, line.strip_suffix(b"\n").unwrap_or(&line)) {
                break;
            }
        }
        Ok(())
    }
}

/// What the chain needs of a line.
#[derive(Deserialize)]
struct Link<'a> {
    seq: u64,
    prev: &'a str,
    kind: Kind,
}

impl Tail {
    /// Reads backwards until a line is found that is an entry: normally the last one.
    fn read(file: &mut File) -> io::Result<Self> {
        let mut start = file.seek(SeekFrom::End(0))?;
        let mut bytes = Vec::new(); // the file from `start` on
        let mut known_torn = usize::MAX; // `bytes[known_torn..]` holds no entry
        loop {
            let from = start.saturating_sub(PIECE);
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
                if let Ok(link) = serde_json::from_slice::<Link<'_>>(&bytes[begin..end]) {
                    let torn = bytes.get(end + 1..).unwrap_or_default();
                    let torn = torn.strip_suffix(b"\n").unwrap_or(torn).to_vec();
                    return Ok(Self { last: Some((link.seq, bytes[begin..end].to_vec())), torn, open });
                }
                if begin == 0 {
                    let torn = bytes.strip_suffix(b"\n").unwrap_or(&bytes).to_vec();
                    return Ok(Self { last: None, torn, open });
                }
                end = begin - 1;
            }
        }
    }
}

fn after(line: Option<&[u8]>) -> String {
    line.map_or_else(|| NOTHING_BEFORE.to_owned(), |line| Digest::of_bytes(line).to_hex())
}

fn after_torn(line: Option<&[u8]>, torn: &[u8]) -> String {
    Digest::of_bytes(&[line.unwrap_or_default(), b"\n", torn].concat()).to_hex()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::TempDir;

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn fill(audit: &Audit, pairs: usize) {
        for number in 0..pairs {
            let action = ActionId::mint();
            audit.request(&action, at(), json!({"tool": "buy_product", "arguments": {"qty": number}})).unwrap();
            audit.response(&action, at(), json!({"outcome": "done"})).unwrap();
        }
    }

    fn bad(audit: &Audit) -> Option<(u64, String)> {
        audit.verify().unwrap().first_bad
    }

    #[test]
    fn the_chain_is_what_sha256sum_says() {
        let dir = TempDir::new();
        let audit = Audit::open(&dir.path("state"));
        assert_eq!(audit.verify().unwrap(), Verdict::default());
        assert!(audit.list().unwrap().is_empty());
        fill(&audit, 2);
        let verdict = audit.verify().unwrap();
        assert!(verdict.is_whole() && verdict.entries == 4);
        let text = std::fs::read_to_string(audit.path()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("{\"seq\":1,\"time\":\"2023-11-14T22:13:20.000Z\",\"prev\":\"000000"),
            "{}",
            lines[0]
        );
        let entries = audit.list().unwrap();
        for (line, next) in lines.iter().zip(&entries[1..]) {
            assert_eq!(Digest::of_bytes(line.as_bytes()).to_hex(), next.prev);
        }
        assert_eq!((entries[0].kind, entries[1].kind), (Kind::Request, Kind::Response));
        assert_eq!(entries[0].action, entries[1].action);
    }

    #[test]
    fn whatever_is_changed_shows_with_its_line() {
        let dir = TempDir::new();
        let audit = Audit::open(&dir.0);
        fill(&audit, 3);
        let good = std::fs::read_to_string(audit.path()).unwrap();
        let lines: Vec<&str> = good.lines().collect();
        let check = |lines: &[&str], line| {
            std::fs::write(audit.path(), lines.join("\n") + "\n").unwrap();
            assert_eq!(bad(&audit).unwrap().0, line);
            assert!(!audit.verify().unwrap().is_whole());
        };
        let changed = lines[1].replace("done", "dome");
        check(&[lines[0], &changed, lines[2], lines[3]], 3);
        check(&[lines[0], lines[2], lines[3]], 2); // taken out
        check(&[lines[0], lines[2], lines[1], lines[3]], 2); // swapped
        check(&[lines[1], lines[2], lines[3]], 1); // cut at the front
        check(&[lines[0], "garbage", lines[1]], 2);
        check(&[lines[0], lines[0]], 2); // twice
        let forged = lines[1].replace("\"response\"", "\"recovered\"");
        check(&[lines[0], &forged], 2);
        std::fs::write(audit.path(), &good).unwrap();
        assert!(audit.verify().unwrap().is_whole());
    }

    #[test]
    fn a_log_torn_at_any_byte_goes_on_and_says_so() {
        let dir = TempDir::new();
        let audit = Audit::open(&dir.0);
        fill(&audit, 2);
        let good = std::fs::read(audit.path()).unwrap();
        let starts: Vec<usize> = std::iter::once(0)
            .chain(good.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1))
            .collect();
        for cut in 0..=good.len() {
            std::fs::write(audit.path(), &good[..cut]).unwrap();
            // A whole line that only lacks its end is whole.
            let torn = !starts.contains(&cut) && !starts.contains(&(cut + 1));
            assert_eq!(audit.verify().unwrap().unfinished.is_some(), torn, "cut at {cut}");
            fill(&audit, 1);
            let verdict = audit.verify().unwrap();
            assert_eq!((verdict.first_bad.clone(), verdict.recovered.len()), (None, usize::from(torn)), "cut at {cut}");
            assert_eq!(verdict.is_whole(), !torn);
            assert!(std::fs::read(audit.path()).unwrap().starts_with(&good[..cut]), "evidence was destroyed");
            // Torn a second time, in the middle of the recovery.
            let whole = std::fs::read(audit.path()).unwrap();
            std::fs::write(audit.path(), &whole[..cut + 9]).unwrap();
            fill(&audit, 1);
            assert_eq!(bad(&audit), None, "cut at {cut} and again");
            // And what is torn cannot be changed afterwards.
            if torn {
                let mut changed = whole;
                changed[cut - 1] = if changed[cut - 1] == b'#' { b'+' } else { b'#' };
                std::fs::write(audit.path(), &changed).unwrap();
                assert!(bad(&audit).is_some(), "cut at {cut} and changed");
            }
        }
    }

    #[test]
    fn long_entries_and_zeroed_tails_are_read_backwards() {
        let dir = TempDir::new();
        let audit = Audit::open(&dir.0);
        let long = "x".repeat(100_000);
        for _ in 0..3 {
            audit.request(&ActionId::mint(), at(), json!({ "text": long })).unwrap();
        }
        assert!(audit.verify().unwrap().is_whole());
        // Some file systems leave zeros where a write was under way.
        OpenOptions::new().append(true).open(audit.path()).unwrap().write_all(&vec![0; 50_000]).unwrap();
        fill(&audit, 1);
        let verdict = audit.verify().unwrap();
        assert_eq!((verdict.entries, verdict.recovered.as_slice(), verdict.first_bad), (6, [5].as_slice(), None));
    }

    #[test]
    fn several_processes_append_at_once() {
        let dir = TempDir::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| fill(&Audit::open(&dir.0), 10));
            }
        });
        let verdict = Audit::open(&dir.0).verify().unwrap();
        assert!(verdict.is_whole() && verdict.entries == 80);
    }
}
