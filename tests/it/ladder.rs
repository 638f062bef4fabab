//! ^C in the shell, and the other signals: what is under way ends step by step, and the conversation is never lost.

use std::{fs, time::Duration};

use serde_json::{Value, json};

use crate::{
    races::{SEARCH, with_a_locked_log},
    support::{Dev, Home, Signal, Terminal, agentctl, command, wait_until},
};

fn chat(home: &Home) -> Terminal {
    Terminal::sized(agentctl(home).arg("chat"), 100, 40)
}

/// A conversation whose first answer takes its time.
fn slow() -> (Dev, Home) {
    let words = (1..400).map(|number| format!("word{number} ")).collect::<Vec<_>>();
    let dev =
        Dev::scripted(json!([{ "text": words, "delay_ms": 100 }, { "text": "Back." }, { "text": "Still here." }]));
    let home = dev.logged_in();
    (dev, home)
}

/// What the model was sent, the last time it was asked.
fn asked(dev: &Dev) -> Vec<Value> {
    dev.history("model").last().expect("a request")["body"]["messages"].as_array().unwrap().clone()
}

#[test]
fn each_step_is_the_smallest_that_is_left() {
    for columns in [80, 40] {
        let (dev, home) = slow();
        let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), columns, 40);
        terminal.say("tell me a story");
        terminal.wait_for("word3 ");
        terminal.control('c');
        terminal.wait_for("Stopped.");
        terminal.ask("go on", "Back.");
        let messages = asked(&dev);
        let [_, _, stopped, _] = &messages[..] else { panic!("{messages:?}") };
        let text = stopped["content"].as_str().unwrap();
        assert!(
            text.starts_with("word1 word2 word3 ") && text.ends_with("\n\n(The user stopped this answer here.)"),
            "{text}"
        );
        // What was typed goes away, and that is all.
        terminal.type_text("half a thought");
        terminal.wait_for("half a thought");
        terminal.control('c');
        let screen = terminal.wait_for_prompt();
        assert!(!screen.contains("^C again leaves"), "{screen}");
        // The hint, and back to work; the hint again, and away.
        terminal.control('c');
        terminal.wait_for("^C again leaves, as ^D does.");
        terminal.ask("are you there", "Still here.");
        terminal.control('c');
        terminal.wait_until("the hint again", |screen| screen.matches("^C again leaves").count() == 2);
        terminal.wait_for_prompt();
        terminal.control('c');
        let (code, screen) = terminal.finish();
        assert!(code == 0 && screen.contains("agentctl chat --resume run_"), "{code}\n{screen}");
        let mut terminal = Terminal::sized(agentctl(&home).args(["chat", "-c"]), columns, 40);
        terminal.wait_for("Still here.");
        terminal.ask("/runs", "no other conversation");
        terminal.leave();
    }
}

#[test]
fn a_wait_goes_behind_the_prompt_and_its_answer_reaches_the_next_turn() {
    for columns in [80, 40] {
        let dev = Dev::scripted(json!([
            { "tool_calls": [{ "name": "buy_product", "arguments": { "product": "phones", "qty": 2 } }] },
            { "expect": { "role": "user", "contains": ["what is a finch"] }, "text": "A bird." },
            { "text": "Both phones are ordered." },
        ]));
        let home = dev.logged_in();
        let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), columns, 60);
        terminal.say("buy 2 phones");
        terminal.wait_for(" left");
        terminal.control('c');
        let screen = terminal.wait_for("1 waiting for you");
        assert!(screen.contains("stays open on your device"), "{screen}");
        terminal.ask("what is a finch", "A bird.");
        assert!(dev.orders().is_empty());
        terminal.type_text("and");
        terminal.wait_for("agentctl> and");
        dev.post("/approvals/latest/approve", &json!({}));
        let told = |screen: &str| {
            // Broken between words only, the call's beside a gutter.
            let words = screen.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
            words.contains("qty: 2) was approved; the result comes with your next message")
        };
        terminal.wait_until("the news above the line", told);
        terminal.wait_until("the line as it was", |screen| screen.lines().last() == Some("agentctl> and"));
        assert!(dev.orders().is_empty(), "nothing is done behind the prompt");
        terminal.enter(" now?");
        terminal.wait_for("Both phones are ordered.");
        let screen = terminal.wait_for_prompt();
        assert!(!screen.contains("Waiting for your approval"), "{screen}");
        assert_eq!(dev.orders().len(), 1);
        let messages = asked(&dev);
        let result = messages.iter().find(|message| message["role"] == "tool").expect("the result");
        assert!(result["content"].as_str().unwrap().contains("ord_81"), "{messages:?}");
        let said = |text: &str| {
            messages.iter().any(|message| message["content"].as_str().is_some_and(|said| said.contains(text)))
        };
        assert!(said("A call that was pending has ended") && said("and now?"), "{messages:?}");
        terminal.leave();
    }
}

