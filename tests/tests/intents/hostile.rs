//! A client that means no good, or reads no pages: every answer is a refusal that says where and how to mend it.

use serde_json::{Value, json};

use super::scene::{Scene, TO, id_of, transfer};

const CREATE: &str = "/api/v1/profiles/home/batch-intent";

/// One wrong operation after a right one: the refusal must be about the second.
fn wrong_operations() -> Vec<Value> {
    let with = |mut operation: Value, pointer: &str, value: Value| {
        *operation.pointer_mut(pointer).unwrap() = value;
        operation
    };
    let pay = || transfer("usdc", 1, "1");
    let long = "9".repeat(100_000);
    let mut wrong = vec![json!(null), json!("transfer"), json!([]), json!({}), json!({ "type": {} }), json!(7)];
    for amount in ["0", "-1", "1e3", "0.0000001", "1,5", "0x1", "NaN", "\u{661}", "1\u{0}", " 1", &long] {
        wrong.push(with(pay(), "/from/amount", json!(amount)));
    }
    for value in [json!(1), json!(null), json!([]), json!({}), json!(true)] {
        wrong.push(with(pay(), "/from/amount", value.clone()));
        wrong.push(with(pay(), "/from/token", value.clone()));
        wrong.push(with(pay(), "/to/address", value));
    }
    for token in ["", "doge", "USDC ", "\u{1f4b8}", &long, "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB49", TO] {
        wrong.push(with(pay(), "/from/token", json!(token)));
    }
    for chain in [json!(0), json!(2), json!(-1), json!(1.5), json!("1"), json!([1]), json!(u64::MAX)] {
        wrong.push(with(pay(), "/from/chainId", chain.clone()));
        wrong.push(json!({ "type": "approve", "token": "usdc", "spender": TO, "amount": "1", "chainId": chain }));
    }
    for address in ["", "0x", "0xDEX...", &TO.to_uppercase(), &TO.replace("5aA", "5AA"), &format!("{TO}0"), &long] {
        wrong.push(with(pay(), "/to/address", json!(address)));
    }
    let pool = |fields: Value| {
        let mut pool =
            json!({ "type": "addLiquidity", "tokens": ["usdc", "weth"], "amounts": ["1", "1"], "chainId": 1 });
        pool.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        pool
    };
    for fields in [
        json!({ "tokens": "usdc" }),
        json!({ "tokens": ["usdc"] }),
        json!({ "tokens": ["usdc", "weth", "dai"] }),
        json!({ "tokens": ["usdc", 7] }),
        json!({ "amounts": ["1", "-1"] }),
        json!({ "router": "uniswap" }),
        json!({ "slippageBps": 10_001 }),
        json!({ "slippageBps": "50" }),
        json!({ "deadline": 0 }),
        json!({ "deadline": 1_000_000_000 }),
        // Milliseconds.
        json!({ "deadline": 1_767_229_200_000_u64 }),
    ] {
        wrong.push(pool(fields));
    }
    wrong.push(json!({ "type": "bridge" }));
    wrong
}

