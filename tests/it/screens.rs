//! Whole screens, in a common window and in a narrow one: what a person sees of a login and of an approval, and what bad days do
//! to a terminal.

use std::{fs, io::Write as _};

use serde_json::json;

use crate::support::{Dev, Home, Terminal, agentctl};

/// Every time that is left, on the line of the spinner. There is one such line at most.
fn left(screen: &str) -> Option<String> {
    let lines: Vec<&str> = screen.lines().filter(|line| line.contains(" left")).collect();
    assert!(lines.len() < 2, "the spinner is drawn twice\n{screen}");
    let words: Vec<&str> = lines.first()?.split_whitespace().collect();
    words.windows(2).find(|pair| pair[1].starts_with("left")).map(|pair| pair[0].to_owned())
}

fn counts_down(terminal: &Terminal) {
    let first = left(&terminal.wait_until("the time that is left", |screen| left(screen).is_some()));
    terminal.wait_until("the time to go on", |screen| left(screen).is_some_and(|now| Some(now) != first));
}

/// What stands above the spinner.
fn without_spinner(screen: &str) -> String {
    let lines = screen.lines().take_while(|line| !line.contains(" left"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The screen with what is different each time replaced.
fn constant(screen: &str, parts: &[(&str, &str)]) -> String {
    parts.iter().fold(screen.to_owned(), |screen, (part, name)| screen.replace(part, name))
}

const LOGIN_80: &str = "\
To log in to ISSUER, open

    ISSUERactivate?user_code=USER-CODE

and check that it shows the code  USER-CODE  (valid for 15 minutes).
Device codes are a common phishing target: only continue if you started this
  login.
";

const LOGIN_40: &str = "\
To log in to ISSUER,
  open

    ISSUERactivate?user_code=USER-CODE

and check that it shows the code
  USER-CODE  (valid for 15 minutes).
Device codes are a common phishing
  target: only continue if you started
  this login.
";

const APPROVAL_80: &str = "\
· default · dev-planner
agentctl> buy 2 phones
● buy_product   product: \"phones\"   qty: 2
  This needs your approval. A request was sent to your device.
  Check that it shows:   BUY-2-phones.CODE-CODE
  It goes to SHOP, at any price; permission: fga
  Asked by agentctl-approval; your yes is bound to this call by its details
";

const APPROVAL_40: &str = "\
· default · dev-planner
agentctl> buy 2 phones
● buy_product   product: \"phones\"
  qty: 2
  This needs your approval. A request
    was sent to your device.
  Check that it shows:
    BUY-2-phones.CODE-CODE
  It goes to SHOP, at
    any price; permission: fga
  Asked by agentctl-approval; your yes
    is bound to this call by its details
";

#[test]
fn a_login_on_the_screen() {
    for (columns, expected) in [(80, LOGIN_80), (40, LOGIN_40)] {
        let dev = Dev::start();
        let home = dev.home();
        dev.auto("off", "off");
        // Too low for a picture of the address.
        let terminal = Terminal::sized(agentctl(&home).args(["login", "--no-browser"]), columns, 16);
        counts_down(&terminal);
        let screen = terminal.screen();
        let shown = without_spinner(&screen);
        let code = &shown.split("user_code=").nth(1).unwrap()[..9];
        let seen = constant(&shown, &[(dev.text("issuer"), "ISSUER"), (code, "USER-CODE")]);
        assert_eq!(seen, expected, "{columns}");
        dev.post("/logins/latest/approve", &json!({}));
        let (ended, screen) = terminal.finish();
        assert!(ended == 0 && left(&screen).is_none(), "{screen}");
        assert!(screen.replace("\n  │", "").contains("✓ Logged in as Ada Lovelace"), "{screen}");
    }
}

#[test]
fn an_approval_on_the_screen() {
    for (columns, expected) in [(80, APPROVAL_80), (40, APPROVAL_40)] {
        let dev = Dev::start();
        let home = dev.logged_in();
        let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), columns, 40);
        terminal.say("buy 2 phones");
        counts_down(&terminal);
        let message = dev.get("/pending")["approvals"][0]["binding_message"].as_str().unwrap().to_owned();
        let shop = home.env()["SHOP_API_URL"].split("/shop").next().unwrap().to_owned();
        let shown = without_spinner(&terminal.screen());
        let seen = constant(&shown, &[(&message, "BUY-2-phones.CODE-CODE"), (&shop, "SHOP")]);
        assert_eq!(seen, expected, "{columns}");
        dev.post("/approvals/latest/approve", &json!({}));
        terminal.wait_for("Ordered 2 x");
        let screen = terminal.wait_for_prompt();
        assert!(left(&screen).is_none() && screen.starts_with(&shown), "{screen}");
        let rest = screen[shown.len()..].replace("\n  ", " ");
        assert!(
            rest.starts_with("✓ Approved by Ada Lovelace after ") && rest.contains(" order ord_81: 2 x "),
            "{screen}"
        );
        terminal.leave();
    }
}

/// A home where the model says these things.
fn says(texts: &[&str]) -> (Dev, Home) {
    let turns: Vec<_> = texts.iter().map(|text| json!({ "text": text })).collect();
    let dev = Dev::scripted(json!(turns));
    let home = dev.logged_in();
    (dev, home)
}

#[test]
fn a_window_that_changes_its_size_in_the_middle_of_an_answer() {
    let words: Vec<String> = (100..400).map(|number| format!("word{number} ")).collect();
    let dev = Dev::scripted(json!([{ "text": words, "delay_ms": 10 }, { "text": "Still here." }]));
    let home = dev.logged_in();
    let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), 80, 80);
    terminal.say("go");
    for (columns, word) in [(40, "word150"), (20, "word200"), (100, "word250")] {
        terminal.wait_for(word);
        terminal.resize(columns, 80);
    }
    terminal.wait_for("word399");
    let screen = terminal.wait_for_prompt();
    for number in 300..400 {
        assert_eq!(screen.matches(&format!("word{number}")).count(), 1, "word{number}\n{screen}");
    }
    terminal.ask("again", "Still here.");
    terminal.leave();
}

