//! Process tests: the finished program, seen from outside.
//!
//! Each starts from an empty environment and a home of its own, and looks at stdout, stderr and the exit code together.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "the helpers of tests may do what tests may: fail loudly, say which case it was, look at the clock, and read what CI has set"
)]

mod support;

mod abandon;
mod approval;
mod attackers;
mod audit;
mod audit_proven;
mod audit_session;
mod benches;
mod bounds;
mod browser;
mod chat;
mod cmd;
mod commands;
mod completion;
mod conformance;
mod connections;
mod decisions;
mod details;
mod disk;
mod doctor;
mod documents;
mod durable;
mod echo;
mod exit_codes;
mod faults;
mod forged_rows;
mod forger;
mod guard;
mod hints;
mod hostile;
mod hygiene;
mod identity;
mod keyring;
mod ladder;
mod limits;
mod login;
mod paste;
mod peers;
mod peers_fga;
mod peers_llama;
mod peers_vault;
mod places;
mod races;
mod readme;
mod repeated;
mod rights;
mod run;
mod screens;
mod session;
mod settings;
mod shell;
mod supply;
mod support_itself;
mod surroundings;
mod tidy;
mod tls;
#[cfg(target_os = "linux")]
mod unread;
mod ways;
