//! llama.cpp's server with a real model, which nobody here wrote (tests/peers/llama-cpp).

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use serde_json::Value;

use super::{Dev, Home, one_spawn_at_a_time, peer_is_missing};

/// A running server; it ends when its standard input is closed.
pub(crate) struct Llama {
    child: Child,
    _stdin: ChildStdin,
    url: String,
}

impl Llama {
    /// Starts a server whose model has one answer, or none that ends by itself; or says what is missing.
    #[track_caller]
    pub(crate) fn that_says(answer: Option<&str>) -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let place = root.join("target/peers/llama-cpp");
        if !place.join("requirements.txt").is_file() {
            peer_is_missing("llama.cpp", "run tests/peers/llama-cpp/install.sh");
            return None;
        }
        let mut command = Command::new(place.join("bin/python"));
        command.arg(root.join("tests/peers/llama-cpp/serve.py")).args(answer);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = {
            let _alone = one_spawn_at_a_time();
            command.spawn().unwrap()
        };
        let stdin = child.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("the server's ready line: {error}: {line:?}"));
        Some(Self { child, _stdin: stdin, url: ready["url"].as_str().unwrap().to_owned() })
    }

    /// A home that is logged in at this tenant and asks this model for at most so many tokens at once.
    pub(crate) fn home(&self, dev: &Dev, max_tokens: u32) -> Home {
        let mut home = dev.logged_in();
        home.set("OPENAI_BASE_URL", &format!("{}/v1", self.url));
        home.set("AGENTCTL_MODEL", "smollm2");
        let config = home.path().join("config.toml");
        std::fs::write(&config, format!("[profiles.default.model]\nmax_tokens = {max_tokens}\n")).unwrap();
        home.set("AGENTCTL_CONFIG", config.to_str().unwrap());
        home
    }

    /// Ends the server at once, in the middle of whatever it says.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
