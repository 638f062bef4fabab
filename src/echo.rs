//! Secrets that come back: servers and proxies repeat what they were sent, in errors and in answers; and one that is garbled
//! says in its error what only the answer itself should bring.
//!
//! They are looked for in what a reader makes of an answer, because there are many ways to write a text in JSON; and in their
//! percent-encoded form too, because what was sent was often a form.

use std::{borrow::Cow, cmp::Reverse, fmt};

use serde_json::Value;
use zeroize::Zeroizing;

/// What is shorter may stand in a text by chance.
const SHORTEST: usize = 8;

/// What is as long as this, and in a place that is not for words, may be a secret whatever its name.
const LONG: usize = 20;

/// More secrets than this are not looked for in one answer, and in no longer text than this: a hostile one takes no time.
const MOST: usize = 1000;
const LONGEST_TEXT: usize = 4096;

/// Members that say in words what is wrong, or name a kind of thing, and the codes among them (RFC 6749 §5.1 and §5.2, RFC
/// 8693 §2.2.1, RFC 9457, OpenFGA).
const WORDS: [&str; 10] = [
    "detail",
    "error_description",
    "error_uri",
    "iss",
    "issued_token_type",
    "issuer",
    "message",
    "scope",
    "title",
    "token_type",
];
const CODES: [&str; 4] = ["code", "error", "input_error", "internal_error"];

/// Names of secrets that do not say it themselves.
const NAMES: [&str; 5] = ["auth_req_id", "auth_session", "connect_code", "device_code", "ticket"];

/// Secrets that were sent, and what stands in their place in a text that was answered.
#[derive(Clone)]
pub struct Secrets {
    instead: &'static str,
    /// The longest first: of one that holds another nothing is left.
    known: Vec<Zeroizing<String>>,
}

impl Secrets {
    /// None yet.
    #[must_use]
    pub fn new(instead: &'static str) -> Self {
        Self { instead, known: Vec::new() }
    }

    /// One more. Of a JWT the signature counts by itself: without it the rest opens nothing.
    #[must_use]
    pub fn with(mut self, secret: &str) -> Self {
        let signature = secret.rsplit('.').next().filter(|_| secret.matches('.').count() == 2);
        for one in [Some(secret), signature].into_iter().flatten() {
            if one.len() >= SHORTEST && !self.known.iter().any(|known| known.as_str() == one) {
                self.known.push(Zeroizing::new(one.to_owned()));
            }
        }
        self.known.sort_by_key(|known| Reverse(known.len()));
        self
    }

    /// A text of an answer, without them and without those that the answer itself brings; where these are more than can be
    /// looked for, nothing of it is left.
    #[must_use]
    pub fn out_of_said<'t>(&self, text: &'t str, answer: &[u8]) -> Cow<'t, str> {
        let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return self.out_of(text) };
        let mut own = Vec::new();
        find("", &answer, &mut own);
        match own.len() {
            0 => self.out_of(text),
            1..=MOST if text.len() <= LONGEST_TEXT => {
                let all = own.into_iter().fold(self.clone(), Self::with);
                Cow::Owned(all.out_of(text).into_owned())
            }
            _ => Cow::Borrowed(self.instead),
        }
    }

    /// A text without them.
    #[must_use]
    pub fn out_of<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let bytes = text.as_bytes();
        let mut clean: Option<Vec<u8>> = None;
        let mut at = 0;
        while at < bytes.len() {
            match self.known.iter().find_map(|secret| reach(&bytes[at..], secret.as_bytes())) {
                Some(length) => {
                    clean.get_or_insert_with(|| bytes[..at].to_vec()).extend(self.instead.bytes());
                    at += length;
                }
                None => {
                    clean.iter_mut().for_each(|clean| clean.push(bytes[at]));
                    at += 1;
                }
            }
        }
        clean.map_or(Cow::Borrowed(text), |clean| String::from_utf8_lossy(&clean).into_owned().into())
    }

    /// Whether a text holds one of them.
    #[must_use]
    pub fn stand_in(&self, text: &str) -> bool {
        matches!(self.out_of(text), Cow::Owned(_))
    }

    /// Takes them out of every text and name of a value.
    pub fn out_of_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = self.out_of(text) {
                    *text = clean;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.out_of_json(item)),
            Value::Object(members) => {
                let named = |name: &String| match self.out_of(name) {
                    Cow::Owned(clean) => Some((name.clone(), clean)),
                    Cow::Borrowed(_) => None,
                };
                let named: Vec<(String, String)> = members.keys().filter_map(named).collect();
                for (name, clean) in named {
                    if let Some(value) = members.remove(&name) {
                        members.insert(clean, value);
                    }
                }
                members.values_mut().for_each(|member| self.out_of_json(member));
            }
            _ => {}
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

