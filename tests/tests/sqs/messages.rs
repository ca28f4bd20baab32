//! What a message is when it arrives.

use std::collections::HashMap;

use aws_sdk_sqs::{
    primitives::Blob,
    types::{
        DeleteMessageBatchRequestEntry as DeleteEntry, MessageAttributeValue, MessageSystemAttributeName as SystemName,
        MessageSystemAttributeNameForSends, MessageSystemAttributeValue, QueueAttributeName as QueueName,
        SendMessageBatchRequestEntry as SendEntry,
    },
};

use super::service::{Service, bodies, handle, text};

fn binary() -> MessageAttributeValue {
    let bytes = *b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01";
    MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new(bytes)).build().unwrap()
}

#[tokio::test]
async fn a_message_arrives_as_it_was_sent() {
    let service = Service::in_memory().await;
    let send = service.message(&service.work, "This is a test message");
    let answer = send.message_group_id("tenant").message_attributes("attr1", binary()).send().await.unwrap();
    service.pass_s(1);
    let message = service.only(&service.work).await;

    assert_eq!(message.message_id, answer.message_id);
    assert_eq!(message.body(), Some("This is a test message"));
    assert_eq!(message.message_attributes, Some(HashMap::from([("attr1".to_owned(), binary())])));
    let system = message.attributes().unwrap();
    let attribute = |name| system.get(&name).map(String::as_str);
    assert_eq!(attribute(SystemName::ApproximateReceiveCount), Some("1"));
    assert_eq!(attribute(SystemName::SentTimestamp), Some("1700000000000"));
    assert_eq!(attribute(SystemName::ApproximateFirstReceiveTimestamp), Some("1700000001000"));
    assert_eq!(attribute(SystemName::MessageGroupId), Some("tenant"));
    assert!(attribute(SystemName::SenderId).is_some());

    service.delete(&message).await;
    service.pass_s(60);
    assert_eq!(service.counts("work"), [0, 0, 0]);
}

/// The sums are those that AWS's API reference and recorded answers of the service show.
#[tokio::test]
async fn checksums_are_those_of_the_real_service() {
    let service = Service::in_memory().await;
    let send = service.message(&service.work, "This is a test message");
    let send = send.message_attributes("my_attribute_name_2", text("my_attribute_value_2"));
    let answer = send.message_attributes("my_attribute_name_1", text("my_attribute_value_1")).send().await.unwrap();
    assert_eq!(answer.md5_of_message_body(), Some("fafb00f5732ab283681e124bf8747ed1"));
    assert_eq!(answer.md5_of_message_attributes(), Some("c48838208d2b4e14e3ca0093a8443f09"));
    let message = service.only(&service.work).await;
    assert_eq!(message.md5_of_body(), Some("fafb00f5732ab283681e124bf8747ed1"));
    assert_eq!(message.md5_of_message_attributes(), Some("c48838208d2b4e14e3ca0093a8443f09"));

    let send = service.message(&service.work, "test");
    let answer = send.message_attributes("attr1", binary()).send().await.unwrap();
    assert_eq!(answer.md5_of_message_attributes(), Some("8cbe4db156db8a94db8b801b7addb984"));
}

#[tokio::test]
async fn a_receive_answers_only_the_attributes_it_names() {
    let service = Service::in_memory().await;
    let send = service.message(&service.dead, "msg");
    let send = send.message_attributes("General", text("Kenobi")).message_attributes("Hello", text("There"));
    send.message_attributes("Help.Me", text("Me")).send().await.unwrap();
    let cases: [(&[&str], Option<&str>, usize); 5] = [
        (&[], None, 0),
        (&["Foo"], None, 0),
        (&["All"], Some("4c360f3fdafd970e05fae2f149d997f5"), 3),
        (&["Hello", "Foo"], Some("a311262e065454b75da111d535b8dacd"), 1),
        (&["Hel.*"], Some("83fee93c1bcd8b9a5a923ffacdc636c7"), 2),
    ];
    for (names, md5, count) in cases {
        let names = names.iter().map(ToString::to_string).collect();
        let receive = service.client.receive_message().queue_url(&service.dead).visibility_timeout(0);
        let answer = receive.set_message_attribute_names(Some(names)).send().await.unwrap();
        let Some(message) = answer.messages().first() else { panic!("no message") };
        assert_eq!(message.md5_of_message_attributes(), md5);
        assert_eq!(message.message_attributes().map_or(0, HashMap::len), count);
        assert_eq!(message.attributes(), None);
    }
}

