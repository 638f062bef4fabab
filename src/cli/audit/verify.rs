//! `agentctl audit verify`.

use std::{
    collections::BTreeSet,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::{known::Known, show::meaning};
use crate::{
    cli::{
        app::App,
        failure::{Failure, Kind},
        ui::{Line, Ui},
        words::{count, pick},
    },
    json,
    proof::{Grader, Grades, Receipt, WithoutEnd, covered},
    store::audit::{Flaw, Place, Seal, Verdict},
};

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  agentctl audit verify")]
pub(super) struct Args {
    /// Check a receipt that `audit export --receipt` made; needs neither the log nor a key
    #[arg(long, value_name = "FILE", conflicts_with = "chain_only")]
    receipt: Option<PathBuf>,
    /// Only the chain: the credential store is left alone, seals and approvals are not checked
    #[arg(long)]
    chain_only: bool,
}

pub(super) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    if let Some(file) = &args.receipt {
        return receipt(&app.ui, file);
    }
    let audit = app.audit()?;
    let key = if args.chain_only { None } else { app.log_key().await? };
    if let Some(key) = key {
        audit.unlock(key, app.store()?.lasts());
    }
    let mut known = Known::read(app)?;
    let mut grader = Grader::new(&audit, key);
    let mut verdict = audit.verify(|link, line| {
        known.entry(link, line);
        grader.entry(link, line)
    })?;
    let without_end = grader.without_end();
    let runs = without_end.iter().filter_map(|call| call.run.clone()).filter(|run| known.has_run(run)).collect();
    let before = known.judge(&mut verdict, Place { file: audit.path(), line: 1 });
    tell(&app.ui, &Found { verdict, grades: grader.grades(), without_end, runs, before })
}

/// What is to be told.
#[derive(Debug, Default)]
struct Found {
    verdict: Verdict,
    grades: Grades,
    without_end: Vec<WithoutEnd>,
    /// Those of their runs that can be gone on with.
    runs: BTreeSet<String>,
    /// How many actions the journal knows from before this log began.
    before: usize,
}

fn tell(ui: &Ui, found: &Found) -> Result<(), Failure> {
    let verdict = &found.verdict;
    let failure = verdict.bad.first().map(|bad| {
        let Place { file, line } = &bad.place;
        let what = match bad.flaw {
            Flaw::Broken => "is broken",
            Flaw::Truncated => "was cut off",
            Flaw::Missing => "is not whole",
            Flaw::Seal => "does not fit its seals",
            Flaw::Evidence => "does not prove an approval",
        };
        let message = format!("the audit log {what} at {} line {line}: {}", file.display(), bad.why);
        let more = match verdict.bad.len() {
            1 => String::new(),
            2 => "; one more flaw is listed with --json".to_owned(),
            many => format!("; {} more flaws are listed with --json", many - 1),
        };
        let read = count(verdict.read(), "entry was read", "entries were read");
        let looked = format!("{read}; keep the files as they are{more}");
        let failure = Failure::new(Kind::Failed, message).hint(looked);
        if bad.flaw == Flaw::Seal {
            failure.hint("if another credential store is in use now than when it was written, say so (AGENTCTL_STORE)").hint(
                "if its key is lost for good, move the audit* files away together: a new log begins, and --chain-only still \
                 checks the old one",
            )
        } else {
            failure
        }
    });
    if ui.json() {
        let mut object = failure.as_ref().map_or_else(|| json!({ "schema_version": 1, "ok": true }), Failure::to_json);
        if let Value::Object(facts) = facts(found) {
            object.as_object_mut().into_iter().for_each(|object| object.extend(facts.clone()));
        }
        ui.data(&object);
        return failure.map_or(Ok(()), |failure| Err(failure.told()));
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    words(ui, found);
    Ok(())
}

fn facts(Found { verdict, grades, without_end, before, .. }: &Found) -> Value {
    let place = |place: &Place| json!({ "file": place.file, "line": place.line });
    let (status, up_to) = match verdict.seal {
        Seal::None => ("none", None),
        Seal::NotChecked => ("not_checked", None),
        Seal::UpTo(seq) => ("sealed", Some(seq)),
    };
    let bad: Vec<Value> = verdict
        .bad
        .iter()
        .map(|bad| {
            json!({ "flaw": flaw_word(bad.flaw), "file": bad.place.file, "line": bad.place.line, "why": bad.why })
        })
        .collect();
    json!({
        "entries": verdict.read(),
        "pruned": verdict.pruned,
        "unproven": verdict.unproven.iter().map(|range| json!({ "from": range.start(), "to": range.end() })).collect::<Vec<_>>(),
        "files": verdict.files,
        "seal": { "status": status, "up_to": up_to, "unsealed": verdict.unsealed(), "checkpoints": verdict.checkpoints },
        "approvals": grades,
        "without_end": without_end,
        "before_this_log": before,
        "recovered": verdict.recovered.iter().map(place).collect::<Vec<_>>(),
        "unfinished": verdict.unfinished.as_ref().map(place),
        "bad": bad,
    })
}

fn flaw_word(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::Broken => "broken",
        Flaw::Truncated => "truncated",
        Flaw::Missing => "missing",
        Flaw::Seal => "seal",
        Flaw::Evidence => "evidence",
    }
}

