//! Which entries are wanted. What is asked for is about actions, so all entries of an action are shown or none.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};
use clap::Args as ClapArgs;
use serde_json::Value;

use crate::{
    call::{ActionId, Outcome},
    store::audit::{Entry, Kind},
};

/// The filters of `list` and `export`.
#[derive(Debug, Default, ClapArgs)]
pub(super) struct Filters {
    /// Only this run, by its id or the beginning of it
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Only calls of this tool
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// Only what ended like this (done, denied, expired, unknown, ...)
    #[arg(long, value_name = "WORD", value_parser = outcome)]
    outcome: Option<String>,
    /// Only what was asked at this time or later: 2026-01-31, 2026-01-31T08:00:00Z, or how long ago (90s, 15m, 8h, 7d)
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<When>,
    /// Only what was asked before this time
    #[arg(long, value_name = "TIME", value_parser = when)]
    until: Option<When>,
    /// Only this action, by its id or the beginning of it
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only the newest N
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<usize>,
}

/// A time on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    At(DateTime<Utc>),
    Ago(Duration),
}

impl When {
    /// As the log writes it, so that texts can be compared.
    fn text(self, now: DateTime<Utc>) -> String {
        let at = match self {
            Self::At(at) => at,
            Self::Ago(ago) => now - ago,
        };
        at.to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

fn when(text: &str) -> Result<When, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(When::At(at.with_timezone(&Utc)));
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(When::At(date.and_time(NaiveTime::MIN).and_utc()));
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let ago = match days {
        Some(days) => Some(Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
        None if text.ends_with(['s', 'm', 'h']) => crate::cli::args::duration(text).ok(),
        None => None,
    };
    // No log is older, and no time of it overflows.
    ago.filter(|ago| ago.as_secs() < 10_000 * 366 * 24 * 60 * 60 / 10)
        .map(When::Ago)
        .ok_or_else(|| "give 2026-01-31, 2026-01-31T08:00:00Z, or how long ago: 90s, 15m, 8h, 7d".to_owned())
}

fn outcome(text: &str) -> Result<String, String> {
    let known = serde_json::from_value::<Outcome>(Value::from(text));
    known.map(|outcome| outcome.word().to_owned()).map_err(|error| error.to_string())
}

/// Takes the entries in their order and gives back those that are wanted.
#[derive(Debug)]
pub(super) struct Select<'a> {
    filters: &'a Filters,
    since: Option<String>,
    until: Option<String>,
    /// Actions that have not ended yet.
    open: HashMap<ActionId, Open>,
}

#[derive(Debug)]
struct Open {
    wanted: bool,
    /// What came so far, as long as only its end can say whether it is wanted.
    held: Vec<Entry>,
}

impl<'a> Select<'a> {
    pub(super) fn new(filters: &'a Filters, now: DateTime<Utc>) -> Self {
        let text = |when: Option<When>| when.map(|when| when.text(now));
        Self { filters, since: text(filters.since), until: text(filters.until), open: HashMap::new() }
    }

    /// One entry more; calls `show` with what is wanted now.
    pub(super) fn entry(&mut self, entry: Entry, mut show: impl FnMut(Entry)) {
        match (entry.kind, entry.action.clone()) {
            (Kind::Request, Some(action)) => {
                let wanted = self.wants(&entry);
                let hold = wanted && self.filters.outcome.is_some();
                let (held, now) = if hold { (vec![entry], None) } else { (Vec::new(), Some(entry)) };
                self.open.insert(action, Open { wanted, held });
                if let Some(entry) = now.filter(|_| wanted) {
                    show(entry);
                }
            }
            (Kind::Sent, Some(action)) => {
                let alone = self.filters.outcome.is_none() && self.wants(&entry);
                match self.open.get_mut(&action) {
                    Some(open) if !open.held.is_empty() => open.held.push(entry),
                    Some(Open { wanted: true, .. }) => show(entry),
                    None if alone => show(entry),
                    _ => {}
                }
            }
            (Kind::Response, Some(action)) => {
                let open = self.open.remove(&action);
                let wanted = match &open {
                    Some(open) => open.wanted,
                    None => self.wants(&entry),
                };
                let outcome = entry.body["outcome"].as_str();
                if wanted && self.filters.outcome.as_deref().is_none_or(|wanted| Some(wanted) == outcome) {
                    open.map(|open| open.held).into_iter().flatten().for_each(&mut show);
                    show(entry);
                }
            }
            _ => {
                let Filters { run, tool, outcome, action, .. } = self.filters;
                if [run, tool, outcome, action].iter().all(|filter| filter.is_none()) && self.in_time(&entry) {
                    show(entry);
                }
            }
        }
    }

