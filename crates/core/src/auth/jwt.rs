//! Tokens signed by the issuer (RFC 7519), checked as RFC 8725 advises.
//!
//! The library verifies the signature and nothing else: its own checks of `exp` and `nbf` read the system's clock, and
//! here time is given.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::{Caller, Jwks, Refused, Subject, Tenant};
use crate::json;
use crate::runtime::Timestamp;

/// Real ones take 1 to 2 KB; all headers of a request must fit in 10 KB at the gateway.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How far the issuer's clock and ours may differ.
const LEEWAY_MS: i64 = 30 * 1000;
/// They speak of the token and not of its bearer, so they don't become the caller's claims.
const TOKEN_CLAIMS: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

/// Whose tokens are taken, and which of their claims say what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The one accepted `iss`.
    pub issuer: String,
    /// Must be `aud` or in it.
    pub audience: String,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// The claim that lists the roles; a token without it has none.
    pub roles_claim: String,
}

impl Settings {
    /// With the claims `tenant` and `roles`.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            tenant_claim: "tenant".to_owned(),
            roles_claim: "roles".to_owned(),
        }
    }
}

/// Verifies the tokens of one issuer.
#[derive(Debug)]
pub struct Verifier {
    settings: Settings,
    jwks: Jwks,
}

impl Verifier {
    /// `jwks` must be the keys of the issuer in `settings`.
    #[must_use]
    pub fn new(settings: Settings, jwks: Jwks) -> Self {
        Self { settings, jwks }
    }

    /// The caller whom the issuer vouches for: signed with ES256, RS256 or `EdDSA` by a key of its set, meant for us,
    /// and valid at `now` give or take 30 s.
    ///
    /// # Errors
    /// As [`Refused`] says.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Caller, Refused> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refused::InvalidCredential("the token is too long"));
        }
        let (message, signature) = token.rsplit_once('.').ok_or(NOT_A_TOKEN)?;
        let (header, payload) = message.split_once('.').ok_or(NOT_A_TOKEN)?;
        if payload.contains('.') {
            return Err(NOT_A_TOKEN);
        }
        let header = Header::read(&object(header)?)?;

        let key = self.jwks.key(&header.kid, now).await?;
        if key.algorithm != header.algorithm {
            return Err(Refused::InvalidCredential("the key is for another algorithm"));
        }
        let verified = jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.decoding, key.algorithm);
        if !matches!(verified, Ok(true)) {
            return Err(Refused::InvalidCredential("the signature does not verify"));
        }
        self.caller(object(payload)?, now)
    }

    fn caller(&self, mut claims: Map<String, Value>, now: Timestamp) -> Result<Caller, Refused> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(&self.settings.issuer) {
            return Err(Refused::InvalidCredential("another issuer"));
        }
        if !is_meant_for(&self.settings.audience, claims.get("aud")) {
            return Err(Refused::InvalidCredential("another audience"));
        }
        check_times(&claims, now)?;
        let subject = text("sub").and_then(|name| Subject::try_from(name).ok());
        let subject = subject.ok_or(Refused::InvalidCredential("no usable subject"))?;
        let tenant = text(&self.settings.tenant_claim).and_then(|name| Tenant::try_from(name).ok());
        let tenant = tenant.ok_or(Refused::InvalidCredential("no usable tenant"))?;
        let roles = roles(claims.get(&self.settings.roles_claim))?;
        claims.retain(|name, _| !TOKEN_CLAIMS.contains(&name.as_str()));
        Ok(Caller::new(tenant, subject, roles, claims))
    }
}

const NOT_A_TOKEN: Refused = Refused::InvalidCredential("not a signed token");

/// What is believed of a header before its signature is verified: only what is needed to verify it. Keys that it brings
/// or points to (`jwk`, `jku`, `x5c`, `x5u`) are not read.
struct Header {
    algorithm: Algorithm,
    kid: String,
}

