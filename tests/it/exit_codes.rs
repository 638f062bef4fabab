//! The table of exit codes, row by row through the real program: in text, and in `--json`, where the last line of stdout has
//! to fit docs/events.schema.json (every line is held against it, see `Output::lines`).

use std::{fs, time::Duration};

use serde_json::{Value, json};

use crate::support::{Dev, Home, Output, Terminal, agentctl, wait_until};

/// Runs it in text and in JSON, each time after `before`, and looks at both.
#[track_caller]
fn both(home: &Home, args: &[&str], code: i32, kind: &str, before: impl Fn()) {
    before();
    let text = agentctl(home).arg("run").args(args.iter().copied()).run().code(code);
    assert!(!text.stdout.contains("\"schema_version\""), "{text}");
    before();
    let output = agentctl(home).args(["run", "--json"]).args(args.iter().copied()).run().code(code);
    ends(&output, code, kind);
}

#[track_caller]
fn ends(output: &Output, code: i32, kind: &str) {
    let lines = output.lines();
    let terminal = |line: &&Value| {
        ["run.completed", "run.refused", "run.pending", "run.failed"].iter().any(|name| line["type"] == *name)
    };
    assert_eq!(lines.iter().filter(terminal).count(), 1, "one terminal event\n{output}");
    let last = lines.last().unwrap();
    assert!(terminal(&last), "the last line is none\n{output}");
    assert_eq!((&last["exit_code"], &last["ok"]), (&json!(code), &json!(code == 0)), "{output}");
    if code != 0 {
        assert_eq!(last["error"], kind, "{output}");
    }
}

fn nothing() {}

#[test]
fn done_and_failed() {
    let dev = Dev::start();
    let home = dev.logged_in();
    both(&home, &["what phones are there"], 0, "", nothing);
    // A state folder in which nothing can be written down.
    let journal = home.path().join("agentctl/state/journal.db");
    assert!(journal.exists(), "{}", journal.display());
    fs::remove_file(&journal).unwrap();
    fs::create_dir(&journal).unwrap();
    both(&home, &["buy 2 phones"], 1, "failed", nothing);
    assert!(dev.orders().is_empty() && dev.history("ciba").is_empty());
}

#[test]
fn usage_and_login() {
    let dev = Dev::start();
    let mut home = dev.home();
    both(&home, &["--max-turns", "many", "go"], 2, "usage", nothing);
    both(&home, &["--no-such-flag"], 2, "usage", nothing);
    both(&home, &["-p", "nobody", "go"], 2, "usage", nothing);
    both(&home, &["go"], 4, "login_needed", nothing);
    home.set("AGENTCTL_MODEL", "");
    both(&home, &["--on-approval", "perhaps", "go"], 2, "usage", nothing);
}

#[test]
fn refused() {
    let dev = Dev::start();
    let home = dev.logged_in();
    both(&home, &["buy 2 phones"], 11, "denied", || dev.auto("off", "deny"));
    both(&home, &["buy 2 phones", "--max-spend", "1 EUR"], 14, "limit", nothing);
    both(&home, &["--max-turns", "1", "what phones are there"], 14, "limit", nothing);
    let limited = agentctl(&home).args(["run", "--max-turns", "1", "what phones are there"]).run().code(14);
    let next = limited.stderr.split("agentctl resume ").nth(1).unwrap().split('`').next().unwrap();
    let run = next.strip_suffix(" --max-turns 2").unwrap_or_else(|| panic!("{limited}"));
    agentctl(&home).args(["resume", run]).run().code(14);
    agentctl(&home).arg("resume").args(next.split(' ')).run().code(0).out(&["Finch Mini"]);
    dev.delete("/connections", &json!({ "person": "ada", "connection": "okta" }));
    both(&home, &["which groups is ada in"], 5, "connection_needed", nothing);
    dev.delete("/tuples", &json!({ "user": "ada", "relation": "can_buy", "object": "shop:main" }));
    both(&home, &["buy 2 phones"], 13, "not_permitted", nothing);
}

