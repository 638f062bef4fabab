//! The only road from a [`ToolCall`] to a [`ToolOutput`]: plan, write down, decide, write down, do, write down.
//!
//! Every door (chat, one-shot, `tools call`) enters here. A refusal is an output for the model. Only what makes it
//! impossible to go on honestly, a journal or a log that cannot be written, is an error.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use serde_json::{Value, json};

use crate::{
    approval,
    call::{Outcome, RunId, ToolCall, ToolOutput},
    clock::SharedClock,
    event::{Event, Tell},
    guard::{Decision, Forecast, Guard, Record},
    http::Http,
    policy::Action,
    store::{
        audit::{self, Audit},
        credentials::{self, Store},
        journal::{self, Journal},
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
    /// The same error, met when the call was over.
    fn afterwards(self, tool: &str, outcome: Outcome) -> Self {
        let why = match self {
            Self::Audit(error) => error.to_string(),
            Self::Key(error) => error.to_string(),
            Self::Journal(error) => error.to_string(),
            Self::Approval(error) => error.to_string(),
            Self::Afterwards { why, .. } => why,
        };
        Self::Afterwards { tool: tool.to_owned(), outcome: outcome.word(), why }
    }
}

/// Why a call did not even become a plan.
#[derive(Debug, thiserror::Error)]
pub enum Unplanned {
    /// There is no such tool.
    #[error("there is no tool `{0}`")]
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
    /// Takes one call all the way.
    ///
    /// # Errors
    /// If the log or the journal cannot be written.
    pub async fn call(&self, call: &ToolCall, run: Option<&RunId>, tell: Tell<'_>) -> Result<ToolOutput, Error> {
        let Some(tool) = self.registry.get(&call.name) else {
            return Ok(not_understood(&call.name, Unplanned::NoTool(call.name.clone()).to_string(), tell));
        };
        let plan = match tool.plan(&call.arguments) {
            Ok(plan) => plan,
            Err(error) => return Ok(not_understood(&call.name, error.to_string(), tell)),
        };
        tell(Event::ToolPlanned {
            action: plan.action.id.clone(),
            tool: call.name.clone(),
            effect: plan.action.effect.to_owned(),
            arguments: Value::Object(plan.action.arguments.clone()),
        });
        self.unlock_log().await?;
        let entry = Entry::open(self, &plan.action, run)?;
        let action = plan.action.clone();

        let has_effect = action.effect != "read";
        let digest = action.digest.to_text();
        if let Some(run) = run
            && has_effect
            && self.journal.unclear_in_run(run, &action.tool, &digest)?
        {
            let reason = "this very call was sent before in this run, and whether it happened is not known: it is neither \
                          approved nor sent again; the user should look whether it happened";
            return entry.close(ToolOutput::refused(Outcome::Unknown, reason), None, &Record::default(), tell);
        }
        let (permit, record) = match self.guard.authorize(&action, run, tell).await {
            Decision::Permit { permit, record } => (permit, record),
            Decision::Denial { outcome, reason, record } => {
                return entry.close(ToolOutput::refused(outcome, reason), None, &record, tell);
            }
        };
        // A read changes nothing, so there is nothing to repeat or to recover: the log has it, the journal does not need it.
        self.guard.executing(&record)?;
        if has_effect {
            let key = plan.idempotency_key().unwrap_or_default();
            self.journal.start_execution(&action.id, run, &action.tool, &digest, key, self.clock.now())?;
        }
        entry.doing.replace(Some(record));
        let executed = plan.execute(permit, tool, &self.http, &*self.clock).await;
        let record = entry.doing.take().unwrap_or_default();
        // It is over, whatever can still be written down: each place is tried, and the person is told.
        let outcome = executed.output.outcome;
        let ended = if has_effect {
            self.journal.end_execution(&action.id, self.clock.now(), outcome.word(), executed.http_status)
        } else {
            Ok(())
        };
        let approved = self.guard.executed(&record, outcome);
        let closed = entry.close(executed.output, executed.http_status, &record, tell);
        ended
            .map_err(Error::from)
            .and(approved.map_err(Error::from))
            .and(closed)
            .map_err(|error| error.afterwards(&action.tool, outcome))
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

    async fn unlock_log(&self) -> Result<(), Error> {
        if !self.audit.is_unlocked() {
            self.audit.unlock(self.store.data_key().await?, self.store.lasts());
        }
        Ok(())
    }

    /// The tools that are offered.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.registry.tools()
    }
}

impl Drop for Dispatcher {
    /// However a run ends, what it wrote is sealed. If that fails, it is written all the same, and the next run seals it, or
    /// `audit verify` says why that cannot be.
    fn drop(&mut self) {
        if let Err(error) = self.audit.seal(self.clock.now()) {
            tracing::warn!("{error}; `agentctl audit verify` says more");
        }
    }
}

fn not_understood(tool: &str, message: String, tell: Tell<'_>) -> ToolOutput {
    let output = ToolOutput::refused(Outcome::Invalid, message);
    tell(Event::ToolCompleted {
        action: None,
        tool: tool.to_owned(),
        outcome: output.outcome,
        message: output.message.clone(),
        data: None,
    });
    output
}

/// A request entry of the audit log that still lacks its response. Dropped without one, because the person stopped the
/// call, it writes what is true at that moment.
struct Entry<'a> {
    road: &'a Dispatcher,
    action: Action,
    /// While the request is under way: what let it run.
    doing: RefCell<Option<Record>>,
    closed: Cell<bool>,
}

