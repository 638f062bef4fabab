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
        self.faults.first().is_some_and(|fault| fault["claims"].is_object())
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
    claims
        .into_iter()
        .map(|claims| json!({ "on": "ciba_poll", "kind": "alter", "when": "after", "claims": claims }))
        .collect()
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
        ("token", json!({ "access_token": null })),
        ("device", json!({ "device_code": null })),
        ("device", json!({ "interval": -1 })),
        ("device_poll", json!({ "id_token": null })),
        ("device_poll", json!({ "refresh_token": null })),
        ("userinfo", json!({ "sub": "auth0|mallory" })),
        ("my_account", json!({ "connected_accounts": "none", "accounts": [{ "id": 7 }] })),
    ];
    let altered = |(on, answer): (&str, Value)| json!({ "on": on, "kind": "alter", "when": "after", "answer": answer });
    answers.into_iter().map(altered).chain(lies()).collect()
}

/// What the login reaches. What only the commands at the end reach. What everything else does.
const AT_LOGIN: [&str; 5] = ["device", "device_poll", "userinfo", "jwks", "discovery"];
const AT_LOGOUT: [&str; 2] = ["my_account", "revoke"];
const ON_THE_ROAD: [&str; 11] =
    ["refresh", "token", "ciba", "ciba_poll", "vault", "jwks", "discovery", "fga", "model", "shop", "directory"];

/// What can go wrong, and whether the endpoint did its work before.
const KINDS: [(&str, &str); 17] = [
    ("slow_down", "before"),
    ("status", "before"),
    ("status", "after"),
    ("html", "before"),
    ("html", "after"),
    ("drop", "before"),
    ("drop", "after"),
    ("half", "before"),
    ("half", "after"),
    ("delay", "before"),
    ("delay", "after"),
    ("content_type", "before"),
    ("content_type", "after"),
    ("alter", "after"),
    ("echo", "before"),
    ("echo", "after"),
    ("garble", "after"),
];

const PRESETS: [&str; 3] = ["auth0", "keycloak", "oidc"];

/// One place and one kind of trouble.
pub(super) type Cell = (&'static str, &'static str, &'static str);

/// Every kind of trouble at every place. An answer without JSON cannot be altered, nor hold a secret in the wrong place.
pub(super) fn cells() -> Vec<Cell> {
    let places = AT_LOGIN[..3].iter().chain(&ON_THE_ROAD).chain(&AT_LOGOUT);
    let all = places.flat_map(|on| KINDS.map(|(kind, when)| (*on, kind, when)));
    all.filter(|(on, kind, _)| !["alter", "garble"].contains(kind) || !["model", "revoke"].contains(on)).collect()
}

/// Every so many days the yes is somebody else's.
const LYING: u64 = 16;

/// What a day is about; none on a day of lies. Neighbours are different, so that a few days show much.
fn cell(seed: u64) -> Option<Cell> {
    let cells = cells();
    let at = usize::try_from(seed / LYING * (LYING - 1) + seed % LYING).unwrap();
    (seed % LYING != LYING - 1).then(|| cells[at * 7 % cells.len()])
}

/// What is special about each task.
fn special(task: Task) -> &'static [&'static str] {
    match task {
        Task::Purchase => &["shop", "shop", "ciba_poll"],
        Task::Admin => &["directory", "vault", "ciba_poll"],
        Task::Vault => &["directory", "vault", "refresh"],
    }
}

/// A login whose ID token has no names is one that asks for them.
fn nameless() -> Value {
    json!({ "on": "device_poll", "kind": "alter", "when": "after", "claims": { "name": null, "email": null } })
}

