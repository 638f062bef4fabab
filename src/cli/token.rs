//! `agentctl token`: a fresh access token for a script.

use clap::Args as ClapArgs;
use serde_json::json;

use super::{
    app::App,
    failure::{Failure, Kind},
    recorded::Recorded,
    show::rfc3339,
};
use crate::{
    config::{Config, Setting},
    session::Wanted,
    tool::Guarded,
};

/// Print a fresh access token, for scripts
#[derive(Debug, ClapArgs)]
#[command(after_help = "Only the token goes to stdout. There is none for what a tool with an
approval may do, or one that a policy has a word about, and every use is
written to the audit log.

Examples:
  agentctl token
  agentctl token --audience https://api.example --scope read")]
pub(crate) struct Args {
    /// The API it is for
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// The API's address, for servers that go by resource (RFC 8707)
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
    /// A scope it must have (repeat for more)
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
}

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let mut stop = app.stop(None)?;
    stop.or(print(app, args)).await
}

async fn print(app: &App, args: &Args) -> Result<(), Failure> {
    let own_configs = app.own_configs(app.tenant()?)?;
    let config = app.config()?;
    // Not `config`: whoever calls says with `--config` what stands in that one.
    let handed_out = |own: &Config| own.profile.value == config.profile.value && own.token_for_agents;
    if let Some(agent) = app.calling_agent()
        && !own_configs.iter().any(handed_out)
    {
        return Err(Failure::new(
            Kind::NotPermitted,
            format!("{agent} runs this, and tokens are not handed to agents"),
        )
        .hint(
            "let it use `agentctl run` or `agentctl tools call`; `token_for_agents = true` in the profile allows it, in the \
             config.toml of the configuration's folder",
        ));
    }
    let default = |given: &Option<String>, own: Option<&Setting<String>>| {
        given.clone().or_else(|| own.map(|setting| setting.value.clone()))
    };
    let own = args.audience.is_none() && args.resource.is_none();
    let wanted = Wanted {
        audience: default(&args.audience, config.audience.as_ref().filter(|_| own)),
        resource: default(&args.resource, config.resource.as_ref().filter(|_| own)),
        // On the wire a blank separates scopes, so one value must not pass as one scope and arrive as two.
        scopes: args.scopes.iter().flat_map(|scope| scope.split_whitespace()).map(str::to_owned).collect(),
    };
    let tools = kept_back(app, &own_configs)?;
    if let Some(Guarded { tool, asks, .. }) = guarded(&tools, &wanted) {
        let why = match asks {
            true => format!("what this token could do is what {tool} asks you about first"),
            false => {
                format!("a policy has a word about {tool}, and whoever has this token could do the same without it")
            }
        };
        return Err(Failure::new(Kind::NotPermitted, why).hint(format!("use `agentctl tools call {tool}`")));
    }
    let account = app.logged_in().await?;
    let what = json!({ "audience": wanted.audience, "resource": wanted.resource, "scopes": wanted.scopes });
    let recorded = Recorded::begin(app, &account, "agentctl token", what).await?;
    let granted = app.session().await?.access_token(&wanted).await;
    let stopped = recorded.may_go_on();
    // What was asked for is not always what is granted: a server may give more. One that does not say has given what was
    // asked for, and where nothing was, what the login has (RFC 6749 §5.1, §6).
    let more = granted.as_ref().ok().and_then(|granted| {
        let asked = if wanted.scopes.is_empty() { &account.scopes } else { &wanted.scopes };
        let scopes = granted.scopes.as_ref().unwrap_or(asked).clone();
        guarded(&tools, &Wanted { scopes, ..wanted.clone() })
    });
    let outcome = match (&granted, more) {
        _ if stopped.is_err() => json!({ "outcome": "not_permitted", "message": "everything was stopped" }),
        (Ok(granted), None) => {
            json!({ "outcome": "done", "scopes": granted.scopes, "expires_at": rfc3339(granted.expires_at) })
        }
        (Ok(granted), Some(tool)) => {
            let why = if tool.asks { "needs an approval" } else { "is restricted by a policy" };
            json!({ "outcome": "not_permitted", "scopes": granted.scopes, "message": format!("{} {why}", tool.tool) })
        }
        (Err(error), _) => json!({ "outcome": "failed", "message": error.to_string() }),
    };
    recorded.end(outcome)?;
    stopped?;
    let granted = granted?;
    if let Some(tool) = more {
        return Err(Failure::new(
            Kind::NotPermitted,
            match tool.asks {
                true => format!("the token could do what {} needs an approval for", tool.tool),
                false => format!("the token could do what a policy restricts {} in", tool.tool),
            },
        )
        .hint("let the server grant that scope to the approval client only, or name with --scope what you need"));
    }
    if app.ui.json() {
        app.ui.data(&json!({
            "schema_version": 1, "ok": true, "access_token": granted.token.expose(),
            "expires_at": rfc3339(granted.expires_at), "scopes": granted.scopes,
        }));
    } else {
        app.ui.answer(granted.token.expose());
    }
    Ok(())
}

