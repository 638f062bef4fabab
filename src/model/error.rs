//! Why the model did not answer, and how much of an answer there was.

use std::{fmt, time::Duration};

/// Why the model did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base URL is none, or may not be used.
    #[error("the model's address cannot be used: {0}")]
    Address(String),
    /// The key holds characters that no header may hold.
    #[error("the model's API key holds characters that cannot be sent")]
    Key,
    /// 401 or 403.
    #[error("the model's server did not accept the API key (HTTP {status}): {message}")]
    Unauthorized {
        /// The status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// 429 that did not end, or whose pause is too long to wait for.
    #[error("the model's server is over its limit: {message}")]
    RateLimited {
        /// What it said.
        message: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The conversation is longer than the model can read.
    #[error("the conversation is too long for the model: {message}")]
    ContextOverflow {
        /// What the server said.
        message: String,
    },
    /// Any other status that is no success.
    #[error("the model's server answered HTTP {status}: {message}")]
    Status {
        /// The status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// An error in the place of an answer, under a status of success.
    #[error("the model's server reported an error: {0}")]
    Reported(String),
    /// No connection.
    #[error("the model's server cannot be reached: {0}")]
    Unreachable(String),
    /// The stream ended before the answer did.
    #[error("the model's answer was cut off {received}: {why}")]
    Cut {
        /// What ended it.
        why: String,
        /// How much of it had arrived.
        received: Received,
    },
    /// A whole answer, and nothing in it.
    #[error("the model's answer was empty: no word, and no call of a tool")]
    Empty,
    /// Something that is not a completion.
    #[error("the model's server sent something that is not a completion: {0}")]
    Protocol(String),
}

/// How much of an answer had arrived when it broke off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Characters of text.
    pub characters: usize,
    /// The tool whose call was being written.
    pub call: Option<String>,
}

impl Received {
    /// Whether nothing had arrived.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.call, self.characters) {
            (Some(tool), _) => write!(f, "in a call of {tool}"),
            (None, 0) => f.write_str("before its first word"),
            (None, 1) => f.write_str("after 1 character"),
            (None, many) => write!(f, "after {many} characters"),
        }
    }
}
