//! Permission, policy and third-party accounts, through the finished program.

use std::{fs, time::Duration};

use serde_json::{Value, json};

use crate::support::{Dev, Fake, Home, Output, Reply, agentctl, command, peer_is_missing, program, wait_until};

fn run(home: &Home, task: &str) -> Output {
    agentctl(home).args(["run", task]).run()
}

/// The push that waits, as soon as there is one.
fn pushed(dev: &Dev) -> Value {
    wait_until(Duration::from_secs(60), "a push", || dev.get("/pending")["approvals"].as_array()?.first().cloned())
}

/// Answers the next push, and says what it showed.
fn answer(dev: &Dev, answer: &str) -> Value {
    let push = pushed(dev);
    dev.post(&format!("/approvals/latest/{answer}"), &json!({}));
    push
}

fn resets(dev: &Dev, login: &str) -> u64 {
    let directory = dev.get("/directory");
    let users = directory["users"].as_array().unwrap();
    let user = users.iter().find(|user| user["login"].as_str().unwrap().starts_with(login)).unwrap();
    user["password_resets"].as_u64().unwrap()
}

#[test]
fn a_question_is_answered_with_a_federated_token_and_stops_with_its_tuple() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let output = run(&home, "which groups is ada in").code(0).out(&["Engineering"]);
    assert_eq!((dev.history("vault").len(), dev.history("directory").len()), (1, 1), "{output}");
    assert!(dev.history("ciba").is_empty(), "a read asks nobody");
    dev.delete("/tuples", &json!({ "user": "ada", "relation": "read_okta", "object": "okta:main" }));
    run(&home, "which groups is ada in").code(13).err(&["does not have the permission read_okta on okta:main"]);
    assert_eq!(
        (dev.history("vault").len(), dev.history("directory").len()),
        (1, 1),
        "the vault and the API were asked"
    );
    assert!(dev.history("ciba").is_empty());
    let answer = agentctl(&home).args(["can", "list_user_groups", "--arg", "user=ada", "--json"]).run().code(13).json();
    assert_eq!((answer["would_run"].as_bool(), answer["error"].as_str()), (Some(false), Some("not_permitted")));
}

#[test]
fn a_password_is_reset_only_after_a_yes_to_this_very_name() {
    for (tap, code, count) in [("deny", 11, 0), ("approve", 0, 1)] {
        let dev = Dev::start();
        let home = dev.logged_in();
        let running = agentctl(&home).args(["run", "reset the password of bob"]).start();
        let push = answer(&dev, tap);
        assert!(push["binding_message"].as_str().unwrap().starts_with("RESET-bob."), "{push}");
        assert!(push["authorization_details"].to_string().contains("bob"), "{push}");
        let output = running.finish().code(code);
        assert_eq!(resets(&dev, "bob"), count, "{output}");
        assert_eq!(dev.history("vault").len() as u64, count, "the token comes after the yes\n{output}");
        let log = agentctl(&home).args(["audit", "list", "--json"]).run().code(0).json();
        let action = log["entries"].as_array().unwrap().iter().find_map(|entry| entry["action"].as_str());
        let action = action.unwrap();
        let why = agentctl(&home).args(["why", action]).run().code(0);
        let last = agentctl(&home).args(["why", "--last"]).run().code(0);
        assert_eq!(why.stdout, last.stdout);
        why.out(&[
            "user:auth0|ada manage_okta okta:main: yes",
            if count == 1 { "okta.users.manage" } else { "denied" },
        ]);
    }
}