#[test]
fn pending_and_expired() {
    let dev = Dev::start();
    let home = dev.logged_in();
    both(&home, &["--on-approval", "detach", "buy 2 phones"], 10, "pending", nothing);
    let text = agentctl(&home).args(["run", "buy 2 phones"]).start();
    text.wait_for_stderr("Check that it shows:");
    dev.advance(600);
    text.finish().code(12);
    let events = agentctl(&home).args(["run", "--json", "buy 2 phones"]).start();
    events.wait_for_stdout("approval.requested");
    dev.advance(600);
    ends(&events.finish().code(12), 12, "expired");
}

#[test]
fn model_and_tool() {
    let dev = Dev::scripted(json!([
        { "tool_calls": [{ "name": "no_such_tool", "arguments": {} }] }, { "text": "No." },
        { "tool_calls": [{ "name": "no_such_tool", "arguments": {} }] }, { "text": "No." },
    ]));
    let mut home = dev.logged_in();
    both(&home, &["go"], 21, "tool_failed", nothing);
    home.set("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
    both(&home, &["go"], 20, "model_failed", nothing);
}

#[test]
fn time_and_signals() {
    let dev = Dev::scripted(json!([{ "text": "Late.", "first_delay_ms": 60_000, "repeat": 20 }]));
    let home = dev.logged_in();
    both(&home, &["--timeout", "1s", "go"], 124, "timeout", nothing);
    for (signal, code, kind) in [("HUP", 129, "hung_up"), ("INT", 130, "interrupted"), ("TERM", 143, "terminated")] {
        let asked = dev.history("model").len();
        let text = agentctl(&home).args(["run", "go"]).start();
        wait_until(Duration::from_secs(60), "a question to the model", || {
            (dev.history("model").len() > asked).then_some(())
        });
        text.signal(signal);
        text.finish().code(code).err(&["`agentctl resume run_"]);
        let events = agentctl(&home).args(["run", "--json", "go"]).start();
        events.wait_for_stdout("run.started");
        events.signal(signal);
        let output = events.finish().code(code);
        ends(&output, code, kind);
        let end = output.lines().pop().unwrap();
        let next = format!("agentctl resume {}", end["run"].as_str().unwrap());
        assert!(end["hints"].to_string().contains(&next), "{output}");
    }
}

#[test]
fn an_agent_that_calls_reads_errors_as_json_and_is_asked_nothing() {
    let dev = Dev::start();
    let home = dev.home();
    let called = |args: &[&str]| agentctl(&home).env("CLAUDECODE", "1").args(args.iter().copied()).run();
    let error = |output: &Output| -> Value { serde_json::from_str(output.stderr.lines().last().unwrap()).unwrap() };
    let output = called(&["run", "go"]).code(4).silent();
    assert_eq!(error(&output)["error"], "login_needed", "{output}");
    let output = called(&["run", "--max-turns", "many", "go"]).code(2).silent();
    assert_eq!((&error(&output)["error"], output.stderr.lines().count()), (&json!("usage"), 1), "{output}");
    // On a terminal, too, it is one line, however narrow: only the terminal itself folds it.
    let (code, screen) = Terminal::sized(agentctl(&home).env("CLAUDECODE", "1").args(["run", "go"]), 40, 24).finish();
    let line = screen.trim_end().lines().last().unwrap_or_default();
    assert_eq!(
        (code, serde_json::from_str::<Value>(line).unwrap()["error"].clone()),
        (4, json!("login_needed")),
        "{screen}"
    );
    // With --json it is where it always is.
    let output = called(&["whoami", "--json"]).code(4);
    assert_eq!((&output.json()["exit_code"], output.stderr.as_str()), (&json!(4), ""), "{output}");
    called(&["help", "output"]).code(0).out(&["stdout"]);
}
