//! `/abandon`: whatever of the conversation was not begun is given up, what was cut off is left as it is, each call for itself, and
//! its end is written down at once: nobody may say anything here afterwards.

use super::talk::Talk;
use crate::{
    call::{ActionId, ToolOutput},
    cli::{
        approvals,
        failure::{Failure, Kind},
        show,
        ui::{Line, Ui},
    },
    dispatch,
    store::journal::{ApprovalRow, ApprovalState},
};

/// Gives it up. One that cannot be given up holds up no other.
pub(super) fn abandon(talk: &mut Talk<'_>) -> Result<(), Failure> {
    let app = talk.app;
    let (journal, audit, ui) = (app.journal()?, app.audit()?, &app.ui);
    let (stopped, _) = talk.unbegun()?;
    // What cannot be read is found again with its own call.
    let unsettled = talk.settle();
    let ((still, unasked), cut) = (talk.unbegun()?, talk.cut()?);
    for row in stopped.iter().filter(|row| !still.iter().chain(&unasked).any(|still| still.action == row.action)) {
        let line = Line::new().plain("Given up: ").words(&show::call_in_words(&row.tool, &row.plan));
        ui.say(line.plain("; it was stopped before anything was done."));
    }
    if unsettled.is_ok() && stopped.is_empty() && unasked.is_empty() && cut.is_empty() && talk.undone()?.is_empty() {
        ui.say("Nothing of this conversation waits for you, and nothing that you approved is still to be done.");
        return Ok(());
    }
    let mut ended: Vec<(ActionId, ToolOutput)> = Vec::new();
    let (mut kept, mut unwritten) = (0, None);
    for row in unasked {
        let call = show::call_in_words(&row.tool, &row.plan);
        match dispatch::given_up_unasked(&audit, &journal, &row, app.clock.now()) {
            Ok(output) => {
                let line = Line::new().plain("Given up: ").words(&call);
                ui.say(line.plain("; you were not asked about it, and nothing was sent."));
                ended.push((row.action, output));
            }
            Err(error) => {
                kept += 1;
                tell_kept(ui, Line::new().plain("Not given up: ").words(&call), &error);
            }
        }
    }
    let undone = talk.undone()?;
    for row in &undone {
        let (id, now) = (&row.asked.id, app.clock.now());
        match journal.abandon(id, now) {
            Ok(true) => ui.say(named("Given up: ", row).plain("; ").plain(approvals::no_use(row.state)).plain(".")),
            // Somebody was faster: another process, or the answer.
            Ok(false) => {
                let state = journal.approval(id)?.map_or(row.state, |row| row.state);
                ui.say(named("Not given up: ", row).plain("; it is ").plain(state.word()).plain("."));
                if state != ApprovalState::Abandoned {
                    continue;
                }
            }
            Err(error) => {
                kept += 1;
                tell_kept(ui, named("Not given up: ", row), &error);
                continue;
            }
        }
        match dispatch::given_up(&audit, &journal, row, now) {
            Ok((output, _)) => ended.push((row.asked.action.clone(), output)),
            Err(error) => unwritten = Some(error),
        }
    }
    for row in cut {
        let call = show::call_in_words(&row.tool, &row.plan);
        match dispatch::left(&audit, &journal, &row, app.clock.now()) {
            Ok(output) => {
                let line = Line::new().plain("Left as it is: ").words(&call);
                ui.say(line.plain(approvals::left_as(output.outcome)));
                ended.push((row.action, output));
            }
            Err(error) => {
                kept += 1;
                tell_kept(ui, Line::new().plain("Not given up: ").words(&call), &error);
            }
        }
    }
    talk.learn(ended)?;
    match (kept, unwritten) {
        (0, None) => unsettled,
        (0, Some(error)) => {
            Err(Failure::from(error).hint("it is given up all the same; your next message writes its end"))
        }
        _ => Err(Failure::new(Kind::Failed, "not everything could be given up")
            .hint("/abandon tries it again; before that, your next message may do what you approved")),
    }
}

fn tell_kept(ui: &Ui, call: Line, error: &dyn std::error::Error) {
    ui.say(call.plain("; ").words(&error.to_string()).plain("."));
}

fn named(became: &'static str, row: &ApprovalRow) -> Line {
    let call = show::call_in_words(&row.asked.tool, &row.asked.plan);
    Line::new().plain(became).bold(row.asked.id.as_str()).plain(", ").words(&call)
}
