//! Who is calling: from the credential in a request's headers to a verified [`Caller`].
//!
//! - `caller`: [`Caller`], [`Tenant`] and the [`Snapshot`] kept with a batch
//! - `narrow`: a caller with fewer claims than its credential gives
//! - `jwt`: [`Verifier`], tokens signed by the issuer
//! - `jwks`: [`Jwks`], the issuer's public keys, cached
//! - `api_key`: [`ApiKey`] and the [`ApiKeyRecord`] it is checked against
//!
//! Tenant, subject, roles and claims come from here and never from a request's body.
//!
//! A use case takes a [`Caller`], so a route that forgets to ask who is calling does not compile:
//!
//! ```
//! # use batch_core::{app::App, auth::Caller, batch::BatchId, status, store::Fault};
//! async fn told(app: &App, caller: &Caller, id: &BatchId) -> Result<bool, Fault> {
//!     Ok(status::batch(app, caller, id).await?.is_some())
//! }
//! ```
//! ```compile_fail
//! # use batch_core::{app::App, auth::Caller, batch::BatchId, status, store::Fault};
//! async fn told(app: &App, id: &BatchId) -> Result<bool, Fault> {
//!     Ok(status::batch(app, id).await?.is_some())
//! }
//! ```
//! and none can be made out of a request:
//!
//! ```compile_fail
//! let caller: batch_core::auth::Caller = serde_json::from_str("{}").unwrap();
//! ```

mod api_key;
mod authenticator;
mod caller;
mod jwks;
mod jwt;
mod narrow;

pub use api_key::{ApiKey, ApiKeyId, ApiKeyRecord, BadKey};
pub use authenticator::Authenticator;
pub use caller::{BadIdentity, Caller, Redacted, Snapshot, Subject, Tenant};
pub use jwks::{BadUrl, Fetch, FetchFailed, FetchFuture, Jwks};
pub use jwt::{Settings, Verifier};
pub use narrow::Widening;

/// Why a well-formed credential did not make a [`Caller`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Status 401. The reason is for the log, not for the client, who would learn how to forge a better one. It is a
    /// fixed text, so nothing of the credential can be in it.
    InvalidCredential(&'static str),
    /// Status 503 `NOT_STARTED`: the issuer cannot be asked and no usable key is cached. The reason is for the log.
    Unavailable(&'static str),
}

/// What a request's headers present, not yet verified.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A bearer token, for [`Verifier::verify`].
    Token(Redacted<String>),
    /// An API key with a right checksum, for [`ApiKeyRecord::verify`].
    ApiKey(ApiKey),
}

/// Why the headers hold no usable credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialError {
    /// Neither header is there. 401.
    Missing,
    /// Both headers are there and say different things. 400.
    Conflicting,
    /// Another scheme than `Bearer`, no token68 text, or an API key with a typo. 401.
    Malformed,
}

impl Credential {
    /// Reads `Authorization: Bearer <token or API key>` (RFC 6750; the scheme in any case) and `X-API-Key: <API key>`.
    /// Both may be given if they are the same.
    ///
    /// # Errors
    /// As [`CredentialError`] says.
    pub fn from_headers(authorization: Option<&str>, x_api_key: Option<&str>) -> Result<Self, CredentialError> {
        match (authorization, x_api_key.map(str::trim)) {
            (None, None) => Err(CredentialError::Missing),
            (Some(authorization), None) => Self::from_bearer(bearer(authorization).ok_or(CredentialError::Malformed)?),
            (None, Some(key)) => Self::from_key(key),
            (Some(authorization), Some(key)) if bearer(authorization) == Some(key) => Self::from_bearer(key),
            (Some(_), Some(_)) => Err(CredentialError::Conflicting),
        }
    }

    fn from_bearer(token: &str) -> Result<Self, CredentialError> {
        if token.starts_with(api_key::PREFIX) {
            return Self::from_key(token);
        }
        if !is_token68(token) {
            return Err(CredentialError::Malformed);
        }
        Ok(Self::Token(Redacted::new(token.to_owned())))
    }

    fn from_key(key: &str) -> Result<Self, CredentialError> {
        ApiKey::parse(key).map(Self::ApiKey).map_err(|_: BadKey| CredentialError::Malformed)
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

/// RFC 9110, section 11.2.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_text() -> String {
        ApiKey::generate(&[7; 40]).expose().to_owned()
    }

    fn read(authorization: Option<&str>, x_api_key: Option<&str>) -> Result<String, CredentialError> {
        Credential::from_headers(authorization, x_api_key).map(|credential| match credential {
            Credential::Token(token) => format!("token {}", token.expose()),
            Credential::ApiKey(key) => format!("key {}", key.expose()),
        })
    }

    #[test]
    fn a_bearer_is_a_token_or_an_api_key() {
        let key = key_text();
        assert_eq!(read(Some("Bearer a.b-_.c"), None).unwrap(), "token a.b-_.c");
        assert_eq!(read(Some("bEARER  a.b.c "), None).unwrap(), "token a.b.c");
        assert_eq!(read(Some(&format!("bearer {key}")), None).unwrap(), format!("key {key}"));
        assert_eq!(read(None, Some(&key)).unwrap(), format!("key {key}"));
    }

    #[test]
    fn two_credentials_must_be_the_same() {
        let (key, other) = (key_text(), ApiKey::generate(&[8; 40]));
        let bearer = format!("Bearer {key}");
        assert_eq!(read(Some(&bearer), Some(&key)).unwrap(), format!("key {key}"));
        for (authorization, x_api_key) in
            [(bearer.as_str(), other.expose()), ("Bearer a.b.c", &key), ("Basic eDp5", &key), (&bearer, ""), ("", &key)]
        {
            assert_eq!(read(Some(authorization), Some(x_api_key)), Err(CredentialError::Conflicting));
        }
    }

    #[test]
    fn what_is_no_credential_is_told_from_none() {
        assert_eq!(read(None, None), Err(CredentialError::Missing));
        let key = key_text();
        let typo = format!("Bearer {}", key.replace("_live_", "_test_"));
        for authorization in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer =",
            "Basic eDp5",
            "a.b.c",
            "Bearer a b",
            "Bearer a,b",
            "Bearer \u{e9}",
            &typo,
        ] {
            assert_eq!(read(Some(authorization), None), Err(CredentialError::Malformed), "{authorization}");
        }
        for x_api_key in ["", "a.b.c", "bk_", "bk_live_", &key[1..], &key[..key.len() - 1]] {
            assert_eq!(read(None, Some(x_api_key)), Err(CredentialError::Malformed), "{x_api_key}");
        }
    }
}
