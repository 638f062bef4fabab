//! Templates of manifests: `{{ name }}` stands for an argument, `{{ env.NAME }}` for a setting.
//!
//! There is no logic in them and no raw substitution: each position has a type, and a value is encoded for its position
//! or refused. Settings come from the person's configuration and may hold whole URLs; arguments come from the model and
//! may never change the shape of what they are put into.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use url::Url;

/// Why a template cannot be used or filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A brace without its partner, or a name that is none.
    #[error("`{0}` is not a template: write {{{{ name }}}} or {{{{ env.NAME }}}}")]
    Syntax(String),
    /// A setting that is not configured.
    #[error("the setting {0} is not set")]
    Unset(String),
    /// An argument that the tool does not declare.
    #[error("`{0}` is not a parameter of the tool")]
    UnknownParameter(String),
    /// An argument that is needed here was not given.
    #[error("`{0}` was not given")]
    Missing(String),
    /// A value that cannot stand in its position.
    #[error("the value of `{name}` cannot be used in a {position}: {why}")]
    Value {
        /// Which argument.
        name: String,
        /// Where.
        position: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// An argument at a place where it could change where a request goes.
    #[error("an argument may only stand in a path segment or a query value of a URL")]
    Shape,
    /// The URL without arguments is not one.
    #[error("`{0}` is not a URL")]
    Url(String),
    /// What is asked of the permission server is no object.
    #[error("`{0}` is not `type:id` as the permission server knows it")]
    FgaId(String),
}

const FGA_ID: &str = "name of an object";

