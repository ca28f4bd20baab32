//! Batches out of random bytes: each decision takes the next byte, and no byte is the plainest decision, so that what fails
//! shrinks to something short.

use serde_json::{Value, json};

use crate::batch::{Action, Batch, Cond, Meta, Op, Val};
use crate::interpret::Tables;
use crate::schema::{ENTITIES, Entity, Field, KeyKind, Kind, Server};

/// Some rows to begin with.
pub fn beginning() -> Batch {
    let mut ops = Vec::new();
    let mut create = |entity: &str, store: Vec<(&'static str, Value)>| {
        let store = store.into_iter().map(|(name, value)| (name, Val::Known(value))).collect();
        let (entity, query, meta) = (crate::schema::entity(entity), Vec::new(), Meta::default());
        ops.push(Op {
            id: None,
            entity,
            action: Action::Create,
            store,
            query,
            meta,
            depends_on: Vec::new(),
            bad: None,
        });
    };
    create("node", vec![("node_id", json!("n0")), ("label", json!("l0")), ("rank", json!(1))]);
    create("node", vec![("node_id", json!("n1")), ("rank", json!(2)), ("parent_id", json!("n0"))]);
    create("node", vec![("node_id", json!("n2")), ("label", Value::Null), ("origin", json!("here"))]);
    create("item", vec![("node_id", json!("n1")), ("code", json!(1)), ("amount", json!(0.5))]);
    create("item", vec![("node_id", json!("n2"))]);
    create("page", vec![("slug", json!("l1")), ("node_id", json!("n0"))]);
    create("page", vec![("page_id", json!("p1"))]);
    create("flag", vec![("flag_id", json!(1)), ("name", json!("l2"))]);
    create("flag", vec![("flag_id", json!(2)), ("of_flag", json!(1))]);
    Batch { ops, atomic: false, continue_on_error: false }
}

/// Decisions to come.
pub struct Tape<'a>(std::slice::Iter<'a, u8>);

impl Tape<'_> {
    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte)) % n.max(1)
    }

    /// True `times` in 100.
    pub fn sometimes(&mut self, times: usize) -> bool {
        // The least bytes say no.
        self.0.next().map_or(0, |byte| usize::from(*byte)) * 100 >= (100 - times) * 256
    }

    /// One of `choices`.
    pub fn of<'t, T>(&mut self, choices: &'t [T]) -> &'t T {
        &choices[self.below(choices.len())]
    }
}

/// The batch that `options` and, for each operation, `tapes` stand for, over what there is in `tables`.
pub fn batch(tables: &Tables, options: u8, tapes: &[Vec<u8>]) -> Batch {
    let mut tapes: Vec<Tape<'_>> = tapes.iter().map(|tape| Tape(tape.iter())).collect();
    // What an operation may refer to comes before it in this order, which is not that of the request.
    let mut places: Vec<(usize, usize)> =
        tapes.iter_mut().map(|tape| tape.below(4)).enumerate().map(|(i, place)| (place, i)).collect();
    places.sort_unstable();
    let mut ops: Vec<Option<Op>> = vec![None; tapes.len()];
    for (at, (_, index)) in places.iter().enumerate() {
        let before = places[..at].iter().map(|(_, other)| *other).collect();
        let op = Maker { tables, before, ops: &ops, tape: &mut tapes[*index], index: *index }.make();
        ops[*index] = Some(op);
    }
    let ops = ops.into_iter().map(|op| op.expect("every operation is made")).collect();
    Batch { ops, atomic: options & 1 == 0, continue_on_error: !options.is_multiple_of(3) }
}

/// Makes one operation.
pub struct Maker<'a, 't> {
    pub tables: &'a Tables,
    /// What it may refer to.
    pub before: Vec<usize>,
    /// Those made so far.
    pub ops: &'a [Option<Op>],
    pub tape: &'a mut Tape<'t>,
    index: usize,
}

impl Maker<'_, '_> {
    fn make(mut self) -> Op {
        let action = *self.tape.of(&[
            Action::Create,
            Action::Create,
            Action::Create,
            Action::Update,
            Action::Update,
            Action::Delete,
            Action::Read,
            Action::Read,
        ]);
        let entity = &ENTITIES[*self.tape.of(&[0, 0, 0, 1, 1, 2, 3])];
        let id = (!self.tape.sometimes(10)).then(|| format!("o{}", self.index));
        let mut op = Op {
            id,
            entity,
            action,
            store: Vec::new(),
            query: Vec::new(),
            meta: Meta::default(),
            depends_on: Vec::new(),
            bad: None,
        };
        match action {
            Action::Create => self.store(&mut op),
            Action::Update => {
                op.query = self.named(entity);
                self.store(&mut op);
            }
            Action::Delete => op.query = self.named(entity),
            Action::Read => self.read(&mut op),
        }
        if !self.before.is_empty() && self.tape.sometimes(15) {
            op.depends_on.push(*self.tape.of(&self.before));
        }
        if self.tape.0.clone().next().is_some_and(|byte| *byte >= 254) {
            op.bad = Some(self.bad(action));
        }
        op
    }

