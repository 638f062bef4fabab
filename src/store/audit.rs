//! To be written.
#![allow(missing_docs, clippy::allow_attributes)]
use crate::call::ActionId;
use chrono::{DateTime, Utc};
use serde_json::Value;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct Error;
#[derive(Debug)]
pub struct Audit;
impl Audit {
    pub fn request(&self, _a: &ActionId, _t: DateTime<Utc>, _v: Value) -> Result<(), Error> {
        Err(Error)
    }
    pub fn response(&self, _a: &ActionId, _t: DateTime<Utc>, _v: Value) -> Result<(), Error> {
        Err(Error)
    }
}
