//! Tokens of an issuer made here, and what does not fit about them.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::json;

use super::*;
use crate::{call::ActionId, files::tests::TempDir};

struct Issuer {
    private: EncodingKey,
    jwk: Value,
}

impl Issuer {
    fn new() -> Self {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let private = EncodingKey::from_ec_der(der.as_ref());
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&private, Algorithm::ES256).unwrap()).unwrap();
        jwk["kid"] = json!("k1");
        Self { private, jwk }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.private).unwrap()
    }
}

fn key() -> DataKey {
    DataKey::from_bytes(&[7; 32]).unwrap()
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn id_claims() -> Value {
    let now = at().timestamp();
    json!({"iss": "https://issuer.example", "sub": "ada", "aud": "approver", "iat": now, "exp": now + 3600})
}

fn access_claims(digest: &str) -> Value {
    let now = at().timestamp();
    json!({"iss": "https://issuer.example", "sub": "ada", "client_id": "approver", "iat": now, "exp": now + 300,
           "authorization_details": [{"type": "purchase", "digest": digest}]})
}

fn evidence(signed: Vec<Signed>) -> Evidence {
    let time = |seconds: i64| (at() + TimeDelta::seconds(seconds)).to_rfc3339();
    Evidence {
        approval: ApprovalId::from_text("apr_1"),
        binding: Binding::Message,
        issuer: "https://issuer.example".to_owned(),
        client: "approver".to_owned(),
        subject: "ada".to_owned(),
        auth_req_id_sha256: hash_of(b"the request"),
        id_token_sha256: signed.first().map(|signed| signed.sha256.clone()).unwrap_or_default(),
        requested_at: time(-10),
        approved_at: time(5),
        signed,
    }
}

fn seal(token: Token, jwt: &str, jwk: &Value) -> Signed {
    Signed::seal(&key(), &ApprovalId::from_text("apr_1"), token, jwt, jwk.clone()).unwrap()
}

/// The same of another approval.
fn evidence_of(number: u32, tokens: &[(Token, String)], jwk: &Value) -> Evidence {
    let approval = ApprovalId::from_text(format!("apr_{number}"));
    let seal = |(token, jwt): &(Token, String)| Signed::seal(&key(), &approval, *token, jwt, jwk.clone()).unwrap();
    let signed = tokens.iter().map(seal).collect();
    let auth_req_id_sha256 = hash_of(format!("request {number}").as_bytes());
    Evidence { approval: approval.clone(), auth_req_id_sha256, ..evidence(signed) }
}

/// The digest of the call.
fn digest() -> String {
    let arguments = json!({"qty": 2});
    Action::digest_of("buy", "https://shop.example", arguments.as_object().unwrap()).unwrap().to_text()
}

fn write(audit: &Audit, evidence: &Evidence) -> ActionId {
    write_call(audit, &json!({"qty": 2}), &digest(), evidence)
}

fn write_call(audit: &Audit, arguments: &Value, digest: &str, evidence: &Evidence) -> ActionId {
    let action = ActionId::mint();
    let request = json!({"actor": {"iss": "https://issuer.example", "sub": "ada"}, "tool": "buy", "effect": "irreversible",
                         "arguments": arguments, "origin": "https://shop.example", "digest": digest});
    audit.request(&action, at(), request).unwrap();
    // What is told as done would need more.
    audit.response(&action, at(), json!({"outcome": "unknown", "approval": evidence})).unwrap();
    action
}

/// Writes it into a log of its own and verifies that.
fn verdict(evidence: &Evidence) -> Result<Grades, String> {
    let dir = TempDir::new();
    let audit = Audit::open(&dir.0);
    write(&audit, evidence);
    verdict_of(&audit)
}

fn verdict_of(audit: &Audit) -> Result<Grades, String> {
    let key = key();
    let mut grader = Grader::new(audit, Some(&key));
    let verdict = audit.verify(|link, line| grader.entry(link, line)).unwrap();
    match verdict.bad.into_iter().next() {
        Some(bad) => Err(format!("line {}: {}", bad.place.line, bad.why)),
        None => Ok(grader.grades()),
    }
}

#[test]
fn what_was_asked_for_is_not_what_needs_no_approval() {
    let of = |asked: Value| {
        let dir = TempDir::new();
        let audit = Audit::open(&dir.0);
        let action = ActionId::mint();
        let request = json!({"actor": {}, "tool": "buy", "effect": "irreversible", "digest": digest()});
        audit.request(&action, at(), request).unwrap();
        audit.response(&action, at(), json!({"outcome": "unknown", "approval": null, "asked": asked})).unwrap();
        verdict_of(&audit).unwrap()
    };
    assert_eq!(of(json!({"approval": "apr_1", "state": "approved"})), Grades { without_yes: 1, ..Grades::default() });
    assert_eq!(of(Value::Null), Grades { not_approved: 1, ..Grades::default() });
}

#[test]
fn grades_say_what_the_issuer_signed() {
    let issuer = Issuer::new();
    let id = seal(Token::IdToken, &issuer.sign(&id_claims()), &issuer.jwk);
    let access = seal(Token::AccessToken, &issuer.sign(&access_claims(&digest())), &issuer.jwk);
    let of = |evidence: &Evidence| verdict(evidence).unwrap();
    assert_eq!(of(&evidence(vec![id.clone()])), Grades { c: 1, ..Grades::default() });
    let details = Evidence { binding: Binding::Details, ..evidence(vec![id.clone()]) };
    assert_eq!(of(&details), Grades { b: 1, ..Grades::default() });
    assert_eq!(of(&evidence(vec![id, access])), Grades { a: 1, ..Grades::default() });
    let mut claims = id_claims();
    claims["authorization_details"] = json!([{"digest": digest()}]);
    claims["urn:openid:params:jwt:claim:auth_req_id"] = json!("the request");
    let id = seal(Token::IdToken, &issuer.sign(&claims), &issuer.jwk);
    assert_eq!(of(&evidence(vec![id])), Grades { a: 1, ..Grades::default() });
    // As Auth0's details hold it.
    claims["authorization_details"] = json!([{"properties": {"digest": {"value": digest()}}}]);
    let id = seal(Token::IdToken, &issuer.sign(&claims), &issuer.jwk);
    assert_eq!(of(&evidence(vec![id])), Grades { a: 1, ..Grades::default() });
    assert_eq!(of(&evidence(Vec::new())), Grades { without_token: 1, ..Grades::default() });
}

#[test]
fn what_does_not_fit_is_named_with_its_line() {
    let (issuer, foreign) = (Issuer::new(), Issuer::new());
    let with = |change: fn(&mut Value)| {
        let mut claims = id_claims();
        change(&mut claims);
        evidence(vec![seal(Token::IdToken, &issuer.sign(&claims), &issuer.jwk)])
    };
    let good = || evidence(vec![seal(Token::IdToken, &issuer.sign(&id_claims()), &issuer.jwk)]);
    let access = |claims: &Value| {
        let id = seal(Token::IdToken, &issuer.sign(&id_claims()), &issuer.jwk);
        evidence(vec![id, seal(Token::AccessToken, &issuer.sign(claims), &issuer.jwk)])
    };
    let other_client = {
        let mut claims = access_claims(&digest());
        claims["client_id"] = json!("other");
        claims
    };
    let cases = [
        ("another issuer", with(|claims| claims["iss"] = json!("https://other.example"))),
        ("somebody else", with(|claims| claims["sub"] = json!("eve"))),
        ("another client", with(|claims| claims["aud"] = json!("other"))),
        ("another client", with(|claims| claims["aud"] = json!(["approver", "other"]))),
        ("between the request", with(|claims| claims["iat"] = json!(at().timestamp() - 100))),
        ("between the request", with(|claims| claims["iat"] = json!(at().timestamp() + 100))),
        ("another request", with(|claims| claims["urn:openid:params:jwt:claim:auth_req_id"] = json!("other"))),
        ("another call", with(|claims| claims["authorization_details"] = json!([{"digest": "sha-256:other"}]))),
        ("another call", access(&access_claims("sha-256:other"))),
        ("another client", access(&other_client)),
        // Signed by somebody else, whose key is not the one that was kept.
        ("signature is wrong", evidence(vec![seal(Token::IdToken, &foreign.sign(&id_claims()), &issuer.jwk)])),
        ("somebody else than who asked", Evidence { subject: "eve".to_owned(), ..good() }),
        ("somebody else than who asked", Evidence { issuer: "https://other.example".to_owned(), ..good() }),
        ("another one than was kept", Evidence { id_token_sha256: hash_of(b"other"), ..good() }),
        ("does not open", Evidence { approval: ApprovalId::from_text("apr_2"), ..good() }),
        ("no ID token", {
            let jwt = issuer.sign(&access_claims(&digest()));
            evidence(vec![seal(Token::AccessToken, &jwt, &issuer.jwk)])
        }),
        ("times cannot be read", Evidence { approved_at: "soon".to_owned(), ..good() }),
        ("between the request", Evidence { requested_at: "1970-01-01T00:00:00Z".to_owned(), ..good() }),
        ("had expired before the answer", Evidence { approved_at: "2029-01-01T00:00:00Z".to_owned(), ..good() }),
    ];
    for (wanted, evidence) in cases {
        let found = verdict(&evidence).unwrap_err();
        assert!(found.starts_with("line 3: ") && found.contains(wanted), "{wanted}: {found}");
    }
    assert!(verdict(&good()).is_ok());
}

#[test]
fn the_digest_is_made_anew_from_the_call() {
    let issuer = Issuer::new();
    let id = || seal(Token::IdToken, &issuer.sign(&id_claims()), &issuer.jwk);
    let access = || seal(Token::AccessToken, &issuer.sign(&access_claims(&digest())), &issuer.jwk);
    // What the issuer signed is the digest of two, and fifty stand there; signed details or not.
    for evidence in [evidence(vec![id(), access()]), evidence(vec![id()])] {
        let dir = TempDir::new();
        let audit = Audit::open(&dir.0);
        let action = write_call(&audit, &json!({"qty": 50}), &digest(), &evidence);
        let found = verdict_of(&audit).unwrap_err();
        assert!(found.starts_with("line 3: ") && found.contains("another call"), "{found}");
        assert!(grade_of(&audit, &key(), &entries(&audit, &action)).is_err());
    }
}

/// What stands there in the place of a sensitive value is nothing that a digest could be made from.
#[test]
fn a_call_with_hidden_values_rests_on_our_word() {
    let issuer = Issuer::new();
    let dir = TempDir::new();
    let audit = Audit::open(&dir.0);
    audit.unlock(&key(), true);
    let hidden = audit.hide(at(), "digest", &digest().into()).unwrap();
    let id = seal(Token::IdToken, &issuer.sign(&id_claims()), &issuer.jwk);
    let access = seal(Token::AccessToken, &issuer.sign(&access_claims(&digest())), &issuer.jwk);
    let evidence = Evidence { binding: Binding::Details, ..evidence(vec![id, access]) };
    let action = write_call(&audit, &json!({"qty": "hmac-sha-256:x"}), &hidden, &evidence);
    assert_eq!(verdict_of(&audit), Ok(Grades { b: 1, ..Grades::default() }));
    let now = at() + TimeDelta::seconds(3601);
    let entries = entries(&audit, &action);
    let receipt = Receipt::new(action.as_str(), entries, Some(&key()), true, Some(Grade::B), now).unwrap();
    assert_eq!(receipt.check(), Ok(Some(Grade::B)));
    assert!(Receipt { grade: Some(Grade::A), ..receipt }.check().is_err());
    // A digest of another call is hidden in another way.
    let tokens =
        [(Token::IdToken, issuer.sign(&id_claims())), (Token::AccessToken, issuer.sign(&access_claims(&digest())))];
    let evidence = evidence_of(2, &tokens, &issuer.jwk);
    write_call(&audit, &json!({}), &audit.hide(at(), "digest", &json!("sha-256:other")).unwrap(), &evidence);
    assert!(verdict_of(&audit).unwrap_err().contains("signed another call"));
}

#[test]
fn one_name_of_a_key_is_one_key() {
    let (issuer, foreign) = (Issuer::new(), Issuer::new());
    let dir = TempDir::new();
    let audit = Audit::open(&dir.0);
    for (number, issuer) in [&issuer, &issuer, &foreign].into_iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        write(&audit, &evidence_of(number, &[(Token::IdToken, issuer.sign(&id_claims()))], &issuer.jwk));
    }
    let key = key();
    let mut grader = Grader::new(&audit, Some(&key));
    let verdict = audit.verify(|link, line| grader.entry(link, line)).unwrap();
    assert_eq!(verdict.bad.len(), 1);
    assert!(verdict.bad[0].place.line == 7 && verdict.bad[0].why.contains("key k1 is another one"), "{verdict:?}");
    assert_eq!(verdict.entries, 7, "the chain behind it is looked at all the same");
}

