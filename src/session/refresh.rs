//! A fresh access token: from memory, from the sealed file, or for the refresh token (RFC 6749 §6).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Error, Session, record};
use crate::{
    oauth::{self, TokenResponse, id_token, token},
    secret::{AccessToken, RefreshToken},
    session::record::Grant,
};

/// A token is not handed out for the last moments of its life.
const MARGIN: chrono::Duration = chrono::Duration::seconds(30);
/// What counts if the server does not say how long a token lives.
const UNSAID_LIFETIME: u64 = 60;
/// Scopes that are about the login, not about the API: servers leave them out of an access token's scope.
const LOGIN_SCOPES: [&str; 4] = ["openid", "offline_access", "profile", "email"];

/// What a token is wanted for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The API; the session's own if neither this nor `resource` is set.
    pub audience: Option<String>,
    /// The same for servers that go by resource.
    pub resource: Option<String>,
    /// What it must permit; empty for whatever the login permits.
    pub scopes: Vec<String>,
}

/// A token that may be used now.
#[derive(Clone, Debug)]
pub struct Granted {
    /// The token.
    pub token: AccessToken,
    /// Until when.
    pub expires_at: DateTime<Utc>,
    /// What it permits; none if the server did not say.
    pub scopes: Option<Vec<String>>,
}

/// The form in the sealed file.
#[derive(Serialize, Deserialize)]
struct GrantedForm {
    token: Zeroizing<String>,
    expires_at: DateTime<Utc>,
    scopes: Option<Vec<String>>,
}

impl Session {
    /// A token for this purpose that lives for some time yet, renewed if it has to be.
    ///
    /// # Errors
    /// If nobody is logged in any more, the server or the store fails, or the server grants less than is wanted.
    pub async fn access_token(&self, wanted: &Wanted) -> Result<Granted, Error> {
        let wanted = self.complete(wanted);
        if self.memory().subject.is_none() {
            self.grant().await?;
        }
        let label = self.label(&wanted);
        if let Some(granted) = self.fresh(&label).await? {
            return Ok(granted);
        }
        let metadata = self.metadata().await?;
        let _hold = self.hold().await?;
        // Whoever held the lock before may have brought what is wanted.
        if let Some(granted) = self.fresh(&label).await? {
            return Ok(granted);
        }
        let mut grant = self.grant().await?.ok_or(Error::NotLoggedIn)?;
        let Some(mut token) = grant.refresh_token.clone() else {
            return Err(Error::LoginEnded { why: "its access token has expired and there is no refresh token".into() });
        };
        let caller = self.caller(metadata);
        let audience = self.parts.provider.audience_field(wanted.audience.as_deref(), wanted.resource.as_deref());
        let refresh = token::Refresh { scopes: &wanted.scopes, audience };
        let mut tries = 0;
        let tokens = loop {
            tries += 1;
            match token::refresh(&caller, &token, &refresh).await {
                Ok(tokens) => break tokens,
                Err(error) if refuses_grant(&error) => {
                    // Somebody who does not know this lock may have been faster.
                    let newer = self.grant().await?.filter(|stored| differs(stored, &token));
                    match newer.and_then(|stored| stored.refresh_token.clone().map(|token| (stored, token))) {
                        Some((stored, newer)) if tries == 1 => (grant, token) = (stored, newer),
                        Some(_) => return Err(Error::LoginEnded { why: error.to_string() }),
                        None => return Err(self.end(&error).await),
                    }
                }
                // The answer was lost. If the request never arrived, or the server is lenient, the same token works again;
                // if neither, the login was over with the loss.
                Err(oauth::Error::Http(error)) if error.may_have_arrived() && tries == 1 => {
                    tracing::warn!(%error, "the answer to a refresh was lost, asking once more");
                }
                Err(error) => return Err(error.into()),
            }
        };
        self.same_person(&grant, &tokens)?;
        if let Some(rotated) = tokens.refresh_token.clone() {
            grant.refresh_token = Some(rotated);
            self.keep_renewed(&grant).await?;
        } else if self.memory().unkept.is_some() {
            self.keep_renewed(&grant).await?;
        }
        let granted = granted(tokens, self.parts.clock.now());
        check_scopes(&wanted.scopes, granted.scopes.as_deref())?;
        self.keep_token(&label, &granted).await?;
        Ok(granted)
    }

    /// The session's own API, unless another is named.
    fn complete(&self, wanted: &Wanted) -> Wanted {
        let mut wanted = wanted.clone();
        if wanted.audience.is_none() && wanted.resource.is_none() {
            wanted.audience.clone_from(&self.parts.audience);
            wanted.resource.clone_from(&self.parts.resource);
        }
        wanted.scopes.sort_unstable();
        wanted.scopes.dedup();
        wanted
    }

