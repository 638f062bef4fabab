//! Verifying: every line follows from the one before, every seal fits, and nothing that was sealed is missing at the end.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    Audit, Entry, Error, Kind,
    chain::{Link, NOTHING_BEFORE, after_torn, hex, left_by_crashes, sha256, sha256_twice, unhex},
    checkpoint::{Checkpoint, Head, HeadFile, LogKey},
    id,
    lines::{At, Lines},
    pairs::Pairs,
    rotate::{LogFile, Snapshot, begin_of, kept, old_name},
};
use crate::store::lock::GrantLock;

/// More flaws than this are not listed; the first one is what matters. Nor are more ranges of what is unproven: the last one
/// reaches to the last of them.
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
    /// There was a log, or an entry, that is not here.
    Missing,
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

impl Bad {
    /// A line that is not what was written there.
    pub(super) fn broken(at: At<'_>, why: impl Into<String>) -> Self {
        Self { flaw: Flaw::Broken, place: at.place(), why: why.into() }
    }

    fn seal(place: Place, why: impl Into<String>) -> Self {
        Self { flaw: Flaw::Seal, place, why: why.into() }
    }
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
    /// The number of the last entry that was read and holds.
    pub entries: u64,
    /// How many entries were removed with the oldest files, as the head file says.
    pub pruned: u64,
    /// Entries without a MAC of the log's key, so that nothing says who wrote them; a seal that came later says no more than
    /// that they were there by then. Known only with the key.
    pub unproven: Vec<RangeInclusive<u64>>,
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
    /// What does not hold, in the order of the log. Behind a flaw of the chain or of a seal nothing was looked at, unless it
    /// is a foreign line that the log itself has written down.
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
            Seal::None | Seal::NotChecked => self.read(),
        }
    }

    /// How many entries were read and hold.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.entries - self.pruned
    }

    /// Adds an entry that nobody vouches for.
    fn doubt(&mut self, seq: u64) {
        let room = self.unproven.len() < FLAWS;
        match self.unproven.last_mut() {
            Some(last) if *last.end() + 1 == seq || !room => *last = *last.start()..=seq,
            _ => self.unproven.push(seq..=seq),
        }
    }

    /// Adds a flaw, if there are not too many already.
    pub fn say(&mut self, bad: Bad) {
        if self.bad.len() < FLAWS {
            self.bad.push(bad);
        }
    }
}

impl Audit {
    /// Checks the log from its first line to its last, in one pass and with the memory of a few lines. `each` sees every entry
    /// that holds, and may say what is wrong with it. Seals are checked if the log is unlocked.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn verify(&self, each: impl FnMut(&Link<'_>, &[u8]) -> Result<(), String>) -> Result<Verdict, Error> {
        self.verify_files(&self.snapshot()?, each)
    }

    /// Checks the log as it was then.
    pub(super) fn verify_files(
        &self,
        snapshot: &Snapshot,
        mut each: impl FnMut(&Link<'_>, &[u8]) -> Result<(), String>,
    ) -> Result<Verdict, Error> {
        let log = self.log_id()?;
        let key = match (self.root.get(), &log) {
            (Some((root, _)), Some(log)) => Some(LogKey::new(root, log)?),
            _ => None,
        };
        let ours = match (self.root.get(), &log) {
            (Some((root, _)), Some(log)) => id::is_ours(root, log)?,
            _ => false,
        };
        let mut check = Check {
            verdict: Verdict::default(),
            head: None,
            behind_head: 0,
            log: log.unwrap_or_default(),
            ours,
            acts: false,
            pairs: Pairs::default(),
            begun: false,
            before: None,
            key,
            last_hash: NOTHING_BEFORE,
            last: Vec::new(),
            last_at: None,
            torn: None,
        };
        let head_place = Place { file: self.head_path(), line: 1 };
        let head_flaw = check.head(&snapshot.head).map(|why| Bad::seal(head_place.clone(), why));
        let files = check.begin(&snapshot.files);
        let whole = check.lines(&mut Lines::of(files), &mut each)?;
        if whole && head_flaw.is_none() {
            let end = snapshot.files.last().map_or_else(
                || Place { file: self.path(), line: 1 },
                |file| {
                    let line = check.last_at.filter(|at| at.file.path == file.path).map_or(1, |at| at.line);
                    Place { file: file.path.clone(), line }
                },
            );
            check.end(self, &snapshot.head, head_place, end);
        }
        let (mut verdict, log) = (check.verdict, check.log);
        // The first line of a log says it by itself if another one was here before.
        let other = !snapshot.named.is_empty() && snapshot.named != log;
        if other && !verdict.bad.iter().any(|bad| bad.flaw == Flaw::Missing) {
            let why = format!(
                "the log that was written to here is another one ({}): it was taken away, or this one was put in its place",
                snapshot.named
            );
            verdict.say(Bad { flaw: Flaw::Missing, place: Place { file: self.lock_path(), line: 1 }, why });
        }
        if let Some(bad) = head_flaw {
            // A line that was changed explains why the head file does not fit; nothing explains the line.
            let broken = verdict.bad.first().is_some_and(|bad| bad.flaw == Flaw::Broken);
            verdict.bad.insert(usize::from(broken), bad);
        }
        Ok(verdict)
    }
}

