//! Facts of the entity model: what ships loads, and a wrong file is told with line and reason.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use batch_core::model::{KeyKind, Model, ViolationCode};
use serde_json::{Map, Value, json};

const SHIPPED: &str = include_str!("../../model.yaml");

fn shipped() -> Model {
    Model::from_yaml(SHIPPED).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn row(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

#[test]
fn what_is_compiled_in_is_what_the_file_says() {
    assert_eq!(format!("{:?}", Model::shipped().unwrap()), format!("{:?}", shipped()));
}

#[test]
fn the_shipped_model_loads() {
    let model = shipped();
    let names: Vec<&str> = model.entities().map(|entity| entity.name.as_str()).collect();
    let expected = [
        "customer",
        "invoice",
        "invoice_line",
        "track",
        "album",
        "artist",
        "account",
        "payment",
        "memory",
        "profile",
        "content",
    ];
    assert_eq!(names, expected);
    for (entity, kind) in [
        ("customer", KeyKind::Auto),
        ("account", KeyKind::Manual),
        ("profile", KeyKind::Manual),
        ("content", KeyKind::Uuid),
    ] {
        assert_eq!(model.entity(entity).unwrap().primary_key.kind, kind, "{entity}");
    }
    let email = model.entity("customer").unwrap().field("email").unwrap();
    assert!(email.unique && email.index.is_some());
    for (entity, referenced) in [("customer", true), ("account", true), ("payment", false), ("content", false)] {
        assert_eq!(model.entity(entity).unwrap().is_referenced, referenced, "{entity}");
    }
}

#[test]
fn the_examples_of_the_contract_fit_the_shipped_model() {
    let model = shipped();
    let rows = [
        ("customer", json!({"first_name": "John", "last_name": "Doe", "email": "john@example.com"}), ""),
        (
            "invoice",
            json!({"customer_id": "$ref:create_customer.customer_id", "invoice_date": "2024-11-11T10:00:00", "total": 100.00}),
            "customer_id",
        ),
        ("payment", json!({"account_id": 42, "amount": "$ref:check_balance.available_balance"}), "amount"),
        ("account", json!({"account_id": 42, "available_balance": 99.5}), ""),
        ("memory", json!({"content": "text", "tags": ["a"], "metadata": {"k": [1]}}), ""),
        ("profile", json!({"profile_id": "p1", "address": "0x1"}), ""),
        (
            "content",
            json!({"creator": "SP1", "tokenGating": {"token": "x"}, "price": i64::MAX, "refundWindowDays": 365}),
            "",
        ),
        ("content", json!({"content_id": "id1", "creator": "SP1", "tokenGating": false}), ""),
    ];
    for (entity, value, reference) in rows {
        let found = model.entity(entity).unwrap().check_new(&row(&value), |field| field == reference);
        assert_eq!(found, [], "{entity} {value}");
    }
}

#[test]
fn rows_that_do_not_fit_the_shipped_model_are_told() {
    use ViolationCode::{InvalidValue, ReadOnly, Required, UnknownField};
    let model = shipped();
    let table = [
        ("customer", json!({"first_name": "J", "customer_id": 1}), "/customer_id", ReadOnly),
        ("customer", json!({"first_name": "J", "version": 1}), "/version", ReadOnly),
        ("customer", json!({"first_name": "J", "invoices": []}), "/invoices", UnknownField),
        ("customer", json!({"first_name": "J", "e/mail": "x"}), "/e~1mail", UnknownField),
        ("customer", json!({"first_name": "J", "email": "nobody"}), "/email", InvalidValue),
        ("customer", json!({"first_name": null}), "/first_name", InvalidValue),
        ("customer", json!({}), "/first_name", Required),
        ("account", json!({"available_balance": 1}), "/account_id", Required),
        ("profile", json!({"profile_id": "p", "owner": "me"}), "/owner", ReadOnly),
        ("invoice", json!({"customer_id": 1, "invoice_date": "yesterday"}), "/invoice_date", InvalidValue),
        ("memory", json!({"content": "c", "tags": ["a", 1]}), "/tags/1", InvalidValue),
        ("content", json!({"creator": "c", "price": 0.5}), "/price", InvalidValue),
        ("content", json!({"creator": "c", "price": 9_223_372_036_854_775_808_u64}), "/price", InvalidValue),
        ("content", json!({"creator": "c", "refundWindowDays": 366}), "/refundWindowDays", InvalidValue),
        ("content", json!({"creator": "c", "tokenGating": "yes"}), "/tokenGating", InvalidValue),
        ("content", json!({"creator": "c", "contentType": "x".repeat(51)}), "/contentType", InvalidValue),
        ("content", json!({"creator": "c", "removedAt": "2024-11-11T10:00:00Z"}), "/removedAt", ReadOnly),
    ];
    for (entity, value, pointer, code) in table {
        let found = model.entity(entity).unwrap().check_new(&row(&value), |_| false);
        let told: Vec<_> = found.iter().map(|violation| (violation.pointer.as_str(), violation.code)).collect();
        assert_eq!(told, [(pointer, code)], "{entity} {value}: {found:?}");
    }
}

#[test]
fn an_update_names_the_version_it_expects_and_leaves_the_rest_to_the_server() {
    let model = shipped();
    let customer = model.entity("customer").unwrap();
    assert_eq!(customer.check_change(&row(&json!({"version": 3, "email": null})), |_| false), []);
    let content = model.entity("content").unwrap();
    for (entity, field, value) in [
        (customer, "customer_id", json!(1)),
        (content, "content_id", json!("x")),
        (content, "price", json!(1)),
        (content, "updatedAt", json!("2024-11-11T10:00:00Z")),
        (content, "removedAt", json!(null)),
    ] {
        let found = entity.check_change(&row(&json!({field: value})), |_| true);
        assert_eq!(found.first().map(|violation| violation.code), Some(ViolationCode::ReadOnly), "{field}");
    }
}

/// A model of one entity `thing`, whose properties begin on line 6, beside the key.
fn thing(properties: &str) -> String {
    format!(
        "components:\n  schemas:\n    thing:\n      type: object\n      properties:\n{properties}        thing_id: {{type: integer, x-af-primary-key: auto}}\n"
    )
}

fn check(yaml: &str, expected: &[(usize, &str)]) {
    let problems = Model::from_yaml(yaml).map(|_| ()).expect_err(yaml);
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), expected.len(), "{yaml}\n{found:#?}");
    for (problem, (line, part)) in problems.iter().zip(expected) {
        let text = problem.to_string();
        assert!(
            text.starts_with(&format!("model.yaml:{line}: ")) && text.contains(part),
            "{text}\nwanted line {line}: {part}"
        );
    }
}

