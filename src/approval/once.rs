//! One request for one call: what waits for the person, or was approved, is not put before them a second time.

use super::{Approvals, Error};
use crate::{
    call::RunId,
    policy::Action,
    store::{
        journal::{ApprovalFilter, ApprovalRow},
        sealed,
    },
};

impl Approvals {
    /// Whether nothing in this run is open that asks for the very same call. However often a model repeats what is pending,
    /// the person's device rings once for it. What has ended may be asked again.
    ///
    /// # Errors
    /// [`Error::Repeated`] if something is; if the journal cannot be read, or what it holds of such a call not be opened.
    pub async fn asked_once(&self, action: &Action, run: &RunId) -> Result<(), Error> {
        let filter = ApprovalFilter { run: Some(run.clone()), open: true };
        for row in self.journal.approvals(&filter)? {
            let another = row.asked.tool == action.tool && row.asked.action != action.id;
            if another && self.digest_of(&row).await? == action.digest.to_text() {
                return Err(Error::Repeated);
            }
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
