//! What is given up: asked or not, in the shell or beside it, with the journal's key or without.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::support::{Dev, Fake, Home, Reply, Terminal, agentctl, wait_until};

const DONE: &str = "Nothing was ordered.";

fn buy(product: &str) -> Value {
    json!({ "name": "buy_product", "arguments": { "product": product, "qty": 2 } })
}

fn scripted(turns: Value) -> (Dev, Home) {
    let dev = Dev::scripted(turns);
    let home = dev.logged_in();
    (dev, home)
}

fn chat(home: &Home) -> Terminal {
    Terminal::sized(agentctl(home).arg("chat"), 110, 60)
}

fn journal(home: &Home) -> rusqlite::Connection {
    let paths = agentctl(home).args(["config", "path", "--json"]).run().code(0).json();
    rusqlite::Connection::open(Path::new(paths["state"].as_str().unwrap()).join("journal.db")).unwrap()
}

/// How often a phone rang.
fn pushes(dev: &Dev) -> usize {
    let path = |request: &Value| request["path"].as_str().is_some_and(|path| path.contains("bc-"));
    dev.history("ciba").iter().filter(|request| path(request)).count()
}

/// The log is whole, and each call has its end in it.
#[track_caller]
fn every_call_has_its_end(home: &Home) {
    let found = agentctl(home).args(["audit", "verify", "--json"]).run().code(0).json();
    assert_eq!(found["without_end"], json!([]), "{found}");
}

/// Given up by a process that has not the key.
fn abandon_without_the_key(home: &Home, id: &str) {
    let other = agentctl(home).args(["approvals", "abandon", id]).env("AGENTCTL_STORE_PASSPHRASE", "another");
    other.run().code(0);
}

