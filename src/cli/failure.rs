//! What went wrong, in words for a person, and the one place where a kind of failure becomes an exit code.
//!
//! The floors below have an error enum each and write lower-case fragments; here each becomes a sentence about what
//! happened, the kind that decides the exit code, and hints about what to do next.

use serde::Serialize;

use crate::{
    call::RunId,
    config, dev, dispatch, files, oauth,
    session::{self, vault},
    store::{audit, credentials, journal, stop},
    tool,
};

/// What to do where a file of the state folder cannot be written.
pub(super) const NOWHERE_TO_WRITE: &str = "nothing runs that cannot be written down: make the state folder writable, free space on the disk, or set AGENTCTL_HOME";

/// What to do where another process has something locked.
const HELD: &str = "another process holds it: try again in a moment, or end that process";
/// What to do where the log does not hold what was written into it.
const LOG_TOUCHED: &str = "somebody touched the log while this was under way: `agentctl audit verify` says what does not hold; look there before you ask again";

/// Why a command did not do what it was asked to. The codes are closed and documented (README, man page).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Something failed that has no code of its own.
    Failed,
    /// The command line or the configuration makes no sense or is incomplete.
    Usage,
    /// Nobody is logged in, or the login has ended.
    LoginNeeded,
    /// A third-party account must be connected first.
    ConnectionNeeded,
    /// A person has not answered yet; it can be gone on with.
    Pending,
    /// The person said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// Permission or policy said no.
    NotPermitted,
    /// A limit (turns, tokens, spend) was reached.
    Limit,
    /// The model's server failed.
    Model,
    /// A tool failed.
    Tool,
    /// The time given by `--timeout` is over.
    Timeout,
    /// SIGHUP.
    HungUp,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Kind {
    /// All of them, by exit code.
    pub(crate) const ALL: [Self; 15] = [
        Self::Failed,
        Self::Usage,
        Self::LoginNeeded,
        Self::ConnectionNeeded,
        Self::Pending,
        Self::Denied,
        Self::Expired,
        Self::NotPermitted,
        Self::Limit,
        Self::Model,
        Self::Tool,
        Self::Timeout,
        Self::HungUp,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The exit code of a command that ends like this.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::LoginNeeded => 4,
            Self::ConnectionNeeded => 5,
            Self::Pending => 10,
            Self::Denied => 11,
            Self::Expired => 12,
            Self::NotPermitted => 13,
            Self::Limit => 14,
            Self::Model => 20,
            Self::Tool => 21,
            Self::Timeout => 124,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The word for it in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::LoginNeeded => "login_needed",
            Self::ConnectionNeeded => "connection_needed",
            Self::Pending => "pending",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::NotPermitted => "not_permitted",
            Self::Limit => "limit",
            Self::Model => "model_failed",
            Self::Tool => "tool_failed",
            Self::Timeout => "timeout",
            Self::HungUp => "hung_up",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }
}

/// The end of a command that did not succeed: what happened, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Decides the exit code.
    pub(crate) kind: Kind,
    /// What happened, as a sentence without its full stop.
    pub(crate) message: String,
    /// What to do, one sentence of ours each.
    pub(crate) hints: Vec<String>,
    /// The person has been told (or the terminal event was written): only the exit code is left to deliver.
    pub(crate) told: bool,
}

impl Failure {
    /// A failure of this kind.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new(), told: false }
    }

    /// That nobody is logged in.
    pub(crate) fn nobody() -> Self {
        Self::new(Kind::LoginNeeded, "nobody is logged in").hint("run `agentctl login`")
    }

    /// A failure whose message is what was tried and the whole chain of causes: `failed to WHAT: cause: cause`.
    pub(crate) fn caused(kind: Kind, what: &str, error: &dyn std::error::Error) -> Self {
        Self::new(kind, format!("failed to {what}: {}", chain(error)))
    }

    /// Adds a hint. It may name what the person wrote, and nothing that a server or a model did.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds what mends a file or a folder, where that is known.
    pub(crate) fn mend(mut self, error: &files::Error) -> Self {
        self.hints.extend(error.mend());
        self
    }

    /// Marks it as told.
    pub(crate) fn told(mut self) -> Self {
        self.told = true;
        self
    }

    /// The error object of every `--json` output.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "schema_version": 1,
            "ok": false,
            "exit_code": self.kind.exit_code(),
            "error": self.kind.word(),
            "message": self.message,
            "hints": self.hints,
        })
    }
}

