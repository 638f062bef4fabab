//! The shell, on a terminal: what a person sees.

use serde_json::{Value, json};

use crate::support::{Dev, Home, Terminal, agentctl};

#[test]
fn a_purchase_in_the_shell() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), 100, 40);
    terminal.say("what phones are there");
    terminal.wait_for("Finch Mini");
    terminal.say("buy 2 phones");
    let screen = terminal.wait_for("Waiting for your approval");
    let push = dev.get("/pending")["approvals"][0].clone();
    assert!(screen.contains(push["binding_message"].as_str().unwrap()), "{screen}");
    dev.post("/approvals/latest/approve", &json!({}));
    terminal.wait_for("Approved");
    let screen = terminal.wait_for("Ordered 2 x");
    assert!(!screen.contains("Waiting for your approval"), "the spinner is left behind\n{screen}");
    terminal.wait_for_prompt();
    terminal.control('d');
    let (code, _) = terminal.finish();
    assert_eq!(code, 0);
    assert_eq!(dev.orders().len(), 1);
}

#[test]
fn the_spinner_counts_down_and_vanishes() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let terminal = Terminal::sized(agentctl(&home).args(["run", "buy 2 phones"]), 100, 40);
    let left = |screen: &str| {
        let words: Vec<&str> = screen.split_whitespace().collect();
        words.windows(2).find(|pair| pair[1].starts_with("left")).map(|pair| pair[0].to_owned())
    };
    let first = left(&terminal.wait_until("the time that is left", |screen| left(screen).is_some())).unwrap();
    terminal.wait_until("the time to go on", |screen| left(screen).is_some_and(|now| now != first));
    dev.post("/approvals/latest/deny", &json!({}));
    let (code, screen) = terminal.finish();
    assert_eq!(code, 11, "{screen}");
    assert!(left(&screen).is_none(), "{screen}");
    assert!(screen.to_lowercase().contains("denied"), "{screen}");
}

#[test]
fn who_stops_waiting_is_told_what_becomes_of_the_request() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), 80, 40);
    terminal.say("/help");
    terminal.wait_for("  /help ");
    terminal.say("buy 2 phones");
    terminal.wait_for("Waiting for your approval");
    terminal.control('c');
    let screen = terminal.wait_for("stays open on your device");
    assert!(!screen.contains("Waiting for your approval"), "the spinner is gone, ^C or not\n{screen}");
    terminal.wait_for_prompt();
    terminal.control('d');
    let (code, screen) = terminal.finish();
    assert_eq!(code, 0, "{screen}");
    assert!(dev.orders().is_empty());
}

#[test]
fn the_keys_of_the_shell() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), 100, 40);
    terminal.wait_for_prompt();
    terminal.type_text("half a thought");
    terminal.wait_for("half a thought");
    terminal.control('c');
    terminal.say("tell me a joke");
    terminal.wait_for("not a language model");
    terminal.wait_for_prompt();
    // The line before comes back with the arrow key.
    terminal.type_text("\u{1b}[A");
    terminal.wait_until("the line from before, twice", |screen| screen.matches("tell me a joke").count() == 2);
    terminal.control('c');
    terminal.wait_for_prompt();
    terminal.control('d');
    let (code, screen) = terminal.finish();
    assert_eq!(code, 0, "{screen}");
}

#[test]
fn in_a_pipe_each_line_is_a_message() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let output = agentctl(&home).arg("chat").stdin("what phones are there\ntell me a joke\n").run().code(0);
    let output = output.out(&["Finch Mini", "not a language model"]);
    assert!(!output.stdout.contains('\u{1b}') && !output.stderr.contains('\u{1b}'), "{output}");
}

#[test]
fn the_demo_tells_the_whole_story() {
    for (answer, code) in [("approve", 0), ("deny", 11)] {
        let home = Home::new();
        agentctl(&home).args(["demo", "--phone", answer]).run().code(code);
        assert!(!home.path().join("agentctl").exists(), "the demo keeps nothing");
        let locks = std::fs::read_dir(home.path().join(".local/state/agentctl/locks")).unwrap();
        assert_eq!(locks.count(), 0, "no lock of a person who is gone");
    }
}

#[test]
fn a_demo_that_is_stopped_promises_nothing() {
    let home = Home::new();
    let mut terminal = Terminal::sized(agentctl(&home).args(["demo", "--phone", "terminal"]), 40, 60);
    let screen = terminal.wait_for("else to deny:");
    assert!(screen.contains("[phone] Approve? Type yes, or\n     anything else to deny:"), "{screen}");
    terminal.control('c');
    let (code, screen) = terminal.finish();
    assert!(code == 130 && screen.contains("nothing of the demo is kept"), "{code}\n{screen}");
    assert!(!screen.contains("agentctl resume") && !screen.contains("stays open"), "{screen}");
}

#[test]
fn an_interrupted_wait_goes_on_behind_the_prompt() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), 110, 40);
    terminal.buy_and_go_on();
    terminal.type_text("what pho");
    terminal.wait_for("agentctl> what pho");
    dev.post("/approvals/latest/approve", &json!({}));
    terminal
        .wait_for("! buy_product (product: \"phones\", qty: 2) was approved; the result comes with your next message");
    let typed = |screen: &str| screen.lines().last().is_some_and(|line| line.trim() == "agentctl> what pho");
    terminal.wait_until("the typed line, unharmed", typed);
    assert!(dev.orders().is_empty(), "nothing is done behind the prompt");
    terminal.enter("nes are there");
    terminal.wait_for("Finch Mini");
    terminal.wait_for_prompt();
    assert_eq!(dev.orders().len(), 1);
    terminal.control('d');
    assert_eq!(terminal.finish().0, 0);
    // What is kept is what the model was sent: the rules it works under, and the result in the place of the call.
    let kept = kept_messages(&home);
    assert!(kept[0]["role"] == "system" && text(&kept[0]).starts_with("You are agentctl"), "{kept:?}");
    let results: Vec<&str> = kept.iter().filter(|message| message["role"] == "tool").map(text).collect();
    assert!(results[0].contains("ord_81") && !results.iter().any(|result| result.contains("pending")), "{kept:?}");
}

/// The messages of the only run.
fn kept_messages(home: &Home) -> Vec<Value> {
    let read = |args: &[&str]| -> Value {
        serde_json::from_str(&agentctl(home).args(args.iter().copied()).run().code(0).stdout).expect("one object")
    };
    let runs = read(&["runs", "list", "--json"]);
    let run = read(&["runs", "show", runs["runs"][0]["id"].as_str().unwrap(), "--json"]);
    run["run"]["messages"].as_array().unwrap().clone()
}

fn text(message: &Value) -> &str {
    message["content"].as_str().unwrap_or_default()
}

#[test]
fn what_waits_when_the_shell_is_left_can_be_resumed() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), 110, 40);
    terminal.buy_and_go_on();
    terminal.control('d');
    let (code, screen) = terminal.finish();
    assert!(code == 0 && screen.contains("agentctl resume run_"), "{screen}");
    dev.post("/approvals/latest/approve", &json!({}));
    agentctl(&home).args(["resume", "--last"]).run().code(0);
    assert_eq!(dev.orders().len(), 1);
    let mut terminal = Terminal::sized(agentctl(&home).args(["chat", "-c"]), 110, 40);
    terminal.wait_for("Going on with: buy 2 phones");
    terminal.wait_for_prompt();
    terminal.control('d');
    assert_eq!(terminal.finish().0, 0);
}
