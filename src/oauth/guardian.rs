//! Auth0's schema of `authorization_details` for the Guardian app (User Authorization with CIBA): what a phone shows as
//! "instruction" and a list of named values.
//!
//! Guardian takes exactly one object. Its properties are flat and their values are texts, so an argument that is a list or
//! an object is refused: a person cannot read JSON on a phone, and a second way to name the leaves of an argument would be
//! one more thing that agentctl and an API could understand differently. Numbers and truth values are written as RFC 8785
//! writes them. Whatever does not fit is refused before anything is sent; nothing is cut, because what was cut was not
//! approved.

use serde_json::{Map, Value, json};

use super::rar::{Asked, Unfit};
use crate::escape;

/// In front of the name of every type that Guardian shows.
const TYPES: &str = "urn:auth0:schemas:authorization-details:v1:";
/// Bytes of the whole array: 5 kB, read in the way that is safe both ways.
const MAX_BYTES: usize = 5_000;
/// How many values.
const MAX_PROPERTIES: usize = 10;
/// The longest name and the longest value.
const MAX_CHARS: usize = 255;

const FEWER: &str = "give the tool fewer parameters, or leave `authorization_details` out of its manifest; then the binding \
                     message must hold every value, or the profile must say binding = \"code\"";
const SHORTER: &str = "limit the parameter's length (maxLength) in the tool's manifest, or leave `authorization_details` \
                       out of it; then the binding message must hold every value, or the profile must say binding = \"code\"";
const RENAME: &str = "rename it in the tool's manifest";

/// The one object for a call, in an array.
///
/// # Errors
/// If the call does not fit.
pub fn details(asked: &Asked<'_>) -> Result<Value, Unfit> {
    let instruction = asked.instruction.map_or_else(|| format!("Approve {}", asked.action), str::to_owned);
    fits("the instruction", &instruction)?;
    let mut properties = Properties::default();
    // The amount first, then what it is for: what matters most must not need scrolling.
    properties.ours("spend", asked.spend)?;
    for (name, value) in asked.arguments {
        properties.argument(name, value)?;
    }
    properties.ours("connection", asked.connection)?;
    properties.ours("origin", Some(asked.location))?;
    properties.ours("agent", Some(asked.agent))?;
    properties.ours("digest", Some(asked.digest))?;
    let count = properties.0.len();
    if count > MAX_PROPERTIES {
        let why =
            format!("it has {count} values, origin, agent, digest and spend limit included, and {MAX_PROPERTIES} fit");
        return Err(unfit("the call", why, FEWER));
    }
    let details = json!([{ "type": kind(asked.kind)?, "instruction": instruction, "properties": properties.0 }]);
    let bytes = details.to_string().len();
    if bytes > MAX_BYTES {
        return Err(unfit("the call", format!("it needs {bytes} bytes, and {MAX_BYTES} fit"), FEWER));
    }
    Ok(details)
}

/// The whole name of a type: the manifest may give it, or only what stands at its end.
fn kind(kind: &str) -> Result<String, Unfit> {
    let name = kind.strip_prefix(TYPES).unwrap_or(kind);
    if is_name(name) {
        return Ok(format!("{TYPES}{name}"));
    }
    let why = format!("a type is {TYPES} and a name of `A-Z a-z 0-9 _ . -`");
    Err(unfit(&format!("the type {kind:?}"), why, "mend `type` in the tool's manifest"))
}

#[derive(Default)]
struct Properties(Map<String, Value>);

impl Properties {
    fn argument(&mut self, name: &str, value: &Value) -> Result<(), Unfit> {
        let what = format!("the parameter `{name}`");
        if ["spend", "connection", "origin", "agent", "digest"].contains(&name) {
            return Err(unfit(&what, "the details have a value of that name already".to_owned(), RENAME));
        }
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => serde_json_canonicalizer::to_string(value)
                .map_err(|_| unfit(&what, "the number has no canonical form".to_owned(), "name another number"))?,
            _ => {
                let why = "it is a list or an object, and only single values can be shown".to_owned();
                return Err(unfit(&what, why, FEWER));
            }
        };
        self.add(&what, name, &text)
    }

    fn ours(&mut self, name: &str, text: Option<&str>) -> Result<(), Unfit> {
        text.map_or(Ok(()), |text| self.add(name, name, text))
    }

    fn add(&mut self, what: &str, name: &str, text: &str) -> Result<(), Unfit> {
        if !is_name(name) {
            let why = format!("a name is 1 to {MAX_CHARS} of `A-Z a-z 0-9 _ . -`");
            return Err(unfit(what, why, RENAME));
        }
        fits(what, text)?;
        let order = self.0.len() + 1;
        let property = json!({ "display": true, "name": name, "display_order": order, "value": text });
        self.0.insert(name.to_owned(), property);
        Ok(())
    }
}

