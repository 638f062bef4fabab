//! The wire of OpenFGA and Auth0 FGA: may this user, and this agent, do that (HTTP API, `check` and `batch-check`).
//!
//! Every question asks for [`HIGHER_CONSISTENCY`], so that a tuple that was taken away counts at once. Only a clean
//! `"allowed": true` is a yes: protobuf leaves `false` out of its JSON, so an answer without the member is a no, and whatever
//! else comes back is an [`Error`], which nobody may read as a yes.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use url::Url;

use crate::{
    clock::SharedClock,
    http::{self, Http, Request, Response},
    json,
    secret::{AccessToken, ApiKey, ClientSecret},
};

const HIGHER_CONSISTENCY: &str = "HIGHER_CONSISTENCY";
/// For one try. The servers' own limit is 3 s.
const TIMEOUT: Duration = Duration::from_secs(4);
const TRIES: u32 = 2;
const PAUSE: Duration = Duration::from_millis(200);
/// An answer to a few questions is small.
const MAX_BYTES: usize = 64 * 1024;

/// A relation between somebody and something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TupleKey {
    /// `type:id`, up to 512 bytes.
    pub user: String,
    /// Up to 50 bytes.
    pub relation: String,
    /// `type:id`, up to 256 bytes.
    pub object: String,
}

impl TupleKey {
    fn to_json(&self) -> Value {
        json!({ "user": self.user, "relation": self.relation, "object": self.object })
    }
}

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Whether this holds.
    pub tuple_key: TupleKey,
    /// Facts that hold for this question only.
    pub contextual_tuples: Vec<TupleKey>,
    /// Values for the conditions of the model.
    pub context: Map<String, Value>,
}

impl Check {
    /// The members that `check` and one entry of `batch-check` share.
    fn members(&self) -> Map<String, Value> {
        let mut members = Map::from_iter([("tuple_key".to_owned(), self.tuple_key.to_json())]);
        if !self.contextual_tuples.is_empty() {
            let tuples: Vec<Value> = self.contextual_tuples.iter().map(TupleKey::to_json).collect();
            members.insert("contextual_tuples".to_owned(), json!({ "tuple_keys": tuples }));
        }
        if !self.context.is_empty() {
            members.insert("context".to_owned(), Value::Object(self.context.clone()));
        }
        members
    }
}

/// How agentctl proves itself to the server.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Not at all.
    None,
    /// With a fixed token.
    Token(ApiKey),
    /// As a client that gets its tokens elsewhere (RFC 6749 §4.4), as Auth0 FGA wants it.
    Client(ClientCredentials),
}

/// A client of the permission server.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: ClientSecret,
    /// The token endpoint; a bare issuer stands for its `/oauth/token`.
    pub token_issuer: Url,
    /// For which audience.
    pub audience: Option<String>,
}

/// Why nobody knows whether it is allowed. None of these is a yes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There was no answer.
    #[error("the permission server cannot be asked: {0}")]
    Http(#[from] http::Error),
    /// The server refused the question.
    #[error("the permission server refused the question: {code} (status {status}){}", message.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// The answer's status.
        status: u16,
        /// Such as `validation_error`.
        code: String,
        /// What the server says about it.
        message: Option<String>,
    },
    /// What came is no answer to the question.
    #[error("the permission server's answer cannot be understood (status {status})")]
    Malformed {
        /// The answer's status.
        status: u16,
    },
    /// There is no token for the server.
    #[error("there is no token for the permission server: {0}")]
    Token(String),
    /// An address that is none.
    #[error("the permission server's address cannot be used: {0}")]
    Url(String),
}

/// One store of one server.
#[derive(Debug)]
pub struct Fga {
    http: Http,
    clock: SharedClock,
    store: Url,
    store_id: String,
    model_id: Option<String>,
    auth: Auth,
    /// What [`Auth::Client`] got, for as long as the server takes it.
    token: tokio::sync::Mutex<Option<AccessToken>>,
    /// Whether the server knows `batch-check`, once that was seen.
    no_batch: OnceCell<()>,
}

#[derive(Deserialize)]
struct Failure {
    code: String,
    message: Option<String>,
}

