//! `agentctl profile`: which profiles there are, and which is used.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::{
    app::App,
    config::{ConfigFile, read},
    failure::{Failure, Kind},
    ui::Line,
};
use crate::config::{self, Document};

/// List profiles, and say which one is used
#[derive(Debug, ClapArgs)]
#[command(after_help = "A profile is one tenant with its model and tools. -p/--profile and
AGENTCTL_PROFILE win over the one that is used otherwise. `agentctl config set`
with -p makes another.

Examples:
  agentctl profile list
  agentctl profile use work")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the profiles of config.toml; * marks the one in use
    #[command(after_help = "Examples:
  agentctl profile list
  agentctl profile list --json | jq -r '.profiles[].name'")]
    List,
    /// Use this profile from now on
    #[command(after_help = "Example:
  agentctl profile use work")]
    Use {
        /// Which
        name: String,
    },
}

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::List => list(app),
        What::Use { name } => choose(app, name).await,
    }
}

fn list(app: &App) -> Result<(), Failure> {
    let file = app.config_file()?;
    let text = read(&file)?.unwrap_or_default();
    let document = Document::read(&text).map_err(super::config::refused)?;
    let used = app.asked_profile().or_else(|| document.default_profile()).unwrap_or("default");
    let profiles = document.profiles();
    if app.ui.json() {
        let profiles: Vec<Value> = profiles
            .iter()
            .map(|(name, issuer)| json!({ "name": name, "used": name == used, "issuer": issuer }))
            .collect();
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "profiles": profiles }));
        return Ok(());
    }
    let width = profiles.iter().map(|(name, _)| name.chars().count() + 2).max().unwrap_or_default();
    for (name, issuer) in &profiles {
        let mark = if name == used { "* " } else { "  " };
        let line = Line::new().plain(mark).bold(&format!("{name:<width$}"));
        app.ui.answer_line(&line.dim_field(issuer.as_deref().unwrap_or("no issuer")));
    }
    if profiles.is_empty() {
        app.ui.status(Line::new().plain("There is no profile in ").field(&file.display().to_string()));
    } else if !profiles.iter().any(|(name, _)| name == used) {
        app.ui.warn(&format!("the profile in use is {used}, which is not one of them"));
    }
    Ok(())
}

async fn choose(app: &App, name: &str) -> Result<(), Failure> {
    let file = ConfigFile::hold(app).await?;
    let mut document = file.document()?;
    let known = document.profiles();
    if !known.iter().any(|(known, _)| known == name) {
        let failure = Failure::new(Kind::Usage, format!("there is no profile {name} in {}", file.path.display()));
        let near = config::nearest(name, known.iter().map(|(known, _)| known.as_str()));
        return Err(match near {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None => failure.hint("`agentctl profile list` shows what there is"),
        });
    }
    document.use_profile(name);
    let text = document.text();
    app.config_of(&text, Some(name), None).map_err(|failure| failure.hint("nothing was changed"))?;
    file.replace(app, &text)?;
    if app.ui.json() {
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "profile": name }));
    } else {
        app.ui.status(Line::new().good("✓ ").plain("The profile in use is now ").bold(name));
    }
    if let Some(other) = app.asked_profile().filter(|other| *other != name) {
        app.ui.warn(&format!("{other} is named by AGENTCTL_PROFILE or --profile, and wins"));
    }
    Ok(())
}
/// Every profile of `config.toml`, and the one in use, which may come from the environment alone.
pub(crate) fn names(app: &App) -> Result<Vec<String>, Failure> {
    let config = app.config()?;
    let text = std::fs::read_to_string(&config.file.value).unwrap_or_default();
    let file: toml::Table = text.parse().unwrap_or_default();
    let table = file.get("profiles").and_then(toml::Value::as_table);
    let mut names: Vec<String> = table.map(|table| table.keys().cloned().collect()).unwrap_or_default();
    if !names.contains(&config.profile.value) {
        names.push(config.profile.value.clone());
    }
    Ok(names)
}
