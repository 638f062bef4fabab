//! A line of talk in pieces, each with its style.

use std::fmt::Write as _;

use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;

use crate::escape;

/// A line in pieces, each with its style. Every piece is escaped when it is added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(Vec<Piece>);

#[derive(Clone, Debug)]
struct Piece {
    style: Style,
    text: String,
    /// Between its words another line may begin. A value stays whole: it may have to be compared or copied.
    breaks: bool,
}

impl Line {
    /// An empty line.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Running text; newlines stay.
    pub(crate) fn plain(self, text: &str) -> Self {
        self.push(Style::new(), text)
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

    /// Words from outside: newlines and tabs become visible, and another line may begin between two words.
    pub(crate) fn words(self, words: &str) -> Self {
        self.push(Style::new(), &escape::field(words))
    }

    /// The same, of less weight.
    pub(crate) fn dim_words(self, words: &str) -> Self {
        self.push(Style::new().dimmed(), &escape::field(words))
    }

    /// Something of less weight.
    pub(crate) fn dim(self, text: &str) -> Self {
        self.push(Style::new().dimmed(), text)
    }

    /// Something that went well.
    pub(crate) fn good(self, text: &str) -> Self {
        self.push(anstyle::AnsiColor::Green.on_default(), text)
    }

    /// Something that did not.
    pub(crate) fn bad(self, text: &str) -> Self {
        self.push(anstyle::AnsiColor::Red.on_default().bold(), text)
    }

    /// Something to look at twice.
    pub(crate) fn warn(self, text: &str) -> Self {
        self.push(anstyle::AnsiColor::Yellow.on_default().bold(), text)
    }

    /// Another line behind this one.
    pub(crate) fn append(mut self, mut other: Self) -> Self {
        self.0.append(&mut other.0);
        self
    }

    /// Text in a style of its own.
    pub(crate) fn styled(self, style: Style, text: &str) -> Self {
        self.push(style, text)
    }

    fn push(mut self, style: Style, text: &str) -> Self {
        self.0.push(Piece { style, text: escape::text(text).into_owned(), breaks: true });
        self
    }

    fn value(mut self, style: Style, value: &str) -> Self {
        self.0.push(Piece { style, text: escape::field(value).into_owned(), breaks: false });
        self
    }

    pub(super) fn render(&self, color: bool) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            write(&mut text, piece.style, &piece.text, color);
        }
        text
    }

    /// The same for a terminal of this width: lines are broken between words, and go on indented.
    pub(super) fn fitted(&self, width: Option<usize>, color: bool) -> String {
        let long = |width: &usize| self.0.iter().map(|piece| piece.text.width()).sum::<usize>() > *width;
        let Some(width) = width.filter(long) else { return self.render(color) };
        let mut text = String::new();
        let mut row = Row { width, column: 0, indent: 0, begun: false, gap: None, word: Vec::new() };
        for piece in &self.0 {
            if !piece.breaks {
                row.word.push((piece.style, &piece.text));
                continue;
            }
            for part in piece.text.split_inclusive([' ', '\n']) {
                let word = part.trim_end_matches([' ', '\n']);
                if !word.is_empty() {
                    row.word.push((piece.style, word));
                }
                match &part[word.len()..] {
                    "\n" => row.end(&mut text, color),
                    " " => row.space(piece.style, &mut text, color),
                    _ => {}
                }
            }
        }
        row.put(&mut text, color);
        text
    }
}

/// A line of the terminal that is being filled.
struct Row<'a> {
    width: usize,
    column: usize,
    /// Where the line began.
    indent: usize,
    /// A word stands on it.
    begun: bool,
    /// The spaces before the next word.
    gap: Option<(Style, usize)>,
    word: Vec<(Style, &'a str)>,
}

