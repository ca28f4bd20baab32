//! The verified caller, and the parts of an identity that end up in database keys.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The role that passes every entity rule of its own tenant.
const ADMIN: &str = "admin";

/// The claim that names the subject (RFC 7519, section 4.1.2).
pub(super) const SUBJECT_CLAIM: &str = "sub";

/// The claims that tell the tenant and the roles, whatever the issuer calls them.
pub(super) const TENANT_CLAIM: &str = "tenant";
pub(super) const ROLES_CLAIM: &str = "roles";

/// A name that cannot be a tenant or a subject; the text says which rule it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadIdentity(&'static str);

impl fmt::Display for BadIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadIdentity {}

/// A tenant's name: 1 to 64 of `[A-Za-z0-9._:@-]`. It starts nearly every database key, so `#`, which
/// separates their parts, can't be in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(String);

impl Tenant {
    const MAX_LEN: usize = 64;

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tenant {
    type Error = BadIdentity;

    fn try_from(name: String) -> Result<Self, BadIdentity> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte);
        if name.is_empty() || name.len() > Self::MAX_LEN || !name.bytes().all(allowed) {
            return Err(BadIdentity("a tenant is 1 to 64 of A-Z a-z 0-9 . _ : @ -"));
        }
        Ok(Self(name))
    }
}

impl TryFrom<&str> for Tenant {
    type Error = BadIdentity;

    fn try_from(name: &str) -> Result<Self, BadIdentity> {
        Self::try_from(name.to_owned())
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who acts within a tenant: 1 to 256 characters, no control characters and no `#`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(String);

impl Subject {
    const MAX_CHARS: usize = 256;

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Subject {
    type Error = BadIdentity;

    fn try_from(name: String) -> Result<Self, BadIdentity> {
        let forbidden = |character: char| character == '#' || character.is_control();
        if name.is_empty() || name.chars().count() > Self::MAX_CHARS || name.chars().any(forbidden) {
            return Err(BadIdentity("a subject is 1 to 256 characters, none of them # or a control character"));
        }
        Ok(Self(name))
    }
}

impl TryFrom<&str> for Subject {
    type Error = BadIdentity;

    fn try_from(name: &str) -> Result<Self, BadIdentity> {
        Self::try_from(name.to_owned())
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.0
    }
}

/// A verified caller. It is made by [`Verifier::verify`](super::Verifier::verify) and
/// [`ApiKeyRecord::verify`](super::ApiKeyRecord::verify), or restored from the [`Snapshot`] kept with a batch.
/// It does not deserialise, so it cannot be part of a request's body.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    tenant: Tenant,
    subject: Subject,
    roles: BTreeSet<String>,
    claims: Map<String, Value>,
}

impl Caller {
    /// The claims `sub`, `tenant` and `roles` are made to be what the caller is, so that a rule over them holds for tokens
    /// and API keys alike.
    pub(super) fn new(
        tenant: Tenant,
        subject: Subject,
        roles: BTreeSet<String>,
        mut claims: Map<String, Value>,
    ) -> Self {
        claims.insert(SUBJECT_CLAIM.to_owned(), Value::String(subject.0.clone()));
        claims.insert(TENANT_CLAIM.to_owned(), Value::String(tenant.0.clone()));
        claims.insert(ROLES_CLAIM.to_owned(), roles.iter().cloned().map(Value::String).collect());
        Self { tenant, subject, roles, claims }
    }

    /// The same one with other roles and claims.
    pub(super) fn with(&self, roles: BTreeSet<String>, claims: Map<String, Value>) -> Self {
        Self::new(self.tenant.clone(), self.subject.clone(), roles, claims)
    }

    /// The tenant whose rows are all there is for this caller.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Unique within the tenant only.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.subject.as_str()
    }

    /// Roles add up: what one of them allows is allowed.
    #[must_use]
    pub fn roles(&self) -> &BTreeSet<String> {
        &self.roles
    }

    /// The credential's claims, always with `sub`, `tenant` and `roles`, without those about the token itself (`exp`,
    /// `aud` and the like).
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Whether the caller passes the entity rules of its tenant. It acts for no creator or profile by that.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.roles.contains(ADMIN)
    }

