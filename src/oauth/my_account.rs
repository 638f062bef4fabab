//! Connected accounts: the part of Auth0's My Account API that ties a third-party account to the person.
//!
//! It belongs to the tenant: base and audience follow from the issuer, and the link that the person opens must lead to the
//! tenant itself. The person goes there with a browser on this machine, consents at the third party, and comes back to an
//! address on loopback with a `connect_code`, which [`Api::complete`] turns into the account.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use url::Url;

use super::{Error, Refusal, metadata, token};
use crate::{
    http::{Http, Request, Response},
    secret::{AccessToken, AuthSession, CodeVerifier, ConnectCode},
};

/// The scope that lists accounts.
pub const READ: &str = "read:me:connected_accounts";
/// The scope that connects one.
pub const CREATE: &str = "create:me:connected_accounts";
/// The scope that removes one.
pub const DELETE: &str = "delete:me:connected_accounts";

/// Accounts a page; the API's own limit.
const PAGE: &str = "20";
/// More pages than this are not a person's accounts.
const MAX_PAGES: usize = 50;

/// The API's name at the authorization server: what a token for it is asked for.
#[must_use]
pub fn audience(issuer: &str) -> String {
    format!("{}/me/", issuer.trim_end_matches('/'))
}

/// The API of one tenant.
#[derive(Debug)]
pub struct Api<'a> {
    http: &'a Http,
    issuer: Url,
}

/// A connected account. The texts are the server's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ConnectedAccount {
    /// Its id at the tenant.
    pub id: String,
    /// The connection's name.
    pub connection: String,
    /// What it was connected with.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Since when.
    #[serde(default)]
    pub created_at: Option<DateTime<Utc>>,
    /// Until when, if it ends.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// A connection of which accounts may be connected.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Connection {
    /// Its name.
    pub name: String,
    /// Which kind of third party.
    #[serde(default)]
    pub strategy: Option<String>,
    /// What it may be connected with.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// What an account is to be connected with, and where the browser comes back to.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'a> {
    /// The connection's name.
    pub connection: &'a str,
    /// What it must permit; empty for the connection's own default.
    pub scopes: &'a [String],
    /// On loopback.
    pub redirect_uri: &'a str,
    /// Comes back unchanged (RFC 6749 §10.12).
    pub state: &'a str,
    /// SHA-256 of the verifier (RFC 7636 §4.2).
    pub code_challenge: &'a str,
}

/// A connection that the person is to finish in a browser.
#[derive(Clone, Debug)]
pub struct Started {
    /// With which it is completed.
    pub auth_session: AuthSession,
    /// What to open, on this machine. The ticket in it is good for this person and once.
    pub link: Url,
    /// How long there is.
    pub expires_in: Duration,
}

#[derive(Deserialize)]
struct StartedBody {
    auth_session: AuthSession,
    connect_uri: String,
    connect_params: Params,
    #[serde(default, deserialize_with = "token::lenient_seconds")]
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct Params {
    ticket: String,
}

#[derive(Deserialize)]
struct Page {
    accounts: Vec<ConnectedAccount>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Connections {
    connections: Vec<Connection>,
}

/// An error body (RFC 9457, with Auth0's list of what is wrong).
#[derive(Deserialize)]
struct Problem {
    title: String,
    detail: Option<String>,
    #[serde(default)]
    validation_errors: Vec<Flaw>,
}

#[derive(Deserialize)]
struct Flaw {
    detail: Option<String>,
}

impl<'a> Api<'a> {
    /// The API of this tenant.
    ///
    /// # Errors
    /// If the issuer is not a URL that an issuer can have.
    pub fn new(http: &'a Http, issuer: &str) -> Result<Self, Error> {
        Ok(Self { http, issuer: metadata::parse_issuer(issuer)? })
    }

    /// The person's accounts, of one connection or of all.
    ///
    /// # Errors
    /// If the API refuses or cannot be understood, or its pages have no end.
    pub async fn accounts(
        &self,
        token: &AccessToken,
        connection: Option<&str>,
    ) -> Result<Vec<ConnectedAccount>, Error> {
        const WHAT: &str = "list of connected accounts";
        let mut accounts = Vec::new();
        let mut from: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut url = self.url(&["accounts"]);
            let query = [("connection", connection), ("from", from.as_deref()), ("take", Some(PAGE))];
            url.query_pairs_mut().extend_pairs(query.iter().filter_map(|(name, value)| Some((name, (*value)?))));
            let response = self.http.send(Request::get(url).bearer(token)?).await?;
            let page: Page = read(&response, &[200], WHAT)?;
            accounts.extend(page.accounts);
            match page.next.filter(|next| !next.is_empty()) {
                None => return Ok(accounts),
                next => from = next,
            }
        }
        Err(Error::Unusable { what: WHAT, why: "its pages have no end".to_owned() })
    }

