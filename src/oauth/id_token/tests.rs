//! The negative tests of the OpenID conformance suites (FAPI-CIBA and RP Basic), against keys made here.

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::*;
use crate::{
    clock::ManualClock,
    oauth::testing::{Script, Server, serve},
};

const CLIENT: &str = "cli";
const SUB: &str = "auth0|ada";

struct Key {
    private: EncodingKey,
    alg: Algorithm,
    public: Value,
}

fn key(alg: Algorithm, kid: Option<&str>) -> Key {
    let random = aws_lc_rs::rand::SystemRandom::new();
    let private = match alg {
        Algorithm::ES256 => {
            let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            EncodingKey::from_ec_der(der.as_ref())
        }
        Algorithm::EdDSA => EncodingKey::from_ed_der(Ed25519KeyPair::generate_pkcs8v1(&random).unwrap().as_ref()),
        _ => {
            let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
                KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
            let pem =
                format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
            EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
        }
    };
    let mut public = serde_json::to_value(Jwk::from_encoding_key(&private, alg).unwrap()).unwrap();
    if let Some(kid) = kid {
        public["kid"] = json!(kid);
    }
    Key { private, alg, public }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn claims(server: &Server) -> Value {
    let now = now().timestamp();
    json!({"iss": server.issuer(), "sub": SUB, "aud": CLIENT, "iat": now, "exp": now + 300, "acr": "2", "amr": ["push"]})
}

fn sign(key: &Key, kid: Option<&str>, claims: &Value) -> IdToken {
    let mut header = Header::new(key.alg);
    header.kid = kid.map(str::to_owned);
    IdToken::new(jsonwebtoken::encode(&header, claims, &key.private).unwrap())
}

fn publish(server: &Server, keys: &[&Key]) {
    let keys: Vec<&Value> = keys.iter().map(|key| &key.public).collect();
    server.answer("/jwks", Script::json(200, json!({"keys": keys})));
}

fn verifier(server: &Server) -> Verifier {
    let jwks_uri = Url::parse(&format!("{}/jwks", server.issuer())).unwrap();
    let clock = Arc::new(ManualClock::new(now()));
    Verifier { http: Http::default(), clock, issuer: server.issuer(), jwks_uri, keys: Mutex::default() }
}

fn approval() -> Expected<'static> {
    Expected {
        client_id: CLIENT,
        subject: Some(SUB),
        not_before: Some(now() - chrono::Duration::seconds(10)),
        access_token: None,
        auth_req_id: None,
    }
}

