//! Somebody who can write the state folder and has no key edits the journal: nothing happens by it, and the log tells
//! nothing that the edit made up.

use serde_json::{Value, json};

use super::{approve, bad::journal, detached, digest_of, pushes, stop::cut};
use crate::support::{Dev, Home, Output, Running, Terminal, agentctl, wait_until};

/// The program dies between the effect and what the log would say of it.
const DIES: &str = "before:audit_response";

fn resume(home: &Home) -> Output {
    agentctl(home).args(["resume", "--last"]).run()
}

/// A purchase that waits for its answer.
fn asking(home: &Home) -> Running {
    let call = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=1"];
    let asked = agentctl(home).args(call).start();
    asked.wait_for_stderr("Check that it shows:");
    asked
}

fn run_of(home: &Home) -> String {
    journal(home).query_row("SELECT id FROM runs", [], |row| row.get(0)).unwrap()
}

/// What the log says of how the purchase ended.
fn ends(home: &Home) -> Vec<String> {
    let log = agentctl(home).args(["audit", "list", "--json"]).run().code(0).json();
    let entries = log["entries"].as_array().unwrap();
    let asked = entries.iter().find(|entry| entry["body"]["tool"] == "buy_product").unwrap();
    let ends = entries.iter().filter(|entry| entry["kind"] == "response" && entry["action"] == asked["action"]);
    ends.map(|end| end["body"]["outcome"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_nobody_asked_for_is_not_done() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    let call = json!({ "role": "assistant", "tool_calls": [{ "id": "x", "type": "function",
        "function": { "name": "search_products", "arguments": "{\"query\":\"phones\"}" } }] });
    let sql = "INSERT INTO messages (run, seq, body) SELECT run, max(seq) + 1, ?1 FROM messages";
    journal(&home).execute(sql, [call.to_string()]).unwrap();
    let run = run_of(&home);
    let asked = (dev.history("shop").len(), dev.history("model").len());
    resume(&home).code(1).err(&["of messages was changed", &format!("agentctl runs delete {run} --force")]);
    agentctl(&home).args(["chat", "--resume", &run]).stdin("go on\n").run().code(1).err(&["of messages was changed"]);
    assert_eq!((dev.history("shop").len(), dev.history("model").len()), asked);
    agentctl(&home).args(["runs", "show", &run]).run().code(0);
    agentctl(&home).args(["runs", "delete", &run, "--force"]).run().code(0);
    agentctl(&home).args(["audit", "verify"]).run().code(0);
}

#[test]
fn what_a_run_keeps_to_is_not_taken_away() {
    let dev = Dev::scripted(json!([
        { "text": ["One ", "moment"], "cut": { "after": 3 } },
        { "tool_calls": [{ "name": "buy_product", "arguments": { "product": "phones", "qty": 1 } }] },
    ]));
    let home = dev.logged_in();
    agentctl(&home).args(["run", "--tools", "search_products", "go"]).run().code(20);
    journal(&home).execute_batch("UPDATE runs SET bounds = '{}'").unwrap();
    agentctl(&home).args(["resume", &run_of(&home)]).run().code(1).err(&["of runs was changed"]);
    assert!(dev.history("ciba").is_empty());
}

#[test]
fn an_end_that_somebody_made_up_is_not_told() {
    let done = "INSERT INTO executions (action, run, tool, digest, idempotency_key, started_at, ended_at, outcome,
            http_status, output)
        SELECT action, run, tool, digest, 'k', created_at, created_at + 1, 'done', 201,
            '{\"outcome\":\"done\",\"message\":\"order ord_7\"}' FROM approvals;";
    for (answer, change) in [("deny", "UPDATE approvals SET state = 'done';"), ("approve", "")] {
        let dev = Dev::start();
        let home = dev.logged_in();
        detached(&home, "buy 2 phones");
        dev.post(&format!("/approvals/latest/{answer}"), &json!({}));
        agentctl(&home).args(["approvals", "wait", "--all"]).run();
        journal(&home).execute_batch(&format!("{change} {done}")).unwrap();
        let output = resume(&home).code(1).err(&["was changed"]);
        assert!(dev.orders().is_empty() && ends(&home).is_empty(), "{answer}\n{output}");
    }
}

/// What was done stays what may have been done, whatever else the journal says by then.
#[test]
fn what_was_done_is_not_told_as_denied() {
    let denied = ("approvals", "DELETE FROM executions; UPDATE approvals SET state = 'denied', evidence = NULL");
    let output = r#"{"outcome":"failed","message":"out of stock"}"#;
    let failed = format!("UPDATE executions SET outcome = 'failed', ended_at = started_at, output = '{output}'");
    let failed = ("executions", failed.as_str());
    for ((table, over), delete) in [(denied, true), (denied, false), (failed, true), (failed, false)] {
        let dev = Dev::start();
        let home = dev.logged_in();
        dev.auto("approve", "approve");
        agentctl(&home).args(["run", "buy 2 phones"]).env("AGENTCTL_TEST_DIE_AT", DIES).run();
        assert_eq!(dev.orders().len(), 1);
        journal(&home).execute_batch(over).unwrap();
        resume(&home).code(1).err(&[&format!("of {table} was changed")]);
        let run = run_of(&home);
        let give_up: &[&str] = if delete { &["runs", "delete", &run, "--force"] } else { &["panic"] };
        let output = agentctl(&home).args(give_up.iter().copied()).run();
        assert_eq!(ends(&home), ["unknown"], "{output}");
    }
}

/// The journal is edited while the shell that wrote it is still there.
#[test]
fn a_call_that_is_edited_while_it_waits_is_not_made() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut chat = Terminal::sized(agentctl(&home).arg("chat"), 110, 40);
    chat.buy_and_go_on();
    let edited = || journal(&home).execute_batch("UPDATE calls SET started_at = started_at + 1").ok();
    wait_until(std::time::Duration::from_secs(60), "the journal", edited);
    approve(&dev);
    chat.wait_for("was approved; the result comes with your next message");
    chat.say("and now?");
    chat.wait_for("of calls was changed");
    chat.leave();
    assert!(dev.orders().is_empty());
}

