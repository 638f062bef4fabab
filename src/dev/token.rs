//! The token endpoint: device code (RFC 8628 §3.4), refresh token (RFC 6749 §6), CIBA (CIBA Core §10.1), and exchange
//! (in `vault`).

use std::{collections::HashSet, sync::Arc, time::Duration};

use axum::{Router, body::Bytes, extract, http::HeaderMap, response::Response, routing::post};
use serde_json::Value;

use super::{
    answer::{Form, Refusal, respond},
    clients::{CIBA_GRANT, Client, DEVICE_GRANT, EXCHANGE_GRANT, Role, VAULT_GRANT, authenticate},
    preset::Preset,
    random,
    records::{Family, Yes},
    refresh,
    scopes::{self, Target},
    tokens::{self, Order},
    vault::exchange,
    wait::Answer,
    world::{Now, State, World},
};

pub(super) fn router(world: &World) -> Router<Arc<World>> {
    Router::new().route(world.paths().token, post(token))
}

async fn token(extract::State(world): extract::State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    respond(answer(&world, &headers, &body))
}

fn answer(world: &World, headers: &HeaderMap, body: &Bytes) -> Result<Value, Refusal> {
    let form = match world.preset {
        Preset::Auth0 => Form::read_either(headers, body)?,
        Preset::Keycloak | Preset::Oidc => Form::read(headers, body)?,
    };
    let endpoint = world.url(world.paths().token);
    world.with(|state, now| {
        let grant = form.required("grant_type")?;
        let client = authenticate(world, state, now, headers, &form, &endpoint)?;
        match grant {
            DEVICE_GRANT => device(world, state, now, &client, &form),
            CIBA_GRANT => ciba(world, state, now, &client, &form),
            "refresh_token" => refresh::refresh(world, state, now, &client, &form),
            VAULT_GRANT if world.preset == Preset::Auth0 => exchange::token_vault(world, state, now, &client, &form),
            EXCHANGE_GRANT if world.preset != Preset::Auth0 => {
                exchange::token_exchange(world, state, now, &client, &form)
            }
            _ => Err(Refusal::new(400, "unsupported_grant_type", "there is no such grant here")),
        }
    })
}

/// An OAuth error with the status the preset gives it.
pub(super) fn refuse(world: &World, error: &str, description: &str) -> Refusal {
    Refusal::new(world.preset.status(error), error, description)
}

fn device(world: &World, state: &mut State, now: Now, client: &Client, form: &Form) -> Result<Value, Refusal> {
    client.must_be(Role::Login, world.preset)?;
    let code = form.required("device_code")?;
    let unknown = || refuse(world, "invalid_grant", "Invalid or expired device code.");
    let index = state.logins.iter().position(|login| login.device_code == code && login.client_id == client.id);
    let index = index.ok_or_else(unknown)?;
    let yes = match state.logins[index].wait.poll(now.elapsed, world.preset == Preset::Auth0) {
        Answer::Approved(yes) => yes,
        Answer::Pending => {
            return Err(refuse(world, "authorization_pending", "User has yet to authorize device code."));
        }
        Answer::SlowDown { interval } => {
            let why = format!("You are polling faster than the specified interval of {} seconds.", interval.as_secs());
            return Err(refuse(world, "slow_down", &why));
        }
        Answer::Denied => return Err(refuse(world, "access_denied", "User cancelled the confirmation prompt.")),
        Answer::Expired => return Err(refuse(world, "expired_token", "The device code has expired.")),
        Answer::Gone => return Err(unknown()),
        Answer::Reused => {
            // A code that is shown twice may have been stolen: what came of it ends as well (RFC 6749 §4.1.2 for codes).
            if let Some(family) = state.logins[index].family.filter(|_| world.preset == Preset::Oidc) {
                state.kill_family(family);
            }
            return Err(unknown());
        }
    };
    let target = state.logins[index].target;
    // A plain OpenID provider wants the resource named again (RFC 8707 §2.2); without it the token is for userinfo only.
    let named = if world.preset == Preset::Oidc { scopes::login_target(world, form, &yes.scopes)? } else { target };
    if named.is_some() && named != target {
        return Err(Refusal::new(400, "invalid_target", "this resource was not asked for at the start"));
    }
    let family = scopes::has(&yes.scopes, "offline_access").then(|| new_family(state, client, &yes, target));
    let order = Order {
        client_id: &client.id,
        person: yes.person,
        target: named.unwrap_or(Target::Userinfo),
        scopes: &yes.scopes,
        details: None,
        auth_time: yes.at,
        family: family.as_ref().map(|family| family.id),
        from_approval: false,
    };
    let mut answer = tokens::issue(world, state, now, &order)?;
    state.logins[index].wait.spend();
    if let Some(family) = family {
        state.logins[index].family = Some(family.id);
        answer.insert("refresh_token".into(), family.current.clone().into());
        state.families.push(family);
    }
    Ok(Value::Object(answer))
}

