//! Bad input in the middle of a wait: every time a clear error with a next step, nothing done that should not be, and
//! nothing lost.

use std::{fs, path::PathBuf, time::Duration};

use rusqlite::Connection;
use serde_json::json;

use super::{approve, detached, granted_orders, pending, pushes};
use crate::support::{Dev, Home, Keyring, Output, Running, agentctl, command, wait_until};

fn journal_file(home: &Home) -> PathBuf {
    let paths = agentctl(home).args(["config", "path", "--json"]).run().code(0).json();
    PathBuf::from(paths["state"].as_str().unwrap()).join("journal.db")
}

pub(super) fn journal(home: &Home) -> Connection {
    Connection::open(journal_file(home)).unwrap()
}

fn resume(home: &Home) -> Output {
    agentctl(home).args(["resume", "--last"]).run()
}

/// A purchase that waits for its answer.
fn waiting(home: &Home) -> Running {
    let running = agentctl(home).args(["run", "buy 2 phones"]).start();
    running.wait_for_stderr("Check that it shows:");
    running
}

/// One order, one push, and a log that holds.
fn went_well(dev: &Dev, home: &Home) {
    assert_eq!((dev.orders().len(), granted_orders(dev), pushes(dev)), (1, 1, 1));
    let found = agentctl(home).args(["audit", "verify", "--json"]).run().code(0).json();
    assert_eq!(found["without_end"], json!([]), "{found}");
}

#[test]
fn a_journal_that_another_process_holds() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    approve(&dev);
    let journal = journal(&home);
    journal.execute_batch("BEGIN EXCLUSIVE").unwrap();
    resume(&home).code(1).silent().err(&["another process holds the journal", "try again in a moment"]);
    assert!(dev.history("ciba_poll").iter().all(|poll| poll["answer"]["status"] != 200), "the yes was fetched");
    journal.execute_batch("ROLLBACK").unwrap();
    resume(&home).code(0);
    went_well(&dev, &home);
}

#[test]
fn a_journal_that_is_taken_in_the_middle_of_a_wait() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let running = waiting(&home);
    let journal = journal(&home);
    wait_until(Duration::from_secs(10), "the journal", || journal.execute_batch("BEGIN EXCLUSIVE").ok());
    approve(&dev);
    let output = running.finish().code(1).err(&["another process holds the journal"]);
    assert!(dev.orders().is_empty(), "{output}");
    journal.execute_batch("ROLLBACK").unwrap();
    resume(&home).code(0);
    went_well(&dev, &home);
}

#[test]
fn a_journal_that_is_damaged_is_moved_away_by_a_person_only() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    approve(&dev);
    let file = journal_file(&home);
    journal(&home).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let bytes = vec![b'?'; 8192];
    fs::write(&file, &bytes).unwrap();
    for args in [&["resume", "--last"][..], &["run", "buy 1 phones"], &["approvals", "list"], &["runs", "list"]] {
        let output = agentctl(&home).args(args.iter().copied()).run().code(1).silent();
        output.err(&[file.to_str().unwrap(), "is damaged", "move the file away"]);
    }
    assert_eq!(fs::read(&file).unwrap(), bytes, "it was left as it is");
    assert!(dev.orders().is_empty());
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        let _ = fs::rename(file.with_file_name(name), home.path().join(name));
    }
    resume(&home).code(2);
    dev.auto("approve", "approve");
    agentctl(&home).args(["run", "buy 1 phones"]).run().code(0);
    // The log is whole, and says what the journal cannot say any more.
    agentctl(&home).args(["audit", "verify"]).run().code(0).out(&["1 call has no end"]);
}

#[test]
fn a_journal_of_a_newer_version_is_left_alone() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    approve(&dev);
    let version: i64 = journal(&home).query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    journal(&home).execute_batch("PRAGMA user_version = 99").unwrap();
    let told = resume(&home).code(1).silent();
    told.err(&["has version 99", &format!("knows {version}"), "a newer agentctl"]);
    agentctl(&home).args(["run", "buy 1 phones"]).run().code(1).err(&["a newer agentctl"]);
    assert!(dev.orders().is_empty());
    journal(&home).execute_batch(&format!("PRAGMA user_version = {version}")).unwrap();
    resume(&home).code(0);
    went_well(&dev, &home);
}

