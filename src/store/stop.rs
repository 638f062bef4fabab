//! The stop: a mark that keeps every process of this person from carrying anything out.
//!
//! It is a file of its own and not a row of the journal: it must hold also when the journal is locked or damaged. It lies in
//! the state folder and beside the credential store, because two state folders may share one login; a mark in either place
//! stops. Each stop raises a number. A process remembers the numbers it began with and stops for good when one changes, also
//! if a new login has lifted the stop meanwhile.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::lock::GrantLock;
use crate::files;

/// How long another process that writes the mark is waited for: it is done within a millisecond, unless it hangs.
const LIMIT: Duration = Duration::from_secs(2);

/// Why nothing is carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was stopped.
    #[error("everything was stopped with `agentctl panic` at {at}{}", what_ends_it(*this, *lifted))]
    Stopped {
        /// When.
        at: String,
        /// This very process was there, and stays stopped whatever happens.
        this: bool,
        /// A new login has ended the stop for whoever begins now.
        lifted: bool,
    },
    /// The mark cannot be read, so nobody knows.
    #[error("nobody knows whether everything was stopped, so nothing is done: {0}")]
    Unknown(String),
    /// The mark cannot be written.
    #[error(transparent)]
    File(#[from] files::Error),
    /// Another process writes the mark, and does not end.
    #[error(transparent)]
    Lock(#[from] super::lock::Error),
}

/// A process that was stopped is never set going again from outside: what it had in hand is not what the person logs in for.
fn what_ends_it(this: bool, lifted: bool) -> &'static str {
    match (this, lifted) {
        (false, _) => "; `agentctl login` ends that",
        (true, false) => ", this process too; run `agentctl login`, then start it again",
        (true, true) => ", this process too; start it again",
    }
}

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    generation: u64,
    /// Until the next login.
    stopped: bool,
    at: String,
}

impl Mark {
    /// When it was, for a person.
    fn when(&self) -> String {
        let at = self.at.parse::<DateTime<Utc>>();
        at.map_or_else(|_| self.at.clone(), |at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
    }
}

/// The numbers of the last stops by place, as somebody saw them; the form in which they are kept.
pub type Seen = BTreeMap<String, u64>;

/// The mark, as this process sees it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    places: Vec<Place>,
}

/// One of the files.
#[derive(Clone, Debug)]
struct Place {
    path: PathBuf,
    /// The number that this process began with; none if it could not be read then.
    began: OnceLock<u64>,
    /// The highest number that this process has seen. A mark never goes back, and none is taken away.
    highest: Arc<AtomicU64>,
}

impl Stop {
    /// The mark in these files. How things stand now is remembered.
    #[must_use]
    pub fn open(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { places: paths.into_iter().map(Place::open).collect() }
    }

    /// Whether this process may carry something out.
    ///
    /// # Errors
    /// If it was stopped, or that cannot be found out.
    pub fn check(&self) -> Result<(), Error> {
        for place in &self.places {
            let mark = place.read()?;
            let this = mark.generation != *place.began.get_or_init(|| mark.generation);
            if this || mark.stopped {
                return Err(Error::Stopped { this, lifted: !mark.stopped, at: mark.when() });
            }
        }
        Ok(())
    }

    /// Whether there was no stop since this process began. One from before does not count: a login is made while it holds.
    ///
    /// # Errors
    /// If there was one, or that cannot be found out.
    pub fn unchanged(&self) -> Result<(), Error> {
        for place in &self.places {
            let Some(began) = place.began.get() else { continue };
            place.is_still(&place.read()?, *began)?;
        }
        Ok(())
    }

