//! How a wait for a person goes on: a pure decision, shared by the device flow (RFC 8628 §3.5) and CIBA (CIBA Core §11).
//!
//! The rules: the first request comes after one interval; the interval is counted from the last answer, is never shorter
//! than the server's and never shrinks when the server asks for more; whatever is no answer of the authorization server
//! (no network, a proxy's page, a rate limiter) makes the waits longer but does not end a wait that is still valid.

use std::time::Duration;

use super::{Error, Refusal, TokenResponse};
use crate::{event::WaitNews, http};

/// What counts if the server names no interval (RFC 8628 §3.2, CIBA Core §7.3).
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// What `slow_down` adds (RFC 8628 §3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// Doubling ends here, or at twice the interval if that is longer.
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// How late the last request may be. Without it, a yes in the last interval before the deadline would never be seen.
const GRACE: Duration = Duration::from_secs(5);

/// What came back from one token request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The person said yes.
    Tokens(Box<TokenResponse>),
    /// An `error` answer.
    Refused {
        /// Which.
        refusal: Refusal,
        /// Auth0 adds the new interval to `slow_down`.
        interval: Option<Duration>,
        /// The header.
        retry_after: Option<Duration>,
    },
    /// An answer that is not the authorization server's: a proxy's page, a rate limiter's text.
    Garbled {
        /// Its status.
        status: u16,
        /// The header.
        retry_after: Option<Duration>,
    },
    /// The authorization server's answer, but nothing that can be used.
    Unusable(Error),
    /// No answer.
    Unreachable(http::Error),
}

impl Answer {
    /// Whether the request may have spent the grant. What is no word of the authorization server about this request (a
    /// proxy's page, an answer that cannot be read, an error of a server in trouble) may stand in the place of the tokens.
    fn may_have_spent(&self) -> bool {
        match self {
            Self::Tokens(_) | Self::Unusable(_) | Self::Garbled { .. } => true,
            Self::Unreachable(error) => error.may_have_arrived(),
            Self::Refused { refusal, .. } => refusal.is_passing() && !is_pending(&refusal.error),
        }
    }
}

/// Both say that nobody has answered yet (RFC 8628 §3.5).
fn is_pending(code: &str) -> bool {
    matches!(code, "authorization_pending" | "slow_down")
}

/// How a wait ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// Yes.
    Approved(Box<TokenResponse>),
    /// No.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// A request may have spent the grant, and its answer did not arrive: whether it was a yes cannot be found out.
    Lost,
    /// Something else is wrong: with the client, the request or the server.
    Failed(Error),
}

/// What to do next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sleep, then make one token request.
    Ask {
        /// How long to sleep.
        after: Duration,
        /// What to tell the person before.
        news: Vec<WaitNews>,
    },
    /// Sleep, then give up: no further request would be in time.
    Expire {
        /// How long to sleep.
        after: Duration,
    },
    /// It is over.
    End(Ending),
}

/// One wait. All times are those of one monotonic clock.
#[derive(Clone, Debug)]
pub struct Poll {
    deadline: Duration,
    interval: Duration,
    first: Duration,
    /// Failures in a row.
    failures: u32,
    /// A request may have spent the grant, and its answer did not say so.
    lost: bool,
    denial_may_mean_expiry: bool,
}

impl Poll {
    /// A wait that was granted `expires_in` at `start`, the moment the request for it was sent (so that the deadline here is
    /// never later than the server's).
    ///
    /// # Errors
    /// If the server's numbers make no sense: a lifetime of nothing or of more than `max_lifetime`, an interval longer than
    /// the lifetime.
    pub fn new(
        start: Duration,
        expires_in: Duration,
        interval: Option<Duration>,
        max_lifetime: Duration,
    ) -> Result<Self, Error> {
        let unusable = |why: String| Err(Error::Unusable { what: "server's time limit", why });
        if expires_in.is_zero() || expires_in > max_lifetime {
            return unusable(format!("{} s is no sensible lifetime", expires_in.as_secs()));
        }
        let poll = Self::resume(start, expires_in, interval);
        if poll.interval > expires_in {
            let (interval, lifetime) = (poll.interval.as_secs(), expires_in.as_secs());
            return unusable(format!("an interval of {interval} s does not fit into a lifetime of {lifetime} s"));
        }
        Ok(poll)
    }

