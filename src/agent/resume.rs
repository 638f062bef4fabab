//! Going on with a conversation: calls that were pending or cut off get their results, then the model is asked again.

use std::collections::HashSet;

use super::{Agent, Conversation, Error, Results, TurnEnd, results::Late};
use crate::{
    call::{ActionId, ApprovalId, Outcome, ToolOutput},
    escape,
    event::{Event, Tell},
    store::journal::CallRow,
};

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
        let results = self.results();
        // How the run ends is decided by all calls since the last words to the model, whichever process made them. What went
        // wrong is told again: it is why this process ends as it does.
        let earlier = conversation.ended_calls();
        for (tool, output) in
            earlier.iter().filter(|(_, output)| !matches!(output.outcome, Outcome::Done | Outcome::Rehearsed))
        {
            tell(completed(None, tool, output));
        }
        let calls: Vec<_> = earlier.into_iter().map(|(tool, output)| (tool, output.outcome)).collect();
        let mut end = TurnEnd { calls, ..TurnEnd::default() };
        let before = end.calls.len();
        self.unseal(conversation).await?;
        let open = self.journal.open_calls(&conversation.run)?;
        let late = self.end_calls(conversation, open, anew, &mut end, tell).await?;
        // What the model asked for last, and was cut off before it began.
        let mut never_begun = Vec::new();
        for call in Results::unanswered(conversation) {
            match results.begun(conversation, &call)? {
                Some((action, output)) => {
                    results.keep_result(conversation, &call.id, action.as_ref(), &output)?;
                    tell(completed(action, &call.name, &output));
                    end.calls.push((call.name, output.outcome));
                }
                None => never_begun.push(call),
            }
        }
        self.act_on(conversation, &never_begun, &mut end, tell).await?;
        results.say(conversation, late)?;
        if self.nobody_waits(&end) {
            return Ok(end);
        }
        if let Some((text, _)) = conversation.last_word().filter(|_| end.calls.len() == before) {
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
        self.settle(conversation).await?;
        let results = self.results();
        let mut end = TurnEnd::default();
        let mut open = Vec::new();
        for row in self.journal.open_calls(&conversation.run)? {
            if !self.journal.approval_of(&row.action)?.is_some_and(|row| waiting.contains(&row.asked.id)) {
                open.push(row);
            }
        }
        let late = self.end_calls(conversation, open, &HashSet::new(), &mut end, tell).await?;
        results.say(conversation, late)?;
        Ok(end)
    }

    /// Answers the calls of an earlier turn that was stopped before they ended.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub(super) async fn settle(&self, conversation: &mut Conversation) -> Result<(), Error> {
        if !Results::unanswered(conversation).is_empty() {
            self.dispatcher.unlock_log().await?;
            self.results().settle(conversation)?;
        }
        Ok(())
    }

    pub(super) fn results(&self) -> Results<'_> {
        Results { audit: &self.dispatcher.audit, journal: &self.journal, clock: &*self.dispatcher.clock }
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
            late.extend(self.results().put(conversation, &row, &output)?);
        }
        Ok(late)
    }
}

fn completed(action: Option<ActionId>, tool: &str, output: &ToolOutput) -> Event {
    let tool = escape::shortened(tool, 80).into_owned();
    let ToolOutput { outcome, message, data } = output.clone();
    Event::ToolCompleted { action, tool, outcome, message, data }
}
