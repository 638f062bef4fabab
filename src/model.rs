//! Chat completions of any OpenAI-compatible server, over async-openai.
//!
//! The crate builds and sends the request and takes the event stream apart. The types of what comes back are our own and
//! lenient, because servers that are compatible in name differ in every member, and a strict type would lose the piece of
//! text that stands beside it. The HTTP step is ours too (`middleware`), so that a status is never lost and every retry is
//! announced.

use std::{collections::BTreeMap, io, time::Duration};

use async_openai::{Client, config::OpenAIConfig, error::OpenAIError, middleware::HttpRequestFactory};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::{
    call::ToolCall,
    clock::SharedClock,
    event::{Event, Tell},
    http::Http,
    secret::ApiKey,
};

/// Seconds without a single byte after which a stream counts as broken.
const SILENCE: Duration = Duration::from_secs(120);
/// How often a request is sent at most, as long as nothing of the answer has arrived.
const TRIES: u32 = 3;
/// The longest `Retry-After` that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// More than any answer weighs, decompressed: one without an end must not fill the memory.
const MAX_BYTES: usize = 16 << 20;

/// Why the model did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base URL is none, or may not be used.
    #[error("the model's address cannot be used: {0}")]
    Address(String),
    /// The key holds characters that no header may hold.
    #[error("the model's API key holds characters that cannot be sent")]
    Key,
    /// 401 or 403.
    #[error("the model's server did not accept the API key (HTTP {status}): {message}")]
    Unauthorized {
        /// The status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// 429 that did not end, or whose pause is too long to wait for.
    #[error("the model's server is over its limit: {message}")]
    RateLimited {
        /// What it said.
        message: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// Any other status that is no success.
    #[error("the model's server answered HTTP {status}: {message}")]
    Status {
        /// The status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// No connection.
    #[error("the model's server cannot be reached: {0}")]
    Unreachable(String),
    /// The stream ended before the answer did.
    #[error("the model's answer was cut off: {0}")]
    Cut(String),
    /// Something that is not a completion.
    #[error("the model's server sent something that is not a completion: {0}")]
    Protocol(String),
}

/// One message of a conversation, in the form that travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum Message {
    /// What the model is told about its task.
    System {
        /// The text.
        content: String,
    },
    /// What the person wrote.
    User {
        /// The text.
        content: String,
    },
    /// What the model answered.
    Assistant {
        /// The text, if there was any.
        #[serde(default)]
        content: Option<String>,
        /// The calls it asked for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<WireCall>,
    },
    /// What a tool brought.
    Tool {
        /// Which call it answers.
        tool_call_id: String,
        /// The text.
        content: String,
    },
}

/// A tool call in the form that travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WireCall {
    /// Its id.
    pub id: String,
    /// Always `function`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Name and arguments.
    pub function: WireFunction,
}

/// The inner part of a [`WireCall`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WireFunction {
    /// Which tool.
    pub name: String,
    /// Its arguments as JSON text.
    pub arguments: String,
}

impl From<&ToolCall> for WireCall {
    fn from(call: &ToolCall) -> Self {
        Self {
            id: call.id.clone(),
            kind: "function".to_owned(),
            function: WireFunction { name: call.name.clone(), arguments: call.arguments.clone() },
        }
    }
}

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

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// The text.
    pub text: String,
    /// The calls it asks for.
    pub tool_calls: Vec<ToolCall>,
    /// Whether it ended because of `max_tokens`.
    pub truncated: bool,
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
}

impl Model {
    /// Does no work yet.
    #[must_use]
    pub fn new(http: Http, options: ModelOptions, clock: SharedClock) -> Self {
        Self { http, options, clock }
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
        let client = self.client()?;
        let request = self.request(messages, tools);
        let mut tried = 0;
        let mut stream = loop {
            tried += 1;
            match client.chat().create_stream_byot::<&Value, Chunk>(&request).await {
                Ok(stream) => break stream,
                Err(error) => {
                    let (error, pause) = classify(error, tried);
                    match pause {
                        Some(pause) if tried < TRIES && pause <= PATIENCE => {
                            tell(Event::ModelRetry { reason: error.to_string(), wait_s: pause.as_secs_f64() });
                            self.clock.sleep(pause).await;
                        }
                        _ => return Err(error),
                    }
                }
            }
        };
        let mut answer = Assembly::default();
        // One timer for the whole stream, set again only when it fires: a timer for each piece costs more than the piece.
        let mut last = self.clock.elapsed();
        let mut alarm = self.clock.sleep(SILENCE);
        loop {
            let next = tokio::select! {
                biased;
                next = stream.next() => next,
                () = &mut alarm => {
                    let silent = self.clock.elapsed().saturating_sub(last);
                    if silent >= SILENCE {
                        return Err(Error::Cut(format!("nothing came for {} s", SILENCE.as_secs())));
                    }
                    alarm = self.clock.sleep(SILENCE - silent);
                    continue;
                }
            };
            last = self.clock.elapsed();
            match next {
                Some(Ok(chunk)) => answer.add(chunk, tell)?,
                Some(Err(error)) => return Err(stream_error(error)),
                None => return answer.finish(),
            }
        }
    }

