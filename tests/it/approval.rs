//! What counts as a yes, and what never does, against a server that lies or fails.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Dev, Home, Output, Running, SOON, Terminal, agentctl, wait_until};

const BUY: [&str; 6] = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg"];

fn logged_in(dev: &Dev) -> Home {
    let home = dev.home();
    dev.auto("approve", "approve");
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    home
}

fn buy(home: &Home) -> Output {
    agentctl(home).args(BUY).arg("qty=2").run()
}

/// How often the tenant was asked to make a phone ring.
fn pushes(dev: &Dev) -> usize {
    dev.history("ciba")
        .iter()
        .filter(|request| request["path"].as_str().is_some_and(|path| path.contains("bc-")))
        .count()
}

#[test]
fn an_answer_that_was_altered_is_thrown_away() {
    let now = chrono_like_now();
    for (alteration, said) in [
        (json!({ "answer": { "authorization_details": [] } }), "other details"),
        (json!({ "answer": { "scope": "openid product:read" } }), "missing: product:buy"),
        (json!({ "answer": { "id_token": null } }), "ID token"),
        (json!({ "answer": { "id_token": "a.b.c" } }), "ID token"),
        (json!({ "claims": { "sub": "auth0|mallory" } }), "somebody else"),
        (json!({ "claims": { "iss": "https://other.example/" } }), "another issuer"),
        (json!({ "claims": { "aud": "another-client" } }), "this client"),
        (json!({ "claims": { "aud": ["agentctl-approval", "another-client"] } }), "this client"),
        (json!({ "claims": { "azp": "another-client" } }), "this client"),
        (json!({ "claims": { "exp": now - 3600 } }), "expired"),
        (json!({ "claims": { "iat": now - 7200, "exp": now + 3600 } }), "older than the request"),
        (json!({ "claims": { "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" } }), "another answer"),
    ] {
        let dev = Dev::start();
        let home = logged_in(&dev);
        let mut fault = alteration.clone();
        fault["on"] = json!("ciba_poll");
        fault["kind"] = json!("alter");
        dev.fault(&fault);
        let output = buy(&home).code(13).err(&[said]);
        assert!(dev.orders().is_empty(), "{alteration}\n{output}");
    }
}

/// Seconds since 1970, as the tenant's tokens count them.
fn chrono_like_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_yes_without_details_is_as_good_as_its_message() {
    let without = json!({ "on": "ciba_poll", "kind": "alter", "answer": { "authorization_details": null } });
    // Every argument stands in BUY-2-phones: the message is enough.
    let dev = Dev::start();
    let home = logged_in(&dev);
    dev.fault(&without);
    buy(&home).code(0);
    // A price limit does not: the yes may have been to any price.
    let dev = Dev::start();
    let home = logged_in(&dev);
    dev.fault(&without);
    let output = agentctl(&home).args(BUY).args(["qty=2", "--arg", "price_limit=900"]).run();
    output.code(13).err(&["bound to the call by code only"]);
    assert!(dev.orders().is_empty());
}

#[test]
fn who_denies_twice_is_left_alone() {
    let call = json!({ "tool_calls": [{ "name": "buy_product", "arguments": { "product": "phones", "qty": 2 } }] });
    let mut again = call.clone();
    again["repeat"] = json!(3);
    let dev = Dev::scripted(json!([again, { "text": "Never mind." }]));
    let home = logged_in(&dev);
    dev.auto("off", "deny");
    let output = agentctl(&home).args(["run", "go"]).run().code(11).out(&["Never mind."]);
    assert_eq!(pushes(&dev), 2, "{output}");
}

