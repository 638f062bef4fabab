//! Files that belong to one person: 0600 in folders of 0700 whatever the umask says, written whole or not at all, and
//! never through a symbolic link.
//!
//! The folders are the person's own, so looking at a path before opening it is enough: whoever could put a link there
//! between the two steps could read the files anyway.

mod put;
mod rights;

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Write as _},
    path::{Path, PathBuf},
};

pub use self::{
    put::{can_put, put, put_in_steps},
    rights::{only_mine, own_dir},
};

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A symbolic link lies where a file or a folder of ours should be.
    #[error("{} is a symbolic link", .0.display())]
    Symlink(PathBuf),
    /// Something other than a regular file lies there.
    #[error("{} is not a regular file, but {}", .0.display(), .1)]
    NotAFile(PathBuf, &'static str),
    /// Neither this person's nor, where that is enough, root's.
    #[error("{} belongs to somebody else", .0.display())]
    Foreign(PathBuf),
    /// It decides what is done, and others could change it.
    #[error("others may write to {}", .0.display())]
    Writable(PathBuf),
    /// The disk or the quota is full.
    #[error("no space is left for {}", .0.display())]
    Full(PathBuf),
    /// The file system is mounted read-only, or its permissions say no.
    #[error("{} may not be {doing}: {source}", path.display())]
    Denied {
        /// `read`, `written`, ...
        doing: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else.
    #[error("{} could not be {doing}: {source}", path.display())]
    Io {
        /// `read`, `written`, ...
        doing: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// Sorts an error of the system.
    #[must_use]
    pub fn new(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full(path),
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Self::Denied { doing, path, source },
            _ => Self::Io { doing, path, source },
        }
    }

    /// What mends it, where that is known.
    #[must_use]
    pub fn mend(&self) -> Option<String> {
        match self {
            Self::Symlink(path) => Some(format!(
                "put the real thing at {}, not a link; only folders above those of agentctl may be links",
                path.display()
            )),
            Self::NotAFile(path, what) => Some(format!(
                "{what} lies in the place of a file: move {} away, and put the file back if there was one",
                path.display()
            )),
            Self::Foreign(_) => Some(
                "run agentctl as the person it belongs to; or look into it, and make it yours with `chown`".to_owned(),
            ),
            Self::Writable(path) => Some(format!("look into it, then run `chmod go-w '{}'`", path.display())),
            _ => None,
        }
    }
}

/// Makes a folder, and those above it, that only its owner may enter. One that is there already is closed to others.
///
/// # Errors
/// If it cannot be made, or is something else than a folder of this person's.
pub fn private_dir(path: &Path) -> Result<(), Error> {
    own_dir(path)?;
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| Error::new("made", path, source))?;
    own_dir(path)?;
    let metadata = fs::metadata(path).map_err(|source| Error::new("read", path, source))?;
    close_to_others(path, &metadata, 0o700)
}

/// Opens a file of ours; the options say for what. If it is made now, only its owner may read it; one that is there
/// already is closed to others.
///
/// # Errors
/// If it or its folder is a symbolic link, the folder is somebody else's, it is no regular file, or the system refuses.
pub fn open(path: &Path, options: &mut OpenOptions) -> Result<File, Error> {
    own_dir(folder_of(path))?;
    open_anywhere(path, options)
}

fn open_anywhere(path: &Path, options: &mut OpenOptions) -> Result<File, Error> {
    check(path)?;
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    let file = options.open(path).map_err(|source| Error::new("opened", path, source))?;
    let metadata = file.metadata().map_err(|source| Error::new("read", path, source))?;
    close_to_others(path, &metadata, 0o600)?;
    Ok(file)
}

/// Makes an empty file if there is none, and closes one that is there to others, without opening it: closing a file drops
/// every lock that this process has on it, and SQLite's are of that kind.
///
/// # Errors
/// If it is a symbolic link or no regular file, or the system refuses.
pub fn ensure(path: &Path) -> Result<(), Error> {
    match open(path, OpenOptions::new().write(true).create_new(true)) {
        Ok(_) => return Ok(()),
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    check(path)?;
    let metadata = fs::metadata(path).map_err(|source| Error::new("read", path, source))?;
    close_to_others(path, &metadata, 0o600)
}

/// The content of a file of ours; none if there is no such file.
///
/// # Errors
/// If it is there and cannot be read, or is a symbolic link.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let mut file = match open(path, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.read_to_end(&mut content).map_err(|source| Error::new("read", path, source))?;
    Ok(Some(content))
}

/// Replaces a file as a whole: whoever reads it sees the old content or the new, also after a crash.
///
/// # Errors
/// If it cannot be written; then the old content is still there.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    check(path)?;
    private_dir(folder_of(path))?;
    replace(path, content, None)?;
    sync_dir(folder_of(path))
}

fn temporary(path: &Path) -> PathBuf {
    beside(path, &format!(".{}.tmp", uuid::Uuid::new_v4().simple()))
}

/// Where a file lies: a bare name is in the working directory.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn replace(path: &Path, content: &[u8], permissions: Option<fs::Permissions>) -> Result<(), Error> {
    let temporary = temporary(path);
    let keep = || permissions.map_or(Ok(()), |permissions| fs::set_permissions(&temporary, permissions));
    let result = write_new(&temporary, content).and_then(|()| {
        keep().and_then(|()| fs::rename(&temporary, path)).map_err(|source| Error::new("written", path, source))
    });
    if result.is_err() {
        // What went wrong is already known; a temporary file that cannot be removed adds nothing to it.
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// Removes a file; true if it was there.
///
/// # Errors
/// If it is there and cannot be removed.
pub fn remove(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(source) if source.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::new("removed", path, source)),
    }
}

