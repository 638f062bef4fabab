//! `agentctl tools`: the tools there are, and a call without a model.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

/// List, show, check and call tools
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl tools list
  agentctl tools show buy_product
  agentctl tools call buy_product --arg product=phones --arg qty=2
  agentctl tools check my-tools.toml")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the tools, and those that are not offered and why
    List,
    /// Show one tool with its parameters
    Show {
        /// Which tool
        name: String,
    },
    /// Check a manifest for mistakes
    Check {
        /// The manifest (TOML)
        file: PathBuf,
    },
    /// Call a tool without a model; permission, approval and audit are the same
    Call(CallArgs),
}

#[derive(Debug, ClapArgs)]
struct CallArgs {
    /// Which tool
    name: String,
    /// An argument; read as JSON where the tool wants something other than text (repeat for more)
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    arguments: Vec<String>,
    /// All arguments as one JSON object
    #[arg(long, value_name = "JSON", conflicts_with = "arguments")]
    args_json: Option<String>,
    /// Give up after this time (90, 90s, 5m)
    #[arg(long, value_name = "TIME", value_parser = super::args::duration)]
    timeout: Option<Duration>,
}
