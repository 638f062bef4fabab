//! The yes or no. Only the guard makes a [`Permit`], and without one nothing is executed.
//!
//! The order is fixed: the silent and cheap check first, a person second, the check again, a token last. Whatever cannot be
//! completed is a no.

mod forecast;
mod permission;
mod restore;

use std::cell::RefCell;

use serde::Serialize;

pub use self::{
    forecast::{Forecast, Refused},
    permission::{Answer, Asked, CheckRecord, PermissionRecord, Permissions},
    restore::Journaled,
};
use crate::{
    approval::{self, Approvals, Evidence},
    call::{ActionId, ApprovalId, Digest, Outcome, RunId},
    event::Tell,
    money::Money,
    oauth::token,
    policy::{self, Action, Applied, Credential, Policy, Spend, Spent, TokenWanted},
    secret::AccessToken,
    session::{
        self, Account, Session,
        vault::{self, Connected, Vault},
    },
    store::journal::{Purse, Sums},
};

/// What to do when nothing was sent and the login is another one by now.
const AGAIN: &str = "; ask for it again";

/// Limits per day count what was spent since this long ago: no time zone decides when a day begins.
const DAY: chrono::Duration = chrono::Duration::hours(24);

/// Lets one action run once. It cannot be copied or made elsewhere, and says which action it is for.
pub struct Permit {
    action: ActionId,
    digest: Digest,
    origin: String,
    token: Option<AccessToken>,
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").field("action", &self.action).field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Permit {
    /// Whether it is for exactly this action.
    #[must_use]
    pub fn covers(&self, action: &Action) -> bool {
        let digest = Action::digest_of(&action.tool, &action.origin, &action.arguments);
        self.action == action.id && self.origin == action.origin && digest.is_ok_and(|digest| digest == self.digest)
    }

    /// One for tests of what consumes it.
    #[cfg(test)]
    pub(crate) fn of(action: &Action) -> Self {
        Self { action: action.id.clone(), digest: action.digest, origin: action.origin.clone(), token: None }
    }

    /// The credential, for the executor.
    pub(crate) fn into_token(self) -> Option<AccessToken> {
        self.token
    }
}

/// What the guard decided.
#[derive(Debug)]
pub enum Decision {
    /// It may run.
    Permit {
        /// What lets it run.
        permit: Permit,
        /// For the log.
        record: Record,
    },
    /// It may not.
    Denial {
        /// In which way.
        outcome: Outcome,
        /// Why, for the model and the person.
        reason: String,
        /// For the log.
        record: Record,
    },
}

/// What is written into the audit log about a decision.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The rules and limits that spoke about it.
    pub policy: Vec<Applied>,
    /// What the permission server was asked, and said at last.
    pub permission: PermissionRecord,
    /// The same before the person was asked; none if nobody was.
    pub permission_before: Option<PermissionRecord>,
    /// The approval and what proves it.
    pub approval: Option<Evidence>,
    /// Which token the call carries.
    pub token: Option<TokenRecord>,
}

impl Record {
    /// What is known of a call whose decision was made by another process.
    #[must_use]
    pub fn proven_by(evidence: Option<Evidence>) -> Self {
        Self { approval: evidence, ..Self::default() }
    }
}

/// Which token a call carries. Never the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenRecord {
    /// `user`, `approval` or `connection`.
    pub source: &'static str,
    /// For which audience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// For which resource (RFC 8707).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Of which third-party account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// What it must allow.
    pub scopes: Vec<String>,
    /// What it allows, as far as the server said it apart from the approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granted_scopes: Option<Vec<String>>,
    /// The token's own id, if it is a JWT that has one (RFC 7519 §4.1.7).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

impl TokenRecord {
    /// None if the call carries no token.
    #[must_use]
    pub fn of(credential: &Credential) -> Option<Self> {
        let token = |source, wanted: &TokenWanted| Self {
            source,
            audience: wanted.audience.clone(),
            resource: wanted.resource.clone(),
            connection: None,
            scopes: wanted.scopes.clone(),
            granted_scopes: None,
            jti: None,
        };
        match credential {
            Credential::None => None,
            Credential::User(wanted) => Some(token("user", wanted)),
            Credential::Approval(wanted) => Some(token("approval", wanted)),
            Credential::Connection(wanted) => Some(Self {
                source: "connection",
                audience: None,
                resource: None,
                connection: Some(wanted.connection.clone()),
                scopes: wanted.scopes.clone(),
                granted_scopes: None,
                jti: None,
            }),
        }
    }
}

