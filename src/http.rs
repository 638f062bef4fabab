//! One configured HTTP client: time limits, no redirects, answers of limited size, https everywhere but on loopback.
//!
//! It knows nothing of OAuth and never tries twice. What it does know is the difference that a caller with a single-use
//! credential needs: whether a request that failed may have reached the server ([`Error::may_have_arrived`]).

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::{Host, Url};

use crate::{echo::Secrets, escape, secret::AccessToken};

/// What an answer may weigh unless the request says otherwise.
pub const DEFAULT_MAX_BYTES: usize = 1 << 20;

/// Characters of a server's text that are passed on.
const LONGEST_SAID: usize = 400;

const USER_AGENT: &str = concat!("agentctl/", env!("CARGO_PKG_VERSION"));

/// How the client is built.
#[derive(Clone, Debug)]
pub struct Options {
    /// One or more certificates in PEM that are trusted besides the system's.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// For connecting, TLS included.
    pub connect_timeout: Duration,
    /// For one request from beginning to end. A server may hold a CIBA poll for 30 s (CIBA Core §10.1).
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { extra_ca_pem: None, connect_timeout: Duration::from_secs(10), timeout: Duration::from_secs(40) }
    }
}

/// The client. Cloning is cheap, and nothing is built before the first request.
#[derive(Clone, Debug)]
pub struct Http(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    /// For http on loopback: no certificates, which take their time to load, and no proxy.
    plain: OnceLock<Result<reqwest::Client, String>>,
    /// For https on loopback: no proxy.
    direct: OnceLock<Result<reqwest::Client, String>>,
    /// For everything else.
    public: OnceLock<Result<reqwest::Client, String>>,
}

impl Default for Http {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Http {
    /// A client that is built when it is first needed.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Inner { options, plain: OnceLock::new(), direct: OnceLock::new(), public: OnceLock::new() }))
    }

    /// The underlying client for `url`, for callers that stream. It follows no redirects, has a limit for connecting and
    /// none for the whole request.
    ///
    /// # Errors
    /// If the URL is neither https nor loopback http, or the client cannot be built.
    pub fn client(&self, url: &Url) -> Result<&reqwest::Client, Error> {
        check_url(url)?;
        let inner = &*self.0;
        let built = match (url.scheme(), is_loopback(url)) {
            ("http", _) => inner.plain.get_or_init(|| build_plain(&inner.options)),
            (_, true) => inner.direct.get_or_init(|| build_tls(&inner.options, reqwest::ClientBuilder::no_proxy)),
            (_, false) => inner.public.get_or_init(|| build_tls(&inner.options, std::convert::identity)),
        };
        built.as_ref().map_err(|why| Error::Client { why: why.clone() })
    }

    /// Sends one request and reads its whole answer.
    ///
    /// # Errors
    /// If there is no answer, or one that exceeds the request's limit. Every status is an answer.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let origin = request.url.origin().ascii_serialization();
        let client = self.client(&request.url)?;
        let secrets = request.all_secrets();
        tracing::debug!(method = %request.method, %origin, path = request.url.path(), "request");
        let mut builder = client
            .request(request.method, request.url)
            .timeout(request.timeout.unwrap_or(self.0.options.timeout))
            .headers(request.headers);
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let mut answer = builder.send().await.map_err(|error| trouble(&origin, error))?;
        let status = answer.status().as_u16();
        let headers = std::mem::take(answer.headers_mut());
        let mut body = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| trouble(&origin, error))? {
            if body.len() + piece.len() > request.max_bytes {
                return Err(Error::TooLarge { origin, limit: request.max_bytes });
            }
            body.extend_from_slice(&piece);
        }
        tracing::debug!(status, bytes = body.len(), %origin, "answer");
        Ok(Response { status, headers, body: body.freeze(), secrets })
    }
}

/// Whether `url` names this very machine: a loopback address or `localhost`. Names below `localhost` are not among them:
/// some systems ask the network for their addresses.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// Whether a credential may travel to `url`: https, or http on loopback.
///
/// # Errors
/// If not.
pub fn check_url(url: &Url) -> Result<(), Error> {
    match url.scheme() {
        "https" if url.has_host() => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        _ => Err(Error::InsecureUrl { origin: shown(url) }),
    }
}

/// A URL's origin as it may be shown; for URLs without one, the scheme.
fn shown(url: &Url) -> String {
    if url.has_host() { url.origin().ascii_serialization() } else { format!("{}:", url.scheme()) }
}

