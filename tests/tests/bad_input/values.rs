//! Values, keys and searches that do not fit the model.

use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_tests::World;
use serde_json::{Value, json};

use super::case::{A, case, check, one, ops};
use super::client::Client;

#[tokio::test(start_paused = true)]
async fn values_fit_the_entity() {
    let create = |entity: &str, fields: Value| json!({ "entity": entity, "store_params": fields });
    let long = "x".repeat(1_000_000);
    let cases = vec![
        case("empty record", one(create("customer", json!({}))))
            .at(A, "/store_params/first_name", "REQUIRED", &["first_name is required"]),
        case("no record", one(json!({ "store_params": "-" })))
            .at(A, "/store_params/first_name", "REQUIRED", &["first_name is required"]),
        case("fields of another entity", one(create("customer", json!({ "first_name": "J", "total": 1, "invoice_id": 2 }))))
            .at(A, "/store_params/total", "UNKNOWN_FIELD", &["customer has no field"])
            .at(A, "/store_params/invoice_id", "UNKNOWN_FIELD", &["customer has no field"]),
        case("our own attributes", one(create("customer", json!({ "first_name": "J", "pk": "x", "_v": 1, "ttl": 1 }))))
            .at(A, "/store_params/pk", "UNKNOWN_FIELD", &[])
            .at(A, "/store_params/_v", "UNKNOWN_FIELD", &[])
            .at(A, "/store_params/ttl", "UNKNOWN_FIELD", &[]),
        case("a key the server draws", one(create("customer", json!({ "first_name": "J", "customer_id": 1 }))))
            .at(A, "/store_params/customer_id", "READ_ONLY", &["set by the server"]),
        case("an injected field", one(create("profile", json!({ "profile_id": "p", "owner": "bob" }))))
            .at(A, "/store_params/owner", "READ_ONLY", &["set by the server"]),
        case("a missing manual key", one(create("account", json!({}))))
            .at(A, "/store_params/account_id", "REQUIRED", &["account_id"]),
        case("beyond 64 bits", one(create("content", json!({ "creator": "c", "price": 9_223_372_036_854_775_808_u64 }))))
            .at(A, "/store_params/price", "INVALID_VALUE", &["9223372036854775807"]),
        case("a fraction", one(create("invoice_line", json!({ "invoice_id": 1, "quantity": 1.5 }))))
            .at(A, "/store_params/quantity", "INVALID_VALUE", &["quantity"]),
        case("below the least", one(create("invoice_line", json!({ "invoice_id": 1, "unit_price": -1 }))))
            .at(A, "/store_params/unit_price", "INVALID_VALUE", &["unit_price"]),
        case("a text of 1 MB", one(create("customer", json!({ "first_name": long }))))
            .at(A, "/store_params/first_name", "INVALID_VALUE", &["80"]),
        case("a name of 1 MB", one(create("customer", json!({ "first_name": "J", long.clone(): 1 }))))
            .at(A, &format!("/store_params/{long}"), "UNKNOWN_FIELD", &["customer has no field"]),
        case("a wrong type", one(create("customer", json!({ "first_name": ["J"], "email": 5 }))))
            .at(A, "/store_params/first_name", "INVALID_VALUE", &["string"])
            .at(A, "/store_params/email", "INVALID_VALUE", &["string"]),
        case("a wrong format", one(create("customer", json!({ "first_name": "J", "email": "nobody" }))))
            .at(A, "/store_params/email", "INVALID_VALUE", &["email"]),
        case("an empty update", one(json!({ "action": "update", "store_params": {}, "query_params": { "customer_id": 1 } })))
            .at(A, "/store_params", "REQUIRED", &["at least one field"]),
        case("a changed key", one(json!({ "action": "update", "store_params": { "customer_id": 2 }, "query_params": { "customer_id": 1 } })))
            .at(A, "/store_params/customer_id", "READ_ONLY", &["cannot be changed"]),
        case("a required field removed", one(json!({ "action": "update", "store_params": { "first_name": null }, "query_params": { "customer_id": 1 } })))
            .at(A, "/store_params/first_name", "INVALID_VALUE", &["first_name"]),
    ];
    check(&Client::new().await, cases).await;
}

