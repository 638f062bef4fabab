//! What the guard would decide, found out without doing it: nobody's phone rings, no third party is asked for a token, and
//! no call is written down. A login may be renewed for it, as for any command.

use serde::Serialize;

use super::{Guard, PermissionRecord, Record, Refusal, TokenRecord, user_token};
use crate::{
    approval::Foreseen,
    call::{Outcome, RunId},
    policy::{self, Action, Applied, Credential},
    session::vault::Connected,
};

/// What would become of an action.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Forecast {
    /// The rules and limits that speak about it.
    pub policy: Vec<Applied>,
    /// What the permission server was asked, and said.
    pub permission: PermissionRecord,
    /// What the person would be asked.
    pub approval: Option<Foreseen>,
    /// Which token it would carry.
    pub token: Option<TokenRecord>,
    /// Whether the third-party account is connected: `connected`, `missing`, `lacks scopes` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<&'static str>,
    /// How the call would end without having been done; none if it would run, once the person approves where they are asked.
    pub refused: Option<Refused>,
}

/// A no that is known before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// In which way.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
}

impl Guard {
    /// What would become of an action if it were called now. The same questions in the same order as
    /// [`Guard::authorize`] asks them, up to the person.
    pub async fn foresee(&self, action: &Action, run: Option<&RunId>) -> Forecast {
        let mut forecast = Forecast { token: TokenRecord::of(&action.requirements.credential), ..Forecast::default() };
        let mut record = Record::default();
        let refused = self.look_ahead(action, run, &mut record, &mut forecast).await.err();
        forecast.policy = record.policy;
        forecast.permission = record.permission;
        forecast.refused = refused.map(|(outcome, reason)| Refused { outcome, reason });
        forecast
    }

    async fn look_ahead(
        &self,
        action: &Action,
        run: Option<&RunId>,
        record: &mut Record,
        forecast: &mut Forecast,
    ) -> Result<(), Refusal> {
        let account = self.checks(action, run, record).await?;
        if let Credential::Connection(wanted) = &action.requirements.credential {
            let connected = self.vault.connected(&wanted.connection, &wanted.scopes).await;
            forecast.connection = Some(match connected {
                Ok(Connected::Yes) => "connected",
                Ok(Connected::No) => "missing",
                Ok(Connected::Without(_)) => "lacks scopes",
                Ok(Connected::Unknown) | Err(_) => "unknown",
            });
        }
        self.reachable(action, false).await?;
        if let Some(approval) = policy::approval(action, &record.policy) {
            let foreseen = self.approvals.foresee(action, &approval, &account, run).await;
            forecast.approval = Some(foreseen.map_err(|error| (error.outcome(), error.to_string()))?);
        }
        if let Credential::User(wanted) = &action.requirements.credential {
            user_token(&self.approvals.session, wanted).await?;
        }
        Ok(())
    }
}
