//! Verifying: every line follows from the one before, every seal fits, and nothing that was sealed is missing at the end.

use std::{
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    path::PathBuf,
};

use serde::Deserialize;

use super::{
    Audit, Error, Kind,
    chain::{Link, NOTHING_BEFORE, after_torn, hex, sha256},
    checkpoint::{Checkpoint, Head, HeadFile, LogKey},
    rotate::{LogFile, begin_of},
};
use crate::files;

/// More flaws than this are not listed; the first one is what matters.
const FLAWS: usize = 100;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which file.
    pub file: PathBuf,
    /// Which line, from 1.
    pub line: u64,
}

/// In which way the log is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A line does not follow from the one before.
    Broken,
    /// Its end is missing.
    Truncated,
    /// A seal does not fit, or is missing.
    Seal,
    /// What proves an approval does not.
    Evidence,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// In which way.
    pub flaw: Flaw,
    /// Where it shows.
    pub place: Place,
    /// Why.
    pub why: String,
}

/// What the seals prove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seal {
    /// Nothing: there are none.
    #[default]
    None,
    /// Nothing: there are some, and no key to check them with.
    NotChecked,
    /// Nothing up to this entry was changed since it was sealed.
    UpTo(u64),
}

/// What became of checking the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// How many entries were read and hold.
    pub entries: u64,
    /// In how many files.
    pub files: usize,
    /// Lines of `recovered` entries: what stands before them is half a line of a crash, or was made to look like it.
    pub recovered: Vec<Place>,
    /// Half a line at the end, behind which nothing was written yet.
    pub unfinished: Option<Place>,
    /// What the seals prove.
    pub seal: Seal,
    /// How many seals there are.
    pub checkpoints: u64,
    /// What does not hold, in the order of the log. Behind a flaw of the chain or of a seal nothing was looked at.
    pub bad: Vec<Bad>,
}

impl Verdict {
    /// Whether every line follows from the one before, without a crash in between, and everything that was sealed is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.bad.is_empty() && self.recovered.is_empty() && self.unfinished.is_none()
    }

    /// How many entries stand behind the last seal.
    #[must_use]
    pub fn unsealed(&self) -> u64 {
        match self.seal {
            Seal::UpTo(seq) => self.entries.saturating_sub(seq),
            Seal::None | Seal::NotChecked => self.entries,
        }
    }

    /// The same words for a place in every message.
    fn say(&mut self, flaw: Flaw, place: Place, why: impl Into<String>) {
        if self.bad.len() < FLAWS {
            self.bad.push(Bad { flaw, place, why: why.into() });
        }
    }
}

impl Audit {
    /// Checks the log from its first line to its last, in one pass and with the memory of a few lines. `each` sees every entry
    /// that holds, and may say what is wrong with it. Seals are checked if the log is unlocked.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn verify(&self, mut each: impl FnMut(&Link<'_>, &[u8]) -> Result<(), String>) -> Result<Verdict, Error> {
        let snapshot = self.snapshot()?;
        let log = self.log_id()?;
        let key = match (self.root.get(), &log) {
            (Some((root, _)), Some(log)) => Some(LogKey::new(root, log)?),
            _ => None,
        };
        let mut check = Check {
            verdict: Verdict { files: snapshot.files.len(), ..Verdict::default() },
            head_place: Place { file: self.head_path(), line: 1 },
            head: None,
            log: log.unwrap_or_default(),
            key,
            last_hash: NOTHING_BEFORE,
            last: Vec::new(),
            torn: None,
        };
        if !check.head(&snapshot.head) {
            return Ok(check.verdict);
        }
        let mut end = Place { file: self.path(), line: 1 };
        for file in snapshot.files {
            let (whole, line) = check.file(&file, &mut each)?;
            end = Place { file: file.path, line };
            if !whole {
                return Ok(check.verdict);
            }
        }
        check.end(&snapshot.head, end);
        Ok(check.verdict)
    }
}

struct Check {
    verdict: Verdict,
    head_place: Place,
    head: Option<Head>,
    log: String,
    key: Option<LogKey>,
    last_hash: [u8; 32],
    last: Vec<u8>,
    /// Half a line: where, and what stands there.
    torn: Option<(Place, Vec<u8>)>,
}

impl Check {
    /// The head file by itself. What it says is compared when its entry is reached.
    fn head(&mut self, file: &HeadFile) -> bool {
        let why = match file {
            HeadFile::Missing => return true,
            HeadFile::Damaged => "it is no head of a log".to_owned(),
            // A log without a single line has no id either; what is missing is told at its end.
            HeadFile::There(head, _) if !self.log.is_empty() && head.log != self.log => {
                "it belongs to another log than the one that is here".to_owned()
            }
            HeadFile::There(head, text) => match &self.key {
                Some(key) if head.key != key.id => foreign(&head.key, &key.id),
                Some(key) if !Head::is_sealed(text, key) => "its seal is wrong: it was changed".to_owned(),
                _ => {
                    self.head = Some(head.clone());
                    return true;
                }
            },
        };
        self.verdict.say(Flaw::Seal, self.head_place.clone(), why);
        false
    }

