//! `agentctl connections`: accounts at third parties that the tenant holds for the person.

use std::{pin::pin, time::Duration};

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::{
    app::App,
    browser,
    failure::{Failure, Kind},
    loopback::{Answer, Loopback},
    recorded::Recorded,
    show::rfc3339,
    spinner::Wait,
    ui::Line,
};
use crate::{
    oauth::{
        my_account::{self, Api, Connect, ConnectedAccount, Started},
        pkce,
    },
    secret::AccessToken,
    session::vault,
};

/// List, connect and disconnect accounts at third parties
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl connections list
  agentctl connections connect okta
  agentctl connections disconnect okta")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the connected accounts, and what can be connected
    #[command(after_help = "Example:
  agentctl connections list")]
    List,
    /// Connect an account, in a browser on this machine
    Connect(ConnectArgs),
    /// Remove a connected account from the tenant
    Disconnect(DisconnectArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "The link must be opened on this machine: the tenant checks that the browser is
where the connection was begun, and the browser comes back to this program. Over
SSH that is not possible: connect the account on a machine with a browser, with
the same login; it holds for all of them.

Examples:
  agentctl connections connect okta
  agentctl connections connect okta --scope okta.users.read")]
struct ConnectArgs {
    /// The connection's name at the tenant
    name: String,
    /// Connect with exactly this scope (repeat for more); without it, with what your tools need and what it had before
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Never open a browser
    #[arg(long)]
    no_browser: bool,
    /// Give up after this time (90, 90s, 5m)
    #[arg(long, value_name = "TIME", value_parser = super::args::duration)]
    timeout: Option<Duration>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "The tenant forgets the account; the third party is not told, and goes on
trusting the tenant until you end that on its own pages.

Examples:
  agentctl connections disconnect okta
  agentctl connections disconnect cac_2b6f --yes")]
struct DisconnectArgs {
    /// The connection's name, or the account's id
    which: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::List => app.stop(None)?.or(list(app)).await,
        What::Connect(args) => connect(app, args).await,
        What::Disconnect(args) => app.stop(None)?.or(disconnect(app, args)).await,
    }
}

async fn list(app: &App) -> Result<(), Failure> {
    let api = api(app)?;
    let token = token(app, my_account::READ).await?;
    let accounts = api.accounts(&token, None).await.map_err(vault::Error::MyAccount)?;
    let connections = api.connections(&token).await.map_err(vault::Error::MyAccount)?;
    if app.ui.json() {
        let accounts: Vec<Value> = accounts.iter().map(describe).collect();
        let connections: Vec<Value> = connections
            .iter()
            .map(|one| json!({ "name": one.name, "strategy": one.strategy, "scopes": one.scopes }))
            .collect();
        let object = json!({ "schema_version": 1, "ok": true, "accounts": accounts, "connections": connections });
        app.ui.data(&object);
        return Ok(());
    }
    if accounts.is_empty() {
        app.ui.status("No account is connected.");
    }
    for account in &accounts {
        let ended = account.expires_at.is_some_and(|at| at <= app.clock.now());
        let mut line = Line::new().bold(&account.connection).dim("  ").field(&account.id);
        if let Some(since) = account.created_at {
            line = line.dim_field(&format!("  since {}", rfc3339(since)));
        }
        if let Some(until) = account.expires_at {
            line = line.dim_field(&format!("  {} {}", if ended { "ended" } else { "until" }, rfc3339(until)));
        }
        app.ui.answer_line(&line);
        app.ui.answer_line(&Line::new().dim("    scopes  ").words(&account.scopes.join(" ")));
    }
    let connected = |name: &str| accounts.iter().any(|account| account.connection == name);
    for connection in connections.iter().filter(|connection| !connected(&connection.name)) {
        app.ui.status(Line::new().dim("can be connected: ").field(&connection.name));
    }
    Ok(())
}

fn describe(account: &ConnectedAccount) -> Value {
    json!({
        "id": account.id,
        "connection": account.connection,
        "scopes": account.scopes,
        "created_at": account.created_at.map(rfc3339),
        "expires_at": account.expires_at.map(rfc3339),
    })
}

async fn connect(app: &App, args: &ConnectArgs) -> Result<(), Failure> {
    let mut stop = app.stop(args.timeout)?;
    let api = api(app)?;
    let account = stop.or(app.logged_in()).await?;
    let scopes = stop.or(scopes(app, &api, args)).await?;
    let what = json!({ "connection": args.name, "scopes": scopes });
    let recorded = stop.or(Recorded::begin(app, &account, "agentctl connections connect", what)).await?;
    let connected = stop.or(through_browser(app, &api, args, &scopes, &recorded)).await;
    app.ui.end_wait();
    let outcome = match &connected {
        Ok(account) => json!({ "outcome": "done", "account": account.id, "scopes": account.scopes }),
        Err(failure) => json!({ "outcome": failure.kind.word(), "message": failure.message }),
    };
    recorded.end(outcome)?;
    let account = connected?;
    let lacks: Vec<&str> = scopes.iter().filter(|scope| !account.scopes.contains(scope)).map(String::as_str).collect();
    if !lacks.is_empty() {
        app.ui.warn(&format!("it was connected without {}", lacks.join(" ")));
    }
    if app.ui.json() {
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "account": describe(&account) }));
        return Ok(());
    }
    let line =
        Line::new().good("✓ ").plain("Connected ").bold(&account.connection).dim_field(&format!("  {}", account.id));
    app.ui.say(line);
    Ok(())
}

