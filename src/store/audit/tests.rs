//! What is written is what is read, whatever is changed shows, and several may write at once.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
};

use serde_json::json;

use super::*;
use crate::files::tests::TempDir;

pub(super) fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

pub(super) fn fill(audit: &Audit, pairs: usize) {
    for number in 0..pairs {
        let action = ActionId::mint();
        audit.request(&action, at(), json!({"tool": "buy_product", "arguments": {"qty": number}})).unwrap();
        audit.response(&action, at(), json!({"outcome": "done"})).unwrap();
    }
}

/// The log of a folder with the key of this byte.
pub(super) fn unlocked(folder: &Path, key: u8) -> Audit {
    let audit = Audit::open(folder);
    audit.unlock(&DataKey::from_bytes(&[key; 32]).unwrap(), true);
    audit
}

pub(super) fn verdict(audit: &Audit) -> Verdict {
    audit.verify(|_, _| Ok(())).unwrap()
}

pub(super) fn bad(audit: &Audit) -> Option<(Flaw, u64, String)> {
    verdict(audit).bad.into_iter().next().map(|bad| (bad.flaw, bad.place.line, bad.why))
}

#[test]
fn the_chain_is_what_sha256sum_says() {
    let dir = TempDir::new();
    let audit = Audit::open(&dir.path("state"));
    assert_eq!(verdict(&audit), Verdict::default());
    assert!(audit.list().unwrap().is_empty());
    fill(&audit, 2);
    let found = verdict(&audit);
    assert!(found.is_whole() && found.entries == 5 && found.seal == Seal::None);
    let text = fs::read_to_string(audit.path()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("{\"seq\":1,\"time\":\"2023-11-14T22:13:20.000Z\",\"prev\":\"000000"), "{}", lines[0]);
    let entries = audit.list().unwrap();
    for (line, next) in lines.iter().zip(&entries[1..]) {
        assert_eq!(crate::call::Digest::of_bytes(line.as_bytes()).to_hex(), next.prev);
    }
    assert_eq!((entries[0].kind, entries[1].kind, entries[2].kind), (Kind::Begin, Kind::Request, Kind::Response));
    assert_eq!(entries[1].action, entries[2].action);
}

/// Writes the chain anew, as somebody does who has no key.
fn rechain(lines: &[String]) -> String {
    let mut prev = hex_of_nothing();
    let mut text = String::new();
    for line in lines {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        entry["prev"] = json!(prev);
        let line = entry.to_string();
        prev = hash_of(line.as_bytes());
        text += &(line + "\n");
    }
    text
}

fn hex_of_nothing() -> String {
    "0".repeat(64)
}

