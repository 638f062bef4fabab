//! A disk that is full, or may not be written: nothing is done, and what was there stays.

use crate::support::{Dev, Home, Output, agentctl, command, peer_is_missing, program};

/// Buys in a mount namespace of its own, with a file system of its own in the place of the state folder. Rights alone
/// would not stop a test that runs as root.
fn buy_with(home: &Home, options: &str) -> Option<Output> {
    let apart = || command(home, program("unshare").unwrap_or_default()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let works = program("unshare").map(|_| apart().args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).run());
    if works.is_none_or(|output| output.status.code() != Some(0)) {
        peer_is_missing("a mount namespace", "unshare -rm must be allowed");
        return None;
    }
    let state = agentctl(home).args(["config", "path", "--json"]).run().code(0).json()["state"].clone();
    let state = state.as_str().unwrap();
    let script = format!("mkdir -p {state} && mount -t tmpfs -o {options} none {state} && exec \"$@\"");
    let binary = env!("CARGO_BIN_EXE_agentctl");
    let buy = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2"];
    Some(apart().args(["-rm", "sh", "-c", &script, "sh", binary]).args(buy).run())
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
