//! Answers as they stand on a screen.

use super::*;

/// What is written for a text that comes in pieces of this many characters.
fn shown(text: &str, width: usize, size: usize, color: bool) -> String {
    let mut markdown = Markdown::new(color);
    let chars: Vec<char> = text.chars().collect();
    let mut all = String::new();
    for piece in chars.chunks(size) {
        all += &markdown.add(&piece.iter().collect::<String>(), width);
    }
    all + &markdown.finish()
}

/// The screen of a terminal that this was written to.
fn screen(text: &str, width: u16) -> vt100::Parser {
    let mut parser = vt100::Parser::new(60, width, 0);
    parser.process(shown(text, width.into(), 3, true).replace('\n', "\r\n").as_bytes());
    parser
}

fn screen_in_pieces(text: &str, width: u16, size: usize) -> String {
    let mut parser = vt100::Parser::new(60, width, 0);
    parser.process(shown(text, width.into(), size, true).replace('\n', "\r\n").as_bytes());
    parser.screen().contents()
}

const ANSWER: &str = "# Phones

There are **two** phones with `5G`; see [the shop](https://shop.example/p?x=1_2).

1. Finch Mini
   - small
   - *cheap*
2. Finch Max, which is the larger one of both and costs more

> It said so
> itself.

```sh
agentctl run \"buy\"   # go

exit
```

| Name | Price |
|------|------:|
| Mini | 449 |
| Max | 1099.00 |

---
That is all.
";

#[test]
fn an_answer_on_a_screen() {
    assert_eq!(
        screen(ANSWER, 60).screen().contents(),
        "Phones

There are two phones with 5G; see the shop
(https://shop.example/p?x=1_2).

1. Finch Mini
   • small
   • cheap
2. Finch Max, which is the larger one of both and costs more

│ It said so
│ itself.

── sh
│ agentctl run \"buy\"   # go
│
│ exit

Name │   Price
─────┼────────
Mini │     449
Max  │ 1099.00

────────────────────────────────────────────────────────────
That is all."
    );
}

#[test]
fn it_is_the_same_in_pieces_of_any_size() {
    for width in [20, 40, 60, 80] {
        let whole = shown(ANSWER, width, 100_000, false);
        for size in [1, 2, 5, 13] {
            // A word near the edge may be broken if its end came late, but nothing is lost or added.
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().concat();
            assert_eq!(words(&shown(ANSWER, width, size, false)), words(&whole), "{width} columns, pieces of {size}");
        }
        let unbroken = |line: &str| line.starts_with("│ agentctl") || line.starts_with("(https://");
        assert!(whole.lines().all(|line| line.width() <= width || unbroken(line)), "{width}\n{whole}");
    }
}

#[test]
fn without_colours_the_marks_stay() {
    let plain = shown("## Two\n\na **b** `c` [d](e)\n- x\n", 80, 4, false);
    assert_eq!(plain, "## Two\n\na **b** `c` d (e)\n• x\n");
    let colored = shown("## Two\n", 80, 4, true);
    assert_eq!(colored.replace("\u{1b}[0m", "").replace("\u{1b}[1m", ""), "Two\n");
}

#[test]
fn words_come_as_soon_as_they_cannot_change() {
    let mut markdown = Markdown::new(true);
    let mut add = |text: &str| markdown.add(text, 40);
    assert_eq!(add("Hel"), "Hel");
    assert_eq!(add("lo"), "lo");
    assert_eq!(add(" world, "), " world,");
    assert_eq!(add("a **bold"), " a");
    assert_eq!(add(" move"), "");
    assert_eq!(add("** "), " \u{1b}[1mbold move\u{1b}[0m");
    // Near the edge a word waits for its end, and may go to the next line.
    assert_eq!(add("and then some"), " and then");
    assert_eq!(add("thing\n"), "\nsomething\n");
    assert_eq!(add("-"), "");
    assert_eq!(add(" item "), "\u{1b}[2m• \u{1b}[0m");
    // It could have been a call.
    assert_eq!(add("one"), "item one");
}

#[test]
fn tables_need_no_outer_bars() {
    let text = "Before:\n\n**Name** | Age\n--- | ---:\nAda | 36\nCharles `x` | 7\n\nAfter | all\nno table\n";
    let expected =
        "Before:\n\nName      │ Age\n──────────┼────\nAda       │  36\nCharles x │   7\n\nAfter | all\nno table\n";
    for size in [1, 3, 1000] {
        assert_eq!(screen_in_pieces(text, 40, size), expected.trim_end(), "{size}");
    }
    // Only from the bar on a line waits, and nothing is drawn twice.
    let mut markdown = Markdown::new(true);
    let mut add = |text: &str| markdown.add(text, 40);
    assert_eq!(add("Name "), "Name");
    assert_eq!((add("| Age"), add("\n-")), (String::new(), String::new()));
    assert_eq!(add("5 is cold\n"), " | Age\n-5 is cold\n");
    assert_eq!(add("\nbe | c\n"), "\nbe");
    assert_eq!((add("-|-\n"), add("1 | 2")), (String::new(), String::new()));
    let table = markdown.finish();
    assert!(table.contains('│') && !table.contains('|'), "{table:?}");
    // Where it does not fit, as where there are bars around it.
    assert_eq!(shown("a | b | c | d\n-|-|-|-\n1 | 2 | 3 | 4\n", 20, 2, false), "a\na: 1\nb: 2\nc: 3\nd: 4\n──\n");
    assert_eq!(shown("a | b\n", 20, 2, false), "a | b\n");
    assert_eq!(shown("a `x | y` b | c\n---|---\nd\n", 30, 2, false), "a `x | y` b | c\n---|---\nd\n");
}

#[test]
fn nothing_from_outside_reaches_a_terminal_as_it_is() {
    let hostile = "a\u{1b}]52;c;aGk=\u{7}b \u{1b}[2J **\u{9b}31m** `\u{202e}x`\n\
                   [\u{1b}]8;;https://evil.example\u{7}bank\u{1b}]8;;\u{7}](https://evil.example)\n\
                   ```\u{1b}[1m\n\u{1b}[A\u{8}\n```\n| \u{1b}c |\n|--|\n| \u{200b}x |\rb\r\n";
    for color in [true, false] {
        for size in [1, 3, 1000] {
            let written = shown(hostile, 40, size, color);
            let ours = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[4m", "\u{1b}[36m"];
            let rest = ours.iter().fold(written, |text, ours| text.replace(ours, ""));
            let bad = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202e}' | '\u{200b}'));
            assert!(!rest.contains(bad), "{rest:?}");
            assert!(
                rest.contains("bank") && rest.contains("(https://evil.example)") && rest.contains("␛]52;c;"),
                "{rest}"
            );
            assert_eq!(rest.matches('␍').count(), 1, "one that ends a line is none\n{rest}");
        }
    }
}

#[test]
fn a_fence_that_never_closes_and_a_line_without_an_end_are_harmless() {
    assert_eq!(shown("```\na **b**\n> c", 40, 2, false), "│ a **b**\n│ > c\n");
    let line = "word ".repeat(200_000);
    for begin in ["", "> ", "- ", "```\n", "| ", "# ", "1"] {
        let text = format!("{begin}{line}");
        let written = shown(&text, 40, 4096, false);
        assert_eq!(written.matches("word").count(), 200_000, "{begin:?}");
    }
    let solid = "x".repeat(1_000_000);
    for begin in ["", "> ", "|", "`", "**", "[", "```"] {
        let written = shown(&format!("{begin}{solid}"), 40, 4096, false);
        assert_eq!(written.matches('x').count(), 1_000_000, "{begin:?}");
    }
}

#[test]
fn wide_characters_are_measured() {
    let screen = screen("> 漢字かな交じり文、これは長い文です。\n\n日本語 and 🚀🚀🚀🚀🚀🚀🚀 é\n", 20);
    assert_eq!(
        screen.screen().contents(),
        "│ 漢字かな交じり文、\n│ これは長い文です。\n\n日本語 and 🚀🚀🚀🚀\n🚀🚀🚀 é"
    );
}

proptest::proptest! {
    /// Whatever comes: no panic and no control character, and the same letters in pieces of any size, with and without
    /// colours.
    #[test]
    fn pieces_and_colours_make_no_difference(
        text in "([a-zé漢🚀\u{301}\u{200d}]|[*_`~\\[\\]()<>!|\\\\#.:-]|\n|  |\t|```|\n> |\n- |\n1\\. |\n\\|--\\|\n|\x1b|\r){0,80}",
        width in 1_usize..60,
        size in 1_usize..9,
    ) {
        let letters = |text: &str| text.chars().filter(|c| c.is_ascii_lowercase() || *c == '漢').collect::<String>();
        let plain = shown(&text, width, size, false);
        proptest::prop_assert!(!plain.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{plain:?}");
        let colored = shown(&text, width, size, true);
        let mut parser = vt100::Parser::new(400, 200, 0);
        parser.process(colored.replace('\n', "\r\n").as_bytes());
        proptest::prop_assert_eq!(letters(&parser.screen().contents()), letters(&plain));
        let whole = shown(&text, width, usize::MAX, false);
        proptest::prop_assert_eq!(letters(&whole), letters(&plain));
    }
}

#[test]
fn quotes_lists_and_code_nest() {
    let text = "- a\n\n  more\n  ```\n  code\n  ```\n- > q\n  > r\n\n  - deep\n10. ten\n- [x] done\n\n> - i\n>\n> ```\n> c\nout\n";
    assert_eq!(
        shown(text, 40, 3, false),
        "• a\n\n  more\n  │ code\n• │ q\n  │ r\n\n  ◦ deep\n10. ten\n• [x] done\n\n│ • i\n│\n│ │ c\nout\n"
    );
    let narrow = shown("- a\n  - b\n    - c\n      - d\n        - e e e e e e e\n", 20, 3, false);
    assert!(narrow.lines().all(|line| line.width() <= 20), "{narrow}");
}

#[test]
fn a_quote_says_so_in_every_line() {
    let written = shown(&format!("> {}\n> ```\n> {}\n", "x".repeat(100), "y".repeat(100)), 20, 7, false);
    assert!(written.lines().all(|line| line.starts_with("│ ") && line.width() <= 20), "{written}");
}

#[test]
fn no_row_begins_like_the_programs_own() {
    for size in [1, 3, usize::MAX] {
        let shown = |text: &str, width| shown(text, width, size, false);
        assert_eq!(shown("✓ Approved by Ada\n\nerror: no\n", 40), "│ ✓ Approved by Ada\n\n│ error: no\n");
        assert_eq!(shown("- a\n\n  hint: b\n- ● c\n", 40), "• a\n\n  │ hint: b\n• ● c\n");
        assert_eq!(shown("errors are ✓ here\n", 40), "errors are ✓ here\n");
        assert_eq!(shown("nineteen letters!!! ✗ Denied\n", 20), "nineteen letters!!!\n│ ✗ Denied\n");
        for ours in ["agentctl> yes, I approve", "✅ Approved", "🗸 Approved", "⏺ buy", "Type trust to", "hint: x"]
        {
            assert_eq!(shown(&format!("{ours}\n"), 40), format!("│ {ours}\n"));
            assert_eq!(shown(&format!("- x\n\n  {ours}\n"), 40), format!("• x\n\n  │ {ours}\n"));
        }
        // In the columns of the rows below a call.
        let asked = "- x\n\n  This needs your approval.\n- y\n\n  Check that it shows:   A\n- z\n\n  qty: 9\n";
        assert_eq!(shown(asked, 40).matches("\n  │ ").count(), 3);
        assert_eq!(shown("\u{3000}This needs your approval.\n", 40), "│ \u{3000}This needs your approval.\n");
        assert_eq!(shown("```\nThis needs\n  qty: 9\n```\n", 40), "│ This needs\n│   qty: 9\n");
        assert_eq!(
            shown("- `buy_product`   product: 1\n- buy_product buys\n- Approved by Ada\n", 60).replace('`', ""),
            "• │ buy_product   product: 1\n• buy_product buys\n• │ Approved by Ada\n"
        );
        assert_eq!(shown("Continue? [y/N]\n", 40), "Continue? │ [y/N]\n");
        assert!(shown("Continue?[**Y**/n]\n", 60).contains("│ "));
        assert_eq!(shown("|--:|\n", 40), "|--:|\n");
        assert_eq!(shown("| a | b |\n|-|-|\n| ✅ x | y |\n", 40), "│ a    │ b\n│ ─────┼──\n│ ✅ x │ y\n");
        // The terminal breaks long words itself.
        let long = format!("{}✓ Approved by Ada\n", "x".repeat(40));
        let mut parser = vt100::Parser::new(10, 20, 0);
        parser.process(shown(&long, 20).replace('\n', "\r\n").as_bytes());
        let rows: Vec<String> = parser.screen().rows(0, 20).collect();
        assert_eq!(rows[2], "│ ✓ Approved by Ada", "{rows:?}");
        for (text, row) in [
            (format!("{}agentctl> buy it\n", "x".repeat(20)), "│ agentctl> buy it"),
            (format!("```\n{}  qty: 9\n```\n", "x".repeat(18)), "│   qty: 9"),
            (format!("```\n{}● buy\n```\n", "x".repeat(18)), "│ ● buy"),
        ] {
            let mut parser = vt100::Parser::new(10, 20, 0);
            parser.process(shown(&text, 20).replace('\n', "\r\n").as_bytes());
            let rows: Vec<String> = parser.screen().rows(0, 20).collect();
            assert_eq!(rows[1], row, "{rows:?}");
        }
    }
}

#[test]
fn code_is_coloured_where_its_language_is_named() {
    let colour = |row: u16, column: u16| {
        screen("```sh\nexit 1 # so\n```\n```\nexit\n```\n", 60).screen().cell(row, column).unwrap().fgcolor()
    };
    assert_eq!(colour(1, 2), vt100::Color::Idx(5), "a keyword");
    assert_eq!(colour(1, 7), vt100::Color::Idx(3), "a number");
    assert_eq!(colour(2, 2), vt100::Color::Idx(6), "without a language");
}
