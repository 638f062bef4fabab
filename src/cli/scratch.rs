//! A folder that nobody else can read and that goes with the command that made it.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::failure::{Failure, Kind};
use crate::files;

/// A temporary folder; it is removed with everything in it when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one whose name begins with `name`.
    pub(crate) fn new(name: &str) -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("{name}-{}", Uuid::new_v4().simple()));
        files::private_dir(&path).map_err(|error| Failure::caused(Kind::Failed, "make a temporary folder", &error))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A passphrase for what lies in it: 244 random bits.
    pub(crate) fn secret() -> String {
        format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is the operating system's to tidy up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
