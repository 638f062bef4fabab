//! `agentctl panic`: stop everything, now.

mod cut_off;
mod ends;

use std::{path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};
use clap::Args as ClapArgs;
use serde_json::json;

use self::ends::Going;
use super::{
    app::App,
    failure::{Failure, Kind, chain},
    ui::Line,
};
use crate::{
    call::{ActionId, ApprovalId},
    session::Revoked,
    store::{
        journal::{self, ApprovalRow, ApprovalState, Journal},
        stop::Stop,
    },
};

/// How long the credential store may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long it may take before the first line is written without its key.
const AT_ONCE: Duration = Duration::from_secs(2);
/// How long the server may take, and another process that is renewing the login.
const OF_OTHERS: Duration = Duration::from_secs(4);

/// Stop everything: nothing more is carried out, what waits is given up, and this login is revoked
#[derive(Debug, ClapArgs)]
#[command(after_help = "It asks nothing. Every agentctl process with this state folder or this
credential store stops before its next step, and stays stopped; a request that
has left cannot be called back. What waits in this state folder is given up, and
calls that were cut off get their end, if the credential store gives its key.
After a new `agentctl login` new processes can act again; a login that began
before the stop comes to nothing. The exit code is 1 if a part could not be
done, or something may have happened; the receipt on stdout says what. Run it
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
    let state = app.dirs()?.state;
    let generation = raise(vec![state.join("stop.json")], now, &mut receipt, &format!("in {}", state.display()));
    // Other state folders may share the login. Which store that is, only the settings say.
    match app.config().and_then(|config| Ok((config.stop_files().split_off(1), app.store()?.describe()))) {
        Ok((files, _)) if files.is_empty() => {}
        Ok((files, store)) => drop(raise(files, now, &mut receipt, &format!("with the credentials in {store}"))),
        Err(failure) => receipt.not_done.push(format!(
            "agentctl processes that have their state elsewhere go on: which credential store they share is not known: {}",
            failure.message
        )),
    }
    let action = ActionId::mint();
    // Until this process ends. Before its request: no other one takes that for one that was cut off.
    let own = cut_off::hold(&state, &action);
    if let Err(error) = &own {
        receipt.not_done.push(format!("another `agentctl panic` may take this one for cut off: {error}"));
    }
    // What is written into the log carries its key's MAC, if the store gives the key at once. Nothing is carried out meanwhile.
    let _ = unlock(app, AT_ONCE).await;
    // The log first, like before any call; what came of it follows at the end.
    let requested = app.audit().and_then(|audit| {
        let body = json!({ "tool": "panic", "arguments": {}, "run": null });
        Ok(audit.request(&action, now, body)?)
    });
    // Before anything that may hang: what waits could be approved meanwhile. It needs no key.
    let abandoned = give_up(app, &mut receipt).unwrap_or_else(|failure| {
        receipt.not_done.push(format!("what waits for an approval could not be given up: {}", failure.message));
        Vec::new()
    });
    let going = match (app.audit(), app.journal()) {
        (Ok(audit), Ok(journal)) => Going::now(&audit, &journal).0,
        _ => Going::default(),
    };
    // Revoking ends with the login's own entry in the store; the key of log and journal lies beside it.
    let key = unlock(app, LIMIT).await;
    revoke(app, &mut receipt).await;
    // How a call ended is believed by its key, so the ends of those that were cut off wait for it.
    if let Err(failure) = ends::write(app, &abandoned, going, &mut receipt).await {
        receipt.not_done.push(format!("what was cut off has no end: {}", failure.message));
    }
    if let Ok(journal) = app.journal() {
        journal.passes("before:panic_logged");
    }
    let logged = requested.and_then(|()| app.audit()).and_then(|audit| {
        let (outcome, message) = match receipt.not_done.is_empty() {
            true => ("done", "everything was stopped"),
            false => ("failed", "not everything could be stopped"),
        };
        let body = json!({ "outcome": outcome, "message": message, "generation": generation,
                           "abandoned": abandoned, "done": receipt.done, "not_done": receipt.not_done });
        audit.response(&action, app.clock.now(), body)?;
        Ok(audit)
    });
    cut_off::is_over(&state, &action);
    match logged {
        Ok(audit) => {
            receipt.not_done.extend(cut_off::end(&audit, &state, &action, app.clock.now()));
            let sealed = match audit.seal(app.clock.now()) {
                Ok(()) if key == Some(true) => Ok(", sealed where the credential store lasts"),
                Ok(()) if key == Some(false) => Ok(""),
                Ok(()) => Err("its key is out of reach; the next run seals it".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            receipt.done.push(format!("the audit log has it{}", sealed.as_ref().unwrap_or(&"")));
            receipt.not_done.extend(sealed.err().map(|why| format!("the log could not be sealed: {why}")));
        }
        Err(failure) => receipt.not_done.push(format!("the audit log does not have it: {}", failure.message)),
    }
    tell(app, &receipt, generation, &abandoned)
}

/// Whether the credential store gave its key, which log and journal then have. None: not in time. One that was never used
/// has none, and nothing is written that it would be needed for.
async fn unlock(app: &App, limit: Duration) -> Option<bool> {
    let store = app.store().ok()?;
    tokio::select! {
        biased;
        key = store.existing_data_key() => Some(key.ok()?.is_some()),
        () = app.clock.sleep(limit) => None,
    }
}

/// Writes the mark into these files.
fn raise(files: Vec<PathBuf>, at: DateTime<Utc>, receipt: &mut Receipt, whose: &str) -> Option<u64> {
    match Stop::open(files).raise(at) {
        Ok(generation) => {
            receipt.done.push(format!("nothing more is carried out by any agentctl process of yours {whose}"));
            Some(generation)
        }
        Err(error) => {
            let why = format!("the stop could not be written for those {whose}: {error}; end the processes yourself");
            receipt.not_done.push(why);
            None
        }
    }
}

/// Gives up whatever waits. What is being carried out right now cannot be called back.
fn give_up(app: &App, receipt: &mut Receipt) -> Result<Vec<ApprovalId>, Failure> {
    let (journal, now) = (app.journal()?, app.clock.now());
    let mut abandoned = Vec::new();
    let open = journal.open_approval_ids()?;
    journal.passes("after:stop_raised");
    for id in open {
        // One that cannot be given up, or not even be read, holds up no other.
        let words = match journal.approval(&id) {
            Ok(Some(row)) => in_words(&row),
            Ok(None) => {
                receipt.not_done.push(format!("not given up: {id}, which cannot be found under that name"));
                continue;
            }
            Err(_) => format!("{id}, of which nothing else can be read"),
        };
        match journal.abandon(&id, now).and_then(|now| Ok(now || is_abandoned(&journal, &id)?)) {
            Ok(true) => {
                receipt.done.push(format!("given up: {words}; your device may still show it"));
                abandoned.push(id);
            }
            Ok(false) => {}
            Err(error) => receipt.not_done.push(format!("not given up: {words}: {error}")),
        }
    }
    Ok(abandoned)
}

fn in_words(row: &ApprovalRow) -> String {
    format!("{} ({}, {})", row.asked.id, row.asked.tool, row.asked.binding_message)
}

/// Whether the process that waited for it was faster.
fn is_abandoned(journal: &Journal, id: &ApprovalId) -> Result<bool, journal::Error> {
    Ok(journal.approval(id)?.is_some_and(|row| row.state == ApprovalState::Abandoned))
}

/// Revokes this device's grant, within limits: neither a server nor a keyring that hangs holds up the rest, and what the
/// server does not do in time is deleted here all the same.
async fn revoke(app: &App, receipt: &mut Receipt) {
    let work = async { Ok::<_, Failure>(app.session().await?.logout(Some(OF_OTHERS)).await?) };
    let limit = LIMIT + 2 * OF_OTHERS;
    let logout = tokio::select! {
        biased;
        report = work => report,
        () = app.clock.sleep(limit) => {
            let why = format!("the login was not revoked: no answer within {} s", limit.as_secs());
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
            (Revoked::Nothing, None) => receipt.done.push(match app.store().is_ok_and(|store| store.lasts()) {
                true => "nobody was logged in".to_owned(),
                false => "nobody was logged in here; a login in another credential store lives on, and nothing acts by it".to_owned(),
            }),
        },
        Err(failure) => receipt.not_done.push(format!(
            "the login was not revoked: {}; run this again when that is mended, or end the login on the server's own pages",
            failure.message
        )),
    }
}

fn tell(app: &App, receipt: &Receipt, generation: Option<u64>, abandoned: &[ApprovalId]) -> Result<(), Failure> {
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