/// One request. Its `Debug` shows neither headers nor body.
#[derive(Clone)]
pub struct Request {
    /// GET, POST, ...
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// `Accept: application/json` unless changed: some servers turn errors into pages for anybody who takes HTML.
    pub headers: HeaderMap,
    /// What is sent.
    pub body: Option<Bytes>,
    /// For the whole request; the client's own limit if unset.
    pub timeout: Option<Duration>,
    /// What the answer may weigh, decompressed.
    pub max_bytes: usize,
    /// What the body holds that no text of the answer may bring back. What stands in `Authorization` is known besides.
    secrets: Secrets,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let secrets = Secrets::new("(a secret)");
        Self { method, url, headers, body: None, timeout: None, max_bytes: DEFAULT_MAX_BYTES, secrets }
    }

    /// A GET.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// A POST of a form.
    #[must_use]
    pub fn post_form(url: Url, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Self::new(Method::POST, url).body("application/x-www-form-urlencoded", body)
    }

    /// A POST of a JSON value.
    #[must_use]
    pub fn post_json(url: Url, value: &Value) -> Self {
        Self::new(Method::POST, url).body("application/json", value.to_string())
    }

    /// Sets the body and its type.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self.header(CONTENT_TYPE, HeaderValue::from_static(content_type))
    }

    /// Adds the credential (RFC 6750 §2.1).
    ///
    /// # Errors
    /// If the token holds a character that no header may hold.
    pub fn bearer(self, token: &AccessToken) -> Result<Self, Error> {
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
        let mut value = value.map_err(|_| Error::BadToken)?;
        value.set_sensitive(true);
        Ok(self.header(AUTHORIZATION, value))
    }

    /// Says of a value in the body that it is a secret: [`Response::said`] takes it out of what the server repeats.
    #[must_use]
    pub fn secret(mut self, value: &str) -> Self {
        self.secrets = self.secrets.with(value);
        self
    }

    /// Every secret that is sent. Of Basic authentication both forms, and the password that is in it (RFC 6749 §2.3.1).
    fn all_secrets(&self) -> Secrets {
        let value = self.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (scheme, credential) = value.split_once(' ').unwrap_or_default();
        let pair = if scheme == "Basic" { STANDARD.decode(credential).unwrap_or_default() } else { Vec::new() };
        let password = pair.iter().position(|byte| *byte == b':').map_or(&[][..], |at| &pair[at + 1..]);
        let password = url::form_urlencoded::parse(password).next().map(|(password, _)| password).unwrap_or_default();
        self.secrets.clone().with(credential).with(&password)
    }

    /// Sets one header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the limit for the whole request.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets what the answer may weigh.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = format!("{} {}{}", self.method, shown(&self.url), self.url.path());
        f.debug_tuple("Request").field(&shown).finish_non_exhaustive()
    }
}

/// One answer, whole. Its `Debug` shows the status and the weight only.
#[derive(Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
    /// What its request held that must not be repeated.
    pub secrets: Secrets,
}

impl Response {
    /// Reads the body as JSON, whatever the content type says.
    ///
    /// # Errors
    /// If it is not JSON, or not of this shape. The error never holds a piece of the body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::NotJson {
            status: self.status,
            content_type: self.said(self.content_type()),
            line: error.line(),
            column: error.column(),
        })
    }

    /// A text of the answer as it may be passed on: without the secrets of its request and its own, and shortened. Whatever a
    /// server says about an error goes this way.
    #[must_use]
    pub fn said(&self, text: &str) -> String {
        escape::shortened(&self.secrets.out_of_said(text, &self.body), LONGEST_SAID).into_owned()
    }

    /// The media type without its parameters; empty if there is none.
    #[must_use]
    pub fn content_type(&self) -> &str {
        let value = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim()
    }

    /// How long the server wants to be left alone.
    #[must_use]
    pub fn retry_after(&self, now: DateTime<Utc>) -> Option<Duration> {
        retry_after(&self.headers, now)
    }
}

