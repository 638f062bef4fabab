//! A conversation, and what it needs.

use std::{cell::RefCell, rc::Rc};

use super::{
    Args, picker,
    reader::{self, Reader},
    watch::Watch,
};
use crate::{
    agent::{Agent, Conversation, Results},
    approval::OnApproval,
    call::{ActionId, ApprovalId, RunId, ToolOutput},
    cli::{
        app::App,
        bounds,
        failure::{Failure, Kind},
        finish, model_trouble, resume,
        run::{self, LimitArgs},
        runs,
        show::{self, Show},
        signals::{Signals, stopped},
        ui::Line,
        usage::Used,
        verdict,
    },
    dispatch,
    event::Event,
    model::Model,
    store::{
        journal::{self, ApprovalFilter, ApprovalRow, ApprovalState, Bounds, CallRow},
        lock::GrantLock,
    },
};

/// What is said where something of the conversation has no answer yet.
pub(super) const WAITS: &str = "Something still waits for your answer; /abandon gives it up, /approvals shows it.";
/// What is said of a call that was stopped before it was begun, when its conversation is taken up.
const STOPPED_BEFORE: &str = ": it was stopped before anything was done. Your next message goes on without it.";
/// The same of one that was cut off.
const CUT_BEFORE: &str = " was cut off while it was being carried out. Your next message finds out what came of it, by sending it \
                          again where that is safe; /abandon leaves it as it is.";

/// The conversation, and what it needs, made when the first message is sent.
pub(super) struct Talk<'a> {
    pub(super) app: &'a App,
    limits: LimitArgs,
    /// The settings of the model that `/model` chose.
    pub(super) chosen: Option<App>,
    /// The settings of the model that a conversation which was taken up keeps to.
    pub(super) held: Option<App>,
    /// What a conversation which was taken up keeps to. One that began here keeps to the flags of this shell.
    pub(super) bounds: Option<Bounds>,
    pub(super) agent: Option<Agent>,
    pub(super) conversation: Option<Conversation>,
    /// What the model is told in addition.
    pub(super) instructions: Option<String>,
    lease: Option<Rc<GrantLock>>,
    /// What is waited for behind the prompt.
    pub(super) watch: Watch,
    /// The conversations as `/runs` numbered them.
    pub(super) listed: Vec<RunId>,
    /// Who is logged in, once that was asked.
    pub(super) person: Option<String>,
    /// The tokens that each model read and wrote in this shell.
    spent: Vec<Spent>,
}

#[derive(Debug)]
struct Spent {
    model: String,
    read: u64,
    written: u64,
}

impl<'a> Talk<'a> {
    pub(super) fn new(app: &'a App, limits: LimitArgs) -> Self {
        Self {
            app,
            limits,
            chosen: None,
            held: None,
            bounds: None,
            agent: None,
            conversation: None,
            instructions: None,
            lease: None,
            watch: Watch::default(),
            listed: Vec::new(),
            person: None,
            spent: Vec::new(),
        }
    }

    /// Goes on with a conversation, if the arguments say so.
    pub(super) async fn take_up(&mut self, args: &Args, reader: &mut Reader) -> Result<(), Failure> {
        let run = match &args.resume {
            Some(Some(run)) => runs::find(&*self.app.journal()?, run)?.row.id,
            Some(None) if reader.is_interactive() => match picker::pick(self.app, reader, None).await? {
                Some(run) => run,
                None => return Ok(()),
            },
            Some(None) => {
                let failure = Failure::new(Kind::Usage, "nobody is here to choose a conversation");
                return Err(failure.hint("`agentctl runs list` shows them; give one as --resume RUN"));
            }
            None if args.r#continue => picker::latest(self.app)?,
            None => return Ok(()),
        };
        let said = self.of_shell()?;
        self.go_on_with(&run, said, reader.is_interactive()).await
    }

