//! Tools: manifests on disk become things that can be called.
//!
//! A [`Registry`] holds the tools that may be offered. It is built from the toolsets inside the program and the files in
//! the `toolsets` folder of the configuration; a file that breaks a rule stops the loading, a tool whose settings are
//! missing is left out, and neither is ever silently weakened.

mod check;
mod guarded;
mod http;
pub mod manifest;
mod plan;
mod policy_check;
pub mod template;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use serde_json::{Value, json};
use url::Url;

pub use check::{Finding, check};
pub use guarded::Guarded;
pub use http::Executed;
pub use manifest::{CredentialSource, Effect, Idempotency};
pub use plan::{Plan, PlanError};
pub use policy_check::check_policy;
pub use template::Settings;

use manifest::{ApprovalField, Manifest, ToolSpec};
use template::Template;

use crate::files;

const BUILTIN: &[(&str, &str)] =
    &[("shop", include_str!("builtin/shop.toml")), ("okta", include_str!("builtin/okta.toml"))];

/// Why the tools cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A toolset file cannot be read.
    #[error("failed to read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else could have written it.
    #[error(transparent)]
    NotMine(#[from] files::Error),
    /// A toolset file breaks the rules.
    #[error("{origin} breaks the rules of toolsets: {findings}")]
    Rules {
        /// The file.
        origin: String,
        /// The findings, in one line.
        findings: String,
    },
    /// Two tools of one name.
    #[error("{origin} defines the tool `{name}`, which exists already")]
    Duplicate {
        /// The file that came second.
        origin: String,
        /// The name.
        name: String,
    },
}

/// Where requests may go.
#[derive(Clone, Debug, Default)]
pub struct OriginRules {
    /// Whether plain http to this machine is allowed: only if the authorization server is on it too.
    pub loopback_http: bool,
    /// For an audience, the only origins that its tokens may be sent to.
    pub pinned: BTreeMap<String, Vec<String>>,
    /// The audience and the resource of tokens for which a tool names neither.
    pub default_targets: Vec<String>,
}

/// One callable thing.
#[derive(Debug)]
pub struct Tool {
    toolset: String,
    spec: ToolSpec,
    schema: jsonschema::Validator,
    method: reqwest::Method,
    settings: Rc<Settings>,
    source: String,
}

/// A tool that is not offered, and why.
#[derive(Clone, Debug)]
pub struct Hidden {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// The tools of a profile.
#[derive(Debug, Default)]
pub struct Registry {
    tools: BTreeMap<String, Tool>,
    hidden: Vec<Hidden>,
    guarded: Vec<Guarded>,
}

impl Registry {
    /// Loads the toolsets inside the program and those in `folder`, if it exists.
    ///
    /// # Errors
    /// If a file cannot be read or breaks a rule, or a name is taken.
    pub fn load(folder: &Path, settings: &Settings, origins: &OriginRules) -> Result<Self, Error> {
        let mut registry = Self::default();
        let settings = Rc::new(settings.clone());
        for (name, text) in BUILTIN {
            registry.add(&format!("the built-in toolset {name}"), text, &settings, origins)?;
        }
        for path in toolset_files(folder)? {
            files::only_mine(&path)?;
            let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
            registry.add(&path.display().to_string(), &text, &settings, origins)?;
        }
        Ok(registry)
    }

    /// Offers only these tools from now on. The others are hidden, and say why.
    pub fn keep_only(&mut self, names: &[String], why: &str) {
        let left_out = self.tools.keys().filter(|name| !names.contains(name));
        self.hidden.extend(left_out.map(|name| Hidden { name: name.clone(), reason: why.to_owned() }));
        self.tools.retain(|name, _| names.contains(name));
    }

    /// The tools that are offered, by name.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.tools.values()
    }

    /// The tools that are not, and why.
    #[must_use]
    pub fn hidden(&self) -> &[Hidden] {
        &self.hidden
    }

