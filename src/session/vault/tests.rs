//! The vault against the server of `session/testing.rs`, which here exchanges as well.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use chrono::{DateTime, Utc};
use futures::FutureExt as _;

use super::*;
use crate::{
    clock::{Clock as _, ManualClock},
    oauth::{ClientAuth, testing::Script},
    secret::ClientSecret,
    session::testing::{World, parts, quick},
};

const ACCOUNTS: &str = "/me/v1/connected-accounts/accounts";

/// A vault for whoever is logged in, changed by the test.
struct Setup {
    world: World,
    clock: Arc<ManualClock>,
    parts: VaultParts,
}

impl Setup {
    async fn new(provider: Provider) -> Self {
        let world = World::new().await;
        let issuer = world.server.issuer();
        let clock = Arc::new(ManualClock::new(crate::clock::SystemClock::new().now()));
        let session = Session::new(super::super::SessionParts { provider, ..parts(&issuer, &world.dir.0) });
        let login = session.begin_login(&crate::session::Extra::default()).await.unwrap();
        session.finish_login(quick(login), None, &|_| {}).await.unwrap();
        let secret = ClientAuth::SecretPost(ClientSecret::new("s"));
        let parts = VaultParts {
            http: Http::default(),
            clock: clock.clone(),
            session: Rc::new(session),
            provider,
            client: Some(Client { id: "vault".to_owned(), auth: secret }),
            subject: Subject::AccessToken,
            audience: Some("https://vault.example".to_owned()),
            resource: None,
        };
        Self { world, clock, parts }
    }

    fn vault(&self) -> Vault {
        Vault::new(self.parts.clone())
    }

    fn answers(&self, status: u16, body: Value) {
        self.world.server.answer("/token", Script::json(status, body));
    }

    /// What the server was asked with this parameter.
    fn asked(&self, parameter: &str) -> Vec<crate::oauth::testing::Seen> {
        self.world.server.seen("/token").into_iter().filter(|seen| seen.field(parameter).is_some()).collect()
    }
}

fn scopes(scopes: &[&str]) -> Vec<String> {
    scopes.iter().map(|scope| (*scope).to_owned()).collect()
}

#[tokio::test]
async fn an_access_token_with_little_in_it_is_shown() {
    let setup = Setup::new(Provider::Auth0).await;
    setup.answers(200, json!({"access_token": "third", "expires_in": 600, "scope": "groups,users"}));
    let vault = setup.vault();
    let token = vault.token("okta", &scopes(&["users", "groups", "users"])).await.unwrap();
    assert_eq!((token.token.expose(), token.scopes), ("third", Some(scopes(&["groups", "users"]))));
    let refresh = setup.asked("refresh_token").pop().unwrap();
    assert_eq!((refresh.field("scope"), refresh.field("audience")), (Some("openid"), Some("https://vault.example")));
    let exchange = setup.asked("subject_token").pop().unwrap();
    assert_eq!((exchange.field("subject_token"), exchange.field("client_id")), (Some("at-2"), Some("vault")));
    assert!(!format!("{vault:?}").contains("third"));
}

#[tokio::test]
async fn each_call_has_a_token_of_its_own() {
    let setup = Setup::new(Provider::Auth0).await;
    let vault = setup.vault();
    setup.answers(200, json!({"access_token": "third", "expires_in": 600, "scope": "a b"}));
    vault.token("okta", &scopes(&["b", "a"])).await.unwrap();
    vault.token("okta", &scopes(&["b", "a"])).await.unwrap();
    assert_eq!(setup.asked("subject_token").len(), 2);
    // What names no scopes has granted none.
    setup.answers(200, json!({"access_token": "third", "expires_in": 600}));
    assert!(vault.token("okta", &scopes(&["a"])).await.unwrap_err().connection_needed());
    vault.token("okta", &[]).await.unwrap();
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let setup = Setup::new(Provider::Auth0).await;
    setup.answers(200, json!({"access_token": "third", "expires_in": 600, "scope": "a"}));
    let error = setup.vault().token("okta", &scopes(&["a", "b", "c"])).await.unwrap_err();
    let text = "the connected account of \"okta\" lacks b c; run `agentctl connections connect okta`";
    assert_eq!(error.to_string(), text);
    assert!(error.connection_needed() && !error.login_needed());
}

