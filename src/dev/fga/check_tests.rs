//! The rules of models, followed through tuples: what is a yes, what is a no, and what is neither.

use serde_json::{Value, json};

use super::{check::Question, model::Model, tuple::TupleKey};

/// A type with its relations: name, rule, and who may stand in it directly, as OpenFGA's language writes it.
pub(super) fn kind(name: &str, relations: &[(&str, Value, &str)]) -> Value {
    let rules: Value = relations.iter().map(|(name, rule, _)| ((*name).to_owned(), rule.clone())).collect();
    let metadata: Value = relations
        .iter()
        .map(|(name, _, who)| {
            let who: Vec<Value> = who.split_whitespace().map(restriction).collect();
            ((*name).to_owned(), json!({"directly_related_user_types": who}))
        })
        .collect();
    json!({"type": name, "relations": rules, "metadata": {"relations": metadata}})
}

fn restriction(text: &str) -> Value {
    match (text.split_once('#'), text.strip_suffix(":*")) {
        (Some((kind, relation)), _) => json!({"type": kind, "relation": relation}),
        (None, Some(kind)) => json!({"type": kind, "wildcard": {}}),
        (None, None) => json!({"type": text}),
    }
}

pub(super) fn this() -> Value {
    json!({"this": {}})
}

pub(super) fn computed(relation: &str) -> Value {
    json!({"computedUserset": {"relation": relation}})
}

fn from(relation: &str, tupleset: &str) -> Value {
    json!({"tupleToUserset": {"computedUserset": {"relation": relation}, "tupleset": {"relation": tupleset}}})
}

fn or(children: &[Value]) -> Value {
    json!({"union": {"child": children}})
}

fn and(children: &[Value]) -> Value {
    json!({"intersection": {"child": children}})
}

fn but_not(base: Value, subtract: Value) -> Value {
    json!({"difference": {"base": base, "subtract": subtract}})
}

pub(super) fn written(types: &[Value]) -> Value {
    json!({"schema_version": "1.1", "type_definitions": types})
}

fn model(types: &[Value]) -> Model {
    Model::new("01ARYZ6S410000000000000000".to_owned(), written(types)).unwrap()
}

/// `document:1 viewer user:anne`
fn tuple(line: &str) -> TupleKey {
    let [object, relation, user] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
    TupleKey::new(user, relation, object)
}

fn ask(model: &Model, tuples: &[TupleKey], question: &str) -> Result<bool, &'static str> {
    let key = tuple(question);
    key.askable(model).unwrap();
    Question::new(model, tuples.iter(), &key.user).ask(&key.object, &key.relation).map_err(|error| error.code)
}

fn library() -> Model {
    model(&[
        kind("user", &[]),
        kind("group", &[("member", this(), "user user:* group#member")]),
        kind(
            "folder",
            &[
                ("owner", this(), "user"),
                ("parent", this(), "folder"),
                ("viewer", or(&[this(), computed("owner"), from("viewer", "parent")]), "user user:* group#member"),
            ],
        ),
        kind("shelf", &[("keeper", this(), "user")]),
        kind(
            "document",
            &[
                ("parent", this(), "folder shelf"),
                ("blocked", this(), "user group#member"),
                ("owner", this(), "user"),
                ("editor", or(&[this(), computed("owner")]), "user group#member"),
                ("viewer", but_not(or(&[computed("editor"), from("viewer", "parent")]), computed("blocked")), ""),
                ("signer", and(&[computed("editor"), from("viewer", "parent")]), ""),
            ],
        ),
    ])
}

