//! What stands in the journal about a call with sensitive values: its plan sealed, and of what is made from the values only a
//! keyed hash. Nothing there can be read, or tried out, without the key of the credential store.

use serde_json::Value;

use super::{Dispatcher, Error};
use crate::{
    call::{ActionId, Digest, RunId, ToolCall},
    policy::Action,
    store::{
        journal::CallRow,
        sealed::{self, HIDDEN},
    },
    tool::Plan,
};

impl Dispatcher {
    /// A call as it is written down before anything of it happens.
    pub(super) async fn kept_call(&self, call: &ToolCall, plan: &Plan, run: &RunId) -> Result<CallRow, Error> {
        let action = &plan.action;
        let mut row = CallRow {
            action: action.id.clone(),
            run: run.clone(),
            call: call.id.clone(),
            tool: action.tool.clone(),
            arguments: Value::Object(action.arguments.clone()).to_string(),
            plan: plan.to_json().to_string(),
            digest: action.digest.to_text(),
            started_at: self.clock.now(),
            stops: Some(self.guard.approvals.stop.seen()),
        };
        if hides(action) {
            let key = self.store.data_key().await?;
            let shown = sealed::masked(&action.arguments, &action.sensitive);
            row.arguments = key.seal_text(&label(&action.id, "arguments"), &row.arguments, shown.into())?;
            // The request holds them in its own way, anywhere.
            row.plan = key.seal_text(&label(&action.id, "plan"), &row.plan, Value::Null)?;
            row.digest = HIDDEN.to_owned();
        }
        Ok(row)
    }

    /// The same row in clear. What does not open stays as it is, and is then no plan.
    pub(super) async fn opened(&self, row: &CallRow) -> Result<CallRow, Error> {
        let mut row = row.clone();
        if !sealed::is_sealed(&row.plan) {
            return Ok(row);
        }
        let key = self.store.data_key().await?;
        let open = |what: &str, kept: &str| key.open_text(&label(&row.action, what), kept);
        if let Some((arguments, plan)) = open("arguments", &row.arguments).zip(open("plan", &row.plan)) {
            // Nobody without the key wrote this plan, so its digest needs no witness.
            row.digest = digest_of(&plan).unwrap_or_default();
            (row.arguments, row.plan) = (arguments, plan);
        }
        Ok(row)
    }

    /// What an action is known by in the journal, so that its repetition can be told.
    pub(super) fn kept_digest(&self, action: &Action) -> Result<String, Error> {
        self.hashed(action, "digest", action.digest.to_text())
    }

    /// The same for the key under which its server does it once.
    pub(super) fn kept_idempotency_key(&self, plan: &Plan) -> Result<Option<String>, Error> {
        plan.idempotency_key().map(|key| self.hashed(&plan.action, "idempotency_key", key.to_owned())).transpose()
    }

    fn hashed(&self, action: &Action, name: &str, text: String) -> Result<String, Error> {
        if hides(action) { Ok(self.audit.hide(self.clock.now(), name, &text.into())?) } else { Ok(text) }
    }
}

/// The digest of a journaled plan, computed anew.
pub(super) fn digest_of(plan: &str) -> Option<String> {
    let plan: Value = serde_json::from_str(plan).ok()?;
    let arguments = plan["arguments"].as_object()?;
    Action::digest_of(plan["tool"].as_str()?, plan["origin"].as_str()?, arguments).map(Digest::to_text).ok()
}

fn hides(action: &Action) -> bool {
    sealed::any(&action.arguments, &action.sensitive)
}

fn label(action: &ActionId, what: &str) -> String {
    format!("{what} of {action}")
}
