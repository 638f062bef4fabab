//! What the fuzz targets share.

/// An input of several parts, which a line `%%` separates so that a seed can be read and written by hand. A part that is
/// missing is empty; the last one has the rest.
#[must_use]
pub fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    const LINE: &[u8] = b"\n%%\n";
    let mut rest = data;
    let mut parts = [&data[..0]; N];
    for (number, part) in parts.iter_mut().enumerate() {
        let end = rest.windows(LINE.len()).position(|window| window == LINE).filter(|_| number + 1 < N);
        *part = &rest[..end.unwrap_or(rest.len())];
        rest = end.map_or(&[], |end| &rest[end + LINE.len()..]);
    }
    parts
}

/// The same as text. What is no UTF-8 becomes a replacement character, as where the program reads text from outside.
#[must_use]
pub fn texts<const N: usize>(data: &[u8]) -> [String; N] {
    parts::<N>(data).map(|part| String::from_utf8_lossy(part).into_owned())
}

/// The first two bytes as numbers, and what follows: for targets that cut a text into pieces.
#[must_use]
pub fn numbers(data: &[u8]) -> (usize, usize, &[u8]) {
    match data {
        [one, other, rest @ ..] => (usize::from(*one), usize::from(*other), rest),
        _ => (1, 1, data),
    }
}