/// The settings that `{{ env.NAME }}` may name.
pub type Settings = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Argument(String),
    Setting(String),
}

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`Error::Syntax`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find("{{") {
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            let close = rest[open..].find("}}").ok_or_else(|| Error::Syntax(text.to_owned()))? + open;
            let name = rest[open + 2..close].trim();
            let (is_setting, bare) = match name.strip_prefix("env.") {
                Some(bare) => (true, bare),
                None => (false, name),
            };
            if bare.is_empty() || !bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(Error::Syntax(text.to_owned()));
            }
            parts.push(if is_setting { Part::Setting(bare.to_owned()) } else { Part::Argument(bare.to_owned()) });
            rest = &rest[close + 2..];
        }
        if rest.contains("}}") {
            return Err(Error::Syntax(text.to_owned()));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The arguments it names.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Argument(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The settings it names.
    pub fn settings(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Setting(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Fills a template that names settings only.
    ///
    /// # Errors
    /// [`Error::Unset`], or [`Error::Shape`] if it names an argument.
    pub fn settled(&self, settings: &Settings) -> Result<String, Error> {
        self.fill(settings, |_| Err(Error::Shape))
    }

    /// Fills a one-line text for people, such as a binding message. Whatever its reader cannot show is reduced later.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::Unset`].
    pub fn text(&self, settings: &Settings, arguments: &Map<String, Value>) -> Result<String, Error> {
        self.fill(settings, |name| {
            let value = arguments.get(name).ok_or_else(|| Error::Missing(name.to_owned()))?;
            scalar(name, value, "text")
        })
    }

    /// Whether the filled text says these arguments completely, so that whoever reads it knows the whole call:
    ///
    /// - every argument stands in it;
    /// - numbers and truth values stand before texts, so that the amount comes first and no long text can push it away;
    /// - it can be read in one way only: no value holds the character behind it, which tells where it ends.
    #[must_use]
    pub fn says_all(&self, arguments: &Map<String, Value>) -> bool {
        let named: Vec<&str> = self.arguments().collect();
        let is_text = |name: &&str| arguments.get(*name).is_some_and(Value::is_string);
        let complete = arguments.keys().all(|name| named.contains(&name.as_str()))
            && named.iter().all(|name| arguments.contains_key(*name));
        let amounts_first = named.iter().skip_while(|name| !is_text(name)).all(is_text);
        let readable = self.0.windows(2).all(|pair| match pair {
            [Part::Argument(name), Part::Text(behind)] => {
                let end = behind.chars().next();
                let value = arguments.get(name).and_then(|value| scalar(name, value, "text").ok());
                value.is_some_and(|value| !value.chars().any(|c| Some(c) == end))
            }
            [Part::Argument(_), _] => false,
            _ => true,
        });
        complete && amounts_first && readable
    }

    /// Fills a header value.
    ///
    /// # Errors
    /// If a value is missing, or anything but printable ASCII would be sent.
    pub fn header(&self, settings: &Settings, arguments: &Map<String, Value>) -> Result<String, Error> {
        let fit = |name: &str, text: String| {
            let why = "only printable ASCII may be sent there";
            let bad = || Error::Value { name: name.to_owned(), position: "header", why };
            if text.chars().all(may_stand_in_header) { Ok(text) } else { Err(bad()) }
        };
        let text = self.fill(settings, |name| {
            let value = arguments.get(name).ok_or_else(|| Error::Missing(name.to_owned()))?;
            fit(name, scalar(name, value, "header")?)
        })?;
        // What is left to blame is a setting, or the text of the manifest.
        fit(self.settings().next().unwrap_or("the manifest"), text)
    }

    /// Fills a query value; none if an argument it needs was not given.
    ///
    /// # Errors
    /// If a value is no scalar or holds a control character.
    pub fn query(&self, settings: &Settings, arguments: &Map<String, Value>) -> Result<Option<String>, Error> {
        match self.text(settings, arguments) {
            Ok(text) if text.chars().any(char::is_control) => Err(Error::Value {
                name: self.arguments().next().unwrap_or_default().to_owned(),
                position: "query value",
                why: "it holds a control character",
            }),
            Ok(text) => Ok(Some(text)),
            Err(Error::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fills the name of an object of the permission server, `type:id`. No argument can bring a wildcard, a userset or
    /// another type.
    ///
    /// # Errors
    /// If a value is missing, empty, or holds white space, a control character or one of `:#*`; if the result is not
    /// `type:id` within 256 bytes.
    pub fn fga_id(&self, settings: &Settings, arguments: &Map<String, Value>) -> Result<String, Error> {
        let id = self.fill(settings, |name| {
            let value = arguments.get(name).ok_or_else(|| Error::Missing(name.to_owned()))?;
            let text = scalar(name, value, FGA_ID)?;
            let refused = |why| Err(Error::Value { name: name.to_owned(), position: FGA_ID, why });
            if text.is_empty() {
                return refused("it is empty");
            }
            if text.chars().any(|c| c.is_whitespace() || c.is_control() || ":#*".contains(c)) {
                return refused("white space, control characters and any of `:#*` have a meaning of their own there");
            }
            Ok(text)
        })?;
        if is_fga_id(&id) { Ok(id) } else { Err(Error::FgaId(id)) }
    }

    /// Fills a URL. The result has the scheme, the host, the port and the path shape of the template itself, whatever
    /// the arguments are.
    ///
    /// # Errors
    /// If the template lets an argument stand elsewhere than in a path segment or query value, or a value is empty, `.`,
    /// `..` or holds a control character.
    pub fn url(&self, settings: &Settings, arguments: &Map<String, Value>) -> Result<Url, Error> {
        let shape = self.url_shape(settings)?;
        let mut in_query = false;
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(piece) => {
                    in_query |= piece.contains('?');
                    text.push_str(piece);
                }
                Part::Setting(name) => {
                    let value = settings.get(name).ok_or_else(|| Error::Unset(name.clone()))?;
                    in_query |= value.contains('?');
                    text.push_str(value);
                }
                Part::Argument(name) => {
                    let value = arguments.get(name).ok_or_else(|| Error::Missing(name.clone()))?;
                    let position = if in_query { "query value" } else { "path segment" };
                    text.push_str(&segment(name, &scalar(name, value, position)?, position)?);
                }
            }
        }
        let url = Url::parse(&text).map_err(|_| Error::Url(text.clone()))?;
        // The encoding above makes this impossible; it is checked all the same, because everything hangs on it.
        if url.origin() != shape.origin() || segments(&url) != segments(&shape) || url.fragment().is_some() {
            return Err(Error::Shape);
        }
        Ok(url)
    }

    /// The URL with a harmless word for each argument: what the result of [`Template::url`] is measured against.
    ///
    /// # Errors
    /// If arguments stand where they may not, or the URL is none.
    pub fn url_shape(&self, settings: &Settings) -> Result<Url, Error> {
        let with = |word: &str| -> Result<Url, Error> {
            let text = self.fill(settings, |_| Ok(word.to_owned()))?;
            Url::parse(&text).map_err(|_| Error::Url(text))
        };
        let (one, other) = (with("a")?, with("bb")?);
        let same_origin = one.scheme() == other.scheme()
            && one.host_str() == other.host_str()
            && one.port_or_known_default() == other.port_or_known_default();
        let plain = one.username().is_empty() && one.password().is_none() && one.fragment().is_none();
        let same_keys = one.query_pairs().map(|(key, _)| key.into_owned()).collect::<Vec<_>>()
            == other.query_pairs().map(|(key, _)| key.into_owned()).collect::<Vec<_>>();
        if !same_origin || !plain || !same_keys || one.host_str().is_none() {
            return Err(Error::Shape);
        }
        Ok(one)
    }

    fn fill(
        &self,
        settings: &Settings,
        mut argument: impl FnMut(&str) -> Result<String, Error>,
    ) -> Result<String, Error> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(piece) => text.push_str(piece),
                Part::Setting(name) => {
                    text.push_str(settings.get(name).ok_or_else(|| Error::Unset(name.clone()))?);
                }
                Part::Argument(name) => text.push_str(&argument(name)?),
            }
        }
        Ok(text)
    }

    fn only_argument(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Argument(name)] => Some(name),
            _ => None,
        }
    }
}

