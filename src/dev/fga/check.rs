//! Whether somebody has a relation to something: the rules of a model, followed through the tuples.

use std::cell::Cell;

use super::{
    error::Error,
    model::{Model, Rewrite},
    tuple::{Subject, TupleKey, split_object},
};

/// How many questions may stand open inside each other, as at a real server.
const DEEPEST: usize = 25;
/// How many questions one request may cause: a real server stops by time.
const MOST_QUESTIONS: u32 = 10_000;

/// One request's question.
pub(super) struct Question<'a> {
    model: &'a Model,
    tuples: Vec<&'a TupleKey>,
    user: &'a str,
    asked: Cell<u32>,
}

/// An answer that may be worth less than it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    allowed: bool,
    /// The way came back to a question that was still open. As the subtracted half of a difference, that is no ground
    /// for a yes.
    cycle: bool,
}

const YES: Verdict = Verdict { allowed: true, cycle: false };
const NO: Verdict = Verdict { allowed: false, cycle: false };

type Outcome = Result<Verdict, Error>;

impl<'a> Question<'a> {
    /// `tuples` are those of the store and those of the request.
    pub(super) fn new(model: &'a Model, tuples: impl Iterator<Item = &'a TupleKey>, user: &'a str) -> Self {
        // Tuples of an earlier model stay in the store, but this one may not know them.
        let tuples = tuples.filter(|tuple| model.takes(tuple.kind(), &tuple.relation, &tuple.user));
        Self { model, tuples: tuples.collect(), user, asked: Cell::new(0) }
    }

    /// Whether the user has this relation to this object.
    pub(super) fn ask(&self, object: &str, relation: &str) -> Result<bool, Error> {
        self.asked.set(0);
        self.has(object, relation, &mut Vec::new()).map(|verdict| verdict.allowed)
    }

    fn has(&self, object: &str, relation: &str, open: &mut Vec<(String, String)>) -> Outcome {
        // Whoever has a relation has it: group:staff#member is a member of group:staff.
        if self.user.split_once('#') == Some((object, relation)) {
            return Ok(YES);
        }
        let question = (object.to_owned(), relation.to_owned());
        if open.contains(&question) {
            return Ok(Verdict { cycle: true, ..NO });
        }
        if open.len() == DEEPEST {
            return Err(Error::too_complex());
        }
        self.asked.set(self.asked.get() + 1);
        if self.asked.get() > MOST_QUESTIONS {
            return Err(Error::too_long());
        }
        let kind = split_object(object).map(|(kind, _)| kind).unwrap_or_default();
        // A parent's type need not have the relation; then nobody has it there.
        let Some(found) = self.model.relation(kind, relation) else { return Ok(NO) };
        open.push(question);
        let outcome = self.follow(object, relation, &found.rewrite, open);
        open.pop();
        outcome
    }

    fn follow(&self, object: &str, relation: &str, rewrite: &Rewrite, open: &mut Vec<(String, String)>) -> Outcome {
        match rewrite {
            Rewrite::This {} => self.directly(object, relation, open),
            Rewrite::Computed(named) => self.has(object, &named.relation, open),
            Rewrite::From(from) => {
                let parents = self.users(object, &from.tupleset.relation);
                any(parents, |parent| self.has(parent, &from.computed.relation, open))
            }
            Rewrite::Union(children) => any(&children.child, |child| self.follow(object, relation, child, open)),
            Rewrite::Intersection(children) => all(&children.child, |child| self.follow(object, relation, child, open)),
            Rewrite::Difference(difference) => {
                let base = self.follow(object, relation, &difference.base, open);
                if let Ok(verdict) = &base
                    && !verdict.allowed
                {
                    return base;
                }
                match self.follow(object, relation, &difference.subtract, open) {
                    Ok(verdict) if verdict.allowed || verdict.cycle => Ok(Verdict { allowed: false, ..verdict }),
                    Ok(_) => base,
                    Err(error) => Err(base.err().unwrap_or(error)),
                }
            }
        }
    }

    /// A tuple names the user, everybody of the user's type, or a userset that the user is in.
    fn directly(&self, object: &str, relation: &str, open: &mut Vec<(String, String)>) -> Outcome {
        let everybody = match Subject::parse(self.user) {
            Some(Subject::Object { kind }) => Some(kind),
            _ => None,
        };
        let named = |user: &str| {
            user == self.user
                || matches!(Subject::parse(user), Some(Subject::Wildcard { kind }) if Some(kind) == everybody)
        };
        if self.users(object, relation).any(named) {
            return Ok(YES);
        }
        let usersets = self.users(object, relation).filter_map(|user| match Subject::parse(user) {
            Some(Subject::Userset { object, relation, .. }) => Some((object, relation)),
            _ => None,
        });
        any(usersets, |(object, relation)| self.has(object, relation, open))
    }

    fn users(&self, object: &str, relation: &str) -> impl Iterator<Item = &'a str> {
        let fits = move |tuple: &&&'a TupleKey| tuple.object == object && tuple.relation == relation;
        self.tuples.iter().filter(fits).map(|tuple| tuple.user.as_str())
    }
}

/// One yes is enough, whatever happened to the others.
fn any<T>(items: impl IntoIterator<Item = T>, mut ask: impl FnMut(T) -> Outcome) -> Outcome {
    let (mut sum, mut trouble) = (NO, None);
    for item in items {
        match ask(item) {
            Ok(verdict) if verdict.allowed => return Ok(verdict),
            Ok(verdict) => sum.cycle |= verdict.cycle,
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    trouble.map_or(Ok(sum), Err)
}

/// One no is enough, whatever happened to the others.
fn all<T>(items: impl IntoIterator<Item = T>, mut ask: impl FnMut(T) -> Outcome) -> Outcome {
    let mut trouble = None;
    for item in items {
        match ask(item) {
            Ok(verdict) if !verdict.allowed => return Ok(verdict),
            Ok(_) => {}
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    trouble.map_or(Ok(YES), Err)
}
