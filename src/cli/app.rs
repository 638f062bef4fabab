//! Everything a command may need, built when it is first asked for: `--help` touches nothing, `whoami` no network.

mod beginning;
mod dotenv;
mod own;
pub(crate) mod records;

use std::{
    cell::{Cell, OnceCell},
    convert::Infallible,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use super::{
    bounds, caller, clients,
    failure::{Failure, Kind},
    signals::Stop,
    spinner::{HEARTBEAT, Wait},
    stdin::Lines,
    ui::Ui,
};
use crate::{
    agent::{Agent, Limits},
    approval::{Approvals, Left, Patience},
    clock::SharedClock,
    config::{self, Config, EnvVars, Overrides, Permission, PolicyText, StoreKind, UserClaim, VaultSubject},
    dispatch::{Actor, Dispatcher},
    guard::{Asked, Guard, Permissions},
    http::{self, Http},
    model::{Model, ModelOptions},
    oauth::{Client, Provider},
    policy::{Author, Binding, Policy, PolicyFile},
    secret::ApiKey,
    session::{
        Account, Session, SessionParts,
        vault::{Subject, Vault, VaultParts},
    },
    store::{
        audit::Trouble,
        credentials::{Store, Unlock},
        journal::{Bounds, Journal},
        stop::Stop as StopMark,
    },
    tool::{OriginRules, Registry},
};

/// How long a call of the keyring may take where nobody can answer a dialogue.
const KEYRING_ALONE: Duration = Duration::from_secs(3);
/// The same where a person can.
const KEYRING_WITH_PERSON: Duration = Duration::from_secs(60);
/// How long a sealed file may take. It asks nobody, but a passphrase takes computing, and a hundred processes at once share
/// the processor.
const SEALED_FILE: Duration = Duration::from_secs(60);
/// A wait that is longer than this is worth a word.
const SOON: Duration = Duration::from_millis(500);

/// The parts of the program.
#[derive(Debug)]
pub(crate) struct App {
    /// The person.
    pub(crate) ui: Rc<Ui>,
    /// The time.
    pub(crate) clock: SharedClock,
    /// The environment.
    pub(crate) env: EnvVars,
    /// Lines of stdin.
    pub(crate) lines: Rc<Lines>,
    /// How long this command waits for answers of people.
    pub(crate) patience: Patience,
    /// What went wrong with the log.
    pub(crate) log_trouble: Rc<Trouble>,
    overrides: Overrides,
    folder: PathBuf,
    config: OnceCell<Config>,
    http: OnceCell<Http>,
    store: OnceCell<Arc<Store>>,
    session: OnceCell<Rc<Session>>,
    journal: OnceCell<Rc<Journal>>,
    mark: OnceCell<StopMark>,
    /// While it is not known for whom input is waited for: from when on the person has to be told.
    unsaid: Cell<Option<Duration>>,
}

impl App {
    /// Nothing is built yet. `folder` is the working directory.
    pub(crate) fn new(ui: Rc<Ui>, clock: SharedClock, env: EnvVars, overrides: Overrides, folder: PathBuf) -> Self {
        Self {
            ui,
            clock,
            env,
            lines: Rc::default(),
            patience: Patience::default(),
            log_trouble: Rc::default(),
            overrides,
            folder,
            config: OnceCell::new(),
            http: OnceCell::new(),
            store: OnceCell::new(),
            session: OnceCell::new(),
            journal: OnceCell::new(),
            mark: OnceCell::new(),
            unsaid: Cell::default(),
        }
    }

    /// The same program in another folder, with another environment and without flags.
    pub(crate) fn inside(&self, env: EnvVars, folder: &Path) -> Self {
        Self::new(Rc::clone(&self.ui), self.clock.clone(), env, Overrides::default(), folder.to_owned())
    }

    /// The settings. An untrusted `.env` is not read; [`App::settle`] asks about it.
    pub(crate) fn config(&self) -> Result<&Config, Failure> {
        once(&self.config, || {
            let config = Config::load(&self.env, &self.overrides, &self.folder)?;
            for warning in &config.warnings {
                self.ui.warn(warning);
            }
            Ok(config)
        })
    }

    /// The same program for another profile.
    pub(crate) fn of_profile(&self, profile: &str) -> Self {
        let overrides = Overrides { profile: Some(profile.to_owned()), ..self.overrides.clone() };
        Self::new(Rc::clone(&self.ui), self.clock.clone(), self.env.clone(), overrides, self.folder.clone())
    }

    /// The same program with another model. What has been opened stays open, and whoever waits is the same; what the
    /// settings warn about was said before.
    pub(crate) fn with_model(&self, name: &str) -> Result<Self, Failure> {
        let overrides = Overrides { model: Some(name.to_owned()), ..self.overrides.clone() };
        let config = Config::load(&self.env, &overrides, &self.folder)?;
        let (ui, env, folder) = (Rc::clone(&self.ui), self.env.clone(), self.folder.clone());
        Ok(Self {
            lines: Rc::clone(&self.lines),
            patience: self.patience.clone(),
            log_trouble: Rc::clone(&self.log_trouble),
            config: OnceCell::from(config),
            http: self.http.clone(),
            store: self.store.clone(),
            session: self.session.clone(),
            journal: self.journal.clone(),
            mark: self.mark.clone(),
            ..Self::new(ui, self.clock.clone(), env, overrides, folder)
        })
    }

    /// The agent that runs this program, as far as it says so.
    pub(crate) fn calling_agent(&self) -> Option<&'static str> {
        caller::calling_agent(|name| self.env.get(name).map(str::to_owned))
    }

    /// The model that was asked for by name.
    pub(crate) fn asked_model(&self) -> Option<&str> {
        self.overrides.model.as_deref()
    }

    /// Where `config.toml` lies or would lie, whether or not what stands there can be read.
    pub(crate) fn config_file(&self) -> Result<PathBuf, Failure> {
        let named = self.overrides.config.clone().or_else(|| self.env.get("AGENTCTL_CONFIG").map(PathBuf::from));
        match named {
            Some(path) => Ok(self.folder.join(path)),
            None => Ok(self.dirs()?.config.join("config.toml")),
        }
    }

    /// The name of the profile in use, whether or not it exists.
    pub(crate) fn profile_name(&self) -> String {
        self.asked_profile().unwrap_or("default").to_owned()
    }

    /// The profile that a flag or the environment names.
    pub(crate) fn asked_profile(&self) -> Option<&str> {
        self.overrides.profile.as_deref().or_else(|| self.env.get("AGENTCTL_PROFILE"))
    }

    /// The settings as they would be if the file held this text and this profile were used, `without` a variable.
    pub(crate) fn config_of(
        &self,
        text: &str,
        profile: Option<&str>,
        without: Option<&str>,
    ) -> Result<Config, Failure> {
        let mut overrides = self.overrides.clone();
        overrides.profile = profile.map(str::to_owned).or(overrides.profile);
        let env = without.map_or_else(|| self.env.clone(), |name| self.env.without(name));
        Ok(Config::load_text(&env, &overrides, &self.folder, text)?)
    }

    /// The way to servers.
    pub(crate) fn http(&self) -> Result<&Http, Failure> {
        once(&self.http, || {
            let pem = self.config()?.ca_file.as_ref().map(|file| {
                let failed = |error: &dyn std::error::Error| {
                    let what = format!("read the certificate authority {}", file.value.display());
                    Failure::caused(Kind::Usage, &what, error).hint(format!("it comes from {}", file.source))
                };
                crate::files::only_mine(&file.value).map_err(|error| failed(&error).mend(&error))?;
                std::fs::read(&file.value).map_err(|error| failed(&error))
            });
            Ok(Http::new(http::Options { extra_ca_pem: pem.transpose()?, ..http::Options::default() }))
        })
    }

    /// Where credentials are kept. Nothing is opened before the first use.
    pub(crate) fn store(&self) -> Result<&Arc<Store>, Failure> {
        once(&self.store, || {
            let config = self.config()?;
            let limit = if self.ui.can_ask() { KEYRING_WITH_PERSON } else { KEYRING_ALONE };
            Ok(Arc::new(match config.store.value {
                StoreKind::Keyring => Store::keyring(&config.dirs.keyring, limit),
                StoreKind::Memory => Store::memory(),
                StoreKind::File => {
                    let unlock = match (&config.store_passphrase, &config.store_key_file) {
                        (Some(passphrase), _) => Unlock::Passphrase(passphrase.clone()),
                        (None, Some(file)) => Unlock::KeyFile(file.value.clone()),
                        (None, None) => Unlock::Nothing,
                    };
                    Store::file(config.credentials_file(), unlock, SEALED_FILE)
                }
            }))
        })
    }

    /// The tools of the profile.
    pub(crate) fn registry(&self) -> Result<Registry, Failure> {
        Self::registry_of(self.config()?)
    }

    pub(crate) fn registry_of(config: &Config) -> Result<Registry, Failure> {
        let settings = config.tool_vars.iter().map(|(name, setting)| (name.clone(), setting.value.clone())).collect();
        let issuer = config.issuer.as_ref().and_then(|issuer| url::Url::parse(&issuer.value).ok());
        let origins = OriginRules {
            // Plain http to this machine is for a tenant on this machine.
            loopback_http: issuer.is_some_and(|issuer| issuer.scheme() == "http" && http::is_loopback(&issuer)),
            pinned: config.audiences.clone(),
            default_targets: [&config.audience, &config.resource]
                .into_iter()
                .flatten()
                .map(|setting| setting.value.clone())
                .collect(),
        };
        Ok(Registry::load(&config.dirs.config.join("toolsets"), &settings, &origins)?)
    }

    /// The issuer, if a tenant is configured; else the two lines that say what to do.
    pub(crate) fn tenant(&self) -> Result<&str, Failure> {
        let config = self.config()?;
        match (&config.issuer, &config.login.client_id) {
            (Some(issuer), Some(_)) => Ok(&issuer.value),
            (Some(_), None) => Err(unconfigured("no login client is configured (AGENTCTL_CLIENT_ID)")),
            _ => Err(unconfigured("no tenant is configured")),
        }
    }

    /// Who is logged in, and fresh tokens for them.
    pub(crate) async fn session(&self) -> Result<&Rc<Session>, Failure> {
        if let Some(session) = self.session.get() {
            return Ok(session);
        }
        let issuer = self.tenant()?.to_owned();
        let (config, store) = (self.config()?, self.store()?);
        let client = clients::find(&config.login, false, &issuer, config.provider.value, store).await?;
        let Some(client) = client else {
            return Err(unconfigured("no login client is configured (AGENTCTL_CLIENT_ID)"));
        };
        let parts = SessionParts {
            http: self.http()?.clone(),
            clock: self.clock.clone(),
            store: Arc::clone(store),
            provider: config.provider.value,
            issuer,
            client,
            account: config.profile.value.clone(),
            audience: config.audience.as_ref().map(|setting| setting.value.clone()),
            resource: config.resource.as_ref().map(|setting| setting.value.clone()),
            scopes: config.scopes.value.clone(),
            state_dir: config.dirs.state.clone(),
            stop: self.mark()?.clone(),
        };
        Ok(self.session.get_or_init(|| Rc::new(Session::new(parts))))
    }

    /// The account of whoever is logged in.
    pub(crate) async fn logged_in(&self) -> Result<Account, Failure> {
        let session = self.session().await?;
        let account = self.patiently(async { Ok(session.account().await?) }).await?;
        account.ok_or_else(Failure::nobody)
    }

    /// The client that asks for approvals: its own, or the login's where that can prove who it is.
    pub(crate) async fn approval_client(&self) -> Result<Option<Client>, Failure> {
        let config = self.config()?;
        let Some(issuer) = &config.issuer else { return Ok(None) };
        let store = self.store()?;
        let own = config.approval.client_id.is_some();
        let role = if own { &config.approval } else { &config.login };
        let client = clients::find(role, own, &issuer.value, config.provider.value, store).await?;
        Ok(client.filter(|client| own || clients::is_confidential(client)))
    }

    /// The client that has tokens of third-party accounts: its own, or the one that asks for approvals. Not at Auth0, where
    /// each is a client of its own kind.
    pub(crate) async fn vault_client(&self) -> Result<Option<Client>, Failure> {
        let config = self.config()?;
        let Some(issuer) = &config.issuer else { return Ok(None) };
        if config.vault.role.client_id.is_some() {
            return clients::find(&config.vault.role, true, &issuer.value, config.provider.value, self.store()?).await;
        }
        if config.provider.value == Provider::Auth0 { Ok(None) } else { self.approval_client().await }
    }

    /// Tokens of third-party accounts. Without a client it says so when it is asked for one. The client is looked for, which
    /// may ask the keyring, only if it is needed.
    pub(crate) async fn vault(&self, needed: bool) -> Result<Vault, Failure> {
        let config = self.config()?;
        let settings = &config.vault;
        let subject = match settings.subject.as_ref().map(|setting| setting.value) {
            Some(VaultSubject::RefreshToken) => Subject::RefreshToken,
            Some(VaultSubject::AccessToken) | None => Subject::AccessToken,
        };
        Ok(Vault::new(VaultParts {
            http: self.http()?.clone(),
            clock: self.clock.clone(),
            session: Rc::clone(self.session().await?),
            provider: config.provider.value,
            client: if needed { self.patiently(self.vault_client()).await? } else { None },
            subject,
            audience: settings.audience.as_ref().map(|setting| setting.value.clone()),
            resource: settings.resource.as_ref().map(|setting| setting.value.clone()),
        }))
    }

    /// Whoever asks people.
    pub(crate) async fn approvals(&self) -> Result<Approvals, Failure> {
        let config = self.config()?;
        // What is written on the way has to be proven later.
        self.log_key().await?;
        Ok(Approvals {
            http: self.http()?.clone(),
            clock: self.clock.clone(),
            session: Rc::clone(self.session().await?),
            journal: self.journal()?,
            store: Arc::clone(self.store()?),
            provider: config.provider.value,
            client: self.patiently(self.approval_client()).await?,
            // Without a word of the profile it depends on the effect.
            binding: (config.binding.source != config::Source::Default).then(|| binding(config.binding.value)),
            pushes_per_minute: config.limits.pushes_per_minute.value,
            locks: config.dirs.locks.clone(),
            patience: self.patience.clone(),
            left: Left::default(),
            stop: self.mark()?.clone(),
        })
    }

    /// The road of every call.
    pub(crate) async fn dispatcher(&self) -> Result<Dispatcher, Failure> {
        let config = self.config()?;
        let registry = self.registry()?;
        let account = self.logged_in().await?;
        let approvals = self.approvals().await?;
        let actor = Actor {
            iss: Some(account.iss),
            sub: Some(account.sub),
            client: approvals.client.as_ref().map(|client| client.id.clone()),
            profile: config.profile.value.clone(),
        };
        let guard = Guard {
            permissions: self.permissions(&approvals)?,
            policy: self.policy()?,
            vault: self.vault(registry.tools().any(|tool| tool.connection().is_some())).await?,
            approvals,
        };
        Ok(Dispatcher {
            registry,
            guard,
            audit: self.audit()?,
            store: Arc::clone(self.store()?),
            journal: self.journal()?,
            http: self.http()?.clone(),
            clock: self.clock.clone(),
            actor,
        })
    }

    /// Who is asked whether something is permitted.
    fn permissions(&self, approvals: &Approvals) -> Result<Permissions, Failure> {
        let config = self.config()?;
        let permission = config.permission.as_ref().map(|setting| setting.value);
        let fga = match (permission, &config.fga) {
            (Some(Permission::None), _) => return Ok(Permissions::None),
            // Without a server to ask, a tool that declares a permission is refused, whatever else is said.
            (_, None) => return Ok(Permissions::Unset),
            (_, Some(fga)) => fga,
        };
        let agent = approvals.client.as_ref().map(|client| client.id.clone());
        Ok(Permissions::Fga(Box::new(Asked {
            fga: clients::fga(fga, self.http()?, &self.clock)?,
            by_email: fga.user_claim.value == UserClaim::Email,
            check_agent: fga.check_agent.value,
            agent,
        })))
    }

    /// What the person and the administrator of this machine forbid.
    pub(crate) fn policy(&self) -> Result<Policy, Failure> {
        let read = |file: PolicyText| {
            let author = if file.admin { Author::Admin } else { Author::User };
            let path = file.path.display().to_string();
            PolicyFile::parse(author, file.path, &file.text).map_err(|error| {
                Failure::new(Kind::Usage, format!("{path}: {}", error.to_string().trim_end()))
                    .hint("docs/policy.md has the keys of a policy file; `agentctl tools check` reads one too")
            })
        };
        let files = config::policies(&self.config()?.dirs)?.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Policy { files, per_run: Vec::new() })
    }

    /// The key for the model: from the environment, or the one that was stored for its address.
    pub(crate) async fn model_key(&self) -> Result<Option<ApiKey>, Failure> {
        let settings = &self.config()?.model;
        match &settings.api_key {
            Some(key) => Ok(Some(key.clone())),
            None => self.patiently(clients::model_key(self.store()?, &settings.base_url.value)).await,
        }
    }

    /// The model.
    pub(crate) async fn model(&self) -> Result<Model, Failure> {
        let settings = &self.config()?.model;
        let Some(name) = &settings.name else {
            return Err(Failure::new(Kind::Usage, "no model is configured")
                .hint("set AGENTCTL_MODEL (and OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own)"));
        };
        let options = ModelOptions {
            base_url: settings.base_url.value.clone(),
            api_key: self.model_key().await?,
            name: name.value.clone(),
            max_tokens: settings.max_tokens.value,
        };
        Ok(Model::new(self.http()?.clone(), options, self.clock.clone()))
    }

    /// Whoever holds a conversation with this model, within these bounds.
    pub(crate) async fn agent(&self, model: Model, bounds: &Bounds) -> Result<Agent, Failure> {
        let config = self.config()?;
        let mut dispatcher = self.dispatcher().await?;
        let limits = bounds.max_spend.iter().map(|limit| limit.parse().map_err(|why| Failure::new(Kind::Failed, why)));
        dispatcher.guard.policy.per_run = limits.collect::<Result<_, _>>()?;
        bounds::narrow(&mut dispatcher.registry, bounds);
        Ok(Agent {
            model,
            dispatcher,
            journal: self.journal()?,
            limits: Limits {
                max_turns: bounds.max_turns.unwrap_or(config.limits.max_turns.value),
                max_tokens: bounds.max_tokens_total,
            },
        })
    }

    /// What ends the command before its time.
    pub(crate) fn stop(&self, timeout: Option<Duration>) -> Result<Stop, Failure> {
        Stop::after(timeout, &self.clock)
    }

    /// Says every now and then that a wait goes on, where no spinner does.
    pub(crate) async fn heartbeats(&self) -> Infallible {
        if self.ui.err().motion {
            return std::future::pending().await;
        }
        loop {
            self.clock.sleep(HEARTBEAT).await;
            self.ui.heartbeat();
        }
    }

    /// Does something that asks the credential store, and says so if that takes longer than a moment.
    pub(crate) async fn patiently<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            result = &mut work => return result,
            () = self.clock.sleep(SOON) => {}
        }
        let mut wait = Wait::for_machine(&format!("Waiting for {}", self.store()?.describe()), &self.clock);
        wait.long = true;
        self.ui.begin_wait(wait);
        let result = work.await;
        self.ui.end_wait();
        result
    }

    /// The folders.
    pub(crate) fn dirs(&self) -> Result<config::Dirs, Failure> {
        Ok(config::Dirs::find(self.env.get("AGENTCTL_HOME").map(|home| self.folder.join(home)).as_deref())?)
    }
}

/// The value of the cell, made if it is not there yet.
fn once<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T, Failure>) -> Result<&T, Failure> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value))
}

fn unconfigured(what: &str) -> Failure {
    Failure::new(Kind::Usage, what)
        .hint("`agentctl demo` shows everything without one; `agentctl config init` sets one up")
}

fn binding(binding: config::Binding) -> Binding {
    match binding {
        config::Binding::Code => Binding::Code,
        config::Binding::Message => Binding::Message,
        config::Binding::Details => Binding::Details,
    }
}
