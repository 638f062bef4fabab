//! Fine-grained permission: what the server is asked about an action, and what its answer means.
//!
//! Two things have to hold: the person may do it, and, where the profile asks for it, this agent may do it too. Everything
//! but a clean yes to each is a no.

use serde::Serialize;

use crate::{
    fga::{Check, Fga, TupleKey},
    policy::{Permission, TupleUser},
    session::Account,
};

/// Who is asked whether an action is permitted.
#[derive(Debug)]
pub enum Permissions {
    /// Nobody is configured: a tool that declares a permission is refused.
    Unset,
    /// Nobody, by decision of the profile.
    None,
    /// A server.
    Fga(Box<Asked>),
}

/// A permission server, and how people and the agent are called there.
#[derive(Debug)]
pub struct Asked {
    /// The server.
    pub fga: Fga,
    /// Whether people go by their verified e-mail address instead of their subject.
    pub by_email: bool,
    /// Whether the agent needs the same permission.
    pub check_agent: bool,
    /// The approval client, which is the agent's name there.
    pub agent: Option<String>,
}

/// How permission stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Answer {
    /// The call ended before it came to that.
    #[default]
    #[serde(rename = "not asked")]
    NotAsked,
    /// The tool declares none.
    #[serde(rename = "not required")]
    NotRequired,
    /// The profile does without.
    #[serde(rename = "none (by profile)")]
    None,
    /// Every question was answered with yes.
    #[serde(rename = "allowed")]
    Allowed,
    /// The server says no.
    #[serde(rename = "not allowed")]
    NotAllowed,
    /// Nobody knows, which is a no.
    #[serde(rename = "unknown")]
    Unknown,
}

/// What was asked, and what came of it, for the log and for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PermissionRecord {
    /// The sum of it.
    pub answer: Answer,
    /// The store that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// The authorization model, if one is pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Each question.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckRecord>,
    /// Why it is a no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckRecord {
    /// Such as `user:auth0|123`.
    pub user: String,
    /// Such as `can_buy`.
    pub relation: String,
    /// Such as `shop:main`.
    pub object: String,
    /// None if there was no clean answer.
    pub allowed: Option<bool>,
}

impl PermissionRecord {
    /// Whether the action may go on.
    #[must_use]
    pub fn is_yes(&self) -> bool {
        matches!(self.answer, Answer::NotRequired | Answer::None | Answer::Allowed)
    }

    /// `not required`, `none (by profile)`, or `fga` once the server said yes: for the person, beside the approval.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self.answer {
            Answer::NotAsked => "not asked",
            Answer::NotRequired => "not required",
            Answer::None => "none (by profile)",
            Answer::Allowed => "fga",
            Answer::NotAllowed => "not allowed",
            Answer::Unknown => "unknown",
        }
    }

    fn no(answer: Answer, why: String) -> Self {
        Self { answer, why: Some(why), ..Self::default() }
    }
}

impl Permissions {
    /// Asks about one action of the tool.
    pub async fn ask(&self, tool: &str, wanted: Option<&Permission>, account: &Account) -> PermissionRecord {
        let only = |answer| PermissionRecord { answer, ..PermissionRecord::default() };
        let Some(wanted) = wanted else { return only(Answer::NotRequired) };
        match self {
            Self::None => only(Answer::None),
            Self::Unset => {
                let Permission { relation, object, .. } = wanted;
                let why = format!(
                    "{tool} needs the permission {relation} on {object}, and no permission server is configured \
                     (AGENTCTL_FGA_API_URL; or AGENTCTL_PERMISSION=none to do without)"
                );
                PermissionRecord::no(Answer::Unknown, why)
            }
            Self::Fga(asked) => asked.ask(wanted, account).await,
        }
    }
}

impl Asked {
    async fn ask(&self, wanted: &Permission, account: &Account) -> PermissionRecord {
        let mut record = match self.questions(wanted, account) {
            Err(why) => PermissionRecord::no(Answer::Unknown, why),
            Ok(questions) => self.answers(&questions).await,
        };
        record.store = Some(self.fga.store_id().to_owned());
        record.model = self.fga.model_id().map(str::to_owned);
        record
    }

    async fn answers(&self, questions: &[Check]) -> PermissionRecord {
        let (allowed, trouble): (Vec<Option<bool>>, _) = match self.fga.check(questions).await {
            Ok(answers) => (answers.into_iter().map(Some).collect(), None),
            Err(error) => (vec![None; questions.len()], Some(error.to_string())),
        };
        let checks: Vec<CheckRecord> = questions
            .iter()
            .zip(allowed)
            .map(|(Check { tuple_key: TupleKey { user, relation, object }, .. }, allowed)| CheckRecord {
                user: user.clone(),
                relation: relation.clone(),
                object: object.clone(),
                allowed,
            })
            .collect();
        let no = checks.iter().find(|check| check.allowed != Some(true));
        let (answer, why) = match (trouble, no) {
            (Some(trouble), _) => (Answer::Unknown, Some(trouble)),
            (None, Some(CheckRecord { user, relation, object, .. })) => {
                let who = if user.starts_with("agent:") { "this agent" } else { "the user" };
                (
                    Answer::NotAllowed,
                    Some(format!("{who} ({user}) does not have the permission {relation} on {object}")),
                )
            }
            (None, None) => (Answer::Allowed, None),
        };
        PermissionRecord { answer, checks, why, ..PermissionRecord::default() }
    }

