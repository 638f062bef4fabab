//! Who writes where the person's own decisions lie not: the state folder, a file behind `--config`, an address in a setting.

use std::fs;

use crate::{
    attackers::{by_profile, dotenv, thief},
    support::{Dev, Home, Output, agentctl},
};

fn folder(home: &Home) -> String {
    home.env()["AGENTCTL_HOME"].clone()
}

/// Whether a `.env` is read stands where only the person decides, and which one is read is said.
#[test]
fn what_is_written_into_the_state_folder_trusts_no_dotenv() {
    let dev = Dev::start();
    let mut home = by_profile(&dev);
    let (thief, url) = thief();
    // With a key out of the shell that address would be refused.
    let key = home.env()["OPENAI_API_KEY"].clone();
    home.unset("OPENAI_API_KEY");
    dotenv(&home, &format!("OPENAI_BASE_URL={url}/v1\nAGENTCTL_MODEL=dev-planner\n"), true);
    let reads = "Settings are also read from ";
    let read = agentctl(&home).args(["config", "show", "--json"]).run().code(0).err(&[reads, ".env"]);
    assert_eq!(read.stderr.matches(reads).count(), 1, "{read}");
    assert!(read.json()["settings"].to_string().contains(&url), "stdout is data alone: {read}");
    let quiet = agentctl(&home).args(["-q", "config", "show"]).run().code(0);
    assert_eq!(quiet.stderr, "", "{quiet}");
    // The very same answer, in the other folder.
    let folder = folder(&home);
    fs::rename(format!("{folder}/trust.json"), format!("{folder}/state/trust.json")).unwrap();
    home.set("OPENAI_API_KEY", &key);
    let unread = agentctl(&home).args(["run", "what phones are there"]).run().code(0);
    unread.err(&["is not read: nobody has trusted it"]);
    assert!(thief.seen().is_empty());
}

/// A token whose audience the person has pinned is for nobody, whichever file or profile the caller names.
#[test]
fn another_file_of_settings_takes_nothing_out_of_what_is_kept_back() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    let shop = home.env()["SHOP_API_URL"].clone();
    home.unset("SHOP_API_AUDIENCE");
    let settings = |more: &str| {
        let tools = format!("SHOP_API_AUDIENCE = \"sample-shop-api\"\nSHOP_API_URL = \"{shop}\"\n");
        let text = format!("[profiles.default]\n{more}[profiles.default.tools]\n{tools}[profiles.other]\n");
        fs::write(format!("{}/config.toml", folder(&home)), text).unwrap();
    };
    settings("");
    let theirs = home.work().join("theirs.toml");
    fs::write(&theirs, "[profiles.default]\ntoken_for_agents = true\n").unwrap();
    let theirs = theirs.display().to_string();
    let token = |args: &[&str], set: &[(&str, &str)]| -> Output {
        let command = set.iter().fold(agentctl(&home), |command, (name, value)| command.env(name, value));
        command.args(args.iter().copied()).run()
    };
    let shop = ["token", "--audience", "sample-shop-api"];
    let other = ["token", "--audience", "peer-api"];
    let behind = |args: &[&'static str]| [&["--config", theirs.as_str()], args].concat();
    for named in [shop.to_vec(), behind(&shop)] {
        token(&named, &[]).code(13).err(&["what this token could do is what buy_product asks you about first"]);
    }
    token(&shop, &[("AGENTCTL_CONFIG", &theirs)]).code(13);
    // Nor may an agent have one because a file of its own says so.
    let agent = ("CLAUDECODE", "1");
    for named in [other.to_vec(), behind(&other)] {
        token(&named, &[agent]).code(13);
    }
    token(&other, &[agent, ("AGENTCTL_CONFIG", &theirs)]).code(13);
    assert!(dev.history("token").iter().all(|one| !one.to_string().contains("sample-shop-api")));
    // The person's word in the person's file, also where another is used.
    settings("token_for_agents = true\n");
    for named in [other.to_vec(), behind(&other)] {
        let output = token(&named, &[agent]);
        assert!(!output.to_string().contains("tokens are not handed to agents"), "{output}");
    }
    token(&behind(&shop), &[agent]).code(13);
}

/// A key that stands in an address is shown nowhere.
#[test]
fn no_address_is_shown_with_its_query() {
    let dev = Dev::start();
    let mut home = dev.logged_in();
    let url = "http://127.0.0.1:1/v1?key=hunter2hunter2";
    home.set("OPENAI_BASE_URL", url);
    let set = ["config", "set", "models.mine.base_url", url, "models.mine.name", "m"];
    for args in [
        &set[..],
        &["config", "set", "--json", "model.base_url", url],
        &["config", "show"],
        &["config", "show", "--json"],
        &["config", "get", "model.base_url"],
        &["doctor"],
        &["-vvv", "run", "hello"],
        &["run", "--model", "mine", "hello"],
        &["resume", "--last"],
        &["runs", "list", "--json"],
    ] {
        let output = agentctl(&home).args(args.iter().copied()).env("RUST_LOG", "trace").run();
        assert!(!output.to_string().contains("hunter2"), "{args:?}\n{output}");
    }
    agentctl(&home).args(["config", "get", "model.base_url"]).run().code(0).out(&["http://127.0.0.1:1/v1?key=..."]);
    let runs = agentctl(&home).args(["runs", "list", "--all", "--json"]).run().json();
    assert!(runs["runs"].to_string().contains("?key=..."), "the model of the run is named: {runs}");
}
