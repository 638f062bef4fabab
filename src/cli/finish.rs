//! How a run ends, or comes to rest: it is stopped without losing what waits for a person, and says how to go on.

use std::{future::Future, path::Path, pin::pin, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    app::App,
    failure::{Failure, Kind},
    show::{self, Show},
    signals::Stop,
    stuck,
    ui::{Line, Ui},
    usage::Used,
    verdict,
};
use crate::{
    agent::{LimitReached, TurnEnd},
    call::RunId,
    dispatch, escape, files,
    store::journal::{ApprovalFilter, ApprovalRow, ApprovalState, Journal},
};

/// How long a request that is under way is waited for when somebody stopped waiting: it may bring the answer.
pub(crate) const MOMENT: Duration = Duration::from_secs(3);
/// What is said of an approval whose answer was on its way when nobody waited any longer.
const FETCHED: &str = ": the server was just being asked for your answer, and is asked once more later. If you said yes in \
                       this very moment, your answer may be lost; nothing is done then.";
/// What is said of a yes with which nothing was done yet.
const APPROVED: &str = ": approved, not done yet: `agentctl resume` does it, `agentctl approvals abandon` gives it up.";
/// What is said of a run whose request was cut off.
const CUT: &str = " was stopped in the middle of a request. `resume` finds out what came of it, by sending it again where that is \
                   safe; `abandon` leaves it as it is:";
/// The same, where no approval belongs to it; or only the end of a call is not written down.
const NO_END: &str = " has a call whose end is not known, or not written down. `resume` finds out what came of it, by sending it again \
                      where that is safe:";
/// What is said of a call about which nobody was asked.
const NOT_ASKED: &str = ": you were not asked about it; `agentctl resume` goes on.";
/// Old runs are pruned at most this often.
const A_DAY: chrono::Duration = chrono::Duration::days(1);

/// Takes a turn, or a single call, to its end. Stopped before, by a signal or the time, it lets go of approvals without ending them.
pub(crate) async fn drive<T, E: Into<Failure>>(
    app: &App,
    show: &Show<'_>,
    stop: &mut Stop,
    turn: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    let mut turn = pin!(turn);
    let failure = tokio::select! {
        biased;
        failure = stop.next() => failure,
        turn = &mut turn => return turn.map_err(Into::into),
        never = app.heartbeats() => match never {},
    };
    app.patience.end();
    if !show.waits() {
        return Err(failure);
    }
    let clock = app.clock.clone();
    tokio::select! {
        biased;
        turn = &mut turn => match turn {
            Ok(_) => Err(failure),
            Err(error) => Err(error.into()),
        },
        () = clock.sleep(MOMENT) => Err(failure),
    }
}

/// What is special about the end of a run.
#[derive(Debug, Default)]
pub(crate) struct Ending<'a> {
    /// Nothing was done, and the question was whether everything would be.
    pub(crate) dry_run: bool,
    /// Where the answer goes, beside stdout.
    pub(crate) output_last: Option<&'a Path>,
}

/// Says how a run ended, writes it down, and finds the exit code.
pub(crate) fn finish(
    app: &App,
    show: &Show<'_>,
    run: &RunId,
    turn: Result<TurnEnd, Failure>,
    ending: &Ending<'_>,
) -> Result<(), Failure> {
    show.end();
    let broke_off = broke_off(&turn);
    let allowing = allowing(&turn);
    let (text, mut ended) = match turn {
        Ok(end) if ending.dry_run => judge_each(end),
        Ok(end) => judge(end),
        Err(failure) => (String::new(), Err(failure)),
    };
    let silent = text.trim().is_empty();
    if silent && ended.is_ok() {
        app.ui.warn("the model did its calls and ended without a word");
    }
    // The file is shown on a terminal some day, so it holds what stdout does, not what a terminal obeys.
    let answer = if silent { String::new() } else { format!("{}\n", escape::text(text.trim_end())) };
    // A run that succeeded leaves no older answer behind.
    if let Some(file) = ending.output_last.filter(|_| !silent || ended.is_ok())
        && let Err(error) = files::put_in_steps(file, answer.as_bytes(), |step| stuck::writing(step))
    {
        let failure = Failure::caused(Kind::Failed, "write the answer for --output-last", &error);
        // What the run itself ended with says more.
        match &ended {
            Ok(()) => ended = Err(failure),
            Err(_) => app.ui.warn(&failure.message),
        }
    }
    let mut open = Open::of(app, run);
    let ended = ended.map_err(|failure| match broke_off && open.is_empty() {
        true => failure.hint(format!("`agentctl resume {run}{allowing}` goes on with it")),
        false => open.in_spite_of_time(failure),
    });
    rest(app, run, &mut open, ended.as_ref().err().map(|failure| failure.kind));
    let used = used(app, show)?;
    if app.ui.json() {
        // Half an answer is no answer, but nobody who reads events has to put it together again.
        let text = if text.is_empty() { show.heard() } else { text };
        let mut event = terminal(app.clock.now(), Some(run), &text, ended.as_ref().err());
        open.add_to(run, &mut event);
        if ending.dry_run {
            event["dry_run"] = json!(true);
        }
        if let Some(used) = used {
            event["usage"] = used.to_json();
        }
        app.ui.data(&event);
        return ended.map_err(Failure::told);
    }
    if let Some(used) = used.filter(|_| app.ui.is_verbose()) {
        app.ui.status(Line::new().dim_words(&used.to_string()));
    }
    open.say(&app.ui);
    ended
}

