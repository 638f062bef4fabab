//! What this process may leave behind.

/// Keeps what this process remembers to itself: no core file is written when it crashes, and on Linux no other process of
/// the same person can attach to it or read its memory and its environment. Root can. What is refused is refused: a
/// container may forbid it, and nothing else depends on it.
#[cfg(unix)]
pub(crate) fn keep_memory_private() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Core).maximum;
    // Children get this limit as well and may raise it again.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Windows writes no image of a process unless somebody has set that up, and who may open one is its own business.
#[cfg(not(unix))]
pub(crate) fn keep_memory_private() {}
