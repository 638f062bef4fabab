//! The sealed file: credentials on machines without a keyring, encrypted under a passphrase or a key file.
//!
//! Two lines of text. The first is a JSON object in clear: the form of the file, how the key is made, its salt, and a check
//! value that tells a wrong passphrase from a damaged file. The second is base64 of everything else, sealed under that key
//! with the first line as authenticated data. A change reads the file again under a lock and replaces it as a whole.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    credentials::{CredentialStore, Error, Unlock},
    lock::GrantLock,
    seal::{self, DataKey},
};
use crate::files;

/// A key file with less than this cannot hold a key.
const MIN_KEY_FILE: usize = 32;
/// What a file may demand of this machine before its key is known: 1 GiB and 64 passes.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 64;

/// A file of credentials. The key that was made for it is kept, so a passphrase is stretched once a process.
pub(super) struct SealedFile {
    path: PathBuf,
    unlock: Unlock,
    limit: Duration,
    opened: Mutex<Option<Opened>>,
}

/// The first line of a file, as its exact bytes, and the key that belongs to it.
struct Opened {
    line: Vec<u8>,
    key: DataKey,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    agentctl_credentials: u32,
    #[serde(flatten)]
    kdf: Kdf,
    salt: String,
    check: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "kdf", rename_all = "kebab-case")]
enum Kdf {
    /// RFC 9106.
    Argon2id { memory_kib: u32, passes: u32, lanes: u32 },
    /// HMAC-SHA-256 of the key file under the salt: what is random already needs no stretching.
    KeyFile,
}

/// The second line, opened.
type Values = BTreeMap<String, Zeroizing<String>>;

impl SealedFile {
    pub(super) fn new(path: PathBuf, unlock: Unlock, limit: Duration) -> Self {
        Self { path, unlock, limit, opened: Mutex::new(None) }
    }

    /// Everything in the file; leaves its key in `opened`. A file that is not there is empty.
    fn read(&self, opened: &mut Option<Opened>) -> Result<Values, Error> {
        let Some(content) = files::read(&self.path)? else {
            *opened = None;
            return Ok(Values::new());
        };
        let (line, body) = split(&content).ok_or_else(|| self.corrupt())?;
        if opened.as_ref().is_none_or(|opened| opened.line != line) {
            *opened = Some(self.open(line)?);
        }
        let Some(Opened { key, .. }) = opened else { return Err(self.corrupt()) };
        let sealed = STANDARD_NO_PAD.decode(body).map_err(|_| self.corrupt())?;
        let plain = key.open_bytes(line, &sealed).map_err(|_| self.corrupt())?;
        serde_json::from_slice(&plain).map_err(|_| self.corrupt())
    }

    /// Makes the key for a file's first line and checks that it is the right one.
    fn open(&self, line: &[u8]) -> Result<Opened, Error> {
        let header: Header = serde_json::from_slice(line).map_err(|_| self.corrupt())?;
        let salt = STANDARD_NO_PAD.decode(&header.salt).map_err(|_| self.corrupt())?;
        if header.agentctl_credentials != 1 || salt.len() < argon2::MIN_SALT_LEN {
            return Err(self.corrupt());
        }
        let bytes = self.derive(header.kdf, &salt)?;
        if check(&bytes) != header.check {
            return Err(Error::WrongPassphrase(self.path.clone()));
        }
        self.with_key(line.to_vec(), &bytes)
    }

    /// A first line and a key for a file that is not there yet.
    fn create(&self) -> Result<Opened, Error> {
        let kdf = match self.unlock {
            Unlock::Passphrase(_) => Kdf::Argon2id {
                memory_kib: Params::DEFAULT_M_COST,
                passes: Params::DEFAULT_T_COST,
                lanes: Params::DEFAULT_P_COST,
            },
            Unlock::KeyFile(_) => Kdf::KeyFile,
            Unlock::Nothing => return Err(Error::NoPassphrase),
        };
        let salt = seal::random::<16>()?;
        let bytes = self.derive(kdf, &salt)?;
        let header = Header { agentctl_credentials: 1, kdf, salt: STANDARD_NO_PAD.encode(salt), check: check(&bytes) };
        let line = serde_json::to_vec(&header).map_err(|_| self.corrupt())?;
        self.with_key(line, &bytes)
    }

    fn with_key(&self, line: Vec<u8>, bytes: &[u8]) -> Result<Opened, Error> {
        DataKey::from_bytes(bytes).map(|key| Opened { line, key }).ok_or_else(|| self.corrupt())
    }