#[test]
fn what_was_sealed_cannot_be_written_anew() {
    let dir = TempDir::new();
    let audit = unlocked(&dir.0, 7);
    fill(&audit, 2);
    audit.seal(at()).unwrap();
    fill(&audit, 1);
    audit.seal(at()).unwrap();
    fill(&audit, 1);
    let found = verdict(&audit);
    assert!(found.is_whole(), "{found:?}");
    assert_eq!((found.entries, found.seal, found.unsealed(), found.checkpoints), (12, Seal::UpTo(10), 2, 3));
    let good = fs::read_to_string(audit.path()).unwrap();
    let lines: Vec<String> = good.lines().map(str::to_owned).collect();
    let head = fs::read(dir.path("audit.head")).unwrap();
    let with = |text: &str| {
        fs::write(audit.path(), text).unwrap();
        bad(&audit)
    };

    let mut edited = lines.clone();
    edited[2] = edited[2].replace("\"qty\":0", "\"qty\":9");
    let (flaw, line, why) = with(&rechain(&edited)).unwrap();
    assert_eq!((flaw, line), (Flaw::Seal, 7), "{why}");
    assert!(why.contains("entries 3 to 7"), "{why}");
    // Behind one seal, before the next.
    let mut edited = lines.clone();
    edited[7] = edited[7].replace("\"qty\":0", "\"qty\":9");
    let text = lines[..7].join("\n") + "\n";
    let mut prev = hash_of(lines[6].as_bytes());
    let text = edited[7..].iter().fold(text, |text, line| {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        entry["prev"] = json!(prev);
        prev = hash_of(entry.to_string().as_bytes());
        text + &entry.to_string() + "\n"
    });
    let (flaw, line, why) = with(&text).unwrap();
    assert_eq!((flaw, line), (Flaw::Seal, 10), "{why}");
    assert!(why.contains("entries 8 to 10"), "{why}");

    // Cut behind the seals: unproven, so not found. Cut into them: found, at a line's end and in the middle of one.
    assert_eq!(with(&(lines[..10].join("\n") + "\n")), None);
    for keep in 0..10 {
        let (flaw, _, why) = with(&(lines[..keep].join("\n") + if keep > 0 { "\n" } else { "" })).unwrap();
        assert_eq!(flaw, Flaw::Truncated, "{keep} lines: {why}");
    }
    let half = lines[..9].join("\n") + "\n" + &lines[9][..40];
    assert_eq!(with(&half).unwrap().0, Flaw::Truncated);
    assert_eq!(verdict(&audit).unfinished.unwrap().line, 10);
    // What was cut off stays found: no new seal covers it up.
    with(&(lines[..9].join("\n") + "\n"));
    fill(&audit, 20);
    assert!(matches!(audit.seal(at()), Err(Error::NotSealed(_))));
    let (flaw, line, why) = bad(&audit).unwrap();
    assert_eq!((flaw, line), (Flaw::Seal, 10), "{why}");

    // The head file.
    let restore = || {
        fs::write(audit.path(), &good).unwrap();
        fs::write(dir.path("audit.head"), &head).unwrap();
        assert_eq!(bad(&audit), None);
    };
    restore();
    fs::remove_file(dir.path("audit.head")).unwrap();
    let (flaw, _, why) = bad(&audit).unwrap();
    assert_eq!(flaw, Flaw::Seal);
    assert!(why.contains("head file is missing"), "{why}");
    fill(&audit, 1);
    assert!(matches!(audit.seal(at()), Err(Error::NotSealed(_))));
    for wrong in ["", "{}", "garbage"] {
        restore();
        fs::write(dir.path("audit.head"), wrong).unwrap();
        assert_eq!(bad(&audit).unwrap().0, Flaw::Seal, "{wrong:?}");
    }
    restore();
    let older = String::from_utf8(head.clone()).unwrap().replace("\"seq\":10", "\"seq\":7");
    fs::write(dir.path("audit.head"), older).unwrap();
    let (_, _, why) = bad(&audit).unwrap();
    assert!(why.contains("was changed"), "{why}");

    // Another key, in the log and in the head file; and without any key the chain alone is looked at.
    restore();
    let (_, line, why) = bad(&unlocked(&dir.0, 8)).unwrap();
    assert!(line == 1 && why.contains("another key"), "{why}");
    fs::remove_file(dir.path("audit.head")).unwrap();
    let (_, line, why) = bad(&unlocked(&dir.0, 8)).unwrap();
    assert!(line == 2 && why.contains("another key"), "{why}");
    restore();
    let without = verdict(&Audit::open(&dir.0));
    assert!(without.is_whole() && without.seal == Seal::NotChecked, "{without:?}");
}

/// Whoever reads it understands the same, or nothing.
#[test]
fn a_line_with_two_readings_is_no_entry() {
    let dir = TempDir::new();
    let audit = unlocked(&dir.0, 7);
    fill(&audit, 1);
    let good = fs::read_to_string(audit.path()).unwrap();
    let last = good.lines().last().unwrap();
    let tail = format!("\"prev\":\"{}\",\"kind\":\"request\",\"action\":\"act_2\"", hash_of(last.as_bytes()));
    let time = "\"time\":\"2026-01-01T00:00:00.000Z\"";
    let entry = |time: &str, body: &str| format!("{{\"seq\":5,{time}{tail},\"body\":{body}}}").into_bytes();
    let (deep, fine) =
        (format!("{}{}", "[".repeat(200), "]".repeat(200)), entry(&format!("{time},"), "{\"tool\":\"x\"}"));
    assert!(Entry::read(&fine).is_some());
    for line in [
        entry(&format!("{time},"), "{\"tool\":\"x\",\"tool\":\"y\"}"),
        entry(&format!("{time},"), "{\"arguments\":{\"qty\":100,\"qty\":1}}"),
        entry(&format!("{time},"), &deep),
        entry(&format!("{time},"), "{\"tool\":\"\\ud800\"}"),
        entry(&format!("{time},"), "{\"n\":1e999}"),
        entry(&format!("{time},{time},"), "{}"),
        entry("\"time\":\"tomorrow\",", "{}"),
        entry("", "{}"),
        fine.iter().map(|byte| if *byte == b'x' { 0xff } else { *byte }).collect(),
    ] {
        assert_eq!(Entry::read(&line), None, "{}", String::from_utf8_lossy(&line));
        for (next, number) in [(0, 5), (1, 5)] {
            fs::write(audit.path(), [good.as_bytes(), &line, b"\n"].concat()).unwrap();
            fill(&unlocked(&dir.0, 7), next);
            let (flaw, line, why) = bad(&audit).unwrap();
            assert!((flaw, line) == (Flaw::Broken, number) && why.contains("it is no entry"), "{why}");
        }
    }
}

