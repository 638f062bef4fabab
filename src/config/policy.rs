//! The policy files: the person's beside `config.toml`, and the administrator's, which nothing the person sets can move.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{Dirs, Error};
use crate::files;

/// Where the administrator's policy lies, whatever `AGENTCTL_HOME` says.
#[cfg(target_os = "macos")]
const ADMIN: &str = "/Library/Application Support/agentctl/policy.toml";
#[cfg(windows)]
const ADMIN: &str = r"C:\ProgramData\agentctl\policy.toml";
#[cfg(not(any(target_os = "macos", windows)))]
const ADMIN: &str = "/etc/agentctl/policy.toml";

/// A policy file as it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyText {
    /// Whether it is the administrator's.
    pub admin: bool,
    /// Where.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// The policy files that are there, the administrator's first.
///
/// # Errors
/// If one is there and cannot be read, or could have been written by somebody else. Then nothing may go on as if there were
/// none.
pub fn policies(dirs: &Dirs) -> Result<Vec<PolicyText>, Error> {
    let mut found = Vec::new();
    let (admin, user) = (Path::new(ADMIN), dirs.config.join("policy.toml"));
    if let Some(text) = read(admin)? {
        only_root_writes(admin)?;
        found.push(PolicyText { admin: true, path: admin.to_owned(), text });
    }
    // Also if there is none: who may write to the folder could have taken it away.
    files::only_mine(&user)?;
    if let Some(text) = read(&user)? {
        found.push(PolicyText { admin: false, path: user, text });
    }
    Ok(found)
}

/// None only if nothing lies there: a link to nowhere is something.
fn read(path: &Path) -> Result<Option<String>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Ok(_) => std::fs::read_to_string(path).map(Some).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed(source)),
    }
}

/// The file and its folder belong to root, and nobody else may write to them.
#[cfg(unix)]
fn only_root_writes(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt as _;
    for place in std::iter::once(path).chain(path.parent()) {
        let metadata =
            std::fs::symlink_metadata(place).map_err(|source| Error::Read { path: place.to_owned(), source })?;
        let why = if metadata.file_type().is_symlink() {
            "is a symbolic link"
        } else if metadata.uid() != 0 {
            "does not belong to root"
        } else if metadata.mode() & 0o022 != 0 {
            "can be written to by others than root"
        } else {
            continue;
        };
        return Err(Error::AdminPolicy { path: place.to_owned(), why });
    }
    Ok(())
}

/// Only administrators may write there unless one of them changed that.
#[cfg(not(unix))]
fn only_root_writes(_: &Path) -> Result<(), Error> {
    Ok(())
}