/// How long the tenant takes with a slow poll.
const SLOW: u64 = 15;

/// The next poll is a slow one. Returns when it has come.
fn slow_poll(dev: &Dev) {
    let polls = || dev.history("ciba_poll").len();
    let before = polls();
    dev.fault(&json!({ "on": "ciba_poll", "kind": "delay", "times": 1, "delay_ms": SLOW * 1000 }));
    wait_until(Duration::from_secs(60), "a poll", || (polls() > before).then_some(()));
}

/// Whether a poll has come and has no answer yet.
fn is_under_way(dev: &Dev) -> bool {
    dev.history("ciba_poll").last().is_some_and(|poll| poll["answer"].is_null())
}

#[test]
fn impatience_loses_no_answer_that_is_on_its_way() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut terminal = chat(&home);
    terminal.say("buy 2 phones");
    terminal.wait_for("Waiting for your approval");
    slow_poll(&dev);
    terminal.control('c');
    terminal.control('c');
    let screen = terminal.wait_for("1 waiting for you");
    assert!(screen.contains("The request stays open on your device"), "{screen}");
    assert!(is_under_way(&dev), "the poll goes on behind the prompt");
    dev.post("/approvals/latest/approve", &json!({}));
    terminal.wait_for("was approved; the result comes with your next message");
    terminal.ask("tell me a joke", "ord_81");
    assert_eq!(dev.orders().len(), 1);
    terminal.leave();
}

#[test]
fn a_slow_question_behind_the_prompt_holds_nothing_up() {
    let dev = Dev::scripted(json!([
        { "tool_calls": [{ "name": "buy_product", "arguments": { "product": "phones", "qty": 2 } }] },
        { "text": "A bird." },
        { "text": "Both phones are ordered." },
    ]));
    let home = dev.logged_in();
    let mut terminal = chat(&home);
    terminal.buy_and_go_on();
    terminal.wait_for("1 waiting for you");
    slow_poll(&dev);
    terminal.ask("what is a finch", "A bird.");
    terminal.control('c');
    let screen = terminal.wait_for("^C again leaves");
    assert!(screen.contains("Something still waits for your answer"), "{screen}");
    terminal.ask("/approvals", "redeeming");
    assert!(is_under_way(&dev), "nothing waited for the poll");
    dev.post("/approvals/latest/approve", &json!({}));
    terminal.wait_for("was approved; the result comes with your next message");
    terminal.ask("and now?", "Both phones are ordered.");
    assert_eq!(dev.orders().len(), 1);
    terminal.leave();
}

#[test]
fn who_leaves_in_the_middle_of_a_question_is_told_what_that_means() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut terminal = chat(&home);
    terminal.buy_and_go_on();
    terminal.wait_for("1 waiting for you");
    slow_poll(&dev);
    let screen = terminal.leave();
    assert!(is_under_way(&dev), "nobody waited for its end");
    // Broken between words only.
    let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("is asked once more later") && words.contains("waits for your approval."), "{screen}");
}

#[test]
fn a_call_that_takes_its_time_is_seen_and_stopping_it_says_what_that_means() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut terminal = chat(&home);
    terminal.say("buy 2 phones");
    terminal.wait_for("Waiting for your approval");
    dev.fault(&json!({ "on": "shop", "kind": "delay", "when": "after", "times": 1, "delay_ms": SLOW * 1000 }));
    dev.post("/approvals/latest/approve", &json!({}));
    terminal.wait_for("Approved by");
    terminal.wait_for("Calling buy_product...");
    wait_until(Duration::from_secs(60), "the order", || (!dev.orders().is_empty()).then_some(()));
    terminal.control('c');
    terminal.wait_for("The request was under way. Your next message finds out what came of it");
    terminal.wait_for_prompt();
    terminal.ask("tell me a joke", "ord_81");
    assert_eq!(dev.orders().len(), 1);
    terminal.leave();
}

