//! The phone: a page that shows what waits for a yes, in full, and has the two buttons.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use minijinja::{Value as View, context};
use serde_json::{Value, json};

use super::{message, page, render};
use crate::dev::{
    answer::{Form, json_answer},
    details::{Shown, shown},
    records::Approval,
    world::{Now, State as Everything, Twist, World},
};

/// How many answered pushes stay on the page.
const ANSWERED_SHOWN: usize = 10;

type Shared = State<Arc<World>>;

pub(super) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/phone/{session}", get(show))
        .route("/phone/{session}/pushes", get(pushes))
        .route("/phone/{session}/pushes/{id}", post(answer))
}

async fn show(State(world): Shared, Path(session): Path<String>) -> Response {
    if session != world.secrets.phone {
        return not_this_phone();
    }
    // The list escaped its values already.
    let values = context! { pushes => View::from_safe_string(list(&world).1), path => world.phone_path() };
    page(StatusCode::OK, "phone.html", values)
}

/// The list as the page's script asks for it every second.
async fn pushes(State(world): Shared, Path(session): Path<String>) -> Response {
    if session != world.secrets.phone {
        return not_this_phone();
    }
    let (waiting, html) = list(&world);
    json_answer(200, &json!({"waiting": waiting, "html": html}))
}

async fn answer(
    State(world): Shared,
    Path((session, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if session != world.secrets.phone {
        return not_this_phone();
    }
    let form = match Form::read(&headers, &body) {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    if form.get("csrf") != Some(&world.secrets.phone_csrf) {
        return message(StatusCode::FORBIDDEN, "Not accepted", "This form was not sent by the phone's page.");
    }
    let yes = match form.get("decision") {
        Some("approve") => Some(Twist::default()),
        Some("deny") => None,
        _ => return message(StatusCode::BAD_REQUEST, "Not understood", "Neither approved nor denied."),
    };
    let result = world.with(|state, now| state.answer_approval(&id, now, yes));
    world.changed.notify_waiters();
    match result {
        Ok(_) => Redirect::to(&world.phone_path()).into_response(),
        Err(_) => message(StatusCode::CONFLICT, "Too late", "This was answered before, or its time is over."),
    }
}

fn not_this_phone() -> Response {
    message(
        StatusCode::NOT_FOUND,
        "Nothing here",
        "This is nobody's phone. The tenant printed the address of the right one.",
    )
}

/// How many pushes wait, and the list as HTML.
fn list(world: &World) -> (usize, String) {
    let (open, answered) = views(world);
    let waiting = open.len();
    let csrf = world.secrets.phone_csrf.as_str();
    (waiting, render("pushes.html", context! { open, answered, csrf, path => world.phone_path() }))
}

/// What waits, the oldest first, and what was answered, the newest first.
fn views(world: &World) -> (Vec<View>, Vec<View>) {
    world.with(|state, now| {
        let is_open = |approval: &&Approval| approval.wait.is_open(now.elapsed);
        let open = state.approvals.iter().filter(is_open).map(|approval| view(state, approval, now)).collect();
        let over = state.approvals.iter().rev().filter(|approval| !is_open(approval)).take(ANSWERED_SHOWN);
        (open, over.map(|approval| view(state, approval, now)).collect())
    })
}

fn view(state: &Everything, approval: &Approval, now: Now) -> View {
    let client = state.client(&approval.client_id).map(|client| client.name.clone());
    let left = approval.wait.expires.saturating_sub(now.elapsed).as_secs();
    let message = approval.binding_message.as_deref().unwrap_or_default();
    let (text, code) = split_code(message);
    let (outcome, at) = match approval.answered {
        Some(answered) if answered.approved => ("Approved", Some(answered.at)),
        Some(answered) => ("Denied", Some(answered.at)),
        None => ("Expired", None),
    };
    context! {
        id => &approval.id,
        person => approval.person.name,
        client => client.unwrap_or_else(|| approval.client_id.clone()),
        client_id => &approval.client_id,
        message, text, code,
        details => details(approval.details.as_ref()),
        scopes => &approval.scopes,
        left => format!("{}:{:02}", left / 60, left % 60),
        asked_at => approval.created_at.format("%H:%M:%S UTC").to_string(),
        outcome,
        answered_at => at.map(|at| at.format("%H:%M:%S UTC").to_string()),
    }
}

/// A message and the code at its end, if there is one: the eye must find what it has to compare. Together they are the
/// message, letter for letter, as the terminal shows it.
fn split_code(message: &str) -> (&str, &str) {
    let is_code = |tail: &str| tail.len() == 8 && tail.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let start = message.rfind(['.', '-', '_', '#', ' ']).map_or(0, |separator| separator + 1);
    let (text, tail) = message.split_at(start);
    if is_code(tail) { (text, tail) } else { (message, "") }
}

/// The details as the page shows them.
fn details(details: Option<&Value>) -> Vec<View> {
    let rows = |rows: Vec<(String, String)>| -> Vec<View> {
        rows.into_iter().map(|(name, value)| context! { name, value }).collect()
    };
    let view = |one: Shown| {
        context! { kind => one.kind, instruction => one.instruction, rows => rows(one.rows), rest => rows(one.rest) }
    };
    shown(details).into_iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::{
        Preset,
        testing::{Bench, page as open},
    };

    #[test]
    fn the_code_is_found_at_the_end() {
        assert_eq!(split_code("BUY-2-phones.7F3KQ9ZT"), ("BUY-2-phones.", "7F3KQ9ZT"));
        assert_eq!(split_code("7F3KQ9ZT"), ("", "7F3KQ9ZT"));
        assert_eq!(split_code("buy two phones"), ("buy two phones", ""));
    }

    #[tokio::test]
    async fn a_push_is_shown_in_full_and_answered() {
        let bench = Bench::new(Preset::Auth0).await;
        let path = bench.world.phone_path();
        assert!(bench.send(open(&path, "")).await.text.contains("Nothing is waiting"));
        let details = bench.details("purchase", &json!({"product": "<b>\u{202e}x", "qty": 2, "price_limit": 900}));
        let asked = bench.ask(&[("authorization_details", Some(&details.to_string()))]).await.json();
        let page = bench.send(open(&path, "")).await;
        for shown in
            ["7F3KQ9ZT", "BUY-2", "price_limit", "900", "sha-256:abc", "agentctl-approval", "Ada Lovelace", "5:00"]
        {
            assert!(page.text.contains(shown), "{shown}");
        }
        assert!(page.text.contains("&lt;b&gt;\\u{202e}x"), "escaped, and nothing hidden");
        let place = |text: &str| page.text.find(text).unwrap_or_else(|| panic!("{text}"));
        assert!(place("value=\"deny\"") < place("value=\"approve\""), "whoever only presses Enter says no");
        assert!(page.header("content-security-policy").contains("script-src 'self'"));
        let list = bench.send(open(&format!("{path}/pushes"), "")).await.json();
        assert_eq!(list["waiting"], 1);

        let push = format!("{path}/pushes/apr_1");
        let csrf = bench.world.secrets.phone_csrf.as_str();
        let approve = ("decision", "approve");
        assert_eq!(bench.form(&push, &[approve]).await.status, 403, "no token");
        assert_eq!(bench.form(&push, &[approve, ("csrf", "wrong")]).await.status, 403);
        let foreign = bench.form_with(&push, &[("origin", "http://evil.example")], &[approve, ("csrf", csrf)]).await;
        assert_eq!(foreign.status, 403);
        assert_eq!(bench.form("/phone/wrong/pushes/apr_1", &[approve, ("csrf", csrf)]).await.status, 404);
        assert_eq!(bench.form(&push, &[("decision", "perhaps"), ("csrf", csrf)]).await.status, 400);
        let done = bench.form(&push, &[approve, ("csrf", csrf)]).await;
        assert_eq!((done.status, done.header("location")), (303, &*path));
        assert_eq!(bench.form(&push, &[approve, ("csrf", csrf)]).await.status, 409);
        assert!(bench.send(open(&path, "")).await.text.contains("Approved"));
        assert_eq!(bench.ciba_poll(asked["auth_req_id"].as_str().unwrap()).await.status, 200);
    }

    #[tokio::test]
    async fn the_phone_is_nowhere_else() {
        let bench = Bench::new(Preset::Auth0).await;
        for path in ["/phone/", "/phone/x", "/phone/x/pushes"] {
            assert_eq!(bench.send(open(path, "")).await.status, 404, "{path}");
        }
    }
}
