//! `agentctl tools`: the tools there are, and a call without a model.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    app::App,
    bounds,
    failure::{Failure, Kind},
    finish::{Open, drive, rest},
    run::{self, LimitArgs, WaitArgs},
    show::Show,
    signals::Stop,
    ui::{Line, Ui},
    verdict,
};
use crate::{
    call::{ActionId, Outcome, RunId, ToolCall, ToolOutput},
    config, dispatch,
    event::Event,
    policy::{Author, PolicyFile},
    store::journal::{Journal, SavedRun},
    tool::{self, CredentialSource, Finding, Registry, Tool},
};

/// List, show, check and call tools
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl tools list
  agentctl tools show buy_product
  agentctl tools call buy_product --arg product=phones --arg qty=2
  agentctl tools check my-tools.toml")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the tools, and those that are not offered and why
    #[command(after_help = "Example:
  agentctl tools list")]
    List,
    /// Show one tool with its parameters
    #[command(after_help = "Examples:
  agentctl tools show buy_product
  agentctl tools show buy_product --json | jq .parameters")]
    Show {
        /// Which tool
        name: String,
    },
    /// Check a toolset file or a policy file for mistakes
    #[command(after_help = "Example:
  agentctl tools check my-tools.toml")]
    Check {
        /// The file (TOML)
        file: PathBuf,
    },
    /// Call a tool without a model; permission, approval and audit are the same
    Call(CallArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl tools call buy_product --arg product=phones --arg qty=2
  agentctl tools call search_products --args-json '{\"query\": \"phone\"}'")]
struct CallArgs {
    /// Which tool
    name: String,
    #[command(flatten)]
    arguments: CallArguments,
    #[command(flatten)]
    waiting: WaitArgs,
}

/// What a call of the command line is called by in its run, where the model's have names of the model's.
const CALL: &str = "call_cli";

/// The arguments of a call on the command line; `can` has them, too.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct CallArguments {
    /// An argument; read as JSON where the tool wants something other than text (repeat for more)
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    arguments: Vec<String>,
    /// All arguments as one JSON object
    #[arg(long, value_name = "JSON", conflicts_with = "arguments")]
    args_json: Option<String>,
}

impl CallArguments {
    /// What was typed behind the tool's name in the shell: one JSON object, or words of `NAME=VALUE`.
    pub(crate) fn typed(text: &str, words: Vec<String>) -> Self {
        match text.starts_with('{') {
            true => Self { arguments: Vec::new(), args_json: Some(text.to_owned()) },
            false => Self { arguments: words, args_json: None },
        }
    }

    /// The arguments as JSON text, as the tool's schema wants them.
    pub(crate) fn text(&self, schema: &Value) -> Result<String, Failure> {
        match &self.args_json {
            Some(text) => Ok(text.clone()),
            None => Ok(Value::Object(arguments(schema, &self.arguments)?).to_string()),
        }
    }
}

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::List => list(&app.ui, &app.registry()?),
        What::Show { name } => show(&app.ui, &app.registry()?, name)?,
        What::Check { file } => return check(app, file),
        What::Call(args) => return call(app, args).await,
    }
    Ok(())
}

pub(crate) fn list(ui: &Ui, registry: &Registry) {
    if ui.json() {
        let tools: Vec<Value> = registry.tools().map(describe).collect();
        let hidden: Vec<Value> =
            registry.hidden().iter().map(|tool| json!({ "name": tool.name, "reason": tool.reason })).collect();
        return ui.data(&json!({ "schema_version": 1, "ok": true, "tools": tools, "not_offered": hidden }));
    }
    for tool in registry.tools() {
        let asks = if tool.needs_approval() { ", asks you first" } else { "" };
        let line = Line::new().bold(tool.name()).dim_said(&format!("  {}{asks}  ", tool.effect().word()));
        ui.answer_line(&line.said(tool.description()));
    }
    for tool in registry.hidden() {
        ui.status(Line::new().dim("not offered: ").field(&tool.name).dim(": ").words(&tool.reason));
    }
}

