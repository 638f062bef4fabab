//! Where waiting ends: for a tool, for the permission server, for a yes that nobody used, for an answer with too many calls.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Dev, Output, agentctl, wait_until};

/// A purchase whose yes is on its way for so long that it arrives this much later than it was asked for.
fn answered_after(seconds: u64) -> (Dev, Output) {
    let dev = Dev::start();
    let home = dev.logged_in();
    let buy = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2"];
    let running = agentctl(&home).args(buy).start();
    running.wait_for_stderr("Waiting for your approval");
    dev.fault(&json!({ "on": "ciba_poll", "kind": "delay", "when": "after", "delay_ms": 1500, "times": 99 }));
    dev.post("/approvals/latest/approve", &json!({}));
    let polls = || dev.history("ciba_poll").len();
    let before = polls();
    // The next poll brings the yes. While it does, the clock of the program goes on.
    wait_until(Duration::from_secs(60), "the next poll", || (polls() > before).then_some(()));
    dev.advance_programs(seconds);
    let output = running.finish();
    (dev, output)
}

/// A manifest gives 300 s for an answer, and the network may keep one that was asked for in time for 10 s more.
#[test]
fn a_yes_may_be_ten_seconds_on_its_way() {
    let (dev, output) = answered_after(301);
    output.code(0);
    assert_eq!(dev.orders().len(), 1);
}

#[test]
fn a_yes_that_was_longer_on_its_way_is_not_used() {
    let (dev, output) = answered_after(311);
    output.code(12).err(&["the answer came when its time was over"]);
    assert!(dev.orders().is_empty());
}

#[test]
fn a_tool_waits_as_long_as_its_manifest_says() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let folder = format!("{}/toolsets", home.env()["AGENTCTL_HOME"]);
    fs::create_dir_all(&folder).unwrap();
    let manifest = "[toolset]\nname = \"own\"\ndescription = \"x\"\n[[tool]]\nname = \"look\"\ndescription = \"x\"\n\
                    effect = \"read\"\n[tool.request]\nmethod = \"GET\"\nurl = \"{{ env.SHOP_CATALOG_URL }}\"\n\
                    [tool.limits]\ntimeout_s = 1\n";
    fs::write(format!("{folder}/own.toml"), manifest).unwrap();
    dev.fault(&json!({ "on": "shop", "kind": "delay", "delay_ms": 60_000, "times": 9 }));
    let output = agentctl(&home).args(["tools", "call", "look"]).run().code(21).err(&["did not answer in time"]);
    assert!(output.took < Duration::from_secs(30), "{output}");
}

#[test]
fn a_permission_server_that_is_silent_says_no() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    // It takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    home.set("AGENTCTL_FGA_API_URL", &format!("http://{}", silent.local_addr().unwrap()));
    let buy = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2"];
    agentctl(&home).args(buy).run().code(13).err(&["did not answer in time"]);
    assert!(dev.history("ciba").is_empty() && dev.orders().is_empty());
}

/// A token that does not say how long it lives is believed for five minutes, and no other for more than a day.
#[test]
fn a_yes_that_was_not_used_in_time_is_over() {
    for (says, in_time, too_late) in [(json!(null), 240, 61), (json!(864_000), 86_340, 61)] {
        let dev = Dev::start();
        let home = dev.logged_in();
        dev.fault(&json!({ "on": "ciba_poll", "kind": "alter", "answer": { "expires_in": says }, "times": 9 }));
        let resume = |run: &str| agentctl(&home).args(["resume", run]).run();
        let runs = [1, 2].map(|qty| {
            let task = format!("buy {qty} phones");
            let detached = agentctl(&home).args(["run", "--json", "--on-approval", "detach", &task]).run().code(10);
            dev.post("/approvals/latest/approve", &json!({}));
            detached.lines().pop().unwrap()["run"].as_str().unwrap().to_owned()
        });
        agentctl(&home).args(["approvals", "wait", "--all"]).run().code(0);
        dev.advance_programs(in_time);
        resume(&runs[0]).code(0);
        dev.advance_programs(too_late);
        resume(&runs[1]).code(12).err(&["its time was over"]);
        assert_eq!(dev.orders().len(), 1, "{says}");
    }
}

#[test]
fn of_one_answer_sixteen_calls_are_looked_at() {
    let calls: Vec<Value> = (0..20)
        .map(|at| json!({ "name": "search_products", "arguments": { "query": format!("phones {at}") } }))
        .collect();
    let dev = Dev::scripted(json!([{ "tool_calls": calls }, { "text": "Enough." }]));
    let home = dev.logged_in();
    let output = agentctl(&home).args(["run", "go"]).run().out(&["Enough."]);
    assert_eq!(dev.history("shop").len(), 16, "{output}");
}

/// A model that says a word every moment, so that it is never silent, and never comes to an end.
#[test]
fn a_model_that_never_comes_to_an_end_is_stopped() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    let talker = TcpListener::bind("127.0.0.1:0").unwrap();
    home.set("OPENAI_BASE_URL", &format!("http://{}", talker.local_addr().unwrap()));
    let said = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&said);
    thread::spawn(move || {
        let (mut stream, _) = talker.accept().unwrap();
        let _ = stream.read(&mut [0; 65536]);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        let mut sent = stream.write_all(head.as_bytes());
        while sent.is_ok() {
            thread::sleep(Duration::from_millis(20));
            let word = json!({ "content": format!("{}, ", count.fetch_add(1, SeqCst)) });
            let piece = json!({ "choices": [{ "index": 0, "delta": word, "finish_reason": null }] });
            sent = stream.write_all(format!("data: {piece}\n\n").as_bytes());
        }
    });
    let running = agentctl(&home).args(["run", "go"]).start();
    running.wait_for_stdout("1, 2, 3, ");
    // In steps of which five are shorter than a silence: a busy machine sees several as one.
    for _ in 0..100 {
        dev.advance_programs(20);
        // One that was said after that, so it was also read after that.
        let word = format!(" {}, ", said.load(SeqCst) + 1);
        let read_or_stopped = || running.stdout().contains(&word) || running.stderr().contains("error: ");
        wait_until(Duration::from_secs(60), "another word", || read_or_stopped().then_some(()));
    }
    running.finish().code(20).err(&["it took longer than 1800 s"]);
}
