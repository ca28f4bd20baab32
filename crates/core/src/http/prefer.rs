//! The `Prefer` header (RFC 7240).

use http::HeaderMap;

use crate::submit::Preference;

/// Reads every `Prefer` header; what is unknown or unreadable is no preference, as the RFC asks.
pub(super) fn read(headers: &HeaderMap) -> Preference {
    let mut preference = Preference::default();
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    for token in values.flat_map(|value| value.split([',', ';'])) {
        let (name, value) = token.split_once('=').unwrap_or((token, ""));
        match (name.trim().to_ascii_lowercase().as_str(), value.trim().trim_matches('"')) {
            ("respond-async", _) => preference.background = true,
            ("wait", seconds) => preference.wait_s = preference.wait_s.or(seconds.parse().ok()),
            ("return", "minimal") => preference.minimal = true,
            _ => {}
        }
    }
    preference
}

/// What was applied, for `Preference-Applied`; `None` when nothing was asked.
pub(super) fn applied(preference: &Preference) -> Option<String> {
    let mut applied = Vec::new();
    if preference.background {
        applied.push("respond-async".to_owned());
    }
    if let Some(seconds) = preference.wait_s.filter(|_| !preference.background) {
        applied.push(format!("wait={seconds}"));
    }
    if preference.minimal {
        applied.push("return=minimal".to_owned());
    }
    (!applied.is_empty()).then(|| applied.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read_and_echoed() {
        let mut headers = HeaderMap::new();
        headers.append("prefer", "respond-async, wait=5; x=1".parse().unwrap());
        headers.append("prefer", "Return=minimal, wait=9, odd==".parse().unwrap());
        let preference = read(&headers);
        assert_eq!(preference, Preference { background: true, wait_s: Some(5), minimal: true });
        assert_eq!(applied(&preference).as_deref(), Some("respond-async, return=minimal"));
        assert_eq!(applied(&Preference::default()), None);
    }
}
