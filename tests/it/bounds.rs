//! What a run was told to keep to holds on, however it goes on: the model can make it break off, and gets rid of nothing by it.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Dev, Fake, Home, Output, Reply, SOON, Terminal, agentctl, calls};

/// The model begins to speak, and its stream breaks off.
fn cut() -> Value {
    json!({ "text": ["One ", "moment"], "cut": { "after": 3 } })
}

fn call(name: &str, arguments: &Value) -> Value {
    json!({ "tool_calls": [{ "name": name, "arguments": arguments }] })
}

fn dear() -> Value {
    call("buy_product", &json!({ "product": "phones", "qty": 1, "price_limit": 5000 }))
}

fn done() -> Value {
    json!({ "text": "That was it." })
}

/// A run with these flags that the model let break off, and the turns that follow when it goes on.
fn broken(dev: &Dev, home: &Home, flags: &[&str], turns: &[Value]) -> String {
    let turns: Vec<Value> = std::iter::once(cut()).chain(turns.iter().cloned()).collect();
    dev.post("/script", &json!({ "turns": turns }));
    let output = agentctl(home).args(["run", "--json"]).args(flags.iter().copied()).arg("go").run().code(20);
    output.lines().pop().unwrap()["run"].as_str().unwrap().to_owned()
}

fn resume(home: &Home, run: &str, flags: &[&str]) -> Output {
    agentctl(home).args(["resume", run]).args(flags.iter().copied()).run()
}

/// The tools that the model was offered the last time it was asked.
fn offered(dev: &Dev) -> Vec<String> {
    let body = dev.history("model").pop().unwrap()["body"].clone();
    let tools = body["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect()
}

fn kept(home: &Home, run: &str) -> Value {
    agentctl(home).args(["runs", "show", run, "--json"]).run().code(0).json()["run"]["bounds"].clone()
}

#[track_caller]
fn nobody_was_asked(dev: &Dev, why: &dyn std::fmt::Display) {
    assert!(dev.history("ciba").is_empty() && dev.orders().is_empty(), "{why}");
}

#[test]
fn a_run_that_broke_off_has_no_more_tools_than_before() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let run = broken(&dev, &home, &["--tools", "search_products"], &[dear(), done()]);
    let output = resume(&home, &run, &[]).code(21).err(&["It keeps to: only the tools search_products"]);
    assert_eq!(offered(&dev), ["search_products"], "{output}");
    nobody_was_asked(&dev, &output);
    let run = broken(&dev, &home, &["--no-tools"], &[dear(), done(), dear(), done()]);
    let output = resume(&home, &run[..run.len() - 3], &[]).code(21);
    assert!(offered(&dev).is_empty(), "{output}");
    // The shell takes it up with no more.
    let output = agentctl(&home).args(["chat", "--resume", &run]).stdin("/tools\nbuy it now\n").run();
    assert!(offered(&dev).is_empty() && !output.stdout.contains("search_products"), "{output}");
    nobody_was_asked(&dev, &output);
    agentctl(&home).args(["runs", "show", &run]).run().code(0).out(&["keeps to: no tools"]);
    assert_eq!(kept(&home, &run), json!({ "tools": [] }));
    // One that was told nothing has all of them.
    let run = broken(&dev, &home, &[], &[done()]);
    resume(&home, &run, &[]).code(0);
    assert!(offered(&dev).len() > 3);
    assert_eq!(kept(&home, &run), json!({}));
}

