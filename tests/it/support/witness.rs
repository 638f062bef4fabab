//! What must be true after every test that lets things go wrong: no secret is seen anywhere, and the log tells what happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use super::{Dev, Home, Output, agentctl};
use crate::audit::sha256;

/// Fails if a secret of the tenant stands in what was said, in a file of the home, or in a question to the model.
#[track_caller]
pub(crate) fn no_secret_is_seen(dev: &Dev, home: &Home, said: &[Output]) {
    let mut places: Vec<(String, String)> = Vec::new();
    for output in said {
        places.push(("the output".to_owned(), output.to_string()));
    }
    files(home.path(), &mut places);
    let asked: String = dev.history("model").iter().map(|entry| entry["body"].to_string()).collect();
    places.push(("a question to the model".to_owned(), asked));
    let secrets = dev.secrets();
    assert!(secrets.len() > 5, "the tenant has secrets");
    for (place, text) in &places {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{place} holds {secret}\n{text}");
        }
    }
}

fn files(folder: &Path, places: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            files(&path, places);
        } else if let Ok(content) = fs::read(&path) {
            places.push((path.display().to_string(), String::from_utf8_lossy(&content).into_owned()));
        }
    }
}

/// One call, as the audit log knows it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) tool: String,
    /// How it ended; none if the log does not say.
    pub(crate) outcome: Option<String>,
    /// The message of its end.
    pub(crate) message: String,
}

/// The calls in a home's audit log by their actions, once the log was found to be whole and without an end that has no
/// beginning.
#[track_caller]
pub(crate) fn calls(home: &Home) -> BTreeMap<String, Call> {
    agentctl(home).args(["audit", "verify"]).run().code(0);
    let list = agentctl(home).args(["audit", "list", "--json"]).run().code(0).json();
    let mut calls: BTreeMap<String, Call> = BTreeMap::new();
    for entry in list["entries"].as_array().unwrap() {
        let Some(action) = entry["action"].as_str() else { continue };
        let text = |name: &str| entry["body"][name].as_str().unwrap_or_default().to_owned();
        match entry["kind"].as_str() {
            Some("request") => {
                let call = Call { tool: text("tool"), outcome: None, message: String::new() };
                assert!(calls.insert(action.to_owned(), call).is_none(), "{action} begins twice");
            }
            Some("response") => {
                let call = calls.get_mut(action).unwrap_or_else(|| panic!("{action} ends without a beginning"));
                assert!(
                    call.outcome.is_none(),
                    "{action} ends twice: {}",
                    Value::Array(list["entries"].as_array().unwrap().clone())
                );
                (call.outcome, call.message) = (Some(text("outcome")), text("message"));
            }
            _ => {}
        }
    }
    calls
}

/// The tokens that a person's yes to a push has given, as the history shows the header that carries one, and the request
/// (`auth_req_id`) of each: the tenant's own record.
pub(crate) fn grants(dev: &Dev) -> BTreeMap<String, String> {
    let asked: BTreeSet<String> = dev
        .history("ciba")
        .iter()
        .filter_map(|request| Some(request["answer"]["body"]["auth_req_id"].as_str()?.to_owned()))
        .collect();
    let granted = |poll: &Value| {
        let token = poll["answer"]["body"]["access_token"].as_str()?;
        let request = poll["form"]["auth_req_id"].as_str().filter(|id| asked.contains(*id))?;
        Some((format!("Bearer sha256:{}", sha256(token)), request.to_owned()))
    };
    dev.history("ciba_poll").iter().filter_map(granted).collect()
}

/// How many grants the requests with these answers used: each must have carried the token of one.
#[track_caller]
pub(crate) fn granted_orders(dev: &Dev, counts: impl Fn(&Value) -> bool) -> usize {
    let grants = grants(dev);
    let shop = dev.history("shop");
    let orders = shop.iter().filter(|request| request["method"] == "POST" && counts(&request["answer"]));
    let of = orders.map(|order| grants.get(order["headers"]["authorization"].as_str().unwrap()).expect("a grant"));
    of.collect::<BTreeSet<_>>().len()
}
