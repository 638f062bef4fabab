//! Where a person enters a user code, says who they are, and allows or refuses (RFC 8628 §3.3).

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use minijinja::context;

use super::{Browser, browser, keep_browser, known_browser, message, page};
use crate::dev::{
    answer::Form,
    people::{PEOPLE, Person},
    scopes,
    world::{NoAnswer, World, normal_user_code},
};

/// After so many wrong user codes a browser is done for.
const WRONG_CODES: u32 = 20;

type Shared = State<Arc<World>>;

pub(super) fn router(world: &World) -> Router<Arc<World>> {
    Router::new().route(world.paths().activate, get(enter).post(go_on))
}

/// The way from the bare address to the only page a person can find by themselves.
pub(super) async fn home(State(world): Shared) -> Response {
    Redirect::to(world.paths().activate).into_response()
}

/// Shows the form for the code, filled in when the link had it: still to be compared by the person (RFC 8628 §3.3.1).
async fn enter(State(world): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let (id, browser) = browser(&world, &headers);
    keep_browser(code_page(StatusCode::OK, &browser, query.get("user_code").unwrap_or_default(), ""), &id)
}

fn code_page(status: StatusCode, browser: &Browser, user_code: &str, problem: &str) -> Response {
    page(status, "code.html", context! { csrf => &browser.csrf, user_code, problem })
}

/// What is being allowed, for the consent page.
struct Asked {
    user_code: String,
    client: String,
    client_id: String,
    scopes: Vec<String>,
}

