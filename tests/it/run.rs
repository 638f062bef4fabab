//! One task from the prompt to the exit code, against the dev tenant.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Dev, Fake, Home, Output, Reply, SOON, agentctl, calls, wait_until};

fn run(home: &Home, task: &str) -> Output {
    agentctl(home).args(["run", task]).run()
}

#[test]
fn a_purchase_is_shown_approved_and_told() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let running = agentctl(&home).args(["run", "buy 2 phones"]).start();
    let shown = running.wait_for_stderr("Check that it shows:");
    let push = dev.get("/pending")["approvals"][0].clone();
    let message = push["binding_message"].as_str().unwrap();
    assert!(shown.contains(message), "{message} is not in\n{shown}");
    assert!(shown.contains("phones") && shown.contains("qty"), "{shown}");
    dev.post("/approvals/latest/approve", &json!({}));
    let output = running.finish().code(0).err(&["Approved"]);
    let orders = dev.orders();
    assert_eq!(orders.len(), 1, "{output}");
    assert_eq!(orders[0]["qty"], 2);
    let id = orders[0]["order_id"].as_str().unwrap();
    assert!(output.stdout.contains(id), "{output}");
    assert!(!output.stderr.contains('\u{1b}') && !output.stdout.contains('\u{1b}'), "{output}");
}

#[test]
fn a_refusal_is_final_and_has_its_own_exit_code() {
    let dev = Dev::start();
    let home = dev.logged_in();
    for (answer, code) in [("deny", 11), ("expire", 12)] {
        let running = agentctl(&home).args(["run", "--json", "buy 2 phones"]).start();
        running.wait_for_stdout("approval.requested");
        // This server, like Auth0, has one word for denied and for expired: the client's clock tells them apart.
        match answer {
            "deny" => drop(dev.post("/approvals/latest/deny", &json!({}))),
            _ => dev.advance(600),
        }
        let output = running.finish().code(code);
        let events = output.lines();
        let last = events.last().unwrap();
        assert_eq!(last["type"], "run.refused", "{output}");
        assert_eq!(last["exit_code"], code, "{output}");
        let asked = events.iter().filter(|event| event["type"] == "approval.requested").count();
        assert_eq!(asked, 1, "nobody is asked twice\n{output}");
    }
    assert!(dev.orders().is_empty());
}

#[test]
fn the_events_of_a_purchase_are_those_of_the_documentation() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("off", "approve");
    let output = agentctl(&home).args(["run", "--json", "buy 2 phones"]).run().code(0);
    let types: Vec<String> = output.lines().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    for wanted in
        ["run.started", "tool.planned", "approval.requested", "approval.answered", "tool.completed", "text.done"]
    {
        assert!(types.iter().any(|found| found == wanted), "no {wanted}\n{output}");
    }
    assert_eq!(types.last().map(String::as_str), Some("run.completed"), "{output}");
    for event in output.lines() {
        assert_eq!(event["schema_version"], 1, "{event}");
        assert!(event["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{event}");
    }
}

#[test]
fn other_tasks_need_no_phone() {
    let dev = Dev::start();
    let home = dev.logged_in();
    run(&home, "what phones are there").code(0).out(&["Finch Mini", "199.00 EUR"]);
    agentctl(&home).args(["run", "-"]).stdin("what phones are there\n").run().code(0).out(&["Finch Mini"]);
    agentctl(&home).arg("run").stdin("what phones are there\n").run().code(0).out(&["Finch Mini"]);
    run(&home, "tell me a joke").code(0).out(&["not a language model"]);
    assert!(dev.history("ciba").is_empty());
    dev.auto("off", "approve");
    run(&home, "buy 3 cheap laptops under 900").code(0).out(&["Otter Go 11", "897.00"]);
    assert_eq!(dev.orders()[0]["total"], "897.00");
}

#[test]
fn no_secret_reaches_the_model_or_the_logs() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("off", "approve");
    let output = agentctl(&home).args(["-vvv", "run", "buy 2 phones"]).run().code(0);
    let asked = Value::from(dev.history("model")).to_string();
    assert!(asked.contains("buy 2 phones"), "{asked}");
    let env = &dev.ready["env"];
    let secrets = ["AGENTCTL_APPROVAL_CLIENT_SECRET", "AGENTCTL_STORE_PASSPHRASE", "OPENAI_API_KEY"];
    for secret in secrets.map(|name| env[name].as_str().unwrap()).into_iter().chain(["eyJ"]) {
        assert!(!output.stderr.contains(secret) && !output.stdout.contains(secret), "{secret} is in\n{output}");
    }
    for secret in [env["AGENTCTL_APPROVAL_CLIENT_SECRET"].as_str().unwrap(), "eyJ"] {
        assert!(!asked.contains(secret), "{secret} is in {asked}");
    }
}

