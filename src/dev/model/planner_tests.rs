//! The planner as tables: a conversation and the tools on one side, what it does on the other.

use std::slice;

use super::*;

fn tool(name: &str, properties: &Value, required: &Value) -> Value {
    let parameters = json!({ "type": "object", "properties": properties, "required": required });
    json!({ "type": "function", "function": { "name": name, "parameters": parameters } })
}

fn buy() -> Value {
    let properties = json!({
        "product": { "type": "string" },
        "qty": { "type": "integer", "minimum": 1, "maximum": 100 },
        "price_limit": { "type": "number" },
    });
    tool("buy_product", &properties, &json!(["product", "qty"]))
}

fn search() -> Value {
    tool("search_products", &json!({ "query": { "type": "string" }, "max_price": { "type": "number" } }), &json!([]))
}

fn calls(plan: &Plan) -> Vec<Value> {
    match plan {
        Plan::Call(calls) => calls.iter().map(|(name, arguments)| json!([name, arguments])).collect(),
        other => panic!("no calls: {other:?}"),
    }
}

fn said(plan: Plan) -> String {
    match plan {
        Plan::Say(text) => text,
        other => panic!("no words: {other:?}"),
    }
}

/// A prompt, and the exchanges after it.
fn conversation(prompt: &str, exchanges: &[(&str, Value, Value)]) -> Vec<Value> {
    let mut messages =
        vec![json!({ "role": "system", "content": "be good" }), json!({ "role": "user", "content": prompt })];
    for (at, (name, arguments, answer)) in exchanges.iter().enumerate() {
        let id = format!("call-{at}");
        let function = json!({ "name": name, "arguments": arguments.to_string() });
        messages.push(
            json!({ "role": "assistant", "tool_calls": [{ "id": id, "type": "function", "function": function }] }),
        );
        let answer = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
        messages.push(json!({ "role": "tool", "tool_call_id": id, "content": answer }));
    }
    messages
}

fn found(products: &Value) -> (&'static str, Value, Value) {
    ("search_products", json!({}), json!({ "outcome": "done", "message": "", "result": { "products": products } }))
}

fn answered(outcome: &str, message: &str) -> (&'static str, Value, Value) {
    let answer = json!({ "outcome": outcome, "message": message });
    ("buy_product", json!({ "product": "phones", "qty": 2 }), answer)
}

#[test]
fn first_steps_are_calls_that_fit_the_schemas() {
    let other_names = tool(
        "order-item",
        &json!({ "item": { "type": "string" }, "quantity": { "type": "integer" } }),
        &json!(["item", "quantity"]),
    );
    let both = [buy(), search()];
    let table: &[(&[Value], &str, Value)] = &[
        (&both, "buy 2 phones", json!([["buy_product", { "product": "phones", "qty": 2 }]])),
        (
            &both,
            "buy 2 phones for at most 900.50",
            json!([["buy_product", { "product": "phones", "qty": 2, "price_limit": 900.5 }]]),
        ),
        (
            &both,
            "buy 3 cheap laptops under 900",
            json!([["search_products", { "query": "laptops", "max_price": 900 }]]),
        ),
        (&both, "what phones are there", json!([["search_products", { "query": "phones" }]])),
        (&both, "what can I buy?", json!([["search_products", {}]])),
        (
            &both,
            "buy 2 phones and a laptop",
            json!([["buy_product", { "product": "phones", "qty": 2 }], ["buy_product", { "product": "laptop", "qty": 1 }]]),
        ),
        (slice::from_ref(&other_names), "order 2 phones", json!([["order-item", { "item": "phones", "quantity": 2 }]])),
        (
            &[other_names.clone(), search()],
            "order 2 phones under 900",
            json!([["search_products", { "query": "phones", "max_price": 900 }]]),
        ),
        (&[tool("list_my_groups", &json!({}), &json!([]))], "please list my groups", json!([["list_my_groups", {}]])),
    ];
    for (tools, prompt, wanted) in table {
        assert_eq!(json!(calls(&plan(&conversation(prompt, &[]), tools))), *wanted, "{prompt}");
    }
}

