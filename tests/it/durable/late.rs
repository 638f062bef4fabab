//! A kill in `resume`, right where the result of a call that was pending is put into the conversation: the model is told of
//! it all the same, and its word from before is not repeated.

use serde_json::json;

use super::{approve, detached, pending};
use crate::support::{Dev, agentctl};

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
