//! The service with secrets in it, and everything it logs.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use batch_core::auth::Fetch;
use batch_core::config::{Aws, Config, Issuer};
use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_local::keys::{AUDIENCE, ISSUER, Keys};
use batch_tests::{Answer, Lines, World, config};

/// What no mark is without.
const MARK: &str = "qcanaryq";

/// Secrets, each with the place it was put into.
#[derive(Debug, Default)]
pub struct Marks {
    marks: Vec<String>,
    /// What has no mark in it.
    more: Vec<(String, String)>,
}

impl Marks {
    /// A new secret: letters and digits, so that it fits into anything.
    pub fn mark(&mut self, place: &str) -> String {
        self.marks.push(place.to_owned());
        format!("{MARK}{:05}x", self.marks.len() - 1)
    }

    /// A secret that is what it is.
    pub fn also(&mut self, place: &str, secret: &str) {
        assert!(secret.len() >= 8, "{place}: too short to be told from chance");
        self.more.push((secret.to_owned(), place.to_owned()));
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.marks.len() + self.more.len()
    }

    /// The places of the secrets that are in `text`, as they are or in base64.
    pub fn found(&self, text: &str) -> Vec<&str> {
        let number = |after: &str| after.get(..5).and_then(|digits| digits.parse::<usize>().ok());
        let marks = text.split(MARK).skip(1).map(|after| {
            number(after).and_then(|number| self.marks.get(number)).map_or("a part of a mark", String::as_str)
        });
        let more =
            self.more.iter().filter(|(secret, _)| text.contains(secret.as_str())).map(|(_, place)| place.as_str());
        let encoded = encoded().iter().filter(|mark| text.contains(mark.as_str())).map(|_| "a mark in base64");
        marks.chain(more).chain(encoded).collect()
    }
}

/// The mark in base64, without its ends: these depend on what is around it, and its place on what is before.
fn encoded() -> &'static [String; 3] {
    static ENCODED: LazyLock<[String; 3]> = LazyLock::new(|| {
        [0, 1, 2].map(|before| {
            let text = STANDARD.encode(format!("{}{MARK}", "\0".repeat(before)));
            let (from, to) = ((8 * before).div_ceil(6), 8 * (before + MARK.len()) / 6);
            text.get(from..to).expect("within").to_owned()
        })
    });
    &ENCODED
}

/// The service with secrets for settings, its log, and what is secret.
pub struct Scene {
    /// The service.
    pub world: World,
    /// Its issuer.
    pub keys: Keys,
    /// What is secret.
    pub marks: Marks,
    /// Its log.
    pub lines: Lines,
    _logging: tracing::subscriber::DefaultGuard,
}

impl Scene {
    /// With the issuer's keys from `jwks`, or from a place that does not answer and whose address is a secret.
    pub async fn new(reachable: bool) -> Self {
        let (lines, logging) = Lines::listen(tracing::Level::TRACE);
        let mut marks = Marks::default();
        let keys = Keys::in_memory().expect("keys");
        let jwks_url = format!(
            "http://{}:{}@127.0.0.1:9/{}?key={}",
            marks.mark("user of the key set's address"),
            marks.mark("password of the key set's address"),
            marks.mark("path of the key set's address"),
            marks.mark("query of the key set's address"),
        );
        let cursor_key = format!("{}{}", marks.mark("cursor key"), "k".repeat(32));
        let settings = Config {
            aws: Aws {
                access_key_id: marks.mark("AWS access key"),
                secret_access_key: marks.mark("AWS secret key").into(),
                session_token: Some(marks.mark("AWS session token").into()),
                ..config().aws
            },
            issuer: Some(Issuer { issuer: ISSUER.into(), audience: AUDIENCE.into(), jwks_url }),
            cursor_key: Some(cursor_key.into()),
            ..config()
        };
        let set = keys.jwks().to_string().into_bytes();
        let fetch: Fetch = Box::new(move || {
            let set = set.clone();
            Box::pin(async move { Ok(set) })
        });
        let model = Model::shipped().expect("the shipped model is right");
        let world = World::of(settings, model, Limits::default(), (reachable.then_some(fetch), 1)).await;
        Self { world, keys, marks, lines, _logging: logging }
    }

    /// Looks at an answer: one of our own failure tells nothing of the request.
    pub fn look(&self, answer: &Answer) {
        if answer.status >= 500 {
            let told = format!("{:?} {}", answer.headers, answer.body);
            assert_eq!(self.marks.found(&told), [""; 0], "{told}");
            assert!(answer.body["requestId"].as_str().or(answer.body["instance"].as_str()).is_some(), "{told}");
        }
    }

    /// Looks at all that was logged; `words` are in it, so that it was not looked at for nothing.
    pub fn check(&self, words: &[&str]) {
        let text = self.lines.text();
        for line in text.lines() {
            assert_eq!(self.marks.found(line), [""; 0], "{line}");
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line.is_object()), "{line}");
        }
        for word in words {
            assert!(text.contains(word), "nothing is logged of {word:?}:\n{text}");
        }
    }
}

/// As in a token.
pub fn base64url(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

#[test]
fn a_secret_is_found_in_every_form() {
    let mut marks = Marks::default();
    let mark = marks.mark("here");
    marks.also("there", "a-token-of-some-kind");
    assert_eq!(marks.found(&format!("a {mark}.")), ["here"]);
    assert_eq!(marks.found(&mark[..mark.len() - 4]), ["a part of a mark"]);
    for before in ["", " ", "  ", "   "] {
        assert_eq!(marks.found(&base64url(&format!("{before}{{\"sub\":\"{mark}\"}}"))), ["a mark in base64"]);
    }
    assert_eq!(marks.found("x a-token-of-some-kind x"), ["there"]);
    assert_eq!(marks.found("nothing"), [""; 0]);
}
