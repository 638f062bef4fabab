//! One approval, from planned to done: asked over CIBA, written down at every step.
//!
//! The journal is always one step ahead of the network. Before the request is sent the approval stands there as planned;
//! before each token request, which may spend the grant, as redeeming. So whatever happens to this process, what was asked
//! of the person is known, and no yes can be used twice.

mod error;
mod evidence;
mod foresee;
mod judge;
mod kept;
mod left;
mod life;
mod many;
mod once;
mod patience;
mod request;
mod signed;
mod take_up;
mod terms;
mod wait;

pub use self::{
    error::{Error, NOT_ANSWERED, NOT_ASKED_YET},
    evidence::Evidence,
    foresee::Foreseen,
    left::Left,
    patience::{HandedOver, OnApproval, Patience},
};

use std::{
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

use self::{kept::Place, life::Life, terms::Terms, wait::Waiting};
use crate::{
    call::{ApprovalId, Digest, Outcome, RunId},
    clock::SharedClock,
    event::{ApprovalShown, Event, Tell},
    http::Http,
    oauth::{Caller, Client, Metadata, Poll, Provider, ciba, provider::AudienceParameter},
    policy::{Action, Approval, Binding, BindingMessage, Details, TokenWanted, code_from},
    secret::AccessToken,
    session::{Account, Session},
    store::{
        credentials::Store,
        journal::{self, ApprovalChange, ApprovalState, Given, Journal, NewApproval},
        lock::{self, GrantLock},
        sealed,
        stop::Stop,
    },
};

/// How long another approval of the same person is waited for: one at a time reaches the device.
const ONE_AT_A_TIME: Duration = Duration::from_secs(600);
/// A wait for it that is shorter is not worth a word.
const GLIMPSE: Duration = Duration::from_millis(300);
/// Pushes are counted over this time.
const WINDOW: Duration = Duration::from_secs(60);
/// After so many denials of a tool in one run it is locked for that run.
const DENIALS: u32 = 2;

/// A yes.
#[derive(Debug)]
pub struct Granted {
    /// The token that it brought.
    pub token: AccessToken,
    /// What proves it.
    pub evidence: Evidence,
    /// The person's turn: nobody else's question reaches them as long as it is held.
    pub turn: Option<GrantLock>,
}

/// Asks people.
#[derive(Clone, Debug)]
pub struct Approvals {
    /// The way to the server.
    pub http: Http,
    /// The time.
    pub clock: SharedClock,
    /// Who is logged in.
    pub session: Rc<Session>,
    /// Where approvals are written down.
    pub journal: Rc<Journal>,
    /// Whose data key seals what must stay secret there.
    pub store: Arc<Store>,
    /// What discovery does not say.
    pub provider: Provider,
    /// The client that asks.
    pub client: Option<Client>,
    /// The weakest binding that the profile accepts, if it says so.
    pub binding: Option<Binding>,
    /// Requests a minute at most.
    pub pushes_per_minute: u32,
    /// The folder for locks.
    pub locks: PathBuf,
    /// How long answers are waited for.
    pub patience: Patience,
    /// What was left in the middle of a request.
    pub left: Left,
    /// Whether everything was stopped.
    pub stop: Stop,
}

/// The lock of a person's turn, among the locks that all processes share.
#[must_use]
pub fn turn_file(locks: &Path, account: &Account) -> PathBuf {
    let person = Digest::of_bytes(format!("{}\n{}", account.iss, account.sub).as_bytes()).to_hex();
    locks.join(format!("approval-{}.lock", &person[..16]))
}

/// Everything about one request that does not change while it is waited for.
struct Asking<'a> {
    action: &'a Action,
    wanted: &'a TokenWanted,
    account: Account,
    metadata: &'a Metadata,
    client: &'a Client,
    /// What is requested.
    details: Option<Value>,
    needed: Binding,
    permission: &'a str,
    id: ApprovalId,
    /// As it stands in the journal.
    asked: NewApproval,
}

/// A request before it is made.
struct Prepared<'a> {
    client: &'a Client,
    metadata: &'a Metadata,
    message: BindingMessage,
    details: Option<Value>,
    without_details: Details,
    needed: Binding,
    /// What the binding will be if the server goes along.
    possible: Binding,
}

