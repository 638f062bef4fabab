//! Every kind of tampering, at every line: what it is called, and which line is named.

use super::{tests::*, *};
use crate::files::tests::TempDir;
use std::fs;

/// A log with two seals behind its first, and an unsealed pair behind them, and its twelve lines.
struct Log {
    dir: TempDir,
    lines: Vec<String>,
}

impl Log {
    fn new() -> Self {
        let dir = TempDir::new();
        let audit = unlocked(&dir.0, 7);
        for pairs in [2, 1, 1] {
            fill(&audit, pairs);
            if pairs == 2 || audit.list().unwrap().len() < 10 {
                audit.seal(at()).unwrap();
            }
        }
        let lines: Vec<String> = fs::read_to_string(audit.path()).unwrap().lines().map(str::to_owned).collect();
        assert_eq!((lines.len(), verdict(&audit).checkpoints), (12, 3));
        Self { dir, lines }
    }

    /// The first flaw of a log of these lines, with its key and without any.
    fn flaws(&self, lines: &[String]) -> [Option<(Flaw, u64, String)>; 2] {
        self.flaws_of(&lines.iter().map(|line| line.clone() + "\n").collect::<String>())
    }

    fn flaws_of(&self, text: &str) -> [Option<(Flaw, u64, String)>; 2] {
        fs::write(self.dir.path("audit.jsonl"), text).unwrap();
        [bad(&unlocked(&self.dir.0, 7)), bad(&Audit::open(&self.dir.0))]
    }

    #[track_caller]
    fn broken(&self, lines: &[String], line: u64, why: &str) {
        for found in self.flaws(lines) {
            let (flaw, at, said) = found.expect("nothing was found");
            assert_eq!((flaw, at), (Flaw::Broken, line), "{said}");
            assert!(said.contains(why), "{why}: {said}");
        }
    }
}

#[test]
fn an_edited_line_is_named_itself() {
    let log = Log::new();
    for at in 0..12 {
        let mut lines = log.lines.clone();
        lines[at] = lines[at].replace("\"time\":\"2023", "\"time\":\"2024");
        assert_ne!(lines, log.lines);
        match at {
            // Nothing stands behind the last one, and no seal is over it.
            11 => assert_eq!(log.flaws(&lines), [None, None]),
            10 => log.broken(&lines, 11, "it or line 12"),
            _ => log.broken(&lines, at as u64 + 1, "it was changed"),
        }
        let mut lines = log.lines.clone();
        let prev = lines[at].find("\"prev\":\"").unwrap() + 8;
        lines[at].replace_range(prev..prev + 4, "beef");
        match at {
            11 => log.broken(&lines, 11, "it or line 12"),
            _ => log.broken(&lines, at as u64 + 1, "it was changed"),
        }
        let mut lines = log.lines.clone();
        lines[at] = lines[at].replacen(&format!("\"seq\":{}", at + 1), "\"seq\":99", 1);
        log.broken(&lines, at as u64 + 1, "it was changed: it is number 99");
        let mut lines = log.lines.clone();
        lines[at].truncate(30);
        log.broken(&lines, at as u64 + 1, "it is no entry");
    }
    // The name of the log itself.
    let mut lines = log.lines.clone();
    lines[0] = lines[0].replacen("\"log\":\"", "\"log\":\"0", 1);
    log.broken(&lines, 1, "it was changed");
}

