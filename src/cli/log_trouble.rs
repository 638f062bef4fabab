//! What a person must be told of the audit log when a command ends.

use super::app::App;

impl App {
    /// Says what went wrong with the log, where a command ends.
    pub(crate) fn tell_log_trouble(&self) {
        let Ok(config) = self.config() else { return };
        let files = format!("the audit* files in {}", config.dirs.state.display());
        if let Some(log) = self.log_trouble.missing() {
            self.ui.warn(&format!("the audit log {log}, which was here before, is gone; another one is in its place"));
            self.ui.hint(&format!(
                "put {files} back as they were; if the old ones are lost, move the new ones away together"
            ));
        }
        if let Some(why) = self.log_trouble.unsealed() {
            self.ui.warn(&format!("what this command wrote into the audit log is not sealed: {why}"));
            self.ui.hint("`agentctl audit verify` says more; until then leave the files as they are");
            self.ui.hint(&format!(
                "if the key of the log is lost for good, move {files} away together: a new log begins, and \
                 `audit verify --chain-only` still checks the old one"
            ));
        }
    }
}
