//! A batch as the generator makes it, and its request body. References are known as such; the service reads them out of text.

use serde_json::{Map, Value, json};

use crate::schema::{Entity, KeyKind};

/// A value of a parameter.
#[derive(Debug, Clone)]
pub enum Val {
    Known(Value),
    /// A reference and nothing else.
    Whole(Ref),
    /// Text with references in it.
    Text(Vec<Piece>),
}

/// A piece of text.
#[derive(Debug, Clone)]
pub enum Piece {
    Text(String),
    Ref(Ref),
}

/// A field of another operation's result.
#[derive(Debug, Clone)]
pub struct Ref {
    /// Place in the request.
    pub op: usize,
    pub field: String,
    /// With the index of the record.
    pub indexed: bool,
    /// In braces.
    pub braced: bool,
}

/// A condition; an empty operator is plain equality.
#[derive(Debug, Clone)]
pub struct Cond {
    pub field: &'static str,
    pub op: &'static str,
    pub operands: Vec<Val>,
}

/// `metadata_params`.
#[derive(Debug, Clone, Default)]
pub struct Meta {
    pub sort: Vec<(&'static str, bool)>,
    pub limit: Option<Val>,
    pub offset: Option<usize>,
    pub count: bool,
    pub properties: Option<Vec<&'static str>>,
    /// Names with a leading `__`.
    pub underscored: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Create,
    Read,
    Update,
    Delete,
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Op {
    /// None for the automatic id.
    pub id: Option<String>,
    pub entity: &'static Entity,
    pub action: Action,
    pub store: Vec<(&'static str, Val)>,
    pub query: Vec<Cond>,
    pub meta: Meta,
    pub depends_on: Vec<usize>,
    /// Why the service must refuse it before anything runs.
    pub bad: Option<&'static str>,
}

/// Operations with options.
#[derive(Debug, Clone)]
pub struct Batch {
    pub ops: Vec<Op>,
    pub atomic: bool,
    pub continue_on_error: bool,
}

impl Val {
    /// The references in it.
    pub fn refs(&self) -> Vec<&Ref> {
        match self {
            Self::Known(_) => Vec::new(),
            Self::Whole(reference) => vec![reference],
            Self::Text(pieces) => {
                let refs = pieces.iter().filter_map(|piece| match piece {
                    Piece::Ref(reference) => Some(reference),
                    Piece::Text(_) => None,
                });
                refs.collect()
            }
        }
    }
}

impl Op {
    /// Every value that may hold references.
    fn values(&self) -> impl Iterator<Item = &Val> {
        let conditions = self.query.iter().flat_map(|cond| &cond.operands);
        self.store.iter().map(|(_, value)| value).chain(conditions).chain(&self.meta.limit)
    }
}

impl Batch {
    pub fn id(&self, index: usize) -> String {
        self.ops[index].id.clone().unwrap_or_else(|| format!("op_{index}"))
    }

    /// What `index` waits for.
    pub fn dependencies(&self, index: usize) -> Vec<usize> {
        let op = &self.ops[index];
        let mut all = op.depends_on.clone();
        all.extend(op.values().flat_map(Val::refs).map(|reference| reference.op));
        all
    }

    /// The first operation in the request that waits for nothing any more, again and again.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::new();
        while order.len() < self.ops.len() {
            let ready = |index: &usize| {
                !order.contains(index) && self.dependencies(*index).iter().all(|other| order.contains(other))
            };
            order.push((0..self.ops.len()).find(ready).expect("no cycle"));
        }
        order
    }

    pub fn body(&self) -> Value {
        let ops: Vec<Value> = (0..self.ops.len()).map(|index| self.render(index)).collect();
        json!({ "operations": ops, "options": { "atomic": self.atomic, "continueOnError": self.continue_on_error } })
    }

    fn render(&self, index: usize) -> Value {
        let op = &self.ops[index];
        let mut out = Map::new();
        if let Some(id) = &op.id {
            out.insert("id".into(), json!(id));
        }
        out.insert("entity".into(), json!(op.entity.name));
        let action = match op.action {
            Action::Create => "create",
            Action::Read => "read",
            Action::Update => "update",
            Action::Delete => "delete",
        };
        out.insert("action".into(), json!(action));
        let store: Map<String, Value> =
            op.store.iter().map(|(name, value)| ((*name).to_owned(), self.value(value))).collect();
        let query: Map<String, Value> =
            op.query.iter().map(|cond| (cond.field.to_owned(), self.condition(cond))).collect();
        for (name, params) in
            [("store_params", store), ("query_params", query), ("metadata_params", self.meta(&op.meta))]
        {
            if !params.is_empty() {
                out.insert(name.into(), Value::Object(params));
            }
        }
        if !op.depends_on.is_empty() {
            out.insert("depends_on".into(), op.depends_on.iter().map(|other| json!(self.id(*other))).collect());
        }
        spoil(op, &mut out);
        Value::Object(out)
    }

    fn meta(&self, meta: &Meta) -> Map<String, Value> {
        let mut out = Map::new();
        let mut put = |name: &str, value: Value| {
            out.insert(if meta.underscored { format!("__{name}") } else { name.to_owned() }, value);
        };
        if !meta.sort.is_empty() {
            let parts: Vec<String> = meta
                .sort
                .iter()
                .map(|(name, desc)| if *desc { format!("{name}:desc") } else { (*name).to_owned() })
                .collect();
            put("sort", json!(parts.join(",")));
        }
        if let Some(limit) = &meta.limit {
            put("limit", self.value(limit));
        }
        if let Some(offset) = meta.offset {
            put("offset", json!(offset));
        }
        if meta.count {
            put("count", json!(true));
        }
        if let Some(properties) = &meta.properties {
            put("properties", json!(properties));
        }
        out
    }

    fn condition(&self, cond: &Cond) -> Value {
        if cond.op.is_empty() {
            return self.value(&cond.operands[0]);
        }
        let texts: Vec<String> = cond.operands.iter().map(|operand| text_of(&self.value(operand))).collect();
        json!(format!("{}::{}", cond.op, texts.join(",")))
    }

    fn value(&self, value: &Val) -> Value {
        match value {
            Val::Known(Value::String(text)) => json!(text.replace("$ref:", "$$ref:")),
            Val::Known(value) => value.clone(),
            Val::Whole(reference) => json!(self.reference(reference)),
            Val::Text(pieces) => {
                let texts = pieces.iter().map(|piece| match piece {
                    Piece::Text(text) => text.clone(),
                    Piece::Ref(reference) => self.reference(reference),
                });
                json!(texts.collect::<String>())
            }
        }
    }

    fn reference(&self, reference: &Ref) -> String {
        let index = if reference.indexed { "0." } else { "" };
        let path = format!("{}.{index}{}", self.id(reference.op), reference.field);
        if reference.braced { format!("${{ref:{path}}}") } else { format!("$ref:{path}") }
    }
}

/// A value inside text.
pub fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Adds what makes the operation wrong.
fn spoil(op: &Op, out: &mut Map<String, Value>) {
    let mut store = |name: &str, value: Value| {
        if let Some(params) = out.entry("store_params").or_insert_with(|| json!({})).as_object_mut() {
            params.insert(name.to_owned(), value);
        }
    };
    match op.bad {
        None => {}
        Some("READ_ONLY") if op.action == Action::Update && op.entity.name == "node" => store("origin", json!("x")),
        Some("READ_ONLY") if op.entity.key_kind == KeyKind::Auto => store(op.entity.key, json!(1)),
        Some("READ_ONLY") => {
            let own = op.entity.fields.iter().rfind(|field| field.server.is_some()).expect("a field of the server");
            // In an update a version is the expected one, so a page is told by its mark.
            let name = if op.entity.name == "page" { "removed_at" } else { own.name };
            store(if op.entity.name == "node" { "owner" } else { name }, json!("x"));
        }
        Some("UNKNOWN_FIELD") => store("colour", json!("red")),
        Some("INVALID_VALUE") => store(op.entity.fields[1].name, json!(["x"])),
        Some("UNKNOWN_DEPENDENCY") => drop(out.insert("depends_on".into(), json!(["nobody"]))),
        Some("UNKNOWN_ACTION") => drop(out.insert("action".into(), json!("upsert"))),
        Some("UNKNOWN_ENTITY") => drop(out.insert("entity".into(), json!("nodes"))),
        Some("PRIMARY_KEY_REQUIRED") => drop(out.shift_remove("query_params")),
        Some(other) => panic!("no way to make {other}"),
    }
}
