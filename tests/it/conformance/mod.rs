//! The negative tests of the OpenID conformance suite for relying parties, by their public names: how the server
//! misbehaves, and what must come of it here. Everything of ours runs in this process, up to the API that would be called.
//!
//! The suite itself needs a client that a browser can reach and runs elsewhere; what its tests demand is written down
//! here as a table. Tests that make no sense without a browser stand in docs/conformance.md, with the reason.

mod server;

use std::{collections::BTreeSet, rc::Rc, sync::Arc, time::Duration};

use agentctl::{
    approval::{Approvals, Patience},
    call::{Outcome, RunId, ToolCall, ToolOutput},
    clock::{ManualClock, SharedClock},
    dispatch::{Actor, Dispatcher},
    guard::{Guard, Permissions},
    http::Http,
    oauth::{Client, ClientAuth, Provider},
    policy::Policy,
    secret::ClientSecret,
    session::{
        Error, Extra, Session, SessionParts,
        vault::{Subject, Vault, VaultParts},
    },
    store::{audit::Audit, credentials::Store, journal::Journal, stop::Stop},
    tool::{OriginRules, Registry, Settings},
};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use self::server::{APPROVAL, Key, LOGIN, Orders, SECRET, Server, Signature};

/// What the client does while the server misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// Asks for an approval and does what was approved.
    Approval,
    /// Logs a person in and reads in their name.
    Login,
    /// Logs in once as it should be, and then again.
    SecondLogin,
    /// Renews a token, twice.
    Refresh,
}

/// What must come of it.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// The API is called, with the token that came.
    Accepted,
    /// It is not. The call ends so, and the reason says this.
    Rejected(Outcome, &'static str),
    /// The API is called once and refuses; it is not called again.
    RefusedByApi,
}

use Flow::{Approval, Login, Refresh, SecondLogin};
use Wanted::{Accepted, RefusedByApi, Rejected};

struct Row {
    name: &'static str,
    flow: Flow,
    orders: fn(&mut Orders, &Keys),
    wanted: Wanted,
}

/// Keys are made once: RSA takes its time.
struct Keys {
    ec: Key,
    other_ec: Key,
    rsa: Key,
    ps: Key,
    nameless: Key,
    other_nameless: Key,
}

impl Keys {
    fn new() -> Self {
        Self {
            ec: Key::new(Algorithm::ES256, Some("k1")),
            other_ec: Key::new(Algorithm::ES256, Some("k2")),
            rsa: Key::new(Algorithm::RS256, Some("r1")),
            ps: Key::new(Algorithm::PS256, Some("p1")),
            nameless: Key::new(Algorithm::RS256, None),
            other_nameless: Key::new(Algorithm::RS256, None),
        }
    }
}

fn sign_with(orders: &mut Orders, key: &Key) {
    orders.published = vec![key.public.clone()];
    orders.signer = key.clone();
}

fn later(claims: &mut Value, name: &str, by: i64) {
    claims[name] = json!(claims[name].as_i64().unwrap() + by);
}

fn without(value: &mut Value, name: &str) {
    value.as_object_mut().unwrap().remove(name);
}

const NO_PROOF: Outcome = Outcome::NotPermitted;
const WEEK: i64 = 7 * 24 * 60 * 60;

macro_rules! rows {
    ($($name:literal, $flow:expr, $wanted:expr, $orders:expr;)*) => {
        &[$(Row { name: $name, flow: $flow, orders: $orders, wanted: $wanted }),*]
    };
}

