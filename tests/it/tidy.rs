//! The stairs: who may know whom. Rust's modules would allow every import, so this test reads them all.
//!
//! The table is that of docs/architecture.md. An edge that is needed and points downwards is added there and here; one
//! that points upwards never is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What every module may use, except `dev`.
const GROUND: &[&str] = &["call", "clock", "echo", "escape", "event", "files", "json", "money", "secret", "still"];

/// The ground knows nothing of ours, with these exceptions.
const ON_THE_GROUND: &[(&str, &str)] = &[("event", "call")];

/// Each module with what it may use beside the ground, floor by floor.
const STAIRS: &[(&str, &[&str])] = &[
    ("http", &[]),
    ("fga", &["http"]),
    ("model", &["http"]),
    ("oauth", &["http"]),
    ("config", &["oauth"]),
    ("store", &[]),
    ("session", &["http", "oauth", "store"]),
    ("policy", &["fga", "oauth"]),
    ("approval", &["http", "oauth", "policy", "session", "store"]),
    ("guard", &["approval", "fga", "oauth", "policy", "session", "store"]),
    ("tool", &["guard", "http", "policy"]),
    ("dispatch", &["approval", "guard", "http", "policy", "store", "tool"]),
    ("proof", &["oauth", "policy", "store"]),
    ("agent", &["dispatch", "model", "store", "tool"]),
];

/// The doors: one knows everything, the other nothing but these two, so that no misspelt field can pass both sides.
const CLI: &str = "cli";
const DEV: (&str, &[&str]) = ("dev", &["clock", "secret"]);

const LONGEST_FILE: usize = 600;
const LONGEST_MAIN: usize = 25;

/// `from` names `to` somewhere in `file`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    from: String,
    to: String,
    line: usize,
}

fn is_allowed(from: &str, to: &str) -> bool {
    if from == to {
        return true;
    }
    if from == CLI {
        return true;
    }
    if from == DEV.0 {
        return DEV.1.contains(&to);
    }
    if GROUND.contains(&from) {
        return ON_THE_GROUND.contains(&(from, to));
    }
    let floor = STAIRS.iter().find(|(name, _)| *name == from);
    floor.is_some_and(|(_, below)| GROUND.contains(&to) || below.contains(&to))
}

#[test]
fn imports_go_down_the_stairs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in rust_files(&root) {
        let modules = module_path(file.strip_prefix(&root).unwrap());
        for edge in edges(&modules, &fs::read_to_string(&file).unwrap()) {
            count += 1;
            if !is_allowed(&edge.from, &edge.to) {
                let file = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display();
                wrong.push(format!("{file}:{}: {} may not know {}", edge.line, edge.from, edge.to));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the stairs of docs/architecture.md:\n{}", wrong.join("\n"));
    assert!(count > 10, "only {count} imports were found, so the search must be broken");
}

#[test]
fn files_are_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for file in rust_files(&root.join("src")).into_iter().chain(rust_files(&root.join("tests"))) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        let most = if file == root.join("src/main.rs") { LONGEST_MAIN - 1 } else { LONGEST_FILE };
        if lines > most {
            wrong.push(format!("{}: {lines} lines, at most {most}", file.strip_prefix(root).unwrap().display()));
        }
    }
    assert!(wrong.is_empty(), "split these files:\n{}", wrong.join("\n"));
}

/// Every module of the crate is in the table, so that a new one cannot slip past it.
#[test]
fn every_module_has_its_floor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&root) {
        let modules = module_path(file.strip_prefix(&root).unwrap());
        let Some(top) = modules.first() else { continue };
        let known = GROUND.contains(&top.as_str())
            || STAIRS.iter().any(|(name, _)| name == top)
            || [CLI, DEV.0].contains(&top.as_str());
        assert!(known, "{} belongs to no floor", file.display());
    }
}

/// The table itself has no circle: each floor uses only floors that stand before it.
#[test]
fn the_table_points_downwards() {
    for (at, (name, below)) in STAIRS.iter().enumerate() {
        for used in *below {
            let position = STAIRS.iter().position(|(other, _)| other == used);
            assert!(position.is_some_and(|position| position < at), "{name} uses {used}, which is not below it");
        }
    }
}

