//! Doing it: a plan and the permit for it become one request, and its answer.

use std::time::Duration;

use reqwest::header::{ALLOW, AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::{Plan, Tool, manifest::Answers, plan::PlannedRequest, template::Template};
use crate::{
    call::{Outcome, ToolOutput},
    clock::Clock,
    echo::Secrets,
    escape,
    guard::Permit,
    http::{self, Http, Request, Response},
    secret::AccessToken,
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
    /// key is repeated under the same key when its answer is lost; any other is sent once. Right before each time `may`
    /// says whether it still may leave, or why not: a pause between two tries is long enough for a stop.
    pub async fn execute(
        self,
        permit: Permit,
        tool: &Tool,
        http: &Http,
        clock: &dyn Clock,
        may: impl AsyncFn() -> Result<(), String>,
    ) -> Executed {
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
        let token = sent_token(&request);
        let may_repeat = reads || self.request.idempotency_key.is_some();
        let mut tried = 0;
        // Whether an earlier try may have had the effect: then no later answer but a success can say that it has not.
        let mut unclear = false;
        if let Err(why) = may().await {
            let output = ToolOutput::refused(Outcome::NotPermitted, format!("{why}; nothing was done"));
            return Executed { output, http_status: None };
        }
        loop {
            tried += 1;
            let answer = http.send(request.clone()).await;
            let again = may_repeat && tried < TRIES;
            let pause = match &answer {
                Ok(response) if again && matches!(response.status, 429 | 502 | 503 | 504) => {
                    // Only the API itself can say that it was too busy to begin.
                    let not_begun = response.status == 429 && is_answer(response, tool.spec.result.answers);
                    unclear |= !reads && !not_begun;
                    response.retry_after(clock.now()).unwrap_or(Duration::from_millis(300)).min(Duration::from_secs(10))
                }
                Err(error) if again && worth_repeating(error) => {
                    unclear |= !reads && error.may_have_arrived();
                    Duration::from_millis(300)
                }
                Ok(response) => {
                    return judge(response, read(response, token.as_ref()), reads, tool).after(unclear).with_advice();
                }
                Err(error) => return unanswered(error, reads).after(unclear).with_advice(),
            };
            tracing::debug!(tool = tool.name(), tried, "repeating the request");
            clock.sleep(pause).await;
            if let Err(why) = may().await {
                let last = match &answer {
                    Ok(response) => judge(response, read(response, token.as_ref()), reads, tool),
                    Err(error) => unanswered(error, reads),
                };
                return last.not_again(&why).after(unclear).with_advice();
            }
        }
    }
}

impl Executed {
    /// Whether the same request may bring something better later: there was no answer, or one of a server that is busy or
    /// broken, or (409) still at work on an earlier try with this key.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.output.outcome != Outcome::Done
            && self.http_status.is_none_or(|status| status >= 500 || matches!(status, 408 | 409 | 425 | 429))
    }

    /// What the last try brought, and why there was no other.
    fn not_again(mut self, why: &str) -> Self {
        self.output.message = format!("{}; it was not sent again: {why}", self.output.message);
        self
    }

    /// What the last try brought, in the light of those before it.
    fn after(mut self, unclear: bool) -> Self {
        if unclear && self.output.outcome == Outcome::Failed {
            self.output.outcome = Outcome::Unknown;
            self.output.message = format!(
                "an earlier try got no clear answer, so the effect may have happened; then: {}",
                self.output.message
            );
        }
        self
    }

    /// Says what is to be done where nobody knows what happened.
    fn with_advice(mut self) -> Self {
        if self.output.outcome == Outcome::Unknown {
            self.output.message.push_str("; look whether it did before it is done again");
        }
        self
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

/// The token that a request carries.
fn sent_token(request: &Request) -> Option<AccessToken> {
    let value = request.headers.get(AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(AccessToken::new)
}

/// What an answer says, as data. An API that repeats what it was sent would bring the token before the model, so it is taken
/// out; after the JSON is read, because there are many ways to write a text in JSON.
fn read(response: &Response, token: Option<&AccessToken>) -> Value {
    let mut data = serde_json::from_slice::<Value>(&response.body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&response.body);
        // A page of HTML helps neither the model nor the person.
        if is_page(response) { json!(null) } else { Value::String(text.into_owned()) }
    });
    if let Some(token) = token {
        Secrets::new("[the token]").with(token.expose()).out_of_json(&mut data);
    }
    data
}

fn worth_repeating(error: &http::Error) -> bool {
    matches!(error, http::Error::Connect { .. } | http::Error::Lost { .. })
}

/// Reads an answer. Every status is one: what the API says about a refusal is data for the model.
fn judge(response: &Response, data: Value, reads: bool, tool: &Tool) -> Executed {
    let status = response.status;
    let output = match status {
        // JSON was asked for. A web page is what a proxy or a log-in page says in the API's place, and whether the API was
        // reached it does not know.
        200..=299 if reads && is_page(response) => {
            refused(Outcome::Failed, &format!("a web page came instead of the API's answer (HTTP {status})"), data)
        }
        200..=299 | 400..=499 if !reads && is_page(response) => refused(
            Outcome::Unknown,
            &format!("a web page came instead of the API's answer (HTTP {status}); the effect may have happened"),
            data,
        ),
        // So does a proxy that says in plain words that it is busy or does not let the answer pass, or one that was cut on its
        // way. Neither a success nor a refusal is one in somebody else's words.
        200..=299 | 400..=499 if !reads && !is_answer(response, tool.spec.result.answers) => refused(
            Outcome::Unknown,
            &format!("what came is not the API's answer (HTTP {status}); the effect may have happened"),
            data,
        ),
        200..=299 => ToolOutput { outcome: Outcome::Done, message: tool.summary(&data, status), data: Some(data) },
        401 => refused(Outcome::Failed, "the API did not accept the token (HTTP 401); nothing was done", data),
        403 => refused(Outcome::Failed, "the API refused the call (HTTP 403); nothing was done", data),
        // A proxy that waited too long for the API says so; the request may have reached it.
        408 if !reads => {
            refused(Outcome::Unknown, "the API did not answer in time (HTTP 408); the effect may have happened", data)
        }
        400..=499 => refused(Outcome::Failed, &format!("the API refused the call (HTTP {status})"), data),
        // A redirect is not followed: the credential was meant for this origin. After a POST it often means that it was done and
        // that its result is to be seen elsewhere (RFC 9110 §15.4.4), and whose word it is nobody knows.
        300..=399 if !reads => refused(
            Outcome::Unknown,
            &format!("the API points elsewhere (HTTP {status}), which was not followed; the effect may have happened"),
            data,
        ),
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

fn is_page(response: &Response) -> bool {
    ["text/html", "application/xhtml+xml"].iter().any(|page| response.content_type().eq_ignore_ascii_case(page))
}

/// Whether an answer is one that the API may have written: JSON, or none at all. What says that it is JSON must be JSON, so
/// nothing is no such answer either, except where a status allows no body (RFC 9110 §15.3.5, §15.3.6). A manifest may say that
/// its API answers in words.
fn is_answer(response: &Response, answers: Answers) -> bool {
    let kind = response.content_type().to_ascii_lowercase();
    let says_json = kind == "application/json" || kind.ends_with("+json");
    let body = response.body.trim_ascii();
    if body.is_empty() {
        return match response.status {
            204 | 205 => true,
            200..=299 => !says_json || answers == Answers::Text,
            _ => refuses_without_words(response),
        };
    }
    let page = ["<!doctype html", "<html"]
        .iter()
        .any(|start| body.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start.as_bytes())));
    let text = || answers == Answers::Text && !page && (kind.is_empty() || kind.starts_with("text/"));
    serde_json::from_slice::<IgnoredAny>(body).is_ok() || text()
}

/// Whether a refusal without a body is the API's own, by the header that belongs to it: a challenge for the very kind of token
/// that was sent (RFC 6750 §3), or the methods that there are (RFC 9110 §15.5.6). Of any other nobody knows who wrote it.
fn refuses_without_words(response: &Response) -> bool {
    let challenges = || response.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let bearer = |challenge: &str| {
        let scheme = challenge.split_ascii_whitespace().next().unwrap_or_default();
        scheme.eq_ignore_ascii_case("bearer")
    };
    match response.status {
        401 | 403 => challenges().flat_map(|value| value.split(',')).any(bearer),
        405 => response.headers.contains_key(ALLOW),
        _ => false,
    }
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
        // The values are the API's, and as long as it likes.
        let filled = filled.map(|text| escape::shortened(&text, 400).into_owned());
        // What is accepted (RFC 9110 §15.3.3) is done later, and perhaps not.
        let word = if status == 202 { "accepted" } else { "done" };
        filled.unwrap_or_else(|| format!("{word} (HTTP {status})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, tool::tests::shop};

    #[tokio::test]
    async fn a_permit_for_another_call_sends_nothing() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/orders", listener.local_addr().unwrap());
        let registry = shop(&[("SHOP_API_URL", &url)]);
        let tool = registry.get("buy_product").unwrap();
        let clock = ManualClock::new(chrono::DateTime::UNIX_EPOCH);
        let plan = |qty: u32| tool.plan(&format!(r#"{{"product":"phones","qty":{qty}}}"#)).unwrap();
        let planned = plan(2);
        let approved = planned.action.clone();
        // One more piece, and the same call at another moment: each call has an action of its own.
        for other in [plan(3), plan(2)] {
            let permit = Permit::of(&approved);
            let executed = other.execute(permit, tool, &Http::default(), &clock, async || Ok(())).await;
            assert_eq!((executed.output.outcome, executed.http_status), (Outcome::NotPermitted, None));
            assert!(executed.output.message.contains("nothing was done"), "{}", executed.output.message);
            assert!(listener.accept().is_err(), "somebody came");
        }
        // What was approved is changed on the way.
        let mut changed = planned;
        changed.action.arguments.insert("qty".to_owned(), json!(9));
        let executed = changed.execute(Permit::of(&approved), tool, &Http::default(), &clock, async || Ok(())).await;
        assert_eq!((executed.output.outcome, listener.accept().is_err()), (Outcome::NotPermitted, true));
    }

    #[tokio::test]
    async fn each_time_it_leaves_it_must_still_be_allowed_to() {
        use std::{cell::Cell, rc::Rc};
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/orders", listener.local_addr().unwrap());
        let seen = Rc::new(Cell::new(0));
        let count = Rc::clone(&seen);
        let busy = async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.set(count.get() + 1);
                assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                let answer = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(answer).await.unwrap();
            }
        };
        let work = async {
            let registry = shop(&[("SHOP_API_URL", &url)]);
            let tool = registry.get("buy_product").unwrap();
            let clock = ManualClock::new(chrono::DateTime::UNIX_EPOCH);
            for (allowed, outcome, words) in [
                (0, Outcome::NotPermitted, "stopped; nothing was done"),
                (
                    1,
                    Outcome::Unknown,
                    "the effect may have happened; it was not sent again: stopped; look whether it did",
                ),
                (
                    2,
                    Outcome::Unknown,
                    "the effect may have happened; it was not sent again: stopped; look whether it did",
                ),
                (3, Outcome::Unknown, "the effect may have happened; look whether it did before it is done again"),
            ] {
                let planned = tool.plan(r#"{"product":"phones","qty":2}"#).unwrap();
                let (permit, asked) = (Permit::of(&planned.action), Cell::new(0));
                let may = async || {
                    asked.set(asked.get() + 1);
                    if asked.get() > allowed { Err("stopped".to_owned()) } else { Ok(()) }
                };
                seen.set(0);
                let executed = planned.execute(permit, tool, &Http::default(), &clock, may).await;
                assert_eq!((seen.get(), executed.output.outcome), (allowed, outcome), "{executed:?}");
                assert!(executed.output.message.contains(words), "{executed:?}");
            }
        };
        tokio::select! {
            () = work => {}
            () = busy => {}
        }
    }

    #[test]
    fn what_an_api_repeats_of_the_token_is_taken_out() {
        let url = url::Url::parse("https://shop.example/").unwrap();
        let request = Request::get(url).bearer(&AccessToken::new("eyJh.b.c")).unwrap();
        let token = sent_token(&request);
        let answer = |body: &'static str| Response {
            status: 200,
            headers: Default::default(),
            body: body.into(),
            secrets: Secrets::new(""),
        };
        let cleaned = |body| read(&answer(body), token.as_ref());
        for echo in [
            r#"{"headers":{"authorization":"Bearer eyJh.b.c"},"again":["eyJh.b.c"]}"#,
            r#"{"headers":{"authorization":"Bearer \u0065yJh\u002eb.c"},"again":["eyJ\u0068.b.c"]}"#,
        ] {
            let expected = json!({"headers": {"authorization": "Bearer [the token]"}, "again": ["[the token]"]});
            assert_eq!(cleaned(echo), expected, "{echo}");
        }
        assert_eq!(cleaned(r#"{"eyJh.b.c":1}"#), json!({"[the token]": 1}));
        assert_eq!(cleaned("said: eyJh.b.c"), json!("said: [the token]"));
        assert_eq!(cleaned("\"eyJ and nothing else\""), json!("eyJ and nothing else"));
        assert_eq!(read(&answer("\"eyJh.b.c\""), None), json!("eyJh.b.c"));
        // A JWT's signature by itself, and what an encoder makes of a token.
        let signed = AccessToken::new("eyJh.eyJz.c2lnbmF0/dXJl");
        for echo in ["c2lnbmF0/dXJl", "eyJh%2EeyJz.c2lnbmF0%2FdXJl"] {
            assert_eq!(read(&answer(echo), Some(&signed)), json!("[the token]"), "{echo}");
        }
    }

    #[test]
    fn what_a_server_still_works_at_may_be_asked_again() {
        let ended = |status| Executed { output: ToolOutput::refused(Outcome::Failed, "no"), http_status: Some(status) };
        let passing = [400, 401, 403, 404, 409, 422, 425, 429, 503].map(|status| ended(status).may_pass());
        assert_eq!(passing, [false, false, false, false, true, false, true, true, true]);
    }

    #[test]
    fn a_success_of_an_effect_is_one_only_in_the_apis_words() {
        let judged = |answers, reads, (status, kind, body): (u16, &str, &'static str)| {
            let mut registry = shop(&[]);
            let tool = registry.tools.get_mut("buy_product").unwrap();
            tool.spec.result.answers = answers;
            let mut headers = reqwest::header::HeaderMap::new();
            if !kind.is_empty() {
                headers.insert(reqwest::header::CONTENT_TYPE, kind.parse().unwrap());
            }
            let response = Response { status, headers, body: body.into(), secrets: Secrets::new("") };
            judge(&response, read(&response, None), reads, tool).output
        };
        let outcome = |answers, answer| judged(answers, false, answer).outcome;
        let (done, unknown) = (Outcome::Done, Outcome::Unknown);
        // Each with what it is where only JSON is an answer, and where text is one.
        for (answer, json, text) in [
            ((200, "application/json", "{}"), done, done),
            ((201, "application/vnd.shop+json", "[1]"), done, done),
            ((200, "text/plain", " {\"order_id\":1}\n"), done, done),
            ((200, "", "true"), done, done),
            ((204, "", ""), done, done),
            ((204, "application/json", ""), done, done),
            ((201, "", ""), done, done),
            ((202, "", ""), done, done),
            ((200, "text/plain", "Service temporarily unavailable"), unknown, done),
            ((200, "", "accepted"), unknown, done),
            ((200, "application/json", ""), unknown, done),
            ((200, "application/octet-stream", "\u{0}\u{1}"), unknown, unknown),
            ((200, "application/json", "{\"order_id\": 1, "), unknown, unknown),
            ((201, "Application/Problem+JSON; charset=utf-8", "not json"), unknown, unknown),
            ((200, "text/html", "{}"), unknown, unknown),
            ((200, "", "<html><body>login</body></html>"), unknown, unknown),
            ((200, "text/plain", "\n<!DOCTYPE html><h1>Bad Gateway</h1>"), unknown, unknown),
        ] {
            assert_eq!(outcome(Answers::Json, answer), json, "{answer:?}");
            assert_eq!(outcome(Answers::Text, answer), text, "{answer:?}, text");
            // Who reads does nothing that could be told wrongly.
            let read = if answer.1 == "text/html" { Outcome::Failed } else { done };
            assert_eq!(judged(Answers::Json, true, answer).outcome, read, "{answer:?}, read");
        }
        let busy = judged(Answers::Json, false, (200, "text/plain", "Service temporarily unavailable"));
        assert!(busy.message.contains("the effect may have happened"), "{}", busy.message);
        assert_eq!(busy.data, Some(json!("Service temporarily unavailable")));
        assert_eq!(judged(Answers::Json, false, (202, "", "")).message, "accepted (HTTP 202)");
    }

    #[test]
    fn a_refusal_of_an_effect_is_one_only_in_the_apis_words() {
        let judged = |answers, reads, (status, header, body): (u16, &str, &'static str)| {
            let mut registry = shop(&[]);
            let tool = registry.tools.get_mut("buy_product").unwrap();
            tool.spec.result.answers = answers;
            let mut headers = reqwest::header::HeaderMap::new();
            for (name, value) in header.split('\n').filter_map(|line| line.split_once(": ")) {
                headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
            }
            let response = Response { status, headers, body: body.into(), secrets: Secrets::new("") };
            judge(&response, read(&response, None), reads, tool).output
        };
        let (failed, unknown) = (Outcome::Failed, Outcome::Unknown);
        let problem = "content-type: application/problem+json";
        let bearer = "www-authenticate: Basic realm=\"x\", bearer error=\"invalid_token\"";
        // Each with what it is where only JSON is an answer, and where text is one.
        for (answer, json, text) in [
            ((401, "", r#"{"error":"invalid_token"}"#), failed, failed),
            ((403, problem, r#"{"title":"no"}"#), failed, failed),
            ((404, "content-type: text/plain", r#"{"error":"none"}"#), failed, failed),
            ((429, "", "{}"), failed, failed),
            ((403, "content-type: text/plain", "Access denied by policy"), unknown, failed),
            ((401, "content-type: text/plain", "unauthorized"), unknown, failed),
            ((429, "", "slow down"), unknown, failed),
            ((403, "", "<html><body>blocked</body></html>"), unknown, unknown),
            ((403, "content-type: text/plain", "<html><body>blocked"), unknown, unknown),
            ((403, "content-type: text/html", "{}"), unknown, unknown),
            ((403, "content-type: application/json", "{\"err"), unknown, unknown),
            // Without a word it is the API's only where a header of this status says so.
            ((401, bearer, ""), failed, failed),
            ((403, "www-authenticate: Bearer", ""), failed, failed),
            ((405, "allow: GET, HEAD", ""), failed, failed),
            ((401, "", ""), unknown, unknown),
            ((401, "www-authenticate: Basic realm=\"bearer\"", ""), unknown, unknown),
            ((407, "www-authenticate: Bearer", ""), unknown, unknown),
            ((403, "allow: GET", ""), unknown, unknown),
            ((400, "", ""), unknown, unknown),
            ((404, "", ""), unknown, unknown),
            ((405, "", ""), unknown, unknown),
            ((429, "retry-after: 1", ""), unknown, unknown),
            ((408, "", "{}"), unknown, unknown),
            ((300, "", ""), unknown, unknown),
            ((304, "", ""), unknown, unknown),
            ((303, "location: /orders/1", "{}"), unknown, unknown),
            ((307, "location: /x", ""), unknown, unknown),
            ((308, "location: /x", "{}"), unknown, unknown),
        ] {
            for (answers, expected) in [(Answers::Json, json), (Answers::Text, text)] {
                let output = judged(answers, false, answer);
                assert_eq!(output.outcome, expected, "{answer:?}, {answers:?}");
                let open = output.message.contains("the effect may have happened");
                assert_eq!(open, expected == unknown, "{}", output.message);
                assert!(!open || !output.message.contains("nothing was done"), "{}", output.message);
            }
            // Who reads does nothing of which anybody would have to know.
            assert_eq!(judged(Answers::Json, true, answer).outcome, failed, "{answer:?}, read");
        }
    }

    #[test]
    fn a_later_refusal_cannot_undo_an_unclear_try() {
        let ended = |outcome| Executed { output: ToolOutput::refused(outcome, "no"), http_status: Some(401) };
        assert_eq!(ended(Outcome::Failed).after(false).output.outcome, Outcome::Failed);
        let executed = ended(Outcome::Failed).after(true);
        assert_eq!(executed.output.outcome, Outcome::Unknown);
        assert!(executed.output.message.contains("may have happened"));
        assert_eq!(ended(Outcome::Done).after(true).output.outcome, Outcome::Done);
    }
}