    /// A wait that was begun earlier, perhaps by another process, and of which `remaining` is left.
    #[must_use]
    pub fn resume(now: Duration, remaining: Duration, interval: Option<Duration>) -> Self {
        let interval = interval.unwrap_or(DEFAULT_INTERVAL).max(Duration::from_secs(1));
        Self {
            deadline: now.saturating_add(remaining),
            interval,
            first: interval,
            failures: 0,
            lost: false,
            denial_may_mean_expiry: false,
        }
    }

    /// For servers which answer `access_denied` when nobody answered as well: after the deadline it means expiry.
    #[must_use]
    pub fn denial_may_mean_expiry(mut self, it_may: bool) -> Self {
        self.denial_may_mean_expiry = it_may;
        self
    }

    /// For a resumed wait: a request of it got no answer that anybody knows, and may have spent the grant.
    #[must_use]
    pub fn after_a_lost_request(mut self, there_was_one: bool) -> Self {
        self.lost = there_was_one;
        self
    }

    /// For a resumed wait: some of the first interval has passed already.
    #[must_use]
    pub fn first_after(mut self, first: Duration) -> Self {
        self.first = first;
        self
    }

    /// Seconds between two requests, for the record of a wait that is to be resumed.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Whether a request may have spent the grant without anybody having learnt the answer.
    #[must_use]
    pub fn may_be_spent(&self) -> bool {
        self.lost
    }

    /// When the wait is over, on the clock it was begun with.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The first step: wait one interval, or what is left of it.
    #[must_use]
    pub fn first(&self, now: Duration) -> Step {
        self.ask_after(now, self.first, Vec::new())
    }

    /// The next step, given what was answered and when.
    #[must_use]
    pub fn next(&mut self, now: Duration, answer: Answer) -> Step {
        self.lost |= answer.may_have_spent();
        match answer {
            Answer::Tokens(tokens) => Step::End(Ending::Approved(tokens)),
            Answer::Refused { refusal, interval, retry_after } => self.refused(now, refusal, interval, retry_after),
            Answer::Garbled { status, retry_after } => {
                self.backoff(now, format!("answered with status {status} and no OAuth error"), retry_after)
            }
            Answer::Unusable(error) => Step::End(Ending::Failed(error)),
            Answer::Unreachable(error) => {
                use http::Error::{BadToken, Client, InsecureUrl};
                if matches!(error, InsecureUrl { .. } | Client { .. } | BadToken) {
                    return Step::End(Ending::Failed(error.into()));
                }
                self.backoff(now, error.to_string(), None)
            }
        }
    }

    /// Decides by the error code. The status matters twice: `access_denied` with 401 is about the client, and a server in
    /// trouble, or the limiter before it, has neither decided about the grant nor said anything by a code that no
    /// specification lists.
    fn refused(
        &mut self,
        now: Duration,
        refusal: Refusal,
        interval: Option<Duration>,
        retry_after: Option<Duration>,
    ) -> Step {
        let past = now >= self.deadline;
        if is_pending(&refusal.error) {
            self.lost = false;
        }
        match refusal.error.as_str() {
            "authorization_pending" => {
                let after = self.interval.max(retry_after.unwrap_or_default());
                let news = self.recovered();
                self.ask_after(now, after, news)
            }
            "slow_down" => {
                let slower = self.interval.saturating_add(SLOW_DOWN);
                self.interval = slower.max(interval.unwrap_or_default()).max(retry_after.unwrap_or_default());
                let mut news = self.recovered();
                news.push(WaitNews::SlowDown { interval_s: self.interval.as_secs() });
                self.ask_after(now, self.interval, news)
            }
            "expired_token" | "access_denied" | "invalid_grant" if refusal.is_passing() => {
                self.backoff(now, format!("answered {refusal}"), retry_after)
            }
            "expired_token" => {
                self.lost = false;
                Step::End(Ending::Expired)
            }
            "access_denied" if refusal.status != 401 => {
                let expired = self.denial_may_mean_expiry && past;
                Step::End(if expired { Ending::Expired } else { Ending::Denied })
            }
            // Some servers say `expired_token` once and then forget; and whoever redeemed a grant, or took it away, left it
            // unknown as well.
            "invalid_grant" if !past && self.lost => Step::End(Ending::Lost),
            "invalid_grant" if now.saturating_add(self.interval) >= self.deadline => Step::End(Ending::Expired),
            "access_denied"
            | "invalid_grant"
            | "invalid_request"
            | "invalid_client"
            | "unauthorized_client"
            | "unsupported_grant_type"
            | "invalid_scope"
            | "invalid_target"
            | "transaction_failed" => Step::End(Ending::Failed(Error::Refused(refusal))),
            _ if refusal.is_passing() => self.backoff(now, format!("answered {refusal}"), retry_after),
            _ => Step::End(Ending::Failed(Error::Refused(refusal))),
        }
    }

