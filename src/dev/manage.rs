//! The management port: a test's hands and eyes inside the tenant. docs/dev-tenant/ has the schema of every body.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{self, Path, Query, Request, rejection::QueryRejection},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jsonwebtoken::{DecodingKey, jwk::Jwk};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{Refusal, bearer, json_body, respond},
    clients::{Client, Proof, Role},
    faults::Fault,
    fga,
    history::LABELS,
    people::{self, PEOPLE, Person},
    vault,
    world::{NoAnswer, Twist, World},
};
use crate::secret::ClientSecret;

type Shared = extract::State<Arc<World>>;

pub(super) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/pending", get(pending))
        .route("/logins/{which}/{verb}", post(answer_login))
        .route("/approvals/{which}/{verb}", post(answer_approval))
        .route("/auto", post(auto))
        .route("/clock", post(clock))
        .route("/faults", post(add_fault).delete(clear_faults))
        .route("/history", get(history))
        .route("/orders", get(orders))
        .merge(fga::manage_router())
        .route("/directory", get(directory))
        .route("/clients", post(register))
        .route("/keys/rotate", post(rotate))
        .route("/script", post(script))
        .route("/reset", post(reset))
        .merge(vault::manage::router())
        .fallback(async || Refusal::new(404, "not_found", "there is no such call").into_response())
        .layer(middleware::from_fn_with_state(Arc::clone(&world), authorized))
        .with_state(world)
}

async fn authorized(extract::State(world): Shared, request: Request, next: Next) -> Response {
    if bearer(request.headers()) == Some(&world.secrets.manage_token) {
        return next.run(request).await;
    }
    let refusal = Refusal::new(401, "unauthorized", "the Bearer token of the ready line is needed");
    refusal.challenge("Bearer").into_response()
}

