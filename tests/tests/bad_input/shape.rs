//! Requests of a wrong shape: the fields of a batch, of its operations and of its options.

use serde_json::{Value, json};

use super::case::{A, case, check, one, operation, ops, with_options};
use super::client::Client;

#[tokio::test(start_paused = true)]
async fn a_request_of_a_wrong_shape_is_told_where() {
    let whole = |name: &str, body: Value, pointer: &str, code, words: &[&'static str]| {
        case(name, body).whole(pointer, code, words)
    };
    let many = vec![operation("a", json!({ "id": "-" })); 101];
    let mut cases = vec![
        whole("array", json!([]), "", "WRONG_TYPE", &["object with operations", "a list"]),
        whole("null", json!(null), "", "WRONG_TYPE", &["not null"]),
        whole("number", json!(7), "", "WRONG_TYPE", &["not a number"]),
        whole("string", json!("operations"), "", "WRONG_TYPE", &["not a string"]),
        whole("boolean", json!(true), "", "WRONG_TYPE", &["not a boolean"]),
        whole("empty object", json!({}), "/operations", "REQUIRED", &["missing", "1 to 100"]),
        whole("empty batch", ops(json!([])), "/operations", "EMPTY_BATCH", &["1 to 100"]),
        whole("101 operations", ops(json!(many)), "/operations", "TOO_MANY_OPERATIONS", &["101", "at most 100"]),
    ];
    for (wrong, said) in
        [(json!({}), "an object"), (json!(null), "null"), (json!("x"), "a string"), (json!(5), "a number")]
    {
        cases.push(whole("operations", ops(wrong), "/operations", "WRONG_TYPE", &["must be a list", said]));
    }
    for (wrong, said) in
        [(json!([]), "a list"), (json!(null), "null"), (json!("x"), "a string"), (json!(5), "a number")]
    {
        cases.push(whole("options", with_options(wrong.clone()), "/options", "WRONG_TYPE", &["leave it out", said]));
        let batch = ops(json!([wrong, operation("b", json!({}))]));
        cases.push(case("operation", batch).at((0, "op_0"), "", "WRONG_TYPE", &["must be an object", said]));
    }
    check(&Client::new().await, cases).await;
}

#[tokio::test(start_paused = true)]
async fn ids_and_the_fields_of_an_operation_have_their_types() {
    let mut cases = Vec::new();
    let wrong_types =
        [(json!(5), "a number"), (json!(null), "null"), (json!([]), "a list"), (json!(true), "a boolean")];
    let automatic = (0, "op_0");
    for (wrong, said) in wrong_types.clone() {
        for name in ["id", "entity", "action"] {
            let whose = if name == "id" { automatic } else { A };
            let place = format!("/{name}");
            cases.push(case(name, one(json!({ name: wrong }))).at(
                whose,
                &place,
                "WRONG_TYPE",
                &[name, "must be a string", said],
            ));
        }
        for name in ["store_params", "query_params", "metadata_params"] {
            let (wrong, said) = if wrong == json!([]) { (json!("x"), "a string") } else { (wrong.clone(), said) };
            let mut changes = json!({ "action": "read", "store_params": "-", "query_params": { "customer_id": 1 } });
            changes[name] = wrong;
            let told =
                case(name, one(changes)).at(A, &format!("/{name}"), "WRONG_TYPE", &[name, "must be an object", said]);
            // Without its conditions a read has no bound; that it could not be read is told as well.
            cases.push(if name == "query_params" {
                told.at(A, "/metadata_params", "LIMIT_REQUIRED", &[])
            } else {
                told
            });
        }
    }
    for (wrong, said) in
        [(json!("ab"), "a string"), (json!(null), "null"), (json!({}), "an object"), (json!(5), "a number")]
    {
        let batch = ops(json!([operation("a", json!({ "depends_on": wrong })), operation("b", json!({}))]));
        cases.push(case("depends_on", batch).at(A, "/depends_on", "WRONG_TYPE", &["list of operation ids", said]));
        if wrong != json!("ab") {
            let batch = one(json!({ "depends_on": [wrong] }));
            cases.push(case("dependency", batch).at(A, "/depends_on/0", "WRONG_TYPE", &["ids of operations", said]));
        }
    }
    let long = "x".repeat(65);
    for wrong in ["", " ", "a b", "a-b", "a.b", "a#b", "a/b", "é", "a\u{0}", "$ref:a", "a\n", long.as_str()] {
        cases.push(case("id", one(json!({ "id": wrong }))).at(
            automatic,
            "/id",
            "INVALID_VALUE",
            &["1 to 64", "A-Z a-z 0-9 _"],
        ));
    }
    for name in ["entity", "action"] {
        cases.push(case("missing", one(json!({ name: "-" }))).at(
            A,
            &format!("/{name}"),
            "REQUIRED",
            &[name, "missing"],
        ));
    }
    let shown = "x".repeat(1_000_000);
    for wrong in ["upsert", "CREATE", "", "read ", shown.as_str()] {
        cases.push(case("action", one(json!({ "action": wrong }))).at(
            A,
            "/action",
            "UNKNOWN_ACTION",
            &["create, read, update, delete"],
        ));
    }
    for wrong in ["customers", "Customer", "", "customer#1", "T#t1", shown.as_str()] {
        cases.push(case("entity", one(json!({ "entity": wrong }))).at(
            A,
            "/entity",
            "UNKNOWN_ENTITY",
            &["customer, invoice"],
        ));
    }
    cases.push(case("nested", one(json!({ "entity": "batch" }))).at(A, "/entity", "NESTED_BATCH", &["into this one"]));
    for wrong in [json!(null), json!([]), json!("admin"), json!(7), json!(true)] {
        cases.push(case("claims", one(json!({ "claims": wrong }))).at(
            A,
            "/claims",
            "WRONG_TYPE",
            &["claims must be an object"],
        ));
    }
    for any in [json!({}), json!(null), json!({ "default": {} })] {
        let told = &["permissions", "credential"];
        cases.push(case("permissions", one(json!({ "permissions": any }))).at(
            A,
            "/permissions",
            "NOT_SUPPORTED",
            told,
        ));
    }
    let delete =
        json!({ "entity": "content", "action": "delete", "store_params": "-", "query_params": { "content_id": "c" } });
    cases.push(case("removal", one(delete)).at(A, "/action", "NOT_SUPPORTED", &["content", "create, read, update"]));
    check(&Client::new().await, cases).await;
}

