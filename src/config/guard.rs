//! What the guard is told: who says what is permitted, and which client has tokens of third-party accounts.

use url::Url;

use super::{
    Error, Permission, Role, Setting, UserClaim, VaultSubject,
    check::{is_on_this_machine, resource as check_resource, url as check_url},
    load::{Reader, parse},
};
use crate::secret::{ApiKey, ClientSecret};

/// An OpenFGA server and what is asked of it.
#[derive(Clone, Debug)]
pub struct Fga {
    /// Where its API is.
    pub api_url: Setting<String>,
    /// The store.
    pub store_id: Setting<String>,
    /// The authorization model; none for the store's newest.
    pub model_id: Option<Setting<String>>,
    /// How agentctl proves itself there.
    pub auth: FgaAuth,
    /// Which claim names the person there.
    pub user_claim: Setting<UserClaim>,
    /// Whether the agent itself needs the same permission.
    pub check_agent: Setting<bool>,
}

/// How agentctl proves itself to the permission server.
#[derive(Clone, Debug)]
pub enum FgaAuth {
    /// Not at all; only on this machine.
    None,
    /// With a fixed token.
    Token(ApiKey),
    /// As a client of its own (RFC 6749 §4.4).
    Client {
        /// Its id.
        id: String,
        /// Its secret.
        secret: ClientSecret,
        /// Where it gets tokens.
        token_issuer: String,
        /// For which audience.
        audience: Option<String>,
    },
}

/// The client that has tokens of third-party accounts.
#[derive(Clone, Debug)]
pub struct Vault {
    /// Who it is.
    pub role: Role,
    /// What it shows for the person.
    pub subject: Option<Setting<VaultSubject>>,
    /// The audience of the access token that it shows.
    pub audience: Option<Setting<String>>,
    /// The same as a resource (RFC 8707).
    pub resource: Option<Setting<String>>,
}

impl Reader<'_> {
    /// Who says what is permitted. A server that is configured is asked unless the profile says that nobody is.
    pub(super) fn permission(&self, fga: Option<&Fga>) -> Result<Option<Setting<Permission>>, Error> {
        let said = self.text("AGENTCTL_PERMISSION", self.profile.permission.as_ref());
        match said {
            Some(word) => word.map("permission", parse).map(Some),
            None => Ok(fga.map(|fga| Setting { value: Permission::Fga, source: fga.api_url.source.clone() })),
        }
    }

    /// The permission server; none if no address is configured.
    pub(super) fn fga(&self) -> Result<Option<Fga>, Error> {
        let table = &self.profile.fga;
        let Some(api_url) = self.text("AGENTCTL_FGA_API_URL", table.api_url.as_ref()) else { return Ok(None) };
        let api_url = api_url.map("fga.api_url", check_url)?;
        let store_id = self.some_text("fga.store_id", "AGENTCTL_FGA_STORE_ID", table.store_id.as_ref())?;
        let Some(store_id) = store_id else {
            return Err(invalid(&api_url, "there is no store for it (AGENTCTL_FGA_STORE_ID)"));
        };
        let auth = self.fga_auth()?;
        let on_this_machine = Url::parse(&api_url.value).is_ok_and(|url| is_on_this_machine(&url));
        if matches!(auth, FgaAuth::None) && !on_this_machine {
            let why = "without a credential it may only be on this machine; set AGENTCTL_FGA_API_TOKEN, or \
                       AGENTCTL_FGA_CLIENT_ID and its secret";
            return Err(invalid(&api_url, why));
        }
        let user_claim = self.profile(table.user_claim.clone());
        let check_agent = match self.layers.get("AGENTCTL_FGA_CHECK_AGENT") {
            Some(text) => Some(text.map("fga.check_agent", |text| text.parse().map_err(|_| not_a_truth_value(&text)))?),
            None => self.profile(table.check_agent),
        };
        Ok(Some(Fga {
            api_url,
            store_id,
            model_id: self.some_text("fga.model_id", "AGENTCTL_FGA_MODEL_ID", table.model_id.as_ref())?,
            auth,
            user_claim: user_claim
                .map_or(Ok(Setting::default(UserClaim::Sub)), |claim| claim.map("fga.user_claim", parse))?,
            check_agent: check_agent.unwrap_or(Setting::default(false)),
        }))
    }

    fn fga_auth(&self) -> Result<FgaAuth, Error> {
        let table = &self.profile.fga;
        let client = self.some_text("fga.client_id", "AGENTCTL_FGA_CLIENT_ID", table.client_id.as_ref())?;
        let token = self.layers.get("AGENTCTL_FGA_API_TOKEN");
        match (token, client) {
            (Some(_), Some(client)) => Err(Error::Invalid {
                name: "fga.client_id".to_owned(),
                from: client.source,
                why: "there is a fixed token too (AGENTCTL_FGA_API_TOKEN); one of them has to go".to_owned(),
            }),
            (Some(token), None) => Ok(FgaAuth::Token(ApiKey::new(token.value))),
            (None, None) => Ok(FgaAuth::None),
            (None, Some(client)) => {
                let missing = |name: &str| Error::Invalid {
                    name: "fga.client_id".to_owned(),
                    from: client.source.clone(),
                    why: format!("{name} is missing"),
                };
                let secret = self.layers.get("AGENTCTL_FGA_CLIENT_SECRET");
                let issuer = self.text("AGENTCTL_FGA_TOKEN_ISSUER", table.token_issuer.as_ref());
                let issuer = issuer.ok_or_else(|| missing("AGENTCTL_FGA_TOKEN_ISSUER"))?;
                // Auth0 FGA's own setting is a bare host.
                let issuer = Setting {
                    value: if issuer.value.contains("://") {
                        issuer.value
                    } else {
                        format!("https://{}", issuer.value)
                    },
                    source: issuer.source,
                };
                Ok(FgaAuth::Client {
                    secret: ClientSecret::new(secret.ok_or_else(|| missing("AGENTCTL_FGA_CLIENT_SECRET"))?.value),
                    token_issuer: issuer.map("fga.token_issuer", check_url)?.value,
                    audience: self
                        .text("AGENTCTL_FGA_API_AUDIENCE", table.api_audience.as_ref())
                        .map(|audience| audience.value),
                    id: client.value,
                })
            }
        }
    }

    /// The vault's client, and what it shows for the person.
    pub(super) fn vault(&self, role: Role) -> Result<Vault, Error> {
        let table = &self.profile.vault;
        let subject = self.text("AGENTCTL_VAULT_SUBJECT", table.subject.as_ref());
        let resource = self.text("AGENTCTL_VAULT_RESOURCE", table.resource.as_ref());
        Ok(Vault {
            role,
            subject: subject.map(|subject| subject.map("vault.subject", parse)).transpose()?,
            audience: self.text("AGENTCTL_VAULT_AUDIENCE", table.audience.as_ref()),
            resource: resource.map(|resource| resource.map("vault.resource", check_resource)).transpose()?,
        })
    }
}

