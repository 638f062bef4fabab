//! The entries that each call leaves in the audit log: before it, after it, and between them that it was sent.

use std::cell::{Cell, RefCell};

use serde_json::{Value, json};

use super::{Dispatcher, Error};
use crate::{
    call::{ActionId, Outcome, RunId, ToolOutput},
    event::{Event, Tell},
    guard::Record,
    policy::Action,
    store::{
        audit::{self, Audit, Kind},
        journal::{ApprovalRow, CallRow},
    },
};

const SENT: &str = "it was sent, so it may have happened; what says otherwise is not what was written down";
const NOT_SENT: &str = "it is said to be done, and the audit log does not say that it was sent: what was written down was \
                        changed, and whether it happened is not known";

/// How a call ends that was stopped after it was sent, and that nobody may send again.
const CUT: &str = "it was stopped while the request was under way and may have happened; look whether it did before you ask for \
                   it again";

/// A request entry of the audit log that still lacks its response. Dropped without one, because the person stopped the
/// call, it writes what is true at that moment; a call that another process can go on with stays open.
pub(super) struct Entry<'a> {
    road: &'a Dispatcher,
    pub(super) action: ActionId,
    pub(super) run: RunId,
    tool: String,
    has_effect: bool,
    /// While the request is under way: what let it run.
    pub(super) doing: RefCell<Option<Record>>,
    closed: Cell<bool>,
    /// The log holds the response already.
    answered: bool,
    /// What let it be sent, as an earlier process wrote it down.
    sent: Option<Value>,
    /// Who is told how it ends.
    tell: Tell<'a>,
}

impl<'a> Entry<'a> {
    /// Writes the request.
    pub(super) fn open(road: &'a Dispatcher, action: &Action, run: &RunId, tell: Tell<'a>) -> Result<Self, Error> {
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
        road.journal.passes("before:audit_request");
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
        road.journal.passes("after:audit_request");
        Ok(Self {
            road,
            action: action.id.clone(),
            run: run.clone(),
            tool: action.tool.clone(),
            has_effect: action.effect != "read",
            doing: RefCell::default(),
            closed: Cell::new(false),
            answered: false,
            sent: None,
            tell,
        })
    }

    /// A request that stands in the log already.
    pub(super) fn reopened(
        road: &'a Dispatcher,
        row: &CallRow,
        has_effect: bool,
        logged: &Logged,
        tell: Tell<'a>,
    ) -> Self {
        Self {
            road,
            action: row.action.clone(),
            run: row.run.clone(),
            tool: row.tool.clone(),
            has_effect,
            doing: RefCell::default(),
            closed: Cell::new(false),
            answered: logged.response.is_some(),
            sent: logged.sent.clone(),
            tell,
        }
    }

    /// Whether it was sent before this process met it, in words: without the log's `sent` nobody knows.
    pub(super) fn sent_before(&self) -> &'static str {
        if self.sent.is_some() { "it was sent before" } else { "it may have been sent before" }
    }

    /// Writes down that the request is about to leave, and what lets it. From then on it may have happened.
    pub(super) fn send(&self, digest: &str, idempotency_key: Option<&str>) -> Result<(), audit::Error> {
        let road = self.road;
        let record = self.doing.borrow();
        let mut body = record.as_ref().map(decided).unwrap_or_default();
        body["digest"] = digest.into();
        body["idempotency_key"] = idempotency_key.into();
        road.journal.passes("before:audit_sent");
        road.audit.sent(&self.action, road.clock.now(), body)?;
        road.journal.passes("after:audit_sent");
        Ok(())
    }

    /// Writes the response.
    pub(super) fn close(
        self,
        output: ToolOutput,
        http_status: Option<u16>,
        record: &Record,
    ) -> Result<ToolOutput, Error> {
        self.closed.set(true);
        let written = self.write(output.outcome, &output.message, http_status, record);
        self.tell(&output);
        written.map(|()| output)
    }

    /// Leaves the call open: its approval is.
    pub(super) fn leave(self, reason: &str) -> ToolOutput {
        self.closed.set(true);
        let output = ToolOutput::refused(Outcome::Pending, reason);
        self.tell(&output);
        output
    }

    fn tell(&self, output: &ToolOutput) {
        (self.tell)(Event::ToolCompleted {
            action: Some(self.action.clone()),
            tool: self.tool.clone(),
            outcome: output.outcome,
            message: output.message.clone(),
            data: output.data.clone(),
        });
    }

    fn write(&self, outcome: Outcome, message: &str, http_status: Option<u16>, record: &Record) -> Result<(), Error> {
        let road = self.road;
        if !self.answered {
            // The decision may have been made without it: by a process that is no more, or today, when it came to nothing.
            let mut body = decided(record);
            // What the log says to have let it be sent was written with its key, which the journal is not.
            if let Some(approval) = self.sent.as_ref().map(|sent| &sent["approval"]).filter(|known| known.is_object()) {
                body["approval"] = approval.clone();
            } else if record.approval.is_none() {
                let proven = Proven::by(road.approval_of(&self.action)?.as_ref());
                (body["approval"], body["asked"]) = (json!(proven.approval), json!(proven.asked));
            }
            body["outcome"] = outcome.word().into();
            body["message"] = message.into();
            body["http_status"] = http_status.into();
            road.journal.passes("before:audit_response");
            road.audit.response(&self.action, road.clock.now(), body)?;
            road.journal.passes("after:audit_response");
        }
        if outcome.is_without_effect() {
            road.journal.release_spend(&self.action)?;
        }
        Ok(())
    }

    /// Whether another process can go on with the call: it was sent, and may be sent again under the same key; or nothing
    /// was sent, and its approval is open. What cannot be looked up is left to the one who can.
    fn can_be_gone_on_with(&self) -> bool {
        let journal = &self.road.journal;
        match journal.execution(&self.action) {
            Ok(Some(row)) => row.ended_at.is_none() && !row.idempotency_key.is_empty(),
            Ok(None) if self.doing.borrow().is_some() => false,
            Ok(None) => {
                journal.approval_of(&self.action).map_or(true, |row| row.is_some_and(|row| !row.state.is_final()))
            }
            Err(_) => true,
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if self.closed.get() || self.can_be_gone_on_with() {
            return;
        }
        let record = self.doing.take();
        let (outcome, message) = if record.is_some() && self.has_effect {
            (Outcome::Unknown, CUT)
        } else {
            (Outcome::Cancelled, "stopped before anything was done")
        };
        // There is nobody left to tell if any of this fails; `audit verify` shows a request without its response.
        if let Some(record) = &record {
            if self.has_effect {
                let _ = self.road.end_execution(&self.action, &ToolOutput::refused(outcome, message), None);
            }
            let _ = self.road.guard.executed(record, outcome);
        }
        let _ = self.write(outcome, message, None, &record.unwrap_or_default());
        // Whoever stopped it learns that it may have happened.
        if outcome == Outcome::Unknown {
            self.tell(&ToolOutput::refused(outcome, message));
        }
    }
}

