//! From a credential to the caller it stands for.

use std::collections::HashMap;
use std::sync::Mutex;

use super::{ApiKeyRecord, Caller, Credential, Refused, Verifier};
use crate::runtime::Timestamp;
use crate::store::Store;

/// How long a key's record, or that there is none, is trusted before it is read again, milliseconds: a revoked key works
/// that much longer, and one that is sent without end costs no more than two look-ups a minute.
const TRUSTED_MS: i64 = 30_000;
/// Records kept, and as many ids that have none; either cache is emptied when it is full.
const MOST_RECORDS: usize = 1_000;

const UNKNOWN: Refused = Refused::InvalidCredential("no such API key");

/// Checks credentials: tokens against their issuer's keys, API keys against their stored hash.
pub struct Authenticator {
    verifier: Verifier,
    records: Mutex<HashMap<String, (Timestamp, ApiKeyRecord)>>,
    /// Apart from the records, so that made-up keys push none of them out.
    unknown: Mutex<HashMap<String, Timestamp>>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authenticator")
    }
}

impl Authenticator {
    /// Checks tokens with `verifier`.
    pub fn new(verifier: Verifier) -> Self {
        Self { verifier, records: Mutex::default(), unknown: Mutex::default() }
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
        if self.is_unknown(id, now) {
            return Err(UNKNOWN);
        }
        let record = match store.api_key(id).await {
            Ok(Some(record)) => record,
            Ok(None) => {
                self.note_unknown(id, now);
                return Err(UNKNOWN);
            }
            Err(fault) => {
                tracing::error!(error = %fault, "API key not read");
                return Err(Refused::Unavailable("API keys cannot be read"));
            }
        };
        // Kept whether or not it is this key's: the wrong secret of a known id is told from the record as well.
        let caller = record.verify(key, now);
        self.trust(id, record, now);
        caller
    }

    fn is_unknown(&self, id: &str, now: Timestamp) -> bool {
        let read = self.unknown.lock().ok().and_then(|unknown| unknown.get(id).copied());
        read.is_some_and(|read| now.since_ms(read) < TRUSTED_MS)
    }

    fn note_unknown(&self, id: &str, now: Timestamp) {
        if let Ok(mut unknown) = self.unknown.lock() {
            if unknown.len() >= MOST_RECORDS {
                unknown.clear();
            }
            unknown.insert(id.to_owned(), now);
        }
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
