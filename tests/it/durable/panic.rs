//! The stop: it holds, it says what it could not do, and cut off anywhere it is run again.

use std::{fs, time::Duration};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{approve, detached, pending, polling, pushes};
use crate::support::{Dev, Fake, Home, Keyring, Terminal, agentctl, wait_until};

#[test]
fn panic_stops_everything_until_the_next_login() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    let waiting = agentctl(&home).args(["run", "buy 1 phones"]).start();
    waiting.wait_for_stderr("Check that it shows:");
    let asked = dev.history("model").len();
    let receipt = agentctl(&home).args(["panic"]).run().code(0);
    receipt.out(&["nothing more is carried out", "given up: apr_", "revoked at the server", "the audit log has it"]);
    let stopped =
        waiting.finish().code(13).err(&["stopped with `agentctl panic`", "start it again", "goes on with it"]);
    for untrue in ["stays open", "waits for your approval. What"] {
        assert!(!stopped.stderr.contains(untrue), "{untrue}\n{stopped}");
    }
    assert_eq!(dev.history("model").len(), asked, "the model was asked after the stop\n{stopped}");
    let found = agentctl(&home).args(["audit", "verify", "--json"]).run().code(0).json();
    assert_eq!((&found["without_end"], &found["seal"]["unsealed"]), (&json!([]), &json!(0)), "{found}");
    assert_eq!(found["unproven"], json!([]), "the key came too late\n{found}");
    approve(&dev);
    assert!(pending(&home).is_empty());
    agentctl(&home).args(["run", "buy 3 phones"]).run().code(4);
    agentctl(&home).args(["login", "--no-browser"]).run().code(0).err(&["The stop of `agentctl panic` is over"]);
    agentctl(&home).args(["audit", "verify"]).run().code(0);
    assert!(dev.orders().is_empty());
    dev.auto("approve", "approve");
    agentctl(&home).args(["run", "buy 3 phones"]).run().code(0);
}

/// It had its turn before the stop, and its permission came after: nothing but the last look keeps it from being sent.
#[test]
fn a_stop_is_seen_at_the_last_moment() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    // Nobody may call here: the fake fails if somebody does.
    let bell = Fake::start();
    home.set("SHOP_API_URL", &bell.url());
    let folder = format!("{}/toolsets", home.env()["AGENTCTL_HOME"]);
    fs::create_dir_all(&folder).unwrap();
    let manifest = "[toolset]\nname = \"own\"\ndescription = \"x\"\n[[tool]]\nname = \"ring\"\ndescription = \"x\"\n\
                    effect = \"reversible\"\napproval = \"none\"\napproval_reason = \"a bell\"\n[tool.permission]\n\
                    relation = \"can_buy\"\nobject = \"shop:main\"\n[tool.credential]\nsource = \"none\"\n\
                    [tool.request]\nmethod = \"POST\"\nurl = \"{{ env.SHOP_API_URL }}\"\n";
    fs::write(format!("{folder}/own.toml"), manifest).unwrap();
    dev.fault(&json!({ "on": "fga", "kind": "delay", "delay_ms": 3000 }));
    let running = agentctl(&home).args(["tools", "call", "ring"]).start();
    wait_until(Duration::from_secs(60), "the question", || (!dev.history("fga").is_empty()).then_some(()));
    agentctl(&home).arg("panic").run().code(0);
    running.finish().code(13).err(&["stopped with `agentctl panic`"]);
}

#[test]
fn a_stop_is_seen_before_the_phone_rings() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let buy = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=1"];
    let first = agentctl(&home).args(buy).start();
    first.wait_for_stderr("Check that it shows:");
    let second = agentctl(&home).args(buy).start();
    second.wait_for_stderr("Waiting for the answer to another request");
    agentctl(&home).arg("panic").run().code(0);
    for waiting in [first, second] {
        waiting.finish().code(13).err(&["stopped with `agentctl panic`"]);
    }
    assert_eq!(pushes(&dev), 1);
}

