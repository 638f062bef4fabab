//! Opening a web page for the person. What is opened came from a server, so only a web address over TLS, or one of this
//! very machine, ever is.

use url::{Host, Url};

/// Whether `url` may be opened in a browser.
pub(crate) fn may_open(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let plain = url.username().is_empty() && url.password().is_none();
    plain && (url.scheme() == "https" || (url.scheme() == "http" && loopback))
}

/// Opens `url` in the person's browser, if it may be opened and there is one. Nobody waits for the browser: some of them
/// run until they are closed.
pub(crate) fn open(url: &str) {
    if !may_open(url) {
        return;
    }
    let url = url.to_owned();
    std::thread::spawn(move || {
        if let Err(error) = webbrowser::open(&url) {
            tracing::debug!(%error, "no browser could be opened");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_that_cannot_be_tampered_with() {
        for good in [
            "https://tenant.example/activate?user_code=A",
            "http://127.0.0.1:8080/",
            "http://[::1]/",
            "http://localhost:1/x",
        ] {
            assert!(may_open(good), "{good}");
        }
        for bad in [
            "http://tenant.example/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://user@evil.example/",
            "http://127.0.0.1.evil.example/",
            "-version",
            "",
        ] {
            assert!(!may_open(bad), "{bad}");
        }
    }
}
