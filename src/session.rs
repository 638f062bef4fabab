//! To be written.
#![allow(missing_docs, clippy::allow_attributes)]
use crate::{
    oauth::{Metadata, id_token::Verifier},
    secret::AccessToken,
};
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct Error;
impl Error {
    pub fn login_needed(&self) -> bool {
        false
    }
}
#[derive(Debug, Clone)]
pub struct Account {
    pub iss: String,
    pub sub: String,
    pub name: Option<String>,
    pub email: Option<String>,
    pub preferred_username: Option<String>,
}
impl Account {
    pub fn display_name(&self) -> &str {
        &self.sub
    }
}
pub struct Wanted {
    pub audience: Option<String>,
    pub resource: Option<String>,
    pub scopes: Vec<String>,
}
pub struct Granted {
    pub token: AccessToken,
}
#[derive(Debug)]
pub struct Session;
impl Session {
    pub async fn account(&self) -> Result<Option<Account>, Error> {
        Err(Error)
    }
    pub async fn metadata(&self) -> Result<&Metadata, Error> {
        Err(Error)
    }
    pub async fn verifier(&self) -> Result<&Verifier, Error> {
        Err(Error)
    }
    pub async fn access_token(&self, _w: &Wanted) -> Result<Granted, Error> {
        Err(Error)
    }
}