#[test]
fn a_key_that_is_gone_from_the_keyring() {
    let Some(keyring) = Keyring::start() else { return };
    let dev = Dev::start();
    let home = keyring.logged_in(&dev);
    detached(&home, "buy 2 phones");
    approve(&dev);
    keyring.empty();
    // The login went the same way. A new one brings a new key, which opens nothing of what was sealed.
    resume(&home).code(4).err(&["agentctl login"]);
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    let output = resume(&home).code(1).err(&["or with another", "agentctl runs delete"]);
    assert!(dev.orders().is_empty(), "{output}");
    let id = pending(&home)[0]["id"].as_str().unwrap().to_owned();
    agentctl(&home).args(["approvals", "abandon", &id]).run().code(0);
    resume(&home);
    assert!(dev.orders().is_empty() && pending(&home).is_empty());
    let told = agentctl(&home).args(["audit", "verify"]).run().code(1);
    told.err(&["another key", "another credential store"]);
    // What nobody can open any more is given up, and no advice goes in circles before.
    detached(&home, "buy 2 phones");
    detached(&home, "buy 3 phones");
    keyring.empty();
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    let wait = || agentctl(&home).args(["approvals", "wait", "--all"]).run();
    let told = wait().code(1).err(&["under a login that has ended", "agentctl approvals abandon"]);
    assert!(!told.stderr.contains("run it again"), "{told}");
    dev.advance(601);
    resume(&home).code(1).err(&["or with another"]);
    // Nothing is written down of what another key proves: who has it finds the run as it was.
    let told = wait().code(1).err(&["under a login that has ended", "agentctl approvals abandon"]);
    assert!(!told.stderr.contains("run it again"), "{told}");
    for open in pending(&home) {
        assert_eq!(open["state"], "requested", "{open}");
        agentctl(&home).args(["approvals", "abandon", open["id"].as_str().unwrap()]).run().code(0);
    }
    assert_eq!(pending(&home), Vec::<serde_json::Value>::new());
}

#[test]
fn a_clock_before_1970_is_named() {
    let dev = Dev::start();
    let home = dev.logged_in();
    // 1963, or thereabouts.
    dev.set_wall_clocks(-2_000_000_000);
    agentctl(&home).args(["run", "buy 2 phones"]).run().code(1).err(&["this machine's clock says 196", "set the date"]);
    assert_eq!(pushes(&dev), 0);
}

#[test]
fn a_wall_clock_that_is_set_in_the_middle_of_a_wait() {
    for seconds in [86_400, -86_400] {
        let dev = Dev::start();
        let home = dev.logged_in();
        let running = waiting(&home);
        dev.set_wall_clocks(seconds);
        let polls = dev.history("ciba_poll").len();
        wait_until(Duration::from_secs(60), "a poll", || (dev.history("ciba_poll").len() > polls + 1).then_some(()));
        approve(&dev);
        let output = running.finish();
        // The proof of the yes is a day off, and that is said; nothing happens on it.
        let done = output.status.code() == Some(0);
        assert_eq!((dev.orders().len(), pushes(&dev)), (usize::from(done), 1), "{seconds}\n{output}");
        assert!(done || output.stderr.contains("clock"), "{seconds}\n{output}");
        let slow =
            dev.history("ciba_poll").iter().filter(|poll| poll["answer"]["body"]["error"] == "slow_down").count();
        assert_eq!(slow, 0, "{seconds}: polls are never early");
        dev.set_wall_clocks(0);
        agentctl(&home).args(["resume", "--last"]).run().code(2);
        let found = agentctl(&home).args(["audit", "verify", "--json"]).run().code(0).json();
        assert_eq!(found["without_end"], json!([]), "{found}");
    }
}