    /// Goes on with this conversation, which keeps to what it kept to before, unless something else is `said` of it. Whichever
    /// went on before is left first.
    pub(super) async fn go_on_with(&mut self, run: &RunId, said: Bounds, interactive: bool) -> Result<(), Failure> {
        if self.conversation.as_ref().is_some_and(|conversation| conversation.run() == run) {
            self.app.ui.say("That is the conversation you are in.");
            return Ok(());
        }
        let lease = self.app.lease(run)?;
        let journal = self.app.proven(run).await?;
        let saved = resume::saved(self.app, &journal, run)?;
        if saved.row.is_single_call() {
            let failure = Failure::new(Kind::Usage, format!("{run} is a single call, not a conversation"));
            return Err(failure.hint(format!("`agentctl resume {run}` goes on with it")));
        }
        let conversation = resume::with_task(resume::load(&journal, run)?)?;
        let bounds = bounds::anew(self.app, &journal, &saved, said)?;
        let held = bounds::settings(self.app, &saved, &bounds)?;
        self.leave(None, interactive).await?;
        journal.reopen_run(run, self.app.clock.now())?;
        self.app.ui.status(Line::new().dim("Going on with: ").words(&saved.row.title));
        if conversation.is_rehearsal() {
            self.app.ui.say(Line::new().plain("It is a dry run: ").plain(runs::DRY_RUN).plain("."));
        }
        bounds::tell(self.app, &bounds);
        self.keep_to(Some(bounds), held);
        if let Some((text, cut)) = conversation.last_word().filter(|_| interactive) {
            self.app.ui.answer_piece(text);
            self.app.ui.end_line();
            if let Some(cut) = cut {
                self.app.ui.say(cut.for_person());
            }
        }
        self.instructions = conversation.instructions().map(str::to_owned);
        (self.lease, self.conversation) = (Some(Rc::new(lease)), Some(conversation));
        if !self.waiting()?.is_empty() {
            self.app.ui.say(WAITS);
        }
        for id in self.approved()? {
            self.app.ui.say(reader::news_of(self.app, &id, "approved", reader::When::NextMessage));
        }
        let stopped = self.unbegun()?.0.into_iter().map(|call| (call, STOPPED_BEFORE));
        for (call, what) in stopped.chain(self.cut()?.into_iter().map(|call| (call, CUT_BEFORE))) {
            let line = Line::new().warn("! ").words(&show::call_in_words(&call.tool, &call.plan));
            self.app.ui.say(line.plain(what));
        }
        Ok(())
    }

    /// What was asked in this conversation and was not begun, whether it has an answer or not: it can be given up.
    pub(super) fn undone(&self) -> Result<Vec<ApprovalRow>, Failure> {
        let Some(conversation) = &self.conversation else { return Ok(Vec::new()) };
        let filter = ApprovalFilter { run: Some(conversation.run().clone()), open: true };
        let mut open = self.app.journal()?.approvals(&filter)?;
        open.retain(|row| row.state.may_become(ApprovalState::Abandoned));
        Ok(open)
    }

    /// The open calls of this conversation about which nobody was asked yet: their turn comes with the next message.
    pub(super) fn unasked(&self) -> Result<Vec<CallRow>, Failure> {
        Ok(self.unbegun()?.1)
    }

    /// The open calls of this conversation of which nothing was begun: those that were stopped, with which the next message
    /// does not go on, and those about which nobody was asked yet.
    pub(super) fn unbegun(&self) -> Result<(Vec<CallRow>, Vec<CallRow>), Failure> {
        let Some(conversation) = &self.conversation else { return Ok(Default::default()) };
        let (audit, journal) = (self.app.audit()?, self.app.journal()?);
        let results = Results { audit: &audit, journal: &journal, clock: &*self.app.clock };
        let (mut stopped, mut unasked) = (Vec::new(), Vec::new());
        for row in dispatch::unasked(&audit, &journal, conversation.run())? {
            let is_stopped = results.is_unanswered(conversation, &row);
            match is_stopped.map_err(|error| model_trouble::of_turn(self.app, error, None))? {
                true => stopped.push(row),
                false => unasked.push(row),
            }
        }
        Ok((stopped, unasked))
    }