/// The directory's tools as the client offers them.
fn directory() -> Vec<Value> {
    let user = json!({ "user": { "type": "string" } });
    let both = json!({ "user": { "type": "string" }, "group": { "type": "string" } });
    vec![
        tool("list_my_groups", &json!({}), &json!([])),
        tool("list_user_groups", &user, &json!(["user"])),
        tool("reset_password", &user, &json!(["user"])),
        tool("deactivate_user", &user, &json!(["user"])),
        tool("add_user_to_group", &both, &json!(["user", "group"])),
    ]
}

#[test]
fn the_directory_is_asked_and_changed() {
    let tools = directory();
    let table = [
        ("my groups", json!([["list_my_groups", {}]])),
        ("which groups is ada in", json!([["list_user_groups", { "user": "ada" }]])),
        ("reset bob's password", json!([["reset_password", { "user": "bob" }]])),
        ("deactivate bob", json!([["deactivate_user", { "user": "bob" }]])),
        ("add bob to the group engineering", json!([["add_user_to_group", { "user": "bob", "group": "engineering" }]])),
    ];
    for (at, (prompt, wanted)) in table.into_iter().enumerate() {
        assert_eq!(json!(calls(&plan(&conversation(prompt, &[]), &tools))), wanted, "{prompt}");
        let mut without = tools.clone();
        without.remove(at);
        let said = said(plan(&conversation(prompt, &[]), &without));
        assert!(said.starts_with("No tool for that is offered to me."), "{prompt}: {said}");
    }
    let groups = json!([{ "profile": { "name": "Everyone" } }, { "profile": { "name": "Admins" } }]);
    let listed = |outcome: &str| {
        let answer = json!({ "outcome": outcome, "message": "no", "result": groups });
        ("list_user_groups", json!({ "user": "ada" }), answer)
    };
    let text = |outcome: &str| said(plan(&conversation("which groups is ada in", &[listed(outcome)]), &tools));
    assert_eq!(text("done"), "ada is in the groups Everyone and Admins.");
    assert_eq!(text("not_permitted"), "You are not permitted to do this, so nothing was looked up: no.");
    let help = said(plan(&conversation("how are you?", &[]), &tools));
    assert!(help.ends_with("\"deactivate bob\" or \"add bob to the group engineering\"."), "{help}");
}

#[test]
fn only_what_is_offered_is_used() {
    let needs_more = tool(
        "buy_product",
        &json!({ "product": { "type": "string" }, "qty": { "type": "integer" }, "iban": { "type": "string" } }),
        &json!(["product", "qty", "iban"]),
    );
    let table: &[(&[Value], &str, &str)] = &[
        (&[], "buy 2 phones", "No tool for buying is offered to me."),
        (&[search()], "buy 2 phones", "No tool for buying"),
        (&[needs_more], "buy 2 phones", "No tool for buying"),
        (&[buy()], "what phones are there", "No tool for searching"),
        (&[buy()], "buy 3 cheap laptops", "no tool for searching"),
        (&[buy()], "buy 101 phones", "takes at most 100 at once"),
        (&[buy()], "buy phones", "How many phones?"),
        (&[buy()], "buy 2 phones if it rains", "I cannot follow the condition in \"if\", so I did nothing."),
        (&[buy()], "how are you?", "not a language model. Try: \"buy 2 phones\"."),
        (
            &[buy(), search()],
            "how are you?",
            "\"buy 2 phones\", \"buy 3 cheap laptops under 900\" or \"what phones are there\".",
        ),
        (&[], "how are you?", "No tool that I can use is offered"),
    ];
    for (tools, prompt, wanted) in table {
        let text = said(plan(&conversation(prompt, &[]), tools));
        assert!(text.contains(wanted), "{prompt}: {text}");
    }
}

