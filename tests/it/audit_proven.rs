//! What the readers of the log say of entries that nobody with its key wrote.

use std::{fs, io::Write as _, time::Duration};

use serde_json::{Value, json};

use crate::{
    audit::{after_a_purchase, first_flaw, log_file, sha256},
    support::{Dev, Home, Output, agentctl, wait_until},
};

const NOBODYS: &str = "nothing proves who wrote this entry";

fn entries(home: &Home) -> Vec<Value> {
    let log = fs::read_to_string(log_file(home)).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(entries: &'a [Value], kind: &str) -> &'a Value {
    entries.iter().find(|entry| entry["kind"] == kind).unwrap()
}

fn run(home: &Home, args: &[&str]) -> Output {
    agentctl(home).args(args.iter().copied()).run()
}

fn log_holds(home: &Home, action: &str) -> Value {
    run(home, &["why", action, "--json"]).code(0).json()["log_holds"].clone()
}

/// Nobody has the key any more.
fn without_key(home: &Home) {
    fs::remove_file(home.path().join("agentctl/data/credentials")).unwrap();
}

#[test]
fn what_was_written_with_the_key_is_said_to_be() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    let action = of(&entries(&home), "request")["action"].as_str().unwrap().to_owned();
    let sent = of(&entries(&home), "sent").clone();
    assert_eq!(log_holds(&home, &action), true);
    let time = sent["time"].as_str().unwrap();
    let said =
        run(&home, &["why", &action]).code(0).out(&["approval    ✓ by auth0|ada", &format!("sent        {time}")]);
    assert!(!said.stdout.contains("not proven") && !said.stdout.contains(NOBODYS), "{said}");
    run(&home, &["audit", "show", &action]).code(0).out(&["✓ every entry carries the log's MAC", "sent        "]);
    let shown = run(&home, &["audit", "show", &action, "--json"]).code(0).json();
    assert_eq!((&shown["proven"], &shown["sent"]["proven"]), (&json!(true), &json!(true)), "{shown}");
    // Of it is kept what let it be sent, as the response has it.
    let ended = of(&entries(&home), "response").clone();
    for name in ["approval", "policy", "permission", "permission_before", "token"] {
        assert!(!sent["body"][name].is_null() && sent["body"][name] == ended["body"][name], "{name}: {sent}");
    }
    assert_eq!(sent["body"]["digest"], of(&entries(&home), "request")["body"]["digest"]);
    assert!(sent["body"]["idempotency_key"].is_string(), "{sent}");
    let listed = run(&home, &["audit", "list", "--json"]).code(0).json();
    assert!(listed["entries"].as_array().unwrap().iter().all(|entry| entry["proven"] == true), "{listed}");
    let csv = run(&home, &["audit", "export", "--format", "csv"]).code(0).stdout;
    let rows: Vec<&str> = csv.lines().collect();
    assert!(rows[0].ends_with(",sent_seq,sent_at,proven") && rows[1].ends_with(&format!("{time},true")), "{csv}");

    // Without the key all of it can be read, and none is proven.
    without_key(&home);
    assert_eq!(log_holds(&home, &action), Value::Null);
    let said = run(&home, &["why", &action]).code(0).out(&["- by auth0|ada", "not proven: that needs the key"]);
    assert!(!said.stdout.contains("✓ by"), "{said}");
    run(&home, &["audit", "show", &action]).code(0).out(&["not checked: that needs the key"]);
    run(&home, &["audit", "list"]).code(0).out(&["buy_product"]).err(&["was not checked: that needs the key"]);
    let exported = run(&home, &["audit", "export"]).code(0).json();
    assert!(exported["entries"].as_array().unwrap().iter().all(|entry| entry["proven"].is_null()), "{exported}");
    let csv = run(&home, &["audit", "export", "--format", "csv"]).code(0).stdout;
    assert!(csv.lines().nth(1).unwrap().ends_with(','), "{csv}");
}

/// A whole log written anew, with a head file that fits, by somebody who has no key.
#[test]
fn a_log_that_was_written_anew_is_not_vouched_for() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    let approval = of(&entries(&home), "response")["body"]["approval"].clone();
    dev.auto("approve", "deny");
    run(&home, &["run", "buy 3 phones"]).code(11);
    let mut forged = entries(&home);
    let denied = forged.iter_mut().rfind(|entry| entry["kind"] == "response").unwrap();
    let action = denied["action"].as_str().unwrap().to_owned();
    denied["body"]["approval"] = approval;
    denied["body"]["approval"]["signed"] = json!([]);
    (denied["body"]["outcome"], denied["body"]["asked"]) = (json!("done"), Value::Null);
    let (mut text, mut prev, mut head) = (String::new(), "0".repeat(64), json!({}));
    for entry in &mut forged {
        entry["prev"] = json!(prev);
        let line = entry.to_string();
        prev = sha256(&line);
        if entry["kind"] == "checkpoint" {
            head = json!({ "seq": entry["seq"], "hash": prev, "at": text.len(), "len": line.len() });
        }
        text += &line;
        text += "\n";
    }
    let file = log_file(&home);
    fs::write(&file, text).unwrap();
    let path = file.with_file_name("audit.head");
    let mut kept: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    head.as_object().unwrap().iter().for_each(|(name, value)| kept[name] = value.clone());
    for fits in [true, false] {
        match fits {
            true => fs::write(&path, kept.to_string()).unwrap(),
            false => fs::remove_file(&path).unwrap(),
        }
        assert_eq!(log_holds(&home, &action), false);
        let said = run(&home, &["why", &action]).code(0).err(&["the audit log does not hold"]).out(&[NOBODYS]);
        assert!(!said.stdout.contains("✓ by"), "{said}");
        let shown = run(&home, &["audit", "show", &action]).code(0).out(&[NOBODYS]);
        assert!(!shown.stdout.contains("✓ every"), "{shown}");
        run(&home, &["audit", "verify"]).code(1);
    }
}

