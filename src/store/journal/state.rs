//! The life of an approval as a state machine.

use std::{fmt, str::FromStr};

/// Where an approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApprovalState {
    /// Written down; nothing was sent yet.
    Planned,
    /// The server has it and the person's device rings.
    Requested,
    /// A token request that may spend the grant is on its way. Found after a crash: the server is asked once more, and if
    /// the request did spend it, the answer is lost.
    Redeeming,
    /// The person said yes and the token lies sealed in the journal.
    Approved,
    /// The approved call is on its way.
    Executing,
    /// The call was made.
    Done,
    /// The person said no.
    Denied,
    /// Nobody answered in time, or the yes grew too old.
    Expired,
    /// The person on this side gave it up; a later yes is refused.
    Abandoned,
    /// The yes, or its token, was lost on the way.
    CredentialLost,
    /// It could not be asked for or carried out; nothing happened.
    Failed,
    /// The call was sent and its answer was lost.
    UnknownOutcome,
}

use ApprovalState as S;

impl ApprovalState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 12] = [
        S::Planned,
        S::Requested,
        S::Redeeming,
        S::Approved,
        S::Executing,
        S::Done,
        S::Denied,
        S::Expired,
        S::Abandoned,
        S::CredentialLost,
        S::Failed,
        S::UnknownOutcome,
    ];

    /// Whether an approval may go from this state to `next` in one step.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            // Nobody was asked yet, so nobody can have denied it.
            S::Planned => matches!(next, S::Requested | S::Abandoned | S::Failed),
            S::Requested => matches!(next, S::Redeeming | S::Denied | S::Expired | S::Abandoned | S::Failed),
            // "Not yet" is an answer too: then the wait goes on.
            S::Redeeming => matches!(
                next,
                S::Requested | S::Approved | S::Denied | S::Expired | S::Abandoned | S::CredentialLost | S::Failed
            ),
            S::Approved => {
                matches!(next, S::Executing | S::Expired | S::Abandoned | S::CredentialLost | S::Failed)
            }
            S::Executing => matches!(next, S::Done | S::Failed | S::UnknownOutcome),
            S::Done | S::Denied | S::Expired | S::Abandoned | S::CredentialLost | S::Failed | S::UnknownOutcome => {
                false
            }
        }
    }

    /// Whether the server may still say what the person answered.
    #[must_use]
    pub fn may_be_answered(self) -> bool {
        matches!(self, S::Requested | S::Redeeming)
    }

    /// Whether nothing can follow.
    #[must_use]
    pub fn is_final(self) -> bool {
        !Self::ALL.into_iter().any(|next| self.may_become(next))
    }

    /// The word for it, in the journal and in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            S::Planned => "planned",
            S::Requested => "requested",
            S::Redeeming => "redeeming",
            S::Approved => "approved",
            S::Executing => "executing",
            S::Done => "done",
            S::Denied => "denied",
            S::Expired => "expired",
            S::Abandoned => "abandoned",
            S::CredentialLost => "credential_lost",
            S::Failed => "failed",
            S::UnknownOutcome => "unknown_outcome",
        }
    }
}

impl fmt::Display for ApprovalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for ApprovalState {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|state| state.word() == word);
        known.ok_or_else(|| format!("{word:?} is no state of an approval"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every step there is; whatever is not written here is refused.
    pub(crate) const STEPS: &[(&str, &[&str])] = &[
        ("planned", &["requested", "abandoned", "failed"]),
        ("requested", &["redeeming", "denied", "expired", "abandoned", "failed"]),
        ("redeeming", &["requested", "approved", "denied", "expired", "abandoned", "credential_lost", "failed"]),
        ("approved", &["executing", "expired", "abandoned", "credential_lost", "failed"]),
        ("executing", &["done", "failed", "unknown_outcome"]),
        ("done", &[]),
        ("denied", &[]),
        ("expired", &[]),
        ("abandoned", &[]),
        ("credential_lost", &[]),
        ("failed", &[]),
        ("unknown_outcome", &[]),
    ];

    #[test]
    fn every_pair_of_states() {
        assert_eq!(STEPS.len(), ApprovalState::ALL.len());
        for (from, nexts) in STEPS {
            let from: ApprovalState = from.parse().unwrap();
            assert_eq!(from.is_final(), nexts.is_empty(), "{from}");
            for to in ApprovalState::ALL {
                assert_eq!(from.may_become(to), nexts.contains(&to.word()), "{from} -> {to}");
            }
        }
        assert!("dreaming".parse::<ApprovalState>().is_err());
    }
}
