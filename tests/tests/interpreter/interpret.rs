//! What the contract says a batch does: one operation after another, on plain maps.
//!
//! Deliberately naive. Uniqueness, parents and children are found by looking at every row; undoing is going back to a copy.
//! What only the server can choose (new keys, times) is taken from its answer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::batch::{Action, Batch, Cond, Op, Piece, Ref, Val, text_of};
use crate::schema::{Entity, Field, KeyKind, Server, entity};
use crate::values::{compare, fits, holds, like, typed};

pub type Row = Map<String, Value>;
/// Entity and the text of the primary key.
pub type Key = (&'static str, String);

/// The rows there are.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// Those that are marked as deleted among them.
    pub rows: BTreeMap<Key, Row>,
    /// Those that are gone without a mark.
    pub gone: BTreeSet<Key>,
    made: i64,
}

/// What becomes of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Completed(Data),
    /// With one of these codes: where several rules are broken the contract does not say which is told.
    Failed(BTreeSet<&'static str>),
    Skipped(&'static str),
}

/// The records of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    Exactly(Vec<Value>),
    /// So many of these, in any order.
    Any(usize, Vec<Value>),
}

type Failed = BTreeSet<&'static str>;

/// The mark of a deletion is there.
pub fn is_removed(entity: &Entity, row: &Row) -> bool {
    let mark = entity.of_server(Server::RemovedAt).or_else(|| entity.of_server(Server::Removed));
    mark.and_then(|mark| row.get(mark.name)).is_some_and(|value| !value.is_null() && *value != json!(false))
}

/// Runs `batch`; `told` is the first record of the server's result for the operation there.
pub fn run(tables: &mut Tables, batch: &Batch, told: &dyn Fn(usize) -> Option<Value>) -> Vec<Outcome> {
    let before = tables.clone();
    let mut outcomes: Vec<Option<Outcome>> = vec![None; batch.ops.len()];
    let mut stopped = false;
    for index in batch.order() {
        let failed = batch
            .dependencies(index)
            .into_iter()
            .any(|other| matches!(outcomes[other], Some(Outcome::Failed(_) | Outcome::Skipped("Dependency failed"))));
        let outcome = if failed {
            Outcome::Skipped("Dependency failed")
        } else if stopped {
            Outcome::Skipped("Batch stopped")
        } else {
            let step = Step { tables: &mut *tables, op: &batch.ops[index], outcomes: &outcomes, told: told(index) };
            step.run().map_or_else(Outcome::Failed, Outcome::Completed)
        };
        stopped |= matches!(outcome, Outcome::Failed(_)) && !batch.continue_on_error;
        outcomes[index] = Some(outcome);
    }
    let mut outcomes: Vec<Outcome> =
        outcomes.into_iter().map(|outcome| outcome.expect("every operation ends")).collect();
    if batch.atomic && outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_))) {
        let made = tables.made;
        *tables = Tables { made, ..before };
        for outcome in &mut outcomes {
            if matches!(outcome, Outcome::Completed(_)) {
                *outcome = Outcome::Skipped("Rolled back");
            }
        }
    }
    outcomes
}

struct Step<'a> {
    tables: &'a mut Tables,
    op: &'a Op,
    outcomes: &'a [Option<Outcome>],
    told: Option<Value>,
}

fn one(code: &'static str) -> Failed {
    BTreeSet::from([code])
}

fn none_or(failed: Failed) -> Result<(), Failed> {
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}

