//! Tokens of the person's third-party accounts, for a token of this session.
//!
//! The session logs people in; another client, which proves itself, exchanges. What is shown for the person is an access
//! token for that client's API with as little in it as the server gives, or the session's refresh token under the grant's
//! lock. Tokens of third parties are kept nowhere.

mod error;

#[cfg(test)]
mod tests;

pub use error::Error;

use std::rc::Rc;

use super::{Session, Wanted};
use crate::{
    clock::SharedClock,
    http::Http,
    oauth::{
        AuthMethod, Caller, Client, Provider,
        exchange::{self, Exchange, Exchanged},
        my_account::{self, Api, ConnectedAccount},
    },
    secret::{AccessToken, RefreshToken},
};

/// What is shown for the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An access token for the vault's API.
    AccessToken,
    /// The refresh token of the login: only where the vault's client is the login's, and the server does not rotate it.
    RefreshToken,
}

/// What a vault is made of.
#[derive(Clone, Debug)]
pub struct VaultParts {
    /// The way to the server.
    pub http: Http,
    /// The time.
    pub clock: SharedClock,
    /// Who is logged in.
    pub session: Rc<Session>,
    /// What discovery does not say.
    pub provider: Provider,
    /// The client that exchanges.
    pub client: Option<Client>,
    /// What it shows for the person.
    pub subject: Subject,
    /// The audience of the access token that it shows.
    pub audience: Option<String>,
    /// The same for servers that go by resource (RFC 8707).
    pub resource: Option<String>,
}

/// A token of a third-party account.
#[derive(Clone, Debug)]
pub struct VaultToken {
    /// For the third party's API.
    pub token: AccessToken,
    /// What it permits; none if the server did not say.
    pub scopes: Option<Vec<String>>,
}

/// Whether an account is connected, as far as that is known without an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connected {
    /// With all that is needed.
    Yes,
    /// None of this connection.
    No,
    /// Without these scopes.
    Without(Vec<String>),
    /// The server has no way to tell.
    Unknown,
}

/// Fetches tokens of third-party accounts, a new one for each call: what was disconnected a moment ago gives none. Building
/// it does no work.
#[derive(Debug)]
pub struct Vault {
    parts: VaultParts,
}

impl Vault {
    /// A vault.
    #[must_use]
    pub fn new(parts: VaultParts) -> Self {
        Self { parts }
    }

    /// A token of the person's account at this connection, with at least these scopes.
    ///
    /// # Errors
    /// If there is none to be had: [`Error`] says who can mend that.
    pub async fn token(&self, connection: &str, scopes: &[String]) -> Result<VaultToken, Error> {
        let client = self.ready()?;
        let exchanged = self.exchange(client, connection, scopes).await?;
        // Token Vault was asked for no scopes, so one that names none has granted none (RFC 8693 §2.2.1 has it otherwise
        // for those that were asked for).
        let unsaid = (self.parts.provider.exchange() == Exchange::TokenVault).then(Vec::new);
        let granted = exchanged.scopes.or(unsaid);
        let missing = missing(scopes, granted.as_deref());
        if !missing.is_empty() {
            return Err(Error::ScopesMissing { missing, way: self.way(connection) });
        }
        Ok(VaultToken { token: exchanged.token, scopes: granted })
    }

    /// Whether such an account is connected with these scopes. Asks no third party and fetches no token of one.
    ///
    /// # Errors
    /// If nobody is logged in, or the server does not say which accounts there are.
    pub async fn connected(&self, connection: &str, scopes: &[String]) -> Result<Connected, Error> {
        if !self.parts.provider.has_my_account() {
            return Ok(Connected::Unknown);
        }
        let now = self.parts.clock.now();
        let accounts = accounts(&self.parts.http, &self.parts.session, Some(connection)).await?;
        let live = accounts.into_iter().filter(|account| {
            account.connection == connection && account.expires_at.is_none_or(|expires_at| expires_at > now)
        });
        // Of several accounts the one that lacks the least counts; which of them an exchange takes is the server's choice.
        let least = live.map(|account| missing(scopes, Some(&account.scopes))).min_by_key(Vec::len);
        Ok(match least {
            None => Connected::No,
            Some(missing) if missing.is_empty() => Connected::Yes,
            Some(missing) => Connected::Without(missing),
        })
    }