/// Whether a run was stopped before the model's last word, by a person, the time, a limit or `panic`.
fn broke_off(turn: &Result<TurnEnd, Failure>) -> bool {
    match turn {
        Ok(end) => matches!(end.limit, Some(LimitReached::Turns(_) | LimitReached::TotalTokens(_))),
        // Not permitted is what ends a turn when everything was stopped.
        Err(failure) => matches!(
            failure.kind,
            Kind::Timeout | Kind::HungUp | Kind::Interrupted | Kind::Terminated | Kind::NotPermitted
        ),
    }
}

/// The flag without which a run that has reached its limit goes no further: what it used counts on.
fn allowing(turn: &Result<TurnEnd, Failure>) -> String {
    match turn.as_ref().ok().and_then(|end| end.limit) {
        Some(LimitReached::Turns(most)) => format!(" --max-turns {}", most.saturating_mul(2).min(1000)),
        Some(LimitReached::TotalTokens(most)) => format!(" --max-tokens-total {}", most.saturating_mul(2)),
        _ => String::new(),
    }
}

/// Writes down that a run comes to rest with this verdict.
pub(crate) fn rest(app: &App, run: &RunId, open: &mut Open, kind: Option<Kind>) {
    open.waits |= kind == Some(Kind::Pending);
    if let Some(why) = &open.unread {
        app.ui.warn(&format!("whether anything of the run waits could not be read: {why}"));
    }
    let (status, code) = (verdict::event_name(kind), kind.map_or(0, Kind::exit_code));
    let written = app.journal().and_then(|journal| Ok(journal.end_run(run, app.clock.now(), status, code.into())?));
    // The run is over whether or not its end can be written down.
    if let Err(failure) = written {
        app.ui.warn(&format!("the end of the run could not be saved: {}", failure.message));
    }
    prune(app);
    prune_log(app);
}

/// What of a run is not over when a command ends.
#[derive(Debug)]
pub(crate) struct Open {
    run: RunId,
    /// What the person was asked, and nothing was done about.
    asked: Vec<ApprovalRow>,
    /// What was being carried out when it was cut off.
    cut: Vec<ApprovalRow>,
    /// The calls about which the person was not asked, as they are told.
    unasked: Vec<String>,
    /// There is something to go on with.
    waits: bool,
    /// Why that could not be read. Then it is taken for waiting: what was done is told all the same.
    unread: Option<String>,
}