    fn questions(&self, wanted: &Permission, account: &Account) -> Result<Vec<Check>, String> {
        let person = self.person(account)?;
        let agent = self.agent.as_deref().map(|client| name("agent", client)).transpose()?;
        let agent = agent.ok_or("the agent has no name at the permission server: there is no approval client");
        let mut contextual_tuples = Vec::with_capacity(wanted.contextual_tuples.len());
        for tuple in &wanted.contextual_tuples {
            contextual_tuples.push(TupleKey {
                user: match &tuple.user {
                    TupleUser::Me => person.clone(),
                    TupleUser::Agent => agent.clone()?,
                    TupleUser::Named(user) => user.clone(),
                },
                relation: tuple.relation.clone(),
                object: tuple.object.clone(),
            });
        }
        let question = |user: String| Check {
            tuple_key: TupleKey { user, relation: wanted.relation.clone(), object: wanted.object.clone() },
            contextual_tuples: contextual_tuples.clone(),
            context: wanted.context.clone(),
        };
        let mut questions = vec![question(person)];
        if self.check_agent {
            questions.push(question(agent?));
        }
        Ok(questions)
    }

    fn person(&self, account: &Account) -> Result<String, String> {
        if !self.by_email {
            return name("user", &account.sub);
        }
        match (&account.email, account.email_verified) {
            (Some(email), Some(true)) => name("user", email),
            _ => Err("the permission server knows people by e-mail, and the login has no verified address".to_owned()),
        }
    }
}

/// `type:id`, if the id can be one there: `:`, `#`, `*` and blanks have a meaning of their own.
fn name(kind: &str, id: &str) -> Result<String, String> {
    let fits = !id.is_empty() && !id.chars().any(|c| c.is_whitespace() || c.is_control() || ":#*".contains(c));
    let name = format!("{kind}:{id}");
    if fits && name.len() <= 512 {
        Ok(name)
    } else {
        Err(format!("{id:?} cannot be asked about at the permission server as {kind}:ID"))
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::Map;

    use super::*;
    use crate::{fga, policy::ContextualTuple};

    fn asked(by_email: bool, check_agent: bool, agent: Option<&str>) -> Asked {
        Asked { fga: fga::tests::nowhere(), by_email, check_agent, agent: agent.map(str::to_owned) }
    }

    fn account(sub: &str, email: Option<&str>, verified: Option<bool>) -> Account {
        Account {
            iss: "https://a.example".to_owned(),
            sub: sub.to_owned(),
            name: None,
            preferred_username: None,
            email: email.map(str::to_owned),
            email_verified: verified,
            scopes: Vec::new(),
            logged_in_at: DateTime::UNIX_EPOCH,
            refreshable: true,
        }
    }

    fn wanted(user: TupleUser) -> Permission {
        let tuple = ContextualTuple { user, relation: "member".to_owned(), object: "group:staff".to_owned() };
        Permission {
            relation: "read_okta".to_owned(),
            object: "okta:main".to_owned(),
            contextual_tuples: vec![tuple],
            context: Map::new(),
        }
    }

    #[test]
    fn the_person_and_the_agent_are_asked_about_by_name() {
        let users = |asked: &Asked, account: &Account, tuple: TupleUser| -> Result<Vec<String>, String> {
            let questions = asked.questions(&wanted(tuple), account)?;
            let tuple = questions[0].contextual_tuples[0].user.clone();
            Ok(questions.into_iter().map(|question| question.tuple_key.user).chain([tuple]).collect())
        };
        let ada = account("auth0|1", Some("ada@example.com"), Some(true));
        let me = || TupleUser::Me;
        assert_eq!(users(&asked(false, false, None), &ada, me()).unwrap(), ["user:auth0|1", "user:auth0|1"]);
        assert_eq!(users(&asked(true, false, None), &ada, me()).unwrap()[0], "user:ada@example.com");
        assert_eq!(
            users(&asked(false, true, Some("cli")), &ada, TupleUser::Agent).unwrap(),
            ["user:auth0|1", "agent:cli", "agent:cli"]
        );
        let named = TupleUser::Named("team:a".to_owned());
        assert_eq!(users(&asked(false, false, None), &ada, named).unwrap()[1], "team:a");
        assert!(users(&asked(false, true, None), &ada, me()).unwrap_err().contains("no approval client"));
        assert!(users(&asked(false, false, None), &ada, TupleUser::Agent).is_err());
        for (email, verified) in [(None, Some(true)), (Some("ada@example.com"), None), (Some("a@b"), Some(false))] {
            assert!(users(&asked(true, false, None), &account("1", email, verified), me()).is_err());
        }
    }

    #[test]
    fn nobody_is_called_by_a_wildcard_or_a_userset() {
        for sub in ["", "*", "a b", "a:b", "group#member", "a\nb", &"x".repeat(600)] {
            let account = account(sub, None, None);
            assert!(asked(false, false, None).questions(&wanted(TupleUser::Me), &account).is_err(), "{sub:?}");
        }
    }

    #[tokio::test]
    async fn who_is_not_asked_says_so() {
        let ada = account("1", None, None);
        let ask = async |permissions: &Permissions, wanted: Option<&Permission>| {
            let record = permissions.ask("tool", wanted, &ada).await;
            (record.is_yes(), record.answer)
        };
        let permission = wanted(TupleUser::Me);
        let permission = Some(&permission);
        assert_eq!(ask(&Permissions::Unset, None).await, (true, Answer::NotRequired));
        assert_eq!(ask(&Permissions::None, permission).await, (true, Answer::None));
        assert_eq!(ask(&Permissions::Unset, permission).await, (false, Answer::Unknown));
        let down = Permissions::Fga(Box::new(asked(false, false, None)));
        assert_eq!(ask(&down, permission).await, (false, Answer::Unknown));
        assert_eq!(ask(&down, None).await, (true, Answer::NotRequired));
    }
}
