//! What a person sees, and the rules for it:
//!
//! 1. stdout carries the answer or the data, nothing else. Talk goes to stderr: status, warnings, hints, prompts, waits.
//! 2. Colour and motion are decided for each stream by itself ([`Look`]).
//! 3. Whatever is printed goes through `escape`, our own words included, so that no call can forget it. Styles are added
//!    here, after that. In JSON the same characters become `\u` escapes, so the data stays whole.
//!    On a terminal, a dumb one too, the model's Markdown is rendered as it comes (`markdown`): what is not rendered has no
//!    bars. Elsewhere it is passed on as it is.
//! 4. A closed stdout is no error: whoever closed it has seen enough. A full disk is one ([`Ui::finish`]).
//! 5. Where nothing can move there is no spinner: one line when a wait begins, one at each change, and at most every half
//!    minute one that says it still goes on.
//! 6. `--quiet` silences status and hints. It never hides what a person has to act on, nor warnings and errors.

use std::{
    cell::{Cell, RefCell},
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use serde::Serialize;

pub(crate) use super::line::Line;
use super::{
    failure::{Failure, Kind},
    look::{ColorChoice, Look, Surroundings},
    markdown::Markdown,
    spinner::{Spinner, Wait},
    stuck,
};
use crate::escape;

/// Talks to the person and answers whoever asked.
#[derive(Debug)]
pub(crate) struct Ui {
    out: Stream,
    err: Stream,
    quiet: bool,
    json: bool,
    verbose: bool,
    /// Errors are read by another agent.
    agent: bool,
    /// A person is there to be asked: stdin and stderr are terminals and `--no-input` was not given.
    asks: bool,
    /// The last piece written to stdout did not end its line.
    midline: Cell<bool>,
    /// The answer that is being rendered.
    rendered: RefCell<Option<Markdown>>,
    spinner: RefCell<Spinner>,
    trouble: RefCell<Option<io::Error>>,
    /// Whoever read stdout has closed it.
    closed: Cell<bool>,
}

/// What decides how a [`Ui`] behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// `--color`.
    pub(crate) color: ColorChoice,
    /// `--quiet`.
    pub(crate) quiet: bool,
    /// `--json`.
    pub(crate) json: bool,
    /// `--no-input`.
    pub(crate) no_input: bool,
    /// Nothing moves, wherever it is shown.
    pub(crate) still: bool,
    /// More is said about what happens inside.
    pub(crate) verbose: bool,
    /// Another agent runs the program.
    pub(crate) agent: bool,
    /// Nothing is said at all.
    pub(crate) mute: bool,
    /// What the environment says.
    pub(crate) around: Surroundings,
}

impl Ui {
    /// The process's own streams.
    pub(crate) fn new(manner: Manner) -> Self {
        let look = |terminal| Look::decide(manner.color, terminal, manner.around);
        let (out, mut err) = (look(io::stdout().is_terminal()), look(io::stderr().is_terminal()));
        err.motion &= !manner.still;
        let talk = if manner.mute { Sink::Nowhere } else { Sink::Err(io::stderr()) };
        Self {
            out: Stream { look: out, sink: RefCell::new(Sink::Out(io::stdout())) },
            err: Stream { look: err, sink: RefCell::new(talk) },
            quiet: manner.quiet,
            json: manner.json,
            verbose: manner.verbose,
            agent: manner.agent,
            asks: !manner.no_input && !manner.agent && !manner.json && err.terminal && io::stdin().is_terminal(),
            midline: Cell::new(false),
            rendered: RefCell::default(),
            spinner: RefCell::default(),
            trouble: RefCell::default(),
            closed: Cell::new(false),
        }
    }

    /// Whether `--json` was given: data only.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// The size of the terminal at stderr, in columns and rows.
    pub(crate) fn size(&self) -> Option<(usize, usize)> {
        let (width, height) = terminal_size::terminal_size_of(io::stderr()).filter(|_| self.err.look.terminal)?;
        Some((width.0.into(), height.0.into()))
    }

    /// Whether more is to be said about what happens inside.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Whether a person can be asked something.
    pub(crate) fn can_ask(&self) -> bool {
        self.asks
    }

