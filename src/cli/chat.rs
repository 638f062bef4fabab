//! `agentctl chat`: the shell.

use std::io::IsTerminal as _;

use clap::Args as ClapArgs;

use super::{
    app::App,
    attach,
    complete::COMMANDS,
    failure::{Failure, Kind},
    finish,
    repl::{Input, Repl},
    run,
    show::Show,
    signals::{Signals, stopped},
    stdin::Lines,
    ui::Line,
    whoami,
};
use crate::{
    agent::{Agent, Conversation},
    event::Event,
    store::lock::GrantLock,
};

/// Talk with the agent
#[derive(Debug, ClapArgs)]
#[command(after_help = "In the shell, /help lists its commands and keys, @FILE sends a text file
along, ^C clears the line or stops the answer, ^D leaves. Without a terminal
each line of stdin is one message, and files are not looked for.

Examples:
  agentctl chat
  agentctl chat --model gpt-5-mini")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) limits: run::LimitArgs,
}

/// Behind the list of commands.
const KEYS: &str = "Tab completes commands, tools and, behind an @, files: @notes.txt sends that
file along. A backslash at the end of a line continues it, and so does an open
```; Alt-Enter begins a new line anywhere. ^R searches what you typed before.
^C clears the line, or stops the answer.";

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    app.tenant()?;
    let mut signals = Signals::listen().map_err(|error| Failure::caused(Kind::Failed, "listen for signals", &error))?;
    let interactive = app.ui.can_ask() && std::io::stdout().is_terminal();
    let mut reader = match interactive {
        // The prompt comes first; the keyring and the rest are asked when there is something to ask the model.
        true => {
            restore_on_panic();
            Reader::Terminal(Repl::start(app.config()?.dirs.state.join("history"), app.ui.err().color))
        }
        false => Reader::Plain(Lines::default()),
    };
    let mut talk = Talk { app, args, agent: None, conversation: None, lease: None };
    loop {
        let input = tokio::select! {
            biased;
            kind = signals.next() => match kind {
                // At the prompt ^C is a key, so this one was meant for what is over by now.
                Kind::Interrupted if interactive => continue,
                kind => {
                    reader.leave();
                    if interactive {
                        // What was being typed keeps its line.
                        app.ui.say("");
                    }
                    return Err(stopped(kind).told());
                }
            },
            input = reader.next(app) => input?,
        };
        let text = match input {
            Input::Line(text) => text,
            Input::Cleared => continue,
            Input::End => return Ok(()),
            Input::Broken(why) => {
                return Err(Failure::new(Kind::Failed, format!("the terminal cannot be read: {why}")));
            }
        };
        let done = match text.trim() {
            "" => continue,
            "/exit" | "/quit" => return Ok(()),
            command if command.starts_with('/') => talk.command(command).await,
            // Only a person attaches files: what comes through a pipe may be anybody's text.
            message if interactive => match attach::attach(message) {
                Ok(attached) => {
                    for (name, bytes) in &attached.files {
                        app.ui.status(Line::new().dim("  with ").field(name).dim(&format!(" ({bytes} bytes)")));
                    }
                    talk.message(&attached.message, &mut signals).await
                }
                Err(failure) => Err(failure),
            },
            message => talk.message(message, &mut signals).await,
        };
        match done {
            Ok(()) => {}
            Err(failure) if matches!(failure.kind, Kind::Terminated | Kind::HungUp) => return Err(failure),
            // ^C stopped the answer; without a terminal it was meant for the whole.
            Err(failure) if failure.kind == Kind::Interrupted && !interactive => return Err(failure),
            Err(failure) if failure.kind == Kind::Interrupted => {
                if !failure.told {
                    app.ui.say("Stopped.");
                }
            }
            // Without a terminal nobody is there to mend it and go on.
            Err(failure) if !interactive && !failure.told => return Err(failure),
            // One message that failed does not end the conversation.
            Err(failure) => app.ui.failure(&failure),
        }
    }
}

/// Where messages come from.
enum Reader {
    Terminal(Repl),
    Plain(Lines),
}

impl Reader {
    async fn next(&mut self, app: &App) -> Result<Input, Failure> {
        let tools = || {
            let registry = app.registry().ok();
            registry.iter().flat_map(|registry| registry.tools()).map(|tool| tool.name().to_owned()).collect()
        };
        match self {
            Self::Terminal(repl) => Ok(repl.next(tools).await),
            Self::Plain(lines) => match lines.next().await {
                Ok(line) => Ok(line.map_or(Input::End, Input::Line)),
                Err(error) => Err(Failure::caused(Kind::Failed, "read stdin", &error)),
            },
        }
    }

    /// The editor's thread still holds the terminal in raw mode when a signal ends the program.
    fn leave(&self) {
        if let Self::Terminal(_) = self {
            sane();
        }
    }
}

/// The shipped program aborts when it panics, and then nobody else takes the terminal out of raw mode.
fn restore_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        sane();
        before(info);
    }));
}

fn sane() {
    if cfg!(unix) {
        let _ = std::process::Command::new("stty").arg("sane").status();
    }
}

/// The conversation, and what it needs, made when the first message is sent.
struct Talk<'a> {
    app: &'a App,
    args: &'a Args,
    agent: Option<Agent>,
    conversation: Option<Conversation>,
    lease: Option<GrantLock>,
}

impl Talk<'_> {
    async fn command(&mut self, command: &str) -> Result<(), Failure> {
        let ui = &self.app.ui;
        match command {
            "/help" => {
                for (name, does) in COMMANDS {
                    ui.say(Line::new().plain(&format!("  {name:<9} ")).plain(does));
                }
                ui.say(KEYS);
            }
            "/tools" => {
                for tool in self.app.registry()?.tools() {
                    let asks = if tool.needs_approval() { "  (asks you first)" } else { "" };
                    ui.say(Line::new().plain("  ").bold(tool.name()).plain("  ").field(tool.description()).dim(asks));
                }
            }
            "/whoami" => match self.app.session().await?.account().await? {
                Some(account) => ui.say(Line::new().plain("  ").field(&whoami::label(&account))),
                None => ui.say("  Nobody is logged in. Run `agentctl login`."),
            },
            "/new" => {
                self.conversation = None;
                ui.say("A new conversation.");
            }
            other => {
                ui.say(Line::new().plain("There is no command ").field(other).plain("; /help lists them."));
            }
        }
        Ok(())
    }

    async fn message(&mut self, text: &str, signals: &mut Signals) -> Result<(), Failure> {
        let app = self.app;
        let show = Show::new(&app.ui, app.clock.clone(), app.config()?.bell);
        let mut answering = std::pin::pin!(self.answer(text, &show));
        tokio::select! {
            biased;
            kind = signals.next() => {
                let failure = stopped(kind);
                if show.open_approval().is_none() {
                    return Err(failure);
                }
                // Only the wait ends; the answer may be on its way.
                app.patience.end();
                tokio::select! {
                    biased;
                    _ = &mut answering => {}
                    () = app.clock.sleep(finish::MOMENT) => {}
                }
                app.patience.renew();
                // What becomes of an open request says already that nobody waits any more.
                Err(failure.told())
            }
            answer = &mut answering => answer,
            never = app.heartbeats() => match never {},
        }
    }

    async fn answer(&mut self, text: &str, show: &Show<'_>) -> Result<(), Failure> {
        let app = self.app;
        if self.agent.is_none() {
            app.logged_in().await?;
            self.agent = Some(app.agent(&self.args.limits).await?);
        }
        let Some(agent) = &self.agent else { return Ok(()) };
        if self.conversation.is_none() {
            let account = app.logged_in().await?;
            let (run, lease) = run::start(app, agent, text)?;
            self.lease = Some(lease);
            show.event(Event::RunStarted { run: run.clone(), model: agent.model.name().to_owned() });
            self.conversation = Some(Conversation::new(run, Some(account.display_name())));
        }
        let Some(conversation) = &mut self.conversation else { return Ok(()) };
        show.thinking();
        let end = agent.turn(conversation, text, &|event| show.event(event)).await?;
        finish::judge(end).1
    }
}
