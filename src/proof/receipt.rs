//! A receipt: what one action left in the log, in a form that somebody else can check without the log, its key, or agentctl's
//! credential store.
//!
//! It holds the two entries to the letter, and for each its place in the chain, which whoever has the log can compare. The
//! issuer's tokens are in it only if the person says so, and only once they have expired.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asked, Ended, Evidence, Grade, body, judge, of_this_call, open};
use crate::{
    call::ActionId,
    oauth::id_token,
    store::{
        audit::{Entry, Kind, Token, hash_of},
        seal::DataKey,
    },
};

/// The entries of one action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entries {
    /// The line of the request entry, to the letter.
    pub request: String,
    /// The line of the response entry; none if it was never written.
    pub response: Option<String>,
}

/// A token of the issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenInClear {
    /// Which one.
    pub token: Token,
    /// The token (JWS, RFC 7515).
    pub jwt: String,
}

/// What somebody else can check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// 1.
    pub schema_version: u32,
    /// `agentctl.receipt`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was exported.
    pub exported_at: String,
    /// Which action.
    pub action: String,
    /// What stands in the log.
    pub entries: Entries,
    /// SHA-256 of the lines, in their order: the next line of the log begins with it.
    pub hashes: Vec<String>,
    /// The grade, as the exporter found it; none without an approval, or without a key.
    pub grade: Option<Grade>,
    /// The issuer's public keys (RFC 7517).
    pub keys: Vec<Value>,
    /// What the issuer signed, in the order of `signed` in the response entry; empty unless it was asked for.
    pub tokens: Vec<TokenInClear>,
}

/// Why there is no receipt, or it does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A token could still be used.
    #[error("its {token} is good until {until}; what can still be used is not given away")]
    StillGood {
        /// Which one.
        token: &'static str,
        /// RFC 3339, or `for ever`.
        until: String,
    },
    /// There is no key to open the tokens with.
    #[error("its tokens are sealed, and this credential store has no key for them")]
    NoKey,
    /// Anything else that does not fit.
    #[error("{0}")]
    Wrong(String),
}

impl Receipt {
    /// The receipt of an action. With `tokens` the issuer's tokens are in it.
    ///
    /// # Errors
    /// If the entries are none, or a token cannot be given away.
    pub fn new(
        action: &str,
        entries: Entries,
        key: Option<&DataKey>,
        tokens: bool,
        grade: Option<Grade>,
        now: DateTime<Utc>,
    ) -> Result<Self, Problem> {
        let evidence = evidence(&entries)?;
        let mut clear = Vec::new();
        if let Some(evidence) = evidence.as_ref().filter(|_| tokens) {
            let opened = open(evidence, key.ok_or(Problem::NoKey)?).map_err(Problem::Wrong)?;
            for (signed, jwt) in evidence.signed.iter().zip(opened) {
                let payload =
                    id_token::kept_payload(&jwt, &signed.jwk).map_err(|flaw| Problem::Wrong(flaw.to_string()))?;
                expired(signed.token, &payload, now)?;
                clear.push(TokenInClear { token: signed.token, jwt });
            }
        }
        let lines = std::iter::once(&entries.request).chain(&entries.response);
        Ok(Self {
            schema_version: 1,
            kind: "agentctl.receipt".to_owned(),
            exported_at: now.to_rfc3339_opts(SecondsFormat::Secs, true),
            action: action.to_owned(),
            hashes: lines.map(|line| hash_of(line.as_bytes())).collect(),
            grade,
            keys: evidence.iter().flat_map(|evidence| &evidence.signed).map(|signed| signed.jwk.clone()).collect(),
            tokens: clear,
            entries,
        })
    }

