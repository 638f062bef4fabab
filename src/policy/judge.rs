//! What all policies of this machine together say about one action.

use rust_decimal::Decimal;
use serde::Serialize;

use super::{
    Action, Approval, TokenWanted,
    rules::{Author, PolicyFile, RuleDecision, SpendLimit},
};
use crate::call::Outcome;

/// The policies that hold, in no order: each can only tighten.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The files.
    pub files: Vec<PolicyFile>,
    /// What this run may spend, by `--max-spend`; each of them holds.
    pub per_run: Vec<SpendLimit>,
}

/// A rule or a limit that speaks about an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Whose it is.
    pub author: Author,
    /// The rule's name, or `allowed_origins`, `max_spend.per_call`, `max_spend.per_day`, `max_spend.per_run`.
    pub rule: String,
    /// What it does.
    pub decision: RuleDecision,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How a call ends that it denies.
    #[serde(skip)]
    pub outcome: Outcome,
}

impl Applied {
    /// One sentence for the model and the person.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { author, rule, reason, .. } = self;
        let verb = match self.decision {
            RuleDecision::Deny => "denies it",
            RuleDecision::RequireApproval => "wants the user to be asked",
        };
        let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{} `{rule}` {verb}{reason}", author.words())
    }
}

/// What was spent before, in the currency of the action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// By this person within the last 24 hours.
    pub per_day: Decimal,
    /// In this run.
    pub per_run: Decimal,
}

impl Policy {
    /// Every rule that applies, and every limit that the action breaks.
    #[must_use]
    pub fn judge(&self, action: &Action) -> Vec<Applied> {
        let mut applied = Vec::new();
        for file in &self.files {
            let deny = |rule: &str, reason: String, outcome| Applied {
                author: file.author,
                rule: rule.to_owned(),
                decision: RuleDecision::Deny,
                reason: Some(reason),
                outcome,
            };
            for rule in file.rules.iter().filter(|rule| rule.applies(action)) {
                applied.push(Applied {
                    author: file.author,
                    rule: rule.name.clone(),
                    decision: rule.decision,
                    reason: rule.reason.clone(),
                    outcome: Outcome::NotPermitted,
                });
            }
            if file.allowed_origins.as_ref().is_some_and(|origins| !origins.contains(&action.origin)) {
                let reason = format!("{} is not among the origins that it names", action.origin);
                applied.push(deny("allowed_origins", reason, Outcome::NotPermitted));
            }
            if let Some(limit) = &file.max_spend.per_call
                && let Err(why) = limit.allows(Decimal::ZERO, &action.requirements.spend)
            {
                applied.push(deny("max_spend.per_call", over(limit, &why), Outcome::Limit));
            }
        }
        applied
    }

    /// Why an action is too much after what was spent before, if it is.
    #[must_use]
    pub fn over(&self, action: &Action, spent: Spent) -> Option<Applied> {
        let spend = &action.requirements.spend;
        let per_day = self.files.iter().filter_map(|file| {
            let limit = file.max_spend.per_day.as_ref()?;
            Some((file.author, "max_spend.per_day", limit, spent.per_day))
        });
        let per_run = self.per_run.iter().map(|limit| (Author::Flag, "max_spend.per_run", limit, spent.per_run));
        per_day.chain(per_run).find_map(|(author, rule, limit, spent)| {
            let why = limit.allows(spent, spend).err()?;
            Some(Applied {
                author,
                rule: rule.to_owned(),
                decision: RuleDecision::Deny,
                reason: Some(over(limit, &why)),
                outcome: Outcome::Limit,
            })
        })
    }
}

/// The first that denies. A refusal that is final for policy goes before one for a limit.
#[must_use]
pub fn denial(applied: &[Applied]) -> Option<&Applied> {
    let denials = || applied.iter().filter(|applied| applied.decision == RuleDecision::Deny);
    denials().find(|applied| applied.outcome == Outcome::NotPermitted).or_else(|| denials().next())
}

/// The approval that an action needs: its own, or one that a rule demands.
#[must_use]
pub fn approval(action: &Action, applied: &[Applied]) -> Option<Approval> {
    let asks = applied.iter().any(|applied| applied.decision == RuleDecision::RequireApproval);
    action.requirements.approval.clone().or_else(|| asks.then(|| demanded(action)))
}

