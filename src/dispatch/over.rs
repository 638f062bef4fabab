//! Calls that end while nobody is at work on them: given up by the person, stopped, or forgotten with their run.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    Error,
    entry::{Logged, Proven},
    resume::{ended, over_as},
};
use crate::{
    approval,
    call::{ActionId, Outcome, RunId, ToolOutput},
    store::{
        audit::Audit,
        journal::{self, About, ApprovalRow, ApprovalState, CallRow, ExecutionEnd, Journal},
    },
};

pub(super) const GIVEN_UP: &str = "the approval was given up; nothing was done";
const NOT_ASKED: &str = "the user gave it up before they were asked about it; nothing was sent, and nothing was done";
const DELETED_BEGUN: &str = "its run was deleted before it was found out whether it happened";

/// Why a call is not gone on with.
pub(super) enum Why {
    /// There was a stop since it was begun.
    Stopped,
    /// The person does not want it to be gone on with.
    GivenUp,
    /// The conversation goes on without it.
    NotBegun,
    /// Nobody can say that there was none.
    Unknown(String),
}

impl Why {
    /// How a call ends of which nothing was done.
    fn before(&self) -> String {
        match self {
            Self::Stopped => "everything was stopped before anything was done".to_owned(),
            Self::GivenUp => "the user gave it up before anything was done".to_owned(),
            Self::NotBegun => "it was stopped before anything was done".to_owned(),
            Self::Unknown(why) => format!(
                "nothing was done: whether everything was stopped since it was begun is not known ({why}); ask for it \
                 again"
            ),
        }
    }

    /// How one ends that may have been sent.
    fn cut(&self) -> String {
        let why = match self {
            Self::Stopped => "everything was stopped".to_owned(),
            Self::GivenUp => "the user gave it up then".to_owned(),
            Self::NotBegun => "the conversation went on without it".to_owned(),
            Self::Unknown(why) => format!("whether everything was stopped since is not known ({why})"),
        };
        format!("it was cut off while it was being carried out, and {why}: it may have happened, and is not sent again")
    }
}

/// Writes down the end of an open call, because everything was stopped: nothing that was in hand then is gone on with. What may
/// have been sent is unknown, and the token for it is erased. No process may be at work on it. Says how it ended if it had no
/// end yet. Whoever is killed in between does it again.
///
/// # Errors
/// If the log or the journal cannot be read or written.
pub fn stopped(
    audit: &Audit,
    journal: &Journal,
    row: &CallRow,
    at: DateTime<Utc>,
) -> Result<Option<ToolOutput>, Error> {
    let (output, logged) = end_stopped(audit, journal, row, &Why::Stopped, at)?;
    // A conversation learns from the log what came of its call, when it goes on. What the log does not know, it is told here.
    if logged.request || journal.run(&row.run)?.is_some_and(|run| run.row.is_single_call()) {
        answer_single(journal, &row.run, &row.action, &output, at)?;
    } else {
        let message = json!({ "role": "tool", "tool_call_id": row.call, "content": output.for_model() });
        journal.append_result(&row.run, Some(&row.action), &message, at)?;
    }
    Ok(Some(output).filter(|_| logged.response.is_none()))
}

/// Writes down the end of a call that was cut off while it was being carried out, and that the person leaves as it is: whether
/// it happened is not found out by sending it again. No process may be at work on it. Whoever is killed in between does it
/// again.
///
/// # Errors
/// If the log or the journal cannot be read or written.
pub fn left(audit: &Audit, journal: &Journal, row: &CallRow, at: DateTime<Utc>) -> Result<ToolOutput, Error> {
    let (output, _) = end_stopped(audit, journal, row, &Why::GivenUp, at)?;
    answer_single(journal, &row.run, &row.action, &output, at)?;
    Ok(output)
}

/// Writes down the end of a call that was stopped, if nothing of it was begun and no answer can come. Any other is gone on
/// with. No other process may be at work on it.
///
/// # Errors
/// If the log or the journal cannot be read or written.
pub fn not_begun(
    audit: &Audit,
    journal: &Journal,
    row: &CallRow,
    at: DateTime<Utc>,
) -> Result<Option<ToolOutput>, Error> {
    let may_be_answered = journal.approval_of(&row.action)?.is_some_and(|row| !row.state.is_final());
    if may_be_answered || journal.execution(&row.action)?.is_some() || Logged::of(audit, &row.action)?.sent.is_some() {
        return Ok(None);
    }
    Ok(Some(end_stopped(audit, journal, row, &Why::NotBegun, at)?.0))
}

