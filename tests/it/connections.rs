//! Connecting accounts at third parties: the dev tenant plays tenant and third party, the test plays the browser.

use serde_json::{Value, json};
use thirtyfour::{By, WebDriver};

use crate::support::{Answer, Browser, Dev, Home, Running, agentctl, call, post_form};

/// A tenant, and a home where Ada is logged in.
fn logged_in() -> (Dev, Home) {
    let dev = Dev::start();
    let home = dev.home();
    dev.auto("approve", "off");
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    (dev, home)
}

/// What the tenant holds of the connections of Ada.
fn held(dev: &Dev, connection: &str) -> Option<Value> {
    let connections = dev.get("/connections")["connections"].as_array().unwrap().clone();
    connections.into_iter().find(|one| one["person"] == "ada" && one["connection"] == connection)
}

/// The link that the program shows.
fn link(running: &Running) -> String {
    let shown = running.wait_for_stderr("ticket=");
    shown.lines().map(str::trim).find(|line| line.contains("ticket=")).unwrap().to_owned()
}

/// Answers on the third party's page; returns where that leads.
#[track_caller]
fn decide(link: &str, decision: &str) -> String {
    let page = call("GET", link, &[], None);
    assert_eq!(page.status, 200, "{page:?}");
    let value = |name: &str| page.body.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap().split('"').next();
    let (csrf, ticket) = (value("csrf").unwrap(), value("ticket").unwrap());
    let cookie = page.header("set-cookie").unwrap().split(';').next().unwrap();
    let (origin, _) = link.split_once("/connect").unwrap();
    let form = format!("csrf={csrf}&ticket={ticket}&decision={decision}");
    let sent = post_form(&format!("{origin}/connect"), &[("cookie", cookie), ("origin", origin)], &form);
    assert_eq!(sent.status, 303, "{sent:?}");
    sent.header("location").unwrap().to_owned()
}

fn get(url: &str) -> Answer {
    call("GET", url, &[], None)
}

#[test]
fn an_account_is_listed_disconnected_and_connected_again() {
    let (dev, home) = logged_in();
    let list = agentctl(&home).args(["connections", "list", "--json"]).run().code(0).json();
    assert_eq!(list["accounts"][0]["connection"], "okta", "{list}");
    let names: Vec<&str> =
        list["connections"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["okta", "calendar"], "{list}");
    agentctl(&home).args(["connections", "list"]).run().code(0).out(&["okta", "okta.users.read"]).err(&["calendar"]);

    agentctl(&home).args(["connections", "disconnect", "okta"]).run().code(2).silent().err(&["--yes"]);
    agentctl(&home).args(["connections", "disconnect", "calendar", "-y"]).run().code(1).err(&["connections list"]);
    let id = list["accounts"][0]["id"].as_str().unwrap();
    agentctl(&home).args(["connections", "disconnect", id, "-y"]).run().code(0).silent().err(&["third party"]);
    assert_eq!(held(&dev, "okta"), None);
    agentctl(&home).args(["connections", "list"]).run().code(0).silent().err(&["No account is connected"]);

    let connect = agentctl(&home).args(["connections", "connect", "okta", "--json"]).start();
    let link = link(&connect);
    assert!(link.starts_with(dev.text("issuer")), "{link}");
    // What does not carry the state is turned away, and the wait goes on.
    let back = decide(&link, "allow");
    let (place, query) = back.split_once('?').unwrap();
    assert!(place.starts_with("http://127.0.0.1:") && place.ends_with("/connected"), "{back}");
    let (code, _) = query.split_once('&').unwrap();
    for foreign in [format!("{place}?{code}&state=guessed"), format!("{place}?error=access_denied")] {
        assert_eq!(get(&foreign).status, 400);
    }
    let page = get(&back);
    assert!(page.status == 200 && page.body.contains("go back to the terminal"), "{page:?}");
    let output = connect.finish().code(0);
    assert_eq!(output.json()["account"]["connection"], "okta", "{output}");
    // Without --scope it is what the tools need, and what it had before.
    let needed = json!(["okta.groups.manage", "okta.groups.read", "okta.users.manage", "okta.users.read"]);
    assert_eq!(held(&dev, "okta").unwrap()["scopes"], needed);
    dev.post("/connections", &json!({ "person": "ada", "connection": "calendar", "scopes": ["calendar.read"] }));
    let connect = agentctl(&home).args(["connections", "connect", "calendar"]).start();
    self::link(&connect);
    assert_eq!(dev.history("my_account").pop().unwrap()["body"]["scopes"], json!(["calendar.read"]));
    connect.signal("TERM");
    connect.finish().code(143).silent();

    agentctl(&home).args(["audit", "verify"]).run().code(0);
    let log = agentctl(&home).args(["audit", "list", "--json"]).run().code(0).stdout;
    assert!(log.contains("agentctl connections connect") && log.contains("agentctl connections disconnect"), "{log}");
    let everything = format!("{log}{output}");
    let code = code.split_once('=').unwrap().1;
    assert!(!everything.replace(&link, "").contains(code), "the code leaked: {everything}");
}