#[test]
fn a_conversation_with_something_open_is_watched_from_its_first_prompt_on() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut terminal = chat(&home);
    terminal.buy_and_go_on();
    let screen = terminal.leave();
    assert!(screen.contains("agentctl resume run_") && screen.contains("agentctl approvals abandon apr_"), "{screen}");
    let mut terminal = Terminal::sized(agentctl(&home).args(["chat", "-c"]), 100, 40);
    terminal.wait_for("1 waiting for you");
    terminal.wait_for_prompt();
    let bells = terminal.bells();
    dev.post("/approvals/latest/approve", &json!({}));
    terminal.wait_for("was approved; the result comes with your next message");
    assert_eq!(terminal.bells(), bells + 1);
    terminal.ask("tell me a joke", "ord_81");
    assert_eq!(dev.orders().len(), 1);
    terminal.leave();
}

/// A conversation that buys once and then only says this.
fn buys_once(then: &str) -> (Dev, Home) {
    let buy = json!({ "name": "buy_product", "arguments": { "product": "phones", "qty": 2 } });
    let dev = Dev::scripted(json!([{ "tool_calls": [buy] }, { "text": then }]));
    let home = dev.logged_in();
    (dev, home)
}

/// The state of the only approval, and whether its token lies in the journal still.
fn kept_yes(home: &Home) -> (String, bool) {
    let paths = agentctl(home).args(["config", "path", "--json"]).run().code(0).json();
    let journal = std::path::Path::new(paths["state"].as_str().unwrap()).join("journal.db");
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let journal = rusqlite::Connection::open(journal).unwrap();
    journal.query_row("SELECT state, sealed_token IS NOT NULL FROM approvals", [], row).unwrap()
}

/// Rows are broken between words only, and those of a call are beside a gutter.
fn words(screen: &str) -> String {
    screen.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

#[test]
fn what_was_approved_is_not_done_once_it_is_given_up() {
    for columns in [100, 60] {
        let (dev, home) = buys_once("Nothing was ordered.");
        let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), columns, 60);
        terminal.buy_and_go_on();
        dev.post("/approvals/latest/approve", &json!({}));
        let told = "was approved; the result comes with your next message (/abandon gives it up)";
        terminal.wait_until("the news", |screen| words(screen).contains(told));
        assert_eq!(kept_yes(&home), ("approved".to_owned(), true));
        let screen = terminal.ask("/whoami", "Ada");
        assert!(screen.contains("1 approved, not done yet") && !screen.ends_with("1 waiting for you"), "{screen}");
        let screen = terminal.ask("/abandon", "Given up: apr_");
        let given_up = ["buy_product (product: \"phones\", qty: 2); you had approved it", "used for nothing any more."];
        assert!(given_up.iter().all(|text| words(&screen).contains(text)), "{screen}");
        assert_eq!(kept_yes(&home), ("abandoned".to_owned(), false));
        terminal.ask("so?", "Nothing was ordered.");
        assert!(dev.orders().is_empty());
        let messages = asked(&dev);
        let result = messages.iter().find(|message| message["role"] == "tool").expect("the result");
        assert!(result["content"].as_str().unwrap().contains("cancelled"), "{messages:?}");
        terminal.ask("/abandon", "Nothing of this conversation waits");
        let screen = terminal.leave();
        assert!(!words(&screen).contains("What you can do"), "{screen}");
        agentctl(&home).args(["audit", "verify"]).run().code(0);
    }
}

