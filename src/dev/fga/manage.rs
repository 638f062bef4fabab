//! The management port's view of the seeded store: its tuples, to look at, add and take away.

use std::sync::Arc;

use axum::{Router, body::Bytes, extract::State, response::Response, routing::get};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    seed,
    store::{Changes, Store, Stored},
    tuple::TupleKey,
};
use crate::dev::{
    answer::{Refusal, json_body, respond},
    people,
    world::{Now, World},
};

type Shared = State<Arc<World>>;

pub(in crate::dev) fn router() -> Router<Arc<World>> {
    Router::new().route("/tuples", get(list).post(add).delete(remove))
}

/// A tuple as it is given here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    user: String,
    relation: String,
    object: String,
}

impl Given {
    /// Every user of the store has a colon, and no name of a person has one, so a person can be named too.
    fn key(self, world: &World) -> Result<TupleKey, Refusal> {
        let user = if self.user.contains(':') {
            self.user
        } else {
            let person = people::find(&self.user, world.preset);
            let person = person.ok_or_else(|| Refusal::invalid_request("there is no such person: ada, grace, alan"))?;
            seed::user(person, world.preset)
        };
        Ok(TupleKey::new(user, &self.relation, &self.object))
    }
}

async fn list(State(world): Shared) -> Response {
    respond(with_store(&world, |store, _| {
        let tuples: Vec<Value> = store.tuples.iter().map(|stored: &Stored| stored.key.json()).collect();
        Ok(json!({"tuples": tuples}))
    }))
}

async fn add(State(world): Shared, body: Bytes) -> Response {
    respond(change(&world, &body, |store, key| {
        if store.holds(key) {
            return Err(Refusal::new(409, "conflict", "this tuple is there already"));
        }
        Ok(Changes { writes: vec![key.clone()], ..Changes::default() })
    }))
}

async fn remove(State(world): Shared, body: Bytes) -> Response {
    respond(change(&world, &body, |store, key| {
        if !store.holds(key) {
            return Err(Refusal::new(404, "not_found", "there is no such tuple"));
        }
        Ok(Changes { deletes: vec![key.clone()], ..Changes::default() })
    }))
}

fn change(
    world: &World,
    body: &Bytes,
    plan: impl FnOnce(&Store, &TupleKey) -> Result<Changes, Refusal>,
) -> Result<Value, Refusal> {
    let key = json_body::<Given>(body)?.key(world)?;
    with_store(world, |store, now| {
        let changes = plan(store, &key)?;
        let model = store.model("").map_err(|error| Refusal::invalid_request(error.to_string()))?;
        let written = store.write(&model, changes, now.wall);
        written.map(|()| key.json()).map_err(|error| Refusal::invalid_request(error.to_string()))
    })
}

fn with_store(world: &World, work: impl FnOnce(&mut Store, Now) -> Result<Value, Refusal>) -> Result<Value, Refusal> {
    world.with(|state, now| match state.fga.seeded_store() {
        Some(store) => work(store, now),
        None => Err(Refusal::new(404, "not_found", "the seeded store was deleted")),
    })
}
