//! A line that is longer than the terminal is wide, in rows.

use std::mem;

use anstyle::Style;

use super::line::{Breaks, Origin, Piece, columns, columns_of, write};

/// How much further to the right a line goes on.
const HANGING: usize = 2;
/// Before what goes on with words from outside.
const GUTTER: &str = "│ ";

/// The rows of a terminal that are being filled.
pub(super) struct Rows<'a> {
    width: usize,
    color: bool,
    text: String,
    column: usize,
    /// Where the line began.
    indent: usize,
    /// A word stands on it.
    begun: bool,
    /// A gutter stands before this row, so no word of ours does but one that belongs to the word before it.
    beside_gutter: bool,
    /// The spaces before the next word.
    gap: Option<(Style, usize)>,
    word: Vec<Part<'a>>,
}

struct Part<'a> {
    style: Style,
    text: &'a str,
    origin: Origin,
    breaks: Breaks,
}

impl<'a> Rows<'a> {
    pub(super) fn new(width: usize, color: bool) -> Self {
        Self {
            width,
            color,
            text: String::new(),
            column: 0,
            indent: 0,
            begun: false,
            beside_gutter: false,
            gap: None,
            word: Vec::new(),
        }
    }

    /// The pieces of a line, in rows.
    pub(super) fn of(mut self, pieces: &'a [Piece]) -> String {
        for Piece { style, text, origin, breaks } in pieces {
            let (style, origin, breaks) = (*style, *origin, *breaks);
            if breaks != Breaks::Words {
                self.word.push(Part { style, text, origin, breaks });
                continue;
            }
            for part in text.split_inclusive([' ', '\n']) {
                let word = part.trim_end_matches([' ', '\n']);
                if !word.is_empty() {
                    self.word.push(Part { style, text: word, origin, breaks });
                }
                match &part[word.len()..] {
                    "\n" => self.end(),
                    " " => self.space(style),
                    _ => {}
                }
            }
        }
        self.put();
        self.text
    }

    fn space(&mut self, style: Style) {
        if !self.word.is_empty() {
            self.put();
        }
        let spaces = self.gap.map_or(0, |(_, spaces)| spaces);
        self.gap = Some((style, spaces + 1));
    }

    /// Puts the word behind what stands there.
    fn put(&mut self) {
        let word = mem::take(&mut self.word);
        let gap = self.gap.take();
        let Some(first) = word.first() else {
            // Spaces at an end are of no use but before the answer to a question.
            self.gap(gap);
            return;
        };
        let spaces = gap.map_or(0, |(_, spaces)| spaces);
        if !self.begun {
            (self.begun, self.indent) = (true, spaces);
        }
        let outside = first.origin == Origin::Outside;
        let length: usize = word.iter().map(|part| columns(part.text)).sum();
        let ours_beside_gutter = self.beside_gutter && !outside;
        let fits = self.column + spaces + length <= self.width && !ours_beside_gutter;
        // What is longer than a row begins on this one, unless hardly anything of it would.
        let long = self.start(outside) + length > self.width;
        let begins_here = fits || (long && !ours_beside_gutter && self.column + spaces < self.width * 2 / 3);
        if spaces > 0 && self.column > 0 && !begins_here {
            self.next_row(outside);
        } else {
            self.gap(gap);
        }
        for part in word {
            self.put_part(&part);
        }
    }

    fn put_part(&mut self, part: &Part<'_>) {
        let length = columns(part.text);
        if part.breaks == Breaks::Never {
            let start = self.start(false);
            let fits = self.column + length <= self.width;
            if !fits && self.column > start && start + length <= self.width {
                self.next_row(false);
            } else if !fits && self.column > 0 && length <= self.width {
                // Without its indentation it is still whole.
                self.text.push('\n');
                (self.column, self.beside_gutter) = (0, false);
            }
            write(&mut self.text, part.style, part.text, self.color);
            self.column += length;
            // What is longer than a row was broken by the terminal.
            if self.column > self.width {
                self.column %= self.width;
            }
            return;
        }
        let mut rest = part.text;
        loop {
            let at = self.room_for(rest);
            if at > 0 {
                write(&mut self.text, part.style, &rest[..at], self.color);
            }
            self.column += columns(&rest[..at]);
            rest = &rest[at..];
            if rest.is_empty() {
                break;
            }
            self.next_row(true);
        }
    }

    /// How many bytes of it this row has room for; of a new row it gets one character at least.
    fn room_for(&self, rest: &str) -> usize {
        let mut column = self.column;
        let mut end = 0;
        for (at, c) in rest.char_indices() {
            column += columns_of(c);
            let first_of_row = at == 0 && self.column <= self.start(true);
            if column > self.width && !first_of_row {
                // Behind a space or before the name of a character, if one is near: it reads better.
                let row = &rest[..at];
                let name =
                    row.rfind('<').filter(|name| rest[*name..].starts_with("<U+") && !row[*name..].contains('>'));
                let space = row.rfind(' ').map(|space| space + 1);
                return name.or(space).filter(|better| *better > at / 2).unwrap_or(at);
            }
            end = at + c.len_utf8();
        }
        end
    }

    /// The column where a row begins.
    fn start(&self, gutter: bool) -> usize {
        let indent = (self.indent + HANGING).min(self.width / 2);
        if gutter { indent + columns(GUTTER) } else { indent }
    }

    fn next_row(&mut self, gutter: bool) {
        self.text.push('\n');
        self.text.push_str(&" ".repeat(self.start(false)));
        if gutter {
            write(&mut self.text, Style::new().dimmed(), GUTTER, self.color);
        }
        self.column = self.start(gutter);
        self.beside_gutter = gutter;
    }

    fn gap(&mut self, gap: Option<(Style, usize)>) {
        if let Some((style, spaces)) = gap {
            let spaces = spaces.min(self.width.saturating_sub(self.column));
            write(&mut self.text, style, &" ".repeat(spaces), self.color);
            self.column += spaces;
        }
    }

    /// Ends a line of ours.
    fn end(&mut self) {
        self.put();
        self.text.push('\n');
        (self.column, self.indent, self.begun, self.beside_gutter) = (0, 0, false, false);
    }
}
