//! What a search looks for.

use serde_json::Value;

use crate::json::{Object, type_name};
use crate::limits::{DEFAULT_SEARCH_LIMIT, MAX_SEARCH_LIMIT};
use crate::operation::{Code, Failure};
use crate::search::{Filters, Query};

/// `metadata_params` of a search, read.
#[derive(Debug)]
pub struct SearchOptions {
    /// The words to find.
    pub query: Query,
    /// What a row must have to be found.
    pub filters: Filters,
    /// Results at most.
    pub limit: usize,
}

impl SearchOptions {
    /// Reads `given`, whose references are resolved: `query`, `limit`, `filters`, and `types`, of which a row has one.
    pub fn parse(given: &Object) -> Result<Self, Failure> {
        let text = text(given.get("query"))?;
        let limit = match given.get("limit") {
            None => Some(DEFAULT_SEARCH_LIMIT),
            Some(limit) => limit.as_u64().and_then(|limit| usize::try_from(limit).ok()),
        };
        let limit = limit.filter(|limit| (1..=MAX_SEARCH_LIMIT).contains(limit));
        let limit = limit
            .ok_or_else(|| wrong("limit", format!("limit must be a whole number from 1 to {MAX_SEARCH_LIMIT}")))?;
        let none = Object::new();
        let filters = match given.get("filters") {
            None => &none,
            Some(Value::Object(filters)) => filters,
            Some(other) => {
                return Err(wrong("filters", format!("filters must be an object, not {}", type_name(other))));
            }
        };
        let types = given.get("types").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let filters = Filters::new(filters).and_then(|filters| filters.of_types(types));
        let filters = filters.map_err(|too_many| wrong("filters", too_many.to_string()))?;
        Ok(Self { query: Query::new(text, filters.clone()), filters, limit })
    }
}

fn text(query: Option<&Value>) -> Result<&str, Failure> {
    match query {
        Some(Value::String(text)) if text.trim().is_empty() => {
            Err(wrong("query", "query is empty: name the text to search for".to_owned()))
        }
        Some(Value::String(text)) => Ok(text),
        None => Err(wrong("query", "query is missing: the text to search for".to_owned())),
        Some(other) => Err(wrong("query", format!("query must be a string, not {}", type_name(other)))),
    }
}

fn wrong(name: &str, message: String) -> Failure {
    Failure::new(Code::InvalidValue, message).at(format!("/metadata_params/{name}"))
}
