//! Where messages come from: a line editor, a terminal that can do nothing, or lines of stdin.

use std::cell::Cell;

use super::{picker, watch::Watch};
use crate::{
    call::ApprovalId,
    cli::{
        app::App,
        complete::{self, Wanted},
        failure::{Failure, Kind},
        repl::{self, Input, PROMPT, Repl},
        show,
        stdin::Lines,
        ui::Line,
    },
    store::journal::ApprovalState,
};

/// Where messages come from.
pub(super) enum Reader {
    /// A person with a line editor.
    Editor(Repl),
    /// A person at a terminal that knows nothing but lines.
    Dumb {
        lines: Lines,
        /// The prompt stands there.
        prompted: Cell<bool>,
        /// The first lines of a message that goes on.
        begun: String,
    },
    /// Anything else.
    Plain(Lines),
}

impl Reader {
    /// The one for this terminal, or for no terminal.
    pub(super) fn start(app: &App, interactive: bool) -> Result<Self, Failure> {
        Ok(match (interactive, app.ui.err().cursor) {
            (false, _) => Self::Plain(Lines::default()),
            (true, false) => Self::Dumb { lines: Lines::default(), prompted: Cell::new(false), begun: String::new() },
            (true, true) => Self::Editor(Repl::start(app.config()?.dirs.state.join("history"), app.ui.err().color)),
        })
    }

    /// Whether a person is there.
    pub(super) fn is_interactive(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// Whether ^C is the signal while a message is typed, and not a key.
    pub(super) fn is_cooked(&self) -> bool {
        matches!(self, Self::Dumb { .. })
    }

    /// What was typed is dropped, as an editor has done already.
    pub(super) fn clear(&mut self) {
        if let Self::Dumb { prompted, begun, .. } = self {
            prompted.set(false);
            begun.clear();
        }
    }

    /// The next input. May be dropped and asked again. Meanwhile the answers to open approvals are told above what is typed.
    pub(super) async fn next_while(&mut self, app: &App, watch: &mut Watch) -> Result<Input, Failure> {
        loop {
            tokio::select! {
                biased;
                (approval, answer) = watch.next() => self.print(app, news_of(app, &approval, &answer, When::NextMessage)),
                input = self.next(app) => return input,
            }
        }
    }

    /// Prints news above the line that is being typed, and rings.
    fn print(&mut self, app: &App, news: Line) {
        if app.config().is_ok_and(|config| config.bell) {
            app.ui.ring();
        }
        match self {
            Self::Editor(repl) => repl.print(&app.ui.fitted(news)),
            Self::Dumb { prompted, .. } => {
                app.ui.say(Line::new().plain("\n").append(news));
                prompted.set(false);
            }
            Self::Plain(_) => app.ui.say(news),
        }
    }

    async fn next(&mut self, app: &App) -> Result<Input, Failure> {
        match self {
            Self::Editor(repl) => Ok(repl.next(|wanted| names(app, &wanted)).await),
            Self::Dumb { lines, prompted, begun } => loop {
                if !prompted.replace(true) {
                    app.ui.question(PROMPT.trim_end());
                }
                // A terminal that is closed cannot be read.
                let line = match lines.next().await {
                    Ok(line) => line,
                    Err(error) => return Ok(Input::Broken(error.to_string())),
                };
                let Some(line) = line else { return Ok(Input::End) };
                prompted.set(false);
                begun.push_str(&line);
                if complete::is_whole(begun) {
                    // Nobody marks a paste here.
                    return Ok(Input::Pasted(repl::joined(&std::mem::take(begun))));
                }
                begun.push('\n');
            },
            Self::Plain(lines) => Ok(read(lines).await?.map_or(Input::End, Input::Line)),
        }
    }

    /// Asks for one short answer. None: the person wants to answer nothing, or there is no person.
    pub(super) async fn ask(&mut self, app: &App, question: &str) -> Option<String> {
        let text = match self {
            Self::Editor(repl) => match repl.ask(question).await {
                Input::Line(text) => text,
                _ => return None,
            },
            Self::Dumb { lines, .. } => {
                app.ui.question(question.trim_end().to_owned());
                read(lines).await.ok()??
            }
            Self::Plain(_) => return None,
        };
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }
}

async fn read(lines: &Lines) -> Result<Option<String>, Failure> {
    lines.next().await.map_err(|error| Failure::caused(Kind::Failed, "read stdin", &error))
}

/// When the result of a question comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    NextMessage,
    /// The conversation is being left.
    Later,
}

/// What became of a question, in the words of the call that it was about.
pub(super) fn news_of(app: &App, approval: &ApprovalId, answer: &str, when: When) -> Line {
    let row = app.journal().ok().and_then(|journal| journal.approval(approval).ok().flatten());
    // The answer may have come before the person gave it up, and be told after it.
    let given_up = row.as_ref().is_some_and(|row| row.state == ApprovalState::Abandoned);
    // Of one that was given up without the journal's key nothing else is known.
    let row = row.filter(|row| !row.asked.tool.is_empty());
    let call = row.map_or_else(|| approval.to_string(), |row| show::call_in_words(&row.asked.tool, &row.asked.plan));
    let became = match answer {
        _ if given_up => " was given up",
        "approved" => " was approved",
        "denied" => " was denied",
        "expired" => " got no answer in time",
        _ => " could not be approved",
    };
    let comes = match when {
        _ if given_up => "; nothing comes of it",
        When::NextMessage => "; the result comes with your next message",
        When::Later => "; the result comes when this conversation goes on",
    };
    let line = Line::new().plain("! ").words(&call).plain(became).plain(comes);
    match when {
        When::NextMessage if answer == "approved" && !given_up => line.plain(" (/abandon gives it up)"),
        _ => line,
    }
}

/// What a Tab may complete. Nothing here touches the network, and what cannot be read is not completed.
fn names(app: &App, wanted: &Wanted) -> Vec<String> {
    match wanted {
        Wanted::Tools => {
            let registry = app.registry().ok();
            registry.iter().flat_map(|registry| registry.tools()).map(|tool| tool.name().to_owned()).collect()
        }
        Wanted::Parameters(tool) => {
            let schema = app.registry().ok().and_then(|registry| Some(registry.get(tool)?.parameters()));
            let names = schema.as_ref().and_then(|schema| schema["properties"].as_object());
            names.map(|names| names.keys().map(|name| format!("{name}=")).collect()).unwrap_or_default()
        }
        Wanted::Runs => picker::ids(app).unwrap_or_default(),
        Wanted::Models => app.config().map(|config| config.models.clone()).unwrap_or_default(),
    }
}
