//! `agentctl resume`: go on with a run that waits for an approval or was cut off.

use std::collections::HashSet;

use clap::Args as ClapArgs;
use futures::TryFutureExt as _;

use super::{
    app::App,
    bounds,
    failure::{Failure, Kind},
    finish::{Ending, drive, finish},
    model_trouble,
    run::{self, LimitArgs, WaitArgs},
    runs,
    show::Show,
    signals::Stop,
    tools,
    ui::Line,
};
use crate::{
    agent::Conversation,
    approval::OnApproval,
    call::{ActionId, RunId},
    event::Event,
    store::journal::{ApprovalState, Journal, SavedRun},
};

/// Go on with a run that waits for your approval or was cut off
#[derive(Debug, ClapArgs)]
#[command(after_help = "It waits for the approvals of the run as the run itself did, does what was
approved, gives the result to the model and goes on to its answer. A run that
ended before the model's last word (its server failed, a limit was reached)
goes on, too, if you name it; where its server failed or everything was
stopped, --last finds it as well. Exit codes and --json are those of `agentctl
run`, and speak of every call since your last words; for a single call, those
of `agentctl tools call`.

What the run was told to keep to holds on: --tools, --no-tools, --max-spend,
--model, --max-turns, --max-tokens-total, --on-approval deny (`agentctl runs
show`). A flag that you say here takes the place of what was said before, from
now on; there is none for more tools. An agent that calls cannot change them.

Examples:
  agentctl resume --last
  agentctl resume run_01998a... --timeout 5m")]
pub(crate) struct Args {
    /// Which run; without it, the one that waits
    #[arg(value_name = "RUN", conflicts_with = "last")]
    run: Option<String>,
    /// Of the runs that wait, were cut off, or lack an answer because the model's server failed or everything was stopped, the
    /// one used last
    #[arg(long)]
    last: bool,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    waiting: WaitArgs,
}

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let result = async {
        let mut stop = app.stop(args.waiting.timeout)?;
        args.waiting.apply(app);
        go_on(app, args, &mut stop).await
    };
    result.await.map_err(|failure| run::close(&app.ui, app.clock.now(), failure))
}

async fn go_on(app: &App, args: &Args, stop: &mut Stop) -> Result<(), Failure> {
    let journal = app.journal()?;
    let run = find(app, &journal, args)?;
    let _lease = app.lease(&run)?;
    stop.or(app.proven(&run)).await?;
    let saved = saved(app, &journal, &run)?;
    let conversation = if saved.row.is_single_call() { None } else { Some(load(&journal, &run)?) };
    // What ended without the model's last word, because its server failed or a signal came, can be asked for again.
    let owes = conversation.as_ref().is_some_and(|conversation| conversation.last_word().is_none());
    // Who ended a single call may have been killed before its run was over.
    let pending = saved.row.is_single_call() && saved.status.as_deref() == Some("run.pending");
    if saved.ended_at.is_some() && journal.open_calls(&run)?.is_empty() && !owes && !pending {
        let failure = Failure::new(Kind::Usage, format!("{run} has ended; nothing of it waits"));
        return Err(match saved.row.is_single_call() {
            true => failure.hint(format!("`agentctl runs show {run}` shows what it brought")),
            false => failure.hint(format!("`agentctl chat --resume {run}` goes on with its conversation")),
        });
    }
    let conversation = conversation.map(with_task).transpose().or_else(|failure| {
        let code = failure.kind.exit_code();
        journal.end_run(&run, app.clock.now(), "run.failed", code.into())?;
        Err(failure)
    })?;
    let said = bounds::said(app, &args.limits, args.waiting.on_approval)?;
    let bounds = bounds::anew(app, &journal, &saved, said)?;
    bounds::tell(app, &bounds);
    let other = bounds::settings(app, &saved, &bounds)?;
    let app = other.as_ref().unwrap_or(app);
    if bounds.deny_approvals == Some(true) {
        app.patience.set(OnApproval::Deny);
    }
    let Some(mut conversation) = conversation else {
        let anew = stop.or(ask_about_lost_ones(app, &journal, &run)).await?;
        return tools::resume(app, &saved, &anew, stop).await;
    };
    let set_up = async {
        app.logged_in().await?;
        app.agent(app.model().await?, &bounds).await
    };
    let agent = stop.or(set_up).await?;
    let anew = stop.or(ask_about_lost_ones(app, &journal, &run)).await?;
    journal.reopen_run(&run, app.clock.now())?;
    let show = Show::new(&app.ui, app.clock.clone(), app.config()?.bell).asking(app.patience.on_approval());
    show.event(Event::RunStarted { run: run.clone(), model: agent.model.name().to_owned() });
    let tell = |event| show.event(event);
    let turn = agent.resume(&mut conversation, &anew, &tell);
    let turn = turn.map_err(|error| model_trouble::of_turn(app, error, Some(&run)));
    let turn = drive(app, &show, stop, turn).await;
    // A dry run stays one.
    let ending = Ending { dry_run: conversation.is_rehearsal(), ..Ending::default() };
    finish(app, &show, &run, turn, &ending)
}

