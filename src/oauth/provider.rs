//! What discovery does not say: how the known kinds of authorization servers differ.

use std::{fmt, str::FromStr};

use serde_json::Value;

use super::{
    Metadata,
    exchange::Exchange,
    guardian,
    rar::{self, Asked, Unfit},
};

/// A kind of authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Auth0.
    Auth0,
    /// Keycloak.
    Keycloak,
    /// Any other that follows the specifications; node-oidc-provider is the measure.
    Oidc,
}

/// How a server is told for which API a token is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudienceParameter {
    /// `audience`, with the request that begins a login or an approval and with a refresh.
    Audience,
    /// `resource` (RFC 8707), there and again with every token request.
    Resource,
    /// By scopes alone.
    None,
}

/// What a binding message may be made of (CIBA Core §7.1 leaves it to the server).
#[derive(Clone, Copy, Debug)]
pub struct BindingRules {
    /// How many characters.
    pub max_len: usize,
    /// Which characters.
    pub allowed: fn(char) -> bool,
}

impl Provider {
    /// The `login_hint` that names this person (CIBA Core §7.1); none if the claim that the server wants is not known.
    #[must_use]
    pub fn login_hint(self, iss: &str, sub: &str, username: Option<&str>, email: Option<&str>) -> Option<String> {
        match self {
            Self::Auth0 => Some(serde_json::json!({"format": "iss_sub", "iss": iss, "sub": sub}).to_string()),
            Self::Keycloak => username.or(email).map(str::to_owned),
            Self::Oidc => Some(sub.to_owned()),
        }
    }

    /// Which parameter names the API.
    #[must_use]
    pub fn audience_parameter(self) -> AudienceParameter {
        match self {
            Self::Auth0 => AudienceParameter::Audience,
            Self::Keycloak => AudienceParameter::None,
            Self::Oidc => AudienceParameter::Resource,
        }
    }

    /// The form fields that name the API in a request which begins a login or an approval, or in a refresh.
    #[must_use]
    pub fn audience_field<'a>(
        self,
        audience: Option<&'a str>,
        resource: Option<&'a str>,
    ) -> Option<(&'static str, &'a str)> {
        match self.audience_parameter() {
            AudienceParameter::Audience => audience.map(|value| ("audience", value)),
            AudienceParameter::Resource => resource.map(|value| ("resource", value)),
            AudienceParameter::None => None,
        }
    }

    /// What a binding message may be made of.
    #[must_use]
    pub fn binding_message_rules(self) -> BindingRules {
        match self {
            Self::Auth0 => {
                BindingRules { max_len: 64, allowed: |c| c.is_ascii_alphanumeric() || "+-_.,:#".contains(c) }
            }
            Self::Keycloak => {
                BindingRules { max_len: 50, allowed: |c| c.is_ascii_alphanumeric() || "-._+/!?#".contains(c) }
            }
            Self::Oidc => {
                BindingRules { max_len: 20, allowed: |c| c.is_ascii_alphanumeric() || "-._+/!?#".contains(c) }
            }
        }
    }

    /// The longest `requested_expiry` in seconds. At Auth0 anything longer silently becomes an e-mail instead of a push.
    #[must_use]
    pub fn max_expiry(self) -> Option<u64> {
        match self {
            Self::Auth0 => Some(300),
            Self::Keycloak | Self::Oidc => None,
        }
    }

    /// Whether `authorization_details` of this type may be sent with a request that names this API (RFC 9396). Auth0 takes
    /// them and says so nowhere; its types are registered with an API, so without one there are none.
    #[must_use]
    pub fn may_send_details(
        self,
        metadata: &Metadata,
        kind: &str,
        target: Option<(&str, &str)>,
        scopes: &[String],
    ) -> bool {
        let known = || metadata.authorization_details_types_supported.iter().any(|known| known == kind);
        match self {
            Self::Auth0 => target.is_some(),
            // The API follows from the scopes.
            Self::Keycloak => scopes.iter().any(|scope| scope != "openid") && known(),
            Self::Oidc => known(),
        }
    }

    /// How a token of a third-party account is had.
    #[must_use]
    pub fn exchange(self) -> Exchange {
        match self {
            Self::Auth0 => Exchange::TokenVault,
            Self::Keycloak | Self::Oidc => Exchange::Rfc8693,
        }
    }

    /// Whether third-party accounts can be connected through the server's API (My Account).
    #[must_use]
    pub fn has_my_account(self) -> bool {
        self == Self::Auth0
    }

    /// What one call asks for, in the schema of the server: Guardian's at Auth0, the common members elsewhere.
    ///
    /// # Errors
    /// If the call does not fit into it. Then nothing may be sent.
    pub fn details(self, asked: &Asked<'_>) -> Result<Value, Unfit> {
        match self {
            Self::Auth0 => guardian::details(asked),
            Self::Keycloak | Self::Oidc => Ok(rar::common(asked)),
        }
    }

    /// Whether the server has but one error, `access_denied`, for "said no" and for "nobody answered".
    #[must_use]
    pub fn denial_may_mean_expiry(self) -> bool {
        self == Self::Auth0
    }

    /// Where an endpoint is that the server has but may not list. Auth0's paths are the same for every tenant.
    pub(super) fn usual_path(self, endpoint: &str) -> Option<&'static str> {
        if self != Self::Auth0 {
            return None;
        }
        Some(match endpoint {
            "device_authorization_endpoint" => "/oauth/device/code",
            "backchannel_authentication_endpoint" => "/bc-authorize",
            "revocation_endpoint" => "/oauth/revoke",
            "userinfo_endpoint" => "/userinfo",
            _ => return None,
        })
    }
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Auth0, Self::Keycloak, Self::Oidc]
            .into_iter()
            .find(|provider| provider.to_string() == name)
            .ok_or(UnknownProvider)
    }
}

/// A name that is none of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a known provider; there are auth0, keycloak and oidc")]
pub struct UnknownProvider;

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auth0 => "auth0",
            Self::Keycloak => "keycloak",
            Self::Oidc => "oidc",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["auth0", "keycloak", "oidc"] {
            assert_eq!(name.parse::<Provider>().unwrap().to_string(), name);
        }
        assert_eq!("okta".parse::<Provider>(), Err(UnknownProvider));
    }

    #[test]
    fn login_hints() {
        let hint = |provider: Provider, username| provider.login_hint("https://a.example/", "auth0|1", username, None);
        let iss_sub = hint(Provider::Auth0, None).unwrap();
        let iss_sub: serde_json::Value = serde_json::from_str(&iss_sub).unwrap();
        assert_eq!(iss_sub, serde_json::json!({"format": "iss_sub", "iss": "https://a.example/", "sub": "auth0|1"}));
        assert_eq!(hint(Provider::Keycloak, Some("ada")).unwrap(), "ada");
        assert_eq!(hint(Provider::Keycloak, None), None);
        assert_eq!(hint(Provider::Oidc, None).unwrap(), "auth0|1");
    }

    #[test]
    fn binding_alphabets() {
        for provider in [Provider::Auth0, Provider::Keycloak, Provider::Oidc] {
            let rules = provider.binding_message_rules();
            assert!("BUY-2-phones.7F3KQ9ZT".chars().all(rules.allowed));
            assert!(!" \n€—\"\u{202e}é".chars().any(rules.allowed));
        }
    }
}