#[test]
fn a_wrong_property_is_told_with_its_line_and_reason() {
    let table: &[(&str, &[(usize, &str)])] = &[
        ("a: {type: strng}", &[(6, "thing.a: unknown type \"strng\"; did you mean \"string\"?")]),
        ("a: {type: string, x-uniqe: true}", &[(6, "did you mean \"x-unique\"?")]),
        ("a: {type: string, x-af-primry-key: auto}", &[(6, "did you mean \"x-af-primary-key\"?")]),
        ("a: {type: string, x-af-concurrency-control: a}", &[(6, "x-af-concurrency-control does not belong here")]),
        (
            "a: {type: string, maxLenght: 3}",
            &[(6, "keyword \"maxLenght\" is not supported here; did you mean \"maxLength\"?")],
        ),
        ("a: {type: string, default: x}", &[(6, "keyword \"default\" is not supported here")]),
        (
            "a:\n          type: string\n          maxLength: many",
            &[(8, "invalid schema: maxLength must be integer, not string")],
        ),
        ("a:\n          type: array\n          items:\n            pattern: '('", &[(9, "pattern")]),
        ("a: {type: string, format: datetime}", &[(6, "unknown format \"datetime\"; did you mean \"date-time\"?")]),
        ("a: {type: string, x-af-primary-key: manual}", &[(7, "two primary keys: a and thing_id")]),
        ("_a: {type: string}", &[(6, "name")]),
        ("a#b: {type: string}", &[(6, "name")]),
        ("a: {type: array, x-unique: true}", &[(6, "x-unique needs one scalar type, not array")]),
        ("a: {type: [string, integer], x-unique: true}", &[(6, "x-unique needs one scalar type, not mixed")]),
        ("a: {type: object, x-index: true}", &[(6, "x-index needs one scalar type, not object")]),
        ("a: {type: string, x-unique: 'yes'}", &[(6, "x-unique must be true or false")]),
        (
            "a: {type: integer, x-references: thng.thing_id}",
            &[(6, "there is no entity \"thng\"; did you mean \"thing\"?")],
        ),
        ("a: {type: integer, x-references: thing.a}", &[(6, "must name the primary key, thing.thing_id")]),
        (
            "a: {type: string, x-references: thing.thing_id}",
            &[(6, "the types differ: string here, integer is the key of thing")],
        ),
        ("a: {type: integer, x-references: thing}", &[(6, "must be <entity>.<field>")]),
        ("a: {type: string, x-inject: claim}", &[(6, "claim:<name>, uuid or timestamp")]),
        ("a: {type: string, x-inject: timestamp}", &[(6, "format date-time")]),
        ("a: {type: integer, x-inject: uuid}", &[(6, "needs a string")]),
        ("a: {type: string, x-inject-on: write}", &[(6, "x-inject-on needs x-inject")]),
        ("a: {type: string, x-inject: uuid, x-inject-on: read}", &[(6, "create or write")]),
        ("a: {type: string, x-af-soft-delete: timestamp}", &[(6, "format date-time")]),
        ("a: {type: boolean, x-af-soft-delete: yes}", &[(6, "timestamp or boolean")]),
        ("a: {type: string, readOnly: true, x-create-only: true}", &[(6, "does not go with readOnly")]),
        ("a: {$ref: '#/components/schemas/nothing'}", &[(6, "leads nowhere")]),
        (
            "a: {$ref: '#/components/schemas/thing'}",
            &[(6, "thing is an entity: a relation to it needs x-af-parent-property")],
        ),
        ("a: {type: array, items: {$ref: '#/components/schemas/thing'}}", &[(6, "needs x-af-child-property")]),
        ("a: {$ref: '#/components/schemas/thing', x-af-parent-property: b}", &[(6, "thing has no field \"b\"")]),
        (
            "a: {$ref: '#/components/schemas/thin', x-af-parent-property: b}",
            &[(6, "there is no entity \"thin\"; did you mean \"thing\"?")],
        ),
        (
            "a: {type: array, items: {$ref: '#/components/schemas/thing'}, x-af-child-property: b}\n        b: {type: integer}",
            &[(6, "thing.b needs x-index: true")],
        ),
        (
            "a: {type: string, x-af-parent-property: thing_id}",
            &[(6, "keyword \"type\" is not supported here"), (6, "a relation needs $ref")],
        ),
        ("a: {nullable: true}", &[(6, "nullable needs a type")]),
        ("a: {type: number, minimum: low}", &[(6, "minimum must be a number")]),
        ("a: {type: number, multipleOf: 0}", &[(6, "multipleOf must be positive")]),
        ("a: {type: string, minLength: -1}", &[(6, "invalid schema: minLength must be 0 or more, and whole")]),
        ("a: {type: object, required: b}", &[(6, "invalid schema: required must be a list of names")]),
        ("a: {type: array, uniqueItems: 1}", &[(6, "invalid schema: uniqueItems must be boolean, not number")]),
        ("a: {type: string, pattern: [a]}", &[(6, "invalid schema: pattern must be string, not array")]),
        ("a: {anyOf: []}", &[(6, "anyOf must be a list of schemas")]),
        ("a: text", &[(6, "a schema must be a map")]),
        (
            "a: {type: string, x-index: true}\n        b: {type: string, x-index: true}\n        c: {type: string, x-index: true}\n        d: {type: string, x-index: true}\n        e: {type: string, x-index: true}",
            &[(10, "thing.e: an entity has at most 4 indexes; this is one more")],
        ),
        ("a: {type: strng}\n        b: {type: string, x-uniqe: true}", &[(6, "thing.a"), (7, "thing.b")]),
    ];
    for (property, expected) in table {
        check(&thing(&format!("        {property}\n")), expected);
    }
}

