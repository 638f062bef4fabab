//! One process at a time ends a call that was given up.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{detached, pending};
use crate::{
    audit::log_file,
    support::{Dev, Home, agentctl, wait_until},
};

const LONG: Duration = Duration::from_secs(60);

/// Somebody with a purchase that waits and that no process has in hand.
struct Waiting {
    dev: Dev,
    home: Home,
    id: String,
    run: String,
}

impl Waiting {
    fn new() -> Self {
        let dev = Dev::start();
        let home = dev.logged_in();
        detached(&home, "buy 2 phones");
        let row = pending(&home).remove(0);
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let (id, run) = (text("id"), text("run"));
        Self { dev, home, id, run }
    }

    fn lease(&self) -> PathBuf {
        self.home.path().join(format!("agentctl/state/leases/{}.lock", self.run))
    }

    fn is_abandoned(&self) -> bool {
        let journal = Connection::open(self.home.path().join("agentctl/state/journal.db")).unwrap();
        let state: String = journal.query_row("SELECT state FROM approvals", [], |row| row.get(0)).unwrap();
        state == "abandoned"
    }

    /// Its call has one end, and nobody is called a forger for it.
    fn ended_once(&self) {
        let entries = agentctl(&self.home).args(["audit", "list", "--json"]).run().code(0).json();
        let of = |entry: &&Value| {
            entry["kind"] == "response" && entry["body"]["message"].to_string().contains("nothing was")
        };
        assert_eq!(entries["entries"].as_array().unwrap().iter().filter(of).count(), 1, "{entries}");
        let found = agentctl(&self.home).args(["audit", "verify", "--json"]).run().code(0).json();
        assert_eq!(found["without_end"], json!([]), "{found}");
        assert!(self.dev.orders().is_empty());
    }
}

/// What another process holds, held here.
fn hold(path: &Path) -> File {
    let file = File::options().read(true).write(true).open(path).unwrap();
    file.lock().unwrap();
    file
}

fn is_held(path: &Path) -> bool {
    matches!(File::open(path).unwrap().try_lock_shared(), Err(TryLockError::WouldBlock))
}

#[test]
fn of_two_that_give_a_call_up_at_once_one_writes_its_end() {
    let it = Waiting::new();
    // Whoever gets as far as writing the end is held up there.
    let log = hold(&log_file(&it.home).with_file_name("audit.lock"));
    let abandon = || agentctl(&it.home).args(["approvals", "abandon", it.id.as_str()]);
    let first = abandon().start();
    wait_until(LONG, "the first is at work", || (it.is_abandoned() && is_held(&it.lease())).then_some(()));
    let held = ["another agentctl process is at work on its run"];
    abandon().run().code(2).err(&["nothing to give up"]).err(&held);
    agentctl(&it.home).args(["resume", &it.run]).run().code(1).err(&["another agentctl process is at work"]);
    drop(log);
    first.finish().code(0).err(&["Given up", "goes on with its run"]);
    it.ended_once();
}

#[test]
fn what_is_given_up_under_another_process_is_ended_by_that_one() {
    let it = Waiting::new();
    let lease = hold(&it.lease());
    let said = agentctl(&it.home).args(["approvals", "abandon", it.id.as_str()]).run().code(0);
    let said =
        said.err(&["Given up", "another agentctl process is at work on its run, and writes the end of the call; if that process ends without it"]);
    assert!(!said.stderr.contains("agentctl resume"), "{said}");
    // It is over for whoever asks again, but for the end of its call.
    agentctl(&it.home).args(["approvals", "abandon", it.id.as_str()]).run().code(2).err(&["nothing to give up"]);
    let found = agentctl(&it.home).args(["audit", "verify", "--json"]).run().code(0).json();
    assert_eq!(found["without_end"].as_array().unwrap().len(), 1, "{found}");
    // It was killed: then the next one does it.
    drop(lease);
    agentctl(&it.home).args(["approvals", "abandon", it.id.as_str()]).run().code(0);
    it.ended_once();
}

#[test]
fn who_reads_data_learns_that_the_end_is_not_written_yet() {
    let it = Waiting::new();
    let lease = hold(&it.lease());
    let abandon = || agentctl(&it.home).args(["approvals", "abandon", it.id.as_str(), "--json"]).run().code(0).json();
    assert_eq!(abandon()["end_written"], false);
    drop(lease);
    assert_eq!(abandon()["end_written"], true);
    it.ended_once();
}

#[test]
fn what_is_given_up_is_so_though_its_end_cannot_be_written() {
    let it = Waiting::new();
    let (log, aside) = (log_file(&it.home), it.home.work().join("aside"));
    std::fs::rename(&log, &aside).unwrap();
    std::fs::create_dir(&log).unwrap();
    let abandon = || agentctl(&it.home).args(["approvals", "abandon", it.id.as_str()]).run();
    abandon().code(1).err(&["the audit log cannot be written", "it is given up all the same; run this again"]);
    assert!(it.is_abandoned());
    std::fs::remove_dir(&log).unwrap();
    std::fs::rename(&aside, &log).unwrap();
    abandon().code(0);
    it.ended_once();
}

#[test]
fn panic_tries_a_run_again_that_somebody_holds_for_a_moment() {
    let it = Waiting::new();
    let lease = hold(&it.lease());
    let stopping = agentctl(&it.home).arg("panic").start();
    wait_until(LONG, "the stop", || it.is_abandoned().then_some(()));
    std::thread::sleep(Duration::from_millis(100));
    drop(lease);
    stopping.finish().code(0);
    it.ended_once();
}

#[test]
fn who_gives_up_waits_for_one_that_lets_go() {
    let it = Waiting::new();
    let lease = hold(&it.lease());
    let giving_up = agentctl(&it.home).args(["approvals", "abandon", it.id.as_str()]).start();
    wait_until(LONG, "the end of the approval", || it.is_abandoned().then_some(()));
    std::thread::sleep(Duration::from_millis(100));
    drop(lease);
    let said = giving_up.finish().code(0).err(&["Given up"]);
    assert!(!said.stderr.contains("another agentctl process"), "{said}");
    it.ended_once();
}
