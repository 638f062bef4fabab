//! Token exchange: an access token of a third-party account, for a token of the person.
//!
//! Auth0's Token Vault has a grant of its own; everybody else goes by RFC 8693. Both are one POST to the token endpoint by
//! a client that proves itself, and their answers look alike. What differs is which errors mean what ([`meaning`]).

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use url::Url;

use super::{Caller, Error, Provider, Refusal, provider::AudienceParameter, token};
use crate::{
    echo::Secrets,
    http::Response,
    secret::{AccessToken, RefreshToken},
};

const WHAT: &str = "exchange answer";

/// Which exchange a server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Auth0's grant for tokens of connected accounts.
    TokenVault,
    /// RFC 8693; the connection's name is the `audience`.
    Rfc8693,
}

/// What is shown for the person: the `subject_token` (RFC 8693 §2.1).
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// An access token of the same server.
    Access(&'a AccessToken),
    /// A refresh token that the server gave to this very client.
    Refresh(&'a RefreshToken),
}

/// One exchange.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Whose account.
    pub subject: Subject<'a>,
    /// The connection's name at the server.
    pub connection: &'a str,
    /// Which account, if the person has several of this connection: their id at the third party. Token Vault only.
    pub login_hint: Option<&'a str>,
    /// What the token must permit. Token Vault has no such parameter: it gives what the account was connected with.
    pub scopes: &'a [String],
}

/// A token of a third-party account.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// For the third party's API.
    pub token: AccessToken,
    /// Seconds it lives, if the server says so.
    pub expires_in: Option<u64>,
    /// What it permits; none if the server did not say.
    pub scopes: Option<Vec<String>>,
}

impl Exchange {
    fn grant_type(self) -> &'static str {
        match self {
            Self::TokenVault => "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token",
            Self::Rfc8693 => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }

    fn requested_token_type(self) -> &'static str {
        match self {
            Self::TokenVault => "http://auth0.com/oauth/token-type/federated-connection-access-token",
            Self::Rfc8693 => "urn:ietf:params:oauth:token-type:access_token",
        }
    }
}

/// Asks for a token of the connected account.
///
/// # Errors
/// If the server refuses ([`meaning`] says how to read that) or its answer cannot be used.
pub async fn exchange(caller: &Caller<'_>, provider: Provider, wanted: &Request<'_>) -> Result<Exchanged, Error> {
    let kind = provider.exchange();
    let (subject, subject_type) = match wanted.subject {
        Subject::Access(token) => (token.expose(), "urn:ietf:params:oauth:token-type:access_token"),
        Subject::Refresh(token) => (token.expose(), "urn:ietf:params:oauth:token-type:refresh_token"),
    };
    let mut fields = vec![
        ("grant_type", kind.grant_type()),
        ("subject_token", subject),
        ("subject_token_type", subject_type),
        ("requested_token_type", kind.requested_token_type()),
    ];
    let scope = wanted.scopes.join(" ");
    match kind {
        Exchange::TokenVault => {
            fields.push(("connection", wanted.connection));
            fields.extend(wanted.login_hint.map(|hint| ("login_hint", hint)));
        }
        Exchange::Rfc8693 => {
            fields.push((target(provider, wanted.connection), wanted.connection));
            fields.extend(Some(("scope", scope.as_str())).filter(|_| !scope.is_empty()));
        }
    }
    let response = caller.post(&caller.metadata.token_endpoint, &fields).await?;
    if response.status != 200 {
        return Err(Refusal::or_malformed(&response, WHAT));
    }
    read(kind, &response)
}

/// A target is named by `audience`; by `resource` if it is an absolute URI and the server goes by those (RFC 8693 §2.1).
fn target(provider: Provider, connection: &str) -> &'static str {
    let by_resource = provider.audience_parameter() == AudienceParameter::Resource && Url::parse(connection).is_ok();
    if by_resource { "resource" } else { "audience" }
}

/// The answer as it travels (RFC 8693 §2.2.1).
#[derive(Deserialize)]
struct Wire {
    access_token: AccessToken,
    issued_token_type: Option<String>,
    token_type: Option<String>,
    #[serde(default, deserialize_with = "token::lenient_seconds")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "scopes")]
    scope: Option<Vec<String>>,
}

fn read(kind: Exchange, response: &Response) -> Result<Exchanged, Error> {
    let wire: Wire = response.json().map_err(|_| Error::malformed(WHAT, response))?;
    let unusable = |why: String| Error::Unusable { what: WHAT, why };
    if wire.access_token.expose().is_empty() {
        return Err(unusable("it has no access_token".to_owned()));
    }
    // Which other type is not repeated: a garbled answer has a token there.
    if wire.issued_token_type.is_some_and(|issued| issued != kind.requested_token_type()) {
        return Err(unusable("its issued_token_type is another than was asked for".to_owned()));
    }
    // `N_A` says that it is no access token.
    if wire.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(unusable(token::OTHER_TYPE.to_owned()));
    }
    // What is granted is written down, and a token is no scope.
    let hidden = Secrets::new("").with(wire.access_token.expose());
    let scopes = wire.scope.map(|scopes| scopes.into_iter().filter(|scope| !hidden.stand_in(scope)).collect());
    Ok(Exchanged { token: wire.access_token, expires_in: wire.expires_in, scopes })
}

