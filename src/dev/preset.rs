//! Which server the tenant imitates: everything that differs between Auth0, Keycloak and node-oidc-provider.

use std::{fmt, str::FromStr};

/// The kind of server whose habits the tenant has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// Auth0: issuer with a slash at the end, `audience`, statuses 403 and 429.
    #[default]
    Auth0,
    /// Keycloak: a realm path in every address, user names as `login_hint`.
    Keycloak,
    /// A plain OpenID provider in the manner of node-oidc-provider: `resource`, no `interval`, short binding messages.
    Oidc,
}

/// A name that is none of the presets.
#[derive(Debug, thiserror::Error)]
#[error("no preset is called '{0}' (auth0, keycloak, oidc)")]
pub struct UnknownPreset(String);

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(name: &str) -> Result<Self, UnknownPreset> {
        match name {
            "auth0" => Ok(Self::Auth0),
            "keycloak" => Ok(Self::Keycloak),
            "oidc" => Ok(Self::Oidc),
            other => Err(UnknownPreset(other.to_owned())),
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auth0 => "auth0",
            Self::Keycloak => "keycloak",
            Self::Oidc => "oidc",
        })
    }
}

/// Where the endpoints lie, as paths on the tenant's origin.
#[derive(Debug)]
pub(super) struct Paths {
    pub(super) issuer: &'static str,
    pub(super) discovery: &'static [&'static str],
    pub(super) jwks: &'static str,
    pub(super) device: &'static str,
    pub(super) activate: &'static str,
    pub(super) backchannel: &'static str,
    pub(super) token: &'static str,
    pub(super) revoke: &'static str,
    pub(super) introspect: &'static str,
    pub(super) userinfo: &'static str,
}

const AUTH0: Paths = Paths {
    issuer: "/",
    discovery: &["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
    jwks: "/.well-known/jwks.json",
    device: "/oauth/device/code",
    activate: "/activate",
    backchannel: "/bc-authorize",
    token: "/oauth/token",
    revoke: "/oauth/revoke",
    introspect: "/oauth/introspect",
    userinfo: "/userinfo",
};
const KEYCLOAK: Paths = Paths {
    issuer: "/realms/dev",
    discovery: &[
        "/realms/dev/.well-known/openid-configuration",
        // RFC 8414 §3.1 puts the issuer's path behind the well-known part.
        "/.well-known/oauth-authorization-server/realms/dev",
    ],
    jwks: "/realms/dev/protocol/openid-connect/certs",
    device: "/realms/dev/protocol/openid-connect/auth/device",
    activate: "/realms/dev/device",
    backchannel: "/realms/dev/protocol/openid-connect/ext/ciba/auth",
    token: "/realms/dev/protocol/openid-connect/token",
    revoke: "/realms/dev/protocol/openid-connect/revoke",
    introspect: "/realms/dev/protocol/openid-connect/token/introspect",
    userinfo: "/realms/dev/protocol/openid-connect/userinfo",
};
const OIDC: Paths = Paths {
    issuer: "",
    discovery: &["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
    jwks: "/jwks",
    device: "/device/auth",
    activate: "/device",
    backchannel: "/backchannel",
    token: "/token",
    revoke: "/token/revocation",
    introspect: "/token/introspection",
    userinfo: "/me",
};

impl Preset {
    pub(super) fn paths(self) -> &'static Paths {
        match self {
            Self::Auth0 => &AUTH0,
            Self::Keycloak => &KEYCLOAK,
            Self::Oidc => &OIDC,
        }
    }

    /// The HTTP status of an OAuth error. Only the `error` member is the contract; a client that looks at the status
    /// first is caught by the difference.
    pub(super) fn status(self, error: &str) -> u16 {
        match (self, error) {
            (_, "invalid_client") => 401,
            (Self::Auth0, "slow_down") => 429,
            (
                Self::Auth0,
                "authorization_pending" | "expired_token" | "access_denied" | "invalid_grant" | "unauthorized_client",
            ) => 403,
            _ => 400,
        }
    }

    /// How many seconds an approval stays open when the client asks for nothing else.
    pub(super) fn default_expiry_s(self) -> u64 {
        match self {
            Self::Auth0 => 300,
            Self::Keycloak => 120,
            Self::Oidc => 600,
        }
    }

    /// The life of an access token from login, in seconds.
    pub(super) fn access_token_s(self) -> u64 {
        match self {
            Self::Auth0 => 86_400,
            Self::Keycloak => 300,
            Self::Oidc => 3_600,
        }
    }

    /// What stands in front of the name of every type of `authorization_details`.
    pub(super) fn details_prefix(self) -> Option<&'static str> {
        match self {
            Self::Auth0 => Some("urn:auth0:schemas:authorization-details:v1:"),
            Self::Keycloak | Self::Oidc => None,
        }
    }

    /// The longest binding message, and whether a character may be in one.
    pub(super) fn binding_message(self) -> (usize, fn(char) -> bool) {
        match self {
            Self::Auth0 => (64, |c| c.is_ascii_alphanumeric() || "+-_.,:# ".contains(c)),
            Self::Keycloak => (50, |c| c.is_ascii_alphanumeric() || "-._+/!?#".contains(c)),
            Self::Oidc => (20, |c| c.is_ascii_alphanumeric() || "-._+/!?#".contains(c)),
        }
    }
}
