//! The smallest HTTP client that can talk to a management port: one request, one connection, loopback only.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header, if there is one.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends one request to `http://host:port/path` and reads the answer to its end.
#[track_caller]
pub(crate) fn call(method: &str, url: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
    let body = body.map(Value::to_string).unwrap_or_default();
    send(method, url, headers, "application/json", &body)
}

/// Sends a form, as a browser would.
#[track_caller]
pub(crate) fn post_form(url: &str, headers: &[(&str, &str)], form: &str) -> Answer {
    send("POST", url, headers, "application/x-www-form-urlencoded", form)
}

#[track_caller]
fn send(method: &str, url: &str, headers: &[(&str, &str)], content_type: &str, body: &str) -> Answer {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url} is not plain HTTP"));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut socket = TcpStream::connect(host).unwrap_or_else(|error| panic!("{url}: {error}"));
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut request = format!("{method} /{path} HTTP/1.1\r\nconnection: close\r\naccept: application/json\r\n");
    let own_host = [("host", host)];
    let host = if headers.iter().any(|(name, _)| *name == "host") { &[][..] } else { &own_host };
    for (name, value) in host.iter().chain(headers) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        request.push_str(&format!("content-type: {content_type}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    socket.write_all(request.as_bytes()).unwrap();
    let mut raw = Vec::new();
    socket.read_to_end(&mut raw).unwrap_or_else(|error| panic!("{method} {url}: {error}"));
    let split =
        raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("{method} {url}: no head"));
    let head = String::from_utf8(raw[..split].to_vec()).unwrap();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{head}"));
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunked(&raw[split + 4..]) } else { raw[split + 4..].to_vec() };
    Answer { status, head, body: String::from_utf8(body).unwrap() }
}

fn unchunked(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let Some(end) = raw.windows(2).position(|two| two == b"\r\n") else { return body };
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..end]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&raw[end + 2..end + 2 + size]);
        raw = &raw[end + 4 + size..];
    }
}
