//! Approvals that survive the process that asked, and effects that happen once.

mod bad;
mod edited;
mod ended;
mod given;
mod ids;
mod kill;
mod late;
mod panic;
mod proof;
mod receipt;
mod sealed;
mod sent;
mod stop;
mod taken_up;

use std::time::Duration;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{self, Dev, Fake, Home, Output, Reply, Running, SOON, agentctl, wait_until};

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

/// How many orders the shop took for a token that a person's yes to a push has given.
fn granted_orders(dev: &Dev) -> usize {
    support::granted_orders(dev, |answer| answer["status"] == 201)
}

#[test]
fn detach_approve_resume() {
    let dev = Dev::start();
    let home = dev.logged_in();
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
    let home = dev.logged_in();
    let output = agentctl(&home).args(["run", "--json", "--timeout", SOON, "buy 2 phones"]).run().code(10);
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
    let home = dev.logged_in();
    let output = agentctl(&home).args(["run", "--on-approval", "deny", "buy 2 phones"]).run().code(13);
    output.err(&["--on-approval deny"]);
    assert_eq!((dev.orders().len(), pushes(&dev)), (0, 0));
}

/// Detaches a purchase and returns what it printed.
fn detached(home: &Home, task: &str) -> Output {
    agentctl(home).args(["run", "--json", "--on-approval", "detach", task]).run().code(10)
}

/// A command that waits for an answer and has asked the server once.
fn polling(dev: &Dev, home: &Home, args: &[&str]) -> Running {
    let polls = dev.history("ciba_poll").len();
    let waiting = agentctl(home).args(args.iter().copied()).start();
    wait_until(Duration::from_secs(60), "a poll", || (dev.history("ciba_poll").len() > polls).then_some(()));
    waiting
}

fn pending(home: &Home) -> Vec<Value> {
    let list = agentctl(home).args(["approvals", "list", "--json"]).run().code(0).json();
    list["approvals"].as_array().unwrap().clone()
}

#[test]
fn of_two_processes_one_goes_on_with_a_run() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let first = agentctl(&home).args(["run", "buy 2 phones"]).start();
    first.wait_for_stderr("Check that it shows:");
    let run = pending(&home)[0]["run"].as_str().unwrap().to_owned();
    agentctl(&home).args(["resume", &run]).run().code(1).err(&["another agentctl process is at work"]);
    agentctl(&home).args(["runs", "delete", &run]).run().code(1).err(&["another agentctl process"]);
    first.signal("KILL");
    first.finish();
    let second = agentctl(&home).args(["resume", &run]).start();
    second.wait_for_stderr("Check that it shows:");
    agentctl(&home).args(["resume", &run]).run().code(1);
    approve(&dev);
    second.finish().code(0);
    assert_eq!((dev.orders().len(), pushes(&dev)), (1, 1));
}

#[test]
fn a_yes_after_the_interrupt_is_for_the_resumed_run() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let running = agentctl(&home).args(["run", "buy 2 phones"]).start();
    running.wait_for_stderr("Check that it shows:");
    running.signal("INT");
    running.finish().code(130).err(&["stays open", "agentctl resume run_"]);
    approve(&dev);
    agentctl(&home).args(["resume"]).run().code(0).out(&["ord_"]);
    assert_eq!((dev.orders().len(), pushes(&dev)), (1, 1));
}

#[test]
fn what_was_given_up_is_not_used() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    let id = pending(&home)[0]["id"].as_str().unwrap().to_owned();
    let shown = agentctl(&home).args(["approvals", "show", &id]).run().code(0);
    shown.out(&["buy_product", "requested", "left"]);
    agentctl(&home).args(["approvals", "abandon", &id]).run().code(0).err(&["answering it does nothing"]);
    agentctl(&home).args(["approvals", "abandon", &id]).run().code(2).err(&["is abandoned"]);
    approve(&dev);
    let output = agentctl(&home).args(["resume", "--last"]).run().code(21);
    assert!(dev.orders().is_empty(), "{output}");
    let rows = agentctl(&home).args(["approvals", "list", "--all", "--json"]).run().json();
    assert_eq!(rows["approvals"][0]["state"], "abandoned");
}

