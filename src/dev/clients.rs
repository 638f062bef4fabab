//! Who the clients are and how they prove it: not at all, by a secret, or by a signed assertion (RFC 6749 §2.3, RFC 7523).

use axum::http::{HeaderMap, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, decode_header, jwk::Jwk};
use serde_json::Value;

use super::{
    answer::{Form, Refusal},
    keys,
    preset::Preset,
    scopes,
    world::{Now, State, World},
};
use crate::secret::ClientSecret;

pub(super) const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
pub(super) const CIBA_GRANT: &str = "urn:openid:params:grant-type:ciba";
/// Auth0's Token Vault.
pub(super) const VAULT_GRANT: &str =
    "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token";
/// RFC 8693 §2.1.
pub(super) const EXCHANGE_GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How far a client's clock may be off.
const SKEW_S: i64 = 30;

/// A registered client.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: String,
    /// What the pages call it.
    pub(super) name: String,
    pub(super) proof: Proof,
    pub(super) role: Role,
    pub(super) scopes: Vec<String>,
}

/// What a client is for. No single one does all of it, as at Auth0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// Device flow and refresh.
    Login,
    /// CIBA.
    Approval,
    /// Exchanging tokens for those of third parties.
    Vault,
}

/// How a client authenticates.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// A public client.
    None,
    /// By a secret, in the header or in the body.
    Secret(ClientSecret),
    /// By an assertion signed with the private half of this key.
    Key(Box<Jwk>),
}

impl Client {
    pub(super) fn new(id: &str, role: Role, proof: Proof) -> Self {
        let [create, read, delete] = scopes::ACCOUNTS;
        let (name, scopes): (&str, &[&str]) = match role {
            Role::Login => (
                "agentctl (login)",
                &["openid", "profile", "email", "offline_access", scopes::READ, create, read, delete],
            ),
            Role::Approval => ("agentctl (approvals)", &["openid", "profile", "email", scopes::READ, scopes::BUY]),
            Role::Vault => ("agentctl (vault)", &[]),
        };
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        Self { id: id.to_owned(), name: name.to_owned(), proof, role, scopes }
    }

    /// Refuses a grant that this client's role does not have.
    pub(super) fn must_be(&self, role: Role, preset: Preset) -> Result<(), Refusal> {
        if self.role == role {
            return Ok(());
        }
        let error = "unauthorized_client";
        Err(Refusal::new(preset.status(error), error, "this client is not allowed to use this grant"))
    }
}

/// Finds out which client sent a request, or refuses. `endpoint` is the address the request went to.
pub(super) fn authenticate(
    world: &World,
    state: &mut State,
    now: Now,
    headers: &HeaderMap,
    form: &Form,
    endpoint: &str,
) -> Result<Client, Refusal> {
    let basic = basic(headers)?;
    let body_secret = form.get("client_secret");
    let assertion = form.get("client_assertion");
    if usize::from(basic.is_some()) + usize::from(body_secret.is_some()) + usize::from(assertion.is_some()) > 1 {
        return Err(Refusal::invalid_request("more than one way of client authentication"));
    }
    if let Some(assertion) = assertion {
        if form.get("client_assertion_type") != Some(ASSERTION_TYPE) {
            return Err(Refusal::invalid_request("client_assertion_type is not jwt-bearer"));
        }
        return by_assertion(world, state, now, form.get("client_id"), assertion, endpoint);
    }
    let by_header = basic.is_some();
    let (id, secret) = match basic {
        Some((id, secret)) => {
            if form.get("client_id").is_some_and(|named| named != id) {
                return Err(Refusal::invalid_request("client_id differs from the authenticated client"));
            }
            (id, Some(secret))
        }
        None => (form.required("client_id")?.to_owned(), body_secret.map(str::to_owned)),
    };
    let client = state.client(&id).ok_or_else(|| unknown(by_header))?;
    match (&client.proof, secret) {
        (Proof::None, None) => Ok(client.clone()),
        (Proof::Secret(expected), Some(given)) if same(expected.expose(), &given) => Ok(client.clone()),
        // Auth0 says `access_denied` here, which is not a person's no: the status tells.
        (Proof::Secret(_), Some(_)) if world.preset == Preset::Auth0 => {
            Err(Refusal::new(401, "access_denied", "Unauthorized"))
        }
        _ => Err(unknown(by_header)),
    }
}

fn unknown(by_header: bool) -> Refusal {
    let refusal = Refusal::new(401, "invalid_client", "client authentication failed");
    if by_header { refusal.challenge("Basic realm=\"dev tenant\"") } else { refusal }
}

/// Id and secret of a Basic header: both form-urlencoded before they were joined (RFC 6749 §2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let read = || {
        let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
        let decoded = scheme.eq_ignore_ascii_case("basic").then(|| BASE64_STANDARD.decode(encoded.trim()).ok())??;
        let text = String::from_utf8(decoded).ok()?;
        let (id, secret) = text.split_once(':')?;
        Some((form_decoded(id)?, form_decoded(secret)?))
    };
    read().map(Some).ok_or_else(|| Refusal::invalid_request("the authorization header cannot be read"))
}

