//! Which of the contracts a schedule is of. A seed is one schedule of each kind.

/// What clients send in a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Batches of records.
    #[default]
    Records,
    /// Content jobs, with the contract calls that follow them.
    Content,
    /// Blockchain intents.
    Intents,
}

impl Kind {
    /// Every kind, with its name on the command line.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Records, "records"), (Self::Content, "content"), (Self::Intents, "intents")];

    /// `None` when there is none of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(kind, _)| kind)
    }
}