#[test]
fn a_second_request_that_is_nobodys_is_named_beside_the_first() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    let all = entries(&home);
    let mut forged = of(&all, "request").clone();
    let action = forged["action"].as_str().unwrap().to_owned();
    let log = fs::read_to_string(log_file(&home)).unwrap();
    (forged["seq"], forged["prev"]) = (json!(all.len() + 1), json!(sha256(log.lines().last().unwrap())));
    forged["body"]["arguments"]["qty"] = json!(99);
    forged.as_object_mut().unwrap().remove("mac");
    fs::write(log_file(&home), format!("{log}{forged}\n")).unwrap();
    let shown = run(&home, &["audit", "show", &action]).code(0);
    let shown =
        shown.out(&["what is shown carries the log's MAC; 1 more entry does not, and nothing of that is believed"]);
    assert!(!shown.stdout.contains("qty: 99"), "{shown}");
}

/// Two entries more behind the last seal of a log that is whole.
#[test]
fn what_was_put_behind_the_last_seal_is_shown_as_nobodys() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    let all = entries(&home);
    let action = "act_01a228f8cfc5721f8fff4c8588775000";
    let (mut request, mut response) = (of(&all, "request").clone(), of(&all, "response").clone());
    request["body"]["arguments"]["qty"] = json!(99);
    let evidence = &mut response["body"]["approval"];
    (evidence["approval"], evidence["signed"]) = (json!("apr_01a228f8cfc5721f8fff4c8588775000"), json!([]));
    (evidence["auth_req_id_sha256"], evidence["id_token_sha256"]) = (json!("c".repeat(64)), json!("d".repeat(64)));
    let log = fs::read_to_string(log_file(&home)).unwrap();
    let (mut seq, mut last) = (all.len(), log.lines().last().unwrap().to_owned());
    let mut file = fs::OpenOptions::new().append(true).open(log_file(&home)).unwrap();
    for mut entry in [request, response] {
        seq += 1;
        (entry["seq"], entry["prev"], entry["action"]) = (json!(seq), json!(sha256(&last)), json!(action));
        entry.as_object_mut().unwrap().remove("mac");
        last = entry.to_string();
        writeln!(file, "{last}").unwrap();
    }
    assert_eq!(log_holds(&home, action), false);
    let said = run(&home, &["why", action]).code(0).out(&["✗ not proven: by auth0|ada", NOBODYS]);
    assert!(!said.stdout.contains("✓ by"), "{said}");
    run(&home, &["audit", "show", action])
        .code(0)
        .out(&[NOBODYS, "does not hold: its digest is the one of another call"]);
    let shown = run(&home, &["audit", "show", action, "--json"]).code(0).json();
    assert!(shown["proven"] == false && shown["problem"].as_str().unwrap().contains("another call"), "{shown}");
    let listed = run(&home, &["audit", "list", "--json"]).code(0).json();
    let unproven = listed["entries"].as_array().unwrap().iter().filter(|entry| entry["proven"] == false);
    assert_eq!(unproven.count(), 2, "{listed}");
    let listed = run(&home, &["audit", "list", "--action", action]).code(0);
    assert_eq!(listed.stdout.matches(NOBODYS).count(), 2, "{listed}");
    let csv = run(&home, &["audit", "export", "--format", "csv"]).code(0).stdout;
    let proven: Vec<bool> = csv.lines().skip(1).map(|row| row.ends_with(",true")).collect();
    assert!(proven == [true, false] && csv.lines().last().unwrap().ends_with(",false"), "{csv}");
    run(&home, &["audit", "export", "--receipt", action]).code(1).err(&["another call"]);
    // That it is the digest of another call shows without any token.
    let found = run(&home, &["audit", "verify", "--json"]).code(1).json();
    assert!(
        found["bad"][0]["flaw"] == "evidence" && found["bad"][0]["why"].as_str().unwrap().contains("another call"),
        "{found}"
    );
}

