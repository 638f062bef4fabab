//! `agentctl panic`: stop everything, now.

use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::{
    app::App,
    failure::{Failure, Kind, chain},
    ui::Line,
};
use crate::{
    call::{ActionId, ApprovalId},
    dispatch,
    session::Revoked,
    store::{
        journal::{ApprovalFilter, ApprovalState, Journal},
        seal::DataKey,
        stop::Stop,
    },
};

/// How long the credential store and the server may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Stop everything: nothing more is carried out, what waits is given up, and this login is revoked
#[derive(Debug, ClapArgs)]
#[command(after_help = "It asks nothing. Every agentctl process of yours stops at its next step, and
stays stopped. After a new `agentctl login` new ones can act again. The exit
code is 1 if a part could not be done; the receipt on stdout says which. Run it
again if it was cut off.

Examples:
  agentctl panic")]
pub(crate) struct Args {}

/// What one step came to.
struct Receipt {
    done: Vec<String>,
    not_done: Vec<String>,
}

/// Does it: the stop first, because it needs nothing but the disk.
pub(crate) async fn run(app: &App, _: &Args) -> Result<(), Failure> {
    let mut receipt = Receipt { done: Vec::new(), not_done: Vec::new() };
    let now = app.clock.now();
    // Not through the settings: a broken configuration must not keep the stop from being written.
    let raised = Stop::open(&app.dirs()?.state).raise(now);
    let generation = match raised {
        Ok(generation) => {
            receipt.done.push("nothing more is carried out by any agentctl process of yours".to_owned());
            Some(generation)
        }
        Err(error) => {
            receipt.not_done.push(format!("the stop could not be written: {error}; end the processes yourself"));
            None
        }
    };
    // The log first, like before any call; what came of it follows at the end.
    let action = ActionId::mint();
    let requested = app.audit().and_then(|audit| {
        let body = json!({ "tool": "panic", "arguments": {}, "run": null });
        Ok(audit.request(&action, now, body)?)
    });
    // Before anything that may hang: what waits could be approved meanwhile.
    let abandoned = match abandon_all(app, &mut receipt) {
        Ok(abandoned) => abandoned,
        Err(failure) => {
            receipt.not_done.push(format!("what waits for an approval could not be given up: {}", failure.message));
            Vec::new()
        }
    };
    // Revoking ends with the login's own entry in the store; the key that seals the log lies beside it.
    let key = unlock(app).await;
    revoke(app, &mut receipt).await;
    if let Ok(journal) = app.journal() {
        journal.passes("before:panic_logged");
    }
    let logged = requested.and_then(|()| app.audit()).and_then(|audit| {
        let outcome = if receipt.not_done.is_empty() { "done" } else { "failed" };
        let body = json!({ "outcome": outcome, "message": "everything was stopped", "generation": generation,
                           "abandoned": abandoned, "done": receipt.done, "not_done": receipt.not_done });
        audit.response(&action, app.clock.now(), body)?;
        let Some((key, lasts)) = key else { return Ok(false) };
        audit.unlock(key, lasts);
        audit.seal(app.clock.now())?;
        Ok(true)
    });
    match logged {
        Ok(true) => receipt.done.push("the audit log has it, sealed where the credential store lasts".to_owned()),
        Ok(false) => {
            receipt.done.push("the audit log has it".to_owned());
            receipt
                .not_done
                .push("the log could not be sealed: its key is out of reach; the next run seals it".to_owned());
        }
        Err(failure) => receipt.not_done.push(format!("the audit log does not have it: {}", failure.message)),
    }
    tell(app, &receipt, generation, &abandoned)
}

/// The key that seals the log, unless the credential store does not give it in time.
async fn unlock(app: &App) -> Option<(&DataKey, bool)> {
    let store = app.store().ok()?;
    tokio::select! {
        biased;
        key = store.data_key() => Some((key.ok()?, store.lasts())),
        () = app.clock.sleep(LIMIT) => None,
    }
}

