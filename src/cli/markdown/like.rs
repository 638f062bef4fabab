//! What looks like what: the signs of the program's own rows in all their forms, and the plain letter behind a lookalike.

use unicode_width::UnicodeWidthChar as _;

/// Signs in front of what was done, refused, begun, waited for or used up, and all of Unicode that looks like them: check
/// marks, crosses, circles, the pictures of a spinner.
const SIGNS: [(u32, u32); 58] = [
    (0xb7, 0xb7),
    (0xd7, 0xd7),
    (0x2219, 0x221c),
    (0x2297, 0x229b),
    (0x22a0, 0x22a1),
    (0x22c5, 0x22c5),
    (0x237b, 0x237b),
    (0x23f8, 0x23fa),
    (0x24cd, 0x24cd),
    (0x24e7, 0x24e7),
    (0x2573, 0x2573),
    (0x25c9, 0x25d9),
    (0x25ef, 0x25ef),
    (0x2609, 0x2609),
    (0x2610, 0x2613),
    (0x2686, 0x2689),
    (0x26aa, 0x26ac),
    (0x26cc, 0x26cc),
    (0x26d2, 0x26d2),
    (0x26d4, 0x26d4),
    (0x2705, 0x2705),
    (0x2713, 0x2718),
    (0x2731, 0x2731),
    (0x274c, 0x274e),
    (0x2754, 0x2757),
    (0x2795, 0x2797),
    (0x27d9, 0x27d9),
    (0x2801, 0x28ff),
    (0x2981, 0x2981),
    (0x29b8, 0x29bf),
    (0x29ed, 0x29f3),
    (0x2a00, 0x2a02),
    (0x2a2f, 0x2a30),
    (0x2a34, 0x2a37),
    (0x2a57, 0x2a58),
    (0x2b24, 0x2b24),
    (0x2b2c, 0x2b2f),
    (0x2b55, 0x2b58),
    (0x2bbd, 0x2bbf),
    (0x2bc3, 0x2bc4),
    (0x30fb, 0x30fb),
    (0xa537, 0xa537),
    (0x10102, 0x10102),
    (0x1f10d, 0x1f10f),
    (0x1f14b, 0x1f14b),
    (0x1f17d, 0x1f17e),
    (0x1f187, 0x1f187),
    (0x1f197, 0x1f197),
    (0x1f311, 0x1f31a),
    (0x1f44c, 0x1f44d),
    (0x1f518, 0x1f518),
    (0x1f534, 0x1f535),
    (0x1f5d9, 0x1f5d9),
    (0x1f5f3, 0x1f5f9),
    (0x1f6ab, 0x1f6ab),
    (0x1f784, 0x1f78b),
    (0x1f7a8, 0x1f7ae),
    (0x1f7e0, 0x1f7eb),
];
/// Legacy computing signs: marks and crosses cut out of a block.
const BLOCKS: (u32, u32) = (0x1fbb1, 0x1fbbf);

pub(super) fn is_sign(c: char) -> bool {
    let c = u32::from(c);
    c >= SIGNS[0].0 && SIGNS.iter().chain([&BLOCKS]).any(|(first, last)| (*first..=*last).contains(&c))
}

pub(super) fn is_blank(c: char) -> bool {
    c == ' ' || c == '\u{2800}' || c.is_whitespace()
}

/// Whether nothing of it is seen but a change to the character before it.
pub(super) fn is_part(c: char) -> bool {
    !c.is_ascii() && c.width() == Some(0)
}

/// Whether it may look like a letter that is not in the table: no table is complete.
pub(super) fn may_be_letter(c: char) -> bool {
    !c.is_ascii() && c.width() == Some(1) && c.is_alphanumeric()
}

/// The plain letter or sign that this one looks like.
pub(super) fn plain(c: char) -> char {
    if c.is_ascii() {
        return c;
    }
    let of = |code: u32| char::from_u32(code).unwrap_or(c);
    match c {
        _ if is_blank(c) => ' ',
        '！'..='～' => of(u32::from(c) - 0xfee0),
        // Mathematical letters: fourteen alphabets, upper case and lower.
        '\u{1d400}'..='\u{1d6a3}' => match (u32::from(c) - 0x1d400) % 52 {
            letter @ 0..26 => of(u32::from('A') + letter),
            letter => of(u32::from('a') + letter - 26),
        },
        'а' | 'ɑ' | 'α' => 'a',
        'с' | 'ϲ' | 'ⅽ' => 'c',
        'ԁ' | 'ⅾ' => 'd',
        'е' | 'ҽ' => 'e',
        'ɡ' | 'ց' => 'g',
        'һ' => 'h',
        'і' | 'ı' | 'ⅰ' => 'i',
        'ⅼ' | 'ӏ' | '∣' | 'ǀ' => 'l',
        'ո' => 'n',
        'о' | 'ο' | 'օ' => 'o',
        'р' | 'ρ' => 'p',
        'ѕ' => 's',
        'ԝ' | 'ѡ' => 'w',
        'ѵ' | 'ⅴ' | 'ν' | 'ᴠ' => 'v',
        'у' => 'y',
        'А' | 'Α' => 'A',
        'С' | 'Ϲ' | 'Ⅽ' => 'C',
        'І' | 'Ι' | 'Ⅰ' | 'Ӏ' => 'I',
        'Ν' => 'N',
        'Т' | 'Τ' => 'T',
        'Ү' | 'Υ' => 'Y',
        'ǃ' | 'ⵑ' | '﹗' | '‼' | '⁉' | 'ꜝ' | '︕' => '!',
        '⁄' | '∕' | '╱' => '/',
        '∶' | '꞉' | 'ː' | '։' | '׃' | '︓' => ':',
        '›' | '❯' | '❭' | '⟩' | '〉' | '˃' | 'ᐳ' | '》' | '»' | '≻' | '➤' | '▶' | '►' => '>',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(SIGNS.iter().all(|(first, last)| first <= last));
        assert!(SIGNS.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}
