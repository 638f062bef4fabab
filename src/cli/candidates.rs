//! What a shell completes beside the words of the command line itself: profiles, runs, approvals, tools, models, toolsets.
//!
//! The scripts that `agentctl generate completions` prints call this program at each Tab, with [`VARIABLE`] set. Then it
//! only looks at files: no network, no keyring, no question. What cannot be read is completed to nothing, without a word.

use std::{ffi::OsString, io, path::PathBuf, rc::Rc, sync::Arc};

use clap::{Command, CommandFactory as _};
use clap_complete::{
    engine::{ArgValueCandidates, CompletionCandidate},
    env::{CompleteEnv, Shells},
};

use super::{
    Cli,
    app::App,
    failure::{Failure, Kind},
    profile,
    ui::{Manner, Ui},
};
use crate::{
    clock::SystemClock,
    config::{Config, EnvVars, Key, Overrides},
    escape,
    store::journal::{ApprovalFilter, Journal, SavedRun},
};

/// The variable by which a script asks for candidates; its value is the name of the shell.
const VARIABLE: &str = "AGENTCTL_COMPLETE";
/// How zsh is told who completes, in a script that is sourced.
const ZSH_REGISTERS: &str = "\ncompdef _clap_dynamic_completer_agentctl agentctl\n";
const ZSH_REGISTERS_OR_COMPLETES: &str = "
if [ \"$funcstack[1]\" = _agentctl ]; then
    _clap_dynamic_completer_agentctl \"$@\"
else
    compdef _clap_dynamic_completer_agentctl agentctl
fi
";
/// So many runs or approvals are offered at most, the newest first.
const MOST: usize = 50;

/// One kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Profiles,
    Models,
    Tools,
    Toolsets,
    Runs,
    Conversations,
    WaitingRuns,
    Approvals,
    OpenApprovals,
    Topics,
    Settings,
}

/// Which argument of which command takes which names. `tests` fails if one is not there.
const PLACES: &[(&[&str], &str, Names)] = &[
    (&[], "profile", Names::Profiles),
    (&["run"], "model", Names::Models),
    (&["run"], "tools", Names::Tools),
    (&["chat"], "model", Names::Models),
    (&["chat"], "resume", Names::Conversations),
    (&["resume"], "model", Names::Models),
    (&["resume"], "run", Names::WaitingRuns),
    (&["runs", "show"], "id", Names::Runs),
    (&["runs", "delete"], "id", Names::Runs),
    (&["approvals", "show"], "id", Names::Approvals),
    (&["approvals", "wait"], "ids", Names::OpenApprovals),
    (&["approvals", "abandon"], "id", Names::OpenApprovals),
    (&["tools", "show"], "name", Names::Tools),
    (&["tools", "call"], "name", Names::Tools),
    (&["tools", "check"], "file", Names::Toolsets),
    (&["can"], "tool", Names::Tools),
    (&["audit", "list"], "run", Names::Runs),
    (&["audit", "list"], "tool", Names::Tools),
    (&["audit", "export"], "run", Names::Runs),
    (&["audit", "export"], "tool", Names::Tools),
    (&["config", "set-key"], "name", Names::Models),
    (&["config", "get"], "key", Names::Settings),
    (&["config", "set"], "key", Names::Settings),
    (&["config", "unset"], "key", Names::Settings),
    (&["profile", "use"], "name", Names::Profiles),
    (&["help"], "words", Names::Topics),
];

/// Answers a shell that asks for candidates. False if nobody asks, and the program is to run.
pub(super) fn answered(args: &[OsString], env: Option<&EnvVars>) -> bool {
    let Some(env) = env.filter(|env| env.get(VARIABLE).is_some_and(|shell| !shell.is_empty() && shell != "0")) else {
        return false;
    };
    let folder = std::env::current_dir().ok();
    let known = Known::new(env.clone(), overrides(args), folder.clone().unwrap_or_default());
    let asked = CompleteEnv::with_factory(|| command(&known)).var(VARIABLE).bin("agentctl").completer("agentctl");
    // Whoever pressed Tab is in the middle of a line: an error would be written into it.
    let _ = asked.try_complete(args.iter().cloned(), folder.as_deref());
    true
}

