//! What was done to a log whose next line does not follow, told from the lines around it. The chain says that two lines do
//! not fit together, and not which of them is wrong: the line behind them does.

use std::cmp::Ordering;

use super::{
    Error, Kind,
    chain::{Link, hex},
    lines::{At, Lines},
    rotate::{begin_of, old_name},
    verify::{Bad, Check},
};

impl<'a> Check<'a> {
    /// Names what was done, and where. `at` is the first line that neither has the right number nor follows, or one of both.
    pub(super) fn tampering(
        &self,
        link: &Link<'_>,
        line: &[u8],
        hash: &[u8; 32],
        at: At<'a>,
        lines: &mut Lines<'a>,
    ) -> Result<Bad, Error> {
        match link.seq.cmp(&(self.verdict.entries + 1)) {
            Ordering::Equal => self.changed(link, line, hash, at, lines),
            Ordering::Less => self.put_in(link, line, hash, at, lines),
            Ordering::Greater => self.taken_out(link, line, at, lines),
        }
    }

    /// Whether the next line was written after one with this hash; none if there is no next entry.
    pub(super) fn goes_on(&self, hash: &[u8; 32], lines: &mut Lines<'a>) -> Result<Option<bool>, Error> {
        let mut text = Vec::new();
        lines.next(&mut text)?;
        Ok(Link::read(&text).map(|link| link.follows(hash)))
    }

    /// The number is right, and the line before is another one than it was written after.
    fn changed(
        &self,
        link: &Link<'_>,
        line: &[u8],
        hash: &[u8; 32],
        at: At<'a>,
        lines: &mut Lines<'a>,
    ) -> Result<Bad, Error> {
        let Some(before) = self.torn.as_ref().map(|torn| torn.at).or(self.last_at) else {
            let why = match self.verdict.pruned {
                0 => "it was changed: it is the first entry, and names one before it",
                _ => "it was changed: it does not follow from the entries that were removed before it",
            };
            return Ok(Bad::broken(at, why));
        };
        let goes_on = self.goes_on(hash, lines)?;
        let sealed = link.kind == Kind::Checkpoint && self.key.as_ref().is_some_and(|key| key.sealed_line(line))
            || self.head.as_ref().is_some_and(|head| head.seq == link.seq && head.hash == hex(hash));
        let behind = match before.file.path == at.file.path {
            true => format!("line {}", at.line),
            false => format!("the first line of {}", at.file.name()),
        };
        Ok(match goes_on {
            _ if sealed => Bad::broken(before, format!("it was changed: {behind} was written after another one")),
            Some(true) => Bad::broken(before, format!("it was changed: {behind} was written after another one")),
            Some(false) => Bad::broken(at, "it was changed: it fits neither the line before it nor the one behind it"),
            None => Bad::broken(before, format!("it or {behind}, the last one, was changed: they do not fit together")),
        })
    }

    /// There was an entry of that number before.
    fn put_in(
        &self,
        link: &Link<'_>,
        line: &[u8],
        hash: &[u8; 32],
        at: At<'a>,
        lines: &mut Lines<'a>,
    ) -> Result<Bad, Error> {
        let seq = link.seq;
        if line == self.last {
            return Ok(Bad::broken(at, "it stands there twice"));
        }
        if let Some(before) = self.last_at.filter(|_| seq == self.verdict.entries)
            && self.goes_on(hash, lines)? == Some(true)
        {
            let why = format!("it was put in: line {} is entry {seq} too, and the log goes on from that one", at.line);
            return Ok(Bad::broken(before, why));
        }
        Ok(Bad::broken(at, format!("it was put in or repeated: entry {seq} stands before it already")))
    }

    /// Entries are missing before it, or stand elsewhere.
    fn taken_out(&self, link: &Link<'_>, line: &[u8], at: At<'a>, lines: &mut Lines<'a>) -> Result<Bad, Error> {
        let (from, to) = (self.verdict.entries + 1, link.seq - 1);
        let missing = match from == to {
            true => format!("entry {from} is missing"),
            false => format!("entries {from} to {to} are missing"),
        };
        let mut text = Vec::new();
        while let Some(other) = lines.next(&mut text)? {
            if Link::read(&text).is_some_and(|link| link.seq == from) {
                let place = match other.file.path == at.file.path {
                    true => format!("line {}", other.line),
                    false => format!("line {} of {}", other.line, other.file.name()),
                };
                return Ok(Bad::broken(at, format!("it was moved: entry {from} should stand here, and is {place}")));
            }
        }
        let begin = begin_of(line).filter(|_| at.line == 1 && link.kind == Kind::Begin);
        Ok(match (begin.and_then(|begin| begin.after), self.last_at) {
            (Some(after), Some(last)) if last.file.name() == after => {
                Bad::broken(last, format!("the end of its file was cut off behind it: {missing}"))
            }
            (Some(after), _) if after == old_name(from) => {
                Bad::broken(at, format!("the file {after} before it was taken away: {missing}"))
            }
            (Some(after), _) => {
                Bad::broken(at, format!("files before it, the last of them {after}, were taken away: {missing}"))
            }
            (None, None) => Bad::broken(at, format!("the beginning of the log was taken out: {missing}")),
            (None, Some(_)) => Bad::broken(at, format!("lines before it were taken out: {missing}")),
        })
    }
}
