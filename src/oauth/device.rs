//! The device authorization grant (RFC 8628): a login in whatever browser the person has at hand.

use std::time::Duration;

use oauth2::{DeviceAuthorizationUrl, Scope, StandardDeviceAuthorizationResponse};
use url::Url;

use super::{Answer, Caller, Error, through, token};
use crate::{echo::Secrets, http, secret::DeviceCode};

/// A device code of more than a day is a mistake.
pub const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Scopes; `offline_access` for a refresh token.
    pub scopes: &'a [String],
    /// For which API: the parameter's name and value (see [`super::Provider::audience_field`]).
    pub audience: Option<(&'static str, &'a str)>,
}

/// What the person needs, and what the polls need (RFC 8628 §3.2). All texts are the server's.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// Never shown.
    pub device_code: DeviceCode,
    /// What the person compares or types.
    pub user_code: String,
    /// Where to type it.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
    /// How long both codes live.
    pub expires_in: Duration,
    /// How long to wait between polls.
    pub interval: Duration,
}

impl Authorization {
    /// The page to open in a browser, if it is one that may be opened: only https, or http on this machine.
    #[must_use]
    pub fn openable(&self) -> Option<Url> {
        openable(self.verification_uri_complete.as_deref().unwrap_or(&self.verification_uri))
    }
}

/// A page's URL, if a browser may be sent there: only https, or http on this machine.
#[must_use]
pub fn openable(uri: &str) -> Option<Url> {
    Url::parse(uri).ok().filter(|url| http::check_url(url).is_ok())
}

/// Asks for a code (RFC 8628 §3.1).
///
/// # Errors
/// If the server has no such endpoint, refuses, or answers something that cannot be used.
pub async fn request(caller: &Caller<'_>, wanted: &Request<'_>) -> Result<Authorization, Error> {
    const WHAT: &str = "device authorization answer";
    let endpoint = caller.metadata.device_authorization_endpoint.clone();
    let endpoint = endpoint.ok_or(Error::Unsupported { what: "device authorization endpoint" })?;
    let client =
        through::client(caller.client).set_device_authorization_url(DeviceAuthorizationUrl::from_url(endpoint));
    let mut request = client.exchange_device_code().add_scopes(wanted.scopes.iter().cloned().map(Scope::new));
    for (name, value) in caller.client.assertion(&caller.metadata.issuer, caller.clock.now())? {
        request = request.add_extra_param(name, value);
    }
    if let Some((name, value)) = wanted.audience {
        request = request.add_extra_param(name, value);
    }
    let through = through::Through::new(caller.http);
    let answer: Result<StandardDeviceAuthorizationResponse, _> = request.request_async(&through).await;
    let answer = answer.map_err(|error| through.error(WHAT, error))?;
    if answer.user_code().secret().is_empty() || answer.device_code().secret().is_empty() {
        return Err(Error::Unusable { what: WHAT, why: "a code is empty".to_owned() });
    }
    // What is shown holds nothing that only the polls may have.
    let hidden = Secrets::new("").with(answer.device_code().secret());
    let shown = [Some(answer.user_code().secret()), answer.verification_uri_complete().map(|uri| uri.secret())];
    let uri = answer.verification_uri().to_string();
    if shown.into_iter().flatten().chain([&uri]).any(|text| hidden.stand_in(text)) {
        return Err(Error::Unusable { what: WHAT, why: "its device_code stands in what is to be shown".to_owned() });
    }
    Ok(Authorization {
        device_code: DeviceCode::new(answer.device_code().secret()),
        user_code: answer.user_code().secret().clone(),
        verification_uri: uri,
        verification_uri_complete: answer.verification_uri_complete().map(|uri| uri.secret().clone()),
        expires_in: answer.expires_in(),
        interval: answer.interval(),
    })
}

