//! `agentctl help`: the help of a command, or a page about something that is no command.

use std::fmt::Write as _;

use clap::{Args as ClapArgs, CommandFactory as _};

use super::{
    Cli, caller,
    failure::{Failure, Kind},
    ui::Ui,
};
use crate::config;

/// Show the help of a command or of a topic
#[derive(Debug, ClapArgs)]
#[command(after_help = "Topics: exit-codes, environment, output, security.

Examples:
  agentctl help exit-codes
  agentctl help environment
  agentctl help tools call")]
pub(crate) struct Args {
    /// A topic, or a command
    #[arg(value_name = "TOPIC")]
    words: Vec<String>,
}

/// A page: its name, and what stands on it.
type Topic = (&'static str, fn() -> String);

/// The pages.
const TOPICS: &[Topic] = &[
    ("exit-codes", exit_codes),
    ("environment", environment),
    ("output", || include_str!("help/output.txt").to_owned()),
    ("security", || include_str!("help/security.txt").to_owned()),
];

/// The names of the pages.
pub(crate) fn topics() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().map(|(name, _)| *name)
}

/// Does it.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<(), Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    if let [topic] = words.as_slice()
        && let Some((_, page)) = TOPICS.iter().find(|(name, _)| name == topic)
    {
        ui.bytes(page().as_bytes());
        return Ok(());
    }
    let mut command = Cli::command();
    command.build();
    let mut found = &mut command;
    for word in &words {
        let known: Vec<String> =
            found.get_subcommands().filter(|sub| !sub.is_hide_set()).map(|sub| sub.get_name().to_owned()).collect();
        found = match found.find_subcommand_mut(word) {
            Some(sub) => sub,
            None => return Err(unknown(&words, word, &known)),
        };
    }
    let help = found.render_help();
    let text = if ui.out().color { help.ansi().to_string() } else { help.to_string() };
    ui.bytes(text.as_bytes());
    Ok(())
}

fn unknown(words: &[&str], word: &str, commands: &[String]) -> Failure {
    let topics = TOPICS.iter().map(|(name, _)| *name).filter(|_| words.len() == 1);
    let failure = Failure::new(Kind::Usage, format!("there is no command or topic {}", words.join(" ")));
    let failure = match config::nearest(word, commands.iter().map(String::as_str).chain(topics)) {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure,
    };
    failure.hint("`agentctl --help` lists the commands; topics are exit-codes, environment, output, security")
}

/// The codes, from the one place that has them.
fn exit_codes() -> String {
    let mut page = "Exit codes. They are closed: nothing else is ever returned.\n\n  0    done\n".to_owned();
    for kind in Kind::ALL {
        let _ = writeln!(page, "  {:<4} {}", kind.exit_code(), meaning(kind));
    }
    page + include_str!("help/exit-codes.txt")
}

fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::Failed => "failed",
        Kind::Usage => "the command line or the configuration makes no sense or is incomplete",
        Kind::LoginNeeded => "login needed or expired",
        Kind::ConnectionNeeded => "a third-party account must be connected first",
        Kind::Pending => "an approval or a login is pending; it can be gone on with",
        Kind::Denied => "the approval was denied; final",
        Kind::Expired => "the approval expired; final",
        Kind::NotPermitted => "not permitted, by permission or policy; final",
        Kind::Limit => "a limit was reached: turns, tokens or spend",
        Kind::Model => "the model's server failed",
        Kind::Tool => "a tool failed",
        Kind::Timeout => "the time given by --timeout is over",
        Kind::HungUp => "SIGHUP",
        Kind::Interrupted => "SIGINT",
        Kind::Terminated => "SIGTERM",
    }
}

