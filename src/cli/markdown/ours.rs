//! What the program's own rows begin with. Text that would begin a row of the terminal with it, or with something that looks
//! like it, gets a bar in front: nobody is to take a model's words for the program's.

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

/// The words that our rows begin with, wherever they stand in the row: the prompt, errors, a question, an approval.
const WORDS: [&str; 20] = [
    "agentctl>",
    "error:",
    "warning:",
    "hint:",
    "mend:",
    "This needs your approval",
    "Check that it shows",
    "It goes to",
    "Asked by",
    "It is given up",
    "It waits",
    "The server did not return",
    "Your device may show",
    "What you approve",
    "Type trust",
    "Ask your device",
    "Waiting for",
    "Approved by",
    "Settings are also read",
    "order ord_",
];

/// What is known of a row by its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// It may still become one of ours.
    Open,
    /// It looks like one of ours.
    Ours,
    /// It cannot be taken for one.
    Theirs,
}

/// Judges the beginning of a row, behind `margin` empty columns. `whole`: nothing comes behind it in this row.
pub(super) fn judge(text: &str, margin: usize, whole: bool) -> Row {
    let text_behind = text.trim_start_matches(is_blank);
    let indented = margin + text[..text.len() - text_behind.len()].chars().count() >= 2;
    let text = text_behind;
    let Some(first) = text.chars().next() else { return if whole { Row::Theirs } else { Row::Open } };
    if is_sign(first) {
        return Row::Ours;
    }
    let mut open = false;
    for words in WORDS {
        match meets(text, words) {
            Met::Whole => return Row::Ours,
            // Where a row ends early, the rest of ours stands in the next one.
            Met::Begun if whole && text.contains(is_blank) => return Row::Ours,
            Met::Begun => open = true,
            Met::No => {}
        }
    }
    // The rows below a call: names and values of its arguments, and what came of it.
    if indented {
        let word = text.split(is_blank).next().unwrap_or(text);
        if first == '{' || (word.len() < text.len() || whole) && word.chars().next_back().map(plain) == Some(':') {
            return Row::Ours;
        }
        open |= word.len() == text.len() && word.len() < LONGEST_NAME;
    }
    if open && !whole { Row::Open } else { Row::Theirs }
}

/// A longer word is no name of an argument.
const LONGEST_NAME: usize = 64;

enum Met {
    No,
    /// The text is the beginning of these words.
    Begun,
    Whole,
}

/// Whether a text begins with these words, or with what looks like them.
fn meets(text: &str, words: &str) -> Met {
    let mut rest = text.chars().peekable();
    for expected in words.chars() {
        match rest.next().map(plain) {
            None => return Met::Begun,
            Some(c) if c == expected => {}
            Some(_) => return Met::No,
        }
        while expected == ' ' && rest.next_if(|c| is_blank(*c)).is_some() {}
    }
    Met::Whole
}

fn is_sign(c: char) -> bool {
    let c = u32::from(c);
    c >= SIGNS[0].0 && SIGNS.iter().chain([&BLOCKS]).any(|(first, last)| (*first..=*last).contains(&c))
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\u{2800}' || c.is_whitespace()
}

/// The plain letter or sign that this one looks like.
fn plain(c: char) -> char {
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
        'у' => 'y',
        'А' | 'Α' => 'A',
        'С' | 'Ϲ' | 'Ⅽ' => 'C',
        'І' | 'Ι' | 'Ⅰ' | 'Ӏ' => 'I',
        'Т' | 'Τ' => 'T',
        'Ү' | 'Υ' => 'Y',
        '∶' | '꞉' | 'ː' | '։' | '׃' | '︓' => ':',
        '›' | '❯' | '❭' | '⟩' | '〉' | '˃' | 'ᐳ' | '》' | '»' | '≻' | '➤' | '▶' | '►' => '>',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_ours_is_found() {
        for ours in [
            "✓",
            "✗ no",
            "● buy",
            "✔",
            "☑",
            "✅",
            "🗸",
            "√",
            "⏺",
            "⬤",
            "⚫",
            "🔴",
            "❌",
            "✘",
            "✖",
            "☒",
            "×",
            "⨯",
            "○",
            "◉",
            "🔵",
            "🟢",
            "⠋ Waiting",
            "· default",
            "\u{1fbb1}",
            "agentctl> yes",
            "аgentсtl> yes",
            "agentctl❯",
            "ａｇｅｎｔｃｔｌ＞",
            "𝚊𝚐𝚎𝚗𝚝𝚌𝚝𝚕>",
            "error: x",
            "error： x",
            "  hint: x",
            "\u{3000}This needs your approval.",
            "\u{2003}Check  that it\u{a0}shows:",
            "Type trust to",
            "\u{2800}\u{2800}product: 1",
            "  {\"outcome\"",
        ] {
            assert_eq!(judge(ours, 0, false), Row::Ours, "{ours}");
        }
        for theirs in [
            "Errors",
            "errors",
            "This is",
            "It is fine",
            "Typed",
            "agentctl run",
            "product: 1",
            "- x",
            "V",
            "  This is",
            "日本",
            "\u{1f680}",
            "  two words: x",
        ] {
            assert_eq!(judge(theirs, 0, false), Row::Theirs, "{theirs}");
        }
        assert_eq!(judge("product: 1", 2, false), Row::Ours);
        assert_eq!(judge("product:", 4, false), Row::Open);
        assert_eq!(judge("product:", 4, true), Row::Ours);
        for open in ["", " ", "agent", "T", "Type", "This needs"] {
            assert_eq!(judge(open, 0, false), Row::Open, "{open}");
        }
        assert_eq!(judge("Type", 0, true), Row::Theirs);
        assert_eq!(judge("This needs", 2, true), Row::Ours);
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(SIGNS.iter().all(|(first, last)| first <= last));
        assert!(SIGNS.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}