#[test]
fn one_log_has_one_key() {
    let dir = TempDir::new();
    let ours = unlocked(&dir.0, 7);
    fill(&ours, 1);
    ours.seal(at()).unwrap();
    // The same folder with another store.
    let theirs = unlocked(&dir.0, 8);
    fill(&theirs, 1);
    assert!(matches!(theirs.seal(at()), Err(Error::NotSealed(_))));
    // A key that ends with its process seals nothing.
    let passing = Audit::open(&dir.0);
    passing.unlock(&DataKey::from_bytes(&[9; 32]).unwrap(), false);
    fill(&passing, 1);
    passing.seal(at()).unwrap();
    let found = verdict(&ours);
    assert!(found.is_whole(), "{found:?}");
    assert_eq!((found.seal, found.unsealed()), (Seal::UpTo(5), 4));
    fill(&ours, 1);
    ours.seal(at()).unwrap();
    assert_eq!(verdict(&ours).seal, Seal::UpTo(12));
    // Sealed twice is written once.
    ours.seal(at()).unwrap();
    assert_eq!(verdict(&ours).entries, 12);
}

#[test]
fn who_works_for_long_seals_on_the_way() {
    let dir = TempDir::new();
    let audit = Audit { checkpoint_every: 4, ..unlocked(&dir.0, 7) };
    fill(&audit, 6);
    let found = verdict(&audit);
    assert!(found.is_whole() && found.checkpoints == 5, "{found:?}");
}

#[test]
fn sensitive_values_are_told_apart_and_no_more() {
    let dir = TempDir::new();
    let audit = Audit::open(&dir.0);
    assert!(matches!(audit.hide(at(), "pin", &json!("1234")), Err(Error::NoKey)));
    let (one, other) = (unlocked(&dir.path("one"), 7), unlocked(&dir.path("other"), 7));
    let hidden = one.hide(at(), "pin", &json!("1234")).unwrap();
    assert!(hidden.starts_with("hmac-sha-256:") && hidden.len() == 56, "{hidden}");
    assert_eq!(hidden, one.hide(at(), "pin", &json!("1234")).unwrap());
    assert_eq!(hidden, unlocked(&dir.path("one"), 7).hide(at(), "pin", &json!("1234")).unwrap(), "another process");
    for different in [
        one.hide(at(), "pin", &json!(1234)).unwrap(),
        one.hide(at(), "old_pin", &json!("1234")).unwrap(),
        other.hide(at(), "pin", &json!("1234")).unwrap(),
    ] {
        assert_ne!(hidden, different);
    }
    assert_eq!(verdict(&one).entries, 2, "the log was begun for it");
}

#[test]
fn a_large_log_goes_on_in_a_new_file() {
    let dir = TempDir::new();
    let audit = unlocked(&dir.0, 7).with_file_size(1_500);
    for _ in 0..6 {
        fill(&audit, 2);
        audit.seal(at()).unwrap();
    }
    let found = verdict(&audit);
    assert!(found.is_whole() && found.files > 3, "{found:?}");
    assert_eq!(found.unsealed(), 0);
    let seqs: Vec<u64> = audit.list().unwrap().iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=found.entries).collect::<Vec<_>>());
    assert!(dir.path("audit-000000000001.jsonl").exists());

    let action = audit.list().unwrap().into_iter().find_map(|entry| entry.action).unwrap();
    let kinds: Vec<Kind> = audit.entries_of(&action).unwrap().iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [Kind::Request, Kind::Response]);

    // A cursor goes on where it was, also when its file has another name by now.
    let mut cursor = Cursor::default();
    let mut read = Vec::new();
    let mut read_on = |audit: &Audit| {
        audit.read_on(&mut cursor, |entry, _| {
            read.push(entry.seq);
            true
        })
    };
    read_on(&audit).unwrap();
    fill(&audit, 9);
    read_on(&audit).unwrap();
    let all = verdict(&audit);
    assert!(all.files > found.files + 1, "{all:?}");
    assert_eq!(read, (1..=all.entries).collect::<Vec<_>>());

    // Killed between the two steps: the next entry takes up the thread.
    let old = audit.old_path(audit.snapshot().unwrap().files.last().unwrap().first);
    fs::rename(audit.path(), &old).unwrap();
    fill(&audit, 1);
    let whole = verdict(&audit);
    assert!(whole.is_whole() && whole.entries == all.entries + 3, "{whole:?}");
}

