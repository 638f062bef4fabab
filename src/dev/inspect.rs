//! Userinfo (OpenID Connect Core §5.3), introspection (RFC 7662) and revocation (RFC 7009).

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{
    answer::{Form, Refusal, bearer, no_token, respond},
    clients::{Client, Proof, authenticate},
    preset::Preset,
    scopes,
    tokens::{aud, person_claims},
    world::{Now, State, World},
};

type Shared = extract::State<Arc<World>>;

pub(super) fn router(world: &World) -> Router<Arc<World>> {
    let paths = world.paths();
    Router::new()
        .route(paths.userinfo, get(userinfo).post(userinfo))
        .route(paths.introspect, post(introspect))
        .route(paths.revoke, post(revoke))
}

async fn userinfo(extract::State(world): Shared, headers: HeaderMap) -> Response {
    let Some(token) = bearer(&headers) else { return no_token() };
    let claims = world.with(|state, now| {
        let invalid = || Refusal::bearer(401, "invalid_token", "the access token is not valid here", None);
        let issued = state.issued.get(token).ok_or_else(invalid)?;
        let userinfo = world.url(world.paths().userinfo);
        if issued.revoked || issued.expires_at <= now.wall || !issued.audience.contains(&userinfo) {
            return Err(invalid());
        }
        if !scopes::has(&issued.scopes, "openid") {
            return Err(Refusal::bearer(403, "insufficient_scope", "openid is needed", Some("openid")));
        }
        Ok(Value::Object(person_claims(world.preset, issued.person, &issued.scopes)))
    });
    respond(claims)
}

async fn introspect(extract::State(world): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let endpoint = world.url(world.paths().introspect);
    let result = Form::read(&headers, &body).and_then(|form| {
        world.with(|state, now| {
            let client = authenticate(&world, state, now, &headers, &form, &endpoint)?;
            if matches!(client.proof, Proof::None) {
                // RFC 7662 §2.1: only who is authorized may ask, so that nobody can try out tokens.
                return Err(Refusal::new(401, "invalid_client", "a public client may not introspect"));
            }
            Ok(describe(&world, state, now, form.required("token")?))
        })
    });
    respond(result)
}

fn describe(world: &World, state: &State, now: Now, token: &str) -> Value {
    if let Some(issued) = state.issued.get(token).filter(|issued| !issued.revoked && issued.expires_at > now.wall) {
        return json!({
            "active": true, "token_type": "Bearer", "iss": world.issuer, "client_id": issued.client_id,
            "sub": issued.person.subject(world.preset), "username": issued.person.key, "aud": aud(&issued.audience),
            "scope": issued.scopes.join(" "), "iat": issued.issued_at.timestamp(), "exp": issued.expires_at.timestamp(),
        });
    }
    match state.families.iter().find(|family| family.alive && family.current == token) {
        Some(family) => json!({
            "active": true, "token_type": "refresh_token", "iss": world.issuer, "client_id": family.client_id,
            "sub": family.person.subject(world.preset), "username": family.person.key,
            "scope": family.scopes.join(" "),
        }),
        None => json!({"active": false}),
    }
}

async fn revoke(extract::State(world): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let endpoint = world.url(world.paths().revoke);
    let result = Form::read(&headers, &body).and_then(|form| {
        world.with(|state, now| {
            let client = authenticate(&world, state, now, &headers, &form, &endpoint)?;
            end(&world, state, &client, form.required("token")?)
        })
    });
    match result {
        // An empty body, also for a token nobody knows (RFC 7009 §2.2).
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

fn end(world: &World, state: &mut State, client: &Client, token: &str) -> Result<(), Refusal> {
    let foreign =
        || Refusal::new(world.preset.status("unauthorized_client"), "unauthorized_client", "another client's");
    let family = state.families.iter().find(|family| {
        family.current == token
            || family.previous.as_ref().is_some_and(|(previous, _)| previous == token)
            || family.spent.contains(token)
    });
    if let Some(family) = family {
        if family.client_id != client.id {
            return Err(foreign());
        }
        let id = family.id;
        state.kill_family(id);
        return Ok(());
    }
    let Some(issued) = state.issued.get_mut(token) else { return Ok(()) };
    if issued.client_id != client.id {
        return Err(foreign());
    }
    // A JWT lives until it expires, whoever says otherwise; only Keycloak keeps a list.
    if !issued.opaque && world.preset != Preset::Keycloak {
        return Err(Refusal::new(400, "unsupported_token_type", "a JWT access token cannot be revoked"));
    }
    issued.revoked = true;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::{
        LOGIN_CLIENT,
        testing::{Bench, error},
    };

    #[tokio::test]
    async fn revoking_a_refresh_token_ends_its_login() {
        let bench = Bench::new(Preset::Auth0).await;
        let tokens = bench.login().await;
        let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
        let introspect = async |token: &str| {
            bench.form_with("/oauth/introspect", &[("authorization", &bench.basic())], &[("token", token)]).await.json()
        };
        assert_eq!(introspect(access).await["username"], "ada");
        assert_eq!(introspect(refresh).await["token_type"], "refresh_token");
        let revoke =
            async |token: &str| bench.form("/oauth/revoke", &[("client_id", LOGIN_CLIENT), ("token", token)]).await;
        assert_eq!(revoke(access).await.error(), error(400, "unsupported_token_type"), "a JWT");
        assert_eq!(revoke("unknown").await.status, 200);
        let foreign =
            bench.form_with("/oauth/revoke", &[("authorization", &bench.basic())], &[("token", refresh)]).await;
        assert_eq!(foreign.error(), error(403, "unauthorized_client"));
        let revoked = revoke(refresh).await;
        assert_eq!((revoked.status, &*revoked.text), (200, ""));
        assert_eq!(bench.refresh(refresh, &[]).await.error(), error(403, "invalid_grant"));
        assert_eq!(introspect(refresh).await, json!({"active": false}));
        assert_eq!(introspect(access).await, json!({"active": false}));
        assert_eq!(bench.get("/userinfo", access).await.error(), error(401, "invalid_token"));
        let public = bench.form("/oauth/introspect", &[("client_id", LOGIN_CLIENT), ("token", access)]).await;
        assert_eq!(public.error(), error(401, "invalid_client"));
    }

    #[tokio::test]
    async fn userinfo_wants_its_own_token() {
        let bench = Bench::new(Preset::Oidc).await;
        let tokens = bench.login().await;
        let me = bench.get("/me", tokens["access_token"].as_str().unwrap()).await;
        assert_eq!((me.status, me.json()["name"].as_str()), (200, Some("Ada Lovelace")));
        let shop = bench.approval(&[]).await;
        let refused = bench.get("/me", shop["access_token"].as_str().unwrap()).await;
        assert_eq!(refused.error(), error(401, "invalid_token"));
        assert!(refused.header("www-authenticate").contains("invalid_token"));
        bench.wait(3600);
        assert_eq!(bench.get("/me", tokens["access_token"].as_str().unwrap()).await.status, 401, "expired");
    }
}
