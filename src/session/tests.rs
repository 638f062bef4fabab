//! A session against the server of `testing.rs`.

use std::{cell::RefCell, sync::Arc, time::Duration};

use axum::http::HeaderName;
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};

use super::{
    testing::{World, clock_now, device_answer, parts, quick},
    *,
};
use crate::oauth::testing::Script;

fn wanted(scopes: &[&str]) -> Wanted {
    Wanted { scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), ..Wanted::default() }
}

#[tokio::test]
async fn a_login_and_what_is_kept_of_it() {
    let world = World::new().await;
    assert_eq!(world.session().account().await.unwrap(), None);
    assert!(matches!(world.session().access_token(&Wanted::default()).await, Err(Error::NotLoggedIn)));
    world.idp().pending = vec!["authorization_pending"];
    let session = world.logged_in().await;
    let account = world.session().account().await.unwrap().unwrap();
    assert_eq!((account.sub.as_str(), account.display_name()), ("ada", "Ada Lovelace"));
    assert!(account.refreshable);
    // The next process has the login's token without asking.
    assert_eq!(world.session().access_token(&Wanted::default()).await.unwrap().token.expose(), "at-1");
    assert_eq!(world.idp().refreshes, 0);
    // Nothing of it lies about in clear.
    for path in [world.dir.path("store"), world.dir.path("tokens")] {
        let files = if path.is_dir() {
            let folder = std::fs::read_dir(std::fs::read_dir(path).unwrap().next().unwrap().unwrap().path()).unwrap();
            folder.map(|file| file.unwrap().path()).collect()
        } else {
            vec![path]
        };
        for file in files {
            let content = std::fs::read(&file).unwrap();
            assert!(!content.windows(3).any(|piece| piece == b"rt-" || piece == b"at-"), "{}", file.display());
        }
    }
    assert!(!format!("{session:?}").contains("at-1"));
}

#[tokio::test]
async fn a_refresh_rotates_and_the_newest_token_is_kept() {
    let world = World::new().await;
    world.logged_in().await;
    world.expire_tokens();
    for round in 2..5 {
        world.expire_tokens();
        let granted = world.session().access_token(&Wanted::default()).await.unwrap();
        assert_eq!(granted.token.expose(), format!("at-{round}"));
    }
    assert!(world.idp().alive);
}

#[tokio::test]
async fn each_purpose_has_its_own_token_and_the_grant_is_checked() {
    let world = World::new().await;
    let session = world.logged_in().await;
    let read = session.access_token(&wanted(&["product:read"])).await.unwrap();
    assert_eq!(read.token.expose(), "at-2");
    assert_eq!(session.access_token(&wanted(&["product:read"])).await.unwrap().token.expose(), "at-2");
    let seen = world.server.seen("/token").pop().unwrap();
    assert_eq!(seen.field("scope"), Some("product:read"));

    world.idp().scope = Some("product:read".to_owned());
    let error = session.access_token(&wanted(&["product:read", "product:buy", "openid"])).await.unwrap_err();
    assert!(matches!(&error, Error::NotGranted { missing } if missing == "product:buy"), "{error}");
    assert!(!error.login_needed());
    // The refresh token that came with it was kept all the same.
    world.idp().scope = None;
    assert!(session.access_token(&wanted(&["other"])).await.is_ok());
}

#[tokio::test]
async fn many_at_once_refresh_once() {
    let world = World::new().await;
    world.logged_in().await;
    world.expire_tokens();
    let sessions: Vec<Session> = (0..3).map(|_| world.session()).collect();
    let tasks = sessions
        .iter()
        .flat_map(|session| (0..8).map(move |_| async { session.access_token(&Wanted::default()).await }));
    let tokens = futures::future::join_all(tasks).await;
    assert!(tokens.iter().all(|granted| granted.as_ref().unwrap().token.expose() == "at-2"));
    assert_eq!(world.refreshed(), (1, true));
}

