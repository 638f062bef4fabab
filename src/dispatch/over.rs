//! Calls that end while nobody is at work on them: given up by the person, or forgotten with their run.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    Error,
    entry::{Logged, Proven},
};
use crate::{
    call::{Outcome, RunId, ToolOutput},
    store::{
        audit::{self, Audit},
        journal::{self, ApprovalRow, ApprovalState, ExecutionRow, Journal},
    },
};

const GIVEN_UP: &str = "the approval was given up; nothing was done";

/// Writes down the end of a call whose approval the person gave up while no process was at work on it, unless it stands
/// there: whoever was killed in between does it again. Says whether there was anything to write.
///
/// # Errors
/// If the log or the journal cannot be written.
pub fn given_up(audit: &Audit, journal: &Journal, row: &ApprovalRow, at: DateTime<Utc>) -> Result<bool, Error> {
    let action = &row.asked.action;
    let open = !audit.entries_of(action)?.iter().any(|entry| entry.kind == audit::Kind::Response);
    if open {
        let body = json!({
            "outcome": Outcome::Cancelled.word(),
            "message": GIVEN_UP,
            "http_status": null,
            "approval": Proven::by(Some(row)).approval,
        });
        journal.passes("before:given_up");
        audit.response(action, at, body)?;
        journal.passes("after:given_up");
    }
    journal.release_spend(action)?;
    // A single call has no conversation that would have to learn it: what it brought is kept in the place of one.
    if let Some(run) = &row.asked.run
        && journal.run(run)?.is_some_and(|run| run.row.is_single_call())
        && let Some(call) = journal.open_calls(run)?.into_iter().find(|call| call.action == *action)
    {
        let output = ToolOutput::refused(Outcome::Cancelled, GIVEN_UP);
        let message = json!({ "role": "tool", "tool_call_id": call.call, "content": output.for_model() });
        journal.append_result(run, Some(action), &message, at)?;
    }
    Ok(open)
}

/// Writes down the end of every call of a run that is about to be forgotten: each request of the log gets its response.
///
/// # Errors
/// If the log or the journal cannot be read or written.
pub fn forget(audit: &Audit, journal: &Journal, run: &RunId, at: DateTime<Utc>) -> Result<(), Error> {
    for row in journal.open_calls(run)? {
        let logged = Logged::of(audit, &row.action)?;
        let execution = journal.execution(&row.action)?;
        if execution.is_none() {
            journal.release_spend(&row.action)?;
        }
        if !logged.request || logged.response.is_some() {
            continue;
        }
        let (outcome, message) = match execution {
            Some(ExecutionRow { ended_at: Some(_), outcome: Some(outcome), .. }) => (outcome, "its run was deleted"),
            Some(_) => {
                (Outcome::Unknown.word().to_owned(), "its run was deleted before it was found out whether it happened")
            }
            None => (Outcome::Cancelled.word().to_owned(), "its run was deleted; nothing was done"),
        };
        let approval = journal.approval_of(&row.action)?;
        let Proven { approval, asked } = Proven::by(approval.as_ref());
        let body = json!({
            "outcome": outcome, "message": message, "http_status": null, "asked": asked, "approval": approval,
        });
        audit.response(&row.action, at, body)?;
    }
    Ok(())
}

/// The approvals that were given up, and whose calls are not over: the end of some may not be written yet.
///
/// # Errors
/// If the journal cannot be read.
pub fn given_up_and_open(journal: &Journal) -> Result<Vec<ApprovalRow>, journal::Error> {
    let mut rows = Vec::new();
    for run in journal.waiting_runs()? {
        for call in journal.open_calls(&run.row.id)? {
            rows.extend(journal.approval_of(&call.action)?.filter(|row| row.state == ApprovalState::Abandoned));
        }
    }
    Ok(rows)
}
