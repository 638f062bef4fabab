//! `agentctl can`: what would become of a call, without doing any of it.

use anstyle::Style;
use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::{
    app::App,
    failure::{Failure, Kind},
    path,
    show::call_line,
    tools::{self, CallArguments},
    ui::{Line, Ui},
    verdict,
};
use crate::{call::ToolCall, dispatch::Dispatcher, guard::Forecast, policy, tool::Plan};

/// Say whether a call would be permitted, and whether your device would ring
#[derive(Debug, ClapArgs)]
#[command(after_help = "Nothing is done: no device rings, no third party is asked for a token. What a
person would answer, and what a server would say later, cannot be known.

Exit codes: 0 it would run (once you approve, where you are asked), 13 not
permitted, 14 above a limit, 5 an account must be connected first, 4 log in
first, 2 the arguments are wrong.

Examples:
  agentctl can buy_product --arg product=phones --arg qty=2
  agentctl can reset_password --arg user=bob --json | jq .would_run")]
pub(crate) struct Args {
    /// Which tool
    tool: String,
    #[command(flatten)]
    arguments: CallArguments,
}

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let mut stop = app.stop(None)?;
    let work = async { foresee(&app.dispatcher().await?, &args.tool, &args.arguments).await };
    let (plan, forecast) = stop.or(work).await?;
    let kind = forecast.refused.as_ref().and_then(|refused| verdict::kind(refused.outcome));
    if app.ui.json() {
        app.ui.data(&as_json(&plan, &forecast, kind));
    } else {
        tell(&app.ui, &plan, &forecast);
    }
    match (kind, forecast.refused) {
        (Some(kind), Some(refused)) => Err(Failure::new(kind, refused.reason).told()),
        _ => Ok(()),
    }
}

/// What would become of a call of this tool with these arguments.
pub(crate) async fn foresee(
    dispatcher: &Dispatcher,
    tool: &str,
    arguments: &CallArguments,
) -> Result<(Plan, Forecast), Failure> {
    let Some(known) = dispatcher.registry.get(tool) else {
        return Err(tools::no_such_tool(&dispatcher.registry, tool));
    };
    let arguments = arguments.text(&known.parameters())?;
    let call = ToolCall { id: "call_cli".to_owned(), name: tool.to_owned(), arguments };
    dispatcher.foresee(&call, None).await.map_err(|error| {
        Failure::new(Kind::Usage, error.to_string()).hint(format!("`agentctl tools show {tool}` lists its parameters"))
    })
}

/// A forecast as one object.
fn as_json(plan: &Plan, forecast: &Forecast, kind: Option<Kind>) -> Value {
    let action = &plan.action;
    json!({
        "schema_version": 1,
        "ok": kind.is_none(),
        "exit_code": kind.map_or(0, Kind::exit_code),
        "error": kind.map(Kind::word),
        "message": forecast.refused.as_ref().map(|refused| &refused.reason),
        "tool": action.tool,
        "effect": action.effect,
        "arguments": action.arguments,
        "origin": action.origin,
        "spend": action.requirements.spend.words(),
        "would_run": forecast.refused.is_none(),
        "would_ask": forecast.refused.is_none() && forecast.approval.is_some(),
        "forecast": forecast,
    })
}

/// A forecast in lines.
pub(crate) fn tell(ui: &Ui, plan: &Plan, forecast: &Forecast) {
    let action = &plan.action;
    ui.answer_line(&call_line(&action.tool, &Value::Object(action.arguments.clone())));
    path::row(ui, "request", Line::new().said(plan.method()).plain(" to ").field(&action.origin));
    if let Some(spend) = action.requirements.spend.words() {
        path::row(ui, "spend", Line::new().field(&spend));
    }
    let seen = json!(forecast);
    path::policy(ui, &seen["policy"]);
    if policy::denial(&forecast.policy).is_none() {
        path::permission(ui, &seen["permission"]);
    }
    if let Some(connection) = forecast.connection {
        let name = forecast.token.as_ref().and_then(|token| token.connection.as_deref()).unwrap_or_default();
        let mark = if connection == "connected" { Line::new().good("✓ ") } else { Line::new().warn("? ") };
        path::row(ui, "connection", mark.field(name).plain(": ").plain(connection));
    }
    if let Some(approval) = &forecast.approval {
        let line = Line::new().plain("your device would ring and show ");
        path::row(ui, "approval", line.message(Style::new().bold(), &approval.binding_message));
        let words =
            format!("client {}, bound by {}, {} s to answer", approval.client, approval.binding, approval.expires_in);
        path::row(ui, "", Line::new().dim_words(&words));
    } else if forecast.refused.is_none() {
        path::row(ui, "approval", Line::new().plain("not needed"));
    }
    if forecast.token.is_some() {
        path::token(ui, &seen["token"]);
    }
    let verdict = match &forecast.refused {
        None if forecast.approval.is_some() => Line::new().good("would run, once you approve it"),
        None => Line::new().good("would run"),
        Some(refused) => Line::new().bad(refused.outcome.word()).plain(": ").words(&refused.reason),
    };
    path::row(ui, "verdict", verdict);
}