/// What the account is connected with: what was asked for, or what the tools of this profile need of it and what it had.
async fn scopes(app: &App, api: &Api<'_>, args: &ConnectArgs) -> Result<Vec<String>, Failure> {
    let mut scopes: Vec<String> =
        args.scopes.iter().flat_map(|scope| scope.split_whitespace()).map(str::to_owned).collect();
    if scopes.is_empty() {
        let registry = app.registry()?;
        let needed = registry.tools().filter_map(|tool| tool.connection()).filter(|(name, _)| *name == args.name);
        scopes.extend(needed.flat_map(|(_, scopes)| scopes.iter().cloned()));
        let token = token(app, my_account::READ).await?;
        let accounts = api.accounts(&token, Some(&args.name)).await.map_err(vault::Error::MyAccount)?;
        let had = accounts.into_iter().filter(|account| account.connection == args.name);
        scopes.extend(had.flat_map(|account| account.scopes));
    }
    scopes.sort_unstable();
    scopes.dedup();
    Ok(scopes)
}

/// The whole way: begin, let the person consent, wait for the browser, complete.
async fn through_browser(
    app: &App,
    api: &Api<'_>,
    args: &ConnectArgs,
    scopes: &[String],
    recorded: &Recorded<'_>,
) -> Result<ConnectedAccount, Failure> {
    let loopback = Loopback::open().await?;
    let (redirect_uri, verifier) = (loopback.redirect_uri(), pkce::verifier()?);
    let wanted = Connect {
        connection: &args.name,
        scopes,
        redirect_uri: &redirect_uri,
        state: loopback.state(),
        code_challenge: &pkce::challenge(&verifier),
    };
    let begun = api.connect(&token(app, my_account::CREATE).await?, &wanted).await;
    let started = begun.map_err(vault::Error::MyAccount)?;
    let code = match wait(app, args, loopback, &started).await? {
        Answer::Code(code) => code,
        Answer::Denied => return Err(Failure::new(Kind::Denied, format!("{} was not connected: denied", args.name))),
        Answer::Failed(words) => {
            return Err(Failure::new(Kind::Failed, format!("{} was not connected: {words}", args.name))
                .hint("check the connection at the tenant, then try again"));
        }
    };
    let token = token(app, my_account::CREATE).await?;
    recorded.may_go_on()?;
    let completed = api.complete(&token, &started.auth_session, &code, &redirect_uri, &verifier).await;
    Ok(completed.map_err(vault::Error::MyAccount)?)
}

/// Shows the link, opens it if the person wants that, and waits until the browser comes back.
async fn wait(app: &App, args: &ConnectArgs, loopback: Loopback, started: &Started) -> Result<Answer, Failure> {
    let (ui, link) = (&app.ui, started.link.as_str());
    // Its time runs already while it is shown.
    let mut over = pin!(app.clock.sleep(started.expires_in));
    ui.say(Line::new().plain("To connect ").field(&args.name).plain(", open this in a browser on this machine"));
    ui.say("");
    ui.say(Line::new().plain("    ").address(link));
    ui.say("");
    let mut asks = !args.no_browser && ui.can_ask() && app.config()?.browser && browser::may_open(link);
    if asks {
        ui.status("Press Enter to open it.");
    }
    let what = "Waiting for you to finish in the browser";
    ui.begin_wait(Wait::for_person(what, started.expires_in, "^C to cancel", &app.clock));
    let mut answer = pin!(loopback.answer(&*app.clock));
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => {
                ui.end_wait();
                return answer;
            }
            () = &mut over => {
                let why = format!("{} was not connected in time", args.name);
                return Err(Failure::new(Kind::Expired, why).hint("run the command again"));
            }
            line = app.lines.next(), if asks => {
                // A closed stdin opens nothing.
                if matches!(line, Ok(Some(_))) {
                    browser::open(link, &app.config()?.key_vars);
                }
                asks = false;
            }
            never = app.heartbeats() => match never {},
        }
    }
}

