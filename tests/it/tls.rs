//! Certificates that are not the server's: nothing is said to whoever shows one, at the issuer, at the model and at a tool.

use std::path::Path;

use serde_json::Value;

use crate::support::{Dev, Running, agentctl, command, peer_is_missing, program};

/// Servers with good and bad certificates (tests/peers/tls).
struct Servers {
    running: Running,
    ready: Value,
}

impl Servers {
    fn start(dev: &Dev) -> Option<Self> {
        let Some(node) = program("node") else {
            peer_is_missing("node", "install Node.js 20.19 or later");
            return None;
        };
        let script = peer("server.mjs");
        let mut running = command(&dev.home(), node).arg(script).start();
        let ready = serde_json::from_str(&running.first_line()).unwrap();
        Some(Self { running, ready })
    }

    fn url(&self, kind: &str) -> &str {
        self.ready[kind].as_str().unwrap()
    }

    /// The requests that got through to one of them.
    fn seen(&self, kind: &str) -> Vec<Value> {
        let lines = self.running.stdout();
        let seen = lines.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
        seen.filter(|request| request["kind"] == kind).collect()
    }
}

fn peer(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/tls").join(name).display().to_string()
}

#[test]
fn a_certificate_that_does_not_hold_gets_not_one_word() {
    let dev = Dev::start();
    let Some(servers) = Servers::start(&dev) else { return };
    let mut home = dev.logged_in();
    dev.auto("approve", "approve");
    home.set("AGENTCTL_CA_FILE", &peer("ca.pem"));
    let buy = ["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=2"];
    // With a good one all three are reached, and the tool with its token.
    for kind in ["good", "another_name", "expired", "self_signed"] {
        let url = servers.url(kind);
        let bad = kind != "good";
        let with = |name: &str, value: &str| agentctl(&home).env(name, value);
        let look =
            with("SHOP_CATALOG_URL", &format!("{url}/products")).args(["tools", "call", "search_products"]).run();
        let model = with("OPENAI_BASE_URL", &format!("{url}/v1")).args(["run", "go"]).run().code(20);
        let login = with("AGENTCTL_ISSUER", &format!("{url}/")).args(["login", "--no-browser"]).run().code(1);
        let order = with("SHOP_API_URL", &format!("{url}/orders")).args(buy).run();
        if !bad {
            look.code(0);
            order.code(0);
            let seen = servers.seen(kind);
            let bearers = seen.iter().filter(|request| request["authorization"].is_string()).count();
            assert!(seen.len() >= 4 && bearers >= 3, "{seen:?}");
            continue;
        }
        // The yes was given; nothing was done, and that is known.
        for output in [look.code(21), model, login, order.code(21)] {
            assert!(output.stderr.contains("certificate"), "{kind}\n{output}");
            assert!(!output.stderr.contains("may have happened"), "{kind}\n{output}");
        }
        assert!(servers.seen(kind).is_empty(), "{kind}: {:?}", servers.seen(kind));
    }
}
