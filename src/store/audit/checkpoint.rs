//! Seals: the MAC of a checkpoint over all that stands before it in its own line, `prev` among it, and so over everything
//! before; and the head file, which says how far the log was when it was last sealed.

use std::{
    fs::OpenOptions,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Error,
    chain::{hash_of, hex},
};
use crate::{files, store::seal::Root};

/// Hexadecimal digits of a MAC.
const MAC_LEN: usize = 64;

/// The keys of one log.
#[derive(Clone)]
pub(super) struct LogKey {
    /// Which log.
    pub(super) log: String,
    /// The name of the key, so that another one can be told from a wrong MAC.
    pub(super) id: String,
    seals: hmac::Key,
    values: hmac::Key,
}

impl std::fmt::Debug for LogKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl LogKey {
    /// The keys of the log of that id.
    pub(super) fn new(root: &Root, log: &str) -> Result<Self, Error> {
        let seals = root.derive("audit seals", log)?;
        let id = hex(&hmac::sign(&root.derive("audit key id", log)?, b"").as_ref()[..8]);
        Ok(Self { log: log.to_owned(), id, seals, values: root.derive("audit values", log)? })
    }

    /// What stands in the place of a value.
    pub(super) fn hide(&self, name: &str, value: &Value) -> Result<String, serde_json::Error> {
        let text = format!("{name}\n{}", serde_json_canonicalizer::to_string(value)?);
        Ok(format!("hmac-sha-256:{}", URL_SAFE_NO_PAD.encode(hmac::sign(&self.values, text.as_bytes()))))
    }

    /// Fills in the MAC of a text that ends with an empty one and `end`.
    fn sign(&self, mut text: Vec<u8>, end: &str) -> Vec<u8> {
        text.truncate(text.len() - end.len());
        let mac = hmac::sign(&self.seals, &text);
        text.extend_from_slice(hex(mac.as_ref()).as_bytes());
        text.extend_from_slice(end.as_bytes());
        text
    }

    /// Whether the MAC of a text that ends with it and `end` is one of this key.
    fn signed(&self, text: &[u8], end: &str) -> bool {
        let Some((before, mac)) = text.strip_suffix(end.as_bytes()).and_then(|text| {
            let at = text.len().checked_sub(MAC_LEN)?;
            text.split_at_checked(at)
        }) else {
            return false;
        };
        let digits: Option<Vec<u8>> = mac
            .chunks_exact(2)
            .map(|pair| str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect();
        before.ends_with(b"\"mac\":\"") && digits.is_some_and(|mac| hmac::verify(&self.seals, before, &mac).is_ok())
    }

    /// The line of a checkpoint whose MAC is still empty, with it.
    pub(super) fn seal_line(&self, line: Vec<u8>) -> Vec<u8> {
        self.sign(line, "\"}}")
    }

    /// Whether the line of a checkpoint is sealed with this key.
    pub(super) fn sealed_line(&self, line: &[u8]) -> bool {
        self.signed(line, "\"}}")
    }
}

/// What a checkpoint says beside its place.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// The name of the key.
    pub(super) key: String,
    /// HMAC-SHA-256 over the line up to here.
    pub(super) mac: String,
}

/// The head file: the newest checkpoint, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Which log.
    pub(super) log: String,
    /// The checkpoint's number; 0 before there is one.
    pub(super) seq: u64,
    /// SHA-256 of its line.
    pub(super) hash: String,
    /// The number of the first entry of its file.
    pub(super) file: u64,
    /// Where its line begins there.
    pub(super) at: u64,
    /// How long it is.
    pub(super) len: u64,
    /// How the log begins.
    #[serde(flatten)]
    pub(super) beginning: Beginning,
    /// The name of the key.
    pub(super) key: String,
    /// HMAC-SHA-256 over the text up to here.
    pub(super) mac: String,
}

/// How a log begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beginning {
    /// Where, if files were removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<Start>,
    /// The last entry that stood there before anything was sealed, in a log that was begun without the key: whoever wrote up
    /// to there, it was not proven then. 0 in any other.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) unproven: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Where a log begins whose oldest files were removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Start {
    /// The number of the first entry that is kept.
    pub(super) seq: u64,
    /// SHA-256 of the line before it, as it says itself.
    pub(super) prev: String,
}

/// What lies where the head file should.
#[derive(Clone, Debug)]
pub(super) enum HeadFile {
    /// Nothing.
    Missing,
    /// Something else.
    Damaged,
    /// A head, whose MAC has not been looked at, and its text.
    There(Head, Vec<u8>),
}

impl HeadFile {
    /// Where it says that the log begins. Its MAC has not been looked at.
    pub(super) fn start(&self) -> Option<&Start> {
        match self {
            Self::There(head, _) => head.beginning.start.as_ref(),
            Self::Missing | Self::Damaged => None,
        }
    }
}

impl Head {
    /// Writes it in the place of the one before.
    pub(super) fn write(mut self, path: &Path, key: &LogKey) -> Result<(), Error> {
        self.key.clone_from(&key.id);
        self.mac.clear();
        Ok(files::write(path, &key.sign(serde_json::to_vec(&self)?, "\"}"))?)
    }

    /// Reads it.
    pub(super) fn read(path: &Path) -> Result<HeadFile, Error> {
        Ok(match files::read(path)? {
            None => HeadFile::Missing,
            Some(text) => match serde_json::from_slice(&text) {
                Ok(head) => HeadFile::There(head, text),
                Err(_) => HeadFile::Damaged,
            },
        })
    }

    /// The head of the same log when nothing of it was sealed yet.
    pub(super) fn before_all(&self) -> Self {
        Self { seq: 0, hash: String::new(), at: 0, len: 0, ..self.clone() }
    }

    /// Whether this text of it is sealed with that key.
    pub(super) fn is_sealed(text: &[u8], key: &LogKey) -> bool {
        key.signed(text, "\"}")
    }

    /// Whether the line that it names still stands in this file.
    pub(super) fn stands_in(&self, path: &Path) -> Result<bool, Error> {
        let failed = |source| files::Error::new("read", path, source);
        let mut file = files::open(path, OpenOptions::new().read(true))?;
        file.seek(SeekFrom::Start(self.at)).map_err(failed)?;
        let mut line = Vec::new();
        file.take(self.len).read_to_end(&mut line).map_err(failed)?;
        Ok(hash_of(&line) == self.hash)
    }
}
