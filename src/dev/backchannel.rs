//! The backchannel authentication endpoint (CIBA Core §7), poll mode only.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, response::Response, routing::post};
use serde_json::{Map, Value, json};

use super::{
    answer::{Form, Refusal, respond},
    clients::{Client, Proof, Role, authenticate},
    details,
    people::{self, Person},
    preset::Preset,
    random,
    records::Approval,
    scopes,
    wait::Wait,
    world::World,
};

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
        let details = form.get("authorization_details").map(|text| details::check(world.preset, text)).transpose()?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::testing::{Bench, error};

    #[tokio::test]
    async fn every_refusal() {
        let bench = Bench::new(Preset::Auth0).await;
        let hint = |iss: &str, sub: &str| json!({"format": "iss_sub", "iss": iss, "sub": sub}).to_string();
        let issuer = &bench.world.issuer;
        let without_slash = hint(issuer.trim_end_matches('/'), "auth0|ada");
        let nobody = hint(issuer, "auth0|eve");
        let other_format = json!({"format": "email", "email": "ada@example.com"}).to_string();
        let long = "x".repeat(65);
        let cases: &[(&str, Option<&str>, &str)] = &[
            ("scope", None, "invalid_request"),
            ("scope", Some("product:buy"), "invalid_request"),
            ("login_hint", None, "invalid_request"),
            ("login_hint", Some("ada"), "invalid_request"),
            ("login_hint", Some(&without_slash), "invalid_request"),
            ("login_hint", Some(&other_format), "invalid_request"),
            ("login_hint", Some(&nobody), "unknown_user_id"),
            ("login_hint_token", Some("x"), "invalid_request"),
            ("id_token_hint", Some("x"), "invalid_request"),
            ("request", Some("x"), "invalid_request"),
            ("binding_message", None, "invalid_request"),
            ("binding_message", Some(&long), "invalid_binding_message"),
            ("binding_message", Some("900 €"), "invalid_binding_message"),
            ("binding_message", Some("two\nlines"), "invalid_binding_message"),
            ("requested_expiry", Some("0"), "invalid_request"),
            ("requested_expiry", Some("-5"), "invalid_request"),
            ("requested_expiry", Some("+5"), "invalid_request"),
            ("requested_expiry", Some("301"), "invalid_request"),
            ("requested_expiry", Some("soon"), "invalid_request"),
            ("authorization_details", Some("{}"), "invalid_authorization_details"),
            ("authorization_details", Some("[]"), "invalid_authorization_details"),
            ("authorization_details", Some("[1]"), "invalid_authorization_details"),
            ("authorization_details", Some("no"), "invalid_authorization_details"),
            ("authorization_details", Some(r#"[{"type":"purchase"}]"#), "invalid_authorization_details"),
        ];
        for (name, value, expected) in cases {
            assert_eq!(bench.ask(&[(name, *value)]).await.error(), error(400, expected), "{name} {value:?}");
        }
        assert_eq!(bench.ask(&[("audience", Some("other"))]).await.error(), error(403, "access_denied"));
        assert!(bench.manage("GET /pending", Value::Null).await.json()["approvals"].as_array().unwrap().is_empty());
        assert_eq!(bench.ask(&[("requested_expiry", Some("60"))]).await.json()["expires_in"], 60);
        let change = bench.details("account-change", &json!({"user": "eve"})).to_string();
        assert_eq!(bench.ask(&[("authorization_details", Some(&change))]).await.status, 200);
    }

    #[tokio::test]
    async fn presets_differ_in_hints_messages_and_lifetimes() {
        let keycloak = Bench::new(Preset::Keycloak).await;
        let asked = keycloak.ask(&[("binding_message", None), ("requested_expiry", Some("30"))]).await;
        assert_eq!(asked.json()["expires_in"], 120, "it says the realm's value and lives shorter");
        keycloak.wait(30);
        let poll = keycloak.ciba_poll(asked.json()["auth_req_id"].as_str().unwrap()).await;
        assert_eq!(poll.error(), error(400, "expired_token"));
        assert_eq!(
            keycloak.ask(&[("login_hint", Some("ada@example.com"))]).await.error(),
            error(400, "unknown_user_id")
        );
        assert_eq!(keycloak.ask(&[("user_code", Some("1"))]).await.error(), error(400, "invalid_request"));
        assert_eq!(
            keycloak.ask(&[("binding_message", Some("two words"))]).await.error(),
            error(400, "invalid_binding_message")
        );

        let oidc = Bench::new(Preset::Oidc).await;
        for details in [
            r#"[{"arguments":{}}]"#,
            r#"[{"type":"gift","arguments":{}}]"#,
            r#"[{"type":"purchase"}]"#,
            r#"[{"type":"purchase","arguments":{"product":"x","qty":0}}]"#,
            r#"[{"type":"account-change","arguments":{},"actions":"x"}]"#,
        ] {
            let refused = oidc.ask(&[("authorization_details", Some(details))]).await;
            assert_eq!(refused.error(), error(400, "invalid_authorization_details"), "{details}");
        }
        for hint in ["ada", "ada@example.com"] {
            let asked = oidc.ask(&[("login_hint", Some(hint))]).await.json();
            assert_eq!((asked["expires_in"].as_u64(), asked.get("interval")), (Some(600), None));
        }
        let long = oidc.ask(&[("binding_message", Some("BUY-2-phones.7F3KQ9ZTX"))]).await;
        assert_eq!(long.error(), error(400, "invalid_binding_message"));
        // An ID token of the same client is a hint as well, also after its end; the login client's is not.
        let own = oidc.approval(&[]).await["id_token"].as_str().unwrap().to_owned();
        oidc.wait(7200);
        assert_eq!(oidc.ask(&[("login_hint", None), ("id_token_hint", Some(&own))]).await.status, 200);
        let both = oidc.ask(&[("id_token_hint", Some(&own))]).await;
        assert_eq!(both.error(), error(400, "invalid_request"));
        let others = oidc.login().await["id_token"].as_str().unwrap().to_owned();
        let refused = oidc.ask(&[("login_hint", None), ("id_token_hint", Some(&others))]).await;
        assert_eq!(refused.error(), error(400, "invalid_request"));
    }
}
