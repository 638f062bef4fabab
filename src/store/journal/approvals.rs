//! Approvals in the journal, the pushes they cost, and the denials that lock a tool.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, Row, Transaction, params, types::Type};

use super::{ApprovalState, Error, Given, Journal, maybe_time, millis, time};
use crate::call::{ActionId, ApprovalId, RunId};

/// An approval as it is first written down, before anything is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct NewApproval {
    /// Its id.
    pub id: ApprovalId,
    /// The one call it is for.
    pub action: ActionId,
    /// The run that the call belongs to.
    pub run: Option<RunId>,
    /// The authorization server.
    pub issuer: String,
    /// The person there.
    pub subject: String,
    /// The client that asks.
    pub client_id: String,
    /// Which tool.
    pub tool: String,
    /// The plan, as canonical JSON.
    pub plan: String,
    /// The plan's digest.
    pub digest: String,
    /// What the device shall show.
    pub binding_message: String,
    /// The random part of it.
    pub code: String,
    /// The login under which it is asked; none for one that an earlier version made.
    pub login: Option<String>,
    /// What a yes to it must be like, as JSON; only the approval reads it.
    pub terms: String,
    /// When it was written down.
    pub created_at: DateTime<Utc>,
}

/// What changes together with the state. What is none stays as it was.
#[derive(Clone, Debug, Default)]
pub struct ApprovalChange {
    /// When.
    pub at: DateTime<Utc>,
    /// The `auth_req_id`, sealed. A final state removes it.
    pub sealed_auth_req_id: Option<Vec<u8>>,
    /// The approved tokens, sealed. A final state removes them.
    pub sealed_token: Option<Vec<u8>>,
    /// When the server forgets the request.
    pub expires_at: Option<DateTime<Utc>>,
    /// Seconds between polls.
    pub interval_s: Option<u64>,
    /// What the device shows, and what a yes must be like, if the server did not take the first wording.
    pub reworded: Option<(String, String)>,
    /// What proves the yes, as JSON. Holds no token in clear.
    pub evidence: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// What the server gave, to this approval alone.
    pub given: Given,
}

impl ApprovalChange {
    /// Nothing but the state changes.
    #[must_use]
    pub fn at(at: DateTime<Utc>) -> Self {
        Self { at, ..Self::default() }
    }
}

/// An approval as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ApprovalRow {
    /// What was asked.
    pub asked: NewApproval,
    /// Where it stands.
    pub state: ApprovalState,
    /// When the server took the request.
    pub requested_at: Option<DateTime<Utc>>,
    /// When the answer (approved, denied, expired) was learnt, or the wait given up.
    pub answered_at: Option<DateTime<Utc>>,
    /// When the server forgets the request.
    pub expires_at: Option<DateTime<Utc>>,
    /// Seconds between polls.
    pub interval_s: Option<u64>,
    /// When the server was asked last, so that no other process asks too early.
    pub polled_at: Option<DateTime<Utc>>,
    /// The `auth_req_id`, sealed.
    pub sealed_auth_req_id: Option<Vec<u8>>,
    /// The approved tokens, sealed.
    pub sealed_token: Option<Vec<u8>>,
    /// What proves the yes, as JSON.
    pub evidence: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}

impl ApprovalRow {
    /// How long there is to answer, or to use the answer. A clock that was set back does not make it longer.
    #[must_use]
    pub fn left(&self, now: DateTime<Utc>) -> Option<Duration> {
        let until = self.expires_at?;
        let span = |from: DateTime<Utc>| (until - from).to_std().unwrap_or_default();
        Some(span(now).min(span(self.asked.created_at)))
    }
}

/// Which approvals to list.
#[derive(Clone, Debug, Default)]
pub struct ApprovalFilter {
    /// Only those of this run.
    pub run: Option<RunId>,
    /// Only those that something can still follow.
    pub open: bool,
}

const COLUMNS: &str =
    "id, action, run, issuer, subject, client_id, tool, plan, digest, binding_message, code, created_at,
    state, requested_at, answered_at, expires_at, interval_s, sealed_auth_req_id, sealed_token, error, terms, polled_at,
    evidence, login";

