//! The name that Orby has for a profile's account: asked for once, and kept for every process.

use serde_json::{Value, json};

use super::scene::{Scene, id_of, transfer};

const MAKE: &str = "orby_createAccountCluster";
const NODE: &str = "orby_getVirtualNodeRpcUrl";

fn calls(world: &batch_tests::World) -> Vec<String> {
    world.seam.take_calls().into_iter().map(|call| call.operation).collect()
}

fn asked(scene: &Scene, method: &str) -> usize {
    scene.world.orby.take_calls().iter().filter(|call| *call == method).count()
}

#[tokio::test(start_paused = true)]
async fn an_account_has_one_cluster_for_all_processes_and_batches() {
    let scene = Scene::new().await;
    let many: Vec<Value> = (0..10).map(|place| transfer("eth", [1, 10][place % 2], "1")).collect();
    let created = scene.created(&json!(many), false).await;
    let sandbox = scene.world.orby.take_calls();
    let count = |method: &str| sandbox.iter().filter(|call| *call == method).count();
    assert_eq!((count(MAKE), count(NODE)), (1, 2), "ten operations on two chains: {sandbox:?}");
    // The profile, the cluster that is not there yet, the quota, the cluster, the batch.
    let first = ["BatchGetItem", "UpdateItem", "GetItem", "UpdateItem", "PutItem"];
    assert_eq!(calls(&scene.world), first);
    let body = json!({ "operations": [transfer("eth", 1, "1")] });
    scene.create(&body).await;
    assert_eq!(calls(&scene.world), ["BatchGetItem", "UpdateItem", "GetItem", "PutItem"]);
    assert_eq!(scene.world.orby.take_calls().iter().filter(|call| *call != "orby_getStandardizedTokenIds").count(), 1);

    // Another process reads what is kept, and what it executes is told to the same cluster.
    let other = scene.world.another();
    other.get("/capabilities").await;
    other.seam.take_calls();
    other.post_with("/api/v1/profiles/home/batch-intent", &[], &body).await;
    // It does not know yet where the caller stands under its quota, which takes it a second call.
    assert_eq!(calls(&other), ["BatchGetItem", "UpdateItem", "UpdateItem", "GetItem", "PutItem"]);
    assert_eq!(asked(&scene, MAKE), 0);
    let third = scene.world.another();
    let path = format!("/api/v1/batch/{}/execute", id_of(&created));
    let executed = third.post_with(&path, &[], &scene.wallet.sign_all(&created)).await;
    assert_eq!(executed.status, 200, "{:#}", executed.body);
    assert_eq!(asked(&scene, MAKE), 0);
    assert!(!calls(&third).iter().skip_while(|call| *call != "Query").any(|call| call == "GetItem"));
}

#[tokio::test(start_paused = true)]
async fn a_profile_with_another_account_has_another_cluster() {
    let scene = Scene::new().await;
    let body = json!({ "operations": [transfer("eth", 1, "1")] });
    scene.create(&body).await;
    assert_eq!(asked(&scene, MAKE), 1);
    let moved = json!({ "operations": [{
        "entity": "profile", "action": "update", "query_params": { "profile_id": "home" },
        "store_params": { "address": "0x52908400098527886E0F7030069857D2E4169EE7" },
    }] });
    assert_eq!(scene.world.batch(&moved).await.body["status"], "completed");
    let built = scene.create(&body).await.body;
    assert_eq!(built["operations"][0]["unsignedOps"][0]["from"], "0x52908400098527886E0F7030069857D2E4169EE7");
    assert_eq!(asked(&scene, MAKE), 1);
    scene.create(&body).await;
    assert_eq!(asked(&scene, MAKE), 0);
}

#[tokio::test(start_paused = true)]
async fn two_processes_that_make_a_cluster_at_once_keep_one() {
    let scene = Scene::new().await;
    let other = scene.world.another();
    let body = json!({ "operations": [transfer("eth", 1, "1")] });
    let path = "/api/v1/profiles/home/batch-intent";
    let (here, there) = tokio::join!(scene.world.post_with(path, &[], &body), other.post_with(path, &[], &body));
    assert_eq!([here.status, there.status], [200, 200]);
    let kept = scene.world.items("ControlTable");
    let kept: Vec<&Value> = kept.iter().filter(|item| item["pk"]["S"] == "T#t1#O#home").collect();
    assert_eq!(kept.len(), 1, "{kept:#?}");
    scene.world.orby.take_calls();
    scene.create(&body).await;
    assert_eq!(asked(&scene, MAKE), 0);
    // No URL of a virtual node is kept: it holds a key.
    assert!(!format!("{:?}", scene.world.items("ControlTable")).contains(batch_tests::ORBY_KEY));
}
