//! What a run keeps to: taken from its flags when it begins, from the journal when it goes on.
//!
//! A flag that is said anew takes the place of what was said before; what is not said again holds on. There is no flag for
//! more tools, so whoever wants them begins another run.

use super::{
    app::App,
    failure::{Failure, Kind},
    run::{LimitArgs, OnApprovalArg},
    ui::Line,
};
use crate::{
    secret::shown_url,
    store::journal::{Bounds, Journal, NamedModel, SavedRun},
    tool::Registry,
};

/// What the flags of this command say.
pub(crate) fn said(app: &App, limits: &LimitArgs, on_approval: Option<OnApprovalArg>) -> Result<Bounds, Failure> {
    Ok(Bounds {
        tools: None,
        max_spend: limits.max_spend.as_ref().map(ToString::to_string),
        model: model(app)?,
        max_turns: limits.max_turns,
        max_tokens_total: limits.max_tokens_total,
        deny_approvals: on_approval.map(|what| what == OnApprovalArg::Deny),
    })
}

/// The model that was asked for by name. One that only the settings name may change with them.
pub(crate) fn model(app: &App) -> Result<Option<NamedModel>, Failure> {
    let Some(asked) = app.asked_model() else { return Ok(None) };
    let settings = &app.config()?.model;
    let name = settings.name.as_ref().map_or(asked, |name| name.value.as_str());
    Ok(Some(NamedModel { asked: asked.to_owned(), name: name.to_owned(), base_url: settings.base_url.value.clone() }))
}

/// What a saved run keeps to from now on, written down.
pub(crate) fn anew(app: &App, journal: &Journal, saved: &SavedRun, said: Bounds) -> Result<Bounds, Failure> {
    let before = &saved.row.bounds;
    if let Some(agent) = app.calling_agent().filter(|_| before.give_way_to(&said)) {
        let message = format!("{agent} runs this, and what a run was told to keep to is not for an agent to change");
        return Err(
            Failure::new(Kind::NotPermitted, message).hint("leave out the flags: the run keeps to what it was told")
        );
    }
    let bounds = before.clone().with(said);
    if bounds != *before {
        journal.bind_run(&saved.row.id, &bounds)?;
    }
    Ok(bounds)
}

/// The same program with the model that the run keeps to, if it keeps to one. Another model in its place would be given a
/// conversation that it was not meant to read.
pub(crate) fn settings(app: &App, saved: &SavedRun, bounds: &Bounds) -> Result<Option<App>, Failure> {
    let Some(bound) = &bounds.model else { return Ok(None) };
    let other = app.with_model(&bound.asked)?;
    match model(&other)? {
        Some(now) if now == *bound => Ok(Some(other)),
        now => {
            let now = now.map(|now| format!(", and now is {}", place(&now))).unwrap_or_default();
            let run = &saved.row.id;
            let message = format!("{run} was to ask {}: that was {}{now}", bound.asked, place(bound));
            Err(Failure::new(Kind::Usage, message).hint("`agentctl config show` shows the models of the profile").hint(
                format!("`agentctl chat --resume {run} --model NAME` lets another one read it (so does `resume`)"),
            ))
        }
    }
}

/// Leaves the tools that are offered.
pub(crate) fn narrow(registry: &mut Registry, bounds: &Bounds) {
    if let Some(names) = &bounds.tools {
        registry.keep_only(names, if names.is_empty() { "--no-tools" } else { "--tools leaves it out" });
    }
}

/// Says what a run that goes on keeps to.
pub(crate) fn tell(app: &App, bounds: &Bounds) {
    let words = words(bounds);
    if !words.is_empty() {
        app.ui.status(Line::new().dim("It keeps to: ").dim_words(&words.join("; ")));
    }
}

/// Each bound in words.
pub(crate) fn words(bounds: &Bounds) -> Vec<String> {
    let tools = bounds.tools.as_ref().map(|names| match names.as_slice() {
        [] => "no tools".to_owned(),
        names => format!("only the tools {}", names.join(", ")),
    });
    let model = bounds.model.as_ref().map(|model| match model.asked == model.name {
        true => format!("the model {}", place(model)),
        false => format!("the model {} ({})", model.asked, place(model)),
    });
    let all = [
        tools,
        bounds.max_spend.as_ref().map(|limit| format!("spending {limit} at most")),
        model,
        bounds.max_turns.map(|count| format!("{count} questions to the model for one task")),
        bounds.max_tokens_total.map(|count| format!("{count} tokens for one task")),
        bounds.deny_approvals.filter(|deny| *deny).map(|_| "nothing that needs your approval".to_owned()),
    ];
    all.into_iter().flatten().collect()
}

/// The same as data: an address without what may be a key.
pub(crate) fn shown(bounds: &Bounds) -> Bounds {
    let mut bounds = bounds.clone();
    if let Some(model) = &mut bounds.model {
        model.base_url = shown_url(&model.base_url);
    }
    bounds
}

fn place(model: &NamedModel) -> String {
    format!("{} at {}", model.name, shown_url(&model.base_url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_is_said() {
        let mut bounds = Bounds {
            tools: Some(vec!["search".into(), "look".into()]),
            max_spend: Some("10.00 EUR".into()),
            model: Some(NamedModel { asked: "mine".into(), name: "llama".into(), base_url: "http://localhost".into() }),
            max_turns: Some(3),
            max_tokens_total: Some(1000),
            deny_approvals: Some(true),
        };
        assert_eq!(
            words(&bounds),
            [
                "only the tools search, look",
                "spending 10.00 EUR at most",
                "the model mine (llama at http://localhost)",
                "3 questions to the model for one task",
                "1000 tokens for one task",
                "nothing that needs your approval",
            ]
        );
        bounds = Bounds { tools: Some(Vec::new()), deny_approvals: Some(false), ..Bounds::default() };
        assert_eq!(words(&bounds), ["no tools"]);
        assert!(words(&Bounds::default()).is_empty());
    }
}
