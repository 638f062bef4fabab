//! The connections: no delay on small answers, and a way to cut one in the middle.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// Accepts connections that can be cut.
#[derive(Debug)]
pub(super) struct Wire(pub(super) TcpListener);

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    cut: Cut,
}

/// The scissors for one connection; requests carry it as their connection info.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut(Arc<AtomicBool>);

impl Cut {
    /// Nothing more is written; the server then closes the connection.
    pub(super) fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl Listener for Wire {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        // axum's own listener knows which errors of `accept` to wait out.
        let (stream, address) = Listener::accept(&mut self.0).await;
        // A small answer must not wait for the acknowledgement of the one before; without it, it only comes later.
        let _ = stream.set_nodelay(true);
        (Line { stream, cut: Cut::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Wire>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Wire>) -> Self {
        stream.io().cut.clone()
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use crate::{
        clock::SystemClock,
        dev::{Options, Tenant, start},
    };

    /// What comes back over a real connection until it is closed.
    async fn fetch(address: &str, request: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address.trim_start_matches("http://")).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // A cut connection may end in an error; what came before it is what counts.
        let _ = stream.read_to_end(&mut bytes).await;
        String::from_utf8(bytes).unwrap()
    }

    async fn fault(tenant: &Tenant, body: serde_json::Value) {
        let (body, token) = (body.to_string(), &tenant.world.secrets.manage_token);
        let request = format!(
            "POST /faults HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        assert!(fetch(&tenant.manage_url, &request).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn connections_are_really_cut() {
        let tenant = start(Options::default(), Arc::new(SystemClock::new())).await.unwrap();
        let origin = tenant.world.origin.clone();
        // Without `connection: close`: it is the fault that ends the connection, or the test would wait for ever.
        let request = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
        let story = async {
            for when in ["before", "after"] {
                fault(&tenant, json!({"on": "jwks", "kind": "drop", "when": when})).await;
                assert_eq!(fetch(&origin, request).await, "", "not a byte");
            }
            fault(&tenant, json!({"on": "jwks", "kind": "half", "when": "after"})).await;
            let half = fetch(&origin, request).await;
            let (head, body) = half.split_once("\r\n\r\n").unwrap();
            let promised = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let promised: usize = promised.parse().unwrap();
            assert!(head.starts_with("HTTP/1.1 200"));
            assert_eq!(body.len(), promised / 2);
            assert!(body.starts_with("{\"keys\""));
            let whole = fetch(&origin, &request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
            assert!(whole.ends_with("}]}"), "afterwards all is well");
        };
        tokio::select! {
            () = story => {}
            stopped = tenant.run() => panic!("{stopped:?}"),
        }
    }
}
