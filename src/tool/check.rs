//! The rules of toolset files, checked when one is loaded and by `agentctl tools check`.

use std::fmt;

use serde_json::Value;

use super::{
    compile,
    manifest::{ApprovalField, CredentialSource, Effect, Manifest, ToolSpec},
    template::{Settings, Template, may_stand_in_header, templates_in},
};
use crate::escape;

/// Something that a toolset file does wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which tool; none if it is about the whole file.
    pub tool: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tool) = &self.tool {
            write!(f, "{tool}: ")?;
        }
        write!(f, "{} ({})", self.problem, self.mend)
    }
}

/// Checks a toolset file. Nothing found means that it can be loaded.
#[must_use]
pub fn check(text: &str) -> Vec<Finding> {
    let manifest = match Manifest::parse(text) {
        Ok(manifest) => manifest,
        Err(error) => {
            return vec![Finding {
                tool: None,
                problem: error.to_string().trim().replace('\n', " "),
                mend: "see docs/tools.md for the keys of a toolset file".to_owned(),
            }];
        }
    };
    let mut findings = Vec::new();
    if !is_name(&manifest.toolset.name) {
        findings.push(Finding {
            tool: None,
            problem: "the toolset's name is not of `a-z 0-9 _`".to_owned(),
            mend: "rename it".to_owned(),
        });
    }
    let mut names = Vec::new();
    for tool in &manifest.tools {
        if names.contains(&tool.name) {
            findings.push(Finding {
                tool: Some(tool.name.clone()),
                problem: "the name is used twice".to_owned(),
                mend: "rename one of them".to_owned(),
            });
        }
        names.push(tool.name.clone());
        let mut found = Found { tool, findings: &mut findings };
        effect_rules(&mut found);
        setting_rules(&mut found);
        permission_rules(&mut found);
        credential_rules(&mut found);
        request_rules(&mut found);
        argument_rules(&mut found);
        sensitive_rules(&mut found);
    }
    findings
}

struct Found<'a> {
    tool: &'a ToolSpec,
    findings: &'a mut Vec<Finding>,
}

impl Found<'_> {
    fn say(&mut self, problem: impl Into<String>, mend: impl Into<String>) {
        let tool = Some(self.tool.name.clone());
        self.findings.push(Finding { tool, problem: problem.into(), mend: mend.into() });
    }
}

fn effect_rules(found: &mut Found<'_>) {
    let tool = found.tool;
    if !is_name(&tool.name) {
        found.say("the name is not of `a-z 0-9 _`, up to 64", "rename it");
    }
    let has_reason = |reason: &Option<String>| reason.as_ref().is_some_and(|text| !text.trim().is_empty());
    if tool.effect == Effect::Read {
        if !matches!(tool.request.method.as_str(), "GET" | "HEAD") && !has_reason(&tool.effect_reason) {
            found.say("a read uses neither GET nor HEAD", "say why in effect_reason, or declare another effect");
        }
    } else {
        match &tool.approval {
            Some(ApprovalField::Ask(_)) => {}
            Some(ApprovalField::Word(word)) if word == "none" && has_reason(&tool.approval_reason) => {}
            Some(ApprovalField::Word(word)) if word == "none" => {
                found.say("approval = \"none\" without a reason", "give the reason in approval_reason");
            }
            Some(ApprovalField::Word(word)) => {
                found.say(format!("approval = \"{word}\" means nothing"), "write a table, or \"none\"");
            }
            None => found.say(
                "it has an effect but asks nobody",
                "add [tool.approval], or approval = \"none\" with approval_reason",
            ),
        }
    }
    if tool.affects_others && tool.permission.is_none() {
        found.say("it acts on somebody else without a permission", "add [tool.permission]");
    }
    if let Some(ApprovalField::Ask(ask)) = &tool.approval
        && tool.credential.source == CredentialSource::Approval
        && (ask.audience.is_some() || ask.resource.is_some())
    {
        found
            .say("the approval's token is the call's, and has its audience there", "name it in [tool.credential] only");
    }
    let asks = matches!(tool.approval, Some(ApprovalField::Ask(_)));
    if tool.credential.source == CredentialSource::Approval && !asks {
        found.say("its token comes from an approval, but it asks for none", "add [tool.approval]");
    }
    if let Some(ApprovalField::Ask(ask)) = &tool.approval
        && ask.expires_in == 0
    {
        found.say("expires_in is 0", "give the person some time");
    }
    details_rules(found);
    if tool.limits.spend.is_some() != tool.limits.currency.is_some() {
        found.say("spend and currency come together", "add the other one to [tool.limits]");
    }
}

