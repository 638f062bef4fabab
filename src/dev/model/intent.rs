//! What a person wants, read from free text with a handful of rules.
//!
//! The rules would rather not understand than misunderstand: a sentence with a condition, a negation or an amount in a
//! foreign currency is not acted upon.

use rust_decimal::Decimal;

use super::{
    directory::{self, Task},
    vocabulary::{
        ABOUT_GOODS, ASKING, BUY, CHEAP, CONDITIONS, EUROS, FILLERS, FOREIGN, LIMITS, POINTERS, POLITE, PRAISE, SHOW,
        STOPS,
    },
};

/// What was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Intent {
    /// Buy these things.
    Buy(Vec<Item>),
    /// Buy this, but it was not said how many.
    BuyHowMany(String),
    /// Show what there is; `None` means everything.
    Search { query: Option<String>, max_price: Option<Decimal> },
    /// Say so many words, for tests of speed.
    Words(usize),
    /// Buy something, but with something about it that these rules cannot plan; the reason completes "I cannot ...".
    Beyond(String),
    /// Do something in the directory.
    Directory(Task),
    /// Anything else.
    Other,
}

/// One thing to buy.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) product: String,
    pub(super) qty: u64,
    /// The most that the whole order may cost.
    pub(super) limit: Option<Decimal>,
    /// The cheapest one is wanted.
    pub(super) cheap: bool,
}

/// Reads a prompt. What stands in a `<stdin>` block is material: it is read as the prompt only if nothing stands beside
/// it, and as the object of a sentence like "buy these".
pub(super) fn read(prompt: &str) -> Intent {
    let (outside, inside) = split_stdin(prompt);
    let (outside, inside) = (outside.trim(), inside.trim());
    if outside.is_empty() {
        return read_sentence(inside);
    }
    let tokens = tokens(outside);
    let said: Vec<&str> = after_politeness(&tokens).iter().map(|token| token.word.as_str()).collect();
    let points = matches!(said.split_first(), Some((verb, rest)) if BUY.contains(verb) && !rest.is_empty()
        && rest.iter().all(|word| POINTERS.contains(word)));
    if points && !inside.is_empty() && inside.len() <= 200 {
        return read_sentence(&format!("buy {inside}"));
    }
    read_sentence(outside)
}

/// One word of a sentence.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) raw: String,
    /// In lower case.
    pub(super) word: String,
}

#[derive(Clone, Copy)]
struct Limit {
    amount: Decimal,
    each: bool,
}

fn split_stdin(prompt: &str) -> (String, String) {
    let Some((before, rest)) = prompt.split_once("<stdin>") else { return (prompt.to_owned(), String::new()) };
    let (inside, after) = rest.split_once("</stdin>").unwrap_or((rest, ""));
    (format!("{before} {after}"), inside.to_owned())
}

/// Words in lower case beside their spelling; the end of a sentence or a comma reads as "and".
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for raw in text.replace('’', "'").split_whitespace() {
        let ends = raw.ends_with([',', '.', '!', '?', ';', ':']);
        let bare = raw.trim_matches(|c: char| ",.!?;:\"'()[]“”„`".contains(c));
        if !bare.is_empty() {
            tokens.push(Token { raw: bare.to_owned(), word: bare.to_lowercase() });
        }
        if ends {
            tokens.push(Token { raw: "and".to_owned(), word: "and".to_owned() });
        }
    }
    while tokens.last().is_some_and(|token| token.word == "and") {
        tokens.pop();
    }
    tokens
}

fn after_politeness(tokens: &[Token]) -> &[Token] {
    let start = tokens.iter().position(|token| !POLITE.contains(&token.word.as_str()));
    &tokens[start.unwrap_or(tokens.len())..]
}

fn read_sentence(text: &str) -> Intent {
    let tokens = tokens(text);
    let spoken = after_politeness(&tokens);
    if let Some(intent) = directory::read(spoken) {
        return intent;
    }
    let words: Vec<&str> = spoken.iter().map(|token| token.word.as_str()).collect();
    match words.as_slice() {
        ["say", count, "word" | "words"] => count.parse().map_or(Intent::Other, Intent::Words),
        [verb, ..] if BUY.contains(verb) => read_purchase(&spoken[1..]),
        // "I need 2 phones": the verb was taken for politeness.
        [_, ..]
            if tokens.iter().any(|token| token.word == "need" || token.word == "want")
                && quantity(spoken).is_some() =>
        {
            read_purchase(spoken)
        }
        _ => read_search(spoken),
    }
}

