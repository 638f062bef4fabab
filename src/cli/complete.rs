//! What the line editor knows of the shell: what a Tab completes, what is hinted at, and when a message is whole.

use std::{borrow::Cow, path::PathBuf};

use rustyline::{
    Context, Helper,
    completion::{Completer, Pair},
    highlight::Highlighter,
    hint::{Hint, Hinter},
    history::SearchDirection,
    validate::{ValidationContext, ValidationResult, Validator},
};

use super::chat::commands::{self, COMMANDS, Command, Takes};
use crate::{config::expanded, escape};

/// How many names of one folder are looked at.
const MOST_NAMES: usize = 2000;

/// Names that are asked for when a Tab needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Of tools.
    Tools,
    /// Of a tool's parameters, each with its `=`.
    Parameters(String),
    /// Ids of conversations.
    Runs,
    /// What the profile calls its models.
    Models,
}

/// Helps the line editor.
pub(super) struct Help<T> {
    /// Asks for names. They are looked up when they are first needed, not before the prompt.
    pub(super) names: T,
    /// Hints look like what was typed where there are no colours, so then there are none.
    pub(super) hints: bool,
    /// A short answer is being typed, no message.
    pub(super) question: bool,
}

impl<T: Fn(Wanted) -> Vec<String>> Helper for Help<T> {}

impl<T: Fn(Wanted) -> Vec<String>> Completer for Help<T> {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        if self.question {
            return Ok((at, Vec::new()));
        }
        let before = &line[..at];
        let begin = before
            .rfind(char::is_whitespace)
            .map_or(0, |found| found + before[found..].chars().next().map_or(1, char::len_utf8));
        let word = &before[begin..];
        if begin == 0 && word.starts_with('/') {
            return Ok((0, matching(COMMANDS.iter().map(|command| command.name.to_owned()), word)));
        }
        if let Some(command) = before.split_whitespace().next().and_then(commands::find) {
            return Ok(self.argument(command, before, begin));
        }
        // A name with spaces in it stands in quotes.
        if let Some(quote) = before.rfind("@\"").filter(|quote| !before[quote + 2..].contains('"')) {
            return Ok((quote, files(&before[quote + 2..], "@", true)));
        }
        match word.strip_prefix('@') {
            Some(path) => Ok((begin, files(path, "@", false))),
            None if word.is_empty() => Ok((at, Vec::new())),
            None => Ok((begin, matching((self.names)(Wanted::Tools).into_iter(), word))),
        }
    }
}

impl<T: Fn(Wanted) -> Vec<String>> Help<T> {
    /// What a command of the shell takes, from `begin` on.
    fn argument(&self, command: &Command, before: &str, begin: usize) -> (usize, Vec<Pair>) {
        let word = &before[begin..];
        let place = before[..begin].split_whitespace().count();
        let found = match (command.takes, place) {
            (Takes::File, _) => {
                let quote = before.find('"').filter(|quote| !before[quote + 1..].contains('"'));
                return match quote {
                    Some(quote) => (quote, files(&before[quote + 1..], "", true)),
                    None => (begin, files(word, "", false)),
                };
            }
            (Takes::Command, 1) => {
                let bare = COMMANDS.iter().map(|command| command.name.trim_start_matches('/').to_owned());
                matching(bare, word)
            }
            (Takes::Call, 1) => matching((self.names)(Wanted::Tools).into_iter(), word),
            (Takes::Call, _) => {
                let tool = before.split_whitespace().nth(1).unwrap_or_default().to_owned();
                let mut found = matching((self.names)(Wanted::Parameters(tool)).into_iter(), word);
                // A value follows at once.
                found.iter_mut().for_each(|pair| pair.replacement.truncate(pair.display.len()));
                found
            }
            (Takes::Run, 1) => matching((self.names)(Wanted::Runs).into_iter(), word),
            (Takes::Model, 1) => matching((self.names)(Wanted::Models).into_iter(), word),
            _ => Vec::new(),
        };
        (begin, found)
    }
}

