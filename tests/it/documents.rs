//! What docs/conformance.md and docs/threat-model.md claim: every row has a verdict, every test that they name exists,
//! and nothing is left open without a reason. And that each mutation still finds its text and its tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde::Deserialize;

/// What a reason must be longer than.
const SHORTEST_REASON: usize = 15;

/// A row of a table, its cells by the names of their columns.
struct Row {
    line: usize,
    cells: BTreeMap<String, String>,
}

impl Row {
    fn cell(&self, name: &str) -> &str {
        self.cells.get(name).map_or("", String::as_str)
    }
}

/// The rows of every table that has all of these columns.
fn rows(page: &str, columns: &[&str]) -> Vec<Row> {
    let cells = |line: &str| -> Option<Vec<String>> {
        let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        // A bar inside a cell is escaped.
        let parts = inner.replace("\\|", "\u{0}");
        Some(parts.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect())
    };
    let mut found = Vec::new();
    let mut head: Option<Vec<String>> = None;
    for (at, line) in page.lines().enumerate() {
        let Some(cells) = cells(line) else {
            head = None;
            continue;
        };
        let Some(names) = &head else {
            head = Some(cells);
            continue;
        };
        let is_rule = cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| "-:".contains(c)));
        if is_rule || !columns.iter().all(|column| names.iter().any(|name| name == column)) {
            continue;
        }
        assert_eq!(cells.len(), names.len(), "line {}: {line}", at + 1);
        found.push(Row { line: at + 1, cells: names.iter().cloned().zip(cells).collect() });
    }
    found
}

/// The tests that a text names: `path/to/file.rs::function` in backticks.
fn cited(text: &str) -> Vec<(&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs::")).collect()
}

/// Whether the file has a test of that name.
fn is_test(file: &str, name: &str) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{file}.rs"));
    let Ok(source) = fs::read_to_string(path) else { return false };
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        match function {
            Some(rest) if marked && rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('(')) => return true,
            Some(_) => marked = false,
            None => marked |= line == "#[test]" || line.starts_with("#[tokio::test"),
        }
    }
    false
}

/// What is wrong with a row that has a verdict.
fn judged(row: &Row, evidence: &str) -> Vec<String> {
    let text = row.cell(evidence);
    let mut wrong = Vec::new();
    for (file, name) in cited(text) {
        if !is_test(file, name) {
            wrong.push(format!("there is no test {file}.rs::{name}"));
        }
    }
    match row.cell("verdict") {
        "met" if cited(text).is_empty() => wrong.push("met, and no test is named".to_owned()),
        "met" => {}
        "not met" | "n/a" if text.chars().count() <= SHORTEST_REASON => wrong.push("no reason is given".to_owned()),
        "not met" | "n/a" => {}
        other => wrong.push(format!("{other:?} is no verdict")),
    }
    wrong
}

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

const EVIDENCE: &str = "where, or why not";

#[test]
fn no_clause_without_a_test_or_a_reason() {
    let page = page("docs/conformance.md");
    let rows = rows(&page, &["clause", "verdict", EVIDENCE]);
    let mut wrong = Vec::new();
    for row in &rows {
        wrong.extend(judged(row, EVIDENCE).into_iter().map(|why| format!("line {}: {why}", row.line)));
    }
    assert!(wrong.is_empty(), "docs/conformance.md:\n{}", wrong.join("\n"));
    assert!(rows.len() > 200, "{} rows", rows.len());
    // Every requirement of the chapter, by its number.
    let numbers: BTreeSet<&str> = rows.iter().filter_map(|row| row.cell("clause").split(' ').next()).collect();
    for (section, last) in [(1, 5), (2, 6), (3, 6), (4, 4), (5, 5), (6, 6), (7, 5), (8, 6)] {
        for number in 1..=last {
            let clause = format!("9.{section}.{number}");
            assert!(numbers.contains(clause.as_str()), "{clause} has no row");
        }
    }
}

#[test]
fn no_threat_without_an_attack() {
    let page = page("docs/threat-model.md");
    let rows = rows(&page, &["threat", "what stops it", "attacked by"]);
    assert!(rows.len() > 35, "{} rows", rows.len());
    for row in &rows {
        let (line, tests) = (row.line, cited(row.cell("attacked by")));
        assert!(!row.cell("what stops it").is_empty() && !tests.is_empty(), "docs/threat-model.md:{line}");
        for (file, name) in tests {
            assert!(is_test(file, name), "docs/threat-model.md:{line}: there is no test {file}.rs::{name}");
        }
    }
    assert!(page.contains("\n## Not defended\n"));
}

