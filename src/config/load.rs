//! From flags, variables and files to a [`Config`].

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    str::FromStr,
};

use url::Url;

use super::{
    Binding, Config, Dirs, DotEnv, EnvVars, Error, Limits, ModelSettings, Overrides, Role, Setting, Source, StoreKind,
    VARIABLES,
    check::{
        issuer as check_issuer, model as check_model, origin as check_origin, resource as check_resource,
        url as check_url, within,
    },
    env::{self, never_from_dotenv},
    file::{self, Profile},
    trust,
};
use crate::{
    files,
    oauth::Provider,
    secret::{ApiKey, ClientSecret, Passphrase},
};

const SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];
const BASE_URL: &str = "https://api.openai.com/v1";
const MAX_TOKENS: u32 = 4096;
const MAX_TURNS: u32 = 20;
const MAX_PUSHES: u32 = 5;
/// How long runs are kept unless the profile says otherwise.
const KEEP_RUNS_DAYS: u32 = 90;

/// The variables of the environment over those of one file.
pub(super) struct Layers<'a> {
    vars: &'a EnvVars,
    file: BTreeMap<String, String>,
    file_source: Source,
}

impl Layers<'_> {
    pub(super) fn get(&self, name: &str) -> Option<Setting<String>> {
        if let Some(value) = self.vars.get(name) {
            return Some(Setting { value: value.to_owned(), source: Source::Env(name.to_owned()) });
        }
        let value = self.file.get(name).filter(|value| !value.is_empty())?;
        Some(Setting { value: value.clone(), source: self.file_source.clone() })
    }
}

/// One profile, and what goes before it.
pub(super) struct Reader<'a> {
    pub(super) layers: Layers<'a>,
    pub(super) profile: Profile,
    profile_source: Source,
}

impl Reader<'_> {
    pub(super) fn text(&self, variable: &'static str, profile: Option<&String>) -> Option<Setting<String>> {
        self.layers.get(variable).or_else(|| self.profile(profile.cloned()))
    }

    pub(super) fn profile<T>(&self, value: Option<T>) -> Option<Setting<T>> {
        value.map(|value| Setting { value, source: self.profile_source.clone() })
    }

    fn path(&self, variable: &'static str, profile: Option<&String>, cwd: &Path) -> Option<Setting<PathBuf>> {
        let setting = self.text(variable, profile)?;
        // A path in a file is meant from where the file lies, one in the environment from where the person stands.
        let base = match &setting.source {
            Source::Profile(file) | Source::EnvFile(file) | Source::DotEnv(file) => file.parent().unwrap_or(cwd),
            _ => cwd,
        };
        Some(Setting { value: base.join(&setting.value), source: setting.source })
    }
}

