//! The permission store as a client and as the management port see it.

use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::{Value, json};

use super::check_tests::{computed, kind, this, written};
use crate::dev::{
    Preset,
    people::PEOPLE,
    testing::{Bench, Reply, error},
};

/// A tenant, and a store in it that a test may fill.
struct Service {
    bench: Bench,
    store: String,
}

impl Service {
    async fn new() -> Self {
        let bench = Bench::new(Preset::Auth0).await;
        let created = call(&bench, "POST /stores", json!({"name": "a test"})).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let service = Self { store: created.json()["id"].as_str().unwrap().to_owned(), bench };
        let types = [
            kind("user", &[]),
            kind("group", &[("member", this(), "user group#member")]),
            kind("doc", &[("editor", this(), "user group#member"), ("viewer", computed("editor"), "")]),
            kind("page", &[("viewer", this(), "user user:*")]),
        ];
        let model = service.post("authorization-models", written(&types)).await;
        assert_eq!(model.status, 201, "{}", model.text);
        service
    }

    async fn post(&self, what: &str, body: Value) -> Reply {
        call(&self.bench, &format!("POST /stores/{}/{what}", self.store), body).await
    }

    async fn get(&self, what: &str) -> Reply {
        call(&self.bench, &format!("GET /stores/{}/{what}", self.store), Value::Null).await
    }

    async fn write(&self, lines: &[&str]) -> Reply {
        let keys: Vec<Value> = lines.iter().map(|line| key(line)).collect();
        self.post("write", json!({"writes": {"tuple_keys": keys}})).await
    }

    async fn tuples(&self) -> usize {
        self.post("read", json!({})).await.json()["tuples"].as_array().unwrap().len()
    }

    async fn allowed(&self, line: &str) -> bool {
        let reply = self.post("check", json!({"tuple_key": key(line)})).await;
        reply.json()["allowed"].as_bool().unwrap_or_else(|| panic!("{}", reply.text))
    }
}

async fn call(bench: &Bench, call: &str, body: Value) -> Reply {
    call_with(bench, call, Some(&format!("Bearer {}", bench.world.secrets.fga_token.expose())), body).await
}

async fn call_with(bench: &Bench, call: &str, authorization: Option<&str>, body: Value) -> Reply {
    let (method, path) = call.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(format!("/fga{path}")).header(header::HOST, "127.0.0.1");
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    bench.send(request.body(body).unwrap()).await
}

/// `doc:1 viewer user:anne`
fn key(line: &str) -> Value {
    let [object, relation, user]: [&str; 3] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
    json!({"user": user, "relation": relation, "object": object})
}

