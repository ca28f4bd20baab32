//! Reads `where`: comparisons of a field with a literal or `${claims.name}`, joined by `and`, `or`, `not` and parentheses.
//!
//! ```text
//! any     = all { "or" all }
//! all     = one { "and" one }
//! one     = "not" one | "(" any ")" | field test operand | field "in" ( "(" literal { "," literal } ")" | claim )
//! test    = "=" | "!=" | "<" | "<=" | ">" | ">="
//! operand = literal | claim
//! literal = 'text', where '' is a quote | number | true | false
//! claim   = "${claims." name "}"
//! ```

use serde_json::{Number, Value};

use super::condition::{Condition, Node, Operand, Test};
use crate::decimal;
use crate::json::clip;
use crate::limits::MAX_SHOWN;
use crate::model::entity::{Field, Kind};
use crate::model::error::hint;

/// Longest text of a condition, bytes.
const MAX_TEXT: usize = 2_000;

/// Parentheses and `not` within each other: reading and evaluation go as deep.
const MAX_DEPTH: usize = 20;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Literal(Value),
    Claim(String),
    Symbol(&'static str),
}

/// Longest first.
const SYMBOLS: [&str; 9] = ["!=", "<=", ">=", "=", "<", ">", "(", ")", ","];

/// Reads the condition `text` on rows with these `fields`.
pub(super) fn parse(text: &str, fields: &[Field]) -> Result<Condition, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("is longer than {MAX_TEXT} bytes"));
    }
    let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), fields, depth: 0 };
    let node = parser.any()?;
    match parser.tokens.next() {
        None => Ok(Condition(node)),
        Some(token) => Err(format!("ends before {}; and, or are written between comparisons", shown(Some(&token)))),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let (mut tokens, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let (token, after) = token(rest)?;
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn token(text: &str) -> Result<(Token, &str), String> {
    if let Some(claim) = text.strip_prefix("${") {
        let (name, rest) = claim.split_once('}').ok_or("has ${ without its }")?;
        let name = name.strip_prefix("claims.").filter(|name| !name.is_empty() && !name.contains(char::is_whitespace));
        return match name {
            Some(name) => Ok((Token::Claim(name.to_owned()), rest)),
            None => Err("knows only ${claims.<name>}".to_owned()),
        };
    }
    if let Some(quoted) = text.strip_prefix('\'') {
        return string(quoted).ok_or_else(|| "has a quote that does not end".to_owned());
    }
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| text.starts_with(**symbol)) {
        return Ok((Token::Symbol(symbol), text.get(symbol.len()..).unwrap_or_default()));
    }
    let part = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '+' | '-');
    let end = text.find(|char| !part(char)).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    match word.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => Ok((word_token(word), rest)),
        Some(_) => match decimal::canonical(word).ok().and_then(|number| number.parse::<Number>().ok()) {
            Some(number) => Ok((Token::Literal(Value::Number(number)), rest)),
            None => Err(format!("has {:?}, which is no number", clip(word, MAX_SHOWN))),
        },
        None => Err(format!("has {:?}, which means nothing here", clip(text, 1))),
    }
}

fn word_token(word: &str) -> Token {
    match word {
        "true" | "false" => Token::Literal(Value::Bool(word == "true")),
        "null" => Token::Literal(Value::Null),
        _ => Token::Word(word.to_owned()),
    }
}

/// The text up to the quote that ends it, and what follows.
fn string(quoted: &str) -> Option<(Token, &str)> {
    let (mut text, mut rest) = (String::new(), quoted);
    loop {
        let (before, after) = rest.split_once('\'')?;
        text.push_str(before);
        match after.strip_prefix('\'') {
            Some(more) => {
                text.push('\'');
                rest = more;
            }
            None => return Some((Token::Literal(Value::String(text)), after)),
        }
    }
}

