//! Bad days: a seed decides what goes wrong, when the process dies and what the person answers. Whatever it is, nothing
//! happens that was not approved, nothing happens twice, no secret is seen, the log tells the truth, and there is an end.
//!
//! `AGENTCTL_SWEEP=2000` tries so many seeds, `AGENTCTL_SWEEP_SEED=17` repeats one. Time passes fast here: the tenant and the
//! program follow clock files that a thread moves.

mod report;
mod weather;

use std::{
    collections::BTreeSet,
    env, fs,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use self::{
    report::{Day, Report},
    weather::{Deed, Door, Person, Task, Weather, weather},
};
use crate::support::{Command, Dev, Home, Output, agentctl, calls, granted_orders, grants, no_secret_is_seen};

/// How many seeds are tried if nothing else is said.
const SEEDS: u64 = 288;
/// How many tenants stand at once. A seed waits most of its time.
const TENANTS: usize = 9;
/// The exit codes of the README.
const CODES: [i32; 16] = [0, 1, 2, 4, 5, 10, 11, 12, 13, 14, 20, 21, 124, 129, 130, 143];

/// A clock that runs ahead, for a tenant and, in another file, for its clients.
struct Time {
    folder: tempfile::TempDir,
    hands: Arc<Hands>,
}

struct Hands {
    /// The tenant's seconds; they never go back.
    tenant: AtomicU64,
    skew: AtomicI64,
    /// How many real milliseconds a second takes.
    pace: AtomicU64,
    stopped: AtomicBool,
}

impl Time {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Far enough from nothing for a clock that is behind.
        let hands = Hands {
            tenant: AtomicU64::new(200_000),
            skew: AtomicI64::new(0),
            pace: AtomicU64::new(40),
            stopped: AtomicBool::new(false),
        };
        let time = Self { folder, hands: Arc::new(hands) };
        time.hands.show(time.folder.path());
        let (hands, path) = (Arc::clone(&time.hands), time.folder.path().to_owned());
        thread::spawn(move || {
            while !hands.stopped.load(SeqCst) {
                thread::sleep(Duration::from_millis(hands.pace.load(SeqCst)));
                hands.tenant.fetch_add(1, SeqCst);
                hands.show(&path);
            }
        });
        time
    }

    fn of_tenant(&self) -> PathBuf {
        self.folder.path().join("tenant")
    }

    fn of_clients(&self) -> PathBuf {
        self.folder.path().join("clients")
    }

    /// The clients' clock is so many seconds ahead from now on.
    fn skew(&self, seconds: i64) {
        self.hands.skew.store(seconds, SeqCst);
        self.hands.show(self.folder.path());
    }

    /// A second takes so many milliseconds from now on.
    fn pace(&self, milliseconds: u64) {
        self.hands.pace.store(milliseconds, SeqCst);
    }

    fn pass(&self, seconds: u64) {
        self.hands.tenant.fetch_add(seconds, SeqCst);
        self.hands.show(self.folder.path());
    }
}

impl Hands {
    fn show(&self, folder: &Path) {
        let tenant = self.tenant.load(SeqCst);
        let clients = tenant.saturating_add_signed(self.skew.load(SeqCst));
        for (name, seconds) in [("tenant", tenant), ("clients", clients)] {
            // Whoever reads it in between must not find it empty.
            let new = folder.join(format!("{name}.{:?}", thread::current().id()));
            if fs::write(&new, seconds.to_string()).and_then(|()| fs::rename(&new, folder.join(name))).is_err() {
                return;
            }
        }
    }
}

impl Drop for Time {
    fn drop(&mut self) {
        self.hands.stopped.store(true, SeqCst);
    }
}

/// A tenant in the middle of its time.
struct World {
    // The tenant goes before its clock.
    dev: Dev,
    time: Time,
}

impl World {
    fn new(preset: &str) -> Self {
        let time = Time::start();
        let dev = Dev::on_clock(&time.of_tenant(), &["--interval", "1", "--preset", preset]);
        Self { dev, time }
    }

    fn program(&self, home: &Home, weather: &Weather, args: &[&str]) -> Command {
        let verbosity = if weather.talkative { "-vvv" } else { "-v" };
        agentctl(home).arg(verbosity).args(args.iter().copied())
    }

    fn effects(&self) -> u64 {
        self.dev.orders().len() as u64 + self.dev.resets()
    }

    /// The idempotency keys of all requests for an effect, whatever came of them.
    fn sent(&self) -> Vec<Option<String>> {
        let requests = ["shop", "directory"].map(|of| self.dev.history(of)).concat();
        let posts = requests.iter().filter(|request| request["method"] == "POST");
        posts.map(|request| request["headers"]["idempotency-key"].as_str().map(str::to_owned)).collect()
    }

