//! `agentctl logout`: revoke this machine's grant and forget it.

use clap::Args as ClapArgs;

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
