//! The client against servers that misbehave.

use std::net::SocketAddr;

use axum::{Router, extract::Request as Incoming, routing::any};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

/// A server that answers its n-th connection with the n-th text and closes it; an empty text closes at once.
async fn raw(answers: &'static [&'static str]) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Url::parse(&format!("http://{address}/x")).unwrap()
}

async fn serve(router: Router) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Url::parse(&format!("http://{address}/x")).unwrap()
}

#[tokio::test]
async fn sends_what_servers_expect() {
    let router = Router::new().route(
        "/x",
        any(async |request: Incoming| {
            let headers: Vec<String> = ["accept", "user-agent", "content-type", "authorization"]
                .iter()
                .map(|name| request.headers().get(*name).map_or("", |v| v.to_str().unwrap()).to_owned())
                .collect();
            let body = axum::body::to_bytes(request.into_body(), 1000).await.unwrap();
            axum::Json(serde_json::json!([headers, String::from_utf8_lossy(&body)]))
        }),
    );
    let url = serve(router).await;
    let request = Request::post_form(url, &[("scope", "a b"), ("x", "ä&=")]).bearer(&AccessToken::new("t")).unwrap();
    assert_eq!(format!("{request:?}").matches("scope").count(), 0);
    let answer = Http::default().send(request).await.unwrap();
    let agent = format!("agentctl/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        answer.json::<Value>().unwrap(),
        serde_json::json!([
            ["application/json", agent, "application/x-www-form-urlencoded", "Bearer t"],
            "scope=a+b&x=%C3%A4%26%3D"
        ])
    );
    assert_eq!(answer.content_type(), "application/json");
}

/// CIBA Core §10.1.
#[test]
fn a_server_may_hold_a_poll_for_30_s() {
    assert!(Options::default().timeout > Duration::from_secs(30));
}

#[tokio::test]
async fn redirects_are_answers() {
    let url = raw(&["HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"]).await;
    assert_eq!(Http::default().send(Request::get(url)).await.unwrap().status, 302);
}

#[tokio::test]
async fn troubles_are_told_apart() {
    let http = Http::new(Options { timeout: Duration::from_millis(200), ..Options::default() });
    let send = async |url: Url| http.send(Request::get(url)).await.unwrap_err();

    let cut = send(raw(&["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"]).await).await;
    assert!(matches!(cut, Error::Lost { .. }) && cut.may_have_arrived(), "{cut:?}");
    let silent = send(raw(&[""]).await).await;
    assert!(matches!(silent, Error::Lost { .. }), "{silent:?}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let slow = send(Url::parse(&format!("http://{address}/")).unwrap()).await;
    assert!(matches!(slow, Error::Timeout { .. }) && slow.may_have_arrived(), "{slow:?}");
    drop(listener);
    let refused = send(Url::parse(&format!("http://{address}/")).unwrap()).await;
    assert!(matches!(refused, Error::Connect { .. }) && !refused.may_have_arrived(), "{refused:?}");

    let mut not_tls = raw(&["this is not TLS at all"]).await;
    not_tls.set_scheme("https").unwrap();
    let not_tls = send(not_tls).await;
    assert!(matches!(not_tls, Error::Tls { .. }), "{not_tls:?}");
}

#[tokio::test]
async fn answers_have_a_limit() {
    let router = Router::new().route("/x", any(async || "x".repeat(5000)));
    let url = serve(router).await;
    let http = Http::default();
    let fits = http.send(Request::get(url.clone()).max_bytes(5000)).await.unwrap();
    assert_eq!(fits.body.len(), 5000);
    let error = http.send(Request::get(url).max_bytes(4999)).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 4999, .. }), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_opened_again() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok";
    let url = raw(&[ANSWER; 3]).await;
    let http = Http::default();
    for _ in 0..3 {
        assert_eq!(http.send(Request::get(url.clone())).await.unwrap().body, "ok");
        tokio::task::yield_now().await;
    }
}

#[test]
fn only_https_or_loopback() {
    for good in ["https://a.example/x", "http://127.0.0.1:8/", "http://[::1]/", "http://localhost:3/"] {
        assert!(check_url(&Url::parse(good).unwrap()).is_ok(), "{good}");
    }
    let bad = [
        "http://a.example/",
        "http://localhost.example/",
        "http://shop.localhost/",
        "http://0.0.0.0/",
        "file:///etc/passwd",
        "javascript:x",
    ];
    for bad in bad {
        assert!(check_url(&Url::parse(bad).unwrap()).is_err(), "{bad}");
    }
}

#[test]
fn retry_after_in_both_forms() {
    let now = DateTime::parse_from_rfc3339("2026-11-22T08:00:00Z").unwrap().to_utc();
    for (value, seconds) in [
        ("7", Some(7)),
        (" 120 ", Some(120)),
        ("Sun, 22 Nov 2026 08:00:30 GMT", Some(30)),
        ("Sun, 22 Nov 2026 07:00:00 GMT", Some(0)),
        ("soon", None),
        ("-5", None),
    ] {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
        let answer = Response { status: 429, headers, body: Bytes::new(), secrets: Secrets::new("") };
        assert_eq!(answer.retry_after(now), seconds.map(Duration::from_secs), "{value}");
    }
}

#[test]
fn errors_hold_no_piece_of_the_body() {
    let body = Bytes::from_static(br#"{"expires_in":"secret"}"#);
    let answer = Response { status: 200, headers: HeaderMap::new(), body, secrets: Secrets::new("") };
    let error = answer.json::<std::collections::BTreeMap<String, u64>>().unwrap_err();
    assert!(!format!("{error} {error:?} {answer:?}").contains("secret"));
}

#[test]
fn a_wrong_ca_file_is_an_error() {
    let http = Http::new(Options { extra_ca_pem: Some(b"nonsense".to_vec()), ..Options::default() });
    let error = http.client(&Url::parse("https://a.example/").unwrap()).unwrap_err();
    assert!(error.to_string().contains("holds no certificate"), "{error}");
    assert!(http.client(&Url::parse("http://127.0.0.1/").unwrap()).is_ok());
}