#[test]
fn a_window_of_twenty_columns() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), 20, 200);
    terminal.ask("/help", "more.");
    terminal.say("buy 2 phones");
    counts_down(&terminal);
    terminal.control('c');
    terminal.wait_for("waiting for you");
    let screen = terminal.ask("what phones are there", "Finch Mini");
    assert!(screen.lines().any(|line| line == "· 1 waiting for you"), "{screen}");
    terminal.leave();
}

#[test]
fn terminals_that_can_do_little() {
    for term in [Some("dumb"), None, Some("")] {
        let dev = Dev::start();
        let home = dev.logged_in();
        let mut command = agentctl(&home).arg("chat");
        if let Some(term) = term {
            command = command.env("TERM", term);
        }
        let mut terminal = Terminal::of_kind(command, 80, 40);
        terminal.say("one \\");
        terminal.enter("two");
        let screen = terminal.wait_for("not a language model");
        assert!(!screen.contains("dev-planner ·") && !screen.contains('\u{1b}'), "{term:?}\n{screen}");
        assert_eq!(dev.history("model")[0]["body"]["messages"][1]["content"], "one \ntwo");
        terminal.say("buy 2 phones");
        terminal.wait_for("Waiting for your approval");
        terminal.control('c');
        terminal.wait_for("stays open on your device");
        terminal.wait_for_prompt();
        dev.post("/approvals/latest/approve", &json!({}));
        terminal.wait_for("was approved; the result comes with\n  your next message");
        terminal.ask("what phones are there", "Finch Mini");
        assert_eq!(dev.orders().len(), 1);
        terminal.control('c');
        terminal.wait_for("^C again leaves");
        terminal.wait_for_prompt();
        terminal.control('c');
        let (code, screen) = terminal.finish();
        assert_eq!(code, 0, "{screen}");
    }
}

