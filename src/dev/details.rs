//! `authorization_details` (RFC 9396) as the tenant takes them, shows them and lets its shop read them.
//!
//! Auth0's Guardian has a schema of its own: one object with `instruction` and flat `properties`. Every other server takes
//! the common members. A tenant takes the form of its preset and no other.

use serde_json::{Map, Value};

use super::{answer::Refusal, preset::Preset};

/// The types the tenant knows (RFC 9396 §2).
pub(super) const TYPES: [&str; 2] = ["purchase", "account-change"];

/// Checks what a client asks for (RFC 9396 §2, §5).
pub(super) fn check(preset: Preset, text: &str) -> Result<Value, Refusal> {
    let value: Value = serde_json::from_str(text).map_err(|_| wrong("not JSON"))?;
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(|| wrong("not an array with members"))?;
    if preset == Preset::Auth0 && text.len() > 5 * 1024 {
        return Err(wrong("larger than 5 kB"));
    }
    let most = if preset == Preset::Auth0 { 1 } else { 5 };
    if list.len() > most {
        return Err(wrong("there are more members than the approval can show"));
    }
    for member in list {
        let member = member.as_object().ok_or_else(|| wrong("a member is not an object"))?;
        let kind = member.get("type").and_then(Value::as_str).ok_or_else(|| wrong("a member has no type"))?;
        let name = match preset.details_prefix() {
            Some(prefix) => kind.strip_prefix(prefix),
            None => Some(kind),
        };
        let name = name.filter(|name| TYPES.contains(name));
        let name = name.ok_or_else(|| wrong("a member has a type that is not registered"))?;
        if preset == Preset::Auth0 {
            guardian(member)?;
        } else {
            common(member)?;
        }
        if name == "purchase" {
            let is_order = Purchase::read(member).is_some_and(|order| !order.product.is_empty() && order.qty > 0);
            if !is_order {
                return Err(wrong("a purchase needs a product and a qty above zero"));
            }
        }
    }
    Ok(value)
}

fn wrong(why: &str) -> Refusal {
    Refusal::new(400, "invalid_authorization_details", why)
}

/// The common members of RFC 9396 §2.2, and the arguments.
fn common(member: &Map<String, Value>) -> Result<(), Refusal> {
    if !member.get("arguments").is_some_and(Value::is_object) {
        return Err(wrong("no arguments object"));
    }
    for texts in ["actions", "locations"] {
        let fits = |list: &Value| list.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        if member.get(texts).is_some_and(|list| !fits(list)) {
            return Err(wrong("actions and locations are arrays of strings"));
        }
    }
    Ok(())
}

/// What Guardian can show: an instruction and up to ten flat properties.
fn guardian(member: &Map<String, Value>) -> Result<(), Refusal> {
    let short = |value: &Value| value.as_str().is_some_and(|text| text.chars().count() <= 255);
    let name = |name: &str| {
        (1..=255).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
    };
    if member.keys().any(|name| !["type", "instruction", "properties"].contains(&name.as_str())) {
        return Err(wrong("a member has more than type, instruction and properties"));
    }
    if !member.get("instruction").is_some_and(|text| short(text) && text != "") {
        return Err(wrong("the instruction is no text of 1 to 255 characters"));
    }
    let properties = member.get("properties").and_then(Value::as_object);
    let properties = properties.filter(|list| (1..=10).contains(&list.len()));
    for (key, property) in properties.ok_or_else(|| wrong("properties is no object with 1 to 10 members"))? {
        let known = ["display", "name", "display_order", "description", "value"];
        let property = property.as_object().filter(|it| it.keys().all(|name| known.contains(&name.as_str())));
        let good = property.is_some_and(|it| {
            it.get("display").is_some_and(Value::is_boolean)
                && it.get("display_order").is_some_and(Value::is_u64)
                && it.get("name").is_some_and(|text| short(text) && text != "")
                && it.get("description").is_none_or(short)
                && it.get("value").is_some_and(short)
        });
        if !name(key) || !good {
            return Err(wrong("a property needs display, name, display_order and value, all within their limits"));
        }
    }
    Ok(())
}

/// A purchase, in whichever form it was approved.
#[derive(Debug, PartialEq)]
pub(super) struct Purchase {
    pub(super) product: String,
    pub(super) qty: u64,
    /// The total that it may cost, as it stands there.
    pub(super) limit: Option<Value>,
    /// Where it may be bought; anywhere if that was not said.
    pub(super) places: Option<Vec<String>>,
}

