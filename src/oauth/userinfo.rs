//! Userinfo (OpenID Connect Core §5.3), for servers that keep name and e-mail out of the ID token.

use serde::Deserialize;

use super::{Caller, Error, id_token::lenient_bool};
use crate::{http::Request, secret::AccessToken};

/// What is asked of it here.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct UserInfo {
    /// Must be the ID token's (OpenID Connect Core §5.3.2).
    pub sub: String,
    /// Full name.
    pub name: Option<String>,
    /// User name.
    pub preferred_username: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Whether the server has verified the address.
    #[serde(default, deserialize_with = "lenient_bool")]
    pub email_verified: Option<bool>,
}

/// Asks about the person behind the token.
///
/// # Errors
/// If the server has no such endpoint, does not take this token, or speaks of somebody else than `sub`.
pub async fn fetch(caller: &Caller<'_>, token: &AccessToken, sub: &str) -> Result<UserInfo, Error> {
    const WHAT: &str = "userinfo answer";
    let endpoint = caller.metadata.userinfo_endpoint.clone().ok_or(Error::Unsupported { what: "userinfo endpoint" })?;
    let response = caller.http.send(Request::get(endpoint).bearer(token)?).await?;
    let info: UserInfo = match response.json() {
        Ok(info) if response.status == 200 => info,
        _ => return Err(Error::malformed(WHAT, &response)),
    };
    if info.sub == sub {
        // The names are shown; the token that was sent is not.
        let said = |text: Option<String>| text.map(|text| response.said(&text));
        Ok(UserInfo {
            name: said(info.name),
            preferred_username: said(info.preferred_username),
            email: said(info.email),
            ..info
        })
    } else {
        Err(Error::Unusable { what: WHAT, why: "it is about somebody else".to_owned() })
    }
}
