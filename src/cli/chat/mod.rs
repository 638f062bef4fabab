//! `agentctl chat`: the shell.

use std::io::IsTerminal as _;

use clap::Args as ClapArgs;

use super::{
    app::App,
    approvals, attach,
    complete::COMMANDS,
    failure::{Failure, Kind},
    finish,
    repl::{Input, Repl},
    resume, run,
    show::{self, NO_USE_ANY_MORE, Show},
    signals::{Signals, stopped},
    stdin::Lines,
    ui::Line,
    verdict, whoami,
};
use crate::{
    agent::{Agent, Conversation},
    call::{ApprovalId, RunId},
    escape,
    event::Event,
    store::{
        journal::{ApprovalFilter, ApprovalState},
        lock::GrantLock,
    },
};

/// Talk with the agent
#[derive(Debug, ClapArgs)]
#[command(after_help = "In the shell, /help lists its commands and keys, @FILE sends a text file
along, ^C clears the line or stops the answer, ^D leaves. Without a terminal
each line of stdin is one message, and files are not looked for.

Examples:
  agentctl chat
  agentctl chat --model gpt-5-mini
  agentctl chat -c                      # go on with the newest conversation")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) limits: run::LimitArgs,
    /// Go on with the conversation of this run
    #[arg(long, value_name = "RUN", conflicts_with = "continue")]
    resume: Option<String>,
    /// Go on with the newest conversation
    #[arg(short, long)]
    r#continue: bool,
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
    talk.take_up()?;
    let ended = converse(app, &mut talk, &mut reader, &mut signals, interactive).await;
    talk.leave(ended.as_ref().err())?;
    ended
}

async fn converse(
    app: &App,
    talk: &mut Talk<'_>,
    reader: &mut Reader,
    signals: &mut Signals,
    interactive: bool,
) -> Result<(), Failure> {
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
            input = reader.next_while(app, talk) => input?,
        };
        let text = match input {
            Input::Line(text) => text,
            Input::Cleared => {
                if talk.pending()? > 0 {
                    app.ui.say("Something still waits for your answer; /abandon gives it up, /approvals shows it.");
                }
                continue;
            }
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
                    talk.message(&attached.message, signals).await
                }
                Err(failure) => Err(failure),
            },
            message => talk.message(message, signals).await,
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
    /// The next input. Meanwhile the answers to open approvals are waited for, and told above what is being typed.
    async fn next_while(&mut self, app: &App, talk: &Talk<'_>) -> Result<Input, Failure> {
        let (Some(agent), ids) = (&talk.agent, talk.waiting()?) else { return self.next(app).await };
        if ids.is_empty() {
            return self.next(app).await;
        }
        let (told, mut news) = tokio::sync::mpsc::unbounded_channel();
        let tell = |event| {
            if let Event::ApprovalAnswered { approval, answer, .. } = event {
                let _ = told.send((approval, answer));
            }
        };
        let approvals = &agent.dispatcher.guard.approvals;
        let mut background = std::pin::pin!(approvals.wait_for_many(&ids, &tell));
        let mut over = false;
        loop {
            tokio::select! {
                biased;
                Some((approval, answer)) = news.recv() => self.print(app, &news_of(app, &approval, &answer)),
                input = self.next(app) => {
                    // A poll that is under way is not cut: it may bring the answer.
                    app.patience.end();
                    if !over {
                        let _ = background.await;
                    }
                    app.patience.renew();
                    return input;
                }
                result = &mut background, if !over => {
                    over = true;
                    if let Err(error) = result {
                        tracing::debug!(%error, "nothing is waited for in the background");
                    }
                }
            }
        }
    }

    fn print(&mut self, app: &App, text: &str) {
        match self {
            Self::Terminal(repl) => repl.print(&escape::text(text)),
            Self::Plain(_) => app.ui.say(text),
        }
    }

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

