//! `agentctl approvals`: what waits for a person, and what became of it.

use anstyle::Style;
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};

use chrono::{DateTime, Utc};
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::{
    app::App,
    failure::{Failure, Kind},
    ids, open_files,
    show::{Show, call_line, rfc3339},
    spinner::Wait,
    tools,
    ui::Line,
    words::count,
};
use crate::{
    approval,
    call::{ApprovalId, Outcome, RunId, ToolOutput},
    dispatch, session,
    store::{
        journal::{ApprovalFilter, ApprovalRow, ApprovalState, Journal},
        lock::GrantLock,
        sealed,
    },
};

/// Who ends the call of an approval that is given up while a process has its run in hand.
const HELD: &str = "another agentctl process is at work on its run, and writes the end of the call; if that process ends \
                    without it, run this again";

/// What an error means for an approval that is given up already.
const GIVEN_UP: &str = "it is given up all the same; run this again to write down the end of its call";

/// How often it is looked whether another process has learnt an answer.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// See, wait for and give up approvals
#[derive(Debug, ClapArgs)]
#[command(after_help = "Nothing here answers an approval: you do that on your device. `wait` only
learns the answers; `agentctl resume` does what was approved.

Examples:
  agentctl approvals list
  agentctl approvals show apr_01998a...
  agentctl approvals wait --all --timeout 10m
  agentctl approvals abandon apr_01998a...")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List what waits, or with --all everything that was asked
    #[command(after_help = "Examples:
  agentctl approvals list
  agentctl approvals list --all --json | jq .approvals")]
    List {
        /// Also those that are over
        #[arg(long)]
        all: bool,
    },
    /// Show one approval with everything that was asked
    #[command(after_help = "Example:
  agentctl approvals show apr_01998a...")]
    Show {
        /// Which
        id: String,
    },
    /// Wait for answers; many at once cost no more than one
    Wait(WaitArgs),
    /// Give one up: a later yes is not used. Your device may go on showing it
    #[command(after_help = "Example:
  agentctl approvals abandon apr_01998a...")]
    Abandon {
        /// Which
        id: String,
    },
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Exit codes: 0 all were approved, 11 one was denied, 12 one expired, 10 the time
was over first, 1 one was given up, or its answer cannot be learnt here.

Examples:
  agentctl approvals wait --all --timeout 10m
  agentctl approvals wait apr_01998a... --json | jq .exit_code")]
struct WaitArgs {
    /// Which ones
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// Every open one
    #[arg(long)]
    all: bool,
    /// Give up after this time (90, 90s, 5m)
    #[arg(long, value_name = "TIME", value_parser = super::args::duration)]
    timeout: Option<Duration>,
}

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::List { all } => list(app, *all),
        What::Show { id } => show(app, &find(app, id)?),
        What::Wait(args) => wait(app, args).await,
        What::Abandon { id } => {
            let row = find(app, id)?;
            // The end of the call is written down.
            app.log_key().await?;
            abandon(app, &row).await
        }
    }
}

/// An approval by its id, or by the beginning of it.
fn find(app: &App, id: &str) -> Result<ApprovalRow, Failure> {
    let mut rows = app.journal()?.approvals(&ApprovalFilter::default())?;
    let ids = rows.iter().map(|row| row.asked.id.as_str());
    let id = ids::find("approval", id, ids, "agentctl approvals list --all")?.to_owned();
    rows.retain(|row| row.asked.id.as_str() == id);
    rows.pop().ok_or_else(|| Failure::new(Kind::Usage, format!("there is no approval {id}")))
}

