//! `agentctl audit verify`.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::{key, show::meaning};
use crate::{
    cli::{
        app::App,
        failure::{Failure, Kind},
        ui::{Line, Ui},
    },
    proof::{Grader, Grades, Receipt},
    store::audit::{Flaw, Place, Seal, Verdict},
};

#[derive(Debug, ClapArgs)]
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
    let key = if args.chain_only { None } else { key(app).await? };
    if let Some(key) = key {
        audit.unlock(key, app.store()?.lasts());
    }
    let mut grader = Grader::new(&audit, key);
    let verdict = audit.verify(|link, line| grader.entry(link, line))?;
    tell(&app.ui, &verdict, grader.grades())
}

fn tell(ui: &Ui, verdict: &Verdict, grades: Grades) -> Result<(), Failure> {
    let failure = verdict.bad.first().map(|bad| {
        let Place { file, line } = &bad.place;
        let what = match bad.flaw {
            Flaw::Broken => "is broken",
            Flaw::Truncated => "was cut off",
            Flaw::Seal => "does not fit its seals",
            Flaw::Evidence => "does not prove an approval",
        };
        let message = format!("the audit log {what} at {} line {line}: {}", file.display(), bad.why);
        let more = match verdict.bad.len() {
            1 => String::new(),
            many => format!("; {} more flaws are listed with --json", many - 1),
        };
        let looked = format!("{} entries were read; keep the files as they are{more}", verdict.entries);
        let failure = Failure::new(Kind::Failed, message).hint(looked);
        if bad.flaw == Flaw::Seal {
            failure.hint("if another credential store is in use now than when it was written, say so (AGENTCTL_STORE)")
        } else {
            failure
        }
    });
    if ui.json() {
        let mut object = failure.as_ref().map_or_else(|| json!({ "schema_version": 1, "ok": true }), Failure::to_json);
        if let Value::Object(facts) = facts(verdict, grades) {
            object.as_object_mut().into_iter().for_each(|object| object.extend(facts.clone()));
        }
        ui.data(&object);
        return failure.map_or(Ok(()), |failure| Err(failure.told()));
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    words(ui, verdict, grades);
    Ok(())
}

fn facts(verdict: &Verdict, grades: Grades) -> Value {
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
        "entries": verdict.entries,
        "files": verdict.files,
        "seal": { "status": status, "up_to": up_to, "unsealed": verdict.unsealed(), "checkpoints": verdict.checkpoints },
        "approvals": grades,
        "recovered": verdict.recovered.iter().map(place).collect::<Vec<_>>(),
        "unfinished": verdict.unfinished.as_ref().map(place),
        "bad": bad,
    })
}

fn flaw_word(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::Broken => "broken",
        Flaw::Truncated => "truncated",
        Flaw::Seal => "seal",
        Flaw::Evidence => "evidence",
    }
}

fn words(ui: &Ui, verdict: &Verdict, grades: Grades) {
    let good = |text: &str| ui.answer_line(&Line::new().good("✓ ").plain(text));
    let open = |text: &str| ui.answer_line(&Line::new().warn("- ").plain(text));
    let files = if verdict.files > 1 { format!(" in {} files", verdict.files) } else { String::new() };
    good(&format!("{} entries{files}; every one follows from the one before", verdict.entries));
    match (verdict.seal, verdict.unsealed()) {
        (Seal::UpTo(seq), 0) => good(&format!("sealed up to the last entry, {seq}")),
        (Seal::UpTo(seq), unsealed) => {
            good(&format!("sealed up to entry {seq}"));
            open(&format!("the {unsealed} entries behind it are not sealed yet: they are fine, and unproven"));
        }
        (Seal::NotChecked, _) => open("its seals were not checked: that needs the key in the credential store"),
        (Seal::None, 0) => {}
        (Seal::None, _) => open("nothing of it is sealed: it is fine, and unproven"),
    }
    let Grades { a, b, c, without_token, not_checked, not_approved, without_end } = grades;
    if a + b + c > 0 {
        good(&format!("the issuer's signatures hold for {} approvals: {a} of grade A, {b} B, {c} C", a + b + c));
    }
    for (count, text) in [
        (not_checked, "approvals were not checked: that needs the key in the credential store"),
        (without_token, "approvals have no kept token"),
        (not_approved, "effects needed no approval, as their tool says"),
        (without_end, "calls have no end: a crash, or still under way"),
    ] {
        if count > 0 {
            open(&format!("{count} {text}"));
        }
    }
    for place in verdict.recovered.iter().chain(&verdict.unfinished) {
        ui.warn(&format!("{} line {} is half a line, as a crash leaves it", place.file.display(), place.line));
    }
}

fn receipt(ui: &Ui, file: &Path) -> Result<(), Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(Kind::Usage, format!("failed to read {shown}: {error}")))?;
    let receipt: Receipt = serde_json::from_str(&text)
        .map_err(|error| Failure::new(Kind::Failed, format!("{shown} is no receipt: {error}")))?;
    let proven = receipt
        .check()
        .map_err(|problem| Failure::new(Kind::Failed, format!("the receipt {shown} does not hold: {problem}")))?;
    if ui.json() {
        let keys: Vec<&Value> = receipt.keys.iter().collect();
        ui.data(&json!({
            "schema_version": 1, "ok": true, "action": receipt.action, "grade": proven, "claimed": receipt.grade, "keys": keys,
        }));
        return Ok(());
    }
    ui.answer_line(&Line::new().good("✓ ").plain("the entries of ").field(&receipt.action).plain(" fit together"));
    match proven {
        Some(grade) => {
            ui.answer_line(&Line::new().good("✓ ").plain(&format!("grade {grade}: {}", meaning(grade))));
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
        let failure = tell(&Ui::test(), &verdict, Grades::default()).unwrap_err();
        assert_eq!(failure.kind.exit_code(), 1);
        assert_eq!(failure.message, "the audit log is broken at /s/audit.jsonl line 4: gone");
        let ui = Ui::test_with(crate::cli::look::Look::default(), true);
        assert!(tell(&ui, &verdict, Grades::default()).unwrap_err().told);
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
            tell(&ui, &verdict, grades).unwrap();
            ui.take().0
        };
        let sealed = Verdict { entries: 9, files: 2, seal: Seal::UpTo(7), ..Verdict::default() };
        let grades = Grades { a: 2, c: 1, without_end: 1, ..Grades::default() };
        assert_eq!(
            said(sealed, grades),
            "✓ 9 entries in 2 files; every one follows from the one before\n✓ sealed up to entry 7\n\
             - the 2 entries behind it are not sealed yet: they are fine, and unproven\n\
             ✓ the issuer's signatures hold for 3 approvals: 2 of grade A, 0 B, 1 C\n\
             - 1 calls have no end: a crash, or still under way\n"
        );
        let without = Verdict { entries: 9, files: 1, seal: Seal::NotChecked, ..Verdict::default() };
        assert!(said(without, Grades::default()).contains("seals were not checked"));
    }
}
