//! The issuer of a machine: one signing key for development, and the tokens and API keys made for its callers.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use batch_core::auth::{ApiKey, ApiKeyRecord, Redacted, Subject, Tenant};
use batch_core::runtime::{Entropy, Timestamp, hex};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};

use crate::Error;

/// The `iss` of tokens made here.
pub const ISSUER: &str = "https://batch-local.invalid";
/// The `aud` of tokens made here.
pub const AUDIENCE: &str = "batch";
/// How long a token is good for: a working day and the night after it.
const TOKEN_HOURS: i64 = 24;

/// Claims that a token has already, or that would make it another kind of token.
const OWN_CLAIMS: [&str; 9] = ["iss", "aud", "exp", "nbf", "iat", "jti", "sub", "tenant", "roles"];

/// The secrets of a development machine. Tokens made with one copy are good wherever its public key is published.
#[derive(Clone)]
pub struct Keys {
    signing: EncodingKey,
    jwk: Jwk,
    cursor: Redacted<String>,
}

/// Whom a token or an API key speaks for.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The tenant.
    pub tenant: Tenant,
    /// Who acts in it.
    pub subject: Subject,
    /// What the subject may do.
    pub roles: BTreeSet<String>,
    /// What else is said about the subject.
    pub claims: Map<String, Value>,
}

impl Identity {
    /// Checks the names.
    pub fn new<R: Into<String>>(
        tenant: &str,
        subject: &str,
        roles: impl IntoIterator<Item = R>,
        claims: Map<String, Value>,
    ) -> Result<Self, Error> {
        let tenant = Tenant::try_from(tenant).map_err(|error| Error::new(error.to_string()))?;
        let subject = Subject::try_from(subject).map_err(|error| Error::new(error.to_string()))?;
        if let Some(name) = claims.keys().find(|name| OWN_CLAIMS.contains(&name.as_str())) {
            return Err(Error::new(format!("the claim {name} is set by the service itself")));
        }
        Ok(Self { tenant, subject, roles: roles.into_iter().map(Into::into).collect(), claims })
    }
}

impl Keys {
    /// The keys kept in `directory`; the first use makes them, readable by their owner alone.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::caused(format!("keys in {}", directory.display()), &error);
        make_private_directory(directory).map_err(failed)?;
        let signing = kept(&directory.join("signing-key.der"), || new_signing_key().map_err(io::Error::other));
        let cursor = kept(&directory.join("cursor-key"), || Ok(new_secret().into_bytes()));
        let cursor = String::from_utf8(cursor.map_err(failed)?);
        let cursor = cursor.map_err(|error| failed(io::Error::new(ErrorKind::InvalidData, error)))?;
        Self::from_parts(&signing.map_err(failed)?, cursor)
    }

    /// Keys that end with the process.
    pub fn in_memory() -> Result<Self, Error> {
        Self::from_parts(&new_signing_key()?, new_secret())
    }

    fn from_parts(signing: &[u8], cursor: String) -> Result<Self, Error> {
        let signing = EncodingKey::from_ec_der(signing);
        let unusable = |error: jsonwebtoken::errors::Error| Error::caused("the signing key cannot be used", &error);
        let mut jwk = Jwk::from_encoding_key(&signing, Algorithm::ES256).map_err(unusable)?;
        jwk.common.key_id = Some(jwk.thumbprint(ThumbprintHash::SHA256).map_err(unusable)?);
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { signing, jwk, cursor: Redacted::new(cursor) })
    }

    /// The key set to publish: the public key alone.
    pub fn jwks(&self) -> Value {
        json!({"keys": [self.jwk]})
    }

    /// The secret of page cursors.
    pub fn cursor(&self) -> &Redacted<String> {
        &self.cursor
    }

    /// A token for `identity`, good from `now` for 24 hours.
    pub fn token(&self, identity: &Identity, now: Timestamp) -> Result<String, Error> {
        let mut claims = identity.claims.clone();
        let own = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now.seconds(),
            "exp": now.seconds() + TOKEN_HOURS * 3_600,
            "sub": identity.subject.as_str(),
            "tenant": identity.tenant.as_str(),
            "roles": identity.roles,
        });
        if let Value::Object(own) = own {
            claims.extend(own);
        }
        let mut header = Header::new(Algorithm::ES256);
        header.kid.clone_from(&self.jwk.common.key_id);
        jsonwebtoken::encode(&header, &claims, &self.signing)
            .map_err(|error| Error::caused("the token cannot be signed", &error))
    }
}

/// A new API key for `identity`, good for so many days or until it is withdrawn, and the record that a service keeps of
/// it.
pub fn new_api_key(identity: Identity, days: Option<u16>, entropy: &Entropy, now: Timestamp) -> (ApiKey, ApiKeyRecord) {
    let key = ApiKey::generate(&entropy.bytes());
    let record = ApiKeyRecord {
        id: key.id().clone(),
        hash: key.sha256_hex(),
        tenant: identity.tenant,
        subject: identity.subject,
        roles: identity.roles,
        claims: identity.claims,
        created_at: now,
        expires_at: days.map(|days| now.plus_ms(i64::from(days) * 86_400_000)),
    };
    (key, record)
}

fn new_signing_key() -> Result<Vec<u8>, Error> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    Ok(key.map_err(|error| Error::caused("no signing key can be made", &error))?.as_ref().to_vec())
}

fn new_secret() -> String {
    hex(&Entropy::system().bytes::<32>())
}

/// Makes `path` and what is above it, for the owner alone where it is new.
pub(crate) fn make_private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The secret in the file at `path`, made with `make` when there is none.
///
/// It is written beside and linked into place, so that of two processes that start together one makes it and both use
/// that one, and a crash leaves no half of it.
fn kept(path: &Path, make: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        read => return read,
    }
    let secret = make()?;
    let beside = path.with_extension(format!("{}.new", Entropy::system().hex32()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    let written = file.write_all(&secret).and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&beside, path));
    fs::remove_file(&beside)?;
    match written {
        Ok(()) => Ok(secret),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::read(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn keys_are_made_once_and_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("keys");
        let first = Keys::open(&directory).unwrap();
        let again = Keys::open(&directory).unwrap();
        assert_eq!(first.jwks(), again.jwks());
        assert_eq!(first.cursor.expose(), again.cursor.expose());
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
    }

    #[test]
    fn the_published_key_is_public_alone() {
        let set = Keys::in_memory().unwrap().jwks();
        assert_eq!((&set["keys"][0]["kty"], &set["keys"][0]["use"]), (&json!("EC"), &json!("sig")));
        assert!(set["keys"][0].get("d").is_none() && set["keys"][0]["kid"].is_string());
    }

    #[test]
    fn a_claim_of_the_service_cannot_be_given() {
        let claims = Map::from_iter([("exp".to_owned(), json!(1))]);
        let error = Identity::new("acme", "ann", ["admin"], claims).unwrap_err();
        assert_eq!(error.to_string(), "the claim exp is set by the service itself");
        assert!(Identity::new("a#b", "ann", [""; 0], Map::new()).is_err());
    }
}
