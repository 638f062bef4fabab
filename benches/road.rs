//! What agentctl itself adds to one call, step by step. `cargo bench --bench road`; for whole processes beside other
//! programs see `benches/peers`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::{collections::BTreeMap, hint::black_box, io::Write as _, path::Path};

use agentctl::{
    call::{ActionId, Digest},
    escape,
    store::{
        audit::Audit,
        journal::{ApprovalChange, ApprovalState, Journal, NewApproval},
    },
    tool::{OriginRules, Registry},
};
use chrono::DateTime;
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;

/// A call becomes a plan: schema, templates, digest.
fn plan(c: &mut Criterion) {
    let settings = BTreeMap::from([("SHOP_API_URL".to_owned(), "https://shop.example/orders".to_owned())]);
    let registry = Registry::load(Path::new("/nonexistent"), &settings, &OriginRules::default()).unwrap();
    let tool = registry.get("buy_product").expect("the shop is offered");
    c.bench_function("plan a purchase", |b| {
        b.iter(|| tool.plan(black_box(r#"{"product":"phones","qty":2,"price_limit":900}"#)).unwrap());
    });
    c.bench_function("load the toolsets", |b| {
        b.iter(|| Registry::load(Path::new("/nonexistent"), black_box(&settings), &OriginRules::default()).unwrap());
    });
    let call =
        json!({"tool": "buy_product", "origin": "https://shop.example", "arguments": {"product": "phones", "qty": 2}});
    c.bench_function("digest a call", |b| b.iter(|| Digest::of(black_box(&call)).unwrap()));
}

/// What every piece of an answer passes on its way to a terminal.
fn escaping(c: &mut Criterion) {
    let plain = "an answer of ordinary words, 900.00 € and nothing to hide. ".repeat(100);
    let hostile = "\u{1b}[31m\u{202e}Approved\u{200b}\r".repeat(100);
    c.bench_function("escape 6 kB of plain text", |b| b.iter(|| escape::text(black_box(&plain)).len()));
    c.bench_function("escape 2 kB of hostile text", |b| b.iter(|| escape::text(black_box(&hostile)).len()));
}

/// The two things that wait for the disk, beside a bare write and fsync of as many bytes.
fn keeping(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let audit = Audit::open(folder.path());
    let body = json!({"tool": "buy_product", "arguments": {"product": "phones", "qty": 2}, "digest": "sha-256:x"});
    c.bench_function("append to the audit log", |b| {
        b.iter(|| audit.request(&ActionId::mint(), at, body.clone()).unwrap());
    });
    let mut file = std::fs::File::create(folder.path().join("raw")).unwrap();
    c.bench_function("write and fsync 300 bytes", |b| {
        b.iter(|| {
            file.write_all(&[b'x'; 300]).unwrap();
            file.sync_data().unwrap();
        });
    });
    let journal = Journal::open(folder.path()).unwrap();
    c.bench_function("one approval, from planned to requested", |b| {
        b.iter(|| {
            let id = agentctl::call::ApprovalId::mint();
            journal
                .insert_approval(&NewApproval {
                    id: id.clone(),
                    action: ActionId::mint(),
                    run: None,
                    issuer: "https://issuer.example/".to_owned(),
                    subject: "ada".to_owned(),
                    client_id: "approval".to_owned(),
                    tool: "buy_product".to_owned(),
                    plan: "{}".to_owned(),
                    digest: "sha-256:x".to_owned(),
                    binding_message: "BUY-2-phones.7F3KQ9ZT".to_owned(),
                    code: "7F3KQ9ZT".to_owned(),
                    login: None,
                    terms: "{}".to_owned(),
                    created_at: at,
                })
                .unwrap();
            let change = ApprovalChange::at(at);
            journal.move_approval(&id, ApprovalState::Planned, ApprovalState::Requested, &change).unwrap();
        });
    });
}

criterion_group! {
    name = road;
    config = Criterion::default().sample_size(30);
    targets = plan, escaping, keeping
}
criterion_main!(road);
