//! Going on with a call that another process, or an earlier moment of this one, left in the journal.
//!
//! What the log and the journal say decides: what ended is reported, what may have been sent is repeated only under the key by which
//! its server does it once, and what nobody can know is said to be unknown.

use super::{
    Dispatcher, Error, Progress,
    entry::{Entry, Logged},
    kept::digest_of,
    over, planned,
};
use crate::{
    call::{ActionId, Outcome, ToolOutput},
    event::Tell,
    guard::{Journaled, Record},
    store::{
        journal::{self, About, ApprovalChange, ApprovalRow, ApprovalState, CallRow, Execution, ExecutionRow},
        stop,
    },
    tool::{Plan, Tool},
};

const NO_KEY: &str = "its server offers no way to repeat it safely";
const LOOK: &str = "the user should look whether it happened, and ask for it in a new conversation if it did not";
const ANOTHER: &str = "the log's request for this call is another one: what the journal says of it was changed";

impl Dispatcher {
    /// Goes on with a call. `anew` says that the person wants to be asked again if a question, or its answer, was lost.
    ///
    /// # Errors
    /// If the log or the journal cannot be read or written.
    pub async fn resume(&self, row: &CallRow, anew: bool, tell: Tell<'_>) -> Result<ToolOutput, Error> {
        self.unlock_log().await?;
        if self.journal.is_unlocked() {
            self.journal.prove_but_given_up(About::Action(&row.action))?;
        }
        let row = &self.opened(row).await?;
        // What was in hand when everything was stopped is over, also if `panic` knew nothing of it: it looks into one state
        // folder, and may be killed on its way.
        if let Some(why) = self.stopped_since(row) {
            let (output, logged) = over::end_stopped(&self.audit, &self.journal, row, &why, self.clock.now())?;
            if !logged.request {
                return Ok(output);
            }
        }
        let logged = Logged::of(&self.audit, &row.action)?;
        let plan = match self.plan_again(row) {
            Ok((_, plan)) if !logged.asks_for(&self.audit, &plan.action)? => Err(ANOTHER.to_owned()),
            plan => plan,
        };
        // Without a plan only the log can say that it only reads.
        let has_effect = plan.as_ref().map_or(!logged.reads, |(_, plan)| plan.action.effect != "read");
        let approval = self.journal.approval_of(&row.action)?;
        let answered = logged.response.is_some();
        let entry = match &plan {
            _ if logged.request || answered => Entry::reopened(self, row, has_effect, &logged, tell),
            Ok((_, plan)) => Entry::open(self, &plan.action, &row.run, tell)?,
            // Nothing about it was even written into the log.
            Err(why) => return Ok(ToolOutput::refused(Outcome::Failed, format!("{why}; nothing was done"))),
        };
        if let Ok((_, plan)) = &plan
            && !answered
        {
            tell(planned(&plan.action));
        }
        let record = Record::proven_by(evidence(approval.as_ref()));
        if let Some(body) = &logged.response {
            let said = ToolOutput::from_log(body);
            // The journal has the data as well.
            let kept = self.journal.execution(&row.action)?.and_then(|row| ended(&row));
            let output = kept.filter(|kept| kept.outcome == said.outcome).unwrap_or(said);
            let http_status = body["http_status"].as_u64().and_then(|status| u16::try_from(status).ok());
            self.end_as_logged(&row.action, approval.as_ref(), &output, http_status)?;
            return entry.close(output, None, &record);
        }
        let executing = approval.as_ref().is_some_and(|row| row.state == ApprovalState::Executing);
        let execution = match self.journal.execution(&row.action)? {
            // It was sent, or begun together with what is gone: that it is gone does not undo it.
            None if logged.sent.is_some() || executing && has_effect => Some(self.begun_anew(row, &logged)?),
            execution => execution,
        };
        match execution {
            Some(execution) => self.resume_begun(row, &logged, &execution, approval, plan, entry, record, tell).await,
            None => self.resume_asked(row, approval, plan, entry, record, anew, tell).await,
        }
    }