#[test]
fn a_run_that_broke_off_spends_no_more_than_before() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let limit = ["--max-spend", "10 EUR"];
    let run = broken(&dev, &home, &limit, &[dear(), done()]);
    let output = resume(&home, &run, &[]).code(14).err(&["--max-spend", "allows 10.00 EUR"]);
    nobody_was_asked(&dev, &output);
    // Nor in a shell, whatever that shell was told of its own conversations.
    let run = broken(&dev, &home, &limit, &[dear(), done(), dear(), done()]);
    let output = agentctl(&home).args(["chat", "-c"]).stdin("buy it now\n").run().err(&["allows 10.00 EUR"]);
    nobody_was_asked(&dev, &output);
    // Who says it anew means it, from then on, unless it is an agent.
    let more = ["--max-spend", "6000 EUR", "--on-approval", "detach"];
    let run_on = broken(&dev, &home, &limit, &[dear(), done()]);
    let refused = agentctl(&home).args(["resume", &run_on]).args(more).env("AGENT", "1").run().code(13);
    let refused = refused.err(&["not for an agent to change"]);
    nobody_was_asked(&dev, &refused);
    resume(&home, &run_on, &more).code(10);
    assert_eq!(dev.history("ciba").len(), 1);
    assert_eq!(kept(&home, &run_on)["max_spend"], "6000.00 EUR");
    assert_eq!(kept(&home, &run)["max_spend"], "10.00 EUR");
}

/// The hint names the run, and `--last` knows it, too.
#[test]
fn the_last_run_is_found_that_its_models_server_let_down() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let run = broken(&dev, &home, &[], &[done()]);
    let output = agentctl(&home).args(["resume", "--last", "--json"]).run().code(0);
    assert_eq!(output.lines().pop().unwrap()["run"], run.as_str(), "{output}");
    // It has its answer now.
    agentctl(&home).args(["resume", "--last"]).run().code(2).err(&["no run waits"]);
    // Whoever names none means what waits for them, and no failure of another day.
    broken(&dev, &home, &[], &[dear(), done()]);
    agentctl(&home).arg("resume").run().code(2).err(&["no run waits"]);
    agentctl(&home).args(["resume", "--last", "--on-approval", "detach"]).run().code(10);
    agentctl(&home).args(["resume", "--timeout", SOON]).run().code(10);
}

/// What was spent before counts when it goes on.
#[test]
fn the_money_of_a_run_is_not_spent_twice() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("off", "approve");
    let buy = call("buy_product", &json!({ "product": "phones", "qty": 1, "price_limit": 500 }));
    dev.post("/script", &json!({ "turns": [buy, cut(), buy, done()] }));
    let output = agentctl(&home).args(["run", "--json", "--max-spend", "900 EUR", "go"]).run().code(20);
    let run = output.lines().pop().unwrap()["run"].as_str().unwrap().to_owned();
    assert_eq!(dev.orders().len(), 1, "{output}");
    let output = resume(&home, &run, &[]).code(14).err(&["after 500.00 EUR"]);
    assert_eq!(dev.orders().len(), 1, "{output}");
}

/// The shop does what it is told, and something before it answers in its place: nobody's word about the order.
#[test]
fn the_money_counts_where_something_answers_in_the_shops_place() {
    let buy = |limit: u32| call("buy_product", &json!({ "product": "phones", "qty": 1, "price_limit": limit }));
    for status in [307, 400, 401, 403, 404, 407] {
        let dev = Dev::start();
        let home = dev.logged_in();
        dev.auto("off", "approve");
        // The same again, and for more money.
        dev.post("/script", &json!({ "turns": [buy(400), buy(400), buy(401), done()] }));
        dev.fault(&json!({ "on": "shop", "kind": "content_type", "when": "after", "status": status, "times": 9 }));
        let output = agentctl(&home).args(["run", "--max-spend", "500 EUR", "go"]).run().code(14);
        assert_eq!(dev.orders().len(), 1, "{status}\n{output}");
        let ended: Vec<_> = calls(&home).into_values().map(|call| (call.outcome.unwrap(), call.message)).collect();
        let [(sent, told), (again, not_again), (dearer, limit)] = &ended[..] else { panic!("{ended:?}\n{output}") };
        assert_eq!([sent, again, dearer], ["unknown", "cancelled", "limit"], "{ended:?}\n{output}");
        assert!(told.contains("may have happened; look whether it did before it is done again"), "{told}");
        assert!(not_again.contains("was sent before in this run"), "{not_again}");
        assert!(limit.contains("after 400.00 EUR"), "{limit}");
        output.err(&["may have happened; look whether it did"]);
    }
}

