//! The dev tenant's language model: an OpenAI-compatible chat-completions endpoint that plays a script in tests and plans
//! with a handful of rules for people who try things out.
//!
//! It is as strict as the real service where a client could go wrong unnoticed: a key, a known model, tools with valid
//! names, and an answer to every tool call are insisted on.

mod directory;
mod intent;
mod planner;
mod script;
mod text;
mod vocabulary;

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::{Clock, SystemClock};

/// The only model there is.
const NAME: &str = "dev-planner";
/// A conversation may be long, but not endless.
const MAX_REQUEST: usize = 16 * 1024 * 1024;

/// The model and the script it plays, if any.
pub(super) struct Model {
    clock: SystemClock,
    state: Mutex<Playing>,
}

struct Playing {
    script: Option<script::Player>,
    /// Ids are counted from the seed, so that two runs with the same seed look alike.
    next_id: u64,
}

impl Model {
    /// A model without a script.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            clock: SystemClock::new(),
            state: Mutex::new(Playing { script: None, next_id: seed.wrapping_mul(100_000) }),
        }
    }

    /// Plays this script from its first turn; `null` puts the planner back.
    ///
    /// # Errors
    /// If the script holds what its schema does not allow; the one before stays then.
    pub(super) fn set_script(&self, script: Value) -> Result<(), String> {
        let player = if script.is_null() { None } else { Some(script::Player::new(script)?) };
        self.playing(|playing| playing.script = player);
        Ok(())
    }

    fn answer(&self, messages: &[Value], tools: &[Value]) -> Answer {
        self.playing(|playing| match &mut playing.script {
            Some(player) => player.next(messages),
            None => Answer::Reply(planner::reply(messages, tools)),
        })
    }

    fn mint(&self, prefix: &str) -> String {
        self.playing(|playing| {
            playing.next_id = playing.next_id.wrapping_add(1);
            format!("{prefix}-{:08x}", playing.next_id)
        })
    }

    fn playing<T>(&self, work: impl FnOnce(&mut Playing) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The two paths of the service that a chat client uses.
pub(super) fn router(model: Arc<Model>) -> Router {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(completions))
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .with_state(model)
}

/// What is sent back: words and calls, or an error.
enum Answer {
    Reply(Reply),
    Refused(Refusal),
}

/// An answer of the model, with the manners in which it is sent.
struct Reply {
    text: Vec<String>,
    calls: Vec<Call>,
    interleave: bool,
    finish_reason: Option<String>,
    with_ids: bool,
    with_usage: bool,
    with_done: bool,
    first_delay: Duration,
    delay: Duration,
    cut: Option<Cut>,
}

struct Call {
    id: Option<String>,
    name: String,
    arguments: Vec<String>,
}

/// How a stream ends too early.
#[derive(Clone, Copy)]
struct Cut {
    after: usize,
    how: CutKind,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CutKind {
    #[default]
    Abort,
    End,
    Error,
}

impl Reply {
    /// Words streamed one by one, and nothing else.
    fn saying(text: Vec<String>) -> Self {
        Self {
            text,
            calls: Vec::new(),
            interleave: false,
            finish_reason: Some("stop".to_owned()),
            with_ids: true,
            with_usage: true,
            with_done: true,
            first_delay: Duration::ZERO,
            delay: Duration::ZERO,
            cut: None,
        }
    }

    /// Tool calls, and nothing else.
    fn calling(calls: Vec<Call>) -> Self {
        Self { calls, finish_reason: Some("tool_calls".to_owned()), ..Self::saying(Vec::new()) }
    }
}

/// An error answer.
#[derive(Debug)]
struct Refusal {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Refusal {
    fn new(status: u16, kind: &str, code: &str, message: &str) -> Self {
        let body = json!({ "error": { "message": message, "type": kind, "param": null, "code": code } });
        Self { status, headers: Vec::new(), body: body.to_string() }
    }

    fn request(message: &str) -> Self {
        Self::new(400, "invalid_request_error", "invalid_request", message)
    }

