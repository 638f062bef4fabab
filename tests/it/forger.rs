//! A forger without the key goes through the log: every entry, every kind of edit, every way to cover it up. Then one genuine
//! command writes behind it, and `verify` judges. No forgery may pass for whole: either something does not hold, or each entry
//! that was not written by agentctl stands in a range of which `verify` says that nothing proves who wrote it.
//!
//! What is documented as not detected is left out, and named where it is: an end behind the last seal that is cut off, and a
//! whole state that is put in the place of another.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use agentctl::{
    call::{ActionId, ApprovalId, Digest},
    proof::Grader,
    store::{
        audit::{Audit, Flaw, Kind, Signed, Token, Verdict, hash_of},
        seal::DataKey,
    },
};
use chrono::{DateTime, SecondsFormat, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};

/// Every file of a state folder.
type Files = BTreeMap<String, Vec<u8>>;
/// The lines of each file of a log, oldest first.
type Lines = Vec<(String, Vec<Vec<u8>>)>;

const SIZE: u64 = 8_000;

fn key() -> DataKey {
    DataKey::from_bytes(&[7; 32]).unwrap()
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn open(folder: &Path) -> Audit {
    let audit = Audit::open(folder).with_file_size(SIZE);
    audit.unlock(&key(), true);
    audit
}

fn read(folder: &Path) -> Files {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// The digest of a call.
fn digest(qty: u32) -> String {
    let call = json!({"arguments": {"qty": qty}, "origin": "https://shop.example", "tool": "buy"});
    Digest::of_bytes(call.to_string().as_bytes()).to_text()
}

/// One call, approved or denied or without an end, with what an issuer signed about it.
struct Shop {
    private: EncodingKey,
    jwk: Value,
}

impl Shop {
    fn new() -> Self {
        use aws_lc_rs::{rand::SystemRandom, signature};
        let curve = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = signature::EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new()).unwrap();
        let private = EncodingKey::from_ec_der(der.as_ref());
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&private, Algorithm::ES256).unwrap()).unwrap();
        jwk["kid"] = json!("k1");
        Self { private, jwk }
    }

    fn ask(&self, audit: &Audit, qty: u32) -> ActionId {
        let action = ActionId::mint();
        let body = json!({
            "actor": {"iss": "https://issuer.example", "sub": "ada", "client": "approver", "profile": "default"},
            "tool": "buy", "effect": "irreversible", "arguments": {"qty": qty}, "origin": "https://shop.example",
            "digest": digest(qty),
        });
        audit.request(&action, at(), body).unwrap();
        action
    }

    fn buy(&self, audit: &Audit, qty: u32, outcome: &str) {
        let action = self.ask(audit, qty);
        let approval = ApprovalId::mint();
        let now = at().timestamp();
        let request = format!("request {approval}");
        let claims = json!({
            "iss": "https://issuer.example", "sub": "ada", "aud": "approver", "iat": now, "exp": now + 300,
            "urn:openid:params:jwt:claim:auth_req_id": request,
        });
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::ES256) };
        let jwt = jsonwebtoken::encode(&header, &claims, &self.private).unwrap();
        let signed = Signed::seal(&key(), &approval, Token::IdToken, &jwt, self.jwk.clone()).unwrap();
        let time = at().to_rfc3339_opts(SecondsFormat::Secs, true);
        let evidence = json!({
            "approval": approval, "binding": "details", "issuer": "https://issuer.example", "client": "approver",
            "subject": "ada", "auth_req_id_sha256": hash_of(request.as_bytes()), "id_token_sha256": signed.sha256,
            "requested_at": time, "approved_at": time, "signed": [signed],
        });
        let evidence = if outcome == "done" { evidence } else { Value::Null };
        if outcome != "denied" {
            audit
                .sent(&action, at(), json!({"approval": evidence, "digest": digest(qty), "idempotency_key": "k"}))
                .unwrap();
        }
        audit
            .response(&action, at(), json!({"outcome": outcome, "message": "as it was", "approval": evidence}))
            .unwrap();
    }
}

/// A log of three runs, the last of which was killed while it waited, and how it was after the first.
fn genuine() -> (Files, Files) {
    let (dir, shop) = (tempfile::tempdir().unwrap(), Shop::new());
    let audit = open(dir.path());
    shop.buy(&audit, 1, "done");
    audit.seal(at()).unwrap();
    let early = read(dir.path());
    let audit = open(dir.path());
    shop.buy(&audit, 3, "denied");
    shop.buy(&audit, 2, "done");
    shop.buy(&audit, 5, "failed");
    audit.seal(at()).unwrap();
    shop.ask(&open(dir.path()), 4);
    (read(dir.path()), early)
}

