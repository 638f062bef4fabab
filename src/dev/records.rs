//! What the tenant remembers: logins and approvals that wait, and the grants that came of them.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{people::Person, scopes::Target, wait::Wait};

/// A person's yes, with what it was given to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Yes {
    pub(super) person: &'static Person,
    pub(super) at: DateTime<Utc>,
    pub(super) scopes: Vec<String>,
    pub(super) details: Option<Value>,
}

/// When and how a person answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) approved: bool,
    pub(super) at: DateTime<Utc>,
}

/// A device authorization (RFC 8628 §3.2).
#[derive(Debug)]
pub(super) struct Login {
    /// The tenant's own name of it; never the device code.
    pub(super) id: String,
    pub(super) client_id: String,
    pub(super) device_code: String,
    pub(super) user_code: String,
    pub(super) scopes: Vec<String>,
    pub(super) target: Option<Target>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) created: Duration,
    pub(super) wait: Wait<Yes>,
    pub(super) answered: Option<Answered>,
    /// The family its tokens started, for when somebody redeems the code twice.
    pub(super) family: Option<u64>,
}

/// A backchannel authentication request (CIBA Core §7.1).
#[derive(Debug)]
pub(super) struct Approval {
    /// The tenant's own name of it; never the `auth_req_id`.
    pub(super) id: String,
    pub(super) client_id: String,
    pub(super) auth_req_id: String,
    pub(super) person: &'static Person,
    pub(super) scopes: Vec<String>,
    pub(super) target: Option<Target>,
    pub(super) details: Option<Value>,
    pub(super) binding_message: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) created: Duration,
    pub(super) wait: Wait<Yes>,
    pub(super) answered: Option<Answered>,
}

/// All refresh tokens that came from one login (RFC 9700 §4.14.2).
#[derive(Debug)]
pub(super) struct Family {
    pub(super) id: u64,
    pub(super) client_id: String,
    pub(super) person: &'static Person,
    pub(super) scopes: Vec<String>,
    pub(super) target: Option<Target>,
    pub(super) auth_time: DateTime<Utc>,
    pub(super) current: String,
    /// The one before, and when it was replaced.
    pub(super) previous: Option<(String, Duration)>,
    /// All older ones.
    pub(super) spent: HashSet<String>,
    pub(super) alive: bool,
}

/// An access token that was handed out, for introspection and the userinfo endpoint. The shop knows nothing of this: it
/// judges by the token alone.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    pub(super) client_id: String,
    pub(super) person: &'static Person,
    pub(super) scopes: Vec<String>,
    pub(super) audience: Vec<String>,
    pub(super) issued_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) family: Option<u64>,
    /// A random string that only the tenant can read, not a JWT.
    pub(super) opaque: bool,
    pub(super) revoked: bool,
}

impl Login {
    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id, "user_code": self.user_code, "client_id": self.client_id, "scopes": self.scopes,
            "audience": self.target.map(Target::audience), "created_at": self.created_at, "expires_at": self.expires_at,
        })
    }
}

impl Approval {
    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id, "client_id": self.client_id, "person": self.person.key, "scopes": self.scopes,
            "audience": self.target.map(Target::audience), "binding_message": self.binding_message,
            "authorization_details": self.details, "created_at": self.created_at, "expires_at": self.expires_at,
        })
    }
}
