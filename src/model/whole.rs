//! Whether a JSON text that arrives in pieces has come to its end. Each piece is looked at once: reading all of it anew for
//! each piece takes quadratic time, which a server can make as long as it likes.

/// What is known of the text so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Whole {
    depth: usize,
    in_text: bool,
    escaped: bool,
    is_whole: bool,
}

impl Whole {
    /// Takes the next piece.
    pub(super) fn take(&mut self, piece: &str) {
        for byte in piece.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => {
                    self.in_text = !self.in_text;
                    self.is_whole |= !self.in_text && self.depth == 0;
                }
                _ if self.in_text => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.is_whole |= self.depth == 0;
                }
                _ => {}
            }
        }
    }

    /// Whether an object, an array or a text has ended. Nothing else can be the arguments of a call.
    pub(super) fn is_whole(self) -> bool {
        self.is_whole
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    #[test]
    fn the_end_is_where_a_reader_of_json_finds_it() {
        for text in [
            "{}",
            " {\"a\":\"}\",\"b\":[{\"c\":\"\\\"}\"}]} ",
            "[[],\"]\"]",
            "{\"\\\\\":{}}",
            "\"{\\\"a\\\":1}\"",
            "{\"é\":\"\\u007d\"}",
        ] {
            let mut whole = Whole::default();
            for at in 0..text.len() {
                let Some(piece) = text.get(at..=at) else { continue };
                whole.take(piece);
                let read = serde_json::from_str::<IgnoredAny>(&text[..=at]).is_ok();
                assert_eq!(whole.is_whole(), read, "{}", &text[..=at]);
            }
            assert!(whole.is_whole(), "{text}");
        }
        let mut nothing = Whole::default();
        nothing.take(" \n");
        assert!(!nothing.is_whole());
    }
}