impl Open {
    /// Looks it up.
    pub(crate) fn of(app: &App, run: &RunId) -> Self {
        let look = || -> Result<_, Failure> {
            let (journal, audit) = (app.journal()?, app.audit()?);
            let unread = |error: dispatch::Error| Failure::new(Kind::Failed, error.cause());
            let mut asked = journal.approvals(&ApprovalFilter { run: Some(run.clone()), open: true })?;
            let unasked = dispatch::unasked(&audit, &journal, run).map_err(unread)?;
            let unasked: Vec<_> = unasked.iter().map(|row| show::call_in_words(&row.tool, &row.plan)).collect();
            let waits = !asked.is_empty()
                || dispatch::has_unended(&audit, &journal, run).map_err(unread)?
                || journal.has_pending(run)?;
            let cut: Vec<_> = asked.extract_if(.., |row| row.state == ApprovalState::Executing).collect();
            Ok((asked, cut, unasked, waits))
        };
        let run = run.clone();
        match look() {
            Ok((asked, cut, unasked, waits)) => Self { run, asked, cut, unasked, waits, unread: None },
            Err(failure) => Self {
                run,
                asked: Vec::new(),
                cut: Vec::new(),
                unasked: Vec::new(),
                waits: true,
                unread: Some(failure.message),
            },
        }
    }

    /// Whether everything is over.
    pub(crate) fn is_empty(&self) -> bool {
        !self.waits
    }

    /// The commands that go on with it, or give it up.
    pub(crate) fn next(&self) -> Vec<String> {
        if !self.waits {
            return Vec::new();
        }
        let look = self.unread.as_ref().map(|_| format!("agentctl runs show {}", self.run));
        let mut steps: Vec<String> = look.into_iter().chain([format!("agentctl resume {}", self.run)]).collect();
        steps.extend(
            self.asked.iter().chain(&self.cut).map(|row| format!("agentctl approvals abandon {}", row.asked.id)),
        );
        steps
    }

    /// Puts it into the JSON object with which the command ends.
    pub(crate) fn add_to(&self, run: &RunId, object: &mut Value) {
        object["run"] = json!(run);
        if self.waits {
            object["next"] = json!(self.next());
        }
        if self.waits && self.unread.is_none() {
            object["approvals"] = self.asked.iter().map(|row| json!(row.asked.id)).collect();
        }
    }

    /// A wait that was too long for `--timeout` is pending, where something waits for the person.
    pub(crate) fn in_spite_of_time(&self, failure: Failure) -> Failure {
        match failure.kind {
            Kind::Timeout if self.unread.is_some() => Failure::new(
                Kind::Pending,
                "the time given by --timeout is over; a request for your approval may be open still",
            ),
            Kind::Timeout if !self.asked.is_empty() => Failure::new(
                Kind::Pending,
                "the time given by --timeout is over; the request for your approval stays open",
            ),
            _ => failure,
        }
    }

    /// Tells the person.
    pub(crate) fn say(&self, ui: &Ui) {
        if !self.waits {
            return;
        }
        for row in self.asked.iter().filter(|row| row.state == ApprovalState::Redeeming) {
            ui.say(Line::new().warn("! ").bold(row.asked.id.as_str()).plain(FETCHED));
        }
        let (approved, waiting): (Vec<_>, Vec<_>) =
            self.asked.iter().partition(|row| row.state == ApprovalState::Approved);
        for row in &approved {
            ui.say(Line::new().warn("! ").bold(row.asked.id.as_str()).plain(APPROVED));
        }
        for call in &self.unasked {
            ui.say(Line::new().warn("! ").words(call).plain(NOT_ASKED));
        }
        let line = Line::new().plain("The run ").bold(self.run.as_str());
        ui.say(line.plain(match (waiting.is_empty(), approved.is_empty()) {
            _ if self.unread.is_some() => " may wait for your approval, which could not be read. What you can do:",
            (false, _) => " waits for your approval. What you can do:",
            (true, approved) if !approved || !self.unasked.is_empty() => " is not over. What you can do:",
            (true, _) if self.cut.is_empty() => NO_END,
            (true, _) => CUT,
        }));
        for command in self.next() {
            ui.say(Line::new().plain("  ").whole(&command));
        }
    }
}

/// What the model's server counted, and what that costs.
fn used(app: &App, show: &Show<'_>) -> Result<Option<Used>, Failure> {
    let Some((prompt, completion)) = show.used() else { return Ok(None) };
    Ok(Some(Used::new(prompt, completion, app.config()?.model.prices.as_ref())))
}

/// How a turn that came to its end ended: its text, and what the exit code says.
pub(crate) fn judge(end: TurnEnd) -> (String, Result<(), Failure>) {
    let Some(kind) = verdict::of_calls(&end.calls, end.limit.is_some()) else { return (end.text, Ok(())) };
    let failure = verdict::failure(kind, &end.calls, &end.untold);
    let failure = match end.limit {
        Some(limit) if kind == Kind::Limit && !failure.told => failure.hint(more(limit)),
        _ => failure,
    };
    (end.text, Err(failure))
}

