//! A toolset file of somebody else: it is read or refused, and what is found in it is a line of text for a terminal.

#![no_main]

use agentctl::tool;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = tool::manifest::Manifest::parse(text);
    let _ = tool::check(text);
});
