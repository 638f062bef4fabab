//! The backchannel authentication endpoint (CIBA Core §7), poll mode only.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, response::Response, routing::post};
use serde_json::{Map, Value, json};

use super::{
    answer::{Form, Refusal, respond},
    clients::{Client, Proof, Role, authenticate},
    people::{self, Person},
    preset::Preset,
    random,
    records::Approval,
    scopes,
    wait::Wait,
    world::World,
};

/// The types of `authorization_details` the tenant knows (RFC 9396 §2).
pub(super) const DETAIL_TYPES: [&str; 2] = ["purchase", "account-change"];

pub(super) fn router(world: &World) -> Router<Arc<World>> {
    Router::new().route(world.paths().backchannel, post(authorize))
}

async fn authorize(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let result = start(&world, &headers, &body);
    world.changed.notify_waiters();
    respond(result)
}

fn start(world: &World, headers: &HeaderMap, body: &Bytes) -> Result<Value, Refusal> {
    let form = Form::read(headers, body)?;
    let endpoint = world.url(world.paths().backchannel);
    world.with(|state, now| {
        let client = authenticate(world, state, now, headers, &form, &endpoint)?;
        client.must_be(Role::Approval, world.preset)?;
        if matches!(client.proof, Proof::None) {
            let error = "unauthorized_client";
            return Err(Refusal::new(world.preset.status(error), error, "a public client may not ask for approvals"));
        }
        refuse_what_is_not_offered(world.preset, &form)?;
        let scopes = scopes::permitted(world.preset, &client, form.required("scope")?)?;
        if !scopes::has(&scopes, "openid") {
            return Err(Refusal::invalid_request("the scope must contain openid"));
        }
        let target = scopes::target(world, &form, &scopes)?;
        let person = person(world, &client, &form)?;
        let binding_message = binding_message(world.preset, &form)?;
        let details = form.get("authorization_details").map(|text| details(world.preset, text)).transpose()?;
        let (lifetime_s, told_s) = expiry(world.preset, &form)?;

        let approval = Approval {
            id: format!("apr_{}", state.next_id()),
            client_id: client.id,
            auth_req_id: random::token(),
            person,
            scopes,
            target,
            details,
            binding_message,
            created_at: now.wall,
            expires_at: now.wall + Duration::from_secs(lifetime_s),
            created: now.elapsed,
            wait: Wait::new(world.interval, now.elapsed + Duration::from_secs(lifetime_s)),
            answered: None,
        };
        let mut answer = json!({"auth_req_id": approval.auth_req_id, "expires_in": told_s});
        if world.preset != Preset::Oidc {
            answer["interval"] = world.interval.as_secs().into();
        }
        state.approvals.push(approval);
        Ok(answer)
    })
}

fn refuse_what_is_not_offered(preset: Preset, form: &Form) -> Result<(), Refusal> {
    let offered = |name: &str| match name {
        "request" | "login_hint_token" => false,
        "user_code" | "client_notification_token" => preset != Preset::Keycloak,
        "id_token_hint" => preset != Preset::Auth0,
        _ => true,
    };
    match form.pairs().find(|(name, _)| !offered(name)) {
        Some((name, _)) => Err(Refusal::invalid_request(format!("parameter '{name}' is not supported"))),
        None => Ok(()),
    }
}

/// Whom to ask: exactly one hint (CIBA Core §7.1).
fn person(world: &World, client: &Client, form: &Form) -> Result<&'static Person, Refusal> {
    let (hint, by_id_token) = match (form.get("login_hint"), form.get("id_token_hint")) {
        (Some(hint), None) => (hint, false),
        (None, Some(hint)) => (hint, true),
        _ => return Err(Refusal::invalid_request("exactly one hint must be there")),
    };
    if by_id_token {
        // An expired one is good enough (CIBA Core §7.1), another client's is not.
        let claims =
            world.keys.verify(hint).ok_or_else(|| Refusal::invalid_request("the id_token_hint is not ours"))?;
        if claims["iss"] != *world.issuer || claims["aud"] != *client.id {
            return Err(Refusal::invalid_request("the id_token_hint was not issued to this client"));
        }
        let subject = claims["sub"].as_str().unwrap_or_default();
        return people::by_subject(subject, world.preset).ok_or_else(unknown_user);
    }
    match world.preset {
        Preset::Auth0 => by_iss_sub(world, hint),
        Preset::Keycloak => people::PEOPLE.iter().find(|person| person.key == hint).ok_or_else(unknown_user),
        Preset::Oidc => people::find(hint, world.preset).ok_or_else(unknown_user),
    }
}

