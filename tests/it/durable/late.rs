//! A kill in `resume`, right where the result of a call that was pending is put into the conversation: the model is told of
//! it all the same, and its word from before is not repeated.

use serde_json::{Value, json};

use super::{approve, detached, pending};
use crate::support::{Dev, Home, agentctl};

const OLD: &str = "Nothing was bought so far.";
const NEW: &str = "It was bought.";

#[test]
fn a_resume_that_is_killed_leaves_no_old_word_of_the_model_standing() {
    for (went_on, step) in [(false, "before"), (false, "after"), (true, "before"), (true, "after")] {
        let buy = json!([{ "name": "buy_product", "arguments": { "product": "phones", "qty": 1 } }]);
        let mut turns = vec![json!({ "tool_calls": buy }), json!({ "text": OLD }), json!({ "text": NEW })];
        if went_on {
            turns.insert(2, json!({ "text": OLD }));
        }
        let dev = Dev::scripted(json!(turns));
        let home = dev.logged_in();
        detached(&home, "go");
        let run = pending(&home)[0]["run"].as_str().unwrap().to_owned();
        if went_on {
            agentctl(&home).args(["chat", "--resume", &run]).stdin("and now?\n").run().out(&[OLD]);
        }
        approve(&dev);
        let step = format!("{step}:call_closed");
        let killed = agentctl(&home).args(["resume", &run]).env("AGENTCTL_TEST_DIE_AT", &step).run();
        assert_eq!((killed.status.code(), dev.orders().len()), (None, 1), "{step}, {went_on}\n{killed}");
        let output = agentctl(&home).args(["resume", &run]).run().code(0).out(&[NEW]);
        assert!(!output.stdout.contains(OLD) && dev.orders().len() == 1, "{step}, {went_on}\n{output}");
        let asked = dev.history("model").pop().unwrap()["body"]["messages"].as_array().unwrap().clone();
        let told = asked.iter().filter(|message| message["content"].as_str().is_some_and(|text| text.contains("done")));
        assert_eq!(told.count(), 1, "{asked:?}\n{output}");
        let last = asked.last().unwrap();
        assert_eq!(last["role"], if went_on { "user" } else { "tool" }, "{step}\n{asked:?}");
        agentctl(&home).args(["audit", "verify"]).run().code(0);
    }
}

/// The exit code of `resume` is that of the run as if one process had done all of it.
#[test]
fn how_a_run_ends_does_not_depend_on_how_often_it_is_gone_on_with() {
    let buy = |qty: Value| json!({ "name": "buy_product", "arguments": { "product": "phones", "qty": qty } });
    let search = json!({ "name": "search_products", "arguments": { "query": "phones" } });
    let waits = || json!({ "text": "It waits." });
    let resume = |home: &Home| agentctl(home).args(["resume", "--last"]).run();
    let (both, wrong) = (json!([buy(json!(2)), buy(json!(2))]), json!([buy(json!(2)), buy(json!("many"))]));

    // What is asked for twice waits once, and still does.
    let dev = Dev::scripted(json!([{ "tool_calls": both }, waits(), waits()]));
    let home = dev.logged_in();
    detached(&home, "buy");
    agentctl(&home).args(["resume", "--last", "--on-approval", "detach"]).run().code(10);

    // What was none is not made good by one that stands before it.
    let dev = Dev::scripted(json!([{ "tool_calls": wrong }, waits(), { "text": "All bought." }]));
    let home = dev.logged_in();
    agentctl(&home).args(["run", "--on-approval", "detach", "buy"]).run().code(21);
    approve(&dev);
    resume(&home).code(21).out(&["All bought."]);

    // The conversation went on, the call is denied, and then the model's server fails.
    let dev = Dev::scripted(json!([{ "tool_calls": [buy(json!(2))] }, { "tool_calls": [search] }, waits()]));
    let home = dev.logged_in();
    detached(&home, "buy");
    dev.post("/approvals/latest/deny", &json!({}));
    dev.post("/script", &json!({ "turns": [] }));
    resume(&home).code(20);
    dev.post("/script", &json!({ "turns": [{ "text": "All bought." }] }));
    resume(&home).code(11).out(&["All bought."]).err(&["error: buy_product was denied"]);
}