#[test]
fn the_cheapest_that_fits_is_bought_and_the_limit_is_for_all() {
    let tools = [buy(), search()];
    let prompt = "buy 3 cheap laptops under 900";
    let products = json!([
        { "name": "Slate 14", "price": "399.00", "currency": "EUR", "stock": 9 },
        { "name": "Crumb 10", "price": "99.00", "currency": "EUR", "stock": 2 },
        { "name": "Pebble 11", "price": "279.90", "currency": "EUR", "stock": 3 },
    ]);
    let step = plan(&conversation(prompt, &[found(&products)]), &tools);
    assert_eq!(calls(&step), [json!(["buy_product", { "product": "Pebble 11", "qty": 3, "price_limit": 900 }])]);
    let bought = (
        "buy_product",
        json!({ "product": "Pebble 11", "qty": 3, "price_limit": 900 }),
        json!({ "outcome": "done", "message": "", "result": { "id": "ord_81", "total": "839.70", "currency": "EUR" } }),
    );
    let text = said(plan(&conversation(prompt, &[found(&products), bought]), &tools));
    let wanted = "Ordered 3 x Pebble 11 for 839.70 EUR (order ord_81). I took 900 as the limit for the whole order.";
    assert_eq!(text, wanted);

    let table = [
        (
            json!([{ "name": "Slate 14", "price": 399, "stock": 9 }]),
            "comes to 1197.00 EUR for 3, above your limit of 900",
        ),
        (json!([{ "name": "Slate 14", "price": "1.00", "stock": 1 }]), "none has 3 in stock"),
        (json!([]), "I found no laptops at up to 900. I did not buy anything."),
    ];
    for (products, wanted) in table {
        let text = said(plan(&conversation(prompt, &[found(&products)]), &tools));
        assert!(text.contains(wanted), "{text}");
    }
}

#[test]
fn products_are_listed_with_prices() {
    let products = json!([
        { "name": "Slate 14", "price": "399.00", "currency": "EUR", "stock": 0 },
        { "name": "Pebble 11", "price": "279.9", "currency": "EUR", "stock": 3 },
    ]);
    let text = said(plan(&conversation("what laptops are there", &[found(&products)]), &[search()]));
    assert_eq!(text, "There are 2 laptops:\n- Pebble 11: 279.90 EUR, 3 in stock\n- Slate 14: 399.00 EUR, sold out");
    let text = said(plan(&conversation("show laptops under 100", &[found(&products)]), &[search()]));
    assert_eq!(text, "I found no laptops at up to 100.");
}

#[test]
fn every_outcome_is_one_sentence_and_never_a_retry() {
    let table = [
        ("denied", "", "The purchase was denied, so nothing was ordered."),
        ("expired", "", "Nobody answered the approval in time, so nothing was ordered."),
        ("pending", "", "The purchase still waits for approval; nothing has been ordered yet."),
        ("not_permitted", "", "You are not permitted to buy this, so nothing was ordered."),
        (
            "failed",
            "The shop is closed.",
            "The purchase did not go through, and nothing was ordered: The shop is closed.",
        ),
        ("limit", "", "The purchase did not go through, and nothing was ordered."),
        ("cancelled", "", "The purchase was cancelled, so nothing was ordered."),
        ("unknown", "", "I do not know whether the order was placed; look at your orders before you try again."),
        ("surprise", "", "The tool's answer means nothing to me, so I do not know whether anything was ordered."),
        ("rehearsed", "it would run", "This is a dry run, so nothing was ordered: it would run."),
        ("done", "", "Ordered 2 x phones."),
    ];
    for (outcome, message, wanted) in table {
        let messages = conversation("buy 2 phones", &[answered(outcome, message)]);
        assert_eq!(said(plan(&messages, &[buy(), search()])), wanted);
    }
    let broken = ("buy_product", json!({}), json!("<html>"));
    assert!(said(plan(&conversation("buy 2 phones", &[broken]), &[buy()])).contains("means nothing to me"));
    let failed = ("search_products", json!({}), json!({ "outcome": "failed", "message": "no catalogue" }));
    let text = said(plan(&conversation("buy 3 cheap laptops", &[failed]), &[buy(), search()]));
    assert_eq!(text, "search_products was not done (failed): no catalogue.");
}

#[test]
fn a_new_prompt_forgets_the_exchanges_before_it() {
    let mut messages = conversation("buy 2 phones", &[answered("denied", "")]);
    messages.push(json!({ "role": "assistant", "content": "denied" }));
    messages.push(json!({ "role": "user", "content": [{ "type": "text", "text": "buy 3 phones" }] }));
    assert_eq!(calls(&plan(&messages, &[buy()])), [json!(["buy_product", { "product": "phones", "qty": 3 }])]);
}

#[test]
fn words_are_as_many_as_were_asked_for() {
    let reply = reply(&conversation("say 500 words", &[]), &[]);
    assert_eq!(reply.text.concat().split(' ').count(), 500);
    assert_eq!(reply.text.len(), 500);
}
