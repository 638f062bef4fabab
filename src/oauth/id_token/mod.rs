//! ID tokens: who logged in, who said yes (OpenID Connect Core §3.1.3.7, CIBA Core §10.1.1).
//!
//! `jsonwebtoken` checks the signature and nothing else: its other checks are optional by default and read the machine's
//! clock. Everything about the claims stands in [`check`], where it can be read.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use url::Url;

use super::{Error, Metadata};
use crate::{
    clock::SharedClock,
    http::{Http, Request},
    secret::{AccessToken, AuthReqId, IdToken},
};

/// Signatures that are accepted, whatever the token or the server says. Nothing symmetric, never `none`.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
/// How far the two clocks may be apart, in seconds.
const SKEW: i64 = 30;
/// A login's ID token that was signed longer ago than this is somebody's old one.
const MAX_AGE: i64 = 24 * 60 * 60;

/// Between tries to fetch the keys: a yes whose proof cannot be read is lost, so a moment's trouble must not be its end.
const PAUSES: [Duration; 3] = [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(2)];
/// For one try.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What an ID token says, once it has been verified.
#[derive(Clone, Debug, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// The person, at this issuer.
    pub sub: String,
    /// For which client.
    #[serde(deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// The client it was made for.
    pub azp: Option<String>,
    /// When it stops being true.
    #[serde(deserialize_with = "seconds")]
    pub exp: i64,
    /// When it was signed.
    #[serde(deserialize_with = "seconds")]
    pub iat: i64,
    /// When it begins to be true.
    #[serde(default, deserialize_with = "maybe_seconds")]
    pub nbf: Option<i64>,
    /// When the person last proved who they are.
    #[serde(default, deserialize_with = "maybe_seconds")]
    pub auth_time: Option<i64>,
    /// How strongly they did.
    pub acr: Option<String>,
    /// By which means they did.
    #[serde(default)]
    pub amr: Vec<String>,
    /// The token's own id.
    pub jti: Option<String>,
    /// Full name.
    pub name: Option<String>,
    /// User name.
    pub preferred_username: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Whether the server has verified the address.
    #[serde(default, deserialize_with = "lenient_bool")]
    pub email_verified: Option<bool>,
    /// Half the hash of the access token it came with.
    at_hash: Option<String>,
    #[serde(rename = "urn:openid:params:jwt:claim:auth_req_id")]
    auth_req_id: Option<AuthReqId>,
    /// Which key signed it.
    #[serde(skip)]
    pub kid: Option<String>,
    /// How it was signed.
    #[serde(skip)]
    pub alg: String,
    /// The key that it was verified with.
    #[serde(skip)]
    pub jwk: Option<Jwk>,
}

/// A published key set, its keys not yet looked at.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// What an ID token must agree with.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The client it must be for.
    pub client_id: &'a str,
    /// Whom it must be about; none when this is what is to be found out.
    pub subject: Option<&'a str>,
    /// Signed no earlier than this, but for the clocks' difference: when the approval was requested.
    pub not_before: Option<DateTime<Utc>>,
    /// The access token it came with.
    pub access_token: Option<&'a AccessToken>,
    /// The approval request it answers.
    pub auth_req_id: Option<&'a AuthReqId>,
}

/// What is wrong with an ID token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// There is none.
    #[error("there is none")]
    Missing,
    /// Not a JWT, or without a claim that must be there.
    #[error("it is malformed")]
    Malformed,
    /// Signed in a way that is not accepted.
    #[error("its signature is of a kind that is not accepted")]
    Algorithm,
    /// Its header asks for something that must be understood, and is not.
    #[error("its header asks for what is not understood here")]
    Header,
    /// Signed with a key that the server has not published.
    #[error("it is signed with an unknown key")]
    UnknownKey,
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// From another issuer.
    #[error("it is from another issuer")]
    Issuer,
    /// For another client, or for others as well.
    #[error("it is not for this client alone")]
    Audience,
    /// About nobody, or about somebody else.
    #[error("it is about somebody else")]
    Subject,
    /// No longer true.
    #[error("it has expired (or this machine's clock is wrong)")]
    Expired,
    /// Not true yet, or signed in the future.
    #[error("it is from the future (or this machine's clock is wrong)")]
    Future,
    /// Signed too long ago to be an answer to this request.
    #[error("it is older than the request (or this machine's clock is wrong)")]
    Old,
    /// It came with another access token, or answers another request.
    #[error("it belongs to another answer")]
    OtherAnswer,
}