#[tokio::test(start_paused = true)]
async fn options_are_checked() {
    let mut cases = Vec::new();
    for name in ["atomic", "continueOnError", "continue_on_error", "parallel", "validate_only", "validateOnly"] {
        for wrong in [json!("true"), json!(1), json!(null), json!([])] {
            let batch = with_options(json!({ name: wrong }));
            cases.push(case(name, batch).whole(&format!("/options/{name}"), "WRONG_TYPE", &[name, "true or false"]));
        }
    }
    for (name, range) in [("max_retries", "from 0 to 3"), ("maxRetries", "from 0 to 3"), ("timeout", "from 1 to 60000")]
    {
        for wrong in [json!("1"), json!(null), json!({}), json!(true)] {
            let batch = with_options(json!({ name: wrong }));
            cases.push(case(name, batch).whole(&format!("/options/{name}"), "WRONG_TYPE", &[name, range]));
        }
        for wrong in [json!(-1), json!(1.5), json!(60_001), json!(1e30)] {
            let batch = with_options(json!({ name: wrong }));
            cases.push(case(name, batch).whole(&format!("/options/{name}"), "INVALID_VALUE", &[name, range]));
        }
    }
    let long = "x".repeat(256);
    for wrong in [json!(""), json!(long), json!("a\u{0}b"), json!("a\nb")] {
        cases.push(case("reference", with_options(json!({ "reference": wrong }))).whole(
            "/options/reference",
            "INVALID_VALUE",
            &["1 to 255"],
        ));
    }
    for wrong in [json!(5), json!(null), json!(["x"])] {
        cases.push(case("reference", with_options(json!({ "reference": wrong }))).whole(
            "/options/reference",
            "WRONG_TYPE",
            &["a string"],
        ));
    }
    for (one, other, first, second) in [
        ("continueOnError", "continue_on_error", json!(true), json!(false)),
        ("max_retries", "maxRetries", json!(1), json!(2)),
    ] {
        let batch = with_options(json!({ one: first, other: second }));
        cases.push(case(one, batch).whole(&format!("/options/{other}"), "INVALID_VALUE", &[one, other, "differ"]));
    }
    for name in [
        "webhook",
        "webhook_url",
        "callbackUrl",
        "schedule",
        "scheduled_at",
        "priority",
        "template",
        "depends_on_batches",
    ] {
        cases.push(case(name, with_options(json!({ name: "x" }))).whole(
            &format!("/options/{name}"),
            "NOT_SUPPORTED",
            &[name],
        ));
        let mut batch = one(json!({}));
        batch[name] = json!({});
        cases.push(case(name, batch).whole(&format!("/{name}"), "NOT_SUPPORTED", &[name]));
    }
    check(&Client::new().await, cases).await;
}
