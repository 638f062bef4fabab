//! Values for stores that take only short ones: Windows refuses more than 2,560 bytes, and some keyrings take only text.
//!
//! A short value is one entry, `=` and its base64. A long one is cut into pieces, entries of their own named `NAME a0`,
//! `NAME a1`, ..., and its head entry is `+`, the generation (`a` or `b`), the number of pieces, and a checksum. A new value
//! is written into the other generation before the head is switched over, so at every moment the head names a value that
//! is whole. Pieces are written upwards and deleted downwards: what a killed process left is found by counting up.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::credentials::{CredentialStore, Error};
use crate::call::Digest;

/// More pieces than this are refused; three digits keep the head short.
const MAX_PIECES: usize = 999;
/// How often a reader looks again when a writer switched the head between its reads.
const TRIES: usize = 5;

/// A store whose entries hold at most `limit` bytes each; without a limit nothing is split.
pub(super) struct Split<S> {
    inner: S,
    limit: Option<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Generation {
    A,
    B,
}

impl Generation {
    fn other(self) -> Self {
        if self == Self::A { Self::B } else { Self::A }
    }

    fn letter(self) -> char {
        if self == Self::A { 'a' } else { 'b' }
    }
}

enum Head<'a> {
    Whole(&'a str),
    Pieces { generation: Generation, count: usize, sum: &'a str },
}

impl<S: CredentialStore> Split<S> {
    pub(super) fn new(inner: S, limit: Option<usize>) -> Self {
        Self { inner, limit }
    }

    fn corrupt(&self, name: &str) -> Error {
        Error::Corrupt { what: format!("the entry {name:?} in {}", self.inner.describe()) }
    }

    fn too_long(&self) -> Error {
        Error::TooLong { store: self.inner.describe() }
    }

    /// The text of all pieces; none if one is missing or they are not the ones of this head.
    fn assemble(
        &self,
        name: &str,
        generation: Generation,
        count: usize,
        sum: &str,
    ) -> Result<Option<Zeroizing<String>>, Error> {
        let mut text = Zeroizing::new(String::new());
        for index in 0..count {
            let piece = self.inner.get(&piece_name(name, generation, index))?;
            let Some(piece) = piece.as_deref().and_then(|piece| std::str::from_utf8(piece).ok()) else {
                return Ok(None);
            };
            text.push_str(piece);
        }
        Ok((checksum(&text) == sum).then_some(text))
    }

    fn write_pieces(&self, name: &str, text: &str, limit: usize) -> Result<(), Error> {
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(limit).collect();
        if pieces.len() > MAX_PIECES {
            return Err(self.too_long());
        }
        let before = self.inner.get(name)?;
        let generation = match before.as_deref().and_then(|head| parse(head)) {
            Some(Head::Pieces { generation, .. }) => generation.other(),
            _ => Generation::A,
        };
        for (index, piece) in pieces.iter().enumerate() {
            self.inner.set(&piece_name(name, generation, index), piece)?;
        }
        let head = format!("+{}{}:{}", generation.letter(), pieces.len(), checksum(text));
        if head.len() > limit {
            return Err(self.too_long());
        }
        self.inner.set(name, head.as_bytes())?;
        self.clear(name, generation, pieces.len())?;
        self.clear(name, generation.other(), 0)
    }

    /// Deletes the pieces of a generation from `from` on.
    fn clear(&self, name: &str, generation: Generation, from: usize) -> Result<(), Error> {
        let mut end = from;
        while self.inner.get(&piece_name(name, generation, end))?.is_some() {
            end += 1;
        }
        for index in (from..end).rev() {
            self.inner.delete(&piece_name(name, generation, index))?;
        }
        Ok(())
    }
}

impl<S: CredentialStore> CredentialStore for Split<S> {
    fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let mut seen: Option<Zeroizing<Vec<u8>>> = None;
        for _ in 0..TRIES {
            let Some(head) = self.inner.get(name)? else { return Ok(None) };
            if seen.as_ref() == Some(&head) {
                break; // nobody is writing: the pieces really are wrong
            }
            match parse(&head).ok_or_else(|| self.corrupt(name))? {
                Head::Whole(text) => return decode(text).ok_or_else(|| self.corrupt(name)).map(Some),
                Head::Pieces { generation, count, sum } => {
                    if let Some(text) = self.assemble(name, generation, count, sum)? {
                        return decode(&text).ok_or_else(|| self.corrupt(name)).map(Some);
                    }
                }
            }
            seen = Some(head);
        }
        Err(self.corrupt(name))
    }

    fn set(&self, name: &str, value: &[u8]) -> Result<(), Error> {
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(value));
        match self.limit {
            Some(limit) if text.len() >= limit => self.write_pieces(name, &text, limit),
            limit => {
                self.inner.set(name, Zeroizing::new(["=", &text].concat()).as_bytes())?;
                if limit.is_some() {
                    self.clear(name, Generation::A, 0)?;
                    self.clear(name, Generation::B, 0)?;
                }
                Ok(())
            }
        }
    }

