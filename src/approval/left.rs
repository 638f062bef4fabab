//! Waits that outlive whoever began them: a token request that is under way may bring the answer, and nobody can ask twice.

use std::{cell::RefCell, rc::Rc, time::Duration};

use futures::{
    FutureExt as _,
    future::{LocalBoxFuture, Shared},
};

use super::wait::Waiting;
use crate::{
    call::ApprovalId,
    clock::SharedClock,
    oauth::{Answer, Caller, ciba},
    store::journal::ApprovalState,
};

/// A token request, and when its answer came. Whoever reads the answer may be stopped before it is written down; the next
/// one reads it again.
pub(super) type UnderWay = Shared<LocalBoxFuture<'static, (Answer, Duration)>>;

/// The waits of this process that were left in the middle of a request. Whoever waits for one of them next goes on there.
#[derive(Clone, Debug, Default)]
pub struct Left(Rc<RefCell<Vec<Waiting>>>);

impl Left {
    /// Takes one up.
    pub(super) fn take(&self, id: &ApprovalId) -> Option<Waiting> {
        let mut left = self.0.borrow_mut();
        let at = left.iter().position(|waiting| waiting.id == *id)?;
        Some(left.swap_remove(at))
    }

    /// Keeps a wait, should it be dropped.
    pub(super) fn keeper(&self, waiting: Waiting) -> Keeper<'_> {
        Keeper { left: self, waiting: Some(waiting) }
    }
}

/// Holds a wait. Dropped in the middle of a request it leaves the wait to others.
#[derive(Debug)]
pub(super) struct Keeper<'a> {
    left: &'a Left,
    pub(super) waiting: Option<Waiting>,
}

impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        let under_way = |waiting: &Waiting| waiting.state() == Some(ApprovalState::Redeeming);
        self.left.0.borrow_mut().extend(self.waiting.take().filter(under_way));
    }
}

/// Begins a token request, which belongs to nobody.
pub(super) fn begin(caller: &Caller<'_>, clock: &SharedClock, waiting: &Waiting) -> UnderWay {
    let (http, metadata, client) = (caller.http.clone(), caller.metadata.clone(), caller.client.clone());
    let (auth_req_id, resource) = (waiting.auth_req_id.clone(), waiting.resource.clone());
    let clock = clock.clone();
    let request = async move {
        let caller = Caller { http: &http, clock: &*clock, metadata: &metadata, client: &client };
        let answer = ciba::poll_once(&caller, &auth_req_id, resource.as_deref()).await;
        (answer, clock.elapsed())
    };
    request.boxed_local().shared()
}
