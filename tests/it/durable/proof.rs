//! What a crash leaves of an approval: the log keeps the yes, and money that was not spent is free again.

use serde_json::{Value, json};

use super::pending;
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
        let deleted = agentctl(&home).args(["runs", "delete", &run, "--force"]).run().code(0);
        let may_have_happened = deleted.stderr.contains("may have happened: look whether it did");
        assert_eq!(may_have_happened, step == "after:execution_started", "{deleted}");
    }
    let found = approvals(&home);
    assert_eq!((&found["A"], &found["not_approved"], &found["without_end"]), (&json!(2), &json!(0), &json!(0)));
}

#[test]
fn money_of_a_call_that_was_given_up_may_be_spent() {
    let (dev, home) = approving();
    let policy = std::path::Path::new(&home.env()["AGENTCTL_HOME"]).join("policy.toml");
    std::fs::write(policy, "[max_spend]\nper_day = \"900 EUR\"").unwrap();
    let buy = || {
        let call =
            ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=1", "--arg", "price_limit=500"];
        agentctl(&home).args(call)
    };
    let cut = || drop(buy().env("AGENTCTL_TEST_DIE_AT", "before:executing").run());
    cut();
    let id = pending(&home)[0]["id"].as_str().unwrap().to_owned();
    let run = pending(&home)[0]["run"].as_str().unwrap().to_owned();
    agentctl(&home).args(["approvals", "abandon", &id]).run().code(0);
    agentctl(&home).args(["resume", &run]).run().code(2).err(&["has ended; nothing of it waits", "agentctl runs show"]);
    agentctl(&home).args(["runs", "show", &run]).run().code(0).out(&["was given up; nothing was done"]);
    cut();
    let run = pending(&home)[0]["run"].as_str().unwrap().to_owned();
    agentctl(&home).args(["runs", "delete", &run, "--force"]).run().code(0);
    cut();
    dev.advance(601);
    agentctl(&home).args(["resume", "--last"]).run().code(12);
    buy().run().code(0);
    assert_eq!(dev.orders().len(), 1);
    buy().run().code(14);
}