/// Trouble of any kind at one of the places.
fn any(chance: &mut Chance, places: &[&'static str]) -> Value {
    let on = chance.of(places);
    let kinds = [0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let (kind, when) = KINDS[chance.of(&kinds)];
    let mut fault = fault(chance, (on, kind, when));
    // How many pass first: of most there is one a day.
    fault["skip"] = json!(match on {
        "fga" | "discovery" | "model" | "jwks" => chance.of(&[0, 1, 1, 2]),
        "token" | "ciba_poll" | "device_poll" => chance.of(&[0, 0, 0, 1, 2]),
        _ => 0,
    });
    fault
}

fn fault(chance: &mut Chance, (on, kind, when): Cell) -> Value {
    if kind == "alter" {
        let here: Vec<Value> = alterations().into_iter().filter(|fault| fault["on"] == on).collect();
        return chance.of(&here);
    }
    let has_effect = ["shop", "directory"].contains(&on);
    let mut fault = match kind {
        "slow_down" if chance.percent(50) => json!({ "retry_after_s": chance.of(&[1, 7, 40]) }),
        "status" if chance.percent(30) => json!({ "status": 503, "retry_after_s": chance.of(&[1, 5]) }),
        "status" => {
            let statuses = [408, 500, 502, 503, 504, 301, 400, 401, 403, 404, 409, 422, 429, 307, 200];
            // What an API says in its own words counts: no client can see through a success that was none, or a refusal of
            // what was done.
            let honest = match (has_effect, when) {
                (true, "after") => &statuses[..6],
                (true, _) => &statuses[..14],
                (false, _) => &statuses[..],
            };
            json!({ "status": chance.of(honest) })
        }
        "html" => json!({ "status": chance.of(&[200, 200, 403, 502, 504]) }),
        "content_type" if when == "before" => json!({
            "status": chance.of(&[200, 200, 200, 201, 503]),
            "content_type": chance.of(&["application/json", "text/plain", "application/octet-stream", ""]),
        }),
        // What did its work is answered for by something before it.
        "content_type" if has_effect && chance.percent(60) => {
            json!({ "status": chance.of(&[403, 403, 401, 400, 404, 407, 429, 307]) })
        }
        "content_type" => json!({ "content_type": chance.of(&["text/plain", "text/plain", "text/html", "image/png"]) }),
        // As above; what was sent stands in it.
        "echo" if has_effect && when == "after" => json!({ "status": chance.of(&[500, 502, 503]) }),
        "echo" => json!({ "status": chance.of(&[400, 400, 401, 429, 503]) }),
        "garble" => {
            let members = [&["token_type"][..], &["issued_token_type"], &["error"], &["error", "error_description"]];
            let more = [&["code", "message"][..], &["scope"], &["user_code"], &["issuer"], &["name", "title"]];
            json!({ "members": chance.of(&[&members[..], &members[..], &more[..]].concat()) })
        }
        // Longer waits than the tenant's clock makes of it would only be the client's own limit of real time.
        "delay" => json!({ "delay_ms": chance.of(&[500, 3000, 20_000, 60_000]) }),
        _ => json!({}),
    };
    (fault["on"], fault["kind"], fault["when"]) = (json!(on), json!(kind), json!(when));
    fault["times"] = json!(if chance.percent(15) { 99 } else { chance.of(&[1, 1, 1, 2, 3, 5]) });
    fault
}

/// Something else that happens meanwhile.
fn deeds(chance: &mut Chance) -> Vec<(u64, Deed)> {
    let mut deeds = Vec::new();
    if chance.percent(30) {
        deeds.push((chance.below(1500), Deed::Signal(chance.of(&["KILL", "KILL", "INT", "TERM", "HUP"]))));
    }
    if chance.percent(40) {
        let deed = chance.of(&[Deed::NewKey, Deed::NewKey, Deed::Revoked, Deed::NotPermitted]);
        deeds.insert(0, (chance.below(600), deed));
    }
    deeds.sort_by_key(|(after, _)| *after);
    deeds
}

/// The day that a seed makes: what it is about comes first, and everything else leaves that a chance.
pub(super) fn weather(seed: u64) -> Weather {
    let chance = &mut Chance::new(seed);
    let cell = cell(seed);
    let on = cell.map_or("", |(on, ..)| on);
    // On most days nothing else goes wrong, so that the trouble of the day surely comes.
    let alone = chance.percent(60);
    let task = match on {
        "shop" => Task::Purchase,
        "directory" | "vault" => chance.of(&[Task::Admin, Task::Admin, Task::Vault]),
        "refresh" => chance.of(&[Task::Admin, Task::Vault]),
        "" | "ciba" | "ciba_poll" => chance.of(&[Task::Purchase, Task::Admin]),
        _ => chance.of(&[Task::Purchase, Task::Purchase, Task::Admin, Task::Admin, Task::Vault]),
    };
    let door = match on {
        "model" => chance.of(&[Door::Run, Door::Events]),
        _ => chance.of(&[Door::Run, Door::Run, Door::Events, Door::Call]),
    };
    let mut deeds = if alone { Vec::new() } else { deeds(chance) };
    let rotates = deeds.iter().any(|(_, deed)| matches!(deed, Deed::NewKey));
    let person = match on {
        "" | "shop" | "directory" | "vault" | "ciba_poll" => Person::Approves,
        _ if rotates => Person::Approves,
        _ => chance.of(&[Person::Approves, Person::Approves, Person::Approves, Person::Denies, Person::Sleeps]),
    };
    let mut at_login = if !alone && chance.percent(30) { vec![any(chance, &AT_LOGIN)] } else { Vec::new() };
    let mut at_logout = if !alone && chance.percent(30) { vec![any(chance, &AT_LOGOUT)] } else { Vec::new() };
    let mut faults = Vec::new();
    match cell {
        None => faults = vec![chance.of(&lies())],
        Some(cell) => {
            let leading = fault(chance, cell);
            // The keys are those of the login until there is a new one.
            if AT_LOGIN[..4].contains(&on) {
                at_login.insert(0, leading);
            } else if AT_LOGOUT.contains(&on) {
                at_logout.insert(0, leading);
            } else {
                faults.push(leading);
            }
            // Most other trouble meets what is special about the task: what fails early ends the day early.
            let mut places = ON_THE_ROAD.to_vec();
            places.extend(special(task).repeat(6));
            for _ in 0..if alone { 0 } else { chance.of(&[0, 1, 1, 2, 2, 4]) } {
                faults.push(any(chance, &places));
            }
        }
    }
    if at_login.iter().any(|fault| fault["on"] == "userinfo") {
        at_login.insert(0, nameless());
    }
    // An answer that is late enough for whoever waits for it to leave.
    let late = matches!(cell, Some(("shop" | "directory", "delay", "after"))) && chance.percent(70);
    if late {
        (faults[0]["delay_ms"], faults[0]["times"]) = (json!(240_000), json!(99));
        deeds.clear();
    }
    let dies_at =
        (deeds.is_empty() && !alone && !late && !on.is_empty() && chance.percent(30)).then(|| chance.of(&STEPS));
    let timeout = match person {
        _ if late => Some(60),
        Person::Sleeps if chance.percent(70) => Some(30),
        _ => (!alone && chance.percent(20)).then(|| chance.of(&[5, 10, 20])),
    };
    let refreshes = faults.iter().any(|fault| fault["on"] == "refresh");
    let answers_after_ms = chance.of(&[0, 500, 3000, 20_000]);
    Weather {
        // Only Auth0 has an API about connected accounts.
        preset: if on == "my_account" { "auth0" } else { PRESETS[usize::try_from(seed % 3).unwrap()] },
        task,
        door,
        talkative: chance.percent(30),
        person,
        // A new key matters to who verifies a yes afterwards.
        answers_after_ms: if late {
            0
        } else if rotates {
            20_000
        } else {
            answers_after_ms
        },
        skew: if !alone && chance.percent(25) {
            chance.of(&[3, -3, 20, -20, 90, -90, 400, -400, 4000, -4000, 90_000, -90_000])
        } else {
            0
        },
        at_login,
        faults,
        deeds,
        dies_at,
        timeout,
        stale: refreshes || !alone && chance.percent(40),
        at_logout,
    }
}
