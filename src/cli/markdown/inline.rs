//! What stands inside a line: emphasis, code, links (CommonMark §6), as far as models write them.
//!
//! A mark is only acted upon once its other end is there, so that a lonely `*` stays a `*`. Until then what follows it waits,
//! but never longer than [`REACH`]: that also keeps the time linear in the length, whatever comes.

use std::ops::Range;

use anstyle::{AnsiColor, Style};

/// How far from its beginning a mark may end, in bytes.
const REACH: usize = 500;
/// How deep emphasis may be nested.
const DEPTH: usize = 4;
/// Code, in a line or in a block.
pub(super) const CODE: Style = AnsiColor::Cyan.on_default();
/// Where a link leads.
const TARGET: Style = Style::new().dimmed();

/// Reads lines piece by piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inline {
    /// Marks stay visible: there are no styles to take their place.
    pub(super) marks: bool,
    /// The character before.
    pub(super) before: char,
}

/// What begins with a mark.
#[derive(Debug, PartialEq, Eq)]
enum Span {
    /// Nothing but these bytes.
    Plain(usize),
    /// Not known yet.
    Open,
    /// The byte behind a backslash.
    Escaped,
    Code {
        inner: Range<usize>,
        end: usize,
    },
    Emphasis {
        mark: usize,
        inner: Range<usize>,
        end: usize,
    },
    Link {
        label: Range<usize>,
        target: Range<usize>,
        end: usize,
    },
}

impl Inline {
    pub(super) fn new(marks: bool) -> Self {
        Self { marks, before: ' ' }
    }

    /// Takes as much of `text` as cannot change any more, all of it if it is `whole`, and returns how much that was.
    pub(super) fn read(&mut self, text: &str, whole: bool, style: Style, put: &mut dyn FnMut(&str, Style)) -> usize {
        self.nested(text, whole, style, 0, put)
    }

    fn nested(
        &mut self,
        text: &str,
        whole: bool,
        style: Style,
        depth: usize,
        put: &mut dyn FnMut(&str, Style),
    ) -> usize {
        let mut at = 0;
        while at < text.len() {
            let plain = text[at..].find(['\\', '`', '*', '_', '~', '[', '!']).unwrap_or(text.len() - at);
            if plain > 0 {
                self.put(&text[at..at + plain], style, put);
                at += plain;
                continue;
            }
            match self.span(&text[at..], whole) {
                Span::Plain(length) => {
                    self.put(&text[at..at + length], style, put);
                    at += length;
                }
                Span::Open => break,
                Span::Escaped => {
                    self.put(&text[at + 1..at + 2], style, put);
                    at += 2;
                }
                Span::Code { inner, end } => {
                    let shown = if self.marks { 0..end } else { inner };
                    self.put(&text[at..][shown], CODE | style.get_effects(), put);
                    at += end;
                }
                Span::Emphasis { mark, inner, end } => {
                    let (byte, text) = (text.as_bytes()[at], &text[at..]);
                    if self.marks || depth >= DEPTH {
                        self.put(&text[..mark], style, put);
                    }
                    let inside = if depth >= DEPTH { style } else { emphasised(style, byte, mark) };
                    self.nested(&text[inner.clone()], true, inside, depth + 1, put);
                    if self.marks || depth >= DEPTH {
                        self.put(&text[inner.end..end], style, put);
                    }
                    self.before = char::from(byte);
                    at += end;
                }
                Span::Link { label, target, end } => {
                    let text = &text[at..];
                    let (label, target) = (&text[label], &text[target]);
                    if label != target {
                        self.nested(label, true, style.underline(), depth + 1, put);
                        self.put(" (", TARGET, put);
                    }
                    // The real target, always: a label may say anything.
                    self.put(target, TARGET.underline(), put);
                    if label != target {
                        self.put(")", TARGET, put);
                    }
                    at += end;
                }
            }
        }
        at
    }

    fn put(&mut self, text: &str, style: Style, put: &mut dyn FnMut(&str, Style)) {
        if let Some(last) = text.chars().next_back() {
            self.before = last;
            put(text, style);
        }
    }

    /// What begins at the mark at the beginning of `text`.
    fn span(&self, text: &str, whole: bool) -> Span {
        let near = floor(text, REACH);
        let near = &text[..near];
        // What has no end within reach has none.
        let whole = whole || near.len() < text.len();
        let found = match near.as_bytes() {
            [b'\\', next, ..] if next.is_ascii_punctuation() => return Span::Escaped,
            [b'\\'] => None,
            [b'`', ..] => code(near, whole),
            [b'!', b'[', ..] => link(near, 1, whole),
            [b'!'] => None,
            [b'[', ..] => link(near, 0, whole),
            [b'*' | b'_' | b'~', ..] => self.emphasis(near, whole),
            _ => return Span::Plain(1),
        };
        match found {
            Some(span) => span,
            None if whole => Span::Plain(run(near, 0).max(1)),
            None => Span::Open,
        }
    }

