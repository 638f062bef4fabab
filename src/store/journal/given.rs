//! What a server gives to one approval alone: an answer that comes a second time answers nothing.

use crate::{
    call::Digest,
    secret::{AccessToken, AuthReqId, IdToken},
};

/// SHA-256 of each part of what was given, in hex. The journal holds each of them once, whichever process asks.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub(super) auth_req_id: Option<String>,
    pub(super) id_token: Option<String>,
    pub(super) access_token: Option<String>,
}

impl Given {
    /// The answer to the request.
    #[must_use]
    pub fn request(auth_req_id: &AuthReqId) -> Self {
        Self { auth_req_id: Some(hash(auth_req_id.expose())), ..Self::default() }
    }

    /// A yes to it.
    #[must_use]
    pub fn yes(auth_req_id: &AuthReqId, id_token: Option<&IdToken>, access_token: &AccessToken) -> Self {
        Self {
            id_token: id_token.map(|token| hash(what_was_signed(token.expose()))),
            access_token: Some(hash(access_token.expose())),
            ..Self::request(auth_req_id)
        }
    }
}

fn hash(text: &str) -> String {
    Digest::of_bytes(text.as_bytes()).to_hex()
}

/// A token without its signature: of an ECDSA signature anybody can make another one that is as good.
fn what_was_signed(token: &str) -> &str {
    token.rsplit_once('.').map_or(token, |(signed, _)| signed)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::{
        files::tests::TempDir,
        store::journal::{
            ApprovalChange, ApprovalState as S, Error, Journal, NewApproval, approvals::tests::new, tests::at,
        },
    };

    fn change(given: Given) -> ApprovalChange {
        ApprovalChange { given, ..ApprovalChange::at(at(1)) }
    }

    fn yes(auth_req_id: &str, id_token: &str, access_token: &str) -> ApprovalChange {
        let id_token = IdToken::new(id_token);
        change(Given::yes(&AuthReqId::new(auth_req_id), Some(&id_token), &AccessToken::new(access_token)))
    }

    fn asked(journal: &Journal, auth_req_id: &str) -> (NewApproval, Result<(), Error>) {
        let new = new(None);
        journal.insert_approval(&new).unwrap();
        let change = change(Given::request(&AuthReqId::new(auth_req_id)));
        let moved = journal.move_approval(&new.id, S::Planned, S::Requested, &change);
        (new, moved)
    }

    fn redeeming(journal: &Journal, auth_req_id: &str) -> NewApproval {
        let (new, moved) = asked(journal, auth_req_id);
        moved.unwrap();
        journal.move_approval(&new.id, S::Requested, S::Redeeming, &ApprovalChange::at(at(1))).unwrap();
        new
    }

    #[test]
    fn nothing_is_given_twice_and_the_signature_makes_no_other_token() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let first = redeeming(&journal, "r1");
        let (second, moved) = asked(&journal, "r1");
        assert!(matches!(moved, Err(Error::Given)));
        assert_eq!(journal.approval(&second.id).unwrap().unwrap().state, S::Planned, "nothing of it was written");
        journal.move_approval(&first.id, S::Redeeming, S::Approved, &yes("r1", "h.c.s", "a1")).unwrap();
        for (again, id_token, access_token) in [("r2", "h.c.s", "a2"), ("r3", "h.c.x", "a3"), ("r4", "h.d.s", "a1")] {
            let new = redeeming(&journal, again);
            let moved = journal.move_approval(&new.id, S::Redeeming, S::Approved, &yes(again, id_token, access_token));
            assert!(matches!(moved, Err(Error::Given)), "{again}");
            let row = journal.approval(&new.id).unwrap().unwrap();
            assert_eq!((row.state, row.sealed_token), (S::Redeeming, None));
            // It is over all the same.
            journal.move_approval(&new.id, S::Redeeming, S::Failed, &ApprovalChange::at(at(2))).unwrap();
        }
        let other = redeeming(&journal, "r5");
        journal.move_approval(&other.id, S::Redeeming, S::Approved, &yes("r5", "h.d.s", "a2")).unwrap();
    }

    #[test]
    fn of_many_processes_with_the_same_answer_one_has_it() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let waiting: Vec<_> = (0..8).map(|number| redeeming(&journal, &format!("r{number}"))).collect();
        let approved = thread::scope(|scope| {
            let each = |(number, new): (usize, NewApproval)| {
                let folder = &dir.0;
                scope.spawn(move || {
                    let yes = yes(&format!("r{number}"), "h.c.s", "a");
                    let journal = Journal::open(folder).unwrap();
                    match journal.move_approval(&new.id, S::Redeeming, S::Approved, &yes) {
                        Ok(()) => 1,
                        Err(Error::Given) => 0,
                        Err(error) => panic!("{error}"),
                    }
                })
            };
            let threads: Vec<_> = waiting.into_iter().enumerate().map(each).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<i32>()
        });
        assert_eq!(approved, 1);
    }

    #[test]
    fn no_part_of_an_answer_lies_there_in_clear() {
        let dir = TempDir::new();
        let journal = Journal::open(&dir.0).unwrap();
        let new = redeeming(&journal, "a-request");
        let yes = yes("a-request", "a-header.claims.signature", "a-token");
        journal.move_approval(&new.id, S::Redeeming, S::Approved, &yes).unwrap();
        let files = ["journal.db", "journal.db-wal"].map(|name| std::fs::read(dir.path(name)).unwrap_or_default());
        let text = String::from_utf8_lossy(&files.concat()).into_owned();
        assert!(text.contains(&hash("a-request")) && text.contains(&hash("a-token")));
        for secret in ["a-request", "a-header", "a-token"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}
