//! A run as a person sees it, or as a program reads it: each event becomes lines on the terminal, or one line of JSON.

use anstyle::Style;
use std::{cell::RefCell, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{
    spinner::Wait,
    ui::{Line, Ui},
};
use crate::{
    approval::{NOT_ANSWERED, NOT_ASKED_YET, OnApproval},
    call::{ActionId, Outcome},
    clock::SharedClock,
    event::{ApprovalShown, Event, WaitNews},
    store::sealed,
};

/// What can be done while an approval is waited for.
const WHILE_WAITING: &str = "^C to stop waiting";

/// What becomes of a request when the wait for it ends.
const STAYS_OPEN: &str = "Nobody waits here any more; the request stays open on your device.";

/// The same where nobody was to wait.
const LIES_THERE: &str = "Nobody waits here; the request is open on your device.";

/// The same where the wait goes on behind a prompt.
const GOES_ON: &str = "The request stays open on your device; its answer is told above the prompt.";

/// What is said of a call about which nobody was asked when the wait for another one ended.
const NOT_ASKED: &str = ": you were not asked about it yet; that happens when the run goes on.";

/// The same where the next message does it.
const NOT_ASKED_HERE: &str = ": you were not asked about it yet; your next message asks, /abandon gives it up.";

/// Shows the events of one run.
#[derive(Debug)]
pub(crate) struct Show<'a> {
    ui: &'a Ui,
    clock: SharedClock,
    bell: bool,
    /// Events become lines of JSON on stdout.
    lines: bool,
    passing: bool,
    /// Nobody waits for an approval.
    detached: bool,
    /// What is said of a request when the wait for it ends.
    stays_open: &'static str,
    /// What is said of a call about which nobody was asked.
    not_asked: &'static str,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The spinner of a wait for the model is on.
    thinking: bool,
    /// The action whose approval is waited for.
    open: Option<ActionId>,
    /// The tool that was planned last.
    tool: String,
    /// An approval's answer was shown, so the tool's own refusal says nothing new.
    refusal_shown: bool,
    /// Tokens read and written so far, if the server counts them.
    used: Option<(u64, u64)>,
    /// What has arrived of an answer that is not whole.
    heard: String,
}

impl<'a> Show<'a> {
    /// Shows a run on `ui`; with `bell` the terminal rings when an approval was answered.
    pub(crate) fn new(ui: &'a Ui, clock: SharedClock, bell: bool) -> Self {
        let (lines, state) = (ui.json(), RefCell::default());
        Self {
            ui,
            clock,
            bell,
            lines,
            passing: false,
            detached: false,
            stays_open: STAYS_OPEN,
            not_asked: NOT_ASKED,
            state,
        }
    }

    /// Nothing of the run lasts longer than this process, so nothing that is open stays so.
    pub(crate) fn passing(mut self, passing: bool) -> Self {
        self.passing = passing;
        self
    }

    /// The same where approvals are asked for in this way.
    pub(crate) fn asking(mut self, on_approval: OnApproval) -> Self {
        self.detached = on_approval == OnApproval::Detach;
        if self.detached {
            self.stays_open = LIES_THERE;
        }
        self
    }

    /// Shows a single call: also with `--json` it is talk, because stdout is for one object.
    pub(crate) fn call(ui: &'a Ui, clock: SharedClock, bell: bool) -> Self {
        let mut show = Self::new(ui, clock, bell);
        show.lines = false;
        show
    }

    /// The same where waits go on behind a prompt.
    pub(crate) fn behind_a_prompt(mut self) -> Self {
        (self.stays_open, self.not_asked) = (GOES_ON, NOT_ASKED_HERE);
        self
    }

    /// One event.
    pub(crate) fn event(&self, event: Event) {
        match &event {
            Event::ApprovalRequested(shown) => self.state.borrow_mut().open = Some(shown.action.clone()),
            Event::ApprovalAnswered { .. } => self.state.borrow_mut().open = None,
            // However it ended: given up here or elsewhere, stopped, or left open for another day.
            Event::ToolCompleted { action, .. } => {
                let mut state = self.state.borrow_mut();
                state.open = state.open.take().filter(|open| action.as_ref() != Some(open));
            }
            Event::Usage { prompt_tokens, completion_tokens } => {
                let mut state = self.state.borrow_mut();
                let (read, written) = state.used.unwrap_or_default();
                state.used = Some((read.saturating_add(*prompt_tokens), written.saturating_add(*completion_tokens)));
            }
            Event::Text { text } => self.state.borrow_mut().heard.push_str(text),
            Event::TextDone { .. } => self.state.borrow_mut().heard.clear(),
            _ => {}
        }
        if self.lines {
            self.ui.data(&JsonLine { schema_version: 1, time: self.now(), event: &event });
        } else {
            self.tell(event);
        }
    }