/// Whether a character may be sent in the value of a header.
pub(super) fn may_stand_in_header(c: char) -> bool {
    c.is_ascii_graphic() || c == ' '
}

/// Fills a JSON value: a text that is one placeholder becomes the argument itself, and its member is left out if the
/// argument was not given; any other text is filled as text.
///
/// # Errors
/// As [`Template::text`].
pub fn json(template: &Value, settings: &Settings, arguments: &Map<String, Value>) -> Result<Option<Value>, Error> {
    Ok(Some(match template {
        Value::String(text) => {
            let template = Template::parse(text)?;
            match template.only_argument() {
                Some(name) => return Ok(arguments.get(name).cloned()),
                None => Value::String(template.text(settings, arguments)?),
            }
        }
        Value::Array(items) => {
            let mut filled = Vec::with_capacity(items.len());
            for item in items {
                filled.extend(json(item, settings, arguments)?);
            }
            Value::Array(filled)
        }
        Value::Object(members) => {
            let mut filled = Map::new();
            for (name, member) in members {
                if let Some(value) = json(member, settings, arguments)? {
                    filled.insert(name.clone(), value);
                }
            }
            Value::Object(filled)
        }
        other => other.clone(),
    }))
}

/// Every template inside a JSON value.
///
/// # Errors
/// [`Error::Syntax`].
pub fn templates_in(value: &Value) -> Result<Vec<Template>, Error> {
    Ok(match value {
        Value::String(text) => vec![Template::parse(text)?],
        Value::Array(items) => {
            items.iter().map(templates_in).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()
        }
        Value::Object(members) => {
            members.values().map(templates_in).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()
        }
        _ => Vec::new(),
    })
}

fn scalar(name: &str, value: &Value, position: &'static str) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err(Error::Value {
            name: name.to_owned(),
            position,
            why: "only a text, a number or a truth value fits there",
        }),
    }
}

