//! `agentctl run`: one task, from the first prompt to an exit code.

use std::time::Duration;

use clap::Args as ClapArgs;

/// Do one task and exit
#[derive(Debug, ClapArgs)]
#[command(after_help = "stdout carries the answer and nothing else. With --json it carries one
event a line, the last of which is run.completed, run.refused, run.pending
or run.failed.

Examples:
  agentctl run \"buy 2 phones\"
  echo \"what phones are there\" | agentctl run
  agentctl run --json --timeout 5m \"buy 2 phones under 900\" | jq -r .type")]
pub(crate) struct Args {
    /// What to do; `-` or nothing reads it from a pipe
    #[arg(value_name = "TASK")]
    task: Vec<String>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Give up after this time (90, 90s, 5m)
    #[arg(long, value_name = "TIME", value_parser = super::args::duration)]
    timeout: Option<Duration>,
}

/// What bounds a run; `chat` and `demo` have it, too.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct LimitArgs {
    /// Ask this model
    #[arg(short, long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Ask the model at most this often for one task
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) max_turns: Option<u32>,
}
