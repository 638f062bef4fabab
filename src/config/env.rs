//! The environment and files of variables: the names there are, and their text.

use std::{collections::BTreeMap, ffi::OsString, fmt};

use super::Error;

/// Every variable that means something here, in the order of `.env.example`.
pub const VARIABLES: &[(&str, &str)] = &[
    ("AGENTCTL_PROFILE", "which profile of config.toml"),
    ("AGENTCTL_HOME", "one folder for everything, instead of the platform's"),
    ("AGENTCTL_CONFIG", "another file instead of config.toml"),
    ("AGENTCTL_ISSUER", "the authorization server: its issuer URL"),
    ("AGENTCTL_PROVIDER", "what kind of server: auth0, keycloak or oidc"),
    ("AGENTCTL_CLIENT_ID", "the client that logs you in (device flow)"),
    ("AGENTCTL_CLIENT_SECRET", "its secret, only where the server wants one"),
    ("AGENTCTL_AUDIENCE", "the API a login is for, where the server speaks of audiences"),
    ("AGENTCTL_RESOURCE", "the API a login is for, where the server speaks of resources (RFC 8707)"),
    ("AGENTCTL_SCOPES", "what a login asks for, separated by blanks"),
    ("AGENTCTL_APPROVAL_CLIENT_ID", "the confidential client that asks for approvals (CIBA)"),
    ("AGENTCTL_APPROVAL_CLIENT_SECRET", "its secret, unless it has a key in the credential store"),
    (
        "AGENTCTL_VAULT_CLIENT_ID",
        "the confidential client that has tokens of third-party accounts (Token Vault, RFC 8693)",
    ),
    ("AGENTCTL_VAULT_CLIENT_SECRET", "its secret, unless it has a key in the credential store"),
    ("AGENTCTL_VAULT_SUBJECT", "what it shows for the user: access_token or refresh_token"),
    ("AGENTCTL_VAULT_AUDIENCE", "the audience of that access token, where the server speaks of audiences"),
    ("AGENTCTL_VAULT_RESOURCE", "its resource, where the server speaks of resources (RFC 8707)"),
    ("AGENTCTL_STORE", "where credentials are kept: keyring, file or memory"),
    ("AGENTCTL_STORE_PASSPHRASE", "the passphrase of the sealed file"),
    ("AGENTCTL_STORE_KEY_FILE", "a file of at least 32 random bytes, instead of a passphrase"),
    ("AGENTCTL_PERMISSION", "who says what is permitted: fga or none"),
    ("AGENTCTL_FGA_API_URL", "OpenFGA or Auth0 FGA: where its API is"),
    ("AGENTCTL_FGA_STORE_ID", "its store"),
    ("AGENTCTL_FGA_MODEL_ID", "the authorization model; unset: the store's newest"),
    ("AGENTCTL_FGA_API_TOKEN", "a fixed token for it"),
    ("AGENTCTL_FGA_CLIENT_ID", "instead of a token: a client of its own (Auth0 FGA)"),
    ("AGENTCTL_FGA_CLIENT_SECRET", "that client's secret"),
    ("AGENTCTL_FGA_TOKEN_ISSUER", "where that client gets its tokens"),
    ("AGENTCTL_FGA_API_AUDIENCE", "for which audience"),
    ("AGENTCTL_FGA_CHECK_AGENT", "whether the agent needs the same permission as the user: true or false"),
    ("AGENTCTL_CA_FILE", "one more certificate authority (PEM)"),
    ("OPENAI_API_KEY", "the key for the model"),
    ("OPENAI_BASE_URL", "where the model is served (OpenAI-compatible)"),
    ("AGENTCTL_MODEL", "the model's name"),
    ("SHOP_API_URL", "where an order is sent; without it buy_product is not offered"),
    ("SHOP_API_AUDIENCE", "the shop's audience"),
    ("SHOP_API_RESOURCE", "the shop's resource (RFC 8707)"),
    ("SHOP_CATALOG_URL", "where products are listed; without it search_products is not offered"),
    ("OKTA_ORG_URL", "the Okta organization; without it the okta tools are not offered"),
    ("OKTA_CONNECTION", "the connection that reaches it (Token Vault)"),
    (
        "OKTA_APPROVAL_AUDIENCE",
        "the API whose details approvals of account changes are, where the server speaks of audiences",
    ),
    ("OKTA_APPROVAL_RESOURCE", "the same where it speaks of resources (RFC 8707)"),
];

