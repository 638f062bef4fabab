//! Colours inside a block of code whose language is named: comments, texts, numbers and the words of the language.
//!
//! It decides from the fewest characters, like everything here, and knows only what those four look like. Libraries for this
//! want whole lines, bring a grammar for each language, and would read what a model wrote with somebody else's regular
//! expressions; wrong colours in a corner of a language are the smaller evil.

use anstyle::{AnsiColor, Style};

use super::inline::CODE;

/// Comments.
const COMMENT: Style = Style::new().dimmed();
/// Texts.
const TEXT: Style = AnsiColor::Green.on_default();
/// Numbers and constants.
const VALUE: Style = AnsiColor::Yellow.on_default();
/// Words of the language.
const KEYWORD: Style = AnsiColor::Magenta.on_default();
/// A word that is longer is shown before its end.
const LONGEST_WORD: usize = 64;

/// What begins at a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    /// A comment to the end of the line.
    Rest,
    /// The same, only where a word may begin: `#` of a shell.
    RestAfterSpace,
    /// A comment up to this mark.
    Comment(&'static str),
    /// A text up to this mark or the end of its line, in which a backslash takes the next character along.
    Text(&'static str),
    /// The same without backslashes.
    Raw(&'static str),
    /// A text up to this mark, over several lines.
    Long(&'static str),
}

/// What is known of a language.
#[derive(Debug)]
struct Language {
    /// How fences call it.
    names: &'static [&'static str],
    /// Longer marks before those that begin them.
    marks: &'static [(&'static str, Span)],
    /// Its words, with a space between them.
    keywords: &'static str,
    /// Its constants, likewise.
    values: &'static str,
    /// Keywords may be written large as well as small.
    any_case: bool,
}

const C_LIKE: &[(&str, Span)] =
    &[("//", Span::Rest), ("/*", Span::Comment("*/")), ("\"", Span::Text("\"")), ("'", Span::Text("'"))];
const WITH_BACKQUOTES: &[(&str, Span)] = &[
    ("//", Span::Rest),
    ("/*", Span::Comment("*/")),
    ("\"", Span::Text("\"")),
    ("'", Span::Text("'")),
    ("`", Span::Long("`")),
];
const SHELL: &[(&str, Span)] = &[("#", Span::RestAfterSpace), ("\"", Span::Text("\"")), ("'", Span::Raw("'"))];

const LANGUAGES: &[Language] = &[
    Language {
        names: &["sh", "bash", "zsh", "shell", "console"],
        marks: SHELL,
        keywords: "if then else elif fi for in do done while until case esac function return exit export local \
            set source",
        values: "true false",
        any_case: false,
    },
    Language {
        names: &["python", "py"],
        marks: &[
            ("#", Span::Rest),
            ("\"\"\"", Span::Long("\"\"\"")),
            ("'''", Span::Long("'''")),
            ("\"", Span::Text("\"")),
            ("'", Span::Text("'")),
        ],
        keywords: "and as assert async await break class continue def del elif else except finally for from \
            global if import in is lambda nonlocal not or pass raise return try while with yield match \
            case",
        values: "True False None",
        any_case: false,
    },
    Language {
        names: &["rust", "rs"],
        // A single quote is a lifetime as often as a character.
        marks: &[("//", Span::Rest), ("/*", Span::Comment("*/")), ("\"", Span::Long("\""))],
        keywords: "as async await break const continue crate dyn else enum extern fn for if impl in let loop \
            match mod move mut pub ref return self Self static struct super trait type unsafe use where \
            while",
        values: "true false None Some Ok Err",
        any_case: false,
    },
    Language {
        names: &["javascript", "js", "typescript", "ts", "jsx", "tsx"],
        marks: WITH_BACKQUOTES,
        keywords: "async await break case catch class const continue default delete do else enum export extends \
            finally for from function if implements import in instanceof interface let new of return \
            static switch this throw try type typeof var while yield",
        values: "true false null undefined",
        any_case: false,
    },
    Language {
        names: &["c", "cpp", "c++", "h", "java", "kotlin", "kt", "swift", "csharp", "cs", "c#"],
        marks: C_LIKE,
        keywords: "auto break case catch class const continue default do else enum extends final for fun func \
            if implements import in include int interface let namespace new override package private \
            protected public return static struct switch template this throw try typedef using val var \
            virtual void while",
        values: "true false null nullptr NULL nil",
        any_case: false,
    },
    Language {
        names: &["go", "golang"],
        marks: WITH_BACKQUOTES,
        keywords: "break case chan const continue default defer else fallthrough for func go goto if import \
            interface map package range return select struct switch type var",
        values: "true false nil iota",
        any_case: false,
    },
    Language {
        names: &["json", "jsonc", "jsonl"],
        marks: &[("//", Span::Rest), ("\"", Span::Text("\""))],
        keywords: "",
        values: "true false null",
        any_case: false,
    },
    Language {
        names: &["toml", "yaml", "yml", "ini"],
        marks: &[
            ("#", Span::RestAfterSpace),
            ("\"\"\"", Span::Long("\"\"\"")),
            ("\"", Span::Text("\"")),
            ("'", Span::Raw("'")),
        ],
        keywords: "",
        values: "true false null",
        any_case: false,
    },
    Language {
        names: &["sql"],
        marks: &[("--", Span::Rest), ("/*", Span::Comment("*/")), ("'", Span::Raw("'"))],
        keywords: "select from where insert into values update set delete create table index drop alter join \
            left inner outer on as and or not group order by having limit union primary key references \
            begin commit",
        values: "null true false",
        any_case: true,
    },
];

