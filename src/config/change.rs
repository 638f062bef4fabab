//! Changes of `config.toml` that keep its comments and its order.

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::file::{SECRETS, nearest};

/// Why a setting cannot be changed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ChangeError {
    /// Nobody knows it.
    #[error("there is no setting {key}")]
    Unknown {
        /// What was asked for.
        key: String,
        /// A known one that looks like it.
        nearest: Option<String>,
    },
    /// It is a secret.
    #[error("{key} is a secret, and secrets have no place in config.toml")]
    Secret {
        /// Which.
        key: String,
        /// Where it belongs.
        instead: &'static str,
    },
    /// The value is of another kind.
    #[error("{key} is {wanted}, and {value:?} is not")]
    Kind {
        /// Which.
        key: String,
        /// What it is.
        wanted: &'static str,
        /// What was given.
        value: String,
    },
    /// The file is no TOML.
    #[error("the file cannot be changed before it can be read: {0}")]
    Syntax(String),
    /// Something else stands in the file where a table should.
    #[error("{0} is not a table in the file")]
    NotATable(String),
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Text,
    /// Separated by blanks, as in a variable.
    List,
    Count,
    Truth,
}

/// Every setting of a profile; `*` is a name that the person gives.
const KEYS: &[(&str, Shape)] = &[
    ("issuer", Shape::Text),
    ("provider", Shape::Text),
    ("audience", Shape::Text),
    ("resource", Shape::Text),
    ("scopes", Shape::List),
    ("store", Shape::Text),
    ("store_key_file", Shape::Text),
    ("permission", Shape::Text),
    ("ca_file", Shape::Text),
    ("binding", Shape::Text),
    ("token_for_agents", Shape::Truth),
    ("bell", Shape::Truth),
    ("browser", Shape::Truth),
    ("login.client_id", Shape::Text),
    ("login.authentication", Shape::Text),
    ("approval.client_id", Shape::Text),
    ("approval.authentication", Shape::Text),
    ("vault.client_id", Shape::Text),
    ("vault.authentication", Shape::Text),
    ("vault.subject", Shape::Text),
    ("vault.audience", Shape::Text),
    ("vault.resource", Shape::Text),
    ("fga.api_url", Shape::Text),
    ("fga.store_id", Shape::Text),
    ("fga.model_id", Shape::Text),
    ("fga.client_id", Shape::Text),
    ("fga.token_issuer", Shape::Text),
    ("fga.api_audience", Shape::Text),
    ("fga.user_claim", Shape::Text),
    ("fga.check_agent", Shape::Truth),
    ("model.name", Shape::Text),
    ("model.base_url", Shape::Text),
    ("model.max_tokens", Shape::Count),
    ("model.api_key_env", Shape::Text),
    ("model.prices.prompt", Shape::Text),
    ("model.prices.completion", Shape::Text),
    ("model.prices.currency", Shape::Text),
    ("models.*.name", Shape::Text),
    ("models.*.base_url", Shape::Text),
    ("models.*.max_tokens", Shape::Count),
    ("models.*.api_key_env", Shape::Text),
    ("models.*.prices.prompt", Shape::Text),
    ("models.*.prices.completion", Shape::Text),
    ("models.*.prices.currency", Shape::Text),
    ("limits.max_turns", Shape::Count),
    ("limits.pushes_per_minute", Shape::Count),
    ("limits.keep_runs_days", Shape::Count),
    ("limits.keep_audit_days", Shape::Count),
    ("tools.*", Shape::Text),
    ("audiences.*.origins", Shape::List),
];

/// The name of a setting: where it stands in its profile, and what its value looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    name: String,
    path: Vec<String>,
    shape: Shape,
}

impl Key {
    /// Finds it.
    ///
    /// # Errors
    /// If there is none of that name, or it is a secret.
    pub fn find(name: &str) -> Result<Self, ChangeError> {
        let last = name.rsplit('.').next().unwrap_or_default();
        if let Some((_, instead)) = SECRETS.iter().find(|(secret, _)| *secret == last) {
            return Err(ChangeError::Secret { key: name.to_owned(), instead });
        }
        let found = KEYS.iter().find_map(|(pattern, shape)| Some((path(pattern, name)?, *shape)));
        let Some((path, shape)) = found else {
            let known: Vec<String> = KEYS.iter().map(|(pattern, _)| filled(pattern, name)).collect();
            let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
            return Err(ChangeError::Unknown { key: name.to_owned(), nearest });
        };
        Ok(Self { name: name.to_owned(), path, shape })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of those that no person makes up.
    pub fn fixed() -> impl Iterator<Item = &'static str> {
        KEYS.iter().map(|(name, _)| *name).filter(|name| !name.contains('*'))
    }

