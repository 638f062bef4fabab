//! `agentctl run`: one task, from the first prompt to an exit code.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::{
    app::App,
    failure::{Failure, Kind},
    prompt,
    show::{NO_USE_ANY_MORE, Show},
    signals::Stop,
    ui::Ui,
    verdict,
};
use crate::{
    agent::{Agent, Conversation, TurnEnd},
    call::RunId,
    event::Event,
    policy::SpendLimit,
    store::journal::RunRow,
};

/// Do one task and exit
#[derive(Debug, ClapArgs)]
#[command(after_help = "stdout carries the answer and nothing else. With --json it carries one
event a line, the last of which is run.completed, run.refused, run.pending
or run.failed.

Examples:
  agentctl run \"buy 2 phones\"
  echo \"what phones are there\" | agentctl run
  agentctl run --json --timeout 5m \"buy 2 phones under 900\" | jq -r .type")]
pub(crate) struct Args {
    /// What to do; `-` or nothing reads it from a pipe
    #[arg(value_name = "TASK")]
    task: Vec<String>,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    /// Give up after this time (90, 90s, 5m)
    #[arg(long, value_name = "TIME", value_parser = super::args::duration)]
    timeout: Option<Duration>,
}

/// What bounds a run; `chat` and `demo` have it, too.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct LimitArgs {
    /// Ask this model
    #[arg(short, long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Ask the model at most this often for one task
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) max_turns: Option<u32>,
    /// Refuse calls that could spend more than this in total ("900 EUR"; a number alone counts in any currency)
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) max_spend: Option<SpendLimit>,
}

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let result = async {
        // Signals and the time are watched from here on, also while stdin is read or the keyring is asked.
        let mut stop = app.stop(args.timeout)?;
        let task = stop.or(prompt::read(&args.task)).await?;
        one(app, &task, &args.limits, &mut stop).await
    };
    result.await.map_err(|failure| close(&app.ui, app.clock.now(), failure))
}

/// With `--json` every way to fail ends in a terminal event, also one that comes before there is a run.
pub(crate) fn close(ui: &Ui, now: DateTime<Utc>, failure: Failure) -> Failure {
    if !ui.json() || failure.told {
        return failure;
    }
    ui.data(&terminal(now, None, "", Some(&failure)));
    failure.told()
}

/// Takes one task to its end, and says how it ended.
pub(crate) async fn one(app: &App, task: &str, limits: &LimitArgs, stop: &mut Stop) -> Result<(), Failure> {
    let set_up = async {
        let account = app.logged_in().await?;
        Ok((account, app.agent(limits).await?))
    };
    let (account, agent) = stop.or(set_up).await?;
    let run = start(app, &agent, task)?;
    let show = Show::new(&app.ui, app.clock.clone(), app.config()?.bell);
    show.event(Event::RunStarted { run: run.clone(), model: agent.model.name().to_owned() });
    let mut conversation = Conversation::new(run.clone(), Some(account.display_name()));
    let tell = |event| show.event(event);
    let turn = tokio::select! {
        biased;
        failure = stop.next() => Err(still_open(&app.ui, failure, &show)),
        turn = agent.turn(&mut conversation, task, &tell) => turn.map_err(Failure::from),
        never = app.heartbeats() => match never {},
    };
    show.end();
    let (text, ended) = match turn {
        Ok(end) => judge(end),
        Err(failure) => (String::new(), Err(failure)),
    };
    let kind = ended.as_ref().err().map(|failure| failure.kind);
    let status = verdict::event_name(kind);
    let code = kind.map_or(0, Kind::exit_code);
    // The run is over whether or not its end can be written down.
    if let Err(error) = app.journal()?.end_run(&run, app.clock.now(), status, code.into()) {
        app.ui.warn(&format!("the end of the run could not be saved: {error}"));
    }
    if app.ui.json() {
        app.ui.data(&terminal(app.clock.now(), Some(&run), &text, ended.as_ref().err()));
        return ended.map_err(Failure::told);
    }
    ended
}

/// Writes down that a run begins.
pub(crate) fn start(app: &App, agent: &Agent, title: &str) -> Result<RunId, Failure> {
    let row = RunRow {
        id: RunId::mint(),
        started_at: app.clock.now(),
        profile: app.config()?.profile.value.clone(),
        model: agent.model.name().to_owned(),
        title: title.lines().next().unwrap_or_default().chars().take(80).collect(),
    };
    app.journal()?.start_run(&row)?;
    Ok(row.id)
}

/// How a turn that came to its end ended: its text, and what the exit code says.
pub(crate) fn judge(end: TurnEnd) -> (String, Result<(), Failure>) {
    let Some(kind) = verdict::of_calls(&end.calls, end.limit.is_some()) else { return (end.text, Ok(())) };
    let failure = verdict::failure(kind, &end.calls);
    (end.text, Err(failure))
}

/// What there is to say if a request is still on the person's device. The approval was abandoned with the wait, so it is not
/// pending: a later yes does nothing.
pub(super) fn still_open(ui: &Ui, failure: Failure, show: &Show<'_>) -> Failure {
    // A person is told by the line that takes the place of the spinner.
    if show.open_approval().is_some() && ui.json() { failure.hint(NO_USE_ANY_MORE) } else { failure }
}

/// The last line of `run --json`.
fn terminal(now: DateTime<Utc>, run: Option<&RunId>, text: &str, failure: Option<&Failure>) -> Value {
    let mut event =
        failure.map_or_else(|| json!({ "schema_version": 1, "ok": true, "exit_code": 0 }), Failure::to_json);
    event["type"] = json!(verdict::event_name(failure.map(|failure| failure.kind)));
    event["time"] = json!(super::show::rfc3339(now));
    event["run"] = json!(run);
    event["text"] = json!(text);
    event
}