#[test]
fn five_pushes_a_minute_over_all_processes() {
    let dev = Dev::start();
    let home = logged_in(&dev);
    for _ in 0..4 {
        buy(&home).code(0);
    }
    // Of three at once, one gets the last push of this minute.
    let three: Vec<_> = (0..3).map(|_| agentctl(&home).args(BUY).arg("qty=1").start()).collect();
    let outputs: Vec<Output> = three.into_iter().map(Running::finish).collect();
    let refused: Vec<&Output> = outputs.iter().filter(|output| output.status.code() == Some(14)).collect();
    assert_eq!(refused.len(), 2, "{}", outputs.iter().map(ToString::to_string).collect::<String>());
    for output in refused {
        assert!(output.stderr.contains("5 approval requests were sent within a minute"), "{output}");
        let (_, wait) = output.stderr.split_once("the next may be sent in ").unwrap_or_else(|| panic!("{output}"));
        let seconds: u64 = wait.split(' ').next().unwrap().parse().unwrap();
        assert!((1..=61).contains(&seconds), "{output}");
    }
    assert_eq!((pushes(&dev), dev.orders().len()), (5, 5));
    // Each had a code of its own, also for the very same call.
    let messages =
        dev.history("ciba").into_iter().map(|push| push["form"]["binding_message"].as_str().unwrap().to_owned());
    assert_eq!(messages.collect::<std::collections::BTreeSet<_>>().len(), 5);
    dev.advance(61);
    buy(&home).code(0);
}

#[test]
fn one_at_a_time_reaches_the_person() {
    let dev = Dev::start();
    let home = logged_in(&dev);
    dev.auto("off", "off");
    let three: Vec<_> = (1..=3).map(|qty| agentctl(&home).args(BUY).arg(format!("qty={qty}")).start()).collect();
    for answered in 0..3 {
        let waiting = || dev.get("/pending")["approvals"].as_array().unwrap().len();
        let count = wait_until(Duration::from_secs(60), "a push", || Some(waiting()).filter(|count| *count > 0));
        assert_eq!((count, pushes(&dev)), (1, answered + 1));
        dev.post("/approvals/latest/approve", &json!({}));
    }
    for one in three {
        one.finish().code(0);
    }
    // Each push came after the answer to the one before had been fetched.
    let road: Vec<bool> = dev
        .history("ciba")
        .iter()
        .map(|push| (push["seq"].as_u64().unwrap(), true))
        .chain(dev.history("ciba_poll").iter().filter_map(|poll| {
            let fetched = poll["answer"]["status"] == 200;
            fetched.then(|| (poll["seq"].as_u64().unwrap(), false))
        }))
        .collect::<std::collections::BTreeMap<_, _>>()
        .into_values()
        .collect();
    assert_eq!(road, [true, false, true, false, true, false]);
    assert_eq!(dev.orders().len(), 3);
}

#[test]
fn what_nobody_waits_for_lies_beside_the_next_one() {
    let buy = |qty: u32| json!({ "name": "buy_product", "arguments": { "product": "phones", "qty": qty } });
    let six: Vec<_> = (1..=6).map(buy).collect();
    let dev = Dev::scripted(json!([{ "tool_calls": six }, { "text": "They wait." }, { "text": "Two of them." }]));
    let home = logged_in(&dev);
    dev.auto("off", "off");
    let output = agentctl(&home).args(["run", "--on-approval", "detach", "go"]).run();
    let output = output.err(&["5 approval requests were sent within a minute"]);
    let open = dev.get("/pending")["approvals"].as_array().unwrap().clone();
    let shown: std::collections::BTreeSet<&str> =
        open.iter().map(|request| request["binding_message"].as_str().unwrap()).collect();
    assert_eq!((open.len(), shown.len(), pushes(&dev)), (5, 5, 5), "{output}");
    // A yes is to one of them, in whichever order they are answered.
    dev.post("/approvals/latest/approve", &json!({}));
    for _ in 0..3 {
        dev.post("/approvals/latest/deny", &json!({}));
    }
    dev.post("/approvals/latest/approve", &json!({}));
    let output = agentctl(&home).args(["resume", "--last"]).run();
    let bought: std::collections::BTreeSet<u64> =
        dev.orders().iter().map(|order| order["qty"].as_u64().unwrap()).collect();
    assert_eq!(bought, [1, 5].into(), "{output}");
}

