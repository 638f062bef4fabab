//! An answer of the model on a terminal: nothing but printable characters, tabs, line ends and our own colours is written,
//! without colours not even these, and the same characters however the answer is cut into pieces. Where lines break may
//! differ, and with them the marks of a quotation: a word that is being received is not held back.

#![no_main]

use agentctl::cli::rendered;
use agentctl_fuzz::numbers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (size, width, text) = numbers(data);
    let text = String::from_utf8_lossy(text);
    let plain = rendered(&text, size, width, false);
    let is_control = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!plain.chars().any(is_control), "{plain:?}");

    let visible = |text: &str| text.chars().filter(|c| !c.is_whitespace() && *c != '│').collect::<String>();
    assert_eq!(visible(&rendered(&text, usize::MAX, width, false)), visible(&plain));

    let coloured = rendered(&text, size, width, true);
    let mut rest = coloured.as_str();
    while let Some(at) = rest.find(is_control) {
        rest = rest[at..].strip_prefix("\u{1b}[").unwrap_or_else(|| panic!("{coloured:?}"));
        rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest = rest.strip_prefix('m').unwrap_or_else(|| panic!("{coloured:?}"));
    }
});
