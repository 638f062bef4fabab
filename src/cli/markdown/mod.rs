//! Markdown on a terminal, while it is being written.
//!
//! Nothing is drawn twice: what can still change waits, and everything else is written at once. A paragraph, a heading and an
//! item of a list come word by word, code too, a table comes when it is over. There is no library behind it,
//! because one that reads whole documents cannot say what will not change any more.
//!
//! [`block`] decides what a line is, [`inline`] reads what stands in it, [`code`] colours code, [`flow`] breaks it into lines of the terminal,
//! [`ours`] knows how the program's own begin, [`like`] what looks like what, [`table`] puts columns beside each other. Everything is escaped before any of them sees it.

mod block;
mod code;
mod flow;
mod inline;
mod like;
mod ours;
mod table;

use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;

use self::{
    block::{Container, Fence, Kind},
    code::Lexer,
    flow::{BAR, BULLETS, FRAME, Flow, Prefix},
    inline::{CODE, Inline},
    table::Table,
};
use crate::escape;

/// The longest rule.
const LONGEST_RULE: usize = 60;
/// How much of a line that was read is kept before it is forgotten.
const FORGET: usize = 4096;

/// An answer that is being shown.
#[derive(Debug)]
pub(crate) struct Markdown {
    flow: Flow,
    /// The line that is being received, and how much of it was dealt with.
    line: String,
    at: usize,
    leaf: Leaf,
    containers: Vec<Container>,
    /// Items whose marker has not been written.
    fresh: usize,
    fence: Option<Fence>,
    /// Reads the code of the fence, if its language is known.
    lexer: Option<Lexer>,
    table: Option<Table>,
    /// Where the text begins of a line that can still become the header of a table without outer bars.
    lead: Option<usize>,
    /// The line before, if it is one.
    held: Option<Held>,
    /// The line before was text.
    paragraph: bool,
    /// Lines were left empty, and something stands above them.
    gap: bool,
    begun: bool,
    /// The last character was a carriage return.
    after_cr: bool,
}

/// What the line is that is being received.
#[derive(Clone, Copy, Debug)]
enum Leaf {
    Undecided,
    Text(Inline, Style),
    /// Text behind a first bar, which waits for the next line.
    Held(Inline, Style),
    Code,
}

/// A line that is the header of a table if the next line says so. Its first cell is on the screen.
#[derive(Debug)]
struct Held {
    header: String,
    /// What of it is not on the screen.
    from: usize,
    inline: Inline,
    style: Style,
}

impl Markdown {
    /// An answer that begins here.
    pub(crate) fn new(color: bool) -> Self {
        Self {
            flow: Flow::new(color),
            line: String::new(),
            at: 0,
            leaf: Leaf::Undecided,
            containers: Vec::new(),
            fresh: 0,
            fence: None,
            lexer: None,
            table: None,
            lead: None,
            held: None,
            paragraph: false,
            gap: false,
            begun: false,
            after_cr: false,
        }
    }

    /// Takes the next piece on a terminal of this width, and returns what to write.
    pub(crate) fn add(&mut self, text: &str, width: usize) -> String {
        self.flow.set_width(width);
        for part in text.split_inclusive('\n') {
            self.add_part(part);
        }
        self.flow.settle();
        self.flow.take()
    }

    /// The answer is over, or something else has to be written: whatever waits is written, and the line is ended.
    pub(crate) fn finish(mut self) -> String {
        if !self.line.is_empty() {
            self.advance(true);
            self.end_line();
        }
        self.end_table();
        self.release();
        if self.flow.is_open() {
            self.flow.end();
        }
        self.flow.take()
    }

    /// Whether a line has been begun and not ended.
    pub(crate) fn is_midline(&self) -> bool {
        self.flow.is_open()
    }

    /// A part of one line, or its end.
    fn add_part(&mut self, part: &str) {
        let (part, ends) = part.strip_suffix('\n').map_or((part, false), |part| (part, true));
        // A line may end with CRLF; a carriage return anywhere else is made visible.
        if self.after_cr && !(ends && part.is_empty()) {
            self.line.push_str(&escape::text("\r"));
        }
        let (part, cr) = part.strip_suffix('\r').map_or((part, false), |part| (part, true));
        self.after_cr = cr && !ends;
        self.line.push_str(&escape::text(part));
        self.advance(ends);
        if ends {
            self.end_line();
        }
    }

