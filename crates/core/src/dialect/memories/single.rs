//! The routes of one memory: requests to operations, memories to answers.

use serde_json::{Value, json};

use super::parse::{blank, give, name};
use crate::batch::Options;
use crate::dialect::Request;
use crate::json::{Object, type_name};
use crate::limits::{DEFAULT_PAGE, MAX_ID_BYTES, MAX_OPERATIONS, MAX_PAGE};
use crate::operation::{Action, Code, Draft, Failure, OperationId};
use crate::plan::reference::escaped;
use crate::search::Filters;

/// Results of `POST /api/v1/memory/search` where it names no `limit`.
const DEFAULT_RESULTS: u64 = 20;

/// A request of these operations. Their texts are what they are: nothing in them is a reference.
fn request(mut drafts: Vec<Draft>) -> Request {
    for draft in &mut drafts {
        for fields in [&mut draft.store, &mut draft.query, &mut draft.metadata] {
            fields.values_mut().for_each(|value| *value = escaped(value));
        }
    }
    Request {
        drafts,
        options: Options { atomic: false, continue_on_error: true, ..Options::default() },
        reference: None,
        validate_only: false,
        each: true,
        problems: Vec::new(),
        countable: true,
    }
}

fn draft(entity: &str, index: usize, action: Action) -> Draft {
    Draft { action: Some(action), single: Some(Vec::new()), ..blank(entity, OperationId::automatic(index)) }
}

/// Makes a memory of `body`.
pub fn create(entity: &str, body: &Value) -> Request {
    let mut one = draft(entity, 0, Action::Create);
    give(&mut one, Some(body));
    request(vec![one])
}

/// Changes the memory `id` to what `body` holds.
pub fn update(entity: &str, id: &str, body: &Value) -> Request {
    let mut one = draft(entity, 0, Action::Update);
    name(&mut one, id);
    give(&mut one, Some(body));
    request(vec![one])
}

/// Deletes the memory `id`.
pub fn delete(entity: &str, id: &str) -> Request {
    let mut one = draft(entity, 0, Action::Delete);
    name(&mut one, id);
    request(vec![one])
}

/// Deletes the memories that `body` names, each once, and their ids.
pub fn bulk(entity: &str, body: &Value) -> Result<(Request, Vec<String>), Failure> {
    let wrong = |message: String| Failure::new(Code::InvalidValue, message).at("/memory_ids");
    let Some(named) = body.get("memory_ids").and_then(Value::as_array) else {
        return Err(wrong("memory_ids must be a list of ids".to_owned()));
    };
    if !(1..=MAX_OPERATIONS).contains(&named.len()) {
        return Err(wrong(format!("memory_ids must name 1 to {MAX_OPERATIONS} memories")));
    }
    let mut ids: Vec<String> = Vec::new();
    for id in named {
        match id {
            Value::String(id) if (1..=MAX_ID_BYTES).contains(&id.len()) => {
                if !ids.contains(id) {
                    ids.push(id.clone());
                }
            }
            Value::String(_) => return Err(wrong(format!("an id has 1 to {MAX_ID_BYTES} bytes"))),
            other => return Err(wrong(format!("memory_ids holds ids, not {}", type_name(other)))),
        }
    }
    let drafts = ids.iter().enumerate().map(|(index, id)| {
        let mut one = Draft { single: Some(vec!["id".to_owned()]), ..draft(entity, index, Action::Delete) };
        name(&mut one, id);
        one
    });
    Ok((request(drafts.collect()), ids))
}

/// Reads the memory `id`.
pub fn look_up(entity: &str, id: &str) -> Request {
    let mut one = draft(entity, 0, Action::Read);
    name(&mut one, id);
    request(vec![one])
}

/// Searches for `query` among memories of `memory_types` or `type`, with `tags` or `filters`. What else published clients
/// send along (`threshold`, `status`, `search_mode`, ids of topics and projects) is ignored: scores here are no distances
/// of vectors, and there is nothing else to filter on.
pub fn search(entity: &str, body: &Value) -> Request {
    let mut one = draft(entity, 0, Action::Search);
    one.refused = search_for(&mut one.metadata, body).err();
    request(vec![one])
}