/// One row that cannot be read leaves the others to be given up and ended.
#[test]
fn a_row_that_cannot_be_read_holds_up_no_other() {
    let dev = Dev::start();
    let home = dev.logged_in();
    for task in ["buy 1 phones", "buy 2 phones", "buy 3 phones"] {
        detached(&home, task);
    }
    let waiting = pending(&home);
    let [broken, nameless, whole] = [0, 1, 2].map(|at| &waiting[at]);
    let [id, whole_id] = [broken, whole].map(|row| row["id"].as_str().unwrap());
    let journal = Connection::open(home.path().join("agentctl/state/journal.db")).unwrap();
    let never = i64::MAX;
    let sql = format!(
        "UPDATE approvals SET expires_at = {never} WHERE id = '{id}';
         UPDATE runs SET used_at = {never} WHERE id = (SELECT run FROM approvals WHERE id = '{id}');
         UPDATE approvals SET id = CAST(x'ff' AS TEXT) WHERE id = '{}'",
        nameless["id"].as_str().unwrap()
    );
    journal.execute_batch(&sql).unwrap();
    let receipt = agentctl(&home).args(["panic", "--json"]).run().code(1).json();
    assert_eq!(receipt["abandoned"], json!([id, whole_id]), "{receipt}");
    assert!(receipt["done"].to_string().contains(&format!("{id}, of which nothing else can be read")), "{receipt}");
    assert!(receipt["not_done"].to_string().contains("cannot be found under that name"), "{receipt}");
    let found = agentctl(&home).args(["audit", "verify", "--json"]).run().json();
    let without_end: Vec<&Value> =
        found["without_end"].as_array().unwrap().iter().map(|call| &call["action"]).collect();
    assert!(without_end.contains(&&broken["action"]) && !without_end.contains(&&whole["action"]), "{found}");
    approve(&dev);
    agentctl(&home).args(["approvals", "wait", whole_id]).run().code(1).err(&["is damaged", "move the file away"]);
    assert!(dev.orders().is_empty());
}

#[test]
fn a_stop_ends_a_wait_for_many_and_is_named() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    let waiting = polling(&dev, &home, &["approvals", "wait", "--all"]);
    agentctl(&home).arg("panic").run().code(0);
    waiting.finish().code(1).err(&["stopped with `agentctl panic`"]);
}

#[test]
fn a_shell_that_was_stopped_says_that_it_has_to_be_started_again() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut chat = Terminal::sized(agentctl(&home).arg("chat"), 160, 40);
    chat.say("what phones are there");
    chat.wait_for("Finch Mini");
    agentctl(&home).arg("panic").run().code(0);
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    let asked = dev.history("model").len();
    chat.say("buy 2 phones");
    chat.wait_for("this process too; start it again");
    assert_eq!(dev.history("model").len(), asked, "the model was asked after the stop");
    chat.say("/exit");
    chat.finish();
    assert!(dev.orders().is_empty());
}

#[test]
fn panic_says_what_it_could_not_do() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    detached(&home, "buy 2 phones");
    drop(dev);
    let receipt = agentctl(&home).args(["panic", "--json"]).run().code(1).json();
    assert_eq!((&receipt["ok"], receipt["abandoned"].as_array().unwrap().len()), (&json!(false), 1), "{receipt}");
    assert!(receipt["not_done"][0].as_str().unwrap().contains("not revoked at the server"), "{receipt}");
    home.set("AGENTCTL_STORE_PASSPHRASE", "another");
    let receipt = agentctl(&home).args(["panic", "--json"]).run().code(1).json();
    assert_eq!(receipt["generation"], 2, "{receipt}");
}

#[test]
fn no_command_acts_after_a_stop_that_left_the_login() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    let passphrase = home.env()["AGENTCTL_STORE_PASSPHRASE"].clone();
    home.set("AGENTCTL_STORE_PASSPHRASE", "another");
    agentctl(&home)
        .arg("panic")
        .run()
        .code(1)
        .out(&["the login was not revoked", "run this again when that is mended"]);
    home.set("AGENTCTL_STORE_PASSPHRASE", &passphrase);
    agentctl(&home).arg("token").run().code(13).silent().err(&["stopped with `agentctl panic`", "agentctl login"]);
    agentctl(&home).args(["connections", "disconnect", "okta", "--yes"]).run().code(13);
    let held = dev.get("/connections")["connections"].as_array().unwrap().clone();
    assert!(held.iter().any(|one| one["person"] == "ada" && one["connection"] == "okta"), "{held:?}");
    let entries = agentctl(&home).args(["audit", "list", "--json"]).run().code(0).json();
    assert!(!entries.to_string().contains("agentctl token"), "{entries}");
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    agentctl(&home).arg("token").run().code(0);
}

/// Nobody holds that run, as far as can be told; so nobody else would write the end of its call.
#[test]
fn a_lock_file_that_cannot_be_opened_is_no_process_at_work() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    let row = pending(&home).remove(0);
    let (id, run) = (row["id"].as_str().unwrap(), row["run"].as_str().unwrap());
    let lease = home.path().join("agentctl/state/leases").join(format!("{run}.lock"));
    std::fs::remove_file(&lease).unwrap();
    std::fs::create_dir(&lease).unwrap();
    let resumed = agentctl(&home).args(["resume", "--last"]).run().code(1).err(&["is not a regular file"]);
    assert!(!resumed.stderr.contains("another agentctl process"), "{resumed}");
    agentctl(&home).args(["approvals", "abandon", id]).run().code(1).err(&["is not a regular file"]);
    agentctl(&home).arg("panic").run().code(1).out(&["✗ the end of apr_", "is not a regular file"]);
    std::fs::remove_dir(&lease).unwrap();
    agentctl(&home).args(["approvals", "abandon", id]).run().code(0);
    let found = agentctl(&home).args(["audit", "verify", "--json"]).run().code(0).json();
    assert_eq!(found["without_end"], json!([]), "{found}");
}

