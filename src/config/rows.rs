//! The settings as `config show` and `config get` have them: one name, one value, and where that came from.

use super::{Config, Prices, Setting, Source, load::Reader};
use crate::secret::shown_url;

/// What stands for a secret.
const SET: &str = "set";

impl Config {
    /// Every setting that has a value, for people: name, value, source. Secrets are only said to be set.
    #[must_use]
    pub fn rows(&self) -> Vec<(String, String, String)> {
        let mut rows = Vec::new();
        let mut row = |name: &str, value: Option<String>, source: Option<&Source>| {
            if let (Some(value), Some(source)) = (value, source) {
                rows.push((name.to_owned(), value, source.to_string()));
            }
        };
        macro_rules! show {
            ($name:literal, $setting:expr) => {{
                let setting = $setting;
                row($name, setting.map(|setting| setting.value.to_string()), setting.map(|setting| &setting.source));
            }};
        }
        show!("profile", Some(&self.profile));
        show!("issuer", self.issuer.as_ref());
        show!("provider", Some(&self.provider));
        show!("login.client_id", self.login.client_id.as_ref());
        show!("login.authentication", self.login.authentication.as_ref());
        show!("approval.client_id", self.approval.client_id.as_ref());
        show!("approval.authentication", self.approval.authentication.as_ref());
        show!("audience", self.audience.as_ref());
        show!("resource", self.resource.as_ref());
        row("scopes", Some(self.scopes.value.join(" ")), Some(&self.scopes.source));
        show!("store", Some(&self.store));
        let key_file = self.store_key_file.as_ref();
        row("store_key_file", key_file.map(|path| path.value.display().to_string()), key_file.map(|path| &path.source));
        show!("vault.client_id", self.vault.role.client_id.as_ref());
        show!("vault.authentication", self.vault.role.authentication.as_ref());
        show!("vault.subject", self.vault.subject.as_ref());
        show!("vault.audience", self.vault.audience.as_ref());
        show!("vault.resource", self.vault.resource.as_ref());
        show!("permission", self.permission.as_ref());
        show!("fga.api_url", self.fga.as_ref().map(|fga| &fga.api_url));
        show!("fga.user_claim", self.fga.as_ref().map(|fga| &fga.user_claim));
        show!("fga.check_agent", self.fga.as_ref().map(|fga| &fga.check_agent));
        let ca_file = self.ca_file.as_ref();
        row("ca_file", ca_file.map(|path| path.value.display().to_string()), ca_file.map(|path| &path.source));
        show!("binding", Some(&self.binding));
        show!("model.name", self.model.name.as_ref());
        show!("model.base_url", Some(&self.model.base_url));
        show!("model.max_tokens", Some(&self.model.max_tokens));
        show!("limits.max_turns", Some(&self.limits.max_turns));
        show!("limits.pushes_per_minute", Some(&self.limits.pushes_per_minute));
        show!("limits.keep_runs_days", Some(&self.limits.keep_runs_days));
        show!("limits.keep_audit_days", self.limits.keep_audit_days.as_ref());
        let profile = Source::Profile(self.file.value.clone());
        let price = self.model.prices.as_ref();
        row("model.prices.prompt", price.map(Prices::prompt), Some(&profile));
        row("model.prices.completion", price.map(Prices::completion), Some(&profile));
        row("model.prices.currency", price.map(|price| price.currency.clone()), Some(&profile));
        for (name, origins) in &self.audiences {
            row(&format!("audiences.{name}.origins"), Some(origins.join(" ")), Some(&profile));
        }
        for (name, setting) in &self.tool_vars {
            row(&format!("tools.{name}"), Some(setting.value.clone()), Some(&setting.source));
        }
        for (name, setting) in &self.others {
            row(name, Some(setting.value.clone()), Some(&setting.source));
        }
        for (name, value, _) in &mut rows {
            *value = shown(name, std::mem::take(value));
        }
        rows.sort_by_key(|(name, ..)| group(name));
        rows
    }
}