/// An error and its causes in one line. A cause that repeats what the error above it already says is left out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        let failure = Self::new(Kind::Usage, chain(&error));
        match error {
            config::Error::File(error) => failure.mend(&error),
            config::Error::UnknownKey { .. } | config::Error::Syntax { .. } => {
                failure.hint("`agentctl config path` says which files are read; docs/configuration.md lists the keys")
            }
            config::Error::NoProfile { name, known, .. } => {
                let failure = match config::nearest(&name, known.split(", ").filter(|known| !known.is_empty())) {
                    Some(near) => failure.hint(format!("did you mean {near}?")),
                    None => failure,
                };
                failure.hint("`agentctl config init` makes one")
            }
            config::Error::Invalid { from, .. } => match from {
                config::Source::Env(name) => failure.hint(format!("set {name} to something else, or unset it")),
                config::Source::EnvFile(path) | config::Source::DotEnv(path) | config::Source::Profile(path) => {
                    failure.hint(format!("mend it in {}", path.display()))
                }
                config::Source::Flag | config::Source::Default => failure,
            },
            _ => failure,
        }
    }
}

impl From<files::Error> for Failure {
    fn from(error: files::Error) -> Self {
        let disk = || "check the folder's owner and permissions, and the space on the disk".to_owned();
        Self::new(Kind::Failed, chain(&error)).hint(error.mend().unwrap_or_else(disk))
    }
}

impl From<credentials::Error> for Failure {
    fn from(error: credentials::Error) -> Self {
        use credentials::Error as E;
        const CHOICES: &str = "choose another place: `--store file` (set AGENTCTL_STORE=file and AGENTCTL_STORE_PASSPHRASE \
                               or AGENTCTL_STORE_KEY_FILE), or AGENTCTL_STORE=memory for one command";
        let failure = Self::caused(Kind::Failed, "use the credential store", &error);
        match error {
            E::NoKeyring { .. } => failure.hint(CHOICES),
            E::Locked => {
                failure.hint("unlock the keyring (log in to the desktop, or open its password manager)").hint(CHOICES)
            }
            E::Timeout { .. } => failure.hint("a dialogue of the keyring may wait for you elsewhere").hint(CHOICES),
            E::NoPassphrase => failure.hint("set AGENTCTL_STORE_PASSPHRASE or AGENTCTL_STORE_KEY_FILE"),
            E::WrongPassphrase(_) | E::OtherUnlock { .. } => {
                failure.hint("check AGENTCTL_STORE_PASSPHRASE and AGENTCTL_STORE_KEY_FILE")
            }
            E::File(error) => failure.mend(&error),
            E::Corrupt { .. } => failure.hint("`agentctl logout` and `agentctl login` write it anew"),
            _ => failure,
        }
    }
}

impl From<session::Error> for Failure {
    fn from(error: session::Error) -> Self {
        use session::Error as E;
        let message = chain(&error);
        match error {
            E::Store(error) => error.into(),
            E::OAuth(error) => error.into(),
            E::Stopped(error) => error.into(),
            error if error.login_needed() => Self::new(Kind::LoginNeeded, message).hint("run `agentctl login`"),
            E::Denied => Self::new(Kind::Denied, message),
            E::Expired => Self::new(Kind::Expired, message).hint("run `agentctl login` again"),
            E::StillPending => {
                Self::new(Kind::Pending, message).hint("finish it in the browser; `agentctl login --complete` goes on")
            }
            E::NoPendingLogin => Self::new(Kind::Usage, message).hint("`agentctl login --no-wait` begins one"),
            E::Changed => Self::new(Kind::Failed, message).hint("start it again to act for whoever is logged in now"),
            E::OtherLogin => Self::new(Kind::NotPermitted, message),
            E::Lost | E::SomebodyElse => Self::new(Kind::Failed, message).hint("run `agentctl login` again"),
            E::NotGranted { .. } => Self::new(Kind::NotPermitted, message)
                .hint("`agentctl login --scope ...` asks for more; the server may have to allow it to this client"),
            _ => Self::new(Kind::Failed, message),
        }
    }
}

