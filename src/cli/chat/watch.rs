//! The answers to open approvals are waited for behind the prompt, beside everything else that the shell does: whatever the
//! person types, sends or stops, a request that is under way is not cut as long as the shell lives.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc, time::Duration};

use futures::future::join_all;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::JoinHandle,
};

use crate::{
    approval::{Approvals, Patience},
    call::ApprovalId,
    cli::{app::App, finish::MOMENT, spinner::Wait},
    event::Event,
    store::lock::GrantLock,
};

/// A wait that is shorter needs no sign.
const GLIMPSE: Duration = Duration::from_millis(300);

/// An approval and its answer.
pub(super) type News = (ApprovalId, String);

/// What is waited for, in tasks of the shell's own.
#[derive(Debug)]
pub(super) struct Watch {
    patience: Patience,
    watched: Rc<RefCell<BTreeSet<ApprovalId>>>,
    tasks: Vec<JoinHandle<()>>,
    tell: UnboundedSender<News>,
    news: UnboundedReceiver<News>,
}

impl Default for Watch {
    fn default() -> Self {
        let (tell, news) = mpsc::unbounded_channel();
        Self { patience: Patience::default(), watched: Rc::default(), tasks: Vec::new(), tell, news }
    }
}

impl Watch {
    /// Waits for these, too. The run stays in this process's hands until no request for one of them is under way.
    pub(super) fn add(&mut self, approvals: &Approvals, mut ids: Vec<ApprovalId>, lease: Option<&Rc<GrantLock>>) {
        ids.retain(|id| self.watched.borrow_mut().insert(id.clone()));
        if ids.is_empty() {
            return;
        }
        self.tasks.retain(|task| !task.is_finished());
        let approvals = Approvals { patience: self.patience.clone(), ..approvals.clone() };
        let (told, watched, lease) = (self.tell.clone(), Rc::clone(&self.watched), lease.cloned());
        self.tasks.push(tokio::task::spawn_local(async move {
            let tell = |event| {
                if let Event::ApprovalAnswered { approval, answer, .. } = event {
                    let _ = told.send((approval, answer));
                }
            };
            if let Err(error) = approvals.wait_for_many(&ids, &tell).await {
                tracing::debug!(%error, "nothing is waited for in the background");
            }
            watched.borrow_mut().retain(|id| !ids.contains(id));
            drop(lease);
        }));
    }

    /// The next answer. May be dropped and asked again.
    pub(super) async fn next(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }

    /// An answer that was not told yet.
    pub(super) fn untold(&mut self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// Waits no longer. A request that is under way gets a moment, because it may bring the answer.
    pub(super) async fn end(&mut self, app: &App) {
        std::mem::take(&mut self.patience).end();
        let ended = join_all(std::mem::take(&mut self.tasks));
        let moment = async {
            app.clock.sleep(GLIMPSE).await;
            app.ui.begin_wait(Wait::for_machine("An answer may be on its way", &app.clock));
            app.clock.sleep(MOMENT.saturating_sub(GLIMPSE)).await;
        };
        tokio::select! {
            biased;
            _ = ended => {}
            () = moment => {}
        }
        app.ui.end_wait();
    }
}
