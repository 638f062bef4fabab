//! The settings of `config.toml` itself, for what neither a variable nor a flag may take out.

use super::App;
use crate::{
    cli::{
        config::{read, refused},
        failure::Failure,
    },
    config::{Config, Document, Overrides},
};

impl App {
    /// The settings as the file alone has them, whatever the environment says.
    pub(crate) fn config_of_the_file(&self) -> Result<Config, Failure> {
        let overrides = Overrides { env_file: None, ..self.overrides.clone() };
        Ok(Config::load(&self.env.places(), &overrides, &self.folder)?)
    }

    /// The settings of each profile in the `config.toml` of the configuration's folder that is for this issuer, or leaves the
    /// issuer open: whoever calls names another file or another profile, and these hold all the same.
    pub(crate) fn own_configs(&self, issuer: &str) -> Result<Vec<Config>, Failure> {
        let file = self.dirs()?.config.join("config.toml");
        let text = read(&file)?.unwrap_or_default();
        let mut found = Vec::new();
        for (profile, _) in Document::read(&text).map_err(refused)?.profiles() {
            let (config, profile) = (Some(file.clone()), Some(profile));
            let overrides = Overrides { config, profile, env_file: None, ..self.overrides.clone() };
            let config = Config::load(&self.env.places(), &overrides, &self.folder)?;
            if config.issuer.as_ref().is_none_or(|own| own.value == issuer) {
                found.push(config);
            }
        }
        Ok(found)
    }
}