/// What verify says of these files, what one genuine command more writes, and what it says then; and what stands there.
fn judge(files: &Files) -> (Verdict, Verdict, Option<ActionId>, Vec<(u64, String)>) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let before = verify(&open(dir.path()));
    let (audit, action) = (open(dir.path()), ActionId::mint());
    let look = json!({"tool": "look", "effect": "read", "arguments": {}, "origin": "", "digest": null});
    let written = audit.request(&action, at(), look).and_then(|()| {
        audit.response(&action, at(), json!({"outcome": "done", "approval": null}))?;
        drop(audit.seal(at()));
        Ok(action)
    });
    (before, verify(&open(dir.path())), written.ok(), stands(&open(dir.path())))
}

fn verify(audit: &Audit) -> Verdict {
    let key = key();
    let mut grader = Grader::new(audit, Some(&key));
    audit.verify(|link, line| grader.entry(link, line)).unwrap()
}

/// Every entry of a call, as a reader of the log sees it, and its number.
fn stands(audit: &Audit) -> Vec<(u64, String)> {
    let entries = audit.list().unwrap().into_iter();
    let entries = entries.filter(|entry| matches!(entry.kind, Kind::Request | Kind::Sent | Kind::Response));
    entries
        .map(|entry| (entry.seq, format!("{:?} {:?} {} {}", entry.kind, entry.action, entry.time, entry.body)))
        .collect()
}

fn lines(files: &Files) -> Lines {
    let old = files.keys().filter(|name| name.starts_with("audit-")).cloned();
    let split = |text: &[u8]| text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    old.chain(["audit.jsonl".to_owned()]).map(|name| (name.clone(), split(&files[&name]))).collect()
}

fn object(line: &[u8]) -> Value {
    serde_json::from_slice(line).unwrap_or_default()
}

fn line(value: &Value) -> Vec<u8> {
    // In the order in which agentctl writes.
    let names = ["seq", "time", "prev", "kind", "action", "body", "mac"];
    let members = names.iter().filter_map(|name| Some(format!("\"{name}\":{}", value.get(name)?)));
    format!("{{{}}}\n", members.collect::<Vec<_>>().join(",")).into_bytes()
}

fn replaced(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    match text.windows(old.len()).position(|window| window == old) {
        Some(at) => [&text[..at], new, &text[at + old.len()..]].concat(),
        None => text.to_vec(),
    }
}

/// What is done to one line: the lines that stand there instead.
type Edit = fn(&[u8], usize) -> Vec<Vec<u8>>;

