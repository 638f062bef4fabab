//! The program: collect, call, exit.
fn main() {}