/// What of an answer's value may be a secret: what has such a name, and what is long and neither words nor a code.
fn find<'v>(name: &str, value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) if is_secret(name) => found.push(text),
        Value::String(text) if CODES.contains(&name) => {
            let is_code = text.len() < LONG || !text.bytes().any(|byte| byte.is_ascii_digit());
            found.extend((!is_code && !text.contains(char::is_whitespace)).then_some(text.as_str()));
            found.extend(tokens(text));
        }
        Value::String(text) if WORDS.contains(&name) => found.extend(tokens(text)),
        Value::String(text) => found.extend(text.split_whitespace().filter(|word| word.len() >= LONG)),
        Value::Array(items) => items.iter().for_each(|item| find(name, item, found)),
        Value::Object(members) => members.iter().for_each(|(name, value)| find(name, value, found)),
        _ => {}
    }
}

fn is_secret(name: &str) -> bool {
    let says_it = ["secret", "pass", "assertion"].iter().any(|word| name.contains(word));
    says_it || name == "token" || name.ends_with("_token") || NAMES.contains(&name)
}

/// What looks like a JWT.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
    words.filter(|word| word.starts_with("eyJ") && word.len() >= LONG)
}

/// How much of the text's beginning is this secret, in clear or percent-encoded in whichever way.
fn reach(text: &[u8], secret: &[u8]) -> Option<usize> {
    if text.starts_with(secret) {
        return Some(secret.len());
    }
    let mut at = 0;
    for wanted in secret {
        at += match *text.get(at..)? {
            [b'%', high, low, ..] if hex(high).zip(hex(low)).is_some_and(|(high, low)| high * 16 + low == *wanted) => 3,
            [b'+', ..] if *wanted == b' ' => 1,
            [byte, ..] if byte == *wanted => 1,
            _ => return None,
        };
    }
    Some(at)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn cleaned(secret: &str, text: &str) -> String {
        Secrets::new("(x)").with(secret).out_of(text).into_owned()
    }

    #[test]
    fn it_is_found_in_clear_and_encoded() {
        for (secret, text, expected) in [
            ("refresh-1234", "a refresh-1234 b refresh-1234", "a (x) b (x)"),
            ("refresh-1234", "token=refresh%2D1234&x=1", "token=(x)&x=1"),
            ("refresh-1234", "%72efresh%2d1234", "(x)"),
            ("refresh-1234", "refresh-123", "refresh-123"),
            ("p%q +ä/=9", "p%25q+%2B%C3%A4%2F%3D9, p%25q%20%2b%c3%a4/=9 and p%q +ä/=9", "(x), (x) and (x)"),
            ("ab%25cd%2F", "ab%25cd%2F; ab%2525cd%252F", "(x); (x)"),
            // A JWT, its signature alone, and what opens nothing.
            ("eyJh.eyJz.c2lnbmF0dXJl", "eyJh.eyJz.c2lnbmF0dXJl, c2lnbmF0dXJl, eyJh.eyJz", "(x), (x), eyJh.eyJz"),
            ("short", "short words are no secrets", "short words are no secrets"),
            ("", "nothing", "nothing"),
        ] {
            assert_eq!(cleaned(secret, text), expected, "{secret} in {text}");
        }
        let both = Secrets::new("(x)").with("12345678").with("0123456789");
        assert_eq!(both.out_of("0123456789 12345678"), "(x) (x)");
        assert!(!format!("{both:?}").contains("1234"));
    }

    #[test]
    fn names_and_texts_of_json_are_looked_at() {
        let mut value = json!({"a": ["x secret-1", {"b": 1}], "secret-1": {"secret%2D1": null}});
        Secrets::new("(x)").with("secret-1").out_of_json(&mut value);
        assert_eq!(value, json!({"a": ["x (x)", {"b": 1}], "(x)": {"(x)": null}}));
    }

    #[test]
    fn what_an_answer_brings_is_not_said() {
        let said = |text: &str, answer: Value| {
            Secrets::new("(x)").with("sent-1234").out_of_said(text, answer.to_string().as_bytes()).into_owned()
        };
        for name in
            ["access_token", "refresh_token", "id_token", "auth_req_id", "device_code", "token", "client_secret"]
        {
            assert_eq!(said("got live-123", json!({"a": [{name: "live-123"}]})), "got (x)", "{name}");
        }
        let long = "opaque-live-token-0123456789abcdef";
        for (text, answer, expected) in [
            // Long and in no place for words; a code that is none; a JWT anywhere.
            (long, json!({"data": [long]}), "(x)"),
            (long, json!({"data": format!("Bearer {long}")}), "(x)"),
            (long, json!({"error": long}), "(x)"),
            (
                "no: eyJhbGciOiJub25lIn0.e30.abc.",
                json!({"error_description": "\"eyJhbGciOiJub25lIn0.e30.abc\""}),
                "no: (x).",
            ),
            ("sent-1234 and live%2D123", json!({"access_token": "live-123"}), "(x) and (x)"),
            // Of one that holds another nothing is left.
            ("<sent-1234>", json!({"access_token": "<sent-1234>"}), "(x)"),
            // Words stay words.
            ("short", json!({"state": "short"}), "short"),
            (
                "federated_connection_refresh_token_not_found",
                json!({"error": "federated_connection_refresh_token_not_found"}),
                "federated_connection_refresh_token_not_found",
            ),
            (
                "Trace 01234567-89ab-cdef-0123-456789abcdef",
                json!({"error_description": "Trace 01234567-89ab-cdef-0123-456789abcdef"}),
                "Trace 01234567-89ab-cdef-0123-456789abcdef",
            ),
            (
                "read:me:connected_accounts",
                json!({"scope": "read:me:connected_accounts"}),
                "read:me:connected_accounts",
            ),
        ] {
            assert_eq!(said(text, answer), expected, "{text}");
        }
        let secrets = Secrets::new("(x)").with("sent-1234");
        assert_eq!(secrets.out_of_said("sent-1234 live-123", b"{\"access_token\": \"live"), "(x) live-123");
        // Too much to look for.
        let many: Vec<String> = (0..2000).map(|number| format!("0123456789abcdef-{number:04}")).collect();
        assert_eq!(said("any", json!(many)), "(x)");
        assert_eq!(said(&"y".repeat(5000), json!({"access_token": "live-123"})), "(x)");
        assert_eq!(said(&"y".repeat(5000), json!({"error": "no"})), "y".repeat(5000));
    }

    proptest! {
        #[test]
        fn of_a_form_nothing_is_left(secret in "\\PC{8,40}", before in "\\PC{0,9}", after in "\\PC{0,9}") {
            let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            for echo in [&secret, &encoded] {
                let text = cleaned(&secret, &format!("{before}\u{1}{echo}\u{1}{after}"));
                prop_assert!(text.contains("\u{1}(x)\u{1}"), "{}", text);
            }
        }
    }
}