    /// Doubles the wait with each failure in a row. It fits a last request in before the deadline where it can.
    fn backoff(&mut self, now: Duration, why: String, retry_after: Option<Duration>) -> Step {
        self.failures = self.failures.saturating_add(1);
        let longest = MAX_BACKOFF.max(self.interval.saturating_mul(2));
        let doubled = self.interval.saturating_mul(1 << self.failures.min(10)).min(longest);
        let left = self.deadline.saturating_sub(now);
        let after = doubled.min(left.max(self.interval)).max(retry_after.unwrap_or_default());
        let news = if self.failures == 1 { vec![WaitNews::Offline { error: why }] } else { Vec::new() };
        self.ask_after(now, after, news)
    }

    fn recovered(&mut self) -> Vec<WaitNews> {
        if std::mem::take(&mut self.failures) > 0 { vec![WaitNews::Online] } else { Vec::new() }
    }

    fn ask_after(&self, now: Duration, after: Duration, news: Vec<WaitNews>) -> Step {
        let at = now.saturating_add(after);
        if at <= self.deadline || (now < self.deadline && at <= self.deadline.saturating_add(GRACE)) {
            Step::Ask { after, news }
        } else if now >= self.deadline {
            Step::End(Ending::Expired)
        } else {
            Step::Expire { after: self.deadline - now }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use chrono::DateTime;
    use proptest::{collection::vec, option, prelude::*};
    use serde::Deserialize;

    use super::*;
    use crate::{
        clock::{Clock, ManualClock},
        oauth::wait,
        secret::AccessToken,
    };

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        name: String,
        expires_in: u64,
        interval: Option<u64>,
        #[serde(default)]
        shared: bool,
        answers: Vec<Scripted>,
        sleeps: Vec<u64>,
        #[serde(default)]
        news: Vec<String>,
        end: String,
    }

    #[derive(Clone, Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Scripted {
        took: u64,
        status: Option<u16>,
        error: Option<String>,
        interval: Option<u64>,
        retry_after: Option<u64>,
        page: Option<u16>,
        tokens: bool,
        empty: bool,
        cut: bool,
        refused: bool,
        timeout: bool,
    }

    impl Scripted {
        fn answer(self) -> Answer {
            let retry_after = self.retry_after.map(Duration::from_secs);
            let (origin, why) = ("https://a.example".to_owned(), String::new());
            if let Some(error) = self.error {
                let refusal = Refusal { status: self.status.unwrap_or(400), error, description: None };
                let interval = self.interval.map(Duration::from_secs);
                return Answer::Refused { refusal, interval, retry_after };
            }
            if let Some(status) = self.page {
                return Answer::Garbled { status, retry_after };
            }
            match (self.tokens, self.empty, self.cut, self.refused, self.timeout) {
                (true, ..) => Answer::Tokens(Box::new(TokenResponse {
                    access_token: AccessToken::new("at"),
                    expires_in: None,
                    scope: None,
                    refresh_token: None,
                    id_token: None,
                    authorization_details: None,
                })),
                (_, true, ..) => Answer::Unusable(Error::Unusable { what: "answer", why }),
                (_, _, true, ..) => Answer::Unreachable(http::Error::Lost { origin, why }),
                (_, _, _, true, _) => Answer::Unreachable(http::Error::Connect { origin, why }),
                (_, _, _, _, true) => Answer::Unreachable(http::Error::Timeout { origin }),
                _ => panic!("an answer that is none"),
            }
        }
    }

    async fn run(case: &Case) -> (String, Vec<String>, Vec<u64>) {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let news = RefCell::new(Vec::new());
        let seconds = Duration::from_secs;
        let interval = case.interval.map(seconds);
        let poll = Poll::new(clock.elapsed(), seconds(case.expires_in), interval, super::super::device::MAX_LIFETIME);
        let Ok(poll) = poll else { return ("unusable".to_owned(), Vec::new(), Vec::new()) };
        let mut answers = case.answers.iter();
        let mut last = None;
        let ask = async || {
            last = answers.next().or(last);
            let scripted = last.unwrap().clone();
            clock.advance(seconds(scripted.took));
            Ok::<_, ()>(scripted.answer())
        };
        let tell = |item| {
            news.borrow_mut().push(match item {
                WaitNews::SlowDown { interval_s } => format!("slow_down {interval_s}"),
                WaitNews::Offline { .. } => "offline".to_owned(),
                WaitNews::Online => "online".to_owned(),
            });
        };
        let ending = wait(&clock, poll.denial_may_mean_expiry(case.shared), ask, &tell).await.unwrap();
        let end = match ending {
            Ending::Approved(_) => "approved".to_owned(),
            Ending::Denied => "denied".to_owned(),
            Ending::Expired => "expired".to_owned(),
            Ending::Lost => "lost".to_owned(),
            Ending::Failed(error) => format!("failed {}", error.code().unwrap_or_default()).trim().to_owned(),
        };
        (end, news.into_inner(), clock.sleeps().iter().map(Duration::as_secs).collect())
    }