pub(crate) fn list(app: &App, all: bool) -> Result<(), Failure> {
    let rows = app.journal()?.approvals(&ApprovalFilter { run: None, open: !all })?;
    let now = app.clock.now();
    if app.ui.json() {
        let approvals: Vec<Value> = rows.iter().map(|row| to_json(row, now)).collect();
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "approvals": approvals }));
        return Ok(());
    }
    for row in &rows {
        let run = row.asked.run.as_ref().map_or("no run", |run| run.as_str());
        let line = Line::new()
            .bold(row.asked.id.as_str())
            .plain("  ")
            .said(&row.asked.tool)
            .plain("  ")
            .message(Style::new(), &row.asked.binding_message)
            .plain("  ")
            .said(&state(row, now))
            .dim("  ")
            .dim_said(run);
        app.ui.answer_line(&line);
    }
    if rows.is_empty() {
        app.ui.status(if all { "Nothing was asked yet." } else { "Nothing waits for you." });
    }
    Ok(())
}

/// Where it stands, and how long there is to answer or to use the answer.
fn state(row: &ApprovalRow, now: DateTime<Utc>) -> String {
    match (row.state, left(row, now)) {
        (ApprovalState::Requested, Some(left)) if left.is_zero() => "requested, its time is over".to_owned(),
        (ApprovalState::Requested | ApprovalState::Approved, Some(left)) => {
            let seconds = left.as_secs();
            format!("{}, {}:{:02} left", row.state, seconds / 60, seconds % 60)
        }
        (state, _) => state.to_string(),
    }
}

fn left(row: &ApprovalRow, now: DateTime<Utc>) -> Option<Duration> {
    if row.state.is_final() {
        return None;
    }
    row.left(now)
}

/// An approval as data. The plan holds what was asked; nothing of it is secret.
pub(crate) fn to_json(row: &ApprovalRow, now: DateTime<Utc>) -> Value {
    let asked = &row.asked;
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let mut evidence = row.evidence.as_deref().map(parse);
    // Sealed tokens are for the audit log's receipts.
    if let Some(Value::Object(evidence)) = &mut evidence {
        evidence.remove("signed");
    }
    json!({
        "id": asked.id,
        "run": asked.run,
        "action": asked.action,
        "tool": asked.tool,
        "plan": sealed::shown(&asked.plan),
        "binding_message": asked.binding_message,
        "code": asked.code,
        "state": row.state.word(),
        "open": !row.state.is_final(),
        "issuer": asked.issuer,
        "subject": asked.subject,
        "client": asked.client_id,
        "created_at": rfc3339(asked.created_at),
        "requested_at": row.requested_at.map(rfc3339),
        "answered_at": row.answered_at.map(rfc3339),
        "expires_at": row.expires_at.map(rfc3339),
        "left_s": left(row, now).map(|left| left.as_secs()),
        "error": row.error,
        "evidence": evidence,
    })
}

/// The row that is compared with a device.
const DEVICE_SHOWS: &str = "your device shows";

fn show(app: &App, row: &ApprovalRow) -> Result<(), Failure> {
    let now = app.clock.now();
    let data = to_json(row, now);
    if app.ui.json() {
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "approval": data }));
        return Ok(());
    }
    app.ui.answer_line(&call_line(&row.asked.tool, &data["plan"]["arguments"]));
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    let origin = data["plan"]["origin"].as_str().unwrap_or_default().to_owned();
    for (name, value) in [
        ("id", text("id")),
        ("run", text("run")),
        ("state", state(row, now)),
        ("goes to", origin),
        (DEVICE_SHOWS, text("binding_message")),
        ("asked", text("requested_at")),
        ("answered", text("answered_at")),
        ("error", text("error")),
    ] {
        if !value.is_empty() {
            let line = Line::new().plain("  ").dim(name).dim(": ");
            app.ui.answer_line(&match name {
                DEVICE_SHOWS => line.message(Style::new(), &value),
                "id" | "run" => line.whole(&value),
                _ => line.field(&value),
            });
        }
    }
    Ok(())
}

