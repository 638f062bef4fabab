//! The tenant's web pages: plain, escaped, usable on a phone, with nothing from elsewhere.

mod activate;
mod connect;
mod phone;

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::{answer::Form, people::Person, random, world::World};

const COOKIE: &str = "dev_browser";

/// Scripts and styles only from the tenant itself, nothing inside a frame, nothing from anywhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    let sources = [
        ("base.html", include_str!("base.html")),
        ("code.html", include_str!("code.html")),
        ("person.html", include_str!("person.html")),
        ("consent.html", include_str!("consent.html")),
        ("connect.html", include_str!("connect.html")),
        ("message.html", include_str!("message.html")),
        ("phone.html", include_str!("phone.html")),
        ("pushes.html", include_str!("pushes.html")),
    ];
    for (name, source) in sources {
        // They are part of the program; the tests render every one of them.
        let _ = templates.add_template(name, source);
    }
    templates
});

/// One browser: known by its cookie, trusted by the token in its forms.
#[derive(Clone, Debug)]
pub(super) struct Browser {
    csrf: String,
    person: Option<&'static Person>,
    /// How many user codes it got wrong (RFC 8628 §5.1).
    wrong_codes: u32,
}

impl Browser {
    fn new() -> Self {
        Self { csrf: random::token(), person: None, wrong_codes: 0 }
    }
}

pub(super) fn router(world: &World) -> Router<Arc<World>> {
    Router::new()
        .route("/", get(async |state| activate::home(state).await))
        .route("/style.css", get(async || asset("text/css; charset=utf-8", include_str!("style.css"))))
        .route("/phone.js", get(async || asset("text/javascript; charset=utf-8", include_str!("phone.js"))))
        .merge(activate::router(world))
        .merge(connect::router())
        .merge(phone::router())
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, text).into_response()
}

/// A template, filled in.
fn render(template: &str, values: Value) -> String {
    let rendered = TEMPLATES.get_template(template).and_then(|template| template.render(values));
    // A template that does not render is a mistake in this program, which the tests would have met.
    rendered.unwrap_or_default()
}

/// A page whose form ends in a redirect to this origin; browsers hold `form-action` against redirects too.
fn page_leading_to(origin: &str, status: StatusCode, template: &str, values: Value) -> Response {
    let mut response = page(status, template, values);
    let policy = POLICY.replace("form-action 'self'", &format!("form-action 'self' {origin}"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A page with the headers that keep it to itself.
fn page(status: StatusCode, template: &str, values: Value) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // "no-referrer" would make browsers send `Origin: null` with the forms.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, Html(render(template, values))).into_response()
}

/// A page that only says something.
fn message(status: StatusCode, title: &str, text: &str) -> Response {
    page(status, "message.html", context! { title, text })
}

/// The browser that a request comes from: a known one, or one that is known from now on.
fn browser(world: &World, headers: &HeaderMap) -> (String, Browser) {
    world.with(|state, _| {
        let known = cookie(headers, COOKIE).and_then(|id| Some((id.to_owned(), state.browsers.get(id)?.clone())));
        known.unwrap_or_else(|| {
            let (id, browser) = (random::token(), Browser::new());
            state.browsers.insert(id.clone(), browser.clone());
            (id, browser)
        })
    })
}

/// Gives a page the cookie by which its browser is known.
fn keep_browser(mut response: Response, id: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(&format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict")) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

/// The known browser that sent this form, if the form was on one of its own pages.
fn known_browser(world: &World, headers: &HeaderMap, form: &Form) -> Option<(String, Browser)> {
    let id = cookie(headers, COOKIE)?;
    let browser = world.with(|state, _| state.browsers.get(id).cloned())?;
    (form.get("csrf") == Some(&browser.csrf)).then(|| (id.to_owned(), browser))
}

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    cookies.split(';').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}
