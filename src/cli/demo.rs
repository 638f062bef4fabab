//! `agentctl demo`: the whole story in one command.

use anstyle::Style;
use std::{convert::Infallible, path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, ValueEnum};

use super::{
    app::App,
    browser,
    failure::{Failure, Kind},
    run,
    scratch::Scratch,
    stdin::Lines,
    ui::{Line, Ui},
    whoami,
};
use crate::{
    approval,
    clock::SharedClock,
    config::EnvVars,
    dev::{self, Options, Push, Tenant},
    session::{Account, Extra},
};

/// How long the phone thinks before it answers by itself: long enough to see the spinner.
const MOMENT: Duration = Duration::from_millis(700);

/// See the whole story on a machine with nothing set up
#[derive(Debug, ClapArgs)]
#[command(after_help = "It starts a tenant of its own, logs in, and gives the task to the agent. You
approve the purchase on the phone page in your browser. Nothing is kept, and
no real account is touched.

Examples:
  agentctl demo
  agentctl demo --phone terminal
  agentctl demo --phone approve \"buy 3 cheap laptops under 900\"")]
pub(crate) struct Args {
    /// What to do
    #[arg(value_name = "TASK", default_value = "buy 2 phones")]
    task: Vec<String>,
    /// Who answers on the phone: you, in a browser or in this terminal, or the phone by itself
    #[arg(long, value_name = "WHO", default_value = "browser")]
    phone: Phone,
}

/// Who answers on the tenant's phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Phone {
    // You, on the phone page.
    Browser,
    // You, here.
    Terminal,
    // It answers by itself after a moment.
    Approve,
    Deny,
}

/// Does it: a tenant, a login, a run. The exit code is the run's.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let ui = &app.ui;
    if args.phone == Phone::Terminal && !ui.can_ask() {
        return Err(Failure::new(Kind::Usage, "--phone terminal needs a terminal to ask at")
            .hint("use --phone browser, or --phone approve in a script"));
    }
    let (mut stop, mut of_run) = (app.stop(None)?, app.stop(None)?);
    let options = Options { interval_s: 1, ..Options::default() };
    let tenant = dev::start(options, app.clock.clone()).await?;
    let home = Scratch::new("agentctl-demo")?;
    let inside = app.inside(environment(&tenant, &home)?, home.path());
    let story = async {
        let phone_url = tenant.ready(home.path(), "").phone_url;
        step(ui, 1, &format!("A tenant of its own runs on this machine: {}", inside.tenant()?));
        ui.status(Line::new().dim("   ").dim(dev::WARNING));
        step(ui, 2, "Log in with the device flow");
        let account = log_in(&inside, &tenant).await?;
        // The person is the tenant's, and gone with it; the folder of the locks is not the demo's own.
        let _lock = Gone(approval::turn_file(&inside.dirs()?.locks, &account));
        let task = args.task.join(" ");
        step(ui, 3, &format!("Give the agent the task: {task}"));
        if args.phone == Phone::Browser {
            ui.say(Line::new().plain("   Your phone is this page: ").address(&phone_url));
            ui.say("   Approve or deny there when it asks.");
            if ui.err().terminal {
                browser::open(&phone_url, &[]);
            }
        }
        run::one(&inside, &task, &run::LimitArgs::default(), &mut of_run).await
    };
    let result = tokio::select! {
        biased;
        // Not the run's own way to stop: that says how to go on with what will be gone.
        result = stop.or(story) => result,
        served = tenant.run() => Err(served.map_or_else(Failure::from, |()| Failure::new(Kind::Failed, "the tenant ended"))),
        never = answer(&tenant, args.phone, ui, &app.clock) => match never {},
    };
    if result.is_ok() {
        ui.status("");
        ui.status("That was all of it, and nothing of it is kept. To use your own tenant: `agentctl config init`");
    }
    result.map_err(|failure| match failure.kind {
        Kind::Interrupted | Kind::Terminated | Kind::HungUp => {
            failure.hint("nothing of the demo is kept; `agentctl demo` begins it anew")
        }
        _ => failure,
    })
}

/// A file that is removed when this is dropped, if it is there.
struct Gone(PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn step(ui: &Ui, number: u8, text: &str) {
    ui.status(Line::new().styled(anstyle::AnsiColor::Green.on_default(), &format!("{number}. ")).said(text));
}

/// What the agent of the demo is told, and nothing of what the person's own environment says.
fn environment(tenant: &Tenant, home: &Scratch) -> Result<EnvVars, Failure> {
    let mut env = tenant.env(home.path(), &Scratch::secret());
    for (name, value) in &mut env {
        if name == "AGENTCTL_STORE" {
            *value = "memory".to_owned();
        }
    }
    Ok(EnvVars::from_pairs(env))
}

/// The device flow, with the tenant's own person at its other end.
async fn log_in(app: &App, tenant: &Tenant) -> Result<Account, Failure> {
    let session = app.session().await?;
    let login = session.begin_login(&Extra::default()).await?;
    let code = login.user_code().to_owned();
    app.ui.status(Line::new().plain("   The code is ").bold(&code).plain("; Ada confirms it on the tenant's page."));
    let confirmed = tenant.phone().approve_login(&code);
    confirmed.map_err(|error| Failure::caused(Kind::Failed, "confirm the login", &error))?;
    let account = session.finish_login(login, None, &|_| {}).await?;
    app.ui.status(Line::new().good("   ✓ ").plain("Logged in as ").bold(&whoami::name(&account)));
    Ok(account)
}

/// Answers what the tenant's phone shows, if somebody else than a browser is to answer.
async fn answer(tenant: &Tenant, phone: Phone, ui: &Ui, clock: &SharedClock) -> Infallible {
    if phone == Phone::Browser {
        return std::future::pending().await;
    }
    let lines = Lines::default();
    let mut device = tenant.phone();
    loop {
        let push = device.next_push().await;
        // The client's own lines about it come first.
        clock.sleep(MOMENT).await;
        let yes = match phone {
            Phone::Terminal => ask(ui, &lines, clock, &push).await,
            _ => phone == Phone::Approve,
        };
        // If its time is over, or the run gave up, there is nobody to tell: the run says so itself.
        let _ = if yes { device.approve(&push.id) } else { device.deny(&push.id) };
    }
}

/// The phone in the terminal. Anything but a yes is a no.
async fn ask(ui: &Ui, lines: &Lines, clock: &SharedClock, push: &Push) -> bool {
    ui.end_wait();
    ui.say("");
    ui.say(Line::new().plain("   [phone of ").bold(&push.person).plain("]"));
    ui.say(
        Line::new()
            .plain("   ")
            .message(Style::new().bold(), push.binding_message.as_deref().unwrap_or("(no message)")),
    );
    for one in &push.details {
        ui.say(
            Line::new().plain("   ").bold(&one.kind).dim(": ").words(one.instruction.as_deref().unwrap_or_default()),
        );
        for (name, value) in one.rows.iter().chain(&one.rest) {
            ui.say(Line::new().plain("     ").label(name).field(value));
        }
    }
    let question = Line::new().plain("   [phone] Approve? Type yes, or anything else to deny:");
    let answer = lines.ask(ui, &**clock, question).await;
    matches!(answer, Ok(Some(text)) if matches!(text.trim(), "yes" | "y"))
}
