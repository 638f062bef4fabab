//! The log: a pair of entries for each call, and a chain that shows where it was touched.

use std::{fs, path::PathBuf, time::Duration};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Dev, Home, Output, agentctl, command, wait_until};

pub(crate) fn after_a_purchase(dev: &Dev) -> Home {
    let home = dev.home();
    dev.auto("approve", "approve");
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    agentctl(&home).args(["run", "buy 2 phones"]).run().code(0);
    home
}

/// The log's file, wherever it is in the home.
pub(crate) fn log_file(home: &Home) -> PathBuf {
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
    agentctl(&home).args(["audit", "verify"]).run().code(0).out(&["sealed up to the last entry", "1 of grade A"]);
    let output =
        agentctl(&home).args(["audit", "list", "--json"]).run().code(0).out(&["buy_product", "request", "response"]);
    // A sealed token is random text, in which any three letters may stand.
    for secret in ["eyJ0eXAi", "eyJhbGci", dev.ready["env"]["AGENTCTL_APPROVAL_CLIENT_SECRET"].as_str().unwrap()] {
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

/// The last entry of the log that is not a seal.
fn last_entry(home: &Home) -> Value {
    let text = fs::read_to_string(log_file(home)).unwrap();
    let mut entries = text.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.find(|entry| entry["kind"] != "checkpoint").unwrap()
}

#[test]
fn what_was_done_is_not_called_undone_when_the_journal_fails_afterwards() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    let unended =
        "CREATE TEMP TRIGGER full BEFORE UPDATE OF ended_at ON executions BEGIN SELECT raise(ABORT, 'full'); END";
    let unused = "CREATE TEMP TRIGGER held BEFORE UPDATE OF state ON approvals WHEN NEW.state = 'done'
                  BEGIN SELECT raise(ABORT, 'full'); END";
    for (at, full) in [unended.to_owned(), unused.to_owned(), format!("{unended}; {unused}")].iter().enumerate() {
        let run = agentctl(&home).args(["run", "buy 2 phones"]).env("AGENTCTL_TEST_JOURNAL", full).run();
        let output = run.code(1).err(&["ended as \"done\""]);
        assert!(!output.stderr.contains("nothing was done"), "{output}");
        assert_eq!(dev.orders().len(), 2 + at, "{output}");
        let entry = last_entry(&home);
        assert_eq!((&entry["kind"], &entry["body"]["outcome"]), (&json!("response"), &json!("done")), "{entry}");
        // What the log has learnt the journal learns from it, once.
        let resumed = agentctl(&home).args(["resume", "--last"]).run().code(0);
        assert!(!resumed.stderr.contains("in the middle of a request"), "{resumed}");
        assert_eq!(dev.orders().len(), 2 + at, "{resumed}");
        let left = "SELECT (SELECT count(*) FROM executions WHERE outcome IS NOT 'done' OR http_status IS NOT 201)
                         + (SELECT count(*) FROM approvals WHERE state <> 'done')";
        let left: i64 = journal(&home).query_row(left, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{full}: something is open still\n{resumed}");
        agentctl(&home).args(["resume", "--last"]).run().code(2).err(&["no run waits"]);
        audit(&home, &["verify"]).code(0);
    }
    agentctl(&home).arg("panic").run().code(0);
}

/// Once a call has ended, its approval is no row that can be read.
const GARBLED: &str = "CREATE TEMP TRIGGER garbled AFTER UPDATE OF closed_at ON calls BEGIN
    UPDATE approvals SET state = 'requested', expires_at = 9223372036854775807; END";

#[test]
fn what_was_done_is_told_though_the_journal_cannot_be_read_afterwards() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    let unkept = "CREATE TEMP TRIGGER full BEFORE UPDATE OF closed_at ON calls BEGIN SELECT raise(ABORT, 'full'); END";
    let call = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2", "--json"];
    let told = agentctl(&home).args(call).env("AGENTCTL_TEST_JOURNAL", unkept).run().code(0);
    let told = told.err(&["what the call brought could not be saved"]).json();
    assert_eq!((&told["outcome"], dev.orders().len()), (&json!("done"), 2), "{told}");
    agentctl(&home).args(["resume", "--last"]).run().code(0);

    let told = agentctl(&home).args(["run", "--json", "buy 2 phones"]).env("AGENTCTL_TEST_JOURNAL", GARBLED).run();
    let told = told.code(0).err(&["could not be read"]);
    let last = told.lines().pop().unwrap();
    assert!(last["type"] == "run.completed" && last["text"].as_str().unwrap().contains("ord_"), "{told}");
    let run = last["run"].as_str().unwrap();
    assert_eq!(last["next"], json!([format!("agentctl runs show {run}"), format!("agentctl resume {run}")]), "{told}");
    assert_eq!((&last["approvals"], dev.orders().len()), (&Value::Null, 3), "{told}");
}

#[test]
fn a_single_call_is_told_though_the_journal_cannot_be_read_afterwards() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    let call = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2", "--json"];
    let told = agentctl(&home).args(call).env("AGENTCTL_TEST_JOURNAL", GARBLED).run().code(0);
    let object = told.err(&["could not be read"]).json();
    assert!(object["outcome"] == "done" && object["run"].is_string() && object["next"].is_array(), "{object}");
    assert_eq!(dev.orders().len(), 2, "{object}");
}

