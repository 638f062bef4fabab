//! Servers that give the same id to calls of different answers, and conversations that were saved with such ids: each call
//! is made once, ends once, and its result stands in its own place or in none.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::{approve, bad::journal, detached, pending, pushes};
use crate::support::{Dev, Fake, Home, Output, Reply, agentctl, wait_until};

/// An answer that calls one tool.
fn calls(id: &str, name: &str, arguments: &Value) -> Value {
    json!({ "tool_calls": [{ "id": id, "name": name, "arguments": arguments }] })
}

fn buys(id: &str, product: &str) -> Value {
    calls(id, "buy_product", &json!({ "product": product, "qty": 1 }))
}

fn says(text: &str) -> Value {
    json!({ "text": text })
}

/// A tool that asks nobody, and whose server does each thing once.
fn add_notes(home: &Home, notes: &Fake) {
    let url = notes.url();
    let manifest = format!(
        "[toolset]\nname = \"notes\"\ndescription = \"x\"\n[[tool]]\nname = \"post_note\"\ndescription = \"x\"\n\
         effect = \"reversible\"\napproval = \"none\"\napproval_reason = \"a note can be deleted\"\n[tool.parameters]\n\
         type = \"object\"\n[tool.credential]\nsource = \"none\"\n[tool.request]\nmethod = \"POST\"\n\
         url = \"{url}/notes\"\nidempotency = \"header\"\n"
    );
    let folder = format!("{}/toolsets", home.env()["AGENTCTL_HOME"]);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(format!("{folder}/notes.toml"), manifest).unwrap();
}

/// The messages of the only run.
fn messages(home: &Home) -> Vec<Value> {
    let runs = agentctl(home).args(["runs", "list", "--json"]).run().code(0).json();
    let run = agentctl(home).args(["runs", "show", runs["runs"][0]["id"].as_str().unwrap(), "--json"]).run();
    run.code(0).json()["run"]["messages"].as_array().unwrap().clone()
}

/// Every call of the only run with what it brought. No two have one id.
fn results(home: &Home) -> Vec<(String, String, String)> {
    let messages = messages(home);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |call: &Value| {
        let mut found = messages.iter().filter(|message| message["tool_call_id"] == call["id"]);
        let content = text(&found.next().expect("a result")["content"]);
        assert!(found.next().is_none(), "{messages:?}");
        let output: Value = serde_json::from_str(&content).unwrap();
        (
            text(&call["function"]["name"]),
            text(&output["outcome"]),
            format!("{} {content}", call["function"]["arguments"]),
        )
    };
    messages.iter().filter_map(|message| message["tool_calls"].as_array()).flatten().map(of).collect()
}

/// What gives every call of what is saved one id, as an agentctl did that kept what servers gave.
fn as_saved_before(home: &Home) -> String {
    let messages = messages(home);
    let ids = messages.iter().filter_map(|message| message["tool_calls"].as_array()).flatten().map(|call| &call["id"]);
    let one = |id: &Value| format!("UPDATE messages SET body = replace(body, '{id}', '\"call_0\"');");
    ids.map(one).collect::<String>() + "UPDATE calls SET call = 'call_0';"
}

/// What the model is told of results that stand nowhere.
fn told_of(home: &Home, output: &Output) -> String {
    let told = messages(home).into_iter().rfind(|message| message["role"] == "user").unwrap();
    assert!(told["content"].as_str().unwrap().contains("stands nowhere above"), "{output}");
    told["content"].as_str().unwrap().to_owned()
}

#[test]
fn an_effect_that_was_cut_is_not_taken_for_an_older_call_of_its_id() {
    for (between, old) in [(true, false), (false, false), (true, true), (false, true)] {
        let notes = Fake::start();
        notes.once("POST", "/notes", Reply::json(200, &json!({})).after(Duration::from_secs(60)));
        notes.once("POST", "/notes", Reply::json(200, &json!({ "id": 1 })));
        let mut turns = vec![buys("call_0", "phones"), calls("call_0", "post_note", &json!({})), says("Done.")];
        if between {
            turns.insert(1, calls("call_0", "nope", &json!({})));
        }
        let dev = Dev::scripted(json!(turns));
        let home = dev.logged_in();
        add_notes(&home, &notes);
        let run = agentctl(&home).args(["run", "--on-approval", "detach", "go"]).start();
        wait_until(Duration::from_secs(60), "the note", || (!notes.seen().is_empty()).then_some(()));
        run.signal("KILL");
        run.finish();
        let change = if old { as_saved_before(&home) } else { String::new() };
        approve(&dev);
        let output = agentctl(&home).args(["resume", "--last"]).env("AGENTCTL_TEST_JOURNAL", &change).run();
        // The second promise was called in, and a third request would be one that nobody expected.
        let keys: BTreeSet<String> =
            notes.seen().iter().map(|seen| seen.headers["idempotency-key"].to_str().unwrap().to_owned()).collect();
        assert_eq!((keys.len(), dev.orders().len(), pushes(&dev)), (1, 1, 1), "{output}");
        agentctl(&home).args(["audit", "verify"]).run().code(0);
        if old {
            // The note that was repeated may have been this call, or not: it is not made again, and the person looks.
            output.code(21).err(&["an earlier call has the same id"]);
            continue;
        }
        let output = output.code(if between { 21 } else { 0 });
        let results = results(&home);
        let ended: Vec<(&str, &str)> = results.iter().map(|(name, ended, _)| (&**name, &**ended)).collect();
        let mut wanted = vec![("buy_product", "done"), ("post_note", "done")];
        if between {
            wanted.insert(1, ("nope", "invalid"));
        }
        assert_eq!(ended, wanted, "{output}");
    }
}

