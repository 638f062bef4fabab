//! What every request passes before and after its endpoint: history and faults.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures::stream;
use serde_json::{Map, Value, json};

use super::{
    answer::{Form, Refusal, is_form, json_answer},
    faults::{self, Fault, Kind, When},
    history::{Seen, labels, millis},
    wire::Cut,
    world::World,
};

/// The largest request: a conversation with the model fits.
const LARGEST: usize = 16 * 1024 * 1024;

pub(super) async fn pass(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST).await else {
        return Refusal::new(413, "too_large", "the request is too large").into_response();
    };
    let form = if is_form(&parts.headers) { Some(Form::parse(&body)) } else { Form::of_json(&parts.headers, &body) };
    let labels = labels(world.paths(), parts.uri.path(), form.as_ref());
    let is_model = labels.contains(&"model");
    let (seq, fault) = world.with(|state, now| {
        let at = (now.wall, now.elapsed);
        let mut seen = Seen::new(labels.clone(), &parts.method, &parts.uri, &parts.headers, &body, at);
        let fault = faults::take(&mut state.faults, &labels);
        if let Some(fault) = &fault {
            seen.value["fault"] = fault.met();
        }
        (state.history.add(seen), fault)
    });
    let cut = parts.extensions.get::<ConnectInfo<Cut>>().map(|info| info.0.clone()).unwrap_or_default();
    let echo = format!("{} {}", credential(&parts.headers), String::from_utf8_lossy(&body));
    let request = Request::from_parts(parts, Body::from(body));

    let kind = fault.as_ref().map(|fault| fault.kind);
    let response = match fault {
        None => next.run(request).await,
        Some(fault) => suffer(&world, &fault, request, next, &cut, &echo).await,
    };
    // The model's answers may be streams, which are not held up, and half a body would be waited for in vain.
    let leave_alone = is_model || kind == Some(Kind::Half);
    let renamed = kind == Some(Kind::ContentType);
    let (response, body) = if leave_alone { (response, None) } else { read_json(response, renamed).await };
    world.with(|state, now| {
        let mut answer = json!({
            "status": response.status().as_u16(), "elapsed_ms": millis(now.elapsed),
        });
        if let Some(body) = body {
            answer["body"] = body;
        }
        state.history.answered(seq, answer);
    });
    response
}

/// What a request proves itself with, in clear.
fn credential(headers: &HeaderMap) -> String {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let pair = value.strip_prefix("Basic ").and_then(|pair| BASE64_STANDARD.decode(pair).ok()).unwrap_or_default();
    format!("{value} {}", String::from_utf8_lossy(&pair))
}

async fn suffer(world: &World, fault: &Fault, request: Request, next: Next, cut: &Cut, echo: &str) -> Response {
    if matches!(fault.kind, Kind::Alter | Kind::Garble) {
        return alter(world, fault, next.run(request).await, echo).await;
    }
    if fault.kind == Kind::Replay {
        return replay(world, fault, request, next).await;
    }
    let served = match (fault.when, fault.kind) {
        (When::Before, Kind::Delay) => {
            world.clock.sleep(fault.delay()).await;
            return next.run(request).await;
        }
        (When::Before, _) => None,
        (When::After, _) => Some(next.run(request).await),
    };
    match fault.kind {
        Kind::Drop => {
            cut.now();
            StatusCode::NO_CONTENT.into_response()
        }
        Kind::Delay => {
            world.clock.sleep(fault.delay()).await;
            served.unwrap_or_else(|| trouble(fault))
        }
        Kind::Half => half(served.unwrap_or_else(|| trouble(fault)), cut.clone()).await,
        Kind::SlowDown => {
            let refusal = Refusal::new(world.preset.status("slow_down"), "slow_down", "slow down, please");
            match fault.retry_after_s {
                Some(seconds) => refusal.wait(seconds).into_response(),
                None => refusal.into_response(),
            }
        }
        Kind::Status | Kind::Alter | Kind::Garble | Kind::Replay => {
            if fault.delay_ms.is_some() {
                world.clock.sleep(fault.delay()).await;
            }
            trouble(fault)
        }
        Kind::ContentType => {
            let mut response = served.filter(|_| fault.status.is_none()).unwrap_or_else(|| {
                let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok());
                (status.unwrap_or_default(), "Service temporarily unavailable").into_response()
            });
            if let Some(kind) = fault.content_type() {
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
            }
            response
        }
        Kind::Echo => {
            let code = "invalid_request";
            let body = json!({
                "error": code, "error_description": echo, "code": code, "message": echo, "title": code, "detail": echo,
            });
            json_answer(fault.status.unwrap_or(400), &body)
        }
        Kind::Html => {
            let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok());
            let page = "<!doctype html><html><head><title>502 Bad Gateway</title></head>\
                        <body><h1>Bad Gateway</h1></body></html>";
            let mut response = (status.unwrap_or(StatusCode::BAD_GATEWAY), Html(page)).into_response();
            retry_after(fault, response.headers_mut());
            response
        }
    }
}

