//! A kill at every durable step, under three kinds of bad weather: whatever happens, at most one order, at most one push,
//! and a log that knows how each call ended.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::pushes;
use crate::support::{Dev, Home, Output, agentctl};

/// The steps of one purchase, and how many orders there are in the end if the process dies right there. What was lost
/// (a question, an answer) is asked anew only on the person's word, and here is no person.
const STEPS: [(&str, usize); 24] = [
    ("before:call_opened", 1),
    ("after:call_opened", 1),
    ("before:audit_request", 1),
    ("after:audit_request", 1),
    ("before:planned", 1),
    ("after:planned", 0),
    ("before:requested", 0),
    ("after:requested", 1),
    ("before:redeeming", 1),
    ("after:redeeming", 0),
    ("before:approved", 0),
    ("after:approved", 1),
    ("before:executing", 1),
    ("after:executing", 1),
    ("before:execution_started", 1),
    ("after:execution_started", 1),
    ("before:execution_ended", 1),
    ("after:execution_ended", 1),
    ("before:done", 1),
    ("after:done", 1),
    ("before:audit_response", 1),
    ("after:audit_response", 1),
    ("before:call_closed", 1),
    ("after:call_closed", 1),
];

fn audit(home: &Home) -> (Vec<Value>, Output) {
    let output = agentctl(home).args(["audit", "list", "--json"]).run();
    let entries = output.json()["entries"].as_array().cloned().unwrap_or_default();
    (entries, output)
}

fn every_step(faults: &[Value]) {
    let dev = Dev::start();
    for (step, wanted) in STEPS {
        // Bad weather that one step did not meet is not for the next one.
        dev.post("/reset", &json!({}));
        let home = dev.logged_in();
        dev.auto("approve", "approve");
        let (orders, rung) = (dev.orders().len(), pushes(&dev));
        for fault in faults {
            dev.fault(fault);
        }
        let task = ["run", "buy 2 phones"];
        let killed = agentctl(&home).args(task).env("AGENTCTL_TEST_DIE_AT", step).run();
        assert_eq!(killed.status.code(), None, "{step}: it was to be killed\n{killed}");
        let resumed = agentctl(&home).args(["resume", "--last"]).run();
        let (made, rung) = (dev.orders().len() - orders, pushes(&dev) - rung);
        assert_eq!(made, wanted, "{step}: orders\n{killed}\n{resumed}");
        assert!(rung <= 1, "{step}: {rung} pushes\n{resumed}");
        assert!(made == 0 || rung == 1, "{step}: an order without an approval");
        assert_eq!(resumed.status.code(), Some(if wanted == 1 { 0 } else { 21 }), "{step}\n{killed}\n{resumed}");
        // Each call has one request and one response, and nothing is left to go on with.
        let (entries, output) = audit(&home);
        let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in &entries {
            if let Some(action) = entry["action"].as_str() {
                calls.entry(action.to_owned()).or_default().push(entry["kind"].as_str().unwrap().to_owned());
            }
        }
        assert!(!calls.is_empty(), "{step}\n{output}");
        for (action, kinds) in calls {
            assert_eq!(kinds, ["request", "response"], "{step}: {action}\n{output}");
        }
        agentctl(&home).args(["audit", "verify"]).run().code(0);
        agentctl(&home).args(["resume", "--last"]).run().code(2);
        let left = agentctl(&home).args(["approvals", "list", "--json"]).run().code(0).json();
        assert_eq!(left["approvals"], json!([]), "{step}");
    }
}

#[test]
fn a_kill_at_every_step() {
    every_step(&[]);
}

#[test]
fn a_kill_at_every_step_when_the_shop_loses_its_answer() {
    every_step(&[json!({ "on": "shop", "kind": "drop", "when": "after" })]);
}

#[test]
fn a_kill_at_every_step_when_the_server_is_busy() {
    every_step(&[
        json!({ "on": "ciba_poll", "kind": "status", "status": 503 }),
        json!({ "on": "shop", "kind": "status", "status": 503 }),
    ]);
}
