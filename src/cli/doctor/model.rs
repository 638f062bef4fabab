//! What the doctor looks at of the model: whether it can be reached, and what it can do.

use std::{cell::Cell, time::Duration};

use serde_json::json;
use url::Url;

use super::Report;
use crate::{
    cli::{app::App, failure::chain, model_trouble},
    config::{Config, ModelSettings},
    event::Event,
    http::Request,
    model::{Completion, Message, ToolDefinition},
    secret::AccessToken,
};

/// The tool that the model is told to call.
const TOOL: &str = "report_ready";
/// How long a model is waited for that only has to say one word.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks for the list of models, which costs nothing, and then the model itself.
pub(super) async fn look(app: &App, config: &Config, report: &mut Report<'_>) {
    let settings = &config.model;
    let Some(name) = settings.name.as_ref().map(|name| &name.value) else {
        return report.warn("model", "none is configured", "set AGENTCTL_MODEL, and OPENAI_API_KEY or OPENAI_BASE_URL");
    };
    let http = match app.http() {
        Ok(http) => http,
        Err(failure) => return report.failed("model", &failure),
    };
    let address = model_trouble::address(settings);
    let Ok(url) = Url::parse(&format!("{}/models", settings.base_url.value.trim_end_matches('/'))) else {
        return report.broken("model", "its address is none", &format!("check {address}"));
    };
    let origin = url.origin().ascii_serialization();
    let request = Request::get(url);
    let key = match app.model_key().await {
        Ok(key) => key,
        Err(failure) => return report.failed("model", &failure),
    };
    let request = match &key {
        Some(key) => request.bearer(&AccessToken::new(key.expose())),
        None => Ok(request),
    };
    let Ok(request) = request else {
        return report.broken("model", "the key holds characters that cannot be sent", &model_trouble::key(settings));
    };
    match http.send(request).await {
        // Some serve more than they list, so the model itself has the last word.
        Ok(response) if response.status == 200 && lists_others(&response.body, name) => {
            let mend = format!("check {}", model_trouble::name(settings));
            report.warn("model", format!("{origin} does not list {name}"), &mend);
        }
        Ok(response) => match response.status {
            200..=299 => report.ok("model", format!("{name} at {origin}")),
            401 | 403 => {
                return report.broken(
                    "model",
                    format!("{origin} does not accept the key"),
                    &model_trouble::key(settings),
                );
            }
            404 => report.ok("model", format!("{name} at {origin}, which lists no models")),
            status => report.warn("model", format!("{origin} answers {status}"), &format!("check {address}")),
        },
        Err(error) => {
            let mend = format!("check {address}, and whether the server runs");
            return report.broken("model", chain(&error), &mend);
        }
    }
    abilities(app, settings, report).await;
}

/// Tells the model to call a tool, and looks at what comes.
async fn abilities(app: &App, settings: &ModelSettings, report: &mut Report<'_>) {
    const NAME: &str = "model tools";
    let model = match app.model().await {
        Ok(model) => model,
        Err(failure) => return report.failed(NAME, &failure),
    };
    let tool = ToolDefinition {
        name: TOOL.to_owned(),
        description: "Reports that you can call tools".to_owned(),
        parameters: json!({ "type": "object", "properties": {}, "additionalProperties": false }),
    };
    let question = [Message::User { content: format!("Call the tool {TOOL} now. Say nothing.") }];
    let counted = Cell::new(false);
    let tell = |event| counted.set(counted.get() || matches!(event, Event::Usage { .. }));
    let tools = [tool];
    let answer = tokio::select! {
        answer = model.complete(&question, &tools, &tell) => answer,
        () = app.clock.sleep(PATIENCE) => {
            let mend = "a run waits longer; if none ever comes, look at the server's log";
            return report.warn(NAME, format!("no answer within {} s", PATIENCE.as_secs()), mend);
        }
    };
    let counts =
        if counted.get() { "its server counts tokens" } else { "its server counts no tokens, so they are guessed" };
    match answer {
        Ok(answer) if calls(&answer) => report.ok(NAME, format!("it calls tools; {counts}")),
        Ok(_) => report.warn(
            NAME,
            format!("it answers, and did not call a tool that it was told to call; {counts}"),
            "everything that agentctl does is done by tools: use a model that calls them (AGENTCTL_MODEL), or let its \
             server know how (llama.cpp: --jinja, vLLM: --enable-auto-tool-choice)",
        ),
        Err(error) => {
            let failure = model_trouble::of_model(app, &error);
            let check = || format!("check {} and {}", model_trouble::name(settings), model_trouble::address(settings));
            let mend = failure.hints.first().cloned().unwrap_or_else(check);
            report.broken(NAME, failure.message, &mend);
        }
    }
}

fn calls(answer: &Completion) -> bool {
    answer.tool_calls.iter().any(|call| call.name == TOOL)
}

/// Whether a list of models has others and not this one.
fn lists_others(body: &[u8], name: &str) -> bool {
    let list: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let ids: Vec<&str> =
        list["data"].as_array().into_iter().flatten().filter_map(|model| model["id"].as_str()).collect();
    !ids.is_empty() && !ids.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_not_listed_is_noticed() {
        assert!(lists_others(br#"{"data":[{"id":"a"}]}"#, "b"));
        assert!(!lists_others(br#"{"data":[{"id":"a"},{"id":"b"}]}"#, "b"));
        // Who lists nothing says nothing.
        for body in [&b"{}"[..], b"no", br#"{"data":[]}"#] {
            assert!(!lists_others(body, "b"));
        }
    }
}