/// Verifies one issuer's ID tokens. Its keys are fetched when the first one is needed, and once more when a token names a
/// key that is not among them.
pub struct Verifier {
    http: Http,
    clock: SharedClock,
    issuer: String,
    jwks_uri: Url,
    keys: Mutex<Option<Arc<JwkSet>>>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier for this issuer.
    #[must_use]
    pub fn new(http: Http, clock: SharedClock, metadata: &Metadata) -> Self {
        let (issuer, jwks_uri) = (metadata.issuer.clone(), metadata.jwks_uri.clone());
        Self { http, clock, issuer, jwks_uri, keys: Mutex::default() }
    }

    /// Fetches the keys, unless they are here.
    ///
    /// # Errors
    /// If they cannot be had: then it is better not to ask for a token that they would have to prove.
    pub async fn ready(&self) -> Result<(), Error> {
        if self.known().is_none() {
            self.fetch_keys().await?;
        }
        Ok(())
    }

    fn known(&self) -> Option<Arc<JwkSet>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Verifies the ID token of a login.
    ///
    /// # Errors
    /// If it does not prove who logged in, or the issuer's keys cannot be had.
    pub async fn verify_login(
        &self,
        token: Option<&IdToken>,
        expected: &Expected<'_>,
        now: DateTime<Utc>,
    ) -> Result<Claims, Error> {
        self.verify(token, expected, now).await
    }

    /// Verifies the ID token of an approval: `expected` must name the person and the time of the request.
    ///
    /// # Errors
    /// If it does not prove that this person answered this request, or the issuer's keys cannot be had.
    pub async fn verify_approval(
        &self,
        token: Option<&IdToken>,
        expected: &Expected<'_>,
        now: DateTime<Utc>,
    ) -> Result<Claims, Error> {
        if expected.subject.is_none() || expected.not_before.is_none() {
            return Err(Flaw::Subject.into());
        }
        self.verify(token, expected, now).await
    }

    async fn verify(
        &self,
        token: Option<&IdToken>,
        expected: &Expected<'_>,
        now: DateTime<Utc>,
    ) -> Result<Claims, Error> {
        let token = token.ok_or(Flaw::Missing)?;
        let claims = match self.known().map(|keys| signed_claims(token, &keys)) {
            Some(Ok(claims)) => claims,
            Some(Err(flaw)) if flaw != Flaw::UnknownKey => return Err(flaw.into()),
            _ => signed_claims(token, &*self.fetch_keys().await?)?,
        };
        check(&claims, &self.issuer, expected, now)?;
        Ok(claims)
    }

    /// What another JWT of this issuer says, an access token (RFC 9068) for one, and the key that signed it. None if it is
    /// not a JWT, or not signed with a key that is known since the last ID token.
    #[must_use]
    pub fn other_jwt(&self, jwt: &str) -> Option<(Value, Jwk)> {
        signed(jwt, &*self.known()?).ok().map(|signed| (signed.payload, signed.jwk))
    }

    async fn fetch_keys(&self) -> Result<Arc<JwkSet>, Error> {
        for pause in PAUSES {
            match self.fetch_keys_once().await {
                Ok(keys) => return Ok(keys),
                Err(error) => tracing::debug!(%error, "the issuer's keys cannot be fetched, trying again"),
            }
            self.clock.sleep(pause).await;
        }
        self.fetch_keys_once().await
    }