/// What was sent may have happened: no end says that it never left, and it leaves again only under its own key.
#[test]
fn what_was_sent_is_held_against_the_rest() {
    let verdict = |write: &dyn Fn(&Audit, &ActionId)| {
        let dir = TempDir::new();
        let audit = Audit::open(&dir.0);
        audit.unlock(&key(), true);
        let action = ActionId::mint();
        let request = json!({"actor": {}, "tool": "buy", "effect": "irreversible", "arguments": {"qty": 2},
                             "origin": "https://shop.example", "digest": digest()});
        audit.request(&action, at(), request).unwrap();
        write(&audit, &action);
        let audit = Audit::open(&dir.0);
        audit.unlock(&key(), true);
        verdict_of(&audit)
    };
    let sent = |key: Value| json!({"approval": null, "digest": digest(), "idempotency_key": key});
    let ended = |outcome: &str| json!({"outcome": outcome, "approval": null});
    let all = |sents: &[Value], outcome: &str| {
        verdict(&|audit, action| {
            sents.iter().for_each(|key| audit.sent(action, at(), sent(key.clone())).unwrap());
            audit.response(action, at(), ended(outcome)).unwrap();
        })
    };
    for outcome in ["done", "unknown", "failed", "not_permitted"] {
        assert!(all(&[json!("k"), json!("k")], outcome).is_ok(), "{outcome}");
    }
    for outcome in ["denied", "cancelled", "expired"] {
        let found = all(&[Value::Null], outcome).unwrap_err();
        assert!(found.contains(&format!("it ended as {outcome}, and entry 4 says that it was sent")), "{found}");
        assert!(all(&[], outcome).is_ok());
    }
    for keys in [[Value::Null, Value::Null], [json!("k"), json!("other")], [json!("k"), Value::Null]] {
        let found = all(&keys, "done").unwrap_err();
        assert!(found.contains("sent by entry 4 already, and not under the same idempotency key"), "{keys:?}: {found}");
    }
    let other = |audit: &Audit, action: &ActionId| {
        let sent = json!({"approval": null, "digest": "sha-256:other", "idempotency_key": null});
        audit.sent(action, at(), sent).unwrap();
    };
    assert!(verdict(&other).unwrap_err().contains("another call than was asked for"));
    // Somebody without the key said that it was sent, before it was denied: whoever has the key did not believe that.
    let nobodys = |audit: &Audit, action: &ActionId| {
        let without = Audit::open(audit.path().parent().unwrap());
        without.entries_of(action).unwrap();
        without.sent(action, at(), sent(Value::Null)).unwrap();
        audit.response(action, at(), ended("denied")).unwrap();
    };
    assert!(verdict(&nobodys).is_ok());
    // Done is what was sent, and nothing else; that nobody knows can be said of anything.
    let unsent = "told as done, and no entry says that it was sent";
    assert!(all(&[], "done").unwrap_err().contains(unsent));
    assert!(all(&[], "unknown").is_ok() && all(&[], "failed").is_ok());
    let sent_by_nobody = |audit: &Audit, action: &ActionId| {
        let without = Audit::open(audit.path().parent().unwrap());
        without.entries_of(action).unwrap();
        without.sent(action, at(), sent(Value::Null)).unwrap();
        audit.response(action, at(), ended("done")).unwrap();
    };
    assert!(verdict(&sent_by_nobody).unwrap_err().contains(unsent));
    // What nobody proves takes nothing away from what was sent.
    let nobodys_end_first = |audit: &Audit, action: &ActionId| {
        Audit::open(audit.path().parent().unwrap()).response(action, at(), ended("unknown")).unwrap();
        audit.sent(action, at(), sent(json!("k"))).unwrap();
        audit.response(action, at(), ended("done")).unwrap();
    };
    assert_eq!(verdict(&nobodys_end_first), Ok(Grades { not_approved: 1, ..Grades::default() }));
    let sent_by_nobody_too = |audit: &Audit, action: &ActionId| {
        audit.sent(action, at(), sent(json!("k"))).unwrap();
        let without = Audit::open(audit.path().parent().unwrap());
        without.entries_of(action).unwrap();
        without.sent(action, at(), sent(json!("k"))).unwrap();
        audit.response(action, at(), ended("done")).unwrap();
    };
    assert_eq!(verdict(&sent_by_nobody_too), Ok(Grades { not_approved: 1, ..Grades::default() }));
    // Nor that it was done: what counts is the end that was written with the key.
    let ended_twice = |audit: &Audit, action: &ActionId| {
        let without = Audit::open(audit.path().parent().unwrap());
        without.response(action, at(), ended("done")).unwrap();
        audit.response(action, at(), ended("denied")).unwrap();
    };
    assert_eq!(verdict(&ended_twice), Ok(Grades::default()));
    let last = |audit: &Audit, action: &ActionId| {
        audit.response(action, at(), ended("denied")).unwrap();
        Audit::open(audit.path().parent().unwrap()).response(action, at(), ended("done")).unwrap();
    };
    assert!(verdict(&last).unwrap_err().contains("second response"));
}