fn open_approval(home: &Home) -> String {
    let open = agentctl(home).args(["approvals", "list", "--json"]).run().json();
    open["approvals"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_nobody_was_asked_about_is_given_up_too() {
    let (dev, home) = scripted(json!([{ "tool_calls": [buy("phones"), buy("tablets")] }, { "text": DONE }]));
    let mut terminal = chat(&home);
    terminal.say("buy both");
    terminal.wait_for("Waiting for your approval");
    terminal.control('c');
    terminal.wait_for("buy_product: you were not asked about it yet; your next message asks");
    let screen = terminal.wait_for("1 not asked yet");
    assert_eq!(screen.matches("stays open on your device").count(), 1, "{screen}");
    terminal.ask("/compact", "your next message asks you about it, /abandon gives it up");
    let screen = terminal.ask("/abandon", "you were not asked about it, and nothing was sent.");
    assert!(screen.contains("Given up: apr_") && screen.contains("product: \"tablets\""), "{screen}");
    terminal.ask("/abandon", "Nothing of this conversation waits");
    every_call_has_its_end(&home);
    terminal.ask("never mind", DONE);
    terminal.leave();
    assert_eq!((pushes(&dev), dev.orders().len()), (1, 0));
}

#[test]
fn who_leaves_with_a_call_that_was_not_asked_is_told_so() {
    let (dev, home) = scripted(json!([{ "tool_calls": [buy("phones"), buy("tablets")] }, { "text": DONE }]));
    let mut terminal = chat(&home);
    terminal.say("buy both");
    terminal.wait_for("Waiting for your approval");
    terminal.control('c');
    terminal.wait_for("1 not asked yet");
    let screen = terminal.leave();
    assert!(screen.contains("you were not asked about it; `agentctl resume` goes on."), "{screen}");
    assert_eq!(pushes(&dev), 1);
}

#[test]
fn what_is_given_up_in_the_shell_is_over_at_once() {
    let (dev, home) = scripted(json!([{ "tool_calls": [buy("phones")] }, { "text": DONE }]));
    let mut terminal = chat(&home);
    terminal.buy_and_go_on();
    terminal.ask("/abandon", "Given up: apr_");
    every_call_has_its_end(&home);
    let screen = terminal.leave();
    assert!(!screen.contains("What you can do"), "{screen}");
    agentctl(&home).arg("resume").run().code(2).err(&["no run waits"]);
    let mut terminal = Terminal::sized(agentctl(&home).args(["chat", "-c"]), 110, 60);
    terminal.ask("so?", DONE);
    terminal.leave();
    let told = dev.history("model").pop().unwrap().to_string();
    assert!(told.contains("the approval was given up; nothing was done"), "{told}");
}

#[test]
fn one_that_cannot_be_given_up_holds_up_no_other() {
    let (dev, home) = scripted(json!([{ "tool_calls": [buy("phones")] }, { "tool_calls": [buy("tablets")] }]));
    let mut terminal = chat(&home);
    terminal.buy_and_go_on();
    terminal.say("tablets, too");
    terminal.wait_for("Waiting for your approval");
    terminal.control('c');
    terminal.wait_for("2 waiting for you");
    let edit = "UPDATE approvals SET code = 'x' WHERE rowid = (SELECT min(rowid) FROM approvals)";
    wait_until(Duration::from_secs(60), "the journal", || journal(&home).execute_batch(edit).ok());
    let screen = terminal.ask("/abandon", "not everything could be given up");
    let words = screen.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    assert!(words.contains("Not given up: apr_") && words.contains("of approvals was changed"), "{screen}");
    assert!(screen.lines().any(|row| row.starts_with("Given up: apr_")), "{screen}");
    let states = "SELECT group_concat(state) FROM (SELECT state FROM approvals ORDER BY rowid)";
    let states: String = journal(&home).query_row(states, [], |row| row.get(0)).unwrap();
    assert!(states.ends_with(",abandoned") && !states.starts_with("abandoned"), "{states}");
    terminal.leave();
    assert!(dev.orders().is_empty());
}

#[test]
fn a_run_of_which_something_was_given_up_without_the_key_goes_on() {
    let wait = json!({ "text": "It waits for you." });
    let turns = json!([{ "tool_calls": [buy("phones")] }, wait, { "text": DONE }, { "text": "Gladly." }]);
    let (dev, home) = scripted(turns);
    agentctl(&home).args(["run", "--on-approval", "detach", "buy phones"]).run().code(10);
    abandon_without_the_key(&home, &open_approval(&home));
    // What else is written there is nobody's word.
    journal(&home).execute_batch("UPDATE approvals SET error = 'order ord_7 was placed'").unwrap();
    dev.post("/approvals/latest/approve", &json!({}));
    let resumed = agentctl(&home).args(["resume", "--last"]).run();
    assert!(!resumed.stderr.contains("was changed"), "{resumed}");
    let told = dev.history("model").pop().unwrap().to_string();
    assert!(
        told.contains("the approval was given up; nothing was done") && !told.contains("ord_7"),
        "{told}\n{resumed}"
    );
    let run: String = journal(&home).query_row("SELECT id FROM runs", [], |row| row.get(0)).unwrap();
    agentctl(&home).args(["chat", "--resume", &run]).stdin("go on\n").run().code(0).out(&["Gladly."]);
    assert!(dev.orders().is_empty());
    every_call_has_its_end(&home);
    // Nothing but that it was given up is taken for true.
    journal(&home).execute_batch("UPDATE approvals SET state = 'denied'").unwrap();
    agentctl(&home).args(["chat", "--resume", &run]).stdin("go on\n").run().code(1).err(&["of approvals was changed"]);
}

#[test]
fn a_shell_goes_on_when_its_approval_is_given_up_without_the_key() {
    let (dev, home) = scripted(json!([{ "tool_calls": [buy("phones")] }, { "text": DONE }]));
    let mut terminal = chat(&home);
    terminal.buy_and_go_on();
    abandon_without_the_key(&home, &open_approval(&home));
    dev.post("/approvals/latest/approve", &json!({}));
    terminal.ask("so?", DONE);
    terminal.leave();
    assert!(dev.orders().is_empty());
    every_call_has_its_end(&home);
}

/// A purchase that was approved, and cut off before the shop answered: the shop has had no order.
fn delayed(dev: &Dev) {
    dev.fault(&json!({ "on": "shop", "kind": "delay", "when": "before", "times": 1, "delay_ms": 30_000 }));
    dev.post("/approvals/latest/approve", &json!({}));
    wait_until(Duration::from_secs(60), "the request", || (!dev.history("shop").is_empty()).then_some(()));
}

/// A shell in which such a purchase was stopped.
fn cut_off() -> (Dev, Home, Terminal) {
    let (dev, home) = scripted(json!([{ "tool_calls": [buy("phones")] }, { "text": DONE }]));
    let mut terminal = chat(&home);
    terminal.say("buy them");
    terminal.wait_for("Waiting for your approval");
    delayed(&dev);
    terminal.control('c');
    terminal.wait_for("/abandon leaves it as it is.");
    terminal.wait_for("1 cut off");
    (dev, home, terminal)
}

fn nothing_was_bought(dev: &Dev, home: &Home) {
    assert_eq!((dev.history("shop").len(), dev.orders().len()), (1, 0));
    every_call_has_its_end(home);
    let log = agentctl(home).args(["audit", "list", "--json"]).run().code(0).stdout;
    assert!(log.contains("it may have happened, and is not sent again"), "{log}");
}

#[test]
fn what_was_cut_off_is_not_sent_again_once_it_is_left_as_it_is() {
    let (dev, home, mut terminal) = cut_off();
    terminal.ask("/compact", "finds out what came of it, /abandon leaves it as it is");
    // Who comes back later is told the same.
    terminal.leave();
    let mut terminal = Terminal::sized(agentctl(&home).args(["chat", "-c"]), 110, 60);
    terminal.wait_for("was cut off while it was being carried out. Your next message");
    terminal.wait_for_prompt();
    let screen = terminal.ask("/abandon", "Left as it is: buy_product");
    assert!(!screen.contains("nothing that you approved is still to be done"), "{screen}");
    terminal.ask("forget it, buy nothing", DONE);
    let screen = terminal.ask("/abandon", "Nothing of this conversation waits");
    assert_eq!(screen.matches("1 cut off").count(), 1, "{screen}");
    terminal.leave();
    nothing_was_bought(&dev, &home);
}

#[test]
fn a_run_that_was_cut_off_can_be_left_as_it_is() {
    for is_json in [false, true] {
        let (dev, home) = scripted(json!([{ "tool_calls": [buy("phones")] }, { "text": DONE }]));
        let running = agentctl(&home).args(["run", "go"]).start();
        running.wait_for_stderr("Waiting for your approval");
        let id = open_approval(&home);
        delayed(&dev);
        // Nobody takes it out of the hands of who carries it out.
        agentctl(&home)
            .args(["approvals", "abandon", &id])
            .run()
            .code(2)
            .err(&["executing", "it is being carried out"]);
        running.signal("INT");
        let leave = format!("agentctl approvals abandon {id}");
        running.finish().code(130).err(&["by sending it again where that is safe", "agentctl resume run_", &leave]);
        // What would be written down without the key would be believed by nobody.
        let other = agentctl(&home).args(["approvals", "abandon", &id]).env("AGENTCTL_STORE_PASSPHRASE", "another");
        other
            .run()
            .code(1)
            .err(&["can be neither proven nor changed", "use the credential store with which it was written"]);
        let nowhere = agentctl(&home).args(["approvals", "abandon", &id]).env("AGENTCTL_STORE", "memory");
        nowhere.run().code(1).err(&["use the credential store with which it was written"]);
        let json: &[&str] = if is_json { &["--json"] } else { &[] };
        let left = agentctl(&home).args(["approvals", "abandon", &id]).args(json.iter().copied()).run().code(0);
        if is_json {
            assert_eq!(left.json()["approval"]["state"], "unknown_outcome", "{left}");
        } else {
            left.err(&["Left as it is: apr_", "it may have happened, and is not sent again"]);
        }
        agentctl(&home).args(["approvals", "abandon", &id]).run().code(2).err(&["nothing to give up"]);
        agentctl(&home).args(["resume", "--last"]).run().code(21).out(&[DONE]);
        nothing_was_bought(&dev, &home);
    }
}

/// A shell that was killed before its call was begun, in a house in which nobody can log in any more.
#[test]
fn what_a_killed_shell_left_is_given_up_without_a_login() {
    for step in ["before:audit_request", "after:audit_request"] {
        let (dev, home) = scripted(json!([{ "tool_calls": [buy("phones")] }, { "text": DONE }]));
        agentctl(&home).arg("chat").stdin("buy 2 phones\n").env("AGENTCTL_TEST_DIE_AT", step).run();
        agentctl(&home).arg("logout").run().code(0);
        let mut terminal = Terminal::sized(agentctl(&home).args(["chat", "-c"]), 110, 60);
        terminal.ask("/abandon", "it was stopped before anything was done.");
        terminal.ask("/abandon", "Nothing of this conversation waits");
        terminal.leave();
        every_call_has_its_end(&home);
        agentctl(&home).args(["resume", "--last"]).run().code(2).err(&["no run waits"]);
        assert_eq!((pushes(&dev), dev.orders().len()), (0, 0), "{step}");
    }
}

/// The shell is idle; another process gives up what waits in it, and leaves the end to the shell.
#[test]
fn what_another_process_gives_up_ends_with_the_shell() {
    let (_dev, home) = scripted(json!([{ "tool_calls": [buy("phones")] }, { "text": DONE }]));
    let mut terminal = chat(&home);
    terminal.buy_and_go_on();
    let id = open_approval(&home);
    agentctl(&home).args(["approvals", "abandon", &id]).run().code(0).err(&["writes the end of the call"]);
    terminal.leave();
    every_call_has_its_end(&home);
}

/// `/abandon` says so, and does not fail as a whole.
#[test]
fn a_cut_off_call_that_was_changed_is_not_left_as_it_is() {
    let (_dev, home, mut terminal) = cut_off();
    journal(&home).execute("UPDATE executions SET started_at = started_at + 1", []).unwrap();
    let screen = terminal.ask("/abandon", "not everything could be given up");
    assert!(screen.contains("Not given up: buy_product"), "{screen}");
    terminal.leave();
}

/// The log cannot be written to when the shop answers: the call stays open until somebody writes its end there.
#[test]
fn a_single_call_whose_end_the_log_did_not_take_is_gone_on_with() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.fault(&json!({ "on": "shop", "kind": "delay", "when": "after", "times": 1, "delay_ms": 4_000 }));
    let call = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2"];
    let calling = agentctl(&home).args(call).start();
    calling.wait_for_stderr("Waiting for your approval");
    dev.post("/approvals/latest/approve", &json!({}));
    wait_until(Duration::from_secs(60), "the order", || (!dev.orders().is_empty()).then_some(()));
    let paths = agentctl(&home).args(["config", "path", "--json"]).run().code(0).json();
    let log = Path::new(paths["state"].as_str().unwrap()).join("audit.jsonl");
    let kept = log.with_extension("kept");
    std::fs::rename(&log, &kept).unwrap();
    std::fs::create_dir(&log).unwrap();
    let called = calling.finish().err(&["agentctl resume run_"]);
    assert!(!called.status.success(), "{called}");
    std::fs::remove_dir(&log).unwrap();
    std::fs::rename(&kept, &log).unwrap();
    agentctl(&home).args(["resume", "--last"]).run().code(0).err(&["buy_product"]);
    every_call_has_its_end(&home);
    assert_eq!((dev.orders().len(), pushes(&dev)), (1, 1));
}

/// A read that was stopped has its end: nothing of it waits.
#[test]
fn a_read_that_was_stopped_is_in_nobodys_way() {
    let look = json!({ "tool_calls": [{ "name": "search_products", "arguments": { "query": "phones" } }] });
    let (dev, home) = scripted(json!([look, { "text": "A summary." }]));
    dev.fault(&json!({ "on": "shop", "kind": "delay", "when": "before", "times": 1, "delay_ms": 30_000 }));
    let mut terminal = chat(&home);
    terminal.say("look for phones");
    wait_until(Duration::from_secs(60), "the request", || (!dev.history("shop").is_empty()).then_some(()));
    terminal.control('c');
    terminal.wait_for_prompt();
    terminal.ask("/compact", "goes on from a summary");
    let screen = terminal.ask("/abandon", "Nothing of this conversation waits");
    assert!(!screen.contains("not asked"), "{screen}");
    let screen = terminal.leave();
    assert!(!screen.contains("What you can do"), "{screen}");
    every_call_has_its_end(&home);
}

/// A purchase that a script asked for, and that waits; its run.
fn waiting_call(home: &Home) -> String {
    let call = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=1"];
    let asked = agentctl(home).args(call).args(["--on-approval", "detach", "--json"]).run().code(10).json();
    asked["run"].as_str().unwrap().to_owned()
}

fn state_of(home: &Home, run: &str) -> Value {
    let all = agentctl(home).args(["runs", "list", "--all", "--json"]).run().code(0).json();
    all["runs"].as_array().unwrap().iter().find(|listed| listed["id"] == run).unwrap()["state"].clone()
}

#[test]
fn a_single_call_that_was_given_up_waits_for_nobody() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let run = waiting_call(&home);
    let id = open_approval(&home);
    assert_eq!(state_of(&home, &run), "waiting");
    let said = agentctl(&home).args(["approvals", "abandon", &id]).run().code(0).err(&["Given up"]);
    assert!(!said.stderr.contains("goes on with its run"), "{said}");
    assert_eq!(state_of(&home, &run), "failed");
    // Also of one that was killed while it waited.
    let call = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2"];
    let waiting = agentctl(&home).args(call).start();
    waiting.wait_for_stderr("Waiting for your approval");
    waiting.signal("KILL");
    waiting.finish();
    agentctl(&home).args(["approvals", "abandon", &open_approval(&home)]).run().code(0);
    agentctl(&home).arg("resume").run().code(2).err(&["no run waits, and none was cut off"]);
    // And where who gave it up was killed before the run was over.
    let run = waiting_call(&home);
    let killed = agentctl(&home).args(["approvals", "abandon", &open_approval(&home)]);
    let killed = killed.env("AGENTCTL_TEST_DIE_AT", "after:call_closed").run();
    assert_eq!(killed.status.code(), None, "it was to be killed\n{killed}");
    assert_eq!(state_of(&home, &run), "failed");
    every_call_has_its_end(&home);
}

