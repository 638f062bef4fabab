//! What a failure tells the person to do: the setting that it hangs on, in the place where it was set.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Dev, Fake, Home, Output, Reply, agentctl};

/// A home whose profile has a model `fast` at this fake, with a key of its own.
fn with_models(dev: &Dev, fake: &Fake) -> Home {
    let mut home = dev.logged_in();
    let config = format!(
        "[profiles.default.models.fast]\nname = \"gpt-9\"\nbase_url = \"{}\"\napi_key_env = \"FOO_KEY\"\n",
        fake.url()
    );
    fs::write(home.path().join("agentctl/config.toml"), config).unwrap();
    home.set("FOO_KEY", "wrong-key");
    home
}

fn refused(status: u16) -> Reply {
    Reply::json(status, &json!({ "error": { "message": "no" } }))
}

/// The hints of a command that failed.
#[track_caller]
fn hints(output: &Output) -> String {
    output.lines().last().unwrap()["hints"].to_string()
}

#[test]
fn a_key_is_looked_for_where_it_came_from() {
    let dev = Dev::start();
    let fake = Fake::start();
    fake.always("POST", "/chat/completions", refused(401)).always("GET", "/models", refused(401));
    let mut home = with_models(&dev, &fake);
    let run = |home: &Home| hints(&agentctl(home).args(["run", "--json", "-m", "fast", "go"]).run().code(20));
    let said = run(&home);
    assert!(said.contains("check FOO_KEY") && said.contains("set-key fast") && !said.contains("OPENAI"), "{said}");
    home.set("AGENTCTL_MODEL", "fast");
    agentctl(&home).arg("doctor").run().code(1).out(&["mend: check FOO_KEY"]);
    home.unset("FOO_KEY");
    let said = run(&home);
    assert!(said.contains("set FOO_KEY, or run `agentctl config set-key fast`"), "{said}");
}

#[test]
fn a_name_and_an_address_are_looked_for_where_they_came_from() {
    let dev = Dev::start();
    let fake = Fake::start();
    fake.always("POST", "/chat/completions", refused(404));
    let mut home = with_models(&dev, &fake);
    let run =
        |home: &Home, model: &str| hints(&agentctl(home).args(["run", "--json", "-m", model, "go"]).run().code(20));
    let said = run(&home, "fast");
    assert!(said.contains("check models.fast in the profile and base_url in /"), "{said}");
    home.set("OPENAI_BASE_URL", &fake.url());
    let said = run(&home, "fats");
    assert!(said.contains("did you mean fast?") && said.contains("check --model and OPENAI_BASE_URL"), "{said}");
    // No profile at all looks like none.
    let output = agentctl(&Home::new()).args(["-p", "x", "whoami", "--json"]).run().code(2);
    assert!(!hints(&output).contains("did you mean"), "{output}");
}

#[test]
fn a_certificate_that_cannot_be_read_is_no_bad_address() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    home.set("AGENTCTL_CA_FILE", "/nonexistent");
    let report = agentctl(&home).args(["doctor", "--json"]).run().code(1).json();
    let model: Vec<&Value> =
        report["checks"].as_array().unwrap().iter().filter(|check| check["name"] == "model").collect();
    assert!(model[0]["mend"].as_str().unwrap().contains("AGENTCTL_CA_FILE"), "{model:?}");
}

#[test]
fn a_long_wait_that_the_server_asks_for_is_named() {
    let dev = Dev::start();
    let fake = Fake::start();
    fake.always("POST", "/chat/completions", refused(429).header("retry-after", "1800"));
    let mut home = dev.logged_in();
    home.set("OPENAI_BASE_URL", &fake.url());
    agentctl(&home).args(["run", "go"]).run().code(20).err(&["wait 30 minutes, or use another model"]);
}
