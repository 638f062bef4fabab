//! Values nobody can guess.

use aws_lc_rs::rand;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// The letters of a user code: no vowels, so that no word can come out, and nothing that is easily misread (RFC 8628 §6.1).
const USER_CODE_LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// 256 random bits in a form that fits a URL, a form and a JSON string.
pub(super) fn token() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes::<32>())
}

/// A user code such as `WDJB-MJHT`: 34 random bits.
pub(super) fn user_code() -> String {
    let mut code = String::with_capacity(9);
    while code.len() < 9 {
        for byte in bytes::<16>() {
            // 240 is the largest multiple of 20 in a byte: what lies above would favour the first letters.
            if byte < 240 && code.len() < 9 {
                code.push(char::from(USER_CODE_LETTERS[usize::from(byte) % 20]));
                if code.len() == 4 {
                    code.push('-');
                }
            }
        }
    }
    code
}

fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if rand::fill(&mut bytes).is_err() {
        // A machine without a source of chance: every code and key would be the same, so nothing may go on.
        std::process::abort();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_codes_have_the_form_people_can_read_aloud() {
        for _ in 0..50 {
            let code = user_code();
            assert_eq!(code.len(), 9);
            assert_eq!(&code[4..5], "-");
            assert!(code.bytes().all(|byte| byte == b'-' || USER_CODE_LETTERS.contains(&byte)));
        }
        assert_ne!(token(), token());
        assert_eq!(token().len(), 43);
    }
}