fn show(ui: &Ui, registry: &Registry, name: &str) -> Result<(), Failure> {
    let Some(tool) = registry.get(name) else { return Err(no_such_tool(registry, name)) };
    let mut facts = describe(tool);
    if ui.json() {
        facts["schema_version"] = json!(1);
        facts["ok"] = json!(true);
        ui.data(&facts);
        return Ok(());
    }
    ui.answer_line(&Line::new().bold(tool.name()).plain("  ").said(tool.description()));
    let (source, audience, scopes) = tool.credential();
    let (method, url) = tool.request();
    let audience = audience.map(|audience| format!(" for {audience}")).unwrap_or_default();
    let rows = [
        ("effect", tool.effect().word().to_owned()),
        ("approval", if tool.needs_approval() { "you are asked on your device" } else { "none" }.to_owned()),
        (
            "permission",
            tool.permission().map_or("none".to_owned(), |(relation, object)| format!("{relation} on {object}")),
        ),
        ("credential", format!("{}{audience} {}", source_word(source), scopes.join(" "))),
        ("request", format!("{method} {url}")),
        ("from", tool.source().to_owned()),
    ];
    for (name, value) in rows {
        ui.answer_line(&Line::new().dim_said(&format!("  {name:<12}")).said(value.trim()));
    }
    let parameters = tool.parameters();
    let required = parameters["required"].as_array().cloned().unwrap_or_default();
    for (name, schema) in parameters["properties"].as_object().into_iter().flatten() {
        let kind = schema["type"].as_str().unwrap_or("any");
        let optional = if required.iter().any(|wanted| wanted == name) { "" } else { ", optional" };
        let words = schema["description"].as_str().unwrap_or_default();
        let line = Line::new().plain("  --arg ").bold(name).dim_said(&format!("=<{kind}{optional}>  "));
        ui.answer_line(&line.said(words));
    }
    Ok(())
}

fn describe(tool: &Tool) -> Value {
    let (source, audience, scopes) = tool.credential();
    let (method, url) = tool.request();
    json!({
        "name": tool.name(),
        "toolset": tool.toolset(),
        "description": tool.description(),
        "effect": tool.effect().word(),
        "approval": tool.needs_approval(),
        "permission": tool.permission().map(|(relation, object)| json!({ "relation": relation, "object": object })),
        "credential": { "source": source_word(source), "audience": audience, "scopes": scopes },
        "request": { "method": method, "url": url },
        "from": tool.source(),
        "parameters": tool.parameters(),
    })
}

fn source_word(source: CredentialSource) -> &'static str {
    match source {
        CredentialSource::Approval => "approval",
        CredentialSource::User => "user",
        CredentialSource::Connection => "connection",
        CredentialSource::None => "none",
    }
}

/// There is no such tool, or it is not offered here.
pub(crate) fn no_such_tool(registry: &Registry, name: &str) -> Failure {
    if let Some(hidden) = registry.hidden().iter().find(|tool| tool.name == name) {
        let why = format!("the tool {name} is not offered: {}", hidden.reason);
        return Failure::new(Kind::Usage, why)
            .hint("`agentctl config show` shows the settings and where they come from");
    }
    let failure = Failure::new(Kind::Usage, format!("there is no tool {name}"));
    let failure = match config::nearest(name, registry.tools().map(Tool::name)) {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure,
    };
    failure.hint("`agentctl tools list` shows what there is")
}

fn check(app: &App, file: &Path) -> Result<(), Failure> {
    let ui = &app.ui;
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(Kind::Usage, format!("failed to read {}: {error}", file.display())))?;
    // Whatever is no policy is judged as a toolset.
    let findings = if is_policy(&text) { check_policy(app, file, &text)? } else { tool::check(&text) };
    if ui.json() {
        let found: Vec<Value> = findings
            .iter()
            .map(|finding| json!({ "tool": finding.tool, "problem": finding.problem, "mend": finding.mend }))
            .collect();
        let ok = findings.is_empty();
        ui.data(&json!({ "schema_version": 1, "ok": ok, "exit_code": u8::from(!ok), "findings": found }));
    } else {
        for finding in &findings {
            let line = Line::new().bad("✗ ").bold(finding.tool.as_deref().unwrap_or("the file")).plain(": ");
            ui.answer_line(&line.words(&finding.problem));
            ui.answer_line(&Line::new().dim("  mend: ").said(&finding.mend));
        }
        if findings.is_empty() {
            ui.answer_line(&Line::new().good("✓ ").plain("nothing to mend"));
        }
    }
    let failed = || Failure::new(Kind::Failed, "the file breaks the rules").told();
    if findings.is_empty() { Ok(()) } else { Err(failed()) }
}

/// A policy file has none of the tables of a toolset, and one of its own.
fn is_policy(text: &str) -> bool {
    let Ok(table) = text.parse::<toml::Table>() else { return false };
    let has = |names: &[&str]| names.iter().any(|name| table.contains_key(*name));
    !has(&["toolset", "tool"]) && has(&["rule", "max_spend", "allowed_origins"])
}

fn check_policy(app: &App, file: &Path, text: &str) -> Result<Vec<Finding>, Failure> {
    let mut all = app.policy().map(|policy| policy.files).unwrap_or_default();
    // The file as it is going to be, in place of the one that is there.
    all.retain(|other| other.author == Author::Admin);
    let parsed = match PolicyFile::parse(Author::User, file.to_owned(), text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let problem = error.to_string().trim().replace('\n', " ");
            let mend = "see docs/policy.md for the keys of a policy file".to_owned();
            return Ok(vec![Finding { tool: None, problem, mend }]);
        }
    };
    Ok(tool::check_policy(&parsed, &all, &app.registry()?))
}

