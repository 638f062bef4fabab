//! Rich authorization requests (RFC 9396): what is asked in full, and that nothing else is taken for it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Dev, Home, Running, Terminal, agentctl, wait_until};

const CALL: [&str; 7] = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2"];
const URN: &str = "urn:auth0:schemas:authorization-details:v1:";

fn tenant(preset: &str) -> (Dev, Home) {
    let dev = Dev::with(&["--interval", "1", "--preset", preset]);
    let home = dev.home();
    dev.auto("approve", "off");
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    (dev, home)
}

/// The details of the push that waits now.
fn asked(dev: &Dev) -> Value {
    wait_until(Duration::from_secs(60), "a push", || dev.get("/pending")["approvals"].get(0).cloned())
        ["authorization_details"]
        .clone()
}

/// A call that waits for its approval, and what it asks for.
fn waiting(dev: &Dev, home: &Home) -> (Running, Value) {
    let running = agentctl(home).args(CALL).start();
    let asked = asked(dev);
    (running, asked)
}

fn pushes(dev: &Dev) -> usize {
    dev.history("ciba").iter().filter(|one| one["method"] == "POST").count()
}

/// The newest approval in the log.
fn evidence(home: &Home) -> Value {
    let list = agentctl(home).args(["audit", "list", "--json"]).run().code(0).json();
    let entries = list["entries"].as_array().unwrap_or_else(|| panic!("{list}"));
    let newest = entries.iter().rfind(|entry| entry.to_string().contains("auth_req_id_sha256"));
    find(newest.unwrap(), "approval").unwrap()
}

fn find(value: &Value, name: &str) -> Option<Value> {
    match value {
        Value::Object(members) => {
            let here = members.get(name).filter(|it| it.is_object()).cloned();
            here.or_else(|| members.values().find_map(|member| find(member, name)))
        }
        Value::Array(items) => items.iter().find_map(|item| find(item, name)),
        _ => None,
    }
}

#[test]
fn each_preset_is_asked_in_its_own_schema_and_sells_what_was_approved() {
    for preset in ["auth0", "keycloak", "oidc"] {
        let (dev, home) = tenant(preset);
        let (running, asked) = waiting(&dev, &home);
        let [one] = asked.as_array().unwrap().as_slice() else { panic!("{asked}") };
        let (qty, digest) = if preset == "auth0" {
            assert_eq!(one["type"], format!("{URN}purchase"));
            assert_eq!(one["instruction"], "Buy in the shop");
            let value = |name: &str| &one["properties"][name]["value"];
            assert_eq!((value("spend"), value("product")), (&json!("any price"), &json!("phones")));
            assert_eq!(value("agent"), "agentctl-approval");
            assert!(dev.text("issuer").starts_with(value("origin").as_str().unwrap()), "{asked}");
            (value("qty"), value("digest"))
        } else {
            assert_eq!(one["type"], "purchase");
            assert_eq!((&one["agent"], &one["spend"]), (&json!("agentctl-approval"), &json!("any price")));
            (&one["arguments"]["qty"], &one["digest"])
        };
        assert_eq!(*qty, if preset == "auth0" { json!("2") } else { json!(2) });
        assert!(digest.as_str().unwrap().starts_with("sha-256:"), "{asked}");
        dev.post("/approvals/latest/approve", &json!({}));
        running.finish().code(0).err(&["Asked by agentctl-approval; your yes is bound to this call by its details"]);
        assert_eq!(dev.orders().len(), 1, "{preset}");
        let evidence = evidence(&home);
        assert_eq!((&evidence["binding"], &evidence["details"]), (&json!("details"), &json!("granted")), "{preset}");
    }
}