fn new_family(state: &mut State, client: &Client, yes: &Yes, target: Option<Target>) -> Family {
    Family {
        id: state.next_id(),
        client_id: client.id.clone(),
        person: yes.person,
        scopes: yes.scopes.clone(),
        target,
        auth_time: yes.at,
        current: random::token(),
        previous: None,
        spent: HashSet::new(),
        alive: true,
    }
}

fn ciba(world: &World, state: &mut State, now: Now, client: &Client, form: &Form) -> Result<Value, Refusal> {
    client.must_be(Role::Approval, world.preset)?;
    let id = form.required("auth_req_id")?;
    let unknown = || refuse(world, "invalid_grant", "this auth_req_id is unknown, over, or another client's");
    let found = state.approvals.iter_mut().find(|known| known.auth_req_id == id && known.client_id == client.id);
    let approval = found.ok_or_else(unknown)?;
    let auth0 = world.preset == Preset::Auth0;
    let yes = match approval.wait.poll(now.elapsed, auth0) {
        Answer::Approved(yes) => yes,
        Answer::Pending => return Err(refuse(world, "authorization_pending", "The end-user authorization is pending")),
        Answer::SlowDown { interval } => return Err(too_fast(world, interval)),
        Answer::Denied | Answer::Expired if auth0 => {
            let why = "The end-user denied the authorization request or it has been expired";
            return Err(refuse(world, "access_denied", why));
        }
        Answer::Denied => return Err(refuse(world, "access_denied", "the person said no")),
        Answer::Expired => return Err(refuse(world, "expired_token", "nobody answered in time")),
        Answer::Gone | Answer::Reused => return Err(unknown()),
    };
    let target = approval.target;
    let named = if world.preset == Preset::Oidc { scopes::target(world, form, &yes.scopes)? } else { target };
    if named.is_some() && named != target {
        return Err(Refusal::new(400, "invalid_target", "this resource was not asked for at the start"));
    }
    approval.wait.spend();
    let order = Order {
        client_id: &client.id,
        person: yes.person,
        target: named.unwrap_or(Target::Userinfo),
        scopes: &yes.scopes,
        details: yes.details.as_ref().filter(|details| named.is_some() && !details.is_null()),
        auth_time: yes.at,
        family: None,
        from_approval: true,
    };
    tokens::issue(world, state, now, &order).map(Value::Object)
}

