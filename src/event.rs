//! What a person, or a program that reads `--json`, may see while work goes on. Nothing below `cli` prints; it tells.

use serde::Serialize;
use serde_json::Value;

use crate::call::{ActionId, ApprovalId, Outcome, RunId};

/// Where events go.
pub type Tell<'a> = &'a dyn Fn(Event);

/// One thing that happened in a run. The names are part of the output contract of `run --json` (docs/events.md).
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type")]
pub enum Event {
    /// The run began.
    #[serde(rename = "run.started")]
    RunStarted {
        /// Its id, for `resume` and the log.
        run: RunId,
        /// Which model answers.
        model: String,
    },
    /// A piece of the model's answer, unescaped.
    #[serde(rename = "text.delta")]
    Text {
        /// The piece.
        text: String,
    },
    /// The model's answer of one turn is complete, unescaped.
    #[serde(rename = "text.done")]
    TextDone {
        /// The whole text.
        text: String,
    },
    /// The model failed in a way that is worth another try.
    #[serde(rename = "model.retry")]
    ModelRetry {
        /// Why.
        reason: String,
        /// Seconds until the next try.
        wait_s: f64,
    },
    /// A tool call was understood and is about to go its way.
    #[serde(rename = "tool.planned")]
    ToolPlanned {
        /// Its action.
        action: ActionId,
        /// Which tool.
        tool: String,
        /// `read`, `reversible` or `irreversible`.
        effect: String,
        /// The validated arguments.
        arguments: Value,
    },
    /// A call needs an approval, and another request has the person's attention: this one is sent when that wait is over.
    #[serde(rename = "approval.queued")]
    ApprovalQueued {
        /// The call.
        action: ActionId,
        /// The request that is waited for; none if it could not be found out which.
        #[serde(skip_serializing_if = "Option::is_none")]
        behind: Option<ApprovalId>,
        /// After so many seconds the call is given up.
        at_most_s: u64,
    },
    /// An approval request was accepted by the server: the person's device rings.
    #[serde(rename = "approval.requested")]
    ApprovalRequested(Box<ApprovalShown>),
    /// Something happened to a wait that goes on.
    #[serde(rename = "approval.waiting")]
    ApprovalWaiting {
        /// Which approval.
        approval: ApprovalId,
        /// What.
        #[serde(flatten)]
        news: WaitNews,
    },
    /// An approval ended.
    #[serde(rename = "approval.answered")]
    ApprovalAnswered {
        /// Which approval.
        approval: ApprovalId,
        /// `approved`, `denied`, `expired`, `failed`, `abandoned`.
        answer: String,
        /// Who answered, as the ID token names them; only if approved.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// How the yes is tied to the call: `details`, `message` or `code`; only if approved.
        #[serde(skip_serializing_if = "Option::is_none")]
        binding: Option<String>,
        /// What became of the `authorization_details`: `granted`, `not returned`, `not supported by the server`, `not
        /// declared by the tool`; only if approved.
        #[serde(skip_serializing_if = "Option::is_none")]
        details: Option<String>,
        /// Seconds between request and answer.
        after_s: f64,
    },
    /// A tool call ended, whichever way.
    #[serde(rename = "tool.completed")]
    ToolCompleted {
        /// Its action; none if the call was not even understood.
        #[serde(skip_serializing_if = "Option::is_none")]
        action: Option<ActionId>,
        /// Which tool.
        tool: String,
        /// How it ended.
        outcome: Outcome,
        /// One sentence.
        message: String,
        /// The tool's answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Value>,
    },
    /// What would become of a call: only in a dry run, in the place of every other event about it.
    #[serde(rename = "tool.foreseen")]
    ToolForeseen {
        /// Which tool.
        tool: String,
        /// The validated arguments; null if the call was not understood.
        arguments: Value,
        /// Whether it would run.
        would_run: bool,
        /// Whether the person's device would ring before.
        would_ask: bool,
        /// How it would end; `done` if it would run.
        outcome: Outcome,
        /// One sentence.
        message: String,
    },
    /// What the model's server counted in one request.
    #[serde(rename = "model.usage")]
    Usage {
        /// Tokens read.
        prompt_tokens: u64,
        /// Tokens written.
        completion_tokens: u64,
    },
}

/// An approval as it must be shown: everything the person decides about.
#[derive(Clone, Debug, Serialize)]
pub struct ApprovalShown {
    /// Its id.
    pub approval: ApprovalId,
    /// The action it is for.
    pub action: ActionId,
    /// Which tool.
    pub tool: String,
    /// What the device should show.
    pub binding_message: String,
    /// The random part of it.
    pub code: String,
    /// Where the call goes (scheme, host, port).
    pub origin: String,
    /// Who asks: the approval client.
    pub agent: String,
    /// The spend limit in words: an amount, or `any price`; none if the tool spends nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spend: Option<String>,
    /// `fga` or `none (by profile)` or `not required`.
    pub permission: String,
    /// How a yes would be tied to the call at best: `details`, `message` or `code`.
    pub binding: String,
    /// Whether `authorization_details` are `requested`; if not, why: `not supported by the server`, `not declared by the
    /// tool`.
    pub details: String,
    /// The validated arguments.
    pub arguments: Value,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// When it expires (RFC 3339).
    pub expires_at: String,
    /// It was sent before, by a process that waits no longer, and is open still: nothing rings.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// News of a wait (device login or approval) that is not over.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum WaitNews {
    /// The server asked for slower polling (RFC 8628 §3.5).
    SlowDown {
        /// Seconds between polls from now on.
        interval_s: u64,
    },
    /// The server could not be reached or did not make sense; the wait goes on.
    Offline {
        /// Why, in a few words.
        error: String,
    },
    /// The server answers again.
    Online,
}
