//! The lines of a log, one after the other through all its files; and one line, where it was seen before.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Take},
    path::Path,
    slice,
};

use super::{
    Error, Place,
    chain::sha256,
    rotate::{LogFile, open_to_read},
};
use crate::files;

/// Where a line stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    /// Its file.
    pub(super) file: &'a LogFile,
    /// Its number there, from 1.
    pub(super) line: u64,
    /// Where it begins there, in bytes.
    pub(super) start: u64,
    /// Whether it has an end. Only the last line of a file can lack it.
    pub(super) ended: bool,
}

impl At<'_> {
    /// The same for a message.
    pub(super) fn place(&self) -> Place {
        Place { file: self.file.path.clone(), line: self.line }
    }
}

/// Where a line stood when it was written or read, so that it is found again without reading the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stood {
    /// The number of the first entry of its file.
    pub(super) file: u64,
    /// Where it begins there, in bytes.
    pub(super) start: u64,
    /// How long it is, without its end.
    pub(super) len: u64,
    /// SHA-256 of it.
    pub(super) hash: [u8; 32],
}

impl Stood {
    /// The line, if it still stands there in the file at this path.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let failed = |source| files::Error::new("read", path, source);
        let Some(mut file) = open_to_read(path)? else { return Ok(None) };
        file.seek(SeekFrom::Start(self.start)).map_err(failed)?;
        let mut line = Vec::new();
        file.take(self.len).read_to_end(&mut line).map_err(failed)?;
        Ok((sha256(&line) == self.hash).then_some(line))
    }
}

/// Reads them.
pub(super) struct Lines<'a> {
    files: slice::Iter<'a, LogFile>,
    open: Option<(&'a LogFile, BufReader<Take<&'a File>>)>,
    line: u64,
    /// How much of the open file was read.
    read: u64,
}

impl<'a> Lines<'a> {
    /// Before the first line of the first file.
    pub(super) fn of(files: &'a [LogFile]) -> Self {
        Self { files: files.iter(), open: None, line: 0, read: 0 }
    }

    /// Reads the next line into `text`, without its end; none at the end of the log.
    pub(super) fn next(&mut self, text: &mut Vec<u8>) -> Result<Option<At<'a>>, Error> {
        loop {
            let (file, mut reader) = match self.open.take() {
                Some(open) => open,
                None => {
                    let Some(file) = self.files.next() else { return Ok(None) };
                    let mut opened = &file.file;
                    opened.seek(SeekFrom::Start(0)).map_err(|source| files::Error::new("read", &file.path, source))?;
                    (self.line, self.read) = (0, 0);
                    (file, BufReader::with_capacity(256 * 1024, opened.take(file.len)))
                }
            };
            text.clear();
            let read =
                reader.read_until(b'\n', text).map_err(|source| files::Error::new("read", &file.path, source))?;
            if read > 0 {
                self.open = Some((file, reader));
                self.line += 1;
                let start = self.read;
                self.read += read as u64;
                let ended = text.pop_if(|byte| *byte == b'\n').is_some();
                return Ok(Some(At { file, line: self.line, start, ended }));
            }
        }
    }
}
