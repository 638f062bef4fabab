//! What the program leaves where others might look: files, core files, its memory, its children.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;

use crate::support::{Command, Dev, Home, Terminal, agentctl, command, peer_is_missing, program, wait_until};

const AGENTCTL: &str = env!("CARGO_BIN_EXE_agentctl");

/// The program behind a line of shell.
fn after(home: &Home, line: &str) -> Command {
    command(home, "/bin/sh").args(["-c", &format!("{line}; exec \"$0\" \"$@\""), AGENTCTL])
}

/// Every file and folder below this one, with its rights.
fn rights(folder: &Path, found: &mut Vec<(PathBuf, u32)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        // What the program works on at this moment may be gone by now.
        let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
        found.push((entry.path(), metadata.permissions().mode() & 0o7777));
        if metadata.is_dir() {
            rights(&entry.path(), found);
        }
    }
}

#[track_caller]
fn closed_to_others(home: &Home) {
    let mut found = Vec::new();
    rights(home.path(), &mut found);
    found.retain(|(path, _)| *path != home.work());
    assert!(found.len() > 8, "{found:?}");
    for (path, mode) in found {
        let right = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, right, "{}: {mode:o}", path.display());
    }
}

#[test]
fn files_are_closed_to_others_under_a_loose_umask() {
    let dev = Dev::start();
    let home = dev.home();
    dev.auto("approve", "off");
    after(&home, "umask 0").args(["login", "--no-browser"]).run().code(0);
    let running = after(&home, "umask 0").args(["run", "buy 2 phones"]).start();
    running.wait_for_stderr("Waiting for your approval");
    // Now the journal is open, with the files that the database keeps beside it.
    closed_to_others(&home);
    dev.post("/approvals/latest/approve", &json!({}));
    running.finish().code(0);
    let mut chat = Terminal::start(after(&home, "umask 0").arg("chat"));
    chat.say("what phones are there");
    chat.wait_for("Finch Mini");
    chat.wait_for_prompt();
    chat.control('d');
    assert_eq!(chat.finish().0, 0);
    after(&home, "umask 0").arg("token").run().code(0);
    after(&home, "umask 0").args(["login", "--no-browser", "--no-wait"]).run().code(10);
    after(&home, "umask 0").arg("panic").run().code(0);
    closed_to_others(&home);
}

#[test]
fn no_core_file_is_written() {
    let home = Home::new();
    let unlimited = "ulimit -c unlimited 2> /dev/null || exit 99";
    let other = || command(&home, "/bin/sh").args(["-c", &format!("{unlimited}; kill -ABRT $$")]).run();
    // Any other program leaves one here, though a busy system gives up on some.
    let is_written = (0..5).any(|_| other().status.core_dumped());
    if !is_written && cfg!(not(target_os = "linux")) {
        return peer_is_missing("a system that writes core files", "let `ulimit -c unlimited` succeed");
    }
    let mut tenant = after(&home, unlimited).args(["dev", "--json"]).start();
    tenant.first_line();
    if cfg!(target_os = "linux") {
        let limits = fs::read_to_string(format!("/proc/{}/limits", tenant.id())).unwrap();
        let limit = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
        assert!(limit.trim_start().starts_with("0 "), "{limit}");
    }
    tenant.signal("ABRT");
    let output = tenant.finish();
    assert_eq!(output.status.signal(), Some(6), "{output}");
    assert!(!output.status.core_dumped(), "{output}");
}

/// What a process may not be attached to belongs to root in /proc, whoever runs it.
#[cfg(target_os = "linux")]
#[test]
fn another_process_of_the_same_person_cannot_look_inside() {
    let home = Home::new();
    // Root may look into everything, so the program runs as somebody else.
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let somebody = |program: &Path| {
        let Some(setpriv) = crate::support::program("setpriv").filter(|_| is_root) else {
            return command(&home, program);
        };
        let who = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        command(&home, setpriv).args(who).arg(program)
    };
    if is_root && program("setpriv").is_none() {
        return peer_is_missing("setpriv", "install util-linux, or do not test as root");
    }
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = home.path().join("agentctl-copy");
    fs::copy(AGENTCTL, &copy).unwrap();
    let owner = |id: u32| fs::metadata(format!("/proc/{id}/environ")).unwrap().uid();
    let other = somebody(Path::new("/bin/sleep")).arg("60").start();
    wait_until(Duration::from_secs(60), "another user", || (!is_root || owner(other.id()) == 65534).then_some(()));
    let mut tenant = somebody(&copy).args(["dev", "--json"]).start();
    tenant.first_line();
    assert_eq!(owner(tenant.id()), 0);
}