#[test]
fn a_request_that_is_stopped_under_way_is_gone_on_with_under_its_key() {
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
    running.finish().code(130).err(&["in the middle of a request", "agentctl resume run_"]);
    assert_eq!(states(), [("done".to_owned(), true), ("executing".to_owned(), false)]);
    assert_eq!(last_entry(&home)["kind"], "sent", "nobody knows yet how it ends");
    // While the shop is down it stays open; then the shop knows the key and makes no second order.
    dev.fault(&json!({ "on": "shop", "kind": "status", "status": 503, "times": 3 }));
    agentctl(&home).args(["resume", "--last"]).run().code(10).err(&["under the same key", "agentctl resume run_"]);
    assert_eq!(states()[1], ("executing".to_owned(), false));
    let output = agentctl(&home).args(["resume", "--last", "--json"]).run().code(0);
    assert_eq!(output.json()["outcome"], "done", "{output}");
    assert_eq!(dev.orders().len(), 2, "{output}");
    let entry = last_entry(&home);
    assert_eq!(entry["body"]["outcome"], "done", "{entry}");
    assert_eq!(entry["body"]["approval"]["binding"], "details", "what allowed it stands there too: {entry}");
    assert_eq!(states(), [("done".to_owned(), true), ("done".to_owned(), true)]);
}

fn audit(home: &Home, args: &[&str]) -> Output {
    agentctl(home).arg("audit").args(args.iter().copied()).run()
}

/// What `audit verify --json` says first is wrong: the flaw, the line, why.
pub(crate) fn first_flaw(home: &Home) -> (String, u64, String) {
    let object = audit(home, &["verify", "--json"]).code(1).json();
    let bad = &object["bad"][0];
    let text = |name: &str| bad[name].as_str().unwrap_or_else(|| panic!("{object}")).to_owned();
    (text("flaw"), bad["line"].as_u64().unwrap(), text("why"))
}

/// SHA-256 as another program computes it.
pub(crate) fn sha256(text: &str) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the chain anew, as somebody does who has no key.
fn rechain(lines: &[String]) -> String {
    let mut prev = "0".repeat(64);
    let mut text = String::new();
    for line in lines {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        entry["prev"] = json!(prev);
        prev = sha256(&entry.to_string());
        text += &format!("{entry}\n");
    }
    text
}