#[test]
fn a_yes_that_arrives_after_the_deadline_is_not_used() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let running = waiting(&home);
    // Held up, it has no request under way, so that the next one takes the yes. The answer to that one is slow.
    running.signal("STOP");
    std::thread::sleep(Duration::from_millis(300));
    dev.fault(&json!({ "on": "ciba_poll", "kind": "delay", "when": "after", "delay_ms": 3000 }));
    approve(&dev);
    let polls = dev.history("ciba_poll").len();
    running.signal("CONT");
    wait_until(Duration::from_secs(60), "a poll", || (dev.history("ciba_poll").len() > polls).then_some(()));
    dev.advance(3600);
    let output = running.finish().code(12).err(&["its time was over"]);
    assert!(dev.orders().is_empty() && pushes(&dev) == 1, "{output}");
    resume(&home).code(2);
    let found = agentctl(&home).args(["audit", "verify", "--json"]).run().code(0).json();
    assert_eq!(found["without_end"], json!([]), "{found}");
}

/// A hold on a run is an open file, and a shell may allow few.
#[test]
fn a_hundred_runs_are_waited_for_with_few_open_files() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    let wanted = pending(&home)[0]["id"].as_str().unwrap().to_owned();
    let journal = journal(&home);
    // The others are copies, whose secrets are not theirs: they end with a word about that once they were held.
    for table in ["runs", "approvals"] {
        let mut columns = journal.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).unwrap();
        let names: Vec<String> = columns.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let copied = names.iter().map(|name| match (table, name.as_str()) {
            ("runs", "id") | ("approvals", "id" | "run" | "action") => format!("{name} || '_' || n"),
            // What a server gave to one is no other's.
            (_, name) if name.ends_with("_sha256") => "NULL".to_owned(),
            _ => name.clone(),
        });
        let (names, copied) = (names.join(", "), copied.collect::<Vec<_>>().join(", "));
        let numbers = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 99)";
        journal
            .execute_batch(&format!("INSERT INTO {table} ({names}) {numbers} SELECT {copied} FROM {table}, c"))
            .unwrap();
    }
    assert_eq!(pending(&home).len(), 100);
    let wait = |limit: &str| {
        let line = format!("ulimit {limit}; exec \"$@\"");
        let args = ["-c", &line, "sh", env!("CARGO_BIN_EXE_agentctl"), "approvals", "wait", "--all", "--json"];
        command(&home, "/bin/sh").args(args).run()
    };
    approve(&dev);
    let refused = wait("-n 64").code(1);
    let told = refused.json();
    assert!(told["message"].as_str().unwrap().contains("this process may open 64"), "{refused}");
    assert!(told.to_string().contains("ulimit -n") && pending(&home).len() == 100, "{refused}");
    let output = wait("-S -n 64").code(1);
    let rows = output.json()["approvals"].as_array().unwrap().clone();
    assert_eq!(rows.iter().find(|row| row["id"] == json!(wanted)).unwrap()["state"], "approved", "{output}");
    assert_eq!(output.stderr.matches("cannot be opened").count(), 99, "{output}");
}

/// The program was killed between two writes: the run is there, and nothing was said in it.
#[test]
fn a_run_whose_task_was_never_written_down_is_over() {
    let dev = Dev::start();
    let home = dev.logged_in();
    agentctl(&home).args(["run", "what phones are there"]).run().code(0);
    let cut = "DELETE FROM messages; UPDATE runs SET ended_at = NULL, status = NULL, exit_code = NULL";
    agentctl(&home).args(["audit", "verify"]).env("AGENTCTL_TEST_JOURNAL", cut).run().code(0);
    let asked = dev.history("model").len();
    let why = "before its task was written down; there is nothing to go on with";
    let run = journal(&home).query_row("SELECT id FROM runs", [], |row| row.get::<_, String>(0)).unwrap();
    agentctl(&home).args(["chat", "--resume", &run]).stdin("go on\n").run().code(1).err(&[why, "give the task again"]);
    agentctl(&home).args(["chat", "-c"]).stdin("go on\n").run().code(2).err(&["there is no conversation"]);
    agentctl(&home).args(["resume", "--last"]).run().code(1).err(&[why, "give the task again"]);
    agentctl(&home).args(["resume", "--last"]).run().code(2).err(&["no run waits"]);
    assert_eq!(dev.history("model").len(), asked);
}
