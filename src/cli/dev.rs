//! `agentctl dev`: the tenant in a box.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args as ClapArgs;

use super::{
    app::App,
    failure::{Failure, Kind},
    scratch::Scratch,
    ui::{Line, Ui},
};
use crate::dev::{self, Options, Preset, Ready};

/// Run a whole tenant on this machine: login, phone, shop, model
#[derive(Debug, ClapArgs)]
#[command(after_help = "It listens on 127.0.0.1 only, makes new keys at each start and keeps nothing.
Put the exports it prints into another terminal, and use agentctl there.

Examples:
  agentctl dev
  agentctl dev --json --listen 127.0.0.1:0 --manage 127.0.0.1:0")]
pub(crate) struct Args {
    /// Where the tenant listens
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the management API listens
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    manage: SocketAddr,
    /// Allow addresses that other machines can reach
    #[arg(long)]
    unsafe_listen: bool,
    /// Seconds between polls that clients are told
    #[arg(long, value_name = "S", default_value_t = 5)]
    interval: u64,
    /// Seconds during which a rotated refresh token may be used once more
    #[arg(long, value_name = "S", default_value_t = 0)]
    leeway: u64,
    /// Whose habits to show: auth0, keycloak or oidc
    #[arg(long, value_name = "NAME", default_value = "auth0")]
    preset: Preset,
    /// The turns the model plays, as a JSON file
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Make the model's chance repeatable
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// Does it, until a signal comes.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let mut stop = app.stop(None)?;
    let options = Options {
        listen: args.listen,
        manage: args.manage,
        interval_s: args.interval,
        preset: args.preset,
        script: args.script.as_ref().map(script).transpose()?,
        seed: args.seed,
        leeway_s: args.leeway,
        unsafe_listen: args.unsafe_listen,
    };
    let tenant = dev::start(options, app.clock.clone()).await?;
    let home = Scratch::new("agentctl-dev")?;
    announce(&app.ui, &tenant.ready(home.path(), &Scratch::secret()));
    tokio::select! {
        biased;
        // The ordinary end of a server: its exit code says which signal it was, and there is nothing to add.
        failure = stop.next() => Err(failure.told()),
        served = tenant.run() => Ok(served?),
    }
}

fn script(path: &PathBuf) -> Result<serde_json::Value, Failure> {
    let unusable =
        |why: String| Failure::new(Kind::Usage, format!("failed to read the script {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))
}

/// What another terminal, or another program, needs. The exports alone go to stdout, so that `source` can read them.
fn announce(ui: &Ui, ready: &Ready) {
    ui.say(Line::new().warn("WARNING! ").plain(dev::WARNING));
    if ui.json() {
        return ui.data(&ready.json());
    }
    ui.say(Line::new().plain("  issuer      ").address(&ready.issuer));
    ui.say(Line::new().plain("  phone       ").address(&ready.phone_url));
    ui.say(Line::new().plain("  management  ").whole(&ready.manage_url).dim("  Bearer ").whole(&ready.manage_token));
    ui.say("Put these lines into another terminal, then try `agentctl login` there. ^C ends the tenant.");
    ui.say("");
    for (name, value) in &ready.env {
        ui.answer(&format!("export {name}={}", quoted(value)));
    }
}

/// A word of a POSIX shell.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_words_of_a_shell() {
        assert_eq!(quoted("http://127.0.0.1:1/v1"), "http://127.0.0.1:1/v1");
        assert_eq!(quoted("openid profile"), "'openid profile'");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
