//! The credential store: small secret values under names, in the keyring of the system, in a sealed file, or in memory.
//!
//! Nothing is opened before the first call. Every call runs on a plain thread under a limit: a keyring can wait for a
//! person or hang for good, and the runtime's own blocking threads would then hold up the end of the program.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{OnceCell, OwnedMutexGuard, oneshot};
use zeroize::Zeroizing;

use super::{
    file::SealedFile,
    keyring,
    lock::{self, GrantLock},
    seal::{self, DataKey},
};
use crate::{call::Digest, clock::Clock, files, secret::Passphrase};

/// Why a credential could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine or session has no keyring.
    #[error("there is no keyring here: {why}")]
    NoKeyring {
        /// What is missing.
        why: String,
    },
    /// The keyring is locked, and nobody unlocked it.
    #[error("the keyring is locked")]
    Locked,
    /// No answer in time.
    #[error("{store} did not answer within {} s", limit.as_secs_f32())]
    Timeout {
        /// Which store.
        store: String,
        /// The limit.
        limit: Duration,
    },
    /// The value does not fit, even split.
    #[error("the value is too long for {store}")]
    TooLong {
        /// Which store.
        store: String,
    },
    /// Two entries of the keyring have the name that one should have.
    #[error("the keyring holds {count} entries named {name:?}")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many.
        count: usize,
    },
    /// The keyring refused for another reason.
    #[error("the keyring refused: {0}")]
    Refused(String),
    /// A sealed file is to be used, and nothing that opens it was given.
    #[error("the sealed file needs a passphrase or a key file")]
    NoPassphrase,
    /// The sealed file is of another kind than what was given to open it.
    #[error("{} is sealed with a {sealed_with}", path.display())]
    OtherUnlock {
        /// The file.
        path: PathBuf,
        /// `passphrase` or `key file`.
        sealed_with: &'static str,
    },
    /// The passphrase or the key file is not the one of this sealed file (or its first line was damaged).
    #[error("the passphrase or key file does not open {}", .0.display())]
    WrongPassphrase(PathBuf),
    /// The key file holds too little to be a key.
    #[error("the key file {} holds fewer than {min} bytes", path.display())]
    WeakKeyFile {
        /// The file.
        path: PathBuf,
        /// How many it needs.
        min: usize,
    },
    /// A stored value is damaged.
    #[error("{what} is damaged")]
    Corrupt {
        /// Which.
        what: String,
    },
    /// Another process holds the lock.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// A file of the store.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The data key.
    #[error(transparent)]
    Seal(#[from] seal::Error),
}

/// The name of a stored value. Every secret is named after the place it may be sent to, so that it can never be sent to
/// another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// A person's grant (refresh token and account) at an issuer, through one client.
    #[must_use]
    pub fn grant(issuer: &str, client: &str, account: &str) -> Self {
        Self::new("grant", &[issuer, client, account])
    }

    /// A client's own credential (secret or private key) at an issuer.
    #[must_use]
    pub fn client(issuer: &str, client: &str) -> Self {
        Self::new("client", &[issuer, client])
    }

    /// Any other kind. Blanks in the parts are escaped, so different parts never give the same name.
    #[must_use]
    pub fn new(kind: &str, parts: &[&str]) -> Self {
        let mut name = kind.to_owned();
        for part in parts {
            name.push(' ');
            for c in part.chars() {
                if c == ' ' || c == '%' || c.is_control() {
                    let _ = write!(name, "%{:02X}", u32::from(c));
                } else {
                    name.push(c);
                }
            }
        }
        Self(name)
    }

    /// The name as the keyring shows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What opens a sealed file.
#[derive(Clone, Debug)]
pub enum Unlock {
    /// A passphrase, stretched by argon2id.
    Passphrase(Passphrase),
    /// A file of at least 32 random bytes.
    KeyFile(PathBuf),
    /// Nothing was configured: every use fails and says so.
    Nothing,
}

/// One way to keep named values. Calls may block; [`Store`] makes them on a thread of their own.
pub(super) trait CredentialStore: Send + Sync {
    fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error>;
    fn set(&self, name: &str, value: &[u8]) -> Result<(), Error>;
    fn delete(&self, name: &str) -> Result<bool, Error>;
    fn describe(&self) -> String;
}

/// The credential store of this process.
pub struct Store {
    backend: Arc<dyn CredentialStore>,
    limit: Duration,
    locks: Locks,
    data_key: OnceCell<DataKey>,
}

enum Locks {
    /// Lock files whose names start like this.
    Files(PathBuf),
    /// Nobody else can see this store.
    Memory(Arc<tokio::sync::Mutex<()>>),
}

/// An exclusive hold on one stored value, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Hold {
    _file: Option<GrantLock>,
    _memory: Option<OwnedMutexGuard<()>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.describe()).finish()
    }
}

