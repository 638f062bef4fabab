//! A server, or a firewall before it, that repeats in its errors what it was sent, or what its answer brings.

use serde_json::json;

use crate::support::{Dev, agentctl, no_secret_is_seen};

/// Who is asked, and by which command.
const ASKED: [(&str, &[&str]); 9] = [
    ("device_poll", &["login", "--no-browser"]),
    ("refresh", &["run", "which groups is ada in"]),
    ("vault", &["run", "which groups is ada in"]),
    ("fga", &["run", "which groups is ada in"]),
    ("ciba", &["run", "buy 2 phones"]),
    ("ciba_poll", &["run", "buy 2 phones"]),
    ("shop", &["run", "buy 2 phones"]),
    ("my_account", &["connections", "list", "--json"]),
    ("revoke", &["logout"]),
];

#[test]
fn a_repeated_request_is_shown_without_its_secrets() {
    let dev = Dev::start();
    dev.auto("approve", "approve");
    for (label, args) in ASKED {
        for status in [400, 503] {
            let home = dev.home();
            if label != "device_poll" {
                agentctl(&home).args(["login", "--no-browser"]).run().code(0);
            }
            dev.fault(&json!({ "on": label, "kind": "echo", "status": status, "times": 9 }));
            let output = agentctl(&home).arg("-vvv").args(args.iter().copied()).run();
            dev.delete("/faults", &json!({}));
            let met = dev.history(label).iter().any(|request| request["fault"]["kind"] == "echo");
            assert!(met, "{label}: nobody came\n{output}");
            // Where the error is final, the rest of what the server said is there, for the person or the model.
            if status == 400 {
                let asked: String = dev.history("model").iter().map(|entry| entry["body"].to_string()).collect();
                let said = format!("{output}{asked}");
                assert!(said.contains("(a secret)") || said.contains("[the token]"), "{label}\n{output}");
            }
            no_secret_is_seen(&dev, &home, &[output]);
        }
    }
}

/// Whose answer is garbled, by which command, and the members in which its secrets stand then.
const GARBLED: [(&str, &[&str], &[&str]); 16] = [
    ("device", &["login", "--no-browser"], &["user_code"]),
    ("device", &["login", "--no-browser"], &["verification_uri_complete"]),
    ("device_poll", &["login", "--no-browser"], &["token_type"]),
    ("device_poll", &["login", "--no-browser"], &["error", "error_description"]),
    ("userinfo", &["login", "--no-browser"], &["name"]),
    ("refresh", &["run", "which groups is ada in"], &["token_type"]),
    ("refresh", &["run", "which groups is ada in"], &["error", "error_description"]),
    ("vault", &["run", "which groups is ada in"], &["token_type"]),
    ("vault", &["run", "which groups is ada in"], &["issued_token_type"]),
    ("vault", &["run", "which groups is ada in"], &["error_description", "scope"]),
    ("fga", &["run", "which groups is ada in"], &["code", "message"]),
    ("discovery", &["run", "which groups is ada in"], &["issuer", "error_description"]),
    ("ciba", &["run", "buy 2 phones"], &["error", "error_description"]),
    ("ciba_poll", &["run", "buy 2 phones"], &["token_type"]),
    ("ciba_poll", &["run", "buy 2 phones"], &["error", "error_description"]),
    ("ciba_poll", &["run", "buy 2 phones"], &["scope"]),
];

#[test]
fn a_garbled_answer_is_told_without_its_secrets() {
    let dev = Dev::start();
    dev.auto("approve", "approve");
    for (label, args, members) in GARBLED {
        let home = dev.home();
        if args[0] != "login" {
            agentctl(&home).args(["login", "--no-browser"]).run().code(0);
        }
        if label == "userinfo" {
            let nameless = json!({ "name": null, "email": null });
            dev.fault(&json!({ "on": "device_poll", "kind": "alter", "when": "after", "claims": nameless }));
        }
        if label == "refresh" {
            dev.advance(100_000);
        }
        dev.fault(&json!({ "on": label, "kind": "garble", "when": "after", "members": members, "times": 9 }));
        let output = agentctl(&home).arg("-vvv").args(args.iter().copied()).run();
        dev.delete("/faults", &json!({}));
        let met = dev.history(label).iter().any(|request| request["fault"]["kind"] == "garble");
        assert!(met || label == "discovery", "{label} {members:?}: nobody came\n{output}");
        // What names an error beside good tokens, or asks for nothing of what it names, is lived with.
        let must_fail =
            ["token_type", "issued_token_type", "user_code"].contains(&members[0]) || label.starts_with("ciba");
        assert!(output.status.code() != Some(0) || !must_fail, "{label} {members:?}\n{output}");
        no_secret_is_seen(&dev, &home, &[output]);
    }
}
