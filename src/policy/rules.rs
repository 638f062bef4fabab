//! Policy files: what the person and the administrator of a machine forbid, or want to be asked about.
//!
//! A policy can only tighten. There is no word in it that allows anything: of two files each one's denials, questions and
//! limits hold, so neither can loosen the other, nor what a manifest says. Where a rule cannot be judged, because an
//! argument was not given or is of another kind, it applies.

use std::{collections::BTreeMap, mem::discriminant, path::PathBuf, str::FromStr};

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

use super::{Action, Spend};
use crate::money::Money;

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// The machine's administrator.
    Admin,
    /// The person.
    User,
    /// A flag of this command.
    Flag,
}

impl Author {
    /// `admin policy`, `user policy` or `--max-spend`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Admin => "admin policy",
            Self::User => "user policy",
            Self::Flag => "--max-spend",
        }
    }
}

/// One policy file.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    /// Whose it is.
    pub author: Author,
    /// Where it lies.
    pub path: PathBuf,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// Its limits.
    pub max_spend: MaxSpend,
    /// The only origins that tools may reach; none for any.
    pub allowed_origins: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default)]
    max_spend: MaxSpend,
    #[serde(default)]
    allowed_origins: Option<Vec<String>>,
    #[serde(default, rename = "rule")]
    rules: Vec<Rule>,
}

/// `[max_spend]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxSpend {
    /// What one call may spend.
    pub per_call: Option<SpendLimit>,
    /// What all calls of one person may spend within 24 hours.
    pub per_day: Option<SpendLimit>,
}

/// One `[[rule]]`. It applies to a call that fits everything it names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is called where it is reported.
    pub name: String,
    /// Only to these tools.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Only to the tools of these toolsets.
    #[serde(default)]
    pub toolsets: Vec<String>,
    /// Only to these effects: `read`, `reversible`, `irreversible`.
    #[serde(default)]
    pub effects: Vec<Effect>,
    /// Only to requests that go to these origins.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Only if every one of these holds, by argument.
    #[serde(default)]
    pub when: BTreeMap<String, Condition>,
    /// What it does.
    pub decision: RuleDecision,
    /// For the person and the model.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What a rule can do. Both make things stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleDecision {
    /// The call does not run.
    Deny,
    /// The person is asked, also where the manifest asks nobody.
    RequireApproval,
}

/// An effect, as a rule names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// `read`.
    Read,
    /// `reversible`.
    Reversible,
    /// `irreversible`.
    Irreversible,
}

impl Effect {
    fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Reversible => "reversible",
            Self::Irreversible => "irreversible",
        }
    }
}

/// What is said about one argument; all of it must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// It is this. Texts are compared without regard to case.
    pub is: Option<Value>,
    /// It is something else than this, to the letter.
    pub is_not: Option<Value>,
    /// It is one of these. Texts are compared without regard to case.
    pub one_of: Option<Vec<Value>>,
    /// It is none of these, to the letter.
    pub not_one_of: Option<Vec<Value>>,
    /// It is a greater number.
    pub above: Option<Number>,
    /// It is this number or a greater one.
    pub at_least: Option<Number>,
    /// It is a smaller number.
    pub below: Option<Number>,
    /// It is this number or a smaller one.
    pub at_most: Option<Number>,
    /// It begins so, without regard to case.
    pub starts_with: Option<String>,
    /// It begins otherwise, to the letter.
    pub not_starts_with: Option<String>,
    /// Whether it was given at all.
    pub given: Option<bool>,
}

/// A number of a policy file, exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(Decimal);

/// The most that may be spent. Without a currency it holds in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendLimit {
    /// The amount.
    pub amount: Decimal,
    /// Its currency (ISO 4217).
    pub currency: Option<String>,
}

impl<'de> Deserialize<'de> for RuleDecision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "deny" => Ok(Self::Deny),
            "require_approval" => Ok(Self::RequireApproval),
            "allow" => Err(D::Error::custom(
                "a policy cannot allow anything, it only makes things stricter: write \"deny\" or \"require_approval\"",
            )),
            other => Err(D::Error::custom(format!(
                "{other:?} is not a decision; there are \"deny\" and \"require_approval\""
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        decimal(&value).map(Self).ok_or_else(|| D::Error::custom(format!("{value} is not a number")))
    }
}

impl<'de> Deserialize<'de> for SpendLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl FromStr for SpendLimit {
    type Err = String;

    /// `200`, or `200 EUR`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let amount = words.next().and_then(|word| Decimal::from_str(word).ok()).filter(|n| !n.is_sign_negative());
        let currency = words.next();
        let is_currency = |word: &str| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_uppercase());
        match (amount, currency, words.next()) {
            (Some(amount), None, _) => Ok(Self { amount, currency: None }),
            (Some(amount), Some(currency), None) if is_currency(currency) => {
                Ok(Self { amount, currency: Some(currency.to_owned()) })
            }
            (Some(_), Some(currency), None) if is_currency(&currency.to_uppercase()) => {
                Err(format!("a currency is written in upper case, as in \"200 {}\"", currency.to_uppercase()))
            }
            _ => Err(format!("{text:?} is not a limit; write an amount and a currency, such as \"200 EUR\"")),
        }
    }
}

impl std::fmt::Display for SpendLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.currency {
            Some(currency) => Money { amount: self.amount, currency: currency.clone() }.fmt(f),
            None => self.amount.fmt(f),
        }
    }
}

