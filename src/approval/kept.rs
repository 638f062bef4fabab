//! What an approval keeps in the journal about its call. Sensitive values do not lie there in clear.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Approvals, Error, terms::Terms};
use crate::{
    call::{ApprovalId, Digest},
    policy::Action,
    session,
    store::{
        journal::{ApprovalRow, NewApproval},
        sealed::{self, HIDDEN},
    },
};

/// What a secret of an approval is for. It is sealed for this and nothing else, so that who can write into the journal and
/// has no key cannot put it under another call, another person, another login or a later time, nor use it for one more action.
pub(super) struct Place<'a> {
    pub(super) asked: &'a NewApproval,
    /// Until when it is good.
    pub(super) until: DateTime<Utc>,
    /// What proves the yes; empty before it.
    pub(super) evidence: &'a str,
}

impl Place<'_> {
    /// The label of the secret `what`.
    pub(super) fn of(&self, what: &str) -> String {
        let asked = self.asked;
        let mut all = json!([
            asked.action,
            asked.run,
            asked.issuer,
            asked.subject,
            asked.client_id,
            asked.tool,
            asked.plan,
            asked.digest,
            asked.binding_message,
            asked.code,
            asked.terms,
            asked.created_at.timestamp_millis(),
            self.until.timestamp_millis(),
            self.evidence,
        ]);
        // What was sealed by an earlier version, under a login without an id, still opens under that login.
        if let (Some(login), Some(all)) = (&asked.login, all.as_array_mut()) {
            all.push(login.as_str().into());
        }
        let all = Digest::of_bytes(all.to_string().as_bytes()).to_hex();
        format!("{} for {all}", label(&asked.id, what))
    }
}

fn label(id: &ApprovalId, what: &str) -> String {
    format!("{what} of {id}")
}

impl Approvals {
    /// Seals a secret for its place.
    pub(super) async fn seal(&self, label: &str, secret: &str) -> Result<Vec<u8>, Error> {
        self.store.data_key().await?.seal(label, secret.as_bytes()).map_err(|_| Error::Seal)
    }

    /// Whether it was asked for under the login that this process acts under. A yes ends with its login.
    pub(super) async fn of_this_login(&self, row: &ApprovalRow) -> Result<(), Error> {
        match self.session.login().await.map_err(Error::Session)? == row.asked.login {
            true => Ok(()),
            false => Err(Error::Session(session::Error::OtherLogin)),
        }
    }

    /// A secret that lies sealed in the journal; none of a row that is not as it was when the secret was sealed, and none of
    /// another login.
    pub(super) async fn open(&self, row: &ApprovalRow, what: &str, sealed: Option<&[u8]>) -> Result<String, Error> {
        self.of_this_login(row).await?;
        let sealed = sealed.ok_or(Error::Changed("its secret is not in the journal"))?;
        let until = row.expires_at.ok_or(Error::Changed("when it ends is not in the journal"))?;
        let place = Place { asked: &row.asked, until, evidence: row.evidence.as_deref().unwrap_or_default() };
        let plain = self.store.data_key().await?.open(&place.of(what), sealed).map_err(|_| Error::Unopened)?;
        String::from_utf8(plain.to_vec()).map_err(|_| Error::Unopened)
    }

    /// The plan of the call; sealed if it holds a sensitive value, with its other arguments beside it.
    pub(super) async fn kept_plan(&self, action: &Action, id: &ApprovalId) -> Result<String, Error> {
        let mut plan = action.to_json();
        let text = plan.to_string();
        if !sealed::any(&action.arguments, &action.sensitive) {
            return Ok(text);
        }
        plan["arguments"] = sealed::masked(&action.arguments, &action.sensitive).into();
        // It is made from the values: whoever can guess one could try it out.
        plan["digest"] = HIDDEN.into();
        self.store.data_key().await?.seal_text(&label(id, "plan"), &text, plan).map_err(|_| Error::Seal)
    }

    /// What a yes must be like; its details hold the arguments.
    pub(super) async fn kept_terms(&self, action: &Action, id: &ApprovalId, terms: &Terms) -> Result<String, Error> {
        let text = terms.to_text();
        if !sealed::any(&action.arguments, &action.sensitive) {
            return Ok(text);
        }
        let key = self.store.data_key().await?;
        key.seal_text(&label(id, "terms"), &text, Value::Null).map_err(|_| Error::Seal)
    }

    /// One of the two, as it was before it was kept.
    pub(super) async fn read(&self, row: &ApprovalRow, what: &str, kept: &str) -> Result<String, Error> {
        if !sealed::is_sealed(kept) {
            return Ok(kept.to_owned());
        }
        self.store.data_key().await?.open_text(&label(&row.asked.id, what), kept).ok_or(Error::Unopened)
    }

    /// What a yes must be like.
    pub(super) async fn terms_of(&self, row: &ApprovalRow) -> Result<Terms, Error> {
        Terms::read(&self.read(row, "terms", &row.asked.terms).await?)
    }
}
