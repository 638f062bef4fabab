//! The My Account API: a person's own connected accounts, in the manner of Auth0.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{self, Path, RawQuery},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Account, CONNECTIONS, Connection,
    connect::{self, Proof, SESSION_S, Wanted},
    connection_json,
};
use crate::dev::{
    answer::{Form, bearer, has_type, json_answer},
    people::Person,
    scopes::{self, ACCOUNTS, Target},
    world::{Now, State, World},
};

const CREATE: &str = ACCOUNTS[0];
const READ: &str = ACCOUNTS[1];
const DELETE: &str = ACCOUNTS[2];

/// How many accounts a page has, if nobody says, and at most.
const PAGE: (usize, usize) = (10, 20);

type Shared = extract::State<Arc<World>>;

pub(super) fn router() -> Router<Arc<World>> {
    let base = "/me/v1/connected-accounts";
    Router::new()
        .route(&format!("{base}/connect"), post(begin))
        .route(&format!("{base}/complete"), post(complete))
        .route(&format!("{base}/accounts"), get(accounts))
        .route(&format!("{base}/accounts/{{id}}"), delete(disconnect))
        .route(&format!("{base}/connections"), get(connections))
}

/// An error of this API.
#[derive(Debug)]
struct Problem {
    status: u16,
    detail: String,
    /// Which member of the body is wrong, if it is one.
    field: Option<&'static str>,
}

impl Problem {
    fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), field: None }
    }

    fn of(field: &'static str, detail: impl Into<String>) -> Self {
        Self { field: Some(field), ..Self::new(400, detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut body = json!({
            "type": format!("https://auth0.com/api-errors/A0E-{}-0001", self.status), "status": self.status,
            "title": status.canonical_reason().unwrap_or_default(), "detail": self.detail,
        });
        if let Some(field) = self.field {
            body["validation_errors"] = json!([{
                "detail": self.detail, "field": field, "pointer": format!("/{field}"), "source": "body",
            }]);
        }
        json_answer(self.status, &body)
    }
}

fn respond(status: u16, result: Result<Value, Problem>) -> Response {
    result.map_or_else(IntoResponse::into_response, |body| json_answer(status, &body))
}

/// Whose accounts a token opens with this scope.
fn admit(world: &World, state: &State, now: Now, headers: &HeaderMap, scope: &str) -> Result<&'static Person, Problem> {
    let issued = bearer(headers).and_then(|token| state.issued.get(token));
    let issued = issued.filter(|issued| !issued.revoked && issued.expires_at > now.wall);
    let here = Target::MyAccount.audience_at(world);
    let issued = issued.filter(|issued| issued.audience.contains(&here));
    let issued =
        issued.ok_or_else(|| Problem::new(401, "The access token is missing, invalid or for another audience."))?;
    if !scopes::has(&issued.scopes, scope) {
        return Err(Problem::new(403, format!("Insufficient scope, expected: {scope}")));
    }
    Ok(issued.person)
}

fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, Problem> {
    if !has_type(headers, "application/json") {
        return Err(Problem::new(415, "The content type must be application/json."));
    }
    serde_json::from_slice(body).map_err(|error| Problem::new(400, format!("Invalid request payload: {error}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectBody {
    connection: String,
    redirect_uri: String,
    state: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    scopes: Option<Vec<String>>,
    /// More for the third party's page, which here wants nothing.
    #[serde(rename = "authorization_params")]
    _authorization_params: Option<BTreeMap<String, Value>>,
}

async fn begin(extract::State(world): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let result = world.with(|state, now| {
        let person = admit(&world, state, now, &headers, CREATE)?;
        let wanted = wanted(person, read(&headers, &body)?)?;
        let connecting = state.vault.begin(wanted, now);
        Ok(json!({
            "auth_session": connecting.auth_session, "connect_uri": world.url("/connect"),
            "connect_params": {"ticket": connecting.ticket}, "expires_in": SESSION_S,
        }))
    });
    respond(201, result)
}

/// What a body asks for, checked as the API's schema does.
fn wanted(person: &'static Person, body: ConnectBody) -> Result<Wanted, Problem> {
    let connection = Connection::named(&body.connection);
    let connection = connection.ok_or_else(|| Problem::of("connection", "There is no such connection."))?;
    let redirect_uri =
        Some(&body.redirect_uri).filter(|uri| uri.len() <= 2048).and_then(|uri| connect::redirect_uri(uri));
    let redirect_uri = redirect_uri.ok_or_else(|| {
        Problem::of(
            "redirect_uri",
            "It must be an http address on this machine's loopback, of at most 2048 characters.",
        )
    })?;
    if body.state.as_ref().is_some_and(|state| state.len() > 4096) {
        return Err(Problem::of("state", "It must have at most 4096 characters."));
    }
    match (&body.code_challenge, body.code_challenge_method.as_deref()) {
        (None, None) => {}
        (Some(challenge), Some("S256")) if (43..=128).contains(&challenge.len()) => {}
        (Some(_), Some("S256")) => return Err(Problem::of("code_challenge", "It must have 43 to 128 characters.")),
        _ => return Err(Problem::of("code_challenge_method", "A code_challenge and the method S256 go together.")),
    }
    if body.scopes.as_ref().is_some_and(|scopes| !(1..=100).contains(&scopes.len())) {
        return Err(Problem::of("scopes", "There must be 1 to 100 scopes, or no such member."));
    }
    let scopes = body.scopes.unwrap_or_else(|| connection.all_scopes());
    if let Some(scope) = scopes.iter().find(|scope| connection.meaning(scope).is_none()) {
        return Err(Problem::of("scopes", format!("This connection has no scope '{scope}'.")));
    }
    Ok(Wanted {
        person,
        connection,
        scopes,
        redirect_uri,
        redirect_text: body.redirect_uri,
        state: body.state,
        code_challenge: body.code_challenge,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompleteBody {
    auth_session: String,
    connect_code: String,
    redirect_uri: String,
    code_verifier: Option<String>,
}

async fn complete(extract::State(world): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let result = world.with(|state, now| {
        let person = admit(&world, state, now, &headers, CREATE)?;
        let body: CompleteBody = read(&headers, &body)?;
        let proof = Proof {
            connect_code: &body.connect_code,
            redirect_uri: &body.redirect_uri,
            code_verifier: body.code_verifier.as_deref(),
        };
        let done = state.vault.finish(&body.auth_session, person, &proof, now);
        let done = done.map_err(|why| Problem::new(400, format!("The account was not connected: {why}.")))?;
        Ok(account_json(&state.vault.connect(person, done.connection, done.scopes, now.wall)))
    });
    respond(201, result)
}

async fn accounts(extract::State(world): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let result = world.with(|state, now| {
        let person = admit(&world, state, now, &headers, READ)?;
        if let Some((name, _)) = query.pairs().find(|(name, _)| !["connection", "from", "take"].contains(name)) {
            return Err(Problem::new(400, format!("There is no parameter '{name}'.")));
        }
        let take = query.get("take").map_or(Ok(PAGE.0), str::parse).ok().filter(|take| (1..=PAGE.1).contains(take));
        let take = take.ok_or_else(|| Problem::new(400, format!("'take' must be from 1 to {}.", PAGE.1)))?;
        let wanted = |account: &&Account| {
            account.person == person && query.get("connection").is_none_or(|name| name == account.connection.name)
        };
        let own: Vec<&Account> = state.vault.accounts.iter().filter(wanted).collect();
        let start = query.get("from").map_or(Some(0), |from| own.iter().position(|account| account.id == from));
        let start = start.ok_or_else(|| Problem::new(400, "'from' is no place in this list."))?;
        let page: Vec<Value> = own.iter().skip(start).take(take).map(|account| account_json(account)).collect();
        let mut answer = json!({"accounts": page});
        if let Some(next) = own.get(start + take) {
            answer["next"] = next.id.as_str().into();
        }
        Ok(answer)
    });
    respond(200, result)
}

async fn connections(extract::State(world): Shared, headers: HeaderMap) -> Response {
    let result = world.with(|state, now| {
        admit(&world, state, now, &headers, READ)?;
        let list: Vec<Value> = CONNECTIONS.iter().map(connection_json).collect();
        Ok(json!({"connections": list}))
    });
    respond(200, result)
}

/// Forgets the account. The third party is told nothing: the tokens it handed out stay good until they expire.
async fn disconnect(extract::State(world): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let result = world.with(|state, now| {
        let person = admit(&world, state, now, &headers, DELETE)?;
        let before = state.vault.accounts.len();
        state.vault.accounts.retain(|account| account.id != id || account.person != person);
        if state.vault.accounts.len() == before { Err(Problem::new(404, "You have no such account.")) } else { Ok(()) }
    });
    result.map_or_else(IntoResponse::into_response, |()| StatusCode::NO_CONTENT.into_response())
}

fn account_json(account: &Account) -> Value {
    json!({
        "id": account.id, "connection": account.connection.name, "access_type": "offline", "scopes": account.scopes,
        "created_at": account.created_at,
    })
}