/// While the shop is at work, somebody cuts off the end of the log, which is not sealed yet.
#[test]
fn what_is_told_as_done_and_was_not_sent_is_found() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    dev.fault(&json!({ "on": "shop", "kind": "delay", "when": "after", "delay_ms": 5_000 }));
    let buying = agentctl(&home).args(["run", "buy 2 phones"]).start();
    wait_until(Duration::from_secs(60), "the order", || (dev.orders().len() == 1).then_some(()));
    let file = log_file(&home);
    let log = fs::read_to_string(&file).unwrap();
    let (kept, sent) = log.trim_end().rsplit_once('\n').unwrap();
    assert!(sent.contains("\"kind\":\"sent\""), "{sent}");
    fs::write(&file, format!("{kept}\n")).unwrap();
    buying.finish().code(0);
    let kinds: Vec<Value> = entries(&home).iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["begin", "checkpoint", "request", "response", "checkpoint"]);
    let (flaw, line, why) = first_flaw(&home);
    assert_eq!((flaw.as_str(), line), ("evidence", 4), "{why}");
    assert!(why.contains("told as done, and no entry says that it was sent"), "{why}");
    run(&home, &["audit", "verify", "--chain-only"]).code(1).err(&["told as done"]);
}

/// The lock is made before the log: a kill in between, or no room for one more file, takes nothing away.
#[test]
fn a_lock_without_a_log_is_no_log_that_was_taken_away() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let state = home.path().join("agentctl/state");
    for file in std::fs::read_dir(&state).unwrap().map(|file| file.unwrap().path()) {
        if file.file_name().unwrap().to_str().unwrap().starts_with("audit") {
            std::fs::remove_file(file).unwrap();
        }
    }
    std::fs::write(state.join("audit.lock"), "").unwrap();
    agentctl(&home).args(["audit", "verify"]).run().code(0);
    agentctl(&home).args(["run", "what phones are there"]).run().code(0);
    agentctl(&home).args(["audit", "verify"]).run().code(0);
    // Once it has a name, it says so.
    std::fs::remove_file(log_file(&home)).unwrap();
    agentctl(&home).args(["audit", "verify"]).run().code(1);
}
