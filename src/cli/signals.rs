//! The signals that end a command. Once they are listened for, the process no longer dies of them by itself: the command
//! drops what it was doing, reports, and leaves with the signal's exit code.

use std::{future::Future, io, time::Duration};

use super::{
    failure::{Failure, Kind},
    stuck::{self, Meaning},
};
use crate::clock::SharedClock;

/// Listens for SIGINT, SIGTERM and SIGHUP.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    listening: [(Kind, tokio::signal::unix::Signal); 3],
}

impl Signals {
    /// Starts to listen; from now on none of them kills the process, unless a write stands still ([`stuck`]).
    pub(crate) fn watched(meaning: Meaning, deadline: Option<Duration>, clock: &SharedClock) -> Result<Self, Failure> {
        let listen = || Self::listen().map_err(|error| Failure::caused(Kind::Failed, "listen for signals", &error));
        let signals = listen()?;
        stuck::watch(listen()?, meaning, deadline, clock.clone());
        Ok(signals)
    }

    #[cfg(unix)]
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            listening: [
                (Kind::Interrupted, signal(SignalKind::interrupt())?),
                (Kind::Terminated, signal(SignalKind::terminate())?),
                (Kind::HungUp, signal(SignalKind::hangup())?),
            ],
        })
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "the same signature everywhere")]
    fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next of them. The kinds are `Interrupted`, `Terminated` and `HungUp`.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) -> Kind {
        let [a, b, c] = &mut self.listening;
        tokio::select! {
            Some(()) = a.1.recv() => a.0,
            Some(()) = b.1.recv() => b.0,
            Some(()) = c.1.recv() => c.0,
            else => std::future::pending().await,
        }
    }

    /// Waits for the next of them.
    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) -> Kind {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Kind::Interrupted,
            Err(_) => std::future::pending().await,
        }
    }
}

/// What ends a command before its work is done: a signal, or the time given by `--timeout`.
#[derive(Debug)]
pub(crate) struct Stop {
    signals: Signals,
    clock: SharedClock,
    deadline: Option<Duration>,
}

impl Stop {
    /// From now on, signals do not kill the process; the time begins to run.
    pub(crate) fn after(timeout: Option<Duration>, clock: &SharedClock) -> Result<Self, Failure> {
        let deadline = timeout.map(|timeout| clock.elapsed() + timeout);
        Ok(Self { signals: Signals::watched(Meaning::End, deadline, clock)?, clock: clock.clone(), deadline })
    }

    /// How much of the time is left, if it is limited.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_sub(self.clock.elapsed()))
    }

    /// Gives what looks at the time by itself a moment more.
    pub(crate) fn allow(&mut self, moment: Duration) {
        self.deadline = self.deadline.map(|deadline| deadline + moment);
    }

    /// Waits for it. May be dropped and asked again.
    pub(crate) async fn next(&mut self) -> Failure {
        let Some(deadline) = self.deadline else { return stopped(self.signals.next().await) };
        tokio::select! {
            kind = self.signals.next() => stopped(kind),
            () = self.clock.sleep(deadline.saturating_sub(self.clock.elapsed())) => stopped(Kind::Timeout),
        }
    }

    /// Does `work` unless it is stopped first; then the work is dropped where it stands.
    pub(crate) async fn or<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            failure = self.next() => Err(failure),
            result = work => result,
        }
    }
}

/// The failure that a signal, or the end of its time, ends a command with.
pub(crate) fn stopped(kind: Kind) -> Failure {
    let name = match kind {
        Kind::Timeout => return Failure::new(kind, "the time given by --timeout is over"),
        Kind::Terminated => "SIGTERM",
        Kind::HungUp => "SIGHUP",
        _ => "^C",
    };
    Failure::new(kind, format!("stopped by {name}"))
}
