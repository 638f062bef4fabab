//! What the shell's own commands do.

use super::{
    abandon,
    commands::{self, COMMANDS, Command},
    picker,
    reader::Reader,
    talk::Talk,
};
use crate::{
    agent::Compacted,
    cli::{
        approvals, bounds, can,
        failure::{Failure, Kind},
        model_trouble, resume,
        show::Show,
        signals::{Signals, stopped},
        stuck,
        tools::{self, CallArguments},
        ui::{Line, Ui},
        whoami,
    },
    config, escape, files,
    secret::shown_url,
    store::journal::Bounds,
};
use anstyle::Style;

/// Behind the list of commands.
const KEYS: &str = "Tab completes commands, tools and, behind an @, files: @notes.txt sends that
file along. A backslash at the end of a line continues it, and so does an open
```; Alt-Enter begins a new line anywhere. ^R searches what you typed before.
^C stops the answer, puts a wait for your approval into the background, clears
the line; on an empty line it leaves, if you press it twice. /help COMMAND says
more.";

/// Where the columns of `/help` need as much room.
const WIDE: usize = 76;

/// Does one of the shell's commands. ^C stops it.
pub(super) async fn command(
    talk: &mut Talk<'_>,
    reader: &mut Reader,
    signals: &mut Signals,
    line: &str,
) -> Result<(), Failure> {
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let Some(command) = commands::find(name) else {
        let failure = Failure::new(Kind::Usage, format!("there is no command {name}"));
        return Err(match commands::nearest(name) {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None => failure.hint("/help lists them"),
        });
    };
    if command.at_terminal && !reader.is_interactive() {
        return Err(Failure::new(Kind::Usage, format!("{name} is for a person at a terminal")));
    }
    if command.arguments.is_empty() && !rest.is_empty() {
        return Err(Failure::new(Kind::Usage, format!("{name} takes nothing behind it")));
    }
    tokio::select! {
        biased;
        kind = signals.next() => Err(stopped(kind)),
        done = perform(talk, reader, command, rest) => done,
    }
}

async fn perform(talk: &mut Talk<'_>, reader: &mut Reader, command: &Command, rest: &str) -> Result<(), Failure> {
    let (app, ui) = (talk.app, &talk.app.ui);
    match command.name {
        "/help" => help(ui, rest)?,
        "/tools" => {
            let mut registry = app.registry()?;
            bounds::narrow(&mut registry, &talk.bounds.clone().unwrap_or_default());
            tools::list(ui, &registry);
        }
        "/can" => foresee(talk, rest).await?,
        "/approvals" => approvals::list(app, false)?,
        "/abandon" => abandon::abandon(talk)?,
        "/resume" => {
            let current = talk.conversation.as_ref().map(|conversation| conversation.run().clone());
            let run = match rest {
                "" => picker::pick(app, reader, current.as_ref()).await?,
                run => Some(picker::meant(app, &talk.listed, run)?),
            };
            if let Some(run) = run {
                // The flags of the shell were not said of this conversation.
                talk.go_on_with(&run, Bounds::default(), true).await?;
            }
        }
        "/runs" => {
            let current = talk.conversation.as_ref().map(|conversation| conversation.run().clone());
            talk.listed = picker::list(app, current.as_ref())?;
        }
        "/new" | "/clear" => {
            // What is said of what waits has to stay on the screen.
            if command.name == "/clear" {
                ui.clear();
            }
            talk.leave(None, reader.is_interactive()).await?;
            if command.name == "/new" {
                ui.say("A new conversation.");
            }
        }
        "/model" => model(talk, rest).await?,
        "/whoami" => match app.session().await?.account().await? {
            Some(account) => ui.say(Line::new().plain("  ").words(&whoami::label(&account))),
            None => ui.say("  Nobody is logged in. Run `agentctl login`."),
        },
        "/usage" => usage(talk)?,
        "/save" => save(talk, reader, rest).await?,
        "/compact" => compact(talk).await?,
        "/system" => system(talk, rest)?,
        _ => {}
    }
    Ok(())
}

fn help(ui: &Ui, name: &str) -> Result<(), Failure> {
    if !name.is_empty() {
        let name = format!("/{}", name.trim_start_matches('/'));
        let Some(command) = commands::find(&name) else {
            let failure = Failure::new(Kind::Usage, format!("there is no command {name}"));
            return Err(failure.hint("/help lists them"));
        };
        ui.say(Line::new().plain("  ").styled(Style::new().bold(), &usage_of(command)).plain("  ").plain(command.does));
        for line in command.more.lines() {
            ui.say(Line::new().plain("  ").plain(line));
        }
        return Ok(());
    }
    let wide = ui.size().is_none_or(|(width, _)| width >= WIDE);
    for command in COMMANDS {
        let usage = usage_of(command);
        match wide {
            true => ui.say(Line::new().said(&format!("  {usage:<26} ")).plain(command.does)),
            false => {
                ui.say(Line::new().plain("  ").said(&usage));
                ui.say(Line::new().plain("    ").plain(command.does));
            }
        }
    }
    match wide {
        true => ui.say(KEYS),
        false => ui.say(Line::new().said(&KEYS.replace('\n', " "))),
    }
    Ok(())
}

fn usage_of(command: &Command) -> String {
    format!("{} {}", command.name, command.arguments).trim_end().to_owned()
}

async fn foresee(talk: &mut Talk<'_>, rest: &str) -> Result<(), Failure> {
    let (tool, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if tool.is_empty() {
        return Err(Failure::new(Kind::Usage, "which call?").hint("/can buy_product product=phones qty=2"));
    }
    let arguments = CallArguments::typed(arguments.trim(), commands::words(arguments));
    // What a conversation keeps to is the agent's to know.
    if talk.conversation.is_some() {
        talk.ready().await?;
    }
    let (plan, forecast) = match &talk.agent {
        Some(agent) => can::foresee(&agent.dispatcher, tool, &arguments).await?,
        None => can::foresee(&talk.app.dispatcher().await?, tool, &arguments).await?,
    };
    can::tell(&talk.app.ui, &plan, &forecast);
    Ok(())
}

async fn model(talk: &mut Talk<'_>, name: &str) -> Result<(), Failure> {
    let ui = &talk.app.ui;
    if name.is_empty() {
        let current = talk.settings().asked_model().map(str::to_owned).or(talk.model_name()?);
        ui.say(Line::new().plain("  ").bold(current.as_deref().unwrap_or("none")).plain("  answers"));
        for name in talk.app.config()?.models.iter().filter(|name| Some(*name) != current.as_ref()) {
            ui.say(Line::new().plain("  ").field(name));
        }
        return Ok(());
    }
    let chosen = talk.app.with_model(name)?;
    let model = chosen.model().await?;
    let (before, now) = (&talk.settings().config()?.model.base_url.value, &chosen.config()?.model.base_url.value);
    let mut line = Line::new().plain("From now on ").bold(model.name()).plain(" answers");
    if before != now {
        line = line.plain(", at ").field(&shown_url(now));
    }
    ui.say(line.plain("."));
    talk.choose(chosen, model)
}

fn usage(talk: &Talk<'_>) -> Result<(), Failure> {
    let used = talk.used()?;
    if used.is_empty() {
        talk.app.ui.say("  Nothing was used up yet, as far as the model's server counts.");
    }
    for (model, used) in used {
        talk.app.ui.say(Line::new().plain("  ").bold(model).plain(": ").words(&used.to_string()));
    }
    Ok(())
}

async fn save(talk: &Talk<'_>, reader: &mut Reader, rest: &str) -> Result<(), Failure> {
    let words = commands::words(rest);
    let [name] = words.as_slice() else {
        return Err(Failure::new(Kind::Usage, "/save takes the name of one file").hint("/save talk.md"));
    };
    let Some(conversation) = &talk.conversation else {
        return Err(Failure::new(Kind::Usage, "nothing was said yet"));
    };
    let file = config::expanded(name);
    if file.symlink_metadata().is_ok() {
        let question = format!("{} is there already. Replace it? [y/N] ", escape::field(name));
        let answer = reader.ask(talk.app, &question).await;
        if !answer.is_some_and(|answer| matches!(answer.as_str(), "y" | "yes")) {
            talk.app.ui.say("Nothing was written.");
            return Ok(());
        }
    }
    // As it is kept, so that what is sealed stays so.
    let text = resume::load(&*talk.app.journal()?, conversation.run())?.to_markdown();
    files::put_in_steps(&file, escape::text(&text).as_bytes(), |step| stuck::writing(step))
        .map_err(|error| Failure::caused(Kind::Failed, "save the conversation", &error))?;
    talk.app.ui.say(Line::new().good("✓ ").plain("Saved in ").field(name));
    Ok(())
}

async fn compact(talk: &mut Talk<'_>) -> Result<(), Failure> {
    let app = talk.app;
    if talk.conversation.is_some() {
        talk.ready().await?;
    }
    let show = Show::new(&app.ui, app.clock.clone(), app.config()?.bell);
    let done = match (&talk.agent, &mut talk.conversation) {
        (Some(agent), Some(conversation)) => {
            show.thinking();
            agent.compact(conversation, &|event| show.event(event)).await
        }
        _ => Ok(Compacted::Empty),
    };
    show.end();
    talk.spend(&show)?;
    match done.map_err(|error| model_trouble::of_turn(talk.settings(), error, None))? {
        Compacted::Done(count) => {
            let line = Line::new().plain("The model goes on from a summary of ").said(&count.to_string());
            app.ui.say(line.plain(" messages. The saved conversation keeps them."));
        }
        Compacted::Empty => app.ui.say("There is nothing to sum up."),
        Compacted::Waits => {
            let why = "a call of this conversation has not ended, and its result needs its place";
            return Err(Failure::new(Kind::Usage, why).hint(
                match (talk.unasked()?.is_empty(), talk.cut()?.is_empty()) {
                    (true, true) => "answer it on your device and say something, or give it up with /abandon",
                    (true, false) => "your next message finds out what came of it, /abandon leaves it as it is",
                    (false, _) => "your next message asks you about it, /abandon gives it up",
                },
            ));
        }
    }
    Ok(())
}

fn system(talk: &mut Talk<'_>, text: &str) -> Result<(), Failure> {
    let ui = &talk.app.ui;
    if text.is_empty() {
        match &talk.instructions {
            Some(text) => text.lines().for_each(|line| ui.say(Line::new().plain("  ").said(line))),
            None => ui.say("  The model is told nothing in addition."),
        }
        return Ok(());
    }
    let instructions = (text != "off").then(|| text.to_owned());
    if let Some(conversation) = &mut talk.conversation {
        conversation.instruct(&*talk.app.journal()?, instructions.as_deref().unwrap_or_default())?;
    }
    ui.say(match instructions {
        Some(_) => "The model is told so from now on.",
        None => "The model is told nothing in addition from now on.",
    });
    talk.instructions = instructions;
    Ok(())
}