#[test]
fn many_are_waited_for_at_once() {
    let dev = Dev::start();
    let home = dev.logged_in();
    for qty in 1..=3 {
        detached(&home, &format!("buy {qty} phones"));
    }
    agentctl(&home).args(["approvals", "wait", "--all", "--timeout", SOON]).run().code(10);
    let waiting = agentctl(&home).args(["approvals", "wait", "--all", "--json"]).start();
    for _ in 0..2 {
        approve(&dev);
    }
    dev.post("/approvals/latest/deny", &json!({}));
    let output = waiting.finish().code(11);
    let states: Vec<Value> =
        output.json()["approvals"].as_array().unwrap().iter().map(|row| row["state"].clone()).collect();
    assert_eq!(states.iter().filter(|state| *state == "approved").count(), 2, "{output}");
    assert!(dev.orders().is_empty(), "waiting does nothing");
    for row in output.json()["approvals"].as_array().unwrap() {
        let code = if row["state"] == "denied" { 11 } else { 0 };
        agentctl(&home).args(["resume", row["run"].as_str().unwrap()]).run().code(code);
    }
    assert_eq!((dev.orders().len(), pushes(&dev)), (2, 3));
    let early = dev.history("ciba_poll").iter().filter(|poll| poll["answer"]["body"]["error"] == "slow_down").count();
    assert_eq!(early, 0, "polls are never early");
}

#[test]
fn who_can_not_be_asked_now_ends_nothing() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    for step in ["after:approved", "after:execution_started"] {
        agentctl(&home).args(["run", "buy 2 phones"]).env("AGENTCTL_TEST_DIE_AT", step).run();
        let orders = dev.orders().len();
        dev.fault(&json!({ "on": "fga", "kind": "status", "status": 503, "times": 99 }));
        agentctl(&home).args(["resume", "--last"]).run().code(10).err(&["agentctl resume run_"]);
        dev.delete("/faults", &json!({}));
        agentctl(&home).args(["resume", "--last"]).run().code(0);
        assert_eq!(dev.orders().len(), orders + 1, "{step}");
    }
    assert_eq!(pushes(&dev), 2);
    // Who is not permitted any more is refused, and what may have been sent is unknown.
    agentctl(&home).args(["run", "buy 2 phones"]).env("AGENTCTL_TEST_DIE_AT", "after:execution_started").run();
    dev.delete("/tuples", &json!({ "user": "ada", "relation": "can_buy", "object": "shop:main" }));
    agentctl(&home).args(["resume", "--last"]).run().code(21).err(&["may have happened"]);
    assert_eq!(dev.orders().len(), 2);
}

#[test]
fn two_may_wait_for_the_same_answer() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    let wait = || agentctl(&home).args(["approvals", "wait", "--all", "--json"]).start();
    let (first, second) = (wait(), wait());
    // Whichever holds the run asks; should it be killed, the other one does.
    std::thread::sleep(Duration::from_secs(1));
    first.signal("KILL");
    first.finish();
    let third = wait();
    approve(&dev);
    for waiting in [second, third] {
        let output = waiting.finish().code(0);
        assert_eq!(output.json()["approvals"][0]["state"], "approved", "{output}");
    }
    agentctl(&home).args(["resume", "--last"]).run().code(0);
    assert_eq!((dev.orders().len(), pushes(&dev)), (1, 1));
}

#[test]
fn what_a_crash_cut_is_not_waited_for() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    agentctl(&home).args(["run", "buy 2 phones"]).env("AGENTCTL_TEST_DIE_AT", "after:planned").run();
    agentctl(&home).args(["approvals", "wait", "--all"]).run().code(1).err(&["was stopped", "agentctl resume run_"]);
    agentctl(&home).args(["resume", "--last"]).run().code(21);
    assert!(dev.orders().is_empty());
}

