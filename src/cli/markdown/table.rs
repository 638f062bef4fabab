//! Tables (GitHub Flavored Markdown §4.10). Their columns are known only when they are over, so a table waits for its end; one
//! that becomes very long is written in parts.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{
    flow::{BAR, FRAME, Flow, Prefix},
    inline::Inline,
    ours::{self, Place, Row},
};

/// How much of a table waits at most, in bytes and in rows.
const LONGEST: usize = 64 << 10;
const MOST_ROWS: usize = 500;
/// Between two columns.
const GAP: &str = " │ ";
/// Columns narrower than this cannot be read.
const NARROWEST: usize = 5;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Align {
    #[default]
    Left,
    Center,
    Right,
}

/// Text in pieces of one style each.
type Styled = Vec<(String, Style)>;

/// A table that is being received.
#[derive(Debug)]
pub(super) struct Table {
    prefix: Prefix,
    /// The first line as it came: without the line under it, it is no table.
    header: String,
    aligns: Option<Vec<Align>>,
    rows: Vec<Vec<String>>,
    bytes: usize,
    /// The columns, once a part was written.
    widths: Option<Vec<usize>>,
    /// How wide the first cell is, if it is on the screen already and the line goes on behind it.
    begun: Option<usize>,
    /// It has no outer bars.
    bare: bool,
}

impl Table {
    pub(super) fn new(prefix: Prefix, header: &str) -> Self {
        Self {
            prefix,
            header: header.to_owned(),
            aligns: None,
            rows: Vec::new(),
            bytes: 0,
            widths: None,
            begun: None,
            bare: false,
        }
    }

    /// A table whose header has no outer bars, and of which the first cell is on the screen, if this is the line under it.
    pub(super) fn below(header: &str, line: &str, flow: &mut Flow) -> Option<Self> {
        let (aligns, cells) = (delimiter(line)?, cells(header));
        let begun = flow.pause();
        let in_one_line = width_of(styled(cells.first()?, Style::new(), !flow.color())) == begun;
        let aligns = (aligns.len() == cells.len() && in_one_line).then_some(aligns)?;
        let table = Self::new(Prefix::default(), header);
        Some(Self { aligns: Some(aligns), begun: Some(begun), bare: true, ..table })
    }

    /// Whether its rows begin like text.
    pub(super) fn is_bare(&self) -> bool {
        self.bare
    }

    /// Takes the next line; false if it does not belong to the table.
    pub(super) fn take(&mut self, line: &str, flow: &mut Flow) -> bool {
        if self.aligns.is_none() {
            self.aligns = delimiter(line).filter(|aligns| aligns.len() == cells(&self.header).len());
            return self.aligns.is_some();
        }
        self.bytes += line.len();
        self.rows.push(cells(line));
        if self.bytes > LONGEST || self.rows.len() > MOST_ROWS {
            self.write(flow);
        }
        true
    }

    /// The table is over: what has not been written is. Returns the first line if it was none.
    pub(super) fn end(mut self, flow: &mut Flow) -> Option<(Prefix, String)> {
        if self.aligns.is_none() {
            return Some((self.prefix, self.header));
        }
        if !self.rows.is_empty() || self.widths.is_none() {
            self.write(flow);
        }
        None
    }

    fn write(&mut self, flow: &mut Flow) {
        // What is on the screen is not bold.
        let bold = if flow.color() && !self.bare { Style::new().bold() } else { Style::new() };
        let marks = !flow.color();
        let header: Vec<Styled> = cells(&self.header).iter().map(|cell| styled(cell, bold, marks)).collect();
        let rows = std::mem::take(&mut self.rows);
        let rows: Vec<Vec<Styled>> =
            rows.iter().map(|row| row.iter().map(|cell| styled(cell, Style::new(), marks)).collect()).collect();
        self.bytes = 0;
        let count = rows.iter().map(Vec::len).chain([header.len()]).max().unwrap_or(0);
        let room = flow.room(&self.prefix);
        let Some(mut widths) = self.columns(&header, &rows, room) else {
            if self.begun.take().is_some() {
                flow.end();
            }
            self.write_list(&header, &rows, flow);
            self.widths.get_or_insert_default();
            return;
        };
        let first = self.widths.is_none();
        // Where one row looks like one of ours, all of them have a bar: else that one would be out of line.
        let looks = |row: &Vec<Styled>| {
            let cell: String = row.first().into_iter().flatten().map(|(text, _)| text.as_str()).collect();
            ours::judge(&cell, Place::Margin(self.prefix.rest.width()), true) == Row::Ours
        };
        if first && self.begun.is_none() && rows.iter().chain([&header]).any(looks) {
            self.prefix.first += BAR;
            self.prefix.rest += BAR;
        }
        widths.resize(count.max(widths.len()), NARROWEST);
        if first {
            self.write_row(&header, &widths, flow);
            self.begin(flow);
            let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            flow.raw(&rules.join("─┼─"), FRAME);
            flow.end();
        }
        for row in &rows {
            self.write_row(row, &widths, flow);
        }
        self.widths = Some(widths);
    }

