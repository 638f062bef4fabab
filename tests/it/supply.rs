//! What goes into the program: no code of ours runs while it is built, nothing fetches anything then, and all of it is named
//! with its checksum. Licences, sources and known weaknesses are cargo-deny's (deny.toml, .ci/run).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use serde_json::Value;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Libraries that can fetch something.
const FETCHERS: [&str; 12] =
    ["attohttpc", "curl", "curl-sys", "git2", "gix", "h2", "hyper", "isahc", "minreq", "reqwest", "rustls", "ureq"];

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn nothing_of_ours_runs_while_it_is_built() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for package in ["", "fuzz"] {
        let manifest: toml::Table = read(Path::new(package).join("Cargo.toml").to_str().unwrap()).parse().unwrap();
        assert!(!root.join(package).join("build.rs").exists(), "{package} has a build script");
        let keys = manifest["package"].as_table().unwrap();
        assert!(!keys.contains_key("build"), "{package} names a build script");
        let makes_macros = manifest.get("lib").and_then(|lib| lib.get("proc-macro"));
        assert!(makes_macros.is_none() && !manifest.contains_key("build-dependencies"), "{package}");
    }
    // A committed configuration could put a program of its own in the place of the compiler, or other sources.
    let settings: toml::Table = read(".cargo/config.toml").parse().unwrap();
    assert_eq!(settings.keys().collect::<Vec<_>>(), ["env"]);
}

#[test]
fn every_dependency_is_of_crates_io_and_has_its_checksum() {
    let lock: toml::Table = read("Cargo.lock").parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let ours = |package: &&toml::Value| package["name"].as_str().unwrap().starts_with("agentctl");
    assert_eq!(packages.iter().filter(ours).count(), 2);
    for package in packages.iter().filter(|package| !ours(package)) {
        assert_eq!(package.get("source").and_then(toml::Value::as_str), Some(CRATES_IO), "{package}");
        assert_eq!(package["checksum"].as_str().unwrap().len(), 64, "{package}");
    }
}

/// What build scripts and macros of others are made of: nothing in there speaks HTTP.
#[test]
fn no_build_script_has_a_library_that_fetches() {
    let cargo = |args: &[&str]| {
        let output = Command::new(env!("CARGO")).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    // Of this platform: what is built on others may not have been fetched.
    let version = String::from_utf8(cargo(&["-vV"])).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = cargo(&["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host]);
    let metadata: Value = serde_json::from_slice(&output).unwrap();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = list(&metadata["packages"]);
    let names: BTreeMap<String, String> =
        packages.iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    let is_macro = |package: &&Value| package["targets"].to_string().contains("\"proc-macro\"");
    let mut open: Vec<String> = packages.iter().filter(is_macro).map(|package| text(&package["id"])).collect();
    let mut below: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        for dependency in list(&node["deps"]) {
            let kinds: BTreeSet<Option<String>> =
                list(&dependency["dep_kinds"]).iter().map(|kind| kind["kind"].as_str().map(str::to_owned)).collect();
            let id = text(&dependency["pkg"]);
            if kinds.contains(&Some("build".to_owned())) {
                open.push(id.clone());
            }
            if kinds.contains(&None) {
                below.entry(text(&node["id"])).or_default().push(id);
            }
        }
    }
    assert!(open.len() > 10, "the search is broken: {open:?}");
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        assert!(!FETCHERS.contains(&names[&id].as_str()), "{} is a part of a build script or macro", names[&id]);
        if seen.insert(id.clone()) {
            open.extend(below.get(&id).cloned().unwrap_or_default());
        }
    }
}

/// What `just dist` ships names its dependencies and has no clock that can be moved.
#[test]
fn the_shipped_program_names_its_dependencies() {
    let recipes = read("justfile");
    let dist = recipes.split("\ndist:\n").nth(1).unwrap().lines().next().unwrap().trim();
    assert_eq!(dist, "cargo auditable build --locked --profile dist");
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    assert!(manifest["features"].get("default").is_none());
    assert_eq!(manifest["profile"]["dist"]["inherits"].as_str(), Some("release"));
}