/// How far the check has come.
pub(super) struct Check<'a> {
    pub(super) verdict: Verdict,
    pub(super) head: Option<Head>,
    /// How many seals stand behind the one that the head file names.
    behind_head: u64,
    log: String,
    /// The log was begun with the key.
    ours: bool,
    /// There is an entry that a log which is only begun does not have.
    acts: bool,
    /// What each action had so far.
    pairs: Pairs,
    /// The file that is read has had its first line.
    begun: bool,
    /// The file before that one.
    before: Option<&'a LogFile>,
    pub(super) key: Option<LogKey>,
    last_hash: [u8; 32],
    /// The last entry: its line, and where it stands.
    pub(super) last: Vec<u8>,
    pub(super) last_at: Option<At<'a>>,
    /// What stands behind it and is no entry.
    pub(super) torn: Option<Torn<'a>>,
}

/// Lines that are no entries.
pub(super) struct Torn<'a> {
    /// The first of them.
    pub(super) at: At<'a>,
    bytes: Vec<u8>,
    /// Whether the last of them has an end.
    ended: bool,
}

impl<'a> Check<'a> {
    /// The head file by itself: what is wrong with it. What it says is compared when its entry is reached.
    fn head(&mut self, file: &HeadFile) -> Option<String> {
        let (head, text) = match file {
            HeadFile::Missing => return None,
            HeadFile::Damaged => return Some("it is no head of a log".to_owned()),
            HeadFile::There(head, text) => (head, text),
        };
        // A log without a single line has no id either; what is missing is told at its end.
        if !self.log.is_empty() && head.log != self.log {
            return Some("it belongs to another log than the one that is here".to_owned());
        }
        match &self.key {
            Some(key) if head.key != key.id => Some(foreign(&head.key, &key.id)),
            Some(key) if !Head::is_sealed(text, key) => Some("its seal is wrong: it was changed".to_owned()),
            _ => {
                self.head = Some(head.clone());
                None
            }
        }
    }