impl Store {
    /// The keyring of the system. `locks` is the folder of the lock files; it has to be the same one for every process
    /// of this person. `limit` is the time one call may take.
    #[must_use]
    pub fn keyring(locks: &Path, limit: Duration) -> Self {
        Self::new(Arc::new(keyring::open()), limit, Locks::Files(locks.join("keyring")))
    }

    /// A sealed file. Its lock files lie beside it.
    #[must_use]
    pub fn file(path: PathBuf, unlock: Unlock, limit: Duration) -> Self {
        // The wait for another process is part of the call; the second more lets its own error be the one that is told.
        let whole = limit + Duration::from_secs(1);
        Self::new(Arc::new(SealedFile::new(path.clone(), unlock, limit)), whole, Locks::Files(path))
    }

    /// The memory of this process.
    #[must_use]
    pub fn memory() -> Self {
        let locks = Locks::Memory(Arc::default());
        Self::new(Arc::new(Memory::default()), Duration::from_secs(3), locks)
    }

    fn new(backend: Arc<dyn CredentialStore>, limit: Duration, locks: Locks) -> Self {
        Self { backend, limit, locks, data_key: OnceCell::new() }
    }

    /// A few words for a person: `Secret Service`, `sealed file PATH`, ...
    #[must_use]
    pub fn describe(&self) -> String {
        self.backend.describe()
    }

    /// Whether values outlive this process.
    #[must_use]
    pub fn lasts(&self) -> bool {
        matches!(self.locks, Locks::Files(_))
    }

    /// The value of that name, if there is one.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn get(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let name = key.0.clone();
        self.on_thread(move |backend| backend.get(&name)).await
    }

    /// Keeps a value durably, in the place of an earlier one of that name.
    ///
    /// # Errors
    /// If the store cannot be used. After [`Error::Timeout`] the value may have been kept or not.
    pub async fn set(&self, key: &Key, value: &[u8]) -> Result<(), Error> {
        let (name, value) = (key.0.clone(), Zeroizing::new(value.to_vec()));
        self.on_thread(move |backend| backend.set(&name, &value)).await
    }

    /// Removes a value; true if there was one.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn delete(&self, key: &Key) -> Result<bool, Error> {
        let name = key.0.clone();
        self.on_thread(move |backend| backend.delete(&name)).await
    }

    /// Takes the lock of one value, across all processes of this person: for reading, deciding and writing in one step.
    ///
    /// # Errors
    /// If somebody else keeps it for longer than `limit`.
    pub async fn lock(&self, key: &Key, clock: &dyn Clock, limit: Duration) -> Result<Hold, Error> {
        Ok(match &self.locks {
            Locks::Files(prefix) => {
                let lock = GrantLock::take(&lock_path(prefix, key), clock, limit).await?;
                Hold { _file: Some(lock), _memory: None }
            }
            Locks::Memory(mutex) => Hold { _file: None, _memory: Some(Arc::clone(mutex).lock_owned().await) },
        })
    }

    /// The key under which tokens are sealed on disk; made when it is first needed, by exactly one process.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn data_key(&self) -> Result<&DataKey, Error> {
        self.data_key
            .get_or_try_init(|| async {
                let key = Key::new("data-key", &[]);
                let lock = match &self.locks {
                    Locks::Files(prefix) => Some(lock_path(prefix, &key)),
                    Locks::Memory(_) => None,
                };
                let limit = self.limit;
                let bytes = self.on_thread(move |backend| data_key(backend, &key.0, lock.as_deref(), limit)).await?;
                DataKey::from_bytes(&bytes).ok_or_else(|| Error::Corrupt { what: "the data key".into() })
            })
            .await
    }

    /// The same key, if it was ever made. Makes none.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn existing_data_key(&self) -> Result<Option<&DataKey>, Error> {
        if self.data_key.get().is_none() && self.get(&Key::new("data-key", &[])).await?.is_none() {
            return Ok(None);
        }
        self.data_key().await.map(Some)
    }

    /// The same key, if this process has used it already. Asks no store.
    #[must_use]
    pub fn known_data_key(&self) -> Option<&DataKey> {
        self.data_key.get()
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn CredentialStore) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (tell, answer) = oneshot::channel();
        let backend = Arc::clone(&self.backend);
        std::thread::Builder::new()
            .name("credentials".into())
            .spawn(move || {
                // If nobody waits any more, there is nobody to tell.
                let _ = tell.send(work(&*backend));
            })
            .map_err(|error| Error::Refused(format!("no thread for it: {error}")))?;
        match tokio::time::timeout(self.limit, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::Refused("it ended without an answer".into())),
            Err(_) => Err(Error::Timeout { store: self.describe(), limit: self.limit }),
        }
    }
}

