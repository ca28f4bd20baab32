//! One operation at work: on whose behalf, and what they may do.

use serde_json::Value;

use super::evaluate::{Effect, Job};
use super::view::Change;
use crate::auth::Caller;
use crate::json::Object;
use crate::model::Entity;
use crate::model::permission::Access;
use crate::operation::Failure;
use crate::plan::{check_given, forbidden, may_not_write};

/// What an operation is evaluated with.
pub(super) struct Turn<'a> {
    pub job: &'a Job<'a>,
    /// Its position in the request.
    pub index: usize,
    /// The batch's caller, and where the operation narrows its claims that one too, as the last.
    pub callers: &'a [&'a Caller],
    /// What all of them may do.
    pub access: Access<'a>,
}

impl<'a> Turn<'a> {
    pub fn new(job: &'a Job<'a>, index: usize, entity: &'a Entity, callers: &'a [&'a Caller]) -> Self {
        Self { job, index, callers, access: Access::new(entity, callers) }
    }

    pub fn entity(&self) -> &'a Entity {
        self.access.entity()
    }

    /// Whose claims are written into rows.
    pub fn caller(&self) -> &'a Caller {
        self.callers.last().copied().unwrap_or(self.job.caller)
    }

    /// What the callers may do with rows of another entity.
    pub fn access_to(&self, other: &'a Entity) -> Access<'a> {
        Access::new(other, self.callers)
    }

    /// What the operation answers: `row` as the callers see it, if they do.
    pub fn effect(&self, row: &Object, changes: Vec<Change>) -> Effect {
        let shown = self.access.show(row).map(|row| {
            let mut row = super::read::select(self.entity(), &row, None);
            if let Some(fields) = self.single().filter(|fields| !fields.is_empty()) {
                row.retain(|name, _| fields.contains(name));
            }
            Value::Object(row)
        });
        Effect { data: shown.into_iter().collect(), changes }
    }

    /// The fields of the one row that the operation is about, where it is about one.
    pub fn single(&self) -> Option<&'a Vec<String>> {
        self.job.plan.operations().get(self.index)?.single.as_ref()
    }

    /// Refuses fields that no rule grants of any row.
    pub fn check_given(&self, given: &[String]) -> Result<(), Failure> {
        check_given(&self.access, given.iter().map(String::as_str))
    }

    /// Refuses to make `after` of `before` where a rule grants not all of `given`.
    pub fn check_written(&self, given: &[String], before: Option<&Object>, after: &Object) -> Result<(), Failure> {
        let (entity, writable) = (self.entity(), self.access.writable(before, after));
        if writable.is_empty() {
            let what = if before.is_some() { "change this" } else { "create this" };
            return Err(forbidden(format!("you may not {what} {}", entity.name)));
        }
        match given.iter().find(|field| !writable.has(entity, field)) {
            None => Ok(()),
            Some(field) => Err(may_not_write(entity, field)),
        }
    }
}
