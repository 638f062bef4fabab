//! Stores: their models, their tuples, and what may be written.

use std::{collections::HashSet, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{error::Error, model::Model, seed, tuple::TupleKey};
use crate::dev::{preset::Preset, random};

const MOST_WRITES: usize = 100;

/// Everything the permission service holds.
#[derive(Debug)]
pub(in crate::dev) struct Fga {
    /// The store of the first moment, for a new beginning.
    seed: Store,
    pub(super) stores: Vec<Store>,
}

/// One store.
#[derive(Clone, Debug)]
pub(in crate::dev) struct Store {
    pub(super) id: String,
    pub(super) name: String,
    created: DateTime<Utc>,
    /// The latest comes last.
    pub(super) models: Vec<Arc<Model>>,
    pub(super) tuples: Vec<Stored>,
    last_seq: u64,
}

/// A tuple with its place in the order of writing, by which pages go on.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    seq: u64,
    pub(super) key: TupleKey,
    at: DateTime<Utc>,
}

/// What to do with a write of what is there, or a delete of what is not.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Conflict {
    #[default]
    #[serde(alias = "")]
    Error,
    Ignore,
}

/// What is to be written and deleted, all or nothing.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) writes: Vec<TupleKey>,
    pub(super) on_duplicate: Conflict,
    pub(super) deletes: Vec<TupleKey>,
    pub(super) on_missing: Conflict,
}

/// Which tuples are to be read; empty members fit everything.
#[derive(Debug, Default)]
pub(super) struct Filter<'a> {
    pub(super) user: &'a str,
    pub(super) relation: &'a str,
    /// `type:id`, or `type:` for every object of the type.
    pub(super) object: &'a str,
}

impl Fga {
    /// A service with the one store that every tenant begins with.
    pub(in crate::dev) fn seeded(preset: Preset, now: DateTime<Utc>) -> Result<Self, Error> {
        let seed = seed::store(preset, now)?;
        Ok(Self { stores: vec![seed.clone()], seed })
    }

    /// A service as this one was at first, with the same ids.
    pub(in crate::dev) fn anew(&self) -> Self {
        Self { seed: self.seed.clone(), stores: vec![self.seed.clone()] }
    }

    /// The ids of the seeded store and of its model.
    pub(in crate::dev) fn seed_ids(&self) -> (String, String) {
        let model = self.seed.models.first().map(|model| model.id.clone());
        (self.seed.id.clone(), model.unwrap_or_default())
    }

    /// The seeded store, if nobody has deleted it.
    pub(super) fn seeded_store(&mut self) -> Option<&mut Store> {
        let id = &self.seed.id;
        self.stores.iter_mut().find(|store| store.id == *id)
    }

    pub(super) fn store(&mut self, id: &str) -> Result<&mut Store, Error> {
        if !is_ulid(id) {
            return Err(Error::validation("invalid StoreId: value does not match regex pattern"));
        }
        let found = self.stores.iter_mut().find(|store| store.id == id);
        found.ok_or_else(|| Error::new(404, "store_id_not_found", "Store ID not found"))
    }
}

impl Store {
    pub(super) fn new(name: &str, now: DateTime<Utc>) -> Self {
        Self {
            id: random::ulid(now),
            name: name.to_owned(),
            created: now,
            models: Vec::new(),
            tuples: Vec::new(),
            last_seq: 0,
        }
    }

    /// The model with this id, or the latest if none is named.
    pub(super) fn model(&self, id: &str) -> Result<Arc<Model>, Error> {
        if id.is_empty() {
            let message = format!("No authorization models found for store '{}'", self.id);
            let latest = self.models.last().cloned();
            return latest.ok_or_else(|| Error::bad("latest_authorization_model_not_found", message));
        }
        if !is_ulid(id) {
            return Err(Error::validation("invalid AuthorizationModelId: value does not match regex pattern"));
        }
        let found = self.models.iter().find(|model| model.id == id).cloned();
        let message = format!("Authorization Model '{id}' not found");
        found.ok_or_else(|| Error::bad("authorization_model_not_found", message))
    }

    /// Adds a model, which is the latest from then on.
    pub(super) fn add_model(&mut self, written: Value, now: DateTime<Utc>) -> Result<String, Error> {
        let model = Model::new(random::ulid(now), written)?;
        let id = model.id.clone();
        self.models.push(Arc::new(model));
        Ok(id)
    }

    pub(super) fn holds(&self, key: &TupleKey) -> bool {
        self.tuples.iter().any(|stored| stored.key == *key)
    }

