//! A configuration file and a file of variables beside it: they are read or refused. Whatever is read names no key that nobody
//! knows and no server that would be spoken to in clear, says the same when it is written back, and takes one change without
//! another.

#![no_main]

use std::fs;

use agentctl::config::{Config, Document, EnvVars, Key, Overrides};
use agentctl_fuzz::parts;
use libfuzzer_sys::fuzz_target;
use toml::{Table, Value};
use url::{Host, Url};

fuzz_target!(|data: &[u8]| {
    let [file, dotenv] = parts(data);
    let home = tempfile::tempdir().expect("a folder");
    let at = |name: &str| home.path().join(name);
    fs::write(at("config.toml"), file).expect("a file");
    fs::write(at("vars.env"), dotenv).expect("a file");
    let vars = EnvVars::from_pairs([("AGENTCTL_HOME", home.path().to_str().expect("UTF-8"))]);
    let overrides =
        Overrides { config: Some(at("config.toml")), env_file: Some(at("vars.env")), ..Overrides::default() };
    let Ok(config) = Config::load(&vars, &overrides, home.path()) else { return };
    let load = |text: &str| Config::load_text(&vars, &overrides, home.path(), text);

    let urls = [config.issuer.as_ref().map(|issuer| &issuer.value), Some(&config.model.base_url.value)];
    let origins = config.audiences.values().flatten();
    for url in urls.into_iter().flatten().chain(origins) {
        let url = Url::parse(url).expect("a URL");
        assert!(url.scheme() == "https" || url.scheme() == "http" && is_here(&url), "{url}");
        assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    }

    let text = std::str::from_utf8(file).expect("UTF-8");
    for (name, value) in text.parse::<Table>().expect("TOML") {
        match (name.as_str(), value) {
            ("profile", _) => {}
            ("profiles", Value::Table(profiles)) => {
                let tables = profiles.values().filter_map(Value::as_table);
                tables.for_each(|profile| known(profile, ""));
            }
            (name, _) => panic!("nobody knows {name:?}"),
        }
    }

    let mut document = Document::read(text).expect("TOML");
    let again = load(&document.text()).expect("the same file");
    assert_eq!(format!("{again:?}"), format!("{config:?}"));
    let key = Key::find("limits.max_turns").expect("a key");
    document.set(&config.profile.value, &key, "7").expect("a table");
    // A profile that was not there may be there now, and then it is the one in the file.
    let mut changed = load(&document.text()).expect("a good file");
    assert_eq!(changed.limits.max_turns.value, 7);
    changed.limits.max_turns = again.limits.max_turns.clone();
    assert_eq!(format!("{changed:?}"), format!("{again:?}"));
});

/// Every key of a profile is one that can be set. What tools read has names of its own.
fn known(table: &Table, before: &str) {
    for (name, value) in table {
        let path = format!("{before}{name}");
        match value {
            _ if path == "tools" || name.is_empty() => {}
            Value::Table(inner) => known(inner, &format!("{path}.")),
            _ => assert!(Key::find(&path).is_ok(), "{path}"),
        }
    }
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
