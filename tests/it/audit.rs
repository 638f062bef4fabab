//! The log: a pair of entries for each call, and a chain that shows where it was touched.

use std::{fs, path::PathBuf};

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
