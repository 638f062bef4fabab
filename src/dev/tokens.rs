//! Making access tokens and ID tokens (RFC 9068, OpenID Connect Core §2).

use std::time::Duration;

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{
    VAULT_CLIENT,
    answer::Refusal,
    people::Person,
    preset::Preset,
    random,
    records::Issued,
    scopes::{self, Target},
    world::{Now, State, World},
};

/// How long an approval's token is good for: it is meant for the one call that follows.
const APPROVAL_TOKEN_S: u64 = 300;

/// What is to be issued.
pub(super) struct Order<'a> {
    pub(super) client_id: &'a str,
    pub(super) person: &'static Person,
    pub(super) target: Target,
    pub(super) scopes: &'a [String],
    pub(super) details: Option<&'a Value>,
    pub(super) auth_time: DateTime<Utc>,
    pub(super) family: Option<u64>,
    /// Whether a person approved exactly this.
    pub(super) from_approval: bool,
}

/// Issues an access token, and an ID token when `openid` was granted; returns the members of the token response
/// (RFC 6749 §5.1).
pub(super) fn issue(
    world: &World,
    state: &mut State,
    now: Now,
    order: &Order<'_>,
) -> Result<Map<String, Value>, Refusal> {
    let scopes = scopes::of_target(world.preset, order.target, order.scopes);
    let lifetime = if order.from_approval { APPROVAL_TOKEN_S } else { world.preset.access_token_s() };
    let mut audience = vec![order.target.audience_at(world)];
    if world.preset == Preset::Keycloak && !order.from_approval {
        // An audience mapper of the login client: Keycloak exchanges a token only for a client that it names.
        audience.push(VAULT_CLIENT.to_owned());
    }
    let issued = Issued {
        client_id: order.client_id.to_owned(),
        person: order.person,
        scopes: scopes.clone(),
        audience: audience.clone(),
        issued_at: now.wall,
        expires_at: now.wall + Duration::from_secs(lifetime),
        family: order.family,
        // A plain OpenID provider hands out tokens for its own userinfo endpoint that nobody else can read.
        opaque: world.preset == Preset::Oidc && order.target == Target::Userinfo,
        revoked: false,
    };
    let access_token = if issued.opaque {
        random::token()
    } else {
        let mut claims = json!({
            "iss": world.issuer,
            "sub": order.person.subject(world.preset),
            "aud": aud(&audience),
            "client_id": order.client_id,
            "azp": order.client_id,
            "scope": scopes.join(" "),
            "iat": now.wall.timestamp(),
            "exp": issued.expires_at.timestamp(),
            "auth_time": order.auth_time.timestamp(),
            "jti": random::token(),
        });
        if let Some(details) = order.details {
            claims["authorization_details"] = details.clone();
        }
        sign(world, "at+jwt", &claims)?
    };
    let mut answer = Map::new();
    if scopes::has(order.scopes, "openid") {
        answer.insert("id_token".into(), id_token(world, now, order, &access_token)?.into());
    }
    if let Some(details) = order.details {
        answer.insert("authorization_details".into(), details.clone());
    }
    answer.insert("token_type".into(), "Bearer".into());
    answer.insert("expires_in".into(), lifetime.into());
    answer.insert("scope".into(), scopes.join(" ").into());
    answer.insert("access_token".into(), access_token.clone().into());
    state.issued.insert(access_token, issued);
    Ok(answer)
}

fn id_token(world: &World, now: Now, order: &Order<'_>, access_token: &str) -> Result<String, Refusal> {
    // A plain OpenID provider keeps name and address for the userinfo endpoint (OpenID Connect Core §5.4).
    let told = if world.preset == Preset::Oidc { &[] } else { order.scopes };
    let mut claims = person_claims(world.preset, order.person, told);
    let own = json!({
        "iss": world.issuer,
        "aud": order.client_id,
        "azp": order.client_id,
        "iat": now.wall.timestamp(),
        "exp": now.wall.timestamp() + 3600,
        "auth_time": order.auth_time.timestamp(),
        "at_hash": half_hash(access_token),
    });
    if let Value::Object(own) = own {
        claims.extend(own);
    }
    sign(world, "JWT", &Value::Object(claims))
}

/// One audience as a string, several as a list (RFC 7519 §4.1.3).
pub(super) fn aud(audience: &[String]) -> Value {
    match audience {
        [one] => json!(one),
        several => json!(several),
    }
}

/// The left half of the token's hash (OpenID Connect Core §3.1.3.6).
fn half_hash(access_token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, access_token.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
}

/// What the scopes allow to be said about a person (OpenID Connect Core §5.4).
pub(super) fn person_claims(preset: Preset, person: &Person, granted: &[String]) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("sub".into(), person.subject(preset).into());
    if scopes::has(granted, "profile") {
        let (given, family) = person.names();
        claims.insert("name".into(), person.name.into());
        claims.insert("given_name".into(), given.into());
        claims.insert("family_name".into(), family.into());
        claims.insert("preferred_username".into(), person.key.into());
    }
    if scopes::has(granted, "email") {
        claims.insert("email".into(), person.email.into());
        claims.insert("email_verified".into(), true.into());
    }
    claims
}

fn sign(world: &World, typ: &str, claims: &Value) -> Result<String, Refusal> {
    world.keys.sign(typ, claims).map_err(|error| Refusal::new(500, "server_error", error.to_string()))
}