    async fn fetch_keys_once(&self) -> Result<Arc<JwkSet>, Error> {
        let response = self.http.send(Request::get(self.jwks_uri.clone()).timeout(TIMEOUT)).await?;
        let set: KeySet = match response.json() {
            Ok(set) if response.status == 200 => set,
            _ => return Err(Error::malformed("issuer's key set", &response)),
        };
        // A key of a kind that is unknown here is none of ours; the others are as good as before (RFC 7517 §5).
        let known = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        let keys = Arc::new(JwkSet { keys: known.collect() });
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys.clone());
        Ok(keys)
    }
}

/// The claims of an ID token that came straight from the token endpoint with a refresh. The connection vouches for it
/// (OpenID Connect Core §3.1.3.7, item 6); what must not have changed is compared by the caller (§12.2).
pub(crate) fn unverified_claims(token: &IdToken) -> Result<Claims, Flaw> {
    jsonwebtoken::dangerous::insecure_decode_claims(token.expose()).map_err(|_| Flaw::Malformed)
}

/// What a JWT says that was kept together with the key that it was verified with: its signature is checked, and no claim.
///
/// # Errors
/// If this key did not sign it.
pub fn kept_payload(jwt: &str, jwk: &Value) -> Result<Value, Flaw> {
    let jwk = serde_json::from_value(jwk.clone()).map_err(|_| Flaw::UnknownKey)?;
    signed(jwt, &JwkSet { keys: vec![jwk] }).map(|signed| signed.payload)
}

/// The claims of an ID token whose signature holds under one of these keys.
fn signed_claims(token: &IdToken, keys: &JwkSet) -> Result<Claims, Flaw> {
    let Signed { payload, kid, alg, jwk } = signed(token.expose(), keys)?;
    let claims: Claims = serde_json::from_value(payload).map_err(|_| Flaw::Malformed)?;
    Ok(Claims { kid, alg, jwk: Some(jwk), ..claims })
}

/// A JWT whose signature holds.
struct Signed {
    payload: Value,
    kid: Option<String>,
    alg: String,
    jwk: Jwk,
}

/// Finds the key, checks the signature, reads the claims.
fn signed(token: &str, keys: &JwkSet) -> Result<Signed, Flaw> {
    // An unknown `alg`, `none` among them, is an error of this library already.
    let header = jsonwebtoken::decode_header(token).map_err(|_| algorithm_or_malformed(token))?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Flaw::Algorithm);
    }
    // What `crit` names must be understood (RFC 7515 §4.1.11), and none of it is; the other two change what was signed
    // (RFC 7797 §3, RFC 7516 §4.1.3).
    let extended = |header: Value| header.get("crit").or(header.get("zip")).is_some() || header["b64"] == false;
    if raw_header(token).is_none_or(extended) {
        return Err(Flaw::Header);
    }
    let fitting = keys.keys.iter().filter(|key| fits(key, header.alg));
    let candidates: Vec<&Jwk> = match &header.kid {
        Some(kid) => fitting.filter(|key| key.common.key_id.as_ref() == Some(kid)).collect(),
        None => fitting.collect(),
    };
    // Without a name, only a single key is beyond doubt (OpenID Connect Core §10.1).
    if candidates.is_empty() || (header.kid.is_none() && candidates.len() > 1) {
        return Err(Flaw::UnknownKey);
    }
    let mut only_signature = Validation::new(header.alg);
    only_signature.required_spec_claims.clear();
    only_signature.validate_exp = false;
    only_signature.validate_aud = false;
    let mut flaw = Flaw::Signature;
    for candidate in candidates {
        let Ok(key) = DecodingKey::from_jwk(candidate) else { continue };
        match jsonwebtoken::decode::<Value>(token, &key, &only_signature) {
            Ok(data) => {
                let alg = format!("{:?}", header.alg);
                return Ok(Signed { payload: data.claims, kid: header.kid, alg, jwk: candidate.clone() });
            }
            Err(error) => {
                use jsonwebtoken::errors::ErrorKind::{InvalidToken, Json, Utf8};
                if matches!(error.kind(), InvalidToken | Json(_) | Utf8(_)) {
                    flaw = Flaw::Malformed;
                }
            }
        }
    }
    Err(flaw)
}

