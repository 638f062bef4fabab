//! `agentctl login`: the device flow (RFC 8628) as a person sees it.

use anstyle::Style;
use std::{pin::pin, time::Duration};

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::{
    app::App,
    browser,
    failure::{Failure, Kind},
    show::{news_text, rfc3339},
    spinner::Wait,
    ui::Line,
    verification::Verification,
    whoami,
};
use crate::{
    config::Source,
    session::{self, Account, DeviceLogin, Extra, Session},
    store::stop,
};

/// Log in with your browser, on this device or another
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl login
  agentctl login --no-browser       # over SSH: open the address elsewhere
  agentctl login --store file       # where there is no keyring
  agentctl login --json --no-wait   # print what a person must do (exit code 10)
  agentctl login --complete         # go on with that login")]
pub(crate) struct Args {
    /// Never open a browser
    #[arg(long)]
    no_browser: bool,
    /// Print the address and the code, and return instead of waiting (exit 10)
    #[arg(long, conflicts_with = "complete")]
    no_wait: bool,
    /// Go on with a login begun by --no-wait
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    complete: Option<String>,
    /// Ask for a token for this API as well
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// The same for servers that go by resource
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
    /// Ask for this scope as well (repeat for more)
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Where to keep the login: keyring or file
    #[arg(long, value_name = "KIND")]
    pub(super) store: Option<String>,
    /// Give up after this time (90, 90s, 5m); an answer that is on its way has 3 seconds more
    #[arg(long, value_name = "TIME", value_parser = super::args::duration)]
    timeout: Option<Duration>,
}

/// How much longer than `--timeout` an answer is waited for that is on its way when the time is over: it may be the login.
const MOMENT: Duration = Duration::from_secs(3);

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let mut stop = app.stop(args.timeout)?;
    let (session, login) = stop.or(begin(app, args)).await?;
    let limit = stop.left();
    stop.allow(MOMENT);
    let finished = stop.or(finish(app, args, session, login, limit)).await;
    app.ui.end_wait();
    finished.map_err(|failure| match failure.kind {
        Kind::Timeout if failure.hints.is_empty() => failure.hint("`agentctl whoami` shows whether you are logged in"),
        _ => failure,
    })
}

/// Takes it to the point where the person is waited for.
async fn begin<'a>(app: &'a App, args: &Args) -> Result<(&'a Session, DeviceLogin), Failure> {
    let session = app.session().await?;
    if !app.store()?.lasts() {
        return Err(Failure::new(Kind::Usage, "a login in memory would end with this command")
            .hint("choose another place: `agentctl login --store keyring` or `--store file`"));
    }
    if let Some(id) = &args.complete {
        let id = Some(id.as_str()).filter(|id| !id.is_empty());
        let login = app.patiently(async { Ok(session.parked_login(id).await?) }).await?;
        return Ok((session, login));
    }
    let extra = Extra { audience: args.audience.clone(), resource: args.resource.clone(), scopes: args.scopes.clone() };
    // The store is asked before the person is, and made to keep something: a keyring that is missing or locked, or a key file
    // that opens nothing, must not cost them a finished login.
    app.patiently(async { Ok(app.store()?.data_key().await.map(drop)?) }).await?;
    let before = app.patiently(async { Ok(session.account().await?) }).await;
    let before = before.or_else(|failure| if failure.kind == Kind::LoginNeeded { Ok(None) } else { Err(failure) })?;
    let mut login = session.begin_login(&extra).await?;
    if args.no_wait {
        let id = app.patiently(async { Ok(session.park_login(&mut login).await?) }).await?.to_string();
        // Another process finds the login only where this one put it.
        let place = args.store.as_ref().map(|store| format!(" --store {store}")).unwrap_or_default();
        return Err(parked(app, session, &login, &id, &format!("agentctl login --complete {id}{place}")));
    }
    if let Some(account) = before {
        app.ui.status(Line::new().dim("Logged in so far: ").words(&whoami::label(&account)));
    }
    verification(app, session, &login).show(&app.ui, app.ui.size());
    Ok((session, login))
}

fn verification<'a>(app: &App, session: &'a Session, login: &'a DeviceLogin) -> Verification<'a> {
    Verification {
        issuer: session.issuer(),
        uri: login.verification_uri(),
        uri_complete: login.verification_uri_complete(),
        user_code: login.user_code(),
        expires_in: login.deadline().saturating_sub(app.clock.elapsed()),
    }
}