#[test]
fn what_is_planted_in_the_file_is_not_run() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    let trigger = "CREATE TRIGGER planted AFTER UPDATE ON runs BEGIN UPDATE runs SET bounds = '{}'; END";
    journal(&home).execute_batch(trigger).unwrap();
    approve(&dev);
    resume(&home).code(1).err(&["tables, indices or triggers that agentctl did not make", "put back a copy"]);
    assert!(dev.orders().is_empty());
    journal(&home).execute_batch("DROP TRIGGER planted").unwrap();
    resume(&home).code(0);
    assert_eq!(dev.orders().len(), 1);
}

/// What waits is changed between its proof and its use: another process holds the journal for that long.
#[test]
fn what_is_changed_after_its_proof_is_not_done() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    let asked = dev.history("shop").len();
    let other = journal(&home);
    let edit = "UPDATE calls SET tool = 'search_products', arguments = '{\"query\":\"phones\"}'; DELETE FROM approvals";
    other.execute_batch(&format!("BEGIN IMMEDIATE; {edit}")).unwrap();
    let resumed = agentctl(&home).args(["resume", "--last"]).start();
    std::thread::sleep(std::time::Duration::from_secs(2));
    other.execute_batch("COMMIT").unwrap();
    resumed.finish().code(1).err(&["of calls was changed"]);
    assert_eq!(dev.history("shop").len(), asked);
}

/// When it was asked decides whether an answer belongs to the question.
#[test]
fn a_question_that_is_made_older_while_the_phone_rings_gets_no_yes() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let asked = asking(&home);
    let edited = || journal(&home).execute_batch("UPDATE approvals SET requested_at = requested_at - 300000").ok();
    wait_until(std::time::Duration::from_secs(60), "the journal", edited);
    approve(&dev);
    asked.finish().code(21).err(&["of approvals was changed"]);
    assert!(dev.orders().is_empty());
    assert_eq!(ends(&home).len(), 1);
}

#[test]
fn a_conversation_with_a_gap_is_not_gone_on_with() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    journal(&home).execute_batch("DELETE FROM messages WHERE seq = 1").unwrap();
    approve(&dev);
    resume(&home).code(1).err(&["of messages was changed"]);
    assert!(dev.orders().is_empty());
    agentctl(&home).args(["runs", "show", &run_of(&home)]).run().code(0);
}

