//! `agentctl runs`: saved conversations.

use clap::{Args as ClapArgs, Subcommand};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{
    app::App,
    approvals, bounds,
    failure::{Failure, Kind},
    finish::delete_run,
    ids,
    show::{self, rfc3339},
    tools,
    ui::Line,
    verdict,
};
use crate::{
    agent::Conversation,
    call::RunId,
    dispatch,
    model::CutShort,
    store::{
        journal::{ApprovalFilter, CallRow, Journal, SavedRun},
        sealed,
    },
};

/// What is said of a conversation in which nothing is done.
pub(crate) const DRY_RUN: &str = "calls are planned and judged, and none is carried out";

/// See and delete saved conversations
#[derive(Debug, ClapArgs)]
#[command(after_help = "A run is kept for 90 days after its end, or after anything last happened to it
(`limits.keep_runs_days`). The audit log is another thing: it has a
limit only if you set one (`limits.keep_audit_days`).

Examples:
  agentctl runs list
  agentctl runs show run_01998a... --json
  agentctl runs delete run_01998a...")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List runs, the last begun first
    #[command(after_help = "Examples:
  agentctl runs list
  agentctl runs list --json | jq -r '.runs[].id'")]
    List {
        /// Also the calls of `tools call` that are over
        #[arg(long)]
        all: bool,
    },
    /// Show a run: what it keeps to, its conversation and its approvals
    #[command(after_help = "Example:
  agentctl runs show run_01998a...")]
    Show {
        /// Which
        id: String,
    },
    /// Delete a run and its approvals from the journal
    #[command(after_help = "Examples:
  agentctl runs delete run_01998a...
  agentctl runs delete run_01998a... --force   # also if something of it waits")]
    Delete {
        /// Which
        id: String,
        /// Also if something of it is still pending; that is given up, and can then not be resumed
        #[arg(long)]
        force: bool,
    },
}

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let journal = app.journal()?;
    match &args.what {
        What::List { all } => list(app, &journal, *all),
        What::Show { id } => show(app, &journal, &find(&journal, id)?),
        What::Delete { id, force } => {
            let run = find(&journal, id)?;
            // The end of its open calls is written down.
            app.log_key().await?;
            let journal = app.journal()?;
            delete(app, &journal, &run, *force)
        }
    }
}

/// A run by its id, or by the beginning of it.
pub(crate) fn find(journal: &Journal, typed: &str) -> Result<SavedRun, Failure> {
    let mut runs = journal.runs()?;
    let id = ids::find("run", typed, runs.iter().map(|run| run.row.id.as_str()), "agentctl runs list")?.to_owned();
    runs.retain(|run| run.row.id.as_str() == id);
    runs.pop().ok_or_else(|| Failure::new(Kind::Usage, format!("there is no run {id}")))
}

/// How a run stands, in one word.
fn state(app: &App, journal: &Journal, run: &SavedRun) -> Result<&'static str, Failure> {
    let id = &run.row.id;
    Ok(match run.status.as_deref() {
        _ if app.is_held(Some(id)).unwrap_or(false) => "running",
        _ if is_cut(journal, id) => "cut off",
        _ if journal.has_pending(id)? => "waiting",
        None => "cut off",
        Some("run.pending") => match tools::ended(journal, run)? {
            Some(kind) => word(verdict::event_name(kind)),
            None => "waiting",
        },
        Some(status) => word(status),
    })
}

/// Whether a call of it was cut off while it was being carried out. One that somebody has changed, or that cannot be read, may be.
fn is_cut(journal: &Journal, run: &RunId) -> bool {
    let may_have = |call: &CallRow| dispatch::may_have_happened(journal, call).unwrap_or(true);
    journal.open_calls(run).map_or(true, |calls| calls.iter().any(may_have))
}

fn word(status: &str) -> &'static str {
    match status {
        "run.completed" => "completed",
        "run.refused" => "refused",
        _ => "failed",
    }
}

fn to_json(run: &SavedRun, state: &str) -> Value {
    json!({
        "id": run.row.id,
        "kind": if run.row.is_single_call() { "call" } else { "conversation" },
        "title": run.row.title,
        "profile": run.row.profile,
        "model": run.row.model,
        "bounds": bounds::shown(&run.row.bounds),
        "state": state,
        "started_at": rfc3339(run.row.started_at),
        "ended_at": run.ended_at.map(rfc3339),
        "exit_code": run.exit_code,
    })
}

fn list(app: &App, journal: &Journal, all: bool) -> Result<(), Failure> {
    let (mut runs, mut hidden) = (Vec::new(), false);
    for run in journal.runs()? {
        let state = state(app, journal, &run)?;
        if all || !run.row.is_single_call() || matches!(state, "running" | "waiting" | "cut off") {
            runs.push((run, state));
        } else {
            hidden = true;
        }
    }
    if app.ui.json() {
        let runs: Vec<Value> = runs.iter().map(|(run, state)| to_json(run, state)).collect();
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "runs": runs }));
        return Ok(());
    }
    for (run, state) in &runs {
        let line = Line::new().bold(run.row.id.as_str()).plain("  ").dim_field(&rfc3339(run.row.started_at));
        app.ui.answer_line(&line.said(&format!("  {state:<9}  ")).field(&run.row.title));
    }
    if runs.is_empty() {
        app.ui.status(match hidden {
            true => "There are no conversations yet; --all lists single calls, too.",
            false => "There are no runs yet.",
        });
    }
    Ok(())
}