    /// The answer to one of several approvals: it takes nothing away from the wait for the others.
    pub(crate) fn answer(&self, event: Event) {
        if let Event::ApprovalAnswered { approval, answer, by, after_s, .. } = event {
            if self.bell {
                self.ui.ring();
            }
            self.ui.status(answered(&answer, by.as_deref(), after_s).dim("  ").dim_field(approval.as_str()));
        }
    }

    /// The model was asked something.
    pub(crate) fn thinking(&self) {
        if !self.lines && !std::mem::replace(&mut self.state.borrow_mut().thinking, true) {
            self.ui.begin_wait(Wait::for_machine("Thinking", &self.clock));
        }
    }

    /// The run is over, one way or the other: nothing is left half drawn, and of a request that is still open it is said
    /// what becomes of it.
    pub(crate) fn end(&self) {
        self.stop_thinking();
        self.ui.end_wait();
        self.ui.end_line();
        if self.state.borrow_mut().open.take().is_some() && !self.lines && !self.passing {
            self.ui.say(Line::new().warn("! ").plain(self.stays_open));
        }
    }

    /// How many tokens were read and written, as the server counts.
    pub(crate) fn used(&self) -> Option<(u64, u64)> {
        self.state.borrow().used
    }

    /// What has arrived of an answer that broke off.
    pub(crate) fn heard(&self) -> String {
        self.state.borrow().heard.clone()
    }

    /// Whether an approval is waited for.
    pub(crate) fn waits(&self) -> bool {
        self.state.borrow().open.is_some()
    }

    fn now(&self) -> String {
        rfc3339(self.clock.now())
    }

    fn stop_thinking(&self) {
        if std::mem::take(&mut self.state.borrow_mut().thinking) {
            self.ui.end_wait();
        }
    }

    fn tell(&self, event: Event) {
        if !matches!(event, Event::Usage { .. } | Event::ModelRetry { .. } | Event::RunStarted { .. }) {
            self.stop_thinking();
        }
        match event {
            Event::RunStarted { .. } => self.thinking(),
            Event::Text { text } => self.ui.answer_piece(&text),
            Event::TextDone { .. } => self.ui.end_line(),
            Event::ModelRetry { reason, wait_s } => {
                let line = Line::new().dim("No answer from the model yet, trying again in ").dim_said(&seconds(wait_s));
                self.ui.status(line.dim(": ").words(&reason));
            }
            Event::ToolPlanned { tool, effect, arguments, .. } => {
                self.state.borrow_mut().refusal_shown = false;
                self.planned(&tool, &effect, &arguments);
                self.state.borrow_mut().tool = tool;
                self.calling();
            }
            Event::ApprovalQueued { behind, at_most_s, .. } => {
                let which = behind.map(|approval| format!(" ({approval})")).unwrap_or_default();
                let what = format!("Waiting for the answer to another request{which}");
                let left = Duration::from_secs(at_most_s);
                self.ui.begin_wait(Wait::for_person(&what, left, WHILE_WAITING, &self.clock));
            }
            Event::ApprovalRequested(shown) => self.requested(&shown),
            Event::ApprovalWaiting { news, .. } => self.ui.wait_news(&news_text(&news)),
            Event::ApprovalAnswered { answer, by, binding, details, after_s, .. } => {
                self.ui.end_wait();
                if self.bell {
                    self.ui.ring();
                }
                self.state.borrow_mut().refusal_shown = answer != "approved";
                self.ui.say(answered(&answer, by.as_deref(), after_s));
                if answer == "approved" {
                    self.calling();
                }
                if let (Some("not returned"), Some(binding)) = (details.as_deref(), &binding) {
                    // What was announced as bound by the details turned out to be less.
                    let line = Line::new().warn("  The server did not return the details. ");
                    self.ui.say(line.plain("The yes is bound by ").said(bound_by(binding)).plain("."));
                }
            }
            Event::ToolCompleted { tool, outcome, message, .. } => {
                self.ui.end_wait();
                self.completed(&tool, outcome, &message);
                self.thinking();
            }
            Event::ToolForeseen { tool, arguments, would_run, message, .. } => {
                // It is what a dry run is for, so it is said under `--quiet`, too.
                self.ui.say(call_line(&tool, &arguments));
                let mark = if would_run { Line::new().good("✓ ") } else { Line::new().bad("✗ ") };
                self.ui.say(Line::new().plain("  ").append(mark).words(&message));
                self.thinking();
            }
            Event::Usage { .. } => {}
        }
    }

