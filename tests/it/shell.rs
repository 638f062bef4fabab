//! The shell as a place to live in: what an answer looks like, and what the keys do.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Dev, Home, Terminal, agentctl};

/// A home where the model plays these turns.
fn scripted(turns: Value) -> (Dev, Home) {
    let dev = Dev::scripted(turns);
    let home = dev.logged_in();
    (dev, home)
}

fn chat(home: &Home) -> Terminal {
    let terminal = Terminal::sized(agentctl(home).arg("chat"), 100, 40);
    terminal.wait_for_prompt();
    terminal
}

const ANSWER: &str = "## Two phones\n\nThe **larger** one is `FM-2`, see [the shop](https://shop.example/fm2) for all \
                      that there is to know.\n\n- light\n  - and small\n1. heavy\n\n```sh\nbuy --now\n```\n\n\
                      | Name | Price |\n|---|---:|\n| Mini | 449 |\n| Max | 1099 |\n";

#[test]
fn an_answer_is_rendered_on_a_terminal_and_left_alone_in_a_pipe() {
    let (_dev, home) = scripted(json!([{ "text": ANSWER, "repeat": 4 }]));
    let rest = "\n• light\n  • and small\n1. heavy\n\n── sh\n│ buy --now\n\nName │ Price\n─────┼──────\nMini │   449\nMax  │  1099";
    let rest = rest.replace("  • and", "  ◦ and");
    let wide = "Two phones\n\nThe larger one is FM-2, see the shop (https://shop.example/fm2) for all that\nthere is to know.\n";
    let narrow = "Two phones\n\nThe larger one is FM-2, see the shop\n(https://shop.example/fm2) for all that\nthere is to know.\n";
    for (columns, text) in [(80, wide), (40, narrow)] {
        let (code, screen) = Terminal::sized(agentctl(&home).args(["run", "go"]), columns, 40).finish();
        assert_eq!((code, screen.as_str()), (0, format!("{text}{rest}").as_str()), "{columns}");
    }
    let plain = Terminal::sized(agentctl(&home).args(["run", "go"]).env("NO_COLOR", "1"), 80, 40);
    let (_, screen) = plain.finish();
    assert!(screen.starts_with("## Two phones\n\nThe **larger** one is `FM-2`"), "{screen}");
    let piped = agentctl(&home).args(["run", "go"]).run().code(0);
    assert_eq!(piped.stdout, ANSWER);
}

#[test]
fn a_hostile_answer_does_nothing_to_the_terminal() {
    let hostile = "Done.\u{1b}]52;c;ZXZpbA==\u{7}\u{1b}[2J\u{1b}[H\u{9b}8m\rgone \u{202e}live\n\n\
                   \u{1b}]8;;https://evil.example/\u{7}bank\u{1b}]8;;\u{7} \
                   [https://bank.example](https://evil.example/)\n\n\
                   ~~~\n\u{8}\u{8}\u{8}never closed **here**";
    let (_dev, home) = scripted(json!([{ "text": [hostile] }, { "text": "Back." }]));
    let mut terminal = chat(&home);
    terminal.enter("go");
    let screen = terminal.wait_for("**here**");
    assert!(screen.contains("Done.␛]52;c;ZXZpbA==␇␛[2J␛[H<U+009B>8m␍gone <U+202E>live"), "{screen}");
    assert!(screen.contains("␛]8;;https://evil.example/␇bank␛]8;;␇"), "{screen}");
    assert!(screen.contains("https://bank.example (https://evil.example/)"), "{screen}");
    assert!(screen.contains("│ ␈␈␈never closed **here**"), "{screen}");
    terminal.say("again");
    let screen = terminal.wait_for("Back.");
    assert!(screen.lines().any(|line| line == "Back."), "the block of code ended with its answer\n{screen}");
    terminal.leave();
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    let (_dev, home) = scripted(json!([{ "text": ["One ", "**two ", "three"], "cut": { "after": 4 } }]));
    let (code, screen) = Terminal::sized(agentctl(&home).args(["run", "go"]), 80, 24).finish();
    assert_eq!(code, 20, "{screen}");
    assert!(
        screen.starts_with("One **two three\nerror: the model's answer was cut off after 15 characters:"),
        "{screen}"
    );
    assert!(screen.contains("not the whole answer"), "{screen}");
}

#[test]
fn an_answer_that_broke_off_can_be_asked_for_again() {
    let (dev, home) = scripted(json!([
        { "text": ["One ", "two ", "three"], "cut": { "after": 4 } },
        { "expect": { "contains": ["count"] }, "text": "One two three." },
    ]));
    let file = home.work().join("answer");
    let output = agentctl(&home).args(["run", "--json", "--output-last", "answer", "count"]).run().code(20);
    let end = output.lines().pop().unwrap();
    assert_eq!(
        (&end["text"], file.exists()),
        (&json!("One two three"), false),
        "half an answer is told, not kept\n{output}"
    );
    let next = format!("agentctl resume {}", end["run"].as_str().unwrap());
    assert!(end["hints"].to_string().contains(&next), "{output}");
    let words: Vec<&str> = next.split(' ').skip(1).collect();
    agentctl(&home).args(words.clone()).run().code(0).out(&["One two three.\n"]);
    agentctl(&home).args(words).run().code(2).err(&["has ended"]);
    let asked = dev.history("model");
    assert_eq!(asked[0]["body"]["messages"], asked[1]["body"]["messages"], "the same question");
}

