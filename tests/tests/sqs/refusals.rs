//! What the service refuses, and in which words.

use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry as DeleteEntry, QueueAttributeName as QueueName,
    SendMessageBatchRequestEntry as SendEntry,
};
use batch_local::sqs::{Error, QueueSettings, Redrive, Sqs};

use super::service::{START_MS, Service, invalid_value, named, refusal, settings};

#[tokio::test]
async fn an_unknown_queue_is_refused_by_every_action() {
    let service = Service::in_memory().await;
    let client = &service.client;
    let url = service.work.replace("/work", "/nowhere");
    let expected = named("AWS.SimpleQueueService.NonExistentQueue", "com.amazonaws.sqs#QueueDoesNotExist");
    let entry = SendEntry::builder().id("a").message_body("body").build().unwrap();
    let error = client.send_message_batch().queue_url(&url).entries(entry).send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_queue_does_not_exist());
    assert_eq!(refusal(&error), expected);
    let entry = DeleteEntry::builder().id("a").receipt_handle("handle").build().unwrap();
    let refusals = [
        refusal(&client.delete_message_batch().queue_url(&url).entries(entry).send().await.unwrap_err()),
        refusal(&client.send_message().queue_url(&url).message_body("body").send().await.unwrap_err()),
        refusal(&client.receive_message().queue_url(&url).send().await.unwrap_err()),
        refusal(&client.delete_message().queue_url(&url).receipt_handle("handle").send().await.unwrap_err()),
        refusal(&client.get_queue_attributes().queue_url(&url).send().await.unwrap_err()),
        refusal(&client.purge_queue().queue_url(&url).send().await.unwrap_err()),
        refusal(&client.get_queue_url().queue_name("nowhere").send().await.unwrap_err()),
    ];
    assert!(refusals.iter().all(|refusal| *refusal == expected), "{refusals:?}");
}

#[tokio::test]
async fn a_handle_of_another_queue_or_none_is_refused() {
    let service = Service::in_memory().await;
    let expected = named("ReceiptHandleIsInvalid", "com.amazonaws.sqs#ReceiptHandleIsInvalid");
    service.send("body").await;
    let handle = service.only(&service.work).await.receipt_handle.unwrap();
    for (queue, handle) in [(&service.dead, handle.as_str()), (&service.work, "nonsense"), (&service.work, "AAAA")] {
        let delete = service.client.delete_message().queue_url(queue).receipt_handle(handle);
        assert_eq!(refusal(&delete.send().await.unwrap_err()), expected);
        let change = service.client.change_message_visibility().queue_url(queue).receipt_handle(handle);
        assert_eq!(refusal(&change.visibility_timeout(5).send().await.unwrap_err()), expected);
    }
    assert_eq!(service.counts("work"), [0, 1, 0]);
}

#[tokio::test]
async fn numbers_out_of_range_are_refused() {
    let service = Service::in_memory().await;
    service.send("body").await;
    let message = service.only(&service.work).await;
    for seconds in [-1, 43_201] {
        assert_eq!(service.change(&message, seconds).await, Err(invalid_value()));
    }
    let receive = || service.receive(&service.work);
    let send = |delay| service.message(&service.work, "b").delay_seconds(delay);
    let refusals = [
        refusal(&receive().max_number_of_messages(0).send().await.unwrap_err()),
        refusal(&receive().max_number_of_messages(11).send().await.unwrap_err()),
        refusal(&receive().visibility_timeout(-1).send().await.unwrap_err()),
        refusal(&receive().visibility_timeout(43_201).send().await.unwrap_err()),
        refusal(&receive().wait_time_seconds(21).send().await.unwrap_err()),
        refusal(&send(-1).send().await.unwrap_err()),
        refusal(&send(901).send().await.unwrap_err()),
    ];
    assert!(refusals.iter().all(|refusal| *refusal == invalid_value()), "{refusals:?}");
}

#[tokio::test]
async fn what_is_not_modelled_is_refused_by_name() {
    let service = Service::in_memory().await;
    let create = service.client.create_queue().queue_name("more").send().await.unwrap_err();
    assert_eq!(refusal(&create), named("InvalidAction", "com.amazon.coral.service#UnknownOperationException"));
    let ask = service.client.get_queue_attributes().queue_url(&service.work);
    let unknown = ask.attribute_names(QueueName::KmsMasterKeyId).send().await.unwrap_err();
    assert_eq!(refusal(&unknown), named("InvalidAttributeName", "com.amazonaws.sqs#InvalidAttributeName"));
}

#[test]
fn settings_that_contradict_themselves_do_not_open() {
    let [work, dead] = settings();
    let redrive = |queue: &str, max_receive_count| {
        [
            QueueSettings { redrive: Some(Redrive { queue: queue.into(), max_receive_count }), ..work.clone() },
            dead.clone(),
        ]
    };
    let cases = [
        [QueueSettings { name: "a/b".into(), ..work.clone() }, dead.clone()],
        [work.clone(), work.clone()],
        redrive("nowhere", 1),
        redrive("dead", 0),
        [QueueSettings { visibility_s: 43_201, ..work.clone() }, dead.clone()],
    ];
    for queues in cases {
        assert!(matches!(Sqs::open(None, &queues, || START_MS), Err(Error::InvalidParameterValue(_))));
    }
}
