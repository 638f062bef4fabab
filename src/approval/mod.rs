//! One approval, from planned to done: asked over CIBA, written down at every step.
//!
//! The journal is always one step ahead of the network. Before the request is sent the approval stands there as planned;
//! before each token request, which may spend the grant, as redeeming. So whatever happens to this process, what was asked
//! of the person is known, and no yes can be used twice.

mod error;
mod evidence;
mod foresee;
mod signed;

pub use self::{error::Error, evidence::Evidence, foresee::Foreseen};

use std::{cell::Cell, path::PathBuf, rc::Rc, sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    call::{ApprovalId, Digest, Outcome, RunId},
    clock::SharedClock,
    event::{ApprovalShown, Event, Tell},
    http::Http,
    oauth::{
        self, Answer, Caller, Client, Ending, Metadata, Poll, Provider, TokenResponse, ciba,
        id_token::{Claims, Expected},
        provider::AudienceParameter,
        rar::{self, Comparison},
    },
    policy::{Action, Approval, Binding, BindingMessage, Details, TokenWanted, code_from},
    secret::{AccessToken, AuthReqId},
    session::{Account, Session},
    store::{
        credentials::Store,
        journal::{ApprovalChange, ApprovalState, Journal, NewApproval},
        lock::GrantLock,
    },
};

/// How long another approval of the same person is waited for: one at a time reaches the device.
const ONE_AT_A_TIME: Duration = Duration::from_secs(600);
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
}

/// Asks people.
#[derive(Debug)]
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
    /// What became of the details as long as nothing else is known.
    without_details: Details,
    needed: Binding,
    id: ApprovalId,
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

/// What an answer turned out to be.
struct Judged {
    claims: Claims,
    binding: Binding,
    details: Details,
}