    /// The client, if everything that an exchange needs is configured.
    ///
    /// # Errors
    /// What is missing, or does not go together.
    pub fn ready(&self) -> Result<&Client, Error> {
        let client = self.parts.client.as_ref().ok_or(Error::NoClient)?;
        if self.parts.provider.exchange() == Exchange::TokenVault {
            if client.method() == AuthMethod::None {
                return Err(Error::PublicClient { client: client.id.clone() });
            }
            if self.parts.subject == Subject::AccessToken && self.parts.audience.is_none() {
                return Err(Error::NoAudience);
            }
        }
        // A refresh token is for the client that got it. Another one that shows it looks like a thief.
        if self.parts.subject == Subject::RefreshToken && client.id != self.parts.session.parts.client.id {
            return Err(Error::OthersRefreshToken { client: client.id.clone() });
        }
        Ok(client)
    }

    async fn exchange(&self, client: &Client, connection: &str, scopes: &[String]) -> Result<Exchanged, Error> {
        let parts = &self.parts;
        let metadata = parts.session.metadata().await?;
        let caller = Caller { http: &parts.http, clock: &*parts.clock, metadata, client };
        let ask = async |subject: exchange::Subject<'_>| {
            let wanted = exchange::Request { subject, connection, login_hint: None, scopes };
            exchange::exchange(&caller, parts.provider, &wanted).await
        };
        let exchanged = match parts.subject {
            Subject::AccessToken => {
                let wanted = Wanted {
                    audience: parts.audience.clone(),
                    resource: parts.resource.clone(),
                    // As little as a server gives: the token says who the person is, and nothing else.
                    scopes: vec!["openid".to_owned()],
                };
                let granted = parts.session.access_token(&wanted).await?;
                ask(exchange::Subject::Access(&granted.token)).await
            }
            Subject::RefreshToken => {
                let show = async |token: &RefreshToken| ask(exchange::Subject::Refresh(token)).await;
                parts.session.with_refresh_token(show).await?
            }
        };
        exchanged.map_err(|error| Error::refused(parts.provider.exchange(), error, self.way(connection), scopes))
    }

    fn way(&self, connection: &str) -> error::Way {
        error::Way { connection: connection.to_owned(), api: self.parts.provider.has_my_account() }
    }
}

impl Session {
    /// Lends the refresh token under the grant's lock, so that nobody renews it meanwhile.
    async fn with_refresh_token<T>(&self, work: impl AsyncFnOnce(&RefreshToken) -> T) -> Result<T, super::Error> {
        let _hold = self.hold().await?;
        let grant = self.grant().await?.ok_or(super::Error::NotLoggedIn)?;
        let why = || super::Error::LoginEnded { why: "there is no refresh token".to_owned() };
        Ok(work(grant.refresh_token.as_ref().ok_or_else(why)?).await)
    }

    /// A token for the tenant's own API about connected accounts, with one of its scopes.
    ///
    /// # Errors
    /// As [`Session::access_token`].
    pub async fn my_account_token(&self, scope: &str) -> Result<AccessToken, super::Error> {
        let audience = Some(my_account::audience(self.issuer()));
        let wanted = Wanted { audience, resource: None, scopes: vec![scope.to_owned()] };
        Ok(self.access_token(&wanted).await?.token)
    }
}

/// The person's connected accounts, of one connection or of all.
async fn accounts(http: &Http, session: &Session, connection: Option<&str>) -> Result<Vec<ConnectedAccount>, Error> {
    let api = Api::new(http, session.issuer()).map_err(Error::MyAccount)?;
    let token = session.my_account_token(my_account::READ).await?;
    api.accounts(&token, connection).await.map_err(Error::MyAccount)
}

/// Which of these scopes were not granted. What the server does not say, the third party decides.
fn missing(wanted: &[String], granted: Option<&[String]>) -> Vec<String> {
    let Some(granted) = granted else { return Vec::new() };
    wanted.iter().filter(|scope| !granted.contains(scope)).cloned().collect()
}