    /// Whether there was no stop since somebody began who saw these numbers. Any difference counts: a higher number is a stop;
    /// a lower one, and a place that one of the two does not know, leave it unknown. No clock is asked: clocks jump.
    ///
    /// # Errors
    /// If there was one, or that cannot be found out.
    pub fn none_since(&self, seen: &Seen) -> Result<(), Error> {
        for place in &self.places {
            let mark = place.read()?;
            match seen.get(&place.name()) {
                Some(then) if *then <= mark.generation => place.is_still(&mark, *then)?,
                Some(_) => return Err(place.went_back()),
                None => return Err(Error::Unknown(format!("it was begun without a look at {}", place.name()))),
            }
        }
        match seen.keys().find(|name| self.places.iter().all(|place| place.name() != **name)) {
            Some(name) => Err(Error::Unknown(format!("nobody looks at {name} any more"))),
            None => Ok(()),
        }
    }

    /// The numbers that this process began with, for another that goes on with what it began.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.places.iter().filter_map(|place| Some((place.name(), *place.began.get()?))).collect()
    }

    /// The same mark for somebody who began when the numbers were these. About a place that is not among them nothing is
    /// known.
    #[must_use]
    pub fn since(&self, seen: &Seen) -> Self {
        let began = |place: &Place| seen.get(&place.name()).copied().map(OnceLock::from).unwrap_or_default();
        Self { places: self.places.iter().map(|place| Place { began: began(place), ..place.clone() }).collect() }
    }

    /// Stops everything, in every process that looks at one of the files. Returns the number of this stop in the first.
    ///
    /// # Errors
    /// If one of the files cannot be written; the others are.
    pub fn raise(&self, at: DateTime<Utc>) -> Result<u64, Error> {
        let raised: Vec<_> = self.places.iter().map(|place| place.raise(at)).collect();
        let raised = raised.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(raised.first().copied().unwrap_or_default())
    }

    /// Ends a stop that was there when this process began. Processes that were stopped stay so. Whether there was one.
    ///
    /// # Errors
    /// If there was another stop since, or a file cannot be read or written.
    pub fn lift(&self) -> Result<bool, Error> {
        let mut lifted = false;
        for place in &self.places {
            lifted |= place.lift()?;
        }
        Ok(lifted)
    }
}

