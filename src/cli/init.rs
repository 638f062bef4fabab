//! The commented `config.toml` that `agentctl config init` writes.

use std::fmt::Write as _;

/// What the person said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    /// The profile.
    pub(crate) profile: String,
    /// `auth0`, `keycloak` or `oidc`.
    pub(crate) provider: String,
    /// The issuer's address.
    pub(crate) issuer: String,
    /// The public client that logs people in.
    pub(crate) client_id: String,
    /// The confidential client that asks for approvals.
    pub(crate) approval_client_id: Option<String>,
    /// What permissions are checked against: `none`, or left open.
    pub(crate) permission: Option<String>,
    /// The model.
    pub(crate) model: Option<String>,
    /// The model's address.
    pub(crate) base_url: Option<String>,
}

/// The file's text. Values are written as TOML strings, whatever they hold.
pub(crate) fn text(answers: &Answers) -> String {
    let profile = key(&answers.profile);
    let mut text = format!(
        "# Settings of agentctl. Variables of the environment win over this file, and flags over both:
# `agentctl config show` says what holds and why. Secrets have no place here; they go to the
# credential store (`agentctl config client-key approval`).

profile = {name}

[profiles.{profile}]
# auth0, keycloak or oidc: what discovery does not say about the server.
provider = {provider}
issuer = {issuer}
# What a permission that a tool declares is checked against. Unset, such a tool is refused; \"none\" does without.
{permission}
# Where the login is kept: keyring, file (sealed by a passphrase or a key file) or memory.
# store = \"keyring\"
# The API that plain logins are for, if your server asks for one.
# audience = \"https://api.example\"
# scopes = [\"openid\", \"profile\", \"email\", \"offline_access\"]

[profiles.{profile}.login]
# A public client with the device flow (Auth0: a native application with the grant type Device Code).
client_id = {client}
",
        name = quoted(&answers.profile),
        provider = quoted(&answers.provider),
        issuer = quoted(&answers.issuer),
        permission = setting("permission", answers.permission.as_deref(), "none"),
        client = quoted(&answers.client_id),
    );
    let _ = write!(
        text,
        "
[profiles.{profile}.approval]
# A confidential client with CIBA. Its credential: `agentctl config client-key approval`, or
# AGENTCTL_APPROVAL_CLIENT_SECRET in the environment.
{}
# authentication = \"private_key_jwt\"

[profiles.{profile}.model]
# Any server that speaks OpenAI's chat completions. The key comes from OPENAI_API_KEY.
{}
{}

[profiles.{profile}.tools]
# Where the shop's tools reach the shop; a tool whose settings are missing is not offered.
# SHOP_API_URL = \"https://shop.example/orders\"
# SHOP_API_AUDIENCE = \"https://shop.example\"
# SHOP_CATALOG_URL = \"https://shop.example/products\"
",
        setting("client_id", answers.approval_client_id.as_deref(), "..."),
        setting("name", answers.model.as_deref(), "gpt-5-mini"),
        setting("base_url", answers.base_url.as_deref(), "https://api.openai.com/v1"),
    );
    text
}

/// A line that sets `name`, or one that shows how.
fn setting(name: &str, value: Option<&str>, example: &str) -> String {
    match value {
        Some(value) => format!("{name} = {}", quoted(value)),
        None => format!("# {name} = {}", quoted(example)),
    }
}

fn quoted(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

/// A profile's name as a key: bare if it may be.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { name.to_owned() } else { quoted(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_what_was_answered() {
        let answers = Answers {
            profile: "my work".into(),
            provider: "auth0".into(),
            issuer: "https://tenant.example/".into(),
            client_id: "abc".into(),
            approval_client_id: Some("d\"e\nf".into()),
            permission: None,
            model: Some("gpt-5-mini".into()),
            base_url: None,
        };
        let file: toml::Table = text(&answers).parse().unwrap();
        let profile = &file["profiles"]["my work"];
        assert_eq!(file["profile"].as_str(), Some("my work"));
        assert_eq!(profile["issuer"].as_str(), Some("https://tenant.example/"));
        assert_eq!(profile["login"]["client_id"].as_str(), Some("abc"));
        assert_eq!(profile["approval"]["client_id"].as_str(), Some("d\"e\nf"));
        assert_eq!(profile["model"]["name"].as_str(), Some("gpt-5-mini"));
        assert!(profile["model"].get("base_url").is_none());
        assert!(profile.get("permission").is_none(), "nothing is loosened unless somebody says so");
    }
}
