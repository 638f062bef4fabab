//! Sealing: AES-256-GCM under a fresh random nonce, with a label that says what the sealed bytes are for.
//!
//! A sealed access token moved to another place, or an approval's token presented as another approval's, does not open:
//! the label is authenticated with it.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf, hmac, rand,
};
use zeroize::Zeroizing;

/// The first byte of everything sealed, so that another form can be told apart later.
const FORM: u8 = 1;

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong key, wrong label, or changed bytes: these cannot be told apart.
    #[error("sealed data does not open with this key")]
    DoesNotOpen,
    /// The machine has no random bytes, or the data is larger than a cipher call may be.
    #[error("data cannot be sealed")]
    CannotSeal,
}

/// The key under which tokens lie on disk. It lives in the credential store; `Debug` shows nothing of it.
pub struct DataKey {
    key: LessSafeKey,
    root: Root,
}

/// What other keys are derived from (HKDF, RFC 5869): knowing them tells nothing about the data key, nor one about another.
#[derive(Clone)]
pub(super) struct Root(hkdf::Prk);

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Root(..)")
    }
}

impl Root {
    /// The key for an HMAC with SHA-256 (RFC 2104) that has one purpose in one place.
    ///
    /// # Errors
    /// If the derivation fails, which its lengths do not allow.
    pub(super) fn derive(&self, purpose: &str, place: &str) -> Result<hmac::Key, Error> {
        let info = [purpose.as_bytes(), &[0], place.as_bytes()];
        let key = self.0.expand(&info, hmac::HMAC_SHA256).map_err(|_| Error::CannotSeal)?;
        Ok(key.into())
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey(..)")
    }
}

impl DataKey {
    /// A key's length in bytes.
    pub const LEN: usize = 32;

    /// Takes a key that was stored; none unless it has the right length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let root = || Root(hkdf::Salt::new(hkdf::HKDF_SHA256, b"agentctl").extract(bytes));
        UnboundKey::new(&AES_256_GCM, bytes).ok().map(|key| Self { key: LessSafeKey::new(key), root: root() })
    }

    /// What other keys are derived from.
    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// Seals `plain` for the place that `label` names.
    ///
    /// # Errors
    /// If the machine has no random bytes.
    pub fn seal(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>, Error> {
        self.seal_bytes(label.as_bytes(), plain)
    }

    /// Opens what was sealed under the same label.
    ///
    /// # Errors
    /// If key, label or bytes are not those of the sealing.
    pub fn open(&self, label: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.open_bytes(label.as_bytes(), sealed)
    }

    pub(super) fn seal_bytes(&self, label: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        let nonce: [u8; NONCE_LEN] = random()?;
        // The plain text is copied into the very buffer that is then sealed in place, so no second copy stays behind;
        // the room for the tag is reserved so that the buffer does not move either.
        let mut body = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len());
        body.extend_from_slice(plain);
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(label), &mut body)
            .map_err(|_| Error::CannotSeal)?;
        let mut sealed = vec![FORM];
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    pub(super) fn open_bytes(&self, label: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let Some((&FORM, rest)) = sealed.split_first() else { return Err(Error::DoesNotOpen) };
        let Some((nonce, body)) = rest.split_first_chunk::<NONCE_LEN>() else { return Err(Error::DoesNotOpen) };
        let mut plain = Zeroizing::new(body.to_vec());
        let length = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(label), &mut plain)
            .map_err(|_| Error::DoesNotOpen)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

/// Random bytes of the machine.
///
/// # Errors
/// If it has none.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Error::CannotSeal)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_label_and_bytes_open() {
        let key = DataKey::from_bytes(&[7; 32]).unwrap();
        let sealed = key.seal("token https://api", b"eyJ").unwrap();
        assert_eq!(*key.open("token https://api", &sealed).unwrap(), b"eyJ");
        assert_ne!(sealed, key.seal("token https://api", b"eyJ").unwrap());
        assert!(key.open("token https://other", &sealed).is_err());
        assert!(DataKey::from_bytes(&[8; 32]).unwrap().open("token https://api", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open("token https://api", &changed).is_err(), "byte {at}");
            assert!(key.open("token https://api", &sealed[..at]).is_err(), "cut at {at}");
        }
        assert_eq!(*key.open("", &key.seal("", b"").unwrap()).unwrap(), b"");
        assert!(DataKey::from_bytes(b"short").is_none());
    }

    #[test]
    fn derived_keys_differ_by_purpose_place_and_data_key() {
        let tag = |byte: u8, purpose: &str, place: &str| {
            let key = DataKey::from_bytes(&[byte; 32]).unwrap().root().derive(purpose, place).unwrap();
            hmac::sign(&key, b"x").as_ref().to_vec()
        };
        assert_eq!(tag(7, "seals", "a"), tag(7, "seals", "a"));
        for other in [tag(8, "seals", "a"), tag(7, "values", "a"), tag(7, "seals", "b"), tag(7, "sealsa", "")] {
            assert_ne!(tag(7, "seals", "a"), other);
        }
    }
}
