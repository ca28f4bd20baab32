//! JSON read at once into values with exact numbers in their one form, and the [`decimal`]s those are.
//!
//! A crate of its own because its code is run for every value of a request: it is compiled for speed, where all around it is
//! compiled for size.

pub mod decimal;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// By this name of its only member `serde_json` hands over a number that is neither a `u64` nor an `i64`, where it keeps
/// numbers exactly (its feature `arbitrary_precision`).
const NUMBER: &str = "$serde_json::private::Number";

/// The value of a text with at most `depth` lists and objects within each other, every number in canonical form
/// ([`decimal::canonical`]); of the members with one name the last.
///
/// `None` for any other text: what is wrong with it, and where, takes longer to find, and is asked for seldom.
pub fn read(text: &str, depth: usize) -> Option<Value> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Exact { depth }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(value)
}

/// Reads one value.
#[derive(Clone, Copy)]
struct Exact {
    /// How many lists and objects there may be within each other.
    depth: usize,
}

impl Exact {
    /// Reads what is within a list or an object.
    fn within<E: Error>(self) -> Result<Self, E> {
        self.depth.checked_sub(1).map(|depth| Self { depth }).ok_or_else(|| E::custom("too deep"))
    }
}

fn number<E: Error>(text: &str) -> Result<Value, E> {
    let text = decimal::canonical(text).map_err(E::custom)?;
    Ok(Value::Number(Number::from_string_unchecked(text)))
}

impl<'de> DeserializeSeed<'de> for Exact {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Exact {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let item = self.within()?;
        let mut items = Vec::new();
        while let Some(value) = list.next_element_seed(item)? {
            items.push(value);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut name = object.next_key::<String>()?;
        if name.as_deref() == Some(NUMBER) {
            return number(&object.next_value::<String>()?);
        }
        let member = self.within()?;
        let mut members = Map::new();
        while let Some(key) = name {
            members.insert(key, object.next_value_seed(member)?);
            name = object.next_key()?;
        }
        Ok(Value::Object(members))
    }
}