#[test]
fn a_line_that_was_taken_out_is_missed_where_it_stood() {
    let log = Log::new();
    for at in 0..11 {
        let mut lines = log.lines.clone();
        lines.remove(at);
        let what = if at == 0 { "the beginning of the log was" } else { "lines before it were" };
        log.broken(&lines, at as u64 + 1, &format!("{what} taken out: entry {} is missing", at + 1));
    }
    log.broken(&log.lines[3..], 1, "entries 1 to 3 are missing");
    let mut lines = log.lines.clone();
    lines.drain(4..7);
    log.broken(&lines, 5, "entries 5 to 7 are missing");
    // Behind the last seal an end can go unseen; before it, it cannot, with or without the key.
    assert_eq!(log.flaws(&log.lines[..10]), [None, None]);
    for keep in 1..10 {
        for found in log.flaws(&log.lines[..keep]) {
            let (flaw, line, why) = found.unwrap();
            assert_eq!((flaw, line), (Flaw::Truncated, keep as u64), "{why}");
        }
    }
    for found in log.flaws(&[]) {
        let (flaw, line, why) = found.unwrap();
        assert!((flaw, line) == (Flaw::Truncated, 1) && why.contains("the log is empty"), "{why}");
    }
    fs::remove_file(log.dir.path("audit.jsonl")).unwrap();
    assert_eq!(bad(&unlocked(&log.dir.0, 7)).unwrap().0, Flaw::Truncated);
    fs::remove_file(log.dir.path("audit.head")).unwrap();
    let (flaw, _, why) = bad(&unlocked(&log.dir.0, 7)).unwrap();
    assert!(flaw == Flaw::Missing && why.contains("it was taken away"), "{why}");
    // The log that is begun in its place says so for good; one that everything was moved away for does not.
    let next = unlocked(&log.dir.0, 7);
    fill(&next, 1);
    next.seal(at()).unwrap();
    assert_eq!(next.trouble().missing(), Some(log_of(&log.lines[0])));
    let (flaw, line, why) = bad(&next).unwrap();
    assert!((flaw, line) == (Flaw::Missing, 1) && why.contains("another log was here"), "{why}");
    for name in ["audit.jsonl", "audit.head", "audit.lock"] {
        fs::remove_file(log.dir.path(name)).unwrap();
    }
    let new = unlocked(&log.dir.0, 7);
    fill(&new, 1);
    assert_eq!((new.trouble().missing(), bad(&new)), (None, None));
}

#[test]
fn lines_that_were_moved_repeated_or_put_in_are_told_apart() {
    let log = Log::new();
    for at in 0..11 {
        let mut lines = log.lines.clone();
        lines.swap(at, at + 1);
        log.broken(
            &lines,
            at as u64 + 1,
            &format!("it was moved: entry {} should stand here, and is line {}", at + 1, at + 2),
        );
    }
    let mut lines = log.lines.clone();
    lines.swap(2, 7);
    log.broken(&lines, 3, "entry 3 should stand here, and is line 8");
    for at in 0..12 {
        let mut lines = log.lines.clone();
        lines.insert(at + 1, log.lines[at].clone());
        log.broken(&lines, at as u64 + 2, "it stands there twice");
    }
    let mut lines = log.lines.clone();
    lines.insert(8, log.lines[3].clone());
    log.broken(&lines, 9, "entry 4 stands before it already");
    // An entry of one's own that follows from the line before it.
    let mut lines = log.lines.clone();
    lines.insert(7, lines[7].replace("\"qty\":0", "\"qty\":9"));
    log.broken(&lines, 8, "it was put in: line 9 is entry 8 too");
}

#[test]
fn only_half_a_line_at_the_end_is_forgiven() {
    let log = Log::new();
    for at in 1..=12 {
        for foreign in ["garbage", "", "{}", "{\"seq\":13,\"time\":"] {
            let mut lines = log.lines.clone();
            lines.insert(at, foreign.to_owned());
            log.broken(&lines, at as u64 + 1, "it is no entry");
        }
    }
    let mut lines = log.lines.clone();
    lines.insert(0, "garbage".to_owned());
    log.broken(&lines, 1, "it is no entry");
    let text = log.lines.join("\n") + "\n";
    for (end, forgiven) in
        [("half", true), ("half\n{\"seq\":13,\"ti", true), ("garbage\nhalf", false), ("garbage\n\n", false)]
    {
        for found in log.flaws_of(&(text.clone() + end)) {
            assert_eq!(found.is_none(), forgiven, "{end:?}: {found:?}");
            assert!(found.is_none_or(|(flaw, line, _)| (flaw, line) == (Flaw::Broken, 13)), "{end:?}");
        }
    }
    // The log goes on behind it, and never calls it a crash.
    let head = fs::read(log.dir.path("audit.head")).unwrap();
    for end in ["garbage\n", "\n", "garbage\nhalf", "half"] {
        fs::write(log.dir.path("audit.jsonl"), text.clone() + end).unwrap();
        let audit = unlocked(&log.dir.0, 7);
        fill(&audit, 1);
        audit.seal(at()).unwrap();
        fill(&audit, 1);
        let found = verdict(&audit);
        assert_eq!(found.entries, 18, "{end:?}: {found:?}");
        assert_eq!(
            (found.bad.len(), found.recovered.len()),
            if end == "half" { (0, 1) } else { (1, 0) },
            "{end:?}: {found:?}"
        );
        assert!(found.bad.iter().all(|bad| (bad.flaw, bad.place.line) == (Flaw::Broken, 13)), "{found:?}");
        fs::write(log.dir.path("audit.head"), &head).unwrap();
    }
}

