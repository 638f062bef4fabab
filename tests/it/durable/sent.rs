//! What was sent may have happened, whatever the journal says later: the log says that it was sent, with its own MAC.

use std::{fs, io::Write as _, path::Path, process::Command, time::Duration};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{detached, pending};
use crate::{
    audit::{log_file, sha256},
    support::{Dev, Home, Output, SOON, agentctl, wait_until},
};

const DENIED: &str = "DELETE FROM executions;
    UPDATE approvals SET state = 'denied', evidence = NULL, error = 'the user denied it', sealed_token = NULL";

/// What was killed at this step after a yes, in a journal that somebody has edited.
fn cut(task: &[&str], step: &str, sql: &str) -> (Dev, Home) {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    let killed = agentctl(&home).args(task.iter().copied()).env("AGENTCTL_TEST_DIE_AT", step).run();
    assert_eq!(killed.status.code(), None, "{step}: it was to be killed\n{killed}");
    edit(&home, sql);
    // Nobody answers again.
    dev.auto("approve", "off");
    (dev, home)
}

/// Edits the journal as nobody can who lacks its key: what the log says has to hold without the MACs of the rows, too.
fn edit(home: &Home, sql: &str) {
    agentctl(home).args(["audit", "verify"]).env("AGENTCTL_TEST_JOURNAL", sql).run();
}

fn journal(home: &Home) -> Connection {
    Connection::open(home.path().join("agentctl/state/journal.db")).unwrap()
}

/// The last end that the log has of a call of a tool.
fn end(home: &Home) -> Value {
    let list = agentctl(home).args(["audit", "list", "--json"]).run().code(0).json();
    let entries = list["entries"].as_array().unwrap().clone();
    let action =
        entries.iter().find(|entry| entry["kind"] == "request" && entry["body"]["effect"] != Value::Null).unwrap();
    let ends = |entry: &&Value| entry["kind"] == "response" && entry["action"] == action["action"];
    entries.iter().rfind(ends).unwrap_or(&Value::Null).clone()
}

fn verified(home: &Home) -> Value {
    agentctl(home).args(["audit", "verify", "--json"]).run().code(0).json()
}

const BUY: [&str; 2] = ["run", "buy 2 phones"];
const RESET: [&str; 5] = ["tools", "call", "reset_password", "--arg", "user=grace"];

#[test]
fn what_was_done_is_not_told_as_denied_whoever_ends_it() {
    type End = fn(&Home) -> Output;
    let ends: [(&str, End, i32); 3] = [
        ("resume", |home| agentctl(home).args(["resume", "--last"]).run(), 21),
        ("panic", |home| agentctl(home).arg("panic").run(), 1),
        (
            "delete",
            |home| {
                let list = agentctl(home).args(["runs", "list", "--json"]).run().code(0).json();
                let run = list["runs"][0]["id"].as_str().unwrap().to_owned();
                agentctl(home).args(["runs", "delete", &run, "--force"]).run()
            },
            0,
        ),
    ];
    for (name, end_it, code) in ends {
        let (dev, home) = cut(&BUY, "before:audit_response", DENIED);
        let said = end_it(&home).code(code);
        for untrue in ["denied", "nothing was"] {
            assert!(!said.stdout.contains(untrue) && !said.stderr.contains(untrue), "{name}: {said}");
        }
        let end = end(&home);
        assert_eq!(end["body"]["outcome"], "unknown", "{name}: {end}");
        // The yes is the one that the log had, and not what the journal says of it.
        assert_eq!(end["body"]["approval"]["subject"], "auth0|ada", "{name}: {end}");
        let found = verified(&home);
        assert_eq!((&found["approvals"]["A"], &found["unproven"]), (&json!(1), &json!([])), "{name}: {found}");
        assert_eq!(dev.orders().len(), 1, "{name}");
    }
}

#[test]
fn what_was_given_up_in_the_journal_alone_is_not_told_as_not_done() {
    let sql = "DELETE FROM executions; UPDATE approvals SET state = 'approved'";
    let (dev, home) = cut(&BUY, "before:execution_ended", sql);
    let id = pending(&home)[0]["id"].as_str().unwrap().to_owned();
    agentctl(&home).args(["approvals", "abandon", &id]).run().code(0);
    assert_eq!(end(&home)["body"]["outcome"], "unknown");
    let resumed = agentctl(&home).args(["resume", "--last"]).run().code(21);
    assert_eq!(dev.orders().len(), 1, "{resumed}");
    verified(&home);
}

