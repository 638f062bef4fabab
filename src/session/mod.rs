//! Who is logged in, and fresh access tokens for them.
//!
//! A session is one grant: an issuer, a client and an account. Its refresh token lives in the credential store and is used
//! by one process at a time: whoever refreshes takes the grant's lock, looks again, asks once, and writes the new refresh
//! token down before anybody sees the new access token. Many servers take the whole login away when an old refresh token
//! comes twice.

mod login;
mod record;
mod refresh;
pub mod vault;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::OnceCell;

use self::record::Grant;
pub use self::{
    login::{DeviceLogin, Extra, LoginId},
    record::Account,
    refresh::{Granted, Wanted},
};
use crate::{
    clock::SharedClock,
    http::{self, Http},
    oauth::{self, Caller, Client, Metadata, Provider, id_token::Verifier, revoke},
    secret::RefreshToken,
    store::{
        credentials::{self, Hold, Key, Store},
        stop::{self, Stop},
        tokens::TokenCache,
    },
};

/// How long to wait for another process that refreshes: longer than one request may take.
const LOCK_LIMIT: Duration = Duration::from_secs(60);
/// How long the server may take to revoke a login that is over here in any case.
const REVOKE_LIMIT: Duration = Duration::from_secs(10);

/// What a session is made of.
#[derive(Clone, Debug)]
pub struct SessionParts {
    /// The way to the server.
    pub http: Http,
    /// The time.
    pub clock: SharedClock,
    /// Where the grant is kept.
    pub store: Arc<Store>,
    /// What discovery does not say.
    pub provider: Provider,
    /// The issuer, to the letter.
    pub issuer: String,
    /// The client that logs people in.
    pub client: Client,
    /// Which of several logins with this issuer and client: the profile's name.
    pub account: String,
    /// For which API tokens are wanted unless somebody asks for another.
    pub audience: Option<String>,
    /// The same for servers that go by resource (RFC 8707).
    pub resource: Option<String>,
    /// What a login asks for.
    pub scopes: Vec<String>,
    /// Where sealed access tokens are kept.
    pub state_dir: PathBuf,
    /// Whether everything was stopped since this process began.
    pub stop: Stop,
}

/// One grant. Building it does no work.
#[derive(Debug)]
pub struct Session {
    parts: SessionParts,
    key: Key,
    pending_key: Key,
    cache: TokenCache,
    metadata: OnceCell<Metadata>,
    verifier: OnceCell<Verifier>,
    memory: Mutex<Memory>,
}

/// What only this process knows.
#[derive(Debug, Default)]
struct Memory {
    tokens: HashMap<String, Granted>,
    /// Whom this process acts for: who was logged in when it first looked.
    subject: Option<String>,
    /// The login that it acts under, by its id: the one that there was then.
    login: Option<Option<String>>,
    /// A grant that the store did not take. It is newer than the store's.
    unkept: Option<Grant>,
}

