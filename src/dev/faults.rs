//! Faults on order: what a bad day at the server looks like to a client.

use std::time::Duration;

use axum::http::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One kind of trouble, for the next requests with a label.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    pub(super) on: String,
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) when: When,
    /// How many requests it meets.
    #[serde(default = "once")]
    pub(super) times: u32,
    /// How many requests with the label pass first.
    #[serde(default)]
    pub(super) skip: u32,
    pub(super) status: Option<u16>,
    pub(super) retry_after_s: Option<u64>,
    /// For `delay` (1000) and `status` (none).
    pub(super) delay_ms: Option<u64>,
    /// For `content_type`: what the answer says it is.
    pub(super) content_type: Option<String>,
    /// For `alter` and `status`: a merge patch (RFC 7396) for the JSON answer.
    pub(super) answer: Option<Value>,
    /// For `alter`: a merge patch for the claims of the answer's ID token, which is then signed anew.
    pub(super) claims: Option<Value>,
    /// For `garble`: which members.
    #[serde(default = "types")]
    pub(super) members: Vec<String>,
}

/// What happens.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The OAuth error `slow_down`.
    SlowDown,
    /// A JSON error with `status` (500).
    Status,
    /// A page of HTML with `status` (502), as a proxy sends it.
    Html,
    /// The connection is cut without a byte of an answer.
    Drop,
    /// The answer comes `delay_ms` later (1000).
    Delay,
    /// Half of the answer's body, then the connection is cut.
    Half,
    /// The answer is not what its content type says. Before: words of a proxy with `status` (200), as `application/json`;
    /// after: the endpoint's own answer, as `text/plain`, or with a `status` such words in its place.
    ContentType,
    /// The next good answer says something else: what a hostile or broken server would send.
    Alter,
    /// The last good answer to such a request comes once more, as from somebody between the tenant and its client.
    Replay,
    /// A JSON error with `status` (400) that repeats the request, its body and its credential, as some firewalls do.
    Echo,
    /// The next good answer holds in `members` the secrets that it brings; where it brings none, the request and its credential.
    Garble,
}

/// Whether the request still has its effect.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum When {
    /// It never reaches the endpoint.
    #[default]
    Before,
    /// The endpoint did its work; only the answer suffers.
    After,
}

/// Members that are no place for a secret, and which a client reads before it uses the answer.
fn types() -> Vec<String> {
    ["token_type", "issued_token_type"].map(str::to_owned).into()
}

fn once() -> u32 {
    1
}

impl Fault {
    /// As the history names it.
    pub(super) fn met(&self) -> Value {
        json!({ "on": self.on, "kind": self.kind, "when": self.when })
    }

    /// The type that an answer claims, and which a header can hold.
    pub(super) fn content_type(&self) -> Option<HeaderValue> {
        let kind = self.content_type.as_deref().unwrap_or(match self.when {
            When::Before => "application/json",
            When::After => "text/plain",
        });
        HeaderValue::from_str(kind).ok()
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.unwrap_or(1000))
    }
}

/// Takes the fault that meets a request with these labels, if there is one.
pub(super) fn take(faults: &mut Vec<Fault>, labels: &[&str]) -> Option<Fault> {
    let index = faults.iter_mut().position(|fault| {
        if !labels.contains(&fault.on.as_str()) {
            return false;
        }
        if fault.skip > 0 {
            fault.skip -= 1;
            return false;
        }
        true
    })?;
    let fault = &mut faults[index];
    let met = fault.clone();
    fault.times = fault.times.saturating_sub(1);
    if fault.times == 0 {
        faults.remove(index);
    }
    Some(met)
}

/// The secrets that an answer brings.
pub(super) fn secrets(answer: &Value) -> Vec<&str> {
    let names = ["access_token", "refresh_token", "id_token", "auth_req_id", "device_code", "auth_session"];
    names.iter().filter_map(|name| answer[name].as_str()).collect()
}

/// Applies a merge patch (RFC 7396): members replace members, null removes, everything else replaces the whole.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(target) = target {
        for (name, value) in patch {
            if value.is_null() {
                target.remove(name);
            } else {
                merge(target.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Fault {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_patch_replaces_removes_and_adds() {
        let mut target = serde_json::json!({"a": 1, "b": {"c": 2, "d": 3}});
        merge(&mut target, &serde_json::json!({"a": null, "b": {"c": 4}, "e": [5]}));
        assert_eq!(target, serde_json::json!({"b": {"c": 4, "d": 3}, "e": [5]}));
    }

    #[test]
    fn faults_are_used_up_in_order() {
        let mut faults = vec![
            fault(r#"{"on":"token","kind":"html","times":2}"#),
            fault(r#"{"on":"token","kind":"drop","when":"after","skip":1}"#),
        ];
        let kinds = |faults: &mut Vec<Fault>| take(faults, &["ciba_poll", "token"]).map(|fault| fault.kind);
        assert_eq!(take(&mut faults, &["shop"]), None);
        assert_eq!(kinds(&mut faults), Some(Kind::Html));
        assert_eq!(kinds(&mut faults), Some(Kind::Html));
        assert_eq!(kinds(&mut faults), None);
        assert_eq!(kinds(&mut faults), Some(Kind::Drop));
        assert_eq!(kinds(&mut faults), None);
        assert!(serde_json::from_str::<Fault>(r#"{"on":"token","kind":"html","often":2}"#).is_err());
    }
}
