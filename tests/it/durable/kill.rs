//! A kill at every durable step, under three kinds of bad weather: whatever happens, at most one order, at most one push,
//! and a log that knows how each call ended.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{approve, detached, granted_orders, pushes};
use crate::support::{Dev, Fake, Home, Output, Reply, agentctl};

/// The steps of one purchase, and how many orders there are in the end if the process dies right there. What was lost
/// (a question, an answer) is asked anew only on the person's word, and here is no person.
const STEPS: [(&str, usize); 26] = [
    ("before:call_opened", 1),
    ("after:call_opened", 1),
    ("before:audit_request", 1),
    ("after:audit_request", 1),
    ("before:planned", 1),
    ("after:planned", 0),
    ("before:requested", 0),
    ("after:requested", 1),
    ("before:redeeming", 1),
    ("after:redeeming", 1),
    ("before:approved", 0),
    ("after:approved", 1),
    ("before:executing", 1),
    ("after:executing", 1),
    ("before:execution_started", 1),
    ("after:execution_started", 1),
    ("before:audit_sent", 1),
    ("after:audit_sent", 1),
    ("before:execution_ended", 1),
    ("after:execution_ended", 1),
    ("before:done", 1),
    ("after:done", 1),
    ("before:audit_response", 1),
    ("after:audit_response", 1),
    ("before:call_closed", 1),
    ("after:call_closed", 1),
];

fn audit(home: &Home) -> (Vec<Value>, Output) {
    let output = agentctl(home).args(["audit", "list", "--json"]).run();
    let entries = output.json()["entries"].as_array().cloned().unwrap_or_default();
    (entries, output)
}

/// What a model asks for, and what a script does.
const TASKS: [&[&str]; 2] =
    [&["run", "buy 2 phones"], &["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2"]];

fn every_step(task: &[&str], faults: &[Value]) {
    let dev = Dev::start();
    for (step, wanted) in STEPS {
        // A single call that was not written down before the kill is in nobody's memory.
        let wanted = if task[0] == "tools" && step == "before:call_opened" { 0 } else { wanted };
        // Bad weather that one step did not meet is not for the next one.
        dev.post("/reset", &json!({}));
        let home = dev.logged_in();
        dev.auto("approve", "approve");
        let (orders, rung) = (dev.orders().len(), pushes(&dev));
        for fault in faults {
            dev.fault(fault);
        }
        let killed = agentctl(&home).args(task.iter().copied()).env("AGENTCTL_TEST_DIE_AT", step).run();
        assert_eq!(killed.status.code(), None, "{step}: it was to be killed\n{killed}");
        let resumed = agentctl(&home).args(["resume", "--last"]).run();
        let (made, rung) = (dev.orders().len() - orders, pushes(&dev) - rung);
        assert_eq!(made, wanted, "{step}: orders\n{killed}\n{resumed}");
        assert!(rung <= 1, "{step}: {rung} pushes\n{resumed}");
        assert_eq!(granted_orders(&dev), made, "{step}: an order without a grant\n{killed}\n{resumed}");
        assert_eq!(resumed.status.code(), Some(if wanted == 1 { 0 } else { 21 }), "{step}\n{killed}\n{resumed}");
        let calls = calls_in_the_log(&home, step);
        assert!(calls > 0 || (wanted == 0 && step == "before:call_opened"), "{step}");
        agentctl(&home).args(["resume", "--last"]).run().code(2);
        let left = agentctl(&home).args(["approvals", "list", "--json"]).run().code(0).json();
        assert_eq!(left["approvals"], json!([]), "{step}");
    }
}