impl Header {
    fn read(fields: &Map<String, Value>) -> Result<Self, Refused> {
        // Extensions that must be understood; none is.
        if fields.contains_key("crit") {
            return Err(Refused::InvalidCredential("critical header fields"));
        }
        if !fields.get("typ").is_none_or(is_access_token) {
            return Err(Refused::InvalidCredential("a token of another type"));
        }
        let algorithm = match fields.get("alg").and_then(Value::as_str) {
            Some("ES256") => Algorithm::ES256,
            Some("RS256") => Algorithm::RS256,
            Some("EdDSA") => Algorithm::EdDSA,
            _ => return Err(Refused::InvalidCredential("an algorithm that is not accepted")),
        };
        let kid = fields.get("kid").and_then(Value::as_str).ok_or(Refused::InvalidCredential("no kid"))?;
        Ok(Self { algorithm, kid: kid.to_owned() })
    }
}

/// RFC 9068 names the type of access tokens; many issuers still say only `JWT`. Others, such as a logout token, are
/// signed with the same keys and must not pass for one.
fn is_access_token(typ: &Value) -> bool {
    let names = ["JWT", "at+jwt", "application/at+jwt"];
    typ.as_str().is_some_and(|typ| names.iter().any(|name| typ.eq_ignore_ascii_case(name)))
}

fn is_meant_for(us: &str, audience: Option<&Value>) -> bool {
    match audience {
        Some(Value::String(one)) => one == us,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(us)),
        _ => false,
    }
}

fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), Refused> {
    let end = claims.get("exp").and_then(date).ok_or(Refused::InvalidCredential("no usable expiry"))?;
    if now >= end.plus_ms(LEEWAY_MS) {
        return Err(Refused::InvalidCredential("expired"));
    }
    if let Some(start) = claims.get("nbf") {
        let start = date(start).ok_or(Refused::InvalidCredential("not-before is no time"))?;
        if start > now.plus_ms(LEEWAY_MS) {
            return Err(Refused::InvalidCredential("not valid yet"));
        }
    }
    Ok(())
}

/// A `NumericDate`: seconds, possibly with a fraction or an exponent. None if negative or beyond the range of a clock.
fn date(date: &Value) -> Option<Timestamp> {
    let since_epoch = match date.as_u64() {
        Some(seconds) => Duration::from_secs(seconds),
        None => Duration::try_from_secs_f64(date.as_f64()?).ok()?,
    };
    i64::try_from(since_epoch.as_millis()).ok().map(Timestamp)
}

fn roles(claim: Option<&Value>) -> Result<BTreeSet<String>, Refused> {
    let names = match claim {
        None => return Ok(BTreeSet::new()),
        Some(Value::Array(many)) => many.iter().map(|role| role.as_str().map(str::to_owned)).collect(),
        Some(one) => one.as_str().map(|role| BTreeSet::from([role.to_owned()])),
    };
    names.ok_or(Refused::InvalidCredential("roles are not a list of names"))
}

/// A part of the token: base64url of a JSON object. It is held to the limits of every body, because its claims are
/// stored with a batch and compared with rows.
fn object(part: &str) -> Result<Map<String, Value>, Refused> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| NOT_A_TOKEN)?;
    let _: DistinctNames = serde_json::from_slice(&json).map_err(|_| NOT_A_TOKEN)?;
    match json::parse(&json) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(NOT_A_TOKEN),
    }
}

/// An object none of whose names is given twice: readers differ on which of them counts (RFC 7519, section 4).
struct DistinctNames;

impl<'de> Deserialize<'de> for DistinctNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = DistinctNames;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<DistinctNames, A::Error> {
                let mut names = BTreeSet::new();
                while let Some((name, IgnoredAny)) = entries.next_entry::<String, IgnoredAny>()? {
                    if !names.insert(name) {
                        return Err(de::Error::custom("a name given twice"));
                    }
                }
                Ok(DistinctNames)
            }
        }

        deserializer.deserialize_map(Names)
    }
}