    fn advance(&mut self, whole: bool) {
        if let Leaf::Undecided = self.leaf {
            if self.fence.is_some() {
                self.open_code(whole);
            } else {
                self.open(whole);
            }
        }
        self.hold_at_bar();
        if let Leaf::Held(inline, style) = self.leaf {
            if self.line.len() <= FORGET {
                return;
            }
            (self.leaf, self.lead) = (Leaf::Text(inline, style), None);
        }
        let rest = &self.line[self.at..];
        match &mut self.leaf {
            Leaf::Undecided | Leaf::Held(..) => return,
            Leaf::Text(inline, style) => {
                self.at += inline.read(rest, whole, *style, &mut |text, style| self.flow.text(text, style));
            }
            Leaf::Code => {
                self.at += match &mut self.lexer {
                    Some(lexer) => lexer.read(rest, whole, &mut |text, style| self.flow.raw(text, style)),
                    None => {
                        self.flow.raw(rest, CODE);
                        rest.len()
                    }
                };
            }
        }
        if self.at > FORGET {
            self.line.drain(..self.at);
            (self.at, self.lead) = (0, None);
        }
    }

    /// Whatever stands before the first bar of a line that may be a header is written; the rest waits. A mark that is open
    /// there makes it text.
    fn hold_at_bar(&mut self) {
        let (Leaf::Text(inline, style), Some(begin)) = (&mut self.leaf, self.lead) else { return };
        let Some(bar) = table::bar(&self.line[begin..]) else { return };
        let Some(cell) = self.line.get(self.at..begin + bar) else { return };
        let (style, length) = (*style, cell.len());
        let read = inline.read(cell, false, style, &mut |text, style| self.flow.text(text, style));
        self.at += read;
        if read == length {
            self.flow.pause();
            self.leaf = Leaf::Held(*inline, style);
        } else {
            self.lead = None;
        }
    }

    fn end_line(&mut self) {
        match (self.leaf, self.lead.take()) {
            (Leaf::Held(inline, style), Some(begin)) => {
                let header = self.line[begin..].to_owned();
                self.held = Some(Held { header, from: self.at - begin, inline, style });
            }
            // The header of a table stands there.
            (Leaf::Undecided, _) => {}
            _ if self.flow.is_open() => self.flow.end(),
            _ => {}
        }
        self.line.clear();
        (self.at, self.leaf) = (0, Leaf::Undecided);
    }

    /// The line before was text.
    fn release(&mut self) {
        let Some(Held { header, from, mut inline, style }) = self.held.take() else { return };
        inline.read(&header[from..], true, style, &mut |text, style| self.flow.text(text, style));
        self.flow.end();
    }

    /// What the line says about the one before. False: nothing yet, or that was all.
    fn judge_held(&mut self, whole: bool) -> bool {
        let Some(held) = &self.held else { return true };
        if !whole && self.line.len() <= FORGET && self.line.bytes().all(|byte| b"|:- \t".contains(&byte)) {
            return false;
        }
        self.table = Table::below(&held.header, &self.line, &mut self.flow).filter(|_| whole);
        if self.table.is_none() {
            self.release();
            return true;
        }
        (self.held, self.paragraph, self.at) = (None, false, self.line.len());
        false
    }

    /// Decides what the line is, and does what is done at its beginning.
    fn open(&mut self, whole: bool) {
        let bare = self.table.as_ref().is_some_and(Table::is_bare);
        if !self.judge_held(whole) || bare && !whole && self.line.len() <= FORGET {
            return;
        }
        let Some(line) = block::read(&self.line, &self.containers, self.paragraph, whole) else { return };
        self.at = line.at;
        let row = line.kind == Kind::Row || bare && whole && line.kind == Kind::Text && self.line.contains('|');
        if row
            && line.new.is_empty()
            && line.kept == self.containers.len()
            && let Some(table) = &mut self.table
            && table.take(&self.line[line.at..], &mut self.flow)
        {
            self.at = self.line.len();
            return;
        }
        self.end_table();
        let leads = line.kind == Kind::Text && !self.paragraph && line.new.is_empty() && line.kept == 0;
        self.lead = leads.then_some(line.at);
        self.paragraph = line.kind == Kind::Text;
        if line.kind == Kind::Blank && line.new.is_empty() {
            self.containers.truncate(line.kept);
            self.gap = self.begun;
            return;
        }
        self.write_gap(line.kept);
        self.containers.truncate(line.kept);
        self.fresh = line.new.len();
        self.containers.extend(line.new);
        let prefix = self.prefix();
        match line.kind {
            Kind::Text | Kind::Blank => self.begin(prefix, "", Style::new()),
            Kind::Heading(level) => {
                let marks = "#".repeat(level) + " ";
                let style = if level == 1 { Style::new().bold().underline() } else { Style::new().bold() };
                self.begin(prefix, if self.flow.color() { "" } else { &marks }, style);
            }
            Kind::Indented => self.begin_code(prefix),
            Kind::Row => {
                self.table = Some(Table::new(prefix, &self.line[line.at..]));
                self.at = self.line.len();
            }
            Kind::Rule => {
                let length = self.flow.room(&prefix).min(LONGEST_RULE);
                self.flow.begin(prefix);
                self.flow.raw(&"─".repeat(length), FRAME);
                self.flow.end();
            }
            Kind::Fence(fence) => {
                if !fence.info.is_empty() || self.fresh > 0 {
                    self.flow.begin(prefix);
                    let rule =
                        if fence.info.is_empty() { "──".to_owned() } else { format!("── {}", fence.info) };
                    self.flow.raw(&rule, FRAME);
                    self.flow.end();
                }
                self.lexer = Lexer::named(&fence.info);
                self.fence = Some(fence);
            }
        }
    }