#[test]
fn what_differs_in_one_digit_is_thrown_away() {
    type Change = fn(&mut Value);
    let guardian: [Change; 5] = [
        |it| it[0]["properties"]["qty"]["value"] = json!("3"),
        |it| drop(it[0]["properties"].as_object_mut().unwrap().remove("origin")),
        |it| it[0]["properties"]["spend"]["value"] = json!("up to 1.00 EUR"),
        |it| {
            let twin = it[0].clone();
            it.as_array_mut().unwrap().push(twin);
        },
        |it| *it = json!(it.to_string()),
    ];
    let common: [Change; 5] = [
        |it| it[0]["arguments"]["qty"] = json!(3),
        |it| it[0]["arguments"]["product"] = json!("phone5"),
        |it| drop(it[0].as_object_mut().unwrap().remove("digest")),
        |it| it[0]["locations"][0] = json!("http://127.0.0.1:1"),
        |it| it.as_array_mut().unwrap().push(json!({"type": "account-change"})),
    ];
    for (preset, changes) in [("auth0", guardian), ("oidc", common)] {
        let (dev, home) = tenant(preset);
        for change in changes {
            let (running, mut granted) = waiting(&dev, &home);
            change(&mut granted);
            dev.post("/approvals/latest/approve", &json!({ "authorization_details": granted }));
            running.finish().code(13).err(&["the server granted other details than were asked for"]);
            dev.advance(61);
        }
        assert!(dev.orders().is_empty());
    }
}

#[test]
fn a_token_may_not_contradict_the_answer_around_it() {
    let (dev, home) = tenant("auth0");
    let (running, asked) = waiting(&dev, &home);
    let mut other = asked.clone();
    other[0]["properties"]["qty"]["value"] = json!("9");
    dev.fault(&json!({ "on": "ciba_poll", "kind": "alter", "answer": { "authorization_details": asked } }));
    dev.post("/approvals/latest/approve", &json!({ "authorization_details": other }));
    running.finish().code(13).err(&["the access token carries other details", "/0/properties/qty/value"]);
    // Nor does it prove anything: where the answer holds no details, the yes is as good as its message.
    let running = agentctl(&home).args(CALL).start();
    running.wait_for_stderr("Check that it shows:");
    dev.fault(&json!({ "on": "ciba_poll", "kind": "alter", "answer": { "authorization_details": null } }));
    dev.post("/approvals/latest/approve", &json!({}));
    running.finish().code(0).err(&["The server did not return the details. The yes is bound by its message."]);
    let evidence = evidence(&home);
    assert_eq!((&evidence["binding"], &evidence["details"]), (&json!("message"), &json!("not returned")));
}

#[test]
fn an_answer_with_details_that_nobody_asked_for_is_thrown_away() {
    let (dev, home) = tenant("oidc");
    own_tool(&home, "");
    let granted = json!([{ "type": "account-change", "arguments": {} }]);
    let running = agentctl(&home).args(["tools", "call", "lend"]).start();
    running.wait_for_stderr("Check that it shows:");
    dev.fault(&json!({ "on": "ciba_poll", "kind": "alter", "answer": { "authorization_details": granted } }));
    dev.post("/approvals/latest/approve", &json!({}));
    running.finish().code(13).err(&["other details than were asked for"]);
}

/// A reversible tool of one's own with one parameter of any kind, which the tenant's shop does not serve.
fn own_tool(home: &Home, details: &str) {
    let paths = agentctl(home).args(["config", "path", "--json"]).run().code(0).json();
    let folder = std::path::Path::new(paths["toolsets"].as_str().unwrap());
    std::fs::create_dir_all(folder).unwrap();
    let manifest = format!(
        "[toolset]\nname = \"own\"\ndescription = \"x\"\n[[tool]]\nname = \"lend\"\ndescription = \"x\"\n\
         effect = \"reversible\"\n[tool.parameters]\ntype = \"object\"\n[tool.parameters.properties]\nto = {{}}\n\
         [tool.approval]\nbinding_message = \"LEND\"\naudience = \"okta-admin\"\n\
         resource = \"{{{{ env.OKTA_APPROVAL_RESOURCE }}}}\"\n{details}\n[tool.credential]\nsource = \"none\"\n\
         [tool.request]\nmethod = \"POST\"\nurl = \"{{{{ env.SHOP_API_URL }}}}\"\n"
    );
    std::fs::write(folder.join("own.toml"), manifest).unwrap();
}

fn lend(home: &Home, to: &Value) -> Running {
    let arguments = json!({ "to": to }).to_string();
    agentctl(home).args(["tools", "call", "lend", "--args-json", &arguments]).start()
}

