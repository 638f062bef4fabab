//! A tool call becomes a plan: exactly what will be done, with nothing left to decide.

use std::time::Duration;

use serde_json::{Map, Value, json};
use url::Url;

use super::{
    Tool,
    manifest::{ApprovalField, CredentialSource, CredentialSpec, Idempotency, PermissionSpec},
    template::{self, Settings, Template},
};
use crate::{
    call::{ActionId, Digest},
    json,
    money::Money,
    policy::{
        Action, Approval, ConnectionWanted, ContextualTuple, Credential, DetailsWanted, Permission, Requirements,
        Spend, TokenWanted, TupleUser,
    },
};

/// The most that is read as the arguments of one call, in bytes: far more than a person could approve.
const MAX_ARGUMENTS: usize = 1024 * 1024;

/// What is wrong with a call. The texts are for the model, which may try again with better arguments.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The arguments are no JSON object, or one that two readers could understand differently.
    #[error("the arguments are not a JSON object with one meaning: {0}")]
    Json(String),
    /// The arguments are more than is looked at.
    #[error("the arguments are larger than {MAX_ARGUMENTS} bytes")]
    TooLarge,
    /// The arguments do not fit the tool's schema.
    #[error("the arguments do not fit the tool's parameters: {0}")]
    Schema(String),
    /// A value cannot stand where the tool needs it.
    #[error(transparent)]
    Template(#[from] template::Error),
    /// A spend limit that is no amount.
    #[error("the spend limit is not an amount of money")]
    Money,
    /// An integer of which the canonical form, and many a server, keeps only the first digits.
    #[error("an integer in the arguments has more than 53 bits; nobody could say which number was meant")]
    Inexact,
    /// A number without a canonical form.
    #[error("the arguments have no canonical form: {0}")]
    Canonical(#[from] serde_json::Error),
}

/// A call that is ready to be decided about and done. Only [`Tool::plan`] makes one.
#[derive(Debug)]
pub struct Plan {
    /// What the guard decides about.
    pub action: Action,
    /// The request of the effect.
    pub(super) request: PlannedRequest,
}

/// One HTTP request without its credential.
#[derive(Clone, Debug)]
pub(super) struct PlannedRequest {
    pub(super) method: reqwest::Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Value>,
    pub(super) idempotency_key: Option<String>,
    pub(super) timeout: Duration,
    pub(super) max_bytes: usize,
}

impl Plan {
    /// The plan as it is written into the journal: everything that makes its digest, and the request. No secrets.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "tool": self.action.tool,
            "origin": self.action.origin,
            "arguments": self.action.arguments,
            "request": {
                "method": self.request.method.as_str(),
                "url": self.request.url.as_str(),
                "headers": self.request.headers,
                "body": self.request.body,
            },
        })
    }

    /// The method of its request.
    #[must_use]
    pub fn method(&self) -> &str {
        self.request.method.as_str()
    }

    /// The key under which a server does the effect once (RFC draft "Idempotency-Key"): made from the action and its
    /// digest, so that a repetition of this very action has the same key and nothing else has.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        self.request.idempotency_key.as_deref()
    }
}

impl Tool {
    /// Makes the plan of a call.
    ///
    /// # Errors
    /// If the arguments are not what the tool takes.
    pub fn plan(&self, arguments: &str) -> Result<Plan, PlanError> {
        self.plan_as(arguments, ActionId::mint())
    }

    /// Makes the plan of a call that has its id already, because it was planned before.
    ///
    /// # Errors
    /// If the arguments are not what the tool takes today.
    pub fn plan_as(&self, arguments: &str, id: ActionId) -> Result<Plan, PlanError> {
        let arguments = self.arguments(arguments)?;
        let settings = &self.settings;
        let request = &self.spec.request;
        let mut url = Template::parse(&request.url)?.url(settings, &arguments)?;
        for (name, value) in &request.query {
            if let Some(value) = Template::parse(value)?.query(settings, &arguments)? {
                url.query_pairs_mut().append_pair(name, &value);
            }
        }
        let mut headers = Vec::new();
        for (name, value) in &request.headers {
            headers.push((name.clone(), Template::parse(value)?.header(settings, &arguments)?));
        }
        let body = match &request.json {
            Some(template) => template::json(template, settings, &arguments)?,
            None => None,
        };
        let origin = url.origin().ascii_serialization();
        let digest = Action::digest_of(&self.spec.name, &origin, &arguments)?;
        let idempotency_key = request
            .idempotency
            .map(|Idempotency::Header| Digest::of_bytes(format!("{id}\n{}", digest.to_text()).as_bytes()).to_hex());
        let requirements = self.requirements(&arguments)?;
        Ok(Plan {
            request: PlannedRequest {
                method: self.method.clone(),
                url,
                headers,
                body,
                idempotency_key,
                timeout: Duration::from_secs(self.spec.limits.timeout_s),
                max_bytes: self.spec.limits.max_response_bytes,
            },
            action: Action {
                id,
                tool: self.spec.name.clone(),
                toolset: self.toolset.clone(),
                effect: self.spec.effect.word(),
                irreversible: self.spec.effect == super::manifest::Effect::Irreversible,
                arguments,
                sensitive: self.spec.sensitive.clone(),
                origin,
                requirements,
                digest,
            },
        })
    }

