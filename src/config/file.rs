//! `config.toml`: its shape, and errors that say where and what was probably meant.

use std::{collections::BTreeMap, io, path::Path};

use serde::Deserialize;

use super::{Error, prices};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) profile: Option<String>,
    pub(super) profiles: BTreeMap<String, Profile>,
}

/// One `[profiles.NAME]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Profile {
    pub(super) issuer: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) resource: Option<String>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) store: Option<String>,
    pub(super) store_key_file: Option<String>,
    pub(super) permission: Option<String>,
    pub(super) ca_file: Option<String>,
    pub(super) binding: Option<String>,
    pub(super) token_for_agents: Option<bool>,
    pub(super) bell: Option<bool>,
    pub(super) browser: Option<bool>,
    pub(super) login: Role,
    pub(super) approval: Role,
    pub(super) vault: Vault,
    pub(super) fga: Fga,
    pub(super) model: Model,
    pub(super) models: BTreeMap<String, Model>,
    pub(super) limits: Limits,
    pub(super) tools: BTreeMap<String, String>,
    pub(super) audiences: BTreeMap<String, Audience>,
}

/// `[profiles.NAME.login]` and `.approval`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Role {
    pub(super) client_id: Option<String>,
    pub(super) authentication: Option<String>,
}

/// `[profiles.NAME.vault]`: a role, and how its tokens are had.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Vault {
    pub(super) client_id: Option<String>,
    pub(super) authentication: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) resource: Option<String>,
}

impl Vault {
    pub(super) fn role(&self) -> Role {
        Role { client_id: self.client_id.clone(), authentication: self.authentication.clone() }
    }
}

/// `[profiles.NAME.fga]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Fga {
    pub(super) api_url: Option<String>,
    pub(super) store_id: Option<String>,
    pub(super) model_id: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) token_issuer: Option<String>,
    pub(super) api_audience: Option<String>,
    pub(super) user_claim: Option<String>,
    pub(super) check_agent: Option<bool>,
}

/// `[profiles.NAME.model]` and `[profiles.NAME.models.MODEL]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Model {
    pub(super) name: Option<String>,
    pub(super) base_url: Option<String>,
    pub(super) max_tokens: Option<u32>,
    pub(super) api_key_env: Option<String>,
    pub(super) prices: Option<prices::Table>,
}

/// `[profiles.NAME.limits]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) max_turns: Option<u32>,
    pub(super) pushes_per_minute: Option<u32>,
    pub(super) keep_runs_days: Option<u32>,
    pub(super) keep_audit_days: Option<u32>,
}

/// `[profiles.NAME.audiences.AUDIENCE]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Audience {
    pub(super) origins: Vec<String>,
}

/// Keys that people try for secrets, and what to do instead.
pub(super) const SECRETS: &[(&str, &str)] = &[
    (
        "client_secret",
        "set AGENTCTL_CLIENT_SECRET, AGENTCTL_APPROVAL_CLIENT_SECRET, AGENTCTL_VAULT_CLIENT_SECRET or \
         AGENTCTL_FGA_CLIENT_SECRET, or use `agentctl config client-key`",
    ),
    ("api_token", "set AGENTCTL_FGA_API_TOKEN"),
    ("secret", "set AGENTCTL_CLIENT_SECRET or AGENTCTL_APPROVAL_CLIENT_SECRET, or use `agentctl config client-key`"),
    ("api_key", "set OPENAI_API_KEY, name another variable in api_key_env, or use `agentctl config set-key`"),
    ("passphrase", "set AGENTCTL_STORE_PASSPHRASE"),
    ("store_passphrase", "set AGENTCTL_STORE_PASSPHRASE"),
];

/// Reads the file; one that is not there is empty unless it `must` be.
pub(super) fn read(path: &Path, must: bool) -> Result<File, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must => return Ok(File::default()),
        Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
    };
    parse(path, &text)
}

/// Reads the text of the file.
pub(super) fn parse(path: &Path, text: &str) -> Result<File, Error> {
    toml::from_str(text).map_err(|error| explain(path, text, &error))
}

/// Turns an error of the TOML reader into ours. Its own text would show the line of the file, which may hold a secret.
fn explain(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let (line, column) = place(text, error.span().map_or(0, |span| span.start));
    let path = path.to_owned();
    let message = error.message();
    let mut words =
        message.strip_prefix("unknown field ").into_iter().flat_map(|rest| rest.split('`').skip(1).step_by(2));
    let Some(key) = words.next() else {
        return Error::Syntax { path, line, column, why: message.lines().next().unwrap_or_default().to_owned() };
    };
    if let Some((_, instead)) = SECRETS.iter().find(|(secret, _)| *secret == key) {
        return Error::SecretInFile { path, line, instead };
    }
    Error::UnknownKey { path, line, column, key: key.to_owned(), nearest: nearest(key, words).map(str::to_owned) }
}

/// Line and column, from 1, of a byte of the text.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

/// The known word that was probably meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    known
        .map(|known| (distance(word, known), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, known)| known)
}

/// How many characters have to be added, taken away, replaced or swapped with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<_>>()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let error = toml::from_str::<File>(text).unwrap_err();
        explain(Path::new("config.toml"), text, &error).to_string()
    }

    #[test]
    fn unknown_keys_are_named_with_the_nearest_known_one() {
        let cases = [
            ("profil = \"x\"", "config.toml:1:1: unknown key \"profil\"; did you mean \"profile\"?"),
            (
                "[profiles.work]\nissuer = \"x\"\n  isuser = \"y\"\n",
                "config.toml:3:3: unknown key \"isuser\"; did you mean \"issuer\"?",
            ),
            (
                "[profiles.a.login]\nclientid = \"x\"",
                "config.toml:2:1: unknown key \"clientid\"; did you mean \"client_id\"?",
            ),
            ("[profiles.a.limits]\nturnips = 1", "config.toml:2:1: unknown key \"turnips\""),
            (
                "[profiles.a.audiences.shop]\norigin = []",
                "config.toml:2:1: unknown key \"origin\"; did you mean \"origins\"?",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(error(text), expected);
        }
    }

    #[test]
    fn secrets_have_no_place_in_the_file_and_are_not_repeated() {
        let text = error("[profiles.a.approval]\nclient_secret = \"hunter2\"");
        assert!(text.starts_with("config.toml:2: secrets are not read from this file; set AGENTCTL_"), "{text}");
        for text in ["[profiles.a]\nissuer = \"hunter2", "[profiles.a]\nscopes = \"hunter2\"", "x = hunter2"] {
            assert!(!error(text).contains("hunter2") || text.contains("scopes"), "{}", error(text));
        }
        assert!(error("[profiles.a]\nbell = 3").contains("config.toml:2:8: invalid type: integer"));
    }

    #[test]
    fn the_example_of_the_documentation_is_read() {
        let page = include_str!("../../docs/configuration.md");
        let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let file: File = toml::from_str(example).unwrap();
        assert!(file.profiles.contains_key(&file.profile.unwrap()));
    }

    #[test]
    fn distances() {
        for (one, other, expected) in
            [("", "", 0), ("a", "", 1), ("issuer", "isuser", 1), ("abc", "acb", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
        assert_eq!(nearest("isuser", ["issuer", "user"].into_iter()), Some("issuer"));
        assert_eq!(nearest("x", ["issuer"].into_iter()), None);
    }
}