/// Scopes in one text, separated by blanks, or by commas as some third parties do; or as a list.
fn scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let split = |text: &str| -> Vec<String> {
        let words = text.split([' ', ',', '\t', '\n', '\r']).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(split(&text))),
        Value::Array(list) => {
            let words: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            words.map(|words| Some(split(&words.join(" ")))).ok_or_else(|| serde::de::Error::custom("a list of texts"))
        }
        _ => Err(serde::de::Error::custom("expected a text")),
    }
}

/// What a failed exchange means, and so who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The person has no such account connected.
    NotConnected,
    /// The third party takes no more tokens for it: it has to be connected again.
    Revoked,
    /// The server no longer takes what is shown for the person.
    SubjectRefused,
    /// The server does not let this client do it, or does not believe that it is this client.
    ClientRefused,
    /// The server wants the person to prove themselves again.
    FreshAuthentication,
    /// The tenant asks for a second factor here, where nobody can give one.
    SecondFactor,
    /// The server gives no token for such a connection: it has none, or the person has no account of it connected.
    NoTarget,
    /// The account, or the client, may not have these scopes.
    ScopesRefused,
    /// It may work later.
    Transient,
    /// Anything else.
    Other,
}

/// Reads the error of an exchange. Token Vault's codes are documented nowhere; those that were seen are told apart, and an
/// answer without one of them is told apart by its status as far as Auth0 documents it.
#[must_use]
pub fn meaning(kind: Exchange, error: &Error) -> Meaning {
    let refusal = match error {
        Error::Http(_) => return Meaning::Transient,
        Error::Malformed { status, .. } if *status == 429 || *status >= 500 => return Meaning::Transient,
        Error::Refused(refusal) if refusal.is_passing() => return Meaning::Transient,
        Error::Refused(refusal) => refusal,
        _ => return Meaning::Other,
    };
    match (kind, refusal.error.as_str()) {
        (_, "invalid_client" | "unauthorized_client" | "access_denied" | "unsupported_grant_type") => {
            Meaning::ClientRefused
        }
        (_, "invalid_grant" | "expired_token" | "invalid_token") => Meaning::SubjectRefused,
        (_, "server_error" | "temporarily_unavailable" | "slow_down" | "too_many_requests") => Meaning::Transient,
        (Exchange::TokenVault, "federated_connection_refresh_token_not_found") => Meaning::NotConnected,
        (Exchange::TokenVault, "federated_connection_refresh_token_flow_failed") => Meaning::Revoked,
        (Exchange::TokenVault, "unmet_authentication_requirements") => Meaning::FreshAuthentication,
        (Exchange::TokenVault, "mfa_required") => Meaning::SecondFactor,
        // RFC 8693 §2.2.2: the code for a subject token that is invalid or not acceptable.
        (Exchange::Rfc8693, "invalid_request") => Meaning::SubjectRefused,
        (Exchange::Rfc8693, "invalid_target") => Meaning::NoTarget,
        (Exchange::Rfc8693, "invalid_scope") => Meaning::ScopesRefused,
        // Keycloak, for accounts at another identity provider.
        (Exchange::Rfc8693, "not_linked") => Meaning::NotConnected,
        (Exchange::Rfc8693, "token_expired") => Meaning::Revoked,
        _ if refusal.status == 403 => Meaning::ClientRefused,
        _ => Meaning::Other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        oauth::{
            ClientAuth,
            testing::{Peer, Script},
        },
        secret::ClientSecret,
    };

    const VAULT: &str = "http://auth0.com/oauth/token-type/federated-connection-access-token";
    const STANDARD: &str = "urn:ietf:params:oauth:token-type:access_token";

    async fn confidential() -> Peer {
        let mut peer = Peer::start().await;
        peer.client.auth = ClientAuth::SecretPost(ClientSecret::new("s"));
        peer
    }

    async fn ask(peer: &Peer, provider: Provider, connection: &str, scopes: &[&str]) -> Result<Exchanged, Error> {
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let token = AccessToken::new("at");
        let wanted = Request { subject: Subject::Access(&token), connection, login_hint: None, scopes: &scopes };
        exchange(&peer.caller(), provider, &wanted).await
    }

    #[tokio::test]
    async fn token_vault_as_it_travels() {
        let peer = confidential().await;
        let answer = json!({
            "access_token": "ya29", "scope": "calendar openid", "expires_in": 1377, "issued_token_type": VAULT,
            "token_type": "Bearer",
        });
        peer.server.answer("/token", Script::json(200, answer));
        let refresh = RefreshToken::new("rt");
        let access = AccessToken::new("at");
        let needed = ["calendar".to_owned()];
        for (subject, token, kind) in [
            (Subject::Access(&access), "at", "urn:ietf:params:oauth:token-type:access_token"),
            (Subject::Refresh(&refresh), "rt", "urn:ietf:params:oauth:token-type:refresh_token"),
        ] {
            let wanted = Request { subject, connection: "google-oauth2", login_hint: Some("117"), scopes: &needed };
            let found = exchange(&peer.caller(), Provider::Auth0, &wanted).await.unwrap();
            assert_eq!((found.token.expose(), found.expires_in), ("ya29", Some(1377)));
            assert!(!format!("{found:?} {wanted:?}").contains(token));
            let seen = peer.server.seen("/token").pop().unwrap();
            for (name, value) in [
                ("grant_type", "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"),
                ("subject_token", token),
                ("subject_token_type", kind),
                ("requested_token_type", VAULT),
                ("connection", "google-oauth2"),
                ("login_hint", "117"),
                ("client_id", "cli"),
                ("client_secret", "s"),
            ] {
                assert_eq!(seen.field(name), Some(value));
            }
            assert_eq!(seen.form.len(), 8, "no scope, no audience");
        }
    }

    #[tokio::test]
    async fn the_standard_exchange_as_it_travels() {
        let peer = confidential().await;
        peer.server.answer("/token", Script::json(200, json!({"access_token": "t", "issued_token_type": STANDARD})));
        for (provider, connection, audience, resource) in [
            (Provider::Keycloak, "github", Some("github"), None),
            (Provider::Keycloak, "https://api.example", Some("https://api.example"), None),
            (Provider::Oidc, "github", Some("github"), None),
            (Provider::Oidc, "https://api.example", None, Some("https://api.example")),
        ] {
            ask(&peer, provider, connection, &["a", "b"]).await.unwrap();
            let seen = peer.server.seen("/token").pop().unwrap();
            assert_eq!(seen.field("grant_type"), Some("urn:ietf:params:oauth:grant-type:token-exchange"));
            assert_eq!((seen.field("audience"), seen.field("resource")), (audience, resource), "{connection}");
            assert_eq!((seen.field("scope"), seen.field("requested_token_type")), (Some("a b"), Some(STANDARD)));
            assert_eq!((seen.field("connection"), seen.field("subject_token")), (None, Some("at")));
        }
        ask(&peer, Provider::Oidc, "github", &[]).await.unwrap();
        assert_eq!(peer.server.seen("/token").pop().unwrap().field("scope"), None);
    }

    #[tokio::test]
    async fn answers_are_read_with_patience() {
        let peer = confidential().await;
        let owned = |scopes: &[&str]| Some(scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>());
        for (member, scopes) in [
            (json!("a b"), owned(&["a", "b"])),
            (json!("a,b"), owned(&["a", "b"])),
            (json!(" a, b ,,c "), owned(&["a", "b", "c"])),
            (json!(["a", "b,c"]), owned(&["a", "b", "c"])),
            (json!(""), owned(&[])),
            (Value::Null, None),
        ] {
            peer.server.answer("/token", Script::json(200, json!({"access_token": "t", "scope": member})));
            assert_eq!(ask(&peer, Provider::Auth0, "c", &[]).await.unwrap().scopes, scopes, "{member}");
        }
        let garbled = json!({"access_token": "live-token-1", "scope": "a live-token-1 b"});
        peer.server.answer("/token", Script::json(200, garbled));
        assert_eq!(ask(&peer, Provider::Auth0, "c", &[]).await.unwrap().scopes, owned(&["a", "b"]), "no token");
        peer.server.answer("/token", Script::json(200, json!({"access_token": "t", "expires_in": "60"})));
        assert_eq!(ask(&peer, Provider::Auth0, "c", &[]).await.unwrap().expires_in, Some(60));
    }

    #[tokio::test]
    async fn what_is_no_such_token_is_refused_and_not_shown() {
        let peer = confidential().await;
        for (provider, answer, expected) in [
            (Provider::Auth0, json!({"access_token": "hunter2", "issued_token_type": STANDARD}), "issued_token_type"),
            (Provider::Oidc, json!({"access_token": "hunter2", "issued_token_type": VAULT}), "issued_token_type"),
            (Provider::Oidc, json!({"access_token": "hunter2", "token_type": "N_A"}), "another than Bearer"),
            (Provider::Oidc, json!({"access_token": "hunter2", "token_type": "DPoP"}), "another than Bearer"),
            (Provider::Oidc, json!({"access_token": "hunter2", "token_type": "hunter2"}), "another than Bearer"),
            (Provider::Auth0, json!({"access_token": "hunter2", "issued_token_type": "hunter2"}), "issued_token_type"),
            (Provider::Oidc, json!({"access_token": ""}), "it has no access_token"),
            (Provider::Oidc, json!({"access_token": 1, "more": "hunter2"}), "cannot be understood"),
            (Provider::Oidc, json!({"access_token": "hunter2", "scope": 1}), "cannot be understood"),
            (Provider::Oidc, json!("hunter2"), "cannot be understood"),
        ] {
            peer.server.answer("/token", Script::json(200, answer));
            let error = ask(&peer, provider, "c", &[]).await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(expected) && !text.contains("hunter2"), "{text} should say {expected}");
            assert_eq!(meaning(provider.exchange(), &error), Meaning::Other);
        }
        peer.server.answer("/token", Script::text(200, &"x".repeat(10 << 20)));
        let error = ask(&peer, Provider::Auth0, "c", &[]).await.unwrap_err();
        assert!(error.to_string().contains("larger than"), "{error}");
        // A redirect is an answer like any other, and nobody follows it with the token.
        let elsewhere = Script::text(307, "").header(axum::http::header::LOCATION, "/elsewhere");
        peer.server.answer("/token", elsewhere);
        let error = ask(&peer, Provider::Auth0, "c", &[]).await.unwrap_err();
        assert!(matches!(error, Error::Malformed { status: 307, .. }), "{error}");
        assert!(peer.server.seen("/elsewhere").is_empty());
    }

    #[tokio::test]
    async fn each_error_means_something() {
        use Meaning as M;
        let peer = confidential().await;
        let (vault, standard) = (Provider::Auth0, Provider::Oidc);
        for (provider, status, code, expected) in [
            (vault, 401, "federated_connection_refresh_token_not_found", M::NotConnected),
            (vault, 400, "federated_connection_refresh_token_not_found", M::NotConnected),
            (vault, 401, "federated_connection_refresh_token_flow_failed", M::Revoked),
            (vault, 403, "invalid_grant", M::SubjectRefused),
            (vault, 401, "expired_token", M::SubjectRefused),
            (vault, 401, "invalid_client", M::ClientRefused),
            (vault, 403, "unauthorized_client", M::ClientRefused),
            (vault, 401, "access_denied", M::ClientRefused),
            (vault, 403, "something_new", M::ClientRefused),
            (vault, 401, "unmet_authentication_requirements", M::FreshAuthentication),
            (vault, 403, "mfa_required", M::SecondFactor),
            (vault, 429, "too_many_requests", M::Transient),
            (vault, 503, "server_error", M::Transient),
            (vault, 500, "something_new", M::Transient),
            (vault, 500, "invalid_grant", M::Transient),
            (standard, 429, "access_denied", M::Transient),
            (vault, 400, "invalid_request", M::Other),
            (vault, 400, "invalid_target", M::Other),
            (vault, 401, "something_new", M::Other),
            (standard, 400, "invalid_request", M::SubjectRefused),
            (standard, 400, "invalid_grant", M::SubjectRefused),
            (standard, 400, "invalid_token", M::SubjectRefused),
            (standard, 400, "invalid_target", M::NoTarget),
            (standard, 401, "invalid_client", M::ClientRefused),
            (standard, 400, "unauthorized_client", M::ClientRefused),
            (standard, 400, "unsupported_grant_type", M::ClientRefused),
            (standard, 403, "access_denied", M::ClientRefused),
            (standard, 400, "not_linked", M::NotConnected),
            (standard, 400, "token_expired", M::Revoked),
            (standard, 400, "invalid_scope", M::ScopesRefused),
            // The code of the other grant says nothing here.
            (standard, 400, "federated_connection_refresh_token_not_found", M::Other),
        ] {
            peer.server.answer("/token", Script::json(status, json!({"error": code, "error_description": "why"})));
            let error = ask(&peer, provider, "c", &[]).await.unwrap_err();
            assert_eq!(meaning(provider.exchange(), &error), expected, "{status} {code}");
            assert_eq!(error.code(), Some(code));
        }
        for (status, body, expected) in
            [(502, "<html>", M::Transient), (429, "slow", M::Transient), (400, "<html>", M::Other)]
        {
            peer.server.answer("/token", Script::text(status, body));
            let error = ask(&peer, vault, "c", &[]).await.unwrap_err();
            assert_eq!(meaning(Exchange::TokenVault, &error), expected, "{status}");
        }
        let unreachable = Error::Http(crate::http::Error::Timeout { origin: "x".to_owned() });
        assert_eq!(meaning(Exchange::TokenVault, &unreachable), M::Transient);
    }
}
