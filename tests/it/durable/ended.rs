//! What a stop or another login has ended stays ended, whatever becomes of the clock, the journal and the marks meanwhile.
//! Two state folders share one store of credentials: `panic` runs in the one, and the call lies in the other.

use std::{fs, time::Duration};

use rusqlite::Connection;
use serde_json::json;

use super::{approve, detached, pending, pushes};
use crate::support::{Command, Dev, Home, Output, SOON, Terminal, agentctl, wait_until};

/// Somebody with two state folders.
struct Two {
    dev: Dev,
    home: Home,
}

impl Two {
    fn new() -> Self {
        let dev = Dev::start();
        let mut home = dev.home();
        home.unset("AGENTCTL_HOME");
        let two = Self { dev, home };
        two.login();
        two
    }

    fn folder(&self, state: &str) -> Command {
        let state = self.home.path().join(state);
        agentctl(&self.home).env("XDG_STATE_HOME", state.to_str().unwrap())
    }

    /// The folder in which `panic` runs, and the one with the call.
    fn a(&self) -> Command {
        self.folder("a")
    }

    fn b(&self) -> Command {
        self.folder("b")
    }

    fn login(&self) {
        self.dev.auto("approve", "off");
        self.a().args(["login", "--no-browser"]).run().code(0);
    }

    /// A purchase that waits in the other folder, approved by now.
    fn approved(&self) {
        self.b().args(["run", "--on-approval", "detach", "buy 2 phones"]).run().code(10);
        approve(&self.dev);
    }

    /// Edits the journal as nobody can who lacks its key: what lies behind the MACs of its rows has to hold as well.
    fn edit(&self, sql: &str) {
        self.b().args(["audit", "verify"]).env("AGENTCTL_TEST_JOURNAL", sql).run();
    }

    fn journal(&self) -> Connection {
        Connection::open(self.home.path().join("b/agentctl/journal.db")).unwrap()
    }

    /// Takes away what `panic` left beside the credentials.
    fn unmark(&self) {
        fs::remove_file(self.home.path().join(".local/share/agentctl/credentials.stop.json")).unwrap();
    }

    /// Nobody answers a second question.
    fn resumed(&self) -> Output {
        self.b().args(["resume", "--last", "--timeout", SOON]).run()
    }

    fn nothing_bought(&self, output: &Output) {
        assert_eq!((self.dev.orders().len(), pushes(&self.dev)), (0, 1), "{output}");
        let found = self.b().args(["audit", "verify", "--json"]).run().code(0).json();
        assert_eq!(found["without_end"], json!([]), "{output}");
    }
}

#[test]
fn a_clock_that_was_behind_when_it_was_stopped_lets_nothing_go_on() {
    let two = Two::new();
    two.approved();
    two.dev.set_wall_clocks(-120);
    two.a().arg("panic").run().code(0);
    two.dev.set_wall_clocks(0);
    two.login();
    two.nothing_bought(&two.resumed().err(&["everything was stopped before anything was done"]));
}

#[test]
fn a_call_that_is_made_younger_in_the_journal_does_not_go_on_after_a_stop() {
    let two = Two::new();
    two.approved();
    two.b().args(["approvals", "wait", "--all"]).run().code(0);
    two.a().arg("panic").run().code(0);
    two.login();
    two.edit("UPDATE calls SET started_at = started_at + 86400000");
    two.nothing_bought(&two.resumed().err(&["everything was stopped before anything was done"]));
}

/// Whoever can write there writes the numbers of now, or none, and the login of now.
#[test]
fn numbers_and_logins_that_are_written_into_the_journal_bring_no_yes_back() {
    for stops in [Some("UPDATE calls SET stops = (SELECT stops FROM calls ORDER BY started_at DESC LIMIT 1)"), None] {
        let two = Two::new();
        two.approved();
        two.b().args(["approvals", "wait", "--all"]).run().code(0);
        two.a().arg("panic").run().code(0);
        two.login();
        if let Some(stops) = stops {
            // Of another call under the login of now.
            two.b().args(["run", "--on-approval", "detach", "buy 1 phones"]).run().code(10);
            let login = "UPDATE approvals SET login = (SELECT login FROM approvals ORDER BY created_at DESC LIMIT 1)";
            two.edit(&format!("{stops}; {login}"));
            let run: String = two
                .journal()
                .query_row("SELECT run FROM calls ORDER BY started_at LIMIT 1", [], |row| row.get(0))
                .unwrap();
            let output = two.b().args(["resume", &run, "--timeout", SOON]).run();
            output.err(&["cannot be opened"]);
            assert!(two.dev.orders().is_empty());
        } else {
            two.edit("UPDATE calls SET stops = NULL, started_at = started_at + 86400000");
            two.nothing_bought(&two.resumed().err(&["whether everything was stopped since it was begun is not known"]));
        }
    }
}

