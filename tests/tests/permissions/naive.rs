//! Rules as their description has them, evaluated without a thought for anything but that description.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Fields of the entity `thing`, the key first.
pub const FIELDS: [&str; 6] = ["thing_id", "owner", "team", "level", "secret", "note"];

/// Patterns, each with the fields it is meant to match.
pub const PATTERNS: [(&str, &[&str]); 10] = [
    (".*", &FIELDS),
    ("owner", &["owner"]),
    ("t.*", &["thing_id", "team"]),
    ("level|note", &["level", "note"]),
    ("[^s].*", &["thing_id", "owner", "team", "level", "note"]),
    ("secret", &["secret"]),
    ("thing_id|owner|team", &["thing_id", "owner", "team"]),
    ("(note|level)?(secret)?", &["level", "secret", "note"]),
    ("own|owner", &["owner"]),
    (r"\w+_id", &["thing_id"]),
];

/// What a field is compared with.
#[derive(Debug, Clone)]
pub enum Side {
    Literal(Value),
    Claim(&'static str),
    List(Vec<Value>),
}

/// A condition.
#[derive(Debug, Clone)]
pub enum Expr {
    Compare(&'static str, &'static str, Side),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
}

/// A rule of a role; of a deletion the pattern counts for nothing.
#[derive(Debug, Clone)]
pub struct Rule {
    pub role: &'static str,
    pub pattern: usize,
    pub condition: Option<Expr>,
}

/// By action.
#[derive(Debug, Clone)]
pub struct Rules {
    pub read: Vec<Rule>,
    pub write: Vec<Rule>,
    pub delete: Vec<Rule>,
}

/// A caller, or a narrowed one.
#[derive(Debug, Clone)]
pub struct Who {
    pub roles: BTreeSet<String>,
    pub claims: Map<String, Value>,
}

pub type Row = Map<String, Value>;

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        other => other.to_string(),
    }
}

impl Expr {
    /// As it is written in a model, with more parentheses than there need be.
    pub fn text(&self) -> String {
        match self {
            Self::Compare(field, test, side) => {
                let side = match side {
                    Side::Literal(value) => literal(value),
                    Side::Claim(name) => format!("${{claims.{name}}}"),
                    Side::List(items) => format!("({})", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
                };
                format!("{field} {test} {side}")
            }
            Self::And(a, b) => format!("({} and {})", a.text(), b.text()),
            Self::Or(a, b) => format!("({} or {})", a.text(), b.text()),
            Self::Not(a) => format!("not ({})", a.text()),
        }
    }

    /// 0 is false, 2 is true, 1 is neither.
    fn truth(&self, row: &Row, who: &Who) -> u8 {
        match self {
            Self::And(a, b) => a.truth(row, who).min(b.truth(row, who)),
            Self::Or(a, b) => a.truth(row, who).max(b.truth(row, who)),
            Self::Not(a) => 2 - a.truth(row, who),
            Self::Compare(field, test, side) => {
                let value = row.get(*field).cloned().unwrap_or(Value::Null);
                let other = match side {
                    Side::Literal(value) => value.clone(),
                    Side::Claim(name) => who.claims.get(*name).cloned().unwrap_or(Value::Null),
                    Side::List(items) => json!(items),
                };
                compare(&value, test, &other)
            }
        }
    }
}

fn compare(value: &Value, test: &str, other: &Value) -> u8 {
    if value.is_null() || value.is_array() || value.is_object() {
        return 1;
    }
    if test == "in" {
        let items = match other {
            Value::Array(items) => items.clone(),
            one => vec![one.clone()],
        };
        return items.iter().map(|item| compare(value, "=", item)).max().unwrap_or(0);
    }
    let order = match (value, other) {
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => a.as_i64().cmp(&b.as_i64()),
        _ => return 1,
    };
    let holds = match test {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    };
    if holds { 2 } else { 0 }
}

impl Who {
    fn is_admin(&self) -> bool {
        self.roles.contains("admin")
    }
}

/// Every field that rules grant to each of `all`, of those rules that `counts` says.
fn granted(rules: &[Rule], all: &[&Who], counts: impl Fn(&Rule, &Who) -> bool) -> BTreeSet<&'static str> {
    let of = |who: &Who| -> BTreeSet<&'static str> {
        if who.is_admin() {
            return FIELDS.into_iter().collect();
        }
        let mut fields = BTreeSet::new();
        for rule in rules {
            if (rule.role == "*" || who.roles.contains(rule.role)) && counts(rule, who) {
                fields.extend(PATTERNS[rule.pattern].1);
            }
        }
        fields
    };
    FIELDS.into_iter().filter(|field| all.iter().all(|who| of(who).contains(field))).collect()
}

fn holds(rule: &Rule, row: &Row, who: &Who) -> bool {
    rule.condition.as_ref().is_none_or(|condition| condition.truth(row, who) == 2)
}

impl Rules {
    /// Fields of the row that all may read.
    pub fn readable(&self, row: &Row, all: &[&Who]) -> BTreeSet<&'static str> {
        granted(&self.read, all, |rule, who| holds(rule, row, who))
    }

    /// Fields that all may read of some row.
    pub fn ever_readable(&self, all: &[&Who]) -> BTreeSet<&'static str> {
        granted(&self.read, all, |_, _| true)
    }

    /// Fields that all may write, from one row to another.
    pub fn writable(&self, before: Option<&Row>, after: &Row, all: &[&Who]) -> BTreeSet<&'static str> {
        granted(&self.write, all, |rule, who| {
            before.is_none_or(|before| holds(rule, before, who)) && holds(rule, after, who)
        })
    }

    /// Whether all may delete the row.
    pub fn deletable(&self, row: &Row, all: &[&Who]) -> bool {
        let may = |who: &&Who| {
            let mut rules = self.delete.iter();
            who.is_admin()
                || rules.any(|rule| (rule.role == "*" || who.roles.contains(rule.role)) && holds(rule, row, who))
        };
        all.iter().all(may)
    }

    /// The row as all see it.
    pub fn seen(&self, row: &Row, all: &[&Who]) -> Option<Row> {
        let fields = self.readable(row, all);
        let kept = row.iter().filter(|(name, _)| fields.contains(name.as_str()));
        (!fields.is_empty()).then(|| kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}
