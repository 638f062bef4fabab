//! A few rules that turn free text into calls of the tools that are offered, and their answers into a sentence.
//!
//! It is no language model and says so. Everything it knows is in the request: the last prompt, the tools with their
//! schemas, and what the tools have answered since. A refusal is passed on in one sentence and never tried again.

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::{
    Call, Reply,
    directory::{self, Directory},
    intent::{self, Intent, Item},
    text::{in_words, message_text},
};

/// Enough for every test of speed.
const MAX_WORDS: usize = 20_000;

/// The answer to a conversation.
pub(super) fn reply(messages: &[Value], tools: &[Value]) -> Reply {
    match plan(messages, tools) {
        Plan::Say(text) => Reply::saying(in_words(&text)),
        Plan::Words(count) => Reply::saying(filler(count.min(MAX_WORDS))),
        Plan::Call(calls) => Reply::calling(
            calls
                .into_iter()
                .map(|(name, arguments)| Call { id: None, name, arguments: vec![Value::Object(arguments).to_string()] })
                .collect(),
        ),
    }
}

#[derive(Debug, PartialEq)]
enum Plan {
    Say(String),
    Words(usize),
    Call(Vec<(String, Map<String, Value>)>),
}

/// A tool call of this turn and what it brought.
pub(super) struct Exchange<'a> {
    pub(super) name: &'a str,
    pub(super) arguments: Value,
    pub(super) answer: Value,
}

impl Exchange<'_> {
    pub(super) fn outcome(&self) -> &str {
        self.answer["outcome"].as_str().unwrap_or_default()
    }

    pub(super) fn message(&self) -> &str {
        self.answer["message"].as_str().unwrap_or_default().trim().trim_end_matches('.')
    }
}

fn plan(messages: &[Value], tools: &[Value]) -> Plan {
    let offered = Offered::among(tools);
    let Some(at) = messages.iter().rposition(|message| message["role"] == "user") else {
        return Plan::Say(offered.help());
    };
    let prompt = message_text(&messages[at]);
    let intent = intent::read(&prompt);
    let done = exchanges(&messages[at + 1..]);
    let Some(last) = done.last() else { return first_step(&offered, intent, &prompt, tools) };
    let purchases: Vec<&Exchange> =
        done.iter().filter(|one| offered.buy.as_ref().is_some_and(|buy| buy.name == one.name)).collect();
    let searches: Vec<&Exchange> =
        done.iter().filter(|one| offered.search.as_ref().is_some_and(|search| search.name == one.name)).collect();
    match intent {
        Intent::Buy(items) if !purchases.is_empty() => {
            let limit = items.iter().find_map(|item| item.limit);
            let told = purchases.iter().map(|one| report_purchase(one, offered.buy.as_ref(), limit));
            Plan::Say(told.collect::<Vec<_>>().join(" "))
        }
        Intent::Buy(items) if !searches.is_empty() => buy_found(&offered, &items, &searches),
        Intent::Search { query, max_price } if !searches.is_empty() => {
            Plan::Say(list(searches[0], query.as_deref(), max_price))
        }
        Intent::Directory(task) => Plan::Say(directory::report(&task, last)),
        _ => Plan::Say(report_any(last)),
    }
}

fn exchanges(messages: &[Value]) -> Vec<Exchange<'_>> {
    let calls = messages.iter().flat_map(|message| message["tool_calls"].as_array().into_iter().flatten());
    let exchange = |call: &'_ Value| {
        let answer =
            messages.iter().find(|message| message["role"] == "tool" && message["tool_call_id"] == call["id"])?;
        Some((message_text(answer), call["function"]["arguments"].as_str().unwrap_or("{}").to_owned()))
    };
    calls
        .filter_map(|call| {
            let (answer, arguments) = exchange(call)?;
            Some(Exchange {
                name: call["function"]["name"].as_str().unwrap_or_default(),
                arguments: serde_json::from_str(&arguments).unwrap_or_default(),
                answer: serde_json::from_str(&answer).unwrap_or_default(),
            })
        })
        .collect()
}