/// The script of a shell, which has to be loaded once and then calls this program.
pub(super) fn script(shell: &str) -> Result<Vec<u8>, Failure> {
    let mut script = Vec::new();
    let written = match Shells::builtins().completer(shell) {
        Some(shell) => shell.write_registration(VARIABLE, "agentctl", "agentctl", "agentctl", &mut script),
        None => Err(io::Error::other("there is no such shell")),
    };
    written.map_err(|error| Failure::caused(Kind::Failed, &format!("write the script of {shell}"), &error))?;
    let script = String::from_utf8_lossy(&script);
    // A file on zsh's path of functions is the function itself, at its first call.
    Ok(script.replace(ZSH_REGISTERS, ZSH_REGISTERS_OR_COMPLETES).trim_start().into())
}

/// The command line, with candidates.
fn command(known: &Known) -> Command {
    PLACES.iter().fold(Cli::command(), |command, (path, argument, names)| {
        let (known, names) = (known.clone(), *names);
        let candidates = ArgValueCandidates::new(move || known.candidates(names));
        at(command, path, &mut |command| command.mut_arg(argument, |argument| argument.add(candidates.clone())))
    })
}

/// The command with one of its subcommands changed.
fn at(command: Command, path: &[&str], change: &mut dyn FnMut(Command) -> Command) -> Command {
    match path {
        [] => change(command),
        [first, rest @ ..] => command.mut_subcommand(first, |sub| at(sub, rest, change)),
    }
}

/// The flags of the line that is being typed which say where settings are.
fn overrides(args: &[OsString]) -> Overrides {
    let mut found = Overrides::default();
    let mut words = args.iter().skip_while(|word| *word != "--").skip(1).filter_map(|word| word.to_str()).peekable();
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (word, words.peek().map(|next| (*next).to_owned())),
        };
        match flag {
            "-p" | "--profile" => found.profile = value,
            "--config" => found.config = value.map(PathBuf::from),
            "--env-file" => found.env_file = value.map(PathBuf::from),
            _ => {}
        }
    }
    found
}

/// What is known on this machine.
#[derive(Clone, Debug)]
struct Known {
    env: EnvVars,
    overrides: Overrides,
    folder: PathBuf,
}

impl Known {
    fn new(env: EnvVars, overrides: Overrides, folder: PathBuf) -> Self {
        Self { env, overrides, folder }
    }

    fn candidates(&self, names: Names) -> Vec<CompletionCandidate> {
        let ui = Rc::new(Ui::new(Manner { mute: true, ..Manner::default() }));
        let mut overrides = self.overrides.clone();
        if names == Names::Profiles {
            // It is being typed.
            overrides.profile = None;
        }
        let app = App::new(ui, Arc::new(SystemClock::new()), self.env.clone(), overrides, self.folder.clone());
        let found = find(&app, names).unwrap_or_default();
        // A name that a shell would read as more than a word is not offered to it.
        let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/@+".contains(c));
        let candidates = found.into_iter().filter(|(name, _)| !name.is_empty() && plain(name)).enumerate();
        candidates.map(|(at, (name, about))| shown(&name, &about).display_order(Some(at))).collect()
    }
}

fn shown(name: &str, about: &str) -> CompletionCandidate {
    let about = about.split(['\n', '.']).next().unwrap_or_default();
    let about: String = escape::field(about).chars().take(80).collect();
    CompletionCandidate::new(name).help((!about.is_empty()).then(|| about.into()))
}

