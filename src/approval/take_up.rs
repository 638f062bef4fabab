//! Taking up an approval that stands in the journal, perhaps asked by a process that is no more.

use std::time::Duration;

use super::{Approvals, Error, Granted, Shown, life::Life, terms, wait::Waiting};
use crate::{
    call::Digest,
    event::Tell,
    oauth::{Caller, Client, Metadata, Poll},
    policy::{Action, Approval, TokenWanted},
    secret::{AccessToken, AuthReqId},
    session::{self, Account},
    store::{
        journal::{self, ApprovalRow, ApprovalState},
        sealed,
    },
};

impl Approvals {
    /// Whether what was asked then is what would be asked today, of the same person by the same client. The journaled plan
    /// is hashed anew: neither it nor its digest is taken at its word.
    ///
    /// # Errors
    /// If anything differs, or what was sealed cannot be opened.
    pub async fn verify(&self, row: &ApprovalRow, action: &Action, account: &Account) -> Result<(), Error> {
        let asked = &row.asked;
        let changed = |why| Err(Error::Changed(why));
        let plan = self.read(row, "plan", &asked.plan).await?;
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap_or_default();
        let arguments = plan["arguments"].as_object().cloned().unwrap_or_default();
        let text = |name: &str| plan[name].as_str().unwrap_or_default();
        let digest = Action::digest_of(text("tool"), text("origin"), &arguments).map(Digest::to_text);
        // A plan that was sealed holds its digest, and nobody without the key wrote either.
        let asked_digest = if sealed::is_sealed(&asked.plan) { text("digest") } else { &asked.digest };
        if digest.ok().as_deref() != Some(asked_digest) || text("digest") != asked_digest {
            return changed("its plan in the journal is not the one that was approved");
        }
        // The digest is that of the tool as well.
        if asked.action != action.id || asked_digest != action.digest.to_text() {
            return changed("the call would be another one today");
        }
        if (&asked.issuer, &asked.subject) != (&account.iss, &account.sub) {
            return changed("somebody else is logged in now");
        }
        if self.client.as_ref().map(|client| &client.id) != Some(&asked.client_id) {
            return changed("another client asks for approvals now");
        }
        self.of_this_login(row).await
    }

    /// Goes on with an approval that was verified: waits for its answer, or takes the answer that was given. The caller has
    /// checked everything else anew.
    ///
    /// # Errors
    /// Everything that is not this person's yes to this action.
    pub async fn take_up(
        &self,
        row: &ApprovalRow,
        action: &Action,
        approval: &Approval,
        wanted: &TokenWanted,
        permission: &str,
        tell: Tell<'_>,
    ) -> Result<Granted, Error> {
        let prepared = self.prepare(action, approval, None, &row.asked.code).await?;
        let then = self.terms_of(row).await?;
        let now = terms(prepared.details, prepared.without_details, prepared.needed, &prepared.message, wanted);
        if !then.are_those_of(&now) {
            let error = Error::Changed("the tool, the settings or the server ask for something else today");
            self.give_up(row, &error)?;
            return Err(error);
        }
        match row.state {
            ApprovalState::Approved | ApprovalState::Executing => self.granted(row).await,
            ApprovalState::Requested | ApprovalState::Redeeming => {
                let (client, metadata) = (prepared.client, prepared.metadata);
                let account = self.session.account().await.map_err(Error::Session)?.ok_or(Error::LoginNeeded)?;
                let waiting = self.waiting(row, account.display_name()).await?;
                let left = waiting.poll.deadline().saturating_sub(self.clock.elapsed());
                let shown = Shown {
                    action,
                    approval: &row.asked.id,
                    agent: &client.id,
                    permission,
                    terms: &then,
                    message: &then.message(row),
                    left,
                    expires_at: self.clock.now() + left,
                    again: true,
                };
                tell(shown.event());
                let caller = self.caller(client, metadata);
                self.wait_to_the_end(waiting, &caller, tell).await
            }
            _ => Err(Error::Changed("it is over")),
        }
    }

    pub(super) fn caller<'a>(&'a self, client: &'a Client, metadata: &'a Metadata) -> Caller<'a> {
        Caller { http: &self.http, clock: &*self.clock, metadata, client }
    }

    /// Writes down that an approval cannot be gone on with.
    pub(super) fn give_up(&self, row: &ApprovalRow, error: &Error) -> Result<(), Error> {
        let life = match row.state {
            // A call that may have been sent has an outcome of its own.
            state if state.is_final() || state == ApprovalState::Executing => None,
            state => Some(Life::at(row.asked.id.clone(), state)),
        };
        self.end(life, error)
    }

    /// What cannot be opened any more, or not under this login, ends all the same when its time is over. Where another key
    /// proves it, that is left to who has it.
    pub fn or_over(&self, row: &ApprovalRow, error: Error) -> Error {
        if !matches!(error, Error::Unopened | Error::Session(session::Error::OtherLogin))
            || row.left(self.clock.now()).is_none_or(|left| !left.is_zero())
        {
            return error;
        }
        match self.give_up(row, &Error::Expired) {
            Ok(()) => Error::Expired,
            Err(Error::Journal(journal::Error::Locked)) => error,
            Err(unwritten) => unwritten,
        }
    }

    /// The yes that lies sealed in the journal.
    async fn granted(&self, row: &ApprovalRow) -> Result<Granted, Error> {
        if row.expires_at.is_none_or(|until| self.clock.now() >= until) {
            self.give_up(row, &Error::TooOld)?;
            return Err(Error::TooOld);
        }
        let token = AccessToken::new(self.open(row, "token", row.sealed_token.as_deref()).await?);
        let evidence = row.evidence.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let evidence: super::Evidence = evidence.ok_or(Error::Changed("its evidence is not legible any more"))?;
        Ok(Granted { token, evidence, turn: None })
    }

    /// A wait as it stands in the journal. Never asks too early: what is left of the interval is counted from the journaled
    /// time of the last request.
    pub(super) async fn waiting(
        &self,
        row: &ApprovalRow,
        person: impl Into<std::rc::Rc<str>>,
    ) -> Result<Waiting, Error> {
        let auth_req_id = AuthReqId::new(self.open(row, "auth_req_id", row.sealed_auth_req_id.as_deref()).await?);
        let terms = self.terms_of(row).await?;
        let now = self.clock.now();
        let requested_at = row.requested_at.unwrap_or(row.asked.created_at);
        let span = |time: chrono::Duration| time.to_std().unwrap_or_default();
        let left = row.left(now).unwrap_or_default();
        let interval = Duration::from_secs(row.interval_s.unwrap_or(5));
        let since = span(now - row.polled_at.unwrap_or(requested_at));
        let poll = Poll::resume(self.clock.elapsed(), left, Some(interval))
            .first_after(interval.saturating_sub(since))
            .after_a_lost_request(row.state == ApprovalState::Redeeming)
            .denial_may_mean_expiry(self.provider.denial_may_mean_expiry());
        Ok(Waiting {
            id: row.asked.id.clone(),
            life: Some(Life::at(row.asked.id.clone(), row.state)),
            auth_req_id,
            resource: self.resource(&terms),
            poll,
            under_way: None,
            person: person.into(),
            taken_up: self.clock.elapsed(),
            waited: span(now - requested_at),
        })
    }
}