/// That the server still says "not yet" proves that nothing was lost.
#[test]
fn a_crash_in_the_middle_of_a_question_to_the_server_loses_no_later_answer() {
    let dev = Dev::start();
    let home = dev.logged_in();
    for go_on in [&["resume", "--last"][..], &["approvals", "wait", "--all"]] {
        let orders = dev.orders().len();
        agentctl(&home).args(["run", "buy 2 phones"]).env("AGENTCTL_TEST_DIE_AT", "after:redeeming").run();
        let waiting = polling(&dev, &home, go_on);
        approve(&dev);
        waiting.finish().code(0);
        agentctl(&home).args(["resume", "--last"]).run().code(if go_on[0] == "resume" { 2 } else { 0 });
        assert_eq!(dev.orders().len(), orders + 1, "{go_on:?}");
    }
    assert_eq!((granted_orders(&dev), pushes(&dev)), (2, 2));
}

/// Otherwise a poll that is under way would look like a crash to the one who resumes, and its yes be lost.
#[test]
fn a_run_that_is_waited_for_is_not_resumed_meanwhile() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    let waiting = polling(&dev, &home, &["approvals", "wait", "--all"]);
    agentctl(&home).args(["resume", "--last"]).run().code(1).err(&["another agentctl process is at work"]);
    approve(&dev);
    waiting.finish().code(0);
    agentctl(&home).args(["resume", "--last"]).run().code(0);
    assert_eq!(dev.orders().len(), 1);
}

#[test]
fn a_run_that_has_its_answer_is_let_go_while_others_are_waited_for() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    let other = pending(&home)[0]["run"].as_str().unwrap().to_owned();
    detached(&home, "buy 3 phones");
    let waiting = agentctl(&home).args(["approvals", "wait", "--all"]).start();
    // The newest.
    approve(&dev);
    let answered = || pending(&home).into_iter().find(|row| row["state"] == "approved");
    let run = wait_until(Duration::from_secs(60), "the answer", answered)["run"].as_str().unwrap().to_owned();
    assert_ne!(run, other);
    let resumed = || agentctl(&home).args(["resume", &run]).run();
    wait_until(Duration::from_secs(60), "the run", || (resumed().status.code() == Some(0)).then_some(()));
    agentctl(&home).args(["resume", &other]).run().code(1).err(&["another agentctl process is at work"]);
    waiting.signal("INT");
    waiting.finish().code(130);
    assert_eq!(dev.orders().len(), 1);
}

#[test]
fn another_plan_another_person_or_another_key_is_refused() {
    // With the journal's key, as nobody has it who edits the file: what lies behind the MACs has to hold as well.
    let change = |sql: &str| {
        let dev = Dev::start();
        let home = dev.logged_in();
        detached(&home, "buy 2 phones");
        approve(&dev);
        let output = agentctl(&home).args(["resume", "--last"]).env("AGENTCTL_TEST_JOURNAL", sql).run();
        assert!(dev.orders().is_empty(), "{sql}\n{output}");
        output
    };
    let plan = r#"UPDATE approvals SET plan = replace(plan, '"qty":2', '"qty":9')"#;
    change(plan).code(13).err(&["not the one that was approved"]);
    let plan = r#"UPDATE calls SET plan = replace(plan, '"qty":2', '"qty":9')"#;
    change(plan).code(21).err(&["was changed"]);
    let both = r#"UPDATE calls SET arguments = replace(arguments, '2', '9')"#;
    change(both).code(21).err(&["something else today"]);
    change("UPDATE approvals SET subject = 'auth0|mallory'").code(13).err(&["somebody else is logged in"]);
    change("UPDATE approvals SET terms = replace(terms, 'product:buy', 'product:all')")
        .code(13)
        .err(&["something else today"]);
    change("UPDATE approvals SET sealed_auth_req_id = zeroblob(60)").code(10).err(&["cannot be opened"]);
}

