//! Logging in with the device flow (RFC 8628), at once or in two steps by two processes.

use std::{cell::Cell, fmt, future::Future as _, pin::pin, task::Poll as Ready, time::Duration};

use chrono::{DateTime, Utc};
use url::Url;

use super::{Account, Error, Session, record::Grant, record::Pending};
use crate::{
    event::WaitNews,
    oauth::{
        self, Answer, Ending, Metadata, Poll, TokenResponse,
        device::{self, Authorization, MAX_LIFETIME},
        id_token::Expected,
        userinfo,
    },
    store::stop::Stop,
};

/// How long the server may take to end a login that must not be.
const MOMENT: Duration = Duration::from_secs(5);

/// What a login asks for beyond the session's own settings.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// Another API.
    pub audience: Option<String>,
    /// The same for servers that go by resource.
    pub resource: Option<String>,
    /// More scopes.
    pub scopes: Vec<String>,
}

/// Names a login that another process may finish. It is no secret and gives no access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginId(String);

impl fmt::Display for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A login that waits for the person. All texts are the server's.
#[derive(Clone, Debug)]
pub struct DeviceLogin {
    record: Pending,
    poll: Poll,
    /// Whether the store holds a record of it.
    parked: bool,
    /// How things stood when it was begun.
    stop: Stop,
}

impl DeviceLogin {
    /// What the person compares or types.
    #[must_use]
    pub fn user_code(&self) -> &str {
        &self.record.user_code
    }

    /// Where to type it.
    #[must_use]
    pub fn verification_uri(&self) -> &str {
        &self.record.verification_uri
    }

    /// The same with the code in it.
    #[must_use]
    pub fn verification_uri_complete(&self) -> Option<&str> {
        self.record.verification_uri_complete.as_deref()
    }

    /// The page to open in a browser, if it is one that may be opened.
    #[must_use]
    pub fn openable(&self) -> Option<Url> {
        device::openable(self.verification_uri_complete().unwrap_or(self.verification_uri()))
    }

    /// Until when it can be finished.
    #[must_use]
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.record.expires_at
    }

    /// When waiting ends, on the session's monotonic clock.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.poll.deadline()
    }

    /// The mark of `agentctl panic` as it stood when this login was begun: the login ends no later stop.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> LoginId {
        LoginId(self.record.id.clone())
    }
}

#[cfg(test)]
impl DeviceLogin {
    pub(super) fn skip_first_wait(&mut self) {
        self.poll = self.poll.clone().first_after(Duration::ZERO);
    }
}

impl Session {
    /// Asks the server for a code (RFC 8628 §3.1).
    ///
    /// # Errors
    /// If the server cannot be reached, has no device flow, or refuses.
    pub async fn begin_login(&self, extra: &Extra) -> Result<DeviceLogin, Error> {
        let metadata = self.metadata().await?;
        let mut scopes = self.parts.scopes.clone();
        scopes.extend(extra.scopes.iter().filter(|scope| !self.parts.scopes.contains(scope)).cloned());
        let own = extra.audience.is_none() && extra.resource.is_none();
        let (audience, resource) =
            if own { (&self.parts.audience, &self.parts.resource) } else { (&extra.audience, &extra.resource) };
        let field = self.parts.provider.audience_field(audience.as_deref(), resource.as_deref());
        let start = self.parts.clock.elapsed();
        let request = device::Request { scopes: &scopes, audience: field };
        let Authorization { device_code, user_code, verification_uri, verification_uri_complete, expires_in, interval } =
            device::request(&self.caller(metadata), &request).await?;
        let poll = Poll::new(start, expires_in, Some(interval), MAX_LIFETIME)?;
        let now = self.parts.clock.now();
        let record = Pending {
            id: format!("login_{}", uuid::Uuid::new_v4().simple()),
            device_code,
            audience: audience.clone(),
            resource: resource.clone(),
            scopes,
            user_code,
            verification_uri,
            verification_uri_complete,
            expires_at: now + expires_in,
            interval_s: poll.interval().as_secs(),
            not_before: now + poll.interval(),
            stops: self.parts.stop.seen(),
        };
        Ok(DeviceLogin { record, poll, parked: false, stop: self.parts.stop.clone() })
    }

