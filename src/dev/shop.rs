//! The shop: a resource server that knows the authorization server's public key and nothing else of it.
//!
//! It sells only what a person approved: the order must be the one in the token's `authorization_details` (RFC 9396 §9).

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use axum::{
    Router,
    body::Bytes,
    extract::{self, Path, RawQuery},
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{Form, Refusal, bearer, json_answer, json_body, no_token, respond},
    catalog::{CURRENCY, PRODUCTS, Product},
    details::Purchase,
    scopes::{BUY, READ, SHOP_AUDIENCE},
    world::{Now, World},
};

/// What the shop remembers.
#[derive(Debug, Default)]
pub(super) struct Shop {
    pub(super) orders: Vec<Value>,
    sold: BTreeMap<&'static str, u32>,
    /// The answers to orders that came with a key, so that a repeated one buys nothing.
    answers: HashMap<(String, String), Remembered>,
    /// The `jti` of approval tokens that bought something.
    used: HashSet<String>,
}

#[derive(Debug)]
struct Remembered {
    order: Wanted,
    answer: Value,
}

/// The body of an order.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Wanted {
    product: String,
    qty: u32,
    #[serde(rename = "priceLimit")]
    price_limit: Option<Value>,
}

type Shared = extract::State<Arc<World>>;

pub(super) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/shop/products", get(products))
        .route("/shop/orders", post(order))
        .route("/shop/orders/{id}", get(show_order))
}

async fn products(extract::State(world): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let Some(token) = bearer(&headers) else { return no_token() };
    respond(world.with(|state, now| {
        admit(&world, now, token, &[READ])?;
        let query = Form::parse(query.unwrap_or_default().as_bytes());
        if let Some((name, _)) = query.pairs().find(|(name, _)| !["query", "max_price"].contains(name)) {
            return Err(Refusal::invalid_request(format!("there is no parameter '{name}'")));
        }
        let highest = query.get("max_price").map(amount).transpose()?;
        let fits = |product: &&Product| {
            query.get("query").is_none_or(|wanted| product.matches(wanted))
                && highest.is_none_or(|highest| product.price() <= highest)
        };
        let list: Vec<Value> =
            PRODUCTS.iter().filter(fits).map(|product| product.json(state.shop.left(product))).collect();
        Ok(json!({"products": list}))
    }))
}

async fn show_order(extract::State(world): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let Some(token) = bearer(&headers) else { return no_token() };
    respond(world.with(|state, now| {
        let claims = admit(&world, now, token, &[READ, BUY])?;
        // Somebody else's order is as unknown as one that never was.
        let own = |order: &&Value| order["order_id"] == *id && order["buyer"] == claims["sub"];
        let order = state.shop.orders.iter().find(own);
        order.cloned().ok_or_else(|| Refusal::new(404, "not_found", "you have no such order"))
    }))
}

async fn order(extract::State(world): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let Some(token) = bearer(&headers) else { return no_token() };
    let result = world.with(|state, now| {
        let claims = admit(&world, now, token, &[BUY])?;
        let wanted: Wanted = json_body(&body)?;
        if wanted.product.trim().is_empty() || !(1..=100).contains(&wanted.qty) {
            return Err(Refusal::invalid_request("product must not be empty and qty must be from 1 to 100"));
        }
        let limit = wanted.price_limit.as_ref().filter(|limit| !limit.is_null()).map(json_amount).transpose()?;
        let subject = claims["sub"].as_str().unwrap_or_default().to_owned();
        let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).filter(|key| !key.is_empty());
        let key = key.map(|key| (subject.clone(), key.to_owned()));
        if let Some(earlier) = key.as_ref().and_then(|key| state.shop.answers.get(key)) {
            if earlier.order == wanted {
                return Ok(earlier.answer.clone());
            }
            return Err(Refusal::new(422, "idempotency_key_reused", "this key came with another order before"));
        }
        approved(&world, &claims, &wanted, limit)?;
        let jti = claims["jti"].as_str().unwrap_or_default();
        if state.shop.used.contains(jti) {
            return Err(forbidden("this approval was used for another order"));
        }
        let answer = state.shop.sell(&wanted, limit, &subject, now)?;
        state.shop.used.insert(jti.to_owned());
        if let Some(key) = key {
            state.shop.answers.insert(key, Remembered { order: wanted, answer: answer.clone() });
        }
        Ok(answer)
    });
    match result {
        Ok(answer) => json_answer(201, &answer),
        Err(refusal) => refusal.into_response(),
    }
}

