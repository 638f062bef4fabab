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

/// The audience and the scopes of the new access token. The login client may look at the shop with the person's grant
/// although that scope was not part of the login (Auth0 calls it a multi-resource refresh token).
fn wanted(world: &World, client: &Client, family: &Family, form: &Form) -> Result<(Target, Vec<String>), Refusal> {
    let asked = form.get("scope");
    let asked_scopes: Vec<String> = asked.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
    let target = match scopes::target(world, form, &asked_scopes)? {
        Some(target) => target,
        // node-oidc-provider wants the resource each time; the others remember the audience of the login.
        None if world.preset == Preset::Oidc => Target::Userinfo,
        None => family.target.unwrap_or(Target::Userinfo),
    };
    let may_have = |scope: &str| {
        scopes::has(&family.scopes, scope)
            || (target == Target::Shop && !scopes::is_oidc(scope) && scopes::has(&client.scopes, scope))
    };
    let all = || {
        let shop = client.scopes.iter().filter(|scope| target == Target::Shop && !scopes::is_oidc(scope));
        let mut all = family.scopes.clone();
        all.extend(shop.filter(|scope| !scopes::has(&family.scopes, scope)).cloned());
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
