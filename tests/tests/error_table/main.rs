//! What each answer of the store leads to, and each way in which an operation can end without having failed.
//!
//! [`ROWS`] is the whole table: every answer with the facts that show it, here or where the commits are tested.

#![expect(clippy::expect_used, reason = "a helper that fails fails its test")]

mod guard;
mod refused;
mod repeated;
mod skipped;

use std::path::Path;

use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_tests::operations::{create, update};
use batch_tests::seam::{Call, Fault, Hook};
use batch_tests::{Answer, World};
use serde_json::{Value, json};

/// What the store answers, and the facts about it: the file under `tests/`, and the names.
const ROWS: &[(&str, &[(&str, &[&str])])] = &[
    (
        "the condition on the state failed: the batch has ended",
        &[
            ("commit_paths/races.rs", &["a_sync_caller_is_answered_from_the_state_another_one_wrote"]),
            ("error_table/guard.rs", &["a_batch_that_has_ended_meanwhile_is_told_as_it_ended"]),
        ],
    ),
    (
        "the condition on the state failed: others have moved it on",
        &[("commit_paths/races.rs", &["whoever_comes_second_takes_over_what_the_first_has_done"])],
    ),
    (
        "the condition on the state failed: by one's own commit, whose answer was lost",
        &[("error_table/guard.rs", &["ones_own_commit_is_recognised_when_the_store_has_forgotten_its_token"])],
    ),
    (
        "the condition on a row failed, and the row bears one's own mark",
        &[("error_table/guard.rs", &["a_row_with_ones_own_mark_is_no_proof_of_a_commit"])],
    ),
    (
        "the condition on a row failed by another writer: a conflict of the contract, or planned again",
        &[
            ("commit_paths/foreign.rs", &["what_has_changed_before_the_commit_decides"]),
            ("commit_paths/foreign.rs", &["a_later_chunk_meets_a_foreign_writer_too"]),
            ("error_table/guard.rs", &["a_row_that_changes_before_each_commit_is_planned_for_eight_times_more"]),
        ],
    ),
    (
        "the transaction meets another one",
        &[
            (
                "commit_paths/contention.rs",
                &["a_conflict_halves_the_chunk", "a_conflict_of_the_guard_alone_is_tried_again"],
            ),
            ("commit_paths/contention.rs", &["nine_conflicts_on_one_row_fail_its_operation_and_no_other"]),
            ("error_table/repeated.rs", &["a_write_that_meets_a_transaction_is_sent_again"]),
        ],
    ),
    (
        "throttled, in progress: the same again, later, with the same token",
        &[
            ("commit_paths/answers.rs", &["what_may_pass_is_sent_again_as_it_was_with_the_same_token"]),
            (
                "error_table/repeated.rs",
                &["the_wait_before_each_new_sending_is_random_and_its_bound_doubles_to_a_second"],
            ),
        ],
    ),
    ("keys stay unprocessed", &[("commit_paths/answers.rs", &["keys_that_stay_unprocessed_are_asked_for_again"])]),
    (
        "no answer, an error of the server, a reset: the same again with the same token",
        &[
            ("commit_paths/answers.rs", &["what_may_pass_is_sent_again_as_it_was_with_the_same_token"]),
            ("error_table/repeated.rs", &["what_is_not_answered_in_time_is_sent_again_as_it_was"]),
        ],
    ),
    (
        "no answer for as long as the call lasts: the state decides, later",
        &[
            ("commit_paths/answers.rs", &["a_sync_batch_that_cannot_be_committed_in_time_goes_on_in_the_background"]),
            ("error_table/guard.rs", &["a_commit_whose_answers_are_all_lost_is_found_done"]),
        ],
    ),
    (
        "no answer to the acceptance: repeated until it is known",
        &[
            ("commit_paths/answers.rs", &["a_lost_answer_to_the_acceptance_or_to_a_state_alone_changes_nothing"]),
            ("commit_paths/answers.rs", &["a_batch_that_cannot_be_accepted_is_not_said_to_have_run"]),
        ],
    ),
    (
        "the token is known for another request",
        &[
            ("commit_paths/answers.rs", &["a_lost_answer_is_found_out_by_the_state_when_the_token_is_forgotten"]),
            ("commit_paths/answers.rs", &["a_refused_token_is_followed_by_a_new_one"]),
        ],
    ),
    (
        "a row is too large",
        &[
            ("commit_paths/sizes.rs", &["a_row_too_large_fails_its_operation_alone"]),
            (
                "error_table/refused.rs",
                &["a_row_that_the_store_does_not_take_fails_its_operation_and_is_not_sent_again"],
            ),
        ],
    ),
    (
        "the request is invalid as a whole",
        &[
            (
                "error_table/refused.rs",
                &["a_request_that_the_store_does_not_take_is_halved_until_the_one_to_blame_is_alone"],
            ),
            ("error_table/refused.rs", &["an_atomic_batch_that_the_store_does_not_take_fails_and_changes_nothing"]),
        ],
    ),
    (
        "nobody but us makes tokens",
        &[("commit_paths/answers.rs", &["every_commit_has_a_token_of_its_own_and_the_sdk_makes_none_up"])],
    ),
];