/// The claims of a token that opens the shop, or why it does not (RFC 6750 §3.1, RFC 9068 §4).
fn admit(world: &World, now: Now, token: &str, one_of: &[&str]) -> Result<Value, Refusal> {
    let invalid = |why: &str| Refusal::bearer(401, "invalid_token", why, None);
    let claims = world.keys.verify(token).ok_or_else(|| invalid("the token is not signed by this issuer"))?;
    if claims["iss"] != *world.issuer {
        return Err(invalid("the token is another issuer's"));
    }
    let audience_fits = match &claims["aud"] {
        Value::Array(list) => list.iter().any(|aud| aud == SHOP_AUDIENCE),
        one => one == SHOP_AUDIENCE,
    };
    if !audience_fits {
        return Err(invalid("the token is for another audience"));
    }
    if claims["exp"].as_i64().is_none_or(|expires| expires <= now.wall.timestamp()) {
        return Err(invalid("the token has expired"));
    }
    let scope = claims["scope"].as_str().unwrap_or_default();
    if !scope.split(' ').any(|scope| one_of.contains(&scope)) {
        let needed = one_of.join(" ");
        return Err(Refusal::bearer(403, "insufficient_scope", "the token lacks the scope", Some(&needed)));
    }
    Ok(claims)
}

fn forbidden(why: &str) -> Refusal {
    Refusal::bearer(403, "insufficient_authorization", why, None)
}

/// Whether a person approved exactly this order.
fn approved(world: &World, claims: &Value, wanted: &Wanted, limit: Option<Decimal>) -> Result<(), Refusal> {
    let details = claims["authorization_details"].as_array();
    let details = details.ok_or_else(|| forbidden("the token holds no approval"))?;
    let approved = Purchase::among(world.preset, details);
    let approved = approved.ok_or_else(|| forbidden("the token holds no approval of a purchase"))?;
    if approved.places.is_some_and(|places| !places.iter().any(|place| same_origin(place, &world.origin))) {
        return Err(forbidden("the approval is for another shop"));
    }
    let approved_limit = approved.limit.as_ref().map(json_amount).transpose()?;
    if approved.product != wanted.product || approved.qty != u64::from(wanted.qty) || approved_limit != limit {
        return Err(forbidden("the order differs from what was approved"));
    }
    Ok(())
}

fn same_origin(location: &str, origin: &str) -> bool {
    match (url::Url::parse(location), url::Url::parse(origin)) {
        (Ok(location), Ok(origin)) => location.origin() == origin.origin(),
        _ => false,
    }
}

/// An amount of money in a query or a body: never negative, never a binary fraction.
fn amount(text: &str) -> Result<Decimal, Refusal> {
    let amount = text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(text)).ok();
    amount
        .filter(|amount| !amount.is_sign_negative())
        .ok_or_else(|| Refusal::invalid_request("an amount must be a number and not negative"))
}

fn json_amount(value: &Value) -> Result<Decimal, Refusal> {
    match value {
        Value::Number(number) => amount(&number.to_string()),
        Value::String(text) => amount(text),
        _ => Err(Refusal::invalid_request("an amount must be a number")),
    }
}

impl Shop {
    fn left(&self, product: &Product) -> u32 {
        product.stock.saturating_sub(self.sold.get(product.id).copied().unwrap_or(0))
    }

