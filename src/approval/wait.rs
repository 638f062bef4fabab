//! Waiting for one answer: poll, decide, write down, until there is an end.

use std::{rc::Rc, time::Duration};

use super::{
    Approvals, Error, Granted, evidence,
    kept::Place,
    left::{self, UnderWay},
    life::Life,
};
use crate::{
    call::ApprovalId,
    event::{Event, Tell},
    oauth::{Answer, Caller, Ending, Poll, Step, TokenResponse},
    secret::AuthReqId,
    store::journal::{ApprovalChange, ApprovalState, Given},
};

/// How much later than the deadline a token may arrive: the last request may have been sent just before.
const GRACE: Duration = Duration::from_secs(10);
/// How long a yes is good for if its token does not say when it expires.
const GOOD_FOR: Duration = Duration::from_secs(300);
/// Nothing that was approved waits longer than this.
const LONGEST: Duration = Duration::from_secs(86_400);

/// One approval that is waited for. It is small, so that many can be waited for at once: what the yes must be like stays in
/// the journal until there is one.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: ApprovalId,
    /// None once a step could not be written down.
    pub(super) life: Option<Life>,
    pub(super) auth_req_id: AuthReqId,
    pub(super) resource: Option<Box<str>>,
    pub(super) poll: Poll,
    /// The request whose answer is not written down yet.
    pub(super) under_way: Option<UnderWay>,
    /// Who is asked, in the person's own words.
    pub(super) person: Rc<str>,
    /// When this process took it up, and how long it had been waited for by then.
    pub(super) taken_up: Duration,
    pub(super) waited: Duration,
}

