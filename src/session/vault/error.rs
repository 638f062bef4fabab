//! Why there is no token of a third-party account, and who can mend that.

use std::fmt;

use crate::{
    oauth::{
        self,
        exchange::{Exchange, Meaning, meaning},
    },
    session,
};

/// Why there is no token of a third-party account. Every text ends in what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No client may exchange.
    #[error("no vault client is configured; set AGENTCTL_VAULT_CLIENT_ID")]
    NoClient,
    /// Token Vault is for clients that prove themselves.
    #[error(
        "the vault client {client} has no credential here, and Token Vault wants one; run `agentctl config client-key vault`"
    )]
    PublicClient {
        /// Which.
        client: String,
    },
    /// Nobody said for which API the access token must be that is shown.
    #[error("the API of the vault client is not configured; set AGENTCTL_VAULT_AUDIENCE to its identifier")]
    NoAudience,
    /// A refresh token cannot be shown by another client than the one that got it.
    #[error(
        "the vault client {client} cannot show the login's refresh token, which is another client's; set \
         AGENTCTL_VAULT_SUBJECT=access_token"
    )]
    OthersRefreshToken {
        /// The vault's client.
        client: String,
    },
    /// The person has no such account connected.
    #[error("no account of {:?} is connected; {}", .0.connection, .0)]
    NotConnected(Way),
    /// The third party takes no more tokens for it.
    #[error("the connected account of {:?} has ended at the third party; {}", .0.connection, .0)]
    Revoked(Way),
    /// The account was connected with less than is needed.
    #[error("the connected account of {:?} lacks {}; {}", way.connection, missing.join(" "), way)]
    ScopesMissing {
        /// What it lacks.
        missing: Vec<String>,
        /// What to do.
        way: Way,
    },
    /// There is no such connection, or the person has no account of it connected: the standard has one error for both.
    #[error("the server gives no token for {:?} ({error}): it knows none, or no account of it is connected; {way}", way.connection)]
    NoTarget {
        /// What the server said.
        error: oauth::Error,
        /// What to do.
        way: Way,
    },
    /// The account, or the client, may not have these scopes.
    #[error("the server gives no token for {:?} with {} ({error}); {way}", way.connection, scopes.join(" "))]
    ScopesRefused {
        /// What was asked for.
        scopes: Vec<String>,
        /// What the server said.
        error: oauth::Error,
        /// What to do.
        way: Way,
    },
    /// The server no longer takes what is shown for the person.
    #[error("the server does not take this login for an exchange ({0}); run `agentctl login`")]
    SubjectRefused(oauth::Error),
    /// The server wants the person to prove themselves again.
    #[error("the server wants you to prove yourself again before it gives such a token ({0}); run `agentctl login`")]
    FreshAuthentication(oauth::Error),
    /// The tenant asks for a second factor where nobody can give one.
    #[error(
        "the server asks for a second factor in the exchange, where nobody can give one ({0}); at Auth0 the tenant's \
         policy for multi-factor authentication must not be Always"
    )]
    SecondFactor(oauth::Error),
    /// The server does not let the client do it.
    #[error(
        "the server does not let the vault client exchange tokens ({0}); check its grants and connections at the server, \
         AGENTCTL_VAULT_CLIENT_ID, and its secret or key (`agentctl config client-key vault`)"
    )]
    ClientRefused(oauth::Error),
    /// It may work later.
    #[error("the exchange failed for now ({0}); try again later")]
    Transient(oauth::Error),
    /// Anything else.
    #[error("the exchange failed ({0}); `agentctl doctor` looks at the set-up")]
    Failed(oauth::Error),
    /// The tenant's API about connected accounts.
    #[error("the tenant's API about connected accounts failed ({0}); docs/connections.md lists what it needs")]
    MyAccount(oauth::Error),
    /// The login session.
    #[error(transparent)]
    Session(#[from] session::Error),
}

/// How an account is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The connection's name.
    pub connection: String,
    /// Whether the server lets this program do it.
    pub api: bool,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.api {
            true => write!(f, "run `agentctl connections connect {}`", self.connection),
            false => f.write_str("connect it on the server's own pages about your account"),
        }
    }
}

impl Error {
    /// A refused exchange, read.
    pub(super) fn refused(kind: Exchange, error: oauth::Error, way: Way, scopes: &[String]) -> Self {
        match meaning(kind, &error) {
            Meaning::NotConnected => Self::NotConnected(way),
            Meaning::Revoked => Self::Revoked(way),
            Meaning::NoTarget => Self::NoTarget { error, way },
            Meaning::ScopesRefused => Self::ScopesRefused { scopes: scopes.to_vec(), error, way },
            Meaning::SubjectRefused => Self::SubjectRefused(error),
            Meaning::FreshAuthentication => Self::FreshAuthentication(error),
            Meaning::SecondFactor => Self::SecondFactor(error),
            Meaning::ClientRefused => Self::ClientRefused(error),
            Meaning::Transient => Self::Transient(error),
            Meaning::Other => Self::Failed(error),
        }
    }

    /// Whether an account must be connected, or connected again.
    #[must_use]
    pub fn connection_needed(&self) -> bool {
        let account = matches!(self, Self::NotConnected(_) | Self::Revoked(_) | Self::NoTarget { .. });
        account || matches!(self, Self::ScopesMissing { .. } | Self::ScopesRefused { .. })
    }

    /// Whether only a new login helps.
    #[must_use]
    pub fn login_needed(&self) -> bool {
        match self {
            Self::SubjectRefused(_) | Self::FreshAuthentication(_) => true,
            Self::Session(error) => error.login_needed(),
            _ => false,
        }
    }
}
