//! What a resumed call is asked anew, one check at a time: between the yes and the deed somebody has the permission, the
//! settings, the manifest or the journal's file in hand.

use std::{fs, path::PathBuf};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{approve, detached, pending, pushes};
use crate::support::{Dev, Fake, Home, Output, Reply, agentctl};

const TIMES: &str = "[tool.parameters.properties]\ntimes = { type = \"integer\" }\n";
/// The message does not say how often, and there are no details: nothing at the server ties the yes to the call.
const ASKS: &str = "[tool.approval]\nbinding_message = \"RING\"\n";
const ASKS_NOBODY: &str = "approval = \"none\"\napproval_reason = \"a bell\"\n";
const NO_TOKEN: &str = "[tool.credential]\nsource = \"none\"\n";
const KEY: &str = "idempotency = \"header\"\n";

/// A bell that is rung over the network, and somebody who is logged in.
struct Tower {
    dev: Dev,
    home: Home,
    bell: Fake,
}

impl Tower {
    fn new() -> Self {
        let dev = Dev::start();
        let mut home = dev.logged_in();
        let bell = Fake::start();
        home.set("SHOP_API_URL", &format!("{}/ring", bell.url()));
        Self { dev, home, bell }
    }

    /// One whose bell answers that it rang.
    fn that_rings() -> Self {
        let tower = Self::new();
        tower.bell.always("POST", "/ring", Reply::json(200, &json!({})));
        tower
    }

    /// How the tool stands in its manifest from now on.
    fn manifest(&self, asks: &str, credential: &str, idempotency: &str) {
        let (first, last) = if asks == ASKS { ("", ASKS) } else { (asks, "") };
        let text = format!(
            "[toolset]\nname = \"own\"\ndescription = \"x\"\n[[tool]]\nname = \"ring\"\ndescription = \"x\"\n\
             effect = \"reversible\"\n{first}[tool.parameters]\ntype = \"object\"\n{TIMES}{last}{credential}\
             [tool.request]\nmethod = \"POST\"\nurl = \"{{{{ env.SHOP_API_URL }}}}\"\n{idempotency}"
        );
        self.write("toolsets/own.toml", &text);
    }

    fn write(&self, name: &str, text: &str) {
        let path = PathBuf::from(&self.home.env()["AGENTCTL_HOME"]).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// From now on the person wants to be asked about every ring.
    fn wants_to_be_asked(&self) {
        self.write("policy.toml", "[[rule]]\nname = \"ask\"\ntools = [\"ring\"]\ndecision = \"require_approval\"\n");
    }

    /// Asks for so many rings and does not wait for the answer; its approval.
    fn asks(&self, times: u32) -> Value {
        let call = ["tools", "call", "ring", "--on-approval", "detach", "--arg"];
        agentctl(&self.home).args(call).arg(format!("times={times}")).run().code(10);
        let is_it = |row: &Value| row["plan"]["arguments"]["times"] == json!(times);
        pending(&self.home).into_iter().find(is_it).unwrap()
    }

    /// Rings once and dies when it may have been heard.
    fn dies_ringing(&self) {
        let call = agentctl(&self.home).args(["tools", "call", "ring", "--arg", "times=1"]);
        let killed = call.env("AGENTCTL_TEST_DIE_AT", "after:execution_started").run();
        assert_eq!(killed.status.code(), None, "it was to be killed\n{killed}");
        assert!(self.bell.seen().is_empty());
    }

    /// Fetches the answers, and does nothing about them.
    fn waits(&self) {
        agentctl(&self.home).args(["approvals", "wait", "--all"]).run().code(0);
    }

    fn resumes(&self) -> Output {
        agentctl(&self.home).args(["resume", "--last"]).run()
    }

    /// The idempotency keys of all requests that the bell has seen.
    fn keys(&self) -> Vec<Option<String>> {
        let key = |key: &axum::http::HeaderValue| key.to_str().unwrap().to_owned();
        self.bell.seen().iter().map(|seen| seen.headers.get("idempotency-key").map(key)).collect()
    }
}

fn journal(home: &Home) -> Connection {
    Connection::open(PathBuf::from(&home.env()["AGENTCTL_HOME"]).join("state/journal.db")).unwrap()
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap()
}

#[test]
fn a_permission_that_ends_while_a_resumed_run_waits_is_none() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    let resumed = agentctl(&home).args(["resume", "--last"]).start();
    resumed.wait_for_stderr("Check that it shows:");
    dev.delete("/tuples", &json!({ "user": "ada", "relation": "can_buy", "object": "shop:main" }));
    approve(&dev);
    resumed.finish().code(13).err(&["Approved", "does not have the permission can_buy"]);
    assert_eq!((dev.orders().len(), pushes(&dev)), (0, 1));
    assert!(pending(&home).is_empty(), "nobody uses it later");
}

