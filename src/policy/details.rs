//! The rich request of an action (RFC 9396), and what became of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Action, Credential, Spend};
use crate::oauth::{
    Provider,
    rar::{Asked, Unfit},
};

/// The rich request that a tool declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetailsWanted {
    /// The `type` that the authorization server knows (RFC 9396 §2).
    pub kind: String,
    /// What the person is told about it where the server shows such a text. It stands in the manifest, word for word.
    pub instruction: Option<String>,
}

/// What became of the rich request of an approval. It is written down, so that nobody takes an approval whose details were
/// never asked for or never came back for one that was bound by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Details {
    /// The server granted exactly what was requested.
    #[serde(rename = "granted")]
    Granted,
    /// They were requested, and the answer holds none.
    #[serde(rename = "not returned")]
    NotReturned,
    /// The server does not know this type, so they were not requested.
    #[serde(rename = "not supported by the server")]
    NotSupported,
    /// The tool declares none, so they were not requested.
    #[serde(rename = "not declared by the tool")]
    NotDeclared,
}

impl Details {
    /// As it is written down and shown.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::NotReturned => "not returned",
            Self::NotSupported => "not supported by the server",
            Self::NotDeclared => "not declared by the tool",
        }
    }
}

impl Action {
    /// The rich request for it, in the schema of the server: every argument, where it goes, what it may spend, and the
    /// digest. `agent` is the client that asks.
    ///
    /// # Errors
    /// If it does not fit into that schema. Then nothing may be sent: nothing is ever cut to fit.
    pub fn authorization_details(
        &self,
        wanted: &DetailsWanted,
        provider: Provider,
        agent: &str,
    ) -> Result<Value, Unfit> {
        let spend = self.requirements.spend.words();
        let currency = match &self.requirements.spend {
            Spend::UpTo(money) => Some(money.currency.as_str()),
            Spend::Nothing | Spend::AnyPrice => None,
        };
        let connection = match &self.requirements.credential {
            Credential::Connection(wanted) => Some(wanted.connection.as_str()),
            _ => None,
        };
        provider.details(&Asked {
            kind: &wanted.kind,
            action: &self.tool,
            instruction: wanted.instruction.as_deref(),
            location: &self.origin,
            arguments: &self.arguments,
            digest: &self.digest.to_text(),
            agent,
            spend: spend.as_deref(),
            currency,
            connection,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        json::{self, Read, testing::any_json},
        money::Money,
        oauth::rar::{Comparison, compare},
        policy::{ConnectionWanted, Requirements, tests::buy},
    };
    use proptest::prelude::*;
    use serde_json::json;

    fn action(credential: Credential, spend: Spend) -> Action {
        Action { requirements: Requirements { credential, spend, ..Requirements::default() }, ..buy() }
    }

    #[test]
    fn each_server_gets_its_own_schema_of_the_same_call() {
        let wanted = DetailsWanted { kind: "purchase".to_owned(), instruction: None };
        let limit = Money::from_json(&json!(900), "EUR").unwrap();
        let connection = ConnectionWanted { connection: "okta".to_owned(), scopes: Vec::new() };
        let action = action(Credential::Connection(connection), Spend::UpTo(limit));
        for provider in [Provider::Keycloak, Provider::Oidc] {
            let found = action.authorization_details(&wanted, provider, "approver").unwrap();
            assert_eq!(
                found,
                json!([{
                    "type": "purchase", "actions": ["buy_product"], "locations": ["https://shop.example"],
                    "arguments": {"product": "tea", "qty": 2}, "digest": action.digest.to_text(), "agent": "approver",
                    "spend": "up to 900.00 EUR", "currency": "EUR", "connection": "okta",
                }])
            );
        }
        let found = action.authorization_details(&wanted, Provider::Auth0, "approver").unwrap();
        let value = |name: &str| found[0]["properties"][name]["value"].as_str().unwrap().to_owned();
        assert_eq!(
            ["spend", "qty", "connection", "origin", "agent"].map(value),
            ["up to 900.00 EUR", "2", "okta", "https://shop.example", "approver"]
        );
        assert_eq!(value("digest"), action.digest.to_text());
    }

    #[test]
    fn the_words_are_those_of_the_log() {
        for details in [Details::Granted, Details::NotReturned, Details::NotSupported, Details::NotDeclared] {
            assert_eq!(serde_json::to_value(details).unwrap(), details.words());
        }
    }

    #[test]
    fn without_a_limit_the_details_say_any_price() {
        let wanted = DetailsWanted { kind: "purchase".to_owned(), instruction: None };
        let found = action(Credential::None, Spend::AnyPrice);
        let found = found.authorization_details(&wanted, Provider::Oidc, "approver").unwrap();
        assert_eq!((&found[0]["spend"], found[0].get("currency")), (&json!("any price"), None));
    }

    /// From the text of a call's arguments to the details that a server echoes in a form of its own.
    fn whole_road(text: &str, provider: Provider) -> Result<Comparison, String> {
        let Value::Object(arguments) = json::strict(text).map_err(|error| error.to_string())? else { unreachable!() };
        let mut action = action(Credential::None, Spend::Nothing);
        action.digest = Action::digest_of(&action.tool, &action.origin, &arguments).unwrap();
        action.arguments = arguments;
        let wanted = DetailsWanted { kind: "anything".to_owned(), instruction: None };
        let requested = action.authorization_details(&wanted, provider, "me").map_err(|error| error.to_string())?;
        let echoed = serde_json_canonicalizer::to_string(&requested).unwrap();
        let echoed: Read = serde_json::from_str(&echoed).unwrap();
        Ok(compare(&requested, Some(&echoed)))
    }

    #[test]
    fn arguments_at_the_edges_come_back_as_they_went() {
        let deep = format!("{}1{}", "{\"a\":".repeat(json::MAX_DEPTH), "}".repeat(json::MAX_DEPTH));
        let megabyte = format!(r#"{{"t":"{}"}}"#, "x".repeat(1 << 20));
        for text in [
            r#"{"n":1e308,"m":-0,"l":-0.0,"k":5e-324}"#,
            r#"{"n":0.30000000000000004,"m":9007199254740991,"l":1.2670794150051428e18}"#,
            r#"{"t":"\u0000\ud83d\ude00\"\\/","":{"":[[]]}}"#,
            &deep,
            &megabyte,
        ] {
            assert_eq!(whole_road(text, Provider::Oidc), Ok(Comparison::Same), "{text:.80}");
        }
        let flat = r#"{"n":1e308,"m":-0,"t":"x","b":false}"#;
        assert_eq!(whole_road(flat, Provider::Auth0), Ok(Comparison::Same));
        assert!(whole_road(&deep, Provider::Auth0).unwrap_err().contains("a list or an object"));
        assert!(whole_road(&megabyte, Provider::Auth0).unwrap_err().contains("characters long"));
    }

    proptest! {
        #[test]
        fn any_arguments_come_back_as_they_went(value in any_json()) {
            let arguments = json!({ "a": value }).to_string();
            prop_assert_eq!(whole_road(&arguments, Provider::Oidc), Ok(Comparison::Same));
        }
    }
}