async fn wait(app: &App, args: &WaitArgs) -> Result<(), Failure> {
    let mut stop = app.stop(args.timeout)?;
    let journal = app.journal()?;
    let ids: Vec<ApprovalId> = match args.all {
        true => {
            let open = journal.approvals(&ApprovalFilter { run: None, open: true })?;
            open.into_iter().map(|row| row.asked.id).collect()
        }
        false => args.ids.iter().map(|id| Ok(find(app, id)?.asked.id)).collect::<Result<_, Failure>>()?,
    };
    let approvals = stop
        .or(async {
            app.logged_in().await?;
            app.approvals().await
        })
        .await?;
    open_files::for_runs(runs_of(&journal, &ids)?.len())?;
    let show = Show::call(&app.ui, app.clock.clone(), app.config()?.bell);
    let tell = |event| show.answer(event);
    let mut stopped = None;
    // Held as long as the run has no answer: whoever resumes it meanwhile would take a poll under way for a crash.
    let mut leases = BTreeMap::new();
    let (mut told, mut lost) = (false, None);
    let mut heartbeats = std::pin::pin!(app.heartbeats());
    loop {
        let (mine, others) = divide(app, &journal, &ids, &mut leases)?;
        if mine.is_empty() && others == 0 {
            break;
        }
        if !app.ui.json() && !told {
            told = true;
            let mut wait = Wait::for_machine(
                &format!("Waiting for {}", count((mine.len() + others) as u64, "answer", "answers")),
                &app.clock,
            );
            wait.long = true;
            app.ui.begin_wait(wait);
        }
        // Those of a run that another process works on are answered there; should it end, they are waited for here.
        let nobody_else = others == 0;
        let mut work = std::pin::pin!(async {
            let failed = approvals.wait_for_many(&mine, &tell).await?;
            if !nobody_else {
                app.clock.sleep(LOOK_AGAIN).await;
            }
            Ok::<_, approval::Error>(failed)
        });
        let result = loop {
            tokio::select! {
                biased;
                result = &mut work => break result,
                failure = stop.next() => {
                    approvals.patience.end();
                    stopped = Some(failure);
                    break work.await;
                }
                () = app.clock.sleep(LOOK_AGAIN) => {
                    let runs = runs_of(&journal, &ids)?;
                    leases.retain(|run, _| runs.contains(run));
                }
                never = &mut heartbeats => match never {},
            }
        };
        let failed = result.map_err(|error| {
            app.ui.end_wait();
            Failure::caused(Kind::Failed, "wait for approvals", &error)
        })?;
        for (id, error) in failed {
            app.ui.warn(&format!("{id}: {error}"));
            lost = lost.or_else(|| unanswerable(&error));
        }
        if stopped.is_some() || nobody_else {
            break;
        }
    }
    app.ui.end_wait();
    drop(leases);
    verdict(app, &ids, stopped, lost)
}

/// The runs of those that have no answer yet.
fn runs_of(journal: &Journal, ids: &[ApprovalId]) -> Result<BTreeSet<RunId>, Failure> {
    let mut runs = BTreeSet::new();
    for id in ids {
        runs.extend(journal.approval(id)?.filter(|row| is_on_its_way(row.state)).and_then(|row| row.asked.run));
    }
    Ok(runs)
}

/// The approvals without an answer that are waited for here, and how many are another process's.
fn divide(
    app: &App,
    journal: &Journal,
    ids: &[ApprovalId],
    leases: &mut BTreeMap<RunId, GrantLock>,
) -> Result<(Vec<ApprovalId>, usize), Failure> {
    let (mut mine, mut others) = (Vec::new(), 0);
    for id in ids {
        let Some(row) = journal.approval(id)? else { continue };
        let Some(run) = row.asked.run.filter(|_| is_on_its_way(row.state)) else { continue };
        if let Entry::Vacant(lease) = leases.entry(run) {
            let Some(taken) = app.try_lease(lease.key())? else {
                others += 1;
                continue;
            };
            lease.insert(taken);
        }
        // With the run in hand nobody is at work on the others: a crash left them so, and `resume` sees to them.
        if row.state.may_be_answered() {
            mine.push(id.clone());
        }
    }
    Ok((mine, others))
}

fn is_on_its_way(state: ApprovalState) -> bool {
    state == ApprovalState::Planned || state.may_be_answered()
}

