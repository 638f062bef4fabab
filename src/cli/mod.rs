//! The doors: words for people, and the wiring of everything below.
//!
//! [`main`] is the whole program: parse, run one command, report. Parsing never works and working never parses; each
//! subcommand has a file with its `Args`, whose doc comments are its help, and its `run`.

// What every command leans on.
mod app;
mod args;
mod attach;
mod bounds;
mod browser;
mod caller;
mod candidates;
mod clients;
mod complete;
mod failure;
mod finish;
mod history;
mod hygiene;
mod ids;
mod init;
mod line;
mod look;
mod loopback;
mod markdown;
mod open_files;
mod path;
mod prompt;
mod qr;
mod recorded;
mod repl;
mod rows;
mod schema;
mod scratch;
mod show;
mod signals;
mod spinner;
mod stdin;
mod stuck;
mod tty;
mod ui;
mod usage;
mod verdict;
mod verification;
mod words;

// One command each.
mod approvals;
mod audit;
mod can;
mod chat;
mod config;
mod connections;
mod demo;
mod dev;
mod doctor;
mod generate;
mod help;
mod log_trouble;
mod login;
mod logout;
mod model_trouble;
mod panic;
mod profile;
mod resume;
mod run;
mod runs;
mod token;
mod tools;
mod whoami;
mod why;

use std::{borrow::Cow, ffi::OsString, path::PathBuf, process::ExitCode, rc::Rc, sync::Arc};

use clap::{ArgAction, Parser, Subcommand, error::ErrorKind};
use tracing::Level;
use tracing_subscriber::{Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

#[cfg(feature = "fuzzing")]
pub use self::markdown::rendered;
use self::{
    app::App,
    failure::{Failure, Kind},
    look::{ColorChoice, Surroundings},
    ui::{Manner, Ui},
};
use crate::{
    clock::{Clock as _, SharedClock, SystemClock},
    config::{EnvVars, Overrides},
    escape,
};

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
    Resume(resume::Args),
    Approvals(approvals::Args),
    Runs(runs::Args),
    Tools(tools::Args),
    Can(can::Args),
    Why(why::Args),
    Connections(connections::Args),
    Audit(audit::Args),
    Token(token::Args),
    Demo(demo::Args),
    Dev(dev::Args),
    Panic(panic::Args),
    Doctor(doctor::Args),
    Config(config::Args),
    Profile(profile::Args),
    Generate(generate::Args),
    Help(help::Args),
}

/// Runs the program with these arguments, the program's own name first.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    hygiene::keep_memory_private();
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = browser::only_open(&args) {
        return code;
    }
    let env = EnvVars::from_process();
    if candidates::answered(&args, env.as_ref().ok()) {
        return ExitCode::SUCCESS;
    }
    let agent = env.as_ref().is_ok_and(|env| caller::calling_agent(|name| env.get(name).map(str::to_owned)).is_some());
    let mut around = env.as_ref().map_or_else(|_| Surroundings::default(), surroundings);
    around.no_color |= agent;
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &args, around, agent),
    };
    let Global { color, quiet, json, no_input, verbose, .. } = cli.global;
    // Lines of the log and a spinner do not get on with each other.
    let ui = Rc::new(Ui::new(Manner {
        color,
        quiet,
        json,
        no_input,
        still: verbose > 0,
        verbose: verbose > 0,
        mute: false,
        agent,
        around,
    }));
    log(verbose, ui.err().color);
    let result = match (&cli.command, env) {
        (Command::Generate(args), _) => generate::run(args, &ui),
        (Command::Help(args), _) => help::run(args, &ui),
        (_, Err(error)) => Err(error.into()),
        (_, Ok(env)) => work(&cli, env, &ui),
    };
    report(&ui, result)
}

