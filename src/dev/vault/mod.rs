//! The token vault: which accounts at third parties a person has connected, and the tokens that came of them.

pub(super) mod connect;
pub(super) mod exchange;
pub(super) mod manage;
mod my_account;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::Router;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use self::connect::Connecting;
use super::{
    people::{PEOPLE, Person},
    random,
    world::{Now, World},
};

/// How long a third party's token is good for.
pub(super) const TOKEN_S: u64 = 3600;

/// When the account that is there from the start was connected: 2026-01-05, 09:00 UTC.
const SEEDED_AT: i64 = 1_767_603_600;

/// A third party whose accounts can be connected. None of them is real.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) name: &'static str,
    pub(super) strategy: &'static str,
    /// What its pages call it.
    pub(super) title: &'static str,
    /// Its scopes, and what they allow, in words that follow "to".
    pub(super) scopes: &'static [(&'static str, &'static str)],
}

pub(super) static CONNECTIONS: [Connection; 2] = [
    Connection {
        name: "okta",
        strategy: "okta",
        title: "Oktopus Directory",
        scopes: &[
            ("okta.users.read", "see people and the groups they are in"),
            ("okta.groups.read", "see groups"),
            ("okta.users.manage", "reset passwords and deactivate people"),
            ("okta.groups.manage", "add people to groups"),
        ],
    },
    // Nothing here takes its tokens, so that a token of the wrong third party can be told from a right one.
    Connection {
        name: "calendar",
        strategy: "oauth2",
        title: "Gull Calendar",
        scopes: &[("calendar.read", "see your appointments")],
    },
];

impl Connection {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        CONNECTIONS.iter().find(|connection| connection.name == name)
    }

    pub(super) fn all_scopes(&self) -> Vec<String> {
        self.scopes.iter().map(|(scope, _)| (*scope).to_owned()).collect()
    }

    /// What a scope allows; none if this third party has no such scope.
    pub(super) fn meaning(&self, scope: &str) -> Option<&'static str> {
        self.scopes.iter().find(|(known, _)| *known == scope).map(|(_, meaning)| *meaning)
    }
}

/// An account that a person connected.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) person: &'static Person,
    pub(super) connection: &'static Connection,
    pub(super) scopes: Vec<String>,
    pub(super) created_at: DateTime<Utc>,
    /// The third party has forgotten the grant, and nobody here was told.
    pub(super) revoked: bool,
}

impl Account {
    /// Who the person is at the third party.
    pub(super) fn user_id(&self) -> &'static str {
        self.person.email
    }
}

/// A third party's access token.
#[derive(Clone, Debug)]
pub(super) struct Federated {
    pub(super) person: &'static Person,
    pub(super) connection: &'static Connection,
    pub(super) scopes: Vec<String>,
    expires_at: DateTime<Utc>,
}

/// What the vault remembers.
#[derive(Debug, Default)]
pub(super) struct Vault {
    pub(super) accounts: Vec<Account>,
    tokens: HashMap<String, Federated>,
    pub(super) connecting: Vec<Connecting>,
    /// Where the code stands in the address that a person is sent back to.
    pub(super) code_in_fragment: bool,
    last_id: u64,
}

impl Vault {
    /// As it is at the start: Ada is connected to the directory with every scope, nobody else to anything.
    pub(super) fn seeded() -> Self {
        let mut vault = Self::default();
        let directory = &CONNECTIONS[0];
        let at = DateTime::from_timestamp(SEEDED_AT, 0).unwrap_or_default();
        vault.connect(&PEOPLE[0], directory, directory.all_scopes(), at);
        vault
    }

    pub(super) fn account(&self, person: &Person, connection: &Connection) -> Option<&Account> {
        self.accounts.iter().find(|account| account.person == person && account.connection == connection)
    }

    /// Connects an account, in the place of the one that was there.
    pub(super) fn connect(
        &mut self,
        person: &'static Person,
        connection: &'static Connection,
        scopes: Vec<String>,
        at: DateTime<Utc>,
    ) -> Account {
        self.last_id += 1;
        let id = format!("cac_{}", self.last_id);
        let account = Account { id, person, connection, scopes, created_at: at, revoked: false };
        self.accounts.retain(|known| known.person != person || known.connection != connection);
        self.accounts.push(account.clone());
        account
    }

    /// The third party forgets its grant: what it handed out dies, and the vault will be refused.
    pub(super) fn revoke(&mut self, person: &Person, connection: &Connection) -> bool {
        let fits = |account: &&mut Account| account.person == person && account.connection == connection;
        let Some(account) = self.accounts.iter_mut().find(fits) else { return false };
        account.revoked = true;
        self.tokens.retain(|_, token| token.person != person || token.connection != connection);
        true
    }

    /// A fresh token of the third party for this account; none if the third party refuses.
    fn issue(&mut self, now: Now, account: &Account, scopes: &[String]) -> Option<String> {
        let token = Federated {
            person: account.person,
            connection: account.connection,
            scopes: scopes.to_vec(),
            expires_at: now.wall + Duration::from_secs(TOKEN_S),
        };
        (!account.revoked).then(|| {
            let text = random::token();
            self.tokens.insert(text.clone(), token);
            text
        })
    }

    /// What a token of this third party is good for, while it lives.
    pub(super) fn token(&self, text: &str, connection: &str, now: Now) -> Option<&Federated> {
        self.tokens.get(text).filter(|token| token.connection.name == connection && token.expires_at > now.wall)
    }
}

/// A connection as the APIs show it.
fn connection_json(connection: &Connection) -> Value {
    json!({"name": connection.name, "strategy": connection.strategy, "scopes": connection.all_scopes()})
}

pub(super) fn router() -> Router<Arc<World>> {
    my_account::router()
}
