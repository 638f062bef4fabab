//! The model: a stand-in until the real one is there.

use std::sync::Arc;

use axum::Router;
use serde_json::Value;

/// The model's state.
pub(super) struct Model;

impl Model {
    pub(super) fn new(_seed: u64) -> Self {
        Self
    }

    /// Gives the model its scripted turns.
    #[expect(clippy::unused_self, reason = "the stand-in has no state")]
    pub(super) fn set_script(&self, _script: Value) -> Result<(), String> {
        Ok(())
    }
}

/// The model's endpoints.
pub(super) fn router(_model: Arc<Model>) -> Router {
    Router::new()
}
