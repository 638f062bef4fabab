//! The device authorization endpoint (RFC 8628 §3.1, §3.2).

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, response::Response, routing::post};
use serde_json::{Value, json};

use super::{
    answer::{Form, Refusal, respond},
    clients::{Role, authenticate},
    preset::Preset,
    random,
    records::Login,
    scopes,
    wait::Wait,
    world::World,
};

/// How long a person has for the activation.
const LIFETIME: Duration = Duration::from_secs(900);

pub(super) fn router(world: &World) -> Router<Arc<World>> {
    Router::new().route(world.paths().device, post(authorize))
}

async fn authorize(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let result = start(&world, &headers, &body);
    world.changed.notify_waiters();
    respond(result)
}

fn start(world: &World, headers: &HeaderMap, body: &Bytes) -> Result<Value, Refusal> {
    let form = Form::read(headers, body)?;
    let endpoint = world.url(world.paths().device);
    world.with(|state, now| {
        let client = authenticate(world, state, now, headers, &form, &endpoint)?;
        client.must_be(Role::Login, world.preset)?;
        let scopes = scopes::permitted(world.preset, &client, form.get("scope").unwrap_or_default())?;
        let target = scopes::login_target(world, &form, &scopes)?;
        let user_code = random::user_code();
        let login = Login {
            id: format!("log_{}", state.next_id()),
            client_id: client.id,
            device_code: random::token(),
            user_code: user_code.clone(),
            scopes,
            target,
            created_at: now.wall,
            expires_at: now.wall + LIFETIME,
            created: now.elapsed,
            wait: Wait::new(world.interval, now.elapsed + LIFETIME),
            answered: None,
            family: None,
        };
        let page = world.url(world.paths().activate);
        let mut answer = json!({
            "device_code": login.device_code,
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": format!("{page}?user_code={user_code}"),
            "expires_in": LIFETIME.as_secs(),
        });
        if world.preset != Preset::Oidc {
            answer["interval"] = world.interval.as_secs().into();
        }
        state.logins.push(login);
        Ok(answer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::{
        LOGIN_CLIENT,
        testing::{Bench, error},
    };

    #[tokio::test]
    async fn the_answer_has_what_a_person_needs() {
        let bench = Bench::new(Preset::Auth0).await;
        let device = bench.device().await;
        let page = format!("{}/activate", bench.world.origin);
        assert_eq!(device["verification_uri"], *page);
        assert_eq!(
            device["verification_uri_complete"],
            format!("{page}?user_code={}", device["user_code"].as_str().unwrap())
        );
        assert_eq!((device["expires_in"].as_u64(), device["interval"].as_u64()), (Some(900), Some(5)));
    }

    #[tokio::test]
    async fn every_refusal() {
        let bench = Bench::new(Preset::Keycloak).await;
        let path = bench.world.paths().device;
        let known = ("client_id", LOGIN_CLIENT);
        assert_eq!(bench.form(path, &[]).await.error(), error(400, "invalid_request"));
        assert_eq!(bench.form(path, &[("client_id", "nobody")]).await.error(), error(401, "invalid_client"));
        assert_eq!(bench.form(path, &[known, known]).await.error(), error(400, "invalid_request"));
        let secret = bench.form(path, &[known, ("client_secret", "x")]).await;
        assert_eq!(secret.error(), error(401, "invalid_client"), "a public client has no secret");
        let buy = bench.form(path, &[known, ("scope", "openid product:buy")]).await;
        assert_eq!(buy.error(), error(400, "invalid_scope"), "buying is never part of a login");
        let confidential = bench.form_with(path, &[("authorization", &bench.basic())], &[("scope", "openid")]).await;
        assert_eq!(confidential.error(), error(400, "unauthorized_client"));
        let json = bench.form_with(path, &[("content-type", "application/json")], &[known]).await;
        assert_eq!(json.status, 200, "the first content type counts");
    }

    #[tokio::test]
    async fn the_target_is_named_in_the_way_of_the_preset() {
        let auth0 = Bench::new(Preset::Auth0).await;
        let known = ("client_id", LOGIN_CLIENT);
        let unknown = auth0.form("/oauth/device/code", &[known, ("audience", "nothing")]).await;
        assert_eq!(unknown.error(), error(403, "access_denied"));
        let silent = auth0.form("/oauth/device/code", &[known, ("scope", "openid product:buy")]).await;
        assert_eq!(silent.status, 200, "Auth0 leaves out what it does not grant");
        assert_eq!(auth0.manage("GET /pending", Value::Null).await.json()["logins"][0]["scopes"], json!(["openid"]));
        let oidc = Bench::new(Preset::Oidc).await;
        for resource in ["sample-shop-api", "http://127.0.0.1/other"] {
            let refused = oidc.form("/device/auth", &[known, ("resource", resource)]).await;
            assert_eq!(refused.error(), error(400, "invalid_target"));
        }
    }
}