#[test]
fn panic_ends_though_the_keyring_hangs_and_the_network_is_down() {
    let Some(keyring) = Keyring::start() else { return };
    let dev = Dev::start();
    let home = keyring.logged_in(&dev);
    detached(&home, "buy 2 phones");
    drop(dev);
    keyring.hang();
    let receipt = agentctl(&home).args(["panic", "--json"]).run().code(1);
    let told = agentctl(&home).arg("panic").run().code(1);
    keyring.recover();
    let receipt = receipt.json();
    assert_eq!(receipt["abandoned"].as_array().unwrap().len(), 1, "what waits needs no keyring: {receipt}");
    let text = receipt["not_done"].to_string();
    assert!(text.contains("login was not revoked") && text.contains("could not be sealed"), "{receipt}");
    told.out(&["✓ nothing more is carried out", "✓ the audit log has it", "✗ the login was not revoked"]);
    agentctl(&home).args(["audit", "verify"]).run().code(0);
}

/// How often each action has a request and a response in the log.
pub(super) fn logged(home: &Home) -> Vec<(String, Vec<String>)> {
    let entries = agentctl(home).args(["audit", "list", "--json"]).run().code(0).json();
    let mut actions: Vec<(String, Vec<String>)> = Vec::new();
    for entry in entries["entries"].as_array().unwrap() {
        let Some(action) = entry["action"].as_str() else { continue };
        let kind = entry["kind"].as_str().unwrap().to_owned();
        match actions.iter_mut().find(|(known, _)| known == action) {
            Some((_, kinds)) => kinds.push(kind),
            None => actions.push((action.to_owned(), vec![kind])),
        }
    }
    actions
}

#[test]
fn whatever_is_killed_while_it_gives_up_is_completed_by_the_next_time() {
    let dev = Dev::start();
    for step in [
        "after:stop_raised",
        "before:abandoned",
        "after:abandoned",
        "before:given_up",
        "after:given_up",
        "before:panic_logged",
    ] {
        let home = dev.logged_in();
        detached(&home, "buy 2 phones");
        let killed = agentctl(&home).arg("panic").env("AGENTCTL_TEST_DIE_AT", step).run();
        assert_eq!(killed.status.code(), None, "{step}: it was to be killed\n{killed}");
        // What was killed has stopped everything already.
        let refused = agentctl(&home).args(["resume", "--last"]).run();
        assert_ne!(refused.status.code(), Some(0), "{step}\n{refused}");
        agentctl(&home).arg("panic").run().code(0).out(&["nothing more is carried out", "the audit log has it"]);
        assert!(pending(&home).is_empty(), "{step}");
        for (action, kinds) in logged(&home).iter().filter(|(_, kinds)| kinds.len() > 1) {
            assert_eq!(kinds, &["request", "response"], "{step}: {action}");
        }
        let found = agentctl(&home).args(["audit", "verify", "--json"]).run().code(0).json();
        // That of the command that was killed, too.
        assert_eq!((&found["without_end"], &found["bad"]), (&json!([]), &json!([])), "{step}");
    }
    for step in ["before:abandoned", "after:abandoned", "before:given_up", "after:given_up"] {
        let home = dev.logged_in();
        detached(&home, "buy 2 phones");
        let id = pending(&home)[0]["id"].as_str().unwrap().to_owned();
        let abandon = || agentctl(&home).args(["approvals", "abandon", id.as_str()]);
        let killed = abandon().env("AGENTCTL_TEST_DIE_AT", step).run();
        assert_eq!(killed.status.code(), None, "{step}: it was to be killed\n{killed}");
        match step {
            // All of it was written down before it died.
            "after:given_up" => abandon().run().code(2).err(&["nothing to give up"]),
            _ => abandon().run().code(0).err(&["Given up"]),
        };
        let found = agentctl(&home).args(["audit", "verify", "--json"]).run().code(0).json();
        assert_eq!(found["without_end"], json!([]), "{step}");
        let of: Vec<Value> = logged(&home).into_iter().map(|(_, kinds)| json!(kinds)).collect();
        assert_eq!(of, [json!(["request", "response"])], "{step}");
        agentctl(&home).args(["resume", "--last"]).run();
        abandon().run().code(2).err(&["nothing to give up"]);
    }
    assert!(dev.orders().is_empty());
}