fn show(app: &App, journal: &Journal, run: &SavedRun) -> Result<(), Failure> {
    let id = &run.row.id;
    let state = state(app, journal, run)?;
    let messages = journal.messages(id)?;
    let dry_run = Conversation::saved(id.clone(), messages.clone()).is_ok_and(|saved| saved.is_rehearsal());
    let messages: Vec<Value> = messages.into_iter().map(shown).collect();
    let asked = journal.approvals(&ApprovalFilter { run: Some(id.clone()), open: false })?;
    if app.ui.json() {
        let now = app.clock.now();
        let mut data = to_json(run, state);
        data["dry_run"] = json!(dry_run);
        data["messages"] = json!(messages);
        data["approvals"] = asked.iter().map(|row| approvals::to_json(row, now)).collect();
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "run": data }));
        return Ok(());
    }
    // Everything else here was said by somebody: it stands behind a name of ours, on each of its rows.
    app.ui.answer_line(&Line::new().dim("run: ").bold(&run.row.title).dim("  ").dim(state));
    if dry_run {
        app.ui.answer_line(&Line::new().dim("dry run: ").plain(DRY_RUN));
    }
    let bounds = bounds::words(&run.row.bounds);
    if !bounds.is_empty() {
        app.ui.answer_line(&Line::new().dim("keeps to: ").words(&bounds.join("; ")));
    }
    let mut told = vec![false; messages.len()];
    for (at, message) in messages.iter().enumerate() {
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        match message["role"].as_str() {
            Some("user") => say(app, "you: ", &text("content")),
            Some("assistant") => {
                if !text("content").is_empty() {
                    say(app, "agent: ", &text("content"));
                }
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    let function = &call["function"];
                    let line = Line::new().plain("● ").bold(function["name"].as_str().unwrap_or_default()).plain("  ");
                    app.ui.answer_line(&line.field(function["arguments"].as_str().unwrap_or_default()));
                    // What came of several calls comes behind all of them. Ids may be the same in another turn.
                    let results = messages.iter().enumerate().skip(at + 1);
                    let mut results = results.take_while(|(_, message)| message["role"] == "tool");
                    if let Some((at, result)) =
                        results.find(|(at, result)| !told[*at] && result["tool_call_id"] == call["id"])
                    {
                        told[at] = true;
                        brought(app, result);
                    }
                }
                if let Ok(cut) = CutShort::deserialize(&message["cut"]) {
                    app.ui.answer_line(&Line::new().plain("  ").dim(cut.for_person()));
                }
            }
            Some("summary") => say(app, "summary: ", &text("content")),
            Some("tool") if !told[at] => brought(app, message),
            _ => {}
        }
    }
    Ok(())
}

/// What somebody said, in its own lines: behind a name of ours the first, behind a gutter the others.
fn say(app: &App, who: &'static str, text: &str) {
    let mut lines = text.trim_end().lines();
    app.ui.answer_line(&Line::new().dim(who).words(lines.next().unwrap_or_default()));
    for line in lines {
        app.ui.answer_line(&Line::new().dim("  │ ").words(line));
    }
}

/// What came of a call.
fn brought(app: &App, message: &Value) {
    app.ui.answer_line(&Line::new().plain("  ").dim_field(message["content"].as_str().unwrap_or_default()));
}

/// A message as it may be shown: what is sealed in it stays so.
fn shown(mut message: Value) -> Value {
    for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(arguments) = call.pointer_mut("/function/arguments") else { continue };
        if let Some(text) = arguments.as_str().filter(|text| sealed::is_sealed(text)) {
            *arguments = sealed::shown(text).to_string().into();
        }
    }
    message
}

fn delete(app: &App, journal: &Journal, run: &SavedRun, force: bool) -> Result<(), Failure> {
    let id = &run.row.id;
    let _lease = app.lease(id)?;
    if !force && journal.has_pending(id)? {
        return Err(Failure::new(Kind::Failed, format!("something of {id} is still pending"))
            .hint(format!("`agentctl resume {id}` goes on with it"))
            .hint("`agentctl approvals list` shows what waits; --force deletes it all the same"));
    }
    for call in journal.open_calls(id)? {
        if dispatch::may_have_happened(journal, &call)? {
            let call = show::call_in_words(&call.tool, &call.plan);
            app.ui.warn(&format!("{call} may have happened: look whether it did"));
        }
    }
    if journal.is_of_another_key(id)? && dispatch::has_unended(&app.audit()?, journal, id)? {
        let why = "the end of its call is written without the key that it was begun with";
        app.ui.warn(&format!("{why}: nothing proves who wrote it, and `agentctl audit verify` says so from now on"));
    }
    delete_run(app, journal, id)?;
    if app.ui.json() {
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "deleted": id }));
    } else {
        app.ui.status(
            Line::new().good("✓ ").plain("Deleted: ").bold(id.as_str()).plain(". The audit log keeps what it did."),
        );
    }
    Ok(())
}
