//! What a day is like: everything that a seed decides.

use serde_json::{Value, json};

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// An order, with the token of the approval.
    Purchase,
    /// A password, with a connected account's token after an approval.
    Admin,
    /// A look into the directory, with a connected account's token.
    Vault,
}

/// How it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Run,
    Events,
    Call,
}

/// What the person does about a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Person {
    Approves,
    Denies,
    Sleeps,
}

/// What happens meanwhile.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    /// The process gets this signal.
    Signal(&'static str),
    /// The tenant signs with a new key.
    NewKey,
    /// The third party takes its grant back.
    Revoked,
    /// The person may not buy or administer any more.
    NotPermitted,
}

/// One day.
#[derive(Clone, Debug)]
pub(super) struct Weather {
    pub(super) preset: &'static str,
    pub(super) task: Task,
    pub(super) door: Door,
    pub(super) talkative: bool,
    pub(super) person: Person,
    pub(super) answers_after_ms: u64,
    /// By how many seconds the client's clock is ahead of the tenant's, after the login.
    pub(super) skew: i64,
    /// Faults that meet the login.
    pub(super) at_login: Vec<Value>,
    pub(super) faults: Vec<Value>,
    /// Faults that meet the commands at the end: a look at the connections, and the logout.
    pub(super) at_logout: Vec<Value>,
    /// What happens so many real milliseconds after the start.
    pub(super) deeds: Vec<(u64, Deed)>,
    /// The durable step at which the process dies.
    pub(super) dies_at: Option<&'static str>,
    /// Seconds after which the command gives up.
    pub(super) timeout: Option<u64>,
    /// Whether the access tokens of the login are old.
    pub(super) stale: bool,
}

impl Weather {
    /// Whether the first good answer about the approval will say that somebody else gave it.
    pub(super) fn lies(&self) -> bool {
        self.faults.iter().all(|fault| fault["claims"].is_object())
    }
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xA076_1D64_78BD_642F))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True in so many of a hundred cases.
    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    fn of<T: Clone>(&mut self, items: &[T]) -> T {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()].clone()
    }
}

const STEPS: [&str; 12] = [
    "after:call_opened",
    "after:audit_request",
    "after:planned",
    "after:requested",
    "before:redeeming",
    "after:redeeming",
    "after:approved",
    "after:execution_started",
    "before:execution_ended",
    "after:execution_ended",
    "before:audit_response",
    "after:audit_response",
];

/// Answers about the approval that name another person, issuer or client, which voids it.
fn lies() -> Vec<Value> {
    let claims =
        [json!({ "sub": "auth0|mallory" }), json!({ "iss": "https://other.example/" }), json!({ "aud": "another" })];
    claims.into_iter().map(|claims| json!({ "on": "ciba_poll", "kind": "alter", "claims": claims })).collect()
}

/// Answers that say something else than they should.
fn alterations() -> Vec<Value> {
    let answers = [
        ("ciba_poll", json!({ "authorization_details": [{ "type": "purchase" }] })),
        ("ciba_poll", json!({ "id_token": null })),
        ("ciba_poll", json!({ "access_token": null })),
        ("ciba_poll", json!({ "scope": "openid" })),
        ("ciba_poll", json!({ "expires_in": -5 })),
        ("ciba", json!({ "auth_req_id": null })),
        ("ciba", json!({ "expires_in": 0 })),
        ("ciba", json!({ "interval": 1_000_000 })),
        ("ciba", json!({ "expires_in": "soon" })),
        ("refresh", json!({ "access_token": null })),
        ("refresh", json!({ "refresh_token": null })),
        ("refresh", json!({ "expires_in": 0 })),
        ("refresh", json!({ "scope": "openid" })),
        ("refresh", json!({ "token_type": "mac" })),
        ("vault", json!({ "access_token": "" })),
        ("vault", json!({ "scope": "nothing" })),
        ("vault", json!({ "token_type": "N_A" })),
        ("fga", json!({ "result": null })),
        ("fga", json!({ "result": { "q0": { "allowed": false } } })),
        ("fga", json!({ "result": { "q1": null } })),
        ("fga", json!({ "result": { "q0": { "allowed": "true" } } })),
        ("jwks", json!({ "keys": [] })),
        ("jwks", json!({ "keys": "none" })),
        ("discovery", json!({ "issuer": "https://other.example/" })),
        ("discovery", json!({ "token_endpoint": "http://169.254.169.254/token" })),
        ("discovery", json!({ "jwks_uri": null })),
        ("discovery", json!({ "backchannel_authentication_endpoint": null })),
        ("shop", json!({ "order_id": "\u{1b}[31mord_\u{202e}1" })),
        ("shop", json!({ "order_id": null, "total": ["x"] })),
        ("directory", json!({ "x": "\u{1b}]0;Approved\u{7}" })),
    ];
    let altered = |(on, answer): (&str, Value)| json!({ "on": on, "kind": "alter", "answer": answer });
    answers.into_iter().map(altered).chain(lies()).collect()
}

