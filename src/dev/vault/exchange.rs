//! Tokens of third parties for tokens of ours: the grant of Auth0's Token Vault, and token exchange (RFC 8693) elsewhere.

use serde_json::{Value, json};

use super::{Connection, TOKEN_S};
use crate::dev::{
    VAULT_CLIENT,
    answer::{Form, Refusal},
    clients::{Client, Proof, Role},
    people::Person,
    preset::Preset,
    records::{Family, Issued},
    scopes::{self, VAULT_AUDIENCE},
    world::{Now, State, World},
};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";
const FEDERATED_TOKEN: &str = "http://auth0.com/oauth/token-type/federated-connection-access-token";

/// Auth0's grant. Its `scope` is what the person connected the account with, whatever the request says.
pub(in crate::dev) fn token_vault(
    world: &World,
    state: &mut State,
    now: Now,
    client: &Client,
    form: &Form,
) -> Result<Value, Refusal> {
    admit(world, client)?;
    if form.required("requested_token_type")? != FEDERATED_TOKEN {
        return Err(Refusal::invalid_request(format!("requested_token_type must be {FEDERATED_TOKEN}")));
    }
    let connection = form.required("connection")?;
    let token = form.required("subject_token")?;
    let dead = || Refusal::new(401, "invalid_grant", "the subject token is invalid, expired or another client's");
    let person = match form.required("subject_token_type")? {
        ACCESS_TOKEN => {
            let issued = alive(state, now, token).ok_or_else(dead)?;
            if !issued.audience.iter().any(|audience| audience == VAULT_AUDIENCE) {
                let why = format!(
                    "this client is linked to the audience {VAULT_AUDIENCE}, and the subject token is not for it"
                );
                return Err(Refusal::new(403, "unauthorized_client", why));
            }
            issued.person
        }
        // Only of the client that got it, so never one of a public client's.
        REFRESH_TOKEN => {
            let own = |family: &&Family| family.alive && family.current == token && family.client_id == client.id;
            state.families.iter().find(own).ok_or_else(dead)?.person
        }
        _ => return Err(Refusal::invalid_request("this subject_token_type is not supported")),
    };
    let account = Connection::named(connection).and_then(|connection| state.vault.account(person, connection));
    let account = account.filter(|account| form.get("login_hint").is_none_or(|hint| hint == account.user_id()));
    let account = account.cloned().ok_or_else(|| {
        let error = "federated_connection_refresh_token_not_found";
        Refusal::new(401, error, "The refresh token of this connection was not found: the account is not connected.")
    })?;
    let token = state.vault.issue(now, &account, &account.scopes).ok_or_else(|| {
        let error = "federated_connection_refresh_token_flow_failed";
        Refusal::new(401, error, "The third party refused the refresh token of this connection.")
    })?;
    Ok(answer(&token, &account.scopes, FEDERATED_TOKEN))
}

/// Token exchange (RFC 8693 §2) with the connection's name as audience.
pub(in crate::dev) fn token_exchange(
    world: &World,
    state: &mut State,
    now: Now,
    client: &Client,
    form: &Form,
) -> Result<Value, Refusal> {
    admit(world, client)?;
    if form.get("actor_token").is_some() || form.get("actor_token_type").is_some() {
        return Err(Refusal::invalid_request("there is no delegation here"));
    }
    if form.get("requested_token_type").is_some_and(|kind| kind != ACCESS_TOKEN) {
        return Err(Refusal::invalid_request("only access tokens can be requested"));
    }
    if form.required("subject_token_type")? != ACCESS_TOKEN {
        return Err(Refusal::invalid_request("the subject must be an access token"));
    }
    let person = subject(world, state, now, form.required("subject_token")?)?;
    let target = |why: &str| Refusal::new(400, "invalid_target", why);
    if form.get("resource").is_some() {
        return Err(target("a connection is named by audience, not by resource"));
    }
    let connection =
        Connection::named(form.required("audience")?).ok_or_else(|| target("there is no such connection"))?;
    let account = state.vault.account(person, connection).cloned();
    let account = account.ok_or_else(|| target("the account of this connection is not connected"))?;
    let scopes: Vec<String> = match form.get("scope") {
        Some(asked) => asked.split_ascii_whitespace().map(str::to_owned).collect(),
        None => account.scopes.clone(),
    };
    if let Some(scope) = scopes.iter().find(|scope| !scopes::has(&account.scopes, scope)) {
        let why = format!("the account is not connected with the scope '{scope}'");
        return Err(Refusal::new(400, "invalid_scope", why));
    }
    let token = state.vault.issue(now, &account, &scopes);
    let token = token.ok_or_else(|| target("the third party has revoked the grant of this connection"))?;
    Ok(answer(&token, &scopes, ACCESS_TOKEN))
}

