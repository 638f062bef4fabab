//! A log that somebody else wrote: it never passes as sealed by our key.

#![no_main]

use std::fs;

use agentctl::store::{
    audit::{Audit, Seal},
    seal::DataKey,
};
use agentctl_fuzz::parts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [log, head, rotated] = parts(data);
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("audit.jsonl"), log).expect("a file");
    if !head.is_empty() {
        fs::write(at("audit.head"), head).expect("a file");
    }
    if !rotated.is_empty() {
        fs::write(at("audit-000000000007.jsonl"), rotated).expect("a file");
    }
    let audit = Audit::open(folder.path());
    audit.unlock(&DataKey::from_bytes(&[7; DataKey::LEN]).expect("a key"), true);
    if let Ok(verdict) = audit.verify(|_, _| Ok(())) {
        // A seal that somebody made up may be there, but it proves nothing, and is told.
        assert!(!matches!(verdict.seal, Seal::UpTo(_)), "a seal that nobody made: {verdict:?}");
        assert!(verdict.checkpoints == 0 || !verdict.bad.is_empty(), "a seal that does not fit: {verdict:?}");
    }
    let _ = audit.list();
});