#[test]
fn a_single_call_that_was_given_up_without_the_key_ends_with_it() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let run = waiting_call(&home);
    abandon_without_the_key(&home, &open_approval(&home));
    assert_eq!(state_of(&home, &run), "waiting");
    agentctl(&home).args(["resume", &run]).run().code(21).err(&["the approval was given up; nothing was done"]);
    assert_eq!(state_of(&home, &run), "failed");
    every_call_has_its_end(&home);
    assert!(dev.orders().is_empty());
}

/// A process with another credential store leaves a run as it found it: it could not be gone on with.
#[test]
fn a_run_is_not_taken_up_by_who_has_not_its_key() {
    let (dev, home) = scripted(json!([{ "tool_calls": [buy("phones")] }, { "text": "Waits." }, { "text": "Bought." }]));
    let call = waiting_call(&home);
    let talk = agentctl(&home).args(["run", "--on-approval", "detach", "--json", "buy"]).run().code(10);
    let talk = talk.lines().pop().unwrap()["run"].as_str().unwrap().to_owned();
    for other in [&["resume", &call][..], &["resume", &talk], &["chat", "-c"], &["chat", "--resume", &talk]] {
        let refused = agentctl(&home).args(other.iter().copied()).stdin("").env("AGENTCTL_STORE", "memory").run();
        assert!(!refused.status.success(), "{other:?} {refused}");
    }
    let looked = agentctl(&home).args(["chat", "--resume", &talk]).stdin("").run();
    looked.err(&["Something still waits for your answer; /abandon gives it up"]);
    let waiting = agentctl(&home).args(["approvals", "wait", "--all"]).start();
    waiting.wait_for_stderr("Waiting for 2 answers");
    dev.auto("approve", "approve");
    waiting.finish().code(0);
    agentctl(&home).args(["resume", &call]).run().code(0);
    agentctl(&home).args(["resume", &talk]).run().code(0);
    assert_eq!(dev.orders().len(), 2);
}