/// The FAPI-CIBA plan for relying parties, poll mode.
const CIBA: &[Row] = rows! {
    "fapi-ciba-id1-client-test", Approval, Accepted, |o, _| o.polls = vec!["authorization_pending"; 2];
    "fapi-ciba-id1-client-valid-aud-as-array-test", Approval, Accepted,
        |o, _| o.claims = |c| c["aud"] = json!([c["aud"]]);
    "fapi-ciba-id1-client-no-scope-in-token-endpoint-response-test", Approval, Accepted,
        |o, _| o.answer = |a| { without(a, "scope"); without(a, "expires_in"); };
    // An approval is good for one call, so its token is never renewed: a refusal of the API ends the call.
    "fapi-ciba-id1-client-refresh-token-test", Approval, RefusedByApi, |o, _| o.api = 401;
    "fapi-ciba-id1-client-respects-interval-test", Approval, Accepted, |o, _| {
        o.begin = |a| a["interval"] = json!(31);
        o.polls = vec!["authorization_pending"; 3];
    };
    "fapi-ciba-id1-client-slow-down-test", Approval, Accepted,
        |o, _| o.polls = vec!["authorization_pending", "slow_down", "authorization_pending"];
    "fapi-ciba-id1-client-invalid-missing-authreqid-test", Approval, Rejected(Outcome::Failed, "no auth_req_id"),
        |o, _| o.begin = |a| without(a, "auth_req_id");
    "fapi-ciba-id1-client-invalid-missing-expiresin-test", Approval, Rejected(Outcome::Failed, "no usable expires_in"),
        |o, _| o.begin = |a| without(a, "expires_in");
    "fapi-ciba-id1-client-invalid-expired-id-token-hint-test", Approval,
        Rejected(Outcome::Failed, "expired_id_token_hint"), |o, _| o.begin_error = Some("expired_id_token_hint");
    "fapi-ciba-id1-client-invalid-unknown-user-id-test", Approval, Rejected(Outcome::Failed, "unknown_user_id"),
        |o, _| o.begin_error = Some("unknown_user_id");
    "fapi-ciba-id1-client-invalid-id-token-hint-test", Approval, Rejected(Outcome::Failed, "invalid_id_token_hint"),
        |o, _| o.begin_error = Some("invalid_id_token_hint");
    "fapi-ciba-id1-client-invalid-request-test", Approval, Rejected(Outcome::Failed, "invalid_request"),
        |o, _| o.polls = vec!["authorization_pending", "authorization_pending", "invalid_request"];
    "fapi-ciba-id1-client-invalid-access-denied-test", Approval, Rejected(Outcome::Denied, "denied"),
        |o, _| o.polls = vec!["authorization_pending", "authorization_pending", "access_denied"];
    "fapi-ciba-id1-client-invalid-expired-token-test", Approval, Rejected(Outcome::Expired, "nobody answered in time"),
        |o, _| o.polls = vec!["authorization_pending", "authorization_pending", "expired_token"];
    "fapi-ciba-id1-client-invalid-iss-test", Approval, Rejected(NO_PROOF, "another issuer"),
        |o, _| o.claims = |c| c["iss"] = json!("https://other.example/");
    "fapi-ciba-id1-client-invalid-missing-iss-test", Approval, Rejected(NO_PROOF, "malformed"),
        |o, _| o.claims = |c| without(c, "iss");
    "fapi-ciba-id1-client-invalid-aud-test", Approval, Rejected(NO_PROOF, "not for this client alone"),
        |o, _| o.claims = |c| c["aud"] = json!("another-client");
    "fapi-ciba-id1-client-invalid-missing-aud-test", Approval, Rejected(NO_PROOF, "malformed"),
        |o, _| o.claims = |c| without(c, "aud");
    "fapi-ciba-id1-client-invalid-secondary-aud-test", Approval, Rejected(NO_PROOF, "not for this client alone"),
        |o, _| o.claims = |c| c["aud"] = json!([c["aud"], "another-client"]);
    "fapi-ciba-id1-client-invalid-signature-test", Approval, Rejected(NO_PROOF, "signature is wrong"),
        |o, _| o.signature = Signature::Broken;
    "fapi-ciba-id1-client-invalid-null-alg-test", Approval, Rejected(NO_PROOF, "a kind that is not accepted"),
        |o, _| o.signature = Signature::None;
    "fapi-ciba-id1-client-invalid-alternate-alg-test", Approval, Rejected(NO_PROOF, "unknown key"), |o, keys| {
        sign_with(o, &keys.ps);
        o.signature = Signature::Alternate(Algorithm::RS256);
    };
    "fapi-ciba-id1-client-invalid-expired-exp-test", Approval, Rejected(NO_PROOF, "has expired"),
        |o, _| o.claims = |c| later(c, "exp", -600);
    "fapi-ciba-id1-client-invalid-missing-exp-test", Approval, Rejected(NO_PROOF, "malformed"),
        |o, _| o.claims = |c| without(c, "exp");
    "fapi-ciba-id1-client-invalid-iat-is-week-in-past-test", Approval, Rejected(NO_PROOF, "older than the request"),
        |o, _| o.claims = |c| later(c, "iat", -WEEK);
};

