//! Of several `panic`s at once each ends its own request in the log; that of one that was cut off is ended by a later one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::{
    call::ActionId,
    files,
    store::{
        audit::{self, Audit, Cursor, Entry, Kind},
        lock::{self, GrantLock},
    },
};

/// Where one shows that it lives.
fn file(state: &Path, action: &ActionId) -> PathBuf {
    state.join("leases").join(format!("{action}.lock"))
}

/// As long as this is held, no other one takes the request of that name for one that was cut off.
///
/// # Errors
/// If it cannot be made.
pub(super) fn hold(state: &Path, action: &ActionId) -> Result<Option<GrantLock>, lock::Error> {
    GrantLock::try_take(&file(state, action))
}

/// Its end is in the log, or it has no request there: from now on nobody needs its lock file. Whoever makes it anew finds that end.
pub(super) fn is_over(state: &Path, action: &ActionId) {
    let _ = files::remove(&file(state, action));
}

/// Ends the requests of those that were cut off: `own` has done what they did not, or its end says what it could not do. Says
/// what could not be ended.
pub(super) fn end(audit: &Audit, state: &Path, own: &ActionId, at: DateTime<Utc>) -> Vec<String> {
    let open = match open(audit) {
        Ok(open) => open,
        Err(error) => return vec![format!("whether an earlier `agentctl panic` was cut off is not known: {error}")],
    };
    let mut unended = Vec::new();
    for action in open {
        if let Err(why) = end_one(audit, state, &action, own, at) {
            unended.push(format!("the end of an earlier `agentctl panic` ({action}) is not in the audit log: {why}"));
        }
    }
    unended
}

fn end_one(
    audit: &Audit,
    state: &Path,
    action: &ActionId,
    own: &ActionId,
    at: DateTime<Utc>,
) -> Result<(), audit::Error> {
    // Who is at work still ends its own.
    let Some(_lock) = GrantLock::try_take(&file(state, action))? else { return Ok(()) };
    // A third one may have ended it before the lock was had; and somebody may have put in a request of another call's name.
    let mut had = Had::default();
    audit.entries_of(action)?.into_iter().for_each(|entry| had.entry(entry));
    if had.is_open() {
        let message = format!("it was cut off, and what it did is written nowhere; {own} did everything again");
        audit.response(action, at, json!({ "outcome": "unknown", "message": message }))?;
    }
    is_over(state, action);
    Ok(())
}

/// The requests of a `panic` that seem to have no end. Whoever can write the log may have made up an id: only one that could have
/// been made here is a file's name.
fn open(audit: &Audit) -> Result<Vec<ActionId>, audit::Error> {
    let mut all: BTreeMap<ActionId, Had> = BTreeMap::new();
    audit.read_on(&mut Cursor::default(), |entry, _| {
        if let Some(action) = entry.action.clone() {
            let is_panic = || entry.body["tool"] == "panic" && ActionId::minted(action.as_str()).is_some();
            if entry.kind == Kind::Request && is_panic() {
                all.entry(action).or_default().entry(entry);
            } else if let Some(had) = all.get_mut(&action) {
                had.entry(entry);
            }
        }
        true
    })?;
    Ok(all.into_iter().filter(|(_, had)| had.is_open()).map(|(action, _)| action).collect())
}

/// What the log has of one action.
#[derive(Default)]
struct Had {
    request: Option<Entry>,
    response: Option<Entry>,
}

impl Had {
    fn entry(&mut self, entry: Entry) {
        let place = match entry.kind {
            // One that somebody put in makes no call a `panic`.
            Kind::Request => &mut self.request,
            Kind::Response => &mut self.response,
            _ => return,
        };
        if entry.takes_over(place.as_ref()) {
            *place = Some(entry);
        }
    }

    /// Whether it is a `panic` that has no end. One that somebody put in ends none.
    fn is_open(&self) -> bool {
        let open = |request: &Entry| {
            let ended = |response: &Entry| request.proven != Some(true) || response.proven == Some(true);
            request.body["tool"] == "panic" && !self.response.as_ref().is_some_and(ended)
        };
        self.request.as_ref().is_some_and(open)
    }
}
