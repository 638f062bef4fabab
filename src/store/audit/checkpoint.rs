//! Seals: the MAC of a checkpoint over all that stands before it in its own line, `prev` among it, and so over everything
//! before; and the head file, which says how far the log was when it was last sealed.

use std::path::Path;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Error,
    chain::{MAC_AND_END, hex, sha256, unhex},
    lines::Stood,
};
use crate::{files, store::seal::Root};

/// Hexadecimal digits of a MAC.
const MAC_LEN: usize = 64;
/// What stands before the MAC of an entry, and behind it.
const ENTRY_MAC: &[u8] = b",\"mac\":\"";
const ENTRY_END: &[u8] = b"\"}";

/// The keys of one log.
#[derive(Clone)]
pub(super) struct LogKey {
    /// Which log.
    pub(super) log: String,
    /// The name of the key, so that another one can be told from a wrong MAC.
    pub(super) id: String,
    seals: hmac::Key,
    entries: hmac::Key,
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
        let entries = root.derive("audit entries", log)?;
        Ok(Self { log: log.to_owned(), id, seals, entries, values: root.derive("audit values", log)? })
    }

    /// What stands in the place of a value.
    pub(super) fn hide(&self, name: &str, value: &Value) -> Result<String, serde_json::Error> {
        let text = format!("{name}\n{}", serde_json_canonicalizer::to_string(value)?);
        Ok(format!("hmac-sha-256:{}", URL_SAFE_NO_PAD.encode(hmac::sign(&self.values, text.as_bytes()))))
    }

    /// The line of an entry whose MAC is still empty, with it.
    pub(super) fn sign_entry(&self, mut line: Vec<u8>) -> Vec<u8> {
        line.truncate(line.len() - ENTRY_END.len());
        let mac = hmac::sign(&self.entries, &sha256(&line));
        line.extend_from_slice(hex(mac.as_ref()).as_bytes());
        line.extend_from_slice(ENTRY_END);
        line
    }

    /// Whether the line of an entry carries a MAC of this key. `before` is the SHA-256 of what stands before it: the line is
    /// hashed for the chain as well, and so only once.
    pub(super) fn signed_entry(&self, line: &[u8], before: &[u8; 32]) -> bool {
        mac_of(line).is_some_and(|mac| hmac::verify(&self.entries, before, &mac).is_ok())
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
        let mac = str::from_utf8(mac).ok().and_then(unhex);
        before.ends_with(b"\"mac\":\"") && mac.is_some_and(|mac| hmac::verify(&self.seals, before, &mac).is_ok())
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

/// The MAC of the line of an entry, whoever made it.
fn mac_of(line: &[u8]) -> Option<[u8; 32]> {
    let (text, mac) = line.split_at(line.len().checked_sub(MAC_AND_END)?);
    let mac = mac.strip_suffix(ENTRY_END).filter(|_| text.ends_with(ENTRY_MAC))?;
    unhex(str::from_utf8(mac).ok()?)
}

/// Whether the line of an entry says that it was written with the key. Only who has the key knows.
pub(super) fn carries_mac(line: &[u8]) -> bool {
    mac_of(line).is_some()
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
    /// Where the log begins, if files were removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<Start>,
    /// The name of the key.
    pub(super) key: String,
    /// HMAC-SHA-256 over the text up to here.
    pub(super) mac: String,
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
            Self::There(head, _) => head.start.as_ref(),
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
        let Some(hash) = unhex(&self.hash) else { return Ok(false) };
        let stood = Stood { file: self.file, start: self.at, len: self.len, hash };
        Ok(stood.read(path)?.is_some())
    }
}
