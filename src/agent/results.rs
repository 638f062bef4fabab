//! What calls brought, and where it stands in the conversation: each call has one result, also if it ends late, or while nobody
//! was at work on it.

use std::collections::HashSet;

use serde_json::Value;

use super::{Conversation, Error, Made};
use crate::{
    call::{ActionId, Outcome, ToolCall, ToolOutput},
    clock::Clock,
    dispatch,
    model::Message,
    store::{
        audit::Audit,
        journal::{CallRow, Journal, Then},
    },
};

/// Tells the model where to look, when a result arrives after the conversation has gone on.
const ARRIVED: &str = "(A call that was pending has ended. Its result stands in its place above; say what came of it.)";
/// How each notice to the model begins that a call has ended late.
const NOTICE: &str = "(A call ";
/// What is said of a call that was stopped in time.
const NOT_BEGUN: &str = "the user stopped it before anything was done";

/// Whether these are no words of the person, but [`Late`] ones of ours.
pub(super) fn is_notice(words: &str) -> bool {
    !words.is_empty() && words.lines().all(|line| line.starts_with(NOTICE))
}

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
pub(super) struct Late {
    action: ActionId,
    /// Where its result goes, if that is certain.
    result: Option<(usize, Message)>,
    words: String,
}

/// Puts results into a conversation and into the journal. Needs no login and no model.
#[derive(Clone, Copy)]
pub struct Results<'a> {
    /// Where a call ends that was not begun.
    pub audit: &'a Audit,
    /// Where messages are kept.
    pub journal: &'a Journal,
    /// Says when.
    pub clock: &'a dyn Clock,
}

impl Results<'_> {
    /// Puts the ends of calls into the conversation that were given up while nobody was at work on them. Each call of it has
    /// a result already ([`Results::settle`]).
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
            let (action, output) = self
                .begun(conversation, &call)?
                .unwrap_or_else(|| (None, ToolOutput::refused(Outcome::Cancelled, NOT_BEGUN)));
            self.keep_result(conversation, &call.id, action.as_ref(), &output)?;
        }
        Ok(())
    }

    /// What there is to say about a call without a result, if it was begun: it is never made anew. Where several calls have
    /// its id, one that was begun may be this one.
    pub(super) fn begun(&self, conversation: &Conversation, call: &ToolCall) -> Result<Option<Made>, Error> {
        let rows = self.journal.calls_named(&conversation.run, &call.id)?;
        Ok(match rows.as_slice() {
            [] => None,
            [row] if Self::is_certain(conversation, &rows) => Some((Some(row.action.clone()), self.stopped(row)?)),
            _ => {
                let why = "an earlier call has the same id, so whether this one was begun is not known; it is not made \
                           again, and the user should look whether it happened";
                Some((None, ToolOutput::refused(Outcome::Unknown, why)))
            }
        })
    }

    /// What there is to say about a call that was stopped. Of which nothing was begun, it ends here, in the log first; any other
    /// stays open until its end is found out.
    fn stopped(&self, row: &CallRow) -> Result<ToolOutput, Error> {
        let execution = self.journal.execution(&row.action)?;
        let begun = execution.is_some();
        if !self.journal.open_calls(&row.run)?.iter().any(|open| open.action == row.action) {
            let ended = execution.and_then(|row| serde_json::from_str(row.output.as_deref()?).ok());
            return Ok(ended.unwrap_or_else(|| match begun {
                true => ToolOutput::refused(Outcome::Unknown, "how it ended is not known"),
                false => ToolOutput::refused(Outcome::Cancelled, NOT_BEGUN),
            }));
        }
        if let Some(output) = dispatch::not_begun(self.audit, self.journal, row, self.clock.now())? {
            return Ok(output);
        }
        let why = match begun {
            true => "the user stopped it while the request was under way; what came of it is found out later",
            false => "the user has not answered yet",
        };
        Ok(ToolOutput::refused(Outcome::Pending, why))
    }

    /// Closes the calls that ended late, and tells the model of them. Only where every call has its result: servers refuse
    /// words in between.
    pub(super) fn say(&self, conversation: &mut Conversation, late: Vec<Late>) -> Result<(), Error> {
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
        let now = self.clock.now();
        self.journal.replace_results(&conversation.run, &results, Then::Add(&value(&told)), now)?;
        for (place, result) in late.into_iter().filter_map(|late| late.result) {
            conversation.messages[place] = result;
        }
        conversation.messages.push(told);
        Ok(())
    }

    /// Puts the result of a call where it belongs, unless the conversation has gone on since: then it is told later, with
    /// what else there is to tell.
    pub(super) fn put(
        &self,
        conversation: &mut Conversation,
        row: &CallRow,
        output: &ToolOutput,
    ) -> Result<Option<Late>, Error> {
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
        let now = self.clock.now();
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

    /// Whether this call was stopped before it had a result, so that it ends with the next message. Where several have its id
    /// nobody can tell.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn is_unanswered(&self, conversation: &Conversation, row: &CallRow) -> Result<bool, Error> {
        let is_open = Self::unanswered(conversation).iter().any(|call| call.id == row.call);
        let rows = || self.journal.calls_named(&conversation.run, &row.call);
        Ok(is_open && Self::is_certain(conversation, &rows()?))
    }

    /// Whether a row of the journal is certainly the call of the conversation that has its id.
    fn is_certain(conversation: &Conversation, rows: &[CallRow]) -> bool {
        matches!(rows, [row] if conversation.calls_named(&row.call) == 1)
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

    /// What a call brought. One that is pending stays open in the journal.
    pub(super) fn keep_result(
        &self,
        conversation: &mut Conversation,
        call: &str,
        action: Option<&ActionId>,
        output: &ToolOutput,
    ) -> Result<(), Error> {
        let message = Message::Tool { tool_call_id: call.to_owned(), content: output.for_model() };
        if output.outcome == Outcome::Pending {
            return self.keep(conversation, message);
        }
        self.journal.append_result(&conversation.run, action, &value(&message), self.clock.now())?;
        conversation.messages.push(message);
        Ok(())
    }

    pub(super) fn keep(&self, conversation: &mut Conversation, message: Message) -> Result<(), Error> {
        self.journal.append_message(&conversation.run, &value(&message))?;
        conversation.messages.push(message);
        Ok(())
    }
}

fn value(message: &Message) -> Value {
    serde_json::to_value(message).unwrap_or(Value::Null)
}

fn is_result(message: &Message) -> bool {
    matches!(message, Message::Tool { .. })
}