/// `text` stands for the content of the configuration file, if it is given.
pub(super) fn load(vars: &EnvVars, overrides: &Overrides, cwd: &Path, text: Option<&str>) -> Result<Config, Error> {
    let mut warnings = Vec::new();
    let mut layers = Layers { vars, file: BTreeMap::new(), file_source: Source::Default };
    if let Some(path) = &overrides.env_file {
        let path = cwd.join(path);
        files::only_mine(&path)?;
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        layers.file = variables(&path, &text)?;
        layers.file_source = Source::EnvFile(path);
    }
    let home = layers.get("AGENTCTL_HOME").map(|home| cwd.join(home.value));
    let dirs = Dirs::find(home.as_deref())?;
    let ours = [&dirs.state, &dirs.data, &dirs.cache, &dirs.locks, &dirs.keyring].map(PathBuf::as_path);
    for folder in ours.into_iter().chain(dirs.locks.parent()).chain(dirs.keyring.parent()) {
        files::own_dir(folder)?;
    }
    let file = match (&overrides.config, layers.get("AGENTCTL_CONFIG")) {
        (Some(path), _) => Setting { value: cwd.join(path), source: Source::Flag },
        (None, Some(path)) => Setting { value: cwd.join(path.value), source: path.source },
        (None, None) => Setting::default(dirs.config.join("config.toml")),
    };
    files::only_mine(&file.value)?;
    let settings = match text {
        Some(text) => file::parse(&file.value, text)?,
        None => file::read(&file.value, file.source != Source::Default)?,
    };
    let profile = overrides
        .profile
        .clone()
        .map(|value| Setting { value, source: Source::Flag })
        .or_else(|| layers.get("AGENTCTL_PROFILE"))
        .or_else(|| settings.profile.map(|value| Setting { value, source: Source::Profile(file.value.clone()) }))
        .unwrap_or_else(|| Setting::default("default".to_owned()));
    let (mut profiles, known) = (settings.profiles, &profile);
    let names = profiles.keys().cloned().collect::<Vec<_>>().join(", ");
    let table = match profiles.remove(&known.value) {
        Some(table) => table,
        None if profile.source == Source::Default => Profile::default(),
        None => return Err(Error::NoProfile { name: profile.value, from: profile.source, known: names }),
    };
    let tool_names: BTreeSet<&str> = VARIABLES
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| name.starts_with("SHOP_") || name.starts_with("OKTA_"))
        .chain(table.tools.keys().map(String::as_str))
        .collect();
    let api_key_env = table.model.api_key_env.clone().unwrap_or_else(|| "OPENAI_API_KEY".to_owned());
    let mut dotenv = DotEnv::None;
    if overrides.env_file.is_none() {
        let keys = || table.models.values().filter_map(|model| model.api_key_env.as_deref());
        let ours = |name: &str| {
            env::known(name).is_some()
                || tool_names.contains(name)
                || name == api_key_env
                || keys().any(|key| key == name)
        };
        let (found, text) = trust::look(&dirs, cwd, ours)?;
        if let (DotEnv::Trusted { path }, Some(text)) = (&found, text) {
            layers.file = variables(path, &text)?;
            layers.file_source = Source::DotEnv(path.clone());
            layers.file.retain(|name, _| {
                let never = never_from_dotenv(name);
                if never {
                    warnings
                        .push(format!("{name} is ignored in {}: it is only read from the environment", path.display()));
                }
                !never
            });
        }
        dotenv = found;
    }
    warn_of_misspelt(&layers, &mut warnings);
    let profile_source = Source::Profile(file.value.clone());
    let tool_names = tool_names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let reader = Reader { layers, profile: table, profile_source };
    reader.config(Found { dirs, file, profile, dotenv, api_key_env, tool_names, warnings }, overrides, cwd)
}

