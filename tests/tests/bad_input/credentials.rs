//! Thousands of tokens, keys and references that nobody thought of.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use batch_core::auth::Fetch;
use batch_core::limits::{Limits, MAX_SUBSTITUTED_PER_OPERATION};
use batch_core::model::Model;
use batch_core::plan::reference::{Budget, Lookup, Outcome, collect, contains_reference, resolve, resolve_text};
use batch_local::keys::{AUDIENCE, ISSUER, Identity, Keys};
use batch_tests::World;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::random::{config, value};

/// A service whose issuer can be reached, and a token of that issuer.
async fn scene() -> (Client, String) {
    let keys = Keys::in_memory().unwrap();
    let set = keys.jwks().to_string().into_bytes();
    let fetch: Fetch = Box::new(move || {
        let set = set.clone();
        Box::pin(async move { Ok(set) })
    });
    let mut settings = batch_tests::config();
    if let Some(issuer) = &mut settings.issuer {
        (issuer.issuer, issuer.audience) = (ISSUER.into(), AUDIENCE.into());
    }
    let world = World::of(settings, Model::shipped().unwrap(), Limits::default(), (Some(fetch), 1)).await;
    let identity = Identity::new("t1", "mallory", ["clerk".to_owned()], Map::new()).unwrap();
    let token = keys.token(&identity, world.app.clock().now()).unwrap();
    (Client::of(world).await, token)
}

/// A part of a token: what it was, with or without a change, or something else.
fn part(good: &str) -> impl Strategy<Value = String> + use<> {
    let object: Map<String, Value> =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(good).unwrap_or_default()).unwrap_or_default();
    let names = ["alg", "kid", "typ", "crit", "jwk", "jku", "iss", "aud", "sub", "exp", "nbf", "tenant", "roles"];
    let words = ["none", "HS256", "ES256", "EdDSA", "RS256", "JWT", "at+jwt", "k1", "t1", "admin", "#", "1e400"];
    let words = prop_oneof![select(words.to_vec()).prop_map(Value::from), value()];
    let changed = (select(names.to_vec()), prop::option::of(words)).prop_map(move |(name, value)| {
        let mut object = object.clone();
        match value {
            Some(value) => drop(object.insert(name.to_owned(), value)),
            None => drop(object.shift_remove(name)),
        }
        URL_SAFE_NO_PAD.encode(Value::Object(object).to_string())
    });
    let (kept, cut) = (good.to_owned(), good.to_owned());
    prop_oneof![
        3 => Just(kept),
        3 => changed,
        1 => value().prop_map(|value| URL_SAFE_NO_PAD.encode(value.to_string())),
        1 => vec(any::<u8>(), 0..60).prop_map(|bytes| URL_SAFE_NO_PAD.encode(bytes)),
        1 => (any::<Index>(), any::<char>()).prop_map(move |(place, c)| {
            let mut text: Vec<char> = cut.chars().collect();
            if !text.is_empty() {
                let place = place.index(text.len());
                text[place] = c;
            }
            text.into_iter().collect()
        }),
        1 => any::<String>(),
    ]
}

#[test]
fn any_token_but_the_issuers_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (client, token) = runtime.block_on(scene());
    let parts: Vec<&str> = token.split('.').collect();
    let any = (part(parts[0]), part(parts[1]), part(parts[2]), vec(any::<String>(), 0..2), any::<bool>());
    let result = TestRunner::new(config(1_500)).run(&any, |(header, claims, signature, more, bearer)| {
        let sent = [vec![header, claims, signature], more].concat().join(".");
        let bytes: Vec<u8> = sent.bytes().filter(|byte| *byte >= 0x20 && *byte != 0x7f).collect();
        let held = if bearer { [b"Bearer ".as_slice(), &bytes].concat() } else { bytes.clone() };
        let name = if bearer { "authorization" } else { "x-api-key" };
        let answer = runtime.block_on(client.raw("GET", "/batches", &[(name, &held)], b""));
        let good = bytes == token.as_bytes() && bearer;
        prop_assert_eq!(answer.status, if good { 200 } else { 401 }, "{}: {:#}", sent, answer.body);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn any_api_key_but_a_stored_one_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let client = runtime.block_on(Client::new());
    let good = client.key.clone();
    let changed = (any::<Index>(), any::<u8>(), any::<bool>(), any::<bool>());
    let result = TestRunner::new(config(1_500)).run(&changed, |(place, byte, cut, long)| {
        let mut key = good.clone().into_bytes();
        let place = place.index(key.len());
        key[place] = byte;
        key.retain(|byte| *byte >= 0x20 && *byte != 0x7f);
        if cut {
            key.truncate(place);
        }
        if long {
            key = key.repeat(40);
        }
        let answer = runtime.block_on(client.raw("GET", "/batches", &[("x-api-key", &key)], b""));
        let same = key.trim_ascii() == good.as_bytes();
        prop_assert_eq!(answer.status, if same { 200 } else { 401 }, "{:?}: {:#}", key, answer.body);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// What operations came to: some data, a failure, nothing.
struct Came(Value);

impl Lookup for Came {
    fn outcome(&self, operation: &str) -> Outcome<'_> {
        match operation {
            "a" | "op_0" => Outcome::Data(&self.0),
            "b" => Outcome::Failed,
            _ => Outcome::Unknown,
        }
    }

    fn operations(&self) -> Vec<&str> {
        vec!["a", "op_0", "b"]
    }
}

#[test]
fn any_reference_is_replaced_or_refused_within_its_bounds() {
    let piece = || {
        let words = ["$ref:", "${ref:", "}", "$$", "a", "b", "op_0", ".", "[0]", "[-1]", "0", "x", "\u{0}", "é", "$"];
        prop_oneof![6 => select(words.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
    };
    let text = vec(piece(), 0..12).prop_map(|pieces| pieces.concat());
    let result = TestRunner::new(config(3_000)).run(&(text, value(), value()), |(text, around, data)| {
        let came = Came(json!([{ "x": data, "a": [around.clone(), "$ref:a.x"], "0": "y".repeat(2_000) }]));
        let sent = json!({ "value": around, "text": text, "more": [text.clone(), { "a": text.clone() }] });
        let mut budget = Budget::new(MAX_SUBSTITUTED_PER_OPERATION, MAX_SUBSTITUTED_PER_OPERATION);
        if let Ok(resolved) = resolve(&sent, &came, &mut budget) {
            let grown = resolved.to_string().len().saturating_sub(sent.to_string().len());
            prop_assert!(grown <= MAX_SUBSTITUTED_PER_OPERATION, "{} grew by {}", sent, grown);
            if !contains_reference(&sent) && !text.contains('$') && !sent.to_string().contains('$') {
                prop_assert_eq!(&resolved, &sent);
            }
        }
        budget.start_operation();
        drop(resolve_text(&text, &came, &mut budget));
        drop(collect(&sent));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