    /// §6.2, and strikethrough. None: its end is not there.
    fn emphasis(&self, text: &str, whole: bool) -> Option<Span> {
        let mark = text.as_bytes()[0];
        let length = run(text, 0);
        let plain = Some(Span::Plain(length));
        let Some(next) = text[length..].chars().next() else { return if whole { plain } else { None } };
        let inside_word = self.before.is_alphanumeric() && mark == b'_';
        let opens = !next.is_whitespace() && (!next.is_ascii_punctuation() || !self.before.is_alphanumeric());
        if !opens || inside_word || length > 3 || (mark == b'~' && length != 2) {
            return plain;
        }
        let bytes = text.as_bytes();
        let mut at = length;
        // Marks of another length that are open inside these.
        let mut within = None;
        while at < bytes.len() {
            match bytes[at] {
                b'\\' => at += 2,
                b'`' => match code(&text[at..], whole) {
                    Some(Span::Code { end, .. }) => at += end,
                    _ if whole => at += run(text, at),
                    _ => return None,
                },
                byte if byte == mark => {
                    let found = run(text, at);
                    let end = at + found;
                    if end == bytes.len() && !whole {
                        return None;
                    }
                    let goes_on = mark == b'_' && text[end..].starts_with(char::is_alphanumeric);
                    let closes = !goes_on && !text[..at].ends_with(char::is_whitespace);
                    let opens = text[end..].starts_with(|c: char| c.is_alphanumeric());
                    let ours = found == length || (found > length && !opens && within != Some(found));
                    if closes && at > length && ours {
                        return Some(Span::Emphasis { mark: length, inner: length..end - length, end });
                    }
                    within = if opens && within.is_none() { Some(found) } else { within.filter(|open| *open != found) };
                    at = end;
                }
                _ => at += 1,
            }
        }
        None
    }
}

fn emphasised(style: Style, mark: u8, length: usize) -> Style {
    match (mark, length) {
        (b'~', _) => style.strikethrough(),
        (_, 1) => style.italic(),
        (_, 2) => style.bold(),
        _ => style.bold().italic(),
    }
}

/// §6.1. None: its end is not there.
fn code(text: &str, whole: bool) -> Option<Span> {
    let length = run(text, 0);
    let mut at = length;
    while let Some(found) = text[at..].find('`') {
        at += found;
        let closing = run(text, at);
        let end = at + closing;
        if end == text.len() && !whole {
            return None;
        }
        if closing == length {
            let inner = &text[length..at];
            // One space on each side is there for code that begins or ends with a backtick.
            let spaced = inner.len() > 2 && inner.starts_with(' ') && inner.ends_with(' ') && !inner.trim().is_empty();
            let inner = if spaced { length + 1..at - 1 } else { length..at };
            return Some(Span::Code { inner, end });
        }
        at = end;
    }
    None
}

/// §6.3 and §6.4, in the form `[label](target "title")`; `skip` is the length of what stands before the bracket. None: its
/// end is not there.
fn link(text: &str, skip: usize, whole: bool) -> Option<Span> {
    let bytes = text.as_bytes();
    let label = skip + 1..matching(bytes, skip, b'[', b']')?;
    match bytes.get(label.end + 1) {
        Some(b'(') => {}
        Some(_) => return Some(Span::Plain(skip + 1)),
        None => return whole.then_some(Span::Plain(skip + 1)),
    }
    let end = matching(bytes, label.end + 1, b'(', b')')?;
    let inside = &text[label.end + 2..end];
    let trimmed = inside.trim_ascii_start();
    let begin = end - trimmed.len();
    let target = match trimmed.strip_prefix('<').and_then(|rest| rest.find('>')) {
        Some(length) => begin + 1..begin + 1 + length,
        None => begin..begin + trimmed.find(char::is_whitespace).unwrap_or(trimmed.len()),
    };
    if target.is_empty() || label.is_empty() {
        return Some(Span::Plain(skip + 1));
    }
    Some(Span::Link { label, target, end: end + 1 })
}

/// Where the bracket that opens at `at` is closed.
fn matching(bytes: &[u8], at: usize, open: u8, close: u8) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = at;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            byte if byte == open => depth += 1,
            byte if byte == close => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// How often the byte at `at` is repeated.
fn run(text: &str, at: usize) -> usize {
    let bytes = &text.as_bytes()[at..];
    bytes.iter().take_while(|byte| **byte == bytes[0]).count()
}

