//! Against a real Secret Service, and what is said when there is none.

use std::time::Duration;

use serde_json::json;

use crate::support::{Dev, Home, Keyring, agentctl};

fn logged_in(keyring: &Keyring) -> (Dev, Home) {
    let dev = Dev::start();
    let home = keyring.logged_in(&dev);
    dev.auto("approve", "approve");
    (dev, home)
}

#[test]
fn a_login_is_kept_used_and_deleted() {
    let Some(keyring) = Keyring::start() else { return };
    let before = keyring.items();
    let (dev, home) = logged_in(&keyring);
    assert!(keyring.items() > before, "nothing was put into the keyring");
    agentctl(&home).arg("whoami").run().code(0).out(&["Secret Service"]);
    agentctl(&home).args(["run", "buy 2 phones"]).run().code(0);
    assert_eq!(dev.orders().len(), 1);
    agentctl(&home).arg("logout").run().code(0);
    agentctl(&home).arg("whoami").run().code(4);
}

/// The lock of a login lies in one place for all processes of a person, as the login does. This server ends a login whose
/// refresh token comes twice.
#[test]
fn two_homes_with_one_login_refresh_one_after_the_other() {
    let Some(keyring) = Keyring::start() else { return };
    let dev = Dev::with(&["--interval", "1", "--leeway", "0"]);
    let mut home = dev.home();
    keyring.serve(&mut home);
    dev.auto("approve", "approve");
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    dev.advance(100_000);
    dev.fault(&json!({ "on": "refresh", "kind": "delay", "when": "after", "delay_ms": 1500 }));
    let elsewhere = home.path().join("elsewhere");
    let homes = [home.env()["AGENTCTL_HOME"].as_str(), elsewhere.to_str().unwrap()];
    let both = homes.map(|place| agentctl(&home).env("AGENTCTL_HOME", place).arg("token").start());
    for running in both {
        running.finish().code(0);
    }
    // What one home keeps is not the other's, so each asks; the newer token is the one that was kept.
    assert_eq!(dev.history("refresh").len(), 2);
    dev.advance(100_000);
    agentctl(&home).arg("token").run().code(0);
}

#[test]
fn a_locked_keyring_is_named_and_nothing_is_lost() {
    let Some(keyring) = Keyring::start() else { return };
    let (dev, home) = logged_in(&keyring);
    keyring.lock();
    let output = agentctl(&home).args(["run", "buy 2 phones"]).run();
    assert_ne!(output.status.code(), Some(0), "{output}");
    assert!(output.stderr.contains("lock"), "{output}");
    assert!(output.took < Duration::from_secs(20), "{output}");
    assert!(dev.orders().is_empty());
}

#[test]
fn a_keyring_that_hangs_does_not_hang_the_program() {
    let Some(keyring) = Keyring::start() else { return };
    let (_dev, home) = logged_in(&keyring);
    keyring.hang();
    let output = agentctl(&home).args(["run", "buy 2 phones"]).run();
    keyring.recover();
    assert_ne!(output.status.code(), Some(0), "{output}");
    assert!(output.took < Duration::from_secs(12), "3 s a call, and few calls\n{output}");
    agentctl(&home).arg("whoami").run().code(0);
}

#[test]
fn without_a_keyring_the_choices_are_named_and_nothing_weaker_is_taken() {
    let dev = Dev::start();
    let mut home = dev.home();
    home.unset("AGENTCTL_STORE");
    home.unset("AGENTCTL_STORE_PASSPHRASE");
    dev.auto("approve", "approve");
    for bus in [None, Some("unix:path=/nonexistent/bus")] {
        match bus {
            Some(bus) => home.set("DBUS_SESSION_BUS_ADDRESS", bus),
            None => home.unset("DBUS_SESSION_BUS_ADDRESS"),
        }
        let output = agentctl(&home).args(["login", "--no-browser"]).run().err(&["--store file"]);
        assert_ne!(output.status.code(), Some(0), "{output}");
    }
    assert!(dev.history("device").is_empty(), "a login was begun that could not be kept");
}
