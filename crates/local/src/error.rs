use std::fmt;

/// Why the service, or a command, cannot go on: one text for the person at the terminal, causes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// With the whole text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// `what` could not be done because of `cause` and what is behind it.
    pub fn caused(what: impl fmt::Display, cause: &dyn std::error::Error) -> Self {
        let mut text = format!("{what}: {cause}");
        let mut source = cause.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        Self(text)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
