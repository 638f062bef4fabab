//! Many processes with one login, one journal and one log. What is raced for elsewhere: pushes (`approval.rs`: five a minute
//! over all processes, one at a time), a run (`durable`: of two processes one goes on), the log (`audit.rs`).

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    Dev, Home, Keyring, Output, Running, Terminal, agentctl, calls, crowded, no_secret_is_seen, wait_until,
};

/// A login whose access tokens are old, at a server that ends the login if a refresh token is used twice.
fn stale() -> (Dev, Home) {
    let dev = Dev::with(&["--interval", "1", "--leeway", "0"]);
    let home = dev.logged_in();
    dev.advance(100_000);
    // Whoever refreshes takes so long that all the others come meanwhile.
    dev.fault(&json!({ "on": "refresh", "kind": "delay", "when": "after", "delay_ms": 2000 }));
    (dev, home)
}

/// Starts all of them before the first has ended.
fn crowd(home: &Home, count: usize, args: &[&str]) -> Vec<Output> {
    let start = |_| agentctl(home).args(args.iter().copied()).start();
    let all: Vec<Running> = (0..count).map(start).collect();
    all.into_iter().map(Running::finish).collect()
}

#[test]
fn a_hundred_processes_refresh_once() {
    let _crowd = crowded();
    let (dev, home) = stale();
    let outputs = crowd(&home, 100, &["token"]);
    let tokens: BTreeSet<String> = outputs.into_iter().map(|output| output.code(0).stdout).collect();
    assert_eq!((tokens.len(), dev.history("refresh").len()), (1, 1), "{tokens:?}");
    // The login lives: its newest refresh token is the one that was kept.
    dev.advance(100_000);
    agentctl(&home).arg("token").run().code(0);
    assert_eq!(dev.history("refresh").len(), 2);
}

#[test]
fn a_crowd_of_readers_refreshes_once() {
    let _crowd = crowded();
    let (dev, home) = stale();
    for output in crowd(&home, 30, &["tools", "call", "search_products", "--arg", "query=phones"]) {
        output.code(0).out(&["Finch Mini"]);
    }
    assert_eq!((dev.history("refresh").len(), dev.history("shop").len()), (1, 30));
    assert_eq!(calls(&home).values().filter(|call| call.outcome.as_deref() == Some("done")).count(), 30);
}

/// The answer to the refresh of one is lost, and the others come meanwhile: no token is used that was used before.
#[test]
fn a_crowd_whose_first_loses_its_answer_is_told_to_log_in() {
    let _crowd = crowded();
    let dev = Dev::with(&["--interval", "1", "--leeway", "0"]);
    let home = dev.logged_in();
    dev.advance(100_000);
    dev.fault(&json!({ "on": "refresh", "kind": "drop", "when": "after" }));
    let codes: Vec<Option<i32>> = crowd(&home, 12, &["token"]).iter().map(|output| output.status.code()).collect();
    // The same token is asked for once more, because the request may not have arrived; it had, so the login is over.
    assert!(codes.iter().all(|code| *code == Some(4)), "{codes:?}");
    assert_eq!(dev.history("refresh").len(), 2);
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    agentctl(&home).arg("token").run().code(0);
}

/// A purchase whose push is out.
fn waiting(home: &Home) -> Running {
    let running = agentctl(home).args(["run", "buy 2 phones"]).start();
    running.wait_for_stderr("Waiting for your approval");
    running
}

fn approve(dev: &Dev) {
    dev.post("/approvals/latest/approve", &json!({}));
}

#[test]
fn another_login_of_the_same_person_ends_what_waits() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let running = waiting(&home);
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    approve(&dev);
    let output = running.finish().code(13).err(&["the login under which this was begun has ended", "ask for it again"]);
    nothing_bought(&dev, &home, &output, "not_permitted");
}