#[cfg(unix)]
#[test]
fn links_are_refused_and_others_kept_out() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = TempDir::new();
    let audit = unlocked(&dir.0, 7).with_file_size(500);
    fill(&audit, 2);
    audit.seal(at()).unwrap();
    for entry in fs::read_dir(&dir.0).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    fs::rename(audit.path(), dir.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(dir.path("elsewhere"), audit.path()).unwrap();
    let refused = audit.request(&ActionId::mint(), at(), json!({}));
    assert!(matches!(refused, Err(Error::File(files::Error::Symlink(_)))), "{refused:?}");
    assert!(audit.verify(|_, _| Ok(())).is_err());
}

#[test]
fn a_log_torn_at_any_byte_goes_on_and_says_so() {
    let dir = TempDir::new();
    let audit = Audit::open(&dir.0);
    fill(&audit, 1);
    let good = fs::read(audit.path()).unwrap();
    let starts: Vec<usize> =
        std::iter::once(0).chain(good.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1)).collect();
    for cut in 0..=good.len() {
        fs::write(audit.path(), &good[..cut]).unwrap();
        // It names the log only once there is one.
        fs::write(audit.lock_path(), "").unwrap();
        // A whole line that only lacks its end is whole.
        let torn = !starts.contains(&cut) && !starts.contains(&(cut + 1));
        assert_eq!(verdict(&audit).unfinished.is_some(), torn, "cut at {cut}");
        fill(&Audit::open(&dir.0), 1);
        let found = verdict(&audit);
        assert_eq!((found.bad.as_slice(), found.recovered.len()), (&[][..], usize::from(torn)), "cut at {cut}");
        assert_eq!(found.is_whole(), !torn);
        assert!(fs::read(audit.path()).unwrap().starts_with(&good[..cut]), "evidence was destroyed");
        // Torn a second time, in the middle of the recovery.
        let whole = fs::read(audit.path()).unwrap();
        fs::write(audit.path(), &whole[..cut + 9]).unwrap();
        fs::write(audit.lock_path(), "").unwrap();
        fill(&Audit::open(&dir.0), 1);
        assert_eq!(bad(&audit), None, "cut at {cut} and again");
        // And what is torn cannot be changed afterwards.
        if torn {
            let mut changed = whole;
            changed[cut - 1] = if changed[cut - 1] == b'#' { b'+' } else { b'#' };
            fs::write(audit.path(), &changed).unwrap();
            assert!(bad(&audit).is_some(), "cut at {cut} and changed");
        }
    }
}

#[test]
fn a_file_torn_in_its_first_line_still_follows_the_one_before() {
    let dir = TempDir::new();
    let audit = unlocked(&dir.0, 7).with_file_size(300);
    fill(&audit, 2);
    let begin = fs::read(audit.path()).unwrap();
    let length = begin.iter().position(|byte| *byte == b'\n').unwrap();
    let before = audit.old_files().unwrap().len();
    let head = fs::read(audit.head_path()).unwrap();
    for cut in 1..length {
        fs::write(audit.path(), &begin[..cut]).unwrap();
        fill(&audit, 1);
        audit.seal(at()).unwrap();
        let found = verdict(&audit);
        assert_eq!((found.bad.as_slice(), found.recovered.len()), (&[][..], 1), "cut at {cut}");
        for (_, path) in audit.old_files().unwrap().drain(before..) {
            fs::remove_file(path).unwrap();
        }
        fs::write(audit.head_path(), &head).unwrap();
    }
}

#[test]
fn long_entries_and_zeroed_tails_are_read_backwards() {
    let dir = TempDir::new();
    let audit = Audit::open(&dir.0);
    let long = "x".repeat(100_000);
    for _ in 0..3 {
        audit.request(&ActionId::mint(), at(), json!({ "text": long })).unwrap();
    }
    assert!(verdict(&audit).is_whole());
    // Some file systems leave zeros where a write was under way.
    OpenOptions::new().append(true).open(audit.path()).unwrap().write_all(&vec![0; 50_000]).unwrap();
    fill(&audit, 1);
    let found = verdict(&audit);
    let lines: Vec<u64> = found.recovered.iter().map(|place| place.line).collect();
    assert_eq!((found.entries, lines.as_slice(), found.bad.as_slice()), (7, [6].as_slice(), &[][..]));
}

