//! Limits: every number the contract tells is the number the code holds to.

use batch_core::limits::{self, Limits};
use batch_core::operation::OperationId;
use serde_json::{Value, json};

use super::files::{OPERATIONS, SPEC, SPEC_TEXT, TEMPLATE, resource};

fn schema(place: &str) -> &'static Value {
    let found = SPEC.pointer(&format!("/components/{place}"));
    found.unwrap_or_else(|| panic!("the contract has no {place}"))
}

#[test]
fn numbers_in_schemas_are_those_of_the_code() {
    let options = |name: &str, bound: &str| format!("schemas/BatchOptions/properties/{name}/{bound}");
    for (place, limit) in [
        ("schemas/BatchRequest/properties/operations/minItems".to_owned(), json!(1)),
        ("schemas/BatchRequest/properties/operations/maxItems".to_owned(), json!(limits::MAX_OPERATIONS)),
        (options("max_retries", "minimum"), json!(0)),
        (options("max_retries", "maximum"), json!(limits::MAX_RETRIES)),
        (options("max_retries", "default"), json!(0)),
        (options("maxRetries", "maximum"), json!(limits::MAX_RETRIES)),
        (options("timeout", "minimum"), json!(1)),
        (options("timeout", "maximum"), json!(limits::MAX_TIMEOUT_MS)),
        (options("timeout", "default"), json!(limits::DEFAULT_TIMEOUT_MS)),
        (options("reference", "maxLength"), json!(limits::MAX_REFERENCE)),
        ("parameters/Reference/schema/maxLength".to_owned(), json!(limits::MAX_REFERENCE)),
        ("parameters/IdempotencyKey/schema/maxLength".to_owned(), json!(limits::MAX_IDEMPOTENCY_KEY)),
        ("parameters/IdempotencyKey/schema/minLength".to_owned(), json!(1)),
        ("parameters/Limit/schema/minimum".to_owned(), json!(1)),
        ("parameters/Limit/schema/maximum".to_owned(), json!(limits::MAX_PAGE)),
        ("parameters/Limit/schema/default".to_owned(), json!(limits::DEFAULT_PAGE)),
        ("schemas/BatchPage/properties/data/maxItems".to_owned(), json!(limits::MAX_PAGE)),
        ("schemas/Page/properties/data/maxItems".to_owned(), json!(limits::MAX_PAGE)),
        ("schemas/Accepted/properties/totalItems/maximum".to_owned(), json!(limits::MAX_OPERATIONS)),
        ("schemas/AuditEntry/properties/totalItems/maximum".to_owned(), json!(limits::MAX_OPERATIONS)),
        ("schemas/AuditPage/properties/data/maxItems".to_owned(), json!(limits::MAX_PAGE)),
        ("schemas/BatchOperation/properties/depends_on/maxItems".to_owned(), json!(limits::MAX_DEPENDENCIES)),
        ("schemas/IntentRequest/properties/operations/maxItems".to_owned(), json!(batch_core::limits::MAX_INTENTS)),
        ("schemas/RetriedIntents/properties/attempt/maximum".to_owned(), json!(limits::MAX_RETRY_ATTEMPTS)),
        ("schemas/PriceJob/properties/contentIds/maxItems".to_owned(), json!(limits::MAX_OPERATIONS)),
        ("schemas/PriceJob/properties/contentIds/items/maxLength".to_owned(), json!(limits::MAX_CONTENT_ID)),
        ("schemas/PriceJob/properties/creator/maxLength".to_owned(), json!(limits::MAX_CREATOR)),
        ("schemas/RemovalJob/properties/removalReason/maxLength".to_owned(), json!(limits::MAX_REMOVAL_REASON)),
        ("parameters/Skip/schema/maximum".to_owned(), json!(limits::MAX_PAGE_SCANNED - limits::MAX_PAGE)),
        ("schemas/ContentBatch/properties/results/maxItems".to_owned(), json!(limits::MAX_OPERATIONS)),
        ("schemas/ContentAccepted/properties/totalItems/maximum".to_owned(), json!(limits::MAX_OPERATIONS)),
        ("schemas/Summary/properties/total/maximum".to_owned(), json!(limits::MAX_OPERATIONS)),
        ("schemas/ResponseSummary/properties/total/maximum".to_owned(), json!(limits::MAX_OPERATIONS)),
        ("schemas/Result/properties/index/maximum".to_owned(), json!(limits::MAX_OPERATIONS - 1)),
        ("schemas/Verdict/properties/index/maximum".to_owned(), json!(limits::MAX_OPERATIONS - 1)),
        ("schemas/PlannedOperation/properties/index/maximum".to_owned(), json!(limits::MAX_OPERATIONS - 1)),
        ("schemas/ProblemItem/properties/operation/maximum".to_owned(), json!(limits::MAX_OPERATIONS - 1)),
        ("schemas/FailedOperation/properties/index/maximum".to_owned(), json!(limits::MAX_OPERATIONS - 1)),
        ("schemas/FailedOperation/properties/impact/maximum".to_owned(), json!(limits::MAX_OPERATIONS - 1)),
        ("schemas/ImpactedOperation/properties/index/maximum".to_owned(), json!(limits::MAX_OPERATIONS - 1)),
        ("schemas/FailureAnalysis/properties/failedOperations/maxItems".to_owned(), json!(limits::MAX_OPERATIONS)),
        ("schemas/FailureAnalysis/properties/impactedOperations/maxItems".to_owned(), json!(limits::MAX_OPERATIONS)),
        ("schemas/Retry/properties/retryCount/maximum".to_owned(), json!(limits::MAX_OPERATIONS)),
        ("schemas/Retry/properties/attempt/maximum".to_owned(), json!(limits::MAX_RETRY_ATTEMPTS)),
        ("schemas/Batch/properties/attempt/maximum".to_owned(), json!(limits::MAX_RETRY_ATTEMPTS)),
        (
            "schemas/BatchOperation/properties/id/pattern".to_owned(),
            json!(format!("^[A-Za-z0-9_]{{1,{}}}$", OperationId::MAX_LEN)),
        ),
    ] {
        assert_eq!(*schema(&place), limit, "{place}");
    }
}

