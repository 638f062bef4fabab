//! The log of a whole session holds, and wherever it is touched that is found at its line.

use std::fs;

use serde_json::{Value, json};

use crate::{
    audit::{after_a_purchase, first_flaw, log_file, sha256},
    support::{Dev, Home, agentctl},
};

/// What was read, approved, denied, left and gone on with, cut off, given up, handed out, and stopped.
fn after_a_session(dev: &Dev) -> Home {
    let home = after_a_purchase(dev);
    let run = |args: &[&str], code: i32| drop(agentctl(&home).args(args.iter().copied()).run().code(code));
    run(&["run", "what phones are there"], 0);
    run(&["run", "reset the password of grace"], 0);
    dev.auto("approve", "deny");
    run(&["run", "buy 3 phones"], 11);
    dev.auto("approve", "off");
    run(&["run", "--on-approval", "detach", "buy 1 phones"], 10);
    dev.post("/approvals/latest/approve", &json!({}));
    run(&["resume", "--last"], 0);
    run(&["run", "--on-approval", "detach", "buy 4 phones"], 10);
    let open = agentctl(&home).args(["approvals", "list", "--json"]).run().code(0).json();
    run(&["approvals", "abandon", open["approvals"][0]["id"].as_str().unwrap()], 0);
    run(&["resume", "--last"], 21);
    // Five pushes a minute.
    dev.advance(61);
    dev.auto("approve", "approve");
    let call = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=5"];
    let killed = agentctl(&home).args(call).env("AGENTCTL_TEST_DIE_AT", "after:execution_started").run();
    assert_eq!(killed.status.code(), None, "{killed}");
    run(&["resume", "--last"], 0);
    run(&["token"], 0);
    run(&["panic"], 0);
    run(&["login", "--no-browser"], 0);
    run(&["connections", "disconnect", "okta", "--yes"], 0);
    home
}

#[test]
fn the_log_of_a_session_holds_and_each_touch_is_found_at_its_line() {
    let dev = Dev::start();
    let home = after_a_session(&dev);
    assert_eq!(dev.orders().len(), 3);
    let found = agentctl(&home).args(["audit", "verify", "--json"]).run().code(0).json();
    assert_eq!((&found["seal"]["unsealed"], &found["without_end"]), (&json!(0), &json!([])), "{found}");
    assert_eq!(found["approvals"]["A"], 4, "{found}");

    let file = log_file(&home);
    let log = fs::read_to_string(&file).unwrap();
    let lines: Vec<String> = log.lines().map(str::to_owned).collect();
    let last = lines.len() - 1;
    assert!(last > 25, "{log}");
    let flaw_of = |lines: &[String]| {
        fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        let (flaw, line, why) = first_flaw(&home);
        (flaw, usize::try_from(line).unwrap(), why)
    };
    for at in (0..lines.len()).step_by(4).chain([last]) {
        let mut edited = lines.clone();
        edited[at] = lines[at].replacen("\"time\":\"2", "\"time\":\"3", 1);
        let (flaw, line, why) = flaw_of(&edited);
        assert!(["broken", "seal"].contains(&flaw.as_str()) && line == at + 1, "edited {at}: {flaw} {line} {why}");

        let mut deleted = lines.clone();
        deleted.remove(at);
        let (flaw, line, why) = flaw_of(&deleted);
        let wanted = if at == last { ("truncated", last) } else { ("broken", at + 1) };
        assert_eq!((flaw.as_str(), line), wanted, "deleted {at}: {why}");

        let mut twice = lines.clone();
        twice.insert(at, lines[at].clone());
        let (flaw, line, why) = flaw_of(&twice);
        assert_eq!((flaw.as_str(), line), ("broken", at + 2), "twice {at}: {why}");

        let (flaw, _, why) = flaw_of(&lines[..at]);
        assert_eq!(flaw, "truncated", "cut at {at}: {why}");
        if at < last {
            let mut swapped = lines.clone();
            swapped.swap(at, at + 1);
            let (flaw, line, why) = flaw_of(&swapped);
            assert_eq!((flaw.as_str(), line), ("broken", at + 1), "swapped {at}: {why}");
        }
    }

    // A seal that somebody made with a key of their own, and that follows from the line before.
    let other = after_a_purchase(&dev);
    let theirs = fs::read_to_string(log_file(&other)).unwrap();
    let seal = theirs.lines().find(|line| line.contains("\"kind\":\"checkpoint\"")).unwrap();
    let mut seal: Value = serde_json::from_str(seal).unwrap();
    (seal["seq"], seal["prev"]) = (json!(lines.len() + 1), json!(sha256(&lines[last])));
    let (flaw, line, why) = flaw_of(&[lines.as_slice(), &[seal.to_string()]].concat());
    assert!(flaw == "seal" && line == last + 2 && why.contains("another key"), "{flaw} {line} {why}");

    fs::write(&file, &log).unwrap();
    agentctl(&home).args(["audit", "verify"]).run().code(0);
}