    /// How wide the columns are, unless they are too narrow to be read, or the first is narrower than what is on the screen.
    fn columns(&self, header: &[Styled], rows: &[Vec<Styled>], room: usize) -> Option<Vec<usize>> {
        let count = rows.iter().map(Vec::len).chain([header.len()]).max().unwrap_or(0);
        if count * NARROWEST + (count - 1) * GAP.width() > room {
            return None;
        }
        if let Some(widths) = self.widths.as_ref().filter(|widths| !widths.is_empty()) {
            return Some(widths.clone());
        }
        let mut natural = vec![1; count];
        for row in rows.iter().map(Vec::as_slice).chain([header]) {
            for (width, cell) in natural.iter_mut().zip(row) {
                *width = lines(cell).map(width_of).max().unwrap_or(0).max(*width);
            }
        }
        let widths = fitted(natural, room);
        (self.begun.unwrap_or(0) <= widths[0]).then_some(widths)
    }

    fn begin(&mut self, flow: &mut Flow) {
        flow.begin(self.prefix.clone());
        self.prefix.first.clone_from(&self.prefix.rest);
    }

    fn write_row(&mut self, row: &[Styled], widths: &[usize], flow: &mut Flow) {
        let wrapped: Vec<Vec<Styled>> = (0..widths.len())
            .map(|at| {
                row.get(at).map_or_else(Vec::new, |cell| lines(cell).flat_map(|line| wrap(line, widths[at])).collect())
            })
            .collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or(0).max(1);
        for line in 0..height {
            let begun = self.begun.take();
            if begun.is_none() {
                self.begin(flow);
            }
            for (at, width) in widths.iter().enumerate() {
                if let Some(begun) = begun.filter(|_| at == 0) {
                    flow.raw(&" ".repeat(width.saturating_sub(begun)), Style::new());
                    continue;
                }
                if at > 0 {
                    flow.raw(GAP, FRAME);
                }
                let empty = Vec::new();
                let cell = wrapped[at].get(line).unwrap_or(&empty);
                let space = width.saturating_sub(width_of(cell));
                let align = self.aligns.as_ref().and_then(|aligns| aligns.get(at)).copied().unwrap_or_default();
                let left = match align {
                    Align::Left => 0,
                    Align::Center => space / 2,
                    Align::Right => space,
                };
                flow.raw(&" ".repeat(left), Style::new());
                cell.iter().for_each(|(text, style)| flow.raw(text, *style));
                if at + 1 < widths.len() {
                    flow.raw(&" ".repeat(space - left), Style::new());
                }
            }
            flow.end();
        }
    }

    /// On a narrow screen each cell has a line of its own, behind the name of its column.
    fn write_list(&mut self, header: &[Styled], rows: &[Vec<Styled>], flow: &mut Flow) {
        for row in rows {
            for (at, cell) in row.iter().enumerate() {
                self.begin(flow);
                for (text, style) in header.get(at).into_iter().flatten() {
                    flow.text(text, *style);
                }
                flow.text(": ", Style::new());
                for (text, style) in cell {
                    flow.text(&text.replace('\n', " "), *style);
                }
                flow.end();
            }
            self.begin(flow);
            flow.raw("──", FRAME);
            flow.end();
        }
    }
}

/// The line under the header: `|---|:-:|--:|`.
fn delimiter(line: &str) -> Option<Vec<Align>> {
    let align = |cell: &String| {
        let dashes = cell.trim_matches(':');
        let valid = !dashes.is_empty() && dashes.bytes().all(|byte| byte == b'-') && cell.len() <= dashes.len() + 2;
        let align = match (cell.starts_with(':'), cell.ends_with(':')) {
            (true, true) => Align::Center,
            (false, true) => Align::Right,
            _ => Align::Left,
        };
        valid.then_some(align)
    };
    cells(line).iter().map(align).collect()
}

/// Where the first bar stands that parts two cells.
pub(super) fn bar(line: &str) -> Option<usize> {
    line.match_indices(" |").map(|(at, _)| at + 1).next()
}

/// The cells of a row. A bar behind a backslash is part of its cell.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim_ascii();
    let line = line.strip_prefix('|').unwrap_or(line);
    let mut cells = vec![String::new()];
    let mut escaped = false;
    for c in line.chars() {
        match (c, cells.last_mut()) {
            ('|', _) if !escaped => cells.push(String::new()),
            ('|', Some(cell)) => {
                cell.pop();
                cell.push('|');
            }
            (c, Some(cell)) => cell.push(c),
            (_, None) => {}
        }
        escaped = c == '\\' && !escaped;
    }
    if cells.len() > 1 && cells.last().is_some_and(|cell| cell.trim_ascii().is_empty()) {
        cells.pop();
    }
    cells.iter().map(|cell| cell.trim_ascii().to_owned()).collect()
}

