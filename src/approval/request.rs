//! The request that makes the person's device ring.

use super::{Approvals, Asking, Error, WINDOW};
use crate::{
    oauth::{self, Caller, Provider, ciba},
    policy::{Approval, Binding, BindingMessage},
    session::Account,
};

impl Approvals {
    /// Takes one of the pushes that a person gets in a minute at most.
    pub(super) fn reserve_push(&self, account: &Account) -> Result<(), Error> {
        let (now, max) = (self.clock.now(), self.pushes_per_minute);
        match self.journal.reserve_push(&account.iss, &account.sub, now, WINDOW, max)? {
            Some(wait) => Err(Error::TooManyPushes { max, wait }),
            None => Ok(()),
        }
    }

    /// Sends the request; once more with the code alone if the server does not take the message.
    pub(super) async fn request(
        &self,
        caller: Caller<'_>,
        asking: &Asking<'_>,
        approval: &Approval,
        message: BindingMessage,
    ) -> Result<(ciba::Acknowledgement, BindingMessage), Error> {
        let account = &asking.account;
        let login_hint = self
            .provider
            .login_hint(&account.iss, &account.sub, account.preferred_username.as_deref(), account.email.as_deref())
            .ok_or_else(|| {
                Error::Proof("the login says neither user name nor e-mail, which this server wants".to_owned())
            })?;
        let send = async |message: &BindingMessage| {
            let request = ciba::Request {
                scopes: &asking.wanted.scopes,
                login_hint: &login_hint,
                binding_message: Some(&message.text),
                requested_expiry: Some(approval.expires_in),
                audience: self
                    .provider
                    .audience_field(asking.wanted.audience.as_deref(), asking.wanted.resource.as_deref()),
                authorization_details: asking.details.as_ref(),
                acr_values: None,
            };
            ciba::request(&caller, &request).await
        };
        let refused = match send(&message).await {
            Ok(acknowledged) => return Ok((acknowledged, message)),
            Err(error) => error,
        };
        if refused.code() != Some("invalid_binding_message") {
            return Err(self.refused(refused));
        }
        let message = BindingMessage::code_only(&message.code);
        let possible = if asking.details.is_some() { Binding::Details } else { message.binding() };
        if possible < asking.needed {
            return Err(Error::Weak { got: possible, needed: asking.needed });
        }
        // It is a push like any other: whoever refused the first one may have let the device ring.
        self.stop.check()?;
        self.reserve_push(account)?;
        let acknowledged = send(&message).await.map_err(|error| self.refused(error))?;
        Ok((acknowledged, message))
    }

    /// Why the server did not take the request. The person has no part in it: nobody was asked yet.
    fn refused(&self, error: oauth::Error) -> Error {
        match error.code() {
            Some("access_denied") if !matches!(&error, oauth::Error::Refused(no) if no.status == 401 || no.is_passing()) => {
                Error::Refused(error)
            }
            Some("invalid_client" | "unauthorized_client") => Error::Client(error),
            Some("invalid_authorization_details") => Error::DetailsRefused(error),
            Some("invalid_request") if self.provider == Provider::Auth0 => Error::NotEnrolled(error),
            _ => Error::Server(error),
        }
    }
}