#[test]
fn every_row_of_the_table_has_its_facts() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for (answer, facts) in ROWS {
        assert!(!facts.is_empty(), "{answer}");
        for (file, names) in *facts {
            let text = std::fs::read_to_string(tests.join(file)).expect("the file is there");
            for name in *names {
                assert!(text.contains(&format!("async fn {name}()")), "{answer}: {file} has no {name}");
            }
        }
    }
}

/// Creates of the accounts 0..count, each with a balance of 10.
fn accounts(count: usize) -> Vec<Value> {
    let account = |n: usize| create(&format!("a{n}"), "account", json!({ "account_id": n, "available_balance": 10 }));
    (0..count).map(account).collect()
}

/// Updates of the accounts 0..count, to a balance of 11.
fn raise(count: usize) -> Vec<Value> {
    let raise =
        |n: usize| update(&format!("u{n}"), "account", json!({ "account_id": n }), json!({ "available_balance": 11 }));
    (0..count).map(raise).collect()
}

/// With these accounts, and so many operations in a chunk.
async fn world(accounts_there: usize, chunk_operations: usize) -> World {
    let limits = Limits { chunk_operations, ..Limits::default() };
    let world = World::with(Model::shipped().expect("the shipped model is right"), limits).await;
    if accounts_there > 0 {
        let answer = world.run(accounts(accounts_there), json!({ "atomic": false })).await;
        assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
    }
    world.seam.take_calls();
    world
}

/// Accepts operations for the queue; the batch and its message.
async fn queued(world: &World, operations: Vec<Value>, options: Value) -> (String, Vec<String>) {
    let body = json!({ "operations": operations, "options": options });
    let answer = world.post_with("/batch", &[("prefer", "respond-async")], &body).await;
    assert_eq!(answer.status, 202, "{:#}", answer.body);
    (answer.batch_id(), world.seam.take_messages())
}

fn item(world: &World, end: &str) -> Value {
    let pk = format!("T#t1#{end}");
    world.items("RecordsTable").into_iter().find(|item| item["pk"]["S"] == pk).unwrap_or_default()
}

fn version(world: &World, account: usize) -> u64 {
    item(world, &format!("account#{account}"))["_v"]["N"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn commits(calls: &[Call]) -> Vec<&Call> {
    calls.iter().filter(|call| call.operation == "TransactWriteItems").collect()
}

/// What operation `id` came to: its status and, with it, its code or reason.
fn outcome(answer: &Answer, id: &str) -> String {
    let result = &answer.body["results"][id];
    let more = result["code"].as_str().or(result["reason"].as_str()).unwrap_or_default();
    format!("{} {more}", result["status"].as_str().unwrap_or("nothing")).trim_end().to_owned()
}

/// Something happens to the database before the call that suffers this.
fn before(what: impl Fn(&batch_tests::seam::Seam) + Send + Sync + 'static, world: &World) -> Fault {
    let seam = world.seam.clone();
    Fault::Before(Hook(std::sync::Arc::new(move |_| what(&seam))))
}