async fn flaw(verifier: &Verifier, token: &IdToken, expected: &Expected<'_>) -> Option<Flaw> {
    match verifier.verify_approval(Some(token), expected, now()).await {
        Ok(_) => None,
        Err(Error::IdToken(flaw)) => Some(flaw),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_accepted_algorithm() {
    for alg in ALGORITHMS {
        let server = serve().await;
        let key = key(alg, Some("k1"));
        publish(&server, &[&key]);
        let token = sign(&key, Some("k1"), &claims(&server));
        let found = verifier(&server).verify_approval(Some(&token), &approval(), now()).await.unwrap();
        assert_eq!(
            (found.sub.as_str(), found.kid.as_deref(), found.alg.as_str()),
            (SUB, Some("k1"), &*format!("{alg:?}"))
        );
        assert_eq!((found.acr.as_deref(), found.amr), (Some("2"), vec!["push".to_owned()]));
    }
}

#[tokio::test]
async fn every_wrong_claim() {
    type Change = fn(&mut Value);
    let cases: [(&str, Option<Flaw>, Change); 29] = [
        ("aud as an array of one", None, |c| c["aud"] = json!([CLIENT])),
        ("azp is the client", None, |c| c["azp"] = json!(CLIENT)),
        ("times with fractions", None, |c| c["iat"] = json!(1_800_000_000.5)),
        ("expired within the clocks' difference", None, |c| c["exp"] = json!(1_800_000_000 - 20)),
        ("e-mail verified as text", None, |c| c["email_verified"] = json!("true")),
        ("other issuer", Some(Flaw::Issuer), |c| c["iss"] = json!("https://other.example")),
        ("issuer with a slash more", Some(Flaw::Issuer), |c| {
            c["iss"] = json!(format!("{}/", c["iss"].as_str().unwrap()))
        }),
        ("no issuer", Some(Flaw::Malformed), |c| drop(c.as_object_mut().unwrap().remove("iss"))),
        ("other audience", Some(Flaw::Audience), |c| c["aud"] = json!("other")),
        ("secondary audience", Some(Flaw::Audience), |c| c["aud"] = json!([CLIENT, "other"])),
        ("no audience", Some(Flaw::Malformed), |c| drop(c.as_object_mut().unwrap().remove("aud"))),
        ("empty audience", Some(Flaw::Audience), |c| c["aud"] = json!([])),
        ("azp is another client", Some(Flaw::Audience), |c| c["azp"] = json!("other")),
        ("other subject", Some(Flaw::Subject), |c| c["sub"] = json!("auth0|mallory")),
        ("no subject", Some(Flaw::Malformed), |c| drop(c.as_object_mut().unwrap().remove("sub"))),
        ("empty subject", Some(Flaw::Subject), |c| c["sub"] = json!("")),
        ("subject is a number", Some(Flaw::Malformed), |c| c["sub"] = json!(1)),
        ("expired", Some(Flaw::Expired), |c| c["exp"] = json!(1_800_000_000 - 31)),
        ("no exp", Some(Flaw::Malformed), |c| drop(c.as_object_mut().unwrap().remove("exp"))),
        ("exp as text", Some(Flaw::Malformed), |c| c["exp"] = json!("1900000000")),
        ("no iat", Some(Flaw::Malformed), |c| drop(c.as_object_mut().unwrap().remove("iat"))),
        ("iat before the request", Some(Flaw::Old), |c| c["iat"] = json!(1_800_000_000 - 41)),
        ("iat a week in the past", Some(Flaw::Old), |c| c["iat"] = json!(1_800_000_000 - 7 * 86_400)),
        ("iat in the future", Some(Flaw::Future), |c| c["iat"] = json!(1_800_000_000 + 31)),
        ("nbf in the future", Some(Flaw::Future), |c| c["nbf"] = json!(1_800_000_000 + 31)),
        ("at_hash of another token", Some(Flaw::OtherAnswer), |c| c["at_hash"] = json!("AAAA")),
        ("the right at_hash", None, |c| c["at_hash"] = json!(half_hash("ES256", &AccessToken::new("at")))),
        ("answer to another request", Some(Flaw::OtherAnswer), |c| {
            c["urn:openid:params:jwt:claim:auth_req_id"] = json!("other");
        }),
        ("answer to this request", None, |c| c["urn:openid:params:jwt:claim:auth_req_id"] = json!("req")),
    ];
    let server = serve().await;
    let key = key(Algorithm::ES256, Some("k1"));
    publish(&server, &[&key]);
    let verifier = verifier(&server);
    let (access_token, auth_req_id) = (AccessToken::new("at"), AuthReqId::new("req"));
    let expected = Expected { access_token: Some(&access_token), auth_req_id: Some(&auth_req_id), ..approval() };
    for (name, expected_flaw, change) in cases {
        let mut claims = claims(&server);
        change(&mut claims);
        assert_eq!(flaw(&verifier, &sign(&key, Some("k1"), &claims), &expected).await, expected_flaw, "{name}");
    }
    assert_eq!(server.seen("/jwks").len(), 1, "the keys are fetched once");
}

#[tokio::test]
async fn every_wrong_signature() {
    let server = serve().await;
    let (good, stranger) = (key(Algorithm::ES256, Some("k1")), key(Algorithm::ES256, Some("k1")));
    let rsa = key(Algorithm::RS256, Some("r1"));
    publish(&server, &[&good, &rsa]);
    let verifier = verifier(&server);
    let claims = claims(&server);
    let check = async |token: String| flaw(&verifier, &IdToken::new(token), &approval()).await;

    assert_eq!(flaw(&verifier, &sign(&stranger, Some("k1"), &claims), &approval()).await, Some(Flaw::Signature));
    let token = sign(&good, Some("k1"), &claims);
    let parts: Vec<&str> = token.expose().split('.').collect();
    let mut forged = claims.clone();
    forged["name"] = json!("Mallory");
    let forged = URL_SAFE_NO_PAD.encode(forged.to_string());
    assert_eq!(check(format!("{}.{forged}.{}", parts[0], parts[2])).await, Some(Flaw::Signature));
    assert_eq!(check(format!("{}.{}.", parts[0], parts[1])).await, Some(Flaw::Signature));

    let none = |alg: &str| URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": "k1"}).to_string());
    for alg in ["none", "None", "NONE", "RS1"] {
        assert_eq!(check(format!("{}.{}.", none(alg), parts[1])).await, Some(Flaw::Algorithm), "{alg}");
    }
    // The public key as an HMAC key: the classic confusion.
    let secret = EncodingKey::from_secret(rsa.public["n"].as_str().unwrap().as_bytes());
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("r1".to_owned());
    let hmac = jsonwebtoken::encode(&header, &claims, &secret).unwrap();
    assert_eq!(check(hmac).await, Some(Flaw::Algorithm));
    // A signature of another kind than the key is published for.
    let alternate = Key { private: rsa.private.clone(), alg: Algorithm::PS256, public: Value::Null };
    assert_eq!(flaw(&verifier, &sign(&alternate, Some("r1"), &claims), &approval()).await, Some(Flaw::UnknownKey));
    for junk in ["", "a.b.c", "not a token", "....", &"x".repeat(100_000)] {
        assert_eq!(check(junk.to_owned()).await, Some(Flaw::Malformed));
    }
    let missing = verifier.verify_approval(None, &approval(), now()).await.unwrap_err();
    assert!(matches!(missing, Error::IdToken(Flaw::Missing)));
}

/// RFC 7515 §4.1.11: whoever does not understand what `crit` names must not accept the signature.
#[tokio::test]
async fn a_header_that_asks_for_more_is_refused() {
    let server = serve().await;
    let key = key(Algorithm::ES256, Some("k1"));
    publish(&server, &[&key]);
    let verifier = verifier(&server);
    for (header, expected) in [
        (json!({}), None),
        (json!({"new": 1, "b64": true}), None),
        (json!({"crit": ["exp2"], "exp2": 1}), Some(Flaw::Header)),
        (json!({"crit": []}), Some(Flaw::Header)),
        (json!({"crit": null}), Some(Flaw::Header)),
        (json!({"b64": false, "crit": ["b64"]}), Some(Flaw::Header)),
        (json!({"b64": false}), Some(Flaw::Header)),
        (json!({"zip": "DEF"}), Some(Flaw::Header)),
    ] {
        let mut whole = json!({"alg": "ES256", "kid": "k1"});
        whole.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&whole), encode(&claims(&server)));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key.private, key.alg).unwrap();
        let token = IdToken::new(format!("{message}.{signature}"));
        assert_eq!(flaw(&verifier, &token, &approval()).await, expected, "{header}");
    }
}