/// The table of the OpenID suite and the one in tests/it/conformance hold the same names.
#[test]
fn the_suites_tests_are_those_that_are_played() {
    let page = page("docs/conformance.md");
    let rows = rows(&page, &["clause", "verdict", EVIDENCE]);
    let named = |verdict: &str| -> BTreeSet<String> {
        let rows = rows.iter().filter(|row| row.cell("verdict") == verdict);
        let names = rows.map(|row| row.cell("clause").trim_matches('`').to_owned());
        names.filter(|name| name.starts_with("fapi-ciba-") || name.starts_with("oidcc-")).collect()
    };
    let played: BTreeSet<String> = crate::conformance::names().into_iter().map(str::to_owned).collect();
    let refused: BTreeSet<String> = ["fapi-ciba-id1-client-refresh-token-test".to_owned()].into();
    assert_eq!(named("not met"), refused);
    assert_eq!(named("met"), &played - &refused);
    assert!(named("n/a").is_disjoint(&played));
}

#[test]
fn a_row_that_claims_too_much_is_caught() {
    let table = |verdict: &str, evidence: &str| {
        let page = format!(
            "| clause | what it asks | verdict | {EVIDENCE} |\n|---|---|---|---|\n| §1 | x \\| y | {verdict} | {evidence} |\n"
        );
        let rows = rows(&page, &["clause", "verdict", EVIDENCE]);
        assert_eq!((rows.len(), rows[0].cell("what it asks")), (1, "x | y"));
        judged(&rows[0], EVIDENCE).join("; ")
    };
    let this = "`tests/it/documents.rs::a_row_that_claims_too_much_is_caught`";
    for (verdict, evidence, found) in [
        ("met", this, ""),
        ("n/a", "For servers, not for clients.", ""),
        ("met", "Surely.", "no test is named"),
        ("met", "`tests/it/documents.rs::rows`", "there is no test"),
        ("met", "`tests/it/documents.rs::a_row`", "there is no test"),
        ("met", "`tests/it/nowhere.rs::a_row`", "there is no test"),
        ("not met", "", "no reason"),
        ("n/a", "Later.", "no reason"),
        ("not met", "See `tests/it/documents.rs::nothing` for more.", "there is no test"),
        ("", this, "is no verdict"),
        ("partly", this, "is no verdict"),
    ] {
        let wrong = table(verdict, evidence);
        assert!(
            if found.is_empty() { wrong.is_empty() } else { wrong.contains(found) },
            "{verdict} {evidence}: {wrong}"
        );
    }
}

#[derive(Deserialize)]
struct Mutations {
    mutation: Vec<Mutation>,
}

/// One of tests/mutations/mutations.toml.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutation {
    name: String,
    removes: String,
    file: String,
    old: String,
    new: String,
    #[serde(default)]
    lib: Vec<String>,
    #[serde(default)]
    it: Vec<String>,
}

/// The files in which a test of that path may stand.
fn homes(root: &str, path: &str) -> Vec<String> {
    let modules = path.split("::").collect::<Vec<_>>().join("/");
    match modules.strip_suffix("/tests") {
        Some(modules) => ["", "/mod", "/tests", "_tests"].map(|end| format!("{root}/{modules}{end}")).to_vec(),
        None => ["", "/mod"].map(|end| format!("{root}/{modules}{end}")).to_vec(),
    }
}

/// The table of mutations counts what there is.
#[test]
fn the_mutations_are_counted() {
    let file = page("tests/mutations/mutations.toml");
    let Mutations { mutation: mutations } = toml::from_str(&file).unwrap();
    let told = page("docs/threat-model.md");
    assert!(told.contains(&format!("There are {} in all", mutations.len())), "{}", mutations.len());
    for module in ["guard", "approval", "oauth/poll", "escape", "store/audit"] {
        let is_its = |one: &&Mutation| one.file.starts_with(&format!("src/{module}"));
        let count = mutations.iter().filter(is_its).count();
        assert!(told.contains(&format!("| `{module}` | {count} | ")), "{module}: {count}");
    }
}

#[test]
fn every_mutation_finds_its_text_and_its_tests() {
    let file = page("tests/mutations/mutations.toml");
    let Mutations { mutation: mutations } = toml::from_str(&file).unwrap();
    assert!(mutations.len() > 60, "{} mutations", mutations.len());
    let names: BTreeSet<&str> = mutations.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names.len(), mutations.len(), "a name stands twice");
    for Mutation { name, removes, file, old, new, lib, it } in &mutations {
        assert_eq!(page(file).matches(old.as_str()).count(), 1, "{name}: how often its text stands in {file}");
        assert!(old != new && !removes.is_empty() && !(lib.is_empty() && it.is_empty()), "{name}");
        for (root, tests) in [("src", lib), ("tests/it", it)] {
            for test in tests {
                let (module, function) = test.rsplit_once("::").unwrap();
                let found = homes(root, module).iter().any(|file| is_test(file, function));
                assert!(found, "{name}: there is no test {root} {test}");
            }
        }
    }
}