impl Waiting {
    fn step(&mut self, road: &Approvals, next: ApprovalState, change: &ApprovalChange) -> Result<(), Error> {
        let life = self.life.take().ok_or(Error::Abandoned)?;
        let stands = life.state();
        match life.step(&road.journal, next, change) {
            Ok(life) => self.life = Some(life),
            Err(error) => {
                // Then it stands where it stood, and has an end that is still to be written down.
                self.life = matches!(error, Error::Given).then(|| Life::at(self.id.clone(), stands));
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) fn state(&self) -> Option<ApprovalState> {
        self.life.as_ref().map(Life::state)
    }

    /// The first step. A request that is under way is not asked again.
    pub(super) fn first(&self, now: Duration) -> Step {
        match &self.under_way {
            Some(_) => Step::Ask { after: Duration::ZERO, news: Vec::new() },
            None => self.poll.first(now),
        }
    }
}

impl Approvals {
    /// Waits for the answer, as long as somebody has patience.
    pub(super) async fn wait(
        &self,
        waiting: &mut Waiting,
        caller: &Caller<'_>,
        tell: Tell<'_>,
    ) -> Result<Granted, Error> {
        let mut step = waiting.first(self.clock.elapsed());
        loop {
            let (after, news) = match step {
                Step::End(ending) => return self.answered(waiting, ending, tell).await,
                Step::Ask { after, news } => (after, Some(news)),
                Step::Expire { after } => (after, None),
            };
            let asks = news.is_some();
            for news in news.into_iter().flatten() {
                tell(Event::ApprovalWaiting { approval: waiting.id.clone(), news });
            }
            if !self.patience.sleep(&*self.clock, after).await {
                return Err(Error::Pending { approval: Some(waiting.id.clone()) });
            }
            step = match asks {
                true => match self.patience.unless_handed_over(self.poll(waiting, caller)).await {
                    Some(step) => step?,
                    None => return Err(Error::Pending { approval: Some(waiting.id.clone()) }),
                },
                false => Step::End(Ending::Expired),
            };
        }
    }

    /// Asks the server once, and decides how it goes on. `redeeming` is on the disk while a request is under way that may
    /// spend the grant. Dropped before its end, it is taken up by the next call.
    pub(super) async fn poll(&self, waiting: &mut Waiting, caller: &Caller<'_>) -> Result<Step, Error> {
        self.stop.check()?;
        if waiting.state() == Some(ApprovalState::Requested) {
            waiting.step(self, ApprovalState::Redeeming, &ApprovalChange::at(self.clock.now()))?;
        }
        let request = match &waiting.under_way {
            Some(request) => request.clone(),
            None => {
                let request = left::begin(caller, &self.clock, waiting);
                waiting.under_way.insert(request).clone()
            }
        };
        let (answer, arrived) = request.await;
        let now = self.clock.elapsed();
        if matches!(answer, Answer::Tokens(_)) && arrived > waiting.poll.deadline() + GRACE {
            return Err(Error::Late);
        }
        if !matches!(answer, Answer::Tokens(_)) {
            waiting.under_way = None;
        }
        let step = waiting.poll.next(now, answer);
        // A yes, or a request whose answer was lost, may have spent the grant: the journal keeps saying so.
        if !waiting.poll.may_be_spent() {
            let interval_s = Some(waiting.poll.interval().as_secs());
            let change = ApprovalChange { interval_s, ..ApprovalChange::at(self.clock.now()) };
            waiting.step(self, ApprovalState::Requested, &change)?;
        }
        Ok(step)
    }

    /// The end of a wait: a yes is looked at, sealed and written down.
    pub(super) async fn answered(
        &self,
        waiting: &mut Waiting,
        ending: Ending,
        tell: Tell<'_>,
    ) -> Result<Granted, Error> {
        let result = match ending {
            Ending::Approved(tokens) => self.approved(waiting, &tokens).await,
            Ending::Denied => Err(Error::Denied),
            // Also when the time is over: a request whose answer never came may have spent a yes.
            Ending::Expired if waiting.state() == Some(ApprovalState::Redeeming) => Err(Error::Lost),
            Ending::Expired => Err(Error::Expired),
            Ending::Lost => Err(Error::Lost),
            Ending::Failed(error) => Err(Error::Server(error)),
        };
        let granted = result.as_ref().ok();
        tell(Event::ApprovalAnswered {
            approval: waiting.id.clone(),
            answer: match &result {
                Ok(_) => "approved",
                Err(Error::Denied) => "denied",
                Err(Error::Expired) => "expired",
                Err(_) => "failed",
            }
            .to_owned(),
            by: granted.map(|_| waiting.person.to_string()),
            binding: granted.map(|granted| granted.evidence.binding.to_string()),
            details: granted.map(|granted| granted.evidence.details.words().to_owned()),
            after_s: (self.clock.elapsed().saturating_sub(waiting.taken_up) + waiting.waited).as_secs_f64(),
        });
        result
    }

    async fn approved(&self, waiting: &mut Waiting, tokens: &TokenResponse) -> Result<Granted, Error> {
        let row = self.journal.approval(&waiting.id)?.ok_or(Error::Abandoned)?;
        // Only the row as it was when the device rang can be opened.
        self.open(&row, "auth_req_id", row.sealed_auth_req_id.as_deref()).await?;
        let terms = self.terms_of(&row).await?;
        let judged = self.judge(&row, &terms, tokens, &waiting.auth_req_id).await?;
        let at = self.clock.now();
        let signed = self.keep_signed(&waiting.id, &judged.claims, tokens).await?;
        let evidence = evidence::of(&row, judged, tokens, &waiting.auth_req_id, signed, at);
        let (until, proven) = (at + good_for(tokens), serde_json::to_string(&evidence).map_err(|_| Error::Seal)?);
        let place = Place { asked: &row.asked, until, evidence: &proven };
        let change = ApprovalChange {
            sealed_token: Some(self.seal(&place.of("token"), tokens.access_token.expose()).await?),
            expires_at: Some(until),
            evidence: Some(proven),
            given: Given::yes(&waiting.auth_req_id, tokens.id_token.as_ref(), &tokens.access_token),
            ..ApprovalChange::at(at)
        };
        waiting.step(self, ApprovalState::Approved, &change)?;
        Ok(Granted { token: tokens.access_token.clone(), evidence, turn: None })
    }

    /// Writes down that an approval ended without a yes that can be used; it goes on if the error says so.
    pub(super) fn end(&self, life: Option<Life>, error: &Error) -> Result<(), Error> {
        let (Some(life), Some(state)) = (life, error.state()) else { return Ok(()) };
        let change = ApprovalChange { error: Some(error.to_string()), ..ApprovalChange::at(self.clock.now()) };
        match life.step(&self.journal, state, &change) {
            Ok(_) | Err(Error::Abandoned) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// How long an approved call may wait to be carried out.
fn good_for(tokens: &TokenResponse) -> Duration {
    tokens.expires_in.map_or(GOOD_FOR, Duration::from_secs).min(LONGEST)
}
