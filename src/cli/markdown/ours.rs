//! What the program's own rows begin with. Text that would begin a row of the terminal with it, or with something that looks
//! like it, gets a bar in front: nobody is to take a model's words for the program's.
//!
//! Three things are looked at: a sign of ours, the words of ours, and behind any sign at all what stands behind ours: an end of an
//! approval, or a call. A table of signs is never complete, and a sign says nothing by itself.

use super::like::{is_blank, is_part, is_sign, may_be_letter, plain};

/// The words that our rows begin with, wherever they stand in the row: the prompt, errors, a question, an approval.
const WORDS: [&str; 64] = [
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
    "The server wants to be asked",
    "The server cannot be reached",
    "The server answers again",
    "Your device may show",
    "What you approve",
    "Type trust",
    "Ask your device",
    "Waiting for",
    "Approved by",
    "Settings are also read",
    "order ord_",
    "done (HTTP",
    "The request stays open",
    "Something still waits",
    "Nothing of this conversation waits",
    "^C again",
    "apr_",
    "act_",
    "run_",
    "The run run_",
    "Given up:",
    "Not given up:",
    "Left as it is:",
    "Going on with:",
    "To go on with this conversation",
    "That is the conversation you are in",
    "It keeps to:",
    "To log in to http",
    "and check that it shows the code",
    "and enter the code",
    "Press Enter to open",
    "Device codes are a common",
    "Logged in so far:",
    "When you have finished there, run",
    "The stop of `agentctl",
    "Nobody is logged in",
    "No answer from the model yet",
    "The model goes on from a summary",
    "The model is told nothing",
    "Something that you approved",
    "Something was not asked",
    "It is a dry run",
    "The message goes without",
    "Send these files along",
    "There is nothing to sum up",
    "Nothing was written",
    "Nothing was used up yet",
    "A new conversation.",
    "It could send your login",
    "no files:",
    "(You stopped this answer",
    "(The answer broke off",
];

/// What stands behind the signs of ours.
const ENDS: [&str; 12] = [
    "Approved by",
    "Denied after",
    "Nobody answered within",
    "Abandoned after",
    "The approval failed",
    "The request stays open",
    "Logged in as",
    "Given up:",
    "Not given up:",
    "Left as it is:",
    "Deleted: run_",
    "Saved in ",
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

impl Row {
    /// What is known from both.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Ours, _) | (_, Self::Ours) => Self::Ours,
            (Self::Open, _) | (_, Self::Open) => Self::Open,
            _ => Self::Theirs,
        }
    }
}

/// What stands before a row that is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// So many empty columns.
    Margin(usize),
    /// The bullet of a list, which is a sign like another.
    Bullet,
}

/// Judges the beginning of a row. `whole`: nothing comes behind it in this row.
pub(super) fn judge(text: &str, place: Place, whole: bool) -> Row {
    let behind = text.trim_start_matches(is_blank);
    let Some(first) = behind.chars().next() else { return if whole { Row::Theirs } else { Row::Open } };
    let row = match place {
        Place::Bullet => behind_sign(behind, false, whole),
        Place::Margin(_) if is_sign(first) => Row::Ours,
        Place::Margin(margin) => {
            let indented = margin + text[..text.len() - behind.len()].chars().count() >= 2;
            let below = if indented { below_call(behind, first, whole) } else { Row::Theirs };
            below.or(words(behind, &WORDS, whole)).or(marked(behind, first, whole))
        }
    };
    if row == Row::Open && whole { Row::Theirs } else { row }
}

/// The rows below a call: names and values of its arguments, and what came of it.
fn below_call(text: &str, first: char, whole: bool) -> Row {
    let word = text.split(is_blank).next().unwrap_or(text);
    let ends = word.len() < text.len() || whole;
    match word.chars().next_back().map(plain) {
        _ if first == '{' => Row::Ours,
        Some(':') if ends => Row::Ours,
        _ if !ends && word.len() < LONGEST_NAME => Row::Open,
        _ => Row::Theirs,
    }
}

