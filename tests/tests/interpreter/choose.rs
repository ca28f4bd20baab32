//! The values of a generated operation.

use serde_json::{Value, json};

use crate::batch::{Action, Piece, Ref, Val};
use crate::generate::Maker;
use crate::interpret::{Key, is_removed};
use crate::schema::{Entity, Field, KeyKind, Kind, Server};

impl Maker<'_, '_> {
    /// A reference to a field that an operation before has set to null.
    pub fn null(&mut self) -> Option<Ref> {
        let mut nulls = self.before.iter().filter_map(|index| {
            let op = self.ops[*index].as_ref().filter(|op| op.bad.is_none())?;
            let (field, _) = op.store.iter().find(|(_, value)| matches!(value, Val::Known(Value::Null)))?;
            Some(Ref { op: *index, field: (*field).to_owned(), indexed: false, braced: false })
        });
        nulls.next_back()
    }

    /// A value for the field: mostly known, else null or out of another operation.
    pub fn value(&mut self, entity: &'static Entity, field: &'static Field, fresh: bool) -> Val {
        let wanted = if field.name == entity.key { Some(entity.name) } else { field.parent };
        let often = if fresh { 5 } else { 30 };
        if self.tape.sometimes(often)
            && let Some(reference) = self.reference(field.kind, wanted)
        {
            let texts = field.kind == Kind::Text && wanted.is_none() && self.tape.sometimes(40);
            return if texts { self.text(reference) } else { Val::Whole(reference) };
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
    pub fn plain(&mut self, entity: &'static Entity, field: &'static Field, fresh: bool) -> Val {
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
                (true, false) if there.contains(&id.as_str()) && self.tape.sometimes(70) => {
                    format!("{id}{}", self.tape.below(10))
                }
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
    pub fn reference(&mut self, kind: Kind, wanted: Option<&str>) -> Option<Ref> {
        let certain = |index: &&usize| {
            let op = self.ops[**index].as_ref().expect("made before");
            let meta = &op.meta;
            let keyed = op.query.first().is_some_and(|cond| cond.field == op.entity.key && cond.op.is_empty());
            let of_manual_key = op.entity.key_kind == KeyKind::Manual;
            let fits = wanted.is_none_or(|wanted| op.entity.name == wanted);
            let records = op.action != Action::Read || keyed || meta.count || (!meta.sort.is_empty() && of_manual_key);
            records && fits && op.bad.is_none() && !(meta.count && wanted.is_some())
        };
        let candidates: Vec<usize> = self.before.iter().filter(certain).copied().collect();
        if candidates.is_empty() {
            return None;
        }
        let op = *self.tape.of(&candidates);
        let other = self.ops[op].as_ref().expect("made before");
        // What the server chooses is not told of a batch that is undone, so nothing may depend on which value it is.
        let certain = |field: &&Field| {
            let time = matches!(field.server, Some(Server::Time | Server::WriteTime));
            !time && (wanted == Some("item") || field.name != "item_id")
        };
        let told: Vec<&Field> = other.entity.fields.iter().filter(certain).collect();
        let fitting: Vec<&Field> = told.iter().filter(|field| field.kind == kind).copied().collect();
        let field = if other.action == Action::Read && other.meta.count {
            "count"
        } else if wanted.is_some() && !self.tape.sometimes(20) {
            other.entity.key
        } else if fitting.is_empty() || self.tape.sometimes(10) {
            self.tape.of(&told).name
        } else {
            self.tape.of(&fitting).name
        };
        Some(Ref { op, field: field.to_owned(), indexed: self.tape.sometimes(25), braced: self.tape.sometimes(40) })
    }
}