impl Approvals {
    /// Asks the person about one action and waits for the answer, as long as somebody has patience. It stays open when nobody
    /// waits any more: its run can be taken up. When the person's turn has come, `still` says whether there is anything left
    /// to ask: others may have been before.
    ///
    /// # Errors
    /// Everything that is not this person's yes to this action.
    #[expect(clippy::too_many_arguments, reason = "all that is known about one question")]
    pub async fn ask(
        &self,
        action: &Action,
        approval: &Approval,
        wanted: &TokenWanted,
        permission: &str,
        run: Option<&RunId>,
        still: &dyn Fn() -> Result<(), Error>,
        tell: Tell<'_>,
    ) -> Result<Granted, Error> {
        if self.patience.on_approval() == OnApproval::Deny {
            return Err(Error::NotAsked);
        }
        let account = self.session.account().await.map_err(Error::Session)?.ok_or(Error::LoginNeeded)?;
        let Prepared { client, metadata, message, details, without_details, needed, .. } =
            self.prepare(action, approval, run, &code_from(random()?)).await?;
        let turn = self.turn(&account, action, tell).await?;
        // Reads are made side by side: one like it may have been before, or two that were denied.
        if let Some(run) = run {
            self.not_denied(action, run)?;
            self.asked_once(action, run).await?;
        }
        self.stop.check()?;
        still()?;
        // Nobody's device rings for an answer that could not be used, because the login has ended meanwhile, or whose proof
        // could not be read.
        self.session.still().await.map_err(Error::Session)?;
        self.session.verifier().await.map_err(Error::Session)?.ready().await.map_err(Error::Keys)?;
        self.reserve_push(&account)?;
        let id = ApprovalId::mint();
        let terms = terms(details.clone(), without_details, needed, &message, wanted);
        let hides = sealed::any(&action.arguments, &action.sensitive);
        let asked = NewApproval {
            action: action.id.clone(),
            run: run.cloned(),
            issuer: account.iss.clone(),
            subject: account.sub.clone(),
            client_id: client.id.clone(),
            tool: action.tool.clone(),
            plan: self.kept_plan(action, &id).await?,
            digest: if hides { sealed::HIDDEN.to_owned() } else { action.digest.to_text() },
            binding_message: message.text.clone(),
            code: message.code.clone(),
            login: self.session.login().await.map_err(Error::Session)?,
            terms: self.kept_terms(action, &id, &terms).await?,
            created_at: self.clock.now(),
            id: id.clone(),
        };
        self.journal.insert_approval(&asked)?;
        turn.note(asked.id.as_str());
        let asking = Asking { action, wanted, account, metadata, client, details, needed, permission, id, asked };
        let granted = self.request_and_wait(&asking, approval, message, terms, tell).await;
        Ok(Granted { turn: Some(turn), ..granted? })
    }

    /// One question at a time reaches a person, as long as somebody waits for its answer.
    async fn turn(&self, account: &Account, action: &Action, tell: Tell<'_>) -> Result<GrantLock, Error> {
        let path = turn_file(&self.locks, account);
        let turn = async {
            match GrantLock::take(&path, &*self.clock, GLIMPSE).await {
                Err(lock::Error::Busy { .. }) => {}
                taken => return taken,
            }
            let behind = GrantLock::noted(&path).and_then(|noted| ApprovalId::minted(&noted));
            let at_most_s = ONE_AT_A_TIME.as_secs();
            tell(Event::ApprovalQueued { action: action.id.clone(), behind, at_most_s });
            GrantLock::take(&path, &*self.clock, ONE_AT_A_TIME).await
        };
        let turn = match self.patience.on_approval() {
            OnApproval::Detach => turn.await?,
            _ => self.patience.or(turn).await.ok_or(Error::Pending { approval: None })??,
        };
        // What the one before held it for is over.
        turn.note("");
        Ok(turn)
    }

