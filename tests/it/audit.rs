//! The log: a pair of entries for each call, and a chain that shows where it was touched.

use std::{fs, path::PathBuf};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Dev, Home, agentctl};

fn after_a_purchase(dev: &Dev) -> Home {
    let home = dev.home();
    dev.auto("approve", "approve");
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    agentctl(&home).args(["run", "buy 2 phones"]).run().code(0);
    home
}

/// The log's file, wherever it is in the home.
fn log_file(home: &Home) -> PathBuf {
    let mut folders = vec![home.path().join("agentctl")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "jsonl") {
                return path;
            }
        }
    }
    panic!("there is no log");
}

#[test]
fn what_was_done_is_listed_and_verified() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    agentctl(&home).args(["audit", "verify"]).run().code(0);
    let output =
        agentctl(&home).args(["audit", "list", "--json"]).run().code(0).out(&["buy_product", "request", "response"]);
    for secret in ["eyJ", dev.ready["env"]["AGENTCTL_APPROVAL_CLIENT_SECRET"].as_str().unwrap()] {
        assert!(!output.stdout.contains(secret), "{output}");
    }
}

#[test]
fn a_touched_log_is_found_out() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    let file = log_file(&home);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"qty\":2", "\"qty\":1", 1)).unwrap();
    assert_ne!(fs::read_to_string(&file).unwrap(), text, "nothing was changed in\n{text}");
    agentctl(&home).args(["audit", "verify"]).run().code(1);
}

#[test]
fn nothing_runs_that_cannot_be_written_down() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    let file = log_file(&home);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let output = agentctl(&home).args(["run", "buy 2 phones"]).run();
    assert_ne!(output.status.code(), Some(0), "{output}");
    assert_eq!(dev.orders().len(), 1, "only the one from before\n{output}");
}

/// The journal of a home in which a tool was called before.
fn journal(home: &Home) -> Connection {
    let state = agentctl(home).args(["config", "path", "--json"]).run().code(0).json()["state"].clone();
    Connection::open(PathBuf::from(state.as_str().unwrap()).join("journal.db")).unwrap()
}

/// The last entry of the log.
fn last_entry(home: &Home) -> Value {
    let text = fs::read_to_string(log_file(home)).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[test]
fn what_was_done_is_not_called_undone_when_the_journal_fails_afterwards() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    journal(&home)
        .execute_batch("CREATE TRIGGER full BEFORE UPDATE ON executions BEGIN SELECT raise(ABORT, 'full'); END")
        .unwrap();
    let output = agentctl(&home).args(["run", "buy 2 phones"]).run().code(1).err(&["ended as \"done\""]);
    assert!(!output.stderr.contains("nothing was done"), "{output}");
    assert_eq!(dev.orders().len(), 2, "{output}");
    let entry = last_entry(&home);
    assert_eq!((&entry["kind"], &entry["body"]["outcome"]), (&json!("response"), &json!("done")), "{entry}");
}

#[test]
fn who_stops_a_request_under_way_leaves_the_truth_behind() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    dev.fault(&json!({ "on": "shop", "kind": "delay", "when": "after", "delay_ms": 20_000 }));
    let running =
        agentctl(&home).args(["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2"]).start();
    running.wait_for_stderr("Approved");
    let journal = journal(&home);
    let states = || -> Vec<(String, bool)> {
        let sql = "SELECT state, sealed_token IS NULL FROM approvals ORDER BY created_at";
        let mut query = journal.prepare(sql).unwrap();
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    while dev.orders().len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    running.signal("INT");
    running.finish().code(130);
    let entry = last_entry(&home);
    assert_eq!(entry["body"]["outcome"], "unknown", "{entry}");
    assert_eq!(entry["body"]["approval"]["binding"], "details", "what allowed it stands there too: {entry}");
    assert_eq!(states(), [("done".to_owned(), true), ("unknown_outcome".to_owned(), true)]);
}
