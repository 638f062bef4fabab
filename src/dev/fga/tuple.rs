//! Relationship tuples: who has which relation to what, and which of them a request may name at all.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{error::Error, model::Model, store::Filter};

const LONGEST_USER: usize = 512;
const LONGEST_RELATION: usize = 50;
const LONGEST_OBJECT: usize = 256;

/// `user` has `relation` to `object`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, Hash)]
#[serde(deny_unknown_fields)]
pub(in crate::dev) struct TupleKey {
    #[serde(default)]
    pub(in crate::dev) user: String,
    #[serde(default)]
    pub(super) relation: String,
    #[serde(default)]
    pub(super) object: String,
    /// Read to be refused.
    #[serde(default, skip_serializing)]
    pub(super) condition: Option<Value>,
}

/// What stands in the `user` of a tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject<'a> {
    /// `user:anne`
    Object { kind: &'a str },
    /// `user:*`: everybody of that type.
    Wildcard { kind: &'a str },
    /// `group:staff#member`: everybody who has that relation.
    Userset { object: &'a str, kind: &'a str, relation: &'a str },
}

impl<'a> Subject<'a> {
    /// Reads it, if it is one of the three.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        match text.split_once('#') {
            None => {
                let (kind, id) = split_object(text)?;
                Some(if id == "*" { Self::Wildcard { kind } } else { Self::Object { kind } })
            }
            Some((object, relation)) => {
                let (kind, _) = split_object(object)?;
                is_word(relation).then_some(Self::Userset { object, kind, relation })
            }
        }
    }
}

/// Type and id of `type:id`: one colon, no `#`, no blanks.
pub(super) fn split_object(text: &str) -> Option<(&str, &str)> {
    let (kind, id) = text.split_once(':')?;
    (is_word(kind) && is_word(id)).then_some((kind, id))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c == ':' || c == '#' || c.is_whitespace())
}

/// A relation's name: `^[^:#@\s]{1,50}$`.
pub(super) fn is_relation(text: &str) -> bool {
    is_word(text) && !text.contains('@') && text.chars().count() <= LONGEST_RELATION
}

impl TupleKey {
    pub(super) fn new(user: impl Into<String>, relation: &str, object: &str) -> Self {
        Self { user: user.into(), relation: relation.to_owned(), object: object.to_owned(), condition: None }
    }

    /// The limits that hold before any model is looked at.
    pub(super) fn fits(&self) -> Result<(), Error> {
        if self.condition.as_ref().is_some_and(|condition| !condition.is_null()) {
            return Err(Error::no_conditions());
        }
        if self.user.len() > LONGEST_USER {
            let message = format!("invalid TupleKey.User: value length must be at most {LONGEST_USER} bytes");
            return Err(Error::validation(message));
        }
        if !self.relation.is_empty() && !is_relation(&self.relation) {
            let message = "invalid TupleKey.Relation: value does not match regex pattern \"^[^:#@\\\\s]{1,50}$\"";
            return Err(Error::validation(message));
        }
        let length = self.object.chars().count();
        if length != 0 && (!(2..=LONGEST_OBJECT).contains(&length) || self.object.contains(char::is_whitespace)) {
            let message = "invalid TupleKey.Object: value does not match regex pattern \"^[^\\\\s]{2,256}$\"";
            return Err(Error::bad("object_invalid_pattern", message));
        }
        Ok(())
    }

    /// The type of the object, which `askable` has seen.
    pub(super) fn kind(&self) -> &str {
        split_object(&self.object).map(|(kind, _)| kind).unwrap_or_default()
    }

    /// Whether it has the form of a tuple, whatever the model.
    pub(super) fn well_formed(&self) -> Result<(), &'static str> {
        if Subject::parse(&self.user).is_none() {
            return Err("the 'user' field is malformed");
        }
        if split_object(&self.object).is_none() {
            return Err("invalid 'object' field format");
        }
        if is_relation(&self.relation) { Ok(()) } else { Err("the 'relation' field is malformed") }
    }

    /// Whether a question about it makes sense under this model; the reason if not.
    pub(super) fn askable(&self, model: &Model) -> Result<(), String> {
        known_user(&self.user, model)?;
        let (kind, id) = split_object(&self.object).ok_or("invalid 'object' field format")?;
        if id == "*" {
            return Err("the 'object' field cannot reference a typed wildcard".to_owned());
        }
        if !model.has_type(kind) {
            return Err(format!("type '{kind}' not found"));
        }
        if !is_relation(&self.relation) {
            return Err("the 'relation' field is malformed".to_owned());
        }
        model.relation(kind, &self.relation).map(drop).ok_or_else(|| unknown_relation(kind, &self.relation))
    }

    /// Whether it can be written under this model: then the relation must also take such a user.
    pub(super) fn writable(&self, model: &Model) -> Result<(), String> {
        self.askable(model)?;
        if self.user == format!("{}#{}", self.object, self.relation) {
            return Err("cannot write a tuple that is implicit".to_owned());
        }
        if model.takes(self.kind(), &self.relation, &self.user) {
            return Ok(());
        }
        let target = format!("{}#{}", self.kind(), self.relation);
        Err(match Subject::parse(&self.user) {
            Some(Subject::Wildcard { .. }) => {
                format!("the typed wildcard '{}' is not an allowed type restriction for '{target}'", self.user)
            }
            Some(Subject::Userset { kind, relation, .. }) => {
                format!("'{kind}#{relation}' is not an allowed type restriction for '{target}'")
            }
            Some(Subject::Object { kind }) => {
                format!("type '{kind}' is not an allowed type restriction for '{target}'")
            }
            None => "the 'user' field is malformed".to_owned(),
        })
    }

    /// As a filter for reading.
    pub(super) fn filter(&self) -> Filter<'_> {
        Filter { user: &self.user, relation: &self.relation, object: &self.object }
    }

    /// In the words that name a tuple in a message.
    pub(super) fn named(&self) -> String {
        format!("user: '{}', relation: '{}', object: '{}'", self.user, self.relation, self.object)
    }

    pub(super) fn refused(&self, why: &str) -> String {
        format!("Invalid tuple '{}#{}@{}'. Reason: {why}", self.object, self.relation, self.user)
    }

    /// As `/read` and the management port show it.
    pub(in crate::dev) fn json(&self) -> Value {
        json!({"user": self.user, "relation": self.relation, "object": self.object})
    }
}

/// Whether the model knows what the user is.
pub(super) fn known_user(user: &str, model: &Model) -> Result<(), String> {
    let (kind, relation) = match Subject::parse(user) {
        Some(Subject::Userset { object, .. }) if object.ends_with(":*") => {
            return Err("the 'user' field cannot reference a typed wildcard in a userset value".to_owned());
        }
        Some(Subject::Userset { kind, relation, .. }) => (kind, Some(relation)),
        Some(Subject::Object { kind } | Subject::Wildcard { kind }) => (kind, None),
        None if user.is_empty() || user.contains([':', '#']) || user.contains(char::is_whitespace) => {
            return Err("the 'user' field is malformed".to_owned());
        }
        None => {
            let message = "the 'user' field must be an object (e.g. document:1) or an 'object#relation' or a typed \
                           wildcard (e.g. group:*)";
            return Err(message.to_owned());
        }
    };
    if !model.has_type(kind) {
        return Err(format!("type '{kind}' not found"));
    }
    match relation {
        Some(relation) if model.relation(kind, relation).is_none() => Err(unknown_relation(kind, relation)),
        _ => Ok(()),
    }
}

pub(super) fn unknown_relation(kind: &str, relation: &str) -> String {
    format!("relation '{kind}#{relation}' not found")
}
