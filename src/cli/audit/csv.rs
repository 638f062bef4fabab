//! CSV (RFC 4180) that a spreadsheet reads as text: one row for each action.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Pair, words};
use crate::escape;

/// The columns: a name, and where its value stands: in the request or in the response.
const COLUMNS: &[(&str, Place, &str)] = &[
    ("run", Place::Request, "/run"),
    ("profile", Place::Request, "/actor/profile"),
    ("issuer", Place::Request, "/actor/iss"),
    ("subject", Place::Request, "/actor/sub"),
    ("tool", Place::Request, "/tool"),
    ("effect", Place::Request, "/effect"),
    ("arguments", Place::Request, "/arguments"),
    ("hidden", Place::Request, "/hidden"),
    ("origin", Place::Request, "/origin"),
    ("spend", Place::Request, "/spend"),
    ("digest", Place::Request, "/digest"),
    ("permission", Place::Response, "/permission/answer"),
    ("approval", Place::Response, "/approval/approval"),
    ("approved_by", Place::Response, "/approval/subject"),
    ("approved_at", Place::Response, "/approval/approved_at"),
    ("binding", Place::Response, "/approval/binding"),
    ("binding_message", Place::Response, "/approval/binding_message"),
    ("outcome", Place::Response, "/outcome"),
    ("http_status", Place::Response, "/http_status"),
    ("message", Place::Response, "/message"),
];

#[derive(Clone, Copy)]
enum Place {
    Request,
    Response,
}

/// The first row.
pub(super) fn head() -> String {
    let ours = ["action", "request_seq", "requested_at", "response_seq", "ended_at"].map(str::to_owned);
    let last = ["sent_seq", "sent_at", "proven"].map(str::to_owned);
    row(ours.into_iter().chain(COLUMNS.iter().map(|(name, _, _)| (*name).to_owned())).chain(last))
}

/// The row of an action.
pub(super) fn of(pair: &Pair) -> String {
    let (response, sent) = (pair.response.as_ref(), pair.sent.as_ref());
    let ours = [
        pair.action().to_owned(),
        pair.request.seq.to_string(),
        pair.request.time.clone(),
        response.map(|entry| entry.seq.to_string()).unwrap_or_default(),
        response.map(|entry| entry.time.clone()).unwrap_or_default(),
    ];
    let value = |place: Place, path: &str| -> &Value {
        match place {
            Place::Request => pair.asked(path),
            Place::Response => pair.ended(path),
        }
    };
    let last = [
        sent.map(|entry| entry.seq.to_string()).unwrap_or_default(),
        sent.map(|entry| entry.time.clone()).unwrap_or_default(),
        pair.proven().map(|proven| proven.to_string()).unwrap_or_default(),
    ];
    row(ours.into_iter().chain(COLUMNS.iter().map(|(_, place, path)| words(value(*place, path)))).chain(last))
}

fn row(cells: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for (at, cell) in cells.enumerate() {
        let _ = write!(text, "{}{}", if at > 0 { "," } else { "" }, quoted(&cell));
    }
    text + "\r\n"
}

/// One cell. What a spreadsheet would take for a formula gets an apostrophe in front; control characters, line ends among
/// them, and marks of direction become visible, as on a terminal.
fn quoted(cell: &str) -> String {
    let safe = escape::field(cell);
    // Some programs skip blanks before they look.
    let formula = safe.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '|', '%'])
        || safe.starts_with(['␉', '␍']);
    let apostrophe = if formula { "'" } else { "" };
    if formula || safe.contains([',', '"', ' ', '\'', ';']) {
        format!("\"{apostrophe}{}\"", safe.replace('"', "\"\""))
    } else {
        safe.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_text_and_nothing_else() {
        for (cell, wanted) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("  =1", "\"'  =1\""),
            ("\t=1", "\"'␉=1\""),
            ("\r=1", "\"'␍=1\""),
            ("two\r\nlines", "two␍␊lines"),
            ("\u{1b}[2J\u{202e}", "␛[2J<U+202E>"),
            ("", ""),
        ] {
            assert_eq!(quoted(cell), wanted, "{cell:?}");
        }
        assert_eq!(head().matches(',').count(), COLUMNS.len() + 7);
        assert!(head().ends_with("\r\n"));
    }
}