fn details_rules(found: &mut Found<'_>) {
    let Some(ApprovalField::Ask(ask)) = &found.tool.approval else { return };
    let Some(details) = &ask.authorization_details else { return };
    if details.kind.trim().is_empty() {
        found.say("the authorization_details have no type", "name the type that the authorization server knows");
    }
    let Some(instruction) = &details.instruction else { return };
    let length = instruction.encode_utf16().count();
    if instruction.trim().is_empty() || length > 255 || escape::field(instruction) != *instruction {
        found.say("the instruction is not a line of 1 to 255 visible characters", "mend or shorten it");
    }
    if instruction.contains("{{") || instruction.contains("}}") {
        found.say("the instruction has a placeholder", "say in it what the tool does; the values stand beside it");
    }
}

/// Settings are those of tools: what agentctl itself is configured with, secrets above all, is not for manifests.
fn setting_rules(found: &mut Found<'_>) {
    let tool = found.tool;
    let credential = &tool.credential;
    let more = [&tool.request.url].into_iter().chain(&credential.audience).chain(&credential.resource);
    let more = more.chain(&credential.scopes).chain(&tool.result.summary);
    let mut named: Vec<String> = Vec::new();
    for template in more.filter_map(|text| Template::parse(text).ok()).chain(tool.templates()) {
        named.extend(template.settings().map(str::to_owned));
    }
    named.sort();
    named.dedup();
    let ours = |name: &&String| {
        ["AGENTCTL_", "OPENAI_"].iter().any(|start| name.starts_with(start)) || matches!(name.as_str(), "HOME" | "PATH")
    };
    for name in named.iter().filter(ours) {
        found.say(format!("{{{{ env.{name} }}}} is no setting of tools"), "use a key of [profiles.NAME.tools]");
    }
    for scope in credential.scopes.iter().filter(|scope| scope.contains("{{") || scope.contains(char::is_whitespace)) {
        found.say(format!("{scope:?} is not a scope"), "write each scope as it is");
    }
    if let Some(Err(error)) = tool.result.summary.as_ref().map(|text| Template::parse(text)) {
        found.say(error.to_string(), "mend the summary");
    }
}

fn permission_rules(found: &mut Found<'_>) {
    let Some(permission) = &found.tool.permission else { return };
    let tuples = &permission.contextual_tuples;
    for relation in tuples.iter().map(|tuple| &tuple.relation).chain([&permission.relation]) {
        let fits = (1..=50).contains(&relation.len())
            && !relation.chars().any(|c| c.is_whitespace() || c.is_control() || ":#@*".contains(c));
        if !fits {
            found.say(format!("{relation:?} is not a relation"), "name a relation of the authorization model");
        }
    }
    if tuples.len() > 100 {
        found.say("there are more than 100 contextual tuples", "store facts in the permission server");
    }
    // With a stand-in for everything that is known only later, what is left is the manifest's own.
    let stand_in = |names: &mut dyn Iterator<Item = &str>| -> Settings {
        names.map(|name| (name.to_owned(), "x".to_owned())).collect()
    };
    let users = tuples.iter().map(|tuple| &tuple.user).filter(|user| !matches!(user.as_str(), "me" | "agent"));
    for text in tuples.iter().map(|tuple| &tuple.object).chain(users).chain([&permission.object]) {
        let filled = Template::parse(text).and_then(|template| {
            let arguments = template.arguments().map(|name| (name.to_owned(), Value::from("x"))).collect();
            template.fga_id(&stand_in(&mut template.settings()), &arguments)
        });
        if let Err(error) = filled {
            found.say(error.to_string(), "write `type:id`; only the id may hold a placeholder");
        }
        if *text != permission.object
            && Template::parse(text).is_ok_and(|template| template.arguments().next().is_some())
        {
            let problem = "an argument stands in a contextual tuple: the model could tell the server what to believe";
            found.say(problem, "name settings only");
        }
        let kind = text.split(':').next().unwrap_or_default();
        if kind.contains("{{") {
            found.say(format!("the type of {text} is not fixed"), "write the type as it is in the model");
        }
    }
}

