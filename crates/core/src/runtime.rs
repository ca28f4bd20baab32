//! Time and chance, injected: a test or a replay owns both.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::format_description;

/// A point in time, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This many milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this.
    pub fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole minutes.
    pub fn minutes(self) -> i64 {
        self.0.div_euclid(60_000)
    }

    /// Reads RFC 3339.
    pub fn parse(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
        i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok().map(Self)
    }

    /// Whole seconds, the unit of a `DynamoDB` TTL.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }
}

/// RFC 3339 in UTC with milliseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|at| at.format(format).ok());
        f.write_str(text.as_deref().unwrap_or("invalid time"))
    }
}

/// Where time comes from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(|| {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
            let now = std::time::SystemTime::now();
            let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        }))
    }

    /// A clock that asks `read`.
    pub fn from_fn(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Where chance comes from: ids, nonces, seeds and the jitter of a backoff.
#[derive(Clone)]
pub struct Entropy(Arc<dyn Fn(&mut [u8]) + Send + Sync>);

impl Entropy {
    /// The operating system's generator.
    ///
    /// # Panics
    /// When used, if the machine gives no entropy: there is no safe way on without.
    #[must_use]
    pub fn system() -> Self {
        // A machine without entropy cannot make a unique id; zeros would be a silent collision, so it stops.
        #[expect(clippy::expect_used, reason = "there is no safe way on without entropy")]
        Self(Arc::new(|bytes| getrandom::fill(bytes).expect("the operating system gives entropy")))
    }

    /// A source that asks `fill`.
    pub fn from_fn(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(fill))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        bytes
    }

    /// 32 lower-case hex digits: 128 random bits.
    pub fn hex32(&self) -> String {
        hex(&self.bytes::<16>())
    }

    /// A number in `0..bound`, for jitter; 0 when the bound is 0.
    pub fn below(&self, bound: u64) -> u64 {
        u64::from_le_bytes(self.bytes()).checked_rem(bound).unwrap_or(0)
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}

/// Lower-case hex of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_utc_with_milliseconds() {
        assert_eq!(Timestamp(1_731_319_200_007).to_string(), "2024-11-11T10:00:00.007Z");
        assert_eq!(hex(&[0, 15, 255]), "000fff");
    }
}
