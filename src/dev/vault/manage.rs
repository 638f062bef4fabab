//! The management port's calls about connected accounts.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract,
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Account, CONNECTIONS, Connection};
use crate::dev::{
    answer::{Refusal, json_body, respond},
    people::{self, Person},
    world::World,
};

type Shared = extract::State<Arc<World>>;

pub(in crate::dev) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/connections", get(list).post(connect).delete(disconnect))
        .route("/connections/revoke", post(revoke))
        .route("/connections/redirect", post(redirect))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    person: String,
    connection: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Connected {
    person: String,
    connection: String,
    scopes: Option<Vec<String>>,
}

fn named(world: &World, person: &str, connection: &str) -> Result<(&'static Person, &'static Connection), Refusal> {
    let person = people::find(person, world.preset);
    let person = person.ok_or_else(|| Refusal::invalid_request("there is no such person: ada, grace, alan"))?;
    let names = || CONNECTIONS.iter().map(|connection| connection.name).collect::<Vec<_>>().join(", ");
    let connection = Connection::named(connection);
    let connection =
        connection.ok_or_else(|| Refusal::invalid_request(format!("'connection' must be one of {}", names())))?;
    Ok((person, connection))
}

fn account_json(account: &Account) -> Value {
    json!({
        "id": account.id, "person": account.person.key, "connection": account.connection.name,
        "scopes": account.scopes, "created_at": account.created_at, "revoked": account.revoked,
    })
}

async fn list(extract::State(world): Shared) -> Response {
    let accounts: Vec<Value> = world.with(|state, _| state.vault.accounts.iter().map(account_json).collect());
    respond(Ok(json!({"connections": accounts})))
}

/// Connects an account with exactly these scopes, whatever it had before.
async fn connect(extract::State(world): Shared, body: Bytes) -> Response {
    let result = json_body(&body).and_then(|body: Connected| {
        let (person, connection) = named(&world, &body.person, &body.connection)?;
        let scopes = body.scopes.unwrap_or_else(|| connection.all_scopes());
        if let Some(scope) = scopes.iter().find(|scope| connection.meaning(scope).is_none()) {
            return Err(Refusal::invalid_request(format!("this connection has no scope '{scope}'")));
        }
        Ok(world.with(|state, now| account_json(&state.vault.connect(person, connection, scopes, now.wall))))
    });
    respond(result)
}

fn not_connected() -> Refusal {
    Refusal::new(404, "not_found", "this account is not connected")
}

async fn disconnect(extract::State(world): Shared, body: Bytes) -> Response {
    let result = json_body(&body).and_then(|body: Which| {
        let (person, connection) = named(&world, &body.person, &body.connection)?;
        let gone = world.with(|state, _| {
            let id = state.vault.account(person, connection).map(|account| account.id.clone());
            state.vault.accounts.retain(|account| Some(&account.id) != id.as_ref());
            id
        });
        gone.map(|_| json!({"ok": true})).ok_or_else(not_connected)
    });
    respond(result)
}

/// The third party forgets its grant.
async fn revoke(extract::State(world): Shared, body: Bytes) -> Response {
    let result = json_body(&body).and_then(|body: Which| {
        let (person, connection) = named(&world, &body.person, &body.connection)?;
        let revoked = world.with(|state, _| state.vault.revoke(person, connection));
        revoked.then(|| json!({"ok": true})).ok_or_else(not_connected)
    });
    respond(result)
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Place {
    Query,
    Fragment,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RedirectBody {
    code_in: Place,
}

async fn redirect(extract::State(world): Shared, body: Bytes) -> Response {
    let result = json_body(&body).map(|body: RedirectBody| {
        world.with(|state, _| state.vault.code_in_fragment = body.code_in == Place::Fragment);
        json!({"ok": true})
    });
    respond(result)
}