#[test]
fn a_conversation_that_is_too_long_says_what_to_do() {
    let error =
        json!({ "error": { "message": "maximum context length is 10 tokens", "code": "context_length_exceeded" } });
    let (_dev, home) = scripted(json!([{ "error": { "status": 400, "body": error } }]));
    agentctl(&home).args(["run", "go"]).run().code(20).err(&[
        "too long for the model",
        "`agentctl chat --resume run_",
        "/compact",
        "resume run_",
    ]);
}

#[test]
fn a_message_may_have_several_lines() {
    let says = |texts: &[&str], answer: &str| json!({ "expect": { "contains": texts }, "text": answer });
    let (_dev, home) = scripted(json!([
        says(&["one \ntwo"], "First."),
        says(&["```\na\nb\n```"], "Second."),
        says(&["up\ndown"], "Third."),
        says(&["paste one\npaste two"], "Fourth."),
    ]));
    let mut terminal = chat(&home);
    terminal.enter("one \\");
    terminal.enter("two");
    terminal.wait_for("First.");
    terminal.wait_for_prompt();
    for line in ["```", "a", "b", "```"] {
        terminal.enter(line);
    }
    terminal.wait_for("Second.");
    terminal.wait_for_prompt();
    // Alt-Enter.
    terminal.type_text("up\u{1b}\rdown\r");
    terminal.wait_for("Third.");
    terminal.wait_for_prompt();
    terminal.type_text("\u{1b}[200~paste one\npaste two\n\u{1b}[201~");
    let screen = terminal.wait_for("paste two");
    assert!(!screen.contains("Fourth."), "nothing is sent before Enter\n{screen}");
    terminal.type_text("\r");
    terminal.wait_for("Fourth.");
    terminal.leave();
}

#[test]
fn what_was_typed_is_found_again_by_the_next_shell() {
    let (_dev, home) = scripted(json!([{ "text": "Yes.", "repeat": 2 }]));
    let mut terminal = chat(&home);
    terminal.enter("tell me about finches");
    terminal.wait_for("Yes.");
    terminal.wait_for_prompt();
    terminal.type_text(" not to be remembered\r");
    terminal.wait_until("a second answer", |screen| screen.matches("Yes.").count() == 2);
    terminal.leave();

    let mut terminal = chat(&home);
    terminal.control('r');
    terminal.wait_for("reverse-i-search");
    terminal.type_text("finch");
    terminal.wait_for("tell me about finches");
    terminal.control('c');
    terminal.wait_for_prompt();
    terminal.type_text("\u{1b}[A");
    let screen = terminal.wait_for("agentctl> tell me about finches");
    assert!(!screen.contains("not to be"), "{screen}");
    terminal.control('c');
    terminal.leave();
}

#[test]
fn tab_completes_and_an_at_sign_sends_a_file_along() {
    let (_dev, home) = scripted(json!([
        { "expect": { "contains": ["sum up @notes.txt", "attached by the user", "The finch sings."] }, "text": "It sings." },
    ]));
    fs::write(home.work().join("notes.txt"), "The finch sings.\n").unwrap();
    let mut terminal = chat(&home);
    terminal.type_text("/who\t");
    terminal.wait_for("agentctl> /whoami");
    terminal.control('u');
    terminal.wait_for_prompt();
    terminal.type_text("use buy_\t");
    terminal.wait_for("use buy_product");
    terminal.control('u');
    terminal.say("sum up @none.txt");
    terminal.wait_for("none.txt cannot be attached");
    terminal.wait_for_prompt();
    terminal.type_text("sum up @no\t");
    terminal.wait_for("sum up @notes.txt");
    terminal.type_text("\r");
    let screen = terminal.wait_for("It sings.");
    assert!(screen.contains("with notes.txt (17 bytes)"), "{screen}");
    terminal.leave();
    // What comes through a pipe attaches nothing.
    let (_dev, home) = scripted(json!([{ "expect": { "absent": ["The finch sings."] }, "text": "What file?" }]));
    fs::write(home.work().join("notes.txt"), "The finch sings.\n").unwrap();
    agentctl(&home).arg("chat").stdin("sum up @notes.txt\n").run().code(0).out(&["What file?"]);
}

#[test]
fn characters_may_arrive_in_halves_and_bytes_may_be_none() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    let model = TcpListener::bind("127.0.0.1:0").unwrap();
    home.set("OPENAI_BASE_URL", &format!("http://{}", model.local_addr().unwrap()));
    let server = thread::spawn(move || {
        let (mut stream, _) = model.accept().unwrap();
        let _ = stream.read(&mut [0; 65536]);
        let mut body = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
            data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"na\xc3\xafve \xf0\x9f\xa6\x80 \xff\xc3( end\"},\
            \"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
            .as_slice();
        let begin = body.iter().position(|byte| *byte == 0xc3).unwrap();
        let _ = stream.write_all(&body[..begin]);
        body = &body[begin..];
        // Each byte in a packet of its own.
        let _ = stream.set_nodelay(true);
        for byte in &body[..20] {
            thread::sleep(Duration::from_millis(3));
            let _ = stream.write_all(&[*byte]);
        }
        let _ = stream.write_all(&body[20..]);
    });
    let output = agentctl(&home).args(["run", "go"]).run().code(0);
    assert_eq!(output.stdout, "naïve 🦀 \u{fffd}\u{fffd}( end\n");
    server.join().unwrap();
}
