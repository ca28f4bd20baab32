//! `search`: rows by their texts, best first.

use serde_json::{Value, json};

use super::evaluate::Effect;
use super::turn::Turn;
use super::view::{Halt, View};
use crate::json::Object;
use crate::plan::{RowKey, SearchOptions, forbidden};
use crate::search::{Memory, Search, Unreadable};

/// Finds rows among all of the tenant, as the operations before have left them. The best come with their texts; what
/// else matches is only counted.
pub(super) fn search(turn: &Turn<'_>, view: &mut View<'_>, given: &Object) -> Result<Effect, Halt> {
    let entity = turn.entity();
    // Every row is counted and compared, so whoever may not see all of them could learn of what is hidden.
    if !turn.access.sees_all() {
        return Err(forbidden(format!("you may not search {}: some of it is hidden from you", entity.name)).into());
    }
    let wanted = SearchOptions::parse(given)?;
    if wanted.query.is_empty() {
        return Ok(effect(&[], 0));
    }
    let mut search = ranked(view, &wanted)?;
    decide(&entity.name, view, &wanted, &mut search)?;
    let found = search.finish(wanted.limit);
    let (mut results, mut gone, mut halted) = (Vec::new(), 0, None);
    for hit in found.results {
        let key = RowKey { entity: entity.name.clone(), id: hit.id };
        match view.row(&key) {
            Ok(Some(row)) => results.push(result(&key, row, hit.score)),
            // It went between the two reads.
            Ok(None) => gone += 1,
            Err(halt) => halted = Some(halt),
        }
    }
    match halted {
        Some(halt) => Err(halt),
        None => Ok(effect(&results, found.total.saturating_sub(gone))),
    }
}

fn effect(results: &[Value], total: usize) -> Effect {
    Effect { data: vec![json!({ "results": results, "total": total })], changes: Vec::new() }
}

fn result(key: &RowKey, row: &Object, score: f64) -> Value {
    let mut told = Object::new();
    told.insert("id".into(), key.id.as_str().into());
    told.insert("content".into(), row.get("content").cloned().unwrap_or_default());
    // Six digits tell more than apart what differs.
    told.insert("score".into(), json!((score * 1e6).round() / 1e6));
    if let Some(title) = row.get("title").filter(|title| !title.is_null()) {
        told.insert("title".into(), title.clone());
    }
    told.insert("tags".into(), row.get("tags").cloned().unwrap_or_else(|| json!([])));
    told.insert("metadata".into(), row.get("metadata").cloned().unwrap_or_else(|| json!({})));
    Value::Object(told)
}

/// Every row of the tenant, compared with the query.
fn ranked<'q>(view: &mut View<'_>, wanted: &'q SearchOptions) -> Result<Search<'q>, Halt> {
    let rows = view.postings()?;
    let compared = || -> Result<Search<'q>, Unreadable> {
        let mut search = Search::after(&wanted.query, view.posted())?;
        for (id, posting) in rows.iter() {
            search.add(id, posting.created.0, &posting.bytes)?;
        }
        Ok(search)
    };
    compared().map_err(|unreadable| {
        view.unreadable = Some(unreadable);
        Halt::Needs
    })
}

/// Decides by the rows themselves what their search rows could not tell.
fn decide(entity: &str, view: &mut View<'_>, wanted: &SearchOptions, search: &mut Search<'_>) -> Result<(), Halt> {
    let open: Vec<String> = search.open().map(str::to_owned).collect();
    let mut halted = None;
    for id in open {
        match view.row(&RowKey { entity: entity.to_owned(), id: id.clone() }) {
            Ok(row) => search.decide(&id, row.is_some_and(|row| wanted.filters.accept(&Memory::from(row)))),
            Err(halt) => halted = Some(halt),
        }
    }
    halted.map_or(Ok(()), Err)
}
