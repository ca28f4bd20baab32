//! How a read finds its rows, and what it tells of them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::RowKey;
use crate::json::{Object, canonical, child, type_name};
use crate::limits::{DEFAULT_READ_LIMIT, MAX_READ_LIMIT, MAX_READ_OFFSET};
use crate::model::projection::Projection;
use crate::model::query::{Condition, Op};
use crate::model::sort::Sort;
use crate::model::{Entity, Model};
use crate::operation::{Code, Failure};

/// `metadata_params`, read.
#[derive(Debug)]
pub struct ReadOptions {
    /// Rows at most; `None` where the client named none.
    pub limit: Option<usize>,
    /// Rows to leave out first.
    pub offset: usize,
    /// Their order.
    pub sort: Option<Sort>,
    /// Their fields; `None` for all.
    pub projection: Option<Projection>,
    /// Only how many there are.
    pub count: bool,
}

impl ReadOptions {
    /// Reads `metadata`, whose references are resolved; names may have a leading `__`. Unknown ones are ignored.
    pub fn parse(model: &Model, entity: &Entity, metadata: &Object) -> Result<Self, Failure> {
        let mut options = Self { limit: None, offset: 0, sort: None, projection: None, count: false };
        for (name, value) in metadata {
            let wrong = |reason: String| Failure::new(Code::InvalidValue, reason).at(child("/metadata_params", name));
            match name.trim_start_matches("__") {
                "limit" => {
                    options.limit =
                        Some(whole(value, 1, MAX_READ_LIMIT).map_err(|range| wrong(format!("limit {range}")))?);
                }
                "offset" => {
                    options.offset =
                        whole(value, 0, MAX_READ_OFFSET).map_err(|range| wrong(format!("offset {range}")))?;
                }
                "sort" => {
                    let text = value.as_str().ok_or_else(|| {
                        wrong(format!("sort must be a string such as name:desc,other, not {}", type_name(value)))
                    })?;
                    options.sort = Some(Sort::parse(entity, text).map_err(wrong)?);
                }
                "properties" => options.projection = Some(Projection::parse(model, entity, value).map_err(wrong)?),
                "count" => {
                    options.count = match value {
                        Value::Bool(flag) => *flag,
                        Value::String(text) if text == "true" || text == "false" => text == "true",
                        other => return Err(wrong(format!("count must be true or false, not {}", type_name(other)))),
                    }
                }
                _ => {}
            }
        }
        Ok(options)
    }

    /// How many rows to leave out, and how many to return.
    pub fn page(&self) -> (usize, usize) {
        (self.offset, self.limit.unwrap_or(DEFAULT_READ_LIMIT))
    }
}

fn whole(value: &Value, least: usize, most: usize) -> Result<usize, String> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let number = number.and_then(|number| usize::try_from(number).ok());
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}

/// How the rows of a read are found.
#[derive(Debug)]
pub enum Route {
    /// By these primary keys.
    Keys(Vec<RowKey>),
    /// By this index or listing.
    Search(Option<(u8, String)>),
}

/// How `conditions` find rows; an error when nothing bounds the search.
pub fn route(entity: &Entity, conditions: &[Condition], limited: bool) -> Result<Route, Failure> {
    let by_key = conditions
        .iter()
        .find(|condition| condition.field == entity.primary_key.field && matches!(condition.op, Op::Eq | Op::In));
    if let Some(condition) = by_key {
        let keys: BTreeSet<RowKey> = condition.operands.iter().filter_map(|id| RowKey::new(&entity.name, id)).collect();
        return Ok(Route::Keys(keys.into_iter().collect()));
    }
    for condition in conditions {
        let slot = entity.field(&condition.field).and_then(|field| field.index);
        if let (Some(slot), Some(value)) = (slot, condition.equal_to()) {
            return Ok(Route::Search(Some((slot, canonical(value)))));
        }
    }
    if limited {
        return Ok(Route::Search(None));
    }
    let indexed: Vec<&str> =
        entity.fields().iter().filter(|field| field.index.is_some()).map(|field| field.name.as_str()).collect();
    let message = format!(
        "a read of {} without {} or an indexed field ({}) needs a limit in metadata_params",
        entity.name,
        entity.primary_key.field,
        if indexed.is_empty() { "it has none".to_owned() } else { indexed.join(", ") },
    );
    Err(Failure::new(Code::LimitRequired, message).at("/metadata_params"))
}