#[tokio::test(start_paused = true)]
async fn a_wrong_operation_is_named_and_nothing_is_asked_of_orby() {
    let scene = Scene::new().await;
    for wrong in wrong_operations() {
        let shown = wrong.to_string().chars().take(200).collect::<String>();
        let refused = scene.create(&json!({ "operations": [transfer("eth", 1, "1"), wrong] })).await;
        assert_eq!((refused.status, &refused.body["error"]), (400, &json!("BATCH_VALIDATION_ERROR")), "{shown}");
        let details = &refused.body["details"];
        assert_eq!((&details["operation"], &details["operationId"]), (&json!(1), &json!("op_1")), "{shown}");
        assert!(details["issue"].as_str().is_some_and(|issue| issue.len() > 10 && issue.len() < 400), "{details}");
        for problem in refused.body["errors"].as_array().unwrap() {
            assert!(problem["pointer"].as_str().unwrap().starts_with("/operations/1"), "{problem}");
        }
    }
    assert_eq!(scene.world.orby.take_calls(), Vec::<String>::new());
    // None of it counts against the quota.
    assert_eq!(scene.create(&json!({ "operations": [transfer("eth", 1, "1")] })).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn no_body_of_any_shape_is_taken() {
    let scene = Scene::new().await;
    let created = scene.created(&json!([transfer("eth", 1, "1")]), false).await;
    let (id, deep) = (id_of(&created), format!("{}{}", "[".repeat(100), "]".repeat(100)));
    let bodies = [
        "",
        "null",
        "7",
        "[]",
        "\"x\"",
        "{",
        "{}",
        "{\"operations\":[]}",
        "{\"operations\":{}}",
        "\u{feff}{}",
        "{\"signatures\":{}}",
        "{\"signatures\":[]}",
        "{\"signatures\":[7,null,[],\"x\"]}",
        "{\"operationIds\":[]}",
        "{\"signatures\":[{\"operationSetId\":7,\"signatures\":7}]}",
        &format!("{{\"signatures\":{deep}}}"),
        "{\"operationIds\":{}}",
        "{\"operationIds\":[null]}",
        "{\"updateParams\":[]}",
        "{\"updateParams\":\"x\"}",
    ];
    for path in [CREATE.to_owned(), format!("/api/v1/batch/{id}/execute"), format!("/api/v1/batch/{id}/retry")] {
        for body in bodies {
            let answer = scene.raw(&path, body.as_bytes()).await;
            // An empty retry is one of everything; this batch has not ended.
            assert!([400, 409].contains(&answer.status), "{path} {body}: {:#}", answer.body);
            assert!(answer.body["error"].is_string() && answer.body["message"].is_string(), "{path} {body}");
        }
        let answer = scene.raw(&path, b"\xff\xfe").await;
        assert_eq!(answer.status, 400, "{path}");
    }
    assert_eq!(scene.sent_once(), 0);
    assert_eq!(scene.run(&created).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn signatures_of_every_wrong_shape_are_refused_by_operation() {
    let scene = Scene::new().await;
    let swap =
        json!({ "type": "swap", "from": { "token": "usdc", "chainId": 1, "amount": "1" }, "to": { "token": "dai" } });
    let created = scene.created(&json!([transfer("eth", 1, "1"), swap]), false).await;
    let good = scene.wallet.sign_all(&created);
    let entries = |edit: &dyn Fn(&mut Vec<Value>)| {
        let mut body = good.clone();
        edit(body["signatures"][1]["signatures"].as_array_mut().unwrap());
        body
    };
    let of = |place: usize, value: Value| {
        let mut body = good.clone();
        body["signatures"][1]["signatures"][place]["signature"] = value;
        body
    };
    let signature = |place: usize| good["signatures"][1]["signatures"][place]["signature"].clone();
    for (what, body) in [
        ("one of two", entries(&|entries| drop(entries.pop()))),
        ("an index twice", entries(&|entries| entries[1]["index"] = json!(0))),
        ("an index beyond", entries(&|entries| entries[1]["index"] = json!(2))),
        ("an index in words", entries(&|entries| entries[1]["index"] = json!("1"))),
        ("a negative index", entries(&|entries| entries[1]["index"] = json!(-1))),
        ("one more", entries(&|entries| entries.push(json!({ "index": 2, "signature": "0x00" })))),
        ("a thousand more", entries(&|entries| entries.extend(vec![json!({ "index": 9, "signature": "0x" }); 1_000]))),
        ("swapped in the set", {
            let mut body = of(0, signature(1));
            body["signatures"][1]["signatures"][1]["signature"] = signature(0);
            body
        }),
        ("no hex", of(0, json!("0xzz"))),
        ("very long", of(1, json!(format!("0x{}", "00".repeat(300_000))))),
        ("an object", of(1, json!({ "r": 1, "s": 2 }))),
        ("empty", of(0, json!(""))),
    ] {
        let refused = scene.execute(id_of(&created), &body).await;
        assert_eq!((refused.status, &refused.body["error"]), (400, &json!("BATCH_VALIDATION_ERROR")), "{what}");
        let details = &refused.body["details"];
        assert_eq!((&details["operation"], &details["operationId"]), (&json!(1), &json!("op_1")), "{what}: {details}");
    }
    assert_eq!(scene.sent_once(), 0);
    assert_eq!(scene.execute(id_of(&created), &good).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_another_contract_or_of_nobody_is_no_batch_of_intents() {
    let scene = Scene::new().await;
    let records =
        json!({ "operations": [{ "entity": "artist", "action": "create", "store_params": { "name": "x" } }] });
    let records = scene.world.batch(&records).await.batch_id();
    for id in [records.as_str(), "batch_00000000000000000000000000000000", "batch_x", "op_0", "%00", "\u{e9}"] {
        for (method, action) in [("POST", "execute"), ("POST", "retry"), ("GET", "status"), ("GET", "failure-analysis")]
        {
            let answer = scene.any(method, &format!("/api/v1/batch/{id}/{action}")).await;
            assert_eq!((answer.status, &answer.body["error"]), (404, &json!("NOT_FOUND")), "{id} {action}");
        }
    }
    let answer = scene.post("/api/v1/profiles/nobody/batch-intent", &json!({ "operations": [] })).await;
    assert_eq!(answer.status, 404);
}
