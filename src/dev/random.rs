//! Values nobody can guess.

use aws_lc_rs::rand;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};

/// The letters of a user code: no vowels, so that no word can come out, and nothing that is easily misread (RFC 8628 §6.1).
const USER_CODE_LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Crockford's alphabet: the digits and the letters, without I, L, O and U.
pub(super) const ULID_LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

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

/// A ULID: 48 bits of time in milliseconds and 80 random ones, in 26 letters of five bits each.
pub(super) fn ulid(now: DateTime<Utc>) -> String {
    let random = bytes::<10>().iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    let millis = u128::try_from(now.timestamp_millis()).unwrap_or_default() & 0xffff_ffff_ffff;
    let number = millis << 80 | random;
    (0..26).rev().map(|place| char::from(ULID_LETTERS[(number >> (5 * place)) as usize & 31])).collect()
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

    #[test]
    fn ulids_begin_with_the_time() {
        let now = DateTime::from_timestamp(1_469_918_176, 385_000_000).unwrap();
        assert_eq!(&ulid(now)[..10], "01ARYZ6S41", "the example of the specification");
        assert_eq!(ulid(now).len(), 26);
        assert_ne!(ulid(now), ulid(now));
    }
}