/// What is known before the profile is read.
struct Found {
    dirs: Dirs,
    file: Setting<PathBuf>,
    profile: Setting<String>,
    dotenv: DotEnv,
    api_key_env: String,
    tool_names: Vec<String>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn config(self, found: Found, overrides: &Overrides, cwd: &Path) -> Result<Config, Error> {
        let Found { dirs, file, profile, dotenv, api_key_env, tool_names, mut warnings } = found;
        let table = &self.profile;
        let issuer = self.text("AGENTCTL_ISSUER", table.issuer.as_ref());
        let issuer = issuer.map(|issuer| issuer.map("issuer", check_issuer)).transpose()?;
        let provider = match self.text("AGENTCTL_PROVIDER", table.provider.as_ref()) {
            Some(provider) => provider.map("provider", parse)?,
            None => Setting::default(issuer.as_ref().map_or(Provider::Oidc, |issuer| guess(&issuer.value))),
        };
        let secret = |variable: &'static str| self.client_secret(variable, issuer.as_ref());
        let role = |name: &str, variable, secret, role: &file::Role| -> Result<Role, Error> {
            let authentication = self.profile(role.authentication.clone());
            Ok(Role {
                client_id: self.some_text(&format!("{name}.client_id"), variable, role.client_id.as_ref())?,
                secret,
                authentication: authentication
                    .map(|text| text.map(&format!("{name}.authentication"), parse))
                    .transpose()?,
            })
        };
        let login = role("login", "AGENTCTL_CLIENT_ID", secret("AGENTCTL_CLIENT_SECRET")?, &table.login)?;
        let approval_secret = secret("AGENTCTL_APPROVAL_CLIENT_SECRET")?;
        let approval = role("approval", "AGENTCTL_APPROVAL_CLIENT_ID", approval_secret, &table.approval)?;
        let vault_secret = secret("AGENTCTL_VAULT_CLIENT_SECRET")?;
        let vault = self.vault(role("vault", "AGENTCTL_VAULT_CLIENT_ID", vault_secret, &table.vault.role())?)?;
        let fga = self.fga()?;
        let permission = self.permission(fga.as_ref())?;
        let resource = self.text("AGENTCTL_RESOURCE", table.resource.as_ref());
        let store = match &overrides.store {
            Some(store) => Some(Setting { value: store.clone(), source: Source::Flag }),
            None => self.text("AGENTCTL_STORE", table.store.as_ref()),
        };
        let others = table.models.values().filter_map(|model| model.api_key_env.clone());
        let key_vars = others.chain([api_key_env.clone()]).collect();
        let model = self.model(overrides, api_key_env)?;
        let others = self.others(model.api_key_env.as_ref());
        let tool_vars = self.tool_vars(&tool_names, issuer.as_ref(), &mut warnings);
        let mut audiences = BTreeMap::new();
        for (name, audience) in &table.audiences {
            let origins = self.profile(Some(audience.origins.clone())).unwrap_or(Setting::default(Vec::new()));
            let origins = origins.map(&format!("audiences.{name}.origins"), |origins| {
                origins.iter().map(|origin| check_origin(origin)).collect()
            })?;
            audiences.insert(name.clone(), origins.value);
        }
        Ok(Config {
            issuer,
            provider,
            login,
            approval,
            audience: self.text("AGENTCTL_AUDIENCE", table.audience.as_ref()),
            resource: resource.map(|resource| resource.map("resource", check_resource)).transpose()?,
            scopes: self.scopes()?,
            store: store.map_or(Ok(Setting::default(StoreKind::Keyring)), |store| store.map("store", parse))?,
            store_passphrase: self.layers.get("AGENTCTL_STORE_PASSPHRASE").map(|text| Passphrase::new(text.value)),
            store_key_file: self.path("AGENTCTL_STORE_KEY_FILE", table.store_key_file.as_ref(), cwd),
            permission,
            fga,
            vault,
            ca_file: self.path("AGENTCTL_CA_FILE", table.ca_file.as_ref(), cwd),
            model,
            limits: self.limits()?,
            binding: self
                .profile(table.binding.clone())
                .map_or(Ok(Setting::default(Binding::Message)), |binding| binding.map("binding", parse))?,
            tool_vars,
            audiences,
            others,
            models: table.models.keys().cloned().collect(),
            key_vars,
            token_for_agents: table.token_for_agents.unwrap_or(false),
            bell: table.bell.unwrap_or(true),
            browser: table.browser.unwrap_or(true),
            dirs,
            file,
            profile,
            dotenv,
            warnings,
        })
    }

    /// A client's secret out of the environment, if the issuer that it would go to is as trusted as its own place.
    fn client_secret(
        &self,
        variable: &'static str,
        issuer: Option<&Setting<String>>,
    ) -> Result<Option<ClientSecret>, Error> {
        let Some(secret) = self.layers.get(variable) else { return Ok(None) };
        pair(variable, &secret.source, "AGENTCTL_ISSUER", issuer.map(|issuer| &issuer.source))?;
        Ok(Some(ClientSecret::new(secret.value)))
    }

    /// A text that must not be empty where it is given.
    pub(super) fn some_text(
        &self,
        name: &str,
        variable: &'static str,
        profile: Option<&String>,
    ) -> Result<Option<Setting<String>>, Error> {
        let full = |text: String| if text.trim().is_empty() { Err("it is empty".to_owned()) } else { Ok(text) };
        self.text(variable, profile).map(|text| text.map(name, full)).transpose()
    }

