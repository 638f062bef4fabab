//! Where waiting ends: for a tool, for the permission server, for a yes that nobody used, for an answer with too many calls.

use std::{fs, net::TcpListener, time::Duration};

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
    wait_until(Duration::from_secs(30), "the next poll", || (polls() > before).then_some(()));
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

#[test]
fn a_yes_that_was_not_used_in_time_is_over() {
    let dev = Dev::start();
    let home = dev.logged_in();
    agentctl(&home).args(["run", "--on-approval", "detach", "buy 2 phones"]).run().code(10);
    dev.post("/approvals/latest/approve", &json!({}));
    agentctl(&home).args(["approvals", "wait", "--all"]).run().code(0);
    // The approved token lives for an hour, or for a day in the eyes of this program.
    dev.advance(24 * 60 * 60 + 60);
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    agentctl(&home).args(["resume", "--last"]).run().code(12).err(&["its time was over"]);
    assert!(dev.orders().is_empty());
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