/// A cell with its styles; `<br>` is the only way to break a line in one.
fn styled(cell: &str, style: Style, marks: bool) -> Styled {
    let cell = ["<br>", "<br/>", "<br />"].iter().fold(cell.to_owned(), |cell, mark| cell.replace(mark, "\n"));
    let mut pieces = Styled::new();
    Inline::new(marks).read(&cell, true, style, &mut |text, style| pieces.push((text.to_owned(), style)));
    pieces
}

fn lines(cell: &Styled) -> impl Iterator<Item = Styled> {
    let mut lines = vec![Styled::new()];
    for (text, style) in cell {
        for (at, part) in text.split('\n').enumerate() {
            if at > 0 {
                lines.push(Styled::new());
            }
            if let Some(line) = lines.last_mut().filter(|_| !part.is_empty()) {
                line.push((part.to_owned(), *style));
            }
        }
    }
    lines.into_iter()
}

fn width_of(line: impl AsRef<[(String, Style)]>) -> usize {
    line.as_ref().iter().map(|(text, _)| text.width()).sum()
}

/// Breaks a line at spaces, and where there are none, anywhere.
fn wrap(line: Styled, width: usize) -> Vec<Styled> {
    if width_of(&line) <= width {
        return vec![line];
    }
    let mut lines = vec![Styled::new()];
    let mut column = 0;
    for (text, style) in line {
        for word in text.split_inclusive(' ') {
            if column > 0 && column + word.trim_ascii_end().width() > width {
                lines.push(Styled::new());
                column = 0;
            }
            for c in word.chars() {
                let next = c.width().unwrap_or(0);
                if column + next > width {
                    if c == ' ' {
                        continue;
                    }
                    lines.push(Styled::new());
                    column = 0;
                }
                let Some(line) = lines.last_mut() else { continue };
                match line.last_mut().filter(|(_, last)| *last == style) {
                    Some((text, _)) => text.push(c),
                    None => line.push((c.to_string(), style)),
                }
                column += next;
            }
        }
    }
    lines
}

/// Columns that fit into this room: those that are narrow enough stay, the others share what is left.
fn fitted(mut widths: Vec<usize>, room: usize) -> Vec<usize> {
    let room = room - (widths.len() - 1) * GAP.width();
    if widths.iter().sum::<usize>() <= room {
        return widths;
    }
    let mut order: Vec<usize> = (0..widths.len()).collect();
    order.sort_by_key(|at| widths[*at]);
    let mut left = room;
    for (done, at) in order.iter().enumerate() {
        let share = left / (widths.len() - done);
        widths[*at] = widths[*at].min(share);
        left -= widths[*at];
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &[&str], width: usize) -> String {
        let mut flow = Flow::new(false);
        flow.set_width(width);
        let mut table = Table::new(Prefix::default(), lines[0]);
        assert!(lines[1..].iter().all(|line| table.take(line, &mut flow)));
        assert!(table.end(&mut flow).is_none());
        flow.take()
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let lines = ["| Name | Price |", "|:-----|------:|", "| 電話 | 1 |", "| `a\\|b` | 1,000.00 |", "| x | y | z |"];
        let expected = "Name  │    Price │ \n──────┼──────────┼──\n電話  │        1 │ \n`a|b` │ 1,000.00 │ \nx     │        y │ z\n";
        assert_eq!(table(&lines, 80), expected);
    }

    #[test]
    fn what_is_too_wide_is_wrapped_or_listed() {
        let lines = ["| a | description |", "|--|--|", "| 1 | one two three four five |"];
        assert_eq!(table(&lines, 20), "a │ description\n──┼─────────────────\n1 │ one two three \n  │ four five\n");
        assert!(table(&lines, 12).lines().all(|line| line.width() <= 12));
        let many = ["| a | b | c | d |", "|-|-|-|-|", "| 1 | 2 | 3 | 4 |"];
        assert_eq!(table(&many, 20), "a: 1\nb: 2\nc: 3\nd: 4\n──\n");
    }

    #[test]
    fn a_long_table_is_written_in_parts() {
        let mut flow = Flow::new(false);
        let mut table = Table::new(Prefix::default(), "| n | square |");
        assert!(table.take("|-|-|", &mut flow));
        for n in 0..=MOST_ROWS {
            assert!(flow.take().is_empty());
            assert!(table.take(&format!("| {n} | {} |", n * n), &mut flow));
        }
        assert_eq!(flow.take().lines().count(), MOST_ROWS + 3);
        table.take("| 1 | 1 |", &mut flow);
        assert!(table.end(&mut flow).is_none());
        assert_eq!(flow.take(), "1   │ 1\n");
    }

    #[test]
    fn a_line_with_bars_alone_is_no_table() {
        let mut flow = Flow::new(false);
        let mut table = Table::new(Prefix::default(), "| a | b |");
        assert!(!table.take("| c | d |", &mut flow));
        assert!(table.end(&mut flow).is_some_and(|(_, line)| line == "| a | b |"));
        assert_eq!(delimiter("|---|x|"), None);
    }
}
