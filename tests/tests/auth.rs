//! Tokens, good and hostile, against the real verifier and a key set held in memory or served on loopback.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use batch_core::auth::{Credential, FetchFailed, FetchFuture, Jwks, Refused, Settings, Verifier};
use batch_core::runtime::Timestamp;
use serde_json::{Value, json};

const NOW_S: u64 = 1_800_000_000;
const NOW: Timestamp = Timestamp(1_800_000_000_000);
const MINUTE_MS: i64 = 60_000;

struct Keys {
    es: EcdsaKeyPair,
    rsa: RsaKeyPair,
    ed: Ed25519KeyPair,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    es: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
    rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    ed: Ed25519KeyPair::generate().unwrap(),
});

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn es_jwk(kid: &str) -> Value {
    let point = KEYS.es.public_key().as_ref();
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": base64url(&point[1..33]), "y": base64url(&point[33..])})
}

fn rsa_jwk(kid: &str) -> Value {
    let public: RsaPublicKeyComponents<Vec<u8>> = KEYS.rsa.public_key().into();
    json!({"kty": "RSA", "kid": kid, "n": base64url(&public.n), "e": base64url(&public.e)})
}

fn ed_jwk(kid: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64url(KEYS.ed.public_key())})
}

fn with(mut object: Value, name: &str, value: impl Into<Value>) -> Value {
    object[name] = value.into();
    object
}

fn key_set() -> Value {
    let secret = base64url([7; 32]);
    json!({"keys": [
        // What a reader of key sets has to step over.
        "not a key", {"kty": "XYZ", "kid": "new kind"}, {"kty": "RSA", "kid": "incomplete"}, es_jwk("")["x"],
        {"kty": "oct", "kid": "symmetric", "k": secret, "alg": "HS256"},
        with(es_jwk("es"), "iat", 1_700_000_000), with(rsa_jwk("rsa"), "alg", "RS256"), with(ed_jwk("ed"), "use", "sig"),
        with(es_jwk("for encryption"), "use", "enc"),
        with(es_jwk("for encryption too"), "key_ops", json!(["encrypt"])),
        with(es_jwk("for verification"), "key_ops", json!(["verify"])),
        with(es_jwk("mislabelled"), "alg", "RS256"),
        with(rsa_jwk("for pss"), "alg", "PS256"),
        with(es_jwk("other curve"), "crv", "P-384"),
        with(es_jwk("off the curve"), "y", base64url([1; 32])),
    ]})
}

fn verifier(key_set: &Value) -> Verifier {
    let body = key_set.to_string().into_bytes();
    let fetch = move || -> FetchFuture { Box::pin(std::future::ready(Ok(body.clone()))) };
    Verifier::new(Settings::new("https://issuer.test", "batches"), Jwks::from_fetch(Box::new(fetch)))
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.test", "aud": "batches", "sub": "ann", "tenant": "acme", "exp": NOW_S + 300,
        "roles": ["editor"], "creators": ["c1", "c2"],
    })
}

fn header(alg: &str, kid: &str) -> Value {
    json!({"alg": alg, "kid": kid, "typ": "JWT"})
}

fn es_signature(message: &str) -> Vec<u8> {
    KEYS.es.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
}

fn rsa_signature(message: &str) -> Vec<u8> {
    let der = AsDer::<Pkcs8V1Der<'static>>::as_der(&KEYS.rsa).unwrap();
    let pair = RsaKeyPair::from_pkcs8(der.as_ref()).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    signature
}

fn ed_signature(message: &str) -> Vec<u8> {
    KEYS.ed.sign(message.as_bytes()).as_ref().to_vec()
}

fn hmac_signature(secret: &[u8], message: &str) -> Vec<u8> {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    aws_lc_rs::hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
}

fn token(header: &str, payload: &str, sign: impl FnOnce(&str) -> Vec<u8>) -> String {
    let message = format!("{}.{}", base64url(header), base64url(payload));
    let signature = base64url(sign(&message));
    format!("{message}.{signature}")
}

fn es_token(claims: &Value) -> String {
    token(&header("ES256", "es").to_string(), &claims.to_string(), es_signature)
}

/// The reason why `token` is refused.
async fn refusal(token: &str) -> &'static str {
    match verifier(&key_set()).verify(token, NOW).await.unwrap_err() {
        Refused::InvalidCredential(reason) | Refused::Unavailable(reason) => reason,
    }
}