#[test]
fn a_limit_that_is_none_is_named_as_one() {
    let home = Dev::start().logged_in();
    for (limit, said) in [("-1", "\"-1\" is not a limit"), ("900 eur", "upper case, as in \"200 EUR\"")] {
        let output = agentctl(&home).args(["run", "--max-spend", limit, "go"]).run().code(2).err(&[said]);
        assert!(!output.stderr.contains("-- "), "{output}");
    }
}

#[test]
fn a_run_that_broke_off_keeps_its_other_limits_too() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let look = || call("search_products", &json!({ "query": "phones" }));
    let run = broken(&dev, &home, &["--max-turns", "1"], &[look(), done()]);
    resume(&home, &run, &[]).code(14);
    resume(&home, &run, &["--max-turns", "5"]).code(0).out(&["That was it."]);
    let run = broken(&dev, &home, &["--max-tokens-total", "1"], &[look(), done()]);
    resume(&home, &run, &[]).code(14);
    // What a task has used up counts on, however often it is gone on with.
    let asked = || dev.history("model").len();
    for flags in [["--max-turns", "2"], ["--max-tokens-total", "300"]] {
        let run = broken(&dev, &home, &flags, &[look(), look(), look(), done()]);
        resume(&home, &run, &[]).code(14).err(&[&format!("agentctl resume {run} {}", flags[0])]);
        let before = asked();
        for _ in 0..3 {
            resume(&home, &run, &[]).code(14).silent();
        }
        assert_eq!(asked(), before, "{flags:?}");
        // Another message is another task.
        let output = agentctl(&home).args(["chat", "--resume", &run]).stdin("and now?\n").run();
        assert!(asked() > before, "{output}");
    }
    // Who wanted no device to ring is not made to.
    let run = broken(&dev, &home, &["--on-approval", "deny"], &[dear(), done(), dear(), done()]);
    let output = resume(&home, &run, &[]).err(&["nothing that needs your approval"]);
    nobody_was_asked(&dev, &output);
    let output = agentctl(&home).args(["chat", "--resume", &run]).stdin("buy it now\n").run();
    nobody_was_asked(&dev, &output);
    let run = broken(&dev, &home, &["--on-approval", "deny"], &[dear(), done()]);
    dev.auto("off", "approve");
    resume(&home, &run, &["--on-approval", "wait"]).code(0);
    assert_eq!(dev.orders().len(), 1);
}

/// The person's own models.
fn models(home: &Home, text: &str) {
    let folder = &home.env()["AGENTCTL_HOME"];
    fs::create_dir_all(folder).unwrap();
    fs::write(format!("{folder}/config.toml"), text).unwrap();
}

fn answers(text: &str) -> Reply {
    let delta = json!({ "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "llama",
        "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": "stop" }] });
    Reply::text(200, "text/event-stream", &format!("data: {delta}\n\ndata: [DONE]\n\n"))
}

