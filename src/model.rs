//! Chat completions of any OpenAI-compatible server, over async-openai.
//!
//! The crate builds the request and addresses it. The HTTP step is ours (`middleware`), and it keeps the answer: then no
//! status is lost, every retry is announced, and the stream is read as it comes. The crate's own reader gives up at a byte
//! that is not UTF-8, keeps a line without an end in memory, and passes each event through a task and a channel.
//!
//! [`sse`] takes the bytes apart, [`answer`] puts the pieces together, [`refusal`] reads what is no success.

mod answer;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod key;
mod message;
mod refusal;
mod sse;
mod whole;

use std::{
    cell::{Cell, RefCell},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_openai::{Client, config::OpenAIConfig, error::OpenAIError, middleware::HttpRequestFactory};
use bytes::Bytes;
use futures::future::Either;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};
use url::Url;

use self::{
    answer::Assembly,
    key::Key,
    refusal::{Dialect, Said},
};
pub use self::{
    answer::Completion,
    error::{Error, Received},
    message::{CutShort, Message, WireCall, WireFunction},
};
use crate::{
    clock::SharedClock,
    event::{Event, Tell},
    http::{self, Http},
    secret::ApiKey,
};

/// How long a server may read the conversation before the first byte of its answer: without a fast machine, that takes its
/// time.
const FIRST: Duration = Duration::from_secs(300);
/// How long a stream may be silent.
const SILENCE: Duration = Duration::from_secs(120);
/// How long one answer may take, whatever keeps the stream alive.
const LONGEST: Duration = Duration::from_secs(1800);
/// How often a request is sent at most, as long as nothing of the answer has arrived.
const TRIES: u32 = 3;
/// The longest `Retry-After` that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than any answer weighs, decompressed: one without an end must not fill the memory.
const MAX_BYTES: usize = 16 << 20;
/// How many pieces may be waiting, and are told together.
const BURST: usize = 256;
/// More than any explanation of an error weighs.
const MAX_ERROR: usize = 64 << 10;

/// What the model is told about a tool.
#[derive(Clone, Debug)]
pub struct ToolDefinition {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// Which model, and where.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// Such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// Its key, if it wants one.
    pub api_key: Option<ApiKey>,
    /// Which model.
    pub name: String,
    /// Tokens that one answer may have.
    pub max_tokens: u32,
}

/// A model that can be asked.
#[derive(Debug)]
pub struct Model {
    http: Http,
    options: ModelOptions,
    clock: SharedClock,
    /// What the server understands, as far as it was found out.
    dialect: Cell<Dialect>,
    /// The last answer's connection, which can be used again once the server has closed the answer.
    closing: RefCell<JoinSet<()>>,
}

/// A request that brought no answer, and whether another one may.
struct Trouble {
    error: Error,
    again: Again,
}

enum Again {
    No,
    After(Duration),
    /// At once, in other words.
    Reworded(Dialect),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self { error, again: Again::No }
    }
}

