//! A write that goes on for ever: whoever holds the other end of a pipe and does not read it stops this program in the middle
//! of a write, where it looks neither at signals nor at the time. So does a process that keeps the audit log locked. A thread of
//! its own looks at them for it.
//!
//! It ends the process only while a write to somebody who reads, or a wait for the log's lock, stands still. What is kept was written down
//! before it is said, and what is under way then is found by whoever goes on with it, as after any other end.

use std::{
    io::{self, Write},
    sync::OnceLock,
    time::Duration,
};

use super::{
    failure::Kind,
    signals::{Signals, stopped},
};
use crate::{
    clock::{Clock as _, SharedClock, SystemClock},
    still::Place,
    store::lock::WAITS,
};

/// How long a write may stand still when the program should have ended.
const GRACE: Duration = Duration::from_secs(1);

/// The writes to stdout, stderr, and the pipes and devices that were named for an answer.
static WRITES: Place = Place::new();

/// Does something that writes to one of them, or opens it.
pub(crate) fn writing<T>(work: impl FnOnce() -> T) -> T {
    let _writing = WRITES.enter();
    work()
}

/// The process's stderr, for the log.
#[derive(Debug)]
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        writing(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a signal means for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Each ends it.
    End,
    /// ^C ends only what is under way.
    EndButInterrupt,
}

/// From now on a signal, or the time of the command's clock that it has, ends the process also while a write stands still.
pub(crate) fn watch(mut signals: Signals, meaning: Meaning, deadline: Option<Duration>, clock: SharedClock) {
    let watching = async move {
        loop {
            let kind = tokio::select! {
                biased;
                kind = signals.next() => kind,
                () = until(deadline, &clock) => Kind::Timeout,
            };
            loop {
                let (writes, waits) = (WRITES.look(), WAITS.look());
                SystemClock::new().sleep(GRACE).await;
                if writes.still_stands() {
                    end(kind, None);
                }
                if meaning == Meaning::EndButInterrupt && kind == Kind::Interrupted {
                    break;
                }
                if waits.still_stands() {
                    end(kind, Some("another process had the audit log locked"));
                }
            }
        }
    };
    let run = move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(watching)
        }
    };
    // Without the thread everything else is as it should be.
    let _ = std::thread::Builder::new().name("stuck".to_owned()).spawn(run);
}

async fn until(deadline: Option<Duration>, clock: &SharedClock) {
    match deadline {
        Some(deadline) => clock.sleep(deadline.saturating_sub(clock.elapsed())).await,
        None => std::future::pending().await,
    }
}

/// What is done before the process ends so: whoever changed the terminal puts it back.
static BEFORE: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// Does this before the process ends so. The first one counts: a process has one terminal.
pub(crate) fn before_the_end(work: impl Fn() + Send + Sync + 'static) {
    let _ = BEFORE.set(Box::new(work));
}

/// Ends the process with the signal's exit code, and says so where stderr may still be written to. Streams may stand still, so
/// this waits for none of them.
#[expect(clippy::exit, reason = "the thread that would return from `main` stands still")]
fn end(kind: Kind, waited: Option<&'static str>) -> ! {
    let last = std::thread::spawn(move || {
        if let Some(before) = BEFORE.get() {
            before();
        }
        if let Some(waited) = waited {
            let why = stopped(kind).message;
            let _ = writeln!(io::stderr(), "error: {why}, while {waited}");
        }
    });
    for _ in 0..GRACE.as_millis() {
        if last.is_finished() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::process::exit(kind.exit_code().into())
}