    fn answers(&self, person: Person, after_ms: u64) {
        let word = match person {
            Person::Approves => "approve",
            Person::Denies => "deny",
            Person::Sleeps => "off",
        };
        self.dev.post("/auto", &json!({ "logins": "approve", "approvals": word, "after_ms": after_ms }));
    }

    /// One day, from the login to a look at everything.
    fn live(&self, weather: &Weather) -> Day {
        let dev = &self.dev;
        dev.post("/reset", &json!({}));
        self.time.skew(0);
        self.time.pace(40);
        let mut home = dev.home();
        home.set("AGENTCTL_TEST_CLOCK", self.time.of_clients().to_str().unwrap());
        self.answers(Person::Sleeps, 0);
        let mut said = Vec::new();
        let login = || self.program(&home, weather, &["login", "--no-browser"]);
        if !weather.at_login.is_empty() {
            weather.at_login.iter().for_each(|fault| dev.fault(fault));
            said.push(ended(login().run()));
            dev.delete("/faults", &json!({}));
        }
        said.push(login().run().code(0));
        if weather.stale {
            self.time.pass(100_000);
        }
        self.time.skew(weather.skew);
        // Nobody answers, and nothing else ends the wait but its time.
        self.time.pace(if weather.person == Person::Sleeps && weather.timeout.is_none() { 8 } else { 40 });
        self.answers(weather.person, weather.answers_after_ms);
        weather.faults.iter().for_each(|fault| dev.fault(fault));

        self.ask(&home, weather, &mut said);
        let mut ends = said.last().unwrap().status.code();
        if weather.person == Person::Sleeps {
            self.time.pace(8);
        }
        // Until there is nothing to go on with; at last the weather is fine, and nobody sleeps any more.
        let resume = || ended(self.program(&home, weather, &["resume", "--last"]).run());
        if [None, Some(4), Some(10)].contains(&ends) {
            said.push(resume());
            ends = said.last().unwrap().status.code();
        }
        dev.delete("/faults", &json!({}));
        self.answers(if weather.person == Person::Sleeps { Person::Denies } else { weather.person }, 0);
        if ends == Some(4) {
            said.push(login().run().code(0));
        }
        // Who is asked now answers, and nothing is in the way: there is an end.
        for _ in 0..4 {
            said.push(resume());
            ends = said.last().unwrap().status.code();
            match ends {
                Some(2) => break,
                Some(4) => said.push(login().run().code(0)),
                _ => {}
            }
        }
        let shown = || said.iter().map(ToString::to_string).collect::<String>();
        assert!(ends == Some(2) && said.last().unwrap().stderr.contains("no run waits"), "it never ends\n{}", shown());
        if !weather.at_logout.is_empty() {
            self.leave(&home, weather, &mut said);
        }
        let day = self.look(&home, weather, &said);
        self.next_day(&home, weather, &said);
        day
    }

    /// Nothing of a bad day stands in the way of a good one: who logs in and asks for something else gets it.
    fn next_day(&self, home: &Home, weather: &Weather, said: &[Output]) {
        let dev = &self.dev;
        let before = dev.orders().len();
        self.time.skew(0);
        self.time.pace(40);
        self.answers(Person::Approves, 0);
        let shown = || said.iter().map(ToString::to_string).collect::<String>();
        let ran = |args: &[&str]| agentctl(home).args(args.iter().copied()).run();
        ran(&["login", "--no-browser"]).code(0);
        let output = ran(&["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=1"]);
        let may = !weather.deeds.iter().any(|(_, deed)| matches!(deed, Deed::NotPermitted));
        assert_eq!(output.status.code(), Some(if may { 0 } else { 13 }), "the next day\n{output}\nbefore\n{}", shown());
        assert_eq!(dev.orders().len() - before, usize::from(may), "the next day\n{output}\nbefore\n{}", shown());
    }

    /// Whatever the server says about it, who logs out is logged out here, and is not told that it was more than that.
    fn leave(&self, home: &Home, weather: &Weather, said: &mut Vec<Output>) {
        let dev = &self.dev;
        let before = dev.history("revoke").len();
        weather.at_logout.iter().for_each(|fault| dev.fault(fault));
        said.push(ended(self.program(home, weather, &["connections", "list"]).run()));
        let output = ended(self.program(home, weather, &["logout"]).run()).code(0);
        dev.delete("/faults", &json!({}));
        agentctl(home).arg("whoami").run().code(4);
        let asked = &dev.history("revoke")[before..];
        let done = asked.iter().any(|request| request["answer"]["status"] == 200);
        let claims = output.stderr.contains("✓ Logged out");
        assert!(!claims || asked.is_empty() || done, "it says that the login is revoked\n{output}");
        said.push(output);
    }