#[test]
fn what_guardian_cannot_show_makes_no_phone_ring() {
    let (dev, home) = tenant("auth0");
    own_tool(&home, "authorization_details = { type = \"account-change\" }");
    for (to, why) in [
        (json!("x".repeat(256)), "it is 256 characters long, and 255 fit"),
        (json!({ "name": "ada" }), "it is a list or an object"),
        (json!("ada\u{202e}"), "characters that cannot be seen"),
    ] {
        let output = lend(&home, &to).finish().code(13).err(&["does not fit", "`to`", why]);
        assert!(!output.stderr.contains('\u{202e}'), "{output}");
    }
    assert_eq!(pushes(&dev), 0);
    let running = lend(&home, &json!("x".repeat(255)));
    assert_eq!(asked(&dev)[0]["properties"]["to"]["value"], "x".repeat(255));
    drop(running);
    // Where the common members are taken, the same call is shown whole.
    let (dev, home) = tenant("oidc");
    own_tool(&home, "authorization_details = { type = \"account-change\" }");
    let running = lend(&home, &json!({ "name": ["ada", 1.5e300, "x".repeat(256)] }));
    let granted = asked(&dev);
    assert_eq!(granted[0]["arguments"]["to"]["name"][1], 1.5e300);
    dev.post("/approvals/latest/approve", &json!({}));
    // The shop does not lend; that the request was sent shows that the details were found to be the same.
    running.finish().code(21).err(&["Approved"]);
}

#[test]
fn it_is_written_down_why_there_are_no_details() {
    let (dev, home) = tenant("oidc");
    for (details, expected) in [
        ("", "not declared by the tool"),
        ("authorization_details = { type = \"loan\" }", "not supported by the server"),
    ] {
        own_tool(&home, details);
        let running = agentctl(&home).args(["tools", "call", "lend"]).start();
        running.wait_for_stderr("Check that it shows:");
        assert!(asked(&dev).is_null());
        dev.post("/approvals/latest/approve", &json!({}));
        running.finish().code(21).err(&[&format!("by its message (details: {expected})")]);
        assert_eq!(evidence(&home)["details"], expected);
    }
}

#[test]
fn arguments_with_two_readings_are_not_understood() {
    let (dev, home) = tenant("auth0");
    let twice = r#"{"product":"phones","qty":2,"qty":9}"#;
    let call = ["tools", "call", "buy_product", "--args-json", twice];
    agentctl(&home).args(call).run().code(2).err(&["the name /qty stands twice"]);
    dev.post(
        "/script",
        &json!({ "turns": [
        { "tool_calls": [{ "name": "buy_product", "arguments": twice }] }, { "text": "Never mind." },
    ] }),
    );
    agentctl(&home).args(["run", "go"]).run().out(&["Never mind."]).err(&["the name /qty stands twice"]);
    assert_eq!(pushes(&dev), 0);
}

#[test]
fn the_phone_in_the_terminal_shows_everything_and_takes_enter_for_a_no() {
    let home = Home::new();
    let mut terminal = Terminal::sized(agentctl(&home).args(["demo", "--phone", "terminal"]), 100, 60);
    let screen = terminal.wait_for("anything else to deny");
    for shown in ["Buy in the shop", "spend: any price", "product: phones", "qty: 2", "origin: http://127.0.0.1:"] {
        assert!(screen.contains(shown), "{shown}\n{screen}");
    }
    // What is typed in the first moment is not for this question, which is then asked again.
    let questions = |screen: &str| screen.matches("anything else to deny").count();
    for asked in 1.. {
        // Whoever answers has read the question; what comes sooner counts as typed before it.
        std::thread::sleep(Duration::from_millis(400));
        terminal.enter("");
        let settled = |screen: &str| screen.contains("Denied") || questions(screen) > asked;
        if terminal.wait_until("an answer or the question again", settled).contains("Denied") {
            break;
        }
    }
    let (code, screen) = terminal.finish();
    assert_eq!(code, 11, "{screen}");
    assert!(screen.contains("Denied"), "{screen}");
}
