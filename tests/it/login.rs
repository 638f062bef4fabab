//! Logging in and out, as a person and as a script see it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Dev, Fake, Home, Reply, SOON, agentctl};

#[test]
fn a_person_logs_in_is_known_and_logs_out() {
    let dev = Dev::start();
    let home = dev.home();
    let login = agentctl(&home).args(["login", "--no-browser"]).start();
    let shown = login.wait_for_stderr("Device codes are a common phishing target");
    let code = dev.get("/pending")["logins"][0]["user_code"].as_str().unwrap().to_owned();
    assert!(shown.contains(&code), "{shown}");
    assert!(shown.contains(dev.text("issuer")), "{shown}");
    dev.post(&format!("/logins/{code}/approve"), &json!({}));
    login.finish().code(0).silent().err(&["Logged in as", "ada@example.com"]);

    agentctl(&home).arg("whoami").run().code(0).out(&["ada@example.com", dev.text("issuer")]);
    let who = agentctl(&home).args(["whoami", "--json"]).run().code(0).json();
    assert_eq!(who["schema_version"], 1, "{who}");

    agentctl(&home).arg("logout").run().code(0);
    assert_eq!(dev.history("revoke").len(), 1, "{:?}", dev.history("revoke"));
    agentctl(&home).arg("whoami").run().code(4).err(&["agentctl login"]);
}

#[test]
fn a_login_can_be_begun_and_completed_by_two_processes() {
    let dev = Dev::start();
    let home = dev.home();
    let output = agentctl(&home).args(["login", "--json", "--no-wait"]).run().code(10);
    let begun = output.json()["login"].clone();
    let code = begun["user_code"].as_str().unwrap_or_else(|| panic!("{output}"));
    assert!(begun["verification_uri"].is_string(), "{output}");
    assert!(begun.get("device_code").is_none() && !output.stderr.contains("device_code"), "{output}");
    dev.post(&format!("/logins/{code}/approve"), &json!({}));
    agentctl(&home).args(["login", "--complete"]).run().code(0);
    agentctl(&home).arg("whoami").run().code(0);
    let none_left = agentctl(&home).args(["login", "--complete"]).run();
    assert_ne!(none_left.status.code(), Some(0), "{none_left}");
}

#[test]
fn no_and_never_are_told_apart() {
    let dev = Dev::start();
    let home = dev.home();
    dev.auto("deny", "off");
    agentctl(&home).args(["login", "--no-browser"]).run().code(11).silent();
    dev.auto("off", "off");
    let login = agentctl(&home).args(["login", "--no-browser"]).start();
    login.wait_for_stderr("Device codes");
    dev.advance(3600);
    login.finish().code(12).silent().err(&["not finished in time", "run `agentctl login` again"]);
    agentctl(&home).arg("whoami").run().code(4);
}

#[test]
fn a_login_that_the_server_does_not_revoke_is_not_called_revoked() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.fault(&json!({ "on": "revoke", "kind": "status", "status": 400, "times": 2 }));
    agentctl(&home)
        .arg("panic")
        .run()
        .code(1)
        .out(&["✗ the login is deleted here, but it is not revoked at the server"]);
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    agentctl(&home)
        .arg("logout")
        .run()
        .code(0)
        .err(&["is logged out here, but the login is not revoked at the server"]);
}

#[test]
fn all_profiles_are_logged_out_also_the_one_of_the_environment() {
    let dev = Dev::start();
    let home = dev.home();
    dev.auto("approve", "off");
    agentctl(&home).arg("login").run().code(0);
    agentctl(&home).args(["logout", "--all"]).run().code(2).err(&["--yes"]);
    agentctl(&home).args(["logout", "--all", "--yes"]).run().code(0).err(&["Logged out"]);
    agentctl(&home).arg("whoami").run().code(4);
}

#[test]
fn a_store_that_only_a_flag_names_is_pointed_out() {
    let dev = Dev::start();
    let mut home = dev.home();
    home.unset("AGENTCTL_STORE");
    dev.auto("approve", "off");
    agentctl(&home).args(["login", "--store", "file"]).run().code(0).err(&["AGENTCTL_STORE=file"]);
    let parked = agentctl(&home).args(["login", "--store", "file", "--no-wait"]).run().code(10);
    assert!(parked.stderr.contains(" --store file"), "{parked}");
}

#[test]
fn an_interrupted_login_says_so() {
    let dev = Dev::start();
    let home = dev.home();
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let login = agentctl(&home).args(["login", "--no-browser"]).start();
        login.wait_for_stderr("Device codes");
        login.signal(signal);
        login.finish().code(code).silent();
    }
}

#[test]
fn a_login_that_takes_too_long_can_be_gone_on_with_only_if_it_was_written_down() {
    let dev = Dev::start();
    let home = dev.home();
    let begun = agentctl(&home).args(["login", "--timeout", SOON]).run().code(124).silent();
    let begun = begun.err(&["agentctl login", "--no-wait"]);
    assert!(!begun.stderr.contains("`agentctl login --complete`"), "{begun}");
    agentctl(&home).args(["login", "--no-wait"]).run().code(10);
    let more = ["login", "--complete", "--timeout", SOON];
    agentctl(&home).args(more).run().code(10).err(&["agentctl login --complete"]);
}

#[test]
fn who_cannot_have_the_settings_read_learns_where_they_are() {
    let home = Home::new();
    let file = home.path().join("config.toml");
    std::fs::write(&file, "profil = \"x\"\n").unwrap();
    let broken = |command: &str| agentctl(&home).args(["--config", file.to_str().unwrap(), "config", command]).run();
    broken("show").code(2).silent().err(&["did you mean \"profile\"", "agentctl config path"]);
    broken("path").code(0).out(&["config.toml", "toolsets"]);
}

