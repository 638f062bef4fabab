//! The refresh grant (RFC 6749 §6) with rotation and detection of reuse (RFC 9700 §4.14.2).

use serde_json::Value;

use super::{
    answer::{Form, Refusal},
    clients::{Client, Role},
    preset::Preset,
    random,
    records::Family,
    scopes::{self, Target},
    token::refuse,
    tokens::{self, Order},
    world::{Now, State, World},
};

/// What a refresh token turned out to be.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Current,
    /// The one before, still within the leeway.
    Overlap,
    Reused,
}

pub(super) fn refresh(
    world: &World,
    state: &mut State,
    now: Now,
    client: &Client,
    form: &Form,
) -> Result<Value, Refusal> {
    client.must_be(Role::Login, world.preset)?;
    let token = form.required("refresh_token")?;
    let unknown = || refuse(world, "invalid_grant", "Unknown or invalid refresh token.");
    let found = state.families.iter().enumerate().find_map(|(index, family)| {
        let standing = standing(family, token, now, world)?;
        Some((index, standing))
    });
    let (index, standing) = found.ok_or_else(unknown)?;
    let family = &state.families[index];
    if family.client_id != client.id || !family.alive {
        return Err(unknown());
    }
    let (id, person, auth_time) = (family.id, family.person, family.auth_time);
    if standing == Standing::Reused {
        state.kill_family(id);
        return Err(refuse(world, "invalid_grant", "refresh token already used: all tokens of this login are revoked"));
    }
    // What is asked for is settled before anything is rotated: a refused request costs no token.
    let (target, scopes) = wanted(world, client, family, form)?;
    let order = Order {
        client_id: &client.id,
        person,
        target,
        scopes: &scopes,
        details: None,
        auth_time,
        family: Some(id),
        from_approval: false,
    };
    let mut answer = tokens::issue(world, state, now, &order)?;
    let family = &mut state.families[index];
    let fresh = random::token();
    let replaced = std::mem::replace(&mut family.current, fresh.clone());
    if standing == Standing::Current {
        if let Some((older, _)) = family.previous.replace((replaced, now.elapsed)) {
            family.spent.insert(older);
        }
    } else {
        // The one that came of the first use of the same token was never seen by whoever asks now; it dies.
        family.spent.insert(replaced);
    }
    answer.insert("refresh_token".into(), fresh.into());
    Ok(Value::Object(answer))
}

fn standing(family: &Family, token: &str, now: Now, world: &World) -> Option<Standing> {
    if family.current == token {
        return Some(Standing::Current);
    }
    match &family.previous {
        Some((previous, at)) if previous == token => {
            Some(if now.elapsed < *at + world.leeway { Standing::Overlap } else { Standing::Reused })
        }
        _ => family.spent.contains(token).then_some(Standing::Reused),
    }
}

