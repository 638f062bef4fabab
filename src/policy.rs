//! What an action requires, as plain data, and the pure decisions about it.
//!
//! An [`Action`] is a tool call that has been understood: it says exactly what would be done, and nothing in it can change
//! any more. The guard decides about it, the executor does it; neither looks at the model's words again.

mod details;
mod judge;
mod rules;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    call::{ActionId, Digest},
    money::Money,
    oauth::provider::BindingRules,
};

pub use self::{
    details::{Details, DetailsWanted},
    judge::{Applied, Policy, Spent, approval, denial},
    rules::{Author, Condition, MaxSpend, PolicyFile, Rule, RuleDecision, SpendLimit},
};

/// One thing that may be done, once.
#[derive(Clone, Debug)]
pub struct Action {
    /// Minted when it was planned.
    pub id: ActionId,
    /// Which tool.
    pub tool: String,
    /// The set that the tool belongs to.
    pub toolset: String,
    /// `read`, `reversible` or `irreversible`.
    pub effect: &'static str,
    /// Whether it stays.
    pub irreversible: bool,
    /// The validated arguments.
    pub arguments: Map<String, Value>,
    /// The names of those that no log may show.
    pub sensitive: Vec<String>,
    /// Scheme, host and port of the request.
    pub origin: String,
    /// What must hold before it may run.
    pub requirements: Requirements,
    /// SHA-256 over the canonical form of tool, origin and arguments.
    pub digest: Digest,
}

/// What must hold before an action may run.
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    /// A relation that must hold.
    pub permission: Option<Permission>,
    /// What the person must be asked.
    pub approval: Option<Approval>,
    /// The token that the request carries.
    pub credential: Credential,
    /// What it may spend.
    pub spend: Spend,
}

/// A relation between the person and an object (OpenFGA).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Permission {
    /// Such as `can_buy`.
    pub relation: String,
    /// Such as `shop:main`.
    pub object: String,
    /// Facts that hold for this question only.
    pub contextual_tuples: Vec<ContextualTuple>,
    /// Values for the conditions of the model.
    pub context: Map<String, Value>,
}

/// A fact that goes with one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextualTuple {
    /// Whom it is about.
    pub user: TupleUser,
    /// Such as `member`.
    pub relation: String,
    /// Such as `team:sales`.
    pub object: String,
}

/// Whom a contextual tuple is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TupleUser {
    /// The logged-in person.
    Me,
    /// This agent.
    Agent,
    /// Somebody or something else: `type:id`.
    Named(String),
}

/// What the person is asked.
#[derive(Clone, Debug)]
pub struct Approval {
    /// The filled message, before it is fitted to the server's rules.
    pub message: String,
    /// Whether the message says the whole call: every argument stands in it, and it can be read in one way only.
    pub message_is_complete: bool,
    /// Seconds the person has.
    pub expires_in: u64,
    /// The rich request, if there is one.
    pub details: Option<DetailsWanted>,
    /// For which API it is asked where the call carries another token than the approval's: types of details belong to one.
    pub target: TokenWanted,
}

impl Approval {
    /// The token that comes with a yes: the call's own, or one that is only a proof.
    #[must_use]
    pub fn wanted<'a>(&'a self, credential: &'a Credential) -> &'a TokenWanted {
        match credential {
            Credential::Approval(wanted) => wanted,
            _ => &self.target,
        }
    }
}

/// Which token a request carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credential {
    /// None.
    #[default]
    None,
    /// One of the logged-in person.
    User(TokenWanted),
    /// The one that the approval brought.
    Approval(TokenWanted),
    /// One of a third-party account.
    Connection(ConnectionWanted),
}

/// A token of a third-party account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionWanted {
    /// The connection's name at the vault.
    pub connection: String,
    /// What the account must have been connected with.
    pub scopes: Vec<String>,
}

/// A token by audience and scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenWanted {
    /// The API's name at the authorization server.
    pub audience: Option<String>,
    /// The same as an absolute URI (RFC 8707), for servers that want one.
    pub resource: Option<String>,
    /// What the token must allow.
    pub scopes: Vec<String>,
}

/// What an action may spend, in total.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Spend {
    /// The tool spends nothing.
    #[default]
    Nothing,
    /// Up to this.
    UpTo(Money),
    /// The tool spends, and nobody set a limit.
    AnyPrice,
}

impl Spend {
    /// As shown to the person: an amount, `any price`, or nothing.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::UpTo(money) => Some(format!("up to {money}")),
            Self::AnyPrice => Some("any price".to_owned()),
        }
    }
}

/// How strongly a yes is tied to the call, from weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// Only the random code stood on both devices.
    Code,
    /// Every value of the call stood unaltered in the binding message.
    Message,
    /// The server granted `authorization_details` that hold the arguments and the digest.
    Details,
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Code => "code",
            Self::Message => "message",
            Self::Details => "details",
        })
    }
}

