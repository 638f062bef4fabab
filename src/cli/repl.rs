//! The line editor of `chat`, on a thread of its own: it blocks while it reads, and the runtime must not.
//!
//! Its terminal is raw only while a line is being read. Then ^C comes as [`Input::Cleared`]; at any other time it is the
//! signal, and what is typed waits for the next message.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc as requests,
    },
};

use rustyline::{
    Cmd, CompletionType, ConditionalEventHandler, Config, Editor, Event, EventContext, EventHandler, KeyCode, KeyEvent,
    Modifiers, RepeatCount, error::ReadlineError, history::MemHistory,
};
use tokio::sync::mpsc;

use super::{
    complete::{Help, Wanted},
    history::History,
    stuck,
    tty::Tty,
};

/// What stands before a message.
pub(crate) const PROMPT: &str = "agentctl> ";

/// How many lines are remembered.
const HISTORY: usize = 2000;

/// What the person entered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A message, which may have several lines.
    Line(String),
    /// A message that somebody else may have written: it was pasted, at least in part.
    Pasted(String),
    /// ^C: what was typed is dropped.
    Cleared {
        /// Nothing was typed.
        empty: bool,
    },
    /// ^D on an empty line, or the end of the input.
    End,
    /// The terminal does not work.
    Broken(String),
}

/// What the editor's thread says.
enum Said {
    Input(Input),
    /// It wants names, and waits for them.
    Wants(Wanted, requests::Sender<Vec<String>>),
    /// What prints above a line that is being typed.
    Printer(Printer),
}

type Printer = Box<dyn rustyline::ExternalPrinter + Send>;

/// What the editor is to read.
enum Request {
    Message,
    /// A short answer to this question. It is not remembered.
    Answer(String),
}

/// The editor, seen from the runtime's side.
pub(crate) struct Repl {
    requests: requests::Sender<Request>,
    said: mpsc::UnboundedReceiver<Said>,
    asked: bool,
    printer: Option<Printer>,
    tty: Tty,
}

/// However the shell is left: the editor's thread may still hold the terminal in raw mode.
impl Drop for Repl {
    fn drop(&mut self) {
        self.tty.restore();
    }
}

impl Repl {
    /// Starts the editor. Lines are remembered in `history`, which only this person can read; if it cannot be read or
    /// written, nothing is remembered. Hints need colours.
    pub(crate) fn start(history: PathBuf, color: bool) -> Self {
        let (requests, asked) = requests::channel();
        let (say, said) = mpsc::unbounded_channel();
        let tty = Tty::find();
        tty.restore_on_panic();
        let restored = tty.clone();
        stuck::before_the_end(move || restored.restore());
        let between = tty.clone();
        std::thread::spawn(move || {
            let history = History::new(history);
            let pressed = Arc::new(Mutex::new(Pressed::default()));
            let pasted = Arc::new(AtomicBool::new(false));
            let mut editor = match editor(&history, color, say.clone(), &pressed, &pasted) {
                Ok(editor) => editor,
                Err(error) => {
                    let _ = say.send(Said::Input(Input::Broken(error.to_string())));
                    return;
                }
            };
            match editor.create_external_printer() {
                Ok(printer) => drop(say.send(Said::Printer(Box::new(printer)))),
                Err(error) => tracing::debug!(%error, "nothing can be printed above the line"),
            }
            let mut desk = Desk { editor, history, pressed, pasted, tty: between, ahead: None };
            while let Ok(request) = asked.recv() {
                if say.send(Said::Input(desk.read(&request))).is_err() {
                    return;
                }
            }
        });
        Self { requests, said, asked: false, printer: None, tty }
    }

    /// Prints a line above the one that is being typed, which stays as it is. The text is safe for a terminal.
    pub(crate) fn print(&mut self, text: &str) {
        if let Some(Err(error)) = self.printer.as_mut().map(|printer| printer.print(format!("{text}\n"))) {
            tracing::debug!(%error, "nothing can be printed above the line");
        }
    }

    /// The next message. May be dropped and asked again. `names` gives those that a Tab wants.
    pub(crate) async fn next(&mut self, names: impl Fn(Wanted) -> Vec<String>) -> Input {
        self.read(Request::Message, names).await
    }

    /// A short answer to a question.
    pub(crate) async fn ask(&mut self, question: &str) -> Input {
        self.read(Request::Answer(question.to_owned()), |_| Vec::new()).await
    }

    async fn read(&mut self, request: Request, names: impl Fn(Wanted) -> Vec<String>) -> Input {
        if !std::mem::replace(&mut self.asked, true) {
            // If the thread is gone, its last word is still in the channel.
            let _ = self.requests.send(request);
        }
        loop {
            match self.said.recv().await {
                Some(Said::Wants(wanted, answer)) => drop(answer.send(names(wanted))),
                Some(Said::Printer(printer)) => self.printer = Some(printer),
                Some(Said::Input(input)) => {
                    self.asked = false;
                    return input;
                }
                None => return Input::End,
            }
        }
    }
}

/// What was typed when a key interrupted the editor, and which key that was.
#[derive(Clone, Debug, Default)]
struct Pressed {
    line: String,
    at: usize,
    suspend: bool,
}

/// Remembers that something was pasted, which the editor does then.
struct Pastes(Arc<AtomicBool>);

impl ConditionalEventHandler for Pastes {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, _: &EventContext<'_>) -> Option<Cmd> {
        self.0.store(true, Ordering::Relaxed);
        None
    }
}

/// Interrupts the editor, and remembers what was typed. ^Z is not left to the editor: a signal that another thread takes does
/// not stop this one at once, and the terminal would be raw again when the shell reads from it.
struct Interrupts {
    pressed: Arc<Mutex<Pressed>>,
    suspend: bool,
}

