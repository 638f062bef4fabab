//! The pretend third party: a person allows that an account is connected, or does not.

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

use super::{browser, keep_browser, known_browser, message, page_leading_to};
use crate::dev::{
    answer::Form,
    world::{NoAnswer, World},
};

type Shared = State<Arc<World>>;

pub(super) fn router() -> Router<Arc<World>> {
    Router::new().route("/connect", get(ask).post(answer))
}

/// What would be allowed, and the two buttons.
async fn ask(State(world): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let ticket = query.get("ticket").unwrap_or_default();
    let connecting = match world.with(|state, now| state.vault.ticket(ticket, now).cloned()) {
        Ok(connecting) => connecting,
        Err(why) => return not_open(why),
    };
    let (id, browser) = browser(&world, &headers);
    let scopes = connecting.scopes.iter().map(|scope| {
        context! { name => scope, meaning => connecting.connection.meaning(scope).unwrap_or_default() }
    });
    let person = connecting.person;
    let back = connecting.redirect_uri.origin().ascii_serialization();
    let values = context! {
        csrf => &browser.csrf, ticket, title => connecting.connection.title, scopes => scopes.collect::<Vec<_>>(),
        person => context! { name => person.name, email => person.email }, back => &back,
    };
    keep_browser(page_leading_to(&back, StatusCode::OK, "connect.html", values), &id)
}

async fn answer(State(world): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let form = match Form::read(&headers, &body) {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    if known_browser(&world, &headers, &form).is_none() {
        let text = "This form was not sent by the page it belongs to. Open the page again.";
        return message(StatusCode::FORBIDDEN, "Not accepted", text);
    }
    let yes = match form.get("decision") {
        Some("allow") => true,
        Some("deny") => false,
        _ => return message(StatusCode::BAD_REQUEST, "Not understood", "Neither allowed nor denied."),
    };
    let ticket = form.get("ticket").unwrap_or_default();
    match world.with(|state, now| state.vault.answer_ticket(ticket, now, yes)) {
        Ok(address) => Redirect::to(address.as_str()).into_response(),
        Err(why) => not_open(why),
    }
}

fn not_open(why: NoAnswer) -> Response {
    match why {
        NoAnswer::Unknown => {
            message(StatusCode::NOT_FOUND, "Nothing here", "No account is being connected with this link.")
        }
        NoAnswer::NotOpen => {
            message(StatusCode::CONFLICT, "Too late", "This was answered before, or its time is over. Begin again.")
        }
    }
}
