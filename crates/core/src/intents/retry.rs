//! Building again what failed, as it was asked for or with updates.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::create::{Asked, Created, Of, Stopped, make};
use super::{Batch, batch, settle};
use crate::app::App;
use crate::auth::Caller;
use crate::batch::{BatchId, Set};
use crate::intent::{FieldOf, field_of};
use crate::json::{Object, clip, type_name};
use crate::limits::{MAX_RETRY_ATTEMPTS, MAX_SHOWN};
use crate::operation::{Code, OperationId, Problem};
use crate::submit::{Refusal, Rejection};

/// A batch made of what failed of another.
#[derive(Debug)]
pub struct Retried {
    /// It.
    pub created: Created,
    /// How many operations were copied.
    pub count: usize,
    /// How manieth in the line it is.
    pub attempt: usize,
}

/// Makes a batch of what failed or was skipped of the batch at `id`.
pub async fn retry(app: &App, caller: &Caller, id: &BatchId, asked: Asked<'_>) -> Result<Retried, Stopped> {
    let before = batch(app, caller, id).await.map_err(Refusal::NotStarted)?.ok_or(Stopped::Missing)?;
    let head = &before.stored.head;
    let profile = head.profile.as_ref().ok_or(Stopped::Missing)?;
    if head.caller.subject() != caller.subject() {
        return Err(Stopped::NotOwner);
    }
    let wanted = read(&before, asked.body).map_err(Stopped::Wrong)?;
    if !settle::has_ended(&before.stored) {
        let message = "the batch has not ended; only then it is known what failed";
        return Err(Rejection::new(Code::BatchNotEnded, message).into());
    }
    let attempt = head.lineage.as_ref().map_or(0, |lineage| lineage.attempt) + 1;
    if attempt > MAX_RETRY_ATTEMPTS {
        let message = format!("the batch is retry {MAX_RETRY_ATTEMPTS} of its line, which is the last");
        return Err(Rejection::new(Code::RetryLimit, message).into());
    }
    let places = wanted.places(&settle::failed(&before))?;
    let operations = wanted.operations(&before.intents.sets, &places).map_err(Stopped::Wrong)?;
    let body = json!({ "operations": operations, "atomicExecution": head.options.atomic });
    let made = make(app, caller, (&profile.id, asked, &body), Some(Of { head, attempt, places: &places })).await;
    let created = made.map_err(|stopped| match stopped {
        Stopped::Wrong(problems) => Stopped::Wrong(wanted.told(problems, &places)),
        other => other,
    })?;
    Ok(Retried { created, count: places.len(), attempt })
}

/// What a request asks for.
struct Wanted<'a> {
    /// Positions, with the place in the request that names each; `None` for everything that failed.
    named: Option<Vec<usize>>,
    updates: Updates<'a>,
}

enum Updates<'a> {
    None,
    /// For each operation that has a field of that name.
    ForAll(&'a Object),
    /// By position, with the name that the request uses.
    ForEach(BTreeMap<usize, (&'a str, &'a Object)>),
}

fn wrong(pointer: &str, message: impl Into<String>) -> Problem {
    Problem::new(pointer, Code::InvalidValue, message)
}

/// The position of the operation called `name`: `op_0`, or the name of its set.
fn place(sets: &[Set], name: &str) -> Option<usize> {
    let by_place = name.strip_prefix("op_").and_then(|place| place.parse::<usize>().ok());
    by_place.filter(|place| *place < sets.len()).or_else(|| sets.iter().position(|set| set.id == name))
}