    /// Whether it guards the person against an agent, so that no agent may change it.
    #[must_use]
    pub fn guards(&self) -> bool {
        ["token_for_agents", "permission", "binding", "fga", "audiences"].contains(&self.path[0].as_str())
    }

    fn value(&self, text: &str) -> Result<Value, ChangeError> {
        let wrong = |wanted| ChangeError::Kind { key: self.name.clone(), wanted, value: text.to_owned() };
        Ok(match self.shape {
            Shape::Text => text.into(),
            Shape::List => Value::Array(text.split_whitespace().collect::<Array>()),
            Shape::Count => i64::from(text.parse::<u32>().map_err(|_| wrong("a whole number"))?).into(),
            Shape::Truth => text.parse::<bool>().map_err(|_| wrong("true or false"))?.into(),
        })
    }
}

/// Where a name stands that this pattern fits.
fn path(pattern: &str, name: &str) -> Option<Vec<String>> {
    let words = |text: &str| text.split('.').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    match pattern.split_once('*') {
        None => (pattern == name).then(|| words(name)),
        // What a person names may have dots, such as the address of an audience.
        Some((before, behind)) => {
            let named = name.strip_prefix(before)?.strip_suffix(behind).filter(|named| !named.is_empty())?;
            Some([words(before), vec![named.to_owned()], words(behind)].concat())
        }
    }
}

/// The pattern with the name that a person gave, for comparing.
fn filled(pattern: &str, name: &str) -> String {
    pattern.replace('*', name.split('.').nth(1).filter(|named| !named.is_empty()).unwrap_or("NAME"))
}

/// The text of `config.toml`, to be changed.
#[derive(Clone, Debug)]
pub struct Document(DocumentMut);

impl Document {
    /// Reads it.
    ///
    /// # Errors
    /// If it is no TOML.
    pub fn read(text: &str) -> Result<Self, ChangeError> {
        let document = text.parse::<DocumentMut>();
        // Its own text would show the line, which may hold a secret.
        document
            .map(Self)
            .map_err(|error| ChangeError::Syntax(error.message().lines().next().unwrap_or_default().to_owned()))
    }

    /// The profile that it names as the one to use.
    #[must_use]
    pub fn default_profile(&self) -> Option<&str> {
        self.0.get("profile").and_then(Item::as_str)
    }

    /// The profiles, each with its issuer, in their order.
    #[must_use]
    pub fn profiles(&self) -> Vec<(String, Option<String>)> {
        let profiles = self.0.get("profiles").and_then(Item::as_table_like);
        let issuer = |item: &Item| item.get("issuer").and_then(Item::as_str).map(str::to_owned);
        profiles.into_iter().flat_map(TableLike::iter).map(|(name, item)| (name.to_owned(), issuer(item))).collect()
    }

    /// Names the profile to use.
    pub fn use_profile(&mut self, name: &str) {
        put(self.0.as_table_mut(), "profile", name.into());
    }

    /// Sets one setting of a profile.
    ///
    /// # Errors
    /// If the value is of another kind, or the file has something else at its place.
    pub fn set(&mut self, profile: &str, key: &Key, text: &str) -> Result<(), ChangeError> {
        let value = key.value(text)?;
        let (last, tables) = key.path.split_last().ok_or_else(|| ChangeError::NotATable(key.name.clone()))?;
        let mut table: &mut dyn TableLike = self.0.as_table_mut();
        let mut inline = false;
        for name in ["profiles", profile].into_iter().chain(tables.iter().map(String::as_str)) {
            let item = table.entry(name).or_insert_with(|| match inline {
                true => Item::Value(Value::InlineTable(InlineTable::new())),
                false => {
                    let mut table = Table::new();
                    table.set_implicit(true);
                    Item::Table(table)
                }
            });
            inline = item.is_inline_table();
            table = item.as_table_like_mut().ok_or_else(|| ChangeError::NotATable(name.to_owned()))?;
        }
        put(table, last, value);
        Ok(())
    }