#[test]
fn who_leaves_with_a_yes_that_was_not_used_is_told_so() {
    let (dev, home) = buys_once("Nothing was ordered.");
    let mut terminal = chat(&home);
    terminal.buy_and_go_on();
    dev.post("/approvals/latest/approve", &json!({}));
    terminal.wait_for("was approved; the result comes");
    terminal.ask("/new", "A new conversation.");
    let screen = terminal.leave();
    let wanted = ["approved, not done yet: `agentctl resume` does it", "is not over. What you can do:", "abandon apr_"];
    assert!(wanted.iter().all(|text| words(&screen).contains(text)), "{screen}");
    assert!(!words(&screen).contains("waits for your approval"), "{screen}");
    // Whoever comes back is told before a word of theirs does it.
    let mut terminal = Terminal::sized(agentctl(&home).args(["chat", "-c"]), 100, 40);
    terminal.wait_until("the news", |screen| words(screen).contains("was approved; the result comes with your next"));
    terminal.wait_for("1 approved, not done yet");
    terminal.wait_for_prompt();
    terminal.control('c');
    terminal.wait_for("Something that you approved is not done yet");
    terminal.ask("/abandon", "Given up: apr_");
    terminal.ask("please do nothing", "Nothing was ordered.");
    assert!(dev.orders().is_empty());
    terminal.leave();
}

#[test]
fn signals_in_the_middle_of_an_answer_keep_what_had_arrived() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let (dev, home) = slow();
        let mut terminal = chat(&home);
        terminal.say("tell me a story");
        terminal.wait_for("word3 ");
        terminal.signal(signal);
        let (ended, screen) = terminal.finish();
        assert_eq!(ended, code, "{screen}");
        let mut terminal = Terminal::sized(agentctl(&home).args(["chat", "-c"]), 100, 40);
        // Nobody says that the person stopped it.
        terminal.wait_for("(The answer broke off here.)");
        terminal.ask("go on", "Back.");
        let kept = asked(&dev)[2]["content"].as_str().unwrap().to_owned();
        assert!(kept.starts_with("word1 word2 word3 ") && kept.ends_with("(The answer broke off here.)"), "{kept}");
        terminal.leave();
    }
}

#[test]
fn an_answer_that_broke_off_can_be_continued() {
    let dev = Dev::scripted(json!([
        { "text": ["One ", "two ", "three"], "cut": { "after": 4 } },
        { "expect": { "contains": ["go on"] }, "text": "four" },
    ]));
    let home = dev.logged_in();
    let mut terminal = chat(&home);
    terminal.ask("count", "not the whole answer");
    terminal.ask("go on", "four");
    assert_eq!(asked(&dev)[2]["content"], "One two three\n\n(The answer broke off here.)");
    terminal.leave();
}

/// In a shell with jobs, as a person has it.
fn in_a_shell(home: &mut Home) -> Terminal {
    home.set("PATH", "/usr/bin:/bin");
    home.set("PS1", "$ ");
    home.set("ENV", "/dev/null");
    home.set("AGENTCTL", env!("CARGO_BIN_EXE_agentctl"));
    let terminal = Terminal::sized(command(home, "/bin/sh").arg("-i"), 100, 40);
    terminal.wait_for("$ ");
    terminal
}

#[test]
fn a_shell_that_was_stopped_comes_back_as_it_was() {
    let (_dev, mut home) = slow();
    let mut terminal = in_a_shell(&mut home);
    terminal.enter("\"$AGENTCTL\" chat");
    terminal.wait_for_prompt();
    terminal.type_text("tell me");
    terminal.wait_for("agentctl> tell me");
    terminal.control('z');
    terminal.wait_until("the shell", |screen| screen.lines().last().is_some_and(|line| line.trim() == "$"));
    terminal.enter("fg");
    terminal.wait_until("the line as it was", |screen| screen.lines().last() == Some("agentctl> tell me"));
    terminal.enter(" a story");
    terminal.wait_for("word3 ");
    // In the middle of an answer, too.
    terminal.control('z');
    terminal.wait_until("the shell", |screen| screen.lines().last().is_some_and(|line| line.trim().ends_with('$')));
    terminal.enter("fg");
    terminal.wait_for("word9 ");
    terminal.control('c');
    terminal.wait_for("Stopped.");
    terminal.ask("go on", "Back.");
    terminal.control('d');
    terminal.wait_until("the shell", |screen| screen.lines().last().is_some_and(|line| line.trim() == "$"));
}