/// Which of them say where things lie and which profile is used.
const PLACES: [&str; 3] = ["AGENTCTL_PROFILE", "AGENTCTL_HOME", "AGENTCTL_CONFIG"];

/// Whether a variable is ignored in a `.env` of the working directory, trusted or not: those that say where agentctl keeps
/// its things, who decides, and whose word is taken for an address (the file that it names may change unnoticed).
#[must_use]
pub fn never_from_dotenv(name: &str) -> bool {
    const STARTS: [&str; 7] = [
        "AGENTCTL_HOME",
        "AGENTCTL_CONFIG",
        "AGENTCTL_PROFILE",
        "AGENTCTL_STORE",
        "AGENTCTL_PERMISSION",
        "AGENTCTL_FGA_",
        "AGENTCTL_CA_FILE",
    ];
    STARTS.iter().any(|start| name.starts_with(start))
}

/// A variable's own name out of the table, if it is there.
pub(super) fn known(name: &str) -> Option<&'static str> {
    VARIABLES.iter().map(|(known, _)| *known).find(|known| *known == name)
}

/// The variables of a process. `Debug` shows only names, because values may be secrets.
#[derive(Clone, Default)]
pub struct EnvVars(BTreeMap<String, String>);

impl fmt::Debug for EnvVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl EnvVars {
    /// The variables of this process. Those that are not ours and hold no text are left out.
    ///
    /// # Errors
    /// If one of ours holds no text.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn from_process() -> Result<Self, Error> {
        Self::from_os(std::env::vars_os())
    }

    /// Variables given one by one.
    #[must_use]
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The same without one of them.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.0.remove(name);
        other
    }

    /// Those that say where things lie and which profile is used, and none that is a setting.
    #[must_use]
    pub fn places(&self) -> Self {
        let mut other = self.clone();
        other.0.retain(|name, _| known(name).is_none() || PLACES.contains(&name.as_str()));
        other
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn from_os(vars: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, Error> {
        let mut known_vars = BTreeMap::new();
        for (name, value) in vars {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => drop(known_vars.insert(name, value)),
                Err(_) if known(&name).is_some() => return Err(Error::NotUtf8(name)),
                Err(_) => {}
            }
        }
        Ok(Self(known_vars))
    }
}

/// Reads a file of variables: `NAME=value` a line, `export` before it allowed, comments behind `#`, values bare, in single
/// quotes (as they are) or in double quotes (`\n \t \\ \" \$`). Nothing is substituted, so what a file says cannot be mixed
/// with other variables. `None` for a line that is something else.
///
/// # Errors
/// The number of the first line that names a variable and cannot be read, and what is wrong with it.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>, (usize, &'static str)> {
    let mut vars = BTreeMap::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if let Some((name, value)) = assignment(line) {
            let value = value_of(value).map_err(|why| (index + 1, why))?;
            vars.insert(name.to_owned(), value);
        }
    }
    Ok(vars)
}

/// The names that a file of variables sets, whatever else is in it.
pub(super) fn names(text: &str) -> Vec<&str> {
    text.trim_start_matches('\u{feff}').lines().filter_map(assignment).map(|(name, _)| name).collect()
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    fits.then_some((name, value.trim()))
}