/// Both were asked for when there was money for either.
#[test]
fn what_a_resumed_run_spends_is_spent() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let policy = PathBuf::from(&home.env()["AGENTCTL_HOME"]).join("policy.toml");
    fs::write(policy, "[max_spend]\nper_day = \"900 EUR\"\n").unwrap();
    let buy = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=1", "--arg"];
    for _ in 0..2 {
        agentctl(&home).args(buy).args(["price_limit=500", "--on-approval", "detach"]).run().code(10);
        approve(&dev);
    }
    agentctl(&home).args(["resume", "--last"]).run().code(0);
    let used = "SELECT sealed_token IS NULL FROM approvals WHERE state = 'done'";
    assert!(journal(&home).query_row(used, [], |row| row.get::<_, bool>(0)).unwrap(), "its token is kept");
    agentctl(&home).args(["resume", "--last"]).run().code(14).err(&["after 500.00 EUR"]);
    assert_eq!(dev.orders().len(), 1);
}

/// The process died after the log had its end and before the run had it; meanwhile it would be permitted.
#[test]
fn what_was_refused_in_the_log_stays_refused() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    let tuple = json!({ "user": "ada", "relation": "can_buy", "object": "shop:main" });
    dev.delete("/tuples", &tuple);
    let killed =
        agentctl(&home).args(["run", "buy 2 phones"]).env("AGENTCTL_TEST_DIE_AT", "after:audit_response").run();
    assert_eq!(killed.status.code(), None, "it was to be killed\n{killed}");
    dev.post("/tuples", &tuple);
    agentctl(&home).args(["resume", "--last"]).run().code(13).err(&["does not have the permission can_buy"]);
    assert_eq!((dev.orders().len(), pushes(&dev)), (0, 0));
}

#[test]
fn a_yes_is_for_its_own_call_though_no_details_say_so() {
    let tower = Tower::that_rings();
    tower.manifest(ASKS, NO_TOKEN, "");
    let once = tower.asks(1);
    approve(&tower.dev);
    tower.waits();
    let often = tower.asks(9);
    // The yes to one ring under the call that wants nine.
    let (yes, other, run) = (text(&once, "id"), text(&often, "id"), text(&often, "run"));
    let moved = format!(
        "CREATE TEMP TABLE other AS SELECT action FROM approvals WHERE id = '{other}';
         DELETE FROM approvals WHERE id = '{other}';
         UPDATE approvals SET run = '{run}', action = (SELECT action FROM other) WHERE id = '{yes}'"
    );
    // With the journal's key: without it the rows' MACs do not hold.
    let resumed = agentctl(&tower.home).args(["resume", run]).env("AGENTCTL_TEST_JOURNAL", &moved).run();
    assert!(tower.bell.seen().is_empty(), "{resumed}");
    resumed.code(13).err(&["would be another one today"]);
    assert!(pending(&tower.home).is_empty(), "nobody uses it later");
}

#[test]
fn a_yes_is_for_the_client_that_asked() {
    let tower = Tower::that_rings();
    tower.manifest(ASKS, NO_TOKEN, "");
    tower.asks(1);
    let other = |args: &[&str]| {
        agentctl(&tower.home).args(args.iter().copied()).env("AGENTCTL_APPROVAL_CLIENT_ID", "another-client").run()
    };
    let polls = tower.dev.history("ciba_poll").len();
    other(&["approvals", "wait", "--all"]).code(10).err(&["another client asks"]);
    assert_eq!(tower.dev.history("ciba_poll").len(), polls, "it was asked about in another's name");
    approve(&tower.dev);
    tower.waits();
    let resumed = other(&["resume", "--last"]);
    assert!(tower.bell.seen().is_empty(), "{resumed}");
    resumed.code(13).err(&["another client asks for approvals now"]);
}