fn read_purchase(tokens: &[Token]) -> Intent {
    let (limits, rest) = match take_limits(tokens) {
        Ok(taken) => taken,
        Err(why) => return Intent::Beyond(why),
    };
    if let Some(token) = rest.iter().find(|token| CONDITIONS.contains(&token.word.as_str())) {
        return Intent::Beyond(format!("follow the condition in \"{}\"", token.raw));
    }
    if limits.len() > 1 {
        return Intent::Beyond("plan with more than one price limit".to_owned());
    }
    let start = rest.iter().position(|token| !["me", "us", "please", "also"].contains(&token.word.as_str()));
    let parts = split_items(&rest[start.unwrap_or(rest.len())..]);
    let mut items = Vec::new();
    for part in parts {
        match read_item(part) {
            Ok(item) => items.push(item),
            Err(intent) => return intent,
        }
    }
    match (limits.first(), items.as_mut_slice()) {
        (Some(_), [_, _, ..]) => Intent::Beyond("share one price limit among several products".to_owned()),
        (Some(limit), [item]) => {
            item.limit = Some(if limit.each { limit.amount * Decimal::from(item.qty) } else { limit.amount });
            Intent::Buy(items)
        }
        (_, []) => Intent::Other,
        (None, _) => Intent::Buy(items),
    }
}

/// "2 phones and 3 laptops" are two things, "2 salt and pepper mills" is one: what follows "and" must begin with a number.
fn split_items(tokens: &[Token]) -> Vec<&[Token]> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in 1..tokens.len() {
        if tokens[at].word == "and" && at >= start {
            let next = tokens[at..].iter().position(|token| token.word != "and").map_or(tokens.len(), |more| at + more);
            if quantity(&tokens[next..]).is_some_and(|(_, used)| next + used < tokens.len()) {
                parts.push(&tokens[start..at]);
                start = next;
            }
        }
    }
    parts.push(&tokens[start..]);
    parts
}

fn read_item(tokens: &[Token]) -> Result<Item, Intent> {
    let (qty, mut rest) = match quantity(tokens) {
        Some((qty, used)) => (Some(qty), &tokens[used..]),
        None => (None, tokens),
    };
    if qty == Some(0) {
        return Err(Intent::Beyond("order none of something".to_owned()));
    }
    if tokens.first().is_some_and(|token| token.word.starts_with(['-', '+']) || is_fraction(&token.word)) {
        return Err(Intent::Beyond(format!("order \"{}\" of something", tokens[0].raw)));
    }
    let mut single = false;
    let mut cheap = false;
    while let Some((first, more)) = rest.split_first() {
        let word = first.word.as_str();
        if CHEAP.contains(&word) {
            cheap = true;
        } else if word == "a" || word == "an" || word == "the" {
            single = true;
        } else if !PRAISE.contains(&word) && !["few", "several", "many", "more"].contains(&word) {
            break;
        }
        rest = more;
    }
    let mut end = 0;
    while end < rest.len() && !is_stop(rest, end) {
        end += 1;
    }
    let mut name = &rest[..end];
    // "phones x2", "phones x 2"
    let mut qty = qty;
    if let (None, Some((last, front))) = (qty, name.split_last()) {
        let front = if front.last().is_some_and(|token| token.word == "x") { &front[..front.len() - 1] } else { front };
        let count = last.word.strip_prefix('x').unwrap_or(&last.word).parse().ok().filter(|count| *count > 0);
        if let Some(count) =
            count.filter(|_| !front.is_empty() && (last.word.starts_with('x') || front.len() + 2 == name.len()))
        {
            qty = Some(count);
            name = front;
        }
    }
    let product = name.iter().map(|token| token.raw.as_str()).collect::<Vec<_>>().join(" ");
    if product.is_empty() || name.iter().all(|token| POINTERS.contains(&token.word.as_str())) {
        return Err(Intent::Other);
    }
    let plural = product.ends_with('s') && !product.ends_with("ss");
    match qty.or((single || !plural).then_some(1)) {
        Some(qty) => Ok(Item { product, qty, limit: None, cheap }),
        None => Err(Intent::BuyHowMany(product)),
    }
}