/// A shell is killed, and its conversation goes on with another message.
#[test]
fn a_shell_that_is_killed_at_any_step_leaves_no_call_without_an_end() {
    let dev = Dev::start();
    for (step, _) in STEPS {
        dev.post("/reset", &json!({}));
        let home = dev.logged_in();
        dev.auto("approve", "approve");
        let (orders, rung) = (dev.orders().len(), pushes(&dev));
        let killed = agentctl(&home).arg("chat").stdin("buy 2 phones\n").env("AGENTCTL_TEST_DIE_AT", step).run();
        assert_eq!(killed.status.code(), None, "{step}: it was to be killed\n{killed}");
        let went_on = agentctl(&home).args(["chat", "-c"]).stdin("hello\n").run();
        let left = || agentctl(&home).args(["approvals", "list", "--json"]).run().code(0).json()["approvals"].clone();
        // The shell may have ended before the answer came, or it was lost.
        if left() != json!([]) {
            agentctl(&home).args(["resume", "--last"]).run();
        }
        let (made, rung) = (dev.orders().len() - orders, pushes(&dev) - rung);
        let story = || format!("{step}: {made} orders, {rung} pushes\n{killed}\n{went_on}");
        assert!(made <= 1 && rung <= 1 && granted_orders(&dev) == made, "{}", story());
        let calls = calls_in_the_log(&home, step);
        // Before that the log knows nothing of it.
        let unknown = STEPS[..3].iter().any(|(early, _)| *early == step);
        assert!(calls > 0 || made == 0 && unknown, "{}", story());
        agentctl(&home).args(["resume", "--last"]).run().code(2);
        assert_eq!(left(), json!([]), "{}", story());
    }
}

/// Each call of the log begins with its only request and ends with its only response, and the log holds; how many there are.
fn calls_in_the_log(home: &Home, step: &str) -> usize {
    let (entries, output) = audit(home);
    let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in &entries {
        if let Some(action) = entry["action"].as_str() {
            calls.entry(action.to_owned()).or_default().push(entry["kind"].as_str().unwrap().to_owned());
        }
    }
    for (action, kinds) in &calls {
        let inner = &kinds[1..kinds.len().max(2) - 1];
        assert!(kinds[0] == "request" && kinds.last().unwrap() == "response", "{step}: {action} {kinds:?}\n{output}");
        // Sent once, or once more under its key.
        assert!(inner.iter().all(|kind| kind == "sent"), "{step}: {action} {kinds:?}\n{output}");
    }
    agentctl(home).args(["audit", "verify"]).run().code(0);
    calls.len()
}

/// Numbers that a seed decides (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }
}

/// A seed decides the weather, and at which later step the process that goes on is killed as well. How many orders come of
/// that depends; what must never be does not. Faults: an error, a cut before or after the effect, half an answer, a page.
fn drawn(seed: u64) {
    let dev = Dev::start();
    let mut dice = Dice(seed);
    for at in 0..STEPS.len() {
        let task = TASKS[dice.below(2)];
        let (step, next) = (STEPS[at].0, STEPS[at + dice.below(STEPS.len() - at)].0);
        let mut weather = Vec::new();
        for _ in 0..=dice.below(2) {
            let on = ["ciba", "ciba_poll", "shop", "shop", "refresh", "fga"][dice.below(6)];
            let mut fault = match dice.below(4) {
                0 => json!({ "kind": "status", "status": 503 }),
                1 => json!({ "kind": "drop" }),
                2 => json!({ "kind": "half" }),
                _ => json!({ "kind": "html" }),
            };
            fault["on"] = json!(on);
            // A refresh whose answer is lost takes the login along; that is another story.
            fault["when"] = json!(if on != "refresh" && dice.below(2) == 1 { "after" } else { "before" });
            weather.push(fault);
        }
        let denies = dice.below(5) == 0;
        let story =
            format!("seed {seed}: {task:?}, killed at {step}, then at {next}, with {weather:?}, denied: {denies}");
        dev.post("/reset", &json!({}));
        let home = dev.logged_in();
        dev.auto("approve", if denies { "deny" } else { "approve" });
        for fault in &weather {
            dev.fault(fault);
        }
        let mut last = agentctl(&home).args(task.iter().copied()).env("AGENTCTL_TEST_DIE_AT", step).run();
        let mut told = last.to_string();
        let mut go_on = |die: Option<&str>| {
            let resume = agentctl(&home).args(["resume", "--last"]);
            let output = if let Some(step) = die { resume.env("AGENTCTL_TEST_DIE_AT", step) } else { resume }.run();
            told.push_str(&output.to_string());
            output
        };
        go_on(Some(next));
        for _ in 0..4 {
            last = go_on(None);
            // 2: nothing waits any more.
            if last.status.code() == Some(2) {
                break;
            }
        }
        assert_eq!(last.status.code(), Some(2), "{story}: there is no end\n{told}");
        let (orders, rung) = (dev.orders().len(), pushes(&dev));
        assert!(orders <= 1 && rung <= 1, "{story}: {orders} orders, {rung} pushes\n{told}");
        assert!(orders == 0 || !denies, "{story}: an order that was denied\n{told}");
        assert_eq!(granted_orders(&dev), orders, "{story}: an order without a grant\n{told}");
        calls_in_the_log(&home, &story);
    }
}

