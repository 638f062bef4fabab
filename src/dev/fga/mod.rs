//! The permission store: the part of OpenFGA's HTTP API that says, reads and writes who may do what.
//!
//! It is strict where a client could go wrong unnoticed: an unknown member of a request is an error here, although a real
//! server overlooks it.

mod ask;
mod check;
mod error;
mod manage;
mod model;
mod seed;
mod store;
mod tuple;

#[cfg(test)]
mod check_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub(super) use self::{error::Error, manage::router as manage_router, store::Fga};
use self::{
    store::{Changes, Conflict, Filter, Store, read_token, write_token},
    tuple::TupleKey,
};
use super::{
    answer::{bearer, json_answer},
    world::World,
};

/// Where it lies on the tenant's origin.
pub(super) const PREFIX: &str = "/fga";

const MOST_ON_A_PAGE: usize = 100;
const USUAL_PAGE: usize = 50;

type Shared = State<Arc<World>>;

/// The API, to lie under a prefix of its own.
pub(super) fn router(world: &Arc<World>) -> Router<Arc<World>> {
    Router::new()
        .route("/stores", get(list_stores).post(create_store))
        .route("/stores/{store}", get(get_store).delete(delete_store))
        .route("/stores/{store}/authorization-models", get(list_models).post(write_model))
        .route("/stores/{store}/authorization-models/{model}", get(get_model))
        .route("/stores/{store}/write", post(write))
        .route("/stores/{store}/read", post(read))
        .route("/stores/{store}/check", post(ask::check))
        .route("/stores/{store}/batch-check", post(ask::batch_check))
        .route("/stores/{store}/list-objects", post(ask::list_objects))
        .route_layer(middleware::from_fn_with_state(Arc::clone(world), authorized))
        .method_not_allowed_fallback(async || Error::nothing_here().into_response())
        .fallback(async || Error::nothing_here().into_response())
}

/// One key that was agreed on, as a real server has it with preshared keys.
async fn authorized(State(world): Shared, request: Request, next: Next) -> Response {
    match bearer(request.headers()) {
        Some(token) if token == world.secrets.fga_token.expose() => next.run(request).await,
        Some(_) => Error::new(401, "unauthenticated", "unauthenticated").into_response(),
        None => Error::new(401, "bearer_token_missing", "missing bearer token").into_response(),
    }
}

fn answer(status: u16, result: Result<Value, Error>) -> Response {
    match result {
        Ok(body) => json_answer(status, &body),
        Err(error) => error.into_response(),
    }
}

fn body<T: DeserializeOwned>(body: &Bytes) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::validation(format!("the body does not fit: {error}")))
}

/// Which page of a list is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    page_size: Option<usize>,
    #[serde(default)]
    continuation_token: String,
    /// Only stores of this name.
    name: Option<String>,
}

impl Page {
    fn read(query: Result<Query<Self>, QueryRejection>) -> Result<Self, Error> {
        query.map(|Query(page)| page).map_err(|_| Error::validation("there is no such parameter"))
    }

    /// The items of this page, and where the next one begins.
    fn cut<T>(&self, items: impl Iterator<Item = T>) -> Result<(Vec<T>, String), Error> {
        let from = usize::try_from(read_token(&self.continuation_token)?).unwrap_or(usize::MAX);
        let size = page_size(self.page_size)?;
        let mut rest = items.skip(from);
        let page: Vec<T> = rest.by_ref().take(size).collect();
        let next = rest.next().map(|_| write_token((from + page.len()) as u64)).unwrap_or_default();
        Ok((page, next))
    }
}

fn page_size(wanted: Option<usize>) -> Result<usize, Error> {
    let size = wanted.unwrap_or(USUAL_PAGE);
    let message = format!("invalid PageSize: value must be inside range [1, {MOST_ON_A_PAGE}]");
    (1..=MOST_ON_A_PAGE).contains(&size).then_some(size).ok_or_else(|| Error::bad("page_size_invalid", message))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStore {
    name: String,
}

async fn create_store(State(world): Shared, bytes: Bytes) -> Response {
    let result = body(&bytes).and_then(|NewStore { name }| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ".-/^_&@".contains(c);
        if !(3..=64).contains(&name.chars().count()) || !name.chars().all(fits) {
            return Err(Error::validation("invalid CreateStoreRequest.Name: value does not match regex pattern"));
        }
        Ok(world.with(|state, now| {
            let store = Store::new(&name, now.wall);
            let json = store.json();
            state.fga.stores.push(store);
            json
        }))
    });
    answer(201, result)
}

