//! The door of the fuzz target `event_stream` to the reader of answers.

use std::time::Duration;

use bytes::Bytes;

use super::{Completion, Reading};

/// What comes of a body that arrives in pieces of this many bytes; nothing if it is refused.
#[must_use]
pub fn read(body: &[u8], size: usize) -> Option<Completion> {
    let mut reading = Reading::default();
    for piece in body.chunks(size.max(1)) {
        reading.take(Ok(Some(Bytes::copy_from_slice(piece))), Duration::ZERO).ok()?;
    }
    reading.take(Ok(None), Duration::ZERO).ok()?;
    reading.answer.finish().ok()
}
