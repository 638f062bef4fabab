//! The words that the rules in `intent` know.

/// Said before the verb.
pub(super) const POLITE: &[&str] = &[
    "please", "could", "can", "would", "will", "you", "kindly", "hey", "hi", "hello", "i", "we", "want", "to", "need",
    "like", "i'd", "we'd", "i'll", "let's", "lets", "go", "ahead", "and", "just", "now", "ok", "okay", "agent", "so",
    "yes", "help", "me", "us", "also", "then", "quickly",
];
pub(super) const BUY: &[&str] = &["buy", "order", "purchase", "get", "grab"];
/// Words that point at something said elsewhere.
pub(super) const POINTERS: &[&str] =
    &["this", "that", "these", "those", "it", "them", "the", "following", "me", "for", "from", "list", "here", "and"];
pub(super) const SHOW: &[&str] = &["show", "list", "find", "search", "browse", "display", "look"];
pub(super) const CHEAP: &[&str] = &["cheap", "cheapest", "affordable", "inexpensive", "lowest-priced"];
/// Words before the name of a product that do not belong to it.
pub(super) const PRAISE: &[&str] =
    &["nice", "good", "new", "great", "cool", "some", "the", "of", "pieces", "pcs", "units", "x", "×"];
/// Words that change what is asked in ways these rules do not follow.
pub(super) const CONDITIONS: &[&str] = &[
    "if", "unless", "but", "except", "not", "don't", "dont", "never", "without", "when", "after", "before", "tomorrow",
    "every", "over", "above", "least", "or", "instead", "until", "cancel",
];
/// Where the name of a product ends.
pub(super) const STOPS: &[&str] = &[
    "for", "from", "at", "in", "on", "with", "that", "which", "and", "keep", "it", "they", "them", "spend", "spending",
    "costing", "cost", "costs", "priced", "to", "so", "because", "as", "via", "using", "online", "please", "now",
    "today", "thanks", "thank", "total", "should", "must",
];
/// Ways to name a limit, the longest first.
pub(super) const LIMITS: &[&[&str]] = &[
    &["budget", "of"],
    &["no", "more", "than"],
    &["not", "more", "than"],
    &["not", "over"],
    &["not", "above"],
    &["less", "than"],
    &["cheaper", "than"],
    &["at", "most"],
    &["up", "to"],
    &["under"],
    &["below"],
    &["within"],
    &["max"],
    &["maximum"],
    &["<="],
    &["<"],
    &["for"],
];
pub(super) const EUROS: &[&str] = &["euro", "euros", "eur", "€"];
pub(super) const FOREIGN: &[&str] =
    &["dollar", "dollars", "usd", "$", "bucks", "pound", "pounds", "gbp", "£", "yen", "¥", "chf", "francs"];

/// What a search is not for.
pub(super) const FILLERS: &[&str] = &[
    "what",
    "what's",
    "which",
    "me",
    "us",
    "all",
    "for",
    "up",
    "are",
    "is",
    "there",
    "do",
    "does",
    "you",
    "have",
    "got",
    "in",
    "stock",
    "available",
    "kind",
    "kinds",
    "sort",
    "sorts",
    "of",
    "can",
    "could",
    "i",
    "we",
    "buy",
    "order",
    "purchase",
    "get",
    "sell",
    "sells",
    "sold",
    "your",
    "their",
    "the",
    "here",
    "shop",
    "store",
    "catalog",
    "catalogue",
    "now",
    "cost",
    "costs",
    "how",
    "much",
    "price",
    "prices",
    "a",
    "an",
    "any",
    "to",
    "and",
    "at",
    "on",
    "offer",
    "some",
    "product",
    "products",
    "item",
    "items",
    "things",
    "thing",
    "stuff",
    "please",
    "about",
    "with",
    "from",
    "thanks",
    "see",
    "they",
    "that",
    "everything",
];
pub(super) const ASKING: &[&str] = &["what", "what's", "which", "how", "do", "are", "is", "any", "price", "prices"];
pub(super) const ABOUT_GOODS: &[&str] = &[
    "available",
    "stock",
    "sell",
    "sells",
    "sold",
    "buy",
    "order",
    "purchase",
    "cost",
    "costs",
    "price",
    "prices",
    "shop",
    "store",
    "product",
    "products",
    "catalog",
    "catalogue",
    "offer",
];
/// What can stand beside a name in a question about groups.
pub(super) const ABOUT_GROUPS: &[&str] = &[
    "my", "groups", "group", "get", "tell", "me", "us", "the", "all", "in", "into", "of", "for", "is", "am", "i",
    "are", "do", "does", "has", "have", "belong", "belongs", "to", "a", "member",
];
/// Said at the end.
pub(super) const THANKS: &[&str] = &["please", "now", "today", "thanks", "thank", "you", "and"];
