//! `agentctl config`: make, show, change and find the configuration.

mod edit;
mod file;
mod set;
mod set_key;

use std::path::Path;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use serde_json::json;

pub(super) use self::file::{ConfigFile, read, refused};
use super::{
    app::App,
    clients::{self, Credential},
    failure::{Failure, Kind},
    init::{self, Answers},
    prompt,
    ui::{Line, Ui},
};
use crate::{
    config::Permission,
    files,
    oauth::{Provider, client_auth::generate_client_key},
    secret::ClientSecret,
};

/// Make, show, change and find the configuration
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl config init
  agentctl config show
  agentctl config get model.name
  agentctl config set model.name gpt-5-mini
  agentctl config edit
  agentctl config path
  agentctl config client-key approval
  agentctl config set-key < key.txt")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write a commented config.toml, asking for what is needed
    Init(InitArgs),
    /// Show every setting and where it comes from
    #[command(after_help = "Of a secret it only says where it is set. What lies in the credential store is
not looked up: `agentctl doctor` does that.

Examples:
  agentctl config show
  agentctl config show -p work --json | jq .settings")]
    Show,
    /// Print one setting
    Get(set::GetArgs),
    /// Change settings in config.toml
    Set(set::SetArgs),
    /// Take a setting out of config.toml, so that what is built in holds
    Unset(set::UnsetArgs),
    /// Open config.toml in your editor, and keep what you wrote if it can be read
    #[command(after_help = "The editor is $VISUAL, or $EDITOR. It gets a copy, which takes the place of the
file once everything in it can be read.

Example:
  agentctl config edit")]
    Edit,
    /// Print where the configuration file and the other folders are
    #[command(after_help = "Examples:
  agentctl config path
  agentctl config path --json | jq -r .config")]
    Path,
    /// Make a key pair for a client role, or take in its secret
    ClientKey(ClientKeyArgs),
    /// Take in the API key of a model from stdin
    SetKey(set_key::Args),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl config init
  agentctl config init --provider auth0 \\
    --issuer https://tenant.eu.auth0.com/ --client-id abc --model gpt-5-mini")]
struct InitArgs {
    /// What kind of server: auth0, keycloak or oidc
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// The issuer's address
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The public client that logs you in
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The confidential client that asks for approvals
    #[arg(long, value_name = "ID")]
    approval_client_id: Option<String>,
    /// What permissions of tools are checked against: fga, or none
    #[arg(long, value_name = "KIND")]
    permission: Option<Permission>,
    /// The model
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The model's address, if it is not OpenAI's
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Replace an existing file (the old one is kept beside it)
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Without --secret it makes an ES256 key pair: the private half goes to the
credential store, the public half is printed for registration at the server
(private_key_jwt).

Examples:
  agentctl config client-key approval
  agentctl config client-key approval --secret < secret.txt")]
struct ClientKeyArgs {
    /// Which client: login, approval or vault
    role: Role,
    /// Take in a client secret from stdin instead
    #[arg(long)]
    secret: bool,
    /// Replace a credential that is there already
    #[arg(short, long)]
    yes: bool,
}

/// A client role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    Login,
    Approval,
    Vault,
}

impl Args {
    /// Whether the settings matter to it.
    pub(crate) fn reads_settings(&self) -> bool {
        matches!(self.what, What::Show | What::Get(_) | What::ClientKey(_) | What::SetKey(_))
    }

    /// The model that it is about.
    pub(crate) fn model(&self) -> Option<&String> {
        match &self.what {
            What::SetKey(args) => args.name.as_ref(),
            _ => None,
        }
    }
}

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Init(args) => write(app, args).await,
        What::Show => show(app),
        What::Get(args) => set::get(app, args),
        What::Set(args) => set::set(app, args).await,
        What::Unset(args) => set::unset(app, args).await,
        What::Edit => edit::run(app).await,
        What::Path => paths(app),
        What::ClientKey(args) => client_key(app, args).await,
        What::SetKey(args) => set_key::run(app, args).await,
    }
}

fn show(app: &App) -> Result<(), Failure> {
    let rows = app.config()?.rows();
    if app.ui.json() {
        let settings: Vec<_> = rows
            .iter()
            .map(|(name, value, source)| json!({ "name": name, "value": value, "source": source }))
            .collect();
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "settings": settings }));
        return Ok(());
    }
    let width = rows.iter().map(|(name, ..)| name.len() + 2).max().unwrap_or_default();
    for (name, value, source) in rows {
        let line = Line::new().bold(&format!("{name:<width$}")).field(&value);
        app.ui.answer_line(&line.dim_field(&format!("  ({source})")));
    }
    Ok(())
}

