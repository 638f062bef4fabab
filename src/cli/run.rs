//! `agentctl run`: one task, from the first prompt to an exit code.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args as ClapArgs, ValueEnum};

use super::{
    app::App,
    failure::Failure,
    finish::{self, drive, finish},
    prompt,
    show::Show,
    signals::Stop,
    ui::Ui,
};
use crate::{
    agent::{Agent, Conversation},
    approval::OnApproval,
    call::RunId,
    event::Event,
    policy::SpendLimit,
    store::{journal::RunRow, lock::GrantLock},
};

/// Do one task and exit
#[derive(Debug, ClapArgs)]
#[command(after_help = "stdout carries the answer and nothing else. With --json it carries one
event a line, the last of which is run.completed, run.refused, run.pending
or run.failed.

Examples:
  agentctl run \"buy 2 phones\"
  echo \"what phones are there\" | agentctl run
  agentctl run --json --timeout 5m \"buy 2 phones under 900\" | jq -r .type
  agentctl run --on-approval detach \"buy 2 phones\"   # then: agentctl resume --last")]
pub(crate) struct Args {
    /// What to do; `-` or nothing reads it from a pipe
    #[arg(value_name = "TASK")]
    task: Vec<String>,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    waiting: WaitArgs,
}

/// How long people are waited for; `resume` has it, too.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct WaitArgs {
    /// Give up after this time (90, 90s, 5m); what waits for your approval then can be resumed
    #[arg(long, value_name = "TIME", value_parser = super::args::duration)]
    pub(crate) timeout: Option<Duration>,
    /// What to do about a call that needs your approval: wait for it, detach and leave it pending, or deny the call
    #[arg(long, value_name = "WHAT", default_value = "wait", hide_possible_values = true)]
    pub(crate) on_approval: OnApprovalArg,
}

/// The words of `--on-approval`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnApprovalArg {
    #[default]
    Wait,
    Detach,
    Deny,
}

impl WaitArgs {
    /// What the approvals of this command do from now on.
    pub(crate) fn apply(&self, app: &App) {
        app.patience.set(match self.on_approval {
            OnApprovalArg::Wait => OnApproval::Wait,
            OnApprovalArg::Detach => OnApproval::Detach,
            OnApprovalArg::Deny => OnApproval::Deny,
        });
    }
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
        let mut stop = app.stop(args.waiting.timeout)?;
        args.waiting.apply(app);
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
    ui.data(&finish::terminal(now, None, "", Some(&failure), &[]));
    failure.told()
}

/// Takes one task to its end, and says how it ended.
pub(crate) async fn one(app: &App, task: &str, limits: &LimitArgs, stop: &mut Stop) -> Result<(), Failure> {
    let set_up = async {
        let account = app.logged_in().await?;
        Ok((account, app.agent(limits).await?))
    };
    let (account, agent) = stop.or(set_up).await?;
    let (run, _lease) = start(app, &agent, task)?;
    let show = Show::new(&app.ui, app.clock.clone(), app.config()?.bell);
    show.event(Event::RunStarted { run: run.clone(), model: agent.model.name().to_owned() });
    let mut conversation = Conversation::new(run.clone(), Some(account.display_name()));
    let tell = |event| show.event(event);
    let turn = drive(app, &show, stop, agent.turn(&mut conversation, task, &tell)).await;
    finish(app, &show, &run, turn)
}

/// Writes down that a run begins.
pub(crate) fn start(app: &App, agent: &Agent, title: &str) -> Result<(RunId, GrantLock), Failure> {
    let row = RunRow {
        id: RunId::mint(),
        started_at: app.clock.now(),
        profile: app.config()?.profile.value.clone(),
        model: agent.model.name().to_owned(),
        title: title.lines().next().unwrap_or_default().chars().take(80).collect(),
    };
    let lease = app.lease(&row.id)?;
    app.journal()?.start_run(&row)?;
    Ok((row.id, lease))
}
