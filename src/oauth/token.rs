//! The token endpoint: its answers (RFC 6749 §5.1), the refresh (§6), and one poll for a grant that waits for a person.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oauth2::{Scope, TokenUrl, basic::BasicTokenType};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{Answer, Caller, Error, Refusal, through};
use crate::{
    echo::Secrets,
    http::Response,
    json::Read,
    secret::{AccessToken, IdToken, RefreshToken},
};

const WHAT: &str = "token answer";
/// Why tokens cannot be used whose `token_type` is unknown here (RFC 6749 §7.1).
pub(super) const OTHER_TYPE: &str = "its token_type is another than Bearer";

/// Tokens, as granted.
#[derive(Clone, Debug)]
pub struct TokenResponse {
    /// For the API.
    pub access_token: AccessToken,
    /// Seconds it lives, if the server says so.
    pub expires_in: Option<u64>,
    /// What it permits; none means "what was asked for" (RFC 6749 §5.1), an empty text means nothing.
    pub scope: Option<String>,
    /// A new refresh token replaces the old one.
    pub refresh_token: Option<RefreshToken>,
    /// Who this is about.
    pub id_token: Option<IdToken>,
    /// What exactly was granted (RFC 9396 §7).
    pub authorization_details: Option<Read>,
}

impl TokenResponse {
    /// Reads a successful answer.
    fn read(response: &Response) -> Result<Self, Error> {
        let wire: Wire = response.json().map_err(|_| Error::malformed(WHAT, response))?;
        wire.granted()
    }

    /// The granted scopes; none if the server did not say.
    #[must_use]
    pub fn scopes(&self) -> Option<Vec<&str>> {
        self.scope.as_deref().map(|scope| scope.split_ascii_whitespace().collect())
    }
}

/// What a refresh asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refresh<'a> {
    /// A subset of the granted scopes; empty for all of them.
    pub scopes: &'a [String],
    /// For which API: the parameter's name and value (see [`super::Provider::audience_field`]).
    pub audience: Option<(&'static str, &'a str)>,
}

/// Exchanges a refresh token for an access token, and perhaps a new refresh token (RFC 6749 §6).
///
/// # Errors
/// If the server refuses or cannot be understood. With [`http::Error::may_have_arrived`](crate::http::Error) the refresh
/// token may have been used up.
pub async fn refresh(caller: &Caller<'_>, token: &RefreshToken, wanted: &Refresh<'_>) -> Result<TokenResponse, Error> {
    let endpoint = TokenUrl::from_url(caller.metadata.token_endpoint.clone());
    let client = through::client(caller.client).set_token_uri(endpoint);
    let token = oauth2::RefreshToken::new(token.expose().to_owned());
    let mut request = client.exchange_refresh_token(&token).add_scopes(wanted.scopes.iter().cloned().map(Scope::new));
    for (name, value) in caller.client.assertion(&caller.metadata.issuer, caller.clock.now())? {
        request = request.add_extra_param(name, value);
    }
    if let Some((name, value)) = wanted.audience {
        request = request.add_extra_param(name, value);
    }
    let through = through::Through::new(caller.http);
    let answer = request.request_async(&through).await;
    answer.map_err(|error| through.error(WHAT, error))?.granted()
}

/// The token's own id (RFC 7519 §4.1.7), if it is a JWT that has one. For the log: it is looked at, not verified.
#[must_use]
pub fn jti_of(token: &AccessToken) -> Option<String> {
    let payload = token.expose().split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    claims["jti"].as_str().map(|jti| jti.chars().take(256).collect())
}

