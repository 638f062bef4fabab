//! Real servers that nobody here wrote. `cargo test` alone lists what is missing; CI insists on them.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use super::one_spawn_at_a_time;

/// Says that a test is skipped, and why; fails if `AGENTCTL_REQUIRE_PEERS` insists on the peer.
#[track_caller]
pub(crate) fn peer_is_missing(what: &str, how_to_get_it: &str) {
    let insisted = env::var("AGENTCTL_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(!insisted, "{what} is missing, and AGENTCTL_REQUIRE_PEERS=1 insists on it: {how_to_get_it}");
    // Written past the test runner, which would keep the line of a test that passes to itself.
    use std::io::Write as _;
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    // In one piece and on a line of its own, whatever the runner is writing at that moment.
    let line = format!("\nskipped: {name}: {what} is missing ({how_to_get_it})\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Where a program is, if it is installed.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Node.js in the folder of a peer, or says what is missing.
#[track_caller]
pub(crate) fn node_peer(folder: &str, package: &str) -> Option<Command> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Some(node) = program("node") else {
        peer_is_missing("node", "install Node.js 20.19 or later");
        return None;
    };
    if !path.join("node_modules").join(package).is_dir() {
        peer_is_missing(package, &format!("run `npm ci` in {folder}"));
        return None;
    }
    let mut command = Command::new(node);
    command.current_dir(path).stdin(Stdio::null());
    Some(command)
}

/// Runs a peer to its end.
pub(crate) fn run_peer(command: &mut Command) -> Output {
    let child = {
        let _alone = one_spawn_at_a_time();
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    child.wait_with_output().unwrap()
}
