//! Somebody between the person's machine and an honest server, who can repeat and replace its answers: no yes comes of it,
//! no denial that the person never gave, and no push beyond the limit.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Dev, Fake, Home, Reply, agentctl, wait_until};

const GIVEN: &str = "answer was given before, to another approval";

fn call<'a>(product: &'a str, qty: &'a str) -> [&'a str; 7] {
    ["tools", "call", "buy_product", "--arg", product, "--arg", qty]
}

/// A tenant that knows no details, so that a yes is tied to its call by the message alone, somebody logged in, and a shop
/// that takes one order of pens and is asked for nothing else.
fn without_details() -> (Dev, Home, Fake) {
    let dev = Dev::with(&["--interval", "1", "--preset", "keycloak"]);
    let none = json!({ "authorization_details_types_supported": null });
    dev.fault(&json!({ "on": "discovery", "kind": "alter", "answer": none, "times": 99 }));
    let mut home = dev.logged_in();
    let shop = Fake::start();
    shop.once("POST", "/orders", Reply::json(201, &json!({ "order_id": "ord_1" })));
    home.set("SHOP_API_URL", &format!("{}/orders", shop.url()));
    (dev, home, shop)
}

fn pending(dev: &Dev) -> Vec<Value> {
    dev.get("/pending")["approvals"].as_array().unwrap().clone()
}

