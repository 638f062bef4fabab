//! A server that logs people in, rotates refresh tokens, forgives nothing, and takes the whole login away when an old one
//! comes twice.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::json;

use super::{DeviceLogin, Extra, Session, SessionParts};
use crate::{
    clock::{Clock as _, SystemClock},
    files::tests::TempDir,
    http::Http,
    oauth::{
        Client, Provider,
        testing::{Script, Seen, Server, serve},
    },
    store::{
        credentials::{Store, Unlock},
        stop::Stop,
    },
};

/// What the server knows.
pub(crate) struct Idp {
    pub(crate) signing: EncodingKey,
    pub(crate) issuer: String,
    /// Refresh tokens are numbered; only the newest is good.
    pub(crate) newest: u32,
    pub(crate) refreshes: u32,
    pub(crate) alive: bool,
    pub(crate) expires_in: i64,
    pub(crate) sub: String,
    /// What is granted, if not what is asked.
    pub(crate) scope: Option<String>,
    /// `error` answers to the next polls of a login.
    pub(crate) pending: Vec<&'static str>,
    pub(crate) revoked: Vec<String>,
    pub(crate) broken: bool,
}

impl Idp {
    pub(crate) fn answer(&mut self, seen: &Seen) -> Option<Script> {
        if self.broken && seen.path != "/.well-known/openid-configuration" {
            return Some(Script::text(502, "<html>"));
        }
        match (seen.path.as_str(), seen.field("grant_type")) {
            ("/token", Some("refresh_token")) => Some(self.refresh(seen)),
            // What an exchange is answered is the test's to say.
            ("/token", Some(grant)) if grant.contains("token-exchange") => None,
            ("/token", Some(_)) => Some(match self.pending.pop() {
                Some(error) => Script::json(400, json!({"error": error})),
                None => self.tokens(seen),
            }),
            ("/revoke", _) => {
                self.revoked.push(seen.field("token").unwrap().to_owned());
                Some(Script::text(200, ""))
            }
            _ => None,
        }
    }

    fn refresh(&mut self, seen: &Seen) -> Script {
        self.refreshes += 1;
        if !self.alive || seen.field("refresh_token") != Some(&format!("rt-{}", self.newest)) {
            self.alive = false;
            return Script::json(400, json!({"error": "invalid_grant", "error_description": "used already"}));
        }
        self.tokens(seen)
    }

    fn tokens(&mut self, seen: &Seen) -> Script {
        self.newest += 1;
        let now = clock_now();
        let claims = json!({
            "iss": self.issuer, "sub": self.sub, "aud": "cli", "iat": now, "exp": now + 600, "name": "Ada Lovelace",
        });
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("k".to_owned());
        let scope = self.scope.clone().or_else(|| seen.field("scope").map(str::to_owned));
        Script::json(
            200,
            json!({
                "access_token": format!("at-{}", self.newest), "refresh_token": format!("rt-{}", self.newest),
                "expires_in": self.expires_in, "scope": scope,
                "id_token": jsonwebtoken::encode(&header, &claims, &self.signing).unwrap(),
            }),
        )
    }
}

pub(crate) fn clock_now() -> i64 {
    SystemClock::new().now().timestamp()
}

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) idp: Arc<Mutex<Idp>>,
    pub(crate) dir: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let server = serve().await;
        let random = aws_lc_rs::rand::SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let signing = EncodingKey::from_ec_der(der.as_ref());
        let mut public = serde_json::to_value(Jwk::from_encoding_key(&signing, Algorithm::ES256).unwrap()).unwrap();
        public["kid"] = json!("k");
        let issuer = server.issuer();
        let url = |path: &str| format!("{issuer}{path}");
        server.answer(
            "/.well-known/openid-configuration",
            Script::json(
                200,
                json!({
                    "issuer": issuer, "token_endpoint": url("/token"), "jwks_uri": url("/jwks"),
                    "device_authorization_endpoint": url("/device"), "revocation_endpoint": url("/revoke"),
                }),
            ),
        );
        server.answer("/jwks", Script::json(200, json!({"keys": [public]})));
        server.answer("/device", device_answer(900));
        let idp = Arc::new(Mutex::new(Idp {
            signing,
            issuer,
            newest: 0,
            refreshes: 0,
            alive: true,
            expires_in: 3600,
            sub: "ada".to_owned(),
            scope: None,
            pending: Vec::new(),
            revoked: Vec::new(),
            broken: false,
        }));
        let shared = idp.clone();
        server.handle(move |seen| shared.lock().unwrap().answer(seen));
        let dir = TempDir::new();
        std::fs::write(dir.path("key"), [7; 32]).unwrap();
        Self { server, idp, dir }
    }

    pub(crate) fn idp(&self) -> std::sync::MutexGuard<'_, Idp> {
        self.idp.lock().unwrap()
    }

    /// How often a refresh was asked for, and whether the login is still good.
    pub(crate) fn refreshed(&self) -> (u32, bool) {
        let idp = self.idp();
        (idp.refreshes, idp.alive)
    }

    /// A session of its own, as another process would have it.
    pub(crate) fn session(&self) -> Session {
        Session::new(parts(&self.server.issuer(), &self.dir.0))
    }

    pub(crate) async fn logged_in(&self) -> Session {
        let session = self.session();
        let login = session.begin_login(&Extra::default()).await.unwrap();
        session.finish_login(quick(login), None, &|_| {}).await.unwrap();
        session
    }

    /// The access token of the login is used up.
    pub(crate) fn expire_tokens(&self) {
        let _ = std::fs::remove_dir_all(self.dir.path("tokens"));
    }
}

pub(crate) fn device_answer(expires_in: u64) -> Script {
    Script::json(
        200,
        json!({
            "device_code": "the-device-code", "user_code": "WDJB-MJHT", "verification_uri": "https://a.example/activate",
            "expires_in": expires_in, "interval": 1,
        }),
    )
}

/// The tests do not wait for the first interval.
pub(crate) fn quick(mut login: DeviceLogin) -> DeviceLogin {
    login.skip_first_wait();
    login
}

pub(crate) fn parts(issuer: &str, dir: &Path) -> SessionParts {
    SessionParts {
        http: Http::default(),
        clock: Arc::new(SystemClock::new()),
        store: Arc::new(Store::file(dir.join("store"), Unlock::KeyFile(dir.join("key")), Duration::from_secs(20))),
        provider: Provider::Oidc,
        issuer: issuer.to_owned(),
        client: Client::public("cli"),
        account: "default".to_owned(),
        audience: None,
        resource: None,
        scopes: vec!["openid".to_owned(), "offline_access".to_owned()],
        state_dir: dir.to_owned(),
        stop: Stop::open([dir.join("stop.json")]),
    }
}
