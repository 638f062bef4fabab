//! What a yes must be like to count: settled when the question is asked, and written down with it, so that a process which
//! takes it up later cannot settle for less.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Error;
use crate::{
    policy::{Binding, BindingMessage, Details},
    store::journal::ApprovalRow,
};

/// What a yes must be like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Terms {
    /// The `authorization_details` that were requested.
    pub(super) details: Option<Value>,
    /// What became of the details as long as nothing else is known.
    pub(super) without_details: Details,
    /// The weakest binding that the call accepts.
    pub(super) needed: Binding,
    /// Whether the device was sent every value of the call.
    pub(super) message_is_whole: bool,
    /// What the token must allow.
    pub(super) scopes: Vec<String>,
    /// For which API.
    pub(super) audience: Option<String>,
    /// The same for servers that go by resource (RFC 8707).
    pub(super) resource: Option<String>,
}

impl Terms {
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn read(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|_| Error::Changed("what was asked is not legible any more"))
    }

    /// Whether today the same would be asked. The server may have had the message shortened.
    pub(super) fn are_those_of(&self, today: &Self) -> bool {
        Self { message_is_whole: today.message_is_whole, ..self.clone() } == *today
    }

    pub(super) fn message(&self, row: &ApprovalRow) -> BindingMessage {
        BindingMessage {
            text: row.asked.binding_message.clone(),
            code: row.asked.code.clone(),
            whole: self.message_is_whole,
        }
    }
}
