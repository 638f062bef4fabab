//! Exchanges at node-oidc-provider: the grants are ours (tests/peers/oidc-provider/vault.mjs), the server around them is not.

use std::{rc::Rc, sync::Arc};

use agentctl::{
    clock::{SharedClock, SystemClock},
    http::Http,
    oauth::{Client, ClientAuth, Provider},
    secret::ClientSecret,
    session::{
        Extra, Session, SessionParts,
        vault::{Connected, Subject, Vault, VaultParts},
    },
    store::{credentials::Store, stop::Stop},
};
use serde_json::json;

use crate::support::Idp;

/// A vault for Ada, logged in through the server's device flow. Without a resource her tokens are opaque.
async fn vault(idp: &Idp, provider: Provider, resource: Option<&str>, client: Client) -> Vault {
    let (http, clock): (_, SharedClock) = (Http::default(), Arc::new(SystemClock::new()));
    let session = Session::new(SessionParts {
        http: http.clone(),
        clock: clock.clone(),
        store: Arc::new(Store::memory()),
        provider,
        issuer: idp.issuer().to_owned(),
        client: Client::public(idp.env("AGENTCTL_CLIENT_ID")),
        account: "default".to_owned(),
        audience: None,
        resource: resource.map(str::to_owned),
        scopes: ["openid", "offline_access"].map(str::to_owned).to_vec(),
        state_dir: "/nonexistent".into(),
        stop: Stop::default(),
    });
    idp.auto("approve", "off");
    let login = session.begin_login(&Extra::default()).await.unwrap();
    session.finish_login(login, None, &|_| {}).await.unwrap();
    Vault::new(VaultParts {
        http,
        clock,
        session: Rc::new(session),
        provider,
        client: Some(client),
        subject: Subject::AccessToken,
        audience: Some("vault".to_owned()),
        resource: None,
    })
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn scopes(scopes: &[&str]) -> Vec<String> {
    scopes.iter().map(|scope| (*scope).to_owned()).collect()
}

#[test]
fn the_standard_exchange() {
    let Some(idp) = Idp::start() else { return };
    let secret = ClientSecret::new(idp.env("AGENTCTL_VAULT_CLIENT_SECRET"));
    let client = Client { id: "vault".to_owned(), auth: ClientAuth::SecretBasic(secret) };
    block_on(async {
        let shop = idp.env("AGENTCTL_RESOURCE");
        let vault = vault(&idp, Provider::Oidc, Some(shop), client).await;
        let token = vault.token("github", &scopes(&["repo"])).await.unwrap();
        assert_eq!((token.token.expose(), token.scopes), ("third-party-1", Some(scopes(&["repo"]))));
        // Each call has a token of its own.
        assert_eq!(vault.token("github", &scopes(&["repo"])).await.unwrap().token.expose(), "third-party-2");
        // A connection that is named by an address goes as a resource.
        vault.token("https://calendar.example/api", &[]).await.unwrap();
        let error = vault.token("gitlab", &[]).await.unwrap_err();
        assert!(error.connection_needed() && error.to_string().contains("invalid_target"), "{error}");
        let error = vault.token("github", &scopes(&["admin"])).await.unwrap_err();
        assert!(error.connection_needed() && error.to_string().contains("invalid_scope"), "{error}");
        assert_eq!(vault.connected("github", &[]).await.unwrap(), Connected::Unknown);
    });
    let issued = idp.get("/issued");
    assert_eq!(issued[0]["person"], "person-1", "{issued}");
    assert_eq!(issued[2]["connection"], "https://calendar.example/api", "{issued}");
    assert_eq!(issued.as_array().unwrap().len(), 3, "{issued}");

    let wrong = Client { id: "vault".to_owned(), auth: ClientAuth::SecretBasic(ClientSecret::new("guessed")) };
    let error = block_on(async { vault(&idp, Provider::Oidc, None, wrong).await.token("github", &[]).await });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("invalid_client") && error.contains("config client-key vault"), "{error}");
}

#[test]
fn the_grant_of_token_vault() {
    let Some(idp) = Idp::start() else { return };
    let secret = ClientSecret::new(idp.env("AGENTCTL_VAULT_CLIENT_SECRET"));
    let client = Client { id: "vault-by-post".to_owned(), auth: ClientAuth::SecretPost(secret) };
    block_on(async {
        let vault = vault(&idp, Provider::Auth0, None, client).await;
        // This server separates scopes by commas.
        let token = vault.token("github", &scopes(&["user", "repo"])).await.unwrap();
        assert_eq!((token.token.expose(), token.scopes), ("third-party-1", Some(scopes(&["repo", "user"]))));
        let error = vault.token("github", &scopes(&["repo", "admin:org"])).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the connected account of \"github\" lacks admin:org; run `agentctl connections connect github`"
        );
        let error = vault.token("slack", &[]).await.unwrap_err();
        assert!(error.to_string().starts_with("no account of \"slack\" is connected"), "{error}");
        let revoked = json!([{ "person": "person-1", "connection": "slack", "scopes": [], "revoked": true }]);
        idp.post("/accounts", &revoked);
        let error = vault.token("slack", &[]).await.unwrap_err();
        assert!(error.connection_needed() && error.to_string().contains("has ended at the third party"), "{error}");
    });
    let grants: Vec<_> = idp.history().into_iter().filter(|one| one["body"]["connection"].is_string()).collect();
    assert!(grants.len() == 4 && grants.iter().all(|one| one["body"]["subject_token"] == "..."), "{grants:?}");
}
