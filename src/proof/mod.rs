//! What the audit log can prove about an approval, offline: the issuer's signatures are checked again with the keys that were
//! kept, and what was signed is held against the entries.

mod receipt;

#[cfg(test)]
mod tests;

pub use receipt::{Entries, Problem, Receipt, TokenInClear, covered};

use std::{collections::HashMap, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    call::{ApprovalId, Digest, Outcome},
    oauth::{
        ciba,
        id_token::{self, Claims},
    },
    policy::{Action, Binding},
    store::{
        audit::{Audit, Kind, Link, Signed, Token, hash_of},
        seal::DataKey,
    },
};

/// How far the issuer's clock and ours may be apart, in seconds.
const SKEW: i64 = 30;
/// How long a request for approval may wait for its answer, in seconds.
const LONGEST: i64 = ciba::MAX_LIFETIME.as_secs().cast_signed();
/// From this format of the log on each effect has an entry that says that it was sent. In a log from before, its first such
/// entry says the same.
const SAYS_SENT: u64 = 2;
/// What begins a digest that is hidden because it was made from sensitive values.
const HIDDEN: &str = "hmac-sha-256:";

/// How much of "this person approved this call" the issuer has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Grade {
    /// The call itself: `authorization_details` with its digest.
    A,
    /// Who answered, and when; the details came in the same answer, unsigned.
    B,
    /// Who answered, and when. What the person saw is our word.
    C,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        })
    }
}

/// How many calls have which grade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Grades {
    /// See [`Grade::A`].
    #[serde(rename = "A")]
    pub a: u64,
    /// See [`Grade::B`].
    #[serde(rename = "B")]
    pub b: u64,
    /// See [`Grade::C`].
    #[serde(rename = "C")]
    pub c: u64,
    /// Approved, but no signed token was kept.
    pub without_token: u64,
    /// Approved, but there is no key to open the kept tokens with.
    pub not_checked: u64,
    /// Effects that were done without an approval, as their tool allows.
    pub not_approved: u64,
    /// Effects that may have happened, for which an approval was asked, and no yes stands in the log.
    pub without_yes: u64,
    /// Calls whose end was never written: a crash, or one that is still under way.
    pub without_end: u64,
}

/// A call whose end was never written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WithoutEnd {
    /// Its action.
    pub action: String,
    /// Which tool.
    pub tool: String,
    /// The run it belongs to.
    pub run: Option<String>,
}

/// The request entry of an action, as far as it is compared.
#[derive(Clone, Debug, Deserialize)]
pub struct Asked {
    /// Which tool.
    pub tool: String,
    /// `read`, `reversible`, `irreversible`; none of a command, which is no call of a tool.
    #[serde(default)]
    pub effect: Option<String>,
    /// With these arguments; those that are sensitive are hidden.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// At which origin.
    #[serde(default)]
    pub origin: String,
    /// The digest of the call, or what hides it; none of a command.
    #[serde(default)]
    pub digest: Option<String>,
    /// Who acted.
    #[serde(default)]
    pub actor: Actor,
    /// The run it belongs to.
    #[serde(default)]
    pub run: Option<String>,
}

/// Who acted, as the request entry says.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Actor {
    /// The issuer.
    pub iss: Option<String>,
    /// The person.
    pub sub: Option<String>,
}

/// What a response entry says about an approval, as far as it is compared. Other versions may write more.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
pub struct Evidence {
    /// Which approval.
    pub approval: ApprovalId,
    /// How it was tied to the call.
    pub binding: Binding,
    /// Who vouches.
    pub issuer: String,
    /// Who asked.
    pub client: String,
    /// Who approved.
    pub subject: String,
    /// SHA-256 of the `auth_req_id`.
    pub auth_req_id_sha256: String,
    /// SHA-256 of the ID token as it was signed.
    pub id_token_sha256: String,
    /// When the person was asked.
    pub requested_at: String,
    /// When the yes arrived.
    pub approved_at: String,
    /// What the issuer signed, sealed.
    #[serde(default)]
    pub signed: Vec<Signed>,
}

/// The first line of a file of the log, as far as it is looked at.
#[derive(Deserialize)]
struct Begin {
    format: u64,
}

