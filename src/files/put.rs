//! Writing where the person said: their folder stays as it is, and so does what only leads to a file.

use std::{
    fs::{self, File, Metadata, OpenOptions, Permissions},
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf, is_separator},
};

use super::{Error, folder_of, replace, sync_dir, temporary};

/// What lies there.
enum Place {
    /// A regular file, which is replaced as a whole and keeps its permissions, or none yet.
    File(PathBuf, Option<Permissions>),
    /// One of this process's own streams: opened a second time, each would write over what the other wrote.
    Stream(File),
    /// A pipe, a device, what another program has open: it is written to.
    Other {
        /// Opening it waits for whoever reads.
        waits: bool,
    },
}

/// Writes a file where the person said. A link is followed, a file that is there keeps its permissions, and a pipe, a device or
/// a stream of this process is written to, which may wait for whoever reads it. A regular file is replaced as a whole; a new one
/// is 0600.
///
/// # Errors
/// If it cannot be written; a regular file then has its old content.
pub fn put(path: &Path, content: &[u8]) -> Result<(), Error> {
    let written = match find(path)? {
        Place::File(target, permissions) => {
            replace(&target, content, permissions)?;
            // A folder that can be written and not read does not promise that the new name survives a crash. It is there.
            let _ = sync_dir(folder_of(&target));
            return Ok(());
        }
        Place::Stream(mut stream) => stream.write_all(content),
        Place::Other { .. } => open(path).and_then(|mut file| file.write_all(content)),
    };
    written.map_err(|source| Error::new("written", path, source))
}

/// Whether [`put`] can write there, as far as that shows beforehand. Nothing stays of the trial.
///
/// # Errors
/// If it cannot.
pub fn can_put(path: &Path) -> Result<(), Error> {
    let tried = match find(path)? {
        Place::File(target, _) => {
            let trial = temporary(&target);
            File::create_new(&trial).and_then(|_| fs::remove_file(&trial))
        }
        Place::Stream(_) | Place::Other { waits: true } => Ok(()),
        Place::Other { waits: false } => open(path).map(drop),
    };
    tried.map_err(|source| Error::new("written", path, source))
}

/// Behind what is there already, should it be a file after all.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open(path)
}

fn find(path: &Path) -> Result<Place, Error> {
    let failed = |source| Error::new("written", path, source);
    let there = match fs::metadata(path) {
        Ok(there) => there,
        // A link that leads nowhere.
        Err(source) if path.is_symlink() => return Err(failed(source)),
        Err(_) if names_a_folder(path) => return Err(failed(ErrorKind::IsADirectory.into())),
        Err(_) => return Ok(Place::File(path.to_owned(), None)),
    };
    if there.is_dir() {
        return Err(failed(ErrorKind::IsADirectory.into()));
    }
    if let Some(stream) = system::stream(&there) {
        return Ok(Place::Stream(stream));
    }
    if !there.is_file() || names_a_descriptor(path) {
        return Ok(Place::Other { waits: system::is_fifo(&there) });
    }
    // Whoever made it read-only meant it.
    OpenOptions::new().write(true).open(path).map_err(failed)?;
    let target = fs::canonicalize(path).map_err(failed)?;
    Ok(Place::File(target, Some(there.permissions())))
}

/// Whether it ends as only the name of a folder does.
fn names_a_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|last| is_separator(char::from(*last)))
}

/// Whether it is a name for what a process has open, like `/dev/fd/3`.
fn names_a_descriptor(path: &Path) -> bool {
    let folder = fs::canonicalize(folder_of(path)).unwrap_or_default();
    folder == Path::new("/dev/fd") || folder.starts_with("/proc") && folder.ends_with("fd")
}

#[cfg(unix)]
mod system {
    use std::os::{
        fd::AsFd as _,
        unix::fs::{FileTypeExt as _, MetadataExt as _},
    };

    use super::{File, Metadata, io};

    /// Stdout or stderr, if it leads there.
    pub(super) fn stream(there: &Metadata) -> Option<File> {
        let streams = [io::stdout().as_fd().try_clone_to_owned(), io::stderr().as_fd().try_clone_to_owned()];
        let leads_there = |stream: &File| {
            stream.metadata().is_ok_and(|stream| (stream.dev(), stream.ino()) == (there.dev(), there.ino()))
        };
        streams.into_iter().flatten().map(File::from).find(leads_there)
    }

    pub(super) fn is_fifo(there: &Metadata) -> bool {
        there.file_type().is_fifo()
    }
}

#[cfg(not(unix))]
mod system {
    use super::{File, Metadata};

    pub(super) fn stream(_: &Metadata) -> Option<File> {
        None
    }

    pub(super) fn is_fifo(_: &Metadata) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::TempDir;

    #[test]
    fn a_place_that_cannot_be_is_known_beforehand() {
        let dir = TempDir::new();
        fs::create_dir_all(&dir.0).unwrap();
        fs::write(dir.path("there"), b"old").unwrap();
        for place in ["there", "new", "/dev/null"] {
            can_put(&dir.path(place)).unwrap();
        }
        for place in ["", "no/such", "new/", "there/", "/proc/new"] {
            assert!(can_put(&dir.path(place)).is_err(), "{place}");
            assert!(put(&dir.path(place), b"x").is_err(), "{place}");
        }
        assert_eq!(fs::read(dir.path("there")).unwrap(), b"old");
        assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_and_one_to_nothing_is_no_place() {
        let dir = TempDir::new();
        fs::create_dir_all(&dir.0).unwrap();
        fs::write(dir.path("target"), b"old").unwrap();
        for (link, target) in [("link", "target"), ("dangling", "nothing")] {
            std::os::unix::fs::symlink(dir.path(target), dir.path(link)).unwrap();
        }
        can_put(&dir.path("link")).unwrap();
        put(&dir.path("link"), b"new").unwrap();
        assert_eq!(fs::read(dir.path("target")).unwrap(), b"new");
        assert!(can_put(&dir.path("dangling")).is_err() && put(&dir.path("dangling"), b"x").is_err());
        assert!(!dir.path("nothing").exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_descriptor_leads_to_is_not_replaced() {
        use std::os::fd::AsRawFd as _;
        let dir = TempDir::new();
        fs::create_dir_all(&dir.0).unwrap();
        fs::write(dir.path("log"), b"one\n").unwrap();
        let log = OpenOptions::new().append(true).open(dir.path("log")).unwrap();
        put(Path::new(&format!("/dev/fd/{}", log.as_raw_fd())), b"two\n").unwrap();
        (&log).write_all(b"three\n").unwrap();
        assert_eq!(fs::read(dir.path("log")).unwrap(), b"one\ntwo\nthree\n");
    }
}