impl Model {
    /// Does no work yet.
    #[must_use]
    pub fn new(http: Http, options: ModelOptions, clock: SharedClock) -> Self {
        let dialect = Cell::new(Dialect::of(&options.base_url));
        Self { http, options, clock, dialect, closing: RefCell::default() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Asks for the next message of a conversation. Text is told as it arrives.
    ///
    /// # Errors
    /// If there is no whole answer. A request is repeated only as long as nothing of its answer has arrived.
    pub async fn complete(
        &self,
        messages: &[Message],
        tools: &[ToolDefinition],
        tell: Tell<'_>,
    ) -> Result<Completion, Error> {
        let mut tried = 0;
        loop {
            let request = self.request(messages, tools);
            let backoff = Duration::from_millis(500 * u64::from(tried + 1).pow(2));
            let Trouble { error, again } = match self.ask(&request, backoff, tell).await {
                Ok(completion) => return Ok(completion),
                Err(trouble) => trouble,
            };
            match again {
                // Each step leaves out or renames one thing, so there are few; a server that wants to go back is refused.
                Again::Reworded(dialect) if tried + 1 < TRIES => {
                    tracing::debug!(?dialect, "the server wants other words");
                    self.dialect.set(dialect);
                }
                Again::After(pause) if tried + 1 < TRIES && pause <= PATIENCE => {
                    tell(Event::ModelRetry { reason: error.to_string(), wait_s: pause.as_secs_f64() });
                    self.clock.sleep(pause).await;
                }
                _ => return Err(error),
            }
            tried += 1;
        }
    }

    /// Sends one request and reads its answer.
    async fn ask(&self, request: &Value, backoff: Duration, tell: Tell<'_>) -> Result<Completion, Trouble> {
        let begin = self.clock.elapsed();
        let response = self.within(FIRST, self.open(request)).await?.map_err(|error| match error {
            Opening::Refused(error) => error.into(),
            Opening::Failed(error) => trouble_of(error, backoff),
        })?;
        let status = response.status();
        let content_type = content_type(&response);
        if !status.is_success() {
            let retry_after = http::retry_after(response.headers(), self.clock.now());
            let to = status.is_redirection().then(|| target(&response));
            let body = self.within(SILENCE, read_some(response)).await.unwrap_or_default();
            let said = if to.is_some() {
                Said::redirect(to.flatten(), &self.key())
            } else {
                Said::read(&body, &content_type, &self.key())
            };
            let status = status.as_u16();
            let learnt = self.dialect.get().learn(status, &said);
            let (error, pause) = refusal::judge(status, said, retry_after, backoff);
            let again = learnt.map(Again::Reworded).or(pause.map(Again::After)).unwrap_or(Again::No);
            return Err(Trouble { error, again });
        }
        if content_type.starts_with("text/html") {
            return Err(Error::Protocol("a web page".to_owned()).into());
        }
        self.read(response, begin + LONGEST, backoff, tell).await
    }

    /// Reads an answer to its end. Text is told once for all that is there, so that a fast stream costs little and a slow
    /// one is not held back.
    async fn read(
        &self,
        response: reqwest::Response,
        deadline: Duration,
        backoff: Duration,
        tell: Tell<'_>,
    ) -> Result<Completion, Trouble> {
        let mut stream = Stream::start(response);
        let mut reading = Reading { answer: Assembly::new(self.key()), ..Reading::default() };
        let mut pieces = Vec::new();
        // One timer for the whole stream, set again only when it fires: a timer for each piece costs more than the piece.
        let mut last = self.clock.elapsed();
        let mut alarm = self.clock.sleep(SILENCE);
        while !reading.ended {
            tokio::select! {
                biased;
                count = stream.pieces.recv_many(&mut pieces, BURST) => if count == 0 {
                    return Err(reading.answer.cut("reading it was given up").into());
                },
                () = &mut alarm => {
                    let now = self.clock.elapsed();
                    let silent = now.saturating_sub(last);
                    if silent >= SILENCE {
                        return Err(reading.answer.cut(&format!("nothing came for {} s", SILENCE.as_secs())).into());
                    }
                    if now >= deadline {
                        return Err(reading.answer.cut(&format!("it took longer than {} s", LONGEST.as_secs())).into());
                    }
                    alarm = self.clock.sleep((SILENCE - silent).min(deadline - now));
                    continue;
                }
            }
            last = self.clock.elapsed();
            let taken = pieces.drain(..).try_for_each(|piece| reading.take(piece, backoff));
            // What came before the trouble is told all the same.
            reading.answer.tell_text(tell);
            taken?;
        }
        self.closing.replace(stream.task);
        reading.answer.tell_rest(tell);
        reading.answer.tell_usage(tell);
        Ok(reading.answer.finish()?)
    }

    /// Sends a request. The answer goes past the crate: the HTTP step keeps it and hands on an empty one.
    async fn open(&self, request: &Value) -> Result<reqwest::Response, Opening> {
        let base = self.options.base_url.trim_end_matches('/');
        let address = |why: String| Opening::Refused(Error::Address(why));
        let url = Url::parse(base).map_err(|error| address(error.to_string()))?;
        let http = self.http.client(&url).map_err(|error| address(error.to_string()))?;
        let key = self.options.api_key.as_ref().map_or("", ApiKey::expose);
        if key.chars().any(|c| !c.is_ascii_graphic()) {
            return Err(Opening::Refused(Error::Key));
        }
        // Every member is set: what is left out would be read from the environment.
        let config = OpenAIConfig::new().with_api_base(base).with_api_key(key).with_org_id("").with_project_id("");
        let kept = Arc::new(Mutex::new(None));
        let service = tower::service_fn({
            let (http, kept) = (http.clone(), Arc::clone(&kept));
            move |factory: HttpRequestFactory| {
                let (http, kept) = (http.clone(), Arc::clone(&kept));
                async move {
                    let response = http.execute(factory.build().await?).await?;
                    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
                    Ok::<_, OpenAIError>(reqwest::Response::from(::http::Response::new("null")))
                }
            }
        });
        let client = Client::build(http.clone(), config).with_http_service(service);
        client.chat().create_byot::<_, IgnoredAny>(request).await.map_err(Opening::Failed)?;
        let response = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        response.ok_or_else(|| Opening::Refused(Error::Protocol("no answer".to_owned())))
    }

    fn request(&self, messages: &[Message], tools: &[ToolDefinition]) -> Value {
        let dialect = self.dialect.get();
        let mut request = json!({ "model": self.options.name });
        if !tools.is_empty() {
            // In an order of their own, so that the beginning is the same every time and a server can keep it.
            let mut tools: Vec<&ToolDefinition> = tools.iter().collect();
            tools.sort_by(|a, b| a.name.cmp(&b.name));
            request["tools"] = tools
                .iter()
                .map(|tool| {
                    json!({ "type": "function", "function": {
                        "name": tool.name, "description": tool.description, "parameters": tool.parameters } })
                })
                .collect();
        }
        request["messages"] = json!(messages);
        request["stream"] = json!(dialect.stream);
        if dialect.stream && dialect.stream_options {
            request["stream_options"] = json!({ "include_usage": true });
        }
        request[dialect.limit()] = json!(self.options.max_tokens);
        request
    }

    /// The value of a future that comes within this time.
    async fn within<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Result<T, Error> {
        let future = std::pin::pin!(future);
        match futures::future::select(future, self.clock.sleep(limit)).await {
            Either::Left((value, _)) => Ok(value),
            Either::Right(_) => Err(Error::Unreachable(format!("it did not answer within {} s", limit.as_secs()))),
        }
    }

    fn key(&self) -> Key {
        Key::new(self.options.api_key.clone())
    }
}

/// What comes from the network: a piece, the end, or the news that the connection broke.
type Piece = reqwest::Result<Option<Bytes>>;

/// A body that a task of its own fetches. The connection is a task, too, and hands over one piece at a time; from one task to
/// the next that is cheap, while the runtime asks the system for events before it comes back to the program's own future
/// (measured: twice the time for a fast stream). Dropping it ends the task.
struct Stream {
    pieces: mpsc::Receiver<Piece>,
    task: JoinSet<()>,
}

impl Stream {
    fn start(mut response: reqwest::Response) -> Self {
        let (sender, pieces) = mpsc::channel(BURST);
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                let piece = response.chunk().await;
                let ended = !matches!(piece, Ok(Some(_)));
                if sender.send(piece).await.is_err() || ended {
                    return;
                }
            }
        });
        Self { pieces, task }
    }
}