impl Journal {
    /// Writes down an approval that is about to be asked for; its state is `planned`.
    ///
    /// # Errors
    /// If the journal cannot be written. Then nothing may be sent.
    pub fn insert_approval(&self, new: &NewApproval) -> Result<(), Error> {
        self.step(ApprovalState::Planned.word(), |tx| {
            let sql = "INSERT INTO approvals (id, action, run, issuer, subject, client_id, tool, plan, digest,
                           binding_message, code, created_at, state, terms, login)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
            let values = params![
                new.id.as_str(),
                new.action.as_str(),
                new.run.as_ref().map(RunId::as_str),
                new.issuer,
                new.subject,
                new.client_id,
                new.tool,
                new.plan,
                new.digest,
                new.binding_message,
                new.code,
                millis(new.created_at),
                ApprovalState::Planned.word(),
                new.terms,
                new.login,
            ];
            tx.execute(sql, values).map(drop)
        })?;
        self.rely_on("approvals", new.id.as_str());
        self.rely_on("approvals", new.action.as_str());
        Ok(())
    }

    /// Takes an approval from one state to the next, if it still is in that one: of several processes that try, one wins.
    ///
    /// # Errors
    /// If there is no such step or no such approval, somebody else was faster, or the journal cannot be written.
    /// [`Error::Given`] if what the server gave was given to another one; then the state is what it was.
    pub fn move_approval(
        &self,
        id: &ApprovalId,
        from: ApprovalState,
        to: ApprovalState,
        change: &ApprovalChange,
    ) -> Result<(), Error> {
        self.move_approval_and(id, from, to, change, |_| Ok(()))
    }

    /// The same, and something else in the same transaction: both are on the disk, or neither.
    pub(super) fn move_approval_and(
        &self,
        id: &ApprovalId,
        from: ApprovalState,
        to: ApprovalState,
        change: &ApprovalChange,
        and: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        if !from.may_become(to) {
            return Err(Error::NoSuchStep { from, to });
        }
        let at = millis(change.at);
        // Going back from `redeeming` to `requested` is not a second request.
        let requested = (to == ApprovalState::Requested).then_some(at);
        let answered = matches!(
            to,
            ApprovalState::Approved | ApprovalState::Denied | ApprovalState::Expired | ApprovalState::Abandoned
        )
        .then_some(at);
        let polled = matches!(to, ApprovalState::Requested | ApprovalState::Redeeming).then_some(at);
        let (message, terms) = change.reworded.as_ref().map(|(message, terms)| (message, terms)).unzip();
        let moved = self.step(to.word(), |tx| {
            let sql = "UPDATE approvals SET state = ?3, requested_at = coalesce(requested_at, ?4),
                           answered_at = coalesce(answered_at, ?5), expires_at = coalesce(?6, expires_at),
                           interval_s = coalesce(?7, interval_s), error = coalesce(?8, error),
                           polled_at = coalesce(?12, polled_at), evidence = coalesce(?13, evidence),
                           binding_message = coalesce(?14, binding_message), terms = coalesce(?15, terms),
                           auth_req_id_sha256 = coalesce(?16, auth_req_id_sha256),
                           id_token_sha256 = coalesce(?17, id_token_sha256),
                           access_token_sha256 = coalesce(?18, access_token_sha256),
                           sealed_auth_req_id = CASE WHEN ?9 THEN NULL ELSE coalesce(?10, sealed_auth_req_id) END,
                           sealed_token = CASE WHEN ?9 THEN NULL ELSE coalesce(?11, sealed_token) END
                       WHERE id = ?1 AND state = ?2";
            let values = params![
                id.as_str(),
                from.word(),
                to.word(),
                requested,
                answered,
                change.expires_at.map(millis),
                change.interval_s.and_then(|seconds| i64::try_from(seconds).ok()),
                change.error,
                to.is_final(),
                change.sealed_auth_req_id,
                change.sealed_token,
                polled,
                change.evidence,
                message,
                terms,
                change.given.auth_req_id,
                change.given.id_token,
                change.given.access_token,
            ];
            if tx.execute(sql, values)? == 1 {
                return and(tx).map(|()| None);
            }
            let sql = "SELECT state FROM approvals WHERE id = ?1";
            Ok(Some(tx.query_row(sql, [id.as_str()], |row| state(row, 0)).optional()?))
        });
        match moved {
            Ok(None) => Ok(()),
            Ok(Some(None)) => Err(Error::Missing(id.to_string())),
            Ok(Some(Some(found))) => Err(Error::Stale { expected: from, found }),
            // What is unique of a row that is there are the hashes of what was given.
            Err(Error::Exists(what)) if what.contains("approvals.") => Err(Error::Given),
            Err(error) => Err(error),
        }
    }

    /// An approval, if it is there.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn approval(&self, id: &ApprovalId) -> Result<Option<ApprovalRow>, Error> {
        let which = "WHERE id = ?1";
        Ok(self.read_or("approvals", COLUMNS, which, &[id.as_str()], approval_row, ApprovalRow::given_up)?.pop())
    }

    /// The newest approval of an action, if it has one.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn approval_of(&self, action: &ActionId) -> Result<Option<ApprovalRow>, Error> {
        let newest = "WHERE action = ?1 ORDER BY created_at DESC, id DESC LIMIT 1";
        Ok(self.read_or("approvals", COLUMNS, newest, &[action.as_str()], approval_row, ApprovalRow::given_up)?.pop())
    }

    /// Approvals, the oldest first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn approvals(&self, filter: &ApprovalFilter) -> Result<Vec<ApprovalRow>, Error> {
        let states = states(filter.open);
        let sql = format!(
            "SELECT {COLUMNS} FROM approvals WHERE {states} AND (?1 IS NULL OR run = ?1) ORDER BY created_at, id"
        );
        self.list(&sql, [filter.run.as_ref().map(RunId::as_str)], approval_row)
    }

    /// When this person's devices were made to ring since `since`, by any process.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn pushes_since(&self, issuer: &str, subject: &str, since: DateTime<Utc>) -> Result<Vec<DateTime<Utc>>, Error> {
        let sql = "SELECT at FROM pushes WHERE issuer = ?1 AND subject = ?2 AND at >= ?3 ORDER BY at";
        self.list(sql, params![issuer, subject, millis(since)], |row| time(row, 0))
    }

    /// Takes one of the `max` pushes that a person may get within `window`, or says how long to wait for the next.
    ///
    /// # Errors
    /// If the journal cannot be written. Then nothing may be sent.
    pub fn reserve_push(
        &self,
        issuer: &str,
        subject: &str,
        at: DateTime<Utc>,
        window: Duration,
        max: u32,
    ) -> Result<Option<Duration>, Error> {
        let (now, window) = (millis(at), i64::try_from(window.as_millis()).unwrap_or(i64::MAX));
        self.write(true, |tx| {
            // What is left behind by a clock that was set back counts as a push of now, so it cannot block for longer
            // than one window.
            let sql = "UPDATE pushes SET at = ?3 WHERE issuer = ?1 AND subject = ?2 AND at > ?3";
            tx.execute(sql, params![issuer, subject, now])?;
            let sql = "DELETE FROM pushes WHERE issuer = ?1 AND subject = ?2 AND at <= ?3";
            tx.execute(sql, params![issuer, subject, now.saturating_sub(window)])?;
            // The newest but `max - 1`: when it leaves the window, there is room for one more.
            let blocking: Option<i64> = match max.checked_sub(1) {
                None => Some(now),
                Some(skip) => {
                    let sql =
                        "SELECT at FROM pushes WHERE issuer = ?1 AND subject = ?2 ORDER BY at DESC LIMIT 1 OFFSET ?3";
                    tx.query_row(sql, params![issuer, subject, skip], |row| row.get(0)).optional()?
                }
            };
            if let Some(blocking) = blocking {
                let wait = blocking.saturating_add(window).saturating_sub(now);
                return Ok(Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0))));
            }
            tx.execute("INSERT INTO pushes (issuer, subject, at) VALUES (?1, ?2, ?3)", params![issuer, subject, now])?;
            Ok(None)
        })
    }

    /// How often this tool was denied in this run, and how many more of the run's approvals may have been such denials: somebody
    /// has edited them, so that no column of them says anything, or given them up without the key.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn denials_in_run(&self, run: &RunId, tool: &str) -> Result<(u32, u32), Error> {
        let unproven = self.unproven("approvals");
        let sql = format!(
            "SELECT count(*) FILTER (WHERE state = 'denied' AND tool = ?2),
                    count(*) FILTER (WHERE (state <> 'denied' OR tool <> ?2) AND {unproven})
             FROM approvals WHERE run = ?1"
        );
        let counted = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        Ok(self.find(&sql, params![run.as_str(), tool], counted)?.unwrap_or_default())
    }
}

