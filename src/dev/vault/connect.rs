//! One account that is being connected: from the call that begins it to the code that ends it.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use url::{Host, Url};

use super::{Connection, Vault};
use crate::dev::{
    people::Person,
    random,
    world::{NoAnswer, Now},
};

/// How long a person has for it.
pub(super) const SESSION_S: u64 = 300;

/// An account that is being connected.
#[derive(Clone, Debug)]
pub(in crate::dev) struct Connecting {
    pub(super) auth_session: String,
    pub(super) ticket: String,
    pub(in crate::dev) person: &'static Person,
    pub(in crate::dev) connection: &'static Connection,
    /// What the account will be good for: what is asked now, and what it was good for before.
    pub(in crate::dev) scopes: Vec<String>,
    pub(in crate::dev) redirect_uri: Url,
    /// Letter for letter as it was sent: the end must name the same.
    redirect_text: String,
    state: Option<String>,
    code_challenge: Option<String>,
    expires: Duration,
    answer: Answer,
}

/// What the person said on the third party's page.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Open,
    Refused,
    Allowed { code: String },
}

/// What the caller wants connected.
pub(super) struct Wanted {
    pub(super) person: &'static Person,
    pub(super) connection: &'static Connection,
    pub(super) scopes: Vec<String>,
    pub(super) redirect_uri: Url,
    pub(super) redirect_text: String,
    pub(super) state: Option<String>,
    pub(super) code_challenge: Option<String>,
}

/// What the caller shows at the end.
pub(super) struct Proof<'a> {
    pub(super) connect_code: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) code_verifier: Option<&'a str>,
}

/// The address a person is sent back to: a listener on this machine, on whatever port (RFC 8252 §7.3).
pub(super) fn redirect_uri(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let loopback = match url.host()? {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => name == "localhost",
    };
    let plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    (url.scheme() == "http" && loopback && plain).then_some(url)
}

impl Vault {
    /// Begins to connect an account. Scopes that it has already stay with it.
    pub(super) fn begin(&mut self, wanted: Wanted, now: Now) -> &Connecting {
        self.connecting.retain(|known| known.expires > now.elapsed);
        let before = self.account(wanted.person, wanted.connection).map(|account| account.scopes.clone());
        let mut scopes = before.unwrap_or_default();
        scopes.extend(wanted.scopes);
        let mut seen = std::collections::HashSet::new();
        scopes.retain(|scope| seen.insert(scope.clone()));
        let connecting = Connecting {
            auth_session: random::token(),
            ticket: random::token(),
            person: wanted.person,
            connection: wanted.connection,
            scopes,
            redirect_uri: wanted.redirect_uri,
            redirect_text: wanted.redirect_text,
            state: wanted.state,
            code_challenge: wanted.code_challenge,
            expires: now.elapsed + Duration::from_secs(SESSION_S),
            answer: Answer::Open,
        };
        self.connecting.push(connecting);
        &self.connecting[self.connecting.len() - 1]
    }

    /// What a ticket is for, as long as it is not answered.
    pub(in crate::dev) fn ticket(&self, ticket: &str, now: Now) -> Result<&Connecting, NoAnswer> {
        let found = self.connecting.iter().find(|known| known.ticket == ticket).ok_or(NoAnswer::Unknown)?;
        let open = found.answer == Answer::Open && found.expires > now.elapsed;
        if open { Ok(found) } else { Err(NoAnswer::NotOpen) }
    }

    /// The person's yes or no, and where it leads the browser.
    pub(in crate::dev) fn answer_ticket(&mut self, ticket: &str, now: Now, yes: bool) -> Result<Url, NoAnswer> {
        self.ticket(ticket, now)?;
        let found = self.connecting.iter_mut().find(|known| known.ticket == ticket).ok_or(NoAnswer::Unknown)?;
        let mut pairs = Vec::new();
        if yes {
            let code = random::token();
            pairs.push(("connect_code", code.clone()));
            found.answer = Answer::Allowed { code };
        } else {
            pairs.push(("error", "access_denied".to_owned()));
            pairs.push(("error_description", "The person refused.".to_owned()));
            found.answer = Answer::Refused;
        }
        pairs.extend(found.state.clone().map(|state| ("state", state)));
        let mut address = found.redirect_uri.clone();
        if self.code_in_fragment {
            let fragment = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            address.set_fragment(Some(&fragment));
        } else {
            address.query_pairs_mut().extend_pairs(&pairs);
        }
        Ok(address)
    }

    /// Ends it: with everything right, what was agreed on. It can be tried once.
    pub(super) fn finish(
        &mut self,
        auth_session: &str,
        person: &Person,
        proof: &Proof<'_>,
        now: Now,
    ) -> Result<Connecting, &'static str> {
        let fits = |known: &Connecting| known.auth_session == auth_session && known.person == person;
        let index = self.connecting.iter().position(fits);
        let found = self.connecting.remove(index.ok_or("the auth_session is unknown, over, or another person's")?);
        if found.expires <= now.elapsed {
            return Err("the auth_session has expired");
        }
        match &found.answer {
            Answer::Allowed { code } if code == proof.connect_code => {}
            Answer::Open => return Err("the person has not answered yet"),
            Answer::Refused => return Err("the person refused"),
            Answer::Allowed { .. } => return Err("the connect_code is wrong"),
        }
        if proof.redirect_uri != found.redirect_text {
            return Err("the redirect_uri is not the one of the beginning");
        }
        let verified = match (&found.code_challenge, proof.code_verifier) {
            (None, None) => true,
            (Some(challenge), Some(verifier)) => *challenge == s256(verifier),
            _ => false,
        };
        if verified { Ok(found) } else { Err("the code_verifier does not fit the code_challenge") }
    }
}

/// The challenge for a verifier (RFC 7636 §4.2).
fn s256(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listeners_on_this_machine_are_sent_a_code() {
        for good in ["http://127.0.0.1:8080/callback", "http://[::1]:1/", "http://localhost:9/x?y=1"] {
            assert!(redirect_uri(good).is_some(), "{good}");
        }
        for bad in [
            "https://127.0.0.1/",
            "http://example.com/",
            "http://127.0.0.1.example.com/",
            "http://ada@127.0.0.1/",
            "http://127.0.0.1/#x",
            "javascript:alert(1)",
            "callback",
        ] {
            assert!(redirect_uri(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_challenge_is_that_of_the_specification() {
        // RFC 7636 appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(s256(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