/// The names, and what is said about each.
fn find(app: &App, names: Names) -> Result<Vec<(String, String)>, Failure> {
    let bare = |name: String| (name, String::new());
    Ok(match names {
        Names::Profiles => profile::names(app)?.into_iter().map(bare).collect(),
        Names::Models => app.config()?.models.iter().cloned().map(bare).collect(),
        Names::Topics => {
            let commands = Cli::command();
            let commands = commands.get_subcommands().filter(|sub| !sub.is_hide_set());
            let about = |sub: &Command| sub.get_about().map(ToString::to_string).unwrap_or_default();
            let commands = commands.map(|sub| (sub.get_name().to_owned(), about(sub)));
            super::help::topics().map(|name| bare(name.to_owned())).chain(commands).collect()
        }
        Names::Settings => {
            let mut keys: Vec<String> = Key::fixed().map(str::to_owned).collect();
            let rows = app.config().map(Config::rows).unwrap_or_default();
            let set = rows.into_iter().map(|(name, ..)| name).filter(|name| Key::find(name).is_ok());
            keys.extend(set.filter(|name| !Key::fixed().any(|key| key == name)));
            keys.into_iter().map(bare).collect()
        }
        Names::Tools => {
            let registry = app.registry()?;
            registry.tools().map(|tool| (tool.name().to_owned(), tool.description().to_owned())).collect()
        }
        Names::Toolsets => {
            let folder = app.config()?.dirs.config.join("toolsets");
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let files =
                entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "toml"));
            let mut files: Vec<String> = files.filter_map(|path| path.to_str().map(str::to_owned)).collect();
            files.sort();
            files.into_iter().map(bare).collect()
        }
        Names::Runs | Names::Conversations | Names::WaitingRuns => {
            let Some(journal) = journal(app)? else { return Ok(Vec::new()) };
            let runs = if names == Names::WaitingRuns { journal.waiting_runs()? } else { journal.runs()? };
            let fits = |run: &SavedRun| names != Names::Conversations || !run.row.is_single_call();
            runs.into_iter().filter(fits).take(MOST).map(|run| (run.row.id.to_string(), run.row.title)).collect()
        }
        Names::Approvals | Names::OpenApprovals => {
            let Some(journal) = journal(app)? else { return Ok(Vec::new()) };
            let rows = journal.approvals(&ApprovalFilter { run: None, open: names == Names::OpenApprovals })?;
            let about = |row: &crate::store::journal::ApprovalRow| row.asked.binding_message.clone();
            rows.iter().take(MOST).map(|row| (row.asked.id.to_string(), about(row))).collect()
        }
    })
}

/// The journal, if there is one: a Tab makes none.
fn journal(app: &App) -> Result<Option<Rc<Journal>>, Failure> {
    if !Journal::lies_in(&app.config()?.dirs.state) {
        return Ok(None);
    }
    app.journal().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(home: &std::path::Path) -> Known {
        let home = home.to_str().unwrap().to_owned();
        let env = EnvVars::from_pairs([("AGENTCTL_HOME", home.as_str())]);
        Known::new(env, Overrides::default(), PathBuf::from("/"))
    }

    #[test]
    fn every_place_is_one() {
        let home = tempfile::tempdir().unwrap();
        for (path, argument, _) in PLACES {
            let mut command = &Cli::command();
            for word in *path {
                command = command.get_subcommands().find(|sub| sub.get_name() == *word).unwrap();
            }
            assert!(command.get_arguments().any(|one| one.get_id() == *argument), "{path:?} {argument}");
        }
        command(&known(home.path())).debug_assert();
    }

    #[test]
    fn a_tab_makes_no_files_and_offers_no_more_than_words() {
        let home = tempfile::tempdir().unwrap();
        let known = known(home.path());
        let names = |names: Names| -> Vec<String> {
            known.candidates(names).iter().map(|one| one.get_value().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(Names::Runs), Vec::<String>::new());
        assert_eq!(names(Names::Approvals), Vec::<String>::new());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        std::fs::write(home.path().join("config.toml"), "[profiles.work]\n[profiles.\"$(rm)\"]\n").unwrap();
        assert_eq!(names(Names::Profiles), ["work", "default"]);
        assert!(names(Names::Topics).contains(&"exit-codes".to_owned()));
        std::fs::write(home.path().join("config.toml"), "no settings at all").unwrap();
        assert_eq!(names(Names::Profiles), Vec::<String>::new());
    }

    #[test]
    fn the_line_says_which_profile() {
        let read = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            overrides(&words)
        };
        assert_eq!(read(&["agentctl", "--", "agentctl", "-p", "work", "resume"]).profile.as_deref(), Some("work"));
        assert_eq!(read(&["agentctl", "--", "agentctl", "--profile=home"]).profile.as_deref(), Some("home"));
        let file = read(&["agentctl", "--", "agentctl", "--config", "a.toml", "runs"]).config;
        assert_eq!(file, Some(PathBuf::from("a.toml")));
        assert!(read(&["agentctl", "-p", "x", "--", "agentctl"]).profile.is_none());
    }

    #[test]
    fn what_is_said_about_a_name_is_one_plain_line() {
        let one = shown("a", "buy \u{1b}[31mred\nand more");
        assert_eq!(one.get_help().unwrap().to_string(), "buy ␛[31mred");
    }
}