    fn client(&self) -> Result<Client<OpenAIConfig>, Error> {
        let base = self.options.base_url.trim_end_matches('/');
        let url = Url::parse(base).map_err(|error| Error::Address(error.to_string()))?;
        let http = self.http.client(&url).map_err(|error| Error::Address(error.to_string()))?.clone();
        let key = self.options.api_key.as_ref().map_or("", ApiKey::expose);
        if key.chars().any(|c| !c.is_ascii_graphic()) {
            return Err(Error::Key);
        }
        // Every member is set: what is left out would be read from the environment.
        let config = OpenAIConfig::new().with_api_base(base).with_api_key(key).with_org_id("").with_project_id("");
        let service = tower::service_fn(move |factory: HttpRequestFactory| {
            let http = http.clone();
            async move { send(&http, factory).await }
        });
        let client = self.http.client(&url).map_err(|error| Error::Address(error.to_string()))?.clone();
        Ok(Client::build(client, config).with_http_service(service))
    }

    fn request(&self, messages: &[Message], tools: &[ToolDefinition]) -> Value {
        let mut request = json!({
            "model": self.options.name,
            "messages": messages,
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        // OpenAI's own newer models know only the second name, most other servers only the first.
        let limit =
            if self.options.base_url.contains("api.openai.com") { "max_completion_tokens" } else { "max_tokens" };
        request[limit] = json!(self.options.max_tokens);
        if !tools.is_empty() {
            request["tools"] = tools
                .iter()
                .map(|tool| {
                    json!({ "type": "function", "function": {
                        "name": tool.name, "description": tool.description, "parameters": tool.parameters } })
                })
                .collect();
        }
        request
    }
}

/// A status that is no success, before the crate can lose it.
#[derive(Debug, thiserror::Error)]
#[error("HTTP {status}")]
struct Refused {
    status: u16,
    message: String,
    retry_after: Option<Duration>,
}

async fn send(http: &reqwest::Client, factory: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
    let response = http.execute(factory.build().await?).await?;
    let status = response.status();
    let content_type = response
        .headers()
        .get(reqwest::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    if !status.is_success() {
        let retry_after = response
            .headers()
            .get(reqwest::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let body = read_some(response).await;
        let refused = Refused { status: status.as_u16(), message: said(&body, &content_type), retry_after };
        return Err(OpenAIError::Boxed(Box::new(refused)));
    }
    let response = limited(response, MAX_BYTES);
    if content_type.starts_with("application/json") {
        // A server that does not stream sends one object; as the only event of a stream it goes the same way.
        let body = response.bytes().await?;
        let mut event = b"data: ".to_vec();
        event.extend(body.iter().map(|byte| if *byte == b'\n' || *byte == b'\r' { b' ' } else { *byte }));
        event.extend(b"\n\ndata: [DONE]\n\n");
        return Ok(reqwest::Response::from(::http::Response::new(event)));
    }
    if content_type.starts_with("text/html") {
        let refused = Refused { status: 502, message: "a web page, not a completion".to_owned(), retry_after: None };
        return Err(OpenAIError::Boxed(Box::new(refused)));
    }
    Ok(response)
}

/// The same answer, cut off with an error where it becomes too long.
fn limited(response: reqwest::Response, limit: usize) -> reqwest::Response {
    let mut left = limit;
    let pieces = response.bytes_stream().map(move |piece| {
        let piece = piece.map_err(io::Error::other)?;
        left = left.checked_sub(piece.len()).ok_or_else(|| io::Error::other("the answer is too long"))?;
        Ok::<_, io::Error>(piece)
    });
    reqwest::Response::from(::http::Response::new(reqwest::Body::wrap_stream(pieces)))
}

/// The first few kilobytes of an error, whatever follows.
async fn read_some(response: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        body.extend_from_slice(&piece);
        if body.len() > 8192 {
            break;
        }
    }
    body
}

/// What an error body says, in one sentence: `error.message`, `error`, `message`, `detail`, or the start of the text.
fn said(body: &[u8], content_type: &str) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let known = ["/error/message", "/error", "/message", "/detail", "/0/error/message"];
    let found = known.iter().find_map(|path| json.pointer(path)?.as_str()).map(str::to_owned);
    let text = found.unwrap_or_else(|| {
        if content_type.starts_with("text/html") {
            "a web page".to_owned()
        } else {
            String::from_utf8_lossy(body).into_owned()
        }
    });
    let short: String = text.trim().chars().take(300).collect();
    if short.is_empty() { "no explanation".to_owned() } else { short }
}

/// What an error is, and how long to wait before another try makes sense, if it does at all.
fn classify(error: OpenAIError, tried: u32) -> (Error, Option<Duration>) {
    let backoff = Duration::from_millis(500 * u64::from(tried) * u64::from(tried));
    match error {
        OpenAIError::Boxed(inner) => match inner.downcast::<Refused>() {
            Ok(refused) => {
                let Refused { status, message, retry_after } = *refused;
                let pause = Some(retry_after.unwrap_or(backoff));
                match status {
                    401 | 403 => (Error::Unauthorized { status, message }, None),
                    // A used-up quota does not come back while somebody waits.
                    429 if message.contains("quota") => (Error::RateLimited { message, retry_after }, None),
                    429 => (Error::RateLimited { message, retry_after }, pause),
                    500..=599 => (Error::Status { status, message }, pause),
                    _ => (Error::Status { status, message }, None),
                }
            }
            Err(other) => (Error::Protocol(other.to_string()), None),
        },
        OpenAIError::Reqwest(error) => {
            let why = root_cause(&error);
            if error.is_connect() || error.is_request() {
                (Error::Unreachable(why), Some(backoff))
            } else {
                (Error::Unreachable(why), None)
            }
        }
        other => (stream_error(other), None),
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Errors of the crate may hold what the server sent; only their kind is passed on.
fn stream_error(error: OpenAIError) -> Error {
    match error {
        OpenAIError::JSONDeserialize(error, _) => Error::Protocol(error.to_string()),
        OpenAIError::StreamError(_) => Error::Cut("the connection broke".to_owned()),
        OpenAIError::Reqwest(error) => Error::Cut(root_cause(&error)),
        _ => Error::Protocol("an unknown error".to_owned()),
    }
}

/// One event of a stream, or the whole answer of a server that does not stream. Nothing is required and no word is an
/// enumeration: servers differ in all of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    index: Option<u64>,
    #[serde(alias = "message")]
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Option<String>,
    tool_calls: Option<Vec<CallPiece>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CallPiece {
    index: Option<u64>,
    id: Option<String>,
    function: Option<FunctionPiece>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FunctionPiece {
    name: Option<String>,
    arguments: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// Pieces become an answer.
#[derive(Default)]
struct Assembly {
    text: String,
    calls: BTreeMap<u64, ToolCall>,
    finish_reason: Option<String>,
}

impl Assembly {
    fn add(&mut self, chunk: Chunk, tell: Tell<'_>) -> Result<(), Error> {
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(Error::Protocol(said(error.to_string().as_bytes(), "application/json")));
        }
        if let Some(usage) = chunk.usage {
            tell(Event::Usage {
                prompt_tokens: usage.prompt_tokens.unwrap_or(0),
                completion_tokens: usage.completion_tokens.unwrap_or(0),
            });
        }
        for choice in chunk.choices.into_iter().flatten().filter(|choice| choice.index.unwrap_or(0) == 0) {
            if let Some(delta) = choice.delta {
                if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
                    self.text.push_str(&text);
                    tell(Event::Text { text });
                }
                for piece in delta.tool_calls.into_iter().flatten() {
                    self.add_call(piece);
                }
            }
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.finish_reason = Some(reason);
            }
        }
        Ok(())
    }

    fn add_call(&mut self, piece: CallPiece) {
        // Without an index, a piece that brings a name or a new id begins the next call, any other continues the last.
        let index = piece.index.unwrap_or_else(|| {
            let last = self.calls.last_key_value();
            let begins = piece.function.as_ref().is_some_and(|function| function.name.is_some());
            match last {
                None => 0,
                Some((index, _)) if begins => index.saturating_add(1),
                Some((index, _)) => *index,
            }
        });
        let call = self.calls.entry(index).or_insert_with(|| ToolCall {
            id: String::new(),
            name: String::new(),
            arguments: String::new(),
        });
        if let Some(id) = piece.id.filter(|id| !id.is_empty()) {
            call.id = id;
        }
        if let Some(function) = piece.function {
            // The name comes once; servers that repeat it in every piece repeat it whole.
            if let Some(name) = function.name.filter(|name| !name.is_empty()) {
                call.name = name;
            }
            match function.arguments {
                Some(Value::String(text)) => call.arguments.push_str(&text),
                Some(Value::Null) | None => {}
                Some(value) => call.arguments.push_str(&value.to_string()),
            }
        }
    }

    /// An answer counts only if the server said that it was over: half a tool call must never look like a whole one.
    fn finish(self) -> Result<Completion, Error> {
        let Some(reason) = self.finish_reason else {
            return Err(Error::Cut("the stream ended without a finish_reason".to_owned()));
        };
        let truncated = reason == "length";
        if truncated && !self.calls.is_empty() {
            return Err(Error::Cut("max_tokens was reached in the middle of a tool call".to_owned()));
        }
        let mut tool_calls: Vec<ToolCall> = self.calls.into_values().collect();
        for at in 0..tool_calls.len() {
            let repeated = tool_calls[..at].iter().any(|earlier| earlier.id == tool_calls[at].id);
            if tool_calls[at].id.is_empty() || repeated {
                tool_calls[at].id = format!("call_{}", uuid::Uuid::new_v4().simple());
            }
        }
        Ok(Completion { text: self.text, tool_calls, truncated })
    }
}

#[cfg(test)]
mod tests;
