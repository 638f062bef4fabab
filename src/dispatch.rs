//! The only road from a [`ToolCall`] to a [`ToolOutput`]: plan, write down, decide, write down, do, write down.
//!
//! Every door (chat, one-shot, `tools call`) enters here. A refusal is an output for the model. Only what makes it
//! impossible to go on honestly, a journal or a log that cannot be written, is an error.

mod entry;
mod kept;
mod over;
mod resume;

pub use over::{
    end_given_up, end_of, forget, given_up, given_up_and_open, given_up_unasked, has_unended, left, may_have_happened,
    not_begun, stopped, unasked,
};

use std::{cell::Cell, rc::Rc, sync::Arc};

use serde_json::Value;

use self::entry::Entry;

use crate::{
    approval,
    call::{ActionId, Outcome, RunId, ToolCall, ToolOutput},
    clock::SharedClock,
    escape,
    event::{Event, Tell},
    guard::{Decision, Forecast, Guard, Record},
    http::Http,
    policy::Action,
    store::{
        audit::{self, Audit},
        credentials::{self, Store},
        journal::{self, ApprovalRow, ApprovalState, Execution, ExecutionEnd, Journal},
        seal,
    },
    tool::{Plan, PlanError, Registry, Tool},
};

/// What stops a call, and the run with it: nothing may be done that could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The audit log.
    #[error("the audit log cannot be written, so nothing was done: {0}")]
    Audit(#[from] audit::Error),
    /// The key of the audit log.
    #[error("the key of the audit log cannot be had, so nothing was done: {0}")]
    Key(#[from] credentials::Error),
    /// A sensitive value, which does not go on the disk in clear.
    #[error("a sensitive value cannot be sealed, so nothing was done: {0}")]
    Seal(#[from] seal::Error),
    /// The journal.
    #[error("the journal cannot be written, so nothing was done: {0}")]
    Journal(#[from] journal::Error),
    /// The journal, seen by the approval.
    #[error("the journal cannot be written, so nothing was done: {0}")]
    Approval(#[from] approval::Error),
    /// Either of them, when the request had been sent already.
    #[error("`{tool}` ended as {outcome:?}, but that could not be written down: {why}")]
    Afterwards {
        /// Which tool.
        tool: String,
        /// How it ended.
        outcome: &'static str,
        /// Why it was not written down.
        why: String,
    },
}

impl Error {
    /// What was wrong, without what it meant for a call: where none was to be made.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::Audit(error) => error.to_string(),
            Self::Key(error) => error.to_string(),
            Self::Seal(error) => error.to_string(),
            Self::Journal(error) => error.to_string(),
            Self::Approval(error) => error.to_string(),
            Self::Afterwards { why, .. } => why.clone(),
        }
    }

    /// The same error, met when the call was over.
    fn afterwards(self, tool: &str, outcome: Outcome) -> Self {
        Self::Afterwards { tool: tool.to_owned(), outcome: outcome.word(), why: self.cause() }
    }
}

/// Why a call did not even become a plan.
#[derive(Debug, thiserror::Error)]
pub enum Unplanned {
    /// There is no such tool.
    #[error("there is no tool `{}`", short(.0))]
    NoTool(String),
    /// The arguments are not what it takes.
    #[error(transparent)]
    Arguments(#[from] PlanError),
}

/// Who acts, for the log.
#[derive(Clone, Debug, Default)]
pub struct Actor {
    /// The issuer.
    pub iss: Option<String>,
    /// The person.
    pub sub: Option<String>,
    /// The client that asks for approvals.
    pub client: Option<String>,
    /// The profile.
    pub profile: String,
}

/// Everything a call needs on its way.
#[derive(Debug)]
pub struct Dispatcher {
    /// The tools.
    pub registry: Registry,
    /// The yes or no.
    pub guard: Guard,
    /// The log.
    pub audit: Audit,
    /// Whose data key the log's keys are derived from.
    pub store: Arc<Store>,
    /// What lasts.
    pub journal: Rc<Journal>,
    /// For the effect.
    pub http: Http,
    /// The time.
    pub clock: SharedClock,
    /// Who acts.
    pub actor: Actor,
}

impl Dispatcher {
    /// Takes one call all the way. The output is that of the action it was planned as; a call that was not understood was
    /// planned as none.
    ///
    /// # Errors
    /// If the log or the journal cannot be written.
    pub async fn call(
        &self,
        call: &ToolCall,
        run: &RunId,
        tell: Tell<'_>,
    ) -> Result<(Option<ActionId>, ToolOutput), Error> {
        let refused = |why: String| Ok((None, not_understood(&call.name, why, tell)));
        let Some(tool) = self.registry.get(&call.name) else {
            return refused(Unplanned::NoTool(call.name.clone()).to_string());
        };
        let plan = match tool.plan(&call.arguments) {
            Ok(plan) => plan,
            Err(error) => return refused(error.to_string()),
        };
        let action = &plan.action;
        tell(planned(action));
        self.journal.open_call(&self.kept_call(call, &plan, run).await?)?;
        self.unlock_log().await?;
        let (id, entry) = (action.id.clone(), Entry::open(self, action, run, tell)?);
        Ok((Some(id), self.decide_and_do(tool, plan, entry, run, tell).await?))
    }

    /// From the decision to the end.
    async fn decide_and_do(
        &self,
        tool: &Tool,
        plan: Plan,
        entry: Entry<'_>,
        run: &RunId,
        tell: Tell<'_>,
    ) -> Result<ToolOutput, Error> {
        let action = &plan.action;
        if action.effect != "read" && self.journal.unclear_in_run(run, &action.tool, &self.kept_digest(action)?)? {
            let reason = "this very call was sent before in this run, and whether it happened is not known: it is neither \
                          approved nor sent again; the user should look whether it happened";
            return entry.close(ToolOutput::refused(Outcome::Cancelled, reason), None, &Record::default());
        }
        if let Err(error) = self.guard.approvals.asked_once(action, run).await {
            return entry.close(ToolOutput::refused(error.outcome(), error.to_string()), None, &Record::default());
        }
        let decision = self.guard.authorize(action, Some(run), tell).await;
        self.follow(decision, tool, plan, entry, Progress::Fresh).await
    }

    /// Does what was decided.
    async fn follow(
        &self,
        decision: Decision,
        tool: &Tool,
        plan: Plan,
        entry: Entry<'_>,
        progress: Progress,
    ) -> Result<ToolOutput, Error> {
        let (permit, record) = match decision {
            Decision::Permit { permit, record } => (permit, record),
            Decision::Denial { outcome: Outcome::Pending, reason, .. } => return Ok(entry.leave(&reason)),
            Decision::Denial { outcome, reason, record } => {
                let output = match progress {
                    // What could only not be looked at now can be looked at later.
                    Progress::Begun if may_pass(outcome) => {
                        let why = not_again_yet(&entry, &reason);
                        return Ok(entry.leave(&why));
                    }
                    Progress::Begun => self.unknown(&entry, &reason)?,
                    Progress::Asked if may_pass(outcome) && self.is_open(&entry.action)? => {
                        return Ok(entry.leave(&reason));
                    }
                    Progress::Asked => {
                        self.give_up(&entry.action)?;
                        ToolOutput::refused(outcome, reason)
                    }
                    // A journal that cannot be written to in the middle of a wait ends the wait, and not the approval.
                    Progress::Fresh if may_pass(outcome) && self.is_open(&entry.action)? => {
                        return Ok(entry.leave(&reason));
                    }
                    Progress::Fresh => ToolOutput::refused(outcome, reason),
                };
                return entry.close(output, None, &record);
            }
        };
        let action = plan.action.clone();
        let has_effect = action.effect != "read";
        let (digest, key) = (self.kept_digest(&action)?, self.kept_idempotency_key(&plan)?);
        // What a crash cut is found executing. Else it must be approved still: another process may have abandoned it.
        let cut = progress != Progress::Fresh && self.state_of(&action.id)? == Some(ApprovalState::Executing);
        let begun = match &record.approval {
            // In one step, so that what is found executing was not sent only if it was not begun.
            approval if has_effect && progress != Progress::Begun => {
                let execution = Execution { action: &action.id, run: &entry.run, tool: &action.tool, digest: &digest };
                let key = key.as_deref().unwrap_or_default();
                let approval = approval.as_ref().map(|evidence| &evidence.approval);
                self.journal.begin_execution(approval, execution, key, self.clock.now())
            }
            // A read changes nothing, so there is nothing to repeat or to recover.
            Some(evidence) if !cut => self.guard.approvals.executing(&evidence.approval),
            _ => Ok(()),
        };
        match begun {
            Ok(()) => {}
            Err(journal::Error::Stale { .. }) => {
                let output = ToolOutput::refused(Outcome::NotPermitted, "the approval was given up meanwhile");
                return entry.close(output, None, &record);
            }
            Err(error) => return Err(error.into()),
        }
        entry.doing.replace(Some(record));
        let (sent, unwritten) = (Cell::new(!has_effect), Cell::new(None));
        let may = async || {
            self.guard.last_look(has_effect).await?;
            if sent.get() {
                return Ok(());
            }
            sent.set(true);
            if let Err(error) = entry.send(&digest, key.as_deref()) {
                let why = error.to_string();
                unwritten.set(Some(error));
                return Err(why);
            }
            // It may have waited for the log.
            self.guard.last_look(has_effect).await
        };
        let mut executed = plan.execute(permit, tool, &self.http, &*self.clock, may).await;
        let record = entry.doing.take().unwrap_or_default();
        if let Some(error) = unwritten.take() {
            return self.not_sent(entry, progress, &record, error);
        }
        if progress == Progress::Begun && executed.may_pass() {
            let why = not_again_yet(&entry, &executed.output.message);
            return Ok(entry.leave(&why));
        }
        if progress == Progress::Begun && executed.output.outcome != Outcome::Done {
            let message =
                format!("{}, so it may have happened; then: {}", entry.sent_before(), executed.output.message);
            executed.output = ToolOutput { outcome: Outcome::Unknown, message, ..executed.output };
        }
        // It is over, whatever can still be written down: each place is tried, and the person is told.
        let outcome = executed.output.outcome;
        let ended =
            if has_effect { self.end_execution(&entry.action, &executed.output, executed.http_status) } else { Ok(()) };
        let approved = self.guard.executed(&record, outcome);
        let closed = entry.close(executed.output, executed.http_status, &record);
        ended
            .map_err(Error::from)
            .and(approved.map_err(Error::from))
            .and(closed)
            .map_err(|error| error.afterwards(&action.tool, outcome))
    }

    /// What could not be written down was not sent. What may have been sent before is left to whoever can write.
    fn not_sent(
        &self,
        entry: Entry<'_>,
        progress: Progress,
        record: &Record,
        error: audit::Error,
    ) -> Result<ToolOutput, Error> {
        if progress != Progress::Begun {
            let why = match error {
                audit::Error::NoRequest(_) => "the audit log does not hold its request any more, so nothing was done",
                _ => "the audit log could not be written before it was sent, so nothing was done",
            };
            let output = ToolOutput::refused(Outcome::Failed, why);
            self.end_execution(&entry.action, &output, None)?;
            self.guard.executed(record, output.outcome)?;
            // The log said no already.
            let _ = entry.close(output, None, record);
        }
        Err(error.into())
    }

    /// The approval of an action. One that somebody has changed is none: a call ends in the log all the same.
    fn approval_of(&self, action: &ActionId) -> Result<Option<ApprovalRow>, journal::Error> {
        match self.journal.approval_of(action) {
            Err(journal::Error::Unproven { .. }) => Ok(None),
            row => row,
        }
    }

    fn state_of(&self, action: &ActionId) -> Result<Option<ApprovalState>, journal::Error> {
        Ok(self.approval_of(action)?.map(|row| row.state))
    }

    fn is_open(&self, action: &ActionId) -> Result<bool, journal::Error> {
        Ok(self.state_of(action)?.is_some_and(|state| !state.is_final()))
    }

    /// Nothing will come of an action's approval.
    fn give_up(&self, action: &ActionId) -> Result<(), Error> {
        let Some(row) = self.approval_of(action)?.filter(|row| !row.state.is_final()) else { return Ok(()) };
        if row.state == ApprovalState::Executing {
            self.guard.approvals.executed(&row.asked.id, Outcome::Failed)?;
        } else {
            self.guard.approvals.abandon(&row.asked.id);
        }
        Ok(())
    }

    fn end_execution(
        &self,
        action: &ActionId,
        output: &ToolOutput,
        http_status: Option<u16>,
    ) -> Result<(), journal::Error> {
        let text = serde_json::to_string(output).unwrap_or_default();
        let end = ExecutionEnd { outcome: output.outcome.word(), http_status, output: &text };
        self.journal.end_execution(action, self.clock.now(), end)
    }

    /// What would become of a call, without doing any of it: the plan, and what the guard would decide about it.
    ///
    /// # Errors
    /// If there is no such tool, or the arguments are not what it takes.
    pub async fn foresee(&self, call: &ToolCall, run: Option<&RunId>) -> Result<(Plan, Forecast), Unplanned> {
        let tool = self.registry.get(&call.name).ok_or_else(|| Unplanned::NoTool(call.name.clone()))?;
        let plan = tool.plan(&call.arguments)?;
        let forecast = self.guard.foresee(&plan.action, run).await;
        Ok((plan, forecast))
    }

    /// Opens the log and the journal with their key.
    pub(crate) async fn unlock_log(&self) -> Result<(), Error> {
        if !self.audit.is_unlocked() {
            let key = self.store.data_key().await?;
            self.audit.unlock(key, self.store.lasts());
            // A key that does not last proves nothing to others, so the journal has none then.
            if self.store.lasts() {
                self.journal.unlock(key)?;
            }
        }
        Ok(())
    }

    /// The tools that are offered.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.registry.tools()
    }
}

impl Drop for Dispatcher {
    /// However a run ends, what it wrote is sealed.
    fn drop(&mut self) {
        self.audit.seal_at_end(self.clock.now());
    }
}

/// How far a call had come when this process met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing was written about its execution.
    Fresh,
    /// Its approval stands in the journal, and nothing was sent.
    Asked,
    /// It may have been sent.
    Begun,
}

/// Whether a refusal may be over another time: nothing was decided, only not found out.
fn may_pass(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failed | Outcome::LoginNeeded)
}

fn not_again_yet(entry: &Entry<'_>, why: &str) -> String {
    let before = entry.sent_before();
    format!("{before}, so it may have happened; sending it again under the same key did not work yet: {why}")
}

fn planned(action: &Action) -> Event {
    Event::ToolPlanned {
        action: action.id.clone(),
        tool: action.tool.clone(),
        effect: action.effect.to_owned(),
        arguments: Value::Object(action.arguments.clone()),
    }
}

/// A name that may be no tool's, as it is told.
fn short(name: &str) -> String {
    escape::shortened(name, 80).into_owned()
}

/// The output of a call that did not become a plan, told as its end. The model may have made name and arguments as long as
/// it likes.
pub fn not_understood(tool: &str, message: String, tell: Tell<'_>) -> ToolOutput {
    let output = ToolOutput::refused(Outcome::Invalid, escape::shortened(&message, 400));
    tell(Event::ToolCompleted {
        action: None,
        tool: short(tool),
        outcome: output.outcome,
        message: output.message.clone(),
        data: None,
    });
    output
}