/// Every step after the code: who, and yes or no.
async fn go_on(State(world): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let form = match Form::read(&headers, &body) {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let Some((id, browser)) = known_browser(&world, &headers, &form) else {
        let text =
            "This form was not sent by the page it belongs to, or the tenant was started anew. Open the page again.";
        return message(StatusCode::FORBIDDEN, "Not accepted", text);
    };
    if browser.wrong_codes >= WRONG_CODES {
        let text = "Too many wrong codes came from this browser.";
        return message(StatusCode::TOO_MANY_REQUESTS, "Enough", text);
    }
    let typed = form.get("user_code").unwrap_or_default();
    let Some(asked) = find(&world, typed) else {
        world.with(|state, _| {
            if let Some(browser) = state.browsers.get_mut(&id) {
                browser.wrong_codes += 1;
            }
        });
        let problem = "There is no login waiting with this code. It may have been answered, or its time may be over.";
        return code_page(StatusCode::BAD_REQUEST, &browser, typed, problem);
    };
    let named = form.get("person").and_then(|key| PEOPLE.iter().find(|person| person.key == key));
    if let Some(person) = named {
        world.with(|state, _| {
            if let Some(browser) = state.browsers.get_mut(&id) {
                browser.person = Some(person);
            }
        });
    }
    let person = named.or(browser.person).filter(|_| form.get("step") != Some("switch"));
    let Some(person) = person else { return person_page(&browser, &asked) };
    let yes = match form.get("decision") {
        Some("allow") => Some(person),
        Some("deny") => None,
        _ => return consent_page(&browser, &asked, person),
    };
    let result = world.with(|state, now| state.answer_login(&asked.user_code, now, yes));
    world.changed.notify_waiters();
    match (result, yes) {
        (Ok(_), Some(_)) => {
            message(StatusCode::OK, "You are logged in", "Go back to your terminal. You can close this page.")
        }
        (Ok(_), None) => message(StatusCode::OK, "Refused", "Nobody was logged in. You can close this page."),
        (Err(NoAnswer::Unknown | NoAnswer::NotOpen), _) => {
            message(StatusCode::CONFLICT, "Too late", "This login was answered before, or its time is over.")
        }
    }
}

fn find(world: &World, typed: &str) -> Option<Asked> {
    let code = normal_user_code(typed);
    world.with(|state, now| {
        let mut open = state.logins.iter().filter(|login| login.wait.is_open(now.elapsed));
        let login = open.find(|login| normal_user_code(&login.user_code) == code)?;
        let client = state.client(&login.client_id).map(|client| client.name.clone()).unwrap_or_default();
        Some(Asked {
            user_code: login.user_code.clone(),
            client,
            client_id: login.client_id.clone(),
            scopes: login.scopes.clone(),
        })
    })
}

fn person_page(browser: &Browser, asked: &Asked) -> Response {
    let people: Vec<_> = PEOPLE.iter().map(|p| context! { key => p.key, name => p.name, email => p.email }).collect();
    page(StatusCode::OK, "person.html", context! { csrf => &browser.csrf, user_code => &asked.user_code, people })
}

fn consent_page(browser: &Browser, asked: &Asked, person: &Person) -> Response {
    let scopes: Vec<_> =
        asked.scopes.iter().map(|scope| context! { name => scope, meaning => meaning(scope) }).collect();
    let values = context! {
        csrf => &browser.csrf, user_code => &asked.user_code, client => &asked.client, client_id => &asked.client_id,
        scopes, person => context! { key => person.key, name => person.name, email => person.email },
    };
    page(StatusCode::OK, "consent.html", values)
}

fn meaning(scope: &str) -> &'static str {
    match scope {
        "openid" => "know who you are",
        "profile" => "see your name",
        "email" => "see your e-mail address",
        "offline_access" => "stay logged in until you log out",
        "create:me:connected_accounts" => "connect your accounts at third parties",
        "read:me:connected_accounts" => "see which accounts you connected",
        "delete:me:connected_accounts" => "disconnect accounts",
        scopes::READ => "look at the shop's products and your orders",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{Request, header},
    };

    use super::*;
    use crate::dev::{
        Preset,
        testing::{Bench, Reply, error, page as open},
    };

    /// A browser: it keeps the cookie and knows the token of the last form.
    struct Tab<'a> {
        bench: &'a Bench,
        cookie: String,
        csrf: String,
    }

    impl<'a> Tab<'a> {
        async fn new(bench: &'a Bench, address: &str) -> (Self, Reply) {
            let page = bench.send(open(address, "")).await;
            let cookie = page.header("set-cookie").split(';').next().unwrap().to_owned();
            let csrf = page.text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
            (Self { bench, cookie, csrf }, page)
        }

        async fn send(&self, pairs: &[(&str, &str)]) -> Reply {
            let mut pairs = pairs.to_vec();
            pairs.push(("csrf", &self.csrf));
            self.bench.form_with(self.bench.world.paths().activate, &[("cookie", &self.cookie)], &pairs).await
        }
    }

    #[tokio::test]
    async fn a_person_logs_in_under_every_preset() {
        for preset in [Preset::Auth0, Preset::Keycloak, Preset::Oidc] {
            let bench = Bench::new(preset).await;
            let device = bench.device().await;
            let code = device["user_code"].as_str().unwrap();
            let link = device["verification_uri_complete"].as_str().unwrap();
            let (tab, page) = Tab::new(&bench, link.strip_prefix(&bench.world.origin).unwrap()).await;
            assert!(page.text.contains(&format!("value=\"{code}\"")), "filled in");
            assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
            assert_eq!((page.header("x-frame-options"), page.header("cache-control")), ("DENY", "no-store"));
            let people = tab.send(&[("user_code", &code.to_lowercase())]).await;
            assert!(people.text.contains("Ada Lovelace") && people.text.contains("Alan Turing"));
            let consent = tab.send(&[("user_code", code), ("person", "grace")]).await;
            for shown in ["Grace Hopper", "agentctl (login)", "agentctl-login", "offline_access", code] {
                assert!(consent.text.contains(shown), "{shown}");
            }
            let switched = tab.send(&[("user_code", code), ("step", "switch")]).await;
            assert!(switched.text.contains("Who are you?"));
            let done = tab.send(&[("user_code", code), ("person", "grace"), ("decision", "allow")]).await;
            assert!(done.text.contains("You are logged in"));
            let tokens = bench.device_poll(device["device_code"].as_str().unwrap()).await.json();
            let claims = bench.world.keys.verify(tokens["id_token"].as_str().unwrap()).unwrap();
            let subject = crate::dev::people::find("grace", preset).unwrap().subject(preset);
            assert_eq!(claims["sub"], *subject);
        }
    }

    #[tokio::test]
    async fn a_person_refuses() {
        let bench = Bench::new(Preset::Auth0).await;
        let device = bench.device().await;
        let code = device["user_code"].as_str().unwrap();
        let (tab, _) = Tab::new(&bench, "/activate").await;
        let done = tab.send(&[("user_code", code), ("person", "ada"), ("decision", "deny")]).await;
        assert!(done.text.contains("Refused"));
        let poll = bench.device_poll(device["device_code"].as_str().unwrap()).await;
        assert_eq!(poll.error(), error(403, "access_denied"));
        let late = tab.send(&[("user_code", code), ("person", "ada"), ("decision", "allow")]).await;
        assert_eq!(late.status, 400, "it waits no more");
    }

    #[tokio::test]
    async fn other_sites_cannot_send_the_form() {
        let bench = Bench::new(Preset::Auth0).await;
        let device = bench.device().await;
        let code = device["user_code"].as_str().unwrap();
        let (tab, _) = Tab::new(&bench, "/activate").await;
        let pairs = [("user_code", code), ("person", "ada"), ("decision", "allow")];
        assert_eq!(bench.form_with("/activate", &[("cookie", &tab.cookie)], &pairs).await.status, 403, "no token");
        assert_eq!(bench.form("/activate", &[pairs[0], ("csrf", &tab.csrf)]).await.status, 403, "no cookie");
        let (other, _) = Tab::new(&bench, "/activate").await;
        let mixed = Tab { bench: &bench, cookie: tab.cookie.clone(), csrf: other.csrf };
        assert_eq!(mixed.send(&pairs).await.status, 403, "another browser's token");
        let foreign = [("origin", "http://evil.example"), ("cookie", &*tab.cookie)];
        assert_eq!(bench.form_with("/activate", &foreign, &pairs).await.status, 403);
        let rebound = Request::get("/activate").header(header::HOST, "evil.example").body(Body::empty()).unwrap();
        assert_eq!(bench.send(rebound).await.error(), error(403, "forbidden"));
    }

    #[tokio::test]
    async fn codes_are_escaped_and_cannot_be_tried_out() {
        let bench = Bench::new(Preset::Auth0).await;
        let (tab, page) = Tab::new(&bench, "/activate?user_code=%22%3E%3Cscript%3E").await;
        assert!(!page.text.contains("\"><script>") && page.text.contains("&lt;script&gt;"));
        for _ in 0..WRONG_CODES {
            assert_eq!(tab.send(&[("user_code", "<b>")]).await.status, 400);
        }
        assert_eq!(tab.send(&[("user_code", "BBBB-BBBB")]).await.status, 429);
    }
}
