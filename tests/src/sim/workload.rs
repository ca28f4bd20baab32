//! What clients send: few keys and few values, so that batches meet.

use serde_json::{Map, Value, json};

use super::rng::Rng;

/// The entities, as the service reads them.
pub(super) const MODEL: &str = "
components:
  schemas:
    node:
      type: object
      x-af-concurrency-control: version
      properties:
        node_id: {type: string, minLength: 1, maxLength: 40, x-af-primary-key: manual}
        label: {type: string, maxLength: 120, nullable: true, x-unique: true}
        parent_id: {type: string, maxLength: 40, nullable: true, x-references: node.node_id, x-index: true}
        mark: {type: string, maxLength: 120}
        version: {type: integer}
    item:
      type: object
      required: [node_id]
      properties:
        item_id: {type: integer, x-af-primary-key: auto}
        node_id: {type: string, maxLength: 40, x-references: node.node_id, x-index: true}
        mark: {type: string, maxLength: 120}
";

pub(super) const TENANTS: [&str; 2] = ["east", "west"];
const NODES: [&str; 4] = ["a", "b", "c", "d"];
const LABELS: [&str; 3] = ["x", "y", "z"];

/// A value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Arg {
    Known(Value),
    /// A field of the first row that another operation of the batch tells.
    Of(usize, &'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Create,
    Read,
    Update,
    Delete,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Op {
    pub entity: &'static str,
    pub action: Action,
    /// The key of the row; for a creation the one it is to have, if the client chooses.
    pub id: Option<Arg>,
    pub set: Vec<(&'static str, Arg)>,
    /// The version that is expected.
    pub version: Option<u64>,
    /// Reads the rows whose parent this is, by index.
    pub below: Option<Arg>,
    pub after: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Batch {
    pub tenant: usize,
    pub ops: Vec<Op>,
    pub atomic: bool,
    pub going_on: bool,
    pub prefer: Option<Prefer>,
    /// How long it may run, in milliseconds.
    pub timeout: Option<u64>,
    pub key: Option<String>,
}

/// How a client wants to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefer {
    /// At once.
    Async,
    /// After so many seconds.
    Wait(u64),
}

impl Prefer {
    pub fn header(self) -> String {
        match self {
            Self::Async => "respond-async".to_owned(),
            Self::Wait(seconds) => format!("wait={seconds}"),
        }
    }
}

pub(super) fn key_of(entity: &str) -> &'static str {
    if entity == "node" { "node_id" } else { "item_id" }
}

/// The field that names the parent.
pub(super) fn parent_of(entity: &str) -> &'static str {
    if entity == "node" { "parent_id" } else { "node_id" }
}

impl Op {
    /// The operations it takes values from.
    pub fn refers(&self) -> Vec<usize> {
        let args = self.set.iter().map(|(_, arg)| arg).chain(&self.id).chain(&self.below);
        let of = args.filter_map(|arg| match arg {
            Arg::Of(op, _) => Some(*op),
            Arg::Known(_) => None,
        });
        of.collect()
    }

    /// The operations it takes values from or waits for.
    pub fn needs(&self) -> Vec<usize> {
        let mut needed = self.refers();
        needed.extend(&self.after);
        needed
    }

    fn body(&self, place: usize) -> Value {
        let mut query = Map::new();
        let mut store: Map<String, Value> =
            self.set.iter().map(|(name, arg)| ((*name).to_owned(), written(arg))).collect();
        let id = self.id.iter().map(|id| (key_of(self.entity).to_owned(), written(id)));
        let name = match self.action {
            Action::Create => {
                store.extend(id);
                "create"
            }
            Action::Read => {
                query.extend(id);
                query.extend(self.below.iter().map(|id| (parent_of(self.entity).to_owned(), written(id))));
                "read"
            }
            Action::Update => {
                query.extend(id);
                store.extend(self.version.map(|version| ("version".to_owned(), version.into())));
                "update"
            }
            Action::Delete => {
                query.extend(id);
                "delete"
            }
        };
        let after: Vec<String> = self.after.iter().map(|op| format!("o{op}")).collect();
        let mut body = json!({ "id": format!("o{place}"), "entity": self.entity, "action": name });
        for (name, value) in [("query_params", query), ("store_params", store)] {
            if !value.is_empty() {
                body[name] = value.into();
            }
        }
        if !after.is_empty() {
            body["depends_on"] = after.into();
        }
        body
    }
}

fn written(arg: &Arg) -> Value {
    match arg {
        Arg::Known(value) => value.clone(),
        Arg::Of(op, field) => format!("$ref:o{op}.{field}").into(),
    }
}

impl Batch {
    /// The request; `number` is told as the client's reference, so that the batch is known by what is stored.
    pub fn body(&self, number: usize) -> Value {
        let ops: Vec<Value> = self.ops.iter().enumerate().map(|(place, op)| op.body(place)).collect();
        let mut options =
            json!({ "atomic": self.atomic, "continueOnError": self.going_on, "reference": number.to_string() });
        if let Some(timeout) = self.timeout {
            options["timeout"] = timeout.into();
        }
        json!({ "operations": ops, "options": options })
    }
}

fn known(value: impl Into<Value>) -> Arg {
    Arg::Known(value.into())
}

fn plain(entity: &'static str, action: Action) -> Op {
    Op { entity, action, id: None, set: Vec::new(), version: None, below: None, after: Vec::new() }
}

