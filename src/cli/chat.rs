//! `agentctl chat`: the shell.

use clap::Args as ClapArgs;

/// Talk with the agent
#[derive(Debug, ClapArgs)]
#[command(after_help = "In the shell, /help lists its commands, a backslash at the end of a line
continues it, ^C clears the line or stops the answer, ^D leaves. Without a
terminal each line of stdin is one message.

Examples:
  agentctl chat
  agentctl chat --model gpt-5-mini")]
pub(crate) struct Args {
    #[command(flatten)]
    limits: super::run::LimitArgs,
}
