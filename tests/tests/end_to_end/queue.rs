//! What the queue does to the executor: messages that cannot be read, that come again, die, or never come.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use batch_core::runtime::Timestamp;
use serde_json::{Value, json};

use super::place::{Place, Stores, create};

impl Stores {
    async fn send(&self, queue: &str, body: &str) {
        self.sqs.send_message().queue_url(queue).message_body(body).send().await.unwrap();
    }

    /// The item of a batch.
    fn key(&self, id: &str, sk: &str) -> HashMap<String, AttributeValue> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let pk = format!("T#{}#B#{id}", self.tenant);
        HashMap::from([("pk".to_owned(), text(&pk)), ("sk".to_owned(), text(sk))])
    }

    async fn set_format(&self, id: &str, format: &str) {
        let update = self.dynamodb.update_item().table_name(&self.batches).set_key(Some(self.key(id, "A#HEAD")));
        let update = update.update_expression("SET #format = :format").expression_attribute_names("#format", "format");
        let value = AttributeValue::N(format.to_owned());
        update.expression_attribute_values(":format", value).send().await.unwrap();
    }

    fn message(&self, id: &str) -> String {
        json!({ "v": 1, "kind": "execute", "tenant": self.tenant, "batch_id": id }).to_string()
    }
}

/// A batch as it is when its message was lost: accepted, and nobody works on it. It has run before; without its state it
/// is as if it had not.
async fn accepted(place: &Place, stores: &Stores) -> String {
    let operations: Vec<Value> = (0..10).map(|n| create(&format!("a{n}"))).collect();
    let body = json!({ "operations": operations, "options": { "atomic": false } });
    let (_, told) = place.post("/batch", &[("prefer", "respond-async")], &body).await;
    let id = told["batchId"].as_str().unwrap().to_owned();
    assert_eq!(place.ended(&id).await["status"], "completed");
    let state = stores.dynamodb.delete_item().table_name(&stores.batches).set_key(Some(stores.key(&id, "A#STATE")));
    state.send().await.unwrap();
    assert_eq!(place.get(&format!("/batches/{id}")).await.1["status"], "pending");
    id
}

#[tokio::test]
async fn a_message_that_cannot_be_worked_on_holds_up_no_other_and_comes_again() {
    let place = Place::new().await;
    let Some(stores) = place.stores() else { return };
    let (strange, good) = (accepted(&place, &stores).await, accepted(&place, &stores).await);
    // As a later version would have stored it: this one leaves it alone.
    stores.set_format(&strange, "99").await;
    let entry = |id: &str, batch: &str| {
        SendMessageBatchRequestEntry::builder().id(id).message_body(stores.message(batch)).build().expect("an entry")
    };
    let both = stores.sqs.send_message_batch().queue_url(&stores.queue);
    both.entries(entry("a", &strange)).entries(entry("b", &good)).send().await.unwrap();
    assert_eq!(place.ended(&good).await["status"], "completed");
    tokio::time::sleep(Duration::from_secs(2)).await;
    stores.set_format(&strange, "1").await;
    assert_eq!(place.get(&format!("/batches/{strange}")).await.1["status"], "pending", "it was tried");
    assert_eq!(place.ended(&strange).await["status"], "completed");
}

#[tokio::test]
async fn a_dead_letter_ends_its_batch() {
    let place = Place::new().await;
    let Some(stores) = place.stores() else { return };
    let id = accepted(&place, &stores).await;
    stores.send(&stores.dead_letters, &stores.message(&id)).await;
    let batch = place.ended(&id).await;
    assert_eq!(batch["status"], "failed", "{batch:#}");
    let (_, failed) = place.get(&format!("/batches/{id}/results?status=failed&limit=1")).await;
    assert_eq!(failed["data"][0]["code"], "POISON", "{failed:#}");
}

#[tokio::test]
async fn a_batch_whose_message_is_lost_is_found_by_the_sweep() {
    let place = Place::new().await;
    let Some(stores) = place.stores() else { return };
    let id = accepted(&place, &stores).await;
    let (_, batch) = place.get(&format!("/batches/{id}")).await;
    let created = Timestamp::parse(batch["createdAt"].as_str().unwrap()).expect("a time");
    let tick = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": created.plus_ms(120_000).to_string() });
    stores.send(&stores.queue, &tick.to_string()).await;
    assert_eq!(place.ended(&id).await["status"], "completed");
}