/// A no: how the call ends, and why.
type Refusal = (Outcome, String);

/// Decides about actions.
#[derive(Debug)]
pub struct Guard {
    /// Asks the person.
    pub approvals: Approvals,
    /// Asks the permission server.
    pub permissions: Permissions,
    /// What the person and the administrator forbid.
    pub policy: Policy,
    /// Has tokens of third-party accounts.
    pub vault: Vault,
}

impl Guard {
    /// Decides about one action. Every way in which this can fail is a denial.
    pub async fn authorize(&self, action: &Action, run: Option<&RunId>, tell: Tell<'_>) -> Decision {
        let mut record = Record::default();
        let decided = self.decide(action, run, tell, &mut record).await;
        decision(action, decided, record)
    }

    /// Writes down that the action of an approval is over. An action without an approval has nothing to write.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn executed(&self, record: &Record, outcome: Outcome) -> Result<(), approval::Error> {
        record.approval.as_ref().map_or(Ok(()), |evidence| self.approvals.executed(&evidence.approval, outcome))
    }

    async fn decide(
        &self,
        action: &Action,
        run: Option<&RunId>,
        tell: Tell<'_>,
        record: &mut Record,
    ) -> Result<Option<AccessToken>, Refusal> {
        let account = self.checks(action, run, record).await?;
        let (mut approved, mut turn) = (None, None);
        let mut unused = Unused { approvals: &self.approvals, approval: None };
        if let Some(approval) = policy::approval(action, &record.policy) {
            self.reachable(action, true).await?;
            let wanted = approval.wanted(&action.requirements.credential);
            let words = record.permission.words();
            // Until the person's turn has come, another call may have spent what this one would.
            let over = RefCell::new(None);
            let still = || {
                let mut applied = Vec::new();
                self.affordable(action, run, &account, &mut applied).map_err(|refusal| {
                    over.replace(Some((refusal, applied)));
                    approval::Error::NotAsked
                })
            };
            let granted = self.approvals.ask(action, &approval, wanted, words, run, &still, tell).await;
            if let Some((refusal, applied)) = over.take() {
                record.policy.extend(applied);
                return Err(refusal);
            }
            let granted = granted.map_err(|error| no_yes(&error))?;
            // Held until what it spends is written down.
            turn = granted.turn;
            unused.approval = Some(granted.evidence.approval.clone());
            record.approval = Some(granted.evidence);
            approved = Some(granted.token);
            // What was permitted before the phone rang may have been taken back while it did.
            record.permission_before = Some(record.permission.clone());
            self.permitted(action, &account, record).await?;
            self.still().await?;
        }
        let token = self.credential(action, approved, record).await?;
        self.reserve(action, run, &account, record)?;
        drop(turn);
        unused.approval = None;
        Ok(token)
    }

    /// The token that the request carries.
    async fn credential(
        &self,
        action: &Action,
        approved: Option<AccessToken>,
        record: &mut Record,
    ) -> Result<Option<AccessToken>, Refusal> {
        let (token, granted) = match &action.requirements.credential {
            Credential::None => return Ok(None),
            Credential::Connection(wanted) => {
                let had = self.vault.token(&wanted.connection, &wanted.scopes).await;
                let had = had.map_err(|error| no_token(&error))?;
                (had.token, had.scopes)
            }
            Credential::Approval(_) => {
                (approved.ok_or_else(|| (Outcome::NotPermitted, "it was not approved".to_owned()))?, None)
            }
            Credential::User(wanted) => {
                let had = user_token(&self.approvals.session, wanted).await?;
                (had.token, had.scopes)
            }
        };
        record.token = TokenRecord::of(&action.requirements.credential).map(|record| TokenRecord {
            granted_scopes: granted,
            jti: token::jti_of(&token),
            ..record
        });
        Ok(Some(token))
    }

    /// What is silent and cheap: policy, permission, and whether the money is there.
    async fn checks(&self, action: &Action, run: Option<&RunId>, record: &mut Record) -> Result<Account, Refusal> {
        self.approvals.stop.check().map_err(|error| (Outcome::NotPermitted, error.to_string()))?;
        let account = self.account().await?;
        record.policy = self.policy.judge(action);
        if let Some(denial) = policy::denial(&record.policy) {
            return Err((denial.outcome, denial.words()));
        }
        self.permitted(action, &account, record).await?;
        self.affordable(action, run, &account, &mut record.policy)?;
        Ok(account)
    }

    async fn account(&self) -> Result<Account, Refusal> {
        match self.approvals.session.account().await {
            Ok(Some(account)) => Ok(account),
            Ok(None) => Err((Outcome::LoginNeeded, "nobody is logged in".to_owned())),
            Err(error) => Err(no_account(&error)),
        }
    }

    /// A logout ends what waits for a yes, too, and whoever logs in after it has approved nothing.
    async fn still(&self) -> Result<(), Refusal> {
        match self.approvals.session.still().await {
            Ok(()) => Ok(()),
            Err(session::Error::NotLoggedIn) => {
                Err((Outcome::LoginNeeded, "the user has logged out since they were asked".to_owned()))
            }
            Err(error) => Err(no_account(&error)),
        }
    }

    /// The last look before a request leaves, each time it does: whether everything was stopped and, for an effect, whether
    /// the login under which it was decided is there still. A mark can be taken away; the login of before does not come back.
    ///
    /// # Errors
    /// Why it must not leave.
    pub async fn last_look(&self, has_effect: bool) -> Result<(), String> {
        self.approvals.stop.check().map_err(|stopped| stopped.to_string())?;
        match has_effect {
            true => self.approvals.session.still().await.map_err(|error| error.to_string()),
            false => Ok(()),
        }
    }

    async fn permitted(&self, action: &Action, account: &Account, record: &mut Record) -> Result<(), Refusal> {
        let wanted = action.requirements.permission.as_ref();
        record.permission = self.permissions.ask(&action.tool, wanted, account).await;
        if record.permission.is_yes() {
            return Ok(());
        }
        let why = record.permission.why.clone();
        Err((Outcome::NotPermitted, why.unwrap_or_else(|| "it is not permitted".to_owned())))
    }

    /// Nobody's phone rings for what cannot be done, whatever they answer: an account that is known not to be connected. The
    /// exchange itself comes last; where this cannot be told before, it decides.
    /// With `try_it`, a server that cannot be asked is tried out, and the token thrown away.
    async fn reachable(&self, action: &Action, try_it: bool) -> Result<(), Refusal> {
        let Credential::Connection(wanted) = &action.requirements.credential else { return Ok(()) };
        self.vault.ready().map_err(|error| no_token(&error))?;
        let lacks = match self.vault.connected(&wanted.connection, &wanted.scopes).await {
            Ok(Connected::No) => "no such account is connected".to_owned(),
            Ok(Connected::Without(scopes)) => format!("the connected account lacks {}", scopes.join(" ")),
            Err(error) if error.login_needed() => return Err(no_token(&error)),
            Ok(Connected::Unknown) if try_it => {
                let tried = self.vault.token(&wanted.connection, &wanted.scopes).await;
                return tried.map(drop).map_err(|error| no_token(&error));
            }
            Ok(Connected::Yes | Connected::Unknown) | Err(_) => return Ok(()),
        };
        let connection = &wanted.connection;
        Err((
            Outcome::ConnectionNeeded,
            format!("{connection}: {lacks}; run `agentctl connections connect {connection}`"),
        ))
    }

    /// Whether what it may spend fits the limits beside what was spent before.
    fn affordable(
        &self,
        action: &Action,
        run: Option<&RunId>,
        account: &Account,
        applied: &mut Vec<Applied>,
    ) -> Result<(), Refusal> {
        let spent = match &action.requirements.spend {
            Spend::Nothing => return Ok(()),
            Spend::AnyPrice => Spent::default(),
            Spend::UpTo(money) => {
                let sums = self.approvals.journal.spent(self.purse(action, account, run, money));
                let sums = sums.map_err(|error| (Outcome::Failed, error.to_string()))?;
                Spent { per_day: sums.per_day, per_run: sums.per_run }
            }
        };
        match self.policy.over(action, spent) {
            None => Ok(()),
            Some(over) => {
                let refusal = (over.outcome, over.words());
                applied.push(over);
                Err(refusal)
            }
        }
    }

    /// Writes down what it may spend, so that no other process can spend the same money. The last step before the permit.
    fn reserve(
        &self,
        action: &Action,
        run: Option<&RunId>,
        account: &Account,
        record: &mut Record,
    ) -> Result<(), Refusal> {
        let Spend::UpTo(money) = &action.requirements.spend else { return Ok(()) };
        let now = self.approvals.clock.now();
        let judge = |sums: Sums| match self.policy.over(action, Spent { per_day: sums.per_day, per_run: sums.per_run })
        {
            None => Ok(()),
            Some(over) => Err(over),
        };
        let purse = self.purse(action, account, run, money);
        match self.approvals.journal.reserve_spend(&action.id, purse, money, now, judge) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(over)) => {
                let refusal = (over.outcome, over.words());
                record.policy.push(over);
                Err(refusal)
            }
            Err(error) => Err((Outcome::Failed, format!("what it may spend cannot be written down: {error}"))),
        }
    }

    fn purse<'a>(
        &self,
        action: &'a Action,
        account: &'a Account,
        run: Option<&'a RunId>,
        money: &'a Money,
    ) -> Purse<'a> {
        let since = self.approvals.clock.now() - DAY;
        let (issuer, subject, currency) = (&account.iss, &account.sub, &money.currency);
        Purse { issuer, subject, run, currency, action: Some(&action.id), since }
    }
}