/// The basic and the configuration plan for relying parties, with the device flow in the place of the code flow.
const OIDC: &[Row] = rows! {
    "oidcc-client-test", Login, Accepted, |o, _| o.polls = vec!["authorization_pending"; 2];
    "oidcc-client-test-invalid-iss", Login, Rejected(Outcome::LoginNeeded, "another issuer"),
        |o, _| o.claims = |c| c["iss"] = json!("https://other.example/");
    "oidcc-client-test-missing-sub", Login, Rejected(Outcome::LoginNeeded, "malformed"),
        |o, _| o.claims = |c| without(c, "sub");
    "oidcc-client-test-invalid-aud", Login, Rejected(Outcome::LoginNeeded, "not for this client alone"),
        |o, _| o.claims = |c| c["aud"] = json!("another-client");
    "oidcc-client-test-missing-aud", Login, Rejected(Outcome::LoginNeeded, "malformed"),
        |o, _| o.claims = |c| without(c, "aud");
    "oidcc-client-test-missing-iat", Login, Rejected(Outcome::LoginNeeded, "malformed"),
        |o, _| o.claims = |c| without(c, "iat");
    "oidcc-client-test-kid-absent-single-jwks", Login, Accepted, |o, keys| sign_with(o, &keys.nameless);
    // The suite takes both: guessing among the keys, and refusing.
    "oidcc-client-test-kid-absent-multiple-jwks", Login, Rejected(Outcome::LoginNeeded, "unknown key"), |o, keys| {
        sign_with(o, &keys.nameless);
        o.published.push(keys.other_nameless.public.clone());
    };
    "oidcc-client-test-idtoken-sig-rs256", Login, Accepted, |o, keys| sign_with(o, &keys.rsa);
    "oidcc-client-test-idtoken-sig-none", Login, Rejected(Outcome::LoginNeeded, "a kind that is not accepted"),
        |o, _| o.signature = Signature::None;
    "oidcc-client-test-invalid-sig-rs256", Login, Rejected(Outcome::LoginNeeded, "signature is wrong"), |o, keys| {
        sign_with(o, &keys.rsa);
        o.signature = Signature::Broken;
    };
    "oidcc-client-test-invalid-sig-es256", Login, Rejected(Outcome::LoginNeeded, "signature is wrong"),
        |o, _| o.signature = Signature::Broken;
    "oidcc-client-test-invalid-sig-hs256", Login, Rejected(Outcome::LoginNeeded, "a kind that is not accepted"),
        |o, _| o.signature = Signature::Symmetric;
    "oidcc-client-test-invalid-athash", Login, Rejected(Outcome::LoginNeeded, "belongs to another answer"),
        |o, _| o.claims = |c| c["at_hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
    "oidcc-client-test-userinfo-invalid-sub", Login, Rejected(Outcome::LoginNeeded, "about somebody else"), |o, _| {
        o.claims = |c| without(c, "name");
        o.userinfo = json!({ "sub": "mallory", "name": "Ada Lovelace" });
    };
    "oidcc-client-test-scope-userinfo-claims", Login, Accepted, |o, _| o.claims = |c| without(c, "name");
    "oidcc-client-test-client-secret-basic", Login, Accepted, |o, _| o.basic = true;
    "oidcc-client-test-ignores-unparseable-key-in-jwks", Login, Accepted, |o, _| {
        o.published.insert(0, json!({ "kty": "AKP", "alg": "ML-DSA-45", "kid": "pq", "pub": "AAAA" }));
        o.published.insert(0, json!({ "kty": "made-up", "kid": "m" }));
    };
    "oidcc-client-test-discovery-openid-config", Login, Accepted,
        |o, _| o.discovery = |d| d["something_new"] = json!([1]);
    "oidcc-client-test-discovery-jwks-uri-keys", Login, Accepted, |o, _| {
        o.discovery = |d| d["jwks_uri"] = json!(d["jwks_uri"].as_str().unwrap().replace("/keys", "/elsewhere/keys"));
    };
    "oidcc-client-test-discovery-issuer-mismatch", Login, Rejected(Outcome::LoginNeeded, "calls itself"),
        |o, _| o.discovery = |d| d["issuer"] = json!("https://other.example/");
    "oidcc-client-test-signing-key-rotation", SecondLogin, Accepted, |o, keys| sign_with(o, &keys.other_ec);
    "oidcc-client-test-signing-key-rotation-just-before-signing", SecondLogin, Accepted, |o, keys| {
        o.polls = vec!["authorization_pending"];
        o.published.push(keys.other_ec.public.clone());
        o.signer = keys.other_ec.clone();
    };
};

/// The refresh token plan. The two last tests are in the suite, and in none of its plans.
const REFRESH: &[Row] = rows! {
    "oidcc-client-test-refresh-token", Refresh, Accepted, |_, _| {};
    "oidcc-client-test-refresh-token-invalid-issuer", Refresh, Rejected(Outcome::Failed, "somebody else's token"),
        |o, _| o.claims = |c| c["iss"] = json!("https://other.example/");
    "oidcc-client-test-refresh-token-invalid-sub", Refresh, Rejected(Outcome::Failed, "somebody else's token"),
        |o, _| o.claims = |c| c["sub"] = json!("mallory");
    "oidcc-client-test-refresh-token-invalid-aud", Refresh, Rejected(Outcome::Failed, "somebody else's token"),
        |o, _| o.claims = |c| c["aud"] = json!([c["aud"], "another-client"]);
    "oidcc-client-test-refresh-token-invalid-azp", Refresh, Rejected(Outcome::Failed, "somebody else's token"),
        |o, _| o.claims = |c| c["azp"] = json!("another-client");
};

/// What the suite does not try.
const OWN: &[Row] = rows! {
    "invalid_authorization_details", Approval, Rejected(Outcome::Failed, "does not accept the details"),
        |o, _| o.begin_error = Some("invalid_authorization_details");
    "missing_user_code", Approval, Rejected(Outcome::Failed, "missing_user_code"),
        |o, _| o.begin_error = Some("missing_user_code");
    "unauthorized_client", Approval, Rejected(Outcome::Failed, "does not accept the approval client"),
        |o, _| o.begin_error = Some("unauthorized_client");
    // The code alone does not say what is bought, so it is not asked with the code alone.
    "invalid_binding_message", Approval, Rejected(Outcome::NotPermitted, "bound to the call by code only"),
        |o, _| o.begin_error = Some("invalid_binding_message");
    "a push error in a poll", Approval, Rejected(Outcome::Failed, "transaction_failed"),
        |o, _| o.polls = vec!["transaction_failed"];
    "no ID token", Approval, Rejected(NO_PROOF, "there is none"), |o, _| o.answer = |a| without(a, "id_token");
    "another person", Approval, Rejected(NO_PROOF, "somebody else"), |o, _| o.claims = |c| c["sub"] = json!("mallory");
    "a token of another type", Approval, Rejected(Outcome::Failed, "another than Bearer"),
        |o, _| o.answer = |a| a["token_type"] = json!("DPoP");
    "fewer scopes", Approval, Rejected(Outcome::NotPermitted, "missing: buy"),
        |o, _| o.answer = |a| a["scope"] = json!("openid");
    "details that nobody asked for", Approval, Rejected(Outcome::NotPermitted, "other details"),
        |o, _| o.answer = |a| a["authorization_details"] = json!([{ "type": "purchase" }]);
    "a yes when the time is over", Approval, Rejected(Outcome::Expired, "its time was over"),
        |o, _| o.takes = Duration::from_secs(400);
    "an interval of ten years", Approval, Rejected(Outcome::Failed, "does not fit"),
        |o, _| o.begin = |a| a["interval"] = json!(315_360_000);
};

/// The names of all tests of the suite that the tables hold.
pub(crate) fn names() -> BTreeSet<&'static str> {
    [CIBA, OIDC, REFRESH].into_iter().flatten().map(|row| row.name).collect()
}

