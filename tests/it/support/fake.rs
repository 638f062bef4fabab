//! Fake servers on loopback. Each answer is promised beforehand; a promise that nobody called in fails the test, and so
//! does a request that nobody expected.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::Response,
};
use futures::stream;
use serde_json::Value;
use tokio::{net::TcpListener, runtime, sync::oneshot};

/// What a fake answers.
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
    cut: bool,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", &body.to_string())
    }

    pub(crate) fn text(status: u16, content_type: &str, body: &str) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.as_bytes().to_vec(), delay: Duration::ZERO, cut: false }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The connection breaks after the body.
    pub(crate) fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    async fn send(self) -> Response {
        tokio::time::sleep(self.delay).await;
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let body = if self.cut {
            // The server drops what it has not sent yet when a connection breaks.
            let end = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(io::Error::other("cut"))
            };
            let pieces = stream::once(async { Ok(Bytes::from(self.body)) });
            Body::from_stream(futures::StreamExt::chain(pieces, stream::once(end)))
        } else {
            Body::from(self.body)
        };
        response.body(body).unwrap()
    }
}

/// A request that a fake has seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

struct Promise {
    method: &'static str,
    path: String,
    reply: Reply,
    /// Answers any number of requests, also none.
    always: bool,
}

#[derive(Default)]
struct Book {
    promises: VecDeque<Promise>,
    seen: Vec<Seen>,
    unexpected: Vec<String>,
}

/// A server that keeps its promises in the order in which they were made, each path by itself.
pub(crate) struct Fake {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    _stop: oneshot::Sender<()>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&book));
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    served = axum::serve(listener, router) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { address: told.recv().unwrap(), book, _stop: stop }
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Promises one answer.
    pub(crate) fn once(&self, method: &'static str, path: &str, reply: Reply) -> &Self {
        self.promise(method, path, reply, false)
    }

    /// Promises an answer to every request that no other promise is for.
    pub(crate) fn always(&self, method: &'static str, path: &str, reply: Reply) -> &Self {
        self.promise(method, path, reply, true)
    }

    fn promise(&self, method: &'static str, path: &str, reply: Reply, always: bool) -> &Self {
        let promise = Promise { method, path: path.to_owned(), reply, always };
        self.book.lock().unwrap().promises.push_back(promise);
        self
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.book.lock().unwrap().seen.clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let book = self.book.lock().unwrap();
        assert!(book.unexpected.is_empty(), "nobody expected {:?}", book.unexpected);
        let unmet = book.promises.iter().filter(|promise| !promise.always);
        let unmet: Vec<_> = unmet.map(|promise| format!("{} {}", promise.method, promise.path)).collect();
        assert!(unmet.is_empty(), "nobody asked for {unmet:?}; seen: {:?}", book.seen);
    }
}

async fn answer(
    State(book): State<Arc<Mutex<Book>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let reply = {
        let mut book = book.lock().unwrap();
        let body = String::from_utf8_lossy(&body).into_owned();
        book.seen.push(Seen { method: method.to_string(), path: path.clone(), headers, body });
        let fits = |promise: &Promise| promise.method == method.as_str() && promise.path == path;
        let once = book.promises.iter().position(|promise| fits(promise) && !promise.always);
        match once {
            Some(at) => book.promises.remove(at).map(|promise| promise.reply),
            None => book.promises.iter().find(|promise| fits(promise)).map(|promise| promise.reply.clone()),
        }
        .unwrap_or_else(|| {
            book.unexpected.push(format!("{method} {path}"));
            Reply::text(404, "text/plain", "nobody expected this request")
        })
    };
    reply.send().await
}
