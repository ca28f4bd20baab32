//! The transaction items of a commit: what an [`Action`] is on the wire, in one transaction or under a lock.
//!
//! In one transaction each item is written on condition that it is as read and not locked. A wide commit first puts its
//! lock on each (on the same condition, an item that is to come as a placeholder of key and lock), and writes what it
//! holds a lock on later, taking the lock off: so each is written once, whoever does it.

use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure as ReturnOld, TransactWriteItem,
    Update,
};

use super::attribute::{Item, Reader, from_object, n, s};
use super::call::{Fault, built};
use super::lock::Lock;
use super::search::{posting_key, posting_of};
use super::{Store, TenantKey};
use crate::engine::{Action, CountAfter, CountBase, Post};
use crate::limits::TOMBSTONE_MS;
use crate::runtime::Timestamp;

impl Store {
    /// `action` in a transaction of its own batch; `writer` becomes `_tx`.
    pub(super) fn write_item(
        &self,
        keys: &TenantKey,
        action: &Action,
        writer: &str,
        now: Timestamp,
    ) -> Result<TransactWriteItem, Fault> {
        let on = as_read(action);
        let target = self.target(keys, action);
        match effect(keys, action, writer, now) {
            Effect::None => target.check(&on),
            Effect::Put(item) => target.put(item, &on),
            Effect::Add(change) => target.update("ADD #n :n", &added(change), &on),
            Effect::Delete => target.delete(&on),
        }
    }

    /// Puts `lock` on what `action` is going to touch.
    pub(super) fn lock_item(&self, keys: &TenantKey, action: &Action, lock: &Lock) -> Result<TransactWriteItem, Fault> {
        let on = as_read(action);
        let target = self.target(keys, action);
        if expects_nothing(action) {
            return target.put(Item::from([("_lk".to_owned(), s(lock.to_string()))]), &on);
        }
        let mut given = Given::default();
        given.names.push(("#lk", "_lk"));
        given.values.push((":lk", s(lock.to_string())));
        // A tombstone that expired under its lock would take the new row with it.
        if let Action::WriteRow { .. } = action {
            given.names.push(("#ttl", "ttl"));
            return target.update("SET #lk = :lk REMOVE #ttl", &given, &on);
        }
        target.update("SET #lk = :lk", &given, &on)
    }

    /// Does `action` under its lock, and takes the lock off.
    pub(super) fn apply_item(
        &self,
        keys: &TenantKey,
        action: &Action,
        lock: &Lock,
        now: Timestamp,
    ) -> Result<TransactWriteItem, Fault> {
        let on = Condition::held(lock);
        let target = self.target(keys, action);
        match effect(keys, action, &lock.to_string(), now) {
            Effect::None if expects_nothing(action) => target.delete(&on),
            Effect::None => target.update("REMOVE #lk", &Given::default(), &on),
            Effect::Put(item) => target.put(item, &on),
            Effect::Add(change) => target.update("ADD #n :n REMOVE #lk", &added(change), &on),
            Effect::Delete => target.delete(&on),
        }
    }

    /// The search row that goes with `action`, if one does. It stands under the version and the lock of its row, which the
    /// same transaction writes, and so has no condition of its own.
    pub(super) fn posting_item(&self, keys: &TenantKey, action: &Action) -> Result<Option<TransactWriteItem>, Fault> {
        let Action::WriteRow { key, posting: Some(post), .. } = action else { return Ok(None) };
        let item = match post {
            Post::Put(posting) => {
                let put = Put::builder().table_name(&self.tables.search).set_item(Some(posting_of(keys, key, posting)));
                TransactWriteItem::builder().put(built(put.build())?)
            }
            Post::Gone => {
                let delete =
                    Delete::builder().table_name(&self.tables.search).set_key(Some(posting_key(keys, &key.id)));
                TransactWriteItem::builder().delete(built(delete.build())?)
            }
        };
        Ok(Some(item.build()))
    }

    /// Takes `lock` off `item`, which is as it was before.
    pub(super) fn unlock_item(&self, item: &Item, lock: &Lock, now: Timestamp) -> Result<TransactWriteItem, Fault> {
        let on = Condition::held(lock);
        let target = Target { table: &self.tables.records, pk: Reader(item).text("pk")?.to_owned() };
        let placeholder = !["_v", "owner", "n"].iter().any(|name| item.contains_key(*name));
        if placeholder {
            return target.delete(&on);
        }
        if Reader(item).flag("_del") {
            let mut given = Given::default();
            given.names.push(("#ttl", "ttl"));
            given.values.push((":ttl", n(now.plus_ms(TOMBSTONE_MS).seconds())));
            return target.update("SET #ttl = :ttl REMOVE #lk", &given, &on);
        }
        target.update("REMOVE #lk", &Given::default(), &on)
    }

    fn target(&self, keys: &TenantKey, action: &Action) -> Target<'_> {
        Target { table: &self.tables.records, pk: keys.item(&action.key()) }
    }
}

/// What becomes of an item.
enum Effect {
    None,
    Put(Item),
    Add(i64),
    Delete,
}

