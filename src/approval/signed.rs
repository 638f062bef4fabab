//! What is kept of an approval's tokens, so that the audit log can prove later what the issuer signed.

use serde_json::Value;

use super::{Approvals, Error};
use crate::{
    call::ApprovalId,
    oauth::{TokenResponse, id_token::Claims},
    store::audit::{Signed, Token},
};

impl Approvals {
    /// The ID token, and the access token if the issuer signed `authorization_details` in it (RFC 9396 §9.1).
    pub(super) async fn keep_signed(
        &self,
        id: &ApprovalId,
        claims: &Claims,
        tokens: &TokenResponse,
    ) -> Result<Vec<Signed>, Error> {
        let key = self.store.data_key().await?;
        let mut signed = Vec::new();
        let mut keep = |token: Token, jwt: &str, jwk| -> Result<(), Error> {
            let jwk = serde_json::to_value(jwk).unwrap_or(Value::Null);
            signed.push(Signed::seal(key, id, token, jwt, jwk).map_err(|_| Error::Seal)?);
            Ok(())
        };
        if let (Some(token), Some(jwk)) = (&tokens.id_token, &claims.jwk) {
            keep(Token::IdToken, token.expose(), jwk)?;
        }
        let verifier = self.session.verifier().await.map_err(Error::Session)?;
        let access_token = tokens.access_token.expose();
        if let Some((payload, jwk)) = verifier.other_jwt(access_token)
            && payload["authorization_details"].is_array()
        {
            keep(Token::AccessToken, access_token, &jwk)?;
        }
        Ok(signed)
    }
}