impl Fga {
    /// A store at `api_url`.
    ///
    /// # Errors
    /// If the address or the id of the store is none.
    pub fn new(
        http: Http,
        clock: SharedClock,
        api_url: &str,
        store_id: &str,
        model_id: Option<&str>,
        auth: Auth,
    ) -> Result<Self, Error> {
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if let Some(id) = [Some(store_id), model_id].into_iter().flatten().find(|id| !is_id(id)) {
            return Err(Error::Url(format!("{id:?} is not an id")));
        }
        let store = format!("{}/stores/{store_id}/", api_url.trim_end_matches('/'));
        let store = Url::parse(&store).map_err(|error| Error::Url(error.to_string()))?;
        Ok(Self {
            http,
            clock,
            store,
            store_id: store_id.to_owned(),
            model_id: model_id.map(str::to_owned),
            auth,
            token: tokio::sync::Mutex::default(),
            no_batch: OnceCell::new(),
        })
    }

    /// The store's id.
    #[must_use]
    pub fn store_id(&self) -> &str {
        &self.store_id
    }

    /// The pinned authorization model; none if the store's newest counts.
    #[must_use]
    pub fn model_id(&self) -> Option<&str> {
        self.model_id.as_deref()
    }

    /// Asks, in one request where the server can. The answers come in the order of the questions.
    ///
    /// # Errors
    /// If any question has no clean answer.
    pub async fn check(&self, questions: &[Check]) -> Result<Vec<bool>, Error> {
        if questions.len() > 1 && self.no_batch.get().is_none() {
            match self.batch(questions).await {
                // Servers before OpenFGA 1.8 do not know it.
                Err(Error::Refused { status: 404, code, .. }) if code == "undefined_endpoint" => {
                    let _ = self.no_batch.set(());
                }
                other => return other,
            }
        }
        let mut answers = Vec::with_capacity(questions.len());
        for question in questions {
            answers.push(self.single(question).await?);
        }
        Ok(answers)
    }

    async fn single(&self, question: &Check) -> Result<bool, Error> {
        let response = self.post("check", question.members()).await?;
        strict(&response).as_ref().and_then(allowed).ok_or(Error::Malformed { status: response.status })
    }

    async fn batch(&self, questions: &[Check]) -> Result<Vec<bool>, Error> {
        let name = |index: usize| format!("q{index}");
        let checks: Vec<Value> = questions
            .iter()
            .enumerate()
            .map(|(index, question)| {
                let mut entry = question.members();
                entry.insert("correlation_id".to_owned(), name(index).into());
                Value::Object(entry)
            })
            .collect();
        let response = self.post("batch-check", Map::from_iter([("checks".to_owned(), checks.into())])).await?;
        let malformed = || Error::Malformed { status: response.status };
        let batch = strict(&response).filter(|batch| !names_error(batch)).ok_or_else(malformed)?;
        let answer = |index: usize| -> Result<bool, Error> {
            // A question without its answer was not answered.
            let entry = batch.get("result").and_then(|result| result.get(name(index))?.as_object());
            let entry = entry.ok_or_else(malformed)?;
            match entry.get("error") {
                None | Some(Value::Null) => allowed(entry).ok_or_else(malformed),
                Some(Value::Object(error)) => Err(entry_error(&response, error)),
                Some(_) => Err(malformed()),
            }
        };
        (0..questions.len()).map(answer).collect()
    }