fn first_step(offered: &Offered, intent: Intent, prompt: &str, tools: &[Value]) -> Plan {
    match intent {
        Intent::Words(count) => Plan::Words(count),
        Intent::Beyond(why) => Plan::Say(format!("I cannot {why}, so I did nothing. {}", offered.help())),
        Intent::BuyHowMany(product) if offered.buy.is_some() => {
            Plan::Say(format!("How many {product}? Say for example: \"buy 2 {product}\"."))
        }
        Intent::Buy(items) => {
            let Some(buy) = &offered.buy else {
                return Plan::Say(format!("No tool for buying is offered to me. {}", offered.help()));
            };
            // Without a place for the limit in the tool that buys, the limit has to be checked against the catalogue.
            let look = |item: &Item| item.cheap || (item.limit.is_some() && buy.limit.is_none());
            if items.iter().any(look) {
                let Some(search) = &offered.search else {
                    return Plan::Say(
                        "That needs a look at the prices first, and no tool for searching is offered to me, so I did nothing."
                            .to_owned(),
                    );
                };
                let looked = items.iter().filter(|item| look(item));
                return Plan::Call(looked.map(|item| search.call(Some(&item.product), item.limit)).collect());
            }
            calls_or_excuse(items.iter().map(|item| buy.call(&item.product, item.qty, item.limit)))
        }
        Intent::Search { query, max_price } => match &offered.search {
            Some(search) => Plan::Call(vec![search.call(query.as_deref(), max_price)]),
            None => Plan::Say(format!("No tool for searching is offered to me. {}", offered.help())),
        },
        Intent::Directory(task) => match offered.directory.call(&task) {
            Some(call) => Plan::Call(vec![call]),
            None => Plan::Say(format!("No tool for that is offered to me. {}", offered.help())),
        },
        Intent::BuyHowMany(_) | Intent::Other => match named_tool(prompt, tools) {
            Some(name) => Plan::Call(vec![(name, Map::new())]),
            None => Plan::Say(offered.help()),
        },
    }
}

fn calls_or_excuse(calls: impl Iterator<Item = Result<(String, Map<String, Value>), String>>) -> Plan {
    match calls.collect() {
        Ok(calls) => Plan::Call(calls),
        Err(why) => Plan::Say(format!("{why} I did nothing.")),
    }
}

/// A tool that needs no arguments, if all the words of its name were said: "list my groups" calls `list_my_groups`.
fn named_tool(prompt: &str, tools: &[Value]) -> Option<String> {
    let prompt = prompt.to_lowercase();
    let said: Vec<&str> = prompt.split(|c: char| !c.is_alphanumeric()).collect();
    let named = tools.iter().find(|tool| {
        let name = tool["function"]["name"].as_str().unwrap_or_default();
        let needs = tool["function"]["parameters"]["required"].as_array().is_some_and(|required| !required.is_empty());
        !needs && name.contains('_') && name.split('_').all(|word| said.contains(&word))
    })?;
    named["function"]["name"].as_str().map(str::to_owned)
}

/// What is offered, recognised by the names and types in the schemas.
struct Offered<'a> {
    buy: Option<Buy<'a>>,
    search: Option<Search<'a>>,
    directory: Directory<'a>,
}

struct Buy<'a> {
    name: &'a str,
    product: &'a str,
    qty: &'a str,
    limit: Option<&'a str>,
    needs_limit: bool,
    most: Option<u64>,
}

struct Search<'a> {
    name: &'a str,
    query: Option<&'a str>,
    max_price: Option<&'a str>,
}

impl<'a> Offered<'a> {
    fn among(tools: &'a [Value]) -> Self {
        Self {
            buy: tools.iter().find_map(Buy::from_tool),
            search: tools.iter().find_map(Search::from_tool),
            directory: Directory::among(tools),
        }
    }

    fn help(&self) -> String {
        let examples: &[&str] = match (&self.buy, &self.search) {
            (Some(_), Some(_)) => &["buy 2 phones", "buy 3 cheap laptops under 900", "what phones are there"],
            (Some(_), None) => &["buy 2 phones"],
            (None, Some(_)) => &["what phones are there", "show laptops under 900"],
            (None, None) => &[],
        };
        let examples = examples.iter().copied().chain(self.directory.examples());
        let quoted: Vec<String> = examples.map(|example| format!("\"{example}\"")).collect();
        let tail = match quoted.as_slice() {
            [] => "No tool that I can use is offered to me.".to_owned(),
            [only] => format!("Try: {only}."),
            [first @ .., last] => format!("Try: {} or {last}.", first.join(", ")),
        };
        format!("I am the small planner of the dev tenant, not a language model. {tail}")
    }
}

/// The first of `names` that is a parameter of this type.
pub(super) fn parameter<'a>(tool: &'a Value, names: &[&'static str], types: &[&str]) -> Option<&'a str> {
    let properties = tool["function"]["parameters"]["properties"].as_object()?;
    let of_type = |schema: &Value| schema["type"].as_str().is_none_or(|kind| types.contains(&kind));
    let name = names.iter().find(|name| properties.get(**name).is_some_and(of_type))?;
    properties.get_key_value(*name).map(|(name, _)| name.as_str())
}

/// The tool's name, if it is one of the words and all parameters it insists on are among `known`.
pub(super) fn usable<'a>(tool: &'a Value, words: &[&str], known: &[Option<&str>]) -> Option<&'a str> {
    let name = tool["function"]["name"].as_str()?;
    let required = tool["function"]["parameters"]["required"].as_array();
    let fits = required.into_iter().flatten().all(|name| known.contains(&name.as_str()));
    (fits && name.split(['_', '-']).any(|word| words.contains(&word))).then_some(name)
}

