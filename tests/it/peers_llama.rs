//! Against llama.cpp and a real model: streams, counted tokens, and an answer that breaks off.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Dev, Llama, Output, agentctl};

/// One core shared with other tests: a model takes its time.
const PATIENCE: Duration = Duration::from_secs(300);

fn terminal(output: &Output) -> Value {
    output.lines().pop().unwrap()
}

#[test]
fn an_answer_streams_to_its_end_and_is_counted() {
    let answer = "Good morning, friend. \"Grüße\" from the model.";
    let Some(llama) = Llama::that_says(Some(answer)) else { return };
    let dev = Dev::start();
    let home = llama.home(&dev, 64);
    let output = agentctl(&home).args(["run", "--json", "--no-tools", "say hello"]).limit(PATIENCE).run().code(0);
    let end = terminal(&output);
    assert_eq!(end["type"], "run.completed", "{output}");
    let lines = output.lines();
    let deltas: Vec<&str> =
        lines.iter().filter(|line| line["type"] == "text.delta").map(|line| line["text"].as_str().unwrap()).collect();
    assert!(deltas.len() > 1, "it came in pieces\n{output}");
    assert_eq!((deltas.concat().as_str(), &end["text"]), (answer, &json!(answer)), "{output}");
    for count in ["prompt_tokens", "completion_tokens"] {
        assert!(end["usage"][count].as_u64().unwrap() > 0, "{output}");
    }
    assert_eq!(end["usage"]["cost"], "unpriced", "{output}");
    assert!(dev.history("model").is_empty(), "the tenant's model was asked");
}

#[test]
fn an_answer_that_reaches_the_limit_of_tokens_is_told_as_such() {
    let Some(llama) = Llama::that_says(None) else { return };
    let dev = Dev::start();
    let home = llama.home(&dev, 4);
    let output = agentctl(&home).args(["run", "--json", "say hello"]).limit(PATIENCE).run().code(14);
    let end = terminal(&output);
    assert_eq!((&end["type"], &end["error"]), (&json!("run.refused"), &json!("limit")), "{output}");
    assert_eq!(end["usage"]["completion_tokens"], 4, "{output}");
    assert!(end["hints"].to_string().contains("model.max_tokens"), "{output}");
}

#[test]
fn a_server_that_dies_in_the_middle_of_an_answer_ends_the_run_with_20() {
    let Some(llama) = Llama::that_says(None) else { return };
    let dev = Dev::start();
    let home = llama.home(&dev, 2000);
    let running = agentctl(&home).args(["run", "--json", "--no-tools", "say hello"]).limit(PATIENCE).start();
    running.wait_for_stdout("text.delta");
    llama.kill();
    let output = running.finish().code(20);
    let end = terminal(&output);
    assert_eq!(end["type"], "run.failed", "{output}");
    assert!(end["message"].as_str().unwrap().contains("cut off"), "{output}");
    assert!(!end["text"].as_str().unwrap().is_empty(), "what had arrived is told\n{output}");
}
