//! How large, how many and of what a message may be.

use aws_sdk_sqs::types::SendMessageBatchRequestEntry as SendEntry;
use batch_local::sqs::MAX_MESSAGE_BYTES;

use super::service::{Service, invalid_value, named, refusal, text};

#[tokio::test]
async fn a_message_is_at_most_one_mebibyte_with_its_attributes() {
    let service = Service::in_memory().await;
    let send = |body: String| service.message(&service.work, body);
    // A line break takes two characters in JSON and one byte in the message.
    send("\n".repeat(MAX_MESSAGE_BYTES)).send().await.unwrap();
    let too_long = send("a".repeat(MAX_MESSAGE_BYTES + 1)).send().await.unwrap_err();
    assert_eq!(refusal(&too_long), invalid_value());
    // name 1 + "String" 6 + value 3
    let body = "a".repeat(MAX_MESSAGE_BYTES - 10);
    send(body.clone()).message_attributes("n", text("abc")).send().await.unwrap();
    let too_long = send(body).message_attributes("n", text("abcd")).send().await.unwrap_err();
    assert_eq!(refusal(&too_long), invalid_value());

    let half = |id: &str, more: usize| {
        SendEntry::builder().id(id).message_body("a".repeat(MAX_MESSAGE_BYTES / 2 + more)).build().unwrap()
    };
    let batch = || service.client.send_message_batch().queue_url(&service.work).entries(half("a", 0));
    assert_eq!(batch().entries(half("b", 0)).send().await.unwrap().successful().len(), 2);
    let too_long = batch().entries(half("b", 1)).send().await.unwrap_err();
    assert_eq!(refusal(&too_long).0, "AWS.SimpleQueueService.BatchRequestTooLong");
}

#[tokio::test]
async fn contents_and_attributes_are_checked() {
    let service = Service::in_memory().await;
    let send = |body: &str| service.message(&service.work, body);
    let refused = async |request: aws_sdk_sqs::operation::send_message::builders::SendMessageFluentBuilder| {
        refusal(&request.send().await.unwrap_err()).0
    };
    assert_eq!(refused(send("")).await, "MissingParameter");
    assert_eq!(refused(send("a\u{1}b")).await, "InvalidMessageContents");
    assert_eq!(refused(send("a\u{ffff}b")).await, "InvalidMessageContents");
    assert_eq!(refused(send("a").message_attributes("n", text("\u{0}"))).await, "InvalidMessageContents");
    assert_eq!(refused(send("a").message_attributes("n", text(""))).await, "InvalidParameterValue");
    assert_eq!(refused(send("a").message_attributes("AWS.n", text("v"))).await, "InvalidParameterValue");
    assert_eq!(refused(send("a").message_attributes("n n", text("v"))).await, "InvalidParameterValue");
    assert_eq!(refused(send("a").message_group_id("a b")).await, "InvalidParameterValue");
    assert_eq!(refused(send("a").message_deduplication_id("id")).await, "InvalidParameterValue");
    let eleven = (0..11).fold(send("a"), |send, n| send.message_attributes(format!("n{n}"), text("v")));
    assert_eq!(refused(eleven).await, "InvalidParameterValue");
    assert_eq!(service.counts("work"), [0, 0, 0]);
    send("\t\r\n \u{e000}\u{1f600}").send().await.unwrap();
}

#[tokio::test]
async fn a_batch_has_one_to_ten_entries_with_ids_of_their_own() {
    let service = Service::in_memory().await;
    let entry = |id: &str| SendEntry::builder().id(id).message_body("body").build().unwrap();
    let eleven: Vec<String> = (0..11).map(|n| n.to_string()).collect();
    let cases: [(Vec<&str>, &str); 5] = [
        (vec![], "AWS.SimpleQueueService.EmptyBatchRequest"),
        (eleven.iter().map(String::as_str).collect(), "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
        (vec!["a", "b", "a"], "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"),
        (vec!["a b"], "AWS.SimpleQueueService.InvalidBatchEntryId"),
        (vec![""], "AWS.SimpleQueueService.InvalidBatchEntryId"),
    ];
    for (ids, code) in cases {
        let entries = ids.into_iter().map(entry).collect();
        let send = service.client.send_message_batch().queue_url(&service.work).set_entries(Some(entries));
        let expected = named(code, &code.replace("AWS.SimpleQueueService.", "com.amazonaws.sqs#"));
        assert_eq!(refusal(&send.send().await.unwrap_err()), expected);
    }
    assert_eq!(service.counts("work"), [0, 0, 0]);
}
