//! Text in pieces, and the text of a message.

use serde_json::Value;

/// Cuts text behind each blank, so that a chunk holds about a word.
pub(super) fn in_words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

/// Cuts text into `count` pieces of nearly the same number of characters; fewer if there are not enough characters.
pub(super) fn in_pieces(text: &str, count: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let size = characters.len().div_ceil(count.max(1)).max(1);
    if characters.is_empty() {
        return vec![String::new()];
    }
    characters.chunks(size).map(|piece| piece.iter().collect()).collect()
}

/// The text of a message, whether its content is a string or a list of parts.
pub(super) fn message_text(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_put_together_are_the_text() {
        for (text, count) in [("", 3), ("a", 3), ("{\"qty\":2}", 4), ("zwölf Stück", 5), ("a  b ", 1)] {
            assert_eq!(in_pieces(text, count).concat(), text);
            assert!(in_pieces(text, count).len() <= count);
            assert_eq!(in_words(text).concat(), text);
        }
    }
}
