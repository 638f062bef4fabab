//! Where things lie.

use std::path::{Path, PathBuf};

use directories::{BaseDirs, ProjectDirs};

use super::Error;

/// The folders of one person. None of them is made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dirs {
    /// `config.toml` and `toolsets/`.
    pub config: PathBuf,
    /// Journal, audit log, sealed tokens.
    pub state: PathBuf,
    /// The sealed credential file.
    pub data: PathBuf,
    /// What can be had again.
    pub cache: PathBuf,
    /// Locks of what all processes of this person share: the same whatever `AGENTCTL_HOME` says.
    pub locks: PathBuf,
    /// Locks of the keyring, and the mark of `agentctl panic` for whoever uses it: the same whatever `AGENTCTL_HOME` and
    /// `XDG_STATE_HOME` say, as the keyring is.
    pub keyring: PathBuf,
}

impl Dirs {
    /// The platform's folders, or those under `home`.
    ///
    /// # Errors
    /// If the person has no home folder and none is given.
    pub fn find(home: Option<&Path>) -> Result<Self, Error> {
        let project = ProjectDirs::from("", "", "agentctl");
        // Only Linux has a folder for state.
        let state = |project: &ProjectDirs| project.state_dir().unwrap_or(project.data_local_dir()).to_owned();
        let locks = |state: &Path| state.join("locks");
        let keyring = BaseDirs::new()
            .filter(|_| project.as_ref().is_some_and(|project| project.state_dir().is_some()))
            .map(|base| base.home_dir().join(".local/state/agentctl/locks"));
        match (home, project) {
            (Some(home), project) => {
                let home = std::path::absolute(home).map_err(|source| Error::Read { path: home.to_owned(), source })?;
                let locks = locks(&project.as_ref().map_or_else(|| home.join("state"), state));
                Ok(Self {
                    config: home.clone(),
                    state: home.join("state"),
                    data: home.join("data"),
                    cache: home.join("cache"),
                    keyring: keyring.unwrap_or_else(|| locks.clone()),
                    locks,
                })
            }
            (None, Some(project)) => Ok(Self {
                config: project.config_dir().to_owned(),
                data: project.data_local_dir().to_owned(),
                cache: project.cache_dir().to_owned(),
                locks: locks(&state(&project)),
                keyring: keyring.unwrap_or_else(|| locks(&state(&project))),
                state: state(&project),
            }),
            (None, None) => Err(Error::NoHome),
        }
    }
}

/// The file that a person means by this name: `~/` at its beginning is the home folder, as shells have it.
#[must_use]
pub fn expanded(name: &str) -> PathBuf {
    match (name.strip_prefix("~/"), BaseDirs::new()) {
        (Some(rest), Some(base)) => base.home_dir().join(rest),
        _ => PathBuf::from(name),
    }
}
