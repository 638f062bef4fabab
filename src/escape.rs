//! Text from outside becomes text that is safe on a terminal.
//!
//! Models, tools, servers and files may say anything: escape sequences that rewrite what was already printed, marks that
//! turn the reading direction round, characters of no width that hide the rest of a name. Nothing here tries to understand
//! an escape sequence; its introducer is shown as a visible symbol, so that the rest of it is ordinary text. That also
//! makes it safe to filter a stream piece by piece.

use std::{borrow::Cow, fmt::Write as _};

use unicode_width::UnicodeWidthChar as _;

/// Makes a one-line field of `text`: every control character, tabs and newlines included, every mark of direction, every
/// character without width, every blank but the space, and every accent that stands on no letter becomes visible.
#[must_use]
pub fn field(text: &str) -> Cow<'_, str> {
    filter(text, hidden(text))
}

/// Each character of a one-line field, and whether it would be hidden there.
pub fn hidden(text: &str) -> impl Iterator<Item = (char, bool)> + Clone + '_ {
    // A mark belongs to the letter before it. On anything else it changes what is not its own: a quotation mark, a space,
    // the sign in front of the field.
    let mut carries = false;
    text.chars().map(move |c| {
        let mark = c.width() == Some(0);
        let hides = c.is_control() || is_invisible(c) || is_blank(c) || crosses_out(c) || (mark && !carries);
        carries = !hides && (c.is_alphanumeric() || mark);
        (c, hides)
    })
}

/// Makes running text safe: newlines and tabs stay, and what emoji need; everything else as in [`field`].
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    let hides = |c: char| (c.is_control() && c != '\n' && c != '\t') || (is_invisible(c) && !is_of_emoji(c));
    filter(text, text.chars().map(|c| (c, hides(c))))
}

/// The beginning and the end of a text that is longer than `most` characters. For messages only: what a person is to
/// decide about is never shortened.
#[must_use]
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    let length = text.chars().count();
    if length <= most {
        return Cow::Borrowed(text);
    }
    // The end of a message often says what is wrong with the value before it.
    let (first, last) = (most - most / 3, most / 3);
    Cow::Owned(text.chars().take(first).chain(['…']).chain(text.chars().skip(length - last)).collect())
}

/// A fence of Markdown around `text` that nothing in it can close.
#[must_use]
pub fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

fn filter(text: &str, chars: impl Iterator<Item = (char, bool)> + Clone) -> Cow<'_, str> {
    if chars.clone().all(|(_, bad)| !bad) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for (c, bad) in chars {
        if !bad {
            safe.push(c);
        } else if c < ' ' {
            // The block "Control Pictures" has one visible symbol for each C0 character, in the same order.
            safe.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'));
        } else if c == '\u{7f}' {
            safe.push('\u{2421}');
        } else {
            let _ = write!(safe, "<U+{:04X}>", u32::from(c));
        }
    }
    Cow::Owned(safe)
}

