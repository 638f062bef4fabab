//! How a run ends: the one decision about its exit code, made from how its calls ended and never from what the model says
//! about them.

use std::collections::HashSet;

use super::failure::{Failure, Kind};
use crate::call::Outcome;

/// The kinds a call can end a run with, the first found wins.
const PRECEDENCE: [Kind; 8] = [
    Kind::LoginNeeded,
    Kind::NotPermitted,
    Kind::Denied,
    Kind::Expired,
    Kind::Limit,
    Kind::ConnectionNeeded,
    Kind::Tool,
    Kind::Pending,
];

/// The verdict on a run that came to its end: `calls` are its tool calls in order, each with its tool; `limit` says that a
/// limit on turns or tokens ended it. None is success.
pub(crate) fn of_calls(calls: &[(String, Outcome)], limit: bool) -> Option<Kind> {
    let unmet = |(at, (tool, outcome)): (usize, &(String, Outcome))| {
        let made_good = calls[at + 1..].iter().any(|(later, end)| later == tool && *end == Outcome::Done);
        let pending = || calls[..at].iter().any(|(before, end)| before == tool && *end == Outcome::Pending);
        match outcome {
            // Another of the same tool does not tell whether it happened.
            Outcome::Unknown => kind(*outcome),
            _ if made_good => None,
            // It repeats what is pending, and was not asked a second time.
            Outcome::Cancelled if pending() => Some(Kind::Pending),
            _ => kind(*outcome),
        }
    };
    let mut ends: Vec<Kind> = calls.iter().enumerate().filter_map(unmet).collect();
    if limit {
        ends.push(Kind::Limit);
    }
    PRECEDENCE.into_iter().find(|kind| ends.contains(kind))
}

/// The verdict on a dry run: whether every single call would run.
pub(crate) fn of_each(calls: &[(String, Outcome)], limit: bool) -> Option<Kind> {
    let ends: Vec<Option<Kind>> = calls.iter().map(|call| of_calls(std::slice::from_ref(call), limit)).collect();
    let none = of_calls(&[], limit);
    PRECEDENCE.into_iter().find(|kind| ends.contains(&Some(*kind)) || none == Some(*kind))
}

/// What the exit code says about one call that was not made good later.
pub(crate) fn kind(outcome: Outcome) -> Option<Kind> {
    match outcome {
        Outcome::Done | Outcome::Rehearsed => None,
        Outcome::LoginNeeded => Some(Kind::LoginNeeded),
        Outcome::NotPermitted => Some(Kind::NotPermitted),
        Outcome::Denied => Some(Kind::Denied),
        Outcome::Expired => Some(Kind::Expired),
        Outcome::Limit => Some(Kind::Limit),
        Outcome::ConnectionNeeded => Some(Kind::ConnectionNeeded),
        Outcome::Pending => Some(Kind::Pending),
        Outcome::Invalid | Outcome::Failed | Outcome::Unknown | Outcome::Cancelled => Some(Kind::Tool),
    }
}

/// The name of the terminal event of `run --json`.
pub(crate) fn event_name(kind: Option<Kind>) -> &'static str {
    match kind {
        None => "run.completed",
        Some(Kind::Denied | Kind::Expired | Kind::NotPermitted | Kind::Limit | Kind::ConnectionNeeded) => "run.refused",
        Some(Kind::Pending) => "run.pending",
        Some(_) => "run.failed",
    }
}

