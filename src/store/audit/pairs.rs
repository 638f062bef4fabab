//! Which entries an action has: a request, behind it one response, and in between, if it has an effect, that it was sent.

use std::collections::HashMap;

use super::{
    Kind,
    chain::{Link, sha256},
    checkpoint::carries_mac,
};

/// What each action had so far, by the beginning of the hash of its id.
#[derive(Debug, Default)]
pub(super) struct Pairs(HashMap<[u8; 16], Had>);

/// Of one action: whether there was such an entry, and whether it was written with the key.
#[derive(Clone, Copy, Debug, Default)]
struct Had {
    request: Option<bool>,
    response: Option<bool>,
}

impl Pairs {
    /// One entry more, and what is wrong with it there. What was written with the key stands in the place of what was not:
    /// whoever has the key did not believe that, and it is named anyway.
    pub(super) fn entry(&mut self, link: &Link<'_>, line: &[u8], pruned: u64) -> Option<String> {
        let Some(action) = link.action else {
            let due = matches!(link.kind, Kind::Request | Kind::Sent | Kind::Response);
            return due.then(|| "it names no action".to_owned());
        };
        let mut id = [0; 16];
        id.copy_from_slice(&sha256(action.as_bytes())[..16]);
        // Without the key it has to do that there is a MAC.
        let proven = link.proven.unwrap_or_else(|| carries_mac(line));
        let had = self.0.entry(id).or_default();
        let Had { request, response } = *had;
        let stands = |before: Option<bool>| before.is_some_and(|before| before || !proven);
        // Its request may be among the entries that were removed.
        let begun = request.is_some() || pruned > 0;
        match link.kind {
            Kind::Request => had.request = request.max(Some(proven)),
            Kind::Response => had.response = response.max(Some(proven)),
            _ => {}
        }
        match link.kind {
            Kind::Request if stands(request) || response.is_some() => {
                Some(format!("it is a second request of {action}"))
            }
            Kind::Response if stands(response) => Some(format!("{action} had ended before: it is a second response")),
            Kind::Response if !begun => Some(format!("it is a response, and no request of {action} stands before it")),
            Kind::Sent if stands(response) => Some(format!("{action} had ended before it was sent")),
            Kind::Sent if !begun => Some(format!("it was sent, and no request of {action} stands before it")),
            Kind::Request | Kind::Sent | Kind::Response => None,
            _ => Some("it names an action, and is none of its entries".to_owned()),
        }
    }
}
