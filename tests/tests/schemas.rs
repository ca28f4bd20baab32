//! Values are judged as another implementation of JSON Schema judges them, on random schemas.
//!
//! Left out is what ours does on purpose otherwise: numbers that a float cannot hold, and forms of texts that are stricter.

#![expect(clippy::expect_used, reason = "what a test cannot do without may stop it")]

use batch_core::model::Model;
use boon::{Compiler, Draft, Schemas};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

const TEXTS: [&str; 8] = ["", "a", "ab", "abc", "12", "ä1", "192.0.2.1", "123e4567-e89b-42d3-a456-426614174000"];
const NAMES: [&str; 3] = ["a", "b", "c/~d"];

fn number() -> impl Strategy<Value = Value> {
    (-6..12).prop_map(|halves: i64| if halves % 2 == 0 { json!(halves / 2) } else { json!(halves as f64 / 2.0) })
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        select(&TEXTS[..]).prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 12, 4, |inner| {
        let members = vec((select(&NAMES[..]), inner.clone()), 0..4);
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// A keyword without schemas in it.
fn plain() -> impl Strategy<Value = (&'static str, Value)> {
    let types = subsequence(vec!["null", "boolean", "integer", "number", "string", "array", "object"], 1..4);
    let bound = select(vec!["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]);
    let count = select(vec!["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"]);
    prop_oneof![
        3 => types.prop_map(|types| ("type", json!(types))),
        2 => (bound, number()),
        2 => (count, (0..4).prop_map(|count| json!(count))),
        1 => (1..3).prop_map(|unit| ("multipleOf", json!(unit))),
        1 => vec(value(), 1..4).prop_map(|values| ("enum", json!(values))),
        1 => value().prop_map(|value| ("const", value)),
        1 => select(vec!["^a", "b$", "^\\d+$", "^\\w*$", "[^\\D]", "a|1"]).prop_map(|text| ("pattern", json!(text))),
        1 => select(vec!["ipv4", "ipv6", "uuid"]).prop_map(|name| ("format", json!(name))),
        1 => any::<bool>().prop_map(|flag| ("uniqueItems", json!(flag))),
        1 => subsequence(NAMES.to_vec(), 1..3).prop_map(|names| ("required", json!(names))),
        1 => any::<bool>().prop_map(|flag| ("additionalProperties", json!(flag))),
    ]
}

fn schema() -> impl Strategy<Value = Value> {
    let keywords = |parts: Vec<(&'static str, Value)>| -> Value {
        parts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
    };
    vec(plain(), 0..4).prop_map(keywords).prop_recursive(3, 16, 3, move |inner| {
        let properties = vec((select(&NAMES[..]), inner.clone()), 1..3);
        let nested = prop_oneof![
            (select(vec!["items", "additionalProperties", "not"]), inner.clone()),
            (select(vec!["allOf", "anyOf", "oneOf"]), vec(inner, 1..4).prop_map(Value::from)),
            properties.prop_map(|parts| {
                let parts = parts.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect::<Map<_, _>>();
                ("properties", Value::from(parts))
            }),
        ];
        (vec(plain(), 0..3), vec(nested, 1..3)).prop_map(move |(plain, nested)| keywords([plain, nested].concat()))
    })
}

fn ours(schema: &Value, values: &[Value]) -> Vec<bool> {
    let properties = json!({ "id": { "type": "integer", "x-af-primary-key": "auto" }, "value": schema });
    let model = json!({ "components": { "schemas": { "thing": { "type": "object", "properties": properties } } } });
    let model = Model::from_yaml(&model.to_string()).unwrap_or_else(|problems| panic!("{schema}: {problems:?}"));
    let entity = model.entity("thing").expect("it is there");
    let field = entity.field("value").expect("it is there");
    values.iter().map(|value| entity.check_field(field, value).is_empty()).collect()
}

fn theirs(schema: &Value, values: &[Value]) -> Vec<bool> {
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    compiler.set_default_draft(Draft::V2020_12);
    compiler.enable_format_assertions();
    compiler.add_resource("http://test.invalid/schema", schema.clone()).expect("a schema");
    let index = compiler.compile("http://test.invalid/schema", &mut schemas).expect("a schema");
    values.iter().map(|value| schemas.validate(value, index).is_ok()).collect()
}

proptest! {
    #[test]
    fn values_are_judged_as_by_another_implementation(schema in schema(), values in vec(value(), 1..8)) {
        prop_assert_eq!(ours(&schema, &values), theirs(&schema, &values), "{} {:?}", schema, values);
    }
}
