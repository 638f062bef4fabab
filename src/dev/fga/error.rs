//! What the store refuses, in OpenFGA's form: `{"code": .., "message": ..}`.

use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::dev::answer::json_answer;

/// A refusal: the status, the code a program reads, the message a person reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(in crate::dev) struct Error {
    pub(in crate::dev) status: u16,
    pub(in crate::dev) code: &'static str,
    message: String,
}

impl Error {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// Nearly everything a request can get wrong is a 400 of its own code.
    pub(super) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::bad("validation_error", message)
    }

    /// There are no conditions here, and one that is not evaluated would be a yes too many.
    pub(super) fn no_conditions() -> Self {
        Self::validation("this store has no conditions")
    }

    pub(super) fn too_many(what: &str, limit: usize) -> Self {
        let message = format!("The number of {what} exceeds the allowed limit of {limit}");
        Self::bad("exceeded_entity_limit", message)
    }

    pub(super) fn too_complex() -> Self {
        Self::bad(
            "authorization_model_resolution_too_complex",
            "Authorization Model resolution required too many rewrite rules to be resolved. Check your authorization \
             model for infinite recursion or too much nesting",
        )
    }

    /// What a real server says when three seconds were not enough.
    pub(super) fn too_long() -> Self {
        Self::new(500, "deadline_exceeded", "Request Deadline Exceeded")
    }

    pub(super) fn nothing_here() -> Self {
        Self::new(404, "undefined_endpoint", "Not Found")
    }

    /// As one entry of a batch.
    pub(super) fn entry(&self) -> Value {
        let kind = if self.status < 500 { "input_error" } else { "internal_error" };
        json!({"error": {kind: self.code, "message": self.message}})
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        json_answer(self.status, &json!({"code": self.code, "message": self.message}))
    }
}
