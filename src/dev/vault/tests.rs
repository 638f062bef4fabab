//! Connecting an account from beginning to end, and tending what is connected.

use axum::{body::Body, http::Request};
use serde_json::{Value, json};

use crate::dev::{
    Preset,
    testing::{Bench, Reply, page},
};

const BASE: &str = "/me/v1/connected-accounts";
// Not in the form that a URL library would write it: it has to come back as it was sent.
const BACK: &str = "http://127.0.0.1:4711";
const BACK_AS_WRITTEN: &str = "http://127.0.0.1:4711/";
// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A token of this person for the My Account API, with these scopes.
async fn token(bench: &Bench, person: &str, scope: &str) -> String {
    let login = bench.login_as(person).await;
    let me = bench.world.url("/me/");
    let mut more = vec![("scope", scope)];
    match bench.world.preset {
        Preset::Auth0 => more.push(("audience", &me)),
        Preset::Keycloak => {}
        Preset::Oidc => more.push(("resource", &me)),
    }
    let reply = bench.refresh(login["refresh_token"].as_str().unwrap(), &more).await;
    assert_eq!(reply.json()["scope"], scope, "{}", reply.text);
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

const EVERY: &str = "create:me:connected_accounts read:me:connected_accounts delete:me:connected_accounts";

async fn post(bench: &Bench, path: &str, token: &str, body: &Value) -> Reply {
    bench.call(&format!("POST {BASE}/{path}"), token, body.clone()).await
}

fn wanted() -> Value {
    json!({"connection": "okta", "redirect_uri": BACK, "state": "s 1", "scopes": ["okta.users.read"]})
}

/// The third party's page in a browser: what it says, and where the answer leads.
async fn answer(bench: &Bench, begun: &Value, decision: &str) -> (String, String) {
    let ticket = begun["connect_params"]["ticket"].as_str().unwrap();
    assert_eq!(begun["connect_uri"], bench.world.url("/connect"));
    let shown = bench.send(page(&format!("/connect?ticket={ticket}"), "")).await;
    let cookie = shown.header("set-cookie").split(';').next().unwrap().to_owned();
    let csrf = shown.text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let pairs = [("ticket", ticket), ("csrf", csrf), ("decision", decision)];
    let reply = bench.form_with("/connect", &[("cookie", &cookie)], &pairs).await;
    assert_eq!(reply.status, 303, "{}", reply.text);
    (shown.text.clone(), reply.header("location").to_owned())
}

/// The parameters of the address a person is sent back to.
fn parameter(address: &str, name: &str) -> Option<String> {
    let (before, after) = address.split_once(['?', '#']).unwrap();
    assert_eq!(before, BACK_AS_WRITTEN);
    url::form_urlencoded::parse(after.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn problem(reply: &Reply) -> (u16, String) {
    let body = reply.json();
    assert_eq!((&body["status"], body["type"].is_string()), (&json!(reply.status), true), "{}", reply.text);
    let field = body["validation_errors"][0]["field"].as_str().unwrap_or_default();
    (reply.status, field.to_owned())
}

#[tokio::test]
async fn an_account_is_connected_under_every_preset() {
    for preset in [Preset::Auth0, Preset::Keycloak, Preset::Oidc] {
        let bench = Bench::new(preset).await;
        let token = token(&bench, "grace", EVERY).await;
        let mut body = wanted();
        body["code_challenge"] = CHALLENGE.into();
        body["code_challenge_method"] = "S256".into();
        let begun = post(&bench, "connect", &token, &body).await;
        assert_eq!((begun.status, &begun.json()["expires_in"]), (201, &json!(300)), "{}", begun.text);
        let begun = begun.json();
        assert!(begun["auth_session"].as_str().unwrap().len() <= 64);
        let (shown, back) = answer(&bench, &begun, "allow").await;
        for said in ["Oktopus Directory", "Grace Hopper", "okta.users.read", "127.0.0.1:4711"] {
            assert!(shown.contains(said), "{said}");
        }
        assert!(!shown.contains("okta.users.manage"), "only what is asked");
        assert_eq!(parameter(&back, "state").as_deref(), Some("s 1"));
        let code = parameter(&back, "connect_code").unwrap();
        assert!(code.len() <= 46);
        let proof = json!({
            "auth_session": begun["auth_session"], "connect_code": code, "redirect_uri": BACK, "code_verifier": VERIFIER,
        });
        let done = post(&bench, "complete", &token, &proof).await;
        assert_eq!(done.status, 201, "{}", done.text);
        let account = done.json();
        assert_eq!((&account["connection"], &account["access_type"]), (&json!("okta"), &json!("offline")));
        assert_eq!(account["scopes"], json!(["okta.users.read"]));
        assert_eq!(post(&bench, "complete", &token, &proof).await.status, 400, "a code works once");
        assert_eq!(bench.get(&format!("{BASE}/accounts"), &token).await.json(), json!({"accounts": [account]}));
        assert_eq!(bench.federated("grace").await.len(), 43);
        let history = bench.manage("GET /history?of=my_account", Value::Null).await.json();
        assert_eq!(history["requests"].as_array().unwrap().len(), 4);
    }
}

#[tokio::test]
async fn a_second_time_adds_scopes_and_heals_what_was_revoked() {
    let bench = Bench::new(Preset::Auth0).await;
    let token = token(&bench, "grace", EVERY).await;
    bench
        .manage("POST /connections", json!({"person": "grace", "connection": "okta", "scopes": ["okta.groups.read"]}))
        .await;
    bench.manage("POST /connections/revoke", json!({"person": "grace", "connection": "okta"})).await;
    let begun = post(&bench, "connect", &token, &wanted()).await.json();
    let (shown, back) = answer(&bench, &begun, "allow").await;
    assert!(shown.contains("okta.users.read") && shown.contains("okta.groups.read"), "all that it will be good for");
    let proof = json!({
        "auth_session": begun["auth_session"], "connect_code": parameter(&back, "connect_code"), "redirect_uri": BACK,
    });
    let account = post(&bench, "complete", &token, &proof).await.json();
    assert_eq!(account["scopes"], json!(["okta.groups.read", "okta.users.read"]));
    let accounts = bench.get(&format!("{BASE}/accounts"), &token).await.json();
    assert_eq!(accounts["accounts"].as_array().unwrap().len(), 1, "in the place of the old one");
    bench.federated("grace").await;
}

#[tokio::test]
async fn a_no_comes_back_as_an_error_and_the_fragment_holds_what_the_query_held() {
    let bench = Bench::new(Preset::Auth0).await;
    let token = token(&bench, "grace", EVERY).await;
    let begun = post(&bench, "connect", &token, &wanted()).await.json();
    let (_, back) = answer(&bench, &begun, "deny").await;
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!((parameter(&back, "state").as_deref(), parameter(&back, "connect_code")), (Some("s 1"), None));
    let proof = json!({"auth_session": begun["auth_session"], "connect_code": "x", "redirect_uri": BACK});
    assert_eq!(problem(&post(&bench, "complete", &token, &proof).await).0, 400);

    bench.manage("POST /connections/redirect", json!({"code_in": "fragment"})).await;
    let begun = post(&bench, "connect", &token, &wanted()).await.json();
    let (_, back) = answer(&bench, &begun, "allow").await;
    assert!(back.starts_with(&format!("{BACK_AS_WRITTEN}#connect_code=")), "{back}");
    assert_eq!(parameter(&back, "state").as_deref(), Some("s 1"));
}

#[tokio::test]
async fn completing_is_for_the_same_person_with_the_same_proof_in_time() {
    let bench = Bench::new(Preset::Auth0).await;
    let grace = token(&bench, "grace", EVERY).await;
    let alan = token(&bench, "alan", EVERY).await;
    // Each of these differs from the good one in one thing; `wait` is how long the person takes.
    let table: [(&str, &str, Value, u64); 6] = [
        ("another person", &alan, json!({}), 0),
        ("another code", &grace, json!({"connect_code": "x"}), 0),
        ("another address", &grace, json!({"redirect_uri": "http://127.0.0.1:4712"}), 0),
        ("another verifier", &grace, json!({"code_verifier": "x".repeat(43)}), 0),
        ("no verifier", &grace, json!({"code_verifier": null}), 0),
        ("too late", &grace, json!({}), 300),
    ];
    for (what, token, change, wait) in table {
        let mut body = wanted();
        body["code_challenge"] = CHALLENGE.into();
        body["code_challenge_method"] = "S256".into();
        let begun = post(&bench, "connect", &grace, &body).await.json();
        let (_, back) = answer(&bench, &begun, "allow").await;
        let good = json!({
            "auth_session": begun["auth_session"], "connect_code": parameter(&back, "connect_code"),
            "redirect_uri": BACK, "code_verifier": VERIFIER,
        });
        let mut proof = good.clone();
        for (name, value) in change.as_object().unwrap() {
            proof[name] = value.clone();
        }
        bench.wait(wait);
        assert_eq!(problem(&post(&bench, "complete", token, &proof).await).0, 400, "{what}");
        // Another person's try costs nothing; a wrong one of one's own ends it.
        let status = post(&bench, "complete", &grace, &good).await.status;
        assert_eq!(status, if what == "another person" { 201 } else { 400 }, "{what}");
    }
    let begun = post(&bench, "connect", &grace, &wanted()).await.json();
    let early = json!({"auth_session": begun["auth_session"], "connect_code": "x", "redirect_uri": BACK});
    assert!(post(&bench, "complete", &grace, &early).await.text.contains("not answered yet"));
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let bench = Bench::new(Preset::Auth0).await;
    let token = token(&bench, "grace", EVERY).await;
    let table = [
        (json!({"connection": "bank"}), "connection"),
        (json!({"redirect_uri": "https://app.example/callback"}), "redirect_uri"),
        (json!({"redirect_uri": format!("{BACK}/?{}", "x".repeat(2048))}), "redirect_uri"),
        (json!({"state": "x".repeat(4097)}), "state"),
        (json!({"code_challenge": CHALLENGE}), "code_challenge_method"),
        (json!({"code_challenge": CHALLENGE, "code_challenge_method": "plain"}), "code_challenge_method"),
        (json!({"code_challenge": "short", "code_challenge_method": "S256"}), "code_challenge"),
        (json!({"scopes": []}), "scopes"),
        (json!({"scopes": ["okta.apps.read"]}), "scopes"),
        (json!({"surprise": 1}), ""),
        (json!({"redirect_uri": null}), ""),
    ];
    for (change, field) in table {
        let mut body = wanted();
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        assert_eq!(problem(&post(&bench, "connect", &token, &body).await), (400, field.to_owned()), "{change}");
    }
    let form = bench.form_with(&format!("{BASE}/connect"), &[("authorization", &format!("Bearer {token}"))], &[]).await;
    assert_eq!(problem(&form).0, 415);
    let mut body = wanted();
    body["authorization_params"] = json!({"prompt": "login"});
    body.as_object_mut().unwrap().remove("scopes");
    assert_eq!(post(&bench, "connect", &token, &body).await.status, 201, "every scope, then");
}

#[tokio::test]
async fn accounts_are_listed_in_pages_and_forgotten() {
    let bench = Bench::new(Preset::Auth0).await;
    let token = token(&bench, "ada", EVERY).await;
    bench.manage("POST /connections", json!({"person": "ada", "connection": "calendar"})).await;
    bench.manage("POST /connections", json!({"person": "grace", "connection": "calendar"})).await;
    let list = async |query: &str| bench.get(&format!("{BASE}/accounts{query}"), &token).await;
    let names = |reply: &Reply| -> Vec<String> {
        let accounts = reply.json()["accounts"].as_array().unwrap().clone();
        accounts.iter().map(|account| account["connection"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&list("").await), ["okta", "calendar"]);
    assert_eq!(names(&list("?connection=calendar").await), ["calendar"]);
    let first = list("?take=1").await;
    assert_eq!(names(&first), ["okta"]);
    let second = list(&format!("?take=1&from={}", first.json()["next"].as_str().unwrap())).await;
    assert_eq!((names(&second), second.json().get("next")), (vec!["calendar".to_owned()], None));
    for wrong in ["?take=0", "?take=21", "?take=x", "?from=cac_99", "?page=2"] {
        assert_eq!(problem(&list(wrong).await).0, 400, "{wrong}");
    }
    let connections = bench.get(&format!("{BASE}/connections"), &token).await.json();
    assert_eq!(connections["connections"][0]["name"], "okta");
    assert_eq!(connections["connections"][0]["scopes"].as_array().unwrap().len(), 4);

    let live = bench.federated("ada").await;
    let delete = async |id: &str| bench.call(&format!("DELETE {BASE}/accounts/{id}"), &token, Value::Null).await;
    assert_eq!(delete("cac_1").await.status, 204);
    assert_eq!(problem(&delete("cac_1").await).0, 404);
    assert_eq!(problem(&delete("cac_3").await).0, 404, "another person's");
    assert_eq!(names(&list("").await), ["calendar"]);
    let subject = bench.subject("ada").await;
    assert_eq!(bench.exchange(&subject, &[]).await.status, 401);
    assert_eq!(bench.get("/okta/api/v1/users/me", &live).await.status, 200, "the third party was told nothing");
}

#[tokio::test]
async fn every_call_needs_its_scope_and_its_own_token() {
    let bench = Bench::new(Preset::Auth0).await;
    let calls = [
        ("POST", "connect", "create"),
        ("POST", "complete", "create"),
        ("GET", "accounts", "read"),
        ("GET", "connections", "read"),
        ("DELETE", "accounts/cac_9", "delete"),
    ];
    let login = bench.login().await;
    for held in ["create", "read", "delete"] {
        let token = token(&bench, "ada", &format!("{held}:me:connected_accounts")).await;
        for (method, path, needed) in calls {
            let call = format!("{method} {BASE}/{path}");
            let reply = bench.call(&call, &token, Value::Null).await;
            assert_eq!(reply.status == 403, held != needed, "{call} with {held}: {}", reply.text);
            for wrong in [login["access_token"].as_str().unwrap(), "nonsense", ""] {
                assert_eq!(problem(&bench.call(&call, wrong, Value::Null).await).0, 401, "{call}");
            }
        }
    }
}

#[tokio::test]
async fn other_sites_cannot_answer_and_answers_count_once() {
    let bench = Bench::new(Preset::Auth0).await;
    let token = token(&bench, "grace", EVERY).await;
    let begun = post(&bench, "connect", &token, &wanted()).await.json();
    let ticket = begun["connect_params"]["ticket"].as_str().unwrap();
    let address = format!("/connect?ticket={ticket}");
    let shown = bench.send(page(&address, "")).await;
    let policy = shown.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(policy.contains("form-action 'self' http://127.0.0.1:4711;"), "{policy}");
    assert_eq!((shown.header("x-frame-options"), shown.header("cache-control")), ("DENY", "no-store"));
    let cookie = shown.header("set-cookie").split(';').next().unwrap().to_owned();
    let csrf = shown.text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let allow = [("ticket", ticket), ("csrf", csrf), ("decision", "allow")];
    let send = async |headers: &[(&str, &str)], pairs: &[(&str, &str)]| {
        bench.form_with("/connect", headers, pairs).await.status
    };
    assert_eq!(send(&[("cookie", &cookie)], &[allow[0], allow[2]]).await, 403, "no token");
    assert_eq!(send(&[], &allow).await, 403, "no cookie");
    assert_eq!(send(&[("cookie", &cookie), ("origin", "http://evil.example")], &allow).await, 403);
    assert_eq!(send(&[("cookie", &cookie)], &allow[..2]).await, 400, "neither yes nor no");
    assert_eq!(send(&[("cookie", &cookie)], &allow).await, 303);
    assert_eq!(send(&[("cookie", &cookie)], &allow).await, 409);
    assert_eq!(bench.send(page(&address, &cookie)).await.status, 409);
    assert_eq!(bench.send(page("/connect?ticket=unknown", "")).await.status, 404);
    let rebound = Request::get(&address).header("host", "evil.example").body(Body::empty()).unwrap();
    assert_eq!(bench.send(rebound).await.status, 403);
}
