//! What a crash leaves of an approval: the log keeps the yes, and money that was not spent is free again.

use serde_json::{Value, json};

use crate::support::{Dev, Home, agentctl};

fn dies_at(home: &Home, step: &str) {
    let killed = agentctl(home).args(["run", "buy 2 phones"]).env("AGENTCTL_TEST_DIE_AT", step).run();
    assert_eq!(killed.status.code(), None, "{step}: it was to be killed\n{killed}");
}

/// What `audit verify` says about approvals.
fn approvals(home: &Home) -> Value {
    agentctl(home).args(["audit", "verify", "--json"]).run().code(0).json()["approvals"].take()
}

fn approving() -> (Dev, Home) {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    (dev, home)
}

#[test]
fn the_yes_to_what_may_have_happened_stays_in_the_log() {
    let (dev, home) = approving();
    dies_at(&home, "before:execution_ended");
    dev.advance(601);
    agentctl(&home).args(["resume", "--last"]).run().code(21).err(&["may have happened", "time was over"]);
    dies_at(&home, "after:execution_started");
    dev.delete("/tuples", &json!({ "user": "ada", "relation": "can_buy", "object": "shop:main" }));
    agentctl(&home).args(["resume", "--last"]).run().code(21).err(&["may have happened"]);
    let found = approvals(&home);
    assert_eq!((&found["A"], &found["not_approved"], &found["without_yes"]), (&json!(2), &json!(0), &json!(0)));
}

#[test]
fn a_run_that_is_deleted_leaves_its_yes_in_the_log() {
    let (_dev, home) = approving();
    for step in ["after:execution_started", "after:approved"] {
        dies_at(&home, step);
        let list = agentctl(&home).args(["runs", "list", "--json"]).run().code(0).json();
        let run = list["runs"][0]["id"].as_str().unwrap().to_owned();
        agentctl(&home).args(["runs", "delete", &run, "--force"]).run().code(0);
    }
    let found = approvals(&home);
    assert_eq!((&found["A"], &found["not_approved"], &found["without_end"]), (&json!(2), &json!(0), &json!(0)));
}
