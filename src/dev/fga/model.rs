//! Authorization models, schema 1.1: types, their relations, and by which rules a relation is had.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    error::Error,
    tuple::{Subject, is_relation},
};

const MOST_TYPES: usize = 100;

/// A model as it is written, in the JSON of the API.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    schema_version: String,
    type_definitions: Vec<WrittenType>,
    #[serde(default)]
    conditions: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenType {
    r#type: String,
    #[serde(default)]
    relations: Option<BTreeMap<String, Rewrite>>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

// Modules and places in source files are for the tools that make models; here they mean nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    #[serde(default)]
    relations: Option<BTreeMap<String, RelationMetadata>>,
    #[serde(default, rename = "module")]
    _module: Option<String>,
    #[serde(default, rename = "source_info")]
    _source_info: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RelationMetadata {
    #[serde(default)]
    directly_related_user_types: Vec<Restriction>,
    #[serde(default, rename = "module")]
    _module: Option<String>,
    #[serde(default, rename = "source_info")]
    _source_info: Option<Value>,
}

/// Who may stand directly in a relation: `user`, `user:*` or `group#member`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(super) struct Restriction {
    r#type: String,
    #[serde(default)]
    relation: Option<String>,
    #[serde(default)]
    wildcard: Option<Map<String, Value>>,
    #[serde(default)]
    condition: Option<String>,
}

/// By which rule a relation is had.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Rewrite {
    /// A tuple says so.
    #[serde(rename = "this")]
    This {},
    /// Whoever has another relation to the same object.
    #[serde(rename = "computedUserset", alias = "computed_userset")]
    Computed(Named),
    /// Whoever has a relation to another object, which a tuple names: `viewer from parent`.
    #[serde(rename = "tupleToUserset", alias = "tuple_to_userset")]
    From(From),
    #[serde(rename = "union")]
    Union(Children),
    #[serde(rename = "intersection")]
    Intersection(Children),
    #[serde(rename = "difference")]
    Difference(Difference),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) relation: String,
    /// Always empty, but some tools write it.
    #[serde(default, rename = "object")]
    _object: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    pub(super) tupleset: Named,
    #[serde(rename = "computedUserset", alias = "computed_userset")]
    pub(super) computed: Named,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Children {
    pub(super) child: Vec<Rewrite>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Difference {
    pub(super) base: Box<Rewrite>,
    pub(super) subtract: Box<Rewrite>,
}

/// One relation of a type.
#[derive(Debug)]
pub(super) struct Relation {
    pub(super) rewrite: Rewrite,
    restrictions: Vec<Restriction>,
}

/// A model that holds together.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) id: String,
    types: BTreeMap<String, BTreeMap<String, Relation>>,
    definitions: Value,
}

impl Model {
    /// Reads a model; what cannot be decided by it is refused here and not when it is asked.
    pub(super) fn new(id: String, written: Value) -> Result<Self, Error> {
        let definitions = written["type_definitions"].clone();
        let written: Written = serde_json::from_value(written)
            .map_err(|error| Error::validation(format!("the model does not fit: {error}")))?;
        if written.conditions.is_some_and(|conditions| !conditions.is_empty()) {
            return Err(Error::no_conditions());
        }
        if written.schema_version != "1.1" {
            return Err(invalid("invalid schema version"));
        }
        if written.type_definitions.is_empty() {
            let message =
                "invalid WriteAuthorizationModelRequest.TypeDefinitions: value must contain at least 1 item(s)";
            return Err(Error::bad("type_definitions_too_few_items", message));
        }
        if written.type_definitions.len() > MOST_TYPES {
            return Err(Error::too_many("type definitions in an authorization model", MOST_TYPES));
        }
        let mut types = BTreeMap::new();
        for written in written.type_definitions {
            let (name, relations) = read_type(written)?;
            if types.insert(name, relations).is_some() {
                return Err(invalid("an authorization model cannot contain duplicate types"));
            }
        }
        let model = Self { id, types, definitions };
        model.hold_together()?;
        Ok(model)
    }

    pub(super) fn has_type(&self, kind: &str) -> bool {
        self.types.contains_key(kind)
    }

    pub(super) fn relation(&self, kind: &str, relation: &str) -> Option<&Relation> {
        self.types.get(kind)?.get(relation)
    }

    /// Whether a tuple may name this user in this relation.
    pub(super) fn takes(&self, kind: &str, relation: &str, user: &str) -> bool {
        let Some(found) = self.relation(kind, relation) else { return false };
        found.restrictions.iter().any(|restriction| match Subject::parse(user) {
            Some(Subject::Object { kind }) => restriction.is_object(kind),
            Some(Subject::Wildcard { kind }) => restriction.r#type == kind && restriction.wildcard.is_some(),
            Some(Subject::Userset { kind, relation, .. }) => {
                restriction.r#type == kind && restriction.relation.as_deref() == Some(relation)
            }
            None => false,
        })
    }