/// The entry of an action that says that its request left, as far as it is compared.
#[derive(Clone, Debug, Deserialize)]
pub struct Sent {
    /// What proves its approval.
    #[serde(default)]
    pub approval: Option<Evidence>,
    /// The digest of the call, or what hides it.
    #[serde(default)]
    pub digest: Option<String>,
    /// The key under which its server does it once; none if there is no such key.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

/// The response entry of an action, as far as it is compared.
#[derive(Clone, Debug, Deserialize)]
pub struct Ended {
    /// How it ended.
    pub outcome: String,
    /// What proves its approval.
    pub approval: Option<Evidence>,
    /// The question that brought no such proof.
    #[serde(default)]
    pub asked: Option<Value>,
}

impl Asked {
    /// Whether the digest is hidden, so that it cannot be made anew from what stands here.
    fn is_hidden(&self) -> bool {
        self.digest.as_deref().is_some_and(|digest| digest.starts_with(HIDDEN))
    }

    /// Whether the digest is the one of this call.
    fn is_its_digest(&self) -> bool {
        self.is_hidden()
            || Action::digest_of(&self.tool, &self.origin, &self.arguments).map(Digest::to_text).ok().as_ref()
                == self.digest.as_ref()
    }
}

#[derive(Deserialize)]
struct Line<T> {
    body: T,
}

/// What an entry of this kind says; none if it says something else.
fn body<T: for<'a> Deserialize<'a>>(line: &[u8]) -> Option<T> {
    serde_json::from_slice::<Line<T>>(line).ok().map(|line| line.body)
}

/// Goes through a log with [`Audit::verify`] and grades every approval in it.
pub struct Grader<'a> {
    audit: &'a Audit,
    key: Option<&'a DataKey>,
    /// Requests whose response has not come yet.
    open: HashMap<String, Open>,
    /// Those whose only response was written without the key: one that is written with it stands in its place.
    doubtful: HashMap<String, (Open, Option<Count>)>,
    /// Each issuer's keys by their names.
    keys: HashMap<(String, String), Value>,
    /// What one approval alone has, the first entry that has it, and the action it is for, by the beginning of its hash.
    used: HashMap<String, (u64, String)>,
    /// Whoever writes the log by now says of each effect that it is sent.
    says_sent: bool,
    grades: Grades,
}

/// A call that has not ended.
#[derive(Debug)]
struct Open {
    seq: u64,
    asked: Asked,
    proven: Option<bool>,
    /// When it was sent last: the number of the entry, its key, and whether that was written with the log's key.
    sent: Option<(u64, Option<String>, Option<bool>)>,
}

/// As what one call counts.
#[derive(Clone, Copy, Debug)]
enum Count {
    Graded(Grade),
    WithoutToken,
    NotChecked,
    NotApproved,
    WithoutYes,
}

impl Grades {
    fn add(&mut self, count: Count) {
        *match count {
            Count::Graded(Grade::A) => &mut self.a,
            Count::Graded(Grade::B) => &mut self.b,
            Count::Graded(Grade::C) => &mut self.c,
            Count::WithoutToken => &mut self.without_token,
            Count::NotChecked => &mut self.not_checked,
            Count::NotApproved => &mut self.not_approved,
            Count::WithoutYes => &mut self.without_yes,
        } += 1;
    }
}

/// Outcomes that say that it never left.
const NEVER_SENT: [Outcome; 7] = [
    Outcome::Denied,
    Outcome::Cancelled,
    Outcome::Expired,
    Outcome::Invalid,
    Outcome::Limit,
    Outcome::ConnectionNeeded,
    Outcome::LoginNeeded,
];

/// Whether what was written with the key was written after somebody had put in this, which was not: it says nothing then.
fn is_void(before: Option<bool>, now: Option<bool>) -> bool {
    before == Some(false) && now == Some(true)
}

impl<'a> Grader<'a> {
    /// Without a key the kept tokens stay sealed.
    #[must_use]
    pub fn new(audit: &'a Audit, key: Option<&'a DataKey>) -> Self {
        let (open, doubtful, grades) = (HashMap::new(), HashMap::new(), Grades::default());
        Self { audit, key, open, doubtful, keys: HashMap::new(), used: HashMap::new(), says_sent: false, grades }
    }