#[tokio::test]
async fn each_accepted_algorithm_makes_a_caller() {
    type Sign = fn(&str) -> Vec<u8>;
    let cases: [(&str, &str, Sign); 4] = [
        ("ES256", "es", es_signature),
        ("ES256", "for verification", es_signature),
        ("RS256", "rsa", rsa_signature),
        ("EdDSA", "ed", ed_signature),
    ];
    for (alg, kid, sign) in cases {
        let token = token(&header(alg, kid).to_string(), &claims().to_string(), sign);
        let caller = verifier(&key_set()).verify(&token, NOW).await.unwrap();
        assert_eq!((caller.tenant().as_str(), caller.subject()), ("acme", "ann"));
        assert_eq!(caller.has_claim_list("creators"), ["c1", "c2"]);
        assert!(caller.roles().iter().eq(["editor"]) && !caller.is_admin());
        assert!(!caller.claims().contains_key("exp") && !caller.claims().contains_key("aud"));
    }
}

#[tokio::test]
async fn tokens_made_by_the_common_library_are_accepted() {
    let pkcs8 = KEYS.es.to_pkcs8v1().unwrap();
    let key = jsonwebtoken::EncodingKey::from_ec_der(pkcs8.as_ref());
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
    header.kid = Some("es".to_owned());
    let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
    assert_eq!(verifier(&key_set()).verify(&token, NOW).await.unwrap().subject(), "ann");
}

#[tokio::test]
async fn claims_may_take_every_standard_form() {
    let exp = NOW_S + 300;
    let forms = [
        with(claims(), "aud", json!(["others", "batches"])),
        with(claims(), "roles", "editor"),
        with(claims(), "nbf", NOW_S + 29),
        with(claims(), "exp", NOW_S - 29),
        with(claims(), "exp", serde_json::from_str::<Value>(&format!("{exp}.5")).unwrap()),
        with(claims(), "exp", serde_json::from_str::<Value>("1.9e9").unwrap()),
        with(claims(), "nbf", serde_json::from_str::<Value>("1.7e9").unwrap()),
        with(claims(), "limit", serde_json::from_str::<Value>("12345678901234567890.5").unwrap()),
    ];
    for form in forms {
        let outcome = verifier(&key_set()).verify(&es_token(&form), NOW).await;
        assert_eq!(outcome.unwrap().roles().len(), 1, "{form}");
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "jwt"] {
        let header = with(header("ES256", "es"), "typ", typ).to_string();
        assert!(verifier(&key_set()).verify(&token(&header, &claims().to_string(), es_signature), NOW).await.is_ok());
    }
    let mut bare = claims();
    bare.as_object_mut().unwrap().remove("roles");
    assert!(verifier(&key_set()).verify(&es_token(&bare), NOW).await.unwrap().roles().is_empty());
}

#[tokio::test]
async fn claims_that_are_missing_or_wrong_are_refused() {
    let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let cases = [
        ("exp", json!(NOW_S - 30), "expired"),
        ("exp", number("1.7e9"), "expired"),
        ("exp", json!(0), "expired"),
        ("exp", json!("1900000000"), "no usable expiry"),
        ("exp", json!(-1), "no usable expiry"),
        ("exp", number("1e30"), "no usable expiry"),
        ("exp", number("1e400"), "not a signed token"),
        ("limit", number("1e400"), "not a signed token"),
        ("deep", number(&format!("{}{}", "[".repeat(40), "]".repeat(40))), "not a signed token"),
        ("nbf", json!(NOW_S + 31), "not valid yet"),
        ("nbf", number("1.9e9"), "not valid yet"),
        ("nbf", json!("0"), "not-before is no time"),
        ("nbf", Value::Null, "not-before is no time"),
        ("aud", json!("other"), "another audience"),
        ("aud", json!("batches2"), "another audience"),
        ("aud", json!([]), "another audience"),
        ("aud", json!(["other", ["batches"]]), "another audience"),
        ("aud", json!({"batches": true}), "another audience"),
        ("iss", json!("https://issuer.test/"), "another issuer"),
        ("iss", json!("https://ISSUER.test"), "another issuer"),
        ("iss", json!(["https://issuer.test"]), "another issuer"),
        ("sub", json!(""), "no usable subject"),
        ("sub", json!(7), "no usable subject"),
        ("sub", json!("ann\u{0}"), "no usable subject"),
        ("sub", json!("ann#bob"), "no usable subject"),
        ("sub", json!("s".repeat(257)), "no usable subject"),
        ("tenant", json!("acme#B#1"), "no usable tenant"),
        ("tenant", json!(""), "no usable tenant"),
        ("tenant", json!(["acme"]), "no usable tenant"),
        ("tenant", json!("\u{430}cme"), "no usable tenant"),
        ("tenant", json!("acme\u{200b}"), "no usable tenant"),
        ("roles", json!({"admin": true}), "roles are not a list of names"),
        ("roles", json!(["editor", 1]), "roles are not a list of names"),
        ("roles", Value::Null, "roles are not a list of names"),
    ];
    for (name, value, reason) in cases {
        assert_eq!(refusal(&es_token(&with(claims(), name, value.clone()))).await, reason, "{name}: {value}");
    }
    for (name, reason) in [
        ("exp", "no usable expiry"),
        ("aud", "another audience"),
        ("iss", "another issuer"),
        ("sub", "no usable subject"),
        ("tenant", "no usable tenant"),
    ] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(refusal(&es_token(&claims)).await, reason, "no {name}");
    }
}