fn matching(names: impl Iterator<Item = String>, begin: &str) -> Vec<Pair> {
    let found = names.filter(|name| name.starts_with(begin));
    found.map(|name| Pair { display: name.clone(), replacement: name + " " }).collect()
}

/// Files whose path begins like this; `sign` stands before each.
fn files(path: &str, sign: &str, quoted: bool) -> Vec<Pair> {
    let (folder, begin) = path.rfind('/').map_or(("", path), |at| path.split_at(at + 1));
    let place = if folder.is_empty() { PathBuf::from(".") } else { expanded(folder) };
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let mut found: Vec<Pair> = entries
        .take(MOST_NAMES)
        .flatten()
        .filter_map(|entry| {
            let mut name = entry.file_name().into_string().ok()?;
            // The editor prints names as they are.
            let plain = matches!(escape::field(&name), Cow::Borrowed(_)) && !name.contains('"');
            if !plain || !name.starts_with(begin) || (name.starts_with('.') && begin.is_empty()) {
                return None;
            }
            let is_folder = entry.path().is_dir();
            if is_folder {
                name.push('/');
            }
            let spaced = quoted || folder.contains(' ') || name.contains(' ');
            let (open, close) = if spaced {
                ("\"", if is_folder { "" } else { "\" " })
            } else {
                ("", if is_folder { "" } else { " " })
            };
            Some(Pair { replacement: format!("{sign}{open}{folder}{name}{close}"), display: name })
        })
        .collect();
    found.sort_by(|a, b| a.display.cmp(&b.display));
    found
}

/// What could follow, and what of it is taken over.
pub(super) struct Suggestion {
    shown: String,
    taken: usize,
}

impl Hint for Suggestion {
    fn display(&self) -> &str {
        &self.shown
    }

    fn completion(&self) -> Option<&str> {
        (self.taken > 0).then(|| &self.shown[..self.taken])
    }
}

impl<T> Hinter for Help<T> {
    type Hint = Suggestion;

    fn hint(&self, line: &str, at: usize, context: &Context<'_>) -> Option<Suggestion> {
        if !self.hints || self.question || line.is_empty() || at < line.len() {
            return None;
        }
        if line.starts_with('/') && !line.contains(char::is_whitespace) {
            let mut found = COMMANDS.iter().filter(|command| command.name.starts_with(line));
            let command = found.next().filter(|_| line.len() > 1)?;
            let (rest, arguments) = (&command.name[line.len()..], command.arguments);
            let gap = if arguments.is_empty() { "" } else { " " };
            let shown = format!("{rest}{gap}{arguments}  {}", command.does);
            return found.next().is_none().then_some(Suggestion { shown, taken: rest.len() });
        }
        // The last entry that begins like this, its first line only.
        let last = context.history().len().checked_sub(1)?;
        let found = context.history().starts_with(line, last, SearchDirection::Reverse).ok()??;
        let rest = found.entry.get(line.len()..)?.lines().next().filter(|rest| !rest.is_empty())?;
        let plain = matches!(escape::field(rest), Cow::Borrowed(_));
        plain.then(|| Suggestion { shown: rest.to_owned(), taken: rest.len() })
    }
}

impl<T> Highlighter for Help<T> {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        let dim = anstyle::Style::new().dimmed();
        Cow::Owned(format!("{dim}{hint}{dim:#}"))
    }
}

