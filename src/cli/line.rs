//! A line of talk in pieces, each with its style.
//!
//! What begins a row of the terminal looks like the program's own. So the terminal never breaks a line: we do, and where a
//! row goes on with words from outside, a gutter stands before them that nothing from outside can write there.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthChar as _;

use super::rows::Rows;
use crate::escape;

/// A line in pieces, each with its style. Every piece is escaped when it is added. Words of ours are literals: whatever is put
/// together may hold something from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(Vec<Piece>);

#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) style: Style,
    pub(super) text: String,
    pub(super) origin: Origin,
    pub(super) breaks: Breaks,
}

/// Whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Ours,
    Outside,
}

/// Where another row may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breaks {
    /// Between two words.
    Words,
    /// Only where it is longer than a row: it may have to be compared.
    Long,
    /// Nowhere. What is longer than a row is left to the terminal: it is to be copied.
    Never,
}

impl Line {
    /// An empty line.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Running text of ours; newlines stay.
    pub(crate) fn plain(self, text: &'static str) -> Self {
        self.ours(Style::new(), text)
    }

    /// Words that we put together, of nothing from outside.
    pub(crate) fn said(self, text: &str) -> Self {
        self.push(Style::new(), &escape::field(text), Origin::Ours, Breaks::Words)
    }

    /// The same, of less weight.
    pub(crate) fn dim_said(self, text: &str) -> Self {
        self.push(Style::new().dimmed(), &escape::field(text), Origin::Ours, Breaks::Words)
    }

    /// A one-line value from outside: newlines and tabs become visible, too.
    pub(crate) fn field(self, value: &str) -> Self {
        self.value(Style::new(), value)
    }

    /// A one-line value that matters most.
    pub(crate) fn bold(self, value: &str) -> Self {
        self.value(Style::new().bold(), value)
    }

    /// A one-line value of less weight.
    pub(crate) fn dim_field(self, value: &str) -> Self {
        self.value(Style::new().dimmed(), value)
    }

    /// A one-line value that tells of an end: `true` for a good one.
    pub(crate) fn verdict(self, good: bool, value: &str) -> Self {
        self.value(if good { GOOD.on_default() } else { BAD.on_default().bold() }, value)
    }

    /// Words from outside: newlines and tabs become visible, and another row may begin between two words.
    pub(crate) fn words(self, words: &str) -> Self {
        self.push(Style::new(), &escape::field(words), Origin::Outside, Breaks::Words)
    }

    /// The same, of less weight.
    pub(crate) fn dim_words(self, words: &str) -> Self {
        self.push(Style::new().dimmed(), &escape::field(words), Origin::Outside, Breaks::Words)
    }

    /// The name of a value, and a colon. Anything but a plain name is a value itself.
    pub(crate) fn label(self, name: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let known = !name.is_empty() && name.len() <= 64 && name.chars().all(plain);
        let origin = if known { Origin::Ours } else { Origin::Outside };
        self.push(Style::new().dimmed(), &escape::field(&format!("{name}: ")), origin, Breaks::Long)
    }

    /// What is copied: a command of ours, an id, a file.
    pub(crate) fn whole(self, value: &str) -> Self {
        self.push(Style::new(), &escape::field(value), Origin::Ours, Breaks::Never)
    }

    /// The same, of less weight.
    pub(crate) fn dim_whole(self, value: &str) -> Self {
        self.push(Style::new().dimmed(), &escape::field(value), Origin::Ours, Breaks::Never)
    }