    fn derive(&self, kdf: Kdf, salt: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let other = |sealed_with| Error::OtherUnlock { path: self.path.clone(), sealed_with };
        match (kdf, &self.unlock) {
            (_, Unlock::Nothing) => Err(Error::NoPassphrase),
            (Kdf::Argon2id { .. }, Unlock::KeyFile(_)) => Err(other("passphrase")),
            (Kdf::KeyFile, Unlock::Passphrase(_)) => Err(other("key file")),
            (Kdf::Argon2id { memory_kib, passes, lanes }, Unlock::Passphrase(passphrase)) => {
                if memory_kib > MAX_MEMORY_KIB || passes > MAX_PASSES {
                    return Err(self.corrupt());
                }
                let params = Params::new(memory_kib, passes, lanes, Some(DataKey::LEN)).map_err(|_| self.corrupt())?;
                let mut key = Zeroizing::new(vec![0; DataKey::LEN]);
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(passphrase.expose().as_bytes(), salt, &mut key)
                    .map_err(|_| self.corrupt())?;
                Ok(key)
            }
            (Kdf::KeyFile, Unlock::KeyFile(path)) => {
                // The person named this file, and machines that hand out secrets often do so by a link: it is followed.
                files::only_mine(path)?;
                let content = std::fs::read(path).map_err(|source| files::Error::new("read", path, source))?;
                let content = Zeroizing::new(content);
                if content.len() < MIN_KEY_FILE {
                    return Err(Error::WeakKeyFile { path: path.clone(), min: MIN_KEY_FILE });
                }
                let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), &content);
                Ok(Zeroizing::new(key.as_ref().to_vec()))
            }
        }
    }

    /// Reads, changes and replaces the file while no other process can.
    fn change<T>(&self, work: impl FnOnce(&mut Values) -> Option<T>) -> Result<Option<T>, Error> {
        let mut opened = self.opened();
        let _lock = GrantLock::take_blocking(&files::beside(&self.path, ".lock"), self.limit)?;
        let mut values = self.read(&mut opened)?;
        let Some(result) = work(&mut values) else { return Ok(None) };
        if opened.is_none() {
            *opened = Some(self.create()?);
        }
        let Some(Opened { line, key }) = &*opened else { return Err(self.corrupt()) };
        let plain = Zeroizing::new(serde_json::to_vec(&values).map_err(|_| self.corrupt())?);
        let sealed = key.seal_bytes(line, &plain)?;
        let content = [line, b"\n".as_slice(), STANDARD_NO_PAD.encode(sealed).as_bytes(), b"\n"].concat();
        files::write(&self.path, &content)?;
        Ok(Some(result))
    }

    fn opened(&self) -> MutexGuard<'_, Option<Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn corrupt(&self) -> Error {
        Error::Corrupt { what: self.path.display().to_string() }
    }
}

impl CredentialStore for SealedFile {
    fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        // No lock: the file is replaced as a whole, so a reader sees one state of it or the other.
        let values = self.read(&mut self.opened())?;
        let Some(value) = values.get(name) else { return Ok(None) };
        STANDARD_NO_PAD.decode(value.as_bytes()).map(|value| Some(Zeroizing::new(value))).map_err(|_| self.corrupt())
    }

    fn set(&self, name: &str, value: &[u8]) -> Result<(), Error> {
        let value = Zeroizing::new(STANDARD_NO_PAD.encode(value));
        self.change(|values| {
            values.insert(name.to_owned(), value);
            Some(())
        })
        .map(drop)
    }

    fn delete(&self, name: &str) -> Result<bool, Error> {
        self.change(|values| values.remove(name).map(drop)).map(|removed| removed.is_some())
    }

    fn describe(&self) -> String {
        format!("sealed file {}", self.path.display())
    }
}

/// The two lines of a file.
fn split(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = content.iter().position(|byte| *byte == b'\n')?;
    Some((&content[..end], content[end + 1..].strip_suffix(b"\n")?))
}

