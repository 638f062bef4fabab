//! The table of decisions: every combination of permission, policy, approval and credential, on the dev tenant, in one
//! process with a clock that nobody waits for. What must come of each row is worked out here, apart from the guard. And for
//! every row, `can` is asked before.

use std::{cell::Cell, collections::BTreeMap, path::Path, rc::Rc, sync::Arc, time::Duration};

use agentctl::{
    approval::{Approvals, Patience},
    call::{Outcome, RunId, ToolCall},
    clock::{ManualClock, SharedClock},
    dev::{self, Tenant},
    dispatch::{Actor, Dispatcher},
    fga::{Auth, Fga},
    guard::{Asked, Guard, Permissions},
    http::{Http, Request},
    oauth::{Client, ClientAuth, Provider},
    policy::{Author, Policy, PolicyFile},
    secret::{AccessToken, ApiKey, ClientSecret},
    session::{
        Session, SessionParts,
        vault::{Subject, Vault, VaultParts},
    },
    store::{audit::Audit, credentials::Store, journal::Journal, stop::Stop},
    tool::{OriginRules, Registry, Settings},
};
use serde_json::{Value, json};
use url::Url;

use crate::support::CountingApi;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    NotDeclared,
    Allowed,
    NotTheUser,
    NotTheAgent,
    /// Taken away while the phone rings.
    TakenAway,
    Down,
    Garbled,
    NoServer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Nothing,
    Denies,
    Asks,
    TooExpensive,
    OtherOrigin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Nobody,
    SomebodyElse,
    OtherDetails,
    LessScope,
    /// The server fails when it is asked to make the phone ring.
    NotAsked,
    /// A yes, and its answer comes without the signed proof.
    NoProof,
    /// A yes, and no answer to a poll ever arrives.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credential {
    None,
    Approval,
    User,
    UserNotGranted,
    Connection,
    NotConnected,
    LacksScopes,
    Revoked,
    VaultDown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Fine,
    Refuses,
    Fails,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    permission: Permission,
    rule: Rule,
    /// Whether the manifest asks the person.
    asks: bool,
    answer: Answer,
    credential: Credential,
    api: Api,
}

const PERMISSIONS: [Permission; 8] = [
    Permission::NotDeclared,
    Permission::Allowed,
    Permission::NotTheUser,
    Permission::NotTheAgent,
    Permission::TakenAway,
    Permission::Down,
    Permission::Garbled,
    Permission::NoServer,
];
const RULES: [Rule; 5] = [Rule::Nothing, Rule::Denies, Rule::Asks, Rule::TooExpensive, Rule::OtherOrigin];
const ANSWERS: [Answer; 9] = [
    Answer::Yes,
    Answer::No,
    Answer::Nobody,
    Answer::SomebodyElse,
    Answer::OtherDetails,
    Answer::LessScope,
    Answer::NotAsked,
    Answer::NoProof,
    Answer::Lost,
];
const CREDENTIALS: [Credential; 9] = [
    Credential::None,
    Credential::Approval,
    Credential::User,
    Credential::UserNotGranted,
    Credential::Connection,
    Credential::NotConnected,
    Credential::LacksScopes,
    Credential::Revoked,
    Credential::VaultDown,
];

/// What must come of a row: how it ends, and how far it gets.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    outcome: Outcome,
    rings: bool,
    exchanges: bool,
    runs: bool,
    /// How `can` says it ends; none if it would run.
    foreseen: Option<Outcome>,
}

impl Row {
    fn is_asked(self) -> bool {
        self.asks || self.rule == Rule::Asks
    }

