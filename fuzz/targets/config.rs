//! A configuration file and a `.env` beside it: they are read or refused, and what is wrong is told without control
//! characters.

#![no_main]

use std::fs;

use agentctl::config::{Config, EnvVars, Overrides};
use agentctl_fuzz::parts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [file, dotenv] = parts(data);
    let home = tempfile::tempdir().expect("a folder");
    let at = |name: &str| home.path().join(name);
    fs::write(at("config.toml"), file).expect("a file");
    fs::write(at("vars.env"), dotenv).expect("a file");
    let vars = EnvVars::from_pairs([("AGENTCTL_HOME", home.path().to_str().expect("UTF-8"))]);
    let overrides =
        Overrides { config: Some(at("config.toml")), env_file: Some(at("vars.env")), ..Overrides::default() };
    let _ = Config::load(&vars, &overrides, home.path());
});