/// The digest of a plan, as another program computes it.
fn digest_of(plan: &Value) -> String {
    let bound = json!({ "tool": plan["tool"], "origin": plan["origin"], "arguments": plan["arguments"] });
    let text = serde_json_canonicalizer::to_string(&bound).unwrap();
    format!("sha-256:{}", URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes())))
}

/// Who can write into the journal and has no key cannot make a whole and consistent other story of it either.
#[test]
fn a_yes_cannot_be_moved_to_another_call_or_used_again_by_editing_the_journal() {
    let stories = [(true, 9, false), (false, 9, false), (true, 2, false), (false, 2, false), (true, 2, true)];
    // With the key nothing is changed by anybody but us; there is still what the yes was sealed for.
    for ((answered, quantity, lives), with_key) in stories.into_iter().flat_map(|story| [(story, false), (story, true)])
    {
        let dev = Dev::start();
        let mut home = dev.logged_in();
        // One that believes every token.
        let shop = Fake::start();
        shop.always("POST", "/orders", Reply::json(201, &json!({ "id": "ord_1" })));
        home.set("SHOP_API_URL", &format!("{}/orders", shop.url()));
        detached(&home, "buy 2 phones");
        approve(&dev);
        if answered {
            agentctl(&home).args(["approvals", "wait", "--all"]).run().code(0);
        }
        let paths = agentctl(&home).args(["config", "path", "--json"]).run().code(0).json();
        let journal = std::path::Path::new(paths["state"].as_str().unwrap()).join("journal.db");
        let journal = rusqlite::Connection::open(journal).unwrap();
        let plan: String = journal.query_row("SELECT plan FROM approvals", [], |row| row.get(0)).unwrap();
        let mut plan: Value = serde_json::from_str(&plan).unwrap();
        let was = digest_of(&plan);
        plan["arguments"]["qty"] = json!(quantity);
        let now = digest_of(&plan);
        let mut story = String::new();
        for (table, columns) in
            [("approvals", &["plan", "terms", "digest"][..]), ("calls", &["plan", "arguments", "digest"])]
        {
            for column in columns {
                let digest = format!("replace({column}, '{was}', '{now}')");
                let numbers = format!("replace({digest}, '\"qty\":2', '\"qty\":{quantity}')");
                let shown = format!("replace({numbers}, '\"value\":\"2\"', '\"value\":\"{quantity}\"')");
                story += &format!("UPDATE {table} SET {column} = {shown};");
            }
            if !lives {
                // As if it were a call that the log does not know.
                story += &format!("UPDATE {table} SET action = 'act_01a2299999997000a0000000000000cc';");
            }
        }
        if lives {
            story += "UPDATE approvals SET expires_at = expires_at + 3600000;";
        }
        let resume = agentctl(&home).args(["resume", "--last"]);
        let resumed = if with_key {
            resume.env("AGENTCTL_TEST_JOURNAL", &story).run().code(10).err(&["cannot be opened"])
        } else {
            journal.execute_batch(&story).unwrap();
            resume.run().code(1).err(&["was changed", "agentctl runs delete"])
        };
        assert!(shop.seen().is_empty(), "answered: {answered}, {quantity}, {lives}\n{resumed}");
    }
}

#[test]
fn a_clock_that_jumps_does_not_lengthen_a_wait() {
    for day in [-86_400, 86_400] {
        let dev = Dev::start();
        let home = dev.logged_in();
        detached(&home, "buy 2 phones");
        dev.set_wall_clocks(day);
        let left = pending(&home)[0]["left_s"].as_u64().unwrap();
        assert!(left <= 300, "{day}: {left} s are left");
        let resumed = agentctl(&home).args(["resume", "--last"]).start();
        if day > 0 {
            // Its time is over, as far as anybody here knows.
            resumed.finish().code(12);
        } else {
            resumed.wait_for_stderr("Check that it shows:");
            dev.advance(301);
            resumed.finish().code(12);
        }
        assert!(dev.orders().is_empty());
    }
}

