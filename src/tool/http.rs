//! Doing it: a plan and the permit for it become one request, and its answer.

use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::{Plan, Tool, plan::PlannedRequest, template::Template};
use crate::{
    call::{Outcome, ToolOutput},
    clock::Clock,
    guard::Permit,
    http::{self, Http, Request, Response},
};

/// How many times a request that may be repeated is sent at most.
const TRIES: u32 = 3;

/// What came of a plan.
#[derive(Debug)]
pub struct Executed {
    /// For the model and the person.
    pub output: ToolOutput,
    /// The status of the last answer, if there was one.
    pub http_status: Option<u16>,
}

impl Plan {
    /// Sends the request, with the credential that the permit carries, and consumes both. A request with an idempotency
    /// key is repeated under the same key when its answer is lost; any other is sent once.
    pub async fn execute(self, permit: Permit, tool: &Tool, http: &Http, clock: &dyn Clock) -> Executed {
        let reads = self.action.effect == "read";
        if !permit.covers(&self.action) {
            return Executed {
                output: ToolOutput::refused(Outcome::NotPermitted, "the permit is for another call; nothing was done"),
                http_status: None,
            };
        }
        let request = match build(&self.request, permit) {
            Ok(request) => request,
            Err(error) => {
                return Executed {
                    output: ToolOutput::refused(Outcome::Failed, format!("{error}; nothing was done")),
                    http_status: None,
                };
            }
        };
        let may_repeat = reads || self.request.idempotency_key.is_some();
        let mut tried = 0;
        loop {
            tried += 1;
            let answer = http.send(request.clone()).await;
            let again = may_repeat && tried < TRIES;
            let pause = match &answer {
                Ok(response) if again && matches!(response.status, 429 | 502 | 503 | 504) => {
                    response.retry_after(clock.now()).unwrap_or(Duration::from_millis(300)).min(Duration::from_secs(10))
                }
                Err(error) if again && worth_repeating(error) => Duration::from_millis(300),
                Ok(response) => return judge(response, reads, tool),
                Err(error) => return unanswered(error, reads),
            };
            tracing::debug!(tool = tool.name(), tried, "repeating the request");
            clock.sleep(pause).await;
        }
    }
}

fn build(planned: &PlannedRequest, permit: Permit) -> Result<Request, http::Error> {
    let mut request =
        Request::new(planned.method.clone(), planned.url.clone()).timeout(planned.timeout).max_bytes(planned.max_bytes);
    if let Some(body) = &planned.body {
        request = request.body("application/json", body.to_string());
    }
    for (name, value) in &planned.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            request = request.header(name, value);
        }
    }
    if let Some(key) = &planned.idempotency_key
        && let Ok(value) = HeaderValue::from_str(key)
    {
        request = request.header(HeaderName::from_static("idempotency-key"), value);
    }
    match permit.into_token() {
        Some(token) => request.bearer(&token),
        None => Ok(request),
    }
}

fn worth_repeating(error: &http::Error) -> bool {
    matches!(error, http::Error::Connect { .. } | http::Error::Lost { .. })
}

/// Reads an answer. Every status is one: what the API says about a refusal is data for the model.
fn judge(response: &Response, reads: bool, tool: &Tool) -> Executed {
    let status = response.status;
    let data = serde_json::from_slice::<Value>(&response.body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&response.body);
        // A page of HTML helps neither the model nor the person.
        if response.content_type() == "text/html" { json!(null) } else { Value::String(text.into_owned()) }
    });
    let output = match status {
        200..=299 => ToolOutput { outcome: Outcome::Done, message: tool.summary(&data, status), data: Some(data) },
        401 => refused(Outcome::Failed, "the API did not accept the token (HTTP 401); nothing was done", data),
        403 => refused(Outcome::Failed, "the API refused the call (HTTP 403); nothing was done", data),
        400..=499 => refused(Outcome::Failed, &format!("the API refused the call (HTTP {status})"), data),
        // A redirect is not followed: the credential was meant for this origin.
        300..=399 => refused(Outcome::Failed, &format!("the API points elsewhere (HTTP {status}); not followed"), data),
        _ if reads => refused(Outcome::Failed, &format!("the API failed (HTTP {status})"), json!(null)),
        _ => refused(
            Outcome::Unknown,
            &format!("the API failed (HTTP {status}); the effect may have happened"),
            json!(null),
        ),
    };
    Executed { output, http_status: Some(status) }
}

fn refused(outcome: Outcome, message: &str, data: Value) -> ToolOutput {
    ToolOutput { outcome, message: message.to_owned(), data: (!data.is_null()).then_some(data) }
}

fn unanswered(error: &http::Error, reads: bool) -> Executed {
    let output = if reads || !error.may_have_arrived() {
        ToolOutput::refused(Outcome::Failed, format!("the request failed: {error}"))
    } else {
        ToolOutput::refused(
            Outcome::Unknown,
            format!("the request was sent, but {error}; the effect may have happened"),
        )
    };
    Executed { output, http_status: None }
}

impl Tool {
    fn summary(&self, data: &Value, status: u16) -> String {
        let members: Option<&Map<String, Value>> = data.as_object();
        let filled = self
            .spec
            .result
            .summary
            .as_ref()
            .zip(members)
            .and_then(|(text, members)| Template::parse(text).ok()?.text(&self.settings, members).ok());
        filled.unwrap_or_else(|| format!("done (HTTP {status})"))
    }
}