/// Whether the header could not be read because of its `alg`.
fn algorithm_or_malformed(token: &str) -> Flaw {
    if raw_header(token).is_some_and(|header| header["alg"].is_string()) { Flaw::Algorithm } else { Flaw::Malformed }
}

/// The header with members that the library has no field for.
fn raw_header(token: &str) -> Option<Value> {
    let json = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
    serde_json::from_slice(&json).ok()
}

/// Whether a published key may be used for this kind of signature: what it says about itself counts.
fn fits(key: &Jwk, alg: Algorithm) -> bool {
    let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
    let same = match key.common.key_algorithm {
        None => true,
        Some(known) => matches!(
            (known, alg),
            (KeyAlgorithm::RS256, Algorithm::RS256)
                | (KeyAlgorithm::PS256, Algorithm::PS256)
                | (KeyAlgorithm::ES256, Algorithm::ES256)
                | (KeyAlgorithm::EdDSA, Algorithm::EdDSA)
        ),
    };
    let family = DecodingKey::from_jwk(key).is_ok_and(|key| key.family() == alg.family());
    signs && same && family
}

/// Everything about the claims.
fn check(claims: &Claims, issuer: &str, expected: &Expected<'_>, now: DateTime<Utc>) -> Result<(), Flaw> {
    let now = now.timestamp();
    if claims.iss != issuer {
        return Err(Flaw::Issuer);
    }
    if claims.aud != [expected.client_id] || claims.azp.as_ref().is_some_and(|azp| azp != expected.client_id) {
        return Err(Flaw::Audience);
    }
    if claims.sub.is_empty() || expected.subject.is_some_and(|subject| subject != claims.sub) {
        return Err(Flaw::Subject);
    }
    if claims.exp <= now.saturating_sub(SKEW) {
        return Err(Flaw::Expired);
    }
    let latest = now.saturating_add(SKEW);
    if claims.iat > latest || claims.nbf.is_some_and(|nbf| nbf > latest) {
        return Err(Flaw::Future);
    }
    let earliest = expected.not_before.map_or(now - MAX_AGE, |time| time.timestamp() - SKEW);
    if claims.iat < earliest {
        return Err(Flaw::Old);
    }
    let other_token = match (&claims.at_hash, expected.access_token) {
        (Some(hash), Some(token)) => *hash != half_hash(&claims.alg, token),
        _ => false,
    };
    let other_request = match (&claims.auth_req_id, expected.auth_req_id) {
        (Some(answered), Some(asked)) => answered != asked,
        _ => false,
    };
    if other_token || other_request { Err(Flaw::OtherAnswer) } else { Ok(()) }
}

/// The left half of the hash that goes with the signature (OpenID Connect Core §3.1.3.6).
fn half_hash(alg: &str, token: &AccessToken) -> String {
    let algorithm = if alg == "EdDSA" { &digest::SHA512 } else { &digest::SHA256 };
    let hash = digest::digest(algorithm, token.expose().as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2])
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::One(one) => vec![one],
        Either::Many(many) => many,
    })
}

/// A NumericDate may have a fraction (RFC 7519 §2); a text it may not be.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let whole = number.as_i64().or_else(|| number.as_f64().filter(|f| f.abs() < 9e15).map(|f| f as i64));
    whole.ok_or_else(|| serde::de::Error::custom("not a time"))
}

fn maybe_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    seconds(deserializer).map(Some)
}

/// Some servers write `"true"`; anything else counts as not said.
pub(super) fn lenient_bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value.as_bool().or_else(|| value.as_str().and_then(|text| text.parse().ok())))
}

#[cfg(test)]
mod tests;