/// A setting's value as it may be shown. What names an API is no address, and is shown to the letter.
#[must_use]
pub fn shown(name: &str, value: String) -> String {
    let name = name.to_ascii_lowercase();
    let names_an_api = name.ends_with("audience") || name.ends_with("resource");
    if value.contains("://") && !names_an_api { shown_url(&value) } else { value }
}

/// Tables stand together, in the order of the file; what belongs to none comes first.
fn group(name: &str) -> usize {
    const TABLES: [&str; 9] = ["login", "approval", "vault", "fga", "model", "models", "limits", "tools", "audiences"];
    let table = name.split_once('.').map(|(table, _)| table);
    table.map_or(0, |table| TABLES.iter().position(|known| *known == table).map_or(TABLES.len(), |at| at + 1))
}

impl Reader<'_> {
    /// What is shown and has no field of its own. `key` is the variable that holds the key of the model in use.
    pub(super) fn others(&self, key: Option<&String>) -> Vec<(String, Setting<String>)> {
        let table = &self.profile;
        let mut rows = Vec::new();
        let mut row = |name: &str, setting: Option<Setting<String>>| {
            rows.extend(setting.map(|setting| (name.to_owned(), setting)));
        };
        let truth = |said: Option<bool>, unsaid: bool| {
            let said = self.profile(said.map(|said| said.to_string()));
            Some(said.unwrap_or_else(|| Setting::default(unsaid.to_string())))
        };
        row("token_for_agents", truth(table.token_for_agents, false));
        row("bell", truth(table.bell, true));
        row("browser", truth(table.browser, true));
        let fga = &table.fga;
        row("fga.store_id", self.text("AGENTCTL_FGA_STORE_ID", fga.store_id.as_ref()));
        row("fga.model_id", self.text("AGENTCTL_FGA_MODEL_ID", fga.model_id.as_ref()));
        row("fga.client_id", self.text("AGENTCTL_FGA_CLIENT_ID", fga.client_id.as_ref()));
        row("fga.token_issuer", self.text("AGENTCTL_FGA_TOKEN_ISSUER", fga.token_issuer.as_ref()));
        row("fga.api_audience", self.text("AGENTCTL_FGA_API_AUDIENCE", fga.api_audience.as_ref()));
        let secret = |variable: &str| {
            let secret = self.layers.get(variable)?;
            Some(Setting { value: SET.to_owned(), source: secret.source })
        };
        row("login.client_secret", secret("AGENTCTL_CLIENT_SECRET"));
        row("approval.client_secret", secret("AGENTCTL_APPROVAL_CLIENT_SECRET"));
        row("vault.client_secret", secret("AGENTCTL_VAULT_CLIENT_SECRET"));
        row("store_passphrase", secret("AGENTCTL_STORE_PASSPHRASE"));
        row("fga.api_token", secret("AGENTCTL_FGA_API_TOKEN"));
        row("fga.client_secret", secret("AGENTCTL_FGA_CLIENT_SECRET"));
        row("model.api_key", key.and_then(|name| secret(name)));
        let said = table.models.values().chain([&table.model]).any(|model| model.api_key_env.as_ref() == key);
        let said = if said { self.profile(key.cloned()) } else { key.cloned().map(Setting::default) };
        row("model.api_key_env", said);
        for (name, model) in &table.models {
            let mut row = |key: &str, value: Option<String>| row(&format!("models.{name}.{key}"), self.profile(value));
            row("name", model.name.clone());
            row("base_url", model.base_url.clone());
            row("max_tokens", model.max_tokens.map(|count| count.to_string()));
            row("api_key_env", model.api_key_env.clone());
            for (key, value) in model.prices.iter().flat_map(|prices| prices.rows()) {
                row(&format!("prices.{key}"), Some(value));
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{EnvVars, Overrides},
        files::{self, tests::TempDir},
    };

    /// `a.b.c` for everything that a table holds.
    fn keys(table: &toml::Table, before: &str, found: &mut Vec<String>) {
        for (key, value) in table {
            match value {
                toml::Value::Table(inner) => keys(inner, &format!("{before}{key}."), found),
                _ => found.push(format!("{before}{key}")),
            }
        }
    }

    #[test]
    fn every_setting_of_the_documentation_is_shown_and_no_secret() {
        let page = include_str!("../../docs/configuration.md");
        let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let dir = TempDir::new();
        files::write(&dir.path("config.toml"), example.as_bytes()).unwrap();
        let home = dir.0.display().to_string();
        let secrets = [
            ("AGENTCTL_FGA_CLIENT_SECRET", "fga.client_secret"),
            ("AGENTCTL_CLIENT_SECRET", "login.client_secret"),
            ("AGENTCTL_APPROVAL_CLIENT_SECRET", "approval.client_secret"),
            ("AGENTCTL_VAULT_CLIENT_SECRET", "vault.client_secret"),
            ("AGENTCTL_STORE_PASSPHRASE", "store_passphrase"),
            ("OPENAI_API_KEY", "model.api_key"),
        ];
        let vars = secrets.iter().map(|(variable, _)| (*variable, "hunter2"));
        let env = EnvVars::from_pairs(vars.chain([("AGENTCTL_HOME", home.as_str())]));
        let rows = Config::load(&env, &Overrides::default(), &dir.0).unwrap().rows();
        let row = |name: &str| rows.iter().find(|(known, ..)| known == name);
        let mut wanted = Vec::new();
        let file: toml::Table = example.parse().unwrap();
        keys(file["profiles"]["work"].as_table().unwrap(), "", &mut wanted);
        let missing: Vec<_> = wanted.iter().filter(|name| row(name).is_none()).collect();
        assert!(missing.is_empty() && wanted.len() > 40, "not shown: {missing:?}");
        for (variable, name) in secrets {
            let (_, value, source) = row(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((value.as_str(), source.as_str()), (SET, format!("environment {variable}").as_str()));
        }
        assert!(!format!("{rows:?}").contains("hunter2"));
        assert_eq!(row("model.prices.completion").unwrap().1, "2.00");
        assert_eq!(row("model.api_key_env").unwrap().1, "OPENAI_API_KEY");
        assert_eq!(row("models.fast.base_url").unwrap().1, "https://models.example/v1");
        let mut names: Vec<&str> = rows.iter().map(|(name, ..)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rows.len(), "a name stands twice");
    }

    #[test]
    fn no_address_shows_its_query() {
        let dir = TempDir::new();
        let toml = b"[profiles.default]\nresource = \"https://api.example/?v=1\"\n[profiles.default.models.fast]\n\
            base_url = \"https://models.example/v1?key=hunter2\"\n[profiles.default.tools]\n\
            SHOP_API_URL = \"https://shop.example/orders?key=hunter2\"\n";
        files::write(&dir.path("config.toml"), toml).unwrap();
        let home = dir.0.display().to_string();
        let vars =
            [("AGENTCTL_HOME", home.as_str()), ("OPENAI_BASE_URL", "http://localhost/v1?key=hunter2&hunter2#hunter2")];
        let rows = Config::load(&EnvVars::from_pairs(vars), &Overrides::default(), &dir.0).unwrap().rows();
        let value = |name: &str| rows.iter().find(|(known, ..)| known == name).unwrap().1.as_str();
        assert_eq!(value("model.base_url"), "http://localhost/v1?key=...&...#...");
        assert_eq!(value("models.fast.base_url"), "https://models.example/v1?key=...");
        assert_eq!(value("resource"), "https://api.example/?v=1");
        assert!(!format!("{rows:?}").contains("hunter2"), "{rows:?}");
        // Nor does what is wrong with one.
        for bad in ["http://models.example/v1?key=hunter2", "https://me:hunter2@models.example:x/v1?key=hunter2"] {
            let vars = [("AGENTCTL_HOME", home.as_str()), ("OPENAI_BASE_URL", bad)];
            let error = Config::load(&EnvVars::from_pairs(vars), &Overrides::default(), &dir.0).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
