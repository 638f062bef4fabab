//! What `panic` writes and says beside another one, after one that was cut off, without the key, and where a part of it fails.

use std::{fs, path::PathBuf, time::Duration};

use agentctl::{call::ActionId, store::audit::Audit};
use serde_json::{Value, json};

use super::{bad::journal, detached, panic::logged, pending, stop::cut};
use crate::{
    audit::log_file,
    run::own_bell,
    support::{Dev, Fake, Home, Keyring, Output, Reply, Running, SOON, agentctl, wait_until},
};

const LONG: Duration = Duration::from_secs(60);

fn panic(home: &Home) -> Output {
    agentctl(home).args(["panic", "--json"]).run()
}

/// The lines of a receipt.
fn lines<'a>(receipt: &'a Value, of: &str) -> Vec<&'a str> {
    receipt[of].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
}

fn leases(home: &Home) -> PathBuf {
    home.path().join("agentctl/state/leases")
}

/// The lock files that stand for a `panic`.
fn locks(home: &Home) -> Vec<PathBuf> {
    let files = fs::read_dir(leases(home)).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("act_")).collect()
}

/// Nobody is called a forger, and nothing is without an end.
fn all_ended(home: &Home, what: &str) {
    let found = agentctl(home).args(["audit", "verify", "--json"]).run().code(0).json();
    assert_eq!((&found["without_end"], &found["bad"]), (&json!([]), &json!([])), "{what}: {found}");
}

#[test]
fn of_two_at_once_each_writes_its_own_end() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let begun = || fs::read_to_string(log_file(&home)).unwrap().matches(r#""tool":"panic""#).count();
    dev.fault(&json!({ "on": "revoke", "kind": "delay", "delay_ms": 60_000 }));
    let first = agentctl(&home).arg("panic").start();
    wait_until(LONG, "the first", || (!dev.history("revoke").is_empty()).then_some(()));
    let second = agentctl(&home).arg("panic").start();
    wait_until(LONG, "the second", || (begun() == 2).then_some(()));
    // It waits until the first lets go of the login.
    std::thread::sleep(Duration::from_millis(300));
    second.signal("STOP");
    first.finish().code(1).out(&["the audit log has it"]);
    second.signal("CONT");
    second.finish().code(0).out(&["the audit log has it"]);
    let ends: Vec<_> = logged(&home).into_iter().map(|(_, kinds)| kinds).collect();
    assert_eq!(ends, [["request", "response"], ["request", "response"]]);
    all_ended(&home, "both");
    assert_eq!(locks(&home), Vec::<PathBuf>::new());
}

fn killed(home: &Home, env: &[(&str, &str)]) {
    let mut panic = agentctl(home).arg("panic").env("AGENTCTL_TEST_DIE_AT", "before:panic_logged");
    for (name, value) in env {
        panic = panic.env(name, value);
    }
    let killed = panic.run();
    assert_eq!(killed.status.code(), None, "it was to be killed\n{killed}");
}

#[test]
fn one_that_was_cut_off_without_the_key_gets_its_end() {
    let dev = Dev::start();
    for env in [("AGENTCTL_STORE_PASSPHRASE", "another"), ("AGENTCTL_STORE", "memory")] {
        let home = dev.logged_in();
        killed(&home, &[env]);
        // By one that has no key either, and by one that has it.
        killed(&home, &[]);
        for (name, value) in [env, ("NO_COLOR", "1")] {
            let receipt = agentctl(&home).args(["panic", "--json"]).env(name, value).run().json();
            assert!(!receipt["done"].to_string().contains("everything again"), "{receipt}");
            all_ended(&home, name);
            assert_eq!(locks(&home), Vec::<PathBuf>::new());
        }
        let before = logged(&home);
        // What was asked with the key ends with the key: behind the end that was written without it stands another one.
        let kinds: Vec<_> = before.iter().map(|(_, kinds)| kinds.len()).collect();
        assert_eq!(kinds, [2, 3, 2, 2], "{before:?}");
        panic(&home).code(0);
        assert_eq!(logged(&home).len(), before.len() + 1);
        all_ended(&home, env.0);
        assert_eq!(&logged(&home)[..before.len()], &before[..], "what has its end gets no other one");
    }
}

/// Somebody who rings, and whose bell has the request for a while.
fn ringing(dev: &Dev, bell: &Fake) -> (Home, Running) {
    let mut home = dev.logged_in();
    own_bell(&home);
    bell.once("POST", "/ring", Reply::json(200, &json!({})).after(Duration::from_secs(8)));
    home.set("SHOP_API_URL", &format!("{}/ring", bell.url()));
    let running = agentctl(&home).args(["tools", "call", "ring"]).start();
    wait_until(LONG, "a ring", || (!bell.seen().is_empty()).then_some(()));
    (home, running)
}