    /// The same inside a block of code.
    fn open_code(&mut self, whole: bool) {
        let Some(fence) = &self.fence else { return };
        let Some((inside, closed, at)) = block::read_code(&self.line, &self.containers, fence, whole) else { return };
        if !inside || closed {
            (self.fence, self.lexer) = (None, None);
        }
        if !inside {
            // The quote that it stood in is over.
            return self.open(whole);
        }
        self.at = at;
        if closed {
            return;
        }
        let prefix = self.prefix();
        match self.line.len() == at {
            true => self.flow.line(&(prefix.rest + BAR)),
            false => self.begin_code(prefix),
        }
    }

    fn begin(&mut self, prefix: Prefix, marks: &str, style: Style) {
        self.flow.begin(prefix);
        self.flow.text(marks, style);
        self.leaf = Leaf::Text(Inline::new(!self.flow.color()), style);
    }

    fn begin_code(&mut self, mut prefix: Prefix) {
        // Indented by blanks, a row of it would stand where the program's own stand.
        prefix.first += BAR;
        prefix.rest += BAR;
        self.flow.begin(prefix);
        self.leaf = Leaf::Code;
    }

    fn end_table(&mut self) {
        let Some((prefix, line)) = self.table.take().and_then(|table| table.end(&mut self.flow)) else { return };
        self.flow.begin(prefix);
        let mut inline = Inline::new(!self.flow.color());
        inline.read(&line, true, Style::new(), &mut |text, style| self.flow.text(text, style));
        self.flow.end();
    }

    /// Empty lines, however many, become one.
    fn write_gap(&mut self, kept: usize) {
        if std::mem::take(&mut self.gap) {
            let quotes = self.containers[..kept].iter().filter(|container| **container == Container::Quote).count();
            self.flow.line(&"│ ".repeat(quotes));
        }
        self.begun = true;
    }

    /// What stands before the lines of the innermost container. Markers are used up.
    fn prefix(&mut self) -> Prefix {
        let old = self.containers.len() - std::mem::take(&mut self.fresh);
        let mut prefix = Prefix::default();
        let mut depth = 0;
        for (at, container) in self.containers.iter().enumerate() {
            match container {
                Container::Quote => {
                    prefix.first += "│ ";
                    prefix.rest += "│ ";
                    prefix.quoted = true;
                }
                Container::Item { number, .. } => {
                    let marker = if number.is_empty() { BULLETS[depth % 3] } else { number };
                    depth += usize::from(number.is_empty());
                    let space = " ".repeat(marker.width() + 1);
                    if at >= old {
                        prefix.first += marker;
                        prefix.first.push(' ');
                    } else {
                        prefix.first += &space;
                    }
                    prefix.rest += &space;
                }
            }
        }
        prefix
    }
}

/// For the fuzz target: a text that comes in pieces of this many characters, as it is written.
#[cfg(feature = "fuzzing")]
#[must_use]
pub fn rendered(text: &str, size: usize, width: usize, color: bool) -> String {
    let mut markdown = Markdown::new(color);
    let chars: Vec<char> = text.chars().collect();
    let mut all = String::new();
    for piece in chars.chunks(size.max(1)) {
        all += &markdown.add(&piece.iter().collect::<String>(), width);
    }
    all + &markdown.finish()
}

#[cfg(test)]
mod tests;