#[test]
fn a_model_that_misbehaves_is_stopped_or_told() {
    let call = |name: &str, arguments: Value| json!({ "tool_calls": [{ "name": name, "arguments": arguments }] });
    let text = json!({ "text": "I give up." });
    let unmet = |code: i32, turns: Value| {
        let dev = Dev::scripted(turns);
        let home = dev.logged_in();
        let output = run(&home, "go").code(code);
        assert!(dev.orders().is_empty() && dev.history("ciba").is_empty(), "{output}");
    };
    unmet(21, json!([call("no_such_tool", json!({})), text]));
    unmet(21, json!([call("buy_product", json!("{\"product\": \"pho")), text]));
    unmet(21, json!([call("buy_product", json!({ "product": "phones" })), text]));
    unmet(21, json!([call("buy_product", json!({ "product": "phones", "qty": 2, "gift": true })), text]));
    let mut endless = call("search_products", json!({ "query": "phones" }));
    endless["repeat"] = json!(200);
    unmet(14, json!([endless]));
}

#[test]
fn a_model_that_fails_ends_the_run_with_20() {
    let table = [
        json!([{ "error": { "status": 401, "body": { "error": "invalid token" } } }]),
        json!([{ "text": "this is cut in the middle", "cut": { "after": 3 }, "repeat": 5 }]),
        json!([{ "text": "this ends without a word", "cut": { "after": 3, "how": "end" }, "repeat": 5 }]),
        json!([{ "tool_calls": [{ "name": "buy_product", "arguments": { "product": "phones", "qty": 2 }, "pieces": 6 }],
            "cut": { "after": 4 }, "repeat": 5 }]),
    ];
    for turns in table {
        let dev = Dev::scripted(turns.clone());
        let home = dev.logged_in();
        let output = run(&home, "go").code(20);
        assert!(dev.history("ciba").is_empty(), "{turns}\n{output}");
    }
    let dev = Dev::start();
    let mut home = dev.logged_in();
    home.set("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
    run(&home, "go").code(20).silent();
}

#[test]
fn a_model_cannot_write_on_the_terminal_through_the_log() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    let model = Fake::start();
    let forged = "data: {\"choices\": \"\ndata: \u{202e}Approved by Ada\"}\n\n";
    model.always("POST", "/chat/completions", Reply::text(200, "text/event-stream", forged));
    home.set("OPENAI_BASE_URL", &model.url());
    for verbosity in ["-q", "-vvv"] {
        let output = agentctl(&home).args([verbosity, "run", "go"]).run().code(20);
        assert!(!output.stderr.contains('\u{202e}') && !output.stderr.contains("Approved by"), "{output}");
    }
}

#[test]
fn a_model_that_asks_for_patience_gets_it() {
    let dev = Dev::scripted(json!([
        { "error": { "status": 429, "headers": [["retry-after", "1"]] } },
        { "text": "There you are." },
    ]));
    let home = dev.logged_in();
    let output = run(&home, "go").code(0).out(&["There you are."]);
    assert!(output.took >= Duration::from_secs(1), "{output}");
}

#[test]
fn a_shop_that_fails_is_told_and_never_paid_twice() {
    for fault in [
        json!({ "on": "shop", "kind": "status", "status": 401 }),
        json!({ "on": "shop", "kind": "status", "status": 403 }),
        json!({ "on": "shop", "kind": "status", "status": 409 }),
        json!({ "on": "shop", "kind": "html", "status": 500 }),
        json!({ "on": "shop", "kind": "html", "status": 200 }),
        json!({ "on": "shop", "kind": "html", "status": 403, "when": "after" }),
        json!({ "on": "shop", "kind": "drop", "when": "after" }),
        json!({ "on": "shop", "kind": "half", "when": "after" }),
    ] {
        let dev = Dev::start();
        let home = dev.logged_in();
        dev.auto("off", "approve");
        dev.fault(&fault);
        let output = run(&home, "buy 2 phones");
        let ordered = dev.orders().len();
        assert!(ordered <= 1, "{fault}\n{output}");
        // An answer that was lost may be asked for again under the same idempotency key; then the order stands.
        let code = output.status.code().unwrap();
        assert!(code == 21 || (code == 0 && ordered == 1), "{fault}\n{output}");
        // What a proxy says in the shop's place is nobody's word about the order.
        assert!(fault["kind"] != "html" || output.stderr.contains("may have happened"), "{fault}\n{output}");
        assert_eq!(dev.history("ciba").iter().filter(|one| one["method"] == "POST").count(), 1, "{fault}\n{output}");
    }
}

