//! Settings as plain values, each with the place it came from. The only reader of the environment and of `config.toml`.
//!
//! Flags win over the environment, that over `--env-file` or a trusted `.env`, that over the profile in `config.toml`, and
//! that over what is built in. An empty variable counts as unset.

mod change;
mod check;
mod dirs;
mod env;
mod file;
mod guard;
mod load;
mod policy;
mod prices;
mod rows;
mod trust;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

pub use self::{
    change::{ChangeError, Document, Key},
    dirs::{Dirs, expanded},
    env::{EnvVars, VARIABLES, never_from_dotenv},
    file::nearest,
    guard::{Fga, FgaAuth, Vault},
    policy::{PolicyText, policies},
    prices::Prices,
    rows::shown,
    trust::{DotEnv, remember},
};
use crate::{
    files,
    oauth::{AuthMethod, Provider},
    secret::{ApiKey, ClientSecret, Passphrase},
};

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This person has no home folder.
    #[error("there is no home folder; set AGENTCTL_HOME")]
    NoHome,
    /// A variable of ours holds no text.
    #[error("{0} is not valid UTF-8")]
    NotUtf8(String),
    /// A file that was named cannot be read.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not follow its own syntax.
    #[error("{}:{line}:{column}: {why}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
        /// What is wrong.
        why: String,
    },
    /// A key that nobody knows.
    #[error("{}:{line}:{column}: unknown key {key:?}{}", path.display(), nearest.as_ref().map_or(String::new(), |key| format!("; did you mean {key:?}?")))]
    UnknownKey {
        /// Which file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
        /// The key.
        key: String,
        /// A known one that looks like it.
        nearest: Option<String>,
    },
    /// A secret was written into `config.toml`.
    #[error("{}:{line}: secrets are not read from this file; {instead}", path.display())]
    SecretInFile {
        /// Which file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// Where it belongs.
        instead: &'static str,
    },
    /// The profile is not in the file.
    #[error("there is no profile {name:?} (from {from}); known: {}", if known.is_empty() { "none" } else { known })]
    NoProfile {
        /// Its name.
        name: String,
        /// Who asked for it.
        from: Source,
        /// Those that are there.
        known: String,
    },
    /// A value that cannot be.
    #[error("{name} (from {from}): {why}")]
    Invalid {
        /// Which setting.
        name: String,
        /// Where it was set.
        from: Source,
        /// What is wrong with it.
        why: String,
    },
    /// A secret would go to an address that a less trusted place names.
    #[error("{endpoint} comes from {}, but {secret} does not: a secret is never sent to an address that a working directory names", path.display())]
    Unpaired {
        /// The secret's name.
        secret: String,
        /// The name of the address.
        endpoint: &'static str,
        /// The `.env`.
        path: PathBuf,
    },
    /// The administrator's policy may not be the administrator's.
    #[error("{} {why}, so nobody can tell whether it is the administrator's policy; nothing runs until that is mended", path.display())]
    AdminPolicy {
        /// The file or its folder.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The memory of trusted files.
    #[error(transparent)]
    File(#[from] files::Error),
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag of this command.
    Flag,
    /// A variable of the environment.
    Env(String),
    /// A variable in the file that `--env-file` named.
    EnvFile(PathBuf),
    /// A variable in the trusted `.env` of the working directory.
    DotEnv(PathBuf),
    /// The profile in `config.toml`.
    Profile(PathBuf),
    /// Built in.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::EnvFile(path) | Self::DotEnv(path) => write!(f, "{}", path.display()),
            Self::Profile(path) => write!(f, "profile in {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub source: Source,
}

impl<T> Setting<T> {
    fn default(value: T) -> Self {
        Self { value, source: Source::Default }
    }

    fn map<U>(self, name: &str, read: impl FnOnce(T) -> Result<U, String>) -> Result<Setting<U>, Error> {
        match read(self.value) {
            Ok(value) => Ok(Setting { value, source: self.source }),
            Err(why) => Err(Error::Invalid { name: name.to_owned(), from: self.source, why }),
        }
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $what:literal { $($(#[$item_doc:meta])* $item:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$item_doc])* $item,)* }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$item => $word,)* })
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $($word => Ok(Self::$item),)*
                    _ => Err(format!(concat!("{:?} is not ", $what, "; there are ", $($word, " ",)*), word).trim_end().to_owned()),
                }
            }
        }
    };
}

words! {
    /// Where credentials are kept.
    StoreKind: "a store" {
        /// The keyring of the system.
        Keyring = "keyring",
        /// A sealed file.
        File = "file",
        /// The memory of one process.
        Memory = "memory",
    }
}

words! {
    /// Who is asked whether a tool is permitted.
    Permission: "a kind of permission" {
        /// OpenFGA.
        Fga = "fga",
        /// Nobody, by decision of the profile.
        None = "none",
    }
}

words! {
    /// How strongly a yes has to be tied to an irreversible call, from weak to strong.
    Binding: "a kind of binding" {
        /// The code alone.
        Code = "code",
        /// The message on the device names everything that matters.
        Message = "message",
        /// The server returned the granted details.
        Details = "details",
    }
}

words! {
    /// Which claim of the login names the person to the permission server.
    UserClaim: "a claim for permission" {
        /// The subject.
        Sub = "sub",
        /// The e-mail address, if it is verified.
        Email = "email",
    }
}

words! {
    /// What the vault's client shows for the person in a token exchange.
    VaultSubject: "a subject token" {
        /// An access token for the vault's API.
        AccessToken = "access_token",
        /// The refresh token of the login.
        RefreshToken = "refresh_token",
    }
}

/// One of the client roles of a profile.
#[derive(Clone, Debug, Default)]
pub struct Role {
    /// Its client.
    pub client_id: Option<Setting<String>>,
    /// Its secret, if one lies in the environment. Others are in the credential store.
    pub secret: Option<ClientSecret>,
    /// How it proves itself, if that was said.
    pub authentication: Option<Setting<AuthMethod>>,
}

/// The model.
#[derive(Clone, Debug)]
pub struct ModelSettings {
    /// What the profile calls it, if it is one of its models.
    pub alias: Option<String>,
    /// Its name; there is no default.
    pub name: Option<Setting<String>>,
    /// Where it is served.
    pub base_url: Setting<String>,
    /// The key for it.
    pub api_key: Option<ApiKey>,
    /// The variable that holds the key; none for a model with an address of its own and no variable of its own.
    pub api_key_env: Option<String>,
    /// How many tokens an answer may have.
    pub max_tokens: Setting<u32>,
    /// What it costs, if the profile says so.
    pub prices: Option<Prices>,
}

/// What a run may use up.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Questions to the model in one run.
    pub max_turns: Setting<u32>,
    /// Approval requests to one person in a minute.
    pub pushes_per_minute: Setting<u32>,
    /// Days after its end for which a run stays in the journal.
    pub keep_runs_days: Setting<u32>,
    /// Days for which the audit log keeps what was written; without it for ever.
    pub keep_audit_days: Option<Setting<u32>>,
}

/// What the flags of a command say.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--profile`.
    pub profile: Option<String>,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--env-file`.
    pub env_file: Option<PathBuf>,
    /// `--model`.
    pub model: Option<String>,
    /// `--store`.
    pub store: Option<String>,
}

/// Every setting of one process.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folders.
    pub dirs: Dirs,
    /// The configuration file, whether it is there or not.
    pub file: Setting<PathBuf>,
    /// The profile's name.
    pub profile: Setting<String>,
    /// The authorization server.
    pub issuer: Option<Setting<String>>,
    /// What kind of server it is.
    pub provider: Setting<Provider>,
    /// The client that logs people in.
    pub login: Role,
    /// The client that asks for approvals.
    pub approval: Role,
    /// The API that plain logins are for, where the server speaks of audiences.
    pub audience: Option<Setting<String>>,
    /// The same where it speaks of resources.
    pub resource: Option<Setting<String>>,
    /// What a login asks for.
    pub scopes: Setting<Vec<String>>,
    /// Where credentials are kept.
    pub store: Setting<StoreKind>,
    /// What opens the sealed file.
    pub store_passphrase: Option<Passphrase>,
    /// The same as a file.
    pub store_key_file: Option<Setting<PathBuf>>,
    /// Who is asked whether a tool is permitted; unset if nobody said and no server is configured.
    pub permission: Option<Setting<Permission>>,
    /// The server that is asked.
    pub fga: Option<Fga>,
    /// The client that has tokens of third-party accounts, and how.
    pub vault: Vault,
    /// One more certificate authority.
    pub ca_file: Option<Setting<PathBuf>>,
    /// The model.
    pub model: ModelSettings,
    /// What the profile calls its models.
    pub models: Vec<String>,
    /// The variables that hold a key of one of them.
    pub key_vars: Vec<String>,
    /// What a run may use up.
    pub limits: Limits,
    /// How strongly an approval of an irreversible call has to be tied to it, at least.
    pub binding: Setting<Binding>,
    /// What templates of tools may read as `env.NAME`.
    pub tool_vars: BTreeMap<String, Setting<String>>,
    /// To which origins a token for an audience may be sent.
    pub audiences: BTreeMap<String, Vec<String>>,
    /// What is shown beside the settings that have a field of their own: name, value, source.
    others: Vec<(String, Setting<String>)>,
    /// Whether `token` prints tokens for a calling agent.
    pub token_for_agents: bool,
    /// Whether the terminal's bell rings when an answer comes.
    pub bell: bool,
    /// Whether a browser may be opened.
    pub browser: bool,
    /// What became of a `.env` in the working directory.
    pub dotenv: DotEnv,
    /// What a person should know: misspelt variables, values that are not used and why.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads everything once.
    ///
    /// # Errors
    /// If a file that was named cannot be read, a key is unknown, or a value cannot be.
    pub fn load(vars: &EnvVars, overrides: &Overrides, cwd: &Path) -> Result<Self, Error> {
        load::load(vars, overrides, cwd, None)
    }

    /// What [`Config::load`] would give if the configuration file held this text.
    ///
    /// # Errors
    /// As there.
    pub fn load_text(vars: &EnvVars, overrides: &Overrides, cwd: &Path, text: &str) -> Result<Self, Error> {
        load::load(vars, overrides, cwd, Some(text))
    }

    /// The sealed credential file of `store = "file"`.
    #[must_use]
    pub fn credentials_file(&self) -> PathBuf {
        self.dirs.data.join("credentials")
    }

    /// The files in which `agentctl panic` leaves its mark: whoever works in this state folder looks at the one, whoever
    /// uses this credential store at the other.
    #[must_use]
    pub fn stop_files(&self) -> Vec<PathBuf> {
        let of_store = match self.store.value {
            StoreKind::Keyring => Some(self.dirs.keyring.join("stop.json")),
            StoreKind::File => Some(files::beside(&self.credentials_file(), ".stop.json")),
            // It ends with its process, which has a state folder.
            StoreKind::Memory => None,
        };
        [Some(self.dirs.state.join("stop.json")), of_store].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::TempDir;

    #[test]
    fn a_dotenv_that_names_the_profiles_issuer_gets_none_of_its_tokens() {
        let dir = TempDir::new();
        let home = dir.path("home").display().to_string();
        let toml = b"[profiles.default]\nissuer = \"https://real.example\"\n";
        files::write(&dir.path("home/config.toml"), toml).unwrap();
        let load = || Config::load(&EnvVars::from_pairs([("AGENTCTL_HOME", &home)]), &Overrides::default(), &dir.0);
        for (issuer, tools) in [("https://real.example", 0), ("https://own.example", 1)] {
            let text = format!("AGENTCTL_ISSUER={issuer}\nSHOP_API_URL=https://elsewhere.example/orders\n");
            std::fs::write(dir.path(".env"), text).unwrap();
            let config = load().unwrap();
            let DotEnv::Untrusted { path, hash, .. } = config.dotenv else { panic!("{:?}", config.dotenv) };
            remember(&config.dirs, &path, &hash, true).unwrap();
            assert_eq!(load().unwrap().tool_vars.len(), tools, "{issuer}");
        }
    }
}