const EDITS: [(&str, Edit); 26] = [
    ("deleted", |_, _| vec![]),
    ("twice", |old, _| vec![old.to_vec(), old.to_vec()]),
    ("an empty line behind it", |old, _| vec![old.to_vec(), b"\n".to_vec()]),
    ("garbage before it", |old, _| vec![b"garbage\n".to_vec(), old.to_vec()]),
    ("another time", |old, _| vec![replaced(old, b"\"time\":\"20", b"\"time\":\"19")]),
    ("no time", |old, _| vec![replaced(old, b"\"time\":\"20", b"\"tim\":\"20")]),
    ("a time that is none", |old, _| vec![replaced(old, b"\"time\":\"20", b"\"time\":\"tomorrow 20")]),
    ("another word", |old, _| {
        let old = replaced(old, b"\"outcome\":\"denied\"", b"\"outcome\":\"done\"");
        vec![replaced(&replaced(&old, b"\"qty\":", b"\"qty\":9"), b"as it was", b"as it was not")]
    }),
    ("an empty body", |old, _| changed(old, |entry| entry["body"] = json!({}))),
    ("no body", |old, _| changed(old, |entry| drop(entry.as_object_mut().unwrap().remove("body")))),
    ("no action", |old, _| changed(old, |entry| drop(entry.as_object_mut().unwrap().remove("action")))),
    ("another action", |old, _| changed(old, |entry| entry["action"] = json!("act_01ffffffffff7000a000000000000001"))),
    ("called pruned", |old, _| changed(old, |entry| entry["kind"] = json!("pruned"))),
    ("called a request", |old, _| changed(old, |entry| entry["kind"] = json!("request"))),
    ("called sent", |old, _| changed(old, |entry| entry["kind"] = json!("sent"))),
    ("sent under another key", |old, _| vec![replaced(old, b"\"idempotency_key\":\"k\"", b"\"idempotency_key\":null")]),
    ("called a response", |old, _| changed(old, |entry| entry["kind"] = json!("response"))),
    ("without its MAC", |old, _| changed(old, |entry| drop(entry.as_object_mut().unwrap().remove("mac")))),
    ("a second one that says done", |old, _| {
        let mut second = changed(old, |entry| entry["body"]["outcome"] = json!("done"));
        second.insert(0, old.to_vec());
        second
    }),
    ("copied to another action", |old, n| {
        let id = format!("act_01ffffffffff7000a0000000000{n:05}");
        let mut copy = changed(old, |entry| entry["action"] = json!(id));
        copy.insert(0, old.to_vec());
        copy
    }),
    ("a beginning behind it", |old, _| {
        let begin = json!({"seq": 0, "time": "2027-01-15T08:00:00.000Z", "prev": "", "kind": "begin", "body": {"format": 1, "log": "x"}});
        vec![old.to_vec(), line(&begin)]
    }),
    ("a name twice", |old, _| vec![replaced(old, b"\"arguments\":{", b"\"arguments\":{\"qty\":100,")]),
    ("a tool twice", |old, _| {
        vec![replaced(old, b"\"body\":{", b"\"body\":{\"tool\":\"x\",\"tool\":\"y\",\"outcome\":\"done\",")]
    }),
    ("nested deeply", |old, _| {
        let deep = [b"\"body\":{\"x\":".to_vec(), b"[".repeat(200), b"]".repeat(200), b",".to_vec()].concat();
        vec![replaced(old, b"\"body\":{", &deep)]
    }),
    ("no UTF-8", |old, _| vec![replaced(old, b"\"body\":{", b"\"body\":{\"x\":\"\xff\",")]),
    ("half a surrogate", |old, _| vec![replaced(old, b"\"body\":{", b"\"body\":{\"x\":\"\\ud800\",")]),
];

fn changed(old: &[u8], change: impl FnOnce(&mut Value)) -> Vec<Vec<u8>> {
    let mut entry = object(old);
    change(&mut entry);
    vec![line(&entry)]
}

/// How it is covered up.
#[derive(Clone, Copy, Debug, Default)]
struct Cover {
    /// Numbers and chains are made anew.
    chained: bool,
    /// The seals are taken out.
    bare: bool,
    /// The MACs are taken out.
    macs: bool,
    no_head: bool,
    no_lock: bool,
    /// The log is called by another name, and the lock file, too.
    renamed: bool,
    lock_renamed: bool,
}

const RAW: Cover = Cover {
    chained: false,
    bare: false,
    macs: false,
    no_head: false,
    no_lock: false,
    renamed: false,
    lock_renamed: false,
};
const BARE: Cover = Cover { chained: true, bare: true, macs: true, no_head: true, ..RAW };

const COVERS: [Cover; 12] = [
    RAW,
    Cover { chained: true, ..RAW },
    Cover { chained: true, macs: true, ..RAW },
    Cover { no_head: true, ..RAW },
    Cover { no_head: true, no_lock: true, ..RAW },
    Cover { no_head: false, ..BARE },
    BARE,
    Cover { no_lock: true, ..BARE },
    Cover { renamed: true, ..BARE },
    Cover { renamed: true, no_lock: true, ..BARE },
    Cover { renamed: true, lock_renamed: true, ..BARE },
    Cover { chained: true, no_head: true, no_lock: true, ..RAW },
];

const FOREIGN: &str = "00000000000000000000000000000000";

