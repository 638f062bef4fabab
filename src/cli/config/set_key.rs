//! `agentctl config set-key`: the API key of a model goes into the credential store, under the address it is for.

use clap::Args as ClapArgs;
use serde_json::json;

use crate::{
    cli::{
        app::App,
        clients,
        failure::{Failure, Kind},
        prompt,
        ui::Line,
    },
    config,
    secret::{ApiKey, shown_url},
};

#[derive(Debug, ClapArgs)]
#[command(after_help = "The key is kept in the credential store for the address of the model, and is
used there when the environment has none. It is never printed. A key that is
there already is replaced.

Examples:
  agentctl config set-key < key.txt
  pass show openrouter | agentctl config set-key fast
  agentctl config set-key fast --delete")]
pub(super) struct Args {
    /// One of the profile's models; without it, the model in use
    #[arg(value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Forget the key
    #[arg(long)]
    delete: bool,
}

/// Does it.
pub(super) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let mut stop = app.stop(None)?;
    let config = app.config()?;
    if let Some(name) = args.name.as_ref().filter(|name| !config.models.contains(name)) {
        let failure = Failure::new(Kind::Usage, format!("the profile {} has no model {name}", config.profile.value));
        let near = config::nearest(name, config.models.iter().map(String::as_str));
        let failure = near.map(|near| failure.clone().hint(format!("did you mean {near}?"))).unwrap_or(failure);
        return Err(
            failure.hint("models.NAME in the profile makes one; without a name the key is for the model in use")
        );
    }
    let store = app.store()?;
    if !store.lasts() {
        return Err(Failure::new(Kind::Usage, "a key in memory would end with this command")
            .hint("set AGENTCTL_STORE, or store in the profile, to keyring or file"));
    }
    let address = &config.model.base_url.value;
    if args.delete {
        let gone = stop.or(app.patiently(clients::forget_model_key(store, address))).await?;
        if !gone {
            return Err(Failure::new(
                Kind::Failed,
                format!("there is no key for {} in {}", shown_url(address), store.describe()),
            ));
        }
        tell(app, "The key is forgotten that was for ", address);
        return Ok(());
    }
    if app.ui.can_ask() {
        app.ui.say("Paste the key and press Enter, then ^D. (It will be visible; a pipe is better.)");
    }
    let text = zeroize::Zeroizing::new(stop.or(prompt::stdin()).await?);
    let key = text.trim();
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Failure::new(Kind::Usage, "stdin holds no API key"));
    }
    stop.or(app.patiently(clients::keep_model_key(store, address, &ApiKey::new(key)))).await?;
    tell(app, &format!("In {} is now the key for ", store.describe()), address);
    if config.model.api_key.is_some() {
        let name = config.model.api_key_env.as_deref().unwrap_or_default();
        app.ui.warn(&format!("{name} is set in the environment, and wins"));
    }
    Ok(())
}

fn tell(app: &App, what: &str, address: &str) {
    let address = &shown_url(address);
    if app.ui.json() {
        app.ui.data(&json!({ "schema_version": 1, "ok": true, "base_url": address }));
    } else {
        app.ui.status(Line::new().good("✓ ").words(what).field(address));
    }
}