/// One poll (RFC 8628 §3.4). `resource` for the servers that want it again here.
pub async fn poll_once(caller: &Caller<'_>, code: &DeviceCode, resource: Option<&str>) -> Answer {
    let mut fields = vec![("grant_type", GRANT_TYPE), ("device_code", code.expose())];
    fields.extend(resource.map(|value| ("resource", value)));
    token::ask(caller, &fields).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oauth::testing::{Peer, Script};

    #[tokio::test]
    async fn the_request_and_its_answer() {
        let peer = Peer::start().await;
        peer.server.answer("/device", Script::json(200, json!({
            "device_code": "dc", "user_code": "WDJB-MJHT\u{1b}[0m", "verification_uri": "https://a.example/activate",
            "verification_uri_complete": "https://a.example/activate?user_code=WDJB-MJHT", "expires_in": 900,
        })));
        let scopes = ["openid".to_owned(), "offline_access".to_owned()];
        let wanted = Request { scopes: &scopes, audience: Some(("resource", "https://shop.example")) };
        let found = request(&peer.caller(), &wanted).await.unwrap();
        assert_eq!((found.expires_in.as_secs(), found.interval.as_secs()), (900, 5));
        assert_eq!(found.user_code, "WDJB-MJHT\u{1b}[0m", "carried as data");
        assert_eq!(found.openable().unwrap().query(), Some("user_code=WDJB-MJHT"));
        assert!(!format!("{found:?}").contains("dc\""));
        let seen = peer.server.seen("/device").pop().unwrap();
        assert_eq!(seen.field("client_id"), Some("cli"));
        assert_eq!(seen.field("scope"), Some("openid offline_access"));
        assert_eq!(seen.field("resource"), Some("https://shop.example"));

        peer.server.answer("/token", Script::json(200, json!({"access_token": "a"})));
        let answer = poll_once(&peer.caller(), &found.device_code, Some("https://shop.example")).await;
        assert!(matches!(answer, Answer::Tokens(_)));
        let seen = peer.server.seen("/token").pop().unwrap();
        assert_eq!(seen.field("grant_type"), Some("urn:ietf:params:oauth:grant-type:device_code"));
        assert_eq!(seen.field("device_code"), Some("dc"));
        assert_eq!(seen.field("resource"), Some("https://shop.example"));
    }

    #[tokio::test]
    async fn answers_that_cannot_be_used() {
        let mut peer = Peer::start().await;
        for (answer, expected) in [
            (
                Script::json(403, json!({"error": "unauthorized_client", "error_description": "no"})),
                "unauthorized_client",
            ),
            (Script::json(401, json!({"error": "invalid_client"})), "invalid_client (status 401)"),
            (Script::text(502, "<html>"), "status 502"),
            (Script::json(200, json!({"device_code": "hunter2"})), "status 200"),
            (
                Script::json(
                    200,
                    json!({"device_code": "d", "user_code": "", "verification_uri": "https://a.example", "expires_in": 9}),
                ),
                "a code is empty",
            ),
            (
                Script::json(
                    200,
                    json!({
                        "device_code": "hunter2-hunter2", "user_code": "A-hunter2-hunter2", "verification_uri": "https://a.example",
                        "expires_in": 9,
                    }),
                ),
                "stands in what is to be shown",
            ),
        ] {
            peer.server.answer("/device", answer);
            let error = request(&peer.caller(), &Request::default()).await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(expected) && !text.contains("hunter2"), "{text} should say {expected}");
        }
        peer.metadata.device_authorization_endpoint = None;
        let error = request(&peer.caller(), &Request::default()).await.unwrap_err();
        assert_eq!(error.to_string(), "the server has no device authorization endpoint");
    }

    #[test]
    fn what_a_browser_may_open() {
        for good in ["https://a.example/x", "http://127.0.0.1:9/activate"] {
            assert!(openable(good).is_some(), "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "http://a.example/",
            "data:text/html,x",
            "-x",
            "ssh://a.example",
        ] {
            assert!(openable(bad).is_none(), "{bad}");
        }
    }
}