/// Reads the code of one block piece by piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer {
    language: &'static Language,
    /// What is open, if anything is.
    open: Option<Span>,
    /// The last character was part of a word, so none begins here.
    in_word: bool,
    /// The last character was no space.
    after: bool,
}

impl Lexer {
    /// One for what the fence names; none if it is not known.
    pub(super) fn named(info: &str) -> Option<Self> {
        let name = info.split([' ', ',', '{', '}', '.', ':']).find(|word| !word.is_empty())?;
        let is = |language: &&Language| language.names.iter().any(|known| known.eq_ignore_ascii_case(name));
        let language = LANGUAGES.iter().find(is)?;
        Some(Self { language, open: None, in_word: false, after: false })
    }

    /// Reads on in a line; `whole` says that nothing of it is missing. Returns how many bytes are dealt with: what follows
    /// is not decided yet.
    pub(super) fn read(&mut self, text: &str, whole: bool, put: &mut dyn FnMut(&str, Style)) -> usize {
        let (mut at, mut from) = (0, 0);
        while at < text.len() {
            let rest = &text[at..];
            let Some(step) = self.step(rest, whole) else { break };
            if step.style != CODE {
                if from < at {
                    put(&text[from..at], CODE);
                }
                put(&rest[..step.length], step.style);
                from = at + step.length;
            }
            at += step.length;
        }
        if from < at {
            put(&text[from..at], CODE);
        }
        if whole {
            self.end_line();
        }
        at
    }

    fn end_line(&mut self) {
        (self.in_word, self.after) = (false, false);
        if !matches!(self.open, Some(Span::Comment(_) | Span::Long(_))) {
            self.open = None;
        }
    }

    /// The next piece of one style. None: it could still become one thing or another.
    fn step(&mut self, rest: &str, whole: bool) -> Option<Step> {
        let (style, end, escapes) = match self.open {
            None => return self.outside(rest, whole),
            Some(Span::Rest | Span::RestAfterSpace) => return Some(Step { length: rest.len(), style: COMMENT }),
            Some(Span::Comment(end)) => (COMMENT, end, false),
            Some(Span::Text(end)) => (TEXT, end, true),
            Some(Span::Raw(end)) => (TEXT, end, false),
            Some(Span::Long(end)) => (TEXT, end, true),
        };
        let mut at = 0;
        for (next, c) in rest.char_indices() {
            if next < at {
                continue;
            }
            let here = &rest[next..];
            if here.starts_with(end) {
                (self.open, self.after) = (None, true);
                return Some(Step { length: next + end.len(), style });
            }
            let waits = !whole && (end.starts_with(here) || (escapes && here == "\\"));
            if waits {
                return (next > 0).then_some(Step { length: next, style });
            }
            let taken = if escapes && c == '\\' { here.chars().nth(1).map_or(0, char::len_utf8) } else { 0 };
            at = next + c.len_utf8() + taken;
        }
        Some(Step { length: rest.len(), style })
    }

    /// The same where nothing is open.
    fn outside(&mut self, rest: &str, whole: bool) -> Option<Step> {
        let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        if word > 0 {
            let goes_on = word == rest.len() && !whole;
            if goes_on && word < LONGEST_WORD && !self.in_word {
                return None;
            }
            let style = if self.in_word || goes_on { CODE } else { self.style_of(&rest[..word]) };
            (self.in_word, self.after) = (goes_on, true);
            return Some(Step { length: word, style });
        }
        self.in_word = false;
        for (mark, span) in self.language.marks {
            if *span == Span::RestAfterSpace && self.after {
                continue;
            }
            if rest.starts_with(mark) {
                self.open = Some(*span);
                let style =
                    if matches!(span, Span::Rest | Span::RestAfterSpace | Span::Comment(_)) { COMMENT } else { TEXT };
                return Some(Step { length: mark.len(), style });
            }
            if !whole && mark.starts_with(rest) {
                return None;
            }
        }
        let c = rest.chars().next()?;
        self.after = !c.is_whitespace();
        Some(Step { length: c.len_utf8(), style: CODE })
    }

