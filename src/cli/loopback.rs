//! A listener on this machine that a browser comes back to, once (RFC 8252 §7.3).
//!
//! Whatever runs in the browser, or on this machine, can talk to it. So it believes only what carries the `state` that
//! nobody else knows, under its own name (`Host`: a page elsewhere may have made its own name point here), and what is
//! posted only from its own page (`Origin`). Everything else is turned away and the wait goes on. Nothing that came from
//! outside is written into a page.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, sync::oneshot};
use url::form_urlencoded;

use super::failure::{Failure, Kind};
use crate::{clock::Clock, oauth::pkce, secret::ConnectCode};

const PATH: &str = "/connected";
const SCRIPT: &str = "/connected.js";
/// What a page may post: a code, a state and some words about an error.
const LARGEST: usize = 8 * 1024;
/// How long a connection may take to end after the answer.
const GRACE: Duration = Duration::from_secs(1);

/// Scripts from here only, nothing inside a frame, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

const THANKS: &str = "Done. You can close this page and go back to the terminal.";
const REFUSED: &str = "It was not connected. You can close this page; the terminal says more.";
const FOREIGN: &str = "This answer belongs to nothing that is waited for here.";
const OVER: &str = "This has been answered already.";

/// What the browser brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A code.
    Code(ConnectCode),
    /// The person said no.
    Denied,
    /// Something went wrong, in the server's words.
    Failed(String),
}

/// Listens.
#[derive(Debug)]
pub(crate) struct Loopback {
    listener: TcpListener,
    gate: Gate,
}

/// What an answer must carry to be believed.
#[derive(Clone, Debug)]
struct Gate {
    /// `127.0.0.1:PORT`
    host: String,
    state: String,
}

/// What becomes of one request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is what was waited for.
    Answer(Answer),
    /// The answer may stand in the fragment: the page looks there.
    Look,
    /// The page's script.
    Script,
    /// It is not believed.
    Foreign(StatusCode),
}

impl Loopback {
    /// Takes a free port of 127.0.0.1.
    pub(crate) async fn open() -> Result<Self, Failure> {
        let failed = |error| Failure::caused(Kind::Failed, "listen on this machine for the browser", &error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let host = listener.local_addr().map_err(failed)?.to_string();
        Ok(Self { listener, gate: Gate { host, state: pkce::random()? } })
    }

    /// Where the browser is to come back to.
    pub(crate) fn redirect_uri(&self) -> String {
        format!("http://{}{PATH}", self.gate.host)
    }

    /// What must come back with it.
    pub(crate) fn state(&self) -> &str {
        &self.gate.state
    }

    /// Waits for the browser. The port is closed when this ends or is dropped.
    pub(crate) async fn answer(self, clock: &dyn Clock) -> Result<Answer, Failure> {
        let (tell, told) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let desk = Arc::new(Desk { gate: self.gate, tell: Mutex::new(Some(tell)) });
        let router = Router::new().fallback(receive).with_state(desk);
        let stopped = async {
            // Also when the sender is dropped: then nobody waits any more.
            let _ = stopped.await;
        };
        let mut serving =
            std::pin::pin!(axum::serve(self.listener, router).with_graceful_shutdown(stopped).into_future());
        let answer = tokio::select! {
            answer = told => answer,
            served = &mut serving => {
                let why = served.err().map_or_else(|| "it ended".to_owned(), |error| error.to_string());
                return Err(Failure::new(Kind::Failed, format!("failed to wait for the browser: {why}")));
            }
        };
        let _ = stop.send(());
        // The page shall still say so to the person, but a browser that holds its connection holds nobody up.
        tokio::select! {
            _ = &mut serving => {}
            () = clock.sleep(GRACE) => {}
        }
        answer.map_err(|_| Failure::new(Kind::Failed, "failed to wait for the browser"))
    }
}

/// What the requests share.
#[derive(Debug)]
struct Desk {
    gate: Gate,
    tell: Mutex<Option<oneshot::Sender<Answer>>>,
}

async fn receive(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST).await else { return page(StatusCode::PAYLOAD_TOO_LARGE, FOREIGN) };
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    match desk.gate.judge(&head.method, path, query, &head.headers, &body) {
        Verdict::Look => look(),
        Verdict::Script => script(),
        Verdict::Foreign(status) => {
            // Browsers ask for icons on their own.
            if status != StatusCode::NOT_FOUND {
                tracing::warn!(status = status.as_u16(), "an answer that belongs to nothing was turned away");
            }
            page(status, FOREIGN)
        }
        Verdict::Answer(answer) => {
            let words = if matches!(answer, Answer::Code(_)) { THANKS } else { REFUSED };
            let tell = desk.tell.lock().unwrap_or_else(PoisonError::into_inner).take();
            match tell.map(|tell| tell.send(answer)) {
                Some(Ok(())) if head.method == Method::POST => text(words),
                Some(Ok(())) => page(StatusCode::OK, words),
                _ => page(StatusCode::GONE, OVER),
            }
        }
    }
}

