//! How a client proves which client it is: not at all, with a secret (RFC 6749 §2.3.1) or with a key (RFC 7523 §2.2).

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Error;
use crate::secret::{ClientKey, ClientSecret};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Seconds. Auth0 recommends a minute and takes up to five.
const ASSERTION_LIFETIME: i64 = 60;

/// A client and its proof.
#[derive(Clone, Debug)]
pub struct Client {
    /// The `client_id`.
    pub id: String,
    /// How it proves itself.
    pub auth: ClientAuth,
}

/// A proof, with what is needed to make it.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// A public client only says its name.
    None,
    /// `client_secret_basic`.
    SecretBasic(ClientSecret),
    /// `client_secret_post`.
    SecretPost(ClientSecret),
    /// `private_key_jwt` (OpenID Connect Core §9).
    PrivateKeyJwt {
        /// The private key.
        key: ClientKey,
        /// Under which name the server knows its public half.
        key_id: Option<String>,
    },
}

/// The names of the proofs, as in registration metadata (RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// `none`.
    None,
    /// `client_secret_basic`.
    ClientSecretBasic,
    /// `client_secret_post`.
    ClientSecretPost,
    /// `private_key_jwt`.
    PrivateKeyJwt,
}

impl AuthMethod {
    const ALL: [Self; 4] = [Self::None, Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt];
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        })
    }
}

impl FromStr for AuthMethod {
    type Err = UnknownAuthMethod;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|method| method.to_string() == name).ok_or(UnknownAuthMethod)
    }
}

/// A name that is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a known client authentication; there are none, client_secret_basic, client_secret_post and private_key_jwt"
)]
pub struct UnknownAuthMethod;

/// What a request carries as proof: a header, or form fields.
pub(super) struct Proof {
    pub(super) authorization: Option<HeaderValue>,
    pub(super) fields: Vec<(&'static str, String)>,
}

impl Client {
    /// A client that cannot keep a secret.
    #[must_use]
    pub fn public(id: impl Into<String>) -> Self {
        Self { id: id.into(), auth: ClientAuth::None }
    }

    /// The name of its proof.
    #[must_use]
    pub fn method(&self) -> AuthMethod {
        match self.auth {
            ClientAuth::None => AuthMethod::None,
            ClientAuth::SecretBasic(_) => AuthMethod::ClientSecretBasic,
            ClientAuth::SecretPost(_) => AuthMethod::ClientSecretPost,
            ClientAuth::PrivateKeyJwt { .. } => AuthMethod::PrivateKeyJwt,
        }
    }

    /// Makes the proof for one request. Never use it twice: an assertion is accepted once.
    pub(super) fn prove(&self, issuer: &str, now: DateTime<Utc>) -> Result<Proof, Error> {
        let id = || ("client_id", self.id.clone());
        Ok(match &self.auth {
            ClientAuth::None => Proof { authorization: None, fields: vec![id()] },
            ClientAuth::SecretBasic(secret) => {
                Proof { authorization: Some(basic(&self.id, secret)?), fields: Vec::new() }
            }
            ClientAuth::SecretPost(secret) => {
                Proof { authorization: None, fields: vec![id(), ("client_secret", secret.expose().to_owned())] }
            }
            ClientAuth::PrivateKeyJwt { .. } => {
                let mut fields = vec![id()];
                fields.extend(self.assertion(issuer, now)?);
                Proof { authorization: None, fields }
            }
        })
    }