    /// Rows that differ only in what is never reached are one.
    fn is_its_own(self) -> bool {
        let credential_fits = self.asks || self.credential != Credential::Approval;
        let answer_matters = self.is_asked() || self.answer == Answer::Yes;
        // What a rule demands has no details of its own, and only an approval's own token has scopes to be cut.
        let details = self.asks || self.answer != Answer::OtherDetails;
        let scope = self.credential == Credential::Approval || self.answer != Answer::LessScope;
        // A wait to the end is long, and what kind of token was to follow does not matter to it.
        let lost = matches!(self.credential, Credential::None | Credential::Approval) || self.answer != Answer::Lost;
        let api_matters = self.api == Api::Fine || Row { api: Api::Fine, ..self }.expected().runs;
        credential_fits && answer_matters && details && scope && lost && api_matters
    }

    fn expected(self) -> Expected {
        let refused =
            |outcome| Expected { outcome, rings: false, exchanges: false, runs: false, foreseen: Some(outcome) };
        match self.rule {
            Rule::Denies | Rule::OtherOrigin => return refused(Outcome::NotPermitted),
            // A denial for permission is found first: the limit of a call is policy, the order is policy, permission.
            Rule::TooExpensive => return refused(Outcome::Limit),
            Rule::Nothing | Rule::Asks => {}
        }
        match self.permission {
            Permission::NotDeclared | Permission::Allowed | Permission::TakenAway => {}
            _ => return refused(Outcome::NotPermitted),
        }
        if matches!(self.credential, Credential::NotConnected | Credential::LacksScopes) {
            let known = refused(Outcome::ConnectionNeeded);
            // Before a phone rings the account is looked at; without one the exchange itself says it.
            return Expected { exchanges: !self.is_asked(), ..known };
        }
        let foreseen = (self.credential == Credential::UserNotGranted).then_some(Outcome::Failed);
        let ends = |outcome| Expected { outcome, rings: self.is_asked(), exchanges: false, runs: false, foreseen };
        if self.is_asked() {
            match self.answer {
                Answer::Yes => {}
                Answer::No => return ends(Outcome::Denied),
                Answer::Nobody => return ends(Outcome::Expired),
                Answer::SomebodyElse | Answer::OtherDetails | Answer::LessScope | Answer::NoProof => {
                    return ends(Outcome::NotPermitted);
                }
                Answer::NotAsked => return Expected { rings: false, ..ends(Outcome::Failed) },
                Answer::Lost => return ends(Outcome::Failed),
            }
            if self.permission == Permission::TakenAway {
                return ends(Outcome::NotPermitted);
            }
        }
        match self.credential {
            Credential::UserNotGranted => return ends(Outcome::Failed),
            Credential::Revoked => return Expected { exchanges: true, ..ends(Outcome::ConnectionNeeded) },
            Credential::VaultDown => return Expected { exchanges: true, ..ends(Outcome::Failed) },
            _ => {}
        }
        let exchanges = self.credential == Credential::Connection;
        let outcome = match self.api {
            Api::Fine => Outcome::Done,
            Api::Refuses => Outcome::Failed,
            Api::Fails => Outcome::Unknown,
        };
        Expected { exchanges, runs: true, ..ends(outcome) }
    }

