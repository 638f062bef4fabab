//! Opening a web page for the person. What is opened came from a server, so only a web address over TLS, or one of this
//! very machine, ever is.
//!
//! A browser goes on when the command is over, and a process shows its environment to every other of the same person. So a
//! copy of this program opens the page: one that has none of our variables, which hold keys and passphrases.

use std::{
    ffi::{OsStr, OsString},
    process::{Command, ExitCode},
};

use url::{Host, Url};

use crate::config::VARIABLES;

/// The one argument, beside the address, of the copy that opens a page.
const WAY: &str = "--only-open-this-page";

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

/// Opens `url` in the person's browser, if it may be opened and there is one. `keys` are the variables with keys for models.
/// Nobody waits for the browser: some of them run until they are closed.
pub(crate) fn open(url: &str, keys: &[String]) {
    if !may_open(url) {
        return;
    }
    let copy = std::env::current_exe().map(|program| {
        let mut command = Command::new(program);
        command.args([WAY, url]);
        for name in VARIABLES.iter().map(|(name, _)| *name).chain(keys.iter().map(String::as_str)) {
            command.env_remove(name);
        }
        command
    });
    std::thread::spawn(move || {
        if let Err(error) = copy.and_then(|mut copy| copy.status()) {
            tracing::debug!(%error, "no browser could be opened");
        }
    });
}

/// The whole work of the copy; none if these are arguments for anything else.
pub(crate) fn only_open(args: &[OsString]) -> Option<ExitCode> {
    let [_, way, url] = args else { return None };
    let url = url.to_str().filter(|url| way == OsStr::new(WAY) && may_open(url))?;
    Some(if webbrowser::open(url).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
