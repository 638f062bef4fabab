//! What the line editor knows of the shell: what a Tab completes, what is hinted at, and when a message is whole.

use std::{borrow::Cow, path::Path};

use rustyline::{
    Context, Helper,
    completion::{Completer, Pair},
    highlight::Highlighter,
    hint::{Hint, Hinter},
    history::SearchDirection,
    validate::{ValidationContext, ValidationResult, Validator},
};

use crate::escape;

/// The shell's own commands, and what they do.
pub(super) const COMMANDS: &[(&str, &str)] = &[
    ("/help", "this list"),
    ("/tools", "what the agent can do"),
    ("/whoami", "who you are here"),
    ("/approvals", "what waits for your answer"),
    ("/abandon", "give up what waits"),
    ("/new", "forget this conversation and begin another"),
    ("/exit", "leave (so does ^D)"),
];

/// How many names of one folder are looked at.
const MOST_NAMES: usize = 2000;

/// Helps the line editor.
pub(super) struct Help<T> {
    /// Asks for the names of the tools. They are loaded when they are first needed, not before the prompt.
    pub(super) tools: T,
    /// Hints look like what was typed where there are no colours, so then there are none.
    pub(super) hints: bool,
}

impl<T: Fn() -> Vec<String>> Helper for Help<T> {}

impl<T: Fn() -> Vec<String>> Completer for Help<T> {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..at];
        let begin = before
            .rfind(char::is_whitespace)
            .map_or(0, |found| found + before[found..].chars().next().map_or(1, char::len_utf8));
        let word = &before[begin..];
        if begin == 0 && word.starts_with('/') {
            return Ok((0, matching(COMMANDS.iter().map(|(name, _)| (*name).to_owned()), word)));
        }
        // A name with spaces in it stands in quotes.
        if let Some(quote) = before.rfind("@\"").filter(|quote| !before[quote + 2..].contains('"')) {
            return Ok((quote, files(&before[quote + 2..], true)));
        }
        match word.strip_prefix('@') {
            Some(path) => Ok((begin, files(path, false))),
            None if word.is_empty() => Ok((at, Vec::new())),
            None => Ok((begin, matching((self.tools)().into_iter(), word))),
        }
    }
}

fn matching(names: impl Iterator<Item = String>, begin: &str) -> Vec<Pair> {
    let found = names.filter(|name| name.starts_with(begin));
    found.map(|name| Pair { display: name.clone(), replacement: name + " " }).collect()
}

/// Files whose path begins like this.
fn files(path: &str, quoted: bool) -> Vec<Pair> {
    let (folder, begin) = path.rfind('/').map_or(("", path), |at| path.split_at(at + 1));
    let Ok(entries) = std::fs::read_dir(if folder.is_empty() { Path::new(".") } else { Path::new(folder) }) else {
        return Vec::new();
    };
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
                ("@\"", if is_folder { "" } else { "\" " })
            } else {
                ("@", if is_folder { "" } else { " " })
            };
            Some(Pair { replacement: format!("{open}{folder}{name}{close}"), display: name })
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
        if !self.hints || line.is_empty() || at < line.len() {
            return None;
        }
        if line.starts_with('/') {
            let mut found = COMMANDS.iter().filter(|(name, _)| name.starts_with(line));
            let (name, does) = found.next().filter(|_| line.len() > 1)?;
            let rest = &name[line.len()..];
            return found.next().is_none().then(|| Suggestion { shown: format!("{rest}  {does}"), taken: rest.len() });
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
        let whole = is_whole(context.input());
        Ok(if whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// A backslash at the end of a line continues it, and so does a block of code that was begun and not ended.
fn is_whole(input: &str) -> bool {
    let fences = input.lines().filter(|line| line.trim_start().starts_with("```")).count();
    !input.ends_with('\\') && fences % 2 == 0
}

#[cfg(test)]
mod tests {
    use rustyline::history::{History as _, MemHistory};

    use super::*;

    fn help() -> Help<impl Fn() -> Vec<String>> {
        Help { tools: || vec!["buy_product".to_owned(), "search_products".to_owned()], hints: true }
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
    fn hints_show_the_rest() {
        let mut history = MemHistory::new();
        history.add("buy 2 phones\nand more").unwrap();
        let hint = |line: &str, at: usize| {
            let hint = help().hint(line, at, &Context::new(&history))?;
            Some((hint.display().to_owned(), hint.completion().map(str::to_owned)))
        };
        assert_eq!(hint("/he", 3), Some(("lp  this list".to_owned(), Some("lp".to_owned()))));
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
