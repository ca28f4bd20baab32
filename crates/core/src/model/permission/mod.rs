//! Who may do what with the rows of an entity: `x-af-permissions`, read once, applied to a row at a time.
//!
//! A rule grants fields to a role, to rows of which its condition holds. Rules only grant: what no rule grants is denied,
//! once an entity has any. Where several callers are at one operation, each of them must be granted what it does.

mod condition;
mod parse;
mod read;

use serde_json::{Map, Value};

use super::entity::{Entity, Field};
use crate::auth::Caller;
pub use condition::Condition;
pub(super) use read::PermissionReader;

/// The role that every caller of the tenant has.
const EVERYONE: &str = "*";

/// The rules of an entity; of an action without one, nobody's.
#[derive(Debug, Default)]
pub struct Permissions {
    read: Vec<Rule>,
    write: Vec<Rule>,
    delete: Vec<Rule>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To see fields.
    Read,
    /// To give fields values, in a new row or an old one.
    Write,
    /// To remove rows.
    Delete,
}

#[derive(Debug)]
struct Rule {
    role: String,
    /// What it grants; of a deletion every field.
    fields: Mask,
    /// Of which rows; of all of them without one.
    condition: Option<Condition>,
}

/// Some fields of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask(Vec<bool>);

impl Mask {
    fn all(fields: &[Field]) -> Self {
        Self(vec![true; fields.len()])
    }

    fn none(fields: &[Field]) -> Self {
        Self(vec![false; fields.len()])
    }

    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(kept, more)| *kept |= more);
    }

    fn restrict(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(kept, also)| *kept &= also);
    }

    /// Whether no field is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.0.contains(&true)
    }

    /// Whether the field of `entity`, whose mask it is, is in it; what is no field never is.
    #[must_use]
    pub fn has(&self, entity: &Entity, field: &str) -> bool {
        let at = entity.fields.iter().position(|known| known.name == field);
        at.and_then(|at| self.0.get(at)).copied().unwrap_or(false)
    }
}

impl Permissions {
    fn rules(&self, right: Right) -> &[Rule] {
        match right {
            Right::Read => &self.read,
            Right::Write => &self.write,
            Right::Delete => &self.delete,
        }
    }

    /// What the rules of `caller`'s roles grant together, of those that `counts` is true of.
    fn granted(
        &self,
        right: Right,
        (caller, fields): (&Caller, &[Field]),
        counts: impl Fn(Option<&Condition>) -> bool,
    ) -> Mask {
        let mut granted = Mask::none(fields);
        for rule in self.rules(right) {
            let held = rule.role == EVERYONE || caller.roles().contains(&rule.role);
            if held && counts(rule.condition.as_ref()) {
                granted.add(&rule.fields);
            }
        }
        granted
    }
}

/// What the callers of one operation may do with the rows of one entity: what each of them may.
#[derive(Debug)]
pub struct Access<'a> {
    entity: &'a Entity,
    /// Those who do not pass every rule.
    bound: Vec<(&'a Caller, &'a Permissions)>,
}

impl<'a> Access<'a> {
    /// Of `callers` to `entity`. An admin passes every rule, and everybody does where there are none.
    #[must_use]
    pub fn new(entity: &'a Entity, callers: &[&'a Caller]) -> Self {
        let bound = entity.permissions.iter().flat_map(|permissions| {
            callers.iter().filter(|caller| !caller.is_admin()).map(move |caller| (*caller, permissions))
        });
        Self { entity, bound: bound.collect() }
    }

    /// The entity.
    #[must_use]
    pub fn entity(&self) -> &'a Entity {
        self.entity
    }

    /// Whether every field of every row may be read, written and deleted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.bound.is_empty()
    }

    /// Whether every field of every row may be read.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        let always = self.always(Right::Read);
        self.is_open() || self.entity.fields().iter().all(|field| always.has(self.entity, &field.name))
    }

    fn granted(&self, right: Right, counts: impl Fn(&Caller, Option<&Condition>) -> bool) -> Mask {
        let fields = &self.entity.fields;
        let mut granted = Mask::all(fields);
        for (caller, permissions) in &self.bound {
            granted.restrict(&permissions.granted(right, (caller, fields), |condition| counts(caller, condition)));
        }
        granted
    }

    /// The fields that may be granted of some row: of the others it is certain that they are not.
    #[must_use]
    pub fn ever(&self, right: Right) -> Mask {
        self.granted(right, |_, _| true)
    }

    /// The fields that are granted of any row, whatever is in it.
    #[must_use]
    pub fn always(&self, right: Right) -> Mask {
        self.granted(right, |_, condition| condition.is_none())
    }

    /// The fields of `row` that may be read; none is a row that is not there.
    #[must_use]
    pub fn readable(&self, row: &Map<String, Value>) -> Mask {
        self.granted(Right::Read, |caller, condition| {
            condition.is_none_or(|condition| condition.holds(row, caller.claims()))
        })
    }

    /// The fields that may be given values in a row that was `before`, if it was there, and is to be `after`. A rule
    /// counts only where it holds for both, so that no row is written into one's reach, or out of it.
    #[must_use]
    pub fn writable(&self, before: Option<&Map<String, Value>>, after: &Map<String, Value>) -> Mask {
        self.granted(Right::Write, |caller, condition| {
            let holds = |row| condition.is_none_or(|condition| condition.holds(row, caller.claims()));
            before.is_none_or(holds) && holds(after)
        })
    }

    /// Whether `row` may be deleted.
    #[must_use]
    pub fn deletable(&self, row: &Map<String, Value>) -> bool {
        let granted = self.granted(Right::Delete, |caller, condition| {
            condition.is_none_or(|condition| condition.holds(row, caller.claims()))
        });
        !granted.is_empty()
    }

    /// The fields that a new row is granted of which only `known` is certain, and those that it may be: of a rule whose
    /// condition looks at a field that `open` is true of nothing is certain.
    #[must_use]
    pub fn creatable(&self, known: &Map<String, Value>, open: impl Fn(&str) -> bool) -> (Mask, Mask) {
        let undecided = |condition: &Condition| condition.fields().into_iter().any(&open);
        let granted = |otherwise: bool| {
            self.granted(Right::Write, |caller, condition| {
                condition.is_none_or(|condition| {
                    if undecided(condition) { otherwise } else { condition.holds(known, caller.claims()) }
                })
            })
        };
        (granted(false), granted(true))
    }

    /// The fields of `row` that may be read; `None` when none may, so that it is not there.
    #[must_use]
    pub fn show(&self, row: &Map<String, Value>) -> Option<Map<String, Value>> {
        if self.is_open() {
            return Some(row.clone());
        }
        let mask = self.readable(row);
        let shown = self.entity.fields.iter().zip(&mask.0).filter(|(_, kept)| **kept);
        let shown = shown.filter_map(|(field, _)| Some((field.name.clone(), row.get(&field.name)?.clone())));
        (!mask.is_empty()).then(|| shown.collect())
    }
}
