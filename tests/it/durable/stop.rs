//! What a stop reaches: the pause between two tries, what was cut off before it, a login that began before it, and whoever
//! shares the login from another state folder.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{approve, detached, pending, pushes};
use crate::support::{Command, Dev, Home, Keyring, Output, Running, SOON, agentctl, wait_until};

fn until_asked(dev: &Dev, of: &str) {
    wait_until(Duration::from_secs(60), of, || (!dev.history(of).is_empty()).then_some(()));
}

fn panic(home: &Home, code: i32) -> Output {
    agentctl(home).args(["panic", "--json"]).run().code(code)
}

/// The calls of the log that have no end.
fn open_calls(home: &Home) -> Value {
    agentctl(home).args(["audit", "verify", "--json"]).run().code(0).json()["without_end"].clone()
}

/// Logs in again, and goes on with the run; nobody answers a push.
fn resumed(dev: &Dev, home: &Home) -> Output {
    dev.auto("approve", "off");
    agentctl(home).args(["login", "--no-browser"]).run().code(0);
    agentctl(home).args(["resume", "--last", "--timeout", SOON]).run()
}

#[test]
fn nothing_leaves_in_the_pause_between_two_tries() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    dev.fault(&json!({ "on": "shop", "kind": "status", "status": 503, "retry_after_s": 4 }));
    let running = agentctl(&home).args(["run", "buy 2 phones"]).start();
    until_asked(&dev, "shop");
    let receipt = panic(&home, 1).json();
    assert!(
        receipt["not_done"][0].as_str().unwrap().contains("is being carried out and may have happened"),
        "{receipt}"
    );
    let output = running.finish().code(13);
    assert_eq!((dev.history("shop").len(), dev.orders().len()), (1, 0), "{output}");
    let calls = agentctl(&home).args(["audit", "list", "--json"]).run().code(0).json().to_string();
    assert!(calls.contains("the effect may have happened; it was not sent again: everything was stopped"), "{calls}");
    assert_eq!(open_calls(&home), json!([]));
    // The run has ended, and no call of it is open: the model has not had its say.
    let output = resumed(&dev, &home).code(21).out(&["I do not know whether the order was placed"]);
    output.err(&["error: whether buy_product happened is not known; look before you ask for it again"]);
    assert_eq!((dev.history("shop").len(), dev.orders().len()), (1, 0));
}

/// A purchase that is killed while the shop has its request.
pub(super) fn cut(dev: &Dev, home: &Home, command: &[&str]) {
    dev.auto("approve", "approve");
    dev.fault(&json!({ "on": "shop", "kind": "delay", "delay_ms": 60_000 }));
    let running = agentctl(home).args(command.iter().copied()).start();
    until_asked(dev, "shop");
    running.signal("KILL");
    running.finish();
}

const BUY: [&str; 7] = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2"];

#[test]
fn what_was_cut_while_it_was_carried_out_is_not_sent_again_after_a_stop() {
    for command in [&["run", "buy 2 phones"][..], &BUY] {
        let dev = Dev::start();
        let home = dev.logged_in();
        cut(&dev, &home, command);
        let receipt = panic(&home, 1).json();
        assert!(
            receipt["not_done"][0].as_str().unwrap().contains("it may have happened, and is not sent again"),
            "{receipt}"
        );
        let journal = Connection::open(home.path().join("agentctl/state/journal.db")).unwrap();
        let row = journal.query_row("SELECT state, sealed_token IS NULL FROM approvals", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))
        });
        assert_eq!(row.unwrap(), ("unknown_outcome".to_owned(), true), "the token lies there still");
        assert_eq!(open_calls(&home), json!([]));
        // All of it was said, and is done.
        assert_eq!(panic(&home, 0).json()["not_done"], json!([]));
        let output = resumed(&dev, &home);
        assert_eq!((dev.history("shop").len(), dev.orders().len(), pushes(&dev)), (1, 0, 1), "{output}");
        assert_ne!(output.status.code(), Some(0), "{output}");
    }
}