#[test]
fn every_kind_of_tampering_is_found_and_named() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    agentctl(&home).args(["run", "what phones are there"]).run().code(0);
    let file = log_file(&home);
    let head = file.with_file_name("audit.head");
    let (log, sealed) = (fs::read_to_string(&file).unwrap(), fs::read(&head).unwrap());
    let lines: Vec<String> = log.lines().map(str::to_owned).collect();
    let kinds: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone()).collect();
    assert_eq!(
        kinds,
        ["begin", "checkpoint", "request", "sent", "response", "checkpoint", "request", "response", "checkpoint"]
    );
    let at = |order: &[usize]| order.iter().map(|at| lines[*at].clone() + "\n").collect::<String>();
    let edited = log.replacen("\"qty\":2", "\"qty\":1", 1);
    let forged: Vec<String> = edited.lines().map(str::to_owned).collect();
    let renamed: Vec<String> = log.replacen("order ord_81", "order ord_99", 1).lines().map(str::to_owned).collect();
    let cases = [
        ("an edited value", edited.clone(), "broken", 3),
        ("a deleted line", at(&[0, 1, 2, 4, 5, 6, 7, 8]), "broken", 4),
        ("swapped lines", at(&[0, 1, 3, 2, 4, 5, 6, 7, 8]), "broken", 3),
        ("a line twice", at(&[0, 1, 2, 3, 3, 4, 5, 6, 7, 8]), "broken", 5),
        ("whole lines cut off", at(&[0, 1, 2, 3, 4, 5]), "truncated", 6),
        ("half a line cut off", log[..log.len() - 40].to_owned(), "truncated", 9),
        ("everything cut off", String::new(), "truncated", 1),
        ("a deleted first line", at(&[1, 2, 3, 4, 5, 6, 7, 8]), "broken", 1),
        ("a foreign line at the end", log.clone() + "garbage\n", "broken", 10),
        ("the issuer's signature over another call", rechain(&forged), "evidence", 4),
        ("written anew without the key", rechain(&renamed), "seal", 6),
    ];
    for (name, text, flaw, line) in cases {
        fs::write(&file, text).unwrap();
        let (found, place, why) = first_flaw(&home);
        assert_eq!((found.as_str(), place), (flaw, line), "{name}: {why}");
        let said = audit(&home, &["verify"]).code(1).silent();
        assert!(said.stderr.contains(file.to_str().unwrap()) && said.stderr.contains(&why), "{name}: {said}");
    }
    fs::write(&file, &log).unwrap();
    fs::remove_file(&head).unwrap();
    assert_eq!(first_flaw(&home).0, "seal");
    // Nothing that happens later makes it good again.
    let said = agentctl(&home).args(["run", "what phones are there"]).run().code(0);
    let said = said.err(&[
        "warning: what this command wrote into the audit log is not sealed",
        "audit* files",
        "--chain-only",
    ]);
    assert!(!said.stderr.contains("WARN"), "{said}");
    agentctl(&home).args(["run", "-q", "what phones are there"]).run().code(0).err(&["not sealed"]);
    let (flaw, _, why) = first_flaw(&home);
    assert!(flaw == "seal" && why.contains("head file is missing"), "{why}");
    // Without any seal, numbered and chained anew, it does not pass for a log that was never sealed.
    let bare = |lines: &[String]| {
        let bare = [0, 2, 3, 4, 6, 7].iter().zip(1..).map(|(at, seq)| {
            let mut entry: Value = serde_json::from_str(&lines[*at]).unwrap();
            entry["seq"] = json!(seq);
            entry.to_string()
        });
        bare.collect::<Vec<_>>()
    };
    fs::write(&file, rechain(&bare(&renamed))).unwrap();
    let (flaw, _, why) = first_flaw(&home);
    assert!(flaw == "seal" && why.contains("were taken out"), "{why}");
    agentctl(&home).args(["run", "what phones are there"]).run().code(0).err(&["not sealed"]);
    assert_eq!(first_flaw(&home).0, "seal");
    // Nor can the issuer's signature be worn by another call, in a log that says it was begun without the key.
    let id = serde_json::from_str::<Value>(&lines[0]).unwrap()["body"]["log"].as_str().unwrap().to_owned();
    let theirs: Vec<String> = bare(&forged).iter().map(|line| line.replace(&id, "somebody else's")).collect();
    fs::write(&file, rechain(&theirs)).unwrap();
    let (flaw, line, why) = first_flaw(&home);
    assert!((flaw.as_str(), line) == ("evidence", 3) && why.contains("another call"), "{why}");

    // Somebody else's log, whole in itself, and its head file alone.
    let other = after_a_purchase(&dev);
    let theirs = log_file(&other);
    fs::write(&head, fs::read(theirs.with_file_name("audit.head")).unwrap()).unwrap();
    fs::write(&file, &log).unwrap();
    let (flaw, _, why) = first_flaw(&home);
    assert!(flaw == "seal" && why.contains("another log"), "{why}");
    fs::copy(&theirs, &file).unwrap();
    let (flaw, _, why) = first_flaw(&home);
    assert!(flaw == "seal" && why.contains("another key"), "{why}");
    fs::write(&file, &log).unwrap();
    fs::write(&head, &sealed).unwrap();
    audit(&home, &["verify"]).code(0);
    audit(&home, &["verify", "--chain-only"]).code(0).out(&["seals were not checked", "approval was not checked"]);
}