impl Place {
    fn open(path: PathBuf) -> Self {
        let place = Self { path, began: OnceLock::new(), highest: Arc::default() };
        if let Ok(mark) = place.read() {
            place.began.get_or_init(|| mark.generation);
        }
        place
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn is_still(&self, mark: &Mark, began: u64) -> Result<(), Error> {
        if mark.generation == began {
            return Ok(());
        }
        Err(Error::Stopped { at: mark.when(), this: true, lifted: !mark.stopped })
    }

    fn went_back(&self) -> Error {
        Error::Unknown(format!("the mark {} was taken away or put back; `agentctl panic` writes it anew", self.name()))
    }

    /// One process at a time reads and writes the mark: a login must not put back what it read before a stop.
    fn lock(&self) -> Result<GrantLock, Error> {
        Ok(GrantLock::take_blocking(&files::beside(&self.path, ".lock"), LIMIT)?)
    }

    fn raise(&self, at: DateTime<Utc>) -> Result<u64, Error> {
        // A stop is worth more than its order: whoever holds the lock and hangs does not keep it from being written.
        let _lock = self.lock().ok();
        // A mark that cannot be read is replaced, by a number that no process can have begun with.
        let before = self.read().map_or_else(|_| u64::try_from(at.timestamp()).unwrap_or(0), |mark| mark.generation);
        let at = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        self.write(&Mark { generation: before + 1, stopped: true, at })?;
        Ok(before + 1)
    }

    fn lift(&self) -> Result<bool, Error> {
        if !self.read()?.stopped {
            return Ok(false);
        }
        let _lock = self.lock()?;
        let mark = self.read()?;
        let Some(began) = self.began.get().filter(|_| mark.stopped) else { return Ok(false) };
        self.is_still(&mark, *began)?;
        self.write(&Mark { stopped: false, ..mark })?;
        Ok(true)
    }

    fn read(&self) -> Result<Mark, Error> {
        let mark: Mark = match files::read(&self.path) {
            Ok(Some(bytes)) => serde_json::from_slice(&bytes).map_err(|error| Error::Unknown(error.to_string()))?,
            Ok(None) => Mark::default(),
            Err(error) => return Err(Error::Unknown(error.to_string())),
        };
        if mark.generation < self.highest.fetch_max(mark.generation, Ordering::Relaxed) {
            return Err(self.went_back());
        }
        Ok(mark)
    }

    fn write(&self, mark: &Mark) -> Result<(), Error> {
        let text = serde_json::to_vec(mark).map_err(|error| Error::Unknown(error.to_string()))?;
        if let Some(folder) = self.path.parent() {
            files::private_dir(folder)?;
        }
        Ok(files::write(&self.path, &text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::TempDir;

    fn open(dir: &TempDir) -> Stop {
        Stop::open([dir.path("stop.json")])
    }

    #[test]
    fn a_stop_holds_until_a_login_and_for_whoever_was_there() {
        let dir = TempDir::new();
        let before = open(&dir);
        before.check().unwrap();
        assert!(!before.lift().unwrap());
        assert_eq!(open(&dir).raise(DateTime::UNIX_EPOCH).unwrap(), 1);
        let said = |stop: &Stop| stop.check().unwrap_err().to_string();
        assert!(said(&before).ends_with("then start it again"), "{}", said(&before));
        let during = open(&dir);
        assert!(said(&during).ends_with("`agentctl login` ends that"), "{}", said(&during));
        assert!(during.lift().unwrap());
        assert!(said(&before).ends_with("this process too; start it again"), "the login is not for what was stopped");
        open(&dir).check().unwrap();
        assert_eq!(during.raise(DateTime::UNIX_EPOCH).unwrap(), 2);
    }

    #[test]
    fn a_login_ends_no_stop_that_came_after_it_began() {
        let dir = TempDir::new();
        let login = open(&dir);
        login.unchanged().unwrap();
        open(&dir).raise(DateTime::UNIX_EPOCH).unwrap();
        let (seen, early) = (open(&dir).seen(), login.seen());
        for stop in [&login, &open(&dir).since(&early)] {
            assert!(matches!(stop.unchanged(), Err(Error::Stopped { this: true, .. })));
            assert!(matches!(stop.lift(), Err(Error::Stopped { this: true, .. })));
        }
        // Who does not know when it was begun ends nothing either.
        assert!(!open(&dir).since(&Seen::new()).lift().unwrap());
        assert!(open(&dir).check().is_err());
        let late = open(&dir).since(&seen);
        late.unchanged().unwrap();
        assert!(late.lift().unwrap());
        open(&dir).check().unwrap();
    }

    #[test]
    fn a_mark_that_was_seen_and_is_gone_or_put_back_is_unknown() {
        let dir = TempDir::new();
        let before = open(&dir);
        open(&dir).raise(DateTime::UNIX_EPOCH).unwrap();
        let first = std::fs::read(dir.path("stop.json")).unwrap();
        assert!(matches!(before.check(), Err(Error::Stopped { .. })));
        open(&dir).lift().unwrap();
        let between = open(&dir);
        // A copy sees what the other one has seen.
        let copy = between.clone();
        between.check().unwrap();
        open(&dir).raise(DateTime::UNIX_EPOCH).unwrap();
        assert!(matches!(between.check(), Err(Error::Stopped { .. })));
        for put_back in [Some(first), None] {
            match put_back {
                Some(bytes) => std::fs::write(dir.path("stop.json"), bytes).unwrap(),
                None => std::fs::remove_file(dir.path("stop.json")).unwrap(),
            }
            for stop in [&between, &copy] {
                assert!(matches!(stop.check(), Err(Error::Unknown(_))));
                assert!(matches!(stop.unchanged(), Err(Error::Unknown(_))));
                assert!(matches!(stop.lift(), Err(Error::Unknown(_))));
            }
        }
        assert!(matches!(before.check(), Err(Error::Unknown(_))), "it began without a stop, and has seen one");
        // A stop by whoever has seen them takes no number that there was.
        between.raise(DateTime::from_timestamp(1_800_000_000, 0).unwrap()).unwrap();
        assert!(matches!(copy.check(), Err(Error::Stopped { .. })));
    }

    #[test]
    fn whoever_began_with_other_numbers_does_not_go_on() {
        let dir = TempDir::new();
        let two = || Stop::open([dir.path("a.json"), dir.path("b.json")]);
        let none = two().seen();
        two().none_since(&none).unwrap();
        assert!(matches!(open(&dir).none_since(&none), Err(Error::Unknown(_))), "other places");
        let fewer = |name: &str| none.clone().into_iter().filter(|(place, _)| !place.ends_with(name)).collect::<Seen>();
        for name in ["a.json", "b.json"] {
            assert!(matches!(two().none_since(&fewer(name)), Err(Error::Unknown(_))), "one place more than was known");
            let one = Stop::open([dir.path(name)]);
            assert!(matches!(one.none_since(&none), Err(Error::Unknown(_))), "one place less");
        }
        Stop::open([dir.path("b.json")]).raise(DateTime::UNIX_EPOCH).unwrap();
        two().lift().unwrap();
        assert!(matches!(two().none_since(&none), Err(Error::Stopped { .. })), "lifted or not");
        let one = two().seen();
        two().none_since(&one).unwrap();
        std::fs::remove_file(dir.path("b.json")).unwrap();
        assert!(matches!(two().none_since(&one), Err(Error::Unknown(_))), "gone");
    }

    #[test]
    fn a_mark_in_any_place_stops() {
        let dir = TempDir::new();
        let (a, b, shared) = (dir.path("a/stop.json"), dir.path("b/stop.json"), dir.path("credentials.stop.json"));
        let both = |own: &PathBuf| Stop::open([own.clone(), shared.clone()]);
        let (here, there) = (both(&a), both(&b));
        here.raise(DateTime::UNIX_EPOCH).unwrap();
        assert!(matches!(there.check(), Err(Error::Stopped { this: true, .. })));
        assert!(both(&b).lift().unwrap());
        both(&b).check().unwrap();
        // The state folder that was stopped, too, waits for a login of its own.
        assert!(both(&a).check().is_err());
    }

    #[test]
    fn stops_and_logins_at_once_leave_no_older_stop_than_the_last() {
        let dir = TempDir::new();
        std::thread::scope(|scope| {
            let lifting = scope.spawn(|| (0..400).for_each(|_| drop(open(&dir).lift())));
            for count in 1..=100 {
                assert_eq!(open(&dir).raise(DateTime::UNIX_EPOCH).unwrap(), count, "a stop was taken back");
            }
            lifting.join().unwrap();
        });
    }

    #[test]
    fn who_hangs_with_the_lock_keeps_no_stop_from_being_written() {
        let dir = TempDir::new();
        let _held = GrantLock::try_take(&dir.path("stop.json.lock")).unwrap().unwrap();
        open(&dir).raise(DateTime::UNIX_EPOCH).unwrap();
        assert!(matches!(open(&dir).lift(), Err(Error::Lock(_))));
        assert!(open(&dir).check().is_err());
    }

    #[test]
    fn what_cannot_be_read_stops_too() {
        let dir = TempDir::new();
        let before = open(&dir);
        open(&dir).raise(DateTime::UNIX_EPOCH).unwrap();
        open(&dir).lift().unwrap();
        let between = open(&dir);
        std::fs::write(dir.path("stop.json"), "x").unwrap();
        let stop = open(&dir);
        assert!(matches!(stop.check(), Err(Error::Unknown(_))));
        std::fs::create_dir(dir.path("folder")).unwrap();
        assert!(matches!(Stop::open([dir.path("folder")]).check(), Err(Error::Unknown(_))));
        stop.raise(DateTime::from_timestamp(1_800_000_000, 0).unwrap()).unwrap();
        assert!(matches!(stop.check(), Err(Error::Stopped { .. })));
        open(&dir).lift().unwrap();
        for there in [before, between] {
            assert!(matches!(there.check(), Err(Error::Stopped { this: true, .. })));
        }
    }
}
