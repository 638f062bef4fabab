//! The client against a server that answers what a test tells it to.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::Request as Incoming,
    http::StatusCode,
    response::{IntoResponse as _, Response as Answer},
};
use tokio::net::TcpListener;

use super::*;
use crate::clock::ManualClock;

const STORE: &str = "01J0Z5Z6WQ2Y4G8D3M7T1V9XKB";

/// What one request was: path, `Authorization`, body.
type Seen = (String, Option<String>, String);

struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers the n-th request with the n-th status and body; the last one stays.
    async fn start(answers: &[(u16, Value)]) -> Self {
        let answers: Vec<(u16, String)> = answers
            .iter()
            .map(|(status, body)| (*status, body.as_str().map_or(body.to_string(), str::to_owned)))
            .collect();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let router = Router::new().fallback(async move |request: Incoming| -> Answer {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let credential = head.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
            let at = {
                let mut seen = kept.lock().unwrap();
                seen.push((head.uri.path().to_owned(), credential, String::from_utf8(body.to_vec()).unwrap()));
                seen.len() - 1
            };
            let (status, body) = answers[at.min(answers.len() - 1)].clone();
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn fga(api_url: &str, model: Option<&str>, auth: Auth) -> Fga {
    let clock = Arc::new(ManualClock::new(chrono::DateTime::UNIX_EPOCH));
    Fga::new(Http::default(), clock, api_url, STORE, model, auth).unwrap()
}

/// A server that nobody is.
pub(crate) fn nowhere() -> Fga {
    fga("http://127.0.0.1:1", None, Auth::None)
}

fn question(relation: &str) -> Check {
    Check {
        tuple_key: TupleKey { user: "user:ada".into(), relation: relation.into(), object: "okta:main".into() },
        contextual_tuples: Vec::new(),
        context: Map::new(),
    }
}

async fn ask(answers: &[(u16, Value)], questions: usize) -> (Result<Vec<bool>, Error>, usize) {
    let server = Server::start(answers).await;
    let questions: Vec<Check> = ["read_okta", "manage_okta"].into_iter().take(questions).map(question).collect();
    let answer = fga(&server.url, None, Auth::None).check(&questions).await;
    (answer, server.seen().len())
}

#[tokio::test]
async fn a_question_carries_everything_that_decides() {
    let server = Server::start(&[(200, json!({ "allowed": true, "resolution": "" }))]).await;
    let mut question = question("read_okta");
    question.contextual_tuples.push(TupleKey {
        user: "user:ada".into(),
        relation: "member".into(),
        object: "group:staff".into(),
    });
    question.context.insert("amount".into(), json!(120));
    let fga = fga(&format!("{}/", server.url), Some("01J0Z60V5T9C2K4R8N6B3F7HPD"), Auth::Token(ApiKey::new("k3y")));
    assert_eq!(fga.check(&[question]).await.unwrap(), [true]);
    let [(path, credential, body)] = &server.seen()[..] else { panic!("one request") };
    assert_eq!((path.as_str(), credential.as_deref()), (&*format!("/stores/{STORE}/check"), Some("Bearer k3y")));
    assert_eq!(
        serde_json::from_str::<Value>(body).unwrap(),
        json!({
            "tuple_key": { "user": "user:ada", "relation": "read_okta", "object": "okta:main" },
            "contextual_tuples": { "tuple_keys": [
                { "user": "user:ada", "relation": "member", "object": "group:staff" },
            ] },
            "context": { "amount": 120 },
            "authorization_model_id": "01J0Z60V5T9C2K4R8N6B3F7HPD",
            "consistency": "HIGHER_CONSISTENCY",
        })
    );
    assert!(!format!("{fga:?}").contains("k3y"));
}

#[tokio::test]
async fn only_a_clean_yes_is_a_yes() {
    for (body, expected) in [
        (json!({ "allowed": true }), Some(true)),
        (json!({ "allowed": false }), Some(false)),
        (json!({ "resolution": "" }), Some(false)),
        (json!({}), Some(false)),
        (json!({ "allowed": "true" }), None),
        (json!({ "allowed": 1 }), None),
        (json!({ "allowed": null }), None),
        (json!([true]), None),
        (json!({ "allowed": true, "code": "internal_error" }), None),
        (json!({ "allowed": true, "error": {} }), None),
        (json!("{\"allowed\": false, \"allowed\": true}"), None),
        (json!("<html>allowed: true</html>"), None),
        (json!("{\"allowed\": true"), None),
    ] {
        let (answer, _) = ask(&[(200, body.clone())], 1).await;
        assert_eq!(answer.ok(), expected.map(|allowed| vec![allowed]), "{body}");
    }
    for status in [201, 204, 301, 400, 401, 403, 404] {
        let (answer, requests) = ask(&[(status, json!({ "allowed": true }))], 1).await;
        assert!(answer.is_err() && requests == 1, "{status}");
    }
}

#[tokio::test]
async fn trouble_is_tried_twice_and_refusals_once() {
    let refusal = |code: &str| json!({ "code": code, "message": "no such thing" });
    for (status, code, requests) in [
        (400, "validation_error", 1),
        (400, "authorization_model_not_found", 1),
        (404, "store_id_not_found", 1),
        (401, "bearer_token_missing", 1),
        (403, "forbidden", 1),
        (409, "aborted", 2),
        (422, "throttled_timeout_error", 2),
        (429, "rate_limited", 2),
        (500, "internal_error", 2),
        (503, "unavailable", 2),
    ] {
        let (answer, seen) = ask(&[(status, refusal(code))], 1).await;
        assert!(matches!(answer, Err(Error::Refused { code: ref is, .. }) if is == code), "{code}: {answer:?}");
        assert_eq!(seen, requests, "{code}");
    }
    let (answer, seen) = ask(&[(503, json!("busy")), (200, json!({ "allowed": true }))], 1).await;
    assert_eq!((answer.unwrap(), seen), (vec![true], 2));
    let nobody = nowhere().check(&[question("read_okta")]).await;
    assert!(matches!(nobody, Err(Error::Http(http::Error::Connect { .. }))));
}

#[tokio::test]
async fn what_the_server_says_comes_short_and_without_the_token() {
    let token = "a-token-of-the-permission-server";
    let said = format!("bad Bearer {token} {}", "x".repeat(30_000));
    let entry = json!({ "error": { "input_error": token, "message": said } });
    for (status, body, questions) in [
        (400, json!({ "code": token, "message": said }), 1),
        (503, json!({ "code": "x", "message": said }), 1),
        (200, json!({ "result": { "q0": entry.clone(), "q1": entry } }), 2),
    ] {
        let server = Server::start(&[(status, body)]).await;
        let questions = vec![question("read_okta"); questions];
        let error = fga(&server.url, None, Auth::Token(ApiKey::new(token))).check(&questions).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains("(a secret)") && !text.contains(token) && text.len() < 3000, "{text}");
    }
}

#[tokio::test]
async fn two_questions_are_one_request_and_each_needs_its_own_yes() {
    let both = |result: Value| json!({ "result": result });
    for (body, expected) in [
        (both(json!({ "q0": { "allowed": true }, "q1": { "allowed": true } })), Some([true, true])),
        (both(json!({ "q0": { "allowed": true }, "q1": {} })), Some([true, false])),
        (both(json!({ "q0": { "allowed": true }, "q1": { "allowed": false } })), Some([true, false])),
        (both(json!({ "q0": { "allowed": true } })), None),
        (both(json!({ "q0": { "allowed": true }, "q2": { "allowed": true } })), None),
        (
            both(
                json!({ "q0": { "allowed": true }, "q1": { "error": { "input_error": "validation_error" }, "allowed": true } }),
            ),
            None,
        ),
        (both(json!({ "q0": { "allowed": true }, "q1": { "allowed": "true" } })), None),
        (both(json!({ "q0": true, "q1": true })), None),
        (json!({ "result": { "q0": { "allowed": true }, "q1": { "allowed": true } }, "code": "internal_error" }), None),
        (json!({ "result": { "q0": { "allowed": true }, "q1": { "allowed": true } }, "error": "x" }), None),
        (json!({ "allowed": true }), None),
    ] {
        let (answer, requests) = ask(&[(200, body.clone())], 2).await;
        assert_eq!(answer.ok(), expected.map(Vec::from), "{body}");
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn a_server_without_batch_check_is_asked_one_by_one() {
    let unknown = (404, json!({ "code": "undefined_endpoint", "message": "Not Found" }));
    let server = Server::start(&[unknown, (200, json!({ "allowed": true })), (200, json!({}))]).await;
    let fga = fga(&server.url, None, Auth::None);
    assert_eq!(fga.check(&[question("a"), question("b")]).await.unwrap(), [true, false]);
    assert_eq!(fga.check(&[question("a"), question("b")]).await.unwrap(), [false, false]);
    let paths: Vec<String> = server.seen().iter().map(|seen| seen.0.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(paths, ["batch-check", "check", "check", "check", "check"]);
    let no_store = (404, json!({ "code": "store_id_not_found" }));
    assert!(matches!(ask(&[no_store], 2).await, (Err(Error::Refused { status: 404, .. }), 1)));
}

#[tokio::test]
async fn a_client_gets_one_token_and_a_new_one_when_that_is_refused() {
    let token = |text: &str| (200, json!({ "access_token": text, "token_type": "Bearer", "expires_in": 3600 }));
    let refused = (401, json!({ "code": "unauthenticated" }));
    let yes = (200, json!({ "allowed": true }));
    let server = Server::start(&[token("one"), yes.clone(), refused.clone(), token("two"), yes, refused]).await;
    let auth = Auth::Client(ClientCredentials {
        id: "c".into(),
        secret: ClientSecret::new("s&"),
        token_issuer: Url::parse(&server.url).unwrap(),
        audience: Some("https://api.fga.example/".into()),
    });
    let fga = fga(&server.url, None, auth);
    assert_eq!(fga.check(&[question("a")]).await.unwrap(), [true]);
    assert_eq!(fga.check(&[question("a")]).await.unwrap(), [true]);
    let seen = server.seen();
    assert_eq!((seen[0].0.as_str(), seen.len()), ("/oauth/token", 5));
    assert_eq!(
        seen[0].2,
        "grant_type=client_credentials&client_id=c&client_secret=s%26&audience=https%3A%2F%2Fapi.fga.example%2F"
    );
    let credentials: Vec<&str> = seen.iter().filter_map(|seen| seen.1.as_deref()).collect();
    assert_eq!(credentials, ["Bearer one", "Bearer one", "Bearer two"]);
    // Refused with a new token too: that is the answer.
    let error = fga.check(&[question("a")]).await.unwrap_err();
    assert!(matches!(error, Error::Token(_) | Error::Refused { status: 401, .. }), "{error}");
}

#[test]
fn ids_cannot_change_the_address() {
    let clock = || Arc::new(ManualClock::new(chrono::DateTime::UNIX_EPOCH));
    for id in ["", "../x", "a/b", "a?b", "a b"] {
        assert!(Fga::new(Http::default(), clock(), "https://fga.example", id, None, Auth::None).is_err(), "{id}");
        assert!(Fga::new(Http::default(), clock(), "https://fga.example", STORE, Some(id), Auth::None).is_err());
    }
}