async fn disconnect(app: &App, args: &DisconnectArgs) -> Result<(), Failure> {
    let api = api(app)?;
    let person = app.logged_in().await?;
    let accounts = api.accounts(&token(app, my_account::READ).await?, None).await.map_err(vault::Error::MyAccount)?;
    let account = choose(&accounts, &args.which)?;
    if !args.yes {
        if !app.ui.can_ask() {
            return Err(Failure::new(Kind::Usage, "disconnecting an account needs your word").hint("add --yes"));
        }
        app.ui.say(
            Line::new()
                .plain("Tools that use ")
                .field(&account.connection)
                .plain(" will be refused until it is connected again."),
        );
        app.ui.say("The third party itself is not told: end its trust in the tenant on its own pages.");
        let question =
            Line::new().plain("Disconnect ").bold(&account.connection).dim_field(&format!(" {}", account.id));
        let answer = app.lines.ask(&app.ui, &*app.clock, question.plain("? [y/N]")).await;
        if !matches!(answer, Ok(Some(text)) if matches!(text.trim(), "y" | "yes")) {
            return Err(Failure::new(Kind::Failed, "nothing was changed"));
        }
    }
    let what = json!({ "connection": account.connection, "account": account.id });
    let recorded = Recorded::begin(app, &person, "agentctl connections disconnect", what).await?;
    let deleted = async {
        let token = token(app, my_account::DELETE).await?;
        recorded.may_go_on()?;
        Ok(api.delete(&token, &account.id).await.map_err(vault::Error::MyAccount)?)
    };
    let deleted: Result<(), Failure> = deleted.await;
    let outcome = match &deleted {
        Ok(()) => json!({ "outcome": "done" }),
        Err(failure) => json!({ "outcome": failure.kind.word(), "message": failure.message }),
    };
    recorded.end(outcome)?;
    deleted?;
    if app.ui.json() {
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "account": describe(account) }));
        return Ok(());
    }
    app.ui.status(
        Line::new().good("✓ ").plain("Disconnected ").bold(&account.connection).dim_field(&format!("  {}", account.id)),
    );
    app.ui.hint("the third party was not told; end its trust in the tenant on its own pages");
    Ok(())
}

/// The account of this id, or the only one of this connection.
fn choose<'a>(accounts: &'a [ConnectedAccount], which: &str) -> Result<&'a ConnectedAccount, Failure> {
    if let Some(account) = accounts.iter().find(|account| account.id == which) {
        return Ok(account);
    }
    let mut named = accounts.iter().filter(|account| account.connection == which);
    match (named.next(), named.next()) {
        (Some(account), None) => Ok(account),
        (None, _) => Err(Failure::new(Kind::Failed, format!("no account of {which} is connected"))
            .hint("`agentctl connections list` shows what is")),
        (Some(_), Some(_)) => Err(Failure::new(Kind::Usage, format!("several accounts of {which} are connected"))
            .hint("name one of them by its id (`agentctl connections list`)")),
    }
}

/// The tenant's API about connected accounts, where there is one.
fn api(app: &App) -> Result<Api<'_>, Failure> {
    let issuer = app.tenant()?;
    let provider = app.config()?.provider.value;
    if !provider.has_my_account() {
        return Err(Failure::new(
            Kind::Usage,
            format!("servers of the kind {provider} let no program connect accounts"),
        )
        .hint("connect them on the server's own pages about your account (docs/connections.md)"));
    }
    Ok(Api::new(app.http()?, issuer)?)
}

/// A token for that API.
async fn token(app: &App, scope: &str) -> Result<AccessToken, Failure> {
    let session = app.session().await?;
    app.patiently(async { Ok(session.my_account_token(scope).await?) }).await.map_err(|failure| {
        let set_up = matches!(failure.kind, Kind::NotPermitted | Kind::Failed);
        if set_up { failure.hint("docs/connections.md lists what the tenant needs for it") } else { failure }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_named_by_its_id_or_by_its_connection_alone() {
        let account = |id: &str, connection: &str| ConnectedAccount {
            id: id.to_owned(),
            connection: connection.to_owned(),
            scopes: Vec::new(),
            created_at: None,
            expires_at: None,
        };
        let accounts = [account("cac_1", "okta"), account("cac_2", "mail"), account("cac_3", "mail")];
        let chosen = |which| choose(&accounts, which).map(|account| account.id.as_str());
        assert_eq!(chosen("okta").unwrap(), "cac_1");
        assert_eq!(chosen("cac_3").unwrap(), "cac_3");
        assert_eq!(chosen("mail").unwrap_err().kind, Kind::Usage);
        assert_eq!(chosen("calendar").unwrap_err().kind, Kind::Failed);
    }
}