/// `4500000` as `4,500,000`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Every number in `text` that is written with this unit.
fn numbers_of<'a>(text: &'a str, unit: &str) -> Vec<&'a str> {
    let before = text.match_indices(unit).map(|(end, _)| (&text[..end], &text[end + unit.len()..]));
    let number = |(before, after): (&'a str, &'a str)| {
        let before = before.trim_end();
        let number = before.rsplit(|c: char| !(c.is_ascii_digit() || matches!(c, ',' | '.'))).next().unwrap();
        // A value of a field, and then the name of the next one.
        let apart = before[..before.len() - number.len()].ends_with(": ") && after.starts_with(':');
        if apart { "" } else { number }
    };
    // What ends with a stop or a comma is of the sentence before.
    before.map(number).filter(|number| number.ends_with(|c: char| c.is_ascii_digit())).collect()
}

#[test]
fn numbers_in_words_are_those_of_the_code() {
    let text = SPEC_TEXT.split_whitespace().collect::<Vec<_>>().join(" ");
    let limits = Limits::default();
    let megabytes =
        |bytes: usize| format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10).trim_end_matches(".0").to_owned();
    let seconds = |ms: i64| (ms / 1_000).to_string();
    for (unit, known) in [
        (
            "bytes",
            vec![
                grouped(limits::MAX_BODY_BYTES),
                grouped(limits::MAX_EXPANDED_BYTES),
                limits::MAX_BODY_BYTES.to_string(),
                grouped(limits::MAX_TOKEN_GATING_BYTES),
            ],
        ),
        ("levels", vec![limits::MAX_DEPTH.to_string()]),
        ("digits", vec![batch_core::decimal::MAX_DIGITS.to_string()]),
        ("MB", vec![megabytes(limits::MAX_RESPONSE_BYTES)]),
        (" s, ", vec![seconds(limits::INLINE_BUDGET_MS)]),
        ("days", vec![(limits::RETENTION_MS / 86_400_000).to_string()]),
        ("characters", vec![limits::MAX_IDEMPOTENCY_KEY.to_string()]),
        ("changes and checks", vec![grouped(limits.wide_actions)]),
        ("operations", vec![limits::MAX_OPERATIONS.to_string()]),
    ] {
        let found = numbers_of(&text, unit);
        assert!(!found.is_empty(), "nothing is told in {unit}");
        let wrong: Vec<_> = found.into_iter().filter(|number| !known.iter().any(|known| known == number)).collect();
        assert!(wrong.is_empty(), "{unit}: {wrong:?} is none of {known:?}");
    }
    let read = format!("`limit` ({}, at most {})", limits::DEFAULT_READ_LIMIT, limits::MAX_READ_LIMIT);
    assert!(text.contains(&read), "{read}");
    let pauses = format!("paused {} times", limits::MAX_PAUSES);
    assert!(text.contains(&pauses), "{pauses}");
    let wait = format!("at most {}, else with 202", seconds(limits::INLINE_BUDGET_MS));
    assert!(text.contains(&wait), "{wait}");
}

