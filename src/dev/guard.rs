//! Who may talk to the tenant: a browser tab of another site may not, not even through a name that it points at this
//! machine (DNS rebinding).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, header},
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
    let host = only(headers, &header::HOST)?.ok_or("a Host header is needed")?;
    if !is_ours(host, unsafe_listen) {
        return Err("this Host is not the tenant's");
    }
    match only(headers, &header::ORIGIN)? {
        Some(origin) if origin.strip_prefix("http://") != Some(host) => Err("this Origin is not the tenant's"),
        _ => Ok(()),
    }
}

/// Of two, nobody knows which one counts for whoever else reads the request.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, &'static str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(|value| value.to_str().unwrap_or("?"))),
        (_, Some(_)) => Err("there may be one Host and one Origin"),
    }
}

/// A number, not a name: nobody can rebind a number. `localhost` never leaves the machine either. Not read as a URL, in which
/// a number may stand behind an `@` or before a `/`.
fn is_ours(host: &str, unsafe_listen: bool) -> bool {
    let number = match host.strip_prefix("localhost") {
        Some(port) if port.is_empty() || port.starts_with(':') => format!("127.0.0.1{port}"),
        _ => host.to_owned(),
    };
    let v4 = || number.parse::<Ipv4Addr>().ok().map(IpAddr::from);
    let v6 = || number.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::from);
    let address = number.parse::<SocketAddr>().ok().map(|address| address.ip());
    address.or_else(v4).or_else(v6).is_some_and(|address| unsafe_listen || address.is_loopback())
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
        assert!(verdict("127.0.0.1", Some("http://127.0.0.1")) && verdict("[::1]", None) && verdict("localhost", None));
        assert!(is_ours("192.0.2.7:8080", true));
        assert!(!is_ours("evil.example", true));
    }

    #[test]
    fn a_host_is_not_read_as_a_url() {
        for host in [
            "evil.example@127.0.0.1",
            "evil.example@127.0.0.1:8080",
            "127.0.0.1/.evil.example",
            "127.0.0.1#.evil",
            "127.0.0.1?.evil",
            "127.0.0.1:8080/",
            "127.0.0.1:8080:9090",
            "127.0.0.1:",
            "127.1:8080",
            "0x7f.0.0.1:8080",
            "2130706433",
            "::1",
            "[::1",
            "[127.0.0.1]",
            "localhost1:8080",
            "localhost.evil.example",
            "localhost@evil.example:8080",
            "",
        ] {
            assert!(!verdict(host, None), "{host}");
        }
    }

    #[test]
    fn two_of_a_header_are_refused() {
        for name in [header::HOST, header::ORIGIN] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "127.0.0.1:8080".parse().unwrap());
            headers.insert(header::ORIGIN, "http://127.0.0.1:8080".parse().unwrap());
            assert!(admissible(&headers, false).is_ok());
            let again = headers[&name].clone();
            headers.append(&name, again);
            assert!(admissible(&headers, false).is_err(), "{name}");
        }
    }
}
