//! `agentctl chat`: the shell.
//!
//! [`reader`] brings what the person types, [`commands`] knows the shell's own commands and [`act`] does them, [`talk`] holds
//! the conversation, [`watch`] waits for approvals behind the prompt.

mod abandon;
mod act;
pub(super) mod commands;
mod picker;
mod reader;
mod status;
mod talk;
mod watch;

use std::{io::IsTerminal as _, time::Duration};

use clap::Args as ClapArgs;

use self::{reader::Reader, status::Status, talk::Talk};
use super::{
    app::App,
    attach::{self, Origin},
    failure::{Failure, Kind},
    repl::Input,
    run,
    signals::{Signals, stopped},
    stuck::Meaning,
    ui::Line,
};
use crate::escape;

/// How long a terminal that cannot be read has to say that it was closed.
const HANGS_UP: Duration = Duration::from_millis(500);
/// How many words that are no files are named.
const MOST_LEFT: usize = 3;

/// What is said when a call that may have had its effect was stopped.
const UNDER_WAY: &str = "Stopped. The request was under way. Your next message finds out what came of it, by sending it again \
                         where that is safe; /abandon leaves it as it is.";

/// Talk with the agent
#[derive(Debug, ClapArgs)]
#[command(after_help = "In the shell, /help lists its commands and keys, @FILE sends a text file
along, ^C stops what is under way and then leaves, ^D leaves. Without a terminal
each line of stdin is one message, and files are not looked for. There is no
--json: `agentctl run --json` is for programs.

Examples:
  agentctl chat
  agentctl chat --model gpt-5-mini
  agentctl chat -c                      # go on with the last conversation
  agentctl chat --resume                # choose one")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) limits: run::LimitArgs,
    /// Go on with the conversation of this run; without RUN, choose one
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with = "continue")]
    resume: Option<Option<String>>,
    /// Go on with the conversation that was used last
    #[arg(short, long)]
    r#continue: bool,
}

/// Does it.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    if app.ui.json() {
        return Err(Failure::new(Kind::Usage, "chat is for people and has no --json")
            .hint("`agentctl run --json` tells a program what happens, event by event"));
    }
    app.tenant()?;
    let mut signals = Signals::watched(Meaning::EndButInterrupt, None, &app.clock)?;
    // The prompt comes first; the journal and the rest are asked when there is something to ask them. Only who is logged in
    // is looked up behind it: what is typed is their word.
    let mut reader = Reader::start(app, app.ui.can_ask() && std::io::stdout().is_terminal())?;
    let mut talk = Talk::new(app, args.limits.clone());
    let shell = async {
        talk.take_up(args, &mut reader).await?;
        let ended = converse(app, &mut talk, &mut reader, &mut signals).await;
        talk.leave(ended.as_ref().err(), reader.is_interactive()).await?;
        ended
    };
    tokio::task::LocalSet::new().run_until(app.beginning(shell)).await
}

