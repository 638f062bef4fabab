//! The phone without a page: for a program that holds the tenant and the client in one process.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::{
    details::{self, Shown},
    people::PEOPLE,
    world::{NoAnswer, Twist, World},
};

/// What the phone of the tenant's people can do.
pub struct Phone {
    world: Arc<World>,
    shown: HashSet<String>,
}

/// One push, as a phone shows it.
#[derive(Clone, Debug)]
pub struct Push {
    /// The tenant's name of it, for [`Phone::approve`] and [`Phone::deny`].
    pub id: String,
    /// Who is asked.
    pub person: String,
    /// Who asks.
    pub client: String,
    /// The short message that stands on both devices.
    pub binding_message: Option<String>,
    /// What would be allowed, in full and with everything visible.
    pub details: Vec<Shown>,
    /// The scopes that would be granted.
    pub scopes: Vec<String>,
    /// How long it can still be answered.
    pub left: Duration,
}

/// It was answered before, its time is over, or there never was one.
#[derive(Debug, thiserror::Error)]
#[error("answer '{0}': nothing of that name waits")]
pub struct NothingWaits(String);

impl Phone {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, shown: HashSet::new() }
    }

    /// The next push that this phone has not shown yet; waits for one.
    pub async fn next_push(&mut self) -> Push {
        let world = Arc::clone(&self.world);
        loop {
            let changed = world.changed.notified();
            tokio::pin!(changed);
            // Listening begins before looking, so that nothing falls between.
            changed.as_mut().enable();
            if let Some(push) = self.look() {
                return push;
            }
            changed.await;
        }
    }

    /// Says yes.
    pub fn approve(&self, id: &str) -> Result<(), NothingWaits> {
        self.done(id, self.world.with(|state, now| state.answer_approval(id, now, Some(Twist::default()))))
    }

    /// Says no.
    pub fn deny(&self, id: &str) -> Result<(), NothingWaits> {
        self.done(id, self.world.with(|state, now| state.answer_approval(id, now, None)))
    }

    /// Ada Lovelace logs in with this user code and allows what is asked.
    pub fn approve_login(&self, user_code: &str) -> Result<(), NothingWaits> {
        self.done(user_code, self.world.with(|state, now| state.answer_login(user_code, now, Some(&PEOPLE[0]))))
    }

    fn look(&mut self) -> Option<Push> {
        let shown = &mut self.shown;
        self.world.with(|state, now| {
            let mut open = state.approvals.iter().filter(|approval| approval.wait.is_open(now.elapsed));
            let approval = open.find(|approval| !shown.contains(&approval.id))?;
            shown.insert(approval.id.clone());
            let client = state.client(&approval.client_id).map(|client| client.name.clone());
            Some(Push {
                id: approval.id.clone(),
                person: approval.person.name.to_owned(),
                client: client.unwrap_or_else(|| approval.client_id.clone()),
                binding_message: approval.binding_message.clone(),
                details: details::shown(approval.details.as_ref()),
                scopes: approval.scopes.clone(),
                left: approval.wait.expires.saturating_sub(now.elapsed),
            })
        })
    }

    fn done(&self, which: &str, result: Result<String, NoAnswer>) -> Result<(), NothingWaits> {
        self.world.changed.notify_waiters();
        result.map(drop).map_err(|_| NothingWaits(which.to_owned()))
    }
}

impl std::fmt::Debug for Phone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Phone").field("shown", &self.shown).finish_non_exhaustive()
    }
}
