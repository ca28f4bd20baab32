//! From a credential to the caller it stands for.

use std::collections::HashMap;
use std::sync::Mutex;

use super::{ApiKeyRecord, Caller, Credential, Refused, Verifier};
use crate::runtime::Timestamp;
use crate::store::Store;

/// How long a key's record is trusted before it is read again, milliseconds: a revoked key works that much longer.
const TRUSTED_MS: i64 = 30_000;
/// Records kept; the cache is emptied when it is full.
const MOST_RECORDS: usize = 1_000;

/// Checks credentials: tokens against their issuer's keys, API keys against their stored hash.
pub struct Authenticator {
    verifier: Verifier,
    records: Mutex<HashMap<String, (Timestamp, ApiKeyRecord)>>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authenticator")
    }
}

impl Authenticator {
    /// Checks tokens with `verifier`.
    pub fn new(verifier: Verifier) -> Self {
        Self { verifier, records: Mutex::new(HashMap::new()) }
    }

    /// The caller that `credential` stands for.
    pub async fn authenticate(
        &self,
        store: &Store,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<Caller, Refused> {
        let key = match credential {
            Credential::Token(token) => return self.verifier.verify(token.expose(), now).await,
            Credential::ApiKey(key) => key,
        };
        let id = key.id().as_str();
        if let Some(record) = self.trusted(id, now) {
            return record.verify(key, now);
        }
        let record = match store.api_key(id).await {
            Ok(Some(record)) => record,
            Ok(None) => return Err(Refused::InvalidCredential("no such API key")),
            Err(fault) => {
                tracing::error!(error = %fault, "API key not read");
                return Err(Refused::Unavailable("API keys cannot be read"));
            }
        };
        let caller = record.verify(key, now)?;
        self.trust(id, record, now);
        Ok(caller)
    }

    fn trusted(&self, id: &str, now: Timestamp) -> Option<ApiKeyRecord> {
        let records = self.records.lock().ok()?;
        let (read, record) = records.get(id)?;
        (now.since_ms(*read) < TRUSTED_MS).then(|| record.clone())
    }

    fn trust(&self, id: &str, record: ApiKeyRecord, now: Timestamp) {
        if let Ok(mut records) = self.records.lock() {
            if records.len() >= MOST_RECORDS {
                records.clear();
            }
            records.insert(id.to_owned(), (now, record));
        }
    }
}