impl Purchase {
    /// The first purchase among granted details.
    pub(super) fn among(preset: Preset, details: &[Value]) -> Option<Self> {
        let kind = format!("{}purchase", preset.details_prefix().unwrap_or_default());
        details.iter().find(|member| member["type"] == *kind).and_then(Value::as_object).and_then(Self::read)
    }

    fn read(member: &Map<String, Value>) -> Option<Self> {
        if let Some(properties) = member.get("properties").and_then(Value::as_object) {
            let text = |name: &str| properties.get(name).and_then(|it| it["value"].as_str());
            return Some(Self {
                product: text("product")?.to_owned(),
                qty: text("qty").filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?,
                limit: text("price_limit").map(Value::from),
                places: text("origin").map(|origin| vec![origin.to_owned()]),
            });
        }
        let arguments = member.get("arguments")?;
        let texts = |list: &Value| {
            let list = list.as_array()?.iter();
            Some(list.filter_map(Value::as_str).map(str::to_owned).collect())
        };
        Some(Self {
            product: arguments["product"].as_str()?.to_owned(),
            qty: arguments["qty"].as_u64()?,
            limit: arguments.get("price_limit").filter(|limit| !limit.is_null()).cloned(),
            places: member.get("locations").and_then(texts),
        })
    }
}

/// One object of details as a phone shows it: everything, what matters most first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Its type.
    pub kind: String,
    /// What the tool's author says about it.
    pub instruction: Option<String>,
    /// Names and values of what will happen.
    pub rows: Vec<(String, String)>,
    /// Everything else.
    pub rest: Vec<(String, String)>,
}

/// Every object with every member, nothing left out.
pub(super) fn shown(details: Option<&Value>) -> Vec<Shown> {
    let list = details.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().map(one).collect()
}

fn one(value: &Value) -> Shown {
    let kind = plain(&value["type"]);
    let others = |shown: &[&str]| -> Value {
        let others = value.as_object().into_iter().flatten().filter(|(name, _)| !shown.contains(&name.as_str()));
        Value::Object(others.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    let mut rest = Vec::new();
    let mut rows = Vec::new();
    if let Some(properties) = value["properties"].as_object() {
        let mut list: Vec<&Value> = properties.values().collect();
        list.sort_by_key(|property| property["display_order"].as_u64().unwrap_or(u64::MAX));
        for property in list {
            let row = (plain(&property["name"]), plain(&property["value"]));
            if property["display"] == true { rows.push(row) } else { rest.push(row) }
        }
        leaves("", &others(&["type", "instruction", "properties"]), &mut rest);
        let instruction = value.get("instruction").map(plain);
        return Shown { kind, instruction, rows, rest };
    }
    leaves("", &value["arguments"], &mut rows);
    leaves("", &others(&["type", "arguments"]), &mut rest);
    Shown { kind, instruction: None, rows, rest }
}

fn leaves(path: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path} › {name}") };
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                leaves(&visible(&below(name)), value, rows);
            }
        }
        Value::Array(list) if list.iter().all(|item| !item.is_object() && !item.is_array()) => {
            rows.push((path.to_owned(), list.iter().map(plain).collect::<Vec<_>>().join(", ")));
        }
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                leaves(&below(&(index + 1).to_string()), item, rows);
            }
        }
        Value::Null if path.is_empty() => {}
        leaf => rows.push((path.to_owned(), plain(leaf))),
    }
}

/// A value as text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => visible(text),
        other => other.to_string(),
    }
}

