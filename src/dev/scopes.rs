//! What may be asked for: two audiences, and which client may have which scope.

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
/// What OpenID Connect itself defines (OpenID Connect Core §5.4, §11).
pub(super) const OIDC: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// For whom an access token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Userinfo,
    Shop,
}

impl Target {
    /// What stands in the token's `aud`, but for the userinfo endpoint, whose address the world knows.
    pub(super) fn audience(self) -> &'static str {
        match self {
            Self::Userinfo => "userinfo",
            Self::Shop => SHOP_AUDIENCE,
        }
    }
}

/// The target a request names in the way of its preset: `audience` (Auth0), `resource` (RFC 8707), or nothing at all
/// (Keycloak: it follows from the scopes).
pub(super) fn target(world: &World, form: &Form, scopes: &[String]) -> Result<Option<Target>, Refusal> {
    match world.preset {
        Preset::Auth0 => match form.get("audience") {
            None => Ok(None),
            Some(SHOP_AUDIENCE) => Ok(Some(Target::Shop)),
            Some(audience) if audience == world.url(world.paths().userinfo) => Ok(Some(Target::Userinfo)),
            Some(audience) => Err(Refusal::new(403, "access_denied", format!("Service not found: {audience}"))),
        },
        Preset::Keycloak => Ok(scopes.iter().any(|scope| !is_oidc(scope)).then_some(Target::Shop)),
        Preset::Oidc => {
            let resources: Vec<&str> = form.pairs().filter(|(name, _)| *name == "resource").map(|(_, v)| v).collect();
            match resources[..] {
                [] => Ok(None),
                [resource] if resource == world.shop_resource() => Ok(Some(Target::Shop)),
                [resource] if url::Url::parse(resource).is_ok_and(|url| url.fragment().is_none()) => {
                    Err(Refusal::new(400, "invalid_target", "this resource is not known here"))
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
        Target::Shop => preset != Preset::Oidc || !is_oidc(scope),
    };
    scopes.iter().filter(|scope| fits(scope)).cloned().collect()
}

pub(super) fn is_oidc(scope: &str) -> bool {
    OIDC.contains(&scope)
}

pub(super) fn has(scopes: &[String], scope: &str) -> bool {
    scopes.iter().any(|known| known == scope)
}