/// The failure in words, naming the tool it happened to where there is one. Of those that are `untold` no line was shown.
pub(crate) fn failure(kind: Kind, calls: &[(String, Outcome)], untold: &HashSet<usize>) -> Failure {
    let at = calls.iter().rposition(|(_, outcome)| self::kind(*outcome) == Some(kind));
    let culprit = at.map(|at| &calls[at]);
    let tool = culprit.map_or("a call", |(tool, _)| tool.as_str());
    let message = match kind {
        Kind::LoginNeeded => format!("{tool} needs a login"),
        Kind::NotPermitted => format!("{tool} is not permitted"),
        Kind::Denied => format!("{tool} was denied"),
        Kind::Expired => format!("the approval of {tool} expired"),
        Kind::Limit if culprit.is_none() => "the run reached its limit before it was done".to_owned(),
        Kind::Limit => format!("{tool} was stopped by a limit"),
        Kind::ConnectionNeeded => format!("{tool} needs a connected account"),
        Kind::Pending => format!("{tool} waits for an approval"),
        _ if culprit.is_some_and(|(_, outcome)| *outcome == Outcome::Unknown) => {
            format!("whether {tool} happened is not known; look before you ask for it again")
        }
        _ => format!("{tool} did not succeed"),
    };
    let failure = Failure::new(kind, message);
    match kind {
        Kind::LoginNeeded => failure.hint("run `agentctl login`"),
        // A limit of the run itself: whoever knows which one says what allows more.
        Kind::Limit if culprit.is_none() => failure,
        _ if at.is_some_and(|at| untold.contains(&at)) => failure,
        // The lines of the call itself have said it.
        _ => failure.told(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_follows_the_table() {
        use Outcome::*;
        type Row<'a> = (&'a [(&'a str, Outcome)], bool, Option<Kind>);
        let table: &[Row<'_>] = &[
            (&[], false, None),
            (&[("buy", Done)], false, None),
            (&[("buy", Denied)], false, Some(Kind::Denied)),
            (&[("buy", Expired)], false, Some(Kind::Expired)),
            (&[("buy", NotPermitted)], false, Some(Kind::NotPermitted)),
            (&[("buy", Limit)], false, Some(Kind::Limit)),
            (&[("buy", ConnectionNeeded)], false, Some(Kind::ConnectionNeeded)),
            (&[("buy", Failed)], false, Some(Kind::Tool)),
            (&[("buy", Unknown)], false, Some(Kind::Tool)),
            (&[("buy", Invalid)], false, Some(Kind::Tool)),
            (&[("buy", LoginNeeded)], false, Some(Kind::LoginNeeded)),
            (&[("buy", Pending)], false, Some(Kind::Pending)),
            // A later success of the same tool makes good what failed before; one of another tool does not.
            (&[("buy", Invalid), ("buy", Done)], false, None),
            (&[("buy", Denied), ("search", Done)], false, Some(Kind::Denied)),
            (&[("buy", Done), ("buy", Denied)], false, Some(Kind::Denied)),
            (&[("buy", Unknown), ("buy", Done)], false, Some(Kind::Tool)),
            // What repeats a call that is pending waits with it.
            (&[("buy", Pending), ("buy", Cancelled)], false, Some(Kind::Pending)),
            (&[("buy", Cancelled), ("buy", Pending)], false, Some(Kind::Tool)),
            (&[("buy", Pending), ("sell", Cancelled)], false, Some(Kind::Tool)),
            // Precedence, whatever the order.
            (&[("a", Failed), ("b", Denied), ("c", NotPermitted)], false, Some(Kind::NotPermitted)),
            (&[("a", Expired), ("b", Denied)], false, Some(Kind::Denied)),
            (&[("a", Limit), ("b", Expired)], false, Some(Kind::Expired)),
            (&[("a", Failed), ("b", ConnectionNeeded), ("c", Limit)], false, Some(Kind::Limit)),
            (&[("a", Pending), ("b", Failed)], false, Some(Kind::Tool)),
            // Limits of the run itself.
            (&[("buy", Done)], true, Some(Kind::Limit)),
            (&[("buy", Denied)], true, Some(Kind::Denied)),
            (&[("buy", Failed)], true, Some(Kind::Limit)),
        ];
        for (calls, limit, wanted) in table {
            let calls: Vec<_> = calls.iter().map(|(tool, outcome)| ((*tool).to_owned(), *outcome)).collect();
            assert_eq!(of_calls(&calls, *limit), *wanted, "{calls:?} {limit}");
        }
    }

    #[test]
    fn in_a_dry_run_every_call_counts() {
        use Outcome::*;
        let of = |outcomes: &[Outcome], limit| {
            of_each(&outcomes.iter().map(|outcome| ("buy".to_owned(), *outcome)).collect::<Vec<_>>(), limit)
        };
        assert_eq!(of(&[], false), None);
        assert_eq!(of(&[Rehearsed, Rehearsed], false), None);
        assert_eq!(of(&[NotPermitted, Rehearsed], false), Some(Kind::NotPermitted));
        assert_eq!(of(&[ConnectionNeeded, NotPermitted], false), Some(Kind::NotPermitted));
        assert_eq!(of(&[Rehearsed], true), Some(Kind::Limit));
    }

    #[test]
    fn the_terminal_event_follows_the_exit_code() {
        let names = |kinds: &[Kind]| kinds.iter().map(|kind| event_name(Some(*kind))).collect::<Vec<_>>();
        assert_eq!(event_name(None), "run.completed");
        let refused = [Kind::Denied, Kind::Expired, Kind::NotPermitted, Kind::Limit, Kind::ConnectionNeeded];
        assert_eq!(names(&refused), ["run.refused"; 5]);
        assert_eq!(names(&[Kind::Pending]), ["run.pending"]);
        let failed =
            [Kind::Failed, Kind::Usage, Kind::LoginNeeded, Kind::Model, Kind::Tool, Kind::Timeout, Kind::Interrupted];
        assert_eq!(names(&failed), ["run.failed"; 7]);
    }
}
