//! `agentctl logout`: revoke this machine's grant and forget it.

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::{
    app::App,
    failure::{Failure, Kind, chain},
    profile,
    ui::Line,
    whoami,
};
use crate::session::{LogoutReport, Revoked};

/// Log out: revoke this login at the server and delete it here
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl logout
  agentctl logout --all --yes")]
pub(crate) struct Args {
    /// Log out of every profile, not only of the one in use
    #[arg(long)]
    all: bool,
    /// Do not ask before logging out of every profile
    #[arg(short, long)]
    yes: bool,
}

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let mut stop = app.stop(None)?;
    stop.or(log_out(app, args)).await
}

async fn log_out(app: &App, args: &Args) -> Result<(), Failure> {
    if !args.all {
        let report = app.patiently(async { Ok(app.session().await?.logout(None).await?) }).await?;
        return tell(app, &[(app.config()?.profile.value.clone(), report)]);
    }
    let profiles = profile::names(app)?;
    if !args.yes && app.ui.can_ask() {
        app.ui.say(format!("This logs out of every profile here: {}.", profiles.join(", ")));
        app.ui.say("Some servers (Auth0) end the logins of your other machines with it. Tokens that are out live until they expire.");
        let answer = app.lines.ask(&app.ui, &*app.clock, "Go on? [y/N]").await;
        let yes = matches!(answer, Ok(Some(text)) if matches!(text.trim(), "y" | "yes"));
        if !yes {
            return Err(Failure::new(Kind::Failed, "nothing was changed"));
        }
    } else if !args.yes {
        return Err(Failure::new(Kind::Usage, "logging out of every profile needs your word").hint("add --yes"));
    }
    let mut reports = Vec::new();
    for profile in profiles {
        // The profile in use may stand in no file: then only this very program can name it.
        let other = if profile == app.config()?.profile.value { None } else { Some(app.of_profile(&profile)) };
        let app = other.as_ref().unwrap_or(app);
        if let Err(failure) = app.tenant() {
            app.ui.warn(&format!("profile {profile} is left out: {}", failure.message));
            continue;
        }
        reports.push((profile, app.session().await?.logout(None).await?));
    }
    tell(app, &reports)
}

fn tell(app: &App, reports: &[(String, LogoutReport)]) -> Result<(), Failure> {
    if app.ui.json() {
        let profiles: Vec<Value> = reports
            .iter()
            .map(|(profile, report)| {
                let (revoked, error) = match &report.revoked {
                    Revoked::Done => ("done", None),
                    Revoked::Nothing => ("nothing", None),
                    Revoked::Failed(error) => ("failed", Some(chain(error))),
                };
                json!({ "profile": profile, "account": report.account, "revoked": revoked, "error": error })
            })
            .collect();
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "profiles": profiles }));
        return Ok(());
    }
    for (profile, LogoutReport { account, revoked }) in reports {
        let who = account.as_ref().map_or_else(|| "nobody".to_owned(), whoami::name);
        match revoked {
            Revoked::Nothing if account.is_none() => {
                app.ui.status(format!("Nobody was logged in (profile {profile})."))
            }
            Revoked::Done | Revoked::Nothing => {
                let line = Line::new().good("✓ ").plain("Logged out: ").bold(&who);
                app.ui.status(line.dim("  (profile ").dim_field(profile).dim(")"));
            }
            Revoked::Failed(error) => {
                let why = chain(error);
                app.ui.warn(&format!("{who} is logged out here, but the login is not revoked at the server: {why}"));
                app.ui.hint("the login lives at the server until it expires; you can end it on the server's own pages");
            }
        }
    }
    Ok(())
}