fn words(ui: &Ui, Found { verdict, grades, without_end, runs, before }: &Found) {
    let good = |text: &str| ui.answer_line(&Line::new().good("✓ ").said(text));
    let open = |text: &str| ui.answer_line(&Line::new().warn("- ").said(text));
    let files = if verdict.files > 1 { format!(" in {} files", verdict.files) } else { String::new() };
    match verdict.read() {
        0 => open("the log is empty: nothing was written down yet"),
        1 => good("1 entry"),
        many => good(&format!("{many} entries{files}; every one follows from the one before")),
    }
    if verdict.pruned > 0 {
        let were = count(verdict.pruned, "entry before them was", "entries before them were");
        open(&format!("{were} removed when their time was over (limits.keep_audit_days)"));
    }
    match (verdict.seal, verdict.unsealed()) {
        (Seal::UpTo(seq), 0) => good(&format!("sealed up to the last entry, {seq}")),
        (Seal::UpTo(seq), unsealed) => {
            good(&format!("sealed up to entry {seq}"));
            open(&match unsealed {
                1 => "the entry behind it is not sealed yet: it could be taken away unseen".to_owned(),
                many => format!("the {many} entries behind it are not sealed yet: they could be taken away unseen"),
            });
        }
        (Seal::NotChecked, _) => open("its seals were not checked: that needs the key in the credential store"),
        (Seal::None, 0) => {}
        (Seal::None, _) => open("nothing of it is sealed: it is fine, and unproven"),
    }
    unproven(ui, &verdict.unproven);
    let Grades { a, b, c, without_token, not_checked, not_approved, without_yes, without_end: _ } = *grades;
    if a + b + c > 0 {
        let approvals = count(a + b + c, "approval", "approvals");
        good(&format!("the issuer's signatures hold for {approvals}: {a} of grade A, {b} B, {c} C"));
    }
    let key = "that needs the key in the credential store";
    for (number, text) in [
        (
            not_checked,
            format!("{}: {key}", pick(not_checked, "approval was not checked", "approvals were not checked")),
        ),
        (without_token, pick(without_token, "approval has no kept token", "approvals have no kept token").to_owned()),
        (
            without_yes,
            pick(
                without_yes,
                "effect may have happened, and the yes it was asked for is not in the log",
                "effects may have happened, and the yes they were asked for is not in the log",
            )
            .to_owned(),
        ),
        (
            not_approved,
            pick(
                not_approved,
                "effect needed no approval, as its tool says",
                "effects needed no approval, as their tool says",
            )
            .to_owned(),
        ),
    ] {
        if number > 0 {
            open(&format!("{number} {text}"));
        }
    }
    unended(ui, without_end, runs);
    if *before > 0 {
        let knows = count(*before as u64, "action", "actions");
        let why = match verdict.pruned {
            0 => "before this log began: the log before it was moved away, or removed",
            _ => "before the first entry that is kept",
        };
        open(&format!("the journal knows {knows} from {why}"));
    }
    for place in verdict.recovered.iter().chain(&verdict.unfinished) {
        ui.warn(&format!("{} line {} is half a line, as a crash leaves it", place.file.display(), place.line));
    }
}

/// The entries that nobody vouches for.
fn unproven(ui: &Ui, ranges: &[RangeInclusive<u64>]) {
    /// More of them are named in JSON only.
    const NAMED: usize = 10;
    let name = |range: &RangeInclusive<u64>| match (range.start(), range.end()) {
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("{from} to {to}"),
    };
    let (from, more) = match ranges {
        [] => return,
        [one] if one.start() == one.end() => {
            let text = format!("entry {} was written without the log's key: nothing proves who wrote it", one.start());
            return ui.answer_line(&Line::new().warn("- ").said(&text));
        }
        many => (&many[..many.len().min(NAMED)], many.len().saturating_sub(NAMED)),
    };
    let mut named = from.iter().map(name).collect::<Vec<_>>().join(", ");
    if more > 0 {
        named += &format!(" and {more} more places that --json names");
    }
    let text = format!("entries {named} were written without the log's key: nothing proves who wrote them");
    ui.answer_line(&Line::new().warn("- ").said(&text));
}

/// The calls that have no end, each with what to do about it.
fn unended(ui: &Ui, calls: &[WithoutEnd], runs: &BTreeSet<String>) {
    /// More of them are named in JSON only.
    const NAMED: usize = 10;
    if calls.is_empty() {
        return;
    }
    let what = count(calls.len() as u64, "call has no end", "calls have no end");
    ui.answer_line(&Line::new().warn("- ").said(&what).plain(": it waits, is under way, or was cut off by a crash"));
    for call in calls.iter().take(NAMED) {
        let line = Line::new().plain("    ").bold(&call.action).plain("  ").field(&call.tool).plain("  ");
        let next = match call.run.as_ref().filter(|run| runs.contains(*run)) {
            Some(run) => format!("agentctl resume {run}"),
            None => format!("agentctl why {}", call.action),
        };
        ui.answer_line(&line.dim_whole(&next));
    }
    if let more @ 1.. = calls.len().saturating_sub(NAMED) {
        ui.answer_line(&Line::new().plain("    ").dim_said(&format!("and {more} more; --json names them all")));
    }
}