const AT_LOGIN: [&str; 4] = ["device", "device_poll", "jwks", "discovery"];
const ON_THE_ROAD: [&str; 9] = ["refresh", "token", "ciba", "ciba_poll", "vault", "jwks", "discovery", "fga", "model"];

/// What only the commands at the end reach.
const AT_LOGOUT: [&str; 2] = ["my_account", "revoke"];

/// What is special about each task.
fn special(task: Task) -> &'static [&'static str] {
    match task {
        Task::Purchase => &["shop", "shop", "ciba_poll"],
        Task::Admin => &["directory", "vault", "ciba_poll"],
        Task::Vault => &["directory", "vault", "refresh"],
    }
}

/// A login whose ID token has no names, so that they are asked for, and trouble when they are.
fn nameless(chance: &mut Chance) -> Vec<Value> {
    let names = json!({ "name": null, "email": null });
    let trouble = match chance.below(3) {
        0 => json!({ "on": "userinfo", "kind": "alter", "answer": { "sub": "auth0|mallory" } }),
        _ => fault(chance, &["userinfo"], 20),
    };
    vec![json!({ "on": "device_poll", "kind": "alter", "claims": names }), trouble]
}

fn at_logout(chance: &mut Chance) -> Vec<Value> {
    let accounts = json!({ "connected_accounts": "none", "accounts": [{ "id": 7 }] });
    let mut faults = vec![fault(chance, &AT_LOGOUT, 40)];
    match chance.below(3) {
        0 => faults.push(json!({ "on": "my_account", "kind": "alter", "answer": accounts })),
        _ => faults.push(fault(chance, &["revoke"], 40)),
    }
    faults
}

fn fault(chance: &mut Chance, places: &[&str], times_99: u64) -> Value {
    let on = chance.of(places);
    let has_effect = ["shop", "directory"].contains(&on);
    let when = chance.of(&["before", "after"]);
    let mut fault = match chance.below(12) {
        0 => json!({ "kind": "slow_down" }),
        1 => json!({ "kind": "slow_down", "retry_after_s": chance.of(&[1, 7, 40]) }),
        2..4 => {
            let statuses = [408, 500, 502, 503, 504, 301, 400, 401, 403, 404, 409, 422, 429, 307, 200];
            // What an API says in its own words counts: no client can see through a success that was none, or a refusal of
            // what was done.
            let honest = match (has_effect, when) {
                (true, "after") => &statuses[..6],
                (true, _) => &statuses[..14],
                (false, _) => &statuses[..],
            };
            json!({ "kind": "status", "status": chance.of(honest), "when": when })
        }
        4 => json!({ "kind": "status", "status": 503, "retry_after_s": chance.of(&[1, 5]), "when": when }),
        5..7 => json!({ "kind": "html", "status": chance.of(&[200, 200, 403, 502, 504]), "when": when }),
        7..9 => json!({ "kind": "drop", "when": when }),
        9 => json!({ "kind": "half", "when": when }),
        // Longer waits than the tenant's clock makes of it would only be the client's own limit of real time.
        _ => json!({ "kind": "delay", "delay_ms": chance.of(&[500, 3000, 20_000, 60_000]), "when": "before" }),
    };
    fault["on"] = json!(on);
    fault["times"] = json!(if chance.percent(times_99) { 99 } else { chance.of(&[1, 1, 1, 2, 3, 5]) });
    let early = ["fga", "discovery", "model", "jwks"].contains(&on);
    fault["skip"] = json!(if early { chance.of(&[0, 1, 1, 2]) } else { chance.of(&[0, 0, 0, 1, 2]) });
    fault
}