    /// What can be had with the tokens of the tools, also of those that are not offered.
    #[must_use]
    pub fn guarded(&self) -> &[Guarded] {
        &self.guarded
    }

    /// Whether there is a tool of this name, offered or not.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.tools.contains_key(name) || self.hidden.iter().any(|tool| tool.name == name)
    }

    /// One tool.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tool> {
        self.tools.get(name)
    }

    fn add(&mut self, origin: &str, text: &str, settings: &Rc<Settings>, origins: &OriginRules) -> Result<(), Error> {
        let findings = check(text);
        if !findings.is_empty() {
            let findings = findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            return Err(Error::Rules { origin: origin.to_owned(), findings });
        }
        let broken = |why: String| Error::Rules { origin: origin.to_owned(), findings: why };
        let manifest = Manifest::parse(text).map_err(|error| broken(error.to_string()))?;
        for spec in manifest.tools {
            if self.knows(&spec.name) {
                return Err(Error::Duplicate { origin: origin.to_owned(), name: spec.name });
            }
            self.guarded.extend(Guarded::of(&manifest.toolset.name, &spec, settings));
            if let Some(reason) = not_offered(&spec, settings, origins) {
                self.hidden.push(Hidden { name: spec.name, reason });
                continue;
            }
            let schema = compile(&spec.parameters).map_err(broken)?;
            let method = spec.request.method.parse().map_err(|_| broken(format!("{}: no such method", spec.name)))?;
            let tool = Tool {
                toolset: manifest.toolset.name.clone(),
                schema,
                method,
                settings: Rc::clone(settings),
                source: origin.to_owned(),
                spec,
            };
            self.tools.insert(tool.spec.name.clone(), tool);
        }
        Ok(())
    }
}

impl Tool {
    /// What the model calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// What the model is told about it.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.spec.description
    }

    /// The set it belongs to.
    #[must_use]
    pub fn toolset(&self) -> &str {
        &self.toolset
    }

    /// The file it comes from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it does to the world.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.spec.effect
    }

    /// The names of the parameters whose values no log may show.
    #[must_use]
    pub fn sensitive(&self) -> &[String] {
        &self.spec.sensitive
    }

    /// Whether the person is asked.
    #[must_use]
    pub fn needs_approval(&self) -> bool {
        matches!(self.spec.approval, Some(ApprovalField::Ask(_)))
    }

    /// The relation and the object that must hold, if it needs a permission.
    #[must_use]
    pub fn permission(&self) -> Option<(&str, &str)> {
        self.spec.permission.as_ref().map(|permission| (permission.relation.as_str(), permission.object.as_str()))
    }

    /// Where its token comes from, and for which audience and scopes.
    #[must_use]
    pub fn credential(&self) -> (CredentialSource, Option<String>, &[String]) {
        let audience = self.spec.credential.audience.as_ref();
        let audience = audience.and_then(|text| Template::parse(text).ok()?.settled(&self.settings).ok());
        (self.spec.credential.source, audience, &self.spec.credential.scopes)
    }

    /// The connection that its token comes from, and the scopes that the account needs.
    #[must_use]
    pub fn connection(&self) -> Option<(String, &[String])> {
        let credential = &self.spec.credential;
        let name = credential.connection.as_ref().filter(|_| credential.source == CredentialSource::Connection)?;
        let name = Template::parse(name).ok()?.settled(&self.settings).ok()?;
        Some((name, &credential.scopes))
    }

    /// The method and the URL template of its request.
    #[must_use]
    pub fn request(&self) -> (&str, &str) {
        (&self.spec.request.method, &self.spec.request.url)
    }

    /// Its parameters as JSON Schema, closed unless the manifest opens them.
    #[must_use]
    pub fn parameters(&self) -> Value {
        closed(&self.spec.parameters)
    }
}

