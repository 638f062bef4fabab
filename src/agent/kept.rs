//! The model's answers in the journal. What it wrote into a sensitive parameter is sealed there; the model itself wrote it, and
//! reads it again when its conversation goes on.

use serde_json::{Map, Value};

use super::{Agent, Conversation, Error};
use crate::{
    call::{RunId, ToolCall},
    dispatch,
    model::{Message, WireCall},
    store::sealed,
};

impl Agent {
    /// Keeps an answer.
    pub(super) async fn keep_answer(
        &self,
        conversation: &mut Conversation,
        content: Option<String>,
        calls: &[ToolCall],
    ) -> Result<(), Error> {
        let message = |tool_calls| Message::answer(content.clone(), tool_calls);
        let mut kept: Vec<WireCall> = calls.iter().map(WireCall::from).collect();
        for call in &mut kept {
            if let Some(shown) = self.shown(&call.function.name, &call.function.arguments) {
                let key = self.dispatcher.store.data_key().await.map_err(dispatch::Error::from)?;
                let label = label(&conversation.run, &call.id);
                call.function.arguments =
                    key.seal_text(&label, &call.function.arguments, shown).map_err(dispatch::Error::from)?;
            }
        }
        let value = serde_json::to_value(message(kept)).unwrap_or(Value::Null);
        self.journal.append_message(&conversation.run, &value)?;
        conversation.messages.push(message(calls.iter().map(WireCall::from).collect()));
        Ok(())
    }

    /// Opens what is sealed in a conversation that was saved. What does not open, because the key is another one by now, stays
    /// as it is shown.
    pub(super) async fn unseal(&self, conversation: &mut Conversation) -> Result<(), Error> {
        for message in &mut conversation.messages {
            let Message::Assistant { tool_calls, .. } = message else { continue };
            for call in tool_calls.iter_mut().filter(|call| sealed::is_sealed(&call.function.arguments)) {
                let key = self.dispatcher.store.data_key().await.map_err(dispatch::Error::from)?;
                if let Some(text) = key.open_text(&label(&conversation.run, &call.id), &call.function.arguments) {
                    call.function.arguments = text;
                }
            }
        }
        Ok(())
    }

    /// What may be shown of a call's arguments, if not all of it may.
    fn shown(&self, tool: &str, arguments: &str) -> Option<Value> {
        // What only looks sealed would be shown as something else than what the model wrote.
        if sealed::is_sealed(arguments) {
            return Some(Value::Null);
        }
        let sensitive = self.dispatcher.registry.get(tool)?.sensitive();
        if sensitive.is_empty() {
            return None;
        }
        match serde_json::from_str::<Map<String, Value>>(arguments) {
            Ok(arguments) if !sealed::any(&arguments, sensitive) => None,
            Ok(arguments) => Some(sealed::masked(&arguments, sensitive).into()),
            // Half an object may hold anything.
            Err(_) => Some(Value::Null),
        }
    }
}

fn label(run: &RunId, call: &str) -> String {
    format!("arguments of {call} in {run}")
}