    /// The connections of which accounts may be connected.
    ///
    /// # Errors
    /// If the API refuses or cannot be understood.
    pub async fn connections(&self, token: &AccessToken) -> Result<Vec<Connection>, Error> {
        let response = self.http.send(Request::get(self.url(&["connections"])).bearer(token)?).await?;
        let body: Connections = read(&response, &[200], "list of connections")?;
        Ok(body.connections)
    }

    /// Begins to connect an account.
    ///
    /// # Errors
    /// If the API refuses or cannot be understood, or the link would lead away from the tenant.
    pub async fn connect(&self, token: &AccessToken, wanted: &Connect<'_>) -> Result<Started, Error> {
        const WHAT: &str = "answer to the begun connection";
        let mut body = json!({
            "connection": wanted.connection,
            "redirect_uri": wanted.redirect_uri,
            "state": wanted.state,
            "code_challenge": wanted.code_challenge,
            "code_challenge_method": "S256",
        });
        // An empty list is refused.
        if !wanted.scopes.is_empty() {
            body["scopes"] = json!(wanted.scopes);
        }
        let request = Request::post_json(self.url(&["connect"]), &body).bearer(token)?.secret(wanted.state);
        let body: StartedBody = read(&self.http.send(request).await?, &[201, 200], WHAT)?;
        let unusable = |why: &str| Error::Unusable { what: WHAT, why: why.to_owned() };
        let mut link = Url::parse(&body.connect_uri).map_err(|_| unusable("its connect_uri is not a URL"))?;
        if link.origin() != self.issuer.origin() || !link.username().is_empty() || link.password().is_some() {
            return Err(unusable("its connect_uri does not lead to the tenant"));
        }
        link.set_fragment(None);
        link.query_pairs_mut().append_pair("ticket", &body.connect_params.ticket);
        let expires_in = body.expires_in.filter(|seconds| *seconds > 0).unwrap_or(300).min(3600);
        Ok(Started { auth_session: body.auth_session, link, expires_in: Duration::from_secs(expires_in) })
    }

    /// Ends what [`Api::connect`] began: the account is connected.
    ///
    /// # Errors
    /// If the API refuses or cannot be understood.
    pub async fn complete(
        &self,
        token: &AccessToken,
        session: &AuthSession,
        code: &ConnectCode,
        redirect_uri: &str,
        verifier: &CodeVerifier,
    ) -> Result<ConnectedAccount, Error> {
        let body = json!({
            "auth_session": session.expose(),
            "connect_code": code.expose(),
            "redirect_uri": redirect_uri,
            "code_verifier": verifier.expose(),
        });
        let mut request = Request::post_json(self.url(&["complete"]), &body).bearer(token)?;
        for secret in [session.expose(), code.expose(), verifier.expose()] {
            request = request.secret(secret);
        }
        // The API's description says 201, its text says 200.
        read(&self.http.send(request).await?, &[201, 200], "answer to the completed connection")
    }

    /// Removes an account from the tenant. The third party is not told.
    ///
    /// # Errors
    /// If the API refuses.
    pub async fn delete(&self, token: &AccessToken, id: &str) -> Result<(), Error> {
        const WHAT: &str = "answer to the removal";
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || "_-|".contains(c)) {
            return Err(Error::Unusable { what: "list of connected accounts", why: "an id has odd characters".into() });
        }
        let request = Request::new(reqwest::Method::DELETE, self.url(&["accounts", id])).bearer(token)?;
        let response = self.http.send(request).await?;
        if matches!(response.status, 200 | 204) { Ok(()) } else { Err(refusal(&response, WHAT)) }
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.issuer.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["me", "v1", "connected-accounts"]).extend(path);
        }
        url
    }
}

fn read<T: DeserializeOwned>(response: &Response, good: &[u16], what: &'static str) -> Result<T, Error> {
    match response.json() {
        Ok(body) if good.contains(&response.status) => Ok(body),
        _ => Err(refusal(response, what)),
    }
}

