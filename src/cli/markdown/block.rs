//! What a line is: the blocks of CommonMark (§4, §5) as far as models write them, decided from the fewest characters.
//!
//! Lists are read more leniently than the specification has it: an item that is indented by two columns is nested, also
//! below `10. `, because that is what models write.

/// How deep quotes and lists may be nested.
const DEPTH: usize = 8;
/// How long the beginning of a line may be undecided.
const LONGEST: usize = 4096;

/// What a line stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Quote,
    Item {
        /// From this indentation on a line belongs to it.
        need: usize,
        /// Where its own text begins.
        content: usize,
        /// `1.`, or nothing for a bullet.
        number: String,
    },
}

/// What a line holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Blank,
    Heading(usize),
    Fence(Fence),
    Rule,
    /// A row of a table, or text that begins like one.
    Row,
    /// A line of code that is marked by nothing but its indentation.
    Indented,
    Text,
}

/// The beginning of a block of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fence {
    pub(super) mark: u8,
    pub(super) length: usize,
    /// How far it is indented itself; as much is taken from each of its lines.
    pub(super) indent: usize,
    /// The language, if it is named.
    pub(super) info: String,
}

/// A line that is understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// How many of the containers go on.
    pub(super) kept: usize,
    /// Those that begin.
    pub(super) new: Vec<Container>,
    pub(super) kind: Kind,
    /// Where its content begins.
    pub(super) at: usize,
}

/// Reads the beginning of a line, or all of it if it is `whole`. `paragraph`: the line before was one. None: it could still
/// become one thing or another.
pub(super) fn read(line: &str, containers: &[Container], paragraph: bool, whole: bool) -> Option<Line> {
    if !whole && line.len() > LONGEST {
        return Some(Line { kept: 0, new: Vec::new(), kind: Kind::Text, at: 0 });
    }
    let undecided = !whole;
    let (kept, mut at) = continued(line, containers, undecided)?;
    let mut new = Vec::new();
    loop {
        let (indent, bytes) = indentation(&line[at..]);
        let rest = &line[at + bytes..];
        if rest.is_empty() {
            return if undecided { None } else { Some(Line { kept, new, kind: Kind::Blank, at: line.len() }) };
        }
        let begun = kept + new.len();
        let outside = new.is_empty() && kept == containers.len();
        if rest.starts_with('>') && begun < DEPTH {
            if rest.len() == 1 && undecided {
                return None;
            }
            at += bytes + 1 + usize::from(rest[1..].starts_with(' '));
            new.push(Container::Quote);
            continue;
        }
        match marker(rest, paragraph && outside, undecided) {
            Marker::Open => return None,
            Marker::Rule => return Some(Line { kept, new, kind: Kind::Rule, at: line.len() }),
            Marker::Item { length, number } if begun < DEPTH => {
                let (space, space_bytes) = indentation(&rest[length..]);
                // Five spaces and more are one space and the beginning of code.
                let (space, space_bytes) = if space > 4 { (1, 1) } else { (space, space_bytes) };
                new.push(Container::Item { need: indent + 2, content: indent + length + space, number });
                at += bytes + length + space_bytes;
                continue;
            }
            Marker::Item { .. } | Marker::None => {}
        }
        let in_list = containers[..kept].iter().chain(&new).any(|container| *container != Container::Quote);
        let (kind, at) = match leaf(rest, indent, paragraph, undecided)? {
            (Kind::Text, _) if indent >= 4 && !paragraph && !in_list => (Kind::Indented, at + strip(&line[at..], 4)),
            (kind, mark) => (kind, at + bytes + mark),
        };
        // Text goes on in the paragraph before it, also where a quote's mark or an item's indentation is missing.
        let kept = if kind == Kind::Text && new.is_empty() && paragraph { containers.len() } else { kept };
        return Some(Line { kept, new, kind, at });
    }
}

/// How many containers a line of code stays in, where its text begins, and whether the fence is closed by it.
pub(super) fn read_code(
    line: &str,
    containers: &[Container],
    fence: &Fence,
    whole: bool,
) -> Option<(bool, bool, usize)> {
    if !whole && line.len() > LONGEST {
        return Some((true, false, 0));
    }
    let undecided = !whole;
    let mut at = 0;
    for container in containers {
        let (_, bytes) = indentation(&line[at..]);
        match container {
            Container::Quote if line[at + bytes..].starts_with('>') => {
                if line.len() == at + bytes + 1 && undecided {
                    return None;
                }
                at += bytes + 1;
                at += usize::from(line[at..].starts_with(' '));
            }
            Container::Quote if line.len() == at + bytes && undecided => return None,
            Container::Quote => return Some((false, false, 0)),
            // Models forget to indent code inside lists.
            Container::Item { content, .. } => at += strip(&line[at..], *content),
        }
    }
    let rest = line[at..].trim_ascii_start();
    let length = rest.bytes().take_while(|byte| *byte == fence.mark).count();
    if rest[length..].trim_ascii().is_empty() {
        if undecided {
            return None;
        }
        if length >= fence.length {
            return Some((true, true, line.len()));
        }
    }
    Some((true, false, at + strip(&line[at..], fence.indent)))
}