/// What became of a question, in the words of the call that it was about.
fn news_of(app: &App, approval: &ApprovalId, answer: &str) -> String {
    let row = app.journal().ok().and_then(|journal| journal.approval(approval).ok().flatten());
    let call = row.map_or_else(|| approval.to_string(), |row| show::call_in_words(&row.asked.tool, &row.asked.plan));
    let became = match answer {
        "approved" => "was approved",
        "denied" => "was denied",
        "expired" => "got no answer in time",
        _ => "could not be approved",
    };
    format!("! {call} {became}; the result comes with your next message")
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
    /// Goes on with a conversation, if one is to be gone on with.
    fn take_up(&mut self) -> Result<(), Failure> {
        let journal = self.app.journal()?;
        let run = match &self.args.resume {
            Some(run) => RunId::from_text(run.as_str()),
            None if self.args.r#continue => {
                let profile = &self.app.config()?.profile.value;
                let newest =
                    journal.runs()?.into_iter().find(|run| run.row.profile == *profile && !run.row.is_single_call());
                newest.ok_or_else(|| Failure::new(Kind::Usage, "there is no conversation to go on with"))?.row.id
            }
            None => return Ok(()),
        };
        self.lease = Some(self.app.lease(&run)?);
        let saved = resume::saved(self.app, &journal, &run)?;
        if saved.row.is_single_call() {
            let failure = Failure::new(Kind::Usage, format!("{run} is a single call, not a conversation"));
            return Err(failure.hint(format!("`agentctl resume {run}` goes on with it")));
        }
        self.conversation = Some(resume::load(&journal, &run)?);
        journal.reopen_run(&run)?;
        self.app.ui.status(Line::new().dim("Going on with: ").field(&saved.row.title));
        Ok(())
    }

    /// The approvals of this conversation that have no answer yet.
    fn waiting(&self) -> Result<Vec<ApprovalId>, Failure> {
        let Some(conversation) = &self.conversation else { return Ok(Vec::new()) };
        let filter = ApprovalFilter { run: Some(conversation.run().clone()), open: true };
        let open = self.app.journal()?.approvals(&filter)?;
        let asked = open.into_iter().filter(|row| row.state == ApprovalState::Requested);
        Ok(asked.map(|row| row.asked.id).collect())
    }

    fn pending(&self) -> Result<usize, Failure> {
        Ok(self.waiting()?.len())
    }

    /// The end: what is still open can be gone on with.
    fn leave(&mut self, failure: Option<&Failure>) -> Result<(), Failure> {
        let Some(conversation) = self.conversation.take() else { return Ok(()) };
        let (run, journal) = (conversation.run(), self.app.journal()?);
        let open = finish::Open::of(self.app, run)?;
        let kind = failure.map(|failure| failure.kind).or((!open.is_empty()).then_some(Kind::Pending));
        let code = kind.map_or(0, Kind::exit_code);
        journal.end_run(run, self.app.clock.now(), verdict::event_name(kind), code.into())?;
        open.say(&self.app.ui);
        Ok(())
    }

    async fn command(&mut self, command: &str) -> Result<(), Failure> {
        let ui = &self.app.ui;
        match command {
            "/help" => {
                for (name, does) in COMMANDS {
                    ui.say(Line::new().plain(&format!("  {name:<10} ")).plain(does));
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
            "/approvals" => approvals::list(self.app, false)?,
            "/abandon" => {
                let journal = self.app.journal()?;
                for id in self.waiting()? {
                    if journal.abandon(&id, self.app.clock.now())? {
                        ui.say(
                            Line::new().plain("Given up: ").bold(id.as_str()).plain(&format!("; {NO_USE_ANY_MORE}.")),
                        );
                    }
                }
            }
            "/new" => {
                self.leave(None)?;
                self.lease = None;
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
                if !show.waits() {
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
            let (run, lease) = run::start(app, agent.model.name(), text)?;
            self.lease = Some(lease);
            show.event(Event::RunStarted { run: run.clone(), model: agent.model.name().to_owned() });
            self.conversation = Some(Conversation::new(run, Some(account.display_name())));
        }
        let Some(conversation) = &mut self.conversation else { return Ok(()) };
        show.thinking();
        // What was answered meanwhile is done before the model reads on.
        agent.take_in(conversation, &|event| show.event(event)).await?;
        let end = agent.turn(conversation, text, &|event| show.event(event)).await?;
        finish::judge(end).1
    }
}