#[tokio::test]
async fn many_processes_that_always_refresh_keep_the_login_alive() {
    let world = World::new().await;
    world.logged_in().await;
    world.expire_tokens();
    world.idp().expires_in = 0;
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (issuer, dir) = (world.server.issuer(), world.dir.0.clone());
            let (tell, answer) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let result = runtime.block_on(async {
                    let session = Session::new(parts(&issuer, &dir));
                    for _ in 0..15 {
                        session.access_token(&Wanted::default()).await.map_err(|error| error.to_string())?;
                    }
                    Ok::<_, String>(())
                });
                tell.send(result).unwrap();
            });
            answer
        })
        .collect();
    for worker in workers {
        worker.await.unwrap().unwrap();
    }
    assert_eq!(world.refreshed(), (45, true));
}

#[tokio::test]
async fn a_refused_refresh_token_ends_the_login() {
    let world = World::new().await;
    let session = world.logged_in().await;
    world.idp().alive = false;
    let error = session.access_token(&wanted(&["x"])).await.unwrap_err();
    assert!(error.login_needed() && error.to_string().contains("invalid_grant"), "{error}");
    assert_eq!(world.session().account().await.unwrap(), None);
    assert_eq!(world.idp().refreshes, 1);
}

#[tokio::test]
async fn a_newer_refresh_token_is_used_and_never_deleted() {
    let world = World::new().await;
    let session = world.logged_in().await;
    // Somebody who does not take our lock replaces the token while our request is on its way.
    let grant = session.grant().await.unwrap().unwrap();
    let other = parts(&world.server.issuer(), &world.dir.0).store;
    let newer = Grant { refresh_token: Some(crate::secret::RefreshToken::new("rt-newer")), ..grant }.to_bytes();
    let (key, runtime_bytes) = (session.key.clone(), newer.clone());
    let answers = Arc::new(Mutex::new(0));
    world.server.handle(move |seen| {
        if seen.path != "/token" {
            return None;
        }
        let mut count = answers.lock().unwrap();
        *count += 1;
        if seen.field("refresh_token") == Some("rt-newer") && *count == 2 {
            return Some(Script::json(200, json!({"access_token": "at-newer", "expires_in": 60})));
        }
        let (other, key, bytes) = (other.clone(), key.clone(), runtime_bytes.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(other.set(&key, &bytes)).unwrap();
        })
        .join()
        .unwrap();
        Some(Script::json(400, json!({"error": "invalid_grant"})))
    });
    assert_eq!(session.access_token(&wanted(&["x"])).await.unwrap().token.expose(), "at-newer");
    // And if the newer one is refused as well, it is not ours to delete before it has been tried from a fresh start.
    assert!(world.session().account().await.unwrap().is_some());
}

#[tokio::test]
async fn trouble_on_the_way_ends_nothing() {
    let world = World::new().await;
    let session = world.logged_in().await;
    world.idp().broken = true;
    let error = session.access_token(&wanted(&["x"])).await.unwrap_err();
    assert!(!error.login_needed(), "{error}");
    world.idp().broken = false;
    assert_eq!(session.access_token(&wanted(&["x"])).await.unwrap().token.expose(), "at-2");
    // A server in trouble has not refused the grant, whatever its code says.
    for status in [500, 503, 429] {
        world.server.handle(move |seen| {
            (seen.path == "/token").then(|| Script::json(status, json!({"error": "invalid_grant"})))
        });
        let error = session.access_token(&wanted(&["y"])).await.unwrap_err();
        assert!(!error.login_needed() && world.session().account().await.unwrap().is_some(), "{status}: {error}");
    }
}

#[tokio::test]
async fn an_empty_refresh_token_does_not_take_the_place_of_the_good_one() {
    let world = World::new().await;
    let session = world.logged_in().await;
    let before = session.grant().await.unwrap().unwrap().refresh_token;
    world.server.handle(|seen| {
        let answer = json!({"access_token": "at-x", "expires_in": 60, "refresh_token": ""});
        (seen.path == "/token").then(|| Script::json(200, answer))
    });
    session.access_token(&wanted(&["x"])).await.unwrap();
    assert_eq!(world.session().grant().await.unwrap().unwrap().refresh_token, before);
}