    fn style_of(&self, word: &str) -> Style {
        let any_case = self.language.any_case;
        let among = |words: &str| {
            words.split(' ').any(|known| if any_case { known.eq_ignore_ascii_case(word) } else { known == word })
        };
        match () {
            () if word.starts_with(|c: char| c.is_ascii_digit()) || among(self.language.values) => VALUE,
            () if among(self.language.keywords) => KEYWORD,
            () => CODE,
        }
    }
}

/// A piece of one style.
#[derive(Clone, Copy, Debug)]
struct Step {
    length: usize,
    style: Style,
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code with a letter before each piece that is not plain, in pieces of so many characters.
    fn marked(info: &str, code: &str, size: usize) -> String {
        let mut lexer = Lexer::named(info).unwrap();
        let mut all: Vec<(String, Style)> = Vec::new();
        for line in code.lines() {
            let (mut waiting, mut read) = (String::new(), Vec::new());
            let chars: Vec<char> = line.chars().collect();
            for piece in chars.chunks(size) {
                waiting.extend(piece);
                let done = lexer.read(&waiting, false, &mut |text, style| read.push((text.to_owned(), style)));
                waiting.drain(..done);
            }
            let done = lexer.read(&waiting, true, &mut |text, style| read.push((text.to_owned(), style)));
            assert_eq!(done, waiting.len(), "something of {line:?} is left");
            assert_eq!(read.iter().map(|(text, _)| text.as_str()).collect::<String>(), line);
            all.append(&mut read);
            all.push(("\n".to_owned(), CODE));
        }
        let (mut text, mut before) = (String::new(), CODE);
        for (piece, style) in all {
            if style != before {
                text += match style {
                    COMMENT => "‹c›",
                    TEXT => "‹t›",
                    VALUE => "‹v›",
                    KEYWORD => "‹k›",
                    _ => "‹›",
                };
            }
            before = style;
            text += &piece;
        }
        text
    }

    #[test]
    fn the_same_in_pieces_of_every_size() {
        for (info, code, expected) in [
            (
                "sh",
                "for x in a#b; do echo \"$x # no\" # yes",
                "‹k›for‹› x ‹k›in‹› a#b; ‹k›do‹› echo ‹t›\"$x # no\"‹› ‹c›# yes‹›\n",
            ),
            (
                "Python",
                "def f(x):\n    \"\"\"Two\n    lines\"\"\"\n    return x + 0x1F",
                "‹k›def‹› f(x):\n    ‹t›\"\"\"Two‹›\n‹t›    lines\"\"\"‹›\n    ‹k›return‹› x + ‹v›0x1F‹›\n",
            ),
            (
                "rust,ignore",
                "let a: &'a str = \"say \\\"hi\\\"\"; // done",
                "‹k›let‹› a: &'a str = ‹t›\"say \\\"hi\\\"\"‹›; ‹c›// done‹›\n",
            ),
            ("c", "int x; /* a\nb */ y = '/';", "‹k›int‹› x; ‹c›/* a‹›\n‹c›b */‹› y = ‹t›'/'‹›;\n"),
            ("sql", "SELECT 1 FROM t -- all", "‹k›SELECT‹› ‹v›1‹› ‹k›FROM‹› t ‹c›-- all‹›\n"),
            ("json", "{\"a\": [true, 2.5]}", "{‹t›\"a\"‹›: [‹v›true‹›, ‹v›2‹›.‹v›5‹›]}\n"),
            ("js", "f(`a\nb`, 'open\nnext", "f(‹t›`a‹›\n‹t›b`‹›, ‹t›'open‹›\nnext\n"),
        ] {
            for size in [1, 2, 3, 7, 100] {
                assert_eq!(marked(info, code, size), expected, "{size}");
            }
        }
    }

    #[test]
    fn only_languages_that_are_known() {
        assert!(["", "text", "brainfuck", "{.x}"].iter().all(|info| Lexer::named(info).is_none()));
        assert!(["{.rust}", "C++", "YAML", "ts title=x"].iter().all(|info| Lexer::named(info).is_some()));
    }

    #[test]
    fn nothing_waits_for_ever() {
        let mut lexer = Lexer::named("go").unwrap();
        let mut seen = 0;
        let text = "x".repeat(1000);
        seen += lexer.read(&text, false, &mut |_, _| {});
        assert_eq!(seen, 1000);
        for broken in ["\\", "`\\", "/", "é\u{301}'\\é"] {
            for info in ["go", "python", "sh"] {
                marked(info, broken, 1);
            }
        }
    }
}