    /// The name of a kept token: everything that it depends on.
    fn label(&self, wanted: &Wanted) -> String {
        let purpose = serde_json::json!([wanted.audience, wanted.resource, wanted.scopes]);
        let subject = self.memory().subject.clone().unwrap_or_default();
        format!("access token {} {subject} {purpose}", self.key.as_str())
    }

    async fn fresh(&self, label: &str) -> Result<Option<Granted>, Error> {
        let soon = self.parts.clock.now() + MARGIN;
        let is_fresh = |granted: &Granted| granted.expires_at > soon;
        if let Some(granted) = self.memory().tokens.get(label).filter(|granted| is_fresh(granted)) {
            return Ok(Some(granted.clone()));
        }
        if !self.parts.store.lasts() {
            return Ok(None);
        }
        let bytes = self.cache.get(self.parts.store.data_key().await?, label);
        let form: Option<GrantedForm> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let granted = form.map(|form| Granted {
            token: AccessToken::new(form.token.as_str()),
            expires_at: form.expires_at,
            scopes: form.scopes,
        });
        Ok(granted.filter(is_fresh))
    }

    async fn keep_token(&self, label: &str, granted: &Granted) -> Result<(), Error> {
        self.memory().tokens.insert(label.to_owned(), granted.clone());
        if self.parts.store.lasts() {
            let form = GrantedForm {
                token: Zeroizing::new(granted.token.expose().to_owned()),
                expires_at: granted.expires_at,
                scopes: granted.scopes.clone(),
            };
            self.cache.set(self.parts.store.data_key().await?, label, &record::to_bytes(&form));
        }
        Ok(())
    }

    /// Keeps the token that a login brought, under the name by which it will be asked for.
    pub(super) async fn keep_login_token(
        &self,
        audience: Option<String>,
        resource: Option<String>,
        tokens: TokenResponse,
    ) -> Result<(), Error> {
        let wanted = self.complete(&Wanted { audience, resource, scopes: Vec::new() });
        let granted = granted(tokens, self.parts.clock.now());
        self.keep_token(&self.label(&wanted), &granted).await
    }

    /// The refresh token was refused and there is no newer one: the login is over.
    async fn end(&self, error: &oauth::Error) -> Error {
        self.forget_tokens();
        self.memory().unkept = None;
        if let Err(error) = self.parts.store.delete(&self.key).await {
            tracing::warn!(%error, "the ended login could not be removed");
        }
        Error::LoginEnded { why: error.to_string() }
    }

    /// A refreshed ID token must be about the same person, for the same client alone (OpenID Connect Core §12.2).
    fn same_person(&self, grant: &Grant, tokens: &TokenResponse) -> Result<(), Error> {
        let Some(id_token) = &tokens.id_token else { return Ok(()) };
        let claims = id_token::unverified_claims(id_token).map_err(oauth::Error::from)?;
        let client = self.parts.client.id.as_str();
        let same = claims.iss == grant.account.iss
            && claims.sub == grant.account.sub
            && claims.aud == [client]
            && claims.azp.is_none_or(|azp| azp == client);
        if same { Ok(()) } else { Err(Error::SomebodyElse) }
    }
}

/// Whether the server takes this grant no more. One in trouble has not said so, whatever the code.
fn refuses_grant(error: &oauth::Error) -> bool {
    matches!(error, oauth::Error::Refused(refusal) if refusal.error == "invalid_grant" && !refusal.is_passing())
}

fn differs(stored: &Grant, used: &RefreshToken) -> bool {
    stored.refresh_token.as_ref().is_some_and(|token| token != used)
}

fn granted(tokens: TokenResponse, now: DateTime<Utc>) -> Granted {
    let lifetime = tokens.expires_in.unwrap_or(UNSAID_LIFETIME).min(365 * 24 * 60 * 60);
    let scopes = tokens.scopes().map(|scopes| scopes.into_iter().map(str::to_owned).collect());
    Granted { scopes, token: tokens.access_token, expires_at: now + std::time::Duration::from_secs(lifetime) }
}

/// A server that does not say what it granted has granted what was asked for (RFC 6749 §5.1).
fn check_scopes(wanted: &[String], granted: Option<&[String]>) -> Result<(), Error> {
    let Some(granted) = granted else { return Ok(()) };
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|scope| !granted.contains(scope) && !LOGIN_SCOPES.contains(&scope.as_str()))
        .map(String::as_str)
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(Error::NotGranted { missing: missing.join(" ") }) }
}