    /// How stdout looks.
    pub(crate) fn out(&self) -> Look {
        self.out.look
    }

    /// How stderr looks.
    pub(crate) fn err(&self) -> Look {
        self.err.look
    }

    /// Data or an answer, on stdout; ends its line.
    pub(crate) fn answer(&self, text: &str) {
        self.write_line(escape::text(text).into_owned());
    }

    /// The same with styles, for people: a terminal's lines are broken between words.
    pub(crate) fn answer_line(&self, line: &Line) {
        let width = terminal_size::terminal_size_of(io::stdout()).filter(|_| self.out.look.terminal);
        self.write_line(line.fitted(width.map(|(width, _)| width.0.into()), self.out.look.color));
    }

    fn write_line(&self, mut text: String) {
        text.push('\n');
        self.write_out(&text);
        self.midline.set(false);
    }

    /// A piece of an answer that is still coming: it is shown at once.
    pub(crate) fn answer_piece(&self, text: &str) {
        let look = self.out.look;
        if look.terminal {
            // Asked each time: the window may have another size by now.
            let width = terminal_size::terminal_size_of(io::stdout()).map_or(80, |(width, _)| width.0.into());
            let mut rendered = self.rendered.borrow_mut();
            let markdown = rendered.get_or_insert_with(|| Markdown::new(look.color));
            let shown = markdown.add(text, width);
            self.midline.set(markdown.is_midline());
            if !shown.is_empty() {
                self.write_out(&shown);
            }
        } else if let Some(last) = text.chars().last() {
            self.write_out(&escape::text(text));
            self.midline.set(last != '\n');
        }
    }

    /// Ends what [`Ui::answer_piece`] left open: the rest of the answer is shown, and its line ends.
    pub(crate) fn end_line(&self) {
        if let Some(markdown) = self.rendered.take() {
            self.midline.set(false);
            self.write_out(&markdown.finish());
        }
        if self.midline.replace(false) {
            self.write_out("\n");
        }
    }