#[test]
fn a_wrong_document_or_entity_is_told_with_its_line_and_reason() {
    let key = "      properties:\n        id: {type: integer, x-af-primary-key: auto}\n";
    let entity =
        |name: &str, rest: &str| format!("components:\n  schemas:\n    {name}:\n      type: object\n{rest}{key}");
    let table: &[(String, &[(usize, &str)])] = &[
        (String::new(), &[(1, "empty")]),
        ("a: [1".to_owned(), &[(2, "")]),
        ("a: 1".to_owned(), &[(1, "components.schemas must be a map")]),
        (
            "components:\n  schemas:\n    a: {type: object}\n    a: {type: object}\n".to_owned(),
            &[(4, "duplicated key")],
        ),
        (
            "components:\n  schemas:\n    thing:\n      type: object\n      properties:\n        a: {type: string}\n"
                .to_owned(),
            &[(3, "thing: no primary key")],
        ),
        ("components:\n  schemas:\n    thing:\n      type: object\n".to_owned(), &[(3, "must have properties")]),
        ("components:\n  schemas:\n    thing: {type: objct}\n".to_owned(), &[(3, "unknown type \"objct\"")]),
        (entity("batch", ""), &[(3, "the name \"batch\" is reserved")]),
        (entity("Thing", ""), &[(3, "lower-case")]),
        (entity("\"a#b\"", ""), &[(3, "lower-case")]),
        (entity("thing", "      required: [nme]\n"), &[(5, "required: there is no field \"nme\"")]),
        (entity("thing", "      x-af-permissions: none\n"), &[(5, "x-af-permissions must be a map")]),
        (entity("thing", "      x-af-concurrency-control: vers\n"), &[(5, "there is no property \"vers\"")]),
        (entity("thing", "      x-af-database: 7\n"), &[(5, "x-af-database must be a name")]),
        (entity("thing", "      x-unique: true\n"), &[(5, "x-unique does not belong here")]),
        (entity("thing", "      minLength: 3\n"), &[(5, "keyword \"minLength\" is not supported here")]),
        (entity("thing", "      additionalProperties: true\n"), &[(5, "can only be false")]),
    ];
    for (yaml, expected) in table {
        check(yaml, expected);
    }
}