/// A model that takes `pending` for a reason to ask again makes nobody's device ring twice.
#[test]
fn what_is_pending_is_not_asked_a_second_time() {
    let buy = |arguments: &str| {
        let call = json!({ "name": "buy_product", "arguments": serde_json::from_str::<Value>(arguments).unwrap() });
        json!({ "tool_calls": [call.clone(), call] })
    };
    let again = buy(r#"{"qty": 2.0, "product": "phones"}"#);
    let dev = Dev::scripted(json!([
        buy(r#"{"product": "phones", "qty": 2}"#), again, buy(r#"{"product": "phones", "qty": 3}"#), { "text": "Wait." },
        { "tool_calls": [{ "name": "buy_product", "arguments": { "product": "phones", "qty": 2 } }] }, { "text": "Twice." },
    ]));
    let home = logged_in(&dev);
    dev.auto("off", "off");
    let output = agentctl(&home).args(["run", "--on-approval", "detach", "go"]).run().code(10);
    let output = output.err(&["✗ buy_product: this very call waits for the user's answer already"]);
    assert_eq!((output.stderr.matches("this very call").count(), pushes(&dev)), (4, 2), "{output}");
    let told: Vec<Value> = dev.history("model").pop().unwrap()["body"]["messages"].as_array().unwrap().clone();
    let results: Vec<&str> = told
        .iter()
        .filter(|message| message["role"] == "tool")
        .map(|message| ["pending", "cancelled"].into_iter().find(|word| message["content"].to_string().contains(word)))
        .map(Option::unwrap)
        .collect();
    assert_eq!(results, ["pending", "cancelled", "cancelled", "cancelled", "pending", "cancelled"], "{told:?}");
    let log = agentctl(&home).args(["audit", "list", "--json"]).run().code(0).stdout;
    assert_eq!(log.matches("this very call waits").count(), 4, "{log}");
    // In another run it is a call of its own.
    agentctl(&home).args(BUY).args(["qty=2", "--on-approval", "detach"]).run().code(10);
    assert_eq!(pushes(&dev), 3);
    // What is over may be asked for again.
    for _ in 0..3 {
        dev.post("/approvals/latest/approve", &json!({}));
    }
    dev.auto("off", "approve");
    let runs = agentctl(&home).args(["runs", "list", "--json"]).run().code(0).json();
    let run = runs["runs"].as_array().unwrap().iter().find(|run| run["kind"] == "conversation").unwrap();
    let output = agentctl(&home).args(["resume", run["id"].as_str().unwrap()]).run().code(0);
    let bought: Vec<u64> = dev.orders().iter().map(|order| order["qty"].as_u64().unwrap()).collect();
    assert_eq!((bought, pushes(&dev)), (vec![2, 3, 2], 4), "{output}");
    agentctl(&home).args(["audit", "verify"]).run().code(0);
}

/// A request whose answer could not be used any more keeps nobody from asking anew.
#[test]
fn what_can_bring_nothing_any_more_is_asked_again() {
    // Its time is over, and nobody has asked the server since.
    let buy = json!({ "tool_calls": [{ "name": "buy_product", "arguments": { "product": "phones", "qty": 2 } }] });
    let mut later = buy.clone();
    later["text"] = json!(vec!["word "; 60]);
    later["delay_ms"] = json!(100);
    let dev = Dev::scripted(json!([buy, later, { "text": "Asked again." }]));
    let home = logged_in(&dev);
    dev.auto("off", "off");
    let running = agentctl(&home).args(["run", "--json", "--on-approval", "detach", "go"]).start();
    for _ in 0..4 {
        // Never so much at once that the model would be taken for silent.
        let words = running.stdout().matches("text.delta").count();
        let more = || (running.stdout().matches("text.delta").count() > words + 1).then_some(());
        wait_until(Duration::from_secs(60), "the model's words", more);
        dev.advance(90);
    }
    let output = running.finish().code(10);
    assert!(!output.stdout.contains("this very call"), "{output}");
    assert_eq!(pushes(&dev), 2, "{output}");

    // Its login has ended; the person goes on in the same conversation under the next one.
    let dev = Dev::scripted(json!([buy, buy, { "text": "Ordered at last." }]));
    let home = dev.logged_in();
    let mut terminal = Terminal::sized(agentctl(&home).arg("chat"), 100, 60);
    terminal.buy_and_go_on();
    agentctl(&home).arg("logout").run().code(0);
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    terminal.say("buy them again");
    wait_until(Duration::from_secs(60), "the second push", || (pushes(&dev) == 2).then_some(()));
    dev.post("/approvals/latest/approve", &json!({}));
    let screen = terminal.wait_for("Ordered at last.");
    assert!(!screen.contains("this very call"), "{screen}");
    assert_eq!(dev.orders().len(), 1, "{screen}");
    terminal.leave();
    agentctl(&home).args(["audit", "verify"]).run().code(0);
}

/// Whoever comes second is told why nothing happens, and about what they wait.
#[test]
fn who_waits_for_another_request_is_told_so() {
    let dev = Dev::start();
    let home = logged_in(&dev);
    dev.auto("off", "off");
    let first = agentctl(&home).args(BUY).arg("qty=1").start();
    first.wait_for_stderr("Check that it shows:");
    let kept = agentctl(&home).args(["approvals", "list", "--json"]).run().code(0).json();
    let id = kept["approvals"][0]["id"].as_str().unwrap();
    let said = format!("Waiting for the answer to another request ({id})...");
    let second = agentctl(&home).args(BUY).arg("qty=2").start();
    second.wait_for_stderr(&said);
    let mut terminal = Terminal::sized(agentctl(&home).args(["run", "buy 3 phones"]), 100, 40);
    let screen = terminal.wait_for(&said);
    assert!(!screen.contains("Calling"), "{screen}");
    terminal.control('c');
    assert_eq!(terminal.finish().0, 130);
    let events = agentctl(&home).args(["run", "--json", "--timeout", SOON, "buy 4 phones"]).run().lines();
    let queued: Vec<&Value> = events.iter().filter(|event| event["type"] == "approval.queued").collect();
    assert!(queued.len() == 1 && queued[0]["behind"] == id && queued[0]["at_most_s"] == 600, "{events:?}");
    assert_eq!(pushes(&dev), 1);
    for (running, pushed) in [(first, 1), (second, 2)] {
        wait_until(Duration::from_secs(60), "a push", || (pushes(&dev) == pushed).then_some(()));
        dev.post("/approvals/latest/approve", &json!({}));
        let output = running.finish().code(0);
        assert_eq!(output.stderr.matches(&said).count(), pushed - 1, "{output}");
    }
}

#[test]
fn a_wait_is_told_where_there_is_one_and_a_request_as_sent_where_it_is() {
    let dev = Dev::start();
    let home = logged_in(&dev);
    dev.auto("off", "off");
    for task in [["run", "buy 2 phones"].as_slice(), &[&BUY[..], &["qty=2"]].concat()] {
        let output = agentctl(&home).args(task.iter().copied()).args(["--on-approval", "detach"]).run().code(10);
        let output = output.err(&["A request was sent to your device", "Nobody waits here; the request is open on"]);
        assert!(!output.stderr.contains("Waiting for your approval"), "{output}");
        let output = agentctl(&home).args(["resume", "--last", "--timeout", SOON]).run().code(10);
        let output = output.err(&["The request is still open on your device", "Waiting for your approval"]);
        assert!(!output.stderr.contains("was sent to your device"), "{output}");
    }
    let run = agentctl(&home).args(["run", "--json", "--on-approval", "detach", "buy 2 phones"]).run().code(10);
    let resumed = agentctl(&home).args(["resume", "--last", "--json", "--timeout", SOON]).run().code(10);
    let again = |output: &Output| {
        let requested = output.lines().into_iter().find(|event| event["type"] == "approval.requested").unwrap();
        requested["again"] == true
    };
    assert!(!again(&run) && again(&resumed), "{run}\n{resumed}");
}

#[test]
fn what_a_product_is_called_cannot_deceive() {
    let name = "product=phones\u{1b}[2K\r\u{202e}Approved \u{200b}\tx";
    let call = ["tools", "call", "buy_product", "--arg", name, "--arg", "qty=2"];
    // Guardian is somebody else's program, and nobody knows what it makes of such a name: it is not asked at all.
    for (preset, code) in [("auth0", 13), ("keycloak", 11)] {
        let dev = Dev::with(&["--interval", "1", "--preset", preset]);
        let home = logged_in(&dev);
        dev.auto("off", "deny");
        let output = agentctl(&home).args(call).run().code(code);
        for hidden in ['\u{1b}', '\r', '\u{202e}', '\u{200b}'] {
            assert!(!output.stderr.contains(hidden) && !output.stdout.contains(hidden), "{hidden:?}\n{output}");
        }
        assert!(output.stderr.contains("<U+202E>"), "{output}");
        for push in dev.history("ciba") {
            let message = push["form"]["binding_message"].as_str().unwrap();
            assert!(message.chars().all(|c| c.is_ascii_alphanumeric() || "-._+/!?#".contains(c)), "{message}");
        }
        assert_eq!(dev.history("ciba").len(), usize::from(code == 11));
    }
}

#[test]
fn the_network_may_be_gone_for_twenty_seconds() {
    let dev = Dev::start();
    let home = logged_in(&dev);
    dev.auto("off", "off");
    let running = agentctl(&home).args(BUY).arg("qty=2").start();
    running.wait_for_stderr("Check that it shows:");
    dev.fault(&json!({ "on": "ciba_poll", "kind": "drop", "times": 3 }));
    running.wait_for_stderr("cannot be reached");
    dev.post("/approvals/latest/approve", &json!({}));
    dev.advance(20);
    running.finish().code(0);
    assert_eq!(dev.orders().len(), 1);
}

#[test]
fn an_answer_that_never_came_is_not_called_nobodys() {
    let dev = Dev::start();
    let home = logged_in(&dev);
    dev.fault(&json!({ "on": "ciba_poll", "kind": "drop", "when": "after", "times": 99 }));
    let running = agentctl(&home).args(BUY).arg("qty=2").start();
    running.wait_for_stderr("cannot be reached");
    dev.advance(600);
    running.finish().code(21).err(&["lost on the way"]);
    assert!(dev.orders().is_empty());
}

/// The request that spent the yes got no answer; that the grant is gone when it is asked for again proves it.
#[test]
fn a_yes_that_was_spent_without_an_answer_is_called_lost() {
    for fault in [
        json!({ "kind": "drop" }),
        json!({ "kind": "half" }),
        // The tokens were in an answer that a proxy put its own in the place of.
        json!({ "kind": "html", "status": 502 }),
        json!({ "kind": "html", "status": 200 }),
        json!({ "kind": "status", "status": 504 }),
        json!({ "kind": "status", "status": 429 }),
    ] {
        let dev = Dev::start();
        let home = logged_in(&dev);
        dev.auto("approve", "approve");
        let mut ordered = fault.clone();
        ordered["on"] = json!("ciba_poll");
        ordered["when"] = json!("after");
        dev.fault(&ordered);
        let output = buy(&home).code(21).err(&["lost on the way"]);
        let kept = agentctl(&home).args(["approvals", "list", "--all", "--json"]).run().code(0).json();
        assert_eq!(kept["approvals"][0]["state"], "credential_lost", "{fault}: {kept}");
        assert!(dev.orders().is_empty() && pushes(&dev) == 1, "{fault}\n{output}");
    }
}

/// Login and purchase are two processes, and each fetches the keys.
#[test]
fn keys_that_cannot_be_had_for_a_moment_throw_no_yes_away() {
    let dev = Dev::start();
    let home = logged_in(&dev);
    dev.auto("approve", "approve");
    dev.fault(&json!({ "on": "jwks", "kind": "status", "status": 503, "times": 2 }));
    buy(&home).code(0);
    // Without them nobody is asked: the answer could not be read.
    dev.fault(&json!({ "on": "jwks", "kind": "status", "status": 503, "times": 9 }));
    buy(&home).code(21).err(&["keys cannot be fetched"]);
    assert!(dev.orders().len() == 1 && pushes(&dev) == 1);
    // A yes that is found later is not called forbidden because of them.
    dev.delete("/faults", &json!({}));
    agentctl(&home).args(["run", "--on-approval", "detach", "buy 2 phones"]).run().code(10);
    dev.fault(&json!({ "on": "jwks", "kind": "status", "status": 503, "times": 9 }));
    agentctl(&home).args(["resume", "--last"]).run().code(21).err(&["keys cannot be fetched"]);
    assert_eq!(dev.orders().len(), 1);
}

#[test]
fn polls_are_never_early() {
    let dev = Dev::with(&["--interval", "2"]);
    let home = logged_in(&dev);
    dev.auto("off", "off");
    let running = agentctl(&home).args(BUY).arg("qty=2").start();
    running.wait_for_stderr("Check that it shows:");
    dev.fault(&json!({ "on": "ciba_poll", "kind": "slow_down" }));
    let slow = || dev.history("ciba_poll").iter().filter(|poll| poll["answer"]["body"]["error"] == "slow_down").count();
    wait_until(Duration::from_secs(60), "the poll that is too many", || (slow() == 1).then_some(()));
    dev.advance(8);
    dev.post("/approvals/latest/approve", &json!({}));
    running.finish().code(0);
    assert_eq!(slow(), 1, "only the one that was ordered");
}

#[test]
fn nothing_is_done_that_cannot_be_written_down() {
    for file in ["journal.db", "audit.jsonl"] {
        let dev = Dev::start();
        let home = logged_in(&dev);
        let state = agentctl(&home).args(["config", "path", "--json"]).run().code(0).json()["state"].clone();
        // A folder in the file's place: unlike missing rights, it stops root too.
        let path = std::path::Path::new(state.as_str().unwrap()).join(file);
        let _ = std::fs::remove_file(&path);
        std::fs::create_dir_all(path.join("x")).unwrap();
        let output = buy(&home).code(1);
        assert!(dev.orders().is_empty() && pushes(&dev) == 0, "{file}\n{output}");
    }
}

/// A tool of one's own that asks, with a token from elsewhere than the approval.
fn own_tool(home: &Home, effect: &str, credential: &str) {
    own_tool_that_waits(home, effect, credential, 300);
}

/// One that gives the person so many seconds.
fn own_tool_that_waits(home: &Home, effect: &str, credential: &str, seconds: u64) {
    let paths = agentctl(home).args(["config", "path", "--json"]).run().code(0).json();
    let folder = std::path::Path::new(paths["toolsets"].as_str().unwrap());
    std::fs::create_dir_all(folder).unwrap();
    let manifest = format!(
        "[toolset]\nname = \"own\"\ndescription = \"x\"\n[[tool]]\nname = \"borrow\"\ndescription = \"x\"\n\
         effect = \"{effect}\"\n[tool.parameters]\ntype = \"object\"\n[tool.parameters.properties]\n\
         days = {{ type = \"integer\" }}\n[tool.approval]\nbinding_message = \"BORROW\"\nexpires_in = {seconds}\n[tool.credential]\n{credential}\n\
         [tool.request]\nmethod = \"POST\"\nurl = \"{{{{ env.SHOP_API_URL }}}}\"\n"
    );
    std::fs::write(folder.join("own.toml"), manifest).unwrap();
}

#[test]
fn nobodys_phone_rings_for_what_cannot_be_done() {
    let dev = Dev::start();
    let mut home = logged_in(&dev);
    own_tool(&home, "irreversible", "source = \"connection\"\nconnection = \"library\"");
    agentctl(&home).args(["tools", "call", "borrow"]).run().code(5).err(&["connections connect library"]);
    home.unset("AGENTCTL_VAULT_CLIENT_ID");
    home.unset("AGENTCTL_VAULT_CLIENT_SECRET");
    let output = agentctl(&home).args(["tools", "call", "borrow"]).run().code(21);
    output.err(&["no vault client is configured"]);
    assert_eq!(pushes(&dev), 0);
}

#[test]
fn a_yes_that_comes_to_nothing_is_not_kept() {
    let dev = Dev::start();
    let home = logged_in(&dev);
    own_tool(&home, "irreversible", "source = \"user\"\nscopes = [\"book:borrow\"]");
    agentctl(&home).args(["tools", "call", "borrow"]).run().code(21).err(&["Approved", "no token for the call"]);
    let paths = agentctl(&home).args(["config", "path", "--json"]).run().code(0).json();
    let journal = std::path::Path::new(paths["state"].as_str().unwrap()).join("journal.db");
    let journal = rusqlite::Connection::open(journal).unwrap();
    let row = journal.query_row("SELECT state, sealed_token IS NULL FROM approvals", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))
    });
    assert_eq!(row.unwrap(), ("abandoned".to_owned(), true));
}