async fn call(app: &App, args: &CallArgs) -> Result<(), Failure> {
    let mut stop = app.stop(args.waiting.timeout)?;
    args.waiting.apply(app);
    // The one object on stdout is the output; the way there is talk.
    let show = Show::call(&app.ui, app.clock.clone(), app.config()?.bell).asking(app.patience.on_approval());
    let tell = |event| show.event(event);
    let dispatcher = stop.or(app.dispatcher()).await?;
    let Some(tool) = dispatcher.registry.get(&args.name) else {
        return Err(no_such_tool(&dispatcher.registry, &args.name));
    };
    let call =
        ToolCall { id: CALL.to_owned(), name: args.name.clone(), arguments: args.arguments.text(&tool.parameters())? };
    if let Err(error) = tool.plan(&call.arguments) {
        return finish(&app.ui, &args.name, &dispatch::not_understood(&args.name, error.to_string(), &tell), None);
    }
    let bounds = bounds::said(app, &LimitArgs::default(), args.waiting.on_approval)?;
    let (run, _lease) = run::start(app, "", &format!("tools call {}", args.name), &bounds)?;
    let output = drive(app, &show, &mut stop, dispatcher.call(&call, &run, &tell)).await;
    end(app, &show, &run, &args.name, output)
}

/// Goes on with a single call that waits or was cut off.
pub(crate) async fn resume(
    app: &App,
    run: &SavedRun,
    anew: &HashSet<ActionId>,
    stop: &mut Stop,
) -> Result<(), Failure> {
    let id = &run.row.id;
    let journal = app.journal()?;
    journal.reopen_run(id, app.clock.now())?;
    let show = Show::call(&app.ui, app.clock.clone(), app.config()?.bell).asking(app.patience.on_approval());
    let tell = |event| show.event(event);
    let Some(row) = journal.open_calls(id)?.pop() else {
        // Only its end was not written down: what it brought is kept.
        if let Some(output) = brought(&journal, id)? {
            let tool = run.row.title.rsplit(' ').next().unwrap_or_default();
            let ToolOutput { outcome, message, .. } = output.clone();
            tell(Event::ToolCompleted { action: None, tool: tool.to_owned(), outcome, message, data: None });
            show.end();
            let mut open = Open::of(app, id);
            rest(app, id, &mut open, verdict::kind(output.outcome));
            return finish(&app.ui, tool, &output, Some((id, &open)));
        }
        let why = "the program was stopped before the call was planned; nothing was done";
        let failure = Failure::new(Kind::Tool, why).hint("make the call again");
        rest(app, id, &mut Open::of(app, id), Some(failure.kind));
        return Err(failure);
    };
    let dispatcher = stop.or(app.dispatcher()).await?;
    let output = drive(app, &show, stop, dispatcher.resume(&row, anew.contains(&row.action), &tell)).await;
    end(app, &show, id, &row.tool, output.map(|output| (Some(row.action), output)))
}

/// What a single call brought, if that is kept.
fn brought(journal: &Journal, run: &RunId) -> Result<Option<ToolOutput>, Failure> {
    Ok(journal.messages(run)?.last().and_then(|message| ToolOutput::from_model(message["content"].as_str()?)))
}

/// The run of a single call that was ended while nobody was at work on it is over, as if its own process had ended it.
pub(crate) fn close(app: &App, run: &RunId) -> Result<(), Failure> {
    let journal = app.journal()?;
    let Some(saved) = journal.run(run)? else { return Ok(()) };
    if let Some(kind) = ended(&journal, &saved)? {
        let code = kind.map_or(0, Kind::exit_code);
        journal.end_run(run, app.clock.now(), verdict::event_name(kind), code.into())?;
    }
    Ok(())
}

/// The verdict on a single call that has ended, also where who ended it was killed before its run was over.
pub(crate) fn ended(journal: &Journal, saved: &SavedRun) -> Result<Option<Option<Kind>>, Failure> {
    let run = &saved.row.id;
    if !saved.row.is_single_call() || !journal.open_calls(run)?.is_empty() {
        return Ok(None);
    }
    Ok(brought(journal, run)?.map(|output| verdict::kind(output.outcome)))
}