    /// As the API shows it.
    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id, "schema_version": "1.1", "type_definitions": self.definitions, "conditions": {},
        })
    }

    /// Every relation with its type and name.
    fn all(&self) -> impl Iterator<Item = (&str, &str, &Relation)> {
        self.types
            .iter()
            .flat_map(|(kind, relations)| relations.iter().map(|(name, r)| (kind.as_str(), name.as_str(), r)))
    }

    /// Everything that is named is there, and every relation can be had by somebody.
    fn hold_together(&self) -> Result<(), Error> {
        for (kind, name, relation) in self.all() {
            let wrong = |why: String| {
                invalid(format!("the definition of relation '{name}' in object type '{kind}' is invalid: {why}"))
            };
            match (relation.rewrite.says_this(), relation.restrictions.is_empty()) {
                (true, true) => {
                    return Err(wrong("it is assignable and must contain at least one relation type".into()));
                }
                (false, false) => {
                    return Err(wrong("it is not assignable and must not contain a relation type".into()));
                }
                _ => {}
            }
            for restriction in &relation.restrictions {
                self.restriction_holds(restriction).map_err(wrong)?;
            }
            self.rewrite_holds(kind, &relation.rewrite).map_err(wrong)?;
            if self.leads_back(kind, name, &relation.rewrite, &mut vec![name]) {
                return Err(wrong("an authorization model cannot contain a cycle".into()));
            }
        }
        let reached = self.reached();
        match self.all().find(|(kind, name, _)| !reached.contains(&(*kind, *name))) {
            Some((kind, name, _)) => Err(invalid(format!(
                "the definition of relation '{name}' in object type '{kind}' is invalid: no entrypoints defined"
            ))),
            None => Ok(()),
        }
    }

    fn restriction_holds(&self, restriction: &Restriction) -> Result<(), String> {
        let relation = restriction.relation.as_deref();
        let relation_is_there = relation.is_none_or(|relation| self.relation(&restriction.r#type, relation).is_some());
        if !self.has_type(&restriction.r#type) || !relation_is_there {
            return Err(format!("the relation type '{}' is not valid", restriction.named()));
        }
        if relation.is_some() && restriction.wildcard.is_some() {
            return Err(format!("the relation type '{}' cannot be a wildcard too", restriction.named()));
        }
        Ok(())
    }

    fn rewrite_holds(&self, kind: &str, rewrite: &Rewrite) -> Result<(), String> {
        let there = |named: &Named| {
            self.relation(kind, &named.relation)
                .ok_or_else(|| format!("'{kind}#{}' relation is undefined", named.relation))
        };
        match rewrite {
            Rewrite::This {} => Ok(()),
            Rewrite::Computed(named) => there(named).map(drop),
            Rewrite::From(from) => {
                let tupleset = there(&from.tupleset)?;
                let name = &from.tupleset.relation;
                let is_direct = matches!(tupleset.rewrite, Rewrite::This {})
                    && tupleset.restrictions.iter().all(|r| r.relation.is_none() && r.wildcard.is_none());
                if !is_direct {
                    return Err(format!(
                        "the '{kind}#{name}' relation is referenced in at least one tupleset and thus must be a direct relation"
                    ));
                }
                let computed = &from.computed.relation;
                let somewhere = tupleset.restrictions.iter().any(|r| self.relation(&r.r#type, computed).is_some());
                somewhere.then_some(()).ok_or_else(|| format!("no type of '{kind}#{name}' has a relation '{computed}'"))
            }
            Rewrite::Union(children) | Rewrite::Intersection(children) => {
                if children.child.is_empty() {
                    return Err("a union or an intersection needs children".into());
                }
                children.child.iter().try_for_each(|child| self.rewrite_holds(kind, child))
            }
            Rewrite::Difference(difference) => {
                self.rewrite_holds(kind, &difference.base)?;
                self.rewrite_holds(kind, &difference.subtract)
            }
        }
    }

    /// Whether relations that are computed from each other go round in a circle.
    fn leads_back<'a>(&'a self, kind: &str, start: &str, rewrite: &'a Rewrite, seen: &mut Vec<&'a str>) -> bool {
        match rewrite {
            Rewrite::This {} | Rewrite::From(_) => false,
            Rewrite::Computed(named) if named.relation == start => true,
            Rewrite::Computed(named) if seen.contains(&named.relation.as_str()) => false,
            Rewrite::Computed(named) => {
                seen.push(&named.relation);
                let next = self.relation(kind, &named.relation);
                next.is_some_and(|next| self.leads_back(kind, start, &next.rewrite, seen))
            }
            Rewrite::Union(children) | Rewrite::Intersection(children) => {
                children.child.iter().any(|child| self.leads_back(kind, start, child, seen))
            }
            Rewrite::Difference(difference) => {
                self.leads_back(kind, start, &difference.base, seen)
                    || self.leads_back(kind, start, &difference.subtract, seen)
            }
        }
    }

    /// The relations that somebody can have: found in rounds, until a round finds no more.
    fn reached(&self) -> Vec<(&str, &str)> {
        let mut reached: Vec<(&str, &str)> = Vec::new();
        loop {
            let new = |(kind, name, relation): &(&str, &str, &Relation)| {
                !reached.contains(&(*kind, *name)) && self.is_reached(kind, relation, &relation.rewrite, &reached)
            };
            let round: Vec<_> = self.all().filter(new).map(|(kind, name, _)| (kind, name)).collect();
            if round.is_empty() {
                return reached;
            }
            reached.extend(round);
        }
    }

    fn is_reached(&self, kind: &str, relation: &Relation, rewrite: &Rewrite, reached: &[(&str, &str)]) -> bool {
        let again = |rewrite: &Rewrite| self.is_reached(kind, relation, rewrite, reached);
        match rewrite {
            Rewrite::This {} => relation.restrictions.iter().any(|restriction| {
                restriction
                    .relation
                    .as_deref()
                    .is_none_or(|name| reached.contains(&(restriction.r#type.as_str(), name)))
            }),
            Rewrite::Computed(named) => reached.contains(&(kind, &named.relation)),
            Rewrite::From(from) => {
                let parents = self.relation(kind, &from.tupleset.relation);
                parents.is_some_and(|parents| {
                    let has = |parent: &Restriction| reached.contains(&(&parent.r#type, &from.computed.relation));
                    parents.restrictions.iter().any(has)
                })
            }
            Rewrite::Union(children) => children.child.iter().any(again),
            Rewrite::Intersection(children) => children.child.iter().all(again),
            Rewrite::Difference(difference) => again(&difference.base) && again(&difference.subtract),
        }
    }
}

impl Restriction {
    fn is_object(&self, kind: &str) -> bool {
        self.r#type == kind && self.relation.is_none() && self.wildcard.is_none()
    }

    fn named(&self) -> String {
        self.relation.as_ref().map_or_else(|| self.r#type.clone(), |relation| format!("{}#{relation}", self.r#type))
    }
}

impl Rewrite {
    /// Whether tuples of the relation itself count somewhere in it.
    fn says_this(&self) -> bool {
        match self {
            Self::This {} => true,
            Self::Computed(_) | Self::From(_) => false,
            Self::Union(children) | Self::Intersection(children) => children.child.iter().any(Self::says_this),
            Self::Difference(difference) => difference.base.says_this() || difference.subtract.says_this(),
        }
    }
}

fn invalid(why: impl Into<String>) -> Error {
    Error::bad("invalid_authorization_model", why)
}

fn read_type(written: WrittenType) -> Result<(String, BTreeMap<String, Relation>), Error> {
    let name = written.r#type;
    if name.chars().count() > 254 || name.is_empty() || name.contains(|c: char| ":#@".contains(c) || c.is_whitespace())
    {
        let message = "invalid TypeDefinition.Type: value does not match regex pattern \"^[^:#@\\\\s]{1,254}$\"";
        return Err(Error::bad("type_invalid_pattern", message));
    }
    let mut metadata = written.metadata.and_then(|metadata| metadata.relations).unwrap_or_default();
    let mut relations = BTreeMap::new();
    for (relation, rewrite) in written.relations.unwrap_or_default() {
        if !is_relation(&relation) {
            let message = format!(
                "invalid TypeDefinition.Relations[{relation}]: value does not match regex pattern \"^[^:#@\\\\s]{{1,50}}$\""
            );
            return Err(Error::bad("relations_invalid_pattern", message));
        }
        if ["self", "this"].contains(&relation.as_str()) {
            return Err(invalid("self and this are reserved keywords"));
        }
        let restrictions =
            metadata.remove(&relation).map(|found| found.directly_related_user_types).unwrap_or_default();
        if restrictions.iter().any(|restriction| restriction.condition.as_ref().is_some_and(|name| !name.is_empty())) {
            return Err(Error::no_conditions());
        }
        relations.insert(relation, Relation { rewrite, restrictions });
    }
    if ["self", "this"].contains(&name.as_str()) {
        return Err(invalid("self and this are reserved keywords"));
    }
    match metadata.into_keys().next() {
        Some(relation) => Err(invalid(format!("'{name}#{relation}' relation is undefined"))),
        None => Ok((name, relations)),
    }
}
