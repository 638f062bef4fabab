//! Who may talk to the tenant: a browser tab of another site may not, not even through a name that it points at this
//! machine (DNS rebinding).

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{answer::Refusal, world::World};

/// Refuses a request whose `Host` is a name, or whose `Origin` is another site.
pub(super) async fn check(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    match admissible(request.headers(), world.unsafe_listen) {
        Ok(()) => next.run(request).await,
        Err(why) => Refusal::new(403, "forbidden", why).into_response(),
    }
}

fn admissible(headers: &HeaderMap, unsafe_listen: bool) -> Result<(), &'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).ok_or("a Host header is needed")?;
    if !is_ours(host, unsafe_listen) {
        return Err("this Host is not the tenant's");
    }
    match text(header::ORIGIN) {
        Some(origin) if origin.strip_prefix("http://") != Some(host) => Err("this Origin is not the tenant's"),
        _ => Ok(()),
    }
}

/// A number, not a name: nobody can rebind a number. `localhost` never leaves the machine either.
fn is_ours(host: &str, unsafe_listen: bool) -> bool {
    let Ok(url) = url::Url::parse(&format!("http://{host}/")) else { return false };
    let address = match url.host() {
        Some(url::Host::Ipv4(address)) => IpAddr::V4(address),
        Some(url::Host::Ipv6(address)) => IpAddr::V6(address),
        Some(url::Host::Domain("localhost")) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => return false,
    };
    unsafe_listen || address.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        admissible(&headers, false).is_ok()
    }

    #[test]
    fn names_and_other_sites_are_refused() {
        assert!(verdict("127.0.0.1:8080", None));
        assert!(verdict("localhost:8080", Some("http://localhost:8080")));
        assert!(verdict("[::1]:8080", None));
        assert!(!verdict("evil.example:8080", None));
        assert!(!verdict("127.0.0.1.evil.example:8080", None));
        assert!(!verdict("192.0.2.7:8080", None));
        assert!(!verdict("127.0.0.1:8080", Some("http://evil.example")));
        assert!(!verdict("127.0.0.1:8080", Some("http://127.0.0.1:9999")));
        assert!(!verdict("127.0.0.1:8080", Some("null")));
        assert!(admissible(&HeaderMap::new(), false).is_err());
        assert!(is_ours("192.0.2.7:8080", true));
        assert!(!is_ours("evil.example", true));
    }
}
