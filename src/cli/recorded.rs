//! What a command does outside any run, in the audit log: a request before it, a response after it, a seal behind both.

use serde_json::{Value, json};

use super::{app::App, failure::Failure};
use crate::{
    call::{ActionId, Outcome},
    session::Account,
    store::{audit::Audit, stop::Stop},
};

/// One act that is written down and has no end yet. Dropped without one, its outcome is unknown.
#[derive(Debug)]
pub(crate) struct Recorded<'a> {
    app: &'a App,
    audit: Audit,
    stop: Stop,
    action: ActionId,
    open: bool,
}

impl<'a> Recorded<'a> {
    /// Writes down what is about to be done.
    ///
    /// # Errors
    /// If everything was stopped, or it cannot be written. Then it must not be done.
    pub(crate) async fn begin(
        app: &'a App,
        account: &Account,
        command: &str,
        arguments: Value,
    ) -> Result<Self, Failure> {
        let config = app.config()?;
        let stop = app.mark()?.clone();
        stop.check()?;
        let (audit, store) = (app.audit()?, app.store()?);
        audit.unlock(app.patiently(async { Ok(store.data_key().await?) }).await?, store.lasts());
        let action = ActionId::mint();
        let actor = json!({ "iss": account.iss, "sub": account.sub, "profile": config.profile.value });
        let request = json!({ "tool": command, "actor": actor, "arguments": arguments });
        audit.request(&action, app.clock.now(), request)?;
        Ok(Self { app, audit, stop, action, open: true })
    }

    /// Whether it may still be done: to be asked right before whatever cannot be taken back.
    ///
    /// # Errors
    /// If everything was stopped meanwhile.
    pub(crate) fn may_go_on(&self) -> Result<(), Failure> {
        Ok(self.stop.check()?)
    }

    /// Writes down how it ended.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn end(mut self, outcome: Value) -> Result<(), Failure> {
        self.open = false;
        Ok(self.audit.response(&self.action, self.app.clock.now(), outcome)?)
    }
}

impl Drop for Recorded<'_> {
    /// As a run does at its end: what was written is sealed.
    fn drop(&mut self) {
        let now = self.app.clock.now();
        if self.open {
            let body =
                json!({ "outcome": Outcome::Unknown.word(), "message": "it was interrupted, and may have happened" });
            self.audit.trouble().note(self.audit.response(&self.action, now, body));
        }
        self.audit.seal_at_end(now);
    }
}
