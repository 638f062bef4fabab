//! What an approval keeps in the journal about its call. Sensitive values do not lie there in clear.

use serde_json::Value;

use super::{Approvals, Asking, Error, seal_label, terms::Terms};
use crate::{
    call::ApprovalId,
    policy::Action,
    store::{
        journal::ApprovalRow,
        sealed::{self, HIDDEN},
    },
};

impl Approvals {
    /// The plan of the call; sealed if it holds a sensitive value, with its other arguments beside it.
    pub(super) async fn kept_plan(&self, action: &Action, id: &ApprovalId) -> Result<String, Error> {
        let mut plan = action.to_json();
        let text = plan.to_string();
        if !sealed::any(&action.arguments, &action.sensitive) {
            return Ok(text);
        }
        plan["arguments"] = sealed::masked(&action.arguments, &action.sensitive).into();
        // It is made from the values: whoever can guess one could try it out.
        plan["digest"] = HIDDEN.into();
        self.store.data_key().await?.seal_text(&seal_label(id, "plan"), &text, plan).map_err(|_| Error::Seal)
    }

    /// What a yes must be like; its details hold the arguments.
    pub(super) async fn kept_terms(&self, asking: &Asking<'_>, terms: &Terms) -> Result<String, Error> {
        let text = terms.to_text();
        if !sealed::any(&asking.action.arguments, &asking.action.sensitive) {
            return Ok(text);
        }
        let key = self.store.data_key().await?;
        key.seal_text(&seal_label(&asking.id, "terms"), &text, Value::Null).map_err(|_| Error::Seal)
    }

    /// One of the two, as it was before it was kept.
    pub(super) async fn read(&self, row: &ApprovalRow, what: &str, kept: &str) -> Result<String, Error> {
        if !sealed::is_sealed(kept) {
            return Ok(kept.to_owned());
        }
        self.store.data_key().await?.open_text(&seal_label(&row.asked.id, what), kept).ok_or(Error::Unopened)
    }

    /// What a yes must be like.
    pub(super) async fn terms_of(&self, row: &ApprovalRow) -> Result<Terms, Error> {
        Terms::read(&self.read(row, "terms", &row.asked.terms).await?)
    }
}