#[tokio::test]
async fn headers_that_choose_their_own_rules_are_refused() {
    let payload = claims().to_string();
    let algorithm = "an algorithm that is not accepted";
    for alg in ["none", "None", "nOnE", "", "HS256", "HS512", "ES384", "RS384", "PS256", "es256", "ES256K"] {
        let header = header(alg, "es").to_string();
        assert_eq!(refusal(&token(&header, &payload, es_signature)).await, algorithm, "{alg}");
        assert_eq!(refusal(&token(&header, &payload, |_| Vec::new())).await, algorithm, "{alg}");
    }
    // The classic confusion: the public key, in each form an attacker has it, as the secret of an HMAC.
    let point = KEYS.es.public_key().as_ref();
    for secret in [point, rsa_jwk("rsa")["n"].as_str().unwrap().as_bytes(), &[7; 32]] {
        for kid in ["es", "rsa", "symmetric"] {
            let header = header("HS256", kid).to_string();
            let forged = token(&header, &payload, |message| hmac_signature(secret, message));
            assert_eq!(refusal(&forged).await, algorithm);
        }
    }
    let own = es_jwk("own");
    let cases = [
        (with(header("ES256", "es"), "crit", json!(["exp"])), "critical header fields"),
        (with(header("ES256", "es"), "crit", json!([])), "critical header fields"),
        (with(header("ES256", "es"), "typ", "logout+jwt"), "a token of another type"),
        (with(header("ES256", "es"), "typ", 1), "a token of another type"),
        (with(header("ES256", "es"), "alg", json!(["ES256"])), algorithm),
        (with(header("ES256", "es"), "kid", 1), "no kid"),
        (json!({"alg": "ES256"}), "no kid"),
        (json!({"alg": "ES256", "jwk": own}), "no kid"),
        (
            json!({"alg": "ES256", "kid": "own", "jwk": own, "jku": "https://own.test"}),
            "the issuer has no usable key of this kid",
        ),
        (header("ES256", "rsa"), "the key is for another algorithm"),
        (header("RS256", "es"), "the key is for another algorithm"),
        (header("EdDSA", "es"), "the key is for another algorithm"),
        (header("ES256", "off the curve"), "the signature does not verify"),
    ];
    for (header, reason) in cases {
        assert_eq!(refusal(&token(&header.to_string(), &payload, es_signature)).await, reason, "{header}");
    }
}

#[tokio::test]
async fn keys_for_other_purposes_verify_nothing() {
    let kids = [
        "symmetric",
        "for encryption",
        "for encryption too",
        "mislabelled",
        "other curve",
        "incomplete",
        "new kind",
        "",
        "../es",
        "ES",
        "es\u{0}",
        "' OR 1=1",
    ];
    for kid in kids {
        let token = token(&header("ES256", kid).to_string(), &claims().to_string(), es_signature);
        assert_eq!(refusal(&token).await, "the issuer has no usable key of this kid", "{kid}");
    }
    let pss = token(&header("RS256", "for pss").to_string(), &claims().to_string(), rsa_signature);
    assert_eq!(refusal(&pss).await, "the issuer has no usable key of this kid");
}

