//! Proof Key for Code Exchange (RFC 7636), always with S256, and the random texts that a browser brings back.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Error;
use crate::secret::CodeVerifier;

/// A new verifier (§4.1).
///
/// # Errors
/// If the machine has no random numbers.
pub fn verifier() -> Result<CodeVerifier, Error> {
    random().map(CodeVerifier::new)
}

/// What may be known before the code is redeemed (§4.2).
#[must_use]
pub fn challenge(verifier: &CodeVerifier) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose().as_bytes()))
}

/// 256 random bits in 43 characters that need no encoding anywhere: a verifier, or a `state` (RFC 6749 §10.10).
///
/// # Errors
/// If the machine has no random numbers.
pub fn random() -> Result<String, Error> {
    let mut bytes = [0; 32];
    let none = |_| Error::Unusable { what: "machine's source of random numbers", why: "it gives none".to_owned() };
    aws_lc_rs::rand::fill(&mut bytes).map_err(none)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification() {
        let verifier = CodeVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn nobody_guesses_a_verifier() {
        let (one, other) = (verifier().unwrap(), verifier().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.expose().len(), 43);
        assert!(!format!("{one:?}").contains(one.expose()));
    }
}