#[test]
fn a_conversation_is_shown_to_no_other_model() {
    const ASK: (&str, &str) = ("POST", "/chat/completions");
    let dev = Dev::start();
    let home = dev.logged_in();
    let private = Fake::start();
    models(&home, &format!("[profiles.default.models.mine]\nname = \"llama\"\nbase_url = \"{}\"\n", private.url()));
    private.once(ASK.0, ASK.1, Reply::text(200, "text/event-stream", "data: {\"choi").cut());
    let output = agentctl(&home).args(["run", "--json", "--model", "mine", "--no-tools", "secret"]).run().code(20);
    let run = output.lines().pop().unwrap()["run"].as_str().unwrap().to_owned();
    private.once(ASK.0, ASK.1, answers("Resumed."));
    resume(&home, &run, &[]).code(0).out(&["Resumed."]).err(&["the model mine (llama at http://127.0.0.1:"]);
    private.once(ASK.0, ASK.1, answers("Chatted."));
    agentctl(&home).args(["chat", "-c"]).stdin("go on\n").run().code(0).out(&["Chatted."]);
    // In a shell whose own model is another one it is still this one; behind it, the shell's.
    private.once(ASK.0, ASK.1, answers("Taken up."));
    dev.post("/script", &json!({ "turns": [{ "text": "Somebody else." }] }));
    let mut terminal = Terminal::sized(agentctl(&home).args(["chat", "--model", "dev-planner"]), 100, 60);
    terminal.ask(&format!("/resume {}", &run[..run.len() - 3]), "the model mine");
    terminal.ask("go on", "Taken up.");
    assert!(dev.history("model").is_empty());
    terminal.ask("/new", "A new conversation.");
    terminal.ask("hello", "Somebody else.");
    assert_eq!(dev.history("model").len(), 1);
    terminal.leave();
    assert!(private.seen().iter().all(|seen| seen.body.contains("secret")));

    // The name is gone, or stands for something else: nobody is asked in its place.
    for text in ["", "[profiles.default.models.mine]\nname = \"gpt\"\n"] {
        models(&home, text);
        let output = agentctl(&home).args(["chat", "--resume", &run]).stdin("go on\n").run();
        output.code(2).err(&["was to ask mine: that was llama at", "--model NAME"]);
    }
    assert_eq!(dev.history("model").len(), 1);
    // Another one only if the person names it, and then that one.
    dev.post("/script", &json!({ "turns": [{ "text": "Now I." }, { "text": "I again." }] }));
    let chat = ["chat", "--resume", &run];
    agentctl(&home).args(chat).args(["--model", "dev-planner"]).stdin("go on\n").run().code(0).out(&["Now I."]);
    agentctl(&home).args(chat).stdin("go on\n").run().code(0).out(&["I again."]);
    assert_eq!(kept(&home, &run)["model"]["asked"], "dev-planner");
}

#[test]
fn what_a_shell_was_told_is_kept_with_its_conversations() {
    let dev = Dev::scripted(json!([{ "text": "Hello." }, { "text": "Here." }, dear(), done()]));
    let home = dev.logged_in();
    models(&home, "[profiles.default.models.fast]\nname = \"dev-planner\"\nmax_tokens = 77\n");
    let mut terminal = Terminal::sized(agentctl(&home).args(["chat", "--max-spend", "10 EUR"]), 100, 60);
    terminal.ask("hello", "Hello.");
    terminal.ask("/model fast", "From now on dev-planner answers.");
    terminal.leave();
    let list = agentctl(&home).args(["runs", "list", "--json"]).run().code(0).json();
    let run = list["runs"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(list["runs"][0]["bounds"]["max_spend"], "10.00 EUR", "{list}");
    assert_eq!(list["runs"][0]["bounds"]["model"]["asked"], "fast", "{list}");
    agentctl(&home).args(["chat", "-c"]).stdin("are you there\n").run().code(0).out(&["Here."]);
    assert_eq!(dev.history("model").pop().unwrap()["body"]["max_tokens"], 77);
    // A shell with a limit of its own takes up one with another: both hold.
    let mut terminal = Terminal::sized(agentctl(&home).args(["chat", "--max-spend", "9000 EUR"]), 100, 60);
    terminal.ask(&format!("/resume {run}"), "spending 10.00 EUR at most");
    terminal.ask("buy it now", "allows 10.00 EUR");
    terminal.leave();
    nobody_was_asked(&dev, &list);
    assert_eq!(kept(&home, &run)["max_spend"], "10.00 EUR");
}