#[test]
fn every_rule_says_yes_and_no() {
    let tuples: Vec<TupleKey> = [
        "group:staff member user:anne",
        "group:staff member group:interns#member",
        "group:interns member user:ivy",
        "group:everybody member user:*",
        "folder:root viewer group:staff#member",
        "folder:root owner user:olga",
        "folder:plans parent folder:root",
        "folder:public viewer user:*",
        "document:plan parent folder:plans",
        "document:plan parent shelf:1",
        "document:plan owner user:dan",
        "document:plan editor group:interns#member",
        "document:plan blocked user:anne",
        "document:note parent folder:public",
        "document:note blocked group:interns#member",
        "document:open editor group:everybody#member",
    ]
    .map(tuple)
    .into();
    let library = library();
    for (question, allowed) in [
        // Directly, and through groups inside groups.
        ("group:staff member user:anne", true),
        ("group:staff member user:ivy", true),
        ("group:interns member user:anne", false),
        ("group:staff member user:nobody", false),
        ("group:everybody member user:nobody", true),
        // A userset asks for itself, and for what it is part of; it is not one of "all users".
        ("group:staff member group:staff#member", true),
        ("group:staff member group:interns#member", true),
        ("group:interns member group:staff#member", false),
        ("group:everybody member group:staff#member", false),
        ("folder:root viewer group:interns#member", true),
        // "All users" is itself only where a tuple says so.
        ("group:everybody member user:*", true),
        ("group:staff member user:*", false),
        // Computed, and from a parent's parent.
        ("folder:root viewer user:olga", true),
        ("folder:root owner user:anne", false),
        ("folder:plans viewer user:olga", true),
        ("folder:plans owner user:olga", false),
        ("folder:public viewer user:nobody", true),
        // But not.
        ("document:plan viewer user:dan", true),
        ("document:plan viewer user:olga", true),
        ("document:plan viewer user:ivy", true),
        ("document:plan viewer user:anne", false),
        ("document:note viewer user:nobody", true),
        ("document:note viewer user:ivy", false),
        // And.
        ("document:plan signer user:ivy", true),
        ("document:plan signer user:dan", false),
        ("document:plan signer user:olga", false),
        ("document:open editor user:nobody", true),
        // Another object, and one that nobody has heard of.
        ("document:note editor user:dan", false),
        ("document:none viewer user:anne", false),
    ] {
        assert_eq!(ask(&library, &tuples, question), Ok(allowed), "{question}");
    }
}

#[test]
fn circles_end_and_give_nothing() {
    let library = library();
    let mut tuples: Vec<TupleKey> = [
        "group:a member group:b#member",
        "group:b member group:c#member",
        "group:c member group:a#member",
        "group:c member user:anne",
        "folder:x parent folder:y",
        "folder:y parent folder:x",
        "document:1 editor user:anne",
        "document:1 editor user:bob",
        "document:1 blocked group:a#member",
    ]
    .map(tuple)
    .into();
    assert_eq!(ask(&library, &tuples, "group:a member user:anne"), Ok(true));
    assert_eq!(ask(&library, &tuples, "group:a member user:bob"), Ok(false));
    assert_eq!(ask(&library, &tuples, "folder:x viewer user:anne"), Ok(false));
    assert_eq!(ask(&library, &tuples, "document:1 viewer user:anne"), Ok(false));
    assert_eq!(ask(&library, &tuples, "document:1 viewer user:bob"), Ok(false), "a circle is no ground for a yes");
    tuples.remove(2);
    assert_eq!(ask(&library, &tuples, "document:1 viewer user:bob"), Ok(true));
}

#[test]
fn depth_and_width_have_an_end() {
    let library = library();
    let chain = |length: usize| -> Vec<TupleKey> {
        let link = |n: usize| tuple(&format!("group:{n} member group:{}#member", n + 1));
        let end = tuple(&format!("group:{} member user:anne", length - 1));
        (0..length - 1).map(link).chain([end]).collect()
    };
    assert_eq!(ask(&library, &chain(25), "group:0 member user:anne"), Ok(true));
    let too_complex = Err("authorization_model_resolution_too_complex");
    assert_eq!(ask(&library, &chain(26), "group:0 member user:anne"), too_complex);
    // A yes elsewhere is still a yes, and a no of an intersection still a no.
    let mut tuples = chain(40);
    tuples.push(tuple("group:0 member group:z#member"));
    tuples.push(tuple("group:z member user:anne"));
    assert_eq!(ask(&library, &tuples, "group:0 member user:anne"), Ok(true));
    tuples.push(tuple("document:1 editor group:0#member"));
    assert_eq!(ask(&library, &tuples, "document:1 signer user:bob"), Ok(false));
    assert_eq!(ask(&library, &tuples, "document:1 viewer user:bob"), too_complex);

    // Everybody in everybody's group: more ways than anybody would walk.
    let pair = |n: usize| (0..12).map(move |m| tuple(&format!("group:{n} member group:{m}#member")));
    let crowd: Vec<TupleKey> = (0..12).flat_map(pair).collect();
    assert_eq!(ask(&library, &crowd, "group:0 member user:anne"), Err("deadline_exceeded"));
}