#[test]
fn a_run_never_acts_as_who_logged_in_meanwhile() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let running = waiting(&home);
    dev.auto("off", "off");
    let login = agentctl(&home).args(["login", "--no-browser"]).start();
    login.wait_for_stderr("Waiting for you");
    dev.post("/logins/latest/approve", &json!({ "person": "grace" }));
    login.finish().code(0).err(&["Grace Hopper"]);
    approve(&dev);
    // The yes was Ada's, and she is not here any more.
    let output = running.finish().code(4).err(&["Approved", "somebody else has logged in here"]);
    nothing_bought(&dev, &home, &output, "login_needed");
    for push in dev.history("ciba") {
        assert!(push["form"]["login_hint"].as_str().unwrap().contains("ada"), "{push}");
    }
    agentctl(&home).arg("whoami").run().code(0).out(&["grace@example.com"]);
}

#[test]
fn a_run_does_not_bring_back_the_login_that_was_ended() {
    let (dev, home) = stale();
    let running = agentctl(&home).args(["tools", "call", "search_products", "--arg", "query=phones"]).start();
    wait_until(Duration::from_secs(60), "a refresh", || (!dev.history("refresh").is_empty()).then_some(()));
    let logout = agentctl(&home).arg("logout").run();
    let output = running.finish();
    assert!([Some(0), Some(4), Some(21)].contains(&output.status.code()), "{output}");
    agentctl(&home).arg("whoami").run().code(4);
    agentctl(&home).arg("token").run().code(4);
    // What the server gave last is not good any more.
    let issued = dev.history("refresh")[0]["answer"]["body"]["refresh_token"].as_str().map(str::to_owned);
    let revoked = dev.history("revoke");
    assert_eq!(revoked.len(), 1, "{logout}");
    if let Some(issued) = issued {
        assert_eq!(revoked[0]["form"]["token"], json!(issued), "the newest one\n{logout}\n{output}");
    }
    no_secret_is_seen(&dev, &home, &[logout, output]);
}

#[test]
fn a_logout_while_a_push_is_out() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let running = waiting(&home);
    agentctl(&home).arg("logout").run().code(0);
    approve(&dev);
    let output = running.finish().code(4).err(&["Approved", "the user has logged out since they were asked"]);
    nothing_bought(&dev, &home, &output, "login_needed");
    agentctl(&home).arg("whoami").run().code(4);
    // The next login finds nothing to go on with.
    dev.auto("approve", "approve");
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    agentctl(&home).args(["resume", "--last"]).run().code(2).err(&["no run waits"]);
    assert!(dev.orders().is_empty());
}

/// The same where another process goes on with the wait.
#[test]
fn a_logout_while_a_resumed_run_waits() {
    let dev = Dev::start();
    let home = dev.logged_in();
    agentctl(&home).args(["run", "--on-approval", "detach", "buy 2 phones"]).run().code(10);
    let resuming = agentctl(&home).args(["resume", "--last"]).start();
    resuming.wait_for_stderr("Waiting for your approval");
    agentctl(&home).arg("logout").run().code(0);
    approve(&dev);
    let output = resuming.finish().code(4).err(&["the user has logged out since they were asked"]);
    nothing_bought(&dev, &home, &output, "login_needed");
}

/// The yes is used up, and the log and the approval say that nothing came of it.
fn nothing_bought(dev: &Dev, home: &Home, output: &Output, outcome: &str) {
    assert!(dev.orders().is_empty(), "{output}");
    let calls = calls(home);
    let ends: Vec<Option<&str>> = calls.values().map(|call| call.outcome.as_deref()).collect();
    assert_eq!(ends, [Some(outcome)], "{output}");
    let list = agentctl(home).args(["approvals", "list", "--all", "--json"]).run().code(0).json();
    assert_eq!(list["approvals"][0]["state"], "abandoned", "{list}");
}

