//! The database, one call at a time, and everything that was ever written to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use batch_core::auth::{ApiKey, ApiKeyRecord};
use batch_core::runtime::Timestamp;
use dynoxide::Database;
use dynoxide::actions::describe_table::DescribeTableRequest;
use serde_json::{Value, json};

use super::client::SUBJECT;
use super::content::CREATORS;
use super::mischief::TOKEN_MS;
use super::mutant::Mutant;
use super::process::BEGIN_MS;
use super::rng::{Rng, entropy};
use super::wire::{Reply, Request, actions, text};
use crate::seam::dispatch;

/// Bytes of the items of one transaction.
const TRANSACTION_BYTES: usize = 4_000_000;

/// Table, partition key, sort key.
pub(super) type ItemKey = (String, String, String);

/// A call that changed something.
#[derive(Debug)]
pub(super) struct Step {
    /// As it was sent, whatever a mutant made of it.
    pub request: Request,
    /// When, in virtual time.
    pub at: i64,
}

/// The database and its past.
pub(super) struct Tables {
    database: Database,
    mutant: Option<Mutant>,
    /// In the order in which they happened.
    pub steps: Vec<Step>,
    /// Each state of each item, with the step that made it.
    pub items: BTreeMap<ItemKey, Vec<(usize, Option<Value>)>>,
    /// Partitions of the batches that were accepted.
    pub heads: BTreeSet<String>,
    tokens: BTreeMap<String, (Arc<Value>, i64)>,
}