impl<'a> Buy<'a> {
    fn from_tool(tool: &'a Value) -> Option<Self> {
        let product = parameter(tool, &["product", "item", "product_name", "name", "sku"], &["string"])?;
        let qty = parameter(tool, &["qty", "quantity", "count", "amount"], &["integer", "number"])?;
        let limit = parameter(tool, &["price_limit", "priceLimit", "max_total", "limit"], &["number"]);
        let schema = &tool["function"]["parameters"];
        let required = schema["required"].as_array();
        Some(Self {
            name: usable(tool, &["buy", "order", "purchase"], &[Some(product), Some(qty), limit])?,
            product,
            qty,
            limit,
            needs_limit: limit.is_some_and(|limit| required.is_some_and(|names| names.contains(&json!(limit)))),
            most: schema["properties"][qty]["maximum"].as_u64(),
        })
    }

    fn call(&self, product: &str, qty: u64, limit: Option<Decimal>) -> Result<(String, Map<String, Value>), String> {
        if let Some(most) = self.most.filter(|most| qty > *most) {
            return Err(format!("The tool {} takes at most {most} at once.", self.name));
        }
        if self.needs_limit && limit.is_none() {
            return Err(format!("The tool {} needs a price limit: add for example \"under 900\".", self.name));
        }
        let mut arguments = Map::new();
        arguments.insert(self.product.to_owned(), json!(product));
        arguments.insert(self.qty.to_owned(), json!(qty));
        if let (Some(name), Some(limit)) = (self.limit, limit) {
            arguments.insert(name.to_owned(), number(limit));
        }
        Ok((self.name.to_owned(), arguments))
    }
}

impl<'a> Search<'a> {
    fn from_tool(tool: &'a Value) -> Option<Self> {
        let query = parameter(tool, &["query", "q", "search", "text"], &["string"]);
        let max_price = parameter(tool, &["max_price", "maxPrice", "price_max"], &["number"]);
        let name = usable(tool, &["search", "list", "find"], &[query, max_price])?;
        name.contains("product").then_some(Self { name, query, max_price })
    }

    fn call(&self, query: Option<&str>, max_price: Option<Decimal>) -> (String, Map<String, Value>) {
        let mut arguments = Map::new();
        if let (Some(name), Some(query)) = (self.query, query) {
            arguments.insert(name.to_owned(), json!(query));
        }
        if let (Some(name), Some(max_price)) = (self.max_price, max_price) {
            arguments.insert(name.to_owned(), number(max_price));
        }
        (self.name.to_owned(), arguments)
    }
}

/// An amount as JSON: 900 stays 900, and 898.5 is written as it was said.
fn number(amount: Decimal) -> Value {
    amount.normalize().to_string().parse::<serde_json::Number>().map_or(Value::Null, Value::Number)
}

struct Product {
    name: String,
    price: Decimal,
    currency: String,
    stock: Option<u64>,
}

/// The products in the answer of a search, cheapest first.
fn products(search: &Exchange) -> Vec<Product> {
    let read = |product: &Value| {
        Some(Product {
            name: product["name"].as_str()?.to_owned(),
            price: decimal(&product["price"])?,
            currency: product["currency"].as_str().unwrap_or("EUR").to_owned(),
            stock: product["stock"].as_u64(),
        })
    };
    let listed = search.answer["result"]["products"].as_array().into_iter().flatten();
    let mut products: Vec<Product> = listed.filter_map(read).collect();
    products.sort_by_key(|product| product.price);
    products
}

fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

fn list(search: &Exchange, query: Option<&str>, max_price: Option<Decimal>) -> String {
    if search.outcome() != "done" {
        return report_any(search);
    }
    let what = query.unwrap_or("products");
    let upto = max_price.map(|most| format!(" at up to {most}")).unwrap_or_default();
    let all = products(search);
    let products: Vec<&Product> = all.iter().filter(|one| max_price.is_none_or(|most| one.price <= most)).collect();
    if products.is_empty() {
        return format!("I found no {what}{upto}.");
    }
    let line = |product: &&Product| {
        let stock = match product.stock {
            Some(0) => ", sold out".to_owned(),
            Some(stock) => format!(", {stock} in stock"),
            None => String::new(),
        };
        format!("\n- {}: {:.2} {}{stock}", product.name, product.price, product.currency)
    };
    format!("There are {} {what}{upto}:{}", products.len(), products.iter().map(line).collect::<String>())
}