impl Binding {
    /// The weakest binding that an action accepts: an irreversible effect needs at least the message, unless the profile
    /// says that the code alone is enough.
    #[must_use]
    pub fn needed(irreversible: bool, profile: Option<Self>) -> Self {
        match profile {
            Some(minimum) => minimum,
            None if irreversible => Self::Message,
            None => Self::Code,
        }
    }
}

/// A binding message (CIBA Core §7.1) that is ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingMessage {
    /// The message with its code.
    pub text: String,
    /// The code alone.
    pub code: String,
    /// Whether the message before the code is the filled template, unaltered and complete.
    pub whole: bool,
}

impl BindingMessage {
    /// Fits a message to the rules: what they do not allow becomes `-`, what is too long is cut, the code at the end is
    /// always whole.
    #[must_use]
    pub fn fit(approval: &Approval, code: &str, rules: BindingRules) -> Self {
        let room = rules.max_len.saturating_sub(code.len() + 1);
        let fitted: String =
            approval.message.chars().map(|c| if (rules.allowed)(c) { c } else { '-' }).take(room).collect();
        let whole = approval.message_is_complete && fitted == approval.message;
        let text = if fitted.is_empty() { code.to_owned() } else { format!("{fitted}.{code}") };
        Self { text, code: code.to_owned(), whole }
    }

    /// How strongly it alone ties a yes to the call.
    #[must_use]
    pub fn binding(&self) -> Binding {
        if self.whole { Binding::Message } else { Binding::Code }
    }

    /// The code alone: what is sent when the server does not take the whole message.
    #[must_use]
    pub fn code_only(code: &str) -> Self {
        Self { text: code.to_owned(), code: code.to_owned(), whole: false }
    }
}

/// A random code of 40 bits: eight characters of an alphabet without look-alikes (no I, L, O, U).
#[must_use]
pub fn code_from(random: [u8; 5]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let bits = random.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    (0..8).rev().map(|at| char::from(ALPHABET[(bits >> (at * 5) & 31) as usize])).collect()
}

impl Action {
    /// The action as it is written into the journal: what makes its digest. No secrets.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "tool": self.tool, "origin": self.origin, "arguments": self.arguments, "digest": self.digest.to_text() })
    }

    /// The digest that ties an approval to a call: SHA-256 over the canonical form (RFC 8785) of these three.
    ///
    /// # Errors
    /// If an argument is a number that has no canonical form.
    pub fn digest_of(tool: &str, origin: &str, arguments: &Map<String, Value>) -> Result<Digest, serde_json::Error> {
        Digest::of(&json!({ "tool": tool, "origin": origin, "arguments": arguments }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn digest() -> Digest {
        Action::digest_of("buy_product", "https://shop.example", &Map::new()).unwrap()
    }

    /// Two of something that spends nothing and asks nobody.
    pub(super) fn buy() -> Action {
        Action {
            id: ActionId::from_text("act_1"),
            tool: "buy_product".to_owned(),
            toolset: "shop".to_owned(),
            effect: "irreversible",
            irreversible: true,
            sensitive: Vec::new(),
            arguments: Map::from_iter([("product".to_owned(), json!("tea")), ("qty".to_owned(), json!(2))]),
            origin: "https://shop.example".to_owned(),
            requirements: Requirements::default(),
            digest: digest(),
        }
    }

    fn approval(message: &str) -> Approval {
        Approval {
            message: message.to_owned(),
            message_is_complete: true,
            expires_in: 300,
            details: None,
            target: TokenWanted::default(),
        }
    }

    const RULES: BindingRules =
        BindingRules { max_len: 20, allowed: |c| c.is_ascii_alphanumeric() || "-._+/!?#".contains(c) };

    #[test]
    fn the_code_is_always_whole() {
        let fit = |message: &str| BindingMessage::fit(&approval(message), "7F3KQ9ZT", RULES);
        let short = fit("BUY-2-tea");
        assert_eq!((short.text.as_str(), short.whole), ("BUY-2-tea.7F3KQ9ZT", true));
        let long = fit("BUY-2-phones-and-more");
        assert_eq!((long.text.as_str(), long.whole), ("BUY-2-phone.7F3KQ9ZT", false));
        let foreign = fit("BUY 2 \u{202e}€");
        assert_eq!((foreign.text.as_str(), foreign.whole), ("BUY-2---.7F3KQ9ZT", false));
        assert_eq!(fit("").text, "7F3KQ9ZT");
    }

    #[test]
    fn codes_use_all_forty_bits() {
        assert_eq!(code_from([0; 5]), "00000000");
        assert_eq!(code_from([255; 5]), "ZZZZZZZZ");
        assert_eq!(code_from([0, 0, 0, 0, 33]), "00000011");
    }

    #[test]
    fn an_irreversible_effect_needs_more_than_a_code() {
        assert_eq!(Binding::needed(true, None), Binding::Message);
        assert_eq!(Binding::needed(false, None), Binding::Code);
        assert_eq!(Binding::needed(true, Some(Binding::Code)), Binding::Code);
        assert_eq!(Binding::needed(false, Some(Binding::Details)), Binding::Details);
        assert!(Binding::Details > Binding::Message && Binding::Message > Binding::Code);
    }
}
