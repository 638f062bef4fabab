//! Arguments at the edges.

use std::rc::Rc;

use super::*;
use crate::{
    json::testing::canonical,
    tool::{OriginRules, Registry},
};

/// A tool that takes anything.
fn anything() -> Registry {
    let manifest = r#"
        [toolset]
        name = "any"
        description = "x"
        [[tool]]
        name = "any"
        description = "x"
        effect = "irreversible"
        parameters = { type = "object", additionalProperties = true }
        approval = { binding_message = "ANY", authorization_details = { type = "anything" } }
        request = { method = "POST", url = "https://x.example/" }
    "#;
    let mut registry = Registry::default();
    registry.add("a test", manifest, &Rc::new(Settings::new()), &OriginRules::default()).unwrap();
    registry
}

fn plan(arguments: &str) -> Result<Plan, PlanError> {
    anything().get("any").unwrap().plan(arguments)
}

/// From the text of the model to the plan and its digest; the journal's copy has the same one.
fn planned(text: &str) -> Result<(), String> {
    let plan = plan(text).map_err(|error| error.to_string())?;
    let action = &plan.action;
    let whole = json!({ "tool": "any", "origin": "https://x.example", "arguments": action.arguments });
    assert_eq!(Digest::of_bytes(canonical(&whole).as_bytes()), action.digest, "{text}");
    let kept: Value = serde_json::from_str(&action.to_json().to_string()).unwrap();
    let kept = Action::digest_of(&action.tool, &action.origin, kept["arguments"].as_object().unwrap()).unwrap();
    assert_eq!(kept, action.digest, "{text}");
    Ok(())
}

#[test]
fn arguments_at_the_edges_are_planned_or_refused() {
    for text in [
        r#"{"n":1e308}"#,
        r#"{"n":-0}"#,
        r#"{"n":-0.0}"#,
        r#"{"n":5e-324}"#,
        r#"{"n":0.30000000000000004}"#,
        r#"{"n":9007199254740991}"#,
        r#"{"n":-9007199254740991}"#,
        r#"{"n":123456789.12345679}"#,
        r#"{"t":"\u0000\ud83d\ude00\"\\/"}"#,
        r#"{"":{"":[[]]}}"#,
    ] {
        assert_eq!(planned(text), Ok(()), "{text}");
    }
    let deep = |levels: usize| format!("{}{}", "{\"a\":".repeat(levels), format_args!("1{}", "}".repeat(levels)));
    assert_eq!(planned(&deep(64)), Ok(()));
    let megabyte = format!(r#"{{"t":"{}"}}"#, "x".repeat(MAX_ARGUMENTS - 8));
    assert_eq!((megabyte.len(), planned(&megabyte)), (MAX_ARGUMENTS, Ok(())));
    for (text, why) in [
        (megabyte.replacen('x', "xx", 1), "larger than"),
        (deep(65), "nested more than 64 levels"),
        (deep(129), "nested more than 64 levels"),
        (r#"{"n":9007199254740993}"#.to_owned(), "53 bits"),
        (r#"{"n":1e999}"#.to_owned(), "out of range"),
        (r#"{"qty":1,"qty":2}"#.to_owned(), "/qty stands twice"),
        (r#"{"a":{"qty":1,"q\u0074y":1}}"#.to_owned(), "/a/qty stands twice"),
        (r#"{"qty":1,"qty":null}"#.to_owned(), "/qty stands twice"),
        (r#"{"t":"\ud83d"}"#.to_owned(), "hex escape"),
        ("{}{}".to_owned(), "trailing"),
    ] {
        let error = planned(&text).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
    }
}