#[tokio::test]
async fn somebody_elses_token_is_refused() {
    let world = World::new().await;
    let session = world.logged_in().await;
    world.idp().sub = "mallory".to_owned();
    assert!(matches!(session.access_token(&wanted(&["x"])).await, Err(Error::SomebodyElse)));
}

#[cfg(unix)]
#[tokio::test]
async fn what_cannot_be_kept_is_not_used() {
    let world = World::new().await;
    world.logged_in().await;
    let mut settings = parts(&world.server.issuer(), &world.dir.0);
    let now = settings.clock.now();
    settings.clock = Arc::new(crate::clock::ManualClock::new(now));
    let session = Session::new(settings);
    // While the server answers, the store becomes something that nothing is written to.
    let (store, aside) = (world.dir.path("store"), world.dir.path("aside"));
    let (idp, from, to) = (world.idp.clone(), store.clone(), aside.clone());
    world.server.handle(move |seen| {
        if seen.path == "/token" && !to.exists() {
            std::fs::rename(&from, &to).unwrap();
            std::os::unix::fs::symlink(&to, &from).unwrap();
        }
        idp.lock().unwrap().answer(seen)
    });
    let error = session.access_token(&wanted(&["x"])).await.unwrap_err();
    assert!(matches!(error, Error::NotKept(_)), "{error}");
    std::fs::rename(&aside, &store).unwrap();
    std::fs::write(&aside, "so that it does not happen again").unwrap();
    let granted = session.access_token(&wanted(&["x"])).await.unwrap();
    assert_eq!(granted.token.expose(), "at-3", "the refresh token that was not kept was still in memory");
    assert!(world.session().access_token(&wanted(&["y"])).await.is_ok(), "and then it was kept");
}

#[tokio::test]
async fn logout_revokes_and_forgets() {
    let world = World::new().await;
    let session = world.logged_in().await;
    let report = session.logout(None).await.unwrap();
    assert!(matches!(report.revoked, Revoked::Done));
    assert_eq!(report.account.unwrap().sub, "ada");
    assert_eq!(world.idp().revoked, ["rt-1"]);
    assert_eq!(world.session().account().await.unwrap(), None);
    assert!(matches!(session.access_token(&Wanted::default()).await, Err(Error::NotLoggedIn)));
    let again = session.logout(None).await.unwrap();
    assert!(matches!((again.account, again.revoked), (None, Revoked::Nothing)));
}

#[tokio::test]
async fn logout_forgets_also_when_the_server_is_away() {
    let world = World::new().await;
    let session = world.logged_in().await;
    world.idp().broken = true;
    let report = session.logout(None).await.unwrap();
    assert!(matches!(report.revoked, Revoked::Failed(oauth::Error::Malformed { .. })), "{report:?}");
    assert_eq!(world.session().account().await.unwrap(), None);
}

#[tokio::test]
async fn nothing_is_kept_after_a_stop() {
    let world = World::new().await;
    let session = world.logged_in().await;
    let login = session.begin_login(&Extra::default()).await.unwrap();
    session.parts.stop.raise(chrono::DateTime::UNIX_EPOCH).unwrap();
    assert!(matches!(session.access_token(&wanted(&["x"])).await, Err(Error::Stopped(_))));
    assert!(matches!(session.finish_login(quick(login), None, &|_| {}).await, Err(Error::Stopped(_))));
    // One that begins after it is a login.
    let session = world.logged_in().await;
    assert!(session.parts.stop.lift().unwrap());
    session.access_token(&wanted(&["x"])).await.unwrap();
}

#[tokio::test]
async fn logout_with_a_limit_waits_for_nobody() {
    let world = World::new().await;
    let session = world.logged_in().await;
    let _renewing = world.session().hold().await.unwrap();
    let report = session.logout(Some(Duration::from_millis(50))).await.unwrap();
    assert_eq!(report.account.unwrap().sub, "ada");
    assert_eq!(world.session().account().await.unwrap(), None);
}