    /// A call is under way.
    fn calling(&self) {
        let what = format!("Calling {}", self.state.borrow().tool);
        self.ui.begin_wait(Wait::for_machine(&what, &self.clock));
    }

    /// The bullet line. What only reads may be missed under `--quiet`.
    fn planned(&self, tool: &str, effect: &str, arguments: &Value) {
        let line = call_line(tool, arguments);
        if effect == "read" { self.ui.status(line) } else { self.ui.say(line) }
    }

    fn requested(&self, shown: &ApprovalShown) {
        let ui = self.ui;
        ui.say(match shown.again {
            false => "  This needs your approval. A request was sent to your device.",
            true => "  This needs your approval. The request is still open on your device.",
        });
        ui.say(Line::new().plain("  Check that it shows:   ").message(Style::new().bold(), &shown.binding_message));
        let mut line = Line::new().dim("  It goes to ").field(&shown.origin);
        if let Some(spend) = &shown.spend {
            // `any price` or `up to 900.00 EUR`.
            line = line.dim(if spend == "any price" { ", at " } else { ", for " }).styled(Style::new().bold(), spend);
        }
        ui.say(line.dim("; permission: ").said(&shown.permission));
        let mut line = Line::new().dim("  Asked by ").field(&shown.agent).dim("; your yes is bound to this call by ");
        line = line.said(bound_by(&shown.binding));
        if shown.details != "requested" {
            line = line.dim(" (details: ").said(&shown.details).dim(")");
        }
        ui.say(line);
        if shown.binding == "code" {
            ui.say(
                Line::new()
                    .warn("  Your device may show only the code. ")
                    .plain("What you approve is what stands here."),
            );
        }
        if self.detached {
            return ui.end_wait();
        }
        let left = Duration::from_secs(shown.expires_in);
        ui.begin_wait(Wait::for_person("Waiting for your approval", left, WHILE_WAITING, &self.clock));
    }

    fn completed(&self, tool: &str, outcome: Outcome, message: &str) {
        let state = self.state.borrow();
        match outcome {
            Outcome::Done => self.ui.status(Line::new().plain("  ").words(message)),
            Outcome::Pending if message == NOT_ASKED_YET => {
                self.ui.say(Line::new().warn("! ").bold(tool).plain(self.not_asked));
            }
            Outcome::Pending => {
                let more = if message == NOT_ANSWERED { Line::new() } else { Line::new().words(message).plain(". ") };
                self.ui.say(Line::new().warn("! ").append(more).plain(self.stays_open));
            }
            Outcome::Denied | Outcome::Expired if state.refusal_shown => {}
            _ => self.ui.say(Line::new().bad("✗ ").bold(tool).plain(": ").words(message)),
        }
    }
}

impl Drop for Show<'_> {
    /// A run that is stopped leaves no spinner behind.
    fn drop(&mut self) {
        self.end();
    }
}

/// A call: the tool and every argument, escaped, never shortened.
pub(crate) fn call_line(tool: &str, arguments: &Value) -> Line {
    let pairs = pairs(arguments);
    let mut line = Line::new().plain("● ").bold(tool);
    // What does not fit on a line of common width gets a line for each argument, and so does what could be taken for two.
    let length: usize = pairs.iter().map(|(name, value)| name.chars().count() + value.chars().count() + 5).sum();
    let like_two = pairs.iter().any(|(_, value)| value.contains("  ") || value.contains(": "));
    let gap = if tool.len() + length > 100 || like_two { "\n    " } else { "   " };
    for (name, value) in &pairs {
        line = line.plain(gap).label(name).field(value);
    }
    line
}

/// A call inside a sentence: `buy_product (product: "phones", qty: 2)`. The plan is that of the journal.
pub(crate) fn call_in_words(tool: &str, plan: &str) -> String {
    let pairs = pairs(&sealed::shown(plan)["arguments"]);
    if pairs.is_empty() {
        return tool.to_owned();
    }
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{tool} ({})", pairs.join(", "))
}