    /// Gives each call of the conversation a result, so that an end of it has its place. What was stopped before it was begun
    /// ends by that.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        let (app, audit, journal) = (self.app, self.app.audit()?, self.app.journal()?);
        let Some(conversation) = &mut self.conversation else { return Ok(()) };
        let results = Results { audit: &audit, journal: &journal, clock: &*app.clock };
        results.settle(conversation).map_err(|error| model_trouble::of_turn(app, error, None))
    }

    /// The conversation learns how these calls ended.
    pub(super) fn learn(&mut self, ended: Vec<(ActionId, ToolOutput)>) -> Result<(), Failure> {
        let (app, audit, journal) = (self.app, self.app.audit()?, self.app.journal()?);
        let Some(conversation) = &mut self.conversation else { return Ok(()) };
        let open = journal.open_calls(conversation.run())?;
        let ended: Vec<(CallRow, ToolOutput)> = ended
            .into_iter()
            .filter_map(|(action, output)| Some((open.iter().find(|row| row.action == action)?.clone(), output)))
            .collect();
        let results = Results { audit: &audit, journal: &journal, clock: &*app.clock };
        results.learn(conversation, &ended).map_err(|error| model_trouble::of_turn(app, error, None))
    }

    /// The approvals of this conversation that have no answer yet.
    pub(super) fn waiting(&self) -> Result<Vec<ApprovalId>, Failure> {
        let undone = self.undone()?.into_iter();
        Ok(undone.filter(|row| row.state.may_be_answered()).map(|row| row.asked.id).collect())
    }

    /// The approvals of this conversation that are a yes with which nothing was done yet.
    pub(super) fn approved(&self) -> Result<Vec<ApprovalId>, Failure> {
        let undone = self.undone()?.into_iter();
        Ok(undone.filter(|row| row.state == ApprovalState::Approved).map(|row| row.asked.id).collect())
    }

    /// Waits for the answers to open approvals behind the prompt. A conversation that was taken up may have some before its
    /// first message.
    pub(super) async fn watch(&mut self) {
        let Ok(ids) = self.waiting() else { return };
        if ids.is_empty() {
            return;
        }
        if self.agent.is_none()
            && let Err(failure) = self.ready().await
        {
            tracing::debug!(why = failure.message, "nothing is waited for in the background");
        }
        if let Some(agent) = &self.agent {
            self.watch.add(&agent.dispatcher.guard.approvals, ids, self.lease.as_ref());
        }
    }

    /// The settings of the model that answers.
    pub(super) fn settings(&self) -> &App {
        self.held.as_ref().or(self.chosen.as_ref()).unwrap_or(self.app)
    }

    /// What the flags of this shell and `/model` say.
    fn of_shell(&self) -> Result<Bounds, Failure> {
        bounds::said(self.chosen.as_ref().unwrap_or(self.app), &self.limits, None)
    }

    /// Another model answers from now on, also when this conversation goes on another day.
    pub(super) fn choose(&mut self, chosen: App, model: Model) -> Result<(), Failure> {
        let named = bounds::model(&chosen)?;
        (self.chosen, self.held) = (Some(chosen), None);
        if let Some(bounds) = &mut self.bounds {
            bounds.model = named;
        }
        if let Some(agent) = &mut self.agent {
            agent.model = model;
        }
        if let Some(conversation) = &self.conversation {
            let bounds = self.bounds.clone().map_or_else(|| self.of_shell(), Ok)?;
            self.app.journal()?.bind_run(conversation.run(), &bounds)?;
        }
        Ok(())
    }

    /// From now on a conversation goes on that keeps to these bounds, or one that keeps to what this shell was told.
    fn keep_to(&mut self, bounds: Option<Bounds>, held: Option<App>) {
        if bounds != self.bounds {
            self.agent = None;
        }
        let denies = bounds.as_ref().is_some_and(|bounds| bounds.deny_approvals == Some(true));
        self.app.patience.set(if denies { OnApproval::Deny } else { OnApproval::Wait });
        (self.bounds, self.held) = (bounds, held);
    }

    /// The name of the model that answers.
    pub(super) fn model_name(&self) -> Result<Option<String>, Failure> {
        Ok(self.settings().config()?.model.name.as_ref().map(|name| name.value.clone()))
    }

    /// What each model used up.
    pub(super) fn used(&self) -> Result<Vec<(&str, Used)>, Failure> {
        let priced = |spent: &'_ Spent| -> Result<Used, Failure> {
            let of_model = self.app.with_model(&spent.model)?;
            Ok(Used::new(spent.read, spent.written, of_model.config()?.model.prices.as_ref()))
        };
        self.spent.iter().map(|spent| Ok((spent.model.as_str(), priced(spent)?))).collect()
    }

    /// How many tokens were read and written.
    pub(super) fn tokens(&self) -> u64 {
        let all = self.spent.iter().flat_map(|spent| [spent.read, spent.written]);
        all.fold(0, u64::saturating_add)
    }

    /// Adds what was used up to what the model used before.
    pub(super) fn spend(&mut self, show: &Show<'_>) -> Result<(), Failure> {
        let (Some((read, written)), Some(model)) = (show.used(), self.asked()?) else { return Ok(()) };
        match self.spent.iter_mut().find(|spent| spent.model == model) {
            Some(spent) => {
                spent.read = spent.read.saturating_add(read);
                spent.written = spent.written.saturating_add(written);
            }
            None => self.spent.push(Spent { model, read, written }),
        }
        Ok(())
    }

    /// The model as the person names it, which is how the profile knows its price.
    fn asked(&self) -> Result<Option<String>, Failure> {
        let named = self.settings().asked_model().map(str::to_owned);
        Ok(named.or(self.model_name()?))
    }

    /// The end: what is still open can be gone on with.
    pub(super) async fn leave(&mut self, failure: Option<&Failure>, interactive: bool) -> Result<(), Failure> {
        self.watch.end(self.app).await;
        let Some(conversation) = self.conversation.take() else { return Ok(()) };
        while let Some((approval, answer)) = self.watch.untold() {
            self.app.ui.say(reader::news_of(self.app, &approval, &answer, reader::When::Later));
        }
        let (run, journal) = (conversation.run(), self.app.journal()?);
        // What another process gave up: it leaves the end to this one.
        if let Err(error) = dispatch::end_given_up(&self.app.audit()?, &journal, run, self.app.clock.now()) {
            self.app.ui.warn(&format!("not every call that was given up has its end in the audit log: {error}"));
        }
        let open = finish::Open::of(self.app, run);
        let kind = failure.map(|failure| failure.kind).or((!open.is_empty()).then_some(Kind::Pending));
        let code = kind.map_or(0, Kind::exit_code);
        journal.end_run(run, self.app.clock.now(), verdict::event_name(kind), code.into())?;
        open.say(&self.app.ui);
        if interactive {
            let command = format!("agentctl chat --resume {run}");
            self.app.ui.status(Line::new().dim("To go on with this conversation: ").dim_whole(&command));
        }
        self.lease = None;
        self.keep_to(None, None);
        Ok(())
    }

    /// Sends a message, and brings the answer.
    pub(super) async fn message(&mut self, text: &str, signals: &mut Signals) -> Result<(), Failure> {
        let app = self.app;
        let show = Show::new(&app.ui, app.clock.clone(), app.config()?.bell).behind_a_prompt();
        // What came of an answer that is not over.
        let begun = RefCell::new(String::new());
        let ended = self.heard(text, &show, &begun, signals).await;
        self.spend(&show)?;
        if let (Err(failure), Some(agent), Some(conversation)) = (&ended, &self.agent, &mut self.conversation) {
            let by_person = failure.kind == Kind::Interrupted;
            let settings = self.held.as_ref().or(self.chosen.as_ref()).unwrap_or(self.app);
            let cut = agent.cut(conversation, &begun.borrow(), by_person);
            cut.map_err(|error| model_trouble::of_turn(settings, error, None))?;
        }
        ended
    }

    async fn heard(
        &mut self,
        text: &str,
        show: &Show<'_>,
        begun: &RefCell<String>,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        let app = self.app;
        let mut answering = std::pin::pin!(self.answer(text, show, begun));
        tokio::select! {
            biased;
            kind = signals.next() => {
                let failure = stopped(kind);
                if !show.waits() {
                    return Err(failure);
                }
                // Only the wait ends here. It goes on behind the prompt, with the request that is under way.
                let _handed_over = app.patience.hand_over();
                tokio::select! {
                    biased;
                    _ = &mut answering => {}
                    () = app.clock.sleep(finish::MOMENT) => {}
                }
                // What becomes of an open request says already that nobody waits any more.
                Err(failure.told())
            }
            answer = &mut answering => answer,
            never = app.heartbeats() => match never {},
        }
    }

    /// The calls of this conversation that were cut off while they were being carried out: nobody knows yet what came of them.
    /// One whose execution somebody has changed is one of them; who goes on with it is told.
    pub(super) fn cut(&self) -> Result<Vec<CallRow>, Failure> {
        let Some(conversation) = &self.conversation else { return Ok(Vec::new()) };
        let (journal, mut cut) = (self.app.journal()?, Vec::new());
        let calls = match journal.open_calls(conversation.run()) {
            Err(journal::Error::Unproven { .. }) => return Ok(cut),
            calls => calls?,
        };
        for call in calls {
            let is_cut = match dispatch::may_have_happened(&journal, &call) {
                Err(journal::Error::Unproven { .. }) => true,
                may_have => may_have?,
            };
            if is_cut {
                cut.push(call);
            }
        }
        Ok(cut)
    }

    /// Makes the agent, if there is none yet.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        let app = self.app;
        let account = app.logged_in().await?;
        app.say_for_whom(&account);
        self.person = Some(account.display_name().to_owned());
        if self.agent.is_none() {
            let of_shell = self.of_shell()?;
            let bounds = self.bounds.clone().map_or_else(|| of_shell.clone(), |bounds| of_shell.clone().with(bounds));
            let mut agent = app.agent(self.settings().model().await?, &bounds).await?;
            // What the conversation may spend and what this shell may: both hold.
            agent.dispatcher.guard.policy.per_run.extend(self.limits.max_spend.clone());
            self.agent = Some(agent);
        }
        Ok(())
    }

    async fn answer(&mut self, text: &str, show: &Show<'_>, begun: &RefCell<String>) -> Result<(), Failure> {
        self.app.session().await?.begin_anew();
        self.ready().await?;
        let waiting = self.waiting()?;
        let Some(agent) = &self.agent else { return Ok(()) };
        if self.conversation.is_none() {
            let (run, lease) = run::start(self.app, agent.model.name(), text, &self.of_shell()?)?;
            self.lease = Some(Rc::new(lease));
            show.event(Event::RunStarted { run: run.clone(), model: agent.model.name().to_owned() });
            let conversation = Conversation::new(run, self.person.as_deref());
            self.conversation = Some(match &self.instructions {
                Some(text) => conversation.with_instructions(text),
                None => conversation,
            });
        }
        let Some(conversation) = &mut self.conversation else { return Ok(()) };
        show.thinking();
        let tell = |event| {
            match &event {
                Event::Text { text } => begun.borrow_mut().push_str(text),
                Event::TextDone { .. } => begun.borrow_mut().clear(),
                _ => {}
            }
            show.event(event);
        };
        let turn = async {
            // What was answered meanwhile is done before the model reads on.
            agent.take_in(conversation, &waiting, &tell).await?;
            agent.turn(conversation, text, &tell).await
        };
        let settings = self.held.as_ref().or(self.chosen.as_ref()).unwrap_or(self.app);
        finish::judge(turn.await.map_err(|error| model_trouble::of_turn(settings, error, None))?).1
    }
}