/// One form-urlencoded word, strictly: a `%` that starts no escape is an error.
fn form_decoded(word: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Compares without telling by the time it takes how much was right.
fn same(expected: &str, given: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), given.as_bytes()).is_ok()
}

/// A client assertion (RFC 7523 §3; Auth0's limits on its length and life hold for everybody).
fn by_assertion(
    world: &World,
    state: &mut State,
    now: Now,
    named: Option<&str>,
    assertion: &str,
    endpoint: &str,
) -> Result<Client, Refusal> {
    let refuse = |why: &str| Refusal::new(401, "invalid_client", format!("client assertion: {why}"));
    if assertion.len() > 2048 {
        return Err(refuse("longer than 2048 bytes"));
    }
    let algorithm = decode_header(assertion).map_err(|_| refuse("not a JWT"))?.alg;
    if !matches!(algorithm, Algorithm::ES256 | Algorithm::RS256 | Algorithm::PS256 | Algorithm::EdDSA) {
        return Err(refuse("its algorithm is not allowed"));
    }
    // The issuer says whose key to take; only the signature makes that claim true.
    let claimed = jsonwebtoken::dangerous::insecure_decode_claims::<Value>(assertion)
        .ok()
        .and_then(|claims| Some(claims.get("iss")?.as_str()?.to_owned()))
        .ok_or_else(|| refuse("no iss"))?;
    let client = state.client(&claimed).cloned().ok_or_else(|| refuse("unknown client"))?;
    let Proof::Key(jwk) = &client.proof else { return Err(refuse("this client has no key")) };
    let key = DecodingKey::from_jwk(jwk).map_err(|_| refuse("the registered key is of no use"))?;
    let claims = keys::claims(assertion, &key, &[algorithm]).ok_or_else(|| refuse("the signature does not hold"))?;

    if claims["sub"] != claims["iss"] {
        return Err(refuse("iss and sub differ"));
    }
    if named.is_some_and(|named| named != client.id) {
        return Err(refuse("client_id is another's"));
    }
    let accepted = [world.issuer.clone(), world.url(world.paths().token), endpoint.to_owned()];
    let for_us = |value: &Value| value.as_str().is_some_and(|aud| accepted.iter().any(|known| known == aud));
    let audience_fits = match &claims["aud"] {
        Value::Array(list) => list.len() == 1 && list.iter().all(for_us),
        one => for_us(one),
    };
    if !audience_fits {
        return Err(refuse("aud is not this server"));
    }
    let wall = now.wall.timestamp();
    let expires = claims["exp"].as_i64().ok_or_else(|| refuse("no exp"))?;
    if expires + SKEW_S <= wall {
        return Err(refuse("expired"));
    }
    if expires > wall + 300 + SKEW_S {
        return Err(refuse("valid for more than five minutes"));
    }
    for moment in ["iat", "nbf"] {
        if claims[moment].as_i64().is_some_and(|at| at > wall + SKEW_S) {
            return Err(refuse("from the future"));
        }
    }
    let jti = claims["jti"].as_str().filter(|jti| !jti.is_empty() && jti.len() <= 64);
    let jti = jti.ok_or_else(|| refuse("no jti of 1 to 64 characters"))?;
    state.assertions.retain(|_, until| *until > wall);
    if state.assertions.insert((client.id.clone(), jti.to_owned()), expires + SKEW_S).is_some() {
        return Err(refuse("this jti was used before"));
    }
    Ok(client)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{rand::SystemRandom, signature};
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;
    use crate::dev::{
        APPROVAL_CLIENT, LOGIN_CLIENT,
        testing::{Bench, Reply, error},
    };

    #[tokio::test]
    async fn secrets_come_in_the_header_or_the_body_but_not_twice() {
        let bench = Bench::new(Preset::Keycloak).await;
        let path = bench.world.paths().backchannel;
        let ask = async |headers: &[(&str, &str)], more: &[(&str, &str)]| {
            let pairs = bench.push(&[]);
            let mut pairs: Vec<(&str, &str)> =
                pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            pairs.extend(more);
            bench.form_with(path, headers, &pairs).await
        };
        let secret = bench.secret();
        let in_body = [("client_id", APPROVAL_CLIENT), ("client_secret", &*secret)];
        let basic = bench.basic();
        let in_header = [("authorization", &*basic)];
        assert_eq!(ask(&in_header, &[]).await.status, 200);
        assert_eq!(ask(&[], &in_body).await.status, 200);
        assert_eq!(ask(&in_header, &in_body[1..]).await.error(), error(400, "invalid_request"));
        assert_eq!(ask(&in_header, &[("client_id", "other")]).await.error(), error(400, "invalid_request"));
        assert_eq!(ask(&[], &in_body[..1]).await.error(), error(401, "invalid_client"), "no secret at all");
        assert_eq!(ask(&[], &[("client_id", LOGIN_CLIENT)]).await.error(), error(400, "unauthorized_client"));
        assert_eq!(ask(&[], &[]).await.error(), error(400, "invalid_request"), "no client at all");
        let wrong = format!("Basic {}", BASE64_STANDARD.encode(format!("{APPROVAL_CLIENT}:no")));
        let refused = ask(&[("authorization", &*wrong)], &[]).await;
        assert_eq!(refused.error(), error(401, "invalid_client"));
        assert!(refused.header("www-authenticate").starts_with("Basic"));
        let broken = format!("Basic {}", BASE64_STANDARD.encode(format!("{APPROVAL_CLIENT}:50%")));
        assert_eq!(ask(&[("authorization", &*broken)], &[]).await.error(), error(400, "invalid_request"));
    }

    #[test]
    fn form_encoding_is_undone_strictly() {
        assert_eq!(form_decoded("a+b%3A%c3%a9").as_deref(), Some("a b:\u{e9}"));
        assert_eq!(form_decoded("100%"), None);
        assert_eq!(form_decoded("%zz"), None);
        assert_eq!(form_decoded("%ff"), None);
    }

    /// A client with a key of its own, registered with the tenant.
    async fn with_key(bench: &Bench) -> EncodingKey {
        let pkcs8 =
            signature::EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let key = EncodingKey::from_ec_der(pkcs8.unwrap().as_ref());
        let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        let body = json!({"client_id": "signer", "role": "approval", "jwk": jwk});
        assert_eq!(bench.manage("POST /clients", body).await.status, 200);
        key
    }

    async fn ask(bench: &Bench, assertion: &str) -> Reply {
        let mut pairs = bench.push(&[]);
        pairs.push(("client_assertion_type".to_owned(), ASSERTION_TYPE.to_owned()));
        pairs.push(("client_assertion".to_owned(), assertion.to_owned()));
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        bench.form(bench.world.paths().backchannel, &pairs).await
    }

    #[tokio::test]
    async fn assertions_are_checked_to_the_last_claim() {
        let bench = Bench::new(Preset::Auth0).await;
        let key = with_key(&bench).await;
        let now = 1_900_000_000;
        let good = || {
            json!({
                "iss": "signer", "sub": "signer", "aud": bench.world.issuer, "iat": now, "exp": now + 60,
                "jti": crate::dev::random::token(),
            })
        };
        let sign = |claims: &Value| encode(&Header::new(Algorithm::ES256), claims, &key).unwrap();
        assert_eq!(ask(&bench, &sign(&good())).await.status, 200);
        for audience in [
            json!([bench.world.issuer]),
            json!(bench.world.url("/oauth/token")),
            json!(bench.world.url("/bc-authorize")),
        ] {
            let mut claims = good();
            claims["aud"] = audience;
            assert_eq!(ask(&bench, &sign(&claims)).await.status, 200);
        }
        let once = sign(&good());
        assert_eq!(ask(&bench, &once).await.status, 200);
        assert_eq!(ask(&bench, &once).await.error(), error(401, "invalid_client"), "replayed");

        let changes = [
            ("iss", json!("agentctl-approval")),
            ("iss", json!("nobody")),
            ("sub", json!("somebody")),
            ("aud", json!("http://other.example/")),
            ("aud", json!(bench.world.issuer.trim_end_matches('/'))),
            ("aud", json!([bench.world.issuer, "http://other.example/"])),
            ("aud", Value::Null),
            ("exp", json!(now - 60)),
            ("exp", json!(now + 600)),
            ("exp", Value::Null),
            ("iat", json!(now + 600)),
            ("nbf", json!(now + 600)),
            ("jti", Value::Null),
            ("jti", json!("")),
            ("jti", json!("x".repeat(65))),
            ("padding", json!("x".repeat(2048))),
        ];
        for (name, value) in changes {
            let mut claims = good();
            claims[name] = value.clone();
            assert_eq!(ask(&bench, &sign(&claims)).await.error(), error(401, "invalid_client"), "{name}: {value}");
        }
        let by_secret = encode(&Header::new(Algorithm::HS256), &good(), &EncodingKey::from_secret(b"x")).unwrap();
        assert_eq!(ask(&bench, &by_secret).await.error(), error(401, "invalid_client"));
        let other_bench = Bench::new(Preset::Auth0).await;
        let other = with_key(&other_bench).await;
        let foreign = encode(&Header::new(Algorithm::ES256), &good(), &other).unwrap();
        assert_eq!(ask(&bench, &foreign).await.error(), error(401, "invalid_client"));
        assert_eq!(ask(&bench, "not.a.jwt").await.error(), error(401, "invalid_client"));
    }
}