/// The states of the approvals, the oldest first.
fn states(home: &Home) -> Vec<String> {
    let kept = agentctl(home).args(["approvals", "list", "--all", "--json"]).run().code(0).json();
    let kept = kept["approvals"].as_array().unwrap().clone();
    kept.iter().map(|approval| approval["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_yes_that_comes_again_is_no_yes() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("off", "approve");
    agentctl(&home).args(call("product=phones", "qty=1")).run().code(0);
    dev.auto("off", "off");
    // The very same call, so that details and message fit as well.
    dev.fault(&json!({ "on": "ciba_poll", "kind": "replay" }));
    let output = agentctl(&home).args(call("product=phones", "qty=1")).run().code(13).err(&[GIVEN]);
    assert!(!output.stderr.contains("Approved"), "{output}");
    assert_eq!((states(&home), pending(&dev).len()), (vec!["done".into(), "failed".into()], 1), "nobody was asked");
    // However the answer is fetched.
    for fetch in [["approvals", "wait", "--all"].as_slice(), &["resume", "--last"]] {
        agentctl(&home).args(call("product=phones", "qty=1")).args(["--on-approval", "detach"]).run().code(10);
        dev.fault(&json!({ "on": "ciba_poll", "kind": "replay" }));
        agentctl(&home).args(fetch.iter().copied()).run().err(&[GIVEN]);
        assert_eq!(states(&home).last().unwrap(), "failed", "{fetch:?}");
    }
    assert_eq!(dev.orders().len(), 1);
    agentctl(&home).args(["audit", "verify"]).run().code(0);
    // The next yes is one.
    dev.advance(61);
    dev.auto("off", "approve");
    agentctl(&home).args(call("product=phones", "qty=1")).run().code(0);
    assert_eq!(dev.orders().len(), 2);
}

#[test]
fn a_yes_to_another_call_is_no_yes_where_only_the_message_names_it() {
    let (dev, home, shop) = without_details();
    dev.auto("off", "approve");
    agentctl(&home).args(call("product=pens", "qty=1")).run().code(0);
    dev.auto("off", "off");
    dev.fault(&json!({ "on": "ciba_poll", "kind": "replay" }));
    agentctl(&home).args(call("product=yachts", "qty=100")).run().code(13).err(&[GIVEN]);
    let orders: Vec<String> = shop.seen().into_iter().map(|order| order.body).collect();
    assert!(orders.len() == 1 && orders[0].contains("pens"), "{orders:?}");
}

#[test]
fn a_request_is_not_taken_for_another_one() {
    let (dev, home, shop) = without_details();
    agentctl(&home).args(call("product=pens", "qty=1")).args(["--on-approval", "detach"]).run().code(10);
    dev.fault(&json!({ "on": "ciba", "kind": "replay" }));
    let asking = agentctl(&home).args(call("product=yachts", "qty=100")).args(["--timeout", "20"]);
    let output = asking.run().code(13).err(&[GIVEN]);
    assert!(!output.stderr.contains("Check that it shows"), "{output}");
    assert_eq!((states(&home), pending(&dev).len()), (vec!["requested".into(), "failed".into()], 1));
    // The yes is to what the phone shows.
    dev.post("/approvals/latest/approve", &json!({}));
    agentctl(&home).args(["resume", "--last"]).run().code(0);
    let orders: Vec<String> = shop.seen().into_iter().map(|order| order.body).collect();
    assert!(orders.len() == 1 && orders[0].contains("pens"), "{orders:?}");
}

#[test]
fn a_refusal_of_the_server_is_not_called_the_persons() {
    let call = |qty: u32| json!({ "name": "buy_product", "arguments": { "product": "phones", "qty": qty } });
    let calls: Vec<Value> = (1..=3).map(|qty| json!({ "tool_calls": [call(qty)] })).collect();
    let turns: Vec<Value> = calls.into_iter().chain([json!({ "text": "It cannot be." })]).collect();
    let dev = Dev::scripted(json!(turns));
    let home = dev.logged_in();
    let why = json!({ "error": "access_denied", "error_description": "Client may not use CIBA" });
    dev.fault(&json!({ "on": "ciba", "kind": "status", "status": 403, "answer": why, "times": 2 }));
    dev.auto("off", "approve");
    let output = agentctl(&home).args(["run", "go"]).run();
    let output = output.err(&["refused to ask the user", "Client may not use CIBA"]);
    for untrue in ["denied it", "locked", "said no"] {
        assert!(!output.stderr.contains(untrue) && !output.stdout.contains(untrue), "{untrue}\n{output}");
    }
    // It is no denial, so the third call is asked about.
    assert_eq!((states(&home), dev.orders().len()), (vec!["failed".into(), "failed".into(), "done".into()], 1));
    let log = agentctl(&home).args(["audit", "list", "--json"]).run().code(0).stdout;
    assert!(!log.contains("denied it") && log.contains("Client may not use CIBA"), "{log}");
}

/// What a server says that does not take the message, and how many requests come of five calls in one minute.
#[test]
fn the_second_wording_is_a_push_like_any_other() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let refused = json!({ "error": "invalid_binding_message" });
    for left in [3, 1, 0] {
        let order = json!({ "on": "ciba", "kind": "status", "status": 400, "when": "after", "answer": refused });
        dev.fault(&order);
        let output = agentctl(&home).args(call("product=phones", "qty=1")).args(["--on-approval", "detach"]).run();
        assert_eq!(pending(&dev).len(), 5 - left, "{output}");
        match left {
            0 => drop(output.code(14).err(&["5 approval requests were sent within a minute"])),
            _ => drop(output.code(10)),
        }
    }
    assert_eq!(states(&home), ["requested", "requested", "failed"]);
}

#[test]
fn a_stop_is_seen_before_the_second_wording() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let refused = json!({ "error": "invalid_binding_message" });
    dev.fault(&json!({ "on": "ciba", "kind": "status", "status": 400, "answer": refused, "delay_ms": 4000 }));
    let asking = agentctl(&home).args(call("product=phones", "qty=1")).start();
    wait_until(Duration::from_secs(60), "a request", || (!dev.history("ciba").is_empty()).then_some(()));
    agentctl(&home).arg("panic").run().code(0);
    asking.finish().code(13).err(&["stopped with `agentctl panic`"]);
    assert_eq!((dev.history("ciba").len(), pending(&dev).len()), (1, 0));
}
