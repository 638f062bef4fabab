//! Sensitive arguments: they do what they are for, also after a crash, and lie nowhere on the disk in clear.

use std::{fs, path::PathBuf};

use rusqlite::Connection;
use serde_json::json;

use super::{approve, detached, pending};
use crate::support::{Dev, Fake, Home, Reply, agentctl};

const PIN: &str = "correct-horse-7";

const MANIFEST: &str = r#"
[toolset]
name = "own"
description = "Things under lock"
[[tool]]
name = "take"
description = "Take something out of the safe"
effect = "reversible"
sensitive = ["pin"]
[tool.parameters]
type = "object"
required = ["pin", "product", "qty"]
[tool.parameters.properties]
pin = { type = "string" }
product = { type = "string" }
qty = { type = "integer" }
[tool.approval]
binding_message = "TAKE-{{ qty }}-{{ product }}"
[tool.approval.authorization_details]
type = "purchase"
[tool.credential]
source = "approval"
audience = "{{ env.SHOP_API_AUDIENCE }}"
scopes = ["openid", "product:buy"]
[tool.request]
method = "POST"
url = "{{ env.SHOP_API_URL }}"
json = { pin = "{{ pin }}" }
idempotency = "header"
"#;

/// Every file below the home that holds this text.
fn holding(home: &Home, text: &str) -> Vec<PathBuf> {
    let (mut folders, mut found) = (vec![home.path().join("agentctl")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes()) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn sensitive_arguments_are_sealed_in_the_journal_and_used_after_a_crash() {
    let call = json!({ "tool_calls": [{ "name": "take", "arguments": { "pin": PIN, "product": "rings", "qty": 2 } }] });
    let dev = Dev::scripted(json!([call, { "text": "It waits for you." }, { "text": "Here they are." }]));
    let mut home = dev.logged_in();
    let paths = agentctl(&home).args(["config", "path", "--json"]).run().code(0).json();
    let (toolsets, state) = (paths["toolsets"].as_str().unwrap(), paths["state"].as_str().unwrap());
    fs::create_dir_all(toolsets).unwrap();
    fs::write(PathBuf::from(toolsets).join("own.toml"), MANIFEST).unwrap();
    let safe = Fake::start();
    safe.once("POST", "/take", Reply::json(200, &json!({})));
    home.set("SHOP_API_URL", &format!("{}/take", safe.url()));

    let waiting = detached(&home, "get me the rings");
    let run = waiting.lines().pop().unwrap()["run"].as_str().unwrap().to_owned();
    assert_eq!(holding(&home, PIN), Vec::<PathBuf>::new());
    assert!(!holding(&home, "\"product\"").is_empty(), "nothing was found because nothing is looked at");
    let shown = pending(&home).remove(0);
    assert_eq!(shown["plan"]["arguments"], json!({ "pin": "(sealed)", "product": "rings", "qty": 2 }), "{shown}");
    let id = shown["id"].as_str().unwrap();
    let pushed = dev.get("/pending")["approvals"][0].to_string();
    assert!(pushed.contains(PIN), "the device shows what is approved: {pushed}");
    for show in [&["runs", "show", run.as_str()][..], &["approvals", "show", id], &["audit", "list"]] {
        let output = agentctl(&home).args(show.iter().copied()).run().code(0).out(&["rings"]);
        assert!(!output.stdout.contains(PIN), "{output}");
    }

    approve(&dev);
    let resume = || agentctl(&home).args(["resume", run.as_str()]);
    let killed = resume().env("AGENTCTL_TEST_DIE_AT", "after:execution_started").run();
    assert_eq!(killed.status.code(), None, "it was to be killed\n{killed}");
    assert!(safe.seen().is_empty(), "it was killed before it was sent");
    resume().run().code(0).out(&["Here they are."]);
    let seen = safe.seen();
    assert!(seen.len() == 1 && seen[0].body.contains(PIN), "{}", seen.len());
    assert_eq!(holding(&home, PIN), Vec::<PathBuf>::new());
    // The model reads what it wrote.
    let asked = dev.history("model").pop().unwrap().to_string();
    assert!(asked.contains(PIN) && !asked.contains("sealed"), "{asked}");

    // The same by hand, without a model.
    dev.auto("approve", "deny");
    let pin = format!("pin={PIN}");
    let args = ["tools", "call", "take", "--arg", &pin, "--arg", "product=rings", "--arg", "qty=1"];
    agentctl(&home).args(args).run().code(11);
    assert_eq!(holding(&home, PIN), Vec::<PathBuf>::new());

    // What is made from the value is not there either: a PIN has few values, and one could be tried out.
    let journal = Connection::open(PathBuf::from(state).join("journal.db")).unwrap();
    for column in
        ["digest FROM calls", "digest FROM approvals", "digest FROM executions", "idempotency_key FROM executions"]
    {
        let text: String = journal.query_row(&format!("SELECT {column}"), [], |row| row.get(0)).unwrap();
        assert!(text == "(sealed)" || text.starts_with("hmac-sha-256:"), "{column}: {text}");
    }
    agentctl(&home).args(["audit", "verify"]).run().code(0);
}
