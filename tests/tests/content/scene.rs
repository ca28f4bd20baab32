//! A creator, its content, and a node.

use std::time::Duration;

use batch_core::limits::Limits;
use batch_tests::{Answer, CREATOR, OTHER_CREATOR, World};
use serde_json::{Value, json};

pub struct Scene {
    pub world: World,
    pub key: String,
}

impl Scene {
    /// With `count` items `c0`, `c1`, ... of [`CREATOR`], known to the contract by 1000, 1001, ...
    pub async fn new(count: usize) -> Self {
        Self::with(World::chained(Limits::default()).await, count).await
    }

    pub async fn with(world: World, count: usize) -> Self {
        let key = world.key_with("carol", &[], &json!({ "creators": [CREATOR, "nobody"] })).await;
        let scene = Self { world, key };
        let rows: Vec<Value> =
            (0..count).map(|n| json!({ "content_id": format!("c{n}"), "onChainId": 1000 + n })).collect();
        for rows in rows.chunks(100) {
            scene.create(CREATOR, rows).await;
        }
        scene
    }

    /// Makes content of `creator`.
    pub async fn create(&self, creator: &str, rows: &[Value]) {
        let key = self.world.key_with("maker", &[], &json!({ "creators": [creator] })).await;
        let operations: Vec<Value> = rows
            .iter()
            .map(|row| {
                let mut row = row.clone();
                row["creator"] = creator.into();
                row["price"] = 5.into();
                json!({ "entity": "content", "action": "create", "store_params": row })
            })
            .collect();
        let made = self.world.post_as(&key, "/batch", &json!({ "operations": operations })).await;
        assert_eq!(made.body["status"], "completed", "{:#}", made.body);
    }

    /// Content of the other creator.
    pub async fn foreign(&self, id: &str) {
        self.create(OTHER_CREATOR, &[json!({ "content_id": id, "onChainId": 7 })]).await;
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.world.post_as(&self.key, &format!("/api/batches/{path}"), body).await
    }

    pub async fn price(&self, ids: &[&str], price: u64) -> Answer {
        self.post("batch-update-price", &json!({ "creator": CREATOR, "contentIds": ids, "newPrice": price })).await
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.world.send("GET", target, &[("x-api-key", self.key.as_str())], b"").await
    }

    pub async fn batch(&self, id: &str) -> Value {
        let answer = self.get(&format!("/api/batches/{id}")).await;
        assert_eq!(answer.status, 200, "{:#}", answer.body);
        answer.body
    }

    /// The rows with these ids, as `/batch` reads them.
    pub async fn rows(&self, ids: &[&str]) -> Vec<Value> {
        let read = |id: &&str| json!({ "entity": "content", "action": "read", "query_params": { "content_id": id } });
        let operations: Vec<Value> = ids.iter().map(read).collect();
        let answer = self.world.post_as(&self.key, "/batch", &json!({ "operations": operations })).await;
        let results = answer.body["results"].as_object().unwrap().clone();
        results.values().map(|result| result["data"][0].clone()).collect()
    }

    /// Delivers what is in the queue now; what that sends stays.
    pub async fn deliver(&self) -> usize {
        let messages = self.world.seam.take_messages();
        assert_eq!(self.world.deliver(&messages).await, Vec::<String>::new(), "a message failed");
        messages.len()
    }

    /// Delivers until the batch has ended; a block is made before each delivery, and messages wait as they ask.
    pub async fn run(&self, id: &str) -> Value {
        for _ in 0..40 {
            let batch = self.batch(id).await;
            if matches!(batch["status"].as_str(), Some("completed" | "failed")) {
                return batch;
            }
            assert!(self.deliver().await > 0, "nothing works on {batch:#}");
        }
        panic!("no end: {:#}", self.batch(id).await);
    }

    /// Makes a block every so often, for good.
    pub fn mine_every(&self, every: Duration) -> tokio::task::AbortHandle {
        let node = self.world.node.clone();
        let mining = async move {
            loop {
                tokio::time::sleep(every).await;
                node.mine();
            }
        };
        #[expect(clippy::disallowed_methods, reason = "a chain goes on whoever waits for what")]
        let mining = tokio::task::spawn(mining);
        mining.abort_handle()
    }

    /// Nonces of all that the node ever took, in order.
    pub fn nonces(&self) -> Vec<u64> {
        self.world.node.pool(|pool| pool.taken().iter().map(|taken| taken.nonce).collect())
    }
}

/// The item of a batch with this id.
pub fn item<'a>(batch: &'a Value, id: &str) -> &'a Value {
    let results = batch["results"].as_array().unwrap();
    results.iter().find(|item| item["contentId"] == id).unwrap_or(&Value::Null)
}