/// Builds what a command needs, and runs it.
fn work(cli: &Cli, env: EnvVars, ui: &Rc<Ui>) -> Result<(), Failure> {
    open_files::for_a_command()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::caused(Kind::Failed, "start", &error))?;
    let folder =
        std::env::current_dir().map_err(|error| Failure::caused(Kind::Failed, "find the working directory", &error))?;
    let clock = clock(&env);
    // Ids hold the time since then, and no token could be valid.
    if clock.now() < chrono::DateTime::UNIX_EPOCH {
        let message = format!("this machine's clock says {}", clock.now().format("%Y-%m-%d"));
        return Err(Failure::new(Kind::Failed, message).hint("set the date, then try again"));
    }
    let app = App::new(Rc::clone(ui), clock, env, overrides(cli), folder);
    let result = runtime.block_on(perform(&cli.command, &app));
    app.tell_log_trouble();
    // Whatever still blocks on another thread, a browser or a read of stdin, is not waited for.
    runtime.shutdown_background();
    result
}

async fn perform(command: &Command, app: &App) -> Result<(), Failure> {
    if command.reads_settings() {
        app.settle().await?;
    }
    match command {
        Command::Login(args) => login::run(app, args).await,
        Command::Logout(args) => logout::run(app, args).await,
        Command::Whoami(args) => whoami::run(app, args).await,
        Command::Run(args) => run::run(app, args).await,
        Command::Chat(args) => chat::run(app, args).await,
        Command::Resume(args) => resume::run(app, args).await,
        Command::Approvals(args) => approvals::run(app, args).await,
        Command::Runs(args) => runs::run(app, args).await,
        Command::Tools(args) => tools::run(app, args).await,
        Command::Can(args) => can::run(app, args).await,
        Command::Why(args) => why::run(app, args).await,
        Command::Connections(args) => connections::run(app, args).await,
        Command::Audit(args) => audit::run(app, args).await,
        Command::Token(args) => token::run(app, args).await,
        Command::Demo(args) => demo::run(app, args).await,
        Command::Dev(args) => dev::run(app, args).await,
        Command::Panic(args) => panic::run(app, args).await,
        Command::Doctor(args) => doctor::run(app, args).await,
        Command::Config(args) => config::run(app, args).await,
        Command::Profile(args) => profile::run(app, args).await,
        Command::Generate(args) => generate::run(args, &app.ui),
        Command::Help(args) => help::run(args, &app.ui),
    }
}

impl Command {
    /// Whether it does what the settings say, so that a `.env` in the working directory matters.
    fn reads_settings(&self) -> bool {
        match self {
            Self::Config(args) => args.reads_settings(),
            Self::Demo(_) | Self::Dev(_) | Self::Generate(_) | Self::Help(_) | Self::Panic(_) | Self::Profile(_) => {
                false
            }
            _ => true,
        }
    }
}

/// What the flags say about settings.
fn overrides(cli: &Cli) -> Overrides {
    let Global { profile, config, env_file, .. } = cli.global.clone();
    let model = match &cli.command {
        Command::Run(args) => args.limits.model.clone(),
        Command::Chat(args) => args.limits.model.clone(),
        Command::Resume(args) => args.limits.model.clone(),
        Command::Config(args) => args.model().cloned(),
        _ => None,
    };
    let store = match &cli.command {
        Command::Login(args) => args.store.clone(),
        _ => None,
    };
    Overrides { profile, config, env_file, model, store }
}

fn surroundings(env: &EnvVars) -> Surroundings {
    Surroundings::read(|name| env.get(name).map(str::to_owned))
}

#[cfg(not(feature = "test-clock"))]
fn clock(_: &EnvVars) -> SharedClock {
    Arc::new(SystemClock::new())
}

/// Process tests move the clock of the program together with the tenant's.
#[cfg(feature = "test-clock")]
fn clock(env: &EnvVars) -> SharedClock {
    match env.get("AGENTCTL_TEST_CLOCK") {
        Some(file) => Arc::new(crate::clock::FileClock::new(file.into())),
        None => Arc::new(SystemClock::new()),
    }
}

