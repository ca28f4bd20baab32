//! A process that dies at any point leaves what another one can go on with: every call is made once, no nonce is left out.

use std::collections::BTreeMap;
use std::time::Duration;

use batch_local::stacks::{Does, Rule, Treatment};
use serde_json::{Value, json};

use super::scene::{Scene, item};

const ITEMS: [&str; 4] = ["c0", "c1", "c2", "c3"];

/// Has the batch worked on by a process that is given up after a while, and then by others.
async fn run_after_death(scene: &Scene, id: &str, patience: Duration) -> Value {
    let messages = scene.world.seam.take_messages();
    let died = tokio::time::timeout(patience, scene.world.deliver(&messages)).await.is_err();
    assert!(died, "it had no time to end");
    assert_eq!(scene.world.deliver(&messages).await, Vec::<String>::new());
    scene.run(id).await
}

/// Every item was told to the contract by one transaction, and the account's nonces have no gap.
fn check(scene: &Scene, done: &Value, name: &str) {
    assert_eq!((&done["status"], &done["successCount"]), (&json!("completed"), &json!(4)), "{name}: {done:#}");
    let mut by_content: BTreeMap<u128, Vec<String>> = BTreeMap::new();
    for taken in scene.world.node.pool(|pool| pool.taken().to_vec()) {
        let Does::Call { arguments, .. } = &taken.does else { panic!("{name}: a payment: {taken:?}") };
        by_content.entry(arguments[0]).or_default().push(taken.txid);
    }
    for (place, id) in ITEMS.iter().enumerate() {
        let txids = by_content.get(&(1000 + u128::try_from(place).unwrap())).cloned().unwrap_or_default();
        assert_eq!(txids.len(), 1, "{name}: {id} {by_content:?}");
        assert_eq!(item(done, id)["txId"], format!("0x{}", txids[0]), "{name}");
    }
    let mut nonces = scene.nonces();
    nonces.sort_unstable();
    assert_eq!(nonces, [0, 1, 2, 3], "{name}");
}