/// Why there is no login or no token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is logged in.
    #[error("not logged in")]
    NotLoggedIn,
    /// The server no longer accepts the login.
    #[error("the login has ended: {why}")]
    LoginEnded {
        /// How that is known.
        why: String,
    },
    /// The person said no to the login.
    #[error("the login was denied")]
    Denied,
    /// Nobody finished the login in time.
    #[error("the login was not finished in time")]
    Expired,
    /// The login may have been finished, but the answer was lost on the way.
    #[error("the server's answer to the finished login was lost on the way")]
    Lost,
    /// The login is still open.
    #[error("the login is not finished yet")]
    StillPending,
    /// No login waits to be finished, or not the one that was named.
    #[error("no such login waits to be finished")]
    NoPendingLogin,
    /// The server granted less than was asked for.
    #[error("the server did not grant {missing}")]
    NotGranted {
        /// The missing scopes.
        missing: String,
    },
    /// A refresh brought a token about somebody else.
    #[error("the server answered with somebody else's token")]
    SomebodyElse,
    /// This process began to act for another person than the one who is logged in now.
    #[error("somebody else has logged in here since this command began")]
    Changed,
    /// The same person has logged in again.
    #[error("the login under which this was begun has ended, and nothing is done under another one")]
    OtherLogin,
    /// What the store holds is not a grant.
    #[error("the stored login is damaged")]
    Damaged,
    /// The server issued a new refresh token and it could not be kept: unless it is, this login ends with this process.
    #[error("the renewed login could not be kept: {0}")]
    NotKept(#[source] credentials::Error),
    /// Everything was stopped meanwhile.
    #[error(transparent)]
    Stopped(#[from] stop::Error),
    /// The credential store.
    #[error(transparent)]
    Store(#[from] credentials::Error),
    /// The server.
    #[error(transparent)]
    OAuth(#[from] oauth::Error),
}

impl Error {
    /// Whether only a new login helps.
    #[must_use]
    pub fn login_needed(&self) -> bool {
        matches!(self, Self::NotLoggedIn | Self::LoginEnded { .. } | Self::Damaged | Self::Changed)
    }
}

/// What a logout did.
#[derive(Debug)]
pub struct LogoutReport {
    /// Who was logged in; none if nobody was, or the stored login was damaged.
    pub account: Option<Account>,
    /// What happened at the server.
    pub revoked: Revoked,
}

/// What happened to the grant at the server.
#[derive(Debug)]
pub enum Revoked {
    /// It is revoked.
    Done,
    /// There was no refresh token.
    Nothing,
    /// It could not be revoked, and lives at the server until it expires.
    Failed(oauth::Error),
}

impl Session {
    /// A session.
    #[must_use]
    pub fn new(parts: SessionParts) -> Self {
        let key = Key::grant(&parts.issuer, &parts.client.id, &parts.account);
        let pending_key = Key::new("login", &[&parts.issuer, &parts.client.id, &parts.account]);
        let cache = TokenCache::new(&parts.state_dir, key.as_str());
        Self {
            parts,
            key,
            pending_key,
            cache,
            metadata: OnceCell::new(),
            verifier: OnceCell::new(),
            memory: Mutex::default(),
        }
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.parts.issuer
    }

    /// The client that logs people in.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.parts.client.id
    }

    /// What discovery says, asked once per process.
    ///
    /// # Errors
    /// If it cannot be had.
    pub async fn metadata(&self) -> Result<&Metadata, Error> {
        Ok(self.discovered().await?)
    }

    async fn discovered(&self) -> Result<&Metadata, oauth::Error> {
        let discover = || Metadata::discover(&self.parts.http, &self.parts.issuer, self.parts.provider);
        self.metadata.get_or_try_init(discover).await
    }

    /// What verifies the issuer's ID tokens.
    ///
    /// # Errors
    /// If discovery fails.
    pub async fn verifier(&self) -> Result<&Verifier, Error> {
        let make = async || {
            Ok::<_, Error>(Verifier::new(self.parts.http.clone(), self.parts.clock.clone(), self.metadata().await?))
        };
        self.verifier.get_or_try_init(make).await
    }

    /// Who is logged in, without asking the server.
    ///
    /// # Errors
    /// If the store cannot be used or its value is damaged.
    pub async fn account(&self) -> Result<Option<Account>, Error> {
        Ok(self.grant().await?.map(|grant| grant.account))
    }

    /// The id of the login that this process acts under; none for one that an earlier version made. It is no secret.
    ///
    /// # Errors
    /// If nobody is logged in, or that cannot be known.
    pub async fn login(&self) -> Result<Option<String>, Error> {
        let known = self.memory().login.clone();
        match known {
            Some(login) => Ok(login),
            None => Ok(self.grant().await?.ok_or(Error::NotLoggedIn)?.login),
        }
    }

    /// The person has said something anew: what is done because of it is done under the login that there is now. For whom
    /// this process acts stays as it was.
    pub fn begin_anew(&self) {
        let mut memory = self.memory();
        // One that the store did not take is newer than whatever lies there.
        if memory.unkept.is_none() {
            memory.login = None;
        }
    }

    /// Whether the login that this process acts under is there still, as the store says now: any process may have ended it,
    /// and another login, of the same person even, is not this one. What else this process remembers does not count.
    ///
    /// # Errors
    /// If it is not, or that cannot be known.
    pub async fn still(&self) -> Result<(), Error> {
        let bytes = self.parts.store.get(&self.key).await?.ok_or(Error::NotLoggedIn)?;
        let now = Grant::from_bytes(&bytes).ok_or(Error::Damaged)?;
        let memory = self.memory();
        if memory.subject.as_ref() != Some(&now.account.sub) {
            return Err(Error::Changed);
        }
        if memory.login.as_ref() != Some(&now.login) {
            return Err(Error::OtherLogin);
        }
        Ok(())
    }

    /// Revokes the grant at the server and forgets it here, in this order; if the server cannot be reached or refuses, it is
    /// forgotten all the same, and the report says so. The server has ten seconds for it. With a `limit` neither it nor another
    /// process that holds the grant is waited for any longer than that.
    ///
    /// # Errors
    /// If the store cannot be used: then the grant is still here.
    pub async fn logout(&self, limit: Option<Duration>) -> Result<LogoutReport, Error> {
        let _hold = match limit {
            None => Some(self.hold().await?),
            // Only after a stop: whoever holds it keeps nothing any more.
            Some(limit) => self.within(limit, self.hold()).await.transpose()?,
        };
        let grant = match self.grant().await {
            Err(Error::Damaged) => None,
            other => other?,
        };
        let revoked = match grant.as_ref().and_then(|grant| grant.refresh_token.as_ref()) {
            None => Revoked::Nothing,
            Some(token) => {
                let late = || http::Error::Timeout { origin: self.parts.issuer.clone() };
                let revoked = self.within(limit.unwrap_or(REVOKE_LIMIT), self.revoke(token)).await;
                revoked.unwrap_or_else(|| Revoked::Failed(late().into()))
            }
        };
        self.forget_tokens();
        self.memory().unkept = None;
        self.memory().subject = None;
        self.memory().login = None;
        self.parts.store.delete(&self.key).await?;
        self.parts.store.delete(&self.pending_key).await?;
        Ok(LogoutReport { account: grant.map(|grant| grant.account), revoked })
    }

    async fn revoke(&self, token: &RefreshToken) -> Revoked {
        let revoking = async {
            let metadata = self.discovered().await?;
            revoke::refresh_token(&self.caller(metadata), token).await
        };
        revoking.await.map_or_else(Revoked::Failed, |()| Revoked::Done)
    }

    /// Nothing, if it takes longer.
    async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.parts.clock.sleep(limit) => None,
        }
    }

    fn caller<'a>(&'a self, metadata: &'a Metadata) -> Caller<'a> {
        Caller { http: &self.parts.http, clock: &*self.parts.clock, metadata, client: &self.parts.client }
    }

    /// The grant, as newly as it is known.
    async fn grant(&self) -> Result<Option<Grant>, Error> {
        if let Some(grant) = self.memory().unkept.clone() {
            return Ok(Some(grant));
        }
        let bytes = self.parts.store.get(&self.key).await?;
        let grant = bytes.map(|bytes| Grant::from_bytes(&bytes).ok_or(Error::Damaged)).transpose()?;
        if let Some(grant) = &grant {
            // What is asked, done and logged under one person's name must not go on under another's.
            let mut memory = self.memory();
            if memory.subject.get_or_insert_with(|| grant.account.sub.clone()) != &grant.account.sub {
                return Err(Error::Changed);
            }
            memory.login.get_or_insert_with(|| grant.login.clone());
        }
        Ok(grant)
    }

    /// The grant's lock, across all processes of this person.
    async fn hold(&self) -> Result<Hold, Error> {
        Ok(self.parts.store.lock(&self.key, &*self.parts.clock, LOCK_LIMIT).await?)
    }

    /// Writes a grant down whose refresh token was renewed, unless its login was ended meanwhile: a stop does not wait
    /// for whoever holds the lock. The caller holds it.
    async fn keep_renewed(&self, grant: &Grant) -> Result<(), Error> {
        // A store that cannot be read may take it all the same, and if not, it is kept in memory.
        if let Ok(stored) = self.parts.store.get(&self.key).await {
            let stored = stored.and_then(|bytes| Grant::from_bytes(&bytes));
            if stored.as_ref().map(|stored| &stored.login) != Some(&grant.login) {
                // Where it was ended by a stop, that is said.
                self.parts.stop.unchanged().map_err(Error::Stopped)?;
                return Err(if stored.is_some() { Error::OtherLogin } else { Error::NotLoggedIn });
            }
        }
        self.keep(grant).await
    }

    /// Writes the grant down, unless everything was stopped meanwhile: what was deleted then is not brought back. The caller
    /// holds the lock.
    async fn keep(&self, grant: &Grant) -> Result<(), Error> {
        self.parts.stop.unchanged()?;
        const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];
        let bytes = grant.to_bytes();
        let mut kept = self.parts.store.set(&self.key, &bytes).await;
        for pause in PAUSES {
            let Err(error) = &kept else { break };
            tracing::warn!(%error, "the login could not be kept, trying again");
            self.parts.clock.sleep(pause).await;
            kept = self.parts.store.set(&self.key, &bytes).await;
        }
        // What the store did not take stays in memory: this process can go on, and try again with the next refresh.
        self.memory().unkept = kept.is_err().then(|| grant.clone());
        kept.map_err(Error::NotKept)
    }

    fn forget_tokens(&self) {
        self.memory().tokens.clear();
        self.cache.clear();
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
