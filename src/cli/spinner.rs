//! Waits as a person sees them: a spinner with the time that is left where lines may be redrawn, plain lines elsewhere.
//!
//! indicatif hides a spinner by itself on what is no terminal, and then swallows every message given to it. So messages
//! never go through it: it draws its own line and steps aside ([`Spinner::suspend`]) while something else is printed.

use std::{
    cell::Cell,
    fmt,
    io::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

use crate::{clock::SharedClock, escape};

/// Wipes the spinner's line, and what a narrower window made of it.
const WIPE: &[u8] = b"\r\x1b[J";

/// How often a wait without a spinner says that it still goes on.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(30);

/// One wait.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    /// What is waited for: `Waiting for your approval`.
    pub(crate) what: String,
    /// When it is over, on the clock's `elapsed`.
    pub(crate) until: Option<Duration>,
    /// What can be done meanwhile: `^C to cancel`. Shown only beside a spinner.
    pub(crate) tail: &'static str,
    /// It may take long enough to tell where no spinner can be shown.
    pub(crate) long: bool,
    /// Tells how much is left.
    pub(crate) clock: SharedClock,
}

impl Wait {
    /// A wait for a person, until `left` from now.
    pub(crate) fn for_person(what: &str, left: Duration, tail: &'static str, clock: &SharedClock) -> Self {
        let until = Some(clock.elapsed() + left);
        Self { what: what.to_owned(), until, tail, long: true, clock: clock.clone() }
    }

    /// A wait for a machine, which is worth a spinner but no line.
    pub(crate) fn for_machine(what: &str, clock: &SharedClock) -> Self {
        Self { what: what.to_owned(), until: None, tail: "", long: false, clock: clock.clone() }
    }

    fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_sub(self.clock.elapsed()))
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}...", escape::field(&self.what))?;
        self.left().map_or(Ok(()), |left| write!(f, " {} left", minutes(left)))
    }
}

/// The wait that goes on, if one does.
#[derive(Debug, Default)]
pub(crate) struct Spinner {
    wait: Option<Wait>,
    bar: Option<ProgressBar>,
    /// Its line was wiped, and nothing was written since. A terminal that is given ^C throws away what it was about to show
    /// (termios `NOFLSH`), and with bad luck that is the wiping.
    wiped: Cell<bool>,
}

impl Spinner {
    /// Begins a wait in place of any other. Returns the line to print where nothing moves.
    pub(crate) fn begin(&mut self, wait: Wait, motion: bool) -> Option<String> {
        self.end();
        let line = (!motion && wait.long).then(|| wait.to_string());
        self.bar = motion.then(|| bar(wait.clone()));
        self.wait = Some(wait);
        line
    }

    /// The line that says that the wait goes on; none where a spinner does so or nothing is waited for.
    pub(crate) fn heartbeat(&self) -> Option<String> {
        let wait = self.wait.as_ref().filter(|wait| wait.long && self.bar.is_none())?;
        Some(format!("Still waiting: {wait}"))
    }

    /// Ends the wait and wipes its line.
    pub(crate) fn end(&mut self) {
        self.wait = None;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            self.wiped.set(true);
        }
    }

    /// Wipes the line, does `work`, draws the line again. A line of a wait that is over is wiped once more.
    pub(crate) fn suspend(&self, work: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(work),
            None => {
                if self.wiped.take() {
                    // Nobody is left to be told that the terminal is gone.
                    let _ = io::stderr().lock().write_all(WIPE);
                }
                work();
            }
        }
    }
}

fn bar(wait: Wait) -> ProgressBar {
    let screen = ProgressDrawTarget::term_like_with_hz(Box::new(Screen::default()), 20);
    let bar = ProgressBar::with_draw_target(None, screen);
    // Each tick asks the clock, so the time left is right also after the machine slept.
    let style = ProgressStyle::with_template("{spinner} {wait}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .with_key("wait", move |_: &ProgressState, w: &mut dyn fmt::Write| {
            let _ = w.write_str(&fitted(&wait.to_string(), wait.tail, columns()));
        });
    bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// The words beside the spinner, on one line: first what can be done meanwhile has to go, then the end of what is waited
