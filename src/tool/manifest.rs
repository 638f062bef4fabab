//! A toolset file: what each tool is called, what it takes, what it requires and what it sends.
//!
//! A manifest says what a call needs before it may run; nothing a model says can change it. The rules that a manifest
//! must keep are checked when it is loaded (`Manifest::parse`), so a file that `agentctl tools check` would refuse is
//! never offered to a model either.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;

use super::template::{Template, templates_in};

/// One toolset file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The set itself.
    pub toolset: Toolset,
    /// Its tools.
    #[serde(default, rename = "tool")]
    pub tools: Vec<ToolSpec>,
}

/// The head of a toolset file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toolset {
    /// Lower-case letters, digits and `_`.
    pub name: String,
    /// One line for people.
    pub description: String,
}

/// What a call does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing.
    Read,
    /// Something that another call can undo.
    Reversible,
    /// Something that stays: money, mail, deletion.
    Irreversible,
}

impl Effect {
    /// The word of the manifest.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Reversible => "reversible",
            Self::Irreversible => "irreversible",
        }
    }
}

/// One tool of a manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolSpec {
    /// What the model calls it: up to 64 of `a-z 0-9 _`.
    pub name: String,
    /// What the model is told about it.
    pub description: String,
    /// What it does to the world.
    pub effect: Effect,
    /// Why a `read` may use another method than GET or HEAD.
    #[serde(default)]
    pub effect_reason: Option<String>,
    /// Whether it acts on somebody else; then a permission is mandatory.
    #[serde(default)]
    pub affects_others: bool,
    /// JSON Schema of the arguments; `additionalProperties` is false unless it says otherwise.
    #[serde(default = "no_parameters")]
    pub parameters: Value,
    /// Parameters whose values no log may show: the audit log holds a keyed hash in their place.
    #[serde(default)]
    pub sensitive: Vec<String>,
    /// Fine-grained permission that is checked first.
    #[serde(default)]
    pub permission: Option<PermissionSpec>,
    /// What the person is asked, or `"none"`.
    #[serde(default)]
    pub approval: Option<ApprovalField>,
    /// Why an effect needs no approval.
    #[serde(default)]
    pub approval_reason: Option<String>,
    /// Which token the request carries.
    #[serde(default)]
    pub credential: CredentialSpec,
    /// The request.
    pub request: RequestSpec,
    /// Its limits.
    #[serde(default)]
    pub limits: LimitsSpec,
    /// What people are told of its answer.
    #[serde(default)]
    pub result: ResultSpec,
}

fn no_parameters() -> Value {
    serde_json::json!({ "type": "object", "properties": {} })
}

/// `[tool.permission]`: a relation (OpenFGA) that must hold between the person and an object.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionSpec {
    /// Such as `can_buy`.
    pub relation: String,
    /// Template of `type:id`, such as `shop:main` or `document:{{ id }}`.
    pub object: String,
    /// Facts that go with the question and are not stored.
    #[serde(default)]
    pub contextual_tuples: Vec<TupleSpec>,
    /// Values for the conditions of the model; a text that is one placeholder keeps the argument's type.
    #[serde(default)]
    pub context: BTreeMap<String, Value>,
}

/// One of the `contextual_tuples` of a permission.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TupleSpec {
    /// `me`, `agent`, or a template of `type:id`.
    pub user: String,
    /// Such as `member`.
    pub relation: String,
    /// Template of `type:id`.
    pub object: String,
}

/// `approval = "none"`, or `[tool.approval]`.
#[derive(Clone, Debug)]
pub enum ApprovalField {
    /// The word that stands in place of a table.
    Word(String),
    /// What to ask.
    Ask(ApprovalSpec),
}

/// `[tool.approval]`: what the person is asked (CIBA Core §7.1).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalSpec {
    /// Template of the message that both devices show; the random code is added to it.
    pub binding_message: String,
    /// Seconds the person has, unless the server gives less.
    #[serde(default = "five_minutes")]
    pub expires_in: u64,
    /// The rich request (RFC 9396).
    #[serde(default)]
    pub authorization_details: Option<DetailsSpec>,
    /// Template of the audience for which it is asked, where the call carries another token than the approval's.
    #[serde(default)]
    pub audience: Option<String>,
    /// The same as a resource indicator (RFC 8707).
    #[serde(default)]
    pub resource: Option<String>,
}

fn five_minutes() -> u64 {
    300
}

/// `[tool.approval.authorization_details]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetailsSpec {
    /// The `type` that the authorization server knows (RFC 9396 §2).
    #[serde(rename = "type")]
    pub kind: String,
    /// What the person is told, where the server's app shows such a text (Auth0's Guardian). It has no placeholders.
    #[serde(default)]
    pub instruction: Option<String>,
}

