//! docs/dev-tenant/*.schema.json against what the tenant really takes and says.

use std::path::Path;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{
    history::LABELS,
    preset::Preset,
    testing::{Bench, Reply},
};

/// The committed schema of the management port.
struct Schema(Value);

impl Schema {
    fn new() -> Self {
        Self(serde_json::from_str(include_str!("../../docs/dev-tenant/manage.schema.json")).unwrap())
    }

    fn of(&self, name: &str) -> Validator {
        let schema = json!({"$ref": format!("#/$defs/{name}"), "$defs": self.0["$defs"]});
        jsonschema::validator_for(&schema).unwrap()
    }

    /// Request and answer of a call such as `POST /approvals/latest/deny`.
    fn call(&self, call: &str) -> (Option<Validator>, Validator) {
        let fits = |template: &str| {
            let (template, call): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), call.split('/').collect());
            template.len() == call.len() && template.iter().zip(call).all(|(t, c)| *t == c || t.starts_with('{'))
        };
        let calls = self.0["x-calls"].as_object().unwrap();
        let (_, entry) = calls.iter().find(|(template, _)| fits(template)).unwrap_or_else(|| panic!("no {call}"));
        let request = entry.get("request").map(|name| self.of(name.as_str().unwrap()));
        (request, self.of(entry["answer"].as_str().unwrap()))
    }
}

/// Schema and tenant agree about this body, and about the answer.
async fn agree(bench: &Bench, schema: &Schema, call: &str, body: Value) -> Reply {
    let (request, answer) = schema.call(call);
    let reply = bench.manage(call, body.clone()).await;
    if let Some(request) = request {
        let empty = json!({});
        let fits = request.is_valid(if body.is_null() { &empty } else { &body });
        assert_eq!(fits, reply.status != 400, "{call} {body}: {}", reply.text);
    }
    let answer = if reply.status == 200 { answer } else { schema.of("error") };
    let problem = answer.validate(&reply.json()).err().map(|error| error.to_string());
    assert_eq!(problem, None, "{call} {body}: {}", reply.text);
    reply
}