fn search_for(wanted: &mut Object, body: &Value) -> Result<(), Failure> {
    fn wrong<T>(name: &str, reason: &str) -> Result<T, Failure> {
        Err(Failure::new(Code::WrongType, format!("{name} {reason}")).at(format!("/metadata_params/{name}")))
    }
    let texts = |name: &str| match body.get(name) {
        None => Ok(None),
        Some(Value::Array(texts)) if texts.iter().all(Value::is_string) => Ok(Some(texts.clone())),
        Some(_) => wrong(name, "must be a list of texts"),
    };
    let mut filters = match body.get("filters") {
        None => Object::new(),
        Some(Value::Object(filters)) => filters.clone(),
        Some(other) => return wrong("filters", &format!("must be an object, not {}", type_name(other))),
    };
    filters.extend(texts("tags")?.map(|tags| ("tags".to_owned(), tags.into())));
    let types = match (texts("memory_types")?, body.get("type")) {
        (Some(types), _) => types,
        (None, Some(one @ Value::String(_))) => vec![one.clone()],
        (None, _) => Vec::new(),
    };
    wanted.extend(body.get("query").map(|query| ("query".to_owned(), query.clone())));
    let limit = body.get("limit").cloned().unwrap_or_else(|| DEFAULT_RESULTS.into());
    wanted.insert("limit".to_owned(), limit);
    wanted.insert("filters".to_owned(), filters.into());
    wanted.insert("types".to_owned(), types.into());
    Ok(())
}

/// What `GET /api/v1/memory` asks for.
#[derive(Debug)]
pub struct Listing {
    /// From 1.
    pub page: usize,
    /// Memories on a page.
    pub limit: usize,
    /// What a memory must have.
    pub filters: Filters,
    /// By the time of the last write, not by that of the first.
    pub by_update: bool,
    /// Oldest first.
    pub ascending: bool,
}

/// Reads the query parameters of a listing; what is no parameter of it is ignored.
pub fn listing<'a>(parameter: impl Fn(&str) -> Option<&'a str>) -> Result<Listing, Failure> {
    let wrong = |name: &str, reason: String| {
        Failure::new(Code::InvalidValue, format!("{name} {reason}")).at(format!("/{name}"))
    };
    let whole = |name: &str, default: usize, most: usize| match parameter(name) {
        None => Ok(default),
        Some(text) => text
            .parse()
            .ok()
            .filter(|number| (1..=most).contains(number))
            .ok_or_else(|| wrong(name, format!("must be a whole number from 1 to {most}"))),
    };
    let list = |name: &str| -> Vec<&'a str> {
        parameter(name)
            .into_iter()
            .flat_map(|text| text.split(','))
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .collect()
    };
    let choice = |name: &str, words: [&str; 2]| match parameter(name) {
        None => Ok(false),
        Some(text) if text == words[0] => Ok(false),
        Some(text) if text == words[1] => Ok(true),
        Some(_) => Err(wrong(name, format!("must be {} or {}", words[0], words[1]))),
    };
    let mut fields = Object::new();
    fields.insert("tags".to_owned(), json!(list("tags")));
    let filters = Filters::new(&fields).and_then(|filters| filters.of_types(list("memory_type")));
    Ok(Listing {
        page: whole("page", 1, usize::MAX)?,
        limit: whole("limit", DEFAULT_PAGE, MAX_PAGE)?,
        filters: filters.map_err(|too_many| wrong("tags", too_many.to_string()))?,
        by_update: choice("sort", ["created_at", "updated_at"])?,
        ascending: choice("order", ["desc", "asc"])?,
    })
}

/// A memory as clients see it: tags and metadata are there, if empty, and the id comes first.
pub fn told(row: &Object) -> Object {
    let mut told = Object::new();
    told.extend(row.get_key_value("id").map(|(name, id)| (name.clone(), id.clone())));
    told.extend(row.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())));
    told.entry("tags").or_insert_with(|| json!([]));
    told.entry("metadata").or_insert_with(|| json!({}));
    told
}

/// The answer about one memory.
pub fn memory(row: &Object) -> Value {
    twice(told(row))
}

/// `fields` at the top level and again under `data`, beside `success`.
pub fn twice(mut fields: Object) -> Value {
    let data = Value::Object(fields.clone());
    fields.insert("success".to_owned(), true.into());
    fields.insert("data".to_owned(), data);
    Value::Object(fields)
}