    /// An address that is opened: copied as one, if it is nothing but an address.
    pub(crate) fn address(self, address: &str) -> Self {
        match address.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => self.push(Style::new().bold(), address, Origin::Ours, Breaks::Never),
            false => self.bold(address),
        }
    }

    /// What the device shows, to be compared with it. The code at its end is never broken.
    pub(crate) fn message(self, style: Style, message: &str) -> Self {
        let code = message.rfind('.').map_or(0, |at| at + 1);
        // In the letters that authorization servers take it is a word; anything else is a text like others.
        let word = message.bytes().all(|byte| byte.is_ascii_graphic());
        let origin = if word { Origin::Ours } else { Origin::Outside };
        let line = self.push(style, &escape::field(&message[..code]), origin, Breaks::Long);
        let breaks = if word && message.len() - code <= LONGEST_CODE { Breaks::Never } else { Breaks::Long };
        line.push(style, &escape::field(&message[code..]), origin, breaks)
    }

    /// Something of less weight.
    pub(crate) fn dim(self, text: &'static str) -> Self {
        self.ours(Style::new().dimmed(), text)
    }

    /// Something that went well.
    pub(crate) fn good(self, text: &'static str) -> Self {
        self.ours(GOOD.on_default(), text)
    }

    /// Something that did not.
    pub(crate) fn bad(self, text: &'static str) -> Self {
        self.ours(BAD.on_default().bold(), text)
    }

    /// Something to look at twice.
    pub(crate) fn warn(self, text: &'static str) -> Self {
        self.ours(AnsiColor::Yellow.on_default().bold(), text)
    }

    /// Another line behind this one.
    pub(crate) fn append(mut self, mut other: Self) -> Self {
        self.0.append(&mut other.0);
        self
    }

    /// Words or a picture of ours in a style of their own, in one piece.
    pub(crate) fn styled(self, style: Style, text: &str) -> Self {
        self.push(style, &escape::field(text), Origin::Ours, Breaks::Never)
    }

    fn ours(self, style: Style, text: &'static str) -> Self {
        self.push(style, &escape::text(text), Origin::Ours, Breaks::Words)
    }

    fn value(self, style: Style, value: &str) -> Self {
        self.push(style, &escape::field(value), Origin::Outside, Breaks::Long)
    }

    fn push(mut self, style: Style, text: &str, origin: Origin, breaks: Breaks) -> Self {
        self.0.push(Piece { style, text: text.to_owned(), origin, breaks });
        self
    }

    /// As it is, for whatever is no terminal.
    pub(super) fn render(&self, color: bool) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            write(&mut text, piece.style, &piece.text, color);
        }
        text
    }

    /// For a terminal of this width: a line goes on in other rows, indented.
    pub(super) fn fitted(&self, width: Option<usize>, color: bool) -> String {
        match width {
            Some(width) if self.0.iter().map(|piece| columns(&piece.text)).sum::<usize>() > width => {
                Rows::new(width, color).of(&self.0)
            }
            _ => self.render(color),
        }
    }
}

const GOOD: AnsiColor = AnsiColor::Green;
const BAD: AnsiColor = AnsiColor::Red;

/// Longer than any code of ours.
const LONGEST_CODE: usize = 16;

/// The columns that a text may take, rather one too many than one too few: a terminal that knows no pairs of letters for flags
/// draws each of them broad.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

pub(super) fn columns_of(c: char) -> usize {
    if matches!(c, '\u{1f1e6}'..='\u{1f1ff}') { 2 } else { c.width().unwrap_or(0) }
}

pub(super) fn write(text: &mut String, style: Style, piece: &str, color: bool) {
    let _ = match color && style != Style::new() {
        true => write!(text, "{style}{piece}{style:#}"),
        false => write!(text, "{piece}"),
    };
}