    /// Everything that can be said about a request before it is made. What cannot be asked strongly enough is not asked.
    async fn prepare(
        &self,
        action: &Action,
        approval: &Approval,
        run: Option<&RunId>,
        code: &str,
    ) -> Result<Prepared<'_>, Error> {
        let client = self.client.as_ref().ok_or(Error::NotConfigured)?;
        if let Some(max) = self.provider.max_expiry().filter(|max| approval.expires_in > *max) {
            return Err(Error::TooLong { wanted: approval.expires_in, max });
        }
        if let Some(run) = run {
            self.not_denied(action, run)?;
        }
        let metadata = self.session.metadata().await.map_err(Error::Session)?;
        let message = BindingMessage::fit(approval, code, self.provider.binding_message_rules());
        let token = approval.wanted(&action.requirements.credential);
        let target = self.provider.audience_field(token.audience.as_deref(), token.resource.as_deref());
        let (details, without_details) = match &approval.details {
            None => (None, Details::NotDeclared),
            Some(wanted) if !self.provider.may_send_details(metadata, &wanted.kind, target, &token.scopes) => {
                (None, Details::NotSupported)
            }
            Some(wanted) => {
                let details = action.authorization_details(wanted, self.provider, &client.id)?;
                (Some(details), Details::NotReturned)
            }
        };
        let needed = Binding::needed(action.irreversible, self.binding);
        let possible = if details.is_some() { Binding::Details } else { message.binding() };
        if possible < needed {
            return Err(Error::Weak { got: possible, needed });
        }
        Ok(Prepared { client, metadata, message, details, without_details, needed, possible })
    }

    /// Writes down that the action, which only reads, is being done now. Before this is durable it must not run.
    ///
    /// # Errors
    /// If it cannot be written, or the approval is not in a state from which it may run: an approval runs once.
    pub fn executing(&self, id: &ApprovalId) -> Result<(), journal::Error> {
        let change = ApprovalChange::at(self.clock.now());
        self.journal.move_approval(id, ApprovalState::Approved, ApprovalState::Executing, &change)
    }

    /// Writes down how it ended, and erases the token.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn executed(&self, id: &ApprovalId, outcome: Outcome) -> Result<(), Error> {
        Ok(executed(&self.journal, id, outcome, self.clock.now())?)
    }

    /// Gives up what was not used, and erases its secrets. If that cannot be written down, nothing is done with it all the
    /// same: a call is refused before its approval is given up.
    pub fn abandon(&self, id: &ApprovalId) {
        let _ = self.journal.abandon(id, self.clock.now());
    }

    async fn request_and_wait(
        &self,
        asking: &Asking<'_>,
        approval: &Approval,
        message: BindingMessage,
        terms: Terms,
        tell: Tell<'_>,
    ) -> Result<Granted, Error> {
        let caller = Caller { http: &self.http, clock: &*self.clock, metadata: asking.metadata, client: asking.client };
        let waiting = match self.send(caller, asking, approval, message, terms, tell).await {
            Ok(waiting) => waiting,
            Err(error) => {
                let planned = Life::at(asking.id.clone(), ApprovalState::Planned);
                self.end(Some(planned), &error)?;
                return Err(error);
            }
        };
        self.wait_to_the_end(waiting, &caller, tell).await
    }

    /// Waits, and writes down an end that is not a yes. Stopped in the middle of a request, it is left to others.
    async fn wait_to_the_end(&self, waiting: Waiting, caller: &Caller<'_>, tell: Tell<'_>) -> Result<Granted, Error> {
        let mut keeper = self.left.keeper(waiting);
        let Some(waiting) = &mut keeper.waiting else { return Err(Error::Abandoned) };
        let granted = self.wait(waiting, caller, tell).await;
        if let Err(error) = &granted
            && !matches!(error, Error::Pending { .. })
        {
            self.end(waiting.life.take(), error)?;
        }
        granted
    }

    async fn send(
        &self,
        caller: Caller<'_>,
        asking: &Asking<'_>,
        approval: &Approval,
        message: BindingMessage,
        terms: Terms,
        tell: Tell<'_>,
    ) -> Result<Waiting, Error> {
        let start = self.clock.elapsed();
        let sent_at = self.clock.now();
        let (acknowledged, sent) = self.request(caller, asking, approval, message.clone()).await?;
        let lifetime = acknowledged.expires_in.min(Duration::from_secs(approval.expires_in));
        let poll = Poll::new(start, lifetime, acknowledged.interval, ciba::MAX_LIFETIME)
            .map_err(Error::Server)?
            .denial_may_mean_expiry(self.provider.denial_may_mean_expiry());
        let expires_at = sent_at + lifetime;
        let terms = Terms { message_is_whole: sent.whole, ..terms };
        let reworded = match sent != message {
            true => Some((sent.text.clone(), self.kept_terms(asking.action, &asking.id, &terms).await?)),
            false => None,
        };
        let mut asked = asking.asked.clone();
        if let Some((message, terms)) = &reworded {
            (asked.binding_message, asked.terms) = (message.clone(), terms.clone());
        }
        let place = Place { asked: &asked, until: expires_at, evidence: "" };
        let sealed = self.seal(&place.of("auth_req_id"), acknowledged.auth_req_id.expose()).await?;
        let change = ApprovalChange {
            sealed_auth_req_id: Some(sealed),
            expires_at: Some(expires_at),
            interval_s: Some(poll.interval().as_secs()),
            reworded,
            given: Given::request(&acknowledged.auth_req_id),
            ..ApprovalChange::at(self.clock.now())
        };
        let life = Life::at(asking.id.clone(), ApprovalState::Planned);
        let life = life.step(&self.journal, ApprovalState::Requested, &change)?;
        let shown = Shown {
            action: asking.action,
            approval: &asking.id,
            agent: &asking.client.id,
            permission: asking.permission,
            terms: &terms,
            message: &sent,
            left: lifetime,
            expires_at,
            again: false,
        };
        tell(shown.event());
        Ok(Waiting {
            id: asking.id.clone(),
            life: Some(life),
            auth_req_id: acknowledged.auth_req_id,
            resource: self.resource(&terms),
            poll,
            under_way: None,
            person: asking.account.display_name().into(),
            taken_up: start,
            waited: Duration::ZERO,
        })
    }

    /// What the token endpoint must be told again.
    fn resource(&self, terms: &Terms) -> Option<Box<str>> {
        let wanted = self.provider.audience_parameter() == AudienceParameter::Resource;
        terms.resource.as_deref().filter(|_| wanted).map(Into::into)
    }
}