/// One row's server, and a client of it that knows nobody yet.
struct World {
    server: Server,
    clock: Arc<ManualClock>,
    http: Http,
    store: Arc<Store>,
    session: Rc<Session>,
    journal: Rc<Journal>,
    folder: tempfile::TempDir,
}

impl World {
    async fn new(keys: &Keys, row: &Row) -> Self {
        let clock = Arc::new(ManualClock::new(chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap()));
        let server = Server::start(&clock, keys.ec.clone()).await;
        if row.flow == Login {
            (row.orders)(&mut server.state().orders, keys);
        }
        let auth = if server.state().orders.basic {
            ClientAuth::SecretBasic(ClientSecret::new(SECRET))
        } else {
            ClientAuth::None
        };
        let (http, store) = (Http::default(), Arc::new(Store::memory()));
        let folder = tempfile::tempdir().unwrap();
        let session = Rc::new(Session::new(SessionParts {
            http: http.clone(),
            clock: Arc::clone(&clock) as SharedClock,
            store: Arc::clone(&store),
            provider: Provider::Oidc,
            issuer: server.url.clone(),
            client: Client { id: LOGIN.to_owned(), auth },
            account: "default".to_owned(),
            audience: None,
            resource: None,
            scopes: ["openid", "offline_access", "look"].map(str::to_owned).to_vec(),
            state_dir: folder.path().join("state"),
            stop: Stop::default(),
        }));
        let journal = Rc::new(Journal::open(&folder.path().join("state")).unwrap());
        Self { server, clock, http, store, session, journal, folder }
    }

