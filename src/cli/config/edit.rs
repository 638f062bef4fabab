//! `agentctl config edit`: the whole file in the person's own editor.

use std::{path::Path, process::Command};

use super::{
    ask,
    file::{ConfigFile, read},
};
use crate::{
    cli::{
        app::App,
        failure::{Failure, Kind},
        ui::Line,
    },
    config::VARIABLES,
    files,
};

/// Does it, on a copy: what cannot be read never takes the place of the file.
pub(super) async fn run(app: &App) -> Result<(), Failure> {
    if !app.ui.can_ask() {
        return Err(Failure::new(Kind::Usage, "an editor needs a person at a terminal")
            .hint("`agentctl config set KEY VALUE` changes one setting"));
    }
    let file = ConfigFile::hold(app).await?;
    if !file.path.exists() {
        return Err(Failure::new(Kind::Usage, format!("there is no {}", file.path.display()))
            .hint("`agentctl config init` makes one"));
    }
    let copy = file.path.with_extension("edit.toml");
    if copy.exists() {
        app.ui.status(Line::new().plain("Going on with ").bold(&copy.display().to_string()));
    } else {
        super::file::write(app, &copy, &file.text)?;
    }
    // A ^C is the editor's.
    let mut stop = app.stop(None)?;
    loop {
        open(app, &copy)?;
        let text = read(&copy)?.unwrap_or_default();
        if text == file.text {
            files::remove(&copy)?;
            app.ui.status("Nothing was changed");
            return Ok(());
        }
        let Err(failure) = app.config_of(&text, None, None) else {
            file.replace(app, &text)?;
            files::remove(&copy)?;
            app.ui.status(Line::new().good("✓ ").plain("Wrote ").bold(&file.path.display().to_string()));
            return Ok(());
        };
        app.ui.failure(&failure);
        let answer = stop.or(ask(app, "Edit again? [Y/n]")).await;
        if !answer.is_ok_and(|answer| matches!(answer.as_str(), "" | "y" | "yes")) {
            let message = format!("nothing was changed; what you wrote is in {}", copy.display());
            return Err(Failure::new(Kind::Usage, message).hint("`agentctl config edit` goes on with it"));
        }
    }
}

/// Opens the editor and waits for it. It gets none of our variables, which may hold secrets.
fn open(app: &App, copy: &Path) -> Result<(), Failure> {
    let usual = if cfg!(windows) { "notepad" } else { "vi" };
    let editor = app.env.get("VISUAL").or_else(|| app.env.get("EDITOR")).unwrap_or(usual);
    let mut words = editor.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or(usual));
    command.args(words).arg(copy);
    let keys = app.config().map(|config| config.key_vars.as_slice()).unwrap_or_default();
    for name in VARIABLES.iter().map(|(name, _)| *name).chain(keys.iter().map(String::as_str)) {
        command.env_remove(name);
    }
    let hint = "set VISUAL or EDITOR to an editor that waits until you close the file";
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(Kind::Failed, format!("{editor} ended with {status}; nothing was changed"))
            .hint(format!("what you wrote is in {}", copy.display()))),
        Err(error) => Err(Failure::caused(Kind::Usage, &format!("start {editor}"), &error).hint(hint)),
    }
}