    async fn post(&self, what: &str, mut body: Map<String, Value>) -> Result<Response, Error> {
        if let Some(model) = &self.model_id {
            body.insert("authorization_model_id".to_owned(), model.as_str().into());
        }
        body.insert("consistency".to_owned(), HIGHER_CONSISTENCY.into());
        let body = Value::Object(body);
        let url = self.store.join(what).map_err(|error| Error::Url(error.to_string()))?;
        let mut tries = 0;
        let mut renewed = false;
        loop {
            tries += 1;
            let mut request = Request::post_json(url.clone(), &body).timeout(TIMEOUT).max_bytes(MAX_BYTES);
            if let Some(token) = self.credential().await? {
                request = request.bearer(&token)?;
            }
            let answer = self.http.send(request).await;
            match answer {
                Ok(response) if response.status == 200 => return Ok(response),
                // A token may end before its time; once a new one is got for that.
                Ok(response) if response.status == 401 && !renewed && matches!(self.auth, Auth::Client(_)) => {
                    renewed = true;
                    tries -= 1;
                    *self.token.lock().await = None;
                }
                Ok(response) if worth_repeating(response.status) && tries < TRIES => self.clock.sleep(PAUSE).await,
                Err(error) if is_passing(&error) && tries < TRIES => self.clock.sleep(PAUSE).await,
                Ok(response) => return Err(refused(&response)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn credential(&self) -> Result<Option<AccessToken>, Error> {
        let client = match &self.auth {
            Auth::None => return Ok(None),
            Auth::Token(token) => return Ok(Some(AccessToken::new(token.expose()))),
            Auth::Client(client) => client,
        };
        let mut kept = self.token.lock().await;
        if kept.is_none() {
            *kept = Some(self.client_token(client).await?);
        }
        Ok(kept.clone())
    }

    /// A token by client credentials (RFC 6749 §4.4), as Auth0 FGA and the SDKs of OpenFGA get it.
    async fn client_token(&self, client: &ClientCredentials) -> Result<AccessToken, Error> {
        let mut endpoint = client.token_issuer.clone();
        if endpoint.path() == "/" {
            endpoint.set_path("/oauth/token");
        }
        let mut fields = vec![
            ("grant_type", "client_credentials"),
            ("client_id", client.id.as_str()),
            ("client_secret", client.secret.expose()),
        ];
        if let Some(audience) = &client.audience {
            fields.push(("audience", audience));
        }
        let request = Request::post_form(endpoint, &fields).timeout(TIMEOUT).max_bytes(MAX_BYTES);
        let response = self.http.send(request).await.map_err(|error| Error::Token(error.to_string()))?;
        #[derive(Deserialize)]
        struct Answer {
            access_token: AccessToken,
        }
        match response.json::<Answer>() {
            Ok(answer) if response.status == 200 => Ok(answer.access_token),
            _ => Err(Error::Token(format!("{} answered with status {}", shown(&client.token_issuer), response.status))),
        }
    }
}

/// The members of an answer of which there is one reading only.
fn strict(response: &Response) -> Option<Map<String, Value>> {
    match json::strict(std::str::from_utf8(&response.body).ok()?) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// Reads `allowed`. An answer that names an error beside it is none. Protobuf leaves out what is false; a member that is neither true nor false says nothing.
fn allowed(members: &Map<String, Value>) -> Option<bool> {
    match members.get("allowed") {
        _ if names_error(members) => None,
        None => Some(false),
        Some(Value::Bool(allowed)) => Some(*allowed),
        Some(_) => None,
    }
}

fn names_error(members: &Map<String, Value>) -> bool {
    members.contains_key("code") || members.get("error").is_some_and(|error| !error.is_null())
}

fn shown(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn worth_repeating(status: u16) -> bool {
    matches!(status, 409 | 422 | 429 | 500..=599)
}

fn is_passing(error: &http::Error) -> bool {
    matches!(error, http::Error::Connect { .. } | http::Error::Lost { .. } | http::Error::Timeout { .. })
}

fn refused(response: &Response) -> Error {
    match response.json::<Failure>() {
        Ok(Failure { code, message }) => said(response, &code, message.as_deref()),
        Err(_) => Error::Malformed { status: response.status },
    }
}

/// `{"input_error": "validation_error", "message": ".."}`, or `internal_error` in its place.
fn entry_error(response: &Response, error: &Map<String, Value>) -> Error {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let code = text("input_error").or_else(|| text("internal_error")).unwrap_or("error");
    said(response, code, text("message"))
}

fn said(response: &Response, code: &str, message: Option<&str>) -> Error {
    let message = message.map(|text| response.said(text));
    Error::Refused { status: response.status, code: response.said(code), message }
}

#[cfg(test)]
pub(crate) mod tests;
