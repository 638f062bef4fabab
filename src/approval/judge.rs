//! Whether what came is this person's yes to this action.

use serde_json::json;

use super::{Approvals, Error, terms::Terms};
use crate::{
    oauth::{
        self, TokenResponse,
        id_token::{Claims, Expected},
        rar::{self, Comparison},
    },
    policy::{Binding, Details},
    secret::AuthReqId,
    store::journal::ApprovalRow,
};

/// What an answer turned out to be.
pub(super) struct Judged {
    pub(super) claims: Claims,
    pub(super) binding: Binding,
    pub(super) details: Details,
}

impl Approvals {
    /// Whether what came is this person's yes to this action.
    pub(super) async fn judge(
        &self,
        row: &ApprovalRow,
        terms: &Terms,
        tokens: &TokenResponse,
        auth_req_id: &AuthReqId,
    ) -> Result<Judged, Error> {
        let expected = Expected {
            client_id: &row.asked.client_id,
            subject: Some(&row.asked.subject),
            not_before: Some(row.requested_at.unwrap_or(row.asked.created_at)),
            access_token: Some(&tokens.access_token),
            auth_req_id: Some(auth_req_id),
        };
        let verifier = self.session.verifier().await.map_err(Error::Session)?;
        let proof = verifier.verify_approval(tokens.id_token.as_ref(), &expected, self.clock.now()).await;
        let claims = proof.map_err(|error| match error {
            flaw @ oauth::Error::IdToken(_) => Error::Proof(flaw.to_string()),
            unknown => Error::Keys(unknown),
        })?;
        if let Some(granted) = tokens.scopes() {
            let missing: Vec<&str> = terms
                .scopes
                .iter()
                .map(String::as_str)
                // Servers leave out of `scope` what did not go into the access token.
                .filter(|wanted| !matches!(*wanted, "openid" | "offline_access" | "profile" | "email"))
                .filter(|wanted| !granted.contains(wanted))
                .collect();
            if !missing.is_empty() {
                return Err(Error::Scope(missing.join(" ")));
            }
        }
        // Where nothing was requested, nothing may be granted either: nobody was asked about it.
        let requested = terms.details.clone().unwrap_or_else(|| json!([]));
        let returned = rar::compare(&requested, tokens.authorization_details.as_ref());
        // What the token itself says is not verified here, so it can prove nothing; but it may not say something else.
        let carried = rar::compare(&requested, rar::in_token(&tokens.access_token).as_ref());
        let (binding, details) = match (returned, carried) {
            (Comparison::Different { at }, _) => return Err(Error::DetailsChanged { at }),
            (_, Comparison::Different { at }) => return Err(Error::TokenContradicts { at }),
            (Comparison::Same, _) if terms.details.is_some() => (Binding::Details, Details::Granted),
            _ => (terms.message(row).binding(), terms.without_details),
        };
        if binding < terms.needed {
            return Err(Error::Weak { got: binding, needed: terms.needed });
        }
        Ok(Judged { claims, binding, details })
    }
}