impl Cover {
    /// The files of a log of these lines, of which the first `keep` stay as they are unless all has to be made anew.
    fn up(self, files: &Files, mut lines: Lines, keep: usize) -> Files {
        let mut files: Files = files.clone();
        let (mut seq, mut prev) = (0, "0".repeat(64));
        for (name, lines) in &mut lines {
            if self.bare {
                lines.retain(|line| object(line)["kind"] != "checkpoint");
            }
            for text in lines.iter_mut() {
                seq += 1;
                if self.chained && (seq > keep || self.bare) {
                    // As bytes, so that what is odd stays odd.
                    let entry = object(text);
                    if let (Some(old), Some(was)) = (entry["seq"].as_u64(), entry["prev"].as_str()) {
                        *text =
                            replaced(text, format!("\"seq\":{old},").as_bytes(), format!("\"seq\":{seq},").as_bytes());
                        *text = replaced(
                            text,
                            format!("\"prev\":\"{was}\"").as_bytes(),
                            format!("\"prev\":\"{prev}\"").as_bytes(),
                        );
                    } else {
                        let end = text.windows(8).position(|window| window == b"\"prev\":\"").map(|at| at + 8);
                        if let Some(end) = end.filter(|end| end + 64 < text.len()) {
                            text.splice(end..end + 64, prev.bytes());
                        }
                    }
                    if let Some(mac) = entry["mac"].as_str().filter(|_| self.macs) {
                        *text = replaced(text, format!(",\"mac\":\"{mac}\"").as_bytes(), b"");
                    }
                    if let Some(was) = entry["body"]["log"].as_str().filter(|_| self.renamed) {
                        *text = replaced(text, was.as_bytes(), FOREIGN.as_bytes());
                    }
                }
                prev = hash_of(text.strip_suffix(b"\n").unwrap_or(text));
            }
            files.insert(name.clone(), lines.concat());
        }
        if self.no_head {
            files.remove("audit.head");
        }
        if self.no_lock {
            files.remove("audit.lock");
        }
        if self.lock_renamed {
            files.insert("audit.lock".to_owned(), FOREIGN.into());
        }
        files
    }
}

/// What is known of the genuine log.
struct Truth {
    stands: BTreeSet<String>,
    /// What stands behind the last seal: that it was cut off is documented as not detected.
    end: BTreeSet<String>,
}

/// What passed for whole and is not; none if it was found, or nothing was lost or changed.
fn lie(truth: &Truth, files: &Files) -> Option<String> {
    let (_, verdict, written, stands) = judge(files);
    if !verdict.bad.is_empty() {
        return None;
    }
    let written = written.map(|action| action.as_str().to_owned()).unwrap_or_default();
    let own = |text: &str| !written.is_empty() && text.contains(&written);
    let forged: Vec<&(u64, String)> = stands
        .iter()
        .filter(|(_, text)| !truth.stands.contains(text) && !own(text))
        .filter(|(seq, _)| !verdict.unproven.iter().any(|range| range.contains(seq)))
        .collect();
    let now: BTreeSet<&String> = stands.iter().map(|(_, text)| text).collect();
    // Who doubts the whole log is told so; who is told of nothing must have lost nothing.
    let lost: Vec<&String> =
        truth.stands.iter().filter(|text| !now.contains(text) && !truth.end.contains(*text)).collect();
    let doubted = verdict.unproven.first().is_some_and(|range| *range.start() == 1);
    (!forged.is_empty() || !lost.is_empty() && !doubted)
        .then(|| format!("forged {forged:?}, lost {lost:?} in {verdict:?}"))
}

fn truth(files: &Files) -> Truth {
    let (before, after, written, all) = judge(files);
    for verdict in [&before, &after] {
        assert!(verdict.is_whole() && verdict.unproven.is_empty(), "{verdict:?}");
    }
    assert!(before.files == 2 && before.unsealed() == 1 && after.unsealed() == 0, "{before:?} {after:?}");
    let own = written.unwrap();
    let stands = all.into_iter().map(|(_, text)| text).filter(|text| !text.contains(own.as_str()));
    let stands: BTreeSet<String> = stands.collect();
    let end = stands.iter().filter(|text| text.contains("\"qty\":4")).cloned().collect();
    Truth { stands, end }
}

