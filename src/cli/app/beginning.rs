//! What a process keeps from the moment it began: which stops there had been, and for whom it acts.

use std::time::Duration;

use super::App;
use crate::{
    cli::{failure::Failure, ui::Line, whoami},
    session::Account,
    store::stop::Stop,
};

/// Whoever is read in this time was logged in when the process began. A person who unlocks a keyring takes longer.
const EARLY: Duration = Duration::from_secs(2);

impl App {
    /// The mark of `agentctl panic`, with the stops that there had been when this was first asked for.
    pub(crate) fn mark(&self) -> Result<&Stop, Failure> {
        super::once(&self.mark, || Ok(Stop::open(self.config()?.stop_files())))
    }

    /// Does what waits for a person or a pipe, and meanwhile finds out whom this process acts for: whoever logs in later is
    /// somebody else. Nobody waits for that: neither a prompt for a file that takes computing, nor a pipe for a keyring that
    /// is locked.
    pub(crate) async fn beginning<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.mark()?;
        let early = self.clock.elapsed() + EARLY;
        let found = async {
            self.unsaid.set(Some(early));
            // The session remembers whom it saw. What cannot be found out now is told when it is needed.
            let account = async { Ok::<_, Failure>(self.session().await?.account().await?) };
            let known = matches!(account.await, Ok(Some(_))) && self.clock.elapsed() <= early;
            self.unsaid.set((!known).then_some(Duration::ZERO));
            std::future::pending().await
        };
        tokio::select! {
            biased;
            done = work => done,
            never = found => match never {},
        }
    }

    /// Says for whom this process acts, if that was not known when it began: somebody may have logged in meanwhile.
    pub(crate) fn say_for_whom(&self, account: &Account) {
        if self.unsaid.take().is_some_and(|from| self.clock.elapsed() > from) {
            self.ui.say(Line::new().plain("Acting as ").bold(&whoami::name(account)).plain("."));
        }
    }
}