/// Why the answer to a request will not be learnt here, however long somebody waits.
fn unanswerable(error: &approval::Error) -> Option<Failure> {
    let (why, otherwise) = match error {
        approval::Error::Unopened => (
            "what was kept of a request cannot be opened, so its answer cannot be learnt",
            "; with the credential store it was asked with it goes on",
        ),
        approval::Error::Session(session::Error::OtherLogin) => {
            ("a request was made under a login that has ended, so its answer is not asked for", "")
        }
        _ => return None,
    };
    Some(Failure::new(Kind::Failed, why).hint(format!("`agentctl approvals abandon ID` gives it up{otherwise}")))
}

/// 0 if all were approved; else the first of denied, expired, pending. What is `lost` is waited for no longer.
fn verdict(app: &App, ids: &[ApprovalId], stopped: Option<Failure>, lost: Option<Failure>) -> Result<(), Failure> {
    let journal = app.journal()?;
    let mut rows = Vec::new();
    for id in ids {
        rows.extend(journal.approval(id)?);
    }
    let is = |state: &[ApprovalState]| rows.iter().any(|row| state.contains(&row.state));
    use ApprovalState as S;
    let failure = match stopped {
        Some(failure) if failure.kind != Kind::Timeout => Some(failure),
        _ if is(&[S::Denied]) => Some(Failure::new(Kind::Denied, "not all were approved")),
        _ if is(&[S::Expired]) => Some(Failure::new(Kind::Expired, "not all were answered in time")),
        _ if is(&[S::Requested, S::Redeeming]) && lost.is_some() => lost,
        _ if is(&[S::Requested, S::Redeeming]) => {
            Some(Failure::new(Kind::Pending, "not all are answered yet").hint("run it again to go on waiting"))
        }
        _ if is(&[S::Planned]) => {
            let cut = rows.iter().filter(|row| row.state == S::Planned);
            let why = "the program was stopped while it asked";
            Some(cut.fold(Failure::new(Kind::Failed, why), |failure, row| match &row.asked.run {
                Some(run) => failure.hint(format!("`agentctl resume {run}` finds out what is left of it")),
                None => failure.hint(format!("`agentctl approvals abandon {}` gives it up", row.asked.id)),
            }))
        }
        _ if is(&[S::Abandoned, S::CredentialLost, S::Failed]) => {
            Some(Failure::new(Kind::Failed, "not all can be answered any more"))
        }
        _ => None,
    };
    let now = app.clock.now();
    if app.ui.json() {
        let mut object = failure
            .as_ref()
            .map_or_else(|| json!({ "schema_version": 1, "ok": true, "exit_code": 0 }), Failure::to_json);
        object["approvals"] = rows.iter().map(|row| to_json(row, now)).collect();
        app.ui.data(&object);
        return failure.map_or(Ok(()), |failure| Err(failure.told()));
    }
    for row in &rows {
        let line = Line::new().bold(row.asked.id.as_str()).plain("  ").said(&row.asked.tool).plain("  ");
        app.ui.answer_line(&line.said(&state(row, now)));
    }
    let mut runs: Vec<&str> = rows
        .iter()
        .filter(|row| row.state == S::Approved)
        .filter_map(|row| Some(row.asked.run.as_ref()?.as_str()))
        .collect();
    runs.sort_unstable();
    runs.dedup();
    for run in runs {
        app.ui.hint(&format!("`agentctl resume {run}` does what was approved"));
    }
    failure.map_or(Ok(()), Err)
}