    fn wants(&self, entry: &Entry) -> bool {
        let member = |name: &str| entry.body[name].as_str();
        let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
        let begins = |wanted: &Option<String>, found: Option<&str>| match wanted {
            Some(wanted) => !wanted.is_empty() && found.is_some_and(|found| found.starts_with(wanted)),
            None => true,
        };
        begins(&self.filters.run, member("run"))
            && is(&self.filters.tool, member("tool"))
            && begins(&self.filters.action, entry.action.as_ref().map(ActionId::as_str))
            && self.in_time(entry)
    }

    fn in_time(&self, entry: &Entry) -> bool {
        self.since.as_ref().is_none_or(|since| entry.time >= *since)
            && self.until.as_ref().is_none_or(|until| entry.time < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(seq: u64, kind: Kind, action: Option<&str>, body: Value) -> Entry {
        let time = format!("2026-01-01T00:00:{seq:02}.000Z");
        Entry {
            seq,
            time,
            prev: String::new(),
            kind,
            action: action.map(ActionId::from_text),
            body,
            mac: None,
            proven: None,
        }
    }

    fn selected(filters: &Filters) -> Vec<u64> {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let mut select = Select::new(filters, now);
        let mut seqs = Vec::new();
        for entry in [
            entry(1, Kind::Begin, None, json!({})),
            entry(2, Kind::Request, Some("act_1"), json!({"tool": "buy", "run": "run_1"})),
            entry(3, Kind::Request, Some("act_2"), json!({"tool": "look", "run": "run_1"})),
            entry(4, Kind::Response, Some("act_2"), json!({"outcome": "done"})),
            entry(8, Kind::Sent, Some("act_1"), json!({})),
            entry(5, Kind::Response, Some("act_1"), json!({"outcome": "denied"})),
            entry(6, Kind::Request, Some("act_3"), json!({"tool": "buy", "run": null})),
            entry(7, Kind::Checkpoint, None, json!({})),
        ] {
            select.entry(entry, |entry| seqs.push(entry.seq));
        }
        seqs
    }

    #[test]
    fn both_entries_of_an_action_or_none() {
        assert_eq!(selected(&Filters::default()), [1, 2, 3, 4, 8, 5, 6, 7]);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(selected(&Filters { tool: some("buy"), ..Filters::default() }), [2, 8, 5, 6]);
        assert_eq!(selected(&Filters { run: some("run_1"), ..Filters::default() }), [2, 3, 4, 8, 5]);
        assert_eq!(selected(&Filters { run: some("run"), ..Filters::default() }), [2, 3, 4, 8, 5]);
        assert_eq!(selected(&Filters { run: some("run_11"), ..Filters::default() }), [0; 0]);
        assert_eq!(selected(&Filters { run: some(""), ..Filters::default() }), [0; 0]);
        assert_eq!(selected(&Filters { action: some("act"), ..Filters::default() }), [2, 3, 4, 8, 5, 6]);
        assert_eq!(selected(&Filters { outcome: some("denied"), ..Filters::default() }), [2, 8, 5]);
        assert_eq!(selected(&Filters { action: some("act_2"), ..Filters::default() }), [3, 4]);
        let since = Some(When::Ago(Duration::from_secs(57)));
        assert_eq!(selected(&Filters { since, ..Filters::default() }), [3, 4, 6, 7]);
        let until = Some(when("2026-01-01T01:00:03+01:00").unwrap());
        assert_eq!(selected(&Filters { until, ..Filters::default() }), [1, 2, 8, 5]);
    }

    #[test]
    fn times_are_dates_or_distances() {
        assert_eq!(when("7d"), Ok(When::Ago(Duration::from_secs(7 * 86_400))));
        assert_eq!(when("15m"), Ok(When::Ago(Duration::from_secs(900))));
        assert_eq!(when("2026-01-31"), Ok(When::At("2026-01-31T00:00:00Z".parse().unwrap())));
        for bad in ["", "7", "yesterday", "-1d", "2026-13-01", "4294967295d", "99999999999999999h"] {
            assert!(when(bad).is_err(), "{bad}");
        }
        assert!(outcome("done").is_ok() && outcome("fine").is_err());
    }
}
