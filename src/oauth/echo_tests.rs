//! Servers that repeat what they were sent, in every way in which a call can fail.

use axum::http::header::CONTENT_TYPE;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    my_account::{Api, Connect},
    testing::{Peer, Script, Seen},
    *,
};
use crate::secret::{
    AccessToken, AuthReqId, AuthSession, ClientSecret, CodeVerifier, ConnectCode, DeviceCode, RefreshToken,
};

const SECRET: &str = "client-secret/ä +%1";
const REFRESH: &str = "refresh-token-1";
const SUBJECT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c3ViamVjdC1zaWduYXR1cmU";
const DEVICE: &str = "device-code-1";
const REQUEST: &str = "auth-req-id-1";
const ACCOUNT: [&str; 4] = ["auth-session-1", "connect-code-1", "code-verifier-1", "state-of-it-1"];

/// What came, as it came and as a reader would have it, and so much more that no person wants it.
fn repeated(seen: &Seen) -> String {
    let authorization = seen.headers.get("authorization").map_or("", |value| value.to_str().unwrap());
    let pair = authorization.strip_prefix("Basic ").map(|pair| STANDARD.decode(pair).unwrap()).unwrap_or_default();
    let (body, pair) = (String::from_utf8_lossy(&seen.body), String::from_utf8_lossy(&pair));
    format!("{body} {:?} {authorization} {pair} {}", seen.form, "x".repeat(50_000))
}

type Echo = fn(&Seen) -> Script;

const ECHOES: [Echo; 6] = [
    |seen| Script::json(400, json!({"error": "invalid_request", "error_description": repeated(seen)})),
    |seen| Script::json(503, json!({"error": repeated(seen)})),
    |seen| Script::json(403, json!({"title": repeated(seen), "detail": "no", "error": "no"})),
    |seen| Script::json(400, json!({"title": "no", "validation_errors": [{"detail": repeated(seen)}], "error": "no"})),
    |seen| Script::text(502, "no").header(CONTENT_TYPE, &String::from_utf8_lossy(&seen.body)),
    |seen| {
        let kind = repeated(seen);
        Script::json(200, json!({"access_token": "at", "token_type": kind, "issued_token_type": kind}))
    },
];

/// What each call says when it fails; those that do not fail with this answer say nothing.
async fn said(peer: &Peer) -> Vec<String> {
    let caller = peer.caller();
    let mut said: Vec<String> = Vec::new();
    let mut failed = |error: Option<Error>| said.extend(error.map(|error| format!("{error} {error:?}")));
    let refreshed = token::refresh(&caller, &RefreshToken::new(REFRESH), &token::Refresh::default()).await;
    failed(refreshed.err());
    failed(revoke::refresh_token(&caller, &RefreshToken::new(REFRESH)).await.err());
    failed(device::request(&caller, &device::Request::default()).await.err());
    let wanted = ciba::Request {
        scopes: &[],
        login_hint: "ada",
        binding_message: None,
        requested_expiry: None,
        audience: None,
        authorization_details: None,
        acr_values: None,
    };
    failed(ciba::request(&caller, &wanted).await.err());
    for provider in [Provider::Auth0, Provider::Oidc] {
        let token = AccessToken::new(SUBJECT);
        let subject = exchange::Subject::Access(&token);
        let wanted = exchange::Request { subject, connection: "okta", login_hint: None, scopes: &[] };
        failed(exchange::exchange(&caller, provider, &wanted).await.err());
    }
    failed(userinfo::fetch(&caller, &AccessToken::new(SUBJECT), "a").await.err());

    let token = AccessToken::new(SUBJECT);
    let api = Api::new(&peer.http, &peer.metadata.issuer).unwrap();
    let [session, code, verifier, state] = ACCOUNT;
    failed(api.accounts(&token, None).await.err());
    failed(api.connections(&token).await.err());
    failed(api.delete(&token, "cac_1").await.err());
    let redirect_uri = "http://127.0.0.1:1/";
    let wanted = Connect { connection: "okta", scopes: &[], redirect_uri, state, code_challenge: "ch" };
    failed(api.connect(&token, &wanted).await.err());
    let (session, code) = (AuthSession::new(session), ConnectCode::new(code));
    failed(api.complete(&token, &session, &code, redirect_uri, &CodeVerifier::new(verifier)).await.err());

    let polls = [
        device::poll_once(&caller, &DeviceCode::new(DEVICE), None).await,
        ciba::poll_once(&caller, &AuthReqId::new(REQUEST), None).await,
    ];
    said.extend(polls.map(|answer| format!("{answer:?}")));
    said
}

#[tokio::test]
async fn no_text_of_a_server_brings_a_secret_back_or_is_long() {
    let secret = || ClientSecret::new(SECRET);
    let key = client_auth::generate_client_key().unwrap();
    for auth in [
        ClientAuth::SecretPost(secret()),
        ClientAuth::SecretBasic(secret()),
        ClientAuth::PrivateKeyJwt { key: key.key, key_id: None },
    ] {
        let mut peer = Peer::start().await;
        peer.client.auth = auth;
        let mut cleaned = 0;
        for echo in ECHOES {
            peer.server.handle(move |seen| Some(echo(seen)));
            let said = said(&peer).await;
            assert!(said.len() >= 8, "{said:?}");
            let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let basic = STANDARD.encode(format!("cli:{}", encode(SECRET)));
            let signature = SUBJECT.rsplit('.').next().unwrap().to_owned();
            let mut secrets = vec![basic, encode(SECRET), SECRET.to_owned(), signature];
            secrets.extend([REFRESH, DEVICE, REQUEST].into_iter().chain(ACCOUNT).map(str::to_owned));
            for text in &said {
                assert!(text.len() < 4000, "{} bytes: {}", text.len(), &text[..1000]);
                for secret in &secrets {
                    assert!(!text.contains(secret.as_str()), "{secret} in {text}");
                }
                // An assertion is a JWT of the client's.
                assert!(!text.contains("client_assertion=ey"), "{text}");
                cleaned += usize::from(text.contains("(a secret)"));
            }
        }
        assert!(cleaned > 30, "{cleaned}");
    }
}

/// An answer that brings secrets, and says them where it should say something else.
#[tokio::test]
async fn no_text_of_a_garbled_answer_holds_what_it_brings() {
    const LIVE: &str = "live-0123456789abcdef";
    let mut peer = Peer::start().await;
    peer.client.auth = ClientAuth::SecretPost(ClientSecret::new(SECRET));
    let mut told = 0;
    for secret in
        ["access_token", "refresh_token", "id_token", "auth_req_id", "device_code", "auth_session", "unheard_of"]
    {
        for (status, words) in [
            (200, &["token_type", "issued_token_type"][..]),
            (200, &["error", "error_description"]),
            (400, &["error", "error_description"]),
            (403, &["title", "detail"]),
            (503, &["error"]),
        ] {
            let mut body = json!({ "error_description": "x", "access_token": "another-one-1", "expires_in": 60 });
            body[secret] = json!(LIVE);
            words.iter().for_each(|name| body[*name] = json!(format!("it is {LIVE}")));
            peer.server.handle(move |_| Some(Script::json(status, body.clone())));
            for text in said(&peer).await {
                assert!(!text.contains(LIVE), "{secret} in {words:?}: {text}");
                told += usize::from(text.contains("it is (a secret)"));
            }
        }
    }
    assert!(told > 100, "{told}");
}
