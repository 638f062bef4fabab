//! `agentctl generate`: completions and man pages, made from the command line's own definition, and the schema of events.

use std::{fs, io, path::PathBuf};

use clap::{Args as ClapArgs, CommandFactory as _, Subcommand, ValueEnum};

use super::{
    Cli, candidates,
    failure::{Failure, Kind},
    schema,
    ui::Ui,
};

/// Print shell completions or a schema, or write man pages
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  source <(agentctl generate completions bash)   # this shell only
  agentctl generate completions fish > ~/.config/fish/completions/agentctl.fish
  agentctl generate man ~/.local/share/man/man1
  agentctl generate events-schema > events.schema.json")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print the completion script of a shell
    #[command(after_help = "Examples:
  source <(agentctl generate completions bash)   # this shell only
  agentctl generate completions fish > ~/.config/fish/completions/agentctl.fish
  agentctl generate completions zsh > _agentctl   # into a folder of $fpath")]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the man pages, one for each command, into a folder
    #[command(after_help = "Example:
  agentctl generate man ~/.local/share/man/man1")]
    Man {
        /// The folder; it is made if it does not exist
        folder: PathBuf,
    },
    /// Print the JSON Schema of the lines of `run --json`
    #[command(after_help = "Example:
  agentctl generate events-schema > events.schema.json")]
    EventsSchema,
}

/// The shells there are completions for. (Doc comments on the values would turn every `--help` into its long form.)
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    #[value(name = "powershell")]
    Power,
}

/// Does it.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<(), Failure> {
    match &args.what {
        What::Completions { shell } => {
            ui.bytes(&completions(*shell)?);
            Ok(())
        }
        What::EventsSchema => {
            let text = serde_json::to_string_pretty(&schema::events());
            let text = text.map_err(|error| Failure::caused(Kind::Failed, "write the schema", &error))?;
            ui.bytes(format!("{text}\n").as_bytes());
            Ok(())
        }
        What::Man { folder } => {
            let failed = |error: io::Error| {
                Failure::new(Kind::Failed, format!("failed to write man pages to {}: {error}", folder.display()))
            };
            fs::create_dir_all(folder).map_err(failed)?;
            for (name, page) in man_pages().map_err(failed)? {
                fs::write(folder.join(name), page).map_err(failed)?;
            }
            Ok(())
        }
    }
}

fn completions(shell: Shell) -> Result<Vec<u8>, Failure> {
    candidates::script(match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::Elvish => "elvish",
        Shell::Power => "powershell",
    })
}

/// Every page and its file name.
fn man_pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut pages = Vec::new();
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    collect(&command, "agentctl", &mut pages)?;
    Ok(pages)
}

fn collect(command: &clap::Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone().display_name(name)).title(name.to_uppercase());
    man.render(&mut page)?;
    pages.push((format!("{name}.1"), page));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        collect(sub, &format!("{name}-{}", sub.get_name()), pages)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `agentctl generate man man` and one `agentctl generate completions SHELL` for each file mend a difference.
    #[test]
    fn the_committed_files_are_what_is_generated() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut names = Vec::new();
        for (name, page) in man_pages().unwrap() {
            let file = root.join("man").join(&name);
            assert!(fs::read(&file).unwrap_or_default() == page, "man/{name} is not what is generated");
            names.push(name);
        }
        let kept = fs::read_dir(root.join("man")).unwrap().map(|entry| entry.unwrap().file_name());
        for name in kept.map(|name| name.into_string().unwrap()) {
            assert!(names.contains(&name), "man/{name} belongs to no command");
        }
        let shells = [
            (Shell::Bash, "agentctl.bash"),
            (Shell::Zsh, "_agentctl"),
            (Shell::Fish, "agentctl.fish"),
            (Shell::Elvish, "agentctl.elv"),
            (Shell::Power, "_agentctl.ps1"),
        ];
        for (shell, name) in shells {
            let file = root.join("completions").join(name);
            assert!(
                fs::read(&file).unwrap_or_default() == completions(shell).unwrap(),
                "completions/{name} is out of date"
            );
        }
    }
}