#[test]
fn what_was_cut_before_the_question_is_over_after_a_stop() {
    for step in ["after:call_opened", "before:audit_request", "after:audit_request"] {
        for command in [&["run", "buy 2 phones"][..], &BUY] {
            let dev = Dev::start();
            let home = dev.logged_in();
            agentctl(&home).args(command.iter().copied()).env("AGENTCTL_TEST_DIE_AT", step).run();
            let receipt = panic(&home, 0).json();
            let told = receipt["done"].to_string();
            assert!(told.contains("everything was stopped before anything was done"), "{step}: {receipt}");
            assert_eq!(open_calls(&home), json!([]), "{step}");
            let output = resumed(&dev, &home);
            assert_eq!(pushes(&dev), 0, "{step}: {output}");
        }
    }
}

#[test]
fn a_denial_that_somebody_else_learnt_is_the_end_of_its_call_after_a_stop() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    let id = pending(&home)[0]["id"].as_str().unwrap().to_owned();
    dev.post("/approvals/latest/deny", &json!({}));
    agentctl(&home).args(["approvals", "wait", &id]).run().code(11);
    let receipt = panic(&home, 0).json();
    assert!(receipt["done"].to_string().contains(&format!("ended as denied: {id}")), "{receipt}");
    assert_eq!(open_calls(&home), json!([]));
}

#[test]
fn a_run_that_a_process_has_in_hand_ends_its_own_calls() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.fault(&json!({ "on": "fga", "kind": "delay", "delay_ms": 4000 }));
    let running = agentctl(&home).args(["run", "buy 2 phones"]).start();
    until_asked(&dev, "fga");
    let receipt = panic(&home, 0).json();
    assert!(!receipt["done"].to_string().contains("buy_product"), "{receipt}");
    running.finish().code(13);
    assert_eq!((pushes(&dev), open_calls(&home)), (0, json!([])));
}

fn logging_in(dev: &Dev, home: &Home) -> Running {
    dev.auto("off", "off");
    let login = agentctl(home).args(["login", "--no-browser"]).start();
    login.wait_for_stderr("Waiting for you");
    login
}

#[test]
fn a_login_that_began_before_a_stop_comes_to_nothing() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let login = logging_in(&dev, &home);
    agentctl(&home).arg("panic").run().code(0);
    // It does not wait to be approved: that would be for nothing.
    login.finish().code(13).err(&["after this login had begun; nothing came of it", "run `agentctl login` again"]);
    agentctl(&home).arg("whoami").run().code(4);
    // One that begins now ends the stop.
    dev.auto("approve", "approve");
    agentctl(&home).args(["login", "--no-browser"]).run().code(0).err(&["The stop of `agentctl panic` is over"]);
    agentctl(&home).args(["run", "buy 2 phones"]).run().code(0);
}

/// The answer with the tokens is on its way when the stop comes.
#[test]
fn tokens_that_arrive_after_a_stop_are_nobodys_login() {
    let dev = Dev::start();
    let home = dev.home();
    dev.fault(&json!({ "on": "device_poll", "kind": "delay", "delay_ms": 5000 }));
    let login = logging_in(&dev, &home);
    until_asked(&dev, "device_poll");
    dev.post("/logins/latest/approve", &json!({}));
    agentctl(&home).arg("panic").run().code(0);
    login.finish().code(13).err(&["after this login had begun; nothing came of it"]);
    agentctl(&home).arg("whoami").run().code(4);
    assert_eq!(dev.history("revoke").len(), 1, "what nobody keeps is ended at the server, too");
}

#[test]
fn a_login_that_was_written_down_before_a_stop_comes_to_nothing() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    dev.auto("off", "off");
    agentctl(&home).args(["login", "--no-wait"]).run().code(10);
    let passphrase = home.env()["AGENTCTL_STORE_PASSPHRASE"].clone();
    // A store that cannot be opened keeps what `panic` would have deleted.
    home.set("AGENTCTL_STORE_PASSPHRASE", "another");
    agentctl(&home).arg("panic").run().code(1);
    home.set("AGENTCTL_STORE_PASSPHRASE", &passphrase);
    dev.post("/logins/latest/approve", &json!({}));
    agentctl(&home).args(["login", "--complete"]).run().code(13).err(&["after this login had begun"]);
    agentctl(&home).arg("token").run().code(13);
    // Begun after the stop, it ends it.
    agentctl(&home).args(["login", "--no-wait"]).run().code(10);
    dev.post("/logins/latest/approve", &json!({}));
    agentctl(&home).args(["login", "--complete"]).run().code(0).err(&["The stop of `agentctl panic` is over"]);
    agentctl(&home).arg("token").run().code(0);
}

