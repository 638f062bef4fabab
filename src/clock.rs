//! Time comes in as an argument: the system's clock for people, a manual one for tests.
//!
//! Two clocks are kept apart. [`Clock::now`] is the wall clock, for what is compared with a server's times or shown to a
//! person. [`Clock::elapsed`] never jumps, and every deadline and interval is measured with it.

use std::{
    fmt::Debug,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};

/// What [`Clock::sleep`] returns.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A clock that several owners share.
pub type SharedClock = Arc<dyn Clock>;

/// The only source of time in this crate.
pub trait Clock: Debug + Send + Sync {
    /// The wall clock, in UTC.
    fn now(&self) -> DateTime<Utc>;
    /// Time since an origin of the clock's own choice; never goes backwards.
    fn elapsed(&self) -> Duration;
    /// Completes when `duration` has passed on this clock.
    fn sleep(&self, duration: Duration) -> Sleep<'_>;
}

/// The clock of the machine.
#[derive(Debug)]
pub struct SystemClock {
    origin: std::time::Instant,
}

impl SystemClock {
    /// A clock whose origin is this moment.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    #[must_use]
    pub fn new() -> Self {
        Self { origin: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        // `Utc::now` panics for a clock that stands before 1970.
        std::time::SystemTime::now().into()
    }

    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that sleeps")]
    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that moves only when it is told to, or when somebody sleeps on it: a sleep takes no real time, moves the clock
/// by its length and is remembered. Tests of waiting loops read [`ManualClock::sleeps`].
#[derive(Debug)]
pub struct ManualClock {
    inner: Mutex<Manual>,
}

#[derive(Debug)]
struct Manual {
    now: DateTime<Utc>,
    elapsed: Duration,
    sleeps: Vec<Duration>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { inner: Mutex::new(Manual { now, elapsed: Duration::ZERO, sleeps: Vec::new() }) }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        self.with(|manual| {
            manual.elapsed += by;
            manual.now += by;
        });
    }

    /// Every sleep so far, in order.
    #[must_use]
    pub fn sleeps(&self) -> Vec<Duration> {
        self.with(|manual| manual.sleeps.clone())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Manual) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.with(|manual| manual.now)
    }

    fn elapsed(&self) -> Duration {
        self.with(|manual| manual.elapsed)
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        self.advance(duration);
        self.with(|manual| manual.sleeps.push(duration));
        Box::pin(std::future::ready(()))
    }
}

/// The machine's clock plus an offset in seconds that is read from a file each time: how a process test moves the clock of
/// the program together with the tenant's. Compiled in only with the feature `test-clock`.
#[cfg(feature = "test-clock")]
#[derive(Debug)]
pub struct FileClock {
    path: std::path::PathBuf,
    system: SystemClock,
}

#[cfg(feature = "test-clock")]
impl FileClock {
    /// A clock that follows the number of seconds in `path`; a missing or unreadable file counts as 0. A second number
    /// there moves the wall clock alone, as a person does who sets it.
    #[must_use]
    pub fn new(path: std::path::PathBuf) -> Self {
        Self { path, system: SystemClock::new() }
    }

    fn number<T: std::str::FromStr + Default>(&self, index: usize) -> T {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        text.split_whitespace().nth(index).and_then(|number| number.parse().ok()).unwrap_or_default()
    }

    fn offset(&self) -> Duration {
        Duration::from_secs(self.number(0))
    }
}

#[cfg(feature = "test-clock")]
impl Clock for FileClock {
    fn now(&self) -> DateTime<Utc> {
        self.system.now() + self.offset() + chrono::Duration::seconds(self.number::<i32>(1).into())
    }

    fn elapsed(&self) -> Duration {
        self.system.elapsed() + self.offset()
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        let until = self.elapsed() + duration;
        Box::pin(async move {
            loop {
                let left = until.saturating_sub(self.elapsed());
                if left.is_zero() {
                    return;
                }
                self.system.sleep(left.min(Duration::from_millis(10))).await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleeping_on_a_manual_clock_moves_it_and_is_remembered() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        clock.sleep(Duration::from_secs(5)).await;
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.elapsed(), Duration::from_secs(6));
        assert_eq!(clock.now().timestamp(), 6);
        assert_eq!(clock.sleeps(), [Duration::from_secs(5)]);
    }
}