/// Encodes a value for a URL: everything but the unreserved characters of RFC 3986 §2.3 is escaped, so that no value can
/// end the segment, start a query or climb a folder.
fn segment(name: &str, value: &str, position: &'static str) -> Result<String, Error> {
    let refused = |why| Error::Value { name: name.to_owned(), position, why };
    if value.is_empty() {
        return Err(refused("it is empty"));
    }
    if value.chars().any(char::is_control) {
        return Err(refused("it holds a control character"));
    }
    // A decoder behind the first one would see dots, slashes or a query in an escaped value that is escaped once more.
    if value == "." || value == ".." || value.to_ascii_lowercase().contains("%2e") {
        return Err(refused("it would change the path"));
    }
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(encoded)
}

/// Whether it is `type:id`: one colon, no userset, no wildcard, and not longer than the server takes.
fn is_fga_id(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c.is_control() || ":#*".contains(c))
    };
    text.len() <= 256 && text.split_once(':').is_some_and(|(kind, id)| plain(kind) && !kind.contains('@') && plain(id))
}

fn segments(url: &Url) -> usize {
    url.path_segments().map_or(0, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings() -> Settings {
        Settings::from([
            ("SHOP".to_owned(), "https://shop.example/api".to_owned()),
            ("HOST".to_owned(), "shop.example".to_owned()),
        ])
    }

    fn arguments(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn url(template: &str, id: &str) -> Result<String, Error> {
        Template::parse(template)
            .unwrap()
            .url(&settings(), &arguments(json!({"id": id, "q": id})))
            .map(|url| url.to_string())
    }

    #[test]
    fn a_value_cannot_change_the_shape_of_a_url() {
        let path = "{{ env.SHOP }}/orders/{{ id }}/items";
        assert_eq!(url(path, "ord 81").unwrap(), "https://shop.example/api/orders/ord%2081/items");
        assert_eq!(url(path, "a/b").unwrap(), "https://shop.example/api/orders/a%2Fb/items");
        assert_eq!(url(path, "?a=").unwrap(), "https://shop.example/api/orders/%3Fa%3D/items");
        assert_eq!(url(path, "#x").unwrap(), "https://shop.example/api/orders/%23x/items");
        assert_eq!(url(path, "@host").unwrap(), "https://shop.example/api/orders/%40host/items");
        assert_eq!(url(path, "%2f").unwrap(), "https://shop.example/api/orders/%252f/items");
        assert_eq!(url(path, "../../x").unwrap(), "https://shop.example/api/orders/..%2F..%2Fx/items");
        for bad in ["", ".", "..", "a\nb", "a\0b", "%2e%2e", "%2E"] {
            assert!(url(path, bad).is_err(), "{bad:?}");
        }
        let query = "{{ env.SHOP }}/find?q={{ q }}&n=1";
        assert_eq!(url(query, "a&n=2#x").unwrap(), "https://shop.example/api/find?q=a%26n%3D2%23x&n=1");
    }

    #[test]
    fn arguments_may_not_stand_in_front_of_the_path() {
        for bad in [
            "https://{{ id }}/x",
            "https://{{ id }}.example/x",
            "{{ id }}://x.example/",
            "https://{{ id }}@x.example/",
            "https://x.example:1{{ id }}/",
            "https://x.example/#{{ id }}",
            "https://x.example/?{{ id }}=1",
        ] {
            assert!(url(bad, "1").is_err(), "{bad}");
        }
    }

    #[test]
    fn json_keeps_types_and_leaves_out_what_was_not_given() {
        let template = json!({"qty": "{{ qty }}", "limit": "{{ limit }}", "note": "for {{ who }}", "fixed": [1, true]});
        let filled = json(&template, &settings(), &arguments(json!({"qty": 2, "who": "\"x\""}))).unwrap();
        assert_eq!(filled, Some(json!({"qty": 2, "note": "for \"x\"", "fixed": [1, true]})));
    }

    #[test]
    fn query_values_take_no_control_characters_wherever_they_stand() {
        let template = Template::parse("{{ id }}").unwrap();
        let query = |id: &str| template.query(&settings(), &arguments(json!({"id": id})));
        assert_eq!(query("a b&c").unwrap().as_deref(), Some("a b&c"));
        assert!(query("a\0b").is_err() && query("a\r\nb").is_err());
        assert_eq!(template.query(&settings(), &arguments(json!({}))).unwrap(), None);
    }

    #[test]
    fn headers_take_no_line_breaks() {
        let template = Template::parse("x {{ id }}").unwrap();
        assert!(template.header(&settings(), &arguments(json!({"id": "a\r\nb"}))).is_err());
        assert_eq!(template.header(&settings(), &arguments(json!({"id": 7}))).unwrap(), "x 7");
        let broken = Settings::from([("X".to_owned(), "a\nb".to_owned())]);
        let template = Template::parse("x {{ env.X }}").unwrap();
        assert!(template.header(&broken, &Map::new()).unwrap_err().to_string().contains("`X`"));
        assert!(Template::parse("x\ny").unwrap().header(&broken, &Map::new()).is_err());
    }

    #[test]
    fn objects_of_the_permission_server_take_no_wildcard_no_userset_and_no_other_type() {
        let id = |template: &str, value: Value| {
            Template::parse(template).unwrap().fga_id(&settings(), &arguments(json!({"id": value})))
        };
        assert_eq!(id("okta:main", json!("")).unwrap(), "okta:main");
        assert_eq!(id("document:{{ id }}", json!("2024-budget")).unwrap(), "document:2024-budget");
        assert_eq!(id("document:{{ id }}", json!(7)).unwrap(), "document:7");
        assert_eq!(id("user:{{ id }}", json!("ada@example.com|1")).unwrap(), "user:ada@example.com|1");
        let long = "x".repeat(300);
        for bad in ["", "*", "a*", "x#member", "a:b", "two words", "a\tb", "a\u{a0}b", "\u{2028}", "a\0b", &long] {
            assert!(id("document:{{ id }}", json!(bad)).is_err(), "{bad:?}");
        }
        for bad in ["okta", "okta:", ":main", "okta:*", "group:a#member", "o kta:main", "a@b:main"] {
            assert!(id(bad, json!("x")).is_err(), "{bad:?}");
        }
        assert!(id("document:{{ id }}", json!(["a"])).is_err() && id("document:{{ other }}", json!("a")).is_err());
    }

    #[test]
    fn a_text_says_a_call_completely_or_not() {
        let says_all = |template: &str, given: Value| Template::parse(template).unwrap().says_all(&arguments(given));
        let buy = "BUY-{{ qty }}-{{ product }}";
        assert!(says_all(buy, json!({"qty": 2, "product": "tea-for-two"})));
        assert!(
            says_all("LOCK", json!({}))
                && says_all("{{ ok }}:{{ n }}.{{ who }}", json!({"ok": true, "n": 1, "who": "x"}))
        );
        for (template, given, why) in [
            (buy, json!({"qty": 2, "product": "tea", "limit": 9}), "an argument is not in it"),
            (buy, json!({"qty": 2}), "an argument that it names was not given"),
            (buy, json!({"qty": -2, "product": "tea"}), "2 or -2, tea or -tea"),
            ("{{ product }}-{{ qty }}", json!({"qty": 2, "product": "tea"}), "the amount comes last"),
            ("{{ from }}-{{ to }}", json!({"from": "a-b", "to": "c"}), "a-b to c, or a to b-c"),
            ("{{ from }}{{ to }}", json!({"from": "a", "to": "b"}), "nothing stands between them"),
            ("{{ from }}{{ env.HOST }}", json!({"from": "a"}), "nothing stands between them"),
            ("{{ list }}-", json!({"list": [1]}), "no single value"),
        ] {
            assert!(!says_all(template, given.clone()), "{template} {given}: {why}");
        }
        assert!(
            says_all("{{ from }}-{{ to }}", json!({"from": "a", "to": "b-c"})),
            "the last value ends with the text"
        );
    }

    #[test]
    fn broken_templates_are_refused() {
        for bad in ["{{ a", "a }}", "{{ a b }}", "{{}}", "{{ env. }}", "{{ a.b }}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