    fn scopes(&self) -> Result<Setting<Vec<String>>, Error> {
        let scopes = match self.layers.get("AGENTCTL_SCOPES") {
            Some(Setting { value, source }) => {
                Setting { value: value.split_whitespace().map(str::to_owned).collect(), source }
            }
            None => self
                .profile(self.profile.scopes.clone())
                .unwrap_or_else(|| Setting::default(SCOPES.map(str::to_owned).to_vec())),
        };
        scopes.map("scopes", |scopes: Vec<String>| {
            match scopes.iter().find(|scope| scope.is_empty() || scope.contains(char::is_whitespace)) {
                Some(bad) => Err(format!("{bad:?} is not one scope")),
                None if scopes.iter().any(|scope| scope == "openid") => Ok(scopes),
                None => Err("openid is missing: without it nobody knows who logged in".to_owned()),
            }
        })
    }

    /// The model that is asked: by its own name, or one that the profile knows by another.
    fn model(&self, overrides: &Overrides, api_key_env: String) -> Result<ModelSettings, Error> {
        let table = &self.profile.model;
        let configured = self.some_text("model.name", "AGENTCTL_MODEL", table.name.as_ref())?;
        let asked = match &overrides.model {
            Some(name) => {
                let known = |name: &String| {
                    self.profile.models.contains_key(name) || configured.as_ref().is_some_and(|set| set.value == *name)
                };
                let asked = Setting { value: name.clone(), source: Source::Flag };
                Some(if known(name) { asked } else { asked.map("model.name", check_model)? })
            }
            None => configured,
        };
        let own = asked.as_ref().and_then(|asked| self.profile.models.get(&asked.value));
        let base_url = match own.and_then(|own| own.base_url.clone()) {
            Some(url) => self.profile(Some(url)),
            None => self.text("OPENAI_BASE_URL", table.base_url.as_ref()),
        };
        let base_url = base_url
            .map_or_else(|| Ok(Setting::default(BASE_URL.to_owned())), |url| url.map("model.base_url", check_url))?;
        // The key of one server is not shown to another.
        let api_key_env = match own {
            Some(own) if own.base_url.is_some() => own.api_key_env.clone(),
            Some(own) => Some(own.api_key_env.clone().unwrap_or(api_key_env)),
            None => Some(api_key_env),
        };
        let api_key = api_key_env.as_ref().and_then(|name| self.layers.get(name));
        if let (Some(name), Some(key)) = (&api_key_env, &api_key) {
            pair(name, &key.source, "OPENAI_BASE_URL", Some(&base_url.source))?;
        }
        let max_tokens = own.and_then(|own| own.max_tokens).or(table.max_tokens);
        let max_tokens = self.profile(max_tokens).unwrap_or(Setting::default(MAX_TOKENS));
        let prices = match own {
            Some(own) => own.prices.clone(),
            // The price of one model is not that of another, nor of the same one elsewhere.
            None => table.prices.clone().filter(|_| {
                asked.as_ref().is_some_and(|name| table.name.as_ref() == Some(&name.value))
                    && base_url.value == table.base_url.as_deref().unwrap_or(BASE_URL)
            }),
        };
        let prices = self.profile(prices).map(|prices| prices.map("model.prices", |table| table.read())).transpose()?;
        let name = own.and_then(|own| own.name.clone());
        Ok(ModelSettings {
            alias: asked.as_ref().filter(|_| own.is_some()).map(|asked| asked.value.clone()),
            name: asked.map(|asked| Setting { value: name.unwrap_or(asked.value), source: asked.source }),
            base_url,
            api_key: api_key.map(|key| ApiKey::new(key.value)),
            api_key_env,
            max_tokens: max_tokens.map("model.max_tokens", |count| within(count, 1, u32::MAX))?,
            prices: prices.map(|prices| prices.value),
        })
    }

