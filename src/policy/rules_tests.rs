use serde_json::json;

use super::*;
use crate::policy::tests::buy;

fn action(arguments: Value) -> Action {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    Action { arguments, ..buy() }
}

fn parse(text: &str) -> Result<PolicyFile, String> {
    PolicyFile::parse(Author::User, "policy.toml".into(), text).map_err(|error| error.to_string())
}

fn applies(rule: &str, arguments: Value) -> bool {
    let file = parse(&format!("[[rule]]\nname = \"r\"\ndecision = \"deny\"\n{rule}")).unwrap();
    file.rules[0].applies(&action(arguments))
}

#[test]
fn a_rule_applies_to_what_it_names() {
    for (rule, expected) in [
        ("", true),
        ("tools = [\"buy_product\"]", true),
        ("tools = [\"sell\", \"buy_product\"]", true),
        ("tools = [\"sell\"]", false),
        ("toolsets = [\"shop\"]", true),
        ("toolsets = [\"okta\"]", false),
        ("effects = [\"irreversible\"]", true),
        ("effects = [\"read\", \"reversible\"]", false),
        ("origins = [\"https://shop.example/\"]", true),
        ("origins = [\"https://shop.example:444\"]", false),
        ("tools = [\"buy_product\"]\ntoolsets = [\"okta\"]", false),
    ] {
        assert_eq!(applies(rule, json!({})), expected, "{rule}");
    }
}

#[test]
fn conditions_are_exact_and_typed() {
    for (condition, value, expected) in [
        ("above = 10", json!(11), true),
        ("above = 10", json!(10), false),
        ("above = 10", json!(10.000_000_1), true),
        ("at_least = 10", json!(10), true),
        ("below = 10", json!(9.99), true),
        ("below = 10", json!(10), false),
        ("at_most = 0.3", json!(0.3), true),
        ("above = 1, below = 5", json!(3), true),
        ("above = 1, below = 5", json!(7), false),
        ("is = 900", json!(900.0), true),
        ("is = \"weapon\"", json!(" Weapon "), true),
        ("is = \"weapon\"", json!("tea"), false),
        ("is_not = \"tea\"", json!("Tea"), true),
        ("is_not = \"tea\"", json!("tea"), false),
        ("one_of = [\"a\", \"b\"]", json!("B"), true),
        ("one_of = [\"a\", \"b\"]", json!("c"), false),
        ("not_one_of = [\"tea\", \"milk\"]", json!("milk"), false),
        ("not_one_of = [\"tea\", \"milk\"]", json!("MILK"), true),
        ("starts_with = \"prod-\"", json!("PROD-1"), true),
        ("not_starts_with = \"test-\"", json!("test-1"), false),
        ("not_starts_with = \"test-\"", json!("Test-1"), true),
        ("given = true", json!(1), true),
        ("given = false", json!(1), false),
    ] {
        let rule = format!("when = {{ x = {{ {condition} }} }}");
        assert_eq!(applies(&rule, json!({ "x": value })), expected, "{condition} {value}");
    }
}

/// What cannot be judged makes the rule apply: a denial must not be missed because of how the model wrote it.
#[test]
fn what_cannot_be_judged_counts_against_the_call() {
    for condition in
        ["above = 10", "is = 3", "is_not = 3", "one_of = [3]", "starts_with = \"a\"", "not_starts_with = \"a\""]
    {
        let rule = format!("when = {{ x = {{ {condition} }} }}");
        for value in [json!(["3"]), json!({"a": 3}), json!(true)] {
            assert!(applies(&rule, json!({ "x": value })), "{condition} {value}");
        }
        assert!(applies(&rule, json!({})), "{condition}");
        assert!(!applies(&format!("when = {{ x = {{ {condition}, given = true }} }}"), json!({})), "{condition}");
    }
    assert!(applies("when = { x = { above = 10 } }", json!({"x": "11"})));
    assert!(applies("when = { x = { above = 10 } }", json!({"x": 1e300})));
    assert!(applies("when = { x = { is = \"3\" } }", json!({"x": 3})));
}

#[test]
fn mistakes_are_found_when_the_file_is_read() {
    let rule = |text: &str| format!("[[rule]]\nname = \"r\"\n{text}");
    for (text, expected) in [
        (rule("decision = \"allow\""), "cannot allow anything"),
        (rule("decision = \"denny\""), "is not a decision"),
        (rule("tools = [\"a\"]"), "missing field `decision`"),
        (rule("decision = \"deny\"\ntool = [\"a\"]"), "unknown field `tool`"),
        (rule("decision = \"deny\"\nwhen = { x = { abov = 1 } }"), "unknown field `abov`"),
        (rule("decision = \"deny\"\nwhen = { x = { above = \"ten\" } }"), "is not a number"),
        (rule("decision = \"deny\"\neffects = [\"write\"]"), "unknown variant"),
        (rule("decision = \"deny\"\norigins = [\"https://shop.example/orders\"]"), "is not an origin"),
        ("[[rule]]\nname = \" \"\ndecision = \"deny\"".to_owned(), "has no name"),
        ("[max_spend]\nper_call = \"many\"".to_owned(), "is not a limit"),
        ("[max_spend]\nper_call = \"-1 EUR\"".to_owned(), "is not a limit"),
        ("[max_spend]\nper_call = \"1 euro\"".to_owned(), "is not a limit"),
        ("[max_spend]\nper_call = \"1 eur\"".to_owned(), "upper case"),
        ("[max_spend]\nper_week = \"1 EUR\"".to_owned(), "unknown field `per_week`"),
        ("allowed_origins = [\"shop.example\"]".to_owned(), "is not an origin"),
        ("alowed_origins = []".to_owned(), "unknown field `alowed_origins`"),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.contains(expected), "{text}\n-> {error}");
    }
}

#[test]
fn limits_count_what_was_spent_before() {
    let up_to = |amount: &str, currency: &str| {
        Spend::UpTo(Money { amount: amount.parse().unwrap(), currency: currency.to_owned() })
    };
    let limit: SpendLimit = "500 EUR".parse().unwrap();
    assert_eq!(limit.to_string(), "500.00 EUR");
    let spent: Decimal = "499.90".parse().unwrap();
    assert!(limit.allows(Decimal::ZERO, &up_to("500", "EUR")).is_ok());
    assert!(limit.allows(Decimal::ZERO, &up_to("500.01", "EUR")).unwrap_err().contains("500.01 EUR"));
    assert!(limit.allows(spent, &up_to("0.1", "EUR")).is_ok());
    assert!(limit.allows(spent, &up_to("0.11", "EUR")).unwrap_err().contains("after 499.90 EUR"));
    assert!(limit.allows(Decimal::ZERO, &up_to("1", "USD")).unwrap_err().contains("USD"));
    assert!(limit.allows(Decimal::ZERO, &Spend::AnyPrice).is_err());
    assert!(limit.allows(spent, &Spend::Nothing).is_ok());
    assert!(limit.allows(Decimal::MAX, &up_to("1", "EUR")).is_err());
    let any: SpendLimit = "10".parse().unwrap();
    assert!(any.allows(Decimal::ZERO, &up_to("10", "JPY")).is_ok());
}
