//! Approvals that survive the process that asked, and effects that happen once.

use serde_json::{Value, json};

use crate::support::{Dev, Home, agentctl};

fn logged_in(dev: &Dev) -> Home {
    let home = dev.home();
    dev.auto("approve", "off");
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    home
}

fn approve(dev: &Dev) {
    dev.post("/approvals/latest/approve", &json!({}));
}

/// How often the tenant was asked to make a phone ring.
fn pushes(dev: &Dev) -> usize {
    dev.history("ciba")
        .iter()
        .filter(|request| request["path"].as_str().is_some_and(|path| path.contains("bc-")))
        .count()
}

#[test]
fn detach_approve_resume() {
    let dev = Dev::start();
    let home = logged_in(&dev);
    let detached = agentctl(&home).args(["run", "--on-approval", "detach", "buy 2 phones"]).run().code(10);
    detached.err(&["waits for your approval", "agentctl resume run_", "agentctl approvals abandon apr_"]);
    assert!(dev.orders().is_empty());
    approve(&dev);
    let resumed = agentctl(&home).args(["resume", "--last"]).run().code(0);
    assert_eq!(dev.orders().len(), 1, "{resumed}");
    resumed.out(&["ord_"]);
    assert_eq!(pushes(&dev), 1);
    agentctl(&home).args(["resume", "--last"]).run().code(2).err(&["no run waits"]);
    agentctl(&home).args(["audit", "verify"]).run().code(0);
}

#[test]
fn the_terminal_event_of_a_pending_run_says_how_to_go_on() {
    let dev = Dev::start();
    let home = logged_in(&dev);
    let output = agentctl(&home).args(["run", "--json", "--timeout", "3", "buy 2 phones"]).run().code(10);
    let last = output.lines().pop().unwrap();
    assert_eq!(last["type"], "run.pending", "{output}");
    let run = last["run"].as_str().unwrap();
    let approval = last["approvals"][0].as_str().unwrap();
    let next = [format!("agentctl resume {run}"), format!("agentctl approvals abandon {approval}")];
    assert_eq!(last["next"], json!(next));
    approve(&dev);
    let resumed = agentctl(&home).args(["resume", run, "--json"]).run().code(0);
    let types: Vec<Value> = resumed.lines().into_iter().map(|line| line["type"].clone()).collect();
    assert_eq!(types.last().unwrap(), "run.completed", "{resumed}");
    assert_eq!((dev.orders().len(), pushes(&dev)), (1, 1));
}

#[test]
fn deny_asks_nobody() {
    let dev = Dev::start();
    let home = logged_in(&dev);
    let output = agentctl(&home).args(["run", "--on-approval", "deny", "buy 2 phones"]).run().code(13);
    output.err(&["--on-approval deny"]);
    assert_eq!((dev.orders().len(), pushes(&dev)), (0, 0));
}
