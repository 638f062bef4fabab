//! What is written down about a yes, so that others can see later who gave it, and to what.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::judge::Judged;
use crate::{
    call::{ApprovalId, Digest},
    oauth::TokenResponse,
    policy::{Binding, Details},
    secret::AuthReqId,
    store::{audit::Signed, journal::ApprovalRow},
};

/// What proves an approval, for the audit log. Holds no token in clear.
#[derive(Clone, Debug, Serialize, Deserialize)]
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

/// What proves a yes that was judged to be one.
pub(super) fn of(
    row: &ApprovalRow,
    judged: Judged,
    tokens: &TokenResponse,
    auth_req_id: &AuthReqId,
    signed: Vec<Signed>,
    approved_at: DateTime<Utc>,
) -> Evidence {
    let Judged { claims, binding, details } = judged;
    let id_token = tokens.id_token.as_ref().map(|token| token.expose().as_bytes()).unwrap_or_default();
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    Evidence {
        approval: row.asked.id.clone(),
        binding,
        details,
        issuer: claims.iss,
        client: row.asked.client_id.clone(),
        subject: claims.sub,
        auth_req_id_sha256: Digest::of_bytes(auth_req_id.expose().as_bytes()).to_hex(),
        id_token_sha256: Digest::of_bytes(id_token).to_hex(),
        kid: claims.kid,
        jti: claims.jti,
        acr: claims.acr,
        amr: claims.amr,
        binding_message: row.asked.binding_message.clone(),
        requested_at: time(row.requested_at.unwrap_or(row.asked.created_at)),
        approved_at: time(approved_at),
        signed,
    }
}