async fn list_stores(State(world): Shared, query: Result<Query<Page>, QueryRejection>) -> Response {
    let result = Page::read(query).and_then(|page| {
        world.with(|state, _| {
            let named = |store: &&Store| page.name.as_ref().is_none_or(|name| store.name == *name);
            let (stores, next) = page.cut(state.fga.stores.iter().filter(named).map(Store::json))?;
            Ok(json!({"stores": stores, "continuation_token": next}))
        })
    });
    answer(200, result)
}

async fn get_store(State(world): Shared, Path(store): Path<String>) -> Response {
    answer(200, world.with(|state, _| state.fga.store(&store).map(|store| store.json())))
}

async fn delete_store(State(world): Shared, Path(store): Path<String>) -> Response {
    let gone = world.with(|state, _| {
        state.fga.store(&store)?;
        state.fga.stores.retain(|known| known.id != store);
        Ok(())
    });
    gone.map_or_else(Error::into_response, |()| StatusCode::NO_CONTENT.into_response())
}

async fn write_model(State(world): Shared, Path(store): Path<String>, bytes: Bytes) -> Response {
    let result = body(&bytes).and_then(|model: Value| {
        world.with(|state, now| {
            let id = state.fga.store(&store)?.add_model(model, now.wall)?;
            Ok(json!({"authorization_model_id": id}))
        })
    });
    answer(201, result)
}

async fn list_models(
    State(world): Shared,
    Path(store): Path<String>,
    query: Result<Query<Page>, QueryRejection>,
) -> Response {
    let result = Page::read(query).and_then(|page| {
        world.with(|state, _| {
            let newest_first = state.fga.store(&store)?.models.iter().rev();
            let (models, next) = page.cut(newest_first.map(|model| model.json()))?;
            Ok(json!({"authorization_models": models, "continuation_token": next}))
        })
    });
    answer(200, result)
}

async fn get_model(State(world): Shared, Path((store, model)): Path<(String, String)>) -> Response {
    answer(
        200,
        world.with(|state, _| {
            let model = state.fga.store(&store)?.model(&model)?;
            Ok(json!({"authorization_model": model.json()}))
        }),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    writes: Option<Writes>,
    deletes: Option<Deletes>,
    #[serde(default)]
    authorization_model_id: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Writes {
    tuple_keys: Vec<TupleKey>,
    #[serde(default)]
    on_duplicate: Conflict,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deletes {
    tuple_keys: Vec<TupleKey>,
    #[serde(default)]
    on_missing: Conflict,
}

async fn write(State(world): Shared, Path(store): Path<String>, bytes: Bytes) -> Response {
    let result = body(&bytes).and_then(|request: Write| {
        let writes = request.writes.unwrap_or_default();
        let deletes = request.deletes.unwrap_or_default();
        let changes = Changes {
            writes: writes.tuple_keys,
            on_duplicate: writes.on_duplicate,
            deletes: deletes.tuple_keys,
            on_missing: deletes.on_missing,
        };
        world.with(|state, now| {
            let store = state.fga.store(&store)?;
            let model = store.model(&request.authorization_model_id)?;
            store.write(&model, changes, now.wall)?;
            Ok(json!({}))
        })
    });
    answer(200, result)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    tuple_key: Option<TupleKey>,
    page_size: Option<usize>,
    #[serde(default)]
    continuation_token: String,
    #[serde(default, rename = "consistency")]
    _consistency: ask::Consistency,
}

async fn read(State(world): Shared, Path(store): Path<String>, bytes: Bytes) -> Response {
    let result = body(&bytes).and_then(|request: Read| {
        let size = page_size(request.page_size)?;
        let filter = match &request.tuple_key {
            None => Filter::default(),
            Some(key) => {
                key.fits()?;
                let filter = key.filter();
                filter.check()?;
                filter
            }
        };
        world.with(|state, _| {
            let (tuples, next) = state.fga.store(&store)?.read(&filter, size, &request.continuation_token)?;
            Ok(json!({"tuples": tuples, "continuation_token": next}))
        })
    });
    answer(200, result)
}