struct Parser<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    fields: &'a [Field],
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Node, String> {
        let mut parts = vec![self.all()?];
        while self.takes_word("or") {
            parts.push(self.all()?);
        }
        Ok(join(parts, Node::Any))
    }

    fn all(&mut self) -> Result<Node, String> {
        let mut parts = vec![self.one()?];
        while self.takes_word("and") {
            parts.push(self.one()?);
        }
        Ok(join(parts, Node::All))
    }

    fn one(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("is nested more than {MAX_DEPTH} levels deep"));
        }
        let node = match self.tokens.next() {
            Some(Token::Word(word)) if word == "not" => Node::Not(Box::new(self.one()?)),
            Some(Token::Symbol("(")) => {
                let node = self.any()?;
                self.symbol(")")?;
                node
            }
            Some(Token::Word(word)) => self.comparison(&word)?,
            other => return Err(format!("needs a field where it has {}", shown(other.as_ref()))),
        };
        self.depth -= 1;
        Ok(node)
    }

    fn comparison(&mut self, name: &str) -> Result<Node, String> {
        let fields = self.fields;
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            let name = clip(name, MAX_SHOWN);
            return Err(format!(
                "names {name:?}, which is no field{}",
                hint(&name, fields.iter().map(|field| field.name.as_str()))
            ));
        };
        if matches!(field.kind, Kind::Array | Kind::Object) {
            return Err(format!("compares {name}, which is of type {}", field.kind.as_str()));
        }
        let test = match self.tokens.next() {
            Some(Token::Symbol("=")) => Test::Eq,
            Some(Token::Symbol("!=")) => Test::Ne,
            Some(Token::Symbol("<")) => Test::Lt,
            Some(Token::Symbol("<=")) => Test::Le,
            Some(Token::Symbol(">")) => Test::Gt,
            Some(Token::Symbol(">=")) => Test::Ge,
            Some(Token::Word(word)) if word == "in" => Test::In,
            other => return Err(format!("needs = != < <= > >= or in after {name}, not {}", shown(other.as_ref()))),
        };
        let with = match self.tokens.next() {
            Some(Token::Claim(claim)) => Operand::Claim(claim),
            Some(Token::Symbol("(")) if test == Test::In => Operand::Literal(Value::Array(self.list(field)?)),
            Some(Token::Literal(value)) if test != Test::In => Operand::Literal(fitting(field, test, value)?),
            other if test == Test::In => {
                return Err(format!("needs a list in parentheses or a claim after in, not {}", shown(other.as_ref())));
            }
            other => {
                return Err(format!("compares {name} with {}; wanted is a literal or a claim", shown(other.as_ref())));
            }
        };
        Ok(Node::Compare { field: name.to_owned(), test, with })
    }

    /// The literals up to the closing parenthesis.
    fn list(&mut self, field: &Field) -> Result<Vec<Value>, String> {
        let mut items = Vec::new();
        loop {
            match self.tokens.next() {
                Some(Token::Literal(value)) => items.push(fitting(field, Test::In, value)?),
                other => return Err(format!("needs a literal in the list, not {}", shown(other.as_ref()))),
            }
            match self.tokens.next() {
                Some(Token::Symbol(",")) => {}
                Some(Token::Symbol(")")) => return Ok(items),
                other => return Err(format!("needs a comma or ) in the list, not {}", shown(other.as_ref()))),
            }
        }
    }

    fn takes_word(&mut self, wanted: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Word(word) if word == wanted)).is_some()
    }

    fn symbol(&mut self, wanted: &str) -> Result<(), String> {
        match self.tokens.next() {
            Some(Token::Symbol(symbol)) if symbol == wanted => Ok(()),
            other => Err(format!("needs {wanted} where it has {}", shown(other.as_ref()))),
        }
    }
}

fn join(mut parts: Vec<Node>, with: impl Fn(Vec<Node>) -> Node) -> Node {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => with(parts.into_iter().chain(last).collect()),
    }
}

/// The literal, if a value of the field can ever compare with it.
fn fitting(field: &Field, test: Test, value: Value) -> Result<Value, String> {
    let name = &field.name;
    let (kinds, word): (&[Kind], &str) = match &value {
        Value::String(_) => (&[Kind::String], "a text"),
        Value::Number(_) => (&[Kind::Integer, Kind::Number], "a number"),
        Value::Bool(_) => (&[Kind::Boolean], "true or false"),
        _ => return Err(format!("compares {name} with null, of which nothing holds")),
    };
    if !field.types.is_empty() && !field.types.iter().any(|kind| kinds.contains(kind)) {
        return Err(format!("compares {name}, which is of type {}, with {word}", field.kind.as_str()));
    }
    if value.is_boolean() && !matches!(test, Test::Eq | Test::Ne | Test::In) {
        return Err(format!("compares {name} with {word}, which have no order"));
    }
    Ok(value)
}

fn shown(token: Option<&Token>) -> String {
    match token {
        None => "its end".to_owned(),
        Some(Token::Word(word)) => format!("{:?}", clip(word, MAX_SHOWN)),
        Some(Token::Literal(value)) => clip(&value.to_string(), MAX_SHOWN),
        Some(Token::Claim(name)) => format!("${{claims.{}}}", clip(name, MAX_SHOWN)),
        Some(Token::Symbol(symbol)) => (*symbol).to_owned(),
    }
}