/// An approval as the person must see it beside what their device shows.
struct Shown<'a> {
    action: &'a Action,
    approval: &'a ApprovalId,
    agent: &'a str,
    permission: &'a str,
    terms: &'a Terms,
    message: &'a BindingMessage,
    left: Duration,
    expires_at: DateTime<Utc>,
    /// It was sent before, and is open still.
    again: bool,
}

impl Shown<'_> {
    fn event(&self) -> Event {
        let Self { action, terms, message, .. } = self;
        Event::ApprovalRequested(Box::new(ApprovalShown {
            approval: self.approval.clone(),
            action: action.id.clone(),
            tool: action.tool.clone(),
            binding_message: message.text.clone(),
            code: message.code.clone(),
            origin: action.origin.clone(),
            agent: self.agent.to_owned(),
            spend: action.requirements.spend.words(),
            permission: self.permission.to_owned(),
            binding: if terms.details.is_some() { Binding::Details } else { message.binding() }.to_string(),
            details: match &terms.details {
                Some(_) => "requested",
                None => terms.without_details.words(),
            }
            .to_owned(),
            arguments: Value::Object(action.arguments.clone()),
            expires_in: self.left.as_secs(),
            expires_at: self.expires_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            again: self.again,
        }))
    }
}

/// Writes down how the action of an approval ended that was being done, and erases the token.
///
/// # Errors
/// If it was not being done, or the journal cannot be written.
pub fn executed(journal: &Journal, id: &ApprovalId, outcome: Outcome, at: DateTime<Utc>) -> Result<(), journal::Error> {
    let state = match outcome {
        Outcome::Done => ApprovalState::Done,
        Outcome::Unknown => ApprovalState::UnknownOutcome,
        _ => ApprovalState::Failed,
    };
    journal.move_approval(id, ApprovalState::Executing, state, &ApprovalChange::at(at))
}

fn terms(
    details: Option<Value>,
    without_details: Details,
    needed: Binding,
    message: &BindingMessage,
    wanted: &TokenWanted,
) -> Terms {
    let TokenWanted { audience, resource, scopes } = wanted.clone();
    Terms { details, without_details, needed, message_is_whole: message.whole, scopes, audience, resource }
}

fn random() -> Result<[u8; 5], Error> {
    let mut bytes = [0; 5];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_a_code_is_random() {
        // That any of them is the same 64 times has a chance of one in 10^17.
        let drawn: Vec<[u8; 5]> = (0..64).map(|_| random().unwrap()).collect();
        let once = drawn.iter().fold([0; 5], |seen, bytes| std::array::from_fn(|at| seen[at] | bytes[at]));
        let always = drawn.iter().fold([255; 5], |seen, bytes| std::array::from_fn(|at| seen[at] & bytes[at]));
        assert_eq!((once, always), ([255; 5], [0; 5]));
    }
}
