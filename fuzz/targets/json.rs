//! Arguments of a call: what the strict reader takes is what a plain one takes, and its canonical form reads back as the
//! same value.

#![no_main]

use agentctl::json;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let Ok(value) = json::strict(text) else { return };
    assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), value);
    assert_eq!(json::strict(&value.to_string()).expect("JSON"), value);
});
