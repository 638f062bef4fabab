//! The directory's API: the paths, shapes and errors of Okta, for tokens that the vault handed out.
//!
//! Which scope a call needs is Okta's choice: the groups of a user are part of the user (`okta.users.read`), the members
//! of a group part of the group (`okta.groups.manage`). There is no `Idempotency-Key`, as there is none at Okta.

use std::sync::Arc;

use axum::{
    Router,
    extract::{self, Path, RawQuery},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde_json::{Value, json};

use super::{Directory, Status, User};
use crate::dev::{
    answer::{Form, bearer, json_answer},
    people::Person,
    random, scopes,
    world::{Now, World},
};

const USERS_READ: &str = "okta.users.read";
const USERS_MANAGE: &str = "okta.users.manage";
const GROUPS_READ: &str = "okta.groups.read";
const GROUPS_MANAGE: &str = "okta.groups.manage";

type Shared = extract::State<Arc<World>>;

pub(in crate::dev) fn router() -> Router<Arc<World>> {
    let base = "/okta/api/v1";
    Router::new()
        .route(&format!("{base}/users/{{user}}"), get(show_user))
        .route(&format!("{base}/users/{{user}}/groups"), get(groups_of_user))
        .route(&format!("{base}/users/{{user}}/lifecycle/reset_password"), post(reset_password))
        .route(&format!("{base}/users/{{user}}/lifecycle/deactivate"), post(deactivate))
        .route(&format!("{base}/groups"), get(list_groups))
        .route(&format!("{base}/groups/{{group}}/users/{{user}}"), put(add_to_group))
}

/// An error of Okta's.
#[derive(Debug)]
struct Problem {
    status: u16,
    code: &'static str,
    summary: String,
    cause: Option<String>,
    /// The scope that is missing.
    scope: Option<&'static str>,
}

impl Problem {
    fn new(status: u16, code: &'static str, summary: impl Into<String>) -> Self {
        Self { status, code, summary: summary.into(), cause: None, scope: None }
    }

    fn no_token() -> Self {
        Self::new(401, "E0000011", "Invalid token provided")
    }

    fn not_found(what: &str, kind: &str) -> Self {
        Self::new(404, "E0000007", format!("Not found: Resource not found: {what} ({kind})"))
    }

    fn wrong_status() -> Self {
        Self::new(403, "E0000038", "This operation is not allowed in the user's current status.")
    }

    fn invalid(field: &str, cause: &str) -> Self {
        let cause = Some(format!("{field}: {cause}"));
        Self { cause, ..Self::new(400, "E0000001", format!("Api validation failed: {field}")) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let causes: Vec<Value> = self.cause.iter().map(|cause| json!({"errorSummary": cause})).collect();
        let mut response = json_answer(
            self.status,
            &json!({
                "errorCode": self.code, "errorSummary": self.summary, "errorLink": self.code,
                "errorId": format!("oae{}", random::token()), "errorCauses": causes,
            }),
        );
        let challenge = match self.scope {
            Some(scope) => Some(format!(
                "Bearer error=\"insufficient_scope\", scope=\"{scope}\", \
                 error_description=\"The access token provided does not contain the required scopes.\""
            )),
            None => (self.status == 401).then(|| "Bearer error=\"invalid_token\"".to_owned()),
        };
        if let Some(challenge) = challenge.and_then(|challenge| challenge.parse().ok()) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

fn respond(result: Result<Value, Problem>) -> Response {
    result.map_or_else(IntoResponse::into_response, |body| json_answer(200, &body))
}

/// Works on the directory for whoever holds a live token of it with this scope.
fn with<T>(
    world: &World,
    headers: &HeaderMap,
    scope: &'static str,
    work: impl FnOnce(&mut Directory, &'static Person, Now) -> Result<T, Problem>,
) -> Result<T, Problem> {
    world.with(|state, now| {
        let token = bearer(headers).and_then(|token| state.vault.token(token, "okta", now));
        let token = token.ok_or_else(Problem::no_token)?;
        if !scopes::has(&token.scopes, scope) {
            let summary = "You do not have permission to perform the requested action";
            return Err(Problem { scope: Some(scope), ..Problem::new(403, "E0000006", summary) });
        }
        let person = token.person;
        work(&mut state.directory, person, now)
    })
}

fn base(world: &World) -> String {
    world.url("/okta/api/v1")
}

impl Directory {
    /// Who is meant by the word in a path; `me` is whoever's token it is.
    fn meant(&self, word: &str, me: &Person) -> Result<&User, Problem> {
        let found = if word == "me" { self.of(me) } else { self.users.iter().find(|user| user.is(word)) };
        found.ok_or_else(|| Problem::not_found(word, "User"))
    }
}

async fn show_user(extract::State(world): Shared, headers: HeaderMap, Path(user): Path<String>) -> Response {
    respond(with(&world, &headers, USERS_READ, |directory, me, _| Ok(directory.meant(&user, me)?.json(&base(&world)))))
}

async fn groups_of_user(extract::State(world): Shared, headers: HeaderMap, Path(user): Path<String>) -> Response {
    respond(with(&world, &headers, USERS_READ, |directory, me, _| {
        let user = directory.meant(&user, me)?;
        Ok(directory.groups_of(user).map(|group| group.json(&base(&world))).collect())
    }))
}

async fn list_groups(extract::State(world): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    respond(with(&world, &headers, GROUPS_READ, |directory, _, _| {
        // Okta looks at the beginning of the name.
        let start = query.get("q").unwrap_or_default().to_lowercase();
        let found = directory.groups.iter().filter(|group| group.name.to_lowercase().starts_with(&start));
        Ok(found.map(|group| group.json(&base(&world))).collect())
    }))
}

async fn reset_password(
    extract::State(world): Shared,
    headers: HeaderMap,
    Path(user): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    respond(with(&world, &headers, USERS_MANAGE, |directory, _, now| {
        let by_mail = match query.get("sendEmail") {
            Some("true") => true,
            Some("false") => false,
            _ => return Err(Problem::invalid("sendEmail", "It must be true or false.")),
        };
        let user = directory.user(&user).ok_or_else(|| Problem::not_found(&user, "User"))?;
        if user.status == Status::Deprovisioned {
            return Err(Problem::wrong_status());
        }
        user.status = Status::Recovery;
        user.changed = Some(now.wall);
        user.password_resets += 1;
        Ok(if by_mail {
            json!({})
        } else {
            json!({"resetPasswordUrl": world.url(&format!("/okta/reset_password/{}", random::token()))})
        })
    }))
}

async fn deactivate(extract::State(world): Shared, headers: HeaderMap, Path(user): Path<String>) -> Response {
    respond(with(&world, &headers, USERS_MANAGE, |directory, _, now| {
        let user = directory.user(&user).ok_or_else(|| Problem::not_found(&user, "User"))?;
        if user.status == Status::Deprovisioned {
            return Err(Problem::wrong_status());
        }
        user.status = Status::Deprovisioned;
        user.changed = Some(now.wall);
        Ok(json!({}))
    }))
}

/// Okta wants two ids here; this directory also takes the group's name and the user's login.
async fn add_to_group(
    extract::State(world): Shared,
    headers: HeaderMap,
    Path((group, user)): Path<(String, String)>,
) -> Response {
    let result = with(&world, &headers, GROUPS_MANAGE, |directory, _, now| {
        let name = directory.user(&user).ok_or_else(|| Problem::not_found(&user, "User"))?.name;
        let found = directory.groups.iter_mut().find(|known| known.is(&group));
        let group = found.ok_or_else(|| Problem::not_found(&group, "UserGroup"))?;
        if group.built_in {
            return Err(Problem::new(501, "E0000060", "Unsupported operation."));
        }
        if !group.members.contains(&name) {
            group.members.push(name);
            group.changed = Some(now.wall);
        }
        Ok(())
    });
    result.map_or_else(IntoResponse::into_response, |()| StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::{Preset, testing::Bench};

    /// Status and Okta's error code in one.
    fn code(reply: &crate::dev::testing::Reply) -> (u16, String) {
        let body = reply.json();
        assert!(body["errorId"].as_str().unwrap().starts_with("oae") && body["errorCauses"].is_array());
        assert_eq!(body["errorLink"], body["errorCode"]);
        (reply.status, body["errorCode"].as_str().unwrap().to_owned())
    }

    fn names(reply: &crate::dev::testing::Reply) -> Vec<String> {
        let groups = reply.json();
        groups.as_array().unwrap().iter().map(|group| group["profile"]["name"].as_str().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn people_are_found_by_id_login_and_short_login() {
        let bench = Bench::new(Preset::Auth0).await;
        let token = bench.federated("ada").await;
        let get = async |path: &str| bench.get(&format!("/okta/api/v1{path}"), &token).await;
        let me = get("/users/me").await.json();
        assert_eq!(me["profile"]["firstName"], "Ada");
        assert_eq!(me["status"], "ACTIVE");
        let bob = get("/users/bob").await.json();
        let id = bob["id"].as_str().unwrap();
        assert_eq!(id.len(), 20);
        for word in [id, "bob@example.com", "BOB"] {
            assert_eq!(get(&format!("/users/{word}")).await.json(), bob, "{word}");
        }
        assert_eq!(code(&get("/users/eve").await), (404, "E0000007".to_owned()));
        assert_eq!(names(&get("/users/me/groups").await), ["Everyone", "Engineering", "Admins"]);
        assert_eq!(names(&get("/users/grace@example.com/groups").await), ["Everyone", "Help Desk"]);
        assert_eq!(code(&get("/users/eve/groups").await), (404, "E0000007".to_owned()));
        assert_eq!(names(&get("/groups").await).len(), 5);
        assert_eq!(names(&get("/groups?q=e").await), ["Everyone", "Engineering"]);
        assert_eq!(get("/groups?q=nothing").await.json(), json!([]));
    }

    #[tokio::test]
    async fn what_is_done_is_done() {
        let bench = Bench::new(Preset::Oidc).await;
        let token = bench.federated("ada").await;
        let call = async |call: &str| {
            let (method, path) = call.split_once(' ').unwrap();
            bench.call(&format!("{method} /okta/api/v1{path}"), &token, Value::Null).await
        };
        let bob = async || {
            let journal = bench.manage("GET /directory", Value::Null).await.json();
            let users = journal["users"].as_array().unwrap();
            users.iter().find(|user| user["login"] == "bob@example.com").unwrap().clone()
        };
        let reset = "POST /users/bob/lifecycle/reset_password";
        let mailed = call(&format!("{reset}?sendEmail=true")).await;
        assert_eq!((mailed.status, mailed.json()), (200, json!({})));
        let shown = call(&format!("{reset}?sendEmail=false")).await.json();
        assert!(shown["resetPasswordUrl"].as_str().unwrap().starts_with(&bench.world.origin));
        assert_eq!(code(&call(reset).await), (400, "E0000001".to_owned()));
        assert_eq!((&bob().await["status"], &bob().await["password_resets"]), (&json!("RECOVERY"), &json!(2)));

        for (group, user) in
            [("engineering", "bob"), ("00gDev2Engineering02", "00uDev4BobKahn000004"), ("Help-Desk", "bob")]
        {
            let added = call(&format!("PUT /groups/{group}/users/{user}")).await;
            assert_eq!((added.status, &*added.text), (204, ""));
        }
        assert_eq!(bob().await["groups"], json!(["Everyone", "Engineering", "Help Desk"]));
        assert_eq!(code(&call("PUT /groups/nobody/users/bob").await), (404, "E0000007".to_owned()));
        assert_eq!(code(&call("PUT /groups/admins/users/eve").await), (404, "E0000007".to_owned()));
        assert_eq!(code(&call("PUT /groups/everyone/users/bob").await), (501, "E0000060".to_owned()));

        assert_eq!(call("POST /users/bob/lifecycle/deactivate").await.json(), json!({}));
        assert_eq!(bob().await["status"], "DEPROVISIONED");
        for again in ["deactivate", "reset_password?sendEmail=true"] {
            let refused = call(&format!("POST /users/bob/lifecycle/{again}")).await;
            assert_eq!(code(&refused), (403, "E0000038".to_owned()));
        }
        assert_eq!(code(&call("POST /users/eve/lifecycle/deactivate").await), (404, "E0000007".to_owned()));
        bench.manage("POST /reset", Value::Null).await;
        assert_eq!((&bob().await["status"], &bob().await["groups"]), (&json!("ACTIVE"), &json!(["Everyone"])));
    }

    #[tokio::test]
    async fn every_call_needs_its_scope() {
        let bench = Bench::new(Preset::Keycloak).await;
        let calls = [
            ("GET /users/me", USERS_READ),
            ("GET /users/bob", USERS_READ),
            ("GET /users/me/groups", USERS_READ),
            ("GET /users/bob/groups", USERS_READ),
            ("GET /groups", GROUPS_READ),
            ("POST /users/bob/lifecycle/reset_password?sendEmail=true", USERS_MANAGE),
            ("PUT /groups/admins/users/bob", GROUPS_MANAGE),
            ("POST /users/bob/lifecycle/deactivate", USERS_MANAGE),
        ];
        for held in [USERS_READ, GROUPS_READ, USERS_MANAGE, GROUPS_MANAGE] {
            bench.manage("POST /reset", Value::Null).await;
            let only = json!({"person": "grace", "connection": "okta", "scopes": [held]});
            assert_eq!(bench.manage("POST /connections", only).await.status, 200);
            let token = bench.federated("grace").await;
            for (call, needed) in calls {
                let reply = bench.call(&call.replace(" /", " /okta/api/v1/"), &token, Value::Null).await;
                if held == needed {
                    assert!(reply.status < 300, "{call} with {held}: {}", reply.text);
                } else {
                    assert_eq!(code(&reply), (403, "E0000006".to_owned()), "{call} with {held}");
                    assert!(reply.header("www-authenticate").contains(needed));
                }
            }
        }
    }

    #[tokio::test]
    async fn only_the_third_partys_own_tokens_open_it() {
        let bench = Bench::new(Preset::Auth0).await;
        let subject = bench.subject("ada").await;
        bench.manage("POST /connections", json!({"person": "ada", "connection": "calendar"})).await;
        let other = bench.exchange(&subject, &[("connection", Some("calendar"))]).await.json();
        for token in [&*subject, other["access_token"].as_str().unwrap(), "nonsense", ""] {
            let refused = bench.get("/okta/api/v1/users/me", token).await;
            assert_eq!(code(&refused), (401, "E0000011".to_owned()));
            assert!(refused.header("www-authenticate").starts_with("Bearer"));
        }
        let history = bench.manage("GET /history?of=directory", Value::Null).await.json();
        assert_eq!(history["requests"].as_array().unwrap().len(), 4);
    }
}
