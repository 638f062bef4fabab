//! `agentctl demo`: the whole story in one command.

use clap::{Args as ClapArgs, ValueEnum};

/// See the whole story on a machine with nothing set up
#[derive(Debug, ClapArgs)]
#[command(after_help = "It starts a tenant of its own, logs in, and gives the task to the agent. You
approve the purchase on the phone page in your browser. Nothing is kept, and
no real account is touched.

Examples:
  agentctl demo
  agentctl demo --phone terminal
  agentctl demo --phone approve \"buy 3 cheap laptops under 900\"")]
pub(crate) struct Args {
    /// What to do
    #[arg(value_name = "TASK", default_value = "buy 2 phones")]
    task: Vec<String>,
    /// Who answers on the phone: you, in a browser or in this terminal, or nobody
    #[arg(long, value_name = "WHO", default_value = "browser")]
    phone: Phone,
}

/// Who answers on the tenant's phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Phone {
    // You, on the phone page.
    Browser,
    // You, here.
    Terminal,
    // It answers by itself after a moment.
    Approve,
    Deny,
}
