//! What can be had with the token of a tool: whoever holds it gets along without the tool, and without its questions.

use super::{
    Settings,
    manifest::{ApprovalField, CredentialSource, Effect, ToolSpec},
    template::Template,
};
use crate::policy::Policy;

/// A tool whose requests carry a token of the person's, and what can be had with such a token.
#[derive(Clone, Debug)]
pub struct Guarded {
    /// The tool.
    pub tool: String,
    /// Its toolset.
    pub toolset: String,
    /// What it does to the world.
    pub effect: Effect,
    /// Where its requests go, as far as that is known.
    pub origin: Option<String>,
    /// Whether it can spend money.
    pub spends: bool,
    /// Whether the person is asked first.
    pub asks: bool,
    /// The audiences and the resources of its token and of its approval, as far as they are known.
    pub targets: Vec<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Whether its token is the login's own: it names no audience, no resource and no scope.
    pub plain: bool,
    /// Whether its token is a connected account's, which the vault gives for one of ours.
    pub connected: bool,
}

impl Guarded {
    /// None if its requests carry no such token.
    pub(super) fn of(toolset: &str, spec: &ToolSpec, settings: &Settings) -> Option<Self> {
        let ask = match &spec.approval {
            Some(ApprovalField::Ask(ask)) => Some(ask),
            _ => None,
        };
        let credential = &spec.credential;
        let users = credential.source == CredentialSource::User;
        let connected = credential.source == CredentialSource::Connection;
        if ask.is_none() && !users && !connected {
            return None;
        }
        let own = [&credential.audience, &credential.resource];
        let asked = ask.into_iter().flat_map(|ask| [&ask.audience, &ask.resource]);
        let settled = |text: &String| Template::parse(text).ok()?.settled(settings).ok();
        let url = Template::parse(&spec.request.url).and_then(|template| template.url_shape(settings));
        Some(Self {
            tool: spec.name.clone(),
            toolset: toolset.to_owned(),
            effect: spec.effect,
            origin: url.ok().map(|url| url.origin().ascii_serialization()),
            spends: spec.limits.spend.is_some(),
            asks: ask.is_some(),
            targets: own.into_iter().chain(asked).flatten().filter_map(settled).collect(),
            plain: users && credential.scopes.is_empty() && own.iter().all(|target| target.is_none()),
            // The scopes of a connection are the third party's.
            scopes: if connected { Vec::new() } else { credential.scopes.clone() },
            connected,
        })
    }

    /// Whether a policy has a word about some call of the tool. Whoever has its token calls with any arguments.
    #[must_use]
    pub fn is_restricted_by(&self, policy: &Policy) -> bool {
        let origin = self.origin.as_deref();
        policy.files.iter().any(|file| {
            let limits = &file.max_spend;
            let elsewhere =
                |allowed: &Vec<String>| self.origin.as_ref().is_some_and(|origin| !allowed.contains(origin));
            file.rules.iter().any(|rule| rule.may_apply(&self.tool, &self.toolset, self.effect.word(), origin))
                || self.spends && (limits.per_call.is_some() || limits.per_day.is_some())
                || file.allowed_origins.as_ref().is_some_and(elsewhere)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{
        super::{OriginRules, Registry, tests::shop},
        *,
    };
    use crate::policy::{Author, PolicyFile};

    #[test]
    fn what_needs_an_approval_is_known_also_where_the_tool_is_not_offered() {
        let settings = Settings::from([
            ("SHOP_API_AUDIENCE".to_owned(), "shop".to_owned()),
            ("SHOP_API_RESOURCE".to_owned(), "https://shop.example".to_owned()),
        ]);
        let registry = Registry::load(Path::new("/nonexistent"), &settings, &OriginRules::default()).unwrap();
        assert!(registry.get("buy_product").is_none());
        let (connected, ours): (Vec<_>, Vec<_>) =
            registry.guarded().iter().filter(|guarded| guarded.asks).partition(|guarded| guarded.connected);
        assert!(!connected.is_empty() && connected.iter().all(|guarded| guarded.scopes.is_empty()), "{connected:?}");
        let [guarded] = ours[..] else { panic!("{ours:?}") };
        assert_eq!(guarded.targets, ["shop", "https://shop.example"]);
        assert!(guarded.scopes.iter().any(|scope| scope == "product:buy"));
    }

    #[test]
    fn a_policy_has_a_word_about_a_tool_whatever_its_arguments_are() {
        let registry = shop(&[]);
        let restricted = |text: &str| -> Vec<&str> {
            let file = PolicyFile::parse(Author::User, "policy.toml".into(), text).unwrap();
            let policy = Policy { files: vec![file], per_run: Vec::new() };
            let shops = registry.guarded().iter().filter(|guarded| guarded.toolset == "shop");
            shops.filter(|guarded| guarded.is_restricted_by(&policy)).map(|guarded| guarded.tool.as_str()).collect()
        };
        let rule = |text: &str| format!("[[rule]]\nname = \"r\"\ndecision = \"require_approval\"\n{text}");
        let (search, both) = (["search_products"].as_slice(), ["search_products", "buy_product"].as_slice());
        for (text, tools) in [
            (String::new(), [].as_slice()),
            (rule(""), both),
            (rule("tools = [\"search_products\"]\nwhen = { query = { is = \"gold\" } }"), search),
            (rule("toolsets = [\"okta\"]"), &[]),
            (rule("effects = [\"read\"]"), search),
            (rule("origins = [\"http://127.0.0.1:9\"]"), both),
            (rule("origins = [\"https://shop.example\"]"), &[]),
            ("allowed_origins = [\"https://shop.example\"]".to_owned(), both),
            ("allowed_origins = [\"http://127.0.0.1:9\"]".to_owned(), &[]),
            ("[max_spend]\nper_day = \"10 EUR\"".to_owned(), &["buy_product"]),
        ] {
            assert_eq!(restricted(&text), tools, "{text}");
        }
        // Where it is not known where a tool goes, nobody can say that it goes elsewhere.
        let hidden = Registry::load(Path::new("/nonexistent"), &Settings::new(), &OriginRules::default()).unwrap();
        assert!(hidden.guarded().iter().all(|guarded| guarded.origin.is_none()));
    }
}
