//! A short soak; `cargo run --release -p batch-tests --bin soak` is the long one.

#![expect(clippy::expect_used, reason = "a helper that fails fails its test")]

use batch_tests::seam::dispatch;
use batch_tests::{World, soak};
use serde_json::{Value, json};

#[test]
fn effects_are_results_are_counters_whatever_fails() {
    let report = soak::run(300, 3);
    assert!(report.differences.is_empty(), "{:#?}", report.differences);
    let sent: usize = report.batches.values().sum();
    assert!(sent > 300, "each was sent, and some were retried: {:#?}", report.batches);
    let statuses = ["completed", "partial", "failed", "cancelled", "timed_out"];
    let never = statuses.iter().filter(|status| !report.batches.keys().any(|(_, told)| told == *status));
    assert_eq!(never.collect::<Vec<_>>(), [&""; 0], "{:#?}", report.batches);
    let kinds =
        ["request lost", "reply lost", "server error", "throttled", "slow", "no answer", "transaction conflict"];
    for kind in kinds.into_iter().chain(["transaction in progress", "write conflict", "unprocessed keys"]) {
        assert!(report.faults.contains_key(kind), "{kind} never happened: {:#?}", report.faults);
    }
    let (calls, faults): (u64, u64) = (report.calls.values().sum(), report.faults.values().sum());
    assert!((faults * 100 / calls).abs_diff(5) <= 2, "{faults} of {calls} calls failed");
}

#[test]
fn one_seed_is_one_soak() {
    let [first, second, other] = [8, 8, 9].map(|seed| format!("{:?}", soak::run(40, seed)));
    assert!(first == second, "equal seeds");
    assert!(first != other, "another seed");
}

/// Changes an attribute of one item that `is` picks by its key, or deletes it.
fn spoil(world: &World, table: &str, is: impl Fn(&str) -> bool, change: Option<(&str, Value)>) {
    let items = world.items(table);
    let item = items.iter().find(|item| {
        let alive = item.get("_del").is_none();
        alive && is(&format!("{}{}", item["pk"]["S"].as_str().unwrap_or(""), item["sk"]["S"].as_str().unwrap_or("")))
    });
    let mut key = item.expect("there is such an item").clone();
    key.as_object_mut().expect("an item").retain(|name, _| ["pk", "sk"].contains(&name.as_str()));
    let mut body = json!({ "TableName": table, "Key": key });
    let Some((name, value)) = change else {
        dispatch(world.seam.database(), "DeleteItem", body).expect("the item is deleted");
        return;
    };
    body["UpdateExpression"] = "SET #name = :value".into();
    body["ExpressionAttributeNames"] = json!({ "#name": name });
    body["ExpressionAttributeValues"] = json!({ ":value": value });
    dispatch(world.seam.database(), "UpdateItem", body).expect("the item is changed");
}

#[test]
fn what_is_not_as_it_was_told_is_noticed() {
    let (records, batches) = ("RecordsTable", "BatchesTable");
    let (row, counter) = (|key: &str| key.contains("t1#account#"), |key: &str| key.contains("#N#"));
    let (unique, state) = (|key: &str| key.contains("#U#"), |key: &str| key.ends_with("A#STATE"));
    let much = || Some(("_v", json!({ "N": "77" })));
    let counts = json!({ "S": r#"{"total":1,"successful":1,"failed":0,"skipped":0,"pending":0}"# });
    let spoils: [(&str, &dyn Fn(&World)); 9] = [
        ("a lock is left", &|world| spoil(world, records, row, Some(("_lk", json!({ "S": "x" }))))),
        ("is not stored", &|world| spoil(world, records, row, None)),
        ("nobody told of", &|world| spoil(world, records, row, Some(("f", json!({ "M": {} }))))),
        ("written 77 times", &|world| spoil(world, records, row, much())),
        ("says 77", &|world| spoil(world, records, counter, Some(("n", json!({ "N": "77" }))))),
        ("owned by nobody", &|world| spoil(world, records, unique, None)),
        ("states are stored", &|world| spoil(world, batches, state, None)),
        ("it counts", &|world| spoil(world, batches, state, Some(("summary", counts.clone())))),
        ("it is told", &|world| spoil(world, batches, state, Some(("status", json!({ "S": "paused" }))))),
    ];
    for (wrong, spoil) in spoils {
        let report = soak::run_and(40, 8, spoil);
        assert!(report.differences.iter().any(|told| told.contains(wrong)), "{wrong}: {:#?}", report.differences);
    }
}