async fn pending(extract::State(world): Shared) -> Response {
    respond(Ok(world.with(|state, now| {
        let logins = state.logins.iter().filter(|login| login.wait.is_open(now.elapsed));
        let approvals = state.approvals.iter().filter(|approval| approval.wait.is_open(now.elapsed));
        json!({
            "logins": logins.map(super::records::Login::json).collect::<Vec<_>>(),
            "approvals": approvals.map(super::records::Approval::json).collect::<Vec<_>>(),
        })
    })))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginAnswer {
    person: Option<String>,
}

async fn answer_login(
    extract::State(world): Shared,
    Path((which, verb)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let result = json_body(&body).and_then(|body: LoginAnswer| {
        let person = named(&world, body.person.as_deref())?.unwrap_or(&PEOPLE[0]);
        let (yes, done) = match verb.as_str() {
            "approve" => (Some(person), "approved"),
            "deny" => (None, "denied"),
            _ => return Err(Refusal::new(404, "not_found", "a login can be approved or denied")),
        };
        answered(world.with(|state, now| state.answer_login(&which, now, yes)), done)
    });
    world.changed.notify_waiters();
    respond(result)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApprovalAnswer {
    /// Somebody else says yes.
    person: Option<String>,
    /// The server grants other details than were asked for; `null` leaves them out.
    #[serde(default, deserialize_with = "present")]
    authorization_details: Option<Value>,
    /// The server grants other scopes.
    scope: Option<String>,
}

/// Tells `null` from nothing.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

async fn answer_approval(
    extract::State(world): Shared,
    Path((which, verb)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let result = json_body(&body).and_then(|body: ApprovalAnswer| {
        let twist = Twist {
            person: named(&world, body.person.as_deref())?,
            details: body.authorization_details,
            scopes: body.scope.map(|scope| scope.split_ascii_whitespace().map(str::to_owned).collect()),
        };
        world.with(|state, now| match verb.as_str() {
            "approve" => answered(state.answer_approval(&which, now, Some(twist)), "approved"),
            "deny" => answered(state.answer_approval(&which, now, None), "denied"),
            "expire" => answered(state.expire_approval(&which, now), "expired"),
            _ => Err(Refusal::new(404, "not_found", "a push can be approved, denied or expired")),
        })
    });
    world.changed.notify_waiters();
    respond(result)
}

fn named(world: &World, person: Option<&str>) -> Result<Option<&'static Person>, Refusal> {
    let find = |word| {
        people::find(word, world.preset)
            .ok_or_else(|| Refusal::invalid_request("there is no such person: ada, grace, alan"))
    };
    person.map(find).transpose()
}

fn answered(result: Result<String, NoAnswer>, state: &str) -> Result<Value, Refusal> {
    match result {
        Ok(id) => Ok(json!({"id": id, "state": state})),
        Err(NoAnswer::Unknown) => Err(Refusal::new(404, "not_found", "nothing of that name waits")),
        Err(NoAnswer::NotOpen) => Err(Refusal::new(409, "not_open", "it was answered before, or its time is over")),
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Habit {
    Approve,
    Deny,
    Off,
}

impl Habit {
    fn answer(self) -> Option<bool> {
        match self {
            Self::Approve => Some(true),
            Self::Deny => Some(false),
            Self::Off => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AutoBody {
    logins: Option<Habit>,
    approvals: Option<Habit>,
    after_ms: Option<u64>,
}

async fn auto(extract::State(world): Shared, body: Bytes) -> Response {
    let result = json_body(&body).map(|body: AutoBody| {
        world.with(|state, now| {
            if let Some(habit) = body.logins {
                state.auto.logins = habit.answer();
            }
            if let Some(habit) = body.approvals {
                state.auto.approvals = habit.answer();
            }
            state.auto.after = Duration::from_millis(body.after_ms.unwrap_or(0));
            state.auto.since = now.elapsed;
            let word = |answer: Option<bool>| match answer {
                Some(true) => "approve",
                Some(false) => "deny",
                None => "off",
            };
            json!({
                "logins": word(state.auto.logins), "approvals": word(state.auto.approvals),
                "after_ms": super::history::millis(state.auto.after),
            })
        })
    });
    respond(result)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockBody {
    advance_s: u64,
}

async fn clock(extract::State(world): Shared, body: Bytes) -> Response {
    let result = json_body(&body).and_then(|body: ClockBody| {
        // A hundred years are enough for every expiry and far from what a date can hold.
        if body.advance_s > 100 * 366 * 86_400 {
            return Err(Refusal::invalid_request("that is too far"));
        }
        world.with(|state, _| state.offset += Duration::from_secs(body.advance_s));
        Ok(world.with(|state, now| json!({"now": now.wall, "offset_s": state.offset.as_secs()})))
    });
    respond(result)
}

async fn add_fault(extract::State(world): Shared, body: Bytes) -> Response {
    let result = json_body(&body).and_then(|fault: Fault| {
        if !LABELS.contains(&fault.on.as_str()) {
            return Err(Refusal::invalid_request(format!("'on' must be one of {}", LABELS.join(", "))));
        }
        if fault.times == 0 || fault.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return Err(Refusal::invalid_request("times must be above 0 and status from 200 to 599"));
        }
        Ok(world.with(|state, _| {
            state.faults.push(fault);
            json!({"faults": state.faults.len()})
        }))
    });
    respond(result)
}

async fn clear_faults(extract::State(world): Shared) -> Response {
    world.with(|state, _| state.faults.clear());
    respond(Ok(json!({"faults": 0})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    of: Option<String>,
}

async fn history(extract::State(world): Shared, query: Result<Query<HistoryQuery>, QueryRejection>) -> Response {
    let Ok(Query(query)) = query else {
        return Refusal::invalid_request("the only parameter is 'of'").into_response();
    };
    let of = query.of.as_deref();
    if of.is_some_and(|of| !LABELS.contains(&of)) {
        return Refusal::invalid_request(format!("'of' must be one of {}", LABELS.join(", "))).into_response();
    }
    respond(Ok(json!({"requests": world.with(|state, _| state.history.list(of))})))
}

async fn orders(extract::State(world): Shared) -> Response {
    respond(Ok(json!({"orders": world.with(|state, _| state.shop.orders.clone())})))
}

async fn directory(extract::State(world): Shared) -> Response {
    respond(Ok(world.with(|state, _| state.directory.journal())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewClient {
    client_id: String,
    role: Role,
    secret: Option<ClientSecret>,
    jwk: Option<Jwk>,
}

/// Registers a client, or another way of authentication for a known one.
async fn register(extract::State(world): Shared, body: Bytes) -> Response {
    let result = json_body(&body).and_then(|body: NewClient| {
        let (proof, method) = match (body.secret, body.jwk) {
            (None, None) => (Proof::None, "none"),
            (Some(secret), None) => (Proof::Secret(secret), "client_secret"),
            (None, Some(jwk)) if DecodingKey::from_jwk(&jwk).is_err() => {
                return Err(Refusal::invalid_request("this key is of no use"));
            }
            (None, Some(jwk)) => (Proof::Key(Box::new(jwk)), "private_key_jwt"),
            (Some(_), Some(_)) => return Err(Refusal::invalid_request("a secret or a key, not both")),
        };
        let client = Client::new(&body.client_id, body.role, proof);
        world.with(|state, _| {
            state.clients.retain(|known| known.id != client.id);
            state.clients.push(client);
        });
        Ok(json!({"client_id": body.client_id, "authentication": method}))
    });
    respond(result)
}

/// A new signing key: whoever cached the old set meets an unknown `kid`.
async fn rotate(extract::State(world): Shared) -> Response {
    let rotated = world.keys.rotate().map(|kid| json!({"kid": kid}));
    respond(rotated.map_err(|error| Refusal::new(500, "server_error", error.to_string())))
}

async fn script(extract::State(world): Shared, body: Bytes) -> Response {
    let result = json_body(&body)
        .and_then(|script: Value| world.model.set_script(script).map_err(Refusal::invalid_request))
        .map(|()| json!({"ok": true}));
    respond(result)
}

async fn reset(extract::State(world): Shared) -> Response {
    world.with(|state, _| state.reset());
    // It was good at start, so it is good now; without one the planner comes back.
    let _ = world.model.set_script(world.script.clone().unwrap_or_default());
    world.changed.notify_waiters();
    respond(Ok(json!({"ok": true})))
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{Request, header},
    };

    use super::*;
    use crate::dev::{
        Preset,
        testing::{Bench, error},
    };

    #[tokio::test]
    async fn nobody_steers_without_the_token() {
        let bench = Bench::new(Preset::Auth0).await;
        let call = async |host: &str, authorization: &str| {
            let request =
                Request::get("/pending").header(header::HOST, host).header(header::AUTHORIZATION, authorization);
            bench.manage_raw(request.body(Body::empty()).unwrap()).await
        };
        let right = format!("Bearer {}", bench.world.secrets.manage_token);
        assert_eq!(call("127.0.0.1", &right).await.status, 200);
        assert_eq!(call("127.0.0.1", "Bearer wrong").await.error(), error(401, "unauthorized"));
        assert_eq!(call("127.0.0.1", "").await.error(), error(401, "unauthorized"));
        assert_eq!(call("rebound.example", &right).await.error(), error(403, "forbidden"));
        let naked = Request::get("/pending").header(header::HOST, "127.0.0.1").body(Body::empty()).unwrap();
        assert_eq!(bench.manage_raw(naked).await.status, 401);
        assert_eq!(bench.manage("GET /nothing", Value::Null).await.error(), error(404, "not_found"));
    }

    #[tokio::test]
    async fn unknown_members_and_values_are_errors() {
        let bench = Bench::new(Preset::Auth0).await;
        for (call, body) in [
            ("POST /auto", json!({"logins": "yes"})),
            ("POST /auto", json!({"login": "approve"})),
            ("POST /clock", json!({"advance_s": -1})),
            ("POST /clock", json!({"advance_s": u64::MAX})),
            ("POST /clock", json!({})),
            ("POST /faults", json!({"on": "everything", "kind": "drop"})),
            ("POST /faults", json!({"on": "token", "kind": "explode"})),
            ("POST /faults", json!({"on": "token", "kind": "drop", "times": 0})),
            ("POST /faults", json!({"on": "token", "kind": "status", "status": 999})),
            ("POST /faults", json!({"on": "token", "kind": "drop", "often": 1})),
            ("POST /logins/latest/approve", json!({"person": "eve"})),
            ("POST /approvals/latest/approve", json!({"who": "ada"})),
            ("POST /clients", json!({"client_id": "x", "role": "root"})),
        ] {
            assert_eq!(bench.manage(call, body.clone()).await.error(), error(400, "invalid_request"), "{call} {body}");
        }
        assert_eq!(bench.manage("GET /history?of=nothing", Value::Null).await.status, 400);
        assert_eq!(bench.manage("GET /history?off=model", Value::Null).await.status, 400);
    }

    #[tokio::test]
    async fn pending_ones_are_listed_and_answered_once() {
        let bench = Bench::new(Preset::Auth0).await;
        assert_eq!(bench.manage("POST /logins/latest/approve", Value::Null).await.error(), error(404, "not_found"));
        let device = bench.device().await;
        let auth_req_id = bench.ask(&[]).await.json()["auth_req_id"].as_str().unwrap().to_owned();
        let pending = bench.manage("GET /pending", Value::Null).await;
        let (user_code, device_code) = (device["user_code"].as_str().unwrap(), device["device_code"].as_str().unwrap());
        assert_eq!(pending.json()["logins"][0]["user_code"], user_code);
        assert_eq!(pending.json()["approvals"][0]["binding_message"], "BUY-2.7F3KQ9ZT");
        assert!(
            !pending.text.contains(device_code) && !pending.text.contains(&auth_req_id),
            "only the tenant's own names"
        );

        let by_code = format!("POST /logins/{}/approve", user_code.to_lowercase().replace('-', ""));
        assert_eq!(bench.manage(&by_code, json!({"person": "Alan Turing"})).await.json()["state"], "approved");
        assert_eq!(bench.manage(&by_code, Value::Null).await.error(), error(409, "not_open"));
        let id = pending.json()["approvals"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(bench.manage(&format!("POST /approvals/{id}/deny"), Value::Null).await.json()["state"], "denied");
        assert_eq!(
            bench.manage(&format!("POST /approvals/{id}/approve"), Value::Null).await.error(),
            error(409, "not_open")
        );
        assert_eq!(bench.manage("POST /approvals/latest/forget", Value::Null).await.error(), error(404, "not_found"));
    }

    #[tokio::test]
    async fn a_yes_can_be_bent() {
        let bench = Bench::new(Preset::Auth0).await;
        let bent = async |body: Value| {
            let id = bench.ask(&[]).await.json()["auth_req_id"].as_str().unwrap().to_owned();
            assert_eq!(bench.manage("POST /approvals/latest/approve", body).await.status, 200);
            bench.ciba_poll(&id).await.json()
        };
        let others = bent(json!({"person": "grace"})).await;
        let claims = bench.world.keys.verify(others["id_token"].as_str().unwrap()).unwrap();
        assert_eq!(claims["sub"], "auth0|grace");
        assert!(bent(json!({"authorization_details": null})).await.get("authorization_details").is_none());
        let changed = bent(json!({"authorization_details": [{"type": "purchase"}]})).await;
        assert_eq!(changed["authorization_details"], json!([{"type": "purchase"}]));
        assert_eq!(bent(json!({"scope": "openid"})).await["scope"], "openid");
    }

    #[tokio::test]
    async fn people_answer_by_themselves_after_a_while() {
        let bench = Bench::new(Preset::Auth0).await;
        let habits = json!({"logins": "approve", "approvals": "deny", "after_ms": 2000});
        assert_eq!(bench.manage("POST /auto", habits).await.json()["approvals"], "deny");
        let device = bench.device().await;
        let code = device["device_code"].as_str().unwrap();
        let id = bench.ask(&[]).await.json()["auth_req_id"].as_str().unwrap().to_owned();
        assert_eq!(bench.device_poll(code).await.error(), error(403, "authorization_pending"));
        bench.wait(5);
        assert_eq!(bench.device_poll(code).await.status, 200);
        assert_eq!(bench.ciba_poll(&id).await.error(), error(403, "access_denied"));
        bench.manage("POST /auto", json!({"approvals": "off"})).await;
        let id = bench.ask(&[]).await.json()["auth_req_id"].as_str().unwrap().to_owned();
        bench.wait(5);
        assert_eq!(bench.ciba_poll(&id).await.error(), error(403, "authorization_pending"));
    }

    #[tokio::test]
    async fn the_clock_moves_everything() {
        let bench = Bench::new(Preset::Auth0).await;
        let tokens = bench.login().await;
        let moved = bench.manage("POST /clock", json!({"advance_s": 86_400})).await.json();
        assert_eq!(moved["offset_s"], 86_400);
        assert_eq!(bench.get("/userinfo", tokens["access_token"].as_str().unwrap()).await.status, 401);
    }

    #[tokio::test]
    async fn the_history_knows_what_was_said() {
        let bench = Bench::new(Preset::Auth0).await;
        bench.approval(&[]).await;
        let requests = bench.manage("GET /history?of=ciba", Value::Null).await.json()["requests"].clone();
        assert_eq!(requests.as_array().unwrap().len(), 1);
        let request = &requests[0];
        assert_eq!((request["method"].as_str(), request["path"].as_str()), (Some("POST"), Some("/bc-authorize")));
        assert_eq!(request["form"]["audience"], "sample-shop-api");
        let authorization = request["headers"]["authorization"].as_str().unwrap();
        assert!(authorization.starts_with("Basic sha256:") && !authorization.contains(&bench.basic()[6..]));
        assert!(request["answer"]["body"]["auth_req_id"].is_string());
        let polls = bench.manage("GET /history?of=ciba_poll", Value::Null).await.json()["requests"].clone();
        assert_eq!(polls[0]["labels"], json!(["ciba_poll", "token"]));
        let model = axum::http::Request::post("/v1/chat/completions")
            .header(header::HOST, "127.0.0.1")
            .header(header::AUTHORIZATION, format!("Bearer {}", bench.world.secrets.model_key.expose()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(
                json!({"model": "dev-planner", "messages": [{"role": "user", "content": "hi"}]}).to_string(),
            ));
        assert_eq!(bench.send(model.unwrap()).await.status, 200);
        let model = bench.manage("GET /history?of=model", Value::Null).await.json()["requests"].clone();
        assert_eq!(model[0]["body"]["messages"][0]["content"], "hi");
        let wrong = bench.get("/v1/models", "wrong").await;
        assert_eq!(wrong.json()["error"]["code"], "invalid_api_key");

        bench.manage("POST /reset", Value::Null).await;
        assert_eq!(bench.manage("GET /history", Value::Null).await.json()["requests"], json!([]));
        bench.login().await;
    }

    #[tokio::test]
    async fn faults_come_as_ordered() {
        let bench = Bench::new(Preset::Auth0).await;
        let device = bench.device().await;
        let poll = async || bench.device_poll(device["device_code"].as_str().unwrap()).await;
        let order = async |fault: Value| assert_eq!(bench.manage("POST /faults", fault).await.status, 200);
        order(json!({"on": "device_poll", "kind": "html", "status": 503, "retry_after_s": 7})).await;
        let html = poll().await;
        assert_eq!(
            (html.status, html.header("retry-after"), html.header("content-type")),
            (503, "7", "text/html; charset=utf-8")
        );
        order(json!({"on": "token", "kind": "slow_down", "retry_after_s": 30})).await;
        let slow = poll().await;
        assert_eq!((slow.error(), slow.header("retry-after")), (error(429, "slow_down"), "30"));
        order(json!({"on": "refresh", "kind": "status"})).await;
        assert_eq!(poll().await.error(), error(403, "authorization_pending"), "another label");
        bench.manage("DELETE /faults", Value::Null).await;

        // The work is done and its answer is lost: the refresh token is spent.
        let token = bench.login().await["refresh_token"].as_str().unwrap().to_owned();
        order(json!({"on": "refresh", "kind": "status", "status": 502, "when": "after"})).await;
        assert_eq!(bench.refresh(&token, &[]).await.status, 502);
        assert_eq!(bench.refresh(&token, &[]).await.error(), error(403, "invalid_grant"));
        order(json!({"on": "discovery", "kind": "delay", "delay_ms": 1500})).await;
        bench.get("/.well-known/openid-configuration", "").await;
        assert_eq!(bench.clock.sleeps(), [Duration::from_millis(1500)]);
        let history = bench.manage("GET /history?of=discovery", Value::Null).await.json();
        let met = json!({"on": "discovery", "kind": "delay", "when": "before"});
        assert_eq!(history["requests"][0]["fault"], met);
        // What comes is no JSON and says it is, or the other way round.
        order(json!({"on": "jwks", "kind": "content_type"})).await;
        let words = bench.get("/.well-known/jwks.json", "").await;
        assert_eq!((words.status, words.header("content-type")), (200, "application/json"));
        assert_eq!(words.text, "Service temporarily unavailable");
        order(json!({"on": "jwks", "kind": "content_type", "when": "after", "content_type": "image/png"})).await;
        let keys = bench.get("/.well-known/jwks.json", "").await;
        assert_eq!(keys.header("content-type"), "image/png");
        assert!(keys.json()["keys"].is_array());
        let history = bench.manage("GET /history?of=jwks", Value::Null).await.json();
        assert!(history["requests"][1]["answer"]["body"]["keys"].is_array(), "{history}");
        // As long as nothing was answered well, nothing is repeated; then it is, in the place of an answer or over one.
        order(json!({"on": "ciba", "kind": "replay"})).await;
        assert_eq!(bench.ask(&[("scope", None)]).await.status, 400);
        let asked = bench.ask(&[]).await.json();
        order(json!({"on": "ciba", "kind": "replay", "when": "after"})).await;
        let pending = async || bench.manage("GET /pending", Value::Null).await.json()["approvals"].clone();
        for waiting in [1, 2] {
            assert_eq!(bench.ask(&[]).await.json(), asked);
            assert_eq!(pending().await.as_array().unwrap().len(), waiting);
        }
        assert_ne!(bench.ask(&[]).await.json(), asked);
    }
}
