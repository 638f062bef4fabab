//! `agentctl token`: a fresh access token for a script.

use clap::Args as ClapArgs;

/// Print a fresh access token, for scripts
#[derive(Debug, ClapArgs)]
#[command(after_help = "Only the token goes to stdout. There is none for what a tool with an
approval may do, and every use is written to the audit log.

Examples:
  agentctl token
  agentctl token --audience https://api.example --scope read")]
pub(crate) struct Args {
    /// The API it is for
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// The API's address, for servers that go by resource (RFC 8707)
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
    /// A scope it must have (repeat for more)
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
}