    /// One file; whether the next one is worth reading, and the number of its last line.
    fn file(
        &mut self,
        file: &LogFile,
        each: &mut impl FnMut(&Link<'_>, &[u8]) -> Result<(), String>,
    ) -> Result<(bool, u64), Error> {
        let failed = |source| files::Error::new("read", &file.path, source);
        let mut opened = &file.file;
        opened.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut reader = BufReader::with_capacity(256 * 1024, opened.take(file.len));
        let mut text = Vec::new();
        for number in 1.. {
            text.clear();
            if reader.read_until(b'\n', &mut text).map_err(failed)? == 0 {
                return Ok((true, number - 1));
            }
            let line = text.strip_suffix(b"\n").unwrap_or(&text);
            let place = || Place { file: file.path.clone(), line: number };
            let Some(link) = Link::read(line) else {
                match &mut self.torn {
                    None => self.torn = Some((place(), line.to_vec())),
                    Some((_, bytes)) => bytes.extend_from_slice(&[b"\n", line].concat()),
                }
                continue;
            };
            let hash = sha256(line);
            if let Err((flaw, place, why)) = self.follows(&link, line, &hash, &place, number == 1) {
                self.verdict.say(flaw, place, why);
                return Ok((false, number));
            }
            if let Err(why) = each(&link, line) {
                self.verdict.say(Flaw::Evidence, place(), why);
            }
            self.verdict.entries = link.seq;
            if self.torn.take().is_some() {
                self.verdict.recovered.push(place());
            }
            self.last_hash = hash;
            let length = line.len();
            std::mem::swap(&mut self.last, &mut text);
            self.last.truncate(length);
        }
        Ok((true, 0))
    }

    /// Whether this line may stand here.
    fn follows(
        &mut self,
        link: &Link<'_>,
        line: &[u8],
        hash: &[u8; 32],
        place: &dyn Fn() -> Place,
        first: bool,
    ) -> Result<(), (Flaw, Place, String)> {
        let broken = |why: String| Err((Flaw::Broken, place(), why));
        let seal = |why: String| Err((Flaw::Seal, place(), why));
        let seq = self.verdict.entries + 1;
        let expected = match &self.torn {
            None => self.last_hash,
            Some((_, torn)) => after_torn((seq > 1).then_some(self.last.as_slice()), torn),
        };
        match (&self.torn, link.kind) {
            (Some((bad, _)), kind) if kind != Kind::Recovered => {
                return Err((Flaw::Broken, bad.clone(), "it is no entry".to_owned()));
            }
            (None, Kind::Recovered) => {
                return broken("it recovers from a crash, and nothing is torn before it".to_owned());
            }
            _ if first && link.seq > seq => {
                let last = link.seq - 1;
                return broken(format!("entries {seq} to {last} are missing: they stood in another file"));
            }
            _ if link.seq != seq => return broken(format!("it is number {} and should be {seq}", link.seq)),
            _ if !link.follows(&expected) => {
                return broken("the line before it is not the one it was written after".to_owned());
            }
            _ => {}
        }
        match link.kind {
            Kind::Begin => {
                if begin_of(line).is_none_or(|log| log != self.log) {
                    return broken("it begins a file of another log".to_owned());
                }
            }
            Kind::Checkpoint => {
                self.verdict.checkpoints += 1;
                let Some(sealed) = Sealed::read(line) else { return broken("it is no checkpoint".to_owned()) };
                if let Some(key) = &self.key {
                    if sealed.key != key.id {
                        return seal(foreign(&sealed.key, &key.id));
                    }
                    if !key.sealed_line(line) {
                        let from = if let Seal::UpTo(seq) = self.verdict.seal { seq + 1 } else { 1 };
                        return seal(format!(
                            "its seal is wrong: something in entries {from} to {seq} was changed after it was sealed"
                        ));
                    }
                    self.verdict.seal = Seal::UpTo(seq);
                }
            }
            Kind::Request | Kind::Response | Kind::Recovered => {}
        }
        if self.head.as_ref().is_some_and(|head| head.seq == seq && head.hash != hex(hash)) {
            return Err((Flaw::Seal, place(), "it is not the entry that the head file says was sealed".to_owned()));
        }
        Ok(())
    }

    /// What only the end of the log shows.
    fn end(&mut self, file: &HeadFile, end: Place) {
        self.verdict.unfinished = self.torn.take().map(|(place, _)| place);
        if self.key.is_none() && self.verdict.checkpoints > 0 {
            self.verdict.seal = Seal::NotChecked;
        }
        let entries = self.verdict.entries;
        match &self.head {
            Some(head) if head.seq > entries => {
                let sealed = head.seq;
                let why =
                    format!("the log ends with entry {entries}, and entry {sealed} was sealed: its end was cut off");
                self.verdict.say(Flaw::Truncated, end, why);
            }
            None if matches!(file, HeadFile::Missing) && self.verdict.checkpoints > 0 => {
                let why = "the head file is missing, so nothing says whether the log was cut off behind its last seal";
                self.verdict.say(Flaw::Seal, self.head_place.clone(), why);
            }
            _ => {}
        }
    }
}

fn foreign(found: &str, ours: &str) -> String {
    format!("it is sealed with another key ({found}) than the one of this credential store ({ours})")
}

#[derive(Deserialize)]
struct Sealed {
    body: Checkpoint,
}

impl Sealed {
    fn read(line: &[u8]) -> Option<Checkpoint> {
        serde_json::from_slice::<Self>(line).ok().map(|sealed| sealed.body)
    }
}