fn data_key(
    backend: &dyn CredentialStore,
    name: &str,
    lock: Option<&Path>,
    limit: Duration,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    if let Some(key) = backend.get(name)? {
        return Ok(key);
    }
    let _lock = lock.map(|path| GrantLock::take_blocking(path, limit)).transpose()?;
    if let Some(key) = backend.get(name)? {
        return Ok(key);
    }
    let key = Zeroizing::new(seal::random::<{ DataKey::LEN }>()?.to_vec());
    backend.set(name, &key)?;
    Ok(key)
}

fn lock_path(prefix: &Path, key: &Key) -> PathBuf {
    let hash = Digest::of_bytes(key.0.as_bytes()).to_hex();
    files::beside(prefix, &format!(".{}.lock", &hash[..16]))
}

/// Values that end with the process.
#[derive(Default)]
pub(super) struct Memory(Mutex<BTreeMap<String, Zeroizing<Vec<u8>>>>);

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Zeroizing<Vec<u8>>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> Vec<String> {
        self.with(|values| values.keys().cloned().collect())
    }
}

impl CredentialStore for Memory {
    fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        Ok(self.with(|values| values.get(name).cloned()))
    }

    fn set(&self, name: &str, value: &[u8]) -> Result<(), Error> {
        self.with(|values| values.insert(name.to_owned(), Zeroizing::new(value.to_vec())));
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<bool, Error> {
        Ok(self.with(|values| values.remove(name).is_some()))
    }

    fn describe(&self) -> String {
        "memory".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::SystemClock, files::tests::TempDir};

    #[test]
    fn names_are_readable_and_never_collide() {
        assert_eq!(Key::grant("https://a.example/", "cli", "me").as_str(), "grant https://a.example/ cli me");
        assert_ne!(Key::new("grant", &["a b", "c"]), Key::new("grant", &["a", "b c"]));
        assert_ne!(Key::new("grant", &["a%20b"]), Key::new("grant", &["a b"]));
    }

    #[tokio::test]
    async fn memory_keeps_and_forgets() {
        let store = Store::memory();
        let key = Key::client("https://a.example", "cli");
        assert_eq!(store.get(&key).await.unwrap(), None);
        store.set(&key, b"secret").await.unwrap();
        assert_eq!(store.get(&key).await.unwrap().unwrap().as_slice(), b"secret");
        assert!(store.delete(&key).await.unwrap());
        assert!(!store.delete(&key).await.unwrap());
        assert!(!store.lasts());
        let hold = store.lock(&key, &SystemClock::new(), Duration::from_secs(1)).await.unwrap();
        drop(hold);
        assert!(store.existing_data_key().await.unwrap().is_none());
        let sealed = store.data_key().await.unwrap().seal("x", b"y").unwrap();
        assert_eq!(store.data_key().await.unwrap().open("x", &sealed).unwrap().as_slice(), b"y");
        let existing = store.existing_data_key().await.unwrap().unwrap();
        assert_eq!(existing.open("x", &sealed).unwrap().as_slice(), b"y");
    }

    #[tokio::test]
    async fn processes_that_start_together_agree_on_one_data_key() {
        let dir = TempDir::new();
        let key_file = dir.path("key");
        std::fs::write(&key_file, [7; 32]).unwrap();
        let open = || Store::file(dir.path("credentials"), Unlock::KeyFile(key_file.clone()), Duration::from_secs(10));
        let stores: Vec<Store> = (0..8).map(|_| open()).collect();
        let keys = futures::future::join_all(stores.iter().map(Store::data_key)).await;
        let sealed = keys[0].as_ref().unwrap().seal("x", b"y").unwrap();
        for key in keys {
            assert!(key.unwrap().open("x", &sealed).is_ok());
        }
    }

    #[tokio::test]
    async fn a_store_that_hangs_is_given_up() {
        struct Hangs;
        impl CredentialStore for Hangs {
            fn get(&self, _: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
                std::thread::sleep(Duration::from_secs(30));
                Ok(None)
            }
            fn set(&self, _: &str, _: &[u8]) -> Result<(), Error> {
                panic!("this one falls over")
            }
            fn delete(&self, _: &str) -> Result<bool, Error> {
                Ok(false)
            }
            fn describe(&self) -> String {
                "a store that hangs".into()
            }
        }
        let store = Store::new(Arc::new(Hangs), Duration::from_millis(20), Locks::Memory(Arc::default()));
        let key = Key::new("x", &[]);
        let error = store.get(&key).await.unwrap_err();
        assert_eq!(error.to_string(), "a store that hangs did not answer within 0.02 s");
        assert!(matches!(store.set(&key, b"").await, Err(Error::Refused(_) | Error::Timeout { .. })));
    }
}