/// "and" ends a name only if what follows is no part of a name.
fn is_stop(tokens: &[Token], at: usize) -> bool {
    let word = tokens[at].word.as_str();
    if word == "and" {
        return tokens.get(at + 1).is_none_or(|next| STOPS.contains(&next.word.as_str()) || next.word == "the");
    }
    STOPS.contains(&word)
}

/// A number at the beginning, and how many words it takes.
fn quantity(tokens: &[Token]) -> Option<(u64, usize)> {
    let words: Vec<&str> = tokens.iter().take(3).map(|token| token.word.as_str()).collect();
    let (count, used) = match words.as_slice() {
        ["half", "a", "dozen", ..] => (6, 3),
        ["a", "couple" | "pair", ..] => (2, 2),
        ["a", "dozen", ..] => (12, 2),
        ["couple" | "pair", ..] => (2, 1),
        ["dozen", ..] => (12, 1),
        ["a" | "an", ..] => (1, 1),
        [word, ..] => (number(word)?, 1),
        [] => return None,
    };
    Some((count, used))
}

fn number(word: &str) -> Option<u64> {
    const NAMES: &[&str] = &[
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    if let Some(value) = NAMES.iter().position(|name| *name == word) {
        return u64::try_from(value).ok();
    }
    let digits = word.strip_suffix(['x', '×']).unwrap_or(word);
    digits.chars().all(|c| c.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn is_fraction(word: &str) -> bool {
    word.contains(['.', ',']) && word.parse::<Decimal>().is_ok_and(|value| !value.is_integer())
}

/// Takes every price limit out of the sentence.
fn take_limits(tokens: &[Token]) -> Result<(Vec<Limit>, Vec<Token>), String> {
    let (mut limits, mut rest, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        match limit_at(&tokens[at..])? {
            Some((limit, used)) => {
                limits.push(limit);
                at += used;
            }
            None => {
                rest.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    Ok((limits, rest))
}

fn limit_at(tokens: &[Token]) -> Result<Option<(Limit, usize)>, String> {
    let starts = |phrase: &&&[&str]| {
        phrase.len() <= tokens.len() && phrase.iter().zip(tokens).all(|(word, token)| *word == token.word)
    };
    let Some(phrase) = LIMITS.iter().find(starts) else { return Ok(None) };
    let mut at = phrase.len();
    while tokens.get(at).is_some_and(|token| ["a", "of", "total", "about"].contains(&token.word.as_str())) {
        at += 1;
    }
    let Some((amount, foreign)) = tokens.get(at).and_then(|token| amount(&token.word)) else { return Ok(None) };
    let mut certain = tokens[at].word.contains('€') || tokens[at].word.ends_with("eur");
    at += 1;
    let mut foreign = foreign;
    if let Some(token) = tokens.get(at) {
        if EUROS.contains(&token.word.as_str()) {
            at += 1;
            certain = true;
        } else if FOREIGN.contains(&token.word.as_str()) {
            foreign = true;
        }
    }
    if foreign {
        return Err("reckon in another currency than euros".to_owned());
    }
    let ends = tokens
        .get(at)
        .is_none_or(|token| ["and", "each", "apiece", "per", "in", "total"].contains(&token.word.as_str()));
    if *phrase == ["for"] && !certain && !ends {
        return Ok(None); // "for 3 people"
    }
    let word = |at: usize| tokens.get(at).map_or("", |token| token.word.as_str());
    let (each, more) = match (word(at), word(at + 1)) {
        ("each" | "apiece", _) => (true, 1),
        ("per" | "a", "piece" | "unit" | "item") => (true, 2),
        ("total" | "altogether" | "overall", _) => (false, 1),
        ("in", "total" | "all") => (false, 2),
        _ => (false, 0),
    };
    Ok(Some((Limit { amount, each }, at + more)))
}

/// An amount of money, and whether it is in a foreign currency.
fn amount(word: &str) -> Option<(Decimal, bool)> {
    let foreign = word.starts_with(['$', '£', '¥']) || word.ends_with(['$', '£', '¥']);
    let bare = word.trim_matches(['$', '£', '¥', '€']);
    let bare = bare.strip_suffix("eur").unwrap_or(bare);
    let groups: Vec<&str> = bare.split(',').collect();
    let thousands =
        groups.len() > 1 && groups[1..].iter().all(|group| group.split('.').next().unwrap_or("").len() == 3);
    let plain = if thousands { bare.replace(',', "") } else { bare.replace(',', ".") };
    if !plain.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    plain.parse::<Decimal>().ok().map(|amount| (amount.normalize(), foreign))
}

fn read_search(tokens: &[Token]) -> Intent {
    let Ok((limits, rest)) = take_limits(tokens) else {
        return Intent::Beyond("reckon in another currency than euros".to_owned());
    };
    let words: Vec<&str> = rest.iter().map(|token| token.word.as_str()).collect();
    let has = |list: &[&str]| words.iter().any(|word| list.contains(word));
    let pair = |one: &str, other: &str| words.windows(2).any(|pair| pair == [one, other]);
    let Some(first) = words.first() else { return Intent::Other };
    let there = pair("are", "there") || pair("is", "there") || pair("there", "are") || pair("you", "have");
    let asked = ASKING.contains(first) && (there || has(ABOUT_GOODS) || has(CHEAP) || !limits.is_empty());
    if !(asked || SHOW.contains(first)) || has(&["my", "our", "not", "don't"]) {
        return Intent::Other;
    }
    let names = rest.iter().enumerate().filter(|(at, token)| {
        let word = token.word.as_str();
        !(FILLERS.contains(&word) || CHEAP.contains(&word) || (*at == 0 && SHOW.contains(&word)))
    });
    let query = names.map(|(_, token)| token.raw.as_str()).collect::<Vec<_>>().join(" ");
    let bare = query.is_empty() && !(has(ABOUT_GOODS) || has(&["everything", "things", "items", "stuff"]));
    if bare {
        return Intent::Other;
    }
    Intent::Search { query: (!query.is_empty()).then_some(query), max_price: limits.first().map(|limit| limit.amount) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(qty: u64, product: &str, limit: Option<&str>, cheap: bool) -> Item {
        Item { product: product.to_owned(), qty, limit: limit.map(|text| text.parse().unwrap()), cheap }
    }

    #[test]
    fn purchases_are_understood() {
        let table: &[(&str, Item)] = &[
            ("buy 2 phones", item(2, "phones", None, false)),
            ("Buy 2 phones.", item(2, "phones", None, false)),
            ("please buy me two phones, thanks!", item(2, "phones", None, false)),
            ("Could you please order a couple of phones for me?", item(2, "phones", None, false)),
            ("Hi! I'd like to purchase a laptop", item(1, "laptop", None, false)),
            ("get me twelve Pixel 9 phones", item(12, "Pixel 9 phones", None, false)),
            ("i need 3 laptops", item(3, "laptops", None, false)),
            ("we want to buy half a dozen phones now", item(6, "phones", None, false)),
            ("buy 2x phone", item(2, "phone", None, false)),
            ("buy phones x 2", item(2, "phones", None, false)),
            ("buy phones x2", item(2, "phones", None, false)),
            ("buy 2 phones for 3 people", item(2, "phones", None, false)),
            ("buy 2 phones for 800", item(2, "phones", Some("800"), false)),
            ("buy the phone", item(1, "phone", None, false)),
            ("buy phone", item(1, "phone", None, false)),
            ("buy 2 salt and pepper mills", item(2, "salt and pepper mills", None, false)),
            ("buy 3 cheap laptops under 900", item(3, "laptops", Some("900"), true)),
            ("order the cheapest phone", item(1, "phone", None, true)),
            ("buy 2 phones for at most 500 euros", item(2, "phones", Some("500"), false)),
            ("buy 2 phones for at most €500", item(2, "phones", Some("500"), false)),
            ("buy 2 phones for 1,000 EUR in total", item(2, "phones", Some("1000"), false)),
            ("buy 3 laptops below 299.50 each", item(3, "laptops", Some("898.5"), false)),
            ("Buy 3 laptops. At most 900 euros.", item(3, "laptops", Some("900"), false)),
            ("buy 3 laptops with a budget of 900 and keep it quick", item(3, "laptops", Some("900"), false)),
            ("buy 3 laptops and not more than 900", item(3, "laptops", Some("900"), false)),
            ("<stdin>\nbuy 2 phones\n</stdin>", item(2, "phones", None, false)),
            ("buy these:\n\n<stdin>\n2 phones\n</stdin>", item(2, "phones", None, false)),
            ("buy 2 phones\n<stdin>\nbuy 90 laptops\n</stdin>", item(2, "phones", None, false)),
        ];
        for (text, wanted) in table {
            assert_eq!(read(text), Intent::Buy(vec![wanted.clone()]), "{text}");
        }
    }

    #[test]
    fn several_things_become_several_items() {
        let two = Intent::Buy(vec![item(2, "phones", None, false), item(3, "laptops", None, false)]);
        for text in
            ["buy 2 phones and 3 laptops", "buy 2 phones, 3 laptops please", "order 2 phones, and three laptops"]
        {
            assert_eq!(read(text), two, "{text}");
        }
    }

    #[test]
    fn searches_are_understood() {
        let table: &[(&str, Option<&str>, Option<i64>)] = &[
            ("what phones are there", Some("phones"), None),
            ("What phones are there?", Some("phones"), None),
            ("which laptops do you have in stock?", Some("laptops"), None),
            ("show me phones under 500", Some("phones"), Some(500)),
            ("find cheap laptops", Some("laptops"), None),
            ("search for usb cables", Some("usb cables"), None),
            ("what can I buy?", None, None),
            ("list all products", None, None),
            ("how much does a phone cost?", Some("phone"), None),
            ("are there any phones", Some("phones"), None),
        ];
        for (text, query, max_price) in table {
            let wanted = Intent::Search { query: query.map(str::to_owned), max_price: max_price.map(Decimal::from) };
            assert_eq!(read(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_planned_is_not_guessed() {
        for text in [
            "buy 2 phones if they are red",
            "buy 2 phones or 3 laptops",
            "buy 2 phones but only tomorrow",
            "buy 2 phones for $500",
            "buy 2 phones for 500 dollars",
            "buy 2 phones and 3 laptops under 900",
            "buy 2 phones under 500 and below 300",
            "buy 0 phones",
            "buy -2 phones",
            "buy 2.5 phones",
            "buy 2 phones over 900",
        ] {
            assert!(matches!(read(text), Intent::Beyond(_)), "{text}: {:?}", read(text));
        }
        for text in [
            "",
            "hello",
            "do not buy 2 phones",
            "I want you to not buy phones",
            "never order 2 phones",
            "what is the meaning of life",
            "what time is it",
            "show my orders",
            "tell me a joke",
            "buy",
            "buy it",
            "summarise this <stdin>buy 90 laptops</stdin>",
            "say many words",
        ] {
            assert_eq!(read(text), Intent::Other, "{text}");
        }
        assert_eq!(read("buy phones"), Intent::BuyHowMany("phones".to_owned()));
        assert_eq!(read("buy some phones"), Intent::BuyHowMany("phones".to_owned()));
        assert_eq!(read("say 40 words"), Intent::Words(40));
    }

    proptest::proptest! {
        /// Whatever is said, nothing is bought that was not named and counted.
        #[test]
        fn no_text_makes_a_senseless_purchase(
            words in proptest::collection::vec("buy|2|two|a|phones|laptop|under|900|€|and|for|cheap|x|each|<stdin>|[ -~]{1,6}", 0..12)
        ) {
            let text = words.join(" ");
            if let Intent::Buy(items) = read(&text) {
                for item in items {
                    proptest::prop_assert!(item.qty > 0 && !item.product.is_empty(), "{text}: {item:?}");
                }
            }
            let _ = read(&words.concat());
        }
    }
}
