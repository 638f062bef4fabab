//! `agentctl dev`: a tenant in a box, for the first minute and for tests. docs/dev-tenant/ describes it.
//!
//! An authorization server, a shop, a permission store and a model on one loopback port, and a second port to steer them.
//! It keeps nothing, makes fresh keys at each start, and is strict: what a real tenant refuses, it refuses. It shares no
//! code with the client but the clock and the secret types, so that a misspelt field cannot pass both sides.

mod answer;
mod backchannel;
mod catalog;
mod clients;
mod details;
mod device;
mod directory;
mod faults;
mod fga;
mod front;
mod guard;
mod history;
mod inspect;
mod keys;
mod manage;
mod metadata;
mod model;
mod pages;
mod people;
mod phone;
mod preset;
mod random;
mod records;
mod refresh;
mod scopes;
mod shop;
mod token;
mod tokens;
mod vault;
mod wait;
mod wire;
mod world;

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod testing;

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::{self, Request},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use self::{
    answer::{Refusal, bearer},
    clients::{Client, Proof, Role},
    fga::Fga,
    keys::{KeyError, Keys},
    model::Model,
    wire::{Cut, Wire},
    world::{Parts, Secrets, World},
};
pub use self::{
    details::Shown,
    phone::{NothingWaits, Phone, Push},
    preset::{Preset, UnknownPreset},
};
use crate::{
    clock::SharedClock,
    secret::{ApiKey, ClientSecret},
};

/// The public client for the device flow.
pub const LOGIN_CLIENT: &str = "agentctl-login";
/// The confidential client for CIBA.
pub const APPROVAL_CLIENT: &str = "agentctl-approval";

/// The confidential client for exchanging tokens.
pub const VAULT_CLIENT: &str = "agentctl-vault";

/// What the program says loudly when the tenant starts.
pub const WARNING: &str = "This is a development tenant: anybody on this machine can log in as anybody, nothing is \
                           kept, and its keys end with it. Never use it for anything real.";

/// How the tenant is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the tenant listens; port 0 is any free port.
    pub listen: SocketAddr,
    /// Where the management port listens.
    pub manage: SocketAddr,
    /// Seconds a client must leave between two polls (under [`Preset::Oidc`] always 5, and not told).
    pub interval_s: u64,
    /// Whose habits it has.
    pub preset: Preset,
    /// The model's turns.
    pub script: Option<Value>,
    /// Makes the model's chance repeatable.
    pub seed: u64,
    /// How many seconds a refresh token can be used again after it was replaced.
    pub leeway_s: u64,
    /// Allows addresses that other machines can reach.
    pub unsafe_listen: bool,
}

impl Default for Options {
    fn default() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: any_port,
            manage: any_port,
            interval_s: 5,
            preset: Preset::default(),
            script: None,
            seed: 0,
            leeway_s: 0,
            unsafe_listen: false,
        }
    }
}

/// Why the tenant does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Other machines could reach it.
    #[error("listen on {0}: it is not a loopback address, and everybody could log in as anybody there")]
    NotLoopback(SocketAddr),
    /// The address is taken, or not this machine's.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The permission store refuses what it is to begin with.
    #[error("fill the permission store: {0}")]
    Seed(String),
    /// The model's turns do not fit their schema.
    #[error("read the script: {0}")]
    Script(String),
    /// A listener failed later.
    #[error("accept connections")]
    Serve(#[source] io::Error),
}

/// A tenant whose ports are open; [`Tenant::run`] answers them.
pub struct Tenant {
    world: Arc<World>,
    manage_url: String,
    approval_secret: ClientSecret,
    vault_secret: ClientSecret,
    listeners: Mutex<Option<(TcpListener, TcpListener)>>,
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("issuer", &self.world.issuer).finish_non_exhaustive()
    }
}

