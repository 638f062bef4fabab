//! What every tenant begins with: who may shop, and who may read or manage the directory.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    error::Error,
    store::{Changes, Store},
    tuple::TupleKey,
};
use crate::dev::{
    APPROVAL_CLIENT,
    people::{PEOPLE, Person},
    preset::Preset,
};

const STAFF: &str = "group:staff#member";

/// The store with its model and its tuples.
pub(super) fn store(preset: Preset, now: DateTime<Utc>) -> Result<Store, Error> {
    let mut store = Store::new("agentctl-dev", now);
    store.add_model(model(), now)?;
    let model = store.model("")?;
    let [ada, grace, alan] = PEOPLE.each_ref().map(|person| user(person, preset));
    let agent = format!("agent:{APPROVAL_CLIENT}");
    let tuple = |user: &str, relation: &str, object: &str| TupleKey::new(user, relation, object);
    let writes = vec![
        tuple(&ada, "read_okta", "okta:main"),
        tuple(&ada, "manage_okta", "okta:main"),
        tuple(&ada, "can_buy", "shop:main"),
        tuple(&grace, "member", "group:staff"),
        tuple(STAFF, "read_okta", "okta:main"),
        tuple(&grace, "can_buy", "shop:main"),
        tuple(&alan, "can_buy", "shop:main"),
        tuple(&agent, "read_okta", "okta:main"),
        tuple(&agent, "manage_okta", "okta:main"),
        tuple(&agent, "can_buy", "shop:main"),
    ];
    store.write(&model, Changes { writes, ..Changes::default() }, now)?;
    Ok(store)
}

/// A person as the store knows them.
pub(super) fn user(person: &Person, preset: Preset) -> String {
    format!("user:{}", person.subject(preset))
}

/// In OpenFGA's language:
///
/// ```text
/// type user
/// type agent
/// type group  relations  define member: [user, group#member]
/// type okta   relations  define read_okta, manage_okta: [user, group#member, agent]
/// type shop   relations  define can_buy: [user, group#member, agent]
/// ```
fn model() -> Value {
    let who = json!([{"type": "user"}, {"type": "group", "relation": "member"}, {"type": "agent"}]);
    let direct = |relations: &[&str], who: &Value| {
        let rewrites: Value = relations.iter().map(|name| ((*name).to_owned(), json!({"this": {}}))).collect();
        let metadata: Value =
            relations.iter().map(|name| ((*name).to_owned(), json!({"directly_related_user_types": who}))).collect();
        (rewrites, json!({"relations": metadata}))
    };
    let (member, member_metadata) = direct(&["member"], &json!([who[0], who[1]]));
    let (okta, okta_metadata) = direct(&["read_okta", "manage_okta"], &who);
    let (shop, shop_metadata) = direct(&["can_buy"], &who);
    json!({
        "schema_version": "1.1",
        "type_definitions": [
            {"type": "user", "relations": {}, "metadata": null},
            {"type": "agent", "relations": {}, "metadata": null},
            {"type": "group", "relations": member, "metadata": member_metadata},
            {"type": "okta", "relations": okta, "metadata": okta_metadata},
            {"type": "shop", "relations": shop, "metadata": shop_metadata},
        ],
    })
}