fn toolset_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::Read { path: folder.to_owned(), source }),
    };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| Error::Read { path: folder.to_owned(), source })?;
    files.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    files.sort();
    Ok(files)
}

/// Why a well-formed tool is not offered under these settings.
fn not_offered(spec: &ToolSpec, settings: &Settings, origins: &OriginRules) -> Option<String> {
    let template = Template::parse(&spec.request.url).ok()?;
    // An audience or resource may be unset: then the server does not need it.
    let needed = std::iter::once(template.clone()).chain(spec.templates());
    let unset = |template: Template| template.settings().find(|name| !settings.contains_key(*name)).map(str::to_owned);
    if let Some(unset) = needed.filter_map(unset).next() {
        return Some(format!("{unset} is not set"));
    }
    if let Some(connection) = &spec.credential.connection
        && let Err(error) = Template::parse(connection).and_then(|connection| connection.settled(settings))
    {
        return Some(error.to_string());
    }
    let url = match template.url_shape(settings) {
        Ok(url) => url,
        Err(error) => return Some(error.to_string()),
    };
    if let Some(reason) = origin_refused(&url, origins) {
        return Some(reason);
    }
    let settled = |text: &String| Template::parse(text).ok()?.settled(settings).ok();
    let named = [&spec.credential.audience, &spec.credential.resource];
    let named = named.into_iter().chain([&spec.credential.connection]);
    let mut targets: Vec<String> = named.flatten().filter_map(settled).collect();
    if targets.is_empty() && spec.credential.source != CredentialSource::None {
        targets.clone_from(&origins.default_targets);
    }
    let origin = url.origin().ascii_serialization();
    targets.iter().find_map(|target| {
        let allowed = origins.pinned.get(target).filter(|allowed| !allowed.contains(&origin))?;
        let allowed = allowed.join(", ");
        Some(format!("{origin} is not among the origins that the profile allows for {target}: {allowed}"))
    })
}