    /// Writes the login down, so that another process can finish it; an earlier one is forgotten.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn park_login(&self, login: &mut DeviceLogin) -> Result<LoginId, Error> {
        let _hold = self.hold().await?;
        self.parts.store.set(&self.pending_key, &login.record.to_bytes()).await?;
        login.parked = true;
        Ok(login.id())
    }

    /// Takes up the login that was written down: the one of this name, or whichever there is.
    ///
    /// # Errors
    /// If there is none, not this one, or it has expired.
    pub async fn parked_login(&self, id: Option<&str>) -> Result<DeviceLogin, Error> {
        let bytes = self.parts.store.get(&self.pending_key).await?.ok_or(Error::NoPendingLogin)?;
        let record = Pending::from_bytes(&bytes).ok_or(Error::NoPendingLogin)?;
        if id.is_some_and(|id| id != record.id) {
            return Err(Error::NoPendingLogin);
        }
        let (now, elapsed) = (self.parts.clock.now(), self.parts.clock.elapsed());
        let remaining = (record.expires_at - now).to_std().unwrap_or_default();
        if remaining.is_zero() {
            self.parts.store.delete(&self.pending_key).await?;
            return Err(Error::Expired);
        }
        let first = (record.not_before - now).to_std().unwrap_or_default();
        let interval = Duration::from_secs(record.interval_s);
        let poll = Poll::resume(elapsed, remaining, Some(interval)).first_after(first.min(interval));
        let stop = self.parts.stop.since(&record.stops);
        Ok(DeviceLogin { record, poll, parked: true, stop })
    }

    /// Waits until the person has finished the login, verifies who it was, and keeps the grant in the place of an earlier
    /// one. With a `limit` it waits no longer than that. Only what ends the login changes anything here. Nothing is kept if
    /// everything was stopped since the login was begun.
    ///
    /// # Errors
    /// [`Error::StillPending`] at the limit; otherwise how the login ended, if not well.
    pub async fn finish_login(
        &self,
        login: DeviceLogin,
        limit: Option<Duration>,
        tell: &dyn Fn(WaitNews),
    ) -> Result<Account, Error> {
        let metadata = self.metadata().await?;
        let ending = self.wait_for(metadata, &login, limit, tell).await?;
        if login.parked {
            self.forget_parked(&login.record.id).await?;
        }
        match ending {
            Ending::Approved(tokens) => self.adopt(metadata, &login, *tokens).await,
            Ending::Denied => Err(Error::Denied),
            Ending::Expired => Err(Error::Expired),
            Ending::Lost => Err(Error::Lost),
            Ending::Failed(error) => Err(error.into()),
        }
    }

    /// The wait, cut short at the limit, but never in the middle of a request: its answer may be the tokens.
    async fn wait_for(
        &self,
        metadata: &Metadata,
        login: &DeviceLogin,
        limit: Option<Duration>,
        tell: &dyn Fn(WaitNews),
    ) -> Result<Ending, Error> {
        let caller = self.caller(metadata);
        let clock = &*self.parts.clock;
        let asking = Cell::new(false);
        let mut record = login.record.clone();
        let field = self.parts.provider.audience_field(None, login.record.resource.as_deref());
        let resource = field.map(|(_, value)| value);
        let ask = async || {
            login.stop.unchanged()?;
            asking.set(true);
            let answer = device::poll_once(&caller, &record.device_code, resource).await;
            if let Answer::Refused { refusal, interval, retry_after } = &answer
                && refusal.error == "slow_down"
            {
                let asked = interval.max(retry_after).unwrap_or_default().min(MAX_LIFETIME).as_secs();
                record.interval_s = (record.interval_s + 5).max(asked);
            }
            if login.parked
                && matches!(answer, Answer::Refused { .. } | Answer::Garbled { .. } | Answer::Unreachable(_))
            {
                record.not_before = clock.now() + Duration::from_secs(record.interval_s);
                self.parts.store.set(&self.pending_key, &record.to_bytes()).await?;
            }
            asking.set(false);
            Ok::<_, Error>(answer)
        };
        let mut waiting = pin!(oauth::wait(clock, login.poll.clone(), ask, tell));
        let mut limit = limit.map(|limit| clock.sleep(limit));
        let mut late = false;
        std::future::poll_fn(|cx| {
            if let Ready::Ready(ended) = waiting.as_mut().poll(cx) {
                return Ready::Ready(ended);
            }
            late = late || limit.as_mut().is_some_and(|limit| limit.as_mut().poll(cx).is_ready());
            if late && !asking.get() { Ready::Ready(Err(Error::StillPending)) } else { Ready::Pending }
        })
        .await
    }

    /// Forgets the login that was written down, unless it is another one by now.
    async fn forget_parked(&self, id: &str) -> Result<(), Error> {
        let _hold = self.hold().await?;
        let stored = self.parts.store.get(&self.pending_key).await?;
        if stored.and_then(|bytes| Pending::from_bytes(&bytes)).is_some_and(|stored| stored.id == id) {
            self.parts.store.delete(&self.pending_key).await?;
        }
        Ok(())
    }

    /// Finds out who it was and keeps the grant. The tokens of an earlier one are forgotten, not revoked: some servers would
    /// take all logins of this person and client away with it.
    async fn adopt(&self, metadata: &Metadata, login: &DeviceLogin, tokens: TokenResponse) -> Result<Account, Error> {
        let now = self.parts.clock.now();
        let expected = Expected {
            client_id: &self.parts.client.id,
            subject: None,
            not_before: None,
            access_token: Some(&tokens.access_token),
            auth_req_id: None,
        };
        let claims = self.verifier().await?.verify_login(tokens.id_token.as_ref(), &expected, now).await?;
        let scopes = match tokens.scopes() {
            Some(scopes) => scopes.into_iter().map(str::to_owned).collect(),
            None => login.record.scopes.clone(),
        };
        let mut account = Account::new(claims, scopes, now, tokens.refresh_token.is_some());
        if account.name.is_none() && account.email.is_none() && metadata.userinfo_endpoint.is_some() {
            match userinfo::fetch(&self.caller(metadata), &tokens.access_token, &account.sub).await {
                Ok(info) => {
                    account.name = info.name;
                    account.email = info.email;
                    account.email_verified = info.email_verified;
                    account.preferred_username = info.preferred_username.or(account.preferred_username);
                }
                Err(error @ oauth::Error::Unusable { .. }) => return Err(error.into()),
                // A token for another API is not taken there. The names are a courtesy; `sub` is what counts.
                Err(error) => tracing::debug!(%error, "no userinfo"),
            }
        }
        let _hold = self.hold().await?;
        if let Err(stopped) = login.stop.unchanged() {
            // Nobody's login any more: it ends at the server, too, if that can be.
            if let Some(token) = &tokens.refresh_token {
                self.within(MOMENT, self.revoke(token)).await;
            }
            return Err(stopped.into());
        }
        self.forget_tokens();
        let id = Some(login.record.id.clone());
        self.memory().subject = Some(account.sub.clone());
        self.memory().login = Some(id.clone());
        self.keep(&Grant { account: account.clone(), refresh_token: tokens.refresh_token.clone(), login: id }).await?;
        self.keep_login_token(login.record.audience.clone(), login.record.resource.clone(), tokens).await?;
        Ok(account)
    }
}
