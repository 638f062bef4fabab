//! A policy file: it is read or refused.

#![no_main]

use agentctl::policy::{Author, PolicyFile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = PolicyFile::parse(Author::User, "policy.toml".into(), text);
});
