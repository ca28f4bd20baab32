//! Problems of a model file.

use std::fmt;

/// One problem of `model.yaml`; the service does not start with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelError {
    /// The line in the file, from 1.
    pub line: usize,
    /// `entity` or `entity.field`; empty where the problem is of the document.
    pub path: String,
    /// What is wrong, and where it can be said what was meant.
    pub reason: String,
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model.yaml:{}: ", self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for ModelError {}

/// A schema or one of its properties, written only where there is a problem with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) schema: &'a str,
    pub(super) property: Option<&'a str>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.schema)?;
        self.property.map_or(Ok(()), |property| write!(f, ".{property}"))
    }
}

/// Collects the problems found so far, so that all of them are told at once.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<ModelError>);

impl Problems {
    pub(crate) fn add(&mut self, line: usize, path: impl fmt::Display, reason: impl Into<String>) {
        self.0.push(ModelError { line, path: path.to_string(), reason: reason.into() });
    }

    /// The value, or the problems in the order of lines.
    pub(crate) fn or<T>(mut self, value: T) -> Result<T, Vec<ModelError>> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort_by_key(|problem| problem.line);
        self.0.dedup();
        Err(self.0)
    }
}

/// `; did you mean "x"?` for the candidate nearest to `name`, or nothing if none is near.
pub(super) fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let near = candidates.into_iter().map(|candidate| (distance(name, candidate), candidate)).min();
    match near {
        // At most two edits in five characters; beyond that a hint misleads.
        Some((steps, candidate)) if steps * 5 <= candidate.chars().count() * 2 => {
            format!("; did you mean {candidate:?}?")
        }
        _ => String::new(),
    }
}

/// Edits between two words: characters put in, left out or replaced (Levenshtein 1966).
pub(super) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, pair) in b.iter().zip(row.windows(2)) {
            let [diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(from != *to)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, steps) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("x-uniqe", "x-unique", 1)]
        {
            assert_eq!(distance(a, b), steps, "{a} {b}");
        }
    }

    #[test]
    fn only_a_near_name_is_hinted_at() {
        assert_eq!(hint("custmer", ["album", "customer"]), "; did you mean \"customer\"?");
        assert_eq!(hint("zebra", ["album", "customer"]), "");
    }
}