#[test]
fn what_is_carried_out_without_a_question_is_named() {
    let (dev, bell) = (Dev::start(), Fake::start());
    let (home, running) = ringing(&dev, &bell);
    let action = logged(&home)[0].0.clone();
    let receipt = panic(&home).code(1).json();
    let what = format!("{action} (ring) is being carried out and may have happened");
    assert_eq!(lines(&receipt, "not_done"), [what], "{receipt}");
    assert!(!receipt["done"].to_string().contains("is carried out in run_"), "{receipt}");
    running.finish();
    all_ended(&home, "the ring");
}

/// It ends before the receipt is written, and has happened all the same.
#[test]
fn what_was_carried_out_meanwhile_is_named_too() {
    let (dev, bell) = (Dev::start(), Fake::start());
    let (home, running) = ringing(&dev, &bell);
    dev.fault(&json!({ "on": "revoke", "kind": "delay", "delay_ms": 60_000 }));
    let stopping = agentctl(&home).args(["panic", "--json"]).start();
    wait_until(LONG, "the stop", || (!dev.history("revoke").is_empty()).then_some(()));
    stopping.signal("STOP");
    running.finish();
    stopping.signal("CONT");
    let receipt = stopping.finish().code(1).json();
    let told = receipt["not_done"].to_string();
    assert!(told.contains("(ring) was being carried out when everything was stopped, and ended as done"), "{receipt}");
    all_ended(&home, "the ring");
}

/// Whoever can write the log, and has no key, says of a call that it is a `panic`.
#[test]
fn a_request_that_somebody_put_in_ends_no_call() {
    let (dev, bell) = (Dev::start(), Fake::start());
    let (home, running) = ringing(&dev, &bell);
    let action = logged(&home)[0].0.clone();
    let forged = json!({ "tool": "panic", "arguments": {}, "run": null });
    let log = Audit::open(log_file(&home).parent().unwrap());
    log.request(&ActionId::from_text(action.clone()), chrono::Utc::now(), forged).unwrap();
    panic(&home).code(1);
    running.finish();
    let (_, kinds) = logged(&home).into_iter().find(|(known, _)| *known == action).unwrap();
    assert_eq!(kinds, ["request", "sent", "request", "response"], "its own process writes its end");
}

#[test]
fn what_fails_behind_its_own_end_is_told_as_that() {
    let dev = Dev::start();
    let home = dev.logged_in();
    killed(&home, &[]);
    let [lock] = &locks(&home)[..] else { panic!("one is left: {:?}", locks(&home)) };
    fs::remove_file(lock).unwrap();
    fs::create_dir(lock).unwrap();
    let receipt = panic(&home).code(1).json();
    let told = lines(&receipt, "not_done");
    assert!(told.len() == 1 && told[0].starts_with("the end of an earlier `agentctl panic` (act_"), "{receipt}");
    assert!(
        lines(&receipt, "done").contains(&"the audit log has it, sealed where the credential store lasts"),
        "{receipt}"
    );
    let found = agentctl(&home).args(["audit", "verify", "--json"]).run().code(0).json();
    assert_eq!((&found["seal"]["unsealed"], found["without_end"].as_array().unwrap().len()), (&json!(0), 1), "{found}");
    fs::remove_dir(lock).unwrap();
    panic(&home).code(0);
    all_ended(&home, "the earlier one");
}

/// Two purchases that wait, the older first: each with its approval and its run.
fn two(home: &Home) -> [(String, String); 2] {
    [2, 3].map(|quantity| {
        detached(home, &format!("buy {quantity} phones"));
        let row = pending(home).into_iter().max_by_key(|row| row["id"].to_string()).unwrap();
        ["id", "run"].map(|name| row[name].as_str().unwrap().to_owned()).into()
    })
}

/// Changes the journal as nobody can who lacks its key.
fn edit(home: &Home, sql: &str) {
    agentctl(home).args(["audit", "verify"]).env("AGENTCTL_TEST_JOURNAL", sql).run().code(0);
}

#[test]
fn a_call_that_cannot_be_ended_holds_up_no_other() {
    for later in [0, 86_400_000] {
        let dev = Dev::start();
        let home = dev.logged_in();
        let [(bad, from), (good, to)] = two(&home);
        // The log knows it in another run.
        let sql = format!("UPDATE calls SET run = '{to}', started_at = started_at + {later} WHERE run = '{from}'");
        edit(&home, &sql);
        let receipt = panic(&home).code(1).json();
        assert_eq!(receipt["abandoned"].as_array().unwrap().len(), 2, "{receipt}");
        let told = lines(&receipt, "not_done");
        assert!(told.len() == 1 && told[0].contains(&format!("the end of {bad} is not in the audit log")), "{receipt}");
        assert!(!told[0].contains(&good), "{receipt}");
        let kinds: Vec<_> = logged(&home).into_iter().map(|(_, kinds)| kinds.len()).collect();
        assert_eq!(kinds, [1, 2, 2], "{later}");
    }
}