/// The second step of "buy 3 cheap laptops under 900": the cheapest that is in stock, if the whole order fits the limit.
fn buy_found(offered: &Offered, items: &[Item], searches: &[&Exchange]) -> Plan {
    let Some(buy) = &offered.buy else { return Plan::Say(offered.help()) };
    let mut searches = searches.iter();
    let mut calls = Vec::new();
    for item in items {
        if !item.cheap && (item.limit.is_none() || buy.limit.is_some()) {
            calls.push(buy.call(&item.product, item.qty, item.limit));
            continue;
        }
        let Some(search) = searches.next() else { return Plan::Say(offered.help()) };
        if search.outcome() != "done" {
            return Plan::Say(report_any(search));
        }
        match cheapest(item, products(search)) {
            Ok(product) => calls.push(buy.call(&product.name, item.qty, item.limit)),
            Err(why) => return Plan::Say(format!("{why} I did not buy anything.")),
        }
    }
    calls_or_excuse(calls.into_iter())
}

fn cheapest(item: &Item, products: Vec<Product>) -> Result<Product, String> {
    let (product, qty) = (&item.product, item.qty);
    let upto = item.limit.map(|most| format!(" at up to {most}")).unwrap_or_default();
    let found = products.len();
    let stocked = products.into_iter().find(|one| one.stock.is_none_or(|stock| stock >= qty));
    let Some(best) = stocked else {
        return Err(match found {
            0 => format!("I found no {product}{upto}."),
            _ => format!("Of the {found} {product} that I found{upto}, none has {qty} in stock."),
        });
    };
    let total = best.price * Decimal::from(qty);
    match item.limit {
        Some(limit) if total > limit => Err(format!(
            "The cheapest, {} at {:.2} {}, comes to {total:.2} {} for {qty}, above your limit of {limit} for the whole order.",
            best.name, best.price, best.currency, best.currency,
        )),
        _ => Ok(best),
    }
}

fn report_purchase(purchase: &Exchange, buy: Option<&Buy>, limit: Option<Decimal>) -> String {
    let message = purchase.message();
    match purchase.outcome() {
        "done" => {
            let result = &purchase.answer["result"];
            let order = if result["order"].is_object() { &result["order"] } else { result };
            let field = |names: &[&str]| names.iter().map(|name| &order[*name]).find(|value| !value.is_null());
            let (product, qty) = buy.map_or((None, None), |buy| {
                (purchase.arguments[buy.product].as_str(), purchase.arguments[buy.qty].as_u64())
            });
            let mut text = format!("Ordered {} x {}", qty.unwrap_or(1), product.unwrap_or("it"));
            if let Some(total) = field(&["total", "total_price", "amount"]).and_then(decimal) {
                let currency = field(&["currency"]).and_then(Value::as_str).unwrap_or("EUR");
                text.push_str(&format!(" for {total:.2} {currency}"));
            }
            if let Some(id) = field(&["id", "order_id", "orderId"]).and_then(Value::as_str) {
                text.push_str(&format!(" (order {id})"));
            }
            text.push('.');
            if let Some(limit) = limit {
                text.push_str(&format!(" I took {limit} as the limit for the whole order."));
            }
            text
        }
        "rehearsed" => sentence("This is a dry run, so nothing was ordered", message),
        "denied" => "The purchase was denied, so nothing was ordered.".to_owned(),
        "expired" => "Nobody answered the approval in time, so nothing was ordered.".to_owned(),
        "pending" => "The purchase still waits for approval; nothing has been ordered yet.".to_owned(),
        "cancelled" => "The purchase was cancelled, so nothing was ordered.".to_owned(),
        "not_permitted" => sentence("You are not permitted to buy this, so nothing was ordered", message),
        "failed" | "invalid" | "limit" | "connection_needed" | "login_needed" => {
            sentence("The purchase did not go through, and nothing was ordered", message)
        }
        "unknown" => {
            sentence("I do not know whether the order was placed; look at your orders before you try again", message)
        }
        _ => "The tool's answer means nothing to me, so I do not know whether anything was ordered.".to_owned(),
    }
}

pub(super) fn sentence(what: &str, message: &str) -> String {
    if message.is_empty() { format!("{what}.") } else { format!("{what}: {message}.") }
}

fn report_any(exchange: &Exchange) -> String {
    let (name, message) = (exchange.name, exchange.message());
    match exchange.outcome() {
        "rehearsed" => sentence(&format!("This is a dry run, so {name} was not done"), message),
        "done" => match &exchange.answer["result"] {
            Value::Null => sentence(&format!("{name} is done"), message),
            result => format!("{name} answered: {result}"),
        },
        "" => format!("What {name} answered means nothing to me."),
        outcome => sentence(&format!("{name} was not done ({})", outcome.replace('_', " ")), message),
    }
}

fn filler(count: usize) -> Vec<String> {
    const WORDS: &[&str] = &["one", "small", "word", "after", "another", "comes", "quickly"];
    let word = |at: usize| format!("{}{}", WORDS[at % WORDS.len()], if at + 1 == count { "" } else { " " });
    (0..count).map(word).collect()
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
