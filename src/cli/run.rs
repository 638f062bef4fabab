//! `agentctl run`: one task, from the first prompt to an exit code.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use clap::{Args as ClapArgs, ValueEnum};
use futures::TryFutureExt as _;

use super::{
    app::App,
    bounds,
    failure::{Failure, Kind},
    finish::{self, Ending, drive, finish},
    model_trouble, prompt,
    show::Show,
    signals::Stop,
    stuck, tools,
    ui::Ui,
};
use crate::{
    agent::Conversation,
    approval::OnApproval,
    call::RunId,
    event::Event,
    files,
    policy::SpendLimit,
    store::{
        journal::{Bounds, RunRow},
        lock::GrantLock,
    },
};

/// Do one task and exit
#[derive(Debug, ClapArgs)]
#[command(after_help = "stdout carries the answer and nothing else. With --json it carries one
event a line, the last of which is run.completed, run.refused, run.pending
or run.failed.

The task comes from the arguments, or from stdin (`-`, or a pipe). With both,
what comes through the pipe goes along as data. A pipe that brings nothing
within 2 seconds is left alone; a `-` behind the task waits for it. More than
1 MiB is refused.

Examples:
  agentctl run \"buy 2 phones\"
  echo \"what phones are there\" | agentctl run
  git log -5 | agentctl run --no-tools \"sum this up\" -
  agentctl run --dry-run \"buy 2 phones\"   # what would be done, and may it
  agentctl run --output-last answer.md \"what phones are there\"
  agentctl run --json --timeout 5m \"buy 2 phones under 900\" | jq -r .type
  agentctl run --on-approval detach \"buy 2 phones\"   # agentctl resume --last")]
pub(crate) struct Args {
    /// What to do; `-` or nothing reads it from a pipe
    #[arg(value_name = "TASK")]
    task: Vec<String>,
    /// Also write the answer into this file as stdout shows it, as a whole or not at all
    #[arg(long, value_name = "FILE")]
    output_last: Option<PathBuf>,
    /// Add the text of this file to what the model is told at the beginning
    #[arg(long, value_name = "FILE")]
    system: Option<PathBuf>,
    /// Offer the model only these tools, also when the run goes on another time
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "no_tools")]
    tools: Option<Vec<String>>,
    /// Offer the model no tool
    #[arg(long)]
    no_tools: bool,
    /// Let the model plan, say of every call whether it would run, and do none
    #[arg(long)]
    dry_run: bool,
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
    /// What to do about a call that needs your approval: wait for it (as without this flag), detach and leave it pending, or deny the call
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub(crate) on_approval: Option<OnApprovalArg>,
}

/// The words of `--on-approval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnApprovalArg {
    Wait,
    Detach,
    Deny,
}

impl WaitArgs {
    /// What the approvals of this command do from now on.
    pub(crate) fn apply(&self, app: &App) {
        app.patience.set(match self.on_approval {
            None | Some(OnApprovalArg::Wait) => OnApproval::Wait,
            Some(OnApprovalArg::Detach) => OnApproval::Detach,
            Some(OnApprovalArg::Deny) => OnApproval::Deny,
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
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    pub(crate) max_spend: Option<SpendLimit>,
    /// Stop when the model has read and written this many tokens for one task
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_tokens_total: Option<u64>,
}

/// How a task is to be done, beside its limits.
#[derive(Debug, Default)]
struct Way<'a> {
    /// What the model is told in addition.
    instructions: Option<String>,
    /// What it keeps to.
    bounds: Bounds,
    dry_run: bool,
    output_last: Option<&'a Path>,
    /// Nothing of the run is kept.
    passing: bool,
}

impl Args {
    fn way(&self, app: &App) -> Result<Way<'_>, Failure> {
        let tools = self.tools.clone().or_else(|| self.no_tools.then(Vec::new));
        let bounds = Bounds { tools, ..bounds::said(app, &self.limits, self.waiting.on_approval)? };
        // Before anything is done: afterwards there would be no place for the answer.
        if let Some(file) = &self.output_last {
            stuck::writing(|| files::can_put(file)).map_err(|error| {
                Failure::caused(Kind::Usage, "find a place for the answer", &error)
                    .hint("--output-last wants a file that can be written, in a folder that exists")
            })?;
        }
        let instructions = self.system.as_deref().map(instructions).transpose()?;
        Ok(Way {
            instructions,
            bounds,
            dry_run: self.dry_run,
            output_last: self.output_last.as_deref(),
            passing: false,
        })
    }
}

/// The text of `--system`.
fn instructions(file: &Path) -> Result<String, Failure> {
    const MOST_BYTES: u64 = 256 << 10;
    let failed = |error| Failure::caused(Kind::Usage, &format!("read {}", file.display()), &error);
    let mut bytes = Vec::new();
    std::fs::File::open(file).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Failure::new(Kind::Usage, format!("{} has more than {} KiB", file.display(), MOST_BYTES >> 10)));
    }
    String::from_utf8(bytes).map_err(|_| Failure::new(Kind::Usage, format!("{} is not UTF-8 text", file.display())))
}

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let result = async {
        // Signals and the time are watched from here on, also while stdin is read or the keyring is asked.
        let mut stop = app.stop(args.waiting.timeout)?;
        args.waiting.apply(app);
        let way = args.way(app)?;
        let task = stop.or(app.beginning(prompt::read(app, &args.task))).await?;
        go(app, &task, &way, &mut stop).await
    };
    result.await.map_err(|failure| close(&app.ui, app.clock.now(), failure))
}