#[test]
fn two_kills_in_weather_of_seed_0() {
    drawn(0);
}

#[test]
fn two_kills_in_weather_of_seed_1() {
    drawn(1);
}

#[test]
fn two_kills_in_weather_of_seed_2() {
    drawn(2);
}

#[test]
fn a_kill_at_every_step() {
    every_step(TASKS[0], &[]);
}

#[test]
fn a_kill_at_every_step_of_a_single_call() {
    every_step(TASKS[1], &[]);
}

#[test]
fn a_kill_at_every_step_when_the_shop_loses_its_answer() {
    every_step(TASKS[0], &[json!({ "on": "shop", "kind": "drop", "when": "after" })]);
}

#[test]
fn a_kill_at_every_step_when_the_server_is_busy() {
    every_step(
        TASKS[0],
        &[
            json!({ "on": "ciba_poll", "kind": "status", "status": 503 }),
            json!({ "on": "shop", "kind": "status", "status": 503 }),
        ],
    );
}

#[test]
fn a_kill_while_the_answer_is_waited_for() {
    let dev = Dev::start();
    for (step, wanted) in
        STEPS.into_iter().filter(|(step, _)| step.ends_with("redeeming") || step.ends_with("approved"))
    {
        dev.post("/reset", &json!({}));
        let home = dev.logged_in();
        detached(&home, "buy 2 phones");
        approve(&dev);
        let killed = agentctl(&home).args(["approvals", "wait", "--all"]).env("AGENTCTL_TEST_DIE_AT", step).run();
        assert_eq!(killed.status.code(), None, "{step}: it was to be killed\n{killed}");
        assert!(dev.orders().is_empty(), "{step}: waiting does nothing");
        agentctl(&home).args(["resume", "--last"]).run().code(if wanted == 1 { 0 } else { 21 });
        assert_eq!((granted_orders(&dev), dev.orders().len(), pushes(&dev)), (wanted, wanted, 1), "{step}");
        assert_eq!(calls_in_the_log(&home, step), 1, "{step}");
        agentctl(&home).args(["resume", "--last"]).run().code(2);
    }
}

/// A tool that needs no approval, once with a key under which its server does it once, and once without.
fn ungated(idempotency: &str) -> String {
    format!(
        "[toolset]\nname = \"own\"\ndescription = \"x\"\n[[tool]]\nname = \"ring\"\ndescription = \"x\"\n\
         effect = \"reversible\"\napproval = \"none\"\napproval_reason = \"a bell\"\n\
         [tool.parameters]\ntype = \"object\"\n\
         [tool.request]\nmethod = \"POST\"\nurl = \"{{{{ env.SHOP_API_URL }}}}\"\n{idempotency}"
    )
}

/// What became of a call that was killed at a step: the code of `resume`, and the keys of the requests that were sent.
struct Rung {
    step: &'static str,
    code: Option<i32>,
    keys: Vec<Option<String>>,
}