#[test]
fn without_colours_and_in_the_plainest_locale() {
    let (_dev, home) = says(&["**Crème** brûlée", "Still here."]);
    let plain = agentctl(&home).arg("chat").env("NO_COLOR", "1").env("LANG", "C").env("LC_ALL", "C");
    let mut terminal = Terminal::sized(plain, 80, 24);
    terminal.ask("go", "**Crème** brûlée");
    terminal.type_text("/mod");
    terminal.wait_for("agentctl> /mod");
    terminal.type_text("\t");
    let screen = terminal.wait_for("agentctl> /model");
    assert!(!screen.contains("the model that answers"), "hints need colours\n{screen}");
    terminal.control('u');
    terminal.ask("é", "Still here.");
    terminal.leave();
}

#[test]
fn an_answer_of_a_million_letters_and_no_line() {
    let text = "abcdefghij".repeat(100_000);
    let (_dev, home) = says(&[&text, "Still here."]);
    let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), 80, 24);
    terminal.ask("go", "abcdefghij");
    terminal.ask("again", "Still here.");
    terminal.leave();
}

#[test]
fn a_history_of_a_hundred_megabytes() {
    let (_dev, home) = says(&["Yes."]);
    let file = home.path().join("agentctl/state/history");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut history = fs::File::create(&file).unwrap();
    let line = format!("{}\n", "x".repeat(99));
    for _ in 0..100 {
        history.write_all(line.repeat(10_000).as_bytes()).unwrap();
    }
    history.write_all(b"tell me of finches\n").unwrap();
    drop(history);
    let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), 80, 24);
    terminal.wait_for_prompt();
    terminal.type_text("\u{1b}[A");
    terminal.wait_for("agentctl> tell me of finches");
    terminal.enter(" and herons");
    terminal.wait_for("Yes.");
    terminal.leave();
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.len() < 1 << 20 && text.ends_with("\ntell me of finches\ntell me of finches and herons\n"),
        "{}",
        text.len()
    );
}

#[test]
fn a_paste_does_nothing_before_enter() {
    let (dev, home) = says(&["Read."]);
    let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), 80, 24);
    terminal.wait_for_prompt();
    // In two parts, with line ends of either kind, a command of the shell and ^D in it.
    terminal.type_text("\u{1b}[200~buy 2 phones\r/exit\r\n");
    terminal.type_text("\u{4}the end\r\u{1b}[201~");
    let screen = terminal.wait_for("the end");
    assert!(!screen.contains("Read.") && dev.history("model").is_empty(), "{screen}");
    terminal.enter("");
    terminal.wait_for("Read.");
    let asked = dev.history("model");
    assert_eq!(asked.len(), 1, "one message: {asked:?}");
    let message = asked[0]["body"]["messages"][1]["content"].as_str().unwrap().to_owned();
    assert!(message.starts_with("buy 2 phones\n/exit\n") && message.contains("the end"), "{message:?}");
    terminal.leave();
}

#[test]
fn what_the_program_says_is_broken_between_words_only() {
    for columns in [80, 40] {
        let dev = Dev::start();
        let home = dev.home();
        dev.auto("approve", "off");
        let commands: [&[&str]; 7] = [
            &["login", "--no-browser"],
            &["whoami"],
            &["tools", "list"],
            &["tools", "show", "buy_product"],
            &["can", "buy_product", "--arg", "product=phones", "--arg", "qty=2"],
            &["doctor"],
            &["logout"],
        ];
        for arguments in commands {
            let (_, screen) = Terminal::sized(agentctl(&home).args(arguments.iter().copied()), columns, 60).finish();
            // The terminal's own breaks do not show here: such a line is longer than the window. One that ends with a value
            // that no line has room for may be.
            let broken = |line: &&str| {
                let last = line.rsplit(' ').next().unwrap_or_default().chars().count();
                line.chars().count() > columns.into() && last + 4 <= columns.into()
            };
            assert_eq!(screen.lines().find(broken), None, "{arguments:?}\n{screen}");
        }
    }
}

#[test]
fn nothing_is_opened_before_the_first_prompt() {
    let dev = Dev::start();
    let home = dev.home();
    let terminal = Terminal::sized(agentctl(&home).arg("chat"), 80, 24);
    terminal.wait_for_prompt();
    let state = home.path().join("agentctl/state");
    assert!(
        !state.exists(),
        "{:?}",
        fs::read_dir(&state).map(|entries| entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>())
    );
    terminal.leave();
    assert!(!state.exists(), "and nobody who only looks leaves something behind");
}
