//! How long a person's answer is waited for, and what happens to an approval that nobody waits for any more.

use std::{cell::Cell, future::Future, rc::Rc, time::Duration};

use tokio::sync::Notify;

use crate::clock::Clock;

/// What is done about a call that needs an approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnApproval {
    /// The person is asked and waited for.
    #[default]
    Wait,
    /// The person is asked; the answer is for `resume`.
    Detach,
    /// Nobody is asked: the call is refused.
    Deny,
}

/// Ends every wait of a run without ending the approvals: whoever holds a copy may end it.
#[derive(Clone, Debug, Default)]
pub struct Patience(Rc<State>);

#[derive(Debug, Default)]
struct State {
    on_approval: Cell<OnApproval>,
    over: Cell<bool>,
    handed_over: Cell<bool>,
    changed: Notify,
}

impl Patience {
    /// What is done from now on.
    pub fn set(&self, on_approval: OnApproval) {
        self.0.on_approval.set(on_approval);
    }

    /// What is done.
    #[must_use]
    pub fn on_approval(&self) -> OnApproval {
        self.0.on_approval.get()
    }

    /// Nobody waits any more: what is pending stays so.
    pub fn end(&self) {
        self.0.over.set(true);
        self.0.changed.notify_waiters();
    }

    /// The same, and a request that is under way is left to others. Somebody waits again when what is returned is dropped.
    #[must_use]
    pub fn hand_over(&self) -> HandedOver {
        self.0.handed_over.set(true);
        self.end();
        HandedOver(self.clone())
    }

    /// Whether somebody stopped waiting.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.over.get()
    }

    /// Completes when somebody stops waiting.
    pub(super) async fn ended(&self) {
        if !self.is_over() {
            self.0.changed.notified().await;
        }
    }

    /// Does `work`, unless nobody waits for it: then it is dropped.
    pub(super) async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        if self.is_over() || self.on_approval() != OnApproval::Wait {
            return None;
        }
        tokio::select! {
            biased;
            () = self.ended() => None,
            result = work => Some(result),
        }
    }

    /// Does `work`, unless it is left to others: then it is dropped.
    pub(super) async fn unless_handed_over<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let handed_over = async {
            while !self.0.handed_over.get() {
                self.0.changed.notified().await;
            }
        };
        tokio::select! {
            biased;
            () = handed_over => None,
            result = work => Some(result),
        }
    }

    /// Sleeps; false if nobody waits any more.
    pub(super) async fn sleep(&self, clock: &dyn Clock, time: Duration) -> bool {
        self.or(clock.sleep(time)).await.is_some()
    }
}

/// As long as it lives, nobody waits.
#[derive(Debug)]
pub struct HandedOver(Patience);

impl Drop for HandedOver {
    fn drop(&mut self) {
        self.0.0.handed_over.set(false);
        self.0.0.over.set(false);
    }
}