/// Status and code in one.
fn code(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn nobody_asks_without_the_token() {
    let bench = Bench::new(Preset::Auth0).await;
    let get = async |authorization| call_with(&bench, "GET /stores", authorization, Value::Null).await;
    assert_eq!(code(&get(None).await), error(401, "bearer_token_missing"));
    assert_eq!(code(&get(Some("Basic YTpi")).await), error(401, "bearer_token_missing"));
    assert_eq!(code(&get(Some("Bearer wrong")).await), error(401, "unauthenticated"));
    let model_key = format!("Bearer {}", bench.world.secrets.model_key.expose());
    assert_eq!(
        code(&get(Some(&model_key)).await),
        error(401, "unauthenticated"),
        "the model's key opens only the model"
    );
    for nowhere in ["GET /stores/x/expand", "POST /stores/x/expand", "PUT /stores", "GET /healthz"] {
        assert_eq!(code(&call(&bench, nowhere, Value::Null).await), error(404, "undefined_endpoint"), "{nowhere}");
    }
}

#[tokio::test]
async fn stores_and_models_come_and_go() {
    let service = Service::new().await;
    let bench = &service.bench;
    let names = async |query: &str| {
        let list = call(bench, &format!("GET /stores{query}"), Value::Null).await.json();
        let names = list["stores"].as_array().unwrap().iter().map(|store| store["name"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>().join(", "), list["continuation_token"].as_str().unwrap().to_owned())
    };
    assert_eq!(names("").await.0, "agentctl-dev, a test");
    assert_eq!(names("?name=a%20test").await.0, "a test");
    let (first, next) = names("?page_size=1").await;
    let (second, end) = names(&format!("?page_size=1&continuation_token={next}")).await;
    assert_eq!((&*first, &*second, &*end), ("agentctl-dev", "a test", ""));
    for (query, wrong) in [
        ("?page_size=0", "page_size_invalid"),
        ("?page_size=101", "page_size_invalid"),
        ("?continuation_token=x", "invalid_continuation_token"),
        ("?pages=1", "validation_error"),
    ] {
        let refused = call(bench, &format!("GET /stores{query}"), Value::Null).await;
        assert_eq!(code(&refused), error(400, wrong), "{query}");
    }
    for name in ["ab", "no, comma", &"x".repeat(65)] {
        let refused = call(bench, "POST /stores", json!({"name": name})).await;
        assert_eq!(code(&refused), error(400, "validation_error"), "{name}");
    }

    let older = service.get("authorization-models").await.json()["authorization_models"][0]["id"].clone();
    let newer = service.post("authorization-models", written(&[kind("user", &[])])).await.json();
    let models = service.get("authorization-models").await.json();
    assert_eq!(models["authorization_models"][0]["id"], newer["authorization_model_id"], "the newest first");
    assert_eq!(models["authorization_models"][1]["id"], older);
    let shown = service.get(&format!("authorization-models/{}", older.as_str().unwrap())).await.json();
    assert_eq!(shown["authorization_model"], models["authorization_models"][1]);
    assert_eq!(shown["authorization_model"]["type_definitions"][2]["type"], "doc");
    // What is not named is asked of the latest.
    let question = json!({"tuple_key": key("doc:1 viewer user:anne")});
    assert_eq!(code(&service.post("check", question.clone()).await), error(400, "validation_error"));
    let pinned = json!({"tuple_key": key("doc:1 viewer user:anne"), "authorization_model_id": older});
    assert_eq!(service.post("check", pinned).await.json(), json!({"allowed": false, "resolution": ""}));

    let unknown = "01ARYZ6S410000000000000000";
    let wrong = json!({"tuple_key": key("doc:1 viewer user:anne"), "authorization_model_id": unknown});
    assert_eq!(code(&service.post("check", wrong).await), error(400, "authorization_model_not_found"));
    let malformed = json!({"tuple_key": key("doc:1 viewer user:anne"), "authorization_model_id": "latest"});
    assert_eq!(code(&service.post("check", malformed).await), error(400, "validation_error"));
    let nowhere = call(bench, &format!("POST /stores/{unknown}/check"), question.clone()).await;
    assert_eq!(code(&nowhere), error(404, "store_id_not_found"));
    assert_eq!(code(&call(bench, "POST /stores/mine/check", question).await), error(400, "validation_error"));

    let empty = call(bench, "POST /stores", json!({"name": "empty"})).await.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/stores/{empty}");
    let early = call(bench, &format!("POST {path}/write"), json!({"writes": {"tuple_keys": []}})).await;
    assert_eq!(code(&early), error(400, "latest_authorization_model_not_found"));
    assert_eq!(call(bench, &format!("GET {path}"), Value::Null).await.json()["name"], "empty");
    assert_eq!(call(bench, &format!("DELETE {path}"), Value::Null).await.status, 204);
    assert_eq!(code(&call(bench, &format!("GET {path}"), Value::Null).await), error(404, "store_id_not_found"));
}

#[tokio::test]
async fn a_write_happens_whole_or_not_at_all() {
    let service = Service::new().await;
    assert_eq!(service.write(&["doc:1 editor user:anne", "doc:1 editor user:bob"]).await.json(), json!({}));
    assert!(service.allowed("doc:1 viewer user:bob").await);
    let again = service.write(&["doc:2 editor user:anne", "doc:1 editor user:anne"]).await;
    assert_eq!(code(&again), error(400, "write_failed_due_to_invalid_input"));
    assert!(again.text.contains("cannot write a tuple which already exists: user: 'user:anne'"), "{}", again.text);
    let missing = json!({
        "writes": {"tuple_keys": [key("doc:2 editor user:anne")]},
        "deletes": {"tuple_keys": [key("doc:1 editor user:anne"), key("doc:1 editor user:eve")]},
    });
    assert_eq!(code(&service.post("write", missing).await), error(400, "write_failed_due_to_invalid_input"));
    assert_eq!(service.tuples().await, 2);

    let lenient = json!({
        "writes": {"tuple_keys": [key("doc:2 editor user:anne"), key("doc:1 editor user:bob")], "on_duplicate": "ignore"},
        "deletes": {"tuple_keys": [key("doc:1 editor user:anne"), key("doc:1 editor user:eve")], "on_missing": "ignore"},
    });
    assert_eq!(service.post("write", lenient).await.status, 200);
    assert_eq!(service.tuples().await, 2);
    assert!(!service.allowed("doc:1 viewer user:anne").await);
    assert!(service.allowed("doc:2 viewer user:anne").await);

    let one = json!({"tuple_keys": [key("doc:3 editor user:anne")]});
    let both = service.post("write", json!({"writes": one, "deletes": one})).await;
    assert_eq!(code(&both), error(400, "cannot_allow_duplicate_tuples_in_one_request"));
    assert_eq!(code(&service.post("write", json!({})).await), error(400, "invalid_write_input"));
    let many: Vec<Value> = (0..101).map(|n| key(&format!("doc:{n} editor user:eve"))).collect();
    let many = service.post("write", json!({"writes": {"tuple_keys": many}})).await;
    assert_eq!(code(&many), error(400, "exceeded_entity_limit"));
    let strange = json!({"writes": {"tuple_keys": [], "on_duplicate": "forget"}});
    assert_eq!(code(&service.post("write", strange).await), error(400, "validation_error"));
    assert_eq!(service.tuples().await, 2);
}

#[tokio::test]
async fn only_what_the_model_takes_is_written() {
    let service = Service::new().await;
    for (line, why) in [
        ("doc:1 editor anne", "must be an object"),
        ("doc:1 editor *", "must be an object"),
        ("doc:1 editor user:a:b", "malformed"),
        ("doc:1 editor user:", "malformed"),
        ("doc:1 editor robot:1", "type 'robot' not found"),
        ("doc:1 editor group:1#owner", "relation 'group#owner' not found"),
        ("doc:1 editor group:*#member", "typed wildcard in a userset"),
        ("doc:1 editor group:1", "type 'group' is not an allowed type restriction for 'doc#editor'"),
        ("doc:1 editor user:*", "the typed wildcard 'user:*' is not an allowed"),
        ("page:1 viewer group:1#member", "'group#member' is not an allowed"),
        ("doc:1 viewer user:anne", "type 'user' is not an allowed type restriction for 'doc#viewer'"),
        ("doc:1 owner user:anne", "relation 'doc#owner' not found"),
        ("letter:1 editor user:anne", "type 'letter' not found"),
        ("doc:* editor user:anne", "cannot reference a typed wildcard"),
        ("doc1 editor user:anne", "invalid 'object' field format"),
        ("group:1 member group:1#member", "implicit"),
    ] {
        let refused = service.write(&[line]).await;
        assert_eq!(code(&refused), error(400, "validation_error"), "{line}");
        assert!(refused.text.contains(why), "{line}: {}", refused.text);
    }
    let long = "x".repeat(600);
    for (tuple, wrong) in [
        (json!({"user": format!("user:{long}"), "relation": "editor", "object": "doc:1"}), "validation_error"),
        (json!({"user": "user:anne", "relation": long, "object": "doc:1"}), "validation_error"),
        (json!({"user": "user:anne", "relation": "edi tor", "object": "doc:1"}), "validation_error"),
        (json!({"user": "user:anne", "relation": "editor", "object": format!("doc:{long}")}), "object_invalid_pattern"),
        (json!({"user": "user:anne", "relation": "editor", "object": "doc: 1"}), "object_invalid_pattern"),
        (json!({"user": "user:anne", "relation": "editor"}), "validation_error"),
        (json!({"user": "user:a b", "relation": "editor", "object": "doc:1"}), "validation_error"),
        (
            json!({"user": "user:a", "relation": "editor", "object": "doc:1", "condition": {"name": "c"}}),
            "validation_error",
        ),
        (json!({"user": "user:a", "relation": "editor", "object": "doc:1", "objekt": "doc:2"}), "validation_error"),
    ] {
        for (what, body) in
            [("write", json!({"writes": {"tuple_keys": [tuple]}})), ("check", json!({"tuple_key": tuple}))]
        {
            assert_eq!(code(&service.post(what, body).await), error(400, wrong), "{what} {tuple}");
        }
    }
    // What is only asked may be what nobody could write.
    for (line, allowed) in [("doc:1 viewer user:*", false), ("doc:1 editor group:1", false)] {
        assert_eq!(service.allowed(line).await, allowed, "{line}");
    }
    assert_eq!(service.tuples().await, 0);
    let wild = service.write(&["page:1 viewer user:*", "doc:1 editor group:1#member"]).await;
    assert_eq!(wild.status, 200, "{}", wild.text);
}

#[tokio::test]
async fn tuples_are_read_by_filters_and_pages() {
    let service = Service::new().await;
    let lines =
        ["doc:1 editor user:anne", "doc:2 editor user:anne", "doc:2 editor user:bob", "page:2 viewer user:anne"];
    service.write(&lines).await;
    let read = async |body: Value| {
        let reply = service.post("read", body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let json = reply.json();
        let line = |tuple: &Value| {
            let part = |name: &str| tuple["key"][name].as_str().unwrap().to_owned();
            format!("{} {} {}", part("object"), part("relation"), part("user"))
        };
        let lines: Vec<String> = json["tuples"].as_array().unwrap().iter().map(line).collect();
        (lines, json["continuation_token"].as_str().unwrap().to_owned())
    };
    assert_eq!(read(json!({})).await.0, lines);
    assert_eq!(read(json!({"tuple_key": {"object": "doc:2"}})).await.0, lines[1..3]);
    assert_eq!(read(json!({"tuple_key": {"object": "doc:", "user": "user:anne"}})).await.0, lines[..2]);
    assert_eq!(read(json!({"tuple_key": key("doc:2 editor user:bob")})).await.0, lines[2..3]);
    assert_eq!(read(json!({"tuple_key": {"object": "doc:2", "relation": "viewer"}})).await.0, [""; 0]);
    let (first, next) = read(json!({"page_size": 3})).await;
    assert_eq!(first, lines[..3]);
    // Deleting what was read does not shift the next page.
    service.post("write", json!({"deletes": {"tuple_keys": [key(lines[0])]}})).await;
    let (rest, end) = read(json!({"page_size": 3, "continuation_token": next})).await;
    assert_eq!((&rest[..], &*end), (&[lines[3].to_owned()][..], ""));
    for (body, wrong) in [
        (json!({"tuple_key": {"user": "user:anne"}}), "validation_error"),
        (json!({"tuple_key": {"object": "doc:"}}), "validation_error"),
        (json!({"tuple_key": {}}), "validation_error"),
        (json!({"page_size": 0}), "page_size_invalid"),
        (json!({"page_size": 101}), "page_size_invalid"),
        (json!({"continuation_token": "later"}), "invalid_continuation_token"),
        (json!({"consistency": "BEST"}), "validation_error"),
    ] {
        assert_eq!(code(&service.post("read", body.clone()).await), error(400, wrong), "{body}");
    }
}

#[tokio::test]
async fn questions_may_bring_tuples_of_their_own() {
    let service = Service::new().await;
    let check = async |contextual: &[&str]| {
        let keys: Vec<Value> = contextual.iter().map(|line| key(line)).collect();
        let body = json!({
            "tuple_key": key("doc:1 viewer user:anne"), "contextual_tuples": {"tuple_keys": keys},
            "context": {"amount": 120}, "consistency": "HIGHER_CONSISTENCY",
        });
        service.post("check", body).await
    };
    let both = ["doc:1 editor group:1#member", "group:1 member user:anne"];
    assert_eq!(check(&both).await.json()["allowed"], true);
    assert_eq!(check(&both[..1]).await.json()["allowed"], false, "the other was not kept");
    assert_eq!(code(&check(&["doc:1 viewer user:anne"]).await), error(400, "invalid_tuple"));
    assert_eq!(code(&check(&["doc:1 editor robot:1"]).await), error(400, "invalid_tuple"));
    let many: Vec<String> = (0..101).map(|n| format!("doc:{n} editor user:anne")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(check(&many[..100]).await.json()["allowed"], true);
    assert_eq!(code(&check(&many).await), error(400, "validation_error"));
    for (body, wrong) in [
        (json!({}), "tuple_key_value_not_specified"),
        (json!({"tuple_key": key("doc:1 owner user:anne")}), "validation_error"),
        (json!({"tuple_key": key("letter:1 viewer user:anne")}), "validation_error"),
        (json!({"tuple_key": key("doc:1 viewer robot:1")}), "validation_error"),
        (json!({"tuple_key": key("doc:1 viewer user:anne"), "context": []}), "validation_error"),
        (json!({"tuple_key": key("doc:1 viewer user:anne"), "consistency": "MAXIMUM"}), "validation_error"),
        (json!({"tuple_key": key("doc:1 viewer user:anne"), "contextual_tuple": {}}), "validation_error"),
        (json!([]), "validation_error"),
    ] {
        assert_eq!(code(&service.post("check", body.clone()).await), error(400, wrong), "{body}");
    }
    assert_eq!(service.tuples().await, 0);
}

#[tokio::test]
async fn a_batch_answers_each_by_its_id() {
    let service = Service::new().await;
    service.write(&["doc:1 editor user:anne"]).await;
    let item = |id: &str, line: &str| json!({"tuple_key": key(line), "correlation_id": id});
    let mut own = item("own", "doc:2 viewer user:anne");
    own["contextual_tuples"] = json!({"tuple_keys": [key("doc:2 editor user:anne")]});
    let checks = [
        item("yes", "doc:1 viewer user:anne"),
        item("no", "doc:1 viewer user:bob"),
        item("wrong", "doc:1 owner user:anne"),
        own,
        item("others", "doc:2 viewer user:anne"),
    ];
    let reply = service.post("batch-check", json!({"checks": checks})).await;
    let result = reply.json()["result"].clone();
    for (id, allowed) in [("yes", true), ("no", false), ("own", true), ("others", false)] {
        assert_eq!(result[id], json!({"allowed": allowed}), "{id}");
    }
    let expected = json!({"input_error": "validation_error", "message": "relation 'doc#owner' not found"});
    assert_eq!(result["wrong"], json!({"error": expected}));

    let many =
        |count: usize| -> Vec<Value> { (0..count).map(|n| item(&format!("c{n}"), "doc:1 viewer user:anne")).collect() };
    assert_eq!(service.post("batch-check", json!({"checks": many(50)})).await.status, 200);
    let line = "doc:1 viewer user:anne";
    for (what, checks) in [
        ("too many", many(51)),
        ("none", vec![]),
        ("the same id twice", vec![item("a", line), item("a", line)]),
        ("no id", vec![item("", line)]),
        ("an id with a blank", vec![item("a b", line)]),
        ("a long id", vec![item(&"x".repeat(37), line)]),
    ] {
        let refused = service.post("batch-check", json!({"checks": checks})).await;
        assert_eq!(code(&refused), error(400, "validation_error"), "{what}");
    }
}

#[tokio::test]
async fn objects_are_listed_as_they_would_be_allowed() {
    let service = Service::new().await;
    let lines =
        ["doc:1 editor user:anne", "doc:2 editor group:1#member", "doc:3 editor user:bob", "page:1 viewer user:*"];
    service.write(&lines).await;
    let list = async |kind: &str, relation: &str, user: &str| {
        let contextual = json!({"tuple_keys": [key("group:1 member user:anne")]});
        let body = json!({"type": kind, "relation": relation, "user": user, "contextual_tuples": contextual});
        service.post("list-objects", body).await
    };
    assert_eq!(list("doc", "viewer", "user:anne").await.json()["objects"], json!(["doc:1", "doc:2"]));
    assert_eq!(list("doc", "viewer", "user:nobody").await.json()["objects"], json!([]));
    assert_eq!(list("page", "viewer", "user:nobody").await.json()["objects"], json!(["page:1"]));
    assert_eq!(list("group", "member", "group:7#member").await.json()["objects"], json!(["group:7"]));
    assert_eq!(code(&list("letter", "viewer", "user:anne").await), error(400, "type_not_found"));
    assert_eq!(code(&list("doc", "owner", "user:anne").await), error(400, "relation_not_found"));
    assert_eq!(code(&list("doc", "viewer", "anne").await), error(400, "validation_error"));
    assert_eq!(code(&list("doc", "viewer", "robot:1").await), error(400, "validation_error"));
}

#[tokio::test]
async fn the_seed_is_who_may_what_and_comes_back() {
    for preset in [Preset::Auth0, Preset::Keycloak, Preset::Oidc] {
        let bench = Bench::new(preset).await;
        let (store, model) = bench.world.with(|state, _| {
            let store = &state.fga.stores[0];
            (store.id.clone(), store.models[0].id.clone())
        });
        let check = async |user: &str, relation: &str, object: &str| {
            let tuple = json!({"user": user, "relation": relation, "object": object});
            let body = json!({"tuple_key": tuple, "authorization_model_id": model});
            let reply = call(&bench, &format!("POST /stores/{store}/check"), body).await;
            reply.json()["allowed"].as_bool().unwrap_or_else(|| panic!("{}", reply.text))
        };
        let may = async |user: &str| {
            let rights = [("read_okta", "okta:main"), ("manage_okta", "okta:main"), ("can_buy", "shop:main")];
            let mut list = Vec::new();
            for (relation, object) in rights {
                list.push(check(user, relation, object).await);
            }
            list
        };
        let [ada, grace, alan] = PEOPLE.each_ref().map(|person| format!("user:{}", person.subject(preset)));
        assert_eq!(may(&ada).await, [true, true, true]);
        assert_eq!(may(&grace).await, [true, false, true]);
        assert_eq!(may(&alan).await, [false, false, true]);
        assert_eq!(may("agent:agentctl-approval").await, [true, true, true]);
        assert_eq!(may("agent:agentctl-login").await, [false, false, false]);
        assert_eq!(may("user:eve").await, [false, false, false]);

        let tuple = json!({"user": "ada", "relation": "manage_okta", "object": "okta:main"});
        assert_eq!(bench.manage("DELETE /tuples", tuple).await.json()["user"], ada);
        assert_eq!(may(&ada).await, [true, false, true]);
        assert_eq!(call(&bench, &format!("DELETE /stores/{store}"), Value::Null).await.status, 204);
        assert_eq!(bench.manage("GET /tuples", Value::Null).await.error(), error(404, "not_found"));
        bench.manage("POST /reset", Value::Null).await;
        assert_eq!(may(&ada).await, [true, true, true], "the same store and the same model");
        let stores = call(&bench, "GET /stores", Value::Null).await.json();
        assert_eq!(stores["stores"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn tuples_are_managed() {
    let bench = Bench::new(Preset::Auth0).await;
    let count = async || bench.manage("GET /tuples", Value::Null).await.json()["tuples"].as_array().unwrap().len();
    let before = count().await;
    let tuple = |user: &str| json!({"user": user, "relation": "read_okta", "object": "okta:main"});
    let added = bench.manage("POST /tuples", tuple("Alan Turing")).await;
    assert_eq!((added.status, added.json()), (200, tuple("user:auth0|alan")));
    assert_eq!(count().await, before + 1);
    assert_eq!(bench.manage("POST /tuples", tuple("user:auth0|alan")).await.error(), error(409, "conflict"));
    assert_eq!(bench.manage("DELETE /tuples", tuple("alan")).await.status, 200);
    assert_eq!(bench.manage("DELETE /tuples", tuple("alan")).await.error(), error(404, "not_found"));
    for wrong in ["eve", "robot:1", "user:*", "group:staff"] {
        assert_eq!(bench.manage("POST /tuples", tuple(wrong)).await.error(), error(400, "invalid_request"), "{wrong}");
    }
    assert_eq!(count().await, before);
}

#[tokio::test]
async fn questions_are_remembered_and_can_go_wrong() {
    let service = Service::new().await;
    service.write(&["doc:1 editor user:anne"]).await;
    let check = async || service.post("check", json!({"tuple_key": key("doc:1 viewer user:anne")})).await;
    let order = async |fault: Value| assert_eq!(service.bench.manage("POST /faults", fault).await.status, 200);
    order(json!({"on": "fga", "kind": "status", "status": 503})).await;
    assert_eq!(code(&check().await), error(503, "internal_error"));
    order(json!({"on": "fga", "kind": "html"})).await;
    assert_eq!(check().await.status, 502);
    order(json!({"on": "fga", "kind": "alter", "answer": {"allowed": null}})).await;
    assert_eq!(check().await.json(), json!({"resolution": ""}));
    assert_eq!(check().await.json()["allowed"], true);
    let history = service.bench.manage("GET /history?of=fga", Value::Null).await.json();
    let requests = history["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 7);
    assert_eq!(requests[6]["body"]["tuple_key"]["user"], "user:anne");
    assert_eq!(requests[6]["answer"]["body"]["allowed"], true);
    let token = service.bench.world.secrets.fga_token.expose();
    assert!(!history.to_string().contains(token));
}