#[test]
fn one_yes_is_one_effect_though_the_journal_lost_it() {
    for (step, sql, resets) in [
        ("before:execution_ended", "DELETE FROM executions", 1),
        ("before:execution_ended", "DELETE FROM executions; UPDATE approvals SET state = 'approved'", 1),
        ("after:audit_sent", "DELETE FROM executions; UPDATE approvals SET state = 'approved'", 0),
        // Nothing was sent yet, and nobody can tell: what was begun together is gone in half.
        ("before:audit_sent", "DELETE FROM executions", 0),
    ] {
        let (dev, home) = cut(&RESET, step, sql);
        let before = dev.resets();
        let resumed = agentctl(&home).args(["resume", "--last"]).run().code(21).err(&["may have happened"]);
        assert_eq!((before, dev.resets()), (resets, resets), "{step} {sql}: {resumed}");
        let end = end(&home);
        assert_eq!(end["body"]["outcome"], "unknown", "{step} {sql}: {end}");
        agentctl(&home).args(["resume", "--last"]).run().code(2);
        assert!(pending(&home).is_empty(), "{step} {sql}");
        verified(&home);
    }
}

#[test]
fn what_the_journal_lost_is_repeated_only_under_its_key() {
    let sql = "DELETE FROM executions; UPDATE approvals SET state = 'approved'";
    let (dev, home) = cut(&BUY, "before:execution_ended", sql);
    let resumed = agentctl(&home).args(["resume", "--last"]).run().code(0);
    assert_eq!(dev.orders().len(), 1, "{resumed}");
    let shop = dev.history("shop");
    let keys: Vec<&Value> = shop.iter().map(|request| &request["headers"]["idempotency-key"]).collect();
    assert!(keys.len() == 2 && keys[0].is_string() && keys[0] == keys[1], "{keys:?}");
    assert_eq!(end(&home)["body"]["outcome"], "done");
    assert_eq!(verified(&home)["approvals"]["A"], 1);
}

#[test]
fn a_yes_and_what_is_begun_with_it_are_written_in_one_step() {
    for step in ["after:executing", "before:executing"] {
        let (_dev, home) = cut(&RESET, step, "");
        let states = "SELECT (SELECT state FROM approvals), (SELECT count(*) FROM executions)";
        let states = journal(&home).query_row(states, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)));
        let wanted = if step == "after:executing" { ("executing", 1) } else { ("approved", 0) };
        assert_eq!(states.unwrap(), (wanted.0.to_owned(), wanted.1), "{step}");
    }
}

#[test]
fn a_denial_is_not_told_as_done_by_editing_the_journal() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    let output = r#"{"outcome":"done","message":"order ord_81 created","data":null}"#;
    edit(
        &home,
        &format!(
            "INSERT INTO executions (action, run, tool, digest, idempotency_key, started_at, ended_at, outcome,
                 http_status, output)
             SELECT action, run, tool, digest, 'k', created_at, created_at, 'done', 201, '{output}' FROM approvals"
        ),
    );
    let resumed = agentctl(&home).args(["resume", "--last"]).run().code(21).err(&["does not say that it was sent"]);
    assert!(dev.orders().is_empty() && !resumed.stdout.contains("Ordered"), "{resumed}");
    assert_eq!(end(&home)["body"]["outcome"], "unknown");
    verified(&home);
}

/// Puts a whole entry behind the end of the log, as somebody does who has no key.
fn put(home: &Home, kind: &str, body: &Value) -> String {
    let file = log_file(home);
    let log = fs::read_to_string(&file).unwrap();
    let entries = || log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (last, asked) = (log.lines().last().unwrap(), entries().rfind(|entry| entry["kind"] == "request").unwrap());
    let action = asked["action"].as_str().unwrap().to_owned();
    let entry = json!({
        "seq": log.lines().count() + 1, "time": "2026-11-29T20:30:30.000Z", "prev": sha256(last), "kind": kind,
        "action": action, "body": body,
    });
    let mut file = fs::OpenOptions::new().append(true).open(file).unwrap();
    writeln!(file, "{entry}").unwrap();
    action
}