/// Only a confidential client of this role.
fn admit(world: &World, client: &Client) -> Result<(), Refusal> {
    client.must_be(Role::Vault, world.preset)?;
    if matches!(client.proof, Proof::None) {
        let error = "unauthorized_client";
        return Err(Refusal::new(world.preset.status(error), error, "a public client may not exchange tokens"));
    }
    Ok(())
}

fn alive<'a>(state: &'a State, now: Now, token: &str) -> Option<&'a Issued> {
    state.issued.get(token).filter(|issued| !issued.revoked && issued.expires_at > now.wall)
}

/// Whose token it is: an access token of the login client that is meant to be exchanged (RFC 8693 §2.2.2).
fn subject(world: &World, state: &State, now: Now, token: &str) -> Result<&'static Person, Refusal> {
    let refuse = |why: &str| Refusal::invalid_request(format!("the subject token {why}"));
    let issued = alive(state, now, token).ok_or_else(|| refuse("is invalid or expired"))?;
    if state.client(&issued.client_id).is_none_or(|client| client.role != Role::Login) {
        return Err(refuse("does not come from a login"));
    }
    // Keycloak wants the client that asks in the audience, by a mapper; elsewhere the vault is a resource of its own.
    let needed = if world.preset == Preset::Keycloak { VAULT_CLIENT } else { VAULT_AUDIENCE };
    if !issued.audience.iter().any(|audience| audience == needed) {
        return Err(refuse(&format!("is not for the audience {needed}")));
    }
    Ok(issued.person)
}

