//! The answer of a model: whatever a server sends, the result is the same however the bytes are cut into pieces.

#![no_main]

use agentctl::model::fuzzing::read;
use agentctl_fuzz::numbers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (size, _, body) = numbers(data);
    let summary = |size| {
        read(body, size).map(|answer| {
            // An id that the server left out is drawn at random.
            let calls: Vec<_> = answer.tool_calls.into_iter().map(|call| (call.name, call.arguments)).collect();
            (answer.text, calls, answer.truncated)
        })
    };
    assert_eq!(summary(body.len()), summary(size));
});