/// One token request for a grant that a person decides about. Whatever comes back is an [`Answer`], also no answer at all.
pub(super) async fn ask(caller: &Caller<'_>, fields: &[(&str, &str)]) -> Answer {
    let response = match caller.post(&caller.metadata.token_endpoint, fields).await {
        Ok(response) => response,
        Err(Error::Http(error)) => return Answer::Unreachable(error),
        Err(error) => return Answer::Unusable(error),
    };
    let retry_after = response.retry_after(caller.clock.now());
    if let Some((refusal, interval)) = Refusal::read(&response) {
        return Answer::Refused { refusal, interval: interval.map(Duration::from_secs), retry_after };
    }
    if response.status != 200 || serde_json::from_slice::<serde::de::IgnoredAny>(&response.body).is_err() {
        return Answer::Garbled { status: response.status, retry_after };
    }
    match TokenResponse::read(&response) {
        Ok(tokens) => Answer::Tokens(Box::new(tokens)),
        Err(error) => Answer::Unusable(error),
    }
}

/// The answer as it travels, read with patience: a missing `token_type`, `expires_in` as text and `scope` as a list occur.
#[derive(Deserialize)]
pub(super) struct Wire {
    access_token: oauth2::AccessToken,
    #[serde(default = "bearer")]
    token_type: BasicTokenType,
    #[serde(default, deserialize_with = "lenient_seconds")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "lenient_scope")]
    scope: Option<Vec<Scope>>,
    refresh_token: Option<oauth2::RefreshToken>,
    id_token: Option<IdToken>,
    authorization_details: Option<Read>,
}

impl oauth2::TokenResponse for Wire {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &oauth2::AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&oauth2::RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        self.scope.as_ref()
    }
}

impl Wire {
    /// The tokens, if they are of a kind that can be used. Which other kind is not repeated: a garbled answer has a token there.
    fn granted(self) -> Result<TokenResponse, Error> {
        if !self.token_type.as_ref().eq_ignore_ascii_case("bearer") {
            return Err(Error::Unusable { what: WHAT, why: OTHER_TYPE.to_owned() });
        }
        let tokens = [Some(self.access_token.secret()), self.refresh_token.as_ref().map(|token| token.secret())];
        let id_token = self.id_token.as_ref().map(IdToken::expose);
        let hidden = tokens.into_iter().flatten().map(String::as_str).chain(id_token);
        let hidden = hidden.fold(Secrets::new("(a secret)"), Secrets::with);
        // What is granted is written down. A token is no scope, and no name in the details.
        let scope = |scopes: Vec<Scope>| {
            let scopes = scopes.iter().map(|scope| scope.as_str()).filter(|scope| !hidden.stand_in(scope));
            scopes.collect::<Vec<_>>().join(" ")
        };
        let scope = self.scope.map(scope);
        let details = self
            .authorization_details
            .map(|details| Read { twice: details.twice.map(|at| hidden.out_of(&at).into_owned()), ..details });
        // An empty one is none: it must not take the place of the one that is good.
        let refresh_token = self.refresh_token.filter(|token| !token.secret().is_empty());
        Ok(TokenResponse {
            access_token: AccessToken::new(self.access_token.into_secret()),
            expires_in: self.expires_in,
            scope,
            refresh_token: refresh_token.map(|token| RefreshToken::new(token.into_secret())),
            id_token: self.id_token,
            authorization_details: details,
        })
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

/// The crate's trait asks for it; nothing may ever use it.
impl Serialize for Wire {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("tokens are not written anywhere"))
    }
}

fn bearer() -> BasicTokenType {
    BasicTokenType::Bearer
}

/// Seconds as a number or as text; anything else counts as not said.
pub(super) fn lenient_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

/// A number such as `3600.0`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn whole(number: f64) -> Option<u64> {
    (0.0..9e15).contains(&number).then_some(number as u64)
}