impl Approvals {
    /// Asks the person about one action and waits for the answer. Dropping the future abandons the approval: a later yes
    /// is not used.
    ///
    /// # Errors
    /// Everything that is not this person's yes to this action.
    pub async fn ask(
        &self,
        action: &Action,
        approval: &Approval,
        wanted: &TokenWanted,
        permission: &str,
        run: Option<&RunId>,
        tell: Tell<'_>,
    ) -> Result<Granted, Error> {
        let account = self.session.account().await.map_err(Error::Session)?.ok_or(Error::LoginNeeded)?;
        let Prepared { client, metadata, message, details, without_details, needed, .. } =
            self.prepare(action, approval, run, &code_from(random()?)).await?;
        let lock = format!(
            "approval-{}.lock",
            &Digest::of_bytes(format!("{}\n{}", account.iss, account.sub).as_bytes()).to_hex()[..16]
        );
        let _turn = GrantLock::take(&self.locks.join(lock), &*self.clock, ONE_AT_A_TIME).await?;
        let now = self.clock.now();
        if let Some(wait) =
            self.journal.reserve_push(&account.iss, &account.sub, now, WINDOW, self.pushes_per_minute)?
        {
            return Err(Error::TooManyPushes { max: self.pushes_per_minute, wait });
        }
        let id = ApprovalId::mint();
        let asking = Asking { action, wanted, account, metadata, client, details, without_details, needed, id };
        self.journal.insert_approval(&NewApproval {
            id: asking.id.clone(),
            action: action.id.clone(),
            run: run.cloned(),
            issuer: asking.account.iss.clone(),
            subject: asking.account.sub.clone(),
            client_id: client.id.clone(),
            tool: action.tool.clone(),
            plan: action.to_json().to_string(),
            digest: action.digest.to_text(),
            binding_message: message.text.clone(),
            code: message.code.clone(),
            created_at: self.clock.now(),
        })?;
        let mut open =
            Open { road: self, id: asking.id.clone(), state: ApprovalState::Planned, done: Cell::new(false) };
        let granted = self.request_and_wait(&asking, approval, message, permission, &mut open, tell).await;
        if let Err(error) = &granted {
            open.end(error)?;
        }
        open.done.set(true);
        granted
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
        if let Some(run) = run
            && self.journal.denials_in_run(run, &action.tool)? >= DENIALS
        {
            return Err(Error::Locked { tool: action.tool.clone() });
        }
        let metadata = self.session.metadata().await.map_err(Error::Session)?;
        let message = BindingMessage::fit(approval, code, self.provider.binding_message_rules());
        let wanted = approval.wanted(&action.requirements.credential);
        let target = self.provider.audience_field(wanted.audience.as_deref(), wanted.resource.as_deref());
        let (details, without_details) = match &approval.details {
            None => (None, Details::NotDeclared),
            Some(wanted) if !self.provider.may_send_details(metadata, &wanted.kind, target) => {
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

    /// Writes down that the action is being done now. Before this is durable it must not run.
    ///
    /// # Errors
    /// If it cannot be written, or the approval is not in a state from which it may run: an approval runs once.
    pub fn executing(&self, id: &ApprovalId) -> Result<(), Error> {
        let change = ApprovalChange::at(self.clock.now());
        Ok(self.journal.move_approval(id, ApprovalState::Approved, ApprovalState::Executing, &change)?)
    }

    /// Writes down how it ended, and erases the token.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn executed(&self, id: &ApprovalId, outcome: Outcome) -> Result<(), Error> {
        let state = match outcome {
            Outcome::Done => ApprovalState::Done,
            Outcome::Unknown => ApprovalState::UnknownOutcome,
            _ => ApprovalState::Failed,
        };
        let change = ApprovalChange { erase_token: true, ..ApprovalChange::at(self.clock.now()) };
        Ok(self.journal.move_approval(id, ApprovalState::Executing, state, &change)?)
    }

    /// Gives up a yes that was not used, and erases its token.
    pub fn abandon(&self, id: &ApprovalId) {
        let change = ApprovalChange::at(self.clock.now());
        // If it cannot be written down, the call has been refused all the same.
        let _ = self.journal.move_approval(id, ApprovalState::Approved, ApprovalState::Abandoned, &change);
    }

    async fn request_and_wait(
        &self,
        asking: &Asking<'_>,
        approval: &Approval,
        message: BindingMessage,
        permission: &str,
        open: &mut Open<'_>,
        tell: Tell<'_>,
    ) -> Result<Granted, Error> {
        let caller = Caller { http: &self.http, clock: &*self.clock, metadata: asking.metadata, client: asking.client };
        let start = self.clock.elapsed();
        let requested_at = self.clock.now();
        let (acknowledged, message) = self.request(caller, asking, approval, message).await?;
        let data_key = self.store.data_key().await?;
        let sealed = data_key
            .seal(&seal_label(&asking.id, "auth_req_id"), acknowledged.auth_req_id.expose().as_bytes())
            .map_err(|_| Error::Seal)?;
        let lifetime = acknowledged.expires_in.min(Duration::from_secs(approval.expires_in));
        let poll = Poll::new(start, lifetime, acknowledged.interval, ciba::MAX_LIFETIME)
            .map_err(Error::Server)?
            .denial_may_mean_expiry(self.provider.denial_may_mean_expiry());
        let expires_at = requested_at + lifetime;
        open.step(
            ApprovalState::Requested,
            ApprovalChange {
                sealed_auth_req_id: Some(sealed),
                expires_at: Some(expires_at),
                interval_s: Some(poll.interval().as_secs()),
                ..ApprovalChange::at(self.clock.now())
            },
        )?;
        tell(Event::ApprovalRequested(Box::new(ApprovalShown {
            approval: asking.id.clone(),
            action: asking.action.id.clone(),
            tool: asking.action.tool.clone(),
            binding_message: message.text.clone(),
            code: message.code.clone(),
            origin: asking.action.origin.clone(),
            agent: asking.client.id.clone(),
            spend: asking.action.requirements.spend.words(),
            permission: permission.to_owned(),
            binding: if asking.details.is_some() { Binding::Details } else { message.binding() }.to_string(),
            details: match &asking.details {
                Some(_) => "requested",
                None => asking.without_details.words(),
            }
            .to_owned(),
            arguments: Value::Object(asking.action.arguments.clone()),
            expires_in: lifetime.as_secs(),
            expires_at: expires_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        })));
        let resource = asking.wanted.resource.as_deref();
        let resource = resource.filter(|_| self.provider.audience_parameter() == AudienceParameter::Resource);
        let ending = oauth::wait(
            &*self.clock,
            poll,
            async || -> Result<Answer, Error> {
                if open.state == ApprovalState::Requested {
                    open.step(ApprovalState::Redeeming, ApprovalChange::at(self.clock.now()))?;
                }
                let answer = ciba::poll_once(&caller, &acknowledged.auth_req_id, resource).await;
                // A yes, or a request whose answer was lost, may have spent the grant: the journal keeps saying so.
                let spent = match &answer {
                    Answer::Tokens(_) | Answer::Unusable(_) => true,
                    Answer::Unreachable(error) => error.may_have_arrived(),
                    Answer::Refused { .. } | Answer::Garbled { .. } => false,
                };
                if !spent {
                    open.step(ApprovalState::Requested, ApprovalChange::at(self.clock.now()))?;
                }
                Ok(answer)
            },
            &|news| tell(Event::ApprovalWaiting { approval: asking.id.clone(), news }),
        )
        .await;
        let answered = |answer: &str, yes: Option<&Judged>| {
            tell(Event::ApprovalAnswered {
                approval: asking.id.clone(),
                answer: answer.to_owned(),
                by: yes.map(|_| asking.account.display_name().to_owned()),
                binding: yes.map(|yes| yes.binding.to_string()),
                details: yes.map(|yes| yes.details.words().to_owned()),
                after_s: self.clock.elapsed().saturating_sub(start).as_secs_f64(),
            });
        };
        let tokens = match ending {
            Ok(Ending::Approved(tokens)) => tokens,
            Ok(Ending::Denied) => {
                answered("denied", None);
                return Err(Error::Denied);
            }
            Ok(Ending::Expired) if open.state != ApprovalState::Redeeming => {
                answered("expired", None);
                return Err(Error::Expired);
            }
            // Also when the time is over: a request whose answer never came may have spent a yes.
            Ok(Ending::Lost | Ending::Expired) => {
                answered("failed", None);
                return Err(Error::Lost);
            }
            Ok(Ending::Failed(error)) => {
                answered("failed", None);
                return Err(Error::Server(error));
            }
            Err(error) => return Err(error),
        };
        let judged = self.judge(asking, &message, &tokens, requested_at, &acknowledged.auth_req_id).await;
        let judged = match judged {
            Ok(judged) => judged,
            Err(error) => {
                answered("failed", None);
                return Err(error);
            }
        };
        let signed = self.keep_signed(&asking.id, &judged.claims, &tokens).await?;
        let sealed = data_key
            .seal(&seal_label(&asking.id, "token"), tokens.access_token.expose().as_bytes())
            .map_err(|_| Error::Seal)?;
        let approved_at = self.clock.now();
        open.step(
            ApprovalState::Approved,
            ApprovalChange { sealed_token: Some(sealed), ..ApprovalChange::at(approved_at) },
        )?;
        answered("approved", Some(&judged));
        let Judged { claims, binding, details } = judged;
        let id_token = tokens.id_token.as_ref().map(|token| token.expose().as_bytes()).unwrap_or_default();
        let time = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        Ok(Granted {
            token: tokens.access_token.clone(),
            evidence: Evidence {
                approval: asking.id.clone(),
                binding,
                details,
                issuer: claims.iss,
                client: asking.client.id.clone(),
                subject: claims.sub,
                auth_req_id_sha256: Digest::of_bytes(acknowledged.auth_req_id.expose().as_bytes()).to_hex(),
                id_token_sha256: Digest::of_bytes(id_token).to_hex(),
                kid: claims.kid,
                jti: claims.jti,
                acr: claims.acr,
                amr: claims.amr,
                binding_message: message.text,
                requested_at: time(requested_at),
                approved_at: time(approved_at),
                signed,
            },
        })
    }

    /// Sends the request; once more with the code alone if the server does not take the message.
    async fn request(
        &self,
        caller: Caller<'_>,
        asking: &Asking<'_>,
        approval: &Approval,
        message: BindingMessage,
    ) -> Result<(ciba::Acknowledgement, BindingMessage), Error> {
        let account = &asking.account;
        let login_hint = self
            .provider
            .login_hint(&account.iss, &account.sub, account.preferred_username.as_deref(), account.email.as_deref())
            .ok_or_else(|| {
                Error::Proof("the login says neither user name nor e-mail, which this server wants".to_owned())
            })?;
        let send = async |message: &BindingMessage| {
            let request = ciba::Request {
                scopes: &asking.wanted.scopes,
                login_hint: &login_hint,
                binding_message: Some(&message.text),
                requested_expiry: Some(approval.expires_in),
                audience: self
                    .provider
                    .audience_field(asking.wanted.audience.as_deref(), asking.wanted.resource.as_deref()),
                authorization_details: asking.details.as_ref(),
                acr_values: None,
            };
            ciba::request(&caller, &request).await
        };
        let refused = match send(&message).await {
            Ok(acknowledged) => return Ok((acknowledged, message)),
            Err(error) => error,
        };
        match refused.code() {
            Some("invalid_binding_message") => {
                let message = BindingMessage::code_only(&message.code);
                let possible = if asking.details.is_some() { Binding::Details } else { message.binding() };
                if possible < asking.needed {
                    return Err(Error::Weak { got: possible, needed: asking.needed });
                }
                let acknowledged = send(&message).await.map_err(Error::Server)?;
                Ok((acknowledged, message))
            }
            Some("access_denied") if !matches!(&refused, oauth::Error::Refused(refusal) if refusal.status == 401) => {
                Err(Error::Denied)
            }
            Some("invalid_client" | "unauthorized_client") => Err(Error::Client(refused)),
            Some("invalid_authorization_details") => Err(Error::DetailsRefused(refused)),
            Some("invalid_request") if self.provider == Provider::Auth0 => Err(Error::NotEnrolled(refused)),
            _ => Err(Error::Server(refused)),
        }
    }

    /// Whether what came is this person's yes to this action.
    async fn judge(
        &self,
        asking: &Asking<'_>,
        message: &BindingMessage,
        tokens: &TokenResponse,
        requested_at: chrono::DateTime<chrono::Utc>,
        auth_req_id: &AuthReqId,
    ) -> Result<Judged, Error> {
        let expected = Expected {
            client_id: &asking.client.id,
            subject: Some(&asking.account.sub),
            not_before: Some(requested_at),
            access_token: Some(&tokens.access_token),
            auth_req_id: Some(auth_req_id),
        };
        let verifier = self.session.verifier().await.map_err(Error::Session)?;
        let proof = verifier.verify_approval(tokens.id_token.as_ref(), &expected, self.clock.now()).await;
        let claims = proof.map_err(|error| Error::Proof(error.to_string()))?;
        if let Some(granted) = tokens.scopes() {
            let missing: Vec<&str> = asking
                .wanted
                .scopes
                .iter()
                .map(String::as_str)
                // Servers leave out of `scope` what did not go into the access token.
                .filter(|wanted| !matches!(*wanted, "openid" | "offline_access" | "profile" | "email"))
                .filter(|wanted| !granted.contains(wanted))
                .collect();
            if !missing.is_empty() {
                return Err(Error::Scope(missing.join(" ")));
            }
        }
        // Where nothing was requested, nothing may be granted either: nobody was asked about it.
        let requested = asking.details.clone().unwrap_or_else(|| json!([]));
        let returned = rar::compare(&requested, tokens.authorization_details.as_ref());
        // What the token itself says is not verified here, so it can prove nothing; but it may not say something else.
        let carried = rar::compare(&requested, rar::in_token(&tokens.access_token).as_ref());
        let (binding, details) = match (returned, carried) {
            (Comparison::Different { at }, _) => return Err(Error::DetailsChanged { at }),
            (_, Comparison::Different { at }) => return Err(Error::TokenContradicts { at }),
            (Comparison::Same, _) if asking.details.is_some() => (Binding::Details, Details::Granted),
            _ => (message.binding(), asking.without_details),
        };
        if binding < asking.needed {
            return Err(Error::Weak { got: binding, needed: asking.needed });
        }
        Ok(Judged { claims, binding, details })
    }
}

/// An approval that is not over. Dropped before its end, because the person stopped waiting, it is abandoned.
struct Open<'a> {
    road: &'a Approvals,
    id: ApprovalId,
    state: ApprovalState,
    done: Cell<bool>,
}

impl Open<'_> {
    fn step(&mut self, next: ApprovalState, change: ApprovalChange) -> Result<(), Error> {
        self.road.journal.move_approval(&self.id, self.state, next, &change)?;
        self.state = next;
        Ok(())
    }

    fn end(&mut self, error: &Error) -> Result<(), Error> {
        let state = match error {
            Error::Denied => ApprovalState::Denied,
            Error::Expired => ApprovalState::Expired,
            Error::Lost => ApprovalState::CredentialLost,
            _ => ApprovalState::Failed,
        };
        self.done.set(true);
        let change = ApprovalChange { error: Some(error.to_string()), ..ApprovalChange::at(self.road.clock.now()) };
        self.step(state, change)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.done.get() {
            let change = ApprovalChange::at(self.road.clock.now());
            let _ = self.road.journal.move_approval(&self.id, self.state, ApprovalState::Abandoned, &change);
        }
    }
}

fn seal_label(id: &ApprovalId, what: &str) -> String {
    format!("{what} of {id}")
}

fn random() -> Result<[u8; 5], Error> {
    let mut bytes = [0; 5];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}
