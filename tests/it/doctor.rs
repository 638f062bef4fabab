//! `doctor`: a whole set-up passes, and whatever is broken is named with what mends it.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Dev, Fake, Home, Reply, agentctl};

/// Every check of `doctor --json`; the exit code and `ok` say whether one of them is broken, and each that is not fine has a mend.
#[track_caller]
fn checks(home: &Home) -> Vec<Value> {
    let output = agentctl(home).args(["doctor", "--json"]).run();
    let report = output.json();
    let checks = report["checks"].as_array().unwrap_or_else(|| panic!("{output}")).clone();
    let broken = checks.iter().any(|check| check["state"] == "broken");
    assert_eq!((output.status.code(), &report["ok"]), (Some(broken.into()), &json!(!broken)), "{output}");
    for check in &checks {
        let to_mend = check["state"] == "broken" || check["state"] == "warning";
        assert_eq!(check["mend"].as_str().is_some_and(|mend| mend.len() > 10), to_mend, "{check}");
    }
    checks
}

/// Looks for one finding.
#[track_caller]
fn finds(home: &Home, name: &str, state: &str, words: &[&str]) {
    let checks = checks(home);
    let text = |check: &Value| format!("{} mend: {}", check["message"], check["mend"]);
    let found = checks.iter().any(|check| {
        check["name"] == name && check["state"] == state && words.iter().all(|word| text(check).contains(word))
    });
    let all: Vec<String> = checks.iter().map(Value::to_string).collect();
    assert!(found, "no {state} {name} with {words:?} in\n{}", all.join("\n"));
}

#[test]
fn a_whole_set_up_passes() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let checks = checks(&home);
    let names = [
        "configuration",
        "state folder",
        "tools",
        "policy",
        "credential store",
        "issuer",
        "clock",
        "login role",
        "approval role",
        "vault role",
        "login",
        "permission",
        "model",
        "model tools",
    ];
    for name in names {
        let states: Vec<&Value> =
            checks.iter().filter(|check| check["name"] == name).map(|check| &check["state"]).collect();
        assert!(!states.is_empty() && states.iter().all(|state| *state == "ok"), "{name}: {checks:?}");
    }
    finds(
        &home,
        "issuer",
        "ok",
        &["device flow, approvals by CIBA (poll)", "revocation", "names no authorization_details"],
    );
    finds(&home, "model tools", "ok", &["it calls tools", "counts tokens"]);
    let text = agentctl(&home).arg("doctor").run().code(0).out(&["✓ model tools: it calls tools"]);
    assert_eq!(text.stderr, "", "{text}");
    assert!(dev.history("ciba").is_empty() && dev.orders().is_empty(), "it looks, and does nothing");
}

#[test]
fn settings_that_are_broken_are_named() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    let folder = home.path().join("agentctl");
    // A permission model that anybody may change, and nobody who is logged in.
    home.unset("AGENTCTL_FGA_MODEL_ID");
    finds(&home, "permission", "warning", &["AGENTCTL_FGA_MODEL_ID"]);
    home.set("AGENTCTL_FGA_STORE_ID", "nowhere");
    finds(&home, "permission", "broken", &["AGENTCTL_FGA_"]);
    // A manifest with a mistake.
    let toolset = folder.join("toolsets");
    fs::create_dir_all(&toolset).unwrap();
    let file = toolset.join("mine.toml");
    fs::write(&file, "[toolset]\nname = \"mine\"\ndescripton = \"x\"\n").unwrap();
    finds(&home, "tools", "broken", &["mine.toml", "descripton"]);
    fs::remove_file(&file).unwrap();
    // A policy with one.
    let policy = folder.join("policy.toml");
    fs::write(&policy, "[[rule]]\nnmae = \"x\"\n").unwrap();
    finds(&home, "policy", "broken", &["policy.toml"]);
    fs::remove_file(&policy).unwrap();
    // Clients.
    home.set("AGENTCTL_APPROVAL_CLIENT_SECRET", "");
    finds(&home, "approval role", "broken", &["client-key approval"]);
    home.set("AGENTCTL_APPROVAL_CLIENT_ID", "");
    finds(&home, "approval role", "warning", &["AGENTCTL_APPROVAL_CLIENT_ID"]);
    // A variable.
    home.set("OPENAI_BASE_URL", "ftp://x");
    finds(&home, "configuration", "broken", &["ftp://x", "set OPENAI_BASE_URL to something else, or unset it"]);
    home.unset("OPENAI_BASE_URL");
    // The whole file.
    fs::write(folder.join("config.toml"), "[profiles.default]\nisuer = \"x\"\n").unwrap();
    finds(&home, "configuration", "broken", &["isuer", "issuer"]);
}

