//! What may be asked for: whom a token can be for, and which client may have which scope.

use super::{
    answer::{Form, Refusal},
    clients::Client,
    preset::Preset,
    world::World,
};

/// The audience of the shop's API.
pub(super) const SHOP_AUDIENCE: &str = "sample-shop-api";
/// May look at products and own orders.
pub(super) const READ: &str = "product:read";
/// May place the order that was approved.
pub(super) const BUY: &str = "product:buy";
/// The audience of the vault: a token for it may be exchanged for a third party's.
pub(super) const VAULT_AUDIENCE: &str = "agentctl-vault-api";
/// The API that account changes are approved for: their details are registered with it, and nothing calls it.
pub(super) const ADMIN_AUDIENCE: &str = "okta-admin";
/// What the My Account API lets a person do with the accounts they connected.
pub(super) const ACCOUNTS: [&str; 3] =
    ["create:me:connected_accounts", "read:me:connected_accounts", "delete:me:connected_accounts"];
/// What OpenID Connect itself defines (OpenID Connect Core §5.4, §11).
pub(super) const OIDC: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// For whom an access token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Userinfo,
    Shop,
    Vault,
    MyAccount,
    Admin,
}

impl Target {
    const ALL: [Self; 5] = [Self::Userinfo, Self::Shop, Self::Vault, Self::MyAccount, Self::Admin];

    /// What stands in the token's `aud`, but for the tenant's own endpoints, whose addresses the world knows.
    pub(super) fn audience(self) -> &'static str {
        match self {
            Self::Userinfo => "userinfo",
            Self::Shop => SHOP_AUDIENCE,
            Self::Vault => VAULT_AUDIENCE,
            Self::Admin => ADMIN_AUDIENCE,
            Self::MyAccount => "my_account",
        }
    }

    /// What stands in the token's `aud`.
    pub(super) fn audience_at(self, world: &World) -> String {
        match self {
            Self::Userinfo => world.url(world.paths().userinfo),
            Self::MyAccount => world.url("/me/"),
            Self::Shop | Self::Vault | Self::Admin => self.audience().to_owned(),
        }
    }

    /// Its resource identifier (RFC 8707 §2); the userinfo endpoint has none.
    fn resource_at(self, world: &World) -> Option<String> {
        match self {
            Self::Userinfo => None,
            Self::Shop => Some(world.shop_resource()),
            Self::Vault => Some(world.vault_resource()),
            Self::MyAccount => Some(world.url("/me/")),
            Self::Admin => Some(world.admin_resource()),
        }
    }

    /// Whether only a person's own login leads there, never an approval.
    fn needs_login(self) -> bool {
        matches!(self, Self::Vault | Self::MyAccount)
    }
}

/// The target a request names in the way of its preset: `audience` (Auth0), `resource` (RFC 8707), or nothing at all
/// (Keycloak: it follows from the scopes).
pub(super) fn target(world: &World, form: &Form, scopes: &[String]) -> Result<Option<Target>, Refusal> {
    named_target(world, form, scopes, |target| !target.needs_login())
}

/// The same for a login and what comes of it, which lead to the vault and the My Account API as well.
pub(super) fn login_target(world: &World, form: &Form, scopes: &[String]) -> Result<Option<Target>, Refusal> {
    named_target(world, form, scopes, |target| target != Target::Admin)
}

fn named_target(
    world: &World,
    form: &Form,
    scopes: &[String],
    allowed: impl Fn(Target) -> bool,
) -> Result<Option<Target>, Refusal> {
    let known =
        |fits: &dyn Fn(Target) -> bool| Target::ALL.into_iter().find(|target| allowed(*target) && fits(*target));
    match world.preset {
        Preset::Auth0 => {
            let Some(audience) = form.get("audience") else { return Ok(None) };
            let target = known(&|target| target.audience_at(world) == audience);
            target.map(Some).ok_or_else(|| Refusal::new(403, "access_denied", format!("Service not found: {audience}")))
        }
        Preset::Keycloak => {
            let mut apis = scopes.iter().filter_map(|scope| api_of(scope));
            let first = apis.next();
            if apis.any(|api| Some(api) != first) {
                return Err(Refusal::new(400, "invalid_scope", "these scopes belong to more than one API"));
            }
            Ok(first)
        }
        Preset::Oidc => {
            let resources: Vec<&str> = form.pairs().filter(|(name, _)| *name == "resource").map(|(_, v)| v).collect();
            match resources[..] {
                [] => Ok(None),
                [resource] if url::Url::parse(resource).is_ok_and(|url| url.fragment().is_none()) => {
                    let target = known(&|target| target.resource_at(world).as_deref() == Some(resource));
                    target
                        .map(Some)
                        .ok_or_else(|| Refusal::new(400, "invalid_target", "this resource is not known here"))
                }
                [_] => Err(Refusal::new(400, "invalid_target", "resource indicator must be an absolute URI")),
                [..] => Err(Refusal::new(400, "invalid_target", "only a single resource is supported")),
            }
        }
    }
}

/// The scopes of a request that this client may have at all. Auth0 leaves out the others in silence, so the client must
/// look at what it got; everybody else refuses.
pub(super) fn permitted(preset: Preset, client: &Client, asked: &str) -> Result<Vec<String>, Refusal> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in asked.split_ascii_whitespace() {
        if scopes.iter().any(|known| known == scope) {
            continue;
        }
        if client.scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        } else if preset != Preset::Auth0 {
            return Err(Refusal::new(400, "invalid_scope", format!("this client may not have the scope '{scope}'")));
        }
    }
    Ok(scopes)
}

/// The scopes an access token for `target` carries.
pub(super) fn of_target(preset: Preset, target: Target, scopes: &[String]) -> Vec<String> {
    let fits = |scope: &String| match target {
        Target::Userinfo => is_oidc(scope),
        // node-oidc-provider names only the resource's own scopes; the ID token came all the same.
        _ => api_of(scope).map_or(preset != Preset::Oidc, |api| api == target),
    };
    scopes.iter().filter(|scope| fits(scope)).cloned().collect()
}

/// The API that a scope belongs to; none if it is OpenID Connect's own.
pub(super) fn api_of(scope: &str) -> Option<Target> {
    match scope {
        scope if is_oidc(scope) => None,
        scope if ACCOUNTS.contains(&scope) => Some(Target::MyAccount),
        _ => Some(Target::Shop),
    }
}

pub(super) fn is_oidc(scope: &str) -> bool {
    OIDC.contains(&scope)
}

pub(super) fn has(scopes: &[String], scope: &str) -> bool {
    scopes.iter().any(|known| known == scope)
}