    /// Asks for what is wanted, and does meanwhile what is to be done.
    fn ask(&self, home: &Home, weather: &Weather, said: &mut Vec<Output>) {
        let dev = &self.dev;
        let (task, call): (&str, &[&str]) = match weather.task {
            Task::Purchase => ("buy 2 phones", &["buy_product", "--arg", "product=phones", "--arg", "qty=2"]),
            Task::Admin => ("reset the password of grace", &["reset_password", "--arg", "user=grace"]),
            Task::Vault => ("which groups is ada in", &["list_my_groups"]),
        };
        let mut command = match weather.door {
            Door::Run => self.program(home, weather, &["run", task]),
            Door::Events => self.program(home, weather, &["run", "--json", task]),
            Door::Call => self.program(home, weather, &["tools", "call"]).args(call.iter().copied()),
        };
        if let Some(seconds) = weather.timeout {
            command = command.args(["--timeout"]).arg(seconds.to_string());
        }
        if let Some(step) = weather.dies_at {
            command = command.env("AGENTCTL_TEST_DIE_AT", step);
        }
        let running = command.start();
        let started = Instant::now();
        for (after, deed) in &weather.deeds {
            thread::sleep(Duration::from_millis(*after).saturating_sub(started.elapsed()));
            match deed {
                Deed::Signal(name) => running.signal_if_running(name),
                Deed::NewKey => drop(dev.post("/keys/rotate", &json!({}))),
                Deed::Revoked => {
                    dev.post("/connections/revoke", &json!({ "person": "ada", "connection": "okta" }));
                }
                Deed::NotPermitted => {
                    for (relation, object) in [("can_buy", "shop:main"), ("manage_okta", "okta:main")] {
                        dev.delete("/tuples", &json!({ "user": "ada", "relation": relation, "object": object }));
                    }
                }
            }
        }
        said.push(ended(running.finish()));
    }

    fn look(&self, home: &Home, weather: &Weather, said: &[Output]) -> Day {
        let dev = &self.dev;
        let shown = || said.iter().map(ToString::to_string).collect::<String>();
        let effects = self.effects();
        assert!(effects <= 1, "{effects} effects of one wish\n{}", shown());
        // The tenant refuses a second order for one approval, so what was sent is looked at too.
        let keys = self.sent();
        let repeated = keys.iter().any(|key| key.is_none() || *key != keys[0]);
        assert!(keys.len() <= 1 || !repeated, "sent again under another key, or none: {keys:?}\n{}", shown());
        // Each request for an order carries what a yes of this day has given, and the order is the one that was wished for.
        let granted = granted_orders(dev, |_| true);
        assert!(granted <= 1, "one yes for {granted} orders\n{}", shown());
        assert!(keys.is_empty() || !grants(dev).is_empty(), "sent before anybody said yes\n{}", shown());
        for order in dev.orders() {
            // The cheapest of the phones.
            let right = order["qty"] == 2 && order["product_id"] == "ph-1";
            assert!(right, "{order} is not what was wished for\n{}", shown());
        }
        for user in dev.get("/directory")["users"].as_array().unwrap() {
            let touched = user["password_resets"] != 0;
            assert!(!touched || user["login"].as_str().unwrap().starts_with("grace"), "{user}\n{}", shown());
        }
        if weather.person != Person::Approves || weather.task == Task::Vault {
            assert!(keys.is_empty() && effects == 0, "nobody said yes\n{}", shown());
        }
        let met = self.met();
        let lied = met.contains(&["ciba_poll", "alter", "after"].map(str::to_owned));
        if weather.lies() && lied {
            assert!(keys.is_empty() && effects == 0, "the yes was somebody else's\n{}", shown());
        }
        // Whether its answer came or not: a question that was asked may have made the phone ring.
        let rung = dev.history("ciba").len();
        assert!(rung <= 1, "{rung} pushes for one wish\n{}", shown());

        // The log: each call has its end, and the end is what happened.
        let calls = calls(home);
        let pending = agentctl(home).args(["approvals", "list", "--json"]).run().code(0).json();
        let pending = pending["approvals"].as_array().unwrap().len();
        let log = || format!("{calls:#?}\n{}", shown());
        let open = calls.values().filter(|call| call.outcome.is_none()).count();
        assert!(open == 0 && pending == 0, "{open} calls without an end, {pending} approvals wait\n{}", log());
        let ended_as = |words: &[&str]| {
            let with_effect = calls.values().filter(|call| ["buy_product", "reset_password"].contains(&&*call.tool));
            with_effect.filter(|call| call.outcome.as_deref().is_some_and(|outcome| words.contains(&outcome))).count()
                as u64
        };
        assert!(ended_as(&["done"]) <= effects, "the log says done, and nothing was\n{}", log());
        let perhaps = ended_as(&["done", "unknown"]);
        assert!(effects <= perhaps, "something was done that the log denies\n{}", log());
        if weather.task != Task::Vault && said.iter().skip(1).any(is_answer) {
            assert!(effects == 1 || weather.door != Door::Call, "it says that it was done\n{}", log());
        }
        no_secret_is_seen(dev, home, said);
        if env::var("AGENTCTL_SWEEP_LOG").is_ok() {
            let codes: Vec<_> = said.iter().map(|output| output.status.code()).collect();
            let took: Vec<_> = said.iter().map(|output| output.took.as_millis()).collect();
            let outcomes: Vec<_> =
                calls.values().map(|call| (call.outcome.as_deref().unwrap_or("open"), &*call.message)).collect();
            eprintln!("  {effects} effects, {rung} pushes, codes {codes:?} after {took:?} ms, {outcomes:?}");
        }
        let wanted = weather.task != Task::Vault && weather.person == Person::Approves;
        Day { met, wanted, done: effects == 1 }
    }