/// Changes a good answer; any other passes as it is, and the fault waits for the next.
async fn alter(world: &World, fault: &Fault, response: Response, echo: &str) -> Response {
    let status = response.status();
    let (response, body) = read_json(response, false).await;
    let Some(mut body) = body.filter(|_| status.is_success()) else {
        world.with(|state, _| state.faults.insert(0, Fault { times: 1, ..fault.clone() }));
        return response;
    };
    if let Some(patch) = &fault.claims
        && let Some(mut claims) = body["id_token"].as_str().and_then(|token| world.keys.verify(token))
    {
        faults::merge(&mut claims, patch);
        if let Ok(token) = world.keys.sign("JWT", &claims) {
            body["id_token"] = Value::String(token);
        }
    }
    if fault.kind == Kind::Garble {
        let secrets = faults::secrets(&body).join(" ");
        let text = if secrets.is_empty() { echo } else { &secrets };
        let patch: Map<String, Value> = fault.members.iter().map(|name| (name.clone(), text.into())).collect();
        faults::merge(&mut body, &Value::Object(patch));
    }
    if let Some(patch) = &fault.answer {
        faults::merge(&mut body, patch);
    }
    json_answer(status.as_u16(), &body)
}

/// Repeats an answer; as long as there is none, requests pass, and the fault waits.
async fn replay(world: &World, fault: &Fault, request: Request, next: Next) -> Response {
    let Some(answer) = world.with(|state, _| state.history.last_good(&fault.on)) else {
        world.with(|state, _| state.faults.insert(0, Fault { times: 1, ..fault.clone() }));
        return next.run(request).await;
    };
    if fault.when == When::After {
        next.run(request).await;
    }
    json_answer(200, &answer)
}

fn trouble(fault: &Fault) -> Response {
    let why = "the tenant was told to fail here";
    let mut body = if fault.on == "fga" {
        json!({"code": "internal_error", "message": why})
    } else {
        json!({"error": "server_error", "error_description": why})
    };
    if let Some(patch) = &fault.answer {
        faults::merge(&mut body, patch);
    }
    let mut response = json_answer(fault.status.unwrap_or(500), &body);
    retry_after(fault, response.headers_mut());
    response
}

fn retry_after(fault: &Fault, headers: &mut HeaderMap) {
    if let Some(seconds) = fault.retry_after_s {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
}

/// The whole length is promised, half of it sent, and then the connection is cut.
async fn half(response: Response, cut: Cut) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, LARGEST).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
    parts.headers.remove(header::TRANSFER_ENCODING);
    let first = body.slice(..body.len() / 2);
    let sent = stream::unfold(Some(first), move |first: Option<Bytes>| {
        let cut = cut.clone();
        async move {
            match first {
                Some(first) => Some((Ok(first), None)),
                None => {
                    // The server writes out what it has when the body makes it wait, and only then.
                    for _ in 0..8 {
                        tokio::task::yield_now().await;
                    }
                    cut.now();
                    Some((Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted)), None))
                }
            }
        }
    });
    Response::from_parts(parts, Body::from_stream(sent))
}

/// The JSON of an answer, for the history; other bodies are left alone, unless the answer's type is `renamed`.
async fn read_json(response: Response, renamed: bool) -> (Response, Option<Value>) {
    let is_json =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes() == b"application/json");
    if !is_json && !renamed {
        return (response, None);
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, LARGEST).await.unwrap_or_default();
    let value = serde_json::from_slice(&bytes).ok();
    (Response::from_parts(parts, Body::from(bytes)), value)
}