impl Gate {
    fn judge(&self, method: &Method, path: &str, query: &str, headers: &HeaderMap, body: &[u8]) -> Verdict {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if text(header::HOST) != Some(self.host.as_str()) {
            return Verdict::Foreign(StatusCode::MISDIRECTED_REQUEST);
        }
        let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        match (method, path) {
            (&Method::GET, SCRIPT) => return Verdict::Script,
            (&Method::GET, PATH) => {}
            (&Method::POST, PATH) if text(header::ORIGIN) == Some(&format!("http://{}", self.host)) => {
                pairs.extend(form_urlencoded::parse(body).into_owned());
            }
            (&Method::POST, PATH) => return Verdict::Foreign(StatusCode::FORBIDDEN),
            _ => return Verdict::Foreign(StatusCode::NOT_FOUND),
        }
        let one = |wanted: &str| -> Result<Option<&str>, ()> {
            let mut values = pairs.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
            let value = values.next();
            if values.next().is_some() { Err(()) } else { Ok(value) }
        };
        let (Ok(state), Ok(code), Ok(error), Ok(words)) =
            (one("state"), one("connect_code"), one("error"), one("error_description"))
        else {
            return Verdict::Foreign(StatusCode::BAD_REQUEST);
        };
        if code.is_none() && error.is_none() && method == Method::GET {
            return Verdict::Look;
        }
        if state != Some(self.state.as_str()) {
            return Verdict::Foreign(StatusCode::BAD_REQUEST);
        }
        match (error, code) {
            (Some("access_denied"), _) => Verdict::Answer(Answer::Denied),
            (Some(error), _) => Verdict::Answer(Answer::Failed(match words {
                Some(words) => format!("{error}: {words}"),
                None => error.to_owned(),
            })),
            (None, Some(code)) if !code.is_empty() => Verdict::Answer(Answer::Code(ConnectCode::new(code))),
            (None, _) => Verdict::Foreign(StatusCode::BAD_REQUEST),
        }
    }
}

/// A page that says something, and one that looks into its own address.
fn page(status: StatusCode, words: &str) -> Response {
    html(status, words, "")
}

fn look() -> Response {
    html(StatusCode::OK, "One moment...", "<script src=\"/connected.js\"></script>\n")
}

fn html(status: StatusCode, words: &str, script: &str) -> Response {
    let text = include_str!("connected.html").replace("{{ words }}", words).replace("{{ script }}", script);
    (status, guarded("text/html; charset=utf-8"), text).into_response()
}

fn script() -> Response {
    (guarded("text/javascript; charset=utf-8"), include_str!("connected.js")).into_response()
}

/// The answer to the page's own request.
fn text(words: &'static str) -> Response {
    (guarded("text/plain; charset=utf-8"), words).into_response()
}

