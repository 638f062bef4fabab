//! What it costs to wait for many approvals at once: `cargo bench --bench many`, or `-- 200` for another number than 1,000.
//!
//! The dev tenant is a process of its own, and so is the one that is measured: the finished program's `approvals wait --all`.
//! Only the requests are made here, with the library, because the program asks one person five times a minute at most.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot be set up has nothing to measure")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    rc::Rc,
    sync::Arc,
    thread,
    time::Duration,
};

use agentctl::{
    approval::{Approvals, OnApproval, Patience},
    call::{RunId, ToolCall},
    clock::{SharedClock, SystemClock},
    config::{Config, EnvVars, Overrides},
    dispatch::{Actor, Dispatcher},
    guard::{Guard, Permissions},
    http::{Http, Request},
    oauth::{Client, ClientAuth, Provider},
    policy::Policy,
    secret::{AccessToken, ClientSecret, Passphrase},
    session::{
        Session, SessionParts,
        vault::{Subject, Vault, VaultParts},
    },
    store::{
        audit::Audit,
        credentials::{Store, Unlock},
        journal::{Bounds, Journal, RunRow},
        stop::Stop,
    },
    tool::{OriginRules, Registry, Settings},
};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_agentctl");
const PASSPHRASE: &str = "a passphrase for the bench";
/// Seconds between two polls of one request, as the tenant asks for them.
const INTERVAL: &str = "5";
const SETTLE: Duration = Duration::from_secs(15);
const MEASURE: Duration = Duration::from_secs(30);

const TOOLSET: &str = r#"
[toolset]
name = "bench"
description = "What is asked for, and never done"

[[tool]]
name = "do_it"
description = "Nothing"
effect = "irreversible"
[tool.parameters]
type = "object"
required = ["number"]
[tool.parameters.properties]
number = { type = "integer" }
[tool.approval]
binding_message = "DO-{{ number }}"
[tool.approval.authorization_details]
type = "account-change"
[tool.credential]
source = "approval"
audience = "sample-shop-api"
scopes = ["product:buy"]
[tool.request]
method = "POST"
url = "http://127.0.0.1:9/"
json = { number = "{{ number }}" }
"#;

fn main() {
    let most = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1000);
    let (few, many) = (measure(1), measure(most));
    let each = (many.rss - few.rss).max(0.0) / (most as f64 - 1.0).max(1.0);
    println!("approvals  memory (MiB)  CPU (% of a core)  polls/s  told to slow down");
    for (number, one) in [(1, &few), (most, &many)] {
        let (rss, cpu) = (one.rss / 1024.0, one.cpu * 100.0);
        println!("{number:9}  {rss:12.1}  {cpu:17.1}  {:7.1}  {:18}", one.polls, one.early);
    }
    println!("each of them: {each:.1} KiB");
}

/// What one process that waits was seen to use.
struct Used {
    /// In KiB.
    rss: f64,
    /// Seconds of a core in a second.
    cpu: f64,
    /// Requests in a second.
    polls: f64,
    /// How often the tenant answered `slow_down`.
    early: usize,
}