#[test]
fn an_account_that_is_not_connected_is_said_before_the_phone_rings() {
    let dev = Dev::start();
    let home = dev.logged_in();
    agentctl(&home).args(["why", "--last"]).run().code(1).err(&["nothing was done yet"]);
    let account = json!({ "person": "ada", "connection": "okta" });
    dev.delete("/connections", &account);
    run(&home, "which groups is ada in").code(5).err(&["agentctl connections connect okta"]);
    run(&home, "reset the password of bob").code(5).err(&["agentctl connections connect okta"]);
    assert!(dev.history("ciba").is_empty() && dev.history("directory").is_empty());
    agentctl(&home).args(["can", "reset_password", "--arg", "user=bob"]).run().code(5).out(&["connection_needed"]);
    dev.post("/connections", &json!({ "person": "ada", "connection": "okta", "scopes": ["okta.users.read"] }));
    run(&home, "which groups is ada in").code(0);
    run(&home, "reset the password of bob").code(5).err(&["okta.users.manage"]);
    // The third party forgets its grant: only the exchange can find out.
    dev.post("/connections/revoke", &account);
    run(&home, "which groups is ada in").code(5).err(&["agentctl connections connect okta"]);
}

#[test]
fn a_permission_that_ends_while_the_phone_rings_is_none() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let running = agentctl(&home).args(["run", "buy 2 phones"]).start();
    pushed(&dev);
    dev.delete("/tuples", &json!({ "user": "ada", "relation": "can_buy", "object": "shop:main" }));
    dev.post("/approvals/latest/approve", &json!({}));
    running.finish().code(13).err(&["Approved", "does not have the permission can_buy"]);
    assert!(dev.orders().is_empty());
}

/// Between the yes and the deed, while the permission server thinks about it once more.
#[test]
fn a_yes_that_is_given_up_before_it_is_used_is_none() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let running = agentctl(&home).args(["run", "buy 2 phones"]).start();
    pushed(&dev);
    dev.fault(&json!({ "on": "fga", "kind": "delay", "delay_ms": 8000 }));
    let before = dev.history("fga").len();
    dev.post("/approvals/latest/approve", &json!({}));
    wait_until(Duration::from_secs(60), "the second question", || (dev.history("fga").len() > before).then_some(()));
    let list = agentctl(&home).args(["approvals", "list", "--json"]).run().code(0).json();
    let id = list["approvals"][0]["id"].as_str().unwrap();
    agentctl(&home).args(["approvals", "abandon", id]).run().code(0);
    running.finish().code(13).err(&["the approval was given up meanwhile"]);
    assert!(dev.orders().is_empty());
}

#[test]
fn a_permission_server_that_does_not_answer_says_no() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    for fault in [
        json!({ "on": "fga", "kind": "status", "status": 503, "times": 9 }),
        json!({ "on": "fga", "kind": "html", "times": 9 }),
        json!({ "on": "fga", "kind": "half", "times": 9 }),
        json!({ "on": "fga", "kind": "drop", "times": 9 }),
    ] {
        dev.fault(&fault);
        let output = run(&home, "buy 2 phones").code(13);
        assert!(dev.history("ciba").is_empty() && dev.orders().is_empty(), "{fault}\n{output}");
        dev.delete("/faults", &json!({}));
    }
    for (name, value, said) in [
        ("AGENTCTL_FGA_STORE_ID", "01M88ARB29VB5N17D7MVCNWXFB", "store_id_not_found"),
        ("AGENTCTL_FGA_MODEL_ID", "01M88ARB29VB5N17D7MVCNWXFB", "authorization_model_not_found"),
        ("AGENTCTL_FGA_API_TOKEN", "wrong", "unauthenticated"),
        ("AGENTCTL_FGA_API_URL", "http://127.0.0.1:9", "could not connect"),
    ] {
        let right = home.env()[name].clone();
        home.set(name, value);
        run(&home, "buy 2 phones").code(13).err(&[said]);
        home.set(name, &right);
    }
    assert!(dev.history("ciba").is_empty());
    home.set("AGENTCTL_PERMISSION", "none");
    let forecast = agentctl(&home).args(["can", "buy_product", "--arg", "product=tea", "--arg", "qty=1"]).run().code(0);
    forecast.out(&["none (by profile)", "your device would ring"]);
}

