//! `agentctl doctor`: is the set-up whole, and how to mend what is not.

mod guard;
mod model;

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::json;

use super::{
    app::App,
    clients,
    failure::{Failure, Kind, chain},
    ui::{Line, Ui},
};
use crate::{
    config::Config,
    http::Request,
    oauth::{Metadata, Provider},
    session::{Wanted, vault},
    store::credentials::Key,
    tool::{CredentialSource, Registry},
};

/// The clocks of client and server may differ by this many seconds; ID tokens are checked with less.
const SKEW_S: i64 = 30;

/// Check the set-up and say how to mend it
#[derive(Debug, ClapArgs)]
#[command(after_help = "Exit code 1 means that something is broken. The model is asked one short
question, to see whether it calls tools.

Examples:
  agentctl doctor
  agentctl doctor --json | jq '.checks[] | select(.state != \"ok\")'")]
pub(crate) struct Args {}

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    /// It works, but not as it should.
    Warning,
    Broken,
    /// It could not be looked at, because of something else.
    Skipped,
}

/// What was found out about one thing.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

/// Everything that was found out; each finding is shown when it is made.
struct Report<'a> {
    ui: &'a Ui,
    checks: Vec<Check>,
}

impl Report<'_> {
    fn add(&mut self, name: &'static str, state: State, message: impl Into<String>, mend: Option<&str>) {
        let check = Check { name, state, message: message.into(), mend: mend.map(str::to_owned) };
        if !self.ui.json() {
            let line = match state {
                State::Ok => Line::new().good("✓ "),
                State::Warning => Line::new().warn("! "),
                State::Broken => Line::new().bad("✗ "),
                State::Skipped => Line::new().dim("- "),
            };
            self.ui.answer_line(&line.bold(name).plain(": ").words(&check.message));
            if let Some(mend) = &check.mend {
                self.ui.answer_line(&Line::new().dim("    mend: ").said(mend));
            }
        }
        self.checks.push(check);
    }

    fn ok(&mut self, name: &'static str, message: impl Into<String>) {
        self.add(name, State::Ok, message, None);
    }

    fn warn(&mut self, name: &'static str, message: impl Into<String>, mend: &str) {
        self.add(name, State::Warning, message, Some(mend));
    }

    fn broken(&mut self, name: &'static str, message: impl Into<String>, mend: &str) {
        self.add(name, State::Broken, message, Some(mend));
    }

    fn failed(&mut self, name: &'static str, failure: &Failure) {
        let mend = failure.hints.first().map_or("mend what the message names, then run this again", String::as_str);
        self.add(name, State::Broken, &*failure.message, Some(mend));
    }

    fn skipped(&mut self, name: &'static str, message: impl Into<String>) {
        self.add(name, State::Skipped, message, None);
    }

    /// The end of it: broken things make the exit code 1.
    fn finish(self) -> Result<(), Failure> {
        let broken = self.checks.iter().filter(|check| check.state == State::Broken).count();
        if self.ui.json() {
            let ok = broken == 0;
            self.ui.data(&json!({
                "schema_version": 1, "ok": ok, "exit_code": u8::from(!ok), "checks": self.checks,
            }));
        }
        let failure = || Failure::new(Kind::Failed, format!("{broken} of {} checks failed", self.checks.len())).told();
        if broken == 0 { Ok(()) } else { Err(failure()) }
    }
}

/// Looks at everything, from what needs nothing to what needs everything before it.
pub(crate) async fn run(app: &App, _: &Args) -> Result<(), Failure> {
    let mut stop = app.stop(None)?;
    let mut report = Report { ui: &app.ui, checks: Vec::new() };
    let looked = stop.or(async {
        look(app, &mut report).await;
        Ok(())
    });
    looked.await?;
    report.finish()
}

