//! Words flow into lines of the terminal's width, once and for all: nothing that was written is written again, and the cursor
//! never goes back.
//!
//! A word whose end has not come yet is written if it is far enough from the edge; near the edge it waits, so that it can
//! still go to the next line.

use std::fmt::Write as _;

use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::ours::{self, Place, Row};

/// How far from the edge a word must be to be written before its end is known.
const MARGIN: usize = 12;
/// In front of what would begin a row like the program's own, and of code.
pub(super) const BAR: &str = "│ ";
/// In front of the items of a list, by how deep it is.
pub(super) const BULLETS: [&str; 3] = ["•", "◦", "▪"];
/// Quote bars, indentation and list markers.
pub(super) const FRAME: Style = Style::new().dimmed();

/// What stands before each line of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefix {
    /// Before its first line.
    pub(super) first: String,
    /// Before the others.
    pub(super) rest: String,
    /// The text is quoted: every line has to say so, also one that is broken in the middle of a word.
    pub(super) quoted: bool,
}

/// Text on its way to the terminal.
#[derive(Debug)]
pub(super) struct Flow {
    out: String,
    color: bool,
    width: usize,
    prefix: Prefix,
    /// Where the next character goes.
    column: usize,
    /// A line has been begun and not ended.
    open: bool,
    /// Whether the row of the terminal is one of ours by its beginning is not known yet: it is kept in `held`.
    fresh: bool,
    place: Place,
    held: String,
    /// Where in it which style begins.
    held_styles: Vec<(usize, Style)>,
    /// The style that the terminal has now.
    style: Style,
    /// Columns of white space before the word.
    space: usize,
    space_style: Style,
    word: String,
    /// Where in the word which style begins.
    styles: Vec<(usize, Style)>,
    /// The beginning of the word is on the screen already.
    begun: bool,
    /// The last character of the word: how wide it is, and whether it joins the next to itself.
    last_width: usize,
    joins: bool,
}

impl Flow {
    pub(super) fn new(color: bool) -> Self {
        Self {
            out: String::new(),
            color,
            width: 80,
            prefix: Prefix::default(),
            column: 0,
            open: false,
            fresh: true,
            place: Place::Margin(0),
            held: String::new(),
            held_styles: Vec::new(),
            style: Style::new(),
            space: 0,
            space_style: Style::new(),
            word: String::new(),
            styles: Vec::new(),
            begun: false,
            last_width: 0,
            joins: false,
        }
    }

    /// Whether there are colours; where there are none, marks stay visible.
    pub(super) fn color(&self) -> bool {
        self.color
    }

    /// The terminal has this width from now on.
    pub(super) fn set_width(&mut self, width: usize) {
        self.width = width.max(8);
    }

    /// Columns beside the prefix.
    pub(super) fn room(&self, prefix: &Prefix) -> usize {
        self.width.saturating_sub(prefix.rest.width()).max(4)
    }

    /// A line has been begun and not ended.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Begins a line.
    pub(super) fn begin(&mut self, mut prefix: Prefix) {
        // Where things are nested deeper than half the screen, only the innermost part stays.
        for text in [&mut prefix.first, &mut prefix.rest] {
            while text.width() > self.width / 2 {
                text.remove(0);
            }
        }
        let first = std::mem::take(&mut prefix.first);
        self.prefix = prefix;
        self.open = true;
        self.indent(&first);
    }

    fn indent(&mut self, prefix: &str) {
        self.set(if prefix.trim_ascii().is_empty() { Style::new() } else { FRAME });
        self.out.push_str(prefix);
        self.column = prefix.width();
        let bullets = prefix.trim_matches(|c: char| c == ' ' || BULLETS.iter().any(|bullet| bullet.starts_with(c)));
        self.fresh = bullets.is_empty();
        let ends = BULLETS.iter().any(|bullet| prefix.trim_ascii_end().ends_with(bullet));
        self.place = if ends { Place::Bullet } else { Place::Margin(self.column) };
    }

    /// Writes the word that is over. Returns where the line of the terminal has come to.
    pub(super) fn pause(&mut self) -> usize {
        self.end_word();
        self.column
    }

    /// Ends the line that was begun, whatever stands in it.
    pub(super) fn end(&mut self) {
        self.end_word();
        self.end_row();
        self.space = 0;
        self.set(Style::new());
        self.out.push('\n');
        (self.open, self.column) = (false, 0);
    }

    /// A whole line, or an empty one.
    pub(super) fn line(&mut self, prefix: &str) {
        self.indent(prefix.trim_ascii_end());
        self.end();
    }

    /// Words, or a part of one.
    pub(super) fn text(&mut self, text: &str, style: Style) {
        for c in text.chars() {
            if c == ' ' || c == '\t' {
                self.end_word();
                self.space += 1;
                self.space_style = style;
                continue;
            }
            let width = if c.is_ascii() { 1 } else { c.width().unwrap_or(0) };
            // Wide characters need no space between them to be parted, unless they make one sign together.
            let parts = width == 2 || self.last_width == 2;
            if parts && width > 0 && !self.joins && !clings(c) && !self.word.is_empty() {
                self.end_word();
            }
            if self.styles.last().is_none_or(|(_, last)| *last != style) {
                self.styles.push((self.word.len(), style));
            }
            self.word.push(c);
            self.joins = c == '\u{200d}';
            if width > 0 {
                self.last_width = width;
            }
            // A word without an end must not fill the memory.
            if self.word.len() >= 4096 {
                self.write_word(true);
            }
        }
    }

