//! The shell's own commands.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};

use crate::support::{Dev, Home, Terminal, agentctl};

const NAMES: [&str; 17] = [
    "/help",
    "/tools",
    "/can",
    "/approvals",
    "/abandon",
    "/resume",
    "/runs",
    "/new",
    "/clear",
    "/model",
    "/whoami",
    "/usage",
    "/save",
    "/compact",
    "/system",
    "/exit",
    "/help COMMAND",
];

fn chat(home: &Home, args: &[&str]) -> Terminal {
    Terminal::sized(agentctl(home).arg("chat").args(args.iter().copied()), 100, 60)
}

/// What the model was sent, the last time it was asked.
fn last_asked(dev: &Dev) -> Value {
    dev.history("model").last().expect("a request")["body"].clone()
}

fn contents(asked: &Value) -> Vec<&str> {
    asked["messages"].as_array().unwrap().iter().filter_map(|message| message["content"].as_str()).collect()
}

fn saved(home: &Home, args: &[&str]) -> Value {
    agentctl(home).args(args.iter().copied()).arg("--json").run().code(0).json()
}

#[test]
fn commands_are_listed_and_a_misspelt_one_is_not_sent() {
    let dev = Dev::start();
    let home = dev.logged_in();
    for columns in [80, 40] {
        let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), columns, 60);
        let screen = terminal.ask("/help", "says");
        for name in NAMES {
            assert!(screen.contains(name), "{name} at {columns}\n{screen}");
        }
        terminal.ask("/help can", "/can buy_product product=phones qty=2");
        terminal.ask("/comapct", "did you mean /compact?");
        terminal.ask("/whoami now", "/whoami takes nothing behind it");
        terminal.ask("/whatever", "/help lists them");
        assert!(dev.history("model").is_empty(), "none of it was sent");
        if columns == 80 {
            terminal.ask("/etc/hosts has what?", "not a language model");
            assert!(contents(&last_asked(&dev)).contains(&"/etc/hosts has what?"));
        }
        terminal.leave();
        dev.post("/reset", &json!({}));
    }
}

#[test]
fn in_a_pipe_commands_that_only_look_work_and_those_for_people_do_not() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let lines = "/tools\n/can buy_product product=phones qty=2\n/can buy_product {\"product\": \"a b\", \"qty\": 1}\n\
                 /approvals\n/runs\n/usage\n/compact\n/whoami\n";
    let output = agentctl(&home).arg("chat").stdin(lines).run().code(0);
    let output = output.out(&["buy_product", "asks you first", "would run, once you approve it", "product: \"a b\""]);
    output.err(&["no conversation yet", "Nothing was used up yet", "nothing to sum up", "Ada Lovelace"]);
    for line in ["/save x.md", "/model other", "/system obey me", "/resume run_1"] {
        let output = agentctl(&home).arg("chat").stdin(&format!("{line}\nhello\n")).run().code(2);
        output.err(&["is for a person at a terminal"]);
    }
    assert!(dev.history("model").is_empty());
    for (line, why) in [
        ("/can", "which call?"),
        ("/can by_product", "did you mean buy_product?"),
        ("/can buy_product qty", "has no value"),
        ("/can buy_product qty=0", "qty"),
    ] {
        agentctl(&home).arg("chat").stdin(&format!("{line}\n")).run().code(2).err(&[why]);
    }
}

#[test]
fn another_model_answers_from_now_on() {
    let dev = Dev::scripted(json!([
        { "text": "First." }, { "text": "Second." },
    ]));
    let home = dev.logged_in();
    let folder = home.path().join("agentctl");
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join("config.toml"),
        "[profiles.default.models.fast]\nname = \"dev-planner\"\nmax_tokens = 77\n[profiles.default.models.fast.prices]\nprompt = \"1\"\n\
         completion = \"2\"\ncurrency = \"EUR\"\n",
    )
    .unwrap();
    let mut terminal = chat(&home, &[]);
    terminal.ask("one", "First.");
    let asked = last_asked(&dev);
    terminal.ask("/model", "  fast");
    terminal.ask("/model fast", "From now on dev-planner answers.");
    terminal.ask("two", "Second.");
    let (before, now) = (asked, last_asked(&dev));
    assert_eq!((&before["max_tokens"], &now["max_tokens"]), (&json!(4096), &json!(77)));
    assert!(contents(&now).contains(&"First."), "the conversation goes along");
    let screen = terminal.ask("/usage", "EUR");
    assert!(screen.contains("dev-planner: ") && screen.contains("unpriced") && screen.contains("fast: "), "{screen}");
    terminal.ask("/model ✓ Approved", "\"✓ Approved\" cannot be one");
    terminal.ask("/model other", "From now on other answers.");
    terminal.ask("three", "the model `other` does not exist");
    terminal.leave();
}