    /// Which faults there were, of those that came: place, kind, and whether before or after the work.
    fn met(&self) -> BTreeSet<[String; 3]> {
        let requests = self.dev.get("/history");
        // Only a good answer is altered.
        let came = requests["requests"].as_array().unwrap().iter().filter(|request| {
            let good = request["answer"]["status"].as_u64().is_some_and(|status| status < 300);
            request["fault"].is_object()
                && (good || !["alter", "garble"].contains(&request["fault"]["kind"].as_str().unwrap()))
        });
        let faults = came.map(|request| &request["fault"]);
        faults.map(|fault| ["on", "kind", "when"].map(|name| fault[name].as_str().unwrap().to_owned())).collect()
    }
}

/// Whether a call of a tool ended well.
fn is_answer(output: &Output) -> bool {
    output.status.code() == Some(0) && output.stderr.contains("● ")
}

/// The output, if it is one of a program that ended as it may.
#[track_caller]
fn ended(output: Output) -> Output {
    if let Some(code) = output.status.code() {
        assert!(CODES.contains(&code), "the exit code\n{output}");
    }
    assert!(!output.stderr.contains("panicked at"), "{output}");
    for hidden in ['\u{1b}', '\u{7}', '\u{202e}'] {
        assert!(!output.stdout.contains(hidden) && !output.stderr.contains(hidden), "{hidden:?}\n{output}");
    }
    if output.stdout.starts_with("{\"schema_version\"") {
        output.lines();
    }
    output
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// Tries the seeds of one line, all with one tenant, until there are none left or one fails.
fn go_through(line: &Mutex<Vec<u64>>, preset: &str, failed: &Mutex<Vec<u64>>, report: &Mutex<Report>) {
    let mut world = None;
    let next = || line.lock().unwrap().pop();
    while let Some(seed) = next() {
        let (weather, started) = (weather(seed), Instant::now());
        let here = world.get_or_insert_with(|| World::new(preset));
        let lived = catch_unwind(AssertUnwindSafe(|| here.live(&weather)));
        if env::var("AGENTCTL_SWEEP_LOG").is_ok() {
            eprintln!("{seed:5} {:?} {weather:?}", started.elapsed());
        }
        match lived {
            Ok(day) => report.lock().unwrap().add(day),
            Err(_) => {
                eprintln!("seed {seed} fails; AGENTCTL_SWEEP_SEED={seed} repeats it\n{weather:#?}");
                failed.lock().unwrap().push(seed);
                world = None;
            }
        }
    }
}

#[test]
fn whatever_goes_wrong() {
    let seeds: Vec<u64> = match number("AGENTCTL_SWEEP_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("AGENTCTL_SWEEP").unwrap_or(SEEDS)).collect(),
    };
    let (failed, report) = (Mutex::new(Vec::new()), Mutex::new(Report::default()));
    let presets = ["auth0", "keycloak", "oidc"];
    // Each preset has its own line of seeds, so that a seed meets the same tenant wherever it is tried.
    let lines: Vec<Mutex<Vec<u64>>> = presets
        .iter()
        .map(|preset| Mutex::new(seeds.iter().rev().copied().filter(|seed| weather(*seed).preset == *preset).collect()))
        .collect();
    thread::scope(|scope| {
        for tenant in 0..TENANTS {
            let (lines, failed, report) = (&lines, &failed, &report);
            scope.spawn(move || {
                for at in 0..presets.len() {
                    let at = (tenant + at) % presets.len();
                    go_through(&lines[at], presets[at], failed, report);
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "these seeds fail: {failed:?}; AGENTCTL_SWEEP_SEED repeats one");
    let report = report.into_inner().unwrap();
    // Written past the test runner, which would keep it to itself.
    let _ = std::io::stderr().write_all(format!("\nsweep: {report}\n").as_bytes());
    if seeds.len() as u64 >= SEEDS {
        report.is_enough();
    }
}
