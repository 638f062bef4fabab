//! Surroundings that are not as one would wish: closed streams, odd locales, files from other systems, signals in the
//! middle of an answer.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

use crate::support::{Dev, Home, agentctl, command, peer_is_missing, program};

const ASK: &str = "what phones are there";

/// The program as a shell starts it with these redirections.
fn redirected(home: &Home, arguments: &str, redirections: &str) -> crate::support::Output {
    let line = format!("\"$0\" {arguments} {redirections}");
    command(home, "/bin/sh").args(["-c", &line, env!("CARGO_BIN_EXE_agentctl")]).run()
}

#[test]
fn closed_streams_hinder_nobody() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let task = format!("run '{ASK}'");
    redirected(&home, &task, "<&-").code(0).out(&["Finch Mini"]);
    redirected(&home, "run", "<&-").code(2).silent().err(&["there is no task to run"]);
    redirected(&home, &task, "2>&-").code(0).out(&["Finch Mini"]);
    // Whoever closes stdout wants no answer, as with /dev/null. What follows must not land in a file of ours instead.
    redirected(&home, &task, ">&-").code(0).silent();
    redirected(&home, &task, "<&- >&- 2>&-").code(0).silent();
    assert_eq!(dev.history("model").len(), 8, "each asked twice, and the one without a task not at all");
    agentctl(&home).args(["audit", "verify"]).run().code(0);
}

#[test]
fn a_signal_in_the_middle_of_an_answer_ends_it_with_an_event_and_a_code() {
    let words: Vec<String> = (0..400).map(|number| format!("{number} ")).collect();
    let dev = Dev::scripted(json!([{ "text": words, "delay_ms": 200, "repeat": 6 }]));
    let home = dev.logged_in();
    for (signal, code) in [("HUP", 129), ("INT", 130), ("TERM", 143)] {
        let running = agentctl(&home).args(["run", "--json", "go"]).start();
        running.wait_for_stdout("text.delta");
        running.signal(signal);
        let output = running.finish().code(code);
        let end = output.lines().pop().unwrap();
        assert_eq!((&end["type"], &end["exit_code"]), (&json!("run.failed"), &json!(code)), "{output}");
        assert!(end["text"].as_str().unwrap().starts_with("0 "), "what had arrived is told\n{output}");
        let running = agentctl(&home).args(["run", "go"]).start();
        running.wait_for_stdout("0 ");
        running.signal(signal);
        running.finish().code(code).out(&["0 "]);
    }
}

/// Runs the program on a terminal of its own, closes that at the first prompt, and says with which code it ended.
const CLOSED: &str = "
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b''
while b'agentctl>' not in seen:
    piece = os.read(terminal, 4096)
    seen += piece
    if b'\\x1b[6n' in piece:
        os.write(terminal, b'\\x1b[1;1R')
os.close(terminal)
print(os.WEXITSTATUS(os.waitpid(pid, 0)[1]))
";

#[test]
fn a_terminal_that_is_closed_ends_the_shell_as_hung_up() {
    let Some(python) = program("python3") else {
        return peer_is_missing("python3", "install Python 3.8 or later");
    };
    let dev = Dev::start();
    let home = dev.logged_in();
    let path = std::env::var("PATH").unwrap();
    for terminal in ["xterm", "dumb"] {
        let shell = || agentctl(&home).arg("chat").env("TERM", terminal).env("PATH", &path);
        // Another process leads the terminal, and passes no signal on.
        let led = || shell().inside("/bin/sh").before(["-c", "trap '' HUP; \"$0\" \"$@\"; exit $?"]);
        for _ in 0..5 {
            for command in [shell(), led()] {
                command.inside(&python).before(["-c", CLOSED]).run().code(0).out(&["129\n"]);
            }
        }
    }
}

#[test]
fn a_run_that_was_put_to_sleep_in_the_middle_of_an_answer_goes_on() {
    let words: Vec<String> = (0..20).map(|number| format!("{number} ")).collect();
    let dev = Dev::scripted(json!([{ "text": words, "delay_ms": 50 }]));
    let home = dev.logged_in();
    let running = agentctl(&home).args(["run", "--json", "count"]).start();
    running.wait_for_stdout("text.delta");
    running.signal("STOP");
    let seen = running.stdout();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(running.stdout(), seen, "it sleeps");
    running.signal("CONT");
    let output = running.finish().code(0);
    assert_eq!(output.lines().pop().unwrap()["text"], json!(words.concat()), "{output}");
}