    /// Takes one setting of a profile away; false if it is not there.
    pub fn unset(&mut self, profile: &str, key: &Key) -> bool {
        let Some((last, tables)) = key.path.split_last() else { return false };
        let mut table: &mut dyn TableLike = self.0.as_table_mut();
        for name in ["profiles", profile].into_iter().chain(tables.iter().map(String::as_str)) {
            let Some(inner) = table.get_mut(name).and_then(Item::as_table_like_mut) else { return false };
            table = inner;
        }
        table.remove(last).is_some()
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.to_string()
    }
}

/// Replaces a value where it stands, comment and all, or adds it at the end of its table.
fn put(table: &mut dyn TableLike, name: &str, mut value: Value) {
    match table.get_mut(name).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => {
            table.insert(name, Item::Value(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::File;

    fn changed(text: &str, changes: &[(&str, &str)]) -> String {
        let mut document = Document::read(text).unwrap();
        for (key, value) in changes {
            document.set("work", &Key::find(key).unwrap(), value).unwrap();
        }
        document.text()
    }

    #[test]
    fn comments_and_order_stay() {
        let text = "# mine\nprofile = \"work\"   # the one\n\n[profiles.work]\n# where\nissuer = \"https://a.example\" # old\n\
                    bell = true\n\n[profiles.work.login]\nclient_id = \"x\"\n";
        let now = changed(text, &[("issuer", "https://b.example"), ("bell", "false"), ("limits.max_turns", "7")]);
        let expected = text.replace("a.example", "b.example").replace("true", "false");
        assert_eq!(now, format!("{expected}\n[profiles.work.limits]\nmax_turns = 7\n"));
        let mut document = Document::read(&now).unwrap();
        document.use_profile("other");
        assert!(document.text().contains("profile = \"other\"   # the one\n"));
        assert!(document.unset("work", &Key::find("limits.max_turns").unwrap()));
        assert!(!document.unset("work", &Key::find("limits.max_turns").unwrap()));
        assert!(!document.unset("no", &Key::find("store").unwrap()));
    }

    #[test]
    fn every_key_can_be_set_and_is_known_to_the_file() {
        for start in ["", "profiles = { work = { model = {}, models = { } } }\n"] {
            for (pattern, shape) in KEYS {
                let value = match shape {
                    Shape::Text | Shape::List => "a b",
                    Shape::Count => "9",
                    Shape::Truth => "true",
                };
                let name = pattern.replace('*', "https://x.example/");
                let text = changed(start, &[(&name, value)]);
                // A price alone is none, which is another matter than an unknown key.
                let read = toml::from_str::<File>(&text);
                assert!(read.is_ok() || read.unwrap_err().message().starts_with("missing field"), "{name}:\n{text}");
            }
        }
        // And there is no other: the documentation has them all.
        let page = include_str!("../../docs/configuration.md");
        let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        fn all(table: &toml::Table, before: &str) {
            for (key, value) in table {
                match value {
                    toml::Value::Table(inner) => all(inner, &format!("{before}{key}.")),
                    _ => assert!(Key::find(&format!("{before}{key}")).is_ok(), "{before}{key}"),
                }
            }
        }
        let file: toml::Table = example.parse().unwrap();
        all(file["profiles"]["work"].as_table().unwrap(), "");
    }

    #[test]
    fn names_are_guessed_and_secrets_and_wrong_kinds_refused() {
        for (name, near) in [
            ("isuer", Some("issuer")),
            ("model.nam", Some("model.name")),
            ("models.fast.base-url", Some("models.fast.base_url")),
            ("zzz", None),
            ("", None),
            ("tools.", None),
        ] {
            let expected = ChangeError::Unknown { key: name.to_owned(), nearest: near.map(str::to_owned) };
            assert_eq!(Key::find(name), Err(expected));
        }
        for name in ["model.api_key", "approval.client_secret", "fga.api_token", "store_passphrase"] {
            assert!(matches!(Key::find(name), Err(ChangeError::Secret { .. })), "{name}");
        }
        let mut document = Document::read("[profiles]\nwork = 3\n").unwrap();
        let set =
            |document: &mut Document, key: &str, value: &str| document.set("work", &Key::find(key).unwrap(), value);
        assert!(matches!(set(&mut document, "bell", "yes"), Err(ChangeError::Kind { .. })));
        assert!(matches!(set(&mut document, "limits.max_turns", "-1"), Err(ChangeError::Kind { .. })));
        assert!(matches!(set(&mut document, "store", "file"), Err(ChangeError::NotATable(_))));
        let error = Document::read("api_key = \"hunter2").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