#[test]
fn a_log_that_was_taken_away_or_put_back_is_missed() {
    let dev = Dev::start();
    let home = dev.logged_in();
    audit(&home, &["verify"]).code(0).out(&["the log is empty"]);
    dev.auto("approve", "approve");
    agentctl(&home).args(["run", "what phones are there"]).run().code(0);
    let file = log_file(&home);
    let head = file.with_file_name("audit.head");
    let old = (fs::read(&file).unwrap(), fs::read(&head).unwrap());
    agentctl(&home).args(["run", "buy 2 phones"]).run().code(0);
    let new = (fs::read(&file).unwrap(), fs::read(&head).unwrap());
    audit(&home, &["verify"]).code(0);
    // An older copy of both files is whole in itself. The journal knows better.
    let put = |(log, sealed): &(Vec<u8>, Vec<u8>)| {
        fs::write(&file, log).unwrap();
        fs::write(&head, sealed).unwrap();
    };
    put(&old);
    let (flaw, _, why) = first_flaw(&home);
    assert!(flaw == "missing" && why.contains("buy_product") && why.contains("older copy"), "{why}");
    put(&new);
    audit(&home, &["verify"]).code(0);
    // Everything is gone: the lock file remembers it, and without that the journal does.
    fs::remove_file(&file).unwrap();
    fs::remove_file(&head).unwrap();
    assert_eq!(first_flaw(&home).0, "missing");
    let lock = fs::read(file.with_file_name("audit.lock")).unwrap();
    let begun = agentctl(&home).args(["run", "-q", "what phones are there"]).run().code(0);
    begun.err(&["warning: the audit log", "is gone; another one is in its place"]);
    fs::remove_file(&file).unwrap();
    fs::remove_file(&head).unwrap();
    fs::write(file.with_file_name("audit.lock"), lock).unwrap();
    audit(&home, &["verify", "--chain-only"]).code(1).silent().err(&["is not whole", "it was taken away"]);
    fs::remove_file(file.with_file_name("audit.lock")).unwrap();
    let (flaw, _, why) = first_flaw(&home);
    assert!(flaw == "missing" && why.contains("buy_product"), "{why}");
    // Whoever begins a new log does not make that unseen.
    agentctl(&home).args(["run", "what phones are there"]).run().code(0);
    audit(&home, &["verify"]).code(0).out(&["the journal knows 1 action from before this log began"]);
}

#[test]
fn a_call_without_an_end_is_named_with_the_next_step() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    dev.auto("approve", "off");
    let output = agentctl(&home).args(["run", "--on-approval", "detach", "--json", "buy 3 phones"]).run().code(10);
    let run = output.lines().pop().unwrap()["run"].as_str().unwrap().to_owned();
    let found = audit(&home, &["verify", "--json"]).code(0).json();
    let call = &found["without_end"][0];
    assert_eq!((&call["tool"], &call["run"]), (&json!("buy_product"), &json!(run)), "{found}");
    let action = call["action"].as_str().unwrap();
    audit(&home, &["verify"]).code(0).out(&["1 call has no end", action, &format!("agentctl resume {run}")]);
    // A run that is not there any more cannot be gone on with.
    journal(&home)
        .execute_batch("DELETE FROM messages; DELETE FROM calls; DELETE FROM approvals; DELETE FROM runs")
        .unwrap();
    let said = audit(&home, &["verify"]).code(0).out(&[&format!("agentctl why {action}")]);
    assert!(!said.stdout.contains("agentctl resume"), "{said}");
}

