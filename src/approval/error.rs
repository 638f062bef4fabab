//! Why there is no approval, and how the call ends because of it.

use std::time::Duration;

use super::DENIALS;
use crate::{
    call::{ApprovalId, Outcome},
    oauth::{self, rar::Unfit},
    policy::Binding,
    session,
    store::{credentials, journal, lock, stop},
};

/// What is said of an approval that simply has no answer yet.
pub const NOT_ANSWERED: &str = "the user has not answered yet";

/// What is said of one that was not even sent, because nobody waited any longer when its turn would have come.
pub const NOT_ASKED_YET: &str = "the user stopped waiting before they were asked about this call, so nothing was sent; they \
                                 are asked when the conversation goes on, unless they give it up before";

/// Why there is no approval.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No client may ask.
    #[error("no approval client is configured (AGENTCTL_APPROVAL_CLIENT_ID)")]
    NotConfigured,
    /// Nobody is logged in.
    #[error("nobody is logged in")]
    LoginNeeded,
    /// The person said no.
    #[error("the user denied it")]
    Denied,
    /// Nobody answered.
    #[error("nobody answered in time")]
    Expired,
    /// The tool was denied too often in this run.
    #[error("{}; it is locked until the run ends", refused(tool, *unproven))]
    Locked {
        /// Which.
        tool: String,
        /// So many of the denials may have been none.
        unproven: u32,
    },
    /// Too many requests in a minute.
    #[error("{max} approval requests were sent within a minute; the next may be sent in {} s", wait.as_secs() + 1)]
    TooManyPushes {
        /// The limit.
        max: u32,
        /// Until the next.
        wait: Duration,
    },
    /// The server's limit for the time to answer.
    #[error("the tool gives the user {wanted} s to answer, and this server at most {max} s")]
    TooLong {
        /// What the manifest says.
        wanted: u64,
        /// What the server offers.
        max: u64,
    },
    /// The yes would not be tied to the call strongly enough.
    #[error("the approval would be bound to the call by {got} only, and this call needs {needed}")]
    Weak {
        /// What is possible, or was given.
        got: Binding,
        /// What is needed.
        needed: Binding,
    },
    /// The server granted something else than was asked for.
    #[error("the server granted other details than were asked for (at {at}); the approval was thrown away")]
    DetailsChanged {
        /// Where they differ.
        at: String,
    },
    /// The token carries other details than were asked for, whatever the answer around it says.
    #[error("the access token carries other details than were asked for (at {at}); the approval was thrown away")]
    TokenContradicts {
        /// Where they differ.
        at: String,
    },
    /// The call does not fit into the server's schema of details.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The server takes no such details.
    #[error(
        "the authorization server does not accept the details of the approval: {0}; register the type that the tool's \
         manifest names in `authorization_details`, for the API and for the approval client"
    )]
    DetailsRefused(oauth::Error),
    /// The token does not carry what was asked for.
    #[error("the server granted less than the call needs (missing: {0}); the approval was thrown away")]
    Scope(String),
    /// The proof of who approved is no good, or names somebody else.
    #[error("the proof of the approval is not acceptable: {0}")]
    Proof(String),
    /// An answer that was given to another approval before: somebody between here and the server repeats it.
    #[error(
        "the authorization server's answer was given before, to another approval, so it is not used; if it comes again, \
         look for a proxy or a cache between here and the server that repeats answers"
    )]
    Given,
    /// Nobody can say whether a proof is one.
    #[error("the authorization server's keys cannot be fetched, and without them no answer is used: {0}")]
    Keys(oauth::Error),
    /// Nobody waits for the answer any more, or nobody was to wait for it.
    #[error("{}", if approval.is_some() { NOT_ANSWERED } else { NOT_ASKED_YET })]
    Pending {
        /// The open approval; none if the person's device has not even rung, because another question is there.
        approval: Option<ApprovalId>,
    },
    /// The very same call is open in its run.
    #[error(
        "this very call waits for the user's answer already, or is approved and not done yet: it is not asked a second \
         time, and its result comes by itself"
    )]
    Repeated,
    /// Another process goes on with it.
    #[error("another agentctl process waits for the same approval")]
    Elsewhere,
    /// Nobody is to be asked.
    #[error("it needs the user's approval, and this run asks for none (--on-approval deny)")]
    NotAsked,
    /// The person on this side gave it up.
    #[error("the approval was given up; nothing was done")]
    Abandoned,
    /// A yes that came when its time was over.
    #[error("the answer came when its time was over, so it is not used")]
    Late,
    /// A yes that was not used in time.
    #[error("it was approved, but its time was over before it could be done")]
    TooOld,
    /// What was asked is not what would be asked now.
    #[error("the approval is not used: {0}")]
    Changed(&'static str),
    /// The data key is another one than that which sealed it.
    #[error(
        "what was sealed for it cannot be opened: the key in the credential store is another one by now; \
         `agentctl approvals abandon` gives it up"
    )]
    Unopened,
    /// Everything was stopped.
    #[error(transparent)]
    Stopped(#[from] stop::Error),
    /// A yes may have been given, and its token was lost on the way.
    #[error("the answer to the approval was lost on the way, so it cannot be used; nothing was done")]
    Lost,
    /// The authorization server.
    #[error("the approval request failed: {0}")]
    Server(oauth::Error),
    /// The server asks nobody: a no of its own, and none of the person's.
    #[error(
        "the authorization server refused to ask the user: {0}; see whether the approval client may ask for approvals, \
         for this API and these scopes"
    )]
    Refused(oauth::Error),
    /// The server does not know the approval client, or does not accept its proof.
    #[error(
        "the authorization server does not accept the approval client: {0}; check AGENTCTL_APPROVAL_CLIENT_ID and its \
         secret or key (`agentctl config client-key approval`)"
    )]
    Client(oauth::Error),
    /// Auth0 answers so when the person has no device for pushes; it has no error code of its own for that.
    #[error(
        "the approval request failed: {0}; at Auth0 this mostly means that the user has not enrolled a phone in Guardian \
         (Security, Multi-factor Auth, Push), or that the message or the details break the tenant's rules"
    )]
    NotEnrolled(oauth::Error),
    /// The login session.
    #[error(transparent)]
    Session(session::Error),
    /// The credential store.
    #[error("the credential store failed: {0}")]
    Store(#[from] credentials::Error),
    /// Sealing.
    #[error("the approval could not be sealed")]
    Seal,
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// Waiting for the person's other approval.
    #[error("another approval of yours is still waiting: {0}")]
    Busy(#[from] lock::Error),
    /// The machine has no random numbers.
    #[error("no random numbers are to be had")]
    Random,
}

impl Error {
    /// How the call ended because of it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Pending { .. } | Self::Elsewhere => Outcome::Pending,
            Self::Abandoned | Self::Repeated => Outcome::Cancelled,
            Self::NotAsked | Self::Changed(_) | Self::Stopped(_) => Outcome::NotPermitted,
            Self::Denied => Outcome::Denied,
            Self::Expired | Self::Late | Self::TooOld => Outcome::Expired,
            Self::LoginNeeded => Outcome::LoginNeeded,
            Self::Session(session::Error::OtherLogin) => Outcome::NotPermitted,
            Self::Session(error) if error.login_needed() => Outcome::LoginNeeded,
            Self::Locked { .. } | Self::TooManyPushes { .. } => Outcome::Limit,
            Self::Weak { .. }
            | Self::Unfit(_)
            | Self::DetailsChanged { .. }
            | Self::TokenContradicts { .. }
            | Self::Scope(_)
            | Self::Proof(_)
            | Self::Given
            | Self::Refused(_) => Outcome::NotPermitted,
            _ => Outcome::Failed,
        }
    }
}

fn refused(tool: &str, unproven: u32) -> String {
    match unproven {
        0 => format!("the user denied `{tool}` {DENIALS} times in this run"),
        _ => format!(
            "of the approvals of `{tool}` in this run, {unproven} were changed or given up without the journal's key; each \
             may have been a denial, and counts as one"
        ),
    }
}