/// What the API says against it; only an answer that is an error of a known shape is one.
fn refusal(response: &Response, what: &'static str) -> Error {
    if response.status < 400 {
        return Error::malformed(what, response);
    }
    let Ok(problem) = response.json::<Problem>() else { return Refusal::or_malformed(response, what) };
    let details: Vec<String> = problem
        .detail
        .into_iter()
        .chain(problem.validation_errors.into_iter().filter_map(|flaw| flaw.detail))
        .collect();
    let details = Some(details.join("; ")).filter(|text| !text.is_empty());
    Error::Refused(Refusal::of(response, &problem.title, details.as_deref()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::oauth::testing::{Script, Server, serve};

    const BASE: &str = "/me/v1/connected-accounts";

    fn token() -> AccessToken {
        AccessToken::new("at")
    }

    fn account(id: &str) -> Value {
        json!({
            "id": id, "connection": "okta", "access_type": "offline", "scopes": ["a"],
            "created_at": "2026-08-20T10:00:00.000Z",
        })
    }

    fn wanted<'a>(scopes: &'a [String]) -> Connect<'a> {
        let redirect_uri = "http://127.0.0.1:1/connected";
        Connect { connection: "okta", scopes, redirect_uri, state: "st", code_challenge: "ch" }
    }

    fn started(connect_uri: &str) -> Script {
        let body = json!({
            "auth_session": "hunter2", "connect_uri": connect_uri, "connect_params": {"ticket": "t&1"}, "expires_in": 300,
        });
        Script::json(201, body)
    }

    async fn connect(server: &Server, scopes: &[String]) -> Result<Started, Error> {
        let http = Http::default();
        Api::new(&http, &server.issuer()).unwrap().connect(&token(), &wanted(scopes)).await
    }

    #[test]
    fn its_name_follows_from_the_issuer() {
        assert_eq!(audience("https://a.example/"), "https://a.example/me/");
        assert_eq!(audience("https://a.example"), "https://a.example/me/");
    }

    #[tokio::test]
    async fn accounts_come_in_pages() {
        let (server, http) = (serve().await, Http::default());
        let api = Api::new(&http, &format!("{}/", server.issuer())).unwrap();
        let path = format!("{BASE}/accounts");
        server.answers(
            &path,
            [
                Script::json(200, json!({"accounts": [account("1"), account("2")], "next": "p2 &"})),
                Script::json(200, json!({"accounts": [account("3")], "next": ""})),
            ],
        );
        let accounts = api.accounts(&token(), Some("okta")).await.unwrap();
        assert_eq!(accounts.iter().map(|account| account.id.as_str()).collect::<Vec<_>>(), ["1", "2", "3"]);
        assert_eq!(accounts[0].created_at.unwrap().timestamp(), 1_787_220_000);
        assert_eq!((accounts[0].expires_at, accounts[0].scopes.as_slice()), (None, ["a".to_owned()].as_slice()));
        let seen = server.seen(&path);
        assert_eq!(seen[0].headers["authorization"], "Bearer at");
        assert_eq!(seen[0].query, "connection=okta&take=20");
        assert_eq!(seen[1].query, "connection=okta&from=p2+%26&take=20");

        server.answer(&path, Script::json(200, json!({"accounts": [], "next": "again"})));
        let error = api.accounts(&token(), None).await.unwrap_err();
        assert!(error.to_string().contains("have no end"), "{error}");
        assert_eq!(server.seen(&path).len(), 2 + MAX_PAGES);
    }

    #[tokio::test]
    async fn what_can_be_connected() {
        let (server, http) = (serve().await, Http::default());
        let body = json!({"connections": [{"name": "okta", "strategy": "okta", "scopes": ["a"]}, {"name": "x"}]});
        server.answer(&format!("{BASE}/connections"), Script::json(200, body));
        let connections = Api::new(&http, &server.issuer()).unwrap().connections(&token()).await.unwrap();
        assert_eq!(connections[0].strategy.as_deref(), Some("okta"));
        assert_eq!(connections[1], Connection { name: "x".to_owned(), strategy: None, scopes: Vec::new() });
    }

    #[tokio::test]
    async fn a_connection_begins_with_a_link_to_the_tenant() {
        let server = serve().await;
        let path = format!("{BASE}/connect");
        server.answer(&path, started(&format!("{}/connect?x=1#y", server.issuer())));
        let begun = connect(&server, &["a".to_owned()]).await.unwrap();
        assert_eq!(begun.link.as_str(), format!("{}/connect?x=1&ticket=t%261", server.issuer()));
        assert_eq!(begun.expires_in, Duration::from_secs(300));
        assert!(!format!("{:?}", begun.auth_session).contains("hunter2"));
        let sent = server.seen(&path).pop().unwrap().json();
        assert_eq!(
            sent,
            json!({
                "connection": "okta", "redirect_uri": "http://127.0.0.1:1/connected", "state": "st",
                "code_challenge": "ch", "code_challenge_method": "S256", "scopes": ["a"],
            })
        );
        connect(&server, &[]).await.unwrap();
        assert_eq!(server.seen(&path).pop().unwrap().json().get("scopes"), None, "an empty list is refused");
    }

    #[tokio::test]
    async fn a_link_elsewhere_is_not_shown() {
        let server = serve().await;
        let port = Url::parse(&server.issuer()).unwrap().port().unwrap();
        let user = format!("http://user@127.0.0.1:{port}/connect");
        for foreign in [
            "https://evil.example/connect",
            "http://127.0.0.1:1/connect",
            &format!("http://localhost:{port}/connect"),
            &format!("https://127.0.0.1:{port}/connect"),
            &user,
            "javascript:alert(1)",
            "/connect",
        ] {
            server.answer(&format!("{BASE}/connect"), started(foreign));
            let error = connect(&server, &[]).await.unwrap_err();
            assert!(matches!(error, Error::Unusable { .. }), "{foreign}: {error}");
            assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("evil"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_connection_is_completed_with_200_or_201() {
        let (server, http) = (serve().await, Http::default());
        let api = Api::new(&http, &server.issuer()).unwrap();
        let path = format!("{BASE}/complete");
        let (session, code, verifier) = (AuthSession::new("as"), ConnectCode::new("cc"), CodeVerifier::new("cv"));
        let complete =
            async || api.complete(&token(), &session, &code, "http://127.0.0.1:1/connected", &verifier).await;
        for status in [200, 201] {
            server.answer(&path, Script::json(status, account("cac_1")));
            assert_eq!(complete().await.unwrap().id, "cac_1");
        }
        let sent = server.seen(&path).pop().unwrap().json();
        let redirect_uri = "http://127.0.0.1:1/connected";
        let all =
            json!({"auth_session": "as", "connect_code": "cc", "redirect_uri": redirect_uri, "code_verifier": "cv"});
        assert_eq!(sent, all);
        let problem = json!({
            "type": "x", "status": 409, "title": "Conflict", "detail": "already there",
            "validation_errors": [{"detail": "scopes"}, {"field": "y"}],
        });
        server.answer(&path, Script::json(409, problem));
        let error = complete().await.unwrap_err();
        assert_eq!(error.to_string(), "the server refused: Conflict (status 409): already there; scopes");
        let refused = json!({"error": "insufficient_scope"});
        server.answer(&path, Script::json(403, refused));
        assert_eq!(complete().await.unwrap_err().code(), Some("insufficient_scope"));
        for broken in [
            Script::text(502, "<html>hunter2"),
            Script::json(200, json!({"id": 1, "x": "hunter2"})),
            Script::text(302, "").header(axum::http::header::LOCATION, "/elsewhere"),
        ] {
            server.answer(&path, broken);
            let error = complete().await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(matches!(error, Error::Malformed { .. }) && !text.contains("hunter2"), "{text}");
        }
        assert!(server.seen("/elsewhere").is_empty());
        server.answer(&path, Script::text(200, &"x".repeat(10 << 20)));
        let error = complete().await.unwrap_err();
        assert!(matches!(error, Error::Http(crate::http::Error::TooLarge { .. })), "{error}");
    }

    #[tokio::test]
    async fn an_account_is_removed_by_its_id_only() {
        let (server, http) = (serve().await, Http::default());
        let api = Api::new(&http, &server.issuer()).unwrap();
        let path = format!("{BASE}/accounts/cac_1");
        server.answer(&path, Script::text(204, ""));
        api.delete(&token(), "cac_1").await.unwrap();
        assert_eq!(server.seen(&path).pop().unwrap().method, "DELETE");
        for odd in ["", ".", "..", "../x", "a/b", "a?b", "a\nb"] {
            assert!(matches!(api.delete(&token(), odd).await, Err(Error::Unusable { .. })), "{odd:?}");
        }
        let gone = json!({"type": "x", "status": 404, "title": "Not Found"});
        server.answer(&path, Script::json(404, gone));
        assert_eq!(api.delete(&token(), "cac_1").await.unwrap_err().code(), Some("Not Found"));
    }
}