impl Row<'_> {
    /// How much further to the right a line goes on.
    const HANGING: usize = 2;

    fn space(&mut self, style: Style, text: &mut String, color: bool) {
        if !self.word.is_empty() {
            self.put(text, color);
        }
        let spaces = self.gap.map_or(0, |(_, spaces)| spaces);
        self.gap = Some((style, spaces + 1));
    }

    fn put(&mut self, text: &mut String, color: bool) {
        let word: usize = self.word.iter().map(|(_, part)| part.width()).sum();
        let gap = self.gap.take();
        let spaces = gap.map_or(0, |(_, spaces)| spaces);
        if !self.begun {
            (self.begun, self.indent) = (true, spaces);
        }
        let indent = (self.indent + Self::HANGING).min(self.width / 2);
        // What does not fit on the next line either begins on this one.
        let fits = self.column + spaces + word <= self.width || indent + word > self.width;
        if word > 0 && spaces > 0 && self.column > 0 && !fits {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            self.column = indent;
            return self.put_word(word, text, color);
        }
        if let Some((style, spaces)) = gap {
            write(text, style, &" ".repeat(spaces), color);
        }
        self.column += spaces;
        self.put_word(word, text, color);
    }

    fn put_word(&mut self, word: usize, text: &mut String, color: bool) {
        for (style, part) in self.word.drain(..) {
            write(text, style, part, color);
        }
        self.column += word;
        // What is longer than a line was broken by the terminal.
        if self.column > self.width {
            self.column %= self.width;
        }
    }

    fn end(&mut self, text: &mut String, color: bool) {
        self.put(text, color);
        text.push('\n');
        (self.column, self.indent, self.begun) = (0, 0, false);
    }
}

fn write(text: &mut String, style: Style, piece: &str, color: bool) {
    let _ = match color && style != Style::new() {
        true => write!(text, "{style}{piece}{style:#}"),
        false => write!(text, "{piece}"),
    };
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::new().plain(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::new().plain(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(line: &Line, width: usize) -> String {
        line.fitted(Some(width), false)
    }

    #[test]
    fn lines_are_broken_between_words_and_values_stay_whole() {
        let line = Line::new().plain("  Check that it shows:   ").bold("BUY-2-phones.7F3KQ9ZT").plain(". Then go on");
        assert_eq!(fitted(&line, 100), "  Check that it shows:   BUY-2-phones.7F3KQ9ZT. Then go on");
        assert_eq!(fitted(&line, 40), "  Check that it shows:\n    BUY-2-phones.7F3KQ9ZT. Then go on");
        assert_eq!(fitted(&line, 30), "  Check that it shows:\n    BUY-2-phones.7F3KQ9ZT.\n    Then go on");
        let command = Line::new().plain("  ").field("agentctl chat --resume run_1");
        assert_eq!(fitted(&command, 20), "  agentctl chat --resume run_1", "it is copied as one");
        let several = Line::new().plain("one two\n  three four five\n\nsix");
        assert_eq!(fitted(&several, 11), "one two\n  three\n    four\n    five\n\nsix");
        assert_eq!(fitted(&Line::new().plain("漢字 漢字 漢字"), 10), "漢字 漢字\n  漢字");
        assert_eq!(fitted(&Line::new().plain("a  b").dim("  c"), 4), "a  b\n  c");
        assert_eq!(fitted(&Line::new().plain("word word"), 1), "word word");
        assert_eq!(fitted(&Line::new().words("one\ntwo three"), 8), "one␊two\n  three");
        let long = Line::new().plain("Logged in as ").field("somebody whose name has no end");
        assert_eq!(fitted(&long, 20), "Logged in as somebody whose name has no end");
    }

    #[test]
    fn styles_go_along() {
        let line = Line::new().good("✓ ").plain("Approved by ").bold("ada");
        let (green, bold, end) = ("\u{1b}[32m", "\u{1b}[1m", "\u{1b}[0m");
        assert_eq!(line.fitted(Some(12), true), format!("{green}✓{end}{green} {end}Approved\n  by {bold}ada{end}"));
    }
}