/// Auth0's hint: `{"format":"iss_sub","iss":"https://tenant/","sub":"auth0|abc"}`.
fn by_iss_sub(world: &World, hint: &str) -> Result<&'static Person, Refusal> {
    let wrong = |why: &str| Refusal::invalid_request(format!("login_hint: {why}"));
    let hint: Map<String, Value> = serde_json::from_str(hint).map_err(|_| wrong("not a JSON object"))?;
    if hint.get("format").and_then(Value::as_str) != Some("iss_sub") {
        return Err(wrong("the format must be iss_sub"));
    }
    if hint.get("iss").and_then(Value::as_str) != Some(&world.issuer) {
        return Err(wrong("iss is not this tenant (the slash at its end counts)"));
    }
    let subject = hint.get("sub").and_then(Value::as_str).ok_or_else(|| wrong("no sub"))?;
    people::by_subject(subject, world.preset).ok_or_else(unknown_user)
}

fn unknown_user() -> Refusal {
    Refusal::new(400, "unknown_user_id", "nobody here goes by this hint")
}

fn binding_message(preset: Preset, form: &Form) -> Result<Option<String>, Refusal> {
    let Some(message) = form.get("binding_message") else {
        return match preset {
            Preset::Auth0 => Err(Refusal::invalid_request("binding_message is required")),
            Preset::Keycloak | Preset::Oidc => Ok(None),
        };
    };
    let (longest, allowed) = preset.binding_message();
    if message.chars().count() > longest || !message.chars().all(allowed) {
        let why = format!("the binding message is longer than {longest} or has characters that are not allowed");
        return Err(Refusal::new(400, "invalid_binding_message", why));
    }
    Ok(Some(message.to_owned()))
}

/// How long the request really lives, and what the client is told.
fn expiry(preset: Preset, form: &Form) -> Result<(u64, u64), Refusal> {
    let usual = preset.default_expiry_s();
    let Some(text) = form.get("requested_expiry") else { return Ok((usual, usual)) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let asked = text.parse::<u64>().ok().filter(|asked| digits && *asked > 0);
    let asked = asked.ok_or_else(|| Refusal::invalid_request("requested_expiry must be a positive integer"))?;
    match preset {
        Preset::Auth0 if asked > 300 => {
            Err(Refusal::invalid_request("above 300 seconds the request would go by e-mail, which is not set up"))
        }
        Preset::Auth0 => Ok((asked, asked)),
        // Keycloak names the realm's value although the request ends when it was asked to.
        Preset::Keycloak => Ok((asked.min(usual), usual)),
        Preset::Oidc => Ok((asked.min(usual), asked.min(usual))),
    }
}

/// Checks `authorization_details` (RFC 9396 §2, §5).
fn details(preset: Preset, text: &str) -> Result<Value, Refusal> {
    let wrong = |why: &str| Refusal::new(400, "invalid_authorization_details", why);
    if preset == Preset::Auth0 && text.len() > 5 * 1024 {
        return Err(wrong("larger than 5 kB"));
    }
    let value: Value = serde_json::from_str(text).map_err(|_| wrong("not JSON"))?;
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(|| wrong("not an array with members"))?;
    if list.len() > 5 {
        return Err(wrong("more than five members"));
    }
    for member in list {
        let member = member.as_object().ok_or_else(|| wrong("a member is not an object"))?;
        let kind = member.get("type").and_then(Value::as_str).ok_or_else(|| wrong("a member has no type"))?;
        if !DETAIL_TYPES.contains(&kind) {
            return Err(wrong("a member has a type that is not registered"));
        }
        let arguments =
            member.get("arguments").and_then(Value::as_object).ok_or_else(|| wrong("no arguments object"))?;
        if kind == "purchase" {
            let product = arguments.get("product").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
            let quantity = arguments.get("qty").and_then(Value::as_u64).is_some_and(|qty| qty > 0);
            if !product || !quantity {
                return Err(wrong("a purchase needs a product and a qty above zero"));
            }
        }
        for texts in ["actions", "locations"] {
            let fits = |list: &Value| list.as_array().is_some_and(|list| list.iter().all(Value::is_string));
            if member.get(texts).is_some_and(|list| !fits(list)) {
                return Err(wrong("actions and locations are arrays of strings"));
            }
        }
    }
    Ok(value)
}
