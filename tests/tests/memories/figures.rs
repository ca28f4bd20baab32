//! What memories cost: calls and capacity units. Times are for the benchmark.

use batch_tests::World;
use batch_tests::memories::{MADE, world_with};
use batch_tests::seam::Call;
use serde_json::{Value, json};

use super::setting::{adds_up, create, result, run, search};

fn of<'a>(calls: &'a [Call], operation: &str) -> Vec<&'a Call> {
    calls.iter().filter(|call| call.operation == operation).collect()
}

/// Pages and read units of a search for one of so many memories.
async fn searched(count: usize) -> (usize, f64) {
    let world = world_with(count).await;
    let answer = run(&world, json!([search("Zanzibar")]), json!({})).await;
    assert_eq!(result(&answer, 0)["total"], 1, "{:#}", answer.body);
    let calls = world.seam.take_calls();
    let pages = of(&calls, "Query");
    assert!(pages.iter().all(|page| page.body["TableName"] == "SearchTable" && page.body["ConsistentRead"] == true));
    // Quota, head, state, and the one memory that is told; all else are pages.
    assert_eq!(calls.len() - pages.len(), 4, "{calls:#?}");
    let memories = of(&calls, "BatchGetItem");
    assert_eq!(memories[0].body["RequestItems"]["RecordsTable"]["Keys"].as_array().map(Vec::len), Some(1));
    let units = pages.iter().map(|page| page.read_units).sum();
    eprintln!("{count} memories: {} pages, {units} read units", pages.len());
    (pages.len(), units)
}

#[tokio::test(start_paused = true)]
async fn a_search_reads_one_packed_row_a_memory_and_grows_no_faster_than_they_do() {
    let (few_pages, few) = searched(1_000).await;
    let (pages, units) = searched(10_000).await;
    assert_eq!(few_pages, 8, "one of each shard");
    assert!(pages <= 40, "{pages} pages of 10,000 memories");
    assert!((120.0..=220.0).contains(&few), "{few} units for 1,000 memories");
    assert!(units <= 10.0 * few + 8.0, "{few} units for 1,000 memories, {units} for 10,000");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_creations_are_four_calls_and_the_quota() {
    let world = World::new().await;
    let operations: Vec<Value> = (0..100).map(|n| create(&format!("note {n}"))).collect();
    adds_up(&run(&world, json!(operations), json!({})).await);
    let calls = world.seam.take_calls();
    let names: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    let transaction = "TransactWriteItems";
    assert_eq!(names, ["UpdateItem", "PutItem", transaction, transaction, transaction]);
    let sizes: Vec<usize> =
        of(&calls, transaction).iter().map(|call| call.body["TransactItems"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [99, 99, 5], "the guard, and two items for each memory");
}

#[tokio::test(start_paused = true)]
async fn a_search_without_words_reads_nothing_and_many_searches_read_the_rows_once() {
    let world = world_with(MADE + 1).await;
    run(&world, json!([search("?!")]), json!({})).await;
    assert!(of(&world.seam.take_calls(), "Query").is_empty());
    let answer = run(&world, json!(vec![search("Zanzibar"); 20]), json!({})).await;
    adds_up(&answer);
    assert_eq!(of(&world.seam.take_calls(), "Query").len(), 8);
}

#[tokio::test(start_paused = true)]
async fn one_memory_costs_few_calls() {
    let world = World::new().await;
    let made = world.post_with("/api/v1/memory", &[], &json!({ "content": "c" })).await;
    let names = |calls: Vec<Call>| calls.into_iter().map(|call| call.operation).collect::<Vec<_>>();
    assert_eq!(
        names(world.seam.take_calls()),
        ["Query", "UpdateItem", "PutItem", "TransactWriteItems"],
        "the first looks for the same request a minute before"
    );
    world.get(&format!("/api/v1/memory/{}", made.body["id"].as_str().unwrap())).await;
    assert_eq!(names(world.seam.take_calls()), ["BatchGetItem"]);
}
