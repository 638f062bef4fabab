//! What went wrong at the model, with hints that name the settings it hangs on.

use std::time::Duration;

use super::{
    app::App,
    failure::{Failure, Kind, chain},
    words,
};
use crate::{
    agent,
    call::RunId,
    config::{self, Config, ModelSettings, Source},
    model,
};

/// Whoever is to wait longer need not know how long.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// A turn that failed. If it is one of a run that is over with it, the run goes on with `resume`.
pub(crate) fn of_turn(app: &App, error: agent::Error, run: Option<&RunId>) -> Failure {
    let error = match error {
        agent::Error::Model(error) => error,
        agent::Error::Dispatch(error) => return error.into(),
        agent::Error::Stopped(error) => return error.into(),
        agent::Error::Journal(error) => return error.into(),
    };
    let failure = of_model(app, &error);
    match (run, error) {
        (Some(run), model::Error::ContextOverflow { .. }) => failure
            .hint(format!("`agentctl chat --resume {run}`, and then `/compact`, sums the conversation up"))
            .hint(format!("`agentctl resume {run} --model NAME` asks a model that reads more")),
        (None, model::Error::ContextOverflow { .. }) => failure
            .hint("`/compact` sums the conversation up and `/new` begins another; `/model` takes one that reads more"),
        (Some(run), _) => failure.hint(format!("`agentctl resume {run}` asks the model again")),
        (None, _) => failure,
    }
}

/// A question that was not answered.
pub(crate) fn of_model(app: &App, error: &model::Error) -> Failure {
    use model::Error as E;
    let failure = Failure::new(Kind::Model, chain(error));
    let Ok(config) = app.config() else { return failure };
    let settings = &config.model;
    match error {
        E::Unauthorized { .. } | E::Key => failure.hint(key(settings)),
        E::Address(_) => Failure { kind: Kind::Usage, ..failure }.hint(format!("check {}", address(settings))),
        E::Cut { received, .. } if !received.is_nothing() => {
            failure.hint("what arrived is not the whole answer, and nothing in it was acted upon")
        }
        E::Unreachable(_) | E::Protocol(_) => {
            failure.hint(format!("check {}, and whether the server runs", address(settings)))
        }
        E::Empty => failure.hint("`agentctl doctor` sees whether the model calls tools; `--model` takes another one"),
        E::RateLimited { retry_after, .. } => {
            failure.hint(format!("wait{}, or use another model (`--model`)", pause(*retry_after)))
        }
        E::Status { status: 404, .. } => {
            let failure = match meant(config) {
                Some(near) => failure.hint(format!("did you mean {near}?")),
                None => failure,
            };
            failure.hint(format!("check {} and {}", name(settings), address(settings)))
        }
        _ => failure,
    }
}

/// How long to wait, behind the word.
fn pause(time: Option<Duration>) -> String {
    match time {
        Some(time) if time > A_DAY => " for more than a day".to_owned(),
        Some(time) => format!(" {}", words::time(time)),
        None => String::new(),
    }
}

/// What to do about the key.
pub(crate) fn key(settings: &ModelSettings) -> String {
    let alias = settings.alias.as_ref().map(|alias| format!(" {alias}")).unwrap_or_default();
    let keep = format!("run `agentctl config set-key{alias}`");
    match (&settings.api_key_env, &settings.api_key) {
        (Some(variable), Some(_)) => format!("check {variable}, or unset it and {keep}"),
        (Some(variable), None) => format!("set {variable}, or {keep}"),
        (None, _) => keep,
    }
}

/// Where the address was set, or can be.
pub(crate) fn address(settings: &ModelSettings) -> String {
    place(&settings.base_url.source, "OPENAI_BASE_URL", "base_url")
}

/// Where the name was set, or can be.
pub(crate) fn name(settings: &ModelSettings) -> String {
    match (&settings.alias, &settings.name) {
        (Some(alias), _) => format!("models.{alias} in the profile"),
        (None, Some(name)) => place(&name.source, "AGENTCTL_MODEL", "model.name"),
        (None, None) => "AGENTCTL_MODEL".to_owned(),
    }
}

/// A model of the profile that was meant, if a name looks like a misspelt one.
fn meant(config: &Config) -> Option<&str> {
    let name = config.model.name.as_ref().filter(|_| config.model.alias.is_none())?;
    config::nearest(&name.value, config.models.iter().map(String::as_str))
}

fn place(source: &Source, variable: &str, key: &str) -> String {
    match source {
        Source::Flag => "--model".to_owned(),
        Source::Env(_) | Source::Default => variable.to_owned(),
        Source::EnvFile(path) | Source::DotEnv(path) => format!("{variable} in {}", path.display()),
        Source::Profile(path) => format!("{key} in {}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pause_is_longer_than_anybody_waits() {
        let said = |seconds| pause(Some(Duration::from_secs(seconds)));
        assert_eq!(
            (pause(None), said(90), said(100_000_000_000)),
            (String::new(), " 2 minutes".into(), " for more than a day".into())
        );
    }
}