#[test]
fn the_log_is_filtered_shown_and_exported() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    agentctl(&home).args(["run", "what phones are there"]).run().code(0);
    let kinds = |args: &[&str]| -> Vec<String> {
        let object = audit(&home, &[&["list", "--json"], args].concat()).code(0).json();
        let entries = object["entries"].as_array().unwrap();
        entries.iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&["--tool", "buy_product"]), ["request", "sent", "response"]);
    assert_eq!(kinds(&["--outcome", "denied"]), Vec::<String>::new());
    assert_eq!(kinds(&["--outcome", "done", "--limit", "3"]), ["response", "request", "response"]);
    assert_eq!(kinds(&["--since", "1h", "--tool", "buy_product"]).len(), 3);
    assert_eq!(kinds(&["--until", "2020-01-01"]), Vec::<String>::new());
    audit(&home, &["list", "--since", "yesterday"]).code(2);
    let entry = audit(&home, &["list", "--json", "--tool", "buy_product"]).json()["entries"][0].clone();
    let (action, run) = (entry["action"].as_str().unwrap(), entry["body"]["run"].as_str().unwrap());
    assert_eq!(kinds(&["--run", run]).len(), 3);
    assert_eq!(kinds(&["--action", action]).len(), 3);

    audit(&home, &["show", action]).code(0).out(&[
        "buy_product",
        "qty: 2",
        "auth0|ada",
        "A: the issuer signed",
        "ord_81",
    ]);
    let shown = audit(&home, &["show", action, "--json"]).code(0).json();
    assert_eq!((&shown["grade"], &shown["response"]["body"]["outcome"]), (&json!("A"), &json!("done")), "{shown}");
    audit(&home, &["show", "act_nothing"]).code(2);
    audit(&home, &["show", "act_"]).code(2).err(&["more than one action"]);

    let exported = audit(&home, &["export"]).code(0).json();
    assert_eq!(exported["entries"].as_array().unwrap().len(), 9, "{exported}");
    let csv = audit(&home, &["export", "--format", "csv", "--tool", "buy_product"]).code(0).stdout;
    let rows: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert!(rows.len() == 2 && rows[0].starts_with("action,") && rows[1].starts_with(action), "{csv}");
    assert!(rows[1].contains("\"{\"\"product\"\":\"\"phones\"\",\"\"qty\"\":2}\""), "{csv}");
    assert_eq!(audit(&home, &["export", "--format", "csv", "--limit", "1"]).code(0).stdout.lines().count(), 2);
}

#[test]
fn a_receipt_is_checked_without_the_log() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    let entry = audit(&home, &["list", "--json", "--tool", "buy_product"]).json()["entries"][0].clone();
    let action = entry["action"].as_str().unwrap();
    audit(&home, &["export", "--receipt", action, "--tokens"]).code(1).err(&["is good until"]);
    let without = audit(&home, &["export", "--receipt", action]).code(0);
    assert!(!without.stdout.contains("eyJ0eXAi"), "{without}");
    dev.advance(4000);
    let with = audit(&home, &["export", "--receipt", action, "--tokens"]).code(0);
    // A machine that has never seen the log.
    let elsewhere = Home::new();
    let check = |text: &str| {
        fs::write(elsewhere.work().join("receipt.json"), text).unwrap();
        audit(&elsewhere, &["verify", "--receipt", "receipt.json"])
    };
    check(&with.stdout).code(0).out(&["grade A"]);
    check(&without.stdout).code(0).out(&["holds no signed token"]);
    check(&with.stdout.replacen("\\\"qty\\\":2", "\\\"qty\\\":1", 1)).code(1).err(&["does not hold"]);
    check("{}").code(1).err(&["no receipt"]);
}

