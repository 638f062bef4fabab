//! The words that travel between the floors: a tool call on its way down, its output on its way up, and the names and
//! digests that tie what was planned to what was approved and done.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// A new id. Ids of one machine sort by the time they were made.
            #[must_use]
            pub fn mint() -> Self {
                Self(format!(concat!($prefix, "_{}"), uuid::Uuid::now_v7().simple()))
            }

            /// An id that was written down earlier, or that a person typed.
            #[must_use]
            pub fn from_text(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The same, if it is one that could have been made here.
            #[must_use]
            pub fn minted(text: &str) -> Option<Self> {
                let number = text.strip_prefix(concat!($prefix, "_"))?;
                let is_one = number.len() == 32 && number.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                is_one.then(|| Self(text.to_owned()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// One conversation with the model, from its first prompt to its end.
    RunId = "run";
    /// One tool call, minted once when it is planned; the idempotency key of its effect is made from it.
    ActionId = "act";
    /// One approval asked of a person.
    ApprovalId = "apr";
}

/// A tool call as it came from the model or the command line: nothing about it has been checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The caller's own name for this call; the output is returned under it.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// Its arguments, as JSON text that may be broken.
    pub arguments: String,
}

impl ToolCall {
    /// Takes an id that nobody else has, in place of one that cannot be kept.
    pub fn rename(&mut self) {
        self.id = format!("call_{}", uuid::Uuid::new_v4().simple());
    }
}

/// SHA-256 over the canonical form (RFC 8785) of a JSON value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a JSON value, whatever the order of its members.
    ///
    /// # Errors
    /// If the value holds a number that RFC 8785 has no form for.
    pub fn of(value: &Value) -> Result<Self, serde_json::Error> {
        Ok(Self::of_bytes(serde_json_canonicalizer::to_string(value)?.as_bytes()))
    }

    /// The digest of bytes that are canonical already.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(sum)
    }

    /// The form written into `authorization_details` and the audit log: `sha-256:` and 43 characters of base64url.
    #[must_use]
    pub fn to_text(self) -> String {
        format!("sha-256:{}", URL_SAFE_NO_PAD.encode(self.0))
    }

    /// 64 hexadecimal digits, as `sha256sum` prints them.
    #[must_use]
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// How a tool call ended, as the model, the exit code and the log see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// The call was not understood: no such tool, broken JSON, arguments outside the schema. Nothing was asked or done.
    Invalid,
    /// Permission or policy said no.
    NotPermitted,
    /// The person said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// The person has not answered yet.
    Pending,
    /// A limit (spend, pushes, denials) was reached.
    Limit,
    /// A third-party account must be connected first.
    ConnectionNeeded,
    /// The person must log in (again) first.
    LoginNeeded,
    /// It could not be done; nothing happened.
    Failed,
    /// The request was sent and its answer was lost: it may have happened.
    Unknown,
    /// It was stopped by the person before it ended.
    Cancelled,
    /// It would have run, and nothing was done: a dry run.
    Rehearsed,
}

impl Outcome {
    /// Whether it is known that nothing happened.
    #[must_use]
    pub fn is_without_effect(self) -> bool {
        !matches!(self, Self::Done | Self::Unknown | Self::Pending)
    }

    /// The word for it in JSON: `done`, `not_permitted`, ...
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Invalid => "invalid",
            Self::NotPermitted => "not_permitted",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Pending => "pending",
            Self::Limit => "limit",
            Self::ConnectionNeeded => "connection_needed",
            Self::LoginNeeded => "login_needed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Cancelled => "cancelled",
            Self::Rehearsed => "rehearsed",
        }
    }
}

/// What a tool call brought: data for the model, also when the answer is no.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolOutput {
    /// How it ended.
    pub outcome: Outcome,
    /// One sentence for a person; safe to show after escaping.
    pub message: String,
    /// The tool's answer, if it was done.
    pub data: Option<Value>,
}

impl ToolOutput {
    /// An output without data.
    #[must_use]
    pub fn refused(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { outcome, message: message.into(), data: None }
    }

    /// The text that the model reads.
    #[must_use]
    pub fn for_model(&self) -> String {
        let mut object = serde_json::json!({ "outcome": self.outcome.word(), "message": self.message });
        if let Some(data) = &self.data {
            object["result"] = data.clone();
        }
        object.to_string()
    }

    /// What the body of a response in the audit log says of it.
    #[must_use]
    pub fn from_log(body: &Value) -> Self {
        let outcome = serde_json::from_value(body["outcome"].clone()).unwrap_or(Outcome::Unknown);
        Self::refused(outcome, body["message"].as_str().unwrap_or_default())
    }

    /// Reads that text again, where it stands in a saved conversation.
    #[must_use]
    pub fn from_model(content: &str) -> Option<Self> {
        let object: Value = serde_json::from_str(content).ok()?;
        let outcome = serde_json::from_value(object["outcome"].clone()).ok()?;
        let message = object["message"].as_str()?.to_owned();
        Some(Self { outcome, message, data: object.get("result").cloned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_digest_does_not_depend_on_order() {
        let one: Value = serde_json::from_str(r#"{"qty":2,"product":"phones","limit":900.0}"#).unwrap();
        let other = json!({"limit": 900, "product": "phones", "qty": 2});
        assert_eq!(Digest::of(&one).unwrap(), Digest::of(&other).unwrap());
        // printf '{"product":"phones","qty":2}' | sha256sum
        let known = Digest::of(&json!({"qty": 2, "product": "phones"})).unwrap();
        assert_eq!(known.to_hex(), "abf19ca2b004af1371a6c8118b216c62da8ec5588ba401853678a0077f4880f3");
    }
}