#[tokio::test(start_paused = true)]
async fn rows_are_named_and_searches_are_bounded() {
    let mut cases = Vec::new();
    for action in ["update", "delete"] {
        let of = |query: Value| {
            let mut changes = json!({ "action": action, "query_params": query });
            if action == "delete" {
                changes["store_params"] = json!("-");
            }
            one(changes)
        };
        for (name, query) in [
            ("nothing", json!({})),
            ("null", json!({ "customer_id": null })),
            ("another field", json!({ "email": "john@example.com" })),
            ("several", json!({ "customer_id": "in::1,2" })),
            ("a range", json!({ "customer_id": "gt::0" })),
            ("a pattern over a field", json!({ "first_name": "like::*" })),
        ] {
            let words = &["customer_id", "primary key", "equality"];
            cases.push(case(format!("{action} {name}"), of(query)).at(
                A,
                "/query_params",
                "PRIMARY_KEY_REQUIRED",
                words,
            ));
        }
        cases.push(case("a key of a wrong type", of(json!({ "customer_id": "abc" }))).at(
            A,
            "/query_params/customer_id",
            "INVALID_VALUE",
            &["customer_id"],
        ));
        cases.push(case("a list as a key", of(json!({ "customer_id": [1, 2] }))).at(
            A,
            "/query_params/customer_id",
            "INVALID_VALUE",
            &["customer_id"],
        ));
    }
    let read = |query: Value, metadata: Value| {
        one(json!({ "action": "read", "store_params": "-", "query_params": query, "metadata_params": metadata }))
    };
    let all = || json!({});
    for query in [json!({}), json!({ "city": "Rome" }), json!({ "email": "like::*" })] {
        cases.push(case("unbounded", read(query, all())).at(
            A,
            "/metadata_params",
            "LIMIT_REQUIRED",
            &["customer_id", "last_name, email", "limit"],
        ));
    }
    let bad = [
        (
            "limit",
            vec![json!(0), json!(201), json!(-1), json!(1.5), json!("x"), json!(null), json!(true), json!([])],
            "from 1 to 200",
        ),
        ("__limit", vec![json!(0)], "from 1 to 200"),
        ("offset", vec![json!(-1), json!(1_001), json!("x"), json!(null), json!({})], "from 0 to 1000"),
        (
            "sort",
            vec![
                json!("ghost"),
                json!("first_name:up"),
                json!(""),
                json!(5),
                json!(["first_name"]),
                json!("city,city"),
            ],
            "",
        ),
        ("properties", vec![json!(5), json!([5]), json!("ghost"), json!("ghost:*"), json!("invoices:lines:*")], ""),
        ("count", vec![json!("yes"), json!(1), json!(null)], "true or false"),
    ];
    for (name, values, words) in bad {
        for value in values {
            let batch = read(json!({ "customer_id": 1 }), json!({ name: value }));
            let place = format!("/metadata_params/{name}");
            cases.push(case(format!("{name} {value}"), batch).at(A, &place, "INVALID_VALUE", &[words]));
        }
    }
    for (value, words) in [
        (json!({ "ghost": 1 }), "customer has no field"),
        (json!({ "pk": "T#t2#customer#1" }), "customer has no field"),
    ] {
        let name = value.as_object().unwrap().keys().next().unwrap().clone();
        let batch = read(value, json!({ "limit": 1 }));
        cases.push(case("a condition on no field", batch).at(
            A,
            &format!("/query_params/{name}"),
            "UNKNOWN_FIELD",
            &[words],
        ));
    }
    for value in ["between::1", "between::1,2,3", "in::", "like::x", "gt::abc"] {
        let batch = read(json!({ "customer_id": value }), json!({ "limit": 1 }));
        cases.push(case(value, batch).at(A, "/query_params/customer_id", "INVALID_VALUE", &["customer_id"]));
    }
    check(&Client::new().await, cases).await;
}

#[tokio::test(start_paused = true)]
async fn entities_of_two_databases_do_not_share_a_batch() {
    const YAML: &str = "
components:
  schemas:
    one:
      type: object
      x-af-database: left
      properties: {one_id: {type: integer, x-af-primary-key: auto}, name: {type: string}}
    two:
      type: object
      x-af-database: right
      properties: {two_id: {type: integer, x-af-primary-key: auto}, name: {type: string}}
";
    let model = Model::from_yaml(YAML).unwrap();
    let client = Client::of(World::with(model, Limits::default()).await).await;
    let create = |id: &str, entity: &str| json!({ "id": id, "entity": entity, "action": "create", "store_params": { "name": "n" } });
    let batch = ops(json!([create("a", "one"), create("b", "one"), create("c", "two")]));
    let told = case("two databases", batch).at((2, "c"), "/entity", "CROSS_DATABASE", &["left", "right"]);
    check(&client, vec![told]).await;
}

#[tokio::test(start_paused = true)]
async fn a_row_of_401_kb_fails_its_operation_and_no_row_is_written() {
    let client = Client::new().await;
    let large = json!({ "content": "c", "metadata": { "text": "x".repeat(401 * 1024) } });
    let body = one(json!({ "entity": "memory", "store_params": large })).to_string();
    let answer = client.post("/batch", &[], body.as_bytes()).await;
    let result = &answer.body["results"]["a"];
    assert_eq!((answer.status, &result["code"], &result["statusCode"]), (200, &json!("ITEM_TOO_LARGE"), &json!(413)));
    assert!(result["error"].as_str().unwrap().contains("409600"), "{result}");
    assert_eq!(client.world.items("RecordsTable"), Vec::<Value>::new());
}