/// What the person is asked where the manifest has no words for it: the tool, and every argument with its name, amounts
/// first. Arguments come in any order and some are optional, so without the names two calls could have one message.
fn demanded(action: &Action) -> Approval {
    let plain = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut arguments: Vec<_> = action.arguments.iter().collect();
    arguments.sort_by_key(|(name, value)| (value.is_string(), name.as_str()));
    let pairs = arguments.iter().flat_map(|(name, value)| [(*name).clone(), plain(value)]);
    let words: Vec<String> = std::iter::once(action.tool.to_uppercase()).chain(pairs).collect();
    // A separator inside a word could make two calls look the same; after the last word nothing is separated any more.
    let last = words.len() - 1;
    Approval {
        message_is_complete: !words[..last].iter().any(|word| word.contains('-')),
        message: words.join("-"),
        expires_in: 300,
        details: None,
        target: TokenWanted::default(),
    }
}

fn over(limit: &SpendLimit, why: &str) -> String {
    format!("it allows {limit}, and {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        money::Money,
        policy::{Spend, tests::buy},
    };

    fn policy(admin: &str, user: &str) -> Policy {
        let file = |author, text| PolicyFile::parse(author, "policy.toml".into(), text).unwrap();
        Policy { files: vec![file(Author::Admin, admin), file(Author::User, user)], per_run: Vec::new() }
    }

    fn buy_for(amount: i64) -> Action {
        let mut action = buy();
        action.requirements.spend = Spend::UpTo(Money { amount: amount.into(), currency: "EUR".to_owned() });
        action
    }

    fn denied_by(policy: &Policy, action: &Action) -> Option<(Author, String, Outcome)> {
        let applied = policy.judge(action);
        denial(&applied).map(|denial| (denial.author, denial.rule.clone(), denial.outcome))
    }

    #[test]
    fn neither_file_can_loosen_the_other() {
        let limit = |amount: u32| format!("[max_spend]\nper_call = \"{amount} EUR\"");
        let by = |author| Some((author, "max_spend.per_call".to_owned(), Outcome::Limit));
        assert_eq!(denied_by(&policy(&limit(100), &limit(1000)), &buy_for(200)), by(Author::Admin));
        assert_eq!(denied_by(&policy(&limit(1000), &limit(100)), &buy_for(200)), by(Author::User));
        assert_eq!(denied_by(&policy(&limit(1000), &limit(300)), &buy_for(200)), None);
        let origins = "allowed_origins = [\"https://shop.example\"]";
        let other = "allowed_origins = [\"https://other.example\"]";
        assert_eq!(denied_by(&policy(origins, origins), &buy()), None);
        assert!(denied_by(&policy(origins, other), &buy()).is_some());
        assert!(denied_by(&policy("allowed_origins = []", ""), &buy()).is_some());
        assert_eq!(denied_by(&policy("", ""), &buy()), None);
    }

    #[test]
    fn a_denial_is_reported_before_a_limit() {
        let rule = "[[rule]]\nname = \"no\"\ndecision = \"deny\"\nreason = \"not here\"";
        let both = policy("[max_spend]\nper_call = \"1 EUR\"", rule);
        assert_eq!(denied_by(&both, &buy_for(2)), Some((Author::User, "no".to_owned(), Outcome::NotPermitted)));
        let applied = both.judge(&buy_for(2));
        assert_eq!(denial(&applied).unwrap().words(), "user policy `no` denies it: not here");
    }

    #[test]
    fn a_rule_can_make_a_tool_ask() {
        let ask = policy("", "[[rule]]\nname = \"ask\"\ndecision = \"require_approval\"");
        let action = buy();
        assert_eq!(denied_by(&ask, &action), None);
        let wanted = approval(&action, &ask.judge(&action)).unwrap();
        assert_eq!((wanted.message.as_str(), wanted.message_is_complete), ("BUY_PRODUCT-qty-2-product-tea", true));
        let mut two_readings = buy();
        two_readings.arguments.insert("note".to_owned(), "a-product-b".into());
        assert!(!demanded(&two_readings).message_is_complete);
        assert!(approval(&action, &[]).is_none());
    }

    #[test]
    fn the_day_and_the_run_have_their_own_sums() {
        let mut policy = policy("[max_spend]\nper_day = \"500 EUR\"", "");
        policy.per_run = vec!["900".parse().unwrap(), "300".parse().unwrap()];
        let rule = |per_day: u32, per_run: u32| {
            let spent = Spent { per_day: per_day.into(), per_run: per_run.into() };
            policy.over(&buy_for(200), spent).map(|applied| applied.rule)
        };
        assert_eq!(rule(300, 100), None);
        assert_eq!(rule(301, 0).as_deref(), Some("max_spend.per_day"));
        assert_eq!(rule(0, 101).as_deref(), Some("max_spend.per_run"));
        assert!(policy.over(&buy(), Spent::default()).is_none(), "it spends nothing");
    }
}
