//! What the doctor looks at of the guard: the permission server, and the policies.

use super::Report;
use crate::{
    cli::{app::App, clients},
    config::{Config, Permission},
    fga::{Check, TupleKey},
    policy::Permission as Wanted,
    secret::shown_url,
    session::Account,
    tool::{Registry, check_policy},
};

/// Whether the permission server answers about every tool that asks it.
pub(super) async fn permission(
    app: &App,
    config: &Config,
    registry: Option<&Registry>,
    account: Option<&Account>,
    report: &mut Report<'_>,
) {
    const NAME: &str = "permission";
    let kind = config.permission.as_ref().map(|setting| setting.value);
    let words = crate::cli::whoami::permission(kind);
    let fga = match (kind, &config.fga) {
        (None, _) => return report.skipped(NAME, words),
        (Some(Permission::None), _) => return report.ok(NAME, words),
        (Some(Permission::Fga), None) => {
            let mend = "set AGENTCTL_FGA_API_URL and AGENTCTL_FGA_STORE_ID; with AGENTCTL_PERMISSION=none only you decide, \
                        by approvals";
            return report.broken(NAME, "fga, and no server is configured: tools with a permission are refused", mend);
        }
        (Some(Permission::Fga), Some(fga)) => fga,
    };
    let server = match app.http().and_then(|http| clients::fga(fga, http, &app.clock)) {
        Ok(server) => server,
        Err(failure) => return report.failed(NAME, &failure),
    };
    let user = match account {
        Some(account) => format!("user:{}", account.sub),
        // Anybody will do to see whether the server answers.
        None => "user:nobody".to_owned(),
    };
    let mut asked: Vec<Wanted> = Vec::new();
    for tool in registry.into_iter().flat_map(Registry::tools) {
        let Some((relation, object)) = tool.permission() else { continue };
        // With an argument in its name the object is known only when the tool is called.
        let wanted = Wanted { relation: relation.to_owned(), object: object.to_owned(), ..Wanted::default() };
        if !object.contains("{{") && !asked.contains(&wanted) {
            asked.push(wanted);
        }
    }
    let questions: Vec<Check> = asked
        .iter()
        .map(|wanted| Check {
            tuple_key: TupleKey {
                user: user.clone(),
                relation: wanted.relation.clone(),
                object: wanted.object.clone(),
            },
            contextual_tuples: Vec::new(),
            context: serde_json::Map::new(),
        })
        .collect();
    let place = format!("{}, store {}", shown_url(&fga.api_url.value), fga.store_id.value);
    if questions.is_empty() {
        return report.skipped(NAME, format!("{place}: no tool that is offered asks it"));
    }
    match server.check(&questions).await {
        Ok(answers) => {
            let rights = asked.iter().zip(answers).map(|(Wanted { relation, object, .. }, allowed)| {
                format!("{relation} on {object}: {}", if allowed { "yes" } else { "no" })
            });
            report.ok(NAME, format!("{place} answers about {user}: {}", rights.collect::<Vec<_>>().join(", ")));
        }
        Err(error) => {
            let mend = "tools with a permission are refused until it answers; look at the AGENTCTL_FGA_ variables, and \
                        whether the store's model has these types and relations";
            report.broken(NAME, format!("{place}: {error}"), mend);
        }
    }
    if fga.model_id.is_none() {
        let mend = "pin the model with AGENTCTL_FGA_MODEL_ID, so that a new one cannot change what is permitted unseen";
        report.warn(NAME, "the store's newest authorization model counts", mend);
    }
    if !fga.check_agent.value {
        let mend =
            "AGENTCTL_FGA_CHECK_AGENT=true asks for `agent:APPROVAL-CLIENT` too; the model needs that type first";
        report.warn(NAME, "only the user's permission is asked for, not the agent's own", mend);
    }
}

/// Whether the policies can be read, and say something about what there is.
pub(super) fn policy(app: &App, registry: Option<&Registry>, report: &mut Report<'_>) {
    const NAME: &str = "policy";
    let policy = match app.policy() {
        Ok(policy) => policy,
        Err(failure) => return report.failed(NAME, &failure),
    };
    if policy.files.is_empty() {
        return report.ok(NAME, "none; what the manifests say holds");
    }
    for file in &policy.files {
        report.ok(NAME, format!("{}: {}, rules: {}", file.author.words(), file.path.display(), file.rules.len()));
        for finding in registry.map(|registry| check_policy(file, &policy.files, registry)).unwrap_or_default() {
            report.warn(NAME, format!("{}: {}", file.path.display(), finding.problem), &finding.mend);
        }
    }
}