/// How many of the containers a line goes on with, and where the rest of it begins.
fn continued(line: &str, containers: &[Container], undecided: bool) -> Option<(usize, usize)> {
    let mut at = 0;
    for (kept, container) in containers.iter().enumerate() {
        let (indent, bytes) = indentation(&line[at..]);
        let rest = &line[at + bytes..];
        if rest.is_empty() && undecided {
            return None;
        }
        match container {
            Container::Quote if rest.starts_with('>') => {
                if rest.len() == 1 && undecided {
                    return None;
                }
                at += bytes + 1 + usize::from(rest[1..].starts_with(' '));
            }
            Container::Item { .. } if rest.is_empty() => {}
            Container::Item { need, content, .. } if indent >= *need => at += strip(&line[at..], *content),
            _ => return Some((kept, at)),
        }
    }
    Some((containers.len(), at))
}

enum Marker {
    None,
    Open,
    Rule,
    Item { length: usize, number: String },
}

/// A list item (§5.2) or a rule (§4.1), which may begin alike.
fn marker(rest: &str, in_paragraph: bool, undecided: bool) -> Marker {
    let bytes = rest.as_bytes();
    let first = bytes[0];
    if matches!(first, b'-' | b'*' | b'_') {
        let mut marks = 0;
        if rest.bytes().all(|byte| {
            byte == b' '
                || (byte == first && {
                    marks += 1;
                    true
                })
        }) {
            if undecided {
                return Marker::Open;
            }
            if marks >= 3 {
                return Marker::Rule;
            }
        }
    }
    let (length, number) = match first {
        b'-' | b'*' | b'+' => (1, String::new()),
        b'0'..=b'9' => {
            let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
            match bytes.get(digits) {
                None if undecided && digits <= 9 => return Marker::Open,
                // A year at the beginning of a line that goes on is no list.
                Some(b'.' | b')') if digits <= 9 && !(in_paragraph && &rest[..digits] != "1") => {
                    (digits + 1, rest[..=digits].to_owned())
                }
                _ => return Marker::None,
            }
        }
        _ => return Marker::None,
    };
    match bytes.get(length) {
        Some(b' ' | b'\t') => Marker::Item { length, number },
        None if undecided => Marker::Open,
        None => Marker::Item { length, number },
        Some(_) => Marker::None,
    }
}

/// What is neither quote nor list, and how much of it is its mark.
fn leaf(rest: &str, indent: usize, paragraph: bool, undecided: bool) -> Option<(Kind, usize)> {
    let first = rest.as_bytes()[0];
    let length = rest.bytes().take_while(|byte| *byte == first && byte.is_ascii()).count();
    let after = &rest[length..];
    match first {
        b'#' if length <= 6 => match after.as_bytes().first() {
            None | Some(b' ' | b'\t') if undecided && after.trim_ascii().is_empty() => None,
            Some(b' ' | b'\t') | None => {
                Some((Kind::Heading(length), length + after.len() - after.trim_ascii_start().len()))
            }
            Some(_) => Some((Kind::Text, 0)),
        },
        b'`' | b'~' => match (length, after) {
            (_, "") if undecided => None,
            (0..3, _) => Some((Kind::Text, 0)),
            (_, info) if first == b'`' && info.contains('`') => Some((Kind::Text, 0)),
            _ if undecided => None,
            _ => {
                let info = after.split_whitespace().next().unwrap_or_default().chars().take(24).collect();
                Some((Kind::Fence(Fence { mark: first, length, indent, info }), rest.len()))
            }
        },
        b'|' => match undecided {
            true => None,
            false => Some((Kind::Row, 0)),
        },
        // The line under a heading (§4.3), which is on the screen already.
        b'=' if paragraph && after.trim_ascii().is_empty() => match undecided {
            true => None,
            false => Some((Kind::Rule, rest.len())),
        },
        _ => Some((Kind::Text, 0)),
    }
}

/// White space at the beginning: its columns, and its bytes.
fn indentation(text: &str) -> (usize, usize) {
    let mut columns = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b' ' => columns += 1,
            b'\t' => columns += 4 - columns % 4,
            _ => return (columns, at),
        }
    }
    (columns, text.len())
}

