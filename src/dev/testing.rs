//! For the unit tests of this folder: a tenant on a clock that stands still, driven without a network.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, header},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::DateTime;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{
    APPROVAL_CLIENT, LOGIN_CLIENT, Options, Preset, Tenant, VAULT_CLIENT,
    clients::{CIBA_GRANT, DEVICE_GRANT, EXCHANGE_GRANT, VAULT_GRANT},
    start,
    world::World,
};
use crate::clock::ManualClock;

/// A tenant and everything a test needs to talk to it.
pub(super) struct Bench {
    pub(super) tenant: Tenant,
    pub(super) world: Arc<World>,
    pub(super) clock: Arc<ManualClock>,
    router: Router,
    steering: Router,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Status and OAuth error in one.
    pub(super) fn error(&self) -> (u16, String) {
        (self.status, self.json()["error"].as_str().unwrap_or_default().to_owned())
    }
}

pub(super) fn error(status: u16, error: &str) -> (u16, String) {
    (status, error.to_owned())
}

impl Bench {
    pub(super) async fn new(preset: Preset) -> Self {
        Self::with(Options { preset, ..Options::default() }).await
    }

    pub(super) async fn with(options: Options) -> Self {
        let clock = Arc::new(ManualClock::new(DateTime::from_timestamp(1_900_000_000, 0).unwrap()));
        let tenant = start(options, clock.clone()).await.unwrap();
        let world = Arc::clone(&tenant.world);
        Self { router: super::router(world.clone()), steering: super::steering(world.clone()), tenant, world, clock }
    }

    pub(super) fn wait(&self, seconds: u64) {
        self.clock.advance(std::time::Duration::from_secs(seconds));
    }

    pub(super) fn secret(&self) -> String {
        self.tenant.approval_secret.expose().to_owned()
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Reply {
        reply(&self.router, request).await
    }

    pub(super) async fn get(&self, path: &str, bearer: &str) -> Reply {
        let request = Request::get(path)
            .header(header::HOST, "127.0.0.1")
            .header(header::AUTHORIZATION, format!("Bearer {bearer}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(super) async fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Reply {
        self.form_with(path, &[], pairs).await
    }

    pub(super) async fn form_with(&self, path: &str, headers: &[(&str, &str)], pairs: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let mut request = Request::post(path)
            .header(header::HOST, "127.0.0.1")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// A call of the management port.
    pub(super) async fn manage(&self, call: &str, body: Value) -> Reply {
        let (method, path) = call.split_once(' ').unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "127.0.0.1")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.world.secrets.manage_token))
            .body(if body.is_null() { Body::empty() } else { Body::from(body.to_string()) });
        reply(&self.steering, request.unwrap()).await
    }

    /// A call of the management port without its token.
    pub(super) async fn manage_raw(&self, request: Request<Body>) -> Reply {
        reply(&self.steering, request).await
    }

    pub(super) async fn device(&self) -> Value {
        let scope = ("scope", "openid profile email offline_access");
        let reply = self.form(self.world.paths().device, &[("client_id", LOGIN_CLIENT), scope]).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()
    }

    pub(super) async fn device_poll(&self, device_code: &str) -> Reply {
        let pairs = [("grant_type", DEVICE_GRANT), ("device_code", device_code), ("client_id", LOGIN_CLIENT)];
        self.form(self.world.paths().token, &pairs).await
    }

    /// A whole login: the token response.
    pub(super) async fn login(&self) -> Value {
        let device = self.device().await;
        assert_eq!(self.manage("POST /logins/latest/approve", Value::Null).await.status, 200);
        let reply = self.device_poll(device["device_code"].as_str().unwrap()).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()
    }

    pub(super) async fn refresh(&self, token: &str, more: &[(&str, &str)]) -> Reply {
        let mut pairs = vec![("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", LOGIN_CLIENT)];
        pairs.extend(more);
        self.form(self.world.paths().token, &pairs).await
    }

    pub(super) fn basic(&self) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{APPROVAL_CLIENT}:{}", self.secret())))
    }