impl From<vault::Error> for Failure {
    fn from(error: vault::Error) -> Self {
        use vault::Error as E;
        let kind = match &error {
            error if error.connection_needed() => Kind::ConnectionNeeded,
            error if error.login_needed() => Kind::LoginNeeded,
            E::NoClient
            | E::PublicClient { .. }
            | E::NoAudience
            | E::OthersRefreshToken { .. }
            | E::SecondFactor(_)
            | E::ClientRefused(_) => Kind::Usage,
            _ => Kind::Failed,
        };
        match error {
            E::Session(error) => error.into(),
            // The message ends in what to do.
            error => Self::new(kind, chain(&error)),
        }
    }
}

impl From<oauth::Error> for Failure {
    fn from(error: oauth::Error) -> Self {
        use oauth::Error as E;
        let failure = Self::new(Kind::Failed, format!("the authorization server could not be used: {}", chain(&error)));
        match &error {
            E::Http(_) => failure.hint("check the network and AGENTCTL_ISSUER; `agentctl doctor` looks at each step"),
            E::BadIssuer { .. } => Self { kind: Kind::Usage, ..failure }.hint("check AGENTCTL_ISSUER"),
            // A hint is ours: an issuer with blanks in it would be a sentence of the server's.
            E::OtherIssuer { found, .. } if found.bytes().all(|byte| byte.is_ascii_graphic()) => {
                failure.hint(format!("if you trust it, set AGENTCTL_ISSUER to exactly {found}"))
            }
            E::Unsupported { .. } => failure.hint("switch it on at the server, or check AGENTCTL_PROVIDER"),
            E::Malformed { .. } => failure.hint("check AGENTCTL_ISSUER: something else may answer at that address"),
            E::Refused(refusal) => match refusal.error.as_str() {
                "invalid_client" | "unauthorized_client" => {
                    failure.hint("check AGENTCTL_CLIENT_ID, and whether the client may use this grant at the server")
                }
                "invalid_scope" => failure.hint("check AGENTCTL_SCOPES"),
                _ => failure,
            },
            _ => failure,
        }
    }
}

impl From<journal::Error> for Failure {
    fn from(error: journal::Error) -> Self {
        let mend = if let journal::Error::File(file) = &error { file.mend() } else { None };
        let hint = match &error {
            journal::Error::Newer { .. } => "a newer agentctl has been here: use that one, or another AGENTCTL_HOME",
            journal::Error::Corrupt { .. } => {
                "move the file away to begin anew: pending approvals are lost with it, the audit log is not"
            }
            journal::Error::Foreign(_) => {
                "somebody has changed it: put back a copy that you trust. If you move it away, agentctl begins anew, and \
                 pending approvals, denials and what was spent are forgotten; the audit log is not"
            }
            journal::Error::LateKey => "the key is at hand now: run this again",
            journal::Error::Locked => "use the credential store with which it was written",
            journal::Error::Unproven { .. } => {
                "its run is not gone on with: `agentctl runs show RUN`, `agentctl runs delete RUN --force`"
            }
            journal::Error::Busy | journal::Error::Lock(_) => HELD,
            _ => NOWHERE_TO_WRITE,
        };
        Self::caused(Kind::Failed, "use the journal", &error).hint(mend.as_deref().unwrap_or(hint))
    }
}

impl Failure {
    /// What the journal says of a run is not to be believed.
    pub(crate) fn unproven(error: journal::Error, run: &RunId) -> Self {
        let journal::Error::Unproven { .. } = error else { return error.into() };
        Self::new(Kind::Failed, chain(&error))
            .hint(format!("{run} is not gone on with; `agentctl runs show {run}` shows what the journal says of it"))
            .hint(format!("`agentctl runs delete {run} --force` gives it up"))
    }
}

/// What to do about a log that could not be used, if that is known.
fn mend_log(error: &audit::Error) -> Option<String> {
    match error {
        audit::Error::NoRequest(_) => Some(LOG_TOUCHED.to_owned()),
        audit::Error::Lock(_) => Some(HELD.to_owned()),
        audit::Error::File(file) => file.mend(),
        _ => None,
    }
}