fn too_fast(world: &World, interval: Duration) -> Refusal {
    let seconds = interval.as_secs();
    let why = format!("You are polling faster than allowed. Try again in {seconds} seconds.");
    let refusal = refuse(world, "slow_down", &why);
    // Only Auth0 says how long.
    if world.preset == Preset::Auth0 { refusal.wait(seconds) } else { refusal }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::{
        APPROVAL_CLIENT, LOGIN_CLIENT,
        testing::{Bench, error},
    };

    const PRESETS: [Preset; 3] = [Preset::Auth0, Preset::Keycloak, Preset::Oidc];

    #[tokio::test]
    async fn a_login_and_a_purchase_under_every_preset() {
        for preset in PRESETS {
            let bench = Bench::new(preset).await;
            let tokens = bench.login().await;
            let id_token = bench.world.keys.verify(tokens["id_token"].as_str().unwrap()).unwrap();
            assert_eq!(id_token["iss"], *bench.world.issuer);
            assert_eq!(id_token["aud"], LOGIN_CLIENT);
            assert_eq!(id_token.get("email").is_some(), preset != Preset::Oidc, "that is for userinfo");
            let me = bench.get(bench.world.paths().userinfo, tokens["access_token"].as_str().unwrap()).await;
            assert_eq!(me.json()["sub"], id_token["sub"], "{preset}");
            assert_eq!(me.json()["email"], "ada@example.com");

            let approval = bench.approval(&[]).await;
            let id_token = bench.world.keys.verify(approval["id_token"].as_str().unwrap()).unwrap();
            assert_eq!(id_token["sub"], me.json()["sub"]);
            assert_eq!(id_token["aud"], APPROVAL_CLIENT);
            let details = serde_json::json!({"product": "phones", "qty": 2, "price_limit": 900});
            assert_eq!(approval["authorization_details"], bench.details("purchase", &details));
            let body = serde_json::json!({"product": "phones", "qty": 2, "priceLimit": 900});
            let order = bench.order(approval["access_token"].as_str().unwrap(), "k1", body).await;
            assert_eq!((order.status, order.json()["order_id"].as_str()), (201, Some("ord_81")), "{}", order.text);
            assert_eq!(order.json()["total"], "398.00");
        }
    }

    #[tokio::test]
    async fn every_answer_of_the_device_grant() {
        let bench = Bench::new(Preset::Auth0).await;
        let device = bench.device().await;
        let code = device["device_code"].as_str().unwrap();
        assert_eq!(bench.device_poll(code).await.error(), error(403, "authorization_pending"));
        assert_eq!(bench.device_poll(code).await.error(), error(429, "slow_down"));
        bench.manage("POST /logins/latest/deny", Value::Null).await;
        bench.wait(9);
        assert_eq!(bench.device_poll(code).await.error(), error(429, "slow_down"), "five seconds more after slow_down");
        bench.wait(15);
        assert_eq!(bench.device_poll(code).await.error(), error(403, "access_denied"));
        bench.wait(15);
        assert_eq!(bench.device_poll(code).await.error(), error(403, "invalid_grant"));

        let device = bench.device().await;
        let code = device["device_code"].as_str().unwrap();
        bench.wait(900);
        assert_eq!(bench.device_poll(code).await.error(), error(403, "expired_token"));
        assert_eq!(bench.device_poll(code).await.error(), error(403, "invalid_grant"), "expiry is told once");

        assert_eq!(bench.device_poll("nonsense").await.error(), error(403, "invalid_grant"));
        let path = bench.world.paths().token;
        let pairs = [("grant_type", DEVICE_GRANT), ("client_id", LOGIN_CLIENT)];
        assert_eq!(bench.form(path, &pairs).await.error(), error(400, "invalid_request"));
        let pairs = [("grant_type", "password"), ("client_id", LOGIN_CLIENT)];
        assert_eq!(bench.form(path, &pairs).await.error(), error(400, "unsupported_grant_type"));
        let pairs = [("grant_type", DEVICE_GRANT), ("device_code", "x"), ("client_id", "nobody")];
        assert_eq!(bench.form(path, &pairs).await.error(), error(401, "invalid_client"));
        let pairs = [("grant_type", DEVICE_GRANT), ("device_code", "x")];
        let refused = bench.form_with(path, &[("authorization", &bench.basic())], &pairs).await;
        assert_eq!(refused.error(), error(403, "unauthorized_client"));
    }

    #[tokio::test]
    async fn a_device_code_gives_tokens_once_and_a_second_try_ends_the_first() {
        let bench = Bench::new(Preset::Oidc).await;
        let device = bench.device().await;
        assert!(device.get("interval").is_none(), "absent means five seconds");
        let code = device["device_code"].as_str().unwrap();
        bench.manage("POST /logins/latest/approve", serde_json::json!({"person": "grace"})).await;
        let tokens = bench.device_poll(code).await.json();
        bench.wait(5);
        assert_eq!(bench.device_poll(code).await.error(), error(400, "invalid_grant"));
        let refresh = bench.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
        assert_eq!(refresh.error(), error(400, "invalid_grant"));
    }

    #[tokio::test]
    async fn every_answer_of_the_ciba_grant() {
        let bench = Bench::new(Preset::Auth0).await;
        let ask = async || bench.ask(&[]).await.json()["auth_req_id"].as_str().unwrap().to_owned();
        let id = ask().await;
        assert_eq!(bench.ciba_poll(&id).await.error(), error(403, "authorization_pending"));
        let hurried = bench.ciba_poll(&id).await;
        assert_eq!(hurried.error(), error(429, "slow_down"));
        assert_eq!((hurried.header("retry-after"), &hurried.json()["interval"]), ("10", &10.into()));
        let hurried = bench.ciba_poll(&id).await;
        assert_eq!(hurried.json()["interval"], 15, "it grows");
        bench.manage("POST /approvals/latest/deny", Value::Null).await;
        bench.wait(15);
        assert_eq!(bench.ciba_poll(&id).await.error(), error(403, "access_denied"));
        bench.wait(15);
        assert_eq!(bench.ciba_poll(&id).await.error(), error(403, "invalid_grant"));

        let id = ask().await;
        bench.manage("POST /approvals/latest/expire", Value::Null).await;
        assert_eq!(bench.ciba_poll(&id).await.error(), error(403, "access_denied"), "Auth0 does not tell them apart");

        let id = ask().await;
        bench.manage("POST /approvals/latest/approve", Value::Null).await;
        let path = bench.world.paths().token;
        let wrong = [
            ("grant_type", CIBA_GRANT),
            ("auth_req_id", &*id),
            ("client_id", APPROVAL_CLIENT),
            ("client_secret", "no"),
        ];
        let refused = bench.form(path, &wrong).await;
        assert_eq!(refused.error(), error(401, "access_denied"), "a bad client, not a person's no");
        assert_eq!(bench.ciba_poll(&id).await.status, 200);
        assert_eq!(bench.ciba_poll(&id).await.error(), error(403, "invalid_grant"), "single use");

        let public = [("grant_type", CIBA_GRANT), ("auth_req_id", &*id), ("client_id", LOGIN_CLIENT)];
        assert_eq!(bench.form(path, &public).await.error(), error(403, "unauthorized_client"));
    }

    #[tokio::test]
    async fn keycloak_and_plain_providers_answer_400_and_name_the_expiry() {
        for preset in [Preset::Keycloak, Preset::Oidc] {
            let bench = Bench::new(preset).await;
            let asked = bench.ask(&[]).await.json();
            let id = asked["auth_req_id"].as_str().unwrap();
            assert_eq!(bench.ciba_poll(id).await.error(), error(400, "authorization_pending"));
            let hurried = bench.ciba_poll(id).await;
            assert_eq!((hurried.error(), hurried.header("retry-after")), (error(400, "slow_down"), ""));
            bench.wait(asked["expires_in"].as_u64().unwrap());
            assert_eq!(bench.ciba_poll(id).await.error(), error(400, "expired_token"));
            bench.wait(16);
            assert_eq!(bench.ciba_poll(id).await.error(), error(400, "invalid_grant"));
        }
    }

    #[tokio::test]
    async fn a_plain_provider_wants_the_resource_again() {
        let bench = Bench::new(Preset::Oidc).await;
        let asked = bench.ask(&[]).await.json();
        bench.manage("POST /approvals/latest/approve", Value::Null).await;
        let pairs = [("grant_type", CIBA_GRANT), ("auth_req_id", asked["auth_req_id"].as_str().unwrap())];
        let tokens = bench.form_with("/token", &[("authorization", &bench.basic())], &pairs).await.json();
        assert_eq!(tokens["scope"], "openid");
        assert!(tokens.get("authorization_details").is_none());
        assert!(bench.world.keys.verify(tokens["access_token"].as_str().unwrap()).is_none(), "opaque");
    }
}