/// A single call has no conversation that would have to learn its end: what it brought is kept in the place of one. Without the
/// journal's key it stays open, for whoever has it.
fn answer_single(
    journal: &Journal,
    run: &RunId,
    action: &ActionId,
    output: &ToolOutput,
    at: DateTime<Utc>,
) -> Result<(), Error> {
    if journal.run(run)?.is_some_and(|run| run.row.is_single_call())
        && let Some(call) = journal.open_calls(run)?.into_iter().find(|call| call.action == *action)
    {
        let message = json!({ "role": "tool", "tool_call_id": call.call, "content": output.for_model() });
        match journal.append_result(run, Some(action), &message, at) {
            Err(journal::Error::Locked) => {}
            answered => answered?,
        }
    }
    Ok(())
}

/// The end of one of them, and what the log held of it before.
pub(super) fn end_stopped(
    audit: &Audit,
    journal: &Journal,
    row: &CallRow,
    why: &Why,
    at: DateTime<Utc>,
) -> Result<(ToolOutput, Logged), Error> {
    let action = &row.action;
    let logged = logged_in(audit, action, Some(&row.run))?;
    // What the person gave up before is told so.
    let ended_here = match journal.approval_of(action)? {
        Some(approval) => journal.abandon(&approval.asked.id, at)?,
        None => false,
    };
    let holds = holds(audit, journal, action)?;
    let approval = journal.approval_of(action)?;
    let execution = journal.execution(action)?;
    let executing = approval.as_ref().filter(|row| row.state == ApprovalState::Executing);
    let output = match (&logged.response, &execution, &approval) {
        (Some(body), ..) => ToolOutput::from_log(body),
        (None, Some(execution), _) => {
            let told = ended(execution).filter(|_| holds);
            told.map_or_else(|| ToolOutput::refused(Outcome::Unknown, why.cut()), |told| logged.end(told))
        }
        // A read, or the journal lost what was begun.
        (None, None, _) if executing.is_some() || logged.sent.is_some() => {
            ToolOutput::refused(Outcome::Unknown, why.cut())
        }
        (None, None, Some(_)) if !holds || ended_here => ToolOutput::refused(Outcome::Cancelled, why.before()),
        (None, None, Some(over)) if over.state == ApprovalState::Abandoned => {
            ToolOutput::refused(Outcome::Cancelled, GIVEN_UP)
        }
        (None, None, Some(over)) => {
            let (outcome, why) = over_as(over);
            ToolOutput::refused(outcome, why)
        }
        (None, None, None) => ToolOutput::refused(Outcome::Cancelled, why.before()),
    };
    if execution.as_ref().is_some_and(|execution| execution.ended_at.is_none()) {
        let text = serde_json::to_string(&output).unwrap_or_default();
        let end = ExecutionEnd { outcome: output.outcome.word(), http_status: None, output: &text };
        journal.end_execution(action, at, end)?;
    }
    if let Some(executing) = executing {
        approval::executed(journal, &executing.asked.id, output.outcome, at)?;
    }
    if logged.request && logged.response.is_none() {
        let approval = journal.approval_of(action)?.filter(|_| holds);
        let Proven { approval, asked } = Proven::of(&logged, approval.as_ref());
        let body = json!({
            "outcome": output.outcome.word(), "message": output.message,
            "http_status": execution.and_then(|execution| execution.http_status), "asked": asked, "approval": approval,
        });
        journal.passes("before:given_up");
        audit.response(action, at, body)?;
        journal.passes("after:given_up");
    }
    if output.outcome.is_without_effect() {
        journal.release_spend(action)?;
    }
    Ok((output, logged))
}