#[tokio::test]
async fn keys_that_come_late_are_waited_for() {
    let server = serve().await;
    let key = key(Algorithm::ES256, Some("k1"));
    let token = sign(&key, Some("k1"), &claims(&server));
    let good = Script::json(200, json!({"keys": [key.public]}));
    server.answers("/jwks", [Script::text(503, "busy"), Script::text(200, "<html>"), good]);
    assert_eq!(flaw(&verifier(&server), &token, &approval()).await, None);
    assert_eq!(server.seen("/jwks").len(), 3);
}

#[tokio::test]
async fn keys_without_a_name() {
    let server = serve().await;
    let (one, other) = (key(Algorithm::ES256, None), key(Algorithm::ES256, None));
    let rsa = key(Algorithm::RS256, None);
    let token = sign(&one, None, &claims(&server));
    publish(&server, &[&one]);
    assert_eq!(flaw(&verifier(&server), &token, &approval()).await, None);
    publish(&server, &[&rsa, &one]);
    assert_eq!(flaw(&verifier(&server), &token, &approval()).await, None, "the other one cannot be meant");
    publish(&server, &[&other, &one]);
    assert_eq!(flaw(&verifier(&server), &token, &approval()).await, Some(Flaw::UnknownKey));
    // Keys for something else, and of kinds nobody knows, are no candidates.
    let mut encryption = other.public.clone();
    encryption["use"] = json!("enc");
    let strange = json!({"kty": "XYZ", "alg": "ABC", "foo": 1});
    server.answer("/jwks", Script::json(200, json!({"keys": [encryption, strange, one.public]})));
    assert_eq!(flaw(&verifier(&server), &token, &approval()).await, None);
}