/// Nothing a reader would see: what Unicode lists as `Default_Ignorable_Code_Point` (DerivedCoreProperties.txt: marks of
/// direction, joiners, variation selectors, tags, fillers, controls of notes and shorthand), and besides the separators of
/// lines and paragraphs, the marks of annotations and the controls of hieroglyphs.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// What looks like a space, or like nothing, and is none: the rest of Unicode's `Zs` (DerivedGeneralCategory.txt), the empty
/// pattern of Braille, the empty note head, fillers of scripts, blank hieroglyphs. What is for private use looks like whatever
/// a font makes of it.
fn is_blank(c: char) -> bool {
    matches!(c,
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{2800}' | '\u{fffc}'
        | '\u{13440}'..='\u{13455}' | '\u{16fe4}' | '\u{1d159}' | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}

/// Marks that strike a letter or a digit out, or put a sign around it: a 1 becomes a 7, a 2 a prohibition.
fn crosses_out(c: char) -> bool {
    matches!(c, '\u{334}'..='\u{338}' | '\u{488}'..='\u{489}' | '\u{1abe}' | '\u{20d0}'..='\u{20f0}' | '\u{a670}'..='\u{a672}')
}

/// What emoji are made of: the joiner, and whether a character is shown as a picture or as text. In running text they hide
/// nothing.
fn is_of_emoji(c: char) -> bool {
    matches!(c, '\u{200d}' | '\u{fe0e}' | '\u{fe0f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_messages_keep_both_ends() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened(&format!("{}{}", "ä".repeat(50), "z".repeat(50)), 6), "ääää…zz");
    }

    #[test]
    fn a_fence_cannot_be_closed_from_inside() {
        assert_eq!((fence("a"), fence("```` a ``")), ("```".to_owned(), "`````".to_owned()));
    }

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(field("2 phones, 900.00 €"), Cow::Borrowed(_)));
    }

    #[test]
    fn escapes_become_visible() {
        assert_eq!(field("a\x1b[31mb\rc\n\td\x7f"), "a␛[31mb␍c␊␉d␡");
        assert_eq!(text("a\x1b[31mb\rc\n\td"), "a␛[31mb␍c\n\td");
        assert_eq!(field("\u{9b}31m \u{202e}x \u{200d}"), "<U+009B>31m <U+202E>x <U+200D>");
        assert_eq!(text("👩\u{200d}💻 ❤\u{fe0f}"), "👩\u{200d}💻 ❤\u{fe0f}");
        assert_eq!(field("pho\u{fe0f}nes"), "pho<U+FE0F>nes");
    }

    /// `Zs`, `Zl` and `Zp` of Unicode 14 without the space: `perl -e 'for (0..0x10ffff) { printf "%x ", $_ if chr =~ /\p{Z}/ }'`.
    /// Behind them what is drawn as nothing.
    const BLANK: &str = "\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}\u{2007}\u{2008}\u{2009}\u{200a}\
                         \u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{2800}\u{3164}\u{115f}\u{ffa0}\u{1d159}\u{13441}";

    #[test]
    fn every_blank_but_the_space_is_shown() {
        for c in BLANK.chars() {
            assert_eq!(field(&format!("a {c}b")), format!("a <U+{:04X}>b", u32::from(c)));
        }
        assert_eq!(text("prêt\u{a0}!"), "prêt\u{a0}!", "running text may be set as its language wants it");
    }

    #[test]
    fn a_mark_stands_on_a_letter_or_is_shown() {
        assert_eq!(field("cafe\u{301}s, e\u{302}\u{301}, กิน, हिन्दी"), "cafe\u{301}s, e\u{302}\u{301}, กิน, हिन्दी");
        assert_eq!(field("\"\u{301}\u{302}x"), "\"<U+0301><U+0302>x");
        assert_eq!(field("\u{301}x \u{308} 1\u{338}0 2\u{20e0}"), "<U+0301>x <U+0308> 1<U+0338>0 2<U+20E0>");
    }

    /// `Default_Ignorable_Code_Point` of Unicode 14, as another program lists it:
    /// `perl -e 'for (0..0x10ffff) { printf "%x ", $_ if chr =~ /\p{DI}/ }'`.
    const IGNORABLE: [(u32, u32); 17] = [
        (0xad, 0xad),
        (0x34f, 0x34f),
        (0x61c, 0x61c),
        (0x115f, 0x1160),
        (0x17b4, 0x17b5),
        (0x180b, 0x180f),
        (0x200b, 0x200f),
        (0x202a, 0x202e),
        (0x2060, 0x206f),
        (0x3164, 0x3164),
        (0xfe00, 0xfe0f),
        (0xfeff, 0xfeff),
        (0xffa0, 0xffa0),
        (0xfff0, 0xfff8),
        (0x1bca0, 0x1bca3),
        (0x1d173, 0x1d17a),
        (0xe0000, 0xe0fff),
    ];

    #[test]
    fn whatever_unicode_lets_programs_ignore_is_shown() {
        for (from, to) in IGNORABLE {
            for c in (from..=to).filter_map(char::from_u32) {
                assert_eq!(field(&format!("a{c}b")), format!("a<U+{:04X}>b", u32::from(c)));
                let kept = matches!(c, '\u{200d}' | '\u{fe0e}' | '\u{fe0f}');
                assert_eq!(text(&format!("a{c}b")).contains(c), kept, "U+{:04X}", u32::from(c));
            }
        }
    }

    /// Text of which every third character is one that terminals or readers mind.
    fn any_text() -> impl Strategy<Value = String> {
        const MINDED: [(char, char); 6] = [
            ('\0', '\u{a0}'),
            ('\u{300}', '\u{36f}'),
            ('\u{2000}', '\u{206f}'),
            ('\u{3000}', '\u{3000}'),
            ('\u{fe00}', '\u{fe0f}'),
            ('\u{e0000}', '\u{e007f}'),
        ];
        let minded = prop::sample::select(&MINDED[..]).prop_flat_map(|(from, to)| proptest::char::range(from, to));
        let one = prop_oneof![2 => any::<char>(), 1 => minded];
        proptest::collection::vec(one, 0..80).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_comes_out_and_what_is_visible_stays(given in any_text(), cut in any::<usize>()) {
            let unseen = |c: char| c.is_control() || is_invisible(c);
            let line = field(&given);
            prop_assert!(!line.chars().any(|c| unseen(c) || is_blank(c) || crosses_out(c)), "{:?}", line);
            prop_assert!(!hidden(&line).any(|(_, hides)| hides), "{:?}", line);
            let running = text(&given);
            prop_assert!(!running.chars().any(|c| unseen(c) && !"\n\t\u{200d}\u{fe0e}\u{fe0f}".contains(c)), "{:?}", running);

            // Once is enough, and a stream may be filtered piece by piece.
            prop_assert_eq!(field(&line), line.clone());
            prop_assert_eq!(text(&running), running.clone());
            let cut = given.char_indices().map(|(at, _)| at).nth(cut % (given.chars().count() + 1)).unwrap_or(given.len());
            prop_assert_eq!(format!("{}{}", text(&given[..cut]), text(&given[cut..])), running);

            // Each character that was visible is there, in its order; each that was not has a visible name.
            let named = hidden(&given).map(|(c, hides)| if hides { field(&c.to_string()).into_owned() } else { c.to_string() });
            prop_assert_eq!(named.collect::<String>(), line);
        }
    }
}