fn receipt(ui: &Ui, file: &Path) -> Result<(), Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(Kind::Usage, format!("failed to read {shown}: {error}")))?;
    let none = |why: String| Failure::new(Kind::Failed, format!("{shown} is no receipt: {why}"));
    json::strict(&text).map_err(|error| none(error.to_string()))?;
    let receipt: Receipt = serde_json::from_str(&text).map_err(|error| none(error.to_string()))?;
    let proven = receipt
        .check()
        .map_err(|problem| Failure::new(Kind::Failed, format!("the receipt {shown} does not hold: {problem}")))?;
    let (signed, not_signed) = covered(proven);
    if ui.json() {
        let keys: Vec<&Value> = receipt.keys.iter().collect();
        ui.data(&json!({
            "schema_version": 1, "ok": true, "action": receipt.action, "grade": proven, "claimed": receipt.grade, "keys": keys,
            "signed": signed, "not_signed": not_signed, "hashes": receipt.hashes,
        }));
        return Ok(());
    }
    ui.answer_line(&Line::new().good("✓ ").plain("the entries of ").field(&receipt.action).plain(" fit together"));
    match proven {
        Some(grade) => {
            ui.answer_line(&Line::new().good("✓ ").said(&format!("grade {grade}: {}", meaning(grade))));
            ui.answer_line(&Line::new().good("✓ ").plain("the issuer signed: ").said(&signed.join(", ")));
            ui.answer_line(&Line::new().warn("- ").plain("it did not sign: ").said(&not_signed.join(", ")));
            ui.status("What it did not sign is the word of whoever exported it, unless a sealed log holds lines with these hashes.");
            ui.status("That holds if the keys in the receipt are the issuer's: compare them with what the issuer publishes.");
        }
        None => ui.answer_line(&Line::new().warn("- ").plain(
            "it holds no signed token, so it proves no approval: ask for one with `audit export --receipt ACTION --tokens`",
        )),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::audit::Bad;

    #[test]
    fn a_flaw_is_a_failure_with_its_file_and_line() {
        let bad =
            Bad { flaw: Flaw::Broken, place: Place { file: "/s/audit.jsonl".into(), line: 4 }, why: "gone".into() };
        let verdict = Verdict { entries: 3, bad: vec![bad], ..Verdict::default() };
        let found = Found { verdict, ..Found::default() };
        let failure = tell(&Ui::test(), &found).unwrap_err();
        assert_eq!(failure.kind.exit_code(), 1);
        assert_eq!(failure.message, "the audit log is broken at /s/audit.jsonl line 4: gone");
        let ui = Ui::test_with(crate::cli::look::Look::default(), true);
        assert!(tell(&ui, &found).unwrap_err().told);
        let object: Value = serde_json::from_str(&ui.take().0).unwrap();
        assert_eq!(
            (&object["ok"], &object["bad"][0]["flaw"], &object["exit_code"]),
            (&json!(false), &json!("broken"), &json!(1))
        );
    }

    #[test]
    fn what_is_unproven_is_said() {
        let said = |verdict: Verdict, grades: Grades| {
            let ui = Ui::test();
            let call = WithoutEnd { action: "act_1".into(), tool: "buy".into(), run: Some("run_1".into()) };
            let without_end = vec![call; usize::try_from(grades.without_end).unwrap()];
            let runs = BTreeSet::from(["run_1".to_owned()]);
            tell(&ui, &Found { verdict, grades, without_end, runs, before: 1 }).unwrap();
            ui.take().0
        };
        let unproven = vec![2..=3, 5..=5];
        let sealed = Verdict { entries: 9, files: 2, seal: Seal::UpTo(7), unproven, ..Verdict::default() };
        let grades = Grades { a: 2, c: 1, without_end: 1, ..Grades::default() };
        assert_eq!(
            said(sealed, grades),
            "✓ 9 entries in 2 files; every one follows from the one before\n✓ sealed up to entry 7\n\
             - the 2 entries behind it are not sealed yet: they could be taken away unseen\n\
             - entries 2 to 3, 5 were written without the log's key: nothing proves who wrote them\n\
             ✓ the issuer's signatures hold for 3 approvals: 2 of grade A, 0 B, 1 C\n\
             - 1 call has no end: it waits, is under way, or was cut off by a crash\n    act_1  buy  agentctl resume run_1\n\
             - the journal knows 1 action from before this log began: the log before it was moved away, or removed\n"
        );
        let without = Verdict { entries: 9, files: 1, seal: Seal::NotChecked, ..Verdict::default() };
        assert!(said(without, Grades::default()).contains("seals were not checked"));
    }
}