fn guarded(content_type: &'static str) -> [(header::HeaderName, &'static str); 7] {
    [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // "no-referrer" would make some browsers send `Origin: null` with what the page posts.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        // One request a connection, so that nothing stays open when this is over.
        (header::CONNECTION, "close"),
    ]
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::{
        clock::SystemClock,
        http::{Http, Request},
    };

    const OWN: &str = "http://127.0.0.1:9";

    fn judge(method: &Method, target: &str, origin: Option<&str>, body: &str) -> Verdict {
        judge_at("127.0.0.1:9", method, target, origin, body)
    }

    fn judge_at(host: &str, method: &Method, target: &str, origin: Option<&str>, body: &str) -> Verdict {
        let gate = Gate { host: "127.0.0.1:9".to_owned(), state: "st".to_owned() };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        gate.judge(method, path, query, &headers, body.as_bytes())
    }

    #[test]
    fn only_what_carries_the_state_is_believed() {
        let code = || Verdict::Answer(Answer::Code(ConnectCode::new("c0")));
        let failed = |words: &str| Verdict::Answer(Answer::Failed(words.to_owned()));
        let bad = || Verdict::Foreign(StatusCode::BAD_REQUEST);
        for (target, verdict) in [
            ("/connected?connect_code=c0&state=st", code()),
            ("/connected?state=st&connect_code=c0&more=1", code()),
            ("/connected?error=access_denied&state=st", Verdict::Answer(Answer::Denied)),
            ("/connected?error=server_error&error_description=so%1B&state=st", failed("server_error: so\u{1b}")),
            ("/connected", Verdict::Look),
            ("/connected?state=st", Verdict::Look),
            ("/connected?connect_code=c0&state=other", bad()),
            ("/connected?connect_code=c0", bad()),
            ("/connected?error=access_denied", bad()),
            ("/connected?error=access_denied&state=s", bad()),
            ("/connected?connect_code=c0&state=st&state=st", bad()),
            ("/connected?connect_code=c0&connect_code=c1&state=st", bad()),
            ("/connected?connect_code=&state=st", bad()),
            ("/connected.js", Verdict::Script),
            ("/?connect_code=c0&state=st", Verdict::Foreign(StatusCode::NOT_FOUND)),
        ] {
            assert_eq!(judge(&Method::GET, target, None, ""), verdict, "{target}");
        }
        let put = judge(&Method::PUT, "/connected?connect_code=c0&state=st", Some(OWN), "");
        assert_eq!(put, Verdict::Foreign(StatusCode::NOT_FOUND));
    }

    #[test]
    fn only_its_own_page_may_post() {
        let code = || Verdict::Answer(Answer::Code(ConnectCode::new("c0")));
        let bad = || Verdict::Foreign(StatusCode::BAD_REQUEST);
        let no = || Verdict::Foreign(StatusCode::FORBIDDEN);
        for (target, origin, body, verdict) in [
            ("/connected", Some(OWN), "connect_code=c0&state=st", code()),
            // The state may stay in the query while the code stands in the fragment.
            ("/connected?state=st", Some(OWN), "connect_code=c0", code()),
            ("/connected?state=st", Some(OWN), "connect_code=c0&state=st", bad()),
            ("/connected", Some(OWN), "connect_code=c0&state=other", bad()),
            ("/connected", Some(OWN), "connect_code=c0", bad()),
            ("/connected?state=st", Some(OWN), "", bad()),
            ("/connected", Some("https://evil.example"), "connect_code=c0&state=st", no()),
            ("/connected", Some("null"), "connect_code=c0&state=st", no()),
            ("/connected", None, "connect_code=c0&state=st", no()),
        ] {
            assert_eq!(judge(&Method::POST, target, origin, body), verdict, "{target} {origin:?} {body}");
        }
    }

    #[test]
    fn another_name_for_this_machine_is_not_its_own() {
        for host in ["evil.example:9", "localhost:9", "127.0.0.1", "127.0.0.1:90"] {
            let verdict = judge_at(host, &Method::GET, "/connected?connect_code=c0&state=st", None, "");
            assert_eq!(verdict, Verdict::Foreign(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
    }

    #[tokio::test]
    async fn it_waits_through_what_is_foreign_and_answers_once() {
        let loopback = Loopback::open().await.unwrap();
        let (uri, state) = (loopback.redirect_uri(), loopback.state().to_owned());
        let http = Http::default();
        let visit = async |query: &str| {
            http.send(Request::get(url::Url::parse(&format!("{uri}?{query}")).unwrap())).await.unwrap()
        };
        let clock = SystemClock::new();
        let browser = async {
            let turned_away = visit("connect_code=c0&state=guessed").await;
            assert_eq!(turned_away.status, 400);
            let large = "x".repeat(LARGEST + 1);
            let post = Request::post_form(url::Url::parse(&uri).unwrap(), &[("connect_code", &large)]);
            assert_eq!(http.send(post).await.unwrap().status, 413);
            let page = visit("").await;
            assert_eq!(page.headers["content-security-policy"], POLICY);
            let page = String::from_utf8(page.body.to_vec()).unwrap();
            assert!(page.contains("<script src=\"/connected.js\">") && !page.contains("http"), "{page}");
            visit(&format!("connect_code=c%3C0&state={state}")).await
        };
        let (answer, page) = tokio::join!(loopback.answer(&clock), browser);
        assert_eq!(answer.unwrap(), Answer::Code(ConnectCode::new("c<0")));
        let page_text = String::from_utf8(page.body.to_vec()).unwrap();
        assert!(page_text.contains(THANKS) && !page_text.contains("script src"), "{page_text}");
        let closed = http.send(Request::get(url::Url::parse(&uri).unwrap())).await;
        assert!(matches!(closed, Err(crate::http::Error::Connect { .. })), "{closed:?}");
    }
}