/// The login stays open for another process. It is not an error of anybody, but it is not a login either.
fn parked(app: &App, session: &Session, login: &DeviceLogin, id: &str, go_on: &str) -> Failure {
    let failure = Failure::new(Kind::Pending, "the login waits for you to finish it in a browser")
        .hint(format!("then run `{go_on}`"));
    if !app.ui.json() {
        verification(app, session, login).show(&app.ui, app.ui.size());
        app.ui.say(Line::new().plain("When you have finished there, run ").styled(Style::new().bold(), go_on));
        return failure.told();
    }
    let mut object = failure.to_json();
    object["login"] = json!({
        "id": id,
        "issuer": session.issuer(),
        "user_code": login.user_code(),
        "verification_uri": login.verification_uri(),
        "verification_uri_complete": login.verification_uri_complete(),
        "expires_at": rfc3339(login.expires_at()),
    });
    app.ui.data(&object);
    failure.told()
}

/// Waits for the person, and opens the page for them if they want it.
async fn finish(
    app: &App,
    args: &Args,
    session: &Session,
    login: DeviceLogin,
    limit: Option<Duration>,
) -> Result<(), Failure> {
    let ui = &app.ui;
    let page = login.openable().filter(|_| !args.no_browser && args.complete.is_none() && ui.can_ask());
    let page = page.filter(|_| app.config().is_ok_and(|config| config.browser));
    if page.is_some() {
        // A line of its own: beside the spinner there is no room for it on a terminal of 80 columns.
        ui.status("Press Enter to open the page in a browser on this machine.");
    }
    let left = login.deadline().saturating_sub(app.clock.elapsed());
    ui.begin_wait(Wait::for_person("Waiting for you to finish in the browser", left, "^C to cancel", &app.clock));
    let tell = |news| ui.wait_news(&news_text(&news));
    let stop = login.stop().clone();
    let mut finished = pin!(session.finish_login(login, limit, &tell));
    let mut page = page;
    let account = loop {
        tokio::select! {
            biased;
            account = &mut finished => break account,
            line = app.lines.next(), if page.is_some() => {
                // A closed stdin opens nothing.
                if let (Ok(Some(_)), Some(page)) = (line, page.take()) {
                    browser::open(page.as_str(), &app.config()?.key_vars);
                }
            }
            never = app.heartbeats() => match never {},
        }
    };
    ui.end_wait();
    let account = account.map_err(|error| match error {
        // A login that was not begun with --no-wait is written down nowhere, so nothing can go on with it.
        session::Error::StillPending if args.complete.is_none() => {
            Failure::new(Kind::Timeout, "the time given by --timeout is over, and the login is not finished")
                .hint("run `agentctl login` again; what --no-wait begins, --complete can go on with")
        }
        session::Error::Stopped(error) => stopped(error),
        error => error.into(),
    })?;
    if stop.lift().map_err(stopped)? {
        app.ui.status("The stop of `agentctl panic` is over.");
    }
    welcome(app, &account)
}

/// A login that began before a stop comes to nothing: it may be what the person stopped.
fn stopped(error: stop::Error) -> Failure {
    match error {
        stop::Error::Stopped { at, .. } => {
            let what = format!("everything was stopped with `agentctl panic` at {at}, after this login had begun");
            Failure::new(Kind::NotPermitted, format!("{what}; nothing came of it")).hint("run `agentctl login` again")
        }
        error => Failure::caused(Kind::Failed, "end the stop", &error),
    }
}

fn welcome(app: &App, account: &Account) -> Result<(), Failure> {
    let (profile, store) = (&app.config()?.profile.value, app.store()?.describe());
    if app.ui.json() {
        let object: Value =
            json!({ "schema_version": 1, "ok": true, "account": account, "profile": profile, "store": store });
        app.ui.data(&object);
        return Ok(());
    }
    let line = Line::new().good("✓ ").plain("Logged in as ").bold(&whoami::name(account));
    let line = line.dim("  (sub ").dim_field(&account.sub).dim(", profile ").dim_said(profile);
    app.ui.say(line.dim(", ").dim_said(&store).dim(")"));
    let store = &app.config()?.store;
    let kind = store.value;
    if store.source == Source::Flag && app.env.get("AGENTCTL_STORE") != Some(kind.to_string().as_str()) {
        let hint =
            format!("set AGENTCTL_STORE={kind}, or store in the profile, so that later commands look there, too");
        app.ui.hint(&hint);
    }
    if !account.refreshable {
        app.ui.warn("the server gave no refresh token, so this login ends with its first access token");
        app.ui.hint("let the client have refresh tokens, and ask for the scope offline_access");
    }
    Ok(())
}
