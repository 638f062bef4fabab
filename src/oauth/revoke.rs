//! Taking a refresh token back (RFC 7009).
//!
//! Not through the `oauth2` crate: it refuses every revocation endpoint that is not https, loopback included.

use super::{Caller, Error, Refusal};
use crate::secret::RefreshToken;

/// Revokes a refresh token.
///
/// # Errors
/// If the server cannot be reached, has no such endpoint or refuses. That it does not revoke this type of token
/// (`unsupported_token_type`, RFC 7009 §2.2.1) is a refusal: the token lives on.
pub async fn refresh_token(caller: &Caller<'_>, token: &RefreshToken) -> Result<(), Error> {
    let endpoint = caller.metadata.revocation_endpoint.as_ref();
    let endpoint = endpoint.ok_or(Error::Unsupported { what: "revocation endpoint" })?;
    let fields = [("token", token.expose()), ("token_type_hint", "refresh_token")];
    let response = caller.post(endpoint, &fields).await?;
    match response.status {
        200 | 204 => Ok(()),
        _ => Err(Refusal::or_malformed(&response, "revocation answer")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oauth::testing::{Peer, Script};

    #[tokio::test]
    async fn what_counts_as_done() {
        let mut peer = Peer::start().await;
        let token = RefreshToken::new("r1");
        for (answer, done) in [
            (Script::text(200, ""), true),
            (Script::json(400, json!({"error": "unsupported_token_type"})), false),
            (Script::json(401, json!({"error": "invalid_client"})), false),
            (Script::text(503, "busy"), false),
        ] {
            peer.server.answer("/revoke", answer);
            assert_eq!(refresh_token(&peer.caller(), &token).await.is_ok(), done);
        }
        let seen = peer.server.seen("/revoke").pop().unwrap();
        assert_eq!((seen.field("token"), seen.field("client_id")), (Some("r1"), Some("cli")));
        assert_eq!(seen.field("token_type_hint"), Some("refresh_token"));
        peer.metadata.revocation_endpoint = None;
        assert!(matches!(refresh_token(&peer.caller(), &token).await, Err(Error::Unsupported { .. })));
    }
}
