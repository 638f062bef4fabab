//! The clients of a profile and what proves them: from the environment, or from the credential store.

use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::failure::{Failure, Kind};
use crate::{
    clock::SharedClock,
    config::{self, FgaAuth, Role},
    fga::{Auth, ClientCredentials, Fga},
    http::Http,
    oauth::{AuthMethod, Client, ClientAuth, Provider},
    secret::{ApiKey, ClientKey, ClientSecret},
    store::credentials::{Key, Store},
};

/// A credential as it lies in the store.
#[derive(Debug)]
pub(crate) enum Credential {
    /// A client secret.
    Secret(ClientSecret),
    /// A private key, and the name the server knows its public half by.
    Key(ClientKey, String),
}

impl Credential {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let value = match self {
            Self::Secret(secret) => json!({ "secret": secret.expose() }),
            Self::Key(key, key_id) => json!({ "key": key.expose(), "key_id": key_id }),
        };
        Zeroizing::new(value.to_string().into_bytes())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let text = |name: &str| value[name].as_str();
        match (text("secret"), text("key"), text("key_id")) {
            (Some(secret), _, _) => Some(Self::Secret(ClientSecret::new(secret))),
            (None, Some(key), Some(key_id)) => Some(Self::Key(ClientKey::new(key), key_id.to_owned())),
            _ => None,
        }
    }
}

/// Keeps the credential of a client at an issuer.
pub(crate) async fn keep(store: &Store, issuer: &str, client: &str, credential: &Credential) -> Result<(), Failure> {
    Ok(store.set(&Key::client(issuer, client), &credential.to_bytes()).await?)
}

/// Whether this client has a credential in the store.
pub(crate) async fn there(store: &Store, issuer: &str, client: &str) -> Result<bool, Failure> {
    Ok(store.get(&Key::client(issuer, client)).await?.is_some())
}

/// The name of a model's key: it belongs to an address, so that a changed setting never sends it elsewhere.
fn key_of(base_url: &str) -> Key {
    Key::new("model", &[base_url.trim_end_matches('/')])
}

/// The key that was stored for the model at this address.
pub(crate) async fn model_key(store: &Store, base_url: &str) -> Result<Option<ApiKey>, Failure> {
    let Some(bytes) = store.get(&key_of(base_url)).await? else { return Ok(None) };
    let key = std::str::from_utf8(&bytes).map_err(|_| {
        Failure::new(Kind::Failed, "the stored key of the model is damaged").hint("run `agentctl config set-key` again")
    })?;
    Ok(Some(ApiKey::new(key)))
}

/// Keeps a key for the model at this address.
pub(crate) async fn keep_model_key(store: &Store, base_url: &str, key: &ApiKey) -> Result<(), Failure> {
    Ok(store.set(&key_of(base_url), key.expose().as_bytes()).await?)
}

/// Forgets it; whether there was one.
pub(crate) async fn forget_model_key(store: &Store, base_url: &str) -> Result<bool, Failure> {
    Ok(store.delete(&key_of(base_url)).await?)
}

/// The client of a role with what proves it; none if the role has no client. The store is asked only for a client that is
/// to prove itself, because the role demands it (`confidential`) or the profile says so, and whose secret does not lie in
/// the environment.
pub(crate) async fn find(
    role: &Role,
    confidential: bool,
    issuer: &str,
    provider: Provider,
    store: &Store,
) -> Result<Option<Client>, Failure> {
    let Some(id) = role.client_id.as_ref().map(|setting| setting.value.clone()) else { return Ok(None) };
    let method = role.authentication.as_ref().map(|setting| setting.value);
    if method == Some(AuthMethod::None) {
        return Ok(Some(Client::public(id)));
    }
    if let Some(secret) = &role.secret {
        return Ok(Some(Client { auth: with_secret(secret.clone(), method, provider), id }));
    }
    if method.is_none() && !confidential {
        return Ok(Some(Client::public(id)));
    }
    let Some(bytes) = store.get(&Key::client(issuer, &id)).await? else {
        return match method {
            None => Ok(Some(Client::public(id))),
            Some(method) => {
                Err(Failure::new(Kind::Usage, format!("the client {id} has no credential for {method} here"))
                    .hint("run `agentctl config client-key`, or set its secret in the environment"))
            }
        };
    };
    let auth = match Credential::from_bytes(&bytes) {
        Some(Credential::Secret(secret)) => with_secret(secret, method, provider),
        Some(Credential::Key(key, key_id)) => ClientAuth::PrivateKeyJwt { key, key_id: Some(key_id) },
        None => {
            return Err(Failure::new(Kind::Failed, format!("the stored credential of the client {id} is damaged"))
                .hint("run `agentctl config client-key` again"));
        }
    };
    Ok(Some(Client { id, auth }))
}