    /// The strings of a claim that is a list, such as `creators`; one string is a list of one. Anything else,
    /// and what is not a string in the list, names nobody.
    #[must_use]
    pub fn has_claim_list(&self, name: &str) -> Vec<&str> {
        match self.claims.get(name) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the caller acts for this creator of content.
    #[must_use]
    pub fn acts_for(&self, creator: &str) -> bool {
        self.has_claim_list("creators").contains(&creator)
    }

    /// What is kept with a batch, because it may run when the credential has long expired.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            tenant: self.tenant.clone(),
            subject: self.subject.clone(),
            roles: self.roles.clone(),
            claims: self.claims.clone(),
        }
    }
}

/// Claims may hold personal data, so only their number is shown.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("tenant", &self.tenant.as_str())
            .field("subject", &self.subject.as_str())
            .field("roles", &self.roles)
            .field("claims", &format_args!("[{} redacted]", self.claims.len()))
            .finish()
    }
}

/// A [`Caller`] as stored: `{tenant, subject, roles, claims}`. Read it from our own storage only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    tenant: Tenant,
    subject: Subject,
    #[serde(default)]
    roles: BTreeSet<String>,
    #[serde(default)]
    claims: Map<String, Value>,
}

impl Snapshot {
    /// The caller as it was when the batch was accepted.
    #[must_use]
    pub fn into_caller(self) -> Caller {
        Caller::new(self.tenant, self.subject, self.roles, self.claims)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clone().into_caller().fmt(f)
    }
}

/// A secret that neither `Debug` nor a log line shows. It has no `Display` and does not serialise.
#[derive(Clone, Default)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Hides `secret`.
    pub const fn new(secret: T) -> Self {
        Self(secret)
    }

    /// The secret, for the one place that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Redacted<T> {
    fn from(secret: T) -> Self {
        Self(secret)
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn caller(roles: &[&str], claims: &Value) -> Caller {
        let stored = json!({"tenant": "acme", "subject": "ann", "roles": roles, "claims": claims});
        serde_json::from_value::<Snapshot>(stored).unwrap().into_caller()
    }

    #[test]
    fn names_that_could_break_a_key_are_refused() {
        for good in ["a", "Acme-1.eu:x_y@z", &"t".repeat(64)] {
            assert_eq!(Tenant::try_from(good).unwrap().as_str(), good);
        }
        for bad in ["", "a#b", "a b", "a/b", "\u{e9}", "a\n", &"t".repeat(65)] {
            assert!(Tenant::try_from(bad).is_err(), "{bad:?}");
        }
        for good in ["ann", "auth0|5f7", "\u{e9}mile zola", &"\u{e9}".repeat(256)] {
            assert_eq!(Subject::try_from(good).unwrap().as_str(), good);
        }
        for bad in ["", "a#b", "a\0", "a\u{85}", &"s".repeat(257)] {
            assert!(Subject::try_from(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_snapshot_gives_the_same_caller_back() {
        let before = caller(&["editor"], &json!({"creators": ["c1"], "limit": 12_345_678_901_234_567_890_123_u128}));
        let stored = serde_json::to_string(&before.snapshot()).unwrap();
        let after = serde_json::from_str::<Snapshot>(&stored).unwrap().into_caller();
        assert_eq!(before, after);
        assert!(serde_json::from_str::<Snapshot>(&stored.replace("acme", "a#b")).is_err());
    }

    #[test]
    fn a_claim_list_holds_the_strings_only() {
        let claims = json!({"many": ["a", 1, "b", null, ["c"]], "one": "a", "none": {"a": "b"}});
        let caller = caller(&[], &claims);
        assert_eq!(caller.has_claim_list("many"), ["a", "b"]);
        assert_eq!(caller.has_claim_list("one"), ["a"]);
        assert!(caller.has_claim_list("none").is_empty() && caller.has_claim_list("absent").is_empty());
    }

    #[test]
    fn only_the_role_makes_an_admin() {
        assert!(caller(&["reader", "admin"], &json!({})).is_admin());
        assert!(!caller(&["Admin", "admins"], &json!({"admin": true, "roles": ["admin"]})).is_admin());
    }

    #[test]
    fn the_subject_claim_is_the_subject() {
        assert_eq!(caller(&[], &json!({"sub": "bob"})).claims()["sub"], "ann");
    }

    #[test]
    fn claims_and_secrets_are_not_shown() {
        let caller = caller(&[], &json!({"email": "canary"}));
        let shown = format!("{caller:?} {:?} {:?}", caller.snapshot(), Redacted::new("canary"));
        assert!(!shown.contains("canary") && !shown.contains("email"), "{shown}");
    }
}
