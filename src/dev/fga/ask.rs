//! The questions: one, many at once, and "which ones".

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::Response,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    answer, body,
    check::Question,
    error::Error,
    model::Model,
    store::Store,
    tuple::{TupleKey, known_user, split_object, unknown_relation},
};
use crate::dev::world::World;

const MOST_CONTEXTUAL: usize = 100;
const MOST_CHECKS: usize = 50;
const MOST_OBJECTS: usize = 1000;
const LONGEST_CORRELATION_ID: usize = 36;

/// How fresh the answer must be. Here it always is.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) enum Consistency {
    #[default]
    #[serde(rename = "UNSPECIFIED")]
    Unspecified,
    #[serde(rename = "MINIMIZE_LATENCY")]
    Fast,
    #[serde(rename = "HIGHER_CONSISTENCY")]
    Fresh,
}

/// Tuples that hold for one request and are not kept.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contextual {
    #[serde(default)]
    tuple_keys: Vec<TupleKey>,
}

impl Contextual {
    fn fits(&self) -> Result<(), Error> {
        if self.tuple_keys.len() > MOST_CONTEXTUAL {
            let message = format!(
                "invalid ContextualTupleKeys.TupleKeys: value must contain no more than {MOST_CONTEXTUAL} item(s)"
            );
            return Err(Error::validation(message));
        }
        self.tuple_keys.iter().try_for_each(TupleKey::fits)
    }