/// The same person with the same credentials and another state folder.
fn elsewhere(home: &Home, state: &str) -> Command {
    let state = home.path().join(state);
    agentctl(home).env("XDG_STATE_HOME", state.to_str().unwrap())
}

fn two_state_folders(dev: &Dev, home: &Home, store: &str) {
    let (a, b) = (|| elsewhere(home, "a"), || elsewhere(home, "b"));
    dev.auto("approve", "off");
    a().args(["login", "--no-browser"]).run().code(0);
    b().arg("whoami").run().code(0);
    let detached = b().args(["run", "--on-approval", "detach", "--json", "buy 2 phones"]).run().code(10);
    let detached = detached.lines().pop().unwrap()["run"].as_str().unwrap().to_owned();
    dev.post("/approvals/latest/approve", &json!({}));
    let running = b().args(["run", "buy 1 phones"]).start();
    running.wait_for_stderr("Waiting for your approval");
    let receipt = a().arg("panic").run().code(0);
    receipt.out(&[&format!("any agentctl process of yours with the credentials in {store}"), "of yours in /"]);
    approve(dev);
    running.finish().code(13).err(&["everything was stopped"]);
    b().args(["tools", "call", "search_products", "--arg", "query=phones"]).run().code(4);
    // A login elsewhere is not for what was in hand here either.
    a().args(["login", "--no-browser"]).run().code(0);
    let output = b().args(["resume", &detached, "--timeout", SOON]).run();
    assert_eq!((dev.orders().len(), pushes(dev)), (0, 2), "{output}");
    output.err(&["everything was stopped before anything was done"]);
    b().args(["tools", "call", "search_products", "--arg", "query=phones"]).run().code(0);
}

#[test]
fn a_stop_reaches_whoever_shares_the_file_of_credentials() {
    let dev = Dev::start();
    let mut home = dev.home();
    home.unset("AGENTCTL_HOME");
    two_state_folders(&dev, &home, "sealed file");
}

#[test]
fn a_stop_reaches_whoever_shares_the_keyring() {
    let Some(keyring) = Keyring::start() else { return };
    let dev = Dev::start();
    let mut home = dev.home();
    keyring.serve(&mut home);
    home.unset("AGENTCTL_HOME");
    two_state_folders(&dev, &home, "");
}

#[test]
fn settings_that_cannot_be_read_are_said_to_keep_the_stop_from_others() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let config = home.path().join("agentctl/config.toml");
    std::fs::write(config, "no = toml = at all").unwrap();
    let receipt = agentctl(&home).arg("panic").run().code(1);
    receipt.out(&["✓ nothing more is carried out", "✗ agentctl processes that have their state elsewhere go on"]);
}

#[test]
fn a_server_that_does_not_revoke_in_time_leaves_no_login_here() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.fault(&json!({ "on": "revoke", "kind": "delay", "delay_ms": 60_000 }));
    let receipt = agentctl(&home).arg("panic").run().code(1);
    let receipt =
        receipt.out(&["✗ the login is deleted here, but it is not revoked at the server", "did not answer in time"]);
    assert!(receipt.took < Duration::from_secs(20), "{receipt}");
    agentctl(&home).arg("whoami").run().code(4);
}

/// Another process has the grant in hand: it renews it, and the server does not answer.
#[test]
fn a_login_that_is_being_renewed_is_deleted_and_does_not_come_back() {
    let dev = Dev::with(&["--interval", "1", "--leeway", "0"]);
    let home = dev.logged_in();
    dev.advance(100_000);
    dev.fault(&json!({ "on": "refresh", "kind": "delay", "when": "after", "delay_ms": 9000 }));
    let renewing = agentctl(&home).arg("token").start();
    until_asked(&dev, "refresh");
    agentctl(&home).arg("panic").run();
    agentctl(&home).arg("whoami").run().code(4);
    renewing.finish().code(13).silent().err(&["everything was stopped"]);
    agentctl(&home).arg("whoami").run().code(4);
}
