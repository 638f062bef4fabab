//! An API in the process of the test.

use std::sync::{
    Arc,
    atomic::{AtomicU16, AtomicUsize, Ordering::SeqCst},
};

use axum::{Router, response::IntoResponse as _};
use serde_json::json;
use tokio::net::TcpListener;

/// An API that counts what reaches it.
pub(crate) struct CountingApi {
    /// Where it is.
    pub(crate) url: String,
    hits: Arc<AtomicUsize>,
    status: Arc<AtomicU16>,
}

impl CountingApi {
    /// One that answers 200.
    pub(crate) async fn start() -> Self {
        let (hits, status) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU16::new(200)));
        let (counted, answered) = (Arc::clone(&hits), Arc::clone(&status));
        let router = Router::new().fallback(async move || {
            counted.fetch_add(1, SeqCst);
            let status = axum::http::StatusCode::from_u16(answered.load(SeqCst)).unwrap();
            (status, axum::Json(json!({}))).into_response()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/do", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, hits, status }
    }

    /// How many requests reached it.
    pub(crate) fn hits(&self) -> usize {
        self.hits.load(SeqCst)
    }

    /// From now on it answers with this status.
    pub(crate) fn answers(&self, status: u16) {
        self.status.store(status, SeqCst);
    }
}