#[test]
fn several_append_at_once() {
    let dir = TempDir::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let audit = unlocked(&dir.0, 7).with_file_size(4_000);
                fill(&audit, 10);
                audit.seal(at()).unwrap();
            });
        }
    });
    let found = verdict(&unlocked(&dir.0, 7));
    assert!(found.is_whole() && found.files > 3, "{found:?}");
    let entries = Audit::open(&dir.0).list().unwrap();
    let calls = entries.iter().filter(|entry| matches!(entry.kind, Kind::Request | Kind::Response)).count();
    assert_eq!(calls, 80);
}

fn head_of(audit: &Audit) -> checkpoint::Head {
    let checkpoint::HeadFile::There(head, _) = checkpoint::Head::read(&audit.head_path()).unwrap() else { panic!() };
    head
}

#[test]
fn a_crash_in_the_middle_of_the_first_seal_is_none_of_the_flaws() {
    let dir = TempDir::new();
    let audit = unlocked(&dir.0, 7);
    fill(&audit, 1);
    let (begun, head) = (fs::read_to_string(audit.path()).unwrap(), head_of(&audit));
    let key = append::Writer::open(&audit, at()).unwrap().key().unwrap().unwrap();
    // The head file that is there before the first seal is written, and nothing else.
    head.before_all().write(&audit.head_path(), &key).unwrap();
    let found = verdict(&audit);
    assert_eq!((found.bad, found.checkpoints), (vec![], 1));
    // The next run goes on from there.
    let next = unlocked(&dir.0, 7);
    fill(&next, 1);
    next.seal(at()).unwrap();
    assert_eq!((bad(&next), verdict(&next).unsealed()), (None, 0));
    // Killed at the same place twice in a row, it catches up in between.
    head.before_all().write(&audit.head_path(), &key).unwrap();
    fs::write(audit.path(), begun).unwrap();
    let cut = unlocked(&dir.0, 7);
    assert_eq!(append::Writer::open(&cut, at()).unwrap().may_seal(&key).unwrap(), None);
    assert_eq!(head_of(&audit), head);
    fill(&cut, 1);
    cut.seal(at()).unwrap();
    // Two seals behind is an older copy.
    head.before_all().write(&audit.head_path(), &key).unwrap();
    let late = unlocked(&dir.0, 7);
    fill(&late, 1);
    assert!(matches!(late.seal(at()), Err(Error::NotSealed(_))), "a seal would cover it up");
    assert_eq!(bad(&next).unwrap().0, Flaw::Seal);
    fs::remove_file(audit.head_path()).unwrap();
    assert_eq!(bad(&next).unwrap().0, Flaw::Seal);
}

#[test]
#[cfg(target_os = "linux")]
fn the_head_file_is_there_before_the_first_line() {
    let dir = TempDir::new();
    let audit = unlocked(&dir.0, 7);
    let mut writer = append::Writer::open(&audit, at()).unwrap();
    let id = writer.key().unwrap().unwrap().log;
    writer.file = fs::OpenOptions::new().append(true).open("/dev/full").unwrap();
    assert!(writer.write().is_err());
    assert_eq!((head_of(&audit).seq, bad(&audit)), (0, None));
    // The next one begins the log that the head file names, or goes on with what there is of it, and seals it.
    fill(&unlocked(&dir.0, 7), 1);
    assert_eq!((audit.log_id().unwrap(), bad(&audit), verdict(&audit).seal), (Some(id), None, Seal::UpTo(2)));
    let whole = fs::read(audit.path()).unwrap();
    let head = head_of(&audit);
    let key = append::Writer::open(&audit, at()).unwrap().key().unwrap().unwrap();
    let second = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0;
    for cut in 1..=second {
        head.before_all().write(&audit.head_path(), &key).unwrap();
        fs::write(audit.path(), &whole[..cut]).unwrap();
        fs::write(audit.lock_path(), "").unwrap();
        assert_eq!(bad(&audit), None, "cut at {cut}");
        let next = unlocked(&dir.0, 7);
        fill(&next, 1);
        next.seal(at()).unwrap();
        let found = verdict(&next);
        assert_eq!((found.bad.as_slice(), found.unsealed(), found.checkpoints), (&[][..], 0, 2), "cut at {cut}");
    }
}