#[tokio::test(start_paused = true)]
async fn a_process_may_die_at_any_call_of_the_database() {
    for after in [false, true] {
        let mut reached = true;
        let mut number = 0;
        while reached {
            let scene = Scene::new(ITEMS.len()).await;
            let id = scene.price(&ITEMS, 9).await.batch_id();
            scene.world.seam.die_at(number, after);
            let messages = scene.world.seam.take_messages();
            reached = tokio::time::timeout(Duration::from_secs(50), scene.world.deliver(&messages)).await.is_err();
            scene.world.seam.revive();
            assert_eq!(scene.world.deliver(&messages).await, Vec::<String>::new());
            let done = scene.run(&id).await;
            check(&scene, &done, &format!("call {number}, done: {after}"));
            number += 1;
        }
        assert!(number > 6, "{number} calls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_may_die_while_the_node_is_called() {
    for content in 1000..1004 {
        for treatment in [Treatment::Ignore, Treatment::TakeInSilence] {
            let scene = Scene::new(ITEMS.len()).await;
            scene.world.node.rule(Rule { content: Some(content), times: 1, treatment });
            let id = scene.price(&ITEMS, 9).await.batch_id();
            // Less than a client waits for an answer.
            let done = run_after_death(&scene, &id, Duration::from_secs(2)).await;
            check(&scene, &done, &format!("{content} {treatment:?}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_paused_while_a_call_is_under_way_does_not_wait_for_it_when_it_is_resumed() {
    let scene = Scene::new(ITEMS.len()).await;
    scene.world.node.rule(Rule { content: Some(1001), times: 1, treatment: Treatment::TakeInSilence });
    let id = scene.price(&ITEMS, 9).await.batch_id();
    let act = async |word: &str| scene.world.post_as(&scene.key, &format!("/batches/{id}/{word}"), &json!({})).await;
    let pause = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(act("pause").await.status, 200);
    };
    tokio::join!(scene.deliver(), pause);
    assert_eq!(scene.batch(&id).await["status"], "processing");
    let resumed = tokio::time::Instant::now();
    assert_eq!(act("resume").await.status, 200);
    let done = scene.run(&id).await;
    assert!(resumed.elapsed() < Duration::from_secs(2), "{:?}", resumed.elapsed());
    check(&scene, &done, "paused");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_taken_before_is_not_given_up_for_a_node_that_is_out_of_order() {
    use batch_tests::seam::Fault;
    let scene = Scene::new(2).await;
    let failing = Treatment::Refuse("ServerFailureDatabase");
    for (content, times, treatment) in [(1000, 1, Treatment::Lose), (1000, 9, failing)] {
        scene.world.node.rule(Rule { content: Some(content), times, treatment });
    }
    let id = scene.price(&["c0", "c1"], 9).await.batch_id();
    // It is taken, and who sent it dies before that is written; then the node loses it, and fails.
    scene.world.seam.plan("PutItem", Fault::Hang);
    let done = run_after_death(&scene, &id, Duration::from_secs(2)).await;
    assert_eq!(item(&done, "c0")["message"], "Price updated to 9 STX", "{done:#}");
    let nonces: Vec<u64> = scene.nonces();
    assert_eq!(nonces, [0, 1], "its nonce was not given to another");
    for _ in 0..30 {
        tokio::time::advance(Duration::from_secs(20)).await;
        let message = json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": id }).to_string();
        scene.world.deliver(&[message]).await;
        scene.world.node.mine();
    }
    assert_eq!(item(&scene.batch(&id).await, "c0")["chain"]["state"], "success", "it was sent again, as it was");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_the_database_is_no_second_call() {
    use batch_tests::seam::Fault;
    for operation in ["TransactWriteItems", "PutItem", "Query", "GetItem"] {
        for fault in [Fault::ReplyLost, Fault::RequestLost, Fault::TokenForgotten] {
            for before in 0..4 {
                let scene = Scene::new(ITEMS.len()).await;
                let id = scene.price(&ITEMS, 9).await.batch_id();
                for _ in 0..before {
                    scene.world.seam.plan(operation, Fault::Slow(1));
                }
                scene.world.seam.plan(operation, fault.clone());
                let messages = scene.world.seam.take_messages();
                assert_eq!(scene.world.deliver(&messages).await, Vec::<String>::new(), "{operation} {fault:?}");
                scene.world.seam.clear();
                let done = scene.run(&id).await;
                check(&scene, &done, &format!("{operation} {fault:?} {before}"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_processes_at_one_batch_make_each_call_once() {
    for delay in [0, 1, 7, 40] {
        let scene = Scene::new(ITEMS.len()).await;
        scene.world.node.set_delay(Duration::from_millis(delay));
        let id = scene.price(&ITEMS, 9).await.batch_id();
        let messages = scene.world.seam.take_messages();
        let late = async {
            tokio::time::sleep(Duration::from_millis(delay / 2)).await;
            scene.world.deliver(&messages).await
        };
        tokio::join!(scene.world.deliver(&messages), late);
        let done = scene.run(&id).await;
        check(&scene, &done, &format!("delay {delay}"));
    }
}

#[tokio::test(start_paused = true)]
async fn two_batches_of_one_creator_share_its_nonces() {
    let scene = Scene::new(40).await;
    scene.world.node.set_delay(Duration::from_millis(20));
    let names: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (first, second) =
        (scene.price(&names[..20], 9).await.batch_id(), scene.price(&names[20..], 8).await.batch_id());
    let mining = scene.mine_every(Duration::from_millis(500));
    let messages = scene.world.seam.take_messages();
    assert_eq!(scene.world.deliver(&messages).await, Vec::<String>::new());
    mining.abort();
    for id in [first, second] {
        assert_eq!(scene.run(&id).await["successCount"], 20);
    }
    let mut nonces = scene.nonces();
    nonces.sort_unstable();
    assert_eq!(nonces, (0..40).collect::<Vec<u64>>());
}