    /// Checks it with nothing but itself. The grade that is proven; none if it holds no tokens to prove one.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self) -> Result<Option<Grade>, Problem> {
        let wrong = |why: &str| Err(Problem::Wrong(why.to_owned()));
        if self.schema_version != 1 || self.kind != "agentctl.receipt" {
            return wrong("it is no receipt of a kind that is known here");
        }
        let request = self.entries.request.as_bytes();
        // Of which there is one reading: who reads it with another program is to see the same.
        let is = |entry: &Entry, kind: Kind| {
            entry.kind == kind && entry.action.as_ref().map(ActionId::as_str) == Some(&self.action)
        };
        let link = Entry::read(request).filter(|entry| is(entry, Kind::Request));
        let (Some(link), Some(asked)) = (link, body::<Asked>(request)) else {
            return wrong("its request entry is not one of this action");
        };
        let mut lines = vec![request];
        if let Some(response) = &self.entries.response {
            let response = response.as_bytes();
            let Some(end) = Entry::read(response).filter(|entry| is(entry, Kind::Response)) else {
                return wrong("its response entry is not one of this action");
            };
            if end.seq <= link.seq || (end.seq == link.seq + 1 && end.prev != hash_of(request)) {
                return wrong("its response entry was not written after its request entry");
            }
            lines.push(response);
        }
        if self.hashes != lines.iter().map(|line| hash_of(line)).collect::<Vec<_>>() {
            return wrong("its entries are not those whose hashes it names");
        }
        let Some(evidence) = evidence(&self.entries)? else {
            return if self.tokens.is_empty() { Ok(None) } else { wrong("it holds tokens, and no approval") };
        };
        let keys: Vec<&Value> = evidence.signed.iter().map(|signed| &signed.jwk).collect();
        if self.keys.iter().collect::<Vec<_>>() != keys {
            return wrong("its keys are not those of its response entry");
        }
        if self.tokens.is_empty() {
            return of_this_call(&asked, &evidence).map(|()| None).map_err(Problem::Wrong);
        }
        let given = self.tokens.iter().map(|given| given.token);
        if !given.eq(evidence.signed.iter().map(|signed| signed.token)) {
            return wrong("its tokens are not those of its response entry");
        }
        let tokens: Vec<String> = self.tokens.iter().map(|given| given.jwt.clone()).collect();
        // The digest of a call with sensitive values is told from another only by who has the log's key.
        let same = |digest: &str| Ok((!asked.is_hidden()).then(|| asked.digest.as_deref() == Some(digest)));
        let grade = judge(&asked, &evidence, &tokens, same).map_err(Problem::Wrong)?;
        if self.grade.is_some_and(|claimed| claimed != grade) {
            return wrong("it claims another grade than it proves");
        }
        Ok(Some(grade))
    }
}

/// The members that the issuer's signature covers, if a token of that grade is checked, and those for which there is only the
/// word of whoever exported the receipt: unless a log that is sealed holds lines with these hashes.
#[must_use]
pub fn covered(grade: Option<Grade>) -> (&'static [&'static str], &'static [&'static str]) {
    const WHO: [&str; 6] = ["issuer", "subject", "client", "tool", "origin", "arguments"];
    const OURS: [&str; 12] = [
        "tool",
        "origin",
        "arguments",
        "outcome",
        "message",
        "http_status",
        "effect",
        "spend",
        "run",
        "policy",
        "permission",
        "times",
    ];
    match grade {
        Some(Grade::A) => (&WHO, &OURS[3..]),
        Some(Grade::B | Grade::C) => (&WHO[..3], &OURS),
        None => (&[], &[]),
    }
}

/// What proves the approval of these entries, if there was one.
pub(super) fn evidence(entries: &Entries) -> Result<Option<Evidence>, Problem> {
    let Some(response) = &entries.response else { return Ok(None) };
    let ended: Option<Ended> = body(response.as_bytes());
    ended.map(|ended| ended.approval).ok_or_else(|| Problem::Wrong("its response entry cannot be read".to_owned()))
}

fn expired(token: Token, payload: &Value, now: DateTime<Utc>) -> Result<(), Problem> {
    let until = payload["exp"].as_f64();
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 have no more than 53 bits")]
    if until.is_some_and(|until| until < now.timestamp() as f64) {
        return Ok(());
    }
    #[expect(clippy::cast_possible_truncation, reason = "only shown")]
    let until = until.and_then(|until| DateTime::from_timestamp(until as i64, 0));
    let until = until.map_or("for ever".to_owned(), |until| until.to_rfc3339_opts(SecondsFormat::Secs, true));
    Err(Problem::StillGood { token: token.word(), until })
}