/// The tools whose token is nobody's to have, by the settings in force, by those of the file, and by those of the folder of the
/// configuration: neither a variable nor `--config` takes anything out.
fn kept_back(app: &App, own: &[Config]) -> Result<Vec<Guarded>, Failure> {
    let mut tools = kept_back_by(app, app.config()?)?;
    tools.extend(kept_back_by(app, &app.config_of_the_file()?)?);
    for config in own {
        tools.extend(kept_back_by(app, config)?);
    }
    Ok(tools)
}

/// Those that ask, and those that a policy has a word about. The vault gives an account's token for one of ours, so that one
/// counts as well.
fn kept_back_by(app: &App, config: &Config) -> Result<Vec<Guarded>, Failure> {
    let policy = app.policy()?;
    let values = |settings: [&Option<Setting<String>>; 2]| -> Vec<String> {
        settings.into_iter().flatten().map(|setting| setting.value.clone()).collect()
    };
    let shown = values([&config.vault.audience, &config.vault.resource]);
    let own = values([&config.audience, &config.resource]);
    let mut tools = App::registry_of(config)?.guarded().to_vec();
    tools.retain(|tool| tool.asks || tool.is_restricted_by(&policy));
    for tool in &mut tools {
        if tool.connected {
            tool.targets.extend(shown.iter().cloned());
        }
        if tool.plain {
            tool.targets.extend(own.iter().cloned());
        }
    }
    Ok(tools)
}

/// The tool whose audience, resource or scope is wanted. Scopes that only name the person are nobody's.
fn guarded<'a>(tools: &'a [Guarded], wanted: &Wanted) -> Option<&'a Guarded> {
    const PERSON: [&str; 6] = ["openid", "profile", "email", "offline_access", "address", "phone"];
    let same_scope = |tool: &Guarded| {
        tool.scopes.iter().any(|scope| !PERSON.contains(&scope.as_str()) && wanted.scopes.contains(scope))
    };
    let targets = [&wanted.audience, &wanted.resource];
    let same_target = |tool: &Guarded| targets.into_iter().flatten().any(|target| tool.targets.contains(target));
    let for_nothing = wanted.audience.is_none() && wanted.resource.is_none();
    tools.iter().find(|tool| same_target(tool) || same_scope(tool) || tool.plain && for_nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Effect;

    #[test]
    fn no_token_for_what_a_tool_asks_about() {
        let mut tools = [Guarded {
            tool: "buy_product".into(),
            toolset: "shop".into(),
            effect: Effect::Irreversible,
            origin: None,
            spends: true,
            asks: true,
            targets: vec!["shop".into(), "https://shop.example".into()],
            scopes: vec!["openid".into(), "product:buy".into()],
            plain: false,
            connected: false,
        }];
        let wanted = |audience: Option<&str>, resource: Option<&str>, scopes: &[&str]| Wanted {
            audience: audience.map(Into::into),
            resource: resource.map(Into::into),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        let asks = |wanted: &Wanted| guarded(&tools, wanted).is_some();
        let plain = wanted(None, None, &["openid"]);
        assert!(asks(&wanted(Some("shop"), None, &[])));
        assert!(asks(&wanted(None, None, &["product:buy"])));
        assert!(asks(&wanted(None, Some("https://shop.example"), &[])));
        assert!(!asks(&wanted(Some("other"), None, &["openid", "product:read"])));
        assert!(!asks(&wanted(None, None, &[])) && !asks(&plain));
        // One whose token is for nothing in particular.
        tools[0].plain = true;
        assert!(guarded(&tools, &plain).is_some() && guarded(&tools, &wanted(Some("other"), None, &[])).is_none());
    }
}
