//! What was asked of the tenant and what it answered: the oracle of tests that look for a secret where none may be.

use std::{collections::VecDeque, time::Duration};

use aws_lc_rs::digest;
use axum::http::{HeaderMap, Method, Uri, header};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{
    answer::{Form, is_form},
    clients::{CIBA_GRANT, DEVICE_GRANT, EXCHANGE_GRANT, VAULT_GRANT},
    preset::Paths,
};

/// Older entries are forgotten, ...
const KEPT: usize = 10_000;
/// ... and so they are when all their bodies together have more bytes. As values they take several times as much.
const KEPT_BYTES: usize = 32 << 20;

/// The last requests, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: VecDeque<Entry>,
    last: u64,
    bytes: usize,
}

/// One request.
#[derive(Debug)]
struct Entry {
    seq: u64,
    labels: Vec<&'static str>,
    value: Value,
    bytes: usize,
}

/// What a fault or a query can name, the most special first.
pub(super) const LABELS: [&str; 18] = [
    "device",
    "device_poll",
    "refresh",
    "ciba",
    "ciba_poll",
    "vault",
    "token",
    "revoke",
    "introspect",
    "userinfo",
    "jwks",
    "discovery",
    "shop",
    "fga",
    "my_account",
    "directory",
    "model",
    "page",
];

/// The names of a request: a poll is `ciba_poll` and `token`, say.
pub(super) fn labels(paths: &Paths, path: &str, form: Option<&Form>) -> Vec<&'static str> {
    if path == paths.token {
        return match form.and_then(|form| form.get("grant_type")) {
            Some(DEVICE_GRANT) => vec!["device_poll", "token"],
            Some(CIBA_GRANT) => vec!["ciba_poll", "token"],
            Some("refresh_token") => vec!["refresh", "token"],
            Some(VAULT_GRANT | EXCHANGE_GRANT) => vec!["vault", "token"],
            _ => vec!["token"],
        };
    }
    let label = match path {
        path if path == paths.device => "device",
        path if path == paths.backchannel => "ciba",
        path if path == paths.revoke => "revoke",
        path if path == paths.introspect => "introspect",
        path if path == paths.userinfo => "userinfo",
        path if path == paths.jwks => "jwks",
        path if paths.discovery.contains(&path) => "discovery",
        path if path.starts_with("/shop/") => "shop",
        path if path.starts_with("/fga/") => "fga",
        path if path.starts_with("/me/v1/") => "my_account",
        path if path.starts_with("/okta/") => "directory",
        path if path.starts_with("/v1/") => "model",
        _ => "page",
    };
    vec![label]
}

/// A request before it is answered.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) labels: Vec<&'static str>,
    pub(super) value: Value,
    /// Of its body.
    bytes: usize,
}

impl Seen {
    pub(super) fn new(
        labels: Vec<&'static str>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
        (wall, elapsed): (DateTime<Utc>, Duration),
    ) -> Self {
        let mut value = json!({
            "of": labels.first(), "labels": labels, "at": wall, "elapsed_ms": millis(elapsed),
            "method": method.as_str(), "path": uri.path(), "headers": header_map(headers),
        });
        if let Some(query) = uri.query() {
            value["query"] = pairs(&Form::parse(query.as_bytes()));
        }
        if is_form(headers) {
            value["form"] = pairs(&Form::parse(body));
        } else if !body.is_empty() {
            let json = serde_json::from_slice::<Value>(body).ok();
            value["body"] = json.unwrap_or_else(|| String::from_utf8_lossy(body).into());
        }
        Self { labels, value, bytes: body.len() }
    }
}

impl History {
    /// Writes a request down and returns its number.
    pub(super) fn add(&mut self, seen: Seen) -> u64 {
        self.last += 1;
        let mut value = seen.value;
        value["seq"] = self.last.into();
        self.entries.push_back(Entry { seq: self.last, labels: seen.labels, value, bytes: seen.bytes });
        self.bytes += seen.bytes;
        while self.entries.len() > KEPT || self.bytes > KEPT_BYTES && self.entries.len() > 1 {
            self.bytes -= self.entries.pop_front().map_or(0, |oldest| oldest.bytes);
        }
        self.last
    }

    /// Adds what came of it.
    pub(super) fn answered(&mut self, seq: u64, answer: Value) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.seq == seq) {
            entry.value["answer"] = answer;
        }
    }

    /// The JSON of the last good answer to a request with this label.
    pub(super) fn last_good(&self, of: &str) -> Option<Value> {
        let answers = self.entries.iter().rev().filter(|entry| entry.labels.contains(&of));
        let mut good = answers.map(|entry| &entry.value["answer"]).filter(|answer| answer["status"] == 200);
        good.find_map(|answer| answer.get("body").cloned())
    }

    /// The entries with this label, or all.
    pub(super) fn list(&self, of: Option<&str>) -> Vec<Value> {
        let fits = |entry: &&Entry| of.is_none_or(|of| entry.labels.contains(&of));
        self.entries.iter().filter(fits).map(|entry| entry.value.clone()).collect()
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn pairs(form: &Form) -> Value {
    let mut map = Map::new();
    for (name, value) in form.pairs() {
        map.insert(name.to_owned(), value.into());
    }
    Value::Object(map)
}

/// All headers; of `authorization` only the scheme and a hash, so that equal ones can be recognized.
fn header_map(headers: &HeaderMap) -> Value {
    let mut map = Map::new();
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        let shown = match *name {
            header::AUTHORIZATION => {
                let (scheme, rest) = text.split_once(' ').unwrap_or(("", &text));
                format!("{scheme} sha256:{}", hex(digest::digest(&digest::SHA256, rest.as_bytes()).as_ref()))
            }
            _ => text.into_owned(),
        };
        map.insert(name.as_str().to_owned(), shown.into());
    }
    Value::Object(map)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_or_too_much_is_forgotten() {
        let seen = |bytes| Seen { labels: vec!["model"], value: json!({}), bytes };
        let mut history = History::default();
        for bytes in [KEPT_BYTES / 2, KEPT_BYTES / 2, 1, 0] {
            history.add(seen(bytes));
        }
        let kept = |history: &History| history.list(None).iter().map(|entry| entry["seq"].clone()).collect::<Vec<_>>();
        assert_eq!(kept(&history), [2, 3, 4]);
        history.add(seen(KEPT_BYTES + 1));
        assert_eq!(kept(&history), [5], "the last one stays, whatever it weighs");
        for _ in 0..KEPT {
            history.add(seen(0));
        }
        assert_eq!((history.entries.len(), history.bytes), (KEPT, 0));
    }
}