#[test]
fn neither_a_locale_nor_a_terminal_is_needed() {
    let dev = Dev::scripted(json!([{ "text": "Grüße, 2 Ö.", "repeat": 9 }]));
    let home = dev.logged_in();
    for (name, value) in [("LC_ALL", "C"), ("LANG", ""), ("LC_ALL", "xx_YY.ISO-8859-1"), ("TERM", ""), ("TERM", "dumb")]
    {
        let output = agentctl(&home).env(name, value).args(["run", "go"]).run().code(0);
        assert_eq!(output.stdout, "Grüße, 2 Ö.\n", "{name}={value}");
    }
}

/// The settings of the tenant's model as a file has them, not the environment.
fn priced(dev: &Dev, home: &mut Home, prefix: &str, end: &str, prices: &str) {
    let env = &dev.ready["env"];
    let text = format!(
        "{prefix}[profiles.default.model]\nname = {}\nbase_url = {}\n{prices}",
        env["AGENTCTL_MODEL"], env["OPENAI_BASE_URL"]
    );
    let file = home.path().join("config.toml");
    fs::write(&file, text.replace('\n', end)).unwrap();
    home.set("AGENTCTL_CONFIG", file.to_str().unwrap());
    home.unset("AGENTCTL_MODEL");
    home.unset("OPENAI_BASE_URL");
}

/// One for each token that is read, two for each that is written.
const PRICES: &str =
    "[profiles.default.model.prices]\nprompt = \"1000000\"\ncompletion = \"2000000\"\ncurrency = \"USD\"\n";

#[test]
fn what_a_priced_model_costs_is_told_and_an_unpriced_one_is_not_free() {
    let dev = Dev::scripted(json!([{ "text": "Hello.", "repeat": 3 }, { "text": "Hello.", "omit": ["usage"] }]));
    let mut home = dev.logged_in();
    // As Windows editors write it: a mark at the beginning, and other ends of lines.
    priced(&dev, &mut home, "\u{feff}", "\r\n", PRICES);
    let usage = |home: &Home| {
        let output = agentctl(home).args(["run", "--json", "go"]).run().code(0);
        output.lines().pop().unwrap()["usage"].clone()
    };
    let used = usage(&home);
    let count = |name: &str| used[name].as_u64().unwrap();
    let cost = (count("prompt_tokens") + 2 * count("completion_tokens")).to_string();
    assert!(count("prompt_tokens") > 0 && count("completion_tokens") > 0, "{used}");
    assert_eq!(used["cost"], json!({ "amount": cost, "currency": "USD" }));
    agentctl(&home).args(["run", "-v", "go"]).run().code(0).err(&[&format!("written; {cost} USD")]);
    priced(&dev, &mut home, "", "\n", "");
    let output = agentctl(&home).args(["run", "-v", "go"]).run().code(0).err(&["written; unpriced"]);
    assert!(!output.stderr.contains("USD"), "{output}");
    // Who counts nothing has not used nothing.
    assert_eq!(usage(&home), Value::Null);
}

#[test]
fn a_manifest_may_come_from_another_system() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let text = include_str!("../../src/tool/builtin/shop.toml").replace('\n', "\r\n");
    let file = home.work().join("shop.toml");
    for prefix in ["", "\u{feff}"] {
        fs::write(&file, format!("{prefix}{text}")).unwrap();
        agentctl(&home).args(["tools", "check", "shop.toml"]).run().code(0);
    }
}

/// A proxy would read what goes in clear to this machine, tokens among it. Whatever goes elsewhere takes it.
#[test]
fn what_is_for_this_machine_goes_through_no_proxy() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in proxy.incoming() {
            let mut stream = stream.unwrap();
            let mut first = String::new();
            let _ = BufReader::new(&stream).read_line(&mut first);
            lines.lock().unwrap().push(first.trim().to_owned());
            let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let dev = Dev::start();
    let mut home = dev.home();
    dev.auto("approve", "approve");
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        home.set(name, &address);
    }
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    agentctl(&home).args(["run", "buy 2 phones"]).run().code(0);
    let look = |home: &Home| agentctl(home).args(["tools", "call", "search_products"]).run();
    // Nobody is at this door.
    home.set("SHOP_CATALOG_URL", "https://127.0.0.1:9/products");
    look(&home).code(21).err(&["could not connect to https://127.0.0.1:9"]);
    assert_eq!(*asked.lock().unwrap(), Vec::<String>::new());
    home.set("SHOP_CATALOG_URL", "https://shop.example/products");
    let output = look(&home).code(21);
    let asked = asked.lock().unwrap();
    assert!(
        !asked.is_empty() && asked.iter().all(|line| line == "CONNECT shop.example:443 HTTP/1.1"),
        "{asked:?}\n{output}"
    );
}