#[test]
fn a_run_that_cannot_be_read_holds_up_no_other() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let [(first, bad), (second, _)] = two(&home);
    edit(&home, &format!("UPDATE calls SET started_at = {} WHERE run = '{bad}'", i64::MAX));
    let receipt = panic(&home).code(1).json();
    assert_eq!(lines(&receipt, "abandoned"), [first, second], "{receipt}");
    let told = lines(&receipt, "not_done");
    assert!(told.iter().all(|line| line.contains(&bad)), "{receipt}");
    assert!(told.iter().any(|line| line.starts_with("which calls of run_")), "{receipt}");
    let kinds: Vec<_> = logged(&home).into_iter().map(|(_, kinds)| kinds.len()).collect();
    assert_eq!(kinds, [1, 2, 2]);
}

#[test]
fn of_a_run_that_cannot_be_read_nobody_says_that_nothing_is_carried_out() {
    let (dev, bell) = (Dev::start(), Fake::start());
    let (home, running) = ringing(&dev, &bell);
    journal(&home).execute("UPDATE calls SET started_at = ?1", [i64::MAX]).unwrap();
    let receipt = panic(&home).code(1).json();
    assert!(receipt["not_done"].to_string().contains("what is being carried out in run_"), "{receipt}");
    assert!(!receipt["done"].to_string().contains("is carried out in run_"), "{receipt}");
    running.finish();
}

#[test]
fn what_has_its_end_is_not_told_as_without_one() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let [(_, run), _] = two(&home);
    panic(&home).code(0);
    // The conversation has not learnt it yet, and nobody can hold it.
    let lease = leases(&home).join(format!("{run}.lock"));
    fs::remove_file(&lease).unwrap();
    fs::create_dir(&lease).unwrap();
    assert_eq!(panic(&home).code(0).json()["not_done"], json!([]));
}

/// It is gone on with after the next login, and nothing is sent.
fn goes_on(dev: &Dev, home: &Home) {
    agentctl(home).args(["login", "--no-browser"]).run().code(0);
    let resumed = agentctl(home).args(["resume", "--last", "--timeout", SOON]).run();
    assert!(!resumed.stderr.contains("was changed"), "{resumed}");
    assert_ne!(resumed.status.code(), Some(1), "{resumed}");
    assert_eq!((dev.history("shop").len(), dev.orders().len()), (1, 0), "{resumed}");
    all_ended(home, "the purchase");
}

#[test]
fn a_keyring_that_takes_its_time_leaves_a_run_that_can_be_gone_on_with() {
    let Some(keyring) = Keyring::start() else { return };
    let dev = Dev::start();
    let home = keyring.logged_in(&dev);
    cut(&dev, &home, &["run", "buy 2 phones"]);
    keyring.hang();
    let stopping = agentctl(&home).args(["panic", "--json"]).start();
    std::thread::sleep(Duration::from_secs(4));
    keyring.recover();
    let receipt = stopping.finish().code(1).json();
    let told = lines(&receipt, "not_done");
    assert!(told.len() == 1 && told[0].contains("it may have happened, and is not sent again"), "{receipt}");
    goes_on(&dev, &home);
}

/// What was begun is ended by whoever has the key: `panic` itself, or `resume` after the next login.
#[test]
fn without_the_key_what_was_begun_is_named_and_left_to_who_has_it() {
    for again in [true, false] {
        let dev = Dev::start();
        let home = dev.logged_in();
        cut(&dev, &home, &["run", "buy 2 phones"]);
        let keyless = agentctl(&home).args(["panic", "--json"]).env("AGENTCTL_STORE_PASSPHRASE", "another");
        let receipt = keyless.run().code(1).json();
        // Its login was not revoked, and is of no use.
        agentctl(&home).arg("whoami").run().code(13).err(&["everything was stopped with `agentctl panic`"]);
        let begun = |line: &&str| line.contains("was cut off while it was being carried out and may have happened");
        let told = lines(&receipt, "not_done").into_iter().find(begun).unwrap_or_else(|| panic!("{receipt}"));
        assert!(told.contains("the key that it was written with is out of reach"), "{receipt}");
        if again {
            let receipt = panic(&home).code(1).json();
            assert!(
                lines(&receipt, "not_done")[0].contains("it may have happened, and is not sent again"),
                "{receipt}"
            );
        }
        goes_on(&dev, &home);
    }
}

/// A store with a login, and so with a key, of its own.
#[test]
fn the_key_of_another_store_ends_nothing() {
    let Some(keyring) = Keyring::start() else { return };
    let dev = Dev::start();
    let mut home = dev.logged_in();
    cut(&dev, &home, &["run", "buy 2 phones"]);
    let (store, passphrase) = (home.env()["AGENTCTL_STORE"].clone(), home.env()["AGENTCTL_STORE_PASSPHRASE"].clone());
    keyring.serve(&mut home);
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    agentctl(&home).args(["resume", "--last"]).run().code(1);
    let receipt = panic(&home).code(1).json();
    let told = lines(&receipt, "not_done");
    assert!(told[0].contains("the key that it was written with is out of reach"), "{receipt}");
    home.set("AGENTCTL_STORE", &store);
    home.set("AGENTCTL_STORE_PASSPHRASE", &passphrase);
    goes_on(&dev, &home);
}
