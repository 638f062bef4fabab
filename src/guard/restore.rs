//! The only way back from the journal to a permit.
//!
//! What was approved then is decided about again today: the journaled plan is hashed anew and compared with the plan that
//! the tool makes now, policy and permission are asked again, and the person must still be the one who is logged in. Only
//! the question to the person is not repeated.

use super::{AGAIN, Decision, Guard, Record, Refusal, Unused, decision, no_yes, permission::Answer};
use crate::{
    call::{Outcome, RunId},
    event::Tell,
    policy::{self, Action},
    secret::AccessToken,
    store::journal::ApprovalRow,
};

/// What the journal holds of a call.
#[derive(Clone, Copy, Debug)]
pub enum Journaled<'a> {
    /// An approval that was asked for; nothing was sent to the tool's server.
    Asked(&'a ApprovalRow),
    /// It was sent, and how it ended is not known; it is repeated under the same key.
    Begun(Option<&'a ApprovalRow>),
}

impl Guard {
    /// Decides about an action that another process, or an earlier moment of this one, left in the journal. `action` is the
    /// plan as the tool makes it today, under the journaled id. Every way in which this can fail is a denial.
    pub async fn restore(
        &self,
        action: &Action,
        journaled: Journaled<'_>,
        run: Option<&RunId>,
        tell: Tell<'_>,
    ) -> Decision {
        let mut record = Record::default();
        let decided = self.decide_again(action, journaled, run, tell, &mut record).await;
        // Nobody could say whether it is permitted: that is no yes, and no reason to give up what was approved either.
        let decided = decided.map_err(|(outcome, why)| match record.permission.answer {
            Answer::Unknown if outcome == Outcome::NotPermitted => (Outcome::Failed, why),
            // Nobody asks again for what may have happened.
            _ if matches!(journaled, Journaled::Begun(_)) => (outcome, why.trim_end_matches(AGAIN).to_owned()),
            _ => (outcome, why),
        });
        decision(action, decided, record)
    }

    async fn decide_again(
        &self,
        action: &Action,
        journaled: Journaled<'_>,
        run: Option<&RunId>,
        tell: Tell<'_>,
        record: &mut Record,
    ) -> Result<Option<AccessToken>, Refusal> {
        let (row, begun) = match journaled {
            Journaled::Asked(row) => (Some(row), false),
            Journaled::Begun(row) => (row, true),
        };
        let account = self.checks(action, run, record).await?;
        let mut approved = None;
        let mut unused = Unused { approvals: &self.approvals, approval: None };
        match (row, policy::approval(action, &record.policy)) {
            (None, None) => {}
            (None, Some(_)) => {
                return Err((Outcome::NotPermitted, "it needs the user's approval now, and has none".to_owned()));
            }
            (Some(_), None) => {
                return Err((Outcome::NotPermitted, "the tool no longer says what an approval of it means".to_owned()));
            }
            (Some(row), Some(approval)) => {
                let wanted = approval.wanted(&action.requirements.credential);
                let permission = record.permission.words().to_owned();
                let granted = async {
                    self.approvals.verify(row, action, &account).await?;
                    self.approvals.take_up(row, action, &approval, wanted, &permission, tell).await
                };
                let granted = granted.await.map_err(|error| self.approvals.or_over(row, error));
                let granted = granted.map_err(|error| no_yes(&error))?;
                // What may have been sent has an outcome of its own, whatever comes of the repetition.
                unused.approval = (!begun).then(|| granted.evidence.approval.clone());
                record.approval = Some(granted.evidence);
                approved = Some(granted.token);
                record.permission_before = Some(record.permission.clone());
                self.permitted(action, &account, record).await?;
                self.still().await?;
            }
        }
        let token = self.credential(action, approved, record).await?;
        self.reserve(action, run, &account, record)?;
        unused.approval = None;
        Ok(token)
    }
}
