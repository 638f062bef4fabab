//! Values that must not be seen: each has a type of its own, a `Debug` that says nothing, and is wiped when dropped.
//!
//! None of them implements `Display` or `Serialize`: whoever needs the bytes writes `expose()`, which is easy to find.

use serde::Deserialize;
use zeroize::Zeroizing;

macro_rules! secrets {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Takes the value in.
            #[must_use]
            pub fn new(value: impl Into<String>) -> Self {
                Self(Zeroizing::new(value.into()))
            }

            /// The value itself. Never print, log or put it into an error.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

secrets! {
    /// An access token (RFC 6749 §1.4).
    AccessToken;
    /// A refresh token (RFC 6749 §1.5).
    RefreshToken;
    /// A signed ID token (OpenID Connect Core §2); it names the person and, in an audit, proves an approval.
    IdToken;
    /// A client's password (RFC 6749 §2.3.1).
    ClientSecret;
    /// A client's private key for `private_key_jwt`, as PKCS#8 PEM.
    ClientKey;
    /// The device verification code (RFC 8628 §3.2): whoever has it gets the tokens.
    DeviceCode;
    /// The authentication request id (CIBA Core §7.3): whoever has it, and the client's credential, gets the tokens.
    AuthReqId;
    /// What turns a `connect_code` into a connected account (My Account API).
    AuthSession;
    /// What a browser brings back when an account was connected (My Account API); good once.
    ConnectCode;
    /// Proves that whoever redeems a code is who asked for it (RFC 7636 §4.1).
    CodeVerifier;
    /// A key for a model's API.
    ApiKey;
    /// What opens the sealed credential file.
    Passphrase;
}

/// A URL as it may be shown. Keys are handed over in the query, too: only the names in it stay, and of a fragment, a user
/// and a password nothing.
#[must_use]
pub fn shown_url(url: &str) -> String {
    let (place, rest) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
    let host = place.find("://").map_or(0, |at| at + 3);
    let end = place[host..].find('/').map_or(place.len(), |at| host + at);
    let mut shown = match place[host..end].rfind('@') {
        Some(at) => format!("{}...{}", &place[..host], &place[host + at..]),
        None => place.to_owned(),
    };
    let (query, fragment) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
    for (at, part) in query.strip_prefix('?').into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if at == 0 { '?' } else { '&' });
        if let Some((name, _)) = part.split_once('=') {
            shown.push_str(name);
            shown.push('=');
        }
        shown.push_str("...");
    }
    shown.push_str(if fragment.is_empty() { "" } else { "#..." });
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_a_key() {
        for (url, shown) in [
            ("https://a.example/v1", "https://a.example/v1"),
            ("https://a.example/v1?key=hunter2&v=1", "https://a.example/v1?key=...&v=..."),
            ("https://a.example/v1?hunter2", "https://a.example/v1?..."),
            ("https://a.example?a=b#hunter2", "https://a.example?a=...#..."),
            ("https://a.example/@v1#hunter2", "https://a.example/@v1#..."),
            ("https://me:hunter2@a.example:x/v1", "https://...@a.example:x/v1"),
            ("https://me:hun@ter2@a.example", "https://...@a.example"),
            ("not one?=hunter2", "not one?=..."),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }

    #[test]
    fn debug_says_nothing() {
        assert_eq!(format!("{:?}", AccessToken::new("eyJh")), "AccessToken(..)");
    }

    /// Looks at the place in memory where something was, through the file that Linux shows it as.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_dropped_is_wiped() {
        use std::{hint::black_box, io::Read as _, io::Seek as _, io::SeekFrom};

        let text = "not even in freed memory ".repeat(24);
        let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
        // Made before anything is freed, so that it does not lie there itself.
        let mut found = vec![0; text.len()];
        let mut left_of = |address: usize| {
            memory.seek(SeekFrom::Start(address as u64)).unwrap();
            memory.read_exact(&mut found).unwrap();
            String::from_utf8_lossy(&found).matches("memory").count()
        };

        let ordinary = black_box(text.clone());
        let address = ordinary.as_ptr().addr();
        drop(ordinary);
        assert!(left_of(address) > 20, "what is freed and not wiped can be found this way");

        let secret = black_box(AccessToken::new(text.clone()));
        let address = secret.expose().as_ptr().addr();
        assert_eq!(left_of(address), 24);
        drop(secret);
        assert_eq!(left_of(address), 0);
    }
}