    /// Text that is not broken at words: code.
    pub(super) fn raw(&mut self, text: &str, style: Style) {
        self.set(style);
        self.put(text);
    }

    /// Nothing more is there for now: what can be written is written.
    pub(super) fn settle(&mut self) {
        let far = self.column + self.space + self.word.width() + MARGIN.min(self.width / 4) <= self.width;
        if !self.word.is_empty() && (self.begun || far) && !ours::may_ask(&self.word) {
            self.write_word(true);
        }
        self.set(Style::new());
    }

    /// Takes what has to be written.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    fn end_word(&mut self) {
        if !self.word.is_empty() {
            self.write_word(false);
        }
        (self.begun, self.last_width, self.joins) = (false, 0, false);
    }

    fn write_word(&mut self, goes_on: bool) {
        let word = std::mem::take(&mut self.word);
        let styles = std::mem::take(&mut self.styles);
        // A question of ours ends with the answers that it takes.
        let bar = if ours::asks(&word) { BAR } else { "" };
        let width = bar.width() + if word.is_ascii() { word.len() } else { word.width() };
        if !self.begun {
            let margin = self.prefix.rest.width();
            if self.column + self.space + width > self.width && self.column > margin {
                self.wrap();
            } else {
                // Where a word takes the whole line, the spaces before it are at its beginning.
                let space = self.space.min(self.width.saturating_sub(self.column));
                if space > 0 {
                    self.set(self.space_style);
                }
                for _ in 0..space {
                    self.write(" ");
                }
                self.column += space;
            }
        }
        self.space = 0;
        if !bar.is_empty() {
            self.raw(bar, FRAME);
        }
        let ends = styles.iter().skip(1).map(|(at, _)| *at).chain([word.len()]);
        for ((begin, style), end) in styles.iter().zip(ends) {
            self.set(*style);
            self.put(&word[*begin..end]);
        }
        self.begun = goes_on;
        // The memory is used again.
        (self.word, self.styles) = (word, styles);
        self.word.clear();
        self.styles.clear();
    }

    /// A part of a word; what does not fit goes on in the next line. Outside quotes the terminal breaks it itself, so that an
    /// address can still be clicked and copied as a whole.
    fn put(&mut self, part: &str) {
        let width = if part.is_ascii() { part.len() } else { part.width() };
        // Before a row that is not judged yet there must be room for a bar.
        let bar = if self.fresh { BAR.width() } else { 0 };
        if self.column + width + bar <= self.width {
            self.column += width;
            self.write(part);
        } else {
            for c in part.chars() {
                let width = c.width().unwrap_or(0);
                if self.column + width > self.width && self.prefix.quoted {
                    let style = self.style;
                    self.wrap();
                    self.set(style);
                } else if self.column + width > self.width {
                    self.end_row();
                    (self.column, self.fresh, self.place) = (0, true, Place::Margin(0));
                }
                self.column += width;
                self.write(c.encode_utf8(&mut [0; 4]));
            }
        }
    }

    /// What stands in a row. At its beginning it waits until it can no more become one of ours.
    fn write(&mut self, text: &str) {
        if !self.fresh {
            self.out.push_str(text);
            return;
        }
        if self.held_styles.last().is_none_or(|(_, last)| *last != self.style) {
            self.held_styles.push((self.held.len(), self.style));
        }
        self.held.push_str(text);
        match ours::judge(&self.held, self.place, false) {
            Row::Open => {}
            row => self.release(row),
        }
    }

    /// Nothing comes any more in this row of the terminal.
    fn end_row(&mut self) {
        if self.fresh && !self.held.is_empty() {
            self.release(ours::judge(&self.held, self.place, true));
        }
    }

    /// The row is judged: its beginning is written, behind a bar if it looks like one of ours.
    fn release(&mut self, row: Row) {
        let style = self.style;
        self.fresh = false;
        if row == Row::Ours {
            self.bar();
        }
        let (held, styles) = (std::mem::take(&mut self.held), std::mem::take(&mut self.held_styles));
        let ends = styles.iter().skip(1).map(|(at, _)| *at).chain([held.len()]);
        for ((begin, style), end) in styles.iter().zip(ends) {
            self.set(*style);
            self.out.push_str(&held[*begin..end]);
        }
        self.set(style);
        // The memory is used again.
        (self.held, self.held_styles) = (held, styles);
        self.held.clear();
        self.held_styles.clear();
    }

    fn bar(&mut self) {
        self.set(FRAME);
        self.out.push_str(BAR);
        self.column += BAR.width();
    }

    fn wrap(&mut self) {
        self.end_row();
        self.set(Style::new());
        self.out.push('\n');
        let prefix = std::mem::take(&mut self.prefix);
        self.indent(&prefix.rest);
        self.prefix = prefix;
    }

    fn set(&mut self, style: Style) {
        if !self.color || style == self.style {
            return;
        }
        if self.style != Style::new() {
            let _ = write!(self.out, "{}", anstyle::Reset);
        }
        let _ = write!(self.out, "{style}");
        self.style = style;
    }
}

/// Signs that never begin a line, or belong to the sign before them.
fn clings(c: char) -> bool {
    matches!(
        c,
        '、' | '。'
            | '，'
            | '．'
            | '！'
            | '？'
            | '：'
            | '；'
            | '）'
            | '」'
            | '』'
            | '】'
            | '》'
            | '〉'
            | '”'
            | '’'
            | '…'
            | 'ー'
            | '々'
            | '\u{1f3fb}'..='\u{1f3ff}'
    )
}
