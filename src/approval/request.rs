//! The request that makes the person's device ring.

use super::{Approvals, Asking, Error};
use crate::{
    oauth::{self, Caller, Provider, ciba},
    policy::{Approval, Binding, BindingMessage},
};

impl Approvals {
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
        match refused.code() {
            Some("invalid_binding_message") => {
                let message = BindingMessage::code_only(&message.code);
                let possible = if asking.details.is_some() { Binding::Details } else { message.binding() };
                if possible < asking.needed {
                    return Err(Error::Weak { got: possible, needed: asking.needed });
                }
                let acknowledged = send(&message).await.map_err(Error::Server)?;
                Ok((acknowledged, message))
            }
            Some("access_denied") if !matches!(&refused, oauth::Error::Refused(refusal) if refusal.status == 401) => {
                Err(Error::Denied)
            }
            Some("invalid_client" | "unauthorized_client") => Err(Error::Client(refused)),
            Some("invalid_authorization_details") => Err(Error::DetailsRefused(refused)),
            Some("invalid_request") if self.provider == Provider::Auth0 => Err(Error::NotEnrolled(refused)),
            _ => Err(Error::Server(refused)),
        }
    }
}