impl From<audit::Error> for Failure {
    fn from(error: audit::Error) -> Self {
        let mend = mend_log(&error).unwrap_or_else(|| NOWHERE_TO_WRITE.to_owned());
        Self::caused(Kind::Failed, "use the audit log", &error).hint(mend)
    }
}

impl From<tool::Error> for Failure {
    fn from(error: tool::Error) -> Self {
        let failure = Self::caused(Kind::Usage, "load the tools", &error);
        match error {
            tool::Error::NotMine(error) => failure.mend(&error),
            _ => failure.hint("`agentctl tools check FILE` says what to mend"),
        }
    }
}

impl From<dispatch::Error> for Failure {
    fn from(error: dispatch::Error) -> Self {
        use crate::approval::Error as Approval;
        use journal::Error::{Corrupt, Foreign, LateKey, Locked, Unproven};
        let error = match error {
            dispatch::Error::Journal(error) | dispatch::Error::Approval(Approval::Journal(error))
                if matches!(error, Unproven { .. } | Corrupt { .. } | Foreign(_) | LateKey | Locked) =>
            {
                return error.into();
            }
            error => error,
        };
        let hint = match &error {
            dispatch::Error::Audit(error) => mend_log(error),
            dispatch::Error::Journal(journal::Error::File(file)) => file.mend(),
            _ => None,
        };
        let disk = || "make the state folder writable, or free space on the disk".to_owned();
        Self::new(Kind::Failed, chain(&error)).hint(hint.unwrap_or_else(disk))
    }
}

impl From<stop::Error> for Failure {
    fn from(error: stop::Error) -> Self {
        let kind = if matches!(error, stop::Error::Stopped { .. }) { Kind::NotPermitted } else { Kind::Failed };
        Self::new(kind, error.to_string())
    }
}

impl From<dev::Error> for Failure {
    fn from(error: dev::Error) -> Self {
        let kind = match error {
            dev::Error::NotLoopback(_) | dev::Error::Script(_) => Kind::Usage,
            _ => Kind::Failed,
        };
        let failure = Self::caused(kind, "run the tenant", &error);
        match error {
            dev::Error::NotLoopback(_) => failure.hint("--unsafe-listen allows it"),
            dev::Error::Listen { .. } => failure.hint("port 0 takes any that is free"),
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_codes_are_the_documented_ones() {
        let table = [
            (Kind::Failed, 1, "failed"),
            (Kind::Usage, 2, "usage"),
            (Kind::LoginNeeded, 4, "login_needed"),
            (Kind::ConnectionNeeded, 5, "connection_needed"),
            (Kind::Pending, 10, "pending"),
            (Kind::Denied, 11, "denied"),
            (Kind::Expired, 12, "expired"),
            (Kind::NotPermitted, 13, "not_permitted"),
            (Kind::Limit, 14, "limit"),
            (Kind::Model, 20, "model_failed"),
            (Kind::Tool, 21, "tool_failed"),
            (Kind::Timeout, 124, "timeout"),
            (Kind::HungUp, 129, "hung_up"),
            (Kind::Interrupted, 130, "interrupted"),
            (Kind::Terminated, 143, "terminated"),
        ];
        for (kind, code, word) in table {
            assert_eq!((kind.exit_code(), kind.word()), (code, word));
        }
    }

    #[test]
    fn the_error_object_has_the_documented_members() {
        let failure = Failure::nobody();
        assert_eq!(
            failure.to_json(),
            serde_json::json!({
                "schema_version": 1, "ok": false, "exit_code": 4, "error": "login_needed",
                "message": "nobody is logged in", "hints": ["run `agentctl login`"],
            })
        );
    }

    #[test]
    fn causes_follow_each_other_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("reading {path}")]
        struct Outer {
            path: &'static str,
            source: std::io::Error,
        }
        let outer = Outer { path: "a", source: std::io::Error::other("disk on fire") };
        assert_eq!(Failure::caused(Kind::Failed, "load", &outer).message, "failed to load: reading a: disk on fire");
    }
}
