//! Page cursors: opaque, authenticated, and good only for the listing they came from.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const MAC_BYTES: usize = 16;

/// The secret that cursors are authenticated with.
#[derive(Clone)]
pub struct CursorKey(Hmac<Sha256>);

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey")
    }
}

impl CursorKey {
    /// `None` when the secret is shorter than 32 bytes.
    pub fn new(secret: &str) -> Option<Self> {
        let mac = Hmac::new_from_slice(secret.as_bytes()).ok()?;
        (secret.len() >= 32).then_some(Self(mac))
    }

    /// A cursor that holds `place`, good for `scope`: everything that decides what the listing shows.
    pub fn seal(&self, scope: &str, place: &str) -> String {
        let mut bytes = self.mac(scope, place).finalize().into_bytes()[..MAC_BYTES].to_vec();
        bytes.extend_from_slice(place.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place in a cursor; `None` when it was not made by [`CursorKey::seal`] for this scope.
    pub fn open(&self, scope: &str, cursor: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (mac, place) = bytes.split_at_checked(MAC_BYTES)?;
        let place = std::str::from_utf8(place).ok()?;
        self.mac(scope, place).verify_truncated_left(mac).ok()?;
        Some(place.to_owned())
    }

    fn mac(&self, scope: &str, place: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(&(scope.len() as u64).to_be_bytes());
        mac.update(scope.as_bytes());
        mac.update(place.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_where_it_was_sealed() {
        let key = CursorKey::new(&"k".repeat(32)).unwrap();
        let cursor = key.seal("t#list", "17");
        assert_eq!(key.open("t#list", &cursor).as_deref(), Some("17"));
        assert_eq!(key.open("u#list", &cursor), None);
        assert_eq!(key.open("t#list", &cursor[..cursor.len() - 1]), None);
        assert_eq!(key.open("t#list", ""), None);
        assert_eq!(CursorKey::new(&"x".repeat(32)).unwrap().open("t#list", &cursor), None);
        assert!(CursorKey::new("short").is_none());
    }
}