/// What was given up without the key says nothing more than that.
#[test]
fn what_was_given_up_without_the_key_is_named_beside_what_is_believed() {
    let dev = Dev::start();
    let home = dev.logged_in();
    agentctl(&home).args(["run", "--on-approval", "detach", "buy 2 phones"]).run().code(10);
    abandon_without_the_key(&home, &open_approval(&home));
    agentctl(&home).args(["resume", "--last"]).run().code(21);
    let why = agentctl(&home).args(["why", "--last"]).run().code(0).out(&["approval    abandoned\n"]);
    assert!(!why.stdout.contains("client"), "{why}");
    let last = agentctl(&home).args(["audit", "list", "--json"]).run().json()["entries"].clone();
    let action = last.as_array().unwrap().iter().find_map(|entry| entry["action"].as_str()).unwrap().to_owned();
    let shown = agentctl(&home).args(["audit", "show", &action]).run().code(0);
    shown.out(&["what is shown carries the log's MAC; 1 more entry does not, and nothing of that is believed"]);
}

/// What the log gets from who has not the key it was begun with, nobody believes.
#[test]
fn who_deletes_a_run_without_its_key_is_told_what_that_leaves() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let left = "the end of its call is written without the key that it was begun with";
    for (name, value, is_over) in [
        ("AGENTCTL_STORE", "memory", false),
        ("AGENTCTL_STORE_PASSPHRASE", "another", false),
        ("AGENTCTL_STORE", "memory", true),
    ] {
        agentctl(&home).args(["run", "--on-approval", "detach", "buy 2 phones"]).run().code(10);
        let open = agentctl(&home).args(["approvals", "list", "--json"]).run().code(0).json();
        let [id, run] = ["id", "run"].map(|member| open["approvals"][0][member].as_str().unwrap().to_owned());
        if is_over {
            agentctl(&home).args(["approvals", "abandon", &id]).run().code(0);
        }
        let deleted = agentctl(&home).args(["runs", "delete", &run, "--force"]).env(name, value).run().code(0);
        assert_eq!(deleted.stderr.contains(left), !is_over, "{name}={value}\n{deleted}");
    }
    let found = agentctl(&home).args(["audit", "verify", "--json"]).run().json();
    assert_eq!(found["unproven"].as_array().unwrap().len(), 2, "{found}");
}

