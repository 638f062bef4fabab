//! `config.toml` as a text that is read, changed and put back.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    cli::{
        app::App,
        failure::{Failure, Kind},
    },
    config::{ChangeError, Document, Key},
    files,
    store::lock::GrantLock,
};

/// How long another process may take to change the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// The file, and the hold on it: no other `agentctl` changes it meanwhile.
pub(crate) struct ConfigFile {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// What stands in it; nothing if it is not there.
    pub(crate) text: String,
    _held: GrantLock,
}

impl ConfigFile {
    /// Reads it.
    pub(crate) async fn hold(app: &App) -> Result<Self, Failure> {
        let lock = app.dirs()?.locks.join("config.lock");
        let held = GrantLock::take(&lock, &*app.clock, PATIENCE).await;
        let held = held.map_err(|error| Failure::caused(Kind::Failed, "hold the configuration", &error))?;
        let path = app.config_file()?;
        let text = read(&path)?.unwrap_or_default();
        Ok(Self { path, text, _held: held })
    }

    /// Its text, ready to be changed.
    pub(crate) fn document(&self) -> Result<Document, Failure> {
        Document::read(&self.text).map_err(refused)
    }

    /// Puts another text in its place.
    pub(crate) fn replace(&self, app: &App, text: &str) -> Result<(), Failure> {
        write(app, &self.path, text)
    }
}

/// The text of the file, if it is there.
pub(crate) fn read(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::caused(Kind::Usage, &format!("read {}", path.display()), &error)),
    }
}

/// Writes the file: the person's own folder stays as it is, and a link stays a link.
pub(super) fn write(app: &App, path: &Path, text: &str) -> Result<(), Failure> {
    let ours = app.dirs()?.config;
    let theirs = path.parent().is_some_and(|folder| folder.is_dir() && (folder != ours || folder.is_symlink()));
    match theirs || path.is_symlink() {
        true => files::put(path, text.as_bytes())?,
        false => files::write(path, text.as_bytes())?,
    }
    Ok(())
}

/// The profile that a change is for.
pub(super) fn profile(app: &App, document: &Document) -> String {
    app.asked_profile().or_else(|| document.default_profile()).unwrap_or("default").to_owned()
}

/// Checks a text as if it were the file. A value that a variable of the environment hides is looked at, too.
pub(super) fn check(app: &App, text: &str, profile: &str, keys: &[Key]) -> Result<(), Failure> {
    let kept = |failure: Failure| failure.hint("nothing was changed");
    let rows = app.config_of(text, Some(profile), None).map_err(kept)?.rows();
    for key in keys {
        let row = rows.iter().find(|(name, ..)| name == key.name());
        let Some(variable) = row.and_then(|(_, _, source)| source.strip_prefix("environment ")) else { continue };
        app.config_of(text, Some(profile), Some(variable)).map_err(kept)?;
        app.ui.warn(&format!("{variable} is set in the environment, and wins"));
    }
    Ok(())
}

/// What guards the person against an agent is not for an agent to change.
pub(super) fn by_a_person(app: &App, key: &Key) -> Result<(), Failure> {
    match app.calling_agent() {
        Some(agent) if key.guards() => {
            let message = format!("{agent} runs this, and {} says what an agent may do", key.name());
            Err(Failure::new(Kind::NotPermitted, message).hint("you can change it yourself, in a terminal of your own"))
        }
        _ => Ok(()),
    }
}

/// Why a setting is not changed.
pub(crate) fn refused(error: ChangeError) -> Failure {
    let failure = Failure::new(Kind::Usage, error.to_string());
    match error {
        ChangeError::Unknown { nearest: Some(near), .. } => failure.hint(format!("did you mean {near}?")),
        ChangeError::Unknown { .. } => {
            failure.hint("`agentctl config show` lists what is set, docs/configuration.md what can be")
        }
        ChangeError::Secret { instead, .. } => failure.hint(instead),
        ChangeError::Syntax(_) | ChangeError::NotATable(_) => failure.hint("`agentctl config edit` opens the file"),
        ChangeError::Kind { .. } => failure,
    }
}