/// for; the time that is left stays. There is room for the spinner before them, and for the `^C` that a terminal echoes after.
fn fitted(wait: &str, tail: &str, columns: usize) -> String {
    let room = columns.saturating_sub(5);
    let whole = if tail.is_empty() { wait.to_owned() } else { format!("{wait} ({tail})") };
    if whole.chars().count() <= room {
        return whole;
    }
    let (what, left) = wait.rsplit_once("...").unwrap_or((wait, ""));
    let what: String = what.chars().take(room.saturating_sub(3 + left.chars().count())).collect();
    format!("{what}...{left}").chars().take(room).collect()
}

fn columns() -> usize {
    terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0.into())
}

/// The terminal at stderr. indicatif's own fills each line up to the edge; a `^C` that is typed then goes to the next line,
/// that line is wiped instead of the spinner's, and the spinner stays on the screen for ever.
#[derive(Debug, Default)]
struct Screen(Mutex<Vec<u8>>);

impl Screen {
    fn buffer(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the cursor; the terminal would take a zero for a one.
    fn go(&self, n: usize, direction: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { write!(self.buffer(), "\x1b[{n}{direction}") }
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        columns().try_into().unwrap_or(u16::MAX)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.go(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        writeln!(self.buffer(), "{text}")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        // Spaces alone are what fills the line; what stood there before goes all the same. The cursor waits where the line
        // begins: a window that becomes narrower breaks the line in two, and the cursor stays with the first.
        let fills = text.bytes().all(|byte| byte == b' ');
        self.buffer().write_all(if fills { b"\x1b[K\r" } else { text.as_bytes() })
    }

    fn clear_line(&self) -> io::Result<()> {
        self.buffer().write_all(WIPE)
    }

    fn flush(&self) -> io::Result<()> {
        let bytes = std::mem::take(&mut *self.buffer());
        io::stderr().lock().write_all(&bytes)
    }
}

/// `4:51`, `1:02:03`. A second that has begun counts, so a fresh five minutes read `5:00`.
fn minutes(left: Duration) -> String {
    let s = left.as_millis().div_ceil(1000);
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        hours => format!("{hours}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn without_motion_a_wait_is_plain_lines() {
        let manual = Arc::new(ManualClock::new(chrono::DateTime::UNIX_EPOCH));
        let clock: SharedClock = manual.clone();
        let mut spinner = Spinner::default();
        let wait = Wait::for_person("Waiting for your approval", Duration::from_secs(300), "^C", &clock);
        assert_eq!(spinner.begin(wait, false).as_deref(), Some("Waiting for your approval... 5:00 left"));
        manual.advance(Duration::from_secs(9));
        assert_eq!(spinner.heartbeat().as_deref(), Some("Still waiting: Waiting for your approval... 4:51 left"));
        spinner.end();
        assert_eq!(spinner.heartbeat(), None);
        assert_eq!(spinner.begin(Wait::for_machine("Thinking", &clock), false), None);
        assert_eq!(spinner.heartbeat(), None);
    }

    #[test]
    fn the_words_fit_on_one_line() {
        let wait = "Waiting for your approval... 4:51 left";
        assert_eq!(
            fitted(wait, "^C to stop waiting", 80),
            "Waiting for your approval... 4:51 left (^C to stop waiting)"
        );
        assert_eq!(fitted(wait, "", 80), wait);
        assert_eq!(fitted(wait, "^C to stop waiting", 45), wait);
        assert_eq!(fitted(wait, "^C to stop waiting", 40), "Waiting for your appro... 4:51 left");
        assert_eq!(fitted("Thinking...", "", 14), "Thinki...");
        assert_eq!(fitted(wait, "", 0), "");
    }

    #[test]
    fn a_line_is_not_filled_to_the_edge_and_the_cursor_waits_at_its_beginning() {
        let screen = Screen::default();
        for text in ["\r", "⠋ Waiting", "     "] {
            screen.write_str(text).unwrap();
        }
        screen.move_cursor_up(0).unwrap();
        screen.clear_line().unwrap();
        assert_eq!(*screen.buffer(), "\r⠋ Waiting\x1b[K\r\r\x1b[J".as_bytes());
    }

    #[test]
    fn time_left_reads_like_a_clock() {
        let text = |s| minutes(Duration::from_secs(s));
        assert_eq!([text(0), text(59), text(291), text(3723)], ["0:00", "0:59", "4:51", "1:02:03"]);
    }
}