/// The same for a dry run: nothing makes good a call that would not run, and none of it has been told as an end.
fn judge_each(end: TurnEnd) -> (String, Result<(), Failure>) {
    let Some(kind) = verdict::of_each(&end.calls, end.limit.is_some()) else { return (end.text, Ok(())) };
    let failure = verdict::failure(kind, &end.calls, &end.untold);
    (end.text, Err(failure))
}

/// What allows more.
fn more(limit: LimitReached) -> String {
    match limit {
        LimitReached::Turns(_) => "`--max-turns` allows more",
        LimitReached::Loop => "the model asked for the same call again and again; say more about what you want",
        LimitReached::Tokens => "the answer was cut; model.max_tokens in the profile allows a longer one",
        LimitReached::TotalTokens(_) => "`--max-tokens-total` allows more",
    }
    .to_owned()
}

/// The last line of `run --json`.
pub(crate) fn terminal(now: DateTime<Utc>, run: Option<&RunId>, text: &str, failure: Option<&Failure>) -> Value {
    let mut event =
        failure.map_or_else(|| json!({ "schema_version": 1, "ok": true, "exit_code": 0 }), Failure::to_json);
    event["type"] = json!(verdict::event_name(failure.map(|failure| failure.kind)));
    event["time"] = json!(super::show::rfc3339(now));
    event["run"] = json!(run);
    event["text"] = json!(text);
    event
}

/// Removes runs that nothing happened to for long. It is a chore: if it cannot be done now, it is done another day.
fn prune(app: &App) {
    let work = || -> Result<(), Failure> {
        let (journal, now) = (app.journal()?, app.clock.now());
        if !journal.chore_is_due("prune", now, A_DAY)? {
            return Ok(());
        }
        let before = now - chrono::Duration::days(app.config()?.limits.keep_runs_days.value.into());
        journal.prune_single_calls(before)?;
        for run in journal.outlived_runs(before)? {
            // One that cannot be given up holds up no other.
            if let Err(failure) = prune_run(app, &journal, &run, before) {
                tracing::debug!("{run} is not pruned: {}", failure.message);
            }
        }
        Ok(())
    };
    if let Err(failure) = work() {
        tracing::debug!("old runs are not pruned: {}", failure.message);
    }
}

/// Removes what the audit log holds from before its limit, if it has one. A log that cannot be trusted is left as it is, and
/// that is said.
fn prune_log(app: &App) {
    let work = || -> Result<(), Failure> {
        let Some(days) = &app.config()?.limits.keep_audit_days else { return Ok(()) };
        let (store, now) = (app.store()?, app.clock.now());
        // A run that did nothing has no use for the key, and nothing is asked for a chore.
        let Some(key) = store.known_data_key() else { return Ok(()) };
        if app.journal()?.chore_is_due("prune audit", now, A_DAY)? {
            let audit = app.audit()?;
            audit.unlock(key, store.lasts());
            audit.prune(now - chrono::Duration::days(days.value.into()), now)?;
        }
        Ok(())
    };
    if let Err(failure) = work() {
        app.ui.warn(&format!("the audit log is not shortened: {}", failure.message));
    }
}

/// Removes one of them, after its open calls have got their end in the log. A run that somebody is at work on stays.
fn prune_run(app: &App, journal: &Journal, run: &RunId, before: DateTime<Utc>) -> Result<(), Failure> {
    let _lease = app.lease(run)?;
    // Between the list and the lease somebody may have gone on with it.
    if journal.is_outlived(run, before)? {
        delete_run(app, journal, run)?;
    }
    Ok(())
}

/// Gives up what is open of a run whose lease is held, says so in the log, and removes the run.
pub(crate) fn delete_run(app: &App, journal: &Journal, run: &RunId) -> Result<(), Failure> {
    // What is deleted can be used by nobody: a yes that comes later finds no one who asked.
    dispatch::forget(&app.audit()?, journal, run, app.clock.now())?;
    journal.delete_run(run)?;
    let _ = std::fs::remove_file(app.lease_file(run)?);
    Ok(())
}