/// What cannot be seen is made visible, so that nothing hides on the phone.
fn visible(text: &str) -> String {
    let hidden = |c: char| {
        let from_right =
            matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let without_width = matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{feff}');
        c.is_control() || from_right || without_width
    };
    text.chars().map(|c| if hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn property(order: u64, value: &str) -> Value {
        json!({"display": true, "name": "n", "display_order": order, "value": value})
    }

    fn purchase() -> Value {
        json!([{
            "type": "urn:auth0:schemas:authorization-details:v1:purchase", "instruction": "Buy",
            "properties": {"product": property(1, "phones"), "qty": property(2, "2")},
        }])
    }

    #[test]
    fn guardian_takes_its_own_schema_and_no_other() {
        assert!(check(Preset::Auth0, &purchase().to_string()).is_ok());
        type Change = fn(&mut Value);
        let changes: [Change; 15] = [
            |list| {
                let twin = list[0].clone();
                list.as_array_mut().unwrap().push(twin);
            },
            |list| list[0]["type"] = json!("purchase"),
            |list| list[0]["type"] = json!("urn:auth0:schemas:authorization-details:v1:gift"),
            |list| list[0]["actions"] = json!(["buy"]),
            |list| list[0]["instruction"] = json!(""),
            |list| list[0]["instruction"] = json!("x".repeat(256)),
            |list| list[0]["properties"] = json!({}),
            |list| (0..9).for_each(|n| list[0]["properties"][format!("p{n}")] = property(n, "x")),
            |list| list[0]["properties"]["two words"] = property(3, "x"),
            |list| list[0]["properties"]["note"] = property(3, &"x".repeat(256)),
            |list| list[0]["properties"]["qty"]["value"] = json!(2),
            |list| list[0]["properties"]["qty"]["value"] = json!("0"),
            |list| list[0]["properties"]["qty"]["display"] = json!("yes"),
            |list| list[0]["properties"]["qty"]["nested"] = json!({}),
            |list| drop(list[0]["properties"].as_object_mut().unwrap().remove("product")),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut changed = purchase();
            change(&mut changed);
            assert!(check(Preset::Auth0, &changed.to_string()).is_err(), "{index}: {changed}");
        }
        let mut large = purchase();
        (0..8).for_each(|n| large[0]["properties"][format!("p{n}")] = property(n, &"漢".repeat(255)));
        assert!(check(Preset::Auth0, &large.to_string()).is_err());
        let common = json!([{"type": "purchase", "arguments": {"product": "phones", "qty": 2}}]).to_string();
        assert!(check(Preset::Auth0, &common).is_err());
        for preset in [Preset::Keycloak, Preset::Oidc] {
            assert!(check(preset, &common).is_ok() && check(preset, &purchase().to_string()).is_err(), "{preset}");
        }
    }

    #[test]
    fn a_purchase_is_read_in_both_forms() {
        let mut guardian = purchase();
        guardian[0]["properties"]["price_limit"] = property(3, "900");
        guardian[0]["properties"]["origin"] = property(4, "https://shop.example");
        let common = json!([
            {"type": "account-change", "arguments": {}},
            {"type": "purchase", "locations": ["https://shop.example"],
             "arguments": {"product": "phones", "qty": 2, "price_limit": 900}},
        ]);
        let read = |preset, details: &Value| Purchase::among(preset, details.as_array().unwrap());
        let found = read(Preset::Auth0, &guardian).unwrap();
        let same = read(Preset::Oidc, &common).unwrap();
        assert_eq!((&found.product, found.qty, &found.places), (&same.product, same.qty, &same.places));
        assert_eq!((found.limit, same.limit), (Some(json!("900")), Some(json!(900))));
        assert_eq!(read(Preset::Auth0, &common), None, "a type that is not Guardian's");
        for qty in ["+2", "2.0", "", "two"] {
            guardian[0]["properties"]["qty"]["value"] = json!(qty);
            assert_eq!(read(Preset::Auth0, &guardian), None, "{qty}");
        }
    }

    #[test]
    fn every_member_becomes_a_row() {
        let value = json!([{
            "type": "purchase", "actions": ["buy_product"],
            "arguments": {"product": "a\u{202e}b", "qty": 2, "to": {"who": ["x"]}},
        }]);
        let row = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            shown(Some(&value)),
            [Shown {
                kind: "purchase".to_owned(),
                instruction: None,
                rows: vec![row("product", "a\\u{202e}b"), row("qty", "2"), row("to › who", "x")],
                rest: vec![row("actions", "buy_product")],
            }]
        );
    }

    #[test]
    fn guardians_values_stand_in_their_order_under_their_names() {
        let named = |display, order, name: &str, value: &str| json!({"display": display, "display_order": order, "name": name, "value": value});
        let value = json!([{
            "type": "t", "instruction": "Buy\u{202e}", "extra": 1,
            "properties": {"z": named(true, 2, "Second", "2"), "a": named(false, 3, "Hidden", "3"), "m": named(true, 1, "First", "1")},
        }]);
        let row = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let [found] = shown(Some(&value)).try_into().unwrap();
        assert_eq!(found.instruction.as_deref(), Some("Buy\\u{202e}"));
        assert_eq!(found.rows, [row("First", "1"), row("Second", "2")]);
        assert_eq!(found.rest, [row("Hidden", "3"), row("extra", "1")], "nothing is left out");
    }
}