/// The rows there are at the beginning.
pub(super) fn beginning(tenant: usize) -> Batch {
    let node = |id: &str, label: &str| Op {
        id: Some(known(id)),
        set: vec![("label", known(label)), ("mark", known(format!("first {id}")))],
        ..plain("node", Action::Create)
    };
    let item =
        Op { set: vec![("node_id", known("a")), ("mark", known("first item"))], ..plain("item", Action::Create) };
    let ops = vec![node("a", "x"), node("b", "y"), item];
    Batch { tenant, ops, atomic: true, going_on: false, prefer: None, timeout: None, key: Some("first".into()) }
}

/// The batch of that number. A `wide` one is all or nothing, and touches many rows.
pub(super) fn batch(rng: &mut Rng, number: usize, wide: bool) -> Batch {
    let most = if rng.sometimes(300) { 7 } else { 4 };
    let count = 1 + rng.below(most) + usize::from(wide);
    let mut ops: Vec<Op> = Vec::new();
    let reads = rng.sometimes(100);
    for place in 0..count {
        let mark = format!("m{number}.{place}");
        let mut op = if reads { read(rng, &ops) } else { operation(rng, &ops, mark) };
        if place > 0 && rng.sometimes(100) {
            op.after.push(rng.below(place));
        }
        ops.push(op);
    }
    Batch {
        tenant: usize::from(rng.sometimes(250)),
        ops,
        atomic: wide || rng.sometimes(550),
        going_on: rng.sometimes(400),
        prefer: match rng.below(20) {
            0..10 => Some(Prefer::Async),
            10 => Some(Prefer::Wait(0)),
            11 => Some(Prefer::Wait(1)),
            _ => None,
        },
        timeout: if rng.sometimes(120) { Some(*rng.of(&[20, 200, 3_000, 60_000])) } else { None },
        key: rng.sometimes(850).then(|| format!("k{number}")),
    }
}

/// The same, with operations of which one writes into a row what another has read in a second row: what was read must
/// still be so when it is written.
pub(super) fn relying(rng: &mut Rng, number: usize, batch: Batch) -> Batch {
    let (from, to) = if rng.sometimes(500) { ("a", "b") } else { ("b", "a") };
    let read = Op { id: Some(known(from)), ..plain("node", Action::Read) };
    let write = Op { id: Some(known(to)), set: vec![("mark", Arg::Of(0, "mark"))], ..plain("node", Action::Update) };
    let mut ops = vec![read, write];
    if rng.sometimes(300) {
        ops.push(operation(rng, &ops, format!("m{number}.2")));
    }
    Batch { tenant: 0, ops, atomic: true, ..batch }
}

fn operation(rng: &mut Rng, before: &[Op], mark: String) -> Op {
    let mut set = vec![("mark", known(mark))];
    match rng.below(100) {
        0..24 => {
            set.extend(label(rng).map(|label| ("label", label)));
            if rng.sometimes(400) {
                set.push(("parent_id", node(rng, before)));
            }
            Op { id: Some(known(*rng.of(&NODES))), set, ..plain("node", Action::Create) }
        }
        24..40 => {
            set.push(("node_id", node(rng, before)));
            Op { set, ..plain("item", Action::Create) }
        }
        40..66 => {
            match rng.below(6) {
                0 | 1 => set.extend(label(rng).map(|label| ("label", label))),
                2 => set.push(("parent_id", if rng.sometimes(300) { known(Value::Null) } else { node(rng, before) })),
                3 => set[0].1 = value(rng, before, "mark").unwrap_or_else(|| set[0].1.clone()),
                _ => {}
            }
            let version = rng.sometimes(150).then(|| 1 + rng.next() % 3);
            Op { id: Some(node(rng, before)), set, version, ..plain("node", Action::Update) }
        }
        66..72 => {
            if rng.sometimes(600) {
                set.push(("node_id", node(rng, before)));
            }
            Op { id: Some(item(rng, before)), set, ..plain("item", Action::Update) }
        }
        72..82 => Op { id: Some(node(rng, before)), ..plain("node", Action::Delete) },
        82..88 => Op { id: Some(item(rng, before)), ..plain("item", Action::Delete) },
        _ => read(rng, before),
    }
}

fn read(rng: &mut Rng, before: &[Op]) -> Op {
    match rng.below(4) {
        0 => Op { below: Some(node(rng, before)), ..plain("item", Action::Read) },
        1 => Op { below: Some(node(rng, before)), ..plain("node", Action::Read) },
        _ => Op { id: Some(node(rng, before)), ..plain("node", Action::Read) },
    }
}

fn label(rng: &mut Rng) -> Option<Arg> {
    rng.sometimes(600).then(|| if rng.sometimes(150) { known(Value::Null) } else { known(*rng.of(&LABELS)) })
}

fn node(rng: &mut Rng, before: &[Op]) -> Arg {
    let told = if rng.sometimes(300) { value(rng, before, "node_id") } else { None };
    told.unwrap_or_else(|| known(*rng.of(&NODES)))
}

fn item(rng: &mut Rng, before: &[Op]) -> Arg {
    let told = if rng.sometimes(400) { value(rng, before, "item_id") } else { None };
    told.unwrap_or_else(|| known(1 + rng.below(3)))
}

/// A field that an operation before tells, if one does.
fn value(rng: &mut Rng, before: &[Op], field: &'static str) -> Option<Arg> {
    let has = |op: &Op| field == "mark" || field == "node_id" || op.entity == "item";
    let places: Vec<usize> = (0..before.len()).filter(|place| has(&before[*place])).collect();
    (!places.is_empty()).then(|| Arg::Of(*rng.of(&places), field))
}
