//! Rich authorization requests (RFC 9396): what exactly is asked, and whether that is what was granted.
//!
//! Two schemas are known: the common members of RFC 9396 §2.2 ([`common`]), and Auth0's ([`super::guardian`]). Which one a
//! server wants is the provider's to say ([`super::Provider::details`]).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Number, Value, json};

use crate::{escape, json::Read, secret::AccessToken};

/// What one call asks for, before it is put into a schema.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The type that the server knows (RFC 9396 §2).
    pub kind: &'a str,
    /// The action: the tool.
    pub action: &'a str,
    /// What the person is told about it, by the tool's author; never text of a model.
    pub instruction: Option<&'a str>,
    /// Where the call goes: scheme, host and port.
    pub location: &'a str,
    /// The validated arguments.
    pub arguments: &'a Map<String, Value>,
    /// SHA-256 over the canonical call.
    pub digest: &'a str,
    /// Who asks: the client.
    pub agent: &'a str,
    /// The spend limit in words.
    pub spend: Option<&'a str>,
    /// Its currency.
    pub currency: Option<&'a str>,
    /// The third-party account that is used.
    pub connection: Option<&'a str>,
}

/// Why a call does not fit into the schema of the server. Nothing is ever cut to fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} does not fit into the details that this server's approvals can show: {why}; {mend}")]
pub struct Unfit {
    /// What does not fit.
    pub what: String,
    /// Why not.
    pub why: String,
    /// What helps.
    pub mend: &'static str,
}

/// How granted `authorization_details` compare with the requested ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// All that was requested, unchanged.
    Same,
    /// The server returned none: they prove nothing.
    NotReturned,
    /// Something was changed, left out or added.
    Different {
        /// Where, as a path into the requested details.
        at: String,
    },
}

/// One object that names every argument and the digest over the canonical call, in the common members of RFC 9396 §2.2
/// and some of our own.
#[must_use]
pub fn common(asked: &Asked<'_>) -> Value {
    let mut object = json!({
        "type": asked.kind,
        "actions": [asked.action],
        "locations": [asked.location],
        "arguments": asked.arguments,
        "digest": asked.digest,
        "agent": asked.agent,
    });
    for (name, value) in [("spend", asked.spend), ("currency", asked.currency), ("connection", asked.connection)] {
        if let Some(value) = value {
            object[name] = value.into();
        }
    }
    Value::Array(vec![object])
}

/// The `authorization_details` inside an access token, if it is a JWT that carries any (RFC 9396 §9.1). Nobody has checked
/// its signature: what stands there proves nothing, but it may contradict.
#[must_use]
pub fn in_token(token: &AccessToken) -> Option<Read> {
    let mut parts = token.expose().split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let mut claims: Read = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let value = claims.value.as_object_mut()?.remove("authorization_details")?;
    let carries_none = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    // A JWT with a name that stands twice is none (RFC 7519 §4), wherever the name stands.
    (claims.twice.is_some() || !carries_none).then_some(Read { value, twice: claims.twice })
}

/// Compares by meaning, not by text: the order of members and of the objects does not matter, members that the server added
/// do not matter, numbers are equal if their values are. Every requested member must be there, unchanged, and there must be
/// as many objects as requested: one more would be a grant nobody was asked about. A name that stands twice in an object is
/// a difference: another reader would find something else there.
#[must_use]
pub fn compare(requested: &Value, granted: Option<&Read>) -> Comparison {
    let different = |at: String| Comparison::Different { at };
    let granted = match granted {
        None | Some(Read { value: Value::Null, twice: None }) => return Comparison::NotReturned,
        // Its names are the server's, and as long as it likes.
        Some(Read { twice: Some(at), .. }) => return different(escape::shortened(at, 200).into_owned()),
        Some(Read { value, .. }) => value,
    };
    let (Value::Array(requested), Value::Array(granted)) = (requested, granted) else {
        return different(String::new());
    };
    if requested.len() != granted.len() {
        return different(String::new());
    }
    let mut left: Vec<&Value> = granted.iter().collect();
    for (index, object) in requested.iter().enumerate() {
        match left.iter().position(|candidate| difference(object, candidate, "").is_none()) {
            Some(found) => {
                left.swap_remove(found);
            }
            None => {
                let inner = left.first().and_then(|candidate| difference(object, candidate, ""));
                return different(format!("/{index}{}", inner.unwrap_or_default()));
            }
        }
    }
    Comparison::Same
}

