//! The issuer's public keys (RFC 7517), cached.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::Value;

use super::Refused;
use crate::gateway::web::{Web, safe_url};
use crate::gateway::{Answer, Lost};
use crate::runtime::Timestamp;

/// A withdrawn key is forgotten after this long.
const FRESH_MS: i64 = 10 * 60 * 1000;
/// How old a set may be when the issuer cannot be asked.
const STALE_MS: i64 = 60 * 60 * 1000;
/// Between two fetches: tokens with made-up key ids must not become a flood of requests to the issuer.
const REFETCH_MS: i64 = 60 * 1000;
/// The same while no usable set is held, when every call depends on the next fetch. More than [`FETCH_TIMEOUT`], so
/// that calls don't pile up behind an issuer that does not answer.
const RETRY_MS: i64 = 5 * 1000;
/// A call of ours has 29 s at the gateway.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
/// A key takes 1 to 4 KB with its certificates, and a set holds a handful.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// Gets the key set's JSON. [`Jwks::new`] makes one that asks over HTTP; a test may give another.
pub type Fetch = Box<dyn Fn() -> FetchFuture + Send + Sync>;

/// What a [`Fetch`] returns.
pub type FetchFuture = Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchFailed>> + Send>>;

/// Why the key set could not be had; for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchFailed(pub String);

/// A key set's address that is neither `https` nor `http` on a loopback host: whoever is between could forge keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadUrl;

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key set's URL must be https, or http on a loopback address")
    }
}

impl std::error::Error for BadUrl {}

/// The cached key set of one issuer. One fetch runs at a time, and calls whose key is held and fresh don't wait for it.
pub struct Jwks {
    fetch: Fetch,
    cache: Mutex<Cache>,
    flight: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Cache {
    keys: HashMap<String, Arc<Key>>,
    fetched_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
}

/// A public key that may verify signatures of exactly one algorithm.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

impl Jwks {
    /// The key set at `url`, fetched when a first token needs it. An answer counts only from `url` itself, not from
    /// where it redirects to.
    ///
    /// # Errors
    /// [`BadUrl`]
    pub fn new(url: &str) -> Result<Self, BadUrl> {
        let (url, web) = (safe_url(url).ok_or(BadUrl)?, Web::default());
        Ok(Self::from_fetch(Box::new(move || Box::pin(get(web.clone(), url.clone())))))
    }

    /// A key set from elsewhere. `fetch` has to end by itself, as [`Jwks::new`]'s does after 2 s.
    #[must_use]
    pub fn from_fetch(fetch: Fetch) -> Self {
        Self { fetch, cache: Mutex::default(), flight: tokio::sync::Mutex::default() }
    }

    /// The key called `kid`. `kid` comes from an unverified token, so it is looked up and nothing else.
    pub(super) async fn key(&self, kid: &str, now: Timestamp) -> Result<Arc<Key>, Refused> {
        if let Some(key) = self.cache().fresh(kid, now) {
            return Ok(key);
        }
        let _flight = self.flight.lock().await;
        // Whoever held the lock before may have fetched it.
        if let Some(key) = self.cache().fresh(kid, now) {
            return Ok(key);
        }
        if self.cache().may_fetch(now) {
            self.refresh(now).await;
        }
        self.cache().stale(kid, now)
    }

    async fn refresh(&self, now: Timestamp) {
        // Noted first, so that a caller that hangs up doesn't hide the attempt.
        self.cache().tried_at = Some(now);
        match (self.fetch)().await.and_then(|body| parse(&body)) {
            Ok(keys) => {
                let mut cache = self.cache();
                cache.keys = keys;
                cache.fetched_at = Some(now);
            }
            Err(FetchFailed(reason)) => tracing::warn!(reason, "the issuer's key set could not be fetched"),
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // No code panics while it holds the lock; if it did, a whole cache is still a cache.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cache = self.cache();
        f.debug_struct("Jwks")
            .field("keys", &cache.keys.len())
            .field("fetched_at", &cache.fetched_at)
            .finish_non_exhaustive()
    }
}

impl Cache {
    fn is_younger_than(&self, limit_ms: i64, now: Timestamp) -> bool {
        self.fetched_at.is_some_and(|at| now.since_ms(at) < limit_ms)
    }