    fn delete(&self, name: &str) -> Result<bool, Error> {
        // The head goes first: from then on there is no value, whatever happens to the pieces.
        let existed = self.inner.delete(name)?;
        if self.limit.is_some() {
            self.clear(name, Generation::A, 0)?;
            self.clear(name, Generation::B, 0)?;
        }
        Ok(existed)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

fn piece_name(name: &str, generation: Generation, index: usize) -> String {
    format!("{name} {}{index}", generation.letter())
}

fn checksum(text: &str) -> String {
    Digest::of_bytes(text.as_bytes()).to_hex()[..8].to_owned()
}

fn parse(head: &[u8]) -> Option<Head<'_>> {
    let head = std::str::from_utf8(head).ok()?;
    if let Some(text) = head.strip_prefix('=') {
        return Some(Head::Whole(text));
    }
    let rest = head.strip_prefix('+')?;
    let (generation, rest) = match rest.strip_prefix('a') {
        Some(rest) => (Generation::A, rest),
        None => (Generation::B, rest.strip_prefix('b')?),
    };
    let (count, sum) = rest.split_once(':')?;
    let count = count.parse().ok().filter(|count| (1..=MAX_PIECES).contains(count))?;
    Some(Head::Pieces { generation, count, sum })
}

fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    URL_SAFE_NO_PAD.decode(text).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::store::credentials::Memory;

    /// A memory whose power goes off after a number of writes and deletions.
    struct Dies {
        memory: Memory,
        left: std::sync::Mutex<Cell<usize>>,
    }

    impl Dies {
        fn spend(&self) -> Result<(), Error> {
            let left = self.left.lock().unwrap();
            let rest = left.get().checked_sub(1).ok_or_else(|| Error::Refused("power is off".into()))?;
            left.set(rest);
            Ok(())
        }
    }

    impl CredentialStore for Dies {
        fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
            self.memory.get(name)
        }
        fn set(&self, name: &str, value: &[u8]) -> Result<(), Error> {
            assert!(value.len() <= 16, "an entry is longer than the limit");
            self.spend()?;
            self.memory.set(name, value)
        }
        fn delete(&self, name: &str) -> Result<bool, Error> {
            self.spend()?;
            self.memory.delete(name)
        }
        fn describe(&self) -> String {
            "a memory that dies".into()
        }
    }

    fn store() -> Split<Dies> {
        let memory = Dies { memory: Memory::default(), left: std::sync::Mutex::new(Cell::new(usize::MAX)) };
        Split::new(memory, Some(16))
    }

    fn value(length: usize, seed: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from((at * 31 + seed * 7) % 256).unwrap()).collect()
    }

    #[test]
    fn values_of_every_length_come_back_and_leave_nothing_behind() {
        let store = store();
        for (seed, length) in (0..200).chain([12, 0, 500, 11, 90, 12]).enumerate() {
            store.set("grant x", &value(length, seed)).unwrap();
            assert_eq!(**store.get("grant x").unwrap().unwrap(), value(length, seed), "length {length}");
            let text = (length * 8).div_ceil(6);
            let entries = if text < 16 { 1 } else { 1 + text.div_ceil(16) };
            assert_eq!(store.inner.memory.names().len(), entries, "length {length}");
        }
        assert!(store.delete("grant x").unwrap());
        assert!(store.inner.memory.names().is_empty());
        assert!(!store.delete("grant x").unwrap());
        assert!(matches!(store.set("grant x", &value(20_000, 0)), Err(Error::TooLong { .. })));
    }

    #[test]
    fn a_write_cut_at_any_step_leaves_the_old_value_or_the_new() {
        for before in [None, Some(0), Some(5), Some(40), Some(100)] {
            for after in [3, 30, 100] {
                for steps in 0..40 {
                    let store = store();
                    if let Some(length) = before {
                        store.set("x", &value(length, 1)).unwrap();
                    }
                    store.inner.left.lock().unwrap().set(steps);
                    let finished = store.set("x", &value(after, 2)).is_ok();
                    let found = store.get("x").unwrap().map(|found| found.to_vec());
                    let (old, new) = (before.map(|length| value(length, 1)), Some(value(after, 2)));
                    assert!(found == new || (!finished && found == old), "{before:?} -> {after}, {steps} steps");
                    // The next write cleans up whatever was left.
                    store.inner.left.lock().unwrap().set(usize::MAX);
                    store.set("x", b"short").unwrap();
                    assert_eq!(store.inner.memory.names(), ["x"], "{before:?} -> {after}, {steps} steps");
                }
            }
        }
    }

    #[test]
    fn what_is_damaged_is_never_a_value() {
        let store = store();
        store.set("x", &value(40, 1)).unwrap();
        store.inner.memory.set("x a1", b"AAAAAAAAAAAAAAAA").unwrap();
        assert!(matches!(store.get("x"), Err(Error::Corrupt { .. })));
        store.inner.memory.delete("x a1").unwrap();
        assert!(matches!(store.get("x"), Err(Error::Corrupt { .. })));
        for head in ["", "plain", "=*", "+c1:00000000", "+a0:00000000", "+a1000:00000000", "+a1"] {
            store.inner.memory.set("x", head.as_bytes()).unwrap();
            assert!(matches!(store.get("x"), Err(Error::Corrupt { .. })), "{head:?}");
        }
        // A new value mends it.
        store.set("x", b"new").unwrap();
        assert_eq!(store.get("x").unwrap().unwrap().as_slice(), b"new");
    }
}