/// The variables, from the tables that the program itself reads.
fn environment() -> String {
    let mut page =
        "A flag wins over a variable, that over --env-file or a trusted .env, that over the\nprofile. An empty \
                    variable counts as unset.\n\n"
            .to_owned();
    for (name, meaning) in config::VARIABLES {
        let _ = writeln!(page, "  {name}\n      {meaning}");
    }
    page.push_str(include_str!("help/environment.txt"));
    for name in caller::names() {
        let _ = writeln!(page, "  {name}");
    }
    page
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;

    #[test]
    fn every_page_fits_a_terminal_and_names_what_there_is() {
        for (name, page) in TOPICS {
            let page = page();
            assert!(page.ends_with('\n'), "{name}");
            for line in page.lines() {
                assert!(line.chars().count() <= 120, "{name}: {line}");
            }
        }
        let page = exit_codes();
        let readme = include_str!("../../README.md");
        for kind in Kind::ALL {
            let code = kind.exit_code().to_string();
            assert!(page.contains(&format!("\n  {code} ")), "{code}");
            assert!(
                readme.contains(&format!("| {code} ")) || readme.contains(&format!("/ {code} ")),
                "{code} in README"
            );
        }
        assert!(environment().contains("OPENAI_API_KEY") && environment().contains("CLAUDECODE"));
    }

    #[test]
    fn pages_and_commands_are_found_and_guessed() {
        let help = |words: &[&str]| {
            let ui = Ui::test();
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            run(&Args { words }, &ui).map(|()| ui.take().0)
        };
        assert!(help(&["output"]).unwrap().contains("stdout"));
        assert!(help(&["tools", "call"]).unwrap().contains("Usage: agentctl tools call"));
        assert!(help(&[]).unwrap().contains("Usage: agentctl"));
        assert_eq!(help(&["exit-code"]).unwrap_err().hints[0], "did you mean exit-codes?");
        assert_eq!(help(&["tools", "lits"]).unwrap_err().hints[0], "did you mean list?");
        assert_eq!(help(&["zzzzzz"]).unwrap_err().kind, Kind::Usage);
    }

    /// The words of a line as a shell would find them: quotes, comments, pipes; what is redirected is left out. Each
    /// command of a pipeline by itself.
    fn commands(line: &str) -> Vec<Vec<String>> {
        let mut all = vec![Vec::new()];
        let (mut word, mut open, mut quote) = (String::new(), false, None);
        let mut skip = false;
        let end = |word: &mut String, open: &mut bool, all: &mut Vec<Vec<String>>, skip: &mut bool| {
            if std::mem::take(open) && !std::mem::take(skip) {
                all.last_mut().unwrap().push(std::mem::take(word));
            }
            word.clear();
        };
        for c in line.chars() {
            match (quote, c) {
                (Some(mark), c) if c == mark => quote = None,
                (Some(_), c) => word.push(c),
                (None, '"' | '\'') => (quote, open) = (Some(c), true),
                (None, '#') if !open => break,
                (None, ' ') => end(&mut word, &mut open, &mut all, &mut skip),
                (None, '|' | ';') => {
                    end(&mut word, &mut open, &mut all, &mut skip);
                    all.push(Vec::new());
                }
                (None, '<' | '>') => {
                    end(&mut word, &mut open, &mut all, &mut skip);
                    skip = true;
                }
                (None, c) => {
                    word.push(c);
                    open = true;
                }
            }
        }
        end(&mut word, &mut open, &mut all, &mut skip);
        all
    }

    /// Does something with every command that is offered, given its words.
    fn each(command: &clap::Command, path: &str, see: &mut dyn FnMut(&clap::Command, &str)) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            see(sub, &path);
            each(sub, &path, see);
        }
    }

    fn after_help(command: &clap::Command) -> String {
        command.get_after_help().map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn every_command_has_examples_of_its_own_and_all_of_them_parse() {
        let mut bare = Vec::new();
        each(&Cli::command(), "agentctl", &mut |command, path| {
            let help = after_help(command);
            let examples = help.split_once("Examples:").or(help.split_once("Example:")).map_or("", |(_, lines)| lines);
            let examples = examples.split("\n\n").next().unwrap_or_default().replace("\\\n", " ");
            let lines = examples.lines().flat_map(|line| commands(line.trim()));
            let ours: Vec<_> = lines.filter(|words| words.first().is_some_and(|word| word == "agentctl")).collect();
            for words in &ours {
                let parsed = Cli::try_parse_from(words);
                assert!(parsed.is_ok(), "{path}: {words:?}: {}", parsed.unwrap_err());
            }
            // The example of another command shows nothing of this one.
            let own: Vec<String> = path.split(' ').map(str::to_owned).collect();
            if !ours.iter().any(|words| words.starts_with(&own)) {
                bare.push(path.to_owned());
            }
        });
        assert!(bare.is_empty(), "without an example: {bare:?}");
    }

    /// The parser wraps this text at the width of the terminal: an example in two lines is two commands.
    #[test]
    fn examples_are_printed_as_they_are_written_on_80_columns() {
        let mut narrow = Cli::command().term_width(80);
        narrow.build();
        let mut split = Vec::new();
        each(&narrow, "agentctl", &mut |command, path| {
            let shown = command.clone().render_help().to_string();
            let lines: Vec<&str> = shown.lines().collect();
            assert!(lines.iter().all(|line| line.chars().count() <= 80), "{path} is wider:\n{shown}");
            let written = after_help(command);
            split.extend(written.lines().filter(|line| !lines.contains(line)).map(|line| format!("{path}: {line}")));
        });
        assert!(split.is_empty(), "not whole at 80 columns:\n{}", split.join("\n"));
    }
}