#[test]
fn whoever_follows_sees_what_comes() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    let following = agentctl(&home).args(["audit", "list", "--follow", "--json", "--limit", "1"]).start();
    following.wait_for_stdout("checkpoint");
    agentctl(&home).args(["tools", "call", "search_products"]).run().code(0);
    following.wait_for_stdout("search_products");
    following.signal("INT");
    let lines = following.finish().code(0).lines();
    let kinds: Vec<&str> = lines.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert!(kinds.starts_with(&["checkpoint", "request"]), "{kinds:?}");

    // A new log counts from 1 again, and is followed from its first entry.
    let following = agentctl(&home).args(["audit", "list", "--follow"]).start();
    following.wait_for_stdout("search_products");
    let file = log_file(&home);
    for name in ["audit.jsonl", "audit.head", "audit.lock"] {
        fs::remove_file(file.with_file_name(name)).unwrap();
    }
    agentctl(&home).args(["tools", "call", "search_products", "--arg", "query=anew"]).run().code(0);
    following.wait_for_stdout("anew");
    following.wait_for_stderr("another one was begun");
    following.signal("INT");
    following.finish().code(0).out(&["    1 "]);
    let none = audit(&home, &["list", "--tool", "nothing"]).code(0);
    none.err(&["Nothing in the log is what was asked for."]);

    // `head` has seen enough after one line.
    let script = "\"$0\" audit list --follow --limit 1 | head -n 1";
    let binary = env!("CARGO_BIN_EXE_agentctl");
    let piped = command(&home, "/bin/sh").env("PATH", "/usr/bin:/bin").args(["-c", script, binary]).start();
    piped.finish().out(&["sealed"]);
}

#[test]
fn several_processes_write_one_log() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    let running: Vec<_> = (0..8).map(|_| agentctl(&home).args(["tools", "call", "search_products"]).start()).collect();
    for process in running {
        process.finish().code(0);
    }
    let found = audit(&home, &["verify", "--json"]).code(0).json();
    let seal = &found["seal"];
    assert_eq!((&seal["status"], &seal["unsealed"]), (&json!("sealed"), &json!(0)), "{found}");
    assert_eq!(found["approvals"]["without_end"], 0, "{found}");
    let text = fs::read_to_string(log_file(&home)).unwrap();
    assert_eq!(text.matches("\"kind\":\"request\"").count(), 9);
}

#[test]
fn sensitive_values_never_reach_the_log() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    let paths = agentctl(&home).args(["config", "path", "--json"]).run().code(0).json();
    let folder = PathBuf::from(paths["toolsets"].as_str().unwrap());
    fs::create_dir_all(&folder).unwrap();
    let manifest = "[toolset]\nname = \"own\"\ndescription = \"x\"\n[[tool]]\nname = \"unlock\"\ndescription = \"x\"\n\
        effect = \"reversible\"\nsensitive = [\"pin\"]\n[tool.parameters]\ntype = \"object\"\nrequired = [\"pin\"]\n\
        [tool.parameters.properties]\npin = { type = \"string\" }\ndoor = { type = \"string\" }\n\
        [tool.approval]\nbinding_message = \"UNLOCK\"\n\
        [tool.request]\nmethod = \"POST\"\nurl = \"{{ env.SHOP_API_URL }}\"\n";
    fs::write(folder.join("own.toml"), manifest).unwrap();
    let unlock = |pin: &str| {
        let pin = format!("pin={pin}");
        // The shop wants a token, so it refuses; that was written down before.
        agentctl(&home).args(["tools", "call", "unlock", "--arg", &pin, "--arg", "door=front"]).run().code(21);
    };
    ["correct-horse-7", "correct-horse-7", "battery-staple-8"].into_iter().for_each(unlock);
    let text = fs::read_to_string(log_file(&home)).unwrap();
    assert!(!text.contains("correct-horse") && !text.contains("battery-staple") && text.contains("front"), "{text}");
    let asked = audit(&home, &["list", "--json", "--tool", "unlock"]).code(0).json();
    let pins: Vec<&str> = asked["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["body"]["arguments"]["pin"].as_str())
        .collect();
    assert!(pins.len() == 3 && pins[0] == pins[1] && pins[0] != pins[2], "{pins:?}");
    assert!(pins[0].starts_with("hmac-sha-256:"), "{pins:?}");
    let digest = asked["entries"][0]["body"]["digest"].as_str().unwrap();
    assert!(digest.starts_with("hmac-sha-256:"), "a digest could be tried out: {digest}");
    audit(&home, &["verify"]).code(0);
}