fn paths(app: &App) -> Result<(), Failure> {
    let (file, dirs) = match app.config() {
        Ok(config) => (config.file.value.clone(), config.dirs.clone()),
        // Whose settings cannot be read wants to know where they are most of all.
        Err(_) => (app.config_file()?, app.dirs()?),
    };
    let audit = dirs.state.join("audit.jsonl");
    let history = dirs.state.join("history");
    let toolsets = dirs.config.join("toolsets");
    let rows: [(&str, &Path); 7] = [
        ("config", &file),
        ("toolsets", &toolsets),
        ("state", &dirs.state),
        ("data", &dirs.data),
        ("cache", &dirs.cache),
        ("audit", &audit),
        ("history", &history),
    ];
    if app.ui.json() {
        let mut object = json!({ "schema_version": 1, "ok": true });
        for (name, path) in rows {
            object[name] = json!(path.display().to_string());
        }
        app.ui.data(&object);
    } else {
        for (name, path) in rows {
            app.ui.answer_line(&Line::new().dim_said(&format!("{name:<9}")).whole(&path.display().to_string()));
        }
    }
    Ok(())
}

/// Asks for what the flags leave open, and writes the file.
async fn write(app: &App, args: &InitArgs) -> Result<(), Failure> {
    let mut stop = app.stop(None)?;
    let file = app.config_file()?;
    let there = file.exists();
    // What guards the person against an agent stands in the file that would be replaced.
    if let Some(agent) = app.calling_agent().filter(|_| there || args.permission.is_some()) {
        let message = format!("{agent} runs this, and the configuration says what an agent may do");
        return Err(
            Failure::new(Kind::NotPermitted, message).hint("you can change it yourself, in a terminal of your own")
        );
    }
    if there && !args.yes {
        if !app.ui.can_ask() {
            return Err(Failure::new(Kind::Usage, format!("{} exists already", file.display()))
                .hint("--yes replaces it and keeps the old one beside it"));
        }
        let question = Line::new()
            .field(&file.display().to_string())
            .plain(" exists already. Replace the whole file, with every profile in it? [y/N]");
        let answer = stop.or(ask(app, question)).await?;
        if !matches!(answer.as_str(), "y" | "yes") {
            return Err(Failure::new(Kind::Failed, "nothing was changed"));
        }
    }
    let answers = stop.or(answers(app, args)).await?;
    if there {
        let old = files::beside(&file, ".old");
        std::fs::rename(&file, &old)
            .map_err(|error| Failure::caused(Kind::Failed, "keep the old configuration", &error))?;
        app.ui.status(Line::new().plain("The old file is ").whole(&old.display().to_string()));
    }
    file::write(app, &file, &init::text(&answers))?;
    tell(&app.ui, &file, &answers);
    Ok(())
}

fn tell(ui: &Ui, file: &Path, answers: &Answers) {
    if ui.json() {
        ui.data(&json!({ "schema_version": 1, "ok": true, "config": file.display().to_string() }));
        return;
    }
    ui.status(Line::new().good("✓ ").plain("Wrote ").bold(&file.display().to_string()));
    if answers.approval_client_id.is_some() {
        ui.hint("give the approval client its credential: `agentctl config client-key approval`");
    }
    ui.hint("then `agentctl doctor` checks everything, and `agentctl login` logs you in");
}

async fn answers(app: &App, args: &InitArgs) -> Result<Answers, Failure> {
    let asks = app.ui.can_ask();
    let provider = match (&args.provider, asks) {
        (Some(provider), _) => provider.clone(),
        (None, true) => {
            optional(app, "What kind of server? auth0, keycloak or oidc [oidc]").await?.unwrap_or("oidc".into())
        }
        (None, false) => "oidc".to_owned(),
    };
    let provider: Provider = provider.parse().map_err(|_| {
        Failure::new(Kind::Usage, format!("there is no kind of server called {provider}"))
            .hint("there are auth0, keycloak and oidc")
    })?;
    let issuer =
        needed(app, args.issuer.as_ref(), "--issuer", "The issuer's address, such as https://tenant.eu.auth0.com/")
            .await?;
    if let Err(error) = url::Url::parse(&issuer)
        .map_err(|error| error.to_string())
        .and_then(|url| crate::http::check_url(&url).map_err(|error| error.to_string()))
    {
        return Err(Failure::new(Kind::Usage, format!("{issuer} cannot be an issuer: {error}")));
    }
    let client_id = needed(
        app,
        args.client_id.as_ref(),
        "--client-id",
        "The client that logs you in (public, with the device flow)",
    )
    .await?;
    let permission = match (args.permission, asks) {
        (Some(permission), _) => Some(permission),
        (None, true) => {
            let question = "Tools may declare a permission. Check it with fga, or do without (none)? [leave it open]";
            let answer = optional(app, question).await?;
            let read = answer.map(|answer| answer.parse::<Permission>()).transpose();
            read.map_err(|why| Failure::new(Kind::Usage, why))?
        }
        (None, false) => None,
    };
    Ok(Answers {
        permission: permission.map(|permission| permission.to_string()),
        profile: app.profile_name(),
        provider: provider.to_string(),
        issuer,
        client_id,
        approval_client_id: wished(
            app,
            args.approval_client_id.as_ref(),
            "The client that asks for approvals (confidential, with CIBA) [none]",
        )
        .await?,
        model: wished(app, args.model.as_ref(), "The model, such as gpt-5-mini [none]").await?,
        base_url: wished(app, args.base_url.as_ref(), "The model's address [OpenAI's own]").await?,
    })
}

