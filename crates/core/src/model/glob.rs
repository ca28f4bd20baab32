//! Patterns with `*` (any text) and `?` (one character).

/// Longest pattern, in characters. Matching takes at most pattern times text steps and no recursion,
/// so a bound on the one makes it linear in the other.
const MAX_PATTERN: usize = 256;

/// A pattern that text matches from end to end, case included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(Vec<char>);

impl Glob {
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let mut chars: Vec<char> = pattern.chars().take(MAX_PATTERN + 1).collect();
        if chars.len() > MAX_PATTERN {
            return Err(format!("a pattern has at most {MAX_PATTERN} characters"));
        }
        chars.dedup_by(|next, previous| *next == '*' && *previous == '*');
        Ok(Self(chars))
    }

    /// Whether the pattern has a wildcard at all.
    pub(super) fn is_open(&self) -> bool {
        self.0.iter().any(|char| matches!(char, '*' | '?'))
    }

    /// The pattern as text.
    pub(super) fn text(&self) -> String {
        self.0.iter().collect()
    }

    /// Walks the text once; on a mismatch the latest `*` takes one character more, never an earlier one.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut rest = text.chars();
        let mut at = 0;
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let before = rest.clone();
            match (self.0.get(at), rest.next()) {
                (Some('*'), _) => {
                    at += 1;
                    rest = before.clone();
                    retry = Some((at, before));
                }
                (None, None) => return true,
                (Some(wanted), Some(char)) if *wanted == '?' || *wanted == char => at += 1,
                // What is left of the text is shorter than what is wanted, and would be after any retry.
                (Some(_), None) => return false,
                _ => {
                    let Some((after, from)) = &mut retry else {
                        return false;
                    };
                    from.next();
                    at = *after;
                    rest = from.clone();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_from_end_to_end() {
        let table = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("?", "", false),
            ("?", "ä", true),
            ("a*", "abc", true),
            ("a*", "bac", false),
            ("*c", "abc", true),
            ("*c", "abcd", false),
            ("a*c", "abcbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*b*", "abc", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1c2b", false),
            ("**a**", "xax", true),
            ("*aab", "aaaab", true),
            ("A*", "abc", false),
            ("a.c", "abc", false),
            ("a*?", "a", false),
            ("a*?", "ab", true),
            ("[a]", "[a]", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(Glob::new(pattern).unwrap().matches(text), expected, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn hard_patterns_take_no_exponential_time() {
        let pattern = "*a".repeat(100) + "b";
        assert!(!Glob::new(&pattern).unwrap().matches(&"a".repeat(400_000)));
        assert!(Glob::new(&"x".repeat(257)).is_err());
    }
}