#[test]
fn a_tuple_that_the_model_does_not_take_is_not_there() {
    let earlier: Vec<TupleKey> =
        ["group:staff member user:anne", "document:1 editor group:staff#member", "document:1 editor user:*"]
            .map(tuple)
            .into();
    let stricter = model(&[
        kind("user", &[]),
        kind("group", &[("member", this(), "user")]),
        kind("document", &[("editor", this(), "user")]),
    ]);
    assert_eq!(ask(&stricter, &earlier, "document:1 editor user:anne"), Ok(false));
    assert_eq!(ask(&library(), &earlier, "document:1 editor user:anne"), Ok(true));
}

#[test]
fn models_that_cannot_decide_are_refused() {
    let user = || kind("user", &[]);
    let on = |relations: &[(&str, Value, &str)]| written(&[user(), kind("doc", relations)]);
    let invalid = "invalid_authorization_model";
    let conditional = json!({"schema_version": "1.1", "type_definitions": [user(), {
        "type": "doc", "relations": {"viewer": this()}, "metadata": {"relations": {"viewer": {
            "directly_related_user_types": [{"type": "user", "condition": "in_hours"}],
        }}},
    }]});
    for (what, written, code) in [
        ("another schema", json!({"schema_version": "1.0", "type_definitions": [user()]}), invalid),
        ("no type", written(&[]), "type_definitions_too_few_items"),
        ("a type twice", written(&[user(), user()]), invalid),
        ("a type with a colon", written(&[kind("us:er", &[])]), "type_invalid_pattern"),
        ("a relation with a blank", on(&[("can read", this(), "user")]), "relations_invalid_pattern"),
        ("a reserved word", on(&[("self", this(), "user")]), invalid),
        ("an unknown member", json!({"schema_version": "1.1", "types": []}), "validation_error"),
        ("an unknown rule", on(&[("viewer", json!({"magic": {}}), "user")]), "validation_error"),
        (
            "two rules in one",
            on(&[("viewer", json!({"this": {}, "union": {"child": []}}), "user")]),
            "validation_error",
        ),
        ("a condition", conditional, "validation_error"),
        (
            "conditions",
            json!({"schema_version": "1.1", "type_definitions": [user()], "conditions": {"c": {}}}),
            "validation_error",
        ),
        ("nobody may stand in it", on(&[("viewer", this(), "")]), invalid),
        ("somebody may, but no rule asks", on(&[("a", this(), "user"), ("viewer", computed("a"), "user")]), invalid),
        ("an unknown type", on(&[("viewer", this(), "robot")]), invalid),
        ("an unknown userset", on(&[("viewer", this(), "user#friend")]), invalid),
        ("an unknown relation", on(&[("viewer", computed("editor"), "")]), invalid),
        ("a circle of one", on(&[("viewer", or(&[this(), computed("viewer")]), "user")]), invalid),
        (
            "a circle of two",
            on(&[("a", or(&[this(), computed("b")]), "user"), ("b", or(&[this(), computed("a")]), "user")]),
            invalid,
        ),
        ("nobody can get in", on(&[("viewer", this(), "doc#viewer")]), invalid),
        ("from a userset", on(&[("p", this(), "user doc#p"), ("viewer", from("p", "p"), "")]), invalid),
        ("from a wildcard", on(&[("p", this(), "user:* doc"), ("viewer", from("p", "p"), "")]), invalid),
        ("from nowhere", on(&[("p", this(), "user"), ("viewer", from("viewer", "p"), "")]), invalid),
        ("from a rule", on(&[("p", this(), "doc"), ("q", computed("p"), ""), ("v", from("p", "q"), "")]), invalid),
        ("an empty union", on(&[("viewer", or(&[]), "")]), invalid),
        (
            "who without a relation",
            {
                let mut model = on(&[("viewer", this(), "user")]);
                model["type_definitions"][1]["relations"] = json!({});
                model
            },
            invalid,
        ),
    ] {
        let refused = Model::new("01ARYZ6S410000000000000000".to_owned(), written.clone());
        assert_eq!(refused.map(|_| ()).map_err(|error| error.code), Err(code), "{what}: {written}");
    }
    let many: Vec<Value> = (0..101).map(|n| kind(&format!("t{n}"), &[])).collect();
    let refused = Model::new("01ARYZ6S410000000000000000".to_owned(), written(&many));
    assert_eq!(refused.unwrap_err().code, "exceeded_entity_limit");
}
