//! Going on with a conversation: calls that were pending or cut off get their results, then the model is asked again.

use std::collections::HashSet;

use serde_json::Value;

use super::{Agent, Conversation, Error, TurnEnd};
use crate::{
    call::{ActionId, ApprovalId, Outcome, ToolCall, ToolOutput},
    event::{Event, Tell},
    model::Message,
    store::journal::CallRow,
};

/// Tells the model where to look, when a result arrives after the conversation has gone on.
const ARRIVED: &str = "(A call that was pending has ended. Its result stands in its place above; say what came of it.)";

impl Agent {
    /// Goes on with a run that waits or was cut off, to the model's last word. `anew` holds the actions about which the
    /// person wants to be asked again, because the question or its answer was lost.
    ///
    /// # Errors
    /// As those of [`Agent::turn`].
    pub async fn resume(
        &self,
        conversation: &mut Conversation,
        anew: &HashSet<ActionId>,
        tell: Tell<'_>,
    ) -> Result<TurnEnd, Error> {
        let mut end = TurnEnd::default();
        self.unseal(conversation).await?;
        let open = self.journal.open_calls(&conversation.run)?;
        self.end_calls(conversation, open, anew, &mut end, tell).await?;
        // What the model asked for last, and was cut off before it began.
        let never_begun = self.unanswered(conversation);
        self.act_on(conversation, &never_begun, &mut end, tell).await?;
        if self.nobody_waits(&end) {
            return Ok(end);
        }
        if let Some((text, _)) = conversation.last_word().filter(|_| end.calls.is_empty()) {
            text.clone_into(&mut end.text);
            tell(Event::Text { text: end.text.clone() });
            tell(Event::TextDone { text: end.text.clone() });
            return Ok(end);
        }
        self.go_on(conversation, end, tell).await
    }

    /// Ends the calls whose approval was answered meanwhile, or which were stopped in the middle of a request that can be
    /// sent again, before the next message of a conversation that went on. Those that wait for one of `waiting` are left alone.
    ///
    /// # Errors
    /// As those of [`Agent::turn`].
    pub async fn take_in(
        &self,
        conversation: &mut Conversation,
        waiting: &[ApprovalId],
        tell: Tell<'_>,
    ) -> Result<TurnEnd, Error> {
        self.settle(conversation)?;
        let mut end = TurnEnd::default();
        let mut open = Vec::new();
        for row in self.journal.open_calls(&conversation.run)? {
            let waits = self.journal.approval_of(&row.action)?.is_some_and(|row| waiting.contains(&row.asked.id));
            if !waits && self.place_of(conversation, &row).is_some() {
                open.push(row);
            }
        }
        self.end_calls(conversation, open, &HashSet::new(), &mut end, tell).await?;
        Ok(end)
    }

    /// Answers the calls of an earlier turn that was stopped before they ended: servers refuse a conversation in which a
    /// call has no output.
    pub(super) fn settle(&self, conversation: &mut Conversation) -> Result<(), Error> {
        for call in self.unanswered(conversation) {
            let open = self.journal.open_calls(&conversation.run)?;
            let output = match open.iter().rev().find(|row| row.call == call.id) {
                Some(row) => self.stopped(row)?,
                None => ToolOutput::refused(Outcome::Cancelled, "the user stopped it before anything was done"),
            };
            self.keep_result(conversation, &call.id, &output)?;
        }
        Ok(())
    }

    /// What there is to say about a call that was stopped.
    fn stopped(&self, row: &CallRow) -> Result<ToolOutput, Error> {
        if let Some(execution) = self.journal.execution(&row.action)? {
            let under_way = "the user stopped it while the request was under way; what came of it is found out later";
            let ended = execution.output.as_deref().and_then(|text| serde_json::from_str(text).ok());
            return Ok(match execution.ended_at {
                None => ToolOutput::refused(Outcome::Pending, under_way),
                Some(_) => ended.unwrap_or_else(|| ToolOutput::refused(Outcome::Unknown, "how it ended is not known")),
            });
        }
        let approval = self.journal.approval_of(&row.action)?;
        Ok(match approval.is_some_and(|row| !row.state.is_final()) {
            true => ToolOutput::refused(Outcome::Pending, "the user has not answered yet"),
            false => ToolOutput::refused(Outcome::Cancelled, "the user stopped it before anything was done"),
        })
    }