#[test]
fn what_is_on_this_machine_is_looked_at() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    let clock = home.path().join("clock");
    fs::write(&clock, "3600").unwrap();
    home.set("AGENTCTL_TEST_CLOCK", clock.to_str().unwrap());
    finds(&home, "clock", "broken", &["36", "set this machine's clock"]);
    home.set("AGENTCTL_STORE_PASSPHRASE", "another");
    finds(&home, "credential store", "broken", &[]);
    home.set("AGENTCTL_STORE", "keyring");
    finds(&home, "credential store", "broken", &["keyring"]);
    let journal = home.path().join("agentctl/state/journal.db");
    fs::remove_file(&journal).unwrap();
    fs::create_dir(&journal).unwrap();
    finds(&home, "state folder", "broken", &["journal.db", "a folder lies in the place of a file"]);
}

#[test]
#[cfg(unix)]
fn a_state_folder_that_others_may_read_is_closed() {
    use std::os::unix::fs::PermissionsExt as _;
    let dev = Dev::start();
    let home = dev.logged_in();
    let state = home.path().join("agentctl/state");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
    finds(&home, "state folder", "ok", &["only you can read it"]);
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    home.set("AGENTCTL_ISSUER", "http://127.0.0.1:9/");
    finds(&home, "issuer", "broken", &["http://127.0.0.1:9/", "AGENTCTL_ISSUER"]);
    finds(&home, "roles", "skipped", &["the issuer cannot be used"]);
    home.unset("AGENTCTL_ISSUER");
    finds(&home, "configuration", "broken", &["config init", "agentctl demo"]);
}

#[test]
fn a_login_that_the_server_has_forgotten_is_broken() {
    let dev = Dev::start();
    let home = dev.logged_in();
    // A fresh token lies in the cache, and the server knows nothing any more.
    dev.post("/reset", &json!({}));
    finds(&home, "login", "broken", &["the login has ended", "run `agentctl login`"]);
    agentctl(&home).arg("whoami").run().code(4);
}

#[test]
fn what_the_model_cannot_do_is_named() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    home.set("OPENAI_API_KEY", "wrong");
    finds(&home, "model", "broken", &["does not accept the key", "config set-key"]);
    let says = json!({ "choices": [{ "message": { "content": "No." }, "finish_reason": "stop" }] });
    let refuses = json!({ "error": { "message": "no tools here" } });
    let another = json!({ "data": [{ "id": "another" }] });
    let table = [
        (
            Reply::json(200, &another),
            Some(Reply::json(200, &says)),
            "model",
            "warning",
            &["does not list dev-planner", "AGENTCTL_MODEL"][..],
        ),
        // What is not listed may be served all the same, so the model is asked.
        (
            Reply::json(200, &another),
            Some(Reply::json(404, &refuses)),
            "model tools",
            "broken",
            &["HTTP 404", "check AGENTCTL_MODEL and OPENAI_BASE_URL"],
        ),
        (
            Reply::json(404, &json!({})),
            Some(Reply::json(200, &says)),
            "model tools",
            "warning",
            &["did not call a tool", "counts no tokens", "a model that calls them"],
        ),
        (
            Reply::json(404, &json!({})),
            Some(Reply::json(400, &refuses)),
            "model tools",
            "broken",
            &["no tools here", "AGENTCTL_MODEL"],
        ),
    ];
    for (list, answer, name, state, words) in table {
        let fake = Fake::start();
        fake.always("GET", "/models", list);
        if let Some(answer) = answer {
            fake.always("POST", "/chat/completions", answer);
        }
        home.set("OPENAI_BASE_URL", &fake.url());
        finds(&home, name, state, words);
    }
    home.set("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
    finds(&home, "model", "broken", &["whether the server runs"]);
    home.set("AGENTCTL_MODEL", "");
    finds(&home, "model", "warning", &["AGENTCTL_MODEL"]);
}
