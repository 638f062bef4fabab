//! Client-initiated backchannel authentication (OpenID Connect CIBA Core 1.0), poll mode: asking a person who is elsewhere.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{Answer, Caller, Error, Refusal, token};
use crate::secret::AuthReqId;

/// Auth0's limit, three days; anything longer is a mistake.
pub const MAX_LIFETIME: Duration = Duration::from_secs(259_200);

const GRANT_TYPE: &str = "urn:openid:params:grant-type:ciba";
const WHAT: &str = "backchannel authentication answer";

/// What is asked (CIBA Core §7.1).
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `openid` is added if it is not among them.
    pub scopes: &'a [String],
    /// Who is asked (see [`super::Provider::login_hint`]).
    pub login_hint: &'a str,
    /// Shown on both devices.
    pub binding_message: Option<&'a str>,
    /// How long the person has, in seconds.
    pub requested_expiry: Option<u64>,
    /// For which API: the parameter's name and value (see [`super::Provider::audience_field`]).
    pub audience: Option<(&'static str, &'a str)>,
    /// What exactly is asked (RFC 9396 §2): an array.
    pub authorization_details: Option<&'a Value>,
    /// How strongly the person must prove themselves.
    pub acr_values: Option<&'a str>,
}

/// The server has begun to ask (CIBA Core §7.3).
#[derive(Clone, Debug)]
pub struct Acknowledgement {
    /// With which the answer is fetched. Never shown.
    pub auth_req_id: AuthReqId,
    /// How long the person has.
    pub expires_in: Duration,
    /// How long to wait between polls, if the server says so.
    pub interval: Option<Duration>,
}

#[derive(Deserialize)]
struct Body {
    auth_req_id: Option<AuthReqId>,
    #[serde(default, deserialize_with = "token::lenient_seconds")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "token::lenient_seconds")]
    interval: Option<u64>,
}

/// Asks. After an error with [`http::Error::may_have_arrived`](crate::http::Error::may_have_arrived) the person's device may
/// ring all the same.
///
/// # Errors
/// If the server has no such endpoint, refuses (the codes of CIBA Core §13 are in [`Error::Refused`]), or answers without
/// what is required.
pub async fn request(caller: &Caller<'_>, wanted: &Request<'_>) -> Result<Acknowledgement, Error> {
    let endpoint = caller.metadata.backchannel_authentication_endpoint.as_ref();
    let endpoint = endpoint.ok_or(Error::Unsupported { what: "backchannel authentication endpoint" })?;
    let mut scopes: Vec<&str> = wanted.scopes.iter().map(String::as_str).collect();
    if !scopes.contains(&"openid") {
        scopes.insert(0, "openid");
    }
    let scope = scopes.join(" ");
    let expiry = wanted.requested_expiry.map(|seconds| seconds.to_string());
    let details = wanted.authorization_details.map(Value::to_string);
    let mut fields = vec![("scope", scope.as_str()), ("login_hint", wanted.login_hint)];
    fields.extend(wanted.binding_message.map(|text| ("binding_message", text)));
    fields.extend(expiry.as_deref().map(|seconds| ("requested_expiry", seconds)));
    fields.extend(wanted.audience);
    fields.extend(details.as_deref().map(|json| ("authorization_details", json)));
    fields.extend(wanted.acr_values.map(|values| ("acr_values", values)));

    let response = caller.post(endpoint, &fields).await?;
    let body: Body = match response.json() {
        // One that names an error acknowledges nothing, whatever else it says.
        Ok(body) if response.status == 200 && Refusal::read(&response).is_none() => body,
        _ => return Err(Refusal::or_malformed(&response, WHAT)),
    };
    let missing = |name: &str| Error::Unusable { what: WHAT, why: format!("it has no {name}") };
    let auth_req_id = body.auth_req_id.filter(|id| !id.expose().is_empty()).ok_or_else(|| missing("auth_req_id"))?;
    let expires_in = body.expires_in.filter(|seconds| *seconds > 0).ok_or_else(|| missing("usable expires_in"))?;
    Ok(Acknowledgement {
        auth_req_id,
        expires_in: Duration::from_secs(expires_in),
        interval: body.interval.map(Duration::from_secs),
    })
}

