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
        let target = scopes::target(world, &form, &scopes)?;
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