#[tokio::test]
async fn the_management_schema_is_true() {
    let bench = Bench::new(Preset::Auth0).await;
    let schema = Schema::new();
    assert_eq!(schema.0["$defs"]["label"]["enum"], json!(LABELS));
    bench.login().await;
    let approval = bench.approval(&[]).await;
    let order = json!({"product": "phones", "qty": 2, "priceLimit": 900});
    bench.order(approval["access_token"].as_str().unwrap(), "k", order).await;
    bench.get("/shop/products?query=phone", "nonsense").await;
    bench.manage("POST /faults", json!({"on": "userinfo", "kind": "status"})).await;
    bench.get("/userinfo", "nonsense").await;
    bench.device().await;
    bench.ask(&[]).await;
    let jwk = bench.world.keys.jwks()["keys"][0].clone();
    for (call, body) in [
        ("GET /pending", Value::Null),
        ("GET /history", Value::Null),
        ("GET /orders", Value::Null),
        ("GET /tuples", Value::Null),
        ("POST /tuples", json!({"user": "alan", "relation": "read_okta", "object": "okta:main"})),
        ("POST /tuples", json!({"user": "alan", "relation": "read_okta", "object": "okta:main"})),
        ("POST /tuples", json!({"user": "alan", "relation": "read_okta"})),
        ("DELETE /tuples", json!({"user": "alan", "relation": "read_okta", "object": "okta:main"})),
        ("DELETE /tuples", json!({"user": "user:nobody", "relation": "read_okta", "object": "okta:main"})),
        ("DELETE /tuples", json!({"user": "alan", "relation": "read_okta", "object": "okta:main", "condition": {}})),
        ("GET /connections", Value::Null),
        ("GET /directory", Value::Null),
        ("POST /connections", json!({"person": "grace", "connection": "okta", "scopes": ["okta.users.read"]})),
        ("POST /connections", json!({"person": "alan", "connection": "calendar", "scopes": null})),
        ("POST /connections", json!({"person": "alan", "connection": "bank"})),
        ("POST /connections", json!({"person": "alan", "connection": "okta", "scopes": ["okta.apps.read"]})),
        ("POST /connections", json!({"person": "alan"})),
        ("POST /connections/revoke", json!({"person": "grace", "connection": "okta"})),
        ("POST /connections/revoke", json!({"person": "grace", "connection": "calendar"})),
        ("POST /connections/revoke", json!({"person": "grace", "connection": "okta", "scopes": []})),
        ("GET /connections", Value::Null),
        ("DELETE /connections", json!({"person": "grace", "connection": "okta"})),
        ("DELETE /connections", json!({"person": "grace", "connection": "okta"})),
        ("DELETE /connections", json!({})),
        ("POST /connections/redirect", json!({"code_in": "fragment"})),
        ("POST /connections/redirect", json!({"code_in": "header"})),
        ("POST /logins/latest/approve", json!({"person": "grace"})),
        ("POST /logins/latest/approve", Value::Null),
        ("POST /logins/latest/deny", json!({"whom": "grace"})),
        ("POST /approvals/latest/approve", json!({"authorization_details": null, "scope": "openid", "person": "alan"})),
        ("POST /approvals/latest/deny", json!({"reason": "no"})),
        ("POST /approvals/apr_99/expire", Value::Null),
        ("POST /auto", json!({"logins": "approve", "approvals": "deny", "after_ms": 300})),
        ("POST /auto", json!({"approvals": "off"})),
        ("POST /auto", json!({"approvals": "never"})),
        ("POST /auto", json!({"after_ms": -1})),
        ("POST /auto", json!({"after": 1})),
        ("POST /clock", json!({"advance_s": 60})),
        ("POST /clock", json!({"advance_s": 3_162_240_000_u64})),
        ("POST /clock", json!({"advance_s": 3_162_240_001_u64})),
        ("POST /clock", json!({"advance_s": 1.5})),
        ("POST /clock", json!({})),
        ("POST /faults", json!({"on": "token", "kind": "slow_down", "retry_after_s": 30})),
        (
            "POST /faults",
            json!({"on": "model", "kind": "html", "when": "after", "times": 2, "skip": 1, "status": 503, "delay_ms": null}),
        ),
        ("POST /faults", json!({"on": "jwks", "kind": "content_type", "content_type": "text/csv", "status": 203})),
        ("POST /faults", json!({"on": "ciba", "kind": "replay", "when": "after"})),
        ("POST /faults", json!({"on": "token", "kind": "status", "status": 199})),
        ("POST /faults", json!({"on": "token", "kind": "drop", "times": 0})),
        ("POST /faults", json!({"on": "everything", "kind": "drop"})),
        ("POST /faults", json!({"on": "fga", "kind": "drop"})),
        ("POST /faults", json!({"on": "token", "kind": "drop", "when": "later"})),
        ("POST /faults", json!({"kind": "drop"})),
        ("DELETE /faults", Value::Null),
        ("POST /clients", json!({"client_id": "a", "role": "login"})),
        ("POST /clients", json!({"client_id": "a", "role": "vault", "secret": "s"})),
        ("POST /clients", json!({"client_id": "a", "role": "approval", "secret": "s", "jwk": null})),
        ("POST /clients", json!({"client_id": "a", "role": "approval", "jwk": jwk})),
        ("POST /clients", json!({"client_id": "a", "role": "approval", "jwk": jwk, "secret": "s"})),
        ("POST /clients", json!({"client_id": "a", "role": "approval", "jwk": {}})),
        ("POST /clients", json!({"role": "approval"})),
        ("POST /keys/rotate", Value::Null),
        ("POST /script", json!({"turns": []})),
        ("POST /script", Value::Bool(true)),
        ("POST /reset", Value::Null),
    ] {
        agree(&bench, &schema, call, body).await;
    }
}

#[tokio::test]
async fn the_ready_schema_is_true() {
    let schema: Value = serde_json::from_str(include_str!("../../docs/dev-tenant/ready.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for preset in [Preset::Auth0, Preset::Keycloak, Preset::Oidc] {
        let bench = Bench::new(preset).await;
        let mut ready = bench.tenant.ready(Path::new("/home/of/dev"), "a passphrase").json();
        assert!(schema.is_valid(&ready), "{:?}", schema.validate(&ready).err().map(|error| error.to_string()));
        ready["more"] = true.into();
        assert!(!schema.is_valid(&ready));
    }
}
