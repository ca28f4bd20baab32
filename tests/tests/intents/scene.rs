//! A profile and its key, and the calls of the contract.

use batch_local::orby::{Rule, Treatment, Wallet};
use batch_tests::{Answer, World};
use serde_json::{Value, json};

pub const TO: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
pub const SEND: &str = "orby_sendSignedOperations";

pub struct Scene {
    pub world: World,
    pub wallet: Wallet,
}

pub fn transfer(token: &str, chain: u64, amount: &str) -> Value {
    json!({ "type": "transfer", "from": { "token": token, "chainId": chain, "amount": amount }, "to": { "address": TO } })
}

impl Scene {
    /// With the profile `home` of the world's own caller.
    pub async fn new() -> Self {
        let (world, wallet) = (World::new().await, Wallet::new([9; 32]).unwrap());
        let scene = Self { world, wallet };
        scene.profile("home").await;
        scene
    }

    pub async fn profile(&self, id: &str) {
        let store = json!({ "profile_id": id, "address": self.wallet.address() });
        let made = json!({ "operations": [{ "entity": "profile", "action": "create", "store_params": store }] });
        assert_eq!(self.world.batch(&made).await.body["status"], "completed");
        self.world.seam.take_calls();
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.world.post_with(path, &[], body).await
    }

    /// POSTs these very bytes as JSON.
    pub async fn raw(&self, path: &str, body: &[u8]) -> Answer {
        let key = self.world.own_key();
        self.world.send("POST", path, &[("content-type", "application/json"), ("x-api-key", key)], body).await
    }

    /// Any request with an empty object.
    pub async fn any(&self, method: &str, path: &str) -> Answer {
        let key = self.world.own_key();
        self.world.send(method, path, &[("content-type", "application/json"), ("x-api-key", key)], b"{}").await
    }

    pub async fn create(&self, body: &Value) -> Answer {
        self.post("/api/v1/profiles/home/batch-intent", body).await
    }

    /// Builds what can be built.
    pub async fn created(&self, operations: &Value, atomic: bool) -> Value {
        let answer = self.create(&json!({ "operations": operations, "atomicExecution": atomic })).await;
        assert_eq!(answer.status, 200, "{:#}", answer.body);
        answer.body
    }

    pub async fn execute(&self, id: &str, body: &Value) -> Answer {
        self.post(&format!("/api/v1/batch/{id}/execute"), body).await
    }

    /// Signs and executes everything.
    pub async fn run(&self, created: &Value) -> Answer {
        self.execute(id_of(created), &self.wallet.sign_all(created)).await
    }

    pub async fn status(&self, id: &str) -> Value {
        let answer = self.world.get(&format!("/api/v1/batch/{id}/status")).await;
        assert_eq!(answer.status, 200, "{:#}", answer.body);
        answer.body
    }

    pub async fn analysis(&self, id: &str) -> Value {
        self.world.get(&format!("/api/v1/batch/{id}/failure-analysis")).await.body
    }

    pub async fn retry(&self, id: &str, body: &Value) -> Answer {
        self.post(&format!("/api/v1/batch/{id}/retry"), body).await
    }

    /// The next calls of a method on a chain are treated so.
    pub fn rule(&self, method: &'static str, chain: u64, treatment: Treatment) {
        self.world.orby.rule(Rule { method, chain: Some(chain), times: 1, treatment });
    }

    /// Delivers every message that is due, `seconds` from now.
    pub async fn later(&self, seconds: u64) {
        tokio::time::advance(std::time::Duration::from_secs(seconds)).await;
        let time = self.world.app.clock().now().to_string();
        let minute = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": time });
        let mut messages = self.world.seam.take_messages();
        messages.push(minute.to_string());
        for message in messages {
            let until = self.world.app.clock().now().plus_ms(55_000);
            let handled = batch_core::execute::handle(&self.world.app, &message, until).await;
            assert_eq!(handled, batch_core::execute::Handled::Done);
        }
    }

    /// Lets the executor follow the batch until it says that it has ended.
    pub async fn ended(&self, id: &str) -> Value {
        for _ in 0..200 {
            let told = self.status(id).await;
            if told["status"] != "pending" && self.native(id).await["completedAt"].is_string() {
                return told;
            }
            self.later(31).await;
        }
        panic!("the batch does not end: {:#}", self.status(id).await);
    }

    pub async fn native(&self, id: &str) -> Value {
        self.world.get(&format!("/batches/{id}")).await.body
    }

    /// Nothing was ever sent twice; how many things were.
    pub fn sent_once(&self) -> usize {
        let times = self.world.orby.books(|books| books.times_sent());
        assert!(times.iter().all(|times| *times == 1), "{times:?}");
        times.len()
    }
}

pub fn id_of(created: &Value) -> &str {
    created["batchId"].as_str().or(created["newBatchId"].as_str()).unwrap()
}
