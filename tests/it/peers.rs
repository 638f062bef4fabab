//! Against node-oidc-provider, by discovery only: what works here works because of the specifications.

use std::{fs, time::Duration};

use serde_json::{Value, json};

use crate::support::{Dev, Home, Idp, Output, agentctl, wait_until};

/// The server, the tenant whose model plans, and a home that is logged in.
fn logged_in() -> Option<(Idp, Dev, Home)> {
    logged_in_at(&[])
}

fn logged_in_at(args: &[&str]) -> Option<(Idp, Dev, Home)> {
    let idp = Idp::with(args)?;
    let dev = Dev::start();
    let home = idp.home(&dev);
    idp.auto("approve", "off");
    agentctl(&home).args(["login", "--no-browser"]).run().code(0).silent().err(&["Ada Lovelace", "ada@example.com"]);
    Some((idp, dev, home))
}

#[test]
fn a_purchase_goes_through_and_nothing_of_it_is_auth0s() {
    let Some((idp, _dev, home)) = logged_in() else { return };
    agentctl(&home).args(["whoami", "--json"]).run().code(0).out(&["person-1", idp.issuer()]);
    idp.auto("off", "approve");
    let output = agentctl(&home).args(["run", "buy 2 phones"]).run().code(0);
    let orders = idp.orders();
    assert_eq!(orders.len(), 1, "{output}");
    assert_eq!(orders[0]["qty"], 2);
    assert_eq!(orders[0]["sub"], "person-1");
    let output = output.out(&["ord_81"]).err(&["Approved"]);

    let approval = idp.get("/approvals")[0].clone();
    let message = approval["binding_message"].as_str().unwrap();
    assert!(message.len() <= 20 && !message.contains(' '), "{message}");
    let code = message.rsplit('.').next().unwrap();
    assert!(output.stderr.contains(code), "the terminal does not show {code}\n{output}");
    let details = &approval["authorization_details"][0];
    assert_eq!(details["type"], "purchase");
    assert_eq!(details["arguments"], json!({ "product": "phones", "qty": 2 }));
    assert_eq!(orders[0]["digest"], details["digest"]);

    for request in idp.history() {
        let path = request["path"].as_str().unwrap();
        assert!(!path.starts_with("/oauth/") && path != "/bc-authorize", "{request}");
        assert!(request["body"].get("audience").is_none(), "{request}");
    }
}

#[test]
fn a_denied_and_an_expired_approval_are_told_apart() {
    let Some((idp, _dev, home)) = logged_in() else { return };
    for (answer, code) in [("deny", 11), ("expire", 12)] {
        idp.auto("off", answer);
        let output = agentctl(&home).args(["run", "--json", "buy 2 phones"]).run().code(code);
        let last = output.lines().pop().expect("a terminal event");
        assert_eq!(last["type"], "run.refused", "{output}");
        assert_eq!(last["exit_code"], code, "{output}");
    }
    assert_eq!(idp.orders(), [] as [Value; 0]);
}

#[test]
fn refresh_tokens_rotate_and_are_revoked_at_logout() {
    let Some((idp, _dev, home)) = logged_in() else { return };
    for _ in 0..2 {
        agentctl(&home)
            .args(["tools", "call", "search_products", "--arg", "query=phones"])
            .run()
            .code(0)
            .out(&["Pebble One"]);
        // Access tokens are kept on disk; without them each call needs a refresh, and a reused refresh token would end
        // the whole login here.
        let _ = fs::remove_dir_all(home.path().join("agentctl/cache"));
    }
    agentctl(&home).arg("logout").run().code(0);
    let revoked = idp.history().iter().any(|one| one["path"] == "/token/revocation" && one["status"] == 200);
    assert!(revoked, "{:?}", idp.history());
    agentctl(&home).arg("whoami").run().code(4);
    agentctl(&home).args(["run", "buy 2 phones"]).run().code(4).silent();
}

#[test]
fn a_login_that_is_denied_leaves_nothing() {
    let Some(idp) = Idp::start() else { return };
    let dev = Dev::start();
    let home = idp.home(&dev);
    idp.auto("deny", "off");
    agentctl(&home).args(["login", "--no-browser"]).run().code(11).silent();
    agentctl(&home).arg("whoami").run().code(4);
}

#[test]
fn a_client_can_prove_itself_by_a_key() {
    let Some((idp, _dev, mut home)) = logged_in() else { return };
    home.unset("AGENTCTL_APPROVAL_CLIENT_SECRET");
    home.set("AGENTCTL_APPROVAL_CLIENT_ID", "approvals-by-key");
    let config = home.path().join("config.toml");
    let text = "[profiles.default.approval]\nauthentication = \"private_key_jwt\"\n";
    fs::write(&config, text).unwrap();
    home.set("AGENTCTL_CONFIG", config.to_str().unwrap());
    let jwk = agentctl(&home).args(["config", "client-key", "approval", "--json"]).run().code(0).json();
    let jwk = &jwk["public_jwk"];
    assert_eq!(jwk["kty"], "EC");
    assert!(jwk.get("d").is_none(), "the private half must stay here");
    idp.post("/client-key", &json!({ "jwk": jwk }));
    idp.auto("off", "approve");
    agentctl(&home).args(["run", "buy 2 phones"]).run().code(0).out(&["ord_81"]);
    assert_eq!(idp.orders()[0]["client_id"], "approvals-by-key");
}

