//! The filter of everything that reaches a terminal: no control character comes out, what is visible stays, and a text that
//! was filtered once is not changed by a second time. A stream that is filtered piece by piece gives the same text.

#![no_main]

use agentctl::escape;
use agentctl_fuzz::numbers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (cut, _, given) = numbers(data);
    let given = String::from_utf8_lossy(given);
    let field = escape::field(&given);
    assert!(!field.chars().any(char::is_control), "{field:?}");
    assert_eq!(escape::field(&field), field);

    let text = escape::text(&given);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
    assert_eq!(escape::text(&text), text);

    let kept: String = given.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    let mut left = field.chars();
    assert!(kept.chars().all(|c| left.any(|other| other == c)), "{kept:?} in {field:?}");

    let cut = given.floor_char_boundary(cut % (given.len() + 1));
    assert_eq!(format!("{}{}", escape::text(&given[..cut]), escape::text(&given[cut..])), text);
});