/// Writes down the end of a call whose approval the person gave up while no process was at work on it, unless it stands
/// there: whoever was killed in between does it again. Says how it ended, and whether there was anything to write.
///
/// # Errors
/// If the log or the journal cannot be written.
pub fn given_up(
    audit: &Audit,
    journal: &Journal,
    row: &ApprovalRow,
    at: DateTime<Utc>,
) -> Result<(ToolOutput, bool), Error> {
    let action = &row.asked.action;
    // The row was read before the key was at hand.
    let Some(row) = &journal.approval(&row.asked.id)?.filter(|now| now.asked.action == *action) else {
        return Err(journal::Error::Missing(row.asked.id.to_string()).into());
    };
    let (logged, holds) = (logged_in(audit, action, row.asked.run.as_ref())?, holds(audit, journal, action)?);
    let open = logged.response.is_none();
    let approval = Proven::of(&logged, Some(row).filter(|_| holds)).approval;
    let output = end_undone(audit, journal, action, &logged, GIVEN_UP, approval, at)?;
    if let Some(run) = &row.asked.run {
        answer_single(journal, run, action, &output, at)?;
    }
    Ok((output, open))
}

/// The calls of a run that are open, of which no effect was begun, and about which nobody was asked. What somebody has changed
/// is none of them; who goes on with it is told.
///
/// # Errors
/// If the log or the journal cannot be read.
pub fn unasked(audit: &Audit, journal: &Journal, run: &RunId) -> Result<Vec<CallRow>, Error> {
    let calls = match journal.open_calls(run) {
        Err(journal::Error::Unproven { .. }) => return Ok(Vec::new()),
        calls => calls?,
    };
    let mut unasked = Vec::new();
    for row in calls {
        match (journal.approval_of(&row.action), journal.execution(&row.action)) {
            (Ok(None), Ok(None)) => {}
            (Ok(Some(_)) | Err(journal::Error::Unproven { .. }), _) | (_, Ok(Some(_))) => continue,
            (_, Err(journal::Error::Unproven { .. })) => continue,
            (Err(error), _) | (_, Err(error)) => return Err(error.into()),
        }
        let logged = Logged::of(audit, &row.action)?;
        if logged.sent.is_none() && logged.response.is_none() {
            unasked.push(row);
        }
    }
    Ok(unasked)
}

/// Writes down the end of such a call, which the person gave up, and says how it ended. One that the log does not know leaves
/// nothing there.
///
/// # Errors
/// If the log or the journal cannot be written.
pub fn given_up_unasked(
    audit: &Audit,
    journal: &Journal,
    row: &CallRow,
    at: DateTime<Utc>,
) -> Result<ToolOutput, Error> {
    let logged = logged_in(audit, &row.action, Some(&row.run))?;
    if !logged.request {
        return Ok(ToolOutput::refused(Outcome::Cancelled, NOT_ASKED));
    }
    end_undone(audit, journal, &row.action, &logged, NOT_ASKED, None, at)
}

/// Whether an open call was being carried out when it was cut off, so that nobody knows whether it happened.
///
/// # Errors
/// If the journal cannot be read.
pub fn may_have_happened(journal: &Journal, row: &CallRow) -> Result<bool, journal::Error> {
    let executing = journal.approval_of(&row.action)?.is_some_and(|row| row.state == ApprovalState::Executing);
    Ok(executing || journal.execution(&row.action)?.is_some_and(|execution| execution.ended_at.is_none()))
}

/// How a call ended, if the log has that.
///
/// # Errors
/// If it cannot be read.
pub fn end_of(audit: &Audit, action: &ActionId) -> Result<Option<ToolOutput>, Error> {
    Ok(Logged::of(audit, action)?.response.as_ref().map(ToolOutput::from_log))
}

