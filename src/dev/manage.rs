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
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{Refusal, bearer, json_body, respond},
    clients::{Client, Proof, Role},
    faults::Fault,
    history::LABELS,
    people::{self, PEOPLE, Person},
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
        .route("/clients", post(register))
        .route("/script", post(script))
        .route("/reset", post(reset))
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
