//! What becomes of a log whose oldest files are removed.

use super::{tests::*, *};
use crate::files::tests::TempDir;
use chrono::Duration;
use std::fs;

/// A log of some files, one written each day, and what `audit verify` says of it.
fn of_days(dir: &TempDir, days: i64) -> Audit {
    let audit = unlocked(&dir.0, 7).with_file_size(1);
    for day in 0..days {
        let at = at() + Duration::days(day);
        audit.request(&ActionId::mint(), at, serde_json::json!({ "day": day })).unwrap();
        audit.seal(at).unwrap();
    }
    audit
}

fn firsts(audit: &Audit) -> Vec<u64> {
    audit.old_files().unwrap().into_iter().map(|(first, _)| first).collect()
}

#[test]
fn what_is_old_goes_and_the_rest_still_verifies() {
    let dir = TempDir::new();
    let audit = of_days(&dir, 5);
    let before = verdict(&audit);
    let files = firsts(&audit);
    assert_eq!((before.files, before.pruned), (files.len() + 1, 0));
    // The third day begins a file: the two before it are older.
    let gone = audit.prune(at() + Duration::days(2) + Duration::hours(1), at() + Duration::days(5)).unwrap();
    assert!(gone > 0);
    assert_eq!(firsts(&audit)[0], gone + 1);
    assert!(firsts(&audit).len() < files.len());
    for audit in [&audit, &unlocked(&dir.0, 7), &Audit::open(&dir.0)] {
        let found = verdict(audit);
        assert_eq!((found.bad.clone(), found.pruned), (vec![], gone));
        assert_eq!(found.read(), audit.list().unwrap().len() as u64);
    }
    assert_eq!(verdict(&audit).unsealed(), 0);
    let kinds: Vec<Kind> = audit.list().unwrap().iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds[kinds.len() - 2..], [Kind::Pruned, Kind::Checkpoint]);
    // Nothing more is old, so nothing more is said.
    assert_eq!(audit.prune(at() + Duration::days(2) + Duration::hours(1), at() + Duration::days(5)).unwrap(), 0);
    let entries = verdict(&audit).entries;
    // It goes on as before, is sealed, and loses some more another day.
    fill(&audit, 1);
    audit.seal(at()).unwrap();
    assert!(verdict(&audit).entries > entries);
    let more = audit.prune(at() + Duration::days(4) + Duration::hours(1), at() + Duration::days(5)).unwrap();
    let found = verdict(&audit);
    assert_eq!((found.bad, found.pruned), (vec![], gone + more));
    assert!(more > 0);
}

#[test]
fn who_has_no_key_removes_nothing_unseen() {
    let dir = TempDir::new();
    let audit = of_days(&dir, 5);
    let old: Vec<_> = audit.old_files().unwrap();
    let head = fs::read(audit.head_path()).unwrap();
    audit.prune(at() + Duration::days(2), at() + Duration::days(5)).unwrap();
    assert_eq!(bad(&audit), None);
    // One more file than was allowed.
    let (_, next) = audit.old_files().unwrap()[0].clone();
    let text = fs::read(&next).unwrap();
    fs::remove_file(&next).unwrap();
    assert_eq!(bad(&audit).unwrap().0, Flaw::Broken);
    fs::write(&next, &text).unwrap();
    assert_eq!(bad(&audit), None);
    // Another beginning in the head file.
    let after = fs::read_to_string(audit.head_path()).unwrap();
    let (seq, _) = audit.old_files().unwrap()[1];
    let start = after.split("\"start\":{\"seq\":").nth(1).unwrap().split(',').next().unwrap();
    fs::write(audit.head_path(), after.replacen(&format!("\"seq\":{start},"), &format!("\"seq\":{seq},"), 1)).unwrap();
    assert!(bad(&audit).is_some());
    // The head file of before, when nothing had been removed.
    fs::write(audit.head_path(), head).unwrap();
    assert!(bad(&audit).is_some());
    fs::write(audit.head_path(), after).unwrap();
    assert_eq!(bad(&audit), None);
    // A file that was removed, put back: it is nobody's any more.
    fs::write(&old[0].1, "whatever\n").unwrap();
    assert_eq!(bad(&audit), None);
    audit.prune(at() + Duration::days(2), at() + Duration::days(5)).unwrap();
    assert!(!old[0].1.exists());
}

#[test]
fn a_log_that_does_not_verify_keeps_everything() {
    let dir = TempDir::new();
    let audit = of_days(&dir, 5);
    let (_, second) = audit.old_files().unwrap()[1].clone();
    let text = fs::read_to_string(&second).unwrap();
    // As if all of it were of long ago, so that more may go.
    fs::write(&second, text.replace("\"time\":\"2023", "\"time\":\"2003")).unwrap();
    let files = firsts(&audit);
    let until = at() + Duration::hours(1);
    assert!(matches!(audit.prune(until, at() + Duration::days(5)), Err(Error::NotWhole(_))));
    assert_eq!(firsts(&audit)[..files.len()], files);
    fs::write(&second, text).unwrap();
    // Without the key, or with one that ends with the process, nobody could tell what happened.
    assert_eq!(Audit::open(&dir.0).prune(at() + Duration::days(9), at()).unwrap(), 0);
    assert!(matches!(unlocked(&dir.0, 8).prune(at() + Duration::days(9), at()), Err(Error::NotWhole(_))));
    assert_eq!(firsts(&audit)[..files.len()], files);
}

#[test]
fn who_was_killed_while_removing_goes_on_the_next_time() {
    let dir = TempDir::new();
    let audit = of_days(&dir, 5);
    let old: Vec<(u64, Vec<u8>)> =
        audit.old_files().unwrap().into_iter().map(|(first, path)| (first, fs::read(path).unwrap())).collect();
    let gone = audit.prune(at() + Duration::days(3), at() + Duration::days(5)).unwrap();
    for (first, text) in old.iter().filter(|(first, _)| *first <= gone).skip(1) {
        fs::write(audit.old_path(*first), text).unwrap();
    }
    assert!(firsts(&audit)[0] <= gone);
    let found = verdict(&audit);
    assert_eq!((found.bad, found.pruned), (vec![], gone));
    assert_eq!(audit.prune(at() + Duration::days(3), at() + Duration::days(5)).unwrap(), 0);
    assert_eq!(firsts(&audit)[0], gone + 1);
    assert_eq!(bad(&audit), None);
}