#[test]
fn a_yes_of_an_ended_login_is_not_used_though_the_mark_of_the_stop_is_gone() {
    for learnt in [false, true] {
        let two = Two::new();
        two.approved();
        if learnt {
            two.b().args(["approvals", "wait", "--all"]).run().code(0);
        }
        two.a().arg("panic").run().code(0);
        two.unmark();
        two.login();
        two.nothing_bought(&two.resumed().err(&["the login under which this was begun has ended"]));
    }
}

/// Halted while it waits, and woken when everything looks as it did.
#[test]
fn a_process_that_slept_through_a_stop_does_not_act_under_the_next_login() {
    let two = Two::new();
    let running = two.b().args(["run", "buy 2 phones"]).start();
    running.wait_for_stderr("Waiting for your approval");
    running.signal("STOP");
    two.a().arg("panic").run().code(0);
    two.unmark();
    two.login();
    approve(&two.dev);
    running.signal("CONT");
    let output = running.finish().code(13).err(&["the login under which this was begun has ended", "ask for it again"]);
    two.nothing_bought(&output);
}

/// The same between two tries: the login was there when it was decided.
#[test]
fn nothing_is_sent_a_second_time_under_another_login() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    dev.fault(&json!({ "on": "shop", "kind": "status", "status": 503, "retry_after_s": 5 }));
    let running = agentctl(&home).args(["run", "buy 2 phones"]).start();
    wait_until(Duration::from_secs(60), "a try", || (!dev.history("shop").is_empty()).then_some(()));
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    let output = running.finish();
    assert_eq!((dev.history("shop").len(), dev.orders().len()), (1, 0), "{output}");
    let calls = agentctl(&home).args(["audit", "list", "--json"]).run().code(0).json().to_string();
    assert!(calls.contains("the effect may have happened; it was not sent again: the login under which"), "{calls}");
}

/// Killed while the shop has the request: the key would let it be repeated, and the yes is not there any more.
#[test]
fn what_may_have_been_sent_is_not_repeated_under_another_login() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    dev.fault(&json!({ "on": "shop", "kind": "delay", "delay_ms": 60_000 }));
    let running = agentctl(&home).args(["run", "buy 2 phones"]).start();
    wait_until(Duration::from_secs(60), "a try", || (!dev.history("shop").is_empty()).then_some(()));
    running.signal("KILL");
    running.finish();
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    let output = agentctl(&home).args(["resume", "--last", "--timeout", SOON]).run();
    let output = output.err(&["it may have happened; the login under which this was begun has ended"]);
    assert!(!output.stderr.contains("ask for it again"), "{output}");
    assert_eq!((dev.history("shop").len(), dev.orders().len()), (1, 0), "{output}");
}

#[test]
fn what_waits_goes_on_under_its_own_login_though_the_token_was_renewed() {
    let dev = Dev::start();
    let home = dev.logged_in();
    detached(&home, "buy 2 phones");
    agentctl(&home).args(["tools", "call", "search_products", "--arg", "query=phones"]).run().code(0);
    assert_eq!(dev.history("refresh").len(), 1);
    approve(&dev);
    agentctl(&home).args(["resume", "--last"]).run().code(0);
    assert_eq!((dev.orders().len(), pushes(&dev)), (1, 1));
}

#[test]
fn what_waits_ends_with_its_login_and_can_be_asked_for_again() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let buy = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2"];
    agentctl(&home).args(buy).args(["--on-approval", "detach"]).run().code(10);
    agentctl(&home).arg("logout").run().code(0);
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    approve(&dev);
    let ended = agentctl(&home).args(["resume", "--last"]).run().code(13);
    ended.err(&["the login under which this was begun has ended", "ask for it again"]);
    assert!(dev.orders().is_empty());
    assert!(pending(&home).is_empty(), "nobody uses it later");
    dev.auto("approve", "approve");
    agentctl(&home).args(buy).run().code(0);
    assert_eq!((dev.orders().len(), pushes(&dev)), (1, 2));
}

/// What a person says in a shell is said under the login of that moment.
#[test]
fn a_shell_goes_on_after_another_login_of_the_same_person() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    let mut shell = Terminal::sized(agentctl(&home).arg("chat"), 100, 40);
    shell.wait_for_prompt();
    for (task, orders) in [("buy 1 phones", 1), ("buy 2 phones", 2)] {
        shell.say(task);
        wait_until(Duration::from_secs(60), task, || (dev.orders().len() == orders).then_some(()));
        shell.wait_for_prompt();
        agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    }
    shell.control('d');
    let (code, screen) = shell.finish();
    assert_eq!(code, 0, "{screen}");
}
