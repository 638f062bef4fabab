//! `agentctl login`: the device flow (RFC 8628) as a person sees it.

use std::time::Duration;

use clap::Args as ClapArgs;

/// Log in with your browser, on this device or another
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl login
  agentctl login --no-browser          over SSH: open the address on your phone or laptop
  agentctl login --store file          where there is no keyring
  agentctl login --json --no-wait      print what a person must do, and return (exit 10)
  agentctl login --complete            go on with that login")]
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
    /// Ask for this scope as well (repeat for more)
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Where to keep the login: keyring or file
    #[arg(long, value_name = "KIND")]
    store: Option<String>,
    /// Give up after this time (90, 90s, 5m)
    #[arg(long, value_name = "TIME", value_parser = super::args::duration)]
    timeout: Option<Duration>,
}