/// Whether a call of a run is open whose end the log has not. One that somebody has changed is.
///
/// # Errors
/// If the log or the journal cannot be read.
pub fn has_unended(audit: &Audit, journal: &Journal, run: &RunId) -> Result<bool, Error> {
    let calls = match journal.open_calls(run) {
        Err(journal::Error::Unproven { .. }) => return Ok(true),
        calls => calls?,
    };
    for row in calls {
        if end_of(audit, &row.action)?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes down the end of a call of which nothing came, unless it stands there.
fn end_undone(
    audit: &Audit,
    journal: &Journal,
    action: &ActionId,
    logged: &Logged,
    why: &str,
    approval: Option<Value>,
    at: DateTime<Utc>,
) -> Result<ToolOutput, Error> {
    let output = match &logged.response {
        Some(body) => ToolOutput::from_log(body),
        None => logged.end(ToolOutput::refused(Outcome::Cancelled, why)),
    };
    if logged.response.is_none() {
        let body = json!({
            "outcome": output.outcome.word(), "message": output.message, "http_status": null, "approval": approval,
        });
        journal.passes("before:given_up");
        audit.response(action, at, body)?;
        journal.passes("after:given_up");
    }
    if output.outcome.is_without_effect() {
        journal.release_spend(action)?;
    }
    Ok(output)
}

/// Writes down the end of every call of a run that is about to be forgotten: each request of the log gets its response.
///
/// # Errors
/// If the log or the journal cannot be read or written.
pub fn forget(audit: &Audit, journal: &Journal, run: &RunId, at: DateTime<Utc>) -> Result<(), Error> {
    for row in journal.open_calls(run)? {
        let logged = logged_in(audit, &row.action, Some(run))?;
        let execution = journal.execution(&row.action)?;
        let approval = journal.approval_of(&row.action)?;
        let executing = approval.as_ref().is_some_and(|row| row.state == ApprovalState::Executing);
        let begun = execution.is_some() || logged.sent.is_some() || executing && !logged.reads;
        if !begun {
            journal.release_spend(&row.action)?;
        }
        if !logged.request || logged.response.is_some() {
            continue;
        }
        let holds = holds(audit, journal, &row.action)?;
        let output = match execution.as_ref().and_then(ended).filter(|_| holds) {
            Some(output) => logged.end(ToolOutput::refused(output.outcome, "its run was deleted")),
            None if begun => ToolOutput::refused(Outcome::Unknown, DELETED_BEGUN),
            None => ToolOutput::refused(Outcome::Cancelled, "its run was deleted; nothing was done"),
        };
        let Proven { approval, asked } = Proven::of(&logged, approval.as_ref().filter(|_| holds));
        let body = json!({
            "outcome": output.outcome.word(), "message": output.message, "http_status": null, "asked": asked,
            "approval": approval,
        });
        audit.response(&row.action, at, body)?;
    }
    Ok(())
}

/// What the log says of a call of this run. The row that leads from the run to the call may have been edited: a call that the
/// log knows in another run is not ended here, where nobody holds that run.
fn logged_in(audit: &Audit, action: &ActionId, run: Option<&RunId>) -> Result<Logged, Error> {
    let logged = Logged::of(audit, action)?;
    match logged.is_of(run) {
        true => Ok(logged),
        false => Err(journal::Error::Unproven { table: "calls", row: action.to_string() }.into()),
    }
}

/// Whether what the journal says of a call may be told. Without its key nobody can say, and then it is told only where the
/// log has no MAC either.
fn holds(audit: &Audit, journal: &Journal, action: &ActionId) -> Result<bool, Error> {
    match journal.prove(About::Action(action)) {
        Ok(()) => Ok(true),
        Err(journal::Error::Locked) => Ok(!audit.is_unlocked()),
        Err(journal::Error::Unproven { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The approvals that were given up, and whose calls are not over: the end of some may not be written yet.
///
/// # Errors
/// If the journal cannot be read.
pub fn given_up_and_open(journal: &Journal) -> Result<Vec<ApprovalRow>, journal::Error> {
    let mut rows = Vec::new();
    for run in journal.waiting_run_ids()? {
        rows.extend(given_up_in(journal, &run)?);
    }
    Ok(rows)
}

/// The same of one run.
fn given_up_in(journal: &Journal, run: &RunId) -> Result<Vec<ApprovalRow>, journal::Error> {
    let mut rows = Vec::new();
    for call in journal.open_calls(run)? {
        rows.extend(journal.approval_of(&call.action)?.filter(|row| row.state == ApprovalState::Abandoned));
    }
    Ok(rows)
}

/// Writes down the ends of what another process gave up in a run that this one is at work on.
///
/// # Errors
/// If the log or the journal cannot be read or written.
pub fn end_given_up(audit: &Audit, journal: &Journal, run: &RunId, at: DateTime<Utc>) -> Result<(), Error> {
    for row in given_up_in(journal, run)? {
        given_up(audit, journal, &row, at)?;
    }
    Ok(())
}
