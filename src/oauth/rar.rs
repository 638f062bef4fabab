//! Rich authorization requests (RFC 9396): what exactly is asked, and whether that is what was granted.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde_json::{Value, json};

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

/// What one call asks for: one object that names every argument and the digest over the canonical call.
#[must_use]
pub fn detail(kind: &str, action: &str, location: &str, arguments: &Value, digest: &str) -> Value {
    json!({
        "type": kind,
        "actions": [action],
        "locations": [location],
        "arguments": arguments,
        "digest": digest,
        "agent": "agentctl",
    })
}

/// Compares by meaning, not by text: the order of members and of the objects does not matter, members that the server added
/// do not matter, numbers are equal if their values are. Every requested member must be there, unchanged, and there must be
/// as many objects as requested: one more would be a grant nobody was asked about.
#[must_use]
pub fn compare(requested: &Value, granted: Option<&Value>) -> Comparison {
    let granted = match granted {
        None | Some(Value::Null) => return Comparison::NotReturned,
        Some(granted) => granted,
    };
    let different = |at: String| Comparison::Different { at };
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

/// `900`, `900.0` and `9e2` are one number.
fn same_number(one: &serde_json::Number, other: &serde_json::Number) -> bool {
    let exact = |number: &serde_json::Number| {
        let text = number.to_string();
        Decimal::from_str(&text).or_else(|_| Decimal::from_scientific(&text)).ok().map(|value| value.normalize())
    };
    one == other || exact(one).zip(exact(other)).is_some_and(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