    /// The tool of this row.
    fn manifest(self, api: &str) -> String {
        let permission = match self.permission {
            Permission::NotDeclared => "",
            _ => "[tool.permission]\nrelation = \"manage_okta\"\nobject = \"okta:main\"",
        };
        let approval = match self.asks {
            true => {
                "[tool.approval]\nbinding_message = \"DO-{{ amount }}\"\nAUDIENCE\n\
                 [tool.approval.authorization_details]\ntype = \"account-change\""
            }
            false => "",
        };
        // The approval's own token has its audience with the credential.
        let own = self.credential == Credential::Approval;
        let approval = approval.replace("AUDIENCE", if own { "" } else { "audience = \"okta-admin\"" });
        let none = if self.asks { "" } else { "approval = \"none\"\napproval_reason = \"a test\"" };
        let credential = match self.credential {
            Credential::None => "source = \"none\"",
            Credential::Approval => "source = \"approval\"\naudience = \"sample-shop-api\"\nscopes = [\"product:buy\"]",
            Credential::User => "source = \"user\"\naudience = \"sample-shop-api\"\nscopes = [\"product:read\"]",
            Credential::UserNotGranted => {
                "source = \"user\"\naudience = \"sample-shop-api\"\nscopes = [\"product:buy\"]"
            }
            Credential::LacksScopes => {
                "source = \"connection\"\nconnection = \"okta\"\nscopes = [\"okta.apps.manage\"]"
            }
            _ => "source = \"connection\"\nconnection = \"okta\"\nscopes = [\"okta.users.manage\"]",
        };
        format!(
            "[toolset]\nname = \"table\"\ndescription = \"t\"\n[[tool]]\nname = \"do_it\"\ndescription = \"t\"\n\
             effect = \"reversible\"\n{none}\n\
             [tool.parameters]\ntype = \"object\"\nrequired = [\"amount\"]\n\
             [tool.parameters.properties]\namount = {{ type = \"integer\" }}\n\
             {permission}\n{approval}\n[tool.credential]\n{credential}\n\
             [tool.request]\nmethod = \"POST\"\nurl = \"{api}\"\njson = {{ amount = \"{{{{ amount }}}}\" }}\n\
             [tool.limits]\nspend = \"{{{{ amount }}}}\"\ncurrency = \"EUR\"\n"
        )
    }

    fn policy(self) -> Policy {
        let text = match self.rule {
            Rule::Nothing => "",
            Rule::Denies => "[[rule]]\nname = \"r\"\ntools = [\"do_it\"]\ndecision = \"deny\"",
            Rule::Asks => "[[rule]]\nname = \"r\"\ntools = [\"do_it\"]\ndecision = \"require_approval\"",
            Rule::TooExpensive => "[max_spend]\nper_call = \"1 EUR\"",
            Rule::OtherOrigin => "allowed_origins = [\"https://elsewhere.example\"]",
        };
        let author = if self.rule == Rule::Denies { Author::Admin } else { Author::User };
        let file = PolicyFile::parse(author, "policy.toml".into(), text).unwrap();
        Policy { files: vec![file], per_run: Vec::new() }
    }
}

/// The tenant, somebody who is logged in, and everything that a dispatcher is made of.
struct Desk {
    tenant: Rc<Tenant>,
    env: BTreeMap<String, String>,
    manage: (Url, AccessToken),
    http: Http,
    clock: Arc<ManualClock>,
    store: Arc<Store>,
    session: Rc<Session>,
    journal: Rc<Journal>,
    api: CountingApi,
    folder: tempfile::TempDir,
    /// The newest request to the vault that was counted.
    vault_seq: Cell<u64>,
}

