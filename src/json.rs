//! JSON of which there is one reading only (RFC 7493, I-JSON).
//!
//! RFC 8259 §4 leaves open what a name means that stands twice in one object, and readers differ: the last one counts, or
//! the first, or both. What a person approved must not depend on who reads it, so such texts are found here.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// How deep arrays and objects may lie in each other in [`strict`]. What is read must also fit into what is sent on, which
/// lies a few levels deeper, and readers commonly give up at 128.
pub const MAX_DEPTH: usize = 64;

/// Why a text is not JSON with one reading.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no JSON.
    #[error("{0}")]
    Syntax(String),
    /// A name stands twice in one object.
    #[error("the name {0} stands twice in one object")]
    Twice(String),
    /// It is nested too deeply.
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// Reads a JSON text and refuses what two readers could understand differently.
///
/// # Errors
/// [`Error`].
pub fn strict(text: &str) -> Result<Value, Error> {
    let mut found = Found { deepest: Some(MAX_DEPTH), ..Found::default() };
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Place { found: &mut found, depth: 0 }.deserialize(&mut reader);
    let read = read.and_then(|value| reader.end().map(|()| value));
    match (read, found) {
        (_, Found { too_deep: true, .. }) => Err(Error::TooDeep),
        (Err(error), _) => Err(Error::Syntax(error.to_string())),
        (Ok(_), Found { twice: Some(at), .. }) => Err(Error::Twice(at)),
        (Ok(value), _) => Ok(value),
    }
}

/// A JSON value that was read as part of something else, and whether it had one reading. The last of two equal names is
/// what counts in `value`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    /// The value.
    pub value: Value,
    /// The first name that stands twice in one object, as a path.
    pub twice: Option<String>,
}

impl From<Value> for Read {
    fn from(value: Value) -> Self {
        Self { value, twice: None }
    }
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut found = Found::default();
        let value = Place { found: &mut found, depth: 0 }.deserialize(deserializer)?;
        Ok(Self { value, twice: found.twice })
    }
}

#[derive(Default)]
struct Found {
    twice: Option<String>,
    deepest: Option<usize>,
    too_deep: bool,
}

/// Where the reader is.
struct Place<'a> {
    found: &'a mut Found,
    depth: usize,
}

impl Place<'_> {
    /// Reads what lies one level deeper. The path of a name that stands twice is put together on the way back, so that what
    /// has one reading costs nothing.
    fn below<T, E>(&mut self, name: impl fmt::Display, read: impl FnOnce(Place<'_>) -> Result<T, E>) -> Result<T, E> {
        let known = self.found.twice.is_some();
        let read = read(Place { depth: self.depth + 1, found: self.found });
        if let Some(at) = self.found.twice.as_mut().filter(|_| !known) {
            at.insert_str(0, &format!("/{name}"));
        }
        read
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.found.deepest.is_some_and(|deepest| self.depth >= deepest) {
            self.found.too_deep = true;
            return Err(E::custom("nested too deeply"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number).map(Value::Number).ok_or_else(|| E::custom("a number that JSON does not have"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut list = Vec::new();
        while let Some(item) = self.below(list.len(), |place| items.next_element_seed(place))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = self.below(&name, |place| members.next_value_seed(place))?;
            if map.contains_key(&name) {
                self.found.twice.get_or_insert_with(|| format!("/{name}"));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_has_one_reading_is_read_as_ever() {
        for text in
            [r#"{"a":[1,-2,0.5,1e308,"x",null,true,{}],"b":{"a":1}}"#, "[]", "7", "\"\\u0041\"", " { } ", "-0", "1E-7"]
        {
            let usual: Value = serde_json::from_str(text).unwrap();
            assert_eq!(strict(text), Ok(usual.clone()), "{text}");
            assert_eq!(serde_json::from_str::<Read>(text).unwrap(), Read::from(usual), "{text}");
        }
        for broken in ["", "{", "{} {}", "{\"a\" 1}", "1e999", "nul", "{'a':1}", "[1,]"] {
            assert!(matches!(strict(broken), Err(Error::Syntax(_))), "{broken}");
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_found_wherever_it_is() {
        for (text, at) in [
            (r#"{"qty":1,"qty":9}"#, "/qty"),
            (r#"{"qty":1,"qty":1}"#, "/qty"),
            (r#"{"qty":1,"q\u0074y":9}"#, "/qty"),
            (r#"{"a":[{"b":{"c":1,"c":2}}]}"#, "/a/0/b/c"),
            (r#"{"a":null,"a":{}}"#, "/a"),
        ] {
            assert_eq!(strict(text), Err(Error::Twice(at.to_owned())), "{text}");
            let read: Read = serde_json::from_str(text).unwrap();
            assert_eq!(read.twice.as_deref(), Some(at), "{text}");
        }
        let last: Read = serde_json::from_str(r#"{"qty":1,"qty":9}"#).unwrap();
        assert_eq!(last.value, json!({"qty": 9}));
        assert!(strict(r#"[{"a":1},{"a":1}]"#).is_ok(), "two objects, two names");
    }

    #[test]
    fn depth_has_an_end_of_its_own() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(strict(&nested(MAX_DEPTH)).is_ok());
        for levels in [MAX_DEPTH + 1, 128, 129, 100_000] {
            assert_eq!(strict(&nested(levels)), Err(Error::TooDeep), "{levels}");
        }
        let objects = format!("{}1{}", "{\"a\":".repeat(65), "}".repeat(65));
        assert_eq!(strict(&objects), Err(Error::TooDeep));
    }
}