#[tokio::test]
async fn a_damaged_grant_is_said_and_can_be_logged_out() {
    let world = World::new().await;
    let session = world.logged_in().await;
    session.parts.store.set(&session.key, b"not a grant").await.unwrap();
    assert!(matches!(world.session().account().await, Err(Error::Damaged)));
    assert!(session.logout(None).await.unwrap().account.is_none());
    assert_eq!(world.session().account().await.unwrap(), None);
}

#[tokio::test]
async fn how_logins_end_and_that_they_leave_the_old_one_alone() {
    let world = World::new().await;
    world.logged_in().await;
    for (errors, expected) in [
        (vec!["access_denied"], "denied"),
        (vec!["expired_token"], "not finished in time"),
        (vec!["invalid_client"], "invalid_client"),
    ] {
        world.idp().pending = errors;
        let session = world.session();
        let login = session.begin_login(&Extra::default()).await.unwrap();
        let error = session.finish_login(quick(login), None, &|_| {}).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(world.session().account().await.unwrap().unwrap().sub, "ada");
    }
    // A login whose ID token is not for us changes nothing either.
    let session =
        Session::new(SessionParts { client: Client::public("other"), ..parts(&world.server.issuer(), &world.dir.0) });
    let login = session.begin_login(&Extra::default()).await.unwrap();
    let error = session.finish_login(quick(login), None, &|_| {}).await.unwrap_err();
    assert!(error.to_string().contains("not for this client alone"), "{error}");
    assert_eq!(session.account().await.unwrap(), None);
}

#[tokio::test]
async fn a_step_up_merges() {
    let world = World::new().await;
    let session = world.session();
    let extra = Extra {
        scopes: vec!["openid".into(), "product:read".into()],
        resource: Some("https://shop.example".into()),
        ..Extra::default()
    };
    let login = session.begin_login(&extra).await.unwrap();
    let seen = world.server.seen("/device").pop().unwrap();
    assert_eq!(seen.field("scope"), Some("openid offline_access product:read"));
    assert_eq!(seen.field("resource"), Some("https://shop.example"));
    session.finish_login(quick(login), None, &|_| {}).await.unwrap();
    assert_eq!(world.server.seen("/token").pop().unwrap().field("resource"), Some("https://shop.example"));
    // Its token is kept for that API, not for the session's own.
    let shop = Wanted { resource: Some("https://shop.example".into()), ..Wanted::default() };
    assert_eq!(session.access_token(&shop).await.unwrap().token.expose(), "at-1");
    assert_eq!(session.access_token(&Wanted::default()).await.unwrap().token.expose(), "at-2");
}

#[tokio::test]
async fn a_login_in_two_steps() {
    let world = World::new().await;
    let session = world.session();
    assert!(matches!(session.parked_login(None).await, Err(Error::NoPendingLogin)));
    let mut login = session.begin_login(&Extra::default()).await.unwrap();
    let id = session.park_login(&mut login).await.unwrap().to_string();
    assert!(!id.contains("the-device-code"));

    let second = world.session();
    assert!(matches!(second.parked_login(Some("login_other")).await, Err(Error::NoPendingLogin)));
    let login = second.parked_login(Some(&id)).await.unwrap();
    assert_eq!(login.user_code(), "WDJB-MJHT");
    // No longer than the limit, and then it can be taken up again, not earlier than the server allows.
    world.idp().pending = vec!["authorization_pending"; 20];
    let news = RefCell::new(Vec::new());
    let limit = Some(Duration::from_millis(1300));
    let error = second.finish_login(login, limit, &|item| news.borrow_mut().push(item)).await.unwrap_err();
    assert!(matches!(error, Error::StillPending), "{error}");
    assert_eq!(world.server.seen("/token").len(), 1);

    world.idp().pending.clear();
    let third = world.session();
    let login = third.parked_login(None).await.unwrap();
    let account = third.finish_login(login, None, &|_| {}).await.unwrap();
    assert_eq!(account.sub, "ada");
    assert!(matches!(third.parked_login(None).await, Err(Error::NoPendingLogin)));
}

