//! What was typed at the prompt, in a file that only this person can read: one entry a line, the oldest first.
//!
//! However long the file has become, only its end is read, so that the prompt is there at once. A file that is far longer
//! than that is cut when the next entry is added.

use std::{
    fs::OpenOptions,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
};

use crate::files::{self, Error};

/// How much of the file is read.
const READ: u64 = 256 << 10;
/// From this length on it is cut.
const LONG: u64 = 1 << 20;
/// The longest entry that is remembered.
const LONGEST_ENTRY: usize = 16 << 10;
/// Names the form in which a file of rustyline is written, which this one is.
const HEADER: &str = "#V2";

/// The file.
#[derive(Debug)]
pub(super) struct History(PathBuf);

impl History {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The entries that are remembered, at most `most`.
    ///
    /// # Errors
    /// If there is a file and it cannot be read.
    pub(super) fn load(&self, most: usize) -> Result<Vec<String>, Error> {
        let text = match self.end() {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text?,
        };
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && *line != HEADER).collect();
        Ok(lines[lines.len().saturating_sub(most)..].iter().map(|line| unescaped(line)).collect())
    }

    /// The last lines of the file.
    fn end(&self) -> Result<String, Error> {
        let mut file = files::open(&self.0, OpenOptions::new().read(true))?;
        let failed = |source| Error::new("read", &self.0, source);
        let skipped = file.metadata().map_err(failed)?.len().saturating_sub(READ);
        file.seek(SeekFrom::Start(skipped)).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(READ).read_to_end(&mut bytes).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // The first line may have lost its beginning.
        Ok(if skipped > 0 { text.split_once('\n').map_or_else(String::new, |(_, rest)| rest.to_owned()) } else { text })
    }

    /// Remembers an entry.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn add(&self, entry: &str) -> Result<(), Error> {
        if entry.len() > LONGEST_ENTRY {
            return Ok(());
        }
        if let Some(folder) = self.0.parent() {
            files::private_dir(folder)?;
        }
        let mut file = files::open(&self.0, OpenOptions::new().append(true).create(true))?;
        let failed = |source| Error::new("written", &self.0, source);
        let length = file.metadata().map_err(failed)?.len();
        let mut line = if length == 0 { format!("{HEADER}\n") } else { String::new() };
        line += &entry.replace('\\', "\\\\").replace('\n', "\\n");
        line.push('\n');
        // In one piece: several shells may write at once.
        file.write_all(line.as_bytes()).map_err(failed)?;
        if length > LONG {
            files::write(&self.0, format!("{HEADER}\n{}", self.end()?).as_bytes())?;
        }
        Ok(())
    }
}

fn unescaped(line: &str) -> String {
    let mut entry = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        entry.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                other => other.unwrap_or('\\'),
            },
            c => c,
        });
    }
    entry
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn entries_come_back_and_nobody_else_can_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/history");
        let history = History::new(path.clone());
        assert_eq!(history.load(10).unwrap(), Vec::<String>::new());
        for entry in ["buy 2 phones", "two\nlines \\ and \\n", "é"] {
            history.add(entry).unwrap();
        }
        assert_eq!(history.load(10).unwrap(), ["buy 2 phones", "two\nlines \\ and \\n", "é"]);
        assert_eq!(history.load(1).unwrap(), ["é"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        history.add(&"x".repeat(LONGEST_ENTRY + 1)).unwrap();
        assert_eq!(history.load(10).unwrap().len(), 3);
    }

    #[test]
    fn of_a_long_file_only_the_end_is_read_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let line = format!("{}\n", "x".repeat(99));
        fs::write(&path, format!("{HEADER}\n{}the last\n", line.repeat(20_000))).unwrap();
        let history = History::new(path.clone());
        let is_right = |entries: &[String], last: &str| {
            assert!(entries.len() > 2500 && entries.len() < 2700, "{}", entries.len());
            assert!(entries.iter().all(|entry| entry.len() == 99 || entry.ends_with("last")));
            assert_eq!(entries.last().map(String::as_str), Some(last));
        };
        is_right(&history.load(5000).unwrap(), "the last");
        assert!(fs::metadata(&path).unwrap().len() > LONG, "nothing is written before the prompt");
        history.add("the very last").unwrap();
        assert!(fs::metadata(&path).unwrap().len() <= READ + 10);
        is_right(&history.load(5000).unwrap(), "the very last");
        // A file that is one endless line is no reason to fail.
        fs::write(&path, "y".repeat(2 << 20)).unwrap();
        assert_eq!(history.load(10).unwrap(), Vec::<String>::new());
    }
}