    fn bad(&mut self, action: Action) -> &'static str {
        self.tape.below(1);
        let anyhow = ["UNKNOWN_DEPENDENCY", "UNKNOWN_ACTION", "UNKNOWN_ENTITY"];
        let writes = ["READ_ONLY", "UNKNOWN_FIELD", "INVALID_VALUE"];
        match (self.tape.below(7), action) {
            (at @ 0..3, Action::Create | Action::Update) => writes[at],
            (3, Action::Update | Action::Delete) => "PRIMARY_KEY_REQUIRED",
            (at, _) => anyhow[at % 3],
        }
    }

    /// `store_params` of a create or an update.
    fn store(&mut self, op: &mut Op) {
        let (entity, creates) = (op.entity, op.action == Action::Create);
        for field in entity.fields {
            let is_key = field.name == entity.key;
            let is_version = field.server == Some(Server::Version);
            let allowed = match (is_key, creates) {
                (true, true) => entity.key_kind != KeyKind::Auto,
                (true, false) => false,
                (false, true) => field.server.is_none(),
                (false, false) => (field.server.is_none() || is_version) && !field.create_only,
            };
            let must = creates && entity.required.contains(&field.name);
            if allowed && (must || self.tape.sometimes(if is_version { 15 } else { 45 })) {
                op.store.push((field.name, self.value(entity, field, creates && is_key)));
            }
        }
        if !creates && op.store.is_empty() {
            let first =
                entity.fields.iter().find(|field| field.name != entity.key && field.nullable).expect("such a field");
            op.store.push((first.name, self.value(entity, first, false)));
        }
    }

    /// The key, and now and then another condition.
    fn named(&mut self, entity: &'static Entity) -> Vec<Cond> {
        let key = entity.field(entity.key);
        let value = self.value(entity, key, false);
        let value = if self.tape.sometimes(10) { self.null().map_or(value, Val::Whole) } else { value };
        let mut all = vec![Cond { field: entity.key, op: "", operands: vec![value] }];
        if self.tape.sometimes(20) {
            all.extend(self.condition(entity));
        }
        all
    }

    fn condition(&mut self, entity: &'static Entity) -> Option<Cond> {
        let field = self.tape.of(entity.fields);
        if field.name == entity.key
            || field.kind == Kind::Flag
            || matches!(field.server, Some(Server::Time | Server::WriteTime))
        {
            return None;
        }
        let text = field.kind == Kind::Text;
        let op = *self.tape.of(&[
            "",
            "eq",
            "ne",
            "in",
            "not-in",
            "lt",
            "le",
            "gt",
            "ge",
            "between",
            "not-between",
            if text { "like" } else { "" },
            if text { "not-like" } else { "ne" },
        ]);
        let operands = match op {
            "like" | "not-like" => vec![Val::Known(json!(self.tape.of(&["l*", "*1", "?2", "*", "n?", "x"])))],
            "between" | "not-between" => vec![self.plain(entity, field, false), self.plain(entity, field, false)],
            "in" | "not-in" => (0..=self.tape.below(3)).map(|_| self.plain(entity, field, false)).collect(),
            "" => vec![self.value(entity, field, false)],
            _ if self.tape.sometimes(20) => vec![self.value(entity, field, false)],
            _ => vec![self.plain(entity, field, false)],
        };
        // Text behind an operator holds no further one; null there would be the text `null`.
        let split = |value: &Val| {
            matches!(value, Val::Known(Value::Null))
                || matches!(value, Val::Known(Value::String(text)) if text.contains(['$', ',']))
        };
        let cond = Cond { field: field.name, op, operands };
        (op.is_empty() || !cond.operands.iter().any(split)).then_some(cond)
    }

    fn read(&mut self, op: &mut Op) {
        let entity = op.entity;
        let key = entity.field(entity.key);
        match self.tape.below(6) {
            0 | 1 => op.query = self.named(entity),
            2 => {
                let operands = (0..=self.tape.below(4)).map(|_| self.plain(entity, key, false)).collect();
                op.query = vec![Cond { field: entity.key, op: "in", operands }];
            }
            3 | 4 if entity.fields.iter().any(|field| field.slot.is_some()) => {
                let indexed: Vec<&Field> = entity.fields.iter().filter(|field| field.slot.is_some()).collect();
                let field = *self.tape.of(&indexed);
                let null = if self.tape.sometimes(10) { self.null() } else { None };
                let value = match null.map_or_else(|| self.value(entity, field, false), Val::Whole) {
                    Val::Known(Value::Null) => self.plain(entity, field, false),
                    value => value,
                };
                op.query = vec![Cond { field: field.name, op: "", operands: vec![value] }];
                let more = self.tape.sometimes(20).then(|| self.condition(entity)).flatten();
                op.query.extend(more.filter(|more| more.field != field.name));
            }
            _ => {
                op.meta.limit = Some(Val::Known(json!(1 + self.tape.below(60))));
                let conditions = if self.tape.sometimes(50) { self.condition(entity) } else { None };
                op.query.extend(conditions);
            }
        }
        if self.tape.sometimes(40) {
            let others: Vec<&Field> = entity.fields.iter().filter(|field| field.name != entity.key).collect();
            let first = self.tape.of(&others).name;
            op.meta.sort = vec![(first, self.tape.sometimes(50)), (entity.key, self.tape.sometimes(30))];
        }
        if op.meta.limit.is_none() && self.tape.sometimes(20) {
            op.meta.limit = Some(if self.tape.sometimes(30) {
                self.reference(Kind::Integer, None).map_or(Val::Known(json!("2")), Val::Whole)
            } else {
                Val::Known(json!(1 + self.tape.below(3)))
            });
        }
        op.meta.offset = self.tape.sometimes(15).then(|| self.tape.below(3));
        op.meta.count = self.tape.sometimes(20);
        if self.tape.sometimes(20) {
            let more: &[&str] = match entity.name {
                "node" => &["*_id", "n*", "above:*", "below:*", "below:node_id", "above:?a*"],
                "page" => &["*_id", "version"],
                _ => &["*_id", "n*"],
            };
            op.meta.properties = Some(vec![entity.key, *self.tape.of(more)]);
        }
        op.meta.underscored = self.tape.sometimes(20);
    }
}
