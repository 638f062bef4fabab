//! Going on with a conversation: calls that were pending or cut off get their results, then the model is asked again.

use std::collections::HashSet;

use serde_json::Value;

use super::{Agent, Conversation, Error, Made, TurnEnd};
use crate::{
    call::{ActionId, ApprovalId, Outcome, ToolCall, ToolOutput},
    escape,
    event::{Event, Tell},
    model::Message,
    store::journal::{CallRow, Then},
};

/// Tells the model where to look, when a result arrives after the conversation has gone on.
const ARRIVED: &str = "(A call that was pending has ended. Its result stands in its place above; say what came of it.)";

/// Where the result of a call goes.
enum Place {
    /// Behind the last answer, which asked for it.
    Next,
    /// Where a message says that it is pending.
    At(usize),
    /// Nobody can tell: several calls have its id, or none.
    Nowhere,
}

/// A call that has ended, and of which the model must be told in words of its own: the conversation has gone on since. Until
/// it is told the call stays open in the journal, so that another process tells it if this one cannot.
struct Late {
    action: ActionId,
    /// Where its result goes, if that is certain.
    result: Option<(usize, Message)>,
    words: String,
}

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
        let late = self.end_calls(conversation, open, anew, &mut end, tell).await?;
        // What the model asked for last, and was cut off before it began.
        let mut never_begun = Vec::new();
        for call in Self::unanswered(conversation) {
            match self.begun(conversation, &call)? {
                Some((action, output)) => {
                    self.keep_result(conversation, &call.id, action.as_ref(), &output)?;
                    tell(completed(action, &call.name, &output));
                    end.calls.push((call.name, output.outcome));
                }
                None => never_begun.push(call),
            }
        }
        self.act_on(conversation, &never_begun, &mut end, tell).await?;
        self.say(conversation, late)?;
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
            if !self.journal.approval_of(&row.action)?.is_some_and(|row| waiting.contains(&row.asked.id)) {
                open.push(row);
            }
        }
        let late = self.end_calls(conversation, open, &HashSet::new(), &mut end, tell).await?;
        self.say(conversation, late)?;
        Ok(end)
    }

    /// Puts the ends of calls into the conversation that were given up while nobody was at work on them. Each call of it has
    /// a result already ([`Agent::settle`]).
    ///
    /// # Errors
    /// If it cannot be written down; then whoever goes on does it.
    pub fn learn(&self, conversation: &mut Conversation, ended: &[(CallRow, ToolOutput)]) -> Result<(), Error> {
        let mut late = Vec::new();
        for (row, output) in ended {
            late.extend(self.put(conversation, row, output)?);
        }
        self.say(conversation, late)
    }

    /// Answers the calls of an earlier turn that was stopped before they ended: servers refuse a conversation in which a
    /// call has no output.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn settle(&self, conversation: &mut Conversation) -> Result<(), Error> {
        for call in Self::unanswered(conversation) {
            let (action, output) = self.begun(conversation, &call)?.unwrap_or_else(|| {
                (None, ToolOutput::refused(Outcome::Cancelled, "the user stopped it before anything was done"))
            });
            self.keep_result(conversation, &call.id, action.as_ref(), &output)?;
        }
        Ok(())
    }

    /// What there is to say about a call without a result, if it was begun: it is never made anew. Where several calls have
    /// its id, one that was begun may be this one.
    fn begun(&self, conversation: &Conversation, call: &ToolCall) -> Result<Option<Made>, Error> {
        let rows = self.journal.calls_named(&conversation.run, &call.id)?;
        Ok(match rows.as_slice() {
            [] => None,
            [row] if conversation.calls_named(&call.id) == 1 => Some((Some(row.action.clone()), self.stopped(row)?)),
            _ => {
                let why = "an earlier call has the same id, so whether this one was begun is not known; it is not made \
                           again, and the user should look whether it happened";
                Some((None, ToolOutput::refused(Outcome::Unknown, why)))
            }
        })
    }

    /// What there is to say about a call that was stopped. As long as it is open, the log does not know its end yet.
    fn stopped(&self, row: &CallRow) -> Result<ToolOutput, Error> {
        let execution = self.journal.execution(&row.action)?;
        if !self.journal.open_calls(&row.run)?.iter().any(|open| open.action == row.action) {
            let ended = execution.and_then(|row| serde_json::from_str(row.output.as_deref()?).ok());
            return Ok(ended.unwrap_or_else(|| ToolOutput::refused(Outcome::Unknown, "how it ended is not known")));
        }
        let state = self.journal.approval_of(&row.action)?.map(|row| row.state);
        let why = match (execution, state) {
            (Some(_), _) => "the user stopped it while the request was under way; what came of it is found out later",
            (None, None) => "the user was not asked about it yet",
            (None, Some(state)) if state.is_final() => "how it ended is found out later",
            (None, Some(_)) => "the user has not answered yet",
        };
        Ok(ToolOutput::refused(Outcome::Pending, why))
    }

    /// Ends calls, and returns those of which the model has to be told.
    async fn end_calls(
        &self,
        conversation: &mut Conversation,
        open: Vec<CallRow>,
        anew: &HashSet<ActionId>,
        end: &mut TurnEnd,
        tell: Tell<'_>,
    ) -> Result<Vec<Late>, Error> {
        let mut late = Vec::new();
        for row in open {
            let output = self.dispatcher.resume(&row, anew.contains(&row.action), tell).await?;
            end.calls.push((row.tool.clone(), output.outcome));
            late.extend(self.put(conversation, &row, &output)?);
        }
        Ok(late)
    }

    /// Closes the calls that ended late, and tells the model of them. Only where every call has its result: servers refuse
    /// words in between.
    fn say(&self, conversation: &mut Conversation, late: Vec<Late>) -> Result<(), Error> {
        if late.is_empty() {
            return Ok(());
        }
        let mut words: Vec<&str> = late.iter().map(|late| late.words.as_str()).collect();
        words.dedup();
        let told = Message::User { content: words.join("\n") };
        let kept: Vec<_> =
            late.iter().map(|late| late.result.as_ref().map(|(at, result)| (*at, value(result)))).collect();
        let results: Vec<_> = late
            .iter()
            .zip(&kept)
            .map(|(late, kept)| (&late.action, kept.as_ref().map(|(place, value)| (*place, value))))
            .collect();
        let now = self.dispatcher.clock.now();
        self.journal.replace_results(&conversation.run, &results, Then::Add(&value(&told)), now)?;
        for (place, result) in late.into_iter().filter_map(|late| late.result) {
            conversation.messages[place] = result;
        }
        conversation.messages.push(told);
        Ok(())
    }

    /// Puts the result of a call where it belongs, unless the conversation has gone on since: then it is told later, with
    /// what else there is to tell.
    fn put(&self, conversation: &mut Conversation, row: &CallRow, output: &ToolOutput) -> Result<Option<Late>, Error> {
        let late = |result, words| Ok(Some(Late { action: row.action.clone(), result, words }));
        let place = match Self::place_of(conversation, row) {
            Place::Next => {
                self.keep_result(conversation, &row.call, Some(&row.action), output)?;
                return Ok(None);
            }
            _ if output.outcome == Outcome::Pending => return Ok(None),
            Place::At(place) => place,
            // It stays out of a place that may be another call's.
            Place::Nowhere => {
                let (tool, ended) = (&row.tool, output.outcome.word());
                return late(
                    None,
                    format!(
                        "(A call of `{tool}` that was pending has ended as `{ended}`. Its result stands nowhere above, \
                         because several calls have its id; say what came of it.)"
                    ),
                );
            }
        };
        let message = Message::Tool { tool_call_id: row.call.clone(), content: output.for_model() };
        let after =
            place + 1 + conversation.messages[place + 1..].iter().take_while(|message| is_result(message)).count();
        let then = match &conversation.messages[after..] {
            [] => Then::Nothing,
            // If the model only said that the call is pending, that is not true any more and goes away.
            [Message::Assistant { tool_calls, .. }] if tool_calls.is_empty() => Then::Cut(after),
            _ => return late(Some((place, message)), ARRIVED.to_owned()),
        };
        let now = self.dispatcher.clock.now();
        let result = (&row.action, Some((place, &value(&message))));
        self.journal.replace_results(&conversation.run, &[result], then, now)?;
        conversation.messages[place] = message;
        conversation.messages.truncate(after);
        Ok(None)
    }

    /// Where the result of this call goes. A place is certain only if no other call has its id.
    fn place_of(conversation: &Conversation, row: &CallRow) -> Place {
        if conversation.calls_named(&row.call) != 1 {
            return Place::Nowhere;
        }
        let result = conversation.messages.iter().enumerate().find_map(|(at, message)| match message {
            Message::Tool { tool_call_id, content } if *tool_call_id == row.call => Some((at, content)),
            _ => None,
        });
        match result {
            Some((at, content)) => {
                let output: Value = serde_json::from_str(content).unwrap_or_default();
                if output["outcome"] == Outcome::Pending.word() { Place::At(at) } else { Place::Nowhere }
            }
            None if Self::unanswered(conversation).iter().any(|call| call.id == row.call) => Place::Next,
            None => Place::Nowhere,
        }
    }

    /// The calls of the last answer that has some and no result of which stands in the conversation.
    pub(super) fn unanswered(conversation: &Conversation) -> Vec<ToolCall> {
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

fn completed(action: Option<ActionId>, tool: &str, output: &ToolOutput) -> Event {
    let tool = escape::shortened(tool, 80).into_owned();
    let ToolOutput { outcome, message, data } = output.clone();
    Event::ToolCompleted { action, tool, outcome, message, data }
}

fn value(message: &Message) -> Value {
    serde_json::to_value(message).unwrap_or(Value::Null)
}

fn is_result(message: &Message) -> bool {
    matches!(message, Message::Tool { .. })
}