    fn arguments(&self, text: &str) -> Result<Map<String, Value>, PlanError> {
        // A model that calls a tool without parameters may send nothing at all.
        let text = if text.trim().is_empty() { "{}" } else { text };
        if text.len() > MAX_ARGUMENTS {
            return Err(PlanError::TooLarge);
        }
        let value = json::strict(text).map_err(|error| PlanError::Json(error.to_string()))?;
        let Value::Object(mut arguments) = value else {
            return Err(PlanError::Json("it is another kind of value".to_owned()));
        };
        // Some models send null for what they leave out, and mean the same.
        arguments.retain(|_, value| !value.is_null());
        let value = Value::Object(arguments);
        if !is_exact(&value) {
            return Err(PlanError::Inexact);
        }
        let problems: Vec<String> = self
            .schema
            .iter_errors(&value)
            .take(3)
            .map(|error| match error.instance_path().to_string() {
                path if path.is_empty() => error.to_string(),
                path => format!("{path}: {error}"),
            })
            .collect();
        match value {
            Value::Object(arguments) if problems.is_empty() => Ok(arguments),
            _ => Err(PlanError::Schema(problems.join("; "))),
        }
    }

    fn requirements(&self, arguments: &Map<String, Value>) -> Result<Requirements, PlanError> {
        let settings = &self.settings;
        let spec = &self.spec;
        let permission = spec.permission.as_ref().map(|asked| permission(asked, settings, arguments)).transpose()?;
        let approval = match &spec.approval {
            Some(ApprovalField::Ask(ask)) => {
                let template = Template::parse(&ask.binding_message)?;
                Some(Approval {
                    message: template.text(settings, arguments)?,
                    message_is_complete: template.says_all(arguments),
                    expires_in: ask.expires_in,
                    details: ask.authorization_details.as_ref().map(|details| DetailsWanted {
                        kind: details.kind.clone(),
                        instruction: details.instruction.clone(),
                    }),
                    target: TokenWanted {
                        audience: settled(ask.audience.as_ref(), settings)?,
                        resource: settled(ask.resource.as_ref(), settings)?,
                        scopes: Vec::new(),
                    },
                })
            }
            _ => None,
        };
        let wanted = || {
            let CredentialSpec { audience, resource, scopes, .. } = &spec.credential;
            Ok::<_, PlanError>(TokenWanted {
                audience: settled(audience.as_ref(), settings)?,
                resource: settled(resource.as_ref(), settings)?,
                scopes: scopes.clone(),
            })
        };
        let credential = match spec.credential.source {
            CredentialSource::None => Credential::None,
            CredentialSource::User => Credential::User(wanted()?),
            CredentialSource::Approval => Credential::Approval(wanted()?),
            CredentialSource::Connection => {
                let name = spec.credential.connection.as_deref().unwrap_or_default();
                Credential::Connection(ConnectionWanted {
                    connection: Template::parse(name)?.settled(settings)?,
                    scopes: spec.credential.scopes.clone(),
                })
            }
        };
        let spend = match (&spec.limits.spend, &spec.limits.currency) {
            (Some(template), Some(currency)) => {
                match template::json(&Value::String(template.clone()), settings, arguments)? {
                    Some(value) => Spend::UpTo(Money::from_json(&value, currency).ok_or(PlanError::Money)?),
                    None => Spend::AnyPrice,
                }
            }
            _ => Spend::Nothing,
        };
        Ok(Requirements { permission, approval, credential, spend })
    }
}

/// An audience or resource; none if its setting is not configured, because then the server does not need it.
fn settled(template: Option<&String>, settings: &Settings) -> Result<Option<String>, PlanError> {
    let Some(template) = template else { return Ok(None) };
    match Template::parse(template)?.settled(settings) {
        Ok(text) => Ok(Some(text)),
        Err(template::Error::Unset(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What the permission server is asked about these arguments.
fn permission(
    spec: &PermissionSpec,
    settings: &Settings,
    arguments: &Map<String, Value>,
) -> Result<Permission, PlanError> {
    let id = |template: &str| Template::parse(template)?.fga_id(settings, arguments);
    let mut contextual_tuples = Vec::with_capacity(spec.contextual_tuples.len());
    for tuple in &spec.contextual_tuples {
        contextual_tuples.push(ContextualTuple {
            user: match tuple.user.as_str() {
                "me" => TupleUser::Me,
                "agent" => TupleUser::Agent,
                template => TupleUser::Named(id(template)?),
            },
            relation: tuple.relation.clone(),
            object: id(&tuple.object)?,
        });
    }
    let mut context = Map::new();
    for (name, template) in &spec.context {
        if let Some(value) = template::json(template, settings, arguments)? {
            context.insert(name.clone(), value);
        }
    }
    Ok(Permission { relation: spec.relation.clone(), object: id(&spec.object)?, contextual_tuples, context })
}

/// Whether every integer is one that RFC 8785 and RFC 7493 §2.2 know exactly: two different ones would have one digest.
fn is_exact(value: &Value) -> bool {
    const LARGEST: u64 = (1 << 53) - 1;
    match value {
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number <= LARGEST,
            (None, Some(number)) => number.unsigned_abs() <= LARGEST,
            (None, None) => true,
        },
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
