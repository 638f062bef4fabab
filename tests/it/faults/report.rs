//! Whether the bad days are bad enough: what their seeds hold, and what of it was met.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

use super::{
    SEEDS,
    weather::{Deed, Person, Task, Weather, cells, weather},
};

/// What one day brought.
pub(super) struct Day {
    /// The faults that came: place, kind, before or after the work.
    pub(super) met: BTreeSet<[String; 3]>,
    /// An effect was wished for, and the person said yes.
    pub(super) wanted: bool,
    /// There was one.
    pub(super) done: bool,
}

/// What all days brought.
#[derive(Default)]
pub(super) struct Report {
    met: BTreeSet<[String; 3]>,
    days: usize,
    wanted: usize,
    done: usize,
}

impl Report {
    pub(super) fn add(&mut self, day: Day) {
        self.met.extend(day.met);
        self.days += 1;
        self.wanted += usize::from(day.wanted);
        self.done += usize::from(day.wanted && day.done);
    }

    fn missed(&self) -> Vec<String> {
        let cells = cells().into_iter().map(|(on, kind, when)| [on, kind, when].map(str::to_owned));
        cells.filter(|cell| !self.met.contains(cell)).map(|cell| cell.join(" ")).collect()
    }

    /// A sweep in which nothing goes wrong proves nothing, and neither does one in which nothing is ever done. On some days other
    /// trouble comes first; on a busy machine on more of them.
    pub(super) fn is_enough(&self) {
        let (missed, all) = (self.missed(), cells().len());
        assert!(missed.len() * 6 <= all, "of {all} kinds of trouble these never came: {missed:#?}");
        for (on, kind, when) in cells() {
            let came = |fits: &dyn Fn(&[String; 3]) -> bool| self.met.iter().any(fits);
            assert!(came(&|met| met[0] == on), "{on} had no trouble");
            assert!(came(&|met| met[1] == kind && met[2] == when), "no {kind} {when} came");
        }
        assert!(self.done * 4 >= self.wanted, "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (missed, all) = (self.missed(), cells().len());
        write!(f, "{} days: {} of {all} kinds of trouble came", self.days, all - missed.len())?;
        write!(f, " (not {missed:?}); {} of {} wishes with a yes were fulfilled", self.done, self.wanted)
    }
}

fn days() -> impl Iterator<Item = Weather> {
    (0..SEEDS).map(weather)
}

fn faults(day: &Weather) -> Vec<Value> {
    [&day.at_login[..], &day.faults, &day.at_logout].concat()
}

/// By the tenant's own lists: every endpoint meets every kind of trouble, before its work and after it. Nothing of agentctl
/// asks for `introspect` (that is for APIs), and a `page` is opened by the person's browser. What is slowed down has not
/// worked; only JSON can be altered or garbled, and only after the work. An answer that is repeated needs an earlier one, which
/// a day with one call seldom has: `repeated` tries that.
#[test]
fn no_kind_of_trouble_is_left_out_anywhere() {
    let schema = include_str!("../../../docs/dev-tenant/manage.schema.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let words = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let places = words(&schema["$defs"]["label"]["enum"]);
    let mut kinds = words(&schema["$defs"]["fault"]["properties"]["kind"]["enum"]);
    kinds.retain(|kind| kind != "replay");
    let days: Vec<Value> = days().flat_map(|day| faults(&day)).collect();
    let mut left_out = BTreeSet::new();
    for (on, kind) in places.iter().flat_map(|on| kinds.iter().map(move |kind| (on, kind))) {
        for when in ["before", "after"] {
            let holds = |fault: &&Value| fault["on"] == **on && fault["kind"] == **kind && fault["when"] == when;
            let skip = |fault: &Value| fault["skip"].as_u64().unwrap_or(0);
            if !days.iter().filter(holds).any(|fault| skip(fault) == 0) {
                left_out.insert(match (on.as_str(), kind.as_str(), when) {
                    ("introspect" | "page", ..) => on.clone(),
                    (_, "slow_down", "after") | (_, "alter" | "garble", "before") => format!("{kind} {when}"),
                    _ => format!("{on} {kind} {when}"),
                });
            }
        }
    }
    let no_json = ["model alter after", "revoke alter after", "model garble after", "revoke garble after"];
    let senseless = ["alter before", "garble before", "introspect", "page", "slow_down after"];
    let expected = senseless.into_iter().chain(no_json).map(str::to_owned).collect();
    assert_eq!(left_out, expected);
}

/// Some trouble needs more than a fault of its kind.
#[test]
fn what_is_rare_comes_often_enough() {
    let count = |what: fn(&Weather) -> bool| days().filter(what).count();
    let asks = |day: &Weather| day.person == Person::Approves && day.task != Task::Vault;
    let new_key = days().filter(|day| asks(day) && day.deeds.iter().any(|(_, deed)| matches!(deed, Deed::NewKey)));
    assert!(new_key.count() >= 10, "a key is rotated while a yes is waited for");
    let lost = count(|day| {
        let kinds = ["drop", "half", "html", "status"].map(Value::from);
        let lost =
            |fault: &Value| fault["on"] == "refresh" && fault["when"] == "after" && kinds.contains(&fault["kind"]);
        day.stale && day.faults.iter().any(lost)
    });
    assert!(lost >= 5, "a rotated refresh token is lost: {lost}");
    let lies = days().filter(|day| asks(day) && day.lies()).count();
    assert!(lies >= 15, "a yes is somebody else's: {lies}");
    let late = count(|day| {
        let late = |fault: &Value| fault["kind"] == "delay" && fault["when"] == "after" && fault["delay_ms"] == 240_000;
        day.timeout.is_some() && day.faults.iter().any(|fault| fault["on"] == "shop" && late(fault))
    });
    assert!(late >= 1, "an answer comes after whoever waited for it has left: {late}");
}