/// The processes that this one has started and that still run.
#[cfg(target_os = "linux")]
fn children(id: u32) -> String {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap().map(Result::unwrap);
    tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default()).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn a_purchase_starts_no_other_program() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let running = agentctl(&home).args(["run", "buy 2 phones"]).start();
    running.wait_for_stderr("Waiting for your approval");
    assert_eq!(children(running.id()), "");
    dev.post("/approvals/latest/approve", &json!({}));
    running.finish().code(0);
}

#[test]
fn a_browser_is_told_the_address_and_none_of_our_variables() {
    let dev = Dev::start();
    let mut home = dev.home();
    home.set("MY_MODEL_KEY", "sk-of-the-model");
    home.unset("OPENAI_API_KEY");
    let settings = format!("{}/config.toml", home.env()["AGENTCTL_HOME"]);
    fs::create_dir_all(&home.env()["AGENTCTL_HOME"]).unwrap();
    fs::write(&settings, "[profiles.default.model]\napi_key_env = \"MY_MODEL_KEY\"\n").unwrap();
    let (script, seen) = (home.path().join("browser"), home.path().join("seen"));
    let lines = format!("#!/bin/sh\n{{ echo \"$@\"; env; }} > {0}.new\nmv {0}.new {0}\n", seen.display());
    fs::write(&script, lines).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    home.set("BROWSER", script.to_str().unwrap());
    home.set("PATH", "/usr/bin:/bin");
    home.unset("AGENTCTL_TEST_CLOCK"); // of the tests, in no list of the program
    dev.auto("off", "off");
    let mut terminal = Terminal::sized(agentctl(&home).arg("login"), 100, 40);
    terminal.wait_for("Press Enter");
    terminal.enter("");
    let seen = wait_until(Duration::from_secs(60), "the browser", || fs::read_to_string(&seen).ok());
    let address = seen.lines().next().unwrap();
    assert!(address.starts_with("http://127.0.0.1:") && address.contains("user_code="), "{seen}");
    assert!(seen.contains("\nLANG=C.UTF-8"), "the rest of the environment is there: {seen}");
    for name in ["AGENTCTL_", "OPENAI_", "SHOP_", "OKTA_", "MY_MODEL_KEY"] {
        assert!(!seen.contains(name), "{name} in {seen}");
    }
    for secret in dev.secrets() {
        assert!(!seen.contains(&secret), "{secret} in {seen}");
    }
    terminal.control('c');
}

/// Only the program itself knows the argument; for a person it is a usage error, and no page of any kind is opened by it
/// that could not be opened anyway.
#[test]
fn the_way_to_a_browser_opens_nothing_else() {
    let mut home = Home::new();
    let (script, seen) = (home.path().join("browser"), home.path().join("seen"));
    fs::write(&script, format!("#!/bin/sh\necho \"$@\" > {}\n", seen.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    home.set("BROWSER", script.to_str().unwrap());
    for bad in ["file:///etc/passwd", "http://shop.example/", "javascript:alert(1)", "--help"] {
        agentctl(&home).args(["--only-open-this-page", bad]).run().code(2);
    }
    assert!(!seen.exists());
    agentctl(&home).args(["--only-open-this-page", "https://shop.example/"]).run().code(0);
    wait_until(Duration::from_secs(60), "the browser", || seen.exists().then_some(()));
}

/// As few files as it takes to say so.
#[test]
fn a_process_that_may_open_hardly_any_files_says_so() {
    let home = Home::new();
    for args in [&["panic"][..], &["whoami"], &["run", "go"]] {
        let line = "ulimit -n 6; exec \"$@\"";
        let shell = ["-c", line, "sh", env!("CARGO_BIN_EXE_agentctl")];
        let output = command(&home, "/bin/sh").args(shell).args(args.iter().copied()).run().code(1);
        output.err(&["this process may open 6 files at once", "ulimit -n"]);
    }
}
