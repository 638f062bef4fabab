//! What the audit log costs, beside the least that it could cost. `cargo bench --bench audit`; `cargo bench --bench audit --
//! 1000000` verifies that many entries (the default).
//!
//! Both sides of a comparison are measured in turns, so that whatever else the machine does falls on both.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot be set up has nothing to measure")]
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use agentctl::{
    call::ActionId,
    proof::Grader,
    store::{audit::Audit, seal::DataKey},
};
use chrono::DateTime;
use serde_json::{Value, json};

const APPENDS: usize = 200;
const ROUNDS: usize = 5;

fn main() {
    let entries = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    append();
    verify(entries);
}

/// A request as a purchase leaves it.
fn body() -> Value {
    json!({
        "actor": {"iss": "https://tenant.example/", "sub": "auth0|ada", "client": "approver", "profile": "default"},
        "run": "run_01a210a7c1b8706a8e8a73f246c1cc32", "tool": "buy_product", "effect": "irreversible",
        "arguments": {"product": "phones", "qty": 2}, "hidden": [], "origin": "https://shop.example",
        "digest": "sha-256:oQAj6V7xZaQFFmIGyauKGPk077sccxtxGAYT_W0ygD4", "spend": "any price",
    })
}

/// An append, durable, beside a bare write and fsync of as many bytes.
fn append() {
    let folder = tempfile::tempdir().unwrap();
    let audit = Audit::open(folder.path());
    audit.unlock(&DataKey::from_bytes(&[7; 32]).unwrap(), true);
    let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    audit.request(&ActionId::mint(), at, body()).unwrap();
    let before = std::fs::metadata(audit.path()).unwrap().len();
    audit.request(&ActionId::mint(), at, body()).unwrap();
    let line = vec![b'x'; usize::try_from(std::fs::metadata(audit.path()).unwrap().len() - before).unwrap()];
    let mut raw = OpenOptions::new().append(true).create(true).open(folder.path().join("raw")).unwrap();
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..APPENDS {
        floor.push(timed(|| raw.write_all(&line).and_then(|()| raw.sync_data()).unwrap()));
        let action = ActionId::mint();
        ours.push(timed(|| audit.request(&action, at, body()).unwrap()));
    }
    let (ours, floor) = (median(ours), median(floor));
    println!("append of {} bytes with fsync   {ours:?}", line.len());
    println!("write and fsync of as many      {floor:?}   ratio {:.2}", ratio(ours, floor));
}

/// The whole log, chain, seals and pairs, beside `sha256sum` over the same bytes.
fn verify(entries: u64) {
    let folder = quick();
    let audit = write(folder.path(), entries);
    let key = DataKey::from_bytes(&[7; 32]).unwrap();
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(timed(|| {
            let sum = Command::new("sha256sum").arg(audit.path()).stdout(Stdio::null()).status().unwrap();
            assert!(sum.success());
        }));
        ours.push(timed(|| {
            let mut grader = Grader::new(&audit, Some(&key));
            let verdict = audit.verify(|link, line| grader.entry(link, line)).unwrap();
            assert!(verdict.is_whole() && verdict.unproven.is_empty() && verdict.entries >= entries, "{verdict:?}");
        }));
    }
    let (ours, floor) = (median(ours), median(floor));
    let bytes = std::fs::metadata(audit.path()).unwrap().len();
    println!("verify of {entries} entries ({} MB)   {ours:?}", bytes / 1_000_000);
    println!("sha256sum of the same bytes        {floor:?}   ratio {:.2}", ratio(ours, floor));
}

/// A folder in memory where there is one: a million times an fsync is another bench.
fn quick() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A log of so many entries and their seals, in one file.
fn write(folder: &Path, entries: u64) -> Audit {
    let audit = Audit::open(folder).with_file_size(u64::MAX);
    audit.unlock(&DataKey::from_bytes(&[7; 32]).unwrap(), true);
    let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    for _ in 0..entries / 2 {
        let action = ActionId::mint();
        audit.request(&action, at, body()).unwrap();
        let response = json!({
            "outcome": "done", "message": "order ord_81: 2 x Finch Mini for 398.00 EUR", "http_status": 201,
            "permission": "not required", "approval": null,
            "token": {"audience": "sample-shop-api", "scopes": ["openid", "product:buy"]},
        });
        audit.response(&action, at, response).unwrap();
    }
    audit.seal(at).unwrap();
    audit
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ratio(ours: Duration, floor: Duration) -> f64 {
    ours.as_secs_f64() / floor.as_secs_f64()
}