    fn limits(&self) -> Result<Limits, Error> {
        let table = &self.profile.limits;
        let turns = self.profile(table.max_turns).unwrap_or(Setting::default(MAX_TURNS));
        let keep = self.profile(table.keep_runs_days).unwrap_or(Setting::default(KEEP_RUNS_DAYS));
        let audit = self.profile(table.keep_audit_days);
        let pushes = self.profile(table.pushes_per_minute).unwrap_or(Setting::default(MAX_PUSHES));
        Ok(Limits {
            max_turns: turns.map("limits.max_turns", |count| within(count, 1, 1000))?,
            pushes_per_minute: pushes.map("limits.pushes_per_minute", |count| within(count, 1, MAX_PUSHES))?,
            keep_runs_days: keep.map("limits.keep_runs_days", |days| within(days, 1, 36_500))?,
            keep_audit_days: audit
                .map(|audit| audit.map("limits.keep_audit_days", |days| within(days, 30, 36_500)))
                .transpose()?,
        })
    }

    /// What templates may read. A working directory may say where tools send their requests only if it also says who logs
    /// the person in: otherwise it could have tokens of another server sent to itself.
    fn tool_vars(
        &self,
        names: &[String],
        issuer: Option<&Setting<String>>,
        warnings: &mut Vec<String>,
    ) -> BTreeMap<String, Setting<String>> {
        let known = self.profile.issuer.as_ref(); // to name it again is not to name one's own
        let own = |it: &Setting<String>| matches!(it.source, Source::DotEnv(_)) && known != Some(&it.value);
        let own_issuer = issuer.is_some_and(own);
        let mut vars = BTreeMap::new();
        for name in names {
            let fallback = || self.profile(self.profile.tools.get(name).filter(|value| !value.is_empty()).cloned());
            let setting = match self.layers.get(name) {
                Some(Setting { source: Source::DotEnv(path), .. }) if !own_issuer => {
                    warnings.push(format!(
                        "{name} in {} is not used, because that file names no issuer of its own; \
                         set it in the profile, or name the file with --env-file",
                        path.display()
                    ));
                    fallback()
                }
                Some(setting) => Some(setting),
                None => fallback(),
            };
            vars.extend(setting.map(|setting| (name.clone(), setting)));
        }
        vars
    }
}

fn variables(path: &Path, text: &str) -> Result<BTreeMap<String, String>, Error> {
    env::parse(text).map_err(|(line, why)| Error::Syntax { path: path.to_owned(), line, column: 1, why: why.into() })
}

/// Names that look like ours and are not: a misspelt setting would otherwise be silently without effect.
fn warn_of_misspelt(layers: &Layers<'_>, warnings: &mut Vec<String>) {
    let names = layers.vars.names().chain(layers.file.keys().map(String::as_str));
    // Those of the test suite are its own business.
    let names = names.filter(|name| name.starts_with("AGENTCTL_") && !name.starts_with("AGENTCTL_TEST_"));
    let unknown: BTreeSet<&str> = names.filter(|name| env::known(name).is_none()).collect();
    for name in unknown {
        let nearest = file::nearest(name, VARIABLES.iter().map(|(known, _)| *known));
        let hint = nearest.map_or(String::new(), |known| format!("; did you mean {known}?"));
        warnings.push(format!("{name} is not a setting{hint}"));
    }
}

/// A secret goes only to an address from a place that is as trusted as its own.
fn pair(
    secret: &str,
    secret_source: &Source,
    endpoint: &'static str,
    endpoint_source: Option<&Source>,
) -> Result<(), Error> {
    match (secret_source, endpoint_source) {
        (Source::DotEnv(_), _) => Ok(()),
        (_, Some(Source::DotEnv(path))) => {
            Err(Error::Unpaired { secret: secret.to_owned(), endpoint, path: path.clone() })
        }
        _ => Ok(()),
    }
}

pub(super) fn parse<T: FromStr<Err: ToString>>(text: String) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// Auth0's own domains are known; a custom domain has to be said.
fn guess(issuer: &str) -> Provider {
    let host = Url::parse(issuer).ok().and_then(|url| url.host_str().map(str::to_owned));
    if host.is_some_and(|host| host.ends_with(".auth0.com")) { Provider::Auth0 } else { Provider::Oidc }
}

#[cfg(test)]
mod tests;