/// The last border of a character that is not behind `length`.
fn floor(text: &str, length: usize) -> usize {
    (0..=length.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Styles as letters: b, i, u, s, c (code), t (target).
    fn read(text: &str, size: usize) -> String {
        let mut inline = Inline::new(false);
        let mut shown: Vec<(String, Style)> = Vec::new();
        let chars: Vec<char> = text.chars().collect();
        let mut waiting = String::new();
        let mut put = |piece: &str, style: Style| match shown.last_mut() {
            Some((text, last)) if *last == style => text.push_str(piece),
            _ => shown.push((piece.to_owned(), style)),
        };
        for piece in chars.chunks(size) {
            waiting.extend(piece);
            let taken = inline.read(&waiting, false, Style::new(), &mut put);
            waiting.drain(..taken);
        }
        let taken = inline.read(&waiting, true, Style::new(), &mut put);
        assert_eq!(taken, waiting.len());
        let mut all = String::new();
        for (text, style) in shown {
            let effects = style.get_effects();
            let mut letters = String::new();
            for (effect, letter) in [
                (anstyle::Effects::BOLD, 'b'),
                (anstyle::Effects::ITALIC, 'i'),
                (anstyle::Effects::UNDERLINE, 'u'),
                (anstyle::Effects::STRIKETHROUGH, 's'),
                (anstyle::Effects::DIMMED, 't'),
            ] {
                if effects.contains(effect) {
                    letters.push(letter);
                }
            }
            if style.get_fg_color().is_some() {
                letters.push('c');
            }
            all += &if letters.is_empty() { text } else { format!("{letters}‹{text}›") };
        }
        all
    }

    #[test]
    fn marks_become_styles_in_pieces_of_any_size() {
        let table = [
            ("plain, no more", "plain, no more"),
            ("a **b** c", "a b‹b› c"),
            ("a *b* _c_ ***d*** ~~e~~", "a i‹b› i‹c› bi‹d› s‹e›"),
            ("**bold with *both* inside**", "b‹bold with ›bi‹both›b‹ inside›"),
            ("**bold *both***", "b‹bold ›bi‹both›"),
            ("*a **b** c*", "i‹a ›bi‹b›i‹ c›"),
            ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
            ("**kwargs and *args", "**kwargs and *args"),
            ("a ** b ** c", "a ** b ** c"),
            ("in*fix*ed", "ini‹fix›ed"),
            ("`a * b` and ``c ` d`` and ` lonely", "c‹a * b› and c‹c ` d› and ` lonely"),
            ("** not `**` here**", "** not c‹**› here**"),
            ("**so `**` here**", "b‹so ›bc‹**›b‹ here›"),
            (r"\*not\* \[x\] C:\dir", "*not* [x] C:\\dir"),
            ("~/a ~ b ~~~c~~~", "~/a ~ b ~~~c~~~"),
            ("[x] done, [1] and [a][b]", "[x] done, [1] and [a][b]"),
            (
                "see [the *site*](https://a.example/x_y_z \"t\").",
                "see u‹the ›iu‹site›t‹ (›ut‹https://a.example/x_y_z›t‹)›.",
            ),
            (
                "[https://bank.example](https://evil.example)",
                "u‹https://bank.example›t‹ (›ut‹https://evil.example›t‹)›",
            ),
            ("[https://a.example](https://a.example)", "ut‹https://a.example›"),
            ("[a](<x y>) [](x) [b]()", "u‹a›t‹ (›ut‹x y›t‹)› [](x) [b]()"),
            ("[w](https://e.example/a_(b)) !", "u‹w›t‹ (›ut‹https://e.example/a_(b)›t‹)› !"),
            ("![img](x.png)", "u‹img›t‹ (›ut‹x.png›t‹)›"),
            ("**é** 中*文*字", "b‹é› 中i‹文›字"),
            ("\\", "\\"),
        ];
        for (text, expected) in table {
            for size in [1, 2, 3, 1000] {
                assert_eq!(read(text, size), expected, "{text:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_mark_waits_for_its_end_but_not_for_ever() {
        let mut inline = Inline::new(false);
        let mut shown = String::new();
        assert_eq!(inline.read("a **b", false, Style::new(), &mut |text, _| shown.push_str(text)), 2);
        let long = format!("**{}", "x".repeat(REACH));
        assert_eq!(inline.read(&long, false, Style::new(), &mut |text, _| shown.push_str(text)), long.len());
        assert_eq!(shown, format!("a {long}"));
    }

    #[test]
    fn without_styles_marks_stay() {
        let mut shown = String::new();
        Inline::new(true).read("**a** `b` [c](d)", true, Style::new(), &mut |text, _| shown.push_str(text));
        assert_eq!(shown, "**a** `b` c (d)");
    }

    #[test]
    fn hostile_marks_take_linear_time() {
        for mark in ["*a ", "[", "`", "**", "_(", "![", "~~a", "\\"] {
            let text = mark.repeat(20_000);
            let mut length = 0;
            let taken = Inline::new(false).read(&text, true, Style::new(), &mut |text, _| length += text.len());
            assert_eq!(taken, text.len());
        }
    }
}
