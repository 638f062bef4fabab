//! What the process tests lean on. Nothing here knows more of the program than a person at a terminal does.
#![expect(dead_code, reason = "helpers stand ready before every test that needs them is written")]

mod browser;
mod command;
mod counting;
mod dev;
mod fake;
mod home;
mod http;
mod idp;
mod keyring;
mod llama;
mod peers;
mod terminal;
mod witness;

pub(crate) use browser::Browser;
pub(crate) use command::{Command, Output, Running, agentctl, command};
pub(crate) use counting::CountingApi;
pub(crate) use dev::Dev;
pub(crate) use fake::{Fake, Reply};
pub(crate) use home::Home;
pub(crate) use http::{Answer, call, post_form};
pub(crate) use idp::Idp;
pub(crate) use keyring::Keyring;
pub(crate) use llama::Llama;
pub(crate) use peers::{node_peer, peer_is_missing, program, run_peer};
pub(crate) use terminal::{Signal, Terminal};
pub(crate) use witness::{calls, granted_orders, grants, no_secret_is_seen};

use std::{
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
    time::{Duration, Instant},
};

/// A `--timeout` in which a program gets to where it waits for somebody, on a busy machine too.
pub(crate) const SOON: &str = "8s";

/// Waits until `done` gives something; asks every few milliseconds and gives up after `limit`.
pub(crate) fn wait_until<T>(limit: Duration, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < limit, "{what}: still not so after {limit:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Many programs at once leave no processor for anybody else. They wait for those whose answers must not take seconds, and
/// the other way round.
static CROWDED: RwLock<()> = RwLock::new(());

/// No crowd begins as long as this is held.
fn calm() -> RwLockReadGuard<'static, ()> {
    CROWDED.read().unwrap_or_else(PoisonError::into_inner)
}

/// The machine is a crowd's as long as this is held.
pub(crate) fn crowded() -> RwLockWriteGuard<'static, ()> {
    CROWDED.write().unwrap_or_else(PoisonError::into_inner)
}

/// Programs are started one after the other: while the terminal crate starts one, it waits on a pipe that a program
/// started at the same moment by another thread would inherit and keep open.
fn one_spawn_at_a_time() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