    /// One object of `--json` output, on one line of stdout.
    pub(crate) fn data(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.write_out(&(json_safe(text) + "\n")),
            Err(error) => self.remember(error.into()),
        }
    }

    /// Whether whoever read stdout has seen enough. Known before the next write, where the system tells it.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get() || self.out.is_unread()
    }

    /// Bytes that another program reads (a completion script, a man page): nothing is escaped.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        stuck::writing(|| self.spinner.borrow().suspend(|| self.keep(self.out.write(bytes))));
    }

    /// A usage error as the parser words it, escaped already.
    pub(crate) fn usage(&self, text: &str) {
        self.write_err(text);
    }

    /// Talk that can be missed.
    pub(crate) fn status(&self, line: impl Into<Line>) {
        if !self.quiet {
            self.say(line);
        }
    }

    /// Talk that must not be missed, `--quiet` or not: what a person has to act on.
    pub(crate) fn say(&self, line: impl Into<Line>) {
        self.write_err(&format!("{}\n", self.fitted(line)));
    }

    /// A line as the terminal at stderr shows it, for somebody else who writes there.
    pub(crate) fn fitted(&self, line: impl Into<Line>) -> String {
        line.into().fitted(self.size().map(|(width, _)| width), self.err.look.color)
    }

    /// Something is not as it should be, but work goes on.
    pub(crate) fn warn(&self, message: &str) {
        self.say(Line::new().warn("warning: ").words(message));
    }

    /// What to do next.
    pub(crate) fn hint(&self, message: &str) {
        self.status(Line::new().dim("hint: ").said(message));
    }

    /// Reports a failure: what happened, then what to do. With `--json` it is an object on stdout; an agent that calls
    /// without it gets the object on stderr, as the last line, whatever was said before.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.end_wait();
        if self.agent && !self.json {
            self.end_line();
            return self.say(Line::new().whole(&json_safe(failure.to_json().to_string())));
        }
        if failure.told {
            return;
        }
        if self.json {
            self.data(&failure.to_json());
            return;
        }
        self.say_failure(failure);
    }

    /// The same in words, on stderr, also with `--json`: stdout cannot be written.
    pub(crate) fn say_failure(&self, failure: &Failure) {
        self.end_line();
        // Whatever it is made of, a part of it may be a server's: one line, and a gutter where it goes on.
        self.say(Line::new().bad("error: ").words(&failure.message));
        for hint in &failure.hints {
            // Not `hint`: what to do belongs to the error, so it stays under `--quiet`.
            self.say(Line::new().dim("  hint: ").said(hint));
        }
    }

    /// Writes a question; its answer is read elsewhere.
    pub(crate) fn question(&self, line: impl Into<Line>) {
        self.write_err(&format!("{} ", self.fitted(line)));
    }

    /// Empties the screen, if stdout is one that can be emptied. What has scrolled away stays.
    pub(crate) fn clear(&self) {
        if self.out.look.cursor {
            self.write_out("\x1b[H\x1b[2J");
        }
    }

    /// Rings the terminal's bell, if stderr is one.
    pub(crate) fn ring(&self) {
        if self.err.look.motion && !self.quiet {
            self.write_err("\x07");
        }
    }

    /// Begins a wait.
    pub(crate) fn begin_wait(&self, wait: Wait) {
        self.settle();
        let first = stuck::writing(|| self.spinner.borrow_mut().begin(wait, self.err.look.motion));
        if let Some(line) = first {
            self.status(line);
        }
    }

    /// Something changed while a wait goes on.
    pub(crate) fn wait_news(&self, news: &str) {
        self.status(Line::new().dim("  ").words(news));
    }

    /// Says that a wait still goes on, where no spinner shows it.
    pub(crate) fn heartbeat(&self) {
        let line = self.spinner.borrow().heartbeat();
        if let Some(line) = line {
            self.status(line);
        }
    }

    /// Ends a wait and wipes the spinner.
    pub(crate) fn end_wait(&self) {
        stuck::writing(|| self.spinner.borrow_mut().end());
    }

    /// At the end of the program: says whether everything written has arrived.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        self.end_wait();
        stuck::writing(|| self.keep(self.out.flush()));
        match self.trouble.borrow_mut().take() {
            None => Ok(()),
            Some(error) => Err(Failure::new(Kind::Failed, format!("failed to write to standard output: {error}"))),
        }
    }

    fn write_out(&self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn write_err(&self, text: &str) {
        self.settle();
        // A closed stderr leaves nobody to tell about it.
        stuck::writing(|| self.spinner.borrow().suspend(|| _ = self.err.write(text.as_bytes())));
    }

    /// If an answer's line is open on the same screen, talk begins a line of its own.
    fn settle(&self) {
        if self.out.look.terminal && self.err.look.terminal {
            self.end_line();
        }
    }

    fn keep(&self, result: io::Result<()>) {
        if let Err(error) = result {
            self.remember(error);
        }
    }

    fn remember(&self, error: io::Error) {
        if error.kind() == io::ErrorKind::BrokenPipe {
            self.closed.set(true);
        } else {
            self.trouble.borrow_mut().get_or_insert(error);
        }
    }
}

#[cfg(test)]
impl Ui {
    /// A `Ui` that keeps what it is told: no terminal, no colour.
    pub(crate) fn test() -> Self {
        Self::test_with(Look::default(), false)
    }

    /// The same with another look for both streams, or for `--json`.
    pub(crate) fn test_with(look: Look, json: bool) -> Self {
        let stream = || Stream { look, sink: RefCell::new(Sink::Buffer(Vec::new())) };
        Self {
            out: stream(),
            err: stream(),
            quiet: false,
            json,
            verbose: false,
            agent: false,
            asks: false,
            midline: Cell::new(false),
            rendered: RefCell::default(),
            spinner: RefCell::default(),
            trouble: RefCell::default(),
            closed: Cell::new(false),
        }
    }

    /// Takes what was written to stdout and to stderr.
    pub(crate) fn take(&self) -> (String, String) {
        (self.out.take(), self.err.take())
    }
}

