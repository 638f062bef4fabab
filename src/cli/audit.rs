//! `agentctl audit`: what was done, and whether the log of it is whole.

use clap::{Args as ClapArgs, Subcommand};

/// Read and verify the log of everything that was done
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl audit list
  agentctl audit list --json | jq .
  agentctl audit verify")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the entries, oldest first
    List {
        /// Only the last N
        #[arg(long, value_name = "N")]
        last: Option<usize>,
    },
    /// Check the chain of hashes; exit code 1 if it is broken
    Verify,
}
