//! `agentctl config`: make, show and find the configuration.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

/// Make, show and find the configuration
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl config init
  agentctl config show
  agentctl config client-key approval")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write a commented config.toml, asking for what is needed
    Init(InitArgs),
    /// Show every setting and where it comes from
    Show,
    /// Print where the configuration file and the other folders are
    Path,
    /// Make a key pair for a client role, or take in its secret
    ClientKey(ClientKeyArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  agentctl config init
  agentctl config init --provider auth0 --issuer https://tenant.eu.auth0.com --client-id abc --model gpt-5-mini")]
struct InitArgs {
    /// What kind of server: auth0, keycloak or oidc
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// The issuer's address
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The public client that logs you in
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The confidential client that asks for approvals
    #[arg(long, value_name = "ID")]
    approval_client_id: Option<String>,
    /// The model
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The model's address, if it is not OpenAI's
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Replace an existing file (the old one is kept beside it)
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Without --secret it makes an ES256 key pair: the private half goes to the
credential store, the public half is printed for registration at the server
(private_key_jwt).

Examples:
  agentctl config client-key approval
  agentctl config client-key approval --secret < secret.txt")]
struct ClientKeyArgs {
    /// Which client: login or approval
    role: Role,
    /// Take in a client secret from stdin instead
    #[arg(long)]
    secret: bool,
}

/// A client role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    Login,
    Approval,
}
