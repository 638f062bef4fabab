//! A whole session, with everything that can happen to a log in it; and what others can prove with it.

use std::{fs, path::PathBuf, process::Command as Process};

use serde_json::{Value, json};

use crate::support::{Dev, Home, agentctl, peer_is_missing, program, run_peer};

/// The files of the log, oldest first.
fn files(home: &Home) -> Vec<PathBuf> {
    let paths = agentctl(home).args(["config", "path", "--json"]).run().code(0).json();
    let folder = fs::read_dir(paths["state"].as_str().unwrap()).unwrap();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    // `audit-000000000001.jsonl` before `audit.jsonl`.
    files.sort();
    files
}

#[test]
fn a_session_with_everything_in_it_leaves_a_log_that_proves_it() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    home.set("AGENTCTL_TEST_LOG_SIZE", "8000");
    dev.auto("approve", "approve");
    agentctl(&home).args(["run", "what phones are there"]).run().code(0);
    agentctl(&home).args(["run", "buy 2 phones"]).run().code(0);
    dev.auto("approve", "deny");
    agentctl(&home).args(["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=3"]).run().code(11);
    dev.auto("approve", "approve");
    let killed =
        agentctl(&home).args(["run", "buy 4 phones"]).env("AGENTCTL_TEST_DIE_AT", "after:execution_started").run();
    assert_eq!(killed.status.code(), None, "it was to be killed\n{killed}");
    agentctl(&home).args(["audit", "verify"]).run().code(0).out(&[
        "1 call has no end",
        "buy_product",
        "agentctl resume",
    ]);
    agentctl(&home).args(["resume", "--last"]).run().code(0);
    dev.auto("approve", "off");
    agentctl(&home).args(["run", "--on-approval", "detach", "buy 5 phones"]).run().code(10);
    agentctl(&home).arg("panic").run().code(0);
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    dev.auto("approve", "approve");
    agentctl(&home).args(["run", "buy 6 phones"]).run().code(0);

    let found = agentctl(&home).args(["audit", "verify", "--json"]).run().code(0).json();
    assert!(found["files"].as_u64().unwrap() > 2, "the log did not go on in new files: {found}");
    assert_eq!((&found["ok"], &found["seal"]["unsealed"]), (&json!(true), &json!(0)), "{found}");
    assert_eq!((&found["without_end"], &found["before_this_log"]), (&json!([]), &json!(0)), "{found}");
    assert_eq!((&found["approvals"]["A"], &found["approvals"]["B"]), (&json!(3), &json!(0)), "{found}");
    agentctl(&home).args(["audit", "verify"]).run().code(0).out(&["hold for 3 approvals: 3 of grade A"]);
    let outcomes = |tool: &str| -> Vec<String> {
        let entries = agentctl(&home).args(["audit", "list", "--json", "--tool", tool]).run().code(0).json();
        let bodies = entries["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "response");
        bodies.map(|entry| entry["body"]["outcome"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(outcomes("buy_product"), ["done", "denied", "done", "cancelled", "done"]);
    assert_eq!(outcomes("panic"), ["done"]);
    assert_eq!(dev.orders().len(), 3);

    // Somebody who trusts neither this log nor this program.
    dev.advance(4000);
    let Some(python) = program("python3") else {
        return peer_is_missing("python3", "install Python 3.8 or later");
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/receipt/check.py");
    let checked = |action: &str, spoil: &dyn Fn(String) -> String| {
        let receipt = agentctl(&home).args(["audit", "export", "--receipt", action, "--tokens"]).run().code(0).stdout;
        let file = home.work().join("receipt.json");
        fs::write(&file, spoil(receipt)).unwrap();
        run_peer(Process::new(&python).arg(script).arg(&file).args(files(&home)))
    };
    let entries = agentctl(&home).args(["audit", "list", "--json", "--tool", "buy_product"]).run().code(0).json();
    let mut done = 0;
    for entry in entries["entries"].as_array().unwrap() {
        if entry["body"]["outcome"] != "done" {
            continue;
        }
        let action = entry["action"].as_str().unwrap();
        let output = checked(action, &|receipt| receipt);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&said["details"], &said["seq"][1]), (&json!(true), &entry["seq"]), "{said}");
        assert_eq!(said["entries"], found["entries"], "{said}");
        done += 1;
    }
    assert_eq!(done, 3);
    let action = entries["entries"][0]["action"].as_str().unwrap();
    // It can say no as well.
    let changed: [(&str, &dyn Fn(String) -> String); 2] = [
        ("hashes", &|receipt| receipt.replacen("\\\"qty\\\":2", "\\\"qty\\\":1", 1)),
        ("another one than was kept", &|receipt| {
            let at = receipt.find("\"jwt\"").unwrap() + 60;
            receipt[..at].to_owned() + "AAAA" + &receipt[at + 4..]
        }),
    ];
    for (why, spoil) in changed {
        let output = checked(action, spoil);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{why}: {said}");
    }
}

#[test]
fn a_log_with_a_limit_says_what_it_let_go_of_and_still_proves_the_rest() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    home.set("AGENTCTL_TEST_LOG_SIZE", "4000");
    let day = |days: u64| {
        dev.advance(days * 24 * 60 * 60);
        agentctl(&home).args(["login", "--no-browser"]).run().code(0);
        agentctl(&home).args(["run", "buy 1 phones"]).run().code(0)
    };
    dev.auto("approve", "approve");
    day(0);
    day(0);
    let first = files(&home).remove(0);
    day(40);
    assert!(first.exists(), "nobody has set a limit");
    let paths = agentctl(&home).args(["config", "path", "--json"]).run().code(0).json();
    let config = PathBuf::from(paths["config"].as_str().unwrap());
    fs::write(&config, "[profiles.default.limits]\nkeep_audit_days = 29\n").unwrap();
    agentctl(&home).args(["whoami"]).run().code(2).err(&["keep_audit_days", "30"]);
    fs::write(&config, "[profiles.default.limits]\nkeep_audit_days = 30\n").unwrap();

    // Whoever has touched the log keeps the whole of it.
    let text = fs::read_to_string(&first).unwrap();
    fs::write(&first, text.replacen("buy_product", "buy_nothing", 1)).unwrap();
    day(2).err(&["the audit log is not shortened"]);
    assert!(first.exists());
    fs::write(&first, text).unwrap();
    day(2);
    assert!(!first.exists());

    let verify = agentctl(&home).args(["audit", "verify", "--json"]).run().code(0).json();
    let pruned = verify["pruned"].as_u64().unwrap();
    assert!(pruned > 0, "{verify}");
    assert_eq!(
        (&verify["seal"]["unsealed"], verify["approvals"]["A"].as_u64() < Some(5)),
        (&json!(0), true),
        "{verify}"
    );
    agentctl(&home)
        .args(["audit", "verify"])
        .run()
        .code(0)
        .out(&["were removed when their time was over", "sealed up to"]);
    let entries = agentctl(&home).args(["audit", "list", "--json"]).run().code(0).json();
    assert_eq!(entries["entries"][0]["seq"].as_u64(), Some(pruned + 1));
    agentctl(&home).args(["audit", "list"]).run().code(0).out(&[&format!("pruned    entries 1 to {pruned}")]);
    let files = files(&home);
    fs::remove_file(&files[0]).unwrap();
    agentctl(&home).args(["audit", "verify"]).run().code(1).out(&[]);
}
