//! A life of batches of blockchain intents: built, refused, executed, followed, analysed and retried.

use std::sync::Arc;
use std::time::Duration;

use batch_core::limits::MAX_RETRY_ATTEMPTS;
use batch_local::orby::{Rule, Treatment, Wallet};
use batch_tests::seam::Fault;
use batch_tests::{Answer, World};
use serde_json::{Value, json};

use super::calls::{KEY, Observer};

const CREATE: &str = "/api/v1/profiles/{profileId}/batch-intent";
const EXECUTE: &str = "/api/v1/batch/{batchId}/execute";
const STATUS: &str = "/api/v1/batch/{batchId}/status";
const RETRY: &str = "/api/v1/batch/{batchId}/retry";
const ANALYSIS: &str = "/api/v1/batch/{batchId}/failure-analysis";
const NOBODY: &str = "batch_00000000000000000000000000000000";
const SHAPES: [&str; 2] = ["application/json", "application/problem+json"];
const SEND: &str = "orby_sendSignedOperations";

fn wallet() -> Wallet {
    Wallet::new([9; 32]).unwrap()
}

fn transfer(token: &str, chain: u64) -> Value {
    json!({
        "type": "transfer", "from": { "token": token, "chainId": chain, "amount": "1" },
        "to": { "address": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed" },
    })
}

fn asked() -> Value {
    json!({ "operations": [transfer("eth", 1), transfer("dai", 1), transfer("pol", 137)] })
}

/// Where a request of a path goes, for a batch.
fn target(path: &str, id: &str) -> String {
    path.replace("{profileId}", "home").replace("{batchId}", id)
}

impl Observer {
    async fn of_intents(&mut self) {
        self.fresh_key("dora", &["admin"]).await;
    }

    async fn intent(&mut self, path: &'static str, id: &str, headers: &[(&str, &str)], body: &Value) -> Arc<Answer> {
        let mut all = vec![KEY];
        all.extend(headers);
        self.send("POST", path, &target(path, id), &all, body.to_string().as_bytes()).await
    }

    /// A batch that was built; a minute after the last one, so that no quota is in its way.
    async fn built(&mut self, body: &Value) -> Arc<Answer> {
        tokio::time::advance(Duration::from_mins(1)).await;
        let built = self.intent(CREATE, NOBODY, &[], body).await;
        assert_eq!(built.status, 200, "{:#}", built.body);
        built
    }

    async fn look(&mut self, path: &'static str, id: &str) -> Arc<Answer> {
        self.get(path, &target(path, id)).await
    }

    async fn look_as(&mut self, path: &'static str, id: &str, accept: (&str, &str)) -> Arc<Answer> {
        self.send("GET", path, &target(path, id), &[accept], b"").await
    }

    /// Delivers what is there once.
    async fn drain_once(&mut self) {
        let messages = self.world.seam.take_messages();
        if !messages.is_empty() {
            self.deliver(&messages).await;
        }
    }

    fn rule(&self, method: &'static str, treatment: Treatment) {
        self.world.orby.rule(Rule { method, chain: Some(1), times: 1, treatment });
    }

    /// Follows a batch to its end.
    async fn follow(&mut self, id: &str) {
        for _ in 0..40 {
            tokio::time::advance(Duration::from_secs(31)).await;
            self.drain_once().await;
        }
        let told = self.look(STATUS, id).await;
        assert_ne!(told.body["status"], "pending", "{:#}", told.body);
    }
}

pub async fn intents(observer: &mut Observer) {
    observer.world = World::new().await;
    observer.of_intents().await;
    observer.world.seam.take_calls();
    let profile = json!({ "profile_id": "home", "address": wallet().address(), "default_chain_id": 1 });
    let made = json!({ "entity": "profile", "action": "create", "store_params": profile });
    observer.post(&[], &json!({ "operations": [made] })).await;
    let id = Box::pin(lived(observer)).await;
    Box::pin(refusals(observer, &id)).await;
    Box::pin(faults(observer, &id)).await;
}

/// What succeeds, what fails, what is retried, and what is asked twice.
async fn lived(observer: &mut Observer) -> String {
    let key = [("idempotency-key", "built")];
    let created = observer.intent(CREATE, NOBODY, &key, &asked()).await;
    let again = observer.intent(CREATE, NOBODY, &key, &asked()).await;
    assert_eq!(again.header("idempotent-replayed"), "true", "{:#}", again.body);
    let id = created.body["batchId"].as_str().unwrap().to_owned();
    for accept in SHAPES {
        let other = json!({ "operations": [transfer("eth", 1)] });
        let used = observer.intent(CREATE, NOBODY, &[key[0], ("accept", accept)], &other).await;
        assert_eq!(used.status, 422);
        let early = observer.intent(RETRY, &id, &[("accept", accept)], &json!({})).await;
        assert_eq!(early.status, 409, "{:#}", early.body);
    }
    // The first set of the first chain is in the dark, so the second one waits.
    observer.rule(SEND, Treatment::DoInSilence);
    let signed = wallet().sign_all(&created.body);
    for replayed in ["", "true"] {
        let executed = observer.intent(EXECUTE, &id, &[("prefer", "wait=20")], &signed).await;
        assert_eq!((executed.status, executed.header("idempotent-replayed")), (202, replayed), "{:#}", executed.body);
    }
    tokio::time::advance(Duration::from_secs(31)).await;
    observer.look(STATUS, &id).await;
    observer.follow(&id).await;
    assert_eq!(observer.look(STATUS, &id).await.body["status"], "completed");
    observer.look(ANALYSIS, &id).await;

    let built = observer.built(&json!({ "operations": [transfer("eth", 1), transfer("usdc", 1)] })).await;
    let failed = built.batch_id();
    observer.rule(SEND, Treatment::Error("insufficient funds"));
    let signed = wallet().sign_all(&built.body);
    for replayed in ["", "true"] {
        let executed = observer.intent(EXECUTE, &failed, &[("prefer", "wait=20")], &signed).await;
        assert_eq!((executed.status, executed.header("idempotent-replayed")), (200, replayed), "{:#}", executed.body);
    }
    let mut other = signed.clone();
    other["signatures"][0]["signatures"][0] = json!({ "index": 0, "signature": sign_again(&built.body) });
    for accept in SHAPES {
        let second = observer.intent(EXECUTE, &failed, &[("accept", accept)], &other).await;
        assert_eq!(second.status, 400, "{:#}", second.body);
    }
    observer.follow(&failed).await;
    for path in [STATUS, ANALYSIS] {
        observer.look(path, &failed).await;
    }
    observer.get("/batches/{batchId}/failure-analysis", &format!("/batches/{failed}/failure-analysis")).await;
    observer.get("/batches/{batchId}/results", &format!("/batches/{failed}/results")).await;
    observer.get("/batches/{batchId}", &format!("/batches/{failed}")).await;
    observer.get("/batches", "/batches?profileId=home").await;
    retries(observer, failed).await;
    id
}

/// The same operation signed over another value, which is refused.
fn sign_again(built: &Value) -> String {
    let mut operation = built["operations"][0]["unsignedOps"][0].clone();
    operation["value"] = "7".into();
    wallet().sign(&operation).unwrap()
}

async fn retries(observer: &mut Observer, mut id: String) {
    for attempt in 1..=MAX_RETRY_ATTEMPTS {
        tokio::time::advance(Duration::from_mins(1)).await;
        let key = [("idempotency-key", "again")];
        let retried = observer.intent(RETRY, &id, &key, &json!({})).await;
        assert_eq!(
            (retried.status, retried.body["attempt"].as_u64()),
            (200, Some(attempt as u64)),
            "{:#}",
            retried.body
        );
        let replayed = observer.intent(RETRY, &id, &key, &json!({})).await;
        assert_eq!(replayed.header("idempotent-replayed"), "true", "{:#}", replayed.body);
        for accept in SHAPES {
            let update = json!({ "updateParams": { "from": { "amount": "2" } } });
            let used = observer.intent(RETRY, &id, &[key[0], ("accept", accept)], &update).await;
            assert_eq!(used.status, 422, "{:#}", used.body);
        }
        observer.rule(SEND, Treatment::Error("insufficient funds"));
        let new = retried.body["newBatchId"].as_str().unwrap().to_owned();
        observer.intent(EXECUTE, &new, &[], &wallet().sign_all(&retried.body)).await;
        observer.follow(&new).await;
        id = new;
    }
    for accept in SHAPES {
        let last = observer.intent(RETRY, &id, &[("accept", accept)], &json!({})).await;
        assert_eq!(last.status, 409, "{:#}", last.body);
    }
}

async fn refusals(observer: &mut Observer, id: &str) {
    let built = observer.built(&asked()).await;
    let signed = wallet().sign_all(&built.body);
    observer.intent("/batches/{batchId}/cancel", &built.batch_id(), &[], &json!({})).await;
    let other = observer.world.key("t1", "mallory", &["admin"]).await;
    observer.world.seam.take_calls();
    let (large, long) = (vec![b' '; 4_500_001], "k".repeat(256));
    for accept in SHAPES {
        let accept = ("accept", accept);
        let ended = observer.intent(EXECUTE, &built.batch_id(), &[accept], &signed).await;
        assert_eq!(ended.status, 409, "{:#}", ended.body);
        observer.rule("orby_getOperationsToTransferToken", Treatment::Unbuilt("NO_EXECUTION_PATH"));
        let atomic = json!({ "operations": [transfer("eth", 1)], "atomicExecution": accept.1 == SHAPES[0] });
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(observer.intent(CREATE, NOBODY, &[accept], &atomic).await.status, 400);
        for path in [CREATE, EXECUTE, RETRY] {
            let wrong = json!({ "operations": [], "signatures": 7, "operationIds": 7 });
            let good = if path == CREATE { asked() } else { json!({}) };
            let answer = observer.intent(path, id, &[accept], &wrong).await;
            assert_eq!(answer.status, 400, "{path}: {:#}", answer.body);
            for (headers, body) in [
                (&[accept, KEY][..], &b"{"[..]),
                (&[accept, KEY], &large),
                (&[accept], b"{}"),
                (&[accept, KEY, ("authorization", "Bearer a.b.c")], b"{}"),
            ] {
                observer.send("POST", path, &target(path, id), headers, body).await;
            }
            observer.intent(path, id, &[accept, ("idempotency-key", &long)], &good).await;
            observer.intent(path, NOBODY, &[accept], &good).await;
            let own = std::mem::replace(&mut observer.key, "-".to_owned());
            observer.intent(path, id, &[accept], &good).await;
            observer.key.clone_from(&other);
            let answer = observer.intent(path, id, &[accept], &good).await;
            assert_eq!(answer.status, if path == CREATE { 404 } else { 403 }, "{path}: {:#}", answer.body);
            observer.key = own;
        }
        for path in [STATUS, ANALYSIS] {
            let target = target(path, id);
            observer.send("GET", path, &target, &[accept, ("authorization", "Bearer a.b.c")], b"").await;
            observer.look_as(path, NOBODY, accept).await;
            let own = std::mem::replace(&mut observer.key, "-".to_owned());
            observer.send("GET", path, &target, &[accept], b"").await;
            observer.key = own;
        }
    }
}

/// A database that refuses, an Orby that is silent, and quotas that are used up.
async fn faults(observer: &mut Observer, id: &str) {
    let refused = Fault::Error(400, "AccessDeniedException");
    let built = observer.built(&json!({ "operations": [transfer("eth", 1)] })).await;
    let signed = wallet().sign_all(&built.body);
    let failed = observer.built(&json!({ "operations": [transfer("eth", 1)] })).await;
    observer.rule(SEND, Treatment::Error("insufficient funds"));
    observer.intent(EXECUTE, &failed.batch_id(), &[], &wallet().sign_all(&failed.body)).await;
    for accept in SHAPES {
        let accept = ("accept", accept);
        for (path, id, body, late) in [
            (CREATE, NOBODY.to_owned(), asked(), "PutItem"),
            (EXECUTE, built.batch_id(), signed.clone(), "TransactWriteItems"),
            (RETRY, failed.batch_id(), json!({}), "TransactWriteItems"),
        ] {
            for (operation, status) in [("GetItem", 503), (late, 500)] {
                tokio::time::advance(Duration::from_mins(1)).await;
                observer.of_intents().await;
                if operation != "GetItem" {
                    observer.get("/capabilities", "/capabilities").await;
                }
                observer.world.seam.plan(operation, refused.clone());
                let answer = observer.intent(path, &id, &[accept], &body).await;
                assert_eq!(answer.status, status, "{path}: {:#}", answer.body);
            }
        }
        for path in [STATUS, ANALYSIS] {
            for (operation, status) in [("GetItem", 503), ("Query", 500)] {
                observer.of_intents().await;
                if operation != "GetItem" {
                    observer.get("/capabilities", "/capabilities").await;
                }
                observer.world.seam.plan(operation, refused.clone());
                let answer = observer.look_as(path, id, accept).await;
                assert_eq!(answer.status, status, "{path}: {:#}", answer.body);
            }
        }
        tokio::time::advance(Duration::from_mins(1)).await;
        observer.rule("orby_getOperationsToTransferToken", Treatment::Http(502));
        assert_eq!(observer.intent(CREATE, NOBODY, &[accept], &asked()).await.status, 503);
        for _ in 0..5 {
            observer.intent(CREATE, NOBODY, &[], &asked()).await;
        }
        for (path, id, body) in [(CREATE, NOBODY, asked()), (RETRY, failed.batch_id().as_str(), json!({}))] {
            assert_eq!(observer.intent(path, id, &[accept], &body).await.status, 429, "{path}");
        }
    }
    assert!(observer.world.seam.all_happened());
}
