//! The yes or no. Only the guard makes a [`Permit`], and without one nothing is executed.
//!
//! The order is fixed: the silent and cheap check first, a person second, the check again, a token last. Whatever cannot be
//! completed is a no.

use crate::{
    approval::{self, Approvals, Evidence},
    call::{ActionId, ApprovalId, Digest, Outcome, RunId},
    event::Tell,
    policy::{Action, Credential, TokenWanted},
    secret::AccessToken,
    session::{self, Session},
};

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
    /// `not required`, `none (by profile)`, or the answer.
    pub permission: String,
    /// The approval and what proves it.
    pub approval: Option<Evidence>,
    /// The audience and the scopes of the token.
    pub token: Option<TokenWanted>,
}

/// What the profile says about fine-grained permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionMode {
    /// No server is configured: a tool that declares a permission is refused.
    Unset,
    /// The profile does without.
    None,
}

/// Decides about actions.
#[derive(Debug)]
pub struct Guard {
    approvals: Approvals,
    permission: PermissionMode,
}

impl Guard {
    /// A guard of one profile.
    #[must_use]
    pub fn new(approvals: Approvals, permission: PermissionMode) -> Self {
        Self { approvals, permission }
    }

    /// Decides about one action. Every way in which this can fail is a denial.
    pub async fn authorize(&self, action: &Action, run: Option<&RunId>, tell: Tell<'_>) -> Decision {
        let mut record = Record::default();
        match self.decide(action, run, tell, &mut record).await {
            Ok(token) => Decision::Permit {
                permit: Permit {
                    action: action.id.clone(),
                    digest: action.digest,
                    origin: action.origin.clone(),
                    token,
                },
                record,
            },
            Err((outcome, reason)) => Decision::Denial { outcome, reason, record },
        }
    }

    /// Writes down that the action of an approval is being done, or is over. An action without an approval has nothing to
    /// write.
    ///
    /// # Errors
    /// If the journal cannot be written: then it must not run.
    pub fn executing(&self, record: &Record) -> Result<(), approval::Error> {
        record.approval.as_ref().map_or(Ok(()), |evidence| self.approvals.executing(&evidence.approval))
    }

    /// See [`Guard::executing`].
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
    ) -> Result<Option<AccessToken>, (Outcome, String)> {
        record.permission = self.permitted(action)?;
        let no_connections = || (Outcome::ConnectionNeeded, "third-party accounts cannot be connected yet".to_owned());
        // Nobody's phone rings for what cannot be done, whatever they answer.
        if matches!(action.requirements.credential, Credential::Connection(_)) {
            return Err(no_connections());
        }
        let mut approved = None;
        let mut unused = Unused { approvals: &self.approvals, approval: None };
        if let Some(approval) = &action.requirements.approval {
            let wanted = match &action.requirements.credential {
                Credential::Approval(wanted) => wanted.clone(),
                _ => TokenWanted::default(),
            };
            let granted = self
                .approvals
                .ask(action, approval, &wanted, &record.permission, run, tell)
                .await
                .map_err(|error| (error.outcome(), error.to_string()))?;
            unused.approval = Some(granted.evidence.approval.clone());
            record.approval = Some(granted.evidence);
            approved = Some(granted.token);
            // What was permitted before the phone rang may have been taken back while it did.
            record.permission = self.permitted(action)?;
        }
        let token = match &action.requirements.credential {
            Credential::None => Ok(None),
            Credential::Connection(_) => Err(no_connections()),
            Credential::Approval(wanted) => {
                record.token = Some(wanted.clone());
                approved.map(Some).ok_or_else(|| (Outcome::NotPermitted, "it was not approved".to_owned()))
            }
            Credential::User(wanted) => {
                record.token = Some(wanted.clone());
                user_token(&self.approvals.session, wanted).await.map(Some)
            }
        }?;
        unused.approval = None;
        Ok(token)
    }

    fn permitted(&self, action: &Action) -> Result<String, (Outcome, String)> {
        match (&action.requirements.permission, self.permission) {
            (None, _) => Ok("not required".to_owned()),
            (Some(_), PermissionMode::None) => Ok("none (by profile)".to_owned()),
            (Some(permission), PermissionMode::Unset) => Err((
                Outcome::NotPermitted,
                format!(
                    "{} needs the permission {} on {}, and no permission server is configured",
                    action.tool, permission.relation, permission.object
                ),
            )),
        }
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

async fn user_token(session: &Session, wanted: &TokenWanted) -> Result<AccessToken, (Outcome, String)> {
    let wanted = session::Wanted {
        audience: wanted.audience.clone(),
        resource: wanted.resource.clone(),
        scopes: wanted.scopes.clone(),
    };
    match session.access_token(&wanted).await {
        Ok(granted) => Ok(granted.token),
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
            effect: "irreversible",
            irreversible: true,
            digest: Action::digest_of("buy", origin, &arguments).unwrap(),
            arguments,
            origin: origin.to_owned(),
            requirements: Requirements::default(),
        }
    }

    #[test]
    fn a_permit_is_for_one_action_to_the_last_argument() {
        let approved = action("https://shop.example", 2);
        let permit = Permit {
            action: approved.id.clone(),
            digest: approved.digest,
            origin: approved.origin.clone(),
            token: None,
        };
        assert!(permit.covers(&approved));
        assert!(!permit.covers(&Action { id: ActionId::from_text("act_2"), ..approved.clone() }));
        assert!(!permit.covers(&action("https://evil.example", 2)));
        // The digest is computed anew: that the action carries the approved one does not help.
        assert!(!permit.covers(&Action { digest: approved.digest, ..action("https://shop.example", 9) }));
        assert!(!permit.covers(&Action { tool: "sell".to_owned(), ..approved }));
    }
}