fn value_of(text: &str) -> Result<String, &'static str> {
    let (quote, inner) = match text.chars().next() {
        Some(quote @ ('"' | '\'')) => (quote, &text[1..]),
        _ => {
            let end = text.find(" #").or_else(|| text.starts_with('#').then_some(0)).unwrap_or(text.len());
            return Ok(text[..end].trim_end().to_owned());
        }
    };
    let mut value = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c == quote => {
                let rest = chars.as_str().trim_start();
                let ends = rest.is_empty() || rest.starts_with('#');
                return if ends { Ok(value) } else { Err("there is text behind the closing quote") };
            }
            '\\' if quote == '"' => match chars.next() {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some(c @ ('\\' | '"' | '$')) => value.push(c),
                _ => return Err("unknown escape in double quotes"),
            },
            c => value.push(c),
        }
    }
    Err("the closing quote is missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_variables() {
        let text = "\u{feff}# a comment\n\nA=1\nexport B = two words # and a comment\nC='$A #x'\nD=\"a\\n\\\"b\\\" \\$A\" # c\nE=\n\
                    F=a#b\nnot a setting\nG=https://x.example/?a=b\nH=$A\r\n";
        let vars = parse(text).unwrap();
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "$A #x"),
            ("D", "a\n\"b\" $A"),
            ("E", ""),
            ("F", "a#b"),
            ("G", "https://x.example/?a=b"),
            ("H", "$A"),
        ];
        assert_eq!(vars.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(), expected);
        assert_eq!(names(text).len(), 8);
        for (bad, line) in [("A='x", 1), ("\nA=\"x\" y", 2), ("A=\"\\q\"", 1)] {
            assert_eq!(parse(bad).unwrap_err().0, line, "{bad}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_our_own_variables_have_to_be_text() {
        use std::os::unix::ffi::OsStringExt as _;
        let bad = || OsString::from_vec(vec![0xff]);
        let vars = EnvVars::from_os([("OTHER".into(), bad()), ("A".into(), "1".into())].into_iter()).unwrap();
        assert_eq!((vars.get("A"), vars.get("OTHER")), (Some("1"), None));
        let ours = EnvVars::from_os([("AGENTCTL_ISSUER".into(), bad())].into_iter());
        assert!(matches!(ours, Err(Error::NotUtf8(name)) if name == "AGENTCTL_ISSUER"));
        assert_eq!(format!("{:?}", EnvVars::from_pairs([("OPENAI_API_KEY", "sk-1")])), "{\"OPENAI_API_KEY\"}");
    }

    #[test]
    fn the_example_and_the_code_name_the_same_variables() {
        let example = include_str!("../../.env.example");
        let shown: Vec<&str> = example
            .lines()
            .filter_map(|line| assignment(line.strip_prefix("# ").unwrap_or(line)))
            .map(|(name, _)| name)
            .collect();
        let known: Vec<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
        assert_eq!(shown, known, ".env.example and VARIABLES differ");
        let page = include_str!("../../docs/configuration.md");
        for name in &known {
            assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/configuration.md");
        }
        // And every one of them is read somewhere: those of the tools as groups, the others by name.
        let code = [include_str!("load.rs"), include_str!("guard.rs")];
        let code: String = code.iter().filter_map(|file| file.split("#[cfg(test)]").next()).collect();
        for name in known.iter().filter(|name| !name.starts_with("SHOP_") && !name.starts_with("OKTA_")) {
            assert!(code.contains(&format!("\"{name}\"")), "{name} is listed and not read");
        }
        for (start, _) in code.match_indices("\"AGENTCTL_") {
            let name = code[start + 1..].split('"').next().unwrap();
            assert!(known.contains(&name) || name.ends_with('_'), "{name} is read and not listed");
        }
    }

    #[test]
    fn what_a_working_directory_must_not_say() {
        for name in ["AGENTCTL_HOME", "AGENTCTL_STORE_PASSPHRASE", "AGENTCTL_PERMISSION", "AGENTCTL_FGA_API_URL"] {
            assert!(never_from_dotenv(name), "{name}");
        }
        assert!(never_from_dotenv("AGENTCTL_CA_FILE"));
        assert!(!never_from_dotenv("AGENTCTL_ISSUER"));
        assert!(!never_from_dotenv("SHOP_API_URL"));
    }
}
