//! What was in hand when everything was stopped: what is on its way is named, what was cut off is ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use super::{Receipt, in_words};
use crate::{
    call::{ActionId, ApprovalId, Outcome, RunId, ToolOutput},
    cli::{
        app::{
            App,
            records::{PAUSE, TRIES},
        },
        failure::Failure,
        tools,
    },
    dispatch,
    store::{
        audit::Audit,
        journal::{self, ApprovalRow, ApprovalState, CallRow, Journal},
    },
};

/// What is said where a call cannot be ended without the key.
const LOCKED: &str = "the key that it was written with is out of reach; another `agentctl panic` writes it when it is not, and \
                      so does `agentctl resume` after the next login";

/// The calls that are being carried out. Nobody calls them back.
#[derive(Default)]
pub(super) struct Going {
    calls: BTreeMap<ActionId, One>,
    /// The runs of which nobody can say it.
    unread: BTreeSet<RunId>,
}

/// One of them.
struct One {
    run: Option<RunId>,
    words: String,
}

impl Going {
    /// What is on its way now, whether it was asked about or not; and what could not be looked up.
    pub(super) fn now(audit: &Audit, journal: &Journal) -> (Self, Vec<String>) {
        let (mut going, mut unknown) = (Self::default(), Vec::new());
        let unread = |of: &str, error: &dyn Display| format!("what is being carried out{of} is not known: {error}");
        match journal.open_approval_ids() {
            Ok(ids) => {
                for id in ids {
                    match journal.approval(&id) {
                        Ok(Some(row)) if row.state == ApprovalState::Executing => {
                            let one = One { words: in_words(&row), run: row.asked.run };
                            going.calls.insert(row.asked.action, one);
                        }
                        Ok(_) => {}
                        Err(error) => unknown.push(unread(&format!(" by {id}"), &error)),
                    }
                }
            }
            Err(error) => unknown.push(unread("", &error)),
        }
        match journal.waiting_run_ids() {
            Ok(runs) => {
                for run in runs {
                    if let Err(error) = going.of_run(journal, &run) {
                        unknown.push(unread(&format!(" in {run}"), &error));
                        going.unread.insert(run);
                    }
                }
            }
            Err(error) => unknown.push(unread("", &error)),
        }
        // The log knows an end that the journal has not.
        going.calls.retain(|action, _| !has_end(audit, action));
        (going, unknown)
    }

    fn of_run(&mut self, journal: &Journal, run: &RunId) -> Result<(), journal::Error> {
        for row in journal.open_calls(run)? {
            if dispatch::may_have_happened(journal, &row)? {
                let words = format!("{} ({})", row.action, row.tool);
                self.calls.entry(row.action).or_insert(One { run: Some(run.clone()), words });
            }
        }
        Ok(())
    }
}

/// Ends whatever was cut off, and says what came of what was on its way at the stop.
pub(super) async fn write(
    app: &App,
    abandoned: &[ApprovalId],
    mut going: Going,
    receipt: &mut Receipt,
) -> Result<(), Failure> {
    let (journal, audit) = (app.journal()?, app.audit()?);
    let mut ends = Ends { app, audit: &audit, journal: &journal, abandoned, told: BTreeSet::new(), receipt };
    let held = ends.write().await;
    let Ends { told, .. } = ends;
    let (now, unknown) = Going::now(&audit, &journal);
    receipt.not_done.extend(unknown);
    for (action, one) in now.calls {
        going.calls.entry(action).or_insert(one);
    }
    going.calls.retain(|action, _| !told.contains(action));
    going.unread.extend(now.unread);
    let is_going =
        |run: &RunId| going.unread.contains(run) || going.calls.values().any(|one| one.run.as_ref() == Some(run));
    for run in held.iter().filter(|run| !is_going(run)) {
        let who = "the process that has it in hand writes the ends of its calls, and the next `agentctl resume` if it does not";
        receipt.done.push(format!("nothing more is carried out in {run}; {who}"));
    }
    for (action, One { words, .. }) in going.calls {
        match dispatch::end_of(&audit, &action) {
            Ok(Some(end)) => {
                let word = end.outcome.word();
                let what = format!("{words} was being carried out when everything was stopped, and ended as {word}");
                let list = match end.outcome.is_without_effect() {
                    true => &mut receipt.done,
                    false => &mut receipt.not_done,
                };
                list.push(what);
            }
            Ok(None) | Err(_) => receipt.not_done.push(format!("{words} is being carried out and may have happened")),
        }
    }
    Ok(())
}

/// Whether the log has the end of a call, as far as it can be read.
fn has_end(audit: &Audit, action: &ActionId) -> bool {
    matches!(dispatch::end_of(audit, action), Ok(Some(_)))
}