fn lenient_scope<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Scope>>, D::Error> {
    let split = |text: String| text.split_ascii_whitespace().map(|one| Scope::new(one.to_owned())).collect::<Vec<_>>();
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(split(text))),
        Value::Array(list) => {
            let texts: Option<Vec<String>> = list.into_iter().map(|one| one.as_str().map(str::to_owned)).collect();
            texts.map(|texts| Some(split(texts.join(" ")))).ok_or_else(|| serde::de::Error::custom("a list of texts"))
        }
        _ => Err(serde::de::Error::custom("expected a text")),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::{
        oauth::testing::{Peer, Script},
        secret::ClientSecret,
    };

    #[tokio::test]
    async fn answers_are_read_with_patience() {
        let peer = Peer::start().await;
        for (body, expires_in, scope) in [
            (
                json!({"access_token": "a", "token_type": "bearer", "expires_in": 3600, "scope": "x y"}),
                Some(3600),
                Some("x y"),
            ),
            (json!({"access_token": "a"}), None, None),
            (
                json!({"access_token": "a", "token_type": "BEARER", "expires_in": "3600", "scope": ["x", "y"]}),
                Some(3600),
                Some("x y"),
            ),
            (json!({"access_token": "a", "expires_in": 3600.0, "scope": ""}), Some(3600), Some("")),
            (json!({"access_token": "a", "expires_in": null, "scope": null, "new": {}}), None, None),
            (json!({"access_token": "a", "expires_in": -1}), None, None),
        ] {
            peer.server.answer("/token", Script::json(200, body.clone()));
            let tokens = refresh(&peer.caller(), &RefreshToken::new("r"), &Refresh::default()).await.unwrap();
            assert_eq!((tokens.expires_in, tokens.scope.as_deref()), (expires_in, scope), "{body}");
        }
    }

    #[tokio::test]
    async fn details_with_two_readings_are_noticed() {
        let peer = Peer::start().await;
        let granted = async |details: &str| {
            let body = format!(r#"{{"access_token":"a","authorization_details":{details}}}"#);
            peer.server.answer("/token", Script::text(200, &body));
            match ask(&peer.caller(), &[("grant_type", "x")]).await {
                Answer::Tokens(tokens) => tokens.authorization_details,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(granted(r#"[{"qty":2}]"#).await, Some(json!([{"qty": 2}]).into()));
        assert_eq!(granted("null").await, None);
        let twice = granted(r#"[{"qty":9,"qty":2}]"#).await.unwrap();
        assert_eq!(twice.twice.as_deref(), Some("/0/qty"));
        // As a whole they can stand there only once.
        let body = r#"{"access_token":"a","authorization_details":[],"authorization_details":[]}"#;
        peer.server.answer("/token", Script::text(200, body));
        assert!(matches!(ask(&peer.caller(), &[("grant_type", "x")]).await, Answer::Unusable(_)));
    }

    #[tokio::test]
    async fn what_is_granted_holds_no_token() {
        let peer = Peer::start().await;
        let body = r#"{"access_token":"live-access-1","refresh_token":"live-refresh-1","id_token":"live-id-1",
            "scope":"x live-access-1 y=live-refresh-1 live-id-1 z","authorization_details":[{"live-access-1":1,"live-access-1":2}]}"#;
        peer.server.answer("/token", Script::text(200, body));
        let Answer::Tokens(tokens) = ask(&peer.caller(), &[("grant_type", "x")]).await else { panic!() };
        assert_eq!(tokens.scope.as_deref(), Some("x z"));
        assert_eq!(tokens.authorization_details.unwrap().twice.as_deref(), Some("/0/(a secret)"));
    }

    #[tokio::test]
    async fn a_refresh_as_it_travels() {
        let mut peer = Peer::start().await;
        peer.server
            .answer("/token", Script::json(200, json!({"access_token": "a", "refresh_token": "r2", "id_token": "i"})));
        let scopes = ["product:read".to_owned(), "x".to_owned()];
        let wanted = Refresh { scopes: &scopes, audience: Some(("audience", "sample-shop-api")) };
        let tokens = refresh(&peer.caller(), &RefreshToken::new("r1"), &wanted).await.unwrap();
        assert_eq!(tokens.refresh_token, Some(RefreshToken::new("r2")));
        let seen = peer.server.seen("/token").pop().unwrap();
        for (name, value) in [
            ("grant_type", "refresh_token"),
            ("refresh_token", "r1"),
            ("client_id", "cli"),
            ("scope", "product:read x"),
            ("audience", "sample-shop-api"),
        ] {
            assert_eq!(seen.field(name), Some(value));
        }
        assert_eq!(seen.headers["accept"], "application/json");
        assert!(!format!("{tokens:?}").contains("r2"));

        peer.client.auth = super::super::ClientAuth::SecretBasic(ClientSecret::new("s%"));
        refresh(&peer.caller(), &RefreshToken::new("r1"), &Refresh::default()).await.unwrap();
        let seen = peer.server.seen("/token").pop().unwrap();
        assert_eq!(seen.headers["authorization"], "Basic Y2xpOnMlMjU=");
        assert_eq!((seen.field("client_id"), seen.field("scope")), (None, None));

        let made = super::super::client_auth::generate_client_key().unwrap();
        peer.client.auth = super::super::ClientAuth::PrivateKeyJwt { key: made.key, key_id: Some(made.key_id) };
        refresh(&peer.caller(), &RefreshToken::new("r1"), &Refresh::default()).await.unwrap();
        let seen = peer.server.seen("/token").pop().unwrap();
        assert_eq!(seen.field("client_id"), Some("cli"));
        assert!(seen.field("client_assertion").is_some() && seen.field("client_assertion_type").is_some());
    }

    #[tokio::test]
    async fn errors_of_a_refresh_hold_no_body() {
        let peer = Peer::start().await;
        let invalid_grant = json!({"error": "invalid_grant", "error_description": "used"});
        for (answer, expected) in [
            (Script::json(403, invalid_grant), "invalid_grant (status 403): used"),
            (Script::text(502, "hunter2"), "cannot be understood (status 502"),
            (Script::text(500, ""), "cannot be understood (status 500"),
            (
                Script::json(200, json!({"access_token": 1, "refresh_token": "hunter2"})),
                "cannot be understood (status 200",
            ),
            (Script::json(200, json!({"access_token": "hunter2", "token_type": "DPoP"})), "another than Bearer"),
            (Script::json(200, json!({"access_token": "hunter2", "token_type": "hunter2"})), "another than Bearer"),
        ] {
            peer.server.answer("/token", answer);
            let error = refresh(&peer.caller(), &RefreshToken::new("r"), &Refresh::default()).await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(expected) && !text.contains("hunter2"), "{text} should say {expected}");
        }
    }

    #[tokio::test]
    async fn what_comes_back_from_a_poll() {
        let peer = Peer::start().await;
        let ask = async |script: Script| {
            peer.server.answer("/token", script);
            ask(&peer.caller(), &[("grant_type", "x")]).await
        };
        let slow = json!({"error": "slow_down", "interval": 30, "error_description": "slower"});
        let in_20_s = DateTime::from_timestamp(peer.clock_now() + 20, 0).unwrap().to_rfc2822().replace("+0000", "GMT");
        let answer = ask(Script::json(429, slow).header(RETRY_AFTER, &in_20_s)).await;
        let Answer::Refused { refusal, interval, retry_after } = answer else { panic!("{answer:?}") };
        assert_eq!((refusal.status, refusal.error.as_str()), (429, "slow_down"));
        assert_eq!((interval, retry_after), (Some(Duration::from_secs(30)), Some(Duration::from_secs(20))));

        let answer =
            ask(Script::text(429, "<html>slow</html>").header(RETRY_AFTER, "7").header(CONTENT_TYPE, "text/html"))
                .await;
        let Answer::Garbled { status: 429, retry_after } = answer else { panic!("{answer:?}") };
        assert_eq!(retry_after, Some(Duration::from_secs(7)));

        assert!(matches!(ask(Script::text(502, "<html>")).await, Answer::Garbled { status: 502, .. }));
        assert!(matches!(ask(Script::text(200, "<html>")).await, Answer::Garbled { status: 200, .. }));
        assert!(matches!(ask(Script::json(200, json!({}))).await, Answer::Unusable(Error::Malformed { .. })));
        assert!(matches!(ask(Script::json(200, json!({"access_token": "a"}))).await, Answer::Tokens(_)));
    }
}
