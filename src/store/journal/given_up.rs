//! What is left of an approval that was given up by somebody without the journal's key.

use super::{ApprovalRow, ApprovalState, NewApproval};

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