/// Where the token of a request comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialSource {
    /// The token that this very approval brought.
    Approval,
    /// A token of the logged-in person, with the least scopes.
    User,
    /// A token of a third-party account (Token Vault).
    Connection,
    /// No token.
    #[default]
    None,
}

/// `[tool.credential]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialSpec {
    /// Where it comes from.
    pub source: CredentialSource,
    /// Template of the connection's name at the vault; settings only.
    #[serde(default)]
    pub connection: Option<String>,
    /// Template of the audience.
    #[serde(default)]
    pub audience: Option<String>,
    /// Template of the resource indicator (RFC 8707), where the server wants one.
    #[serde(default)]
    pub resource: Option<String>,
    /// The scopes the token must have.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// `[tool.request]`: what is sent. Every text is a template.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSpec {
    /// GET, HEAD, POST, PUT, PATCH or DELETE.
    pub method: String,
    /// Arguments may stand in path segments and query values, never in front of them.
    pub url: String,
    /// More of the query; a member whose only argument was not given is left out.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Headers; `Authorization` and the like are not for manifests.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body; a text that is one placeholder keeps the argument's type, and is left out if it was not given.
    #[serde(default)]
    pub json: Option<Value>,
    /// `header` sends an `Idempotency-Key`.
    #[serde(default)]
    pub idempotency: Option<Idempotency>,
}

/// How a request can be repeated without a second effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Idempotency {
    /// The `Idempotency-Key` header.
    Header,
}

/// `[tool.limits]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsSpec {
    /// Seconds until the request is given up.
    #[serde(default = "thirty_seconds")]
    pub timeout_s: u64,
    /// Bytes of the answer that are read.
    #[serde(default = "quarter_mebibyte")]
    pub max_response_bytes: usize,
    /// Template of the most that one call may spend in total.
    #[serde(default)]
    pub spend: Option<String>,
    /// The currency of `spend` (ISO 4217).
    #[serde(default)]
    pub currency: Option<String>,
}

/// `[tool.result]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultSpec {
    /// One line for people, filled with the members of the JSON answer.
    #[serde(default)]
    pub summary: Option<String>,
    /// What counts as the API's own answer to an effect.
    #[serde(default)]
    pub answers: Answers,
}

/// What an API answers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// JSON, or nothing.
    #[default]
    Json,
    /// Any text but a web page, as well.
    Text,
}

impl Default for LimitsSpec {
    fn default() -> Self {
        Self { timeout_s: thirty_seconds(), max_response_bytes: quarter_mebibyte(), spend: None, currency: None }
    }
}

fn thirty_seconds() -> u64 {
    30
}

fn quarter_mebibyte() -> usize {
    256 * 1024
}

impl<'de> Deserialize<'de> for ApprovalField {
    /// Written out, because a derived untagged enum would hide which key of the table is wrong.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Field;
        impl<'de> Visitor<'de> for Field {
            type Value = ApprovalField;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"none\" or a table")
            }

            fn visit_str<E>(self, word: &str) -> Result<Self::Value, E> {
                Ok(ApprovalField::Word(word.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                ApprovalSpec::deserialize(MapAccessDeserializer::new(map)).map(ApprovalField::Ask)
            }
        }
        deserializer.deserialize_any(Field)
    }
}

impl ToolSpec {
    /// Every template of it whose settings it cannot do without; those that cannot be read are left out.
    pub(super) fn templates(&self) -> impl Iterator<Item = Template> {
        let request = &self.request;
        let mut texts: Vec<&String> = request.query.values().chain(request.headers.values()).collect();
        texts.extend(self.credential.connection.iter().chain(&self.limits.spend));
        if let Some(ApprovalField::Ask(ask)) = &self.approval {
            texts.push(&ask.binding_message);
        }
        let mut values: Vec<&Value> = request.json.iter().collect();
        if let Some(permission) = &self.permission {
            texts.push(&permission.object);
            texts.extend(permission.contextual_tuples.iter().flat_map(|tuple| [&tuple.user, &tuple.object]));
            values.extend(permission.context.values());
        }
        let texts: Vec<Template> = texts.into_iter().filter_map(|text| Template::parse(text).ok()).collect();
        let inside = values.into_iter().filter_map(|value| templates_in(value).ok()).flatten();
        texts.into_iter().chain(inside.collect::<Vec<_>>())
    }
}

impl Manifest {
    /// Reads a manifest. Only the TOML and its shape are checked here; [`super::check`] checks the rules.
    ///
    /// # Errors
    /// What TOML says, with line and column.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_errors_even_inside_an_approval() {
        let text = r#"
            [toolset]
            name = "x"
            description = "x"
            [[tool]]
            name = "t"
            description = "t"
            effect = "irreversible"
            approval = { binding_message = "x", expire_in = 3 }
            request = { method = "POST", url = "https://x.example/" }
        "#;
        assert!(Manifest::parse(text).unwrap_err().to_string().contains("expire_in"));
    }
}