/// An answer that is being read.
#[derive(Default)]
struct Reading {
    body: sse::Body,
    answer: Assembly,
    /// Bytes so far.
    weight: usize,
    ended: bool,
}

impl Reading {
    /// Takes what came from the network. Behind the last event it does not matter how the connection ends.
    fn take(&mut self, piece: Piece, backoff: Duration) -> Result<(), Trouble> {
        if self.ended {
            return Ok(());
        }
        let piece = match piece {
            Ok(Some(piece)) => piece,
            Ok(None) => {
                self.ended = true;
                return Ok(self.body.rest().map_or(Ok(()), |rest| self.answer.add(rest))?);
            }
            Err(error) => {
                let error = self.answer.cut(&format!("the connection broke: {}", root_cause(&error)));
                let again = if self.weight == 0 { Again::After(backoff) } else { Again::No };
                return Err(Trouble { error, again });
            }
        };
        self.weight += piece.len();
        if self.weight > MAX_BYTES || self.body.push(&piece).is_err() {
            return Err(self.answer.broken("it has no end".to_owned()).into());
        }
        while let Some(data) = self.body.next() {
            self.answer.add(data)?;
            if self.answer.is_done() {
                self.ended = true;
                break;
            }
        }
        Ok(())
    }
}

/// The words of the HTTP library for an answer that is none.
const NO_HTTP: [&str; 6] = [
    "message head is too large",
    "invalid HTTP header",
    "invalid HTTP version",
    "invalid HTTP status-code",
    "invalid content-length",
    "invalid transfer-encoding",
];

/// Why there is not even a refusal.
enum Opening {
    Refused(Error),
    Failed(OpenAIError),
}

fn trouble_of(error: OpenAIError, backoff: Duration) -> Trouble {
    match error {
        OpenAIError::Reqwest(error) => {
            let cause = root_cause(&error);
            // It would answer the same way again.
            if NO_HTTP.iter().any(|words| cause.starts_with(words)) {
                return Error::Protocol(cause).into();
            }
            let again = if error.is_builder() { Again::No } else { Again::After(backoff) };
            Trouble { error: Error::Unreachable(cause), again }
        }
        // Errors of the crate may hold what was sent.
        _ => Error::Protocol("the request could not be made".to_owned()).into(),
    }
}

/// Where an answer points.
fn target(response: &reqwest::Response) -> Option<Url> {
    response.url().join(response.headers().get(LOCATION)?.to_str().ok()?).ok()
}

fn content_type(response: &reqwest::Response) -> String {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_ascii_lowercase()
}

/// The beginning of an error, whatever follows.
async fn read_some(mut response: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > MAX_ERROR {
            break;
        }
    }
    body
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