fn credential_rules(found: &mut Found<'_>) {
    let credential = &found.tool.credential;
    match (credential.source, &credential.connection) {
        (CredentialSource::Connection, None) => {
            found.say("its token comes from a connection, and none is named", "add connection to [tool.credential]");
        }
        (CredentialSource::Connection, Some(_)) if credential.audience.is_some() || credential.resource.is_some() => {
            found.say("a connection's token has no audience of its own", "take audience and resource away");
        }
        (CredentialSource::Connection, Some(_)) | (_, None) => {}
        (_, Some(_)) => found.say("a connection is named that is not used", "set source = \"connection\""),
    }
}

fn request_rules(found: &mut Found<'_>) {
    let request = &found.tool.request;
    if !matches!(request.method.as_str(), "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE") {
        found.say(format!("{} is not a method for tools", request.method), "use GET, HEAD, POST, PUT, PATCH or DELETE");
    }
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase();
        let ours = ["authorization", "proxy-authorization", "cookie", "host", "content-length", "transfer-encoding"];
        if ours.contains(&name.as_str()) || name == "idempotency-key" || name == "connection" {
            found.say(format!("the header {name} is not for manifests"), "use [tool.credential] or idempotency");
        } else if reqwest::header::HeaderName::try_from(name.as_str()).is_err() {
            found.say(format!("{name} is not a header name"), "rename it");
        } else if !value.chars().all(may_stand_in_header) {
            found.say(format!("the header {name} is not one line of printable ASCII"), "mend its value");
        }
    }
    // The shape is checked with a stand-in for every setting: what the settings are is known only when it is loaded.
    match Template::parse(&request.url) {
        Err(error) => found.say(error.to_string(), "mend the url"),
        Ok(template) => {
            let stand_in: Settings =
                template.settings().map(|name| (name.to_owned(), "https://setting.invalid/base".to_owned())).collect();
            match template.url_shape(&stand_in) {
                Err(error) => found.say(error.to_string(), "let the url start with a setting or a fixed https origin"),
                Ok(url) if url.scheme() != "https" && !super::is_loopback(&url) => {
                    found.say(format!("{} is not https", url.origin().ascii_serialization()), "use https");
                }
                Ok(_) => {}
            }
        }
    }
}

fn argument_rules(found: &mut Found<'_>) {
    let tool = found.tool;
    if tool.parameters.get("type").and_then(Value::as_str) != Some("object") {
        found.say("parameters are not of type object", "set type = \"object\"");
    }
    if let Err(error) = compile(&tool.parameters) {
        found.say(error, "mend the JSON Schema");
    }
    let declared: Vec<&str> = tool
        .parameters
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let required: Vec<&str> = tool
        .parameters
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();

    let mut optional_allowed: Vec<&String> = tool.request.query.values().collect();
    optional_allowed.extend(&tool.limits.spend);
    let mut must_be_given: Vec<&String> = vec![&tool.request.url];
    must_be_given.extend(tool.request.headers.values());
    if let Some(ApprovalField::Ask(ask)) = &tool.approval {
        must_be_given.push(&ask.binding_message);
    }
    if let Some(permission) = &tool.permission {
        let tuples = &permission.contextual_tuples;
        must_be_given.push(&permission.object);
        must_be_given.extend(tuples.iter().flat_map(|tuple| [&tuple.user, &tuple.object]));
    }
    for (text, needed) in
        optional_allowed.iter().map(|text| (text, false)).chain(must_be_given.iter().map(|text| (text, true)))
    {
        match Template::parse(text) {
            Err(error) => found.say(error.to_string(), "mend the template"),
            Ok(template) => {
                for name in template.arguments() {
                    if !declared.contains(&name) {
                        found.say(format!("{{{{ {name} }}}} is not a parameter"), "declare it, or mend the template");
                    } else if needed && !required.contains(&name) {
                        found.say(
                            format!("{{{{ {name} }}}} is optional but stands where it must be given"),
                            "add it to required",
                        );
                    }
                }
            }
        }
    }
    let context = tool.permission.iter().flat_map(|permission| permission.context.values());
    for value in tool.request.json.iter().chain(context) {
        match templates_in(value) {
            Err(error) => found.say(error.to_string(), "mend the template"),
            Ok(templates) => {
                for template in &templates {
                    for name in template.arguments().filter(|name| !declared.contains(name)) {
                        found.say(format!("{{{{ {name} }}}} is not a parameter"), "declare it, or mend the template");
                    }
                }
            }
        }
    }
    let credential = &tool.credential;
    let mut fixed = vec![
        ("audience", &credential.audience),
        ("resource", &credential.resource),
        ("connection", &credential.connection),
    ];
    if let Some(ApprovalField::Ask(ask)) = &tool.approval {
        fixed.extend([("approval's audience", &ask.audience), ("approval's resource", &ask.resource)]);
    }
    for (what, text) in fixed {
        let Some(text) = text else { continue };
        match Template::parse(text) {
            Err(error) => found.say(error.to_string(), "mend the template"),
            Ok(template) if template.arguments().next().is_some() => {
                found.say(format!("an argument stands in the {what}"), "it is fixed or a setting");
            }
            Ok(_) => {}
        }
    }
}