/// Shows that a key is the right one without helping to find it: as costly to try as the sealed text itself.
fn check(key: &[u8]) -> String {
    let check = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), b"agentctl credentials check");
    STANDARD_NO_PAD.encode(&check.as_ref()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{files::tests::TempDir, secret::Passphrase};

    fn phrase(dir: &TempDir, text: &str) -> SealedFile {
        let unlock = Unlock::Passphrase(Passphrase::new(text));
        SealedFile::new(dir.path("credentials"), unlock, Duration::from_secs(10))
    }

    fn key_file(dir: &TempDir, content: &[u8]) -> SealedFile {
        let path = dir.path("key");
        std::fs::write(&path, content).unwrap();
        SealedFile::new(dir.path("credentials"), Unlock::KeyFile(path), Duration::from_secs(10))
    }

    #[test]
    fn a_passphrase_opens_what_it_sealed() {
        let dir = TempDir::new();
        let store = phrase(&dir, "correct horse");
        assert_eq!(store.get("x").unwrap(), None);
        assert!(!store.delete("x").unwrap());
        assert!(!dir.path("credentials").exists());
        store.set("x", b"refresh token").unwrap();
        let clear = std::fs::read_to_string(dir.path("credentials")).unwrap();
        assert!(!clear.contains("refresh") && clear.starts_with("{\"agentctl_credentials\":1,\"kdf\":\"argon2id\""));
        let again = phrase(&dir, "correct horse");
        assert_eq!(again.get("x").unwrap().unwrap().as_slice(), b"refresh token");
        // Both processes write; neither loses what the other kept.
        again.set("y", b"2").unwrap();
        store.set("z", b"3").unwrap();
        assert_eq!(again.get("z").unwrap().unwrap().as_slice(), b"3");
        assert_eq!(store.get("y").unwrap().unwrap().as_slice(), b"2");
        assert!(again.delete("x").unwrap());
        assert_eq!(store.get("x").unwrap(), None);
    }

    #[test]
    fn a_wrong_key_is_told_from_a_damaged_file() {
        let dir = TempDir::new();
        phrase(&dir, "right").set("x", b"1").unwrap();
        let wrong = phrase(&dir, "wrong");
        assert!(matches!(wrong.get("x"), Err(Error::WrongPassphrase(_))));
        assert!(matches!(wrong.set("x", b"2"), Err(Error::WrongPassphrase(_))));
        assert!(matches!(key_file(&dir, &[7; 32]).get("x"), Err(Error::OtherUnlock { sealed_with: "passphrase", .. })));
        let nothing = SealedFile::new(dir.path("credentials"), Unlock::Nothing, Duration::ZERO);
        assert!(matches!(nothing.get("x"), Err(Error::NoPassphrase)));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let dir = TempDir::new();
        let store = key_file(&dir, &[7; 40]);
        store.set("x", b"1").unwrap();
        let path = dir.path("credentials");
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            let fresh = SealedFile::new(path.clone(), store.unlock.clone(), Duration::ZERO);
            assert!(fresh.get("x").is_err(), "byte {at}");
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(fresh.get("x").is_err(), "cut at {at}");
        }
        std::fs::write(&path, &good).unwrap();
        assert_eq!(store.get("x").unwrap().unwrap().as_slice(), b"1");
        let body = good.iter().position(|byte| *byte == b'\n').unwrap() + 5;
        let mut bad = good.clone();
        bad[body] = if bad[body] == b'A' { b'B' } else { b'A' };
        std::fs::write(&path, &bad).unwrap();
        assert!(matches!(store.get("x"), Err(Error::Corrupt { .. })));
        assert!(matches!(store.set("x", b"2"), Err(Error::Corrupt { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), bad, "a damaged file is never overwritten");
    }

    #[test]
    fn a_key_file_has_to_hold_a_key() {
        let dir = TempDir::new();
        assert!(matches!(key_file(&dir, b"short").set("x", b"1"), Err(Error::WeakKeyFile { .. })));
        key_file(&dir, &[1; 32]).set("x", b"1").unwrap();
        assert!(matches!(key_file(&dir, &[2; 32]).get("x"), Err(Error::WrongPassphrase(_))));
    }

    #[test]
    fn many_writers_lose_nothing() {
        let dir = TempDir::new();
        let store = key_file(&dir, &[9; 32]);
        let (path, unlock) = (store.path.clone(), store.unlock.clone());
        std::thread::scope(|scope| {
            for number in 0..8_u8 {
                let own = SealedFile::new(path.clone(), unlock.clone(), Duration::from_secs(20));
                scope.spawn(move || own.set(&number.to_string(), &[number]).unwrap());
            }
        });
        for number in 0..8_u8 {
            assert_eq!(store.get(&number.to_string()).unwrap().unwrap().as_slice(), [number]);
        }
    }
}