/// Puts a policy into the person's configuration.
fn policy(home: &Home, text: &str) {
    let folder = &home.env()["AGENTCTL_HOME"];
    fs::create_dir_all(folder).unwrap();
    fs::write(format!("{folder}/policy.toml"), text).unwrap();
}

/// Reads of one answer are made side by side; a policy may have each of them asked about.
#[test]
fn two_that_are_denied_end_the_questions_also_for_those_that_stand_behind_them() {
    let search = |word: &str| json!({ "name": "search_products", "arguments": { "query": word } });
    let calls = ["phones", "lamps", "chairs", "tables"].map(search);
    let dev = Dev::scripted(json!([{ "tool_calls": calls }, { "text": "Well then." }]));
    let home = dev.logged_in();
    policy(&home, "[[rule]]\nname = \"ask\"\ntools = [\"search_products\"]\ndecision = \"require_approval\"");
    dev.auto("off", "deny");
    let output = agentctl(&home).args(["run", "look around"]).run().code(11);
    let output = output.err(&["the user denied `search_products` 2 times in this run"]);
    assert_eq!(dev.history("ciba").len(), 2, "{output}");
}

#[test]
fn a_policy_tightens_and_nothing_else() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let rule = |text: &str| format!("[[rule]]\nname = \"house\"\n{text}");
    let buy = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg"];
    for (text, code, said) in [
        (rule("decision = \"deny\"\nreason = \"not today\""), 13, "user policy `house` denies it: not today"),
        (rule("decision = \"deny\"\nwhen = { qty = { above = 1 } }"), 13, "`house`"),
        ("allowed_origins = [\"https://shop.example\"]".to_owned(), 13, "allowed_origins"),
        ("[max_spend]\nper_call = \"100 EUR\"".to_owned(), 14, "max_spend.per_call"),
        ("[max_spend]\nper_day = \"100 EUR\"".to_owned(), 14, "names no limit"),
        (rule("decision = \"allow\""), 2, "cannot allow anything"),
        (rule("decison = \"deny\""), 2, "decison"),
    ] {
        policy(&home, &text);
        let output = agentctl(&home).args(buy).arg("qty=2").run().code(code).err(&[said]);
        assert!(dev.history("ciba").is_empty() && dev.orders().is_empty(), "{text}\n{output}");
        let file = format!("{}/policy.toml", home.env()["AGENTCTL_HOME"]);
        agentctl(&home).args(["tools", "check", &file]).run().code(if code == 2 { 1 } else { 0 });
    }
    // A read that asks nobody by itself.
    policy(&home, &rule("tools = [\"search_products\"]\ndecision = \"require_approval\""));
    let running = agentctl(&home).args(["tools", "call", "search_products", "--arg", "query=tea"]).start();
    let push = answer(&dev, "deny");
    assert!(push["binding_message"].as_str().unwrap().starts_with("SEARCH_PRODUCTS"), "{push}");
    running.finish().code(11);
}

/// Nobody knows whether the order stands, so its money may be gone.
#[test]
fn what_may_have_been_spent_counts() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    policy(&home, "[max_spend]\nper_day = \"900 EUR\"");
    let buy = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=1", "--arg", "price_limit=500"];
    dev.fault(&json!({ "on": "shop", "kind": "drop", "when": "after", "times": 9 }));
    agentctl(&home).args(buy).run().code(21).err(&["may have happened"]);
    dev.delete("/faults", &json!({}));
    agentctl(&home).args(buy).run().code(14).err(&["after 500.00 EUR"]);
    assert_eq!(dev.orders().len(), 1);
}

