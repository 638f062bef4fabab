//! node-oidc-provider, an authorization server that nobody here wrote (tests/peers/oidc-provider).

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdin, Stdio},
};

use serde_json::{Value, json};

use super::{Dev, Home, call, node_peer, one_spawn_at_a_time};

/// A running server; it ends when its standard input is closed.
pub(crate) struct Idp {
    child: Child,
    _stdin: ChildStdin,
    ready: Value,
}

impl Idp {
    /// Starts the server, or says what is missing.
    pub(crate) fn start() -> Option<Self> {
        Self::with(&[])
    }

    /// Starts the server with these arguments.
    pub(crate) fn with(args: &[&str]) -> Option<Self> {
        let mut command = node_peer("tests/peers/oidc-provider", "oidc-provider")?;
        command.arg("server.mjs").args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = {
            let _alone = one_spawn_at_a_time();
            command.spawn().unwrap()
        };
        let stdin = child.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("the server's ready line: {error}: {line:?}"));
        Some(Self { child, _stdin: stdin, ready })
    }

    /// A home that knows this server and the model of the dev tenant.
    pub(crate) fn home(&self, dev: &Dev) -> Home {
        let mut home = Home::new();
        home.set_all(&self.ready["env"]);
        for name in ["OPENAI_BASE_URL", "OPENAI_API_KEY", "AGENTCTL_MODEL"] {
            home.set(name, dev.ready["env"][name].as_str().unwrap_or_else(|| panic!("the tenant exports no {name}")));
        }
        // It knows nothing of permissions; the dev tenant's store knows other people.
        home.set("AGENTCTL_PERMISSION", "none");
        home.set("AGENTCTL_STORE", "file");
        home.set("AGENTCTL_STORE_PASSPHRASE", "a passphrase for one test");
        home
    }

    /// The server's issuer.
    pub(crate) fn issuer(&self) -> &str {
        self.ready["issuer"].as_str().unwrap()
    }

    /// A variable for the programs that use it.
    pub(crate) fn env(&self, name: &str) -> &str {
        self.ready["env"][name].as_str().unwrap_or_else(|| panic!("the server exports no {name}"))
    }

    /// Asks the back office.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        self.control("GET", path, None)
    }

    /// Lets the back office act.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        self.control("POST", path, Some(body))
    }

    /// Who answers by itself: `approve`, `deny`, `expire` or `off`.
    #[track_caller]
    pub(crate) fn auto(&self, logins: &str, approvals: &str) {
        self.post("/auto", &json!({ "logins": logins, "approvals": approvals, "after_ms": 50 }));
    }

    /// The orders at the shop.
    #[track_caller]
    pub(crate) fn orders(&self) -> Vec<Value> {
        self.get("/orders").as_array().unwrap().clone()
    }

    /// Every request to the authorization server, with its form but without secrets.
    #[track_caller]
    pub(crate) fn history(&self) -> Vec<Value> {
        self.get("/history").as_array().unwrap().clone()
    }

    #[track_caller]
    fn control(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let url = format!("{}{path}", self.ready["control"].as_str().unwrap());
        let answer = call(method, &url, &[], body);
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        answer.json()
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