/// The permission server of a profile.
pub(crate) fn fga(settings: &config::Fga, http: &Http, clock: &SharedClock) -> Result<Fga, Failure> {
    let auth = match &settings.auth {
        FgaAuth::None => Auth::None,
        FgaAuth::Token(token) => Auth::Token(token.clone()),
        FgaAuth::Client { id, secret, token_issuer, audience } => Auth::Client(ClientCredentials {
            id: id.clone(),
            secret: secret.clone(),
            token_issuer: Url::parse(token_issuer)
                .map_err(|error| Failure::caused(Kind::Usage, "read AGENTCTL_FGA_TOKEN_ISSUER", &error))?,
            audience: audience.clone(),
        }),
    };
    let model = settings.model_id.as_ref().map(|model| model.value.as_str());
    Fga::new(http.clone(), clock.clone(), &settings.api_url.value, &settings.store_id.value, model, auth)
        .map_err(|error| Failure::new(Kind::Usage, error.to_string()))
}

/// Whether it can prove who it is.
pub(crate) fn is_confidential(client: &Client) -> bool {
    client.method() != AuthMethod::None
}

fn with_secret(secret: ClientSecret, method: Option<AuthMethod>, provider: Provider) -> ClientAuth {
    match (method, provider) {
        (Some(AuthMethod::ClientSecretPost), _) | (None, Provider::Auth0) => ClientAuth::SecretPost(secret),
        _ => ClientAuth::SecretBasic(secret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Setting, Source};

    fn role(id: Option<&str>, secret: Option<&str>, method: Option<AuthMethod>) -> Role {
        Role {
            client_id: id.map(|id| Setting { value: id.to_owned(), source: Source::Default }),
            secret: secret.map(ClientSecret::new),
            authentication: method.map(|value| Setting { value, source: Source::Default }),
        }
    }

    #[tokio::test]
    async fn the_proof_comes_from_the_environment_or_the_store() {
        let store = Store::memory();
        let issuer = "https://tenant.example/";
        let find = async |role: Role, provider| find(&role, true, issuer, provider, &store).await;
        assert!(find(role(None, None, None), Provider::Oidc).await.unwrap().is_none());
        let method = |client: Option<Client>| client.unwrap().method();
        assert_eq!(method(find(role(Some("a"), None, None), Provider::Oidc).await.unwrap()), AuthMethod::None);
        let with_env = find(role(Some("a"), Some("s"), None), Provider::Oidc).await.unwrap();
        assert_eq!(method(with_env), AuthMethod::ClientSecretBasic);
        let at_auth0 = find(role(Some("a"), Some("s"), None), Provider::Auth0).await.unwrap();
        assert_eq!(method(at_auth0), AuthMethod::ClientSecretPost);
        let missing = find(role(Some("a"), None, Some(AuthMethod::PrivateKeyJwt)), Provider::Oidc).await;
        assert_eq!(missing.unwrap_err().kind, Kind::Usage);
        let key = Credential::Key(ClientKey::new("pem"), "kid".into());
        keep(&store, issuer, "a", &key).await.unwrap();
        let with_key = find(role(Some("a"), None, Some(AuthMethod::PrivateKeyJwt)), Provider::Oidc).await.unwrap();
        assert_eq!(method(with_key), AuthMethod::PrivateKeyJwt);
        let other = find(role(Some("b"), None, None), Provider::Oidc).await.unwrap();
        assert_eq!(method(other), AuthMethod::None, "a credential is for one client only");
    }
}