/// Every entry, every edit, every cover-up.
#[test]
fn no_forgery_of_an_entry_passes_for_whole() {
    let (files, _) = genuine();
    let (truth, lines) = (truth(&files), lines(&files));
    let mut cases = Vec::new();
    let mut number = 0;
    for (file, (_, of_file)) in lines.iter().enumerate() {
        for (at, text) in of_file.iter().enumerate() {
            for (edit, (name, change)) in EDITS.iter().enumerate() {
                let mut forged = lines.clone();
                forged[file].1.splice(at..=at, change(text, number));
                for (cover, how) in COVERS.iter().enumerate() {
                    // Where all is made anew it matters little which line it was.
                    if forged != lines && (!how.bare && cover < 3 || (number + edit + cover) % 2 == 0) {
                        cases.push((
                            format!("entry {} {name}, {how:?}", number + 1),
                            how.up(&files, forged.clone(), number),
                        ));
                    }
                }
            }
            // The log is cut off here, and the two lines change places.
            for how in COVERS {
                let mut cut = lines[..=file].to_vec();
                cut[file].1.truncate(at);
                let mut swapped = lines.clone();
                if at + 1 < of_file.len() {
                    swapped[file].1.swap(at, at + 1);
                }
                let mut rest = files.clone();
                lines.iter().for_each(|(name, _)| drop(rest.remove(name)));
                if number > 0 && !(at == 0 && how.no_head) {
                    cases.push((format!("cut off at entry {}, {how:?}", number + 1), how.up(&rest, cut, number)));
                }
                cases.push((format!("entry {} after the next, {how:?}", number + 1), how.up(&files, swapped, number)));
            }
            number += 1;
        }
    }
    assert!(cases.len() > 2_500, "{}", cases.len());
    all_found(&truth, cases);
}

/// Whole files: taken away, emptied, an earlier copy, another log's; and entries moved from one to another.
#[test]
fn no_file_that_is_taken_or_put_back_passes_unseen() {
    let (files, early) = genuine();
    let (other, _) = genuine();
    let (truth, of_files) = (truth(&files), lines(&files));
    let mut cases = Vec::new();
    let names: Vec<&String> = files.keys().collect();
    for mask in 1_u32..1 << names.len() {
        let gone: Vec<&String> =
            names.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, name)| *name).collect();
        let has = |name: &str| gone.iter().any(|gone| *gone == name);
        let log = files.keys().filter(|name| name.ends_with(".jsonl")).all(|name| has(name));
        // Documented as not detected here: a whole state, for which there is only the journal.
        let whole = log && has("audit.head");
        for (name, from) in [("earlier", Some(&early)), ("another log's", Some(&other)), ("emptied", None)] {
            let mut forged = files.clone();
            for name in &gone {
                match from.map(|from| from.get(*name)) {
                    Some(None) => drop(forged.remove(*name)),
                    Some(Some(text)) => drop(forged.insert((*name).clone(), text.clone())),
                    None => drop(forged.insert((*name).clone(), Vec::new())),
                }
            }
            if !(whole && (has("audit.lock") || name == "earlier")) {
                cases.push((format!("{name} {gone:?}"), forged));
            }
        }
        let mut forged = files.clone();
        gone.iter().for_each(|name| drop(forged.remove(*name)));
        if !(whole && has("audit.lock")) {
            cases.push((format!("taken away {gone:?}"), forged));
        }
    }
    all_found(&truth, cases);

    // Nothing is lost or changed here, so it is enough that it is said.
    let put = |lines: Lines| RAW.up(&files, lines, 0);
    let (old, current) = (of_files[0].1.clone(), of_files[1].1.clone());
    let names = [of_files[0].0.clone(), of_files[1].0.clone()];
    let both = |old: &[Vec<u8>], current: &[Vec<u8>]| {
        put(vec![(names[0].clone(), old.to_vec()), (names[1].clone(), current.to_vec())])
    };
    let mut moved = Vec::new();
    for some in 1..current.len() {
        moved.push(both(&[&old, &current[..some]].concat(), &current[some..]));
    }
    for some in 1..old.len() {
        moved.push(both(&old[..some], &[&old[some..], current.as_slice()].concat()));
    }
    let mut one = files.clone();
    one.remove(&names[0]);
    one.insert(names[1].clone(), [old.concat(), current.concat()].concat());
    moved.push(one);
    for name in ["audit-000000000002.jsonl", "audit-1.jsonl"] {
        let mut renamed = files.clone();
        let text = renamed.remove(&names[0]).unwrap();
        renamed.insert(name.to_owned(), text);
        moved.push(renamed);
    }
    let mut more = files.clone();
    more.insert("audit-000000000009.jsonl".to_owned(), Vec::new());
    moved.push(more);
    for (number, files) in moved.iter().enumerate() {
        let (before, after, ..) = judge(files);
        for verdict in [before, after] {
            let found = verdict.bad.iter().any(|bad| matches!(bad.flaw, Flaw::Broken | Flaw::Seal));
            assert!(found, "moved in the way {number}: {verdict:?}");
        }
    }
}

