//! What measures agentctl beside others still runs: benches/peers/run.py, benches/purchase.py and
//! benches/resume.py.

use std::{env, fs, time::Duration};

use serde_json::{Value, json};

use crate::support::{Home, command, peer_is_missing, program};

/// Whether there is what the benches are written in.
fn can_measure() -> bool {
    let missing = ["python3", "cc", "curl"].into_iter().find(|name| program(name).is_none());
    if let Some(missing) = missing {
        peer_is_missing(missing, "install its package");
    }
    missing.is_none()
}

#[test]
fn a_purchase_is_made_by_curl_too() {
    if !can_measure() {
        return;
    }
    command(&Home::new(), "python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/purchase.py"))
        .args(["--runs", "1", "--binary", env!("CARGO_BIN_EXE_agentctl")])
        .env("PATH", &env::var("PATH").unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .limit(Duration::from_secs(120))
        .run()
        .code(0)
        .out(&["wall, pair by pair:"]);
}

#[test]
fn a_long_conversation_is_gone_on_with_beside_a_short_one() {
    if !can_measure() {
        return;
    }
    command(&Home::new(), "python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/resume.py"))
        .args(["--runs", "1", "--messages", "40", "--binary", env!("CARGO_BIN_EXE_agentctl")])
        .env("PATH", &env::var("PATH").unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .limit(Duration::from_secs(120))
        .run()
        .code(0)
        .out(&["40 messages", "ratio "]);
}

#[test]
fn the_comparison_with_peers_takes_every_row_of_agentctl() {
    if !can_measure() {
        return;
    }
    let home = Home::new();
    let out = home.work();
    let run = command(&home, "python3")
        .args([
            concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/run.py"),
            "--only",
            "agentctl,curl",
            "--rounds",
            "2",
        ])
        .args(["--binary", env!("CARGO_BIN_EXE_agentctl"), "--out"])
        .arg(&out)
        .env("PATH", &env::var("PATH").unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .limit(Duration::from_secs(240))
        .run()
        .code(0)
        .out(&["| 50 tokens | curl |"]);

    let results: Value = serde_json::from_slice(&fs::read(out.join("results.json")).unwrap()).unwrap();
    assert_eq!(results["left_out"], json!({}), "{}", run.stderr);
    let rows = ["--version", "--help", "whoami", "50 tokens", "tool turn", "prompt"];
    for row in rows.into_iter().chain(["20,000 tokens, pipe", "20,000 tokens, terminal"]) {
        // What is slow on a busy machine is run less often than the rounds say.
        let runs = results["runs"][row]["agentctl"].as_array().map_or(0, Vec::len);
        assert!((1..=2).contains(&runs), "{row}: {runs} runs");
    }
}