async fn look(app: &App, report: &mut Report<'_>) {
    let config = match app.config() {
        Ok(config) => config,
        Err(failure) => return report.failed("configuration", &failure),
    };
    configuration(config, report);
    state_folder(app, config, report);
    let registry = toolsets(app, report);
    guard::policy(app, registry.as_ref(), report);
    let stored = store(app, report).await;
    let metadata = issuer(app, config, report).await;
    roles(app, config, metadata.as_ref(), report).await;
    if stored {
        login(app, report).await;
    }
    let account = match app.session().await {
        Ok(session) if stored => session.account().await.ok().flatten(),
        _ => None,
    };
    guard::permission(app, config, registry.as_ref(), account.as_ref(), report).await;
    model::look(app, config, report).await;
}

fn configuration(config: &Config, report: &mut Report<'_>) {
    for warning in &config.warnings {
        report.warn("configuration", warning, "`agentctl config show` says what holds and why");
    }
    match (&config.issuer, &config.login.client_id) {
        (Some(_), Some(_)) => report.ok("configuration", format!("profile {}", config.profile.value)),
        _ => report.broken(
            "configuration",
            format!("profile {} names no issuer or no login client", config.profile.value),
            "run `agentctl config init`, or try `agentctl demo`",
        ),
    }
}

fn state_folder(app: &App, config: &Config, report: &mut Report<'_>) {
    let folder = &config.dirs.state;
    match app.journal() {
        // Opening it made the folder, and closed it to others.
        Ok(_) => report.ok("state folder", format!("{} can be written, and only you can read it", folder.display())),
        Err(failure) => report.failed("state folder", &failure),
    }
}

fn toolsets(app: &App, report: &mut Report<'_>) -> Option<Registry> {
    match app.registry() {
        Ok(registry) => {
            let names: Vec<&str> = registry.tools().map(crate::tool::Tool::name).collect();
            report.ok("tools", if names.is_empty() { "none is offered".to_owned() } else { names.join(", ") });
            for tool in registry.hidden() {
                report.skipped("tools", format!("{} is not offered: {}", tool.name, tool.reason));
            }
            Some(registry)
        }
        Err(failure) => {
            report.failed("tools", &failure);
            None
        }
    }
}

async fn store(app: &App, report: &mut Report<'_>) -> bool {
    let store = match app.store() {
        Ok(store) => store,
        Err(failure) => {
            report.failed("credential store", &failure);
            return false;
        }
    };
    match store.get(&Key::new("doctor", &[])).await {
        Ok(_) => {
            report.ok("credential store", store.describe());
            true
        }
        Err(error) => {
            report.failed("credential store", &Failure::from(error));
            false
        }
    }
}

async fn issuer(app: &App, config: &Config, report: &mut Report<'_>) -> Option<Metadata> {
    let Some(issuer) = &config.issuer else {
        report.skipped("issuer", "none is configured");
        return None;
    };
    let http = match app.http() {
        Ok(http) => http,
        Err(failure) => {
            report.failed("issuer", &failure);
            return None;
        }
    };
    let metadata = match Metadata::discover(http, &issuer.value, config.provider.value).await {
        Ok(metadata) => metadata,
        Err(error) => {
            report.broken(
                "issuer",
                format!("{} cannot be used: {}", issuer.value, chain(&error)),
                "check AGENTCTL_ISSUER, and whether the address opens in a browser",
            );
            return None;
        }
    };
    report.ok("issuer", format!("{} answers as {}", metadata.issuer, config.provider.value));
    report.ok("issuer", offers(&metadata));
    if metadata.subject_types_supported.iter().all(|kind| kind == "pairwise")
        && !metadata.subject_types_supported.is_empty()
    {
        report.warn(
            "issuer",
            "it names people differently to each client, so an approval cannot be matched to the login",
            "let both clients have public subject identifiers, or one sector identifier",
        );
    }
    match http.send(Request::get(metadata.jwks_uri.clone())).await {
        Ok(response) => clock(app, response.headers.get("date").and_then(|value| value.to_str().ok()), report),
        Err(error) => report.broken("signing keys", chain(&error), "the server's jwks_uri must be reachable"),
    }
    Some(metadata)
}

