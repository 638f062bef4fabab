//! The client's half of OAuth 2 and OpenID Connect: names, shapes and calls of the specifications, one file each.
//!
//! [`metadata`] finds the endpoints, [`client_auth`] proves which client asks, [`device`] and [`ciba`] begin the two waits
//! for a person, [`poll`] decides how such a wait goes on and [`wait`] drives it; [`exchange`] fetches tokens of third-party
//! accounts, [`my_account`] connects them. Answers of servers are told apart by the
//! JSON member `error`, because every provider has its own idea of the status. Text from a server is carried as data;
//! whoever shows it escapes it.

pub mod ciba;
pub mod client_auth;
pub mod device;
pub mod exchange;
pub mod guardian;
pub mod id_token;
pub mod metadata;
pub mod my_account;
pub mod pkce;
pub mod poll;
pub mod provider;
pub mod rar;
pub mod revoke;
pub mod token;
pub mod userinfo;

mod through;

#[cfg(test)]
mod echo_tests;
#[cfg(test)]
pub(crate) mod testing;

use serde::Deserialize;
use url::Url;

pub use self::{
    client_auth::{AuthMethod, Client, ClientAuth},
    metadata::Metadata,
    poll::{Answer, Ending, Poll, Step},
    provider::Provider,
    token::TokenResponse,
};
use crate::{
    clock::Clock,
    event::WaitNews,
    http::{self, Http, Request, Response},
};

/// One client that talks to one authorization server: what every call needs.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The way there.
    pub http: &'a Http,
    /// For times in client assertions and in `Retry-After`.
    pub clock: &'a dyn Clock,
    /// The server.
    pub metadata: &'a Metadata,
    /// The client.
    pub client: &'a Client,
}

impl Caller<'_> {
    /// Posts a form to one of the server's endpoints, with the client's proof of identity.
    async fn post(&self, endpoint: &Url, fields: &[(&str, &str)]) -> Result<Response, Error> {
        let proof = self.client.prove(&self.metadata.issuer, self.clock.now())?;
        let proven = proof.fields.iter().map(|(name, value)| (*name, value.as_str()));
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain(proven).collect();
        let mut request = Request::post_form(endpoint.clone(), &fields);
        if let Some(value) = proof.authorization {
            request = request.header(reqwest::header::AUTHORIZATION, value);
        }
        Ok(send(self.http, request).await?)
    }
}

/// Fields of a form that are no secrets (RFC 6749, 7009, 7523, 8628, 8693, 8707 and 9396; CIBA Core). Each other one is.
const PUBLIC_FIELDS: [&str; 15] = [
    "acr_values",
    "audience",
    "authorization_details",
    "binding_message",
    "client_assertion_type",
    "client_id",
    "connection",
    "grant_type",
    "login_hint",
    "requested_expiry",
    "requested_token_type",
    "resource",
    "scope",
    "subject_token_type",
    "token_type_hint",
];

/// Sends a form, of which no secret comes back in a text of the answer.
async fn send(http: &Http, mut request: Request) -> Result<Response, http::Error> {
    let form = request.body.clone().unwrap_or_default();
    for (name, value) in url::form_urlencoded::parse(&form) {
        if !PUBLIC_FIELDS.contains(&&*name) {
            request = request.secret(&value);
        }
    }
    http.send(request).await
}

/// Waits for a person: sleeps, asks, lets [`Poll`] decide, until there is an end. `ask` makes exactly one token request; if
/// it fails with an error of its own, the wait ends with that error and can be taken up again later.
///
/// # Errors
/// Only those of `ask`.
pub async fn wait<E>(
    clock: &dyn Clock,
    mut poll: Poll,
    mut ask: impl AsyncFnMut() -> Result<Answer, E>,
    tell: &dyn Fn(WaitNews),
) -> Result<Ending, E> {
    let mut step = poll.first(clock.elapsed());
    loop {
        match step {
            Step::Ask { after, news } => {
                news.into_iter().for_each(tell);
                clock.sleep(after).await;
                let answer = ask().await?;
                step = poll.next(clock.elapsed(), answer);
            }
            Step::Expire { after } => {
                clock.sleep(after).await;
                return Ok(Ending::Expired);
            }
            Step::End(ending) => return Ok(ending),
        }
    }
}

/// A server's `error` answer (RFC 6749 §5.2). Texts are the server's own and not to be trusted, but they are short and hold
/// no secret of the request, and none of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error} (status {status}){}", description.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
pub struct Refusal {
    /// The answer's status. It decides nothing but this: an `access_denied` with 401 is about the client.
    pub status: u16,
    /// The error code.
    pub error: String,
    /// What the server says about it.
    pub description: Option<String>,
}

/// The error body with what Auth0 adds to it.
#[derive(Deserialize)]
struct ErrorBody {
    error: String,
    error_description: Option<String>,
    #[serde(default, deserialize_with = "token::lenient_seconds")]
    interval: Option<u64>,
}

impl Refusal {
    /// What this answer says about an error.
    fn of(response: &Response, error: &str, description: Option<&str>) -> Self {
        let description = description.map(|text| response.said(text));
        Self { status: response.status, error: response.said(error), description }
    }

    /// Whether this is what a server in trouble, or a limiter before it, says: then nothing was refused, whatever the code.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.status == 429 || self.status >= 500
    }

    /// Reads an `error` answer; none if the answer is not one.
    fn read(response: &Response) -> Option<(Self, Option<u64>)> {
        let body: ErrorBody = response.json().ok()?;
        Some((Self::of(response, &body.error, body.error_description.as_deref()), body.interval))
    }

    /// The answer to a request that is not a token request: a refusal if it is one, else something that makes no sense.
    fn or_malformed(response: &Response, what: &'static str) -> Error {
        match Self::read(response) {
            Some((refusal, _)) => Error::Refused(refusal),
            None => Error::malformed(what, response),
        }
    }
}

/// Why a call to the authorization server led to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No answer.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The issuer is not a URL that an issuer can have.
    #[error("{issuer:?} cannot be an issuer: {why}")]
    BadIssuer {
        /// As configured.
        issuer: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The server says it is another issuer.
    #[error("the server calls itself {found:?}, not {expected:?}")]
    OtherIssuer {
        /// As configured.
        expected: String,
        /// As answered.
        found: String,
    },
    /// The server does not offer what is needed.
    #[error("the server has no {what}")]
    Unsupported {
        /// Which endpoint.
        what: &'static str,
    },
    /// The server refused.
    #[error("the server refused: {0}")]
    Refused(Refusal),
    /// The answer cannot be understood.
    #[error("the {what} cannot be understood (status {status}, {content_type:?})")]
    Malformed {
        /// Which answer.
        what: &'static str,
        /// Its status.
        status: u16,
        /// What it said it was.
        content_type: String,
    },
    /// The answer can be understood, but not used.
    #[error("the {what} cannot be used: {why}")]
    Unusable {
        /// Which answer.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// The client's own key cannot be used.
    #[error("the client's key cannot be used: {why}")]
    Key {
        /// Why not.
        why: String,
    },
    /// The ID token does not prove what it must.
    #[error("the ID token is not acceptable: {0}")]
    IdToken(#[from] id_token::Flaw),
}

impl Error {
    fn malformed(what: &'static str, response: &Response) -> Self {
        Self::Malformed { what, status: response.status, content_type: response.said(response.content_type()) }
    }

    /// The server's error code, if it sent one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => Some(&refusal.error),
            _ => None,
        }
    }
}
