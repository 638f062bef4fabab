//! Lines of stdin without blocking the runtime, and questions to the person at the terminal.
//!
//! A read of stdin cannot be cancelled, so one thread does them all, one line at each request; a request that nobody waits
//! for any more is answered to the next one who asks. The thread never keeps the process alive.

use std::{
    cell::{Cell, RefCell},
    io::{self, BufRead as _},
    sync::mpsc as requests,
    time::Duration,
};

use tokio::sync::mpsc;

use super::ui::{Line, Ui};
use crate::clock::Clock;

/// How long a fresh question ignores what comes in: it was typed before anybody could have read the question.
const ARMING: Duration = Duration::from_millis(300);

/// The lines of stdin.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    thread: RefCell<Option<Thread>>,
    /// A line was asked for and has not come yet.
    asked: Cell<bool>,
}

#[derive(Debug)]
struct Thread {
    requests: requests::Sender<()>,
    lines: mpsc::UnboundedReceiver<io::Result<Option<String>>>,
}

impl Lines {
    /// The next line without its end; `None` at the end of the input. May be dropped and asked again.
    #[expect(clippy::await_holding_refcell_ref, reason = "one line is asked for at a time, by one thread")]
    pub(crate) async fn next(&self) -> io::Result<Option<String>> {
        let mut thread = self.thread.try_borrow_mut().map_err(io::Error::other)?;
        let thread = thread.get_or_insert_with(Thread::start);
        if !self.asked.replace(true) && thread.requests.send(()).is_err() {
            return Ok(None);
        }
        let line = thread.lines.recv().await;
        self.asked.set(false);
        line.unwrap_or(Ok(None))
    }

    /// Asks a question and reads one line. What was typed before the question stood there is ignored.
    pub(crate) async fn ask(
        &self,
        ui: &Ui,
        clock: &dyn Clock,
        question: impl Into<Line>,
    ) -> io::Result<Option<String>> {
        let question = question.into();
        ui.question(question.clone());
        let armed = clock.elapsed() + ARMING;
        while let Some(left) = armed.checked_sub(clock.elapsed()).filter(|left| !left.is_zero()) {
            tokio::select! {
                line = self.next() => match line? {
                    None => return Ok(None),
                    Some(_) => ui.question(question.clone()),
                },
                () = clock.sleep(left) => break,
            }
        }
        self.next().await
    }
}

impl Thread {
    fn start() -> Self {
        let (requests, asked) = requests::channel();
        let (answers, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            while asked.recv().is_ok() {
                let mut line = Vec::new();
                // Not `read_line`: a line that is not UTF-8 is shown as such instead of ending the input.
                let read = io::stdin().lock().read_until(b'\n', &mut line).map(|length| {
                    let line = String::from_utf8_lossy(&line);
                    (length > 0).then(|| line.trim_end_matches(['\n', '\r']).to_owned())
                });
                if answers.send(read).is_err() {
                    return;
                }
            }
        });
        Self { requests, lines }
    }
}