/// The audience and the scopes of the new access token. The login client may look at the shop and tend the connected
/// accounts with the person's grant although those scopes were not part of the login (Auth0 calls it a multi-resource
/// refresh token).
fn wanted(world: &World, client: &Client, family: &Family, form: &Form) -> Result<(Target, Vec<String>), Refusal> {
    let asked = form.get("scope");
    let asked_scopes: Vec<String> = asked.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
    let target = match scopes::login_target(world, form, &asked_scopes)? {
        Some(target) => target,
        // node-oidc-provider wants the resource each time; the others remember the audience of the login.
        None if world.preset == Preset::Oidc => Target::Userinfo,
        None => family.target.unwrap_or(Target::Userinfo),
    };
    let may_have = |scope: &str| {
        scopes::has(&family.scopes, scope)
            || (scopes::api_of(scope) == Some(target) && scopes::has(&client.scopes, scope))
    };
    let all = || {
        let own = client.scopes.iter().filter(|scope| scopes::api_of(scope) == Some(target));
        let mut all = family.scopes.clone();
        all.extend(own.filter(|scope| !scopes::has(&family.scopes, scope)).cloned());
        all
    };
    if asked.is_none() {
        return Ok((target, all()));
    }
    match asked_scopes.iter().find(|scope| !may_have(scope)) {
        Some(scope) if world.preset != Preset::Auth0 => {
            Err(Refusal::new(400, "invalid_scope", format!("the scope '{scope}' was not granted")))
        }
        // Auth0 grants less in silence.
        _ => Ok((target, asked_scopes.into_iter().filter(|scope| may_have(scope)).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::{
        Options,
        testing::{Bench, error},
    };

    fn refresh_token(answer: &Value) -> String {
        answer["refresh_token"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_token_that_was_replaced_ends_the_family() {
        let bench = Bench::new(Preset::Auth0).await;
        let first = refresh_token(&bench.login().await);
        let answer = bench.refresh(&first, &[]).await.json();
        let second = refresh_token(&answer);
        assert_ne!(first, second);
        assert!(answer["id_token"].is_string());
        let third = refresh_token(&bench.refresh(&second, &[]).await.json());
        assert_eq!(bench.refresh(&first, &[]).await.error(), error(403, "invalid_grant"));
        assert_eq!(bench.refresh(&third, &[]).await.error(), error(403, "invalid_grant"), "the newest died too");
        let access = answer["access_token"].as_str().unwrap();
        assert_eq!(bench.get("/userinfo", access).await.error(), error(401, "invalid_token"));
        assert_eq!(bench.refresh("unknown", &[]).await.error(), error(403, "invalid_grant"));
    }

    #[tokio::test]
    async fn within_the_leeway_the_one_before_is_good_and_no_older_one() {
        let bench = Bench::with(Options { leeway_s: 10, ..Options::default() }).await;
        let first = refresh_token(&bench.login().await);
        let lost = refresh_token(&bench.refresh(&first, &[]).await.json());
        bench.wait(9);
        let again = refresh_token(&bench.refresh(&first, &[]).await.json());
        let next = refresh_token(&bench.refresh(&again, &[]).await.json());
        assert_eq!(bench.refresh(&lost, &[]).await.error(), error(403, "invalid_grant"), "the lost one is reuse");
        assert_eq!(bench.refresh(&next, &[]).await.error(), error(403, "invalid_grant"));
    }

    #[tokio::test]
    async fn the_leeway_ends() {
        let bench = Bench::with(Options { leeway_s: 10, ..Options::default() }).await;
        let first = refresh_token(&bench.login().await);
        bench.refresh(&first, &[]).await;
        bench.wait(10);
        assert_eq!(bench.refresh(&first, &[]).await.error(), error(403, "invalid_grant"));
    }

    #[tokio::test]
    async fn the_shop_may_be_looked_at_but_never_bought_from() {
        let bench = Bench::new(Preset::Auth0).await;
        let shop = ("audience", "sample-shop-api");
        let token = refresh_token(&bench.login().await);
        let answer = bench.refresh(&token, &[shop, ("scope", "product:read")]).await.json();
        assert_eq!(answer["scope"], "product:read");
        let claims = bench.world.keys.verify(answer["access_token"].as_str().unwrap()).unwrap();
        assert_eq!(claims["aud"], "sample-shop-api");
        let answer = bench.refresh(&refresh_token(&answer), &[shop, ("scope", "product:buy")]).await.json();
        assert_eq!(answer["scope"], "", "Auth0 grants less in silence");

        let bench = Bench::new(Preset::Oidc).await;
        let resource = bench.world.shop_resource();
        let token = refresh_token(&bench.login().await);
        let refused = bench.refresh(&token, &[("resource", &resource), ("scope", "product:buy")]).await;
        assert_eq!(refused.error(), error(400, "invalid_scope"));
        let granted = bench.refresh(&token, &[("resource", &resource), ("scope", "product:read")]).await;
        assert_eq!(granted.json()["scope"], "product:read", "a refused request cost no token");
        let more = bench.refresh(&refresh_token(&granted.json()), &[("scope", "openid product:read")]).await;
        assert_eq!(more.error(), error(400, "invalid_scope"), "without the resource");

        let bench = Bench::new(Preset::Keycloak).await;
        let token = refresh_token(&bench.login().await);
        let answer = bench.refresh(&token, &[("scope", "product:read")]).await.json();
        assert_eq!(bench.get("/shop/products", answer["access_token"].as_str().unwrap()).await.status, 200);
    }
}
