//! One request for one call: what waits for the person, or was approved, is not put before them a second time.

use super::{Approvals, DENIALS, Error};
use crate::{
    call::RunId,
    policy::Action,
    store::{
        journal::{ApprovalFilter, ApprovalRow, ApprovalState},
        sealed,
    },
};

impl Approvals {
    /// Whether nothing in this run is open that asks for the very same call. However often a model repeats what is pending,
    /// the person's device rings once for it. What has ended may be asked again, and what can bring nothing any more.
    ///
    /// # Errors
    /// [`Error::Repeated`] if something is; if the journal cannot be read, or what it holds of such a call not be opened.
    pub async fn asked_once(&self, action: &Action, run: &RunId) -> Result<(), Error> {
        let filter = ApprovalFilter { run: Some(run.clone()), open: true };
        for row in self.journal.approvals(&filter)? {
            let another = row.asked.tool == action.tool && row.asked.action != action.id;
            if another
                && self.may_bring_something(&row).await?
                && self.digest_of(&row).await? == action.digest.to_text()
            {
                return Err(Error::Repeated);
            }
        }
        Ok(())
    }

    /// Whether a yes to it could still be used, or is. It cannot be after its time, nor under another login, nor by another
    /// client than the one that asked.
    async fn may_bring_something(&self, row: &ApprovalRow) -> Result<bool, Error> {
        if row.state == ApprovalState::Executing {
            return Ok(true);
        }
        let over = row.left(self.clock.now()).is_some_and(|left| left.is_zero());
        let ours = self.client.as_ref().is_some_and(|client| client.id == row.asked.client_id);
        Ok(!over && ours && self.session.login().await.map_err(Error::Session)? == row.asked.login)
    }

    /// The tool is asked about no more once the person has said no twice in this run.
    pub(super) fn not_denied(&self, action: &Action, run: &RunId) -> Result<(), Error> {
        let (denied, unproven) = self.journal.denials_in_run(run, &action.tool)?;
        if denied.saturating_add(unproven) >= DENIALS {
            return Err(Error::Locked { tool: action.tool.clone(), unproven });
        }
        Ok(())
    }

    /// The digest of the call that was asked about; that of a sealed plan stands inside.
    async fn digest_of(&self, row: &ApprovalRow) -> Result<String, Error> {
        if !sealed::is_sealed(&row.asked.plan) {
            return Ok(row.asked.digest.clone());
        }
        let plan = self.read(row, "plan", &row.asked.plan).await?;
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap_or_default();
        Ok(plan["digest"].as_str().unwrap_or_default().to_owned())
    }
}
