//! How one line follows from another.

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde::Deserialize;

use super::Kind;

/// The `prev` of the first entry.
pub(super) const NOTHING_BEFORE: [u8; 32] = [0; 32];

/// What the chain needs of a line. Reading it goes through the whole line, so half a line is none; but what the chain does
/// not need is not looked into: [`Entry::read`](super::Entry::read) does.
#[derive(Debug, Deserialize)]
pub struct Link<'a> {
    /// Its number.
    pub seq: u64,
    /// The hash of the line before.
    pub prev: &'a str,
    /// What it is.
    pub kind: Kind,
    /// The action it belongs to.
    #[serde(borrow)]
    pub action: Option<&'a str>,
    /// Whether it carries the log's MAC, as far as whoever read it has the key.
    #[serde(skip)]
    pub proven: Option<bool>,
}

impl<'a> Link<'a> {
    /// Reads a line; none if it is no entry.
    #[must_use]
    pub fn read(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// Whether its `prev` is this hash.
    pub(super) fn follows(&self, hash: &[u8; 32]) -> bool {
        unhex(self.prev).is_some_and(|prev| prev == *hash)
    }
}

/// SHA-256 of some bytes.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
    sum
}

/// How much of the line of an entry its MAC and what stands behind it take: 64 digits and `"}`.
pub(super) const MAC_AND_END: usize = 66;

/// SHA-256 of the line of an entry before its MAC, and of the whole line, in one pass: every verification needs both.
pub(super) fn sha256_twice(line: &[u8]) -> ([u8; 32], [u8; 32]) {
    let (before, end) = line.split_at(line.len().saturating_sub(MAC_AND_END));
    let mut context = Context::new(&SHA256);
    context.update(before);
    let before = context.clone().finish();
    context.update(end);
    let mut sums = ([0; 32], [0; 32]);
    sums.0.copy_from_slice(before.as_ref());
    sums.1.copy_from_slice(context.finish().as_ref());
    sums
}

/// 64 hexadecimal digits, as `sha256sum` prints them.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|half| char::from(DIGITS[usize::from(half)])).collect()
}

/// What 64 such digits say.
pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

/// The hash of a line, as the next one holds it.
#[must_use]
pub fn hash_of(line: &[u8]) -> String {
    hex(&sha256(line))
}

/// What follows the line `last`, or begins the log.
pub(super) fn after(last: Option<&[u8]>) -> [u8; 32] {
    last.map_or(NOTHING_BEFORE, sha256)
}

/// What follows half a line that stands behind `last`.
pub(super) fn after_torn(last: Option<&[u8]>, torn: &[u8]) -> [u8; 32] {
    sha256(&[last.unwrap_or_default(), b"\n", torn].concat())
}

/// Whether bytes between two entries can be what crashes left: half a line, and behind it beginnings of the entry `seq`, which
/// would have recovered from that.
pub(super) fn left_by_crashes(torn: &[u8], seq: u64) -> bool {
    let begin = format!("{{\"seq\":{seq},\"time\":\"");
    torn.split(|byte| *byte == b'\n').skip(1).all(|piece| {
        let known = piece.len().min(begin.len());
        piece[..known] == begin.as_bytes()[..known]
    })
}