/// With `--json` every way to fail ends in a terminal event, also one that comes before there is a run.
pub(crate) fn close(ui: &Ui, now: DateTime<Utc>, failure: Failure) -> Failure {
    if !ui.json() || failure.told {
        return failure;
    }
    ui.data(&finish::terminal(now, None, "", Some(&failure)));
    failure.told()
}

/// Takes one task to its end, and says how it ended. Nothing of it is kept.
pub(crate) async fn one(app: &App, task: &str, limits: &LimitArgs, stop: &mut Stop) -> Result<(), Failure> {
    go(app, task, &Way { bounds: bounds::said(app, limits, None)?, passing: true, ..Way::default() }, stop).await
}

async fn go(app: &App, task: &str, way: &Way<'_>, stop: &mut Stop) -> Result<(), Failure> {
    let set_up = async {
        let account = app.logged_in().await?;
        Ok((account, app.agent(app.model().await?, &way.bounds).await?))
    };
    let (account, agent) = stop.or(set_up).await?;
    app.say_for_whom(&account);
    if let Some(names) = &way.bounds.tools {
        let all = app.registry()?;
        if let Some(unknown) = names.iter().find(|name| all.get(name).is_none()) {
            return Err(tools::no_such_tool(&all, unknown));
        }
    }
    let (run, _lease) = start(app, agent.model.name(), task, &way.bounds)?;
    let show = Show::new(&app.ui, app.clock.clone(), app.config()?.bell);
    let show = show.passing(way.passing).asking(app.patience.on_approval());
    show.event(Event::RunStarted { run: run.clone(), model: agent.model.name().to_owned() });
    let mut conversation = Conversation::new(run.clone(), Some(account.display_name()));
    if way.dry_run {
        conversation = conversation.rehearsing();
    }
    if let Some(text) = &way.instructions {
        conversation = conversation.with_instructions(text);
    }
    let tell = |event| show.event(event);
    let turn =
        agent.turn(&mut conversation, task, &tell).map_err(|error| model_trouble::of_turn(app, error, Some(&run)));
    let turn = drive(app, &show, stop, turn).await;
    finish(app, &show, &run, turn, &Ending { dry_run: way.dry_run, output_last: way.output_last })
}

/// Writes down that a run begins; one without a model is a single call.
pub(crate) fn start(app: &App, model: &str, title: &str, bounds: &Bounds) -> Result<(RunId, GrantLock), Failure> {
    let row = RunRow {
        id: RunId::mint(),
        started_at: app.clock.now(),
        profile: app.config()?.profile.value.clone(),
        model: model.to_owned(),
        title: title.lines().next().unwrap_or_default().chars().take(80).collect(),
        bounds: bounds.clone(),
    };
    let lease = app.lease(&row.id)?;
    app.journal()?.start_run(&row)?;
    Ok((row.id, lease))
}