#[tokio::test]
async fn the_refresh_token_is_shown_by_its_own_client_only() {
    let mut setup = Setup::new(Provider::Auth0).await;
    setup.parts.subject = Subject::RefreshToken;
    setup.parts.audience = None;
    let error = setup.vault().token("okta", &[]).await.unwrap_err();
    assert!(error.to_string().ends_with("set AGENTCTL_VAULT_SUBJECT=access_token"), "{error}");
    assert!(setup.asked("subject_token").is_empty());

    setup.parts.client.as_mut().unwrap().id = "cli".to_owned();
    setup.answers(200, json!({"access_token": "third", "expires_in": 600}));
    setup.vault().token("okta", &[]).await.unwrap();
    let exchange = setup.asked("subject_token").pop().unwrap();
    assert_eq!(exchange.field("subject_token"), Some("rt-1"));
    assert_eq!(exchange.field("subject_token_type"), Some("urn:ietf:params:oauth:token-type:refresh_token"));
    assert_eq!(setup.world.refreshed(), (0, true));
}

/// Whoever renewed it meanwhile would leave this exchange with an old one, which to the server is a thief's.
#[tokio::test]
async fn the_refresh_token_is_shown_under_the_grants_lock() {
    let mut setup = Setup::new(Provider::Auth0).await;
    setup.parts.subject = Subject::RefreshToken;
    setup.parts.client.as_mut().unwrap().id = "cli".to_owned();
    setup.answers(200, json!({"access_token": "third", "expires_in": 600}));
    let (issuer, dir) = (setup.world.server.issuer(), setup.world.dir.0.clone());
    let held = Arc::new(Mutex::new(Vec::new()));
    let seen = held.clone();
    setup.world.server.handle(move |request| {
        request.field("subject_token")?;
        // Another process, in the middle of the exchange.
        let other = Session::new(parts(&issuer, &dir));
        let lock = other.parts.store.lock(&other.key, &*other.parts.clock, Duration::ZERO).now_or_never();
        seen.lock().unwrap().push(lock.is_some_and(|lock| lock.is_err()));
        None
    });
    setup.vault().token("okta", &[]).await.unwrap();
    assert_eq!(*held.lock().unwrap(), [true]);
}

#[tokio::test]
async fn what_is_not_configured_is_said_and_nothing_is_sent() {
    let mut setup = Setup::new(Provider::Auth0).await;
    let text = async |setup: &Setup| setup.vault().token("okta", &[]).await.unwrap_err().to_string();
    setup.parts.audience = None;
    assert!(text(&setup).await.contains("AGENTCTL_VAULT_AUDIENCE"));
    setup.parts.client = Some(Client::public("vault"));
    assert!(text(&setup).await.ends_with("run `agentctl config client-key vault`"));
    setup.parts.client = None;
    assert!(text(&setup).await.contains("AGENTCTL_VAULT_CLIENT_ID"));
    assert!(setup.asked("subject_token").is_empty());
}

