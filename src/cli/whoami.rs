//! `agentctl whoami`: the effective identity, and where each value comes from.

use clap::Args as ClapArgs;

/// Show who you are here, and where each setting comes from
#[derive(Debug, ClapArgs)]
#[command(after_help = "Nothing is asked over the network. Exit code 4 means that nobody is logged in.

Examples:
  agentctl whoami
  agentctl whoami --json")]
pub(crate) struct Args {}
