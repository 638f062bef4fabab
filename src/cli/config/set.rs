//! `agentctl config get`, `set` and `unset`: one setting at a time.

use clap::Args as ClapArgs;
use serde_json::json;

use super::file::{ConfigFile, by_a_person, check, profile, refused};
use crate::{
    cli::{
        app::App,
        failure::{Failure, Kind},
        ui::Line,
    },
    config::{ChangeError, Key, shown},
};

#[derive(Debug, ClapArgs)]
#[command(after_help = "The value that holds is printed, wherever it comes from; --json says where that
is. Exit code 1 means that it is not set.

Examples:
  agentctl config get model.name
  agentctl config get issuer -p work --json | jq -r .source")]
pub(super) struct GetArgs {
    /// The setting, as `config show` names it
    key: String,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "The file is changed only if everything in it can be read afterwards; its
comments stay. A list is separated by blanks. A profile that -p names and that
is not there yet is made. Secrets are refused: `config set-key` and `config
client-key` are for them.

Examples:
  agentctl config set model.name gpt-5-mini
  agentctl config set scopes \"openid profile email offline_access\"
  agentctl config set -p work issuer https://tenant.example login.client_id abc")]
pub(super) struct SetArgs {
    // With their places, because completion takes one of them out and puts it back.
    /// The setting, as `config show` names it
    #[arg(index = 1)]
    key: String,
    /// Its value
    #[arg(index = 2, allow_hyphen_values = true)]
    value: String,
    /// More of them, set together
    #[arg(index = 3, value_name = "KEY VALUE", allow_hyphen_values = true)]
    more: Vec<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  agentctl config unset limits.keep_audit_days")]
pub(super) struct UnsetArgs {
    /// The setting, as `config show` names it
    key: String,
}

/// `get`.
pub(super) fn get(app: &App, args: &GetArgs) -> Result<(), Failure> {
    let rows = app.config()?.rows();
    let Some((name, value, source)) = rows.iter().find(|(name, ..)| *name == args.key) else {
        return Err(match Key::find(&args.key) {
            Err(error @ ChangeError::Unknown { .. }) => refused(error),
            _ => Failure::new(Kind::Failed, format!("{} is not set", args.key)),
        });
    };
    if app.ui.json() {
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "name": name, "value": value, "source": source }));
    } else {
        app.ui.answer_line(&Line::new().whole(value));
    }
    Ok(())
}

/// `set`.
pub(super) async fn set(app: &App, args: &SetArgs) -> Result<(), Failure> {
    let words: Vec<&String> = [&args.key, &args.value].into_iter().chain(&args.more).collect();
    let mut changes = Vec::new();
    for pair in words.chunks(2) {
        let [key, value] = pair else {
            return Err(Failure::new(Kind::Usage, format!("{} has no value", pair[0])));
        };
        let key = find(key)?;
        by_a_person(app, &key)?;
        changes.push((key, *value));
    }
    let file = ConfigFile::hold(app).await?;
    let mut document = file.document()?;
    let profile = profile(app, &document);
    let new = !document.profiles().iter().any(|(name, _)| *name == profile);
    for (key, value) in &changes {
        document.set(&profile, key, value).map_err(refused)?;
    }
    let text = document.text();
    let keys: Vec<Key> = changes.iter().map(|(key, _)| key.clone()).collect();
    check(app, &text, &profile, &keys)?;
    file.replace(app, &text)?;
    if app.ui.json() {
        let data = |key: &Key, value: &String| json!({ "name": key.name(), "value": shown(key.name(), value.clone()) });
        let settings: Vec<_> = changes.iter().map(|(key, value)| data(key, value)).collect();
        let path = file.path.display().to_string();
        app.ui.data(
            &json!({ "schema_version": 1, "ok": true, "config": path, "profile": profile, "settings": settings }),
        );
        return Ok(());
    }
    if new {
        app.ui.status(Line::new().plain("The profile ").bold(&profile).plain(" is new"));
    }
    for (key, value) in changes {
        let value = &shown(key.name(), value.clone());
        app.ui.status(Line::new().good("✓ ").bold(key.name()).plain(" of ").bold(&profile).plain(": ").field(value));
    }
    Ok(())
}

/// `unset`.
pub(super) async fn unset(app: &App, args: &UnsetArgs) -> Result<(), Failure> {
    let key = find(&args.key)?;
    by_a_person(app, &key)?;
    let file = ConfigFile::hold(app).await?;
    let mut document = file.document()?;
    let profile = profile(app, &document);
    if !document.unset(&profile, &key) {
        let message = format!("{} is not set in the profile {profile} of {}", key.name(), file.path.display());
        return Err(Failure::new(Kind::Failed, message));
    }
    let text = document.text();
    check(app, &text, &profile, &[])?;
    file.replace(app, &text)?;
    if app.ui.json() {
        let path = file.path.display().to_string();
        app.ui
            .data(&json!({ "schema_version": 1, "ok": true, "config": path, "profile": profile, "unset": key.name() }));
    } else {
        app.ui.status(Line::new().good("✓ ").bold(key.name()).plain(" is no more set in ").bold(&profile));
    }
    Ok(())
}

fn find(name: &str) -> Result<Key, Failure> {
    match name {
        "profile" => Err(Failure::new(Kind::Usage, "profile is no setting of a profile")
            .hint("`agentctl profile use NAME` says which one is used")),
        name => Key::find(name).map_err(refused),
    }
}