impl Tables {
    pub fn new(database: Database, mutant: Option<Mutant>) -> Self {
        Self {
            database,
            mutant,
            steps: Vec::new(),
            items: BTreeMap::new(),
            heads: BTreeSet::new(),
            tokens: BTreeMap::new(),
        }
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The item as it stands.
    pub fn item(&self, key: &ItemKey) -> Option<&Value> {
        self.items.get(key)?.last()?.1.as_ref()
    }

    /// The item as it was before a step.
    pub fn before(&self, key: &ItemKey, step: usize) -> Option<&Value> {
        self.items.get(key)?.iter().rev().find(|(at, _)| *at < step)?.1.as_ref()
    }

    /// Statuses that batches came by.
    pub fn statuses(&self) -> BTreeSet<String> {
        let states = self.items.iter().filter(|((_, _, sk), _)| sk == "A#STATE").flat_map(|(_, states)| states);
        states.filter_map(|(_, state)| Some(text(state.as_ref()?, "status", "S").to_owned())).collect()
    }

    /// Carries a call out at `now`; beside the answer a call that a mutant leaves for later.
    pub fn run(&mut self, request: &Request, now: i64) -> (Reply, Option<Request>) {
        if let Some(token) = request.body["ClientRequestToken"].as_str() {
            return self.commit(request, token, now);
        }
        let Some(mutant) = self.mutant else { return (self.carry_out(request, &request.body, now), None) };
        let mut body = Value::clone(&request.body);
        mutant.spoil_call(&request.operation, &mut body);
        let old = mutant == Mutant::EventualReads && request.operation == "Query" && !request.is_search();
        let reply = old.then(|| self.old_batch(&body)).flatten();
        (reply.unwrap_or_else(|| self.carry_out(request, &body, now)), None)
    }

    fn commit(&mut self, request: &Request, token: &str, now: i64) -> (Reply, Option<Request>) {
        match self.tokens.get(token).filter(|(_, at)| now - at < TOKEN_MS) {
            Some((before, _)) if *before == request.body => return (Reply::ok(&json!({})), None),
            Some(_) => return (Reply::error(400, "IdempotentParameterMismatchException"), None),
            None => {}
        }
        let mut body = Value::clone(&request.body);
        if let Some(body) = body.as_object_mut() {
            body.shift_remove("ClientRequestToken");
        }
        if body.to_string().len() > TRANSACTION_BYTES {
            return (Reply::error(400, "ValidationException"), None);
        }
        let later = self.mutant.and_then(|mutant| mutant.spoil_transaction(&mut body));
        let reply = self.carry_out(request, &body, now);
        if !reply.is_ok() {
            return (reply, None);
        }
        self.tokens.insert(token.to_owned(), (request.body.clone(), now));
        (reply, later)
    }

    fn carry_out(&mut self, request: &Request, body: &Value, now: i64) -> Reply {
        let mut answer = match dispatch(&self.database, &request.operation, body) {
            Ok(answer) => answer,
            Err(refused) => return Reply::Answer(refused.status_code(), refused.to_json()),
        };
        if let Some(mutant) = self.mutant {
            mutant.spoil_answer(&request.operation, &mut answer);
        }
        let writes = match request.operation.as_str() {
            "PutItem" => vec![written("Put", body)],
            "UpdateItem" => vec![written("Update", body)],
            "DeleteItem" => vec![written("Delete", body)],
            "TransactWriteItems" => {
                let writes = actions(body).into_iter().filter(|(kind, _)| *kind != "ConditionCheck");
                writes.map(|(kind, action)| written(kind, action)).collect()
            }
            _ => return Reply::ok(&answer),
        };
        let step = self.steps.len();
        for (key, after) in writes {
            let after = match after {
                After::Is(item) => item,
                After::Computed => self.read(&key),
            };
            if key.2 == "A#HEAD" {
                self.heads.insert(key.1.clone());
            }
            self.items.entry(key).or_default().push((step, after));
        }
        self.steps.push(Step { request: request.clone(), at: now });
        Reply::ok(&answer)
    }

    fn read(&self, (table, pk, _): &ItemKey) -> Option<Value> {
        let get = json!({ "TableName": table, "Key": { "pk": { "S": pk } }, "ConsistentRead": true });
        let answer = dispatch(&self.database, "GetItem", &get).ok()?;
        answer.get("Item").cloned()
    }

    /// An index as it was before `step`.
    pub fn search(&self, request: &Request, step: usize) -> Option<Reply> {
        let body = &request.body;
        if body.get("ExclusiveStartKey").is_some() {
            return None;
        }
        let hash = body["ExpressionAttributeNames"]["#g"].as_str()?;
        let wanted = &body["ExpressionAttributeValues"][":g"];
        let limit = body["Limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let table = body["TableName"].as_str()?;
        let mut found: Vec<(String, Value)> = Vec::new();
        for (key, _) in self.items.range((table.to_owned(), String::new(), String::new())..) {
            if key.0 != table {
                break;
            }
            if let Some(item) = self.before(key, step).filter(|item| item[hash] == *wanted) {
                let kept = ["pk", "sk", "at", hash].into_iter();
                let kept = kept.filter_map(|name| Some((name.to_owned(), item.get(name)?.clone())));
                found.push((text(item, "at", "S").to_owned() + &key.1, Value::Object(kept.collect())));
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        if body["ScanIndexForward"] == false {
            found.reverse();
        }
        let items: Vec<Value> = found.into_iter().take(limit).map(|(_, item)| item).collect();
        Some(Reply::ok(&json!({ "Count": items.len(), "ScannedCount": items.len(), "Items": items })))
    }

    /// Head and state of a batch as they were before the last write of them.
    fn old_batch(&self, body: &Value) -> Option<Reply> {
        let pk = body["ExpressionAttributeValues"][":pk"]["S"].as_str()?;
        let of = |sk: &str| self.items.get_key_value(&("BatchesTable".into(), pk.to_owned(), sk.to_owned()));
        let head = of("A#HEAD")?.1.last()?.1.clone();
        let states = of("A#STATE").map(|(_, states)| states.as_slice()).unwrap_or_default();
        let old = states.iter().rev().nth(1).and_then(|(_, state)| state.clone());
        // Every other read is an old one.
        if self.steps.len().is_multiple_of(2) {
            return None;
        }
        let items: Vec<Value> = head.into_iter().chain(old).collect();
        Some(Reply::ok(&json!({ "Count": items.len(), "ScannedCount": items.len(), "Items": items })))
    }
}

/// The deployment's tables, empty. The template is read once.
pub(super) fn database() -> Database {
    static TABLES: OnceLock<Vec<Value>> = OnceLock::new();
    let definitions = TABLES.get_or_init(|| {
        let database = batch_local::database_in_memory().expect("an empty database");
        ["BatchesTable", "RecordsTable", "SearchTable", "ControlTable"].map(|name| definition(&database, name)).to_vec()
    });
    let database = Database::memory().expect("a database");
    for table in definitions {
        dispatch(&database, "CreateTable", table).expect("the table is made");
    }
    database
}

fn definition(database: &Database, name: &str) -> Value {
    let found = database.describe_table(DescribeTableRequest { table_name: name.to_owned() });
    let found = serde_json::to_value(found.expect("the table is there").table).expect("a table");
    let mut table = json!({ "TableName": name, "BillingMode": "PAY_PER_REQUEST" });
    for part in ["AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes"] {
        if let Some(value) = found.get(part).filter(|value| !value.is_null()) {
            table[part] = value.clone();
        }
    }
    for index in table["GlobalSecondaryIndexes"].as_array_mut().into_iter().flatten() {
        *index = json!({
            "IndexName": index["IndexName"],
            "KeySchema": index["KeySchema"],
            "Projection": index["Projection"],
        });
    }
    table
}

/// Stores a key of the only client of a tenant.
pub(super) fn api_key(database: &Database, tenant: &str, rng: &mut Rng) -> String {
    let key = ApiKey::generate(&entropy(rng.next()).bytes());
    let record = ApiKeyRecord {
        id: key.id().clone(),
        hash: key.sha256_hex(),
        tenant: tenant.try_into().expect("a tenant"),
        subject: SUBJECT.try_into().expect("a subject"),
        roles: std::iter::empty().collect(),
        claims: serde_json::Map::from_iter([("creators".to_owned(), json!(CREATORS))]),
        created_at: Timestamp(BEGIN_MS),
        expires_at: None,
    };
    let record = serde_json::to_string(&record).expect("a record");
    let item = json!({ "pk": { "S": format!("K#{}", key.id().as_str()) }, "record": { "S": record } });
    let put = json!({ "TableName": "ControlTable", "Item": item });
    dispatch(database, "PutItem", &put).expect("the key is stored");
    key.expose().to_owned()
}

/// What is known of an item after a write.
enum After {
    Is(Option<Value>),
    /// The database has to be asked.
    Computed,
}

fn written(kind: &str, action: &Value) -> (ItemKey, After) {
    let item = if kind == "Put" { &action["Item"] } else { &action["Key"] };
    let table = action["TableName"].as_str().unwrap_or_default();
    let key = (table.to_owned(), text(item, "pk", "S").to_owned(), text(item, "sk", "S").to_owned());
    let after = match kind {
        "Put" => After::Is(Some(item.clone())),
        "Delete" => After::Is(None),
        _ => After::Computed,
    };
    (key, after)
}