/// Takes a request apart.
fn read<'a>(before: &Batch, body: &'a Value) -> Result<Wanted<'a>, Vec<Problem>> {
    let Value::Object(body) = body else {
        return Err(vec![wrong("", format!("the body must be an object, not {}", type_name(body)))]);
    };
    let sets = &before.intents.sets;
    let mut problems = Vec::new();
    let named = match body.get("operationIds") {
        None | Some(Value::Null) => None,
        Some(Value::Array(ids)) => {
            let mut named = Vec::new();
            for (at, id) in ids.iter().enumerate() {
                match id.as_str().and_then(|id| place(sets, id)) {
                    Some(place) => named.push(place),
                    None => problems.push(wrong(&format!("/operationIds/{at}"), no_operation(id))),
                }
            }
            Some(named)
        }
        Some(other) => {
            let message = format!("operationIds must be a list of operation ids, not {}", type_name(other));
            problems.push(wrong("/operationIds", message));
            None
        }
    };
    let updates = match body.get("updateParams") {
        None | Some(Value::Null) => Updates::None,
        Some(Value::Object(updates)) => read_updates(sets, updates, &mut problems),
        Some(other) => {
            let message = format!("updateParams must be an object, not {}", type_name(other));
            problems.push(wrong("/updateParams", message));
            Updates::None
        }
    };
    if problems.is_empty() { Ok(Wanted { named, updates }) } else { Err(problems) }
}

fn read_updates<'a>(sets: &[Set], updates: &'a Object, problems: &mut Vec<Problem>) -> Updates<'a> {
    let is_name = |key: &String| key.starts_with("op_") || key.starts_with("opset_");
    if !updates.keys().any(is_name) {
        return Updates::ForAll(updates);
    }
    let mut each = BTreeMap::new();
    for (key, update) in updates {
        let pointer = format!("/updateParams/{}", escaped(key));
        match (is_name(key), place(sets, key), update) {
            (false, ..) => problems.push(wrong(
                &pointer,
                "updateParams is one object for all operations, or an object for each operation id: not both",
            )),
            (true, None, _) => problems.push(wrong(&pointer, no_operation(&Value::from(key.as_str())))),
            (true, Some(index), Value::Object(update)) => {
                if each.insert(index, (key.as_str(), update)).is_some() {
                    problems.push(wrong(&pointer, format!("op_{index} is updated twice, under both of its names")));
                }
            }
            (true, Some(_), other) => {
                problems.push(wrong(&pointer, format!("an update must be an object, not {}", type_name(other))));
            }
        }
    }
    Updates::ForEach(each)
}

impl Wanted<'_> {
    /// Positions of what is built again. What succeeded is never done twice, so to name it is an error.
    fn places(&self, failed: &[usize]) -> Result<Vec<usize>, Stopped> {
        let nothing = |message: String| Stopped::from(Rejection::new(Code::NothingToRetry, message));
        let Some(named) = &self.named else {
            return if failed.is_empty() {
                Err(nothing("no operation failed or was skipped".into()))
            } else {
                Ok(failed.to_vec())
            };
        };
        if let Some(place) = named.iter().find(|place| !failed.contains(place)) {
            return Err(nothing(format!("op_{place} neither failed nor was skipped: leave it out of operationIds")));
        }
        let wanted: Vec<usize> = failed.iter().copied().filter(|place| named.contains(place)).collect();
        if wanted.is_empty() { Err(nothing("operationIds names none".into())) } else { Ok(wanted) }
    }

    /// The operations as they were asked for, with their updates.
    fn operations(&self, sets: &[Set], places: &[usize]) -> Result<Vec<Value>, Vec<Problem>> {
        let wanted: Vec<&Set> = places.iter().filter_map(|place| sets.get(*place)).collect();
        let mut operations: Vec<Value> = wanted.iter().map(|set| set.asked.clone()).collect();
        let mut problems = Vec::new();
        match &self.updates {
            Updates::None => {}
            Updates::ForAll(update) => {
                for (path, value) in leaves(update) {
                    let mut known = false;
                    for (operation, set) in operations.iter_mut().zip(&wanted) {
                        known |= put(operation, &set.kind, (&path[..], value));
                    }
                    if !known {
                        let kinds: Vec<&str> = wanted.iter().map(|set| set.kind.as_str()).collect();
                        problems.push(no_field("/updateParams", &kinds, &path));
                    }
                }
            }
            Updates::ForEach(each) => {
                for (place, (name, update)) in each {
                    let pointer = format!("/updateParams/{}", escaped(name));
                    let at = places.iter().position(|other| other == place);
                    let Some((operation, set)) = at.and_then(|at| Some((operations.get_mut(at)?, *wanted.get(at)?)))
                    else {
                        problems.push(of(*place, wrong(&pointer, format!("op_{place} is not built again"))));
                        continue;
                    };
                    for (path, value) in leaves(update) {
                        if !put(operation, &set.kind, (&path[..], value)) {
                            problems.push(of(*place, no_field(&pointer, &[&set.kind], &path)));
                        }
                    }
                }
            }
        }
        if problems.is_empty() { Ok(operations) } else { Err(problems) }
    }

    /// Problems of the new batch, told by the names that the old one and the request use.
    fn told(&self, problems: Vec<Problem>, places: &[usize]) -> Vec<Problem> {
        let told = |problem: Problem| {
            let Some(place) = problem.operation.as_ref().and_then(|(at, _)| places.get(*at).copied()) else {
                return problem;
            };
            let rest = problem.pointer.splitn(4, '/').nth(3).map(|rest| format!("/{rest}")).unwrap_or_default();
            let pointer = match &self.updates {
                Updates::None => String::new(),
                Updates::ForAll(_) => format!("/updateParams{rest}"),
                Updates::ForEach(each) => {
                    let name = each.get(&place).map_or_else(|| format!("op_{place}"), |(name, _)| escaped(name));
                    format!("/updateParams/{name}{rest}")
                }
            };
            of(place, Problem { pointer, ..problem })
        };
        problems.into_iter().map(told).collect()
    }
}

