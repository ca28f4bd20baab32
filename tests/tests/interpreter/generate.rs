//! Batches out of random bytes: each decision takes the next byte, and no byte is the plainest decision, so that what fails
//! shrinks to something short.

use serde_json::{Value, json};

use crate::batch::{Action, Batch, Cond, Meta, Op, Piece, Ref, Val};
use crate::interpret::{Key, Tables, is_removed};
use crate::schema::{ENTITIES, Entity, Field, KeyKind, Kind, Server};

/// Some rows to begin with.
pub fn beginning() -> Batch {
    let mut ops = Vec::new();
    let mut create = |entity: &str, store: Vec<(&'static str, Value)>| {
        let store = store.into_iter().map(|(name, value)| (name, Val::Known(value))).collect();
        let (entity, query, meta) = (crate::schema::entity(entity), Vec::new(), Meta::default());
        ops.push(Op { id: None, entity, action: Action::Create, store, query, meta, depends_on: Vec::new(), bad: None });
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

struct Tape<'a>(std::slice::Iter<'a, u8>);

impl Tape<'_> {
    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte)) % n.max(1)
    }

    /// True `times` in 100.
    fn sometimes(&mut self, times: usize) -> bool {
        // The least bytes say no.
        self.0.next().map_or(0, |byte| usize::from(*byte)) * 100 >= (100 - times) * 256
    }

    fn of<'t, T>(&mut self, choices: &'t [T]) -> &'t T {
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
    Batch { ops, atomic: options & 1 == 0, continue_on_error: options % 3 != 0 }
}

struct Maker<'a, 't> {
    tables: &'a Tables,
    before: Vec<usize>,
    ops: &'a [Option<Op>],
    tape: &'a mut Tape<'t>,
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
            op.bad = self.bad(action);
        }
        op
    }

    fn bad(&mut self, action: Action) -> Option<&'static str> {
        self.tape.below(1);
        let anyhow = ["UNKNOWN_DEPENDENCY", "UNKNOWN_ACTION", "UNKNOWN_ENTITY"];
        let writes = ["READ_ONLY", "UNKNOWN_FIELD", "INVALID_VALUE"];
        Some(match (self.tape.below(7), action) {
            (at @ 0..3, Action::Create | Action::Update) => writes[at],
            (3, Action::Update | Action::Delete) => "PRIMARY_KEY_REQUIRED",
            (at, _) => anyhow[at % 3],
        })
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
        let mut all = vec![Cond { field: entity.key, op: "", operands: vec![self.value(entity, key, false)] }];
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
                let value = match self.value(entity, field, false) {
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
        if self.tape.sometimes(15) {
            op.meta.properties = Some(vec![entity.key, *self.tape.of(&["*_id", "version", "n*"])]);
            if op.entity.name == "item" || op.entity.name == "flag" {
                op.meta.properties = Some(vec![entity.key]);
            }
        }
        op.meta.underscored = self.tape.sometimes(20);
    }

    /// A value for the field: mostly known, else null or out of another operation.
    fn value(&mut self, entity: &'static Entity, field: &'static Field, fresh: bool) -> Val {
        let wanted = if field.name == entity.key { Some(entity.name) } else { field.parent };
        let often = if fresh { 5 } else { 30 };
        if self.tape.sometimes(often) {
            if let Some(reference) = self.reference(field.kind, wanted) {
                let texts = field.kind == Kind::Text && wanted.is_none() && self.tape.sometimes(40);
                return if texts { self.text(reference) } else { Val::Whole(reference) };
            }
        }
        if field.nullable && self.tape.sometimes(15) {
            return Val::Known(Value::Null);
        }
        self.plain(entity, field, fresh)
    }

    fn text(&mut self, reference: Ref) -> Val {
        // A bare reference ends where something stands that no path has.
        let after = *self.tape.of(&["!", " and ", ". So", "-"]);
        let mut pieces = vec![Piece::Text("is ".into()), Piece::Ref(reference.clone()), Piece::Text(after.into())];
        if self.tape.sometimes(30) {
            pieces.push(Piece::Ref(Ref { braced: true, ..reference }));
            pieces.push(Piece::Text("_id".into()));
        }
        Val::Text(pieces)
    }

    /// A known value out of a small choice, so that operations meet; keys mostly of rows that are there, or `fresh`.
    fn plain(&mut self, entity: &'static Entity, field: &'static Field, fresh: bool) -> Val {
        let of = if field.name == entity.key { Some(entity.name) } else { field.parent };
        let n = self.tape.below(6);
        if let Some(of) = of {
            let there = |key: &&Key| key.0 == of && !is_removed(crate::schema::entity(of), &self.tables.rows[*key]);
            let there: Vec<&str> = self.tables.rows.keys().filter(there).map(|key| key.1.as_str()).collect();
            let id = match of {
                "node" => format!("n{n}"),
                "page" => format!("p{n}"),
                "flag" => format!("{}", n + 1),
                _ => "999999".to_owned(),
            };
            let id = match (fresh, there.is_empty()) {
                (true, false) if there.contains(&id.as_str()) && self.tape.sometimes(70) => format!("{id}{}", self.tape.below(10)),
                (false, false) if !self.tape.sometimes(15) => (*self.tape.of(&there)).to_owned(),
                _ => id,
            };
            let text = field.kind == Kind::Text;
            return Val::Known(if text { json!(id) } else { json!(id.parse::<i64>().expect("an integer key")) });
        }
        let value = match field.kind {
            _ if field.server == Some(Server::Version) => json!(1 + self.tape.below(3)),
            Kind::Integer => json!(n),
            Kind::Number => [json!(0.5), json!(1), json!(10.25), json!(-3), json!(7), json!(0)][n].clone(),
            Kind::Flag => json!(n == 0),
            Kind::Text if n == 5 && self.tape.sometimes(30) => json!("$ref:o0.label"),
            Kind::Text => json!(format!("l{}", n + 6 * self.tape.below(2))),
        };
        Val::Known(value)
    }

    /// A reference to an operation before, where there is one; mostly to a value of that kind, or to a key of the entity.
    fn reference(&mut self, kind: Kind, wanted: Option<&str>) -> Option<Ref> {
        let certain = |index: &&usize| {
            let op = self.ops[**index].as_ref().expect("made before");
            let meta = &op.meta;
            let keyed = op.query.first().is_some_and(|cond| cond.field == op.entity.key && cond.op.is_empty());
            let of_manual_key = op.entity.key_kind == KeyKind::Manual;
            let fits = wanted.is_none_or(|wanted| op.entity.name == wanted);
            let records = op.action != Action::Read || keyed || meta.count || (!meta.sort.is_empty() && of_manual_key);
            records && fits && op.bad.is_none()
        };
        let candidates: Vec<usize> = self.before.iter().filter(certain).copied().collect();
        if candidates.is_empty() {
            return None;
        }
        let op = *self.tape.of(&candidates);
        let other = self.ops[op].as_ref().expect("made before");
        let fitting: Vec<&Field> = other.entity.fields.iter().filter(|field| field.kind == kind).collect();
        let field = if other.action == Action::Read && other.meta.count {
            "count"
        } else if wanted.is_some() && !self.tape.sometimes(20) {
            other.entity.key
        } else if fitting.is_empty() || self.tape.sometimes(10) {
            self.tape.of(other.entity.fields).name
        } else {
            self.tape.of(&fitting).name
        };
        Some(Ref { op, field: field.to_owned(), indexed: self.tape.sometimes(25), braced: self.tape.sometimes(40) })
    }
}
