//! A store and a queue that fail in every way, in words that repeat what they were sent, while secrets are in flight.

use batch_tests::seam::Fault;
use serde_json::json;

use super::requests::good;
use super::scene::Scene;

/// Every kind of failure: what AWS may answer, and what may come instead of an answer.
fn faults() -> Vec<Fault> {
    vec![
        Fault::Echo(400, "AccessDeniedException"),
        Fault::Echo(400, "ValidationException"),
        Fault::Echo(400, "ResourceNotFoundException"),
        Fault::Echo(400, "ItemCollectionSizeLimitExceededException"),
        Fault::Echo(400, "UnrecognizedClientException"),
        Fault::Echo(400, "InvalidSignatureException"),
        Fault::Echo(400, "ConditionalCheckFailedException"),
        Fault::Echo(400, "TransactionConflictException"),
        Fault::Echo(400, "IdempotentParameterMismatchException"),
        Fault::Echo(400, "ThrottlingException"),
        Fault::Echo(400, "ProvisionedThroughputExceededException"),
        Fault::Echo(400, "SerializationException"),
        Fault::Echo(500, "InternalServerError"),
        Fault::Echo(503, "ServiceUnavailable"),
        Fault::Broken,
        Fault::Garbled,
        Fault::RequestLost,
        Fault::ReplyLost,
    ]
}

const CALLS: [&str; 8] = [
    "UpdateItem",
    "PutItem",
    "Query",
    "GetItem",
    "BatchGetItem",
    "TransactWriteItems",
    "SendMessage",
    "ChangeMessageVisibility",
];

/// Makes batches, works on them, looks at them and stops them, while `operation` fails.
async fn live(scene: &mut Scene, operation: &str, fault: &Fault, number: usize) {
    // A key whose record nobody has read yet, with secrets in it.
    let (subject, role) = (scene.marks.mark("subject of an API key"), scene.marks.mark("role of an API key"));
    let key = scene.world.key("t1", &subject, &[&role]).await;
    scene.marks.also("API key", &key);
    let before = scene.world.post_with("/batch", &[("prefer", "respond-async")], &good(&mut scene.marks)).await;
    for _ in 0..200 {
        scene.world.seam.plan(operation, fault.clone());
    }
    let idempotency = scene.marks.mark("idempotency key");
    for prefer in ["respond-async", "return=minimal"] {
        let headers = [
            ("x-api-key", key.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", idempotency.as_str()),
            ("prefer", prefer),
            ("accept", if number.is_multiple_of(2) { "application/json" } else { "application/problem+json" }),
        ];
        let body = good(&mut scene.marks).to_string();
        scene.look(&scene.world.send("POST", "/batch", &headers, body.as_bytes()).await);
    }
    let id = before.batch_id();
    stop(scene, &id, &["pause", "resume"]).await;
    let mut messages = scene.world.seam.take_messages();
    messages.push(scene.marks.mark("message that comes again"));
    scene.world.deliver(&messages).await;
    scene.world.deliver_dead(&messages).await;
    for target in [
        format!("/batches/{id}"),
        format!("/batches/{id}/results"),
        format!("/batches/{id}/audit"),
        format!("/batches?reference={}", scene.marks.mark("reference that is listed")),
    ] {
        scene.look(&scene.world.get(&target).await);
    }
    stop(scene, &id, &["cancel", "retry"]).await;
    scene.world.app.warm_up().await;
    scene.world.seam.clear();
    scene.world.seam.take_messages();
}

async fn stop(scene: &Scene, id: &str, words: &[&str]) {
    for word in words {
        scene.look(&scene.world.post_with(&format!("/batches/{id}/{word}"), &[], &json!({})).await);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_in_flight_is_logged_when_the_store_or_the_queue_fails() {
    let mut scene = Scene::new(true).await;
    for (number, fault) in faults().iter().enumerate() {
        for operation in CALLS {
            live(&mut scene, operation, fault, number).await;
        }
    }
    assert!(scene.marks.count() > 1_000);
    scene.check(&[
        "accept batch: AccessDeniedException",
        "read batch: ValidationException",
        "charge call: InvalidSignatureException",
        "write state: InternalServerError",
        "send message: could not be sent: the connection failed",
        "accept batch: no code",
        "outcome unknown",
        "batch not accepted",
        "read failed",
        "rate limit not checked",
        "API key not read",
        "execution failed; it will be tried again",
        "batch not given up",
        "message not sent; the sweep will send it",
        "a message keeps its full visibility",
        "the store did not answer during the start",
    ]);
}