/// What another process needs to use the tenant.
#[derive(Clone)]
pub struct Ready {
    /// The issuer.
    pub issuer: String,
    /// The page with the pushes; whoever knows it can answer them.
    pub phone_url: String,
    /// The management port.
    pub manage_url: String,
    /// What the management port wants as Bearer token.
    pub manage_token: String,
    /// Variables for the client, in a good order for reading.
    pub env: Vec<(String, String)>,
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Ready {
    /// The one line of `agentctl dev --json`.
    #[must_use]
    pub fn json(&self) -> Value {
        let env: Map<String, Value> =
            self.env.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        json!({
            "schema_version": 1, "event": "ready", "issuer": self.issuer, "phone_url": self.phone_url,
            "manage_url": self.manage_url, "manage_token": self.manage_token, "env": env,
        })
    }
}

/// Opens the ports and makes the keys; nothing is answered before [`Tenant::run`].
pub async fn start(options: Options, clock: SharedClock) -> Result<Tenant, Error> {
    let (listener, address) = listen(options.listen, options.unsafe_listen).await?;
    let (manage, manage_address) = listen(options.manage, options.unsafe_listen).await?;
    let model = Arc::new(Model::new(options.seed));
    if let Some(script) = &options.script {
        model.set_script(script.clone()).map_err(Error::Script)?;
    }
    let approval_secret = ClientSecret::new(random::token());
    let vault_secret = ClientSecret::new(random::token());
    let clients = vec![
        Client::new(LOGIN_CLIENT, Role::Login, Proof::None),
        Client::new(APPROVAL_CLIENT, Role::Approval, Proof::Secret(approval_secret.clone())),
        Client::new(VAULT_CLIENT, Role::Vault, Proof::Secret(vault_secret.clone())),
    ];
    let fga = Fga::seeded(options.preset, clock.now()).map_err(|error| Error::Seed(error.to_string()))?;
    let world = World::new(Parts {
        clock,
        preset: options.preset,
        origin: format!("http://{address}"),
        interval_s: options.interval_s.max(1),
        leeway_s: options.leeway_s,
        unsafe_listen: options.unsafe_listen,
        keys: Keys::generate()?,
        model,
        script: options.script,
        secrets: Secrets {
            phone: random::token(),
            phone_csrf: random::token(),
            manage_token: random::token(),
            model_key: ApiKey::new(format!("dev-{}", random::token())),
            fga_token: ApiKey::new(random::token()),
        },
        clients,
        fga,
    });
    Ok(Tenant {
        world: Arc::new(world),
        manage_url: format!("http://{manage_address}"),
        approval_secret,
        vault_secret,
        listeners: Mutex::new(Some((listener, manage))),
    })
}

async fn listen(address: SocketAddr, unsafe_listen: bool) -> Result<(TcpListener, SocketAddr), Error> {
    if !address.ip().is_loopback() && !unsafe_listen {
        return Err(Error::NotLoopback(address));
    }
    let failed = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let mut bound = listener.local_addr().map_err(failed)?;
    if bound.ip().is_unspecified() {
        // "Every address" cannot be written into a URL.
        bound.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Ok((listener, bound))
}

impl Tenant {
    /// What another process needs: `home` and `passphrase` are the folder and the passphrase its client is to use.
    #[must_use]
    pub fn ready(&self, home: &Path, passphrase: &str) -> Ready {
        Ready {
            issuer: self.world.issuer.clone(),
            phone_url: self.world.url(&self.world.phone_path()),
            manage_url: self.manage_url.clone(),
            manage_token: self.world.secrets.manage_token.clone(),
            env: self.env(home, passphrase),
        }
    }

    /// The variables that point a client at this tenant.
    #[must_use]
    pub fn env(&self, home: &Path, passphrase: &str) -> Vec<(String, String)> {
        let world = &self.world;
        let (fga_store, fga_model) = world.with(|state, _| state.fga.seed_ids());
        let mut env = vec![
            ("AGENTCTL_HOME", home.to_string_lossy().into_owned()),
            ("AGENTCTL_STORE", "file".to_owned()),
            ("AGENTCTL_STORE_PASSPHRASE", passphrase.to_owned()),
            ("AGENTCTL_ISSUER", world.issuer.clone()),
            ("AGENTCTL_PROVIDER", world.preset.to_string()),
            ("AGENTCTL_CLIENT_ID", LOGIN_CLIENT.to_owned()),
            ("AGENTCTL_SCOPES", "openid profile email offline_access".to_owned()),
            ("AGENTCTL_APPROVAL_CLIENT_ID", APPROVAL_CLIENT.to_owned()),
            ("AGENTCTL_APPROVAL_CLIENT_SECRET", self.approval_secret.expose().to_owned()),
            ("AGENTCTL_PERMISSION", "fga".to_owned()),
            ("AGENTCTL_FGA_API_URL", world.url(fga::PREFIX)),
            ("AGENTCTL_FGA_STORE_ID", fga_store),
            ("AGENTCTL_FGA_MODEL_ID", fga_model),
            ("AGENTCTL_FGA_API_TOKEN", world.secrets.fga_token.expose().to_owned()),
            ("AGENTCTL_FGA_CHECK_AGENT", "true".to_owned()),
            ("OPENAI_BASE_URL", world.url("/v1")),
            ("OPENAI_API_KEY", world.secrets.model_key.expose().to_owned()),
            ("AGENTCTL_MODEL", "dev-planner".to_owned()),
            ("SHOP_API_URL", world.url("/shop/orders")),
            ("SHOP_CATALOG_URL", world.url("/shop/products")),
            ("SHOP_API_AUDIENCE", scopes::SHOP_AUDIENCE.to_owned()),
        ];
        // Keycloak's tokens name the client that may exchange them; nothing has to be asked for.
        let vault = if world.preset == Preset::Keycloak { VAULT_CLIENT } else { scopes::VAULT_AUDIENCE };
        env.extend([
            ("AGENTCTL_VAULT_CLIENT_ID", VAULT_CLIENT.to_owned()),
            ("AGENTCTL_VAULT_CLIENT_SECRET", self.vault_secret.expose().to_owned()),
            ("AGENTCTL_VAULT_SUBJECT", "access_token".to_owned()),
            ("AGENTCTL_VAULT_AUDIENCE", vault.to_owned()),
            ("OKTA_ORG_URL", world.url("/okta")),
            ("OKTA_CONNECTION", vault::CONNECTIONS[0].name.to_owned()),
            ("OKTA_APPROVAL_AUDIENCE", scopes::ADMIN_AUDIENCE.to_owned()),
        ]);
        if world.preset == Preset::Oidc {
            env.push(("SHOP_API_RESOURCE", world.shop_resource()));
            env.push(("AGENTCTL_VAULT_RESOURCE", world.vault_resource()));
            env.push(("OKTA_APPROVAL_RESOURCE", world.admin_resource()));
        }
        env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The phone of the tenant's people.
    #[must_use]
    pub fn phone(&self) -> Phone {
        Phone::new(Arc::clone(&self.world))
    }

    /// Answers requests until the future is dropped. A second call has no ports left and waits for ever.
    pub async fn run(&self) -> Result<(), Error> {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((listener, manage)) = listeners else { return std::future::pending().await };
        let manage = manage.tap_io(|stream| {
            // Only slower without it.
            let _ = stream.set_nodelay(true);
        });
        let service = router(Arc::clone(&self.world)).into_make_service_with_connect_info::<Cut>();
        let tenant = async { axum::serve(Wire(listener), service).await };
        let steering = async { axum::serve(manage, steering(Arc::clone(&self.world))).await };
        tokio::try_join!(tenant, steering).map(drop).map_err(Error::Serve)
    }
}

/// The tenant's own port.
fn router(world: Arc<World>) -> Router {
    let model =
        model::router(Arc::clone(&world.model)).layer(middleware::from_fn_with_state(Arc::clone(&world), model_key));
    Router::new()
        .merge(metadata::router(&world))
        .merge(device::router(&world))
        .merge(backchannel::router(&world))
        .merge(token::router(&world))
        .merge(inspect::router(&world))
        .merge(shop::router())
        .nest(fga::PREFIX, fga::router(&world))
        .merge(vault::router())
        .merge(directory::router())
        .merge(pages::router(&world))
        .with_state(Arc::clone(&world))
        .merge(model)
        .fallback(async || Refusal::new(404, "not_found", "there is nothing here").into_response())
        .layer(middleware::from_fn_with_state(Arc::clone(&world), front::pass))
        .layer(middleware::from_fn_with_state(world, guard::check))
}

/// The management port.
fn steering(world: Arc<World>) -> Router {
    manage::router(Arc::clone(&world)).layer(middleware::from_fn_with_state(world, guard::check))
}

/// The model answers only to its key, as a real one would.
async fn model_key(extract::State(world): extract::State<Arc<World>>, request: Request, next: Next) -> Response {
    if bearer(request.headers()) == Some(world.secrets.model_key.expose()) {
        return next.run(request).await;
    }
    let error = json!({"error": {
        "message": "Incorrect API key provided.", "type": "invalid_request_error", "param": null,
        "code": "invalid_api_key",
    }});
    answer::json_answer(401, &error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::SystemClock, dev::testing::Bench};

    #[tokio::test]
    async fn only_this_machine_is_served() {
        let listen: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let clock = || Arc::new(SystemClock::new());
        let refused = start(Options { listen, ..Options::default() }, clock()).await;
        assert!(matches!(refused, Err(Error::NotLoopback(_))));
        let allowed = start(Options { listen, unsafe_listen: true, ..Options::default() }, clock()).await.unwrap();
        assert!(allowed.world.issuer.starts_with("http://127.0.0.1:"));
    }

    #[tokio::test]
    async fn the_ready_line_holds_what_another_process_needs() {
        for (preset, end) in [(Preset::Auth0, "/"), (Preset::Keycloak, "/realms/dev"), (Preset::Oidc, "")] {
            let bench = Bench::new(preset).await;
            let ready = bench.tenant.ready(Path::new("/home/of/dev"), "a passphrase");
            let json = ready.json();
            assert_eq!((json["schema_version"].as_u64(), json["event"].as_str()), (Some(1), Some("ready")));
            assert_eq!(ready.issuer, format!("{}{end}", bench.world.origin));
            assert_eq!(json["env"]["AGENTCTL_PROVIDER"], preset.to_string());
            assert_eq!(json["env"]["AGENTCTL_HOME"], "/home/of/dev");
            for resource in ["SHOP_API_RESOURCE", "AGENTCTL_VAULT_RESOURCE"] {
                assert_eq!(json["env"].get(resource).is_some(), preset == Preset::Oidc);
            }
            for secret in ["AGENTCTL_APPROVAL_CLIENT_SECRET", "AGENTCTL_VAULT_CLIENT_SECRET", "AGENTCTL_FGA_API_TOKEN"]
            {
                let secret = json["env"][secret].as_str().unwrap();
                assert!(!format!("{ready:?} {:?}", bench.tenant).contains(secret));
            }
            for path in bench.world.paths().discovery {
                let document = bench.get(path, "").await.json();
                assert_eq!(document["issuer"], *ready.issuer);
                assert_eq!(document["token_endpoint"], bench.world.url(bench.world.paths().token));
            }
        }
    }

    #[tokio::test]
    async fn the_phone_answers_in_the_same_process() {
        let bench = Bench::new(Preset::Auth0).await;
        let mut phone = bench.tenant.phone();
        let device = bench.device().await;
        phone.approve_login(device["user_code"].as_str().unwrap()).unwrap();
        assert_eq!(bench.device_poll(device["device_code"].as_str().unwrap()).await.status, 200);
        // The phone waits first; the push comes then.
        let (push, asked) = tokio::join!(phone.next_push(), bench.ask(&[]));
        assert_eq!((&*push.person, push.binding_message.as_deref()), ("Ada Lovelace", Some("BUY-2.7F3KQ9ZT")));
        phone.approve(&push.id).unwrap();
        assert!(phone.deny(&push.id).is_err());
        assert_eq!(bench.ciba_poll(asked.json()["auth_req_id"].as_str().unwrap()).await.status, 200);
    }
}