#[test]
fn a_purchase_that_was_done_is_not_asked_about_anew() {
    let dev = Dev::scripted(json!([
        buys("call_0", "phones"),
        calls("call_0", "nope", &json!({})),
        says("It waits."),
        buys("call_0", "laptops"),
        says("Both."),
    ]));
    let home = dev.logged_in();
    agentctl(&home).args(["run", "--on-approval", "detach", "go"]).run().err(&["agentctl resume run_"]);
    let run = pending(&home)[0]["run"].as_str().unwrap().to_owned();
    let chat = agentctl(&home).args(["chat", "--resume", &run]).stdin("and a laptop\n");
    let chat = chat.env("AGENTCTL_TEST_DIE_AT", "before:execution_ended").start();
    chat.wait_for_stderr("Check that it shows:");
    approve(&dev);
    chat.finish();
    assert_eq!(dev.orders().len(), 1);
    approve(&dev);
    let output = agentctl(&home).args(["resume", &run]).run().code(0);
    assert_eq!((dev.orders().len(), pushes(&dev)), (2, 2), "{output}");
    for (at, product, name) in [(0, "phones", "Finch Mini"), (2, "laptops", "Otter Go 11")] {
        let (_, ended, call) = &results(&home)[at];
        assert!(ended == "done" && call.contains(product) && call.contains(name), "{call}\n{output}");
    }
    agentctl(&home).args(["audit", "verify"]).run().code(0);
}

#[test]
fn a_call_that_is_not_understood_ends_no_other_call() {
    let huge = "x".repeat(100_000);
    for id in ["call_0", "", "\u{0}\u{1b}[2J\n\u{202e}", &huge] {
        let dev =
            Dev::scripted(json!([buys(id, "phones"), calls(id, "nope", &json!({})), says("It waits."), says("Done.")]));
        let home = dev.logged_in();
        let run = agentctl(&home).args(["run", "--on-approval", "detach", "go"]).run();
        run.err(&["there is no tool `nope`", "agentctl resume run_"]);
        approve(&dev);
        agentctl(&home).args(["approvals", "wait", "--all"]).run().code(0);
        // As it would have been without the wait: one call of the two was none.
        let output = agentctl(&home).args(["resume", "--last"]).run().code(21);
        assert_eq!((dev.orders().len(), pushes(&dev)), (1, 1), "{output}");
        let ended: Vec<String> = results(&home).into_iter().map(|(_, ended, _)| ended).collect();
        assert_eq!(ended, ["done", "invalid"], "{output}");
    }
}

#[test]
fn what_two_purchases_brought_is_not_mixed_up() {
    for old in [false, true] {
        let turns =
            json!([buys("call_0", "phones"), buys("call_0", "laptops"), says("They wait."), says("One of two.")]);
        let dev = Dev::scripted(turns);
        let home = dev.logged_in();
        detached(&home, "go");
        let change = if old { as_saved_before(&home) } else { String::new() };
        approve(&dev);
        dev.post("/approvals/latest/deny", &json!({}));
        let resume = agentctl(&home).args(["resume", "--last"]).env("AGENTCTL_TEST_JOURNAL", &change);
        let output = resume.run().code(0);
        assert_eq!(dev.orders().len(), 1, "{output}");
        assert_eq!(dev.orders()[0]["product"], "Otter Go 11", "{output}");
        if old {
            let told = told_of(&home, &output);
            assert!(told.contains("`buy_product` that was pending has ended as `denied`"), "{told}");
            assert!(told.contains("`buy_product` that was pending has ended as `done`"), "{told}");
            continue;
        }
        let results = results(&home);
        let (first, second) = (&results[0], &results[1]);
        assert!(first.1 == "denied" && first.2.contains("phones"), "{results:?}");
        assert!(second.1 == "done" && second.2.contains("laptops") && second.2.contains("Otter"), "{results:?}");
    }
}

#[test]
fn a_result_that_comes_late_does_not_part_a_call_from_its_own() {
    let turns = json!([buys("a", "phones"), buys("b", "laptops"), says("They wait."), says("Both.")]);
    let dev = Dev::scripted(turns);
    let home = dev.logged_in();
    detached(&home, "go");
    // As if the program had been killed when the second call had been asked for, and nothing of it was begun.
    let journal = journal(&home);
    journal
        .execute_batch(
            "DELETE FROM messages WHERE seq >= 5;
             DELETE FROM approvals WHERE action = (SELECT action FROM calls WHERE call = 'b');
             DELETE FROM calls WHERE call = 'b';",
        )
        .unwrap();
    dev.post("/approvals/latest/deny", &json!({}));
    approve(&dev);
    dev.auto("approve", "approve");
    // This tenant's model refuses a conversation in which something stands between a call and its result.
    let output = agentctl(&home).args(["resume", "--last"]).run().code(0).out(&["Both."]);
    assert_eq!(dev.orders().len(), 2, "{output}");
}
