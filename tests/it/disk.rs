//! A disk that is full, or may not be written: nothing is done, and what was there stays.

use serde_json::json;

use crate::support::{Dev, Home, Output, agentctl, command, peer_is_missing, program};

/// Runs a script in a mount namespace of its own, in which `$1` is the state folder and the rest of the arguments a command.
/// Rights alone would not stop a test that runs as root.
fn apart(home: &Home, script: &str, args: &[&str]) -> Option<Output> {
    let apart = || command(home, program("unshare").unwrap_or_default()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let works = program("unshare").map(|_| apart().args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).run());
    if works.is_none_or(|output| output.status.code() != Some(0)) {
        peer_is_missing("a mount namespace", "unshare -rm must be allowed");
        return None;
    }
    let state = agentctl(home).args(["config", "path", "--json"]).run().code(0).json()["state"].clone();
    let state = state.as_str().unwrap();
    let binary = env!("CARGO_BIN_EXE_agentctl");
    Some(apart().args(["-rm", "sh", "-euc", script, "sh", state, binary]).args(args.iter().copied()).run())
}

/// Buys with a file system of its own in the place of the state folder.
fn buy_with(home: &Home, options: &str) -> Option<Output> {
    let script = format!("mkdir -p \"$1\"; mount -t tmpfs -o {options} none \"$1\"; shift; exec \"$@\"");
    apart(home, &script, &["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2"])
}

#[test]
fn without_room_to_write_nothing_is_done() {
    let dev = Dev::start();
    let home = dev.home();
    dev.auto("approve", "approve");
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    for (options, said) in [("ro", "read-only"), ("size=16k", "disk")] {
        let Some(output) = buy_with(&home, options) else { return };
        let output = output.code(1).silent();
        assert!(output.stderr.to_lowercase().contains(said), "{options}: {output}");
        assert!(dev.orders().is_empty() && dev.history("ciba").is_empty(), "{options}: {output}");
    }
    // The same home with its own disk goes on as if nothing had been.
    agentctl(&home).args(["run", "buy 2 phones"]).run().code(0);
    assert_eq!(dev.orders().len(), 1);
}

/// The state moves to a small disk, which is filled or may not be written any more, and then is as it was.
const TROUBLED: [(&str, &str, &str); 2] = [
    ("read-only", "mount -o remount,ro,bind \"$1\"", "mount -o remount,rw,bind \"$1\""),
    ("disk", "cat /dev/zero > \"$1/fill\" 2> /dev/null || true", "rm \"$1/fill\""),
];

#[test]
fn a_resume_without_room_to_write_loses_nothing() {
    for (said, begin, end) in TROUBLED {
        let dev = Dev::start();
        let home = dev.logged_in();
        agentctl(&home).args(["run", "--on-approval", "detach", "buy 2 phones"]).run().code(10);
        dev.post("/approvals/latest/approve", &json!({}));
        let script = format!(
            "mount -t tmpfs -o size=2m,mode=700 none /mnt; cp -a \"$1/.\" /mnt; mount --bind /mnt \"$1\"; {begin}; state=$1; \
             shift; if \"$@\"; then code=0; else code=$?; fi; echo \"first: $code\"; set -- \"$state\" \"$@\"; {end}; shift; \"$@\""
        );
        let Some(output) = apart(&home, &script, &["resume", "--last"]) else { return };
        let output = output.code(0).out(&["first: 1\n", "ord_"]);
        let told = output.stderr.to_lowercase();
        assert!(told.contains(said) && told.contains("nothing runs that cannot be written down"), "{said}: {output}");
        assert_eq!(dev.orders().len(), 1, "{said}: {output}");
        let pushes =
            dev.history("ciba").iter().filter(|request| request["path"].as_str().unwrap().contains("bc-")).count();
        assert_eq!(pushes, 1, "{said}: {output}");
    }
}