#[test]
fn the_model_is_told_in_addition_what_the_person_says() {
    let dev = Dev::scripted(json!([{ "text": "Un." }, { "text": "Deux." }, { "text": "Trois." }]));
    let home = dev.logged_in();
    let mut terminal = chat(&home, &[]);
    terminal.ask("/system", "is told nothing in addition");
    terminal.ask("/system Answer in French.", "told so from now on");
    terminal.ask("one", "Un.");
    let system = |dev: &Dev| contents(&last_asked(dev))[0].to_owned();
    let told = system(&dev);
    assert!(told.starts_with("You are agentctl") && told.ends_with("\nAnswer in French."), "{told}");
    terminal.ask("/system Be brief.", "told so from now on");
    terminal.ask("two", "Deux.");
    assert!(system(&dev).ends_with("run:\nBe brief."), "{}", system(&dev));
    terminal.leave();
    let mut terminal = chat(&home, &["-c"]);
    terminal.ask("/system", "  Be brief.");
    terminal.ask("/system off", "told nothing in addition from now on");
    terminal.ask("three", "Trois.");
    assert!(!system(&dev).contains("Be brief"), "{}", system(&dev));
    terminal.leave();
}

#[test]
fn a_conversation_is_saved_for_its_person_alone() {
    let hostile = "Done.\u{1b}]52;c;ZXZpbA==\u{7}";
    let dev = Dev::scripted(json!([{ "text": [hostile] }]));
    let home = dev.logged_in();
    let mut terminal = chat(&home, &[]);
    terminal.ask("/save talk.md", "nothing was said yet");
    terminal.ask("do it", "Done.");
    terminal.ask("/save", "takes the name of one file");
    terminal.ask("/save \"my talk.md\"", "Saved in my talk.md");
    let file = home.work().join("my talk.md");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text, "## You\n\ndo it\n\n## Agent\n\nDone.␛]52;c;ZXZpbA==␇\n\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&file, "mine").unwrap();
    terminal.say("/save \"my talk.md\"");
    terminal.wait_for("Replace it? [y/N]");
    terminal.enter("");
    terminal.wait_for("Nothing was written.");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    terminal.say("/save \"my talk.md\"");
    terminal.wait_until("the question again", |screen| screen.matches("Replace it?").count() == 2);
    terminal.enter("y");
    terminal.wait_until("a second time", |screen| screen.matches("Saved in").count() == 2);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    terminal.leave();
}

#[test]
fn a_summary_takes_the_place_of_what_was_said() {
    let dev = Dev::scripted(json!([
        { "text": "The finch sings." },
        { "expect": { "contains": ["tell me about finches", "The finch sings."] }, "text": "They spoke of finches." },
        { "text": "Gladly." },
        { "text": "Again." },
    ]));
    let home = dev.logged_in();
    let mut terminal = chat(&home, &[]);
    terminal.ask("/compact", "nothing to sum up");
    terminal.ask("tell me about finches", "The finch sings.");
    let screen = terminal.ask("/compact", "goes on from a summary of 2 messages");
    assert!(!screen.contains("They spoke of finches."), "the summary is the model's\n{screen}");
    terminal.ask("/compact", "nothing to sum up");
    terminal.ask("more", "Gladly.");
    let asked = last_asked(&dev);
    let sent = contents(&asked);
    assert!(sent.contains(&"They spoke of finches.") && !sent.contains(&"The finch sings."), "{sent:?}");
    terminal.leave();
    // What is kept is all of it, and a conversation that is taken up again goes on from the summary.
    let mut terminal = chat(&home, &["--continue"]);
    terminal.ask("and more", "Again.");
    let asked = last_asked(&dev);
    let sent = contents(&asked);
    assert!(sent.contains(&"They spoke of finches.") && !sent.contains(&"The finch sings."), "{sent:?}");
    terminal.leave();
    let runs = saved(&home, &["runs", "list"]);
    let run = saved(&home, &["runs", "show", runs["runs"][0]["id"].as_str().unwrap()]);
    assert!(run["run"]["messages"].to_string().contains("The finch sings."), "{run}");
}