/// Which run is meant.
fn find(app: &App, journal: &Journal, args: &Args) -> Result<RunId, Failure> {
    if let Some(run) = &args.run {
        return Ok(runs::find(journal, run)?.row.id);
    }
    let profile = &app.config()?.profile.value;
    let open = journal.waiting_runs()?.into_iter().filter(|run| run.row.profile == *profile).map(|run| run.row.id);
    let mut open: Vec<RunId> = open.collect();
    if args.last {
        open = unanswered(app, journal, open)?;
    }
    // One that another process works on neither waits nor was cut off.
    let (mut waiting, mut busy) = (Vec::new(), Vec::new());
    for run in open {
        if app.is_held(Some(&run))? { busy.push(run) } else { waiting.push(run) }
    }
    match waiting.as_slice() {
        [] if !busy.is_empty() => {
            Err(Failure::new(Kind::Failed, format!("another agentctl process is at work on {}", busy[0]))
                .hint("wait until it ends, or end it; then run this again"))
        }
        [] => Err(Failure::new(Kind::Usage, "no run waits, and none was cut off")
            .hint("`agentctl runs list` shows what there is")),
        [newest, ..] if args.last => Ok(newest.clone()),
        [only] => Ok(only.clone()),
        several => {
            let failure = Failure::new(Kind::Usage, format!("{} runs wait; say which", several.len()));
            Err(several.iter().take(5).fold(failure, |failure, run| failure.hint(format!("agentctl resume {run}"))))
        }
    }
}

/// With these also the runs that ended without the model's last word because its server failed or everything was
/// stopped, the last used first.
fn unanswered(app: &App, journal: &Journal, open: Vec<RunId>) -> Result<Vec<RunId>, Failure> {
    let profile = &app.config()?.profile.value;
    let codes = [Kind::Model, Kind::NotPermitted].map(|kind| Some(kind.exit_code().into()));
    let failed = |run: &SavedRun| codes.contains(&run.exit_code) && !run.row.is_single_call();
    let mut runs = journal.runs()?;
    runs.retain(|run| run.row.profile == *profile && (failed(run) || open.contains(&run.row.id)));
    runs.sort_by_key(|run| std::cmp::Reverse(run.used_at));
    let mut found = Vec::new();
    for run in runs.into_iter().map(|run| run.row.id) {
        if open.contains(&run) || load(journal, &run).is_ok_and(|conversation| conversation.last_word().is_none()) {
            found.push(run);
        }
    }
    Ok(found)
}

/// A run as it was saved, if this profile can go on with it.
pub(crate) fn saved(app: &App, journal: &Journal, run: &RunId) -> Result<SavedRun, Failure> {
    let saved = journal.run(run)?.ok_or_else(|| {
        Failure::new(Kind::Usage, format!("there is no run {run}")).hint("`agentctl runs list` shows what there is")
    })?;
    let profile = &app.config()?.profile.value;
    if saved.row.profile != *profile {
        return Err(Failure::new(Kind::Usage, format!("{run} belongs to the profile {}", saved.row.profile))
            .hint(format!("add -p {}", saved.row.profile)));
    }
    Ok(saved)
}

/// The conversation of a run.
pub(crate) fn load(journal: &Journal, run: &RunId) -> Result<Conversation, Failure> {
    Conversation::saved(run.clone(), journal.messages(run)?)
        .map_err(|error| Failure::caused(Kind::Failed, &format!("read the conversation of {run}"), &error))
}

/// The same, unless there is nothing in it to go on with.
pub(crate) fn with_task(conversation: Conversation) -> Result<Conversation, Failure> {
    if conversation.has_task() {
        return Ok(conversation);
    }
    let why =
        format!("{} was stopped before its task was written down; there is nothing to go on with", conversation.run());
    Err(Failure::new(Kind::Failed, why).hint("give the task again"))
}

/// The calls whose question was lost in a crash: asked anew only on the person's word.
async fn ask_about_lost_ones(app: &App, journal: &Journal, run: &RunId) -> Result<HashSet<ActionId>, Failure> {
    let mut anew = HashSet::new();
    for call in journal.open_calls(run)? {
        let Some(approval) = journal.approval_of(&call.action)? else { continue };
        if approval.state != ApprovalState::Planned {
            continue;
        }
        let lost = ": Whether your device was asked about it is not known, because the program was stopped then.";
        app.ui.say(Line::new().warn("! ").bold(&call.tool).plain(lost));
        if !app.ui.can_ask() {
            app.ui.say("  It is given up; an answer on your device does nothing any more.");
            continue;
        }
        let question = Line::new().plain("  Ask your device again? [y/N]");
        let answer = app.lines.ask(&app.ui, &*app.clock, question).await;
        if matches!(answer, Ok(Some(text)) if matches!(text.trim(), "y" | "yes")) {
            anew.insert(call.action);
        }
    }
    Ok(anew)
}
