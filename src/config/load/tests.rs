use super::*;
use crate::{config::remember, files::tests::TempDir, oauth::AuthMethod};

const TOML: &str = r#"
    profile = "work"
    [profiles.work]
    issuer = "https://work.example/"
    provider = "auth0"
    scopes = ["openid", "email"]
    store = "file"
    store_key_file = "key"
    binding = "details"
    bell = false
    [profiles.work.login]
    client_id = "cli"
    [profiles.work.approval]
    client_id = "approver"
    authentication = "private_key_jwt"
    [profiles.work.model]
    name = "m1"
    base_url = "http://localhost:11434/v1/"
    max_tokens = 100
    [profiles.work.limits]
    pushes_per_minute = 2
    [profiles.work.tools]
    SHOP_API_URL = "https://shop.example/orders"
    MY_API = "https://my.example"
    [profiles.work.audiences.shop]
    origins = ["https://shop.example/"]
    [profiles.other]
"#;

/// A home with this configuration, and nothing else from outside.
struct Desk(TempDir);

impl Desk {
    fn new(toml: &str) -> Self {
        let dir = TempDir::new();
        std::fs::create_dir(dir.path("cwd")).unwrap();
        crate::files::write(&dir.path("home/config.toml"), toml.as_bytes()).unwrap();
        Self(dir)
    }

    fn load_with(&self, vars: &[(&str, &str)], overrides: &Overrides) -> Result<Config, Error> {
        let home = self.0.path("home").display().to_string();
        let vars = vars.iter().copied().chain([("AGENTCTL_HOME", home.as_str())]);
        Config::load(&EnvVars::from_pairs(vars), overrides, &self.0.path("cwd"))
    }

    fn load(&self, vars: &[(&str, &str)]) -> Result<Config, Error> {
        self.load_with(vars, &Overrides::default())
    }

    /// Puts a `.env` into the working directory and trusts it.
    fn dotenv(&self, text: &str) {
        std::fs::write(self.0.path("cwd/.env"), text).unwrap();
        let config = self.load(&[]).unwrap();
        let DotEnv::Untrusted { path, hash, .. } = config.dotenv else { panic!("{:?}", config.dotenv) };
        remember(&config.dirs, &path, &hash, true).unwrap();
    }
}

#[test]
fn nothing_configured_is_fine() {
    let config = Desk::new("").load(&[("AGENTCTL_ISSUER", "")]).unwrap();
    assert!(config.issuer.is_none() && config.login.client_id.is_none() && config.model.name.is_none());
    assert_eq!((config.profile.value.as_str(), config.profile.source), ("default", Source::Default));
    assert_eq!(config.store, Setting::default(StoreKind::Keyring));
    assert_eq!(config.scopes.value, SCOPES);
    assert_eq!(config.model.base_url.value, BASE_URL);
    assert_eq!((config.limits.max_turns.value, config.limits.pushes_per_minute.value), (20, 5));
    assert_eq!(config.binding.value, Binding::Message);
    assert!(config.bell && !config.token_for_agents && config.tool_vars.is_empty() && config.warnings.is_empty());
}

#[test]
fn a_profile_is_read_whole() {
    let desk = Desk::new(TOML);
    let config = desk.load(&[]).unwrap();
    let file = desk.0.path("home/config.toml");
    assert_eq!(
        config.issuer.unwrap(),
        Setting { value: "https://work.example/".into(), source: Source::Profile(file) }
    );
    assert_eq!(config.provider.value, Provider::Auth0);
    assert_eq!(config.approval.authentication.unwrap().value, AuthMethod::PrivateKeyJwt);
    assert_eq!(config.store_key_file.unwrap().value, desk.0.path("home/key"));
    assert_eq!(config.model.base_url.value, "http://localhost:11434/v1");
    assert_eq!((config.model.max_tokens.value, config.limits.pushes_per_minute.value), (100, 2));
    assert_eq!(config.tool_vars.keys().collect::<Vec<_>>(), ["MY_API", "SHOP_API_URL"]);
    assert_eq!(config.audiences["shop"], ["https://shop.example"]);
    assert!(!config.bell && config.binding.value == Binding::Details);
}

#[test]
fn the_nearer_place_wins() {
    let desk = Desk::new(TOML);
    std::fs::write(desk.0.path("cwd/vars"), "AGENTCTL_MODEL=m2\nAGENTCTL_CLIENT_ID=cli2\nAGENTCTL_STORE=memory\n")
        .unwrap();
    let file = Overrides { env_file: Some("vars".into()), ..Overrides::default() };
    let config = desk.load_with(&[("AGENTCTL_CLIENT_ID", "cli3")], &file).unwrap();
    let source = Source::EnvFile(desk.0.path("cwd/vars"));
    assert_eq!(config.model.name.unwrap(), Setting { value: "m2".into(), source: source.clone() });
    assert_eq!(
        config.login.client_id.unwrap(),
        Setting { value: "cli3".into(), source: Source::Env("AGENTCTL_CLIENT_ID".into()) }
    );
    assert_eq!(config.store, Setting { value: StoreKind::Memory, source });
    let flags = Overrides { model: Some("m4".into()), store: Some("keyring".into()), ..file };
    let config = desk.load_with(&[("AGENTCTL_MODEL", "m3")], &flags).unwrap();
    assert_eq!(config.model.name.unwrap(), Setting { value: "m4".into(), source: Source::Flag });
    assert_eq!(config.store.value, StoreKind::Keyring);
    let flags = Overrides { profile: Some("other".into()), ..Overrides::default() };
    assert!(desk.load_with(&[("AGENTCTL_PROFILE", "work")], &flags).unwrap().issuer.is_none());
}