/// Whether a text can stand on the phone as it is.
fn fits(what: &str, text: &str) -> Result<(), Unfit> {
    // Counted as JavaScript counts, which is never less than the number of characters.
    let length = text.encode_utf16().count();
    if length > MAX_CHARS {
        return Err(unfit(what, format!("it is {length} characters long, and {MAX_CHARS} fit"), SHORTER));
    }
    // What a phone makes of such characters is not known; a person must not approve what they cannot see.
    if escape::field(text) != text {
        let why = "it holds control characters, blanks that are no spaces, accents without a letter, or characters that cannot \
                   be seen";
        return Err(unfit(what, why.to_owned(), "leave them out"));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    (1..=MAX_CHARS).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn unfit(what: &str, why: String, mend: &'static str) -> Unfit {
    Unfit { what: what.to_owned(), why, mend }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arguments: &Map<String, Value>) -> Asked<'_> {
        Asked {
            kind: "purchase",
            action: "buy_product",
            instruction: Some("Buy in the shop"),
            location: "https://shop.example",
            arguments,
            digest: "sha-256:x",
            agent: "agentctl-approval",
            spend: Some("any price"),
            currency: None,
            connection: None,
        }
    }

    fn arguments(value: Value) -> Map<String, Value> {
        let Value::Object(arguments) = value else { panic!("{value}") };
        arguments
    }

    #[test]
    fn a_purchase_as_guardian_shows_it() {
        let arguments = arguments(json!({"product": "phones", "qty": 2}));
        let property = |order: u32, name: &str, value: &str| json!({"display": true, "name": name, "display_order": order, "value": value});
        assert_eq!(
            details(&asked(&arguments)).unwrap(),
            json!([{
                "type": "urn:auth0:schemas:authorization-details:v1:purchase",
                "instruction": "Buy in the shop",
                "properties": {
                    "spend": property(1, "spend", "any price"),
                    "product": property(2, "product", "phones"),
                    "qty": property(3, "qty", "2"),
                    "origin": property(4, "origin", "https://shop.example"),
                    "agent": property(5, "agent", "agentctl-approval"),
                    "digest": property(6, "digest", "sha-256:x"),
                },
            }])
        );
    }

    #[test]
    fn values_are_texts_in_their_canonical_form() {
        let edges = r#"{"a":900.0,"b":1E308,"c":-0,"d":true,"e":"","f":9007199254740991}"#;
        let arguments: Map<String, Value> = serde_json::from_str(edges).unwrap();
        let found = details(&asked(&arguments)).unwrap();
        let value = |name: &str| found[0]["properties"][name]["value"].clone();
        let expected = ["900", "1e+308", "0", "true", "", "9007199254740991"];
        assert_eq!(["a", "b", "c", "d", "e", "f"].map(value), expected);
    }

    #[test]
    fn a_type_may_be_named_in_full() {
        let arguments = Map::new();
        let kind = |kind: &str| details(&Asked { kind, ..asked(&arguments) }).map(|found| found[0]["type"].clone());
        let whole = "urn:auth0:schemas:authorization-details:v1:purchase";
        assert_eq!(kind("purchase").unwrap(), whole);
        assert_eq!(kind(whole).unwrap(), whole);
        for broken in ["", "https://shop.example/purchase", "two words", "urn:auth0:schemas:authorization-details:v1:"]
        {
            assert!(kind(broken).unwrap_err().to_string().contains("the type"), "{broken}");
        }
    }

    #[test]
    fn without_an_instruction_the_tool_is_named() {
        let arguments = Map::new();
        let found = details(&Asked { instruction: None, ..asked(&arguments) }).unwrap();
        assert_eq!(found[0]["instruction"], "Approve buy_product");
    }

    #[test]
    fn what_does_not_fit_is_refused_whole() {
        let six: Map<String, Value> = (0..6).map(|n| (format!("p{n}"), json!(n))).collect();
        let many: Map<String, Value> = (0..7).map(|n| (format!("p{n}"), json!(n))).collect();
        assert!(details(&asked(&six)).is_ok());
        assert!(details(&Asked { spend: None, ..asked(&many) }).is_ok());
        let wide: Map<String, Value> = (0..6).map(|n| (format!("p{n}"), "漢".repeat(255).into())).collect();
        for (refused, what, why) in [
            (many, "the call", "11 values"),
            (wide, "the call", "bytes"),
            (arguments(json!({"note": "x".repeat(256)})), "`note`", "256 characters"),
            (arguments(json!({"note": "\u{1f4f1}".repeat(128)})), "`note`", "256 characters"),
            (arguments(json!({"note": "a\nb"})), "`note`", "cannot be seen"),
            (arguments(json!({"note": "a\u{202e}b"})), "`note`", "cannot be seen"),
            (arguments(json!({"to": ["ada", "grace"]})), "`to`", "a list or an object"),
            (arguments(json!({"to": {"name": "ada"}})), "`to`", "a list or an object"),
            (arguments(json!({"two words": 1})), "`two words`", "a name is"),
            (arguments(json!({"x".repeat(256): 1})), "the parameter", "a name is"),
            (arguments(json!({"digest": "sha-256:mine"})), "`digest`", "of that name already"),
            (arguments(json!({"spend": "nothing"})), "`spend`", "of that name already"),
        ] {
            let error = details(&asked(&refused)).unwrap_err();
            assert!(error.what.contains(what) && error.why.contains(why), "{error}");
        }
        assert!(details(&asked(&arguments(json!({"note": "x".repeat(255)})))).is_ok());
        assert!(details(&Asked { instruction: Some(&"x".repeat(256)), ..asked(&six) }).is_err());
        assert!(details(&Asked { location: &"x".repeat(256), ..asked(&six) }).is_err());
    }
}
