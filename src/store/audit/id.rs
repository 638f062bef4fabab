//! The id of a log. It tells whoever has the key that the log was begun with it, so that a log which somebody else wrote from
//! its first line on, or whose seals were taken out, is not sealed as if it were ours.

use aws_lc_rs::hmac;

use super::{Error, chain::hex};
use crate::store::seal::{self, Root};

/// Bytes of either half.
const HALF: usize = 8;

/// A new one: random bytes, and the beginning of their HMAC-SHA-256, in hexadecimal.
pub(super) fn mint(root: &Root) -> Result<String, Error> {
    let random = hex(&seal::random::<HALF>()?);
    let mac = mac(root, &random)?;
    Ok(random + &mac)
}

/// Whether a log of that id was begun with this key.
pub(super) fn is_ours(root: &Root, id: &str) -> Result<bool, Error> {
    let Some((random, rest)) = id.split_at_checked(2 * HALF) else { return Ok(false) };
    Ok(mac(root, random)? == rest)
}

fn mac(root: &Root, random: &str) -> Result<String, Error> {
    Ok(hex(&hmac::sign(&root.derive("audit log id", random)?, b"").as_ref()[..HALF]))
}
