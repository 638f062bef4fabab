//! To be written.

#[cfg_attr(not(test), expect(dead_code, reason = "nothing serves it yet"))]
mod model;