fn of(place: usize, problem: Problem) -> Problem {
    Problem { operation: Some((place, OperationId::automatic(place))), ..problem }
}

fn no_operation(id: &Value) -> String {
    let shown = clip(&id.to_string(), MAX_SHOWN);
    format!("{shown} is no operation of the batch: name it as op_0 or by its operationSetId")
}

fn no_field(pointer: &str, kinds: &[&str], path: &[&str]) -> Problem {
    let whole = path.iter().map(|name| escaped(name)).collect::<Vec<_>>().join("/");
    let shown = clip(&path.join("."), MAX_SHOWN);
    let message = match path {
        ["type"] => "a retry keeps the type of an operation; send another as a new batch".to_owned(),
        _ if kinds.iter().any(|kind| field_of(kind, path) == FieldOf::Branch) => format!("{shown} must be an object"),
        _ => {
            let kinds: BTreeSet<&str> = kinds.iter().copied().collect();
            format!("{shown:?} is no field of {}", kinds.into_iter().collect::<Vec<_>>().join(", "))
        }
    };
    wrong(&format!("{pointer}/{whole}"), message)
}

/// A name as a part of a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// What an update sets: names, each with the one it is within, if it is.
fn leaves(update: &Object) -> Vec<(Vec<&str>, &Value)> {
    let each = update.iter().flat_map(|(name, value)| match value {
        Value::Object(inner) if !inner.is_empty() => {
            inner.iter().map(|(leaf, value)| (vec![name.as_str(), leaf.as_str()], value)).collect()
        }
        value => vec![(vec![name.as_str()], value)],
    });
    each.collect()
}

/// Sets a field of an operation of type `kind`, if it has that; whether it has.
fn put(operation: &mut Value, kind: &str, (path, value): (&[&str], &Value)) -> bool {
    match (field_of(kind, path), path) {
        (FieldOf::Leaf, [branch @ .., leaf]) => {
            let holder = match branch.first() {
                Some(branch) => operation.get_mut(*branch),
                None => Some(operation),
            };
            if let Some(Value::Object(holder)) = holder {
                holder.insert((*leaf).to_owned(), value.clone());
            }
            true
        }
        // An object that sets nothing.
        (FieldOf::Branch, _) => value.is_object(),
        _ => false,
    }
}
