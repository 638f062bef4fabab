//! Letting go of the oldest files, for whoever wants the log to have a limit. The log itself says what was removed, and a
//! seal over where it begins now keeps anybody else from removing more.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Seek as _},
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use super::{
    Audit, Entry, Error, Kind,
    append::Writer,
    checkpoint::Start,
    rotate::{FIRST_LINE, LogFile, Snapshot},
};
use crate::files;

impl Audit {
    /// Removes the files whose entries were all written before `before`; never the one that is written to. Returns how many
    /// entries that were. Without a key that lasts nothing is removed: the log could not be told from one that was cut off.
    ///
    /// # Errors
    /// If the log does not verify, as then it is kept as it is; if it is sealed with another key; or if it cannot be written.
    pub fn prune(&self, before: DateTime<Utc>, at: DateTime<Utc>) -> Result<u64, Error> {
        if self.old_files()?.is_empty() || self.lasting_root().is_none() {
            return Ok(0);
        }
        // Nobody who appends has to wait while the log is read: what is in old files does not change any more.
        let snapshot = self.snapshot()?;
        let from = snapshot.head.start().map_or(1, |start| start.seq);
        let Some(next) = self.first_to_keep(&snapshot, from, before)? else {
            return Ok(0);
        };
        let mut writer = Writer::open(self, at)?;
        let Some(key) = writer.key()? else { return Ok(0) };
        let start = writer.may_seal(&key)?;
        if start.map_or(1, |start| start.seq) != from {
            // Another process was faster.
            return Ok(0);
        }
        if next.seq > from {
            let time = before.to_rfc3339_opts(SecondsFormat::Millis, true);
            let body = json!({ "from": from, "to": next.seq - 1, "before": time });
            writer.push(Kind::Pruned, None, at, body)?;
            writer.push_checkpoint(&key, at, Some(next.clone()))?;
            writer.write()?;
        }
        // Only now that the head says so. Who is killed in between finds the rest of them the next time.
        for (first, path) in self.old_files()? {
            if first < next.seq {
                fs::remove_file(&path).map_err(|source| files::Error::new("remove", &path, source))?;
            }
        }
        files::sync_dir(&self.folder)?;
        Ok(next.seq - from)
    }

    /// Where the log would begin without what was written before `before`; none if nothing is to be removed. What is removed
    /// cannot be looked at again, so the whole log is verified first.
    fn first_to_keep(&self, snapshot: &Snapshot, from: u64, before: DateTime<Utc>) -> Result<Option<Start>, Error> {
        let firsts: Vec<u64> = snapshot.files.iter().map(|file| file.first).collect();
        let left = firsts.first().is_some_and(|first| *first < from);
        // A second file's first line is as new as whatever stands in the first file.
        let second = snapshot.files.get(1).map(first_line).transpose()?;
        if !left && second.as_deref().and_then(time_of).is_some_and(|time| time >= before) {
            return Ok(None);
        }
        // A clock that was set back does not make old what stands behind something newer.
        let (mut next, mut newer) = (None, false);
        let verdict = self.verify_files(snapshot, |link, line| {
            if link.kind == Kind::Begin && link.seq >= from && !newer {
                newer = link.seq > from && time_of(line).is_none_or(|time| time >= before);
                // Where a file begins with half a line, what stands before that is needed to verify it.
                if !newer && firsts.contains(&link.seq) {
                    next = Some(Start { seq: link.seq, prev: link.prev.to_owned() });
                }
            }
            Ok(())
        })?;
        if let Some(bad) = verdict.bad.first() {
            let why = format!("{} line {}: {}", bad.place.file.display(), bad.place.line, bad.why);
            return Err(Error::NotWhole(why));
        }
        Ok(next.filter(|next| left || next.seq > from))
    }
}

fn first_line(file: &LogFile) -> Result<Vec<u8>, Error> {
    let failed = |source| files::Error::new("read", &file.path, source);
    let (mut opened, mut line) = (&file.file, Vec::new());
    opened.rewind().map_err(failed)?;
    BufReader::new(opened).take(FIRST_LINE).read_until(b'\n', &mut line).map_err(failed)?;
    Ok(line)
}

fn time_of(line: &[u8]) -> Option<DateTime<Utc>> {
    let entry = Entry::read(line)?;
    Some(DateTime::parse_from_rfc3339(&entry.time).ok()?.to_utc())
}
