//! What an issuer signed about an approval, sealed, in the entry that it belongs to: so that it is written with it or not at
//! all, moves with it to another file, and is covered by the chain.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chain::hash_of;
use crate::{
    call::ApprovalId,
    store::seal::{DataKey, Error},
};

/// What was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Token {
    /// An ID token (OpenID Connect Core §2).
    IdToken,
    /// An access token that is a JWT (RFC 9068); kept only for the `authorization_details` in it.
    AccessToken,
}

impl Token {
    /// The word for it in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::IdToken => "id_token",
            Self::AccessToken => "access_token",
        }
    }
}

/// A signed token, and the key that it was verified with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signed {
    /// Which token.
    pub token: Token,
    /// SHA-256 of it, as it was signed.
    pub sha256: String,
    /// The issuer's public key as it was published then (RFC 7517).
    pub jwk: Value,
    /// The token, sealed with the data key (AES-256-GCM), in base64url.
    pub sealed: String,
}

impl Signed {
    /// Seals a token for the entry of this approval.
    ///
    /// # Errors
    /// If it cannot be sealed.
    pub fn seal(key: &DataKey, approval: &ApprovalId, token: Token, jwt: &str, jwk: Value) -> Result<Self, Error> {
        let sealed = key.seal(&label(token, approval), jwt.as_bytes())?;
        Ok(Self { token, sha256: hash_of(jwt.as_bytes()), jwk, sealed: URL_SAFE_NO_PAD.encode(sealed) })
    }

    /// The token in clear.
    ///
    /// # Errors
    /// If the key is another one, or it was sealed for another approval, or changed.
    pub fn open(&self, key: &DataKey, approval: &ApprovalId) -> Result<String, Error> {
        let sealed = URL_SAFE_NO_PAD.decode(&self.sealed).map_err(|_| Error::DoesNotOpen)?;
        let plain = key.open(&label(self.token, approval), &sealed)?;
        String::from_utf8(plain.to_vec()).map_err(|_| Error::DoesNotOpen)
    }
}

fn label(token: Token, approval: &ApprovalId) -> String {
    format!("{} of {approval} in the audit log", token.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_for_its_own_approval_only() {
        let key = DataKey::from_bytes(&[7; 32]).unwrap();
        let (one, other) = (ApprovalId::mint(), ApprovalId::mint());
        let signed = Signed::seal(&key, &one, Token::IdToken, "eyJ.e30.x", Value::Null).unwrap();
        assert_eq!(signed.open(&key, &one).unwrap(), "eyJ.e30.x");
        assert!(signed.open(&key, &other).is_err());
        assert!(signed.open(&DataKey::from_bytes(&[8; 32]).unwrap(), &one).is_err());
        assert!(Signed { token: Token::AccessToken, ..signed.clone() }.open(&key, &one).is_err());
        assert!(!serde_json::to_string(&signed).unwrap().contains("eyJ"));
    }
}