async fn abandon(app: &App, row: &ApprovalRow) -> Result<(), Failure> {
    let id = &row.asked.id;
    let journal = app.journal()?;
    let now = app.clock.now();
    let open = row.state == ApprovalState::Abandoned
        && dispatch::given_up_and_open(&journal)?.iter().any(|open| open.asked.id == *id);
    let given_up = !row.state.is_final() && journal.abandon(id, now)?;
    // One process at a time ends a call. One that carries out the run learns it at its next step, and ends it itself; one that
    // only waits for the answer lets go of it then.
    let lease = match &row.asked.run {
        Some(run) if given_up || open => app.lease_soon(run).await.map_err(|failure| failure.hint(GIVEN_UP))?,
        _ => None,
    };
    if let Some(output) = leave_cut(app, row)? {
        if !app.ui.json() {
            let line = Line::new().good("✓ ").plain("Left as it is: ").bold(id.as_str());
            app.ui.say(line.plain(left_as(output.outcome)));
        }
        return told(app, row, true);
    }
    let held = (given_up || open) && lease.is_none() && row.asked.run.is_some();
    let ended = match (given_up || open) && !held {
        true => dispatch::given_up(&app.audit()?, &journal, row, now).map_err(unwritten)?.1,
        false => false,
    };
    if let Some(run) = row.asked.run.as_ref().filter(|_| ended) {
        tools::close(app, run)?;
    }
    if !given_up && !ended {
        let state = journal.approval(id)?.map_or(row.state, |row| row.state);
        let failure = Failure::new(Kind::Usage, format!("{id} is {state}; there is nothing to give up"));
        return Err(match state {
            ApprovalState::Executing => failure.hint("it is being carried out: the process that does it tells the end"),
            _ if held => failure.hint(HELD),
            _ => failure,
        });
    }
    if !app.ui.json() {
        let line = Line::new().good("✓ ").plain("Given up: ").bold(id.as_str()).plain("; ");
        app.ui.say(line.plain(no_use(row.state)).plain("."));
        if held {
            app.ui.hint(HELD);
            return Ok(());
        }
    }
    // Of an end that was written without the key nobody believes anything.
    told(app, row, !held && journal.is_unlocked())
}

fn unwritten(error: dispatch::Error) -> Failure {
    Failure::from(error).hint(GIVEN_UP)
}

/// A call that was cut off while it was being carried out is left as it is, unless a process is at work on it.
fn leave_cut(app: &App, row: &ApprovalRow) -> Result<Option<ToolOutput>, Failure> {
    let Some(run) = row.asked.run.as_ref().filter(|_| row.state == ApprovalState::Executing) else { return Ok(None) };
    let Some(_lease) = app.try_lease(run)? else { return Ok(None) };
    let journal = app.journal()?;
    let Some(call) = journal.open_calls(run)?.into_iter().find(|call| call.action == row.asked.action) else {
        return Ok(None);
    };
    let output = dispatch::left(&app.audit()?, &journal, &call, app.clock.now())?;
    tools::close(app, run)?;
    Ok(Some(output))
}

/// The JSON object of an approval that was given up, or how its run is gone on with.
fn told(app: &App, row: &ApprovalRow, is_ended: bool) -> Result<(), Failure> {
    if app.ui.json() {
        let row = app.journal()?.approval(&row.asked.id)?;
        let data = row.map(|row| to_json(&row, app.clock.now()));
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "approval": data, "end_written": is_ended }));
    } else if let Some(run) = &row.asked.run
        // One that waited here has ended with its answer.
        && app.journal()?.run(run)?.is_some_and(|run| {
            !run.row.is_single_call() && matches!(run.status.as_deref(), None | Some("run.pending"))
        })
    {
        app.ui.hint(&format!("`agentctl resume {run}` goes on with its run"));
    }
    Ok(())
}

/// What is said of a call that was cut off and is left as it is.
pub(crate) fn left_as(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Unknown => "; it may have happened, and is not sent again. Look whether it did.",
        Outcome::Done => "; it was done.",
        _ => "; it was not done.",
    }
}

/// What becomes of an approval that was given up in this state. CIBA cannot take a request back.
pub(crate) fn no_use(state: ApprovalState) -> &'static str {
    match state {
        ApprovalState::Approved => "you had approved it, and that is used for nothing any more",
        _ => "your device may still show the request; answering it does nothing any more",
    }
}