impl<'a> Entry<'a> {
    fn open(road: &'a Dispatcher, action: &Action, run: Option<&RunId>) -> Result<Self, Error> {
        let now = road.clock.now();
        let mut arguments = action.arguments.clone();
        let mut digest = action.digest.to_text();
        let hidden: Vec<&String> = action.sensitive.iter().filter(|name| arguments.contains_key(*name)).collect();
        for name in &hidden {
            if let Some(value) = arguments.get_mut(*name) {
                *value = road.audit.hide(now, name, value)?.into();
            }
        }
        // The digest is made from the values too: whoever can guess one could try it out.
        if !hidden.is_empty() {
            digest = road.audit.hide(now, "digest", &digest.into())?;
        }
        road.audit.request(
            &action.id,
            now,
            json!({
                "actor": { "iss": road.actor.iss, "sub": road.actor.sub, "client": road.actor.client,
                           "profile": road.actor.profile },
                "run": run,
                "tool": action.tool,
                "effect": action.effect,
                "arguments": arguments,
                "hidden": hidden,
                "origin": action.origin,
                "digest": digest,
                "spend": action.requirements.spend.words(),
            }),
        )?;
        Ok(Self { road, action: action.clone(), doing: RefCell::default(), closed: Cell::new(false) })
    }

    fn close(
        self,
        output: ToolOutput,
        http_status: Option<u16>,
        record: &Record,
        tell: Tell<'_>,
    ) -> Result<ToolOutput, Error> {
        self.closed.set(true);
        let written = self.write(output.outcome, &output.message, http_status, record);
        tell(Event::ToolCompleted {
            action: Some(self.action.id.clone()),
            tool: self.action.tool.clone(),
            outcome: output.outcome,
            message: output.message.clone(),
            data: output.data.clone(),
        });
        written.map(|()| output)
    }

    fn write(&self, outcome: Outcome, message: &str, http_status: Option<u16>, record: &Record) -> Result<(), Error> {
        let body = json!({
            "outcome": outcome.word(),
            "message": message,
            "http_status": http_status,
            "policy": record.policy,
            "permission": record.permission,
            "approval": record.approval,
            "token": record.token,
        });
        self.road.audit.response(&self.action.id, self.road.clock.now(), body)?;
        Ok(())
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if self.closed.get() {
            return;
        }
        let record = self.doing.take();
        let has_effect = self.action.effect != "read";
        let (outcome, message) = if record.is_some() && has_effect {
            (Outcome::Unknown, "stopped while the request was under way")
        } else {
            (Outcome::Cancelled, "stopped before anything was done")
        };
        // There is nobody left to tell if any of this fails; `audit verify` shows a request without its response.
        if let Some(record) = &record {
            if has_effect {
                let _ = self.road.journal.end_execution(&self.action.id, self.road.clock.now(), outcome.word(), None);
            }
            let _ = self.road.guard.executed(record, outcome);
        }
        let _ = self.write(outcome, message, None, &record.unwrap_or_default());
    }
}
