//! How many files this process may have open. The hold on a run is one, and a system may allow as few as 256.

use super::failure::{Failure, Kind};

/// What else is open: the journal, the log, connections, the terminal.
const OTHERS: u64 = 32;
/// The standard streams, and what the runtime waits for signals and sockets with.
const LEAST: u64 = 12;

/// Sees to it that a command can begin: where it could not listen for signals it would break off.
///
/// # Errors
/// If the system does not allow this process as many.
pub(crate) fn for_a_command() -> Result<(), Failure> {
    allow(LEAST).map_err(|most| {
        let why = format!("this process may open {most} files at once, and needs {LEAST} to begin with");
        Failure::new(Kind::Failed, why).hint("allow more (`ulimit -n`)")
    })
}

/// Sees to it that the holds on so many runs can be open at once.
///
/// # Errors
/// If the system does not allow this process as many.
pub(crate) fn for_runs(count: usize) -> Result<(), Failure> {
    let needed = count as u64 + OTHERS;
    allow(needed).map_err(|most| {
        let why = format!("waiting for {count} runs needs {needed} open files, and this process may open {most}");
        Failure::new(Kind::Failed, why)
            .hint("wait for fewer at once (`agentctl approvals wait ID ...`), or allow more files (`ulimit -n`)")
    })
}

/// Raises the limit as far as is needed; what the system allows at most is the error.
#[cfg(unix)]
fn allow(needed: u64) -> Result<(), u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(current) = current.filter(|current| *current < needed) else { return Ok(()) };
    if maximum.is_some_and(|maximum| maximum < needed) {
        return Err(maximum.unwrap_or(current));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).map_err(|_| current)
}

/// Files are not limited so here.
#[cfg(not(unix))]
fn allow(_: u64) -> Result<(), u64> {
    Ok(())
}
