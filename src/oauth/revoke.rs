//! Taking a refresh token back (RFC 7009).
//!
//! Not through the `oauth2` crate: it refuses every revocation endpoint that is not https, loopback included.

use super::{Caller, Error, Refusal};
use crate::secret::RefreshToken;

/// Revokes a refresh token.
///
/// # Errors
/// If the server cannot be reached, has no such endpoint or refuses. That it cannot revoke this type of token
/// (`unsupported_token_type`, RFC 7009 §2.2.1) counts as done: there is nothing left to do.
pub async fn refresh_token(caller: &Caller<'_>, token: &RefreshToken) -> Result<(), Error> {
    let endpoint = caller.metadata.revocation_endpoint.as_ref();
    let endpoint = endpoint.ok_or(Error::Unsupported { what: "revocation endpoint" })?;
    let fields = [("token", token.expose()), ("token_type_hint", "refresh_token")];
    let response = caller.post(endpoint, &fields).await?;
    if matches!(response.status, 200 | 204) {
        return Ok(());
    }
    match Refusal::or_malformed(&response, "revocation answer") {
        Error::Refused(refusal) if refusal.error == "unsupported_token_type" => Ok(()),
        error => Err(error),
    }
}