#[test]
fn an_end_that_nobody_proves_ends_no_call() {
    let done = json!({ "outcome": "done", "message": "order ord_81 created", "http_status": 201, "approval": null });
    // Whoever waits goes on waiting.
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    put(&home, "response", &done);
    let waiting = agentctl(&home).args(["resume", "--last", "--timeout", SOON]).run().code(10);
    assert!(!waiting.stdout.contains("Ordered"), "{waiting}");
    dev.post("/approvals/latest/deny", &json!({}));
    agentctl(&home).args(["resume", "--last"]).run().code(11);
    assert_eq!((&end(&home)["body"]["outcome"], dev.orders().len()), (&json!("denied"), 0));
    let found = verified(&home);
    assert_eq!(found["unproven"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!((&found["approvals"]["not_approved"], &found["without_end"]), (&json!(0), &json!([])), "{found}");

    // Who stops everything writes the end; the same of a call that was given up, and of a run that is deleted.
    for command in ["panic", "abandon", "delete"] {
        let dev = Dev::start();
        let home = dev.logged_in();
        detached(&home, "buy 2 phones");
        let row = pending(&home).remove(0);
        let (id, run) = (row["id"].as_str().unwrap(), row["run"].as_str().unwrap());
        let action = put(&home, "response", &done);
        let command = match command {
            "abandon" => vec!["approvals", "abandon", id],
            "delete" => vec!["runs", "delete", run, "--force"],
            other => vec![other],
        };
        agentctl(&home).args(command.iter().copied()).run().code(0);
        let end = end(&home);
        assert_eq!((&end["body"]["outcome"], &end["proven"]), (&json!("cancelled"), &json!(true)), "{command:?} {end}");
        agentctl(&home)
            .args(["audit", "show", &action])
            .run()
            .code(0)
            .out(&["outcome     cancelled", "✓ what is shown carries the log's MAC; 1 more entry does not"]);
        verified(&home);
    }
}

/// Nor does it end what the journal has not learnt the end of.
#[test]
fn an_end_that_nobody_proves_ends_nothing_in_the_journal() {
    let (dev, home) = cut(&RESET, "before:execution_ended", "");
    put(&home, "response", &json!({ "outcome": "failed", "message": "no", "http_status": 500, "approval": null }));
    let resumed = agentctl(&home).args(["resume", "--last"]).run().code(21).err(&["may have happened"]);
    let states = "SELECT (SELECT state FROM approvals), (SELECT outcome FROM executions)";
    let states = journal(&home).query_row(states, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
    assert_eq!(states.unwrap(), ("unknown_outcome".to_owned(), "unknown".to_owned()), "{resumed}");
    assert_eq!(dev.resets(), 1);
}

/// That it was sent is no harmless thing to believe either: a call that waits would never be carried out.
#[test]
fn a_line_that_says_it_was_sent_and_is_nobodys_says_nothing() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    put(&home, "sent", &json!({ "idempotency_key": null, "digest": "sha-256:x", "approval": null }));
    super::approve(&dev);
    agentctl(&home).args(["resume", "--last"]).run().code(0);
    assert_eq!(dev.orders().len(), 1);
}

#[test]
fn what_cannot_be_written_down_is_not_sent() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let buying = agentctl(&home).args(["run", "buy 2 phones"]).start();
    buying.wait_for_stderr("Check that it shows:");
    let file = log_file(&home);
    let aside = file.with_file_name("aside");
    fs::rename(&file, &aside).unwrap();
    fs::create_dir(&file).unwrap();
    super::approve(&dev);
    let mend = format!("move {} away", file.display());
    buying.finish().code(1).err(&["the audit log cannot be written, so nothing was done", "but a folder", &mend]);
    assert_eq!(posts(&dev), 0, "it was sent");
    fs::remove_dir(&file).unwrap();
    // Nobody waits for who writes into a pipe.
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    agentctl(&home).args(["audit", "list"]).run().code(1).err(&["but a pipe (FIFO)", &mend]);
    fs::remove_file(&file).unwrap();
    fs::rename(&aside, &file).unwrap();
    let resumed = agentctl(&home).args(["resume", "--last"]).run().code(21).err(&["nothing was done"]);
    assert!(dev.orders().is_empty() && pending(&home).is_empty(), "{resumed}");
    assert_eq!(end(&home)["body"]["outcome"], "failed");
    verified(&home);
}

/// How many requests with an effect the shop has got.
fn posts(dev: &Dev) -> usize {
    dev.history("shop").iter().filter(|request| request["method"] == "POST").count()
}

/// Somebody gets at the log while the phone rings.
#[test]
fn what_the_log_does_not_ask_for_any_more_is_not_sent() {
    type Attack = fn(&Path);
    let attacks: [(&str, Attack); 5] = [
        ("emptied", |log| fs::write(log, "").unwrap()),
        ("removed", |log| fs::remove_file(log).unwrap()),
        ("removed with all that belongs to it", |log| {
            for entry in fs::read_dir(log.parent().unwrap()).unwrap() {
                let path = entry.unwrap().path();
                if path.file_name().unwrap().to_str().unwrap().starts_with("audit") {
                    fs::remove_file(path).unwrap();
                }
            }
        }),
        ("put back as it was before", |log| {
            let text = fs::read_to_string(log).unwrap();
            fs::write(log, text.split_inclusive('\n').take(2).collect::<String>()).unwrap();
        }),
        ("written anew without the key", |log| {
            let text = fs::read_to_string(log).unwrap();
            let request = text.lines().find(|line| line.contains("\"request\"")).unwrap();
            let other = text.replace(request, &request.replace("\"qty\":2", "\"qty\":3"));
            assert_ne!(other, text);
            fs::write(log, other).unwrap();
        }),
    ];
    for ((name, attack), resumed) in attacks.into_iter().flat_map(|attack| [(attack, false), (attack, true)]) {
        let dev = Dev::start();
        let home = dev.logged_in();
        let buying = if resumed {
            detached(&home, "buy 2 phones");
            agentctl(&home).args(["resume", "--last"]).start()
        } else {
            agentctl(&home).args(["run", "buy 2 phones"]).start()
        };
        buying.wait_for_stderr("Check that it shows:");
        attack(&log_file(&home));
        super::approve(&dev);
        let said = buying.finish().code(1).err(&["does not stand in it any more", "agentctl audit verify"]);
        agentctl(&home).args(["audit", "verify"]).run().code(1);
        let after = agentctl(&home).args(["resume", "--last"]).run().code(21);
        assert!(posts(&dev) == 0 && pending(&home).is_empty(), "{name}, {resumed}\n{said}\n{after}");
        let log = fs::read_to_string(log_file(&home)).unwrap();
        assert_eq!(log.matches("\"kind\":\"response\"").count(), 1, "{name}: one end\n{log}");
    }
}

/// What nobody may send again is over when it is stopped under way, and whoever stopped it learns what that means.
#[test]
fn who_stops_what_may_have_happened_is_told_so() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    dev.fault(&json!({ "on": "directory", "kind": "delay", "when": "after", "times": 2, "delay_ms": 30_000 }));
    let told = "it was stopped while the request was under way and may have happened";
    let single = agentctl(&home).args(RESET).start();
    let sent = |before: usize| move |dev: &Dev| (dev.history("directory").len() > before).then_some(());
    wait_until(Duration::from_secs(60), "the reset", || sent(0)(&dev));
    single.signal("TERM");
    single.finish().code(143).err(&["reset_password", told]);
    dev.post("/script", &json!({ "turns": [{ "tool_calls": [{ "name": "reset_password", "arguments": { "user": "grace" } }] }, { "text": "Reset." }] }));
    let run = agentctl(&home).args(["run", "--json", "reset it"]).start();
    wait_until(Duration::from_secs(60), "the second reset", || sent(1)(&dev));
    run.signal("HUP");
    let output = run.finish().code(129);
    let lines = output.lines();
    let ended = lines.iter().find(|line| line["type"] == "tool.completed").unwrap_or_else(|| panic!("{output}"));
    assert_eq!(ended["outcome"], "unknown", "{output}");
    assert!(ended["message"].as_str().unwrap().contains(told), "{output}");
    agentctl(&home).args(["resume", "--last"]).run().code(21);
    verified(&home);
}
