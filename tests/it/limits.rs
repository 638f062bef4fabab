//! Where waiting ends: for a tool, for the permission server, for a yes that nobody used, for an answer with too many calls.

use std::{fs, net::TcpListener, time::Duration};

use serde_json::{Value, json};

use crate::support::{Dev, agentctl};

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
