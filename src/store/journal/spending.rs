//! What people spend, for limits that hold across processes: an amount is written down before it can be spent, and taken
//! back only when it is known that nothing happened.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use rusqlite::{Transaction, params};
use rust_decimal::Decimal;

use super::{Error, Journal, millis};
use crate::{
    call::{ActionId, RunId},
    money::Money,
};

/// Nobody but their run asks about amounts that are older than this.
const KEPT: chrono::Duration = chrono::Duration::days(31);

/// Whose spending is meant.
#[derive(Clone, Copy, Debug)]
pub struct Purse<'a> {
    /// The person's issuer.
    pub issuer: &'a str,
    /// The person.
    pub subject: &'a str,
    /// The run, if there is one.
    pub run: Option<&'a RunId>,
    /// Amounts of other currencies are not counted.
    pub currency: &'a str,
    /// What this action reserved itself is not counted: a process that goes on with it needs it once.
    pub action: Option<&'a ActionId>,
    /// Where the last day begins.
    pub since: DateTime<Utc>,
}

/// What was spent, or may be spent still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// By this person since the last day began.
    pub per_day: Decimal,
    /// In this run.
    pub per_run: Decimal,
}

impl Journal {
    /// What was spent so far.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn spent(&self, purse: Purse<'_>) -> Result<Sums, Error> {
        let rows = self.write(false, |tx| rows(tx, purse))?;
        self.sums(&rows, purse)
    }

    /// Writes down what an action may spend, if `judge` finds nothing against it in what was spent so far. It is on the
    /// disk when this returns, and no other process comes between.
    ///
    /// # Errors
    /// If the journal cannot be read or written. What `judge` finds is returned inside.
    pub fn reserve_spend<E>(
        &self,
        action: &ActionId,
        purse: Purse<'_>,
        money: &Money,
        at: DateTime<Utc>,
        judge: impl FnOnce(Sums) -> Result<(), E>,
    ) -> Result<Result<(), E>, Error> {
        let mut corrupt = None;
        let judged = self.write(true, |tx| {
            let sums = match rows(tx, purse).map(|rows| self.sums(&rows, purse)) {
                Ok(Ok(sums)) => sums,
                Ok(Err(error)) => {
                    corrupt = Some(error);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            if let Err(against) = judge(sums) {
                return Ok(Some(Err(against)));
            }
            // What a saved run has spent counts for as long as the run can go on.
            let old = "DELETE FROM spending WHERE at < ?1 AND (run IS NULL OR run NOT IN (SELECT id FROM runs))";
            tx.execute(old, [millis(at - KEPT)])?;
            let sql = "INSERT OR REPLACE INTO spending (action, run, issuer, subject, currency, amount, at)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let run = purse.run.map(RunId::as_str);
            let amount = money.amount.to_string();
            tx.execute(
                sql,
                params![action.as_str(), run, purse.issuer, purse.subject, money.currency, amount, millis(at)],
            )?;
            Ok(Some(Ok(())))
        })?;
        match (judged, corrupt) {
            (Some(judged), _) => Ok(judged),
            (None, Some(error)) => Err(error),
            (None, None) => Err(self.corrupt("an amount is missing")),
        }
    }

    /// Takes back what an action may spend, if it may: it is known that nothing happened.
    ///
    /// # Errors
    /// If the journal cannot be written. Then the amount goes on counting.
    pub fn release_spend(&self, action: &ActionId) -> Result<(), Error> {
        let counts = "SELECT 1 FROM spending WHERE action = ?1";
        if self.find(counts, [action.as_str()], |_| Ok(()))?.is_none() {
            return Ok(());
        }
        self.write(true, |tx| tx.execute("DELETE FROM spending WHERE action = ?1", [action.as_str()]).map(drop))
    }

    fn sums(&self, rows: &[Spending], purse: Purse<'_>) -> Result<Sums, Error> {
        let mut sums = Sums::default();
        for row in rows {
            let amount = Decimal::from_str(&row.amount).map_err(|_| self.corrupt("an amount is no number"))?;
            if amount.is_sign_negative() {
                return Err(self.corrupt("an amount is less than nothing"));
            }
            let too_much = || self.corrupt("the amounts are too great to be added");
            if row.of_the_day {
                sums.per_day = sums.per_day.checked_add(amount).ok_or_else(too_much)?;
            }
            if row.run.is_some() && row.run.as_deref() == purse.run.map(RunId::as_str) {
                sums.per_run = sums.per_run.checked_add(amount).ok_or_else(too_much)?;
            }
        }
        Ok(sums)
    }
}

struct Spending {
    run: Option<String>,
    amount: String,
    of_the_day: bool,
}

fn rows(tx: &Transaction<'_>, purse: Purse<'_>) -> rusqlite::Result<Vec<Spending>> {
    let sql = "SELECT run, amount, at >= ?4 FROM spending
               WHERE issuer = ?1 AND subject = ?2 AND currency = ?3 AND (at >= ?4 OR run = ?5)
                   AND action IS NOT ?6";
    let run = purse.run.map(RunId::as_str);
    let action = purse.action.map(ActionId::as_str);
    tx.prepare(sql)?
        .query_map(params![purse.issuer, purse.subject, purse.currency, millis(purse.since), run, action], |row| {
            Ok(Spending { run: row.get(0)?, amount: row.get(1)?, of_the_day: row.get(2)? })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Bounds, RunRow, tests::at},
        *,
    };
    use crate::files::tests::TempDir;

    fn money(amount: &str) -> Money {
        money_in("EUR", amount)
    }

    fn money_in(currency: &str, amount: &str) -> Money {
        Money { amount: amount.parse().unwrap(), currency: currency.to_owned() }
    }

    #[test]
    fn sums_are_of_one_person_one_currency_and_one_day() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let run = RunId::mint();
        let purse = |subject, currency, since| Purse {
            issuer: "https://a.example",
            subject,
            run: Some(&run),
            currency,
            action: None,
            since: at(since),
        };
        let ada = purse("ada", "EUR", 0);
        let spend = |amount: &str, time| {
            let action = ActionId::mint();
            journal.reserve_spend(&action, ada, &money(amount), at(time), |_| Ok::<_, ()>(())).unwrap().unwrap();
            action
        };
        spend("0.1", 0);
        let second = spend("0.2", 10);
        let sums = |purse| {
            let Sums { per_day, per_run } = journal.spent(purse).unwrap();
            (per_day.to_string(), per_run.to_string())
        };
        assert_eq!(sums(ada), ("0.3".into(), "0.3".into()));
        assert_eq!(sums(purse("ada", "EUR", 5)), ("0.2".into(), "0.3".into()));
        assert_eq!(sums(purse("grace", "EUR", 0)), ("0".into(), "0".into()));
        assert_eq!(sums(purse("ada", "USD", 0)), ("0".into(), "0".into()));
        assert_eq!(sums(Purse { issuer: "https://b.example", ..ada }), ("0".into(), "0".into()));
        assert_eq!(sums(Purse { run: None, ..ada }), ("0.3".into(), "0".into()));
        journal.release_spend(&second).unwrap();
        assert_eq!(sums(ada), ("0.1".into(), "0.1".into()));
    }

    #[test]
    fn what_a_run_has_spent_is_not_forgotten_before_the_run() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let text = || "t".to_owned();
        let row = RunRow {
            id: RunId::mint(),
            started_at: at(0),
            profile: text(),
            model: text(),
            title: text(),
            bounds: Bounds::default(),
        };
        journal.start_run(&row).unwrap();
        let later = KEPT.num_seconds() + 10;
        let purse =
            |run, since| Purse { issuer: "i", subject: "s", run, currency: "EUR", action: None, since: at(since) };
        let spend = |run, amount, second| {
            let judge = |_| Ok::<_, ()>(());
            journal
                .reserve_spend(&ActionId::mint(), purse(run, 0), &money(amount), at(second), judge)
                .unwrap()
                .unwrap();
        };
        spend(Some(&row.id), "7", 0);
        spend(None, "5", 0);
        spend(None, "1", later);
        let sums = journal.spent(purse(Some(&row.id), 0)).unwrap();
        assert_eq!((sums.per_run, sums.per_day), (Decimal::from(7), Decimal::from(8)), "the 5 are gone");
        journal.delete_run(&row.id).unwrap();
        spend(None, "1", later);
        assert_eq!(journal.spent(purse(None, 0)).unwrap().per_day, Decimal::from(2));
    }

    #[test]
    fn an_amount_below_nothing_makes_no_room() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let purse = Purse { issuer: "i", subject: "s", run: None, currency: "EUR", action: None, since: at(0) };
        journal.reserve_spend(&ActionId::mint(), purse, &money("9"), at(1), |_| Ok::<_, ()>(())).unwrap().unwrap();
        let less = "INSERT INTO spending SELECT 'act_x', run, issuer, subject, currency, '-1000', at FROM spending";
        journal.connection.execute_batch(less).unwrap();
        assert!(matches!(journal.spent(purse), Err(Error::Corrupt { .. })));
        let judge = |_| Ok::<_, ()>(());
        assert!(journal.reserve_spend(&ActionId::mint(), purse, &money("9"), at(1), judge).is_err());
    }

    #[test]
    fn what_is_judged_is_what_is_written_down() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let purse = Purse { issuer: "i", subject: "s", run: None, currency: "EUR", action: None, since: at(0) };
        let judge = |sums: Sums| if sums.per_day > Decimal::ZERO { Err(sums.per_day) } else { Ok(()) };
        let reserve = || journal.reserve_spend(&ActionId::mint(), purse, &money("400"), at(1), judge).unwrap();
        assert_eq!(reserve(), Ok(()));
        assert_eq!(reserve(), Err(Decimal::from(400)));
        assert_eq!(journal.spent(purse).unwrap().per_day, Decimal::from(400));
        // An action that is gone on with does not stand in its own way, and counts once.
        let purse = Purse { currency: "USD", ..purse };
        let action = ActionId::mint();
        for _ in 0..2 {
            let own = Purse { action: Some(&action), ..purse };
            assert_eq!(journal.reserve_spend(&action, own, &money_in("USD", "400"), at(1), judge).unwrap(), Ok(()));
        }
        assert_eq!(journal.spent(purse).unwrap().per_day, Decimal::from(400));
    }
}