/// A read leaves no trace of what it began but its approval.
#[test]
fn a_read_that_was_approved_and_cut_off_can_be_left_as_it_is() {
    let arguments = json!({ "product": "phones", "qty": 1 });
    let dev = Dev::scripted(json!([{ "tool_calls": [{ "name": "peek", "arguments": arguments }] }]));
    let shop = Fake::start();
    let mut home = dev.logged_in();
    let folder = home.path().join("agentctl/toolsets");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("own.toml"), PEEK).unwrap();
    shop.once("GET", "/peek", Reply::json(200, &json!({})).after(Duration::from_secs(60)));
    home.set("SHOP_API_URL", &format!("{}/peek", shop.url()));
    dev.auto("approve", "approve");
    let running = agentctl(&home).args(["run", "peek"]).start();
    wait_until(Duration::from_secs(60), "a look", || (!shop.seen().is_empty()).then_some(()));
    running.signal("KILL");
    running.finish();
    let listed = agentctl(&home).args(["runs", "list", "--json"]).run().code(0).json();
    assert_eq!(listed["runs"][0]["state"], "cut off", "{listed}");
    let told = agentctl(&home).args(["chat", "-c"]).stdin("/abandon\n").run();
    told.err(&["was cut off while it was being carried out", "Left as it is: peek"]);
    every_call_has_its_end(&home);
}

const PEEK: &str = r#"
[toolset]
name = "own"
description = "x"

[[tool]]
name = "peek"
description = "x"
effect = "read"

[tool.parameters]
type = "object"
required = ["product", "qty"]

[tool.parameters.properties]
product = { type = "string" }
qty = { type = "integer" }

[tool.approval]
binding_message = "PEEK-{{ qty }}-{{ product }}"
expires_in = 300

[tool.approval.authorization_details]
type = "purchase"
instruction = "x"

[tool.credential]
source = "approval"
audience = "{{ env.SHOP_API_AUDIENCE }}"
resource = "{{ env.SHOP_API_RESOURCE }}"
scopes = ["openid", "product:buy"]

[tool.request]
method = "GET"
url = "{{ env.SHOP_API_URL }}"
"#;