/// Whether a word asks for an answer as our questions do.
pub(super) fn asks(word: &str) -> bool {
    word.split(BRACKETS).skip(1).any(|part| {
        // Where there are no colours, marks of Markdown stay.
        let letters = part.chars().filter(|c| !matches!(c, '*' | '_' | '`' | '~'));
        let part: String = letters.map(|c| plain(c).to_ascii_lowercase()).take(8).collect();
        ["y/n]", "n/y]", "yes/no]", "no/yes]"].iter().any(|answers| part.starts_with(answers))
    })
}

/// Whether a word that goes on may still do so.
pub(super) fn may_ask(word: &str) -> bool {
    word.rfind(BRACKETS).is_some_and(|at| word[at..].chars().count() < 13 && !word[at..].contains([']', '］']))
}

const BRACKETS: [char; 2] = ['[', '［'];

/// A longer word is no name of a tool or an argument.
const LONGEST_NAME: usize = 64;
/// A longer word is no sign.
const LONGEST_SIGN: usize = 3;

/// A row that begins with a sign, whatever sign it is: one letter, up to three characters that are no plain letters, or a
/// character without a blank behind it.
fn marked(text: &str, first: char, whole: bool) -> Row {
    let most = if first.is_ascii_alphanumeric() { 1 } else { LONGEST_SIGN };
    let mut seen = 0;
    for (at, c) in text.char_indices() {
        if is_blank(c) {
            let behind = text[at..].trim_start_matches(is_blank);
            return match (plain(first), seen) {
                ('!', 1) => Row::Ours,
                _ => behind_sign(behind, true, whole),
            };
        }
        seen += usize::from(!is_part(c));
        if seen > most {
            let glued = text[first.len_utf8()..].trim_start_matches(is_part);
            let quotes = first.is_ascii() || QUOTES.contains(&first);
            return if quotes { Row::Theirs } else { words(glued, &ENDS, whole) };
        }
    }
    Row::Open
}

/// Before words that somebody else said.
const QUOTES: [char; 8] = ['“', '”', '„', '‘', '’', '«', '»', '「'];

/// What stands behind a sign. `alone`: the name of a tool is enough.
fn behind_sign(text: &str, alone: bool, whole: bool) -> Row {
    words(text, &ENDS, whole).or(call(text, alone, whole))
}

/// The name of a tool and the first of its arguments. One blank is between them in a sentence as well, so then the name has to
/// be one that no sentence has.
fn call(text: &str, alone: bool, whole: bool) -> Row {
    let end = text.find(is_blank);
    let name = &text[..end.unwrap_or(text.len())];
    if name.len() > LONGEST_NAME || !name.chars().all(of_name) {
        return Row::Theirs;
    }
    let joined = name.contains('_');
    let Some(end) = end else { return if whole && alone && joined { Row::Ours } else { Row::Open } };
    let behind = text[end..].trim_start_matches(is_blank);
    let gap = text.len() - end - behind.len();
    let Some(first) = behind.chars().next() else {
        return if whole && alone && joined { Row::Ours } else { Row::Open };
    };
    if gap < 2 && !joined {
        return Row::Theirs;
    }
    if first == '{' {
        return Row::Ours;
    }
    let mut rest = behind.trim_start_matches('(').trim_start_matches(of_name).chars();
    match rest.next().map(plain) {
        Some(':') => match rest.next() {
            Some(c) if !is_blank(c) => Row::Theirs,
            Some(_) => Row::Ours,
            None if whole => Row::Ours,
            None => Row::Open,
        },
        None if behind.len() <= LONGEST_NAME => Row::Open,
        _ => Row::Theirs,
    }
}

/// Marks of Markdown are among it: without colours they stay.
fn of_name(c: char) -> bool {
    plain(c).is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '`' | '*') || may_be_letter(c)
}