/// What let a call run, as the log keeps it.
fn decided(record: &Record) -> Value {
    json!({
        "policy": record.policy,
        "permission": record.permission,
        "permission_before": record.permission_before,
        "approval": record.approval,
        "token": record.token,
    })
}

/// What the journal knows of an action's approval, as the log keeps it: what proves it, or else that it was asked for.
#[derive(Default)]
pub(super) struct Proven {
    pub(super) approval: Option<Value>,
    pub(super) asked: Option<Value>,
}

impl Proven {
    /// The same of a call that was sent: the log says what let it, with its own MAC.
    pub(super) fn of(logged: &Logged, row: Option<&ApprovalRow>) -> Self {
        match logged.sent.as_ref().map(|sent| &sent["approval"]).filter(|known| known.is_object()) {
            Some(approval) => Self { approval: Some(approval.clone()), asked: None },
            None => Self::by(row),
        }
    }

    pub(super) fn by(row: Option<&ApprovalRow>) -> Self {
        let Some(row) = row else { return Self::default() };
        if let Some(approval) = row.evidence.as_deref().and_then(|text| serde_json::from_str(text).ok()) {
            return Self { approval: Some(approval), asked: None };
        }
        let asked = json!({
            "approval": row.asked.id, "state": row.state.word(), "client": row.asked.client_id,
            "binding_message": row.asked.binding_message,
        });
        Self { approval: None, asked: Some(asked) }
    }
}

/// What the log holds of an action. Once the log is unlocked, what carries no MAC of its key says nothing here.
#[derive(Debug, Default)]
pub(super) struct Logged {
    pub(super) request: bool,
    /// What it asks for.
    asked: Value,
    /// The request says that it only reads.
    pub(super) reads: bool,
    /// What was written down when it was sent last; then it may have happened, whatever else says that it has not.
    pub(super) sent: Option<Value>,
    pub(super) response: Option<Value>,
}

impl Logged {
    /// Looks it up.
    pub(super) fn of(audit: &Audit, action: &ActionId) -> Result<Self, audit::Error> {
        let mut logged = Self::default();
        for entry in audit.entries_of(action)?.into_iter().filter(|entry| entry.proven != Some(false)) {
            match entry.kind {
                Kind::Request if !logged.request => {
                    logged.request = true;
                    logged.reads = entry.body["effect"] == "read";
                    logged.asked = entry.body;
                }
                Kind::Sent => logged.sent = Some(entry.body),
                // The first one says how it ended.
                Kind::Response => drop(logged.response.get_or_insert(entry.body)),
                _ => {}
            }
        }
        Ok(logged)
    }

    /// Whether this action is the one that was asked for: its digest is made from tool, origin and arguments. A request that is
    /// missing asks for nothing else.
    pub(super) fn asks_for(&self, audit: &Audit, action: &Action) -> Result<bool, audit::Error> {
        if !self.request {
            return Ok(true);
        }
        let digest = action.digest.to_text();
        let noted = self.asked["digest"].as_str().unwrap_or_default();
        let same = noted == digest || audit.hides(noted, "digest", &digest.into())?;
        Ok(same && self.asked["tool"] == action.tool)
    }

    /// Whether it was asked for in this run, as far as the log knows it.
    pub(super) fn is_of(&self, run: Option<&RunId>) -> bool {
        !self.request || self.asked["run"].as_str() == run.map(RunId::as_str)
    }

    /// The key under which it was sent, so that its server does it once; none if there is none.
    pub(super) fn idempotency_key(&self) -> Option<&str> {
        self.sent.as_ref()?["idempotency_key"].as_str()
    }

    /// An end that the journal tells. Of what was sent nobody can say that it never was, nor of what was not that it was done.
    pub(super) fn end(&self, told: ToolOutput) -> ToolOutput {
        match (told.outcome, &self.sent) {
            (Outcome::Done, None) => ToolOutput::refused(Outcome::Unknown, NOT_SENT),
            // Who had sent it may have learnt that nothing came of it.
            (Outcome::Done | Outcome::Unknown | Outcome::Failed | Outcome::NotPermitted, _) | (_, None) => told,
            (_, Some(_)) => ToolOutput::refused(Outcome::Unknown, SENT),
        }
    }
}