    #[tokio::test]
    async fn every_case_of_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/poll.json");
        let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(cases.len() > 40);
        for case in &cases {
            let found = run(case).await;
            assert_eq!(found, (case.end.clone(), case.news.clone(), case.sleeps.clone()), "{}", case.name);
        }
    }

    #[tokio::test]
    async fn an_error_of_the_one_who_asks_ends_the_wait() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let poll = Poll::resume(clock.elapsed(), Duration::from_secs(3), None);
        let ending = wait(&clock, poll, async || Err("disk full"), &|_| {}).await;
        assert_eq!(ending.unwrap_err(), "disk full");
    }

    /// Any answer, likely ones more often.
    fn any_answer() -> impl Strategy<Value = Scripted> {
        let seconds = || option::weighted(0.3, 0u64..200);
        const ERRORS: &[&str] =
            &["authorization_pending", "slow_down", "temporarily_unavailable", "expired_token", "access_denied"];
        let refused =
            (prop::sample::select(ERRORS), seconds(), seconds(), prop::sample::select(&[400, 401, 429, 503][..]));
        let refused = refused.prop_map(|(error, interval, retry_after, status)| Scripted {
            error: Some(error.to_owned()),
            status: Some(status),
            interval,
            retry_after,
            ..Scripted::default()
        });
        let pending = Scripted { error: Some("authorization_pending".to_owned()), ..Scripted::default() };
        prop_oneof![
            6 => Just(pending),
            4 => refused,
            1 => seconds().prop_map(|retry_after| Scripted { page: Some(502), retry_after, ..Scripted::default() }),
            1 => Just(Scripted { cut: true, ..Scripted::default() }),
            1 => Just(Scripted { timeout: true, ..Scripted::default() }),
            1 => Just(Scripted { tokens: true, ..Scripted::default() }),
        ]
    }

    proptest! {
        /// Whatever is answered, and however long each answer takes: no request comes before the interval that the server
        /// asked for last, intervals never shrink, a Retry-After is kept, nothing is asked after the deadline and its grace,
        /// only tokens are a yes, and the wait has an end.
        #[test]
        fn a_wait_is_never_early_never_late_and_ends(
            expires_in in 1u64..2000,
            interval in option::of(0u64..60),
            answers in vec((any_answer(), 0u64..40), 1..60),
        ) {
            let seconds = Duration::from_secs;
            let Ok(mut poll) = Poll::new(Duration::ZERO, seconds(expires_in), interval.map(seconds), seconds(1800)) else {
                return Ok(());
            };
            let last = poll.deadline() + GRACE;
            let (mut now, mut asked, mut step) = (Duration::ZERO, 0, poll.first(Duration::ZERO));
            let mut least = poll.interval();
            for (scripted, took) in answers.into_iter().cycle() {
                match step {
                    Step::End(ending) => {
                        prop_assert!(!matches!(ending, Ending::Approved(_)), "without tokens");
                        return Ok(());
                    }
                    Step::Expire { after } => {
                        prop_assert_eq!(now + after, poll.deadline());
                        return Ok(());
                    }
                    Step::Ask { after, .. } => {
                        prop_assert!(after >= least, "{:?} after an answer that allows {:?}", after, least);
                        prop_assert!(now + after <= last);
                        now += after;
                    }
                }
                asked += 1;
                prop_assert!(asked <= 2000, "one request a second at most");
                let before = poll.interval();
                now += seconds(took);
                let answer = scripted.clone().answer();
                step = poll.next(now, answer);
                if scripted.tokens {
                    prop_assert!(matches!(step, Step::End(Ending::Approved(_))));
                    return Ok(());
                }
                prop_assert!(poll.interval() >= before);
                if scripted.error.as_deref() == Some("slow_down") {
                    prop_assert!(poll.interval() >= before + SLOW_DOWN);
                }
                least = poll.interval().max(seconds(scripted.retry_after.unwrap_or(0)));
            }
        }
    }
}
