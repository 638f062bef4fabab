//! A person's home folder and environment, empty at first and gone at the end.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

/// A home folder with its environment. Programs that are started from it see nothing else.
pub(crate) struct Home {
    dir: TempDir,
    env: BTreeMap<String, String>,
}

impl Home {
    /// An empty home: no login, no configuration, no D-Bus, nothing on the PATH.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut home = Self { dir, env: BTreeMap::new() };
        let root = home.path().to_str().unwrap().to_owned();
        fs::create_dir(home.path().join("work")).unwrap();
        home.set("HOME", &root);
        home.set("AGENTCTL_HOME", &format!("{root}/agentctl"));
        home.set("PATH", "/nonexistent");
        home.set("LANG", "C.UTF-8");
        home
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The working directory of the programs.
    pub(crate) fn work(&self) -> PathBuf {
        self.path().join("work")
    }

    /// Sets one variable.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// Takes one variable away.
    pub(crate) fn unset(&mut self, name: &str) {
        self.env.remove(name);
    }

    /// Sets all variables of an object of strings, such as the `env` of the dev tenant's ready line. The home folder of
    /// the program stays this one.
    pub(crate) fn set_all(&mut self, env: &Value) {
        for (name, value) in env.as_object().expect("an object of variables") {
            if name != "AGENTCTL_HOME" {
                self.set(name, value.as_str().expect("a variable's value is a string"));
            }
        }
    }

    /// All variables.
    pub(crate) fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }
}