/// Kills a call of the tool at each step that it has, and goes on.
fn rung_at_every_step(idempotency: &str) -> Vec<Rung> {
    let dev = Dev::start();
    let approves = ["planned", "requested", "redeeming", "approved", "executing", "done"];
    let steps = STEPS.iter().map(|(step, _)| *step);
    let steps = steps.filter(|step| !approves.iter().any(|name| step.ends_with(&format!(":{name}"))));
    let at_each = steps.map(|step| {
        let mut home = dev.logged_in();
        toolset(&home, &ungated(idempotency));
        let bell = Fake::start();
        bell.always("POST", "/ring", Reply::json(200, &json!({})));
        home.set("SHOP_API_URL", &format!("{}/ring", bell.url()));
        let killed = agentctl(&home).args(["tools", "call", "ring"]).env("AGENTCTL_TEST_DIE_AT", step).run();
        assert_eq!(killed.status.code(), None, "{step}: it was to be killed\n{killed}");
        let resumed = agentctl(&home).args(["resume", "--last"]).run();
        if resumed.status.code() == Some(21) {
            let why = match step {
                "before:call_opened" => "nothing was done",
                // So the log says. Else it says nothing of it, and nobody knows.
                "after:audit_sent" | "before:execution_ended" => {
                    ": it was sent before the program was stopped, so it may"
                }
                _ => ": it may have been sent before the program was stopped, so it may have happened",
            };
            assert!(resumed.stderr.contains(why), "{step}\n{resumed}");
            let step_on = "look whether it happened, and ask for it in a new conversation if it did not";
            assert!(step == "before:call_opened" || resumed.stderr.contains(step_on), "{step}\n{resumed}");
        }
        agentctl(&home).args(["resume", "--last"]).run().code(2);
        if step != "before:call_opened" {
            assert_eq!(calls_in_the_log(&home, step), 1, "{step}");
        }
        let keys = bell
            .seen()
            .into_iter()
            .map(|seen| seen.headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned()));
        Rung { step, code: resumed.status.code(), keys: keys.collect() }
    });
    let at_each = at_each.collect();
    assert_eq!(pushes(&dev), 0);
    at_each
}

fn toolset(home: &Home, manifest: &str) {
    let paths = agentctl(home).args(["config", "path", "--json"]).run().code(0).json();
    let folder = std::path::Path::new(paths["toolsets"].as_str().unwrap());
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("own.toml"), manifest).unwrap();
}

#[test]
fn an_effect_without_an_approval_is_repeated_under_its_own_key() {
    for Rung { step, code, keys } in rung_at_every_step("idempotency = \"header\"\n") {
        let nothing = step == "before:call_opened";
        assert_eq!(code, Some(if nothing { 21 } else { 0 }), "{step}");
        let same = keys.iter().all(|key| key.is_some() && *key == keys[0]);
        assert!(same && (1..=2).contains(&keys.len()) != nothing, "{step}: {keys:?}");
    }
}

#[test]
fn what_cannot_be_repeated_safely_is_sent_once_and_reported_as_unknown() {
    for Rung { step, code, keys } in rung_at_every_step("") {
        // From here on it may have been sent, and before the end is written down nobody knows.
        let unsent = ["after:execution_started", "before:audit_sent", "after:audit_sent"].contains(&step);
        let cut = unsent || step == "before:execution_ended";
        assert_eq!(code, Some(if cut || step == "before:call_opened" { 21 } else { 0 }), "{step}");
        let sent = usize::from(!unsent && step != "before:call_opened");
        assert_eq!(keys, vec![None; sent], "{step}");
    }
}

#[test]
fn what_a_killed_shell_left_is_told_as_it_is() {
    let begun = "! ring: it was stopped before anything was done. Your next message goes on without it.";
    let left = [
        ("after:audit_request", "ring: you were not asked about it; `agentctl resume` goes on."),
        ("after:audit_sent", "has a call whose end is not known, or not written down. `resume` finds out"),
    ];
    for (step, words) in left {
        let dev =
            Dev::scripted(json!([{ "tool_calls": [{ "name": "ring", "arguments": {} }] }, { "text": "It rang." }]));
        let home = dev.logged_in();
        toolset(&home, &ungated("idempotency = \"header\"\n"));
        let killed = agentctl(&home).arg("chat").stdin("ring\n").env("AGENTCTL_TEST_DIE_AT", step).run();
        assert_eq!(killed.status.code(), None, "{step}: it was to be killed\n{killed}");
        let looked = agentctl(&home).args(["chat", "-c"]).stdin("").run();
        let said = looked.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(words), "{step}\n{looked}");
        assert_eq!(said.contains(begun), step == "after:audit_request", "{step}\n{looked}");
        let run = agentctl(&home).args(["runs", "list", "--json"]).run().json()["runs"][0]["id"].clone();
        let run = run.as_str().unwrap();
        assert!(said.contains(&format!("agentctl resume {run}")), "{step}\n{looked}");
    }
}