fn origin_refused(url: &Url, origins: &OriginRules) -> Option<String> {
    match url.scheme() {
        "https" => None,
        "http" if is_loopback(url) && origins.loopback_http => None,
        "http" if is_loopback(url) => Some(format!(
            "{} is on this machine without TLS, which is allowed only if the issuer is on this machine too",
            url.origin().ascii_serialization()
        )),
        _ => Some(format!("{} is not https", url.origin().ascii_serialization())),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn closed(parameters: &Value) -> Value {
    let mut schema = parameters.clone();
    if let Some(object) = schema.as_object_mut() {
        object.entry("additionalProperties").or_insert(json!(false));
    }
    schema
}

fn compile(parameters: &Value) -> Result<jsonschema::Validator, String> {
    jsonschema::options().build(&closed(parameters)).map_err(|error| format!("parameters: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn shop(extra: &[(&str, &str)]) -> Registry {
        let mut settings = Settings::from([
            ("SHOP_API_URL".to_owned(), "http://127.0.0.1:9/orders".to_owned()),
            ("SHOP_CATALOG_URL".to_owned(), "http://127.0.0.1:9/products".to_owned()),
            ("SHOP_API_AUDIENCE".to_owned(), "sample-shop-api".to_owned()),
        ]);
        settings.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let rules = OriginRules { loopback_http: true, ..OriginRules::default() };
        Registry::load(Path::new("/nonexistent"), &settings, &rules).unwrap()
    }

    #[test]
    fn an_order_is_planned_to_the_last_byte() {
        let plan = shop(&[]).get("buy_product").unwrap().plan(r#"{"qty":2,"product":"phones"}"#).unwrap();
        assert_eq!(plan.action.origin, "http://127.0.0.1:9");
        assert_eq!(plan.to_json()["request"]["body"], json!({"product": "phones", "qty": 2}));
        let approval = plan.action.requirements.approval.unwrap();
        assert_eq!((approval.message.as_str(), approval.message_is_complete), ("BUY-2-phones", true));
        assert_eq!(plan.action.requirements.spend, crate::policy::Spend::AnyPrice);
    }

    #[test]
    fn a_limit_that_the_message_does_not_show_makes_it_incomplete() {
        let plan =
            shop(&[]).get("buy_product").unwrap().plan(r#"{"qty":2,"product":"phones","price_limit":900}"#).unwrap();
        assert!(!plan.action.requirements.approval.unwrap().message_is_complete);
        assert_eq!(plan.action.requirements.spend.words().as_deref(), Some("up to 900.00 EUR"));
    }

    #[test]
    fn arguments_outside_the_schema_are_refused_with_the_reason() {
        let registry = shop(&[]);
        let tool = registry.get("buy_product").unwrap();
        for (arguments, hint) in [
            (r#"{"qty":0,"product":"x"}"#, "qty"),
            (r#"{"qty":1}"#, "product"),
            (r#"{"qty":1,"product":"x","colour":"red"}"#, "colour"),
            (r#"{"qty":"2","product":"x"}"#, "qty"),
            (r#"{"qty":1,"product":""}"#, "product"),
            (r#"{"qty":1,"product":"  "}"#, "product"),
            (r#"{"qty":1,"product":"x","price_limit":9007199254740993}"#, "53 bits"),
            ("[]", "object"),
            ("{", "JSON"),
        ] {
            let error = tool.plan(arguments).unwrap_err().to_string();
            assert!(error.contains(hint), "{arguments}: {error}");
        }
        assert!(tool.plan(r#"{"qty":1,"product":"x","price_limit":null}"#).is_ok());
    }

    #[test]
    fn what_is_not_configured_or_not_safe_is_not_offered() {
        let reason = |settings: &[(&str, &str)], rules: &OriginRules| {
            let settings = settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let registry = Registry::load(Path::new("/nonexistent"), &settings, rules).unwrap();
            registry.hidden().iter().find(|tool| tool.name == "buy_product").map(|tool| tool.reason.clone())
        };
        let none = OriginRules::default();
        assert_eq!(reason(&[], &none).unwrap(), "SHOP_API_URL is not set");
        assert!(reason(&[("SHOP_API_URL", "http://127.0.0.1:1/o")], &none).unwrap().contains("issuer"));
        assert!(reason(&[("SHOP_API_URL", "http://shop.example/o")], &none).unwrap().contains("not https"));
        assert!(reason(&[("SHOP_API_URL", "file:///etc/passwd")], &none).is_some());
        assert_eq!(reason(&[("SHOP_API_URL", "https://shop.example/o")], &none), None);
        let mut pinned = OriginRules {
            default_targets: Vec::new(),
            loopback_http: false,
            pinned: BTreeMap::from([("shop".to_owned(), vec!["https://shop.example".to_owned()])]),
        };
        let at = |url| reason(&[("SHOP_API_URL", url), ("SHOP_API_AUDIENCE", "shop")], &pinned);
        assert_eq!(at("https://shop.example/o"), None);
        assert!(at("https://evil.example/o").unwrap().contains("not among the origins"));
        let evil = ("SHOP_API_URL", "https://evil.example/o");
        assert!(reason(&[evil, ("SHOP_API_RESOURCE", "shop")], &pinned).unwrap().contains("not among"));
        // A tool that names no audience gets the session's own.
        assert_eq!(reason(&[evil], &pinned), None);
        pinned.default_targets = vec!["shop".to_owned()];
        assert!(reason(&[evil], &pinned).unwrap().contains("not among"));
    }

    #[test]
    fn a_second_tool_of_the_same_name_is_an_error() {
        let folder = std::env::temp_dir().join(format!("agentctl-toolsets-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a.toml"), include_str!("builtin/shop.toml")).unwrap();
        let error = Registry::load(&folder, &Settings::new(), &OriginRules::default()).unwrap_err();
        assert!(matches!(error, Error::Duplicate { .. }), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