    /// Deletes and writes; if anything is wrong with one tuple, nothing happens.
    pub(super) fn write(&mut self, model: &Model, changes: Changes, now: DateTime<Utc>) -> Result<(), Error> {
        self.admit(model, &changes)?;
        self.tuples.retain(|stored| !changes.deletes.contains(&stored.key));
        for key in changes.writes {
            if !self.holds(&key) {
                self.last_seq += 1;
                self.tuples.push(Stored { seq: self.last_seq, key, at: now });
            }
        }
        Ok(())
    }

    fn admit(&self, model: &Model, changes: &Changes) -> Result<(), Error> {
        let Changes { writes, deletes, .. } = changes;
        if writes.is_empty() && deletes.is_empty() {
            let message = "Invalid input. Make sure you provide at least one write, or at least one delete";
            return Err(Error::bad("invalid_write_input", message));
        }
        for key in writes {
            key.fits()?;
            key.writable(model).map_err(|why| Error::validation(key.refused(&why)))?;
        }
        // What an earlier model allowed can still be deleted.
        for key in deletes {
            key.fits()?;
            key.well_formed().map_err(|why| Error::validation(key.refused(why)))?;
        }
        let mut seen = HashSet::new();
        for key in deletes.iter().chain(writes) {
            if !seen.insert(key) {
                let message = format!("duplicate tuple in write: {}", key.named());
                return Err(Error::bad("cannot_allow_duplicate_tuples_in_one_request", message));
            }
        }
        if seen.len() > MOST_WRITES {
            return Err(Error::too_many("write operations", MOST_WRITES));
        }
        let failed = |what: &str, key: &TupleKey| {
            let why = "tuple to be written already existed or the tuple to be deleted did not exist";
            let message = format!("cannot {what}: {}: {why}", key.named());
            Error::bad("write_failed_due_to_invalid_input", message)
        };
        if let Some(key) = deletes.iter().find(|key| !self.holds(key))
            && changes.on_missing == Conflict::Error
        {
            return Err(failed("delete a tuple which does not exist", key));
        }
        match writes.iter().find(|key| self.holds(key)) {
            Some(key) if changes.on_duplicate == Conflict::Error => {
                Err(failed("write a tuple which already exists", key))
            }
            _ => Ok(()),
        }
    }

    /// One page of the tuples that fit, and where the next one begins (nowhere: an empty string).
    pub(super) fn read(&self, filter: &Filter<'_>, size: usize, token: &str) -> Result<(Vec<Value>, String), Error> {
        let from = read_token(token)?;
        let mut fitting = self.tuples.iter().filter(|stored| stored.seq >= from && filter.fits(&stored.key));
        let page = fitting.by_ref().take(size).map(Stored::json).collect();
        let next = fitting.next().map(|stored| write_token(stored.seq)).unwrap_or_default();
        Ok((page, next))
    }

    pub(super) fn json(&self) -> Value {
        json!({"id": self.id, "name": self.name, "created_at": self.created, "updated_at": self.created})
    }
}

impl Stored {
    fn json(&self) -> Value {
        let mut key = self.key.json();
        key["condition"] = Value::Null;
        json!({"key": key, "timestamp": self.at})
    }
}

impl Filter<'_> {
    /// Whether it names enough: a type, and an id or a user.
    pub(super) fn check(&self) -> Result<(), Error> {
        let id = self.object.split_once(':').filter(|(kind, _)| !kind.is_empty()).map(|(_, id)| id);
        match id {
            Some(id) if !id.is_empty() || !self.user.is_empty() => Ok(()),
            _ => Err(Error::validation(
                "the 'tuple_key' field was provided but the object type field is required and both the object id and \
                 user cannot be empty",
            )),
        }
    }

    fn fits(&self, key: &TupleKey) -> bool {
        let object =
            if self.object.ends_with(':') { key.object.starts_with(self.object) } else { key.object == self.object };
        (self.object.is_empty() || object)
            && (self.relation.is_empty() || key.relation == self.relation)
            && (self.user.is_empty() || key.user == self.user)
    }
}

/// 26 characters of Crockford's alphabet.
pub(super) fn is_ulid(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|byte| random::ULID_LETTERS.contains(&byte))
}

/// Where a page begins, as the caller sees it: nothing to read anything into.
pub(super) fn write_token(position: u64) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(position.to_be_bytes())
}

/// The position that a token stands for; none is the beginning.
pub(super) fn read_token(token: &str) -> Result<u64, Error> {
    if token.is_empty() {
        return Ok(0);
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_be_bytes).ok_or_else(|| Error::bad("invalid_continuation_token", "Invalid continuation token"))
}
