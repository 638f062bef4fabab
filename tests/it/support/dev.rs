//! The dev tenant as its own process, and its management port.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{Answer, Home, Running, agentctl, call};

/// A running `agentctl dev`.
pub(crate) struct Dev {
    // The home comes last: it must not vanish under the running program.
    _running: Running,
    pub(crate) ready: Value,
    clock: PathBuf,
    home: Home,
}

impl Dev {
    /// A tenant that lets clients poll every second.
    pub(crate) fn start() -> Self {
        Self::with(&["--interval", "1"])
    }

    /// A tenant whose model plays these turns (docs/dev-tenant/script.schema.json).
    pub(crate) fn scripted(turns: Value) -> Self {
        let dev = Self::start();
        dev.post("/script", &json!({ "turns": turns }));
        dev
    }

    /// A tenant with these arguments.
    pub(crate) fn with(args: &[&str]) -> Self {
        Self::begin(Home::new(), args)
    }

    /// A tenant whose own clock follows a file, as those of its clients do; [`Dev::advance`] is not for it.
    pub(crate) fn on_clock(clock: &Path, args: &[&str]) -> Self {
        let mut home = Home::new();
        home.set("AGENTCTL_TEST_CLOCK", clock.to_str().unwrap());
        Self::begin(home, args)
    }

    fn begin(mut home: Home, args: &[&str]) -> Self {
        // A tenant that is killed leaves its temporary folder; here it goes with the home.
        let temporary = home.path().to_str().unwrap().to_owned();
        home.set("TMPDIR", &temporary);
        let clock = home.path().join("clock");
        fs::write(&clock, "0").unwrap();
        let listen = ["dev", "--json", "--listen", "127.0.0.1:0", "--manage", "127.0.0.1:0"];
        let mut running = agentctl(&home).args(listen).args(args.iter().copied()).start();
        let line = running.first_line();
        let ready: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("the ready line: {error}: {line}"));
        assert_eq!(ready["event"], "ready", "{ready}");
        Self { _running: running, ready, clock, home }
    }

    /// A person's home with everything set that the tenant exports, and a clock that [`Dev::advance`] moves.
    pub(crate) fn home(&self) -> Home {
        let mut home = Home::new();
        home.set_all(&self.ready["env"]);
        home.set("AGENTCTL_TEST_CLOCK", self.clock.to_str().unwrap());
        home
    }

    /// A home of somebody who is logged in; approvals wait for whoever the test sends.
    #[track_caller]
    pub(crate) fn logged_in(&self) -> Home {
        let home = self.home();
        self.auto("approve", "off");
        agentctl(&home).args(["login", "--no-browser"]).run().code(0);
        home
    }

    /// A member of the ready line that is a string.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap_or_else(|| panic!("the ready line has no {name}"))
    }

    /// Asks the management port.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        self.manage("GET", path, None).json()
    }

    /// Steers the tenant.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.manage("POST", path, Some(body))
    }

    /// Takes something away.
    #[track_caller]
    pub(crate) fn delete(&self, path: &str, body: &Value) -> Answer {
        self.manage("DELETE", path, Some(body))
    }

    #[track_caller]
    fn manage(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let url = format!("{}{path}", self.text("manage_url").trim_end_matches('/'));
        let bearer = format!("Bearer {}", self.text("manage_token"));
        let answer = call(method, &url, &[("authorization", &bearer)], body);
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
        answer
    }

    /// Who answers by itself: `approve`, `deny` or `off`, each for logins and approvals.
    #[track_caller]
    pub(crate) fn auto(&self, logins: &str, approvals: &str) {
        self.post("/auto", &json!({ "logins": logins, "approvals": approvals, "after_ms": 50 }));
    }

    /// Lets the next requests go wrong.
    #[track_caller]
    pub(crate) fn fault(&self, fault: &Value) {
        self.post("/faults", fault);
    }

    /// Moves the tenant's clock and that of every program from [`Dev::home`].
    #[track_caller]
    pub(crate) fn advance(&self, seconds: u64) {
        self.advance_programs(seconds);
        self.post("/clock", &json!({ "advance_s": seconds }));
    }

    /// Moves the clock of the programs alone: for them, what the tenant does at this moment takes so much longer.
    #[track_caller]
    pub(crate) fn advance_programs(&self, seconds: u64) {
        let before: u64 = fs::read_to_string(&self.clock).unwrap().split(' ').next().unwrap().parse().unwrap();
        fs::write(&self.clock, (before + seconds).to_string()).unwrap();
    }

    /// Sets the wall clock of every program from [`Dev::home`] forward, or back; what they measure goes on.
    #[track_caller]
    pub(crate) fn set_wall_clocks(&self, seconds: i32) {
        fs::write(&self.clock, format!("0 {seconds}")).unwrap();
    }

    /// What was asked of one part of the tenant.
    #[track_caller]
    pub(crate) fn history(&self, of: &str) -> Vec<Value> {
        let answer = self.get(&format!("/history?of={of}"));
        listed(&answer, &["history", "requests"])
    }

    /// The orders at the shop.
    #[track_caller]
    pub(crate) fn orders(&self) -> Vec<Value> {
        listed(&self.get("/orders"), &["orders"])
    }

    /// How many passwords were reset in the directory.
    #[track_caller]
    pub(crate) fn resets(&self) -> u64 {
        let users = listed(&self.get("/directory"), &["users"]);
        users.iter().map(|user| user["password_resets"].as_u64().unwrap()).sum()
    }

    /// Every secret that passed between the tenant and its clients, and those that its exports configure.
    #[track_caller]
    pub(crate) fn secrets(&self) -> BTreeSet<String> {
        let entries = listed(&self.get("/history"), &["history", "requests"]);
        let mut secrets = Vec::new();
        for entry in &entries {
            collect_secrets(&entry["answer"], &mut secrets);
            collect_secrets(&entry["form"], &mut secrets);
        }
        let env = self.ready["env"].as_object().unwrap();
        let is_secret =
            |name: &str| ["_SECRET", "_TOKEN", "_API_KEY", "_PASSPHRASE"].iter().any(|end| name.ends_with(end));
        let configured = env.iter().filter(|(name, _)| is_secret(name));
        secrets.extend(configured.filter_map(|(_, value)| value.as_str().map(str::to_owned)));
        secrets.into_iter().collect()
    }
}

/// At the end of every test: nothing that opens a door was told to the model, whatever the test was about.
impl Drop for Dev {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let asked: String = self.history("model").iter().map(|entry| entry["body"].to_string()).collect();
        for secret in self.secrets() {
            assert!(!asked.contains(&secret), "the model was told {secret}");
        }
    }
}

/// Every token and code in an answer or a form, wherever it stands.
fn collect_secrets(answer: &Value, secrets: &mut Vec<String>) {
    const NAMES: [&str; 9] = [
        "access_token",
        "refresh_token",
        "id_token",
        "device_code",
        "auth_req_id",
        "auth_session",
        "subject_token",
        "client_secret",
        "client_assertion",
    ];
    match answer {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(text) if NAMES.contains(&name.as_str()) && text.len() > 8 => secrets.push(text.to_owned()),
                    _ => collect_secrets(value, secrets),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_secrets(item, secrets)),
        _ => {}
    }
}

#[track_caller]
fn listed(answer: &Value, names: &[&str]) -> Vec<Value> {
    let list = answer.as_array().or_else(|| names.iter().find_map(|name| answer[*name].as_array()));
    list.unwrap_or_else(|| panic!("no list in {answer}")).clone()
}