#[test]
fn runs_are_listed_shown_and_deleted() {
    let dev = Dev::start();
    let home = dev.logged_in();
    agentctl(&home).args(["runs", "list"]).run().code(0).err(&["no runs yet"]);
    detached(&home, "buy 2 phones");
    // Who only looks holds nothing.
    let leases = home.path().join("agentctl/state/leases");
    std::fs::remove_dir_all(&leases).unwrap();
    agentctl(&home).args(["resume", "run_typo"]).run().code(2).err(&["no run run_typo"]);
    let list = agentctl(&home).args(["runs", "list", "--json"]).run().code(0).json();
    assert!(!leases.exists());
    assert_eq!((&list["runs"][0]["state"], &list["runs"][0]["title"]), (&json!("waiting"), &json!("buy 2 phones")));
    let id = list["runs"][0]["id"].as_str().unwrap();
    agentctl(&home).args(["runs", "show", id]).run().code(0).out(&["you: buy 2 phones", "buy_product"]);
    agentctl(&home).args(["runs", "show", &id[..id.len() - 1]]).run().code(0).out(&["you: buy 2 phones"]);
    agentctl(&home).args(["approvals", "show", "apr_"]).run().code(0).out(&["buy_product"]);
    agentctl(&home).args(["audit", "show", ""]).run().code(2);
    agentctl(&home).args(["runs", "delete", id]).run().code(1).err(&["still pending"]);
    agentctl(&home).args(["runs", "delete", id, "--force"]).run().code(0);
    assert!(pending(&home).is_empty());
    agentctl(&home).args(["runs", "show", id]).run().code(2);
    agentctl(&home).args(["audit", "list"]).run().code(0).out(&["buy_product"]);
}

#[test]
fn what_nobody_went_on_with_is_forgotten_and_ended_in_the_log() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let run_of = |output: Output| output.lines().pop().unwrap()["run"].as_str().unwrap().to_owned();
    let asked = run_of(detached(&home, "buy 2 phones"));
    let held = run_of(detached(&home, "buy 3 phones"));
    dev.auto("approve", "approve");
    agentctl(&home).args(["run", "buy 1 phones"]).env("AGENTCTL_TEST_DIE_AT", "after:execution_started").run();
    let runs = || {
        let list = agentctl(&home).args(["runs", "list", "--json"]).run().code(0).json();
        let ids = list["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let killed = runs().remove(0);
    assert_eq!(pending(&home).len(), 3);

    let lease = home.path().join("agentctl/state/leases").join(format!("{held}.lock"));
    let lease = std::fs::File::open(lease).unwrap();
    lease.lock().unwrap();
    let another_run = |days: u64| {
        dev.advance(days * 24 * 60 * 60);
        agentctl(&home).args(["login", "--no-browser"]).run().code(0);
        agentctl(&home).args(["run", "find phones"]).run();
    };
    another_run(89);
    assert_eq!(runs().len(), 4, "none is old enough");
    another_run(2);
    let left = runs();
    assert!(left.len() == 3 && left.contains(&held), "a run that is held stays: {left:?}");
    assert!(!left.contains(&asked) && !left.contains(&killed));
    agentctl(&home).args(["resume", &asked]).run().code(2);

    let ends = || {
        let list = agentctl(&home).args(["audit", "list", "--json", "--tool", "buy_product"]).run().code(0).json();
        let entries = list["entries"].as_array().unwrap().clone();
        let ends = entries.iter().filter_map(|entry| entry["body"]["outcome"].as_str()).map(str::to_owned);
        (entries.len(), ends.collect::<Vec<_>>())
    };
    assert_eq!(ends(), (5, vec!["cancelled".to_owned(), "unknown".to_owned()]));
    drop(lease);
    another_run(1);
    assert!(!runs().contains(&held) && pending(&home).is_empty());
    assert_eq!(ends().1.len(), 3);
    agentctl(&home).args(["audit", "verify"]).run().code(0);
}
