//! Saved conversations to choose from: a numbered list, so that it works in every terminal.

use chrono::{DateTime, Utc};

use super::{reader::Reader, status::cut};
use crate::{
    call::RunId,
    cli::{
        app::App,
        failure::{Failure, Kind},
        runs,
        ui::Line,
    },
    escape,
    store::journal::SavedRun,
};

/// How many are shown.
const MOST: usize = 20;

/// The conversations of this profile, the last used first, without the one that goes on.
fn latest_ones(app: &App, current: Option<&RunId>) -> Result<Vec<SavedRun>, Failure> {
    let profile = &app.config()?.profile.value;
    let mut runs = app.journal()?.runs()?;
    runs.retain(|run| !run.row.is_single_call() && run.row.profile == *profile && Some(&run.row.id) != current);
    runs.sort_by_key(|run| std::cmp::Reverse(run.used_at));
    runs.truncate(MOST);
    Ok(runs)
}

/// The one that was used last.
pub(super) fn latest(app: &App) -> Result<RunId, Failure> {
    let journal = app.journal()?;
    for run in latest_ones(app, None)? {
        // A crash may have come before the person's first message was written down.
        if journal.messages(&run.row.id)?.iter().any(|message| message["role"] == "user") {
            return Ok(run.row.id);
        }
    }
    Err(Failure::new(Kind::Usage, "there is no conversation to go on with").hint("`agentctl chat` begins one"))
}

/// Their ids.
pub(super) fn ids(app: &App) -> Result<Vec<String>, Failure> {
    Ok(latest_ones(app, None)?.into_iter().map(|run| run.row.id.to_string()).collect())
}

/// Shows them, and returns the ids in the order of their numbers.
pub(super) fn list(app: &App, current: Option<&RunId>) -> Result<Vec<RunId>, Failure> {
    let (runs, journal, now) = (latest_ones(app, current)?, app.journal()?, app.clock.now());
    let width = app.ui.size().map_or(80, |(width, _)| width);
    for (at, run) in runs.iter().enumerate() {
        let number = format!("{:>3}  ", at + 1);
        let age = format!("{:<9}", age(now, run.used_at));
        let waits = if journal.has_pending(&run.row.id)? { "waits  " } else { "" };
        let room = width.saturating_sub(number.len() + age.len() + waits.len() + 1);
        let title = cut(&escape::field(&run.row.title), room);
        app.ui.say(Line::new().said(&number).dim_said(&age).warn(waits).words(&title));
    }
    if runs.is_empty() {
        let other = if current.is_some() { "other " } else { "" };
        app.ui.say(format!("There is no {other}conversation yet."));
    }
    Ok(runs.into_iter().map(|run| run.row.id).collect())
}

/// The run that a person means: an id or the beginning of one, or a number of the list that was shown last.
pub(super) fn meant(app: &App, listed: &[RunId], answer: &str) -> Result<RunId, Failure> {
    let numbered = answer.parse::<usize>().ok().and_then(|number| listed.get(number.checked_sub(1)?));
    match numbered {
        Some(run) => Ok(run.clone()),
        None if answer.starts_with("run_") => Ok(runs::find(&*app.journal()?, answer)?.row.id),
        None => {
            let failure = Failure::new(Kind::Usage, format!("{answer} is none of them; nothing has changed"));
            Err(failure.hint("/runs shows the numbers"))
        }
    }
}

/// Lets the person choose one. None: they choose nothing.
pub(super) async fn pick(app: &App, reader: &mut Reader, current: Option<&RunId>) -> Result<Option<RunId>, Failure> {
    let runs = list(app, current)?;
    if runs.is_empty() {
        return Ok(None);
    }
    let Some(answer) = reader.ask(app, "which? ").await else { return Ok(None) };
    meant(app, &runs, &answer).map(Some)
}

/// How long ago something was, in one unit.
fn age(now: DateTime<Utc>, then: DateTime<Utc>) -> String {
    let seconds = (now - then).num_seconds();
    match seconds {
        ..60 => "just now".to_owned(),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let now = DateTime::UNIX_EPOCH + chrono::Duration::days(100);
        let table =
            [(-5, "just now"), (59, "just now"), (60, "1 min"), (7199, "1 h"), (86_400, "1 d"), (8_640_000, "100 d")];
        for (seconds, text) in table {
            assert_eq!(age(now, now - chrono::Duration::seconds(seconds)), text);
        }
    }
}