/// Makes JSON text safe on a terminal: what `escape` would have made visible becomes a `\u` escape, which means the same.
pub(crate) fn json_safe(text: String) -> String {
    if escape::hidden(&text).all(|(_, hides)| !hides) {
        return text;
    }
    let mut safe = String::with_capacity(text.len() + 32);
    for (c, hides) in escape::hidden(&text) {
        if !hides {
            safe.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        }
    }
    safe
}

#[derive(Debug)]
struct Stream {
    look: Look,
    sink: RefCell<Sink>,
}

#[derive(Debug)]
enum Sink {
    Out(io::Stdout),
    Err(io::Stderr),
    Nowhere,
    #[cfg(test)]
    Buffer(Vec<u8>),
}

impl Stream {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match &mut *self.sink.borrow_mut() {
            Sink::Out(out) => {
                let mut out = out.lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Sink::Err(err) => err.lock().write_all(bytes),
            Sink::Nowhere => Ok(()),
            #[cfg(test)]
            Sink::Buffer(buffer) => buffer.write_all(bytes),
        }
    }

    /// Whether nobody holds the other end any more.
    #[cfg(unix)]
    fn is_unread(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let Sink::Out(out) = &*self.sink.borrow() else { return false };
        // Asked for nothing, it still tells of errors.
        let mut end = [PollFd::new(out, PollFlags::empty())];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut end, Some(&at_once)).is_ok() && end[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }

    #[cfg(not(unix))]
    #[expect(clippy::unused_self, reason = "the same signature everywhere")]
    fn is_unread(&self) -> bool {
        false
    }

    fn flush(&self) -> io::Result<()> {
        match &mut *self.sink.borrow_mut() {
            Sink::Out(out) => out.flush(),
            Sink::Err(err) => err.flush(),
            Sink::Nowhere => Ok(()),
            #[cfg(test)]
            Sink::Buffer(_) => Ok(()),
        }
    }

    #[cfg(test)]
    fn take(&self) -> String {
        match &mut *self.sink.borrow_mut() {
            Sink::Buffer(buffer) => String::from_utf8(std::mem::take(buffer)).unwrap(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_talk_keep_apart() {
        let ui = Ui::test();
        ui.answer("42");
        ui.status("thinking");
        ui.warn("slow");
        assert_eq!(ui.take(), ("42\n".into(), "thinking\nwarning: slow\n".into()));
    }

    #[test]
    fn nothing_from_outside_reaches_a_terminal_as_it_is() {
        let look = Look { terminal: true, color: true, ..Look::default() };
        for color in [false, true] {
            let ui = Ui::test_with(Look { color, ..look }, false);
            ui.answer_piece("a\x1b]52;c;x\x07b");
            ui.status("thinking");
            assert_eq!(ui.take().0, "a␛]52;c;x␇b\n", "talk on the same screen begins a line of its own");
        }
        let ui = Ui::test_with(look, false);
        ui.status(Line::new().good("✓ ").field("Eve\nroot").bold("\u{202e}x"));
        let (_, err) = ui.take();
        assert_eq!(err, "\u{1b}[32m✓ \u{1b}[0mEve␊root\u{1b}[1m<U+202E>x\u{1b}[0m\n");
    }

    #[test]
    fn json_is_safe_and_means_the_same() {
        let ui = Ui::test();
        let value = serde_json::json!({ "name": "a\u{202e}b\u{9b}\u{1b}\u{e0041}é" });
        ui.data(&value);
        let (out, _) = ui.take();
        assert_eq!(out, "{\"name\":\"a\\u202eb\\u009b\\u001b\\udb40\\udc41é\"}\n");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), value);
    }

    #[test]
    fn a_failure_says_what_happened_and_what_to_do() {
        let failure = Failure::nobody();
        let ui = Ui::test();
        ui.failure(&failure);
        assert_eq!(ui.take().1, "error: nobody is logged in\n  hint: run `agentctl login`\n");
        let ui = Ui::test_with(Look::default(), true);
        ui.failure(&failure);
        let (out, err) = ui.take();
        assert!(out.contains(r#""exit_code":4,"error":"login_needed","#) && err.is_empty(), "{out}");
    }
}