    /// They must be ones that could be written.
    fn writable(&self, model: &Model) -> Result<(), Error> {
        self.tuple_keys
            .iter()
            .try_for_each(|key| key.writable(model).map_err(|why| Error::bad("invalid_tuple", key.refused(&why))))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    tuple_key: Option<TupleKey>,
    contextual_tuples: Option<Contextual>,
    #[serde(default)]
    authorization_model_id: String,
    /// For conditions, which no model here can have.
    #[serde(default, rename = "context")]
    _context: Option<Map<String, Value>>,
    #[serde(default, rename = "trace")]
    _trace: bool,
    #[serde(default, rename = "consistency")]
    _consistency: Consistency,
}

pub(super) async fn check(State(world): State<Arc<World>>, Path(store): Path<String>, bytes: Bytes) -> Response {
    let result = body(&bytes).and_then(|request: Check| {
        let contextual = request.contextual_tuples.unwrap_or_default();
        let key = given(request.tuple_key, &contextual)?;
        world.with(|state, _| {
            let store = state.fga.store(&store)?;
            let model = store.model(&request.authorization_model_id)?;
            let allowed = decide(store, &model, &key, &contextual)?;
            Ok(json!({"allowed": allowed, "resolution": ""}))
        })
    });
    answer(200, result)
}

/// The tuple in question, if it and its companions have the right form.
fn given(key: Option<TupleKey>, contextual: &Contextual) -> Result<TupleKey, Error> {
    let key = key.ok_or_else(|| Error::bad("tuple_key_value_not_specified", "invalid TupleKey: value is required"))?;
    key.fits()?;
    contextual.fits()?;
    Ok(key)
}

fn decide(store: &Store, model: &Model, key: &TupleKey, contextual: &Contextual) -> Result<bool, Error> {
    key.askable(model).map_err(Error::validation)?;
    contextual.writable(model)?;
    Question::new(model, all_tuples(store, contextual), &key.user).ask(&key.object, &key.relation)
}

fn all_tuples<'a>(store: &'a Store, contextual: &'a Contextual) -> impl Iterator<Item = &'a TupleKey> {
    store.tuples.iter().map(|stored| &stored.key).chain(&contextual.tuple_keys)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchCheck {
    checks: Vec<BatchItem>,
    #[serde(default)]
    authorization_model_id: String,
    #[serde(default, rename = "consistency")]
    _consistency: Consistency,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchItem {
    tuple_key: Option<TupleKey>,
    contextual_tuples: Option<Contextual>,
    #[serde(default, rename = "context")]
    _context: Option<Map<String, Value>>,
    #[serde(default)]
    correlation_id: String,
}

pub(super) async fn batch_check(State(world): State<Arc<World>>, Path(store): Path<String>, bytes: Bytes) -> Response {
    let result = body(&bytes).and_then(|request: BatchCheck| {
        let checks = batch(request.checks)?;
        world.with(|state, _| {
            let store = state.fga.store(&store)?;
            let model = store.model(&request.authorization_model_id)?;
            let one = |(id, key, contextual): (String, TupleKey, Contextual)| {
                let entry = match decide(store, &model, &key, &contextual) {
                    Ok(allowed) => json!({"allowed": allowed}),
                    Err(error) => error.entry(),
                };
                (id, entry)
            };
            let result: Map<String, Value> = checks.into_iter().map(one).collect();
            Ok(json!({"result": result}))
        })
    });
    answer(200, result)
}

/// The checks of a batch. What is wrong with the form of one is wrong with all.
fn batch(checks: Vec<BatchItem>) -> Result<Vec<(String, TupleKey, Contextual)>, Error> {
    if checks.is_empty() {
        let message = "batch check requires at least one check to evaluate, no checks were received";
        return Err(Error::validation(message));
    }
    if checks.len() > MOST_CHECKS {
        let message = format!("batchCheck received {} checks, the maximum allowed is {MOST_CHECKS}", checks.len());
        return Err(Error::validation(message));
    }
    let mut seen = BTreeSet::new();
    for BatchItem { correlation_id: id, .. } in &checks {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if id.is_empty() || id.len() > LONGEST_CORRELATION_ID || !id.chars().all(fits) {
            let message =
                "invalid BatchCheckItem.CorrelationId: value does not match regex pattern \"^[\\\\w\\\\d-]{1,36}$\"";
            return Err(Error::validation(message));
        }
        if !seen.insert(id) {
            return Err(Error::validation(format!("received duplicate correlation id: {id}")));
        }
    }
    let whole = |item: BatchItem| {
        let contextual = item.contextual_tuples.unwrap_or_default();
        given(item.tuple_key, &contextual).map(|key| (item.correlation_id, key, contextual))
    };
    checks.into_iter().map(whole).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListObjects {
    r#type: String,
    relation: String,
    user: String,
    contextual_tuples: Option<Contextual>,
    #[serde(default)]
    authorization_model_id: String,
    #[serde(default, rename = "context")]
    _context: Option<Map<String, Value>>,
    #[serde(default, rename = "consistency")]
    _consistency: Consistency,
}

pub(super) async fn list_objects(State(world): State<Arc<World>>, Path(store): Path<String>, bytes: Bytes) -> Response {
    let result = body(&bytes).and_then(|request: ListObjects| {
        let contextual = request.contextual_tuples.unwrap_or_default();
        contextual.fits()?;
        let (kind, relation, user) = (request.r#type.as_str(), request.relation.as_str(), request.user.as_str());
        TupleKey::new(user, relation, "").fits()?;
        world.with(|state, _| {
            let store = state.fga.store(&store)?;
            let model = store.model(&request.authorization_model_id)?;
            contextual.writable(&model)?;
            if !model.has_type(kind) {
                return Err(Error::bad("type_not_found", format!("type '{kind}' not found")));
            }
            if model.relation(kind, relation).is_none() {
                return Err(Error::bad("relation_not_found", unknown_relation(kind, relation)));
            }
            known_user(user, &model).map_err(|why| Error::validation(format!("invalid 'user' value: {why}")))?;
            // Without a tuple of its own, only the object of a userset can be had: by that userset.
            let own = user.split_once('#').map(|(object, _)| object);
            let named = all_tuples(store, &contextual).map(|key| key.object.as_str()).chain(own);
            let of_kind = |object: &&str| split_object(object).is_some_and(|(found, _)| found == kind);
            let candidates: BTreeSet<&str> = named.filter(of_kind).collect();
            let question = Question::new(&model, all_tuples(store, &contextual), user);
            let mut objects = Vec::new();
            for object in candidates {
                if question.ask(object, relation)? && objects.len() < MOST_OBJECTS {
                    objects.push(object);
                }
            }
            Ok(json!({"objects": objects}))
        })
    });
    answer(200, result)
}