fn answer(token: &str, scopes: &[String], kind: &str) -> Value {
    json!({
        "access_token": token, "issued_token_type": kind, "token_type": "Bearer", "expires_in": TOKEN_S,
        "scope": scopes.join(" "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::{
        APPROVAL_CLIENT, LOGIN_CLIENT,
        testing::{Bench, error},
    };

    const PRESETS: [Preset; 3] = [Preset::Auth0, Preset::Keycloak, Preset::Oidc];
    const ALL: &str = "okta.users.read okta.groups.read okta.users.manage okta.groups.manage";

    #[tokio::test]
    async fn a_connected_person_gets_a_token_of_the_third_party_under_every_preset() {
        for preset in PRESETS {
            let bench = Bench::new(preset).await;
            let subject = bench.subject("ada").await;
            let answer = bench.exchange(&subject, &[]).await;
            let kind = if preset == Preset::Auth0 { FEDERATED_TOKEN } else { ACCESS_TOKEN };
            assert_eq!((answer.status, &answer.json()["issued_token_type"]), (200, &json!(kind)), "{}", answer.text);
            assert_eq!((&answer.json()["scope"], &answer.json()["expires_in"]), (&json!(ALL), &json!(3600)));
            assert_eq!(answer.json().as_object().unwrap().len(), 5, "no refresh token and no ID token");
            let token = answer.json()["access_token"].as_str().unwrap().to_owned();
            assert!(bench.world.keys.verify(&token).is_none(), "opaque");
            assert_eq!(bench.get("/okta/api/v1/users/me", &token).await.json()["profile"]["login"], "ada@example.com");
            bench.wait(3600);
            assert_eq!(bench.get("/okta/api/v1/users/me", &token).await.status, 401, "expired");
            let history = bench.manage("GET /history?of=vault", Value::Null).await.json();
            assert_eq!(history["requests"][0]["labels"], json!(["vault", "token"]));
        }
    }

    #[tokio::test]
    async fn the_vault_says_what_is_missing() {
        for (preset, missing, revoked) in [
            (
                Preset::Auth0,
                error(401, "federated_connection_refresh_token_not_found"),
                error(401, "federated_connection_refresh_token_flow_failed"),
            ),
            (Preset::Keycloak, error(400, "invalid_target"), error(400, "invalid_target")),
            (Preset::Oidc, error(400, "invalid_target"), error(400, "invalid_target")),
        ] {
            let bench = Bench::new(preset).await;
            let name = if preset == Preset::Auth0 { "connection" } else { "audience" };
            let grace = bench.subject("grace").await;
            assert_eq!(bench.exchange(&grace, &[]).await.error(), missing);
            let ada = bench.subject("ada").await;
            for other in ["calendar", "nothing"] {
                assert_eq!(bench.exchange(&ada, &[(name, Some(other))]).await.error(), missing, "{other}");
            }
            let live = bench.exchange(&ada, &[]).await.json()["access_token"].as_str().unwrap().to_owned();
            let okta = json!({"person": "ada", "connection": "okta"});
            assert_eq!(bench.manage("POST /connections/revoke", okta.clone()).await.status, 200);
            let refused = bench.exchange(&ada, &[]).await;
            assert_eq!(refused.error(), revoked);
            assert!(preset == Preset::Auth0 || refused.text.contains("revoked"), "{}", refused.text);
            assert_eq!(bench.get("/okta/api/v1/users/me", &live).await.status, 401, "its live tokens died");
            let fewer = json!({"person": "ada", "connection": "okta", "scopes": ["okta.users.read"]});
            assert_eq!(bench.manage("POST /connections", fewer).await.status, 200);
            assert_eq!(bench.exchange(&ada, &[]).await.json()["scope"], "okta.users.read");
            assert_eq!(bench.manage("DELETE /connections", okta).await.status, 200);
            assert_eq!(bench.exchange(&ada, &[]).await.error(), missing);
            assert_eq!(bench.manage("POST /reset", Value::Null).await.status, 200);
            let again = bench.subject("ada").await;
            assert_eq!(bench.exchange(&again, &[]).await.json()["scope"], ALL, "the seed is back");
        }
    }

    #[tokio::test]
    async fn auth0_refuses_every_wrong_request() {
        let bench = Bench::new(Preset::Auth0).await;
        let good = bench.subject("ada").await;
        let login = bench.login().await;
        let (access, refresh) = (login["access_token"].as_str().unwrap(), login["refresh_token"].as_str().unwrap());
        let invalid = || error(400, "invalid_request");
        let table = [
            (vec![("requested_token_type", None)], invalid()),
            (vec![("requested_token_type", Some(ACCESS_TOKEN))], invalid()),
            (vec![("connection", None)], invalid()),
            (vec![("subject_token", None)], invalid()),
            (vec![("subject_token_type", None)], invalid()),
            (vec![("subject_token_type", Some("urn:ietf:params:oauth:token-type:id_token"))], invalid()),
            (vec![("subject_token", Some("unknown"))], error(401, "invalid_grant")),
            (vec![("subject_token", Some(access))], error(403, "unauthorized_client")),
            (vec![("subject_token", Some(refresh))], error(401, "invalid_grant")),
            (
                vec![("subject_token", Some(refresh)), ("subject_token_type", Some(REFRESH_TOKEN))],
                error(401, "invalid_grant"),
            ),
            (
                vec![("login_hint", Some("grace@example.com"))],
                error(401, "federated_connection_refresh_token_not_found"),
            ),
            (vec![("grant_type", Some(crate::dev::clients::EXCHANGE_GRANT))], error(400, "unsupported_grant_type")),
        ];
        for (changes, wanted) in table {
            assert_eq!(bench.exchange(&good, &changes).await.error(), wanted, "{changes:?}");
        }
        let hinted = bench.exchange(&good, &[("login_hint", Some("ada@example.com")), ("scope", Some("x"))]).await;
        assert_eq!(hinted.json()["scope"], ALL, "scope is not honoured");
        bench.wait(86_400);
        assert_eq!(bench.exchange(&good, &[]).await.error(), error(401, "invalid_grant"), "expired");
    }

    /// Who asks is looked at before what is asked.
    #[tokio::test]
    async fn only_the_confidential_client_of_this_role_may_ask() {
        let bench = Bench::new(Preset::Auth0).await;
        let subject = bench.subject("ada").await;
        let pairs = [
            ("grant_type", crate::dev::clients::VAULT_GRANT),
            ("requested_token_type", FEDERATED_TOKEN),
            ("connection", "okta"),
            ("subject_token", &*subject),
            ("subject_token_type", ACCESS_TOKEN),
        ];
        let ask = async |more: &[(&str, &str)]| bench.form("/oauth/token", &[&pairs, more].concat()).await.error();
        assert_eq!(ask(&[("client_id", LOGIN_CLIENT)]).await, error(403, "unauthorized_client"));
        let secret = bench.secret();
        let approval = [("client_id", APPROVAL_CLIENT), ("client_secret", &*secret)];
        assert_eq!(ask(&approval).await, error(403, "unauthorized_client"));
        assert_eq!(ask(&[("client_id", VAULT_CLIENT)]).await, error(401, "invalid_client"));
        let wrong = [("client_id", VAULT_CLIENT), ("client_secret", "no")];
        assert_eq!(ask(&wrong).await, error(401, "access_denied"));
        let public = json!({"client_id": "open", "role": "vault"});
        assert_eq!(bench.manage("POST /clients", public).await.status, 200);
        assert_eq!(ask(&[("client_id", "open")]).await, error(403, "unauthorized_client"));
        // The vault's client has no other grant.
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", "x")];
        let refused = bench.form_with("/oauth/token", &[("authorization", &bench.vault_basic())], &refresh).await;
        assert_eq!(refused.error(), error(403, "unauthorized_client"));
    }

    #[tokio::test]
    async fn a_refresh_token_is_good_for_the_client_that_got_it() {
        let bench = Bench::new(Preset::Auth0).await;
        // One client that logs in, and is given the other role afterwards.
        let role = |role: &str| json!({"client_id": VAULT_CLIENT, "role": role, "secret": "s3cret"});
        assert_eq!(bench.manage("POST /clients", role("login")).await.status, 200);
        let own = [("client_id", VAULT_CLIENT), ("client_secret", "s3cret")];
        let start = [own[0], own[1], ("scope", "openid offline_access")];
        let device = bench.form("/oauth/device/code", &start).await.json();
        bench.manage("POST /logins/latest/approve", Value::Null).await;
        let code = device["device_code"].as_str().unwrap();
        let poll = [own[0], own[1], ("grant_type", crate::dev::clients::DEVICE_GRANT), ("device_code", code)];
        let tokens = bench.form("/oauth/token", &poll).await.json();
        assert_eq!(bench.manage("POST /clients", role("vault")).await.status, 200);
        // In JSON, as Auth0's documents show it.
        let mut body = json!({
            "grant_type": crate::dev::clients::VAULT_GRANT, "client_id": VAULT_CLIENT, "client_secret": "s3cret",
            "subject_token": tokens["refresh_token"], "subject_token_type": REFRESH_TOKEN,
            "requested_token_type": FEDERATED_TOKEN, "connection": "okta",
        });
        let answer = bench.call("POST /oauth/token", "", body.clone()).await;
        assert_eq!(answer.error(), error(400, "invalid_request"), "a Bearer header is no client authentication");
        let request = |body: &Value| {
            axum::http::Request::post("/oauth/token")
                .header("host", "127.0.0.1")
                .header("content-type", "application/json")
                .body(axum::body::Body::from(body.to_string()))
                .unwrap()
        };
        let answer = bench.send(request(&body)).await;
        assert_eq!((answer.status, &answer.json()["scope"]), (200, &json!(ALL)), "{}", answer.text);
        let labels = bench.manage("GET /history?of=vault", Value::Null).await.json()["requests"][0]["labels"].clone();
        assert_eq!(labels, json!(["vault", "token"]));
        body["connection"] = json!(["okta"]);
        assert_eq!(bench.send(request(&body)).await.error(), error(400, "invalid_request"));
    }

    #[tokio::test]
    async fn token_exchange_is_what_the_specification_says() {
        for preset in [Preset::Keycloak, Preset::Oidc] {
            let bench = Bench::new(preset).await;
            let discovery = bench.get(bench.world.paths().discovery[0], "").await.json();
            let grants = discovery["grant_types_supported"].as_array().unwrap();
            assert!(grants.contains(&json!(crate::dev::clients::EXCHANGE_GRANT)));
            let good = bench.subject("ada").await;
            let approval = bench.approval(&[]).await;
            let approved = approval["access_token"].as_str().unwrap();
            let invalid = || error(400, "invalid_request");
            let table = [
                (vec![("subject_token", None)], invalid()),
                (vec![("subject_token_type", None)], invalid()),
                (vec![("subject_token_type", Some(REFRESH_TOKEN))], invalid()),
                (vec![("subject_token", Some("unknown"))], invalid()),
                (vec![("subject_token", Some(approved))], invalid()),
                (vec![("requested_token_type", Some(REFRESH_TOKEN))], invalid()),
                (vec![("actor_token", Some("x"))], invalid()),
                (vec![("audience", None)], invalid()),
                (vec![("resource", Some("http://127.0.0.1/okta"))], error(400, "invalid_target")),
                (vec![("scope", Some("okta.apps.read"))], error(400, "invalid_scope")),
                (vec![("grant_type", Some(crate::dev::clients::VAULT_GRANT))], error(400, "unsupported_grant_type")),
            ];
            for (changes, wanted) in table {
                assert_eq!(bench.exchange(&good, &changes).await.error(), wanted, "{preset} {changes:?}");
            }
            let fewer = bench.exchange(&good, &[("scope", Some("okta.users.read"))]).await;
            assert_eq!(fewer.json()["scope"], "okta.users.read");
            bench.wait(3600);
            assert_eq!(bench.exchange(&good, &[]).await.error(), invalid(), "expired");
        }
    }

    #[tokio::test]
    async fn a_subject_token_is_one_for_the_vault() {
        // A plain provider: the login's own token is for userinfo, and one for the shop is for the shop.
        let bench = Bench::new(Preset::Oidc).await;
        let login = bench.login().await;
        let shop = bench.world.shop_resource();
        let refresh = login["refresh_token"].as_str().unwrap();
        let shop = bench.refresh(refresh, &[("resource", &shop), ("scope", "product:read")]).await.json();
        for token in [&login["access_token"], &shop["access_token"]] {
            let refused = bench.exchange(token.as_str().unwrap(), &[]).await;
            assert_eq!(refused.error(), error(400, "invalid_request"));
            assert!(refused.text.contains("agentctl-vault-api"), "{}", refused.text);
        }
        // Keycloak: a mapper names the vault's client in the login client's tokens, and only there.
        let bench = Bench::new(Preset::Keycloak).await;
        let login = bench.login().await;
        let claims = bench.world.keys.verify(login["access_token"].as_str().unwrap()).unwrap();
        assert_eq!(claims["aud"][1], VAULT_CLIENT);
        let approval = bench.approval(&[]).await;
        let claims = bench.world.keys.verify(approval["access_token"].as_str().unwrap()).unwrap();
        assert_eq!(claims["aud"], "sample-shop-api");
        // And no approval leads to the vault or to the accounts.
        let bench = Bench::new(Preset::Auth0).await;
        for audience in [VAULT_AUDIENCE.to_owned(), bench.world.url("/me/")] {
            assert_eq!(bench.ask(&[("audience", Some(&audience))]).await.error(), error(403, "access_denied"));
        }
    }
}
