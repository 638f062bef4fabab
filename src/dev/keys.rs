//! The tenant's signing keys: made at start, gone at exit (RFC 7515, RFC 7517).

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use aws_lc_rs::{rand::SystemRandom, signature};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use serde_json::{Value, json};

/// All keys since the start; the last one signs.
pub(super) struct Keys(RwLock<Vec<Key>>);

/// One ES256 key pair with its public half.
struct Key {
    private: EncodingKey,
    public: DecodingKey,
    jwk: Jwk,
    kid: String,
}

/// No key could be made, or a value could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("make or use a signing key")]
pub struct KeyError;

impl Keys {
    pub(super) fn generate() -> Result<Self, KeyError> {
        Ok(Self(RwLock::new(vec![Key::generate()?])))
    }

    /// From now on a new key signs; the old ones stay published, as what they signed is still good.
    pub(super) fn rotate(&self) -> Result<String, KeyError> {
        let key = Key::generate()?;
        let kid = key.kid.clone();
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(key);
        Ok(kid)
    }

    /// The public halves (RFC 7517 §5).
    pub(super) fn jwks(&self) -> Value {
        json!({"keys": self.read().iter().map(|key| &key.jwk).collect::<Vec<_>>()})
    }

    /// Signs claims; `typ` is `JWT` or `at+jwt` (RFC 9068 §2.1).
    pub(super) fn sign(&self, typ: &str, claims: &Value) -> Result<String, KeyError> {
        let keys = self.read();
        let key = keys.last().ok_or(KeyError)?;
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(typ.to_owned());
        header.kid = Some(key.kid.clone());
        encode(&header, claims, &key.private).map_err(|_| KeyError)
    }

    /// The claims of a token one of these keys signed. Times and audience are the caller's to judge: the tenant's clock
    /// may have been moved, and the library looks at the machine's.
    pub(super) fn verify(&self, token: &str) -> Option<Value> {
        let kid = decode_header(token).ok()?.kid?;
        let keys = self.read();
        let key = keys.iter().find(|key| key.kid == kid)?;
        claims(token, &key.public, &[Algorithm::ES256])
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Key>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn generate() -> Result<Self, KeyError> {
        let pkcs8 =
            signature::EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(|_| KeyError)?;
        let private = EncodingKey::from_ec_der(pkcs8.as_ref());
        let mut jwk = Jwk::from_encoding_key(&private, Algorithm::ES256).map_err(|_| KeyError)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyError)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let public = DecodingKey::from_jwk(&jwk).map_err(|_| KeyError)?;
        Ok(Self { private, public, jwk, kid })
    }
}

/// The claims of a token whose signature holds under `key` with one of `algorithms`; nothing else is checked.
pub(super) fn claims(token: &str, key: &DecodingKey, algorithms: &[Algorithm]) -> Option<Value> {
    let mut validation = Validation::new(*algorithms.first()?);
    validation.algorithms = algorithms.to_vec();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    decode::<Value>(token, key, &validation).ok().map(|data| data.claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_verifies_and_nothing_else() {
        let keys = Keys::generate().unwrap();
        let token = keys.sign("JWT", &json!({"sub": "ada"})).unwrap();
        assert_eq!(keys.verify(&token).unwrap()["sub"], "ada");
        assert!(Keys::generate().unwrap().verify(&token).is_none());
        let (head, tail) = token.split_at(token.len() - 8);
        let altered: String = tail.chars().map(|c| if c == 'A' { 'B' } else { 'A' }).collect();
        assert!(keys.verify(&format!("{head}{altered}")).is_none());
        assert_eq!(keys.jwks()["keys"][0]["use"], "sig");
        assert_eq!(keys.jwks()["keys"][0]["kid"], decode_header(&token).unwrap().kid.unwrap());
        let kid = keys.rotate().unwrap();
        assert!(keys.verify(&token).is_some(), "what the old key signed is still good");
        assert_eq!(decode_header(keys.sign("JWT", &json!({})).unwrap()).unwrap().kid, Some(kid));
        assert_eq!(keys.jwks()["keys"].as_array().unwrap().len(), 2);
    }
}