    /// The two fields of `private_key_jwt`; empty for every other proof. The audience is the issuer, which CIBA Core §7.1,
    /// Auth0 and the endpoints of OpenID Connect servers all accept.
    pub(super) fn assertion(&self, issuer: &str, now: DateTime<Utc>) -> Result<Vec<(&'static str, String)>, Error> {
        let ClientAuth::PrivateKeyJwt { key, key_id } = &self.auth else { return Ok(Vec::new()) };
        let (algorithm, key) = signing_key(key)?;
        let mut header = Header::new(algorithm);
        header.kid.clone_from(key_id);
        let issued = now.timestamp();
        let claims = json!({
            "iss": self.id, "sub": self.id, "aud": issuer,
            "jti": Uuid::new_v4().simple().to_string(), "iat": issued, "exp": issued + ASSERTION_LIFETIME,
        });
        let signed = jsonwebtoken::encode(&header, &claims, &key);
        let signed = signed.map_err(|_| Error::Key { why: "it cannot sign".to_owned() })?;
        Ok(vec![("client_assertion_type", ASSERTION_TYPE.to_owned()), ("client_assertion", signed)])
    }
}

/// Both parts are form-encoded before they are joined (RFC 6749 §2.3.1); plain Basic authentication is not.
fn basic(id: &str, secret: &ClientSecret) -> Result<HeaderValue, Error> {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let joined = STANDARD.encode(format!("{}:{}", encode(id), encode(secret.expose())));
    let mut value = HeaderValue::from_str(&format!("Basic {joined}"))
        .map_err(|_| Error::Key { why: "the secret does not fit into a header".to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// P-256 keys sign ES256, RSA keys RS256.
fn signing_key(key: &ClientKey) -> Result<(Algorithm, EncodingKey), Error> {
    let pem = key.expose().as_bytes();
    let ec = EncodingKey::from_ec_pem(pem).map(|key| (Algorithm::ES256, key));
    ec.or_else(|_| EncodingKey::from_rsa_pem(pem).map(|key| (Algorithm::RS256, key)))
        .map_err(|_| Error::Key { why: "it is neither an EC nor an RSA private key in PEM".to_owned() })
}

/// A new key for `private_key_jwt`: the private half, its name, and the public half to be registered with the server.
#[derive(Clone, Debug)]
pub struct NewClientKey {
    /// The private half.
    pub key: ClientKey,
    /// The name of the pair: the thumbprint of the public half (RFC 7638).
    pub key_id: String,
    /// The public half, as a JWK.
    pub public: Value,
}

/// Makes a P-256 key pair.
///
/// # Errors
/// If the machine gives no randomness.
pub fn generate_client_key() -> Result<NewClientKey, Error> {
    let failed = || Error::Key { why: "no new key could be made".to_owned() };
    let random = aws_lc_rs::rand::SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(|_| failed())?;
    let text = zeroize::Zeroizing::new(STANDARD.encode(der.as_ref()));
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    let key = ClientKey::new(pem);
    let (algorithm, signing) = signing_key(&key)?;
    let mut public = Jwk::from_encoding_key(&signing, algorithm).map_err(|_| failed())?;
    let key_id = public.thumbprint(ThumbprintHash::SHA256).map_err(|_| failed())?;
    public.common.key_id = Some(key_id.clone());
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    let public = serde_json::to_value(public).map_err(|_| failed())?;
    Ok(NewClientKey { key, key_id, public })
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn method_names_round_trip() {
        for name in ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"] {
            assert_eq!(name.parse::<AuthMethod>().unwrap().to_string(), name);
        }
        assert!("client_secret_jwt".parse::<AuthMethod>().is_err());
    }

    #[test]
    fn basic_is_form_encoded_first() {
        let client = Client { id: "a:b".into(), auth: ClientAuth::SecretBasic(ClientSecret::new("p%q +ä")) };
        let proof = client.prove("https://i.example", now()).unwrap();
        let value = proof.authorization.unwrap();
        let decoded = STANDARD.decode(value.to_str().unwrap().strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(decoded).unwrap(), "a%3Ab:p%25q+%2B%C3%A4");
        assert!(proof.fields.is_empty());
    }

    #[test]
    fn each_request_has_its_own_assertion() {
        let made = generate_client_key().unwrap();
        assert_eq!(made.public["kty"], "EC");
        assert!(made.public.get("d").is_none());
        let auth = ClientAuth::PrivateKeyJwt { key: made.key, key_id: Some(made.key_id.clone()) };
        let client = Client { id: "cli".into(), auth };
        let public: Jwk = serde_json::from_value(made.public).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.set_audience(&["https://i.example/"]);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..2 {
            let fields = client.prove("https://i.example/", now()).unwrap().fields;
            assert_eq!(fields[0], ("client_id", "cli".to_owned()));
            assert_eq!(fields[1], ("client_assertion_type", ASSERTION_TYPE.to_owned()));
            let key = DecodingKey::from_jwk(&public).unwrap();
            let token = jsonwebtoken::decode::<Value>(&fields[2].1, &key, &validation).unwrap();
            assert_eq!(token.header.kid.as_ref(), Some(&made.key_id));
            assert_eq!((&token.claims["iss"], &token.claims["sub"]), (&json!("cli"), &json!("cli")));
            assert_eq!(token.claims["exp"].as_i64().unwrap() - token.claims["iat"].as_i64().unwrap(), 60);
            seen.insert(token.claims["jti"].as_str().unwrap().to_owned());
        }
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn a_broken_key_says_nothing_of_itself() {
        let auth = ClientAuth::PrivateKeyJwt { key: ClientKey::new("hunter2"), key_id: None };
        let client = Client { id: "cli".into(), auth };
        let error = client.prove("https://i.example/", now()).err().unwrap();
        assert!(!format!("{error} {error:?} {client:?}").contains("hunter2"));
    }
}