/// A log that an earlier version began has effects of which nothing says that they were sent.
#[test]
fn an_older_log_is_held_to_it_from_its_first_sent_entry_on() {
    let begin = |format: u64| (Kind::Begin, None, json!({"format": format, "log": "x"}));
    let request = |action| {
        let call = json!({"tool": "buy", "effect": "irreversible", "arguments": {"qty": 2},
                          "origin": "https://shop.example", "digest": digest()});
        (Kind::Request, Some(action), call)
    };
    let sent = |action| (Kind::Sent, Some(action), json!({"digest": digest(), "idempotency_key": "k"}));
    let done = |action| (Kind::Response, Some(action), json!({"outcome": "done", "approval": null}));
    let judge = |proven: Option<bool>, lines: &[(Kind, Option<&'static str>, Value)]| {
        let dir = TempDir::new();
        let audit = Audit::open(&dir.0);
        let mut grader = Grader::new(&audit, None);
        (1..).zip(lines).try_for_each(|(seq, (kind, action, body))| {
            // Of those of an older log nobody doubts.
            let proven = proven.filter(|_| *kind == Kind::Sent);
            let link = Link { seq, prev: "", kind: *kind, action: *action, proven };
            grader.entry(&link, json!({ "body": body }).to_string().as_bytes())
        })
    };
    let older = [begin(1), request("act_1"), done("act_1")];
    assert_eq!(judge(None, &older), Ok(()));
    assert!(judge(None, &[begin(2), request("act_1"), done("act_1")]).is_err());
    let then = [&older[..], &[request("act_2"), sent("act_2"), done("act_2")]].concat();
    assert_eq!(judge(None, &then), Ok(()));
    let later = [&then[..], &[request("act_3"), done("act_3")]].concat();
    assert!(judge(None, &later).is_err());
    assert_eq!(judge(Some(false), &later), Ok(()), "somebody without the key does not change what it is held to");
    assert!(judge(None, &[&then[..], &[begin(2)], &older[1..]].concat()).is_err());
}

/// Each of the three that one approval alone has is enough to know it again.
#[test]
fn one_yes_is_good_for_one_call() {
    let issuer = Issuer::new();
    let of = |number: u32| evidence_of(number, &[(Token::IdToken, issuer.sign(&id_claims()))], &issuer.jwk);
    let again = |change: fn(&mut Evidence, &Evidence)| {
        let dir = TempDir::new();
        let audit = Audit::open(&dir.0);
        let (first, mut second) = (of(1), of(2));
        change(&mut second, &first);
        write(&audit, &first);
        write(&audit, &second);
        verdict_of(&audit)
    };
    assert_eq!(again(|_, _| {}), Ok(Grades { c: 2, ..Grades::default() }));
    type Copy = fn(&mut Evidence, &Evidence);
    let changes: [(&str, Copy); 4] = [
        ("its approval was used by entry 3", |second, first| *second = first.clone()),
        ("its approval was", |second, first| second.approval = first.approval.clone()),
        ("its request to the issuer was", |second, first| {
            second.auth_req_id_sha256.clone_from(&first.auth_req_id_sha256);
        }),
        ("its ID token was", |second, first| second.id_token_sha256.clone_from(&first.id_token_sha256)),
    ];
    for (wanted, change) in changes {
        let found = again(change).unwrap_err();
        assert!(found.starts_with("line 5: ") && found.contains(wanted), "{wanted}: {found}");
    }
}

#[test]
fn without_a_key_tokens_stay_sealed() {
    let issuer = Issuer::new();
    let dir = TempDir::new();
    let audit = Audit::open(&dir.0);
    write(&audit, &evidence(vec![seal(Token::IdToken, &issuer.sign(&id_claims()), &issuer.jwk)]));
    let mut grader = Grader::new(&audit, None);
    audit.verify(|link, line| grader.entry(link, line)).unwrap();
    assert_eq!(grader.grades(), Grades { not_checked: 1, ..Grades::default() });
}

/// The two lines of one action.
fn entries(audit: &Audit, action: &ActionId) -> Entries {
    let mut lines = Vec::new();
    let each = |entry: crate::store::audit::Entry, line: &[u8]| {
        if entry.action.as_ref() == Some(action) {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
        }
        true
    };
    audit.read_on(&mut crate::store::audit::Cursor::default(), each).unwrap();
    Entries { request: lines.remove(0), response: lines.pop() }
}

#[test]
fn a_receipt_proves_itself() {
    let issuer = Issuer::new();
    let dir = TempDir::new();
    let audit = Audit::open(&dir.0);
    let id = seal(Token::IdToken, &issuer.sign(&id_claims()), &issuer.jwk);
    let access = seal(Token::AccessToken, &issuer.sign(&access_claims(&digest())), &issuer.jwk);
    let action = write(&audit, &evidence(vec![id, access]));
    let entries = entries(&audit, &action);
    let key = key();
    let grade = grade_of(&audit, &key, &entries).unwrap();
    assert_eq!(grade, Some(Grade::A));
    let make = |tokens: bool, later: i64| {
        let now = at() + TimeDelta::seconds(later);
        Receipt::new(action.as_str(), entries.clone(), Some(&key), tokens, grade, now)
    };
    // What can still be used is not given away.
    assert!(matches!(make(true, 200), Err(Problem::StillGood { token: "id_token", .. })));
    assert!(matches!(make(true, 3600), Err(Problem::StillGood { .. })));
    let without = make(false, 0).unwrap();
    assert_eq!(without.check(), Ok(None));
    assert!(!serde_json::to_string(&without).unwrap().contains("eyJ"));
    let receipt = make(true, 3601).unwrap();
    assert_eq!(receipt.check(), Ok(Some(Grade::A)));
    let text = serde_json::to_string(&receipt).unwrap();
    assert_eq!(serde_json::from_str::<Receipt>(&text).unwrap(), receipt);

    type Change = fn(&mut Receipt);
    fn relined(r: &mut Receipt, old: &str, new: &str) {
        assert!(r.entries.request.contains(old));
        r.entries.request = r.entries.request.replacen(old, new, 1);
        let response = r.entries.response.take().unwrap();
        let response = response.replace(&r.hashes[0], &hash_of(r.entries.request.as_bytes()));
        r.hashes = vec![hash_of(r.entries.request.as_bytes()), hash_of(response.as_bytes())];
        r.entries.response = Some(response);
    }
    let changes: [(&str, Change); 14] = [
        ("request entry", |r| relined(r, "\"qty\":2", "\"qty\":900,\"qty\":2")),
        ("request entry", |r| relined(r, "\"time\":", "\"time\":\"2020-01-01T00:00:00Z\",\"time\":")),
        ("request entry", |r| relined(r, "\"effect\":", "\"effect\":\"read\",\"effect\":")),
        ("no receipt", |r| r.kind = "other".to_owned()),
        ("request entry", |r| r.action = "act_other".to_owned()),
        ("hashes", |r| r.entries.response = r.entries.response.as_ref().map(|line| line.replace("unknown", "nope"))),
        ("written after", |r| r.entries.request = r.entries.request.replace("\"qty\":2", "\"qty\":50")),
        // The same with every hash made anew.
        ("another call", |r| relined(r, "\"qty\":2", "\"qty\":50")),
        ("hashes", |r| r.hashes.clear()),
        ("keys", |r| r.keys.clear()),
        ("tokens are not those", |r| drop(r.tokens.pop())),
        ("another one than was kept", |r| r.tokens[0].jwt = r.tokens[1].jwt.clone()),
        ("another grade", |r| r.grade = Some(Grade::C)),
        ("response entry", |r| r.entries.response = Some(r.entries.request.clone())),
    ];
    for (wanted, change) in changes {
        let mut changed = receipt.clone();
        change(&mut changed);
        let found = changed.check().unwrap_err().to_string();
        assert!(found.contains(wanted), "{wanted}: {found}");
    }
}
