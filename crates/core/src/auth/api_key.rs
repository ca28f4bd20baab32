//! API keys: `bk_live_<id>_<secret><checksum>`.
//!
//! The id (16 hex digits) finds the record. The secret is 43 base-62 digits: 256 bits. The checksum is 6 base-62 digits
//! of SHA-256 over all before it; it tells a typo without asking the database, and lets a scanner for leaked
//! keys be sure of a find. No character ends a word, so a double click selects the whole key.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Caller, Redacted, Refused, Subject, Tenant};
use crate::json::sha256_hex;
use crate::runtime::{Timestamp, hex};

/// What every API key starts with, and no JWT does: its first character encodes `{`.
pub(super) const PREFIX: &str = "bk_";

const LIVE: &str = "bk_live_";
const ID_LEN: usize = 16;
/// 62^43 > 2^256.
const SECRET_LEN: usize = 43;
/// 62^6 > 2^32.
const CHECKSUM_LEN: usize = 6;

/// Why a text is not an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadKey {
    /// Not the shape of a key.
    Shape,
    /// The shape of a key, with a typo.
    Checksum,
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shape => "not an API key",
            Self::Checksum => "an API key with a wrong checksum",
        })
    }
}

impl std::error::Error for BadKey {}

/// The public part of an API key: 16 lower-case hex digits. Fit for logs and database keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApiKeyId(String);

impl ApiKeyId {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ApiKeyId {
    type Error = BadKey;

    fn try_from(text: String) -> Result<Self, BadKey> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == ID_LEN && text.bytes().all(is_digit) { Ok(Self(text)) } else { Err(BadKey::Shape) }
    }
}

impl From<ApiKeyId> for String {
    fn from(id: ApiKeyId) -> Self {
        id.0
    }
}

/// A key with a right checksum. That says nothing about its being known: see [`ApiKeyRecord::verify`].
#[derive(Debug, Clone)]
pub struct ApiKey {
    id: ApiKeyId,
    text: Redacted<String>,
}

impl ApiKey {
    /// A new key from 40 bytes of a cryptographic random source: 8 for the id, 32 for the secret.
    #[must_use]
    pub fn generate(random: &[u8; 40]) -> Self {
        let (id, secret) = random.split_at(ID_LEN / 2);
        let id = hex(id);
        let body = format!("{LIVE}{id}_{}", base62(secret, SECRET_LEN));
        Self { text: Redacted::new(format!("{body}{}", checksum(&body))), id: ApiKeyId(id) }
    }

    /// Reads a key.
    ///
    /// # Errors
    /// As [`BadKey`] says.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let rest = text.strip_prefix(LIVE).ok_or(BadKey::Shape)?;
        let (id, secret) = rest.split_once('_').ok_or(BadKey::Shape)?;
        let id = ApiKeyId::try_from(id.to_owned())?;
        if secret.len() != SECRET_LEN + CHECKSUM_LEN || !secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(BadKey::Shape);
        }
        let (body, given) = text.split_at_checked(text.len() - CHECKSUM_LEN).ok_or(BadKey::Shape)?;
        if checksum(body) != given {
            return Err(BadKey::Checksum);
        }
        Ok(Self { id, text: Redacted::new(text.to_owned()) })
    }

    /// Finds the record.
    #[must_use]
    pub fn id(&self) -> &ApiKeyId {
        &self.id
    }

    /// The whole key, to be shown once to whom it is made for.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// What is stored instead of the key. A plain hash is enough for 256 random bits: there is no dictionary to try.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        sha256_hex(self.text.expose().as_bytes())
    }
}

/// An API key as stored. Rotation is a second record, with its own id, until the first has expired or is deleted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyRecord {
    /// Of the key.
    pub id: ApiKeyId,
    /// [`ApiKey::sha256_hex`].
    pub hash: String,
    /// The tenant that the key opens.
    pub tenant: Tenant,
    /// Whom the key speaks for.
    pub subject: Subject,
    /// The roles of its caller.
    #[serde(default)]
    pub roles: BTreeSet<String>,
    /// The claims of its caller.
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The first moment at which the key is refused; a key without it holds until its record is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl ApiKeyRecord {
    /// Whom the presented key speaks for. The comparison takes the same time wherever the keys differ.
    ///
    /// # Errors
    /// [`Refused::InvalidCredential`] if the key is another one or has expired.
    pub fn verify(&self, presented: &ApiKey, now: Timestamp) -> Result<Caller, Refused> {
        let known = self.hash.as_bytes().ct_eq(presented.sha256_hex().as_bytes());
        if self.id != presented.id || !bool::from(known) {
            return Err(Refused::InvalidCredential("the API key is not the recorded one"));
        }
        if self.expires_at.is_some_and(|end| now >= end) {
            return Err(Refused::InvalidCredential("the API key has expired"));
        }
        Ok(Caller::new(self.tenant.clone(), self.subject.clone(), self.roles.clone(), self.claims.clone()))
    }
}