/// What is hashed in the audit log must not stand in clear beside it.
fn sensitive_rules(found: &mut Found<'_>) {
    let tool = found.tool;
    let mut shown: Vec<(&str, &String)> = Vec::new();
    if let Some(ApprovalField::Ask(ask)) = &tool.approval {
        shown.push(("the binding message", &ask.binding_message));
    }
    if let Some(spend) = &tool.limits.spend {
        shown.push(("the spend limit", spend));
    }
    if let Some(permission) = &tool.permission {
        let tuples = permission.contextual_tuples.iter().flat_map(|tuple| [&tuple.user, &tuple.object]);
        shown.extend(tuples.chain([&permission.object]).map(|text| ("the permission", text)));
    }
    for name in &tool.sensitive {
        if tool.parameters.get("properties").is_none_or(|declared| declared.get(name).is_none()) {
            found.say(format!("{name} is sensitive but not a parameter"), "declare it, or take it out of sensitive");
        }
        for (place, text) in &shown {
            if Template::parse(text).is_ok_and(|template| template.arguments().any(|argument| argument == name)) {
                found.say(
                    format!("{name} is sensitive but stands in {place}"),
                    "it goes to the log; leave it out there",
                );
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(tool: &str) -> String {
        let text = format!(
            "[toolset]\nname = \"x\"\ndescription = \"x\"\n[[tool]]\nname = \"t\"\ndescription = \"t\"\n{tool}"
        );
        check(&text).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_shipped_toolsets_keep_the_rules() {
        for (name, text) in super::super::BUILTIN {
            assert_eq!(check(text), [], "{name}");
        }
    }

    #[test]
    fn each_rule_bites() {
        let get = "request = { method = \"GET\", url = \"https://x.example/\" }";
        let post = "request = { method = \"POST\", url = \"https://x.example/\" }";
        let asks = |details: &str| {
            let approval = format!("approval = {{ binding_message = \"B\", authorization_details = {{ {details} }} }}");
            format!("effect = \"reversible\"\n{approval}\n{post}")
        };
        for (tool, expected) in [
            (format!("effect = \"read\"\n{get}"), ""),
            (format!("effect = \"read\"\n{post}"), "neither GET nor HEAD"),
            (format!("effect = \"read\"\neffect_reason = \"a search\"\n{post}"), ""),
            (format!("effect = \"reversible\"\n{post}"), "asks nobody"),
            (format!("effect = \"reversible\"\napproval = \"none\"\n{post}"), "without a reason"),
            (format!("effect = \"reversible\"\napproval = \"none\"\napproval_reason = \"a draft\"\n{post}"), ""),
            (format!("effect = \"reversible\"\napproval = \"maybe\"\n{post}"), "means nothing"),
            (format!("effect = \"read\"\naffects_others = true\n{get}"), "without a permission"),
            (format!("effect = \"read\"\ncredential = {{ source = \"approval\" }}\n{get}"), "comes from an approval"),
            ("effect = \"read\"\nrequest = { method = \"GET\", url = \"https://{{ host }}/\" }".to_owned(), "path segment"),
            ("effect = \"read\"\nrequest = { method = \"GET\", url = \"https://x.example/{{ id }}\" }".to_owned(), "not a parameter"),
            ("effect = \"read\"\nrequest = { method = \"TRACE\", url = \"https://x.example/\" }".to_owned(), "not a method"),
            (
                "effect = \"read\"\nrequest = { method = \"GET\", url = \"https://x.example/\", headers = { Authorization = \"x\" } }".to_owned(),
                "not for manifests",
            ),
            (
                "effect = \"read\"\nrequest = { method = \"GET\", url = \"https://x.example/\", headers = { X = \"a\\nb\" } }".to_owned(),
                "not one line",
            ),
            ("effect = \"read\"\nrequest = { method = \"GET\", url = \"http://x.example/\" }".to_owned(), "is not https"),
            (
                "effect = \"read\"\nrequest = { method = \"GET\", url = \"https://x.example/\", headers = { X = \"{{ env.OPENAI_API_KEY }}\" } }".to_owned(),
                "no setting of tools",
            ),
            (format!("effect = \"read\"\nresult = {{ summary = \"{{{{ oops\" }}\n{get}"), "not a template"),
            (format!("effect = \"read\"\ncredential = {{ source = \"user\", scopes = [\"{{{{ env.X }}}}\"] }}\n{get}"), "not a scope"),
            (format!("effect = \"read\"\ncredential = {{ source = \"connection\" }}\n{get}"), "none is named"),
            (format!("effect = \"read\"\ncredential = {{ source = \"user\", connection = \"okta\" }}\n{get}"), "not used"),
            (
                format!("effect = \"read\"\ncredential = {{ source = \"connection\", connection = \"{{{{ id }}}}\" }}\n{get}"),
                "an argument stands in the connection",
            ),
            (format!("effect = \"read\"\npermission = {{ relation = \"a b\", object = \"x:y\" }}\n{get}"), "not a relation"),
            (format!("effect = \"read\"\npermission = {{ relation = \"a\", object = \"x\" }}\n{get}"), "not `type:id`"),
            (format!("effect = \"read\"\npermission = {{ relation = \"a\", object = \"x:{{{{ id }}}}\" }}\n{get}"), "not a parameter"),
            (
                format!(
                    "effect = \"read\"\nparameters = {{ type = \"object\", required = [\"g\"], properties = {{ g = {{ type = \"string\" }} }} }}\n\
                     permission = {{ relation = \"a\", object = \"x:y\", contextual_tuples = [{{ user = \"me\", relation = \"member\", object = \"group:{{{{ g }}}}\" }}] }}\n{get}"
                ),
                "stands in a contextual tuple",
            ),
            (
                format!("effect = \"read\"\npermission = {{ relation = \"a\", object = \"{{{{ env.TYPE }}}}:x\" }}\n{get}"),
                "type of",
            ),
            (
                format!("effect = \"read\"\npermission = {{ relation = \"a\", object = \"x:y\", context = {{ n = \"{{{{ n }}}}\" }} }}\n{get}"),
                "not a parameter",
            ),
            (asks("type = \"x\", instruction = \"Buy in the shop\""), ""),
            (asks("type = \" \""), "no type"),
            (asks("type = \"x\", instruction = \"Buy {{ qty }}\""), "placeholder"),
            (asks("type = \"x\", instruction = \"\""), "visible characters"),
            (asks("type = \"x\", instruction = \"a\\nb\""), "visible characters"),
            (format!("effect = \"read\"\nlimits = {{ spend = \"1\" }}\n{get}"), "come together"),
            (format!("effect = \"read\"\nparameters = {{ type = \"array\" }}\n{get}"), "type object"),
            (format!("effect = \"destroy\"\n{get}"), "unknown variant"),
            (format!("effect = \"read\"\nsensitive = [\"pin\"]\n{get}"), "pin is sensitive but not a parameter"),
            (
                format!(
                    "effect = \"read\"\nsensitive = [\"pin\"]\nparameters = {{ type = \"object\", required = [\"pin\"], \
                     properties = {{ pin = {{ type = \"string\" }} }} }}\napproval = {{ binding_message = \"PIN-{{{{ pin }}}}\" }}\n{get}"
                ),
                "stands in the binding message",
            ),
            (
                format!(
                    "effect = \"read\"\nsensitive = [\"who\"]\nparameters = {{ type = \"object\", required = [\"who\"], \
                     properties = {{ who = {{ type = \"string\" }} }} }}\n\
                     permission = {{ relation = \"a\", object = \"user:{{{{ who }}}}\" }}\n{get}"
                ),
                "stands in the permission",
            ),
        ] {
            let problems = problems(&tool);
            assert!(if expected.is_empty() { problems.is_empty() } else { problems.contains(expected) }, "{tool}\n-> {problems}");
        }
    }
}