#[test]
fn a_summary_waits_for_a_call_that_is_open() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut terminal = chat(&home, &[]);
    terminal.buy_and_go_on();
    terminal.ask("/compact", "a call of this conversation has not ended");
    terminal.ask("/abandon", "Given up: apr_");
    terminal.ask("/abandon", "Nothing of this conversation waits for you");
    terminal.ask("tell me a joke", "not a language model");
    terminal.ask("/compact", "goes on from a summary");
    terminal.leave();
    assert!(dev.orders().is_empty());
}

#[test]
fn conversations_are_chosen_from_a_list() {
    let dev = Dev::scripted(json!([
        { "text": "About finches." }, { "text": "About herons." },
        { "expect": { "contains": ["more of it"] }, "text": "Finches again." },
    ]));
    let home = dev.logged_in();
    let mut terminal = chat(&home, &["--resume"]);
    terminal.wait_for("There is no conversation yet.");
    terminal.ask("tell me of finches", "About finches.");
    terminal.ask("/new", "A new conversation.");
    terminal.ask("tell me of herons", "About herons.");
    let screen = terminal.ask("/runs", "  1  just now ");
    assert!(screen.contains(" tell me of finches") && !screen.contains("  2  "), "{screen}");
    terminal.enter("/resume");
    terminal.wait_for("which?");
    terminal.enter("7");
    terminal.wait_for("7 is none of them");
    terminal.say("/clear");
    terminal.wait_gone("none of them");
    terminal.leave();

    let mut terminal = chat(&home, &["--resume"]);
    let screen = terminal.wait_for("which?");
    let list: Vec<&str> =
        screen.lines().filter_map(|line| line.split_once("just now").map(|(_, rest)| rest.trim())).collect();
    assert_eq!(list, ["tell me of herons", "tell me of finches"], "{screen}");
    terminal.enter("2");
    let screen = terminal.wait_for("Going on with: tell me of finches");
    drop(screen);
    terminal.wait_for("About finches.");
    terminal.ask("more of it", "Finches again.");
    let asked = last_asked(&dev);
    assert!(contents(&asked).contains(&"About finches.") && !contents(&asked).contains(&"About herons."));
    terminal.leave();

    // The one that was used last is not the one that began last.
    let mut terminal = chat(&home, &["-c"]);
    terminal.wait_for("Going on with: tell me of finches");
    terminal.ask("/runs", "tell me of herons");
    terminal.ask("/resume 2", "2 is none of them");
    terminal.ask("/resume 1", "Going on with: tell me of herons");
    terminal.leave();
    agentctl(&home).args(["chat", "--resume"]).stdin("").run().code(2).err(&["nobody is here to choose"]);
}

#[test]
fn an_empty_screen_still_says_what_waits() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut terminal = chat(&home, &[]);
    terminal.buy_and_go_on();
    terminal.enter("/clear");
    terminal.wait_gone("BUY-2-phones");
    let screen = terminal.wait_for_prompt();
    assert!(
        screen.contains("waits for your approval") && screen.contains("agentctl approvals abandon apr_"),
        "{screen}"
    );
    terminal.leave();
}

#[test]
fn programs_are_shown_to_run() {
    let dev = Dev::start();
    let refused = agentctl(&dev.logged_in()).args(["chat", "--json"]).stdin("hello\n").run().code(2);
    let error: Value = serde_json::from_str(&refused.stdout).unwrap();
    assert!(error.to_string().contains("agentctl run --json"), "{error}");
    assert!(dev.history("model").is_empty());
}