/// Only the guard makes a permit, only the executor takes the credential out of it, and it cannot be copied.
#[test]
fn permits_are_made_and_spent_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let naming = |text: &str| -> Vec<String> {
        let mut files: Vec<String> = rust_files(&root)
            .into_iter()
            .filter(|file| fs::read_to_string(file).unwrap().contains(text))
            .map(|file| file.strip_prefix(&root).unwrap().display().to_string())
            .collect();
        files.sort();
        files
    };
    assert_eq!(naming("into_token"), ["guard.rs", "tool/http.rs"]);
    assert_eq!(naming("permit: Permit {"), ["guard.rs"]);
    assert_eq!(naming("plan.execute("), ["dispatch.rs"]);
    let guard = fs::read_to_string(root.join("guard.rs")).unwrap();
    let before = guard.split("pub struct Permit").next().unwrap();
    assert!(!before.lines().rev().take(3).any(|line| line.contains("derive")), "a permit derives nothing");
    assert!(!guard.contains("impl Clone for Permit"));
}

/// OAuth grants by their names: none takes a person's password, and none brings a token back in a URL.
#[test]
fn only_these_grants_are_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut grants = BTreeSet::new();
    for file in rust_files(&root) {
        let modules = module_path(file.strip_prefix(&root).unwrap());
        let is_test = modules.last().is_some_and(|last| last.ends_with("tests") || last == "testing");
        if is_test || modules.first().is_some_and(|first| first == DEV.0) {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap();
        let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for word in ["response_type", "exchange_password", "exchange_code", "\"password\""] {
            assert!(!source.contains(word), "{} speaks of {word}", file.display());
        }
        let names = source.split("grant-type:").skip(1);
        let names = names.map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && !"-_:".contains(c)).next());
        grants.extend(names.flatten().map(str::to_owned));
    }
    let known = ["ciba", "device_code", "token-exchange", "token-exchange:federated-connection-access-token"];
    assert_eq!(grants, BTreeSet::from(known.map(str::to_owned)));
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// `cli/run.rs` is `cli::run`, `cli/mod.rs` is `cli`; `lib.rs` and `main.rs` are the root.
fn module_path(file: &Path) -> Vec<String> {
    let mut modules: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if modules.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        modules.pop();
    }
    modules
}

/// Every edge that the source of a module has to another top-level module: `crate::a::b`, `use crate::{a, b::{c, d}}`,
/// and `super::a` where enough `super`s lead to the root.
fn edges(modules: &[String], source: &str) -> Vec<Edge> {
    let tokens = tokens(source);
    let Some(from) = modules.first() else { return Vec::new() };
    let mut edges = Vec::new();
    // The inline modules around the current token, each with the depth of braces that it was opened at.
    let mut inline: Vec<usize> = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline.last() == Some(&depth) {
                    inline.pop();
                }
            }
            "mod" if text(&tokens, at + 2) == "{" => inline.push(depth),
            "crate" | "super" if at == 0 || tokens[at - 1].text != "::" => {
                let mut levels = modules.len() + inline.len();
                let mut next = at;
                if tokens[at].text == "crate" {
                    levels = 0;
                    next += 1;
                } else {
                    while text(&tokens, next) == "super" {
                        levels = levels.saturating_sub(1);
                        next +=
                            if text(&tokens, next + 1) == "::" && text(&tokens, next + 2) == "super" { 2 } else { 1 };
                    }
                }
                if levels == 0 && text(&tokens, next) == "::" {
                    for token in heads(&tokens, next + 1) {
                        edges.push(Edge { from: from.clone(), to: token.text.clone(), line: token.line });
                    }
                }
                at = next;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    edges
}

/// The first names of a path, or of each path of a group.
fn heads(tokens: &[Token], at: usize) -> Vec<&Token> {
    if text(tokens, at) != "{" {
        return tokens.get(at).into_iter().collect();
    }
    let mut heads = Vec::new();
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if depth == 1 && ["{", ","].contains(&tokens[at - 1].text.as_str()) => heads.push(token),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads.into_iter().filter(|token| token.text != "self" && token.text != ",").collect()
}

struct Token {
    text: String,
    line: usize,
}

fn text(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| token.text.as_str())
}

/// Names, `::` and single signs; comments and the contents of strings are left out.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    let peek = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    while at < chars.len() {
        let start = at;
        match chars[at] {
            '/' if peek(at + 1) == '/' => at += chars[at..].iter().take_while(|c| **c != '\n').count(),
            '/' if peek(at + 1) == '*' => at = end_of_comment(&chars, at),
            '"' => at = end_of_string(&chars, at, None),
            'r' | 'b' | 'c' if let Some((quote, hashes)) = raw_string(&chars, at) => {
                at = end_of_string(&chars, quote, hashes);
            }
            '\'' if peek(at + 1) == '\\' => {
                at += 3;
                at += chars[at..].iter().take_while(|c| **c != '\'').count() + 1;
            }
            '\'' if peek(at + 2) == '\'' => at += 3,
            ':' if peek(at + 1) == ':' => {
                tokens.push(Token { text: "::".to_owned(), line });
                at += 2;
            }
            c if is_name(c) => {
                at += chars[at..].iter().take_while(|c| is_name(**c)).count();
                tokens.push(Token { text: chars[start..at].iter().collect(), line });
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(Token { text: c.to_string(), line });
                }
                at += 1;
            }
        }
        line += chars[start..at.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn end_of_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    break;
                }
            }
            _ => at += 1,
        }
    }
    at
}