    /// The end of a call that only the log has learnt. Else the journal would call it unclear for good, and nobody would look
    /// into it again. What has an end there keeps it.
    fn end_as_logged(
        &self,
        action: &ActionId,
        approval: Option<&ApprovalRow>,
        output: &ToolOutput,
        http_status: Option<u16>,
    ) -> Result<(), Error> {
        if self.journal.execution(action)?.is_some_and(|row| row.ended_at.is_none()) {
            self.end_execution(action, output, http_status)?;
        }
        match approval {
            Some(row) if row.state == ApprovalState::Executing => {
                self.guard.approvals.executed(&row.asked.id, output.outcome)?;
            }
            // The call is over: no answer is of use to it.
            Some(row) if !row.state.is_final() => self.guard.approvals.abandon(&row.asked.id),
            _ => {}
        }
        Ok(())
    }

    /// An execution that the journal lost, as far as the log knows it.
    fn begun_anew(&self, row: &CallRow, logged: &Logged) -> Result<ExecutionRow, Error> {
        let digest = logged.sent.as_ref().and_then(|sent| sent["digest"].as_str()).unwrap_or_default();
        let key = logged.idempotency_key().unwrap_or_default();
        let execution = Execution { action: &row.action, run: &row.run, tool: &row.tool, digest };
        self.journal.begin_execution(None, execution, key, self.clock.now())?;
        let begun = self.journal.execution(&row.action)?;
        Ok(begun.ok_or_else(|| journal::Error::Missing(row.action.to_string()))?)
    }

    /// Why a call is not gone on with, if there was a stop since it was begun or nobody can say that there was none. One that
    /// an earlier version wrote down says nothing about it: asking again is cheap, and a time in the journal proves nothing.
    fn stopped_since(&self, row: &CallRow) -> Option<over::Why> {
        let Some(seen) = &row.stops else {
            return Some(over::Why::Unknown("an earlier version of agentctl wrote it down".to_owned()));
        };
        match self.guard.approvals.stop.none_since(seen) {
            Ok(()) => None,
            Err(stop::Error::Stopped { .. }) => Some(over::Why::Stopped),
            Err(error) => Some(over::Why::Unknown(error.to_string())),
        }
    }

    /// A call that may have been sent.
    #[expect(clippy::too_many_arguments, reason = "all that is known about one call")]
    async fn resume_begun(
        &self,
        row: &CallRow,
        logged: &Logged,
        execution: &ExecutionRow,
        approval: Option<ApprovalRow>,
        plan: Result<(&Tool, Plan), String>,
        entry: Entry<'_>,
        record: Record,
        tell: Tell<'_>,
    ) -> Result<ToolOutput, Error> {
        if let Some(output) = ended(execution).map(|told| logged.end(told)) {
            if approval.is_some_and(|row| row.state == ApprovalState::Executing) {
                self.guard.executed(&record, output.outcome)?;
            }
            return entry.close(output, execution.http_status, &record);
        }
        let key = Some(execution.idempotency_key.as_str()).filter(|key| !key.is_empty());
        match plan {
            Ok((tool, plan)) if key.is_some() && self.kept_idempotency_key(&plan)?.as_deref() == key => {
                let journaled = Journaled::Begun(approval.as_ref());
                let decision = self.guard.restore(&plan.action, journaled, Some(&row.run), tell).await;
                self.follow(decision, tool, plan, entry, Progress::Begun).await
            }
            plan => {
                let why = plan.err().unwrap_or_else(|| NO_KEY.to_owned());
                let output = self.unknown(&entry, &why)?;
                entry.close(output, None, &record)
            }
        }
    }