/// Gives up whatever waits. What is being carried out right now cannot be called back.
fn abandon_all(app: &App, receipt: &mut Receipt) -> Result<Vec<Value>, Failure> {
    let (journal, audit, now) = (app.journal()?, app.audit()?, app.clock.now());
    let mut abandoned = Vec::new();
    let open = journal.approvals(&ApprovalFilter { run: None, open: true })?;
    journal.passes("after:stop_raised");
    for row in open {
        let what = format!("{} ({}, {})", row.asked.id, row.asked.tool, row.asked.binding_message);
        if row.state == ApprovalState::Executing {
            receipt.not_done.push(format!("{what} was being carried out and may have happened"));
        } else if journal.abandon(&row.asked.id, now)? || is_abandoned(&journal, &row.asked.id)? {
            abandoned.push(json!(row.asked.id));
            receipt.done.push(format!("given up: {what}; your device may still show it"));
        }
    }
    // Also of those that were given up by somebody who was killed before this could be written down.
    for row in dispatch::given_up_and_open(&journal)? {
        // A process that waits for it learns it at its next step, and writes the end of its call itself.
        let ended = match app.is_held(row.asked.run.as_ref()) {
            Ok(true) => continue,
            Ok(false) => dispatch::given_up(&audit, &journal, &row, now).map_err(|error| error.to_string()),
            Err(failure) => Err(failure.message),
        };
        if let Err(why) = ended {
            receipt.not_done.push(format!("the end of {} is not in the audit log: {why}", row.asked.id));
        }
    }
    Ok(abandoned)
}

/// Whether the process that waited for it was faster.
fn is_abandoned(journal: &Journal, id: &ApprovalId) -> Result<bool, Failure> {
    Ok(journal.approval(id)?.is_some_and(|row| row.state == ApprovalState::Abandoned))
}

/// Revokes this device's grant, within limits: neither a server nor a keyring that hangs holds up the rest.
async fn revoke(app: &App, receipt: &mut Receipt) {
    let work = async { Ok::<_, Failure>(app.session().await?.logout().await?) };
    let logout = tokio::select! {
        biased;
        report = work => report,
        () = app.clock.sleep(LIMIT) => {
            let why = format!("the login was not revoked: no answer within {} s", LIMIT.as_secs());
            receipt.not_done.push(format!("{why}; end it on the server's own pages, and run `agentctl logout`"));
            return;
        }
    };
    match logout {
        Ok(report) => match (report.revoked, report.account) {
            (Revoked::Failed(error), _) => receipt.not_done.push(format!(
                "the login is deleted here, but it is not revoked at the server: {}; end it on the server's own pages",
                chain(&error)
            )),
            (Revoked::Done, _) => receipt.done.push("the login is revoked at the server and deleted here".to_owned()),
            (Revoked::Nothing, Some(_)) => receipt.done.push("the login is deleted here".to_owned()),
            (Revoked::Nothing, None) => receipt.done.push("nobody was logged in".to_owned()),
        },
        Err(failure) => receipt.not_done.push(format!(
            "the login was not revoked: {}; run this again when that is mended, or end the login on the server's own pages",
            failure.message
        )),
    }
}

fn tell(app: &App, receipt: &Receipt, generation: Option<u64>, abandoned: &[Value]) -> Result<(), Failure> {
    let whole = receipt.not_done.is_empty();
    let after = "tokens that are out live until they expire; after `agentctl login` new processes can act again";
    if app.ui.json() {
        app.ui.data(&json!({
            "schema_version": 1,
            "ok": whole,
            "exit_code": u8::from(!whole),
            "stopped_at": super::show::rfc3339(app.clock.now()),
            "generation": generation,
            "abandoned": abandoned,
            "done": receipt.done,
            "not_done": receipt.not_done,
        }));
    } else {
        for line in &receipt.done {
            app.ui.answer_line(&Line::new().good("✓ ").words(line));
        }
        for line in &receipt.not_done {
            app.ui.answer_line(&Line::new().bad("✗ ").words(line));
        }
        app.ui.answer_line(&Line::new().plain("  ").plain(after));
    }
    match whole {
        true => Ok(()),
        false => Err(Failure::new(Kind::Failed, "not everything could be stopped").told()),
    }
}
