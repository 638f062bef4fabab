//! The person's word about a `.env` in the working directory.

use std::path::Path;

use super::App;
use crate::{
    cli::{
        failure::{Failure, Kind},
        ui::Line,
    },
    config::{self, Config, DotEnv},
};

impl App {
    /// Asks the person about a `.env` that nobody has decided about yet. Without a person it stays unread. Which one is read is
    /// said, each time: it changes where things go.
    pub(crate) async fn settle(&self) -> Result<(), Failure> {
        // Not through `config`: its settings would stay as they are before the answer. Settings that cannot be read are
        // the command's to report.
        let Ok(config) = Config::load(&self.env, &self.overrides, &self.folder) else { return Ok(()) };
        let (path, hash, names) = match &config.dotenv {
            DotEnv::Untrusted { path, hash, names } => (path, hash, names),
            DotEnv::Trusted { path } => {
                self.say_what_is_read(path);
                return Ok(());
            }
            DotEnv::None | DotEnv::Declined { .. } => return Ok(()),
        };
        let shown = path.display().to_string();
        if !self.ui.can_ask() {
            self.ui.warn(&format!("{shown} is not read: nobody has trusted it"));
            self.ui.hint("`--env-file .env` reads it for this once; at a terminal you are asked");
            return Ok(());
        }
        self.ui.say(Line::new().bold(&shown).plain(" would set:"));
        for name in names {
            self.ui.say(Line::new().plain("    ").field(name));
        }
        self.ui.say("It could send your login, your messages or your orders elsewhere.");
        let question = Line::new().plain("Type trust to read it from now on; anything else leaves it unread:");
        let answer = self.lines.ask(&self.ui, &*self.clock, question).await;
        let answer = answer.map_err(|error| Failure::caused(Kind::Failed, "read your answer", &error))?;
        // The end of the input is no answer, so the question comes again next time.
        let Some(answer) = answer else { return Ok(()) };
        let trusted = answer.trim() == "trust";
        config::remember(&config.dirs, path, hash, trusted)?;
        if trusted {
            self.say_what_is_read(path);
        }
        Ok(())
    }

    fn say_what_is_read(&self, path: &Path) {
        self.ui.status(Line::new().plain("Settings are also read from ").field(&path.display().to_string()));
    }
}