fn approval_row(row: &Row<'_>) -> rusqlite::Result<ApprovalRow> {
    let text = |column| row.get::<_, String>(column);
    let interval: Option<i64> = row.get(16)?;
    Ok(ApprovalRow {
        asked: NewApproval {
            id: ApprovalId::from_text(text(0)?),
            action: ActionId::from_text(text(1)?),
            run: row.get::<_, Option<String>>(2)?.map(RunId::from_text),
            issuer: text(3)?,
            subject: text(4)?,
            client_id: text(5)?,
            tool: text(6)?,
            plan: text(7)?,
            digest: text(8)?,
            binding_message: text(9)?,
            code: text(10)?,
            login: row.get(23)?,
            terms: text(20)?,
            created_at: time(row, 11)?,
        },
        state: state(row, 12)?,
        requested_at: maybe_time(row, 13)?,
        answered_at: maybe_time(row, 14)?,
        expires_at: maybe_time(row, 15)?,
        interval_s: interval.and_then(|seconds| u64::try_from(seconds).ok()),
        sealed_auth_req_id: row.get(17)?,
        sealed_token: row.get(18)?,
        error: row.get(19)?,
        polled_at: maybe_time(row, 21)?,
        evidence: row.get(22)?,
    })
}

/// The condition that an approval stands in a state we know; if `open`, in one that something can still follow.
fn states(open: bool) -> String {
    let states = ApprovalState::ALL.into_iter().filter(|state| !(open && state.is_final()));
    format!("state IN ({})", states.map(|state| format!("'{state}'")).collect::<Vec<_>>().join(", "))
}

pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<ApprovalState> {
    let word: String = row.get(column)?;
    word.parse().map_err(|why: String| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why.into()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::{
        super::{state::tests::STEPS, tests::at},
        *,
    };
    use crate::files::tests::TempDir;

    pub(in super::super) fn new(run: Option<RunId>) -> NewApproval {
        NewApproval {
            id: ApprovalId::mint(),
            action: ActionId::mint(),
            run,
            issuer: "https://as.example".into(),
            subject: "auth0|1".into(),
            client_id: "approver".into(),
            tool: "buy_product".into(),
            plan: r#"{"qty":2}"#.into(),
            digest: "sha-256:x".into(),
            binding_message: "BUY-2-phones.7F3KQ9ZT".into(),
            code: "7F3KQ9ZT".into(),
            login: Some("login_1".into()),
            terms: "{}".into(),
            created_at: at(0),
        }
    }

    fn change(second: i64) -> ApprovalChange {
        ApprovalChange { at: at(second), ..ApprovalChange::default() }
    }

    /// The shortest way to a state.
    fn way(to: ApprovalState) -> Vec<ApprovalState> {
        let mut ways = vec![vec![ApprovalState::Planned]];
        loop {
            let way = ways.remove(0);
            let last = *way.last().unwrap();
            if last == to {
                return way;
            }
            let nexts = STEPS.iter().find(|(from, _)| *from == last.word()).unwrap().1;
            ways.extend(nexts.iter().filter(|_| way.len() < 8).map(|next| {
                let mut longer = way.clone();
                longer.push(next.parse().unwrap());
                longer
            }));
        }
    }

    #[test]
    fn every_pair_of_states_in_the_file() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        for from in ApprovalState::ALL {
            for to in ApprovalState::ALL {
                let new = new(None);
                journal.insert_approval(&new).unwrap();
                for step in way(from).windows(2) {
                    journal.move_approval(&new.id, step[0], step[1], &change(1)).unwrap();
                }
                let result = journal.move_approval(&new.id, from, to, &change(2));
                let state = journal.approval(&new.id).unwrap().unwrap().state;
                if from.may_become(to) {
                    result.unwrap();
                    assert_eq!(state, to);
                    let again = journal.move_approval(&new.id, from, to, &change(3));
                    assert!(matches!(again, Err(Error::Stale { expected, found }) if (expected, found) == (from, to)));
                } else {
                    assert!(matches!(result, Err(Error::NoSuchStep { .. })), "{from} -> {to}");
                    assert_eq!(state, from);
                }
            }
        }
    }

    #[test]
    fn a_life_is_kept_and_its_secrets_end_with_it() {
        use ApprovalState as S;
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let new = new(Some(RunId::mint()));
        journal.insert_approval(&new).unwrap();
        assert!(matches!(journal.insert_approval(&new), Err(Error::Exists(_))));
        let requested = ApprovalChange {
            sealed_auth_req_id: Some(vec![1]),
            expires_at: Some(at(300)),
            interval_s: Some(5),
            ..change(1)
        };
        journal.move_approval(&new.id, S::Planned, S::Requested, &requested).unwrap();
        journal.move_approval(&new.id, S::Requested, S::Redeeming, &change(6)).unwrap();
        journal.move_approval(&new.id, S::Redeeming, S::Requested, &change(7)).unwrap();
        journal.move_approval(&new.id, S::Requested, S::Redeeming, &change(12)).unwrap();
        let approved = ApprovalChange { sealed_token: Some(vec![2]), evidence: Some("{}".into()), ..change(13) };
        journal.move_approval(&new.id, S::Redeeming, S::Approved, &approved).unwrap();
        let expected = ApprovalRow {
            asked: new.clone(),
            state: S::Approved,
            requested_at: Some(at(1)),
            answered_at: Some(at(13)),
            expires_at: Some(at(300)),
            interval_s: Some(5),
            sealed_auth_req_id: Some(vec![1]),
            sealed_token: Some(vec![2]),
            polled_at: Some(at(12)),
            evidence: Some("{}".into()),
            error: None,
        };
        assert_eq!(journal.approval(&new.id).unwrap().unwrap(), expected);
        let open = ApprovalFilter { run: new.run.clone(), open: true };
        assert_eq!(journal.approvals(&open).unwrap(), [expected]);
        journal.move_approval(&new.id, S::Approved, S::Executing, &change(14)).unwrap();
        journal.move_approval(&new.id, S::Executing, S::Done, &change(15)).unwrap();
        let done = journal.approval(&new.id).unwrap().unwrap();
        assert_eq!((done.sealed_auth_req_id, done.sealed_token, done.answered_at), (None, None, Some(at(13))));
        assert!(journal.approvals(&open).unwrap().is_empty());
        assert_eq!(journal.approvals(&ApprovalFilter::default()).unwrap().len(), 1);
        let nobody = ApprovalId::mint();
        assert!(matches!(journal.move_approval(&nobody, S::Planned, S::Requested, &change(1)), Err(Error::Missing(_))));
    }

    #[test]
    fn of_many_processes_one_moves_it() {
        use ApprovalState as S;
        let dir = TempDir::new();
        let new = new(None);
        Journal::open(&dir.0).unwrap().insert_approval(&new).unwrap();
        let winners = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let journal = Journal::open(&dir.0).unwrap();
                        journal.move_approval(&new.id, S::Planned, S::Requested, &change(1)).is_ok()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(winners, 1);
    }

    #[test]
    fn five_pushes_a_minute_across_processes() {
        let dir = TempDir::new();
        let minute = Duration::from_secs(60);
        let one = Journal::open(&dir.0).unwrap();
        let other = Journal::open(&dir.0).unwrap();
        let take = |journal: &Journal, who: &str, second| {
            journal.reserve_push("https://as.example", who, at(second), minute, 5).unwrap()
        };
        for second in 0..5 {
            assert_eq!(take(if second % 2 == 0 { &one } else { &other }, "ada", second * 10), None);
        }
        assert_eq!(take(&other, "ada", 45), Some(Duration::from_secs(15)));
        assert_eq!(take(&other, "grace", 45), None);
        assert_eq!(take(&one, "ada", 60), None);
        assert_eq!(take(&one, "ada", 61), Some(Duration::from_secs(9)));
        assert_eq!(one.pushes_since("https://as.example", "ada", at(30)).unwrap(), [at(30), at(40), at(60)]);
        // A limit that was lowered meanwhile counts at once; a limit of nothing never lets one through.
        let lowered = one.reserve_push("https://as.example", "ada", at(61), minute, 2).unwrap();
        assert_eq!(lowered, Some(Duration::from_secs(39)));
        assert_eq!(one.reserve_push("i", "nobody", at(0), minute, 0).unwrap(), Some(minute));
        // The clock was set back by an hour: the person waits a minute, not an hour.
        assert_eq!(take(&one, "ada", -3600), Some(minute));
    }

    #[test]
    fn denials_are_counted_by_run_and_tool() {
        use ApprovalState as S;
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let run = RunId::mint();
        for _ in 0..2 {
            let new = new(Some(run.clone()));
            journal.insert_approval(&new).unwrap();
            journal.move_approval(&new.id, S::Planned, S::Requested, &change(1)).unwrap();
            journal.move_approval(&new.id, S::Requested, S::Denied, &change(2)).unwrap();
        }
        journal.insert_approval(&new(Some(run.clone()))).unwrap();
        assert_eq!(journal.denials_in_run(&run, "buy_product").unwrap(), (2, 0));
        assert_eq!(journal.denials_in_run(&run, "other").unwrap(), (0, 0));
        assert_eq!(journal.denials_in_run(&RunId::mint(), "buy_product").unwrap(), (0, 0));
    }
}
