//! The stored form of operations and results: JSON, compressed with zstd.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::{MAX_EXPANDED_BYTES, MAX_RESULTS_BYTES};

/// Stored bytes that cannot be read back: another program wrote them, or they are damaged.
#[derive(Debug)]
pub struct Corrupt(pub String);

impl std::fmt::Display for Corrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stored bytes cannot be read: {}", self.0)
    }
}

/// Level 3 is zstd's default: a 1 MB body takes a few milliseconds.
const LEVEL: i32 = 3;

/// The compressed JSON of `value`.
pub fn pack<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Corrupt> {
    let text = serde_json::to_vec(value).map_err(|error| corrupt(&error))?;
    zstd::bulk::compress(&text, LEVEL).map_err(|error| Corrupt(error.to_string()))
}

/// What [`pack`] was given. Expands to at most what a batch may hold.
pub fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Corrupt> {
    // Operations come from a body, results are bounded by themselves; JSON escapes at most double what is stored.
    let most = 2 * (MAX_EXPANDED_BYTES + MAX_RESULTS_BYTES);
    let size = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten();
    let size = size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= most);
    let size = size.ok_or_else(|| Corrupt("no plausible size".to_owned()))?;
    let text = zstd::bulk::decompress(bytes, size).map_err(|error| Corrupt(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| corrupt(&error))
}

/// The place alone: the parser's own words quote what it found there.
fn corrupt(error: &serde_json::Error) -> Corrupt {
    Corrupt(format!("not of the stored form at line {} column {}", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back_exactly() {
        let value = crate::json::parse(br#"{"n":12345678901234567890.123456789,"s":"x"}"#).unwrap();
        let packed = pack(&value).unwrap();
        assert_eq!(unpack::<serde_json::Value>(&packed).unwrap(), value);
        assert!(unpack::<serde_json::Value>(b"garbage").is_err());
        assert!(unpack::<serde_json::Value>(&packed[..packed.len() - 1]).is_err());
    }
}