async fn needed(app: &App, given: Option<&String>, flag: &str, question: &str) -> Result<String, Failure> {
    if let Some(value) = wished(app, given, question).await? {
        return Ok(value);
    }
    Err(match app.ui.can_ask() {
        true => Failure::new(Kind::Usage, "without it there is nothing to configure; nothing was changed")
            .hint("`agentctl config init` asks again, and `agentctl demo` needs no configuration"),
        false => Failure::new(Kind::Usage, format!("{flag} is needed where nobody can be asked"))
            .hint("`agentctl config init --help` lists what can be said with flags"),
    })
}

async fn wished(app: &App, given: Option<&String>, question: &str) -> Result<Option<String>, Failure> {
    match given {
        Some(value) => Ok(Some(value.clone())),
        None if app.ui.can_ask() => optional(app, question).await,
        None => Ok(None),
    }
}

/// An answer; none if the person only pressed Enter.
async fn optional(app: &App, question: &str) -> Result<Option<String>, Failure> {
    let answer = ask(app, format!("{question}:")).await?;
    Ok(Some(answer).filter(|answer| !answer.is_empty()))
}

async fn ask(app: &App, question: impl Into<Line>) -> Result<String, Failure> {
    app.ui.question(question);
    let line = app.lines.next().await.map_err(|error| Failure::caused(Kind::Failed, "read your answer", &error))?;
    let line = line.ok_or_else(|| Failure::new(Kind::Usage, "there is nobody to answer"))?;
    Ok(line.trim().to_owned())
}

/// A client's credential goes into the store, under the issuer and the client it is for.
async fn client_key(app: &App, args: &ClientKeyArgs) -> Result<(), Failure> {
    let mut stop = app.stop(None)?;
    let config = app.config()?;
    let issuer = app.tenant()?.to_owned();
    let (role, variable) = match args.role {
        Role::Login => (&config.login, "AGENTCTL_CLIENT_ID"),
        Role::Approval => (&config.approval, "AGENTCTL_APPROVAL_CLIENT_ID"),
        Role::Vault => (&config.vault.role, "AGENTCTL_VAULT_CLIENT_ID"),
    };
    let Some(client) = role.client_id.as_ref().map(|setting| setting.value.clone()) else {
        return Err(Failure::new(Kind::Usage, "the role has no client")
            .hint(format!("set {variable}, or client_id in the profile")));
    };
    let store = app.store()?;
    if !store.lasts() {
        return Err(Failure::new(Kind::Usage, "a credential in memory would end with this command")
            .hint("set AGENTCTL_STORE, or store in the profile, to keyring or file"));
    }
    let there = stop.or(app.patiently(clients::there(store, &issuer, &client))).await?;
    if there && !args.yes {
        // What is replaced cannot be had back, and the server goes on knowing only the old one.
        if args.secret || !app.ui.can_ask() {
            return Err(
                Failure::new(Kind::Usage, format!("{client} has a credential already")).hint("--yes replaces it")
            );
        }
        let question = Line::new().field(&client).plain(" has a credential already. Replace it? [y/N]");
        if !matches!(stop.or(ask(app, question)).await?.as_str(), "y" | "yes") {
            return Err(Failure::new(Kind::Failed, "nothing was changed"));
        }
    }
    let (credential, public) = if args.secret {
        if app.ui.can_ask() {
            app.ui.say("Paste the secret and press Enter, then ^D. (It will be visible; a pipe is better.)");
        }
        let text = stop.or(prompt::stdin()).await?;
        let secret = text.trim();
        if secret.is_empty() || secret.chars().any(char::is_control) {
            return Err(Failure::new(Kind::Usage, "stdin holds no client secret"));
        }
        (Credential::Secret(ClientSecret::new(secret)), None)
    } else {
        let new = generate_client_key().map_err(|error| Failure::caused(Kind::Failed, "make a key pair", &error))?;
        (Credential::Key(new.key, new.key_id), Some(new.public))
    };
    stop.or(app.patiently(clients::keep(store, &issuer, &client, &credential))).await?;
    if app.ui.json() {
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "client_id": client, "public_jwk": public }));
        return Ok(());
    }
    app.ui.status(
        Line::new().good("✓ ").plain("The credential of ").bold(&client).plain(" is in ").field(&store.describe()),
    );
    if let Some(public) = public {
        app.ui.status("Register this public key at the server, for private_key_jwt with ES256:");
        app.ui.answer(&serde_json::to_string_pretty(&public).unwrap_or_default());
    }
    Ok(())
}