/// A process that ends with the bench.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn agentctl(home: &Path, env: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(BINARY);
    // The tenant names a folder of its own; here every process has that of the bench.
    command.env_clear().envs(env).env("HOME", home).env("AGENTCTL_HOME", home.join("agentctl"));
    command.env("AGENTCTL_STORE", "file").env("AGENTCTL_STORE_PASSPHRASE", PASSPHRASE);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn measure(number: usize) -> Used {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let arguments = ["dev", "--json", "--listen", "127.0.0.1:0", "--manage", "127.0.0.1:0", "--interval", INTERVAL];
    let mut dev = Running(agentctl(home, &BTreeMap::new()).args(arguments).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    let mut ready_line = BufReader::new(dev.0.stdout.take().unwrap());
    ready_line.read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let env: BTreeMap<String, String> = serde_json::from_value(ready["env"].clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tenant = Tenant { ready, http: Http::default() };
    runtime.block_on(tenant.manage(
        "POST",
        "/auto",
        &json!({ "logins": "approve", "approvals": "off", "after_ms": 0 }),
    ));
    assert!(agentctl(home, &env).args(["login", "--no-browser"]).status().unwrap().success());
    runtime.block_on(ask(home, &env, number));

    let waiting = Running(
        agentctl(home, &env).args(["approvals", "wait", "--all", "--json"]).stdout(Stdio::null()).spawn().unwrap(),
    );
    thread::sleep(SETTLE);
    let before = (cpu_seconds(&waiting.0), runtime.block_on(tenant.polls()).0);
    thread::sleep(MEASURE);
    let after = (cpu_seconds(&waiting.0), runtime.block_on(tenant.polls()));
    let span = MEASURE.as_secs_f64();
    Used {
        rss: rss(&waiting.0),
        cpu: (after.0 - before.0) / span,
        polls: (after.1.0 - before.1) as f64 / span,
        early: after.1.1,
    }
}

/// Resident memory in KiB.
fn rss(child: &Child) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Time on a core, of the user and of the system. The kernel counts in hundredths of a second.
fn cpu_seconds(child: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// The management port.
struct Tenant {
    ready: Value,
    http: Http,
}

impl Tenant {
    async fn manage(&self, method: &str, path: &str, body: &Value) -> Value {
        let text = |name: &str| self.ready[name].as_str().unwrap();
        let url = url::Url::parse(text("manage_url")).unwrap().join(path).unwrap();
        let token = AccessToken::new(text("manage_token"));
        let mut request = Request::new(method.parse().unwrap(), url).bearer(&token).unwrap().max_bytes(256 << 20);
        if method != "GET" {
            request = request.body("application/json", body.to_string());
        }
        let answer = self.http.send(request).await.unwrap();
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.status);
        answer.json().unwrap_or_default()
    }

    /// How many polls there were, by the number of the last one, and to how many of those it remembers it said `slow_down`.
    async fn polls(&self) -> (u64, usize) {
        let history = self.manage("GET", "/history?of=ciba_poll", &Value::Null).await;
        let polls = history["requests"].as_array().or(history.as_array()).cloned().unwrap_or_default();
        let last = polls.last().and_then(|poll| poll["seq"].as_u64()).unwrap_or(0);
        (last, polls.iter().filter(|poll| poll.to_string().contains("slow_down")).count())
    }
}

/// Makes so many requests for approval, and waits for none of them.
async fn ask(home: &Path, env: &BTreeMap<String, String>, number: usize) {
    let mut vars = env.clone();
    vars.insert("AGENTCTL_HOME".to_owned(), home.join("agentctl").to_str().unwrap().to_owned());
    let config = Config::load(&EnvVars::from_pairs(vars), &Overrides::default(), home).unwrap();
    let clock: SharedClock = Arc::new(SystemClock::default());
    let http = Http::default();
    let unlock = Unlock::Passphrase(Passphrase::new(PASSPHRASE));
    let store = Arc::new(Store::file(config.credentials_file(), unlock, Duration::from_secs(10)));
    let session = Rc::new(Session::new(SessionParts {
        http: http.clone(),
        clock: clock.clone(),
        store: Arc::clone(&store),
        provider: Provider::Auth0,
        issuer: config.issuer.as_ref().unwrap().value.clone(),
        client: Client::public(config.login.client_id.as_ref().unwrap().value.as_str()),
        account: config.profile.value.clone(),
        audience: None,
        resource: None,
        scopes: ["openid", "profile", "email", "offline_access"].map(str::to_owned).to_vec(),
        state_dir: config.dirs.state.clone(),
        stop: Stop::open(config.stop_files()),
    }));
    let secret = ClientSecret::new(env["AGENTCTL_APPROVAL_CLIENT_SECRET"].as_str());
    let client = Client { id: env["AGENTCTL_APPROVAL_CLIENT_ID"].clone(), auth: ClientAuth::SecretPost(secret) };
    let journal = Rc::new(Journal::open(&config.dirs.state).unwrap());
    let patience = Patience::default();
    patience.set(OnApproval::Detach);
    let approvals = Approvals {
        http: http.clone(),
        clock: clock.clone(),
        session: Rc::clone(&session),
        journal: Rc::clone(&journal),
        store: Arc::clone(&store),
        provider: Provider::Auth0,
        client: Some(client.clone()),
        binding: None,
        pushes_per_minute: 1_000_000,
        locks: home.join("locks"),
        patience,
        left: agentctl::approval::Left::default(),
        stop: Stop::open(config.stop_files()),
    };
    let vault = Vault::new(VaultParts {
        http: http.clone(),
        clock: clock.clone(),
        session,
        provider: Provider::Auth0,
        client: None,
        subject: Subject::AccessToken,
        audience: None,
        resource: None,
    });
    let toolsets = home.join("toolsets");
    fs::create_dir(&toolsets).unwrap();
    fs::write(toolsets.join("bench.toml"), TOOLSET).unwrap();
    let origins = OriginRules { loopback_http: true, ..OriginRules::default() };
    let dispatcher = Dispatcher {
        registry: Registry::load(&toolsets, &Settings::new(), &origins).unwrap(),
        guard: Guard { approvals, permissions: Permissions::Unset, policy: Policy::default(), vault },
        audit: Audit::open(&config.dirs.state),
        journal: Rc::clone(&journal),
        store,
        http,
        clock: clock.clone(),
        actor: Actor::default(),
    };
    for number in 0..number {
        let run = RunId::mint();
        let row = RunRow {
            id: run.clone(),
            started_at: clock.now(),
            profile: config.profile.value.clone(),
            model: String::new(),
            title: "bench".to_owned(),
            bounds: Bounds::default(),
        };
        journal.start_run(&row).unwrap();
        let arguments = json!({ "number": number }).to_string();
        let call = ToolCall { id: "call".to_owned(), name: "do_it".to_owned(), arguments };
        let (_, output) = dispatcher.call(&call, &run, &|_| {}).await.unwrap();
        assert_eq!(output.outcome, agentctl::call::Outcome::Pending, "{}", output.message);
    }
}
