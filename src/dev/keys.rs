//! The tenant's signing key: made at start, gone at exit (RFC 7515, RFC 7517).

use aws_lc_rs::{rand::SystemRandom, signature};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use serde_json::{Value, json};

/// One ES256 key pair with its public half.
pub(super) struct Keys {
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

    /// The public half as one member of a JWK set (RFC 7517 §5).
    pub(super) fn jwk(&self) -> Value {
        json!(self.jwk)
    }

    /// Signs claims; `typ` is `JWT` or `at+jwt` (RFC 9068 §2.1).
    pub(super) fn sign(&self, typ: &str, claims: &Value) -> Result<String, KeyError> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &self.private).map_err(|_| KeyError)
    }

    /// The claims of a token this key signed. Times and audience are the caller's to judge: the tenant's clock may have
    /// been moved, and the library looks at the machine's.
    pub(super) fn verify(&self, token: &str) -> Option<Value> {
        let header = decode_header(token).ok()?;
        if header.kid.as_deref() != Some(&self.kid) {
            return None;
        }
        claims(token, &self.public, &[Algorithm::ES256])
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
        assert!(keys.verify(&format!("{head}{}", tail.to_ascii_uppercase())).is_none());
        assert_eq!(keys.jwk()["use"], "sig");
        assert_eq!(keys.jwk()["kid"], decode_header(&token).unwrap().kid.unwrap());
    }
}
