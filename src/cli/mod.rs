//! The doors: words for people, and the wiring of everything below.
//!
//! [`main`] is the whole program: parse, run one command, report. Parsing never works and working never parses; each
//! subcommand has a file with its `Args`, whose doc comments are its help, and its `run`.

// What every command leans on.
mod args;
mod browser;
mod caller;
mod failure;
mod init;
mod look;
mod prompt;
mod qr;
mod repl;
mod show;
mod signals;
mod spinner;
mod stdin;
mod ui;
mod verdict;
mod verification;

// One command each.
mod audit;
mod chat;
mod config;
mod demo;
mod dev;
mod doctor;
mod generate;
mod login;
mod logout;
mod run;
mod token;
mod tools;
mod whoami;

use std::{borrow::Cow, ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{ArgAction, Parser, Subcommand};

use failure::{Failure, Kind};
use look::{ColorChoice, Surroundings};
use ui::{Manner, Ui};

use crate::escape;

/// An agent shell for the terminal that acts as you, and asks you first
#[derive(Debug, Parser)]
#[command(
    name = "agentctl",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Try it without any account:  agentctl demo
Set it up for your tenant:   agentctl config init

Exit codes:
  0 done   1 failed   2 usage or configuration   4 login needed
  5 account must be connected   10 approval or login pending   11 denied
  12 expired   13 not permitted   14 limit reached   20 model failed
  21 tool failed   124 --timeout   129/130/143 SIGHUP/SIGINT/SIGTERM"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Use this profile of config.toml
    #[arg(short, long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// Read this file instead of config.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read variables from this file (you trust it by naming it)
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Say only what you have to act on
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more about what happens inside (repeat for more)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    color: ColorChoice,
    /// Never ask anything at the terminal
    #[arg(long, global = true)]
    no_input: bool,
    /// Print data as JSON, errors included
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Login(login::Args),
    Logout(logout::Args),
    Whoami(whoami::Args),
    Run(run::Args),
    Chat(chat::Args),
    Tools(tools::Args),
    Audit(audit::Args),
    Token(token::Args),
    Demo(demo::Args),
    Dev(dev::Args),
    Doctor(doctor::Args),
    Config(config::Args),
    Generate(generate::Args),
}

/// Runs the program with these arguments, the program's own name first.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let around = Surroundings::default();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, args::wants_json(&args), around),
    };
    let global = &cli.global;
    let ui = Ui::new(Manner {
        color: global.color,
        quiet: global.quiet,
        json: global.json,
        no_input: global.no_input,
        around,
    });
    let result = match &cli.command {
        Command::Generate(args) => generate::run(args, &ui),
        _ => Err(Failure::new(Kind::Failed, "this is still being built")),
    };
    report(&ui, result)
}

/// Help, the version, or a usage error.
fn usage(error: &clap::Error, json: bool, around: Surroundings) -> ExitCode {
    let ui = Ui::new(Manner { json, around, ..Manner::default() });
    let asked_for = error.exit_code() == 0;
    if json && !asked_for {
        return report(&ui, Err(in_json(&error.render().to_string())));
    }
    let look = if asked_for { ui.out() } else { ui.err() };
    let rendered = error.render();
    // The parser repeats what was typed as it is. Its own text needs no escaping, so what does was typed.
    let text = match escape::text(&rendered.to_string()) {
        Cow::Borrowed(_) if look.color => rendered.ansi().to_string(),
        text => text.into_owned(),
    };
    if asked_for {
        ui.bytes(text.as_bytes());
        return report(&ui, Ok(()));
    }
    ui.usage(&text);
    report(&ui, Err(Failure::new(Kind::Usage, "").told()))
}

/// The parser's words as a failure: its first line, and its tip as a hint.
fn in_json(text: &str) -> Failure {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("the command line makes no sense");
    let tips = lines.filter_map(|line| line.strip_prefix("tip: "));
    let failure = Failure::new(Kind::Usage, first.strip_prefix("error: ").unwrap_or(first));
    tips.fold(failure, Failure::hint).hint("`agentctl --help` and `agentctl COMMAND --help` list what there is")
}

/// The end: what there is to say is said, and the exit code is found.
fn report(ui: &Ui, result: Result<(), Failure>) -> ExitCode {
    if let Err(failure) = &result {
        ui.failure(failure);
    }
    let written = ui.finish();
    if let Err(failure) = &written {
        ui.failure(failure);
    }
    match result.and(written) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.kind.exit_code()),
    }
}