#[test]
fn trouble_on_the_way_does_not_end_a_login() {
    let dev = Dev::start();
    let home = dev.home();
    dev.fault(&json!({ "on": "device_poll", "kind": "html", "status": 502 }));
    dev.fault(&json!({ "on": "device_poll", "kind": "drop" }));
    dev.fault(&json!({ "on": "device_poll", "kind": "half" }));
    let login = agentctl(&home).args(["login", "--no-browser"]).start();
    login.wait_for_stderr("Device codes");
    dev.post("/logins/latest/approve", &json!({}));
    login.finish().code(0).err(&["Logged in as"]);
}

/// What the discovery document must hold for a login.
fn metadata(url: &str) -> Value {
    json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/jwks"),
        "device_authorization_endpoint": format!("{url}/device"),
    })
}

#[test]
fn servers_that_are_none_are_named() {
    let path = "/.well-known/openid-configuration";
    let without_device = |url: &str| {
        let mut metadata = metadata(url);
        metadata.as_object_mut().unwrap().remove("device_authorization_endpoint");
        Reply::json(200, &metadata)
    };
    type Make<'a> = &'a dyn Fn(&str) -> Reply;
    let table: &[(Make, &str)] = &[
        (&|_| Reply::text(200, "text/html", "<html>welcome</html>"), "HTML"),
        (&|_| Reply::text(502, "text/html", "<html>bad gateway</html>"), "502"),
        (&|_| Reply::json(200, &metadata("https://someone.else.example")), "someone.else.example"),
        (&without_device, "device"),
    ];
    for (reply, word) in table {
        let fake = Fake::start();
        fake.always("GET", path, reply(&fake.url())).always(
            "GET",
            "/.well-known/oauth-authorization-server",
            reply(&fake.url()),
        );
        let mut home = Home::new();
        home.set("AGENTCTL_ISSUER", &fake.url());
        home.set("AGENTCTL_PROVIDER", "oidc");
        home.set("AGENTCTL_CLIENT_ID", "cli");
        home.set("AGENTCTL_STORE", "file");
        home.set("AGENTCTL_STORE_PASSPHRASE", "for one test");
        let output = agentctl(&home).args(["login", "--no-browser"]).run().silent();
        assert!([Some(1), Some(2)].contains(&output.status.code()), "{output}");
        assert!(output.stderr.to_lowercase().contains(&word.to_lowercase()), "no word of {word}\n{output}");
    }
}

#[test]
fn a_wrong_client_is_named() {
    let dev = Dev::start();
    let mut home = dev.home();
    home.set("AGENTCTL_CLIENT_ID", "nobody");
    let output = agentctl(&home).args(["login", "--no-browser"]).run().silent();
    assert_ne!(output.status.code(), Some(0), "{output}");
    assert!(output.stderr.contains("AGENTCTL_CLIENT_ID") || output.stderr.contains("client"), "{output}");
}

#[test]
fn with_nothing_set_up_the_two_ways_in_are_named() {
    let home = Home::new();
    for command in [&["login"][..], &["run", "buy 2 phones"], &["chat"], &["token"]] {
        agentctl(&home)
            .args(command.iter().copied())
            .run()
            .code(2)
            .silent()
            .err(&["agentctl demo", "agentctl config init"]);
    }
}

#[test]
fn a_clients_credential_is_not_replaced_unasked() {
    let dev = Dev::start();
    let home = dev.home();
    let keep = |more: &[&str]| {
        let args = ["config", "client-key", "approval", "--secret"].iter().chain(more).copied();
        agentctl(&home).args(args).stdin("a secret\n").run()
    };
    keep(&[]).code(0);
    keep(&[]).code(2).silent().err(&["has a credential already", "--yes"]);
    keep(&["--yes"]).code(0);
}

/// Whatever is silent, and whenever: the time holds for all of it.
#[test]
fn a_login_takes_no_longer_than_it_was_given() {
    let dev = Dev::start();
    let (logged_out, mut nowhere) = (dev.home(), dev.home());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    nowhere.set("AGENTCTL_ISSUER", &format!("http://{}", silent.local_addr().unwrap()));
    let login = |home: &Home, what: &str| {
        let output = agentctl(home).args(["login", "--no-browser", "--timeout", "2"]).run().code(124).silent();
        assert!(output.took < Duration::from_secs(20), "{what}: {:?}\n{output}", output.took);
        output.err(&["the time given by --timeout is over"]);
    };
    login(&nowhere, "discovery");
    dev.auto("approve", "off");
    for on in ["device", "device_poll", "jwks"] {
        dev.fault(&json!({ "on": on, "kind": "delay", "delay_ms": 60_000 }));
        login(&logged_out, on);
        // Whatever came of it there, nobody is logged in here.
        agentctl(&logged_out).arg("whoami").run().code(4);
    }
}

#[test]
fn a_logout_waits_ten_seconds_for_the_server() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.fault(&json!({ "on": "revoke", "kind": "delay", "delay_ms": 60_000 }));
    let output = agentctl(&home).arg("logout").run().code(0);
    assert!(output.took < Duration::from_secs(30), "{:?}\n{output}", output.took);
    output.err(&["is logged out here, but the login is not revoked at the server"]);
    agentctl(&home).arg("whoami").run().code(4);
}