#[test]
fn what_is_put_back_shows_unless_all_of_it_is() {
    let dir = TempDir::new();
    let audit = unlocked(&dir.0, 7);
    let mut copies = Vec::new();
    for _ in 0..3 {
        fill(&audit, 1);
        audit.seal(at()).unwrap();
        copies.push((fs::read(audit.path()).unwrap(), fs::read(dir.path("audit.head")).unwrap()));
    }
    let with = |log: usize, head: usize| {
        fs::write(audit.path(), &copies[log].0).unwrap();
        fs::write(dir.path("audit.head"), &copies[head].1).unwrap();
        bad(&audit).map(|(flaw, line, why)| (flaw, line, why.contains("older copy")))
    };
    assert_eq!(with(2, 2), None);
    // A crash between the log and its head file leaves as much.
    assert_eq!(with(2, 1), None);
    assert_eq!(with(2, 0), Some((Flaw::Seal, 1, true)));
    assert_eq!(with(1, 2), Some((Flaw::Truncated, 8, false)));
    assert_eq!(with(0, 2), Some((Flaw::Truncated, 5, false)));
    // Nothing in these two files says that they are not the newest.
    assert_eq!(with(0, 0), None);
}

#[test]
fn a_checkpoint_of_another_key_is_named() {
    let log = Log::new();
    let theirs = LogKey::new(DataKey::from_bytes(&[8; 32]).unwrap().root(), &log_of(&log.lines[0])).unwrap();
    let mut entry: Entry = serde_json::from_str(&log.lines[9]).unwrap();
    entry.body = serde_json::json!({ "key": theirs.id, "mac": "" });
    let mut lines = log.lines[..9].to_vec();
    lines.push(String::from_utf8(theirs.seal_line(serde_json::to_vec(&entry).unwrap())).unwrap());
    let [with, without] = log.flaws(&lines);
    let (flaw, line, why) = with.unwrap();
    assert!((flaw, line) == (Flaw::Seal, 10) && why.contains("another key"), "{why}");
    let (flaw, line, why) = without.unwrap();
    assert!((flaw, line) == (Flaw::Seal, 10) && why.contains("head file"), "{why}");
}

fn log_of(begin: &str) -> String {
    let entry: Entry = serde_json::from_str(begin).unwrap();
    entry.body["log"].as_str().unwrap().to_owned()
}

