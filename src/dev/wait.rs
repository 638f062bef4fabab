//! One request that waits for a person, as the client's polls see it: pure decisions, no clock, no I/O.
//!
//! The device flow and CIBA answer polls alike (RFC 8628 §3.5, CIBA Core §11), so both keep a [`Wait`].

use std::time::Duration;

/// A poll that comes this much too early still counts as in time: the request itself travels.
const TOLERANCE: Duration = Duration::from_millis(50);

/// How long after its end a request is still known as expired, where that is told more than once; afterwards it is simply
/// unknown.
const REMEMBERED: Duration = Duration::from_secs(15);

/// What the person said.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict<Y> {
    Pending,
    Approved(Y),
    Denied,
    /// The tokens were handed out; there are no second ones.
    Spent,
}

/// A request that waits.
#[derive(Clone, Debug)]
pub(super) struct Wait<Y> {
    pub(super) interval: Duration,
    pub(super) expires: Duration,
    pub(super) verdict: Verdict<Y>,
    last_poll: Option<Duration>,
    /// The final refusal was given; from now on the request is unknown.
    told: bool,
}

/// The answer to one poll.
#[derive(Debug, PartialEq)]
pub(super) enum Answer<Y> {
    Pending,
    SlowDown {
        interval: Duration,
    },
    Denied,
    Expired,
    /// Unknown, or its end was already told.
    Gone,
    /// Asked for tokens that were handed out before.
    Reused,
    Approved(Y),
}

impl<Y: Clone> Wait<Y> {
    pub(super) fn new(interval: Duration, expires: Duration) -> Self {
        Self { interval, expires, verdict: Verdict::Pending, last_poll: None, told: false }
    }

    /// Answers one poll. `expired_once` is Auth0's way: the expiry is told once, then the request is unknown.
    pub(super) fn poll(&mut self, now: Duration, expired_once: bool) -> Answer<Y> {
        if matches!(self.verdict, Verdict::Spent) {
            return Answer::Reused;
        }
        let early = self.last_poll.is_some_and(|last| now + TOLERANCE < last + self.interval);
        self.last_poll = Some(now);
        if self.told || (!expired_once && now >= self.expires + REMEMBERED) {
            return Answer::Gone;
        }
        if now >= self.expires {
            self.told = expired_once;
            return Answer::Expired;
        }
        if early {
            // For this and all later polls (RFC 8628 §3.5).
            self.interval += Duration::from_secs(5);
            return Answer::SlowDown { interval: self.interval };
        }
        match &self.verdict {
            Verdict::Pending => Answer::Pending,
            Verdict::Denied => {
                self.told = true;
                Answer::Denied
            }
            Verdict::Approved(yes) => Answer::Approved(yes.clone()),
            Verdict::Spent => Answer::Reused,
        }
    }

    /// The tokens went out.
    pub(super) fn spend(&mut self) {
        self.verdict = Verdict::Spent;
    }

    /// Whether a person may still answer.
    pub(super) fn is_open(&self, now: Duration) -> bool {
        matches!(self.verdict, Verdict::Pending) && now < self.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn wait() -> Wait<u8> {
        Wait::new(s(5), s(300))
    }

    #[test]
    fn the_first_poll_may_come_at_once_and_the_next_after_an_interval() {
        let mut wait = wait();
        assert_eq!(wait.poll(s(0), true), Answer::Pending);
        assert_eq!(wait.poll(s(5), true), Answer::Pending);
        assert_eq!(wait.poll(s(9), true), Answer::SlowDown { interval: s(10) });
        assert_eq!(wait.poll(s(18), true), Answer::SlowDown { interval: s(15) });
        assert_eq!(wait.poll(s(33), true), Answer::Pending);
    }

    #[test]
    fn impatience_is_answered_even_when_the_answer_is_there() {
        let mut wait = wait();
        wait.poll(s(0), true);
        wait.verdict = Verdict::Approved(7);
        assert_eq!(wait.poll(s(1), true), Answer::SlowDown { interval: s(10) });
        assert_eq!(wait.poll(s(11), true), Answer::Approved(7));
        wait.spend();
        assert_eq!(wait.poll(s(21), true), Answer::Reused);
    }

    #[test]
    fn a_denial_is_told_once() {
        let mut wait = wait();
        wait.verdict = Verdict::Denied;
        assert_eq!(wait.poll(s(5), false), Answer::Denied);
        assert_eq!(wait.poll(s(10), false), Answer::Gone);
    }

    #[test]
    fn an_expiry_is_told_once_or_for_a_while() {
        let mut once = wait();
        assert_eq!(once.poll(s(300), true), Answer::Expired);
        assert_eq!(once.poll(s(306), true), Answer::Gone);
        assert_eq!(wait().poll(s(900), true), Answer::Expired);
        let mut while_ = wait();
        assert_eq!(while_.poll(s(300), false), Answer::Expired);
        assert_eq!(while_.poll(s(306), false), Answer::Expired);
        assert_eq!(while_.poll(s(316), false), Answer::Gone);
    }

    #[test]
    fn an_approval_that_comes_too_late_is_none() {
        let mut wait = wait();
        assert!(wait.is_open(s(299)));
        assert!(!wait.is_open(s(300)));
        wait.verdict = Verdict::Approved(7);
        assert_eq!(wait.poll(s(301), true), Answer::Expired);
    }
}