/// What a server says that it can do.
fn offers(metadata: &Metadata) -> String {
    let list = |name: &str, values: &[String]| match values {
        [] => name.to_owned(),
        values => format!("{name} ({})", values.join(", ")),
    };
    let modes = &metadata.backchannel_token_delivery_modes_supported;
    let types = &metadata.authorization_details_types_supported;
    let abilities = [
        (metadata.device_authorization_endpoint.is_some(), "device flow".to_owned()),
        (metadata.backchannel_authentication_endpoint.is_some(), list("approvals by CIBA", modes)),
        (!types.is_empty(), list("authorization_details", types)),
        (metadata.revocation_endpoint.is_some(), "revocation".to_owned()),
        (metadata.userinfo_endpoint.is_some(), "user info".to_owned()),
    ];
    let of = |there: bool| -> Vec<&str> {
        abilities.iter().filter(|(has, _)| *has == there).map(|(_, name)| name.as_str()).collect()
    };
    let (has, lacks) = (of(true), of(false));
    let lacks = if lacks.is_empty() { String::new() } else { format!("; it names no {}", lacks.join(", no ")) };
    format!(
        "it offers {}{lacks}",
        if has.is_empty() { "nothing that is needed here".to_owned() } else { has.join(", ") }
    )
}

fn clock(app: &App, date: Option<&str>, report: &mut Report<'_>) {
    let Some(server) = date.and_then(|text| chrono::DateTime::parse_from_rfc2822(text).ok()) else {
        return report.skipped("clock", "the server does not say what time it is");
    };
    let skew = app.clock.now().signed_duration_since(server).num_seconds();
    if skew.abs() <= SKEW_S {
        report.ok("clock", format!("{skew} s from the server's"));
    } else {
        report.broken(
            "clock",
            format!("{skew} s from the server's"),
            "set this machine's clock; tokens will be refused",
        );
    }
}

/// Which of the client roles this server and these clients make possible.
async fn roles(app: &App, config: &Config, metadata: Option<&Metadata>, report: &mut Report<'_>) {
    let Some(metadata) = metadata else {
        let why = if config.issuer.is_some() { "the issuer cannot be used" } else { "no issuer is configured" };
        return report.skipped("roles", why);
    };
    match (&metadata.device_authorization_endpoint, &config.login.client_id) {
        (None, _) => report.broken("login role", "the server has no device flow", "switch it on at the server"),
        (_, None) => report.broken("login role", "no client is configured", "set AGENTCTL_CLIENT_ID"),
        (Some(_), Some(client)) => report.ok("login role", format!("client {}", client.value)),
    }
    let poll = metadata.backchannel_token_delivery_modes_supported.iter().any(|mode| mode == "poll");
    match (&metadata.backchannel_authentication_endpoint, app.approval_client().await) {
        (None, _) => report.warn(
            "approval role",
            "impossible: the server has no CIBA, so tools that need an approval will refuse",
            "switch CIBA on at the server (Auth0: an Enterprise feature)",
        ),
        (Some(_), Err(failure)) => report.failed("approval role", &failure),
        (Some(_), Ok(None)) => report.warn(
            "approval role",
            "no client is configured, so tools that need an approval will refuse",
            "set AGENTCTL_APPROVAL_CLIENT_ID, and run `agentctl config client-key approval`",
        ),
        (Some(_), Ok(Some(client))) if !clients::is_confidential(&client) => report.broken(
            "approval role",
            format!("client {} has no credential, and CIBA is for confidential clients", client.id),
            "set AGENTCTL_APPROVAL_CLIENT_SECRET, or run `agentctl config client-key approval`",
        ),
        (Some(_), Ok(Some(_))) if !poll && !metadata.backchannel_token_delivery_modes_supported.is_empty() => report
            .broken(
                "approval role",
                "the server does not offer the poll mode of CIBA",
                "allow `poll` in its delivery modes",
            ),
        (Some(_), Ok(Some(client))) => report.ok("approval role", format!("client {}", client.id)),
    }
    vault(app, config, report).await;
}