    async fn log_in(&self) -> Result<String, Error> {
        let login = self.session.begin_login(&Extra::default()).await?;
        let account = self.session.finish_login(login, None, &|_| {}).await?;
        Ok(account.display_name().to_owned())
    }

    fn dispatcher(&self) -> Dispatcher {
        let toolsets = self.folder.path().join("toolsets");
        std::fs::create_dir_all(&toolsets).unwrap();
        let url = format!("{}/api", self.server.url);
        let manifest = format!(
            "[toolset]\nname = \"t\"\ndescription = \"t\"\n\
             [[tool]]\nname = \"buy\"\ndescription = \"t\"\neffect = \"irreversible\"\n\
             [tool.parameters]\ntype = \"object\"\nrequired = [\"amount\"]\n\
             [tool.parameters.properties]\namount = {{ type = \"integer\" }}\n\
             [tool.approval]\nbinding_message = \"BUY-{{{{ amount }}}}\"\n\
             [tool.credential]\nsource = \"approval\"\nscopes = [\"buy\"]\n\
             [tool.request]\nmethod = \"POST\"\nurl = \"{url}\"\n\
             [[tool]]\nname = \"look\"\ndescription = \"t\"\neffect = \"read\"\n\
             [tool.credential]\nsource = \"user\"\nscopes = [\"look\"]\n\
             [tool.request]\nmethod = \"GET\"\nurl = \"{url}\"\n"
        );
        std::fs::write(toolsets.join("t.toml"), manifest).unwrap();
        let clock = Arc::clone(&self.clock) as SharedClock;
        let secret = ClientSecret::new(SECRET);
        let approvals = Approvals {
            http: self.http.clone(),
            clock: clock.clone(),
            session: Rc::clone(&self.session),
            journal: Rc::clone(&self.journal),
            store: Arc::clone(&self.store),
            provider: Provider::Oidc,
            client: Some(Client { id: APPROVAL.to_owned(), auth: ClientAuth::SecretPost(secret) }),
            binding: None,
            pushes_per_minute: 5,
            locks: self.folder.path().join("locks"),
            patience: Patience::default(),
            left: agentctl::approval::Left::default(),
            stop: Stop::default(),
        };
        let vault = Vault::new(VaultParts {
            http: self.http.clone(),
            clock: clock.clone(),
            session: Rc::clone(&self.session),
            provider: Provider::Oidc,
            client: None,
            subject: Subject::AccessToken,
            audience: None,
            resource: None,
        });
        let origins = OriginRules { loopback_http: true, ..OriginRules::default() };
        Dispatcher {
            registry: Registry::load(&toolsets, &Settings::new(), &origins).unwrap(),
            guard: Guard { approvals, permissions: Permissions::None, policy: Policy::default(), vault },
            audit: Audit::open(&self.folder.path().join("state")),
            journal: Rc::clone(&self.journal),
            store: Arc::clone(&self.store),
            http: self.http.clone(),
            clock,
            actor: Actor::default(),
        }
    }

    async fn call(&self, tool: &str, arguments: &str) -> ToolOutput {
        let call = ToolCall { id: "c".to_owned(), name: tool.to_owned(), arguments: arguments.to_owned() };
        self.dispatcher().call(&call, &RunId::mint(), &|_| {}).await.unwrap().1
    }

    async fn look(&self) -> ToolOutput {
        self.call("look", "{}").await
    }

