//! The helpers must fail when they should, or the tests that lean on them prove nothing.

use std::{panic, time::Duration};

use serde_json::json;

use crate::support::{Browser, Fake, Home, Idp, Keyring, Reply, Terminal, call, command};

fn fails(work: impl FnOnce() + panic::UnwindSafe) -> String {
    let error = panic::catch_unwind(work).expect_err("it should have failed");
    error
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| error.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap()
}

#[test]
fn a_program_sees_only_its_home_and_its_input() {
    let mut home = Home::new();
    home.set("COLOUR", "red");
    let output = command(&home, "/usr/bin/env").run().code(0);
    let names: Vec<&str> = output.stdout.lines().filter_map(|line| line.split('=').next()).collect();
    assert_eq!(names, ["AGENTCTL_HOME", "COLOUR", "HOME", "LANG", "PATH"]);
    let output = command(&home, "/bin/cat").stdin("two\nlines\n").run().code(0);
    assert_eq!(output.stdout, "two\nlines\n");
    command(&home, "/bin/cat").run().code(0).silent();
}

#[test]
fn a_program_that_hangs_is_killed_and_fails_the_test() {
    let home = Home::new();
    let why = fails(|| drop(command(&home, "/bin/sleep").arg("60").limit(Duration::from_millis(100)).run()));
    assert!(why.contains("it did not end in 100ms"), "{why}");
}

#[test]
fn signals_and_streams_are_seen_while_it_runs() {
    let home = Home::new();
    // Not INT: a shell whose parent ignores it, as that of a background job does, cannot catch it.
    let script = "trap 'echo caught >&2; exit 7' TERM; echo ready; while :; do /bin/sleep 0.01; done";
    let mut running = command(&home, "/bin/sh").args(["-c", script]).start();
    assert_eq!(running.first_line(), "ready");
    running.signal("TERM");
    running.wait_for_stderr("caught");
    running.finish().code(7).err(&["caught"]);
}

#[test]
fn a_fake_insists_on_its_promises() {
    let fake = Fake::start();
    fake.once("GET", "/a", Reply::json(200, &json!({ "ok": true }))).always(
        "POST",
        "/b",
        Reply::text(500, "text/html", "<p>"),
    );
    assert_eq!(call("GET", &format!("{}/a", fake.url()), &[], None).json(), json!({ "ok": true }));
    assert_eq!(call("POST", &format!("{}/b", fake.url()), &[], Some(&json!({}))).status, 500);
    assert_eq!(fake.seen()[1].body, "{}");
    drop(fake);

    let why = fails(|| {
        Fake::start().once("GET", "/never", Reply::text(200, "text/plain", ""));
    });
    assert!(why.contains("nobody asked for [\"GET /never\"]"), "{why}");
    let why = fails(|| {
        let fake = Fake::start();
        call("GET", &format!("{}/surprise", fake.url()), &[], None);
    });
    assert!(why.contains("nobody expected [\"GET /surprise\"]"), "{why}");
}

#[test]
fn a_terminal_shows_the_screen_and_not_the_bytes() {
    let home = Home::new();
    let script = r"printf 'one\ntwo\r\033[31mred\033[0m\n'; read line; echo got $line; exit 3";
    let mut terminal = Terminal::start(command(&home, "/bin/sh").args(["-c", script]));
    let screen = terminal.wait_for("red");
    assert_eq!(screen.lines().collect::<Vec<_>>(), ["one", "red"]);
    terminal.enter("hello");
    let (code, screen) = terminal.finish();
    assert_eq!(code, 3);
    assert!(screen.ends_with("hello\ngot hello"), "{screen}");
}

#[test]
fn a_browser_reads_a_page() {
    let Some(browser) = Browser::start() else { return };
    let fake = Fake::start();
    fake.once(
        "GET",
        "/",
        Reply::text(200, "text/html", "<title>t</title><p>hello <script>document.write('you')</script>"),
    );
    fake.always("GET", "/favicon.ico", Reply::text(404, "text/plain", ""));
    browser.visit(async |driver: thirtyfour::WebDriver| {
        driver.goto(fake.url()).await?;
        assert_eq!(driver.find(thirtyfour::By::Tag("p")).await?.text().await?, "hello you");
        Ok(())
    });
}

#[test]
fn a_keyring_can_be_locked_and_held_up() {
    let Some(keyring) = Keyring::start() else { return };
    assert_eq!(keyring.items(), 0);
    keyring.lock();
    keyring.hang();
    keyring.recover();
    assert_eq!(keyring.items(), 0);
}

#[test]
fn the_other_authorization_server_answers() {
    let Some(idp) = Idp::start() else { return };
    let metadata = call("GET", &format!("{}/.well-known/openid-configuration", idp.issuer()), &[], None).json();
    assert_eq!(metadata["issuer"], idp.issuer());
    assert!(metadata["backchannel_authentication_endpoint"].is_string());
    assert_eq!(idp.history().len(), 1);
}