/// How many bytes of white space make up to so many columns.
fn strip(text: &str, columns: usize) -> usize {
    let mut seen = 0;
    text.bytes()
        .take_while(|byte| {
            seen += match byte {
                b' ' => 1,
                b'\t' => 4 - seen % 4,
                _ => return false,
            };
            seen <= columns
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a line is understood, and after how many characters that was clear.
    fn kind(line: &str, containers: &[Container], paragraph: bool) -> (Line, usize) {
        let whole = read(line, containers, paragraph, true).unwrap();
        let ends = line.char_indices().map(|(at, c)| at + c.len_utf8());
        let early = ends.clone().find_map(|end| Some((read(&line[..end], containers, paragraph, false)?, end)));
        let (early, end) = early.unwrap_or_else(|| (read(line, containers, paragraph, true).unwrap(), line.len() + 1));
        assert_eq!(
            (&early.kind, early.kept, &early.new, early.at),
            (&whole.kind, whole.kept, &whole.new, whole.at),
            "{line:?}"
        );
        (whole, end)
    }

    fn item(need: usize, content: usize, number: &str) -> Container {
        Container::Item { need, content, number: number.to_owned() }
    }

    #[test]
    fn lines_are_understood_early() {
        let fence = |mark, length, info: &str| Kind::Fence(Fence { mark, length, indent: 0, info: info.to_owned() });
        // The line, what it is, where its content begins, after how many bytes that was clear (0: at its end).
        let table = [
            ("Hello", Kind::Text, 0, 1),
            ("  Hello", Kind::Text, 2, 3),
            ("# Title", Kind::Heading(1), 2, 3),
            ("###  T", Kind::Heading(3), 5, 6),
            ("#hashtag", Kind::Text, 0, 2),
            ("####### T", Kind::Text, 0, 7),
            ("**bold**", Kind::Text, 0, 3),
            ("***", Kind::Rule, 3, 0),
            ("- - -", Kind::Rule, 5, 0),
            ("---", Kind::Rule, 3, 0),
            ("--flag", Kind::Text, 0, 3),
            ("-5", Kind::Text, 0, 2),
            ("```", fence(b'`', 3, ""), 3, 0),
            ("````rust x", fence(b'`', 4, "rust"), 10, 0),
            ("~~~", fence(b'~', 3, ""), 3, 0),
            ("`code`", Kind::Text, 0, 2),
            ("```a```", Kind::Text, 0, 5),
            ("| a | b |", Kind::Row, 0, 0),
            ("1984 was", Kind::Text, 0, 5),
            ("3.5 mm", Kind::Text, 0, 3),
            ("    code", Kind::Indented, 4, 5),
            ("==", Kind::Text, 0, 1),
            ("", Kind::Blank, 0, 0),
            ("   ", Kind::Blank, 3, 0),
        ];
        for (line, expected, at, clear) in table {
            let (found, end) = kind(line, &[], false);
            assert_eq!((found.kind, found.at), (expected, at), "{line:?}");
            assert_eq!(if end > line.len() { 0 } else { end }, clear, "{line:?}");
            assert!(found.new.is_empty(), "{line:?}");
        }
    }

    #[test]
    fn quotes_and_items_nest() {
        let new = |line: &str, containers: &[Container]| {
            let (line, _) = kind(line, containers, false);
            (line.kept, line.new)
        };
        assert_eq!(new("> a", &[]), (0, vec![Container::Quote]));
        assert_eq!(new("> > a", &[Container::Quote]), (1, vec![Container::Quote]));
        assert_eq!(new("- a", &[]), (0, vec![item(2, 2, "")]));
        assert_eq!(new("- b", &[item(2, 2, "")]), (0, vec![item(2, 2, "")]));
        assert_eq!(new("  - b", &[item(2, 2, "")]), (1, vec![item(2, 2, "")]));
        assert_eq!(new("    - b", &[item(2, 2, "")]), (1, vec![item(4, 4, "")]));
        assert_eq!(new("10. a", &[]), (0, vec![item(2, 4, "10.")]));
        assert_eq!(new("  - a", &[item(2, 4, "10.")]), (1, vec![item(2, 2, "")]));
        assert_eq!(new("- > 1) a", &[]), (0, vec![item(2, 2, ""), Container::Quote, item(2, 3, "1)")]));
        assert_eq!(new("text", &[item(2, 2, "")]), (0, vec![]));
        assert_eq!(new("", &[item(2, 2, ""), Container::Quote]), (1, vec![]));
        assert_eq!(new(&"> ".repeat(20), &[]).1.len(), DEPTH);
        // Text goes on in the paragraph before it; a year is no item of a list.
        assert_eq!(kind("text", &[item(2, 2, "")], true).0.kept, 1);
        assert_eq!(kind("1984. Ah", &[], true).0.new, []);
        assert_eq!(kind("2. b", &[item(2, 3, "1.")], true).0.new, [item(2, 3, "2.")]);
    }

    #[test]
    fn code_ends_at_its_fence() {
        let fence = Fence { mark: b'`', length: 3, indent: 2, info: String::new() };
        let read = |line: &str, containers: &[Container]| read_code(line, containers, &fence, true).unwrap();
        assert_eq!(read("```", &[]), (true, true, 3));
        assert_eq!(read("  ````  ", &[]), (true, true, 8));
        assert_eq!(read("``", &[]), (true, false, 0));
        assert_eq!(read("```rust", &[]), (true, false, 0));
        assert_eq!(read("    x", &[]), (true, false, 2));
        assert_eq!(read("x", &[item(2, 2, "")]), (true, false, 0));
        assert_eq!(read("> x", &[Container::Quote]), (true, false, 2));
        assert_eq!(read("x", &[Container::Quote]), (false, false, 0));
        assert_eq!(read_code(" ``", &[], &fence, false), None);
        assert_eq!(read_code("`a", &[], &fence, false), Some((true, false, 0)));
    }
}