    /// Does what the row says, and returns how the last call ended, what was said, and how often the API should have been
    /// called if all went well.
    async fn run(&self, row: &Row, keys: &Keys) -> (Outcome, String, usize) {
        let misbehave = || (row.orders)(&mut self.server.state().orders, keys);
        match row.flow {
            Login => {
                let login = self.log_in().await;
                let output = self.look().await;
                match login {
                    Ok(name) => {
                        assert_eq!(name, "Ada Lovelace", "{}", row.name);
                        (output.outcome, output.message, 1)
                    }
                    Err(error) => {
                        assert_eq!(self.session.account().await.unwrap(), None, "{}", row.name);
                        (output.outcome, error.to_string(), 1)
                    }
                }
            }
            SecondLogin => {
                self.log_in().await.unwrap();
                misbehave();
                self.log_in().await.unwrap();
                let output = self.look().await;
                assert_eq!(self.server.count("/keys"), 2, "{}: the keys are fetched again, once", row.name);
                (output.outcome, output.message, 1)
            }
            Refresh => {
                self.log_in().await.unwrap();
                misbehave();
                let first = self.look().await;
                if first.outcome != Outcome::Done {
                    return (first.outcome, first.message, 2);
                }
                // The token has expired by now, and the refresh token is another one.
                self.clock.advance(Duration::from_secs(2 * 60 * 60));
                let second = self.look().await;
                assert_eq!(self.server.grants("refresh_token"), 2, "{}", row.name);
                (second.outcome, second.message, 2)
            }
            Approval => {
                self.log_in().await.unwrap();
                misbehave();
                let planned = self.server.state().orders.polls.clone();
                let output = self.call("buy", r#"{"amount":2}"#).await;
                self.check_approval(row, &planned);
                (output.outcome, output.message, 1)
            }
        }
    }

    /// What the suite looks at in every test of its plan.
    fn check_approval(&self, row: &Row, planned: &[&str]) {
        let name = row.name;
        let state = self.server.state();
        let pushes: Vec<_> = state.seen.iter().filter(|seen| seen.path == "/ciba").collect();
        let [push] = pushes[..] else { panic!("{name}: {} requests", pushes.len()) };
        assert_eq!(
            (push.method.as_str(), &*push.content_type),
            ("POST", "application/x-www-form-urlencoded"),
            "{name}"
        );
        let hints = ["login_hint", "id_token_hint", "login_hint_token"];
        assert_eq!(hints.iter().filter(|hint| push.form.contains_key(**hint)).count(), 1, "{name}: one hint");
        assert!(push.field("scope").split(' ').any(|scope| scope == "openid"), "{name}");
        assert!(push.field("requested_expiry").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{name}");
        for stranger in ["client_notification_token", "user_code", "request", "offline_access"] {
            assert!(!push.form.contains_key(stranger) && !push.field("scope").contains(stranger), "{name}: {stranger}");
        }
        let goes_on = |error: &&str| matches!(*error, "authorization_pending" | "slow_down");
        let last = planned.last().is_none_or(goes_on);
        let polls = if state.acknowledged { planned.len() + usize::from(last) } else { 0 };
        let found = state.seen.iter().filter(|seen| seen.field("grant_type").ends_with(":ciba")).count();
        assert_eq!(found, polls, "{name}: after an end nobody asks again");
    }
}

async fn walk(rows: &[Row]) {
    let keys = Keys::new();
    let mut wrong = Vec::new();
    for row in rows {
        let world = World::new(&keys, row).await;
        let (outcome, message, calls) = world.run(row, &keys).await;
        let hits = world.server.count("/api");
        let right = match row.wanted {
            Accepted => outcome == Outcome::Done && hits == calls,
            Rejected(wanted, words) => outcome == wanted && message.contains(words) && hits == 0,
            RefusedByApi => outcome == Outcome::Failed && hits == 1 && world.server.grants("refresh_token") == 0,
        };
        if !right {
            wrong.push(format!("{}: {:?} wanted, but {outcome:?}, {hits} calls: {message}", row.name, row.wanted));
        }
        assert_eq!(world.server.state().early, 0, "{}: a poll came too early", row.name);
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[tokio::test]
async fn every_test_of_the_ciba_plan() {
    walk(CIBA).await;
}

#[tokio::test]
async fn every_test_of_the_basic_and_the_configuration_plan() {
    walk(OIDC).await;
}

#[tokio::test]
async fn every_test_of_the_refresh_plan() {
    walk(REFRESH).await;
}

#[tokio::test]
async fn what_the_suite_does_not_try() {
    walk(OWN).await;
}

#[test]
fn every_name_stands_once() {
    assert_eq!(names().len(), CIBA.len() + OIDC.len() + REFRESH.len());
}