impl Step<'_> {
    fn run(mut self) -> Result<Data, Failed> {
        match self.op.action {
            Action::Create => self.create(),
            Action::Read => self.read(),
            Action::Update => self.update(),
            Action::Delete => self.delete(),
        }
    }

    fn create(&mut self) -> Result<Data, Failed> {
        let entity = self.op.entity;
        let mut row = self.stored()?;
        for field in entity.fields {
            let made = match field.server {
                Some(Server::Time | Server::WriteTime | Server::Uuid) => self.made(field.name),
                Some(Server::Subject) => json!("alice"),
                Some(Server::Version) => json!(1),
                Some(Server::RemovedAt | Server::Removed) | None => continue,
            };
            row.insert(field.name.to_owned(), made);
        }
        if !row.contains_key(entity.key) {
            assert_ne!(entity.key_kind, KeyKind::Manual, "the generator gives a manual key");
            row.insert(entity.key.to_owned(), self.made(entity.key));
        }
        let key = (entity.name, text_of(&row[entity.key]));
        let mut failed = self.broken(&key, &row);
        if self.tables.rows.contains_key(&key) {
            failed.insert("ALREADY_EXISTS");
        }
        none_or(failed)?;
        self.tables.gone.remove(&key);
        self.tables.rows.insert(key, row.clone());
        Ok(Data::Exactly(vec![Value::Object(row)]))
    }

    fn update(&mut self) -> Result<Data, Failed> {
        let entity = self.op.entity;
        let (given, found) = (self.stored(), self.found());
        let both = |a: &Failed, b: &Failed| a.union(b).copied().collect::<Failed>();
        let (mut given, (key, mut row)) = match (given, found) {
            (Ok(given), Ok(found)) => (given, found),
            (Err(a), Err(b)) => return Err(both(&a, &b)),
            (Err(a), Ok(_)) | (Ok(_), Err(a)) => return Err(a),
        };
        let mut failed = Failed::new();
        if let Some(version) = entity.of_server(Server::Version) {
            let next = row[version.name].as_i64().expect("a version") + 1;
            if given.shift_remove(version.name).is_some_and(|expected| expected != row[version.name]) {
                failed.insert("VERSION_CONFLICT");
            }
            given.insert(version.name.to_owned(), json!(next));
        }
        if let Some(field) = entity.of_server(Server::WriteTime) {
            given.insert(field.name.to_owned(), self.made(field.name));
        }
        row.extend(given);
        failed.extend(self.broken(&key, &row));
        none_or(failed)?;
        self.tables.rows.insert(key, row.clone());
        Ok(Data::Exactly(vec![Value::Object(row)]))
    }

    fn delete(&mut self) -> Result<Data, Failed> {
        let (key, row) = self.found()?;
        // What a row says of itself does not hold it.
        let mut others = self.tables.rows.iter().filter(|(other, _)| **other != key);
        let has_children = others.any(|((name, _), child)| {
            let entity = entity(name);
            let refers = |field: &&Field| {
                field.parent == Some(key.0)
                    && child.get(field.name).is_some_and(|id| !id.is_null() && text_of(id) == key.1)
            };
            !is_removed(entity, child) && entity.fields.iter().any(|field| refers(&field))
        });
        if has_children {
            return Err(one("FOREIGN_KEY_VIOLATION"));
        }
        let entity = self.op.entity;
        let mark = match (entity.of_server(Server::RemovedAt), entity.of_server(Server::Removed)) {
            (Some(field), _) => Some((field, json!("some time"))),
            (_, Some(field)) => Some((field, json!(true))),
            _ => None,
        };
        if let Some((field, mark)) = mark {
            let mut marked = row.clone();
            marked.insert(field.name.to_owned(), mark);
            if let Some(version) = entity.of_server(Server::Version) {
                marked[version.name] = json!(row[version.name].as_i64().expect("a version") + 1);
            }
            self.tables.rows.insert(key, marked);
        } else {
            self.tables.rows.remove(&key);
            self.tables.gone.insert(key);
        }
        Ok(Data::Exactly(vec![Value::Object(row)]))
    }

    fn read(&mut self) -> Result<Data, Failed> {
        let (entity, meta) = (self.op.entity, &self.op.meta);
        let conditions = self.conditions()?;
        let limit = match &meta.limit {
            None => None,
            Some(limit) => {
                let limit = self.value(limit)?;
                let limit = limit.as_u64().or_else(|| limit.as_str()?.parse().ok());
                Some(limit.filter(|limit| (1..=200).contains(limit)).ok_or_else(|| one("INVALID_VALUE"))?)
            }
        };
        let bounds = |(cond, operands): &(&Cond, Vec<Value>)| {
            let equal = matches!(cond.op, "" | "eq");
            let key = cond.field == entity.key && (equal || cond.op == "in");
            key || (equal && entity.field(cond.field).slot.is_some() && !operands[0].is_null())
        };
        if limit.is_none() && !conditions.iter().any(bounds) {
            return Err(one("LIMIT_REQUIRED"));
        }
        let rows = self.tables.rows.iter().filter(|((name, _), row)| *name == entity.name && !is_removed(entity, row));
        let mut rows: Vec<&Row> = rows
            .map(|(_, row)| row)
            .filter(|row| conditions.iter().all(|(cond, operands)| holds(cond, operands, row)))
            .collect();
        if meta.count {
            return Ok(Data::Exactly(vec![json!({ "count": rows.len() })]));
        }
        for (field, descending) in meta.sort.iter().rev() {
            let value = |row: &Row| row.get(*field).cloned().unwrap_or_default();
            rows.sort_by(|a, b| {
                let order = compare(&value(a), &value(b));
                if *descending { order.reverse() } else { order }
            });
        }
        let (offset, most) = (meta.offset.unwrap_or(0), usize::try_from(limit.unwrap_or(50)).expect("small"));
        let tell = |row: &Row| self.shown(row, meta.properties.as_deref().unwrap_or_default());
        let all: Vec<Value> = rows.iter().map(|row| tell(row)).collect();
        if meta.sort.is_empty() && all.len() > 1 {
            let count = all.len().saturating_sub(offset).min(most);
            return Ok(Data::Any(count, all));
        }
        Ok(Data::Exactly(all.into_iter().skip(offset).take(most).collect()))
    }

    /// A row with the fields and relations that `properties` name; of the test's entities only nodes have relations.
    fn shown(&self, row: &Row, properties: &[&str]) -> Value {
        let (relations, patterns): (Vec<&str>, Vec<&str>) =
            properties.iter().partition(|pattern| pattern.contains(':'));
        let kept = |name: &str| patterns.is_empty() || patterns.iter().any(|pattern| like(pattern, name));
        let fields = row.iter().filter(|(name, _)| kept(name));
        let mut shown: Row = fields.map(|(name, value)| (name.clone(), value.clone())).collect();
        for relation in relations {
            let (name, pattern) = relation.split_once(':').expect("a relation");
            let nodes = self.tables.rows.iter().filter(|(key, _)| key.0 == "node").map(|(_, node)| node);
            let mut nodes = nodes.filter(|node| {
                let (here, there) = if name == "above" { ("parent_id", "node_id") } else { ("node_id", "parent_id") };
                row.get(here).is_some_and(|id| !id.is_null() && node.get(there) == Some(id))
            });
            let related = match name {
                "above" => nodes.next().map_or(Value::Null, |node| self.shown(node, &[pattern])),
                _ => nodes.map(|node| self.shown(node, &[pattern])).collect(),
            };
            shown.insert(name.to_owned(), related);
        }
        Value::Object(shown)
    }

    /// The row that update and delete are about.
    fn found(&mut self) -> Result<(Key, Row), Failed> {
        let entity = self.op.entity;
        let conditions = self.conditions()?;
        let id = conditions.iter().find(|(cond, _)| cond.field == entity.key).map(|(_, operands)| operands[0].clone());
        let id = id.filter(|id| !id.is_null()).ok_or_else(|| one("PRIMARY_KEY_REQUIRED"))?;
        let key = (entity.name, text_of(&id));
        let row = self.tables.rows.get(&key).filter(|row| !is_removed(entity, row)).ok_or_else(|| one("NOT_FOUND"))?;
        let broken = conditions.iter().filter(|(cond, operands)| !holds(cond, operands, row));
        let version = entity.of_server(Server::Version).map(|field| field.name);
        let code = |cond: &Cond| if Some(cond.field) == version { "VERSION_CONFLICT" } else { "CONDITION_FAILED" };
        none_or(broken.map(|(cond, _)| code(cond)).collect())?;
        Ok((key, row.clone()))
    }

    /// The rules about other rows that `row` breaks.
    fn broken(&self, key: &Key, row: &Row) -> Failed {
        let mut failed = Failed::new();
        for field in self.op.entity.fields {
            let value = row.get(field.name).unwrap_or(&Value::Null);
            if value.is_null() {
                continue;
            }
            let others = self.tables.rows.iter().filter(|(other, _)| other.0 == key.0 && *other != key);
            let mut living = others.filter(|(_, row)| !is_removed(self.op.entity, row));
            if field.unique && living.any(|(_, row)| row.get(field.name) == Some(value)) {
                failed.insert("UNIQUE_VIOLATION");
            }
            if let Some(parent) = field.parent {
                let parent =
                    self.tables.rows.get(&(parent, text_of(value))).filter(|row| !is_removed(entity(parent), row));
                if parent.is_none() {
                    failed.insert("FOREIGN_KEY_VIOLATION");
                }
            }
        }
        failed
    }

    /// `store_params`, each value of its field's type.
    fn stored(&mut self) -> Result<Row, Failed> {
        let (mut row, mut failed) = (Row::new(), Failed::new());
        for (name, value) in &self.op.store {
            let field = self.op.entity.field(name);
            match self.value(value) {
                Ok(value) if fits(field, &value) => drop(row.insert((*name).to_owned(), value)),
                Ok(_) => drop(failed.insert("INVALID_VALUE")),
                Err(codes) => failed.extend(codes),
            }
        }
        none_or(failed).map(|()| row)
    }

    fn conditions(&self) -> Result<Vec<(&Cond, Vec<Value>)>, Failed> {
        let (mut all, mut failed) = (Vec::new(), Failed::new());
        for cond in &self.op.query {
            let field = self.op.entity.field(cond.field);
            let operands = cond.operands.iter().map(|operand| {
                let value = self.value(operand)?;
                // Behind an operator everything is text first.
                let value = if cond.op.is_empty() { value } else { json!(text_of(&value)) };
                typed(field.kind, value).ok_or_else(|| one("INVALID_VALUE"))
            });
            match operands.collect::<Result<Vec<_>, _>>() {
                Ok(operands) => all.push((cond, operands)),
                Err(codes) => failed.extend(codes),
            }
        }
        none_or(failed).map(|()| all)
    }

    fn value(&self, value: &Val) -> Result<Value, Failed> {
        match value {
            Val::Known(value) => Ok(value.clone()),
            Val::Whole(reference) => self.referred(reference),
            Val::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(more) => text.push_str(more),
                        Piece::Ref(reference) => text.push_str(&text_of(&self.referred(reference)?)),
                    }
                }
                Ok(Value::String(text))
            }
        }
    }

    fn referred(&self, reference: &Ref) -> Result<Value, Failed> {
        let Some(Outcome::Completed(Data::Exactly(records))) = &self.outcomes[reference.op] else {
            panic!("the generator refers to operations whose records are certain, and those ran before");
        };
        let record = if reference.indexed || records.len() == 1 { records.first() } else { None };
        record.and_then(|record| record.get(&reference.field)).cloned().ok_or_else(|| one("REFERENCE_UNRESOLVED"))
    }

    /// What only the server can choose; something that occurs nowhere else where it does not tell.
    fn made(&mut self, name: &str) -> Value {
        self.tables.made += 1;
        let made = 1_000_000 + self.tables.made;
        let unknown = if name == "item_id" { json!(made) } else { json!(format!("unknown {made}")) };
        self.told.as_ref().and_then(|told| told.get(name)).cloned().unwrap_or(unknown)
    }
}