/// The one place where a permit is made.
fn decision(action: &Action, decided: Result<Option<AccessToken>, Refusal>, record: Record) -> Decision {
    match decided {
        Ok(token) => Decision::Permit {
            permit: Permit { action: action.id.clone(), digest: action.digest, origin: action.origin.clone(), token },
            record,
        },
        Err((outcome, reason)) => Decision::Denial { outcome, reason, record },
    }
}

/// A yes whose call has not got its permit yet. Dropped with it, because something else is missing or the person stopped
/// waiting, it is abandoned: nothing may take it up later.
struct Unused<'a> {
    approvals: &'a Approvals,
    approval: Option<ApprovalId>,
}

impl Drop for Unused<'_> {
    fn drop(&mut self) {
        if let Some(approval) = &self.approval {
            self.approvals.abandon(approval);
        }
    }
}

fn no_yes(error: &approval::Error) -> Refusal {
    match error {
        approval::Error::Session(other @ session::Error::OtherLogin) => no_account(other),
        error => (error.outcome(), error.to_string()),
    }
}

fn no_account(error: &session::Error) -> Refusal {
    match error.login_needed() {
        true => (Outcome::LoginNeeded, error.to_string()),
        false if matches!(error, session::Error::OtherLogin) => (Outcome::NotPermitted, format!("{error}{AGAIN}")),
        false => (Outcome::Failed, format!("nobody knows who is logged in: {error}")),
    }
}