#[test]
fn the_code_alone_is_enough_for_what_can_be_undone() {
    for (effect, code, asked) in [("reversible", 21, 1), ("irreversible", 13, 0)] {
        let dev = Dev::start();
        let home = logged_in(&dev);
        own_tool(&home, effect, "source = \"none\"");
        // The message does not name the days, and this server knows no details of such a tool. The shop wants a token.
        let output = agentctl(&home).args(["tools", "call", "borrow", "--arg", "days=3"]).run().code(code);
        assert_eq!(pushes(&dev), asked, "{output}");
    }
}

/// At Auth0 a longer time to answer silently makes an e-mail of the push, which says less and is answered in a browser.
#[test]
fn what_would_become_an_email_is_not_asked() {
    let dev = Dev::with(&["--interval", "1", "--preset", "auth0"]);
    let home = logged_in(&dev);
    let borrow = ["tools", "call", "borrow"];
    own_tool_that_waits(&home, "reversible", "source = \"none\"", 301);
    agentctl(&home).args(borrow).run().code(21).err(&["gives the user 301 s to answer, and this server at most 300 s"]);
    assert!(dev.history("ciba").is_empty());
    own_tool_that_waits(&home, "reversible", "source = \"none\"", 300);
    // The shop wants a token, which is another story.
    agentctl(&home).args(borrow).run().code(21).err(&["Approved"]);
    assert_eq!(pushes(&dev), 1);
}