fn invalid(api_url: &Setting<String>, why: &str) -> Error {
    Error::Invalid { name: "fga.api_url".to_owned(), from: api_url.source.clone(), why: why.to_owned() }
}

fn not_a_truth_value(text: &str) -> String {
    format!("{text:?} is neither true nor false")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, EnvVars, Overrides};

    const STORE: (&str, &str) = ("AGENTCTL_FGA_STORE_ID", "01J0Z5Z6WQ2Y4G8D3M7T1V9XKB");

    fn load(vars: &[(&str, &str)]) -> Result<Config, Error> {
        let home = crate::files::tests::TempDir::new();
        let path = home.path("home").display().to_string();
        let vars = vars.iter().copied().chain([("AGENTCTL_HOME", path.as_str())]);
        Config::load(&EnvVars::from_pairs(vars), &Overrides::default(), &home.0)
    }

    #[test]
    fn a_server_without_a_credential_is_on_this_machine() {
        let config = load(&[("AGENTCTL_FGA_API_URL", "http://127.0.0.1:8080/"), STORE]).unwrap();
        assert_eq!(config.permission.unwrap().value, Permission::Fga);
        let fga = config.fga.unwrap();
        assert_eq!(fga.api_url.value, "http://127.0.0.1:8080");
        assert!(matches!(fga.auth, FgaAuth::None) && !fga.check_agent.value && fga.user_claim.value == UserClaim::Sub);
        let error = load(&[("AGENTCTL_FGA_API_URL", "https://fga.example"), STORE]).unwrap_err().to_string();
        assert!(error.contains("only be on this machine"), "{error}");
        let token = ("AGENTCTL_FGA_API_TOKEN", "t0p");
        let config = load(&[("AGENTCTL_FGA_API_URL", "https://fga.example"), STORE, token]).unwrap();
        assert!(!format!("{config:?}").contains("t0p"));
    }

    #[test]
    fn what_is_half_configured_is_refused() {
        let url = ("AGENTCTL_FGA_API_URL", "https://api.fga.example");
        let client = ("AGENTCTL_FGA_CLIENT_ID", "c");
        let secret = ("AGENTCTL_FGA_CLIENT_SECRET", "s");
        let issuer = ("AGENTCTL_FGA_TOKEN_ISSUER", "https://auth.fga.example");
        for (vars, expected) in [
            (vec![url], "AGENTCTL_FGA_STORE_ID"),
            (vec![url, STORE, client], "AGENTCTL_FGA_TOKEN_ISSUER is missing"),
            (vec![url, STORE, client, issuer], "AGENTCTL_FGA_CLIENT_SECRET is missing"),
            (vec![url, STORE, client, secret, issuer, ("AGENTCTL_FGA_API_TOKEN", "t")], "one of them has to go"),
            (vec![url, STORE, client, secret, issuer, ("AGENTCTL_FGA_CHECK_AGENT", "maybe")], "neither true nor false"),
            (vec![("AGENTCTL_VAULT_SUBJECT", "id_token")], "there are access_token refresh_token"),
            (vec![("AGENTCTL_VAULT_RESOURCE", "vault")], "absolute URI"),
        ] {
            let error = load(&vars).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let config = load(&[url, STORE, client, secret, issuer, ("AGENTCTL_FGA_CHECK_AGENT", "true")]).unwrap();
        let fga = config.fga.unwrap();
        assert!(fga.check_agent.value && matches!(fga.auth, FgaAuth::Client { .. }));
    }

    #[test]
    fn the_profile_may_say_that_nobody_is_asked() {
        let url = ("AGENTCTL_FGA_API_URL", "http://127.0.0.1:8080");
        let config = load(&[url, STORE, ("AGENTCTL_PERMISSION", "none")]).unwrap();
        assert_eq!(config.permission.unwrap().value, Permission::None);
        assert!(load(&[]).unwrap().permission.is_none());
    }
}
