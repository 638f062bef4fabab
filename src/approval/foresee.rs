//! What the person would be asked, without asking.

use serde::Serialize;
use serde_json::Value;

use super::{Approvals, Error, WINDOW};
use crate::{
    call::RunId,
    policy::{Action, Approval, Binding},
    session::Account,
};

/// The code is made when the request is; this stands in its place.
const CODE: &str = "????????";

/// What the person would be asked.
#[derive(Clone, Debug, Serialize)]
pub struct Foreseen {
    /// The client that would ask.
    pub client: String,
    /// What the device would show, with `????????` for the code.
    pub binding_message: String,
    /// How a yes would be tied to the call.
    pub binding: Binding,
    /// Seconds the person would have, unless the server gives less.
    pub expires_in: u64,
    /// The rich request (RFC 9396), if the tool has one and the server takes it.
    pub authorization_details: Option<Value>,
}

impl Approvals {
    /// What the person would be asked about an action now, or why they could not be asked.
    ///
    /// # Errors
    /// Those that [`Approvals::ask`] would meet before it asks.
    pub async fn foresee(
        &self,
        action: &Action,
        approval: &Approval,
        account: &Account,
        run: Option<&RunId>,
    ) -> Result<Foreseen, Error> {
        let prepared = self.prepare(action, approval, run, CODE).await?;
        let (now, max) = (self.clock.now(), self.pushes_per_minute);
        let recent = self.journal.pushes_since(&account.iss, &account.sub, now - WINDOW)?;
        let blocking = recent.len().checked_sub(usize::try_from(max).unwrap_or(usize::MAX));
        if let Some(blocking) = blocking.and_then(|at| recent.get(at)) {
            let wait = (*blocking + WINDOW - now).to_std().unwrap_or_default();
            return Err(Error::TooManyPushes { max, wait });
        }
        Ok(Foreseen {
            client: prepared.client.id.clone(),
            binding_message: prepared.message.text,
            binding: prepared.possible,
            expires_in: approval.expires_in,
            authorization_details: prepared.details,
        })
    }
}
