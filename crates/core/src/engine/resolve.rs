//! An operation's parameters with every reference replaced.

use serde_json::Value;

use super::evaluate::Job;
use crate::json::{Object, child};
use crate::limits::{MAX_SUBSTITUTED_PER_BATCH, MAX_SUBSTITUTED_PER_OPERATION};
use crate::model::Entity;
use crate::model::query::{Condition, Op};
use crate::operation::{Code, Failure, Outcome};
use crate::plan::reference::{self, Budget, Kind, Lookup, Origin, Resolved, Unresolved};

/// A full budget for one run through a batch.
pub(super) fn budget() -> Budget {
    Budget::new(MAX_SUBSTITUTED_PER_OPERATION, MAX_SUBSTITUTED_PER_BATCH)
}

/// The outcomes so far, by operation.
pub(super) struct Outcomes<'a> {
    pub job: &'a Job<'a>,
    /// By position in the request; `None` for what has not run.
    pub ended: &'a [Option<&'a Outcome>],
}

impl Lookup for Outcomes<'_> {
    fn outcome(&self, operation: &str) -> reference::Outcome<'_> {
        if let Some(data) = self.job.plan.given(operation) {
            return reference::Outcome::Data(data);
        }
        let index = self.job.plan.index_of(operation);
        match index.and_then(|index| self.ended.get(index).copied().flatten()) {
            Some(Outcome::Completed { data }) => reference::Outcome::Data(data),
            Some(_) => reference::Outcome::Failed,
            None => reference::Outcome::Unknown,
        }
    }

    fn operations(&self) -> Vec<&str> {
        let operations = self.job.plan.operations().iter().zip(self.ended);
        let completed = operations.filter(|(_, ended)| ended.is_some_and(Outcome::is_completed));
        completed.map(|(operation, _)| operation.id.as_str()).collect()
    }
}

/// `fields` with references replaced; `at` is where they stand in the operation.
pub(super) fn values(
    fields: &Object,
    at: &str,
    outcomes: &Outcomes<'_>,
    budget: &mut Budget,
) -> Result<Object, Failure> {
    let resolve = |(name, value): (&String, &Value), budget: &mut Budget| {
        let value =
            reference::resolve(value, outcomes, budget).map_err(|error| unresolved(&error, &child(at, name)))?;
        Ok((name.clone(), value))
    };
    fields.iter().map(|field| resolve(field, budget)).collect()
}

/// The conditions of `query`, each with where it stands.
pub(super) fn conditions(
    entity: &Entity,
    query: &Object,
    outcomes: &Outcomes<'_>,
    budget: &mut Budget,
) -> Result<Vec<Condition>, Failure> {
    let mut conditions = Vec::with_capacity(query.len());
    for (name, value) in query {
        let at = child("/query_params", name);
        let Some(field) = entity.field(name) else {
            let message = format!("{} has no field {name:?}", entity.name);
            return Err(Failure::new(Code::UnknownField, message).at(at));
        };
        let condition = match value {
            Value::String(text) => {
                let resolved =
                    reference::resolve_text(text, outcomes, budget).map_err(|error| unresolved(&error, &at))?;
                match &resolved.origin {
                    Origin::Whole => Condition::parse(field, &resolved.value, true),
                    Origin::Written => Condition::parse(field, &resolved.value, false),
                    Origin::Within(_) => match Op::split(resolved.written()) {
                        Some((op, _)) => Condition::new(field, op, operands(op, &resolved)),
                        None => Condition::parse(field, &resolved.value, true),
                    },
                }
            }
            value => {
                let value = reference::resolve(value, outcomes, budget).map_err(|error| unresolved(&error, &at))?;
                Condition::parse(field, &value, true)
            }
        };
        conditions.push(condition.map_err(|reason| Failure::new(Code::InvalidValue, reason).at(at))?);
    }
    Ok(conditions)
}

/// The operands behind an operator the client wrote; only commas it wrote itself separate them.
fn operands(op: Op, resolved: &Resolved) -> Vec<Value> {
    let text = resolved.value.as_str().unwrap_or_default();
    let start = op.as_str().len() + "::".len();
    let Origin::Within(ranges) = &resolved.origin else { return Vec::new() };
    let is_list = matches!(op, Op::In | Op::NotIn | Op::Between | Op::NotBetween);
    let written = |at: usize| !ranges.iter().any(|range| range.contains(&at));
    let mut cuts: Vec<usize> = vec![start];
    cuts.extend(
        text.match_indices(',').map(|(at, _)| at).filter(|at| is_list && *at >= start && written(*at)).map(|at| at + 1),
    );
    let ends = cuts.iter().skip(1).map(|cut| cut - 1).chain([text.len()]);
    cuts.iter().zip(ends).map(|(from, to)| Value::String(text[*from..to].to_owned())).collect()
}

fn unresolved(error: &Unresolved, at: &str) -> Failure {
    let code = match error.kind {
        Kind::OperationLimit(_) | Kind::BatchLimit(_) => Code::ReferenceTooLarge,
        _ => Code::ReferenceUnresolved,
    };
    Failure::new(code, error.to_string()).at(format!("{at}{}", error.pointer))
}