/// The second question waits for its turn, and by then the money is spent: the phone does not ring for it.
#[test]
fn nobody_is_asked_for_what_is_over_the_limit_by_then() {
    let dev = Dev::start();
    let home = dev.logged_in();
    policy(&home, "[max_spend]\nper_day = \"900 EUR\"");
    let buy = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=1", "--arg", "price_limit=500"];
    let first = agentctl(&home).args(buy).start();
    first.wait_for_stderr("Check that it shows:");
    let second = agentctl(&home).args(buy).start();
    second.wait_for_stderr("Waiting for the answer to another request");
    answer(&dev, "approve");
    first.finish().code(0);
    second.finish().code(14).err(&["after 500.00 EUR"]);
    let pushes = dev.history("ciba").iter().filter(|request| request["path"].to_string().contains("bc-")).count();
    assert_eq!((dev.orders().len(), pushes), (1, 1));
}

/// What asks nobody waits for nobody's turn, so it can spend the money while the phone rings: the yes comes too late, and the
/// log says which limit it met.
#[test]
fn money_that_is_spent_while_the_phone_rings_is_not_spent_twice() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    policy(&home, "[max_spend]\nper_day = \"900 EUR\"");
    let till = Fake::start();
    till.once("POST", "/tip", Reply::json(200, &json!({})));
    home.set("SHOP_CATALOG_URL", &till.url());
    let folder = format!("{}/toolsets", home.env()["AGENTCTL_HOME"]);
    fs::create_dir_all(&folder).unwrap();
    let tip = "[toolset]\nname = \"own\"\ndescription = \"x\"\n[[tool]]\nname = \"tip\"\ndescription = \"x\"\n\
               effect = \"reversible\"\napproval = \"none\"\napproval_reason = \"for a test\"\n\
               [tool.parameters]\ntype = \"object\"\nrequired = [\"price\"]\n\
               [tool.parameters.properties.price]\ntype = \"number\"\n[tool.request]\nmethod = \"POST\"\n\
               url = \"{{ env.SHOP_CATALOG_URL }}/tip\"\n[tool.limits]\nspend = \"{{ price }}\"\ncurrency = \"EUR\"\n";
    fs::write(format!("{folder}/own.toml"), tip).unwrap();
    let buy = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=1", "--arg", "price_limit=500"];
    let running = agentctl(&home).args(buy).start();
    running.wait_for_stderr("Check that it shows:");
    let tip = |price: &str| agentctl(&home).args(["tools", "call", "tip", "--arg"]).arg(format!("price={price}")).run();
    tip("500").code(0);
    answer(&dev, "approve");
    running.finish().code(14).err(&["it may spend 500.00 EUR more, after 500.00 EUR"]);
    tip("500").code(14);
    assert!(dev.orders().is_empty());
    // The log tells both refusals with the limit.
    let list = agentctl(&home).args(["audit", "list", "--json"]).run().code(0).json();
    let entries = list["entries"].as_array().unwrap().iter().filter(|entry| entry["body"]["outcome"] == "limit");
    let rules: Vec<&Value> = entries.map(|entry| &entry["body"]["policy"][0]).collect();
    assert_eq!(rules.len(), 2, "{list:#}");
    for rule in rules {
        assert_eq!((&rule["rule"], &rule["author"]), (&json!("max_spend.per_day"), &json!("user")), "{rule}");
        assert!(rule["reason"].as_str().unwrap().contains("500.00 EUR"), "{rule}");
    }
}

#[test]
fn what_may_be_spent_in_a_day_holds_across_processes() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    policy(&home, "[max_spend]\nper_day = \"900 EUR\"");
    let buy = |limit: &str| {
        let arguments = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=1", "--arg"];
        agentctl(&home).args(arguments).arg(format!("price_limit={limit}")).run()
    };
    buy("500").code(0);
    buy("500").code(14).err(&["it may spend 500.00 EUR more, after 500.00 EUR"]);
    // What is refused by the shop was not spent.
    buy("1").code(21);
    buy("400").code(0);
    buy("0.01").code(14);
    assert_eq!(dev.orders().len(), 2);
    dev.advance(24 * 60 * 60 + 60);
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    buy("500").code(0);
    policy(&home, "");
    let mine = ["run", "--max-spend", "100 EUR", "buy 2 phones"];
    agentctl(&home).args(mine).run().code(14).err(&["--max-spend"]);
}