impl fmt::Debug for ApiKeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyRecord")
            .field("id", &self.id.as_str())
            .field("tenant", &self.tenant.as_str())
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

fn checksum(body: &str) -> String {
    let digest = Sha256::digest(body);
    base62(digest.get(..4).unwrap_or_default(), CHECKSUM_LEN)
}

/// The big-endian number in `bytes` as `len` digits, most significant first, by long division; digits beyond are cut.
fn base62(bytes: &[u8], len: usize) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut number = bytes.to_vec();
    let mut digits = Vec::with_capacity(len);
    for _ in 0..len {
        let mut remainder = 0_u16;
        for byte in &mut number {
            let dividend = remainder << 8 | u16::from(*byte);
            [_, *byte] = (dividend / 62).to_be_bytes();
            remainder = dividend % 62;
        }
        digits.push(char::from(DIGITS[usize::from(remainder)]));
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Computed apart from this code, from the bytes 0, 1, .. 39.
    const KEY: &str = "bk_live_0001020304050607_1u8QmlquE1rQpeqoulx6MZVGVGgufeog3UsDEHmrG2p2oMAjb";
    const HASH: &str = "2ea9268080ce82a0f15743fade67dd763ad2e1994cc711a46759a36f7a1a1c15";

    fn key() -> ApiKey {
        ApiKey::generate(&std::array::from_fn(|index| u8::try_from(index).unwrap()))
    }

    fn record(expires_at: Option<i64>) -> ApiKeyRecord {
        let fields = json!({
            "id": key().id().as_str(), "hash": key().sha256_hex(), "tenant": "acme", "subject": "svc",
            "roles": ["editor"], "claims": {"creators": ["c1"]}, "created_at": 1000, "expires_at": expires_at,
        });
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn the_text_is_the_documented_one() {
        assert_eq!(key().expose(), KEY);
        assert_eq!(key().sha256_hex(), HASH);
        let parsed = ApiKey::parse(KEY).unwrap();
        assert_eq!((parsed.id().as_str(), parsed.expose()), ("0001020304050607", KEY));
        assert_eq!(base62(&[0xff; 32], SECRET_LEN), "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1");
        assert_eq!(base62(&[0; 4], CHECKSUM_LEN), "000000");
    }

    #[test]
    fn every_changed_character_is_noticed() {
        for (position, old) in KEY.char_indices() {
            for new in ['0', '9', 'a', 'Z', '_', '-', '#', '\0', '\u{e9}'] {
                let typo = format!("{}{new}{}", &KEY[..position], &KEY[position + 1..]);
                assert!(new == old || ApiKey::parse(&typo).is_err(), "{typo}");
            }
        }
    }

    #[test]
    fn a_key_of_another_length_is_no_key() {
        for end in 0..KEY.len() {
            assert_eq!(ApiKey::parse(&KEY[..end]).unwrap_err(), BadKey::Shape);
        }
        assert_eq!(ApiKey::parse(&format!("{KEY}0")).unwrap_err(), BadKey::Shape);
    }

    #[test]
    fn the_recorded_key_speaks_for_its_subject() {
        let caller = record(None).verify(&key(), Timestamp(i64::MAX)).unwrap();
        assert_eq!((caller.tenant().as_str(), caller.subject()), ("acme", "svc"));
        assert_eq!(caller.has_claim_list("creators"), ["c1"]);
        assert!(caller.roles().contains("editor"));
    }

    #[test]
    fn another_key_is_refused_even_with_the_same_id() {
        let mut random = [1; 40];
        random[..8].copy_from_slice(&[0, 1, 2, 3, 4, 5, 6, 7]);
        let other = ApiKey::generate(&random);
        assert_eq!(other.id(), key().id());
        assert!(record(None).verify(&other, Timestamp(0)).is_err());

        for broken in ["", "not hex", &HASH[1..], &HASH.to_uppercase()] {
            let record = ApiKeyRecord { hash: broken.to_owned(), ..record(None) };
            assert!(record.verify(&key(), Timestamp(0)).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_key_ends_at_its_expiry() {
        assert!(record(Some(5000)).verify(&key(), Timestamp(4999)).is_ok());
        assert_eq!(
            record(Some(5000)).verify(&key(), Timestamp(5000)),
            Err(Refused::InvalidCredential("the API key has expired"))
        );
    }

    #[test]
    fn a_record_survives_storage() {
        let stored = serde_json::to_string(&record(Some(5000))).unwrap();
        assert!(serde_json::from_str::<ApiKeyRecord>(&stored).unwrap() == record(Some(5000)));
        assert!(!stored.contains(&KEY[25..]));
    }

    #[test]
    fn neither_key_nor_hash_is_shown() {
        let shown = format!("{:?} {:?} {:?}", key(), record(None), ApiKey::parse(&KEY[1..]));
        assert!(!shown.contains(&KEY[25..40]) && !shown.contains(HASH) && !shown.contains("creators"), "{shown}");
    }
}
