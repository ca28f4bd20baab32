//! What is wrong with a request, found before anything ran.

use super::{Action, Code, Failure, Operation, OperationId};
use crate::json::{Object, clip};
use crate::limits::MAX_POINTER;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer into the request body.
    pub pointer: String,
    /// Position and id of the operation to blame, if it is one.
    pub operation: Option<(usize, OperationId)>,
    /// What kind of problem.
    pub code: Code,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl Problem {
    /// A problem of the request as a whole.
    pub fn new(pointer: impl Into<String>, code: Code, message: impl Into<String>) -> Self {
        Self { pointer: clip(&pointer.into(), MAX_POINTER), operation: None, code, message: message.into() }
    }
}

/// An operation as far as it could be read.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The id given, or the automatic one.
    pub id: OperationId,
    /// `None` when it was missing or of a wrong type, which is a problem of its own.
    pub entity: Option<String>,
    /// `None` when it was missing or unknown, which is a problem of its own.
    pub action: Option<Action>,
    /// Field values to write.
    pub store: Object,
    /// Conditions on the rows to find.
    pub query: Object,
    /// How to answer.
    pub metadata: Object,
    /// As listed, without repeats, each with its place in the list.
    pub depends_on: Vec<(usize, String)>,
    /// To what the caller's claims are narrowed.
    pub claims: Object,
    /// As in [`Operation::single`].
    pub single: Option<Vec<String>>,
    /// As in [`Operation::refused`].
    pub refused: Option<Failure>,
}

impl Draft {
    /// A problem at `pointer` inside this operation, which is the one at `index`.
    pub fn problem(&self, index: usize, pointer: &str, code: Code, message: impl Into<String>) -> Problem {
        Problem {
            pointer: clip(&format!("/operations/{index}{pointer}"), MAX_POINTER),
            operation: Some((index, self.id.clone())),
            code,
            message: message.into(),
        }
    }

    /// The operation; `None` for a draft that has problems.
    pub fn accept(self) -> Option<Operation> {
        Some(Operation {
            id: self.id,
            entity: self.entity?,
            action: self.action?,
            store: self.store,
            query: self.query,
            metadata: self.metadata,
            depends_on: self.depends_on.iter().map(|(_, id)| OperationId::parse(id)).collect::<Option<_>>()?,
            claims: self.claims,
            single: self.single,
            refused: self.refused,
        })
    }
}
