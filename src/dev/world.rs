//! The state of the tenant, behind one lock, and its time: the given clock plus what the management port added.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::Notify;

use super::{
    clients::Client,
    directory::Directory,
    faults::Fault,
    fga::Fga,
    history::History,
    keys::Keys,
    model::Model,
    pages::Browser,
    people::{PEOPLE, Person},
    preset::{Paths, Preset},
    records::{Answered, Approval, Family, Issued, Login, Yes},
    shop::Shop,
    vault::Vault,
    wait::Verdict,
};
use crate::{clock::SharedClock, secret::ApiKey};

/// Everything the endpoints share.
pub(super) struct World {
    pub(super) clock: SharedClock,
    pub(super) preset: Preset,
    /// Such as `http://127.0.0.1:41234`.
    pub(super) origin: String,
    pub(super) issuer: String,
    pub(super) interval: Duration,
    pub(super) leeway: Duration,
    pub(super) unsafe_listen: bool,
    pub(super) keys: Keys,
    pub(super) model: Arc<Model>,
    pub(super) script: Option<Value>,
    pub(super) secrets: Secrets,
    pub(super) changed: Notify,
    state: Mutex<State>,
}

/// What the ready line hands out.
pub(super) struct Secrets {
    /// Part of the phone page's address.
    pub(super) phone: String,
    /// What the forms on the phone page must carry.
    pub(super) phone_csrf: String,
    pub(super) manage_token: String,
    pub(super) model_key: ApiKey,
    /// What the permission store wants as Bearer token.
    pub(super) fga_token: ApiKey,
}

/// This moment, on both of the tenant's clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) elapsed: Duration,
    pub(super) wall: DateTime<Utc>,
}

/// What changes.
pub(super) struct State {
    pub(super) offset: Duration,
    pub(super) clients: Vec<Client>,
    pub(super) logins: Vec<Login>,
    pub(super) approvals: Vec<Approval>,
    pub(super) families: Vec<Family>,
    /// Access tokens by their text.
    pub(super) issued: HashMap<String, Issued>,
    /// Until when (wall clock, seconds) a client assertion's `jti` is taken.
    pub(super) assertions: HashMap<(String, String), i64>,
    pub(super) browsers: HashMap<String, Browser>,
    pub(super) shop: Shop,
    pub(super) fga: Fga,
    pub(super) vault: Vault,
    pub(super) directory: Directory,
    pub(super) history: History,
    pub(super) faults: Vec<Fault>,
    pub(super) auto: Auto,
    last_id: u64,
}

/// How the tenant's people answer by themselves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Auto {
    pub(super) logins: Option<bool>,
    pub(super) approvals: Option<bool>,
    pub(super) after: Duration,
    pub(super) since: Duration,
}

/// Why an answer could not be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// There is none of that name.
    Unknown,
    /// It was answered before, or its time is over.
    NotOpen,
}

/// What the management port may change about a yes, to see whether the client looks.
#[derive(Debug, Default)]
pub(super) struct Twist {
    pub(super) person: Option<&'static Person>,
    pub(super) details: Option<Value>,
    pub(super) scopes: Option<Vec<String>>,
}

impl State {
    pub(super) fn new(clients: Vec<Client>, fga: Fga) -> Self {
        Self {
            offset: Duration::ZERO,
            clients,
            logins: Vec::new(),
            approvals: Vec::new(),
            families: Vec::new(),
            issued: HashMap::new(),
            assertions: HashMap::new(),
            browsers: HashMap::new(),
            shop: Shop::default(),
            fga,
            vault: Vault::seeded(),
            directory: Directory::new(),
            history: History::default(),
            faults: Vec::new(),
            auto: Auto::default(),
            last_id: 0,
        }
    }

    /// A number that no other record has.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }

    /// Answers a login that waits: by its user code, its id, or the latest one. `None` is a no.
    pub(super) fn answer_login(
        &mut self,
        which: &str,
        now: Now,
        person: Option<&'static Person>,
    ) -> Result<String, NoAnswer> {
        let code = normal_user_code(which);
        let latest = which == "latest";
        let found = self.logins.iter_mut().rev().find(|login| {
            if latest {
                login.wait.is_open(now.elapsed)
            } else {
                login.id == which || normal_user_code(&login.user_code) == code
            }
        });
        let login = found.ok_or(NoAnswer::Unknown)?;
        if !login.wait.is_open(now.elapsed) {
            return Err(NoAnswer::NotOpen);
        }
        login.wait.verdict = match person {
            Some(person) => {
                Verdict::Approved(Yes { person, at: now.wall, scopes: login.scopes.clone(), details: None })
            }
            None => Verdict::Denied,
        };
        login.answered = Some(Answered { approved: person.is_some(), at: now.wall });
        Ok(login.id.clone())
    }

