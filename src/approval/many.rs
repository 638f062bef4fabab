//! Waiting for many approvals at once: one queue of times, not a task and a connection each.

use std::{cell::RefCell, cmp::Reverse, collections::BinaryHeap, rc::Rc, time::Duration};

use futures::stream::{FuturesUnordered, StreamExt as _};

use super::{Approvals, Error, wait::Waiting};
use crate::{
    call::ApprovalId,
    event::{Event, Tell},
    oauth::{Client, Ending, Step},
    session::Account,
};

/// Between two requests. However many are waited for, the server is not asked more often; they are then asked later than
/// their interval, never earlier.
const SPACING: Duration = Duration::from_millis(20);
/// Requests under way at once: one that hangs must not hold up the others.
const UNDER_WAY: usize = 8;

/// What is due next for one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Duration,
    which: usize,
    /// Its time is over; nothing is asked.
    over: bool,
}

impl Approvals {
    /// Waits until each of these open approvals has an answer, or nobody has patience. A yes is sealed and written down as
    /// `approved`, for whoever carries it out; nothing is carried out here. Returns those that could not be waited for.
    ///
    /// # Errors
    /// If nothing can be waited for at all: no client, no login, no server.
    pub async fn wait_for_many(&self, ids: &[ApprovalId], tell: Tell<'_>) -> Result<Vec<(ApprovalId, Error)>, Error> {
        let client = self.client.as_ref().ok_or(Error::NotConfigured)?;
        let account = self.session.account().await.map_err(Error::Session)?.ok_or(Error::LoginNeeded)?;
        let metadata = self.session.metadata().await.map_err(Error::Session)?;
        let caller = self.caller(client, metadata);
        let person: Rc<str> = account.display_name().into();
        let mut failed = Vec::new();
        let mut waiting = Vec::with_capacity(ids.len());
        let mut queue = BinaryHeap::with_capacity(ids.len());
        for id in ids {
            match self.taken_up(id, &account, client, &person).await? {
                None => {}
                Some(Ok(one)) => {
                    let step = one.first(self.clock.elapsed());
                    queue.extend(self.due(waiting.len(), &step).map(Reverse));
                    // With no time left at all there is nothing in the queue, and the end is here.
                    match step {
                        Step::End(ending) => failed.extend(self.end_one(one, ending, tell).await),
                        _ => waiting.push(RefCell::new(Some(one))),
                    }
                }
                Some(Err(Error::Expired)) => {}
                Some(Err(error)) => failed.push((id.clone(), error)),
            }
        }
        let mut under_way = FuturesUnordered::new();
        let mut next_request = Duration::ZERO;
        loop {
            let now = self.clock.elapsed();
            while under_way.len() < UNDER_WAY
                && let Some(Reverse(due)) = queue.peek().copied()
                && due.at <= now
                && (due.over || next_request <= now)
            {
                queue.pop();
                next_request = if due.over { next_request } else { now + SPACING };
                let Some(one) = waiting[due.which].take() else { continue };
                let caller = &caller;
                under_way.push(async move {
                    let mut one = one;
                    let step = match due.over {
                        true => Ok(Step::End(Ending::Expired)),
                        false => self.poll(&mut one, caller).await,
                    };
                    (due.which, one, step)
                });
            }
            if queue.is_empty() && under_way.is_empty() {
                return Ok(failed);
            }
            let until = queue.peek().map(|Reverse(due)| if due.over { due.at } else { due.at.max(next_request) });
            let full = under_way.len() >= UNDER_WAY;
            let sleep = async {
                match until.filter(|_| !full) {
                    Some(until) => self.clock.sleep(until.saturating_sub(self.clock.elapsed())).await,
                    None => std::future::pending().await,
                }
            };
            let answer = tokio::select! {
                biased;
                () = self.patience.ended() => break,
                Some(answer) = under_way.next(), if !under_way.is_empty() => Some(answer),
                () = sleep => None,
            };
            let Some((which, one, step)) = answer else { continue };
            match step {
                Ok(Step::End(ending)) => failed.extend(self.end_one(one, ending, tell).await),
                Ok(step) => {
                    if let Step::Ask { news, .. } = &step {
                        for news in news {
                            tell(Event::ApprovalWaiting { approval: one.id.clone(), news: news.clone() });
                        }
                    }
                    queue.extend(self.due(which, &step).map(Reverse));
                    waiting[which].replace(Some(one));
                }
                Err(error @ Error::Stopped(_)) => return Err(error),
                Err(error) => failed.push((one.id.clone(), self.ended(one, error))),
            }
        }
        // A request that is under way may bring the answer: it is not dropped.
        while let Some((_, one, step)) = under_way.next().await {
            match step {
                Ok(Step::End(ending)) => failed.extend(self.end_one(one, ending, tell).await),
                Ok(_) => {}
                Err(error) => failed.push((one.id.clone(), self.ended(one, error))),
            }
        }
        Ok(failed)
    }

    /// One of them: as it was left, or as it stands in the journal. None: it is not waited for any more.
    async fn taken_up(
        &self,
        id: &ApprovalId,
        account: &Account,
        client: &Client,
        person: &Rc<str>,
    ) -> Result<Option<Result<Waiting, Error>>, Error> {
        if let Some(left) = self.left.take(id) {
            return Ok(Some(Ok(left)));
        }
        let row = self.journal.approval(id)?.filter(|row| row.state.may_be_answered());
        let Some(row) = row else { return Ok(None) };
        let asked = &row.asked;
        let same = (&asked.issuer, &asked.subject, &asked.client_id) == (&account.iss, &account.sub, &client.id);
        Ok(Some(match same {
            true => self.waiting(&row, Rc::clone(person)).await.map_err(|error| self.or_over(&row, error)),
            false => Err(Error::Changed("somebody else is logged in now, or another client asks")),
        }))
    }

    fn due(&self, which: usize, step: &Step) -> Option<Due> {
        let now = self.clock.elapsed();
        match step {
            Step::Ask { after, .. } => Some(Due { at: now + *after, which, over: false }),
            Step::Expire { after } => Some(Due { at: now + *after, which, over: true }),
            Step::End(_) => None,
        }
    }

    async fn end_one(&self, mut one: Waiting, ending: Ending, tell: Tell<'_>) -> Option<(ApprovalId, Error)> {
        let error = self.answered(&mut one, ending, tell).await.err()?;
        let id = one.id.clone();
        let error = self.ended(one, error);
        // An answer is none of the things that could not be waited for.
        (!matches!(error, Error::Denied | Error::Expired)).then_some((id, error))
    }

    fn ended(&self, mut one: Waiting, error: Error) -> Error {
        match self.end(one.life.take(), &error) {
            Ok(()) => error,
            Err(error) => error,
        }
    }
}