impl ConditionalEventHandler for Interrupts {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        let pressed = Pressed { line: context.line().to_owned(), at: context.pos(), suspend: self.suspend };
        *self.pressed.lock().unwrap_or_else(PoisonError::into_inner) = pressed;
        Some(Cmd::Interrupt)
    }
}

/// Stops the job that this program belongs to, and returns when it goes on. The process that asks for it is stopped with the
/// others, so its end says that they go on.
fn suspend() {
    let asked = std::process::Command::new("/bin/sh").args(["-c", "kill -TSTP 0"]).status();
    if let Err(error) = asked {
        tracing::debug!(%error, "the program is not stopped");
    }
}

/// Asks the runtime's side for names.
type Names = Box<dyn Fn(Wanted) -> Vec<String> + Send>;

type Lines = Editor<Help<Names>, MemHistory>;

fn editor(
    history: &History,
    color: bool,
    say: mpsc::UnboundedSender<Said>,
    pressed: &Arc<Mutex<Pressed>>,
    pasted: &Arc<AtomicBool>,
) -> rustyline::Result<Lines> {
    let config = Config::builder()
        .max_history_size(HISTORY)?
        .auto_add_history(false)
        .bracketed_paste(true)
        .completion_type(CompletionType::List)
        .build();
    let remembered = MemHistory::with_config(&config);
    let mut editor = Lines::with_history(config, remembered)?;
    let names = move |wanted| {
        let (answer, names) = requests::channel();
        let _ = say.send(Said::Wants(wanted, answer));
        names.recv().unwrap_or_default()
    };
    editor.set_helper(Some(Help { names: Box::new(names), hints: color, question: false }));
    for (key, suspend) in [('C', false), ('Z', true)] {
        if cfg!(unix) || !suspend {
            let interrupts = Interrupts { pressed: Arc::clone(pressed), suspend };
            editor.bind_sequence(KeyEvent::ctrl(key), EventHandler::Conditional(Box::new(interrupts)));
        }
    }
    let pastes = EventHandler::Conditional(Box::new(Pastes(Arc::clone(pasted))));
    editor.bind_sequence(KeyEvent(KeyCode::BracketedPasteStart, Modifiers::NONE), pastes);
    // Not ^J: terminals and scripts send it as Enter.
    editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
    match history.load(HISTORY) {
        Ok(entries) => {
            for entry in entries {
                editor.add_history_entry(entry)?;
            }
        }
        Err(error) => tracing::debug!(%error, "no history is read"),
    }
    Ok(editor)
}

/// What the editor's thread works with.
struct Desk {
    editor: Lines,
    history: History,
    pressed: Arc<Mutex<Pressed>>,
    pasted: Arc<AtomicBool>,
    tty: Tty,
    /// What was typed before the next message. None before the first line: until then the terminal was the shell's, and
    /// who types there knows that it is sent.
    ahead: Option<String>,
}

impl Desk {
    fn read(&mut self, request: &Request) -> Input {
        let (prompt, is_message) = match request {
            Request::Message => (PROMPT, true),
            Request::Answer(question) => (question.as_str(), false),
        };
        if is_message
            && self.ahead.is_none()
            && let Some(line) = self.tty.first_line(PROMPT)
        {
            self.ahead = Some(String::new());
            self.tty.hush();
            self.remember(&line);
            return Input::Line(line);
        }
        let typed = self.ahead.take().map(|ahead| ahead + &self.tty.typed_ahead()).unwrap_or_default();
        // A question has to be read before it is answered.
        let (begun, kept) = if is_message { (typed, String::new()) } else { (String::new(), typed) };
        self.ahead = Some(kept);
        self.pasted.store(!begun.is_empty(), Ordering::Relaxed);
        if let Some(help) = self.editor.helper_mut() {
            help.question = !is_message;
        }
        match self.line(prompt, begun) {
            Ok(Some(line)) => {
                if !is_message {
                    return Input::Line(line);
                }
                self.remember(&line);
                // What comes back from the history may have been pasted once.
                let pasted = self.pasted.load(Ordering::Relaxed) || line.contains('\n');
                if pasted { Input::Pasted(joined(&line)) } else { Input::Line(joined(&line)) }
            }
            Ok(None) => Input::Cleared { empty: self.pressed().line.is_empty() },
            Err(ReadlineError::Eof) => Input::End,
            Err(error) => Input::Broken(error.to_string()),
        }
    }

    /// One line, which may have begun like this. None: ^C.
    fn line(&mut self, prompt: &str, begun: String) -> rustyline::Result<Option<String>> {
        let mut begun = (begun, String::new());
        loop {
            let read = self.editor.readline_with_initial(prompt, (&begun.0, &begun.1));
            self.tty.hush();
            match read {
                Err(ReadlineError::Interrupted) => {
                    let Pressed { line, at, suspend: true } = self.pressed().clone() else { return Ok(None) };
                    self.tty.restore();
                    suspend();
                    let (before, behind) = line.split_at_checked(at).unwrap_or((&line, ""));
                    begun = (before.to_owned(), behind.to_owned());
                }
                read => return read.map(Some),
            }
        }
    }

    fn pressed(&self) -> MutexGuard<'_, Pressed> {
        self.pressed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As in other shells, a line that begins with a space is not remembered.
    fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || line.starts_with(' ') {
            return;
        }
        let new = self.editor.add_history_entry(line).unwrap_or(false);
        if let Some(Err(error)) = new.then(|| self.history.add(line)) {
            tracing::debug!(%error, "the history is not written");
        }
    }
}

/// Takes the backslashes away that continued a line.
pub(crate) fn joined(line: &str) -> String {
    line.replace("\\\n", "\n")
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