/// What a call is known by.
fn name<'a>(call: &'a CallRow, approval: Option<&'a ApprovalId>) -> &'a str {
    approval.map_or(call.action.as_str(), ApprovalId::as_str)
}

/// Writing down the ends of what was cut off.
struct Ends<'a> {
    app: &'a App,
    audit: &'a Audit,
    journal: &'a Journal,
    /// What was given up just now.
    abandoned: &'a [ApprovalId],
    /// The calls of which something was said.
    told: BTreeSet<ActionId>,
    receipt: &'a mut Receipt,
}

impl Ends<'_> {
    /// Also of those that were given up, denied or cut off before, and whose end nobody could write down. Returns the runs
    /// that another process has in hand.
    async fn write(&mut self) -> Vec<RunId> {
        let mut runs = match self.journal.waiting_run_ids() {
            Ok(runs) => runs,
            Err(error) => {
                self.receipt.not_done.push(format!("which calls have no end is not known: {error}"));
                return Vec::new();
            }
        };
        for left in (0..TRIES).rev() {
            // A process that has it in hand learns of the stop at its next step, and writes the ends of its calls itself.
            // Meanwhile nobody takes it up. One that has it for a moment, to end a single call, leaves the others.
            let mut held = Vec::new();
            for run in runs {
                match self.app.try_lease(&run) {
                    Ok(Some(_lease)) => self.run(&run),
                    Ok(None) if self.journal.open_calls(&run).is_ok_and(|calls| calls.is_empty()) => {}
                    Ok(None) => held.push(run),
                    Err(failure) => self.unheld(&run, &failure.message),
                }
            }
            runs = held;
            if runs.is_empty() || left == 0 {
                break;
            }
            self.app.clock.sleep(PAUSE).await;
        }
        runs
    }

    /// Every open call of a run that is held here. One that cannot be ended holds up no other.
    fn run(&mut self, run: &RunId) {
        for call in self.open_calls(run) {
            match dispatch::stopped(self.audit, self.journal, &call, self.app.clock.now()) {
                Ok(Some(output)) => self.ended(call, &output),
                Ok(None) => {}
                Err(error) => {
                    let why = match error {
                        dispatch::Error::Journal(journal::Error::Locked) => LOCKED.to_owned(),
                        error => error.cause(),
                    };
                    self.unended(call, &why);
                }
            }
        }
        if let Err(failure) = tools::close(self.app, run) {
            self.receipt.not_done.push(format!("the end of {run} is not written down: {}", failure.message));
        }
    }

    /// A run that cannot be held.
    fn unheld(&mut self, run: &RunId, why: &str) {
        for call in self.open_calls(run) {
            if !has_end(self.audit, &call.action) {
                self.unended(call, why);
            }
        }
    }

    fn approval_of(&self, call: &CallRow) -> Option<ApprovalRow> {
        self.journal.approval_of(&call.action).ok().flatten()
    }

    fn open_calls(&mut self, run: &RunId) -> Vec<CallRow> {
        self.journal.open_calls(run).unwrap_or_else(|error| {
            self.receipt.not_done.push(format!("which calls of {run} have no end is not known: {error}"));
            Vec::new()
        })
    }

    /// What became of a call that was cut off. One whose approval was given up just now was named with it.
    fn ended(&mut self, call: CallRow, output: &ToolOutput) {
        let approval = self.approval_of(&call).map(|row| row.asked.id);
        let what = format!("{} ({}): {}", name(&call, approval.as_ref()), call.tool, output.message);
        self.told.insert(call.action);
        match output.outcome {
            Outcome::Unknown => self.receipt.not_done.push(what),
            _ if approval.is_some_and(|id| self.abandoned.contains(&id)) => {}
            outcome => self.receipt.done.push(format!("ended as {}: {what}", outcome.word())),
        }
    }

    /// The same of one whose end could not be written down everywhere.
    fn unended(&mut self, call: CallRow, why: &str) {
        let approval = self.approval_of(&call);
        let begun = dispatch::may_have_happened(self.journal, &call).unwrap_or(false);
        let name = name(&call, approval.as_ref().map(|row| &row.asked.id));
        self.receipt.not_done.push(match dispatch::end_of(self.audit, &call.action) {
            Ok(Some(end)) => {
                let word = end.outcome.word();
                format!("{name} ended as {word}; the audit log has that, and the journal has not: {why}")
            }
            _ if begun => {
                let what = "was cut off while it was being carried out and may have happened";
                format!("{name} {what}; its end is not in the audit log: {why}")
            }
            _ => format!("the end of {name} is not in the audit log: {why}"),
        });
        self.told.insert(call.action);
    }
}