/// Runs a shell script as root in a mount namespace with an /etc of its own; none where that is not possible.
fn with_own_etc(home: &Home, script: &str) -> Option<Output> {
    let apart = |script: &str| {
        let unshare = command(home, program("unshare").unwrap_or_default());
        unshare.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(["-m", "sh", "-ec", script])
    };
    let own_etc = "mount -t tmpfs none /mnt; mkdir /mnt/upper /mnt/work
                   mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work overlay /etc
                   mkdir /etc/agentctl; F=/etc/agentctl/policy.toml\n";
    if program("unshare").is_none_or(|_| apart(own_etc).run().status.code() != Some(0)) {
        peer_is_missing("a mount namespace with an overlay", "root must be allowed to make one");
        return None;
    }
    Some(apart(&format!("{own_etc}{script}")).run())
}

#[test]
fn only_root_can_have_written_the_policy_of_the_administrator() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let deny = "[[rule]]\\nname = \"house\"\\ndecision = \"deny\"\\n";
    let buy = "tools call buy_product --arg product=phones --arg qty=2";
    for (setup, code, said) in [
        ("", 13, "admin policy `house`"),
        // A person who would rather have their own.
        ("echo 'allowed_origins = []' > $AGENTCTL_HOME/policy.toml", 13, "admin policy `house`"),
        ("chmod 664 $F", 2, "written to by others than root"),
        ("chmod 777 /etc/agentctl", 2, "written to by others than root"),
        ("chown 1 $F", 2, "does not belong to root"),
        ("mv $F /mnt/policy; ln -s /mnt/policy $F", 2, "is a symbolic link"),
        ("ln -sf /nowhere $F", 2, "policy.toml"),
        ("echo '[[rule]]' > $F", 2, "policy.toml"),
    ] {
        let binary = env!("CARGO_BIN_EXE_agentctl");
        let script = format!("umask 022; printf '{deny}' > $F\n{setup}\nexec {binary} {buy}");
        let Some(output) = with_own_etc(&home, &script) else { return };
        output.code(code).err(&[said]);
    }
    assert!(dev.orders().is_empty());
}

/// The tool that docs/tools.md shows, added as the page says: one file, nothing compiled.
#[test]
fn the_tool_of_the_documentation_works() {
    let page = include_str!("../../docs/tools.md");
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let library = Fake::start();
    let loan = json!({ "loan_id": "l1", "due": "2027-01-01" });
    library.once("POST", "/books/9780141036144/loans", Reply::json(201, &loan));
    let dev = Dev::with(&["--interval", "1", "--preset", "oidc"]);
    let mut home = dev.home();
    dev.auto("approve", "approve");
    // The tenant knows no library: neither its permissions nor its audience.
    home.set("AGENTCTL_PERMISSION", "none");
    let folder = home.env()["AGENTCTL_HOME"].clone();
    fs::create_dir_all(format!("{folder}/toolsets")).unwrap();
    let example = example.replace("scopes = [\"openid\", \"loan:create\"]", "scopes = [\"openid\"]");
    fs::write(format!("{folder}/toolsets/library.toml"), example).unwrap();
    let settings = format!("[profiles.default.tools]\nLIBRARY_URL = \"{}\"\nLIBRARY_ID = \"main\"\n", library.url());
    fs::write(format!("{folder}/config.toml"), settings).unwrap();
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    agentctl(&home).args(["tools", "check", &format!("{folder}/toolsets/library.toml")]).run().code(0);
    let call = ["tools", "call", "borrow_book", "--arg", "isbn=9780141036144", "--arg", "days=3"];
    agentctl(&home).args(call).run().code(0).err(&["loan l1 until 2027-01-01"]);
    let [seen] = &library.seen()[..] else { panic!("one request") };
    assert!(seen.headers["authorization"].to_str().unwrap().starts_with("Bearer "));
    assert!(seen.headers.contains_key("idempotency-key"));
}