/// The log on stderr: our own words only, because other crates do not know what is a secret, and print as it is what came
/// from a server.
fn log(verbose: u8, color: bool) {
    let level = match verbose {
        0 => Level::WARN,
        1 => Level::INFO,
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let ours = Targets::new().with_target(env!("CARGO_PKG_NAME"), level);
    let words = tracing_subscriber::fmt::layer().with_writer(|| stuck::Stderr).with_ansi(color);
    let written = tracing_subscriber::registry().with(words.with_filter(ours));
    // A second call in one process, as tests make it, keeps the first log.
    let _ = written.try_init();
}

/// Help, the version, or a usage error.
fn usage(error: &clap::Error, args: &[OsString], around: Surroundings, agent: bool) -> ExitCode {
    let asked_for = error.exit_code() == 0;
    let json = !asked_for && args::wants_json(args);
    let ui = Ui::new(Manner { json, around, agent, ..Manner::default() });
    let rendered = error.render();
    if json || (agent && !asked_for) {
        let failure = in_json(error.kind(), &rendered.to_string());
        // Whoever reads the events of a run gets its terminal event here as well.
        let is_run = args.iter().any(|arg| arg == "run" || arg == "resume");
        let failure = if is_run { run::close(&ui, SystemClock::new().now(), failure) } else { failure };
        return report(&ui, Err(failure));
    }
    let look = if asked_for { ui.out() } else { ui.err() };
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

/// The parser's words as a failure: its first paragraph, which ends in the names or values it is about, and its tip as a hint.
fn in_json(kind: ErrorKind, text: &str) -> Failure {
    let mut lines = text.lines().map(str::trim);
    let said: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let said = said.join(" ");
    let message = match kind {
        // Its words are the whole help.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing",
        _ => said.strip_prefix("error: ").unwrap_or(&said),
    };
    let tips = lines.filter_map(|line| line.strip_prefix("tip: "));
    tips.fold(Failure::new(Kind::Usage, message), Failure::hint)
        .hint("`agentctl --help` and `agentctl COMMAND --help` list what there is")
}

/// The end: what there is to say is said, and the exit code is found.
fn report(ui: &Ui, result: Result<(), Failure>) -> ExitCode {
    if let Err(failure) = &result {
        ui.failure(failure);
    }
    let written = ui.finish();
    match &written {
        Err(failure) if ui.json() => ui.say_failure(failure),
        Err(failure) => ui.failure(failure),
        Ok(()) => {}
    }
    match result.and(written) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.kind.exit_code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_error_in_json_says_what_is_missing_or_possible() {
        let table: &[(&[&str], &str)] = &[
            (&["approvals", "wait"], "the following required arguments were not provided: <ID>..."),
            (&["tools", "call"], "the following required arguments were not provided: <NAME>"),
            (
                &["run", "--on-approval", "perhaps"],
                "invalid value 'perhaps' for '--on-approval <WHAT>' [possible values: wait, detach, deny]",
            ),
            (&["run", "--max-turns", "0"], "invalid value '0' for '--max-turns <N>': 0 is not in 1..=1000"),
            (&["whoammi"], "unrecognized subcommand 'whoammi'"),
            (&["config"], "a command is missing"),
            (&[], "a command is missing"),
        ];
        for (args, message) in table {
            let error = Cli::try_parse_from(["agentctl"].iter().chain(*args)).unwrap_err();
            let failure = in_json(error.kind(), &error.render().to_string());
            assert_eq!(failure.message, *message, "{args:?}");
        }
        let error = Cli::try_parse_from(["agentctl", "whoammi"]).unwrap_err();
        let hints = in_json(error.kind(), &error.render().to_string()).hints;
        assert_eq!(hints[0], "a similar subcommand exists: 'whoami'");
    }
}