    /// Looks at one entry.
    ///
    /// # Errors
    /// If what proves an approval does not.
    pub fn entry(&mut self, link: &Link<'_>, line: &[u8]) -> Result<(), String> {
        self.says_sent |= match link.kind {
            Kind::Begin => body::<Begin>(line).is_some_and(|begin| begin.format >= SAYS_SENT),
            kind => kind == Kind::Sent && link.proven != Some(false),
        };
        let Some(action) = link.action else { return Ok(()) };
        match link.kind {
            Kind::Request => {
                let asked: Asked = body(line).ok_or("its call cannot be read")?;
                let open = Open { seq: link.seq, asked, proven: link.proven, sent: None };
                if self.open.get(action).is_none_or(|first| !is_void(link.proven, first.proven)) {
                    self.open.insert(action.to_owned(), open);
                }
                Ok(())
            }
            Kind::Sent => {
                let sent: Sent = body(line).ok_or("what was sent cannot be read")?;
                self.sent(link, action, sent)
            }
            Kind::Response => {
                let ended: Ended = body(line).ok_or("its approval cannot be read")?;
                if let Some(evidence) = &ended.approval {
                    self.one_use(evidence, action, link.seq)?;
                }
                // That there is a request is looked at with the chain; it may have been removed.
                let open = self.open.remove(action);
                let Some(open) = open.or_else(|| self.doubtful.remove(action).map(|(open, _)| open)) else {
                    return Ok(());
                };
                let count = self.ended(link, &open, ended);
                if link.proven == Some(false) {
                    self.doubtful.insert(action.to_owned(), (open, count.clone().ok().flatten()));
                } else if let Ok(Some(count)) = count {
                    self.grades.add(count);
                }
                count.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// What there was, at the end.
    #[must_use]
    pub fn grades(&self) -> Grades {
        let mut grades = Grades { without_end: self.open.len() as u64, ..self.grades };
        self.doubtful.values().filter_map(|(_, count)| *count).for_each(|count| grades.add(count));
        grades
    }

    /// The calls whose end was never written, in the order of the log.
    #[must_use]
    pub fn without_end(&self) -> Vec<WithoutEnd> {
        let mut open: Vec<_> = self.open.iter().collect();
        open.sort_by_key(|(_, open)| open.seq);
        let call = |(action, Open { asked, .. }): (&String, &Open)| WithoutEnd {
            action: action.clone(),
            tool: asked.tool.clone(),
            run: asked.run.clone(),
        };
        open.into_iter().map(call).collect()
    }

    /// What leaves is what was asked for, and leaves a second time only under the key by which its server does it once.
    fn sent(&mut self, link: &Link<'_>, action: &str, sent: Sent) -> Result<(), String> {
        if let Some(evidence) = &sent.approval {
            self.one_use(evidence, action, link.seq)?;
            self.same_keys(evidence)?;
        }
        // An end that nobody proves may stand before it.
        let doubtful = self.doubtful.get_mut(action).map(|(open, _)| open);
        let Some(open) = self.open.get_mut(action).or(doubtful) else { return Ok(()) };
        let before = open.sent.clone();
        if before.as_ref().is_none_or(|(_, _, proven)| !is_void(link.proven, *proven)) {
            open.sent = Some((link.seq, sent.idempotency_key.clone(), link.proven));
        }
        if open.asked.digest.is_some() && open.asked.digest != sent.digest {
            return Err("what was sent is another call than was asked for".to_owned());
        }
        if let Some(evidence) = &sent.approval {
            of_this_call(&open.asked, evidence)?;
        }
        match before {
            Some((seq, key, proven))
                if !is_void(proven, link.proven) && (key.is_none() || key != sent.idempotency_key) =>
            {
                Err(format!("it was sent by entry {seq} already, and not under the same idempotency key"))
            }
            _ => Ok(()),
        }
    }

    fn ended(&mut self, link: &Link<'_>, open: &Open, ended: Ended) -> Result<Option<Count>, String> {
        let Open { asked, sent, .. } = open;
        let has_effect = asked.effect.as_ref().is_some_and(|effect| effect != "read");
        match sent.as_ref().filter(|(_, _, proven)| !is_void(*proven, link.proven)) {
            Some((seq, ..)) if NEVER_SENT.iter().any(|outcome| outcome.word() == ended.outcome) => {
                return Err(format!("it ended as {}, and entry {seq} says that it was sent", ended.outcome));
            }
            // An end that nobody proves is named as that.
            None if self.says_sent && has_effect && ended.outcome == "done" && link.proven != Some(false) => {
                return Err("it is told as done, and no entry says that it was sent".to_owned());
            }
            _ => {}
        }
        let Some(evidence) = ended.approval else {
            let happened = matches!(ended.outcome.as_str(), "done" | "unknown");
            let count = if ended.asked.is_some() { Count::WithoutYes } else { Count::NotApproved };
            return Ok((happened && has_effect).then_some(count));
        };
        self.same_keys(&evidence)?;
        let count = match (evidence.signed.is_empty(), self.key) {
            (true, _) => of_this_call(asked, &evidence).map(|()| Count::WithoutToken)?,
            (false, None) => of_this_call(asked, &evidence).map(|()| Count::NotChecked)?,
            (false, Some(key)) => Count::Graded(grade(self.audit, key, asked, &evidence)?),
        };
        Ok(Some(count))
    }

    /// One yes is good for one call. Whoever copies what proves it to another action must copy one of these.
    fn one_use(&mut self, evidence: &Evidence, action: &str, seq: u64) -> Result<(), String> {
        for (what, value) in [
            ("approval", evidence.approval.as_str()),
            ("request to the issuer", &evidence.auth_req_id_sha256),
            ("ID token", &evidence.id_token_sha256),
        ] {
            let mut name = hash_of(format!("{what} {value}").as_bytes());
            name.truncate(32);
            let (first, of) = self.used.entry(name).or_insert_with(|| (seq, action.to_owned()));
            if of != action && !value.is_empty() {
                return Err(format!("its {what} was used by entry {first} already: one yes is good for one call"));
            }
        }
        Ok(())
    }

    /// An issuer gives a name to one key. Whoever adds a key of their own must give it a name that is in use, or a new one
    /// that the issuer never published.
    fn same_keys(&mut self, evidence: &Evidence) -> Result<(), String> {
        for signed in &evidence.signed {
            let Some(kid) = signed.jwk["kid"].as_str() else { continue };
            let known = self.keys.entry((evidence.issuer.clone(), kid.to_owned()));
            if known.or_insert_with(|| signed.jwk.clone()) != &signed.jwk {
                return Err(format!("its issuer's key {kid} is another one than in an entry before"));
            }
        }
        Ok(())
    }
}

/// The grade of one action of this log; none if it was not approved, or no token was kept.
///
/// # Errors
/// If what proves its approval does not.
pub fn grade_of(audit: &Audit, key: &DataKey, entries: &Entries) -> Result<Option<Grade>, String> {
    let asked: Asked = body(entries.request.as_bytes()).ok_or("its request entry cannot be read")?;
    match receipt::evidence(entries).map_err(|problem| problem.to_string())? {
        Some(evidence) if !evidence.signed.is_empty() => grade(audit, key, &asked, &evidence).map(Some),
        // Nobody signed that it is this call; that it is another one shows all the same.
        Some(evidence) => of_this_call(&asked, &evidence).map(|()| None),
        None => Ok(None),
    }
}

fn grade(audit: &Audit, key: &DataKey, asked: &Asked, evidence: &Evidence) -> Result<Grade, String> {
    let digest = |digest: &str| match asked.digest.as_deref() {
        Some(hidden) if asked.is_hidden() => {
            audit.hides(hidden, "digest", &digest.into()).map(Some).map_err(|error| error.to_string())
        }
        own => Ok(Some(own == Some(digest))),
    };
    judge(asked, evidence, &open(evidence, key)?, digest)
}

/// The kept tokens in clear.
///
/// # Errors
/// If one of them does not open.
pub fn open(evidence: &Evidence, key: &DataKey) -> Result<Vec<String>, String> {
    let open = |signed: &Signed| {
        let word = signed.token.word();
        signed.open(key, &evidence.approval).map_err(|_| format!("its {word} does not open with this key"))
    };
    evidence.signed.iter().map(open).collect()
}

/// Whether an approval is one of who asked, for the call that stands there: what needs no token to be seen.
///
/// # Errors
/// What does not fit.
pub fn of_this_call(asked: &Asked, evidence: &Evidence) -> Result<(), String> {
    if asked.actor.iss.as_ref().is_some_and(|iss| *iss != evidence.issuer)
        || asked.actor.sub.as_ref().is_some_and(|sub| *sub != evidence.subject)
    {
        return Err("it was approved by somebody else than who asked for it".to_owned());
    }
    if !asked.is_its_digest() {
        return Err("its digest is the one of another call than stands there".to_owned());
    }
    Ok(())
}

/// Checks the kept tokens of an approval, given in clear and in their order, against its entries. `digest` says whether a
/// digest that the issuer signed is that of the call, if it can be told.
///
/// # Errors
/// What does not fit.
pub fn judge(
    asked: &Asked,
    evidence: &Evidence,
    tokens: &[String],
    digest: impl Fn(&str) -> Result<Option<bool>, String>,
) -> Result<Grade, String> {
    of_this_call(asked, evidence)?;
    let mut grade = if evidence.binding == Binding::Details { Grade::B } else { Grade::C };
    let mut by_id_token = false;
    for (signed, jwt) in evidence.signed.iter().zip(tokens) {
        let word = signed.token.word();
        let named = match signed.token {
            Token::IdToken => evidence.id_token_sha256 == signed.sha256,
            Token::AccessToken => true,
        };
        if hash_of(jwt.as_bytes()) != signed.sha256 || !named {
            return Err(format!("its {word} is another one than was kept"));
        }
        let payload =
            id_token::kept_payload(jwt, &signed.jwk).map_err(|flaw| format!("its {word} does not prove it: {flaw}"))?;
        fits(&payload, signed.token, evidence)?;
        by_id_token |= signed.token == Token::IdToken;
        let details = payload.get("authorization_details").and_then(Value::as_array);
        // Auth0's details hold it as one of the properties that Guardian shows.
        let of = |detail: &'_ Value| {
            detail["digest"].as_str().or(detail["properties"]["digest"]["value"].as_str()).map(str::to_owned)
        };
        let digests: Vec<String> = details.into_iter().flatten().filter_map(of).collect();
        for signed_digest in digests {
            match digest(&signed_digest)? {
                // Of a call with hidden values only our word says that the digest is its own.
                Some(true) if asked.is_hidden() => {}
                Some(true) => grade = Grade::A,
                Some(false) => return Err(format!("the issuer signed another call in its {word}")),
                None => {}
            }
        }
    }
    if by_id_token { Ok(grade) } else { Err("no ID token was kept with it".to_owned()) }
}

/// Whether a token is the one of this approval: its issuer, its person, its client, its time.
fn fits(payload: &Value, token: Token, evidence: &Evidence) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("its {} {what}", token.word()));
    let seconds = |time: &str| DateTime::parse_from_rfc3339(time).map(|time| time.with_timezone(&Utc).timestamp());
    let (Ok(requested), Ok(approved)) = (seconds(&evidence.requested_at), seconds(&evidence.approved_at)) else {
        return Err("its times cannot be read".to_owned());
    };
    if payload["iss"] != evidence.issuer.as_str() {
        return wrong("is from another issuer");
    }
    if payload["sub"] != evidence.subject.as_str() {
        return wrong("is about somebody else");
    }
    let issued = payload["iat"].as_f64().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 have no more than 53 bits")]
    let within = issued >= (requested - SKEW) as f64 && issued <= (approved.min(requested + LONGEST) + SKEW) as f64;
    if !within {
        return wrong("was not signed between the request and the answer");
    }
    match token {
        Token::IdToken => {
            let Ok(claims) = serde_json::from_value::<Claims>(payload.clone()) else {
                return wrong("cannot be read");
            };
            if claims.aud != [evidence.client.as_str()] {
                return wrong("is for another client");
            }
            // It was good when it arrived.
            if approved > claims.exp + SKEW {
                return wrong("had expired before the answer");
            }
            let answers = payload["urn:openid:params:jwt:claim:auth_req_id"].as_str();
            if answers.is_some_and(|id| hash_of(id.as_bytes()) != evidence.auth_req_id_sha256) {
                return wrong("answers another request");
            }
        }
        Token::AccessToken => {
            let client = payload["client_id"].as_str().or(payload["azp"].as_str());
            if client.is_some_and(|client| client != evidence.client) {
                return wrong("is for another client");
            }
        }
    }
    Ok(())
}