/// One poll (CIBA Core §10.1). Never have two of them under way: a second success would take the first one's tokens away.
/// `resource` for the servers that want it again here.
pub async fn poll_once(caller: &Caller<'_>, auth_req_id: &AuthReqId, resource: Option<&str>) -> Answer {
    let mut fields = vec![("grant_type", GRANT_TYPE), ("auth_req_id", auth_req_id.expose())];
    fields.extend(resource.map(|value| ("resource", value)));
    token::ask(caller, &fields).await
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

    fn minimal() -> Request<'static> {
        Request {
            scopes: &[],
            login_hint: "ada",
            binding_message: None,
            requested_expiry: None,
            audience: None,
            authorization_details: None,
            acr_values: None,
        }
    }

    #[tokio::test]
    async fn the_request_and_its_answer() {
        let mut peer = Peer::start().await;
        peer.client.auth = ClientAuth::SecretPost(ClientSecret::new("s"));
        peer.server.answer(
            "/ciba",
            Script::json(200, json!({"auth_req_id": "req", "expires_in": 120, "interval": 2, "x": 1})),
        );
        let scopes = ["product:buy".to_owned()];
        let details = json!([{"type": "purchase"}]);
        let wanted = Request {
            scopes: &scopes,
            binding_message: Some("BUY-2"),
            requested_expiry: Some(300),
            audience: Some(("audience", "shop")),
            authorization_details: Some(&details),
            acr_values: Some("mfa"),
            ..minimal()
        };
        let found = request(&peer.caller(), &wanted).await.unwrap();
        assert_eq!((found.expires_in.as_secs(), found.interval.map(|i| i.as_secs())), (120, Some(2)));
        let seen = peer.server.seen("/ciba").pop().unwrap();
        for (name, value) in [
            ("scope", "openid product:buy"),
            ("login_hint", "ada"),
            ("binding_message", "BUY-2"),
            ("requested_expiry", "300"),
            ("audience", "shop"),
            ("authorization_details", r#"[{"type":"purchase"}]"#),
            ("acr_values", "mfa"),
            ("client_id", "cli"),
            ("client_secret", "s"),
        ] {
            assert_eq!(seen.field(name), Some(value));
        }
        assert_eq!(seen.form.len(), 9, "no second hint, no notification token, no user code");

        peer.server.answer("/token", Script::json(400, json!({"error": "authorization_pending"})));
        let answer = poll_once(&peer.caller(), &found.auth_req_id, None).await;
        assert!(matches!(answer, Answer::Refused { .. }));
        let seen = peer.server.seen("/token").pop().unwrap();
        assert_eq!(seen.field("grant_type"), Some("urn:openid:params:grant-type:ciba"));
        assert_eq!((seen.field("auth_req_id"), seen.field("client_secret")), (Some("req"), Some("s")));
    }

    #[tokio::test]
    async fn a_new_assertion_for_each_poll() {
        let mut peer = Peer::start().await;
        let made = super::super::client_auth::generate_client_key().unwrap();
        peer.client.auth = ClientAuth::PrivateKeyJwt { key: made.key, key_id: None };
        peer.server.answer("/token", Script::json(400, json!({"error": "authorization_pending"})));
        for _ in 0..2 {
            poll_once(&peer.caller(), &AuthReqId::new("req"), None).await;
        }
        let seen = peer.server.seen("/token");
        assert!(seen[0].field("client_assertion").is_some());
        assert_ne!(seen[0].field("client_assertion"), seen[1].field("client_assertion"));
    }

    #[tokio::test]
    async fn without_what_is_required_it_stops() {
        let peer = Peer::start().await;
        for (answer, expected) in [
            (json!({"expires_in": 120}), "it has no auth_req_id"),
            (json!({"auth_req_id": "", "expires_in": 120}), "it has no auth_req_id"),
            (json!({"auth_req_id": "hunter2"}), "it has no usable expires_in"),
            (json!({"auth_req_id": "hunter2", "expires_in": 0}), "it has no usable expires_in"),
            (json!({"auth_req_id": "hunter2", "expires_in": -5}), "it has no usable expires_in"),
        ] {
            peer.server.answer("/ciba", Script::json(200, answer));
            let error = request(&peer.caller(), &minimal()).await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(expected) && !text.contains("hunter2"), "{text}");
        }
        assert!(peer.server.seen("/token").is_empty());
    }

    #[tokio::test]
    async fn every_refusal_keeps_its_code() {
        let peer = Peer::start().await;
        for (status, code) in [
            (400, "invalid_request"),
            (400, "invalid_scope"),
            (400, "expired_id_token_hint"),
            (400, "unknown_user_id"),
            (400, "unauthorized_client"),
            (400, "missing_user_code"),
            (400, "invalid_binding_message"),
            (401, "invalid_client"),
            (403, "access_denied"),
            (503, "server_error"),
        ] {
            peer.server.answer("/ciba", Script::json(status, json!({"error": code, "error_description": "why"})));
            let error = request(&peer.caller(), &minimal()).await.unwrap_err();
            let Error::Refused(refusal) = error else { panic!("{error}") };
            assert_eq!(
                (refusal.status, refusal.error.as_str(), refusal.description.as_deref()),
                (status, code, Some("why"))
            );
        }
        // Also in an answer that would be an acknowledgement.
        let both = json!({"auth_req_id": "req", "expires_in": 120, "error": "access_denied"});
        peer.server.answer("/ciba", Script::json(200, both));
        let error = request(&peer.caller(), &minimal()).await.unwrap_err();
        assert_eq!(error.code(), Some("access_denied"));
        peer.server.answer("/ciba", Script::text(502, "<html>hunter2"));
        let error = request(&peer.caller(), &minimal()).await.unwrap_err();
        assert!(matches!(error, Error::Malformed { status: 502, .. }), "{error}");
    }
}