#[test]
fn a_log_without_its_seals_is_not_sealed_anew() {
    let dir = TempDir::new();
    let audit = unlocked(&dir.0, 7);
    fill(&audit, 2);
    audit.seal(at()).unwrap();
    let (head, key) = (head_of(&audit), append::Writer::open(&audit, at()).unwrap().key().unwrap().unwrap());
    // Every seal is taken out, one call is another, and the rest is numbered and chained anew.
    let kept = fs::read_to_string(audit.path()).unwrap();
    let kept = kept.lines().filter(|line| !line.contains("\"checkpoint\"")).enumerate().map(|(index, line)| {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        entry["seq"] = json!(index + 1);
        entry.to_string().replace("\"qty\":1", "\"qty\":50")
    });
    let forged = rechain(&kept.collect::<Vec<_>>());
    for head in [None, Some(head.before_all())] {
        fs::write(audit.path(), &forged).unwrap();
        match head {
            None => fs::remove_file(audit.head_path()).unwrap(),
            Some(head) => head.write(&audit.head_path(), &key).unwrap(),
        }
        let (flaw, _, why) = bad(&audit).unwrap();
        assert!(flaw == Flaw::Seal && why.contains("were taken out"), "{why}");
        let next = unlocked(&dir.0, 7);
        fill(&next, 1);
        assert!(matches!(next.seal(at()), Err(Error::NotSealed(_))));
        assert_eq!(bad(&next).unwrap().0, Flaw::Seal);
    }
    // Under another id it is a log that was begun without the key.
    let id = audit.log_id().unwrap().unwrap();
    let lines: Vec<String> = forged.lines().map(|line| line.replace(&id, &"a".repeat(id.len()))).collect();
    fs::write(audit.path(), rechain(&lines)).unwrap();
    fs::remove_file(audit.head_path()).unwrap();
    // The lock file knows that another one was here. Whoever writes to this one says so, and never makes it good.
    for _ in 0..2 {
        let (flaw, _, why) = bad(&audit).unwrap();
        assert!(flaw == Flaw::Missing && why.contains(&id), "{why}");
        let next = unlocked(&dir.0, 7);
        fill(&next, 1);
        assert!(matches!(next.seal(at()), Err(Error::NotSealed(_))));
        assert_eq!((next.trouble().missing(), next.log_id().unwrap() != Some(id.clone())), (Some(id.clone()), true));
        assert!(!next.head_path().exists());
    }
    // Whoever changes that file too has a log of which nothing is proven but what came later.
    fs::write(audit.path(), rechain(&lines)).unwrap();
    fs::write(audit.lock_path(), "a".repeat(id.len())).unwrap();
    let next = unlocked(&dir.0, 7);
    fill(&next, 1);
    next.seal(at()).unwrap();
    let found = verdict(&next);
    assert_eq!((found.bad.as_slice(), found.unproven), (&[][..], vec![1..=5]), "what stood there is not called proven");
}

#[test]
fn what_was_begun_without_the_key_stays_unproven() {
    let dir = TempDir::new();
    fill(&Audit::open(&dir.0), 2);
    let audit = unlocked(&dir.0, 7);
    assert_eq!((bad(&audit), verdict(&audit).seal), (None, Seal::None));
    for (pairs, seal) in [(1, 8), (1, 11)] {
        fill(&audit, pairs);
        audit.seal(at()).unwrap();
        let found = verdict(&audit);
        assert_eq!((found.bad.as_slice(), found.seal, found.unproven), (&[][..], Seal::UpTo(seal), vec![1..=5]));
    }
    // A crash between the head file and the first seal.
    let first: String =
        fs::read_to_string(audit.path()).unwrap().lines().take(7).map(|line| format!("{line}\n")).collect();
    let key = append::Writer::open(&audit, at()).unwrap().key().unwrap().unwrap();
    head_of(&audit).before_all().write(&audit.head_path(), &key).unwrap();
    fs::write(audit.path(), first).unwrap();
    assert_eq!(bad(&audit), None);
    let next = unlocked(&dir.0, 7);
    fill(&next, 1);
    next.seal(at()).unwrap();
    let found = verdict(&next);
    assert_eq!((found.bad.as_slice(), found.seal, found.unproven), (&[][..], Seal::UpTo(10), vec![1..=5]));
}