/// How long a server wants to be left alone, in seconds or as a date (RFC 9110 §10.2.3).
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(value).ok()?.to_utc();
    Some((at - now).to_std().unwrap_or_default())
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why there is no answer, or none that can be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// http to another machine, or no web address at all.
    #[error("refused to talk to {origin}: only https, or http on this machine, is allowed")]
    InsecureUrl {
        /// Where the request would have gone.
        origin: String,
    },
    /// The client itself cannot be built, or the request was malformed.
    #[error("could not prepare the request: {why}")]
    Client {
        /// Why.
        why: String,
    },
    /// A token with a character that no header may hold.
    #[error("the token holds a character that no header may hold")]
    BadToken,
    /// No connection: nothing was sent.
    #[error("could not connect to {origin}: {why}")]
    Connect {
        /// Where to.
        origin: String,
        /// Why, in the system's words.
        why: String,
    },
    /// The other end could not prove who it is: nothing was sent.
    #[error("no trusted connection to {origin}: {why}")]
    Tls {
        /// Where to.
        origin: String,
        /// Why.
        why: String,
    },
    /// No answer in time; the request may have arrived.
    #[error("{origin} did not answer in time")]
    Timeout {
        /// Who.
        origin: String,
    },
    /// The connection broke before the answer was complete; the request may have arrived.
    #[error("the connection to {origin} broke before the answer was complete: {why}")]
    Lost {
        /// Who.
        origin: String,
        /// Why.
        why: String,
    },
    /// The answer is larger than the request allows.
    #[error("the answer of {origin} is larger than {limit} bytes")]
    TooLarge {
        /// Who.
        origin: String,
        /// The limit.
        limit: usize,
    },
    /// The answer is not JSON, or not of the expected shape.
    #[error("the answer (status {status}, {content_type:?}) is not the expected JSON, at line {line} column {column}")]
    NotJson {
        /// The answer's status.
        status: u16,
        /// What it said it was.
        content_type: String,
        /// Where reading stopped.
        line: usize,
        /// Where reading stopped.
        column: usize,
    },
}

impl Error {
    /// Whether the server may have received, and acted upon, the request.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::InsecureUrl { .. }
            | Self::Client { .. }
            | Self::BadToken
            | Self::Connect { .. }
            | Self::Tls { .. } => false,
            Self::Timeout { .. } | Self::Lost { .. } | Self::TooLarge { .. } | Self::NotJson { .. } => true,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one configured client")]
fn common(options: &Options) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        // Shorter than the 5 s after which Node's servers close an idle connection: a request that meets a closing
        // connection is lost in an unknown state, and for a single-use code that would be the end of a login.
        .pool_idle_timeout(Duration::from_secs(4))
}

fn build_plain(options: &Options) -> Result<reqwest::Client, String> {
    common(options).no_proxy().tls_certs_only([]).build().map_err(|error| reason(&error))
}

fn build_tls(
    options: &Options,
    finish: fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, String> {
    let extra = match &options.extra_ca_pem {
        Some(pem) => reqwest::Certificate::from_pem_bundle(pem).map_err(|error| reason(&error))?,
        None => Vec::new(),
    };
    if options.extra_ca_pem.is_some() && extra.is_empty() {
        return Err("the additional CA file holds no certificate".to_owned());
    }
    let system = finish(common(options)).tls_certs_merge(extra.clone()).build();
    system.or_else(|error| {
        // A slim container has no certificates at all, and then no client can be built.
        tracing::warn!(reason = reason(&error), "no usable system certificates, falling back to the built-in ones");
        let built_in = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
        let roots = built_in.iter().filter_map(|der| reqwest::Certificate::from_der(der).ok());
        finish(common(options)).tls_certs_only(roots.chain(extra)).build().map_err(|error| reason(&error))
    })
}

/// Sorts the library's errors by the one question that matters: was anything sent?
fn trouble(origin: &str, error: reqwest::Error) -> Error {
    let error = error.without_url();
    let (origin, why) = (origin.to_owned(), reason(&error));
    if error.is_builder() {
        Error::Client { why }
    } else if error.is_connect() {
        if is_tls(&error) { Error::Tls { origin, why } } else { Error::Connect { origin, why } }
    } else if error.is_timeout() {
        Error::Timeout { origin }
    } else {
        Error::Lost { origin, why }
    }
}

/// rustls reports its findings as `InvalidData`.
fn is_tls(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::InvalidData)
    })
}

/// The innermost cause in words: the outer ones only repeat that something failed.
fn reason(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}

/// An error and what caused it. `io::Error::source` skips the error it was made from, so that one is asked for.
fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    let first: &'a (dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| {
        match error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref()) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests;
