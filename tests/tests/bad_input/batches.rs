//! Batches that make no sense: every problem is told with its place, its operation and its fix.

use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_tests::World;
use serde_json::{Value, json};

use super::client::{Client, refused};

/// A problem that must be told.
struct Told {
    pointer: String,
    code: &'static str,
    operation: Option<(u64, &'static str)>,
    words: Vec<&'static str>,
}

struct Case {
    name: String,
    body: Value,
    told: Vec<Told>,
}

fn case(name: impl Into<String>, body: Value) -> Case {
    Case { name: name.into(), body, told: Vec::new() }
}

impl Case {
    /// A problem of the request as a whole.
    fn whole(mut self, pointer: &str, code: &'static str, words: &[&'static str]) -> Self {
        self.told.push(Told { pointer: pointer.to_owned(), code, operation: None, words: words.to_vec() });
        self
    }

    /// A problem of one operation; the pointer starts inside of it.
    fn at(mut self, operation: (u64, &'static str), inside: &str, code: &'static str, words: &[&'static str]) -> Self {
        let pointer = format!("/operations/{}{inside}", operation.0);
        self.told.push(Told { pointer, code, operation: Some(operation), words: words.to_vec() });
        self
    }
}

/// Sends each case to `POST /batch` as it is, to `POST /batch/plan`, and again with `validate_only`: all three tell exactly
/// the same problems, and nothing is written.
async fn check(client: &Client, cases: Vec<Case>) {
    let before = client.stored();
    for Case { name, body, told } in cases {
        let countable = body["operations"]
            .as_array()
            .is_some_and(|operations| (1..=100).contains(&operations.len()) && operations.iter().all(Value::is_object));

        let answer = client.post("/batch", &[], body.to_string().as_bytes()).await;
        refused(&name, &answer, 400, "BATCH_VALIDATION_ERROR");
        check_told(&name, &answer.body["errors"], &told);
        if let Some((index, id)) = told.first().and_then(|first| first.operation) {
            let details = &answer.body["details"];
            assert_eq!((&details["operation"], &details["operationId"]), (&json!(index), &json!(id)), "{name}");
        }

        let plan = client.post("/batch/plan", &[], body.to_string().as_bytes()).await;
        if countable {
            assert_eq!((plan.status, &plan.body["valid"]), (200, &json!(false)), "{name}: {:#}", plan.body);
            check_told(&name, &plan.body["problems"], &told);
        } else {
            refused(&name, &plan, 400, "BATCH_VALIDATION_ERROR");
            check_told(&name, &plan.body["errors"], &told);
        }

        if countable {
            check_validated(client, &name, body, &told).await;
        }
    }
    assert_eq!(client.writes(), [""; 0], "something was written");
    assert_eq!(client.stored(), before);
}

fn check_told(name: &str, errors: &Value, told: &[Told]) {
    let errors = errors.as_array().cloned().unwrap_or_default();
    for Told { pointer, code, operation, words } in told {
        let found = errors.iter().find(|error| error["pointer"] == pointer.as_str() && error["code"] == *code);
        let found = found.unwrap_or_else(|| panic!("{name}: no {code} at {pointer}: {errors:#?}"));
        let whose = (found["operation"].as_u64(), found["operationId"].as_str());
        assert_eq!(whose, (operation.map(|(index, _)| index), operation.map(|(_, id)| id)), "{name}: {found:#}");
        let message = found["message"].as_str().unwrap_or_default();
        for word in words {
            assert!(message.contains(word), "{name}: no {word:?} in {message:?}");
        }
        assert!(message.len() < 2_000, "{name}: a message of {} bytes", message.len());
    }
    assert_eq!(errors.len(), told.len(), "{name}: {errors:#?}");
}

async fn check_validated(client: &Client, name: &str, mut body: Value, told: &[Told]) {
    let mut options = body.get("options").cloned().unwrap_or(json!({}));
    let Some(fields) = options.as_object_mut() else { return };
    if fields.contains_key("validateOnly") || fields.insert("validate_only".to_owned(), json!(true)).is_some() {
        return;
    }
    body["options"] = options;
    let answer = client.post("/batch", &[], body.to_string().as_bytes()).await;
    let told_as = (answer.status, &answer.body["status"], &answer.body["success"], &answer.body["batchId"]);
    assert_eq!(told_as, (200, &json!("invalid"), &json!(false), &Value::Null), "{name}: {:#}", answer.body);
    for Told { operation, words, .. } in told {
        let Some((index, id)) = operation else { continue };
        let verdict = &answer.body["operations"][usize::try_from(*index).unwrap()];
        assert_eq!((&verdict["id"], &verdict["status"]), (&json!(id), &json!("invalid")), "{name}: {verdict:#}");
        let error = verdict["error"].as_str().unwrap_or_default();
        assert!(words.iter().all(|word| error.contains(word)), "{name}: {verdict:#}");
    }
}

fn ops(operations: Value) -> Value {
    json!({ "operations": operations })
}

/// A batch of one operation `a`: a good one, with `changes` over it; null removes a field.
fn one(changes: Value) -> Value {
    ops(json!([operation("a", changes)]))
}

fn operation(id: &str, changes: Value) -> Value {
    let mut operation =
        json!({ "id": id, "entity": "customer", "action": "create", "store_params": { "first_name": "John" } });
    for (name, value) in changes.as_object().cloned().unwrap_or_default() {
        if value == json!("-") {
            operation.as_object_mut().unwrap().remove(&name);
        } else {
            operation[name] = value;
        }
    }
    operation
}

fn with_options(options: Value) -> Value {
    let mut body = one(json!({}));
    body["options"] = options;
    body
}

const A: (u64, &str) = (0, "a");

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
    for name in ["claims", "permissions"] {
        let place = format!("/{name}");
        cases.push(case(name, one(json!({ name: {} }))).at(A, &place, "NOT_SUPPORTED", &[name, "credential"]));
    }
    check(&Client::new().await, cases).await;
}

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
async fn every_problem_is_told_at_once() {
    let batch = json!({
        "options": { "timeout": 0, "atomic": "yes" },
        "webhook": "https://example.com",
        "operations": [
            { "id": "a", "entity": "ghost", "action": "create" },
            { "id": "a", "entity": "customer", "action": "update", "store_params": { "ghost": 1 }, "depends_on": ["nobody"] },
            { "entity": "customer", "action": "grow", "query_params": [] },
        ],
    });
    let told = case("many", batch)
        .whole("/options/timeout", "INVALID_VALUE", &[])
        .whole("/options/atomic", "WRONG_TYPE", &[])
        .whole("/webhook", "NOT_SUPPORTED", &[])
        .at((0, "a"), "/entity", "UNKNOWN_ENTITY", &[])
        .at((1, "a"), "/id", "DUPLICATE_ID", &[])
        .at((1, "a"), "/depends_on/0", "UNKNOWN_DEPENDENCY", &[])
        .at((1, "a"), "/store_params/ghost", "UNKNOWN_FIELD", &[])
        .at((1, "a"), "/query_params", "PRIMARY_KEY_REQUIRED", &[])
        .at((2, "op_2"), "/action", "UNKNOWN_ACTION", &[])
        .at((2, "op_2"), "/query_params", "WRONG_TYPE", &[]);
    let client = Client::new().await;
    let body = told.body.to_string();
    let answer = client.post("/batch", &[], body.as_bytes()).await;
    refused("many", &answer, 400, "BATCH_VALIDATION_ERROR");
    check_told("many", &answer.body["errors"], &told.told);
    assert_eq!(client.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_option_is_told_by_validate_only_too() {
    let client = Client::new().await;
    let body = with_options(json!({ "validate_only": true, "timeout": 0 })).to_string();
    let answer = client.post("/batch", &[], body.as_bytes()).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("invalid")), "{:#}", answer.body);
    assert!(answer.body.to_string().contains("timeout"), "nothing says what is wrong: {:#}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn dependencies_given_twice_count_once() {
    let client = Client::new().await;
    let body = ops(json!([operation("a", json!({})), operation("b", json!({ "depends_on": ["a", "a", "a"] }))]));
    let answer = client.post("/batch", &[], body.to_string().as_bytes()).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("completed")), "{:#}", answer.body);
    assert_eq!(answer.body["executionOrder"], json!(["a", "b"]));
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

#[tokio::test(start_paused = true)]
async fn an_atomic_batch_beyond_one_transaction_is_refused_with_its_arithmetic() {
    let client = Client::new().await;
    let memory = |text: usize| json!({ "entity": "memory", "action": "create", "store_params": { "content": "c", "metadata": { "text": "x".repeat(text) } } });
    let customers = vec![operation("x", json!({ "id": "-" })); 60];
    for (batch, words) in [
        (ops(json!(vec![memory(1); 100])), ["101", "100"]),
        (ops(json!(customers)), ["121", "100"]),
        (ops(json!(vec![memory(390_000); 10])), ["3500000", "bytes"]),
    ] {
        let answer = client.post("/batch", &[], batch.to_string().as_bytes()).await;
        refused("atomic", &answer, 400, "ATOMIC_TOO_LARGE");
        let message = answer.body["message"].as_str().unwrap();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        let plan = client.post("/batch/plan", &[], batch.to_string().as_bytes()).await;
        assert_eq!((plan.status, &plan.body["commitPath"]), (200, &json!("refused")), "{:#}", plan.body);
    }
    assert_eq!(client.writes(), [""; 0]);
}