#[tokio::test]
async fn a_parked_login_expires_and_a_denied_one_is_forgotten() {
    let world = World::new().await;
    let session = world.session();
    world.idp().pending = vec!["access_denied"];
    let mut login = session.begin_login(&Extra::default()).await.unwrap();
    session.park_login(&mut login).await.unwrap();
    assert!(matches!(session.finish_login(quick(login), None, &|_| {}).await, Err(Error::Denied)));
    assert!(matches!(session.parked_login(None).await, Err(Error::NoPendingLogin)));

    world.server.answer("/device", device_answer(1));
    let mut login = session.begin_login(&Extra::default()).await.unwrap();
    session.park_login(&mut login).await.unwrap();
    session.parts.clock.sleep(Duration::from_millis(1100)).await;
    assert!(matches!(session.parked_login(None).await, Err(Error::Expired)));
}

#[tokio::test]
async fn who_logs_in_meanwhile_is_not_acted_for() {
    let world = World::new().await;
    let first = world.logged_in().await;
    world.idp().sub = "grace".to_owned();
    let second = world.logged_in().await;
    second.access_token(&wanted(&["x"])).await.unwrap();
    assert!(matches!(first.account().await, Err(Error::Changed)));
    assert!(matches!(first.access_token(&wanted(&["x"])).await, Err(Error::Changed)));
    assert_eq!(world.session().account().await.unwrap().unwrap().sub, "grace");
}

/// Whatever the process remembers: what it could not keep is newer than the store, and no proof of a login.
#[tokio::test]
async fn who_is_still_logged_in_is_what_the_store_says() {
    let world = World::new().await;
    let first = world.logged_in().await;
    first.still().await.unwrap();
    first.memory().unkept = first.grant().await.unwrap();
    world.idp().sub = "grace".to_owned();
    let second = world.logged_in().await;
    assert!(matches!(first.still().await, Err(Error::Changed)));
    second.logout(None).await.unwrap();
    assert!(first.account().await.unwrap().is_some());
    assert!(matches!(first.still().await, Err(Error::NotLoggedIn)));
    assert!(Error::Changed.login_needed());
}

#[tokio::test]
async fn another_login_of_the_same_person_is_another_one_and_a_refresh_is_not() {
    let world = World::new().await;
    let first = world.logged_in().await;
    let login = first.login().await.unwrap();
    assert!(login.is_some());
    world.expire_tokens();
    world.session().access_token(&wanted(&["x"])).await.unwrap();
    assert_eq!(world.refreshed(), (1, true));
    first.still().await.unwrap();
    assert_eq!(world.session().login().await.unwrap(), login);
    let second = world.logged_in().await;
    assert!(matches!(first.still().await, Err(Error::OtherLogin)));
    assert_eq!(first.login().await.unwrap(), login, "it acts under the login that it began with");
    assert_ne!(second.login().await.unwrap(), login);
    // The person says something anew.
    first.begin_anew();
    assert!(matches!(first.still().await, Err(Error::OtherLogin)));
    first.account().await.unwrap();
    first.still().await.unwrap();
    assert_eq!(first.login().await.unwrap(), second.login().await.unwrap());
}

/// It was halted while its answer was on the way: what another process ended meanwhile is not brought back, whatever became
/// of the lock and the mark.
#[tokio::test]
async fn what_was_ended_while_it_was_renewed_does_not_come_back() {
    for again in [false, true] {
        let world = World::new().await;
        let session = world.logged_in().await;
        let (key, store) = (session.key.clone(), parts(&world.server.issuer(), &world.dir.0).store);
        let other = Grant { login: Some("login_other".to_owned()), ..session.grant().await.unwrap().unwrap() };
        match again {
            true => store.set(&key, &other.to_bytes()).await.unwrap(),
            false => drop(store.delete(&key).await.unwrap()),
        }
        let mine = Grant { login: session.login().await.unwrap(), ..other };
        let error = session.keep_renewed(&mine).await.unwrap_err();
        assert!(matches!((&error, again), (Error::OtherLogin, true) | (Error::NotLoggedIn, false)), "{error}");
        let stored = store.get(&key).await.unwrap().map(|bytes| Grant::from_bytes(&bytes).unwrap().login);
        assert_eq!(stored, again.then(|| Some("login_other".to_owned())));
    }
}