#[tokio::test]
async fn a_batch_succeeds_and_fails_entry_by_entry() {
    let service = Service::in_memory().await;
    let entry = |id: &str, body: &str| SendEntry::builder().id(id).message_body(body);
    let send = service.client.send_message_batch().queue_url(&service.work).entries(entry("a", "one").build().unwrap());
    let send = send.entries(entry("b", "late").delay_seconds(901).build().unwrap());
    let send = send.entries(entry("c", "two").message_group_id("g").build().unwrap());
    let answer = send.send().await.unwrap();
    let ids: Vec<_> = answer.successful().iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["a", "c"]);
    assert_eq!(answer.successful()[0].md5_of_message_body(), "f97c5d29941bfb1b2fdab0874906ab82");
    let [failed] = answer.failed() else { panic!("one failure") };
    assert_eq!((failed.id(), failed.code(), failed.sender_fault()), ("b", "InvalidParameterValue", true));

    let messages = service.received(&service.work).await;
    assert_eq!(bodies(&messages), ["one", "two"]);
    let entry = |id: &str, handle: &str| DeleteEntry::builder().id(id).receipt_handle(handle).build().unwrap();
    let delete = service.client.delete_message_batch().queue_url(&service.work).entries(entry("a", "nonsense"));
    let deleted = delete.entries(entry("b", handle(&messages[0]))).send().await.unwrap();
    assert_eq!(deleted.failed()[0].code(), "ReceiptHandleIsInvalid");
    assert_eq!(deleted.successful()[0].id(), "b");
    assert_eq!(service.counts("work"), [0, 1, 0]);
}

#[tokio::test]
async fn queues_are_found_by_name_and_tell_their_settings() {
    let service = Service::in_memory().await;
    let client = &service.client;
    let found = client.get_queue_url().queue_name("work").send().await.unwrap();
    assert_eq!(found.queue_url(), Some(service.work.as_str()));
    let listed = client.list_queues().send().await.unwrap();
    assert_eq!(listed.queue_urls(), [service.dead.clone(), service.work.clone()]);
    let listed = client.list_queues().queue_name_prefix("w").send().await.unwrap();
    assert_eq!(listed.queue_urls(), std::slice::from_ref(&service.work));
    let first = client.list_queues().max_results(1).send().await.unwrap();
    let second = client.list_queues().max_results(1).set_next_token(first.next_token).send().await.unwrap();
    assert_eq!((second.queue_urls(), second.next_token()), (std::slice::from_ref(&service.work), None));

    let asked = client.get_queue_attributes().queue_url(&service.work).attribute_names(QueueName::All);
    let attributes = asked.send().await.unwrap().attributes.unwrap();
    let attribute = |name| attributes.get(&name).map(String::as_str);
    assert_eq!(attribute(QueueName::VisibilityTimeout), Some("30"));
    assert_eq!(attribute(QueueName::MaximumMessageSize), Some("1048576"));
    assert_eq!(attribute(QueueName::QueueArn), Some("arn:aws:sqs:us-east-1:000000000000:work"));
    assert_eq!(
        attribute(QueueName::RedrivePolicy),
        Some(r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":2}"#)
    );
}

#[tokio::test]
async fn the_queue_counts_what_is_visible_in_flight_and_delayed() {
    let service = Service::in_memory().await;
    service.send("in flight").await;
    service.only(&service.work).await;
    service.send("visible").await;
    service.send("visible too").await;
    let delayed = service.message(&service.work, "delayed");
    delayed.delay_seconds(60).send().await.unwrap();

    let counts = [
        (QueueName::ApproximateNumberOfMessages, "2"),
        (QueueName::ApproximateNumberOfMessagesNotVisible, "1"),
        (QueueName::ApproximateNumberOfMessagesDelayed, "1"),
    ];
    for (name, count) in counts {
        let ask = service.client.get_queue_attributes().queue_url(&service.work).attribute_names(name.clone());
        let attributes = ask.send().await.unwrap().attributes.unwrap();
        assert_eq!(attributes, HashMap::from([(name, count.to_owned())]));
    }
    service.client.purge_queue().queue_url(&service.work).send().await.unwrap();
    assert_eq!(service.counts("work"), [0, 0, 0]);
}

/// `Root=...` is all that a trace needs; the sum is that of one attribute of this name, as for the others.
#[tokio::test]
async fn a_trace_arrives_as_it_was_sent_and_goes_along_to_the_dead_letters() {
    let service = Service::in_memory().await;
    let header =
        |text: &str| MessageSystemAttributeValue::builder().data_type("String").string_value(text).build().unwrap();
    let send = |text: &str| {
        let send = service.message(&service.work, "traced");
        send.message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, header(text)).send()
    };
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1";
    let answer = send(trace).await.unwrap();
    assert_eq!(answer.md5_of_message_system_attributes().map(str::len), Some(32));
    for (queue, moves) in [(&service.work, false), (&service.work, false), (&service.dead, true)] {
        service.pass_s(60);
        if moves {
            assert!(service.received(&service.work).await.is_empty(), "it was received too often");
        }
        let message = service.only(queue).await;
        let told = message.attributes().and_then(|system| system.get(&SystemName::AwsTraceHeader).cloned());
        assert_eq!(told.as_deref(), Some(trace));
    }
    assert!(send("Root=1-5759e988").await.is_err());
}