#[tokio::test]
async fn texts_that_are_no_token_are_refused() {
    let good = es_token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let not_json = base64url("{\"alg\":");
    let cases = [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "\u{e9}.\u{e9}.\u{e9}".into(),
        "a.b.c".into(),
        format!("{head}.{body}"),
        format!("{good}.{signature}"),
        format!("{head}.{head}.{body}.{head}.{signature}"),
        format!("{head}=.{body}.{signature}"),
        format!(" {good}"),
        format!("{not_json}.{body}.{signature}"),
        format!("{}.{body}.{signature}", base64url("[1]")),
        format!("{}.{body}.{signature}", base64url([0xff; 9])),
        format!("{}.{body}.{signature}", base64url("[".repeat(4000))),
        // Readers differ on which of two counts.
        token(r#"{"alg":"none","alg":"ES256","kid":"es"}"#, &claims().to_string(), es_signature),
        token(
            &header("ES256", "es").to_string(),
            &claims().to_string().replacen('{', r#"{"tenant":"evil","#, 1),
            es_signature,
        ),
        token(&header("ES256", "es").to_string(), "null", es_signature),
        token(&header("ES256", "es").to_string(), "{}{}", es_signature),
    ];
    for text in cases {
        assert_eq!(refusal(&text).await, "not a signed token", "{text}");
    }
    assert_eq!(refusal(&format!("{head}.{body}.")).await, "the signature does not verify");
    assert_eq!(refusal(&format!("{good}{}", "A".repeat(8192))).await, "the token is too long");
    let huge = es_token(&with(claims(), "note", "n".repeat(8192)));
    assert_eq!(refusal(&huge).await, "the token is too long");
}

#[tokio::test]
async fn no_character_of_a_token_can_be_changed() {
    let good = es_token(&claims());
    let verifier = verifier(&key_set());
    assert!(verifier.verify(&good, NOW).await.is_ok());
    for (position, old) in good.char_indices() {
        for new in ['A', 'g', '_'] {
            let changed = format!("{}{new}{}", &good[..position], &good[position + 1..]);
            assert!(new == old || verifier.verify(&changed, NOW).await.is_err(), "{changed}");
        }
    }
}

/// An issuer that counts its calls, and can be down or change its keys.
#[derive(Default)]
struct Issuer {
    calls: AtomicUsize,
    down: AtomicBool,
    rotated: AtomicBool,
}

impl Issuer {
    fn verifier(self: &Arc<Self>) -> Verifier {
        let issuer = Arc::clone(self);
        let fetch = move || -> FetchFuture {
            let issuer = Arc::clone(&issuer);
            Box::pin(async move {
                issuer.calls.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                if issuer.down.load(Ordering::Relaxed) {
                    return Err(FetchFailed("down".to_owned()));
                }
                let kid = if issuer.rotated.load(Ordering::Relaxed) { "new" } else { "es" };
                Ok(json!({"keys": [es_jwk(kid)]}).to_string().into_bytes())
            })
        };
        Verifier::new(Settings::new("https://issuer.test", "batches"), Jwks::from_fetch(Box::new(fetch)))
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

fn lasting_token(kid: &str) -> String {
    let claims = with(claims(), "exp", NOW_S + 100_000);
    token(&header("ES256", kid).to_string(), &claims.to_string(), es_signature)
}

#[tokio::test]
async fn unknown_kids_cost_the_issuer_one_call_a_minute() {
    let issuer = Arc::new(Issuer::default());
    let verifier = issuer.verifier();
    for step in 0..30 {
        let made_up = lasting_token(&format!("made up {step}"));
        let refused = verifier.verify(&made_up, NOW.plus_ms(step * 4000)).await.unwrap_err();
        assert!(matches!(refused, Refused::InvalidCredential(_)));
        assert!(verifier.verify(&lasting_token("es"), NOW.plus_ms(step * 4000)).await.is_ok());
    }
    assert_eq!(issuer.calls(), 2);
}

#[tokio::test]
async fn a_new_key_is_found_and_a_withdrawn_one_forgotten() {
    let issuer = Arc::new(Issuer::default());
    let verifier = issuer.verifier();
    assert!(verifier.verify(&lasting_token("es"), NOW).await.is_ok());
    issuer.rotated.store(true, Ordering::Relaxed);
    assert!(verifier.verify(&lasting_token("es"), NOW.plus_ms(9 * MINUTE_MS)).await.is_ok());
    assert!(verifier.verify(&lasting_token("es"), NOW.plus_ms(10 * MINUTE_MS)).await.is_err());
    assert!(verifier.verify(&lasting_token("new"), NOW.plus_ms(10 * MINUTE_MS)).await.is_ok());
    assert_eq!(issuer.calls(), 2);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_outlasted_for_an_hour() {
    let issuer = Arc::new(Issuer::default());
    let verifier = issuer.verifier();
    assert!(verifier.verify(&lasting_token("es"), NOW).await.is_ok());
    issuer.down.store(true, Ordering::Relaxed);
    assert!(verifier.verify(&lasting_token("es"), NOW.plus_ms(59 * MINUTE_MS)).await.is_ok());
    let unknown = verifier.verify(&lasting_token("new"), NOW.plus_ms(59 * MINUTE_MS)).await;
    assert!(matches!(unknown, Err(Refused::Unavailable(_))));
    let too_old = verifier.verify(&lasting_token("es"), NOW.plus_ms(60 * MINUTE_MS)).await;
    assert!(matches!(too_old, Err(Refused::Unavailable(_))));
    issuer.down.store(false, Ordering::Relaxed);
    assert!(verifier.verify(&lasting_token("es"), NOW.plus_ms(61 * MINUTE_MS)).await.is_ok());
}

#[tokio::test]
async fn without_any_key_the_issuer_is_asked_every_five_seconds() {
    let issuer = Arc::new(Issuer::default());
    issuer.down.store(true, Ordering::Relaxed);
    let verifier = issuer.verifier();
    for second in 0..10 {
        let refused = verifier.verify(&lasting_token("es"), NOW.plus_ms(second * 1000)).await;
        assert!(matches!(refused, Err(Refused::Unavailable(_))));
    }
    assert_eq!(issuer.calls(), 2);
    issuer.down.store(false, Ordering::Relaxed);
    assert!(verifier.verify(&lasting_token("es"), NOW.plus_ms(10_000)).await.is_ok());
}

#[tokio::test]
async fn concurrent_calls_share_one_fetch() {
    let issuer = Arc::new(Issuer::default());
    let verifier = Arc::new(issuer.verifier());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let verifier = Arc::clone(&verifier);
        calls.spawn(async move { verifier.verify(&lasting_token("es"), NOW).await.is_ok() });
    }
    assert_eq!(calls.join_all().await, [true; 20]);
    assert_eq!(issuer.calls(), 1);
}

/// Verifies a token whose key set is what a loopback server answers to each request.
async fn verify_over_http(answer: Vec<u8>) -> Result<(), Refused> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or_default();
            if request[..read].starts_with(b"GET /elsewhere") {
                let _ = stream.write_all(&http("200 OK", &key_set().to_string()));
                continue;
            }
            if answer.is_empty() {
                // Says nothing until the client has gone.
                let _ = stream.read(&mut request);
            }
            let _ = stream.write_all(&answer);
        }
    });
    let jwks = Jwks::new(&url).unwrap();
    let verifier = Verifier::new(Settings::new("https://issuer.test", "batches"), jwks);
    verifier.verify(&es_token(&claims()), NOW).await.map(drop)
}

fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn the_key_set_is_read_over_http() {
    assert_eq!(verify_over_http(http("200 OK", &key_set().to_string())).await, Ok(()));
}

#[tokio::test]
async fn a_bad_answer_of_the_issuer_is_as_none() {
    let set = key_set().to_string();
    let answers = [
        http("500 Internal Server Error", &set),
        http("204 No Content", ""),
        http("200 OK", "<html>"),
        http("200 OK", &format!("{set}{}", " ".repeat(256 * 1024))),
        http("302 Found\r\nlocation: /elsewhere", &set),
        b"garbage".to_vec(),
        Vec::new(),
    ];
    for answer in answers {
        assert!(matches!(verify_over_http(answer).await, Err(Refused::Unavailable(_))));
    }
}

#[test]
fn key_sets_are_fetched_only_where_nobody_can_change_them() {
    for url in ["https://issuer.test/keys", "http://127.0.0.1:9000/keys", "http://localhost/keys", "http://[::1]:1/"] {
        assert!(Jwks::new(url).is_ok(), "{url}");
    }
    for url in [
        "",
        "keys",
        "http://issuer.test/keys",
        "file:///keys",
        "http://127.0.0.1.evil.test/",
        "http://localhost.evil.test/",
    ] {
        assert!(Jwks::new(url).is_err(), "{url}");
    }
}

#[tokio::test]
async fn nothing_of_a_token_is_shown() {
    let token = es_token(&with(claims(), "email", "canary@example.test"));
    let verifier = verifier(&key_set());
    let caller = verifier.verify(&token, NOW).await.unwrap();
    let refused = verifier.verify(&token, NOW.plus_ms(60 * MINUTE_MS)).await.unwrap_err();
    let credential = Credential::from_headers(Some(&format!("Bearer {token}")), None).unwrap();
    let shown = format!("{caller:?} {:?} {refused:?} {credential:?} {verifier:?}", caller.snapshot());
    for secret in ["canary", &token[..20], &token[token.len() - 20..], es_jwk("es")["x"].as_str().unwrap()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
