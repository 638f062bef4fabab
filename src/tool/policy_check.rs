//! What a policy file says that cannot be meant: about tools that are not there, or without effect.

use super::{Finding, Registry};
use crate::policy::{Author, PolicyFile, Rule, SpendLimit};

/// Checks a policy file that can be read, beside the other policies of this machine and the tools of this profile.
#[must_use]
pub fn check_policy(file: &PolicyFile, all: &[PolicyFile], registry: &Registry) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |problem: String, mend: &str| {
        findings.push(Finding { tool: None, problem, mend: mend.to_owned() });
    };
    for (at, rule) in file.rules.iter().enumerate() {
        let name = &rule.name;
        if file.rules[..at].iter().any(|other| other.name == *name) {
            say(format!("two rules are called `{name}`"), "rename one of them, so that a refusal names the right one");
        }
        for tool in rule.tools.iter().filter(|tool| !registry.knows(tool)) {
            say(
                format!("rule `{name}` names the tool `{tool}`, which does not exist here"),
                "it never applies to it: mend the name (`agentctl tools list`)",
            );
        }
        for toolset in rule.toolsets.iter().filter(|toolset| !registry.tools().any(|tool| tool.toolset() == **toolset))
        {
            say(
                format!("rule `{name}` names the toolset `{toolset}`, of which no tool is offered here"),
                "mend the name, if it is one",
            );
        }
        for argument in rule.when.keys().filter(|argument| !takes(rule, argument, registry)) {
            say(
                format!("rule `{name}` has a condition on `{argument}`, which no tool that it speaks about takes"),
                "such a condition always holds: mend the name (`agentctl tools show TOOL`)",
            );
        }
    }
    if file.author == Author::User {
        for (what, own, limit) in limits(file, all) {
            say(
                format!("max_spend.{what} = {own} is without effect: the admin policy allows {limit}"),
                "a policy can only tighten; take it away or lower it",
            );
        }
    }
    findings
}

/// Whether one of the tools that the rule speaks about has such a parameter. A tool that is not offered is not known well
/// enough to say no.
fn takes(rule: &Rule, argument: &str, registry: &Registry) -> bool {
    let named = |tool: &str| rule.tools.is_empty() || rule.tools.iter().any(|name| name == tool);
    let among = |toolset: &str| rule.toolsets.is_empty() || rule.toolsets.iter().any(|name| name == toolset);
    registry.hidden().iter().any(|tool| named(&tool.name))
        || registry
            .tools()
            .filter(|tool| named(tool.name()) && among(tool.toolset()))
            .any(|tool| tool.parameters()["properties"].get(argument).is_some())
}

/// The person's limits that are above the administrator's.
fn limits<'a>(
    file: &'a PolicyFile,
    all: &'a [PolicyFile],
) -> impl Iterator<Item = (&'static str, &'a SpendLimit, &'a SpendLimit)> {
    all.iter().filter(|other| other.author == Author::Admin).flat_map(|admin| {
        let pairs = [
            ("per_call", &file.max_spend.per_call, &admin.max_spend.per_call),
            ("per_day", &file.max_spend.per_day, &admin.max_spend.per_day),
        ];
        pairs.into_iter().filter_map(|(what, own, limit)| {
            let (own, limit) = (own.as_ref()?, limit.as_ref()?);
            (own.currency == limit.currency && own.amount > limit.amount).then_some((what, own, limit))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(admin: &str, user: &str) -> String {
        let parse = |author, text| PolicyFile::parse(author, "policy.toml".into(), text).unwrap();
        let all = [parse(Author::Admin, admin), parse(Author::User, user)];
        let registry = super::super::tests::shop(&[]);
        check_policy(&all[1], &all, &registry).into_iter().map(|finding| finding.problem).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_cannot_be_meant_is_found() {
        let rule = |text: &str| format!("[[rule]]\nname = \"r\"\ndecision = \"deny\"\n{text}");
        let limit = |amount: &str| format!("[max_spend]\nper_call = \"{amount}\"");
        for (admin, user, expected) in [
            ("", rule("tools = [\"buy_product\"]\nwhen = { qty = { above = 3 } }"), ""),
            ("", rule("tools = [\"buy_prodct\"]"), "`buy_prodct`, which does not exist"),
            // Not offered, but known.
            ("", rule("tools = [\"reset_password\"]\nwhen = { who = { is = \"x\" } }"), ""),
            ("", rule("toolsets = [\"shopp\"]"), "the toolset `shopp`"),
            ("", rule("tools = [\"buy_product\"]\nwhen = { quantity = { above = 3 } }"), "a condition on `quantity`"),
            ("", format!("{}\n{}", rule(""), rule("")), "two rules are called `r`"),
            (&limit("100 EUR"), limit("200 EUR"), "without effect"),
            (&limit("100 EUR"), limit("50 EUR"), ""),
            (&limit("100 EUR"), limit("200 USD"), ""),
        ] {
            let found = problems(admin, &user);
            assert!(
                if expected.is_empty() { found.is_empty() } else { found.contains(expected) },
                "{user}\n-> {found}"
            );
        }
    }
}
