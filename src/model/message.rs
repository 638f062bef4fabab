//! A conversation in the form that travels, and in which it is kept.

use serde::{Deserialize, Serialize};

use crate::call::ToolCall;

/// One message of a conversation, in the form that travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum Message {
    /// What the model is told about its task.
    System {
        /// The text.
        content: String,
    },
    /// What the person wrote.
    User {
        /// The text.
        content: String,
    },
    /// What the model answered.
    Assistant {
        /// The text, if there was any.
        #[serde(default)]
        content: Option<String>,
        /// The calls it asked for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<WireCall>,
        /// Why it is not whole. It is only kept: what travels is a note in the text, which the model may write as well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cut: Option<CutShort>,
    },
    /// What takes the place of every message before it but the first. It is only kept: what travels in its stead are a question
    /// and its answer.
    Summary {
        /// The text.
        content: String,
    },
    /// What a tool brought.
    Tool {
        /// Which call it answers.
        tool_call_id: String,
        /// The text.
        content: String,
    },
}

impl Message {
    /// A whole answer of the model.
    #[must_use]
    pub fn answer(content: Option<String>, tool_calls: Vec<WireCall>) -> Self {
        Self::Assistant { content, tool_calls, cut: None }
    }
}

/// Why an answer was not heard to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutShort {
    /// The person stopped it.
    Stopped,
    /// It came to no end.
    BrokeOff,
}

/// A tool call in the form that travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WireCall {
    /// Its id.
    pub id: String,
    /// Always `function`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Name and arguments.
    pub function: WireFunction,
}

/// The inner part of a [`WireCall`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WireFunction {
    /// Which tool.
    pub name: String,
    /// Its arguments as JSON text.
    pub arguments: String,
}

impl From<&ToolCall> for WireCall {
    fn from(call: &ToolCall) -> Self {
        Self {
            id: call.id.clone(),
            kind: "function".to_owned(),
            function: WireFunction { name: call.name.clone(), arguments: call.arguments.clone() },
        }
    }
}