/// With the journal's key, as nobody has it who edits the file: what the log was asked for has to hold as well.
#[test]
fn a_call_that_the_log_was_not_asked_for_is_not_made() {
    for (task, from, to) in [("buy 2 phones", "\"qty\":2", "\"qty\":9"), ("what phones are there", "phones", "tablets")]
    {
        let dev = Dev::start();
        let home = dev.logged_in();
        dev.auto("approve", "approve");
        agentctl(&home).args(["run", task]).env("AGENTCTL_TEST_DIE_AT", "after:audit_request").run();
        let shop = dev.history("shop").len();
        let sql = "SELECT plan FROM calls";
        let plan: String = journal(&home).query_row(sql, [], |row| row.get(0)).unwrap();
        let other = plan.replace(from, to);
        assert_ne!(other, plan);
        let [was, now] = [plan, other].map(|plan| digest_of(&serde_json::from_str::<Value>(&plan).unwrap()));
        let story = ["plan", "arguments", "digest"]
            .map(|column| format!("{column} = replace(replace({column}, '{was}', '{now}'), '{from}', '{to}')"));
        let story = format!("UPDATE calls SET {}", story.join(", "));
        let resumed = agentctl(&home).args(["resume", "--last"]).env("AGENTCTL_TEST_JOURNAL", &story).run();
        let told = dev.history("model").pop().unwrap().to_string();
        assert!(told.contains("the log's request for this call is another one"), "{told}\n{resumed}");
        assert_eq!((dev.history("shop").len(), pushes(&dev)), (shop, 0), "{task}\n{resumed}");
        let log = agentctl(&home).args(["audit", "list", "--json"]).run().code(0).json();
        let end = log["entries"].as_array().unwrap().iter().rfind(|entry| entry["kind"] == "response").unwrap();
        assert_eq!(end["body"]["outcome"], "failed", "{end}");
        agentctl(&home).args(["audit", "verify"]).run().code(0);
    }
}

/// The call that waits is moved into a run that nobody holds, and that run is deleted.
#[test]
fn a_call_is_ended_in_no_run_but_its_own() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let asked = asking(&home);
    let moved = "INSERT INTO runs (id, started_at, profile, model, title, used_at, bounds)
        VALUES ('run_forged', 0, 'default', 'm', 't', 0, '{}'); UPDATE calls SET run = 'run_forged', started_at = 0";
    let edited = || journal(&home).execute_batch(moved).ok();
    wait_until(std::time::Duration::from_secs(60), "the journal", edited);
    agentctl(&home).args(["runs", "delete", "run_forged", "--force"]).run().code(1).err(&["of calls was changed"]);
    assert!(ends(&home).is_empty());
    approve(&dev);
    asked.finish().code(0);
    assert_eq!((dev.orders().len(), ends(&home)), (1, vec!["done".to_owned()]));
    agentctl(&home).args(["audit", "verify"]).run().code(0);
}

/// The other process cannot open the credential store, so what it writes carries no MAC.
#[test]
fn what_is_given_up_without_the_key_ends_in_the_log() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let asked = asking(&home);
    let open = agentctl(&home).args(["approvals", "list", "--json"]).run().json();
    let id = open["approvals"][0]["id"].as_str().unwrap().to_owned();
    let other = agentctl(&home).args(["approvals", "abandon", &id]).env("AGENTCTL_STORE_PASSPHRASE", "another");
    other.run().code(0);
    let output = asked.finish();
    assert_eq!(ends(&home).len(), 1, "{output}");
    assert!(dev.orders().is_empty() && !output.stderr.contains("was changed"), "{output}");
}

/// That the run's own row was changed makes its key no other one: the token is erased, and the log has the end.
#[test]
fn what_was_cut_off_ends_though_its_run_was_changed() {
    let dev = Dev::start();
    let home = dev.logged_in();
    cut(&dev, &home, &["run", "buy 2 phones"]);
    journal(&home).execute("UPDATE runs SET title = 'x'", []).unwrap();
    let receipt = agentctl(&home).args(["panic", "--json"]).run().code(1).json();
    let told = receipt["not_done"][0].as_str().unwrap();
    assert!(told.contains("it may have happened, and is not sent again"), "{receipt}");
    let row = journal(&home).query_row("SELECT state, sealed_token IS NULL FROM approvals", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))
    });
    assert_eq!(row.unwrap(), ("unknown_outcome".to_owned(), true), "{receipt}");
    assert_eq!(ends(&home), ["unknown"]);
}
