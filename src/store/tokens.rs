//! Access tokens on disk, sealed: so that the next process need not ask for a new one.
//!
//! A cache and no more: what cannot be read, opened or written is as good as not there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::seal::DataKey;
use crate::{call::Digest, files};

/// The tokens of one grant, in a folder of their own.
#[derive(Debug)]
pub struct TokenCache {
    folder: PathBuf,
}

impl TokenCache {
    /// The cache of the grant of that name, below the state folder. Nothing is opened or made before the first use.
    #[must_use]
    pub fn new(state_dir: &Path, grant: &str) -> Self {
        Self { folder: state_dir.join("tokens").join(short_hash(grant)) }
    }

    /// What was kept under this label.
    #[must_use]
    pub fn get(&self, key: &DataKey, label: &str) -> Option<Zeroizing<Vec<u8>>> {
        let sealed = files::read(&self.path(label)).ok().flatten()?;
        key.open(label, &sealed).ok()
    }

    /// Keeps a value under this label.
    pub fn set(&self, key: &DataKey, label: &str, value: &[u8]) {
        let written = key
            .seal(label, value)
            .map_err(|error| error.to_string())
            .and_then(|sealed| files::write(&self.path(label), &sealed).map_err(|error| error.to_string()));
        if let Err(error) = written {
            tracing::warn!(error, "the access token could not be kept for the next process");
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the kept access tokens could not be removed");
            }
            _ => {}
        }
    }

    fn path(&self, label: &str) -> PathBuf {
        self.folder.join(short_hash(label))
    }
}

fn short_hash(text: &str) -> String {
    Digest::of_bytes(text.as_bytes()).to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::TempDir;

    #[test]
    fn what_was_kept_is_had_again_and_then_forgotten() {
        let dir = TempDir::new();
        let key = DataKey::from_bytes(&[1; 32]).unwrap();
        let cache = TokenCache::new(&dir.0, "grant a");
        assert!(cache.get(&key, "shop").is_none());
        cache.clear();
        cache.set(&key, "shop", b"eyJ");
        assert_eq!(*cache.get(&key, "shop").unwrap(), b"eyJ");
        assert!(cache.get(&key, "other").is_none());
        assert!(cache.get(&DataKey::from_bytes(&[2; 32]).unwrap(), "shop").is_none());
        assert!(TokenCache::new(&dir.0, "grant b").get(&key, "shop").is_none());
        assert!(!fs::read(cache.path("shop")).unwrap().windows(3).any(|piece| piece == b"eyJ"));
        cache.clear();
        assert!(cache.get(&key, "shop").is_none());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_error() {
        let dir = TempDir::new();
        let key = DataKey::from_bytes(&[1; 32]).unwrap();
        fs::write(dir.path("tokens"), b"a file where the folder should be").unwrap();
        let cache = TokenCache::new(&dir.0, "grant");
        cache.set(&key, "shop", b"eyJ");
        assert!(cache.get(&key, "shop").is_none());
    }
}