fn no_token(error: &vault::Error) -> Refusal {
    let outcome = match error {
        error if error.connection_needed() => Outcome::ConnectionNeeded,
        error if error.login_needed() => Outcome::LoginNeeded,
        _ => Outcome::Failed,
    };
    (outcome, error.to_string())
}

async fn user_token(session: &Session, wanted: &TokenWanted) -> Result<session::Granted, Refusal> {
    let wanted = session::Wanted {
        audience: wanted.audience.clone(),
        resource: wanted.resource.clone(),
        scopes: wanted.scopes.clone(),
    };
    match session.access_token(&wanted).await {
        Ok(granted) => Ok(granted),
        Err(error) if error.login_needed() => Err((Outcome::LoginNeeded, error.to_string())),
        Err(error) => Err((Outcome::Failed, format!("no token for the call: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Requirements;
    use serde_json::{Map, json};

    fn action(origin: &str, qty: u32) -> Action {
        let arguments = Map::from_iter([("qty".to_owned(), json!(qty))]);
        Action {
            id: ActionId::from_text("act_1"),
            tool: "buy".to_owned(),
            toolset: "shop".to_owned(),
            effect: "irreversible",
            irreversible: true,
            digest: Action::digest_of("buy", origin, &arguments).unwrap(),
            arguments,
            sensitive: Vec::new(),
            origin: origin.to_owned(),
            requirements: Requirements::default(),
        }
    }

    #[test]
    fn a_permit_is_for_one_action_to_the_last_argument() {
        let approved = action("https://shop.example", 2);
        let permit = Permit::of(&approved);
        assert!(permit.covers(&approved));
        assert!(!permit.covers(&Action { id: ActionId::from_text("act_2"), ..approved.clone() }));
        assert!(!permit.covers(&action("https://evil.example", 2)));
        // The digest is computed anew: that the action carries the approved one does not help.
        assert!(!permit.covers(&Action { digest: approved.digest, ..action("https://shop.example", 9) }));
        assert!(!permit.covers(&Action { tool: "sell".to_owned(), ..approved }));
    }
}