#[test]
fn every_line_is_what_the_schema_says() {
    let dev = Dev::start();
    let home = after_a_purchase(&dev);
    dev.auto("off", "deny");
    agentctl(&home).args(["run", "buy 2 phones"]).run().code(11);
    let file = log_file(&home);
    let text = fs::read_to_string(&file).unwrap();
    // Half a line, as a crash leaves it.
    fs::write(&file, text + "{\"seq\":").unwrap();
    agentctl(&home).args(["run", "what phones are there"]).run().code(0);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = fs::read_to_string(root.join("docs/audit/entry.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for line in fs::read_to_string(&file).unwrap().lines() {
        let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
        let wrong: Vec<String> = schema.iter_errors(&entry).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?} in {entry}");
        kinds.insert(entry["kind"].as_str().unwrap().to_owned());
        let mut more = entry.clone();
        more["more"] = json!(1);
        assert!(!schema.is_valid(&more), "a member more is let through: {more}");
    }
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        ["begin", "checkpoint", "recovered", "request", "response", "sent"]
    );
    audit(&home, &["verify"]).code(0).err(&["is half a line"]);
}

#[test]
fn what_a_command_does_outside_a_run_is_sealed_and_has_its_end() {
    let dev = Dev::with(&["--interval", "1", "--leeway", "0"]);
    let home = dev.logged_in();
    agentctl(&home).arg("token").run().code(0);
    agentctl(&home).args(["connections", "disconnect", "okta", "--yes"]).run().code(0);
    audit(&home, &["verify"]).code(0).out(&["sealed up to the last entry"]);
    // That it was used cannot be cut off again.
    let file = log_file(&home);
    let log = fs::read_to_string(&file).unwrap();
    let begin: Vec<&str> = log.lines().take(1).collect();
    fs::write(&file, begin.join("\n") + "\n").unwrap();
    assert_eq!(first_flaw(&home).0, "truncated");
    fs::write(&file, log).unwrap();

    dev.advance(100_000);
    dev.fault(&json!({ "on": "refresh", "kind": "delay", "when": "after", "delay_ms": 20_000 }));
    let before = dev.history("refresh").len();
    let running = agentctl(&home).arg("token").start();
    wait_until(Duration::from_secs(60), "a refresh", || (dev.history("refresh").len() > before).then_some(()));
    running.signal("INT");
    running.finish().code(130).silent();
    let found = audit(&home, &["verify", "--json"]).code(0).json();
    assert_eq!((&found["without_end"], &found["seal"]["unsealed"]), (&json!([]), &json!(0)), "{found}");
    assert_eq!(last_entry(&home)["body"]["outcome"], "unknown");
}

#[test]
fn a_command_that_was_killed_is_named_as_one_without_an_end() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.advance(100_000);
    dev.fault(&json!({ "on": "refresh", "kind": "delay", "when": "after", "delay_ms": 20_000 }));
    let before = dev.history("refresh").len();
    let running = agentctl(&home).arg("token").start();
    wait_until(Duration::from_secs(60), "a refresh", || (dev.history("refresh").len() > before).then_some(()));
    running.signal("KILL");
    running.finish();
    let found = audit(&home, &["verify", "--json"]).code(0).json();
    assert_eq!(found["without_end"][0]["tool"], "agentctl token", "{found}");
    assert_eq!((&found["approvals"]["without_end"], &found["approvals"]["not_approved"]), (&json!(1), &json!(0)));
    audit(&home, &["verify"]).code(0).out(&["1 call has no end", "agentctl why act_"]);
}