/// A login that an earlier version made has no id, and is unlike every other one.
#[tokio::test]
async fn a_login_without_an_id_is_one_of_its_own() {
    let world = World::new().await;
    let first = world.logged_in().await;
    let earlier = Grant { login: None, ..first.grant().await.unwrap().unwrap() };
    first.keep(&earlier).await.unwrap();
    assert!(matches!(first.still().await, Err(Error::OtherLogin)));
    let other = world.session();
    assert_eq!(other.login().await.unwrap(), None);
    other.access_token(&wanted(&["x"])).await.unwrap();
    other.still().await.unwrap();
    world.logged_in().await;
    assert!(matches!(other.still().await, Err(Error::OtherLogin)));
}

#[tokio::test]
async fn a_server_that_asks_for_eternity_is_no_crash() {
    let world = World::new().await;
    let session = world.session();
    world.server.answer("/device", device_answer(1));
    let mut login = session.begin_login(&Extra::default()).await.unwrap();
    session.park_login(&mut login).await.unwrap();
    let never = json!({"error": "slow_down", "interval": 9_000_000_000_000_000_000_u64});
    world.server.handle(move |seen| (seen.path == "/token").then(|| Script::json(400, never.clone())));
    assert!(matches!(session.finish_login(quick(login), None, &|_| {}).await, Err(Error::Expired)));
}

#[tokio::test]
async fn names_come_from_userinfo_if_the_token_has_none() {
    let world = World::new().await;
    let issuer = world.server.issuer();
    let document = json!({
        "issuer": issuer, "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/jwks"),
        "device_authorization_endpoint": format!("{issuer}/device"), "userinfo_endpoint": format!("{issuer}/me"),
    });
    world.server.answer("/.well-known/openid-configuration", Script::json(200, document));
    world.server.answer("/me", Script::json(200, json!({"sub": "ada", "name": "Ada", "email_verified": "true"})));
    let signing = world.idp().signing.clone();
    world.server.handle(move |seen| {
        let now = clock_now();
        let claims: Value = json!({"iss": issuer, "sub": "ada", "aud": "cli", "iat": now, "exp": now + 60});
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("k".to_owned());
        let token = jsonwebtoken::encode(&header, &claims, &signing).unwrap();
        (seen.path == "/token").then(|| Script::json(200, json!({"access_token": "at", "id_token": token})))
    });
    let session = world.logged_in().await;
    let account = session.account().await.unwrap().unwrap();
    assert_eq!(
        (account.name.as_deref(), account.email_verified, account.refreshable),
        (Some("Ada"), Some(true), false)
    );
    let seen = world.server.seen("/me").pop().unwrap();
    assert_eq!(seen.headers[HeaderName::from_static("authorization")], "Bearer at");

    world.server.answer("/me", Script::json(200, json!({"sub": "mallory", "name": "Ada"})));
    let login = session.begin_login(&Extra::default()).await.unwrap();
    let error = session.finish_login(quick(login), None, &|_| {}).await.unwrap_err();
    assert!(error.to_string().contains("somebody else"), "{error}");
}

#[tokio::test]
async fn without_a_device_endpoint_there_is_no_login() {
    let world = World::new().await;
    let issuer = world.server.issuer();
    let document =
        json!({"issuer": issuer, "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/jwks")});
    world.server.answer("/.well-known/openid-configuration", Script::json(200, document));
    let error = world.session().begin_login(&Extra::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "the server has no device authorization endpoint");
}