impl<T> Validator for Help<T> {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let whole = self.question || is_whole(context.input());
        Ok(if whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// A backslash at the end of a line continues it, and so does a block of code that was begun and not ended.
pub(super) fn is_whole(input: &str) -> bool {
    let fences = input.lines().filter(|line| line.trim_start().starts_with("```")).count();
    !input.ends_with('\\') && fences % 2 == 0
}

#[cfg(test)]
mod tests {
    use rustyline::history::{History as _, MemHistory};

    use super::*;

    fn help() -> Help<impl Fn(Wanted) -> Vec<String>> {
        let names = |wanted| {
            let names: &[&str] = match wanted {
                Wanted::Tools => &["buy_product", "search_products"],
                Wanted::Parameters(tool) if tool == "buy_product" => &["product=", "qty="],
                Wanted::Parameters(_) => &[],
                Wanted::Runs => &["run_1", "run_2"],
                Wanted::Models => &["fast"],
            };
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        Help { names, hints: true, question: false }
    }

    fn complete(line: &str) -> Vec<String> {
        let history = MemHistory::new();
        let (begin, found) = help().complete(line, line.len(), &Context::new(&history)).unwrap();
        found.iter().map(|pair| format!("{}{}", &line[..begin], pair.replacement)).collect()
    }

    #[test]
    fn commands_tools_and_files_are_completed() {
        assert_eq!(complete("/h"), ["/help "]);
        assert_eq!(complete("/").len(), COMMANDS.len());
        assert_eq!(complete("use b"), ["use buy_product "]);
        assert_eq!(complete("é b"), ["é buy_product "]);
        assert_eq!(complete("use "), Vec::<String>::new());
        let folder = tempfile::tempdir().unwrap();
        for name in ["one.txt", "one more", "\u{202e}one", ".one"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::create_dir(folder.path().join("ones")).unwrap();
        let path = folder.path().display().to_string();
        let expected =
            [format!("see @\"{path}/one more\" "), format!("see @{path}/one.txt "), format!("see @{path}/ones/")];
        assert_eq!(complete(&format!("see @{path}/o")), expected);
        assert_eq!(complete(&format!("see @\"{path}/one m")), [format!("see @\"{path}/one more\" ")]);
        assert_eq!(complete(&format!("see @{path}/")).len(), 3, "what is hidden is named by its dot");
        assert_eq!(complete("see @/no/such/folder/x"), Vec::<String>::new());
    }

    #[test]
    fn commands_know_what_they_take() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a talk.md"), "").unwrap();
        let path = folder.path().display().to_string();
        let talk = format!("/save \"{path}/a talk.md\" ");
        let table: [(String, &[&str]); 9] = [
            ("/can b".into(), &["/can buy_product "]),
            ("/can buy_product q".into(), &["/can buy_product qty="]),
            ("/can other ".into(), &[]),
            ("/resume ".into(), &["/resume run_1 ", "/resume run_2 "]),
            ("/model f".into(), &["/model fast "]),
            ("/help cl".into(), &["/help clear "]),
            ("/tools b".into(), &[]),
            (format!("/save {path}/a"), &[&talk]),
            (format!("/save \"{path}/a t"), &[&talk]),
        ];
        for (line, expected) in table {
            assert_eq!(complete(&line), expected, "{line}");
        }
        let history = MemHistory::new();
        let asked = Help { question: true, ..help() };
        assert!(asked.complete("/h", 2, &Context::new(&history)).unwrap().1.is_empty());
    }

    #[test]
    fn hints_show_the_rest() {
        let mut history = MemHistory::new();
        history.add("buy 2 phones\nand more").unwrap();
        let hint = |line: &str, at: usize| {
            let hint = help().hint(line, at, &Context::new(&history))?;
            Some((hint.display().to_owned(), hint.completion().map(str::to_owned)))
        };
        let shown = |line: &str| hint(line, line.len()).unwrap_or_default();
        assert_eq!(shown("/too"), ("ls  what the agent can do".to_owned(), Some("ls".to_owned())));
        assert_eq!(shown("/model").0, " [NAME]  the model that answers, or another one");
        assert_eq!(hint("/model f", 8), None);
        assert_eq!(hint("buy", 3), Some((" 2 phones".to_owned(), Some(" 2 phones".to_owned()))));
        assert_eq!((hint("/", 1), hint("buy", 1), hint("sell", 4), hint("", 0)), (None, None, None, None));
    }

    #[test]
    fn a_message_is_whole_or_goes_on() {
        for (input, whole) in [
            ("buy", true),
            ("buy \\", false),
            ("```", false),
            ("see\n```rust\nfn main() {}", false),
            ("see\n```rust\nfn main() {}\n```", true),
            ("what is ``` here", true),
        ] {
            assert_eq!(is_whole(input), whole, "{input:?}");
        }
    }
}
