//! Random rules, rows, callers and narrowings, out of a tape of numbers, so that chance can be shrunk.

use std::collections::{BTreeMap, BTreeSet};

use batch_core::auth::{Caller, Snapshot};
use batch_core::model::Model;
use serde_json::{Map, Value, json};

use super::naive::{Expr, FIELDS, PATTERNS, Row, Rule, Rules, Side, Who};

const ROLES: [&str; 4] = ["*", "clerk", "boss", "admin"];

/// Numbers to decide by; behind its end are only zeros.
pub struct Tape<'a>(&'a [u8]);

impl<'a> Tape<'a> {
    pub fn new(numbers: &'a [u8]) -> Self {
        Self(numbers)
    }

    pub fn below(&mut self, end: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % end
    }

    pub fn sometimes(&mut self, percent: usize) -> bool {
        self.below(100) + percent >= 100
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn some<T: Clone>(&mut self, all: &[T], percent: usize) -> Vec<T> {
        all.iter().filter(|_| self.sometimes(percent)).cloned().collect()
    }

    fn side(&mut self, field: &str, test: &str) -> Side {
        let numeric = field == "level";
        let value = |tape: &mut Self| {
            if numeric { json!(tape.below(4)) } else { tape.text() }
        };
        match (test, self.below(5)) {
            (_, 0) => Side::Claim("sub"),
            (_, 1) => Side::Claim("teams"),
            (_, 2) => Side::Claim(self.of(&["rank", "gone", "roles", "scope"])),
            ("in", _) => Side::List((0..=self.below(2)).map(|_| value(self)).collect()),
            _ => Side::Literal(value(self)),
        }
    }

    fn text(&mut self) -> Value {
        json!(self.of(&["u0", "u1", "t0", "t1", "it's"]))
    }

    fn expr(&mut self, depth: usize) -> Expr {
        match self.below(if depth == 0 { 4 } else { 7 }) {
            4 => Expr::And(Box::new(self.expr(depth - 1)), Box::new(self.expr(depth - 1))),
            5 => Expr::Or(Box::new(self.expr(depth - 1)), Box::new(self.expr(depth - 1))),
            6 => Expr::Not(Box::new(self.expr(depth - 1))),
            _ => {
                let field = self.of(&["owner", "team", "level", "owner"]);
                let test = self.of(&["=", "in", "!=", "<", "<=", ">", ">="]);
                Expr::Compare(field, test, self.side(field, test))
            }
        }
    }

    fn rules(&mut self) -> Vec<Rule> {
        let roles = self.some(&ROLES[..3], 70);
        let rule = |role| Rule {
            role,
            pattern: self.below(PATTERNS.len()),
            condition: self.sometimes(70).then(|| self.expr(2)),
        };
        roles.into_iter().map(rule).collect()
    }

    pub fn row(&mut self, id: &str) -> Row {
        let mut row = Row::from_iter([("thing_id".to_owned(), json!(id))]);
        for field in &FIELDS[1..] {
            let value = match (*field, self.below(6)) {
                (_, 0) => continue,
                (_, 1) => Value::Null,
                ("level", n) => json!(n - 2),
                _ => self.text(),
            };
            row.insert((*field).to_owned(), value);
        }
        row
    }

    /// Values for some fields, the key not among them.
    pub fn given(&mut self) -> Row {
        let mut row = self.row("");
        row.shift_remove("thing_id");
        let kept: BTreeSet<String> = self.some(&row.keys().cloned().collect::<Vec<_>>(), 60).into_iter().collect();
        row.retain(|name, _| kept.contains(name));
        row
    }

    fn who(&mut self) -> Who {
        let roles: BTreeSet<String> = ROLES[1..]
            .iter()
            .filter(|role| self.sometimes(if **role == "admin" { 10 } else { 50 }))
            .map(|role| (*role).to_owned())
            .collect();
        let mut claims = json!({ "sub": self.of(&["u0", "u1"]), "tenant": "acme", "roles": roles });
        if self.sometimes(80) {
            let mut teams: Vec<Value> = self.some(&[json!("t0"), json!("t1"), json!("u0"), json!(1)], 60);
            teams.extend(self.sometimes(10).then_some(Value::Null));
            claims["teams"] = json!(teams);
        }
        if self.sometimes(60) {
            claims["rank"] = self.of(&[0, 1, 2]).into();
        }
        if self.sometimes(40) {
            claims["scope"] = json!({ "a": [1, "b"] });
        }
        Who { roles, claims: claims.as_object().cloned().unwrap_or_default() }
    }

    /// Claims that narrow those of `who`.
    pub fn narrowing(&mut self, who: &Who) -> Map<String, Value> {
        let mut given = Map::new();
        for (name, value) in &who.claims {
            if self.sometimes(50) {
                let less = match value {
                    Value::Array(items) if self.sometimes(20) && !items.is_empty() => {
                        items[self.below(items.len())].clone()
                    }
                    Value::Array(items) => self.some(items, 60).into(),
                    other => other.clone(),
                };
                given.insert(name.clone(), less);
            }
        }
        given
    }
}

/// What `given` makes of `who`.
pub fn narrowed(who: &Who, given: &Map<String, Value>) -> Who {
    let mut claims = who.claims.clone();
    for (name, value) in given {
        if claims[name].is_array() && !value.is_array() {
            claims[name] = json!([value]);
        } else {
            claims[name] = value.clone();
        }
    }
    let named: Vec<&str> = claims["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let roles = named.into_iter().map(str::to_owned).collect();
    Who { roles, claims }
}

/// The same one for the service.
pub fn caller(who: &Who) -> Caller {
    let stored = json!({ "tenant": "acme", "subject": who.claims["sub"], "roles": who.roles, "claims": who.claims });
    serde_json::from_value::<Snapshot>(stored).unwrap().into_caller()
}

/// Everything that decides.
pub struct Case {
    pub rules: Rules,
    pub who: Who,
    pub rows: BTreeMap<String, Row>,
}

impl Case {
    pub fn of(tape: &mut Tape<'_>) -> Self {
        let rules = Rules { read: tape.rules(), write: tape.rules(), delete: tape.rules() };
        let who = tape.who();
        let rows = ["k0", "k1", "k2"].map(|id| (id.to_owned(), tape.row(id)));
        Self { rules, who, rows: BTreeMap::from(rows) }
    }

    /// The model as a file has it.
    pub fn yaml(&self) -> String {
        let rule = |right: &str, rule: &Rule| {
            let pattern = PATTERNS[rule.pattern].0;
            let text = rule.condition.as_ref().map(Expr::text);
            match (right, text) {
                ("delete", None) => json!(true),
                ("delete", Some(text)) => json!({ "allow": true, "where": text }),
                (_, None) => json!(pattern),
                (_, Some(text)) => json!({ "properties": pattern, "where": text }),
            }
        };
        let of = |right: &str, rules: &[Rule]| -> Map<String, Value> {
            rules.iter().map(|one| (one.role.to_owned(), rule(right, one))).collect()
        };
        let Rules { read, write, delete } = &self.rules;
        let permissions = json!({ "default": {
            "read": of("read", read), "write": of("write", write), "delete": of("delete", delete),
        } });
        let text = json!({ "type": "string", "nullable": true });
        let schema = json!({ "components": { "schemas": { "thing": {
            "type": "object",
            "x-af-permissions": permissions,
            "properties": {
                "thing_id": { "type": "string", "x-af-primary-key": "manual" },
                "owner": text, "team": text, "level": { "type": "integer", "nullable": true }, "secret": text, "note": text,
            },
        } } } });
        // JSON is YAML.
        schema.to_string()
    }

    pub fn model(&self) -> Model {
        Model::from_yaml(&self.yaml()).unwrap_or_else(|problems| panic!("{}\n{problems:?}", self.yaml()))
    }
}
