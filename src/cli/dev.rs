//! `agentctl dev`: the tenant in a box.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;

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
    /// Allow addresses other machines can reach
    #[arg(long)]
    unsafe_listen: bool,
    /// Seconds between polls that clients are told
    #[arg(long, value_name = "S", default_value_t = 5)]
    interval: u64,
    /// Whose habits to show: auth0, keycloak or oidc
    #[arg(long, value_name = "NAME", default_value = "auth0")]
    preset: String,
    /// The turns the model plays, as a JSON file
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Make what is random repeatable
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}