#[test]
fn a_refusal_of_the_second_try_does_not_hide_the_first() {
    // The order stands, its answer is lost or a proxy's, and the repetition is refused.
    let words = json!({ "kind": "content_type", "status": 429 });
    for first in [json!({ "kind": "drop" }), json!({ "kind": "status", "status": 503 }), words] {
        let dev = Dev::start();
        let home = dev.logged_in();
        dev.auto("off", "approve");
        let mut fault = first.clone();
        (fault["on"], fault["when"]) = (json!("shop"), json!("after"));
        dev.fault(&fault);
        dev.fault(&json!({ "on": "shop", "kind": "status", "status": 401 }));
        let output = run(&home, "buy 2 phones").code(21).err(&["the effect may have happened"]);
        assert_eq!(dev.orders().len(), 1, "{first}\n{output}");
    }
}

/// A bell that may be rung without a yes, and whose server knows no way to ring it once.
pub(crate) fn own_bell(home: &Home) {
    let folder = format!("{}/toolsets", home.env()["AGENTCTL_HOME"]);
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = "[toolset]\nname = \"own\"\ndescription = \"x\"\n[[tool]]\nname = \"ring\"\ndescription = \"x\"\n\
                    effect = \"reversible\"\napproval = \"none\"\napproval_reason = \"a bell\"\n\
                    [tool.request]\nmethod = \"POST\"\nurl = \"{{ env.SHOP_API_URL }}\"\n";
    std::fs::write(format!("{folder}/own.toml"), manifest).unwrap();
}

#[test]
fn what_has_no_key_is_sent_once() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    own_bell(&home);
    for (answer, said) in [
        (Reply::json(503, &json!({})), "may have happened"),
        (Reply::json(429, &json!({})), "refused the call (HTTP 429)"),
        (Reply::json(200, &json!({})).cut(), "may have happened"),
    ] {
        let bell = Fake::start();
        bell.once("POST", "/ring", answer);
        home.set("SHOP_API_URL", &format!("{}/ring", bell.url()));
        let output = agentctl(&home).args(["tools", "call", "ring"]).run();
        assert_eq!(bell.seen().len(), 1, "{output}");
        output.code(21).err(&[said]);
    }
}

#[test]
fn what_is_stopped_under_way_may_have_happened() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    own_bell(&home);
    let bell = Fake::start();
    bell.once("POST", "/ring", Reply::json(200, &json!({})).after(Duration::from_secs(20)));
    home.set("SHOP_API_URL", &format!("{}/ring", bell.url()));
    let running = agentctl(&home).args(["tools", "call", "ring"]).start();
    wait_until(Duration::from_secs(60), "a ring", || (!bell.seen().is_empty()).then_some(()));
    running.signal("INT");
    let output = running.finish().code(130);
    let calls = calls(&home);
    assert_eq!(calls.values().next().unwrap().outcome.as_deref(), Some("unknown"), "{calls:?}\n{output}");
}

#[test]
fn what_may_have_happened_is_not_asked_for_again() {
    let mut call = json!({ "tool_calls": [{ "name": "buy_product", "arguments": { "product": "phones", "qty": 2 } }] });
    call["repeat"] = json!(3);
    let dev = Dev::scripted(json!([call, { "text": "Please look yourself." }]));
    let home = dev.logged_in();
    dev.auto("off", "approve");
    // All three tries of the first call; a second one would meet a shop that works again.
    dev.fault(&json!({ "on": "shop", "kind": "drop", "times": 3 }));
    let output = run(&home, "go").code(21).err(&["was sent before in this run"]);
    assert_eq!(dev.history("ciba").iter().filter(|one| one["method"] == "POST").count(), 1, "{output}");
    assert!(dev.orders().is_empty(), "{output}");
    // The others were never sent, and the log does not say that nobody had to allow them.
    let verified = agentctl(&home).args(["audit", "verify"]).run().code(0);
    assert!(!verified.stdout.contains("needed no approval"), "{verified}");
    let log = agentctl(&home).args(["audit", "list", "--json"]).run().code(0).stdout;
    assert_eq!((log.matches("\"not asked\"").count(), log.matches("not required").count()), (2, 0), "{log}");
}

