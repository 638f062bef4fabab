//! The line above the prompt: profile, person, model, what was used, what waits. It is written like any other line and only
//! when it says something new, so nothing has to be asked of the terminal and nothing is drawn twice.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::talk::Talk;
use crate::{
    cli::{failure::Failure, ui::Line},
    escape,
};

const BETWEEN: &str = " · ";
/// Before the first field: no text of a model begins a row with it (`markdown::ours`).
const BEGIN: &str = "· ";

/// What was shown last.
#[derive(Debug, Default)]
pub(super) struct Status(String);

impl Status {
    /// Shows it if it has changed. Not where the cursor cannot be moved, and not under `--quiet`.
    pub(super) fn show(&mut self, talk: &Talk<'_>) -> Result<(), Failure> {
        let ui = &talk.app.ui;
        if !ui.err().cursor {
            return Ok(());
        }
        let fields = fields(talk)?;
        let width = ui.size().map_or(80, |(width, _)| width);
        let line = format!("{BEGIN}{}", fitted(&fields, BETWEEN, width.saturating_sub(1 + BEGIN.width())));
        if line != self.0 {
            ui.status(Line::new().dim_said(&line));
            self.0 = line;
        }
        Ok(())
    }
}

/// The fields, each with its weight: the lightest is left out first where there is no room.
fn fields(talk: &Talk<'_>) -> Result<Vec<(u8, String)>, Failure> {
    let mut fields = vec![(1, talk.app.config()?.profile.value.clone())];
    fields.extend(talk.person.clone().map(|person| (2, person)));
    fields.extend(talk.model_name()?.map(|model| (3, model)));
    if talk.tokens() > 0 {
        fields.push((4, tokens(talk.tokens())));
    }
    // What cannot be read ends no shell; who goes on with it is told.
    match talk.waiting().unwrap_or_default().len() {
        0 => {}
        count => fields.push((5, format!("{count} waiting for you"))),
    }
    match talk.unasked().unwrap_or_default().len() {
        0 => {}
        count => fields.push((5, format!("{count} not asked yet"))),
    }
    match talk.cut().unwrap_or_default().len() {
        0 => {}
        count => fields.push((6, format!("{count} cut off"))),
    }
    match talk.approved().unwrap_or_default().len() {
        0 => {}
        count => fields.push((6, format!("{count} approved, not done yet"))),
    }
    Ok(fields.into_iter().map(|(weight, text)| (weight, escape::field(&text).into_owned())).collect())
}

/// `950 tokens`, `12.3k tokens`.
fn tokens(count: u64) -> String {
    match count {
        ..1000 => format!("{count} tokens"),
        1000..1_000_000 => format!("{}.{}k tokens", count / 1000, count % 1000 / 100),
        _ => format!("{}.{}M tokens", count / 1_000_000, count % 1_000_000 / 100_000),
    }
}

/// As many fields as there is room for, in their order.
fn fitted(fields: &[(u8, String)], between: &str, width: usize) -> String {
    let mut fields: Vec<&(u8, String)> = fields.iter().collect();
    loop {
        let line = fields.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(between);
        if line.width() <= width || fields.len() < 2 {
            return cut(&line, width);
        }
        let lightest = fields.iter().map(|(weight, _)| *weight).min();
        fields.retain(|(weight, _)| Some(*weight) != lightest);
    }
}

/// A text that is at most this wide.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let kept = text.chars().take_while(|c| {
        let wide = c.width().unwrap_or(0);
        let fits = wide <= room;
        room = room.saturating_sub(wide);
        fits
    });
    kept.chain((width > 0).then_some('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_the_screen() {
        let fields =
            [(1, "default"), (2, "Ada Lovelace"), (3, "dev-planner"), (4, "12.3k tokens"), (5, "1 waiting for you")]
                .map(|(weight, text)| (weight, text.to_owned()));
        let all = "default · Ada Lovelace · dev-planner · 12.3k tokens · 1 waiting for you";
        assert_eq!(fitted(&fields, BETWEEN, 79), all);
        assert_eq!(fitted(&fields, BETWEEN, 39), "12.3k tokens · 1 waiting for you");
        assert_eq!(fitted(&fields, BETWEEN, 19), "1 waiting for you");
        assert_eq!(fitted(&fields, BETWEEN, 5), "1 wa…");
    }

    #[test]
    fn wide_letters_are_cut_whole() {
        assert_eq!(
            (cut("日本語", 6), cut("日本語", 5), cut("日本語", 0)),
            ("日本語".into(), "日本…".into(), String::new())
        );
    }

    #[test]
    fn tokens_are_counted_in_short() {
        assert_eq!(
            (tokens(999), tokens(12_345), tokens(2_050_000)),
            ("999 tokens".into(), "12.3k tokens".into(), "2.0M tokens".into())
        );
    }
}
