//! The key does not come back: servers and proxies repeat what they were sent, in errors and in answers. It is taken out
//! after the JSON is read, because there are many ways to write a text in JSON.

use serde_json::Value;

use crate::{echo::Secrets, secret::ApiKey};

const INSTEAD: &str = "(the key)";

/// Servers on the person's own machine want any word as a key, and an answer may hold that word.
const SHORTEST_IN_ANSWERS: usize = 20;

/// The key that a server was sent, if it was sent one.
#[derive(Clone, Debug, Default)]
pub(super) struct Key(Option<ApiKey>);

impl Key {
    pub(super) fn new(key: Option<ApiKey>) -> Self {
        Self(key)
    }

    fn of_length(&self, shortest: usize) -> Option<&str> {
        self.0.as_ref().map(ApiKey::expose).filter(|key| key.len() >= shortest)
    }

    /// An error without it.
    pub(super) fn out_of_error(&self, mut error: Value) -> Value {
        Secrets::new(INSTEAD).with(self.of_length(0).unwrap_or_default()).out_of_json(&mut error);
        error
    }

    /// Whether it stands in an address, encoded or in the small letters in which a host is written.
    pub(super) fn is_in_address(&self, address: &str) -> bool {
        let Some(key) = self.of_length(0) else { return false };
        let holds = |address: &str, key: &str| Secrets::new(INSTEAD).with(key).out_of(address) != address;
        holds(address, key) || holds(&address.to_ascii_lowercase(), &key.to_ascii_lowercase())
    }

    /// Takes it out of the end of a text that grows; before `from` there is nothing of it. How many bytes at the end may be
    /// its beginning, so that the next piece decides.
    pub(super) fn out_of_answer(&self, text: &mut String, from: usize) -> usize {
        let Some(key) = self.of_length(SHORTEST_IN_ANSWERS) else { return 0 };
        if text[from..].contains(key) {
            let clean = text[from..].replace(key, INSTEAD);
            text.replace_range(from.., &clean);
        }
        let tail = &text.as_bytes()[text.len().saturating_sub(key.len() - 1)..];
        let begun = (0..tail.len()).find(|at| key.as_bytes().starts_with(&tail[*at..]));
        begun.map_or(0, |at| tail.len() - at)
    }

    /// Whether it stands in a part of a call, in clear or in what a reader of JSON makes of it.
    pub(super) fn is_in(&self, part: &str) -> bool {
        let Some(key) = self.of_length(SHORTEST_IN_ANSWERS) else { return false };
        let read = || {
            let mut value = serde_json::from_str::<Value>(part).unwrap_or_default();
            let before = value.clone();
            Secrets::new(INSTEAD).with(key).out_of_json(&mut value);
            value != before
        };
        part.contains(key) || (part.contains('\\') && read())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What may be shown after each piece.
    fn shown(key: &str, pieces: &[&str]) -> Vec<String> {
        let key = Key::new(Some(ApiKey::new(key)));
        let (mut text, mut held) = (String::new(), 0);
        let mut after = |piece: &&str| {
            let from = text.len() - held;
            text.push_str(piece);
            held = key.out_of_answer(&mut text, from);
            text[..text.len() - held].to_owned()
        };
        pieces.iter().map(&mut after).collect()
    }

    #[test]
    fn a_key_in_pieces_is_found_and_nothing_else_is_held_back() {
        let key = "sk-sk-sk-0123456789abcdef";
        let cases: &[(&[&str], &[&str])] = &[
            (&["a sk-sk-", "sk-0123456789abcdef b"], &["a ", "a (the key) b"]),
            (&["s", "k", "i", "ng"], &["", "", "ski", "sking"]),
            // What looks like the beginning is the middle of the beginning.
            (&["sk-sk-sk-sk-", "sk-0123456789abcdef"], &["sk-", "sk-sk-(the key)"]),
            (&["sk-sk-sk-0123456789abcde", "é"], &["", "sk-sk-sk-0123456789abcdeé"]),
            (&["ésk-sk-sk-0123456789abcdefsk-sk-sk-0123456789abcdefs"], &["é(the key)(the key)"]),
        ];
        for (pieces, expected) in cases {
            assert_eq!(shown(key, pieces), *expected, "{pieces:?}");
        }
        for at in 1..key.len() {
            assert_eq!(shown(key, &[&key[..at], &key[at..]]), ["", "(the key)"], "{at}");
        }
        assert_eq!(shown("lm-studio", &["lm-", "studio"]), ["lm-", "lm-studio"], "any word is no secret");
    }
}
