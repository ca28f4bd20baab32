//! Dependencies and references that lead nowhere, or in circles.

use serde_json::{Value, json};

use super::case::{A, case, check, one, operation, ops};
use super::client::Client;

#[tokio::test(start_paused = true)]
async fn dependencies_and_references_name_operations_of_the_batch() {
    let of = |a: Value, b: Value| ops(json!([operation("a", a), operation("b", b)]));
    let plain = || json!({});
    let stored = |text: &str| json!({ "store_params": { "first_name": text } });
    let long = "x".repeat(65);
    let mut cases =
        vec![
            case("same id", ops(json!([operation("a", plain()), operation("a", plain())]))).at(
                (1, "a"),
                "/id",
                "DUPLICATE_ID",
                &["operation 0"],
            ),
            case("automatic id taken", ops(json!([operation("op_1", plain()), operation("x", json!({ "id": "-" }))])))
                .at((1, "op_1"), "/id", "DUPLICATE_ID", &["operation 0", "op_<index>"]),
            case("unknown dependency", of(json!({ "depends_on": ["ghost"] }), plain())).at(
                A,
                "/depends_on/0",
                "UNKNOWN_DEPENDENCY",
                &["ghost", "no operation of this batch"],
            ),
            case("several mistakes in one list", of(json!({ "depends_on": [1, "ghost"] }), plain()))
                .at(A, "/depends_on/0", "WRONG_TYPE", &[])
                .at(A, "/depends_on/1", "UNKNOWN_DEPENDENCY", &["ghost"]),
            case("after one given twice", of(json!({ "depends_on": ["b", "b", "ghost"] }), plain())).at(
                A,
                "/depends_on/2",
                "UNKNOWN_DEPENDENCY",
                &["ghost"],
            ),
            case("self", of(json!({ "depends_on": ["a"] }), plain())).at(
                A,
                "/depends_on/0",
                "SELF_DEPENDENCY",
                &["itself"],
            ),
            case("self by reference", of(stored("$ref:a.first_name"), plain())).at(
                A,
                "/store_params/first_name",
                "SELF_DEPENDENCY",
                &["own result"],
            ),
            case("two in a circle", of(json!({ "depends_on": ["b"] }), json!({ "depends_on": ["a"] }))).at(
                A,
                "/depends_on",
                "CIRCULAR_DEPENDENCY",
                &["a -> b -> a"],
            ),
            case("a circle through a reference", of(json!({ "depends_on": ["b"] }), stored("$ref:a.first_name"))).at(
                A,
                "/depends_on",
                "CIRCULAR_DEPENDENCY",
                &["a -> b -> a"],
            ),
            case("unknown reference", of(stored("$ref:ghost.id"), plain())).at(
                A,
                "/store_params/first_name",
                "UNKNOWN_REFERENCE",
                &["ghost", "no operation of this batch"],
            ),
            case(
                "unknown reference deep inside",
                one(json!({
                    "entity": "memory",
                    "store_params": { "content": "c", "metadata": { "a/b": [1, { "c~d": "see ${ref:ghost.x}" }] } },
                })),
            )
            .at(A, "/store_params/metadata/a~1b/1/c~0d", "UNKNOWN_REFERENCE", &["ghost"]),
        ];
    for (text, words) in [
        ("$ref:", &["names an operation", "$ref:operation.field"][..]),
        ("$ref:b", &["names a field"]),
        ("$ref:.id", &["names an operation"]),
        ("$ref:b..id", &["empty"]),
        ("${ref:b.id", &["closing `}`"]),
        ("${ref:}", &["names an operation"]),
        ("${ref:b}", &["names a field"]),
        ("${ref:b.id.}", &["empty"]),
        ("$ref:é.id", &["`é` cannot stand here"]),
        ("$ref:b.items.-1", &["count from 0"]),
        ("text $ref: text", &["at character 10"]),
        (&format!("$ref:{long}.id"), &["at most 64"]),
    ] {
        cases.push(case(text, of(stored(text), plain())).at(
            A,
            "/store_params/first_name",
            "MALFORMED_REFERENCE",
            words,
        ));
    }
    let texts = vec!["$ref:b.first_name"; 101];
    let many = json!({ "entity": "memory", "store_params": { "content": "c", "metadata": { "texts": texts } } });
    let told = case("101 references", of(many, plain()));
    cases.push(told.at(A, "/store_params/metadata/texts/100", "MALFORMED_REFERENCE", &["100 references"]));
    let half = vec!["$ref:b.first_name"; 60];
    let many =
        json!({ "entity": "memory", "store_params": { "content": "c", "metadata": { "t": half }, "tags": half } });
    cases.push(case("120 references", of(many, plain())).at(A, "", "MALFORMED_REFERENCE", &["120", "100"]));
    check(&Client::new().await, cases).await;
}

#[tokio::test(start_paused = true)]
async fn dependencies_given_twice_count_once() {
    let client = Client::new().await;
    let body = ops(json!([operation("a", json!({})), operation("b", json!({ "depends_on": ["a", "a", "a"] }))]));
    let answer = client.post("/batch", &[], body.to_string().as_bytes()).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("completed")), "{:#}", answer.body);
    assert_eq!(answer.body["executionOrder"], json!(["a", "b"]));
}