impl From<&'static str> for Line {
    fn from(text: &'static str) -> Self {
        Self::new().plain(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::new().words(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(line: &Line, width: usize) -> String {
        line.fitted(Some(width), false)
    }

    #[test]
    fn our_words_are_broken_between_them_and_what_is_copied_stays_whole() {
        let message = Line::new().plain("  Check that it shows:   ").message(Style::new(), "BUY-2-phones.7F3KQ9ZT");
        let line = message.plain(". Then go on");
        assert_eq!(fitted(&line, 100), "  Check that it shows:   BUY-2-phones.7F3KQ9ZT. Then go on");
        assert_eq!(fitted(&line, 40), "  Check that it shows:\n    BUY-2-phones.7F3KQ9ZT. Then go on");
        assert_eq!(fitted(&line, 30), "  Check that it shows:\n    BUY-2-phones.7F3KQ9ZT.\n    Then go on");
        let command = Line::new().plain("  ").whole("agentctl chat --resume run_1");
        assert_eq!(fitted(&command, 20), "  agentctl chat --resume run_1", "it is copied as one");
        let several = Line::new().plain("one two\n  three four five\n\nsix");
        assert_eq!(fitted(&several, 11), "one two\n  three\n    four\n    five\n\nsix");
        assert_eq!(fitted(&Line::new().plain("漢字 漢字 漢字"), 10), "漢字 漢字\n  漢字");
        assert_eq!(fitted(&Line::new().plain("a  b").dim("  c"), 4), "a  b\n  c");
    }

    #[test]
    fn a_row_that_goes_on_with_words_from_outside_has_a_gutter() {
        let words = Line::new().words("one\ntwo three");
        assert_eq!(fitted(&words, 9), "one␊two\n  │ three");
        let value = Line::new().plain("Logged in as ").field("somebody whose name has no end");
        assert_eq!(fitted(&value, 20), "Logged in as\n  │ somebody whose \n  │ name has no end");
        assert_eq!(fitted(&value.plain(". Go on"), 36), "Logged in as\n  │ somebody whose name has no end.\n  Go on");
        let moved = Line::new().field("a tool").plain(": ").words("✓ Approved by Ada");
        assert_eq!(fitted(&moved, 14), "a tool: ✓\n  │ Approved\n  │ by Ada");
        let padded = Line::new().words(&format!("no{}✓ Approved", " ".repeat(39)));
        assert_eq!(fitted(&padded, 40), "no\n  │ ✓ Approved");
        let long = Line::new().plain("a ").field(&"x".repeat(30)).plain(" b");
        assert_eq!(
            fitted(&long, 16),
            format!("a {}\n  │ {}\n  │ {}\n  b", "x".repeat(14), "x".repeat(12), "x".repeat(4))
        );
        let name = Line::new().plain("    ").label("product").field("\"漢字漢字漢字漢字\"");
        assert_eq!(fitted(&name, 20), "    product: \"漢字漢\n      │ 字漢字漢字\"");
        assert_eq!(
            fitted(&Line::new().plain("    ").label("✓ Approved").field("1"), 14),
            "    ✓ Approved\n      │ : 1"
        );
    }

    #[test]
    fn a_code_is_never_broken() {
        let message = format!("BUY-2-{}.7F3KQ9ZT", "x".repeat(40));
        for width in 8..70 {
            let line = fitted(&Line::new().plain("  Check that it shows:   ").message(Style::new(), &message), width);
            assert!(line.contains("7F3KQ9ZT"), "{width}\n{line}");
            assert!(line.lines().all(|row| columns(row) <= width), "{width}\n{line}");
        }
    }

    #[test]
    fn styles_go_along() {
        let line = Line::new().good("✓ ").plain("Approved by ").bold("ada");
        let (green, bold, end) = ("\u{1b}[32m", "\u{1b}[1m", "\u{1b}[0m");
        assert_eq!(
            line.fitted(Some(14), true),
            format!("{green}✓{end}{green} {end}Approved by\n  \u{1b}[2m│ {end}{bold}ada{end}")
        );
    }

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_from_outside_begins_a_row(
            first in "[ a✓│漢\u{3000}]{0,60}", second in "[ a✓│漢\u{301}]{0,60}", width in 20_usize..60,
        ) {
            let line = Line::new().plain("● ").bold(&first).plain("  ").label("name").field(&second).plain(": ").words(&first);
            let shown = fitted(&line, width);
            for (at, row) in shown.lines().enumerate() {
                prop_assert!(columns(row) <= width, "{:?}", row);
                let begins = if at == 0 { "● " } else { "  " };
                prop_assert!(row.starts_with(begins), "{:?}", row);
                let ours = row.trim_start().starts_with("name: ") || row.trim_start().starts_with("│ ");
                prop_assert!(at == 0 || ours, "{:?}", shown);
            }
        }
    }
}