#[test]
fn values_that_cannot_be() {
    let cases = [
        ("AGENTCTL_ISSUER", "http://tenant.example", "has to be https"),
        ("AGENTCTL_ISSUER", "https://tenant.example/?x", "no query"),
        ("AGENTCTL_ISSUER", "https://me:pw@tenant.example/", "name or password"),
        ("AGENTCTL_ISSUER", "tenant.example", "is not a URL"),
        ("AGENTCTL_PROVIDER", "okta", "there are auth0, keycloak and oidc"),
        ("AGENTCTL_STORE", "disk", "\"disk\" is not a store; there are keyring file memory"),
        ("AGENTCTL_PERMISSION", "all", "is not a kind of permission"),
        ("AGENTCTL_CLIENT_ID", "  ", "it is empty"),
        ("AGENTCTL_SCOPES", "profile", "openid is missing"),
        ("AGENTCTL_RESOURCE", "shop", "absolute URI"),
        ("OPENAI_BASE_URL", "http://192.168.1.5/v1", "has to be https"),
    ];
    for (name, value, expected) in cases {
        let error = Desk::new("").load(&[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(&format!("(from environment {name})")), "{error}");
    }
    for (toml, expected) in [
        ("limits.pushes_per_minute = 6", "6 is not between 1 and 5"),
        ("limits.max_turns = 0", "0 is not between"),
        ("login.client_id = \"\"", "login.client_id (from profile in "),
        ("binding = \"none\"", "is not a kind of binding"),
        ("approval.authentication = \"mtls\"", "there are none, client_secret_basic"),
        ("audiences.shop.origins = [\"https://shop.example/orders\"]", "more than an origin"),
    ] {
        let error = Desk::new(&format!("[profiles.default]\n{toml}")).load(&[]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn missing_files_and_profiles_are_named() {
    let desk = Desk::new(TOML);
    let error = desk.load(&[("AGENTCTL_PROFILE", "wrok")]).unwrap_err().to_string();
    assert_eq!(error, "there is no profile \"wrok\" (from environment AGENTCTL_PROFILE); known: other, work");
    let flags = Overrides { config: Some("nowhere.toml".into()), ..Overrides::default() };
    assert!(matches!(desk.load_with(&[], &flags), Err(Error::Read { .. })));
    let flags = Overrides { env_file: Some("nowhere".into()), ..Overrides::default() };
    assert!(matches!(desk.load_with(&[], &flags), Err(Error::Read { .. })));
    std::fs::write(desk.0.path("cwd/vars"), "\nAGENTCTL_MODEL='m").unwrap();
    let flags = Overrides { env_file: Some("vars".into()), ..Overrides::default() };
    assert!(desk.load_with(&[], &flags).unwrap_err().to_string().ends_with("vars:2:1: the closing quote is missing"));
}

#[test]
fn a_dotenv_counts_only_when_trusted_and_never_decides_where_things_lie() {
    let desk = Desk::new("");
    let text = "AGENTCTL_ISSUER=https://dot.example\nAGENTCTL_STORE=memory\nSHOP_API_URL=https://shop.example/orders\n";
    std::fs::write(desk.0.path("cwd/.env"), text).unwrap();
    let config = desk.load(&[]).unwrap();
    assert!(config.issuer.is_none() && matches!(config.dotenv, DotEnv::Untrusted { .. }));
    desk.dotenv(text);
    let config = desk.load(&[]).unwrap();
    assert!(matches!(config.issuer.unwrap().source, Source::DotEnv(_)));
    assert_eq!(config.store.value, StoreKind::Keyring);
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].starts_with("AGENTCTL_STORE is ignored in "));
    assert_eq!(config.tool_vars.len(), 1);
}

#[test]
fn a_dotenv_gets_no_secret_and_no_token_of_others() {
    let desk = Desk::new("");
    desk.dotenv("OPENAI_BASE_URL=https://evil.example/v1\nSHOP_API_URL=https://evil.example\n");
    let error = desk.load(&[("OPENAI_API_KEY", "sk-1")]).unwrap_err().to_string();
    assert!(error.starts_with("OPENAI_BASE_URL comes from ") && !error.contains("sk-1"), "{error}");
    let config = desk.load(&[("AGENTCTL_ISSUER", "https://real.example")]).unwrap();
    assert!(config.tool_vars.is_empty() && config.warnings[0].starts_with("SHOP_API_URL in "));
    desk.dotenv("OPENAI_BASE_URL=https://own.example/v1\nOPENAI_API_KEY=sk-own\n");
    assert!(desk.load(&[]).unwrap().model.api_key.is_some());
    desk.dotenv("AGENTCTL_ISSUER=https://evil.example\n");
    let error = desk.load(&[("AGENTCTL_APPROVAL_CLIENT_SECRET", "s")]).unwrap_err();
    assert!(matches!(error, Error::Unpaired { endpoint: "AGENTCTL_ISSUER", .. }));
    // Whoever names the file trusts it.
    let flags = Overrides { env_file: Some(".env".into()), ..Overrides::default() };
    desk.load_with(&[("AGENTCTL_APPROVAL_CLIENT_SECRET", "s")], &flags).unwrap();
}

#[test]
fn misspelt_variables_are_pointed_out() {
    let config = Desk::new("").load(&[("AGENTCTL_ISUER", "x"), ("AGENTCTL_TEST_CLOCK", "x"), ("OTHER", "x")]).unwrap();
    assert_eq!(config.warnings, ["AGENTCTL_ISUER is not a setting; did you mean AGENTCTL_ISSUER?"]);
}

#[test]
fn the_key_of_another_model_has_another_name() {
    let desk = Desk::new("[profiles.default.model]\napi_key_env = \"MY_KEY\"");
    let config = desk.load(&[("OPENAI_API_KEY", "wrong"), ("MY_KEY", "right")]).unwrap();
    assert_eq!(config.model.api_key.unwrap().expose(), "right");
}

#[test]
fn a_profile_has_several_models_and_each_its_own_key_and_price() {
    let desk = Desk::new(
        "[profiles.default.model]\nname = \"m1\"\nprices = { prompt = \"1\", completion = \"2\", currency = \"USD\" }\n\
         [profiles.default.models.fast]\nname = \"llama\"\nbase_url = \"https://models.example/v1\"\n\
         [profiles.default.models.keyed]\nbase_url = \"https://models.example/v1\"\napi_key_env = \"FAST_KEY\"\n\
         [profiles.default.models.big]\nmax_tokens = 9",
    );
    let vars = [("OPENAI_API_KEY", "first"), ("FAST_KEY", "second")];
    let model = |name: &str| {
        let flags = Overrides { model: Some(name.to_owned()), ..Overrides::default() };
        let model = desk.load_with(&vars, &flags).unwrap().model;
        let key = model.api_key.map(|key| key.expose().to_owned());
        (model.name.unwrap().value, model.base_url.value, key, model.max_tokens.value, model.prices.is_some())
    };
    let key = |key: &str| Some(key.to_owned());
    let (openai, other) = ("https://api.openai.com/v1", "https://models.example/v1");
    assert_eq!(model("m1"), ("m1".into(), openai.into(), key("first"), 4096, true));
    assert_eq!(model("m2"), ("m2".into(), openai.into(), key("first"), 4096, false), "its price is not known");
    assert_eq!(model("fast"), ("llama".into(), other.into(), None, 4096, false), "no key of another server");
    assert_eq!(model("keyed"), ("keyed".into(), other.into(), key("second"), 4096, false));
    assert_eq!(model("big"), ("big".into(), openai.into(), key("first"), 9, false));
    let elsewhere = [("OPENAI_BASE_URL", "https://models.example/v1")];
    assert!(desk.load(&elsewhere).unwrap().model.prices.is_none(), "the same model elsewhere has another price");
    assert_eq!(desk.load(&[("AGENTCTL_MODEL", "fast")]).unwrap().model.name.unwrap().value, "llama");
    assert_eq!(desk.load(&[]).unwrap().models, ["big", "fast", "keyed"]);
}

#[test]
fn rows_name_sources_and_no_secrets() {
    let desk = Desk::new(TOML);
    let vars = [
        ("OPENAI_API_KEY", "sk-1"),
        ("AGENTCTL_APPROVAL_CLIENT_SECRET", "s3cret"),
        ("AGENTCTL_STORE_PASSPHRASE", "pw-x"),
    ];
    let config = desk.load(&vars).unwrap();
    let text = format!("{:?} {:?}", config.rows(), config);
    for secret in ["sk-1", "s3cret", "pw-x"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(config.rows().iter().any(|(name, value, source)| {
        (name.as_str(), value.as_str()) == ("model.name", "m1") && source.starts_with("profile in ")
    }));
}

#[test]
fn auth0_is_known_by_its_domain() {
    let provider = |issuer| Desk::new("").load(&[("AGENTCTL_ISSUER", issuer)]).unwrap().provider.value;
    assert_eq!(provider("https://x.eu.auth0.com/"), Provider::Auth0);
    assert_eq!(provider("https://auth0.com.evil.example/"), Provider::Oidc);
}