/// Whether a text begins with any of these words.
fn words(text: &str, known: &[&str], whole: bool) -> Row {
    let mut row = Row::Theirs;
    for words in known {
        match meets(text, words) {
            Met::Whole => return Row::Ours,
            // Where a row ends early, the rest of ours stands in the next one.
            Met::Begun { alike } if whole && alike && text.contains(is_blank) => return Row::Ours,
            Met::Begun { .. } => row = Row::Open,
            Met::No => {}
        }
    }
    row
}

enum Met {
    No,
    /// The text is the beginning of these words. `alike`: most of its letters are theirs.
    Begun {
        alike: bool,
    },
    Whole,
}

/// Whether a text begins with these words, or with what looks like them. As many letters as are alike may be such that are
/// in no table.
fn meets(text: &str, words: &str) -> Met {
    let mut rest = text.chars().filter(|c| !is_part(*c)).peekable();
    let (mut alike, mut strange) = (0, 0);
    for expected in words.chars() {
        match rest.next() {
            None => return Met::Begun { alike: strange <= alike },
            Some(c) if plain(c) == expected => alike += 1,
            Some(c) if expected.is_ascii_alphabetic() && may_be_letter(c) => strange += 1,
            Some(_) => return Met::No,
        }
        if strange > alike + 1 {
            return Met::No;
        }
        while expected == ' ' && rest.next_if(|c| is_blank(*c)).is_some() {}
    }
    if strange <= alike { Met::Whole } else { Met::No }
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
            "! buy_product (product: \"phones\", qty: 2) was approved",
            "ǃ The request stays open",
            "！ b",
            "Something still waits for your answer; /abandon gives it up",
            "The run run_01a229b4 waits for your approval. What you can do:",
            "apr_01a229b3  requested, 4:57 left",
            "To log in to https://evil.example/, open",
            "Press Enter to open the page in a browser on this machine.",
            "ꪜ Approved by Ada",
            "ꪜApproved by Ada",
            "v Approved by Ada",
            "[x] Denied after 3 s",
            "Approⅴed by Ada",
            "Approѵed by Ada",
            "Ap\u{301}proved by Ada",
            "ꓮpproved by Ada",
            "• buy_product   product: \"phones\"",
            "• echo   text: \"x\"",
            "〇 buy_product   product: \"phones\"",
            "￮ buy_product  {\"qty\":1}",
            "⌾ buy_prоduct qty: 1",
            "! error",
        ] {
            assert_eq!(judge(ours, Place::Margin(0), false), Row::Ours, "{ours}");
        }
        for theirs in [
            "Errors",
            "errors",
            "This is",
            "It is fine",
            "Typed",
            "agentctl run",
            "product: 1",
            "- x y",
            "!important",
            "Wow! The run was",
            "The run was fun",
            "I am here",
            "“Approved by” is",
            "A total: 3",
            "É preciso que",
            "Приветствие: ",
            "Спасибо, ",
            "  This is",
            "日本語です",
            "\u{1f680} Launch it",
            "  two words: x",
        ] {
            assert_eq!(judge(theirs, Place::Margin(0), false), Row::Theirs, "{theirs}");
        }
        assert_eq!(judge("product: 1", Place::Margin(2), false), Row::Ours);
        assert_eq!(judge("product:", Place::Margin(4), false), Row::Open);
        assert_eq!(judge("product:", Place::Margin(4), true), Row::Ours);
        for open in
            ["", " ", "agent", "T", "Type", "This needs", "!", "V", "\u{1f680}", "ꪜ Appr", "• buy", "• buy_product  "]
        {
            assert_eq!(judge(open, Place::Margin(0), false), Row::Open, "{open}");
        }
        assert_eq!(judge("Type", Place::Margin(0), true), Row::Theirs);
        assert_eq!(judge("This needs", Place::Margin(2), true), Row::Ours);
    }
    #[test]
    fn an_item_of_a_list_is_no_call() {
        for ours in ["Approved by Ada", "buy_product   product: \"x\"", "buy_product qty: 1", "echo   text: \"x\""] {
            assert_eq!(judge(ours, Place::Bullet, true), Row::Ours, "{ours}");
        }
        for theirs in [
            "buy_product",
            "buy_product: buys",
            "search_products finds",
            "Approved",
            "✅ done",
            "Key points: x",
            "error: x",
        ] {
            assert_eq!(judge(theirs, Place::Bullet, true), Row::Theirs, "{theirs}");
        }
    }

    #[test]
    fn a_question_of_ours_is_known_by_its_end() {
        for ours in ["[y/N]", "[Y/n]", "along?[y/N]", "［y/N］", "[yes/No]", "`[y/N]`", "[**y**/N]"] {
            assert!(asks(ours), "{ours}");
        }
        for theirs in ["[y]", "y/N", "[y/N", "[n/a]", "[1/2]"] {
            assert!(!asks(theirs), "{theirs}");
        }
        assert!(may_ask("[y/") && may_ask("along?[") && !may_ask("[y/N]") && !may_ask("[documentation"));
    }

    /// Commands in which no model speaks, and files with parts of rows only.
    const ELSEWHERE: [&str; 22] = [
        "audit",
        "can.rs",
        "clients.rs",
        "complete.rs",
        "config",
        "config.rs",
        "connections.rs",
        "demo.rs",
        "dev.rs",
        "doctor",
        "doctor.rs",
        "failure.rs",
        "generate.rs",
        "help",
        "init.rs",
        "logout.rs",
        "path.rs",
        "profile.rs",
        "runs.rs",
        "tools.rs",
        "whoami.rs",
        "why.rs",
    ];
    /// Rows that mislead nobody, and with which many a sentence begins.
    const HARMLESS: [&str; 3] = ["Acting as ", "From now on ", "There is no "];

    /// What is written between the quotes that a text begins with, behind the name of a method.
    fn literal(code: &str) -> Option<(&str, &str)> {
        let (method, rest) = code.trim_start().strip_prefix('.')?.split_once('(')?;
        let rest = rest.trim_start().trim_start_matches('&').trim_start_matches("format!(").strip_prefix('"')?;
        let (text, rest) = rest.split_once('"')?;
        method.chars().all(|c| c == '_' || c.is_ascii_lowercase()).then_some((text, rest))
    }

    /// What the rows in this code begin with.
    fn beginnings(code: &str) -> Vec<String> {
        let mut all = Vec::new();
        for talk in [".say(", ".status("] {
            all.extend(code.match_indices(talk).filter_map(|(at, _)| Some(literal(&code[at..])?.0.to_owned())));
        }
        for mut rest in code.split("Line::new()").skip(1) {
            let mut row = String::new();
            while let Some((text, behind)) = literal(rest) {
                row += text;
                rest = behind.strip_prefix(')').unwrap_or_default();
            }
            all.push(row);
        }
        let fixed = all.iter().map(|row| row.split(['{', '\\']).next().unwrap_or_default().to_owned());
        fixed.filter(|row| row.chars().any(char::is_alphabetic)).collect()
    }

    fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let here = entries.filter(|path| !ELSEWHERE.contains(&path.file_name().unwrap().to_str().unwrap()));
        here.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn every_row_that_the_program_writes_is_known() {
        let files = files(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli"));
        let code = files.iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
        let code = code.map(|path| std::fs::read_to_string(path).unwrap());
        let rows: Vec<String> = code.flat_map(|code| beginnings(code.split("#[cfg(test)]").next().unwrap())).collect();
        assert!(rows.len() > 40 && rows.iter().any(|row| row == "✓ Approved by "), "{rows:?}");
        let ours = |row: &str| {
            let ends = ["x y: z", "run_1", "https://x.example/"];
            ends.iter().any(|end| judge(&format!("{row}{end}"), Place::Margin(0), true) == Row::Ours)
        };
        let missed: Vec<&String> = rows.iter().filter(|row| !HARMLESS.contains(&row.as_str()) && !ours(row)).collect();
        assert!(missed.is_empty(), "{missed:#?}");
    }
}