#[test]
fn keys_have_rules_of_their_own() {
    let model = |key: &str| {
        format!("components:\n  schemas:\n    thing:\n      type: object\n      properties:\n        id: {{{key}}}\n")
    };
    let table: &[(&str, &[(usize, &str)])] = &[
        ("type: number, x-af-primary-key: manual", &[(6, "an integer or a string, not number")]),
        ("type: integer, x-af-primary-key: uuid", &[(6, "a uuid key must be a string")]),
        ("type: integer, x-af-primary-key: automatic", &[(6, "auto, uuid or manual")]),
        ("type: integer, x-af-primary-key: auto, x-unique: true", &[(6, "x-unique does not go with a primary key")]),
        ("type: string, x-af-primary-key: manual, readOnly: true", &[(6, "not readOnly")]),
    ];
    for (key, expected) in table {
        check(&model(key), expected);
    }
}

#[test]
fn reusable_schemas_are_no_entities_and_may_not_be_circular() {
    let yaml = |rest: &str| thing("        home: {$ref: '#/components/schemas/Address'}\n") + rest;
    let address = "    Address:\n      type: object\n      required: [street]\n      additionalProperties: false\n      properties:\n        street: {type: string}\n        floor: {type: integer, maximum: 200}\n";
    let model = Model::from_yaml(&yaml(address)).unwrap();
    assert_eq!(model.entities().count(), 1);
    let entity = model.entity("thing").unwrap();
    let home = entity.field("home").unwrap();
    assert_eq!(entity.check_field(home, &json!({"street": "s", "floor": 3})), []);
    let found = entity.check_field(home, &json!({"floor": 201, "roof": 1}));
    let mut pointers: Vec<&str> = found.iter().map(|violation| violation.pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/floor", "/roof", "/street"]);
    check(
        &yaml(
            "    Address:\n      type: object\n      properties:\n        other: {$ref: '#/components/schemas/Address'}\n",
        ),
        &[(11, "leads back to itself")],
    );
    check(&yaml("    Address:\n      type: string\n      maxLength: x\n"), &[(10, "maxLength must be integer")]);
}

#[test]
fn references_may_be_circular() {
    let yaml = thing("        parent_id: {type: integer, nullable: true, x-references: thing.thing_id}\n");
    let model = Model::from_yaml(&yaml).unwrap();
    assert!(model.entity("thing").unwrap().is_referenced);
}

#[test]
fn extensions_of_others_are_let_be() {
    assert!(Model::from_yaml(&thing("        a: {type: string, x-display-name: A, description: text}\n")).is_ok());
}
