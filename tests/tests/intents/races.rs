//! Calls at the same time, by one process and by several: each set is sent once.

use batch_local::orby::Treatment;
use serde_json::{Value, json};

use super::scene::{SEND, Scene, id_of, transfer};

#[tokio::test(start_paused = true)]
async fn executions_at_once_send_each_set_once() {
    let scene = Scene::new().await;
    let operations = json!([transfer("eth", 1, "1"), transfer("dai", 1, "1"), transfer("pol", 137, "1")]);
    let created = scene.created(&operations, false).await;
    let path = format!("/api/v1/batch/{}/execute", id_of(&created));
    let body = scene.wallet.sign_all(&created);
    let (here, there) = (&scene.world, scene.world.another());
    let execute = async |world: &batch_tests::World| world.post_with(&path, &[], &body).await;
    let (a, b, c, d) = tokio::join!(execute(here), execute(&there), execute(here), execute(&there));
    for answer in [&a, &b, &c, &d] {
        assert!([200, 202].contains(&answer.status), "{:#}", answer.body);
        assert_eq!(answer.body["status"], "submitted");
    }
    let first = [&a, &b, &c, &d].into_iter().filter(|answer| answer.header("idempotent-replayed") != "true");
    assert_eq!(first.count(), 1, "one of them executed it");
    assert_eq!(scene.ended(id_of(&created)).await["status"], "completed");
    assert_eq!(scene.sent_once(), 3);
}

#[tokio::test(start_paused = true)]
async fn other_signatures_for_the_same_operations_come_too_late() {
    let scene = Scene::new().await;
    let created = scene.created(&json!([transfer("eth", 1, "1"), transfer("usdc", 1, "1")]), false).await;
    let path = format!("/api/v1/batch/{}/execute", id_of(&created));
    let bodies = [1, 2, 3].map(|salt| scene.wallet.salted(salt).sign_all(&created));
    assert_ne!(bodies[0], bodies[1]);
    let execute = async |body: &Value| scene.world.post_with(&path, &[], body).await;
    let (a, b, c) = tokio::join!(execute(&bodies[0]), execute(&bodies[1]), execute(&bodies[2]));
    let mut statuses = [a.status, b.status, c.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409]);
    for answer in [&a, &b, &c].into_iter().filter(|answer| answer.status == 409) {
        assert_eq!(answer.body["error"], "ALREADY_EXECUTED");
    }
    // The winner's signatures in other words are its signatures.
    let place = [&a, &b, &c].into_iter().position(|answer| answer.status == 200).unwrap();
    let mut shouted = bodies[place].clone();
    for set in shouted["signatures"].as_array_mut().unwrap() {
        let signature = &mut set["signatures"][0]["signature"];
        *signature = format!("0x{}", signature.as_str().unwrap()[2..].to_uppercase()).into();
    }
    let again = execute(&shouted).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, "true"), "{:#}", again.body);
    assert_eq!(scene.sent_once(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_execution_and_a_cancellation_at_once_have_one_winner() {
    for _ in 0..3 {
        let scene = Scene::new().await;
        let created = scene.created(&json!([transfer("eth", 1, "1")]), false).await;
        let cancel = format!("/batches/{}/cancel", id_of(&created));
        let (nothing, body) = (json!({}), scene.wallet.sign_all(&created));
        let (executed, cancelled) = tokio::join!(scene.execute(id_of(&created), &body), scene.post(&cancel, &nothing));
        let won = (executed.status == 200, cancelled.status == 200);
        assert!(won.0 != won.1, "{:#} {:#}", executed.body, cancelled.body);
        assert_eq!(scene.sent_once(), usize::from(won.0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_execution_is_taken_in_at_once_when_that_is_asked_for() {
    let scene = Scene::new().await;
    let created = scene.created(&json!([transfer("eth", 1, "1"), transfer("pol", 137, "1")]), false).await;
    let path = format!("/api/v1/batch/{}/execute", id_of(&created));
    let body = scene.wallet.sign_all(&created);
    let taken = scene.world.post_with(&path, &[("prefer", "respond-async")], &body).await;
    assert_eq!((taken.status, taken.header("preference-applied")), (202, "respond-async"), "{:#}", taken.body);
    assert_eq!((taken.header("retry-after"), &taken.body["status"]), ("2", &json!("submitted")));
    assert!(taken.header("location").ends_with("/status"));
    assert_eq!(scene.sent_once(), 0, "nothing is sent before the answer");
    assert_eq!(scene.ended(id_of(&created)).await["status"], "completed");
    assert_eq!(scene.sent_once(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_answered_and_goes_on() {
    let scene = Scene::new().await;
    // Each silence takes five seconds; what comes after the first waits for it, and the call does not.
    let created = scene.created(&json!([transfer("eth", 1, "1"), transfer("dai", 1, "1")]), true).await;
    scene.rule(SEND, 1, Treatment::DoInSilence);
    let executed = scene.run(&created).await;
    assert_eq!(executed.status, 202, "{:#}", executed.body);
    let words: Vec<&Value> = executed.body["results"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(json!(words), json!(["unknown", "pending"]));
    assert_eq!(scene.ended(id_of(&created)).await["status"], "completed");
    assert_eq!(scene.sent_once(), 2);
}
