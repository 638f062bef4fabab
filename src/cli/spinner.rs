//! Waits as a person sees them: a spinner with the time that is left where lines may be redrawn, plain lines elsewhere.
//!
//! indicatif hides a spinner by itself on what is no terminal, and then swallows every message given to it. So messages
//! never go through it: it draws its own line and steps aside ([`Spinner::suspend`]) while something else is printed.

use std::{fmt, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::{clock::SharedClock, escape};

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
        }
    }

    /// Wipes the line, does `work`, draws the line again.
    pub(crate) fn suspend(&self, work: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(work),
            None => work(),
        }
    }
}

fn bar(wait: Wait) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let tail = if wait.tail.is_empty() { String::new() } else { format!(" ({})", wait.tail) };
    // Each tick asks the clock, so the time left is right also after the machine slept.
    let style = ProgressStyle::with_template("{spinner} {wait}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .with_key("wait", move |_: &ProgressState, w: &mut dyn fmt::Write| {
            let _ = write!(w, "{wait}{tail}");
        });
    bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
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
    fn time_left_reads_like_a_clock() {
        let text = |s| minutes(Duration::from_secs(s));
        assert_eq!([text(0), text(59), text(291), text(3723)], ["0:00", "0:59", "4:51", "1:02:03"]);
    }
}
