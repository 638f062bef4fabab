//! What lasts: the journal with its leases, and the audit log.

use std::{path::PathBuf, rc::Rc, time::Duration};

use super::{App, once};
use crate::{
    call::RunId,
    cli::failure::{self, Failure, Kind},
    store::{
        audit::Audit,
        journal::{About, Journal},
        lock::GrantLock,
        seal::DataKey,
    },
};

/// How often a run that another process holds is tried again, and how long between two tries.
pub(crate) const TRIES: u32 = 20;
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

impl App {
    /// What lasts of runs, approvals and executions.
    pub(crate) fn journal(&self) -> Result<Rc<Journal>, Failure> {
        let journal = once(&self.journal, || {
            let journal = Journal::open(&self.config()?.dirs.state)?;
            #[cfg(feature = "test-clock")]
            let journal = journal.dying_at(self.env.get("AGENTCTL_TEST_DIE_AT"));
            Ok(Rc::new(journal))
        })?;
        if let Some((key, true)) = self.known_key()
            && journal.unlock(key)?
        {
            #[cfg(feature = "test-clock")]
            self.env.get("AGENTCTL_TEST_JOURNAL").map_or(Ok(()), |sql| journal.change(sql))?;
        }
        Ok(Rc::clone(journal))
    }

    /// The same when what it says is about to be believed.
    ///
    /// # Errors
    /// If something of the run was not written with the journal's key, other than that an approval was given up, or the
    /// credential store cannot be asked for it. Where nobody has logged in there is none: whoever finds one later does not
    /// go on.
    pub(crate) async fn proven(&self, run: &RunId) -> Result<Rc<Journal>, Failure> {
        let store = self.store()?;
        self.patiently(async { Ok(store.existing_data_key().await?) }).await?;
        let journal = self.journal()?;
        match journal.is_unlocked() {
            true => journal.prove_but_given_up(About::Run(run)).map_err(|error| Failure::unproven(error, run))?,
            false => journal.take_unproven(),
        }
        Ok(journal)
    }

    /// The hold on a run: as long as it lives, no other process goes on with that run. The system releases it when its
    /// holder ends, however it ends.
    pub(crate) fn lease(&self, run: &RunId) -> Result<GrantLock, Failure> {
        self.try_lease(run)?.ok_or_else(|| {
            Failure::new(Kind::Failed, format!("another agentctl process is at work on {run}"))
                .hint("wait until it ends, or end it; then run this again")
        })
    }

    /// The same; none if another process has it.
    pub(crate) fn try_lease(&self, run: &RunId) -> Result<Option<GrantLock>, Failure> {
        GrantLock::try_take(&self.lease_file(run)?).map_err(|error| {
            Failure::caused(Kind::Failed, &format!("hold the run {run}"), &error).hint(failure::NOWHERE_TO_WRITE)
        })
    }

    /// The same; none if another process has it longer than a moment.
    pub(crate) async fn lease_soon(&self, run: &RunId) -> Result<Option<GrantLock>, Failure> {
        for _ in 1..TRIES {
            if let Some(lease) = self.try_lease(run)? {
                return Ok(Some(lease));
            }
            self.clock.sleep(PAUSE).await;
        }
        self.try_lease(run)
    }

    /// Whether another process works on this run.
    pub(crate) fn is_held(&self, run: Option<&RunId>) -> Result<bool, Failure> {
        let Some(run) = run else { return Ok(false) };
        GrantLock::is_taken(&self.lease_file(run)?).map_err(|error| {
            Failure::caused(Kind::Failed, &format!("look whether another process holds {run}"), &error)
        })
    }

    /// Where the hold on a run lies.
    pub(crate) fn lease_file(&self, run: &RunId) -> Result<PathBuf, Failure> {
        // An id that a person typed is no path.
        let name: String = run.as_str().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        Ok(self.config()?.dirs.state.join("leases").join(format!("{name}.lock")))
    }

    /// The log.
    pub(crate) fn audit(&self) -> Result<Audit, Failure> {
        let audit = Audit::open(&self.config()?.dirs.state).troubling(Rc::clone(&self.log_trouble));
        // What is written without the key is nobody's for ever. Nobody is asked for it here.
        if let Some((key, lasts)) = self.known_key() {
            audit.unlock(key, lasts);
        }
        #[cfg(feature = "test-clock")]
        let audit = match self.env.get("AGENTCTL_TEST_LOG_SIZE").and_then(|size| size.parse().ok()) {
            Some(bytes) => audit.with_file_size(bytes),
            None => audit,
        };
        Ok(audit)
    }

    /// The key that both are made with, if this process has used it already, and whether others will have it.
    fn known_key(&self) -> Option<(&DataKey, bool)> {
        let store = self.store.get()?;
        Some((store.known_data_key()?, store.lasts()))
    }

    /// The key of the log and the journal, if the credential store has one and can be used; what is opened from then on has
    /// it. Without it everything else still works.
    pub(crate) async fn log_key(&self) -> Result<Option<&DataKey>, Failure> {
        let store = self.store()?;
        let found = self.patiently(async { Ok(store.existing_data_key().await) }).await?;
        Ok(found.unwrap_or_else(|error| {
            self.ui.warn(&format!("the credential store cannot be used: {}", failure::chain(&error)));
            None
        }))
    }
}