/// A time as JSON carries it.
pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// One line of `run --json`.
#[derive(Serialize)]
struct JsonLine<'a> {
    schema_version: u32,
    time: String,
    #[serde(flatten)]
    event: &'a Event,
}

/// News of a wait, in words.
pub(crate) fn news_text(news: &WaitNews) -> String {
    match news {
        WaitNews::SlowDown { interval_s } => format!("The server wants to be asked only every {interval_s} s."),
        WaitNews::Offline { error } => format!("The server cannot be reached ({error}); still trying."),
        WaitNews::Online => "The server answers again.".to_owned(),
    }
}

/// What ties a yes to its call, in words.
fn bound_by(binding: &str) -> &str {
    match binding {
        "details" => "its details",
        "message" => "its message",
        "code" => "its code alone",
        other => other,
    }
}

fn answered(answer: &str, by: Option<&str>, after_s: f64) -> Line {
    let after = seconds(after_s);
    match answer {
        "approved" => {
            Line::new().good("✓ ").plain("Approved by ").bold(by.unwrap_or("you")).said(&format!(" after {after}"))
        }
        "denied" => Line::new().bad("✗ ").said(&format!("Denied after {after}. Nothing was done.")),
        "expired" => Line::new().bad("✗ ").said(&format!("Nobody answered within {after}. Nothing was done.")),
        "abandoned" => Line::new().bad("✗ ").said(&format!("Abandoned after {after}. Your device may still show it.")),
        _ => Line::new().bad("✗ ").said(&format!("The approval failed after {after}. Nothing was done.")),
    }
}

/// `9 s`, or `0.4 s` where a whole second would be too coarse.
fn seconds(s: f64) -> String {
    if s < 1.0 { format!("{s:.1} s") } else { format!("{s:.0} s") }
}