#[test]
fn two_shells_in_one_state_folder() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let shell = |_| Terminal::sized(agentctl(&home).arg("chat"), 100, 40);
    let mut shells: Vec<Terminal> = (0..2).map(shell).collect();
    shells.iter().for_each(|shell| _ = shell.wait_for_prompt());
    for (shell, task) in shells.iter_mut().zip(["buy 2 phones", "buy 3 laptops"]) {
        shell.say(task);
    }
    // The second one asks when the first has its answer.
    for _ in 0..2 {
        wait_until(Duration::from_secs(60), "one push", || {
            (dev.get("/pending")["approvals"].as_array()?.len() == 1).then_some(())
        });
        approve(&dev);
    }
    for mut shell in shells {
        shell.wait_for("order ord_");
        shell.wait_for_prompt();
        shell.control('d');
        let (code, screen) = shell.finish();
        assert_eq!(code, 0, "{screen}");
    }
    let quantities: BTreeSet<u64> = dev.orders().iter().map(|order| order["qty"].as_u64().unwrap()).collect();
    assert_eq!(quantities, BTreeSet::from([2, 3]));
    assert_eq!(calls(&home).len(), 2);
}

#[test]
fn a_keyring_that_hangs_in_the_middle_of_a_run() {
    let Some(keyring) = Keyring::start() else { return };
    let dev = Dev::start();
    let home = keyring.logged_in(&dev);
    let running = waiting(&home);
    keyring.hang();
    approve(&dev);
    // Nobody can say whether the person is still logged in, so nothing is done.
    let output = running.finish().code(21).err(&["nobody knows who is logged in", "did not answer"]);
    keyring.recover();
    assert!(dev.orders().is_empty(), "{output}");
    let ends: Vec<Option<String>> = calls(&home).into_values().map(|call| call.outcome).collect();
    assert_eq!(ends, [Some("failed".to_owned())], "{output}");
    // Six at once while nothing answers: each ends by itself.
    keyring.hang();
    let ends = crowd(&home, 6, &["token"]);
    keyring.recover();
    for output in ends {
        assert_ne!(output.status.code(), Some(0), "{output}");
        assert!(output.stdout.is_empty(), "{output}");
    }
    agentctl(&home).arg("token").run().code(0);
}

/// Another process keeps the log locked, because it hangs.
pub(crate) fn with_a_locked_log(home: &Home) -> std::fs::File {
    let lock = home.path().join("agentctl/state/audit.lock");
    let held = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(lock).unwrap();
    held.lock().unwrap();
    held
}

pub(crate) const SEARCH: &str =
    r#"{ "tool_calls": [{ "name": "search_products", "arguments": { "query": "phones" } }] }"#;

#[test]
fn a_log_that_stays_locked_keeps_nobody_from_ending() {
    let search: Value = serde_json::from_str(SEARCH).unwrap();
    let dev = Dev::scripted(json!([search, search, search]));
    let home = dev.logged_in();
    let held = with_a_locked_log(&home);
    for (signal, code) in [(Some("TERM"), 143), (Some("INT"), 130), (None, 124)] {
        let time: &[&str] = if signal.is_none() { &["--timeout", "10"] } else { &[] };
        let running = agentctl(&home).args(["run", "--json", "find phones"]).args(time.iter().copied()).start();
        if let Some(signal) = signal {
            // The call that it asks for is the next thing.
            running.wait_for_stdout("model.usage");
            std::thread::sleep(Duration::from_millis(500));
            running.signal(signal);
        }
        let output = running.finish().code(code);
        assert!(output.took < Duration::from_secs(19), "{output}");
    }
    held.unlock().unwrap();
    dev.post("/script", &json!({ "turns": [{ "text": "Found." }] }));
    agentctl(&home).args(["resume", "--last"]).run().code(0).out(&["Found."]);
}

/// ^C ends what the shell does, and not the shell.
#[test]
fn a_shell_that_waits_for_a_locked_log_is_not_ended_by_an_interrupt() {
    let search: Value = serde_json::from_str(SEARCH).unwrap();
    let dev = Dev::scripted(json!([search, { "text": "Found." }, { "text": "Found." }]));
    let home = dev.logged_in();
    let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), 100, 40);
    terminal.wait_for_prompt();
    let held = with_a_locked_log(&home);
    terminal.enter("find phones");
    wait_until(Duration::from_secs(60), "the model", || (!dev.history("model").is_empty()).then_some(()));
    std::thread::sleep(Duration::from_millis(500));
    terminal.control('c');
    std::thread::sleep(Duration::from_secs(3));
    held.unlock().unwrap();
    terminal.ask("go on", "Found.");
    terminal.leave();
}