impl Desk {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap()));
        let shared: SharedClock = Arc::clone(&clock) as SharedClock;
        let tenant = Rc::new(
            dev::start(dev::Options { interval_s: 1, ..dev::Options::default() }, shared.clone()).await.unwrap(),
        );
        let serving = Rc::clone(&tenant);
        tokio::task::spawn_local(async move { serving.run().await });
        let folder = tempfile::tempdir().unwrap();
        let ready = tenant.ready(folder.path(), "unused");
        let env: BTreeMap<String, String> = ready.env.into_iter().collect();
        let (http, store) = (Http::default(), Arc::new(Store::memory()));
        let session = Rc::new(Session::new(SessionParts {
            http: http.clone(),
            clock: shared,
            store: Arc::clone(&store),
            provider: Provider::Auth0,
            issuer: ready.issuer,
            client: Client::public(dev::LOGIN_CLIENT),
            account: "default".to_owned(),
            audience: None,
            resource: None,
            scopes: ["openid", "profile", "email", "offline_access"].map(str::to_owned).to_vec(),
            state_dir: folder.path().join("state"),
            stop: Stop::default(),
        }));
        let login = session.begin_login(&agentctl::session::Extra::default()).await.unwrap();
        tenant.phone().approve_login(login.user_code()).unwrap();
        session.finish_login(login, None, &|_| {}).await.unwrap();
        Self {
            manage: (Url::parse(&ready.manage_url).unwrap(), AccessToken::new(ready.manage_token)),
            journal: Rc::new(Journal::open(&folder.path().join("state")).unwrap()),
            api: CountingApi::start().await,
            tenant,
            env,
            http,
            clock,
            store,
            session,
            folder,
            vault_seq: Cell::new(0),
        }
    }

    async fn manage(&self, method: &str, path: &str, body: Value) -> Value {
        let (base, token) = &self.manage;
        let url = base.join(path).unwrap();
        let mut request = Request::new(method.parse().unwrap(), url).bearer(token).unwrap().max_bytes(64 << 20);
        if method != "GET" {
            request = request.body("application/json", body.to_string());
        }
        let answer = self.http.send(request).await.unwrap();
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path} {body}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        answer.json().unwrap_or_default()
    }

    fn client(&self, id: &str, secret: &str) -> Client {
        let secret = ClientSecret::new(self.env[secret].as_str());
        Client { id: id.to_owned(), auth: ClientAuth::SecretPost(secret) }
    }

    fn dispatcher(&self, row: Row) -> Dispatcher {
        let toolsets = self.folder.path().join("toolsets");
        std::fs::create_dir_all(&toolsets).unwrap();
        std::fs::write(toolsets.join("table.toml"), row.manifest(&self.api.url)).unwrap();
        let origins = OriginRules { loopback_http: true, ..OriginRules::default() };
        let clock: SharedClock = Arc::clone(&self.clock) as SharedClock;
        let client = self.client(dev::APPROVAL_CLIENT, "AGENTCTL_APPROVAL_CLIENT_SECRET");
        let approvals = Approvals {
            http: self.http.clone(),
            clock: clock.clone(),
            session: Rc::clone(&self.session),
            journal: Rc::clone(&self.journal),
            store: Arc::clone(&self.store),
            provider: Provider::Auth0,
            client: Some(client),
            binding: None,
            pushes_per_minute: 5,
            locks: self.folder.path().join("locks"),
            patience: Patience::default(),
            left: agentctl::approval::Left::default(),
            stop: Stop::default(),
        };
        let fga = |api_url: &str| {
            let auth = Auth::Token(ApiKey::new(self.env["AGENTCTL_FGA_API_TOKEN"].as_str()));
            let store = &self.env["AGENTCTL_FGA_STORE_ID"];
            Permissions::Fga(Box::new(Asked {
                fga: Fga::new(self.http.clone(), clock.clone(), api_url, store, None, auth).unwrap(),
                by_email: false,
                check_agent: true,
                agent: Some(dev::APPROVAL_CLIENT.to_owned()),
            }))
        };
        let vault = Vault::new(VaultParts {
            http: self.http.clone(),
            clock: clock.clone(),
            session: Rc::clone(&self.session),
            provider: Provider::Auth0,
            client: Some(self.client(&self.env["AGENTCTL_VAULT_CLIENT_ID"], "AGENTCTL_VAULT_CLIENT_SECRET")),
            subject: Subject::AccessToken,
            audience: Some(self.env["AGENTCTL_VAULT_AUDIENCE"].clone()),
            resource: None,
        });
        let permissions = match row.permission {
            Permission::NoServer => Permissions::Unset,
            _ => fga(&self.env["AGENTCTL_FGA_API_URL"]),
        };
        Dispatcher {
            registry: Registry::load(&toolsets, &Settings::new(), &origins).unwrap(),
            guard: Guard { approvals, permissions, policy: row.policy(), vault },
            audit: Audit::open(&self.folder.path().join("state")),
            journal: Rc::clone(&self.journal),
            store: Arc::clone(&self.store),
            http: self.http.clone(),
            clock,
            actor: Actor::default(),
        }
    }

    /// Puts the world into the state of a row.
    async fn arrange(&self, row: Row) {
        let tuple = |user: &str| json!({ "user": user, "relation": "manage_okta", "object": "okta:main" });
        let fault = |on: &str, kind: Value| {
            let mut fault = json!({ "on": on, "times": 1000 });
            fault.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
            fault
        };
        match row.permission {
            Permission::NotTheUser => drop(self.manage("DELETE", "/tuples", tuple("ada")).await),
            Permission::NotTheAgent => drop(self.manage("DELETE", "/tuples", tuple("agent:agentctl-approval")).await),
            Permission::Down => {
                self.manage("POST", "/faults", fault("fga", json!({ "kind": "status", "status": 503 }))).await;
            }
            Permission::Garbled => drop(self.manage("POST", "/faults", fault("fga", json!({ "kind": "html" }))).await),
            _ => {}
        }
        let account = json!({ "person": "ada", "connection": "okta" });
        match row.credential {
            Credential::NotConnected => drop(self.manage("DELETE", "/connections", account).await),
            Credential::Revoked => drop(self.manage("POST", "/connections/revoke", account).await),
            Credential::VaultDown => {
                self.manage("POST", "/faults", fault("vault", json!({ "kind": "status", "status": 503 }))).await;
            }
            _ => {}
        }
        let bent = match row.answer {
            Answer::NotAsked => Some(fault("ciba", json!({ "kind": "status", "status": 503 }))),
            Answer::NoProof => Some(fault("ciba_poll", json!({ "kind": "alter", "answer": { "id_token": null } }))),
            Answer::Lost => Some(fault("ciba_poll", json!({ "kind": "drop", "when": "after" }))),
            _ => None,
        };
        if let Some(fault) = bent {
            self.manage("POST", "/faults", fault).await;
        }
        self.api.answers(match row.api {
            Api::Fine => 200,
            Api::Refuses => 403,
            Api::Fails => 500,
        });
    }

    /// And back.
    async fn restore(&self, row: Row) {
        self.manage("DELETE", "/faults", json!({})).await;
        let tuple = |user: &str| json!({ "user": user, "relation": "manage_okta", "object": "okta:main" });
        match row.permission {
            Permission::NotTheUser => drop(self.manage("POST", "/tuples", tuple("ada")).await),
            Permission::NotTheAgent => drop(self.manage("POST", "/tuples", tuple("agent:agentctl-approval")).await),
            Permission::TakenAway if row.expected().rings => drop(self.manage("POST", "/tuples", tuple("ada")).await),
            _ => {}
        }
        if matches!(row.credential, Credential::NotConnected | Credential::Revoked) {
            let scopes = ["okta.users.read", "okta.groups.read", "okta.users.manage", "okta.groups.manage"];
            let account = json!({ "person": "ada", "connection": "okta", "scopes": scopes });
            self.manage("POST", "/connections", account).await;
        }
        // The next push is a minute away, and so is the next token's end.
        self.clock.advance(Duration::from_secs(61));
    }

    /// Answers as the row says when the phone rings.
    async fn person(&self, row: Row, rang: &Cell<bool>) {
        let push = self.tenant.phone().next_push().await;
        rang.set(true);
        if row.permission == Permission::TakenAway {
            let tuple = json!({ "user": "ada", "relation": "manage_okta", "object": "okta:main" });
            self.manage("DELETE", "/tuples", tuple).await;
        }
        let approve = |body: Value| (format!("/approvals/{}/approve", push.id), body);
        let (path, body) = match row.answer {
            Answer::Yes | Answer::NotAsked | Answer::NoProof | Answer::Lost => approve(json!({})),
            Answer::No => (format!("/approvals/{}/deny", push.id), json!({})),
            Answer::Nobody => {
                self.clock.advance(Duration::from_secs(301));
                return std::future::pending().await;
            }
            Answer::SomebodyElse => approve(json!({ "person": "alan" })),
            Answer::OtherDetails => {
                let pending = self.manage("GET", "/pending", Value::Null).await;
                let mut details = pending["approvals"][0]["authorization_details"].clone();
                assert_eq!(details[0]["properties"]["amount"]["value"], "2", "{pending}");
                details[0]["properties"]["amount"]["value"] = json!("3");
                approve(json!({ "authorization_details": details }))
            }
            Answer::LessScope => approve(json!({ "scope": "openid" })),
        };
        self.manage("POST", &path, body).await;
        std::future::pending::<()>().await;
    }

    /// How often the vault was asked since this was last called.
    async fn exchanges(&self) -> usize {
        let history = self.manage("GET", "/history?of=vault", Value::Null).await;
        let entries = history["requests"].as_array().or(history.as_array()).cloned().unwrap_or_default();
        let last = self.vault_seq.get();
        let seqs: Vec<u64> =
            entries.iter().map(|entry| entry["seq"].as_u64().unwrap()).filter(|seq| *seq > last).collect();
        self.vault_seq.set(seqs.iter().copied().max().unwrap_or(last));
        seqs.len()
    }
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for permission in PERMISSIONS {
        for rule in RULES {
            for asks in [true, false] {
                for answer in ANSWERS {
                    for credential in CREDENTIALS {
                        for api in [Api::Fine, Api::Refuses, Api::Fails] {
                            rows.push(Row { permission, rule, asks, answer, credential, api });
                        }
                    }
                }
            }
        }
    }
    rows.retain(|row| row.is_its_own());
    rows
}