    /// Answers a push that waits: by its id, or the latest one. `None` is a no.
    pub(super) fn answer_approval(&mut self, which: &str, now: Now, yes: Option<Twist>) -> Result<String, NoAnswer> {
        let approval = self.open_approval(which, now)?;
        approval.answered = Some(Answered { approved: yes.is_some(), at: now.wall });
        approval.wait.verdict = match yes {
            Some(twist) => Verdict::Approved(Yes {
                person: twist.person.unwrap_or(approval.person),
                at: now.wall,
                scopes: twist.scopes.unwrap_or_else(|| approval.scopes.clone()),
                details: twist.details.or_else(|| approval.details.clone()),
            }),
            None => Verdict::Denied,
        };
        Ok(approval.id.clone())
    }

    /// Ends the time of a push.
    pub(super) fn expire_approval(&mut self, which: &str, now: Now) -> Result<String, NoAnswer> {
        let approval = self.open_approval(which, now)?;
        approval.wait.expires = now.elapsed;
        approval.expires_at = now.wall;
        Ok(approval.id.clone())
    }

    fn open_approval(&mut self, which: &str, now: Now) -> Result<&mut Approval, NoAnswer> {
        let latest = which == "latest";
        let found = self
            .approvals
            .iter_mut()
            .rev()
            .find(|approval| if latest { approval.wait.is_open(now.elapsed) } else { approval.id == which });
        let approval = found.ok_or(NoAnswer::Unknown)?;
        if approval.wait.is_open(now.elapsed) { Ok(approval) } else { Err(NoAnswer::NotOpen) }
    }

    /// Ends a family of refresh tokens and the access tokens that came with it.
    pub(super) fn kill_family(&mut self, id: u64) {
        for family in self.families.iter_mut().filter(|family| family.id == id) {
            family.alive = false;
        }
        for token in self.issued.values_mut().filter(|token| token.family == Some(id)) {
            token.revoked = true;
        }
    }

    /// Gives the answers that are due by themselves.
    fn settle(&mut self, now: Now) {
        let auto = self.auto;
        let due = |created: Duration| created.max(auto.since) + auto.after <= now.elapsed;
        if let Some(yes) = auto.logins {
            let open: Vec<String> = self.logins.iter().filter(|l| due(l.created)).map(|l| l.id.clone()).collect();
            for id in open {
                // Those that were answered before refuse, which is right.
                let _ = self.answer_login(&id, now, yes.then_some(&PEOPLE[0]));
            }
        }
        if let Some(yes) = auto.approvals {
            let open: Vec<String> = self.approvals.iter().filter(|a| due(a.created)).map(|a| a.id.clone()).collect();
            for id in open {
                let _ = self.answer_approval(&id, now, yes.then(Twist::default));
            }
        }
    }

    /// Forgets everything but the clients and the time; permission store, accounts and directory are as at the start.
    pub(super) fn reset(&mut self) {
        let fresh = Self::new(std::mem::take(&mut self.clients), self.fga.anew());
        *self = Self { offset: self.offset, last_id: self.last_id, ..fresh };
    }
}

/// A user code as it is compared: people leave out the dash and mind no case (RFC 8628 §6.1).
pub(super) fn normal_user_code(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// What a world is made of.
pub(super) struct Parts {
    pub(super) clock: SharedClock,
    pub(super) preset: Preset,
    pub(super) origin: String,
    pub(super) interval_s: u64,
    pub(super) leeway_s: u64,
    pub(super) unsafe_listen: bool,
    pub(super) keys: Keys,
    pub(super) model: Arc<Model>,
    pub(super) script: Option<Value>,
    pub(super) secrets: Secrets,
    pub(super) clients: Vec<Client>,
    pub(super) fga: Fga,
}

impl World {
    pub(super) fn new(parts: Parts) -> Self {
        // Without an `interval` in its answers, the specifications' five seconds hold (RFC 8628 §3.2, CIBA Core §7.3).
        let interval_s = if parts.preset == Preset::Oidc { 5 } else { parts.interval_s };
        Self {
            issuer: format!("{}{}", parts.origin, parts.preset.paths().issuer),
            clock: parts.clock,
            preset: parts.preset,
            origin: parts.origin,
            interval: Duration::from_secs(interval_s),
            leeway: Duration::from_secs(parts.leeway_s),
            unsafe_listen: parts.unsafe_listen,
            keys: parts.keys,
            model: parts.model,
            script: parts.script,
            secrets: parts.secrets,
            changed: Notify::new(),
            state: Mutex::new(State::new(parts.clients, parts.fga)),
        }
    }

    /// Works on the state at one moment, after the answers that were due by then.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State, Now) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Now { elapsed: self.clock.elapsed() + state.offset, wall: self.clock.now() + state.offset };
        state.settle(now);
        work(&mut state, now)
    }

    pub(super) fn paths(&self) -> &'static Paths {
        self.preset.paths()
    }

    /// The full address of an endpoint.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The resource identifier of the shop (RFC 8707 §2), which is not its audience.
    pub(super) fn shop_resource(&self) -> String {
        self.url("/shop")
    }

    /// The identifier of the API that account changes are approved for (RFC 8707).
    pub(super) fn admin_resource(&self) -> String {
        self.url("/okta")
    }

    /// The resource identifier of the vault.
    pub(super) fn vault_resource(&self) -> String {
        self.url("/vault")
    }

    /// Where the phone page is.
    pub(super) fn phone_path(&self) -> String {
        format!("/phone/{}", self.secrets.phone)
    }
}
