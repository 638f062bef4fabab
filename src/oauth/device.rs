//! The device authorization grant (RFC 8628): a login in whatever browser the person has at hand.

use std::time::Duration;

use oauth2::{DeviceAuthorizationUrl, Scope, StandardDeviceAuthorizationResponse};
use url::Url;

use super::{Answer, Caller, Error, through, token};
use crate::{http, secret::DeviceCode};

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
    Ok(Authorization {
        device_code: DeviceCode::new(answer.device_code().secret()),
        user_code: answer.user_code().secret().clone(),
        verification_uri: answer.verification_uri().to_string(),
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