#[tokio::test]
async fn a_rotated_key_is_fetched_once() {
    let server = serve().await;
    let (old, new) = (key(Algorithm::ES256, Some("old")), key(Algorithm::ES256, Some("new")));
    publish(&server, &[&old]);
    let verifier = verifier(&server);
    let claims = claims(&server);
    assert_eq!(flaw(&verifier, &sign(&old, Some("old"), &claims), &approval()).await, None);
    publish(&server, &[&old, &new]);
    assert_eq!(flaw(&verifier, &sign(&new, Some("new"), &claims), &approval()).await, None);
    assert_eq!(server.seen("/jwks").len(), 2);
    assert_eq!(flaw(&verifier, &sign(&new, Some("never"), &claims), &approval()).await, Some(Flaw::UnknownKey));
    assert_eq!(server.seen("/jwks").len(), 3);
}

#[tokio::test]
async fn a_key_of_an_unknown_kind_does_not_spoil_the_others() {
    let server = serve().await;
    let good = key(Algorithm::ES256, Some("a"));
    let strange = json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "b", "pub": "x"});
    let montgomery = json!({"kty": "OKP", "crv": "X25519", "kid": "c", "x": "x", "use": "enc"});
    server.answer("/jwks", Script::json(200, json!({"keys": [strange, montgomery, good.public]})));
    let token = sign(&good, Some("a"), &claims(&server));
    verifier(&server).verify_approval(Some(&token), &approval(), now()).await.unwrap();
    let token = sign(&good, Some("b"), &claims(&server));
    let error = verifier(&server).verify_approval(Some(&token), &approval(), now()).await.unwrap_err();
    assert!(matches!(error, Error::IdToken(Flaw::UnknownKey)), "{error}");
}

#[tokio::test]
async fn without_the_keys_nothing_is_proven() {
    let server = serve().await;
    let key = key(Algorithm::ES256, Some("k1"));
    let token = sign(&key, Some("k1"), &claims(&server));
    for answer in [Script::text(502, "<html>"), Script::text(200, "<html>"), Script::json(404, json!({"keys": []}))] {
        server.answer("/jwks", answer);
        let error = verifier(&server).verify_approval(Some(&token), &approval(), now()).await.unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_approval_needs_a_person_and_a_time() {
    let server = serve().await;
    let key = key(Algorithm::ES256, Some("k1"));
    publish(&server, &[&key]);
    let token = sign(&key, Some("k1"), &claims(&server));
    let verifier = verifier(&server);
    for expected in [Expected { subject: None, ..approval() }, Expected { not_before: None, ..approval() }] {
        assert!(verifier.verify_approval(Some(&token), &expected, now()).await.is_err());
        assert!(verifier.verify_login(Some(&token), &expected, now()).await.is_ok());
    }
}

#[tokio::test]
async fn the_claims_of_a_refresh_can_be_read() {
    let server = serve().await;
    let key = key(Algorithm::ES256, Some("k1"));
    let found = unverified_claims(&sign(&key, Some("k1"), &claims(&server))).unwrap();
    assert_eq!(found.sub, SUB);
    assert_eq!(unverified_claims(&IdToken::new("a.b.c")).unwrap_err(), Flaw::Malformed);
}