/// Arguments as name and JSON value.
fn pairs(arguments: &Value) -> Vec<(String, String)> {
    match arguments {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value.to_string())).collect(),
        Value::Null => Vec::new(),
        other => vec![("arguments".to_owned(), other.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{call::ApprovalId, clock::ManualClock};

    fn clock() -> SharedClock {
        Arc::new(ManualClock::new(chrono::DateTime::UNIX_EPOCH))
    }

    fn planned(arguments: Value) -> Event {
        Event::ToolPlanned {
            action: ActionId::from_text("act_1"),
            tool: "buy_product".into(),
            effect: "irreversible".into(),
            arguments,
        }
    }

    fn requested() -> Event {
        Event::ApprovalRequested(Box::new(ApprovalShown {
            approval: ApprovalId::from_text("apr_1"),
            action: ActionId::from_text("act_1"),
            tool: "buy_product".into(),
            binding_message: "BUY-2-phones.7F3KQ9ZT".into(),
            code: "7F3KQ9ZT".into(),
            origin: "https://shop.example".into(),
            agent: "agentctl-approval".into(),
            spend: Some("up to 900.00 EUR".into()),
            permission: "not required".into(),
            binding: "details".into(),
            details: "requested".into(),
            arguments: json!({}),
            expires_in: 300,
            expires_at: "1970-01-01T00:05:00Z".into(),
            again: false,
        }))
    }

    fn answered_event(answer: &str, by: Option<&str>) -> Event {
        let approval = ApprovalId::from_text("apr_1");
        let yes = |word: &str| by.map(|_| word.to_owned());
        Event::ApprovalAnswered {
            approval,
            answer: answer.into(),
            by: by.map(Into::into),
            binding: yes("details"),
            details: yes("granted"),
            after_s: 9.2,
        }
    }

    fn completed(outcome: Outcome, message: &str) -> Event {
        Event::ToolCompleted { action: None, tool: "buy_product".into(), outcome, message: message.into(), data: None }
    }

    #[test]
    fn a_purchase_reads_as_the_contract_says() {
        let ui = Ui::test();
        let show = Show::new(&ui, clock(), false);
        show.event(planned(json!({"product": "phones", "qty": 2, "price_limit": 900})));
        show.event(requested());
        show.event(answered_event("approved", Some("ada@example.com")));
        show.event(completed(Outcome::Done, "order ord_81 created"));
        show.event(Event::Text { text: "I bought ".into() });
        show.event(Event::Text { text: "2 phones.".into() });
        show.event(Event::TextDone { text: "I bought 2 phones.".into() });
        let (out, err) = ui.take();
        assert_eq!(out, "I bought 2 phones.\n");
        assert_eq!(
            err,
            "● buy_product   product: \"phones\"   qty: 2   price_limit: 900\n  \
             This needs your approval. A request was sent to your device.\n  \
             Check that it shows:   BUY-2-phones.7F3KQ9ZT\n  \
             It goes to https://shop.example, for up to 900.00 EUR; permission: not required\n  \
             Asked by agentctl-approval; your yes is bound to this call by its details\n\
             Waiting for your approval... 5:00 left\n\
             ✓ Approved by ada@example.com after 9 s\n  \
             order ord_81 created\n"
        );
    }

    #[test]
    fn a_refusal_is_told_once() {
        let ui = Ui::test();
        let show = Show::new(&ui, clock(), false);
        show.event(requested());
        show.event(answered_event("denied", None));
        show.event(completed(Outcome::Denied, "the person said no"));
        let (_, err) = ui.take();
        assert!(err.ends_with("✗ Denied after 9 s. Nothing was done.\n"), "{err}");
        show.event(planned(json!({})));
        show.event(completed(Outcome::Denied, "locked after two denials"));
        assert_eq!(ui.take().1, "● buy_product\n✗ buy_product: locked after two denials\n");
    }

    #[test]
    fn a_wait_that_is_stopped_says_what_becomes_of_the_request() {
        let ui = Ui::test();
        for show in [Show::call(&ui, clock(), false), Show::new(&ui, clock(), false)] {
            show.event(requested());
            assert!(show.waits());
            ui.take();
            drop(show);
            assert_eq!(ui.take().1, "! Nobody waits here any more; the request stays open on your device.\n");
        }
        let show = Show::new(&ui, clock(), false);
        show.event(requested());
        show.event(Event::ToolCompleted {
            action: Some(ActionId::from_text("act_1")),
            tool: "buy_product".into(),
            outcome: Outcome::NotPermitted,
            message: "everything was stopped".into(),
            data: None,
        });
        show.end();
        let said = ui.take().1;
        assert!(said.contains("everything was stopped") && !said.contains("stays open"), "{said}");
        let show = Show::new(&ui, clock(), false);
        show.event(requested());
        show.event(answered_event("denied", None));
        ui.take();
        show.end();
        assert_eq!(ui.take().1, "", "an answered request is over");
    }

    #[test]
    fn what_the_server_does_not_know_or_return_is_said() {
        let ui = Ui::test();
        let show = Show::new(&ui, clock(), false);
        let Event::ApprovalRequested(mut shown) = requested() else { unreachable!() };
        (shown.binding, shown.details) = ("code".into(), "not supported by the server".into());
        show.event(Event::ApprovalRequested(shown));
        let (_, err) = ui.take();
        assert!(err.contains("bound to this call by its code alone (details: not supported by the server)\n"), "{err}");
        assert!(err.contains("may show only the code"), "{err}");
        let Event::ApprovalAnswered { approval, answer, by, after_s, .. } = answered_event("approved", Some("ada"))
        else {
            unreachable!()
        };
        let (binding, details) = (Some("message".into()), Some("not returned".into()));
        show.event(Event::ApprovalAnswered { approval, answer, by, binding, details, after_s });
        let (_, err) = ui.take();
        assert!(err.ends_with("  The server did not return the details. The yes is bound by its message.\n"), "{err}");
    }

    #[test]
    fn arguments_are_whole_and_safe() {
        let ui = Ui::test();
        let long = "x".repeat(200);
        Show::new(&ui, clock(), false).event(planned(json!({"a": "b\n\u{1b}[2K\u{202e}", "l": long})));
        let (_, err) = ui.take();
        assert_eq!(err, format!("● buy_product\n    a: \"b\\n\\u001b[2K<U+202E>\"\n    l: \"{long}\"\n"));
    }

    #[test]
    fn json_lines_are_the_events() {
        let ui = Ui::test_with(super::super::look::Look::default(), true);
        let show = Show::new(&ui, clock(), false);
        show.event(Event::Text { text: "a".into() });
        show.event(answered_event("denied", None));
        let (out, err) = ui.take();
        let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines[0],
            json!({"schema_version": 1, "time": "1970-01-01T00:00:00.000Z", "type": "text.delta", "text": "a"})
        );
        assert_eq!(lines[1]["type"], "approval.answered");
        assert_eq!(err, "");
    }
}
