//! The life of one approval as this process holds it.

use super::Error;
use crate::{
    call::ApprovalId,
    session,
    store::{
        journal::{self, ApprovalChange, ApprovalState, Journal},
        stop,
    },
};

/// Where an approval stands. A step consumes it and gives it back only when it is on the disk: what could not be written
/// down leaves nothing to go on with.
#[derive(Debug)]
pub(super) struct Life {
    id: ApprovalId,
    state: ApprovalState,
}

impl Life {
    /// An approval that stands in the journal in this state.
    pub(super) fn at(id: ApprovalId, state: ApprovalState) -> Self {
        Self { id, state }
    }

    pub(super) fn state(&self) -> ApprovalState {
        self.state
    }

    /// The next state, once it is on the disk.
    pub(super) fn step(self, journal: &Journal, next: ApprovalState, change: &ApprovalChange) -> Result<Self, Error> {
        match journal.move_approval(&self.id, self.state, next, change) {
            Ok(()) => Ok(Self { state: next, ..self }),
            // The person gave it up, here or in another terminal.
            Err(journal::Error::Stale { found: ApprovalState::Abandoned, .. }) => Err(Error::Abandoned),
            // Another process waits for it, too; of both, one asks at a time.
            Err(journal::Error::Stale { .. }) => Err(Error::Elsewhere),
            Err(journal::Error::Given) => Err(Error::Given),
            Err(error) => Err(error.into()),
        }
    }
}

impl Error {
    /// The state that an approval ends in because of it; none if it goes on.
    pub(super) fn state(&self) -> Option<ApprovalState> {
        match self {
            // `panic` gives up what waits; whoever learns it first writes it down.
            Self::Stopped(stop::Error::Stopped { .. }) => Some(ApprovalState::Abandoned),
            Self::Pending { .. } | Self::Stopped(_) | Self::Elsewhere => None,
            Self::Denied => Some(ApprovalState::Denied),
            Self::Expired | Self::Late | Self::TooOld => Some(ApprovalState::Expired),
            Self::Lost => Some(ApprovalState::CredentialLost),
            Self::Abandoned | Self::Session(session::Error::OtherLogin) => Some(ApprovalState::Abandoned),
            _ => Some(ApprovalState::Failed),
        }
    }
}