/// Where the quote of a literal like `r#"` or `b"` stands; the hashes are `None` if backslashes count.
fn raw_string(chars: &[char], at: usize) -> Option<(usize, Option<usize>)> {
    if at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_') {
        return None;
    }
    let prefix: String = chars[at..].iter().take(2).take_while(|c| "rbc".contains(**c)).collect();
    let raw = prefix.ends_with('r');
    let after = at + prefix.len();
    let hashes = if raw { chars[after..].iter().take_while(|c| **c == '#').count() } else { 0 };
    (chars.get(after + hashes) == Some(&'"')).then_some((after + hashes, raw.then_some(hashes)))
}

fn end_of_string(chars: &[char], quote: usize, hashes: Option<usize>) -> usize {
    let mut at = quote + 1;
    while at < chars.len() {
        match (chars[at], hashes) {
            ('\\', None) => at += 2,
            ('"', None) => return at + 1,
            ('"', Some(hashes)) if chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes => {
                return at + 1 + hashes;
            }
            _ => at += 1,
        }
    }
    at
}

#[test]
fn paths_are_found_however_they_are_written() {
    let found = |file: &str, source: &str| -> Vec<String> {
        edges(&module_path(Path::new(file)), source).into_iter().map(|edge| edge.to).collect()
    };
    let table: &[(&str, &str, &[&str])] = &[
        ("agent.rs", "use crate::call::ToolCall;", &["call"]),
        ("agent.rs", "use crate::{call, model::{self, Message}, store::journal as j};", &["call", "model", "store"]),
        ("agent.rs", "use crate::{\n    clock::{Clock, SystemClock},\n    tool,\n};", &["clock", "tool"]),
        ("agent.rs", "fn f() -> crate::guard::Permit { $crate::cli::main() }", &["guard", "cli"]),
        ("agent.rs", "use super::cli;", &["cli"]),
        ("oauth/device.rs", "use super::poll; use super::super::store;", &["store"]),
        ("oauth/mod.rs", "use super::{http, store::journal};", &["http", "store"]),
        ("oauth/mod.rs", "mod tests { use super::*; use super::super::store; } use super::http;", &["store", "http"]),
        ("oauth/mod.rs", "mod tests { mod inner { use super::super::poll; } }", &[]),
        ("agent.rs", "pub(crate) fn f() {} pub(in crate::agent) fn g() {}", &["agent"]),
        ("agent.rs", "// crate::cli\n/* crate::cli /* nested */ crate::dev */ const A: &str = \"crate::cli\";", &[]),
        ("agent.rs", "const A: &str = r#\"a \" crate::cli\"#; const B: char = '\"'; use crate::call;", &["call"]),
        ("agent.rs", "fn f<'a>(a: &'a str) -> char { '\\'' } use crate::call;", &["call"]),
        ("agent.rs", "const B: &[u8] = b\"crate::cli\\\"\"; use crate::call;", &["call"]),
        ("lib.rs", "pub use crate::cli;", &[]),
    ];
    for (file, source, wanted) in table {
        assert_eq!(found(file, source), *wanted, "{file}: {source}");
    }
    let lines: BTreeMap<String, usize> = edges(&["agent".to_owned()], "//\n\nuse crate::{\n  call,\n  model,\n};")
        .into_iter()
        .map(|e| (e.to, e.line))
        .collect();
    assert_eq!(lines, BTreeMap::from([("call".to_owned(), 4), ("model".to_owned(), 5)]));
}

#[test]
fn a_bad_edge_is_caught() {
    for (from, to) in [
        ("http", "oauth"),
        ("oauth", "store"),
        ("model", "oauth"),
        ("store", "session"),
        ("tool", "session"),
        ("tool", "store"),
        ("guard", "dispatch"),
        ("agent", "session"),
        ("dispatch", "cli"),
        ("dev", "oauth"),
        ("dev", "call"),
        ("clock", "secret"),
        ("agent", "dev"),
        ("agent", "*"),
        ("newcomer", "call"),
    ] {
        assert!(!is_allowed(from, to), "{from} -> {to} is let through");
    }
    for (from, to) in [("cli", "dev"), ("dev", "clock"), ("agent", "model"), ("config", "oauth"), ("store", "store")] {
        assert!(is_allowed(from, to), "{from} -> {to} is refused");
    }
}
