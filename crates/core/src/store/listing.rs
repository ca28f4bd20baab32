//! Listings of batches, newest first.

use super::attribute::{Item, Reader, s};
use super::batches::{pair, pair_keys};
use super::call::{Fault, refused};
use super::{Store, TenantKey};
use crate::batch::{BatchId, Head, State};
use crate::limits::MAX_PAGE_SCANNED;

/// Which batches are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// Of the whole tenant.
    Tenant,
    /// Of one maker.
    Subject(String),
    /// With the client's reference.
    Reference(String),
    /// Of one party: a creator or a profile.
    Party(Party),
}

/// On whose behalf a batch is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// A creator of content.
    Creator(String),
    /// A profile.
    Profile(String),
}

/// A page of batches.
#[derive(Debug)]
pub struct Page {
    /// Newest first.
    pub batches: Vec<(Head, Option<State>)>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

impl Store {
    /// Up to `limit` batches of the listing that `keep` accepts, after `place`, read `step` at a time. Looks at a bounded number, so a page
    /// may be short and still have a next one.
    pub async fn batches(
        &self,
        keys: &TenantKey,
        listing: &Listing,
        (limit, step): (usize, usize),
        place: Option<&str>,
        keep: impl Fn(&Head, Option<&State>) -> bool,
    ) -> Result<Page, Fault> {
        let mut page = Page { batches: Vec::new(), next: place.map(str::to_owned) };
        let mut scanned = 0;
        loop {
            let found = self.batch_ids(keys, listing, step, page.next.as_deref()).await?;
            let last = found.len() < step;
            scanned += found.len();
            let wanted = found.iter().flat_map(|(id, _)| pair_keys(keys, id)).collect();
            let items = self.batch_get(&self.tables.batches, wanted).await?;
            for (id, place) in found {
                let pk = keys.batch(&id);
                let own: Vec<Item> =
                    items.iter().filter(|item| Reader(item).maybe_text("pk") == Some(&pk)).cloned().collect();
                page.next = Some(place);
                match pair(keys, &own, self.now()) {
                    Ok(Some((head, state))) if keep(&head, state.as_ref()) => page.batches.push((head, state)),
                    Ok(_) => {}
                    // One batch of another version must not keep a client from the others.
                    Err(fault) => tracing::error!(batch.id = %id, error = %fault, "batch cannot be listed"),
                }
                if page.batches.len() == limit {
                    return Ok(page);
                }
            }
            if last {
                page.next = None;
                return Ok(page);
            }
            if scanned >= MAX_PAGE_SCANNED {
                return Ok(page);
            }
        }
    }

    /// Ids of the listing after `place`, each with its own place: when it was made, and its id.
    async fn batch_ids(
        &self,
        keys: &TenantKey,
        listing: &Listing,
        limit: usize,
        place: Option<&str>,
    ) -> Result<Vec<(BatchId, String)>, Fault> {
        let (index, partition) = match listing {
            Listing::Tenant => ("tenant", keys.batches()),
            Listing::Subject(subject) => ("subject", keys.batches_of(subject)),
            Listing::Reference(reference) => ("reference", keys.batches_referenced(reference)),
            Listing::Party(Party::Creator(creator)) => ("party", keys.batches_for("C", creator)),
            Listing::Party(Party::Profile(profile)) => ("party", keys.batches_for("F", profile)),
        };
        let hash = format!("g_{index}");
        let start = place.and_then(|place| place.split_once(' ')).and_then(|(at, id)| {
            let id = BatchId::parse(id)?;
            let [head, _] = pair_keys(keys, &id);
            let mut start = head;
            start.insert(hash.clone(), s(partition.as_str()));
            start.insert("at".to_owned(), s(at));
            Some(start)
        });
        let request = self
            .client
            .query()
            .table_name(&self.tables.batches)
            .index_name(index)
            .key_condition_expression("#g = :g")
            .expression_attribute_names("#g", hash)
            .expression_attribute_values(":g", s(partition))
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start);
        let answer = self.call("list batches", || request.clone().send()).await?;
        let answer = answer.map_err(|error| Fault::new("list batches", refused(&error)))?;
        let mut found = Vec::new();
        for item in answer.items() {
            let item = Reader(item);
            if let Some(id) = keys.batch_id(item.text("pk")?) {
                let place = format!("{} {id}", item.text("at")?);
                found.push((id, place));
            }
        }
        Ok(found)
    }
}
