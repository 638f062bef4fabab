//! What was typed at the prompt, in a file that only this person can read: one entry a line, the oldest first.
//!
//! However long the file has become, only its end is read, so that the prompt is there at once. A file that is far longer
//! than that is cut to what was read.

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
        let mut file = match files::open(&self.0, OpenOptions::new().read(true)) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        let failed = |source| Error::new("read", &self.0, source);
        let length = file.metadata().map_err(failed)?.len();
        let skipped = length.saturating_sub(READ);
        file.seek(SeekFrom::Start(skipped)).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(READ).read_to_end(&mut bytes).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes);
        // The first line may have lost its beginning.
        let text = if skipped > 0 { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && *line != HEADER).collect();
        if length > LONG {
            files::write(&self.0, format!("{HEADER}\n{}\n", lines.join("\n")).as_bytes())?;
        }
        Ok(lines[lines.len().saturating_sub(most)..].iter().map(|line| unescaped(line)).collect())
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
        let mut line = if file.metadata().map_err(failed)?.len() == 0 { format!("{HEADER}\n") } else { String::new() };
        line += &entry.replace('\\', "\\\\").replace('\n', "\\n");
        line.push('\n');
        // In one piece: several shells may write at once.
        file.write_all(line.as_bytes()).map_err(failed)
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
        let entries = History::new(path.clone()).load(5000).unwrap();
        assert!(entries.len() < 2700 && entries.iter().all(|entry| entry.len() == 99 || entry == "the last"));
        assert_eq!(entries.last().map(String::as_str), Some("the last"));
        assert!(fs::metadata(&path).unwrap().len() <= READ + 10);
        // A file that is one endless line is no reason to fail.
        fs::write(&path, "y".repeat(2 << 20)).unwrap();
        assert_eq!(History::new(path).load(10).unwrap(), Vec::<String>::new());
    }
}
