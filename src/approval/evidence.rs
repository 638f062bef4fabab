//! What is written down about a yes, so that others can see later who gave it, and to what.

use serde::Serialize;

use crate::{
    call::ApprovalId,
    policy::{Binding, Details},
    store::audit::Signed,
};

/// What proves an approval, for the audit log. Holds no token in clear.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// Which approval.
    pub approval: ApprovalId,
    /// How it is tied to the call.
    pub binding: Binding,
    /// What became of the `authorization_details`.
    pub details: Details,
    /// Who vouches.
    pub issuer: String,
    /// Who asked.
    pub client: String,
    /// Who approved.
    pub subject: String,
    /// SHA-256 of the `auth_req_id`.
    pub auth_req_id_sha256: String,
    /// SHA-256 of the ID token as it was signed.
    pub id_token_sha256: String,
    /// The key that signed it.
    pub kid: Option<String>,
    /// The token's own id.
    pub jti: Option<String>,
    /// How the person was authenticated (OpenID Connect Core §2).
    pub acr: Option<String>,
    /// By which methods.
    pub amr: Vec<String>,
    /// What both devices showed.
    pub binding_message: String,
    /// When it was asked.
    pub requested_at: String,
    /// When the yes arrived.
    pub approved_at: String,
    /// What the issuer signed, sealed.
    pub signed: Vec<Signed>,
}
