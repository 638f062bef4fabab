//! The signals that end a command. Once they are listened for, the process no longer dies of them by itself: the command
//! drops what it was doing, reports, and leaves with the signal's exit code.

use std::{future::Future, io};

use super::failure::{Failure, Kind};

/// Listens for SIGINT, SIGTERM and SIGHUP.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    listening: [(Kind, tokio::signal::unix::Signal); 3],
}

impl Signals {
    /// Starts to listen; from now on none of them kills the process.
    #[cfg(unix)]
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            listening: [
                (Kind::Interrupted, signal(SignalKind::interrupt())?),
                (Kind::Terminated, signal(SignalKind::terminate())?),
                (Kind::HungUp, signal(SignalKind::hangup())?),
            ],
        })
    }

    /// Starts to listen; from now on none of them kills the process.
    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "the same signature everywhere")]
    pub(crate) fn listen() -> io::Result<Self> {
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

/// Does `work` unless a signal comes first; then the work is dropped where it stands.
pub(crate) async fn or_signal<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::caused(Kind::Failed, "listen for signals", &error))?;
    tokio::select! {
        biased;
        kind = signals.next() => Err(stopped(kind)),
        result = work => result,
    }
}

/// The failure that a signal ends a command with.
pub(crate) fn stopped(kind: Kind) -> Failure {
    let name = match kind {
        Kind::Terminated => "SIGTERM",
        Kind::HungUp => "SIGHUP",
        _ => "^C",
    };
    Failure::new(kind, format!("stopped by {name}"))
}