/// This server says that it gives 120 s, whatever it was asked for.
#[test]
fn the_shorter_time_to_answer_counts() {
    let dev = Dev::with(&["--interval", "1", "--preset", "keycloak"]);
    let home = logged_in(&dev);
    dev.auto("off", "off");
    for (seconds, shortest) in [(30, 30), (300, 120)] {
        own_tool_that_waits(&home, "reversible", "source = \"none\"", seconds);
        agentctl(&home).args(["tools", "call", "borrow", "--on-approval", "detach"]).run().code(10);
        let list = agentctl(&home).args(["approvals", "list", "--json"]).run().code(0).json();
        let left = list["approvals"][0]["left_s"].as_u64().unwrap();
        assert!(left <= shortest && left + 20 > shortest, "{seconds}: {left} s are left");
        // Nobody waits any longer either.
        let waiting = agentctl(&home).args(["resume", "--last"]).start();
        waiting.wait_for_stderr("Check that it shows:");
        dev.advance_programs(shortest + 1);
        waiting.finish().code(12);
    }
}

/// What a person's processes share has its locks in one place, wherever each keeps the rest.
#[test]
fn one_at_a_time_reaches_the_person_from_all_their_homes() {
    let dev = Dev::start();
    let home = logged_in(&dev);
    dev.auto("approve", "off");
    let other = home.path().join("elsewhere");
    let other = || agentctl(&home).env("AGENTCTL_HOME", other.to_str().unwrap());
    other().args(["login", "--no-browser"]).run().code(0);
    let first = agentctl(&home).args(BUY).arg("qty=1").start();
    first.wait_for_stderr("Check that it shows:");
    let second = other().args(BUY).arg("qty=2").start();
    second.wait_for_stderr("buy_product");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(pushes(&dev), 1);
    for (running, pushed) in [(first, 1), (second, 2)] {
        wait_until(Duration::from_secs(60), "a push", || (pushes(&dev) == pushed).then_some(()));
        dev.post("/approvals/latest/approve", &json!({}));
        running.finish().code(0);
    }
}
