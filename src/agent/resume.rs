//! Going on with a conversation: calls that were pending or cut off get their results, then the model is asked again.

use std::collections::HashSet;

use super::{Agent, CallId, Conversation, Error, Results, TurnEnd, results::Late};
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
        self.unseal(conversation).await?;
        let open = self.journal.open_calls(&conversation.run)?;
        // How the run ends is decided by all calls since the person's last words, whichever process made them.
        let so_far = conversation.calls_so_far();
        let mut ends = Ends::new();
        let late = self.end_calls(conversation, open, anew, &mut ends, tell).await?;
        // What the model asked for last, and was cut off before it began.
        let mut never_begun = Vec::new();
        for call in Results::unanswered(conversation) {
            match results.begun(conversation, &call)? {
                Some((action, output)) => {
                    results.keep_result(conversation, &call.id, action.as_ref(), &output)?;
                    tell(completed(action, &call.name, &output));
                    ends.push((call.id, call.name, output.outcome));
                }
                None => never_begun.push(call),
            }
        }
        let is_new = !ends.is_empty() || !never_begun.is_empty();
        let mut end = in_order(so_far, ends);
        self.act_on(conversation, &never_begun, &mut end, tell).await?;
        results.say(conversation, late)?;
        if self.nobody_waits(&end) {
            return Ok(end);
        }
        if let Some((text, _)) = conversation.last_word().filter(|_| !is_new) {
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
        let mut ends = Ends::new();
        let mut open = Vec::new();
        for row in self.journal.open_calls(&conversation.run)? {
            if !self.journal.approval_of(&row.action)?.is_some_and(|row| waiting.contains(&row.asked.id)) {
                open.push(row);
            }
        }
        let late = self.end_calls(conversation, open, &HashSet::new(), &mut ends, tell).await?;
        results.say(conversation, late)?;
        Ok(in_order(Ends::new(), ends))
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
        ends: &mut Ends,
        tell: Tell<'_>,
    ) -> Result<Vec<Late>, Error> {
        let mut late = Vec::new();
        for row in open {
            let output = self.dispatcher.resume(&row, anew.contains(&row.action), tell).await?;
            ends.push((row.call.clone(), row.tool.clone(), output.outcome));
            late.extend(self.results().put(conversation, &row, &output)?);
        }
        Ok(late)
    }
}

/// Calls, each with its tool and how it ended.
type Ends = Vec<(CallId, String, Outcome)>;

/// The calls of a run in the order of the model, of which some ended before and some just now. What neither has an end nor can
/// get one any more is left out.
fn in_order(so_far: Ends, ends: Ends) -> TurnEnd {
    let mut end = TurnEnd::default();
    let mut ends: Vec<_> = ends.into_iter().map(Some).collect();
    for (id, tool, before) in so_far {
        let now =
            ends.iter_mut().find(|end| end.as_ref().is_some_and(|(ended, ..)| *ended == id)).and_then(Option::take);
        match (now, before) {
            (Some((_, tool, now)), _) => end.calls.push((tool, now)),
            (None, Outcome::Pending) => {}
            (None, before) => {
                end.untold.insert(end.calls.len());
                end.calls.push((tool, before));
            }
        }
    }
    end.calls.extend(ends.into_iter().flatten().map(|(_, tool, now)| (tool, now)));
    end
}

fn completed(action: Option<ActionId>, tool: &str, output: &ToolOutput) -> Event {
    let tool = escape::shortened(tool, 80).into_owned();
    let ToolOutput { outcome, message, data } = output.clone();
    Event::ToolCompleted { action, tool, outcome, message, data }
}
