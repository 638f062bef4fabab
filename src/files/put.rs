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

/// So many bytes are handed to a pipe at once: more would be one step for a reader who takes them one by one.
const PIECE: usize = 4096;

/// Writes a file where the person said. A link is followed, a file that is there keeps its permissions, and a pipe, a device or
/// a stream of this process is written to. A regular file is replaced as a whole; a new one is 0600.
///
/// # Errors
/// If it cannot be written; a regular file then has its old content.
pub fn put(path: &Path, content: &[u8]) -> Result<(), Error> {
    put_in_steps(path, content, |step| step())
}

/// The same, with something done around each step that may wait for whoever reads.
///
/// # Errors
/// As [`put`].
pub fn put_in_steps(
    path: &Path,
    content: &[u8],
    around: impl Fn(&mut dyn FnMut() -> io::Result<()>) -> io::Result<()>,
) -> Result<(), Error> {
    let failed = |source| Error::new("written", path, source);
    let mut file = match find(path)? {
        Place::File(target, permissions) => return put_file(&target, content, permissions),
        Place::Stream(stream) => Some(stream),
        Place::Other { .. } => None,
    };
    if file.is_none() {
        around(&mut || open(path).map(|opened| file = Some(opened))).map_err(failed)?;
    }
    for piece in content.chunks(PIECE) {
        around(&mut || file.as_mut().map_or(Ok(()), |file| file.write_all(piece))).map_err(failed)?;
    }
    Ok(())
}

fn put_file(target: &Path, content: &[u8], permissions: Option<Permissions>) -> Result<(), Error> {
    match replace(target, content, permissions) {
        // Something is mounted there: its name cannot be given to another file.
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::ResourceBusy => {
            return fs::write(target, content).map_err(|source| Error::new("written", target, source));
        }
        replaced => replaced?,
    }
    // A folder that can be written and not read does not promise that the new name survives a crash. It is there.
    let _ = sync_dir(folder_of(target));
    Ok(())
}

/// Whether [`put`] can write there, as far as that shows beforehand. May wait where opening a device does. Of the trial nothing
/// stays where anything can be removed.
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

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
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
    if !there.is_file() {
        return Ok(Place::Other { waits: system::is_fifo(&there) });
    }
    if leads_through_a_descriptor(path) {
        // Whoever has it open goes on writing where they were.
        return Err(failed(io::Error::new(ErrorKind::InvalidInput, "that file is open already; name the file itself")));
    }
    // Whoever made it read-only meant it, also for root.
    if there.permissions().readonly() {
        return Err(failed(ErrorKind::PermissionDenied.into()));
    }
    OpenOptions::new().write(true).open(path).map_err(failed)?;
    let target = fs::canonicalize(path).map_err(failed)?;
    Ok(Place::File(target, Some(there.permissions())))
}

/// Whether it ends as only the name of a folder does.
fn names_a_folder(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    let text = text.strip_suffix(b".").unwrap_or(text);
    text.last().is_some_and(|last| is_separator(char::from(*last)))
}

/// Whether it is a name for what a process has open, like `/dev/fd/3`, or a link to one.
fn leads_through_a_descriptor(path: &Path) -> bool {
    /// More links in a row are an error of their own.
    const MOST: usize = 40;
    let mut at = path.to_owned();
    for _ in 0..MOST {
        let folder = fs::canonicalize(folder_of(&at)).unwrap_or_default();
        if folder == Path::new("/dev/fd") || folder.starts_with("/proc") && folder.ends_with("fd") {
            return true;
        }
        let Ok(next) = fs::read_link(&at) else { return false };
        at = folder_of(&at).join(next);
    }
    true
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
        fs::write(dir.path("locked"), b"old").unwrap();
        let mut locked = fs::metadata(dir.path("locked")).unwrap().permissions();
        locked.set_readonly(true);
        fs::set_permissions(dir.path("locked"), locked).unwrap();
        for place in ["", "no/such", "new/", "new/.", "there/", "locked", "/proc/new"] {
            assert!(can_put(&dir.path(place)).is_err(), "{place}");
            assert!(put(&dir.path(place), b"x").is_err(), "{place}");
        }
        assert_eq!(fs::read(dir.path("there")).unwrap(), b"old");
        assert_eq!(fs::read(dir.path("locked")).unwrap(), b"old");
        assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 2);
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
    fn a_file_that_is_open_already_is_not_replaced() {
        use std::os::fd::AsRawFd as _;
        let dir = TempDir::new();
        fs::create_dir_all(&dir.0).unwrap();
        fs::write(dir.path("log"), b"one\n").unwrap();
        let log = OpenOptions::new().append(true).open(dir.path("log")).unwrap();
        let name = PathBuf::from(format!("/dev/fd/{}", log.as_raw_fd()));
        std::os::unix::fs::symlink(&name, dir.path("link")).unwrap();
        for place in [name, dir.path("link")] {
            assert!(can_put(&place).is_err() && put(&place, b"two\n").is_err(), "{}", place.display());
        }
        assert_eq!(fs::read(dir.path("log")).unwrap(), b"one\n");
        // A pipe is written to.
        let (mut reader, writer) = io::pipe().unwrap();
        let content = vec![b'x'; 3 * PIECE + 1];
        put(Path::new(&format!("/dev/fd/{}", writer.as_raw_fd())), &content).unwrap();
        drop(writer);
        let mut read = Vec::new();
        io::Read::read_to_end(&mut reader, &mut read).unwrap();
        assert_eq!(read, content);
    }
}