    async fn end_calls(
        &self,
        conversation: &mut Conversation,
        open: Vec<CallRow>,
        anew: &HashSet<ActionId>,
        end: &mut TurnEnd,
        tell: Tell<'_>,
    ) -> Result<(), Error> {
        let mut late = false;
        for row in open {
            let output = self.dispatcher.resume(&row, anew.contains(&row.action), tell).await?;
            end.calls.push((row.tool.clone(), output.outcome));
            late |= self.put(conversation, &row, &output)?;
        }
        if late {
            self.keep(conversation, Message::User { content: ARRIVED.to_owned() })?;
        }
        Ok(())
    }

    /// Puts the result of a call where it belongs. Whether the conversation has gone on since, so that the model must be told.
    fn put(&self, conversation: &mut Conversation, row: &CallRow, output: &ToolOutput) -> Result<bool, Error> {
        let Some(place) = self.place_of(conversation, row) else {
            self.keep_result(conversation, &row.call, output)?;
            return Ok(false);
        };
        if output.outcome == Outcome::Pending {
            return Ok(false);
        }
        let message = Message::Tool { tool_call_id: row.call.clone(), content: output.for_model() };
        let value = serde_json::to_value(&message).unwrap_or(Value::Null);
        let (run, at) = (&conversation.run, self.dispatcher.clock.now());
        self.journal.replace_result(run, place, &value, &row.action, at)?;
        conversation.messages[place] = message;
        // If the model only said that the call is pending, that is not true any more and goes away.
        let after =
            place + 1 + conversation.messages[place + 1..].iter().take_while(|message| is_result(message)).count();
        match &conversation.messages[after..] {
            [] => Ok(false),
            [Message::Assistant { tool_calls, .. }] if tool_calls.is_empty() => {
                self.journal.cut_messages(&conversation.run, after)?;
                conversation.messages.truncate(after);
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Where a message says that this call is pending: the newest of its name, because some servers give names twice.
    fn place_of(&self, conversation: &Conversation, row: &CallRow) -> Option<usize> {
        conversation.messages.iter().rposition(|message| match message {
            Message::Tool { tool_call_id, content } if *tool_call_id == row.call => {
                let output: Value = serde_json::from_str(content).unwrap_or_default();
                output["outcome"] == Outcome::Pending.word()
            }
            _ => false,
        })
    }

    /// The calls of the last answer that has some and no result of which stands in the conversation.
    pub(super) fn unanswered(&self, conversation: &Conversation) -> Vec<ToolCall> {
        let messages = &conversation.messages;
        let asked =
            |message: &Message| matches!(message, Message::Assistant { tool_calls, .. } if !tool_calls.is_empty());
        let Some(at) = messages.iter().rposition(asked) else { return Vec::new() };
        let Message::Assistant { tool_calls, .. } = &messages[at] else { return Vec::new() };
        let answered: HashSet<&str> = messages[at..]
            .iter()
            .filter_map(|message| match message {
                Message::Tool { tool_call_id, .. } => Some(tool_call_id.as_str()),
                _ => None,
            })
            .collect();
        tool_calls
            .iter()
            .filter(|call| !answered.contains(call.id.as_str()))
            .map(|call| ToolCall {
                id: call.id.clone(),
                name: call.function.name.clone(),
                arguments: call.function.arguments.clone(),
            })
            .collect()
    }
}

fn is_result(message: &Message) -> bool {
    matches!(message, Message::Tool { .. })
}