    /// Where the log begins, and its files.
    fn begin(&mut self, files: &'a [LogFile]) -> &'a [LogFile] {
        let start = self.head.as_ref().and_then(|head| head.start.as_ref());
        if let Some((seq, hash)) = start.and_then(|start| Some((start.seq, unhex(&start.prev)?))) {
            (self.verdict.pruned, self.last_hash) = (seq.saturating_sub(1), hash);
        }
        self.verdict.entries = self.verdict.pruned;
        let files = kept(files, start);
        self.verdict.files = files.len();
        for file in files.iter().filter(|file| file.len == 0 && file.is_old()) {
            let at = At { file, line: 1, start: 0, ended: false };
            self.verdict.say(Bad::broken(at, "the file is empty: it was put in, or what stood there was taken out"));
        }
        files
    }

    /// Every line. Whether none of them made the rest not worth reading.
    fn lines(
        &mut self,
        lines: &mut Lines<'a>,
        each: &mut impl FnMut(&Link<'_>, &[u8]) -> Result<(), String>,
    ) -> Result<bool, Error> {
        let mut text = Vec::new();
        while let Some(at) = lines.next(&mut text)? {
            let (hash, proven) = self.proof_of(&text);
            // What carries a MAC was read back when it was written. Of anything else every reader is to understand the same.
            let link = Link::read(&text).filter(|_| proven || Entry::read(&text).is_some());
            let Some(link) = link.map(|link| Link { proven: self.key.is_some().then_some(proven), ..link }) else {
                self.no_entry(at, &text);
                continue;
            };
            let bad = match self.chain(&link, &text, &hash, at, lines)? {
                None => self.seal(&link, &text, &hash, at, lines)?,
                bad => bad,
            };
            if let Some(bad) = bad {
                self.verdict.say(bad);
                return Ok(false);
            }
            if !proven && self.key.is_some() {
                self.verdict.doubt(link.seq);
            }
            let pair = self.pairs.entry(&link, &text, self.verdict.pruned);
            for why in [self.file(&link, &text, at), pair].into_iter().flatten() {
                self.verdict.say(Bad::broken(at, why));
            }
            if let Some(torn) = self.torn.take() {
                if left_by_crashes(&torn.bytes, link.seq) && !recovers_from_foreign(&text) {
                    self.verdict.recovered.push(at.place());
                } else {
                    self.verdict.say(Bad::broken(torn.at, "it is no entry: it was put in"));
                }
            }
            if let Err(why) = each(&link, &text) {
                self.verdict.say(Bad { flaw: Flaw::Evidence, place: at.place(), why });
            }
            if link.kind == Kind::Begin && begin_of(&text).is_some_and(|begin| begin.missing.is_some()) {
                let why = "another log was here before this one, and was taken away; if that was you, move the audit* files \
                           away together";
                self.verdict.say(Bad { flaw: Flaw::Missing, place: at.place(), why: why.to_owned() });
            }
            self.verdict.entries = link.seq;
            self.acts |= !matches!(link.kind, Kind::Begin | Kind::Recovered | Kind::Checkpoint);
            self.last_hash = hash;
            self.last_at = Some(at);
            std::mem::swap(&mut self.last, &mut text);
        }
        Ok(true)
    }

    /// The hash of a line, and whether its own MAC says that it was written with the key.
    fn proof_of(&self, line: &[u8]) -> ([u8; 32], bool) {
        match &self.key {
            None => (sha256(line), false),
            Some(key) => {
                let (before, hash) = sha256_twice(line);
                (hash, key.signed_entry(line, &before) || key.sealed_line(line))
            }
        }
    }

    /// Each file begins with a line that says so, and which file it follows; no other line does.
    fn file(&mut self, link: &Link<'_>, line: &[u8], at: At<'a>) -> Option<String> {
        let last = self.last_at.map(|last| last.file);
        let mut renamed = false;
        if last.is_none_or(|last| !std::ptr::eq(last, at.file)) {
            (self.begun, self.before) = (false, last);
            renamed = at.file.is_old() && at.file.name() != old_name(link.seq);
        }
        // Behind half a line of a crash the recovery stands first.
        let begun = self.begun;
        self.begun |= link.kind != Kind::Recovered;
        match (link.kind, begun) {
            _ if renamed => {
                Some(format!("entry {} begins its file, whose name says another one: it was renamed", link.seq))
            }
            (Kind::Begin, true) => {
                Some("it begins a file, and stands in the middle of one: entries were moved".to_owned())
            }
            (Kind::Begin, false) => {
                let after = begin_of(line).and_then(|begin| begin.after);
                // The file before the first one may have been removed.
                let fits = match self.before {
                    Some(before) => after.as_deref() == Some(before.name()),
                    None => after.is_none() || self.verdict.pruned > 0,
                };
                (!fits).then(|| "the file before it is another one than it follows".to_owned())
            }
            (Kind::Recovered, _) | (_, true) => None,
            (_, false) => Some("its file begins with it, and it is no beginning: entries were moved".to_owned()),
        }
    }

    fn no_entry(&mut self, at: At<'a>, line: &[u8]) {
        match &mut self.torn {
            None => self.torn = Some(Torn { at, bytes: line.to_vec(), ended: at.ended }),
            Some(torn) => {
                torn.bytes.extend_from_slice(&[b"\n", line].concat());
                torn.ended = at.ended;
            }
        }
    }

    /// Whether this line follows from the one before; else what was done to the log, and where.
    fn chain(
        &self,
        link: &Link<'_>,
        line: &[u8],
        hash: &[u8; 32],
        at: At<'a>,
        lines: &mut Lines<'a>,
    ) -> Result<Option<Bad>, Error> {
        let due = self.verdict.entries + 1;
        let expected = match &self.torn {
            None => self.last_hash,
            Some(torn) => after_torn((due > 1).then_some(self.last.as_slice()), &torn.bytes),
        };
        let follows = link.follows(&expected);
        let bad = match (&self.torn, link.kind) {
            (Some(torn), kind) if kind != Kind::Recovered => {
                Bad::broken(torn.at, "it is no entry: it was changed or put in")
            }
            (None, Kind::Recovered) if link.seq == due => {
                Bad::broken(at, "it recovers from a crash, and nothing is torn before it")
            }
            _ if link.seq == due && follows => {
                let begins_other = link.kind == Kind::Begin && begin_of(line).is_none_or(|begin| begin.log != self.log);
                return Ok(begins_other.then(|| Bad::broken(at, "it begins a file of another log")));
            }
            _ if follows => Bad::broken(at, format!("it was changed: it is number {}, and should be {due}", link.seq)),
            _ => self.tampering(link, line, hash, at, lines)?,
        };
        Ok(Some(bad))
    }

    /// Whether this line is what the seals say.
    fn seal(
        &mut self,
        link: &Link<'_>,
        line: &[u8],
        hash: &[u8; 32],
        at: At<'a>,
        lines: &mut Lines<'a>,
    ) -> Result<Option<Bad>, Error> {
        let seq = link.seq;
        let mut why = None;
        if link.kind == Kind::Checkpoint {
            self.verdict.checkpoints += 1;
            let Some(sealed) = Sealed::read(line) else { return Ok(Some(Bad::broken(at, "it is no checkpoint"))) };
            match &self.key {
                Some(key) if sealed.key != key.id => {
                    return Ok(Some(Bad::seal(at.place(), foreign(&sealed.key, &key.id))));
                }
                Some(key) if !key.sealed_line(line) => {
                    let from = if let Seal::UpTo(seq) = self.verdict.seal { seq } else { self.verdict.pruned } + 1;
                    why = Some(format!(
                        "its seal is wrong: something in entries {from} to {seq} was changed after it was sealed"
                    ));
                }
                Some(_) => self.verdict.seal = Seal::UpTo(seq),
                None => {}
            }
        }
        if let Some(head) = &self.head {
            if head.seq == seq && head.hash != hex(hash) {
                why.get_or_insert_with(|| "it is not the entry that the head file says was sealed".to_owned());
            }
            if head.seq == seq && (head.file, head.at, head.len) != (at.file.first, at.start, line.len() as u64) {
                why.get_or_insert_with(|| "it does not stand where the head file says: entries were moved".to_owned());
            }
            self.behind_head += u64::from(link.kind == Kind::Checkpoint && seq > head.seq);
        }
        let Some(why) = why else { return Ok(None) };
        Ok(Some(match self.goes_on(hash, lines)? {
            Some(false) => Bad::broken(at, "it was changed: the line behind it was written after another one"),
            _ => Bad::seal(at.place(), why),
        }))
    }

    /// What only the end of the log shows.
    fn end(&mut self, audit: &Audit, file: &HeadFile, head_place: Place, end: Place) {
        if let Some(torn) = self.torn.take() {
            if !torn.ended && left_by_crashes(&torn.bytes, self.verdict.entries + 1) {
                self.verdict.unfinished = Some(torn.at.place());
            } else {
                self.verdict.say(Bad::broken(torn.at, "it is no entry: it was put in"));
            }
        }
        if self.key.is_none() && self.verdict.checkpoints > 0 {
            self.verdict.seal = Seal::NotChecked;
        }
        let end = self.verdict.unfinished.clone().unwrap_or(end);
        let entries = self.verdict.entries;
        let empty = self.verdict.read() == 0;
        match &self.head {
            Some(head) if head.seq > entries => {
                let sealed = head.seq;
                let why = match entries {
                    _ if empty => format!("the log is empty, and entry {sealed} was sealed"),
                    _ if head.file > entries => format!(
                        "the log ends with entry {entries}, and entry {sealed} was sealed: the file that began with entry {} \
                         is missing",
                        head.file
                    ),
                    _ => {
                        format!("the log ends with entry {entries}, and entry {sealed} was sealed: its end was cut off")
                    }
                };
                self.verdict.say(Bad { flaw: Flaw::Truncated, place: end, why });
            }
            // A crash leaves the head file one seal behind, and no more: the next seal is not written without it.
            Some(head) if self.behind_head > 1 => {
                let why = format!(
                    "it names the seal in entry {}, and there are newer ones: an older copy was put back",
                    head.seq
                );
                self.verdict.say(Bad::seal(head_place, why));
            }
            Some(head) if head.seq == 0 && self.ours && self.acts && self.verdict.checkpoints == 0 => {
                self.verdict
                    .say(Bad::seal(end, "the log was sealed from its first line on, and its seals were taken out"));
            }
            None if matches!(file, HeadFile::Missing) && self.verdict.checkpoints > 0 => {
                let why = "the head file is missing, so nothing says whether the log was cut off behind its last seal";
                self.verdict.say(Bad::seal(head_place, why));
            }
            None if matches!(file, HeadFile::Missing) && self.ours => {
                let why = "the log was sealed from its first line on: its seals were taken out, and the head file too";
                self.verdict.say(Bad::seal(head_place, why));
            }
            None if self.verdict.files == 0 && names_a_log(&audit.lock_path()) => {
                let why = "there is no log, and its lock file says that there was one: it was taken away";
                self.verdict.say(Bad { flaw: Flaw::Missing, place: end, why: why.to_owned() });
            }
            _ => {}
        }
    }
}

/// Whether a lock file says that there was a log. It is made before the first one, and named after its first line.
fn names_a_log(lock: &Path) -> bool {
    GrantLock::noted(lock).is_some_and(|name| !name.is_empty())
}

fn foreign(found: &str, ours: &str) -> String {
    format!("it is sealed with another key ({found}) than the one of this credential store ({ours})")
}

/// Whether a `recovered` entry says that what stands before it is not half a line.
fn recovers_from_foreign(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Recovered {
        body: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        foreign: bool,
    }
    serde_json::from_slice::<Recovered>(line).is_ok_and(|line| line.body.foreign)
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