    fn server(code: &str, message: &str) -> Self {
        Self::new(500, "server_error", code, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let html = self.body.trim_start().starts_with('<');
        let mut builder = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, if html { "text/html; charset=utf-8" } else { "application/json" });
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        // Only a script can name a header that is none.
        builder.body(Body::from(self.body)).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    }
}

async fn models(headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    check_key(&headers)?;
    Ok(Json(json!({ "object": "list", "data": [
        { "id": NAME, "object": "model", "created": 1_700_000_000, "owned_by": "agentctl-dev" },
    ] })))
}

async fn completions(State(model): State<Arc<Model>>, headers: HeaderMap, body: Bytes) -> Result<Response, Refusal> {
    check_key(&headers)?;
    let request: Value =
        serde_json::from_slice(&body).map_err(|error| Refusal::request(&format!("the body is not JSON: {error}")))?;
    let (messages, tools) = check_request(&request)?;
    let reply = match model.answer(messages, tools) {
        Answer::Reply(reply) => reply,
        Answer::Refused(refusal) => return Err(refusal),
    };
    let usage = reply.with_usage.then(|| usage(&request, &reply));
    let head = Head { id: reply.with_ids.then(|| model.mint("chatcmpl")), created: model.clock.now().timestamp() };
    let calls: Vec<Option<String>> = reply
        .calls
        .iter()
        .map(|call| reply.with_ids.then(|| call.id.clone().unwrap_or_else(|| model.mint("call"))))
        .collect();
    if request["stream"].as_bool().unwrap_or(false) {
        let wants_usage = request["stream_options"]["include_usage"].as_bool().unwrap_or(false);
        Ok(streamed(model, &reply, events(&head, &reply, &calls, usage.filter(|_| wants_usage))))
    } else {
        model.clock.sleep(reply.first_delay).await;
        whole(&head, &reply, &calls, usage)
    }
}

fn check_key(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match value.strip_prefix("Bearer ") {
        Some(key) if !key.trim().is_empty() => Ok(()),
        _ => Err(Refusal::new(401, "invalid_request_error", "invalid_api_key", "no API key was given")),
    }
}

/// Checks what the real service checks, and returns the messages and the tools.
fn check_request(request: &Value) -> Result<(&[Value], &[Value]), Refusal> {
    match request["model"].as_str() {
        Some(NAME) => {}
        Some(other) => {
            let why = format!("the model `{other}` does not exist; this server has `{NAME}`");
            return Err(Refusal::new(404, "invalid_request_error", "model_not_found", &why));
        }
        None => return Err(Refusal::request("`model` is missing")),
    }
    let messages = request["messages"].as_array().filter(|messages| !messages.is_empty());
    let messages = messages.ok_or_else(|| Refusal::request("`messages` must be a list with at least one message"))?;
    check_messages(messages)?;
    let tools = match &request["tools"] {
        Value::Null => &[][..],
        Value::Array(tools) if !tools.is_empty() => tools,
        _ => return Err(Refusal::request("`tools` must be a list with at least one tool, or be left out")),
    };
    for tool in tools {
        let name = tool["function"]["name"].as_str().unwrap_or_default();
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if tool["type"] != "function" || name.is_empty() || name.len() > 64 || !name.chars().all(valid) {
            return Err(Refusal::request(&format!("the tool {name:?} has no valid type or name")));
        }
    }
    Ok((messages, if request["tool_choice"] == "none" { &[] } else { tools }))
}

/// Every tool call of an assistant message must be answered right behind it, and nothing else may be.
fn check_messages(messages: &[Value]) -> Result<(), Refusal> {
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default();
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            if !open.remove(id) {
                return Err(Refusal::request(&format!("the tool message for {id:?} answers no open tool call")));
            }
            continue;
        }
        if let Some(id) = open.first() {
            return Err(Refusal::request(&format!("the tool call {id:?} has no tool message that answers it")));
        }
        match role {
            "system" | "developer" | "user" => {}
            "assistant" => {
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    let id = call["id"].as_str().filter(|id| !id.is_empty());
                    open.insert(id.ok_or_else(|| Refusal::request("a tool call has no id"))?);
                }
            }
            _ => return Err(Refusal::request(&format!("the role {role:?} is unknown"))),
        }
    }
    match open.first() {
        Some(id) => Err(Refusal::request(&format!("the tool call {id:?} has no tool message that answers it"))),
        None => Ok(()),
    }
}

