//! An authorization server with an API behind it, in the process of the test. It does what is right until a row orders
//! something else, and it watches the client: what came, and whether a poll came too early.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use agentctl::clock::{Clock as _, ManualClock};
use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use axum::{Json, Router, body::to_bytes, extract::Request, http::StatusCode, response::IntoResponse as _};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The client that logs people in.
pub(super) const LOGIN: &str = "cli";
/// The client that asks for approvals, and its secret.
pub(super) const APPROVAL: &str = "approver";
pub(super) const SECRET: &str = "p%: +\u{e4}&=/";

/// A key pair of the server.
#[derive(Clone)]
pub(super) struct Key {
    private: EncodingKey,
    alg: Algorithm,
    pub(super) public: Value,
}

impl Key {
    pub(super) fn new(alg: Algorithm, kid: Option<&str>) -> Self {
        let private = if alg == Algorithm::ES256 {
            let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
            EncodingKey::from_ec_der(der.as_ref())
        } else {
            let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
                KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
            let text = STANDARD.encode(der.as_ref());
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
            EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
        };
        let mut public = serde_json::to_value(Jwk::from_encoding_key(&private, alg).unwrap()).unwrap();
        match kid {
            Some(kid) => public["kid"] = json!(kid),
            None => drop(public.as_object_mut().unwrap().remove("kid")),
        }
        Self { private, alg, public }
    }

    fn sign(&self, alg: Algorithm, claims: &Value) -> String {
        let mut header = Header::new(alg);
        header.kid = self.public["kid"].as_str().map(str::to_owned);
        jsonwebtoken::encode(&header, claims, &self.private).unwrap()
    }
}

/// How ID tokens are signed.
#[derive(Clone, Copy)]
pub(super) enum Signature {
    /// With the signer's key, as its algorithm says.
    Right,
    /// The same, and then one bit is another one.
    Broken,
    /// Not at all: `alg` is `none`.
    None,
    /// With the signer's key and another algorithm than it is published for.
    Alternate(Algorithm),
    /// HS256, with the client's secret for a key.
    Symmetric,
}

/// What the server does. The default is right in everything.
pub(super) struct Orders {
    /// Alters the issuer's configuration.
    pub(super) discovery: fn(&mut Value),
    /// The published keys, and the one that signs.
    pub(super) published: Vec<Value>,
    pub(super) signer: Key,
    pub(super) signature: Signature,
    /// Refuses the request that begins an approval, or alters its answer.
    pub(super) begin_error: Option<&'static str>,
    pub(super) begin: fn(&mut Value),
    /// Errors for the first polls, and how long the answer that follows upon them takes.
    pub(super) polls: Vec<&'static str>,
    pub(super) takes: Duration,
    /// Alters the claims of ID tokens, and the answers around them.
    pub(super) claims: fn(&mut Value),
    pub(super) answer: fn(&mut Value),
    pub(super) userinfo: Value,
    /// Whether the login client must prove itself by `client_secret_basic`.
    pub(super) basic: bool,
    /// What the API answers.
    pub(super) api: u16,
}

/// One request as it came.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) content_type: String,
    pub(super) authorization: String,
    pub(super) form: BTreeMap<String, String>,
}

impl Seen {
    pub(super) fn field(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }
}

pub(super) struct State {
    base: String,
    clock: Arc<ManualClock>,
    pub(super) orders: Orders,
    pub(super) seen: Vec<Seen>,
    /// Polls that came before their time.
    pub(super) early: u32,
    interval: Duration,
    not_before: Duration,
    /// Whether a poll can follow upon the answer that begins an approval.
    pub(super) acknowledged: bool,
    /// Where the configuration said that the keys are.
    keys_path: String,
    /// What the request that began the wait asked for.
    scope: String,
    /// Tokens are numbered; only the newest refresh token is good.
    newest: u32,
}