#[test]
fn exactly_the_named_scopes() {
    let (dev, home) = logged_in();
    let scopes = ["--scope", "calendar.read"];
    let connect = agentctl(&home).args(["connections", "connect", "calendar"]).args(scopes).start();
    get(&decide(&link(&connect), "allow"));
    connect.finish().code(0).silent().err(&["Connected", "calendar"]);
    assert_eq!(held(&dev, "calendar").unwrap()["scopes"], json!(["calendar.read"]));
    agentctl(&home)
        .args(["connections", "connect", "calendar", "--scope", "nothing.known"])
        .run()
        .code(1)
        .silent()
        .err(&["nothing.known"]);
    agentctl(&home).args(["connections", "connect", "unknown"]).run().code(1).silent().err(&["no such connection"]);
}

#[test]
fn no_never_and_stop_are_told_apart() {
    let (dev, home) = logged_in();
    let start = |more: &[&'static str]| {
        agentctl(&home).args(["connections", "connect", "calendar"]).args(more.iter().copied()).start()
    };
    let connect = start(&[]);
    let page = get(&decide(&link(&connect), "deny"));
    assert!(page.body.contains("not connected"), "{page:?}");
    connect.finish().code(11).silent().err(&["denied"]);

    let connect = start(&[]);
    link(&connect);
    dev.advance(301);
    connect.finish().code(12).silent().err(&["not connected in time"]);

    let connect = start(&["--timeout", "120"]);
    link(&connect);
    dev.advance(121);
    connect.finish().code(124).silent();

    let connect = start(&[]);
    let shown = link(&connect);
    connect.signal("INT");
    connect.finish().code(130).silent();
    assert_eq!(held(&dev, "calendar"), None);
    // Nobody listens any more.
    let back = decide(&shown, "allow");
    let host = back.strip_prefix("http://").unwrap().split('/').next().unwrap();
    assert!(std::net::TcpStream::connect(host).is_err(), "{host} still listens");
}

#[test]
fn a_code_behind_the_hash_is_posted_by_the_page() {
    let (dev, home) = logged_in();
    dev.post("/connections/redirect", &json!({ "code_in": "fragment" }));
    let connect = agentctl(&home).args(["connections", "connect", "calendar"]).start();
    let back = decide(&link(&connect), "allow");
    let (place, fragment) = back.split_once('#').unwrap();
    let page = get(place);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && page.body.contains("/connected.js"), "{page:?}");
    let origin = place.strip_suffix("/connected").unwrap();
    assert_eq!(post_form(place, &[("origin", "https://evil.example")], fragment).status, 403);
    assert_eq!(post_form(place, &[], fragment).status, 403);
    let answer = post_form(place, &[("origin", origin)], fragment);
    assert!(answer.status == 200 && answer.body.contains("go back to the terminal"), "{answer:?}");
    connect.finish().code(0).silent().err(&["Connected"]);
    assert!(held(&dev, "calendar").is_some());
}

#[test]
fn a_browser_finds_the_way_back_with_either_kind_of_answer() {
    let Some(browser) = Browser::start() else { return };
    let (dev, home) = logged_in();
    for kind in ["query", "fragment"] {
        dev.post("/connections/redirect", &json!({ "code_in": kind }));
        let connect = agentctl(&home).args(["connections", "connect", "calendar"]).start();
        let link = link(&connect);
        browser.visit(async |driver: WebDriver| {
            driver.goto(&link).await?;
            driver.find(By::Id("allow")).await?.click().await?;
            driver.find(By::XPath("//p[contains(., 'go back to the terminal')]")).await?;
            let here = driver.current_url().await?;
            assert_eq!(here.fragment(), None, "the code stays in nobody's history: {here}");
            Ok(())
        });
        connect.finish().code(0).silent().err(&["Connected"]);
    }
}

#[test]
fn without_such_an_api_it_says_so() {
    let dev = Dev::with(&["--interval", "1", "--preset", "oidc"]);
    let home = dev.home();
    for words in [vec!["list"], vec!["connect", "okta"], vec!["disconnect", "okta", "-y"]] {
        agentctl(&home).arg("connections").args(words).run().code(2).silent().err(&["docs/connections.md"]);
    }
    agentctl(&dev.home()).args(["connections", "list", "--json"]).run().code(2);
}

#[test]
fn nobody_logged_in_is_exit_4() {
    let dev = Dev::start();
    agentctl(&dev.home()).args(["connections", "list"]).run().code(4).silent().err(&["agentctl login"]);
    agentctl(&dev.home()).args(["connections", "connect", "okta"]).run().code(4).silent();
}
