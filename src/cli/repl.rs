//! The line editor of `chat`, on a thread of its own: it blocks while it reads, and the runtime must not.
//!
//! Its terminal is raw only while a line is being read. Then ^C comes as [`Input::Cleared`]; at any other time it is the
//! signal.

use std::{path::PathBuf, sync::mpsc as requests};

use rustyline::{
    Completer, Config, Editor, Helper, Highlighter, Hinter,
    error::ReadlineError,
    history::{FileHistory, History as _},
    validate::{ValidationContext, ValidationResult, Validator},
};
use tokio::sync::mpsc;

const PROMPT: &str = "agentctl> ";

/// How many lines are remembered.
const HISTORY: usize = 2000;

/// What the person entered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A message, which may have several lines.
    Line(String),
    /// ^C: what was typed is dropped.
    Cleared,
    /// ^D on an empty line, or the end of the input.
    End,
    /// The terminal does not work.
    Broken(String),
}

/// The editor, seen from the runtime's side.
#[derive(Debug)]
pub(crate) struct Repl {
    requests: requests::Sender<()>,
    inputs: mpsc::UnboundedReceiver<Input>,
    asked: bool,
}

impl Repl {
    /// Starts the editor. Lines are remembered in `history`, which only this person can read; if it cannot be read or
    /// written, nothing is remembered.
    pub(crate) fn start(history: Option<PathBuf>) -> Self {
        let (requests, asked) = requests::channel::<()>();
        let (answers, inputs) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut editor = match editor(history.as_ref()) {
                Ok(editor) => editor,
                Err(error) => {
                    let _ = answers.send(Input::Broken(error.to_string()));
                    return;
                }
            };
            while asked.recv().is_ok() {
                if answers.send(read(&mut editor, history.as_ref())).is_err() {
                    return;
                }
            }
        });
        Self { requests, inputs, asked: false }
    }

    /// The next input. May be dropped and asked again.
    pub(crate) async fn next(&mut self) -> Input {
        if !std::mem::replace(&mut self.asked, true) {
            // If the thread is gone, its last word is still in the channel.
            let _ = self.requests.send(());
        }
        let input = self.inputs.recv().await;
        self.asked = false;
        input.unwrap_or(Input::End)
    }
}

type Lines = Editor<Continuation, FileHistory>;

fn editor(history: Option<&PathBuf>) -> rustyline::Result<Lines> {
    let config = Config::builder().max_history_size(HISTORY)?.auto_add_history(false).bracketed_paste(true).build();
    let mut editor = Lines::with_config(config)?;
    editor.set_helper(Some(Continuation));
    if let Some(Err(error)) = history.map(|path| editor.load_history(path)) {
        tracing::debug!(%error, "no history is read");
    }
    Ok(editor)
}

fn read(editor: &mut Lines, history: Option<&PathBuf>) -> Input {
    match editor.readline(PROMPT) {
        Ok(line) => {
            // As in other shells, a line that begins with a space is not remembered.
            if !line.trim().is_empty() && !line.starts_with(' ') {
                let added = editor.add_history_entry(line.as_str());
                let kept = added.and_then(|new| match history {
                    Some(path) if new && !editor.history().is_empty() => editor.append_history(path),
                    _ => Ok(()),
                });
                if let Err(error) = kept {
                    tracing::debug!(%error, "the history is not written");
                }
            }
            Input::Line(joined(&line))
        }
        Err(ReadlineError::Interrupted) => Input::Cleared,
        Err(ReadlineError::Eof) => Input::End,
        Err(error) => Input::Broken(error.to_string()),
    }
}

/// Takes the backslashes away that continued a line.
pub(crate) fn joined(line: &str) -> String {
    line.replace("\\\n", "\n")
}

/// A backslash at the end of a line continues it.
#[derive(Completer, Helper, Highlighter, Hinter)]
struct Continuation;

impl Validator for Continuation {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match context.input().ends_with('\\') {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Valid(None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continued_lines_are_joined() {
        assert_eq!(joined("buy 2 phones \\\nand a laptop"), "buy 2 phones \nand a laptop");
        assert_eq!(joined("c:\\temp"), "c:\\temp");
    }
}