/// Entries behind the last seal, which the next command seals.
#[test]
fn what_is_put_behind_the_last_seal_is_never_called_proven() {
    let (files, _) = genuine();
    let lines = lines(&files);
    let all: Vec<Value> = lines.iter().flat_map(|(_, lines)| lines).map(|line| object(line)).collect();
    let with = |more: &[Value]| {
        let mut lines = lines.clone();
        let end = all.len();
        lines.last_mut().unwrap().1.extend(more.iter().map(line));
        judge(&Cover { chained: true, macs: true, ..RAW }.up(&files, lines, end))
    };
    let of = |kind: &str, qty: u32| {
        let asked = all.iter().find(|entry| entry["body"]["arguments"]["qty"] == json!(qty)).unwrap();
        all.iter().find(|entry| entry["kind"] == kind && entry["action"] == asked["action"]).unwrap().clone()
    };
    let named = |mut entry: Value, action: &str| {
        entry["action"] = json!(action);
        entry
    };
    let done = |mut entry: Value| {
        entry["body"]["outcome"] = json!("done");
        entry
    };
    let new = "act_01ffffffffff7000a000000000000001";
    let unapproved = |mut entry: Value| {
        entry["body"]["approval"] = Value::Null;
        entry
    };
    // The call that waits, sent by somebody else.
    let waits = of("request", 4)["action"].as_str().unwrap().to_owned();
    let sent = |qty: u32| {
        let mut sent = unapproved(named(of("sent", 2), &waits));
        (sent["body"]["digest"], sent["body"]["idempotency_key"]) = (json!(digest(qty)), Value::Null);
        sent
    };
    for (name, more, why) in [
        ("sent after its end", vec![of("sent", 2)], "had ended before it was sent"),
        ("sent without a beginning", vec![named(unapproved(of("sent", 2)), new)], "no request"),
        ("sent twice without a key", vec![sent(4), sent(4)], "not under the same idempotency key"),
        ("another call is sent", vec![sent(5)], "another call than was asked for"),
        ("denied after it was sent", vec![sent(4), named(of("response", 3), &waits)], "it ended as denied, and entry"),
        ("one yes for two that are sent", vec![named(of("sent", 2), &waits)], "one yes is good for one call"),
        ("a second end of what was denied", vec![done(of("response", 3))], "second response"),
        ("all of it again", vec![of("request", 3), done(of("response", 3))], "second request"),
        (
            "one yes for two",
            vec![named(of("request", 2), new), named(of("response", 2), new)],
            "one yes is good for one call",
        ),
        ("an end without a beginning", vec![named(unapproved(of("response", 2)), new)], "no request"),
        (
            "the end before the beginning",
            vec![named(unapproved(of("response", 2)), new), named(of("request", 2), new)],
            "no request",
        ),
        (
            "an effect that nobody approved",
            vec![named(of("request", 2), new), named(unapproved(of("response", 2)), new)],
            "",
        ),
    ] {
        let (before, after, ..) = with(&more);
        for verdict in [before, after] {
            let flaws: Vec<&String> = verdict.bad.iter().map(|bad| &bad.why).collect();
            let found = flaws.first().map_or(why.is_empty(), |first| !why.is_empty() && first.contains(why));
            assert!(found, "{name}: {flaws:?}");
            let (from, to) = (all.len() as u64 + 1, (all.len() + more.len()) as u64);
            assert_eq!(verdict.unproven, [from..=to], "{name}: {verdict:?}");
        }
    }
}

fn all_found(truth: &Truth, cases: Vec<(String, Files)>) {
    // On every core: each case waits for the disk a few times.
    let threads = 4;
    let mut lies: Vec<String> = std::thread::scope(|scope| {
        let (cases, lie) = (&cases, &lie);
        let part = |from: usize| {
            move || {
                let mine = cases.iter().skip(from).step_by(threads);
                mine.filter_map(|(name, files)| Some(format!("{name}: {}", lie(truth, files)?))).collect::<Vec<_>>()
            }
        };
        let running: Vec<_> = (0..threads).map(|from| scope.spawn(part(from))).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    lies.sort();
    let count = lies.len();
    lies.truncate(10);
    assert!(count == 0, "{count} of {} forgeries pass for whole:\n{}", cases.len(), lies.join("\n"));
}