    fn fresh(&self, kid: &str, now: Timestamp) -> Option<Arc<Key>> {
        if self.is_younger_than(FRESH_MS, now) { self.keys.get(kid).cloned() } else { None }
    }

    fn may_fetch(&self, now: Timestamp) -> bool {
        let pause_ms = if self.is_younger_than(STALE_MS, now) { REFETCH_MS } else { RETRY_MS };
        self.tried_at.is_none_or(|at| now.since_ms(at) >= pause_ms)
    }

    fn stale(&self, kid: &str, now: Timestamp) -> Result<Arc<Key>, Refused> {
        if !self.is_younger_than(STALE_MS, now) {
            return Err(Refused::Unavailable("the issuer's key set cannot be fetched"));
        }
        if let Some(key) = self.keys.get(kid) {
            return Ok(key.clone());
        }
        // Issuers add a key and sign with it at once: while the set can't be read again, nothing is known about it.
        if self.tried_at == self.fetched_at {
            Err(Refused::InvalidCredential("the issuer has no usable key of this kid"))
        } else {
            Err(Refused::Unavailable("the key is not in the last key set, and the issuer cannot be asked"))
        }
    }
}

async fn get(web: Web, url: Url) -> Result<Vec<u8>, FetchFailed> {
    let request = |http: &Client| http.get(url).timeout(FETCH_TIMEOUT).build();
    match web.send(request, MAX_BODY_BYTES).await {
        Ok(Answer { status: 200, body }) => Ok(body),
        Ok(Answer { status, .. }) => Err(FetchFailed(format!("status {status}"))),
        Err(Lost::NotSent) => Err(FetchFailed("no connection".to_owned())),
        Err(Lost::TimedOut) => Err(FetchFailed("no answer in time".to_owned())),
        Err(Lost::Broken) => Err(FetchFailed(format!("cut off, or more than {MAX_BODY_BYTES} bytes"))),
    }
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// A JWK (RFC 7517, RFC 7518 section 6, RFC 8037) as far as a verifier needs it. Certificates in it are ignored: the
/// keys are trusted because of where they come from.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Skips the keys that can't verify a token here: the set may serve other purposes too.
fn parse(body: &[u8]) -> Result<HashMap<String, Arc<Key>>, FetchFailed> {
    let set: KeySet = serde_json::from_slice(body).map_err(|_| FetchFailed("not a JWK set".to_owned()))?;
    let mut keys = HashMap::new();
    for jwk in set.keys {
        let Ok(jwk) = serde_json::from_value::<Jwk>(jwk) else { continue };
        if let Some(key) = usable(&jwk) {
            keys.entry(jwk.kid).or_insert_with(|| Arc::new(key));
        }
    }
    Ok(keys)
}

/// The type of the key says which algorithm it is for; a symmetric one (`oct`) is never taken, because what a
/// public page holds is no secret.
fn usable(jwk: &Jwk) -> Option<Key> {
    let (algorithm, name, decoding) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {
            (Algorithm::RS256, "RS256", DecodingKey::from_rsa_components(jwk.n.as_deref()?, jwk.e.as_deref()?))
        }
        ("EC", Some("P-256")) => {
            (Algorithm::ES256, "ES256", DecodingKey::from_ec_components(jwk.x.as_deref()?, jwk.y.as_deref()?))
        }
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, "EdDSA", DecodingKey::from_ed_components(jwk.x.as_deref()?)),
        _ => return None,
    };
    let for_signatures = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
        && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
    let for_algorithm = jwk.alg.as_deref().is_none_or(|alg| alg == name);
    if for_signatures && for_algorithm { Some(Key { algorithm, decoding: decoding.ok()? }) } else { None }
}
