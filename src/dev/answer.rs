//! What endpoints read and say: forms, JSON, and errors in OAuth's form (RFC 6749 §5.2).

use std::collections::BTreeMap;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// An OAuth error answer.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) error: String,
    description: String,
    interval: Option<u64>,
    retry_after: Option<u64>,
    challenge: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: u16, error: &str, description: impl Into<String>) -> Self {
        Self {
            status,
            error: error.to_owned(),
            description: description.into(),
            interval: None,
            retry_after: None,
            challenge: None,
        }
    }

    pub(super) fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(400, "invalid_request", description)
    }

    /// Says how many seconds to wait, in the body too.
    pub(super) fn wait(mut self, seconds: u64) -> Self {
        self.interval = Some(seconds);
        self.retry_after(seconds)
    }

    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds a `WWW-Authenticate` header.
    pub(super) fn challenge(mut self, challenge: impl Into<String>) -> Self {
        self.challenge = Some(challenge.into());
        self
    }

    /// A refusal of a protected resource, with the challenge that goes with it (RFC 6750 §3).
    pub(super) fn bearer(status: u16, error: &str, description: &str, scope: Option<&str>) -> Self {
        let scope = scope.map(|scope| format!(", scope=\"{scope}\"")).unwrap_or_default();
        Self::new(status, error, description)
            .challenge(format!("Bearer error=\"{error}\", error_description=\"{description}\"{scope}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        body.insert("error".into(), self.error.into());
        body.insert("error_description".into(), self.description.into());
        if let Some(interval) = self.interval {
            body.insert("interval".into(), interval.into());
        }
        let mut response = json_answer(self.status, &Value::Object(body));
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = self.challenge.and_then(|challenge| challenge.parse().ok()) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// A JSON answer that no cache keeps (RFC 6749 §5.1).
pub(super) fn json_answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, Body::from(body.to_string())).into_response()
}

/// An answer or a refusal, as a response.
pub(super) fn respond(result: Result<Value, Refusal>) -> Response {
    match result {
        Ok(body) => json_answer(200, &body),
        Err(refusal) => refusal.into_response(),
    }
}

/// The parameters of a request. An empty one counts as left out (RFC 6749 §3.1).
#[derive(Clone, Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form body; refuses other content types and repeated parameters (RFC 6749 §3.2).
    pub(super) fn read(headers: &HeaderMap, body: &Bytes) -> Result<Self, Refusal> {
        if !is_form(headers) {
            return Err(Refusal::invalid_request("the body must be application/x-www-form-urlencoded"));
        }
        let form = Self::parse(body);
        for (index, (name, _)) in form.0.iter().enumerate() {
            // Only `resource` may be there twice (RFC 8707 §2).
            if name != "resource" && form.0[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(Refusal::invalid_request(format!("parameter '{name}' is there twice")));
            }
        }
        Ok(form)
    }

    /// Reads a form body or a JSON object of strings; Auth0's token endpoint takes both.
    pub(super) fn read_either(headers: &HeaderMap, body: &Bytes) -> Result<Self, Refusal> {
        Self::of_json(headers, body).map_or_else(|| Self::read(headers, body), Ok)
    }

    /// The members of a JSON object, if the body says that it is one and holds nothing but strings.
    pub(super) fn of_json(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let members: BTreeMap<String, String> =
            has_type(headers, "application/json").then(|| serde_json::from_slice(body).ok())??;
        Some(Self(members.into_iter().collect()))
    }

    /// The pairs of a form body or a query, whatever they are.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::invalid_request(format!("parameter '{name}' is missing")))
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Whether the content type says a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    has_type(headers, "application/x-www-form-urlencoded")
}

/// Whether the content type is this one, whatever its parameters.
pub(super) fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

/// Reads a JSON body; an empty one counts as `{}`. The type says which members there are: others are an error.
pub(super) fn json_body<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    let bytes: &[u8] = if body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { body };
    serde_json::from_slice(bytes).map_err(|error| Refusal::invalid_request(format!("the body does not fit: {error}")))
}

/// The Bearer token of a request (RFC 6750 §2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The answer to a request without a token (RFC 6750 §3.1: no error code then).
pub(super) fn no_token() -> Response {
    let mut response =
        json_answer(401, &json!({"error": "unauthorized", "error_description": "a Bearer token is needed"}));
    response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_strictly() {
        let mut headers = HeaderMap::new();
        let body = Bytes::from_static(b"a=1&b=&resource=x&resource=y");
        assert!(Form::read(&headers, &body).is_err());
        headers.insert(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8".parse().unwrap());
        let form = Form::read(&headers, &body).unwrap();
        assert_eq!(form.get("a"), Some("1"));
        assert_eq!(form.get("b"), None);
        assert!(Form::read(&headers, &Bytes::from_static(b"a=1&a=1")).is_err());
    }
}
