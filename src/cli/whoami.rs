//! `agentctl whoami`: the effective identity, and where each value comes from.

use clap::Args as ClapArgs;
use serde_json::json;

use super::{app::App, failure::Failure, ui::Line};
use crate::{config::Permission, session::Account};

/// Show who you are here, and where each setting comes from
#[derive(Debug, ClapArgs)]
#[command(after_help = "Nothing is asked over the network. Exit code 4 means that nobody is logged in,
13 that a login is here which a stop (`agentctl panic`) has made useless.

Examples:
  agentctl whoami
  agentctl whoami --json")]
pub(crate) struct Args {}

/// Does it, without the network.
pub(crate) async fn run(app: &App, _: &Args) -> Result<(), Failure> {
    let mut stop = app.stop(None)?;
    stop.or(show(app)).await
}

async fn show(app: &App) -> Result<(), Failure> {
    app.tenant()?;
    let (config, store) = (app.config()?, app.store()?);
    let session = app.session().await?;
    let account = app.patiently(async { Ok(session.account().await?) }).await;
    // A store that cannot be used is no reason to hide the rest.
    let (account, trouble) = match account {
        // A login from before a stop is of no use, wherever the stop was.
        Ok(Some(account)) => (Some(account), app.mark()?.check().err().map(Failure::from)),
        Ok(None) => (None, Some(Failure::nobody())),
        Err(failure) => (None, Some(failure)),
    };
    let permission = permission(config.permission.as_ref().map(|setting| setting.value));
    let rows = identity_rows(config.rows());
    let ui = &app.ui;
    if ui.json() {
        let settings: Vec<_> = rows
            .iter()
            .map(|(name, value, source)| json!({ "name": name, "value": value, "source": source }))
            .collect();
        let mut object = trouble.as_ref().map_or_else(|| json!({ "schema_version": 1, "ok": true }), Failure::to_json);
        object["account"] = json!(account);
        object["profile"] = json!(config.profile.value);
        object["store"] = json!({ "kind": config.store.value.to_string(), "description": store.describe() });
        object["permission"] = json!(permission);
        object["settings"] = json!(settings);
        ui.data(&object);
        return trouble.map_or(Ok(()), |failure| Err(failure.told()));
    }
    if let Some(account) = &account {
        ui.answer_line(&Line::new().bold(&name(account)));
        row(app, "sub", &account.sub, "");
        row(app, "scopes", &account.scopes.join(" "), "");
        row(app, "logged in", &super::show::rfc3339(account.logged_in_at), "");
    }
    row(app, "store", &store.describe(), &config.store.source.to_string());
    row(
        app,
        "permission",
        permission,
        &config.permission.as_ref().map(|set| set.source.to_string()).unwrap_or_default(),
    );
    for (name, value, source) in rows {
        row(app, &name, &value, &source);
    }
    trouble.map_or(Ok(()), Err)
}

fn row(app: &App, name: &str, value: &str, source: &str) {
    app.ui.answer_line(&line(name, value, source));
}

fn line(name: &str, value: &str, source: &str) -> Line {
    let name = format!("{name} ");
    let line = Line::new().dim_said(&format!("  {name:<22}")).words(value);
    let source = if source.is_empty() { String::new() } else { format!("  ({source})") };
    line.dim_words(&source)
}

/// The settings that decide who you are here.
fn identity_rows(rows: Vec<(String, String, String)>) -> Vec<(String, String, String)> {
    let wanted = |name: &str| {
        ["profile", "issuer", "provider", "audience", "resource"].contains(&name)
            || name.starts_with("login.")
            || name.starts_with("approval.")
            || name.starts_with("vault.")
            || name.starts_with("model.name")
    };
    rows.into_iter().filter(|(name, ..)| wanted(name)).collect()
}

/// What holds about permissions, in the words of every place that names it.
pub(crate) fn permission(setting: Option<Permission>) -> &'static str {
    match setting {
        Some(Permission::Fga) => "fga",
        Some(Permission::None) => "none (by profile)",
        None => "unset: tools that declare a permission are refused",
    }
}

/// `Ada Lovelace <ada@example.com>`, or as much of it as is known. The server's text: escape it before it is shown.
pub(crate) fn name(account: &Account) -> String {
    let name = account.display_name();
    match &account.email {
        Some(email) if email != name => format!("{name} <{email}>"),
        _ => name.to_owned(),
    }
}

/// The name and the subject.
pub(crate) fn label(account: &Account) -> String {
    let name = name(account);
    if name == account.sub { name } else { format!("{name}  (sub {})", account.sub) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_keeps_its_distance() {
        assert_eq!(line("approval.client_secret", "set", "").fitted(None, false), "  approval.client_secret set");
        assert_eq!(line("sub", "ada", "x").fitted(None, false), format!("  {:<22}ada  (x)", "sub"));
    }

    #[test]
    fn names_are_as_telling_as_they_can_be() {
        let account = |name: Option<&str>, email: Option<&str>| Account {
            iss: "https://tenant.example/".into(),
            sub: "auth0|1".into(),
            name: name.map(Into::into),
            preferred_username: None,
            email: email.map(Into::into),
            email_verified: None,
            scopes: Vec::new(),
            logged_in_at: chrono::DateTime::UNIX_EPOCH,
            refreshable: true,
        };
        assert_eq!(name(&account(Some("Ada"), Some("a@x.example"))), "Ada <a@x.example>");
        assert_eq!(name(&account(None, Some("a@x.example"))), "a@x.example");
        assert_eq!(label(&account(None, None)), "auth0|1");
        assert_eq!(label(&account(Some("Ada"), None)), "Ada  (sub auth0|1)");
    }
}