fn effect(keys: &TenantKey, action: &Action, writer: &str, now: Timestamp) -> Effect {
    match action {
        Action::CheckRow { .. } => Effect::None,
        Action::WriteRow { key, base, fields, indexed, .. } => {
            let mut item = Item::from([("_v".to_owned(), n(base.unwrap_or(0) + 1)), ("_tx".to_owned(), s(writer))]);
            if let Some(fields) = fields {
                item.insert("f".to_owned(), from_object(fields));
            } else {
                item.insert("_del".to_owned(), AttributeValue::Bool(true));
                item.insert("ttl".to_owned(), n(now.plus_ms(TOMBSTONE_MS).seconds()));
            }
            for (slot, value) in indexed.iter().flatten() {
                item.insert(format!("_g{slot}"), s(keys.indexed(&key.entity, *slot, value)));
            }
            if indexed.is_some() {
                item.insert("_g0".to_owned(), s(keys.listing(&key.entity)));
            }
            Effect::Put(item)
        }
        Action::Own { base, owner, .. } if owner == base => Effect::None,
        Action::Own { owner: None, .. } => Effect::Delete,
        Action::Own { owner: Some(id), .. } => Effect::Put(Item::from([("owner".to_owned(), s(id.as_str()))])),
        Action::Count { after, .. } => match after {
            CountAfter::Same => Effect::None,
            CountAfter::Add(change) => Effect::Add(*change),
            CountAfter::Is(count) => Effect::Put(Item::from([("n".to_owned(), n(count))])),
            CountAfter::Gone => Effect::Delete,
        },
    }
}

/// Whether there must be no item yet.
fn expects_nothing(action: &Action) -> bool {
    match action {
        Action::CheckRow { base, .. } | Action::WriteRow { base, .. } => base.is_none(),
        Action::Own { base, .. } => base.is_none(),
        Action::Count { base, .. } => *base == CountBase::Absent,
    }
}

/// That the item is as it was read, or assumed to be, and not locked.
fn as_read(action: &Action) -> Condition {
    match action {
        _ if expects_nothing(action) => Condition::absent(),
        Action::CheckRow { base, .. } | Action::WriteRow { base, .. } => {
            Condition::equal("_v", n(base.unwrap_or_default()))
        }
        Action::Own { base, .. } => Condition::equal("owner", s(base.clone().unwrap_or_default())),
        Action::Count { base: CountBase::Exactly(count), .. } => Condition::equal("n", n(count)),
        Action::Count { .. } => Condition::present(),
    }
}

fn added(change: i64) -> Given {
    Given { names: vec![("#n", "n")], values: vec![(":n", n(change))] }
}

/// What an expression's placeholders stand for.
#[derive(Debug, Clone, Default)]
struct Given {
    names: Vec<(&'static str, &'static str)>,
    values: Vec<(&'static str, AttributeValue)>,
}

struct Condition {
    expression: &'static str,
    given: Given,
}

impl Condition {
    fn absent() -> Self {
        Self { expression: "attribute_not_exists(pk)", given: Given::default() }
    }

    fn present() -> Self {
        let given = Given { names: vec![("#lk", "_lk")], values: Vec::new() };
        Self { expression: "attribute_exists(pk) AND attribute_not_exists(#lk)", given }
    }

    fn equal(name: &'static str, value: AttributeValue) -> Self {
        let given = Given { names: vec![("#is", name), ("#lk", "_lk")], values: vec![(":is", value)] };
        Self { expression: "#is = :is AND attribute_not_exists(#lk)", given }
    }

    fn held(lock: &Lock) -> Self {
        let given = Given { names: vec![("#lk", "_lk")], values: vec![(":lk", s(lock.to_string()))] };
        Self { expression: "#lk = :lk", given }
    }
}

/// The item that is written.
struct Target<'a> {
    table: &'a str,
    pk: String,
}

/// The four builders share their setters' names but no trait.
macro_rules! conditioned {
    ($builder:expr, $condition:expr, $given:expr) => {{
        let mut builder = $builder
            .condition_expression($condition.expression)
            .return_values_on_condition_check_failure(ReturnOld::AllOld);
        for (name, attribute) in $condition.given.names.iter().chain(&$given.names) {
            builder = builder.expression_attribute_names(*name, *attribute);
        }
        for (name, value) in $condition.given.values.iter().chain(&$given.values) {
            builder = builder.expression_attribute_values(*name, value.clone());
        }
        builder
    }};
}

impl Target<'_> {
    fn check(self, on: &Condition) -> Result<TransactWriteItem, Fault> {
        let check = ConditionCheck::builder().table_name(self.table).key("pk", s(self.pk));
        let check = conditioned!(check, on, Given::default());
        Ok(TransactWriteItem::builder().condition_check(built(check.build())?).build())
    }

    fn put(self, mut item: Item, on: &Condition) -> Result<TransactWriteItem, Fault> {
        item.insert("pk".to_owned(), s(self.pk));
        let put = conditioned!(Put::builder().table_name(self.table).set_item(Some(item)), on, Given::default());
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }

    fn update(self, expression: &str, given: &Given, on: &Condition) -> Result<TransactWriteItem, Fault> {
        let update = Update::builder().table_name(self.table).key("pk", s(self.pk)).update_expression(expression);
        let update = conditioned!(update, on, given);
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }

    fn delete(self, on: &Condition) -> Result<TransactWriteItem, Fault> {
        let delete = Delete::builder().table_name(self.table).key("pk", s(self.pk));
        let delete = conditioned!(delete, on, Given::default());
        Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
    }
}