/// The client that has tokens of third-party accounts.
async fn vault(app: &App, config: &Config, report: &mut Report<'_>) {
    const ROLE: &str = "vault role";
    let Ok(login) = app.session().await.map(|session| session.client_id().to_owned()) else {
        return report.skipped(ROLE, "no login client is configured");
    };
    let vault = match app.vault(true).await {
        Ok(vault) => vault,
        Err(failure) => return report.failed(ROLE, &failure),
    };
    let needed = app.registry().is_ok_and(|registry| registry.tools().any(|tool| tool.connection().is_some()));
    match vault.ready() {
        Err(vault::Error::NoClient) if !needed => {
            report.skipped(ROLE, "no client is configured, and no tool needs a connected account");
        }
        Err(vault::Error::NoClient) => report.warn(
            ROLE,
            "no client is configured, so tools that need a connected account will refuse",
            "set AGENTCTL_VAULT_CLIENT_ID, and run `agentctl config client-key vault`",
        ),
        Err(error) => report.failed(ROLE, &Failure::from(error)),
        // Token Vault is for clients that prove themselves, the device flow for those that do not.
        Ok(client) if config.provider.value == Provider::Auth0 && client.id == login => report.broken(
            ROLE,
            format!("impossible: {login} is the login client, and at Auth0 no client can be both"),
            "register a confidential client with the grant of Token Vault, and set AGENTCTL_VAULT_CLIENT_ID",
        ),
        Ok(client) => report.ok(ROLE, format!("client {}", client.id)),
    }
}

async fn login(app: &App, report: &mut Report<'_>) {
    let session = match app.session().await {
        Ok(session) => session,
        Err(_) if app.tenant().is_err() => return report.skipped("login", "no tenant is configured"),
        Err(failure) => return report.failed("login", &failure),
    };
    let account = match session.account().await {
        Ok(Some(account)) => account,
        Ok(None) => return report.warn("login", "nobody is logged in", "run `agentctl login`"),
        Err(error) => return report.failed("login", &Failure::from(error)),
    };
    if let Err(error) = session.access_token(&Wanted::default()).await {
        return report.failed("login", &Failure::from(error));
    }
    let mut too_easy = Vec::new();
    for tool in app.registry().iter().flat_map(Registry::tools).filter(|tool| tool.needs_approval()) {
        let (source, audience, scopes) = tool.credential();
        if source != CredentialSource::Approval {
            continue;
        }
        let wanted = Wanted { audience, resource: None, scopes: scopes.to_vec() };
        match session.access_token(&wanted).await {
            Ok(_) => too_easy.push(tool.name().to_owned()),
            // A token that was kept hides that the server has forgotten the login; this request asked it.
            Err(error) if error.login_needed() => return report.failed("login", &Failure::from(error)),
            Err(_) => {}
        }
    }
    report.ok("login", super::whoami::label(&account));
    for name in too_easy {
        report.warn(
            "login",
            format!("the login client can get the scopes of {name} without an approval"),
            "let the API insist on tokens of the approval client with authorization_details (docs/tools.md)",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_decides_the_exit_code() {
        let ui = Ui::test();
        let mut report = Report { ui: &ui, checks: Vec::new() };
        report.ok("a", "fine");
        report.warn("b", "so\nso", "do this");
        assert!(report.finish().is_ok());
        assert_eq!(ui.take().0, "✓ a: fine\n! b: so␊so\n    mend: do this\n");
        let mut report = Report { ui: &ui, checks: Vec::new() };
        report.broken("c", "gone", "buy a new one");
        assert_eq!(report.finish().unwrap_err().kind.exit_code(), 1);
    }
}
