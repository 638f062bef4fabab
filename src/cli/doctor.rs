//! `agentctl doctor`: is the set-up whole, and how to mend what is not.

use clap::Args as ClapArgs;

/// Check the set-up and say how to mend it
#[derive(Debug, ClapArgs)]
#[command(after_help = "Exit code 1 means that something is broken.

Examples:
  agentctl doctor
  agentctl doctor --json | jq '.checks[] | select(.state != \"ok\")'")]
pub(crate) struct Args {}
