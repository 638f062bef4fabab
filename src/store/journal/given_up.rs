//! Giving an approval up, and what is left of one that was given up by somebody without the journal's key.

use chrono::{DateTime, Utc};

use super::{ApprovalChange, ApprovalRow, ApprovalState, Error, Journal, NewApproval, approvals::state, id_as_it_is};
use crate::call::ApprovalId;

impl Journal {
    /// Gives up an approval whose call was not begun, and erases its secrets. False if there is nothing left to give up.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn abandon(&self, id: &ApprovalId, at: DateTime<Utc>) -> Result<bool, Error> {
        // Whoever waits for it moves it between two of these; another look finds it.
        for _ in 0..20 {
            let found = match self.approval(id) {
                Ok(row) => row.map(|row| row.state),
                // Whatever else it says: that nothing comes of it can be written.
                Err(Error::Corrupt { .. }) => self.state_of(id)?,
                Err(error) => return Err(error),
            };
            let Some(found) = found.filter(|found| found.may_become(ApprovalState::Abandoned)) else {
                return Ok(false);
            };
            match self.move_approval(id, found, ApprovalState::Abandoned, &ApprovalChange::at(at)) {
                Ok(()) => return Ok(true),
                Err(Error::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Busy)
    }

    fn state_of(&self, id: &ApprovalId) -> Result<Option<ApprovalState>, Error> {
        self.find("SELECT state FROM approvals WHERE id = ?1", [id.as_str()], |row| state(row, 0))
    }

    /// The approvals that are not over, the oldest first, also those whose row cannot be read. An id that is no text is told as
    /// far as it is.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn open_approval_ids(&self) -> Result<Vec<ApprovalId>, Error> {
        let over = ApprovalState::ALL.into_iter().filter(|state| state.is_final()).map(|state| format!("'{state}'"));
        let over = over.collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT id FROM approvals WHERE state NOT IN ({over}) ORDER BY created_at, id");
        self.list(&sql, [], |row| Ok(ApprovalId::from_text(id_as_it_is(row)?)))
    }
}

impl ApprovalRow {
    /// What is believed of a row that was not written with the journal's key: that nothing comes of the approval, if it says so.
    /// No other word of it.
    pub(super) fn given_up(self) -> Option<Self> {
        let NewApproval { id, action, run, created_at, .. } = self.asked;
        let nothing = String::new;
        (self.state == ApprovalState::Abandoned).then(|| Self {
            asked: NewApproval {
                id,
                action,
                run,
                issuer: nothing(),
                subject: nothing(),
                client_id: nothing(),
                tool: nothing(),
                plan: nothing(),
                digest: nothing(),
                binding_message: nothing(),
                code: nothing(),
                login: None,
                terms: nothing(),
                created_at,
            },
            state: ApprovalState::Abandoned,
            requested_at: None,
            answered_at: None,
            expires_at: None,
            interval_s: None,
            polled_at: None,
            sealed_auth_req_id: None,
            sealed_token: None,
            evidence: None,
            error: None,
        })
    }
}