    /// Sells the cheapest product that fits and is there.
    fn sell(&mut self, wanted: &Wanted, limit: Option<Decimal>, buyer: &str, now: Now) -> Result<Value, Refusal> {
        let matching: Vec<&Product> = PRODUCTS.iter().filter(|product| product.matches(&wanted.product)).collect();
        if matching.is_empty() {
            return Err(Refusal::new(404, "no_such_product", "the shop has nothing of that name"));
        }
        let there = matching.into_iter().filter(|product| self.left(product) >= wanted.qty);
        let product = there.min_by_key(|product| product.price());
        let product = product.ok_or_else(|| Refusal::new(409, "out_of_stock", "there are not as many left"))?;
        let total = product.price() * Decimal::from(wanted.qty);
        if limit.is_some_and(|limit| total > limit) {
            let why = format!("the total would be {total} {CURRENCY}");
            return Err(Refusal::new(422, "price_limit_exceeded", why));
        }
        *self.sold.entry(product.id).or_default() += wanted.qty;
        let order = json!({
            "order_id": format!("ord_{}", 81 + self.orders.len()),
            "product": product.name,
            "product_id": product.id,
            "qty": wanted.qty,
            "unit_price": product.price().to_string(),
            "total": total.to_string(),
            "currency": CURRENCY,
            "status": "confirmed",
            "buyer": buyer,
            "created_at": now.wall,
        });
        self.orders.push(order.clone());
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::{
        Preset,
        testing::{Bench, error},
    };

    fn access(answer: &Value) -> String {
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn reader(bench: &Bench) -> String {
        let login = bench.login().await;
        let more = [("audience", "sample-shop-api"), ("scope", "product:read")];
        access(&bench.refresh(login["refresh_token"].as_str().unwrap(), &more).await.json())
    }

    #[tokio::test]
    async fn products_are_shown_to_readers() {
        let bench = Bench::new(Preset::Auth0).await;
        let token = reader(&bench).await;
        let ids = async |query: &str| {
            let list = bench.get(&format!("/shop/products{query}"), &token).await.json();
            list["products"]
                .as_array()
                .unwrap()
                .iter()
                .map(|product| product["id"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("").await.len(), 12);
        assert_eq!(ids("?query=phone&max_price=450").await, ["ph-1", "ph-2"]);
        assert_eq!(bench.get("/shop/products?max_price=-1", &token).await.error(), error(400, "invalid_request"));
        assert_eq!(bench.get("/shop/products?q=phone", &token).await.error(), error(400, "invalid_request"));
    }

    #[tokio::test]
    async fn the_door_is_narrow() {
        let bench = Bench::new(Preset::Auth0).await;
        let login = bench.login().await;
        let refused = bench.get("/shop/products", &access(&login)).await;
        assert_eq!(refused.error(), error(401, "invalid_token"), "the audience is another");
        assert!(refused.header("www-authenticate").starts_with("Bearer error=\"invalid_token\""));
        assert_eq!(bench.get("/shop/products", "nonsense").await.error(), error(401, "invalid_token"));
        let naked = bench
            .send(
                axum::http::Request::get("/shop/products")
                    .header("host", "127.0.0.1")
                    .body(axum::body::Body::empty())
                    .unwrap(),
            )
            .await;
        assert_eq!((naked.status, naked.header("www-authenticate")), (401, "Bearer"));

        let reader = reader(&bench).await;
        let body = json!({"product": "phones", "qty": 2, "priceLimit": 900});
        let refused = bench.order(&reader, "k", body.clone()).await;
        assert_eq!(refused.error(), error(403, "insufficient_scope"));
        assert!(refused.header("www-authenticate").contains("scope=\"product:buy\""));

        let approval = access(&bench.approval(&[]).await);
        assert_eq!(bench.get("/shop/products", &approval).await.error(), error(403, "insufficient_scope"));
        bench.wait(300);
        assert_eq!(bench.order(&approval, "k", body.clone()).await.error(), error(401, "invalid_token"), "expired");

        let naked = access(&bench.approval(&[("authorization_details", None)]).await);
        assert_eq!(bench.order(&naked, "k", body).await.error(), error(403, "insufficient_authorization"));
    }

    #[tokio::test]
    async fn only_what_was_approved_is_sold() {
        let bench = Bench::new(Preset::Auth0).await;
        let token = access(&bench.approval(&[]).await);
        for changed in [
            json!({"product": "phones", "qty": 3, "priceLimit": 900}),
            json!({"product": "laptops", "qty": 2, "priceLimit": 900}),
            json!({"product": "phones", "qty": 2, "priceLimit": 9000}),
            json!({"product": "phones", "qty": 2}),
        ] {
            let refused = bench.order(&token, "k", changed).await;
            assert_eq!(refused.error(), error(403, "insufficient_authorization"));
        }
        let unknown =
            bench.order(&token, "k", json!({"product": "phones", "qty": 2, "priceLimit": 900, "gift": true})).await;
        assert_eq!(unknown.error(), error(400, "invalid_request"));
        // The same amount in another form is the same amount.
        let bought = bench.order(&token, "k", json!({"product": "phones", "qty": 2, "priceLimit": "900.00"})).await;
        assert_eq!((bought.status, bought.json()["product"].as_str()), (201, Some("Finch Mini")), "the cheapest");
        let arguments = json!({"product": "phones", "qty": 2});
        let mut elsewhere = bench.details("purchase", &arguments);
        elsewhere[0]["properties"]["origin"]["value"] = json!("http://127.0.0.1:1");
        let token = access(&bench.approval(&[("authorization_details", Some(&elsewhere.to_string()))]).await);
        let refused = bench.order(&token, "k2", json!({"product": "phones", "qty": 2})).await;
        assert_eq!(refused.error(), error(403, "insufficient_authorization"), "another shop");
    }

    #[tokio::test]
    async fn an_approval_in_the_common_form_is_as_good() {
        let bench = Bench::new(Preset::Oidc).await;
        let token = access(&bench.approval(&[]).await);
        let refused = bench.order(&token, "k", json!({"product": "phones", "qty": 3, "priceLimit": 900})).await;
        assert_eq!(refused.error(), error(403, "insufficient_authorization"));
        let bought = bench.order(&token, "k", json!({"product": "phones", "qty": 2, "priceLimit": 900})).await;
        assert_eq!(bought.status, 201);
    }

    #[tokio::test]
    async fn an_order_happens_once() {
        let bench = Bench::new(Preset::Auth0).await;
        let token = access(&bench.approval(&[]).await);
        let body = json!({"product": "phones", "qty": 2, "priceLimit": 900});
        let first = bench.order(&token, "k", body.clone()).await;
        let again = bench.order(&token, "k", body.clone()).await;
        assert_eq!((again.status, again.json()), (201, first.json()));
        let other = bench.order(&token, "k", json!({"product": "phones", "qty": 1, "priceLimit": 900})).await;
        assert_eq!(other.error(), error(422, "idempotency_key_reused"));
        let second = bench.order(&token, "k2", body).await;
        assert_eq!(second.error(), error(403, "insufficient_authorization"), "one approval, one order");
        assert_eq!(bench.manage("GET /orders", Value::Null).await.json()["orders"].as_array().unwrap().len(), 1);
        let id = first.json()["order_id"].as_str().unwrap().to_owned();
        let reader = reader(&bench).await;
        assert_eq!(bench.get(&format!("/shop/orders/{id}"), &reader).await.json()["status"], "confirmed");
        assert_eq!(bench.get("/shop/orders/ord_1", &reader).await.error(), error(404, "not_found"));
    }

    #[tokio::test]
    async fn stock_price_and_name_are_checked() {
        let bench = Bench::new(Preset::Auth0).await;
        let buy = async |arguments: Value| {
            let approved = bench.details("purchase", &arguments).to_string();
            let token = access(&bench.approval(&[("authorization_details", Some(&approved))]).await);
            let mut body = json!({"product": arguments["product"], "qty": arguments["qty"]});
            if arguments["price_limit"].is_number() {
                body["priceLimit"] = arguments["price_limit"].clone();
            }
            bench.order(&token, &crate::dev::random::token(), body).await
        };
        assert_eq!(buy(json!({"product": "submarine", "qty": 1})).await.error(), error(404, "no_such_product"));
        assert_eq!(buy(json!({"product": "watch", "qty": 3})).await.error(), error(409, "out_of_stock"));
        assert_eq!(buy(json!({"product": "watch", "qty": 2})).await.status, 201);
        assert_eq!(buy(json!({"product": "watch", "qty": 1})).await.error(), error(409, "out_of_stock"));
        let dear = buy(json!({"product": "laptops", "qty": 3, "price_limit": 896.99})).await;
        assert_eq!(dear.error(), error(422, "price_limit_exceeded"));
        assert_eq!(buy(json!({"product": "laptops", "qty": 3, "price_limit": 897})).await.json()["total"], "897.00");
        assert_eq!(buy(json!({"product": "laptops", "qty": 101})).await.error(), error(400, "invalid_request"));
    }
}
