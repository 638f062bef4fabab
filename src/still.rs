//! Whether a thread stands still in a place where it looks neither at signals nor at the time, so that another one has to.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A place that threads go through, and may stand still in.
#[derive(Debug, Default)]
pub struct Place {
    inside: AtomicUsize,
    /// How often one came or left.
    moves: AtomicUsize,
}

/// What a place looked like at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    place: &'static Place,
    inside: usize,
    moves: usize,
}

/// A thread in a place, until this is dropped.
#[derive(Debug)]
pub struct Inside(&'static Place);

impl Place {
    /// One that nobody is in.
    #[must_use]
    pub const fn new() -> Self {
        Self { inside: AtomicUsize::new(0), moves: AtomicUsize::new(0) }
    }

    /// Goes in.
    #[must_use]
    pub fn enter(&'static self) -> Inside {
        self.inside.fetch_add(1, SeqCst);
        self.moves.fetch_add(1, SeqCst);
        Inside(self)
    }

    /// Looks at it.
    #[must_use]
    pub fn look(&'static self) -> Look {
        Look { place: self, inside: self.inside.load(SeqCst), moves: self.moves.load(SeqCst) }
    }
}

impl Look {
    /// Whether somebody was inside then, and nobody came or left since.
    #[must_use]
    pub fn still_stands(&self) -> bool {
        let now = self.place.look();
        self.inside > 0 && (now.inside, now.moves) == (self.inside, self.moves)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, SeqCst);
        self.0.moves.fetch_add(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_stands_still_only_with_the_same_ones_in_it() {
        static PLACE: Place = Place::new();
        let empty = PLACE.look();
        assert!(!empty.still_stands());
        let first = PLACE.enter();
        assert!(!empty.still_stands());
        let one = PLACE.look();
        assert!(one.still_stands());
        // One who came and left again has shown that it moves.
        drop(PLACE.enter());
        assert!(!one.still_stands());
        let one = PLACE.look();
        drop(first);
        assert!(!one.still_stands());
    }
}