/// The same path with something added to the file's name.
#[must_use]
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, ToOwned::to_owned);
    name.push(suffix);
    path.with_file_name(name)
}

/// Makes a new name in a folder survive a crash.
///
/// # Errors
/// If the system cannot promise it.
pub fn sync_dir(folder: &Path) -> Result<(), Error> {
    // Windows has no such call: there a rename is durable by the file system's own journal.
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|source| Error::new("written", folder, source))?;
    }
    Ok(())
}

/// Refuses what is no regular file. What is not there yet is fine.
///
/// # Errors
/// If a symbolic link, a folder or the like lies there.
pub fn check(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_symlink() => Err(Error::Symlink(path.to_owned())),
        Ok(metadata) if !metadata.is_file() => Err(Error::NotAFile(path.to_owned(), name_of(metadata.file_type()))),
        Ok(_) => Ok(()),
        Err(source) if source.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::new("read", path, source)),
    }
}

/// What lies there instead of a file.
fn name_of(kind: fs::FileType) -> &'static str {
    if kind.is_dir() {
        return "a folder";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            return "a pipe (FIFO)";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    "a device"
}

fn write_new(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut file = open_anywhere(path, OpenOptions::new().write(true).create_new(true))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(|source| Error::new("written", path, source))
}

#[cfg(unix)]
fn close_to_others(path: &Path, metadata: &fs::Metadata, mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|source| Error::new("closed to others", path, source))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
fn close_to_others(_path: &Path, _metadata: &fs::Metadata, _mode: u32) -> Result<(), Error> {
    Ok(()) // Folders below a Windows profile are closed to others by inheritance.
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A folder of its own, removed at the end.
    pub(crate) struct TempDir(pub(crate) PathBuf);

    impl TempDir {
        pub(crate) fn new() -> Self {
            let path = std::env::temp_dir().join(format!("agentctl-test-{}", uuid::Uuid::new_v4().simple()));
            private_dir(&path).unwrap();
            Self(path)
        }

        pub(crate) fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_written_is_read_and_nothing_is_left_beside_it() {
        let dir = TempDir::new();
        let path = dir.path("deep/er/file");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(remove(&path).unwrap());
        assert!(!remove(&path).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn others_are_kept_out() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let dir = TempDir::new();
        let path = dir.path("new/file");
        write(&path, b"x").unwrap();
        assert_eq!((mode(&path), mode(&dir.path("new"))), (0o600, 0o700));
        // What somebody opened up is closed again when it is next used.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        fs::set_permissions(dir.path("new"), fs::Permissions::from_mode(0o777)).unwrap();
        read(&path).unwrap();
        private_dir(&dir.path("new")).unwrap();
        assert_eq!((mode(&path), mode(&dir.path("new"))), (0o600, 0o700));
    }

    #[cfg(unix)]
    #[test]
    fn links_and_folders_are_refused() {
        let dir = TempDir::new();
        let (target, link) = (dir.path("target"), dir.path("link"));
        fs::write(&target, b"theirs").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(read(&link), Err(Error::Symlink(_))));
        assert!(matches!(write(&link, b"ours"), Err(Error::Symlink(_))));
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        std::os::unix::fs::symlink(dir.path("nowhere"), dir.path("dangling")).unwrap();
        assert!(matches!(write(&dir.path("dangling"), b"ours"), Err(Error::Symlink(_))));
        let socket = dir.path("s");
        let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, what) in [(&dir.0, "a folder"), (&socket, "a socket"), (&PathBuf::from("/dev/null"), "a device")] {
            let error = check(path).unwrap_err();
            assert!(error.to_string().ends_with(&format!("is not a regular file, but {what}")), "{error}");
            let mend = error.mend().unwrap();
            assert!(mend.starts_with(what) && mend.contains(&format!("move {} away", path.display())), "{mend}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_of_the_persons_own_stays_as_it_is() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let dir = TempDir::new();
        fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o755)).unwrap();
        let (target, link) = (dir.path("target"), dir.path("link"));
        put(&target, b"one").unwrap();
        assert_eq!((mode(&dir.0), mode(&target)), (0o755, 0o600));
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink("target", &link).unwrap();
        put(&link, b"two").unwrap();
        assert_eq!((mode(&target), fs::read(&target).unwrap().as_slice()), (0o644, &b"two"[..]));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        put(Path::new("/dev/null"), b"three").unwrap();
        assert!(matches!(put(&dir.path("no/such"), b"x"), Err(Error::Io { .. })));
        assert!(matches!(put(&dir.0, b"x"), Err(Error::Io { .. })));
        assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 2, "nothing is left beside it");
    }

    #[test]
    fn errors_of_the_system_are_sorted() {
        let sort = |kind: ErrorKind| Error::new("written", Path::new("/state"), kind.into());
        assert!(matches!(sort(ErrorKind::StorageFull), Error::Full(_)));
        assert!(matches!(sort(ErrorKind::ReadOnlyFilesystem), Error::Denied { .. }));
        assert!(matches!(sort(ErrorKind::PermissionDenied), Error::Denied { .. }));
        assert!(matches!(sort(ErrorKind::NotFound), Error::Io { .. }));
        assert!(sort(ErrorKind::PermissionDenied).to_string().starts_with("/state may not be written: "));
    }
}