/// The day that a seed makes.
pub(super) fn weather(seed: u64) -> Weather {
    let chance = &mut Chance::new(seed);
    let task = chance.of(&[Task::Purchase, Task::Purchase, Task::Admin, Task::Admin, Task::Vault]);
    let door = chance.of(&[Door::Run, Door::Run, Door::Events, Door::Call]);
    let person = chance.of(&[Person::Approves, Person::Approves, Person::Approves, Person::Denies, Person::Sleeps]);
    // Most faults meet what is special about the task: what fails early ends the day early.
    let mut places = ON_THE_ROAD.to_vec();
    places.extend(special(task).repeat(6));
    let mut faults = Vec::new();
    for _ in 0..chance.of(&[1, 1, 2, 2, 3, 5]) {
        faults.push(if chance.percent(15) { chance.of(&alterations()) } else { fault(chance, &places, 15) });
    }
    if chance.percent(6) {
        faults = vec![chance.of(&lies())];
    }
    let at_login = if chance.percent(20) { vec![fault(chance, &AT_LOGIN, 10)] } else { Vec::new() };
    let mut deeds = Vec::new();
    if chance.percent(15) {
        deeds.push((chance.below(1500), Deed::Signal(chance.of(&["KILL", "KILL", "INT", "TERM", "HUP"]))));
    }
    if chance.percent(10) {
        let deed = chance.of(&[Deed::NewKey, Deed::Revoked, Deed::NotPermitted]);
        deeds.insert(0, (chance.below(600), deed));
    }
    deeds.sort_by_key(|(after, _)| *after);
    let dies_at = (deeds.is_empty() && chance.percent(15)).then(|| chance.of(&STEPS));
    let timeout = match person {
        Person::Sleeps if chance.percent(70) => Some(30),
        _ => chance.percent(10).then(|| chance.of(&[5, 10, 20])),
    };
    let mut weather = Weather {
        preset: ["auth0", "keycloak", "oidc"][usize::try_from(seed % 3).unwrap()],
        task,
        door,
        talkative: chance.percent(30),
        person,
        answers_after_ms: chance.of(&[0, 500, 3000, 20_000]),
        skew: if chance.percent(15) {
            chance.of(&[3, -3, 20, -20, 90, -90, 400, -400, 4000, -4000, 90_000, -90_000])
        } else {
            0
        },
        at_login,
        faults,
        deeds,
        dies_at,
        timeout,
        stale: chance.percent(25),
        at_logout: Vec::new(),
    };
    if chance.percent(10) {
        weather.at_login.extend(nameless(chance));
    }
    if chance.percent(20) {
        weather.at_logout = at_logout(chance);
    }
    weather
}

/// Every place that a fault can meet, by the tenant's own list, is met. Nothing of agentctl asks for `introspect` (that is for
/// APIs), and a `page` is opened by the person's browser.
#[test]
fn no_endpoint_is_left_out() {
    let schema = include_str!("../../../docs/dev-tenant/manage.schema.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let known = schema["$defs"]["label"]["enum"].as_array().unwrap();
    let met: std::collections::BTreeSet<String> = (0..super::SEEDS)
        .map(weather)
        .flat_map(|day| [day.at_login, day.faults, day.at_logout].concat())
        .map(|fault| fault["on"].as_str().unwrap().to_owned())
        .collect();
    let left_out: Vec<&str> = known.iter().filter_map(Value::as_str).filter(|label| !met.contains(*label)).collect();
    assert_eq!(left_out, ["introspect", "page"]);
}
