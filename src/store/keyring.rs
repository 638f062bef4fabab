//! The keyring of the system: Secret Service, macOS Keychain, Windows Credential Manager, through the `keyring` crate.
//!
//! The crate connects once a process, when an entry is first made. Its errors say little by themselves: without a session
//! bus every call fails with "no default store", and the reason lies in `store_status`.

use std::{
    error::Error as StdError,
    io,
    sync::{Mutex, PoisonError},
};

use keyring::{Entry, Error as KeyringError};
use zeroize::Zeroizing;

use super::{
    credentials::{CredentialStore, Error},
    split::Split,
};

/// What the entries are listed under.
const SERVICE: &str = "agentctl";

/// The keyring, with long values split where the system demands it.
pub(super) fn open() -> Split<Keyring> {
    // CRED_MAX_CREDENTIAL_BLOB_SIZE. The others took 32 MiB without complaint.
    Split::new(Keyring::default(), cfg!(windows).then_some(2560))
}

/// The keyring as it is. Calls go one at a time: Windows does not sequence threads that use the same entry.
#[derive(Default)]
pub(super) struct Keyring(Mutex<()>);

impl Keyring {
    fn with<T>(&self, name: &str, work: impl FnOnce(&Entry) -> Result<T, KeyringError>) -> Result<Option<T>, Error> {
        let _one_at_a_time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match Entry::new(SERVICE, name).and_then(|entry| work(&entry)) {
            Ok(value) => Ok(Some(value)),
            Err(KeyringError::NoEntry) => Ok(None),
            Err(error) => Err(translate(name, &error)),
        }
    }
}

impl CredentialStore for Keyring {
    fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        self.with(name, |entry| entry.get_secret().map(Zeroizing::new))
    }

    fn set(&self, name: &str, value: &[u8]) -> Result<(), Error> {
        match self.with(name, |entry| entry.set_secret(value))? {
            Some(()) => Ok(()),
            None => Err(Error::Refused("it has no place for a new entry".into())),
        }
    }

    fn delete(&self, name: &str) -> Result<bool, Error> {
        Ok(self.with(name, Entry::delete_credential)?.is_some())
    }

    fn describe(&self) -> String {
        let name = if cfg!(target_os = "macos") {
            "macOS Keychain"
        } else if cfg!(windows) {
            "Windows Credential Manager"
        } else {
            "Secret Service"
        };
        name.into()
    }
}

fn translate(name: &str, error: &KeyringError) -> Error {
    match error {
        KeyringError::NoDefaultStore => match Entry::store_status() {
            Err(error) => Error::NoKeyring { why: why_none(error) },
            Ok(()) => Error::NoKeyring { why: error.to_string() },
        },
        // A collection that is locked and one that nobody made come as the same variant; the texts differ.
        KeyringError::NoStorageAccess(cause) if causes(cause.as_ref()).contains("not returned") => {
            Error::NoKeyring { why: "the Secret Service has no default collection".into() }
        }
        KeyringError::NoStorageAccess(_) => Error::Locked,
        KeyringError::TooLong(..) => Error::TooLong { store: "the keyring".into() },
        KeyringError::Ambiguous(entries) => Error::Ambiguous { name: name.into(), count: entries.len() },
        // These two carry the bytes of the secret, so their own text is not shown.
        KeyringError::BadEncoding(_) | KeyringError::BadDataFormat(..) => {
            Error::Corrupt { what: format!("the entry {name:?} in the keyring") }
        }
        error => Error::Refused(causes(error)),
    }
}

/// Why there is no keyring at all, in words for a person.
fn why_none(error: &KeyringError) -> String {
    let text = causes(error);
    if text.contains("ServiceUnknown") || text.contains("NameHasNoOwner") {
        "no Secret Service runs on the session bus".into()
    } else if cfg!(unix) && chain(error).any(|cause| cause.is::<io::Error>()) || text.contains("No such file") {
        "there is no D-Bus session bus".into()
    } else {
        text
    }
}

/// The whole chain of an error as one line.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    for cause in chain(error) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    text
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_is_missing() {
        let boxed = |text: &str| Box::<dyn StdError + Send + Sync>::from(text.to_owned());
        let name = |error: &KeyringError| translate("x", error).to_string();
        assert_eq!(name(&KeyringError::NoStorageAccess(boxed("SS error: prompt dismissed"))), "the keyring is locked");
        assert_eq!(
            name(&KeyringError::NoStorageAccess(boxed("SS error: result not returned from SS API"))),
            "there is no keyring here: the Secret Service has no default collection"
        );
        assert!(!name(&KeyringError::BadEncoding(b"secret".to_vec())).contains("secret"));
        let unknown = KeyringError::PlatformFailure(boxed("org.freedesktop.DBus.Error.ServiceUnknown: no"));
        assert_eq!(why_none(&unknown), "no Secret Service runs on the session bus");
        let socket = KeyringError::PlatformFailure(Box::new(io::Error::from(io::ErrorKind::NotFound)));
        assert_eq!(why_none(&socket), "there is no D-Bus session bus");
    }
}