    /// A call of which nothing was sent, whatever became of its approval.
    #[expect(clippy::too_many_arguments, reason = "all that is known about one call")]
    async fn resume_asked(
        &self,
        row: &CallRow,
        approval: Option<ApprovalRow>,
        plan: Result<(&Tool, Plan), String>,
        entry: Entry<'_>,
        record: Record,
        anew: bool,
        tell: Tell<'_>,
    ) -> Result<ToolOutput, Error> {
        use ApprovalState as S;
        let run = &row.run;
        let state = approval.as_ref().map(|row| row.asked.id.clone()).zip(approval.as_ref().map(|row| row.state));
        let (tool, plan) = match plan {
            Ok(plan) => plan,
            Err(why) => {
                if let Some((id, _)) = &state {
                    self.guard.approvals.abandon(id);
                }
                return self.nothing_done(entry, Outcome::Failed, &why, &record);
            }
        };
        match (&approval, state) {
            (None, _) | (_, None) => self.decide_and_do(tool, plan, entry, run, tell).await,
            (_, Some((id, S::Planned))) => {
                let at = self.clock.now();
                let change = ApprovalChange { error: Some("lost in a crash".to_owned()), ..ApprovalChange::at(at) };
                self.journal.move_approval(&id, S::Planned, S::Abandoned, &change)?;
                let why = "the program was stopped while it sent the request for approval; whether the user's device \
                           shows it is not known, and an answer to it is not used";
                match anew {
                    true => self.decide_and_do(tool, plan, entry, run, tell).await,
                    false => self.nothing_done(entry, Outcome::Cancelled, why, &record),
                }
            }
            // `redeeming`: the answer may have been lost on the way. If it was not, the server still says so.
            (Some(asked), Some((_, S::Requested | S::Redeeming | S::Approved | S::Executing))) => {
                let decision = self.guard.restore(&plan.action, Journaled::Asked(asked), Some(run), tell).await;
                self.follow(decision, tool, plan, entry, Progress::Asked).await
            }
            (Some(over), Some(_)) => {
                let (outcome, why) = over_as(over);
                self.nothing_done(entry, outcome, &why, &record)
            }
        }
    }

    fn nothing_done(
        &self,
        entry: Entry<'_>,
        outcome: Outcome,
        why: &str,
        record: &Record,
    ) -> Result<ToolOutput, Error> {
        entry.close(ToolOutput::refused(outcome, why), None, record)
    }

    /// Writes down that nobody knows how a call ended.
    pub(super) fn unknown(&self, entry: &Entry<'_>, why: &str) -> Result<ToolOutput, Error> {
        let message =
            format!("{} the program was stopped, so it may have happened; {why}; {LOOK}", entry.sent_before());
        let output = ToolOutput::refused(Outcome::Unknown, message);
        self.end_execution(&entry.action, &output, None)?;
        if let Some(row) = self.journal.approval_of(&entry.action)? {
            match row.state {
                ApprovalState::Executing => self.guard.approvals.executed(&row.asked.id, Outcome::Unknown)?,
                // It was used, whatever stands there.
                _ => self.guard.approvals.abandon(&row.asked.id),
            }
        }
        Ok(output)
    }

    /// The plan as the tool makes it today, if it is the journaled one to the last byte of the request.
    fn plan_again(&self, row: &CallRow) -> Result<(&Tool, Plan), String> {
        let tool = self.registry.get(&row.tool).ok_or_else(|| format!("there is no tool `{}` any more", row.tool))?;
        let plan = tool.plan_as(&row.arguments, row.action.clone()).map_err(|error| error.to_string())?;
        let journaled: serde_json::Value = serde_json::from_str(&row.plan).unwrap_or_default();
        if digest_of(&row.plan).as_ref() != Some(&row.digest) {
            return Err("its plan in the journal was changed".to_owned());
        }
        if journaled != plan.to_json() || plan.action.digest.to_text() != row.digest {
            return Err(format!("`{}` would do something else today than what was planned", row.tool));
        }
        Ok((tool, plan))
    }
}

/// How a call ended whose approval is over and of which nothing was sent.
pub(super) fn over_as(row: &ApprovalRow) -> (Outcome, String) {
    use ApprovalState as S;
    if row.state == S::Abandoned && row.error.is_none() {
        return (Outcome::Cancelled, over::GIVEN_UP.to_owned());
    }
    let outcome = match row.state {
        S::Denied => Outcome::Denied,
        S::Expired => Outcome::Expired,
        S::Abandoned => Outcome::Cancelled,
        S::Done | S::UnknownOutcome => Outcome::Unknown,
        _ => Outcome::Failed,
    };
    (outcome, row.error.clone().unwrap_or_else(|| format!("the approval ended as {}", row.state)))
}

/// What an execution brought, if that was learnt.
pub(super) fn ended(row: &ExecutionRow) -> Option<ToolOutput> {
    row.ended_at?;
    row.output.as_deref().and_then(|text| serde_json::from_str(text).ok())
}

fn evidence(row: Option<&ApprovalRow>) -> Option<crate::approval::Evidence> {
    row?.evidence.as_deref().and_then(|text| serde_json::from_str(text).ok())
}
