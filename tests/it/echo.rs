//! A server, or a firewall before it, that repeats in its errors what it was sent.

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