#[tokio::test]
async fn nothing_runs_without_every_yes_and_can_says_so_before() {
    let local = tokio::task::LocalSet::new();
    local.run_until(walk()).await;
}

async fn walk() {
    let desk = Desk::new().await;
    let call = ToolCall { id: "c".to_owned(), name: "do_it".to_owned(), arguments: "{\"amount\":2}".to_owned() };
    let (mut wrong, mut ran, mut exchanges) = (Vec::new(), 0, 0);
    let rows = rows();
    for (at, row) in rows.iter().copied().enumerate() {
        let expected = row.expected();
        desk.arrange(row).await;
        let dispatcher = desk.dispatcher(row);
        let before = desk.api.hits();
        let (_, forecast) = dispatcher.foresee(&call, None).await.unwrap();
        let foreseen = forecast.refused.as_ref().map(|refused| refused.outcome);
        assert_eq!(desk.api.hits(), before, "{row:?}: can has an effect");
        let rang = Cell::new(false);
        let run = RunId::mint();
        let output = tokio::select! {
            biased;
            output = dispatcher.call(&call, &run, &|_| {}) => output.unwrap().1,
            () = desk.person(row, &rang) => unreachable!(),
        };
        let runs = desk.api.hits() - before;
        let seen = (output.outcome, rang.get(), runs, foreseen);
        if seen != (expected.outcome, expected.rings, usize::from(expected.runs), expected.foreseen) {
            wrong.push(format!("{row:?}\n  expected {expected:?}\n  but was {seen:?}: {}", output.message));
        }
        let asks = expected.rings || (row.is_asked() && row.answer == Answer::NotAsked);
        if forecast.refused.is_none() && forecast.approval.is_some() != asks {
            wrong.push(format!("{row:?}: can does not know whether the phone rings"));
        }
        ran += usize::from(expected.runs);
        exchanges += usize::from(expected.exchanges);
        desk.restore(row).await;
        if at % 100 == 99 || at + 1 == rows.len() {
            let counted = desk.exchanges().await;
            if counted != std::mem::take(&mut exchanges) {
                wrong.push(format!("up to row {at}: the vault was asked {counted} times"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong[..wrong.len().min(12)].join("\n"));
    assert!(rows.len() > 800 && ran > 20, "{} rows, {ran} of them run", rows.len());
    let verdict = Audit::open(&desk.folder.path().join("state")).verify(|_, _| Ok(())).unwrap();
    assert!(verdict.is_whole() && Path::new(desk.folder.path()).exists());
}
