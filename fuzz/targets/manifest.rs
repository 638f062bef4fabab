//! A toolset file of somebody else: it is read or refused, and what is read keeps the rules of docs/tools.md, said here once
//! more: no effect without an approval or a reason, no token to a place in clear, nothing of the model where it would change
//! where a request goes, or where the log would show what is sensitive.

#![no_main]

use agentctl::tool::{
    self, CredentialSource, Effect, Settings,
    manifest::{ApprovalField, Manifest, ToolSpec},
    template::Template,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let findings = tool::check(text);
    let Ok(manifest) = Manifest::parse(text) else {
        assert_eq!(findings.len(), 1, "{findings:?}");
        return;
    };
    if findings.is_empty() {
        manifest.tools.iter().for_each(rules);
        let mut names: Vec<&str> = manifest.tools.iter().map(|tool| tool.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), manifest.tools.len(), "a name is used twice");
    }
});

fn rules(tool: &ToolSpec) {
    let says = |reason: &Option<String>| reason.as_ref().is_some_and(|reason| !reason.trim().is_empty());
    let asked = match &tool.approval {
        Some(ApprovalField::Ask(asked)) => Some(asked),
        Some(ApprovalField::Word(_)) | None => None,
    };
    let nobody = matches!(&tool.approval, Some(ApprovalField::Word(word)) if word == "none");
    let method = tool.request.method.as_str();
    match tool.effect {
        Effect::Read => assert!(["GET", "HEAD"].contains(&method) || says(&tool.effect_reason), "{tool:?}"),
        _ => assert!(asked.is_some() || nobody && says(&tool.approval_reason), "{tool:?}"),
    }
    assert!(!tool.affects_others || tool.permission.is_some(), "{tool:?}");
    assert!(tool.credential.source != CredentialSource::Approval || asked.is_some(), "{tool:?}");
    assert_eq!(
        tool.credential.source == CredentialSource::Connection,
        tool.credential.connection.is_some(),
        "{tool:?}"
    );
    assert!(tool.request.headers.keys().all(|name| !name.eq_ignore_ascii_case("authorization")), "{tool:?}");

    let url = Template::parse(&tool.request.url).expect("a template");
    let base = |name: &str| (name.to_owned(), "https://setting.example/base".to_owned());
    let settings: Settings = url.settings().map(base).collect();
    let shape = url.url_shape(&settings).expect("a shape");
    let here = shape.host_str().is_some_and(|host| ["localhost", "[::1]"].contains(&host) || host.starts_with("127."));
    assert!(shape.scheme() == "https" || here, "{tool:?}");
    let given = |name: &str| {
        tool.parameters["required"]
            .as_array()
            .is_some_and(|names| names.iter().any(|known| known.as_str() == Some(name)))
    };
    assert!(url.arguments().all(given), "{tool:?}");

    let shown = asked.iter().map(|asked| &asked.binding_message).chain(&tool.limits.spend);
    for text in shown.chain(tool.permission.iter().map(|permission| &permission.object)) {
        let template = Template::parse(text).expect("a template");
        assert!(template.arguments().all(|name| !tool.sensitive.iter().any(|hidden| hidden == name)), "{tool:?}");
    }
    assert_eq!(tool.parameters.get("type").and_then(Value::as_str), Some("object"), "{tool:?}");
}