#[tokio::test]
async fn who_can_mend_it() {
    let setup = Setup::new(Provider::Auth0).await;
    // error, connection needed, login needed, the end of the text
    for (status, code, connection, login, end) in [
        (401, "federated_connection_refresh_token_not_found", true, false, "run `agentctl connections connect okta`"),
        (401, "federated_connection_refresh_token_flow_failed", true, false, "run `agentctl connections connect okta`"),
        (403, "invalid_grant", false, true, "run `agentctl login`"),
        (401, "unmet_authentication_requirements", false, true, "run `agentctl login`"),
        (403, "mfa_required", false, false, "must not be Always"),
        (403, "unauthorized_client", false, false, "(`agentctl config client-key vault`)"),
        (503, "server_error", false, false, "try again later"),
        (400, "invalid_request", false, false, "`agentctl doctor` looks at the set-up"),
    ] {
        setup.answers(status, json!({"error": code}));
        let error = setup.vault().token("okta", &[]).await.unwrap_err();
        assert_eq!((error.connection_needed(), error.login_needed()), (connection, login), "{error}");
        assert!(error.to_string().ends_with(end), "{error}");
    }
    let setup = Setup::new(Provider::Keycloak).await;
    setup.answers(400, json!({"error": "not_linked"}));
    let error = setup.vault().token("github", &[]).await.unwrap_err();
    assert!(error.connection_needed() && error.to_string().contains("the server's own pages"), "{error}");
    setup.answers(400, json!({"error": "invalid_target"}));
    let error = setup.vault().token("github", &[]).await.unwrap_err();
    assert!(error.connection_needed() && error.to_string().contains("no account of it is connected"), "{error}");
    setup.answers(400, json!({"error": "invalid_scope"}));
    let error = setup.vault().token("github", &scopes(&["repo"])).await.unwrap_err();
    assert!(error.connection_needed() && error.to_string().contains("\"github\" with repo"), "{error}");
}

#[tokio::test]
async fn without_a_login_there_is_no_token() {
    let setup = Setup::new(Provider::Auth0).await;
    setup.answers(200, json!({"access_token": "third", "expires_in": 600}));
    let vault = setup.vault();
    vault.token("okta", &[]).await.unwrap();
    setup.parts.session.logout(None).await.unwrap();
    let error = vault.token("okta", &[]).await.unwrap_err();
    assert!(error.login_needed(), "{error}");
    assert_eq!(setup.asked("subject_token").len(), 1);
}

#[tokio::test]
async fn what_is_connected_is_known_without_an_exchange() {
    let setup = Setup::new(Provider::Auth0).await;
    let (now, vault) = (setup.clock.now(), setup.vault());
    let account = |id: &str, connection: &str, scopes: &[&str], expires_at: Option<DateTime<Utc>>| json!({"id": id, "connection": connection, "scopes": scopes, "expires_at": expires_at});
    let (past, future) = (Some(now - Duration::from_secs(1)), Some(now + Duration::from_secs(60)));
    for (accounts, expected) in [
        (vec![], Connected::No),
        (vec![account("1", "okta", &["a", "b", "c"], future)], Connected::Yes),
        (vec![account("1", "okta", &["a", "b"], past)], Connected::No),
        (vec![account("1", "other", &["a", "b"], None)], Connected::No),
        (vec![account("1", "okta", &["b"], None)], Connected::Without(scopes(&["a"]))),
        (vec![account("1", "okta", &[], None), account("2", "okta", &["a"], None)], Connected::Without(scopes(&["b"]))),
    ] {
        setup.world.server.answer(ACCOUNTS, Script::json(200, json!({"accounts": accounts})));
        assert_eq!(vault.connected("okta", &scopes(&["a", "b"])).await.unwrap(), expected, "{accounts:?}");
    }
    let refresh = setup.asked("refresh_token").pop().unwrap();
    let audience = format!("{}/me/", setup.world.server.issuer());
    assert_eq!(refresh.field("audience"), Some(audience.as_str()));
    assert_eq!(refresh.field("scope"), Some("read:me:connected_accounts"));
    assert!(setup.asked("subject_token").is_empty());
    setup.world.server.answer(ACCOUNTS, Script::text(500, "<html>"));
    let error = vault.connected("okta", &[]).await.unwrap_err();
    assert!(error.to_string().contains("docs/connections.md"), "{error}");

    let setup = Setup::new(Provider::Oidc).await;
    assert_eq!(setup.vault().connected("okta", &[]).await.unwrap(), Connected::Unknown);
    assert!(setup.world.server.seen(ACCOUNTS).is_empty());
}