/// The first place where `granted` does not hold what `requested` does.
fn difference(requested: &Value, granted: &Value, at: &str) -> Option<String> {
    match (requested, granted) {
        (Value::Object(requested), Value::Object(granted)) => requested.iter().find_map(|(name, value)| {
            let at = format!("{at}/{name}");
            match granted.get(name) {
                Some(other) => difference(value, other, &at),
                None => Some(at),
            }
        }),
        (Value::Array(requested), Value::Array(granted)) if requested.len() == granted.len() => {
            let pairs = requested.iter().zip(granted).enumerate();
            pairs.into_iter().find_map(|(index, (one, other))| difference(one, other, &format!("{at}/{index}")))
        }
        (Value::Number(one), Value::Number(other)) if same_number(one, other) => None,
        (one, other) if one == other => None,
        _ => Some(at.to_owned()),
    }
}

/// `900`, `900.0` and `9e2` are one number, `0` and `-0` too. Nothing is rounded to find that out.
fn same_number(one: &Number, other: &Number) -> bool {
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.as_f64() == other.as_f64(),
        (Some(integer), None) => is_written_as(other, integer),
        (None, Some(integer)) => is_written_as(one, integer),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// Whether a binary fraction is this integer, or is written as this integer in its canonical form (RFC 8785), which has
/// zeros where the digits stop to matter. A neighbour of that integer is another number, also if it is too near for a
/// binary fraction to tell.
fn is_written_as(float: &Number, integer: i128) -> bool {
    let Some(value) = float.as_f64() else { return false };
    #[expect(clippy::cast_possible_truncation, reason = "it has no fraction, and the range is checked")]
    let is_it = value.fract() == 0.0 && value.abs() < 1e38 && value as i128 == integer;
    is_it || serde_json_canonicalizer::to_string(float).is_ok_and(|text| text == integer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(requested: &Value, granted: Option<&Value>) -> Comparison {
        super::compare(requested, granted.cloned().map(Read::from).as_ref())
    }

    fn requested() -> Value {
        json!([{"type": "purchase", "actions": ["buy_product"], "arguments": {"product": "phones", "qty": 2, "limit": 900}}])
    }

    #[test]
    fn meaning_counts_not_text() {
        let reordered = r#"[{"arguments":{"limit":900.0,"qty":2,"product":"phones","note":null},"id":"x",
                             "actions":["buy_product"],"type":"purchase"}]"#;
        let granted: Value = serde_json::from_str(reordered).unwrap();
        assert_eq!(compare(&requested(), Some(&granted)), Comparison::Same);

        let two = json!([{"type": "a"}, {"type": "b"}]);
        assert_eq!(compare(&two, Some(&json!([{"type": "b"}, {"type": "a"}]))), Comparison::Same);
    }

    #[test]
    fn what_was_changed_is_found() {
        type Change = fn(&mut Value);
        let cases: [(&str, Change); 9] = [
            ("/0/arguments/qty", |details| details[0]["arguments"]["qty"] = json!(3)),
            ("/0/arguments/qty", |details| details[0]["arguments"]["qty"] = json!("2")),
            ("/0/arguments/limit", |details| details[0]["arguments"]["limit"] = json!(900.01)),
            ("/0/arguments/product", |details| {
                details[0]["arguments"].as_object_mut().unwrap().remove("product");
            }),
            ("/0/actions", |details| details[0]["actions"] = json!(["buy_product", "refund"])),
            ("/0/type", |details| details[0]["type"] = json!("Purchase")),
            ("", |details| details.as_array_mut().unwrap().push(json!({"type": "admin"}))),
            ("", |details| *details = json!([])),
            ("", |details| *details = json!({"type": "purchase"})),
        ];
        for (at, change) in cases {
            let mut granted = requested();
            change(&mut granted);
            assert_eq!(compare(&requested(), Some(&granted)), Comparison::Different { at: at.to_owned() }, "{granted}");
        }
    }

    #[test]
    fn one_object_does_not_count_twice() {
        let requested = json!([{"type": "a"}, {"type": "a"}]);
        assert_eq!(
            compare(&requested, Some(&json!([{"type": "a"}, {"type": "b"}]))),
            Comparison::Different { at: "/1/type".to_owned() }
        );
    }

    #[test]
    fn nothing_returned_is_said() {
        assert_eq!(compare(&requested(), None), Comparison::NotReturned);
        assert_eq!(compare(&requested(), Some(&Value::Null)), Comparison::NotReturned);
    }

    #[test]
    fn what_nobody_asked_for_is_a_difference() {
        let nothing = json!([]);
        assert_eq!(compare(&nothing, None), Comparison::NotReturned);
        assert_eq!(compare(&nothing, Some(&json!([]))), Comparison::Same);
        assert_eq!(compare(&nothing, Some(&json!([{"type": "admin"}]))), Comparison::Different { at: String::new() });
    }

    #[test]
    fn an_answer_with_two_readings_is_not_the_same() {
        let first = r#"[{"type":"purchase","actions":["buy_product"],"arguments":{"qty":9,"product":"phones","qty":2,"limit":900}}]"#;
        let granted: Read = serde_json::from_str(first).unwrap();
        assert_eq!(granted.value, requested(), "the last one counts for this reader");
        let found = super::compare(&requested(), Some(&granted));
        assert_eq!(found, Comparison::Different { at: "/0/arguments/qty".to_owned() });
    }

    #[test]
    fn numbers_at_the_edges() {
        let number = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
        let same = |one: &str, other: &str| {
            compare(&json!([{"n": number(one)}]), Some(&json!([{"n": number(other)}]))) == Comparison::Same
        };
        for (one, other) in [
            ("900", "900.0"),
            ("900", "9e2"),
            ("900", "90000e-2"),
            ("0", "-0"),
            ("0", "-0.0"),
            ("1e308", "1E+308"),
            ("1e22", "10000000000000000000000"),
            ("0.30000000000000004", "3.0000000000000004e-1"),
            ("5e-324", "4.9e-324"),
            ("9007199254740992", "9007199254740992.0"),
            ("18446744073709551615", "18446744073709551615"),
            ("1.2670794150051428e18", "1267079415005142800"),
            ("1.2670794150051428e18", "1267079415005142784"),
            ("1e-29", "0.00000000000000000000000000001"),
        ] {
            assert!(same(one, other) && same(other, one), "{one} = {other}");
        }
        for (one, other) in [
            ("0.3", "0.30000000000000004"),
            ("1e308", "1.0000000000000002e308"),
            ("1e308", "-1e308"),
            ("9007199254740992.0", "9007199254740993"),
            ("9007199254740993", "9007199254740994"),
            ("18446744073709551615", "18446744073709551614"),
            ("18446744073709551615", "1.8446744073709552e19"),
            ("1.2670794150051428e18", "1267079415005142801"),
            ("1e-29", "2e-29"),
            ("1e-29", "0"),
            ("5e-324", "0"),
            ("900", "900.0000000000001"),
        ] {
            assert!(!same(one, other) && !same(other, one), "{one} is not {other}");
        }
        for (one, other) in [("2", "\"2\""), ("1", "true"), ("0", "null"), ("0", "[]")] {
            assert!(!same(one, other) && !same(other, one), "{one} is not {other}");
        }
    }

    fn jwt(payload: &str) -> AccessToken {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        AccessToken::new(format!("{}.{}.{}", part(r#"{"alg":"ES256"}"#), part(payload), part("signature")))
    }

    #[test]
    fn a_token_says_what_it_carries() {
        let carried = in_token(&jwt(r#"{"sub":"a","authorization_details":[{"type":"purchase"}]}"#));
        assert_eq!(carried, Some(json!([{"type": "purchase"}]).into()));
        for none in ["{}", r#"{"authorization_details":null}"#, r#"{"authorization_details":[]}"#, "[]", "no"] {
            assert_eq!(in_token(&jwt(none)), None, "{none}");
        }
        for opaque in ["", "opaque", "a.b", "a.b.c", "a.b.c.d.e"] {
            assert_eq!(in_token(&AccessToken::new(opaque)), None, "{opaque}");
        }
        // Named twice, another reader finds the first one.
        for twice in [
            r#"{"authorization_details":[{"type":"admin"}],"authorization_details":[]}"#,
            r#"{"sub":"a","sub":"b","authorization_details":[{"type":"purchase"}]}"#,
        ] {
            let carried = in_token(&jwt(twice)).unwrap();
            assert!(matches!(
                super::compare(&json!([{"type": "purchase"}]), Some(&carried)),
                Comparison::Different { .. }
            ));
        }
    }
}