/// The end of a single call, which is a run without a conversation: what it brought is kept in the place of one.
fn end(
    app: &App,
    show: &Show<'_>,
    run: &RunId,
    tool: &str,
    output: Result<(Option<ActionId>, ToolOutput), Failure>,
) -> Result<(), Failure> {
    show.end();
    let journal = app.journal()?;
    match &output {
        Ok((action, output)) if output.outcome != Outcome::Pending => {
            let message = json!({ "role": "tool", "tool_call_id": CALL, "content": output.for_model() });
            // It is over, and is told, whether or not that can be kept: the log has it.
            if let Err(error) = journal.append_result(run, action.as_ref(), &message, app.clock.now()) {
                app.ui.warn(&format!("what the call brought could not be saved: {error}"));
            }
        }
        // What the log has the end of is over. What it has not, somebody writes there who goes on with it.
        Err(_) => {
            for row in journal.open_calls(run)? {
                if app.audit().is_ok_and(|audit| matches!(dispatch::end_of(&audit, &row.action), Ok(Some(_)))) {
                    journal.close_call(&row.action, app.clock.now())?;
                }
            }
        }
        Ok(_) => {}
    }
    let mut open = Open::of(app, run);
    match output {
        Ok((_, output)) => {
            rest(app, run, &mut open, verdict::kind(output.outcome));
            finish(&app.ui, tool, &output, Some((run, &open)))
        }
        Err(failure) => {
            let failure = open.in_spite_of_time(failure);
            rest(app, run, &mut open, Some(failure.kind));
            if app.ui.json() {
                let mut object = failure.to_json();
                open.add_to(run, &mut object);
                app.ui.data(&object);
                return Err(failure.told());
            }
            open.say(&app.ui);
            Err(failure)
        }
    }
}

/// The answer to stdout, the outcome into the exit code.
fn finish(ui: &Ui, name: &str, output: &ToolOutput, run: Option<(&RunId, &Open)>) -> Result<(), Failure> {
    // Here a person wrote the arguments, not a model: what does not fit is wrong usage.
    let kind = if output.outcome == Outcome::Invalid { Some(Kind::Usage) } else { verdict::kind(output.outcome) };
    if ui.json() {
        let mut object = json!({
            "schema_version": 1,
            "ok": kind.is_none(),
            "exit_code": kind.map_or(0, Kind::exit_code),
            "error": kind.map(Kind::word),
            "tool": name,
            "outcome": output.outcome.word(),
            "message": output.message,
            "result": output.data,
        });
        if let Some((run, open)) = run {
            open.add_to(run, &mut object);
        }
        ui.data(&object);
    } else if let Some(data) = &output.data {
        let text = if ui.out().terminal { serde_json::to_string_pretty(data) } else { serde_json::to_string(data) };
        ui.answer(&text.unwrap_or_default());
    } else if output.outcome == Outcome::Invalid {
        ui.hint(&format!("`agentctl tools show {name}` lists its parameters"));
    }
    if let Some((_, open)) = run.filter(|_| !ui.json()) {
        open.say(ui);
    }
    match kind {
        None => Ok(()),
        Some(kind) => Err(Failure::new(kind, output.message.clone()).told()),
    }
}

/// Arguments of the command line as the tool's schema wants them: where it wants text they stay text, elsewhere they are
/// read as JSON. What the schema does not know is passed on, so that the tool itself refuses it.
fn arguments(schema: &Value, pairs: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut arguments = Map::new();
    for pair in pairs {
        let Some((name, text)) = pair.split_once('=') else {
            return Err(Failure::new(Kind::Usage, format!("the argument {pair} has no value")).hint("write NAME=VALUE"));
        };
        let wants_text = schema["properties"][name]["type"] == "string";
        let value = match wants_text {
            true => Value::from(text),
            false => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
        };
        if arguments.insert(name.to_owned(), value).is_some() {
            return Err(Failure::new(Kind::Usage, format!("the argument {name} is given twice")));
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_follow_the_schema() {
        let schema = json!({ "properties": { "product": { "type": "string" }, "qty": { "type": "integer" } } });
        let read = |pairs: &[&str]| {
            let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
            arguments(&schema, &pairs).map(Value::Object)
        };
        assert_eq!(read(&["product=12", "qty=2"]).unwrap(), json!({"product": "12", "qty": 2}));
        assert_eq!(read(&["product=a=b", "qty=two"]).unwrap(), json!({"product": "a=b", "qty": "two"}));
        assert_eq!(read(&["other=[1]"]).unwrap(), json!({"other": [1]}));
        assert_eq!(read(&["product"]).unwrap_err().kind, Kind::Usage);
        assert_eq!(read(&["qty=1", "qty=2"]).unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn the_outcome_decides_the_exit_code() {
        let ui = Ui::test();
        let done = ToolOutput { outcome: Outcome::Done, message: "found 1".into(), data: Some(json!([1])) };
        assert!(finish(&ui, "t", &done, None).is_ok());
        assert_eq!(ui.take().0, "[1]\n");
        let denied = ToolOutput::refused(Outcome::Denied, "the user denied it");
        assert_eq!(finish(&ui, "t", &denied, None).unwrap_err().kind.exit_code(), 11);
    }
}