impl SpendLimit {
    /// Why a call is too much for it, if that much was `spent` before.
    ///
    /// # Errors
    /// The reason.
    pub fn allows(&self, spent: Decimal, spend: &Spend) -> Result<(), String> {
        let money = match spend {
            Spend::Nothing => return Ok(()),
            Spend::AnyPrice => return Err("it names no limit for its price".to_owned()),
            Spend::UpTo(money) => money,
        };
        if self.currency.as_ref().is_some_and(|currency| *currency != money.currency) {
            return Err(format!("it spends {}, and nobody can compare the two", money.currency));
        }
        match spent.checked_add(money.amount) {
            Some(sum) if sum <= self.amount => Ok(()),
            _ if spent.is_zero() => Err(format!("it may spend {money}")),
            _ => Err(format!("it may spend {money} more, after {}", Money { amount: spent, ..money.clone() })),
        }
    }
}

impl PolicyFile {
    /// Reads a policy file.
    ///
    /// # Errors
    /// What is wrong with it, with line and column.
    pub fn parse(author: Author, path: PathBuf, text: &str) -> Result<Self, toml::de::Error> {
        let form: Form = toml::from_str(text)?;
        let origin = |text: &String| -> Option<String> {
            let url = url::Url::parse(text).ok()?;
            (url.path() == "/" && url.query().is_none() && url.has_host()).then(|| url.origin().ascii_serialization())
        };
        let origins = |list: &[String]| -> Result<Vec<String>, toml::de::Error> {
            let not_one = |text: &String| toml::de::Error::custom(format!("{text:?} is not an origin"));
            list.iter().map(|text| origin(text).ok_or_else(|| not_one(text))).collect()
        };
        let mut rules = form.rules;
        for rule in &mut rules {
            rule.origins = origins(&rule.origins)?;
            if rule.name.trim().is_empty() {
                return Err(toml::de::Error::custom("a rule has no name"));
            }
        }
        let allowed_origins = form.allowed_origins.as_deref().map(origins).transpose()?;
        Ok(Self { author, path, rules, max_spend: form.max_spend, allowed_origins })
    }
}

impl Rule {
    /// Whether it speaks about this action.
    #[must_use]
    pub fn applies(&self, action: &Action) -> bool {
        self.may_apply(&action.tool, &action.toolset, action.effect, Some(&action.origin))
            && self.when.iter().all(|(name, condition)| condition.holds(name, &action.arguments))
    }

    /// Whether it speaks about some action of such a tool, whatever its arguments are.
    #[must_use]
    pub fn may_apply(&self, tool: &str, toolset: &str, effect: &str, origin: Option<&str>) -> bool {
        let among = |list: &[String], word: &str| list.is_empty() || list.iter().any(|known| known == word);
        among(&self.tools, tool)
            && among(&self.toolsets, toolset)
            && (self.origins.is_empty() || origin.is_some_and(|origin| among(&self.origins, origin)))
            && (self.effects.is_empty() || self.effects.iter().any(|known| known.word() == effect))
    }
}

impl Condition {
    fn holds(&self, name: &str, arguments: &Map<String, Value>) -> bool {
        let value = arguments.get(name);
        if self.given.is_some_and(|given| given != value.is_some()) {
            return false;
        }
        // What was not given may be anything at the other end, and lists and objects are not taken apart here.
        let Some(value) = value.filter(|value| !value.is_array() && !value.is_object()) else { return true };
        let compared = |limit: &Option<Number>, fits: fn(Decimal, Decimal) -> bool| {
            // So may be what is no number, or one too long to compare.
            limit.is_none_or(|Number(limit)| decimal(value).is_none_or(|number| fits(number, limit)))
        };
        let begins = |start: &str, exact: bool| match value.as_str() {
            Some(text) if exact => text.starts_with(start),
            Some(text) => text.trim_start().to_lowercase().starts_with(&start.to_lowercase()),
            None => !exact,
        };
        self.is.as_ref().is_none_or(|wanted| same(wanted, value, false))
            && self.is_not.as_ref().is_none_or(|wanted| !same(wanted, value, true))
            && self.one_of.as_ref().is_none_or(|list| list.iter().any(|wanted| same(wanted, value, false)))
            && self.not_one_of.as_ref().is_none_or(|list| !list.iter().any(|wanted| same(wanted, value, true)))
            && compared(&self.above, |number, limit| number > limit)
            && compared(&self.at_least, |number, limit| number >= limit)
            && compared(&self.below, |number, limit| number < limit)
            && compared(&self.at_most, |number, limit| number <= limit)
            && self.starts_with.as_ref().is_none_or(|start| begins(start, false))
            && self.not_starts_with.as_ref().is_none_or(|start| !begins(start, true))
    }
}

/// Whether two values are the same: numbers by value, texts to the letter. Where that would make a rule miss its case (not
/// `exact`), texts are compared without regard to case and outer blanks, and values of two kinds count as the same.
fn same(one: &Value, other: &Value, exact: bool) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) if !exact => {
            one.trim().to_lowercase() == other.trim().to_lowercase()
        }
        (Value::Number(_), Value::Number(_)) => match (decimal(one), decimal(other)) {
            (Some(one), Some(other)) => one == other,
            _ => one == other,
        },
        _ if discriminant(one) != discriminant(other) => !exact,
        _ => one == other,
    }
}

fn decimal(value: &Value) -> Option<Decimal> {
    let Value::Number(number) = value else { return None };
    let text = number.to_string();
    Decimal::from_str(&text).or_else(|_| Decimal::from_scientific(&text)).ok()
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
