//! A run in which nothing is done: the model plans, and each call is answered with what would become of it.

use serde_json::json;

use super::Agent;
use crate::{
    call::{Outcome, RunId, ToolCall, ToolOutput},
    event::{Event, Tell},
};

impl Agent {
    /// Answers a call with its forecast. Nothing is written down, no device rings, and no token is fetched.
    pub(super) async fn rehearse(&self, call: &ToolCall, run: &RunId, tell: Tell<'_>) -> ToolOutput {
        let (plan, forecast) = match self.dispatcher.foresee(call, Some(run)).await {
            Ok(seen) => seen,
            Err(error) => {
                let output = ToolOutput::refused(Outcome::Invalid, error.to_string());
                tell(foreseen(&call.name, json!(null), &output, false));
                return output;
            }
        };
        let would_ask = forecast.refused.is_none() && forecast.approval.is_some();
        let output = match forecast.refused {
            Some(refused) => ToolOutput::refused(refused.outcome, refused.reason),
            None => ToolOutput {
                outcome: Outcome::Rehearsed,
                message: if would_ask { "it would run, once the user approves it" } else { "it would run" }.to_owned(),
                data: Some(json!({ "dry_run": true, "note": "Nothing was done: this is a dry run, and there is no \
                     result. Plan on as if it had succeeded, and say at the end that nothing was done and what would be." })),
            },
        };
        tell(foreseen(&plan.action.tool, json!(plan.action.arguments), &output, would_ask));
        output
    }
}

fn foreseen(tool: &str, arguments: serde_json::Value, output: &ToolOutput, would_ask: bool) -> Event {
    Event::ToolForeseen {
        tool: tool.to_owned(),
        arguments,
        would_run: output.outcome == Outcome::Rehearsed,
        would_ask,
        outcome: output.outcome,
        message: output.message.clone(),
    }
}