/// Calls the tool while the people wait, and lets one of them grant something else than was asked. What was asked comes
/// second.
fn bent(idp: &Idp, home: &Home, bend: impl Fn(&Value) -> Value) -> (Output, Value) {
    let before = idp.get("/approvals").as_array().unwrap().len();
    let running = agentctl(home)
        .args([
            "tools",
            "call",
            "buy_product",
            "--arg",
            "product=phones",
            "--arg",
            "qty=2",
            "--arg",
            "price_limit=900.5",
        ])
        .start();
    let asked = wait_until(Duration::from_secs(60), "an approval", || idp.get("/approvals").get(before).cloned());
    idp.post("/approvals/latest/approve", &bend(&asked));
    (running.finish(), asked)
}

#[test]
fn what_this_server_grants_is_compared_with_what_was_asked() {
    let Some((idp, _dev, home)) = logged_in() else { return };
    let details = |asked: &Value| asked["authorization_details"].clone();
    type Bend<'a> = &'a dyn Fn(&Value) -> Value;
    let bends: [(Bend<'_>, &str); 4] = [
        (
            &|asked| {
                let mut other = details(asked);
                other[0]["arguments"]["qty"] = json!(3);
                json!({ "authorization_details": other })
            },
            "other details than were asked for (at /0/arguments/qty)",
        ),
        (
            &|asked| {
                let mut other = details(asked);
                other[0]["arguments"]["price_limit"] = json!(900.6);
                json!({ "authorization_details": other })
            },
            "other details than were asked for (at /0/arguments/price_limit)",
        ),
        (
            &|asked| {
                let mut other = details(asked);
                other.as_array_mut().unwrap().push(json!({ "type": "purchase", "actions": ["everything"] }));
                json!({ "authorization_details": other })
            },
            "other details than were asked for",
        ),
        (&|_| json!({ "scope": "openid product:read" }), "missing: product:buy"),
    ];
    for (bend, said) in bends {
        bent(&idp, &home, bend).0.code(13).err(&[said]);
    }
    assert_eq!(idp.orders(), [] as [Value; 0]);
    let (output, asked) = bent(&idp, &home, |_| json!({}));
    output.code(0).err(&["your yes is bound to this call by its details", "Approved"]);
    let (order, asked) = (&idp.orders()[0], &details(&asked)[0]);
    assert_eq!((&order["digest"], &order["client_id"]), (&asked["digest"], &asked["agent"]));
    // The resource is named at the start, and at the token endpoint again.
    let ciba = |request: &&Value| request["body"].get("auth_req_id").is_some() || request["path"] == "/backchannel";
    let history = idp.history();
    assert!(history.iter().filter(ciba).count() >= 10);
    for request in history.iter().filter(ciba) {
        assert!(request["body"]["resource"].as_str().is_some_and(|it| it.ends_with("/shop")), "{request}");
    }
}

#[test]
fn a_server_without_details_is_graded_by_its_messages() {
    let Some((idp, _dev, mut home)) = logged_in_at(&["--no-rar"]) else { return };
    idp.auto("off", "approve");
    let buy = |home: &Home, product: &str| {
        agentctl(home).args(["tools", "call", "buy_product", "--arg", product, "--arg", "qty=2"]).run()
    };
    let asked = || idp.get("/approvals").as_array().unwrap().len();
    // Twenty characters hold this order ...
    buy(&home, "product=tea").code(0).err(&["by its message (details: not supported by the server)", "Approved"]);
    assert!(idp.get("/approvals")[0].get("authorization_details").is_none());
    agentctl(&home).args(["audit", "list", "--json"]).run().code(0).out(&["not supported by the server"]);
    // ... and not that one, so that nobody is asked about it ...
    buy(&home, "product=phones").code(13).err(&["bound to the call by code only"]);
    assert_eq!((asked(), idp.orders().len()), (1, 1));
    // ... unless the profile is content with the code.
    let config = home.path().join("config.toml");
    fs::write(&config, "[profiles.default]\nbinding = \"code\"\n").unwrap();
    home.set("AGENTCTL_CONFIG", config.to_str().unwrap());
    buy(&home, "product=phones").code(0).err(&["by its code alone", "may show only the code"]);
    assert_eq!((asked(), idp.orders().len()), (2, 2));
}