pub(super) struct Server {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(super) async fn start(clock: &Arc<ManualClock>, signer: Key) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let orders = Orders {
            discovery: |_| {},
            published: vec![signer.public.clone()],
            signer,
            signature: Signature::Right,
            begin_error: None,
            begin: |_| {},
            polls: Vec::new(),
            takes: Duration::ZERO,
            claims: |_| {},
            answer: |_| {},
            userinfo: json!({ "sub": "ada", "name": "Ada Lovelace" }),
            basic: false,
            api: 200,
        };
        let state = Arc::new(Mutex::new(State {
            base: url.clone(),
            clock: Arc::clone(clock),
            orders,
            seen: Vec::new(),
            early: 0,
            interval: Duration::ZERO,
            not_before: Duration::ZERO,
            acknowledged: false,
            keys_path: String::new(),
            scope: String::new(),
            newest: 0,
        }));
        let shared = Arc::clone(&state);
        let router = Router::new().fallback(async move |request: Request| {
            let (head, body) = request.into_parts();
            let body = to_bytes(body, 1 << 20).await.unwrap();
            let header = |name: &str| {
                head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
            };
            let seen = Seen {
                method: head.method.to_string(),
                path: head.uri.path().to_owned(),
                content_type: header("content-type"),
                authorization: header("authorization"),
                form: url::form_urlencoded::parse(&body).into_owned().collect(),
            };
            let mut state = shared.lock().unwrap();
            let (status, answer) = state.answer(&seen);
            state.seen.push(seen);
            (StatusCode::from_u16(status).unwrap(), Json(answer)).into_response()
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// How often `path` was asked.
    pub(super) fn count(&self, path: &str) -> usize {
        self.state().seen.iter().filter(|seen| seen.path == path).count()
    }

    /// How often the token endpoint was asked with a grant of that name.
    pub(super) fn grants(&self, name: &str) -> usize {
        self.state().seen.iter().filter(|seen| seen.field("grant_type").ends_with(name)).count()
    }
}

impl State {
    fn answer(&mut self, seen: &Seen) -> (u16, Value) {
        let refused = |error: &str| (400, json!({ "error": error }));
        match seen.path.as_str() {
            "/.well-known/openid-configuration" => {
                let url = |path: &str| format!("{}{path}", self.base);
                let mut document = json!({
                    "issuer": self.base, "token_endpoint": url("/token"), "jwks_uri": url("/keys"),
                    "device_authorization_endpoint": url("/device"), "userinfo_endpoint": url("/me"),
                    "backchannel_authentication_endpoint": url("/ciba"), "revocation_endpoint": url("/revoke"),
                });
                (self.orders.discovery)(&mut document);
                self.keys_path = document["jwks_uri"].as_str().unwrap().replace(&self.base, "");
                (200, document)
            }
            path if path == self.keys_path => (200, json!({ "keys": self.orders.published })),
            "/me" => (200, self.orders.userinfo.clone()),
            "/api" if seen.authorization.strip_prefix("Bearer ").is_none() => refused("invalid_token"),
            "/api" => (self.orders.api, json!({ "ok": true })),
            _ if !self.knows(seen) => (401, json!({ "error": "invalid_client" })),
            "/device" => {
                self.begun(seen, 5);
                (
                    200,
                    json!({
                        "device_code": "dc", "user_code": "WDJB-MJHT", "expires_in": 900, "interval": 5,
                        "verification_uri": format!("{}/activate", self.base),
                    }),
                )
            }
            "/ciba" => match self.orders.begin_error {
                Some(error) => refused(error),
                None => {
                    let mut answer = json!({ "auth_req_id": "req", "expires_in": 300, "interval": 5 });
                    (self.orders.begin)(&mut answer);
                    let interval = answer["interval"].as_u64().unwrap_or(5);
                    self.acknowledged = answer["auth_req_id"].is_string()
                        && answer["expires_in"].as_u64().is_some_and(|lifetime| interval <= lifetime);
                    self.begun(seen, interval);
                    (200, answer)
                }
            },
            "/token" => match seen.field("grant_type") {
                "refresh_token" if seen.field("refresh_token") == format!("rt-{}", self.newest) => self.tokens(seen),
                "urn:ietf:params:oauth:grant-type:device_code" if seen.field("device_code") == "dc" => self.poll(seen),
                "urn:openid:params:grant-type:ciba" if seen.field("auth_req_id") == "req" => self.poll(seen),
                _ => refused("invalid_grant"),
            },
            _ => (404, json!({})),
        }
    }

    /// Whether the client proved itself as it must.
    fn knows(&self, seen: &Seen) -> bool {
        if seen.field("client_id") == APPROVAL {
            return seen.field("client_secret") == SECRET;
        }
        if !self.orders.basic {
            return seen.field("client_id") == LOGIN;
        }
        // RFC 6749 §2.3.1: both are form-encoded before they are put together.
        let pair = seen.authorization.strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok());
        let pair = pair.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let decoded =
            |text: &str| url::form_urlencoded::parse(format!("x={text}").as_bytes()).next().unwrap().1.into_owned();
        pair.split_once(':').is_some_and(|(id, secret)| decoded(id) == LOGIN && decoded(secret) == SECRET)
    }

    fn begun(&mut self, seen: &Seen, interval: u64) {
        seen.field("scope").clone_into(&mut self.scope);
        self.interval = Duration::from_secs(interval);
        self.not_before = self.clock.elapsed() + self.interval;
    }

    /// The interval is counted from the answer, which is the stricter reading.
    fn poll(&mut self, seen: &Seen) -> (u16, Value) {
        let now = self.clock.elapsed();
        self.early += u32::from(now < self.not_before);
        if self.orders.polls.is_empty() {
            self.clock.advance(self.orders.takes);
            return self.tokens(seen);
        }
        let error = self.orders.polls.remove(0);
        if error == "slow_down" {
            self.interval += Duration::from_secs(5);
        }
        self.not_before = now + self.interval;
        (400, json!({ "error": error }))
    }

    fn tokens(&mut self, seen: &Seen) -> (u16, Value) {
        self.newest += 1;
        let client = if seen.field("client_id") == APPROVAL { APPROVAL } else { LOGIN };
        let now = self.clock.now().timestamp();
        let mut claims = json!({
            "iss": self.base, "sub": "ada", "aud": client, "iat": now, "exp": now + 300, "name": "Ada Lovelace",
        });
        (self.orders.claims)(&mut claims);
        // A refresh says itself what it is for.
        let scope = seen.form.get("scope").unwrap_or(&self.scope);
        let mut answer = json!({
            "access_token": format!("at-{}", self.newest), "refresh_token": format!("rt-{}", self.newest),
            "token_type": "Bearer", "expires_in": 3600, "scope": scope, "id_token": self.signed(&claims),
        });
        (self.orders.answer)(&mut answer);
        (200, answer)
    }

    fn signed(&self, claims: &Value) -> String {
        let Orders { signer, signature, .. } = &self.orders;
        match signature {
            Signature::Right => signer.sign(signer.alg, claims),
            Signature::Alternate(alg) => signer.sign(*alg, claims),
            Signature::Broken => {
                let token = signer.sign(signer.alg, claims);
                let (signed, signature) = token.rsplit_once('.').unwrap();
                let first = if signature.starts_with('A') { 'B' } else { 'A' };
                format!("{signed}.{first}{}", &signature[1..])
            }
            Signature::None => {
                let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
                format!("{}.{}.", part(&json!({ "alg": "none" })), part(claims))
            }
            Signature::Symmetric => {
                let key = EncodingKey::from_secret(SECRET.as_bytes());
                jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
            }
        }
    }
}