#[test]
fn a_yes_that_was_kept_is_used_as_it_was_given() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let journal = journal(&home);
    let mut first = None;
    for (change, code, said) in [
        ("sealed_token = NULL", 13, "not in the journal"),
        // What it proves is more or less than it did, or about another one.
        (r#"evidence = replace(evidence, '"binding":"details"', '"binding":"code"')"#, 10, "cannot be opened"),
        ("evidence = replace(evidence, id, 'apr_another')", 10, "cannot be opened"),
        ("evidence = NULL", 10, "cannot be opened"),
        // What was sealed for one approval opens for no other.
        ("sealed_token = x'FIRST'", 10, "cannot be opened"),
    ] {
        detached(&home, "buy 2 phones");
        approve(&dev);
        agentctl(&home).args(["approvals", "wait", "--all"]).run().code(0);
        let token = "SELECT hex(sealed_token) FROM approvals WHERE state = 'approved'";
        let token: String = journal.query_row(token, [], |row| row.get(0)).unwrap();
        let first = first.get_or_insert(token);
        // With the journal's key: without it the row's MAC does not hold.
        let change = format!("UPDATE approvals SET {} WHERE state = 'approved'", change.replace("FIRST", first));
        let resumed = agentctl(&home).args(["resume", "--last"]).env("AGENTCTL_TEST_JOURNAL", &change).run();
        assert!(dev.history("shop").iter().all(|request| request["method"] != "POST"), "{change}\n{resumed}");
        resumed.code(code).err(&[said]);
        if code == 10 {
            agentctl(&home).args(["approvals", "abandon", pending(&home)[0]["id"].as_str().unwrap()]).run().code(0);
        }
        dev.advance(61);
    }
}

/// The person changed their mind between the kill and the resumption.
#[test]
fn a_call_that_was_cut_is_not_repeated_once_it_needs_a_yes() {
    let tower = Tower::that_rings();
    tower.manifest(ASKS_NOBODY, NO_TOKEN, KEY);
    tower.dies_ringing();
    tower.wants_to_be_asked();
    let resumed = tower.resumes();
    assert!(tower.bell.seen().is_empty(), "{resumed}");
    resumed.code(21).err(&["may have happened", "needs the user's approval now, and has none"]);
}

#[test]
fn a_question_that_nobody_would_ask_today_is_not_skipped() {
    let tower = Tower::that_rings();
    tower.manifest(ASKS_NOBODY, NO_TOKEN, KEY);
    tower.wants_to_be_asked();
    tower.asks(1);
    tower.write("policy.toml", "");
    let resumed = tower.resumes();
    assert!(tower.bell.seen().is_empty(), "{resumed}");
    resumed.code(13).err(&["no longer says what an approval of it means"]);
}

#[test]
fn a_yes_that_comes_to_nothing_in_a_resumed_run_is_not_kept() {
    let tower = Tower::new();
    tower.manifest(ASKS, "[tool.credential]\nsource = \"user\"\nscopes = [\"bell:ring\"]\n", "");
    tower.asks(1);
    approve(&tower.dev);
    tower.resumes().code(21).err(&["Approved", "no token for the call"]);
    let row = "SELECT state, sealed_token IS NULL FROM approvals";
    let row = journal(&tower.home).query_row(row, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)));
    assert_eq!(row.unwrap(), ("abandoned".to_owned(), true));
}

/// Nothing that its server says now takes back what may have happened before the kill.
#[test]
fn a_refusal_of_the_repetition_does_not_hide_what_was_cut() {
    let tower = Tower::new();
    tower.manifest(ASKS_NOBODY, NO_TOKEN, KEY);
    tower.dies_ringing();
    // A server that is busy is asked another time, under the same key.
    for _ in 0..3 {
        tower.bell.once("POST", "/ring", Reply::json(503, &json!({})));
    }
    tower.resumes().code(10).err(&["did not work yet"]);
    tower.bell.once("POST", "/ring", Reply::json(403, &json!({})));
    tower.resumes().code(21).err(&["it was sent before, so it may have happened"]);
    let keys = tower.keys();
    assert!(keys.len() == 4 && keys.iter().all(|key| key.is_some() && *key == keys[0]), "{keys:?}");
}

#[test]
fn a_call_whose_key_is_gone_is_not_repeated() {
    let tower = Tower::that_rings();
    tower.manifest(ASKS_NOBODY, NO_TOKEN, KEY);
    tower.dies_ringing();
    tower.manifest(ASKS_NOBODY, NO_TOKEN, "");
    let resumed = tower.resumes();
    assert!(tower.bell.seen().is_empty(), "{resumed}");
    resumed.code(21).err(&["no way to repeat it safely"]);
}