    /// Details of one type, in the form of the preset.
    pub(super) fn details(&self, kind: &str, arguments: &Value) -> Value {
        if self.world.preset != Preset::Auth0 {
            return json!([{
                "type": kind, "actions": ["buy_product"], "locations": [self.world.origin], "arguments": arguments,
                "digest": "sha-256:abc", "agent": "agentctl",
            }]);
        }
        let mut properties = json!({});
        let own = [("origin", &json!(self.world.origin)), ("digest", &json!("sha-256:abc"))];
        let arguments = arguments.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value));
        for (order, (name, value)) in arguments.chain(own).enumerate() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            properties[name] = json!({"display": true, "display_order": order, "name": name, "value": value});
        }
        let kind = format!("urn:auth0:schemas:authorization-details:v1:{kind}");
        json!([{"type": kind, "instruction": "Approve buy_product", "properties": properties}])
    }

    pub(super) fn vault_basic(&self) -> String {
        let secret = self.tenant.vault_secret.expose();
        format!("Basic {}", BASE64_STANDARD.encode(format!("{VAULT_CLIENT}:{secret}")))
    }

    /// A whole login of this person.
    pub(super) async fn login_as(&self, person: &str) -> Value {
        let device = self.device().await;
        assert_eq!(self.manage("POST /logins/latest/approve", json!({"person": person})).await.status, 200);
        self.device_poll(device["device_code"].as_str().unwrap()).await.json()
    }

    /// An access token of this person for the vault.
    pub(super) async fn subject(&self, person: &str) -> String {
        let login = self.login_as(person).await;
        let resource = self.world.vault_resource();
        let target: &[(&str, &str)] = match self.world.preset {
            Preset::Auth0 => &[("audience", "agentctl-vault-api")],
            Preset::Keycloak => &[],
            Preset::Oidc => &[("resource", &resource)],
        };
        let reply = self.refresh(login["refresh_token"].as_str().unwrap(), target).await;
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// The vault's client asks for a token of the directory; a test changes what it is about.
    pub(super) async fn exchange(&self, subject: &str, changes: &[(&str, Option<&str>)]) -> Reply {
        let access_token = "urn:ietf:params:oauth:token-type:access_token";
        let mut pairs = vec![("subject_token", subject), ("subject_token_type", access_token)];
        if self.world.preset == Preset::Auth0 {
            let federated = "http://auth0.com/oauth/token-type/federated-connection-access-token";
            pairs.extend([("grant_type", VAULT_GRANT), ("requested_token_type", federated), ("connection", "okta")]);
        } else {
            pairs.extend([("grant_type", EXCHANGE_GRANT), ("audience", "okta")]);
        }
        for (name, value) in changes {
            pairs.retain(|(known, _)| known != name);
            pairs.extend(value.map(|value| (*name, value)));
        }
        self.form_with(self.world.paths().token, &[("authorization", &self.vault_basic())], &pairs).await
    }

    /// A token of the directory for this person.
    pub(super) async fn federated(&self, person: &str) -> String {
        let reply = self.exchange(&self.subject(person).await, &[]).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// A call such as `PUT /okta/...` with a token, and a JSON body if there is one.
    pub(super) async fn call(&self, call: &str, bearer: &str, body: Value) -> Reply {
        let (method, path) = call.split_once(' ').unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "127.0.0.1")
            .header(header::AUTHORIZATION, format!("Bearer {bearer}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(if body.is_null() { Body::empty() } else { Body::from(body.to_string()) });
        self.send(request.unwrap()).await
    }

    /// The parameters of a good approval request; a test changes what it is about.
    pub(super) fn push(&self, changes: &[(&str, Option<&str>)]) -> Vec<(String, String)> {
        let hint = match self.world.preset {
            Preset::Auth0 => json!({"format": "iss_sub", "iss": self.world.issuer, "sub": "auth0|ada"}).to_string(),
            Preset::Keycloak | Preset::Oidc => "ada".to_owned(),
        };
        let details = self.details("purchase", &json!({"product": "phones", "qty": 2, "price_limit": 900}));
        let mut pairs = vec![
            ("scope".to_owned(), "openid product:buy".to_owned()),
            ("login_hint".to_owned(), hint),
            ("binding_message".to_owned(), "BUY-2.7F3KQ9ZT".to_owned()),
            ("authorization_details".to_owned(), details.to_string()),
        ];
        match self.world.preset {
            Preset::Auth0 => pairs.push(("audience".to_owned(), "sample-shop-api".to_owned())),
            Preset::Keycloak => {}
            Preset::Oidc => pairs.push(("resource".to_owned(), self.world.shop_resource())),
        }
        for (name, value) in changes {
            pairs.retain(|(known, _)| known != name);
            pairs.extend(value.map(|value| ((*name).to_owned(), value.to_owned())));
        }
        pairs
    }

    pub(super) async fn ask(&self, changes: &[(&str, Option<&str>)]) -> Reply {
        let pairs = self.push(changes);
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.form_with(self.world.paths().backchannel, &[("authorization", &self.basic())], &pairs).await
    }

    pub(super) async fn ciba_poll(&self, auth_req_id: &str) -> Reply {
        let resource = self.world.shop_resource();
        let mut pairs = vec![("grant_type", CIBA_GRANT), ("auth_req_id", auth_req_id)];
        if self.world.preset == Preset::Oidc {
            pairs.push(("resource", &resource));
        }
        self.form_with(self.world.paths().token, &[("authorization", &self.basic())], &pairs).await
    }

    /// A whole approval: the token response.
    pub(super) async fn approval(&self, changes: &[(&str, Option<&str>)]) -> Value {
        let asked = self.ask(changes).await;
        assert_eq!(asked.status, 200, "{}", asked.text);
        assert_eq!(self.manage("POST /approvals/latest/approve", Value::Null).await.status, 200);
        let reply = self.ciba_poll(asked.json()["auth_req_id"].as_str().unwrap()).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()
    }

    pub(super) async fn order(&self, token: &str, key: &str, body: Value) -> Reply {
        let request = Request::post("/shop/orders")
            .header(header::HOST, "127.0.0.1")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header("idempotency-key", key)
            .body(Body::from(body.to_string()));
        self.send(request.unwrap()).await
    }
}

async fn reply(router: &Router, request: Request<Body>) -> Reply {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    Reply { status: parts.status.as_u16(), headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

/// A request as a browser of the same site sends it.
pub(super) fn page(path: &str, cookie: &str) -> Request<Body> {
    Request::get(path).header(header::HOST, "127.0.0.1").header(header::COOKIE, cookie).body(Body::empty()).unwrap()
}
