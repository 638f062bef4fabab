//! A server on loopback that answers what a test tells it to, and remembers what it was asked.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderName, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use chrono::DateTime;
use serde_json::Value;
use tokio::net::TcpListener;
use url::Url;

use super::{Caller, Client, Metadata};
use crate::{
    clock::{Clock as _, ManualClock},
    http::Http,
};

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: String,
}

impl Script {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::text(status, &body.to_string()).header(CONTENT_TYPE, "application/json")
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self { status: StatusCode::from_u16(status).unwrap(), headers: Vec::new(), body: body.to_owned() }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) form: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A form field; no test sends one twice.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.form.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert!(values.next().is_none(), "{name} was sent twice");
        value
    }
}

type Handler = Box<dyn FnMut(&Seen) -> Option<Script> + Send>;

#[derive(Default)]
struct State {
    answers: HashMap<String, VecDeque<Script>>,
    handler: Option<Handler>,
    seen: Vec<Seen>,
}

pub(crate) struct Server {
    base: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Its address without a trailing slash.
    pub(crate) fn issuer(&self) -> String {
        self.base.clone()
    }

    /// From now on `path` answers this.
    pub(crate) fn answer(&self, path: &str, script: Script) {
        self.answers(path, [script]);
    }

    /// From now on `path` answers these, one after the other; the last one stays.
    pub(crate) fn answers(&self, path: &str, scripts: impl IntoIterator<Item = Script>) {
        self.state.lock().unwrap().answers.insert(path.to_owned(), scripts.into_iter().collect());
    }

    /// What this returns goes before every fixed answer.
    pub(crate) fn handle(&self, handler: impl FnMut(&Seen) -> Option<Script> + Send + 'static) {
        self.state.lock().unwrap().handler = Some(Box::new(handler));
    }

    /// Every request to `path` so far.
    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        self.state.lock().unwrap().seen.iter().filter(|seen| seen.path == path).cloned().collect()
    }
}

pub(crate) async fn serve() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let state: Arc<Mutex<State>> = Arc::default();
    let shared = state.clone();
    let router = Router::new().fallback(async move |request: Request| {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let form = url::form_urlencoded::parse(&body).into_owned().collect();
        let seen = Seen {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers,
            form,
            body: body.to_vec(),
        };
        let script = shared.lock().unwrap().next(&seen);
        shared.lock().unwrap().seen.push(seen);
        let mut response = Response::builder().status(script.status);
        for (name, value) in script.headers {
            response = response.header(name, value);
        }
        response.body(Body::from(script.body)).unwrap()
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Server { base, state }
}

impl State {
    fn next(&mut self, seen: &Seen) -> Script {
        if let Some(script) = self.handler.as_mut().and_then(|handler| handler(seen)) {
            return script;
        }
        let Some(queue) = self.answers.get_mut(&seen.path) else { return Script::text(404, "nothing here") };
        if queue.len() > 1 { queue.pop_front().unwrap() } else { queue.front().unwrap().clone() }
    }
}

/// A server with endpoints, and a public client of it.
pub(crate) struct Peer {
    pub(crate) server: Server,
    pub(crate) metadata: Metadata,
    pub(crate) client: Client,
    pub(crate) http: Http,
    pub(crate) clock: ManualClock,
}

impl Peer {
    pub(crate) async fn start() -> Self {
        let server = serve().await;
        let url = |path: &str| Url::parse(&format!("{}{path}", server.issuer())).unwrap();
        let metadata = Metadata {
            issuer: server.issuer(),
            token_endpoint: url("/token"),
            jwks_uri: url("/jwks"),
            device_authorization_endpoint: Some(url("/device")),
            backchannel_authentication_endpoint: Some(url("/ciba")),
            revocation_endpoint: Some(url("/revoke")),
            userinfo_endpoint: Some(url("/userinfo")),
            authorization_details_types_supported: Vec::new(),
            token_endpoint_auth_methods_supported: Vec::new(),
            backchannel_token_delivery_modes_supported: Vec::new(),
            subject_types_supported: Vec::new(),
        };
        let clock = ManualClock::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        Self { server, metadata, client: Client::public("cli"), http: Http::default(), clock }
    }

    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller { http: &self.http, clock: &self.clock, metadata: &self.metadata, client: &self.client }
    }

    pub(crate) fn clock_now(&self) -> i64 {
        self.clock.now().timestamp()
    }
}