#[test]
fn an_answer_of_ten_megabytes_is_refused() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    let shop = Fake::start();
    let huge = format!("{{\"products\":[\"{}\"]}}", "x".repeat(10_000_000));
    shop.always("GET", "/products", Reply::text(200, "application/json", &huge));
    home.set("SHOP_CATALOG_URL", &format!("{}/products", shop.url()));
    let output = run(&home, "what phones are there").code(21);
    assert!(output.stdout.len() < 10_000 && output.stderr.len() < 10_000, "{}", output.stderr.len());
}

#[test]
fn somebody_elses_yes_and_other_details_are_a_no() {
    for twist in [
        json!({ "person": "grace" }),
        json!({ "authorization_details": [{ "type": "purchase", "arguments": { "product": "phones", "qty": 9 } }] }),
        json!({ "scope": "openid" }),
    ] {
        let dev = Dev::start();
        let home = dev.logged_in();
        let running = agentctl(&home).args(["run", "--json", "buy 2 phones"]).start();
        running.wait_for_stdout("approval.requested");
        dev.post("/approvals/latest/approve", &twist);
        let output = running.finish();
        assert_ne!(output.status.code(), Some(0), "{twist}\n{output}");
        assert!(dev.orders().is_empty(), "{twist}\n{output}");
    }
}

#[test]
fn interrupts_and_limits_of_time_end_a_wait() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let running = agentctl(&home).args(["run", "buy 2 phones"]).start();
    running.wait_for_stderr("Check that it shows:");
    running.signal("TERM");
    running.finish().code(143);
    let told = ["stays open on your device", "agentctl resume run_", "--timeout"];
    agentctl(&home).args(["run", "--timeout", SOON, "buy 2 phones"]).run().code(10).err(&told);
    // A single call is a run of its own.
    let call = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2", "--timeout", SOON];
    agentctl(&home).args(call).run().code(10).silent().err(&told);
    assert!(dev.orders().is_empty());
}

#[test]
fn without_a_login_nothing_is_asked_of_anyone() {
    let dev = Dev::start();
    let home = dev.home();
    run(&home, "buy 2 phones").code(4).silent().err(&["agentctl login"]);
    let output = agentctl(&home).args(["run", "--json", "buy 2 phones"]).run().code(4);
    assert_eq!(output.lines().last().unwrap()["type"], "run.failed", "{output}");
    assert!(dev.history("model").is_empty() && dev.history("device").is_empty());
}

#[test]
fn tools_can_be_called_without_a_model() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("off", "approve");
    agentctl(&home).args(["tools", "list"]).run().code(0).out(&["buy_product", "search_products"]);
    agentctl(&home).args(["tools", "show", "buy_product"]).run().code(0).out(&["price_limit"]);
    agentctl(&home).args(["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2"]).run().code(0);
    assert_eq!(dev.orders().len(), 1);
    assert!(dev.history("model").is_empty());
    dev.auto("off", "deny");
    agentctl(&home).args(["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2"]).run().code(11);
    agentctl(&home).args(["tools", "call", "buy_product", "--arg", "qty=many"]).run().code(2);
}

#[test]
fn no_token_for_what_needs_an_approval_however_it_is_asked_for() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    let token = |home: &Home, args: &[&str]| agentctl(home).arg("token").args(args.iter().copied()).run();
    // A server that says nothing about scopes has granted what was asked for.
    dev.fault(&json!({ "on": "refresh", "kind": "alter", "answer": { "scope": null }, "times": 9 }));
    let asks = |home: &Home, args: &[&str]| token(home, args).code(13).silent();
    asks(&home, &["--audience", "sample-shop-api"]);
    asks(&home, &["--audience", "x", "--scope", "product:buy"]);
    asks(&home, &["--audience", "x", "--scope", "openid product:buy"]);
    // Also where the tool itself is not offered.
    home.set("SHOP_API_URL", "");
    asks(&home, &["--audience", "sample-shop-api"]);
    asks(&home, &["--audience", "x", "--scope", "product:buy"]);
    assert!(dev.history("refresh").is_empty());
}
