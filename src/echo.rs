//! Secrets that come back: servers and proxies repeat what they were sent, in errors and in answers.
//!
//! They are looked for in what a reader makes of an answer, because there are many ways to write a text in JSON; and in their
//! percent-encoded form too, because what was sent was often a form.

use std::{borrow::Cow, cmp::Reverse, fmt};

use serde_json::Value;
use zeroize::Zeroizing;

/// What is shorter may stand in a text by chance.
const SHORTEST: usize = 8;

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