#[test]
fn a_file_that_was_taken_away_is_named() {
    let dir = TempDir::new();
    let audit = unlocked(&dir.0, 7).with_file_size(1_500);
    for _ in 0..6 {
        fill(&audit, 2);
        audit.seal(at()).unwrap();
    }
    let files: Vec<(u64, PathBuf)> = audit.old_files().unwrap();
    assert!(files.len() > 3);
    let name = |index: usize| files[index].1.file_name().unwrap().to_str().unwrap().to_owned();
    let away = dir.path("away");
    let first = |audit: &Audit| verdict(audit).bad.into_iter().next().unwrap();
    for index in 0..files.len() {
        fs::rename(&files[index].1, &away).unwrap();
        let found = first(&audit);
        let behind = files.get(index + 1).map_or(audit.path(), |(_, path)| path.clone());
        assert_eq!((found.flaw, &found.place), (Flaw::Broken, &Place { file: behind, line: 1 }), "{}", found.why);
        assert!(found.why.starts_with(&format!("the file {} before it was taken away", name(index))), "{}", found.why);
        fs::rename(&away, &files[index].1).unwrap();
    }
    // Two of them.
    for (_, path) in &files[..2] {
        fs::rename(path, dir.path("away").with_extension(path.file_name().unwrap())).unwrap();
    }
    let found = first(&audit);
    assert!(found.why.starts_with(&format!("files before it, the last of them {}", name(1))), "{}", found.why);
    for (_, path) in &files[..2] {
        fs::rename(dir.path("away").with_extension(path.file_name().unwrap()), path).unwrap();
    }
    // Two that changed their names.
    fs::rename(&files[0].1, &away).unwrap();
    fs::rename(&files[2].1, &files[0].1).unwrap();
    fs::rename(&away, &files[2].1).unwrap();
    let found = first(&audit);
    assert!(found.place.line == 1 && found.why.contains("it was moved: entry 1 should stand here"), "{}", found.why);
    fs::rename(&files[2].1, &away).unwrap();
    fs::rename(&files[0].1, &files[2].1).unwrap();
    fs::rename(&away, &files[0].1).unwrap();
    // The end of one.
    let text = fs::read_to_string(&files[1].1).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&files[1].1, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    let found = first(&audit);
    assert_eq!(found.place, Place { file: files[1].1.clone(), line: lines.len() as u64 - 1 }, "{}", found.why);
    assert!(found.why.contains("the end of its file was cut off"), "{}", found.why);
    // Its last line, seen from the next file.
    let mut changed = lines.clone();
    let last = lines[lines.len() - 1].replace("\"time\":\"2023", "\"time\":\"2024");
    *changed.last_mut().unwrap() = &last;
    fs::write(&files[1].1, changed.join("\n") + "\n").unwrap();
    assert_eq!(first(&audit).place, Place { file: files[1].1.clone(), line: lines.len() as u64 });
    fs::write(&files[1].1, &text).unwrap();
    assert_eq!(bad(&audit), None);
    // The newest.
    fs::rename(audit.path(), &away).unwrap();
    let found = first(&audit);
    assert!(found.flaw == Flaw::Truncated && found.why.contains("is missing"), "{}", found.why);
}

/// That one line is looked at where it stood, whatever became of its file, is enough.
#[test]
fn nothing_is_sent_whose_request_is_gone() {
    let dir = TempDir::new();
    let open = || unlocked(&dir.0, 7).with_file_size(1_500);
    let (audit, action) = (open(), ActionId::mint());
    let refused = |audit: &Audit| matches!(audit.sent(&action, at(), Value::Null), Err(Error::NoRequest(_)));
    assert!(refused(&audit), "nothing was asked for");
    fill(&audit, 1);
    audit.request(&action, at(), serde_json::json!({ "tool": "buy" })).unwrap();
    audit.sent(&action, at(), Value::Null).unwrap();
    // In the file that goes on, and in another process, once it has looked.
    fill(&audit, 6);
    assert!(audit.old_files().unwrap().len() > 1);
    audit.sent(&action, at(), Value::Null).unwrap();
    let other = open();
    assert!(refused(&other));
    other.entries_of(&action).unwrap();
    other.sent(&action, at(), Value::Null).unwrap();
    assert_eq!(bad(&audit), None);
    // Its file was taken away, or its line was changed.
    let (_, file) = audit.old_files().unwrap().remove(0);
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(refused(&audit) && refused(&other));
    fs::write(&file, text.replace("\"tool\":\"buy\"", "\"tool\":\"bye\"")).unwrap();
    assert!(refused(&audit) && refused(&other));
    other.entries_of(&action).unwrap();
    assert!(refused(&other), "what was changed is not what was written");
    fs::write(&file, text).unwrap();
    audit.sent(&action, at(), Value::Null).unwrap();
    // A request that was written without the key is none.
    let (unkeyed, asked) = (Audit::open(&dir.0), ActionId::mint());
    unkeyed.request(&asked, at(), Value::Null).unwrap();
    unkeyed.unlock(&DataKey::from_bytes(&[7; 32]).unwrap(), true);
    assert!(matches!(unkeyed.sent(&asked, at(), Value::Null), Err(Error::NoRequest(_))));
}