async fn converse(app: &App, talk: &mut Talk<'_>, reader: &mut Reader, signals: &mut Signals) -> Result<(), Failure> {
    let interactive = reader.is_interactive();
    let mut status = Status::default();
    // ^C was pressed on an empty line: the next one leaves.
    let mut leaving = false;
    loop {
        if interactive {
            status.show(talk)?;
        }
        talk.watch().await;
        let input = tokio::select! {
            biased;
            kind = signals.next() => match kind {
                Kind::Interrupted if reader.is_cooked() => Input::Cleared { empty: true },
                // At the prompt ^C is a key, so this one was meant for what is over by now.
                Kind::Interrupted if interactive => continue,
                kind => {
                    if interactive {
                        // What was being typed keeps its line.
                        app.ui.say("");
                    }
                    return Err(stopped(kind).told());
                }
            },
            input = reader.next_while(app, &mut talk.watch) => input?,
        };
        let (text, origin) = match input {
            Input::Line(text) => (text, Origin::Typed),
            Input::Pasted(text) => (text, Origin::Pasted),
            Input::Cleared { empty: true } if std::mem::replace(&mut leaving, true) => return Ok(()),
            Input::Cleared { empty } => {
                leaving &= empty;
                reader.clear();
                if empty {
                    first_step(app, talk);
                }
                continue;
            }
            Input::End if !interactive || is_open() => return Ok(()),
            end @ (Input::End | Input::Broken(_)) => return Err(gone(app, signals, end).await),
        };
        leaving = false;
        let done = match text.trim() {
            "" => continue,
            "/exit" | "/quit" => return Ok(()),
            line if commands::is_command(line) => {
                let done = act::command(talk, reader, signals, line).await;
                if line == "/clear" {
                    status = Status::default();
                }
                done
            }
            // Only a person attaches files: what comes through a pipe may be anybody's text.
            message if interactive => match with_files(app, reader, message, origin).await {
                Ok(message) => talk.message(&message, signals).await,
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
                    app.ui.say(match talk.cut().is_ok_and(|cut| cut.is_empty()) {
                        true => "Stopped.",
                        false => UNDER_WAY,
                    });
                }
            }
            // Without a terminal nobody is there to mend it and go on.
            Err(failure) if !interactive && !failure.told => return Err(failure),
            // One message that failed does not end the conversation.
            Err(failure) => app.ui.failure(&failure),
        }
    }
}

/// Whether the terminal is still one.
fn is_open() -> bool {
    std::io::stdin().is_terminal()
}

/// Why a terminal brings nothing more. Whoever closes one sends the signal only to the process that leads it.
async fn gone(app: &App, signals: &mut Signals, end: Input) -> Failure {
    if let Input::Broken(why) = end
        && is_open()
    {
        // One that is being closed cannot be read already, and is one for a moment more.
        tokio::select! {
            biased;
            kind = signals.next() => return stopped(kind).told(),
            () = app.clock.sleep(HANGS_UP) => {}
        }
        if is_open() {
            return Failure::new(Kind::Failed, format!("the terminal cannot be read: {why}"));
        }
    }
    stopped(Kind::HungUp).told()
}

/// A message with the files that it names. What leaves is named, `--quiet` or not, and what was pasted is asked about first.
async fn with_files(app: &App, reader: &mut Reader, message: &str, origin: Origin) -> Result<String, Failure> {
    let mut attached = attach::attach(message, origin)?;
    let with = if origin == Origin::Typed { "  with " } else { "  names " };
    for (name, content) in &attached.files {
        app.ui.say(Line::new().dim(with).field(name).dim_said(&format!(" ({} bytes)", content.len())));
    }
    if !attached.left.is_empty() {
        let left: Vec<String> = attached.left.iter().map(|name| format!("@{}", escape::shortened(name, 40))).collect();
        let (shown, more) = left.split_at(left.len().min(MOST_LEFT));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        app.ui.status(Line::new().dim("  no files: ").words(&shown.join(" ")).dim_said(&more));
    }
    if origin == Origin::Pasted && !attached.files.is_empty() {
        let question = "Send these files along? [y/N] ";
        let answer = reader.ask(app, question).await;
        if !answer.is_some_and(|answer| matches!(answer.as_str(), "y" | "yes")) {
            attached.files.clear();
            app.ui.say("  The message goes without them.");
        }
    }
    Ok(attached.message())
}

/// What the first ^C on an empty line says.
fn first_step(app: &App, talk: &Talk<'_>) {
    if !talk.waiting().unwrap_or_default().is_empty() {
        app.ui.say(talk::WAITS);
    }
    if !talk.approved().unwrap_or_default().is_empty() {
        app.ui.say("Something that you approved is not done yet: your next message does it, /abandon gives it up.");
    }
    if !talk.unasked().unwrap_or_default().is_empty() {
        app.ui.say("Something was not asked yet: your next message asks, /abandon gives it up.");
    }
    app.ui.say("^C again leaves, as ^D does. The conversation is kept.");
}