#[test]
fn times_are_nested_as_the_code_needs_them() {
    let timeout = |name: &str| {
        let own = &resource(name)["Properties"]["Timeout"];
        if own.is_null() { &TEMPLATE["Globals"]["Function"]["Timeout"] } else { own }.as_i64().unwrap() * 1_000
    };
    // API Gateway ends a call after 29 s.
    assert_eq!((timeout("SubmitFunction"), timeout("StatusFunction")), (29_000, 29_000));
    assert!(limits::INLINE_BUDGET_MS + 5_000 < timeout("SubmitFunction"));
    assert!(limits::EXECUTOR_BUDGET_MS + 5_000 < timeout("ExecutorFunction"));
    let queue = &resource("BatchQueue")["Properties"];
    // What Lambda asks of a queue that calls a function.
    assert_eq!(queue["VisibilityTimeout"].as_i64().unwrap() * 1_000, 6 * timeout("ExecutorFunction"));
    assert_eq!(queue["RedrivePolicy"]["maxReceiveCount"], 5);
    assert!(
        queue["MessageRetentionPeriod"].as_i64()
            < resource("BatchDeadLetterQueue")["Properties"]["MessageRetentionPeriod"].as_i64()
    );
    for name in ["BatchQueue", "BatchDeadLetterQueue"] {
        assert_eq!(
            resource(name)["Properties"]["SqsManagedSseEnabled"],
            true,
            "{name}: EventBridge cannot send under a KMS key of AWS"
        );
    }
    let dead = &resource("BatchDeadLetterQueue")["Properties"];
    assert_eq!(dead["VisibilityTimeout"], queue["VisibilityTimeout"], "it calls the function too");
    assert!(OPERATIONS.contains("after five failed attempts"));
}

#[test]
fn both_queues_call_the_executor_and_only_what_failed_is_kept() {
    let events = resource("ExecutorFunction")["Properties"]["Events"].as_object().unwrap();
    let queues: Vec<&Value> = events.values().map(|event| &event["Properties"]["Queue"]).collect();
    assert_eq!(queues, [&json!({ "GetAtt": "BatchQueue.Arn" }), &json!({ "GetAtt": "BatchDeadLetterQueue.Arn" })]);
    for event in events.values() {
        assert_eq!(event["Type"], "SQS");
        assert_eq!(event["Properties"]["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    }
    // A dead letter is told by the end of its queue's name, which CloudFormation must not choose.
    let name = &resource("BatchDeadLetterQueue")["Properties"]["QueueName"]["Sub"];
    assert_eq!(*name, "${AWS::StackName}-BatchDeadLetterQueue");
}

#[test]
fn a_cursor_secret_is_long_enough() {
    let made = &resource("CursorSecret")["Properties"]["GenerateSecretString"];
    let length = usize::try_from(made["PasswordLength"].as_u64().unwrap()).unwrap();
    assert!(batch_core::store::CursorKey::new(&"k".repeat(length)).is_some());
    assert!(batch_core::store::CursorKey::new(&"k".repeat(31)).is_none(), "32 is what the page tells");
    assert!(OPERATIONS.contains("at least 32 characters"));
}