/// Figures that grow with the text; nobody is billed by them.
fn usage(request: &Value, reply: &Reply) -> Value {
    let prompt = request["messages"].to_string().len().div_ceil(4);
    let answer = reply.text.len() + reply.calls.iter().map(|call| 4 + call.arguments.len()).sum::<usize>();
    json!({ "prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer })
}

/// What every chunk of one answer repeats.
struct Head {
    id: Option<String>,
    created: i64,
}

impl Head {
    fn object(&self, kind: &str, choices: &Value) -> Value {
        let mut object = json!({ "object": kind, "created": self.created, "model": NAME, "choices": choices });
        if let Some(id) = &self.id {
            object["id"] = json!(id);
        }
        object
    }

    fn chunk(&self, delta: &Value, finish_reason: Option<&str>) -> String {
        let choice = json!([{ "index": 0, "delta": delta, "finish_reason": finish_reason }]);
        self.object("chat.completion.chunk", &choice).to_string()
    }
}

/// The data of every event of a stream, in order.
fn events(head: &Head, reply: &Reply, ids: &[Option<String>], usage: Option<Value>) -> Vec<String> {
    let mut events = vec![head.chunk(&json!({ "role": "assistant", "content": "" }), None)];
    events.extend(reply.text.iter().map(|text| head.chunk(&json!({ "content": text }), None)));
    let mut pieces: Vec<(usize, usize, Value)> = Vec::new();
    for (index, (call, id)) in reply.calls.iter().zip(ids).enumerate() {
        let mut opening =
            json!({ "index": index, "type": "function", "function": { "name": call.name, "arguments": "" } });
        if let Some(id) = id {
            opening["id"] = json!(id);
        }
        pieces.push((0, index, opening));
        for (at, piece) in call.arguments.iter().enumerate() {
            pieces.push((at + 1, index, json!({ "index": index, "function": { "arguments": piece } })));
        }
    }
    if reply.interleave {
        pieces.sort_by_key(|(at, index, _)| (*at, *index));
    }
    events.extend(pieces.into_iter().map(|(_, _, piece)| head.chunk(&json!({ "tool_calls": [piece] }), None)));
    if let Some(reason) = &reply.finish_reason {
        events.push(head.chunk(&json!({}), Some(reason)));
    }
    if let Some(usage) = usage {
        let mut last = head.object("chat.completion.chunk", &json!([]));
        last["usage"] = usage;
        events.push(last.to_string());
    }
    if reply.with_done {
        events.push("[DONE]".to_owned());
    }
    events
}

/// Sends the events, each in its own frame, until the end or the cut.
fn streamed(model: Arc<Model>, reply: &Reply, mut events: Vec<String>) -> Response {
    let mut abort = false;
    if let Some(cut) = reply.cut.filter(|cut| cut.after < events.len()) {
        events.truncate(cut.after);
        abort = cut.how == CutKind::Abort;
        if cut.how == CutKind::Error {
            events.push(Refusal::server("scripted", "the script says so").body);
        }
    }
    let frames = events.into_iter().map(|data| Ok(Bytes::from(format!("data: {data}\n\n"))));
    let frames = frames.chain(abort.then(|| Err(io::Error::other("cut by the script"))));
    let (first, later) = (reply.first_delay, reply.delay);
    let body = stream::unfold((model, frames, first), move |(model, mut frames, delay)| async move {
        let frame = frames.next()?;
        // The server drops what it has not sent yet when the connection is broken, so it gets a moment to send it.
        let delay = if frame.is_err() { delay.max(Duration::from_millis(20)) } else { delay };
        if !delay.is_zero() {
            model.clock.sleep(delay).await;
        }
        Some((frame, (model, frames, later)))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(body)).into_response()
}

/// The answer to a request that did not ask for a stream.
fn whole(head: &Head, reply: &Reply, ids: &[Option<String>], usage: Option<Value>) -> Result<Response, Refusal> {
    match reply.cut.map(|cut| cut.how) {
        None => {}
        Some(CutKind::Error) => return Err(Refusal::server("scripted", "the script says so")),
        Some(CutKind::Abort | CutKind::End) => {
            let half = stream::iter([Ok(Bytes::from_static(b"{\"object\":\"chat.comp")), Err(io::Error::other("cut"))]);
            return Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(half)).into_response());
        }
    }
    let text = reply.text.concat();
    let mut message =
        json!({ "role": "assistant", "content": if text.is_empty() { Value::Null } else { json!(text) } });
    if !reply.calls.is_empty() {
        let call = |(call, id): (&Call, &Option<String>)| {
            let function = json!({ "name": call.name, "arguments": call.arguments.concat() });
            match id {
                Some(id) => json!({ "id": id, "type": "function", "function": function }),
                None => json!({ "type": "function", "function": function }),
            }
        };
        message["tool_calls"] = reply.calls.iter().zip(ids).map(call).collect();
    }
    let choice = json!([{ "index": 0, "message": message, "finish_reason": reply.finish_reason }]);
    let mut object = head.object("chat.completion", &choice);
    if let Some(usage) = usage {
        object["usage"] = usage;
    }
    Ok(Json(object).into_response())
}

#[cfg(test)]
mod tests;
