//! The official client of OpenFGA (tests/peers/openfga) against the dev tenant's permission store: that the store speaks
//! OpenFGA's language is not only our own opinion.

use serde_json::{Value, json};

use crate::support::{Dev, node_peer, run_peer};

/// Lets the client talk to the tenant, and returns what it says.
fn client(dev: &Dev) -> Option<Value> {
    let mut node = node_peer("tests/peers/openfga", "@openfga/sdk")?;
    let env = |name: &str| dev.ready["env"][name].as_str().unwrap_or_else(|| panic!("the tenant exports no {name}"));
    node.env_clear().arg("client.mjs");
    node.env("FGA_API_URL", env("AGENTCTL_FGA_API_URL")).env("FGA_API_TOKEN", env("AGENTCTL_FGA_API_TOKEN"));
    let output = run_peer(&mut node);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = String::from_utf8(output.stdout).unwrap();
    Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
}

#[test]
fn the_official_client_is_satisfied() {
    let dev = Dev::start();
    let Some(says) = client(&dev) else { return };
    let expected = json!({
        "stores": true,
        "store": "peer test",
        "no_model_yet": "FgaApiValidationError 400 latest_authorization_model_not_found",
        "model_comes_back": true,
        "latest": true,
        "models": 1,
        "copied": true,
        "pages": [7, 3, ""],
        "of_anne": ["blocked"],
        "check": {
            "anne views folder:plans": true,
            "ivy views folder:plans": true,
            "interns view folder:plans": true,
            "dan views the plan": true,
            "ivy views the plan": true,
            "anne views the plan": false,
            "ivy reviews the plan": true,
            "dan reviews the plan": false,
            "somebody views the note": true,
            "somebody edits the note": false,
        },
        "client_batch_agrees": true,
        "batch_agrees": true,
        "batch_error": "validation_error",
        "batch_guest": true,
        "lists": { "ivy": ["document:note", "document:plan"], "anne": ["document:note"] },
        "relations": ["editor", "reviewer", "viewer"],
        // Without the contextual tuple, with it, listed with it, and without it again.
        "guest": [false, true, 2, false],
        "lenient": "success",
        "refused": {
            "a tuple twice": "FgaApiValidationError 400 write_failed_due_to_invalid_input",
            "a delete of nothing": "FgaApiValidationError 400 write_failed_due_to_invalid_input",
            "an unknown type": "FgaApiValidationError 400 validation_error",
            "an unknown relation": "FgaApiValidationError 400 validation_error",
            "a forbidden user": "FgaApiValidationError 400 validation_error",
            "a bad contextual tuple": "FgaApiValidationError 400 invalid_tuple",
            "an unknown type to list": "FgaApiValidationError 400 type_not_found",
            "an unknown model": "FgaApiValidationError 400 authorization_model_not_found",
            "an unknown store": "FgaApiNotFoundError 404 store_id_not_found",
            "a bad model": "FgaApiValidationError 400 type_definitions_too_few_items",
            "expand": "FgaApiNotFoundError 404 undefined_endpoint",
            "no token": "FgaApiAuthenticationError 401 bearer_token_missing",
            "another token": "FgaApiAuthenticationError 401 unauthenticated",
        },
        "gone": "FgaApiNotFoundError 404 store_id_not_found",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(says[name], *value, "{name}");
    }
    assert_eq!(says.as_object().unwrap().len(), expected.as_object().unwrap().len(), "{says}");

    let asked = dev.history("fga");
    let fresh = |one: &&Value| one["body"]["consistency"] == "HIGHER_CONSISTENCY";
    assert_eq!(asked.iter().filter(fresh).count(), 10, "each question was asked of the store itself");
    let exported = dev.get("/tuples");
    assert_eq!(exported["tuples"].as_array().unwrap().len(), 10, "the exported store is another one");
}

#[test]
fn who_may_what_can_be_changed_while_the_tenant_runs() {
    let dev = Dev::start();
    let count = || dev.get("/tuples")["tuples"].as_array().unwrap().len();
    let before = count();
    dev.post("/tuples", &json!({ "user": "alan", "relation": "read_okta", "object": "okta:main" }));
    assert_eq!(count(), before + 1);
    dev.post("/reset", &json!({}));
    assert_eq!(count(), before);
}