#[test]
fn however_the_shell_ends_the_terminal_is_as_it_was() {
    let words = (1..400).map(|number| format!("word{number} ")).collect::<Vec<_>>();
    let dev = Dev::scripted(json!([{ "text": words, "delay_ms": 100, "repeat": 2 }]));
    let mut home = dev.logged_in();
    let mut terminal = in_a_shell(&mut home);
    terminal.enter("stty iutf8 -ixon erase '^H'; stty -g > before");
    let end = |home: &Home, signal: &str| {
        let id = fs::read_to_string(home.work().join("pid")).unwrap();
        let kill = format!("kill -{signal} {id}");
        assert!(std::process::Command::new("/bin/sh").args(["-c", &kill]).status().unwrap().success());
    };
    // At the prompt, in the middle of an answer, and by the person's own keys.
    for (code, middle) in [("143", false), ("129", true), ("0", true)] {
        terminal.enter("clear; sh -c 'echo $$ > pid; exec \"$AGENTCTL\" chat'; echo left with $?; stty -g > after");
        terminal.wait_until("a fresh prompt", |screen| screen.trim_end() == "· default · dev-planner\nagentctl>");
        if middle {
            terminal.enter("tell me a story");
            terminal.wait_for("word3 ");
        }
        match code {
            "143" => {
                terminal.type_text("half a thought");
                terminal.wait_for("agentctl> half a thought");
                end(&home, "TERM");
            }
            "129" => end(&home, "HUP"),
            _ => {
                terminal.control('c');
                terminal.wait_for("Stopped.");
                terminal.wait_for_prompt();
                terminal.control('d');
            }
        }
        terminal.wait_for(&format!("left with {code}"));
        terminal.wait_until("the shell", |screen| screen.lines().last().is_some_and(|line| line.trim() == "$"));
        let modes = |name| fs::read_to_string(home.work().join(name)).unwrap();
        assert_eq!(modes("after"), modes("before"), "{code}");
    }
}

#[test]
fn a_shell_that_is_ended_while_the_log_is_locked_leaves_the_terminal_as_it_was() {
    let search: Value = serde_json::from_str(SEARCH).unwrap();
    let dev = Dev::scripted(json!([search, search]));
    let mut home = dev.logged_in();
    let mut terminal = in_a_shell(&mut home);
    terminal.enter("stty -g > before");
    terminal.enter("clear; sh -c 'echo $$ > pid; exec \"$AGENTCTL\" chat'; echo left with $?; stty -g > after");
    terminal.wait_until("a fresh prompt", |screen| screen.trim_end() == "· default · dev-planner\nagentctl>");
    let _held = with_a_locked_log(&home);
    terminal.enter("find phones");
    wait_until(Duration::from_secs(60), "the model", || (!dev.history("model").is_empty()).then_some(()));
    std::thread::sleep(Duration::from_millis(500));
    let id = fs::read_to_string(home.work().join("pid")).unwrap();
    let kill = format!("kill -TERM {id}");
    assert!(std::process::Command::new("/bin/sh").args(["-c", &kill]).status().unwrap().success());
    terminal.wait_for("left with 143");
    terminal.wait_until("the shell", |screen| screen.lines().last().is_some_and(|line| line.trim() == "$"));
    let modes = |name| fs::read_to_string(home.work().join(name)).unwrap();
    assert_eq!(modes("after"), modes("before"));
}

#[test]
fn a_shell_that_saves_into_a_pipe_nobody_reads_ends_and_leaves_the_terminal_as_it_was() {
    let dev = Dev::scripted(json!([{ "text": "Yes?" }]));
    let mut home = dev.logged_in();
    let mut terminal = in_a_shell(&mut home);
    terminal.enter("stty -g > before; mkfifo pipe");
    terminal.enter("clear; \"$AGENTCTL\" chat; echo left with $?; stty -g > after");
    terminal.wait_until("a fresh prompt", |screen| screen.trim_end() == "· default · dev-planner\nagentctl>");
    terminal.ask("anybody there", "Yes?");
    terminal.enter("/save pipe");
    terminal.wait_for("Replace it? [y/N]");
    terminal.enter("y");
    std::thread::sleep(Duration::from_millis(500));
    terminal.control('c');
    terminal.wait_for("left with 130");
    terminal.wait_until("the shell", |screen| screen.lines().last().is_some_and(|line| line.trim() == "$"));
    let modes = |name| fs::read_to_string(home.work().join(name)).unwrap();
    assert_eq!(modes("after"), modes("before"));
}
