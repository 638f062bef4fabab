//! What is kept of a login: one value in the credential store for the grant, one for a login that nobody has finished yet.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    oauth::id_token::Claims,
    secret::{DeviceCode, RefreshToken},
    store::stop::Seen,
};

/// Who is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The issuer that says so.
    pub iss: String,
    /// The person, at this issuer.
    pub sub: String,
    /// Full name.
    pub name: Option<String>,
    /// User name.
    pub preferred_username: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Whether the server has verified the address.
    pub email_verified: Option<bool>,
    /// What was granted at login; what was asked for if the server did not say.
    pub scopes: Vec<String>,
    /// When.
    pub logged_in_at: DateTime<Utc>,
    /// Whether there is a refresh token. Without one the login ends with its access token.
    pub refreshable: bool,
}

impl Account {
    pub(super) fn new(claims: Claims, scopes: Vec<String>, logged_in_at: DateTime<Utc>, refreshable: bool) -> Self {
        Self {
            iss: claims.iss,
            sub: claims.sub,
            name: claims.name,
            preferred_username: claims.preferred_username,
            email: claims.email,
            email_verified: claims.email_verified,
            scopes,
            logged_in_at,
            refreshable,
        }
    }

    /// The most telling name there is. It is the server's text: escape it before it is shown.
    #[must_use]
    pub fn display_name(&self) -> &str {
        let names = [&self.name, &self.preferred_username, &self.email];
        names.into_iter().flatten().find(|name| !name.trim().is_empty()).unwrap_or(&self.sub)
    }
}

/// A grant: the account and its refresh token.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) account: Account,
    pub(super) refresh_token: Option<RefreshToken>,
    /// Which login of this person it is: random, made at each login, kept when the refresh token changes. One that an earlier
    /// version made has none and keeps none: that too is unlike every other login.
    pub(super) login: Option<String>,
}

/// The form in the store. Secrets do not serialize, so that none is written by accident; here it is on purpose.
#[derive(Serialize, Deserialize)]
struct GrantForm<A> {
    form: u8,
    account: A,
    refresh_token: Option<Zeroizing<String>>,
    #[serde(default)]
    login: Option<String>,
}

impl Grant {
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let refresh_token = self.refresh_token.as_ref().map(|token| Zeroizing::new(token.expose().to_owned()));
        to_bytes(&GrantForm { form: 1, account: &self.account, refresh_token, login: self.login.clone() })
    }

    /// None if the bytes are not a grant.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let form: GrantForm<Account> =
            serde_json::from_slice(bytes).ok().filter(|form: &GrantForm<_>| form.form == 1)?;
        let refresh_token = form.refresh_token.map(|token| RefreshToken::new(token.as_str()));
        Some(Self { account: form.account, refresh_token, login: form.login })
    }
}

/// A login that was begun and is to be finished by another process (RFC 8628 §3.2 gives it a lifetime).
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) id: String,
    pub(super) device_code: DeviceCode,
    /// For which API the login is.
    pub(super) audience: Option<String>,
    pub(super) resource: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) user_code: String,
    pub(super) verification_uri: String,
    pub(super) verification_uri_complete: Option<String>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) interval_s: u64,
    /// No poll before this.
    pub(super) not_before: DateTime<Utc>,
    /// The last stops when it was begun.
    pub(super) stops: Seen,
}

#[derive(Serialize, Deserialize)]
struct PendingForm {
    form: u8,
    id: String,
    device_code: Zeroizing<String>,
    audience: Option<String>,
    resource: Option<String>,
    scopes: Vec<String>,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_at: DateTime<Utc>,
    interval_s: u64,
    not_before: DateTime<Utc>,
    #[serde(default)]
    stops: Seen,
}

impl Pending {
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let this = self.clone();
        to_bytes(&PendingForm {
            form: 1,
            id: this.id,
            device_code: Zeroizing::new(self.device_code.expose().to_owned()),
            audience: this.audience,
            resource: this.resource,
            scopes: this.scopes,
            user_code: this.user_code,
            verification_uri: this.verification_uri,
            verification_uri_complete: this.verification_uri_complete,
            expires_at: this.expires_at,
            interval_s: this.interval_s,
            not_before: this.not_before,
            stops: this.stops,
        })
    }

    /// None if the bytes are not a login.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let form: PendingForm = serde_json::from_slice(bytes).ok().filter(|form: &PendingForm| form.form == 1)?;
        Some(Self {
            id: form.id,
            device_code: DeviceCode::new(form.device_code.as_str()),
            audience: form.audience,
            resource: form.resource,
            scopes: form.scopes,
            user_code: form.user_code,
            verification_uri: form.verification_uri,
            verification_uri_complete: form.verification_uri_complete,
            expires_at: form.expires_at,
            interval_s: form.interval_s,
            not_before: form.not_before,
            stops: form.stops,
        })
    }
}

/// JSON in a buffer that is wiped. None of these forms can fail to serialize: they hold texts, numbers and times.
pub(super) fn to_bytes(form: &impl Serialize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(serde_json::to_vec(form).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account {
            iss: "https://a.example/".into(),
            sub: "auth0|1".into(),
            name: Some(" ".into()),
            preferred_username: None,
            email: Some("ada@example.com".into()),
            email_verified: Some(true),
            scopes: vec!["openid".into()],
            logged_in_at: DateTime::UNIX_EPOCH,
            refreshable: true,
        }
    }

    #[test]
    fn a_grant_round_trips_and_shows_nothing() {
        let login = Some("login_1".to_owned());
        let grant = Grant { account: account(), refresh_token: Some(RefreshToken::new("hunter2")), login };
        let bytes = grant.to_bytes();
        let back = Grant::from_bytes(&bytes).unwrap();
        assert_eq!(back.login, grant.login);
        let earlier = String::from_utf8(bytes.to_vec()).unwrap().replace(r#","login":"login_1""#, "");
        assert_eq!(Grant::from_bytes(earlier.as_bytes()).unwrap().login, None);
        assert_eq!((back.account.clone(), back.refresh_token.clone()), (grant.account, grant.refresh_token));
        assert!(!format!("{back:?}").contains("hunter2"));
        for broken in [&b""[..], b"{}", &bytes[..bytes.len() - 1], br#"{"form":2}"#] {
            assert!(Grant::from_bytes(broken).is_none());
        }
    }

    #[test]
    fn the_most_telling_name() {
        assert_eq!(account().display_name(), "ada@example.com");
        assert_eq!(Account { email: None, ..account() }.display_name(), "auth0|1");
    }
}
